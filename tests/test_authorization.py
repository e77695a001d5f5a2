"""Who may act on what, end to end: from stores of grants to verdicts, reasons and a review of access."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy

import integrity
from integrity import Assertion, Verdict
from tests.conftest import at, message, promise
from tests.test_reconcile_laws import on_disk, without_self_test

UTC = pl.Datetime("us", "UTC")
#: Every column that a store of grants may have.
NAMED = {
    "actor": "member", "object": "room", "from": "joined", "until": "left_at", "revoked_at": "revoked",
    "departed_at": "departed", "recorded_at": "recorded", "approver": "approver",
}  # fmt: skip
TIMES = ("joined", "left_at", "revoked", "departed", "recorded")


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


def allowing(grants: dict[str, str] = NAMED, **said: Any) -> integrity.Contract:
    """The contract of the other tests, and who may send to a room."""
    changes = said.pop("contract", {})
    return promise(authorization={"actor": "sender", "object": "place", "grants": grants, **said}, **changes)


def sent(
    number: int, minutes: float, sender: str | None = "kim", place: str | None = "a", **more: Any
) -> dict[str, Any]:
    return message(number, minutes) | {"sender": sender, "place": place} | more


def rows(*said: dict[str, Any]) -> pl.DataFrame:
    texts = {"sender": pl.String, "place": pl.String, "approved_by": pl.String, "kind": pl.String}
    times = dict.fromkeys(("sent_at", "stored_at"), UTC)
    schema = {"message_id": pl.String, "body": pl.String, "size_bytes": pl.Int64, **times}
    return pl.DataFrame(list(said), schema=schema | {name: texts[name] for name in texts if name in said[0]})


def granted(*said: dict[str, Any]) -> pl.DataFrame:
    """Grants: of kim, in room a, since ever and open, unless it is said otherwise."""
    base = {"member": "kim", "room": "a", **dict.fromkeys((*TIMES, "approver"))}
    texts = dict.fromkeys(("member", "room", "approver"), pl.String)
    return pl.DataFrame([base | each for each in said], schema=texts | dict.fromkeys(TIMES, UTC))


def reasons(result: integrity.Result) -> dict[str, str]:
    told = result.breaks[result.breaks["kind"] == "unauthorized"]
    assert told["message_id"].is_unique
    return dict(zip(told["message_id"], told["reason"], strict=True))


def verdict(result: integrity.Result) -> Verdict:
    return result.assertions[Assertion.AUTHORIZATION]


# --- each reason -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grant", "why"),
    [
        ({}, None),
        ({"joined": at(5)}, None),
        ({"joined": at(5.1)}, "not yet valid until 2026-03-02T00:05:06Z"),
        ({"left_at": at(5)}, "expired at 2026-03-02T00:05:00Z"),
        ({"left_at": at(5.1)}, None),
        ({"revoked": at(4)}, "revoked at 2026-03-02T00:04:00Z"),
        ({"departed": at(3)}, "its actor had left at 2026-03-02T00:03:00Z"),
        ({"recorded": at(6)}, "recorded after the act, at 2026-03-02T00:06:00Z"),
        ({"approver": "kim"}, "approved by the actor themself"),
        ({"approver": "lee"}, None),
        ({"member": "lee"}, "no grant ever"),
        ({"room": "b"}, "no grant ever"),
        ({"member": None}, "no grant ever"),
        ({"joined": at(9), "left_at": at(1)}, "no grant ever that held for a moment"),
    ],
)
def test_each_reason(grant: dict[str, Any], why: str | None) -> None:
    day = rows(sent(1, 5), sent(2, 15, "system", "s"))
    result = integrity.reconcile(allowing(), day, day, grants=granted(grant, {"member": "system", "room": "s"}))
    assert reasons(result) == ({} if why is None else {"m1": why})
    assert verdict(result) is (Verdict.PASS if why is None else Verdict.FAIL)
    assert (result.verdict, result.exit_code) == ((Verdict.PASS, 0) if why is None else (Verdict.FAIL, 1))
    assert result.totals["unauthorized"] == (why is not None)
    assert result.batches["authorization"].tolist() == ["pass" if why is None else "fail", "pass"]


def test_who_came_back_is_told_so() -> None:
    day = rows(sent(1, 5))
    back = granted({"left_at": at(4)}, {"joined": at(6)})
    result = integrity.reconcile(allowing(), day, day, grants=back)
    assert reasons(result) == {"m1": "expired at 2026-03-02T00:04:00Z, granted again from 2026-03-02T00:06:00Z"}


def test_nobody_and_nothing_can_be_granted_anything() -> None:
    day = rows(sent(1, 1, sender=None), sent(2, 2, place=None), sent(3, 3))
    result = integrity.reconcile(allowing(), day, day, grants=granted({}, {"member": None}, {"room": None}))
    assert reasons(result) == {"m1": "nobody is named as its actor", "m2": "it names no object"}
    assert "2 grants name no actor or no object, and grant nothing" in result.notes


def test_an_item_without_its_time_is_not_known_to_be_authorized() -> None:
    day = rows(sent(1, 1), sent(2, 2, sent_at=None))
    result = integrity.reconcile(allowing(), day, day, grants=granted({}))
    assert reasons(result) == {}
    assert verdict(result) is Verdict.UNVERIFIED
    assert "authorization of 1 items is not known: its event time is not known" in result.notes


# --- four eyes, exemptions, folders ----------------------------------------------------------------------------------


def test_four_eyes() -> None:
    day = rows(sent(1, 1, approved_by="lee"), sent(2, 2, approved_by="kim"), sent(3, 3, approved_by=None))
    result = integrity.reconcile(allowing(approver="approved_by"), day, day, grants=granted({}))
    assert reasons(result) == {"m2": "approved by the actor themself", "m3": "approved by nobody"}
    both = integrity.reconcile(allowing(approver="approved_by"), day, day, grants=granted({"room": "b"}))
    assert reasons(both) == {
        "m1": "no grant ever",
        "m2": "no grant ever; approved by the actor themself",
        "m3": "no grant ever; approved by nobody",
    }


def test_what_needs_no_grant_is_counted() -> None:
    day = rows(*(sent(n, n, "system", kind="system" if n < 3 else None) for n in range(1, 6)))
    exempt = [
        {"where": {"kind": ["system"]}, "reason": "the service itself"},
        {"where": {"kind": [None]}, "reason": "old"},
    ]
    result = integrity.reconcile(allowing(exempt=exempt), day, day, grants=granted({}))
    assert verdict(result) is Verdict.PASS
    assert {note for note in result.notes if "no grant:" in note} == {
        "2 items need no grant: the service itself",
        "3 items need no grant: old",
    }
    only = integrity.reconcile(allowing(exempt=exempt[:1]), day, day, grants=granted({}))
    assert set(reasons(only)) == {"m3", "m4", "m5"}


def test_a_grant_for_a_folder_is_one_for_all_below() -> None:
    day = rows(*(sent(n, n, place=path) for n, path in enumerate(["/t", "/t/a", "/t/a/b", "/tt", "/", "t/a"])))
    result = integrity.reconcile(allowing(within="/"), day, day, grants=granted({"room": "/t/"}))
    assert set(reasons(result)) == {"m3", "m4", "m5"}
    flat = integrity.reconcile(allowing(), day, day, grants=granted({"room": "/t"}))
    assert set(reasons(flat)) == {"m1", "m2", "m3", "m4", "m5"}
    root = integrity.reconcile(allowing(within="/"), day, day, grants=granted({"room": "/"}))
    assert set(reasons(root)) == {"m5"}


# --- stores of grants ------------------------------------------------------------------------------------------------


def _csv(grants: pl.DataFrame, folder: Path) -> str:
    grants.with_columns(pl.col(UTC).dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(folder / "grants.csv")
    return str(folder / "grants.csv")


def _parquet(grants: pl.DataFrame, folder: Path) -> str:
    grants.write_parquet(folder / "grants.parquet")
    return str(folder / "grants.parquet")


def _sqlite(grants: pl.DataFrame, folder: Path) -> str:
    url = f"sqlite:///{folder / 'grants.sqlite'}"
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as line:
        line.exec_driver_sql(f"CREATE TABLE grants ({', '.join(f'{name} TEXT' for name in grants.columns)})")
        for row in grants.with_columns(pl.col(UTC).dt.strftime("%Y-%m-%dT%H:%M:%SZ")).rows():
            line.exec_driver_sql(f"INSERT INTO grants VALUES ({', '.join('?' * len(row))})", row)
    engine.dispose()
    return url + "#grants"


@pytest.mark.parametrize(
    "store",
    [lambda g, _: g, lambda g, _: g.to_pandas(), lambda g, _: g.to_arrow(), _csv, _parquet, _sqlite],
    ids=["polars", "pandas", "arrow", "csv", "parquet", "sqlite"],
)
def test_grants_come_from_any_store(store: Callable[[pl.DataFrame, Path], Any], tmp_path: Path) -> None:
    grants = granted({"joined": at(2), "left_at": at(4)}, {"member": "lee", "revoked": at(3)})
    day = rows(*(sent(n, n) for n in range(1, 6)), sent(7, 7, "lee"))
    result = integrity.reconcile(allowing(), day, day, grants=store(grants, tmp_path))
    assert reasons(result) == {
        "m1": "not yet valid until 2026-03-02T00:02:00Z",
        "m4": "expired at 2026-03-02T00:04:00Z",
        "m5": "expired at 2026-03-02T00:04:00Z",
        "m7": "revoked at 2026-03-02T00:03:00Z",
    }


def test_their_names_and_their_zone() -> None:
    day = rows(sent(1, 1), sent(9, 9))
    theirs = pl.DataFrame(
        {"wer": ["kim"], "room": ["a"], "joined": ["2026-03-02 09:00:00"], "left_at": ["2026-03-02 09:05:00"]}
    )
    few = {key: NAMED[key] for key in ("actor", "object", "from", "until")}
    asked: dict[str, Any] = {"grants": theirs, "columns": {"grants": {"wer": "member"}}}
    result = integrity.reconcile(allowing(few), day, day, timezone={"grants": "Asia/Seoul"}, **asked)
    assert reasons(result) == {"m9": "expired at 2026-03-02T00:05:00Z"}
    with pytest.raises(integrity.StoreError, match=r"values of 'joined' in .*, the grants, are no times; .*timezone="):
        integrity.reconcile(allowing(few), day, day, **asked)


def test_names_are_read_as_those_of_the_items() -> None:
    contract = allowing(
        contract={"content": {"sender": {"type": "text", "trim": True}, "place": "integer"}, "amounts": None}
    )
    day = rows(sent(1, 1, " kim ", "007"), sent(2, 2, "kim", "8"))
    grants = granted({"room": "x"}).with_columns(room=pl.lit(7), member=pl.lit("kim  "))
    assert reasons(integrity.reconcile(contract, day, day, grants=grants)) == {"m2": "no grant ever"}


def test_a_store_without_a_column_says_what_it_has() -> None:
    day = rows(sent(1, 1))
    with pytest.raises(integrity.StoreError, match=r"no column 'member' in .*, the grants; did you mean 'membr'\?"):
        integrity.reconcile(allowing(), day, day, grants=granted({}).rename({"member": "membr"}))
    with pytest.raises(integrity.StoreError, match=r"no column 'revoked' in .*, the grants"):
        integrity.reconcile(allowing(), day, day, grants=granted({}).drop("revoked"))
    with pytest.raises(integrity.StoreError, match=r"no column 'sender' in .*did you mean 'sendr'\?"):
        renamed = day.rename({"sender": "sendr"})
        integrity.reconcile(allowing(), renamed, renamed, grants=granted({}))


@pytest.mark.parametrize("name", TIMES)
def test_a_time_that_cannot_be_read_is_no_time_without_end(name: str) -> None:
    day = rows(sent(1, 1))
    wrong = granted({}).with_columns(pl.lit("31.12.9999").alias(name))
    with pytest.raises(
        integrity.StoreError, match=rf"1 values of '{name}' in .*, the grants, are no times; write them"
    ):
        integrity.reconcile(allowing(), day, day, grants=wrong)


# --- what cannot be known --------------------------------------------------------------------------------------------


PRESENT = {"actor": "member", "object": "room"}


@pytest.mark.parametrize("more", [{}, {"recorded_at": "recorded"}, {"departed_at": "departed"}])
def test_a_list_of_present_members_proves_nothing_of_the_past(more: dict[str, str]) -> None:
    day = rows(sent(1, 1), sent(2, 2, "lee"))
    result = integrity.reconcile(allowing(PRESENT | more), day, day, grants=granted({}))
    assert reasons(result) == {}
    assert (verdict(result), result.verdict, result.exit_code) == (Verdict.UNVERIFIED, Verdict.UNVERIFIED, 3)
    assert {note for note in result.notes if note.startswith("authorization")} == {
        "authorization of 1 items is not known: the grants do not tell what ended before now",
        "authorization of 1 items is not known: the grants do not tell since when they hold",
    }


def test_grants_that_do_not_tell_their_beginning_can_only_refute() -> None:
    day = rows(sent(1, 1), sent(2, 2, "lee"), sent(3, 13))
    result = integrity.reconcile(allowing(PRESENT | {"until": "left_at"}), day, day, grants=granted({}))
    assert reasons(result) == {"m2": "no grant ever"}
    assert result.batches["authorization"].tolist() == ["fail", "unverified"]


def test_grants_that_do_not_tell_their_end_can_only_confirm() -> None:
    day = rows(sent(1, 1), sent(12, 12, "lee"))
    result = integrity.reconcile(allowing(PRESENT | {"from": "joined"}), day, day, grants=granted({}))
    assert reasons(result) == {}
    assert result.batches["authorization"].tolist() == ["pass", "unverified"]


def test_without_grants_nobody_knows() -> None:
    day = rows(sent(1, 1))
    result = integrity.reconcile(allowing(), day, day)
    assert (verdict(result), result.verdict) == (Verdict.UNVERIFIED, Verdict.UNVERIFIED)
    assert "authorization: no store of grants was given (grants=), so nobody knows who might act" in result.notes
    assert result.access_review.empty


def test_a_store_of_no_grants_is_no_store_that_is_missing() -> None:
    day = rows(sent(1, 1))
    result = integrity.reconcile(allowing(), day, day, grants=granted())
    assert reasons(result) == {"m1": "no grant ever"}
    assert "the store of grants holds no grant at all" in result.notes


def test_recorded_totals_have_no_items_to_ask_for() -> None:
    day = rows(sent(1, 1))
    totals = integrity.measure(allowing(), day, side="source")
    result = integrity.reconcile(allowing(), totals, day, grants=granted({}))
    assert verdict(result) is Verdict.UNVERIFIED
    assert "authorization: recorded totals have no items to ask grants for" in result.notes
    there = integrity.reconcile(
        allowing(), day, integrity.measure(allowing(), day, side="destination"), grants=granted({})
    )
    assert verdict(there) is Verdict.PASS


def test_skipping_it_is_on_the_record_and_needs_no_grants() -> None:
    day = rows(sent(1, 1)).drop("sender", "place")
    skip = {"authorization": "no list is kept"}
    for grants in (None, granted({}).drop("member")):
        result = integrity.reconcile(allowing(), day, day, grants=grants, skip=skip)
        assert (verdict(result), result.verdict) == (Verdict.SKIPPED, Verdict.PASS)
        assert "authorization skipped: no list is kept" in result.notes


def test_grants_for_a_contract_that_promises_nothing_of_them() -> None:
    day = rows(sent(1, 1))
    with pytest.raises(
        integrity.UsageError, match=r"promises no authorization; add authorization: with grants: \{actor:"
    ):
        integrity.reconcile(promise(), day, day, grants=granted({}))


# --- which items are judged ------------------------------------------------------------------------------------------


def test_whatever_became_of_an_item_it_is_judged_and_of_the_source() -> None:
    day = rows(*(sent(n, n) for n in range(1, 6)))
    late = pl.col("sent_at") + dt.timedelta(minutes=1)
    kept = day.with_columns(
        body=pl.when(pl.col("message_id") == "m2").then(pl.lit("other")).otherwise("body"),
        stored_at=pl.when(pl.col("message_id") == "m3").then(late).otherwise("stored_at"),
        sender=pl.lit("somebody else"),  # who the destination says it was does not matter
    ).filter(pl.col("message_id") != "m1")
    result = integrity.reconcile(allowing(), day, pl.concat([kept, kept.tail(1)]), grants=granted({"joined": at(5)}))
    found = {(b.kind, b.message_id) for b in result.breaks.itertuples()}
    assert found == {("lost", "m1"), ("corrupt", "m2"), ("late", "m3"), ("duplicate", "m5")} | {
        ("unauthorized", f"m{n}") for n in range(1, 5)
    }
    assert result.break_count == 8


def test_what_the_destination_has_besides_is_nobody_s_act_here() -> None:
    day = rows(sent(1, 1))
    result = integrity.reconcile(allowing(), day, rows(sent(1, 1), sent(2, 2, "eve")), grants=granted({}))
    assert [(b.kind, b.message_id) for b in result.breaks.itertuples()] == [("extra", "m2")]
    assert verdict(result) is Verdict.PASS


def test_open_batches_are_not_judged() -> None:
    day = rows(sent(1, 1, "eve"), sent(2, 21, "eve"))
    result = integrity.reconcile(allowing(), day, day, grants=granted({}), as_of=at(30))
    assert set(reasons(result)) == {"m1"}
    assert result.batches["authorization"].tolist() == ["fail", "pending"]


def test_what_is_excluded_needs_no_grant() -> None:
    day = rows(sent(1, 1, kind="text"), sent(2, 2, "eve", kind="typing"))
    rule = {"name": "typing", "where": {"kind": ["typing"]}, "reason": "never stored"}
    result = integrity.reconcile(allowing(contract={"exclude": [rule]}), day, day, grants=granted({}))
    assert verdict(result) is Verdict.PASS
    assert result.access_review.empty


def test_only_what_was_asked_for_is_judged() -> None:
    day = rows(*(sent(n, n * 10 + 1, "eve") for n in range(3)))
    result = integrity.reconcile(allowing(), day, day, since=at(10), until=at(20), grants=granted({}))
    assert set(reasons(result)) == {"m1"}


def test_the_newest_revision_is_judged() -> None:
    contract = allowing(
        contract={"content": {"body": "text", "revision": "integer"}, "amounts": None, "latest_by": "revision"}
    )
    first, second = rows(sent(1, 1, "eve")), rows(sent(1, 1, "kim"))
    both = pl.concat([first.with_columns(revision=pl.lit(1)), second.with_columns(revision=pl.lit(2))])
    assert reasons(integrity.reconcile(contract, both, both, grants=granted({}))) == {}
    other = both.with_columns(revision=3 - pl.col("revision"))
    assert reasons(integrity.reconcile(contract, other, other, grants=granted({}))) == {"m1": "no grant ever"}
    with on_disk():  # where rows are laid out by their actors, and revisions of one item may have several
        assert reasons(integrity.reconcile(contract, both, both, grants=granted({}))) == {}


def test_two_that_differ_in_nothing_that_is_compared_are_told_apart_by_their_actors() -> None:
    twice = rows(sent(1, 1, "kim"), sent(1, 1, "eve"), sent(1, 1, "eve"))
    contract = allowing(contract={"unique": False})
    result = integrity.reconcile(contract, twice, twice, grants=granted({}))
    assert result.breaks["reason"].tolist() == ["no grant ever"] * 2


@pytest.mark.usefixtures("tested")
def test_many_chunks_and_grants_that_do_not_fit_in_memory() -> None:
    day = rows(*(sent(n, n % 60, f"u{n % 7}", f"r{n % 3}") for n in range(120)))
    grants = granted(*({"member": f"u{n}", "room": f"r{m}", "joined": at(5 * n)} for n in range(6) for m in range(3)))
    said = integrity.reconcile(allowing(), day, day, grants=grants)
    with on_disk():
        spilled = integrity.reconcile(allowing(), day, day, grants=grants)
    expected = {f"m{n}" for n in range(120) if n % 7 == 6 or n % 60 < 5 * (n % 7)}
    assert set(reasons(said)) == expected
    assert reasons(spilled) == reasons(said)
    order = ["actor", "object", "remark"]
    for review in (said.access_review, spilled.access_review):
        assert review.empty or review.sort_values(order)["items"].ge(0).all()
    assert spilled.assertions == said.assertions


# --- a review of access ----------------------------------------------------------------------------------------------


def test_a_review_of_access() -> None:
    grants = granted(
        {"member": "used"},
        {"member": "idle", "approver": "boss"},
        {"member": "over", "left_at": at(-60)},
        {"member": "gone", "departed": at(2)},
        {"member": "well gone", "left_at": at(2), "departed": at(2)},
        {"member": "twice", "joined": at(0)},
        {"member": "twice", "joined": at(0)},
        {"member": "either", "joined": at(0), "left_at": at(30)},
        {"member": "either", "joined": at(0), "left_at": at(40)},
        {"member": "back", "joined": at(9), "left_at": at(3)},
        {"member": "self", "approver": "self"},
    )
    day = rows(*(sent(n, 1, who) for n, who in enumerate(["used", "gone", "well gone", "twice", "either"])))
    result = integrity.reconcile(allowing(), day, day, grants=grants, since=at(0), until=at(60))
    review = result.access_review
    found = sorted(zip(review["actor"], review["remark"], review["items"], strict=True))
    assert found.pop(0)[1].startswith("ends before it begins")
    differs = "contradicts another: same actor, object and beginning, another end"
    assert found == [
        ("either", differs, 1),
        ("either", differs, 1),
        ("gone", "its actor has left, and it stays", 1),
        ("idle", "not used", 0),
        ("self", "approved by its own actor; not used", 0),
        ("twice", "the same grant again", 1),
    ]
    idle = review[review["actor"] == "idle"].iloc[0]
    assert (idle["object"], idle["approver"], idle["items"]) == ("a", "boss", 0)
    gone = review[review["actor"] == "gone"].iloc[0]
    assert gone["departed"] == at(2)
    assert list(review.columns) == [
        "remark", "actor", "object", "from", "until", "revoked", "departed", "recorded", "approver", "items",
    ]  # fmt: skip
    (note,) = [note for note in result.notes if "review of access" in note]
    for said in ("not used", "2 contradicts another", "1 the same grant again", "1 its actor has left, and it stays"):
        assert said in note
    assert result.verdict is Verdict.PASS  # what a review should look at is no exception of this run


@pytest.mark.usefixtures("tested")
def test_the_self_test_plants_somebody_without_a_grant() -> None:
    day = rows(sent(1, 1))
    planted = integrity.reconcile(allowing(), day, day, grants=granted({})).self_test
    assert "unauthorized" in planted
    planted, _, lacking = integrity.reconcile(allowing(), day, day).self_test.partition("; not planted: ")
    assert "unauthorized" not in planted
    assert "unauthorized (no grants were read)" in lacking


@pytest.mark.usefixtures("tested")
def test_a_run_that_cannot_see_who_was_not_authorized_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from integrity import grants

    blind = lambda items, *_: grants.Judged(  # noqa: E731
        pl.DataFrame(schema={"__row": pl.UInt32, "known": pl.Boolean, "reason": pl.String}),
        pl.DataFrame(schema={"__grant": pl.Int64, "items": pl.Int64}),
    )
    monkeypatch.setattr(grants, "judge", blind)
    day = rows(sent(1, 1))
    with pytest.raises(integrity.SelfTestError, match="missed: unauthorized"):
        integrity.reconcile(allowing(), day, day, grants=granted({}))
