"""What is on record of one break, and where does that leave it?

A break may be shown by many runs; later ones say what became of it, and persons decide about it, step by step. What
stands is computed from these, each time anew: the last step decides, unless a run has since found that the break was
gone, and a later one found it again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from integrity.checks import texts
from integrity.errors import UsageError, did_you_mean
from integrity.ledger import schema
from integrity.ledger.keys import LedgerKey

__all__ = ["SHORT", "Became", "Case", "Groups", "Place", "Shown", "Step", "Trail", "located", "step_of", "trail_of"]

#: A row of ``breaks``: its run and its number.
Place = tuple[str, int]
#: So many hex digits of its keyed name show a break, more where two begin alike.
SHORT: Final = 12
_DECIDED: Final = ("disposed", "confirmed")
_ROW: Final = re.compile(r"(.+):([0-9]{1,18})")
_IDENTIFIER: Final = re.compile(r"[0-9a-f]{32}")


class Case(StrEnum):
    """What is still to be done about a break."""

    OPEN = "open"  # nobody has decided
    PROPOSED = "proposed"  # it waits for somebody else to confirm or refuse it
    DISPOSED = "disposed"
    AWAITING_RUN = "awaiting-run"  # disposed of as corrected, which no run has confirmed yet
    REOPENED = "reopened"  # somebody took the disposition back
    OPEN_AGAIN = "open-again"  # it was gone after the disposition, and was found again
    CLOSED = "closed"  # a run found that it is gone, before anybody decided

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Shown:
    """That a run showed the break.

    Attributes:
        leaf: By which the run ended.
        at: When.
        run: Which.
        number: In which row.
        operator: Who ran it.
    """

    leaf: int
    at: str
    run: str
    number: int
    operator: str


@dataclass(frozen=True, slots=True)
class Became:
    """That a run found what became of it.

    Attributes:
        leaf: By which the run ended.
        at: When.
        run: Which.
        state: ``healed``, ``withdrawn`` or ``cleared``.
    """

    leaf: int
    at: str
    run: str
    state: str


@dataclass(frozen=True, slots=True)
class Step:
    """What a person decided.

    Attributes:
        leaf: Where the log says so.
        at: When.
        step: ``disposed``, ``proposed``, ``confirmed``, ``refused`` or ``reopened``.
        rows: Which rows were on record of the break then.
        follows: The leaf of the step before it, of this break.
        disposition: Which.
        reference: Where it was discussed.
        control: What else makes up for it, where it was accepted.
        by: Who decided.
        operator: Who was logged in.
        commitment: To the reason; ``None`` where none is given.
        reason: Why; ``None`` where it was erased, left out, or none is given.
    """

    leaf: int
    at: str
    step: str
    rows: tuple[Place, ...]
    follows: int | None
    disposition: str
    reference: str | None
    control: str | None
    by: str
    operator: str
    commitment: str | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Trail:
    """Everything on record of one break, each in the order of the log.

    Attributes:
        name: By which it is called.
        shown: By which runs; never empty.
        became: What later runs found of it.
        steps: What persons decided.

    Example:
        >>> found = Shown(2, "2026-03-01T00:00:00.000000Z", "r1", 0, "kim")
        >>> Trail("0a1b2c3d4e5f", (found,)).case.value
        'open'
    """

    name: str
    shown: tuple[Shown, ...]
    became: tuple[Became, ...] = ()
    steps: tuple[Step, ...] = ()

    @property
    def rows(self) -> tuple[Place, ...]:
        """Its rows, the latest last."""
        return tuple((each.run, each.number) for each in self.shown)

    @property
    def state(self) -> str:
        """What runs say of it: ``open``, ``healed``, ``withdrawn`` or ``cleared``."""
        last = self.became[-1] if self.became else None
        return "open" if last is None or last.leaf < self.shown[-1].leaf else last.state

    @property
    def holds(self) -> Step | None:
        """The last step, unless the break was gone since and was found again."""
        if not self.steps:
            return None
        found = self.shown[-1].leaf
        # A confirmation follows its proposal, and may come after a run found that the break is gone.
        since = max((each.leaf for each in self.steps if each.step != "confirmed"), default=found)
        return None if any(since < each.leaf < found for each in self.became) else self.steps[-1]

    @property
    def disposed(self) -> Step | None:
        """The step by which it stands disposed of."""
        holds = self.holds
        return holds if holds is not None and holds.step in _DECIDED else None

    @property
    def proposal(self) -> Step | None:
        """The proposal that waits for somebody else."""
        holds = self.holds
        return holds if holds is not None and holds.step == "proposed" else None

    @property
    def proposer(self) -> Step | None:
        """Of a disposition that was confirmed, its proposal."""
        done = self.disposed
        if done is None or done.step != "confirmed":
            return None
        return next((each for each in self.steps if each.leaf == done.follows), None)

    @property
    def case(self) -> Case:
        """What is still to be done."""
        is_open, done = self.state == "open", self.disposed
        if done is not None:
            seen = done.disposition != "corrected" or self.state in ("healed", "cleared")
            return Case.DISPOSED if seen else Case.AWAITING_RUN
        if not is_open:
            return Case.CLOSED
        if self.proposal is not None:
            return Case.PROPOSED
        if self.steps and self.holds is None and self.steps[-1].step in (*_DECIDED, "proposed"):
            return Case.OPEN_AGAIN
        return Case.REOPENED if self.steps and self.steps[-1].step == "reopened" else Case.OPEN


class Groups:
    """Which rows are one break's, as far as is known: whatever is hashable, joined one by one.

    Example:
        >>> groups = Groups()
        >>> groups.join("a", "b")
        >>> groups.of("a") == groups.of("b"), groups.of("a") == groups.of("c")
        (True, False)
    """

    def __init__(self) -> None:
        self._over: dict[Hashable, Hashable] = {}

    def of(self, one: Hashable) -> Hashable:
        """The group of something, the same for all that were joined."""
        while (over := self._over.get(one, one)) != one:
            one = over
        return one

    def join(self, one: Hashable, other: Hashable) -> None:
        """Let two be of one group, and all that are joined to them."""
        above, below = self.of(other), self.of(one)
        if above != below:
            self._over[below] = above


def step_of(leaf: int, body: Mapping[str, Any], reason: str | None = None) -> Step:
    """Return the step that a leaf of kind ``disposition`` tells of.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    rows = tuple((str(run), int(number)) for run, number in body["rows"])
    said = {name: body[name] for name in ("at", "step", "disposition", "by", "operator")}
    perhaps = {name: body[name] for name in ("reference", "control")} | {"commitment": body["reason"]}
    words = (*said.values(), *(each for each in perhaps.values() if each is not None))
    if not rows or not all(isinstance(each, str) for each in words) or not isinstance(body["follows"], int | None):
        raise ValueError("it names no break, or tells in no words who decided what")
    return Step(leaf=leaf, rows=rows, follows=body["follows"], reason=reason, **said, **perhaps)


