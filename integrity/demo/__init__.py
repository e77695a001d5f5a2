"""What does a realistic day of an enterprise messenger look like, and what is wrong with it?

:func:`generate_day` writes one Seoul day of chat messages as a gateway recorded them (SQLite) and as an
archive kept them (Parquet), with faults whose every break is known beforehand. :func:`compare` then says of a
reconciliation which of them it found, which it missed, and whom it accused wrongly. Nothing here compares the
two sides: that is the work of the library, and a demo that did it itself would prove nothing.

Every number comes from a seeded generator and no clock is read, so a seed gives the same bytes on every day.
"""

from integrity.demo.day import Day, generate_day
from integrity.demo.desk import Planted
from integrity.demo.score import Accusation, Comparison, compare

__all__ = ["Accusation", "Comparison", "Day", "Planted", "compare", "generate_day"]
