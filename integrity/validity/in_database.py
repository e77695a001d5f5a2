"""Which items break an expectation, said by the database that holds them?

A database that totals its own items is asked there, too, so that only the rows that are not as expected travel. Great
Expectations says which condition tells such a row; the statement around it is ours: the items that this side is asked
about, and no others, with texts told apart by their octets. What SQL would not answer as it is answered of rows that
are pulled, is asked of rows that are pulled.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Self

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.sql import visitors

from integrity.breaks import Case
from integrity.charges import mark
from integrity.columns import Column, ColumnType
from integrity.errors import ConnectionLostError, PushdownError, StoreError
from integrity.gx_import import great_expectations, quietly
from integrity.items import Reader
from integrity.passes import again, answerable, asked_of
from integrity.rows import Chunk, Slice
from integrity.spool import Log
from integrity.stores.base import Field
from integrity.stores.sql_text import Exact, reading
from integrity.stores.sql_totals import SqlTotals
from integrity.stores.sql_types import Kind
from integrity.validity.asked import Asked, Manner
from integrity.validity.examine import Examiner, Found
from integrity.validity.judge import condition_of

if TYPE_CHECKING:
    from typing import TypeAlias

    from sqlalchemy import ColumnElement, Select

    from integrity.stores.base import Pushed

    _Condition: TypeAlias = tuple[Select[Any], ColumnElement[bool]]

__all__ = ["Asker", "examiner_of", "unaskable"]

#: How a column is compared: as text or as numbers, as in pandas; of others only NULL is known.
_TEXT, _INTEGER, _DECIMAL, _ANY = "text", "integer", "decimal", "any"
#: Arrow has no type for these, so they are pulled as text.
_WIDE = ("HUGEINT", "UHUGEINT")
#: More values than this are no words of a statement.
_VALUES = 5000
#: The columns of the store, in a statement whose other columns are the contract's.
_RAW = "__r"
_ITEMS = "__items"
_MYSQL = ("mysql", "mariadb")
_PLAIN_TEXT = Column(type=ColumnType.TEXT)


def examiner_of(reader: Reader, questions: Sequence[Asked], case: Case) -> Examiner:
    """Return who asks a side what is asked of it: its database, where that totals its own items."""
    return Examiner(reader, questions, case) if reader.pushed is None else Asker(reader, questions, case)


def unaskable(reader: Reader, questions: Sequence[Asked], case: Case) -> str:
    """Return why a side that totals its own items cannot be asked in its database, or an empty text."""
    if not isinstance(reader.pushed, SqlTotals):
        return "expectations are asked of its rows"
    items = _Items.of(reader.pushed, reader, case)
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
        items = _Items.of(pushed, self._reader, self._case)
        asked = [each for each in self.found if each.question.manner is Manner.ROWS]
        items.check(list(dict.fromkeys(name for each in asked for name in _about(each.question))))
        heard: list[pl.DataFrame] = []

        def listener(chunk: Chunk, frame: pl.DataFrame) -> None:
            rows, _ = asked_of(reader, frame.with_columns(mark(chunk, reader.besides)), self._case)
            heard.append(answerable(reader, rows))

        reader = replace(self._reader, besides=self.besides, listener=listener)
        for each in asked:
            try:
                for _ in self._wrong(each, items, reader):
                    each.unexpected += sum(rows.height for rows in heard)
                    while heard:
                        each.rows.add(heard.pop())
            except ConnectionLostError:
                raise
            except StoreError as error:
                heard.clear()
                each.error, each.looked, each.unexpected, each.rows = error.problem, 0, 0, Log()

    def _wrong(self, found: Found, items: _Items, reader: Reader) -> Iterator[pl.DataFrame]:
        """Count the rows that an expectation is about, and read those that are not as expected, if there are any."""
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
            yield from reader.framed(rows, Slice())
        found.looked = max(found.looked, found.unexpected)  # more may have come since they were counted


# --- the items -------------------------------------------------------------------------------------------------------


class _Items(SqlTotals):
    """The items that a side is asked about: in its population, within the run's bounds, of closed batches."""

    reader: Reader
    case: Case

    @classmethod
    def of(cls, pushed: Pushed, reader: Reader, case: Case) -> Self:
        """Return the items of a side whose totals are pushed down."""
        made = cls.__new__(cls)
        made.__dict__.update(pushed.__dict__)
        made.reader, made.case = reader, case
        return made

    @property
    def store(self) -> Any:
        return self._store

    @property
    def dialect(self) -> str:
        return self._dialect.name

    @property
    def spoken(self) -> Any:
        """The dialect as Great Expectations knows it."""
        if self.dialect in _MYSQL:
            return mysql.dialect()
        return postgresql.dialect() if self.dialect == "postgresql" else self._dialect  # type: ignore[no-untyped-call]

    @property
    def mariadb(self) -> bool:
        return bool(getattr(self._dialect, "is_mariadb", False)) or self.dialect == "mariadb"

    @property
    def _old(self) -> bool:
        """Whether it knows no collation that tells apart whatever differs."""
        version = getattr(self._dialect, "server_version_info", None) or ()
        return self.dialect in _MYSQL and not self.mariadb and tuple(version) < (8, 0, 17)

    def kind(self, name: str) -> str:
        """Return how one of our columns is compared, empty where the database may take it for something else."""
        theirs, declared = self.reader.theirs(name), self.reader.needed.get(name)
        type_ = self._types.get(theirs)
        if type_ is None or name in self.reader.absent or self._old:
            return ""
        if declared is None:
            plain = {Kind.TEXT: _TEXT, Kind.INTEGER: _INTEGER, Kind.BOOLEAN: _ANY, Kind.UUID: _ANY}
            return "" if type_.called in _WIDE else plain.get(type_.kind, "")
        # A value of these that does not read as declared is found by the totals, and then nothing is pushed down.
        totalled = any(field.theirs == theirs for field in self._fields)
        changed = declared.unicode or declared.newline or declared.trim or declared.casefold
        match declared.type, type_.kind:
            case ColumnType.TEXT, Kind.TEXT if not changed:
                return _TEXT
            case ColumnType.INTEGER, Kind.INTEGER:
                return _INTEGER
            case ColumnType.DECIMAL, Kind.DECIMAL if totalled and self.dialect != "duckdb":
                return _DECIMAL
        return _ANY if totalled else ""

    def rows(self, ours: Sequence[str], theirs: Sequence[str]) -> Select[Any]:
        """Return the statement of the items: some columns as they are compared, and some as they are."""
        compared = [self._compared(name).label(name) for name in ours]
        raw: list[ColumnElement[Any]] = [sa.column(name).label(f"{_RAW}{i}") for i, name in enumerate(theirs)]
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
            opened = window.start_of(self.case.as_of - self.case.contract.grace)
            horizon = self._question.horizon
            closed = [sa.or_(event.is_(None), event < _number(opened), event >= _number(horizon))]
        return query.select_from(self._store.clause()).where(*self._bounds(), self._excluded(rows).is_(None), *closed)

    def _compared(self, name: str) -> ColumnElement[Any]:
        theirs = self.reader.theirs(name)
        if self.kind(name) != _TEXT:
            return sa.column(theirs)
        text = reading(Field(theirs, _PLAIN_TEXT), self._types[theirs], self.store.name, self.dialect, None).text
        if self.dialect in _MYSQL:
            collation = "utf8mb4_nopad_bin" if self.mariadb else "utf8mb4_0900_bin"
            return text.collate(collation)
        return Exact(text)


