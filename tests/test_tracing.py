"""Items of a sample, traced end to end: rows side by side tell what the engine told, and what it did not."""

from __future__ import annotations

import datetime as dt
import json
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

import integrity
from integrity.errors import StoreError, UsageError
from integrity.ledger import Ledger, schema
from integrity.ledger.erasing import erase
from integrity.ledger.history import standing
from integrity.ledger.samples import draw_runs, samples
from integrity.sampling import ranker, sample_size
from integrity.tracing import draw_items, trace_items
from tests.effort import examples
from tests.ledger import books

NASTY = ["", "\0", "\x1f-", "a\x1f", "한글", unicodedata.normalize("NFD", "한글"), "𝄞", "-", "0", "1\x1f1"]
END = books.START + dt.timedelta(days=1)
GRANTS = {"actor": "member", "object": "room", "from": "joined_at", "until": "left_at"}


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return Ledger.open(tmp_path_factory.mktemp("ledger") / "ledger.db", operator="kim", origin="example.org/test")


def body_of(book: Ledger, leaf: int) -> str:
    with book.database.reading() as connection:
        return str(connection.execute(sa.select(schema.leaves.c.body).where(schema.leaves.c.number == leaf)).scalar())


ITEMS = st.lists(
    st.tuples(
        st.sampled_from(["acme", "beta", ""]),
        st.sampled_from(NASTY) | st.none(),
        st.sampled_from(["x", "", "x\x1f1", None]),
        st.integers(0, 40),
        st.sampled_from(["kept", "kept", "kept", "lost", "altered", "twice", "late"]),
    ),
    min_size=1,
    max_size=12,
)


@given(ITEMS)
@settings(max_examples=examples(40), deadline=None)
def test_rows_side_by_side_tell_what_was_found(book: Ledger, items: list[tuple[Any, ...]]) -> None:
    names = ("tenant", "id", "body", "minute", "fate")
    schema_ = {name: pl.Int64 if name == "minute" else pl.String for name in names}
    frame = pl.DataFrame(items, schema=schema_, orient="row").with_columns(
        (pl.lit(books.START) + pl.duration(minutes="minute")).alias("sent_at"), pl.lit(7, pl.Int64).alias("size")
    )
    fate = pl.col("fate")
    there = frame.with_columns(
        pl.when(fate == "altered").then(pl.lit("other")).otherwise("body").alias("body"),
        (pl.col("sent_at") + pl.duration(seconds=pl.when(fate == "late").then(60).otherwise(1))).alias("kept_at"),
    ).filter(fate != "lost")
    there = pl.concat([there, there.filter(fate == "twice")]).drop("fate", "minute")
    sent, pipeline = frame.drop("fate", "minute"), f"p{samples(books.place(book)).height}"
    promise = books.promise()
    result = integrity.reconcile(promise, sent, there, as_of=END, ledger=book, pipeline=pipeline)
    drawn = draw_items(book, promise, sent, there, as_of=END, pipeline=pipeline, size=len(items), by="han")
    traced = trace_items(book, drawn.leaf, promise, sent, there, as_of=END)
    assert traced.unchanged
    assert traced.missing == 0
    distinct = {(tenant, name) for tenant, name, *_ in items}
    assert set(traced.items.select("tenant", "id").iter_rows()) == distinct
    kinds: dict[tuple[Any, ...], set[str]] = {name: set() for name in distinct}
    for row in result.breaks.itertuples():
        name = tuple(None if value is None or value != value else value for value in (row.tenant, row.id))
        kinds[name].add(row.kind)
    for row in traced.items.iter_rows(named=True):
        name = (row["tenant"], row["id"])
        assert set(row["recorded"]) == kinds[name]
        copies = sum((tenant, i) == name for tenant, i, *_ in items)
        assert row["source_rows"] == copies
        assert (
            row["destination_rows"]
            == there.filter(pl.col("tenant").eq_missing(name[0]) & pl.col("id").eq_missing(name[1])).height
        )
        assert row["agrees"] is not False
        if copies == 1:
            assert set(row["found"]) == kinds[name] - {"skewed"}
            assert row["agrees"] is True
            assert (row["batch_start"] + dt.timedelta(minutes=10)) <= END


