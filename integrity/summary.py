"""What is said of a run in a few words, whoever says it?

The terminal, a card, a page and an evidence pack tell the same run. What its headline says, how many of its batches
ended how, and what each side's records became is counted here once, from the frames, so that they cannot disagree.
That there is no exception is said only where there is none of any kind; else it is said how many there are and why
they do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from integrity.breaks import BreakKind
from integrity.contracts import Assertion
from integrity.shown import Count

__all__ = [
    "BESIDES",
    "FAILS",
    "HEADLINES",
    "KINDS",
    "Said",
    "Statement",
    "Summary",
    "found_in",
    "in_english",
    "summary_of",
]

#: Which kinds of breaks fail which promise.
FAILS: Final[dict[str, tuple[str, ...]]] = {
    Assertion.COMPLETENESS: (BreakKind.LOST, BreakKind.DUPLICATE),
    Assertion.ACCURACY: (BreakKind.CORRUPT,),
    Assertion.VALIDITY: (BreakKind.EXTRA, BreakKind.INVALID),
    Assertion.TIMELINESS: (BreakKind.LATE, BreakKind.SKEWED),
    Assertion.AUTHORIZATION: (BreakKind.UNAUTHORIZED,),
}
#: All of them.
KINDS: Final = tuple(str(kind) for kinds in FAILS.values() for kind in kinds)
#: What else of a batch may keep it from passing.
BESIDES: Final = ("unverified", "pending")

_EXCUSES: Final = ("skipped", "unpromised", "tolerated", "early", "elsewhere")
#: What became of the records of each side.
_PARTS: Final = {
    "source": ("matched", "corrupt", "unverified", "lost", "accounted", "pending"),
    "destination": ("matched", "corrupt", "unverified", "duplicate", "extra"),
}
#: Each phrase of a headline, a line a language.
HEADLINES: Final[Mapping[str, tuple[str, str]]] = {
    "headline.fail": (
        "{breaks} {breaks:break|breaks} in {failed} of {closed} closed {closed:batch|batches}",
        "마감된 배치 {closed}개 중 {failed}개에서 예외 {breaks}건",
    ),
    "headline.most": (
        "{breaks} {breaks:break|breaks}, {blamed} of them in {failed} of {closed} closed {closed:batch|batches}",
        "예외 {breaks}건, 그중 {blamed}건은 마감된 배치 {closed}개 중 {failed}개",
    ),
    "headline.breaks": ("{breaks} {breaks:break|breaks}", "예외 {breaks}건"),
    "headline.failed": (
        "{failed} of {closed} closed {closed:batch|batches} failed",
        "마감된 배치 {closed}개 중 {failed}개 실패",
    ),
    "headline.nonew": (
        "no new break, what fails was found by earlier runs",
        "새 예외 없음, 실패는 앞선 실행에서 발견된 것",
    ),
    "headline.pass": (
        "no exception found in {passed} closed {passed:batch|batches}",
        "마감된 배치 {passed}개에서 예외가 발견되지 않음",
    ),
    "headline.clean": ("no exception found", "예외가 발견되지 않음"),
    "headline.passed": (
        "{passed} of {closed} closed {closed:batch|batches} passed",
        "마감된 배치 {closed}개 중 {passed}개 통과",
    ),
    "headline.none": ("no closed batch was judged", "판정한 배치 없음"),
    "headline.unverified": ("{n} could not be verified", "{n}개는 확인할 수 없었음"),
    "headline.pending": ("{n} not settled yet", "{n}개는 판정 보류"),
    "headline.open": ("{n} still open", "{n}개는 미마감"),
    "headline.skipped": (
        "{n} {n:break does|breaks do} not count, {promise} was left out",
        "예외 {n}건은 세지 않음({promise} 제외됨)",
    ),
    "headline.unpromised": (
        "{n} {n:break does|breaks do} not count, {promise} is not promised",
        "예외 {n}건은 세지 않음({promise} 약속 없음)",
    ),
    "headline.tolerated": ("{n} late within the promised ratio", "지연 {n}건은 약속한 비율 이내"),
    "headline.early": (
        "{n} {n:break|breaks} in open batches, which a later run judges",
        "미마감 배치의 예외 {n}건은 이후 실행에서 판정",
    ),
    "headline.elsewhere": (
        "{n} {n:break|breaks} in batches that did not fail",
        "실패하지 않은 배치의 예외 {n}건",
    ),
    "headline.earlier": (
        "{n} {n:break stands|breaks stand} from earlier runs",
        "앞선 실행의 예외 {n}건이 그대로 있음",
    ),
    "headline.unchanged": (
        "{n} {n:batch|batches} as earlier runs left {n:it|them}",
        "앞선 실행 결과와 같은 배치 {n}개",
    ),
    "headline.promises": (
        "{judged} of {promises} {promises:promise|promises} judged",
        "약속 {promises}개 중 {judged}개를 판정함",
    ),
}


@dataclass(frozen=True, slots=True)
class Said:
    """A phrase of a headline.

    Attributes:
        key: Of :data:`HEADLINES`.
        numbers: What is put into it.
        promise: Which promise it speaks of, if it does.
        joint: What stands before it, unless it comes first.
    """

    key: str
    numbers: Mapping[str, int]
    promise: str | None = None
    joint: str = "; "


@dataclass(frozen=True, slots=True)
class Statement:
    """One side's balance: its population is the sum of what became of it.

    Attributes:
        side: ``source`` or ``destination``.
        total: The population.
        parts: What became of it, by name; empty where nobody can say, because a side was recorded earlier. Of pairs
            whose other half lies in no batch of this run, ``outside`` (less than nothing) are those whose record of
            this side is not among those that were read, and ``foreign`` those whose only record of this run it is.
    """

    side: str
    total: int
    parts: Mapping[str, int]

    def said(self) -> str:
        """Say it in English, as an equation.

        Example:
            >>> Statement("destination", 1, {"matched": 1, "corrupt": 1, "outside": -1}).said()
            'destination 1 = 1 matched + 1 corrupt - 1 outside since and until'
            >>> Statement("source", 30, {}).said()
            'source 30; what became of them cannot be said: a side is totals recorded earlier'
        """
        if not self.parts:
            why = "what became of them cannot be said: a side is totals recorded earlier"
            return f"{self.side} {self.total:,}; {why}"
        words = {"outside": "outside since and until", "foreign": "of items outside since and until"}
        first, *rest = [(count, words.get(name, name)) for name, count in self.parts.items()]
        more = "".join(f" {'-' if count < 0 else '+'} {abs(count):,} {name}" for count, name in rest)
        return f"{self.side} {self.total:,} = {first[0]:,} {first[1]}{more}"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run found, in counts.

    Attributes:
        verdict: Of the run.
        assertions: The verdict of each promise.
        closed: How many closed batches have a verdict, by verdict: ``pass``, ``fail``, ``unverified``, ``pending``,
            ``skipped``. A batch in which nothing was due has none.
        still_open: How many batches are open.
        blamed: How many breaks lie in closed batches that failed.
        blameless: Whether a batch failed in which no item is to blame, so that the breaks cannot be said to lie in
            all of those that failed.
        excused: How many breaks lie elsewhere, by why they fail nothing and by promise: ``skipped`` (the promise was
            left out), ``unpromised``, ``tolerated`` (late, within the promised ratio), ``early`` (in open batches),
            ``elsewhere`` (nobody can say).
        earlier: How many breaks stand from earlier runs, in batches that were found as they had left them.
        unchanged: How many such batches there are.
        unlocated: How many batches differ from totals recorded earlier, so that no item can be named.
        statements: The balance of both sides.
    """

    verdict: str
    assertions: Mapping[str, str]
    closed: Mapping[str, int]
    still_open: int
    blamed: int
    blameless: bool
    excused: Mapping[tuple[str, str], int]
    earlier: int
    unchanged: int
    unlocated: int
    statements: tuple[Statement, Statement]

    @property
    def judged(self) -> int:
        """How many promises have a verdict that says whether they are kept."""
        return sum(verdict in ("pass", "fail") for verdict in self.assertions.values())

    @property
    def judged_batches(self) -> int:
        """How many closed batches there was something to say of that was not left out."""
        return sum(count for verdict, count in self.closed.items() if verdict != "skipped")

    @property
    def breaks(self) -> int:
        """How many breaks there are, those of earlier runs too."""
        return self.blamed + sum(self.excused.values()) + self.earlier

    def headline(self) -> Iterator[Said]:
        """Yield, phrase by phrase, what the verdict stands on."""
        yield self._first()
        if self.verdict == "fail" and self.blamed and self.blameless:
            yield Said("headline.failed", {"failed": self.closed["fail"], "closed": self.judged_batches})
        waiting = {"unverified": self.closed["unverified"], "pending": self.closed["pending"], "open": self.still_open}
        for name, count in waiting.items():
            if count:
                yield Said(f"headline.{name}", {"n": count}, joint=", ")
        for (why, promise), count in self.excused.items():
            if why == "elsewhere" and self.verdict == "fail":
                continue  # it was said how many lie in those that failed
            yield Said(f"headline.{why}", {"n": count}, promise)
        for name, count in (("earlier", self.earlier), ("unchanged", self.unchanged)):
            if count:
                yield Said(f"headline.{name}", {"n": count})
        yield Said("headline.promises", {"judged": self.judged, "promises": len(self.assertions)})

    def _first(self) -> Said:
        counts = {"failed": self.closed["fail"], "passed": self.closed["pass"], "closed": self.judged_batches}
        if self.verdict == "fail":
            if self.blamed:
                key = "breaks" if self.blameless else "most" if self.excused else "fail"
            else:
                key = "failed" if self.closed["fail"] or not self.unchanged else "nonew"
        elif self.verdict == "pass" and not self.breaks:
            key = "pass" if self.judged_batches or not self.unchanged else "clean"
        else:
            key = "passed" if self.judged_batches else "none"
        counts |= {"blamed": self.blamed, "breaks": self.blamed + sum(self.excused.values())}
        return Said(f"headline.{key}", counts)


