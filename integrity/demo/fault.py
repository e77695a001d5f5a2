"""What is a fault of messages, and whom does it befall?

Each is a small function that takes one healthy item as both sides hold it. Where two readings are possible (is a
latency measured from the source's event time or the destination's?) a fault is made so that both give the same breaks.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias

from integrity.demo import shelf as shelves
from integrity.demo.desk import Desk, Fits, Row, Subject

__all__ = [
    "NINE_HOURS",
    "Expected",
    "Fault",
    "Spoil",
    "again",
    "anyone",
    "at_night",
    "early",
    "fault",
    "fine",
    "korean",
    "partner",
    "person",
]

#: Seoul's offset: what a time is wrong by when somebody takes local time for UTC.
NINE_HOURS = timedelta(hours=9)

#: The kinds of the breaks to be found, each with a row that bears the identity.
Expected: TypeAlias = Iterable[tuple[str, Row]]
#: Spoil an item and return the breaks to be found; or change nothing and return None.
Spoil: TypeAlias = Callable[[Desk, Subject], Expected | None]
#: Its rate is per 100,000 items.
Fault: TypeAlias = shelves.Fault[Desk, Subject, tuple[str, Row]]


# Whom faults befall ---------------------------------------------------------------------------------------


def anyone(subject: Subject) -> bool:
    """Whether it is anybody at all."""
    return True


def person(subject: Subject) -> bool:
    """Whether it was written by somebody, and not by the service itself."""
    return subject.source[0].kind != "system"


def korean(subject: Subject) -> bool:
    """Whether it is a text that Unicode could write in another way."""
    row = subject.source[0]
    return row.kind == "text" and bool(row.body) and unicodedata.normalize("NFD", row.body or "") != row.body


def early(subject: Subject) -> bool:
    """Whether nine hours after it was sent is still the same day."""
    return subject.window < 13 * 6


def at_night(subject: Subject) -> bool:
    """Whether it was sent in the quietest hour."""
    return 4 * 6 <= subject.window < 5 * 6


def fine(subject: Subject) -> bool:
    """Whether milliseconds would not do for its event time."""
    return subject.sent.microsecond % 1000 != 0


# What faults are made of ----------------------------------------------------------------------------------


def fault(shelf: list[Fault], name: str, why: str, *, rate: float, fits: Fits = anyone) -> Callable[[Spoil], Spoil]:
    """Put a fault on a shelf: a list, in which faults stand in the order of their code."""
    return shelves.enter(shelf, name, why, rate, fits)


def partner(desk: Desk, subject: Subject, *preferences: Callable[[Row], bool]) -> Subject | None:
    """Take another item of the same batch, by the first preference that anyone meets."""
    for likes in preferences:
        found = desk.take(partial(_of_window, subject.window, likes))
        if found is not None:
            return found
    return None


def _of_window(window: int, likes: Callable[[Row], bool], other: Subject) -> bool:
    return other.window == window and likes(other.source[0])


def again(desk: Desk, row: Row) -> Row:
    """Return the row as stored once more within the second: on time, so a duplicate and nothing else."""
    assert isinstance(row.sent_at, datetime)
    limit = row.sent_at + timedelta(seconds=4.95)
    return replace(row, stored_at=min(limit, row.stored_at + desk.between(0.01, 1)))
