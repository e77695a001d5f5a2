"""Which rows are the items of a table, a view or a query of a database, and how are they asked for?

Only the wanted columns and the wanted span of time travel, in one read-only snapshot a pass. Columns are selected
without types, so nothing stands between what the driver returns and Arrow.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pyarrow as pa

from integrity.columns import Column, ColumnType
from integrity.errors import PushdownError, StoreError, UsageError, did_you_mean
from integrity.stores.base import Field, Pushed, Question, Span
from integrity.stores.columns import check_columns
from integrity.stores.showing import ShownStore
from integrity.stores.sql_session import Database, Options, Session
from integrity.stores.sql_spans import between
from integrity.stores.sql_types import Kind, SqlType

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, CompoundSelect, FromClause, Select
    from sqlalchemy.engine import URL

__all__ = ["SqlStore", "sql_store", "store_of"]


def sql_store(url: str) -> SqlStore:
    """Return the store of a URL with ``#table`` or ``#schema.table``; percent escapes are undone.

    Raises:
        StoreError: the URL names no table; the advice lists those that are there.
    """
    # No "@" and no "/": else what looks like a fragment is the rest of a password or a path.
    address, mark, fragment = url.rpartition("#")
    if not mark or not fragment or "@" in fragment or "/" in fragment:
        store = SqlStore(url.rstrip("#"), "")
        raise StoreError(f"which table of {store.location}? Add #name", did_you_mean("", store.tables()))
    schema, _, table = fragment.rpartition(".")
    return SqlStore(address, unquote(table), unquote(schema) or None)


class SqlStore(ShownStore):
    """A table, a view or a query, by a SQLAlchemy URL.

    Args:
        url: Where the database is. Of its options ``timeout`` (seconds that a statement may take), ``lock_timeout``
            (seconds to wait for a lock) and ``lag`` (how far a replica may be behind: ``30s``) are ours, the others
            are the driver's. SQLite heeds ``lag``, and ``timeout`` as its driver does: the wait for a lock.
        table: The table or view.
        schema: Its schema, or the name of an attached database.
        query: Instead of a table: the text of a SELECT, or SQLAlchemy's.

    Raises:
        StoreError: this is no SQLAlchemy URL, or an option of it cannot be read.

    Example:
        >>> SqlStore("postgresql://app:secret@db/shop?lag=30s", "orders", "sales").location
        'postgresql://app:***@db/shop#sales.orders'
    """

    def __init__(
        self, url: str, table: str = "", schema: str | None = None, *, query: str | Select[Any] | None = None
    ) -> None:
        self._database = _database(url)
        self._table = None if query is not None else (schema, table)
        self._query: str | Select[Any] | CompoundSelect[Any] | None = query
        self._known: dict[str, SqlType] | None = None
        if query is not None:
            text = " ".join(str(query).split())
            self.name = "the query"
            self.location = f"{self._database.shown}#({text})"
        else:
            self.name = f"{schema}.{table}" if schema else table
            shown = self._database.shown
            path = ".".join(quote(part, safe="").replace(".", "%2E") for part in (schema, table) if part)
            self.location = f"{shown}#{path}" if table else shown
        #: What a person should know of how it was read.
        self.remarks: tuple[str, ...] = ()

    @property
    def lag(self) -> dt.timedelta:
        """How far this replica may be behind, as its URL declares."""
        return self._database.options.lag

    @property
    def rather_pulled(self) -> str:
        """Why pulling its rows takes less time than letting it total them, or an empty text."""
        return self._database.rather_pulled

    @property
    def dialect(self) -> str:
        """What SQLAlchemy calls this kind of database."""
        return self._database.url.get_backend_name()

    def columns(self) -> Sequence[str]:
        """Return the names of the columns, as the database spells them."""
        with self._database.session() as session:
            return self._columns(session)

    def types(self) -> Mapping[str, pa.DataType]:
        """Return the types of those columns that the database binds to one."""
        with self._database.session() as session:
            types = self._types(session)
        return {name: type_.arrow for name, type_ in types.items() if type_.arrow is not None}

    def tables(self) -> list[str]:
        """Return the names of the tables and views of the schema."""
        with self._database.session() as session:
            return session.tables(self._table[0] if self._table else None)

    def stream(self, columns: Sequence[str], span: Span | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the span, where its column is of a type that can be compared, else all rows."""
        with self._database.session() as session:
            for statement in self._statements(columns, span, session):
                yield from session.batches(statement, columns)

    def head(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield a few rows, whichever are had first."""
        with self._database.session() as session:
            check_columns(columns, self._columns(session), self.name)
            yield from session.batches(self.select(columns).limit(rows), columns)

    def explain(self, columns: Sequence[str], span: Span | None = None) -> list[str]:
        """Return the SQL by which rows are pulled, without running it."""
        with self._database.session() as session:
            return [session.written(statement) for statement in self._statements(columns, span, session)]

    # --- asking for some -------------------------------------------------------------------------------------------

    def finds(self, fields: Sequence[Field]) -> bool:
        """Tell whether the identity columns are of types whose values are asked for as they are.

        Files are read whole instead: that is as fast.
        """
        if self.dialect not in ("postgresql", "mysql", "mariadb"):
            return False
        with self._database.session() as session:
            types = self._types(session)
        return all(_askable(types.get(field.theirs), field.column) for field in fields)

    def find(self, columns: Sequence[str], fields: Sequence[Field], identities: pa.Table) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some identities."""
        import sqlalchemy

        named: list[ColumnElement[Any]] = [sqlalchemy.column(field.theirs) for field in fields]
        every = self.select(columns)
        with self._database.session() as session:
            check_columns(columns, self._columns(session), self.name)
            types = self._types(session)
            kinds = [types[field.theirs].kind for field in fields]
            given = zip(*(column.to_pylist() for column in identities.columns), strict=True)
            few = self.dialect == "postgresql"  # which holds no NUL, and no unsigned numbers
            plain = [tuple(_plain(v, kind, few) for v, kind in zip(row, kinds, strict=True)) for row in given]
            sought = [row for row in plain if None not in row]  # what no such column can hold, is not there
            yield from session.found(every, named, kinds, sought, columns)
            yield from session.batches(every.where(sqlalchemy.or_(*(c.is_(None) for c in named))), columns)

    # --- totalling its own items -------------------------------------------------------------------------------------

    def pushed(self, question: Question) -> Pushed:
        """Return how this database totals its own items."""
        from integrity.stores.sql_text import DIALECTS
        from integrity.stores.sql_totals import SqlTotals

        if self.dialect not in DIALECTS:
            known = "it has no SHA-256" if self.dialect == "sqlite" else "its SQL is not known well enough"
            raise PushdownError(f"{self.dialect} does not total its own items: {known}", "pull the rows")
        with self._database.session() as session:
            types = self._types(session)
            if hindrance := session.hindrance():
                raise PushdownError(hindrance, "pull the rows")
            if not types:
                raise PushdownError(f"the types of the columns of {self.name} are not known", "pull the rows")
            if question.event is not None and (question.since is not None or question.until is not None):
                self._say_if_unindexed(question.event.theirs, session)
            keys = [] if self._table is None else session.indexes(self._table)[1]
            return SqlTotals(self, question, types, session.dialect, keys)

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """Open one transaction that reads one snapshot."""
        with self._database.session() as session:
            yield session

    def planted(self, rows: pa.RecordBatch, zone: str | None) -> SqlStore:
        """Return a store of these rows alone, as this database would hold them in this table. Nothing is written."""
        import sqlalchemy

        from integrity.stores.sql_rows import planted

        with self._database.session() as session:
            types = self._types(session)
        empty = self.select(rows.schema.names).where(sqlalchemy.false())
        made = SqlStore.__new__(SqlStore)
        made.__dict__.update(self.__dict__)
        made._table, made._known = None, types
        made._query = planted(empty, rows, types, session.dialect.name, zone)
        return made

    # --- how a statement is put together ---------------------------------------------------------------------------

    def clause(self) -> FromClause:
        """Return what to select from."""
        import sqlalchemy

        if self._table is not None:
            return sqlalchemy.table(self._table[1], schema=self._table[0])
        if isinstance(self._query, str):
            text = self._query.strip().rstrip(";").replace(":", "\\:")  # which would else be a parameter
            return sqlalchemy.text(text).columns().subquery("items")
        assert self._query is not None
        return self._query.subquery("items")

    def select(self, columns: Sequence[str]) -> Select[Any]:
        """Return the statement for all rows."""
        import sqlalchemy

        chosen: list[ColumnElement[Any]] = [sqlalchemy.column(name) for name in columns]
        return sqlalchemy.select(*chosen).select_from(self.clause())

    def _statements(self, columns: Sequence[str], span: Span | None, session: Session) -> list[Select[Any]]:
        """Return the statements for the rows of a span: one, or two where the database compares its column."""
        import sqlalchemy

        check_columns(columns, self._columns(session), self.name)
        every = self.select(columns)
        condition = None if span is None else self._within(span, session)
        if span is None or condition is None:
            return [every]
        # Apart from each other: an index serves the range, and no index may serve what is NULL.
        return [every.where(condition), every.where(sqlalchemy.column(span.column).is_(None))]

    def _types(self, session: Session) -> dict[str, SqlType]:
        return session.types(self.clause(), self._table) if self._known is None else self._known

    def _columns(self, session: Session) -> list[str]:
        return session.names(self.clause(), self.name, self._table)

    def _within(self, span: Span, session: Session) -> ColumnElement[bool] | None:
        """Return the condition that the time lies in the span, or ``None`` where the database cannot compare it."""
        type_ = self._types(session).get(span.column)
        if type_ is None or type_.kind not in (Kind.LOCAL, Kind.INSTANT):
            return None
        if type_.kind is Kind.LOCAL and span.zone is None:
            return None
        self._say_if_unindexed(span.column, session)
        return between(span.column, type_.kind, span.intervals, span.zone)

    def _say_if_unindexed(self, column: str, session: Session) -> None:
        if self._table is None or self.dialect == "duckdb":  # whose columns carry their ranges
            return
        indexes, _ = session.indexes(self._table)
        if not any(index[0] == column for index in indexes):
            self.remarks = (f"no index of {self.name} begins with {column!r}, so each pass may read it whole",)


def _askable(type_: SqlType | None, column: Column) -> bool:
    """Whether a canonical value of this column is its value in the database."""
    kinds = {ColumnType.TEXT: Kind.TEXT, ColumnType.INTEGER: Kind.INTEGER, ColumnType.UUID: Kind.UUID}
    changed = column.unicode or column.newline or column.trim or column.casefold
    return type_ is not None and not changed and kinds.get(column.type) is type_.kind


def _plain(value: str | None, kind: Kind, few: bool) -> Any:
    """Return the value of a canonical text, ``None`` where no column of this kind holds it."""
    if value is None or (few and "\0" in value):  # NULL is asked for apart
        return None
    if kind is Kind.INTEGER:
        number = int(value) if re.fullmatch("-?[0-9]{1,20}", value) else None
        return number if number is not None and -(2**63) <= number < 2 ** (63 if few else 64) else None
    if kind is Kind.UUID:
        try:
            return uuid.UUID(value)
        except ValueError:
            return None
    return value


def _database(url: str) -> Database:
    """Return the kind of database that a URL names, as well as it is known here."""
    import sqlalchemy

    try:
        parsed: URL = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):  # which quote the URL, and with it the password
        raise StoreError(
            f"this {url.partition(':')[0]}:// URL cannot be parsed", "percent-encode what it quotes"
        ) from None
    backend = parsed.get_backend_name()
    options, parsed = Options.taken_from(parsed, timeout_is_of_locks=backend == "sqlite")
    match backend:
        case "sqlite":
            from integrity.stores.sqlite import SqliteDatabase

            return SqliteDatabase(parsed, options)
        case "postgresql":
            from integrity.stores.postgresql import PostgresqlDatabase

            return PostgresqlDatabase(parsed, options)
        case "mysql" | "mariadb":
            from integrity.stores.mysql import MysqlDatabase

            return MysqlDatabase(parsed, options)
        case "duckdb":
            from integrity.stores.duckdb import DuckdbDatabase

            return DuckdbDatabase(parsed, options)
        case _:
            return Database(parsed, options)


def store_of(said: Mapping[str, Any]) -> SqlStore:
    """Return the store of a mapping: ``url``, and one of ``table`` (with or without ``schema``) and ``query``.

    Raises:
        UsageError: a key is missing, unknown, or of the wrong kind.
    """
    known = {"url", "table", "schema", "query"}
    for key, value in said.items():
        if key not in known:
            raise UsageError(f"a store has no key {key!r}", did_you_mean(str(key), known))
        if key != "query" and not isinstance(value, str):
            raise UsageError(f"the {key} of a store is text, not {value!r}", "write it in quotes")
    if "url" not in said or ("table" in said) == ("query" in said):
        raise UsageError("a store is its url, and either its table or a query", "{url: 'postgresql://…', query: '…'}")
    if "query" in said:
        return SqlStore(said["url"], query=said["query"])
    return SqlStore(said["url"], said["table"], said.get("schema"))
