"""How do made-up rows become a statement whose columns have the types of a table?

A self-test goes the way that real rows go, and so through the database; nothing is written there, the rows are part of
the statement.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from integrity.stores.sql_types import Kind, SqlType

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select

__all__ = ["planted"]


def planted(
    empty: Select[Any], rows: pa.RecordBatch, types: Mapping[str, SqlType], dialect: str, zone: str | None
) -> sa.CompoundSelect[Any]:
    """Return a statement of these rows alone.

    Args:
        empty: A statement of no row of the table, which lends its types.
        rows: The rows, under the table's names: texts that read as the declared types, and instants.
        types: The types of the table's columns.
        dialect: Whose SQL it is.
        zone: In which zone the table's timestamps without one are.
    """
    selects = [
        sa.select(*(_literal(value, types.get(name), dialect, zone).label(name) for name, value in row.items()))
        for row in rows.to_pylist()
    ]
    return sa.union_all(empty, *selects)


def _literal(value: Any, type_: SqlType | None, dialect: str, zone: str | None) -> ColumnElement[Any]:
    if value is None:
        return sa.null()
    kind = Kind.OTHER if type_ is None else type_.kind
    if isinstance(value, dt.datetime):
        if kind is not Kind.INSTANT:
            value = value.astimezone(ZoneInfo(zone or "UTC")).replace(tzinfo=None)
        elif dialect in ("mysql", "mariadb"):
            value = value.astimezone(dt.UTC).replace(tzinfo=None)
        column: Any = mysql.DATETIME(fsp=6) if dialect in ("mysql", "mariadb") else sa.DateTime(kind is Kind.INSTANT)
    else:
        value, column = _READ.get(kind, (str, sa.Text()))[0](value), _READ.get(kind, (str, sa.Text()))[1]
    literal = sa.literal(value, column)
    return sa.cast(literal, column) if dialect == "duckdb" else literal


def _number(text: str) -> decimal.Decimal:
    return decimal.Decimal(text)


_READ: dict[Kind, Sequence[Any]] = {
    Kind.INTEGER: (int, sa.BigInteger()),
    Kind.DECIMAL: (_number, sa.Numeric()),
    Kind.BOOLEAN: (lambda text: text in ("1", "true"), sa.Boolean()),
    Kind.DATE: (dt.date.fromisoformat, sa.Date()),
    Kind.UUID: (uuid.UUID, sa.Uuid()),
    Kind.BINARY: (bytes.fromhex, sa.LargeBinary()),
}
