"""Was anything in a ledger changed, removed, inserted or put in another order?

Everything is computed again: each leaf's hash, each checkpoint's root, each row's digest, the roots over a run's rows,
the commitment to each private text. What does not fit is named, the first row first. What cannot be seen from within,
a log that was cut short or written anew by whoever owns its database and its key, is seen by a checkpoint that somebody
else holds, and only up to it.
"""

from __future__ import annotations

import ast
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import polars as pl
import sqlalchemy as sa

from integrity.errors import LedgerError
from integrity.ledger import schema
from integrity.ledger.checkpoints import Checkpoint
from integrity.ledger.claims import Claim, claim_of
from integrity.ledger.database import Database
from integrity.ledger.drawn import doubtful
from integrity.ledger.guards import unguarded
from integrity.ledger.keys import PublicKey
from integrity.ledger.links import untied_links
from integrity.ledger.reading import Leaves, read_log
from integrity.ledger.rows import commitments, digests, frame_of, root
from integrity.ledger.steps import reasons_known, untied
from integrity.merkle import leaf_hash, root_of

__all__ = ["Finding", "Verification", "verify"]

_CHUNK: Final = 20_000
#: Among so many changed rows it is looked for such as were put in each other's place.
_FEW: Final = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was recorded.

    Attributes:
        leaf: The leaf that vouches for it; findings are in the order of leaves.
        table: In which table.
        row: Which row, by its key.
        what: ``changed``, ``removed``, ``inserted``, ``reordered`` or ``unsigned``.
        why: How that is known.
    """

    leaf: int
    table: str
    row: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.table}, {self.row}: {self.why}"


@dataclass(frozen=True)
class Verification:
    """What became of verifying a ledger.

    Attributes:
        location: Which ledger, no password.
        leaves: How many leaves its log has.
        runs: How many runs were begun.
        unfinished: Runs that were begun and never ended, each a deviation.
        erased: How many private texts were erased under policy, on record.
        findings: What is not as it was recorded, the first first.
        claim: What may be said of it.
    """

    location: str
    leaves: int
    runs: int
    unfinished: tuple[str, ...]
    erased: int
    findings: tuple[Finding, ...]
    claim: Claim

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def exit_code(self) -> int:
        """What a shell sees: 0, or 1 where something was tampered with."""
        return 0 if self.is_sound else 1

    def headline(self) -> str:
        """One sentence."""
        if self.findings:
            more = len(self.findings) - 1
            return f"tampered: {self.findings[0]}" + (f" (and {more:,} more)" if more else "")
        erased = f", {self.erased:,} private texts erased under policy" if self.erased else ""
        runs = "1 run" if self.runs == 1 else f"{self.runs:,} runs"
        return f"nothing was changed: {self.leaves:,} leaves, {runs}{erased}; {self.claim}"


def verify(url: str | os.PathLike[str], *, held: Iterable[str] = (), key: PublicKey | None = None) -> Verification:
    """Compute everything in a ledger again.

    Args:
        url: Of the ledger.
        held: Checkpoints that were kept elsewhere, as text.
        key: By which key it was signed when it began, or later, as its owner told; else the ledger's word is taken.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.
    """
    database = Database.at(url)
    if not database.is_there:
        raise LedgerError(f"there is no ledger at {database.location}", "look at its URL")
    kept = [Checkpoint.from_text(text) for text in held]
    with database.reading() as connection:
        found = [Finding(-1, "triggers", *told) for told in unguarded(connection)]
        log = read_log(connection, {each.size for each in kept})
        found += [Finding(*each) for each in log.findings]
        found += _keys(log, key)
        found += _held(log, kept)
        found += _indexes(connection, log)
        for table in schema.EVIDENCE:
            found += _evidence(connection, table, log)
        found += _texts_of_runs(connection, log)
        found += [Finding(*each) for each in untied(connection, log)]
        for leaf, why in doubtful(connection):
            found.append(Finding(leaf, "leaves", f"leaf {leaf}", "inserted", f"against the rules of sampling: {why}"))
        found += _strangers(connection, log)
        found += _erasures(connection, log)
        found += [Finding(*each) for each in untied_links(connection, log)]
    found.sort(key=lambda each: each.leaf)
    return Verification(
        database.location,
        log.size,
        len(log.started),
        tuple(run for run in log.started if run not in log.ended),
        sum(each["count"] for each in log.erased.values()),
        tuple(found),
        claim_of(log, kept),
    )


# --- the log
# -----------------------------------------------------------------------------------------------------------------


def _keys(log: Leaves, told: PublicKey | None) -> Iterator[Finding]:
    if told is not None and told not in log.keys:
        names = ", ".join(f"{key.name}+{key.id.hex()}" for key in log.keys) or "no key"
        yield Finding(0, "leaves", "leaf 0", "unsigned", f"the log is of {names}, not of {told.name}+{told.id.hex()}")


def _held(log: Leaves, kept: Sequence[Checkpoint]) -> Iterator[Finding]:
    for each in kept:
        where = f"checkpoint {each.size}"
        if not each.is_signed_by_any(log.keys):
            yield Finding(
                each.size, "checkpoints", where, "unsigned", "no key of this ledger signed the one that is held"
            )
        elif each.size > log.size:
            why = f"the one that is held has {each.size:,} leaves, the ledger has {log.size:,}"
            yield Finding(log.size, "leaves", f"leaf {log.size}", "removed", why)
        elif log.roots[each.size] != each.root:
            good = max((other.size for other in kept if log.roots.get(other.size) == other.root), default=0)
            why = f"the log no longer begins as the checkpoint of {each.size:,} leaves that is held says"
            yield Finding(good, "leaves", f"one of leaves {good} to {each.size - 1}", "changed", why)


# --- rows
# ----------------------------------------------------------------------------------------------------------------


def _indexes(connection: sa.Connection, log: Leaves) -> Iterator[Finding]:
    """The rows by which runs and contracts are found, against the leaves that say the same."""
    for table, told in ((schema.runs, log.started), (schema.endings, log.ended)):
        rows = {row.run: row._mapping for row in connection.execute(sa.select(table))}
        for run, row in rows.items():
            if run not in told:
                yield Finding(log.size, table.name, f"run {run}", "inserted", "no leaf speaks of it")
                continue
            differ = [name for name, value in told[run].items() if name in row and row[name] != value]
            if differ:
                why = f"{', '.join(differ)} is not what leaf {told[run]['leaf']} says"
                yield Finding(told[run]["leaf"], table.name, f"run {run}", "changed", why)
        for run in told.keys() - rows.keys():
            yield Finding(told[run]["leaf"], table.name, f"run {run}", "removed", "its leaf is there, its row is not")
    known = set()
    for contract in connection.execute(sa.select(schema.contracts)):
        known.add(contract.sha256)
        leaf, where = log.contracts.get(contract.sha256, log.size), f"contract {contract.sha256[:12]}…"
        if contract.sha256 not in log.contracts:
            yield Finding(leaf, "contracts", where, "inserted", "no leaf speaks of it")
        elif not _is_contract(contract):
            yield Finding(leaf, "contracts", where, "changed", "its text has another SHA-256, name or version")
    for digest in log.contracts.keys() - known:
        why = "runs were judged by it"
        yield Finding(log.contracts[digest], "contracts", f"contract {digest[:12]}…", "removed", why)


def _is_contract(row: Any) -> bool:
    try:
        said = json.loads(row.body)
        named = bool(said["name"] == row.name and said["version"] == row.version)
    except (ValueError, TypeError, KeyError):
        return False
    return named and sha256(row.body.encode()).hexdigest() == str(row.sha256)


@dataclass
class _Run:
    """The rows of one run in one table, as far as they were seen."""

    hashes: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    sums: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    broken: bool = False

    def add(self, number: int, stored: str) -> bool:
        self.numbers.append(number)
        self.hashes.append(stored)
        return True


def _evidence(connection: sa.Connection, table: sa.Table, log: Leaves) -> Iterator[Finding]:
    """The rows of one table: each against its own digest and its private text, all of a run against its leaf."""
    scope = {"batches": "batch", "breaks": "break"}.get(table.name)
    seen: dict[str, _Run] = defaultdict(_Run)
    for frame in _frames(connection, table, scope):
        computed = digests(table, frame)
        wrong = [
            place
            for place, (run, number, stored) in enumerate(frame.select("run", "number", "hash").iter_rows())
            if seen[run].add(number, stored) and computed[place] != stored and _is_told(log, table, run, number)
        ]
        for place, what, why in _changed(table, frame, wrong):
            run, number = frame["run"][place], frame["number"][place]
            seen[run].broken = True
            yield Finding(log.rows[run]["leaf"], table.name, _row(run, number), what, why)
        if scope is not None:
            yield from _texts(table, frame, scope, log)
        if table is schema.seals:
            yield from _sealed(frame, log)
        if table is schema.batches:
            sums = frame.with_columns(pl.col(schema.COUNTS).cast(pl.Int64, strict=False))
            for row in sums.group_by("run").agg(pl.col(schema.COUNTS).sum()).iter_rows(named=True):
                for name in schema.COUNTS:
                    seen[row["run"]].sums[name] += row[name]
    for run in seen.keys() - log.rows.keys():
        yield Finding(log.size, table.name, _row(run, seen[run].numbers[0]), "inserted", "no leaf speaks of its run")
    for run, told in log.rows.items():
        yield from _whole(table, run, told, seen[run])


def _is_told(log: Leaves, table: sa.Table, run: str, number: Any) -> bool:
    """Whether the leaf of a run speaks of a row with this number; one of which it does not was inserted."""
    return run in log.rows and number in range(log.rows[run]["rows"][table.name]["count"])


def _changed(table: sa.Table, frame: pl.DataFrame, wrong: Sequence[int]) -> Iterator[tuple[int, str, str]]:
    """Tell of rows that have another digest whether they were changed, or only have each other's numbers."""
    rows = frame[list(wrong)]
    for place, stored in zip(wrong, rows["hash"], strict=True):
        row = frame[[place] * rows.height].with_columns(rows["number"])
        same = (rows["run"] == frame["run"][place]) & (digests(table, row) == stored)
        if len(wrong) <= _FEW and same.any():
            yield place, "reordered", f"it was row {row.filter(same)['number'][0]}"
        else:
            yield place, "changed", "it has another digest"