def trail_of(connection: sa.Connection, place: Place) -> Trail:
    """Return everything on record of the break that a row shows, in runs of the same environment."""
    runs, endings, leaves, changes = schema.runs, schema.endings, schema.leaves, schema.changes
    subject, places = _same_break(connection, place)
    shown: list[Shown] = []
    became: dict[int, Became] = {}
    for run, number in places:
        query = sa.select(endings.c.leaf, endings.c.at, leaves.c.body).select_from(endings)
        query = query.join(runs, runs.c.run == endings.c.run).join(leaves, leaves.c.number == runs.c.leaf)
        row = connection.execute(query.where(endings.c.run == run)).one()
        shown.append(Shown(row.leaf, row.at, run, number, json.loads(row.body)["operator"]))
        said = sa.select(endings.c.leaf, endings.c.at, changes.c.run, changes.c.state)
        said = said.join(endings, endings.c.run == changes.c.run)
        for told in connection.execute(said.where(changes.c.of_run == run, changes.c.of_number == number)):
            became[told.leaf] = Became(*told)
    shown.sort(key=lambda each: (each.leaf, each.number))
    last = shown[-1]
    name = f"{last.run}:{last.number}" if subject is None else subject[:SHORT]
    return Trail(name, tuple(shown), tuple(became[leaf] for leaf in sorted(became)), _steps(connection, places))


