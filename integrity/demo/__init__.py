"""What do realistic days of an enterprise's messenger, mail and drive look like, and what is wrong with them?

:func:`generate_day` writes one Seoul day of chat messages as a gateway recorded them (SQLite) and as an
archive kept them (Parquet); :func:`generate_mail_day` one of mail, as a gateway journaled it (mbox) and as its
recipients have it (Maildirs); :func:`generate_drive_day` one of uploads, as a gate logged them (SQLite) and as a store
keeps them (a folder). All have faults whose every break is known beforehand. :func:`compare` then says of a
reconciliation which of them it found, which it missed, and whom it accused wrongly. Nothing here compares the two
sides: that is the work of the library, and a demo that did it itself would prove nothing.

Every number comes from a seeded generator and no clock is read, so a seed gives the same bytes on every day.
"""

from integrity.demo.day import Day, generate_day
from integrity.demo.desk import Planted
from integrity.demo.drive.cabinet import PlantedFile
from integrity.demo.drive.day import DriveDay, generate_drive_day
from integrity.demo.mail.day import MailDay, generate_mail_day
from integrity.demo.mail.office import PlantedMail
from integrity.demo.score import Accusation, Comparison, FileAccusation, MailAccusation, compare

__all__ = [
    "Accusation",
    "Comparison",
    "Day",
    "DriveDay",
    "FileAccusation",
    "MailAccusation",
    "MailDay",
    "Planted",
    "PlantedFile",
    "PlantedMail",
    "compare",
    "generate_day",
    "generate_drive_day",
    "generate_mail_day",
]
