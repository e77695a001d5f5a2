"""What is a store? Something that names its columns and streams its rows as Arrow, as often as it is asked.

A store knows where rows lie and nothing of contracts, sides or time windows' meaning. Other people's stores implement
:class:`Store` and register an opener under the entry-point group ``integrity.stores`` (the name is the URL scheme).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pyarrow as pa

from integrity.columns import Column
from integrity.transit import Addition

__all__ = [
    "CHUNK_ROWS",
    "AnnouncingStore",
    "CachingStore",
    "Counterpart",
    "DefectiveStore",
    "DigestingStore",
    "Field",
    "HeadedStore",
    "LaggingStore",
    "Pushed",
    "Question",
    "RelievedStore",
    "RoutedStore",
    "SearchableStore",
    "Span",
    "Store",
    "TotallingStore",
    "TypedStore",
]

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


@runtime_checkable
class DefectiveStore(Protocol):
    """A store that knows of some rows that they are not well formed, and yields them all the same."""

    @property
    def defects(self) -> str | None:
        """The column that says in words what is wrong with a row, NULL where nothing is. Such an item is invalid."""
        ...


@runtime_checkable
class AnnouncingStore(Protocol):
    """A store that knows of items that are on their way to it, and not there yet: an upload that was begun."""

    @property
    def announced(self) -> str:
        """The column that tells since when, a timestamp. Such a row is no item, and is yielded only to who asks for it.

        An item of that identity is pending as long as the contract's grace after that moment is not over.
        """
        ...


@dataclass(frozen=True)
class Counterpart:
    """What one side may know of the other before it is read.

    Attributes:
        store: The other side.
        theirs: Our names to its own, for every column that it holds.
    """

    store: Store
    theirs: Mapping[str, str]

    def rows(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield its rows with some of our columns."""
        for batch in self.store.stream([self.theirs[name] for name in columns]):
            yield pa.RecordBatch.from_arrays(list(batch.columns), names=list(columns))


@runtime_checkable
class DigestingStore(Protocol):
    """A store that computes digests of its items, and would rather know of which kind they should be."""

    @property
    def computes(self) -> bool:
        """Whether it does so, rather than to repeat what somebody declared."""
        ...

    def meeting(self, other: Counterpart) -> Store:
        """Return the same items, with digests of a kind that the other side tells."""
        ...


@runtime_checkable
class CachingStore(Protocol):
    """A store that may remember digests from an earlier run."""

    def afresh(self) -> Store:
        """Return the same items, each digest computed when it is asked for."""
        ...


@runtime_checkable
class RelievedStore(Protocol):
    """A store that can describe its items as if something declared had not been added to them on the way."""

    def without(self, additions: Sequence[Addition]) -> Store:
        """Return the same items; what is found of these additions is taken away, and counted in its remarks."""
        ...


@runtime_checkable
class RoutedStore(Protocol):
    """A store whose items come to their places by different ways."""

    @property
    def via(self) -> str:
        """The column that says by which way. Two rows of an item by one way are two; by two ways they may be one."""
        ...