def _number(value: int) -> ColumnElement[Any]:
    return sa.literal_column(str(value))


# --- the condition ---------------------------------------------------------------------------------------------------


def _unexpected(question: Asked, items: _Items, rows: Select[Any]) -> tuple[_Condition | None, str]:
    """Return the rows that an expectation looks at, and the condition of those that are not as expected; or why not."""
    question, metric = _translated(question), question.impl.map_metric
    decimal = any(items.kind(name) == _DECIMAL for name in _named(question))
    with quietly(), _engine(items, _about(question)) as engine:
        found, error = condition_of(question, engine, decimal)
        if error:
            return None, error
        condition, compute, accessor = found
        domain = engine.get_domain_records({**compute, **accessor})
    if isinstance(domain, sa.Select):
        domain = domain.subquery()
    # Great Expectations writes statements out to tell them apart, so it sees no more of the items than a name.
    every = sa.select(sa.func.count()).select_from(domain).add_cte(rows.cte(_ITEMS))
    if "column" in accessor and metric not in _OF_NULL:
        every = every.where(sa.column(str(accessor["column"])).is_not(None))
    if items.dialect in _MYSQL:
        condition = visitors.replacement_traverse(condition, {}, _in_characters)
    # What cannot be compared is not as expected.
    return (every, sa.func.coalesce(condition, sa.true(), type_=sa.Boolean())), ""


def _in_characters(element: Any, **_: Any) -> Any:
    """MySQL's length is of octets."""
    length = isinstance(element, sa.Function) and element.name == "length"
    return sa.func.char_length(*element.clauses) if length else None


