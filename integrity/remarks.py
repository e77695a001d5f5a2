"""What is to be said of a run, beside its verdicts?

Notes: what could not be compared, read or known, so that nobody takes it for good. What was left out of the
populations, and why; what was attempted; how far each pair got; what it is worth that totals are equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from integrity.balance import Compared
from integrity.breaks import Case
from integrity.contracts import Assertion, Contract
from integrity.errors import did_you_mean
from integrity.items import Reader
from integrity.joined import MERGED
from integrity.result import Reached
from integrity.rows import REJECTED
from integrity.shown import counted
from integrity.spool import Log
from integrity.stores.base import RelievedStore
from integrity.totals import BATCH, ControlTotals
from integrity.windows import format_duration

__all__ = [
    "attempts_of",
    "bound_of_equality",
    "exclusions_of",
    "notes_of",
    "notes_on_unnamed",
    "rungs_reached",
]

_Sides = Sequence[Reader | ControlTotals]


# --- notes
# ---------------------------------------------------------------------------------------------------------------


def notes_of(
    case: Case,
    compared: Compared,
    judged: pl.DataFrame,
    absent: Mapping[Assertion, str],
    skips: Mapping[Assertion, str],
    sides: _Sides,
    breaks: Log,
) -> Iterator[str]:
    """Yield what has to be known of a run by whoever reads its verdicts.

    Args:
        case: What was asked.
        compared: What was found.
        judged: Its batches, with their verdicts.
        absent: Promises that could not be judged, and why.
        skips: Those that were left out, and why.
        sides: The source and the destination.
        breaks: What was found of single items.
    """
    promise = case.contract
    yield from (f"{assertion.value} skipped: {why}" for assertion, why in skips.items())
    yield from (f"{assertion.value}: {why}" for assertion, why in absent.items() if assertion not in skips)
    if promise.corrections is not None and case.approvals is None:
        yield "no store of approved changes was given (corrections=), so none of them explains a difference"
    yield from _on_batches(promise, compared, judged, sides)
    future = _from_the_future(breaks, case)
    if future and promise.clock is not None:
        skew = f" plus the skew of {format_duration(promise.clock.skew)}" if promise.clock.skew else ""
        yield (
            f"{counted(future, 'item')} from beyond as_of{skew}: by their {promise.clock.event.name!r} they are "
            "from the future, so they are untimed"
        )
    carried = [name for name, column in promise.content.items() if column.carried]
    if carried:
        yield f"carried, not recomputed, by the destination: {', '.join(carried)}"
    totals = (compared.source, compared.destination)
    for role, side, total, how in zip(("source", "destination"), sides, totals, compared.hows, strict=True):
        if not future:
            yield from _on_times(promise, role, side, total)
        if isinstance(side, Reader):
            yield from _on_reading(promise, role, side, how)


def notes_on_unnamed(counts: Mapping[str, int]) -> Iterator[str]:
    """Yield of which breaks nobody can name the items, by kind."""
    if counts:
        said = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
        yield f"of recorded totals, which cannot say in which items: {said}"


def _on_batches(promise: Contract, compared: Compared, judged: pl.DataFrame, sides: _Sides) -> Iterator[str]:
    if not judged.height:
        yield "no item was read on either side, so nothing was judged"
    elif judged["open"].all():
        yield "no batch is closed yet, so nothing was judged"
    if promise.ladder and any(isinstance(side, ControlTotals) for side in sides):
        yield "recorded totals cannot say which rung of the ladder each pair reached"
    if unlocated := judged.filter(~pl.col("located")).height:
        yield f"{unlocated} batches differ, but recorded totals cannot say in which items"
    if judged["repeats_unknown"].any():
        yield "whether an identity repeats in the source is unknown of totals that were added up"
    if unverified := int(judged["unverified"].sum() or 0):
        yield f"the content of {unverified:,} items could not be compared: a digest is missing on a side"
    if compared.elsewhere:
        yield (
            f"{compared.elsewhere:,} items of the destination are nowhere in the source, and by their own account were "
            "processed before or after what was asked for: a run of those days, or of all, judges them"
        )
    if unsettled := int(judged["unsettled"].sum() or 0):
        yield (
            f"{counted(unsettled, 'item')} of the destination left for a later run, and counted with the excluded: "
            "the batch is still open, or the source's item is still pending"
        )


def _on_times(promise: Contract, role: str, side: Reader | ControlTotals, totals: ControlTotals) -> Iterator[str]:
    """Whether not a single event time of a side could be read."""
    untimed = totals.frame.filter(pl.col(BATCH).is_null())["records"].sum()
    tells = role == "source" or promise.carried
    # Of recorded totals, which have no breaks, nobody knows which of the two it is.
    unread = "be read" if isinstance(side, Reader) else "be read, or be placed before as_of,"
    if promise.clock is not None and tells and totals.records and untimed == totals.records:
        yield (
            f"no event time of the {role} could {unread} from {promise.clock.event.name!r}, so all are untimed; "
            f"if its times have no zone, say timezone={{{role!r}: 'UTC'}} or --timezone {role}=UTC"
        )


def _on_reading(promise: Contract, role: str, side: Reader, how: str) -> Iterator[str]:
    """What a side does not have, what could not be done to it, and how it was read."""
    evidence = [name for name, column in promise.content.items() if column.evidence and name in side.absent]
    stands_in = [name for name in promise.stand_ins if name not in side.absent]
    if evidence == [promise.rung] and stands_in:  # then the ladder says by what items were compared
        evidence = []
    for exclusion in side.untold:
        yield f"{exclusion.name} could not be left out of the {role}, which has no such column"
    untold = [name for name, column in promise.content.items() if column.optional and name in side.absent]
    if untold:
        yield f"{role} has no {', '.join(untold)}, which could not be compared"
    if evidence:
        held = [name for name in side.held if name not in promise.columns]
        near = did_you_mean(evidence[0], held)
        yield f"{role} has no {', '.join(evidence)}, so content could not be compared ({near})"
    if promise.additions and not isinstance(side.store, RelievedStore):
        names = ", ".join(addition.name for addition in promise.additions)
        yield f"what the way may add ({names}) cannot be taken off what {side.store.name} holds"
    if how != "pulled":
        yield f"{role} {how}"
    yield from (f"{role}: {remark}" for remark in getattr(side.store, "remarks", ()))
    left_out = getattr(side.store, "left_out", ())
    if left_out:
        yield f"files of other kinds left out of the {role}: {', '.join(left_out[:5])}"


def _from_the_future(breaks: Log, case: Case) -> int:
    """How many items are untimed because their event time is from beyond as_of and the clock's skew."""
    identity, seen = list(case.contract.identity), pl.Series(dtype=pl.UInt64)
    for frame in breaks.frames() if case.contract.clock is not None else ():
        late = frame.filter(pl.col(BATCH).is_null() & (pl.col("event_time") >= case.horizon))
        seen = pl.concat([seen, late.select(pl.struct(identity).hash(seed=0)).to_series()]).unique()
    return len(seen)


