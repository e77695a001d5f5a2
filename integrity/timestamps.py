"""How do timestamps in bulk become instants?

Instants are microseconds since the epoch, UTC. Polars reads what is in a common form; zoneinfo and
:mod:`integrity.values` decide alone on the rest, and on every time for which the two might hold different rules.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa

from integrity.values import CALENDAR, EPOCH, instant, localise

__all__ = ["dated", "fixed_offset", "hide", "localised", "micros_of", "parsed", "scatter"]

#: Between these years chrono-tz (Polars) and zoneinfo (Python) hold the same rules; outside, zoneinfo decides alone.
_SAME_ZONES = (0, 2_145_916_800_000_000)  # 1970-01-01 .. 2038-01-01, microseconds

_ISO_COMMON = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-5][0-9](?:\.[0-9]{1,9})?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?$"
)


def dated(column: str) -> pl.Expr:
    """Instants as moments that can be written down: what lies outside the years 1 to 9999 is their first or last.

    No date of Python, no JSON and no database has others; and an instant that was read is at most a day away from them.
    """
    return pl.col(column).cast(pl.Int64).clip(*CALENDAR).cast(pl.Datetime("us", "UTC"))


def micros_of(array: pa.Array[Any]) -> pl.Series:
    """Physical timestamps as microseconds (wall-clock ones if the type has no zone); nanoseconds are floored."""
    unit = array.type.unit
    ticks = pl.from_arrow(array.view(pa.int64()))
    assert isinstance(ticks, pl.Series)
    if unit == "ns":
        return ticks // 1000
    factor = {"us": 1, "ms": 1_000, "s": 1_000_000}[unit]
    if factor == 1:
        return ticks
    limit = (2**63 - 1) // factor
    return hide(ticks, ticks.abs() > limit) * factor


def localised(wall: pl.Series, zone: str | None) -> pl.Series:
    """Local wall-clock microseconds to instants; null where there is none, or there are two."""
    if zone is None:
        return pl.Series([None] * len(wall), dtype=pl.Int64)
    if zone in ("UTC", "Etc/UTC"):
        return wall
    first, last = _SAME_ZONES
    common = ((wall >= first) & (wall < last)).fill_null(True)
    near = hide(wall, ~common).cast(pl.Datetime("us"))
    frame = pl.DataFrame({"t": near}).select(
        pl.col("t").dt.replace_time_zone(zone, ambiguous="null", non_existent="null").dt.convert_time_zone("UTC")
    )
    instants = frame.to_series().to_physical()
    rest = ~common
    if rest.any():
        slow = pl.Series([localise(value, zone) for value in wall.filter(rest).to_list()], dtype=pl.Int64)
        instants = scatter(instants, rest, slow)
    return instants


def parsed(text: pl.Series, zone: str | None) -> pl.Series:
    """ISO 8601 texts to instants; null where NULL or unreadable."""
    common = text.str.contains(_ISO_COMMON) & ~text.str.starts_with("0000")  # a year 0 is none of Python's
    zoned = text.str.contains(r"(?:Z|[+-][0-9]{2}:[0-9]{2})$")
    shown = hide(text, ~(common & zoned)).str.replace(" ", "T", literal=True)
    us = shown.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", time_zone="UTC", strict=False).to_physical()
    naive = common & ~zoned
    if naive.any():
        local = hide(text, ~naive).str.replace(" ", "T", literal=True)
        wall = local.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False).to_physical()
        us = us.zip_with(~naive.fill_null(False), localised(wall, zone))
    rest = (~common).fill_null(False)
    if rest.any():
        slow = pl.Series([instant(value, zone) for value in text.filter(rest).to_list()], dtype=pl.Int64)
        us = scatter(us, rest, slow)
    return us


def scatter(target: pl.Series, where: pl.Series, values: pl.Series) -> pl.Series:
    return target.scatter(where.arg_true(), values)


def hide(series: pl.Series, where: pl.Series) -> pl.Series:
    """The series with nulls where ``where`` is true."""
    if not where.any():
        return series
    return series.zip_with(~where.fill_null(False), pl.Series([None], dtype=series.dtype))


@lru_cache(maxsize=64)
def fixed_offset(zone: str) -> tuple[int, int, int] | None:
    """Return how far a zone is ahead of UTC and between which local times, if its clocks have long been left alone.

    Returns:
        The offset, the first local time, and the first no longer meant, in microseconds; ``None`` where clocks change
        to this day, or no local time of the last ten years would be meant.

    Example:
        >>> offset, first, last = fixed_offset("Asia/Seoul")
        >>> offset // 3_600_000_000, first < 631_152_000_000_000
        (9, True)
        >>> fixed_offset("Europe/Paris") is None
        True
    """
    tz, step = ZoneInfo(zone), dt.timedelta(days=5)
    last = dt.datetime(2037, 12, 31)
    offset = last.replace(tzinfo=tz).utcoffset()
    first = last
    while first.year > 1970 and (first - step).replace(tzinfo=tz).utcoffset() == offset:
        first -= step
    if offset is None or first > dt.datetime(2016, 1, 1):
        return None
    us = dt.timedelta(microseconds=1)
    return offset // us, (first + step - EPOCH) // us, (last - EPOCH) // us
