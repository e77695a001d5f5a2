"""The verb, by example: each reading of DESIGN that a person may want to look up."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import polars as pl
import pyarrow as pa
import pytest

import integrity
from integrity import Assertion, Verdict
from integrity.breaks import Case
from tests.conftest import at, frame, message, promise


def kinds(result: integrity.Result) -> dict[tuple[str, str], int]:
    return dict(Counter(zip(result.breaks["kind"], result.breaks["message_id"], strict=True)))


def batch(result: integrity.Result, minutes: float) -> dict[str, object]:
    rows = result.batches[result.batches["batch_start"] == at(minutes)]
    assert len(rows) == 1
    return dict(rows.iloc[0])


def test_a_clean_day_passes(day: pl.DataFrame) -> None:
    result = integrity.reconcile(promise(), day, day.sample(fraction=1, shuffle=True, seed=1))
    assert result.verdict is Verdict.PASS
    assert set(result.assertions.values()) == {Verdict.PASS}
    assert result.totals["matched"] == 30
    assert len(result.batches) == 3
    assert result.breaks.empty
    result.raise_for_verdict()
    assert "planted and found corrupt, duplicate, extra, late, lost, skewed" in result.self_test


def test_every_kind_is_named_once_and_nothing_else_is_accused(day: pl.DataFrame) -> None:
    rows = day.to_dicts()
    rows[3]["body"] = "other"
    rows[4]["stored_at"] = at(4) + dt.timedelta(seconds=5, microseconds=1)
    rows[5]["stored_at"] = at(5) - dt.timedelta(microseconds=1)
    kept = [r for r in rows if r["message_id"] != "m7"] + [rows[9], message(99, 9)]
    result = integrity.reconcile(promise(), day, frame(*kept), values=True)
    expected = {("corrupt", "m3"): 1, ("late", "m4"): 1, ("skewed", "m5"): 1, ("lost", "m7"): 1}
    assert kinds(result) == expected | {("duplicate", "m9"): 1, ("extra", "m99"): 1}
    assert set(result.assertions.values()) == {Verdict.FAIL}
    corrupt = result.breaks[result.breaks["kind"] == "corrupt"].iloc[0]
    assert corrupt["differing"] == "body"
    assert corrupt["source_values"] == '{"body": "메시지 3"}'
    assert corrupt["destination_values"] == '{"body": "other"}'
    with pytest.raises(integrity.ReconciliationError) as caught:
        result.raise_for_verdict()
    assert caught.value.result is result
    assert caught.value.exit_code == 1


def test_values_stay_private_unless_asked_for(day: pl.DataFrame) -> None:
    result = integrity.reconcile(promise(), day, day.with_columns(body=pl.lit("x")))
    assert result.breaks["source_values"].isna().all()
    assert "메시지" not in result.to_json()


def test_a_batch_is_open_until_its_end_and_the_grace_are_over(day: pl.DataFrame) -> None:
    kept = day.filter(pl.col("sent_at") < at(20))
    just_before = integrity.reconcile(promise(), day, kept, as_of=at(35) - dt.timedelta(microseconds=1))
    assert just_before.verdict is Verdict.PASS
    assert just_before.totals["pending"] == 10
    assert batch(just_before, 20)["verdict"] == "pending"
    assert just_before.exit_code == 0
    closed = integrity.reconcile(promise(), day, kept, as_of=at(35))
    assert closed.totals["lost"] == 10
    assert closed.verdict is Verdict.FAIL


def test_an_open_batch_accuses_nobody(day: pl.DataFrame) -> None:
    kept = day.with_columns(
        body=pl.when(pl.col("message_id") == "m25").then(pl.lit("old")).otherwise("body"),
    ).vstack(frame(message(77, 26)))
    result = integrity.reconcile(promise(), day, kept, as_of=at(30))
    assert result.breaks.empty
    assert result.totals["pending"] == 1
    assert not [e for e in result.exclusions if e["name"] == "unsettled"]  # no doing of the contract's
    # the stale m25, and m77 that the source does not have yet
    assert any(note.startswith("2 items of the destination left for a later run") for note in result.notes)
    assert result.totals["excluded"] == 2


def test_a_run_without_a_closed_batch_is_unverified(day: pl.DataFrame) -> None:
    early = day.head(5)
    result = integrity.reconcile(promise(), early, early, as_of=at(5))
    assert result.verdict is Verdict.UNVERIFIED
    assert result.exit_code == 3
    assert any("no batch is closed" in note for note in result.notes)


def test_nothing_at_all_is_unverified() -> None:
    result = integrity.reconcile(promise(), frame(), frame())
    assert result.verdict is Verdict.UNVERIFIED
    assert set(result.assertions.values()) == {Verdict.UNVERIFIED}
    with pytest.raises(integrity.ReconciliationError):
        result.raise_for_verdict()


def test_everything_lost_is_not_accurate(day: pl.DataFrame) -> None:
    result = integrity.reconcile(promise(), day, frame())
    assert result.assertions[Assertion.COMPLETENESS] is Verdict.FAIL
    assert result.assertions[Assertion.ACCURACY] is Verdict.UNVERIFIED
    assert result.assertions[Assertion.TIMELINESS] is Verdict.FAIL  # a lost item is not on time
    assert result.batches["completeness_ratio"].tolist() == [0.0, 0.0, 0.0]


def test_a_moved_item_is_one_corrupt_item_filed_under_the_source(day: pl.DataFrame) -> None:
    moved = day.with_columns(
        sent_at=pl.when(pl.col("message_id") == "m2")
        .then(pl.col("sent_at") + dt.timedelta(minutes=20))
        .otherwise("sent_at"),
        stored_at=pl.when(pl.col("message_id") == "m2")
        .then(pl.col("stored_at") + dt.timedelta(minutes=20))
        .otherwise("stored_at"),
    )
    result = integrity.reconcile(promise(timeliness=None), day, moved)
    assert kinds(result) == {("corrupt", "m2"): 1}
    assert result.breaks.iloc[0]["differing"] == "sent_at"
    assert result.breaks.iloc[0]["batch_start"] == at(0)
    assert (batch(result, 0)["moved_out"], batch(result, 20)["moved_in"], result.totals["moved"]) == (1, 1, 1)


def test_a_moved_item_is_found_outside_the_window_of_the_run(day: pl.DataFrame) -> None:
    shifted = pl.col("sent_at") + dt.timedelta(minutes=20)
    moved = day.with_columns(sent_at=pl.when(pl.col("message_id") == "m2").then(shifted).otherwise("sent_at"))
    here = integrity.reconcile(promise(timeliness=None), day, moved, since=at(0), until=at(10))
    assert kinds(here) == {("corrupt", "m2"): 1}
    assert here.totals["lost"] == 0
    # And from the other end: the run over the window it moved to files it under the batch of its source.
    there = integrity.reconcile(promise(timeliness=None), day, moved, since=at(20), until=at(30))
    assert kinds(there) == {("corrupt", "m2"): 1}
    assert there.breaks.iloc[0]["batch_start"] == at(0)
    assert batch(there, 20)["moved_in"] == 1


def test_a_redelivery_into_another_batch_is_a_duplicate(day: pl.DataFrame) -> None:
    again = day.filter(pl.col("message_id") == "m2").with_columns(sent_at=pl.lit(at(25)))
    result = integrity.reconcile(promise(timeliness=None), day, day.vstack(again), since=at(20), until=at(30))
    assert kinds(result) == {("duplicate", "m2"): 1}


def test_an_outcome_accounts_for_a_missing_item_and_not_for_a_present_one(day: pl.DataFrame) -> None:
    ended = pl.DataFrame({"message_id": ["m1", "m2", "m3"], "outcome": ["recalled", "recalled", "bounced"]})
    kept = day.filter(~pl.col("message_id").is_in(["m1", "m3"]))
    result = integrity.reconcile(promise(outcomes={"accept": ["recalled"]}), day, kept, outcomes=ended)
    assert kinds(result) == {("extra", "m2"): 1, ("lost", "m3"): 1}
    assert result.totals["accounted"] == 2
    reasons = dict(zip(result.breaks["message_id"], result.breaks["reason"], strict=True))
    assert reasons == {
        "m2": "accounted for as recalled, yet present",
        "m3": "ended as bounced, which the contract does not accept",
    }


def test_a_batch_of_accounted_items_only_passes() -> None:
    ended = pl.DataFrame({"message_id": ["m1"], "outcome": ["recalled"]})
    day = frame(message(1, 1), message(11, 11))
    result = integrity.reconcile(promise(outcomes={"accept": ["recalled"]}), day, day.tail(1), outcomes=ended)
    first = batch(result, 0)
    assert (first["verdict"], first["accounted"]) == ("pass", 1)
    assert first["completeness_ratio"] != first["completeness_ratio"]  # 0 of 0 is no ratio
    assert result.verdict is Verdict.PASS


def test_exclusions_narrow_the_population_and_are_counted(day: pl.DataFrame) -> None:
    typing = frame(*(message(500 + n, n, body="typing…") for n in range(5)))
    rule = {"name": "typing", "side": "source", "where": {"body": ["typing…"]}, "reason": "never stored"}
    result = integrity.reconcile(promise(exclude=[rule]), day.vstack(typing), day)
    assert result.verdict is Verdict.PASS
    assert result.totals["excluded"] == 5
    assert result.exclusions == ({"side": "source", "name": "typing", "reason": "never stored", "count": 5},)


def test_only_the_newest_revision_counts() -> None:
    contract = promise(
        content={"body": "text", "revision": "integer"}, amounts=None, latest_by="revision", timeliness=None
    )
    rows = [("a", 1, "x"), ("a", 2, "y"), ("b", 9, "x"), ("b", 10, "z")]
    table = pl.DataFrame(rows, schema=["message_id", "revision", "body"], orient="row").with_columns(
        sent_at=pl.lit(at(1))
    )
    assert integrity.reconcile(contract, table, table.filter(pl.col("revision").is_in([2, 10]))).verdict is Verdict.PASS
    stale = integrity.reconcile(contract, table, table.filter(pl.col("revision") != 10))
    assert kinds(stale) == {("corrupt", "b"): 1}
    assert stale.totals["superseded"] == 3
    assert stale.breaks.iloc[0]["differing"] == "body, revision"


def test_an_edit_in_flight_is_pending() -> None:
    contract = promise(clock={"event": "sent_at", "processed": "stored_at", "changed": "edited_at"})
    source = frame(message(1, 1), message(2, 2, body="edited")).with_columns(edited_at=pl.Series([at(1), at(58)]))
    kept = frame(message(1, 1), message(2, 2, body="before"))
    waiting = integrity.reconcile(contract, source, kept, as_of=at(60))
    assert waiting.verdict is Verdict.PENDING
    assert waiting.breaks.empty
    assert waiting.exit_code == 0
    assert kinds(integrity.reconcile(contract, source, kept, as_of=at(63))) == {("corrupt", "m2"): 1}


def test_a_missing_digest_is_unverified_and_never_equal() -> None:
    contract = promise(content={"sha256": {"type": "text", "evidence": True}}, amounts=None, timeliness=None)
    here = frame(message(1, 1), message(2, 2)).with_columns(sha256=pl.Series(["aa", None], dtype=pl.String))
    there = frame(message(1, 1), message(2, 2)).with_columns(sha256=pl.Series([None, None], dtype=pl.String))
    result = integrity.reconcile(contract, here, there)
    assert result.totals["unverified"] == 2
    assert result.assertions[Assertion.ACCURACY] is Verdict.UNVERIFIED
    assert result.assertions[Assertion.COMPLETENESS] is Verdict.PASS
    assert result.breaks.empty


def test_carried_content_proves_nothing(day: pl.DataFrame) -> None:
    contract = promise(content={"body": {"type": "text", "carried": True}}, amounts=None)
    result = integrity.reconcile(contract, day, day)
    assert result.assertions[Assertion.ACCURACY] is Verdict.UNVERIFIED
    assert result.verdict is Verdict.UNVERIFIED


def test_the_ratio_holds_over_the_run_and_never_over_holds_always(day: pl.DataFrame) -> None:
    late = day.with_columns(
        stored_at=pl.when(pl.col("message_id") == "m1")
        .then(pl.col("stored_at") + dt.timedelta(seconds=10))
        .otherwise("stored_at")
    )
    kept = integrity.reconcile(promise(timeliness={"within": "5s", "ratio": 0.96}), day, late)
    assert kept.verdict is Verdict.PASS
    assert kinds(kept) == {("late", "m1"): 1}  # on the record, though the promise is kept
    broken = integrity.reconcile(promise(timeliness={"within": "5s", "ratio": 0.97}), day, late)
    assert broken.batches["timeliness"].tolist() == ["fail", "pass", "pass"]
    over = integrity.reconcile(promise(timeliness={"within": "5s", "ratio": 0.5, "never_over": "11s"}), day, late)
    assert over.assertions[Assertion.TIMELINESS] is Verdict.FAIL


def test_an_unknown_processed_time_is_not_on_time(day: pl.DataFrame) -> None:
    blank = pl.when(pl.col("message_id") != "m1").then("stored_at")
    result = integrity.reconcile(promise(), day, day.with_columns(stored_at=blank))
    assert result.assertions[Assertion.TIMELINESS] is Verdict.UNVERIFIED


def test_an_idle_window_is_good_unless_one_was_due() -> None:
    day = frame(message(1, 1), message(25, 25))
    assert integrity.reconcile(promise(), day, day).verdict is Verdict.PASS
    due = integrity.reconcile(promise(due="window"), day, day, since=at(0), until=at(40))
    assert due.verdict is Verdict.UNVERIFIED
    assert due.batches["verdict"].tolist() == ["pass", "unverified", "pass", "unverified"]


def test_the_same_identity_twice_in_the_source_is_invalid(day: pl.DataFrame) -> None:
    twice = day.vstack(day.head(1))
    assert kinds(integrity.reconcile(promise(), twice, twice)) == {("invalid", "m0"): 1}
    assert integrity.reconcile(promise(unique=False), twice, twice).verdict is Verdict.PASS
    apart = day.vstack(frame(message(0, 25)))  # far apart in time: both batches agree, and still
    assert kinds(integrity.reconcile(promise(), apart, apart)) == {("invalid", "m0"): 1}


def test_untimed_items_have_a_batch_of_their_own() -> None:
    day = frame(message(1, 1), message(2, 2, sent_at=None), message(3, 60 * 24 * 365 * 100))
    result = integrity.reconcile(promise(), day, day)
    assert kinds(result) == {("invalid", "m2"): 1, ("skewed", "m3"): 1}
    untimed = result.batches[result.batches["batch_start"].isna()].iloc[0]
    assert (untimed["source_records"], untimed["matched"]) == (2, 2)
    no_promise = integrity.reconcile(promise(timeliness=None), day, day)
    assert kinds(no_promise) == {("invalid", "m2"): 1, ("invalid", "m3"): 1}


def test_a_partition_divides_batches(day: pl.DataFrame) -> None:
    named = day.with_columns(tenant=pl.when(pl.col("size_bytes") % 2 == 0).then(pl.lit("a")).otherwise(pl.lit("b")))
    contract = promise(identity=["tenant", "message_id"], partition=["tenant"])
    result = integrity.reconcile(contract, named, named.filter(pl.col("message_id") != "m0"))
    assert len(result.batches) == 6
    failing = result.batches[result.batches["verdict"] == "fail"]
    assert failing[["tenant", "lost"]].to_numpy().tolist() == [["a", 1]]


def test_recorded_totals_locate_a_difference_to_its_batch(day: pl.DataFrame) -> None:
    recorded = integrity.ControlTotals.from_arrow(integrity.measure(promise(), day, side="source").to_arrow())
    clean = integrity.reconcile(promise(), recorded, day)
    assert clean.verdict is Verdict.PASS
    assert clean.sides["source"].recorded
    lost = integrity.reconcile(promise(), recorded, day.filter(pl.col("message_id") != "m13"))
    assert lost.verdict is Verdict.FAIL
    assert lost.breaks.empty
    assert lost.batches["verdict"].tolist() == ["pass", "fail", "pass"]
    assert any("cannot say in which items" in note for note in lost.notes)
    other = integrity.measure(promise(version=2), day, side="source")
    with pytest.raises(integrity.ContractError, match="measure them again"):
        integrity.reconcile(promise(), other, day)


def test_skipping_is_on_the_record(day: pl.DataFrame) -> None:
    late = day.with_columns(stored_at=pl.col("stored_at") + dt.timedelta(hours=1))
    result = integrity.reconcile(promise(), day, late, skip={"timeliness": "clock replaced"})
    assert result.verdict is Verdict.PASS
    assert result.assertions[Assertion.TIMELINESS] is Verdict.SKIPPED
    assert "3 of 4 promises judged" in result.headline()
    assert "timeliness skipped: clock replaced" in result.notes
    without = integrity.reconcile(promise(), day, late.drop("stored_at"), skip={"timeliness": "no such column yet"})
    assert without.verdict is Verdict.PASS
    every = {assertion.value: "why not" for assertion in promise().assertions}
    assert integrity.reconcile(promise(), day, day, skip=every).verdict is Verdict.UNVERIFIED


@pytest.mark.parametrize(
    ("demand", "assertion", "why"),
    [
        (
            {
                "authorization": {
                    "actor": "sender",
                    "object": "message_id",
                    "grants": {"actor": "a", "object": "o", "from": "f", "until": "u"},
                },
            },
            Assertion.AUTHORIZATION,
            "no store of grants was given (grants=)",
        ),
    ],
)
def test_what_is_not_there_yet_is_unverified_and_never_green(
    day: pl.DataFrame, demand: dict[str, object], assertion: Assertion, why: str
) -> None:
    sent = day.with_columns(sender=pl.lit("x"))
    result = integrity.reconcile(promise(**demand), sent, sent)
    assert result.assertions[assertion] is Verdict.UNVERIFIED
    assert result.verdict is Verdict.UNVERIFIED
    assert any(note.startswith(f"{assertion.value}: {why}") for note in result.notes)


def test_their_names_and_zones_need_no_rewriting(day: pl.DataFrame) -> None:
    theirs = day.rename({"message_id": "Sent Id", "body": "order"}).with_columns(
        sent_at=pl.col("sent_at").dt.convert_time_zone("Asia/Seoul").dt.replace_time_zone(None)
    )
    columns = {"source": {"Sent Id": "message_id", "order": "body"}}
    result = integrity.reconcile(promise(), theirs, day, columns=columns, timezone={"source": "Asia/Seoul"})
    assert result.verdict is Verdict.PASS
    assert result.spec_sha256 != integrity.reconcile(promise(), day, day).spec_sha256


class Flaky:
    """A store in which something arrives, or goes wrong, between two readings."""

    name = "flaky"
    location = "flaky"

    def __init__(self, *readings: pl.DataFrame | Exception) -> None:
        self.readings = list(readings)
        self.passes = 0

    def columns(self) -> list[str]:
        first = self.readings[0]
        assert isinstance(first, pl.DataFrame)
        return first.columns

    def stream(self, columns, span=None):  # type: ignore[no-untyped-def]
        now = self.readings[min(self.passes, len(self.readings) - 1)]
        self.passes += 1
        if isinstance(now, Exception):
            yield from self.readings[0].select(columns).to_arrow().to_batches()  # type: ignore[union-attr]
            raise now
        yield from now.select(columns).to_arrow().to_batches() or [now.select(columns).to_arrow()]


def test_what_arrives_while_the_run_looks_again_is_no_break(day: pl.DataFrame) -> None:
    # The self-test samples the destination first; then the first pass misses three, which the second look finds.
    early = day.filter(~pl.col("message_id").is_in(["m3", "m4", "m5"]))
    result = integrity.reconcile(promise(), day, Flaky(early, early, day))
    assert result.breaks.empty
    assert result.verdict is Verdict.PASS
    assert result.totals["destination_records"] == 30


def test_a_store_that_fails_in_the_middle_makes_no_result(day: pl.DataFrame) -> None:
    with pytest.raises(integrity.StoreError, match="the line went dead"):
        integrity.reconcile(promise(), day, Flaky(day, integrity.StoreError("the line went dead")))


def test_the_self_test_can_fail(day: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison that is blind to lost items must be noticed before its findings are believed."""
    from integrity import matching

    real = matching._status

    def blind(items: pl.DataFrame, case: Case) -> pl.DataFrame:
        return real(items, case).with_columns(pl.col("status").replace("lost", "accounted"))

    monkeypatch.setattr(matching, "_status", blind)
    with pytest.raises(integrity.SelfTestError, match="missed: lost"):
        integrity.reconcile(promise(), day, day)


