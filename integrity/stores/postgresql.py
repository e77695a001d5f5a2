"""How are PostgreSQL's rows read as fast as it can send them, and exactly?

Bulk comes by ADBC, which turns PostgreSQL's binary COPY into Arrow; where its driver is not installed, psycopg streams
through a server-side cursor. Types and totals, which are small, are psycopg's. Each connection is one read-only
transaction at REPEATABLE READ, which is one snapshot.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from integrity.errors import PushdownError, StoreError
from integrity.stores.base import CHUNK_ROWS
from integrity.stores.sql_session import Database, Options, Session, on_the_calendar
from integrity.stores.sql_types import Kind, SqlType

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, FromClause, Select
    from sqlalchemy.engine import URL

__all__ = ["PostgresqlDatabase"]

#: What the server says it is doing when it goes away, and what a connection says that it is left by.
_GONE = ("57P01", "57P02", "57P03", "08000", "08003", "08006")
_LEFT = ("server closed the connection", "terminating connection", "connection to server was lost", "EOF detected")

_BY_OID = {
    16: Kind.BOOLEAN, 17: Kind.BINARY, 20: Kind.INTEGER, 21: Kind.INTEGER, 23: Kind.INTEGER,
    25: Kind.TEXT, 1043: Kind.TEXT, 19: Kind.TEXT, 700: Kind.FLOAT, 701: Kind.FLOAT, 1082: Kind.DATE,
    1114: Kind.LOCAL, 1184: Kind.INSTANT, 1700: Kind.DECIMAL, 2950: Kind.UUID,
}  # fmt: skip
#: Types of no kind that are sent as they are: padded CHAR, JSON. Others as PostgreSQL writes them out.
_AS_THEY_ARE = (1042, 114, 3802)


class PostgresqlDatabase(Database):
    """PostgreSQL, and what speaks its protocol."""

    extra = "postgresql"
    execution_options: ClassVar[dict[str, Any]] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

    def __init__(self, url: URL, options: Options) -> None:
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        super().__init__(url, options)

    @property
    def rather_pulled(self) -> str:
        """On one machine its rows are here in less time than it needs to hash them: measured, see benchmarks."""
        host = self.url.host or str(self.url.query.get("host", "")) or "localhost"
        local = host in ("localhost", "127.0.0.1", "::1") or host.startswith("/")
        return "it is on this machine, and hashing here is faster" if local and _has_adbc() else ""

    @property
    def shown(self) -> str:
        return self.url.set(query={}, drivername="postgresql").render_as_string(hide_password=True)

    def engine_arguments(self) -> dict[str, Any]:
        return super().engine_arguments() | {"connect_args": {"prepare_threshold": None}}

    def begin(self, connection: Connection) -> Session:
        connection.execution_options(**self.execution_options)
        for setting in self.settings():
            connection.exec_driver_sql(setting)
        return _PostgresqlSession(self, connection)

    def settings(self) -> list[str]:
        """What is set for one transaction; numbers of ours, so nothing is bound."""
        return [
            f"SET LOCAL statement_timeout = {round(self.options.timeout * 1000)}",
            f"SET LOCAL lock_timeout = {round(self.options.lock_timeout * 1000)}",
            "SET LOCAL TimeZone = 'UTC'",
            "SET LOCAL standard_conforming_strings = on",
        ]

    def errors(self) -> tuple[type[Exception], ...]:
        with contextlib.suppress(ImportError):
            from adbc_driver_manager import Error

            return (Error, OSError, pa.ArrowException)  # the latter from the middle of ADBC's Arrow stream
        return ()

    def problem(self, error: Exception) -> StoreError:
        original = getattr(error, "orig", None) or error
        state, said = getattr(original, "sqlstate", None), str(original)
        if state == "55P03" or "due to lock timeout" in said:
            return StoreError(
                f"{self.shown}: a table is locked by another session, after {self.options.lock_timeout:g} s of waiting",
                "run again, or wait longer with ?lock_timeout=120",
            )
        if state == "57014" or "due to statement timeout" in said:
            return StoreError(
                f"{self.shown}: a statement took longer than {self.options.timeout:g} s",
                "ask for fewer windows with since and until, or allow more with ?timeout=7200",
            )
        problem = super().problem(error)
        # A number was beyond what its type holds, a text none of its type: rows as they are never are.
        return PushdownError(problem.problem, "pull the rows") if str(state).startswith("22") else problem

    def was_dropped(self, error: Exception) -> bool:
        original = getattr(error, "orig", None) or error
        said = str(original)
        return (
            super().was_dropped(error)
            or getattr(original, "sqlstate", None) in _GONE
            or any(words in said for words in _LEFT)
        )

    def safe(self, text: str) -> str:
        text = text.partition("Query was:")[0].partition("ERROR:")[2] or text
        return super().safe(text)


class _PostgresqlSession(Session):
    def types(self, clause: FromClause, table: tuple[str | None, str] | None) -> dict[str, SqlType]:
        """Return the types as the server describes those of a statement: of tables, views and queries alike."""
        import sqlalchemy

        every = sqlalchemy.select(sqlalchemy.text("*")).select_from(clause).where(sqlalchemy.false())
        with self.connection.execute(every) as result:
            described: Any = result.cursor.description
            return {column.name: _type(column) for column in described}

    def hindrance(self) -> str:
        driver: Any = self.connection.connection.driver_connection
        encoding = driver.info.parameter_status("server_encoding")
        return "" if encoding == "UTF8" else f"the database's encoding is {encoding}, not UTF8"

    def batches(self, statement: Select[Any], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        statement = self._plain(statement)
        if not _has_adbc():
            return super().batches(statement, names)
        return self._copied(self._text(statement), names, None)

    def found(
        self,
        every: Select[Any],
        identity: Sequence[ColumnElement[Any]],
        kinds: Sequence[Kind],
        sought: Sequence[tuple[Any, ...]],
        names: Sequence[str],
    ) -> Iterator[pa.RecordBatch]:
        if not _has_adbc() or not sought:
            return super().found(every, identity, kinds, sought, names)
        columns, casts, arrays = [], [], []
        for i, (column, kind) in enumerate(zip(identity, kinds, strict=True)):
            columns.append(self._text(column))
            casts.append(
                {Kind.INTEGER: f"${i + 1}::bigint[]", Kind.UUID: f"${i + 1}::text[]::uuid[]"}.get(
                    kind, f"${i + 1}::text[]"
                )
            )
            values = [row[i] if kind is Kind.INTEGER else str(row[i]) for row in sought]
            arrays.append(pa.array([values], pa.list_(pa.int64() if kind is Kind.INTEGER else pa.string())))
        wanted = f"({', '.join(columns)}) IN (SELECT * FROM unnest({', '.join(casts)}))"  # noqa: S608
        bound = pa.RecordBatch.from_arrays(arrays, [str(i) for i in range(len(arrays))])
        return self._copied(f"{self._text(self._plain(every))} WHERE {wanted}", names, bound)

    def _text(self, statement: Select[Any] | ColumnElement[Any]) -> str:
        """Write a statement, or a column's name, out for ADBC.

        It binds nothing into a COPY; what is written out are instants, and words of the contract.
        """
        from sqlalchemy.dialects import postgresql

        dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # doubles no percent signs
        return str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))

    def _copied(self, text: str, names: Sequence[str], bound: pa.RecordBatch | None) -> Iterator[pa.RecordBatch]:
        import adbc_driver_postgresql.dbapi as adbc

        assert isinstance(self.database, PostgresqlDatabase)
        address = self.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with adbc.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            for setting in self.database.settings():
                cursor.execute(setting)
            cursor.execute(text, bound)
            for batch in cursor.fetch_record_batch():
                columns = [_readable(column) for column in batch.columns]
                whole = pa.RecordBatch.from_arrays(columns, list(names))
                for start in range(0, whole.num_rows, CHUNK_ROWS):
                    yield whole.slice(start, CHUNK_ROWS)

    def _plain(self, statement: Select[Any]) -> Select[Any]:
        """Ask for types that have no Arrow type of their own as text, as PostgreSQL writes them.

        Without ADBC for times, too: psycopg raises for one that is infinite.
        """
        import sqlalchemy

        native = set(_BY_OID) | set(_AS_THEY_ARE)
        if not _has_adbc():
            native -= {oid for oid, kind in _BY_OID.items() if kind in (Kind.LOCAL, Kind.INSTANT, Kind.DATE)}
            native -= {114, 3802}  # JSON, which it takes apart

        with self.connection.execute(statement.where(sqlalchemy.false())) as result:
            described: Any = result.cursor.description
        chosen = [
            column
            if about.type_code in native
            # Not a cast, which writes an address with its mask; concat of NULL is no NULL.
            else sqlalchemy.case((column.is_not(None), sqlalchemy.func.concat(column))).label(about.name)
            for column, about in zip(statement.selected_columns, described, strict=True)
        ]
        return statement.with_only_columns(*chosen)


def _has_adbc() -> bool:
    try:
        import adbc_driver_postgresql  # noqa: F401
    except ImportError:
        return False
    return True


def _type(column: Any) -> SqlType:
    kind = _BY_OID.get(column.type_code, Kind.OTHER)
    return SqlType(kind, column.type_display, column.precision, column.scale)


def _readable(array: pa.Array[Any]) -> pa.Array[Any]:
    """Return an array without ADBC's wrappers, and without instants that are none: infinity comes as a number."""
    if isinstance(array, pa.ExtensionArray) and not isinstance(array.type, pa.UuidType):
        array = array.storage
    return on_the_calendar(array)
