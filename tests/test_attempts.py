"""Attempted = accepted + rejected, by reason: what the source turned away is counted, and no item."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

import integrity
from integrity import Verdict
from tests.conftest import at, frame, message, promise
from tests.test_reconcile_laws import assert_balances, on_disk, without_self_test

ATTEMPTS = {"outcome": "status", "accepted": ["accepted", "queued"], "rejected": ["rejected", "throttled"]}
BECAUSE = ATTEMPTS | {"reason": "why"}


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


def tried(*said: str | None, why: dict[int, str] | None = None) -> pl.DataFrame:
    """An attempt a minute, and what became of it."""
    rows = frame(*(message(n, n) for n in range(len(said))))
    return rows.with_columns(
        status=pl.Series(said, dtype=pl.String),
        why=pl.Series([(why or {}).get(n) for n in range(len(said))], dtype=pl.String),
    )


def accepted(attempts: pl.DataFrame) -> pl.DataFrame:
    return attempts.filter(pl.col("status").is_in(["accepted", "queued"])).drop("status", "why")


def of(contract: dict[str, Any], source: pl.DataFrame, destination: pl.DataFrame, **more: Any) -> integrity.Result:
    result = integrity.reconcile(promise(attempts=contract, **more), source, destination)
    assert_balances(result)
    told = result.attempts
    assert told["attempted"] == told["accepted"] + told["rejected"] + told["excluded"] == source.height
    assert told["rejected"] == sum(told["rejected_by_reason"].values())
    assert told["accepted"] == result.totals["source_records"]
    return result


def test_what_was_turned_away_is_counted_by_reason_and_not_missed() -> None:
    day = tried("accepted", "rejected", "queued", "rejected", "throttled", why={1: "spam", 3: "too big", 4: "spam"})
    result = of(BECAUSE, day, accepted(day))
    assert (result.verdict, result.break_count) == (Verdict.PASS, 0)
    assert dict(result.attempts) == {
        "attempted": 5, "accepted": 2, "excluded": 0, "rejected": 3, "rejected_by_reason": {"spam": 2, "too big": 1},
    }  # fmt: skip
    because = "the source itself turned it away"
    assert result.exclusions == (
        {"side": "source", "name": "rejected: spam", "reason": because, "count": 2},
        {"side": "source", "name": "rejected: too big", "reason": because, "count": 1},
    )
    assert result.totals["excluded"] == 3
    assert json.loads(result.to_json())["run"]["attempts"] == dict(result.attempts)


def test_the_outcome_is_the_reason_where_there_is_no_other() -> None:
    day = tried("accepted", "rejected", "throttled", "throttled")
    assert of(ATTEMPTS, day, accepted(day)).attempts["rejected_by_reason"] == {"rejected": 1, "throttled": 2}
    named = of(BECAUSE, day, accepted(day)).attempts["rejected_by_reason"]
    assert named == {"no reason given": 3}


def test_what_was_accepted_and_did_not_arrive_is_lost() -> None:
    day = tried("accepted", "rejected", "queued")
    result = of(ATTEMPTS, day, accepted(day).head(1))
    assert [(b.kind, b.message_id) for b in result.breaks.itertuples()] == [("lost", "m2")]


def test_what_was_turned_away_and_arrived_all_the_same_is_extra() -> None:
    day = tried("accepted", "rejected")
    result = of(ATTEMPTS, day, day.drop("status", "why"))
    assert [(b.kind, b.message_id) for b in result.breaks.itertuples()] == [("extra", "m1")]


@pytest.mark.parametrize("status", [None, "", "Accepted", "rejected ", "unknown"])
def test_what_is_neither_is_invalid_and_has_to_arrive(status: str | None) -> None:
    day = tried("accepted", status)
    arrived = of(ATTEMPTS, day, day.drop("status", "why"))
    assert [(b.kind, b.message_id, b.reason) for b in arrived.breaks.itertuples()] == [
        ("invalid", "m1", "its status is neither accepted nor rejected")
    ]
    missing = of(ATTEMPTS, day, accepted(day))
    assert {(b.kind, b.message_id) for b in missing.breaks.itertuples()} == {("invalid", "m1"), ("lost", "m1")}


def test_a_day_on_which_everything_was_turned_away_is_not_complete() -> None:
    day = tried("rejected", "rejected")
    result = of(ATTEMPTS, day, frame())
    assert result.verdict is Verdict.UNVERIFIED
    assert result.attempts["rejected"] == 2


def test_an_attempt_that_was_repeated_is_no_item_twice() -> None:
    day = tried("rejected", "throttled", "accepted").with_columns(message_id=pl.lit("m0"))
    result = of(ATTEMPTS, day, accepted(day))
    assert (result.verdict, result.break_count) == (Verdict.PASS, 0)


def test_what_is_left_out_is_neither_accepted_nor_rejected() -> None:
    day = tried("accepted", "rejected", "accepted", "rejected")
    typing = day.with_columns(body=pl.when(pl.int_range(4) > 1).then(pl.lit("typing")).otherwise("body"))
    rule = {"name": "typing", "side": "source", "where": {"body": ["typing"]}, "reason": "never stored"}
    result = of(ATTEMPTS, typing, accepted(typing.head(2)), exclude=[rule])
    assert dict(result.attempts) | {"rejected_by_reason": None} == {
        "attempted": 4, "accepted": 1, "excluded": 2, "rejected": 1, "rejected_by_reason": None,
    }  # fmt: skip


def test_revisions_that_were_superseded_are_attempts_too() -> None:
    day = tried("accepted", "accepted", "rejected").with_columns(message_id=pl.lit("m0"), revision=pl.Series([1, 2, 3]))
    contract = {"content": {"revision": "integer"}, "amounts": None, "latest_by": "revision", "timeliness": None}
    result = of(ATTEMPTS, day, accepted(day).tail(1), **contract)
    assert result.verdict is Verdict.PASS
    assert (result.attempts["accepted"], result.attempts["excluded"], result.attempts["rejected"]) == (1, 1, 1)


def test_only_of_the_source_and_only_what_was_asked_for() -> None:
    day = tried("accepted", *["rejected"] * 20)
    there = accepted(day).with_columns(status=pl.lit("rejected"))
    whole = of(ATTEMPTS, day, there)
    assert whole.verdict is Verdict.PASS  # what a destination calls it does not matter
    contract = promise(attempts=ATTEMPTS)
    part = integrity.reconcile(contract, day, there, since=at(0), until=at(10))
    assert part.attempts["attempted"] == 10


def test_by_batch_they_are_among_the_excluded() -> None:
    day = tried(*["accepted", "rejected"] * 10)
    result = of(ATTEMPTS, day, accepted(day))
    assert result.batches["excluded"].tolist() == [5, 5]


def test_a_column_that_is_compared_may_say_it() -> None:
    day = tried("accepted", "rejected")
    contract = {"content": {"status": {"type": "text", "casefold": True}}, "amounts": None}
    shouted = day.with_columns(pl.col("status").str.to_uppercase())
    result = of(ATTEMPTS, shouted, shouted.head(1), **contract)
    assert result.verdict is Verdict.PASS
    assert result.attempts["rejected"] == 1


def test_a_contract_without_attempts_has_none(day: pl.DataFrame) -> None:
    result = integrity.reconcile(promise(), day, day)
    assert result.attempts == {}


def test_a_source_that_does_not_say_is_refused() -> None:
    day = tried("accepted")
    with pytest.raises(integrity.StoreError, match="no column 'status'"):
        integrity.reconcile(promise(attempts=ATTEMPTS), day.drop("status"), accepted(day))
    with pytest.raises(integrity.StoreError, match="no column 'why'"):
        integrity.reconcile(promise(attempts=BECAUSE), day.drop("why"), accepted(day))


def test_more_data_than_memory_changes_nothing() -> None:
    day = tried(*(["accepted", "rejected", "throttled"] * 20), why={1: "spam"})
    with on_disk():
        result = of(BECAUSE, day, accepted(day))
    assert result.attempts["rejected_by_reason"] == {"no reason given": 39, "spam": 1}


@pytest.mark.usefixtures("tested")
def test_the_self_test_plants_what_was_accepted() -> None:
    day = tried("accepted", "rejected")
    result = of(BECAUSE, day, accepted(day))
    assert "planted and found corrupt, duplicate, extra, late, lost, skewed" in result.self_test
