"""Which samples were drawn, from what, by which seed, and what did their test support?

A reconciliation that reads everything needs no sample. What a person tests by hand does: whether runs were followed up,
whether items were handled as they should have been. A draw is a leaf of the log before anybody tests anything, and what
came of the test is another: who draws until the outcome pleases shows all of it, and so does who concludes until then.
Runs are drawn here, and can be drawn again from the ledger alone (:func:`redraw`); items are drawn from their store, by
:mod:`integrity.tracing`.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from integrity.errors import UsageError, did_you_mean
from integrity.ledger.database import there
from integrity.ledger.drawn import (
    Plan,
    Redrawn,
    bodies_of,
    noun_of,
    redraw,
    redrawn,
    runner_of,
    runs_of_sample,
    said_of,
    sample_leaf,
    sample_of,
)
from integrity.ledger.history import pipelines
from integrity.ledger.log import iso
from integrity.ledger.persons import named_person
from integrity.sampling import Conclusion, Drawing, Sample, conclude, new_seed

if TYPE_CHECKING:
    from integrity.ledger.book import Ledger

__all__ = [
    "SAMPLES",
    "DrawnRuns",
    "Plan",
    "Redrawn",
    "conclude_on_record",
    "draw_runs",
    "redraw",
    "sample_on_record",
    "sampled",
    "samples",
]

#: What is told of each sample.
SAMPLES: Final = {
    "leaf": pl.Int64, "at": pl.String, "of": pl.String, "pipeline": pl.String, "since": pl.String, "until": pl.String,
    "size": pl.Int64, "population": pl.Int64, "seed": pl.String, "tolerable": pl.Float64, "risk": pl.Float64,
    "by": pl.String, "concluded": pl.Int64, "deviations": pl.Int64, "not_tested": pl.Int64,
    "upper_bound": pl.Float64, "supported": pl.Boolean, "tested_by": pl.String, "remark": pl.String,
    "replaces": pl.Int64, "said": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class DrawnRuns:
    """A sample of runs, on record.

    Attributes:
        leaf: By which it is named.
        runs: Their names, in the order in which they were drawn.
        sample: All that is needed to draw them again.
        said: What the leaf says, in one sentence.
    """

    leaf: int
    runs: tuple[str, ...]
    sample: Sample
    said: str


def draw_runs(
    ledger: Ledger,
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    pipeline: str | None = None,
    seed: str | None = None,
    tolerable: float = 0.05,
    risk: float = 0.05,
    expected: int = 0,
    size: int | None = None,
    by: str,
) -> DrawnRuns:
    """Draw a sample of runs, and put it on record before anybody tests them.

    The population is every run of the ledger's environment that began in the period, however it ended: one that failed,
    or never ended, is what a test of the control has to see. It is what is on record by now: while the period lasts,
    the sample is said to be one of the runs so far. A run that was due and never began is in no sample;
    :func:`integrity.ledger.status.status` names it.

    Args:
        ledger: Where.
        since: First moment at which a run may have begun.
        until: First moment no longer asked for.
        pipeline: Of one pipeline; of all if left out.
        seed: Any text that was fixed before; a new one if left out. Let whoever relies on the test name it.
        tolerable: The highest rate of deviation that one can live with.
        risk: The chance of relying wrongly that one accepts.
        expected: How many deviations the sample may show and still support that.
        size: How many runs, in place of as many as that takes.
        by: Who draws it.

    Raises:
        UsageError: an argument is out of its range, or there is no such run.
        LedgerError: it cannot be written.

    Example:
        >>> import tempfile, polars as pl, integrity
        >>> from integrity.ledger import Ledger
        >>> folder = tempfile.TemporaryDirectory()
        >>> book = Ledger.open(f"{folder.name}/ledger.db", operator="kim")
        >>> notes = integrity.Contract(name="notes", version=1, identity=["id"])
        >>> sent = pl.DataFrame({"id": ["1", "2"]})
        >>> for _ in range(3):
        ...     result = integrity.reconcile(notes, sent, sent, ledger=book)
        >>> drawn = draw_runs(book, seed="2026 Q4", by="han")
        >>> print(drawn.said)
        3 of 3 runs drawn by seed '2026 Q4', for a tolerable rate of 5 % and 95 % confidence
        >>> print(conclude_on_record(book, drawn.leaf, 0, by="han").sentence)
        no deviation in all 3 runs: 0 % of the population deviate; tolerable is 5 %: supported
        >>> folder.cleanup()
    """
    by = named_person("by", by)
    plan, period = Plan(tolerable, risk, expected, size), (_moment("since", since), _moment("until", until))
    plan.needed(None)
    with ledger.database.writing() as connection:
        ledger.database.take_turn(connection)
        if pipeline is not None and pipeline not in (known := pipelines(connection)):
            raise UsageError(f"no run of a pipeline {pipeline!r} is on record", did_you_mean(pipeline, known))
        of = {"of": "runs", "pipeline": pipeline, "environment": ledger.environment}
        of |= {"since": period[0], "until": period[1]}
        ledger = _at_one_moment(ledger)
        population = list(runs_of_sample(connection, of, None))
        if not population:
            raise UsageError("no run of that period is on record", "integrity ledger runs lists them")
        wanted = plan.needed(len(population))
        drawing = Drawing(wanted, seed or new_seed(), plan.tolerable, plan.risk, plan.expected)
        drawing.add(name.encode() for name in population)
        sample = drawing.sample()
        runs = tuple(unit.decode() for unit in sample.units)
        told = said_of(sample, noun_of(of, iso(ledger.clock())))
        body = of | told | {"units": list(runs), "frame": sample.frame, "by": by}
        leaf = ledger.said(connection, "sampled", body | {"operator": ledger.operator}).number
    return DrawnRuns(leaf, runs, sample, body["said"])


def sampled(
    ledger: Ledger, of: Mapping[str, Any], sample: Sample, units: list[str], frame: str, by: str
) -> tuple[int, str]:
    """Put on record a sample of items, whose names the ledger does not tell.

    Args:
        ledger: Where.
        of: From what it was drawn.
        sample: What was drawn.
        units: The keyed digests of its units.
        frame: That of its frame.
        by: Who drew it.

    Returns:
        The number of the leaf, and what it says in one sentence.

    Raises:
        UsageError: nobody is named.
        LedgerError: it cannot be written.
    """
    by = named_person("by", by)
    ledger = _at_one_moment(ledger)
    told = said_of(sample, noun_of(of, iso(ledger.clock())))
    body = {**of, **told, "units": units, "frame": frame, "by": by, "operator": ledger.operator}
    return ledger.say("sampled", body).number, told["said"]


# --- what came of it
# -----------------------------------------------------------------------------------------------------


def conclude_on_record(
    ledger: Ledger, leaf: int, deviations: int, *, by: str, not_tested: int = 0, remark: str | None = None
) -> Conclusion:
    """Put on record what the test of a sample found, and what that supports.

    Args:
        ledger: Where.
        leaf: Which sample.
        deviations: How many of its units deviate.
        by: Who tested it: nobody who ran one of the runs.
        not_tested: How many others could not be tested. They count as deviations.
        remark: What else is to be said. A conclusion that replaces an earlier one has to say why.

    Raises:
        UsageError: there is no such sample, or it is not what its seed draws; the counts cannot be those of it, or
            ``by`` cannot judge it.
        LedgerError: it cannot be written.
    """
    by = named_person("by", by)
    if remark is not None and not (remark.strip() and remark.isprintable()):
        raise UsageError("a conclusion has its remark as plain text on one line", "give remark, or none")
    with ledger.database.writing() as connection:
        ledger.database.take_turn(connection)
        body = sample_leaf(connection, leaf)
        earlier = [number for number, told in bodies_of(connection, "tested") if told["sample"] == leaf]
        if earlier and remark is None:
            raise UsageError(
                f"sample {leaf} was concluded already, in leaf {earlier[-1]}; both will stay on record",
                "say why it is concluded anew: remark, --remark",
            )
        if body["of"] == "runs":
            again = redrawn(connection, leaf, body)
            if not again.holds:
                raise UsageError(again.said, "draw another: integrity ledger sample")
            runner = runner_of(connection, body["units"], by)
            if runner is not None:
                raise UsageError(
                    f"{by} ran {runner}, which is in the sample, and cannot judge it", "let somebody else test it"
                )
        noun = noun_of(body, body["at"])
        found = conclude(sample_of(body), deviations, not_tested=not_tested, noun=noun)
        told = {
            "sample": leaf,
            "of": body["of"],
            "deviations": found.deviations,
            "not_tested": found.not_tested,
            "upper_bound": found.upper_bound,
            "supported": found.supported,
            "replaces": earlier[-1] if earlier else None,
            "remark": None if remark is None else remark.strip(),
            "by": by,
            "operator": ledger.operator,
        }
        said = found.sentence
        if earlier:
            said += f"; replaces leaf {earlier[-1]}, because {told['remark']!r}"
        ledger.said(connection, "tested", told | {"said": said})
    return found


def samples(url: str | os.PathLike[str]) -> pl.DataFrame:
    """Return the samples on record, the earliest first, and what came of each.

    Returns:
        ``leaf``, by which it is named; ``at``, when it was drawn; ``of`` (``runs`` or ``items``), ``pipeline``,
        ``since``, ``until``, ``size``, ``population``, ``seed``, ``tolerable``, ``risk``, ``by``; of its latest
        conclusion, null where there is none: ``concluded`` (the leaf), ``deviations``, ``not_tested``,
        ``upper_bound``, ``supported``, ``tested_by``, ``remark``, and ``replaces`` (the leaf of the one before); and
        ``said``: all its conclusions in words, the latest first, or else how it was drawn.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.
    """
    with there(url).reading() as connection:
        drawn = dict(bodies_of(connection, "sampled"))
        tested = list(bodies_of(connection, "tested"))
    rows = []
    for number, body in drawn.items():
        came = [(leaf, told) for leaf, told in tested if told["sample"] == number]
        rows.append({**body, "leaf": number} | _came_of(came))
    return pl.DataFrame([{name: row.get(name) for name in SAMPLES} for row in rows], schema=SAMPLES)


def _came_of(conclusions: Sequence[tuple[int, Mapping[str, Any]]]) -> dict[str, Any]:
    """Return the latest of the conclusions of a sample, in whose words the earlier ones stand, too."""
    if not conclusions:
        return {}
    *earlier, (leaf, last) = conclusions
    replaces = earlier[-1][0] if earlier else None
    said = [last["said"], *(f"leaf {number}, by {told['by']}: {told['said']}" for number, told in reversed(earlier))]
    late = {name: last[name] for name in ("deviations", "not_tested", "upper_bound", "supported", "remark")}
    return late | {"concluded": leaf, "tested_by": last["by"], "replaces": replaces, "said": "; ".join(said)}


def sample_on_record(ledger: Ledger, leaf: int) -> dict[str, Any]:
    """Return what the leaf of a sample says.

    Raises:
        UsageError: there is no such sample.
    """
    with ledger.database.reading() as connection:
        return sample_leaf(connection, leaf)


# --- the log
# -------------------------------------------------------------------------------------------------------------


def _at_one_moment(ledger: Ledger) -> Ledger:
    """Return the ledger with its clock stopped: what is said of now is true of the moment that the leaf carries."""
    now = ledger.clock()
    return replace(ledger, clock=lambda: now)


def _moment(name: str, moment: dt.datetime | None) -> str | None:
    if moment is None:
        return None
    if not isinstance(moment, dt.datetime):
        raise UsageError(f"{name} is a moment, not {moment!r}", "give a datetime with its offset")
    if moment.utcoffset() is None:
        raise UsageError(f"{name} has no offset", "write it as in 2026-03-01T00:00:00Z")
    return iso(moment)