def _same_break(connection: sa.Connection, place: Place) -> tuple[str | None, set[Place]]:
    """The keyed name of a break, and its rows: of one name, listed together by a disposition, or linked."""
    links = schema.links
    runs, one, other = schema.runs, schema.secrets.alias("one"), schema.secrets.alias("other")
    its, theirs = schema.dispositions.alias("its"), schema.dispositions.alias("theirs")
    environment = sa.select(runs.c.environment).where(runs.c.run == place[0]).scalar_subquery()
    subject: str | None = None
    found, left = set[Place](), {place}
    while left:
        run, number = left.pop()
        found.add((run, number))
        own = (one.c.run == run, one.c.number == number, one.c.scope == "break")
        query = sa.select(other.c.run, other.c.number, other.c.subject).select_from(one)
        query = query.join(other, sa.and_(other.c.subject == one.c.subject, other.c.scope == "break"))
        query = query.join(runs, runs.c.run == other.c.run).where(*own, runs.c.environment == environment)
        for each in connection.execute(query):
            subject = each.subject
            left.add((each.run, each.number))
        query = sa.select(theirs.c.run, theirs.c.number).join(its, its.c.leaf == theirs.c.leaf)
        listed = connection.execute(query.where(its.c.run == run, its.c.number == number))
        left |= {(each.run, each.number) for each in listed}
        to = sa.select(links.c.of_run, links.c.of_number).where(links.c.run == run, links.c.number == number)
        of = sa.select(links.c.run, links.c.number).where(links.c.of_run == run, links.c.of_number == number)
        left |= {(other, place) for other, place in connection.execute(sa.union_all(to, of))}
        left -= found
    return subject, found


def _steps(connection: sa.Connection, places: Iterable[Place]) -> tuple[Step, ...]:
    of, leaves, secrets = schema.dispositions, schema.leaves, schema.secrets
    numbers: set[int] = set()
    for run, number in places:
        query = sa.select(of.c.leaf).where(of.c.run == run, of.c.number == number)
        numbers |= {leaf for (leaf,) in connection.execute(query)}
    steps = []
    for leaf in sorted(numbers):
        body = json.loads(connection.execute(sa.select(leaves.c.body).where(leaves.c.number == leaf)).scalar_one())
        own = (secrets.c.scope == "disposition", secrets.c.number == leaf, secrets.c.run == body["rows"][-1][0])
        text = connection.execute(sa.select(secrets.c.body).where(*own)).scalar()
        steps.append(step_of(leaf, body, None if text is None else json.loads(text)["reason"]))
    return tuple(steps)


def located(connection: sa.Connection, name: str, environment: str, key: LedgerKey | None = None) -> Trail:
    """Return the trail of the break that is called so.

    Args:
        connection: A transaction that reads.
        name: The first digits of its keyed name, as :func:`integrity.ledger.listing.breaks` shows it; ``RUN:NUMBER``, a
            row of it; or, where the ledger's key is at hand, its ``break_id`` in a result.
        environment: Of which runs.
        key: The ledger's key.

    Raises:
        UsageError: no break is called so, or several are.
    """
    texts(**{"the name of a break": name})
    runs, secrets, breaks = schema.runs, schema.secrets, schema.breaks
    row = _ROW.fullmatch(name.strip())
    if row is not None:
        run, number = row[1], int(row[2])
        query = sa.select(breaks.c.run).join(runs, runs.c.run == breaks.c.run)
        query = query.where(breaks.c.run == run, breaks.c.number == number, runs.c.environment == environment)
        if connection.execute(query).first() is None:
            raise UsageError(
                f"no break {name!r} is on record in {environment}", "write RUN:NUMBER, as integrity ledger breaks does"
            )
        return trail_of(connection, (run, number))
    wanted = name.strip().lower()
    theirs = sa.select(secrets.c.subject, secrets.c.run, secrets.c.number).join(runs, runs.c.run == secrets.c.run)
    theirs = theirs.where(secrets.c.scope == "break", runs.c.environment == environment)
    if wanted and (found := _rows(connection, theirs.where(secrets.c.subject.startswith(wanted, autoescape=True)))):
        if len(found) > 1:
            raise UsageError(f"several breaks begin with {name!r}", "give more digits of it")
        return trail_of(connection, next(iter(found.values())))
    if key is not None and _IDENTIFIER.fullmatch(wanted):
        pipelines = [each for (each,) in connection.execute(sa.select(runs.c.pipeline).distinct())]
        keyed = [key.hide("break", pipeline, wanted) for pipeline in pipelines]
        found = _rows(connection, theirs.where(secrets.c.subject.in_(keyed)))
        if len(found) > 1:
            names = " and ".join(sorted(subject[:SHORT] for subject in found))
            raise UsageError(f"{name!r} is on record in several pipelines", f"name one of the breaks {names}")
        if found:
            return trail_of(connection, next(iter(found.values())))
    known = {
        subject[: max(SHORT, len(wanted))]
        for (subject,) in connection.execute(theirs.with_only_columns(secrets.c.subject).distinct())
    }
    raise UsageError(f"no break {name!r} is on record in {environment}", did_you_mean(wanted, known))


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> dict[str, Place]:
    """A row of each break that a query finds, by its keyed name."""
    return {row.subject: (row.run, row.number) for row in connection.execute(query)}
