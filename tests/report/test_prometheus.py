"""Prometheus' text form, read by its own client."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

import integrity
from integrity.report.prometheus import prometheus
from tests.report.found import HOSTILE, found, nothing_judged


@pytest.fixture(scope="module")
def result() -> integrity.Result:
    return found()


def samples(text: str) -> dict[tuple[str, ...], Sample]:
    """Each sample by its name and the labels that are its own."""
    read = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, *(v for k, v in sample.labels.items() if k not in ("contract", "pipeline")))
            assert key not in read
            read[key] = sample
    return read


def test_every_total_is_there_once(result: integrity.Result) -> None:
    read = samples(prometheus(result, pipeline="notes"))
    told = [(key[1], s.value) for key, s in read.items() if key[0] in ("integrity_items_by_kind", "integrity_breaks")]
    told += [(f"{key[1]}_records", s.value) for key, s in read.items() if key[0] == "integrity_items"]
    assert sorted(told) == sorted(result.totals.items())
    breaks = result.breaks["kind"].value_counts().to_dict()
    assert {k[1]: s.value for k, s in read.items() if k[0] == "integrity_breaks" and s.value} == breaks
    batches = result.batches["verdict"].value_counts().to_dict()
    assert {k[1]: s.value for k, s in read.items() if k[0] == "integrity_batches" and s.value} == batches
    assert read["integrity_as_of_timestamp_seconds",].value == result.as_of.timestamp()
    assert read["integrity_last_run_timestamp_seconds",].value == result.sides["destination"].read_at.timestamp()


@pytest.mark.parametrize("verdict", ["pass", "fail", "unverified", "pending"])
def test_one_verdict_is_true_and_the_others_are_not(verdict: str, result: integrity.Result) -> None:
    read = samples(prometheus(replace(result, verdict=integrity.Verdict(verdict)), pipeline="notes"))
    assert {k[1]: s.value for k, s in read.items() if k[0] == "integrity_verdict"} == {
        each: float(each == verdict) for each in ("pass", "fail", "unverified", "pending")
    }
    said = {k[1:]: s.value for k, s in read.items() if k[0] == "integrity_assertion"}
    assert {key for key, value in said.items() if value} == {(a.value, v.value) for a, v in result.assertions.items()}
    assert len(said) == 5 * len(result.assertions)


def test_of_latencies_only_the_greatest_is_told(result: integrity.Result) -> None:
    read = samples(prometheus(result, pipeline="notes"))
    longest = result.batches["latency_max"].max().total_seconds()
    assert {k: s.value for k, s in read.items() if "latency" in k[0]} == {("integrity_latency_seconds", "1"): longest}
    assert "latency" not in prometheus(nothing_judged(), pipeline="notes")


@settings(max_examples=50, deadline=None)
@given(pipeline=HOSTILE)
@example(pipeline='"\n\\n\r')
def test_a_pipeline_may_be_called_anything(result: integrity.Result, pipeline: str) -> None:
    text = prometheus(result, pipeline=pipeline)
    assert {sample.labels["pipeline"] for sample in samples(text).values()} == {pipeline}
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_what_is_no_unicode_is_shown_by_its_number(result: integrity.Result) -> None:
    read = samples(prometheus(result, pipeline="a\udcffb"))
    assert {sample.labels["pipeline"] for sample in read.values()} == {r"a\udcffb"}
