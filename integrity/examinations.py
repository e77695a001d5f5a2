"""Who looks at the rows while they are read, and what did they find?

Expectations and grants are asked in the same pass that counts a side. Here they are put in place before it, and summed
up after it; what could not be asked is said, and is never good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from integrity.breaks import Case, form
from integrity.charges import Charges, Examination
from integrity.contracts import Assertion, Contract
from integrity.grants import Permits, permits
from integrity.items import Reader
from integrity.spool import Log
from integrity.stores.base import Store
from integrity.totals import BATCH, ControlTotals
from integrity.values import moment
from integrity.verdicts import Verdict

if TYPE_CHECKING:
    from integrity.validity.examine import Examiner

__all__ = ["Examinations", "Held", "examinations"]


@dataclass(frozen=True, slots=True)
class Held:
    """What became of an expectation on one side.

    Attributes:
        name: Its name, and the columns that it is about.
        side: ``"source"`` or ``"destination"``.
        severity: ``critical``, ``warning`` or ``info``: only what is critical fails.
        verdict: ``pass``, ``fail``, or ``unverified`` where it could not be asked or had nothing to look at.
        looked: How many rows it had to look at.
        unexpected: How many of them were not as expected: all of them are counted.
        batches: Of how many batches it does not hold as a whole.
        why: What it saw, or why it is unverified.
    """

    name: str
    side: str
    severity: str
    verdict: Verdict
    looked: int
    unexpected: int
    batches: int
    why: str

    @property
    def remarkable(self) -> bool:
        """Whether there is more to say of it than that it holds."""
        return self.verdict is not Verdict.PASS or self.unexpected > 0

    def described(self) -> str:
        """Say what it found, in words."""
        few = ", which its mostly forgives" if self.verdict is Verdict.PASS else ""
        what = f": {self.unexpected:,} of {self.looked:,} items are not as expected{few}" if self.unexpected else ""
        return f"({self.severity}) {self.name} in the {self.side}{what}{f': {self.why}' if self.why else ''}"


@dataclass
class Examinations:
    """Who looks at the rows of a run.

    Attributes:
        case: What is judged.
        permits: Who asks for grants.
        examiners: Who asks expectations, by side.
        absent: What cannot be judged at all, and why.
    """

    case: Case
    permits: Permits | None = None
    examiners: dict[str, Examiner] = field(default_factory=dict)
    absent: dict[Assertion, str] = field(default_factory=dict)
    unasked: list[Held] = field(default_factory=list)

    def charges(self) -> Charges:
        """Return what the rows of both sides are to be told by."""
        by_side: dict[str, list[Examination]] = {"source": [], "destination": []}
        if self.permits is not None:
            by_side["source"].append(self.permits)
        for side, examiner in self.examiners.items():
            by_side[side].append(examiner)
        return Charges(by_side["source"], by_side["destination"])

    def held(self) -> tuple[Held, ...]:
        """What became of each expectation, the source's first."""
        return (
            *(_held(side, each) for side, examiner in self.examiners.items() for each in examiner.found),
            *self.unasked,
        )

    def unheld(self) -> dict[Assertion, str]:
        """What cannot be judged, now that everything was read, and why."""
        absent = dict(self.absent)
        unknown = [each for each in self.held() if each.severity == "critical" and each.verdict is Verdict.UNVERIFIED]
        if unknown:
            more = f" (and {len(unknown) - 1} more expectations)" if len(unknown) > 1 else ""
            first = unknown[0]
            absent[Assertion.VALIDITY] = f"{first.name} could not be checked in the {first.side}: {first.why}{more}"
        return absent

    def marked(self, batches: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
        """Add ``violated`` and ``unjudged`` to batches, as :func:`integrity.verdicts.judge_batches` wants them."""
        critical = [
            each
            for examiner in self.examiners.values()
            for each in examiner.found
            if each.question.expected.severity == "critical"
        ]
        broken = [frame for each in critical for frame in each.broken]
        everywhere = any(each.everywhere for each in critical)
        marks = pl.concat(broken).unique().with_columns(pl.lit(True).alias("violated")) if broken else None
        if marks is not None:
            batches = batches.join(marks, on=keys, how="left", nulls_equal=True, maintain_order="left")
        else:
            batches = batches.with_columns(pl.lit(False).alias("violated"))
        batches = batches.with_columns(pl.col("violated").fill_null(False) | pl.lit(everywhere))
        if self.permits is None:
            return batches.with_columns(pl.lit(0, pl.Int64).alias("unjudged"))
        unjudged = self.permits.unjudged
        joined = batches.join(unjudged, on=keys, how="left", nulls_equal=True, maintain_order="left")
        return joined.with_columns(pl.col("unjudged").fill_null(0))

    def warnings(self) -> Log:
        """Return the items that break what only warns or informs, as breaks whose kind is its severity."""
        log = Log()
        for side, examiner in self.examiners.items():
            for each in examiner.found:
                severity = each.question.expected.severity
                if severity != "critical" and each.verdict is Verdict.FAIL:
                    said = pl.format("{} in the {}", "__why", pl.lit(side))
                    for rows in each.blamed():
                        log.add(form(rows.with_columns(kind=pl.lit(severity), reason=said), self.case))
        return log

    def notes(self) -> list[str]:
        """What a reader has to know besides."""
        return [] if self.permits is None else _said_of_grants(self.permits)


def _held(side: str, found: object) -> Held:
    from integrity.validity.examine import Found

    assert isinstance(found, Found)
    question, verdict = found.question, found.verdict
    why = found.why if verdict is Verdict.UNVERIFIED else ""
    batches = len(found.broken) + found.everywhere
    if verdict is Verdict.FAIL and batches:
        starts = sorted(start for frame in found.broken for start in frame[BATCH].drop_nulls())
        first = f", the first starting at {moment(starts[0]).isoformat()}" if starts else ""
        of = "all of them together" if found.everywhere else f"{batches:,} batches{first}"
        why = f"of {of}, observed {found.observed or 'otherwise'}"
    return Held(question.name, side, question.expected.severity, verdict, found.looked, found.unexpected, batches, why)


def _said_of_grants(permits: Permits) -> list[str]:
    notes = [f"authorization of {count:,} items is not known: {why}" for why, count in permits.unknowns.items()]
    notes += [f"{count:,} items need no grant: {why}" for why, count in permits.exempt.items() if count]
    grants = permits.grants
    if not grants.rows:
        notes.append("the store of grants holds no grant at all")
    if grants.nameless:
        notes.append(f"{grants.nameless:,} grants name no actor or no object, and grant nothing")
    if permits.review.rows:
        kinds: dict[str, int] = {}
        for frame in permits.review.frames():
            for remark in frame["remark"]:
                for part in remark.split("; "):
                    kinds[part] = kinds.get(part, 0) + 1
        said = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
        notes.append(f"for a review of access: {said} (result.access_review)")
    return notes


def examinations(
    promise: Contract,
    sides: Sequence[Reader | ControlTotals],
    case: Case,
    grants: Store | None,
    mapping: Mapping[str, str],
    zone: str | None,
    skips: Mapping[Assertion, str],
) -> Examinations:
    """Put in place who looks at the rows of a run.

    Args:
        promise: The contract.
        sides: The source and the destination.
        case: What is judged.
        grants: The store of grants.
        mapping: Its column names to ours.
        zone: How its naive timestamps are to be read.
        skips: What is left out on purpose, and is not asked.

    Raises:
        ContractError: an expectation cannot be meant.
        StoreError: a side or the store of grants lacks a column.
    """
    found = Examinations(case)
    if promise.authorization is not None and Assertion.AUTHORIZATION not in skips:
        source = sides[0]
        if grants is None:
            found.absent[Assertion.AUTHORIZATION] = (
                "no store of grants was given (grants=), so nobody knows who might act"
            )
        elif isinstance(source, Reader):
            found.permits = permits(source, case, grants, mapping, zone)
        else:
            found.absent[Assertion.AUTHORIZATION] = "recorded totals have no items to ask grants for"
    if promise.validity and Assertion.VALIDITY not in skips:
        _expect(promise, sides, case, found)
    if promise.seal is not None and any(isinstance(side, ControlTotals) for side in sides):
        for assertion in (Assertion.COMPLETENESS, Assertion.ACCURACY):
            found.absent[assertion] = "recorded totals have no items to compare seals of"
    return found


def _expect(promise: Contract, sides: Sequence[Reader | ControlTotals], case: Case, found: Examinations) -> None:
    from integrity.validity.asked import asked, name_of, unheard
    from integrity.validity.in_database import examiner_of

    held = {}
    for side, role in zip(sides, ("source", "destination"), strict=True):
        if isinstance(side, Reader):
            held[role] = [side.mapping.get(name, name) for name in side.held]
            found.examiners[role] = examiner_of(side, asked(promise, role, held[role]), case)
        else:
            held[role] = list(promise.columns)
            for question in asked(promise, role, held[role]):
                why = "recorded totals have no rows to look at"
                severity = question.expected.severity
                found.unasked.append(Held(question.name, role, severity, Verdict.UNVERIFIED, 0, 0, 0, why))
    for expected, why in unheard(promise, held):
        name = name_of(expected)
        found.unasked.append(Held(name, "source", expected.severity, Verdict.UNVERIFIED, 0, 0, 0, why))