@contextmanager
def _engine(items: _Items, names: Sequence[str]) -> Iterator[Any]:
    """Great Expectations' engine for a dialect, told what it would ask: it connects to nothing, leaves nothing."""
    great_expectations()
    from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData
    from great_expectations.execution_engine.sqlalchemy_execution_engine import SqlAlchemyExecutionEngine

    known = {
        "table.columns": list(names),
        "table.row_count": 0,  # which no condition on single rows heeds
        "table.column_types": [{"name": n, "type": sa.types.NullType()} for n in names],
    }
    before = os.environ.get("SF_PARTNER")
    try:
        spoken: Any = SimpleNamespace(dialect=items.spoken)
        engine: Any = SqlAlchemyExecutionEngine(engine=spoken)
    finally:
        if before is None:
            os.environ.pop("SF_PARTNER", None)
        else:
            os.environ["SF_PARTNER"] = before
    resolve = engine.resolve_metrics

    def told(metrics_to_resolve: Any, metrics: Any = None, runtime_configuration: Any = None) -> Any:
        answers = {each.id: known[each.metric_name] for each in metrics_to_resolve if each.metric_name in known}
        rest = [each for each in metrics_to_resolve if each.id not in answers]
        return answers | (resolve(rest, metrics, runtime_configuration) if rest else {})

    engine.resolve_metrics = told
    every = sa.select(sa.text("*")).select_from(sa.table(_ITEMS))
    engine.load_batch_data("items", SqlAlchemyBatchData(engine, selectable=every, create_temp_table=False))
    yield engine


def _translated(question: Asked) -> Asked:
    """Return a question whose regular expressions mean to the database what they mean to Python."""
    own = question.expected.kwargs
    changed: dict[str, Any] = {}
    if "regex" in own:
        changed["regex"] = _regex(own["regex"])
    if "regex_list" in own:
        changed["regex_list"] = [_regex(each) for each in own["regex_list"]]
    if not changed:
        return question
    expected = question.expected.model_copy(update={"kwargs": {**own, **changed}})
    return replace(question, expected=expected)


# --- what means the same ---------------------------------------------------------------------------------------------

#: Of NULL, too, these look at every row.
_OF_NULL: Final = ("column_values.null", "column_values.nonnull")
_OF_A_REGEX: Final = tuple(f"column_values.{name}match_regex{many}" for name in ("", "not_") for many in ("", "_list"))
_OF_LIKE: Final = tuple(f"column_values.{no}match_like_pattern{many}" for no in ("", "not_") for many in ("", "_list"))


def _named(question: Asked) -> list[str]:
    own = question.expected.kwargs
    single = [own[key] for key in ("column", "column_A", "column_B") if isinstance(own.get(key), str)]
    return single + [each for each in own.get("column_list") or () if isinstance(each, str)]


def _about(question: Asked) -> list[str]:
    """The columns that an expectation looks at, those of its condition on rows among them."""
    return list(dict.fromkeys([*_named(question), *_conditioned(question.expected.kwargs.get("row_condition"))]))


def _conditioned(said: Any) -> Iterator[str]:
    if isinstance(said, Mapping):
        column = said.get("column")
        if isinstance(column, Mapping) and isinstance(column.get("name"), str):
            yield column["name"]
        for each in said.get("conditions") or ():
            yield from _conditioned(each)


def _askable(question: Asked, items: _Items) -> bool:
    """Whether an expectation means to the database what it means where rows are pulled."""
    own, metric = question.expected.kwargs, getattr(question.impl, "map_metric", None)
    kinds = {items.kind(name) for name in _about(question)}
    if "" in kinds or not _holdable(own) or not _on_rows(own.get("row_condition"), items):
        return False
    kinds = {items.kind(name) for name in _named(question)}
    (kind,) = kinds if len(kinds) == 1 else ("",)
    match metric:
        case "column_values.null" | "column_values.nonnull":
            return True
        case "column_values.in_set" | "column_values.not_in_set":
            values = [v for v in own.get("value_set") or () if v is not None or metric == "column_values.not_in_set"]
            return len(values) <= _VALUES and _alike(kind, values, 31)
        case "column_values.between":
            bounds = [own[key] for key in ("min_value", "max_value") if own.get(key) is not None]
            return kind in (_INTEGER, _DECIMAL) and _alike(kind, bounds)
        case "column_values.value_length.between" | "column_values.value_length.equals":
            sizes = [own[key] for key in ("value", "min_value", "max_value") if own.get(key) is not None]
            return kind == _TEXT and _alike(_INTEGER, sizes)
        case "column_pair_values.equal":
            return kind in (_TEXT, _INTEGER, _DECIMAL) and question.impl.ignore_row_if != "neither"
        case "column_pair_values.a_greater_than_b":
            return kind == _INTEGER and question.impl.ignore_row_if != "neither"
        case "multicolumn_values.equal":
            return kind in (_TEXT, _INTEGER)
    if metric in _OF_A_REGEX:
        written = [own["regex"]] if "regex" in own else list(own.get("regex_list") or ())
        known = items.dialect == "postgresql" or items.mariadb
        return kind == _TEXT and known and bool(written) and all(_regex(each) for each in written)
    # Only databases know LIKE: asked of rows, it is unverified.
    return metric in _OF_LIKE and kind == _TEXT and items.dialect != "duckdb"


