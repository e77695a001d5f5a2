"""The verb: a contract and two stores make a result.

Here the caller's words become readers, the self-test is run, both sides are compared, and what was found is judged.
What a batch is, how rows are read, and what makes two of them differ is known elsewhere.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from integrity.arguments import (
    Instant,
    bound_of,
    contract_of,
    instant_of,
    mapping_of,
    side_of,
    zones_of,
)
from integrity.balance import Compared
from integrity.batches import batch_frame, total_counts
from integrity.breaks import BY_NUMBER, Approving, BreakKind, Case
from integrity.charges import Charges
from integrity.comparison import compare
from integrity.contracts import Assertion, Contract, file_of
from integrity.errors import BalanceError, UsageError, did_you_mean
from integrity.examinations import examinations
from integrity.in_force import operator, versions
from integrity.items import Reader
from integrity.joined import MERGED
from integrity.outcomes import Outcomes
from integrity.outputs import files_of_ledger
from integrity.passes import measure as measure_side
from integrity.plan import Plan, check_always, expanded, fresh, lag_of, planned, queries_of
from integrity.recording import beginning, on_record
from integrity.remote import pushdown_of
from integrity.result import Reached, Result, SideRead
from integrity.rows import REJECTED
from integrity.search import Progress, Quiet
from integrity.selftest import run_self_test
from integrity.shown import counted
from integrity.sides import Role
from integrity.spool import Log, Spool
from integrity.stores import open_store
from integrity.stores.base import RelievedStore
from integrity.totals import BATCH, ControlTotals
from integrity.values import micros, moment
from integrity.verdicts import judge_batches, judge_run
from integrity.windows import format_duration

if TYPE_CHECKING:
    from integrity.ledger import Ledger

__all__ = ["carried_out", "measure", "reconcile"]


def reconcile(
    contract: str | os.PathLike[str] | Contract,
    source: Any,
    destination: Any,
    *,
    since: Instant = None,
    until: Instant = None,
    as_of: Instant = None,
    grants: Any = None,
    outcomes: Any = None,
    members: Any = None,
    corrections: Any = None,
    skip: Mapping[str, str] | None = None,
    columns: Mapping[str, Mapping[str, str]] | None = None,
    timezone: Mapping[str, str] | None = None,
    pushdown: str = "auto",
    rehash: bool = False,
    values: bool = False,
    ledger: str | os.PathLike[str] | Ledger | None = None,
    pipeline: str | None = None,
    progress: Progress | None = None,
) -> Result:
    """Test that what went in came out.

    Args:
        contract: A built-in contract's name, a path to YAML, or a Contract.
        source: A URL, a path, a pandas, Polars or Arrow table, a Store, or ControlTotals recorded earlier.
        destination: The same.
        since: First instant of event time, on a window boundary; an aware datetime or ISO 8601 text with its offset.
        until: First instant no longer asked for, on a window boundary.
        as_of: Decides which batches are closed; the moment of reading if left out, and never later than it.
        grants: A store of who may act on what, from when until when, in the columns of the contract's
            ``authorization``. Without one nobody knows who was authorized, and authorization is ``unverified``.
        outcomes: A store of what ended elsewhere: the identity, ``outcome`` and, if known, ``at``.
        members: A store of which addresses stand for which others, in the columns of the contract's ``fan_out``.
        corrections: A store of changes of the destination that were approved, in the columns of the contract's
            ``corrections``: an item that was changed within one is accounted for, else it is corrupt or extra.
        skip: Promises left out on purpose, and why: ``{"timeliness": "clock replaced on the 3rd"}``.
        columns: For ``source``, ``destination``, ``outcomes``, ``members``, ``grants`` and ``corrections``: their
            column names to ours.
        timezone: For each of them, how to read naive timestamps: ``{"destination": "Asia/Seoul"}``.
        pushdown: Whether databases total their own items, so that only totals travel: ``auto`` (where they can to the
            last bit, and pulling is not faster), ``always`` (or the run is refused) or ``never``.
        rehash: Whether digests remembered from an earlier run are to be computed anew, where a store remembers any.
        values: Show the differing values of corrupt items; they may be private.
        ledger: Where the run is put on record: the URL of an SQLite or PostgreSQL database, or a
            :class:`integrity.ledger.Ledger`. Left out, nothing is kept.
        pipeline: As what it is recorded there: runs of one pipeline judge the same batches, and the first verdict of
            each stands. The contract's name if left out.
        progress: Hears what a long run is doing.

    Returns:
        The result, whatever its verdict.

    Raises:
        UsageError: the call cannot be meant.
        ContractError: the contract is missing or malformed.
        StoreError: a store cannot be read, or lacks what the contract names.
        SelfTestError: this run did not find what it planted.
        LedgerError: the run could not be put on record. Where it was carried out nevertheless, the error has its
            ``result``.

    Example:
        >>> import integrity, polars as pl
        >>> notes = integrity.Contract(name="notes", version=1, identity=["id"], content={"body": "text"})
        >>> sent = pl.DataFrame({"id": ["1", "2", "3"], "body": ["a", "b", "c"]})
        >>> kept = pl.DataFrame({"id": ["1", "2", "2"], "body": ["a", "B", "B"]})
        >>> result = integrity.reconcile(notes, sent, kept)
        >>> result.verdict.value, [(b.kind, b.id) for b in result.breaks.itertuples()]
        ('fail', [('corrupt', '2'), ('duplicate', '2'), ('lost', '3')])
    """
    asked: dict[str, Any] = {
        "since": since,
        "until": until,
        "as_of": as_of,
        "grants": grants,
        "outcomes": outcomes,
        "members": members,
        "corrections": corrections,
        "skip": skip,
        "columns": columns,
        "timezone": timezone,
        "pushdown": pushdown,
        "rehash": rehash,
        "values": values,
    }
    # What only this function was told; where the sides are, the result says itself.
    read: dict[str, object] = {"the contract": file_of(contract)}
    read |= files_of_ledger(ledger if isinstance(ledger, (str, os.PathLike)) else None)
    if ledger is None:
        return replace(carried_out(planned(contract, source, destination, **asked), progress), _read=read)
    promise = contract_of(contract)
    intended = beginning(promise, pipeline or promise.name, asked)

    def work() -> Result:
        return replace(carried_out(planned(promise, source, destination, **asked), progress), _read=read)

    return on_record(ledger, intended, work)


def carried_out(plan: Plan, progress: Progress | None = None) -> Result:
    """Carry out a plan.

    Raises:
        StoreError, SelfTestError: as :func:`reconcile`.
    """
    progress, started = progress or Quiet(), dt.datetime.now(dt.UTC)
    promise, case, sides, skips = plan.promise, plan.case, plan.sides, plan.skips
    mapped, zones, begin, end = plan.mapped, plan.zones, plan.since, plan.until
    if plan.grants is not None:
        progress.step("reading the grants")
    asked = mapping_of(mapped.get("grants", {})), zones.get("grants")
    examined = examinations(promise, sides, case, plan.grants, *asked, skips)
    breaks = Log()
    ending = Outcomes(promise, plan.outcomes, mapping_of(mapped.get("outcomes", {})), zones.get("outcomes"))
    with ending as ended, examined.charges() as charges:
        progress.step("testing that planted breaks are found")
        tested = run_self_test(case, sides, examined)
        compared = compare(sides[0], sides[1], ended, case, breaks, progress, charges)
    progress.step("judging")
    absent = examined.unheld()
    batches = _with_due_windows(compared.batches, case, begin, end)
    batches = examined.marked(batches, case.batch_columns)
    judged = judge_batches(batches, promise, skips, absent)
    verdict, assertions = judge_run(judged, promise, skips)
    frame = batch_frame(judged, compared.histogram, promise)
    totals = total_counts(frame)
    roles: tuple[Role, Role] = ("source", "destination")
    by_number = [BY_NUMBER[role] for role, side in zip(roles, sides, strict=True) if isinstance(side, ControlTotals)]
    unnamed = _check_rows(totals, breaks, frozenset(chain.from_iterable(by_number)))
    recorded: dict[str, SideRead] = {
        role: _recorded(side, how, compared, role, mapped, zones)
        for role, side, how in zip(roles, sides, compared.hows, strict=True)
    }
    references = {
        name: SideRead(location, started, mapped.get(name, {}), zones.get(name), recorded=False, how="pulled")
        for name, location in plan.references.items()
    }
    return Result(
        contract=promise,
        verdict=verdict,
        assertions=assertions,
        totals=totals,
        notes=(
            *plan.remarks,
            *_notes(promise, compared, judged, absent, skips, sides, case.approvals, _from_the_future(breaks, case)),
            *_unnamed(unnamed),
            *examined.notes(),
        ),
        expectations=examined.held(),
        attempts=_attempts(promise, compared),
        ladder=_reached(promise, compared, sides),
        exclusions=_exclusions(promise, compared, judged),
        since=None if begin is None else moment(begin),
        until=None if end is None else moment(end),
        as_of=moment(case.as_of),
        sides=recorded,
        skips=skips,
        versions=versions(),
        strength="accident" if compared.seals is None else "adversary",
        bound=_bound(promise, compared),
        self_test=tested,
        spec_sha256=plan.spec_sha256,
        references=references,
        operator=operator(),
        host=socket.gethostname(),
        _seals=compared.seals,
        _batches=frame,
        _breaks=breaks,
        _warnings=examined.warnings(),
        _review=Log() if examined.permits is None else examined.permits.review,
    )


def measure(
    contract: str | os.PathLike[str] | Contract,
    store: Any,
    *,
    side: Literal["source", "destination"],
    since: Instant = None,
    until: Instant = None,
    as_of: Instant = None,
    members: Any = None,
    columns: Mapping[str, str] | None = None,
    timezone: str | None = None,
    pushdown: str = "auto",
    rehash: bool = False,
) -> ControlTotals:
    """Measure the control totals of one side, to be kept, sent, added to others, or reconciled later.

    Args:
        contract: As for :func:`reconcile`.
        store: As for :func:`reconcile`.
        side: Which side of the contract this is.
        since: First instant, on a window boundary.
        until: First instant no longer asked for.
        as_of: Later event times are from the future; now if left out.
        members: As for :func:`reconcile`, of a source, under our names. What that takes for one item (several ways to
            one place, several views of one item) is counted here as often as it is there.
        columns: Their column names to ours.
        timezone: How to read naive timestamps.
        pushdown: As for :func:`reconcile`.
        rehash: As for :func:`reconcile`.

    Raises:
        UsageError, ContractError, StoreError: as for :func:`reconcile`.
    """
    promise = contract_of(contract)
    if side not in ("source", "destination"):
        raise UsageError(f"there is no side {side!r}", did_you_mean(str(side), ["source", "destination"]))
    mode = pushdown_of(pushdown)
    if not isinstance(store, ControlTotals):
        store = fresh(open_store(store), promise, rehash)
    cut = micros(dt.datetime.now(dt.UTC))
    if as_of is not None:
        cut = min(cut, instant_of(as_of, "as_of"))
    begin, end = bound_of(since, "since", promise), bound_of(until, "until", promise)
    skew = promise.clock.skew if promise.clock else 0
    case = Case(promise, cut, cut + skew + 1, values=False, timely=promise.timeliness is not None)
    zones = zones_of({side: timezone} if timezone else {})
    if side == "source":
        store = expanded(store, promise, members, {side: dict(columns or {})}, zones)
    reader = side_of(promise, side, store, case, dict(columns or {}), zones.get(side), begin, end, mode)
    if isinstance(reader, ControlTotals):
        return reader
    check_always(mode, [reader])
    with Spool() as remarks:
        totals = measure_side(reader, remarks, Charges()).totals
    # What a replica shows was so a while ago, and by that moment these totals will close batches.
    return replace(totals, read_at=totals.read_at - lag_of(store))


# --- what was found
# ----------------------------------------------------------------------------------------------------


def _with_due_windows(batches: pl.DataFrame, case: Case, since: int | None, until: int | None) -> pl.DataFrame:
    """Add the closed windows in which nothing was read, where the contract says that something was due."""
    window = case.contract.window
    if case.contract.due != "window" or window is None:
        return batches
    seen = batches[BATCH].drop_nulls()
    first = since if since is not None else seen.min()
    last = until if until is not None else case.as_of - case.contract.grace
    if not isinstance(first, int):
        return batches
    starts = [
        start
        for start in window.starts_between(first, last)
        if window.end_of(start) + case.contract.grace <= case.as_of
    ]
    partition = list(case.contract.partition)
    due = pl.DataFrame({BATCH: pl.Series(starts, dtype=pl.Int64)})
    if partition:
        due = batches.select(partition).unique().join(due, how="cross")
    keys = [*partition, BATCH]
    missing = due.join(batches, on=keys, how="anti", nulls_equal=True)
    blank = pl.concat([batches.clear(), missing], how="diagonal")
    numbers = [
        name for name, kind in batches.schema.items() if kind.is_integer() and name != BATCH and "latency" not in name
    ]
    amounts = [name for name in batches.columns if "_amount." in name]
    blank = blank.with_columns(
        pl.col(numbers).fill_null(0),
        pl.col(amounts).fill_null("0"),
        pl.col("open", "repeats_unknown").fill_null(False),
        pl.col("located").fill_null(True),
    )
    return pl.concat([batches, blank.select(batches.columns)]).sort(keys)


def _check_rows(totals: dict[str, int], breaks: Log, by_number: Set[str]) -> dict[str, int]:
    """Refuse a summary that disagrees with the rows; return how many breaks of each kind are counted and have none.

    Raises:
        BalanceError: it does. A bug of ours.
    """
    rows: dict[str, int] = {}
    for frame in breaks.frames():
        for kind, count in frame.group_by("kind").len().iter_rows():
            rows[kind] = rows.get(kind, 0) + count
    unnamed = {kind.value: totals[kind] - rows.get(kind, 0) for kind in BreakKind if totals[kind] != rows.get(kind, 0)}
    for kind, count in unnamed.items():
        if count < 0 or kind not in by_number:
            raise BalanceError(
                f"the totals say {totals[kind]} {kind}, the breaks {rows.get(kind, 0)}",
                "please report it with the contract",
            )
    return unnamed


def _unnamed(counts: Mapping[str, int]) -> list[str]:
    """Say of which breaks nobody can name the items."""
    if not counts:
        return []
    said = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
    return [f"of recorded totals, which cannot say in which items: {said}"]


def _reached(promise: Contract, compared: Compared, sides: Sequence[Reader | ControlTotals]) -> tuple[Reached, ...]:
    """How far each pair got; of recorded totals, which are no items, nobody knows."""
    if any(isinstance(side, ControlTotals) for side in sides):
        return ()
    return tuple(Reached(rung.column, rung.means, compared.rungs.get(rung.column, 0)) for rung in promise.ladder)


def _bound(promise: Contract, compared: Compared) -> str:
    """How probable, or how hard to bring about, it is that what was found equal is not."""
    if compared.seals is not None:
        return "as hard as two inputs of SHA-256 with one digest, about 2^128 steps, for each batch compared"
    said = "2^-128 for each batch compared, times 2^t where all multiplicities differ by a multiple of 2^t"
    weaker = [f"{compared.rungs[name]:,} by {name}" for name in promise.stand_ins if compared.rungs.get(name)]
    return f"{said}; items found equal by another digest ({', '.join(weaker)}), as that digest is" if weaker else said


def _recorded(
    side: Reader | ControlTotals,
    how: str,
    compared: Compared,
    role: Role,
    mapped: dict[str, Any],
    zones: dict[str, str],
) -> SideRead:
    totals = compared.source if role == "source" else compared.destination
    recorded = isinstance(side, ControlTotals)
    queries = () if isinstance(side, ControlTotals) else tuple(queries_of(side))
    return SideRead(totals.location, totals.read_at, mapped.get(role, {}), zones.get(role), recorded, how, queries)


def _notes(
    promise: Contract,
    compared: Compared,
    judged: pl.DataFrame,
    absent: dict[Assertion, str],
    skips: dict[Assertion, str],
    sides: Sequence[Reader | ControlTotals],
    approvals: Approving | None,
    future: int,
) -> tuple[str, ...]:
    notes = [f"{assertion.value} skipped: {why}" for assertion, why in skips.items()]
    notes += [f"{assertion.value}: {why}" for assertion, why in absent.items() if assertion not in skips]
    if promise.corrections is not None and approvals is None:
        notes.append("no store of approved changes was given (corrections=), so none of them explains a difference")
    closed = judged.filter(~pl.col("open"))
    if not judged.height:
        notes.append("no item was read on either side, so nothing was judged")
    elif not closed.height:
        notes.append("no batch is closed yet, so nothing was judged")
    if promise.ladder and any(isinstance(side, ControlTotals) for side in sides):
        notes.append("recorded totals cannot say which rung of the ladder each pair reached")
    unlocated = judged.filter(~pl.col("located")).height
    if unlocated:
        notes.append(f"{unlocated} batches differ, but recorded totals cannot say in which items")
    if judged["repeats_unknown"].any():
        notes.append("whether an identity repeats in the source is unknown of totals that were added up")
    unverified = int(judged["unverified"].sum() or 0)
    if unverified:
        notes.append(f"the content of {unverified:,} items could not be compared: a digest is missing on a side")
    if compared.elsewhere:
        notes.append(
            f"{compared.elsewhere:,} items of the destination are nowhere in the source, and by their own account were "
            "processed before or after what was asked for: a run of those days, or of all, judges them"
        )
    if unsettled := int(judged["unsettled"].sum() or 0):
        notes.append(
            f"{counted(unsettled, 'item')} of the destination left for a later run, and counted with the excluded: "
            "the batch is still open, or the source's item is still pending"
        )
    if future and promise.clock is not None:
        skew = f" plus the skew of {format_duration(promise.clock.skew)}" if promise.clock.skew else ""
        notes.append(
            f"{counted(future, 'item')} from beyond as_of{skew}: by their {promise.clock.event.name!r} they are "
            "from the future, so they are untimed"
        )
    carried = [name for name, column in promise.content.items() if column.carried]
    if carried:
        notes.append(f"carried, not recomputed, by the destination: {', '.join(carried)}")
    for role, totals, side, how in zip(
        ("source", "destination"), (compared.source, compared.destination), sides, compared.hows, strict=True
    ):
        untimed = totals.frame.filter(pl.col(BATCH).is_null())["records"].sum()
        tells = role == "source" or promise.carried
        # Of recorded totals, which have no breaks, nobody knows which of the two it is.
        unread = "be read" if isinstance(side, Reader) else "be read, or be placed before as_of,"
        if promise.clock is not None and tells and totals.records and untimed == totals.records and not future:
            notes.append(
                f"no event time of the {role} could {unread} from {promise.clock.event.name!r}, so all are untimed; "
                f"if its times have no zone, say timezone={{{role!r}: 'UTC'}} or --timezone {role}=UTC"
            )
        if isinstance(side, Reader):
            evidence = [name for name, column in promise.content.items() if column.evidence and name in side.absent]
            stands_in = [name for name in promise.stand_ins if name not in side.absent]
            if evidence == [promise.rung] and stands_in:  # then the ladder says by what items were compared
                evidence = []
            for exclusion in side.untold:
                notes.append(f"{exclusion.name} could not be left out of the {role}, which has no such column")
            untold = [name for name, column in promise.content.items() if column.optional and name in side.absent]
            if untold:
                notes.append(f"{role} has no {', '.join(untold)}, which could not be compared")
            if evidence:
                held = [name for name in side.held if name not in promise.columns]
                near = did_you_mean(evidence[0], held)
                notes.append(f"{role} has no {', '.join(evidence)}, so content could not be compared ({near})")
            if promise.additions and not isinstance(side.store, RelievedStore):
                names = ", ".join(addition.name for addition in promise.additions)
                notes.append(f"what the way may add ({names}) cannot be taken off what {side.store.name} holds")
            if how != "pulled":
                notes.append(f"{role} {how}")
            notes += [f"{role}: {remark}" for remark in getattr(side.store, "remarks", ())]
            left_out = getattr(side.store, "left_out", ())
            if left_out:
                notes.append(f"files of other kinds left out of the {role}: {', '.join(left_out[:5])}")
    return tuple(notes)


def _from_the_future(breaks: Log, case: Case) -> int:
    """How many items are untimed because their event time is from beyond as_of and the clock's skew."""
    identity, seen = list(case.contract.identity), pl.Series(dtype=pl.UInt64)
    for frame in breaks.frames() if case.contract.clock is not None else ():
        late = frame.filter(pl.col(BATCH).is_null() & (pl.col("event_time") >= case.horizon))
        seen = pl.concat([seen, late.select(pl.struct(identity).hash(seed=0)).to_series()]).unique()
    return len(seen)


def _exclusions(promise: Contract, compared: Compared, judged: pl.DataFrame) -> tuple[dict[str, Any], ...]:
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


def _attempts(promise: Contract, compared: Compared) -> dict[str, Any]:
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
