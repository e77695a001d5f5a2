"""Where did a pipeline stop, and what became of what it had found?

A run takes up at the watermark, up to where every window has been judged without a gap, less what the job looks back.
What it finds as it was, it does not record again. A break that it no longer finds was either late, and is healed by its
item in the destination; or its item has gone from the source, which heals nothing: it is withdrawn; or there is some
other reason, and it is cleared.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa

from integrity.breaks import BreakKind
from integrity.contracts import Contract
from integrity.errors import StoreError
from integrity.items import Reader
from integrity.ledger import Ledger, Recording, TakenUp, evidence, schema
from integrity.ledger.history import JUDGED, LastRun, breaks_of, last_run, standing, unfinished
from integrity.ledger.log import iso
from integrity.passes import again, look
from integrity.plan import Plan
from integrity.result import Result
from integrity.spool import KEY, Sieve, Spool
from integrity.totals import ControlTotals
from integrity.values import canonical_value, micros
from integrity.windows import Window

__all__ = ["Continuation", "continuation", "present", "taken_up"]


@dataclass(frozen=True)
class Continuation:
    """Where a run takes up.

    Attributes:
        since: First instant that it reads, microseconds; ``None`` is the beginning.
        watermark: Up to where every window was judged before it, microseconds.
        last: The last run that finished.
        abandoned: Runs that were begun and never ended.
        remarks: What is odd about this run by now.
    """

    since: int | None
    watermark: int | None
    last: LastRun | None
    abandoned: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def continuation(
    ledger: Ledger,
    pipeline: str,
    contract: Contract,
    *,
    begins: int | None,
    lookback: int,
    every: int | None,
    now: dt.datetime,
) -> Continuation:
    """Return where a run of a pipeline takes up.

    Args:
        ledger: Where its runs are on record.
        pipeline: Which one.
        contract: What it promises.
        begins: From when on it is judged at all, microseconds; ``None`` is from the first item on.
        lookback: How far behind the watermark batches are totalled again, microseconds.
        every: How often it is to run, microseconds; ``None`` where nobody said.
        now: The moment of this run.
    """
    with ledger.database.reading() as connection:
        last = last_run(connection, pipeline, ledger.environment)
        abandoned = tuple(unfinished(connection, pipeline))
    remarks = [f"run {run} was begun and never ended" for run in abandoned]
    window, mark = contract.window, begins
    if last is not None:
        remarks += _missed(last, every, now)
        if iso(now) < last.at:
            remarks.append(f"the clock went back: it is {iso(now)}, and the run before ended at {last.at}")
        if last.watermark is not None:
            mark = max(filter(None, (mark, instant(last.watermark))))
    since = begins
    if window is not None and last is not None and mark is not None:
        since = window.start_of(mark - lookback)
        since = since if begins is None else max(since, begins)
    return Continuation(since, mark, last, abandoned, tuple(remarks))


def _missed(last: LastRun, every: int | None, now: dt.datetime) -> list[str]:
    if every is None:
        return []
    missed = micros(now) // every - instant(last.began) // every - 1
    if missed < 1:
        return []
    runs = "1 run was" if missed == 1 else f"{missed:,} runs were"
    return [f"{runs} missed since {last.began}"]


def instant(text: str) -> int:
    """Return the microseconds of a moment as the ledger writes it."""
    return micros(dt.datetime.fromisoformat(text))


# --- what a run leaves
# -------------------------------------------------------------------------------------------------------


def taken_up(
    recording: Recording, result: Result, plan: Plan, where: Continuation, *, retry: int, follow: int
) -> TakenUp:
    """Return what a run says of earlier ones: what stands unchanged, what became of breaks, how far all is judged.

    Args:
        recording: The run, on record as begun.
        result: What it found.
        plan: How it read, for items that are to be looked up once more.
        where: Where it took up.
        retry: How long after its end a window that could not be verified is tried again, microseconds.
        follow: For how long lost items are looked for beyond what was read, microseconds.
    """
    ledger, contract, pipeline = recording.ledger, result.contract, recording.beginning.pipeline
    with ledger.database.reading() as connection:
        first = None if where.since is None else _text(where.since)
        before = standing(connection, pipeline, ledger.environment, first)
        earlier = breaks_of(connection, pipeline, ledger.environment).filter(state="open")
        bodies = _bodies(connection, earlier)
    known = dict(before.select("key", "facts").iter_rows())
    rows = evidence.batch_rows(result, recording.keying).rows
    # Where the clock went back, a batch that was judged may be open once more: that says nothing new of it.
    judged = set(before.filter(pl.col("verdict") != "pending")["key"])
    again_open = rows.filter((pl.col("verdict") == "pending") & pl.col("key").is_in(list(judged)))
    known |= dict(again_open.select("key", "facts").iter_rows())
    changes: pl.DataFrame | None = None
    remarks: tuple[str, ...] = ()
    try:
        changes = _changes(earlier, bodies, recording, result, plan, follow)
    except StoreError:  # what this run found is kept in any case; why may name a path, and the leaf is for everybody
        remarks = ("what became of earlier breaks could not be looked up: a side could not be read once more",)
    mark = None
    if contract.window is not None:
        mark = _watermark(contract.window, where, before, rows, result, retry)
    return TakenUp(known, changes, None if mark is None else _text(mark), remarks)


def _text(us: int) -> str:
    return iso(dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=us))


def _watermark(
    window: Window, where: Continuation, before: pl.DataFrame, rows: pl.DataFrame, result: Result, retry: int
) -> int | None:
    """Go on from the last watermark over windows that were judged, or closed without an item.

    It stops at the first that was not: behind a hole nothing counts as done.
    """
    end = evidence.closed_until(result)
    if end is None:
        return where.watermark
    last = instant(end)
    latest = {
        key: (start, verdict) for key, start, verdict in before.select("key", "batch_start", "latest").iter_rows()
    }
    latest |= {
        key: (start, verdict) for key, start, verdict in rows.select("key", "batch_start", "verdict").iter_rows()
    }
    holes = []
    for start, verdict in latest.values():
        if start is None or verdict is None or verdict in JUDGED:
            continue
        begins = instant(start)
        given_up = verdict == "unverified" and window.end_of(begins) + retry <= micros(result.as_of)
        if not given_up:
            holes.append(begins)
    first = where.watermark if where.watermark is not None else where.since
    if first is None:
        starts = [instant(start) for start, _ in latest.values() if start is not None]
        if not starts:
            return None
        first = min(starts)
    open_from = min((hole for hole in holes if hole >= first), default=last)
    return max(first, min(last, open_from))


def _bodies(connection: sa.Connection, breaks: pl.DataFrame) -> dict[tuple[str, int], dict[str, Any]]:
    """The private texts of some breaks, by run and number."""
    secrets = schema.secrets
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for run in breaks["run"].unique().to_list():
        query = sa.select(secrets.c.number, secrets.c.body).where(secrets.c.run == run, secrets.c.scope == "break")
        found |= {(run, number): json.loads(body) for number, body in connection.execute(query)}
    return found


def _changes(
    earlier: pl.DataFrame,
    bodies: Mapping[tuple[str, int], Mapping[str, Any]],
    recording: Recording,
    result: Result,
    plan: Plan,
    follow: int,
) -> pl.DataFrame | None:
    """What became of open breaks that this run does not show."""
    shown: set[str] = set()
    for frame in result.break_frames():
        shown.update(recording.keying.breaks(frame["break_id"]))
    gone = earlier.filter(~pl.col("subject").is_in(list(shown)))
    first, last = plan.since, evidence.closed_until(result)
    start = pl.col("batch_start")
    judged = start.is_null() | pl.lit(result.contract.window is None)
    if last is not None:
        judged |= (start < last) & (pl.lit(first is None) | (start >= _text(first or 0)))
    recent = pl.col("first_at") >= _text(micros(result.as_of) - follow)
    gone = gone.with_columns(judged.alias("judged"))
    gone = gone.filter(pl.col("judged") | ((pl.col("kind") == BreakKind.LOST.value) & recent))
    gone = gone.filter(
        pl.Series([(run, n) in bodies for run, n in gone.select("run", "number").iter_rows()], dtype=pl.Boolean)
    )
    if not gone.height:
        return None
    places = list(gone.select("run", "number").iter_rows())
    identities = _identities([bodies[place]["identity"] for place in places], result.contract)
    source, destination = plan.sides
    if isinstance(source, ControlTotals) or isinstance(destination, ControlTotals):
        return None  # of recorded totals nobody can ask for an item
    here, there = present(source, identities), present(destination, identities)
    states = [_became(*of) for of in zip(gone["kind"], here, there, gone["judged"], strict=True)]
    told = gone.select(pl.col("run").alias("of_run"), pl.col("number").alias("of_number"))
    return told.with_columns(pl.Series("state", states, dtype=pl.String)).drop_nulls("state")


def _became(kind: str, in_source: bool, in_destination: bool, judged: bool) -> str | None:
    """What became of a break that is no longer shown; ``None`` where it stays open."""
    if kind == BreakKind.LOST:
        if in_destination:
            return "healed"
        if not in_source:
            return "withdrawn"
        return "cleared" if judged else None
    if kind in (BreakKind.EXTRA, BreakKind.DUPLICATE):
        return "cleared"
    if not in_source:
        return "withdrawn"
    return "healed" if in_destination else "cleared"


def _identities(shown: Sequence[Mapping[str, Any]], contract: Contract) -> pl.DataFrame:
    """Identities as breaks show them, as canonical values again."""
    return pl.DataFrame(
        pl.Series(name, [canonical_value(each.get(name), column) for each in shown], dtype=pl.String)
        for name, column in contract.identity.items()
    )


def present(side: Reader, identities: pl.DataFrame) -> list[bool]:
    """Tell of each identity whether a side holds an item of it, wherever in time.

    Args:
        side: The source or the destination.
        identities: Canonical values, a column for each of the contract's identity.

    Raises:
        StoreError: it cannot be read.
    """
    names = list(side.contract.identity)
    keys = identities.select(pl.struct(names).hash(seed=0)).to_series()
    sieve = Sieve()
    sieve.add(keys)
    found: set[tuple[Any, ...]] = set()
    with Spool() as spool:
        again(lambda: look(side, sieve, spool, None), spool)
        for part in spool.parts():
            if part.height:
                found.update(part.filter(pl.col(KEY).is_in(keys.implode())).select(names).iter_rows())
    return [row in found for row in identities.select(names).iter_rows()]
