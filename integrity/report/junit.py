"""What does continuous integration get to see?

JUnit's XML, as Jenkins' schema has it: a suite for each promise, a case for each batch. A failed promise is a failure;
what could not be verified is an error, never a success; what is pending or left out is skipped. Identities are private:
of a break only its kind, its batch and its ``break_id`` are named: a digest of the identity, which shows none, but
confirms one to whoever can guess it.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

import polars as pl

from integrity.contracts import Assertion
from integrity.result import Result
from integrity.summary import FAILS
from integrity.totals import BATCH
from integrity.verdicts import Verdict

__all__ = ["BREAKS_NAMED", "junit"]

#: Up to so many breaks are named in a failure; the others are counted.
BREAKS_NAMED: Final = 20
#: What XML 1.0 has no way to write.
_UNWRITABLE: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: Counted of each promise: what fails it, and pairs that nobody could compare.
_COUNTED: Final = FAILS | {Assertion.ACCURACY: (*FAILS[Assertion.ACCURACY], "unverified")}
_PROMISE: Final = {str(kind): str(promise) for promise, kinds in FAILS.items() for kind in kinds}
_ELEMENTS: Final = {"fail": ("failure", "failures"), "unverified": ("error", "errors")}
#: So many breaks may wait until only the first of each batch are kept.
_WAITING: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Suite:
    """Cases, as XML, and how they ended: ``tests``, ``failures``, ``errors`` and ``skipped``."""

    name: str
    cases: list[str]
    counts: dict[str, int]


def junit(result: Result) -> str:
    """Return a result as JUnit XML. The same result gives the same text.

    Example:
        >>> import integrity, polars as pl
        >>> notes = integrity.Contract(name="notes", version=1, identity=["id"])
        >>> result = integrity.reconcile(notes, pl.DataFrame({"id": ["1"]}), pl.DataFrame({"id": ["2"]}))
        >>> print(junit(result).splitlines()[1])
        <testsuites name="notes" tests="2" failures="2" errors="0" time="0">
    """
    names = _batch_names(result)
    quoted, breaks = [_quoted(name) for name in names], _named_breaks(result, names)
    suites = [_suite(result, assertion, quoted, breaks) for assertion in result.assertions]
    if not any(suite.counts["failures"] + suite.counts["errors"] for suite in suites) and result.exit_code:
        group = _group(f"{result.contract.name}.run")
        suites.append(_of_the_run(f"{result.contract.name}: the run", group, result.verdict, result.headline()))
    # Jenkins' schema knows how many were skipped of a suite, and not of all suites.
    sums = {kind: sum(suite.counts[kind] for suite in suites) for kind in ("tests", "failures", "errors")}
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines.append(f'<testsuites name={_quoted(result.contract.name)} {_numbers(sums)} time="0">')
    stamp = result.as_of.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    properties = list(_properties(result))
    for suite in suites:
        head = f'<testsuite name={_quoted(suite.name)} {_numbers(suite.counts)} time="0" timestamp="{stamp}">'
        lines += [head, *properties, *suite.cases, "</testsuite>"]
    return "\n".join([*lines, "</testsuites>", ""])


def _properties(result: Result) -> Iterator[str]:
    told = {
        "contract": f"{result.contract.name} version {result.contract.version}",
        "contract_sha256": result.contract.sha256,
        "spec_sha256": result.spec_sha256,
        "verdict": result.verdict.value,
        "as_of": result.as_of.isoformat(),
    }
    yield "<properties>"
    for name, value in told.items():
        yield f"<property name={_quoted(name)} value={_quoted(value)}/>"
    yield "</properties>"


def _suite(result: Result, assertion: Assertion, names: list[str], breaks: Mapping[tuple[str, int], str]) -> _Suite:
    """The cases of one promise; where no batch bears its verdict, one of the run does."""
    name, kinds = assertion.value, _COUNTED[assertion]
    said = f"{result.contract.name}: {name}"
    group = _group(f"{result.contract.name}.{name}")
    cases, counts = [], dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    columns = (result.batch_frame[column].to_list() for column in (name, "__open", *kinds))
    for place, (batch, (verdict, is_open, *found)) in enumerate(zip(names, zip(*columns, strict=True), strict=True)):
        if verdict is None:
            continue
        counts["tests"] += 1
        if verdict == "pass":  # nearly all of them, as a rule
            cases.append(f'{group}{batch} time="0"/>')
            continue
        if verdict == "skipped":
            message = result.skips.get(assertion, "left out")
        elif verdict == "pending":
            message = "the batch is still open" if is_open else "items are pending"
        else:
            counted = [f"{count:,} {kind}" for kind, count in zip(kinds, found, strict=True) if count]
            broken = "it could not be checked" if verdict == "unverified" else "the promise is broken"
            message = ", ".join(counted) or broken
        named = breaks.get((name, place), "") if verdict == "fail" else ""
        cases.append(f'{group}{batch} time="0">{_outcome(verdict, message, named, counts)}</testcase>')
    verdict = result.assertions[assertion]
    if not counts["failures"] + counts["errors"] and verdict in (Verdict.FAIL, Verdict.UNVERIFIED):
        why = "nothing was judged" if verdict is Verdict.UNVERIFIED else "the promise is broken"
        of_it = _of_the_run(said, group, verdict, why)
        cases += of_it.cases
        counts = {kind: count + of_it.counts[kind] for kind, count in counts.items()}
    return _Suite(said, cases, counts)


def _group(classname: str) -> str:
    return f"<testcase classname={_quoted(classname)} name="


def _of_the_run(name: str, group: str, verdict: Verdict, why: str) -> _Suite:
    """A suite of one case: what no batch says, so that nobody takes silence for success."""
    counts = {"tests": 1, "failures": 0, "errors": 0, "skipped": 0}
    outcome = _outcome(verdict.value, why, "", counts)
    return _Suite(name, [f'{group}"the run" time="0">{outcome}</testcase>'], counts)


def _outcome(verdict: str, message: str, named: str, counts: dict[str, int]) -> str:
    element, count = _ELEMENTS.get(verdict, ("skipped", "skipped"))
    counts[count] += 1
    text = escape(_writable(f"{message}\n{named}" if named else message))
    return f'<{element} type="{verdict}" message={_quoted(message)}>{text}</{element}>'


def _batch_names(result: Result) -> list[str]:
    """What each batch is called: its window, and its partition with values as JSON, so that no two are called alike."""
    frame, partition = result.batch_frame, result.contract.partition
    if result.contract.window is None:
        windows = ["everything"] * frame.height
    else:
        ends = (pl.col(end).dt.strftime("%Y-%m-%dT%H:%M:%SZ") for end in ("batch_start", "batch_end"))
        windows = frame.select(pl.concat_str(*ends, separator="/").fill_null("untimed")).to_series().to_list()
    if not partition:
        return windows
    values = frame.select(partition).iter_rows()
    return [f"{window} {_parts(partition, row)}" for window, row in zip(windows, values, strict=True)]


def _parts(partition: tuple[str, ...] | list[str], row: tuple[Any, ...]) -> str:
    values = (json.dumps(value, ensure_ascii=False, default=str) for value in row)
    return " ".join(f"{name}={value}" for name, value in zip(partition, values, strict=True))


def _named_breaks(result: Result, names: list[str]) -> dict[tuple[str, int], str]:
    """The first breaks of each promise and batch (by its place among the batches), a line a break.

    They are the first by kind and ``break_id``: which, does not depend on the order in which they were found.
    """
    keys = [BATCH, *(f"__p.{name}" for name in result.contract.partition)]
    places = result.batch_frame.select(
        pl.col("batch_start").to_physical().alias(BATCH),
        *(pl.col(name).alias(f"__p.{name}") for name in result.contract.partition),
        pl.int_range(pl.len()).alias("place"),
    )
    waiting: list[pl.DataFrame] = []
    for frame in result.break_frames():
        fails = pl.col("kind").replace_strict(_PROMISE, default=None, return_dtype=pl.String).alias("fails")
        found = frame.select(*keys, "kind", "break_id", fails, pl.lit(1, pl.Int64).alias("count"))
        found = found.join(places, on=keys, nulls_equal=True)
        waiting.append(_first(found.select("fails", "place", "kind", "break_id", "count")))
        if sum(few.height for few in waiting) > _WAITING:
            waiting = [_first(pl.concat(waiting))]
    if not waiting:
        return {}
    few = _first(pl.concat(waiting))
    named = {}
    grouped = few.group_by("fails", "place", maintain_order=True).agg("kind", "break_id", pl.col("count").sum())
    for fails, place, kinds, ids, count in grouped.iter_rows():
        lines = [f"{kind}, {names[place]}, {break_id}" for kind, break_id in zip(kinds, ids, strict=True)]
        more = [f"and {count - len(lines):,} more"] if count > len(lines) else []
        named[fails, place] = "\n".join([*lines, *more])
    return named


def _first(breaks: pl.DataFrame) -> pl.DataFrame:
    """The first breaks of each promise and batch; the very first one counts also for those that go."""
    of_one = ["fails", "place"]
    ranked = breaks.sort("kind", "break_id").with_columns(
        pl.int_range(pl.len()).over(of_one).alias("nth"), pl.col("count").sum().over(of_one).alias("all")
    )
    kept = ranked.filter(pl.col("nth") < BREAKS_NAMED)
    others = pl.col("count").sum().over(of_one) - pl.col("count")
    counted = pl.when(pl.col("nth") == 0).then(pl.col("all") - others).otherwise("count")
    return kept.with_columns(counted.alias("count")).drop("nth", "all")


def _numbers(counts: Mapping[str, int]) -> str:
    return " ".join(f'{kind}="{count}"' for kind, count in counts.items())


@functools.lru_cache(1024)  # many failures say the same
def _quoted(text: str) -> str:
    # Blanks other than a space would be read back as one.
    return quoteattr(_writable(text), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _writable(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)
