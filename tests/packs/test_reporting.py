"""The report of a pack says what its files say, and nothing that they do not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import integrity
from integrity.errors import UsageError
from integrity.ledger import Ledger
from integrity.ledger.book import ENVIRONMENTS
from integrity.ledger.casework import Disposition, dispose
from integrity.ledger.listing import breaks
from integrity.ledger.recorded import recorded
from integrity.ledger.trails import Case
from integrity.packs import cases, compare_again, export, report, verify_pack
from integrity.packs.files import PackError
from integrity.report.words import WORDS
from tests import browser
from tests.ledger import books
from tests.packs.forging import copied
from tests.report.test_html import Read
from tests.shell import called

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    made = books.filled(tmp_path_factory.mktemp("ledger"), runs=2, seal="merkle")
    one = breaks(made.location, state="open")["id"][0]
    dispose(made, one, "timing", reason=f"it came later {EVIL}", reference=f"INC-1 {EVIL}", by="lee")
    return made


@pytest.fixture(scope="module")
def pack(book: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(book, tmp_path_factory.mktemp("packs") / "pack")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_it_says_what_the_files_say(pack: Path, language: str) -> None:
    read = Read(report(pack, lang=language))
    for folder in (pack / "runs").iterdir():
        assert folder.name in read.shown
        rows = pl.read_parquet(folder / "breaks.parquet")
        for name in rows["identity.id"]:
            assert str(name) in read.shown
    assert "lee" in read.shown
    assert f"it came later {EVIL}" in read.shown
    assert "script" not in read.elements


def test_every_pack_holds_it_in_each_language(pack: Path, tmp_path: Path) -> None:
    assert verify_pack(pack).exit_code == 0
    for name, language in (("report.html", "en"), ("report.ko.html", "ko")):
        assert f'lang="{language}"' in (pack / name).read_text(encoding="utf-8")
    forged = copied(pack, tmp_path / "forged")
    page = forged / "report.html"
    page.write_text(page.read_text(encoding="utf-8").replace("fail", "pass"), encoding="utf-8")
    assert "report.html" in verify_pack(forged).headline()
    with pytest.raises(PackError, match="tampered"):
        report(forged)


def test_it_names_nobody_where_the_pack_does_not(book: Ledger, tmp_path: Path) -> None:
    path = export(book, tmp_path / "pack", pseudonymise=tmp_path / "pseudonyms.key")
    text = (path / "report.html").read_text(encoding="utf-8")
    for private in ("note-", "acme", "beta", "it came later", "in memory"):
        assert private not in text, private
    assert "what stands here are pseudonyms" in Read(text).shown
    pseudonym = pl.read_parquet(next((path / "runs").iterdir()) / "breaks.parquet")["identity.id"][0]
    assert pseudonym in text


def test_a_run_on_record_is_told_as_its_result_was(tmp_path: Path) -> None:
    items = books.sent(40)
    url = f"sqlite:///{tmp_path}/ledger.db"
    result = integrity.reconcile(books.promise(), items, books.damaged(items), ledger=url)
    run = recorded(url)
    then, now = Read(result.to_html()), Read(run.to_html())
    assert run.facts.summary == result.summary
    assert run.facts.who.operator == result.operator
    # A ledger keeps no share of a batch that was on time, no amounts, and keyed hash totals, of which there is no sum.
    unkept = ("timeliness.due", "timeliness.on_time", "basis.source.", "basis.destination.")
    assert {k: v for k, v in then.facts.items() if not k.startswith(unkept)} == {
        k: v for k, v in now.facts.items() if not k.startswith(unkept)
    }
    assert now.facts["timeliness.longest"] == "61000000"
    assert Counter(run.breaks["kind"]) == Counter(result.breaks["kind"])
    assert list(run.batches["source_records"]) == list(result.batches["source_records"])
    assert run.balance()["source"]["population"] == result.totals["source_records"]
    assert run.name in run._repr_html_()
    with pytest.raises(UsageError, match="pipelines on record: notes"):
        recorded(url, pipeline="other")


def test_both_sides_are_compared_again_from_the_pack_alone(pack: Path, book: Ledger, tmp_path: Path) -> None:
    again = compare_again(pack)
    assert again["agrees"].all()
    assert again["only_source"].sum() > 0
    plain = books.filled(tmp_path / "plain", runs=1)
    with pytest.raises(UsageError, match="seal: merkle"):
        compare_again(export(plain, tmp_path / "unsealed"))
    with pytest.raises(UsageError, match="no run 'x'"):
        compare_again(pack, run="x")


def test_the_shell_writes_it(pack: Path, book: Ledger, tmp_path: Path) -> None:
    done = called(tmp_path, "report", str(pack), "--html", "p.html", "--lang", "ko")
    assert (done.returncode, done.stdout) == (0, "the pack fits together; wrote p.html\n")
    url = book.database.engine.url.render_as_string(hide_password=False)
    assert called(tmp_path, "ledger", "report", "--ledger", url, "--html", "r.html").returncode == 0
    assert called(tmp_path, "ledger", "report", "nope", "--ledger", url, "--html", "r.html").returncode == 2
    assert called(tmp_path, "report", str(pack), "--html", "p.html", "--lang", "x").returncode == 2
    (tmp_path / "no-pack").mkdir()
    assert called(tmp_path, "report", "no-pack", "--html", "p.html").returncode == 4
    assert called(tmp_path, "report", str(tmp_path), "--html", "p.html").returncode == 2  # it would lie in the pack
    assert called(tmp_path, "report", str(pack), "--html", "none/p.html").returncode == 4


def test_a_browser_has_nothing_to_complain_of(pack: Path) -> None:
    chromium: Any
    with browser.browser() as chromium:
        for name in ("report.html", "report.ko.html"):
            for width in browser.WIDTHS:
                with browser.opened(chromium, pack / name, width=width) as seen:
                    assert (seen.left, seen.complaints, seen.is_too_wide) == ([], [], False)
            with browser.opened(chromium, pack / name, bypass_csp=True) as seen:
                assert seen.violations() == []


def test_what_was_decided_is_in_the_pack(pack: Path) -> None:
    told = cases(pack).filter(pl.col("disposition").is_not_null())
    assert told.select("disposition", "by", "case").rows() == [("timing", "lee", "disposed")]


@pytest.fixture(scope="module")
def motley(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of runs that ended in every way: four that failed, three that passed, two unverified, one each of others."""
    url = f"sqlite:///{tmp_path_factory.mktemp('motley')}/ledger.db"
    clock = {"event": "sent_at", "processed": "kept_at", "changed": "changed"}
    promise, items = books.promise(timeliness=None), books.sent(20)
    settling = books.promise(name="settling", timeliness=None, clock=clock)
    changed = items.with_columns(pl.lit(books.START).alias("changed"))
    recent = changed.with_columns(
        pl.when(pl.col("id") == "note-3").then(books.START + 60 * books.MINUTE).otherwise("changed").alias("changed")
    )
    as_of = books.START + 60 * books.MINUTE

    def run(source: pl.DataFrame, there: Any, contract: integrity.Contract = promise, **more: Any) -> integrity.Result:
        return integrity.reconcile(contract, source, there, as_of=as_of, ledger=more.pop("ledger", url), **more)

    for _ in range(4):
        run(items, books.kept(items)[1:])
    for _ in range(3):
        run(items, books.kept(items))
    for _ in range(2):
        run(items[:0], books.kept(items)[:0])
    pending = run(
        recent, books.kept(items).filter(pl.col("id") != "note-3"), settling.model_copy(update={"grace": 60_000_000})
    )
    assert pending.verdict == "pending"
    with pytest.raises(integrity.IntegrityError):
        run(items, books.kept(items).drop("body"))
    run(items, books.kept(items)[1:], ledger=Ledger.open(url, environment="test"))
    return export(Ledger.open(url), tmp_path_factory.mktemp("packs") / "motley")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_runs_of_a_pack_are_counted_by_how_they_ended(motley: Path, language: str) -> None:
    read = Read(report(motley, lang=language))
    if language == "en":
        assert read.facts["headline"] == (
            "11 runs of 2 pipelines: 3 passed, 4 failed, 2 unverified, 1 pending, 1 without a result"
        )
        assert "Runs began" in read.shown
    else:
        assert read.facts["headline"] == (
            "파이프라인 2개, 실행 11회: 통과 3, 실패 4, 미검증 2, 판정 보류 1, 결과 없음 1"
        )
        text = read.shown.partition("break-inside: avoid")[2]  # behind the rules of style
        assert not [word for word in ("production", "pending", "진행 중", "일탈") if word in text]
    assert {each.removeprefix("#") for each in read.links} <= read.anchors
    place = ("en", "ko").index(language)
    assert all(said in (WORDS[f"verdict.{look}"][place], WORDS["pack.failed"][place]) for look, said in read.badges)


def test_a_pack_of_test_runs_denies_no_break(tmp_path: Path) -> None:
    url, items = f"sqlite:///{tmp_path}/ledger.db", books.sent(20)
    book = Ledger.open(url, environment="test")
    integrity.reconcile(books.promise(), items, books.damaged(items), ledger=book)
    shown = Read(report(export(book, tmp_path / "pack"))).shown
    assert "No break is on record in runs of production." in shown
    assert "between the runs of production in this pack" in shown


def test_every_word_of_a_closed_list_is_translated() -> None:
    lists = {"case": Case, "disposition": Disposition, "environment": ENVIRONMENTS}
    for name, members in lists.items():
        assert {key for key in WORDS if key.startswith(f"{name}.")} == {f"{name}.{member}" for member in members}
