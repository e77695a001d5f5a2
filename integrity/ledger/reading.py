"""What do the leaves of a log say, and does each follow from the one before?

The log is read once, from its first leaf. What does not fit is named and then taken as given, so that one change is
told as one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from integrity.errors import LedgerError
from integrity.ledger import schema
from integrity.ledger.checkpoints import Checkpoint
from integrity.ledger.claims import Sent
from integrity.ledger.keys import PublicKey
from integrity.ledger.trails import Step, step_of
from integrity.merkle import Frontier, leaf_hash

__all__ = ["Leaves", "bodies", "read_log", "rotation_text"]

_ENDS: Final = ("finished", "failed", "abandoned")
_CHUNK: Final = 5_000
#: So many leaves in a row are named one by one where they are gone; a number behind more than these was made up.
_FAR: Final = 100_000


@dataclass
class Leaves:
    """What a log says, as far as verifying has to know.

    Attributes:
        size: How many leaves it has.
        keys: By which keys it was signed, the one in force last.
        roots: The root at each size that was asked for, and of the whole.
        started: Of each run that began: its leaf, and what its row of ``runs`` has to say.
        ended: The same of ``endings``.
        rows: Of each run that finished: its leaf, counts and roots of its rows, and its totals.
        contracts: The digest of each contract to the leaf that first names it.
        erased: Of each leaf that erases: how many, the root over their list, and the same of the links it notes.
        steps: Of each leaf of casework: what it says.
        ruled: Which dispositions somebody else has to confirm, by the leaf from which on that is ruled.
        sent: The checkpoints that were sent out.
        findings: What does not fit: leaf, table, row, what, why.
    """

    size: int = 0
    keys: list[PublicKey] = field(default_factory=list)
    roots: dict[int, bytes] = field(default_factory=dict)
    started: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    contracts: dict[str, int] = field(default_factory=dict)
    erased: dict[int, dict[str, Any]] = field(default_factory=dict)
    steps: dict[int, Step] = field(default_factory=dict)
    ruled: dict[int, frozenset[str]] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    findings: list[tuple[int, str, str, str, str]] = field(default_factory=list)
    quiet: list[int] = field(default_factory=list)

    def later_than(self, size: int) -> int:
        """How many leaves came after the first ``size``, other than those that say who was sent a checkpoint."""
        return self.size - size - sum(number >= size for number in self.quiet)

    def found(self, leaf: int, table: str, row: str, what: str, why: str) -> None:
        self.findings.append((leaf, table, row, what, why))


def bodies(connection: sa.Connection, *kinds: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the body of each leaf of some kinds, in their order."""
    table = schema.leaves
    query = sa.select(table.c.number, table.c.body).where(table.c.kind.in_(kinds)).order_by(table.c.number)
    for number, body in connection.execution_options(yield_per=_CHUNK).execute(query):
        yield number, json.loads(body)


def rotation_text(before: PublicKey, after: PublicKey, number: int) -> bytes:
    """Return what both keys sign when one takes over from the other."""
    return f"integrity.rotation/1\n{before}\n{after}\n{number}\n".encode()


def read_log(connection: sa.Connection, sizes: Collection[int] = ()) -> Leaves:
    """Read a log and compute it again.

    Args:
        connection: A transaction that reads.
        sizes: At which sizes the roots are asked for.
    """
    log, frontier = Leaves(), Frontier()
    notes = _notes(connection)
    before: Checkpoint | None = None
    note = next(notes, None)
    table = schema.leaves
    query = sa.select(table.c.number, table.c.kind, table.c.body, table.c.hash).order_by(table.c.number)
    log.roots[0] = frontier.root
    for number, kind, body, hashed in connection.execution_options(yield_per=_CHUNK).execute(query):
        if number - frontier.size > _FAR:
            log.found(frontier.size, "leaves", f"leaf {number}", "inserted", "nothing leads up to so high a number")
            continue
        while frontier.size < number:  # leaves that are not there: what follows stands on the next checkpoint
            log.found(frontier.size, "leaves", f"leaf {frontier.size}", "removed", "the numbers of leaves have no gaps")
            note, before, frontier = _skip(notes, note, frontier)
        if number < frontier.size:
            log.found(number, "leaves", f"leaf {number}", "inserted", "leaves are numbered from zero")
            continue
        leaf = _leaf(connection, log, number, kind, body, hashed, before)
        frontier = frontier.append(_octets(hashed) or leaf_hash(str(body).encode()))
        while note is not None and note[0] < frontier.size:
            log.found(number, "checkpoints", f"checkpoint {note[0]}", "inserted", "there is one for each leaf")
            note = next(notes, None)
        if note is None or note[0] > frontier.size:
            why = "it has no checkpoint" if note is None else "its checkpoint is not there"
            log.found(number, "checkpoints", f"checkpoint {frontier.size}", "removed", why)
            before = None
        else:
            frontier, before = _checked(log, frontier, note)
            note = next(notes, None)
        if frontier.size in sizes:
            log.roots[frontier.size] = frontier.root
        if leaf is not None:
            _told(log, number, leaf)
    for size, _, _ in [note, *notes] if note is not None else []:
        log.found(min(size - 1, frontier.size), "leaves", f"leaf {size - 1}", "removed", "it has a checkpoint still")
    log.size = frontier.size
    log.roots[log.size] = frontier.root
    _signed(connection, log, before)
    return log


