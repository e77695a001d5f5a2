"""Which batches differ, and what became of their items?

Both sides are read at once for their totals. Batches that differ, or of which an item has to be looked at, are read again
as fingerprints; identities that then differ are read a last time, whole and without the window, and matched. Whatever
differs only because the two sides were read at two instants has gone away by then. What is reported of a batch are the
counts and totals of the very rows that were matched.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol, TypeVar

import polars as pl

from integrity.breaks import COUNTED, Case, match, placed, remarked, suspects, wide
from integrity.errors import BalanceError
from integrity.items import Reader
from integrity.outcomes import Outcomes
from integrity.passes import Measured, fingerprints, look, measure, newest
from integrity.spool import KEY, Log, Sieve, Spool, together
from integrity.totals import BATCH, ControlTotals, Tally, add_frames

__all__ = ["Compared", "Progress", "Quiet", "compare"]

_T = TypeVar("_T")


class Progress(Protocol):
    """Hears what a long run is doing."""

    def step(self, what: str) -> None:
        """A new stage begins, said in words."""

    def rows(self, side: str, count: int) -> None:
        """So many more rows of a side were read."""


class Quiet:
    """Says nothing."""

    def step(self, what: str) -> None:
        pass

    def rows(self, side: str, count: int) -> None:
        pass


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
) -> Compared:
    """Compare two sides of a contract.

    Args:
        source: How to read the source, or its totals as recorded earlier.
        destination: The same of the destination.
        outcomes: Items that ended elsewhere.
        case: What is judged, and when.
        breaks: Where the breaks go, in the columns of :func:`integrity.breaks.form`.
        progress: Hears what is being done.
    """
    keys = case.batch_columns
    sieve = outcomes.accepted
    with Spool() as source_remarks, Spool() as destination_remarks:
        progress.step("reading both sides for their control totals")
        measured = _at_once(
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
                found = _Search(source, destination, outcomes, case, chosen, breaks, progress).run()
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


@dataclass
class _Search:
    """The second and third pass: from differing batches to the items that make them differ."""

    source: Reader
    destination: Reader
    outcomes: Outcomes
    case: Case
    chosen: pl.DataFrame
    breaks: Log
    progress: Progress

    def run(self) -> _Found:
        case, keys = self.case, self.case.batch_columns
        batches = self.chosen.select(keys)
        tallies = Tally(case.contract), Tally(case.contract)
        counts: list[pl.DataFrame] = []
        open_ = self.chosen.filter("__open").height
        self.progress.step(f"reading {batches.height:,} differing batches again ({open_:,} still open)")
        with Spool() as here, Spool() as there:
            _at_once(
                lambda tick: fingerprints(self.source, batches, here, tallies[0], tick),
                lambda tick: fingerprints(self.destination, batches, there, tallies[1], tick),
                self.progress,
            )
            sieve = Sieve()
            for source, destination in together(here, there):
                sieve.add(suspects(source, destination, case, self.outcomes.accepted))
            counts += [self._settle(source, destination, sieve, tallies) for source, destination in together(here, there)]
        if not sieve.empty:
            counts += self._look(sieve, tallies)
        frames = [tally.finish(None) for tally in tallies]
        merged = pl.concat(counts).group_by(keys).agg(pl.col(*COUNTED).sum())
        exclusions = [tally.exclusions for tally in tallies]
        return _Found(batches, merged, frames[0][0], frames[1][0], frames[1][1], exclusions)

    def _settle(self, here: pl.DataFrame, there: pl.DataFrame, sieve: Sieve, tallies: tuple[Tally, Tally]) -> pl.DataFrame:
        """Count the rows of identities that nothing has to be said of: each has its equal on the other side."""
        keys = self.case.batch_columns
        sides = [side.filter(~sieve.holds(side[KEY])) for side in (here, there)]
        for tally, side in zip(tallies, sides, strict=True):
            if side.height:
                tally.add(side)
        if "__latency" in sides[1].columns and sides[1].height:
            tallies[1].add_times(sides[1])
        return wide(sides[0].select(*keys, pl.lit("matched").alias("what")), keys)

    def _look(self, sieve: Sieve, tallies: tuple[Tally, Tally]) -> list[pl.DataFrame]:
        """Read the identities that differ once more, whole and wherever in time they lie, and match them."""
        self.progress.step("looking up the items that differ")
        counts = []
        with Spool() as here, Spool() as there:
            _at_once(
                lambda tick: look(self.source, sieve, here, tick),
                lambda tick: look(self.destination, sieve, there, tick),
                self.progress,
            )
            self.progress.step("matching them")
            for *pair, ended in together(here, there, self.outcomes.spool):
                source, destination = (self._scoped(side) for side in pair)
                part, found = match(source, destination, ended.drop(KEY), self.case, tallies)
                counts.append(part)
                self.breaks.add(found)
        return counts

    def _scoped(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Mark the rows of this run's differing batches; keep the newest revisions where the contract says so."""
        if self.case.contract.latest_by is not None:
            column = self.case.contract.columns.get(self.case.contract.latest_by)
            rows = rows.filter(newest(column, rows, ["__identity", "__inside"]))
        placed = rows.join(self.chosen, on=self.case.batch_columns, how="left", nulls_equal=True)
        return placed.with_columns(
            (pl.col("__open").is_not_null() & pl.col("__inside")).alias("__scope"), pl.col("__open").fill_null(False)
        )


@dataclass(frozen=True)
class _Found:
    """What the search found: counts and totals of the differing batches, of the rows that were matched."""

    batches: pl.DataFrame
    counts: pl.DataFrame
    source: pl.DataFrame
    destination: pl.DataFrame
    histogram: pl.DataFrame
    exclusions: list[Counter[str]]


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
    found: _Found | None,
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


def _at_once(
    first: Callable[[Callable[[int], None]], _T], second: Callable[[Callable[[int], None]], _T], progress: Progress
) -> tuple[_T, _T]:
    """Read both sides at the same time; if one fails or the person interrupts, the other stops at its next chunk."""
    stop = threading.Event()

    def ticker(side: str) -> Callable[[int], None]:
        def tick(count: int) -> None:
            if stop.is_set():
                raise _StoppedError
            progress.rows(side, count)

        return tick

    with ThreadPoolExecutor(2, thread_name_prefix="integrity") as pool:
        futures = [pool.submit(work, ticker(side)) for work, side in ((first, "source"), (second, "destination"))]
        try:
            pending = set(futures)
            while pending:
                done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        except BaseException:
            stop.set()
            raise
    return futures[0].result(), futures[1].result()


class _StoppedError(Exception):
    """The other side failed: this one need not go on."""
