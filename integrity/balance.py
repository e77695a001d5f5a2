"""Do the counts of every batch add up?

What was found in batches that agreed at once, and in those that were searched, becomes one frame: a row a batch, of the
counts and totals of the very rows that were matched. Every item of every batch is in exactly one place of it, or
nothing is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from integrity.breaks import BY_NUMBER, COUNTED, Case, is_open
from integrity.errors import BalanceError
from integrity.seals import Seals
from integrity.search import Found
from integrity.totals import BATCH, ControlTotals, add_frames

__all__ = ["Compared", "assemble", "unequal"]

_SIDES = ("source", "destination")


@dataclass
class Compared:
    """What a comparison found.

    Attributes:
        batches: A row a batch: the batch columns; ``open``; ``located`` (whether a difference could be taken to items);
            ``COUNTED``; ``source_…`` and ``destination_…`` of :data:`integrity.totals.COUNTS`, hash totals and
            amounts; and ``repeats_unknown`` (whether recorded totals leave open that an identity is in the source
            twice).
        histogram: Latencies of the items that arrived, by batch.
        source: The source's totals as first read.
        destination: The destination's.
        exclusions: Side and name to how many items were left out.
        hows: How the source and the destination were read, in words.
        elsewhere: How many items of the destination are nowhere in the source, and of no time within the run's bounds.
        rungs: How many matched pairs reached each rung of the contract's ladder at best.
        seals: The Merkle roots of both sides, where the contract is sealed and both sides have items.
    """

    batches: pl.DataFrame
    histogram: pl.DataFrame
    source: ControlTotals
    destination: ControlTotals
    exclusions: dict[tuple[str, str], int]
    hows: tuple[str, ...] = ()
    elsewhere: int = 0
    rungs: dict[str, int] = field(default_factory=dict)
    seals: Seals | None = None


def assemble(
    totals: Sequence[ControlTotals],
    settled: pl.DataFrame,
    unlocated: pl.DataFrame | None,
    found: Found | None,
    remarks: pl.DataFrame,
    recorded: Sequence[str],
    case: Case,
    hows: tuple[str, ...],
    seals: Seals | None = None,
) -> Compared:
    """Put a comparison together, and check its balance.

    Args:
        totals: Both sides as first read.
        settled: The batches that agreed at once.
        unlocated: The batches that differ from recorded totals, so that nobody can say in which items.
        found: What the search found in the others.
        remarks: What was said of items in batches that agreed, ``COUNTED``.
        recorded: The sides of which only totals were given.
        case: What is judged, and when.
        hows: How both sides were read.
        seals: Their Merkle roots.

    Raises:
        BalanceError: the counts do not add up. A bug of ours: nothing may be reported.
    """
    keys = case.batch_columns
    frames = [of.frame.drop("repeats") for of in totals]
    parts = [[_of(frame, settled, keys)] for frame in frames]
    histograms = [_of(totals[1].histogram, settled, keys)]
    agreed = parts[0][0].select(*keys, pl.col("records").alias("matched"))
    counts = [agreed, remarks]
    if found is not None:
        counts.append(found.counts)
        histograms.append(found.histogram.select(histograms[0].columns))
        for part, frame in zip(parts, (found.source, found.destination), strict=True):
            part.append(frame.drop("repeats"))
    if unlocated is not None:
        for part, frame in zip(parts, frames, strict=True):
            part.append(_of(frame, unlocated, keys))
    batches = _joined([_summed(side, part, keys) for side, part in zip(_SIDES, parts, strict=True)], counts, keys)
    batches = batches.with_columns(is_open(batches[BATCH], case).alias("open"), _located(batches, unlocated, keys))
    batches = _recorded(batches, totals, recorded, case)
    _check(batches)
    if seals is not None:
        _check_seals(batches, seals, keys)
    for of in frames:
        missing = of.filter(pl.col("records") > 0).join(batches, on=keys, how="anti", nulls_equal=True)
        if missing.height:
            raise BalanceError(
                f"{missing.height} batches that were read are not in the result, the first one starting at "
                f"{missing[BATCH][0]}",
                "run it again; if it persists, please report it with the contract",
            )
    exclusions = {(side, name): n for side, of in zip(_SIDES, totals, strict=True) for name, n in of.exclusions.items()}
    histogram = pl.concat(histograms)
    return Compared(batches.sort(keys), histogram, totals[0], totals[1], exclusions, hows, seals=seals)


def _of(frame: pl.DataFrame, batches: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    return frame.join(batches, on=keys, how="semi", nulls_equal=True)


def _summed(side: str, parts: Sequence[pl.DataFrame], keys: Sequence[str]) -> pl.DataFrame:
    """The totals of one side, its columns named after it."""
    every = [part.with_columns(pl.lit(None, pl.Boolean).alias("repeats")) for part in parts]
    added = add_frames(every, keys).drop("repeats")
    return added.rename({name: f"{side}_{name}" for name in added.columns if name not in keys})


def _joined(sides: Sequence[pl.DataFrame], counts: Sequence[pl.DataFrame], keys: Sequence[str]) -> pl.DataFrame:
    summed = pl.concat(counts, how="diagonal").group_by(keys).agg(pl.exclude(*keys).sum())
    missing = [pl.lit(0, pl.Int64).alias(name) for name in COUNTED if name not in summed.columns]
    batches = sides[0].join(sides[1], on=keys, how="full", coalesce=True, nulls_equal=True)
    batches = batches.join(summed.with_columns(missing), on=keys, how="full", coalesce=True, nulls_equal=True)
    return batches.with_columns(
        pl.exclude(*keys, "source_latency_max", "destination_latency_max", "^.*_amount\\..*$").fill_null(0),
        pl.col("^.*_amount\\..*$").fill_null("0"),
    )


def _located(batches: pl.DataFrame, unlocated: pl.DataFrame | None, keys: Sequence[str]) -> pl.Series:
    if unlocated is None:
        return pl.Series("located", [True]).new_from_index(0, batches.height)
    marked = unlocated.select(*keys, pl.lit(False).alias("located"))
    joined = batches.join(marked, on=keys, how="left", nulls_equal=True, maintain_order="left")
    return joined["located"].fill_null(True)


def _recorded(
    batches: pl.DataFrame, totals: Sequence[ControlTotals], recorded: Sequence[str], case: Case
) -> pl.DataFrame:
    """Let recorded totals, which have no rows to speak for them, speak by their counts."""
    keys = case.batch_columns
    if not recorded:
        return batches.with_columns(pl.lit(False).alias("repeats_unknown"))
    for side in recorded:
        said = [pl.max_horizontal(name, f"{side}_{name}").alias(name) for name in BY_NUMBER[side]]
        batches = batches.with_columns(said)
    unproven = pl.when("located").then(pl.max_horizontal("source_unproven", "destination_unproven")).otherwise(0)
    batches = batches.with_columns(unproven.alias("unverified"), (pl.col("matched") - unproven).alias("matched"))
    source = totals[0].frame.select(*keys, "repeats")
    batches = batches.join(source, on=keys, how="left", nulls_equal=True)
    again = pl.col("repeats").fill_null(False) & pl.lit(case.contract.unique)
    unknown = pl.col("repeats").is_null() & (pl.col("source_records") > 0) & pl.lit(case.contract.unique)
    return batches.with_columns(
        pl.when(again).then(pl.max_horizontal("invalid", 1)).otherwise("invalid").alias("invalid"),
        unknown.alias("repeats_unknown"),
    ).drop("repeats")


def unequal() -> pl.Expr:
    """Whether the counts of a batch do not add up, on either side."""
    source = pl.sum_horizontal("matched", "corrupt", "unverified", "lost", "accounted", "pending")
    arrived = pl.sum_horizontal("matched", "corrupt", "unverified", "moved_in", "duplicate", "extra") - pl.col(
        "moved_out"
    )
    return (pl.col("source_records") != source) | (pl.col("destination_records") != arrived)


def _check(batches: pl.DataFrame) -> None:
    wrong = batches.filter(pl.col("located") & unequal())
    if wrong.height:
        raise BalanceError(
            f"the counts of {wrong.height} batches do not add up, the first one starting at {wrong[BATCH][0]}",
            "run it again; if it persists, please report it with the contract",
        )


def _check_seals(batches: pl.DataFrame, seals: Seals, keys: Sequence[str]) -> None:
    """Each seal is of the very rows that were counted, and one root where every item of both sides was matched."""
    for side in _SIDES:
        mine = seals.roots.filter(side=side).select(*keys, pl.col("records", "root").name.prefix(f"{side}:"))
        batches = batches.join(mine, on=keys, how="left", nulls_equal=True)
    uncounted = pl.any_horizontal(pl.col(f"{s}:records").fill_null(0) != pl.col(f"{s}_records") for s in _SIDES)
    matched = pl.all_horizontal(pl.col("matched") == pl.col(f"{s}_records") for s in _SIDES)
    wrong = batches.filter(uncounted | (matched & pl.col("source:root").ne_missing(pl.col("destination:root"))))
    if wrong.height:
        raise BalanceError(
            f"the seals of {wrong.height} batches are not those of their items, the first one starting at "
            f"{wrong[BATCH][0]}",
            "run it again; if it persists, please report it with the contract",
        )
