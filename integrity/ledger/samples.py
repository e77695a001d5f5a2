"""Which samples were drawn, from what, by which seed, and what did their test support?

A reconciliation that reads everything needs no sample. What a person tests by hand does: whether runs were followed up,
whether items were handled as they should have been. A draw is a leaf of the log before anybody tests anything, and what
came of the test is another: who draws until the outcome pleases shows all of it, and so does who concludes until then.
Runs are drawn here, and can be drawn again from the ledger alone (:func:`redraw`); items are drawn from their store, by
:mod:`integrity.tracing`.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import sqlalchemy as sa

from integrity.chances import percent, rate_of, sample_size
from integrity.errors import UsageError, did_you_mean
from integrity.ledger import schema
from integrity.ledger.database import there
from integrity.ledger.history import pipelines
from integrity.ledger.log import iso
from integrity.ledger.persons import same_person
from integrity.sampling import Conclusion, Drawing, Sample, conclude, new_seed

if TYPE_CHECKING:
    from integrity.ledger.book import Ledger

__all__ = [
    "SAMPLES",
    "DrawnRuns",
    "Plan",
    "Redrawn",
    "amiss",
    "conclude_on_record",
    "draw_runs",
    "noun_of",
    "plan_of",
    "redraw",
    "said_of",
    "sample_of",
    "sample_on_record",
    "sampled",
    "samples",
    "shrunk",
]

#: What is told of each sample.
SAMPLES: Final = {
    "leaf": pl.Int64, "at": pl.String, "of": pl.String, "pipeline": pl.String, "since": pl.String, "until": pl.String,
    "size": pl.Int64, "population": pl.Int64, "seed": pl.String, "tolerable": pl.Float64, "risk": pl.Float64,
    "by": pl.String, "concluded": pl.Int64, "deviations": pl.Int64, "not_tested": pl.Int64,
    "upper_bound": pl.Float64, "supported": pl.Boolean, "tested_by": pl.String, "remark": pl.String,
    "replaces": pl.Int64, "said": pl.String,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sample is planned for.

    Attributes:
        tolerable: The highest rate of deviation that one can live with.
        risk: The chance of relying wrongly that one accepts.
        expected: How many deviations the sample may show.
        size: How many units are wanted all the same, more or fewer than that takes.
    """

    tolerable: float = 0.05
    risk: float = 0.05
    expected: int = 0
    size: int | None = None

    def needed(self, population: int | None) -> int:
        """How many units are to be drawn from so many.

        Raises:
            UsageError: a value is out of its range, or no sample of so many would do.
        """
        planned = sample_size(tolerable=self.tolerable, risk=self.risk, expected=self.expected, population=population)
        return planned if self.size is None else self.size

    def drawing(self, seed: str) -> Drawing:
        """Return a drawing from a population whose size is not known yet.

        Raises:
            UsageError: a value is out of its range.
        """
        most = self.needed(None)
        if self.size is None:
            # At a risk above a half a known population can take more than an unknown one, but never more than make
            # expected + 1 deviations the mean: a hypergeometric median is no lower than the mean, rounded down.
            most = max(most, math.ceil((self.expected + 1) / rate_of("tolerable", self.tolerable)))
        return Drawing(most, seed, self.tolerable, self.risk, self.expected)


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
    _named(by=by)
    plan, period = Plan(tolerable, risk, expected, size), (_moment("since", since), _moment("until", until))
    plan.needed(None)
    with ledger.database.writing() as connection:
        ledger.database.take_turn(connection)
        if pipeline is not None and pipeline not in (known := pipelines(connection)):
            raise UsageError(f"no run of a pipeline {pipeline!r} is on record", did_you_mean(pipeline, known))
        of = {"of": "runs", "pipeline": pipeline, "environment": ledger.environment}
        of |= {"since": period[0], "until": period[1]}
        ledger = _at_one_moment(ledger)
        population = list(_runs(connection, of, None))
        if not population:
            raise UsageError("no run of that period is on record", "integrity ledger runs lists them")
        wanted = plan.needed(len(population))
        drawing = Drawing(wanted, seed or new_seed(), plan.tolerable, plan.risk, plan.expected)
        drawing.add(name.encode() for name in population)
        sample = drawing.sample()
        runs = tuple(unit.decode() for unit in sample.units)
        told = said_of(sample, noun_of(of, iso(ledger.clock())))
        body = of | told | {"units": list(runs), "frame": sample.frame, "by": by.strip()}
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
    _named(by=by)
    ledger = _at_one_moment(ledger)
    told = said_of(sample, noun_of(of, iso(ledger.clock())))
    body = {**of, **told, "units": units, "frame": frame, "by": by.strip(), "operator": ledger.operator}
    return ledger.say("sampled", body).number, told["said"]


def noun_of(of: Mapping[str, Any], at: str) -> str:
    """Return what the units of a sample are called that was drawn at a moment: while their period lasts, 'so far'."""
    lasts = of["until"] is not None and of["until"] > at
    return f"{of['of']} so far" if lasts else str(of["of"])