def _whole(table: sa.Table, run: str, told: dict[str, Any], of: _Run) -> Iterator[Finding]:
    """All rows of a run in a table, against the count and root in its leaf."""
    said, leaf = told["rows"][table.name], told["leaf"]
    missing = sorted(set(range(said["count"])) - set(of.numbers))
    surplus = sorted(set(of.numbers) - set(range(said["count"])))
    for number in missing:
        yield Finding(leaf, table.name, _row(run, number), "removed", f"its leaf says that there are {said['count']:,}")
    for number in surplus:
        yield Finding(
            leaf, table.name, _row(run, number), "inserted", f"its leaf says that there are {said['count']:,}"
        )
    if missing or surplus or of.broken:
        return
    try:
        same = root(of.hashes) == said["root"]
    except (ValueError, TypeError):
        same = False
    if not same:
        why = "digests were changed along with their rows: the root in the run's leaf is another one"
        yield Finding(leaf, table.name, f"one of the {said['count']:,} rows of run {run}", "changed", why)
    elif table is schema.batches:
        totals = {name: of.sums[name] + told["unchanged"].get(name, 0) for name in schema.COUNTS}
        totals["moved"] = totals.pop("moved_out")
        wrong = [name for name, total in told["totals"].items() if totals[name] != total]
        if wrong:
            yield Finding(leaf, table.name, f"run {run}", "changed", f"{', '.join(wrong)} do not add up to its totals")


