"""What a contract expects of its items, in the words of Great Expectations: of which side, how badly, and of what."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import integrity
from integrity import Assertion, Verdict
from integrity.examinations import Held
from integrity.gx_import import great_expectations
from tests.conftest import at, frame, message, promise
from tests.test_reconcile_laws import on_disk, without_self_test

great_expectations()

IN_SET = "expect_column_values_to_be_in_set"
BETWEEN = "expect_column_values_to_be_between"
MEAN = "expect_column_mean_to_be_between"
UNIQUE = "expect_column_values_to_be_unique"


@pytest.fixture
def tested() -> None:
    """A test that asks for this runs with the self-test."""


@pytest.fixture(autouse=True)
def _quick(request: pytest.FixtureRequest) -> Iterator[None]:
    if "tested" in request.fixturenames:
        yield
        return
    with without_self_test():
        yield


def expect(name: str, *, beside: dict[str, Any] | None = None, **kwargs: Any) -> dict[str, Any]:
    return {name: kwargs, **(beside or {})}


def ask(
    source: pl.DataFrame,
    *expected: dict[str, Any],
    destination: pl.DataFrame | None = None,
    contract: dict[str, Any] | None = None,
    **asked: Any,
) -> integrity.Result:
    kept = source if destination is None else destination
    return integrity.reconcile(promise(validity=list(expected), **(contract or {})), source, kept, **asked)


def invalid(result: integrity.Result) -> dict[str, str]:
    """Why each item is invalid: an item is one break, whatever is wrong with it."""
    told = result.breaks[result.breaks["kind"] == "invalid"]
    assert told["message_id"].is_unique
    assert len(told) == result.totals["invalid"]
    return dict(zip(told["message_id"], told["reason"], strict=True))


def held(result: integrity.Result) -> dict[str, Held]:
    """What became of the only expectation, by side."""
    assert len({each.name for each in result.expectations}) == 1
    return {each.side: each for each in result.expectations}


def validity(result: integrity.Result) -> Verdict:
    return result.assertions[Assertion.VALIDITY]


# --- which side ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "blamed"),
    [("source", {"m1"}), ("destination", {"m2"}), ("both", {"m1", "m2"}), (None, {"m1", "m2"})],
)
def test_it_is_asked_of_the_side_that_is_said(side: str | None, blamed: set[str]) -> None:
    here, there = frame(message(1, 1, size_bytes=-1), message(2, 2)), frame(message(1, 1), message(2, 2, size_bytes=-1))
    expected = expect(BETWEEN, column="size_bytes", min_value=0, beside={"side": side} if side else {})
    result = ask(here, expected, destination=there)
    assert set(invalid(result)) == blamed
    assert set(held(result)) == ({"source", "destination"} if side in (None, "both") else {side})


@pytest.mark.parametrize("has", ["source", "destination"])
def test_unsaid_it_is_asked_of_each_side_that_has_its_columns(has: str) -> None:
    plain = frame(message(1, 1), message(2, 2))
    more = plain.with_columns(kind=pl.Series(["text", "txet"]))
    here, there = (more, plain) if has == "source" else (plain, more)
    result = ask(here, expect(IN_SET, column="kind", value_set=["text"]), destination=there)
    assert invalid(result) == {"m2": f"{IN_SET}(kind)"}
    assert list(held(result)) == [has]


def test_by_our_names_whatever_theirs_are() -> None:
    day = frame(message(1, 1), message(2, 2, body="x"))
    theirs = day.rename({"body": "Text"}).with_columns(kind=pl.lit("a")).rename({"kind": "Art"})
    mapped = {"source": {"Text": "body", "Art": "kind"}}
    result = ask(
        theirs, expect(IN_SET, column="body", value_set=["x"]), expect(IN_SET, column="kind", value_set=["b"]),
        destination=day, columns=mapped,
    )  # fmt: skip
    assert invalid(result) == {"m1": f"{IN_SET}(body); {IN_SET}(kind)", "m2": f"{IN_SET}(kind)"}


def test_what_is_recorded_has_no_rows_to_look_at(day: pl.DataFrame) -> None:
    contract = promise(validity=[expect(BETWEEN, column="size_bytes", min_value=0)])
    result = integrity.reconcile(contract, integrity.measure(contract, day, side="source"), day)
    assert held(result)["source"].verdict is Verdict.UNVERIFIED
    assert held(result)["source"].why == "recorded totals have no rows to look at"
    assert held(result)["destination"].verdict is Verdict.PASS
    assert validity(result) is Verdict.UNVERIFIED


# --- how badly -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("severity", ["warning", "info"])
def test_what_only_warns_is_listed_and_changes_no_verdict(day: pl.DataFrame, severity: str) -> None:
    result = ask(day, expect(BETWEEN, column="size_bytes", min_value=12, beside={"severity": severity}))
    assert (result.verdict, result.break_count, result.totals["invalid"]) == (Verdict.PASS, 0, 0)
    assert Counter(zip(result.warnings["kind"], result.warnings["message_id"], strict=True)) == {
        (severity, "m0"): 2, (severity, "m1"): 2,
    }  # fmt: skip
    assert set(result.warnings["reason"]) == {f"{BETWEEN}(size_bytes) in the {side}" for side in held(result)}
    assert result.warnings["batch_start"].tolist() == [at(0)] * 4
    source = held(result)["source"]
    assert (source.verdict, source.severity, source.looked, source.unexpected) == (Verdict.FAIL, severity, 30, 2)
    assert f"fail ({severity}) {BETWEEN}(size_bytes) in the source: 2 of 30 items are not as expected" in str(result)


def test_of_what_is_critical_nothing_only_warns(day: pl.DataFrame) -> None:
    result = ask(day, expect(BETWEEN, column="size_bytes", min_value=12))
    assert (result.verdict, set(invalid(result)), len(result.warnings)) == (Verdict.FAIL, {"m0", "m1"}, 0)


def test_a_mean_that_only_warns_fails_no_batch(day: pl.DataFrame) -> None:
    result = ask(day, expect(MEAN, column="size_bytes", max_value=1, beside={"severity": "warning"}))
    assert result.verdict is Verdict.PASS
    assert held(result)["source"].batches == 3


@pytest.mark.parametrize(("mostly", "breaks"), [(0.9, 0), ("0.9", 0), (0.90000001, 3), (0.91, 3), (1, 3), (0.5, 0)])
def test_mostly_forgives_all_or_nothing_over_the_run(day: pl.DataFrame, mostly: Any, breaks: int) -> None:
    result = ask(day, expect(BETWEEN, column="size_bytes", min_value=13, mostly=mostly))
    assert len(invalid(result)) == breaks
    assert validity(result) is (Verdict.FAIL if breaks else Verdict.PASS)
    assert held(result)["source"].unexpected == 3
    if not breaks:  # it is on the record all the same
        assert (
            f"{BETWEEN}(size_bytes) in the source: 3 of 30 items are not as expected, which its mostly forgives"
            in str(result)
        )


# --- of what ---------------------------------------------------------------------------------------------------------


def test_of_each_batch_as_a_whole(day: pl.DataFrame) -> None:
    result = ask(day, expect(MEAN, column="size_bytes", max_value=26))  # of the batches: 14.5, 24.5, 34.5
    assert result.batches["validity"].tolist() == ["pass", "pass", "fail"]
    assert (validity(result), result.break_count) == (Verdict.FAIL, 0)
    assert held(result)["source"].batches == 1
    assert held(result)["source"].why == "of 1 batches, the first starting at 2026-03-02T00:20:00+00:00, observed 34.5"


def test_of_all_batches_together(day: pl.DataFrame) -> None:
    run = {"over": "run"}
    good = ask(day, expect(MEAN, column="size_bytes", min_value=24.5, max_value=24.5, beside=run))
    assert good.verdict is Verdict.PASS
    bad = ask(day, expect(MEAN, column="size_bytes", max_value=24, beside=run))
    assert bad.batches["validity"].tolist() == ["fail"] * 3
    assert held(bad)["source"].why == "of all of them together, observed 24.5"


def test_of_one_partition(day: pl.DataFrame) -> None:
    named = day.with_columns(tenant=pl.when(pl.col("size_bytes") == 17).then(pl.lit("b")).otherwise(pl.lit("a")))
    contract = {"identity": ["tenant", "message_id"], "partition": ["tenant"]}
    result = ask(named, expect("expect_table_row_count_to_be_between", min_value=2), contract=contract)
    failed = result.batches[result.batches["validity"] == "fail"]
    assert list(zip(failed["tenant"], failed["batch_start"], strict=True)) == [("b", at(0))]


def test_rows_are_counted_by_batch(day: pl.DataFrame) -> None:
    result = ask(day.filter(pl.col("message_id") != "m15"), expect("expect_table_row_count_to_equal", value=10))
    assert result.batches["validity"].tolist() == ["pass", "fail", "pass"]


@pytest.mark.parametrize("spilled", [False, True])
def test_unique_across_chunks_and_windows(day: pl.DataFrame, spilled: bool) -> None:
    number = pl.int_range(pl.len())
    twice = day.with_columns(token=pl.when(number.is_in([1, 29])).then(pl.lit("same")).otherwise("message_id"))
    twice = twice.with_columns(token=pl.when(number > 2).then("token").otherwise(pl.when(number == 1).then("token")))
    if spilled:
        with on_disk():
            result = ask(twice, expect(UNIQUE, column="token"))
    else:
        result = ask(twice, expect(UNIQUE, column="token"))
    assert set(invalid(result)) == {"m1", "m29"}
    assert result.batches["validity"].tolist() == ["fail", "pass", "fail"]
    assert held(result)["source"].looked == 28  # a NULL is like nothing, and not looked at


def test_unique_together() -> None:
    day = frame(*(message(n, 9 * n) for n in range(4))).with_columns(
        a=pl.Series(["x", "x", "y", "x"]), b=pl.Series([1, 2, 1, 1])
    )
    result = ask(day, expect("expect_compound_columns_to_be_unique", column_list=["a", "b"]))
    assert invalid(result) == dict.fromkeys(["m0", "m3"], "expect_compound_columns_to_be_unique(a, b)")


def test_of_pairs_and_several_columns() -> None:
    day = frame(*(message(n, n) for n in range(4))).with_columns(a=pl.Series([1, 2, 3, 4]), b=pl.Series([1, 2, 3, 5]))
    pair = expect("expect_column_pair_values_to_be_equal", column_A="a", column_B="b")
    assert invalid(ask(day, pair)) == {"m3": "expect_column_pair_values_to_be_equal(a, b)"}
    total = expect("expect_multicolumn_sum_to_equal", column_list=["a", "b"], sum_total=4)
    assert set(invalid(ask(day, total))) == {"m0", "m2", "m3"}
    within = expect("expect_select_column_values_to_be_unique_within_record", column_list=["a", "b"])
    assert set(invalid(ask(day, within))) == {"m0", "m1", "m2"}


@pytest.mark.parametrize(
    "condition",
    [
        {"row_condition": 'col("kind") == "text"', "condition_parser": "great_expectations"},
        {"row_condition": {"type": "comparison", "column": {"name": "kind"}, "operator": "==", "parameter": "text"}},
        {"row_condition": 'kind == "text"', "condition_parser": "pandas"},
    ],
)
def test_of_some_rows(day: pl.DataFrame, condition: dict[str, Any]) -> None:
    some = day.with_columns(kind=pl.when(pl.int_range(pl.len()) < 3).then(pl.lit("text")).otherwise(pl.lit("file")))
    result = ask(some, expect(BETWEEN, column="size_bytes", min_value=12, max_value=20, **condition))
    assert set(invalid(result)) == {"m0", "m1"}
    assert held(result)["source"].looked == 3
    bounded = ask(some, expect("expect_column_max_to_be_between", column="size_bytes", max_value=12, **condition))
    # The other batches have no row of the kind, and so nothing that could be as expected.
    assert bounded.batches["validity"].tolist()[0] != "fail"
    assert bounded.batches["invalid"].tolist() == [0, 0, 0]


def test_a_condition_that_cannot_be_read_is_refused(day: pl.DataFrame) -> None:
    condition = {"row_condition": 'col("kind") =! "text"', "condition_parser": "great_expectations"}
    with pytest.raises(integrity.ContractError, match=rf"validity\[0\]: {UNIQUE}: unable to parse condition"):
        ask(day, expect(UNIQUE, column="body", **condition))


def test_of_columns(day: pl.DataFrame) -> None:
    there = expect("expect_column_to_exist", column="body")
    named = expect("expect_table_columns_to_match_set", column_set=day.columns)
    assert ask(day, there, named).verdict is Verdict.PASS
    few = ask(day, expect("expect_table_columns_to_match_set", column_set=["body", "message_id"]))
    assert (validity(few), few.break_count) == (Verdict.FAIL, 0)
    assert "'size_bytes'" in held(few)["destination"].why
    gone = expect("expect_column_to_exist", column="stored_at", beside={"side": "source"})
    assert validity(ask(day.drop("stored_at"), gone, destination=day)) is Verdict.FAIL
    assert validity(ask(day, gone)) is Verdict.PASS


def test_of_the_columns_of_no_rows_nothing_is_known() -> None:
    result = ask(frame(), expect("expect_column_to_exist", column="body"))
    assert {each.verdict for each in result.expectations} == {Verdict.UNVERIFIED}


# --- of which values -------------------------------------------------------------------------------------------------


def test_columns_that_are_not_declared() -> None:
    day = frame(*(message(n, n) for n in range(3))).with_columns(
        score=pl.Series([0.5, None, 2.5]), tags=pl.Series([["a"], [], ["b"]]), flag=pl.Series([True, None, False])
    )
    assert set(invalid(ask(day, expect(BETWEEN, column="score", max_value=1)))) == {"m2"}
    assert set(invalid(ask(day, expect(IN_SET, column="flag", value_set=[True])))) == {"m2"}
    null = expect("expect_column_values_to_not_be_null", column="flag")
    assert set(invalid(ask(day, null))) == {"m1"}


def test_huge_whole_numbers() -> None:
    numbers = [str(2**70), str(2**70 + 1), None, "-5"]
    day = frame(*(message(n, n) for n in range(4))).with_columns(n=pl.Series(numbers))
    contract = {"content": {"n": "integer"}, "amounts": None}
    for top, blamed in ((2**70, {"m1"}), (2**70 - 1, {"m0", "m1"})):
        result = ask(day, expect(BETWEEN, column="n", max_value=top, min_value=-5), contract=contract)
        assert set(invalid(result)) == blamed
    listed = expect(IN_SET, column="n", value_set=[2**70, -5])
    assert set(invalid(ask(day, listed, contract=contract))) == {"m1"}


@pytest.mark.parametrize("kind", ["integer", None])
def test_a_null_beside_them_makes_no_whole_number_a_float(kind: str | None) -> None:
    day = frame(*(message(n, n) for n in range(3))).with_columns(n=pl.Series([2**53 + 1, None, 2**53]))
    contract = {"content": {"n": kind} if kind else {"body": "text"}, "amounts": None}
    listed = expect(IN_SET, column="n", value_set=[2**53])
    assert set(invalid(ask(day, listed, contract=contract))) == {"m0"}
    digits = expect("expect_column_values_to_match_regex", column="n", regex="^[0-9]+$")
    looked = ask(day, digits, contract=contract)
    assert invalid(looked) == {}


def test_moments_with_bounds(day: pl.DataFrame) -> None:
    late = {"min_value": "2026-03-02T09:05:00+09:00"}
    result = ask(day, expect(BETWEEN, column="sent_at", **late))
    assert set(invalid(result)) == {f"m{n}" for n in range(5)}
    text = day.with_columns(pl.col("sent_at").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert set(invalid(ask(text, expect(BETWEEN, column="sent_at", **late)))) == {f"m{n}" for n in range(5)}
    naive = ask(day, expect(BETWEEN, column="sent_at", min_value="2026-03-02T00:05:00"))
    assert validity(naive) is Verdict.UNVERIFIED  # nobody knows which five past midnight


def test_days() -> None:
    days = pl.Series([dt.date(2026, 3, 1), dt.date(2026, 3, 2), None])
    day = frame(*(message(n, n) for n in range(3))).with_columns(due=days)
    contract = {"content": {"due": "date"}, "amounts": None}
    null = expect("expect_column_values_to_not_be_null", column="due")
    assert set(invalid(ask(day, null, contract=contract))) == {"m2"}
    # To Great Expectations a day is no text, so a bound that is text is never quietly met.
    bounded = ask(day, expect(BETWEEN, column="due", min_value="2026-03-02"), contract=contract)
    assert validity(bounded) is not Verdict.PASS


def test_truths() -> None:
    day = frame(*(message(n, n) for n in range(3))).with_columns(flag=pl.Series(["true", "0", None]))
    contract = {"content": {"flag": "boolean"}, "amounts": None}
    assert set(invalid(ask(day, expect(IN_SET, column="flag", value_set=[True]), contract=contract))) == {"m1"}


def test_what_cannot_be_read_is_invalid_by_itself_and_once() -> None:
    day = frame(*(message(n, n) for n in range(2))).with_columns(n=pl.Series(["1", "one"]))
    contract = {"content": {"n": "integer"}, "amounts": None}
    result = ask(day, expect(BETWEEN, column="n", min_value=2), contract=contract)
    assert invalid(result) == {"m0": f"{BETWEEN}(n)", "m1": "n does not read as integer"}


# --- which items -----------------------------------------------------------------------------------------------------


def test_open_batches_are_not_judged(day: pl.DataFrame) -> None:
    none = expect(IN_SET, column="body", value_set=["x"])
    result = ask(day, none, as_of=at(30))
    assert set(invalid(result)) == {f"m{n}" for n in range(20)}
    assert result.batches["validity"].tolist() == ["fail", "fail", "pending"]
    assert held(result)["source"].looked == 20
    mean = ask(day, expect(MEAN, column="size_bytes", max_value=26), as_of=at(30))
    assert validity(mean) is Verdict.PASS


def test_only_what_was_asked_for(day: pl.DataFrame) -> None:
    result = ask(day, expect(IN_SET, column="body", value_set=["x"]), since=at(10), until=at(20))
    assert set(invalid(result)) == {f"m{n}" for n in range(10, 20)}


def test_what_is_left_out_is_not_asked(day: pl.DataFrame) -> None:
    typing = day.vstack(frame(message(99, 5, body="typing…", size_bytes=0)))
    rule = {"name": "typing", "where": {"body": ["typing…"]}, "reason": "never stored"}
    result = ask(typing, expect(BETWEEN, column="size_bytes", min_value=1), contract={"exclude": [rule]})
    assert result.verdict is Verdict.PASS
    assert held(result)["source"].looked == 30


@pytest.mark.parametrize("name", [BETWEEN, UNIQUE, MEAN])
def test_only_the_newest_revision_is_asked(name: str) -> None:
    contract = {"content": {"revision": "integer", "n": "integer"}, "amounts": None, "latest_by": "revision"}
    rows = [("a", 1, -7), ("a", 2, 1), ("b", 1, 1), ("b", 2, 2)]
    day = pl.DataFrame(rows, schema=["message_id", "revision", "n"], orient="row").with_columns(
        sent_at=pl.lit(at(1)), stored_at=pl.lit(at(1))
    )
    bounds = {} if name == UNIQUE else {"min_value": 1}
    assert ask(day, expect(name, column="n", **bounds), contract=contract).verdict is Verdict.PASS
    old = day.with_columns(revision=3 - pl.col("revision"))
    result = ask(old, expect(BETWEEN, column="n", min_value=1), contract=contract)
    assert set(invalid(result)) == {"a"}


def test_an_item_with_several_faults_is_one_break_with_all_of_them() -> None:
    day = frame(message(1, 1), message(2, 2, size_bytes=5))
    result = ask(
        day,
        expect(IN_SET, column="body", value_set=["x"]),
        expect(BETWEEN, column="size_bytes", min_value=10),
    )
    assert invalid(result) == {"m1": f"{IN_SET}(body)", "m2": f"{IN_SET}(body); {BETWEEN}(size_bytes)"}


def test_in_a_batch_that_differs_too_each_is_said_once(day: pl.DataFrame) -> None:
    kept = day.filter(~pl.col("message_id").is_in(["m1", "m2"])).with_columns(
        body=pl.when(pl.col("message_id") == "m4").then(pl.lit("other")).otherwise("body")
    )
    result = ask(day, expect(BETWEEN, column="size_bytes", min_value=15), destination=kept)
    found = Counter(zip(result.breaks["kind"], result.breaks["message_id"], strict=True))
    assert found == {("lost", "m1"): 1, ("lost", "m2"): 1, ("corrupt", "m4"): 1} | {
        ("invalid", f"m{n}"): 1 for n in range(5)
    }


def test_an_item_that_the_destination_has_besides_is_asked() -> None:
    result = ask(
        frame(message(1, 1)), expect(BETWEEN, column="size_bytes", max_value=20),
        destination=frame(message(1, 1), message(50, 2)),
    )  # fmt: skip
    assert {(b.kind, b.message_id) for b in result.breaks.itertuples()} == {("extra", "m50"), ("invalid", "m50")}


def test_two_snapshots_are_one_batch() -> None:
    day = frame(message(1, 1), message(2, 900)).drop("sent_at", "stored_at")
    contract = dict.fromkeys(("clock", "window", "grace", "timeliness"))
    assert set(invalid(ask(day, expect(BETWEEN, column="size_bytes", max_value=11), contract=contract))) == {"m2"}
    mean = ask(day, expect(MEAN, column="size_bytes", max_value=11), contract=contract)
    assert mean.batches["validity"].tolist() == ["fail"]


def test_more_rows_than_are_asked_about_at_a_time(day: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    from integrity.validity import examine

    monkeypatch.setattr(examine, "_ROWS", 4)
    expected = [expect(BETWEEN, column="size_bytes", min_value=15), expect(MEAN, column="size_bytes", max_value=26)]
    with on_disk():
        result = ask(day, *expected)
    assert set(invalid(result)) == {f"m{n}" for n in range(5)}
    assert [each.looked for each in result.expectations] == [30] * 4
    assert result.batches["validity"].tolist() == ["fail", "pass", "fail"]


# --- on the record ---------------------------------------------------------------------------------------------------


def test_the_result_says_what_became_of_each(day: pl.DataFrame, tmp_path: Path) -> None:
    good = expect(IN_SET, column="size_bytes", value_set=list(range(100)))
    bad = expect(BETWEEN, column="size_bytes", min_value=11, beside={"side": "destination"})
    result = ask(day, good, bad)
    assert [(e.name, e.side, e.verdict.value, e.looked, e.unexpected) for e in result.expectations] == [
        (f"{IN_SET}(size_bytes)", "source", "pass", 30, 0),
        (f"{IN_SET}(size_bytes)", "destination", "pass", 30, 0),
        (f"{BETWEEN}(size_bytes)", "destination", "fail", 30, 1),
    ]
    result.to_json(tmp_path / "r.json")
    listed = json.loads((tmp_path / "r.json").read_text())["run"]["expectations"]
    assert listed[2] == {
        "name": f"{BETWEEN}(size_bytes)", "side": "destination", "severity": "critical", "verdict": "fail",
        "looked": 30, "unexpected": 1, "batches": 0, "why": "",
    }  # fmt: skip
    assert str(result).count("expect_") == 1  # what holds is not remarkable


@pytest.mark.usefixtures("tested")
def test_the_self_test_finds_what_is_not_as_expected(day: pl.DataFrame) -> None:
    tested = ask(day, expect(BETWEEN, column="size_bytes", min_value=0)).self_test
    assert tested.startswith("planted and found ")
    assert "invalid" in tested.partition("not planted")[0]
    assert "not planted: invalid" in integrity.reconcile(promise(), day, day).self_test


@pytest.mark.usefixtures("tested")
def test_a_run_that_cannot_see_what_is_not_as_expected_is_an_error(
    day: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    from integrity.validity import examine
    from integrity.validity.judge import Answer

    monkeypatch.setattr(examine, "judge", lambda frame, questions: [Answer(looked=len(frame)) for _ in questions])
    with pytest.raises(integrity.SelfTestError, match="missed: invalid"):
        ask(day, expect(BETWEEN, column="size_bytes", min_value=0))


# --- what it leaves behind -------------------------------------------------------------------------------------------

NOT_IMPORTED = """
import sys, polars as pl, datetime as dt, integrity
assert "great_expectations" not in sys.modules
now = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
day = pl.DataFrame({"id": ["1"], "sent_at": [now]})
said = dict(name="day", version=1, identity=["id"], clock={"event": "sent_at"})
print(integrity.reconcile(integrity.Contract(**said), day, day).verdict.value)
asked = integrity.Contract(**said, validity=[{"expect_column_to_exist": {"column": "id"}}])
result = integrity.reconcile(asked, day, day, skip={"validity": "why"})
print(result.assertions["validity"].value, result.expectations, "validity skipped: why" in result.notes)
assert "great_expectations" not in sys.modules
integrity.reconcile(asked, day, day)
print("great_expectations" in sys.modules)
"""


def test_great_expectations_is_imported_when_something_is_expected_and_not_before() -> None:
    said = subprocess.run(
        [sys.executable, "-W", "error", "-c", NOT_IMPORTED], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stderr) == (0, ""), said.stderr
    assert said.stdout.splitlines() == ["pass", "skipped () True", "True"]


def test_nothing_is_left_behind(
    day: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("it went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SF_PARTNER", "mine")
    before = dict(os.environ), list(warnings.filters), warnings.showwarning, logging._warnings_showwarning  # type: ignore[attr-defined]
    result = ask(
        day,
        expect(IN_SET, column="body", value_set=["x"]),
        expect(MEAN, column="size_bytes", max_value=1),
        expect(UNIQUE, column="body"),
        expect("expect_column_to_exist", column="body"),
        expect("expect_column_values_to_match_regex", column="body", regex="["),
    )
    assert result.verdict is Verdict.FAIL
    after = dict(os.environ), list(warnings.filters), warnings.showwarning, logging._warnings_showwarning  # type: ignore[attr-defined]
    assert after == before
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")  # no progress bar either


def test_two_threads_at_once(day: pl.DataFrame) -> None:
    def blamed(least: int) -> int:
        expected = [
            expect(BETWEEN, column="size_bytes", min_value=least),
            expect(MEAN, column="size_bytes", min_value=least),
        ]
        result = ask(day, *expected)
        return len(invalid(result)) * 10 + result.batches["validity"].tolist().count("fail")

    limits = [10, 11, 15, 20, 25, 40]
    alone = [blamed(limit) for limit in limits]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(blamed, limits)) == alone
    assert alone[:2] == [0, 11]


# --- what once went wrong --------------------------------------------------------------------------------------------

#: Every row, by way of a condition: what is exact of all of them has to be exact of some.
SOME = {"row_condition": {"type": "comparison", "column": {"name": "message_id"}, "operator": "!=", "parameter": "zz"}}


@pytest.mark.parametrize("about", [{}, SOME], ids=["of all", "of some"])
@pytest.mark.parametrize(
    ("name", "values", "bounds"),
    [
        ("expect_column_sum_to_be_between", [2**62] * 4, {"max_value": 10}),
        ("expect_column_sum_to_be_between", [2**53 + 1], {"min_value": 2**53, "max_value": 2**53}),
        ("expect_column_max_to_be_between", [2**53 + 1], {"max_value": 2**53}),
        (MEAN, [2**53 + 1], {"max_value": 2**53}),
        ("expect_column_median_to_be_between", [2**53 + 1, 2**53 + 1], {"max_value": 2**53}),
    ],
)
def test_what_is_one_too_many_is_too_many(
    name: str, values: list[int], bounds: dict[str, int], about: dict[str, Any]
) -> None:
    rows = frame(*(message(n, 1, size_bytes=value) for n, value in enumerate(values)))
    assert validity(ask(rows, expect(name, column="size_bytes", **bounds, **about))) is Verdict.FAIL
    enough = {"max_value": 4 * 2**62}
    assert validity(ask(rows, expect(name, column="size_bytes", **enough, **about))) is Verdict.PASS


def test_a_mean_of_decimals_is_exact() -> None:
    rows = frame(*(message(n, 1) for n in range(100))).with_columns(x=pl.lit("0.10"))
    exact = {"content": {"body": "text", "size_bytes": "integer", "x": {"type": "decimal", "scale": 2}}}
    held_ = ask(rows, expect(MEAN, column="x", min_value=0.1, max_value=0.1), contract=exact)
    assert validity(held_) is Verdict.PASS


def test_dates_are_bounded_by_dates() -> None:
    rows = frame(message(1, 1), message(2, 1)).with_columns(on=pl.Series(["2026-03-01", "2026-03-03"]))
    dated = {"content": {"body": "text", "size_bytes": "integer", "on": "date"}}
    result = ask(rows, expect(BETWEEN, column="on", min_value="2026-03-02"), contract=dated)
    assert set(invalid(result)) == {"m1"}


def test_totals_recorded_earlier_meet_items_that_are_not_as_expected(day: pl.DataFrame) -> None:
    contract = promise(validity=[expect(IN_SET, column="body", value_set=["x"])])
    for recorded in ("source", "destination"):
        sides = {"source": day, "destination": day}
        sides[recorded] = integrity.measure(contract, day, side=recorded)  # type: ignore[arg-type]
        result = integrity.reconcile(contract, sides["source"], sides["destination"])
        assert validity(result) is Verdict.FAIL
        assert result.totals["invalid"] > 0


def test_a_severity_among_the_arguments_is_one_in_every_form() -> None:
    written = {"type": "expect_column_to_exist", "kwargs": {"column": "body", "severity": "info"}}
    contract = promise(validity=[written])
    assert contract.validity[0].severity == "info"
    assert integrity.Contract.from_text(contract.to_yaml()) == contract


def test_a_column_that_neither_side_has_does_not_exist(day: pl.DataFrame) -> None:
    assert validity(ask(day, expect("expect_column_to_exist", column="nowhere"))) is Verdict.FAIL
