"""Is a pack what was exported, and does it fit together, without the ledger and without the data?

Its statements are signed and name every file by digest; every leaf is in the log that the checkpoint signs, and so is
every checkpoint that was held elsewhere; what the statements say of runs is what their leaves say, and their rows and
texts tie to those. What does not fit is named.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from integrity.errors import LedgerError
from integrity.ledger.checkpoints import Checkpoint
from integrity.ledger.claims import Sent, claim_of
from integrity.ledger.keys import PublicKey
from integrity.ledger.log import canonical_json
from integrity.ledger.reading import Leaves, rotation_text
from integrity.merkle import is_included, leaf_hash, root_of
from integrity.packs.files import PackError
from integrity.packs.opening import Flaw, Pack, open_pack
from integrity.packs.statements import OURS, TEST_RESULT, opened, subjects
from integrity.packs.told import predicate, runs_of, test_result
from integrity.packs.tying import erasures, tie, tie_contract
from integrity.packs.tying_cases import tie_steps

__all__ = ["PackVerification", "sound_pack", "verify_pack"]

_OURS, _TESTS = "reconciliation.dsse.json", "test-result.dsse.json"
_STATEMENTS: Final = {_OURS: OURS, _TESTS: TEST_RESULT}


@dataclass(frozen=True)
class PackVerification:
    """What became of verifying a pack.

    Attributes:
        path: Which.
        key: The key that lies in it.
        trusted: Whether somebody else than the pack told by which key it should be signed.
        told: What its statement says.
        claim: What may be claimed of the log, by what it says and by the checkpoints that were held.
        leaves: How many leaves were found in the log.
        opened: How many private texts fit their commitments.
        erased: How many were erased, on record.
        left_out: How many were left out where names were replaced, so that nobody can tell.
        flaws: What does not fit, in the order in which it was looked at.
    """

    path: Path
    key: PublicKey
    trusted: bool
    told: Mapping[str, Any]
    claim: str
    leaves: int
    opened: int
    erased: int
    left_out: int
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
        texts = f"{self.opened:,} private texts opened"
        texts += f", {self.erased:,} erased under policy" if self.erased else ""
        texts += f", {self.left_out:,} pseudonymised, not opened" if self.left_out else ""
        said = "a key that was told to you" if self.trusted else "the key that lies in it; ask its owner for it"
        return (
            f"it fits together: {len(runs):,} runs, of which {counted:,} count; {self.leaves:,} leaves are in the log; "
            f"{texts}; signed by {said}; {self.claim}"
        )


def verify_pack(
    path: str | os.PathLike[str], *, key: PublicKey | None = None, held: Iterable[str] = ()
) -> PackVerification:
    """Verify a pack.

    Args:
        path: The folder or zip.
        key: By which key it should be signed; else the one that lies in it is taken, and the headline says so.
        held: Checkpoints that were kept elsewhere, as text: the log of the pack must begin with what they sign.

    Raises:
        PackError: it is no pack.
        LedgerError: what is held is no checkpoint.
    """
    return _verified(open_pack(path), key, [Checkpoint.from_text(text) for text in held])


def sound_pack(path: str | os.PathLike[str]) -> Pack:
    """Return a pack that was verified, for work that builds on what it says.

    Raises:
        PackError: it is no pack, or does not fit together.
    """
    pack = open_pack(path)
    found = _verified(pack, None, ())
    if found.flaws:
        raise PackError(f"the pack {pack.path} is {found.headline()}", "take it from where it was sent")
    return pack


def _verified(pack: Pack, key: PublicKey | None, held: Sequence[Checkpoint]) -> PackVerification:
    own = PublicKey.from_text(pack.text("log/key"))
    if key is not None and key != own:
        pack.flaw("log/key", f"it is {own.name}+{own.id.hex()}, not {key.name}+{key.id.hex()}")
    told, tests = _statements(pack, key or own)
    log = Leaves()
    with pack.flawed("log"):
        log = _log(pack, key or own)
        _held(pack, log, held)
    pseudonymised = told["pseudonymised"] is True
    gone = erasures(pack)
    with pack.flawed(_OURS):
        runs = runs_of(pack.leaves)
        for run in runs:
            with pack.flawed(f"runs/{run.name}"):
                tie(pack, run, gone, pseudonymised=pseudonymised)
        tie_steps(pack, gone, pseudonymised=pseudonymised)
        for digest in sorted({run.started["contract"]["sha256"] for run in runs}):
            with pack.flawed(f"contracts/{digest}.json"):
                tie_contract(pack, digest)
        follows = predicate(
            runs,
            ledger=(key or own).name,
            claim=str(claim_of(log)),
            kept_until=told.get("kept_until"),  # the owner's word, of which the log knows nothing
            pseudonymised=pseudonymised,
        )
        _same(pack, _OURS, told, follows)
        _same(pack, _TESTS, tests, test_result(runs))
    return PackVerification(
        pack.path,
        own,
        key is not None,
        told,
        str(claim_of(log, held)),
        len(pack.leaves),
        pack.opened,
        pack.erased,
        pack.left_out,
        tuple(pack.flaws),
    )


# --- the statements
# -----------------------------------------------------------------------------------------------------------


def _statements(pack: Pack, key: PublicKey) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both statements: signed, and about these very files."""
    others = {name: octets for name, octets in pack.files.items() if name not in _STATEMENTS}
    about = {each["name"]: each["digest"]["sha256"] for each in subjects(others)}
    told: dict[str, dict[str, Any]] = {_OURS: {"runs": [], "pseudonymised": None}, _TESTS: {}}
    for name, wanted in _STATEMENTS.items():
        octets = pack.text(name).encode()
        with pack.flawed(name):
            statement = opened(octets, key)
            said = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
            if statement["predicateType"] != wanted or not isinstance(statement["predicate"], dict):
                raise LedgerError("it is a statement of another kind")
            told[name] |= statement["predicate"]
            for file in sorted(about.keys() | said.keys()):
                if file not in said:
                    pack.flaw(file, "it was added: no statement names it")
                elif file not in about:
                    pack.flaw(file, "it was removed: a statement names it")
                elif about[file] != said[file]:
                    pack.flaw(file, "it was changed: its SHA-256 is not the one that was signed")
            continue
        for file in about:
            pack.flaw(file, "nobody vouches for it")
    return told[_OURS], told[_TESTS]


