"""OpenLineage's events, held against those that its own client writes."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import integrity
from integrity.contracts import Assertion
from integrity.examinations import Held
from integrity.report.openlineage import _dataset, openlineage
from integrity.stores.sql import SqlStore
from integrity.verdicts import Verdict
from tests.ledger import books
from tests.report.found import HOSTILE, found, reconciled


@pytest.fixture(scope="module")
def result() -> integrity.Result:
    return found()


def asserted(event: dict[str, Any], place: int) -> dict[str, bool]:
    facet = event["inputs"][place]["inputFacets"].get("dataQualityAssertions", {"assertions": []})
    return {each["assertion"]: each["success"] for each in facet["assertions"]}


def test_the_event_is_the_one_that_its_client_writes(result: integrity.Result) -> None:
    from openlineage.client.event_v2 import InputDataset, Job, Run, RunEvent, RunState
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as assertions
    from openlineage.client.facet_v2 import data_quality_metrics_input_dataset as metrics
    from openlineage.client.serde import Serde

    event = openlineage(result, job="notes", namespace="acme")
    inputs = []
    for each in event["inputs"]:
        counted, judged = (each["inputFacets"][name] for name in ("dataQualityMetrics", "dataQualityAssertions"))
        facets = {
            "dataQualityMetrics": metrics.DataQualityMetricsInputDatasetFacet({}, counted["rowCount"]),
            "dataQualityAssertions": assertions.DataQualityAssertionsDatasetFacet(
                [assertions.Assertion(**one) for one in judged["assertions"]]
            ),
        }
        inputs.append(InputDataset(each["namespace"], each["name"], inputFacets=facets))
    theirs = RunEvent(
        eventType=RunState[event["eventType"]], eventTime=event["eventTime"], run=Run(event["run"]["runId"]),
        job=Job(**event["job"]), inputs=inputs, outputs=[], producer=event["producer"],
    )  # fmt: skip
    ours = json.loads(json.dumps(event))
    del ours["run"]["facets"]
    assert plain(ours) == plain(json.loads(Serde.to_json(theirs)))


def plain(event: Any) -> Any:
    """An event without what says who wrote it, by which version, and without what is empty."""
    if isinstance(event, list):
        return [plain(each) for each in event]
    if not isinstance(event, dict):
        return event
    told = {name: plain(each) for name, each in event.items() if name not in ("_producer", "_schemaURL")}
    return {name: each for name, each in told.items() if each not in ({}, [])}


def test_both_datasets_have_their_rows_and_the_promises(result: integrity.Result) -> None:
    event = openlineage(result, job="notes", namespace="acme")
    for place, side in enumerate(("source", "destination")):
        rows = event["inputs"][place]["inputFacets"]["dataQualityMetrics"]["rowCount"]
        assert rows == result.totals[f"{side}_records"]
        assert asserted(event, place) == {"completeness": False, "validity": True, "timeliness": False}
    assert len({(each["namespace"], each["name"]) for each in event["inputs"]}) == 2
    told = event["run"]["facets"]["integrity_reconciliation"]
    assert (told["verdict"], told["specSha256"]) == ("fail", result.spec_sha256)
    assert told["totals"] == result.totals
    assert told["assertions"] == {assertion.value: verdict.value for assertion, verdict in result.assertions.items()}
    assert told["assertions"]["accuracy"] == "skipped"


@given(st.dictionaries(st.sampled_from(Assertion), st.sampled_from(Verdict)))
def test_only_what_passed_is_a_success(result: integrity.Result, assertions: dict[Assertion, Verdict]) -> None:
    event = openlineage(replace(result, assertions=assertions), job="notes", namespace="acme")
    judged = {a.value: v == "pass" for a, v in assertions.items() if v in ("pass", "fail", "unverified")}
    assert asserted(event, 0) == asserted(event, 1) == judged
    assert event["eventType"] == "COMPLETE"


def test_an_expectation_is_asserted_of_its_side(result: integrity.Result) -> None:
    held = [
        Held("kind is known", "source", "critical", Verdict.PASS, 9, 0, 0, ""),
        Held("size is small", "destination", "warning", Verdict.FAIL, 9, 1, 0, ""),
        Held("body is there", "destination", "info", Verdict.UNVERIFIED, 0, 0, 0, "nothing to look at"),
    ]
    event = openlineage(replace(result, assertions={}, expectations=tuple(held)), job="notes", namespace="acme")
    assert asserted(event, 0) == {"kind is known": True}
    assert asserted(event, 1) == {"size is small": False, "body is there": False}
    facet = event["inputs"][1]["inputFacets"]["dataQualityAssertions"]
    assert [each["severity"] for each in facet["assertions"]] == ["warn", "info"]


def test_a_run_has_its_own_id(result: integrity.Result) -> None:
    def named(result: integrity.Result, job: str = "notes", namespace: str = "acme") -> str:
        return str(openlineage(result, job=job, namespace=namespace)["run"]["runId"])

    assert named(result) == named(result) == str(uuid.UUID(named(result)))
    later = {side: replace(read, read_at=read.read_at + books.MINUTE) for side, read in result.sides.items()}
    others = {named(replace(result, sides=later)), named(result, namespace="b"), named(result, job="c")}
    assert len(others | {named(result)}) == 4
    given_ = "0195D3A8-7E1C-7C4B-9B1E-3C0F6D2A1B00"
    assert openlineage(result, job="n", namespace="a", run_id=given_)["run"]["runId"] == given_.lower()
    with pytest.raises(integrity.IntegrityError, match="run_id 'tuesday' is no UUID; "):
        openlineage(result, job="n", namespace="a", run_id="tuesday")


@settings(deadline=None)
@given(HOSTILE | st.just("\udcff"), HOSTILE)
def test_a_job_may_be_called_anything(result: integrity.Result, job: str, namespace: str) -> None:
    event = openlineage(result, job=job, namespace=namespace)
    assert json.loads(json.dumps(event)) == event
    assert event["job"] == {"namespace": namespace, "name": job}


def test_nobody_is_shown() -> None:
    items = books.sent(40).with_columns(pl.col("id", "body").str.replace("note|body", "sesame"))
    event = json.dumps(openlineage(reconciled(items, books.damaged(items), values=True), job="n", namespace="a"))
    assert "completeness" in event
    assert "sesame" not in event


@pytest.mark.parametrize(
    ("location", "dataset"),
    [
        ("postgresql://kim@db/shop#public.orders", ("postgres://db:5432", "shop.public.orders")),
        ("postgresql+psycopg://db:6432/shop#public.my%20orders", ("postgres://db:6432", "shop.public.my orders")),
        ("postgresql:///shop#orders", ("postgres://localhost:5432", "shop.orders")),
        ("postgresql://db/shop#(SELECT '100%25')", ("postgres://db:5432", "shop.(SELECT '100%25')")),
        ("postgresql://[::1]/shop#orders", ("postgres://[::1]:5432", "shop.orders")),
        ("mariadb+pymysql://db:3307/shop#orders", ("mysql://db:3307", "shop.orders")),
        ("mysql://db/shop#other.orders", ("mysql://db:3306", "other.orders")),
        ("sqlite:///shop.db#orders", ("sqlite", "shop.db#orders")),
        ("duckdb:////data/shop.db#orders", ("duckdb", "/data/shop.db#orders")),
        ("s3://lake/year=2026/?/*.parquet", ("s3://lake", "year=2026/?/*.parquet")),
        ("s3a://lake/[ab]#1.csv", ("s3://lake", "[ab]#1.csv")),
        ("tree:s3://lake", ("s3://lake", "/")),
        ("abfss://raw@acme.dfs.core.windows.net/a.csv", ("abfss://raw@acme.dfs.core.windows.net", "a.csv")),
        ("sftp://kim@host/in/a.csv", ("file://host", "/in/a.csv")),
        ("imaps://kim%40acme.com@mail.acme.com/#INBOX", ("imaps://mail.acme.com", "kim@acme.com/#INBOX")),
        ("maildir:/var/mail/acme", ("file", "/var/mail/acme")),
        ("/data/a in memory", ("file", "/data/a in memory")),
        ("/data/a#b?c.csv", ("file", "/data/a#b?c.csv")),
    ],
)
def test_datasets_are_named_as_openlineage_names_them(location: str, dataset: tuple[str, str]) -> None:
    assert _dataset(location) == dataset


@given(
    st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["", "s3://", "http://[", "mysql://", "tree:"])
)
def test_any_location_has_a_name(text: str, scheme: str) -> None:
    namespace, _ = _dataset(scheme + text)
    assert namespace


@pytest.mark.parametrize("scheme", ["postgresql", "mysql", "mssql", "cockroachdb"])
def test_a_password_is_not_told(scheme: str) -> None:
    said = _dataset(SqlStore(f"{scheme}://app:sesame@db/shop?password=sesame", "orders").location)
    assert "shop" in said[1]
    assert "sesame" not in str(said)
    assert "sesame" not in str(_dataset(f"{scheme}://app:sesame@db/shop#orders"))
