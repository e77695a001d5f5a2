"""What is the canonical text of a column, in SQL?

The same text as :mod:`integrity.canonical` writes, spelled for each dialect that can: NULL stays NULL, and a value that
this dialect cannot write out exactly becomes NULL, too, which tells it from the others because the column itself is
not. A column whose own type is not the declared one, and what a dialect cannot do, is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from integrity.columns import Column, ColumnType
from integrity.errors import PushdownError
from integrity.stores.base import Field
from integrity.stores.sql_types import Kind, SqlType
from integrity.timestamps import fixed_offset
from integrity.values import CALENDAR, UNIT

__all__ = [
    "DIALECTS",
    "Digest",
    "Exact",
    "Reading",
    "Total",
    "Word",
    "encoded",
    "exact",
    "floored",
    "reading",
    "whole_number",
]

#: Whose SQL is known here.
DIALECTS = ("postgresql", "mysql", "mariadb", "duckdb")
#: MySQL stores the 31st of February, and the year 0, where its mode lets it.
_REAL_DAY = "{0} >= '0001-01-01' AND DAY({0}) <= DAY(LAST_DAY({0}))"
_TRIMMED = " \t\n\v\f\r"
#: PostgreSQL's functions take at most a hundred arguments.
_JOINED = 90


class _Spelled(FunctionElement[Any]):
    """A function that each dialect spells in its own way; ``{0}`` is its first argument."""

    inherit_cache = True
    spelled: ClassVar[dict[str, str]] = {}


@compiles(_Spelled)
def _spell(element: _Spelled, compiler: Any, **options: Any) -> str:
    dialect = compiler.dialect.name
    template = element.spelled.get("mysql" if dialect == "mariadb" else dialect)
    if template is None:
        raise PushdownError(f"{dialect} cannot compute {type(element).__name__}", "pull the rows")
    return template.format(*(compiler.process(argument, **options) for argument in element.clauses))


class _Text(_Spelled):
    """A value as text, in UTF-8 whatever the column's own character set."""

    inherit_cache = True
    type = sa.Text()
    spelled: ClassVar = {
        "postgresql": "CAST({0} AS TEXT)",
        "mysql": "CONVERT({0} USING utf8mb4)",
        "duckdb": "CAST({0} AS VARCHAR)",
    }


class _Digits(_Spelled):
    """A number (or UUID) as text."""

    inherit_cache = True
    type = sa.Text()
    spelled: ClassVar = _Text.spelled | {"mysql": "CAST({0} AS CHAR CHARACTER SET utf8mb4)"}


class _Octets(_Spelled):
    """The length of a text in UTF-8."""

    inherit_cache = True
    type = sa.BigInteger()
    spelled: ClassVar = {
        "postgresql": "octet_length({0})",  # of a server whose own encoding is UTF-8
        "mysql": "LENGTH({0})",  # of what _Text made UTF-8
        "duckdb": "strlen({0})",
    }


class _Micros(_Spelled):
    """Microseconds from the epoch to a timestamp."""

    inherit_cache = True
    type = sa.BigInteger()
    spelled: ClassVar = {
        "postgresql": "CASE WHEN {0} >= '0001-01-01' AND {0} < '10000-01-01' "
        "THEN CAST(EXTRACT(EPOCH FROM {0}) * 1000000 AS BIGINT) END",
        "mysql": f"CASE WHEN {_REAL_DAY} THEN TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', {{0}}) END",
        "duckdb": f"CASE WHEN isfinite({{0}}) AND epoch_us({{0}}) BETWEEN {CALENDAR[0]} AND {CALENDAR[1]} "
        "THEN epoch_us({0}) END",
    }


class _Days(_Spelled):
    """Days from the epoch to a date."""

    inherit_cache = True
    type = sa.BigInteger()
    spelled: ClassVar = {
        "postgresql": "CASE WHEN {0} >= '0001-01-01' AND {0} < '10000-01-01' THEN {0} - DATE '1970-01-01' END",
        "mysql": f"CASE WHEN {_REAL_DAY} THEN DATEDIFF({{0}}, '1970-01-01') END",
        "duckdb": "CASE WHEN isfinite({0}) AND date_diff('day', DATE '1970-01-01', {0}) BETWEEN -719162 AND 2932896 "
        "THEN date_diff('day', DATE '1970-01-01', {0}) END",
    }


