"""Doing it again finds the same, or says what is not."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import integrity
from integrity.jobs import Job
from integrity.ledger import Ledger
from integrity.ledger.keys import LedgerKey
from integrity.ledger.listing import runs
from integrity.packs import export
from integrity.reperformance import Reperformance, reperform
from tests.ledger import books


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return books.filled(tmp_path_factory.mktemp("ledger"), runs=1)


@pytest.fixture(scope="module")
def pack(book: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(book, tmp_path_factory.mktemp("packs") / "pack.zip")


@pytest.fixture(scope="module")
def shared(book: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    return export(book, folder / "pack", pseudonymise=folder / "key")


@pytest.fixture(scope="module")
def key(book: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "copy.key"
    book.key.write(path)
    return path


ITEMS = books.sent(20)


def changed(found: Reperformance) -> set[str]:
    return {
        f"{each.batch.split()[0]} {each.what}" if "T" not in each.batch else each.what for each in found.differences
    }


def test_the_same_is_the_same(pack: Path, shared: Path, key: Path) -> None:
    whole = reperform(pack, ITEMS, books.damaged(ITEMS), key=key)
    assert (whole.verdict, whole.exit_code) == ("same", 0), whole.headline()
    assert whole.compared == ("totals", "counts and verdicts", "breaks", "amounts", "hash totals")
    assert "performed again: same in 4 batches; compared were totals," in whole.headline()
    closed = reperform(shared, ITEMS, books.damaged(ITEMS), key=key)
    assert (closed.verdict, closed.batches) == ("same", 4)
    assert closed.compared == ("totals", "counts and verdicts", "breaks", "hash totals")


def test_breaks_that_are_gone_or_new_are_named(pack: Path, shared: Path) -> None:
    other = reperform(pack, ITEMS, books.kept(ITEMS))
    assert (other.verdict, other.exit_code) == ("different", 1)
    named = {str(each) for each in other.differences if each.batch == "breaks"}
    assert "breaks: lost note-2 acme was 1, and is 0" in named
    assert {each.split()[1] for each in named} == {"lost", "corrupt", "late", "duplicate"}
    counted = reperform(shared, ITEMS, books.kept(ITEMS))
    assert "breaks: lost was 1, and is 0" in {str(each) for each in counted.differences}
    swapped = books.kept(ITEMS).filter(pl.col("id") != "note-3")  # another one of another tenant is lost
    assert "breaks: lost note-3 beta was 0, and is 1" in {str(e) for e in reperform(pack, ITEMS, swapped).differences}


def test_an_amount_differs_where_no_count_does(pack: Path, shared: Path, key: Path) -> None:
    altered = ITEMS.with_columns((pl.col("size") + 1).alias("size"))
    assert changed(reperform(pack, altered, books.damaged(altered))) == {"source_size", "destination_size"}
    assert changed(reperform(shared, altered, books.damaged(altered), key=key)) == {"source_hash", "destination_hash"}
    # without either nobody can tell, and it is said what was compared
    blind = reperform(shared, altered, books.damaged(altered))
    assert (blind.verdict, blind.compared) == ("same", ("totals", "counts and verdicts", "breaks"))


def test_a_content_differs_only_by_the_key(pack: Path, key: Path) -> None:
    altered = ITEMS.with_columns((pl.col("body") + "!").alias("body"))
    assert changed(reperform(pack, altered, books.damaged(altered), key=key)) == {"source_hash", "destination_hash"}
    assert reperform(pack, altered, books.damaged(altered)).verdict == "same"


def test_batches_that_come_and_go_are_named(pack: Path) -> None:
    more = books.sent(30)
    found = reperform(pack, more, pl.concat([books.damaged(ITEMS), books.kept(more[20:])]))
    new = {str(each) for each in found.differences if each.what == "the batch"}
    assert new == {
        f"2026-03-01T00:20:00.000000Z tenant={name}: the batch was not there, and is there" for name in ("acme", "beta")
    }
    fewer = reperform(pack, ITEMS[:10], books.damaged(ITEMS)[:9])
    assert sum(each.found == "not there" for each in fewer.differences) == 2


def test_a_job_whose_batches_stood_unchanged(tmp_path: Path) -> None:
    """Batches that a later run found as an earlier one had are counted, and have no rows: they are no new ones."""
    book = Ledger.open(tmp_path / "ledger.db")
    books.healed(tmp_path, book)
    pack = export(book, tmp_path / "pack")
    last, first = runs(tmp_path / "ledger.db")["run"]
    items = books.sent(4)
    again = reperform(pack, items, books.kept(items), run=last)
    assert (again.verdict, again.batches) == ("same", 1), again.headline()
    assert reperform(pack, items, books.kept(items[:3]), run=last).verdict == "different"
    lacking = books.kept(items).filter(pl.col("tenant") != "acme")  # in the batch that stood unchanged
    assert "the unchanged batches: lost was 0, and is 2" in {
        str(each) for each in reperform(pack, items, lacking, run=last).differences
    }
    with pytest.raises(integrity.UsageError, match="several runs; name one"):
        reperform(pack, items, items)
    with pytest.raises(integrity.UsageError, match="no such run"):
        reperform(pack, items, items, run=f"{first}x")


def test_breaks_of_batches_that_stood_unchanged_are_no_new_ones(tmp_path: Path) -> None:
    book = Ledger.open(tmp_path / "ledger.db")
    (tmp_path / "notes.yaml").write_text(books.promise().to_yaml(), encoding="utf-8")
    job = Job(*(f"{tmp_path}/{name}" for name in ("notes.yaml", "s.parquet", "d.parquet")),
              ledger=f"sqlite:///{tmp_path}/ledger.db", lookback="1d")  # fmt: skip
    for items in (ITEMS[:10], ITEMS):
        items.write_parquet(tmp_path / "s.parquet")
        books.damaged(items).write_parquet(tmp_path / "d.parquet")
        job.run(as_of=books.START + 60 * books.MINUTE)
    last = runs(tmp_path / "ledger.db", last=1)["run"][0]
    pack = export(book, tmp_path / "pack", run=last)
    again = reperform(pack, ITEMS, books.damaged(ITEMS))
    assert again.result.break_count == 4
    assert (again.verdict, again.batches) == ("same", 2), again.headline()


def test_nothing_to_compare_is_unverified(tmp_path: Path) -> None:
    book = Ledger.open(tmp_path / "ledger.db")
    none = books.sent(0)
    integrity.reconcile(books.promise(), none, books.kept(none), ledger=book)
    pack = export(book, tmp_path / "pack")
    again = reperform(pack, none, books.kept(none))
    assert (again.verdict, again.exit_code, again.batches) == ("unverified", 3, 0)


def test_totals_that_were_recorded_are_given_again(tmp_path: Path) -> None:
    book = Ledger.open(tmp_path / "ledger.db")
    totals = integrity.measure(books.promise(), ITEMS, side="source")
    integrity.reconcile(books.promise(), totals, books.damaged(ITEMS), ledger=book)
    pack = export(book, tmp_path / "pack")
    assert reperform(pack, totals, books.damaged(ITEMS)).verdict == "same"
    assert reperform(pack, ITEMS, books.damaged(ITEMS)).verdict == "different"  # items say which are lost


def test_another_ledgers_key_is_refused(pack: Path, tmp_path: Path) -> None:
    LedgerKey.made("example.org/test").write(tmp_path / "k")
    with pytest.raises(integrity.UsageError, match="not of the pack's ledger"):
        reperform(pack, ITEMS, ITEMS, key=tmp_path / "k")