def summary_of(
    verdict: str,
    assertions: Mapping[str, str],
    totals: Mapping[str, int],
    batches: pl.DataFrame,
    stood: Mapping[str, int] | None = None,
    unchanged: int = 0,
) -> Summary:
    """Return what a run found, in counts.

    Args:
        verdict: Of the run.
        assertions: The verdict of each promise.
        totals: Counts over all batches.
        batches: A row a batch, the columns of ``result.batches`` and ``open``.
        stood: Counts over the batches that stood as an earlier run had left them, which are no rows of ``batches``.
        unchanged: How many these are.
    """
    is_open, failed = pl.col("open"), (pl.col("verdict") == "fail").fill_null(False)
    every = pl.sum_horizontal(pl.col(kind).fill_null(0) for kind in KINDS)
    closed = batches.filter(~is_open)
    bad = closed.filter(failed).select(every.alias("breaks"))["breaks"]
    ended = dict(closed["verdict"].drop_nulls().value_counts().iter_rows())
    elsewhere = batches.filter(is_open | ~failed)
    return Summary(
        verdict=verdict,
        assertions=assertions,
        closed={each: ended.get(each, 0) for each in ("pass", "fail", "unverified", "pending", "skipped")},
        still_open=int(batches["open"].sum()),
        blamed=int(bad.sum()),
        blameless=bool((bad == 0).any()),
        excused=_excused(elsewhere, assertions),
        earlier=sum((stood or {}).get(kind, 0) for kind in KINDS),
        unchanged=unchanged,
        unlocated=batches["matched"].null_count(),
        statements=_statements(totals, batches, stood or {}),
    )


