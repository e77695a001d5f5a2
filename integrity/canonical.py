"""What is the one text of this item, in every engine?

Canonical encoding, version 1: the values joined by U+001F, then their UTF-8 octet lengths joined by U+001F, ``-`` for
NULL. It is injective, because the lengths are read from the right (they hold no U+001F) and the values by their lengths
from the left.

Columns are read in bulk by Polars where they are in a common form; the few values that are not go one by one through
:func:`integrity.values.canonical_value`, which says the same. Here is no hashing and no batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa

from integrity.columns import Column, ColumnType
from integrity.errors import StoreError
from integrity.timestamps import hide, localised, micros_of, parsed, scatter
from integrity.values import UNIT, UNREADABLE, Unreadable, canonical_value, instant

__all__ = [
    "ENCODING_VERSION",
    "Values",
    "check_readable",
    "declared",
    "encode",
    "flat",
    "read",
    "read_instants",
    "shown",
]

ENCODING_VERSION = 1
SEPARATOR = "\x1f"
_NUMBERS = pl.Series([str(i) for i in range(4096)], dtype=pl.String)
_TRIMMED = " \t\n\v\f\r"  # U+0020 and U+0009-000D; str.strip() would take more, Polars' default others


@dataclass(frozen=True, slots=True)
class Values:
    """One column, read.

    Attributes:
        text: Canonical values; null for NULL; U+001A and the raw text for the unreadable.
        unreadable: Which ones could not be read; ``None`` if all could.
        instants: For timestamps, microseconds since the epoch; null where NULL or unreadable.
    """

    text: pl.Series
    unreadable: pl.Series | None = None
    instants: pl.Series | None = None


def encode(values: Sequence[pl.Series]) -> pl.Series:
    """Return the canonical text of each row.

    Args:
        values: One series of canonical values a column, in the order of the encoding.

    Example:
        >>> encode([pl.Series(["a", None]), pl.Series(["bc", ""])]).to_list() == [
        ...     "a\\x1fbc\\x1f1\\x1f2", "\\x1f\\x1f-\\x1f0"]
        True
    """
    texts, lengths = [], []
    for i, series in enumerate(values):
        length = _length(series)
        if series.null_count():
            series, length = series.fill_null(""), length.fill_null("-")
        texts.append(series.alias(f"v{i}"))
        lengths.append(length.alias(f"l{i}"))
    return pl.DataFrame([*texts, *lengths]).select(pl.concat_str(pl.all(), separator=SEPARATOR)).to_series()


def _length(text: pl.Series) -> pl.Series:
    """UTF-8 octets of each value, as text. Most values are short, and a look-up is faster than writing numbers out."""
    octets = text.str.len_bytes()
    longest = octets.max()
    if isinstance(longest, int) and longest < len(_NUMBERS):
        return _NUMBERS.gather(octets)
    return octets.cast(pl.String)


def read(array: pa.Array[Any], column: Column, zone: str | None = None) -> Values:
    """Read one physical column as its declared type.

    Args:
        array: What a store yielded.
        column: The declared type.
        zone: The time zone in which naive timestamps are to be read.
    """
    if column.type is ColumnType.TIMESTAMP:
        return read_instants(array, column, zone)
    array = flat(array)
    kind = _kind(array.type)
    reader = _BULK.get((column.type, kind))
    if reader is None:
        values = _one_by_one(array, column, zone)
    else:
        fast, good = reader(array, column)
        values = _blend(array, column, zone, fast, good)
    if column.type is ColumnType.TEXT:
        values = Values(declared(values.text, column), values.unreadable)
    return values


def read_instants(array: pa.Array[Any], column: Column, zone: str | None = None) -> Values:
    """Read a timestamp column; the result carries the instants too."""
    array = flat(array)
    kind = _kind(array.type)
    if kind == "timestamp":
        us = micros_of(array)
        if array.type.tz is None:
            us = localised(us, zone)
    elif kind == "text":
        us = parsed(_polars(array), zone)
    else:
        us = pl.Series([None if v is None else instant(v, zone) for v in array.to_pylist()], dtype=pl.Int64)
    unit = UNIT[column.unit]
    if unit > 1:
        us = us // unit * unit  # floor, also before 1970
    text = us.cast(pl.String)
    if us.null_count() == array.null_count:
        return Values(text, None, us)
    unreadable = us.is_null() & ~_nulls(array)
    return Values(scatter(text, unreadable, _raw(array, unreadable)), unreadable, us)


def shown(text: pl.Series, column: Column) -> pl.Series:
    """Return canonical values as a person writes them: ISO 8601, a decimal point; the unreadable as they were."""
    if column.type is ColumnType.TIMESTAMP:
        us = text.str.to_integer(strict=False, dtype=pl.Int64)
        person = us.cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    elif column.type is ColumnType.DATE:
        person = text.str.to_integer(strict=False, dtype=pl.Int32).cast(pl.Date).cast(pl.String)
    elif places := column.scale or column.decimals or 0:
        padded = text.str.replace(r"^(-?)([0-9]+)$", "${1}" + "0" * places + "${2}")  # "$10" is a tenth group
        person = padded.str.replace(rf"^(-?)0*?([0-9]+)([0-9]{{{places}}})$", "$1$2.$3").str.replace(
            r"^(-?)0+([0-9])", "$1$2"
        )
    else:
        return text.str.strip_prefix(UNREADABLE)
    return text.str.strip_prefix(UNREADABLE).zip_with(text.str.starts_with(UNREADABLE).fill_null(True), person)


def check_readable(type_: pa.DataType, column: Column, name: str, where: str, zone: str | None) -> None:
    """Refuse, before anything is read, a typed column of which no value can be read as declared.

    Raises:
        StoreError: naming the column, both types and the way out.
    """
    kind = _kind(type_.value_type if isinstance(type_, pa.DictionaryType) else type_)
    if (
        isinstance(type_, pa.TimestampType)
        and type_.tz is None
        and column.type is ColumnType.TIMESTAMP
        and zone is None
    ):
        raise StoreError(
            f"column {name!r} of {where} holds naive timestamps, which are no instants",
            "say in which time zone they were written: timezone={side: 'Asia/Seoul'} or --timezone SIDE=UTC",
        )
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        raise StoreError(
            f"column {name!r} of {where} holds several values a row",
            "only the source of a contract with fan_out: may do so; of mail, leave by=envelope out",
        )
    if kind not in ("null", "mixed") and kind not in _READS[column.type]:
        raise StoreError(
            f"column {name!r} of {where} is declared {column.type.value} but holds {type_}, which never reads as that",
            "correct the type in the contract, or cast the column in a view",
        )


# --- which physical kinds read as which declared type -----------------------------------------------------------------

_READS: dict[ColumnType, frozenset[str]] = {
    ColumnType.TEXT: frozenset({"text", "integer", "uuid"}),
    ColumnType.INTEGER: frozenset({"integer", "boolean", "text", "decimal"}),
    ColumnType.BOOLEAN: frozenset({"boolean", "integer", "text"}),
    ColumnType.TIMESTAMP: frozenset({"timestamp", "text"}),
    ColumnType.DATE: frozenset({"date", "text"}),
    ColumnType.DECIMAL: frozenset({"decimal", "integer", "text", "float"}),
    ColumnType.FLOAT: frozenset({"float", "integer", "text", "decimal"}),
    ColumnType.BINARY: frozenset({"binary", "text"}),
    ColumnType.UUID: frozenset({"uuid", "text", "binary"}),
}


def _kind(type_: pa.DataType) -> str:
    t = pa.types
    if t.is_null(type_):
        return "null"
    if t.is_string(type_) or t.is_large_string(type_) or t.is_string_view(type_):
        return "text"
    if t.is_integer(type_):
        return "integer"
    if t.is_boolean(type_):
        return "boolean"
    if t.is_timestamp(type_):
        return "timestamp"
    if t.is_date(type_):
        return "date"
    if t.is_decimal(type_):
        return "decimal"
    if t.is_floating(type_):
        return "float"
    if isinstance(type_, pa.UuidType):
        return "uuid"
    if t.is_binary(type_) or t.is_large_binary(type_) or t.is_binary_view(type_) or t.is_fixed_size_binary(type_):
        return "binary"
    return "mixed" if t.is_union(type_) else type_.__class__.__name__


_WITHOUT_VIEWS = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}


def flat(array: pa.Array[Any]) -> pa.Array[Any]:
    """One contiguous array, without dictionaries and views, of which Arrow can take rows."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    plain = _WITHOUT_VIEWS.get(array.type)
    return array if plain is None else array.cast(plain)


