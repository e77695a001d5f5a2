"""How are two sides compared whose every item has to meet its other half?

Equal totals cannot say how an item travelled (a ladder), where else it turned up (a place), or when it happened, if
only the source tells. For contracts that ask one of these both sides are read once, from end to end, wait split by
identity, and are matched part by part: in bounded memory, and without a first pass that could spare the second.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass

import polars as pl

from integrity.balance import Compared, assemble
from integrity.breaks import COUNTED, PRINT, STRAY, Case, is_open
from integrity.charges import Charges, charged
from integrity.items import Reader
from integrity.matching import items_of, rungs, tell
from integrity.outcomes import Outcomes
from integrity.passes import again, control_totals, newest, whole
from integrity.rows import ANNOUNCED, VIA
from integrity.search import Found, Progress, at_once
from integrity.spool import KEY, Log, Spool, together
from integrity.totals import BATCH, Tally, add_frames

__all__ = ["MERGED", "join"]

#: The name, among the exclusions, of items of the source that are not expected once more.
MERGED = "the same item again"


def join(
    source: Reader,
    destination: Reader,
    outcomes: Outcomes,
    case: Case,
    breaks: Log,
    progress: Progress,
    charges: Charges,
) -> Compared:
    """Compare two sides item by item; arguments as for :func:`integrity.comparison.compare`."""
    progress.step("reading both sides whole")
    with ExitStack() as stack:
        here, there = stack.enter_context(Spool()), stack.enter_context(Spool())
        strays = stack.enter_context(Spool())
        read_at = dt.datetime.now(dt.UTC)
        left = at_once(
            lambda tick: again(lambda: whole(source, here, charges, tick), here),
            lambda tick: again(lambda: whole(destination, there, charges, tick), there),
            progress,
        )
        for side in (source, destination):
            charges.conclude(side)
        progress.step("matching them")
        match = _Match(case, breaks, strays, left)
        for mine, other, ended, *said in together(here, there, outcomes.spool, *charges.sides):
            if mine.height or other.height:
                match.add(charged(mine, said[0]), charged(other, said[1]), ended)
        for part in strays.parts():
            breaks.add(_misrouted(part, case))
    return match.compared(source, destination, read_at)


@dataclass
class _Match:
    """What is known so far, part by part."""

    case: Case
    breaks: Log
    strays: Spool
    left: tuple[Tally, Tally]

    def __post_init__(self) -> None:
        contract = self.case.contract
        #: Of the rows that were read, and of those that were matched: in the end they must agree.
        self.read, self.tallies = Tally(contract), (Tally(contract), Tally(contract))
        self.counts: list[pl.DataFrame] = []
        #: Items of the destination that are nowhere in the source, and were processed outside of the run's bounds.
        self.elsewhere = 0
        self.rungs: Counter[str] = Counter()

    def add(self, source: pl.DataFrame, destination: pl.DataFrame, ended: pl.DataFrame) -> None:
        """Match all rows of some identities."""
        case = self.case
        source, destination = _announced(source, destination)
        source, destination = self._settled(self._merged(source), 0), self._settled(destination, 1)
        if not case.contract.carried:
            others = destination.filter(~pl.col("__scope"))
            self.elsewhere += others.join(source, on="__identity", how="anti").height
        self.read.add(source.filter("__scope"))
        items = items_of(source, destination, ended.drop(KEY), case)
        self.rungs.update(rungs(items, case.contract))
        counts, found = tell(items, case, self.tallies)
        self.counts.append(counts)
        if case.contract.place is None:
            self.breaks.add(found)
            return
        alone = pl.col(STRAY[0]).is_not_null()
        self.breaks.add(found.filter(~alone).drop(STRAY))
        self.strays.add(found.filter(alone).rename({STRAY[0]: KEY}))

    def _merged(self, source: pl.DataFrame) -> pl.DataFrame:
        """One expected item for each place, however many of its addresses the source names; or for them all."""
        contract = self.case.contract
        if not source.height or (contract.fan_out is None and not contract.distinct):
            return source
        # A list's address and somebody's own lead to one mailbox at the same moment. What is the same item wherever it
        # is seen has no one moment: the first one counts.
        item = ["__identity", *PRINT] if contract.distinct else ["__identity", *PRINT, "__event"]
        source = source.sort(*item, "__event", "__changed", VIA, nulls_last=True, maintain_order=True)
        if not contract.distinct:  # the second one by the same way is another item, accepted in the same moment
            source = source.with_columns(pl.int_range(pl.len()).over([*item, VIA]).alias("__nth"))
            item = [*item, "__nth"]
        first = pl.int_range(pl.len()).over(item) == 0
        named = pl.col("__invalid").is_null()  # else nobody knows whether it is the same
        marked = source.with_columns((first | ~named).alias("__first")).drop("__nth", strict=False)
        self.left[0].left_out(MERGED, marked.filter(~pl.col("__first") & pl.col("__inside")))
        return marked.filter("__first").drop("__first")

    def _settled(self, rows: pl.DataFrame, side: int) -> pl.DataFrame:
        """Mark the rows of this run and of open batches; keep the newest revisions where the contract says so."""
        contract = self.case.contract
        if contract.latest_by is not None and rows.height:
            # Where only the source tells the time, the destination holds the newest of all that there ever was.
            among = ["__identity", "__inside"] if contract.carried else ["__identity"]
            latest = newest(contract.columns.get(contract.latest_by), rows, among)
            self.left[side].supersede(rows.filter(~latest & rows["__inside"]))
            rows = rows.filter(latest)
        open_ = rows.select(BATCH).unique()
        open_ = open_.with_columns(is_open(open_[BATCH], self.case).alias("__open"))
        placed = rows.join(open_, on=BATCH, how="left", nulls_equal=True)
        return placed.with_columns(pl.col("__inside").alias("__scope"))

    def compared(self, source: Reader, destination: Reader, read_at: dt.datetime) -> Compared:
        """Put everything together, balanced."""
        case = self.case
        keys = case.batch_columns
        empty = pl.DataFrame(schema={**dict.fromkeys(case.contract.partition, pl.String), BATCH: pl.Int64})
        frames, histogram = [], None
        for tally, left in zip(self.tallies, self.left, strict=True):
            frame, histogram = tally.finish(None)
            frames.append(add_frames([frame, left.finish(None)[0]], keys))
        assert histogram is not None
        counted = [empty.with_columns(pl.lit(0, pl.Int64).alias(name) for name in COUNTED), *self.counts]
        counts = pl.concat([c.select(*keys, *COUNTED) for c in counted]).group_by(keys).agg(pl.col(*COUNTED).sum())
        read = (self.read.finish(None)[0], frames[1])
        totals = [
            control_totals(side, read_at, frame, histogram, dict(left.exclusions))
            for side, frame, left in zip((source, destination), read, self.left, strict=True)
        ]
        found = Found(counts, frames[0], frames[1], histogram)
        compared = assemble(totals, empty, None, found, empty, (), case, (source.how, destination.how))
        compared.rungs.update(self.rungs)
        compared.elsewhere = self.elsewhere
        return compared


def _announced(source: pl.DataFrame, destination: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Leave the items of both sides, and say of the source's since when their other half is on its way."""
    here, there = (rows.filter(pl.col(ANNOUNCED).is_null()) for rows in (source, destination))
    since = destination.group_by("__identity").agg(pl.col(ANNOUNCED).max())
    return here.drop(ANNOUNCED).join(since, on="__identity", how="left", maintain_order="left"), there


