"""Control totals that somebody recorded: what is recorded is compared exactly, and nothing passes for being left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import integrity
import integrity.gx as igx
from tests.conftest import frame, message, promise
from tests.gx.pipelines import observed, validated

LARGE = 2**53 + 1


def recorded(day: pl.DataFrame, contract: integrity.Contract | None = None) -> dict[str, Any]:
    contract = contract or promise()
    return igx.control_totals(integrity.measure(contract, day, side="source"), contract)


def matching(totals: Any, **changes: Any) -> igx.ExpectControlTotalsToMatch:
    return igx.ExpectControlTotalsToMatch(**{"contract": promise(), "totals": totals} | changes)


def test_every_form_of_the_same_totals_matches(day: pl.DataFrame, tmp_path: Path) -> None:
    said, arrow = recorded(day), integrity.measure(promise(), day, side="source").to_arrow()
    (tmp_path / "totals.json").write_text(json.dumps(said), encoding="utf-8")
    pq.write_table(arrow, tmp_path / "totals.parquet")
    with pa.ipc.new_file(tmp_path / "totals.arrow", arrow.schema) as writer:
        writer.write_table(arrow)
    with pa.ipc.new_stream(tmp_path / "totals.arrows", arrow.schema) as stream:
        stream.write_table(arrow)
    files = [str(tmp_path / f"totals.{kind}") for kind in ("json", "parquet", "arrow", "arrows")]
    for totals in (said, said["batches"], json.dumps(said), *files):
        good, bad = (validated(rows, matching(totals))[0] for rows in (day, day[1:]))
        assert observed(good) == "pass: totals are equal in 3 batches, 30 records"
        assert good.success
        assert observed(bad) == "fail: totals differ in 1 of 3 batches"
    differing = bad.result["details"]["batches"][0]
    assert (differing["records_recorded"], differing["records_found"]) == (10, 9)
    assert (differing["size_bytes_recorded"], differing["size_bytes_found"]) == ("145", "135")
    assert differing["hash_recorded"] == said["batches"][0]["hash"]


def test_a_change_that_keeps_counts_and_sums_differs_by_its_hash(day: pl.DataFrame) -> None:
    swapped = day.with_columns(body=pl.when(pl.col("message_id") == "m1").then(pl.lit("?")).otherwise("body"))
    (result,) = validated(swapped, matching(recorded(day)))
    assert set(result.result["details"]["batches"][0]) == {"batch_start", "hash_recorded", "hash_found"}


def test_sums_are_exact_beyond_what_a_float_holds() -> None:
    contract = promise(
        content={"body": {"type": "decimal", "scale": 2}, "size_bytes": "integer"}, amounts=["body", "size_bytes"]
    )
    rows = frame(*(message(n, n, body=f"{n}.10", size_bytes=LARGE) for n in range(10)))
    good = {
        "batch_start": "2026-03-02T09:00:00+09:00",
        "records": "10",
        "amounts": {"body": "46.00", "size_bytes": LARGE * 10},
    }
    for amounts, success in (
        ({}, True),
        ({"body": "46"}, True),
        ({"body": "4.6E1"}, True),
        ({"body": "46.01"}, False),
        ({"size_bytes": LARGE * 10 - 1}, False),
        ({"size_bytes": str(LARGE * 10)}, True),
    ):
        (result,) = validated(rows, matching([{**good, "amounts": good["amounts"] | amounts}], contract=contract))
        assert result.success is success, observed(result)
        kept = igx.ExpectControlTotalsToMatch(
            **json.loads(json.dumps(result.expectation_config.kwargs | {"batch_id": None}))
        )
        assert isinstance(kept.totals[0]["amounts"]["size_bytes"], (int, str))


def test_what_was_not_recorded_is_named(day: pl.DataFrame) -> None:
    counts = [{"batch_start": each["batch_start"], "records": each["records"]} for each in recorded(day)["batches"]]
    (result,) = validated(day, matching(counts))
    assert result.success
    assert result.result["details"]["notes"] == [
        "not recorded for every batch, and so not compared: hash, size_bytes"
    ]  # fmt: skip


def test_batches_on_one_side_only_differ(day: pl.DataFrame) -> None:
    said = recorded(day)["batches"]
    (less,), (more,) = validated(day, matching(said[:2])), validated(day[:20], matching(said))
    assert less.result["details"]["batches"] == [
        {"batch_start": "2026-03-02T00:20:00Z", "is_in": "the batch only", "records": 10}
    ]
    assert more.result["details"]["batches"] == [
        {"batch_start": "2026-03-02T00:20:00Z", "is_in": "the record only", "records": 10}
    ]


def test_nothing_compared_is_no_success(day: pl.DataFrame) -> None:
    for rows, totals in ((frame(), []), (frame(), [{"records": 0}])):
        (result,) = validated(rows, matching(totals))
        assert (result.success, observed(result).partition(":")[0]) == (False, "unverified")
    (result,) = validated(day, matching([]))
    assert observed(result) == "fail: totals differ in 3 of 3 batches"
    digests = promise(content={"body": {"type": "text", "evidence": True}}, amounts=[])
    without = day.drop("body")
    (unproven,) = validated(without, matching(recorded(without, digests), contract=digests))
    assert (unproven.success, observed(unproven).partition(":")[0]) == (False, "unverified")


def test_a_contract_without_a_clock_has_one_batch() -> None:
    notes = integrity.Contract(name="notes", version=1, identity=["id"], content={"n": "integer"}, amounts=["n"])
    rows = pl.DataFrame({"id": ["1", "2"], "n": [1, 2]})
    good, bad = validated(rows, *(matching({"records": 2, "amounts": {"n": n}}, contract=notes) for n in (3, 4)))
    assert (good.success, bad.success) == (True, False)


def test_partitions_are_told_apart(day: pl.DataFrame) -> None:
    contract = promise(identity={"message_id": "text", "room": "text"}, partition=["room"])
    rows = day.with_columns(room=pl.when(pl.col("message_id") < "m2").then(pl.lit("a")))
    said = recorded(rows, contract)
    assert {each["room"] for each in said["batches"]} == {"a", None}
    (result,) = validated(rows, matching(said, contract=contract))
    assert result.success, observed(result)


@pytest.mark.parametrize(
    ("totals", "sentence"),
    [
        ('[{"batch_start": "2026-03-02T00:00:00Z", "records": 10.0}]', "the recorded totals hold 10.0"),
        ([{"records": 10.0}], "not 10.0"),
        ([{"records": True}], "not True"),
        ([{"records": 1, "amounts": {"size_bytes": 1.5}}], "a float cannot hold a total exactly"),
        ([{"records": 1, "amounts": {"size_bytes": "NaN"}}], "no finite number"),
        ([{"records": 1, "amounts": {"size_bytes": "0x10"}}], "no number"),
        ([{"records": 1, "amounts": {"size_bytes": "1.5"}}], "finer than its scale"),
        ([{"records": 1, "amounts": {"cents": 1}}], "sums no 'cents'"),
        ([{"records": 1, "hash": "abc"}], "32 hexadecimal digits"),
        ([{"batch_start": "2026-03-02T00:00:00"}], "does not tell its records"),
        ([{"batch_start": "2026-03-02T00:00:00", "records": 1}], "has no time zone"),
        ([{"batch_start": "2026-03-02T00:00:01Z", "records": 1}], "no window of contract"),
        ([{"records": 1, "recrods": 1}], "did you mean 'records'?"),
        ([{"records": 1}, {"records": 1}], "recorded twice"),
        ({"batches": [], "contract_sha256": "0" * 64}, "of another contract"),
        ("{", "no JSON"),
        ("/nowhere/totals.json", "cannot be read"),
    ],
)  # fmt: skip
def test_what_are_no_totals_is_said(day: pl.DataFrame, totals: Any, sentence: str) -> None:
    (result,) = validated(day, matching(totals))
    assert result.success is False
    assert observed(result).startswith("raised: ")
    assert sentence in observed(result)


def test_totals_of_another_contract_are_refused(day: pl.DataFrame) -> None:
    (result,) = validated(day, matching(recorded(day), contract=promise(version=2)))
    assert "of another contract" in observed(result)
    with pytest.raises(integrity.ContractError, match="another contract"):
        igx.control_totals(integrity.measure(promise(), day, side="source"), promise(version=2))
