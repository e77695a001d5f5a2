"""Which items break an expectation, said by the database that holds them?

A database that totals its own items is asked there, too, so that only the rows that are not as expected travel. Great
Expectations says which condition tells such a row; the statement around it is ours: the items that this side is asked
about, and no others, with texts told apart by their octets. What SQL would not answer as it is answered of rows that are
pulled, is asked of rows that are pulled.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Self

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.sql import visitors

from integrity.breaks import Case
from integrity.charges import _mark as mark
from integrity.columns import ColumnType
from integrity.errors import ConnectionLostError, PushdownError, StoreError
from integrity.gx_import import great_expectations
from integrity.items import Reader
from integrity.passes import again, answerable, asked_of
from integrity.rows import Chunk, Slice
from integrity.stores.sql_text import Exact
from integrity.stores.sql_totals import SqlTotals
from integrity.stores.sql_types import Kind
from integrity.validity.asked import Asked, Manner
from integrity.validity.examine import Examiner, Found
from integrity.validity.judge import condition_of, quietly

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, FromClause, Select

    from integrity.stores.base import Pushed

__all__ = ["Asker", "examiner_of", "unaskable"]

#: How a column is compared: as text or as numbers, as in pandas; of others only NULL is known.
_TEXT, _INTEGER, _DECIMAL, _ANY = "text", "integer", "decimal", "any"
#: Arrow has no type for these, so they are pulled as text.
_WIDE = ("HUGEINT", "UHUGEINT")
#: More values than this are no words of a statement.
_VALUES = 5000
#: The columns of the store, in a statement whose other columns are the contract's.
_RAW = "__r"
_MYSQL = ("mysql", "mariadb")


def examiner_of(reader: Reader, questions: Sequence[Asked], case: Case) -> Examiner:
    """Return who asks a side what is asked of it: its database, where that totals its own items."""
    return Examiner(reader, questions, case) if reader.pushed is None else Asker(reader, questions, case)


def unaskable(reader: Reader, questions: Sequence[Asked]) -> str:
    """Return why a side that totals its own items cannot be asked in its database, or an empty text."""
    if not isinstance(reader.pushed, SqlTotals):
        return "expectations are asked of its rows"
    items = _Items.of(reader.pushed, reader)
    for question in questions:
        rows = question.manner not in (Manner.COLUMNS, Manner.NOTHING)
        if rows and (question.manner is not Manner.ROWS or not _askable(question, items)):
            return f"{question.name} is asked of its rows"
    return ""


class Asker(Examiner):
    """Asks a side that totals its own items in its database; should it be pulled after all, while it is read.

    Args:
        reader: The side.
        questions: What is asked of it; nothing for which :func:`unaskable` has a reason.
        case: Which batches are closed.
    """

    def __init__(self, reader: Reader, questions: Sequence[Asked], case: Case) -> None:
        super().__init__(reader, questions, case)
        self._pulled = False

    def begin(self) -> None:
        """Forget everything: the side is read from its start."""
        super().begin()
        self._pulled = True

    def finish(self) -> None:
        """Ask the database, if nobody read its rows.

        Raises:
            StoreError: it cannot be asked anything.
            PushdownError: it holds a text that it cannot compare.
        """
        if self._pulled:
            super().finish()
        else:
            again(self._ask)

    def _ask(self) -> None:
        super().begin()
        pushed = self._reader.pushed
        assert isinstance(pushed, SqlTotals)
        items = _Items.of(pushed, self._reader)
        asked = [each for each in self.found if each.question.manner is Manner.ROWS]
        items.check(list(dict.fromkeys(name for each in asked for name in _about(each.question))))
        for each in asked:
            try:
                self._ask_one(each, items)
            except ConnectionLostError:
                raise
            except StoreError as error:
                each.error, each.looked, each.unexpected = error.problem, 0, 0
                each.rows = type(each.rows)()

    def _ask_one(self, found: Found, items: _Items) -> None:
        """Count the rows that an expectation is about, and let those travel that are not as expected."""
        reader = replace(self._reader, besides=self.besides)
        query, found.error = _unexpected(found.question, items, items.rows(_about(found.question), reader.asked))
        if query is None:
            return
        every, wrong = query
        flag = sa.case((wrong, sa.literal_column("1")), else_=sa.literal_column("0"))
        with items.store.session() as session:
            ((looked, unexpected),) = session.rows(every.with_only_columns(sa.func.count(), sa.func.sum(flag)))
            found.looked = int(looked)
            if not unexpected:
                return
            raw: list[ColumnElement[Any]] = [sa.column(f"{_RAW}{i}") for i in range(len(reader.asked))]
            rows = session.batches(every.with_only_columns(*raw).where(wrong), reader.asked)
            with closing(_marked(reader, rows, self._case)) as frames:
                for frame in frames:
                    found.rows.add(frame)
                    found.unexpected += frame.height
        found.looked = max(found.looked, found.unexpected)  # more may have come since they were counted


def _marked(reader: Reader, batches: Iterator[Any], case: Case) -> Iterator[pl.DataFrame]:
    """Yield the items among rows, as an expectation that hears them while they are read would keep them."""
    heard: list[pl.DataFrame] = []

    def listener(chunk: Chunk, frame: pl.DataFrame) -> None:
        rows, _ = asked_of(reader, frame.with_columns(mark(chunk, reader.besides)), case)
        heard.append(answerable(reader, rows))

    with closing(replace(reader, listener=listener).framed(batches, Slice())) as frames:
        for _ in frames:
            while heard:
                yield heard.pop()


# --- the items -------------------------------------------------------------------------------------------------------


class _Items(SqlTotals):
    """The items that a side is asked about: in its population, within the run's bounds, of closed batches."""

    reader: Reader

    @classmethod
    def of(cls, pushed: Pushed, reader: Reader) -> Self:
        made = cls.__new__(cls)
        made.__dict__.update(pushed.__dict__)
        made.reader = reader
        return made

    @property
    def store(self) -> Any:
        return self._store

    @property
    def dialect(self) -> str:
        return self._dialect.name

    @property
    def mariadb(self) -> bool:
        return bool(getattr(self._dialect, "is_mariadb", False)) or self.dialect == "mariadb"

    def kind(self, name: str) -> str:
        """Return how one of our columns is compared, empty where the database may take it for something else."""
        theirs, declared = self.reader.theirs(name), self.reader.needed.get(name)
        type_ = self._types.get(theirs)
        if type_ is None or name in self.reader.absent:
            return ""
        if declared is None:
            plain = {Kind.TEXT: _TEXT, Kind.INTEGER: _INTEGER, Kind.BOOLEAN: _ANY, Kind.UUID: _ANY}
            return "" if type_.called in _WIDE else self._known(plain.get(type_.kind, ""))
        # A value of these that does not read as declared is found by the totals, and then nothing is pushed down.
        totalled = any(field.theirs == theirs for field in self._fields)
        changed = declared.unicode or declared.newline or declared.trim or declared.casefold
        match declared.type, type_.kind:
            case ColumnType.TEXT, Kind.TEXT if not changed:
                return self._known(_TEXT)
            case ColumnType.INTEGER, Kind.INTEGER:
                return _INTEGER
            case ColumnType.DECIMAL, Kind.DECIMAL if totalled and self.dialect != "duckdb":
                return _DECIMAL
        return _ANY if totalled else ""

    def _known(self, kind: str) -> str:
        """Compare no text where no collation is known that tells apart whatever differs."""
        version = getattr(self._dialect, "server_version_info", None) or ()
        bare = self.dialect in _MYSQL and not self.mariadb and tuple(version) < (8, 0, 17)
        return _ANY if bare and kind == _TEXT else kind

    def rows(self, ours: Sequence[str], theirs: Sequence[str]) -> Select[Any]:
        """Return the statement of the items: some columns as they are compared, and some as they are."""
        compared = [self._compared(name).label(name) for name in ours]
        raw = [sa.column(name).label(f"{_RAW}{i}") for i, name in enumerate(theirs)]
        return self._within(sa.select(*compared, *raw))

    def check(self, ours: Sequence[str]) -> None:
        """Ask for texts that are there, and cannot be compared: MySQL makes NULL of those that are too long for it.

        Raises:
            PushdownError: there are some.
            StoreError: the database cannot be asked.
        """
        texts = [name for name in ours if self.dialect in _MYSQL and self.kind(name) == _TEXT]
        odd = [sa.column(self.reader.theirs(n)).is_not(None) & self._compared(n).is_(None) for n in texts]
        with self.store.session() as session:
            query = self._within(sa.select(sa.func.count())).where(sa.or_(*odd)) if odd else sa.select(sa.literal(0))
            ((count,),) = session.rows(query)
        if count:
            raise PushdownError(f"{count:,} texts of {self.store.name} are too long to be compared", "pull the rows")

    def _within(self, query: Select[Any]) -> Select[Any]:
        rows = self._raw_rows()
        closed = []
        window, event = self.reader.contract.window, self._event(rows)
        if window is not None and self._question.event is not None:
            opened = window.start_of(self.reader.as_of_closed - self.reader.contract.grace)
            horizon = self._question.horizon
            closed = [sa.or_(event.is_(None), event < _number(opened), event >= _number(horizon))]
        return query.select_from(self._store.clause()).where(*self._bounds(), self._excluded(rows).is_(None), *closed)

    def _compared(self, name: str) -> ColumnElement[Any]:
        raw: ColumnElement[Any] = sa.column(self.reader.theirs(name))
        if self.kind(name) != _TEXT:
            return raw
        if self.dialect in _MYSQL:
            collation = "utf8mb4_nopad_bin" if self.mariadb else "utf8mb4_0900_bin"
            return sa.func.convert(_Utf8(raw)).collate(collation)
        return Exact(raw)


def _number(value: int) -> ColumnElement[Any]:
    return sa.literal_column(str(value))
