"""How are the rows of MySQL and MariaDB read as they are, whatever the session that reads them would make of them?

The session's time zone is UTC, so that a TIMESTAMP is the instant it is; its SQL mode is empty, so that nothing of the
server's own setting changes what an expression means.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from integrity.errors import StoreError
from integrity.stores.objects import arrow_column
from integrity.stores.sql_session import FETCHED, Database, Options, Session, chunks
from integrity.stores.sql_types import Kind, SqlType

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select
    from sqlalchemy.engine import URL

__all__ = ["MysqlDatabase"]

#: The wire's codes: TIMESTAMP, which are instants (in UTC here), and BIT, which are numbers.
_TIMESTAMP, _BIT = 7, 16
_GONE = (2006, 2013, 2055, 1053, 1927, 1080, 4031)
#: Seconds in which a reader that is busy elsewhere must take the next rows. The default, a minute, drops it.
_PATIENCE = 3600


class MysqlDatabase(Database):
    """MySQL or MariaDB."""

    extra = "mysql"

    def __init__(self, url: URL, options: Options) -> None:
        if "+" not in url.drivername:
            url = url.set(drivername=f"{url.drivername}+pymysql")
        if url.password is None and "MYSQL_PWD" in os.environ:  # as its own clients do
            url = url.set(password=os.environ["MYSQL_PWD"])
        super().__init__(url, options)

    @property
    def shown(self) -> str:
        dialect = self.url.drivername.partition("+")[0]
        return self.url.set(query={}, drivername=dialect).render_as_string(hide_password=True)

    def engine_arguments(self) -> dict[str, Any]:
        charset = {} if "charset" in self.url.query else {"charset": "utf8mb4"}
        return super().engine_arguments() | {"connect_args": charset}

    def begin(self, connection: Connection) -> Session:
        connection.exec_driver_sql("SET SESSION time_zone = '+00:00', sql_mode = ''")
        connection.exec_driver_sql(f"SET SESSION net_write_timeout = {_PATIENCE}")
        seconds = max(round(self.options.lock_timeout), 1)
        connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {seconds}, innodb_lock_wait_timeout = {seconds}")
        if getattr(connection.dialect, "is_mariadb", False):
            connection.exec_driver_sql(f"SET SESSION max_statement_time = {self.options.timeout:f}")
        else:
            connection.exec_driver_sql(f"SET SESSION max_execution_time = {round(self.options.timeout * 1000)}")
        connection.exec_driver_sql("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        return _MysqlSession(self, connection)

    def problem(self, error: Exception) -> StoreError:
        code = _code(error)
        if code == 1205:
            return StoreError(
                f"{self.shown}: a table is locked by another session, after {self.options.lock_timeout:g} s of waiting",
                "run again, or wait longer with ?lock_timeout=120",
            )
        if code in (1969, 3024):
            return StoreError(
                f"{self.shown}: a statement took longer than {self.options.timeout:g} s",
                "ask for fewer windows with since and until, or allow more with ?timeout=7200",
            )
        return super().problem(error)

    def was_dropped(self, error: Exception) -> bool:
        return super().was_dropped(error) or _code(error) in _GONE

    def safe(self, text: str) -> str:
        return super().safe(text.strip('()"'))


class _MysqlSession(Session):
    def type_of(self, reflected: Any) -> SqlType:
        return _type(reflected)

    def batches(self, statement: Select[Any], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        options = {"stream_results": True, "max_row_buffer": FETCHED}
        with self.connection.execute(statement, execution_options=options) as result:
            described: Any = result.cursor.description
            codes = [column[1] for column in described]

            def blocks() -> Iterator[Sequence[Sequence[object]]]:
                while rows := result.fetchmany(FETCHED):
                    yield rows

            for columns in chunks(blocks(), len(names)):
                arrays = [_column(values, code) for values, code in zip(columns, codes, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, list(names))


def _column(values: list[object], code: int) -> pa.Array[Any]:
    if code == _BIT:
        values = [int.from_bytes(value, "big") if isinstance(value, bytes) else value for value in values]
    array = arrow_column(values)
    if code != _TIMESTAMP:
        return array
    if pa.types.is_timestamp(array.type):
        return array.cast(pa.timestamp("us", "UTC"))
    return arrow_column([v.replace(tzinfo=dt.UTC) if isinstance(v, dt.datetime) else v for v in values])


def _type(reflected: Any) -> SqlType:
    import sqlalchemy.types as t
    from sqlalchemy.dialects import mysql as m

    called = str(reflected).partition(" COLLATE")[0].partition(" CHARACTER SET")[0]
    kinds: list[tuple[Any, Kind]] = [
        ((m.ENUM, m.SET, m.JSON, t.Time, m.YEAR, m.BIT), Kind.OTHER),
        (m.TIMESTAMP, Kind.INSTANT),
        (t.DateTime, Kind.LOCAL),
        (t.Date, Kind.DATE),
        (t.Uuid, Kind.UUID),
        (t.Boolean, Kind.INTEGER),
        (t.Integer, Kind.INTEGER),
        (t.Float, Kind.FLOAT),
        (t.Numeric, Kind.DECIMAL),
        (t.LargeBinary, Kind.BINARY),
        (t._Binary, Kind.BINARY),
        (t.String, Kind.TEXT),
    ]
    kind = next((kind for cls, kind in kinds if isinstance(reflected, cls)), Kind.OTHER)
    return SqlType(kind, called, getattr(reflected, "precision", None), getattr(reflected, "scale", None))


def _code(error: Exception) -> int | None:
    original = getattr(error, "orig", None) or error
    first = original.args[0] if original.args else None
    return first if isinstance(first, int) else None
