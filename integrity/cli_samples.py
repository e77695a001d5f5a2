"""Samples that persons test by hand, from a shell."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from integrity.cli_ledger import JSON, LEDGER, ledger_group, listed_as_json, named_ledger, opened_ledger, saying, short
from integrity.screens import Rows, say, screen

if TYPE_CHECKING:
    from integrity.jobs import Job

__all__ = ["redraw", "sample", "sample_items", "samples", "tested", "trace_items"]

_Command = Callable[..., int]
_BY = saying("--by", required=True, metavar="PERSON", help="Who does it.")
_LEAF = click.argument("leaf", type=int)
_JOB = click.argument("job", metavar="JOB")


def _planning(command: _Command) -> _Command:
    """What a sample is planned for, and by which seed it is drawn."""
    for option in (
        _BY,
        click.option("--size", type=int, metavar="N", help="How many, in place of as many as that takes."),
        click.option("--expected", default=0, show_default=True, help="How many deviations may be among them."),
        click.option("--risk", default=0.05, show_default=True, help="The accepted chance of relying wrongly."),
        click.option("--tolerable", default=0.05, show_default=True, help="The highest rate one can live with."),
        click.option("--seed", metavar="TEXT", help="Any text that was fixed before; a new one if left out."),
    ):
        command = option(command)
    return command


@ledger_group.command()
@LEDGER
@click.option("--pipeline", metavar="NAME", help="Of one pipeline; of all if left out.")
@click.option("--period", metavar="PERIOD", help="Runs that began in 2026, 2026-11, 2026-11-23 or TIME/TIME.")
@_planning
def sample(url: str | None, pipeline: str | None, period: str | None, **asked: Any) -> int:
    """Draw a sample of runs to be tested by hand, and put it on record."""
    from integrity.ledger.samples import draw_runs
    from integrity.ledger.status import period_of

    first, last = (None, None) if period is None else period_of(period, dt.datetime.now(dt.UTC))
    drawn = draw_runs(opened_ledger(url), since=first, until=last, pipeline=pipeline, **asked)
    say(f"sample {drawn.leaf}: {drawn.said}")
    for run in drawn.runs:
        say(run)
    return 0


@ledger_group.command(name="sample-items")
@_JOB
@LEDGER
@click.option("--since", metavar="TIME", help="First instant of event time, on a window boundary.")
@click.option("--until", metavar="TIME", help="First instant no longer asked for.")
@_planning
def sample_items(job: str, url: str | None, since: str | None, until: str | None, **asked: Any) -> int:
    """Draw a sample of items from the source of a JOB file, and put it on record; it shows whose they are."""
    from integrity.jobs import Job
    from integrity.tracing import draw_items

    described = Job.from_yaml(job)
    book = opened_ledger(url or described.ledger, described.environment)
    asked |= _reading(described) | {"since": since or described.since, "until": until or described.until}
    drawn = draw_items(book, *_sides(described), pipeline=described.name, **asked)
    say(f"sample {drawn.leaf}: {drawn.said}")
    screen().print(Rows(drawn.items.columns, drawn.items.rows(), wraps=drawn.items.columns))
    return 0


@ledger_group.command(name="trace-items")
@_LEAF
@_JOB
@LEDGER
def trace_items(leaf: int, job: str, url: str | None) -> int:
    """Trace the items of sample LEAF end to end, through the stores of a JOB file and the record. 1: they differ."""
    from integrity.jobs import Job
    from integrity.tracing import TRACED
    from integrity.tracing import trace_items as traced

    described = Job.from_yaml(job)
    book = opened_ledger(url or described.ledger, described.environment)
    found = traced(book, leaf, *_sides(described), **_reading(described))
    say(found.headline())
    names = [name for name in found.items.columns if name not in TRACED]
    rows = []
    for row in found.items.iter_rows(named=True):
        batch = "untimed" if row["batch_start"] is None else f"{row['batch_start']:%Y-%m-%d %H:%M}"
        differing = f" ({', '.join(row['differing'])})" if row["differing"] else ""
        side_by_side = ", ".join(row["found"]) + differing or "matched"
        on_record = (", ".join(row["recorded"]) or "no break") if row["run"] else "never judged"
        agrees = {True: "yes", False: "no", None: "unverified"}[row["agrees"]]
        told = [batch, f"{row['source_rows']} : {row['destination_rows']}", side_by_side, on_record, agrees]
        rows.append([*(row[name] for name in names), *told])
    header = [*names, "batch (UTC)", "rows", "side by side", "on record", "agrees"]
    screen().print(Rows(header, rows, wraps={*names, "batch (UTC)", "side by side", "on record"}))
    return found.exit_code


@ledger_group.command()
@_LEAF
@LEDGER
@click.option("--deviations", required=True, type=int, metavar="N", help="How many of its units deviate.")
@click.option("--not-tested", default=0, show_default=True, metavar="N", help="How many others could not be tested.")
@saying("--remark", metavar="TEXT", help="What else is to be said.")
@_BY
def tested(leaf: int, url: str | None, deviations: int, not_tested: int, remark: str | None, by: str) -> int:
    """Record what the test of sample LEAF found, and say what that supports. 1: not the tolerable rate."""
    from integrity.ledger.samples import conclude_on_record

    book = opened_ledger(url)
    found = conclude_on_record(book, leaf, deviations, by=by, not_tested=not_tested, remark=remark)
    say(found.sentence)
    return 0 if found.supported else 1


@ledger_group.command()
@LEDGER
@JSON
def samples(url: str | None, as_json_: bool) -> int:
    """The samples on record, the earliest first, and what came of each."""
    from integrity.ledger.samples import samples as listed

    told = listed(named_ledger(url)).to_dicts()
    if as_json_:
        return listed_as_json(told)
    kept = ("by", "said", "tested_by", "remark")
    rows = [(row["leaf"], short(row["at"]), *(row[name] or "" for name in kept)) for row in told]
    names = ("sample", "drawn (UTC)", "by", "what came of it", "tested by", "remark")
    screen().print(Rows(names, rows, wraps=set(names) - {"sample"}, counts={"sample"}))
    return 0


@ledger_group.command()
@_LEAF
@LEDGER
def redraw(leaf: int, url: str | None) -> int:
    """Draw sample LEAF of runs again, from those that were on record then. 1: it is not what its seed draws."""
    from integrity.ledger.samples import redraw as drawn

    found = drawn(named_ledger(url), leaf)
    say(str(found))
    return found.exit_code


def _sides(job: Job) -> tuple[Any, Any, Any]:
    """The contract of a job, and where its sides are."""
    return job.contract, job.source, job.destination


def _reading(job: Job) -> dict[str, Any]:
    """How a job has them read."""
    return {name: getattr(job, name) for name in ("members", "columns", "timezone") if getattr(job, name)}