def _on_rows(said: Any, items: _Items) -> bool:
    """Whether a condition on rows can be meant by a database. What differs from a NULL, each takes in its own way."""
    if said is None:
        return True
    match said:
        case {"type": "and" | "or", "conditions": [*conditions]}:
            return all(_on_rows(each, items) for each in conditions)
        case {"type": "nullity", "column": {"name": str()}}:
            return True
        case {"type": "comparison", "column": {"name": str(name)}, "operator": operator, "parameter": value}:
            kind = items.kind(name)
            allowed = ("==", "IN") if kind == _TEXT else ("==", "IN", "<", "<=", ">", ">=")
            listed = list(value) if operator == "IN" and isinstance(value, (list, tuple)) else [value]
            return kind in (_TEXT, _INTEGER) and operator in allowed and _alike(kind, listed, 31)
    return False


def _alike(kind: str, values: Sequence[Any], bits: int = 63) -> bool:
    """Whether values are of the kind of a column, so that no database reads them as another.

    Args:
        kind: How the column is compared.
        values: What it is compared with.
        bits: How large a whole number may be: several together are sent as words of 32 bits.
    """
    match kind:
        case "text":
            return all(isinstance(v, str) for v in values)
        case "integer":
            return all(isinstance(v, int) and not isinstance(v, bool) and -(2**bits) <= v < 2**bits for v in values)
        case "decimal":
            plain = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,20})?")
            return all(not isinstance(v, bool) and plain.fullmatch(_digits(v)) for v in values)
    return False


def _digits(value: Any) -> str:
    return str(Decimal(str(value))) if isinstance(value, (int, float, Decimal)) else ""


def _holdable(said: Any) -> bool:
    """Whether every text is one that a database can hold."""
    if isinstance(said, str):
        return "\0" not in said and not re.search("[\ud800-\udfff]", said)
    if isinstance(said, Mapping):
        return all(_holdable(each) for each in said.values())
    return not isinstance(said, (list, tuple)) or all(_holdable(each) for each in said)


#: What means the same in the regular expressions of Python, PostgreSQL and PCRE.
_PLAIN = r"[^\W_]|[ _/:@,;=!\"'#%&~<>-]|\\[-.+*?()\[\]{}^$|/\\]"
_CLASS = r"\[\^?-?(?:[A-Za-z0-9]-[A-Za-z0-9](?!-)|[A-Za-z0-9_ .,:;@/+*?=!%#()$<>](?!-[^\]])|\\[.\]\[^\\-])+-?\]"
_ATOM = rf"(?:{_PLAIN}|{_CLASS}|\.)"
_QUANTIFIED = rf"(?:{_ATOM}(?:[*+?]|\{{[0-9]{{1,2}}(?:,[0-9]{{0,2}})?\}})?)+"
_BODY = rf"{_QUANTIFIED}(?:\|{_QUANTIFIED})*"
_GROUP = re.compile(rf"(?<!\\)\((?:\?:)?{_BODY}\)")
_WHOLE = re.compile(rf"\^?{_BODY}\$?")
_TOKEN = re.compile(rf"{_CLASS}|\\.|.", re.DOTALL)


def _regex(written: Any) -> str:
    """Return what means to a database what a regular expression means to Python; empty where that is not known.

    A full stop takes no new line, and the end of a text may be before a last one.
    """
    if not isinstance(written, str):
        return ""
    flat, before = written, ""
    while flat != before:
        before, flat = flat, _GROUP.sub("x", flat)
    if not _WHOLE.fullmatch(flat):
        return ""
    tokens = _TOKEN.findall(written)
    told = ["[^\\n]" if token == "." else token for token in tokens]
    return "".join([*told[:-1], "\\n?$"]) if tokens[-1] == "$" else "".join(told)