def _misrouted(alone: pl.DataFrame, case: Case) -> pl.DataFrame:
    """Say of what is lost at one place and extra at another, that it was misrouted."""
    _, content, place = STRAY
    free = alone.filter(pl.col("reason").is_null())  # what has a reason already is no stray
    lost, extra = free.filter(kind="lost"), free.filter(kind="extra")
    equal = _met(lost, extra, [KEY, content])
    # Where a side does not tell the content, nothing contradicts that it is the same item.
    lost = lost.join(equal, left_on="break_id", right_on="lost", how="anti")
    extra = extra.join(equal, left_on="break_id", right_on="extra", how="anti")
    unknown = pl.col(content).is_null()
    silent = [
        _met(lost.filter(unknown), extra, [KEY]),
        _met(lost.filter(~unknown), extra.filter(unknown), [KEY]),
    ]
    both = pl.concat([equal, *silent])
    name = pl.lit(case.contract.place)
    if len(case.contract.identity) > 1:
        there = pl.format("misrouted: it is in {} {}", name, "is").alias("why")
        here = pl.format("misrouted: it belongs in {} {}", name, "belongs").alias("why")
    else:  # nothing but equal content says that it is the same item
        there = pl.format("moved? the destination has equal content at {} {}", name, "is").alias("why")
        here = pl.format("moved? the source has equal content at {} {}", name, "belongs").alias("why")
    told = pl.concat(  # one reason an item
        [both.select(pl.col("lost").alias("break_id"), there), both.select(pl.col("extra").alias("break_id"), here)]
    )
    told = told.unique("break_id", keep="first", maintain_order=True)
    joined = alone.join(told, on="break_id", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("reason", "why").alias("reason")).drop(KEY, content, place, "why")


def _met(lost: pl.DataFrame, extra: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Pair the n-th lost item of each group with its n-th extra one: their ``break_id``, and both places."""
    place = STRAY[2]
    nth = pl.int_range(pl.len()).over(by).alias("__nth")  # in the order of places: what moved together stays together
    ranked = [side.sort(place, maintain_order=True).with_columns(nth) for side in (lost, extra)]
    both = ranked[0].join(ranked[1], on=[*by, "__nth"], how="inner", suffix=":there")
    return both.select(
        pl.col("break_id").alias("lost"),
        pl.col("break_id:there").alias("extra"),
        pl.col(place).alias("belongs"),
        pl.col(f"{place}:there").alias("is"),
    )