def _place_of(connection: sa.Connection, digest: object) -> int | None:
    """Return the number of the leaf that follows the checkpoint with this digest."""
    for note in _notes(connection):
        checkpoint, _ = _read(note)
        if checkpoint is not None and checkpoint.sha256 == digest:
            return note[0]
    return None


_Note = tuple[int, str, str]


def _notes(connection: sa.Connection) -> Iterator[_Note]:
    table = schema.checkpoints
    query = sa.select(table.c.size, table.c.note, table.c.frontier).order_by(table.c.size)
    for row in connection.execution_options(yield_per=_CHUNK).execute(query):
        yield row.size, row.note, row.frontier


def _skip(
    notes: Iterator[_Note], note: _Note | None, frontier: Frontier
) -> tuple[_Note | None, Checkpoint | None, Frontier]:
    """Go on behind a leaf that is not there."""
    while note is not None and note[0] <= frontier.size:
        note = next(notes, None)
    if note is not None and note[0] == frontier.size + 1:
        checkpoint, grown = _read(note)
        if checkpoint is not None and grown is not None:
            return next(notes, None), checkpoint, grown
        note = next(notes, None)
    return note, None, frontier.append(leaf_hash(b"a leaf that is not there"))


def _read(note: _Note) -> tuple[Checkpoint | None, Frontier | None]:
    size, text, frontier = note
    try:
        checkpoint: Checkpoint | None = Checkpoint.from_text(text)
    except (LedgerError, AttributeError, TypeError):
        checkpoint = None
    try:
        grown: Frontier | None = Frontier.from_bytes(size, bytes.fromhex(frontier))
    except (ValueError, TypeError):
        grown = None
    return checkpoint, grown


def _checked(log: Leaves, frontier: Frontier, note: _Note) -> tuple[Frontier, Checkpoint | None]:
    """Compare a checkpoint with the log so far; where they differ, go on as the checkpoint says."""
    checkpoint, kept = _read(note)
    number, where = frontier.size - 1, f"checkpoint {frontier.size}"
    if checkpoint is None or checkpoint.size != frontier.size:
        log.found(number, "checkpoints", where, "changed", "it is no checkpoint of this size")
        return frontier, None
    if checkpoint.root == frontier.root:
        if kept != frontier:
            log.found(number, "checkpoints", where, "changed", "the hashes kept beside it are not those of the log")
        return frontier, checkpoint
    why = "the log up to it has another root than was signed"
    if kept is not None and kept.root == checkpoint.root:
        log.found(number, "leaves", f"leaf {number}", "changed", why)
        return kept, checkpoint
    log.found(number, "checkpoints", where, "changed", why)
    return frontier, checkpoint