def test_a_summary_that_disagrees_raises(day: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    from integrity import matching, reconciliation

    monkeypatch.setattr(reconciliation, "run_self_test", lambda *_: "not in this test")
    real = matching._counts
    monkeypatch.setattr(matching, "_counts", lambda *given: real(*given).with_columns(pl.col("matched") + 1))
    with pytest.raises(integrity.BalanceError, match="do not add up"):
        integrity.reconcile(promise(), day, day.head(29))


def test_a_batch_that_vanishes_from_the_result_raises(day: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    from integrity import comparison, reconciliation

    monkeypatch.setattr(reconciliation, "run_self_test", lambda *_: "not in this test")
    real = comparison.assemble
    monkeypatch.setattr(
        comparison, "assemble", lambda totals, settled, *rest: real(totals, settled.head(settled.height - 1), *rest)
    )
    with pytest.raises(integrity.BalanceError, match="are not in the result"):
        integrity.reconcile(promise(), day, day)


def test_a_wholly_lost_batch_streams_its_breaks(day: pl.DataFrame, tmp_path) -> None:  # type: ignore[no-untyped-def]
    many = pl.DataFrame({"message_id": [str(n) for n in range(60_000)]}).with_columns(
        body=pl.lit("x"), size_bytes=pl.lit(1), sent_at=pl.lit(at(1)), stored_at=pl.lit(at(1))
    )
    result = integrity.reconcile(promise(), many, many.head(1))
    assert result.totals["lost"] == result.break_count == 59_999
    streamed = pa.Table.from_batches(list(result.iter_breaks()))
    assert streamed.num_rows == 59_999
    assert max(b.num_rows for b in result.iter_breaks()) <= 65_536
    result.to_json(tmp_path / "r.json")
    assert len((tmp_path / "r.breaks.jsonl").read_text(encoding="utf-8").splitlines()) == 59_999


def test_items_from_the_future_are_said_to_be_that(day: pl.DataFrame) -> None:
    later = day.with_columns(pl.col("sent_at", "stored_at") + dt.timedelta(days=40_000))
    notes = integrity.reconcile(promise(), later, later).notes
    said = f"{day.height} items from beyond as_of plus the skew of 1s: by their 'sent_at' they are from the future"
    assert any(note.startswith(said) for note in notes)
    assert not any("timezone=" in note for note in notes)
    naive = day.with_columns(pl.col("sent_at").cast(pl.String).str.slice(0, 19))
    notes = integrity.reconcile(promise(), naive, naive.with_columns(day["stored_at"])).notes
    assert any("no event time of the source could be read" in note and "timezone=" in note for note in notes)


def test_an_as_of_that_has_not_come_is_noted(day: pl.DataFrame) -> None:
    result = integrity.reconcile(promise(), day, day, as_of=dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
    assert result.as_of <= dt.datetime.now(dt.UTC)
    assert result.notes[0].startswith("as_of ")
    assert "is later than the moment at which the sides were read" in result.notes[0]
    assert not any("as_of" in note for note in integrity.reconcile(promise(), day, day, as_of=at(60)).notes)


def test_the_self_test_says_what_it_could_not_plant() -> None:
    one = integrity.Contract(name="one", version=1, identity=["id"])
    two = integrity.Contract(name="two", version=1, identity=["id", "part"])
    items = pl.DataFrame({"id": ["1"], "part": ["a"]})
    said = integrity.reconcile(one, items, items).self_test
    assert said == (
        "planted and found duplicate, extra, lost in a shadow copy of 1 item; not planted: invalid (its one identity "
        "column is the one that tells planted rows apart); this tests the comparison, not the extraction"
    )
    assert "not planted" not in integrity.reconcile(two, items, items).self_test
    assert "among made-up items alone, for the destination held none to copy" in (
        integrity.reconcile(two, items, items[:0]).self_test
    )
    measured = integrity.measure(two, items, side="source")
    assert "for recorded totals hold none to copy" in integrity.reconcile(two, measured, items).self_test
    who = {"actor": "id", "object": "part", "grants": {"actor": "who", "object": "what"}}
    clock = {"event": "at"}
    authorized = integrity.Contract(name="who", version=1, identity=["id", "part"], authorization=who, clock=clock)
    dated = items.with_columns(at=pl.lit(at(0)))
    assert "not planted: unauthorized (no grants were read)" in integrity.reconcile(authorized, dated, dated).self_test
