"""Is a pack what was exported, and does it fit together, without the ledger and without the data?

The statement is signed, every file is named in it by digest, every leaf is in the log that the checkpoint signs, every
row has its digest and all of a run the root in its leaf, every private text that is there fits its commitment, and the
counts add up. What does not fit is named.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import polars as pl

from integrity.errors import LedgerError
from integrity.ledger import schema
from integrity.ledger.checkpoints import Checkpoint
from integrity.ledger.keys import PublicKey
from integrity.ledger.reading import rotation_text
from integrity.ledger.rows import commitments, digests, root
from integrity.merkle import is_included, leaf_hash, root_of
from integrity.packs.files import PackError, read
from integrity.packs.statements import OURS, TEST_RESULT, opened, subjects

__all__ = ["Flaw", "Pack", "PackVerification", "open_pack", "verify_pack"]

_STATEMENTS: Final = {"reconciliation.dsse.json": OURS, "test-result.dsse.json": TEST_RESULT}
_KINDS: Final = ("lost", "duplicate", "corrupt", "extra", "invalid", "late", "skewed", "unauthorized")


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something in a pack that does not fit.

    Attributes:
        where: Which file, and which row of it.
        why: What does not fit.
    """

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


@dataclass(frozen=True)
class PackVerification:
    """What became of verifying a pack.

    Attributes:
        path: Which.
        key: By which key it is signed.
        trusted: Whether that key was told by somebody else than the pack.
        told: What its statement says.
        leaves: How many leaves were found in the log.
        opened: How many private texts fit their commitments.
        closed: How many were erased or left out, so that nobody can tell.
        flaws: What does not fit, in the order in which it was looked at.
    """

    path: Path
    key: PublicKey
    trusted: bool
    told: Mapping[str, Any]
    leaves: int
    opened: int
    closed: int
    flaws: tuple[Flaw, ...]

    @property
    def exit_code(self) -> int:
        """What a shell sees: 0, or 1 where something does not fit."""
        return 1 if self.flaws else 0

    def headline(self) -> str:
        """One sentence."""
        if self.flaws:
            more = f" (and {len(self.flaws) - 1:,} more)" if len(self.flaws) > 1 else ""
            return f"tampered: {self.flaws[0]}{more}"
        runs = self.told["runs"]
        counted = sum(each["counts"] for each in runs)
        texts = f"{self.opened:,} private texts opened, {self.closed:,} left out or erased"
        said = "a key that was told to you" if self.trusted else "the key that lies in it; ask its owner for it"
        return (
            f"it fits together: {len(runs):,} runs, of which {counted:,} count; {self.leaves:,} leaves are in the log; "
            f"{texts}; signed by {said}; {self.told['claim']}"
        )


@dataclass
class Pack:
    """A pack that was read, and what it says; nothing of it is believed yet.

    Attributes:
        files: By name.
        leaves: The bodies of its leaves, by number.
        flaws: What did not fit so far.
    """

    path: Path
    files: Mapping[str, bytes]
    leaves: dict[int, dict[str, Any]] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)
    opened: int = 0
    closed: int = 0

    def flaw(self, where: str, why: str) -> None:
        if (flaw := Flaw(where, why)) not in self.flaws:
            self.flaws.append(flaw)

    def text(self, name: str) -> str:
        """A file as text.

        Raises:
            PackError: it is not there, or no text.
        """
        try:
            return self.files[name].decode()
        except KeyError:
            raise PackError(f"{self.path} is no evidence pack: it has no {name}", "look at its name") from None
        except UnicodeDecodeError:
            raise PackError(f"{name} in {self.path} is no text", "take the pack from where it was sent") from None

    def frame(self, run: str, table: str) -> pl.DataFrame | None:
        """The rows of a run, as they are in the pack; ``None`` where they are not there, or are none."""
        name = f"runs/{run}/{table}.parquet"
        octets = self.files.get(name)
        if octets is None or any(flaw.where == name for flaw in self.flaws):
            return None  # what nobody signed is not even read
        try:
            return pl.read_parquet(io.BytesIO(octets))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
            self.flaw(name, f"it is no Parquet: {str(error).splitlines()[0][:80]}")
            return None

    def of_kind(self, *kinds: str) -> dict[str, dict[str, Any]]:
        """Leaves of some kinds, by their run."""
        return {body["run"]: body for body in self.leaves.values() if body.get("kind") in kinds}


def open_pack(path: str | os.PathLike[str]) -> Pack:
    """Read a pack.

    Raises:
        PackError: it is none.
    """
    return Pack(Path(path), read(Path(path)))


