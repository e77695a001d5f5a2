"""How are the rows of a table or a view of a database streamed as they are, in one read-only transaction?

Columns are selected without types, so nothing stands between what the driver returns and Arrow. SQLite's
files are opened so that they can only be read, and a missing one is not created.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pyarrow as pa

from integrity.errors import MissingExtraError, StoreError, did_you_mean
from integrity.stores.base import CHUNK_ROWS, Span
from integrity.stores.columns import check_columns, unique_columns
from integrity.stores.objects import arrow_column

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Engine, Select, TableClause
    from sqlalchemy.engine import URL

__all__ = ["SqlStore", "sql_store"]

_EXTRAS = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql", "duckdb": "duckdb"}

#: How a dialect is asked for one snapshot that nothing can write to. SQLite has a way of its own.
_SNAPSHOT: dict[str, dict[str, Any]] = {
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}

#: How many rows are taken apart into columns at a time: so few that they stay in the processor's cache.
_FETCHED = 1024


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


class SqlStore:
    """A table or a view, by a SQLAlchemy URL.

    Args:
        url: Where the database is. Of SQLite's options only ``timeout`` is heeded: how many seconds to wait
            for a lock.
        table: The table or view.
        schema: Its schema, or the name of an attached database.

    Raises:
        StoreError: this is no SQLAlchemy URL.
    """

    def __init__(self, url: str, table: str, schema: str | None = None) -> None:
        import sqlalchemy

        try:
            self._url: URL = sqlalchemy.make_url(url)
        except (sqlalchemy.exc.ArgumentError, ValueError):  # which quote the URL, and with it the password
            raise StoreError(
                f"this {url.partition(':')[0]}:// URL cannot be parsed", "percent-encode what it quotes"
            ) from None
        self._backend = self._url.get_backend_name()
        if self._backend == "sqlite":
            self._url = self._url.set(database=_sqlite_path(self._url))
        self.name = f"{schema}.{table}" if schema else table
        shown = self._url.set(query={}).render_as_string(hide_password=True)
        self.location = f"{shown}#{quote(self.name)}" if table else shown
        self._schema = schema
        self._table = table

    def columns(self) -> Sequence[str]:
        """Return the names of the columns, as the database spells them."""
        with self._connected() as connection:
            return self._columns(connection)

    def stream(self, columns: Sequence[str], span: Span | None = None) -> Iterator[pa.RecordBatch]:
        """Yield every row, whatever the span: a time may be stored in any form."""
        import sqlalchemy

        with self._connected() as connection:
            check_columns(columns, self._columns(connection), self.name)
            chosen: list[ColumnElement[Any]] = [sqlalchemy.column(name) for name in columns]
            statement = sqlalchemy.select(*chosen).select_from(self._clause())
            read = _sqlite_rows if self._backend == "sqlite" else _rows
            for chunk in _chunks(read(connection, statement), len(columns)):
                yield pa.RecordBatch.from_arrays([arrow_column(values) for values in chunk], list(columns))

    def tables(self) -> list[str]:
        """Return the names of the tables and views of the schema."""
        import sqlalchemy

        with self._connected() as connection:
            inspector = sqlalchemy.inspect(connection)
            return [*inspector.get_table_names(self._schema), *inspector.get_view_names(self._schema)]

    def _clause(self) -> TableClause:
        import sqlalchemy

        return sqlalchemy.table(self._table, schema=self._schema)

    def _columns(self, connection: Connection) -> list[str]:
        """Ask for no row of all columns: unlike reflection, this cannot stumble over a type."""
        import sqlalchemy

        every = sqlalchemy.select(sqlalchemy.text("*")).select_from(self._clause())
        statement = every.where(sqlalchemy.false())
        try:
            with connection.execute(statement) as result:
                return unique_columns(result.keys(), self.name)
        except sqlalchemy.exc.DBAPIError:
            connection.rollback()
            names = self.tables()
            if self._table in names:
                raise
            database = self.location.partition("#")[0]
            raise StoreError(f"no table {self.name!r} in {database}", did_you_mean(self._table, names)) from None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Connect for one transaction that only reads, and turn what the database says into a sentence."""
        import sqlalchemy

        engine = self._engine()
        try:
            with engine.connect() as connection:
                if self._backend == "sqlite":
                    connection.exec_driver_sql("BEGIN")  # which sqlite3 leaves out before a SELECT
                else:
                    connection.execution_options(**_SNAPSHOT.get(self._backend, {}))
                yield connection
        except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error) as error:
            # Not as its cause: SQLAlchemy's text repeats the statement, sqlite3's may quote a value.
            raise self._problem(error) from None
        finally:
            engine.dispose()

    def _engine(self) -> Engine:
        import sqlalchemy

        url, pool = self._url, sqlalchemy.NullPool
        if self._backend == "sqlite":
            return sqlalchemy.create_engine("sqlite://", creator=lambda: _sqlite_open(url), poolclass=pool)
        try:
            return sqlalchemy.create_engine(url, poolclass=pool)
        except (ImportError, sqlalchemy.exc.NoSuchModuleError) as error:
            if self._backend in _EXTRAS:
                raise MissingExtraError(f"reading {url.drivername}:// URLs", _EXTRAS[self._backend]) from None
            raise StoreError(f"{url.drivername}:// URLs need a driver", self._safe(str(error))) from None

    def _problem(self, error: Exception) -> StoreError:
        original = getattr(error, "orig", None) or error
        if self._backend == "sqlite" and (problem := _sqlite_problem(self._url, original)):
            return problem
        return StoreError(f"{self.location} cannot be read to its end: {self._safe(str(original))}")

    def _safe(self, text: str) -> str:
        """Return the first line of a message, without the password."""
        text = text.partition("\n")[0]
        password = self._url.password
        return text.replace(str(password), "***").replace(quote(str(password)), "***") if password else text


