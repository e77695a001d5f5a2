"""Which faults does the demo's day hide, and which breaks must be found for them?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from integrity.demo.desk import Desk, Planted, Subject
from integrity.demo.fault import Fault
from integrity.demo.wrong_number import COPIES, LOSSES, STRANGERS
from integrity.demo.wrong_rows import CONTENT, RULES, TIMES
from integrity.errors import UsageError

__all__ = ["CATALOGUE", "plant"]

#: All faults, in the order in which they are planted: another order is another day for the same seed. Those
#: that are hard to please come first.
CATALOGUE: Final[tuple[Fault, ...]] = (*LOSSES, *COPIES, *CONTENT, *STRANGERS, *RULES, *TIMES)

_BURST = "one room's archive queue was dropped for some minutes after nine"


def plant(desk: Desk, items: int) -> Iterator[Planted]:
    """Spoil items of the desk's pool, with every fault at least once, and yield the breaks to be found.

    A fault returns None, having changed nothing, where its item has no fitting partner; the next is tried.

    Raises:
        UsageError: a fault finds nobody whom it could befall.
    """
    for subject in desk.burst:
        subject.archive.clear()
        desk.touched.append(subject)
        row = subject.source[0]
        yield Planted("lost burst", _BURST, "lost", row.tenant_id, row.room_id, row.message_id)
    for fault in CATALOGUE:
        wanted = max(1, round(fault.rate * items / 100_000))
        done = 0
        refused: list[Subject] = []
        while done < wanted:
            taken = desk.take(fault.fits)
            if taken is None:
                break
            expected = fault.spoil(desk, taken)
            if expected is None:
                refused.append(desk.touched.pop())
                continue
            done += 1
            for kind, row in expected:
                yield Planted(fault.name, fault.why, kind, row.tenant_id, row.room_id, row.message_id)
        if not done:
            raise UsageError(f"no message of this day can suffer {fault.name!r}", "ask for more items")
        desk.pool.extend(refused)
