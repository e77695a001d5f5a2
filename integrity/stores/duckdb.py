"""How is a DuckDB file read, by DuckDB itself, which speaks Arrow already?

SQLAlchemy writes the statements (duckdb-engine is its dialect); DuckDB's own connection runs them. The file is opened
so that it can only be read, unless this process has it open for writing already: then its own connection is shared.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from integrity.errors import IntegrityError, MissingExtraError, PushdownError, StoreError, did_you_mean
from integrity.stores.base import CHUNK_ROWS
from integrity.stores.columns import unique_columns
from integrity.stores.sql_session import Database, Options, Session, on_the_calendar
from integrity.stores.sql_types import Kind, SqlType

if TYPE_CHECKING:
    from sqlalchemy import Dialect, FromClause, Select
    from sqlalchemy.engine import URL

__all__ = ["DuckdbDatabase"]

_KINDS = {
    "VARCHAR": Kind.TEXT, "BOOLEAN": Kind.BOOLEAN, "DATE": Kind.DATE, "UUID": Kind.UUID, "BLOB": Kind.BINARY,
    "FLOAT": Kind.FLOAT, "DOUBLE": Kind.FLOAT, "TIMESTAMP WITH TIME ZONE": Kind.INSTANT,
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS"), Kind.LOCAL),
    **dict.fromkeys(
        ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
         "UHUGEINT"),
        Kind.INTEGER,
    ),
}  # fmt: skip
#: Integers that Arrow has no type for: their decimal text reads the same.
_WIDE = ("HUGEINT", "UHUGEINT")


class DuckdbDatabase(Database):
    """A DuckDB file."""

    extra = "duckdb"

    def __init__(self, url: URL, options: Options) -> None:
        database = url.database or ""
        if database in ("", ":memory:"):
            raise StoreError(
                "a DuckDB database in memory is empty for everyone but its owner",
                "write duckdb:///path#table, or pass the relation's .arrow()",
            )
        super().__init__(url.set(database=os.path.abspath(os.path.expanduser(database))), options)

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        try:
            import duckdb
            import duckdb_engine
        except ImportError:
            raise MissingExtraError("reading duckdb:// URLs", self.extra) from None
        connection = self._open()
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("BEGIN")
            dialect = duckdb_engine.Dialect(paramstyle="qmark")  # which doubles no percent signs
            words = connection.execute("SELECT keyword_name FROM duckdb_keywords()").fetchall()
            dialect.identifier_preparer.reserved_words = {word for (word,) in words}  # it has more than PostgreSQL's
            yield _DuckdbSession(self, connection, dialect)
        except IntegrityError:
            raise
        except duckdb.Error as error:
            raise self.problem(error) from None
        finally:
            connection.close()

    def errors(self) -> tuple[type[Exception], ...]:
        import duckdb

        return (duckdb.Error,)

    def _open(self) -> Any:
        import duckdb

        path = Path(str(self.url.database))
        if not path.exists():
            siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
            raise StoreError(f"there is no DuckDB database {path}", did_you_mean(path.name, siblings))
        try:
            return duckdb.connect(str(path), read_only=True)
        except duckdb.ConnectionException:  # this very process has it open, to write: what it has written can be read
            return duckdb.connect(str(path)).cursor()
        except duckdb.Error as error:
            raise self.problem(error) from None

    def problem(self, error: Exception) -> StoreError:
        path = str(self.url.database)
        said = self.safe(str(error))
        if "Conflicting lock" in said or "lock on file" in said:
            return StoreError(f"{path} is open in another process, which may write", "close it there, or read a copy")
        if "not a valid DuckDB database" in said or "magic bytes" in said:
            return StoreError(f"{path} is not a DuckDB database", "check the path")
        import duckdb

        if isinstance(error, (duckdb.ConversionException, duckdb.OutOfRangeException)):
            return PushdownError(
                f"{path}: {said}", "pull the rows"
            )  # of computing; rows as they are are never converted
        return StoreError(f"{path} cannot be read to its end: {said}")


class _DuckdbSession(Session):
    def __init__(self, database: Database, connection: Any, dialect: Any) -> None:
        self.database = database
        self._duckdb = connection
        self._dialect = dialect

    @property
    def dialect(self) -> Dialect:
        return self._dialect  # type: ignore[no-any-return]

    def names(self, clause: FromClause, name: str, table: tuple[str | None, str] | None) -> list[str]:
        import duckdb
        import sqlalchemy

        try:
            every = sqlalchemy.select(sqlalchemy.text("*")).select_from(clause)
            return unique_columns(self._relation(every).columns, name)
        except duckdb.CatalogException:
            if table is None:
                raise
            names = self.tables(table[0])
            raise StoreError(f"no table {name!r} in {self.database.url.database}", did_you_mean(table[1], names)) from (
                None
            )

    def types(self, clause: FromClause, table: tuple[str | None, str] | None) -> dict[str, SqlType]:
        import sqlalchemy

        relation = self._relation(sqlalchemy.select(sqlalchemy.text("*")).select_from(clause))
        return {name: _type(str(type_)) for name, type_ in zip(relation.columns, relation.types, strict=True)}

    def batches(self, statement: Select[Any], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        import sqlalchemy

        types = [str(type_) for type_ in self._relation(statement).types]
        chosen = [
            column if type_ not in _WIDE else sqlalchemy.cast(column, sqlalchemy.Text).label(None)
            for column, type_ in zip(statement.selected_columns, types, strict=True)
        ]
        for batch in self._relation(statement.with_only_columns(*chosen)).to_arrow_reader(CHUNK_ROWS):
            yield pa.RecordBatch.from_arrays([on_the_calendar(column) for column in batch.columns], list(names))

    def rows(self, statement: Select[Any]) -> list[Sequence[Any]]:
        return self._relation(statement).fetchall()  # type: ignore[no-any-return]

    def tables(self, schema: str | None) -> list[str]:
        where = "current_schema()" if schema is None else "?"
        text = f"SELECT table_name FROM information_schema.tables WHERE table_schema = {where} ORDER BY 1"  # noqa: S608
        return [name for (name,) in self._duckdb.execute(text, [] if schema is None else [schema]).fetchall()]

    def indexes(self, table: tuple[str | None, str]) -> tuple[list[list[str]], list[list[str]]]:
        text = (
            "SELECT constraint_column_names FROM duckdb_constraints() WHERE constraint_type = 'PRIMARY KEY' "
            "AND table_name = ? AND schema_name = coalesce(?, current_schema())"
        )
        keys = [list(names) for (names,) in self._duckdb.execute(text, [table[1], table[0]]).fetchall()]
        return keys, keys

    def _relation(self, statement: Select[Any]) -> Any:
        text = str(statement.compile(dialect=self.dialect, compile_kwargs={"literal_binds": True}))
        return self._duckdb.sql(text)


def _type(called: str) -> SqlType:
    decimal = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", called)
    if decimal is not None:
        return SqlType(Kind.DECIMAL, called, int(decimal[1]), int(decimal[2]))
    return SqlType(_KINDS.get(called, Kind.OTHER), called)