class _Hex(_Spelled):
    """Octets in lower-case hexadecimal."""

    inherit_cache = True
    type = sa.Text()
    spelled: ClassVar = {
        "postgresql": "encode({0}, 'hex')",
        "mysql": "CONVERT(LOWER(HEX({0})) USING utf8mb4)",
        "duckdb": "lower(hex({0}))",
    }


class _Unscaled(_Spelled):
    """A decimal without its point, as a whole number; the second argument is ten to the power of its places."""

    inherit_cache = True
    type = sa.Numeric()
    spelled: ClassVar = {
        "postgresql": "CASE WHEN {0} NOT IN ('NaN', 'Infinity', '-Infinity') AND {0} * {1} = trunc({0} * {1}) "
        "THEN trunc({0} * {1}) END",
        "mysql": "CASE WHEN {0} * {1} = TRUNCATE({0} * {1}, 0) THEN TRUNCATE({0} * {1}, 0) END",
        "duckdb": "CASE WHEN CAST({0} AS DECIMAL(38, {2})) * {1} = trunc(CAST({0} AS DECIMAL(38, {2})) * {1}) "
        "THEN CAST(CAST({0} AS DECIMAL(38, {2})) * {1} AS HUGEINT) END",
    }


class Digest(_Spelled):
    """SHA-256 of a text in UTF-8, as hexadecimal text."""

    inherit_cache = True
    type = sa.Text()
    spelled: ClassVar = {
        "postgresql": "encode(sha256(convert_to({0}, 'UTF8')), 'hex')",
        "mysql": "SHA2({0}, 256)",
        "duckdb": "sha256({0})",
    }


class Word(_Spelled):
    """Sixteen hexadecimal digits as a 64-bit word; where there are no unsigned ones, modulo two to the 64."""

    inherit_cache = True
    type = sa.Numeric()
    spelled: ClassVar = {
        "postgresql": "CAST(CAST('x' || substr({0}, {1}, 16) AS BIT(64)) AS BIGINT)",
        "mysql": "CAST(CONV(SUBSTR({0}, {1}, 16), 16, 10) AS UNSIGNED)",
        "duckdb": "CAST('0x' || substr({0}, {1}, 16) AS UBIGINT)",
    }


class Total(_Spelled):
    """The exact sum of whole numbers, as text."""

    inherit_cache = True
    type = sa.Text()
    spelled: ClassVar = {
        "postgresql": "CAST(sum({0}) AS TEXT)",
        "mysql": "CAST(SUM({0}) AS CHAR)",
        "duckdb": "CAST(sum({0}) AS VARCHAR)",
    }


class _Joined(_Spelled):
    """Texts joined by U+001F."""

    inherit_cache = True
    type = sa.Text()


@compiles(_Joined)
def _join(element: _Joined, compiler: Any, **options: Any) -> str:
    separator = "CHAR(31 USING utf8mb4)" if compiler.dialect.name in ("mysql", "mariadb") else "chr(31)"
    parts = [compiler.process(argument, **options) for argument in element.clauses]
    return f"concat_ws({', '.join([separator, *parts])})"


class Exact(_Spelled):
    """A text that is told from others by its octets, whatever the collation. In MySQL, where all collations but a few
    ignore trailing blanks, it is their hexadecimal form."""

    inherit_cache = True
    type = sa.Text()
    spelled: ClassVar = {
        "postgresql": '{0} COLLATE "C"',
        "mysql": "HEX(CONVERT({0} USING utf8mb4))",
        "duckdb": "{0} COLLATE C",
    }


def exact(value: str, dialect: str) -> str:
    """Return a value as ``Exact`` shows it."""
    return value.encode().hex().upper() if dialect in ("mysql", "mariadb") else value


