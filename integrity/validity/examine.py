"""Which items of a side are not as expected?

A side is asked while it is read for its control totals. What looks at one row at a time is asked chunk by chunk; what
needs all rows that share a value, or all of a batch, waits until they are together. Only closed batches are asked: what
is still on its way may not be complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from integrity import canonical
from integrity.breaks import Case
from integrity.columns import Column, ColumnType
from integrity.items import Reader, letting_go
from integrity.passes import answerable, asked_of
from integrity.rows import Chunk
from integrity.spool import KEY, Log, Spool
from integrity.stores.base import HeadedStore
from integrity.validity.asked import Asked, Manner
from integrity.validity.frames import columns_of, to_pandas
from integrity.validity.judge import Answer, judge
from integrity.verdicts import Verdict

__all__ = ["Examiner", "Found"]

#: How many rows are asked about at a time: enough that the machinery around them does not matter.
_ROWS = 262_144
#: The columns of a frame that hold what expectations are about.
_VALUE = "__v."
_TEXT = Column(type=ColumnType.TEXT)


@dataclass
class Found:
    """What an expectation found on one side.

    Attributes:
        question: What was asked.
        looked: How many rows it had to look at.
        unexpected: How many of them were not as expected.
        rows: Those rows, as :meth:`integrity.items.Reader.frames` has them.
        broken: The batches of which it does not hold as a whole.
        observed: What it saw of the first of these.
        asked: How many batches it was asked of as a whole.
        everywhere: Whether it does not hold of all batches together.
        error: Why it could not be asked.
    """

    question: Asked
    looked: int = 0
    unexpected: int = 0
    rows: Log = field(default_factory=Log)
    broken: list[pl.DataFrame] = field(default_factory=list)
    observed: str = ""
    asked: int = 0
    everywhere: bool = False
    error: str = ""

    @property
    def verdict(self) -> Verdict:
        """``unverified`` where it could not be asked, or had nothing to look at; never good by default."""
        if self.error or not (self.looked or self.asked):
            return Verdict.UNVERIFIED
        if self.broken or self.everywhere or not self.within:
            return Verdict.FAIL
        return Verdict.PASS

    @property
    def within(self) -> bool:
        """Whether so few rows are not as expected that its ``mostly`` forgives them."""
        kept = self.looked - self.unexpected
        return not self.unexpected or Fraction(kept, self.looked) >= Fraction(self.question.mostly)

    def blamed(self) -> Iterator[pl.DataFrame]:
        """Yield the rows that are not as expected, with ``__why``."""
        for frame in self.rows.frames():
            yield frame.with_columns(pl.lit(self.question.name).alias("__why"))

    @property
    def why(self) -> str:
        """Why it is unverified."""
        return self.error or "it had no value to look at"

    def hear(self, answer: Answer, rows: Callable[[np.ndarray], pl.DataFrame], batch: pl.DataFrame | None) -> None:
        """Take an answer about some rows: of one batch, or of none in particular."""
        if answer.error:
            self.error = self.error or answer.error
            return
        self.looked += answer.looked
        if len(answer.failing):
            self.unexpected += len(answer.failing)
            self.rows.add(rows(answer.failing))
        if answer.holds is not None:
            self.asked += 1
        if answer.holds is False:
            self.observed = self.observed or answer.observed
            if batch is None:
                self.everywhere = True
            else:
                self.broken.append(batch)


class Examiner:
    """Asks one side what is asked of it, while it is read.

    Args:
        reader: The side.
        questions: What is asked of it.
        case: Which batches are closed.
    """

    def __init__(self, reader: Reader, questions: Sequence[Asked], case: Case) -> None:
        self._reader, self._case, self._questions = reader, case, list(questions)
        self.begin()

    @property
    def besides(self) -> tuple[str, ...]:
        """The columns, by our names, that have to be read for it besides those that the contract declares."""
        return tuple(name for name in _columns(self._single + self._together) if name not in self._reader.needed)

    def begin(self) -> None:
        """Forget everything: the side is read from its start."""
        self.found = [Found(each, error=each.why) for each in self._questions]
        of = {manner: [each for each in self.found if each.question.manner is manner] for manner in Manner}
        if of[Manner.COLUMNS]:
            _ask_of_columns(self._reader, of[Manner.COLUMNS])
        self._single = of[Manner.ROWS]
        self._together = of[Manner.VALUES] + of[Manner.BATCH]
        if self._reader.contract.latest_by is not None:  # which revision counts is known when all have been seen
            self._together, self._single = self._single + self._together, []
        self._waiting = Spool()
        self._pieces: list[tuple[dict[str, pa.Array[Any]], pl.DataFrame]] = []
        self._rows = 0

    def hear(self, chunk: Chunk, frame: pl.DataFrame) -> None:
        """Take a chunk of the side, and its rows as the engine sees them."""
        if not (self._single or self._together):
            return
        arrays = columns_of(chunk, _columns(self._single + self._together))
        rows, mine = asked_of(self._reader, frame, self._case)
        if not mine.all():
            mask = mine.to_arrow()
            arrays = {name: array.filter(mask) for name, array in arrays.items()}
        if not rows.height:
            return
        if self._together:
            self._waiting.add(_spooled(rows, arrays))
        if self._single:  # without revisions, every row that is kept is asked about
            self._pieces.append((arrays, answerable(self._reader, rows)))
            self._rows += rows.height
            if self._rows >= _ROWS:
                self._ask_of_rows()

    def finish(self) -> None:
        """Ask what could only be asked when everything had been heard."""
        self._ask_of_rows()
        if self._together:
            _ask_together(self._reader, self._together, self._waiting)
        self._waiting.clear()

    def _ask_of_rows(self) -> None:
        pieces, self._pieces, self._rows = self._pieces, [], 0
        if not pieces:
            return
        names = _columns(self._single)
        frame = to_pandas({name: [arrays[name] for arrays, _ in pieces] for name in names}, self._reader.needed)
        rows = pl.concat([rows for _, rows in pieces])
        answers = judge(frame, [each.question for each in self._single])
        for each, answer in zip(self._single, answers, strict=True):
            each.hear(answer, lambda places: rows[places.tolist()], None)

    def said(self) -> Iterator[tuple[str, Iterator[pl.DataFrame]]]:
        """Yield the rows that break what is critical, and why."""
        for each in self.found:
            if each.question.expected.severity == "critical" and each.verdict is Verdict.FAIL:
                yield "invalid", each.blamed()


def _columns(found: Sequence[Found]) -> list[str]:
    return list(dict.fromkeys(name for each in found for name in each.question.columns))


# --- rows together ---------------------------------------------------------------------------------------------------


def _spooled(rows: pl.DataFrame, arrays: dict[str, pa.Array[Any]]) -> pl.DataFrame:
    """Rows as they wait: as the engine sees them, and as expectations do."""
    values = []
    for name, array in arrays.items():
        plain = canonical.read(array, _TEXT).text if pa.types.is_union(array.type) else pl.from_arrow(array)
        assert isinstance(plain, pl.Series)
        values.append(plain.alias(_VALUE + name))
    return rows.with_columns(values)


def _ask_together(reader: Reader, found: Sequence[Found], waiting: Spool) -> None:
    """Ask what needs the newest revisions, all rows of a value, or a whole batch."""
    for each in found:
        question = each.question
        match question.manner:
            case Manner.ROWS:
                by: list[str] = []
            case Manner.VALUES:
                by = [_VALUE + name for name in question.shared]
            case _:
                by = reader.batch_columns if _by_batch(reader, question) else []
        with Spool() as groups:
            for part in waiting.parts():
                part = answerable(reader, part)
                # What belongs together is read together: the parts of a spool are told apart by this column.
                key = pl.struct(by).hash(seed=0) if by else pl.lit(0, pl.UInt64)
                if question.manner is Manner.ROWS:
                    _hear_part(reader, each, part, None)
                else:
                    groups.add(part.with_columns(pl.col(KEY).alias("__home"), key.alias(KEY)))
            for part in groups.parts():
                part = part.with_columns(pl.col("__home").alias(KEY)).drop("__home")
                if question.manner is Manner.BATCH and by:
                    for rows in part.partition_by(by, maintain_order=True):
                        _hear_part(reader, each, rows, rows.select(by).head(1))
                else:
                    _hear_part(reader, each, part, None)


def _by_batch(reader: Reader, question: Asked) -> bool:
    return question.expected.over == "batch" and reader.event is not None


def _hear_part(reader: Reader, found: Found, rows: pl.DataFrame, batch: pl.DataFrame | None) -> None:
    own = [name for name in rows.columns if not name.startswith(_VALUE)]
    arrays = {
        name: [rows[_VALUE + name].to_arrow(compat_level=pl.CompatLevel.oldest())] for name in found.question.columns
    }
    frame = to_pandas(arrays, reader.needed)
    if not found.question.columns:  # it is about rows, whatever they hold
        import pandas as pd

        frame = pd.DataFrame(index=pd.RangeIndex(rows.height))
    (answer,) = judge(frame, [found.question])
    found.hear(answer, lambda places: rows.select(own)[places.tolist()], batch)


# --- columns ---------------------------------------------------------------------------------------------------------


def _ask_of_columns(reader: Reader, found: Sequence[Found]) -> None:
    """Ask what is about columns of the rows that are had first: all rows have the same."""
    theirs = list(reader.held)
    ours = [reader.mapping.get(name, name) for name in theirs]
    stream = reader.store.head(theirs, 256) if isinstance(reader.store, HeadedStore) else reader.store.stream(theirs)
    with letting_go(stream):
        rows = next((batch for batch in stream if batch.num_rows), None)
    for each in found:
        if rows is None:
            each.error = "there is no row to tell its columns by"
            continue
        chunk = Chunk(reader, dict(zip(ours, map(canonical.flat, rows.columns), strict=True)), reader.needed)
        frame = to_pandas({name: [array] for name, array in columns_of(chunk, ours).items()}, reader.needed)
        (answer,) = judge(frame, [each.question])
        each.hear(answer, lambda _: pl.DataFrame(), None)
