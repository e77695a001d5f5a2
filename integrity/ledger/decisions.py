"""May this step be taken, by what is on record of the break?

One set of rules for whoever asks: the API before it writes, a verification that goes through the log once more, a
pack that has nothing but leaves. The database's own triggers say the same in SQL (:mod:`integrity.ledger.four_eyes`);
they can be passed by, and what got past them is found here.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from integrity.errors import IntegrityError, LedgerError, UsageError
from integrity.ledger.persons import same_person
from integrity.ledger.trails import Became, Groups, Place, Shown, Step, Trail

__all__ = ["OnRecord", "objection", "replayed"]

_TRACE = "integrity ledger trace shows what is on record"
_DECIDES = ("disposed", "proposed")
_STANDS = ("disposed", "confirmed")


def objection(trail: Trail, step: Step, ruled: Collection[str] = ()) -> IntegrityError | None:
    """Return why a step may not be taken; ``None`` where nothing speaks against it.

    Args:
        trail: What is on record of the break before it.
        step: Which.
        ruled: The dispositions that somebody else has to confirm, by the ruling in force.

    Example:
        >>> trail = Trail("0a1b2c3d4e5f", (Shown(2, "2026-03-01T00:00:00.000000Z", "r1", 0, "kim"),))
        >>> step = Step(5, "", "disposed", (("r1", 0),), None, "timing", "T-1", None, "Kim", "kim", "ab")
        >>> str(objection(trail, step))
        'Kim ran r1, which found break 0a1b2c3d4e5f, and cannot dispose of it; let somebody else do it'
    """
    if step.step in _DECIDES:
        return _ruled(step, ruled) or _decided(trail) or _of_the_runner(trail, step) or _vague(step)
    if step.step == "confirmed":
        return _unanswered(trail, step) or _of_the_runner(trail, step) or _alone(trail.name, trail.proposal, step)
    return _unanswered(trail, step) or _vague(step)


def _ruled(step: Step, ruled: Collection[str]) -> IntegrityError | None:
    if step.step == "disposed" and step.disposition in ruled:
        said = f"a disposition as {step.disposition} has to be confirmed by somebody else, as is ruled"
        return LedgerError(said, "propose it instead")
    return None


def _decided(trail: Trail) -> IntegrityError | None:
    """Whether nothing of it is left to decide."""
    if (done := trail.disposed) is not None:
        said = f"break {trail.name} is disposed of as {done.disposition} by {done.by} already"
        return LedgerError(said, "reopen it first")
    if trail.state != "open":
        said = f"break {trail.name} is {trail.state}: run {trail.became[-1].run} found that"
        return LedgerError(said, "nothing of it is left to dispose of")
    if (waits := trail.proposal) is not None:
        said = f"a disposition of break {trail.name} as {waits.disposition} is proposed by {waits.by} already"
        return LedgerError(said, "confirm or refuse that first")
    return None


def _of_the_runner(trail: Trail, step: Step) -> IntegrityError | None:
    what = "confirm what is decided about it" if step.step == "confirmed" else "dispose of it"
    for each in trail.shown:
        if same_person(each.operator, step.by):
            said = f"{step.by} ran {each.run}, which found break {trail.name}, and cannot {what}"
            return UsageError(said, "let somebody else do it")
    return None


def _alone(name: str, proposal: Step | None, step: Step) -> IntegrityError | None:
    if proposal is not None and same_person(proposal.by, step.by):
        said = f"{step.by} proposed the disposition of break {name} and cannot confirm it"
        return UsageError(said, "let somebody else confirm it")
    return None


def _unanswered(trail: Trail, step: Step) -> IntegrityError | None:
    """Whether there is nothing that it could confirm, refuse or reopen, or something else."""
    stands = trail.disposed if step.step == "reopened" else trail.proposal
    if stands is not None:
        same = stands.disposition == step.disposition
        return None if same else LedgerError(f"break {trail.name} is not disposed of as {step.disposition}", _TRACE)
    if step.step != "reopened":
        return LedgerError(f"nothing is proposed of break {trail.name}", _TRACE)
    if trail.proposal is not None:
        said = f"break {trail.name} cannot be reopened: its disposition is only proposed"
        return LedgerError(said, "refuse the proposal instead")
    return LedgerError(f"break {trail.name} cannot be reopened: no disposition of it stands", _TRACE)


def _vague(step: Step) -> IntegrityError | None:
    """Whether it lacks its reason or reference, or has a compensating control where there is none."""
    if step.commitment is None:
        return UsageError("a decision about a break names its reason", "give reason")
    if step.step in _DECIDES and not (step.reference or "").strip():
        return UsageError("a decision about a break names its reference", "give reference")
    if step.step in _DECIDES and (step.disposition == "accepted") != bool((step.control or "").strip()):
        said = "a compensating control belongs to what is accepted, and to nothing else"
        return UsageError(said, "say what else makes up for what is accepted: control, --control")
    return None


# --- once more
# -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OnRecord:
    """What runs put on record of breaks that somebody decided about.

    Attributes:
        shown: The rows of these breaks, by where they are.
        names: Which break each of them is of: the same value for all of one break, ``None`` where that was erased.
        became: What later runs found of a row.
        links: Which rows are of one break although its name was erased.
        rulings: The dispositions that somebody else has to confirm, by the leaf from which on that is ruled.
        whole: Whether every run is there. Of a pack that has some of them less can be said.
    """

    shown: Mapping[Place, Shown]
    names: Mapping[Place, Hashable]
    became: Mapping[Place, Sequence[Became]]
    rulings: Mapping[int, Collection[str]]
    links: Sequence[tuple[Place, Place]] = ()
    whole: bool = True


def replayed(record: OnRecord, steps: Iterable[Step]) -> Iterator[tuple[int, str]]:
    """Go through all steps once more, and yield the leaf of each that could not be taken, and why.

    Args:
        record: What runs say.
        steps: In the order of the log.
    """
    groups, taken = Groups(), dict[Hashable, list[Step]]()
    for place, name in record.names.items():
        if name is not None:
            groups.join(place, ("break", name))
    for place, other in record.links:
        groups.join(place, other)
    rows_of: dict[Hashable, list[Place]] = {}
    for place in record.shown:
        rows_of.setdefault(groups.of(place), []).append(place)
    # A row that nothing is known to be of one break with says nothing about the others of its leaf.
    sole = {places[0] for places in rows_of.values() if len(places) == 1 and record.names.get(places[0]) is None}
    breaks = {place: group for group, places in rows_of.items() for place in places if place not in sole}
    for step in steps:
        apart = {breaks[place] for place in step.rows if place in breaks}
        chains = {group for group in map(groups.of, step.rows) if group in taken}
        if len(apart) > 1 or len(chains) > 1:
            yield step.leaf, "it speaks of several breaks at once"
            continue
        before = taken.pop(next(iter(chains)), []) if chains else []
        for place in step.rows:
            groups.join(place, step.rows[0])
        taken[groups.of(step.rows[0])] = [*before, step]
        expected = {place for each in before for place in each.rows}
        for group in apart:
            expected |= {place for place in rows_of[group] if record.shown[place].leaf < step.leaf}
        yield from ((step.leaf, why) for why in _objections(record, step, before, expected))


def _objections(record: OnRecord, step: Step, before: Sequence[Step], expected: set[Place]) -> Iterator[str]:
    known = [record.shown[place] for place in step.rows if place in record.shown]
    if expected - set(step.rows):
        yield "it leaves out what is on record of this break"
    if any(each.leaf > step.leaf for each in known) or (record.whole and len(known) < len(step.rows)):
        yield "it speaks of a break that no run had shown by then"
        return
    last = before[-1] if before else None
    if step.follows != (None if last is None else last.leaf):
        yield f"it follows leaf {step.follows}, which is not the step before it"
        return
    known.sort(key=lambda each: (each.leaf, each.number))
    wrong = _partly(known, last, step) if len(known) < len(step.rows) else _wholly(record, step, before, known)
    if wrong is not None:
        yield wrong.problem


def _wholly(record: OnRecord, step: Step, before: Sequence[Step], known: Sequence[Shown]) -> IntegrityError | None:
    """What speaks against a step, by all that was on record when it was taken."""
    told = {each.leaf: each for place in step.rows for each in record.became.get(place, ()) if each.leaf < step.leaf}
    became = tuple(told[leaf] for leaf in sorted(told))
    name = f"{known[-1].run}:{known[-1].number}"
    ruled = record.rulings.get(max((leaf for leaf in record.rulings if leaf < step.leaf), default=-1), ())
    return objection(Trail(name, tuple(known), became, tuple(before)), step, ruled)


def _partly(known: Sequence[Shown], last: Step | None, step: Step) -> IntegrityError | None:
    """The same where some of its runs are elsewhere: what they found since is not known, and who ran them."""
    answers = {"confirmed": ("proposed",), "refused": ("proposed",), "reopened": _STANDS}.get(step.step)
    if answers is not None and (last is None or last.step not in answers):
        return LedgerError(f"nothing stands that could be {step.step}", _TRACE)
    name = "{}:{}".format(*step.rows[-1])
    decides = step.step in (*_DECIDES, "confirmed")
    runner = _of_the_runner(Trail(name, tuple(known)), step) if decides else None
    alone = _alone(name, last, step) if step.step == "confirmed" else None
    return runner or alone or (None if step.step == "confirmed" else _vague(step))
