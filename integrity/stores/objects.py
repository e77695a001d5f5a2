"""How do Python values become one Arrow column?

SQL cursors, JSON lines and pandas object columns hand over Python values, and a column of them need not be of
one type. Arrow's own inference coerces (a date eats the time of a datetime, an int becomes a float) or
raises. Here a column keeps its values: one native type where all values are of one kind, a dense union where
they are not.

What is not kept as it is, because Arrow has no place for it:

- Integers beyond 64 bits become their base-10 text, and so does the rest of a column of integers and text:
  integer text reads the same as the integer, whatever a contract declares.
- Aware datetimes become instants in UTC.
- A decimal of more than 76 digits, or one like ``-0.0``, becomes the float whose shortest text it is, if
  there is one: a float reads the same as its shortest text. Else it is unreadable.
- Everything else (lists, mappings, times, text with lone surrogates, non-finite decimals, instants outside
  the years 1 to 9999) becomes ``{"unreadable": "<its repr>"}``: it stays in the data, equals nothing
  readable, and stops nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

import pyarrow as pa

__all__ = ["UNREADABLE", "arrow_column"]

#: The type of a union's member for what Arrow cannot hold: ``to_pylist()`` gives ``{"unreadable": text}``.
UNREADABLE = pa.struct([("unreadable", pa.string())])

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime.min - _EPOCH) // _MICROSECOND
_LAST = (datetime.max - _EPOCH) // _MICROSECOND
_INT64 = range(-(2**63), 2**63)
_DIGITS = 76  # what decimal256 holds

_TYPES: dict[str, pa.DataType] = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "text": pa.string(),
    "binary": pa.binary(),
    "local": pa.timestamp("us"),
    "local_ns": pa.timestamp("ns"),
    "instant": pa.timestamp("us", "UTC"),
    "instant_ns": pa.timestamp("ns", "UTC"),
    "date": pa.date32(),
    "uuid": pa.uuid(),
    "unreadable": UNREADABLE,
}

#: A kind (a key of ``_TYPES``, or "digits" or "decimal", which are settled by the whole column) and what
#: Arrow takes for it.
_Read: TypeAlias = tuple[str, Any]


def arrow_column(values: Sequence[object]) -> pa.Array[Any]:
    """Return the values as one Arrow array. Never raises for what they are.

    ``None`` and pandas' ``NA`` and ``NaT`` are NULL; a float NaN stays a float.

    Example:
        >>> arrow_column([1, None]).type, arrow_column([2**64, "a"]).to_pylist()
        (DataType(int64), ['18446744073709551616', 'a'])
        >>> arrow_column([1, 1.5, [2]]).to_pylist()
        [1, 1.5, {'unreadable': '[2]'}]
    """
    classes = set(map(type, values))
    classes.discard(type(None))
    if not classes:
        return pa.nulls(len(values))
    if len(classes) == 1 and (build := _AT_ONCE.get(next(iter(classes)))) is not None:
        try:
            return build(values)
        except (pa.ArrowException, ArithmeticError, TypeError, ValueError):
            pass  # some value does not fit: look at each
    return _one_by_one(values)


def _array(values: Sequence[Any], arrow_type: pa.DataType) -> pa.Array[Any]:
    array = pa.array(values, arrow_type)
    if isinstance(array, pa.ChunkedArray):  # more than 2 GiB, which 32-bit offsets cannot reach
        array = pa.array(values, pa.large_string() if pa.types.is_string(arrow_type) else pa.large_binary())
    return array


def _datetimes(values: Sequence[Any]) -> pa.Array[Any]:
    zones = {id(value.tzinfo): value.tzinfo for value in values if value is not None}
    zone, *others = zones.values()
    if not others and zone is None:
        return pa.array(values, _TYPES["local"])
    if not others and isinstance(zone, (timezone, ZoneInfo)) and zone.utcoffset(None) == timedelta(0):
        return pa.array(values, _TYPES["instant"])
    # Mixed, or in zones whose offsets pyarrow would cut to whole seconds.
    raise TypeError("to be looked at one by one")


def _decimals_at_once(values: Sequence[Any]) -> pa.Array[Any]:
    zeros = [value for value in values if value is not None and not value]
    if any(zero.is_signed() for zero in zeros):
        raise TypeError("to be looked at one by one")  # Arrow's decimals have no minus zero
    array: pa.Array[Any] = pa.array(values)
    return array


#: For columns of exactly one class: the whole column in one call, or an exception.
_AT_ONCE: dict[type, Callable[[Sequence[Any]], pa.Array[Any]]] = {
    bool: lambda values: pa.array(values, pa.bool_()),
    int: lambda values: pa.array(values, pa.int64()),
    float: lambda values: pa.array(values, pa.float64()),
    str: lambda values: _array(values, pa.string()),
    bytes: lambda values: _array(values, pa.binary()),
    date: lambda values: pa.array(values, pa.date32()),
    datetime: _datetimes,
    Decimal: _decimals_at_once,
    UUID: lambda values: pa.array(values, pa.uuid()),
}


def _one_by_one(values: Sequence[object]) -> pa.Array[Any]:
    readers: dict[type, Callable[[Any], _Read]] = {}
    read: list[_Read] = []
    for value in values:
        cls = type(value)
        try:
            reader = readers.get(cls)
            if reader is None:
                reader = readers[cls] = _reader(cls)
            read.append(reader(value))
        except Exception:  # a class of someone else may raise anything
            read.append(_unreadable(value))
    read, types = _settled(read)
    kinds = types.keys() - {"null"}
    if len(kinds) == 1 and kinds != {"unreadable"}:
        kind = kinds.pop()
        return _typed([plain for _, plain in read], types[kind])
    return _union(read, types)


def _settled(read: list[_Read]) -> tuple[list[_Read], dict[str, pa.DataType]]:
    """Settle what depends on the whole column; return the values and the Arrow type of each kind."""
    kinds = {kind for kind, _ in read}
    if "digits" in kinds or {"integer", "text"} <= kinds:
        # Not in a wider mixture: there an integer can stay one.
        as_text = {"digits", "integer"} if kinds <= {"digits", "integer", "text", "null"} else {"digits"}
        read = [("text", _base_ten(plain)) if kind in as_text else (kind, plain) for kind, plain in read]
    for coarse, fine in (("local", "local_ns"), ("instant", "instant_ns")):
        if fine in kinds and all(plain * 1000 in _INT64 for kind, plain in read if kind == coarse):
            read = [(fine, plain * 1000) if kind == coarse else (kind, plain) for kind, plain in read]
    types = {kind: _TYPES[kind] for kind, _ in read if kind != "decimal"}
    if "decimal" in kinds:
        read = _decimals(read, types)
    return read, types


def _decimals(read: list[_Read], types: dict[str, pa.DataType]) -> list[_Read]:
    """Give the decimals one Arrow type if one holds them all, else one for each scale."""
    sizes = [_size(plain) for kind, plain in read if kind == "decimal"]
    scale = max(scale for _, scale in sizes)
    precision = max(whole for whole, _ in sizes) + scale
    if precision <= _DIGITS:
        types["decimal"] = (pa.decimal128 if precision <= 38 else pa.decimal256)(max(precision, 1), scale)
        return read
    settled = []
    for kind, plain in read:
        if kind == "decimal":
            scale = _size(plain)[1]
            kind = f"decimal {scale}"
            types[kind] = pa.decimal256(_DIGITS, scale)
        settled.append((kind, plain))
    return settled


def _typed(plains: list[Any], arrow_type: pa.DataType) -> pa.Array[Any]:
    if pa.types.is_timestamp(arrow_type):
        return pa.array(plains, pa.int64()).cast(arrow_type)
    return _array(plains, arrow_type)


def _union(read: list[_Read], types: dict[str, pa.DataType]) -> pa.Array[Any]:
    """Return a dense union: the members side by side, and for each value its member and place there."""
    codes = {kind: code for code, kind in enumerate(types)}
    members: dict[str, list[Any]] = defaultdict(list)
    offsets = []
    for kind, plain in read:
        member = members[kind]
        offsets.append(len(member))
        member.append(plain)
    return pa.UnionArray.from_dense(
        pa.array([codes[kind] for kind, _ in read], pa.int8()),
        pa.array(offsets, pa.int32()),
        [_typed(members[kind], arrow_type) for kind, arrow_type in types.items()],
        list(types),
    )


# One reader for each class: from a value to its kind and to what Arrow takes for it.


def _reader(cls: type) -> Callable[[Any], _Read]:
    for known, reader in _READERS:
        if issubclass(cls, known):
            return reader
    if cls.__module__.partition(".")[0] == "pandas" and cls.__name__ == "NAType":
        return _null
    if cls.__module__ == "numpy" and hasattr(cls, "item"):
        return _numpy
    return _unreadable


def _null(value: object) -> _Read:
    return "null", None


def _integer(value: int) -> _Read:
    plain = int.__int__(value)
    return ("integer" if plain in _INT64 else "digits"), plain


def _base_ten(plain: int | str) -> str:
    # str(int) refuses more than 4300 digits, and takes a time that grows with their square; Decimal does
    # neither.
    return plain if isinstance(plain, str) else str(Decimal(plain))


def _text(value: str) -> _Read:
    plain = str.__str__(value)
    plain.encode()  # lone surrogates raise
    return "text", plain


def _datetime(value: datetime) -> _Read:
    if type(value).__name__ == "NaTType":  # pandas' NULL is a datetime
        return _null(value)
    offset = value.utcoffset()
    # Field by field: the arithmetic of pandas' Timestamps is not that of datetimes.
    clock = datetime(value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    microseconds = (clock - _EPOCH) // _MICROSECOND - (0 if offset is None else offset // _MICROSECOND)
    if not _FIRST <= microseconds <= _LAST:
        return _unreadable(value)
    kind = "local" if offset is None else "instant"
    nanosecond = getattr(value, "nanosecond", 0)
    return (f"{kind}_ns", microseconds * 1000 + nanosecond) if nanosecond else (kind, microseconds)


def _decimal(value: Decimal) -> _Read:
    value = Decimal(value)
    if not value.is_finite():
        return _unreadable(value)
    whole, scale = _size(value)
    sign, digits, exponent = value.as_tuple()
    if not value:
        return ("float", -0.0) if sign and scale else ("decimal", Decimal(0))
    if whole + scale <= _DIGITS:
        return "decimal", value
    significant = "".join(map(str, digits)).rstrip("0")
    shorter = Decimal(f"{'-' * sign}{significant}E{int(exponent) + len(digits) - len(significant)}")
    if sum(_size(shorter)) <= _DIGITS:
        return "decimal", shorter
    near = float(value)
    return ("float", near) if Decimal(repr(near)) == value else _unreadable(value)


def _size(value: Decimal) -> tuple[int, int]:
    """Return how many digits a decimal needs before and after its point."""
    _, digits, exponent = value.as_tuple()
    exponent = int(exponent)  # a letter only where the value is not finite
    return max(len(digits) + exponent, 0), max(-exponent, 0)


def _numpy(value: Any) -> _Read:
    plain = value.item()
    if isinstance(plain, int) and value.dtype.kind == "M":  # a datetime64 too fine for Python
        unit = value.dtype.name
        if unit != "datetime64[ns]":
            return _unreadable(value)
        return ("local_ns", plain) if plain % 1000 else ("local", plain // 1000)
    if type(plain).__module__ == "numpy":  # a long double: its item is itself
        return _unreadable(value)
    return _reader(type(plain))(plain)


def _unreadable(value: object) -> _Read:
    try:
        text = repr(value).encode(errors="backslashreplace").decode()
    except Exception:  # so may its repr
        text = f"<{type(value).__module__}.{type(value).__qualname__}>"
    return "unreadable", {"unreadable": text}


#: In this order: a bool is an int and a datetime is a date.
_READERS: tuple[tuple[type | tuple[type, ...], Callable[[Any], _Read]], ...] = (
    (type(None), _null),
    (bool, lambda value: ("boolean", value)),
    (int, _integer),
    (float, lambda value: ("float", float.__float__(value))),
    (str, _text),
    ((bytes, bytearray, memoryview), lambda value: ("binary", bytes(value))),
    (datetime, _datetime),
    (date, lambda value: ("date", date(value.year, value.month, value.day))),
    (Decimal, _decimal),
    (UUID, lambda value: ("uuid", UUID(int=value.int))),
)
