"""Which breaks does each item make, and what is said of them?

An item is a pair of rows, or a row that found none; how it matched is known by now. Here it becomes the lines of
``result.breaks``: one for each item and kind, with the columns that differ, the times, and a reason in words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import polars as pl
import polars_hash as plh

from integrity import canonical
from integrity.charges import UNAUTHORIZED
from integrity.columns import Column, ColumnType
from integrity.contracts import Contract
from integrity.rows import CONTENT, DETAIL, EVENT, RUNG
from integrity.totals import BATCH
from integrity.windows import format_duration

__all__ = [
    "BY_NUMBER",
    "COUNTED",
    "PRINT",
    "STRAY",
    "Approving",
    "BreakKind",
    "Case",
    "agree",
    "breaks_of",
    "digest_of",
    "disagree",
    "is_open",
    "placed",
    "remarked",
    "wide",
]


class BreakKind(StrEnum):
    """How an item differs from what its contract promises."""

    LOST = "lost"
    DUPLICATE = "duplicate"
    CORRUPT = "corrupt"
    EXTRA = "extra"
    INVALID = "invalid"
    LATE = "late"
    SKEWED = "skewed"
    UNAUTHORIZED = "unauthorized"


#: Which breaks recorded totals of each side tell by their number, so that nobody can name the items.
BY_NUMBER: Final[Mapping[str, tuple[str, ...]]] = {
    "source": ("invalid",),
    "destination": ("invalid", "late", "skewed"),
}
#: What is counted of each batch when its items are matched.
COUNTED = (
    "matched",
    "corrupt",
    "unverified",
    "lost",
    "accounted",
    "pending",
    "duplicate",
    "extra",
    "moved_in",
    "moved_out",
    "unsettled",
    "copies",
    "late",
    "skewed",
    "invalid",
    "unauthorized",
    "corrected",
)
#: Kept with what is lost or extra, where a contract says which column is a place: the hash of the rest of its identity,
#: its content (null if that is not known), and its place.
STRAY = ("__stray", "__content", "__place")
#: The two words of a fingerprint.
PRINT = ["__w0", "__w1"]


#: So many of the parts that differ are named.
_NAMED = 8


class Approving(Protocol):
    """Knows which changes of the destination were approved."""

    def uncovered(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return ``__row`` and ``reason`` of the changes (``__row``, ``actor``, ``object``, ``at``) that were not."""
        ...


@dataclass(frozen=True)
class Case:
    """What matching has to know besides the rows.

    Attributes:
        contract: What is promised.
        as_of: Microseconds; decides what is still pending.
        horizon: The first instant that is from the future.
        values: Whether the differing values are shown.
        timely: Whether timeliness is judged.
        approvals: Which changes of the destination were approved, where the contract wants that.
    """

    contract: Contract
    as_of: int
    horizon: int
    values: bool
    timely: bool
    approvals: Approving | None = None

    @property
    def batch_columns(self) -> list[str]:
        return [*self.contract.partition, BATCH]


def _digests(name: str) -> list[tuple[pl.Expr, pl.Expr]]:
    """Both sides' kind and value of a digest that stands in for another."""
    texts = [f"{side}.{RUNG}{name}" for side in "sd"]
    return [(pl.col(text).str.extract(r"^(.*):", 1).fill_null(""), digest_of(text)) for text in texts]


def digest_of(text: str) -> pl.Expr:
    """The digest itself in a column of such, without how it was made and however it was written."""
    return pl.col(text).str.to_lowercase().str.strip_chars('"').str.extract(r"([^:]*)$", 1).str.strip_chars('"')


def agree(name: str) -> pl.Expr:
    """Whether both sides tell the same digest. However it was made, other content would hardly have it."""
    (_, mine), (_, other) = _digests(name)
    return (mine == other).fill_null(False)


def disagree(name: str) -> pl.Expr:
    """Whether both sides tell a digest that was made in one way, and it differs."""
    (how, mine), (hows, other) = _digests(name)
    return ((mine != other) & (how == hows) & (how != "?")).fill_null(False)


def is_open(batches: pl.Series, case: Case) -> pl.Series:
    """Whether batches are open: the end and the grace period are not over as of the run. The untimed one never is."""
    window, grace = case.contract.window, case.contract.grace
    if window is None:
        return pl.repeat(False, len(batches), dtype=pl.Boolean, eager=True)
    return (window.ends(batches) + grace > case.as_of).fill_null(False)


def placed(breaks: pl.DataFrame, case: Case) -> pl.DataFrame:
    """The batch and kind of breaks, the partition as canonical values again."""
    partition = [pl.col(f"__p.{name}").alias(name) for name in case.contract.partition]
    return breaks.select(*partition, BATCH, "kind")


