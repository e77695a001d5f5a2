"""A result of ours, as the tools of Great Expectations read one."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
from great_expectations.core import ExpectationSuiteValidationResult, RunIdentifier
from great_expectations.core.expectation_validation_result import expectationSuiteValidationResultSchema
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

import integrity
from integrity.gx import from_result
from tests.conftest import promise
from tests.gx.pipelines import AS_OF, pages, project, shown, validated

HOSTILE = "<script>alert(3)</script> $template"


def reconciled(day: pl.DataFrame, kept: pl.DataFrame, **changes: object) -> integrity.Result:
    return integrity.reconcile(promise(), day, kept, as_of=AS_OF, **changes)  # type: ignore[arg-type]


def page(found: ExpectationSuiteValidationResult) -> str:
    rendered = ValidationResultsPageRenderer().render(found)
    return str(DefaultJinjaPageView().render(rendered))


def test_a_pass_is_a_success(day: pl.DataFrame) -> None:
    found = from_result(reconciled(day, day))
    assert found.success is True
    assert [each.success for each in found.results] == [True] * 4
    assert found.statistics["success_percent"] == 100.0
    assert json.loads(json.dumps(found.to_json_dict()))["meta"]["integrity"]["verdict"] == "pass"


def test_each_promise_has_its_result(day: pl.DataFrame) -> None:
    kept = day[1:].with_columns(body=pl.when(pl.col("message_id") == "m17").then(pl.lit("?")).otherwise("body"))
    found = from_result(reconciled(day, kept))
    said = {each.expectation_config.kwargs["assertion"]: each for each in found.results}
    assert found.success is False
    assert {name: each.success for name, each in said.items()} == {
        "completeness": False, "accuracy": False, "validity": True, "timeliness": False
    }  # fmt: skip
    assert said["completeness"].result["observed_value"] == "fail: 1 lost"
    assert [row["kind"] for row in said["accuracy"].result["partial_unexpected_list"]] == ["corrupt"]
    assert not said["validity"].result["partial_unexpected_list"]
    assert found.statistics == {
        "evaluated_expectations": 4, "successful_expectations": 1, "unsuccessful_expectations": 3,
        "success_percent": 25.0, "skipped_expectations": 0,
    }  # fmt: skip
    text = shown(page(found))
    for words in ("completeness, as contract day promises it, from Polars frame in memory", "fail: 1 corrupt", "m17"):
        assert words in text


def test_what_was_skipped_is_shown_and_no_success(day: pl.DataFrame) -> None:
    found = from_result(reconciled(day, day, skip={"timeliness": HOSTILE}))
    assert found.success is True
    assert [each.expectation_config.kwargs["assertion"] for each in found.results] == [
        "completeness", "accuracy", "validity"
    ]  # fmt: skip
    assert found.meta["integrity"]["skipped"] == {"timeliness": HOSTILE}
    assert found.statistics["skipped_expectations"] == 1
    html = page(found)
    assert "<script>alert(3)" not in html
    assert HOSTILE in shown(html)
    assert "3 of 4 promises judged" in shown(html)


def test_where_it_was_read_is_text_also_in_the_title(day: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "<script>alert(4)<script>.parquet"
    day.write_parquet(path)
    html = page(from_result(integrity.reconcile(promise(), day, str(path), as_of=AS_OF)))
    assert "<script>alert(4)" not in html
    assert "alert(4)" in shown(html)


def test_what_was_observed_is_text(day: pl.DataFrame) -> None:
    found = from_result(reconciled(day, day))
    found.results[0].result["observed_value"] = HOSTILE
    html = page(found)
    assert "<script>alert(3)" not in html
    assert HOSTILE in shown(html)


def test_unverified_is_no_success(day: pl.DataFrame) -> None:
    found = from_result(reconciled(day.clear(), day.clear()))
    assert found.success is False
    assert not any(each.success for each in found.results)
    assert {each.result["observed_value"] for each in found.results} == {"unverified"}
    assert "unverified" in shown(page(found))


def test_it_is_read_back_and_kept_by_a_project(day: pl.DataFrame, tmp_path: Path) -> None:
    found = from_result(reconciled(day, day[1:]))
    again = expectationSuiteValidationResultSchema.load(json.loads(json.dumps(found.to_json_dict())))
    assert again.success is False
    assert again.statistics == found.statistics
    context = project(tmp_path)
    key = ValidationResultIdentifier(
        expectation_suite_identifier=ExpectationSuiteIdentifier(name=found.suite_name),
        run_id=RunIdentifier(**found.meta["run_id"]),
        batch_identifier="day",
    )
    context.validation_results_store.set(key, found)
    context.build_data_docs()
    (built,) = pages(tmp_path)
    assert "fail: 1 lost" in shown(built)


def test_a_recorded_promise_cannot_be_validated_again(day: pl.DataFrame) -> None:
    (first, *_) = from_result(reconciled(day, day)).results
    (result,) = validated(day, first.expectation)
    assert result.success is False
    assert "only records what was judged before" in str(result.exception_info)
