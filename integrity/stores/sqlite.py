"""How is a SQLite file read, so that it can only be read, and a missing one is not made?

SQLite has no types for columns, only for values, and does not check that text is UTF-8; it has no SHA-256, and sums
beyond 64 bits are an error. So its rows are always pulled.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from integrity.errors import StoreError, did_you_mean
from integrity.stores.sql_session import FETCHED, Database, Options, Session

if TYPE_CHECKING:
    from sqlalchemy import Connection, FromClause, Select
    from sqlalchemy.engine import URL

    from integrity.stores.sql_types import SqlType

__all__ = ["SqliteDatabase"]


class SqliteDatabase(Database):
    """A SQLite file."""

    def __init__(self, url: URL, options: Options) -> None:
        super().__init__(url.set(database=_path(url)), options)

    def errors(self) -> tuple[type[Exception], ...]:
        return (sqlite3.Error,)

    def engine_arguments(self) -> dict[str, Any]:
        return super().engine_arguments() | {"creator": self._open}

    def begin(self, connection: Connection) -> Session:
        connection.exec_driver_sql("BEGIN")  # which sqlite3 leaves out before a SELECT
        return _SqliteSession(self, connection)

    def problem(self, error: Exception) -> StoreError:
        original = getattr(error, "orig", None) or error
        path = str(self.url.database)
        name = getattr(original, "sqlite_errorname", "")
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
            return StoreError(f"{path} cannot be opened: {original}", "check that it is a file that you may read")
        return super().problem(error)

    def _open(self) -> sqlite3.Connection:
        path = Path(str(self.url.database))
        if path.is_dir():
            raise StoreError(f"{path} is a folder, not a SQLite database", "write sqlite:///path/of/the.db#table")
        if not path.exists():
            siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
            raise StoreError(f"there is no SQLite database {path}", did_you_mean(path.name, siblings))
        return sqlite3.connect(
            f"{path.as_uri()}?mode=ro",
            uri=True,
            timeout=self.options.lock_timeout,
            isolation_level=None,
            check_same_thread=False,
        )


class _SqliteSession(Session):
    def types(self, clause: FromClause, table: tuple[str | None, str] | None) -> dict[str, SqlType]:
        return {}  # those of its columns bind nobody

    def fetched(self, statement: Select[Any]) -> Iterator[Sequence[Sequence[object]]]:
        """Yield the rows from the driver itself, which takes half the time, and knows what to do with bad text.

        Where text is not UTF-8, the statement starts anew, in the same transaction and so over the same rows, with a
        decoder that returns such text as bytes.
        """
        driver: Any = self.connection.connection.driver_connection
        text = str(statement.compile(dialect=self.dialect, compile_kwargs={"literal_binds": True}))
        fetched = 0
        for decoder in (str, _text_or_bytes):
            driver.text_factory = decoder
            cursor = driver.execute(text)
            try:
                for _ in range(fetched):
                    cursor.fetchone()
                while rows := cursor.fetchmany(FETCHED):
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


def _path(url: URL) -> str:
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


def _is_wal(path: str) -> bool:
    """Read from the header whether a reader has to use a write-ahead log."""
    try:
        with open(path, "rb") as file:
            return file.read(20)[18:] == b"\x02\x02"
    except OSError:
        return False
