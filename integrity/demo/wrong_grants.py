"""Who was granted what on such a day, and which faults make that nobody had the right to do what was done?

Grants are written last, when it is known what everybody did. Those of a few acts are then spoilt: the acts stay as they
are, so that whoever compares the two sides alone sees nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Generic, TypeVar

from integrity.demo.writing import instant, write_csv
from integrity.errors import UsageError

__all__ = ["NAMES", "WAYS", "Act", "Grant", "Wrong", "granted", "write_grants"]

_Item = TypeVar("_Item")
_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Act(Generic[_Item]):
    """What somebody did: on what, when, and which item came of it."""

    actor: str
    object: str
    at: datetime
    item: _Item


@dataclass(frozen=True, slots=True)
class Grant:
    """That somebody may act on something, since when until when, and when that was entered."""

    actor: str
    object: str
    since: datetime
    until: datetime | None
    entered: datetime


@dataclass(frozen=True, slots=True)
class Wrong(Generic[_Item]):
    """An act that nobody had the right to."""

    fault: str
    why: str
    item: _Item


def _never(act: Act[_Item], long_ago: datetime) -> list[Grant]:
    return []


def _elsewhere(act: Act[_Item], long_ago: datetime) -> list[Grant]:
    return [Grant(act.actor, act.object + "0", long_ago, None, long_ago)]


def _left(act: Act[_Item], long_ago: datetime) -> list[Grant]:
    return [Grant(act.actor, act.object, long_ago, act.at - 90 * _SECOND, long_ago)]


def _left_that_moment(act: Act[_Item], long_ago: datetime) -> list[Grant]:
    return [Grant(act.actor, act.object, long_ago, act.at, long_ago)]


def _joined_later(act: Act[_Item], long_ago: datetime) -> list[Grant]:
    return [Grant(act.actor, act.object, act.at + timedelta(microseconds=1), None, long_ago)]


def _between(act: Act[_Item], long_ago: datetime) -> list[Grant]:
    return [
        Grant(act.actor, act.object, long_ago, act.at - _SECOND, long_ago),
        Grant(act.actor, act.object, act.at + _SECOND, None, long_ago),
    ]


def _entered_later(act: Act[_Item], long_ago: datetime) -> list[Grant]:
    return [Grant(act.actor, act.object, long_ago, None, act.at + 600 * _SECOND)]


def _backwards(act: Act[_Item], long_ago: datetime) -> list[Grant]:
    return [Grant(act.actor, act.object, act.at + _DAY, act.at - _DAY, long_ago)]


#: A fault's name, how it comes about, and the grants that are left to an act.
_FAULTS: tuple[tuple[str, str, Callable[[Act[object], datetime], list[Grant]]], ...] = (
    ("never granted", "nobody ever granted it", _never),
    ("granted elsewhere", "granted for another object whose name begins alike", _elsewhere),
    ("left before", "the grant had ended a minute and a half before", _left),
    ("left that moment", "the grant ended in that very moment: until is no longer included", _left_that_moment),
    ("joined later", "the grant began a microsecond later", _joined_later),
    ("between two grants", "one had ended, and the next had not begun", _between),
    ("entered afterwards", "the grant was entered ten minutes after the act, and dated back", _entered_later),
    ("backwards", "the grant ends before it begins", _backwards),
)


#: The names of the faults, and how many there are.
NAMES = tuple(name for name, *_ in _FAULTS)
WAYS = len(NAMES)


def granted(
    rng: Random,
    acts: Sequence[Act[_Item]],
    fit: Callable[[Act[_Item]], bool],
    start: datetime,
    each: int,
    faults: bool,
    entered: bool = False,
) -> tuple[list[Grant], list[Wrong[_Item]]]:
    """Return the grants of a day, and the acts that they leave uncovered.

    Args:
        rng: Decides everything.
        acts: All that was done.
        fit: Whom a fault may befall; of these only acts of somebody who did nothing else on the same object.
        start: The first moment of the day.
        each: How many acts each fault befalls.
        faults: Left out, every act is covered.
        entered: Whether the contract asks when a grant was entered.

    Raises:
        UsageError: the day has too few acts.
    """
    long_ago = start - 400 * _DAY
    times: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for act in acts:
        times[act.actor, act.object].append(act.at)
    once = Counter((act.actor, act.object) for act in acts)
    wrong: list[Wrong[_Item]] = []
    grants: list[Grant] = []
    if faults:
        fitting = [act for act in acts if once[act.actor, act.object] == 1 and fit(act)]
        rng.shuffle(fitting)
        if len(fitting) < each * len(_FAULTS):
            raise UsageError("too few people of this day do something once only", "ask for more items")
        for name, why, spoil in _FAULTS:
            if spoil is _entered_later and not entered:
                continue
            for _ in range(each):
                act = fitting.pop()
                del times[act.actor, act.object]
                grants += spoil(act, long_ago)  # type: ignore[arg-type]
                wrong.append(Wrong(name, why, act.item))
    for (actor, thing), moments in sorted(times.items()):
        grants += _sound(rng, actor, thing, min(moments), max(moments), long_ago)
    return grants, wrong


def _sound(rng: Random, actor: str, thing: str, first: datetime, last: datetime, long_ago: datetime) -> Iterable[Grant]:
    """Grants that cover all that somebody did, in one of the ways in which grants do."""
    match rng.randrange(20):
        case 0:  # from that very moment on
            return [Grant(actor, thing, first, None, long_ago)]
        case 1:  # until the moment after
            return [Grant(actor, thing, long_ago, last + timedelta(microseconds=1), long_ago)]
        case 2:  # one ended as the next began
            return [Grant(actor, thing, long_ago, first, long_ago), Grant(actor, thing, first, None, long_ago)]
        case 3:  # two that overlap
            after = last + _SECOND
            return [Grant(actor, thing, long_ago, after, long_ago), Grant(actor, thing, first - _DAY, None, long_ago)]
        case 4:  # left once, and came back long before
            back = long_ago + 30 * _DAY
            return [Grant(actor, thing, long_ago, back - _DAY, long_ago), Grant(actor, thing, back, None, back)]
        case _:
            return [Grant(actor, thing, long_ago, None, long_ago)]


def write_grants(path: Path, header: Sequence[str], grants: Iterable[Grant]) -> None:
    """Write the grants: actor, object, since, until and when they were entered, under names of their own."""

    def told(moment: datetime) -> str:
        return instant(moment.astimezone(UTC))

    rows = [
        (
            each.actor,
            each.object,
            told(each.since),
            "" if each.until is None else told(each.until),
            told(each.entered),
        )
        for each in grants
    ]
    write_csv(path, header, rows)
