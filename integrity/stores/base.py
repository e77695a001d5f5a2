"""What is a store? Something that names its columns and streams its rows as Arrow, as often as it is asked.

A store knows where rows lie and nothing of contracts, sides or time windows' meaning. Other people's stores implement
:class:`Store` and register an opener under the entry-point group ``integrity.stores`` (the name is the URL scheme).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pyarrow as pa

__all__ = ["CHUNK_ROWS", "Span", "Store", "TypedStore"]

#: How many rows a store aims to yield at a time. Memory is bounded by this, never by a table.
CHUNK_ROWS = 32_768


@dataclass(frozen=True, slots=True)
class Span:
    """A wish for rows whose time column lies in one of some half-open intervals, or has no readable time.

    A store may use it to skip what cannot qualify (row groups, partitions, an index). It may return more rows than
    asked, never fewer: the caller filters again.

    Attributes:
        column: The store's own name of the time column.
        intervals: ``(start, end)`` pairs in microseconds since the epoch, UTC; ``None`` is open.
        zone: The time zone in which naive timestamps of that column are to be read, if one was declared.
    """

    column: str
    intervals: tuple[tuple[int | None, int | None], ...]
    zone: str | None = None


@runtime_checkable
class Store(Protocol):
    """Rows somewhere.

    Attributes:
        name: A short name for messages: the table, the file, ``"pandas frame"``.
        location: The URL or path, without any password: what is recorded of this side.
    """

    @property
    def name(self) -> str: ...

    @property
    def location(self) -> str: ...

    def columns(self) -> Sequence[str]:
        """Return the names of the columns that the store holds, as the store spells them.

        Raises:
            StoreError: the store cannot be reached or read.
        """
        ...

    def stream(self, columns: Sequence[str], span: Span | None = None) -> Iterator[pa.RecordBatch]:
        """Yield every row of one pass, with exactly these columns in this order, in bounded memory.

        Physical types may differ from chunk to chunk. A column of mixed Python values is a dense union. Each call is a
        new pass over the store as it then is.

        Raises:
            StoreError: a column is missing, or the store cannot be read to its end.
        """
        ...


@runtime_checkable
class TypedStore(Protocol):
    """A store that, besides, knows the types of its columns before it is read."""

    def types(self) -> Mapping[str, pa.DataType]:
        """Return the types of those columns that have a fixed one; of the others each value has its own.

        It lets a run be refused before anything is read, where none of a column's values could be read as declared.
        """
        ...
