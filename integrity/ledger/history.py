"""What stands of a pipeline, after all its runs?

Of each batch the first verdict stands; what later runs say of it are revisions beside it. A break is one and the same
in all runs that show it, by its keyed name, and open until one of them finds what became of it. Only runs of one
environment are looked at, and only such as finished.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

import polars as pl
import sqlalchemy as sa

from integrity.ledger import schema
from integrity.ledger.links import linked
from integrity.ledger.rows import frame_of
from integrity.ledger.trails import Groups, Place

__all__ = [
    "JUDGED",
    "LastRun",
    "became_of",
    "breaks_of",
    "finished",
    "last_run",
    "pipelines",
    "rows_of",
    "shown_of",
    "standing",
    "standing_breaks",
    "unfinished",
]

#: Verdicts by which a batch has been judged; ``pending`` is none, ``unverified`` is tried again for a while.
JUDGED: Final = ("pass", "fail", "skipped")
_SHOWN: Final = ("run", "number", "kind", "batch", "batch_start", "event_time")
_STANDING: Final = ("run", "key", "facts", "batch_start", "batch_end", "verdict")


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last run of a pipeline that finished.

    Attributes:
        run: Its name.
        at: When it was recorded to have ended.
        began: When it was recorded to have begun.
        watermark: Up to where every window had been judged.
        closed_until: Up to where windows were closed then.
    """

    run: str
    at: str
    began: str
    watermark: str | None
    closed_until: str | None


def pipelines(connection: sa.Connection) -> list[str]:
    """Return the names of all pipelines that have a run, in the order of their first."""
    runs = schema.runs
    query = sa.select(runs.c.pipeline).group_by(runs.c.pipeline).order_by(sa.func.min(runs.c.leaf))
    return [name for (name,) in connection.execute(query)]


def finished(pipeline: str, environment: str) -> sa.Select[tuple[str]]:
    """Return the query for the runs of a pipeline that finished."""
    runs, endings = schema.runs, schema.endings
    query = sa.select(runs.c.run).join(endings, endings.c.run == runs.c.run)
    return query.where(runs.c.pipeline == pipeline, runs.c.environment == environment, endings.c.how == "finished")