def encoded(texts: Sequence[sa.ColumnElement[Any]], wide: Sequence[bool]) -> sa.ColumnElement[Any]:
    """Return the canonical text of an item: its values, and then their lengths in UTF-8.

    Args:
        texts: The values.
        wide: Which of them may hold more than ASCII.
    """
    lengths = [_Octets(t) if w else sa.func.length(t) for t, w in zip(texts, wide, strict=True)]
    empty: sa.ColumnElement[Any] = sa.literal_column("''")
    null: sa.ColumnElement[Any] = sa.literal_column("'-'")
    parts: list[sa.ColumnElement[Any]] = [sa.func.coalesce(text, empty) for text in texts]
    parts += [sa.func.coalesce(_Digits(length), null) for length in lengths]
    while len(parts) > _JOINED:
        parts = [_Joined(*parts[i : i + _JOINED]) for i in range(0, len(parts), _JOINED)]
    return _Joined(*parts)


def floored(number: sa.ColumnElement[Any], step: int) -> sa.ColumnElement[Any]:
    """Return the largest multiple of ``step`` that is not above a whole number, which may be negative."""
    if step == 1:
        return number
    size: sa.ColumnElement[Any] = sa.literal_column(str(step))
    return number - ((number % size + size) % size)


@dataclass(frozen=True, slots=True)
class Reading:
    """How one column reads in SQL.

    Attributes:
        raw: The column itself.
        text: Its canonical value; NULL where it is NULL or cannot be written out exactly.
        wide: Whether that text may hold more than ASCII, so that its octets have to be counted as UTF-8.
        sure: Whether every value has a text, so that none need be looked for that has not.
        number: A timestamp's microseconds, an integer, a decimal's unscaled integer.
    """

    raw: sa.ColumnElement[Any]
    text: sa.ColumnElement[Any]
    wide: bool = False
    sure: bool = False
    number: sa.ColumnElement[Any] | None = None


def reading(field: Field, type_: SqlType, where: str, dialect: str, zone: str | None) -> Reading:
    """Return how a column reads as declared.

    Args:
        field: The column and its declaration.
        type_: Its own type.
        where: Of which table it is, for messages.
        dialect: Whose SQL it has to be.
        zone: How naive timestamps are to be read.

    Raises:
        PushdownError: this dialect cannot read it to the last bit.
    """
    column = field.column
    raw: sa.ColumnElement[Any] = sa.column(field.theirs)
    may = _refusal(column, type_, dialect, zone)
    if may:
        raise PushdownError(f"column {field.theirs!r} of {where} is {type_.called}, {may}", "pull the rows")
    sure = dialect not in ("mysql", "mariadb")  # where a text longer than max_allowed_packet is NULL
    match column.type:
        case ColumnType.TEXT if type_.kind is Kind.TEXT:
            text = _declared(_Text(raw), column)
            return Reading(raw, text, wide=True, sure=sure)
        case ColumnType.TEXT | ColumnType.UUID:
            return Reading(raw, _Digits(raw), sure=True)
        case ColumnType.INTEGER:
            return Reading(raw, _Digits(raw), sure=True, number=raw)
        case ColumnType.BOOLEAN:
            true, false = (
                raw == sa.literal_column(v) for v in (("1", "0") if type_.kind is Kind.INTEGER else ("TRUE", "FALSE"))
            )
            return Reading(raw, sa.case((true, sa.literal_column("'1'")), (false, sa.literal_column("'0'"))))
        case ColumnType.TIMESTAMP:
            number = _instant(raw, type_, zone)
            number = floored(number, UNIT[column.unit])
            return Reading(raw, _Digits(number), number=number)
        case ColumnType.DATE:
            return Reading(raw, _Digits(_Days(raw)))
        case ColumnType.DECIMAL:
            places = column.scale or 0
            scale = max(type_.scale or 0, places)
            whole = whole_number(raw, dialect) if type_.kind is Kind.INTEGER else raw  # which could overflow
            unscaled = _Unscaled(whole, sa.literal_column(str(10**places)), sa.literal_column(str(scale)))
            return Reading(raw, _Digits(unscaled), number=unscaled)
        case _:
            return Reading(raw, _Hex(raw), sure=sure)


