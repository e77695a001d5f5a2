"""What is on record, for a person who looks?"""

from __future__ import annotations

import datetime as dt
import json
import os
from typing import Any

import polars as pl
import sqlalchemy as sa

from integrity.checks import at_least_one, one_of, texts
from integrity.errors import UsageError, did_you_mean
from integrity.ledger import schema
from integrity.ledger.cases import cases_of
from integrity.ledger.database import there
from integrity.ledger.history import pipelines
from integrity.ledger.log import iso
from integrity.ledger.trails import Case

__all__ = ["breaks", "run_of", "runs", "there"]


def runs(
    url: str | os.PathLike[str],
    *,
    pipeline: str | None = None,
    last: int | None = 20,
    environment: str | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> pl.DataFrame:
    """Return the runs on record, the latest first.

    Args:
        url: Of the ledger.
        pipeline: Of one pipeline.
        last: So many of them; all of them where it is ``None``.
        environment: Of one environment, ``production`` or ``test``.
        since: Those that began then or later.
        until: Those that began before.

    Returns:
        ``run``, ``pipeline``, ``contract`` (its SHA-256), ``environment``, ``at`` (when it began), ``how`` it ended
        (null: never), ``verdict``, ``ended`` and ``breaks``: how many rows of them it recorded.

    Raises:
        UsageError: there is no such pipeline, or none are asked for.
        LedgerError: there is no ledger, or it cannot be read.
    """
    at_least_one(last=last)
    of, endings, found = schema.runs, schema.endings, schema.breaks
    count = sa.select(sa.func.count()).where(found.c.run == of.c.run).scalar_subquery()
    columns = (of.c.run, of.c.pipeline, of.c.contract, of.c.environment, of.c.at)
    query = sa.select(*columns, endings.c.how, endings.c.verdict, endings.c.at.label("ended"), count.label("breaks"))
    query = query.outerjoin(endings, endings.c.run == of.c.run).order_by(of.c.leaf.desc()).limit(last)
    wanted = [of.c.pipeline == pipeline] if pipeline is not None else []
    wanted += [of.c.environment == environment] if environment is not None else []
    wanted += [of.c.at >= iso(since)] if since is not None else []
    wanted += [of.c.at < iso(until)] if until is not None else []
    database = there(url)
    with database.reading() as connection:
        _check_pipeline(connection, pipeline)
        rows = connection.execute(query.where(*wanted)).all()
    names = ("run", "pipeline", "contract", "environment", "at", "how", "verdict", "ended")
    types = dict.fromkeys(names, pl.String) | {"breaks": pl.Int64}
    return pl.DataFrame([tuple(row) for row in rows], schema=types, orient="row")


def _check_pipeline(connection: sa.Connection, pipeline: str | None) -> None:
    if pipeline is None:
        return
    texts(pipeline=pipeline)
    if pipeline not in (known := pipelines(connection)):
        raise UsageError(f"no run of a pipeline {pipeline!r} is on record", did_you_mean(pipeline, known))


def named(connection: sa.Connection, run: str) -> str:
    """Return the whole name of a run, of which a beginning was given.

    Raises:
        UsageError: there is none, or there are several.
    """
    texts(run=run)
    of = schema.runs
    query = sa.select(of.c.run).where(of.c.run.startswith(run, autoescape=True)).limit(3)
    found = [name for (name,) in connection.execute(query)]
    if len(found) != 1:
        problem = f"no run {run!r} is on record" if not found else f"several runs begin with {run!r}"
        raise UsageError(problem, "integrity ledger runs lists them")
    return str(found[0])


def run_of(url: str | os.PathLike[str], run: str) -> dict[str, Any]:
    """Return everything that is on record of one run, but its breaks.

    Args:
        url: Of the ledger.
        run: Its name, or the beginning of it.

    Returns:
        ``run``; ``leaves``: what its leaves say, with their numbers; ``reading`` and ``found``: what is private of it,
        null where that was erased; and ``batches``.

    Raises:
        UsageError: there is no such run.
    """
    database = there(url)
    with database.reading() as connection:
        name = named(connection, run)
        numbers = [
            connection.execute(sa.select(table.c.leaf).where(table.c.run == name)).scalar()
            for table in (schema.runs, schema.endings)
        ]
        leaves = schema.leaves
        query = sa.select(leaves.c.number, leaves.c.body).where(
            leaves.c.number.in_([n for n in numbers if n is not None])
        )
        told = [
            {"leaf": number} | json.loads(body) for number, body in connection.execute(query.order_by(leaves.c.number))
        ]
        secrets = schema.secrets
        query = sa.select(secrets.c.number, secrets.c.body).where(secrets.c.run == name, secrets.c.scope == "run")
        hidden = {number: json.loads(body) for number, body in connection.execute(query)}
        batches = schema.batches
        rows = connection.execute(sa.select(batches).where(batches.c.run == name).order_by(batches.c.number))
        listed = [dict(row._mapping) for row in rows]
    return {"run": name, "leaves": told, "reading": hidden.get(0), "found": hidden.get(1), "batches": listed}


def breaks(
    url: str | os.PathLike[str],
    *,
    pipeline: str | None = None,
    state: str | None = None,
    case: str | None = None,
    environment: str = "production",
    now: dt.datetime | None = None,
) -> pl.DataFrame:
    """Return the breaks on record, the oldest first, a row a break however many runs showed it.

    Args:
        url: Of the ledger.
        pipeline: Of one pipeline.
        state: Of one state: ``open``, ``healed``, ``withdrawn``, ``cleared``.
        case: Of one case: see :class:`integrity.ledger.trails.Case`.
        environment: Of which runs.
        now: Until when what is not decided has aged; this moment if left out.

    Returns:
        ``pipeline``, ``identity`` (JSON; null where it was erased), and what
        :func:`integrity.ledger.cases.cases_of` tells.

    Raises:
        UsageError: there is no such pipeline, state, case or environment.
        LedgerError: there is no ledger, or it cannot be read.
    """
    one_of("state", state, schema.STATES)
    one_of("case", case, Case)
    one_of("environment", environment, schema.ENVIRONMENTS)
    moment = now or dt.datetime.now(dt.UTC)
    database = there(url)
    frames = []
    with database.reading() as connection:
        _check_pipeline(connection, pipeline)
        # Where there is no pipeline yet, the rows of none: none, with their columns.
        for name in (pipelines(connection) or [""]) if pipeline is None else [pipeline]:
            found = cases_of(connection, name, environment, moment)
            found = found if state is None else found.filter(pl.col("state") == state)
            found = found if case is None else found.filter(pl.col("case") == case)
            identities = _identities(connection, found)
            frames.append(found.with_columns(pl.lit(name).alias("pipeline"), identities))
    return pl.concat(frames).sort("first_at", maintain_order=True)


def _identities(connection: sa.Connection, found: pl.DataFrame) -> pl.Series:
    secrets = schema.secrets
    texts: dict[tuple[str, int], str] = {}
    for run in found["run"].unique().to_list():
        query = sa.select(secrets.c.number, secrets.c.body).where(secrets.c.run == run, secrets.c.scope == "break")
        for number, body in connection.execute(query):
            texts[run, number] = json.dumps(json.loads(body)["identity"], ensure_ascii=False)
    places = found.select("run", "number").iter_rows()
    return pl.Series("identity", [texts.get((run, number)) for run, number in places], dtype=pl.String)