def verify_pack(
    path: str | os.PathLike[str], *, key: PublicKey | None = None, held: Iterable[str] = ()
) -> PackVerification:
    """Verify a pack.

    Args:
        path: The folder or zip.
        key: By which key it should be signed; else the one that lies in it is taken, and the headline says so.
        held: Checkpoints that were kept elsewhere, as text: those of the pack's size must be the pack's.

    Raises:
        PackError: it is no pack.
    """
    pack = open_pack(path)
    own = PublicKey.from_text(pack.text("log/key"))
    if key is not None and key != own:
        pack.flaw("log/key", f"it is {own.name}+{own.id.hex()}, not {key.name}+{key.id.hex()}")
    told = _statements(pack, key or own)
    _log(pack, key or own, [Checkpoint.from_text(text) for text in held])
    for run, started in pack.of_kind("started").items():
        ended = pack.of_kind("finished", "failed", "abandoned").get(run)
        _texts_of(pack, run, started, ended)
        if ended is not None and ended["kind"] == "finished":
            _rows(pack, run, ended)
        _contract(pack, started["contract"])
    _summaries(pack, told)
    return PackVerification(
        pack.path, own, key is not None, told, len(pack.leaves), pack.opened, pack.closed, tuple(pack.flaws)
    )


def _statements(pack: Pack, key: PublicKey) -> dict[str, Any]:
    """Both statements: signed, and about these very files."""
    others = {name: octets for name, octets in pack.files.items() if name not in _STATEMENTS}
    about = {each["name"]: each["digest"]["sha256"] for each in subjects(others)}
    told: dict[str, Any] = {"runs": [], "claim": "its statement could not be read", "pseudonymised": False}
    for name, predicate in _STATEMENTS.items():
        try:
            statement = opened(pack.text(name).encode(), key)
            said = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
            if statement["predicateType"] != predicate:
                raise LedgerError("it is a statement of another kind")
        except (LedgerError, KeyError, TypeError) as error:
            pack.flaw(name, getattr(error, "problem", str(error)))
            for file in about:
                pack.flaw(file, "nobody vouches for it")
            continue
        if name == "reconciliation.dsse.json":
            told = dict(statement["predicate"])
        for file in sorted(about.keys() | said.keys()):
            if file not in said:
                pack.flaw(file, "it was added: no statement names it")
            elif file not in about:
                pack.flaw(file, "it was removed: a statement names it")
            elif about[file] != said[file]:
                pack.flaw(file, "it was changed: its SHA-256 is not the one that was signed")
    return told


def _log(pack: Pack, key: PublicKey, held: Sequence[Checkpoint]) -> None:
    """The checkpoint is signed, and every leaf is in the log that it signs."""
    try:
        checkpoint = Checkpoint.from_text(pack.text("log/checkpoint"))
    except LedgerError as error:
        pack.flaw("log/checkpoint", error.problem)
        return
    if not checkpoint.is_signed_by(key):
        pack.flaw("log/checkpoint", f"{key.name}+{key.id.hex()} did not sign it")
    for place, line in enumerate(pack.text("log/leaves.jsonl").splitlines()):
        where = f"log/leaves.jsonl, line {place + 1}"
        try:
            said = json.loads(line)
            number, body = said["leaf"], said["body"]
            proof = [bytes.fromhex(each) for each in said["proof"]]
            inside = is_included(leaf_hash(body.encode()), number, checkpoint.size, proof, checkpoint.root)
            pack.leaves[number] = json.loads(body)
        except (ValueError, KeyError, TypeError, AttributeError):
            pack.flaw(where, "it is no leaf")
            continue
        if not inside:
            pack.flaw(where, f"leaf {number} is not in the log that the checkpoint signs")
    for each in held:
        if each.size == checkpoint.size and each.root != checkpoint.root:
            pack.flaw("log/checkpoint", f"the checkpoint of {each.size:,} leaves that is held has another root")
        elif each.origin != checkpoint.origin:
            pack.flaw("log/checkpoint", f"the checkpoint that is held is of {each.origin}")
    _keys(pack, key)


def _keys(pack: Pack, key: PublicKey) -> None:
    """The key is the one that the log began with, or that took over from it, hand to hand."""
    current: PublicKey | None = None
    for number, body in sorted(pack.leaves.items()):
        try:
            if body["kind"] == "opened":
                current = PublicKey.from_text(body["key"])
            elif body["kind"] == "rotated":
                before, after = PublicKey.from_text(body["before"]), PublicKey.from_text(body["key"])
                text = rotation_text(before, after, number)
                both = zip((before, after), body["signatures"], strict=True)
                if before != current or not all(by.holds(bytes.fromhex(sig), text) for by, sig in both):
                    pack.flaw(f"leaf {number}", "the key before it did not hand over to the next")
                current = after
        except (KeyError, ValueError, LedgerError):
            pack.flaw(f"leaf {number}", "it names no key")
    if current != key:
        pack.flaw("log/key", "it is not the key that the log says is in force")


def _texts_of(pack: Pack, run: str, started: Mapping[str, Any], ended: Mapping[str, Any] | None) -> None:
    """What is private of a run itself."""
    where = f"runs/{run}/run.json"
    try:
        told = json.loads(pack.text(where))
        parts = [(told["reading"], started["reading"]), (told["found"], None if ended is None else ended["found"])]
        for text, commitment in parts:
            if commitment is None:
                continue
            if text is None:
                pack.closed += 1
                continue
            series = [pl.Series([value], dtype=pl.String) for value in (text["salt"], None, text["body"])]
            if commitments(*series)[0] != commitment:
                pack.flaw(where, "it is not what was committed to")
            else:
                pack.opened += 1
    except (PackError, ValueError, KeyError, TypeError) as error:
        pack.flaw(where, getattr(error, "problem", "it is not what an export writes"))