def _rows(connection: Connection, statement: Select[Any]) -> Iterator[Sequence[Sequence[object]]]:
    options = {"stream_results": True, "max_row_buffer": _FETCHED}
    with connection.execute(statement, execution_options=options) as result:
        while rows := result.fetchmany(_FETCHED):
            yield rows


def _chunks(blocks: Iterator[Sequence[Sequence[object]]], width: int) -> Iterator[list[list[object]]]:
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


# SQLite


def _sqlite_path(url: URL) -> str:
    """Return the absolute path of the file, so that a later pass finds it from any folder."""
    database = url.database or ""
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise StoreError(f"{url.drivername}:// URLs cannot be read", "write sqlite:///path#table")
    if database.startswith("file:"):
        database = unquote(database.removeprefix("file:").partition("?")[0])
    if database in ("", ":memory:"):
        raise StoreError(
            "a SQLite database in memory is empty for everyone but its owner", "write sqlite:///path#table"
        )
    return os.path.abspath(os.path.expanduser(database))


def _sqlite_open(url: URL) -> sqlite3.Connection:
    path = Path(str(url.database))
    if path.is_dir():
        raise StoreError(f"{path} is a folder, not a SQLite database", "write sqlite:///path/of/the.db#table")
    if not path.exists():
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise StoreError(f"there is no SQLite database {path}", did_you_mean(path.name, siblings))
    try:
        timeout = float(str(url.query.get("timeout", 5)))
    except ValueError:
        raise StoreError("the timeout of a SQLite URL is no number", "write ?timeout=5 for 5 seconds") from None
    return sqlite3.connect(
        f"{path.as_uri()}?mode=ro", uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
    )


def _sqlite_rows(connection: Connection, statement: Select[Any]) -> Iterator[Sequence[Sequence[object]]]:
    """Yield the rows from the driver itself, which takes half the time, and knows what to do with bad text.

    SQLite does not check that text is UTF-8. Where it is not, the statement starts anew, in the same
    transaction and so over the same rows, with a decoder that returns such text as bytes.
    """
    driver: Any = connection.connection.driver_connection
    text = str(statement.compile(connection.engine))
    fetched = 0
    for decoder in (str, _text_or_bytes):
        driver.text_factory = decoder
        cursor = driver.execute(text)
        try:
            for _ in range(fetched):
                cursor.fetchone()
            while rows := cursor.fetchmany(_FETCHED):
                fetched += len(rows)
                yield rows
        except sqlite3.OperationalError as error:
            if decoder is not str or not str(error).startswith("Could not decode to UTF-8"):
                raise
        else:
            return
        finally:
            cursor.close()


def _text_or_bytes(text: bytes) -> str | bytes:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text


def _sqlite_problem(url: URL, error: BaseException) -> StoreError | None:
    path = str(url.database)
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreError(f"{path} is locked by a writer", "run again, or wait longer with ?timeout=60")
    if name.startswith("SQLITE_NOTADB"):
        return StoreError(f"{path} is not a SQLite database", "check the path; encrypted ones cannot be read")
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
        if os.path.isfile(path) and _is_wal(path):
            return StoreError(
                f"{path} has a write-ahead log, and its folder cannot be written to, which reading it takes",
                "copy it, with its -wal file, to a folder that can be",
            )
        return StoreError(f"{path} cannot be opened: {error}", "check that it is a file that you may read")
    return None


def _is_wal(path: str) -> bool:
    """Read from the header whether a reader has to use a write-ahead log."""
    try:
        with open(path, "rb") as file:
            return file.read(20)[18:] == b"\x02\x02"
    except OSError:
        return False
