"""Which of a day's planted breaks did a reconciliation find, and whom did it accuse wrongly?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from integrity.demo.shelf import PlantedBreak

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Accusation", "Comparison", "FileAccusation", "MailAccusation", "compare"]


class Accusation(NamedTuple):
    """A break of messages as both the plan and a result name it: its kind and the item."""

    kind: str
    tenant_id: str | None
    room_id: str | None
    message_id: str | None


class MailAccusation(NamedTuple):
    """A break of mail, likewise."""

    kind: str
    mailbox: str | None
    message_id: str | None


class FileAccusation(NamedTuple):
    """A break of files, likewise; the path is in NFC, as the contract reads it."""

    kind: str
    path: str | None


P = TypeVar("P", bound=PlantedBreak)
A = TypeVar("A", Accusation, MailAccusation, FileAccusation)
_P = TypeVar("_P", bound=PlantedBreak, covariant=True)
_A = TypeVar("_A", Accusation, MailAccusation, FileAccusation, covariant=True)


class _Day(Protocol[_P, _A]):
    """A day: what was planted in it, and by which columns, that a planted break has too, a break of it is named."""

    @property
    def planted(self) -> tuple[_P, ...]: ...

    @property
    def accusation(self) -> type[_A]: ...


@dataclass(frozen=True)
class Comparison(Generic[P, A]):
    """What a reconciliation made of a day.

    Attributes:
        found: Planted, and reported.
        missed: Planted, and not reported.
        wrongly_accused: Reported, and not planted.
    """

    found: tuple[P, ...]
    missed: tuple[P, ...]
    wrongly_accused: tuple[A, ...]

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


def compare(day: _Day[P, A], breaks: pd.DataFrame) -> Comparison[P, A]:
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

    accusation = day.accusation
    columns = [breaks[name] for name in accusation._fields]
    accused = Counter(accusation(plain(kind) or "", *map(plain, item)) for kind, *item in zip(*columns, strict=True))
    found, missed = [], []
    for planted in day.planted:
        expected = accusation(*(getattr(planted, name) for name in accusation._fields))
        if accused[expected]:
            accused[expected] -= 1
            found.append(planted)
        else:
            missed.append(planted)
    wrongly = sorted(accused.elements(), key=lambda each: tuple(part or "" for part in each))
    return Comparison(tuple(found), tuple(missed), tuple(wrongly))
