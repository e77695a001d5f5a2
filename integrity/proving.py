"""Which items of the source were, provably, in a batch of a run?

A sealed batch tells whoever has an item and the keys of the seals whether the item was in it. Here items are taken from
the source as it is now, read as the run read it and no further than to the first that were.
"""

from __future__ import annotations

import contextlib
import hmac
import os
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from integrity.contracts import Contract
from integrity.errors import IntegrityError, UsageError
from integrity.items import Reader
from integrity.packs.asking import Inclusion, keys_in, proofs_in
from integrity.packs.opening import Pack
from integrity.packs.told import runs_of
from integrity.packs.verifying import sound_pack
from integrity.plan import planned
from integrity.reperformance import asked_again
from integrity.rows import Slice
from integrity.seals import words
from integrity.totals import BATCH

__all__ = ["Proved", "proved", "sealed_runs"]


@dataclass(frozen=True)
class Proved:
    """An item of the source, and the proof that it was in a batch.

    Attributes:
        item: Its identity, as canonical text.
        proof: Of the batch of the source that held it.
    """

    item: Mapping[str, str | None]
    proof: Inclusion


def sealed_runs(pack: str | os.PathLike[str]) -> list[str]:
    """Return the runs of a pack that have sealed batches. The others can prove of no item that it was there.

    Raises:
        PackError: the pack cannot be read, or does not fit together.
    """
    found = sound_pack(pack)
    return [run.name for run in runs_of(found.leaves) if found.frame(run.name, "seals") is not None]


def proved(
    pack: str | os.PathLike[str],
    source: Any,
    destination: Any,
    keys: str | os.PathLike[str],
    *,
    run: str | None = None,
    most: int = 1,
    **references: Any,
) -> list[Proved]:
    """Return the first items of the source that were in a batch of a run, each with its proof.

    The source is read as far as that takes, and where a store can tell batches apart only those of the run.

    Args:
        pack: The folder or zip. It has to fit together; by whom it is signed is for ``verify_pack`` to tell.
        source: The source as it is now.
        destination: The destination; nothing of it is read, but by what digests files are compared depends on both.
        keys: The file of the keys that the export wrote apart (``seal_keys``).
        run: One run, by its name or the beginning of it; it may be left out where there is one.
        most: How many items, at most.
        **references: As :func:`integrity.reperformance.reperform` takes them.

    Returns:
        None where no batch of the run has items in the source.

    Raises:
        UsageError: there is no such run, or it is not sealed.
        PackError: pack or keys cannot be read, or the pack does not fit together.
        IntegrityError: no item of the source was in a batch of the run; or as :func:`integrity.reconcile` raises.
    """
    found, known = sound_pack(pack), keys_in(Path(keys))
    asked = asked_again(found, run, references)
    name = asked.run.name
    seals = found.frame(name, "seals")
    if seals is None or name not in known:
        raise UsageError(
            f"run {name} has no sealed batches, or no key in {os.fspath(keys)}", "write seal: merkle into the contract"
        )
    seals = seals.filter(side="source")
    if not seals.height:
        return []
    reader = planned(asked.contract, source, destination, **asked.terms, pushdown="never").sides[0]
    if not isinstance(reader, Reader):
        raise UsageError("recorded totals hold no items", "give the source itself")
    wanted = Slice(_batches(found, name, asked.contract, seals))
    shown: list[Proved] = []
    with contextlib.closing(_prints(reader, wanted)) as prints:
        for item, octets in prints:
            for proof in proofs_in(name, seals, hmac.digest(known[name], octets, "sha256")):
                shown.append(Proved(item, proof))
                if len(shown) == most:
                    return shown
    if not shown:
        raise IntegrityError(
            f"no item of {reader.store.name} was in a batch of run {name}", "see whether it is the source of that run"
        )
    return shown


def _batches(pack: Pack, run: str, contract: Contract, seals: pl.DataFrame) -> pl.DataFrame | None:
    """The sealed batches, where they can be told from the others without what is private of them."""
    rows = pack.frame(run, "batches")
    if rows is None or contract.partition:
        return None
    starts = rows.join(seals, left_on="key", right_on="batch", how="semi")["batch_start"]
    moments = starts.str.to_datetime(time_unit="us", time_zone="UTC")
    return pl.DataFrame({BATCH: moments.cast(pl.Int64)}).unique()


def _prints(reader: Reader, wanted: Slice) -> Generator[tuple[dict[str, str | None], bytes]]:
    """The identity and the whole fingerprint of each item, as they are read."""
    identity, halves = list(reader.contract.identity), words(reader.contract)
    with contextlib.closing(reader.frames(wanted)) as frames:
        for frame in frames:
            octets = frame.select(halves).to_numpy().astype(">u8").tobytes()
            for place, item in enumerate(frame.select(identity).iter_rows(named=True)):
                yield item, octets[place * 32 : place * 32 + 32]