def _frames(connection: sa.Connection, table: sa.Table, scope: str | None) -> Iterator[pl.DataFrame]:
    """A table in parts, by run and number; where its rows have private texts, these and their erasures beside."""
    query = sa.select(table).order_by(table.c.run, table.c.number)
    if scope is not None:
        secrets, erasures = schema.secrets, schema.erasures
        on = [
            sa.and_(other.c.run == table.c.run, other.c.number == table.c.number, other.c.scope == scope)
            for other in (secrets, erasures)
        ]
        extra = (secrets.c.salt, secrets.c.subject, secrets.c.body, erasures.c.leaf)
        joined = table.outerjoin(secrets, on[0]).outerjoin(erasures, on[1])
        query = sa.select(table, *extra).select_from(joined).order_by(table.c.run, table.c.number)
    rows = connection.execution_options(yield_per=_CHUNK).execute(query)
    for part in rows.partitions(_CHUNK):
        frame = frame_of(table, part)
        if scope is not None:
            names, first = ("salt", "subject", "text", "erased"), len(table.columns)
            texts = {
                n: [None if row[first + i] is None else str(row[first + i]) for row in part]
                for i, n in enumerate(names)
            }
            frame = frame.with_columns(pl.DataFrame(texts, schema=dict.fromkeys(names, pl.String)))
        yield frame


def _texts(table: sa.Table, frame: pl.DataFrame, scope: str, log: Leaves) -> Iterator[Finding]:
    """The private texts of some rows, against their commitments."""
    computed = commitments(frame["salt"], frame["subject"], frame["text"])
    told = frame.select("run", "number", "commitment", "erased", gone=pl.col("text").is_null(), computed=computed)
    for run, number, said, erased, gone, other in told.iter_rows():
        if not _is_told(log, table, run, number):
            continue
        leaf = log.rows[run]["leaf"]
        if gone and erased is None:
            yield Finding(leaf, "secrets", f"{scope} {_row(run, number)}", "removed", "no erasure is on record")
        elif not gone and erased is not None:
            yield Finding(
                leaf, "erasures", f"{scope} {_row(run, number)}", "inserted", "it is there, and said to be erased"
            )
        elif not gone and said != other:
            yield Finding(leaf, "secrets", f"{scope} {_row(run, number)}", "changed", "it is not what was committed to")


