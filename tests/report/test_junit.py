"""JUnit XML, read by a parser of others and held against Jenkins' schema."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import junitparser
import polars as pl
import pytest
from hypothesis import given, settings

import integrity
from integrity.contracts import Assertion
from integrity.report.junit import BREAKS_NAMED, junit
from integrity.spool import Log
from tests.ledger import books
from tests.report.found import HOSTILE, found, nothing_judged, of_partition, reconciled

#: What Jenkins' schema (junit-10.xsd) allows: of each element the attributes it must and may have, and its children.
SCHEMA = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": ({"name"}, {"time", "classname", "group"}, {"skipped", "error", "failure", "system-out", "system-err"}),
    "failure": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
    "skipped": (set(), {"type", "message"}, set()),
}
ELEMENTS = {"fail": "Failure", "unverified": "Error", "pending": "Skipped", "skipped": "Skipped", "pass": "pass"}


def told(result: integrity.Result) -> list[junitparser.TestSuite]:
    text = junit(result)
    root = ElementTree.fromstring(text.encode())  # noqa: S314 - our own text
    assert root.tag == "testsuites"
    for element in root.iter():
        must, may, children = SCHEMA[element.tag]
        assert must <= set(element.keys()) <= must | may, element.tag
        assert {child.tag for child in element} <= children, element.tag
        assert re.fullmatch(r"[0-9]*(\.[0-9]*)?", element.get("time", "0"))
    for kind in ("tests", "failures", "errors"):
        assert int(root.attrib[kind]) == sum(int(suite.attrib[kind]) for suite in root), kind
    return list(junitparser.JUnitXml.fromstring(text.encode()))


def kind_of(case: junitparser.TestCase) -> str:
    return type(case.result[0]).__name__ if case.result else "pass"


@pytest.fixture(scope="module")
def result() -> integrity.Result:
    return found()


@settings(max_examples=50, deadline=None)
@given(partition=HOSTILE, reason=HOSTILE)
def test_the_cases_are_the_batches_whatever_the_names(result: integrity.Result, partition: str, reason: str) -> None:
    result = replace(of_partition(result, partition), skips={Assertion.ACCURACY: reason})
    suites = told(result)
    assert "failure" in junit(result)
    assert [suite.name for suite in suites] == [f"notes: {assertion.value}" for assertion in result.assertions]
    for suite, assertion in zip(suites, result.assertions, strict=True):
        cases = list(suite)
        kinds = [kind_of(case) for case in cases]
        assert kinds == [ELEMENTS[v] for v in result.batches[assertion.value] if v is not None]
        assert len({case.name for case in cases}) == len(cases)
        assert {case.classname for case in cases} == {f"notes.{assertion.value}"}
        wanted = (len(cases), kinds.count("Failure"), kinds.count("Error"), kinds.count("Skipped"))
        assert (suite.tests, suite.failures, suite.errors, suite.skipped) == wanted


def test_a_batch_is_called_by_its_window_and_its_partition(result: integrity.Result) -> None:
    names = [case.name for case in told(of_partition(result, 'a "b"'))[0]]
    assert names[0] == '2026-03-01T00:00:00Z/2026-03-01T00:10:00Z tenant="a \\"b\\""'
    items = books.sent(4).with_columns(pl.lit(None, pl.Datetime("us", "UTC")).alias("sent_at"))
    names = [case.name for case in told(reconciled(items, books.kept(items)))[0]]
    assert names == ['untimed tenant="acme"', 'untimed tenant="beta"']
    assert [case.name for case in told(nothing_judged())[0]] == ["the run"]


def test_no_two_batches_are_called_alike() -> None:
    """A reader that knows a case by its name would show one of two, and it might be the good one."""
    contract = integrity.Contract(name="notes", version=1, identity=["id", "a", "b"], partition=["a", "b"])
    items = pl.DataFrame({"id": ["1"] * 4, "a": ["1 b=2", "1", "\0", "\1"], "b": ["3", "2 b=3", "", ""]})
    names = [case.name for case in told(integrity.reconcile(contract, items, items))[0]]
    assert len(set(names)) == len(names) == 4


def test_never_green_where_nothing_was_judged() -> None:
    assert [suite.errors for suite in told(nothing_judged())] == [1, 1]


def test_never_green_where_everything_was_skipped() -> None:
    items = pl.DataFrame({"id": ["1"]})
    contract = integrity.Contract(name="notes", version=1, identity=["id"])
    result = integrity.reconcile(contract, items, items, skip={"completeness": "no", "validity": "no"})
    assert result.verdict == "unverified"
    assert [(suite.errors, suite.skipped) for suite in told(result)] == [(0, 1), (0, 1), (1, 0)]


@pytest.mark.parametrize("verdict", [integrity.Verdict.FAIL, integrity.Verdict.UNVERIFIED])
def test_never_green_where_only_the_run_bears_the_verdict(verdict: integrity.Verdict) -> None:
    items = pl.DataFrame({"id": ["1"]})
    good = integrity.reconcile(integrity.Contract(name="notes", version=1, identity=["id"]), items, items)
    assert [suite.errors + suite.failures for suite in told(good)] == [0, 0]
    result = replace(good, verdict=verdict, assertions=good.assertions | {Assertion.VALIDITY: verdict})
    (case,) = [case for suite in told(result) for case in suite if case.result]
    assert (case.name, kind_of(case)) == ("the run", ELEMENTS[verdict])


def test_a_failure_says_how_many_and_names_breaks_by_their_ids(result: integrity.Result) -> None:
    for suite, assertion in zip(told(result), result.assertions, strict=True):
        for case in suite:
            if kind_of(case) == "Failure":
                message, *lines = case.result[0].text.splitlines()
                assert message == case.result[0].message
                numbers = {kind: int(n) for n, kind in re.findall(r"([0-9,]+) ([a-z]+)", message)}
                starts = result.breaks["batch_start"].dt.strftime("%Y-%m-%dT%H:%M:%SZ").fillna("untimed")
                mine = result.breaks[starts == case.name.partition(" ")[0].partition("/")[0]]
                mine = mine[mine["kind"].isin(numbers)]
                assert mine["kind"].value_counts().to_dict() == numbers, assertion
                assert lines == sorted(f"{b.kind}, {case.name}, {b.break_id}" for b in mine.itertuples())


def test_breaks_beyond_twenty_are_counted_whatever_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    items = books.sent(40).with_columns(pl.lit("acme").alias("tenant"), pl.lit(books.START).alias("sent_at"))
    result = reconciled(items, books.kept(items)[:5])
    (failure,) = [case.result[0] for case in told(result)[0] if kind_of(case) == "Failure"]
    message, *lines, more = failure.text.splitlines()
    assert (message, len(lines), more) == ("35 lost", BREAKS_NAMED, f"and {35 - BREAKS_NAMED} more")
    shuffled = Log()
    (frame,) = result.break_frames()
    for part in frame.sample(fraction=1.0, shuffle=True, seed=1).iter_slices(4):
        shuffled.add(part)
    again = replace(result, _breaks=shuffled)
    assert junit(again) == junit(result)
    monkeypatch.setattr("integrity.report.junit._WAITING", 10)  # as of more breaks than should wait
    assert junit(again) == junit(result)


def test_totals_recorded_elsewhere_fail_without_breaks() -> None:
    items = books.sent(20)
    recorded = integrity.measure(books.promise(grace="5m"), books.kept(items)[3:], side="destination")
    result = reconciled(items, recorded)
    assert result.verdict == "fail"
    assert sum(suite.failures for suite in told(result)) == (result.batches["completeness"] == "fail").sum() > 0


def test_nobody_is_shown() -> None:
    items = books.sent(40).with_columns(
        pl.col("id").str.replace("note", "sesame"), pl.col("body").str.replace("body", "sesame")
    )
    text = junit(reconciled(items, books.damaged(items), values=True))
    assert "lost" in text
    assert "sesame" not in text


def test_what_xml_cannot_write_is_seen(result: integrity.Result) -> None:
    result = replace(result, skips={Assertion.ACCURACY: 'a\0b\x1bc\ud800d\ufffee <&> "f"\r\n\tg'})
    (suite,) = [suite for suite in told(result) if suite.name == "notes: accuracy"]
    assert {case.result[0].message for case in suite if kind_of(case) == "Skipped"} >= {
        'a\ufffdb\ufffdc\ufffdd\ufffde <&> "f"\r\n\tg'
    }


def test_what_was_in_force_is_told(result: integrity.Result) -> None:
    for suite in told(result):
        properties = {each.name: each.value for each in suite.properties()}
        assert properties["contract"] == "notes version 1"
        assert properties["contract_sha256"] == result.contract.sha256
        assert properties["spec_sha256"] == result.spec_sha256
        assert properties["verdict"] == "fail"
        assert properties["as_of"] == "2026-03-01T00:36:00+00:00"
        assert suite.timestamp == "2026-03-01T00:36:00"