# --- counts
# --------------------------------------------------------------------------------------------------------------


def exclusions_of(promise: Contract, compared: Compared, judged: pl.DataFrame) -> tuple[dict[str, Any], ...]:
    """What was left out of a population, on which side, why and how often."""
    listed: list[dict[str, Any]] = []
    for exclusion in promise.exclude:
        for side in ("source", "destination"):
            if exclusion.side in (side, "both"):
                count = compared.exclusions.get((side, exclusion.name), 0)
                listed.append({"side": side, "name": exclusion.name, "reason": exclusion.reason, "count": count})
    for side, name in sorted(compared.exclusions):
        if name.startswith(REJECTED):
            reason, count = "the source itself turned it away", compared.exclusions[side, name]
            listed.append({"side": side, "name": name, "reason": reason, "count": count})
    corrected = int(judged["corrected"].sum() or 0)
    if corrected:
        reason = "changed at the destination by somebody who was allowed to"
        listed.append({"side": "destination", "name": "approved corrections", "reason": reason, "count": corrected})
    merged = compared.exclusions.get(("source", MERGED), 0)
    if merged:
        reason = "an item is expected once in each place, however many ways lead there"
        listed.append({"side": "source", "name": MERGED, "reason": reason, "count": merged})
    copies = int(judged["copies"].sum() or 0)
    if copies:
        reason = f"up to {promise.copies} copies of each item may be kept"
        listed.append({"side": "destination", "name": "further copies", "reason": reason, "count": copies})
    return tuple(listed)


def attempts_of(promise: Contract, compared: Compared) -> dict[str, Any]:
    """Attempted = accepted + rejected, the rejected by reason; nothing where the source does not record attempts."""
    if promise.attempts is None:
        return {}
    turned_away = {
        name.removeprefix(REJECTED): count
        for (side, name), count in sorted(compared.exclusions.items())
        if side == "source" and name.startswith(REJECTED)
    }
    accepted = int(compared.batches["source_records"].sum() or 0)
    left_out = sum(
        n for (side, name), n in compared.exclusions.items() if side == "source" and not name.startswith(REJECTED)
    )
    left_out += int(compared.batches["source_superseded"].sum() or 0)
    rejected = sum(turned_away.values())
    return {
        "attempted": accepted + rejected + left_out,
        "accepted": accepted,
        "excluded": left_out,
        "rejected": rejected,
        "rejected_by_reason": turned_away,
    }


def rungs_reached(promise: Contract, compared: Compared, sides: _Sides) -> tuple[Reached, ...]:
    """How far each pair got; of recorded totals, which are no items, nobody knows."""
    if any(isinstance(side, ControlTotals) for side in sides):
        return ()
    return tuple(Reached(rung.column, rung.means, compared.rungs.get(rung.column, 0)) for rung in promise.ladder)


def bound_of_equality(promise: Contract, compared: Compared) -> str:
    """How probable, or how hard to bring about, it is that what was found equal is not."""
    if compared.seals is not None:
        return "as hard as two inputs of SHA-256 with one digest, about 2^128 steps, for each batch compared"
    said = "2^-128 for each batch compared, times 2^t where all multiplicities differ by a multiple of 2^t"
    weaker = [f"{compared.rungs[name]:,} by {name}" for name in promise.stand_ins if compared.rungs.get(name)]
    return f"{said}; items found equal by another digest ({', '.join(weaker)}), as that digest is" if weaker else said
