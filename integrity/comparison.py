"""Which batches differ, and what became of their items?

Both sides are read at once for their totals. What differs is searched for the items that make it differ. How the
search goes, and how its findings are put together and balanced, is known in the rooms next door.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import polars as pl

from integrity.balance import Compared, assemble
from integrity.breaks import COUNTED, Case, is_open, placed, remarked, wide
from integrity.charges import Charges, with_charged
from integrity.items import Reader
from integrity.joined import join
from integrity.outcomes import Outcomes
from integrity.passes import Measured, measure
from integrity.seals import Sealer, Seals, compared
from integrity.search import WAYS, Found, Progress, Search, Way, at_once
from integrity.spool import Log, Sieve, Spool, together
from integrity.totals import BATCH, ControlTotals

__all__ = ["compare"]


def compare(
    source: Reader | ControlTotals,
    destination: Reader | ControlTotals,
    outcomes: Outcomes,
    case: Case,
    breaks: Log,
    progress: Progress,
    charges: Charges,
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
        charges: What expectations and grants said of single rows.
        ways: How to search differing batches, the first that succeeds.
    """
    if case.contract.joined and isinstance(source, Reader) and isinstance(destination, Reader):
        return join(source, destination, outcomes, case, breaks, progress, charges)
    keys = case.batch_columns
    sieve = outcomes.accepted
    named = [isinstance(side, Reader) and side.searchable for side in (source, destination)]
    with contextlib.ExitStack() as stack:
        source_remarks, destination_remarks = stack.enter_context(Spool()), stack.enter_context(Spool())
        identities = [stack.enter_context(Spool()) if any(named) else None for _ in named]
        progress.step("reading both sides for their control totals")
        measured = at_once(
            lambda tick: _measured(source, source_remarks, charges, sieve, identities[0], tick),
            lambda tick: _measured(destination, destination_remarks, charges, None, identities[1], tick),
            progress,
        )
        totals = [m.totals for m in measured]
        sealers = [m.sealer for m in measured]
        agree = _agreement(totals[0], totals[1], sealers, case)
        agree = agree.with_columns(is_open(agree[BATCH], case).alias("open"))
        located = isinstance(source, Reader) and isinstance(destination, Reader)
        # Recorded totals have no rows to look at: only what is unequal differs, the rest is counted as it was recorded.
        differing = agree.filter("differs" if located else "unequal")
        if measured[0].accounted is not None and measured[0].accounted.height:
            present = agree.join(differing, on=keys, how="anti", nulls_equal=True).join(
                measured[0].accounted, on=keys, how="semi", nulls_equal=True
            )
            differing = pl.concat([differing, present])
        found = None
        here, there = (side.reader for side in measured)  # which may pull by now what it could not push down
        if here is not None and there is not None and differing.height:
            chosen = differing.select(*keys, pl.col("open").alias("__open"))
            search = Search(here, there, outcomes, case, chosen, measured, breaks, progress, charges)
            found = next(filter(None, (way(search) for way in ways)))
        settled = agree.join(differing, on=keys, how="anti", nulls_equal=True)
        remarks = _remark((source_remarks, destination_remarks), charges, settled, case, breaks)
    recorded = [
        side for side, of in (("source", source), ("destination", destination)) if isinstance(of, ControlTotals)
    ]
    hows = tuple("recorded earlier" if side.reader is None else side.reader.how for side in measured)
    seals = _sealed(sealers, settled, found, keys)
    return assemble(totals, settled, None if located else differing, found, remarks, recorded, case, hows, seals)


def _sealed(
    sealers: Sequence[Sealer | None], settled: pl.DataFrame, found: Found | None, keys: list[str]
) -> Seals | None:
    """The seals of both sides: of batches that agreed at once as first read, of the others of the rows matched."""
    parts = []
    for place, (role, sealer) in enumerate(zip(("source", "destination"), sealers, strict=True)):
        if sealer is None:
            return None
        parts.append((role, sealer, settled.select(keys)))
        again = None if found is None else found.sealers[place]
        if again is not None:
            parts.append((role, again, again.roots().select(keys)))
    return compared(parts)


def _measured(
    side: Reader | ControlTotals,
    remarks: Spool,
    charges: Charges,
    sieve: Sieve | None,
    identities: Spool | None,
    tick: Callable[[int], None],
) -> Measured:
    if isinstance(side, ControlTotals):
        return Measured(side, remarks)
    return measure(side, remarks, charges, outcomes=sieve, identities=identities, progress=tick)


def _agreement(
    source: ControlTotals, destination: ControlTotals, sealers: Sequence[Sealer | None], case: Case
) -> pl.DataFrame:
    """Every batch of either side: whether its totals are unequal, and whether it has to be looked into."""
    keys = case.batch_columns
    sums = ["records", "hash_0", "hash_1", *(f"amount.{name}" for name in case.contract.amounts)]
    here = source.frame.select(*keys, *sums, "unproven", "repeats")
    there = destination.frame.select(
        *keys, *(pl.col(s).alias(f"{s}:d") for s in sums), pl.col("unproven").alias("unproven:d")
    )
    both = here.join(there, on=keys, how="full", coalesce=True, nulls_equal=True)
    zero = [pl.col(s).fill_null(0 if s in ("records", "hash_0", "hash_1") else "0") for s in sums]
    zero_there = [pl.col(f"{s}:d").fill_null(0 if s in ("records", "hash_0", "hash_1") else "0") for s in sums]
    unequal = pl.any_horizontal(a != b for a, b in zip(zero, zero_there, strict=True))
    roots = [sealer.roots() for sealer in sealers if sealer is not None]
    if len(roots) == len(sealers):
        both = both.join(roots[0].select(*keys, "root"), on=keys, how="left", nulls_equal=True)
        both = both.join(roots[1].select(*keys, "root"), on=keys, how="left", nulls_equal=True, suffix=":d")
        unequal |= pl.col("root").ne_missing(pl.col("root:d"))
    unproven = (pl.col("unproven").fill_null(0) + pl.col("unproven:d").fill_null(0)) > 0
    looked_into = unequal | unproven | pl.col("repeats").fill_null(False)
    return both.select(*keys, unequal.alias("unequal"), looked_into.alias("differs"))


def _remark(
    spools: tuple[Spool, Spool], charges: Charges, settled: pl.DataFrame, case: Case, breaks: Log
) -> pl.DataFrame:
    """Write the breaks of closed batches that agree, and count them."""
    keys = case.batch_columns
    closed = settled.filter(~pl.col("open"))
    counts = [wide(pl.DataFrame(schema={**{k: closed.schema[k] for k in keys}, "what": pl.String}), keys)]
    for part in together(*spools, *charges.sides):
        pair = [with_charged(side, said) if side.width else said for side, said in zip(part[:2], part[2:], strict=True)]
        if not any(side.width for side in pair):
            continue
        mine = [side.join(closed, on=keys, how="semi", nulls_equal=True) if side.width else side for side in pair]
        if not any(side.height for side in mine):
            continue
        found = remarked(mine[0], mine[1], case)
        breaks.add(found)
        counts.append(wide(placed(found, case).rename({"kind": "what"}), keys))
    return pl.concat(counts).group_by(keys).agg(pl.col(*COUNTED).sum())
