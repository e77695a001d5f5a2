"""What other tools read, read by those tools' own parsers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import junitparser
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import integrity
from integrity.report.junit import junit
from integrity.report.openlineage import openlineage
from integrity.report.prometheus import prometheus, write_atomically
from tests.ledger import books

HOSTILE = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def found(partition: str = "acme") -> integrity.Result:
    items = books.sent(40).with_columns(pl.lit(partition).alias("tenant"))
    return integrity.reconcile(
        books.promise(grace="5m"),
        items,
        books.damaged(items),
        as_of="2026-03-01T00:36:00Z",
        skip={"accuracy": 'a "why" & <b>\0'},
    )


@settings(max_examples=8, deadline=None)
@given(partition=HOSTILE)
def test_junit_counts_what_was_found_whatever_the_names(partition: str) -> None:
    result = found(partition)
    suites = list(junitparser.JUnitXml.fromstring(junit(result).encode()))
    assert [suite.name for suite in suites] == [f"notes: {assertion.value}" for assertion in result.assertions]
    for suite, (assertion, _) in zip(suites, result.assertions.items(), strict=True):
        said = [v for v in result.batches[assertion.value] if v is not None]
        cases = list(suite)
        kinds = [type(case.result[0]).__name__ if case.result else "pass" for case in cases]
        wanted = {"fail": "Failure", "unverified": "Error", "pending": "Skipped", "skipped": "Skipped", "pass": "pass"}
        assert sorted(kinds) == sorted(wanted[verdict] for verdict in said)
        assert suite.tests == len(cases)
        assert suite.failures == kinds.count("Failure")
        assert suite.errors == kinds.count("Error")
        assert suite.skipped == kinds.count("Skipped")


def test_junit_is_never_green_where_nothing_was_judged() -> None:
    nothing = pl.DataFrame({"id": []}, schema={"id": pl.String})
    notes = integrity.Contract(name="notes", version=1, identity=["id"])
    result = integrity.reconcile(notes, nothing, nothing)
    (completeness, validity) = junitparser.JUnitXml.fromstring(junit(result).encode())
    assert (completeness.errors, validity.errors) == (1, 1)


def test_junit_shows_nobody() -> None:
    text = junit(found())
    assert "note-2" not in text
    assert "lost" in text


@settings(max_examples=4, deadline=None)
@given(pipeline=HOSTILE)
def test_prometheus_reads_the_totals(pipeline: str) -> None:
    result = found()
    samples = {
        (sample.name, *(v for k, v in sorted(sample.labels.items()) if k not in ("contract", "pipeline"))): sample
        for family in text_string_to_metric_families(prometheus(result, pipeline=pipeline))
        for sample in family.samples
    }
    assert samples["integrity_verdict", "fail"].value == 1
    assert sum(s.value for key, s in samples.items() if key[0] == "integrity_verdict") == 1
    assert samples["integrity_verdict", "fail"].labels["pipeline"] == pipeline
    for kind in ("lost", "duplicate", "late", "invalid"):
        assert samples["integrity_breaks", kind].value == result.totals[kind]
    assert samples["integrity_items", "source"].value == result.totals["source_records"]
    assert samples["integrity_latency_max_seconds",].value == result.batches["latency_max"].max().total_seconds()
    assert samples["integrity_batches", "pending"].value == (result.batches["verdict"] == "pending").sum()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "integrity.prom"
    write_atomically(path, "old")
    write_atomically(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["integrity.prom"]
    assert path.read_text() == "new"
    with pytest.raises(integrity.IntegrityError, match="cannot write"):
        write_atomically(tmp_path / "absent" / "x.prom", "new")


def test_openlineage_is_read_by_its_own_client() -> None:
    from openlineage.client.event_v2 import InputDataset, Job, Run, RunEvent, RunState
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as assertions
    from openlineage.client.facet_v2 import data_quality_metrics_input_dataset as metrics

    result = found()
    event = openlineage(result, job="notes", namespace="acme")
    source, destination = event["inputs"]
    facet = destination["inputFacets"]["dataQualityAssertions"]
    asserted = assertions.DataQualityAssertionsDatasetFacet(
        [assertions.Assertion(**each) for each in facet["assertions"]]
    )
    assert {each.assertion: each.success for each in asserted.assertions} == {
        a.value: v == "pass" for a, v in result.assertions.items() if v in ("pass", "fail", "unverified")
    }
    counted = metrics.DataQualityMetricsInputDatasetFacet(
        rowCount=source["inputFacets"]["dataQualityMetrics"]["rowCount"], columnMetrics={}
    )
    assert counted.rowCount == result.totals["source_records"]
    RunEvent(
        eventType=RunState[event["eventType"]],
        eventTime=event["eventTime"],
        run=Run(event["run"]["runId"]),
        job=Job(**event["job"]),
        inputs=[InputDataset(each["namespace"], each["name"]) for each in event["inputs"]],
        producer=event["producer"],
    )
    told = event["run"]["facets"]["integrity_reconciliation"]
    assert told["verdict"] == "fail"
    assert told["assertions"]["accuracy"] == "skipped"
    json.dumps(event)


@pytest.mark.parametrize(
    ("location", "dataset"),
    [
        ("postgresql://kim@db/shop#public.orders", ("postgres://db:5432", "shop.public.orders")),
        ("mariadb+pymysql://db:3307/shop#orders", ("mysql://db:3307", "shop.orders")),
        ("s3://lake/year=2026/*.parquet", ("s3://lake", "year=2026/*.parquet")),
        ("/data/a.csv", ("file", "/data/a.csv")),
    ],
)
def test_datasets_are_named_as_openlineage_names_them(location: str, dataset: tuple[str, str]) -> None:
    from integrity.report.openlineage import _dataset

    assert _dataset(location) == dataset


@pytest.mark.parametrize("option", ["--junit", "--openlineage", "--prometheus"])
def test_the_shell_writes_them(option: str, tmp_path: Path, capsys: Any) -> None:
    from integrity.cli import main

    contract = tmp_path / "notes.yaml"
    contract.write_text("name: notes\nversion: 1\nidentity: [id]\n")
    (tmp_path / "a.csv").write_text("id\n1\n")
    with pytest.raises(SystemExit) as ended:
        main(["reconcile", str(contract), f"{tmp_path}/a.csv", f"{tmp_path}/a.csv", option, f"{tmp_path}/out"])
    assert ended.value.code == 0
    assert "notes" in (tmp_path / "out").read_text()
