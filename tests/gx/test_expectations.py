"""Our expectations succeed when, and only when, something was judged and is as promised."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest
from great_expectations.compatibility import pydantic

import integrity
import integrity.gx as igx
from tests.conftest import at, frame, message, promise
from tests.gx.pipelines import AS_OF, observed, validated

GRANTS = {"actor": "who", "object": "what", "from": "since", "until": "until"}


@pytest.fixture
def source(tmp_path: Path, day: pl.DataFrame) -> str:
    day.write_parquet(tmp_path / "source.parquet")
    return str(tmp_path / "source.parquet")


def reconciling(source: str, **changes: object) -> igx.ExpectBatchesToReconcile:
    return igx.ExpectBatchesToReconcile(**{"contract": promise(), "other": source, "as_of": AS_OF} | changes)


# --- reconciling ----------------------------------------------------------------------------------------------


def test_what_arrived_whole_succeeds(day: pl.DataFrame, source: str) -> None:
    (result,) = validated(day, reconciling(source))
    assert result.success
    assert observed(result) == "pass: no exception found in 3 closed batches; 4 of 4 promises judged"
    assert result.result["details"]["how"]["self_test"].startswith("planted and found")


def test_what_is_lost_or_changed_fails_and_is_named(day: pl.DataFrame, source: str) -> None:
    kept = day.filter(pl.col("message_id") != "m3").with_columns(
        body=pl.when(pl.col("message_id") == "m17").then(pl.lit("?")).otherwise("body")
    )
    (result,) = validated(kept, reconciling(source))
    assert result.success is False
    assert observed(result) == "fail: 2 breaks in 2 of 3 closed batches; 4 of 4 promises judged"
    found = {(row["kind"], row["message_id"]) for row in result.result["partial_unexpected_list"]}
    assert found == {("lost", "m3"), ("corrupt", "m17")}
    details = result.result["details"]
    assert details["assertions"] == {
        "completeness": "fail", "accuracy": "fail", "validity": "pass", "timeliness": "fail"
    }  # fmt: skip
    assert [row["batch_start"] for row in details["batches"]] == ["2026-03-02T00:00:00Z", "2026-03-02T00:10:00Z"]
    assert details["totals"]["lost"] == details["break_counts"]["lost"] == result.result["unexpected_count"] - 1 == 1
    json.dumps(result.to_json_dict())


def test_a_batch_can_be_the_source(day: pl.DataFrame, tmp_path: Path) -> None:
    day[1:].write_parquet(tmp_path / "kept.parquet")
    (result,) = validated(day, reconciling(str(tmp_path / "kept.parquet"), side="source"))
    assert [row["kind"] for row in result.result["partial_unexpected_list"]] == ["lost"]


def test_nothing_to_judge_is_no_success(day: pl.DataFrame, source: str, tmp_path: Path) -> None:
    day.clear().write_parquet(tmp_path / "none.parquet")
    empty, waiting = (
        *validated(day.clear(), reconciling(str(tmp_path / "none.parquet"))),
        *validated(day, reconciling(source, as_of="2026-03-02T00:00:00Z", contract=promise(clock={"event": "sent_at", "processed": "stored_at", "skew": "1d"}))),
    )  # fmt: skip
    assert (empty.success, observed(empty).partition(":")[0]) == (False, "unverified")
    assert (waiting.success, observed(waiting).partition(":")[0]) == (False, "unverified")


def test_a_promise_left_out_is_on_the_record(day: pl.DataFrame, source: str) -> None:
    late = day.with_columns(stored_at=pl.col("stored_at") + dt.timedelta(minutes=1))
    judged, skipped = validated(
        late, reconciling(source), reconciling(source, skip={"timeliness": "clock replaced on the 3rd"})
    )
    assert not judged.success
    assert skipped.success
    assert "3 of 4 promises judged" in observed(skipped)
    assert skipped.result["details"]["skipped"] == {"timeliness": "clock replaced on the 3rd"}
    assert any("clock replaced on the 3rd" in note for note in skipped.result["details"]["notes"])


def test_it_takes_mappings_zones_outcomes_and_spans(day: pl.DataFrame, source: str, tmp_path: Path) -> None:
    ended = pl.DataFrame({"message_id": ["m3"], "outcome": ["recalled"], "at": [at(4)]})
    ended.write_parquet(tmp_path / "ended.parquet")
    theirs = day.filter(pl.col("message_id") != "m3").rename({"message_id": "id"})
    theirs = theirs.with_columns(
        pl.col("sent_at", "stored_at").dt.convert_time_zone("Asia/Seoul").dt.replace_time_zone(None)
    )
    (result,) = validated(
        theirs,
        reconciling(
            source,
            contract=promise(outcomes={"accept": ["recalled"]}),
            outcomes=str(tmp_path / "ended.parquet"),
            columns={"destination": {"id": "message_id"}},
            timezone={"destination": "Asia/Seoul"},
            since="2026-03-02T00:00:00Z",
            until="2026-03-02T00:20:00Z",
        ),
    )
    assert result.success, observed(result)
    assert result.result["details"]["totals"]["accounted"] == 1
    assert result.result["details"]["totals"]["matched"] == 19


def test_the_sentence_of_an_error_is_reported_and_nothing_succeeds(day: pl.DataFrame, source: str) -> None:
    cases = {
        "there is no": reconciling("/nowhere/at/all.parquet"),
        "there is no built-in contract": reconciling(source, contract="mesage"),
        "no column": reconciling(source, contract=promise(content={"boddy": "text"}, amounts=[])),
        "is not on a boundary": reconciling(source, since="2026-03-02T00:01:00Z"),
        "has no time zone": reconciling(source, as_of="2026-03-02T00:01:00"),
        "there is no side": igx.ExpectControlTotalsToMatch(contract=promise(), totals=[], side={"$PARAMETER": "x"}),
    }
    for sentence, expectation in cases.items():
        (result,) = validated(day, expectation)
        assert result.success is False
        assert sentence in observed(result), observed(result)
        assert observed(result).startswith("raised: ")


@pytest.mark.parametrize("wanted", ["BOOLEAN_ONLY", "BASIC", "SUMMARY", "COMPLETE"])
def test_every_result_format(day: pl.DataFrame, source: str, wanted: str) -> None:
    (result,) = validated(
        day[:5], reconciling(source, result_format={"result_format": wanted, "partial_unexpected_count": 3})
    )
    assert result.success is False
    if wanted == "BOOLEAN_ONLY":
        assert not result.result
        return
    assert result.result["unexpected_count"] == 25
    assert len(result.result["partial_unexpected_list"]) == 3
    assert len(result.result.get("unexpected_list", [])) == (25 if wanted == "COMPLETE" else 0)


def test_the_first_of_each_kind_are_listed(day: pl.DataFrame, source: str) -> None:
    """One break after a thousand of another kind is not left out by being last."""
    kept = day[:1].with_columns(body=pl.lit("?"))
    (result,) = validated(
        kept, reconciling(source, result_format={"result_format": "BASIC", "partial_unexpected_count": 4})
    )
    kinds = [row["kind"] for row in result.result["partial_unexpected_list"]]
    assert sorted(kinds) == ["corrupt", "lost", "lost"]


def test_no_password_is_kept(source: str) -> None:
    for where in ("postgresql://me:secret@db/shop#orders", {"url": "mysql://me:s@h/d", "query": "SELECT 1"}):
        with pytest.raises(pydantic.ValidationError, match="a password would be kept") as caught:
            reconciling(source, other=where)
        assert "secret" not in str(caught.value)
    reconciling(source, other="postgresql://me@db:5432/shop#orders")


def test_a_contract_is_written_out_as_it_is(day: pl.DataFrame, source: str, tmp_path: Path) -> None:
    path = tmp_path / "day.yaml"
    path.write_text(promise().to_yaml(), encoding="utf-8")
    given = [
        promise(),
        promise().to_yaml(),
        str(path),
        path,
        json.loads(json.dumps(promise().model_dump(mode="json", exclude_defaults=True))),
    ]
    for each in given:
        expectation = reconciling(source, contract=each)
        again = igx.ExpectBatchesToReconcile(**json.loads(json.dumps(expectation.configuration.kwargs)))
        (result,) = validated(day, again)
        assert result.success, observed(result)
        assert result.result["details"]["contract"]["sha256"] == promise().sha256


# --- latency --------------------------------------------------------------------------------------------------


def timely(**changes: object) -> igx.ExpectLatencyToBeWithin:
    return igx.ExpectLatencyToBeWithin(**{"event": "sent_at", "processed": "stored_at", "within": "5s"} | changes)


def after(seconds: list[float | None]) -> pl.DataFrame:
    """Rows processed so many seconds after they happened."""
    rows = [
        message(n, n, stored_at=None if each is None else at(n) + dt.timedelta(seconds=each))
        for n, each in enumerate(seconds)
    ]
    return frame(*rows)


def test_latency_is_counted_exactly() -> None:
    seconds: list[float | None] = [1.0] * 998 + [5.000001] + [5]
    exact, short, whole = validated(after(seconds), timely(ratio=0.999), timely(ratio="0.9991"), timely())
    assert [exact.success, short.success, whole.success] == [True, False, False]
    assert observed(exact) == "pass: 999 of 1,000 on time, p50 1.01 s, p95 1.01 s, max 5.000001 s"
    assert observed(short).startswith("fail: 1 took longer than 5s")
    assert exact.result["details"]["counts"] == {
        "records": 1000, "on_time": 999, "late": 1, "over": 0, "skewed": 0, "unmeasured": 0
    }  # fmt: skip


def test_one_row_over_the_hard_limit_fails() -> None:
    over, under = (
        validated(after([1] * 999 + [last]), timely(ratio=0.9, never_over="60s"))[0] for last in (60.000001, 60)
    )
    assert (over.success, under.success) == (False, True)
    assert "1 took longer than 1m" in observed(over)


def test_a_wrong_clock_fails_and_what_cannot_be_measured_is_no_success() -> None:
    skewed, unknown, both = (
        validated(after(each), timely(ratio=0.5))[0] for each in ([1, 1, -0.000001], [1, 1, None], [-1, 1, None])
    )
    assert observed(skewed).startswith("fail: 1 processed before they happened, or in the future")
    assert observed(unknown).startswith("unverified: the latency of 1 cannot be measured")
    assert observed(both).startswith("fail: 1 processed before")
    assert not skewed.success
    assert not unknown.success
    future = after([1]).with_columns(pl.col("sent_at", "stored_at").dt.offset_by("100y"))
    assert observed(validated(future, timely())[0]).startswith(
        "fail: 1 processed before they happened, or in the future"
    )


def test_an_empty_batch_has_no_latency() -> None:
    (result,) = validated(frame(), timely())
    assert result.success is False
    assert observed(result) == "unverified: no row to judge"


def test_columns_may_be_called_as_ours_are() -> None:
    rows = after([1, 9]).select(event_time="sent_at", processed_time="stored_at", kind="body")
    (result,) = validated(rows, timely(event="event_time", processed="processed_time"))
    assert observed(result).startswith("fail: 1 took longer")


def test_times_without_a_zone_are_refused_until_it_is_said() -> None:
    naive = after([1]).with_columns(pl.col("sent_at", "stored_at").dt.replace_time_zone(None))
    refused, read = validated(naive, timely(), timely(timezone="UTC"))
    assert observed(refused).startswith("raised: ")
    assert "zone" in observed(refused)
    assert read.success


def test_the_same_column_twice_is_no_latency() -> None:
    (result,) = validated(after([1]), timely(processed="sent_at"))
    assert "are both 'sent_at'" in observed(result)


# --- authorization --------------------------------------------------------------------------------------------


def guarded(**changes: object) -> integrity.Contract:
    said = {"actor": "body", "object": "size_bytes", "grants": GRANTS}
    return promise(authorization={**said, "actor": "sender", "object": "room"}, **changes)


def test_items_need_a_grant(day: pl.DataFrame, tmp_path: Path) -> None:
    sent = day.with_columns(sender=pl.lit("kim"), room=pl.lit("r1"))
    grants = pl.DataFrame({"who": ["kim"], "what": ["r1"], "since": [at(-1)], "until": [at(100)]})
    grants.write_parquet(tmp_path / "all.parquet")
    grants.with_columns(since=pl.lit(at(0.5))).write_parquet(tmp_path / "later.parquet")
    grants.clear().write_parquet(tmp_path / "none.parquet")
    expected = [
        igx.ExpectItemsToBeAuthorized(contract=guarded(), grants=str(tmp_path / f"{name}.parquet"), as_of=AS_OF)
        for name in ("all", "later", "none")
    ]
    covered, early, none = validated(sent, *expected)
    assert covered.success, observed(covered)
    assert observed(early) == "fail: 1 unauthorized"
    assert early.result["partial_unexpected_list"][0]["message_id"] == "m0"
    assert none.success is False
    (empty,) = validated(sent.clear(), expected[0])
    assert empty.success is False


def test_a_contract_without_authorization_cannot_be_asked_for_it(day: pl.DataFrame) -> None:
    (result,) = validated(day, igx.ExpectItemsToBeAuthorized(contract=promise(), grants="grants.parquet"))
    assert "promises no authorization" in observed(result)