def _excused(batches: pl.DataFrame, assertions: Mapping[str, str]) -> dict[tuple[str, str], int]:
    """How many breaks lie in batches that are open or did not fail, by why and by promise."""
    found: dict[tuple[str, str], int] = {}
    for promise, kinds in FAILS.items():
        of = batches.select("open", pl.sum_horizontal(pl.col(kind).fill_null(0) for kind in kinds).alias("breaks"))
        for is_open in (False, True):
            count = int(of.filter(open=is_open)["breaks"].sum())
            if not count:
                continue
            why = _why(promise, assertions.get(promise, "unpromised"), is_open)
            key = (why, str(promise) if why in ("skipped", "unpromised") else "")
            found[key] = found.get(key, 0) + count
    return dict(sorted(found.items(), key=lambda item: _EXCUSES.index(item[0][0])))


def _why(promise: str, verdict: str, is_open: object) -> str:
    """Why breaks of a promise fail no batch."""
    if verdict in ("skipped", "unpromised"):
        return verdict
    if is_open:
        return "early"
    # A clock that is wrong fails its batch in any case: what is left are late items.
    return "tolerated" if promise == Assertion.TIMELINESS and verdict in ("pass", "pending") else "elsewhere"


def _statements(
    totals: Mapping[str, int], batches: pl.DataFrame, stood: Mapping[str, int]
) -> tuple[Statement, Statement]:
    """The balance of both sides, each part counted by itself: what lies outside is no remainder."""
    moved = int((batches["moved_in"] - batches["moved_out"]).sum()) + (_moved(stood) if stood else 0)
    known = not batches["matched"].null_count() and (not stood or _is_located(stood))
    made = []
    for side, names in _PARTS.items():
        parts = {name: totals[name] for name in names if totals[name] or name == "matched"}
        if side == "destination" and moved:
            parts["outside" if moved < 0 else "foreign"] = moved
        made.append(Statement(side, totals[f"{side}_records"], parts if known else {}))
    return made[0], made[1]


def _moved(counts: Mapping[str, int]) -> int:
    return counts["moved_in"] - counts["moved_out"]


def _is_located(counts: Mapping[str, int]) -> bool:
    """Whether what became of the records is known: where it is not, nothing is counted of them."""
    arrived = sum(counts[name] for name in _PARTS["destination"]) + _moved(counts)
    left = sum(counts[name] for name in _PARTS["source"])
    return (left, arrived) == (counts["source_records"], counts["destination_records"])


def found_in(row: Mapping[str, object]) -> dict[str, int]:
    """What was found in a batch, as its row of ``batches`` counts it, by kind; what there is none of left out."""
    counts = {kind: row[kind] for kind in (*KINDS, *BESIDES)}
    return {kind: count for kind, count in counts.items() if isinstance(count, int) and count}


def in_english(said: Iterator[Said]) -> str:
    """Return a headline as one sentence in English."""
    text = ""
    for each in said:
        numbers = {name: Count(f"{number:,}", number) for name, number in each.numbers.items()}
        phrase = HEADLINES[each.key][0].format(**numbers, promise=each.promise)
        text += (each.joint if text else "") + phrase
    return text
