"""What the page on casework shows, runs, one after the other on one ledger."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import polars as pl
import pytest

import integrity
from integrity import cli_casework, cli_samples
from integrity.cli import main
from integrity.ledger.listing import breaks
from integrity.ledger.samples import samples

PAGE = Path(integrity.__file__).parent.parent / "docs" / "casework.md"
BLOCK = re.compile(r"```(console|python)\n(.*?)```", re.DOTALL)
NAME = re.compile(r"\b[0-9a-f]{12}\b")


def test_what_the_page_shows_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTEGRITY_OPERATOR", "kim")
    monkeypatch.setenv("COLUMNS", "200")
    items = pl.DataFrame(
        [(f"n-{n}", "hello", f"2026-03-01T09:{n - 1:02}:00Z") for n in range(1, 10)],
        schema=["id", "body", "sent_at"],
        orient="row",
    )
    items.write_csv("outbox.csv")
    body = pl.when(pl.col("id") == "n-5").then(pl.lit("hell")).otherwise("body")
    items.filter(~pl.col("id").is_in(["n-3", "n-7"])).with_columns(body.alias("body")).write_csv("archive.csv")
    Path("notes.yaml").write_text(
        "name: notes\nversion: 1\nidentity: [id]\ncontent: {body: text}\nclock: {event: sent_at}\nwindow: 10m\n"
    )
    Path("job.yaml").write_text(
        "contract: notes.yaml\nsource: outbox.csv\ndestination: archive.csv\nledger: ledger.db\n"
    )
    text = PAGE.read_text(encoding="utf-8")
    shown = list(dict.fromkeys(NAME.findall(text)))
    ran, codes = 0, set()
    for language, block in BLOCK.findall(text):
        if language == "python":
            exec(compile(block, "casework.md", "exec"), {})  # noqa: S102 - what a reader would run
            ran += 1
            continue
        for line in block.splitlines():
            for name, real in zip(shown, _names(), strict=False):
                line = line.replace(name, real)
            for leaf, real in zip((" 12 ", " 14 "), _samples(), strict=False):
                line = line.replace(leaf, f" {real} ")
            with pytest.raises(SystemExit) as ended:
                main(shlex.split(line.removeprefix("$ integrity ")))
            codes.add(ended.value.code)
            assert ended.value.code in (0, 1), (line, capsys.readouterr().err)
            ran += 1
    assert ran == 25
    said = capsys.readouterr().out
    for words in (
        "false-positive",
        "CASE-13",
        "the archive trims blanks",
        "3 breaks",
        "nothing was changed",
        "confirmed",
    ):
        assert words in said
    assert set(breaks("ledger.db")["case"]) == {"disposed"}


def _names() -> list[str]:
    return breaks("ledger.db")["id"].to_list() if Path("ledger.db").exists() else []


def _samples() -> list[int]:
    return samples("ledger.db")["leaf"].to_list() if Path("ledger.db").exists() else []


def test_every_case_and_every_verb_is_on_the_page() -> None:
    from integrity.ledger.casework import Disposition
    from integrity.ledger.trails import Case

    text = PAGE.read_text(encoding="utf-8")
    for word in (*Case, *Disposition):
        assert f"| `{word}` |" in text
    for name in (*cli_casework.__all__, *cli_samples.__all__, "upgrade"):
        assert f"integrity ledger {name.replace('_', '-')}" in text