def _rows(pack: Pack, run: str, ended: Mapping[str, Any]) -> None:
    """The rows of a run against their digests, and against the counts and roots in its leaf."""
    sums: dict[str, int] = {}
    for table in schema.EVIDENCE:
        where, said = f"runs/{run}/{table.name}.parquet", ended["rows"][table.name]
        frame = pack.frame(run, table.name)
        if frame is None:
            if said["count"] and all(flaw.where != where for flaw in pack.flaws):
                pack.flaw(where, f"it is not there, and its leaf says that there are {said['count']:,} rows")
            continue
        lacking = [column.name for column in table.columns if column.name not in frame.columns]
        if lacking:
            pack.flaw(where, f"it has no column {lacking[0]!r}")
            continue
        wrong = (digests(table, frame) != frame["hash"].cast(pl.String)).fill_null(True)
        for number in frame["number"].filter(wrong).head(3):
            pack.flaw(f"{where}, row {number}", "it has another digest")
        numbers = frame["number"].to_list() == list(range(said["count"]))
        if not wrong.any() and (not numbers or root(frame["hash"].to_list()) != said["root"]):
            pack.flaw(where, "its rows are not those that its leaf commits to")
        if "commitment" in frame.columns:
            _commitments(pack, where, frame)
        if table is schema.batches:
            sums = {name: int(frame[name].sum() or 0) for name in schema.COUNTS}
        elif table is schema.breaks:
            _kinds(pack, where, frame, ended)
        elif table is schema.seals:
            _seals(pack, where, frame)
    if sums:
        unchanged = ended["unchanged"]["totals"]
        totals = {name: total + unchanged.get(name, 0) for name, total in sums.items()}
        totals["moved"] = totals.pop("moved_out")
        for name, total in ended["totals"].items():
            if totals.get(name) != total:
                pack.flaw(
                    f"runs/{run}", f"{name} do not add up: {totals.get(name):,} in its batches, {total:,} in its leaf"
                )


def _commitments(pack: Pack, where: str, frame: pl.DataFrame) -> None:
    if "salt" not in frame.columns:
        pack.closed += frame.height
        return
    there = frame.filter(pl.col("body").is_not_null())
    computed = commitments(there["salt"], there["subject"], there["body"])
    wrong = (computed != there["commitment"]).fill_null(True)
    for number in there["number"].filter(wrong).head(3):
        pack.flaw(f"{where}, row {number}", "its private text is not what was committed to")
    pack.opened += there.height - int(wrong.sum())
    pack.closed += frame.height - there.height


def _kinds(pack: Pack, where: str, frame: pl.DataFrame, ended: Mapping[str, Any]) -> None:
    """As many breaks of each kind as the run counted, where all of its batches can be looked into."""
    found = dict(frame.group_by("kind").len().iter_rows())
    unchanged = ended["unchanged"]["totals"]
    if not any(found.values()) and not any(ended["totals"][kind] for kind in _KINDS):
        return
    for kind in _KINDS:
        counted = ended["totals"][kind] - unchanged.get(kind, 0)
        if found.get(kind, 0) > counted:
            pack.flaw(where, f"it has {found.get(kind, 0):,} {kind}, and the run counted {counted:,}")


def _seals(pack: Pack, where: str, frame: pl.DataFrame) -> None:
    for number, octets, records, said in frame.select("number", "leaves", "records", "root").iter_rows():
        leaves = [octets[i : i + 32] for i in range(0, len(octets), 32)]
        if len(leaves) != records or root_of([leaf_hash(leaf) for leaf in leaves]).hex() != said:
            pack.flaw(f"{where}, row {number}", "its leaves have another root")


def _contract(pack: Pack, contract: Mapping[str, Any]) -> None:
    where = f"contracts/{contract['sha256']}.json"
    octets = pack.files.get(where)
    if octets is None:
        pack.flaw(where, "it is not there")
    elif sha256(octets).hexdigest() != contract["sha256"]:
        pack.flaw(where, "it has another SHA-256")


def _summaries(pack: Pack, told: Mapping[str, Any]) -> None:
    """The statement says of each run what its leaves say."""
    started, ended = pack.of_kind("started"), pack.of_kind("finished", "failed", "abandoned")
    said = {each["run"]: each for each in told["runs"]}
    for run in started.keys() ^ said.keys():
        pack.flaw("reconciliation.dsse.json", f"run {run} is in the statement or in the log, and not in both")
    for run in started.keys() & said.keys():
        for name, value in _told(ended.get(run)).items():
            if said[run].get(name) != value:
                pack.flaw("reconciliation.dsse.json", f"{name} of run {run} is not what its leaf says")


def _told(ended: Mapping[str, Any] | None) -> dict[str, Any]:
    if ended is None or ended["kind"] != "finished":
        return {}
    return {name: ended[name] for name in ("verdict", "assertions", "totals", "as_of")}