def test_a_record_that_lies_is_found_out_and_so_is_a_store_that_changed(book: Ledger) -> None:
    sent = books.sent(60)
    there, promise = books.damaged(sent), books.promise(name="lies")
    integrity.reconcile(promise, sent, books.kept(sent), as_of=END, ledger=book)
    drawn = draw_items(book, promise, sent, there, as_of=END, size=60, seed="s", by="han")
    traced = trace_items(book, drawn.leaf, promise, sent, there, as_of=END)
    told = {row["id"]: row for row in traced.items.iter_rows(named=True)}
    assert {name: row["found"] for name, row in told.items() if not row["agrees"]} == {
        "note-2": ["lost"],
        "note-4": ["corrupt"],
        "note-6": ["late"],
        "note-8": ["duplicate"],
    }
    assert told["note-4"]["differing"] == ["body"]
    assert told["note-6"]["latency"] == 61_000_000
    assert told["note-0"]["verdict"] == "pass"
    assert (traced.holds, traced.exit_code) == (False, 1)
    assert "the rows of 56, something else of 4" in traced.headline()


def proving(name: str, **more: Any) -> integrity.Contract:
    """A contract whose only content is a digest."""
    said = {"name": name, "version": 1, "identity": ["id"], "content": {"md5": {"type": "text", "evidence": True}}}
    return integrity.Contract.from_dict(said | more)


def traced_one_by_one(
    book: Ledger, promise: integrity.Contract, sent: pl.DataFrame, there: pl.DataFrame, **asked: Any
) -> tuple[dict[str, bool | None], int]:
    """Reconcile, draw all, and tell of each item what came of tracing it, and the exit code."""
    integrity.reconcile(promise, sent, there, ledger=book, **asked)
    drawn = draw_items(book, promise, sent, there, size=sent.height, by="han")
    traced = trace_items(book, drawn.leaf, promise, sent, there)
    return dict(traced.items.select("id", "agrees").iter_rows()), traced.exit_code


def test_a_digest_that_is_null_on_both_sides_is_no_agreement(book: Ledger) -> None:
    """The batch of the third fails for another reason; what nobody could compare is unverified there, too."""
    sent = pl.DataFrame({"id": ["1", "2"], "md5": ["a", None]})
    promise = proving("null-on-both")
    assert traced_one_by_one(book, promise, sent, sent) == ({"1": None, "2": None}, 3)
    failing = pl.concat([sent, pl.DataFrame({"id": ["3"], "md5": [None]}, schema=sent.schema)])
    told = traced_one_by_one(book, proving("and-one-lost"), failing, failing[:2])
    assert told == ({"1": True, "2": None, "3": True}, 3), "that there is no row needs no digest"


def test_a_digest_that_a_side_lacks_or_copies_is_no_agreement(book: Ledger) -> None:
    sent = pl.DataFrame({"id": ["1", "2"], "md5": ["a", "b"]})
    lacking = traced_one_by_one(book, proving("lacking"), sent, sent[:1].drop("md5"))
    assert lacking == ({"1": None, "2": True}, 3)
    copied = proving("copied", content={"md5": {"type": "text", "carried": True}})
    assert traced_one_by_one(book, copied, sent, sent[:1]) == ({"1": None, "2": True}, 3)


def test_a_latency_that_nobody_measured_is_no_agreement(book: Ledger) -> None:
    sent, promise = books.sent(3), books.promise(name="unmeasured", partition=[], window="1d")
    there = books.kept(sent[:2]).with_columns(pl.when(pl.col("id") != "note-0").then("kept_at"))
    integrity.reconcile(promise, sent, there, as_of=END, ledger=book)
    drawn = draw_items(book, promise, sent, there, as_of=END, size=3, by="han")
    traced = trace_items(book, drawn.leaf, promise, sent, there, as_of=END)
    assert dict(traced.items.select("id", "agrees").iter_rows()) == {"note-0": None, "note-1": True, "note-2": True}


@pytest.mark.parametrize("verdict", ["unverified", "skipped"])
def test_a_batch_that_was_not_verified_agrees_with_nothing(book: Ledger, verdict: str) -> None:
    """Nobody gave grants, and so who was authorized is unverified; or everything was left out on purpose."""
    promise = books.promise(name=verdict, authorization={"actor": "tenant", "object": "id", "grants": GRANTS})
    sent = books.sent(2)
    skip = {each.value: "not now" for each in promise.assertions} if verdict == "skipped" else {}
    integrity.reconcile(promise, sent, books.kept(sent), as_of=END, ledger=book, skip=skip)
    with book.database.reading() as connection:
        assert set(standing(connection, verdict, book.environment)["verdict"]) == {verdict}
    drawn = draw_items(book, promise, sent, books.kept(sent), as_of=END, size=2, by="han")
    traced = trace_items(book, drawn.leaf, promise, sent, books.kept(sent), as_of=END)
    assert (traced.items["agrees"].to_list(), traced.exit_code) == ([None, None], 3)
    lost = trace_items(book, drawn.leaf, promise, sent, books.kept(sent[:1]), as_of=END)
    assert lost.exit_code == (1 if verdict == "unverified" else 3), "what differs is not made better by it"


