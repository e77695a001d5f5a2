"""Who may change the destination itself: what an approval covers is accounted for, and the rest stays a break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import integrity
from integrity import Verdict
from tests.conftest import at, frame, message, promise
from tests.test_reconcile_laws import assert_balances, on_disk, without_self_test

UTC = pl.Datetime("us", "UTC")
GRANTS = {"actor": "engineer", "object": "ticket", "from": "opens", "until": "closes"}
LISTED = "changed at the destination by somebody who was allowed to"


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with without_self_test():
        yield


def correcting(grants: dict[str, str] | None = None, **said: Any) -> integrity.Contract:
    changed = {"actor": "changed_by", "object": "message_id", "at": "changed_at"}
    more = said.pop("contract", {})
    return promise(corrections={**changed, **said, "grants": GRANTS | (grants or {})}, **more)


def kept(day: pl.DataFrame, *edited: str, by: str | None = "kim", minutes: float | None = 60) -> pl.DataFrame:
    """What the destination holds after somebody edited some of it."""
    mine = pl.col("message_id").is_in(edited)
    when = None if minutes is None else at(minutes)
    return day.with_columns(
        body=pl.when(mine).then(pl.lit("edited")).otherwise("body"),
        changed_by=pl.when(mine).then(pl.lit(by, pl.String)),
        changed_at=pl.when(mine).then(pl.lit(when, UTC)),
    )


def approved(*said: dict[str, Any]) -> pl.DataFrame:
    """Approvals: kim may change m3 within the second hour, unless it is said otherwise."""
    base = {"engineer": "kim", "ticket": "m3", "opens": at(60), "closes": at(120), "approver": None}
    texts = dict.fromkeys(("engineer", "ticket", "approver"), pl.String)
    schema = texts | dict.fromkeys(("opens", "closes"), UTC)
    return pl.DataFrame([base | each for each in said], schema=schema)


def found(result: integrity.Result) -> list[tuple[str, str, str | None]]:
    assert_balances(result)
    rows = pl.from_pandas(result.breaks)
    return list(zip(rows["kind"], rows["message_id"], rows["reason"], strict=True))


def test_an_approved_change_is_accounted_for_and_listed(day: pl.DataFrame) -> None:
    result = integrity.reconcile(correcting(), day, kept(day, "m3"), corrections=approved({}))
    assert (found(result), result.verdict) == ([], Verdict.PASS)
    assert (result.totals["matched"], result.totals["accounted"], result.totals["excluded"]) == (29, 1, 1)
    assert result.exclusions == ({"side": "destination", "name": "approved corrections", "reason": LISTED, "count": 1},)


@pytest.mark.parametrize(
    ("change", "approval", "why"),
    [
        ({}, {"engineer": "lee"}, "no grant ever"),
        ({}, {"ticket": "m4"}, "no grant ever"),
        ({"minutes": 59}, {}, "not yet valid until 2026-03-02T01:00:00Z"),
        ({"minutes": 120}, {}, "expired at 2026-03-02T02:00:00Z"),
        ({"by": None}, {}, "nobody is named as its actor"),
        ({"minutes": None}, {}, "its event time is not known"),
        ({}, {"approver": "kim"}, "approved by the actor themself"),
    ],
)
def test_what_no_approval_covers_stays_corrupt_and_says_why(
    day: pl.DataFrame, change: dict[str, Any], approval: dict[str, Any], why: str
) -> None:
    contract = correcting({"approver": "approver"})
    result = integrity.reconcile(contract, day, kept(day, "m3", **change), corrections=approved(approval))
    assert found(result) == [("corrupt", "m3", f"no approved change covers it: {why}")]
    assert (result.exclusions, result.exit_code, result.totals["accounted"]) == ((), 1, 0)


def test_each_change_needs_an_approval_of_its_own(day: pl.DataFrame) -> None:
    result = integrity.reconcile(
        correcting(), day, kept(day, "m3", "m4", "m25"), corrections=approved({}, {"ticket": "m25"})
    )
    assert [row[:2] for row in found(result)] == [("corrupt", "m4")]
    assert result.totals["accounted"] == 2


def test_what_was_entered_besides_may_be_approved(day: pl.DataFrame) -> None:
    there = kept(day.vstack(frame(message(99, 5))), "m99")
    right = integrity.reconcile(correcting(), day, there, corrections=approved({"ticket": "m99"}))
    assert (found(right), right.verdict, right.totals["excluded"]) == ([], Verdict.PASS, 1)
    wrong = integrity.reconcile(correcting(), day, there, corrections=approved({}))
    assert found(wrong) == [("extra", "m99", "no approved change covers it: no grant ever")]


def test_what_was_entered_twice_may_be_approved(day: pl.DataFrame) -> None:
    there = pl.concat([kept(day), kept(day.filter(pl.col("message_id") == "m3"), "m3")])
    right = integrity.reconcile(correcting(), day, there, corrections=approved({}))
    assert (found(right), right.totals["matched"]) == ([], 30)
    wrong = integrity.reconcile(correcting(), day, there, corrections=approved({"ticket": "m4"}))
    ((kind, item, why),) = found(wrong)
    assert (kind, item) == ("duplicate", "m3")
    assert why == "1 in the source, 2 in the destination; no approved change covers it: no grant ever"


def test_nobody_is_approved_to_lose_something(day: pl.DataFrame) -> None:
    there = kept(day).filter(pl.col("message_id") != "m3")
    result = integrity.reconcile(correcting(), day, there, corrections=approved({}))
    assert found(result) == [("lost", "m3", None)]


def test_what_is_equal_was_not_changed_whoever_touched_it(day: pl.DataFrame) -> None:
    there = kept(day, "m3").with_columns(day["body"])
    result = integrity.reconcile(correcting(), day, there, corrections=approved({}))
    assert (found(result), result.totals["matched"], result.exclusions) == ([], 30, ())


def test_without_a_store_no_change_is_approved(day: pl.DataFrame) -> None:
    result = integrity.reconcile(correcting(), day, kept(day, "m3"))
    assert [row[:2] for row in found(result)] == [("corrupt", "m3")]
    none = integrity.reconcile(correcting(), day, kept(day, "m3"), corrections=approved())
    assert found(none) == [("corrupt", "m3", "no approved change covers it: no grant ever")]


def test_the_processed_time_is_when_unless_it_is_said(day: pl.DataFrame) -> None:
    contract = correcting(contract={"timeliness": None}, at=None)
    there = kept(day, "m3").drop("changed_at")
    edited = pl.when(pl.col("message_id") == "m3").then(pl.lit(at(70))).otherwise("stored_at")
    right = integrity.reconcile(contract, day, there.with_columns(stored_at=edited), corrections=approved({}))
    assert (found(right), right.totals["accounted"]) == ([], 1)
    assert [row[:2] for row in found(integrity.reconcile(contract, day, there, corrections=approved({})))] == [
        ("corrupt", "m3")
    ]


def test_an_approval_for_a_folder_is_one_for_all_below(day: pl.DataFrame) -> None:
    day = day.with_columns(message_id=pl.format("/t/{}", "message_id"))
    there = kept(day, "/t/m3", "/t/m4")
    above = approved({"ticket": "/t"})
    result = integrity.reconcile(correcting(within="/"), day, there, corrections=above)
    assert (found(result), result.totals["accounted"]) == ([], 2)
    flat = integrity.reconcile(correcting(), day, there, corrections=above)
    assert [row[:2] for row in found(flat)] == [("corrupt", "/t/m3"), ("corrupt", "/t/m4")]


def test_their_names_and_their_zone(day: pl.DataFrame, tmp_path: Path) -> None:
    file = tmp_path / "approved.csv"
    file.write_text("Wer,ticket,opens,closes\nkim,m3,2026-03-02T10:00:00,2026-03-02T11:00:00\n", encoding="utf-8")
    asked: dict[str, Any] = {"corrections": str(file), "columns": {"corrections": {"Wer": "engineer"}}}
    result = integrity.reconcile(correcting(), day, kept(day, "m3"), timezone={"corrections": "Asia/Seoul"}, **asked)
    assert found(result) == []  # 10:00 in Seoul is an hour past midnight
    with pytest.raises(integrity.StoreError, match=r"'opens' in .*, the approved changes, are no times"):
        integrity.reconcile(correcting(), day, kept(day, "m3"), **asked)
    with pytest.raises(integrity.StoreError, match=r"no column 'engineer' in .*, the approved changes"):
        integrity.reconcile(correcting(), day, kept(day, "m3"), corrections=str(file))


@pytest.mark.parametrize(
    ("name", "why"), [("changed_by", "nobody is named as its actor"), ("changed_at", "its event time is not known")]
)
def test_where_the_destination_does_not_say_who_or_when_no_change_is_approved(
    day: pl.DataFrame, name: str, why: str
) -> None:
    result = integrity.reconcile(correcting(), day, kept(day, "m3").drop(name), corrections=approved({}))
    assert found(result) == [("corrupt", "m3", f"no approved change covers it: {why}")]


def test_approvals_for_a_contract_that_knows_of_none(day: pl.DataFrame) -> None:
    with pytest.raises(integrity.UsageError, match="has no corrections; add corrections: with grants:"):
        integrity.reconcile(promise(), day, day, corrections=approved({}))


def test_what_is_moved_by_somebody_who_may_is_accounted_for(day: pl.DataFrame) -> None:
    there = kept(day, "m3").with_columns(
        day["body"], sent_at=pl.when(pl.col("message_id") == "m3").then(pl.lit(at(25))).otherwise("sent_at")
    )
    contract = correcting(contract={"timeliness": None})
    result = integrity.reconcile(contract, day, there, corrections=approved({}))
    assert (found(result), result.verdict) == ([], Verdict.PASS)
    assert [row[:2] for row in found(integrity.reconcile(contract, day, there))] == [("corrupt", "m3")]


def test_more_data_than_memory_changes_nothing(day: pl.DataFrame) -> None:
    edited = [f"m{n}" for n in range(0, 30, 2)]
    approvals = approved(*({"ticket": f"m{n}"} for n in range(0, 30, 3)))
    with on_disk():
        result = integrity.reconcile(correcting(), day, kept(day, *edited), corrections=approvals)
    assert {row[:2] for row in found(result)} == {("corrupt", f"m{n}") for n in range(0, 30, 2) if n % 3}
    assert result.totals["accounted"] == 5
