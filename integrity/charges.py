"""What is said of single rows before anything is matched, and how is it said of them again when they are?

Expectations and grants are asked of one side at a time, in passes of their own. What they find has to reach the rows
when these are matched, read anew by then. A row is known again by its fingerprint, its times and what was said of it
already. Of rows that are alike in all this it does not matter which is meant, but two of them must not become one: so
each is marked by what was looked at besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self

import polars as pl

from integrity import canonical
from integrity.columns import Column, ColumnType
from integrity.items import Reader
from integrity.rows import Chunk
from integrity.spool import KEY, Sieve, Spool

__all__ = ["MARK", "UNAUTHORIZED", "Charges", "Examination", "charged", "mark", "with_charged"]

#: Why nobody had the right to make an item.
UNAUTHORIZED = "__unauthorized"
#: What tells apart rows that are alike in everything that is compared.
MARK = "__mark"
_WHY, _KIND, _ORIGIN, _NTH = "__why", "__kind", "__origin", "__nth"
_ROW = [KEY, "__w0", "__w1", "__event", "__processed", "__changed", "__invalid"]


class Examination(Protocol):
    """Somebody who looks at every row of a side while it is read."""

    @property
    def besides(self) -> tuple[str, ...]:
        """The columns, by our names, that have to be read for it besides those that the contract declares."""
        ...

    def begin(self) -> None:
        """Forget everything: the side is read from its start."""
        ...

    def hear(self, chunk: Chunk, frame: pl.DataFrame) -> None:
        """Take a chunk, and its rows as :meth:`integrity.items.Reader.frames` has them."""
        ...

    def finish(self) -> None:
        """Conclude: the side was read to its end."""
        ...

    def said(self) -> Iterator[tuple[str, Iterable[pl.DataFrame]]]:
        """Yield what is to be said of rows: ``"invalid"`` or ``"unauthorized"``, and the rows with ``__why``.

        No row is there twice in one of these.
        """
        ...


class Charges:
    """What is said of the rows of both sides, split by identity; use as a context manager.

    Args:
        source: Who looks at the rows of the source.
        destination: Who looks at those of the destination.
    """

    def __init__(self, source: Sequence[Examination] = (), destination: Sequence[Examination] = ()) -> None:
        self.sides = (Spool(), Spool())
        self._examinations = {"source": tuple(source), "destination": tuple(destination)}
        self._origins = [0, 0]

    def attached(self, reader: Reader) -> Reader:
        """Return how a side is read in the pass that is looked at."""
        examinations = self._examinations[reader.role]
        if not examinations:
            return reader
        for each in examinations:
            each.begin()

        besides = tuple(dict.fromkeys(name for each in examinations for name in each.besides))

        def listener(chunk: Chunk, frame: pl.DataFrame) -> None:
            marked = frame.with_columns(mark(chunk, besides))
            for each in examinations:
                each.hear(chunk, marked)

        return replace(reader, besides=besides, listener=listener)

    def conclude(self, reader: Reader) -> None:
        """Hear what was found in a pass that came to its end."""
        for each in self._examinations[reader.role]:
            each.finish()
            for kind, frames in each.said():
                self._add(0 if reader.role == "source" else 1, frames, kind)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for spool in self.sides:
            spool.__exit__(None, None, None)

    def _add(self, side: int, frames: Iterable[pl.DataFrame], kind: str) -> None:
        self._origins[side] += 1
        origin = pl.lit(self._origins[side], pl.UInt32).alias(_ORIGIN)
        for frame in frames:
            self.sides[side].add(frame.with_columns(pl.lit(kind).alias(_KIND), origin))

    def keys(self, batches: pl.DataFrame, on: Sequence[str]) -> Sieve:
        """Return the identities of which something is said in some batches."""
        sieve = Sieve()
        for spool in self.sides:
            for part in spool.parts():
                sieve.add(part.join(batches, on=on, how="semi", nulls_equal=True)[KEY])
        return sieve


def mark(chunk: Chunk, besides: Sequence[str]) -> pl.Series:
    """Tell rows apart by what is looked at and not compared."""
    if not besides:
        return pl.Series(MARK, [0], pl.UInt64).new_from_index(0, chunk.height)
    texts = [canonical.read(chunk.arrays[name], Column(type=ColumnType.TEXT)).text.alias(name) for name in besides]
    return pl.DataFrame(texts).select(pl.struct(pl.all()).hash(seed=0).alias(MARK)).to_series()


def charged(rows: pl.DataFrame, charges: pl.DataFrame) -> pl.DataFrame:
    """Return rows with what is said of them: in ``__invalid``, and in ``__unauthorized``.

    Args:
        rows: Of some identities, all that are to be looked at.
        charges: A part of one side's charges: of these identities, or of more.
    """
    rows = rows.with_columns(pl.lit(None, pl.String).alias(UNAUTHORIZED))
    if not charges.height or not rows.height:
        return rows
    return _said(_numbered(rows), _folded(charges))


def with_charged(rows: pl.DataFrame, charges: pl.DataFrame) -> pl.DataFrame:
    """Return as :func:`charged` does; and what is said of a row that is not among them, with that row.

    Args:
        rows: The rows of which something else has to be said.
        charges: A part of one side's charges, of the same identities.
    """
    rows = rows.with_columns(pl.lit(None, pl.String).alias(UNAUTHORIZED))
    if not charges.height:
        return rows
    folded = _folded(charges)
    if not rows.height:
        return _merged(folded).drop(_NTH)
    numbered = _numbered(rows)
    alone = _merged(folded.join(numbered, on=[*_ROW, _NTH], how="anti", nulls_equal=True)).drop(_NTH)
    return pl.concat([_said(numbered, folded), alone.select(rows.columns)])


def _folded(charges: pl.DataFrame) -> pl.DataFrame:
    """One line a row: what every look found of it."""
    one = [*_ROW, MARK, _NTH]
    seen = charges.with_columns(pl.int_range(pl.len()).over([*_ROW, MARK, _ORIGIN]).alias(_NTH))
    invalid, unauthorized = (pl.col(_WHY).filter(pl.col(_KIND) == kind) for kind in ("invalid", "unauthorized"))
    folded = (
        seen.sort(_ORIGIN, maintain_order=True)
        .group_by(one, maintain_order=True)
        .agg(
            pl.exclude(*one, _WHY, _KIND, _ORIGIN).first(),
            invalid.str.join("; ").replace("", None).alias(_WHY),
            unauthorized.first().alias(UNAUTHORIZED),
        )
    )
    return folded.drop(MARK).with_columns(pl.int_range(pl.len()).over(_ROW).alias(_NTH))


def _numbered(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.int_range(pl.len()).over(_ROW).alias(_NTH))


def _said(numbered: pl.DataFrame, folded: pl.DataFrame) -> pl.DataFrame:
    """Numbered rows, and what is said of them."""
    about = folded.select(*_ROW, _NTH, _WHY, UNAUTHORIZED)
    bare = numbered.drop(UNAUTHORIZED)
    joined = bare.join(about, on=[*_ROW, _NTH], how="left", nulls_equal=True, maintain_order="left")
    return _merged(joined).drop(_NTH).select(name for name in numbered.columns if name != _NTH)


def _merged(rows: pl.DataFrame) -> pl.DataFrame:
    both = pl.concat_str("__invalid", _WHY, separator="; ", ignore_nulls=True).replace("", None)
    return rows.with_columns(both.alias("__invalid")).drop(_WHY)