def last_run(connection: sa.Connection, pipeline: str, environment: str) -> LastRun | None:
    """Return the last run that finished."""
    runs, endings = schema.runs, schema.endings
    query = (
        sa.select(runs.c.run, endings.c.at, runs.c.at.label("began"), endings.c.watermark, endings.c.closed_until)
        .join(endings, endings.c.run == runs.c.run)
        .where(runs.c.run.in_(finished(pipeline, environment)))
        .order_by(endings.c.leaf.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else LastRun(*row)


def unfinished(connection: sa.Connection, pipeline: str) -> list[str]:
    """Return the runs that were begun and never ended, in their order."""
    runs, endings = schema.runs, schema.endings
    query = sa.select(runs.c.run).outerjoin(endings, endings.c.run == runs.c.run)
    query = query.where(runs.c.pipeline == pipeline, endings.c.run.is_(None)).order_by(runs.c.leaf)
    return [run for (run,) in connection.execute(query)]


def standing(
    connection: sa.Connection, pipeline: str, environment: str, since: str | None = None, until: str | None = None
) -> pl.DataFrame:
    """Return what stands of each batch of a pipeline, a row a batch.

    Args:
        connection: A transaction that reads.
        pipeline: Which.
        environment: Of which runs.
        since: First start of a window, ISO 8601; the untimed batch comes in any case.
        until: First start no longer asked for.

    Returns:
        ``key``, ``batch_start``, ``batch_end``; ``verdict`` and ``run``: the first that judged it, ``pending`` as long
        as none has; ``latest`` and ``latest_run``; ``facts`` of the latest; ``revisions``: how often it was found
        different after it had been judged.
    """
    batches, endings = schema.batches, schema.endings
    query = (
        sa.select(*(batches.c[name] for name in _STANDING), endings.c.leaf)
        .join(endings, endings.c.run == batches.c.run)
        .where(batches.c.run.in_(finished(pipeline, environment)))
        .order_by(endings.c.leaf, batches.c.number)
    )
    untimed = batches.c.batch_start.is_(None)
    if since is not None:
        query = query.where(sa.or_(untimed, batches.c.batch_start >= since))
    if until is not None:
        query = query.where(sa.or_(untimed, batches.c.batch_start < until))
    rows = connection.execute(query).all()
    names = (*_STANDING, "leaf")
    types = {name: pl.Int64 if name == "leaf" else pl.String for name in names}
    frame = pl.DataFrame([tuple(row) for row in rows], schema=types, orient="row")
    judged = pl.col("verdict").is_not_null() & (pl.col("verdict") != "pending")
    first = pl.col("verdict").filter(judged).first()
    return (
        frame.group_by("key", maintain_order=True)
        .agg(
            pl.col("batch_start", "batch_end").last(),
            pl.coalesce(first, pl.col("verdict").last()).alias("verdict"),
            pl.coalesce(pl.col("run").filter(judged).first(), pl.col("run").last()).alias("run"),
            pl.col("verdict").last().alias("latest"),
            pl.col("run").last().alias("latest_run"),
            pl.col("facts").last(),
            (judged.sum().cast(pl.Int64) - 1).clip(lower_bound=0).alias("revisions"),
        )
        .sort("batch_start", nulls_last=True, maintain_order=True)
    )


def shown_of(connection: sa.Connection, pipeline: str, environment: str) -> pl.DataFrame:
    """Return every row in which a run showed a break, in the order in which the runs ended.

    Returns:
        ``run``, ``number``, ``kind``, ``batch``, ``batch_start``, ``event_time``; ``subject``: the keyed name of the
        break, the same in all its rows (where that was erased, its latest row); ``leaf`` and ``at``: when the
        run ended.
    """
    rows, secrets, endings = schema.breaks, schema.secrets, schema.endings
    own = sa.and_(secrets.c.run == rows.c.run, secrets.c.number == rows.c.number, secrets.c.scope == "break")
    query = (
        sa.select(*(rows.c[name] for name in _SHOWN), secrets.c.subject, endings.c.leaf, endings.c.at)
        .join(endings, endings.c.run == rows.c.run)
        .outerjoin(secrets, own)
        .where(rows.c.run.in_(finished(pipeline, environment)))
        .order_by(endings.c.leaf, rows.c.number)
    )
    types = dict.fromkeys((*_SHOWN, "subject", "leaf", "at"), pl.String) | {"number": pl.Int64, "leaf": pl.Int64}
    shown = pl.DataFrame([tuple(row) for row in connection.execute(query)], schema=types, orient="row")
    if shown["subject"].has_nulls():
        shown = shown.with_columns(_linked(connection, shown))
    return shown


def _linked(connection: sa.Connection, shown: pl.DataFrame) -> pl.Series:
    """The names of breaks, also where they were erased: of rows that are linked, or that a disposition lists."""
    groups, first = Groups(), dict[int, Place]()
    of = schema.dispositions.c
    for leaf, run, number in connection.execute(sa.select(of.leaf, of.run, of.number).order_by(of.leaf)):
        groups.join((run, number), first.setdefault(leaf, (run, number)))
    for place, other in linked(connection):
        groups.join(place, other)
    rows = [(run, number, name) for run, number, name in shown.select("run", "number", "subject").iter_rows()]
    kept: dict[Hashable, str] = {}
    for run, number, _ in rows:  # of one that is erased altogether, its latest row
        kept[groups.of((run, number))] = f"{run} {number}"
    kept |= {groups.of((run, number)): name for run, number, name in rows if name is not None}
    told = [name or kept[groups.of((run, number))] for run, number, name in rows]
    return pl.Series("subject", told, dtype=pl.String)


def became_of(connection: sa.Connection, pipeline: str, environment: str, shown: pl.DataFrame) -> pl.DataFrame:
    """Return what runs found of breaks that earlier ones showed, in the order in which they ended.

    Returns:
        ``subject``, ``state``, ``state_run``, and when that run ended: ``said`` (its leaf) and ``said_at``.
    """
    changes, endings = schema.changes, schema.endings
    said = sa.select(changes, endings.c.leaf, endings.c.at).join(endings, endings.c.run == changes.c.run)
    said = said.where(changes.c.run.in_(finished(pipeline, environment))).order_by(endings.c.leaf)
    told = [(row.of_run, row.of_number, row.state, row.run, row.leaf, row.at) for row in connection.execute(said)]
    texts = dict.fromkeys(("run", "number", "state", "state_run", "said", "said_at"), pl.String)
    became = pl.DataFrame(told, schema=texts | {"number": pl.Int64, "said": pl.Int64}, orient="row")
    joined = became.join(shown.select("run", "number", "subject"), on=["run", "number"], how="inner")
    return joined.sort("said", maintain_order=True).drop("run", "number")


def breaks_of(connection: sa.Connection, pipeline: str, environment: str) -> pl.DataFrame:
    """Return every break of a pipeline, a row a break, however many runs showed it.

    Returns:
        ``subject`` (its keyed name; where that was erased, the row itself), ``first_run`` and ``first_at``: when it was
        first found; ``run`` and ``number``: its latest row; ``kind``, ``batch``, ``batch_start``, ``event_time``;
        ``state``: ``open``, ``healed``, ``withdrawn`` or ``cleared``; ``state_run``: which run said so last.
    """
    shown = shown_of(connection, pipeline, environment)
    return standing_breaks(shown, became_of(connection, pipeline, environment, shown))


def standing_breaks(shown: pl.DataFrame, became: pl.DataFrame) -> pl.DataFrame:
    """Return what :func:`breaks_of` does, of what :func:`shown_of` and :func:`became_of` found."""
    last = became.group_by("subject", maintain_order=True).agg(pl.col("state", "state_run", "said").last())
    each = shown.group_by("subject", maintain_order=True).agg(
        pl.col("run").first().alias("first_run"), pl.col("at").first().alias("first_at"), pl.col(*_SHOWN, "leaf").last()
    )
    joined = each.join(last, on="subject", how="left", maintain_order="left")
    again = pl.col("said").is_null() | (pl.col("leaf") > pl.col("said"))
    return joined.with_columns(
        pl.when(again).then(pl.lit("open")).otherwise("state").alias("state"),
        pl.when(again).then(pl.col("run")).otherwise("state_run").alias("state_run"),
    ).drop("leaf", "said")


def rows_of(connection: sa.Connection, table: sa.Table, run: str) -> pl.DataFrame:
    """Return the rows of evidence of one run, in their order."""
    query = sa.select(table).where(table.c.run == run).order_by(table.c.number)
    return frame_of(table, connection.execute(query))
