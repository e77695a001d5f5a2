"""Which batches differ, and what became of their items?

Both sides are read at once for their totals. What differs is searched for the items that make it differ. What is reported
of a batch are the counts and totals of the very rows that were matched, and they balance, or nothing is reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from integrity.breaks import COUNTED, Case, placed, remarked, wide
from integrity.errors import BalanceError
from integrity.items import Reader
from integrity.outcomes import Outcomes
from integrity.passes import Measured, measure
from integrity.search import WAYS, Found, Progress, Search, Way, at_once
from integrity.spool import Log, Sieve, Spool, together
from integrity.totals import BATCH, ControlTotals, add_frames

__all__ = ["Compared", "compare"]


@dataclass
class Compared:
    """What a comparison found.

    Attributes:
        batches: A row a batch: the batch columns; ``open``; ``located`` (whether a difference could be taken to items);
            ``COUNTED``; ``source_…`` and ``destination_…`` of :data:`integrity.totals.COUNTS`, hash totals and amounts; and
            ``repeats_unknown`` (whether recorded totals leave open that an identity is in the source twice).
        histogram: Latencies of the items that arrived, by batch.
        source: The source's totals as first read.
        destination: The destination's.
        exclusions: Side and name to how many items were left out.
    """

    batches: pl.DataFrame
    histogram: pl.DataFrame
    source: ControlTotals
    destination: ControlTotals
    exclusions: dict[tuple[str, str], int]


def compare(
    source: Reader | ControlTotals,
    destination: Reader | ControlTotals,
    outcomes: Outcomes,
    case: Case,
    breaks: Log,
    progress: Progress,
    ways: Sequence[Way] = WAYS,
) -> Compared:
    """Compare two sides of a contract.

    Args:
        source: How to read the source, or its totals as recorded earlier.
        destination: The same of the destination.
        outcomes: Items that ended elsewhere.
        case: What is judged, and when.
        breaks: Where the breaks go, in the columns of :func:`integrity.breaks.form`.
        progress: Hears what is being done.
        ways: How to search differing batches, the first that succeeds.
    """
    keys = case.batch_columns
    sieve = outcomes.accepted
    with Spool() as source_remarks, Spool() as destination_remarks:
        progress.step("reading both sides for their control totals")
        measured = at_once(
            lambda tick: _measured(source, source_remarks, sieve, tick),
            lambda tick: _measured(destination, destination_remarks, None, tick),
            progress,
        )
        totals = [m.totals for m in measured]
        agree = _agreement(totals[0], totals[1], case).with_columns(_is_open(case).alias("open"))
        differing = agree.filter("differs")
        if measured[0].accounted is not None and measured[0].accounted.height:
            present = agree.filter(~pl.col("differs")).join(measured[0].accounted, on=keys, how="semi", nulls_equal=True)
            differing = pl.concat([differing, present])
        found = None
        located = False
        if isinstance(source, Reader) and isinstance(destination, Reader):
            located = True
            chosen = differing.select(*keys, pl.col("open").alias("__open"))
            if differing.height:
                search = Search(source, destination, outcomes, case, chosen, measured, breaks, progress)
                found = next(filter(None, (way(search) for way in ways)))
        settled = agree.join(differing, on=keys, how="anti", nulls_equal=True)
        remarks = _remark(source_remarks, destination_remarks, settled, case, breaks)
    unread = [role for role, side in (("source", source), ("destination", destination)) if isinstance(side, ControlTotals)]
    return _assemble(totals, settled, None if located else differing, found, remarks, unread, case)


def _measured(side: Reader | ControlTotals, remarks: Spool, sieve: Sieve | None, tick: Callable[[int], None]) -> Measured:
    if isinstance(side, ControlTotals):
        return Measured(side, remarks)
    return measure(side, remarks, outcomes=sieve, progress=tick)


def _is_open(case: Case) -> pl.Expr:
    """Whether a batch is open: its end and the grace period are not over as of the run. The untimed one never is."""
    window, grace = case.contract.window, case.contract.grace
    if window is None:
        return pl.lit(False)
    ends = pl.col(BATCH).map_elements(window.end_of, return_dtype=pl.Int64)
    return (ends + grace > case.as_of).fill_null(False)


def _agreement(source: ControlTotals, destination: ControlTotals, case: Case) -> pl.DataFrame:
    """Every batch of either side, and whether it has to be looked into."""
    keys = case.batch_columns
    sums = ["records", "hash_0", "hash_1", *(f"amount.{name}" for name in case.contract.amounts)]
    here = source.frame.select(*keys, *sums, "unproven", "repeats")
    there = destination.frame.select(*keys, *(pl.col(s).alias(f"{s}:d") for s in sums), pl.col("unproven").alias("unproven:d"))
    both = here.join(there, on=keys, how="full", coalesce=True, nulls_equal=True)
    zero = [pl.col(s).fill_null(0 if s in ("records", "hash_0", "hash_1") else "0") for s in sums]
    zero_there = [pl.col(f"{s}:d").fill_null(0 if s in ("records", "hash_0", "hash_1") else "0") for s in sums]
    differs = pl.any_horizontal(a != b for a, b in zip(zero, zero_there, strict=True))
    unproven = (pl.col("unproven").fill_null(0) + pl.col("unproven:d").fill_null(0)) > 0
    return both.select(*keys, (differs | unproven | pl.col("repeats").fill_null(False)).alias("differs"))


def _remark(source: Spool, destination: Spool, settled: pl.DataFrame, case: Case, breaks: Log) -> pl.DataFrame:
    """Write the breaks of closed batches that agree, and count them."""
    keys = case.batch_columns
    closed = settled.filter(~pl.col("open"))
    counts = [wide(pl.DataFrame(schema={**{k: closed.schema[k] for k in keys}, "what": pl.String}), keys)]
    for pair in together(source, destination):
        if not any(side.width for side in pair):
            continue
        mine = [side.join(closed, on=keys, how="semi", nulls_equal=True) if side.width else side for side in pair]
        if not any(side.height for side in mine):
            continue
        found = remarked(mine[0], mine[1], case)
        breaks.add(found)
        counts.append(wide(placed(found, case).rename({"kind": "what"}), keys))
    return pl.concat(counts).group_by(keys).agg(pl.col(*COUNTED).sum())


def _assemble(
    totals: list[ControlTotals],
    settled: pl.DataFrame,
    unlocated: pl.DataFrame | None,
    found: Found | None,
    remarks: pl.DataFrame,
    unread: list[str],
    case: Case,
) -> Compared:
    """Put the batches that agreed at once and those that were searched into one frame, and check the balance."""
    keys = case.batch_columns
    left = totals[0].frame.drop("repeats"), totals[1].frame.drop("repeats")
    firsts = [frame.join(settled, on=keys, how="semi", nulls_equal=True) for frame in left]
    histogram = totals[1].histogram.join(settled, on=keys, how="semi", nulls_equal=True)
    agreed = firsts[0].select(*keys, pl.col("records").alias("matched")) if firsts[0].height else firsts[0].select(keys)
    counts = [wide(firsts[0].select(*keys, pl.lit("").alias("what")).clear(), keys)]
    counts.append(
        agreed.with_columns(pl.lit(0, pl.Int64).alias(name) for name in COUNTED if name not in agreed.columns).select(
            *keys, *COUNTED
        )
    )
    counts.append(remarks.select(*keys, *COUNTED))
    exclusions: dict[tuple[str, str], int] = Counter()
    for side, of in zip(("source", "destination"), totals, strict=True):
        exclusions.update({(side, name): count for name, count in of.exclusions.items()})
    parts = [[first] for first in firsts]
    if found is not None:
        counts.append(found.counts.select(*keys, *COUNTED))
        for part, frame in zip(parts, (found.source, found.destination), strict=True):
            part.append(frame.drop("repeats"))
        histogram = pl.concat([histogram, found.histogram.select(histogram.columns)])
    if unlocated is not None:
        for part, frame in zip(parts, left, strict=True):
            part.append(frame.join(unlocated, on=keys, how="semi", nulls_equal=True))
    merged = pl.concat(counts).group_by(keys).agg(pl.col(*COUNTED).sum())
    frames = []
    for name, part in zip(("source", "destination"), parts, strict=True):
        added = add_frames([f.with_columns(pl.lit(None, pl.Boolean).alias("repeats")) for f in part], keys).drop("repeats")
        frames.append(added.rename({c: f"{name}_{c}" for c in added.columns if c not in keys}))
    batches = frames[0].join(frames[1], on=keys, how="full", coalesce=True, nulls_equal=True)
    batches = batches.join(merged, on=keys, how="full", coalesce=True, nulls_equal=True)
    batches = batches.with_columns(
        pl.exclude(*keys, "source_latency_max", "destination_latency_max", "^.*_amount\\..*$").fill_null(0),
        pl.col("^.*_amount\\..*$").fill_null("0"),
        _is_open(case).alias("open"),
    )
    if unlocated is not None:
        marked = unlocated.select(*keys, pl.lit(False).alias("located"))
        batches = batches.join(marked, on=keys, how="left", nulls_equal=True).with_columns(pl.col("located").fill_null(True))
    else:
        batches = batches.with_columns(pl.lit(True).alias("located"))
    for side in unread:  # recorded totals have no rows to speak for them, only their counts
        said = ("invalid",) if side == "source" else ("invalid", "late", "skewed")
        batches = batches.with_columns(pl.max_horizontal(name, f"{side}_{name}").alias(name) for name in said)
    known = totals[0].frame.filter(pl.col("repeats").is_not_null()).select(*keys, pl.lit(False).alias("repeats_unknown"))
    batches = batches.join(known, on=keys, how="left", nulls_equal=True).with_columns(
        (pl.col("repeats_unknown").fill_null(True) & pl.lit(case.contract.unique) & (pl.col("source_records") > 0))
        & pl.lit("source" in unread)
    )
    _balance(batches)
    return Compared(batches.sort(keys), histogram, totals[0], totals[1], dict(exclusions))


def _balance(batches: pl.DataFrame) -> None:
    """Check that every item of every batch was put in exactly one place.

    Raises:
        BalanceError: it was not. Nothing may be reported then.
    """
    source = pl.sum_horizontal("matched", "corrupt", "unverified", "lost", "accounted", "pending")
    arrived = pl.sum_horizontal("matched", "corrupt", "unverified", "moved_in", "duplicate", "extra") - pl.col("moved_out")
    wrong = batches.filter(
        pl.col("located") & ((pl.col("source_records") != source) | (pl.col("destination_records") != arrived))
    )
    if wrong.height:
        row = wrong.row(0, named=True)
        raise BalanceError(
            f"the counts of {wrong.height} batches do not add up, the first one starting at {row[BATCH]}",
            "run it again; if it persists, please report it with the contract",
        )
