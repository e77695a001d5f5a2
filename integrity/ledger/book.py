"""What was found on any day, provably unchanged since?

A :class:`Ledger` is a log that only grows, in SQLite or PostgreSQL. A run writes a leaf before it reads anything and
another when it has ended, so that a run that was begun and never ended is seen; the second commits to every batch and
every break that it found. What is claimed of it is :meth:`Ledger.claim`, and no more.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import secrets
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import polars as pl
import sqlalchemy as sa

from integrity.contracts import Contract
from integrity.errors import IntegrityError, LedgerError, UsageError
from integrity.in_force import operator as who_runs
from integrity.ledger import evidence, schema
from integrity.ledger.changing import refuse_changed
from integrity.ledger.database import Database
from integrity.ledger.keys import KEY_VARIABLE, LedgerKey, PublicKey
from integrity.ledger.log import Clock, Said, append, iso
from integrity.ledger.persons import named_person
from integrity.ledger.rows import root
from integrity.ledger.schema import ENVIRONMENTS
from integrity.result import Result

__all__ = ["ENVIRONMENTS", "Beginning", "Ledger", "Recording", "TakenUp", "utc_now"]

_ENVIRONMENT = "INTEGRITY_ENVIRONMENT"
_ORIGIN = re.compile(r"[A-Za-z0-9._~/:-]{1,200}")


def utc_now() -> dt.datetime:
    """Return this moment."""
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Beginning:
    """What is known of a run before anything is read.

    Attributes:
        pipeline: Of which pipeline it is: runs of one pipeline judge the same batches.
        contract: What is promised.
        spec_sha256: Of everything that is in force.
        versions: Of the software.
        since: First instant asked for, ISO 8601, or ``None``.
        until: First instant no longer asked for.
        as_of: The moment that was asked for, or ``None`` for that of reading.
        skips: Promises left out, and why.
        reading: Where both sides and the references are and how they will be read, queries and mappings too. It may
            name persons, and is kept with what is private.
        every: How often the pipeline is to run, such as ``10m``, where that is known.
        remarks: What is odd about it by then: runs that were missed, or begun and never ended.
    """

    pipeline: str
    contract: Contract
    spec_sha256: str
    versions: Mapping[str, str]
    since: str | None
    until: str | None
    as_of: str | None
    skips: Mapping[str, str]
    reading: Mapping[str, Any]
    every: str | None = None
    remarks: Sequence[str] = ()


@dataclass(frozen=True)
class TakenUp:
    """What a run took up of earlier ones.

    Attributes:
        known: The facts of batches that stand already, by key: a batch that shows the same is counted, and not
            recorded once more.
        changes: What became of earlier breaks: ``of_run``, ``of_number``, ``state``.
        watermark: Up to where every window has been judged, ISO 8601.
        remarks: What could not be taken up, and why.
    """

    known: Mapping[str, str] = field(default_factory=dict)
    changes: pl.DataFrame | None = None
    watermark: str | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Ledger:
    """A ledger that can be written to.

    Attributes:
        database: Where it lies.
        key: Signs it.
        environment: ``production``, or ``test``, whose runs never count.
        operator: Who runs what is recorded.
        clock: Tells the moments that are recorded.

    Example:
        >>> import tempfile, polars as pl, integrity
        >>> folder = tempfile.TemporaryDirectory()
        >>> notes = integrity.Contract(name="notes", version=1, identity=["id"])
        >>> sent = pl.DataFrame({"id": ["1", "2"]})
        >>> url = f"sqlite:///{folder.name}/ledger.db"
        >>> result = integrity.reconcile(notes, sent, sent[:1], ledger=url)
        >>> from integrity.ledger import verify
        >>> verify(url).headline().split(";")[0]
        'nothing was changed: 3 leaves, 1 run'
        >>> folder.cleanup()
    """

    database: Database
    key: LedgerKey
    environment: str = "production"
    operator: str = ""
    clock: Clock = field(default=utc_now, repr=False)

    # --- opening

    @classmethod
    def open(
        cls,
        url: str | os.PathLike[str],
        *,
        key: str | os.PathLike[str] | None = None,
        environment: str | None = None,
        operator: str | None = None,
        origin: str | None = None,
        clock: Clock = utc_now,
    ) -> Self:
        """Open a ledger, and begin one where there is none. One of an older layout is brought up to date.

        Args:
            url: ``sqlite:///ledger.db``, ``postgresql://…``, or the path of a file.
            key: The file of its key; else the one that ``INTEGRITY_LEDGER_KEY`` names, else the one beside an SQLite
                file, ``ledger.db.key``. A new ledger makes it.
            environment: ``production`` or ``test``; else what ``INTEGRITY_ENVIRONMENT`` says, else production.
            operator: Who runs; else ``INTEGRITY_OPERATOR``, else the user of this process.
            origin: The name of a new ledger, as checkpoints show it; unique, such as ``acme.example/integrity``.
            clock: Tells the moments to record.

        Raises:
            UsageError: the URL, the environment, the operator or the origin cannot be meant.
            LedgerError: it cannot be opened or begun, or the key is not its key.
        """
        database = Database.at(url)
        chosen = environment or os.environ.get(_ENVIRONMENT) or "production"
        if chosen not in ENVIRONMENTS:
            raise UsageError(f"there is no environment {chosen!r}", "it is production or test")
        if origin is not None and not _ORIGIN.fullmatch(origin):
            raise UsageError(f"{origin!r} cannot name a ledger", "write for example acme.example/integrity")
        where = _key_file(key, database)
        layout = database.layout
        if (layout in schema.OLDER or database.is_there) and _known_keys(database):
            held = LedgerKey.read(where)
            _check_key(held, database, where)
            if layout != schema.LAYOUT:
                database.upgrade()
        else:
            held = _begun(database, where, origin, clock)
        runner = named_person("operator", operator or who_runs())
        return cls(database, held, chosen, runner, clock)

    def __repr__(self) -> str:
        return f"<ledger {self.location}, {self.environment}, operator {self.operator!r}, key {self.key.public}>"

    @property
    def location(self) -> str:
        """Its URL, no password."""
        return self.database.location

    # --- writing

    def say(self, kind: str, body: Mapping[str, Any], *also: LedgerKey) -> Said:
        """Append one leaf, a transaction of its own.

        Raises:
            LedgerError: it cannot be written.
        """
        with self.database.writing() as connection:
            return self.said(connection, kind, body, *also)

    def said(self, connection: sa.Connection, kind: str, body: Mapping[str, Any], *also: LedgerKey) -> Said:
        """Append a leaf within a transaction, as its last deed."""
        self.database.take_turn(connection)
        return append(connection, self.clock, kind, body, self.key, *also)

    def begin(self, beginning: Beginning) -> Recording:
        """Record that a run begins; nothing was read by then.

        Raises:
            LedgerError: it cannot be written, or the contract is not what it was under the same version.
        """
        moment = self.clock()
        stamp = moment.astimezone(dt.UTC).strftime("%Y%m%dT%H%M%S").rjust(15, "0")
        run, contract = f"{stamp}-{secrets.token_hex(4)}", beginning.contract
        reading, commitment = evidence.private(run, "run", 0, beginning.reading)
        with self.database.writing() as connection:
            self.database.take_turn(connection)
            refuse_changed(connection, contract)
            _add_contract(connection, contract)
            said = self.said(
                connection,
                "started",
                {
                    "run": run,
                    "pipeline": beginning.pipeline,
                    "environment": self.environment,
                    "operator": self.operator,
                    "host": socket.gethostname(),
                    "contract": {"name": contract.name, "version": contract.version, "sha256": contract.sha256},
                    "spec_sha256": beginning.spec_sha256,
                    "versions": dict(beginning.versions),
                    "since": beginning.since,
                    "until": beginning.until,
                    "as_of": beginning.as_of,
                    "skips": dict(beginning.skips),
                    "every": beginning.every,
                    "remarks": list(beginning.remarks),
                    "reading": commitment,
                },
            )
            row = {"run": run, "leaf": said.number, "pipeline": beginning.pipeline, "contract": contract.sha256}
            row |= {"environment": self.environment, "every": beginning.every}
            row |= {"at": said.at, "commitment": commitment}
            connection.execute(schema.runs.insert().values(**row))
            _insert(connection, schema.secrets, reading)
        return Recording(self, run, beginning)

    def end(self, run: str, how: str, body: Mapping[str, Any], hidden: Mapping[str, Any]) -> None:
        """Record that a run ended without a result.

        Args:
            run: Which one.
            how: ``failed``, or ``abandoned``: it was begun, and its process is no more.
            body: What its leaf says of that.
            hidden: What is private of it.

        Raises:
            LedgerError: it cannot be written.
        """
        ending, commitment = evidence.private(run, "run", 1, hidden)
        with self.database.writing() as connection:
            said = self.said(connection, how, {"run": run, **body, "found": commitment})
            row = {"run": run, "leaf": said.number, "how": how, "at": said.at}
            connection.execute(schema.endings.insert().values(**row, commitment=commitment))
            _insert(connection, schema.secrets, ending)


@dataclass(frozen=True, eq=False)
class Recording:
    """A run that has begun and is on record.

    Attributes:
        ledger: Where.
        run: Its name.
        beginning: What was said of it when it began.
    """

    ledger: Ledger
    run: str
    beginning: Beginning

    @property
    def keying(self) -> evidence.Keying:
        """By which names its batches and breaks are found again."""
        windowed = self.beginning.contract.window is not None
        return evidence.Keying(self.run, self.beginning.pipeline, self.ledger.key, windowed)

    def finish(self, result: Result, taken_up: TakenUp | None = None) -> None:
        """Record what a run found, in one transaction.

        Args:
            result: What it found.
            taken_up: What it took up of earlier runs.

        Raises:
            LedgerError: it cannot be written. It carries the result.
        """
        try:
            self._finish(result, taken_up or TakenUp())
        except LedgerError as error:
            error.result = result
            raise

    def _finish(self, result: Result, taken_up: TakenUp) -> None:
        ledger, of = self.ledger, self.keying
        batches = evidence.batch_rows(result, of)
        same = pl.Series(
            [taken_up.known.get(k) == f for k, f in batches.rows.select("key", "facts").iter_rows()], dtype=pl.Boolean
        )
        unchanged = batches.rows.filter(same)
        kept = batches.numbered(schema.batches, ~same)
        left_out = set(unchanged["key"])
        closed_until = evidence.closed_until(result)
        since = None if result.since is None else iso(result.since)
        found = result.described() | {"ladder": [asdict(rung) for rung in result.ladder]}
        ending, commitment = evidence.private(self.run, "run", 1, found)
        with ledger.database.writing() as connection:
            roots = {"batches": _rows(connection, schema.batches, [kept])}
            roots["breaks"] = _rows(connection, schema.breaks, evidence.break_rows(result, of, left_out))
            roots["changes"] = _rows(connection, schema.changes, evidence.change_rows(taken_up.changes, self.run))
            roots["seals"] = _rows(connection, schema.seals, evidence.seal_rows(result, of, left_out))
            said = ledger.said(
                connection,
                "finished",
                {
                    "run": self.run,
                    "verdict": result.verdict.value,
                    "assertions": {a.value: v.value for a, v in result.assertions.items()},
                    "totals": dict(result.totals),
                    "since": since,
                    "as_of": iso(result.as_of),
                    "read_at": {side: iso(read.read_at) for side, read in result.sides.items()},
                    "closed_until": closed_until,
                    "watermark": taken_up.watermark,
                    "remarks": list(taken_up.remarks),
                    "spec_sha256": result.spec_sha256,
                    "strength": result.strength,
                    "bound": result.bound,
                    "self_test": result.self_test,
                    "rows": roots,
                    "unchanged": {"batches": unchanged.height, "totals": evidence.summed(unchanged)},
                    "found": commitment,
                },
            )
            row = {"run": self.run, "leaf": said.number, "how": "finished", "verdict": result.verdict.value}
            row |= {"since": since, "closed_until": closed_until, "watermark": taken_up.watermark}
            row |= {"at": said.at, "commitment": commitment}
            connection.execute(schema.endings.insert().values(**row))
            _insert(connection, schema.secrets, ending)

    def fail(self, error: BaseException) -> None:
        """Record that a run ended in an error.

        Raises:
            LedgerError: it cannot be written.
        """
        said = str(error) if isinstance(error, IntegrityError) else f"{type(error).__name__}: {error}"
        self.ledger.end(self.run, "failed", {"error": type(error).__name__}, {"error": said})


# --- rows
# ----------------------------------------------------------------------------------------------------------------


def _insert(connection: sa.Connection, table: sa.Table, frame: pl.DataFrame) -> None:
    if frame.height:
        names = [column.name for column in table.columns]
        statement = table.insert()
        for part in frame.select(names).iter_slices(5000):
            connection.execute(statement, part.to_dicts())


def _rows(connection: sa.Connection, table: sa.Table, parts: Iterable[evidence.Kept]) -> dict[str, Any]:
    """Insert rows of evidence, and return how many there are and the root over them."""
    hashes: list[str] = []
    for part in parts:
        _insert(connection, table, part.rows)
        _insert(connection, schema.secrets, part.secrets)
        hashes += part.rows["hash"].to_list()
    return {"count": len(hashes), "root": root(hashes)}


def _add_contract(connection: sa.Connection, contract: Contract) -> None:
    known = sa.select(schema.contracts.c.sha256).where(schema.contracts.c.sha256 == contract.sha256)
    if connection.execute(known).first() is None:
        row = {
            "sha256": contract.sha256,
            "name": contract.name,
            "version": contract.version,
            "body": contract.canonical,
        }
        connection.execute(schema.contracts.insert().values(**row))


# --- beginning a ledger, and its key
# -----------------------------------------------------------------------------------------


def _key_file(key: str | os.PathLike[str] | None, database: Database) -> Path:
    named = key or os.environ.get(KEY_VARIABLE)
    if named:
        return Path(named)
    if database.file is None:
        raise LedgerError(
            f"nobody knows where the key of the ledger {database.location} is",
            f"set {KEY_VARIABLE} to its file; a new ledger makes it there",
        )
    return database.file.with_name(f"{database.file.name}.key")


def _begun(database: Database, where: Path, origin: str | None, clock: Clock) -> LedgerKey:
    database.upgrade()
    with database.writing() as connection:
        database.take_turn(connection)
        if _keys(connection):  # somebody else has just begun it
            return LedgerKey.read(where)
        if where.exists():
            key = LedgerKey.read(where)
        else:
            key = LedgerKey.made(origin or f"integrity/{secrets.token_hex(8)}")
            key.write(where)
        append(connection, clock, "opened", {"origin": key.public.name, "key": str(key.public)}, key)
    return key


def _known_keys(database: Database) -> list[PublicKey]:
    with database.reading() as connection:
        return _keys(connection)


def _keys(connection: sa.Connection) -> list[PublicKey]:
    """The keys of a ledger, as its log names them, the one in force last."""
    import json

    table = schema.leaves
    query = sa.select(table.c.body).where(table.c.kind.in_(["opened", "rotated"])).order_by(table.c.number)
    return [PublicKey.from_text(json.loads(body)["key"]) for (body,) in connection.execute(query)]


def _check_key(held: LedgerKey, database: Database, where: Path) -> None:
    known = _known_keys(database)
    if held.public != known[-1]:
        was = "was its key until another took over" if held.public in known else f"is of {held.public.name}"
        raise LedgerError(
            f"{where} is not the key of the ledger {database.location}: it {was}",
            f"set {KEY_VARIABLE} to the file of {known[-1].name}+{known[-1].id.hex()}",
        )
