"""What was decided about each break, and how old is what was not?

A row a break, however many runs showed it; and of one break everything that is on record, in the order of the log: who
found it, what became of it, who decided what, on whose word, and who confirmed that.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

import polars as pl
import sqlalchemy as sa

from integrity.checks import one_of
from integrity.ledger import schema
from integrity.ledger.database import there
from integrity.ledger.history import became_of, shown_of, standing_breaks
from integrity.ledger.keys import LedgerKey
from integrity.ledger.trails import SHORT, Became, Case, Shown, Step, Trail, located, step_of

__all__ = ["AGES", "TRACED", "UNDECIDED", "ageing", "cases_of", "decided", "trace", "traced"]

#: In which cases nobody's decision stands.
UNDECIDED: Final = (Case.OPEN.value, Case.PROPOSED.value, Case.REOPENED.value, Case.OPEN_AGAIN.value)
#: How old what is undecided may be: what it is called, and below how many days.
AGES: Final = (("under 1 day", 1.0), ("1 to 7 days", 7.0), ("7 to 30 days", 30.0), ("over 30 days", float("inf")))
#: What is told of each event in the trail of a break.
TRACED: Final = {
    "leaf": pl.Int64, "at": pl.String, "what": pl.String, "run": pl.String, "number": pl.Int64,
    "disposition": pl.String, "by": pl.String, "operator": pl.String, "reference": pl.String, "control": pl.String,
    "reason": pl.String,
}  # fmt: skip
_DECIDED: Final = ("case", "disposition", "by", "confirmed_by", "reference")
_DAY: Final = 86_400_000_000


def cases_of(connection: sa.Connection, pipeline: str, environment: str, now: dt.datetime) -> pl.DataFrame:
    """Return every break of a pipeline, and what was decided about it.

    Returns:
        What :func:`integrity.ledger.history.breaks_of` does, and ``id``: by which it is named, the first digits of its
        keyed name (where that was erased, ``RUN:NUMBER``); ``age``: days from when it was first found until it was
        disposed of or was found to be gone, else until now; ``case``: see :class:`integrity.ledger.trails.Case`;
        ``disposition``, ``by`` and ``reference`` of what stands or is proposed; ``confirmed_by``.
    """
    shown = shown_of(connection, pipeline, environment)
    became = became_of(connection, pipeline, environment, shown)
    frame = standing_breaks(shown, became)
    trails = _trails(shown, became, _steps(connection, pipeline, environment))
    gone = dict(became.group_by("subject", maintain_order=True).agg(pl.col("said_at").last()).iter_rows())
    rows: list[tuple[str | None, ...]] = []
    ends: list[str | None] = []
    for subject, state in frame.select("subject", "state").iter_rows():
        trail = trails.get(subject)
        if trail is None:
            rows.append((Case.OPEN.value if state == "open" else Case.CLOSED.value, None, None, None, None))
        else:
            rows.append(decided(trail))
        disposed = None if trail is None or trail.disposed is None else trail.disposed.at
        ends.append(min((at for at in (disposed, None if state == "open" else gone[subject]) if at), default=None))
    beside = pl.DataFrame(rows, schema=dict.fromkeys(_DECIDED, pl.String), orient="row")
    end = pl.Series("end", ends, dtype=pl.String).str.to_datetime(time_unit="us", time_zone="UTC")
    return (
        frame.with_columns(_names(frame), *beside.get_columns(), end.fill_null(now))
        .with_columns(((pl.col("end") - _moment("first_at")).dt.total_microseconds() / _DAY).alias("age"))
        .drop("end")
    )


def _moment(column: str) -> pl.Expr:
    return pl.col(column).str.to_datetime(time_unit="us", time_zone="UTC")


def _names(frame: pl.DataFrame) -> pl.Series:
    """By which each break is named: so few digits as tell all of them apart, and no fewer than twelve."""
    erased = pl.col("subject").str.contains(" ")
    keyed, size = frame.filter(~erased)["subject"], SHORT
    while size < 32 and keyed.str.slice(0, size).n_unique() < keyed.len():
        size += 4
    row = pl.format("{}:{}", "run", "number")
    named = pl.when(erased).then(row).otherwise(pl.col("subject").str.slice(0, size)).alias("id")
    return frame.select(named).to_series()


def decided(trail: Trail) -> tuple[str | None, ...]:
    """Return the case of a break, the disposition that stands or is proposed, by whom, who confirmed it, and on what.

    Example:
        >>> decided(Trail("0a1b2c3d4e5f", (Shown(2, "2026-03-01T00:00:00.000000Z", "r1", 0, "kim"),)))
        ('open', None, None, None, None)
    """
    done, waits = trail.disposed, trail.proposal
    if done is not None:
        first = trail.proposer or done
        confirmed = done.by if done.step == "confirmed" else None
        return trail.case.value, done.disposition, first.by, confirmed, done.reference
    if waits is not None and trail.case is Case.PROPOSED:
        return trail.case.value, waits.disposition, waits.by, None, waits.reference
    return trail.case.value, None, None, None, None


def _steps(connection: sa.Connection, pipeline: str, environment: str) -> list[Step]:
    of, leaves, runs = schema.dispositions, schema.leaves, schema.runs
    query = sa.select(of.c.leaf).join(runs, runs.c.run == of.c.run)
    query = query.where(runs.c.pipeline == pipeline, runs.c.environment == environment)
    told = sa.select(leaves.c.number, leaves.c.body).where(leaves.c.number.in_(query)).order_by(leaves.c.number)
    return [step_of(number, json.loads(body)) for number, body in connection.execute(told)]


def _trails(shown: pl.DataFrame, became: pl.DataFrame, steps: Iterable[Step]) -> dict[str, Trail]:
    """The trails of the breaks about which something was decided, by their keyed names."""
    names = {(run, number): subject for run, number, subject in shown.select("run", "number", "subject").iter_rows()}
    found: dict[str, list[Step]] = {}
    for step in steps:
        for subject in dict.fromkeys(names[row] for row in step.rows if row in names):
            found.setdefault(subject, []).append(step)
    if not found:
        return {}
    rows: dict[str, list[Shown]] = {}
    for leaf, at, run, number, subject in shown.select("leaf", "at", "run", "number", "subject").iter_rows():
        if subject in found:
            rows.setdefault(subject, []).append(Shown(leaf, at, run, number, operator=""))
    told: dict[str, list[Became]] = {}
    for *change, subject in became.select("said", "said_at", "state_run", "state", "subject").iter_rows():
        told.setdefault(subject, []).append(Became(*change))
    return {
        subject: Trail(subject, tuple(rows[subject]), tuple(told.get(subject, ())), tuple(steps))
        for subject, steps in found.items()
    }


def ageing(frame: pl.DataFrame) -> dict[str, int]:
    """Return how many breaks about which nothing is decided are how old, by the names of :data:`AGES`.

    Args:
        frame: As :func:`integrity.ledger.listing.breaks` returns it.

    Example:
        >>> ageing(pl.DataFrame({"case": ["open", "disposed", "reopened"], "age": [0.5, 40.0, 8.0]}))
        {'under 1 day': 1, '1 to 7 days': 0, '7 to 30 days': 1, 'over 30 days': 0}
    """
    ages = frame.filter(pl.col("case").is_in(UNDECIDED))["age"].to_list()
    counted, since = {}, float("-inf")
    for name, below in AGES:
        counted[name] = sum(since <= age < below for age in ages)
        since = below
    return counted


# --- one break
# -----------------------------------------------------------------------------------------------------------


def trace(
    url: str | os.PathLike[str], name: str, *, environment: str = "production", key: LedgerKey | None = None
) -> pl.DataFrame:
    """Return everything that is on record of one break, in the order of the log.

    Args:
        url: Of the ledger.
        name: Of the break: its ``id`` in :func:`integrity.ledger.listing.breaks`, or ``RUN:NUMBER``.
        environment: Of which runs.
        key: The ledger's key, by which a break is found by its ``break_id`` in a result, too.

    Returns:
        ``leaf`` and ``at``: where the log says it, and since when; ``what``: ``found``; ``healed``, ``withdrawn`` or
        ``cleared``; ``disposed``, ``proposed``, ``confirmed``, ``refused`` or ``reopened``; ``run`` and ``number`` of
        what runs found; ``disposition``, ``by``, ``reference``, ``control`` and ``reason`` (null where it was erased)
        of what persons decided; ``operator``: who ran it, or was logged in.

    Raises:
        UsageError: no break is called so, or several are.
        LedgerError: there is no ledger, or it cannot be read.
    """
    one_of("environment", environment, schema.ENVIRONMENTS)
    with there(url).reading() as connection:
        runs, leaves = schema.runs, schema.leaves
        trail = located(connection, name, environment, key)
        query = sa.select(runs.c.run, leaves.c.body).join(leaves, leaves.c.number == runs.c.leaf)
        query = query.where(runs.c.run.in_([each.run for each in trail.became]))
        operators = {run: json.loads(body)["operator"] for run, body in connection.execute(query)}
    return traced(trail, operators)


def traced(trail: Trail, operators: Mapping[str, str]) -> pl.DataFrame:
    """Return a trail as rows, as :func:`trace` does; ``operators`` says who ran what found that it was gone."""
    rows: list[dict[str, Any]] = []
    for found in trail.shown:
        told = {"leaf": found.leaf, "at": found.at, "run": found.run, "number": found.number}
        rows.append(told | {"what": "found", "operator": found.operator})
    for each in trail.became:
        told = {"leaf": each.leaf, "at": each.at, "run": each.run}
        rows.append(told | {"what": each.state, "operator": operators.get(each.run)})
    names = ("leaf", "at", "disposition", "by", "operator", "reference", "control", "reason")
    rows += [{"what": step.step} | {name: getattr(step, name) for name in names} for step in trail.steps]
    columns = [[row.get(name) for name in TRACED] for row in rows]
    return pl.DataFrame(columns, schema=TRACED, orient="row").sort("leaf", maintain_order=True)
