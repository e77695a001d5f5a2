"""How is a database connected to, asked and understood: by SQLAlchemy alone, or better where its dialect is known?

A :class:`Database` is one kind of database; a :class:`Session` is one transaction of it that only reads, over one
snapshot. What differs between databases overrides what is written here, in a module of its own.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

import pyarrow as pa

from integrity.errors import (
    ConnectionLostError,
    IntegrityError,
    MissingExtraError,
    StoreError,
    did_you_mean,
)
from integrity.stores.base import CHUNK_ROWS
from integrity.stores.columns import unique_columns
from integrity.stores.objects import arrow_column
from integrity.stores.sql_types import Kind, SqlType
from integrity.values import CALENDAR

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Dialect, Engine, FromClause, Select
    from sqlalchemy.engine import URL

__all__ = ["Database", "Options", "Session", "chunks", "on_the_calendar"]

#: How many rows are taken apart into columns at a time: so few that they stay in the processor's cache.
FETCHED = 1024
#: How many identities are asked for in one statement.
_SOUGHT = 1000


@dataclass(frozen=True, slots=True)
class Options:
    """How patient to be, and how far behind a replica may be: options of the URL that no driver sees.

    Attributes:
        timeout: Seconds that one statement may take, its rows' journey included.
        lock_timeout: Seconds to wait for a lock.
        lag: How far this replica may be behind.
    """

    timeout: float = 3600
    lock_timeout: float = 30
    lag: dt.timedelta = dt.timedelta(0)

    @classmethod
    def taken_from(cls, url: URL, *, timeout_is_of_locks: bool = False) -> tuple[Options, URL]:
        """Return the options that a URL carries, and the URL without them.

        Args:
            url: A URL, perhaps with ``?timeout=600&lock_timeout=5&lag=2m``.
            timeout_is_of_locks: ``timeout`` means the wait for a lock, as SQLite's own driver has it.

        Raises:
            StoreError: an option cannot be read.
        """
        options = cls(lock_timeout=5) if timeout_is_of_locks else cls()
        for name in ("timeout", "lock_timeout", "lag"):
            said = url.query.get(name)
            if said is None:
                continue
            text = said if isinstance(said, str) else said[-1]
            if name == "lag":
                from integrity.windows import parse_duration

                try:
                    options = replace(options, lag=dt.timedelta(microseconds=parse_duration(text)))
                except ValueError:
                    raise StoreError(f"lag={text} is no duration", "write ?lag=30s or ?lag=5m") from None
                continue
            try:
                seconds = float(text)
            except ValueError:
                seconds = -1
            if not 0 < seconds < 10**6:
                raise StoreError(f"{name}={text} is no number of seconds", f"write ?{name}=60 for a minute")
            if name == "timeout" and not timeout_is_of_locks:
                options = replace(options, timeout=seconds)
            else:
                options = replace(options, lock_timeout=seconds)
        return options, url.difference_update_query(["timeout", "lock_timeout", "lag"])


class Database:
    """Any database that SQLAlchemy knows.

    Attributes:
        url: Where it is.
        options: How patient to be.
    """

    #: The extra that brings its driver.
    extra = ""
    #: How a connection is made to read one snapshot and nothing else.
    execution_options: ClassVar[dict[str, Any]] = {}

    def __init__(self, url: URL, options: Options) -> None:
        self.url = url
        self.options = options

    @property
    def rather_pulled(self) -> str:
        """Why pulling its rows takes less time than letting it total them; empty where it does not."""
        return ""

    @property
    def shown(self) -> str:
        """The URL without password and options."""
        return self.url.set(query={}).render_as_string(hide_password=True)

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """Connect for one transaction that only reads, and turn what the database says into a sentence.

        Raises:
            MissingExtraError: no driver.
            ConnectionLostError: the connection was dropped on the way.
            StoreError: anything else that the database refuses.
        """
        import sqlalchemy

        engine = self.engine()
        try:
            with engine.connect() as connection:
                try:
                    yield self.begin(connection)
                finally:
                    connection.invalidate()  # closed without a word: it may be gone, and closing rolls back
        except IntegrityError:
            raise
        except Exception as error:
            if not isinstance(error, (sqlalchemy.exc.SQLAlchemyError, *self.errors())):
                raise
            # Not as its cause: SQLAlchemy's text repeats the statement, a driver's may quote a value.
            raise self.problem(error) from None
        finally:
            engine.dispose()

    def begin(self, connection: Connection) -> Session:
        """Make a fresh connection the session that is wanted."""
        connection.execution_options(**self.execution_options)
        return Session(self, connection)

    def errors(self) -> tuple[type[Exception], ...]:
        """What its driver raises past SQLAlchemy."""
        return ()

    def engine(self) -> Engine:
        import sqlalchemy

        try:
            return sqlalchemy.create_engine(self.url, **self.engine_arguments())
        except (ImportError, sqlalchemy.exc.NoSuchModuleError) as error:
            if self.extra:
                raise MissingExtraError(f"reading {self.url.drivername}:// URLs", self.extra) from None
            raise StoreError(f"{self.url.drivername}:// URLs need a driver", self.safe(str(error))) from None
        except (TypeError, ValueError) as error:  # an option that the driver does not know
            raise StoreError(f"{self.shown} cannot be opened: {self.safe(str(error))}", "check the URL") from None

    def engine_arguments(self) -> dict[str, Any]:
        import sqlalchemy

        return {"poolclass": sqlalchemy.NullPool}

    def problem(self, error: Exception) -> StoreError:
        """Say in a sentence what the database said."""
        original = getattr(error, "orig", None) or error
        said = self.safe(self.said(original))
        if self.was_dropped(error):
            return ConnectionLostError(f"{self.shown} dropped the connection: {said}", "run again when it is back")
        return StoreError(f"{self.shown} cannot be read to its end: {said}")

    def said(self, error: BaseException) -> str:
        """What the database itself said."""
        return str(error)

    def was_dropped(self, error: Exception) -> bool:
        """Whether the connection is gone, and a new one may succeed."""
        return bool(getattr(error, "connection_invalidated", False))

    def safe(self, text: str) -> str:
        """Return the first line of a message, without the password."""
        text = text.strip().partition("\n")[0]
        password = self.url.password
        return text.replace(str(password), "***").replace(quote(str(password)), "***") if password else text


class Session:
    """One transaction that reads one snapshot."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self.database = database
        self.connection = connection

    @property
    def dialect(self) -> Dialect:
        return self.connection.dialect

    def names(self, clause: FromClause, name: str, table: tuple[str | None, str] | None) -> list[str]:
        """Return the columns, by asking for no row of all of them: unlike reflection, this stumbles over no type.

        Args:
            clause: What to select from.
            name: What to call it in messages.
            table: Its schema and name, if it is a table or a view.

        Raises:
            StoreError: there is no such table; the advice lists those that are there.
        """
        import sqlalchemy

        every = sqlalchemy.select(sqlalchemy.text("*")).select_from(clause)
        try:
            return unique_columns(self.described(every.where(sqlalchemy.false())), name)
        except Exception as error:
            if table is None or not isinstance(error, (sqlalchemy.exc.DBAPIError, *self.database.errors())):
                raise
            self.connection.rollback()
            names = self.tables(table[0])
            if table[1] in names:
                raise
            raise StoreError(f"no table {name!r} in {self.database.shown}", did_you_mean(table[1], names)) from None

    def described(self, statement: Select[Any]) -> list[str]:
        """Return the names of the columns of a statement."""
        with self.connection.execute(statement) as result:
            return list(result.keys())

    def types(self, clause: FromClause, table: tuple[str | None, str] | None) -> dict[str, SqlType]:
        """Return the types of the columns, by reflection; of a query, and of what reflection stumbles over, none."""
        import sqlalchemy

        if table is None:
            return {}
        try:
            columns = sqlalchemy.inspect(self.connection).get_columns(table[1], table[0])
        except (sqlalchemy.exc.SQLAlchemyError, NotImplementedError):
            return {}
        # Of a database that is not known well, a type is of no kind.
        return {column["name"]: SqlType(Kind.OTHER, str(column["type"])) for column in columns}

    def batches(self, statement: Select[Any], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Stream the rows of a statement, as Arrow, in bounded memory."""
        for columns in chunks(self.fetched(statement), len(names)):
            yield pa.RecordBatch.from_arrays([arrow_column(values) for values in columns], list(names))

    def fetched(self, statement: Select[Any]) -> Iterator[Sequence[Sequence[object]]]:
        """Yield the rows of a statement, a few at a time."""
        options = {"stream_results": True, "max_row_buffer": FETCHED}
        with self.connection.execute(statement, execution_options=options) as result:
            while rows := result.fetchmany(FETCHED):
                yield rows

    def found(
        self,
        every: Select[Any],
        identity: Sequence[ColumnElement[Any]],
        kinds: Sequence[Kind],
        sought: Sequence[tuple[Any, ...]],
        names: Sequence[str],
    ) -> Iterator[pa.RecordBatch]:
        """Yield those rows of a statement that have one of these identities, each a value a column, none NULL."""
        import sqlalchemy

        from integrity.stores.sql_text import Exact, exact

        for start in range(0, len(sought), _SOUGHT):
            rows = sought[start : start + _SOUGHT]
            one = len(identity) == 1
            condition = identity[0].in_([row[0] for row in rows]) if one else sqlalchemy.tuple_(*identity).in_(rows)
            # A collation may hold more of them for equal, and each row has to come only once.
            columns = [Exact(c) if kind is Kind.TEXT else c for c, kind in zip(identity, kinds, strict=True)]
            octets = [
                tuple(exact(v, self.dialect.name) if k is Kind.TEXT else v for v, k in zip(row, kinds, strict=True))
                for row in rows
            ]
            same = columns[0].in_([row[0] for row in octets]) if one else sqlalchemy.tuple_(*columns).in_(octets)
            yield from self.batches(every.where(condition, same), names)

    def rows(self, statement: Select[Any]) -> list[Sequence[Any]]:
        """Return all rows of a statement that has few."""
        with self.connection.execute(statement) as result:
            return [tuple(row) for row in result]

    def written(self, statement: Select[Any]) -> str:
        """Write a statement out for a person."""
        text = str(statement.compile(dialect=self.dialect, compile_kwargs={"literal_binds": True}))
        return text.replace("%%", "%") if self.dialect.paramstyle in ("format", "pyformat") else text

    def hindrance(self) -> str:
        """Why nothing can be totalled in this database, or an empty text."""
        return ""

    def tables(self, schema: str | None) -> list[str]:
        """Return the names of the tables and views of a schema."""
        import sqlalchemy

        inspector = sqlalchemy.inspect(self.connection)
        return [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]

    def indexes(self, table: tuple[str | None, str]) -> tuple[list[list[str]], list[list[str]]]:
        """Return the columns of each index of a table, and of each that holds no NULL and nothing twice."""
        import sqlalchemy

        inspector = sqlalchemy.inspect(self.connection)
        name, schema = table[1], table[0]
        try:
            key = [list(inspector.get_pk_constraint(name, schema).get("constrained_columns") or [])]
            others = [
                [column for column in index["column_names"] if column] for index in inspector.get_indexes(name, schema)
            ]
        except (sqlalchemy.exc.SQLAlchemyError, NotImplementedError):  # a view has none
            return [], []
        return [columns for columns in [*key, *others] if columns], [columns for columns in key if columns]


def chunks(blocks: Iterator[Sequence[Sequence[object]]], width: int) -> Iterator[list[list[object]]]:
    """Yield the columns of ``CHUNK_ROWS`` rows at a time."""
    while True:
        columns: list[list[object]] = [[] for _ in range(width)]
        for rows in blocks:
            for column, values in zip(columns, zip(*rows, strict=True), strict=True):
                column.extend(values)
            if len(columns[0]) >= CHUNK_ROWS:
                break
        if not columns[0]:
            return
        yield columns


def on_the_calendar(array: pa.Array[Any]) -> pa.Array[Any]:
    """Return an array in which times before the year 1 or after 9999 are unreadable: infinity comes as a number."""
    import pyarrow.compute as pc

    day = 86_400_000_000
    if pa.types.is_timestamp(array.type):
        a_second = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[array.type.unit]
        width: Any = pa.int64()
        low, high = CALENDAR[0] * a_second // 1_000_000, CALENDAR[1] * a_second // 1_000_000
    elif pa.types.is_date32(array.type):
        width = pa.int32()
        low, high = CALENDAR[0] // day, CALENDAR[1] // day
    else:
        return array
    numbers: Any = array.view(width)
    if array.type == pa.timestamp("ns", getattr(array.type, "tz", None)):
        infinite = 2**63 - 1  # all others are on the calendar: its years are 1677 to 2262
        low, high = -infinite + 1, infinite - 1
    extremes: Any = pc.min_max(numbers)
    least, most = extremes["min"].as_py(), extremes["max"].as_py()
    if least is None or (low <= least and most <= high):
        return array
    ticks: list[int | None] = numbers.to_pylist()
    inside = [None if tick is None else low <= tick <= high for tick in ticks]
    kept = pc.if_else(pa.array(inside, pa.bool_()), array, pa.scalar(None, array.type)).to_pylist()
    beyond = "infinite, or beyond the years 1 to 9999"
    return arrow_column([beyond if ok is False else value for ok, value in zip(inside, kept, strict=True)])
