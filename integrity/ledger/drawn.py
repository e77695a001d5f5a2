"""What does the log say of a sample, and is that what its seed draws?

A sample of runs can be drawn again from the ledger alone, and what was concluded of any can be computed again from its
counts: by whoever asks (:func:`redraw`), before anything is concluded, and where all of a ledger is verified.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from integrity.chances import percent, rate_of, sample_size
from integrity.errors import IntegrityError, UsageError
from integrity.ledger import schema
from integrity.ledger.database import there
from integrity.ledger.persons import same_person
from integrity.sampling import Drawing, Sample, conclude

__all__ = [
    "Plan",
    "Redrawn",
    "amiss",
    "bodies_of",
    "doubtful",
    "noun_of",
    "plan_of",
    "redraw",
    "redrawn",
    "runner_of",
    "runs_of_sample",
    "said_of",
    "sample_leaf",
    "sample_of",
    "shrunk",
]


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
        body = sample_leaf(connection, leaf)
        if body["of"] != "runs":
            said = f"sample {leaf}: {body['said']}; to draw items again takes their store: integrity ledger trace-items"
            return Redrawn(leaf, None, said)
        return redrawn(connection, leaf, body)


def redrawn(connection: sa.Connection, leaf: int, body: Mapping[str, Any]) -> Redrawn:
    """Draw a sample of runs again, whose leaf says this; see :func:`redraw`."""
    try:
        drawing = Drawing(body["size"], body["seed"], body["tolerable"], body["risk"], body["expected"])
        drawing.add(name.encode() for name in runs_of_sample(connection, body, leaf))
        again = drawing.sample()
        told = said_of(again, noun_of(body, body["at"]))
    except UsageError as error:
        return Redrawn(leaf, False, f"sample {leaf} cannot be drawn again: {error}")
    why = amiss(body, told | {"units": [unit.decode() for unit in again.units], "frame": again.frame})
    if why is not None:
        return Redrawn(leaf, False, f"sample {leaf} is not what its seed draws: {why}")
    return Redrawn(leaf, True, f"sample {leaf}, drawn again from the runs on record, is the same: {body['said']}")


# --- once more
# -----------------------------------------------------------------------------------------------------------


def doubtful(connection: sa.Connection) -> Iterator[tuple[int, str]]:
    """Yield each leaf of a sample that its seed does not draw, or of a conclusion that does not follow, and why.

    Words are not compared, for later versions may find others; figures are. A leaf that is no JSON any more is named by
    its hash.
    """
    drawn = dict(_readable(connection, "sampled"))
    for leaf, body in drawn.items():
        try:
            again = _figures_again(connection, leaf, body) if body["of"] == "runs" else None
        except (IntegrityError, KeyError, TypeError, ValueError) as error:
            again = str(error)
        if again is not None:
            yield leaf, f"it is not what its seed draws: {again}"
    for leaf, told in _readable(connection, "tested"):
        try:
            wrong = _wrong_conclusion(connection, drawn[told["sample"]], told)
        except (IntegrityError, KeyError, TypeError, ValueError) as error:
            wrong = f"it concludes nothing of any sample: {error}"
        if wrong is not None:
            yield leaf, wrong


def _readable(connection: sa.Connection, kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
    leaves = schema.leaves
    query = sa.select(leaves.c.number, leaves.c.body).where(leaves.c.kind == kind).order_by(leaves.c.number)
    for number, text in connection.execute(query).all():
        with contextlib.suppress(ValueError, TypeError):
            body = json.loads(text)
            if isinstance(body, dict):
                yield number, body


def _figures_again(connection: sa.Connection, leaf: int, body: Mapping[str, Any]) -> str | None:
    drawing = Drawing(body["size"], body["seed"], body["tolerable"], body["risk"], body["expected"])
    drawing.add(name.encode() for name in runs_of_sample(connection, body, leaf))
    again = drawing.sample()
    told = said_of(again, noun_of(body, body["at"])) | {
        "units": [u.decode() for u in again.units],
        "frame": again.frame,
    }
    return amiss(body, {name: value for name, value in told.items() if name != "said"})


def _wrong_conclusion(connection: sa.Connection, body: Mapping[str, Any], told: Mapping[str, Any]) -> str | None:
    found = conclude(sample_of(body), told["deviations"], not_tested=told["not_tested"], noun=body["of"])
    if (found.upper_bound, found.supported) != (told["upper_bound"], told["supported"]):
        return f"its counts support another conclusion: {found.sentence}"
    runner = runner_of(connection, body["units"], told["by"]) if body["of"] == "runs" else None
    return None if runner is None else f"{told['by']} ran {runner}, which is in the sample, and judged it"


# --- the log
# -------------------------------------------------------------------------------------------------------------


def runs_of_sample(connection: sa.Connection, of: Mapping[str, Any], before: int | None) -> Iterator[str]:
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


def bodies_of(connection: sa.Connection, kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the body of each leaf of a kind."""
    leaves = schema.leaves
    query = sa.select(leaves.c.number, leaves.c.body).where(leaves.c.kind == kind).order_by(leaves.c.number)
    for number, text in connection.execute(query).all():
        yield number, json.loads(text)


def sample_leaf(connection: sa.Connection, number: int) -> dict[str, Any]:
    """Return what the leaf of a sample says.

    Raises:
        UsageError: there is no such sample.
    """
    leaves = schema.leaves
    query = sa.select(leaves.c.body).where(leaves.c.number == number, leaves.c.kind == "sampled")
    text = connection.execute(query).scalar()
    if text is None:
        raise UsageError(f"no sample was drawn in leaf {number}", "integrity ledger samples lists them")
    return dict(json.loads(text))


def runner_of(connection: sa.Connection, runs: list[str], by: str) -> str | None:
    """Return one of these runs that a person ran; ``None``: they ran none."""
    started, leaves = schema.runs, schema.leaves
    query = sa.select(started.c.run, leaves.c.body).join(leaves, leaves.c.number == started.c.leaf)
    told = connection.execute(query.where(started.c.run.in_(runs)))
    return next((run for run, text in told if same_person(json.loads(text)["operator"], by)), None)
