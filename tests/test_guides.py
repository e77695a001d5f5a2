"""What the pages on the ledger, on packs and on other tools show, runs."""

from __future__ import annotations

import datetime as dt
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import integrity
from integrity.cli import main
from integrity.jobs import Job

DOCS = Path(integrity.__file__).parent.parent / "docs"
#: Schedulers that are not installed here; that the recipes run in them was tried by hand.
_ELSEWHERE = ("# Airflow", "# Dagster", "# Prefect")


def blocks(page: str, *languages: str) -> Iterator[tuple[str, str]]:
    text = (DOCS / page).read_text(encoding="utf-8")
    for language, block in re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL):
        if language in languages:
            yield language, block


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the pages speak of."""
    monkeypatch.chdir(tmp_path)
    rows = [(f"n-{n}", "hello", f"2026-03-01T09:{n - 1:02}:00Z") for n in range(1, 10)]
    items = pl.DataFrame(rows, schema=["id", "body", "sent_at"], orient="row")
    items.write_csv("outbox.csv")
    items.filter(pl.col("id") != "n-7").write_csv("archive.csv")
    contract = "name: notes\nversion: 1\nidentity: [id]\ncontent: {body: text}\nclock: {event: sent_at}\nwindow: 10m\n"
    Path("notes.yaml").write_text(contract)
    Path("sealed.yaml").write_text(contract.replace("notes", "sealed") + "seal: merkle\n")
    job = next(block for _, block in blocks("ledger.md", "yaml") if "checkpoints" in block)
    Path("job.yaml").write_text(job)
    Job.from_yaml("job.yaml")
    return tmp_path


@pytest.mark.parametrize("page", ["ledger.md", "evidence.md", "outputs.md"])
def test_what_a_page_shows_runs(page: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if page == "evidence.md":
        integrity.reconcile("notes.yaml", "outbox.csv", "archive.csv", ledger="sqlite:///ledger.db")
        integrity.reconcile("sealed.yaml", "outbox.csv", "archive.csv", ledger="sqlite:///sealed.db")
    ran = 0
    for language, block in blocks(page, "console", "python"):
        if language == "python":
            if not block.startswith(_ELSEWHERE):
                exec(compile(block, page, "exec"), {})  # noqa: S102 - what a reader would run
                ran += 1
            continue
        for line in block.splitlines():
            if line.startswith("$ integrity "):
                # What is shown was run in 2026; a reader asks for the year in which they run it.
                said = line[2:].replace("--period 2026", f"--period {dt.datetime.now(dt.UTC).year}")
                words = [w for word in shlex.split(said)[1:] for w in _spread(word)]
                with pytest.raises(SystemExit) as ended:
                    main(words)
                assert ended.value.code in (0, 1), (line, capsys.readouterr().err)
                ran += 1
    assert ran > 1
    if page == "evidence.md":
        said = capsys.readouterr().out
        assert "True" in said
        assert "it fits together" in said


def _spread(word: str) -> list[str]:
    return sorted(str(path) for path in Path().glob(word))[:1] if "*" in word else [word]


def test_every_verb_of_the_ledger_is_on_its_page() -> None:
    from integrity.cli_ledger import ledger_group

    text = "".join(
        (DOCS / page).read_text(encoding="utf-8") for page in ("ledger.md", "evidence.md", "casework.md", "report.md")
    )
    for verb in ledger_group.commands.keys() - {"show", "breaks"}:
        assert f"integrity ledger {verb}" in text, verb