def test_items_that_the_seed_did_not_draw_are_found_out(book: Ledger) -> None:
    sent, promise = books.sent(60), books.promise(name="picked")
    there = books.kept(sent)
    integrity.reconcile(promise, sent, there, as_of=END, ledger=book)
    drawn, others = (
        draw_items(book, promise, sent, there, as_of=END, seed=seed, tolerable=0.2, by="han") for seed in ("s", "t")
    )
    body = json.loads(body_of(book, drawn.leaf))
    told = {name: body[name] for name in body if name not in ("schema", "kind", "at", "checkpoint")}
    hidden = [book.key.hide("integrity.sampled item", "s", unit.decode()) for unit in others.sample.units]
    lies: dict[str, dict[str, Any]] = {
        "the seed draws other items": {"units": hidden},
        "its population is 60, not 100": {"population": 100},
        "its sentence is": {"said": "all of them"},
    }
    for said, lie in lies.items():
        traced = trace_items(book, book.say("sampled", told | lie).number, promise, sent, there, as_of=END)
        assert (traced.unchanged, traced.holds, traced.exit_code) == (True, False, 1)
        assert traced.items["agrees"].all(), "each of them is as it should be: that is why it was picked"
        assert f"; it is not what its seed draws: {said}" in traced.headline()
    honest = trace_items(book, drawn.leaf, promise, sent, there, as_of=END)
    assert (honest.amiss, honest.holds) == (None, True)
    grown = pl.concat([sent, books.sent(61)[60:]])
    later = trace_items(book, drawn.leaf, promise, grown, books.kept(grown), as_of=END)
    assert (later.missing, later.amiss, later.unchanged, later.holds) == (0, None, False, None)


def test_what_is_gone_is_counted_and_what_nobody_judged_is_unverified(book: Ledger) -> None:
    sent, promise = books.sent(40), books.promise(name="gone")
    drawn = draw_items(book, promise, sent, books.kept(sent), as_of=END, size=40, by="han")
    traced = trace_items(book, drawn.leaf, promise, sent[10:], books.kept(sent[10:]), as_of=END)
    assert (traced.missing, traced.unchanged, traced.holds, traced.exit_code) == (10, False, None, 3)
    assert traced.items["run"].null_count() == 30
    said = traced.headline()
    assert "of 30 nobody can tell; 10 are no longer in the source; the source is not what was drawn from" in said
    integrity.reconcile(promise, sent, books.kept(sent), as_of=END, ledger=book)
    assert trace_items(book, drawn.leaf, promise, sent, books.kept(sent), as_of=END).holds is True


def test_the_size_is_planned_for_the_population_that_was_read(book: Ledger) -> None:
    sent, promise = books.sent(200), books.promise(name="sized")
    drawn = draw_items(book, promise, sent, books.kept(sent), as_of=END, seed="s", by="han")
    assert drawn.sample.size == sample_size(population=200) == 51
    assert drawn.items.height == 51
    assert drawn.said == "51 of 200 items drawn by seed 's', for a tolerable rate of 5 % and 95 % confidence"
    few = draw_items(book, promise, sent, books.kept(sent), as_of=END, seed="s", size=2, by="han")
    assert few.said == "2 of 200 items drawn by seed 's'; a tolerable rate of 5 % at 95 % confidence would take 51"
    assert trace_items(book, few.leaf, promise, sent, books.kept(sent), as_of=END).amiss is None
    plan = {"tolerable": 0.3, "risk": 0.9, "expected": 5}
    assert sample_size(**plan, population=20) == 15 > sample_size(**plan)  # type: ignore[arg-type]
    risky = draw_items(book, promise, sent[:20], books.kept(sent[:20]), as_of=END, by="han", **plan)
    assert risky.sample.size == 15
    hour = {"since": books.START, "until": books.START + dt.timedelta(hours=1)}
    bounded = draw_items(book, promise, sent, books.kept(sent), as_of=END, seed="s", by="han", **hour)
    assert bounded.sample.population == 60
    traced = trace_items(book, bounded.leaf, promise, sent, books.kept(sent), as_of=END)
    assert traced.unchanged, "the bounds are those of the draw"


