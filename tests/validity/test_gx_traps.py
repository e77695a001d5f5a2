"""False assurances of Great Expectations: each is shown to be one, then not to be ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

import integrity
from integrity import Assertion, Verdict
from integrity.gx_import import great_expectations
from integrity.validity.judge import quietly
from tests.conftest import at, frame, message, promise
from tests.test_reconcile_laws import without_self_test

gx = great_expectations()

from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine  # noqa: E402
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration  # noqa: E402
from great_expectations.validator.validator import Validator  # noqa: E402


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with without_self_test():
        yield


def theirs(rows: pd.DataFrame, name: str, **kwargs: Any) -> Any:
    """What Great Expectations itself makes of a frame, all of its result asked for."""
    with quietly():
        validator = Validator(execution_engine=PandasExecutionEngine(batch_data_dict={"rows": rows}))
        validator._determine_progress_bars = lambda: False  # type: ignore[method-assign]
        asked = ExpectationConfiguration(type=name, kwargs=kwargs)
        (result,) = validator.graph_validate([asked], runtime_configuration={"result_format": "COMPLETE"})
    return result


def ours(values: pl.Series, expected: dict[str, Any], kind: Any = "text") -> integrity.Result:
    """A reconciliation of items, a value each and all within a minute, with themselves."""
    rows = pl.DataFrame({"message_id": [f"m{n}" for n in range(len(values))], "x": values})
    rows = rows.with_columns(sent_at=pl.lit(at(1)), stored_at=pl.lit(at(1)))
    contract = promise(content={"x": kind}, amounts=None, window="1d", validity=[expected])
    return integrity.reconcile(contract, rows, rows)


def identities(result: integrity.Result) -> list[str]:
    return [row["message_id"] for part in result.iter_breaks() for row in part.to_pylist()]


def assert_unverified(result: integrity.Result, why: str) -> None:
    assert result.breaks.empty
    assert result.assertions[Assertion.VALIDITY] is Verdict.UNVERIFIED
    assert (result.verdict, result.exit_code) == (Verdict.UNVERIFIED, 3)
    assert [each.verdict for each in result.expectations] == [Verdict.UNVERIFIED] * 2
    assert any(note.startswith("validity: ") and why in note for note in result.notes), result.notes


# --- nothing to check, so all is well --------------------------------------------------------------------------------


def test_a_suite_without_expectations_passes(tmp_path: Path) -> None:
    suite = gx.ExpectationSuite("empty")
    with quietly():
        gx.get_context(mode="ephemeral")
        assert Validator(execution_engine=PandasExecutionEngine(), expectation_suite=suite).validate().success
    (tmp_path / "empty.json").write_text(json.dumps(suite.to_json_dict()))
    contract = "name: day\nversion: 1\nidentity: [message_id]\nvalidity: [{suite: empty.json}]\n"
    (tmp_path / "day.yaml").write_text(contract)
    with pytest.raises(integrity.ContractError, match="holds no expectation, and would always pass"):
        integrity.Contract.from_yaml(tmp_path / "day.yaml")


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("expect_column_values_to_be_unique", {}),
        ("expect_column_values_to_not_be_null", {}),
        ("expect_column_values_to_be_in_set", {"value_set": ["a"]}),
    ],
)
def test_a_batch_without_rows_passes(name: str, more: dict[str, Any]) -> None:
    assert theirs(pd.DataFrame({"x": pd.Series([], dtype=object)}), name, column="x", **more).success
    assert_unverified(ours(pl.Series([], dtype=pl.String), {name: {"column": "x", **more}}), "no value to look at")


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("expect_column_values_to_be_in_set", {"value_set": ["a"]}),
        ("expect_column_values_to_match_regex", {"regex": "^a$"}),
        ("expect_column_values_to_be_unique", {}),
        ("expect_column_distinct_values_to_be_in_set", {"value_set": ["a"]}),
    ],
)
def test_a_column_of_nothing_but_null_passes(name: str, more: dict[str, Any]) -> None:
    assert theirs(pd.DataFrame({"x": [None, None]}, dtype=object), name, column="x", **more).success
    nulls = pl.Series([None, None], dtype=pl.String)
    assert_unverified(ours(nulls, {name: {"column": "x", **more}}), "it had no value to look at")


# --- only the first 200 are looked at --------------------------------------------------------------------------------


def test_of_thousands_of_failures_the_first_200_are_listed() -> None:
    values = ["bad" if n % 3 == 0 else "good" for n in range(10_000)]
    in_set = {"column": "x", "value_set": ["good"]}
    found = theirs(pd.DataFrame({"x": values}), "expect_column_values_to_be_in_set", **in_set).result
    assert (found["unexpected_count"], len(found["unexpected_list"]), len(found["partial_unexpected_list"])) == (
        3_334, 200, 20,
    )  # fmt: skip
    result = ours(pl.Series(values), {"expect_column_values_to_be_in_set": in_set})
    listed = identities(result)
    assert len(listed) == result.totals["invalid"] == 3_334
    assert set(listed) == {f"m{n}" for n in range(0, 10_000, 3)}


# --- numbers become floats -------------------------------------------------------------------------------------------


def test_ten_thousand_times_ten_cents_are_not_a_thousand() -> None:
    cents = [Decimal("0.10")] * 10_000
    ten = {"column": "x", "min_value": 10, "max_value": 10}
    found = theirs(pd.DataFrame({"x": cents[:100]}), "expect_column_sum_to_be_between", **ten)
    assert (found.success, found.result["observed_value"]) == (False, pytest.approx(10))  # so slow are more of them
    sum_ = {"column": "x", "min_value": 1000, "max_value": 1000}
    money = {"type": "decimal", "scale": 2}
    values = pl.Series(cents, dtype=pl.Decimal(38, 2))
    assert ours(values, {"expect_column_sum_to_be_between": sum_}, money).verdict is Verdict.PASS
    short = ours(values.head(9_999), {"expect_column_sum_to_be_between": sum_}, money)
    assert short.assertions[Assertion.VALIDITY] is Verdict.FAIL
    assert "observed 999.9" in short.expectations[0].why


@pytest.mark.parametrize(
    ("name", "more", "good", "bad"),
    [
        ("expect_column_values_to_be_between", {"min_value": 0.1}, "0.1", "0.09"),
        ("expect_column_values_to_be_between", {"max_value": 0.1}, "0.1", "0.10000000000000000001"),
        ("expect_column_values_to_be_between", {"min_value": 0.1, "max_value": 0.3}, "0.3", "0.30000000000000000001"),
        ("expect_column_values_to_be_in_set", {"value_set": [0.1]}, "0.1", "0.10000000000000000001"),
        ("expect_column_values_to_not_be_in_set", {"value_set": [0.1]}, "0.10000000000000000001", "0.1"),
        ("expect_column_values_to_be_between", {"min_value": 0.1, "strict_min": True}, "0.10000000000000000001", "0.1"),
    ],
)
def test_a_bound_of_a_tenth_is_the_float_next_to_it(name: str, more: dict[str, Any], good: str, bad: str) -> None:
    money = {"type": "decimal", "scale": 20}
    result = ours(pl.Series([good, bad]), {name: {"column": "x", **more}}, money)
    assert identities(result) == ["m1"]


def test_that_a_tenth_is_no_tenth_is_so_in_great_expectations() -> None:
    tenth = pd.DataFrame({"x": [Decimal("0.1")]})
    assert not theirs(tenth, "expect_column_values_to_be_in_set", column="x", value_set=[0.1]).success
    assert not theirs(tenth, "expect_column_values_to_be_between", column="x", max_value=0.1, min_value=0.1).success


@pytest.mark.parametrize("null", [True, False])
def test_a_bound_beyond_2_to_the_53_is_rounded(null: bool) -> None:
    exact = {"column": "x", "max_value": 2**53}
    bound = gx.expectations.ExpectColumnValuesToBeBetween(column="x", max_value=2**53 + 1).max_value
    assert bound != 2**53 + 1  # by way of its schema
    values = [2**53, 2**53 + 1, *([None] if null else [])]
    result = ours(pl.Series(values), {"expect_column_values_to_be_between": exact}, "integer")
    assert identities(result) == ["m1"]
    above = {"column": "x", "max_value": 2**53 + 1}
    result = ours(pl.Series([*values, 2**53 + 2]), {"expect_column_values_to_be_between": above}, "integer")
    assert identities(result) == [f"m{len(values)}"]


@pytest.mark.parametrize("what", ["sum", "min", "max"])
def test_a_total_beyond_2_to_the_53_is_rounded(what: str) -> None:
    values = pl.Series([2**53 + 1])
    for bound, verdict in ((2**53 + 1, Verdict.PASS), (2**53, Verdict.FAIL), (2**53 + 2, Verdict.FAIL)):
        expected = {f"expect_column_{what}_to_be_between": {"column": "x", "min_value": bound, "max_value": bound}}
        assert ours(values, expected, "integer").assertions[Assertion.VALIDITY] is verdict


# --- what could not be asked -----------------------------------------------------------------------------------------


def test_a_check_that_broke_is_a_plain_failure() -> None:
    broken = {"column": "x", "regex": "["}
    found = theirs(pd.DataFrame({"x": ["a"]}), "expect_column_values_to_match_regex", **broken)
    assert (found.success, found.result) == (False, {})  # nothing but exception_info tells it from a real one
    result = ours(pl.Series(["a"]), {"expect_column_values_to_match_regex": broken})
    assert_unverified(result, "Invalid regular expression: missing ]: [")


def test_a_column_that_is_not_there_is_a_plain_failure() -> None:
    found = theirs(pd.DataFrame({"x": ["a"]}), "expect_column_values_to_be_unique", column="message_idd")
    assert (found.success, found.result) == (False, {})
    with pytest.raises(
        integrity.ContractError, match=r"neither side has a column 'message_idd'; did you mean 'message_id'\?"
    ):
        ours(pl.Series(["a"]), {"expect_column_values_to_be_unique": {"column": "message_idd"}})


@pytest.mark.parametrize("side", ["source", "destination", "both"])
def test_a_column_that_is_not_on_the_side_that_is_meant_is_refused(side: str) -> None:
    said = "destination" if side == "destination" else "source"
    with pytest.raises(integrity.ContractError, match=rf"validity\[0\]: the {said} has no column 'y'; there are .*'x'"):
        ours(pl.Series(["a"]), {"expect_column_values_to_be_unique": {"column": "y"}, "side": side})


def test_an_expectation_that_there_is_not_is_refused() -> None:
    with pytest.raises(
        integrity.ContractError,
        match=r"validity\[0\]: Great Expectations has no 'expect_column_values_to_be_uniqe'; "
        r"did you mean 'expect_column_values_to_be_unique'\?",
    ):
        ours(pl.Series(["a"]), {"expect_column_values_to_be_uniqe": {"column": "x"}})


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"column": "x", "regx": "a"}, r"regx: extra fields not permitted; did you mean 'regex'\?"),
        ({"column": "x", "regex": {"$PARAMETER": "r"}}, r"has a \$PARAMETER; write the value"),
        ({"column": "x", "regex": "a", "mostly": 2}, "mostly: "),
        ({}, "column: "),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(kwargs: dict[str, Any], says: str) -> None:
    with pytest.raises(integrity.ContractError, match=rf"validity\[0\]: expect_column_values_to_match_regex:? ?{says}"):
        ours(pl.Series(["a"]), {"expect_column_values_to_match_regex": kwargs})


@pytest.mark.parametrize("order", ["increasing", "decreasing"])
def test_the_order_of_rows_is_no_property_of_a_store(order: str) -> None:
    result = ours(pl.Series([1, 1]), {f"expect_column_values_to_be_{order}": {"column": "x"}}, "integer")
    assert_unverified(result, "it depends on the order of rows, which no store promises")


def test_another_table_cannot_be_counted() -> None:
    rows = pd.DataFrame({"x": [1]})
    assert not theirs(rows, "expect_table_row_count_to_equal_other_table", other_table_name="y").success
    result = ours(pl.Series(["a"]), {"expect_table_row_count_to_equal_other_table": {"other_table_name": "y"}})
    assert_unverified(result, "it compares two tables, which is what a reconciliation does")


def test_a_failure_stands_though_another_check_could_not_be_asked() -> None:
    day = frame(message(1, 1))
    broken = {"expect_column_values_to_match_regex": {"column": "body", "regex": "["}}
    failing = {"expect_column_values_to_be_in_set": {"column": "body", "value_set": ["x"]}}
    for both in ([broken, failing], [failing, broken]):
        result = integrity.reconcile(promise(validity=both), day, day)
        assert result.assertions[Assertion.VALIDITY] is Verdict.FAIL
        assert identities(result) == ["m1"]
        assert any("missing ]" in note for note in result.notes)


def test_what_only_warns_and_could_not_be_asked_is_listed_and_costs_nothing() -> None:
    day = frame(message(1, 1))
    broken = {"expect_column_values_to_match_regex": {"column": "body", "regex": "["}, "severity": "warning"}
    result = integrity.reconcile(promise(validity=[broken]), day, day)
    assert result.verdict is Verdict.PASS
    assert [each.verdict for each in result.expectations] == [Verdict.UNVERIFIED] * 2
    assert "unverified (warning) expect_column_values_to_match_regex(body)" in str(result)