def _polars(array: pa.Array[Any]) -> pl.Series:
    series = pl.from_arrow(array)
    assert isinstance(series, pl.Series)
    return series


def _nulls(array: pa.Array[Any]) -> pl.Series:
    if pa.types.is_union(array.type):  # a union has no validity of its own: its members have
        return pl.Series([value is None for value in array.to_pylist()], dtype=pl.Boolean)
    return _polars(array.is_null())


# --- the slow path, and how the two are joined ------------------------------------------------------------------------


def _one_by_one(array: pa.Array[Any], column: Column, zone: str | None) -> Values:
    if pa.types.is_null(array.type):
        return Values(pl.Series([None] * len(array), dtype=pl.String))
    values = _pylist(array)
    if column.type is ColumnType.DECIMAL and array.type in (pa.float32(), pa.float16()):
        # The shortest text of a narrow float is that of its own width: 0.1 is not 0.10000000149011612.
        narrow = array.type.to_pandas_dtype()
        values = [None if value is None else Decimal(str(narrow(value))) for value in values]
    read_values = [canonical_value(value, column, zone) for value in values]
    unreadable = [isinstance(value, Unreadable) for value in read_values]
    text = pl.Series([None if value is None else str(value) for value in read_values], dtype=pl.String)
    return Values(text, pl.Series(unreadable, dtype=pl.Boolean) if any(unreadable) else None)


