"""Which batch does an instant belong to?

An instant is a whole number of microseconds since the epoch, UTC. A batch is a half-open window ``[start,
end)`` of such instants. Every instant lies in exactly one window, also where a clock was set forward over a
midnight, was set back over one, or jumped over a whole day::

    start_of(x) <= x < end_of(start_of(x))

Windows of a time zone rest on one definition, from which everything odd about local time follows: *the window
of a local date starts at the first instant at which the local clock shows that date or a later one*. So a
midnight that does not exist starts where the clock lands, a midnight that comes twice starts the first time,
and a date that was skipped is a window of no length, which is no window.

Exact for every instant of the years 1 to 9999, by the IANA database that ``zoneinfo`` finds. The calendar begins with
the year 1 in UTC, and so does its first window: one that would have begun before that, as a day of Seoul does, is cut
off there, because no date, no JSON and no database could say when it began. The last window is as long as it is; who
has to write down its end writes :data:`integrity.values.CALENDAR`'s.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import polars as pl

from integrity.errors import did_you_mean

__all__ = ["DAY", "Window", "format_duration", "is_time_zone", "parse_duration"]

#: Microseconds of each unit, the largest first.
_UNITS: Final = {
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}

#: Microseconds of a day.
DAY: Final = _UNITS["d"]

#: The days of the years 1 to 9999. No duration is longer, so that an instant plus a duration fits 64 bits.
_CALENDAR_DAYS: Final = date.max.toordinal()

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL: Final = _EPOCH.toordinal()

#: Day numbers (days since the epoch) between which datetime can be asked without running over its ends.
_FIRST_DAY: Final = date.min.toordinal() - _EPOCH_ORDINAL
_LAST_DAY: Final = date(9999, 1, 1).toordinal() - _EPOCH_ORDINAL

#: The first instant of the year 1, UTC, before which no window begins.
_FIRST: Final = _FIRST_DAY * DAY

#: The Gregorian calendar, weekdays and all, repeats after 400 years, and with it every rule of summer time.
_CYCLE_DAYS: Final = 146_097


def parse_duration(text: str) -> int:
    """Return the microseconds of a duration: whole numbers with the units ``d h m s ms us``, in this order.

    Raises:
        ValueError: it is not written so. The message says how to write it.

    Example:
        >>> parse_duration("10m")
        600000000
        >>> parse_duration("1h30m") == parse_duration("90m")
        True
    """
    advice = "write whole numbers with their units, largest first, such as 10m, 1h30m, 500ms or 1d"
    # ASCII digits on purpose: \d also matches the digits of other scripts.
    if not isinstance(text, str) or not re.fullmatch(r"(?:[0-9]+(?:us|ms|[dhms]))+", text):
        raise ValueError(f"{text!r} is not a duration; {advice}")
    parts = re.findall(r"([0-9]+)(us|ms|[dhms])", text)
    order = [list(_UNITS).index(unit) for _, unit in parts]
    if order != sorted(set(order)):
        raise ValueError(f"{text!r} is not a duration: a unit comes twice or out of order; {advice}")
    # A number this long is no duration, and Python refuses to read numbers that are longer still.
    if max(len(number.lstrip("0")) for number, _ in parts) <= 18:
        duration = sum(int(number) * _UNITS[unit] for number, unit in parts)
        if duration <= _CALENDAR_DAYS * DAY:
            return duration
    raise ValueError(f"{text[:40]!r} is longer than the calendar from year 1 to 9999; write at most {_CALENDAR_DAYS}d")


def format_duration(us: int) -> str:
    """Return a duration as :func:`parse_duration` reads it, in the fewest parts.

    Raises:
        ValueError: it is negative. There are no negative durations.

    Example:
        >>> format_duration(5_400_000_000), format_duration(0)
        ('1h30m', '0s')
    """
    if us < 0:
        raise ValueError(f"{us} µs is not a duration; a duration is never negative")
    parts = []
    for unit, size in _UNITS.items():
        count, us = divmod(us, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


@dataclass(frozen=True, slots=True)
class Window:
    """How time is cut into windows.

    Attributes:
        every: The length in microseconds. With a time zone: whole days, and a day is as long as it was there.
        timezone: The IANA name of the zone at whose midnights windows start; ``None`` aligns them to the
            epoch in UTC. Windows of several days count local dates from 1970-01-01.

    Raises:
        ValueError: the length or the zone cannot be meant. The message says what can.

    Example:
        >>> ten_minutes = Window(parse_duration("10m"))
        >>> ten_minutes.start_of(1_700_000_123_000_000)
        1699999800000000
        >>> seoul = Window(DAY, "Asia/Seoul")
        >>> seoul.start_of(0)  # at the epoch it was nine in the morning there
        -32400000000
    """

    every: int
    timezone: str | None = None

    def __post_init__(self) -> None:
        whole = isinstance(self.every, int) and not isinstance(self.every, bool)
        if not whole or not 0 < self.every <= _CALENDAR_DAYS * DAY:
            raise ValueError(
                f"a window cannot be {self.every!r} microseconds long; give it a whole number of them, "
                f"from 1us to {_CALENDAR_DAYS}d, by parse_duration('10m') for example"
            )
        if self.timezone is None:
            return
        if not is_time_zone(self.timezone):
            raise ValueError(
                f"{self.timezone!r} is not an IANA time zone; {did_you_mean(str(self.timezone), _zones())}"
            )
        if self.every % DAY:
            raise ValueError(
                f"windows of a time zone are whole days, not {format_duration(self.every)}; "
                "write for example 1d, or leave the time zone out to align shorter windows to UTC"
            )

    def start_of(self, us: int) -> int:
        """Return the start of the window that holds this instant."""
        if self.timezone is None:
            return max(_FIRST, us - us % self.every)
        near = [_first_instant(self.timezone, self._aligned(day)) for day in _days_around(us // DAY)]
        return max(_FIRST, *(start for start in near if start <= us))

    def end_of(self, start_us: int) -> int:
        """Return the next boundary after this instant: the end of the window that it starts, or lies in."""
        if self.timezone is None:
            return start_us - start_us % self.every + self.every
        day = start_us // DAY - 1
        # By boundary, not by adding a day: a skipped date has the boundary of the date after it.
        while (end := _first_instant(self.timezone, self._aligned(day))) <= start_us:
            day += self.every // DAY
        return end

    def is_boundary(self, us: int) -> bool:
        """Return whether a window starts at this instant."""
        return self.start_of(us) == us

    def starts_between(self, since: int, until: int) -> Iterator[int]:
        """Yield, in order, the start of every window that starts in ``[since, until)``."""
        start = since if self.is_boundary(since) else self.end_of(since)
        while start < until:
            yield start
            start = self.end_of(start)

    def starts(self, events: pl.Series) -> pl.Series:
        """Return :meth:`start_of` for each instant of an Int64 series, in its order; null stays null."""
        if events.dtype != pl.Int64:
            raise TypeError(f"instants come as Int64 microseconds, not as {events.dtype}")
        if self.timezone is None:
            return (events // self.every * self.every).clip(lower_bound=_FIRST)
        known = events.drop_nulls()
        if known.is_empty():
            return events
        # zoneinfo is slow and the instants are many, but they lie on few days: ask for those, then search.
        days = (known // DAY).unique().to_list()
        dates = {self._aligned(near) for day in days for near in _days_around(day)}
        boundaries = np.array([_first_instant(self.timezone, day) for day in sorted(dates)], dtype=np.int64)
        # Nulls take part as an instant that is there anyway, so that they add no boundary.
        instants = events.fill_null(known[0]).to_numpy()
        starts = np.maximum(boundaries[np.searchsorted(boundaries, instants, side="right") - 1], _FIRST)
        return pl.select(pl.when(events.is_not_null()).then(pl.Series(events.name, starts, dtype=pl.Int64))).to_series()

    def ends(self, events: pl.Series) -> pl.Series:
        """Return :meth:`end_of` for each instant of an Int64 series, in its order; null stays null."""
        if self.timezone is None:
            return events // self.every * self.every + self.every
        known = {us: self.end_of(us) for us in events.unique().to_list() if us is not None}
        return pl.Series(events.name, [None if us is None else known[us] for us in events.to_list()], dtype=pl.Int64)

    def _aligned(self, day: int) -> int:
        """Return the first date of the window to which a local date belongs."""
        return day - day % (self.every // DAY)


def _days_around(utc_day: int) -> tuple[int, int, int]:
    """Return the local dates, one of which an instant of this UTC day belongs to.

    No zone is a whole day from UTC: yesterday's date has begun everywhere, the day after tomorrow's nowhere.
    """
    return utc_day - 1, utc_day, utc_day + 1


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime"})


def is_time_zone(name: object) -> bool:
    """Return whether this is the name of a time zone.

    Asked of the list, not of ZoneInfo(): that one also opens "right/…" (which counts leap seconds), "localtime" (which
    is another zone on another machine), and directories.
    """
    return isinstance(name, str) and name in _zones()


@lru_cache(maxsize=1 << 16)
def _first_instant(timezone: str, day: int) -> int:
    """Return the first instant at which the local clock shows this date, or a later one.

    The date is counted in days since the epoch.
    """
    if day >= _LAST_DAY:
        cycles = (day - _LAST_DAY) // _CYCLE_DAYS + 1
        return _first_instant(timezone, day - cycles * _CYCLE_DAYS) + cycles * _CYCLE_DAYS * DAY
    if day < _FIRST_DAY:
        # Long before the first time zone: local mean time, always the same.
        return _first_instant(timezone, _FIRST_DAY) - (_FIRST_DAY - day) * DAY
    zone = ZoneInfo(timezone)
    midnight = datetime.combine(date.fromordinal(day + _EPOCH_ORDINAL), time.min, zone)
    by_old_offset = day * DAY - _offset(midnight)
    by_new_offset = day * DAY - _offset(midnight.replace(fold=1))
    if by_old_offset <= by_new_offset:
        return by_old_offset  # the only midnight, or the first of two

    # There was no midnight. The clock went forward at some instant between the two readings, which is the
    # first of the new date, and not always midnight by the old offset (Toronto, 1919: from 23:30 to 00:30).
    def has_begun(us: int) -> bool:
        return us + _offset((_EPOCH + timedelta(microseconds=us)).astimezone(zone)) >= day * DAY

    return by_new_offset + bisect_left(range(by_new_offset, by_old_offset), True, key=has_begun)


def _offset(local: datetime) -> int:
    """Return how far the clock of this local time is ahead of UTC, in microseconds."""
    return (local.utcoffset() or timedelta()) // timedelta(microseconds=1)
