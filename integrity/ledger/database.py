"""How is a ledger's database opened, prepared, read and written, and by one writer at a time?

SQLite and PostgreSQL. What goes wrong in a database is said in one sentence, without its password.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.engine import URL

from integrity.errors import LedgerBusyError, LedgerError, LedgerUnreachableError, MissingExtraError, UsageError
from integrity.ledger.schema import LAYOUT, OLDER

__all__ = ["Database", "there"]

_PATIENCE = 60.0  # seconds that a writer waits for its turn
_WRITING = "integrity_writing"
_ALLOWED = "this user may not read it: have whoever owns it allow that, or run as one who may"
_APPENDING = 0x1E6E4  # which of PostgreSQL's advisory locks is held while a leaf is appended
_CREATING = 0x1E6E5


@dataclass(frozen=True, eq=False)
class Database:
    """A ledger's database.

    Attributes:
        engine: Of SQLAlchemy.
        location: Its URL, no password.
    """

    engine: sa.Engine
    location: str

    @classmethod
    def at(cls, url: str | os.PathLike[str]) -> Database:
        """Return the database of a URL, or of a path, which is SQLite's; nothing is opened yet.

        Raises:
            UsageError: it is no URL of SQLite or PostgreSQL.
            MissingExtraError: PostgreSQL's driver is not installed.
        """
        if not isinstance(url, (str, os.PathLike)) or isinstance(text := os.fspath(url), bytes):
            raise UsageError(
                f"a ledger is named by its URL or the path of its file, not by {url!r}", "write sqlite:///ledger.db"
            )
        if "://" not in text:
            text = f"sqlite:///{text}"
        try:
            parsed = sa.make_url(text)
        except (sa.exc.ArgumentError, ValueError):
            raise UsageError("the ledger's URL cannot be read", "write sqlite:///ledger.db or postgresql://…") from None
        dialect = parsed.get_backend_name()
        if dialect == "sqlite" and parsed.database not in (None, "", ":memory:"):
            engine = _sqlite(parsed)
        elif dialect == "postgresql":
            engine = _postgresql(parsed)
        else:
            raise UsageError(
                f"a ledger cannot be kept in {parsed.render_as_string(hide_password=True)}",
                "keep it in a file, sqlite:///ledger.db, or in PostgreSQL, postgresql://host/database",
            )
        told = parsed.difference_update_query(["password", "sslpassword"])
        return cls(engine, told.render_as_string(hide_password=True))

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database."""
        url = self.engine.url
        return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None

    @property
    def layout(self) -> str | None:
        """The layout of the ledger in it; ``None`` where there is none.

        Raises:
            LedgerError: the database cannot be reached.
        """
        if self.file is not None and not os.path.exists(self.file):  # a folder that may not be entered holds none
            return None
        with self.spoken("open"), self.engine.connect() as connection:
            if not sa.inspect(connection).has_table("leaves"):
                return None
            return str(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar())

    @property
    def is_there(self) -> bool:
        """Whether there is a ledger in it, in the layout of this version.

        Raises:
            LedgerError: the database cannot be reached, or its layout is another version's.
        """
        layout = self.layout
        if layout is not None and layout != LAYOUT:
            raise LedgerError(
                f"the ledger {self.location} has layout {layout}, this version reads {LAYOUT}",
                "integrity ledger upgrade brings it up to date; nothing of it is changed by that"
                if layout in OLDER
                else "use the version of processing-integrity that wrote it, or upgrade this one",
            )
        return layout is not None

    def upgrade(self) -> None:
        """Make the tables and what protects them, as far as nobody has yet: an older layout is brought up to date.

        Raises:
            LedgerError: the database cannot be reached or written, or its layout is of a later version.
        """
        from alembic import command
        from alembic.config import Config

        if self.layout not in (None, *OLDER):
            assert self.is_there  # which speaks up where it is not of this version
            return
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        with self.spoken("create"), self._alone(), self.writing() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    # --- transactions

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that reads, over one snapshot."""
        level = {} if self.file is not None else {"isolation_level": "REPEATABLE READ"}
        with (
            self.spoken("read"),
            self.engine.connect().execution_options(**level) as connection,
            connection.begin(),
        ):
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes; all of it is there afterwards, or nothing."""
        with (
            self.spoken("write"),
            self.engine.connect().execution_options(**{_WRITING: True}) as connection,
            connection.begin(),
        ):
            yield connection

    def take_turn(self, connection: sa.Connection) -> None:
        """Wait until no other transaction appends to the log, and let none do so until this one ends."""
        if self.file is None:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _APPENDING})

    @contextlib.contextmanager
    def only_run_of(self, pipeline: str) -> Iterator[None]:
        """Hold the right to run a pipeline. It is given back when the process ends, however it ends.

        Raises:
            LedgerBusyError: somebody holds it.
        """
        digest = hashlib.sha256(f"integrity pipeline {pipeline}".encode()).digest()
        busy = LedgerBusyError(
            f"pipeline {pipeline!r} is being run right now, by another process",
            "let it finish; the next run takes up what it leaves",
        )
        if self.file is not None:
            lock = FileLock(f"{self.file}.{digest.hex()[:12]}.lock", timeout=0)
            try:
                lock.acquire()
            except Timeout:
                raise busy from None
            except OSError as error:
                raise LedgerUnreachableError(
                    f"cannot lock {self.file}: {error.strerror}", "make its folder writable"
                ) from error
            try:
                yield
            finally:
                lock.release()
            return
        number = int.from_bytes(digest[:8], signed=True)
        with contextlib.ExitStack() as stack:
            with self.spoken("lock"):
                connection = stack.enter_context(self.engine.connect())
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
                got = connection.execute(sa.text("SELECT pg_try_advisory_lock(:lock)"), {"lock": number}).scalar()
            if not got:
                raise busy
            yield
            with contextlib.suppress(sa.exc.SQLAlchemyError):  # gone with the connection, if that has gone
                connection.execute(sa.text("SELECT pg_advisory_unlock(:lock)"), {"lock": number})

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let nobody else create the same ledger meanwhile, and do nothing if somebody just has."""
        if self.file is not None:
            try:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                with FileLock(f"{self.file}.creating.lock", timeout=_PATIENCE):
                    yield
            except OSError as error:
                raise LedgerUnreachableError(
                    f"cannot create the ledger {self.file}: {error.strerror or error}", "name a writable place"
                ) from error
            return
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("SELECT pg_advisory_lock(:lock)"), {"lock": _CREATING})
            try:
                yield
            finally:
                connection.execute(sa.text("SELECT pg_advisory_unlock(:lock)"), {"lock": _CREATING})

    @property
    def _forbidden(self) -> bool:
        return self.file is not None and os.path.exists(self.file) and not os.access(self.file, os.R_OK)

    @contextlib.contextmanager
    def spoken(self, verb: str) -> Iterator[None]:
        """Say in one sentence what goes wrong in the database.

        Raises:
            LedgerError: something did.
        """
        try:
            yield
        except sa.exc.DBAPIError as error:
            said = str(error.orig).strip().splitlines()[0] if error.orig is not None else "it cannot be reached"
            way = _ALLOWED if self._forbidden else _advice(said)
            raise LedgerUnreachableError(f"cannot {verb} the ledger {self.location}: {said}", way) from error
        except sa.exc.SQLAlchemyError as error:
            raise LedgerUnreachableError(
                f"cannot {verb} the ledger {self.location}: {error}", "look at its database"
            ) from error


def there(url: str | os.PathLike[str]) -> Database:
    """Return the database of a ledger that is there.

    Raises:
        LedgerError: there is none.
    """
    database = Database.at(url)
    if not database.is_there:
        raise LedgerError(f"there is no ledger at {database.location}", "integrity ledger init makes one")
    return database


def _advice(said: str) -> str:
    advice = {
        "refuses this disposition": "integrity ledger trace shows what is on record of the break",
        "append-only": "nothing that is recorded is changed; record what is true now",
        "readonly": "make the file and its folder writable",
        "unable to open": "name a file in a folder that is there",
        "full": "make room on its disk",
        "locked": "another process holds it; try again",
        "not a database": "name a ledger, or another file for a new one",
        "malformed": "take the file from a copy, and verify it",
    }
    return next((way for sign, way in advice.items() if sign in said), "see that the database is up and yours to write")


def _sqlite(url: URL) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": _PATIENCE}, poolclass=sa.NullPool)

    # Transactions are begun by us, so that a writer waits for its turn before it has read what is last.
    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA secure_delete = ON")  # what is erased is gone from the file, too

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        writing = connection.get_execution_options().get(_WRITING)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _postgresql(url: URL) -> sa.Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    try:
        return sa.create_engine(url, connect_args={"connect_timeout": 15}, poolclass=sa.NullPool)
    except ImportError as error:
        raise MissingExtraError("a ledger in PostgreSQL", "postgresql") from error