def _blend(array: pa.Array[Any], column: Column, zone: str | None, fast: pl.Series, good: pl.Series | None) -> Values:
    """Take ``fast`` where ``good`` (or null, for NULL) and read the other rows one by one."""
    if good is None or (rest := ~good.fill_null(True)).sum() == 0:
        return Values(fast)
    slow = _one_by_one(array.take(pa.array(rest.arg_true().to_numpy())), column, zone)
    text = scatter(fast, rest, slow.text)
    if slow.unreadable is None:
        return Values(text)
    unreadable = pl.Series(np.zeros(len(array), dtype=bool))
    return Values(text, unreadable.scatter(rest.arg_true(), slow.unreadable))


def _raw(array: pa.Array[Any], where: pl.Series) -> pl.Series:
    """The raw text of some rows, marked as unreadable."""
    rows = array.take(pa.array(where.arg_true().to_numpy()))
    return pl.Series([str(Unreadable.of(value)) for value in _pylist(rows)], dtype=pl.String)


def _pylist(array: pa.Array[Any]) -> list[object]:
    try:
        return list(array.to_pylist())
    except (ValueError, OverflowError):  # a timestamp beyond Python's years
        return list(array.cast(pa.string()).to_pylist())


# --- bulk readers: the values of the rows in common form, and which rows those are (None: all) ------------------------

_Bulk: TypeAlias = "Callable[[pa.Array[Any], Column], tuple[pl.Series, pl.Series | None]]"


def _bulk_text(array: pa.Array[Any], column: Column) -> tuple[pl.Series, pl.Series | None]:
    return _polars(array).cast(pl.String), None


def _bulk_integer_text(array: pa.Array[Any], column: Column) -> tuple[pl.Series, pl.Series | None]:
    text = _polars(array)
    return text, text.str.contains(r"^(?:0|-?[1-9][0-9]*)$")


def _bulk_integer(array: pa.Array[Any], column: Column) -> tuple[pl.Series, pl.Series | None]:
    series = _polars(array)
    if series.dtype == pl.Boolean:
        series = series.cast(pl.Int8)
    text = series.cast(pl.String)
    return text, series.is_in([0, 1]) if column.type is ColumnType.BOOLEAN else None


def _bulk_date(array: pa.Array[Any], column: Column) -> tuple[pl.Series, pl.Series | None]:
    return _polars(array.cast(pa.date32())).to_physical().cast(pl.String), None


def _bulk_date_text(array: pa.Array[Any], column: Column) -> tuple[pl.Series, pl.Series | None]:
    text = _polars(array)
    days = text.str.to_date("%Y-%m-%d", strict=False).to_physical().cast(pl.String)
    shaped = text.str.contains("^[0-9]{4}-[0-9]{2}-[0-9]{2}$") & ~text.str.starts_with("0000")  # no year of Python's
    return days, shaped & days.is_not_null()


def _bulk_decimal(array: pa.Array[Any], column: Column) -> tuple[pl.Series, pl.Series | None]:
    if pa.types.is_integer(array.type):
        return _decimal_of(_polars(array).cast(pl.String), "", column.scale or 0)
    wide = array.type.bit_width > 128 or array.type.scale < 0  # Polars' decimals end at 38 digits
    text = _polars(array.cast(pa.string())) if wide else _polars(array).cast(pl.String)
    return _decimal_of(text, "." if array.type.scale > 0 else "", column.scale or 0)


def _bulk_decimal_text(array: pa.Array[Any], column: Column) -> tuple[pl.Series, pl.Series | None]:
    return _decimal_of(_polars(array), ".", column.scale or 0)


