"""Can a batch be compared again from a pack alone, without the data?

Where batches are sealed, yes: a pack holds what stands for each item of both sides, keyed, so that it names nobody and
yet tells equal from unequal. Whoever has only the pack counts again how many items each side had and how many were
equal, and compares that with what the run said of the batch.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Final

import polars as pl

from integrity.errors import UsageError
from integrity.packs.opening import Pack
from integrity.packs.told import runs_of
from integrity.packs.verifying import sound_pack

__all__ = ["compare_again"]

_LEAF: Final = 32
_TYPES: Final = {
    "run": pl.String, "batch": pl.String, "batch_start": pl.String, "source": pl.Int64, "destination": pl.Int64,
    "equal": pl.Int64, "only_source": pl.Int64, "only_destination": pl.Int64, "verdict": pl.String,
    "agrees": pl.Boolean,
}  # fmt: skip


def compare_again(pack: str | os.PathLike[str], *, run: str | None = None) -> pl.DataFrame:
    """Compare both sides of every sealed batch of a pack again.

    Args:
        pack: The folder or zip. It has to fit together; by whom it is signed is for :func:`verify_pack` to tell.
        run: One run, by its whole name; else all that are sealed.

    Returns:
        A Polars row a batch: ``run``, ``batch`` (its keyed name), ``batch_start`` (ISO 8601), how many items
        ``source`` and ``destination`` have, how many are ``equal`` and how many are on one side only, the ``verdict``
        that the run gave, and whether its counts are these: ``agrees``.

    Raises:
        UsageError: no run of the pack is sealed, or there is no such run.
        PackError: it is no pack, or does not fit together.
    """
    found = sound_pack(pack)
    chosen = [each.name for each in runs_of(found.leaves) if run is None or each.name == run]
    if not chosen:
        raise UsageError(f"there is no run {run!r} in the pack", "its README lists them")
    rows = [row for name in chosen for row in _of_run(found, name)]
    if not rows:
        raise UsageError("no run of the pack has sealed batches", "write seal: merkle into the contract")
    return pl.DataFrame(rows, schema=_TYPES, orient="row")


def _of_run(pack: Pack, run: str) -> list[tuple[object, ...]]:
    seals, batches = pack.frame(run, "seals"), pack.frame(run, "batches")
    if seals is None or batches is None:
        return []
    sides: dict[tuple[str, str], Counter[bytes]] = {}
    for batch, side, octets in seals.select("batch", "side", "leaves").iter_rows():
        sides[batch, side] = Counter(octets[at : at + _LEAF] for at in range(0, len(octets), _LEAF))
    names = ("key", "batch_start", "source_records", "destination_records", "matched", "verdict")
    rows: list[tuple[object, ...]] = []
    for key, start, there, here, matched, verdict in batches.select(names).iter_rows():
        source = sides.get((key, "source"), Counter())
        alike = bool(source) and (key, "destination") not in sides and there == here
        destination = source if alike else sides.get((key, "destination"), Counter())
        equal = (source & destination).total()
        counts = (source.total(), destination.total(), equal)
        only = ((source - destination).total(), (destination - source).total())
        rows.append((run, key, start, *counts, *only, verdict, counts == (there, here, matched)))
    return rows