@runtime_checkable
class HeadedStore(Protocol):
    """A store of which a few rows are had without reading all of them."""

    def head(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield at most so many rows, whichever are had first, as ``stream`` does."""
        ...


@runtime_checkable
class LaggingStore(Protocol):
    """A store that may be behind the truth: a replica that declares by how much."""

    @property
    def lag(self) -> dt.timedelta:
        """What it holds is what was true so long ago: batches are closed by that moment, or earlier."""
        ...


@runtime_checkable
class SearchableStore(Protocol):
    """A store that finds rows by their identity without being read whole."""

    def finds(self, fields: Sequence[Field]) -> bool:
        """Tell whether canonical values of these columns can be asked for as they are, with no row missed."""
        ...

    def find(self, columns: Sequence[str], fields: Sequence[Field], identities: pa.Table) -> Iterator[pa.RecordBatch]:
        """Yield, as ``stream`` does, the rows of some identities, and all rows of which a part of the identity is NULL.

        More rows may come than asked for, never fewer.

        Args:
            columns: What to yield.
            fields: The identity columns.
            identities: Their canonical values, a text column for each field, in that order.
        """
        ...


@dataclass(frozen=True, slots=True)
class Field:
    """A column, by the store's own name, and how the contract reads it."""

    theirs: str
    column: Column


@dataclass(frozen=True, slots=True)
class Question:
    """What a store has to know to total its own items: one side of a contract, in the store's own names.

    Attributes:
        identity: Our name to the column, in the order of the canonical text; so is ``content``.
        content: The columns that must arrive unchanged.
        event: The event time; ``None`` without a clock.
        processed: The processed time, where latency is counted.
        amounts: Which of the columns (our names) are summed.
        partition: Which of the identity columns batches are told apart by.
        exclusions: Name and conditions of what is left out: each condition a column and its allowed canonical values
            (``None`` is NULL); all of them must hold, and the first exclusion that holds takes the row.
        width: Microseconds of the time slots to total by, aligned to the epoch; ``None`` is one slot.
        since: First instant of event time, microseconds; ``None`` is open.
        until: First instant no longer asked for.
        horizon: The first instant that is from the future.
        future_is_invalid: Whether an event from the future makes an item invalid (else its clock is skewed).
        within: Microseconds after which an item is late.
        never_over: Microseconds that no item may take.
        zone: How naive timestamps are to be read.
        unique: Whether it has to be known which slots hold an identity that is there more than once.
    """

    identity: Mapping[str, Field]
    content: Mapping[str, Field]
    event: Field | None
    processed: Field | None
    amounts: tuple[str, ...]
    partition: tuple[str, ...]
    exclusions: tuple[tuple[str, tuple[tuple[Field, tuple[str | None, ...]], ...]], ...]
    width: int | None
    since: int | None
    until: int | None
    horizon: int
    future_is_invalid: bool
    within: int | None
    never_over: int | None
    zone: str | None
    unique: bool


class Pushed(Protocol):
    """A question that a store can answer by itself, to the last bit. Times are microseconds since the epoch, UTC."""

    def explain(self) -> Sequence[str]:
        """Return the text of each query, without running one."""
        ...

    def totals(self) -> pa.Table:
        """Return partial totals, which add up to those of each batch.

        Columns: the partition (canonical text); ``slot`` (its start, null if untimed); ``excluded`` (the exclusion that
        took these rows, or null); ``bucket`` (of latency, or null); ``records``, ``invalid``, ``unproven``,
        ``on_time``, ``late``, ``over``, ``skewed``, ``unmeasured`` (int64); ``hash_0``, ``hash_1`` (uint64);
        ``latency_max``; and ``amount.<name>`` (text of the exact sum).

        Raises:
            PushdownError: a row holds a value that this store cannot read exactly.
            StoreError: the store cannot be read.
        """
        ...

    def repeats(self) -> pa.Table:
        """Return the partition and ``slot`` of the items whose identity is (or may be) there more than once."""
        ...

    def fingerprints(self, intervals: Sequence[tuple[int | None, int | None]] | None) -> Iterator[pa.RecordBatch]:
        """Yield a row an item: the canonical identity; ``event``, ``processed``; ``digest`` (32 hexadecimal digits of
        the fingerprint); ``unproven``; ``excluded``; and the canonical value of each amount as ``amount.<name>``.

        Args:
            intervals: Only items whose event time lies in one of these, or that have none; ``None`` is all.
        """
        ...

    def remarkable(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield, as ``stream`` does, the items of which something has to be said: invalid, late, skewed."""
        ...


@runtime_checkable
class TotallingStore(Protocol):
    """A store that can total its own items."""

    @property
    def rather_pulled(self) -> str:
        """Why pulling its rows takes less time than letting it total them, or an empty text where it does not."""
        ...

    def pushed(self, question: Question) -> Pushed:
        """Return how this store answers the question.

        Raises:
            PushdownError: it cannot, to the last bit; the message says which column or type stands in the way.
            StoreError: the store cannot be reached.
        """
        ...

    def planted(self, rows: pa.RecordBatch, zone: str | None) -> Store:
        """Return a store that totals in the same way, of made-up rows alone; nothing is written.

        Args:
            rows: Under the store's own names: texts that read as the declared types, and instants.
            zone: In which zone timestamps without one are.
        """
        ...