def _same(pack: Pack, name: str, told: Mapping[str, Any], leaves: Mapping[str, Any]) -> None:
    """A statement says what follows from the leaves, and nothing else."""
    if any(flaw.where == name for flaw in pack.flaws):
        return
    follows = json.loads(canonical_json(leaves))
    for part in sorted(follows.keys() | told.keys()):
        if follows.get(part) != told.get(part):
            pack.flaw(name, f"what it says as {part!r} is not what the leaves say")


# --- the log
# -----------------------------------------------------------------------------------------------------------------


def _log(pack: Pack, key: PublicKey) -> Leaves:
    """The checkpoint is signed, every leaf is in the log that it signs, and so are all the hashes."""
    checkpoint = Checkpoint.from_text(pack.text("log/checkpoint"))
    if checkpoint.origin != key.name or not checkpoint.is_signed_by(key):
        pack.flaw("log/checkpoint", f"{key.name}+{key.id.hex()} did not sign it")
    for where, said in pack.lines("log/leaves.jsonl"):
        with pack.flawed(where):
            number, body = said["leaf"], json.loads(said["body"])
            proof = [bytes.fromhex(each) for each in said["proof"]]
            hashed = leaf_hash(said["body"].encode())
            if not is_included(hashed, number, checkpoint.size, proof, checkpoint.root):
                pack.flaw(where, f"leaf {number} is not in the log that the checkpoint signs")
            elif isinstance(body, dict) and isinstance(body["kind"], str) and type(number) is int:
                pack.leaves[number] = body
            else:
                pack.flaw(where, "it is no leaf")
    log = Leaves(size=checkpoint.size)
    _keys(pack, key, log)
    for number, body in sorted(pack.leaves.items()):
        if body["kind"] == "sent":
            log.sent.append(Sent(int(body["size"]), body["party"], body["at"]))
            log.quiet.append(number)
    return log


def _keys(pack: Pack, key: PublicKey, log: Leaves) -> None:
    """The key is the one that the log began with, or that took over from it, hand to hand."""
    for number, body in sorted(pack.leaves.items()):
        with pack.flawed(f"leaf {number}"):
            if body["kind"] == "opened":
                log.keys.append(PublicKey.from_text(body["key"]))
            elif body["kind"] == "rotated":
                before, after = PublicKey.from_text(body["before"]), PublicKey.from_text(body["key"])
                text = rotation_text(before, after, number)
                both = zip((before, after), body["signatures"], strict=True)
                if before not in log.keys[-1:] or not all(by.holds(bytes.fromhex(sig), text) for by, sig in both):
                    pack.flaw(f"leaf {number}", "the key before it did not hand over to the next")
                log.keys.append(after)
    if log.keys[-1:] != [key]:
        pack.flaw("log/key", "it is not the key that the log says is in force")


def _held(pack: Pack, log: Leaves, held: Sequence[Checkpoint]) -> None:
    """The log begins with what each checkpoint signs that was held elsewhere."""
    where = "log/hashes"
    hashes = [bytes.fromhex(line) for line in pack.text(where).splitlines()]
    checkpoint = Checkpoint.from_text(pack.text("log/checkpoint"))
    if len(hashes) != log.size or root_of(hashes) != checkpoint.root:
        pack.flaw(where, "they are not those of the log that the checkpoint signs")
        return
    for each in held:
        said = f"the checkpoint of {each.size:,} leaves that is held"
        if each.size > log.size:
            pack.flaw("log/checkpoint", f"{said} is later than the pack, which has {log.size:,}: ask for one of now")
        elif not each.is_signed_by_any(log.keys):
            pack.flaw("log/checkpoint", f"{said} was not signed by a key of this log")
        elif root_of(hashes[: each.size]) != each.root:
            pack.flaw("log/checkpoint", f"{said} has another root: the log was written anew since")
        else:
            log.roots[each.size] = each.root
