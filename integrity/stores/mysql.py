"""How are the rows of MySQL and MariaDB read as they are, whatever the session that reads them would make of them?

The session's time zone is UTC, so that a TIMESTAMP is the instant it is; its SQL mode is empty, so that nothing of the
server's own setting changes what an expression means.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from integrity.errors import PushdownError, StoreError
from integrity.stores.objects import arrow_column
from integrity.stores.sql_session import FETCHED, Database, Options, Session, chunks
from integrity.stores.sql_types import Kind, SqlType

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, FromClause, Select
    from sqlalchemy.engine import URL

__all__ = ["MysqlDatabase"]

#: The wire's codes: TIMESTAMP, which are instants (in UTC here), and BIT, which are numbers.
_TIMESTAMP, _BIT = 7, 16
_GONE = (0, 2006, 2013, 2055, 1053, 1927, 1080, 4031)
#: A number was beyond what its type holds, a value none of its type: rows as they are never are.
_UNEXACT = (1264, 1292, 1365, 1690)
#: Seconds in which a reader that is busy elsewhere must take the next rows. The default, a minute, drops it.
_PATIENCE = 3600


_KINDS = {
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), Kind.TEXT),
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint"), Kind.INTEGER),
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), Kind.BINARY),
    **dict.fromkeys(("float", "double"), Kind.FLOAT),
    "decimal": Kind.DECIMAL,
    "datetime": Kind.LOCAL,
    "timestamp": Kind.INSTANT,
    "date": Kind.DATE,
    "uuid": Kind.UUID,
}


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

    def errors(self) -> tuple[type[Exception], ...]:
        with contextlib.suppress(ImportError):
            from pymysql.err import MySQLError

            return (MySQLError,)
        return ()

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
        problem = super().problem(error)
        return PushdownError(problem.problem, "pull the rows") if code in _UNEXACT else problem

    def was_dropped(self, error: Exception) -> bool:
        return super().was_dropped(error) or _code(error) in _GONE

    def said(self, error: BaseException) -> str:
        return str(error.args[1] if len(error.args) > 1 else error) or "without a word"


class _MysqlSession(Session):
    def types(self, clause: FromClause, table: tuple[str | None, str] | None) -> dict[str, SqlType]:
        """Return the types as the server lists them; reflection would stumble over those that it does not know."""
        import sqlalchemy

        if table is None:
            return {}
        listed = sqlalchemy.text(
            "SELECT column_name, data_type, column_type, numeric_precision, numeric_scale "
            "FROM information_schema.columns "
            "WHERE table_schema = coalesce(:schema, database()) AND table_name = :name"
        )
        with self.connection.execute(listed, {"schema": table[0], "name": table[1]}) as result:
            return {
                name: _type(kind.lower(), full.lower(), precision, scale)
                for name, kind, full, precision, scale in result
            }

    def indexes(self, table: tuple[str | None, str]) -> tuple[list[list[str]], list[list[str]]]:
        import sqlalchemy

        listed = sqlalchemy.text(
            "SELECT index_name, column_name FROM information_schema.statistics "
            "WHERE table_schema = coalesce(:schema, database()) AND table_name = :name "
            "ORDER BY index_name, seq_in_index"
        )
        indexes: dict[str, list[str]] = {}
        with self.connection.execute(listed, {"schema": table[0], "name": table[1]}) as result:
            for index, column in result:
                indexes.setdefault(index, []).append(column)
        return list(indexes.values()), [columns for index, columns in indexes.items() if index == "PRIMARY"]

    def found(
        self,
        every: Select[Any],
        identity: Sequence[ColumnElement[Any]],
        kinds: Sequence[Kind],
        sought: Sequence[tuple[Any, ...]],
        names: Sequence[str],
    ) -> Iterator[pa.RecordBatch]:
        """Look for what is not ASCII in UTF-8: a column of another character set compares with nothing beyond it."""
        import sqlalchemy
        from sqlalchemy.dialects import mysql

        plain = [row for row in sought if all(not isinstance(value, str) or value.isascii() for value in row)]
        yield from super().found(every, identity, kinds, plain, names)
        rest = [row for row in sought if any(isinstance(value, str) and not value.isascii() for value in row)]
        if rest:
            wide = [
                sqlalchemy.cast(column, mysql.CHAR(charset="utf8mb4")) if kind is Kind.TEXT else column
                for column, kind in zip(identity, kinds, strict=True)
            ]
            yield from super().found(every, wide, kinds, rest, names)

    def batches(self, statement: Select[Any], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with self._streaming(statement) as (description, fetch):
            codes = [column[1] for column in description]

            def blocks() -> Iterator[Sequence[Sequence[object]]]:
                while rows := fetch(FETCHED):
                    yield rows

            for columns in chunks(blocks(), len(names)):
                arrays = [_column(values, code) for values, code in zip(columns, codes, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, list(names))

    @contextlib.contextmanager
    def _streaming(self, statement: Select[Any]) -> Iterator[tuple[Any, Callable[[int], Any]]]:
        """Run a statement whose rows stay with the server until they are asked for.

        With PyMySQL by its own cursor, which is faster, and which has to be told when its connection is gone: else it
        complains of that once more, and of nothing else, each time that something of it is thrown away.
        """
        if self.connection.dialect.driver != "pymysql":
            options = {"stream_results": True, "max_row_buffer": FETCHED}
            with self.connection.execute(statement, execution_options=options) as result:
                yield result.cursor.description, result.fetchmany
            return
        from pymysql.cursors import SSCursor

        compiled = statement.compile(dialect=self.dialect, compile_kwargs={"render_postcompile": True})
        driver: Any = self.connection.connection.driver_connection
        cursor = driver.cursor(SSCursor)
        try:
            cursor.execute(str(compiled), dict(compiled.params))
            yield cursor.description, cursor.fetchmany
        except GeneratorExit:
            _let_go(cursor, driver)  # the rest is not read for nothing
            raise
        except Exception as error:
            if _code(error) in _GONE or not driver.open:
                _let_go(cursor, driver)
            raise
        else:
            cursor.close()


def _let_go(cursor: Any, driver: Any) -> None:
    """Drop a connection and what hangs on it, without a word to the server."""
    result = getattr(cursor, "_result", None)
    if result is not None:
        result.unbuffered_active, result.connection = False, None
    cursor.connection = None
    driver._force_close()


def _column(values: list[object], code: int) -> pa.Array[Any]:
    if code == _BIT:
        values = [int.from_bytes(value, "big") if isinstance(value, bytes) else value for value in values]
    array = arrow_column(values)
    if code != _TIMESTAMP:
        return array
    if pa.types.is_timestamp(array.type):
        return array.cast(pa.timestamp("us", "UTC"))
    return arrow_column([v.replace(tzinfo=dt.UTC) if isinstance(v, dt.datetime) else v for v in values])


def _type(data_type: str, column_type: str, precision: int | None, scale: int | None) -> SqlType:
    kind = Kind.OTHER if "zerofill" in column_type else _KINDS.get(data_type, Kind.OTHER)
    return SqlType(kind, column_type, precision, scale)


def _code(error: Exception) -> int | None:
    original = getattr(error, "orig", None) or error
    first = original.args[0] if original.args else None
    return first if isinstance(first, int) else None