def said_of(sample: Sample, noun: str) -> dict[str, Any]:
    """Return what a leaf says of a sample, less its units and its frame: rates as the decimals that were given.

    Whoever draws it again compares this word for word (:func:`amiss`), so other words take another ``algorithm``.

    Raises:
        UsageError: no sample of that population would do.
    """
    whole = f"{sample.population:,} {noun}"
    if sample.distinct != sample.population:
        whole += f" ({'not all' if sample.distinct is None else f'{sample.distinct:,}'} distinct)"
    rate, confidence = percent(rate_of("tolerable", sample.tolerable)), percent(1 - rate_of("risk", sample.risk))
    wanted = sample_size(
        tolerable=sample.tolerable, risk=sample.risk, expected=sample.expected, population=sample.distinct
    )
    said = f"{sample.size:,} of {whole} drawn by seed {sample.seed!r}"
    if sample.size < wanted:
        said += f"; a tolerable rate of {rate} at {confidence} confidence would take {wanted:,}"
    else:
        said += f", for a tolerable rate of {rate} and {confidence} confidence"
    if sample.expected:
        said += f", where {sample.expected:,} may deviate"
    return {
        "algorithm": sample.algorithm,
        "seed": sample.seed,
        "size": sample.size,
        "population": sample.population,
        "distinct": sample.distinct,
        "tolerable": sample.tolerable,
        "risk": sample.risk,
        "expected": sample.expected,
        "said": said,
    }


def shrunk(drawing: Drawing, plan: Plan) -> Sample:
    """Return the sample of a population that was read: of as many units as one of its size takes.

    Raises:
        UsageError: nothing was read, or no sample of it would do.
    """
    if not drawing.read:
        raise UsageError("there is nothing to draw from: no item was read", "look at the store, since and until")
    distinct = drawing.sample(1).distinct
    return drawing.sample(min(plan.needed(distinct), drawing.read if distinct is None else distinct))


def plan_of(body: Mapping[str, Any]) -> Plan:
    """Return what a sample on record was planned for; of a size given by hand, where the plan takes another.

    Raises:
        UsageError: a value is out of its range, or no sample of that population would do.
    """
    plan = Plan(body["tolerable"], body["risk"], body["expected"])
    return plan if plan.needed(body["distinct"]) == body["size"] else replace(plan, size=body["size"])


def amiss(body: Mapping[str, Any], told: Mapping[str, Any]) -> str | None:
    """Return in what a leaf differs from what is to be said of its sample, drawn again; ``None``: in nothing."""
    if body["frame"] != told["frame"]:
        return f"the {body['of']} on record are others"
    if body["units"] != told["units"]:
        return f"the seed draws other {body['of']} from them"
    named = {name: "sentence" if name == "said" else name for name in told if body.get(name) != told[name]}
    return "; ".join(f"its {word} is {told[name]!r}, not {body.get(name)!r}" for name, word in named.items()) or None


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
    _named(by=by, **({} if remark is None else {"remark": remark}))
    with ledger.database.writing() as connection:
        ledger.database.take_turn(connection)
        body = _leaf(connection, leaf)
        earlier = [number for number, told in _bodies(connection, "tested") if told["sample"] == leaf]
        if earlier and remark is None:
            raise UsageError(
                f"sample {leaf} was concluded already, in leaf {earlier[-1]}; both will stay on record",
                "say why it is concluded anew: remark, --remark",
            )
        if body["of"] == "runs":
            again = _redrawn(connection, leaf, body)
            if not again.holds:
                raise UsageError(again.said, "draw another: integrity ledger sample")
            _refuse_runners(connection, body["units"], by)
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
            "by": by.strip(),
            "operator": ledger.operator,
        }
        said = found.sentence
        if earlier:
            said += f"; replaces leaf {earlier[-1]}, because {told['remark']!r}"
        ledger.said(connection, "tested", told | {"said": said})
    return found


def sample_of(body: Mapping[str, Any]) -> Sample:
    """Return the sample that a leaf tells of, as far as a conclusion needs it.

    Of items the leaf has keyed digests in place of names. They are no units that the seed could rank, so the sample
    that is returned has none of them but their number.
    """
    names = ("algorithm", "seed", "population", "distinct", "tolerable", "risk", "expected")
    told = {name: body[name] for name in names}
    if body["of"] == "runs":
        return Sample(units=tuple(unit.encode() for unit in body["units"]), frame=body["frame"], **told)
    blank = Drawing(body["size"], body["seed"], body["tolerable"], body["risk"], body["expected"])
    blank.add(str(number).encode() for number in range(body["size"]))
    return Sample(units=blank.sample().units, frame=f"sum256:{0:064x}", **told)


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
        drawn = dict(_bodies(connection, "sampled"))
        tested = list(_bodies(connection, "tested"))
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


