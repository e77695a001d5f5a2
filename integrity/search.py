"""Which identities make batches differ? The second and the third pass over both sides.

*Thoroughly*: the differing batches are read again, as fingerprints; the identities that then differ are read a last
time, whole and without the window, and matched. Whatever differed only because the two sides were read at two instants
has gone away by then.

*Quickly*: the first pass has kept its hash totals by the leading bits of the identity hash, too. Where few of these
differ, the identities among them are read a second time, whole and without the window, and matched; all other rows of
a differing batch are what its totals hold less these. That is accepted only if what remains is equal on both sides to
the last bit: had anything changed between the two readings it would not be, and the thorough way is taken.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import polars as pl

from integrity.breaks import COUNTED, Case, is_open, wide
from integrity.charges import Charges, charged
from integrity.items import Reader
from integrity.matching import match, suspects
from integrity.outcomes import Outcomes
from integrity.passes import Measured, Sought, again, fingerprints, look, newest, sealer_of, tally_of
from integrity.seals import Sealer
from integrity.spool import KEY, Log, Sieve, Spool, together
from integrity.totals import BATCH, COUNTS, Tally, add_frames, subtract, subtract_histograms

__all__ = ["WAYS", "Found", "Progress", "Quiet", "Search", "Way", "at_once"]

#: The quick way is taken while at most this share of the hash prefixes differ: it reads so much of both sides whole.
QUICK_SHARE = 1 / 8
#: More identities than this are not asked for by name: then a store is read whole.
_ASKED_FOR = 100_000
_T = TypeVar("_T")
_Tallies = tuple[Tally, Tally]


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


@dataclass(frozen=True)
class Found:
    """What the search found of the differing batches.

    Attributes:
        counts: A row a batch, ``COUNTED``.
        source: Totals of the source's rows that were matched.
        destination: The same of the destination.
        histogram: Latencies of the items that arrived.
        sealers: The fingerprints of both sides' rows that were matched, where the contract is sealed.
    """

    counts: pl.DataFrame
    source: pl.DataFrame
    destination: pl.DataFrame
    histogram: pl.DataFrame
    sealers: tuple[Sealer | None, Sealer | None] = (None, None)


@dataclass
class Search:
    """A search through the differing batches of two sides.

    Attributes:
        source: How to read the source.
        destination: How to read the destination.
        outcomes: Items that ended elsewhere.
        case: What is judged, and when.
        chosen: The differing batches: the batch columns and ``__open``.
        measured: What the first pass over both sides found.
        breaks: Where breaks go.
        progress: Hears what is being done.
        charges: What was said of rows of either side before.
    """

    source: Reader
    destination: Reader
    outcomes: Outcomes
    case: Case
    chosen: pl.DataFrame
    measured: tuple[Measured, Measured]
    breaks: Log
    progress: Progress
    charges: Charges

    def quickly(self) -> Found | None:
        """Search by the leading bits of the identity hash; ``None`` where too many differ, or the data moved."""
        here, there = (side.prefixes for side in self.measured)
        if here is None or there is None or self.case.contract.latest_by is not None:
            return None  # with revisions, the rows that count are known only when all have been seen
        if self.case.contract.seal is not None:
            return None  # totals can be subtracted, seals cannot
        differing = np.flatnonzero((here != there).any(axis=1))
        if len(differing) > QUICK_SHARE * len(here):
            return None
        sieve = Sieve()
        sieve.add_prefixes(differing)
        for side in self.measured:
            sieve.merge(side.flagged)
            for part in side.remarks.parts():
                mine = part.join(self.chosen, on=self.case.batch_columns, how="semi", nulls_equal=True)
                sieve.add(mine[KEY])
        sieve.merge(self.charges.keys(self.chosen, self.case.batch_columns))
        seen, matched = self._tallies(), self._tallies()
        breaks = Log()
        spools = [side.identities for side in self.measured]
        counts = self._look(sieve, matched, breaks, seen, self._named(sieve, spools))
        rest = self._rest(seen)
        if rest is None:
            return None
        keys = self.case.batch_columns
        sources, destinations, histogram = rest
        settled = sources.select(*keys, pl.col("records").alias("matched"))
        settled = settled.with_columns(pl.lit(0, pl.Int64).alias(name) for name in COUNTED if name != "matched")
        found = self._found([settled, *counts], matched, (sources, destinations), histogram)
        if self._lost_peak(found):
            return None
        for frame in breaks.frames():
            self.breaks.add(frame)
        return found

    def _lost_peak(self, found: Found) -> bool:
        """Whether the slowest row of a batch was none that arrived: then that of the others is not known."""
        keys = self.case.batch_columns
        first = self.measured[1].totals.frame.select(*keys, pl.col("latency_max").alias("first"))
        both = found.destination.join(first, on=keys, how="inner", nulls_equal=True)
        reached = (pl.col("latency_max") >= pl.col("first")).fill_null(False)
        return both.filter(pl.col("first").is_not_null() & ~reached).height > 0

    def _rest(self, seen: _Tallies) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame] | None:
        """What the first pass counted in the differing batches, less what was looked up; ``None`` if unequal."""
        keys = self.case.batch_columns
        frames, histograms = [], []
        for side, tally in zip(self.measured, seen, strict=True):
            frame, histogram = tally.finish(None)
            chosen = [
                f.join(self.chosen, on=keys, how="semi", nulls_equal=True)
                for f in (side.totals.frame, side.totals.histogram)
            ]
            frames.append(subtract(chosen[0], frame, keys))
            histograms.append(subtract_histograms(chosen[1], histogram, keys))
        sums = ["records", "hash_0", "hash_1", *(f"amount.{name}" for name in self.case.contract.amounts)]
        here, there = (f.filter(pl.col("records") != 0).select(*keys, *sums).sort(keys) for f in frames)
        negative = any(f.filter(pl.any_horizontal(pl.col(*COUNTS) < 0)).height for f in frames)
        if negative or not here.equals(there):
            return None
        return frames[0], frames[1], histograms[1]

    def thoroughly(self) -> Found:
        """Search by reading the differing batches again."""
        case, keys = self.case, self.case.batch_columns
        batches = self.chosen.select(keys)
        open_ = self.chosen.filter("__open").height
        self.progress.step(f"reading {batches.height:,} differing batches again ({open_:,} still open)")
        with Spool() as here, Spool() as there:
            tallies = at_once(
                lambda tick: again(lambda: fingerprints(self.source, batches, here, self._asks, tick), here),
                lambda tick: again(lambda: fingerprints(self.destination, batches, there, self._asks, tick), there),
                self.progress,
            )
            sieve = Sieve()
            for source, destination in together(here, there):
                sieve.add(suspects(source, destination, case, self.outcomes.accepted))
            sieve.merge(self.charges.keys(self.chosen, keys))
            counts = []
            for pair in together(here, there):
                source, destination = (side.filter(~sieve.holds(side[KEY])) for side in pair)
                counts.append(self._settle(source, destination, tallies))
            named = self._named(sieve, [here, there])
        if not sieve.empty:
            counts += self._look(sieve, tallies, self.breaks, None, named)
        return self._found(counts, tallies, None, None)

    @property
    def _asks(self) -> bool:
        """Whether a side can be asked for some identities, and need not be read whole."""
        return self.source.searchable or self.destination.searchable

    def _named(self, sieve: Sieve, spools: Sequence[Spool | None]) -> tuple[Sought | None, Sought | None]:
        """Return the identities in a sieve, for each side; ``None`` where nobody asks, or they are many."""
        if not self._asks or any(spool is None for spool in spools):
            return None, None
        identity = list(self.case.contract.identity)
        names = [pl.DataFrame(schema=dict.fromkeys(identity, pl.String))]
        counts: list[pl.DataFrame] = []
        for spool in spools:
            keys = [pl.DataFrame(schema={KEY: pl.UInt64})]
            for part in spool.parts() if spool is not None else ():
                rows = part.filter(sieve.holds(part[KEY]))
                keys.append(rows.select(KEY))
                names.append(rows.select(identity).unique())
                if sum(frame.height for frame in names) > _ASKED_FOR:
                    return None, None
            counts.append(pl.concat(keys).group_by(KEY).len("copies"))
        found = pl.concat(names).unique()
        return Sought(found, counts[0]), Sought(found, counts[1])

    def _tallies(self) -> _Tallies:
        return tally_of(self.case.contract), tally_of(self.case.contract)

    def _settle(self, source: pl.DataFrame, destination: pl.DataFrame, tallies: _Tallies) -> pl.DataFrame:
        """Count the rows of identities that nothing has to be said of: each has its equal on the other side."""
        keys = self.case.batch_columns
        for tally, side in zip(tallies, (source, destination), strict=True):
            _count(side, tally)
        return wide(source.select(*keys, pl.lit("matched").alias("what")), keys)

    def _look(
        self,
        sieve: Sieve,
        tallies: _Tallies,
        breaks: Log,
        seen: _Tallies | None,
        named: tuple[Sought | None, Sought | None],
    ) -> list[pl.DataFrame]:
        """Read the identities in the sieve, whole and wherever in time they lie, and match those that differ."""
        self.progress.step("looking up the items that differ")
        with Spool() as here, Spool() as there, Spool() as odd_here, Spool() as odd_there:
            at_once(
                lambda tick: again(lambda: look(self.source, sieve, here, named[0], tick), here),
                lambda tick: again(lambda: look(self.destination, sieve, there, named[1], tick), there),
                self.progress,
            )
            self.progress.step("matching them")
            # Something may be said of identities that are not looked up.
            every = (part for part in together(here, there, *self.charges.sides) if part[0].height or part[1].height)
            counts = [self._sift(part[:2], part[2:], tallies, (odd_here, odd_there), seen) for part in every]
            for source, destination, ended in together(odd_here, odd_there, self.outcomes.spool):
                if source.height or destination.height:  # else: outcomes of items that neither side holds
                    part, found = match(source, destination, ended.drop(KEY), self.case, tallies)
                    counts.append(part)
                    breaks.add(found)
        return counts

    def _sift(
        self,
        pair: tuple[pl.DataFrame, ...],
        said: tuple[pl.DataFrame, ...],
        tallies: _Tallies,
        odd: tuple[Spool, Spool],
        seen: _Tallies | None,
    ) -> pl.DataFrame:
        """Settle the rows of which nothing has to be said, and lay the odd ones aside."""
        source, destination = (self._scoped(charged(side, of)) for side, of in zip(pair, said, strict=True))
        for tally, side in zip(seen or (), (source, destination), strict=bool(seen)):
            _count(side.filter("__scope"), tally)
        keys = suspects(source, destination, self.case, self.outcomes.accepted).implode()
        for spool, side in zip(odd, (source, destination), strict=True):
            spool.add(side.filter(pl.col(KEY).is_in(keys)))
        even = [side.filter("__scope", ~pl.col(KEY).is_in(keys)) for side in (source, destination)]
        return self._settle(even[0], even[1], tallies)

    def _scoped(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Mark the rows of this run's differing batches; keep the newest revisions where the contract says so."""
        if self.case.contract.latest_by is not None:
            column = self.case.contract.columns.get(self.case.contract.latest_by)
            rows = rows.filter(newest(column, rows, ["__identity", "__inside"]))
        keys = self.case.batch_columns
        # Also the batches that this run does not read may be open: what is theirs is for a later run.
        open_ = rows.select(BATCH).unique()
        open_ = open_.with_columns(is_open(open_[BATCH], self.case).alias("__open"))
        chosen = self.chosen.select(*keys, pl.lit(True).alias("__chosen"))
        placed = rows.join(chosen, on=keys, how="left", nulls_equal=True)
        placed = placed.join(open_, on=BATCH, how="left", nulls_equal=True)
        scope = pl.col("__chosen").fill_null(False) & pl.col("__inside")
        return placed.with_columns(scope.alias("__scope")).drop("__chosen")

    def _found(
        self,
        counts: list[pl.DataFrame],
        tallies: _Tallies,
        settled: tuple[pl.DataFrame, pl.DataFrame] | None,
        histogram: pl.DataFrame | None,
    ) -> Found:
        """Put counts and totals together; of batches not chosen, only what was drawn in from outside counts."""
        keys = self.case.batch_columns
        merged = pl.concat([c.select(*keys, *COUNTED) for c in counts]).group_by(keys).agg(pl.col(*COUNTED).sum())
        finished = [tally.finish(None) for tally in tallies]
        frames = []
        for i, (frame, _) in enumerate(finished):
            chosen = frame.join(self.chosen, on=keys, how="semi", nulls_equal=True)
            left_out = ("excluded", "superseded")  # in batches that agreed, they were counted before
            drawn = frame.join(self.chosen, on=keys, how="anti", nulls_equal=True).filter(
                pl.sum_horizontal(name for name in COUNTS if name not in left_out) > 0
            )
            parts = [chosen, drawn.with_columns(pl.lit(0, pl.Int64).alias(name) for name in left_out)]
            frames.append(add_frames(([] if settled is None else [settled[i]]) + parts, keys))
        latency = finished[1][1]
        histogram = latency if histogram is None else pl.concat([histogram, latency])
        return Found(merged, frames[0], frames[1], histogram, (sealer_of(tallies[0]), sealer_of(tallies[1])))


Way = Callable[[Search], Found | None]
#: The ways to search, in the order in which they are tried; the last one always succeeds.
WAYS: tuple[Way, ...] = (Search.quickly, Search.thoroughly)


def _count(rows: pl.DataFrame, tally: Tally) -> None:
    if rows.height:
        tally.add(rows)
        if "__latency" in rows.columns:
            tally.add_times(rows)


def at_once(
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
