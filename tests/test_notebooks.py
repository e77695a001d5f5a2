"""The auditor's notebooks run over a ledger, keep what they showed, and fail where a check does not hold."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import integrity
from integrity.demo import generate_day, generate_drive_day, generate_mail_day
from integrity.demo.quarter import generate_quarter
from integrity.errors import IntegrityError, UsageError
from integrity.notebook import CheckFailedError, as_html, notebooks, run_notebook
from tests import browser
from tests.disks import full_after
from tests.once import once
from tests.shell import called

FOLDER = Path(integrity.__file__).parent.parent / "notebooks"
NAMES = ("casework", "quarter", "reperformance", "walk-drive", "walk-mail", "walk-message")
WALKS = {"walk-message": generate_day, "walk-mail": generate_mail_day, "walk-drive": generate_drive_day}


@pytest.fixture(scope="module")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "quarter", generate_quarter)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One ledger in which a day of each kind is on record."""
    return ledger_in(once(tmp_path_factory, "days", _recorded_days))


def ledger_in(folder: Path) -> str:
    return f"sqlite:///{folder}/ledger.db"


def _recorded_days(folder: Path) -> None:
    small: dict[str, Any] = {
        "walk-message": {"items": 5_000},
        "walk-mail": {"mails": 600},
        "walk-drive": {"files": 600},
    }
    for name, generate in WALKS.items():
        day: Any = generate(folder / name, **small[name])
        integrity.reconcile(
            day.contract,
            source=day.source,
            destination=day.destination,
            grants=getattr(day, "grants", None),
            members=getattr(day, "members", None),
            outcomes=day.outcomes,
            as_of=day.as_of,
            ledger=ledger_in(folder),
        )


def test_they_are_these() -> None:
    assert tuple(notebooks()) == NAMES
    for each in notebooks().values():
        assert "ledger" in each.parameters
        assert each.about


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_over_a_ledger_and_its_page_asks_nobody(
    name: str, days: str, quarter: Path, chromium: Any, tmp_path: Path
) -> None:
    sides = {"source": f"sqlite:///{quarter}/shop.db#orders", "destination": f"sqlite:///{quarter}/warehouse.db#orders"}
    given = sides if name == "reperformance" else {}
    kept = run_notebook(name, days if name in WALKS else ledger_in(quarter), parameters=given, directory=tmp_path)
    book = json.loads(kept.read_text(encoding="utf-8"))
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    with browser.opened(chromium, kept.with_suffix(".html")) as seen:
        assert seen.left == []
        assert seen.complaints == []
        title = notebooks()[name].about
        assert title.split(",")[0] in seen.page.inner_text("h1")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.browser() as started:
        yield started


def test_what_is_shown_as_a_page_is_only_that(tmp_path: Path, days: str) -> None:
    """Neither a library of formulas nor one of widgets is asked for, and no script comes from elsewhere."""
    kept = run_notebook("walk-drive", days, directory=tmp_path)
    page = as_html(kept)
    assert not re.findall(r"<script[^>]+src=", page)
    assert not re.findall(r"<link[^>]+href=[\"']?http", page)


# --- what goes wrong


def test_a_failed_check_fails_the_run_and_keeps_the_notebook(tmp_path: Path) -> None:
    import polars as pl

    url = f"sqlite:///{tmp_path}/ledger.db"
    notes = integrity.Contract(name="notes", version=1, identity=["id"])
    sent = pl.DataFrame({"id": ["1", "2"]})
    integrity.reconcile(notes, sent, sent[:1], ledger=url)
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("DROP TRIGGER batches_update_refused"))
        connection.execute(sa.text("UPDATE batches SET lost = 0"))
    with pytest.raises(CheckFailedError, match=r"does not hold: tampered: .*batches") as caught:
        run_notebook("walk-message", url, parameters={"pipeline": "notes"}, directory=tmp_path)
    assert caught.value.exit_code == 1
    assert "AssertionError" in (tmp_path / "walk-message.ipynb").read_text(encoding="utf-8")
    assert "tampered" in (tmp_path / "walk-message.html").read_text(encoding="utf-8")


