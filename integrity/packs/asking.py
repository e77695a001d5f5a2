"""Was this item in that batch?

A sealed batch keeps the sorted fingerprints of its items, each under a key of its run. Whoever has the item, the pack
and that key, which is kept apart, gets a proof that anybody can check against the signed pack.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import polars as pl

from integrity.contracts import Contract
from integrity.errors import UsageError
from integrity.merkle import Tree, is_included, leaf_hash
from integrity.packs.files import PackError
from integrity.packs.told import runs_of
from integrity.packs.verifying import sound_pack
from integrity.seals import fingerprint_of

__all__ = ["Inclusion", "included", "keys_in", "proofs_in"]


@dataclass(frozen=True)
class Inclusion:
    """A proof that an item was in a batch.

    Attributes:
        run: Which run judged it.
        batch: The keyed name of the batch.
        side: Which side held it. The source, where both held the same.
        leaf: What stands for the item, 64 hex digits.
        index: Its place among the batch's leaves.
        size: How many there are.
        proof: The hashes that lead to the root.
        root: The root, as the run's row of ``seals`` has it.
    """

    run: str
    batch: str
    side: str
    leaf: str
    index: int
    size: int
    proof: tuple[str, ...]
    root: str

    @property
    def holds(self) -> bool:
        """Whether the proof leads to the root."""
        path = [bytes.fromhex(each) for each in self.proof]
        return is_included(leaf_hash(bytes.fromhex(self.leaf)), self.index, self.size, path, bytes.fromhex(self.root))

    def of_another(self) -> Inclusion:
        """Return what would have to hold were another item, whichever, in its place."""
        return replace(self, leaf=sha256(bytes.fromhex(self.leaf)).hexdigest())


def included(
    pack: str | os.PathLike[str],
    item: Mapping[str, object],
    keys: str | os.PathLike[str],
    *,
    timezone: str | None = None,
) -> list[Inclusion]:
    """Return a proof for each sealed batch that an item was in; none where it was in none.

    Args:
        pack: The folder or zip. It has to fit together; by whom it is signed is for :func:`verify_pack` to tell.
        item: Its identity, event time and content.
        keys: The file of the keys that the export wrote apart (``seal_keys``).
        timezone: How naive timestamps are to be read.

    Raises:
        UsageError: the item lacks a column, or no run of the pack is sealed.
        PackError: pack or keys cannot be read, or the pack does not fit together.
    """
    found, known = sound_pack(pack), keys_in(Path(keys))
    proofs: list[Inclusion] = []
    sealed = False
    for run in runs_of(found.leaves):
        frame = found.frame(run.name, "seals")
        if frame is None or run.name not in known:
            continue
        sealed = True
        contract = Contract.from_text(found.text(f"contracts/{run.started['contract']['sha256']}.json"))
        print_ = bytes.fromhex(fingerprint_of(contract, item, timezone=timezone))
        proofs += proofs_in(run.name, frame, hmac.digest(known[run.name], print_, "sha256"))
    if not sealed:
        raise UsageError("no run of the pack has sealed batches and a key here", "write seal: merkle into the contract")
    return proofs


def keys_in(path: Path) -> dict[str, bytes]:
    """Return the keys of seals in a file, by run.

    Raises:
        PackError: it cannot be read.
    """
    try:
        return {run: bytes.fromhex(key) for run, key in json.loads(path.read_text(encoding="ascii")).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise PackError(f"cannot read the keys of seals {path}: {error}", "ask for the file") from error


def proofs_in(run: str, frame: pl.DataFrame, leaf: bytes) -> list[Inclusion]:
    """Return a proof for each batch of a run's seals among whose leaves one is."""
    proofs: list[Inclusion] = []
    for batch, side, octets, root in frame.select("batch", "side", "leaves", "root").iter_rows():
        leaves = [octets[i : i + 32] for i in range(0, len(octets), 32)]
        if leaf in leaves:
            index = leaves.index(leaf)
            path = tuple(each.hex() for each in Tree.over(leaf_hash(each) for each in leaves).proof(index))
            proofs.append(Inclusion(run, batch, side, leaf.hex(), index, len(leaves), path, root))
    return proofs
