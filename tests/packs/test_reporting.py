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
from integrity.ledger.casework import dispose
from integrity.ledger.listing import breaks
from integrity.ledger.recorded import recorded
from integrity.packs import cases, compare_again, export, report, verify_pack
from integrity.packs.files import PackError
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
    assert {k: v for k, v in then.facts.items() if not k.startswith("timeliness")} == {
        k: v for k, v in now.facts.items() if not k.startswith("timeliness")
    }
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
    assert called(tmp_path, "report", str(tmp_path), "--html", "p.html").returncode == 4
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