def test_the_shell_says_what_is_wrong(tmp_path: Path, days: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTEGRITY_LEDGER", raising=False)
    assert "A quarter at a glance" in called(tmp_path, "notebook").stdout
    for words, code, said in (
        (["quartr", "--ledger", days], 2, "did you mean 'quarter'?"),
        (["quarter"], 2, "no ledger is named"),
        (["quarter", "--ledger", days, "-p", "period"], 2, "NAME=VALUE"),
        (["quarter", "--ledger", days, "-p", "perod=2026"], 2, "did you mean 'period'?"),
        (["walk-mail", "--ledger", f"sqlite:///{tmp_path}/none.db"], 4, "there is no ledger at"),
    ):
        done = called(tmp_path, "notebook", *words)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_an_older_notebook_is_not_written_over(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(IntegrityError):
            run_notebook("walk-mail", f"sqlite:///{tmp_path}/none.db", directory=tmp_path / "kept")
    assert len(list((tmp_path / "kept").glob("walk-mail*.ipynb"))) == 2
    with pytest.raises(UsageError):
        run_notebook("walk", "x")


def test_those_of_one_second_are_all_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older one is evidence, and so is one that was put aside before it."""
    for number in range(4):
        monkeypatch.setattr("integrity.notebook._executed", _made(f"number {number}"))
        kept = run_notebook("quarter", "sqlite:///x.db", directory=tmp_path)
        for path in (kept, kept.with_suffix(".html")):
            os.utime(path, (1_800_000_000, 1_800_000_000))
    for suffix in (".ipynb", ".html"):
        texts = [path.read_text(encoding="utf-8") for path in tmp_path.glob(f"*{suffix}")]
        assert sorted(re.findall(r"number \d", "".join(texts))) == [f"number {number}" for number in range(4)]
        assert len(texts) == 4


def _made(said: str) -> Any:
    """What runs a notebook, without a kernel."""
    import nbformat

    def executed(chosen: object, given: object, made: Path, target: Path) -> None:
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(said)])  # type: ignore[no-untyped-call]
        made.write_text(nbformat.writes(book), encoding="utf-8")  # type: ignore[no-untyped-call]

    return executed


def test_where_there_is_no_room_the_older_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("integrity.notebook._executed", _made("old"))
    kept = run_notebook("quarter", "sqlite:///x.db", directory=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr("integrity.notebook._executed", _made("new"))
    with full_after(len(kept.read_bytes()) + 1000), pytest.raises(IntegrityError, match=r"cannot write '.*html'"):
        run_notebook(
            "quarter", "sqlite:///x.db", directory=tmp_path
        )  # there is room for the notebook, not for its page
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_place_that_cannot_be_written_to_is_known_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrity.notebook._executed", lambda *_: pytest.fail("it was run"))
    (tmp_path / "file").touch()
    (tmp_path / "quarter.html").mkdir()
    for place in (tmp_path / "file", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(IntegrityError, match=r"cannot (keep|write)"):
            run_notebook("quarter", "sqlite:///x.db", directory=place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "quarter.html"]


def test_a_kernel_that_dies_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import papermill

    def dies(*_: object, **__: object) -> None:
        raise RuntimeError("Kernel died")

    monkeypatch.setattr(papermill, "execute_notebook", dies)
    with pytest.raises(IntegrityError, match="quarter could not be run to its end: Kernel died; look at"):
        run_notebook("quarter", "sqlite:///x.db", directory=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"quarter.ipynb", "quarter.html"}


def test_two_at_once_do_not_listen_to_each_other(tmp_path: Path, days: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their sockets lie in folders of their own, and none where the reader stands."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    words = [sys.executable, "-m", "integrity", "notebook", "walk-drive", "--ledger", days, "--directory"]
    with subprocess.Popen([*words, tmp_path / "one"]) as one, subprocess.Popen([*words, tmp_path / "two"]) as two:
        while one.poll() is None or two.poll() is None:
            assert list(here.iterdir()) == []
            time.sleep(0.05)
    assert (one.returncode, two.returncode) == (0, 0)


# --- as they are committed


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_pair_says_the_same_and_was_run(name: str) -> None:
    import jupytext

    script = jupytext.read(FOLDER / f"{name}.py")
    book = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    injected = [cell for cell in book["cells"] if "injected-parameters" not in cell["metadata"].get("tags", [])]
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in injected] == [
        (cell.cell_type, cell.source) for cell in script.cells
    ], "run make notebooks"
    outputs = [output for cell in book["cells"] for output in cell.get("outputs", ())]
    assert outputs
    assert all(output["output_type"] != "error" for output in outputs)
    assert all(cell["execution_count"] for cell in book["cells"] if cell["cell_type"] == "code")
    text = json.dumps(outputs)
    assert str(Path.home()) not in text or str(Path.home()) == "/"
    assert str(FOLDER.parent) not in text
    assert os.sep + "home" + os.sep not in text


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_holds_no_logic(name: str) -> None:
    """It calls the library and checks what it says; nothing in it defines, judges or counts by itself."""
    import ast

    import jupytext

    book = jupytext.read(FOLDER / f"{name}.py")
    for cell in book.cells:
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                assert not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.While, ast.If, ast.Try, ast.Lambda))