def _leaf(
    connection: sa.Connection,
    log: Leaves,
    number: int,
    kind: str,
    body: str,
    hashed: str,
    before: Checkpoint | None,
) -> dict[str, Any] | None:
    """Compare a leaf with its own hash and with the checkpoint before it; return what it says."""
    where = f"leaf {number}"
    try:
        said = json.loads(body, object_pairs_hook=_once)
        same = leaf_hash(body.encode()).hex() == hashed
    except (ValueError, TypeError, AttributeError):
        said, same = None, False
    if not same or not isinstance(said, dict):
        why = "it has another hash, or is no object of names that each stand once"
        log.found(number, "leaves", where, "changed", why if said is None else "it has another hash")
        return said if isinstance(said, dict) else None
    if said.get("kind") != kind:
        log.found(number, "leaves", where, "changed", f"it is of kind {said.get('kind')}, not {kind}")
    told = said.get("checkpoint")
    if number and before is not None and told != before.sha256:
        place = _place_of(connection, told)
        if place is not None:
            log.found(number, "leaves", where, "reordered", f"it was leaf {place}")
        else:
            why = f"leaf {number} vouches for another text"
            log.found(number - 1, "checkpoints", f"checkpoint {number}", "changed", why)
    return said


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object each of whose names stands once in it: of two, one program would read the first and one the last."""
    told = dict(pairs)
    if len(told) < len(pairs):
        raise ValueError("a name stands twice")
    return told


def _octets(hashed: str) -> bytes | None:
    try:
        octets = bytes.fromhex(hashed)
    except (ValueError, TypeError):
        return None
    return octets if len(octets) == 32 else None


def _told(log: Leaves, number: int, leaf: dict[str, Any]) -> None:
    """Keep what a leaf says."""
    kind = leaf.get("kind")
    try:
        if kind == "started":
            log.contracts.setdefault(leaf["contract"]["sha256"], number)
            names = ("pipeline", "environment", "every", "at", "operator")
            told = {name: leaf[name] for name in names} | {"contract": leaf["contract"]["sha256"], "leaf": number}
            log.started[leaf["run"]] = told | {"commitment": leaf["reading"]}
        elif kind in _ENDS:
            kept = {name: leaf.get(name) for name in ("verdict", "since", "closed_until", "watermark", "at")}
            told = kept | {"leaf": number, "how": kind}
            log.ended[leaf["run"]] = told | {"commitment": leaf["found"]}
            if kind == "finished":
                log.rows[leaf["run"]] = {
                    "leaf": number,
                    "rows": leaf["rows"],
                    "totals": leaf["totals"],
                    "unchanged": leaf["unchanged"]["totals"],
                }
        elif kind == "opened":
            log.keys.append(PublicKey.from_text(leaf["key"]))
        elif kind == "rotated":
            _rotated(log, number, leaf)
        elif kind == "approved":
            log.contracts.setdefault(leaf["contract"]["sha256"], number)
        elif kind == "erased":
            links = leaf.get("links", {"count": 0, "root": None})  # older leaves note none
            log.erased[number] = {"count": leaf["count"], "root": leaf["root"], "links": links}
        elif kind == "disposition":
            log.steps[number] = step_of(number, leaf)
        elif kind == "ruled":
            log.ruled[number] = frozenset(map(str, leaf["confirmed"]))
        elif kind == "sent":
            log.sent.append(Sent(leaf["size"], leaf["party"], leaf["at"]))
            log.quiet.append(number)
    except (KeyError, TypeError, ValueError, IndexError, LedgerError):
        log.found(number, "leaves", f"leaf {number}", "changed", f"it does not say what a leaf of kind {kind} says")


def _rotated(log: Leaves, number: int, leaf: dict[str, Any]) -> None:
    before, after = PublicKey.from_text(leaf["before"]), PublicKey.from_text(leaf["key"])
    text = rotation_text(before, after, number)
    both = all(key.holds(bytes.fromhex(leaf["signatures"][place]), text) for place, key in enumerate((before, after)))
    if not both or not log.keys or log.keys[-1] != before:
        log.found(number, "leaves", f"leaf {number}", "unsigned", "the key before it did not hand over to the next")
    log.keys.append(after)


def _signed(connection: sa.Connection, log: Leaves, last: Checkpoint | None) -> None:
    """Check the signature on the last checkpoint: it vouches for all before it. If it is wrong, find the first."""
    if not log.keys:
        log.found(0, "leaves", "leaf 0", "unsigned", "no leaf says by which key the log is signed")
        return
    if last is None or (last.origin == log.keys[-1].name and last.is_signed_by(log.keys[-1])):
        return
    for note in _notes(connection):
        checkpoint, _ = _read(note)
        if checkpoint is not None and not checkpoint.is_signed_by_any(log.keys):
            number = checkpoint.size - 1
            log.found(
                number, "leaves", f"leaf {number}", "unsigned", "no key of the ledger signed the log that ends with it"
            )
            return
    log.found(log.size - 1, "checkpoints", f"checkpoint {log.size}", "unsigned", "the key in force did not sign it")