def _decimal_of(text: pl.Series, point: str, scale: int) -> tuple[pl.Series, pl.Series | None]:
    """Unscaled integers of decimal texts that have at most ``scale`` digits behind the point, and one before it."""
    pattern = r"^-?[0-9]+$" if not point or not scale else rf"^-?[0-9]+\.[0-9]{{1,{scale}}}$"
    good = text.str.contains(pattern)
    whole_and_fraction = text.str.split_exact(".", 1).struct.unnest()
    fraction = whole_and_fraction["field_1"].fill_null("").str.pad_end(scale, "0")
    digits = pl.DataFrame([whole_and_fraction["field_0"], fraction.alias("f")]).select(
        pl.concat_str("field_0", "f").str.replace(r"^(-?)0+([0-9])", "$1$2").replace("-0", "0")
    )
    return digits.to_series(), good


def _bulk_float(array: pa.Array[Any], column: Column) -> tuple[pl.Series, pl.Series | None]:
    series = _polars(array.cast(pa.float64()))
    if not column.exact:
        places = column.decimals or 0
        finite = series.is_finite()
        texts = [f"{v:.{places}f}" if ok else None for v, ok in zip(series.to_list(), finite.to_list(), strict=True)]
        text = pl.Series(texts, dtype=pl.String).str.replace(".", "", literal=True)
        return text.str.replace(r"^(-?)0+([0-9])", "$1$2").replace("-0", "0"), finite
    bits = np.where(series.is_nan().fill_null(False).to_numpy(), np.nan, series.fill_null(0.0).to_numpy())
    words = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(8), len(bits), [None, pa.py_buffer(bits.astype(">f8").tobytes())]
    )
    text = _polars(words.cast(pa.binary())).bin.encode("hex")
    return hide(text, series.is_null()), None


def _bulk_binary(array: pa.Array[Any], column: Column) -> tuple[pl.Series, pl.Series | None]:
    return _polars(array.cast(pa.large_binary())).bin.encode("hex"), None


def _bulk_uuid_text(array: pa.Array[Any], column: Column) -> tuple[pl.Series, pl.Series | None]:
    text = _polars(array)
    return text, text.str.contains("^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$")


def _bulk_uuid(array: pa.Array[Any], column: Column) -> tuple[pl.Series, pl.Series | None]:
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    raw = _polars(array.cast(pa.large_binary()))
    text = raw.bin.encode("hex").str.replace("^(.{8})(.{4})(.{4})(.{4})(.{12})$", "$1-$2-$3-$4-$5")
    return text, raw.bin.size() == 16


_BULK: dict[tuple[ColumnType, str], _Bulk] = {
    (ColumnType.TEXT, "text"): _bulk_text,
    (ColumnType.TEXT, "integer"): _bulk_text,
    (ColumnType.TEXT, "uuid"): _bulk_uuid,
    (ColumnType.INTEGER, "text"): _bulk_integer_text,
    (ColumnType.INTEGER, "integer"): _bulk_integer,
    (ColumnType.INTEGER, "boolean"): _bulk_integer,
    (ColumnType.BOOLEAN, "integer"): _bulk_integer,
    (ColumnType.BOOLEAN, "boolean"): _bulk_integer,
    (ColumnType.DATE, "date"): _bulk_date,
    (ColumnType.DATE, "text"): _bulk_date_text,
    (ColumnType.DECIMAL, "decimal"): _bulk_decimal,
    (ColumnType.DECIMAL, "integer"): _bulk_decimal,
    (ColumnType.DECIMAL, "text"): _bulk_decimal_text,
    (ColumnType.FLOAT, "float"): _bulk_float,
    (ColumnType.BINARY, "binary"): _bulk_binary,
    (ColumnType.UUID, "text"): _bulk_uuid_text,
    (ColumnType.UUID, "uuid"): _bulk_uuid,
    (ColumnType.UUID, "binary"): _bulk_uuid,
}


def declared(text: pl.Series, column: Column) -> pl.Series:
    """What the contract declares for text, in the encoding's order. Unreadable values pass through it, too."""
    if column.unicode == "NFC":
        text = text.str.normalize("NFC")
    if column.newline == "lf":
        text = text.str.replace_all("\r\n", "\n", literal=True).str.replace_all("\r", "\n", literal=True)
    if column.trim:
        text = text.str.strip_chars(_TRIMMED)
    if column.casefold:  # full Unicode case folding is Python's; lower-casing is the same for ASCII only
        ascii_only = text.str.len_bytes() == text.str.len_chars()
        rest = ~ascii_only.fill_null(True)
        folded = text.str.to_lowercase()
        if rest.any():
            slow = pl.Series([value.casefold() for value in text.filter(rest).to_list()], dtype=pl.String)
            folded = scatter(folded, rest, slow)
        text = folded
    return text
