"""Which rows are the batch of an expectation, and which contract does it mean?

A batch of pandas is a frame already. One of a database is what Great Expectations selects there, read anew by ours,
which lets the database total it and reads one snapshot a pass; or, where the URL is not all that there is to an engine,
through its own connections. What one connection alone can see (a database in memory, a temporary table) is copied to
memory. It is always read whole.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from great_expectations.execution_engine.execution_engine import ExecutionEngine
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.execution_engine.sqlalchemy_execution_engine import SqlAlchemyExecutionEngine

from integrity.contracts import Contract, contract
from integrity.errors import IntegrityError, UsageError
from integrity.stores.base import Span
from integrity.stores.columns import check_columns
from integrity.stores.sql import SqlStore
from integrity.stores.sql_session import Database, Options, Session

__all__ = ["batch_of", "has_password", "promised"]

#: What an engine is told that any other connection by its URL has, too.
_ORDINARY = {"name", "connection_string", "url", "create_temp_table", "module_name", "class_name"}
_PASSWORD = re.compile(r"[\w+.-]+://[^/@:]*:(?!\d+/)[^@]+@|[?&](password|passwd|pwd)=", re.IGNORECASE)


def promised(given: str | Mapping[str, Any]) -> Contract:
    """Return the contract of an expectation: a built-in name, a path, YAML text, or a mapping.

    Raises:
        ContractError: there is none, or it cannot be meant.

    Example:
        >>> promised("message").name, promised("{name: notes, version: 1, identity: [id]}").name
        ('message', 'notes')
    """
    if isinstance(given, Mapping):
        return Contract.from_dict(given)
    if "\n" in given or given.lstrip().startswith("{"):
        return Contract.from_text(given)
    return contract(given)


def has_password(store: object) -> bool:
    """Tell whether a store is written with its password, which would be kept with the suite and each of its results.

    Example:
        >>> [has_password(url) for url in ("postgresql://me:secret@db/shop#orders", "postgresql://me@db/shop#orders")]
        [True, False]
        >>> has_password("https://host:8443/a@b.csv")
        False
    """
    where = store.get("url") if isinstance(store, Mapping) else store
    return isinstance(where, (str, os.PathLike)) and _PASSWORD.search(os.fspath(where)) is not None


def batch_of(engine: ExecutionEngine[Any] | None, domain: dict[str, Any]) -> Any:
    """Return the rows of a batch, as :func:`integrity.reconcile` takes a side.

    Raises:
        UsageError: the engine is neither of pandas nor of SQLAlchemy.
        StoreError: the database cannot be asked.
    """
    if isinstance(engine, PandasExecutionEngine):
        return engine.get_domain_records(domain)
    if not isinstance(engine, SqlAlchemyExecutionEngine):
        kind = type(engine).__name__.removesuffix("ExecutionEngine")
        raise UsageError(f"a batch of {kind} cannot be read", "use pandas or SQL")
    import sqlalchemy

    records: Any = engine.get_domain_records(domain)
    chosen = sqlalchemy.select(sqlalchemy.text("*")).select_from(records)
    url, location = engine.engine.url, _location(engine, chosen)
    in_memory = url.get_backend_name() == "sqlite" and "memory" in f"{url.database or ':memory:'} {dict(url.query)}"
    if in_memory or "gx_temp_" in str(getattr(records, "name", "")):
        return _copied(_Lent(engine, chosen, location))
    if not set(engine.config) <= _ORDINARY:
        return _Lent(engine, chosen, location)
    store = SqlStore(url.render_as_string(hide_password=False), query=chosen)
    store.name, store.location = "the batch", location
    return store


def _location(engine: SqlAlchemyExecutionEngine, chosen: Any) -> str:
    """Return the URL, without password and options, and what is selected there."""
    try:
        written = chosen.compile(engine.engine, compile_kwargs={"literal_binds": True})
    except Exception:  # a value of a type that this dialect cannot write out
        written = chosen
    shown = engine.engine.url.set(query={}).render_as_string(hide_password=True)
    return f"{shown}#({' '.join(str(written).split())})"


class _Lent:
    """A store of what somebody else's engine selects, read through its own connections."""

    name = "the batch"

    def __init__(self, engine: SqlAlchemyExecutionEngine, chosen: Any, location: str) -> None:
        self.location = location
        self._engine = engine
        self._clause = chosen.subquery("items")

    def columns(self) -> Sequence[str]:
        """Return the names of the columns."""
        with self._session() as session:
            return session.names(self._clause, self.name, None)

    def stream(self, columns: Sequence[str], span: Span | None = None) -> Iterator[pa.RecordBatch]:
        """Yield every row, whatever the span."""
        import sqlalchemy

        check_columns(columns, self.columns(), self.name)
        asked: list[Any] = [sqlalchemy.column(name) for name in columns]
        with self._session() as session:
            yield from session.batches(sqlalchemy.select(*asked).select_from(self._clause), columns)

    @contextlib.contextmanager
    def _session(self) -> Iterator[Session]:
        import sqlalchemy

        database = Database(self._engine.engine.url, Options())
        try:
            with self._engine.get_connection() as connection:
                yield Session(database, connection)
        except IntegrityError:
            raise
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise database.problem(error) from None


@dataclass(frozen=True)
class _Copied:
    """A store of rows that were read once: of which each pass, in any thread, is the same."""

    name: str
    location: str
    held: Sequence[str]
    rows: Sequence[pa.RecordBatch]

    def columns(self) -> Sequence[str]:
        """Return the names of the columns."""
        return self.held

    def stream(self, columns: Sequence[str], span: Span | None = None) -> Iterator[pa.RecordBatch]:
        """Yield every row, whatever the span."""
        check_columns(columns, self.held, self.name)
        for batch in self.rows:
            yield batch.select(list(columns))


def _copied(store: _Lent) -> _Copied:
    """Read what one connection alone can see: both sides of a run are read in threads of their own."""
    held = store.columns()
    return _Copied(store.name, store.location, held, list(store.stream(held)))