def _texts_of_runs(connection: sa.Connection, log: Leaves) -> Iterator[Finding]:
    """What is private of the runs themselves: how they read (0), and what they found or how they failed (1)."""
    told = {(run, 0): each for run, each in log.started.items()} | {(run, 1): each for run, each in log.ended.items()}
    secrets, erasures = schema.secrets, schema.erasures
    query = sa.select(erasures.c.run, erasures.c.number).where(erasures.c.scope == "run")
    seen = {(run, number) for run, number in connection.execute(query)}
    query = sa.select(secrets).where(secrets.c.scope == "run").order_by(secrets.c.run, secrets.c.number)
    for part in connection.execution_options(yield_per=_CHUNK).execute(query).partitions(_CHUNK):
        frame = frame_of(secrets, part)
        computed = commitments(*(frame[name].cast(pl.String) for name in ("salt", "subject", "body")))
        for row, other in zip(part, computed, strict=True):
            place = (row.run, row.number)
            seen.add(place)
            if place in told and told[place]["commitment"] != other:
                where = f"run {_row(*place)}"
                yield Finding(told[place]["leaf"], "secrets", where, "changed", "it is not what was committed to")
    for place in told.keys() - seen:
        yield Finding(told[place]["leaf"], "secrets", f"run {_row(*place)}", "removed", "no erasure is on record")


def _strangers(connection: sa.Connection, log: Leaves) -> Iterator[Finding]:
    """Private texts that belong to nothing."""
    secrets = schema.secrets
    for scope, table in (("batch", schema.batches), ("break", schema.breaks)):
        on = sa.and_(table.c.run == secrets.c.run, table.c.number == secrets.c.number)
        query = sa.select(secrets.c.run, secrets.c.number).select_from(secrets.outerjoin(table, on))
        for run, number in connection.execute(query.where(secrets.c.scope == scope, table.c.run.is_(None))):
            yield Finding(log.size, "secrets", f"{scope} {_row(run, number)}", "inserted", "no row has it")
    query = sa.select(secrets.c.run, secrets.c.scope, secrets.c.number).where(
        secrets.c.scope.not_in(["batch", "break"])
    )
    reasons = reasons_known(log)
    for run, scope, number in connection.execute(query):
        known = scope == "run" and ((number == 0 and run in log.started) or (number == 1 and run in log.ended))
        known |= scope == "disposition" and (run, number) in reasons
        if not known:
            yield Finding(log.size, "secrets", f"{scope} {_row(run, number)}", "inserted", "no row has it")


def _sealed(frame: pl.DataFrame, log: Leaves) -> Iterator[Finding]:
    for run, number, records, root_, octets in frame.select("run", "number", "records", "root", "leaves").iter_rows():
        if run not in log.rows:
            continue
        if isinstance(octets, str):  # one row holds text where octets belong, so that all of them are shown as text
            octets = ast.literal_eval(octets)
        if not isinstance(octets, bytes):
            yield Finding(log.rows[run]["leaf"], "seals", _row(run, number), "changed", "its leaves are no octets")
            continue
        leaves = [octets[i : i + 32] for i in range(0, len(octets), 32)]
        same = len(leaves) == records and leaves == sorted(leaves)
        if not same or root_of([leaf_hash(leaf) for leaf in leaves]).hex() != root_:
            yield Finding(log.rows[run]["leaf"], "seals", _row(run, number), "changed", "its leaves have another root")


def _erasures(connection: sa.Connection, log: Leaves) -> Iterator[Finding]:
    """What is said to be erased, against the leaves that say how much was."""
    table = schema.erasures
    query = sa.select(table).order_by(table.c.leaf, table.c.run, table.c.scope, table.c.number)
    by_leaf: dict[int, list[Any]] = defaultdict(list)
    for row in connection.execute(query):
        by_leaf[row.leaf].append(row)
    for leaf, rows in by_leaf.items():
        told = log.erased.get(leaf)
        if told is None:
            first = rows[0]
            yield Finding(
                leaf, "erasures", f"{first.scope} {_row(first.run, first.number)}", "inserted", "no leaf says so"
            )
        elif len(rows) != told["count"] or root(digests(table, frame_of(table, rows))) != told["root"]:
            yield Finding(leaf, "erasures", f"leaf {leaf}", "changed", "it is not the list that its leaf commits to")
    for leaf in log.erased.keys() - by_leaf.keys():
        yield Finding(leaf, "erasures", f"leaf {leaf}", "removed", "its leaf is there, the list is not")


def _row(run: str, number: int) -> str:
    return f"row {number} of run {run}"
