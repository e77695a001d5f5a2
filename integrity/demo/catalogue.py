"""Which faults does the demo's day hide, and which breaks must be found for them?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from integrity.demo import shelf
from integrity.demo.desk import Desk, Planted
from integrity.demo.fault import Fault
from integrity.demo.wrong_number import COPIES, LOSSES, STRANGERS
from integrity.demo.wrong_rows import CONTENT, RULES, TIMES

__all__ = ["CATALOGUE", "plant"]

#: All faults, in the order in which they are planted: another order is another day for the same seed. Those
#: that are hard to please come first.
CATALOGUE: Final[tuple[Fault, ...]] = (*LOSSES, *COPIES, *CONTENT, *STRANGERS, *RULES, *TIMES)

_BURST = "one room's archive queue was dropped for some minutes after nine"


def plant(desk: Desk, items: int) -> Iterator[Planted]:
    """Spoil items of the desk's pool, with every fault at least once, and yield the breaks to be found.

    Raises:
        UsageError: a fault finds nobody whom it could befall.
    """
    for subject in desk.burst:
        subject.archive.clear()
        desk.touched.append(subject)
        row = subject.source[0]
        yield Planted("lost burst", _BURST, "lost", row.tenant_id, row.room_id, row.message_id)
    for fault, (kind, row) in shelf.plant(CATALOGUE, desk, items, per=100_000, item="message", more="items"):
        yield Planted(fault.name, fault.why, kind, row.tenant_id, row.room_id, row.message_id)
