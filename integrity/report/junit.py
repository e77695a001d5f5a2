"""What does continuous integration get to see?

JUnit's XML: a suite for each promise, a case for each batch. A failed promise is a failure; what could not be verified
is an error, never a success; what is pending or left out is skipped. Identities are private and do not appear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import polars as pl

from integrity.result import Result
from integrity.verdicts import Verdict

__all__ = ["junit"]

#: What XML 1.0 has no way to write, and what stands for it.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COUNTED = {
    "completeness": ("lost", "duplicate"),
    "accuracy": ("corrupt", "unverified"),
    "validity": ("invalid", "extra"),
    "timeliness": ("late", "skewed"),
    "authorization": ("unauthorized",),
}


def junit(result: Result) -> str:
    """Return a result as JUnit XML.

    Example:
        >>> import integrity, polars as pl
        >>> notes = integrity.Contract(name="notes", version=1, identity=["id"])
        >>> result = integrity.reconcile(notes, pl.DataFrame({"id": ["1"]}), pl.DataFrame({"id": ["2"]}))
        >>> print(junit(result).splitlines()[1])
        <testsuites name="notes" tests="2" failures="2" errors="0" skipped="0">
    """
    batches = result.batch_frame
    names = [_batch_name(row, result) for row in batches.select(*result.contract.partition, "batch_start").to_dicts()]
    suites, totals = [], dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for assertion, verdict in result.assertions.items():
        cases, counts = _cases(result, assertion.value, verdict, batches, names)
        for kind, count in counts.items():
            totals[kind] += count
        suite = f"{result.contract.name}: {assertion.value}"
        numbers = " ".join(f'{kind}="{count}"' for kind, count in counts.items())
        stamp = result.as_of.strftime("%Y-%m-%dT%H:%M:%S")
        suites += [f'<testsuite name={_quoted(suite)} {numbers} time="0" timestamp="{stamp}">', *_properties(result)]
        suites += [*cases, "</testsuite>"]
    head = (
        f"<testsuites name={_quoted(result.contract.name)} " + " ".join(f'{k}="{n}"' for k, n in totals.items()) + ">"
    )
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *suites, "</testsuites>", ""])


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


def _cases(
    result: Result, name: str, verdict: Verdict, batches: pl.DataFrame, names: list[str]
) -> tuple[list[str], dict[str, int]]:
    """The cases of one promise; where no batch was judged, one that says so of the run."""
    cases: list[str] = []
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    group = f"{result.contract.name}.{name}"
    for batch, row in zip(names, batches.select(name, "__open", *_COUNTED[name]).iter_rows(named=True), strict=True):
        if row[name] is not None:
            cases.append(_case(group, batch, row[name], _said(row, name, result), counts))
    judged = counts["tests"] - counts["skipped"]
    if not judged and verdict is Verdict.UNVERIFIED:
        cases.append(_case(group, "the run", verdict.value, "nothing was judged", counts))
    return cases, counts


def _said(row: dict[str, Any], name: str, result: Result) -> str:
    if row[name] == "skipped":
        return next((why for assertion, why in result.skips.items() if assertion.value == name), "left out")
    if row[name] == "pending":
        return "the batch is still open" if row["__open"] else "items are pending"
    counted = [f"{row[kind]:,} {kind}" for kind in _COUNTED[name] if row[kind]]
    return ", ".join(counted) or ("it could not be checked" if row[name] == "unverified" else "the promise is broken")


def _case(group: str, batch: str, verdict: str, said: str, counts: dict[str, int]) -> str:
    counts["tests"] += 1
    case = f'<testcase classname={_quoted(group)} name={_quoted(batch)} time="0"'
    if verdict == "pass":
        return f"{case}/>"
    element, count = {"fail": ("failure", "failures"), "unverified": ("error", "errors")}.get(
        verdict, ("skipped", "skipped")
    )
    counts[count] += 1
    kind = "" if element == "skipped" else f" type={_quoted(verdict)}"
    return f"{case}><{element} message={_quoted(said)}{kind}>{escape(_writable(said))}</{element}></testcase>"


def _batch_name(row: dict[str, Any], result: Result) -> str:
    start = row.pop("batch_start")
    if result.contract.window is None:
        named = "everything"
    else:
        named = "untimed" if start is None else start.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")
    return " ".join([named, *(f"{name}={value}" for name, value in row.items())])


def _quoted(text: str) -> str:
    # Blanks other than a space would be read back as one.
    return quoteattr(_writable(text), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _writable(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)
