"""The verb: a contract and two stores make a result.

Here the caller's words become readers, the self-test is run, both sides are compared, and what was found is judged.
What a batch is, how rows are read, and what makes two of them differ is known elsewhere.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
from collections.abc import Mapping, Set
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
from integrity.breaks import BY_NUMBER, BreakKind, Case
from integrity.charges import Charges
from integrity.comparison import compare
from integrity.contracts import Contract, file_of
from integrity.errors import BalanceError, UsageError, did_you_mean
from integrity.examinations import examinations
from integrity.in_force import operator, versions
from integrity.items import Reader
from integrity.outcomes import Outcomes
from integrity.outputs import files_of_ledger
from integrity.passes import measure as measure_side
from integrity.plan import Plan, check_always, expanded, fresh, lag_of, planned, queries_of
from integrity.recording import beginning, on_record
from integrity.remarks import (
    attempts_of,
    bound_of_equality,
    exclusions_of,
    notes_of,
    notes_on_unnamed,
    rungs_reached,
)
from integrity.remote import pushdown_of
from integrity.result import Result, SideRead
from integrity.search import Progress, Quiet
from integrity.selftest import run_self_test
from integrity.sides import Role
from integrity.spool import Log, Spool
from integrity.stores import open_store
from integrity.totals import BATCH, ControlTotals
from integrity.values import micros, moment
from integrity.verdicts import judge_batches, judge_run

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
            *notes_of(case, compared, judged, absent, skips, sides, breaks),
            *notes_on_unnamed(unnamed),
            *examined.notes(),
        ),
        expectations=examined.held(),
        attempts=attempts_of(promise, compared),
        ladder=rungs_reached(promise, compared, sides),
        exclusions=exclusions_of(promise, compared, judged),
        since=None if begin is None else moment(begin),
        until=None if end is None else moment(end),
        as_of=moment(case.as_of),
        sides=recorded,
        skips=skips,
        versions=versions(),
        strength="accident" if compared.seals is None else "adversary",
        bound=bound_of_equality(promise, compared),
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
