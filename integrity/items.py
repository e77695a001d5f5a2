"""How are the items of one side read from its store?

A :class:`Reader` streams them as frames: all of them, those of some batches, or those of some identities.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import cached_property

import polars as pl
import pyarrow as pa

from integrity import canonical
from integrity.rows import ANNOUNCED, DEFECTS, VIA, Chunk, Slice
from integrity.sides import Side
from integrity.stores.base import Pushed, SearchableStore, Span
from integrity.totals import BATCH

__all__ = ["Reader", "letting_go"]


@contextlib.contextmanager
def letting_go(batches: Iterator[pa.RecordBatch]) -> Iterator[None]:
    """Close what a store yields as soon as nobody reads on, so that it lets go of its connection or file."""
    try:
        yield
    finally:
        close = getattr(batches, "close", None)
        if close is not None:
            close()


@dataclass(frozen=True)
class Reader(Side):
    """One side of a contract, and how it is read.

    Attributes:
        pushed: How the store totals its own items; ``None`` where its rows are pulled.
        how: How it is read, and why so, in words.
        strict: Whether pulling instead is not wanted.
        searchable: Whether the store finds rows by their identity.
        besides: Further columns that are read, by our names, which the contract need not declare.
        listener: Hears every chunk of a pass, narrowed to the rows that the pass is about, with the frame of them.
    """

    pushed: Pushed | None = None
    how: str = "pulled"
    strict: bool = False
    searchable: bool = False
    besides: tuple[str, ...] = ()
    listener: Callable[[Chunk, pl.DataFrame], None] | None = None

    def frames(
        self,
        wanted: Slice,
        excluded: Callable[[str, pl.DataFrame], None] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Generator[pl.DataFrame, None, None]:
        """Yield the rows of one pass, chunk by chunk.

        Args:
            wanted: Which rows.
            excluded: Called with an exclusion's name, and the batch columns and ``__event`` of what it left out.
            progress: Called with the number of rows read.

        Yields:
            Frames of the identity columns (canonical values) and: ``__batch``, ``__key``, ``__identity`` (one text),
            ``__w0``, ``__w1`` (the fingerprint's words), ``__event``, ``__processed``, ``__changed`` (microseconds),
            ``__future``, ``__invalid`` (reasons, or null), ``__unproven``, ``__a.<amount>``, ``__revision``, and with
            ``content`` the values of each content column under ``__c.<name>``.
        """
        return self.framed(self.store.stream(self.asked, self.span(wanted)), wanted, excluded, progress)

    def found(
        self, identities: pl.DataFrame, wanted: Slice, progress: Callable[[int], None] | None = None
    ) -> Generator[pl.DataFrame, None, None]:
        """Yield, as :meth:`frames` does, the rows of some identities, which a searchable store is asked for by name."""
        assert isinstance(self.store, SearchableStore)
        fields = [self.field(name) for name in self.contract.identity]
        table = identities.select(*self.contract.identity).to_arrow()
        return self.framed(self.store.find(self.asked, fields, table), wanted, None, progress)

    @cached_property
    def asked(self) -> list[str]:
        """The columns that are asked of the store, by its own names."""
        names = [self.theirs(name) for name in self.needed if name not in self.absent]
        own = [name for name in (self.defects, self.via, self.announced) if name is not None]
        return list(dict.fromkeys([*names, *(self.theirs(name) for name in self.besides), *own]))

    def framed(
        self,
        batches: Iterator[pa.RecordBatch],
        wanted: Slice,
        excluded: Callable[[str, pl.DataFrame], None] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Generator[pl.DataFrame, None, None]:
        """Turn rows as the store yields them into the frames of :meth:`frames`."""
        with letting_go(batches):
            yield from self._framed(batches, wanted, excluded, progress)

    def _framed(
        self,
        batches: Iterator[pa.RecordBatch],
        wanted: Slice,
        excluded: Callable[[str, pl.DataFrame], None] | None,
        progress: Callable[[int], None] | None,
    ) -> Generator[pl.DataFrame, None, None]:
        columns = self.needed
        for batch in batches:
            if progress is not None:
                progress(batch.num_rows)
            if batch.num_rows == 0:
                continue
            by_name = dict(zip(batch.schema.names, batch.columns, strict=True))
            arrays = {
                ours: pa.nulls(batch.num_rows, pa.string())
                if ours in self.absent
                else canonical.flat(by_name[self.theirs(ours)])
                for ours in columns
            }
            arrays |= {ours: canonical.flat(by_name[self.theirs(ours)]) for ours in self.besides}
            for kept, theirs in ((DEFECTS, self.defects), (VIA, self.via), (ANNOUNCED, self.announced)):
                if theirs is not None:
                    arrays[kept] = canonical.flat(by_name[theirs])
            chunk = Chunk(self, arrays, columns)
            frame = chunk.frame(wanted, excluded)
            if frame is not None and frame.height:
                if self.listener is not None:
                    self.listener(chunk, frame)
                yield frame

    def blank(self, wanted: Slice) -> pl.DataFrame:
        """Return a frame of no rows, with the columns that :meth:`frames` yields."""
        columns = self.needed
        return Chunk(self, {name: pa.array([], pa.string()) for name in columns}, columns).whole(wanted)

    @cached_property
    def bare(self) -> frozenset[str]:
        """The columns that :meth:`frames` yields where content is not wanted."""
        return frozenset(self.blank(Slice()).columns)

    def span(self, wanted: Slice) -> Span | None:
        if self.event is None or self.event.unit != "us":  # flooring may move an instant across a boundary
            return None
        column = self.theirs(self.event.name)
        if wanted.batches is not None and self.contract.window is not None:
            starts = wanted.batches[BATCH].drop_nulls().unique().sort().to_list()
            spans: list[tuple[int | None, int | None]] = [(s, self.contract.window.end_of(s)) for s in starts]
            if wanted.batches[BATCH].null_count():
                spans.append((self.horizon, None))
            return Span(column, tuple(spans), self.zone)
        if wanted.bounded and (self.since is not None or self.until is not None):
            return Span(column, ((self.since, self.until),), self.zone)
        return None
