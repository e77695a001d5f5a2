"""Which of a day's planted breaks did a reconciliation find, and whom did it accuse wrongly?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from integrity.demo.day import Day
from integrity.demo.desk import Planted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Accusation", "Comparison", "compare"]


class Accusation(NamedTuple):
    """A break as both the plan and a result name it: its kind and the item."""

    kind: str
    tenant_id: str | None
    room_id: str | None
    message_id: str | None


@dataclass(frozen=True)
class Comparison:
    """What a reconciliation made of a day.

    Attributes:
        found: Planted, and reported.
        missed: Planted, and not reported.
        wrongly_accused: Reported, and not planted.
    """

    found: tuple[Planted, ...]
    missed: tuple[Planted, ...]
    wrongly_accused: tuple[Accusation, ...]

    @property
    def exact(self) -> bool:
        """Whether every planted break was found and nothing else was accused."""
        return not self.missed and not self.wrongly_accused

    def by_fault(self) -> list[tuple[str, str, str, int, int]]:
        """Return for each fault its name, reason and kinds, and how many breaks of how many were found."""
        lines: dict[str, tuple[str, set[str], int, int]] = {}
        for got, planted in [(1, each) for each in self.found] + [(0, each) for each in self.missed]:
            why, kinds, found, total = lines.get(planted.fault, (planted.why, set(), 0, 0))
            lines[planted.fault] = (why, kinds | {planted.kind}, found + got, total + 1)
        return [
            (fault, why, " + ".join(sorted(kinds)), found, total)
            for fault, (why, kinds, found, total) in sorted(lines.items())
        ]


def compare(day: Day, breaks: pd.DataFrame) -> Comparison:
    """Compare what was planted in a day with what a reconciliation found.

    Args:
        day: The day.
        breaks: ``result.breaks``; of its columns only ``kind`` and the identity are looked at. Copies count:
            an item that is stored three times is two breaks.
    """
    import pandas as pd  # here, so that generating a day does not load it

    def plain(value: Any) -> str | None:
        if isinstance(value, Enum):
            return str(value.value)
        return None if pd.isna(value) else str(value)

    columns = [breaks[name] for name in Accusation._fields]
    accused = Counter(Accusation(plain(kind) or "", *map(plain, item)) for kind, *item in zip(*columns, strict=True))
    found, missed = [], []
    for planted in day.planted:
        expected = Accusation(planted.kind, planted.tenant_id, planted.room_id, planted.message_id)
        if accused[expected]:
            accused[expected] -= 1
            found.append(planted)
        else:
            missed.append(planted)
    wrongly = sorted(accused.elements(), key=lambda each: tuple(part or "" for part in each))
    return Comparison(tuple(found), tuple(missed), tuple(wrongly))
