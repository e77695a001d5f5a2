"""What is a store asked that totals its own items, and how is its answer read?

A store answers in its own time slots, exclusions by name and times in microseconds; here that becomes the same frames
and totals, to the last bit, that reading its rows would have made.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Literal

import polars as pl
import pyarrow as pa

from integrity.contracts import Contract
from integrity.errors import PushdownError, UsageError, did_you_mean
from integrity.items import Reader, letting_go
from integrity.rows import Slice
from integrity.spool import KEY
from integrity.stores.base import Question, TotallingStore
from integrity.totals import BATCH, COUNTS, add_frames

__all__ = ["Pushdown", "frames", "offered", "pushdown_of", "question_of", "remarks", "repeats", "totals"]

Pushdown = Literal["auto", "always", "never"]
_MODES: tuple[Pushdown, ...] = ("auto", "always", "never")
#: Days of a time zone begin at a quarter of an hour; by those the store totals, and they add up to the days here.
_QUARTER = 15 * 60_000_000


def pushdown_of(given: str) -> Pushdown:
    """Return the mode that this names.

    Raises:
        UsageError: there is no such mode.
    """
    for mode in _MODES:
        if given == mode:
            return mode
    raise UsageError(f"pushdown cannot be {given!r}", did_you_mean(str(given), _MODES))


def offered(reader: Reader, mode: Pushdown, hindrance: str = "") -> Reader:
    """Return the reader that totals where that is wanted and possible, and says how it reads, and why.

    ``auto`` pushes down, so that only totals travel, except where pulling is known to take less time, and where the
    store cannot compute them to the last bit.

    Args:
        reader: One side.
        mode: What was asked for.
        hindrance: Why this run has to see every row of this side, or an empty text.

    Raises:
        PushdownError: the mode is ``always``, and the store cannot.
    """
    store = reader.store
    if not isinstance(store, TotallingStore):
        return reader
    if mode == "never":
        return replace(reader, how="pulled, as asked for")
    if mode == "auto" and store.rather_pulled:
        return replace(reader, how=f"pulled: {store.rather_pulled}")
    try:
        if hindrance:
            raise PushdownError(hindrance, "pull the rows")
        pushed = store.pushed(question_of(reader))
    except PushdownError as error:
        if mode == "always":
            raise PushdownError(
                f"the {reader.role} cannot be totalled in its database: {error.problem}",
                "use pushdown='auto' or 'never' to pull its rows",
            ) from None
        return replace(reader, how=f"pulled: {error.problem}")
    why = "as asked for" if mode == "always" else "so that only totals travel"
    return replace(reader, pushed=pushed, how=f"pushed down, {why}", strict=mode == "always")


def question_of(reader: Reader) -> Question:
    """Return what a store has to know to total this side's items.

    Raises:
        PushdownError: the contract needs every row.
    """
    contract, clock = reader.contract, reader.contract.clock
    if contract.latest_by is not None:
        raise PushdownError("which revisions are the newest is told by looking at all of them (latest_by)")
    if contract.attempts is not None and reader.role == "source":
        raise PushdownError("what was rejected is told from what was accepted row by row (attempts)")
    processed = clock.processed if clock is not None and reader.has_processed else None
    limits = contract.timeliness
    return Question(
        identity={name: reader.field(name) for name in contract.identity},
        content={name: reader.field(name) for name in contract.content},
        event=None if clock is None else reader.field(clock.event.name),
        processed=None if processed is None else reader.field(processed.name),
        amounts=contract.amounts,
        partition=contract.partition,
        exclusions=tuple(
            (e.name, tuple((reader.field(n), tuple(reader.allowed(n, values))) for n, values in e.where.items()))
            for e in reader.exclusions
        ),
        width=_width(contract),
        since=reader.since,
        until=reader.until,
        horizon=reader.horizon,
        future_is_invalid=clock is not None and not reader.timely,
        within=None if limits is None else limits.within,
        never_over=None if limits is None else limits.never_over,
        zone=reader.zone,
        unique=reader.role == "source" and contract.unique,
    )


def _width(contract: Contract) -> int | None:
    if contract.window is None:
        return None
    return contract.window.every if contract.window.timezone is None else _QUARTER


def totals(reader: Reader) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
    """Ask for the totals.

    Returns:
        The frame of :class:`integrity.totals.ControlTotals` (what repeats is not said), its histogram, and how many
        items each exclusion left out.

    Raises:
        PushdownError: the store holds a value that it cannot read to the last bit.
    """
    assert reader.pushed is not None
    keys = reader.batch_columns
    answer = _placed(reader, _frame(reader.pushed.totals()), "slot")
    left_out = pl.col("excluded").is_not_null()
    by_name = answer.filter(left_out).group_by("excluded").agg(pl.col("records").sum())
    amounts = [f"amount.{name}" for name in reader.contract.amounts]
    counted = [name for name in COUNTS if name not in ("excluded", "superseded")]
    frame = answer.select(
        *keys,
        *_in_order(
            [pl.when(~left_out).then(pl.col(name)).otherwise(0).cast(pl.Int64).alias(name) for name in counted]
            + [
                pl.when(left_out).then(pl.col("records")).otherwise(0).cast(pl.Int64).alias("excluded"),
                pl.lit(0, pl.Int64).alias("superseded"),
            ]
        ),
        *(pl.when(~left_out).then(pl.col(n)).otherwise(pl.lit(0, pl.UInt64)).alias(n) for n in ("hash_0", "hash_1")),
        pl.when(~left_out).then(pl.col("latency_max")).alias("latency_max"),
        *(pl.when(~left_out).then(pl.col(name)).otherwise(pl.lit("0")).alias(name) for name in amounts),
        pl.lit(None, pl.Boolean).alias("repeats"),
    )
    histogram = (
        answer.filter(~left_out & pl.col("bucket").is_not_null())
        .group_by([*keys, pl.col("bucket").alias("__bucket")], maintain_order=True)
        .agg(pl.col("records").sum().cast(pl.UInt64).alias("__count"))
    )
    return add_frames([frame], keys).sort(keys), histogram, dict(by_name.iter_rows())


def _in_order(counts: list[pl.Expr]) -> list[pl.Expr]:
    return sorted(counts, key=lambda count: COUNTS.index(count.meta.output_name()))


def repeats(reader: Reader) -> pl.DataFrame:
    """Ask for the batches in which an identity is (or may be) there more than once."""
    assert reader.pushed is not None
    return _placed(reader, _frame(reader.pushed.repeats()), "slot").select(reader.batch_columns).unique()


def remarks(reader: Reader) -> Generator[pl.DataFrame, None, None]:
    """Ask for the items of which something has to be said whatever the other side holds."""
    assert reader.pushed is not None
    return reader.framed(reader.pushed.remarkable(reader.asked), Slice())


def frames(
    reader: Reader,
    wanted: Slice,
    excluded: Callable[[str, pl.DataFrame], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Generator[pl.DataFrame, None, None]:
    """Yield what :meth:`integrity.items.Reader.frames` does, of fingerprints that the store has computed."""
    assert reader.pushed is not None
    contract, keys = reader.contract, reader.batch_columns
    span = reader.span(wanted)
    batches = reader.pushed.fingerprints(None if span is None else span.intervals)
    with letting_go(batches):
        for batch in batches:
            if progress is not None:
                progress(batch.num_rows)
            answer = _placed(reader, _frame(pa.Table.from_batches([batch])), "event")
            if wanted.batches is not None:
                answer = answer.join(wanted.batches, on=keys, how="semi", nulls_equal=True)
            for (name,), rows in answer.filter(pl.col("excluded").is_not_null()).group_by("excluded"):
                if excluded is not None:
                    excluded(str(name), rows.select(keys))
            items = answer.filter(pl.col("excluded").is_null())
            if not items.height:
                continue
            identity = list(contract.identity)
            missing = pl.any_horizontal(pl.col(name).is_null() for name in identity)
            future = (pl.col("event") >= reader.horizon).fill_null(False)
            if contract.clock is not None:
                missing |= pl.col("event").is_null() | (pl.lit(not reader.timely) & future)
            yield items.select(
                *identity,
                BATCH,
                pl.struct(identity).hash(seed=0).alias(KEY),
                *(
                    pl.col("digest").str.slice(16 * i, 16).str.to_integer(base=16, dtype=pl.UInt64).alias(f"__w{i}")
                    for i in (0, 1)
                ),
                pl.col("event").alias("__event"),
                future.alias("__future"),
                pl.col("processed").alias("__processed"),
                pl.lit(None, pl.Int64).alias("__changed"),
                pl.when(missing).then(pl.lit("breaks a declared rule")).alias("__invalid"),
                (pl.col("unproven") == 1).alias("__unproven"),
                *(pl.col(f"amount.{name}").alias(f"__a.{name}") for name in contract.amounts),
            )


def _frame(table: pa.Table) -> pl.DataFrame:
    """A frame whose columns have their types, also where a driver had nothing but NULL to tell them by."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    whole = {"event", "processed", "slot", "unproven", "bucket", "latency_max", *COUNTS} - {"excluded"}
    whole &= set(frame.columns)
    texts = [name for name in frame.columns if name not in whole and not frame.schema[name].is_integer()]
    types = {**dict.fromkeys(whole, pl.Int64()), **dict.fromkeys(texts, pl.String())}
    return frame.with_columns(pl.col(name).cast(type_) for name, type_ in types.items())


def _placed(reader: Reader, answer: pl.DataFrame, column: str) -> pl.DataFrame:
    """Add the batch of each row, by its event or by its slot.

    Raises:
        PushdownError: a slot lies in two batches.
    """
    instants = answer[column]
    window = reader.contract.window
    if window is None:
        return answer.with_columns(instants.alias(BATCH))
    instants = instants.set((instants >= reader.horizon).fill_null(False), None)
    starts = window.starts(instants)
    if column == "slot" and window.timezone is not None:
        last = window.starts(instants + (_QUARTER - 1))
        if not starts.equals(last):
            raise PushdownError(
                f"a day of {window.timezone} begins off the quarters of an hour that {reader.store.name} totals by"
            )
    return answer.with_columns(starts.alias(BATCH))
