"""Which verdict does each promise get, from what was counted?

Nothing that was not looked at counts as good. A batch in which a promise had nothing due (every item accounted for, or
the window idle) has no verdict for it; a run in which nothing at all was judged is unverified.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

import polars as pl

from integrity.contracts import Assertion, Contract

__all__ = ["Verdict", "judge_batches", "judge_run", "worst"]


class Verdict(StrEnum):
    """What is known of a promise. A ``str``: ``Verdict.PASS == "pass"``."""

    PASS = "pass"
    FAIL = "fail"
    UNVERIFIED = "unverified"
    PENDING = "pending"
    SKIPPED = "skipped"


_ORDER = (Verdict.FAIL, Verdict.UNVERIFIED, Verdict.PENDING, Verdict.PASS)


def worst(verdicts: Iterable[str | None]) -> Verdict:
    """Return the worst of some verdicts, ``skipped`` and ``None`` left aside; of none it is ``unverified``.

    Example:
        >>> worst(["pass", "pending"]), worst([]), worst(["skipped", None, "pass"])
        (<Verdict.PENDING: 'pending'>, <Verdict.UNVERIFIED: 'unverified'>, <Verdict.PASS: 'pass'>)
    """
    given = set(verdicts)
    return next((verdict for verdict in _ORDER if verdict.value in given), Verdict.UNVERIFIED)


def judge_batches(
    batches: pl.DataFrame, contract: Contract, skips: Mapping[Assertion, str], absent: Mapping[Assertion, str]
) -> pl.DataFrame:
    """Add the ratios, a verdict for each assertion, and ``verdict``.

    Args:
        batches: As :class:`integrity.comparison.Compared` has them; and ``violated``, whether an expectation does not
            hold of a batch as a whole, and ``unjudged``, of how many items nobody knows whether they were authorized.
        contract: What was promised.
        skips: Assertions left out on purpose.
        absent: Promises that nothing here can check yet: never better than ``unverified``.
    """
    judged = batches.with_columns(_due().alias("__due")).with_columns(
        _ratio(pl.sum_horizontal("matched", "corrupt", "unverified"), pl.col("__due")).alias("completeness_ratio"),
        _ratio(pl.col("destination_on_time"), pl.col("__due")).alias("timeliness_ratio")
        if contract.timeliness and Assertion.TIMELINESS not in skips
        else pl.lit(None, pl.Float64).alias("timeliness_ratio"),
    )
    rules = {
        Assertion.COMPLETENESS: _completeness(contract),
        Assertion.ACCURACY: _accuracy(contract),
        Assertion.VALIDITY: _validity(),
        Assertion.TIMELINESS: _timeliness(contract, judged),
        Assertion.AUTHORIZATION: _authorization(),
    }
    columns = []
    for assertion, rule in rules.items():
        if assertion not in contract.assertions:
            verdict = pl.lit(None, pl.String)
        elif assertion in skips:
            verdict = pl.lit("skipped")
        else:
            verdict = pl.when("open").then(pl.lit("pending")).otherwise(rule)
            if assertion in absent:
                verdict = (
                    pl.when(verdict.is_in(["pass", "pending"]) & ~pl.col("open"))
                    .then(pl.lit("unverified"))
                    .otherwise(verdict)
                )
        columns.append(verdict.alias(assertion.value))
    names = [assertion.value for assertion in Assertion]
    ranked = pl.coalesce(
        pl.when(pl.any_horizontal(pl.col(n) == verdict.value for n in names)).then(pl.lit(verdict.value))
        for verdict in _ORDER
    )
    left_out = pl.when(pl.any_horizontal((pl.col(n) == "skipped").fill_null(False) for n in names)).then(
        pl.lit("skipped")
    )
    overall = pl.when("open").then(pl.lit("pending")).otherwise(pl.coalesce(ranked, left_out))
    return judged.with_columns(columns).with_columns(overall.alias("verdict")).drop("__due")


def judge_run(
    batches: pl.DataFrame, contract: Contract, skips: Mapping[Assertion, str]
) -> tuple[Verdict, dict[Assertion, Verdict]]:
    """Return the verdict of the run and of each assertion: the worst of the closed batches."""
    closed = batches.filter(~pl.col("open"))
    assertions = {
        assertion: Verdict.SKIPPED if assertion in skips else worst(closed[assertion.value].to_list())
        for assertion in contract.assertions
    }
    if not closed.height or set(assertions.values()) == {Verdict.SKIPPED}:
        return Verdict.UNVERIFIED, assertions
    return worst(assertions.values()), assertions


def _due() -> pl.Expr:
    return pl.col("source_records") - pl.col("accounted") - pl.col("pending")


def _ratio(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return pl.when(whole > 0).then(part / whole)  # 0 of 0 is not complete: it is no ratio


def _completeness(contract: Contract) -> pl.Expr:
    # What was moved in is filed under its source's batch, and judged there.
    idle = (pl.col("source_records") == 0) & (pl.col("destination_records") == pl.col("moved_in"))
    nothing = pl.lit("unverified") if contract.due == "window" else pl.lit(None, pl.String)
    differ = pl.col("source_records") != pl.col("destination_records")
    unlocated = pl.when(differ | pl.lit(not contract.content)).then(pl.lit("fail")).otherwise(pl.lit("unverified"))
    return (
        pl.when(~pl.col("located"))
        .then(unlocated)
        .when((pl.col("lost") > 0) | (pl.col("duplicate") > 0))
        .then(pl.lit("fail"))
        .when(idle)
        .then(nothing)
        .when(pl.col("source_records") == 0)
        .then(pl.lit("unverified"))
        .when(pl.col("pending") > 0)
        .then(pl.lit("pending"))
        .otherwise(pl.lit("pass"))
    )


def _accuracy(contract: Contract) -> pl.Expr:
    compared = pl.col("matched") + pl.col("corrupt")
    carried = bool(contract.content) and all(column.carried for column in contract.content.values())
    differ = pl.col("source_records") != pl.col("destination_records")
    return (
        pl.when(~pl.col("located"))
        .then(pl.when(differ).then(pl.lit("unverified")).otherwise(pl.lit("fail")))
        .when(pl.col("corrupt") > 0)
        .then(pl.lit("fail"))
        .when((pl.col("__due") == 0) & (pl.col("pending") > 0))
        .then(pl.lit("pending"))
        .when(pl.col("__due") == 0)
        .then(pl.lit(None, pl.String))
        .when(pl.lit(carried) | (pl.col("unverified") > 0) | (compared == 0))
        .then(pl.lit("unverified"))
        .when(pl.col("pending") > 0)
        .then(pl.lit("pending"))
        .otherwise(pl.lit("pass"))
    )


def _validity() -> pl.Expr:
    nothing = (pl.col("source_records") == 0) & (pl.col("destination_records") == pl.col("moved_in"))
    return (
        pl.when((pl.col("invalid") > 0) | (pl.col("extra") > 0) | pl.col("violated"))
        .then(pl.lit("fail"))
        .when(~pl.col("located") | pl.col("repeats_unknown"))
        .then(pl.lit("unverified"))
        .when(nothing)
        .then(pl.lit(None, pl.String))
        .otherwise(pl.lit("pass"))
    )


def _authorization() -> pl.Expr:
    return (
        pl.when(pl.col("unauthorized") > 0)
        .then(pl.lit("fail"))
        .when(pl.col("source_records") == 0)
        .then(pl.lit(None, pl.String))
        .when(pl.col("unjudged") > 0)
        .then(pl.lit("unverified"))
        .when(pl.col("pending") > 0)
        .then(pl.lit("pending"))
        .otherwise(pl.lit("pass"))
    )


def _timeliness(contract: Contract, batches: pl.DataFrame) -> pl.Expr:
    """The ratio is promised over the run's closed batches; a batch fails with it if it holds an item not on time."""
    promise = contract.timeliness
    if promise is None:
        return pl.lit(None, pl.String)
    closed = batches.filter(~pl.col("open") & pl.col("located"))
    due, on_time, unmeasured = (
        int(closed[c].sum() or 0) for c in ("__due", "destination_on_time", "destination_unmeasured")
    )
    kept = _kept(on_time, due, promise.ratio)
    may_be_kept = _kept(on_time + unmeasured, due, promise.ratio)
    short = pl.col("destination_on_time") < pl.col("__due")
    certain = short & (pl.col("destination_on_time") + pl.col("destination_unmeasured") < pl.col("__due"))
    broken = (pl.col("skewed") > 0) | (pl.col("destination_over") > 0)
    if not may_be_kept:
        broken |= certain
    unknown = (pl.col("destination_unmeasured") > 0) & pl.lit(not kept or promise.never_over is not None)
    return (
        pl.when(broken)
        .then(pl.lit("fail"))
        .when(~pl.col("located"))
        .then(pl.lit("unverified"))
        .when((pl.col("__due") == 0) & (pl.col("pending") > 0))
        .then(pl.lit("pending"))
        .when(pl.col("__due") == 0)
        .then(pl.lit(None, pl.String))
        .when(unknown)
        .then(pl.lit("unverified"))
        .when(pl.col("pending") > 0)
        .then(pl.lit("pending"))
        .otherwise(pl.lit("pass"))
    )


def _kept(on_time: int, due: int, ratio: Decimal) -> bool:
    return due > 0 and Fraction(on_time, due) >= Fraction(ratio)
