"""How does one Python value read as its declared type?

This is the table of canonical values for a single value, in plain Python: what an auditor would do by hand, and
what the vectorised reader in :mod:`integrity.canonical` falls back on for the rows that are not in the common form.
The two agree by test. It knows nothing of columns, batches or stores.

Three readings widen the table, because stores without types (CSV, JSON) could not carry these types otherwise; each
demands a declared type, so nothing undeclared becomes equal: a *float* is also read from a decimal text or number (as
the nearest IEEE-754 double), *binary* from its hexadecimal text, *boolean* from ``true`` and ``false`` in any case.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import re
import struct
import uuid
from zoneinfo import ZoneInfo

from integrity.columns import Column, ColumnType

__all__ = [
    "CALENDAR",
    "EPOCH",
    "UNREADABLE",
    "Unreadable",
    "canonical_value",
    "instant",
    "iso",
    "localise",
    "micros",
    "moment",
]

#: U+001A SUBSTITUTE: begins the canonical value of what could not be read.
UNREADABLE = "\x1a"
EPOCH = dt.datetime(1970, 1, 1)
#: The first and the last microsecond of the years 1 to 9999, from the epoch.
CALENDAR = (-62_135_596_800_000_000, 253_402_300_799_999_999)
_US = dt.timedelta(microseconds=1)
UNIT = {"us": 1, "ms": 1_000, "s": 1_000_000}

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_FLOAT = re.compile(
    r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?|inf(?:inity)?|nan)", re.IGNORECASE
)
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r" ?([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_HEX = re.compile(r"(?:[0-9a-f]{2})*", re.IGNORECASE)


def micros(moment: dt.datetime) -> int:
    """Microseconds since the epoch of an aware datetime, exactly."""
    return (moment.astimezone(dt.UTC).replace(tzinfo=None) - EPOCH) // _US


def moment(us: int) -> dt.datetime:
    """The aware UTC datetime of microseconds since the epoch."""
    return EPOCH.replace(tzinfo=dt.UTC) + us * _US


def iso(moment: dt.datetime) -> str:
    """Return an aware moment as it is written for other tools: UTC, to the microsecond, its year in four digits.

    Example:
        >>> iso(dt.datetime(1, 3, 1, 9, tzinfo=dt.timezone(dt.timedelta(hours=9))))
        '0001-03-01T00:00:00.000000Z'
    """
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


class Unreadable(str):
    """The canonical value of something that cannot be read as its declared type: U+001A, then its raw text."""

    __slots__ = ()

    @classmethod
    def of(cls, raw: object) -> Unreadable:
        if isinstance(raw, dict) and "unreadable" in raw:  # how a store hands over what Arrow cannot hold
            raw = raw["unreadable"]
        text = raw.hex() if isinstance(raw, bytes) else str(raw)
        return cls(UNREADABLE + text.encode("utf-8", "backslashreplace").decode())


def canonical_value(value: object, column: Column, zone: str | None = None) -> str | None:
    """Return the canonical value of one Python value, before what the contract declares for text.

    Args:
        value: What the store gave; ``None`` is NULL.
        column: The declared type.
        zone: The IANA time zone in which naive timestamps are to be read; without one they are unreadable.

    Returns:
        The text, an :class:`Unreadable`, or ``None`` for NULL.

    Example:
        >>> canonical_value("+007", Column(type="integer"))
        '7'
        >>> canonical_value("12.5", Column(type="decimal", scale=2))
        '1250'
        >>> canonical_value("0x10", Column(type="integer"))
        '\\x1a0x10'
    """
    if value is None:
        return None
    read = _READERS[column.type](value, column, zone)
    return Unreadable.of(value) if read is None else read


def _text(value: object, column: Column, zone: str | None) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return _digits(value)
    return str(value) if isinstance(value, uuid.UUID) else None


def _integer(value: object, column: Column, zone: str | None) -> str | None:
    if isinstance(value, int):
        return _digits(int(value))
    if isinstance(value, decimal.Decimal):  # a NUMERIC(38,0) is how some engines say "integer"
        exponent = value.as_tuple().exponent
        return _plain(value, 0) if isinstance(exponent, int) and exponent >= 0 else None
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return _normal(value)
    return None


def _boolean(value: object, column: Column, zone: str | None) -> str | None:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return "1" if value.lower() == "true" else "0"
    read = _integer(value, column, zone)
    return read if read in ("0", "1") else None


def _decimal(value: object, column: Column, zone: str | None) -> str | None:
    scale = column.scale or 0
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return _normal(_digits(value) + "0" * scale)
    if isinstance(value, decimal.Decimal):
        return _plain(value, scale)
    if isinstance(value, float):
        return _plain(decimal.Decimal(repr(value)), scale)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        whole, _, fraction = value.partition(".")
        if fraction[scale:].strip("0"):
            return None
        return _normal((whole if whole not in ("", "+", "-") else whole + "0") + fraction[:scale].ljust(scale, "0"))
    return None


def _float(value: object, column: Column, zone: str | None) -> str | None:
    if isinstance(value, str) and _FLOAT.fullmatch(value):
        number = float(value)
        if math.isinf(number) and "n" not in value.lower():  # a finite text beyond every double
            return None
    elif isinstance(value, decimal.Decimal):
        number = float(value)
        if math.isinf(number) and value.is_finite():
            return None
    elif isinstance(value, float):
        number = value
    elif isinstance(value, int) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            return None
        if int(number) != value:
            return None
    else:
        return None
    if column.exact:
        return struct.pack(">d", math.nan if math.isnan(number) else number).hex()
    if not math.isfinite(number):
        return None
    # "%.*f" rounds the exact binary value half to even (correctly rounded conversion), as the table asks.
    return _normal(f"{number:.{column.decimals or 0}f}".replace(".", ""))


def _timestamp(value: object, column: Column, zone: str | None) -> str | None:
    us = instant(value, zone)
    if us is None:
        return None
    unit = UNIT[column.unit]
    return str(us // unit * unit)


def _date(value: object, column: Column, zone: str | None) -> str | None:
    if isinstance(value, str):
        match = _DATE.fullmatch(value)
        try:
            value = dt.date(*map(int, match.groups())) if match else None
        except ValueError:
            return None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return str(value.toordinal() - EPOCH.toordinal())
    return None


def _binary(value: object, column: Column, zone: str | None) -> str | None:
    if isinstance(value, bytes):
        return value.hex()
    return value.lower() if isinstance(value, str) and _HEX.fullmatch(value) else None


def _uuid(value: object, column: Column, zone: str | None) -> str | None:
    if isinstance(value, bytes) and len(value) == 16:
        value = uuid.UUID(bytes=value)
    if isinstance(value, uuid.UUID):
        return str(value)
    return value.lower() if isinstance(value, str) and _UUID.fullmatch(value) else None


_READERS = {
    ColumnType.TEXT: _text,
    ColumnType.INTEGER: _integer,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.TIMESTAMP: _timestamp,
    ColumnType.DATE: _date,
    ColumnType.DECIMAL: _decimal,
    ColumnType.FLOAT: _float,
    ColumnType.BINARY: _binary,
    ColumnType.UUID: _uuid,
}


def instant(value: object, zone: str | None) -> int | None:
    """Return microseconds since the epoch, UTC, floored, of a timestamp or ISO 8601 text; ``None`` if unreadable."""
    if isinstance(value, dt.datetime):
        wall = (value.replace(tzinfo=None) - EPOCH) // _US
        offset = value.utcoffset()
        return localise(wall, zone) if offset is None else wall - offset // _US
    if not isinstance(value, str) or not (match := _TIMESTAMP.fullmatch(value)):
        return None
    year, month, day, hour, minute, second, fraction, offset_text = match.groups()
    try:
        moment = dt.datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0))
    except ValueError:
        return None
    wall = (moment - EPOCH) // _US + int((fraction or "")[:6].ljust(6, "0"))
    if offset_text is None:
        return localise(wall, zone)
    if offset_text in "Zz":
        return wall
    hours, minutes = int(offset_text[1:3]), int(offset_text[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        return None
    shift = (hours * 60 + minutes) * 60_000_000
    return wall + shift if offset_text[0] == "-" else wall - shift


def localise(wall: int, zone: str | None) -> int | None:
    """Return the instant of a local wall-clock time, both in microseconds; ``None`` if it is none or two instants.

    A local time that a clock change skips does not exist, one that it repeats is ambiguous: neither is guessed.
    """
    if zone is None:
        return None
    tz = ZoneInfo(zone)
    try:
        local = EPOCH + wall * _US
        offsets = {local.replace(tzinfo=tz, fold=fold).utcoffset() for fold in (0, 1)}
    except OverflowError:
        return None
    if len(offsets) != 1 or (offset := offsets.pop()) is None:
        return None
    return wall - offset // _US


def _digits(value: int) -> str:
    """Base 10 of an integer of any size (``str`` refuses more than 4,300 digits)."""
    try:
        return str(value)
    except ValueError:
        return format(decimal.Decimal(value), "f")


def _normal(digits: str) -> str:
    """Drop a plus sign and leading zeros; zero has no sign."""
    stripped = digits.lstrip("+-0") or "0"
    return "-" + stripped if digits.startswith("-") and stripped != "0" else stripped


def _plain(value: decimal.Decimal, scale: int) -> str | None:
    """The unscaled integer of a decimal at ``scale``, or ``None`` if it is finer, not finite or absurdly long."""
    if not value.is_finite():
        return None
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)  # finite
    text, shift = "".join(map(str, digits)), exponent + scale
    if not text.strip("0"):
        return "0"
    if shift > 100_000:
        return None
    if shift < 0:
        if text[shift:].strip("0"):
            return None
        text = text[:shift] or "0"
    return _normal(("-" if sign else "") + text + "0" * max(shift, 0))