def wide(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Count rows by batch and ``what``: a row a batch, a column for each of ``COUNTED``."""
    return rows.group_by(keys).agg((pl.col("what") == name).sum().cast(pl.Int64).alias(name) for name in COUNTED)


# ------------------------------------------------------------------------------------------------------------


def breaks_of(items: pl.DataFrame, timed: pl.DataFrame, case: Case) -> pl.DataFrame:
    """Return the breaks of matched items; ``timed`` are those that arrived, with their latencies."""
    said = items.filter(pl.col("status").is_in(["lost", "corrupt", "duplicate", "extra"]))
    corrupt = said.filter(status="corrupt")
    where = pl.col("d." + BATCH).cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%SZ").fill_null("unknown")
    reason: pl.Expr = (
        pl.when((pl.col("status") == "lost") & pl.col("s.outcome").is_not_null())
        .then(pl.format("ended as {}, which the contract does not accept", pl.col("s.outcome")))
        .when((pl.col("status") == "corrupt") & pl.col("moved"))
        .then(pl.format("found in the batch that starts at {}", where))
        .when(pl.col("status") == "duplicate")
        .then(pl.format("{} in the source, {} in the destination", "in_source_copies", "in_destination_copies"))
        .when((pl.col("status") == "extra") & pl.col("in_source_copies").is_not_null())
        .then(pl.format("accounted for as {}, yet present", pl.col("d.outcome")))
    )
    unapproved = pl.format("no approved change covers it: {}", pl.col("unapproved"))
    reason = pl.concat_str(reason, unapproved, separator="; ", ignore_nulls=True).replace("", None)
    matching = said.with_columns(pl.col("status").alias("kind"), reason.alias("reason"), *_stray(case.contract))
    differing = _differing(corrupt, case)
    others = [matching.filter(status="corrupt").with_columns(differing), _invalid(items, case), _unauthorized(items)]
    if case.timely:
        others += untimely(timed, case)
    frames = [matching.filter(pl.col("status") != "corrupt"), *(frame for frame in others if frame.height)]
    return pl.concat([_form(frame, case) for frame in frames], how="diagonal")


def _stray(contract: Contract) -> list[pl.Expr]:
    """What an item that is lost at one place, and one that is extra at another, would have in common."""
    if contract.place is None:
        return []
    rest = [pl.col(name) for name in contract.identity if name != contract.place]
    alone = pl.col("status").is_in(["lost", "extra"])
    side = {name: pl.coalesce(f"s.{CONTENT}{name}", f"d.{CONTENT}{name}") for name in contract.content}
    if not rest:  # its digest is all that it is known by elsewhere
        stand_ins = [pl.format(f"{n} {{}}", pl.coalesce(f"s.{RUNG}{n}", f"d.{RUNG}{n}")) for n in contract.stand_ins]
        side = {"": pl.coalesce(pl.col(f"s.{CONTENT}{contract.rung}"), f"d.{CONTENT}{contract.rung}", *stand_ins)}
        known = side[""].is_not_null()
        alone &= known
    else:
        evidence = [side[name].is_not_null() for name, column in contract.content.items() if column.evidence]
        known = pl.all_horizontal(pl.lit(True), *evidence)
    content = (
        pl.struct(value.alias(name) for name, value in side.items()).hash(seed=0) if side else pl.lit(0, pl.UInt64)
    )
    stray, print_, place = STRAY
    return [
        pl.when(alone).then(pl.struct(rest).hash(seed=0) if rest else content).alias(stray),
        pl.when(alone & known).then(content).alias(print_),
        pl.when(alone).then(pl.col(contract.place)).alias(place),
    ]


def _differing(corrupt: pl.DataFrame, case: Case) -> list[pl.Series]:
    """Name the columns that differ, and show their values where that was asked for."""
    clock = case.contract.clock
    columns = {CONTENT + name: (name, column) for name, column in case.contract.content.items()}
    if clock is not None and clock.carried:
        columns = {EVENT: (clock.event.name, Column(type=ColumnType.TIMESTAMP))} | columns
    for name, column in case.contract.content.items():
        if column.detail is not None:
            parts = corrupt.select(f"s.{DETAIL}{column.detail}", f"d.{DETAIL}{column.detail}").iter_rows()
            says = pl.Series(f"__says.{name}", [parts_that_differ(*both) or name for both in parts], dtype=pl.String)
            corrupt = corrupt.with_columns(says)
    differs = {
        key: pl.col(f"s.{key}").ne_missing(pl.col(f"d.{key}"))
        if not (column.evidence or column.optional)  # what a side does not tell does not differ
        else (pl.col(f"s.{key}") != pl.col(f"d.{key}")).fill_null(False)
        for key, (_, column) in columns.items()
    }
    for name in case.contract.stand_ins:
        columns[RUNG + name] = (name, Column(type=ColumnType.TEXT))
        differs[RUNG + name] = disagree(name)
    names = [
        pl.when(differs[key]).then(pl.lit(name) if column.detail is None else pl.col(f"__says.{name}"))
        for key, (name, column) in columns.items()
    ]
    if not names:
        return [
            pl.Series(n, [None] * corrupt.height, pl.String)
            for n in ("differing", "source_values", "destination_values")
        ]
    joined = corrupt.select(pl.concat_str(names, separator=", ", ignore_nulls=True).alias("differing")).to_series()
    if not case.values:
        return [joined]
    shown = [joined]
    which = {key: corrupt.select(differs[key]).to_series().to_list() for key in columns}
    for prefix, called in (("s.", "source_values"), ("d.", "destination_values")):
        texts = {k: canonical.shown(corrupt[prefix + k], column).to_list() for k, (_, column) in columns.items()}
        values = [
            json.dumps({name: texts[k][i] for k, (name, _) in columns.items() if which[k][i]}, ensure_ascii=False)
            for i in range(corrupt.height)
        ]
        shown.append(pl.Series(called, values, dtype=pl.String))
    return shown


def parts_that_differ(here: str | None, there: str | None) -> str | None:
    """Name the parts that two descriptions, JSON objects of names and digests, do not have in common.

    Returns:
        At most eight names; ``None`` where a side has no description, or both have the same.

    Example:
        >>> parts_that_differ('{"header subject": "1f", "part 1": "0a"}', '{"header subject": "2e", "part 1": "0a"}')
        'header subject'
    """
    try:
        mine, other = json.loads(here or ""), json.loads(there or "")
        names = [name for name in mine if mine[name] != other.get(name)] + [name for name in other if name not in mine]
    except (ValueError, TypeError, AttributeError):
        return None
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more or None


def _judged(items: pl.DataFrame) -> pl.DataFrame:
    """The items of which this run has to say what it finds: what is wrong with one of another window, its run says."""
    judged = items.filter(~pl.col("status").is_in(["pending", "unsettled", "copies", "corrected"]))
    return judged.filter(~pl.col("s.__open").fill_null(False), ~pl.col("drawn"))


def _unauthorized(items: pl.DataFrame) -> pl.DataFrame:
    """The items that nobody had the right to make, whatever became of them."""
    why = pl.col(f"s.{UNAUTHORIZED}")
    reasoned = _judged(items).with_columns(why.alias("reason"), pl.lit("unauthorized").alias("kind"))
    return reasoned.filter(pl.col("reason").is_not_null())


def _invalid(items: pl.DataFrame, case: Case) -> pl.DataFrame:
    """The items that break a declared rule, one line each, whichever side shows it."""
    copies = pl.lit(None, pl.String)
    if case.contract.unique:
        named = pl.all_horizontal(pl.col(name).is_not_null() for name in case.contract.identity)
        again = named & (pl.col("s.__copy") > 0)
        copies = pl.when(again).then(pl.format("the identity is {} times in the source", "s.__copies"))
    rows = _judged(items)
    reason = merged_reason(rows["s.__invalid"], rows["d.__invalid"])
    both = pl.concat_str(reason, copies, separator="; ", ignore_nulls=True).replace("", None)
    return rows.with_columns(both.alias("reason"), pl.lit("invalid").alias("kind")).filter(
        pl.col("reason").is_not_null()
    )


def merged_reason(source: pl.Series, destination: pl.Series) -> pl.Series:
    """Both sides' reasons, once where they are the same."""
    both = zip(source.to_list(), destination.to_list(), strict=True)
    return pl.Series("reason", [_merged(*reasons) for reasons in both], dtype=pl.String)


def _merged(source: str | None, destination: str | None) -> str | None:
    """What is said of the source, and what else is of the destination."""
    if source is None or destination is None or source == destination:
        return source if source is not None else destination
    said = source.split("; ")
    more = "; ".join(reason for reason in destination.split("; ") if reason not in said)
    return f"{source}; destination: {more}" if more else source


def untimely(timed: pl.DataFrame, case: Case) -> list[pl.DataFrame]:
    """The late and the skewed among items whose latency is known; those of open batches are for a later run."""
    limit = case.contract.timeliness
    assert limit is not None
    closed = timed.filter(~pl.col("s.__open")) if "s.__open" in timed.columns else timed
    seconds = pl.col("__latency") / 1_000_000
    hair = seconds.round(3) * 1_000_000 <= limit.within  # by so little, that milliseconds would not show it
    seconds = pl.when(hair).then(seconds.round(6)).otherwise(seconds.round(3))
    late = closed.filter("__late").with_columns(
        pl.lit("late").alias("kind"),
        pl.format("took {} s, limit {}", seconds, pl.lit(format_duration(limit.within))).alias("reason"),
    )
    why = (
        pl.when("__future")
        .then(pl.lit("its event time is from the future"))
        .when(pl.col("__processed") < pl.col("__event"))
        .then(pl.lit("processed before it happened"))
        .otherwise(pl.lit("its processed time is from the future"))
    )
    skewed = closed.filter("__skewed").with_columns(pl.lit("skewed").alias("kind"), why.alias("reason"))
    return [late, skewed]


def _form(items: pl.DataFrame, case: Case) -> pl.DataFrame:
    """Give breaks the columns that every break has, in their order."""
    event = pl.coalesce(pl.col("s.__event"), pl.col("d.__event"))
    return form(items.with_columns(event.alias("__event"), pl.col("d.__processed").alias("__processed")), case)


def form(rows: pl.DataFrame, case: Case) -> pl.DataFrame:
    """Give rows with ``kind`` and ``reason`` the columns of ``result.breaks``, times and batch in microseconds."""
    texts = [name for name in ("differing", "source_values", "destination_values") if name not in rows.columns]
    rows = rows.with_columns(pl.lit(None, pl.String).alias(name) for name in texts)
    latency = pl.col("__latency") if "__latency" in rows.columns else pl.col("__processed") - pl.col("__event")
    order = [*case.contract.identity, "__event", "__processed"]
    rows = rows.sort(order, nulls_last=True, maintain_order=True)
    nth = pl.int_range(pl.len()).over(["kind", *case.contract.identity]).cast(pl.String)
    parts = rows.select(
        pl.lit(case.contract.name).alias("__contract"), "kind", *case.contract.identity, nth.alias("__nth")
    )
    identifier = pl.DataFrame([canonical.encode(parts.get_columns()).alias("t")]).select(
        plh.col("t").chash.sha2_256().str.slice(0, 32).alias("break_id")
    )
    identity = [canonical.shown(rows[name], column).alias(name) for name, column in case.contract.identity.items()]
    partition = [rows[name].alias(f"__p.{name}") for name in case.contract.partition]
    return rows.select(
        identifier["break_id"],
        BATCH,
        "kind",
        *identity,
        "differing",
        "source_values",
        "destination_values",
        pl.col("__event").alias("event_time"),
        pl.col("__processed").alias("processed_time"),
        latency.alias("latency"),
        "reason",
        *partition,
        *(name for name in STRAY if name in rows.columns),
    )


def remarked(source: pl.DataFrame, destination: pl.DataFrame, case: Case) -> pl.DataFrame:
    """Return the breaks of batches that agree: what has to be said of their items, although every one of them arrived.

    Args:
        source: Remarks of :func:`integrity.passes.measure` in closed, agreeing batches.
        destination: The same of the other side.
        case: The rest.
    """
    if not source.width:  # of a side that was recorded earlier there is no row, and no column
        source = destination.clear()
    if not destination.width:
        destination = source.clear()
    identity = list(case.contract.identity)
    keys = [*identity, *PRINT]
    numbered = []
    for side in (source, destination):
        invalid = side.filter(pl.col("__invalid").is_not_null())
        numbered.append(invalid.with_columns(pl.int_range(pl.len()).over(keys).alias("__rank")))
    both = numbered[0].join(
        numbered[1].select(*keys, "__rank", "__invalid", "__processed", pl.col(BATCH).alias("__batch:d"), "__event"),
        on=[*keys, "__rank"],
        how="full",
        nulls_equal=True,
        coalesce=True,
        suffix=":d",
    )
    alone = pl.col("__future").is_null()  # only the destination had something to say: the pair's batch is its own
    invalid = both.with_columns(
        pl.lit("invalid").alias("kind"),
        merged_reason(both["__invalid"], both["__invalid:d"]).alias("reason"),
        pl.when(alone).then("__batch:d").otherwise(BATCH).alias(BATCH),
        pl.when(alone).then("__event:d").otherwise("__event").alias("__event"),
        pl.col("__processed:d").alias("__processed"),
    )
    frames = [form(invalid, case)]
    if UNAUTHORIZED in source.columns:
        reasoned = source.filter(pl.col(UNAUTHORIZED).is_not_null()).with_columns(
            pl.lit("unauthorized").alias("kind"), pl.col(UNAUTHORIZED).alias("reason")
        )
        frames.append(form(reasoned, case))
    if case.timely and "__latency" in destination.columns:
        frames += [form(frame, case) for frame in untimely(destination, case)]
    return pl.concat(frames)
