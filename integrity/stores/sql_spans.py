"""Which condition asks a database for the rows of some intervals of time, so that an index can serve it?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from integrity.stores.sql_types import Kind
from integrity.values import CALENDAR, EPOCH

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

__all__ = ["between"]

#: More intervals than this are asked for as one, from the first to the last.
_INTERVALS = 200
_DAY = 86_400_000_000


def between(
    name: str, kind: Kind, intervals: Sequence[tuple[int | None, int | None]], zone: str | None
) -> ColumnElement[bool]:
    """Return the condition that a timestamp lies in one of some half-open intervals of microseconds, or near one."""
    import sqlalchemy

    column: ColumnElement[Any] = sqlalchemy.column(name)
    # A local time is not always told from its instant alone: a day more on each side loses nothing.
    margin = 0 if kind is Kind.INSTANT or zone in ("UTC", "Etc/UTC") else _DAY
    ranges = []
    for start, end in _merged(intervals, margin):
        parts = []
        if start is not None and start > CALENDAR[0]:
            parts.append(column >= _instant(start, kind))
        if end is not None and end <= CALENDAR[1]:
            parts.append(column < _instant(end, kind))
        ranges.append(sqlalchemy.and_(sqlalchemy.true(), *parts) if parts else column.is_not(None))
    return sqlalchemy.or_(sqlalchemy.false(), *ranges)


def _merged(intervals: Sequence[tuple[int | None, int | None]], margin: int) -> list[tuple[int | None, int | None]]:
    """Join what touches, and everything where there is too much of it."""
    wide = sorted(
        (-(2**63) if start is None else start - margin, 2**63 if end is None else end + margin)
        for start, end in intervals
    )
    joined: list[list[int]] = []
    for start, end in wide:
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    if len(joined) > _INTERVALS:
        joined = [[joined[0][0], joined[-1][1]]]
    return [(None if s < CALENDAR[0] else s, None if e > CALENDAR[1] else e) for s, e in joined]


def _instant(us: int, kind: Kind) -> ColumnElement[Any]:
    import sqlalchemy

    moment = EPOCH + dt.timedelta(microseconds=us)
    zoned = kind is Kind.INSTANT
    return sqlalchemy.literal(moment.replace(tzinfo=dt.UTC) if zoned else moment, sqlalchemy.DateTime(timezone=zoned))