def test_anybody_with_the_store_draws_the_same_and_the_ledger_names_nobody(book: Ledger) -> None:
    sent, promise = books.sent(200), books.promise(name="private")
    drawn = draw_items(book, promise, sent, books.kept(sent), as_of=END, seed="2026 Q4", by="han")
    rows = sorted(
        sent.select("id", "tenant").iter_rows(),  # in the order of the contract, which is that of the names
        key=lambda row: ranker("2026 Q4")(f"{row[0]}\x1f{row[1]}\x1f{len(row[0])}\x1f{len(row[1])}".encode()),
    )
    assert drawn.items.rows() == rows[: drawn.sample.size]
    text = body_of(book, drawn.leaf)
    assert "note-" not in text
    assert drawn.sample.frame not in text, "a sum of digests of names that can be guessed would tell them"
    assert len(set(json.loads(text)["units"])) == drawn.sample.size


def test_an_erased_break_is_no_longer_anybodys(book: Ledger) -> None:
    sent, promise = books.sent(20), books.promise(name="erased")
    integrity.reconcile(promise, sent, books.damaged(sent), as_of=END, ledger=book)
    drawn = draw_items(book, promise, sent, books.damaged(sent), as_of=END, size=20, by="han")
    assert erase(book, {"id": "note-2"}, basis="request", by="lee")
    traced = trace_items(book, drawn.leaf, promise, sent, books.damaged(sent), as_of=END)
    row = traced.items.filter(pl.col("id") == "note-2").row(0, named=True)
    assert (row["found"], row["recorded"], row["agrees"]) == (["lost"], [], False)


def test_the_newest_revision_is_what_is_traced(book: Ledger) -> None:
    content = {"body": "text", "revision": "integer"}
    promise = integrity.Contract.from_dict(
        {"name": "revised", "version": 1, "identity": ["id"], "content": content, "latest_by": "revision"}
    )
    sent = pl.DataFrame({"id": ["1", "1", "2"], "body": ["old", "new", "b"], "revision": [9, 10, 1]})
    there = pl.DataFrame({"id": ["1", "2"], "body": ["new", "B"], "revision": [10, 1]})
    integrity.reconcile(promise, sent, there, ledger=book)
    drawn = draw_items(book, promise, sent, there, size=2, by="han")
    told = trace_items(book, drawn.leaf, promise, sent, there).items.sort("id")
    assert told.select("found", "recorded", "agrees").rows() == [([], [], True), (["corrupt"], ["corrupt"], True)]


def test_what_an_outcome_accounts_for_two_rows_cannot_tell(book: Ledger) -> None:
    promise = integrity.Contract.from_dict(
        {"name": "ended", "version": 1, "identity": ["id"], "outcomes": {"accept": ["recalled"]}}
    )
    sent, ended = pl.DataFrame({"id": ["1", "2"]}), pl.DataFrame({"id": ["2"], "outcome": ["recalled"]})
    integrity.reconcile(promise, sent, sent[:1], outcomes=ended, ledger=book)
    drawn = draw_items(book, promise, sent, sent[:1], size=2, by="han")
    told = trace_items(book, drawn.leaf, promise, sent, sent[:1])
    assert told.items.sort("id")["agrees"].to_list() == [True, None]
    assert told.exit_code == 3


def test_what_cannot_be_meant(book: Ledger, tmp_path: Path) -> None:
    sent, promise = books.sent(5), books.promise(name="meant")
    there = books.kept(sent)
    with pytest.raises(UsageError, match="there is nothing to draw from: no item was read"):
        draw_items(book, promise, sent[:0], there, by="han")
    with pytest.raises(UsageError, match="nobody is named: by is empty"):
        draw_items(book, promise, sent, there, size=5, by="")
    with pytest.raises(StoreError, match="no column 'id'"):
        draw_items(book, promise, sent.drop("id"), there, by="han")
    totals = integrity.measure(promise, sent, side="source")
    with pytest.raises(UsageError, match="items cannot be drawn from control totals"):
        draw_items(book, promise, totals, there, by="han")
    drawn = draw_items(book, promise, sent, there, size=5, by="han")
    with pytest.raises(UsageError, match=r"was drawn under contract 'meant' version 1 .* name that contract"):
        trace_items(book, drawn.leaf, books.promise(name="meant", version=2), sent, there)
    of_runs = Ledger.open(tmp_path / "other.db", operator="kim")
    integrity.reconcile(promise, sent, there, ledger=of_runs)
    with pytest.raises(UsageError, match="is one of runs"):
        trace_items(of_runs, draw_runs(of_runs, by="han").leaf, promise, sent, there)
    with pytest.raises(UsageError, match="no sample was drawn in leaf 0"):
        trace_items(book, 0, promise, sent, there)
    assert Counter(samples(books.place(book))["of"])["runs"] == 0