def whole_number(raw: sa.ColumnElement[Any], dialect: str) -> sa.ColumnElement[Any]:
    """Return an integer as a decimal, in which products and sums have room; NULL where it has not."""
    cast = sa.try_cast if dialect == "duckdb" else sa.cast
    return cast(raw, sa.Numeric(38, 0))


def _instant(raw: sa.ColumnElement[Any], type_: SqlType, zone: str | None) -> sa.ColumnElement[Any]:
    micros: sa.ColumnElement[Any] = _Micros(raw)
    if type_.kind is Kind.INSTANT or zone in ("UTC", "Etc/UTC"):
        return micros
    offset, first, last = fixed_offset(str(zone)) or (0, 0, 0)
    low: sa.ColumnElement[Any] = sa.literal_column(str(first))
    high: sa.ColumnElement[Any] = sa.literal_column(str(last))
    return sa.case(((micros >= low) & (micros < high), micros - sa.literal_column(str(offset))))


def _declared(text: sa.ColumnElement[Any], column: Column) -> sa.ColumnElement[Any]:
    if column.unicode == "NFC":
        text = _Nfc(text)
    if column.newline == "lf":
        text = sa.func.replace(sa.func.replace(text, "\r\n", "\n"), "\r", "\n")
    if column.trim:
        text = _Trimmed(text, sa.literal(_TRIMMED))
    return text


class _Nfc(_Spelled):
    """A text in Unicode normal form C."""

    inherit_cache = True
    type = sa.Text()
    spelled: ClassVar = {"postgresql": "normalize({0}, NFC)", "duckdb": "nfc_normalize({0})"}


class _Trimmed(_Spelled):
    """A text without some characters at its ends."""

    inherit_cache = True
    type = sa.Text()
    spelled: ClassVar = {"postgresql": "btrim({0}, {1})", "duckdb": "trim({0}, {1})"}


_KINDS: dict[ColumnType, tuple[Kind, ...]] = {
    ColumnType.TEXT: (Kind.TEXT, Kind.INTEGER, Kind.UUID),
    ColumnType.INTEGER: (Kind.INTEGER,),
    ColumnType.BOOLEAN: (Kind.BOOLEAN,),
    ColumnType.TIMESTAMP: (Kind.INSTANT, Kind.LOCAL),
    ColumnType.DATE: (Kind.DATE,),
    ColumnType.DECIMAL: (Kind.DECIMAL, Kind.INTEGER),
    ColumnType.BINARY: (Kind.BINARY,),
    ColumnType.UUID: (Kind.UUID,),
}


def _refusal(column: Column, type_: SqlType, dialect: str, zone: str | None) -> str:
    """Why a column cannot be read to the last bit, or an empty text."""
    mysql = dialect in ("mysql", "mariadb")
    if column.type is ColumnType.FLOAT:
        return "and databases round floats in ways of their own"
    if mysql and column.type is ColumnType.BOOLEAN and type_.kind is Kind.INTEGER:
        return ""
    if type_.kind not in _KINDS[column.type]:
        return f"not {column.type.value} itself"
    if column.casefold:
        return "and no database folds case as Unicode has it"
    if mysql and column.unicode:
        return f"and {dialect} knows no normal form C"
    if mysql and column.trim:
        return f"and {dialect} does not trim a set of characters"
    if type_.kind is Kind.LOCAL and zone not in ("UTC", "Etc/UTC"):
        if zone is None:
            return "which without a time zone is no instant"
        if fixed_offset(zone) is None:
            return f"and which local times of {zone} come twice, or never, it does not say"
    if column.type is ColumnType.DECIMAL:
        places = column.scale or 0
        limit = {"mysql": 65, "mariadb": 65, "duckdb": 38}.get(dialect)
        digits = (type_.precision or 20) + places
        if limit is not None and digits > limit:
            return f"and {digits} digits are more than {dialect} multiplies exactly"
    return ""