@dataclass(frozen=True)
class Redrawn:
    """What came of drawing a sample again.

    Attributes:
        leaf: Which sample.
        holds: Whether the same was drawn from the same; ``None`` where the ledger alone cannot tell.
        said: That, in one sentence.
    """

    leaf: int
    holds: bool | None
    said: str

    @property
    def exit_code(self) -> int:
        """What a shell sees: 0 the same, 1 another, 3 unverified."""
        return {True: 0, False: 1, None: 3}[self.holds]

    def __str__(self) -> str:
        return self.said


def redraw(url: str | os.PathLike[str], leaf: int) -> Redrawn:
    """Draw a sample of runs again, from the runs that were on record when it was drawn.

    Raises:
        UsageError: there is no such sample.
        LedgerError: there is no ledger, or it cannot be read.
    """
    with there(url).reading() as connection:
        body = _leaf(connection, leaf)
        if body["of"] != "runs":
            said = f"sample {leaf}: {body['said']}; to draw items again takes their store: integrity ledger trace-items"
            return Redrawn(leaf, None, said)
        return _redrawn(connection, leaf, body)


def _redrawn(connection: sa.Connection, leaf: int, body: Mapping[str, Any]) -> Redrawn:
    try:
        drawing = Drawing(body["size"], body["seed"], body["tolerable"], body["risk"], body["expected"])
        drawing.add(name.encode() for name in _runs(connection, body, leaf))
        again = drawing.sample()
        told = said_of(again, noun_of(body, body["at"]))
    except UsageError as error:
        return Redrawn(leaf, False, f"sample {leaf} cannot be drawn again: {error}")
    why = amiss(body, told | {"units": [unit.decode() for unit in again.units], "frame": again.frame})
    if why is not None:
        return Redrawn(leaf, False, f"sample {leaf} is not what its seed draws: {why}")
    return Redrawn(leaf, True, f"sample {leaf}, drawn again from the runs on record, is the same: {body['said']}")


def sample_on_record(ledger: Ledger, leaf: int) -> dict[str, Any]:
    """Return what the leaf of a sample says.

    Raises:
        UsageError: there is no such sample.
    """
    with ledger.database.reading() as connection:
        return _leaf(connection, leaf)


# --- the log
# -------------------------------------------------------------------------------------------------------------


def _runs(connection: sa.Connection, of: Mapping[str, Any], before: int | None) -> Iterator[str]:
    """Yield the runs of a population; ``before`` is the leaf from which on they are no part of it."""
    runs = schema.runs
    query = sa.select(runs.c.run).where(runs.c.environment == of["environment"]).order_by(runs.c.leaf)
    if of["pipeline"] is not None:
        query = query.where(runs.c.pipeline == of["pipeline"])
    if of["since"] is not None:
        query = query.where(runs.c.at >= of["since"])
    if of["until"] is not None:
        query = query.where(runs.c.at < of["until"])
    if before is not None:
        query = query.where(runs.c.leaf < before)
    for (name,) in connection.execute(query):
        yield name


def _bodies(connection: sa.Connection, kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
    leaves = schema.leaves
    query = sa.select(leaves.c.number, leaves.c.body).where(leaves.c.kind == kind).order_by(leaves.c.number)
    for number, text in connection.execute(query).all():
        yield number, json.loads(text)


def _leaf(connection: sa.Connection, number: int) -> dict[str, Any]:
    leaves = schema.leaves
    query = sa.select(leaves.c.body).where(leaves.c.number == number, leaves.c.kind == "sampled")
    text = connection.execute(query).scalar()
    if text is None:
        raise UsageError(f"no sample was drawn in leaf {number}", "integrity ledger samples lists them")
    return dict(json.loads(text))


def _refuse_runners(connection: sa.Connection, runs: list[str], by: str) -> None:
    started, leaves = schema.runs, schema.leaves
    query = sa.select(started.c.run, leaves.c.body).join(leaves, leaves.c.number == started.c.leaf)
    for run, text in connection.execute(query.where(started.c.run.in_(runs))):
        if same_person(json.loads(text)["operator"], by):
            raise UsageError(
                f"{by} ran {run}, which is in the sample, and cannot judge it", "let somebody else test it"
            )


def _named(**texts: str) -> None:
    for name, text in texts.items():
        if not text.strip() or not text.isprintable():
            raise UsageError(f"a sample names its {name}, as plain text on one line", f"give {name}")


def _at_one_moment(ledger: Ledger) -> Ledger:
    """Return the ledger with its clock stopped: what is said of now is true of the moment that the leaf carries."""
    now = ledger.clock()
    return replace(ledger, clock=lambda: now)


def _moment(name: str, moment: dt.datetime | None) -> str | None:
    if moment is None:
        return None
    if moment.utcoffset() is None:
        raise UsageError(f"{name} has no offset", "write it as in 2026-03-01T00:00:00Z")
    return iso(moment)
