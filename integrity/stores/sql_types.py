"""Of what kind is a column of a database, whichever words the database has for it?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

__all__ = ["Kind", "SqlType"]


class Kind(StrEnum):
    """What a column of a database holds.

    ``LOCAL`` are timestamps without a zone, ``INSTANT`` those that are instants; ``OTHER`` is everything that has no
    canonical text of its own (JSON, arrays, intervals, padded ``CHAR``): it is pulled, and each value read as it is.
    """

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    LOCAL = "local"
    INSTANT = "instant"
    DATE = "date"
    UUID = "uuid"
    BINARY = "binary"
    OTHER = "other"


#: What every value of a kind reads as, where it is known before one is read.
_ARROW: dict[Kind, pa.DataType] = {
    Kind.TEXT: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.DECIMAL: pa.decimal128(38, 9),
    Kind.FLOAT: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.LOCAL: pa.timestamp("us"),
    Kind.INSTANT: pa.timestamp("us", "UTC"),
    Kind.DATE: pa.date32(),
    Kind.UUID: pa.uuid(),
    Kind.BINARY: pa.binary(),
}


@dataclass(frozen=True, slots=True)
class SqlType:
    """The type of one column.

    Attributes:
        kind: Of what kind it is.
        called: What the database calls it, for messages.
        precision: Digits of a decimal, where they are limited.
        scale: Digits behind its point, where they are limited.
    """

    kind: Kind
    called: str
    precision: int | None = None
    scale: int | None = None

    @property
    def arrow(self) -> pa.DataType | None:
        """The Arrow type of every value, if they have one."""
        return _ARROW.get(self.kind)
