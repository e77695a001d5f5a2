"""The README tells the truth: its contract is sound, its snippet runs, its demo is the demo."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import integrity
from integrity.cli import cli

README = (Path(integrity.__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    found = [b for b in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if containing in b]
    assert len(found) == 1
    return str(found[0])


def test_the_contract_and_the_snippet_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "orders.yaml").write_text(block("yaml", "name: orders"), encoding="utf-8")
    orders = pl.DataFrame(
        {
            "order_id": [str(n) for n in range(40)],
            "customer": ["test" if n == 3 else "acme" for n in range(40)],
            "cents": list(range(40)),
            "placed_by": ["김"] * 40,
            "placed_at": [f"2026-03-02 09:{n:02}:00" for n in range(40)],
        }
    )
    orders.rename({"order_id": "order_no"}).write_database(
        "orders", f"sqlite:///{tmp_path}/shop.db", engine="sqlalchemy"
    )
    kept = orders.filter(pl.col("order_id").cast(pl.Int64) >= 17).with_columns(
        pl.col("placed_at").str.to_datetime().dt.replace_time_zone("Asia/Seoul").dt.convert_time_zone("UTC")
    )
    (tmp_path / "warehouse").mkdir()
    kept.with_columns(loaded_at=pl.col("placed_at")).write_parquet(tmp_path / "warehouse" / "1.parquet")
    snippet = block("python", "integrity.reconcile")
    names: dict[str, object] = {}
    with pytest.raises(integrity.ReconciliationError):
        exec(snippet, names)  # noqa: S102 - what a reader would run
    result = names["result"]
    assert isinstance(result, integrity.Result)
    assert result.verdict == "fail"
    assert result.totals["lost"] == 16  # the seventeenth was a test, which the contract excludes
    assert result.totals["excluded"] == 1


def test_the_demo_is_the_demo(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "integrity", "demo"], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8",
        env={"COLUMNS": "150", "PATH": "", "PYTHONIOENCODING": "utf-8"}, timeout=300,
    ).stdout  # fmt: skip
    printed = {" ".join(line.split()) for line in said.splitlines()}
    shown = [" ".join(line.split()) for line in block("console", "make demo").splitlines()[1:]]
    for line in shown:
        assert line == "…" or line in printed, line
    *summary, corrupt, lost = [" ".join(line.split()) for line in block("console", "mail-day:").splitlines()]
    assert set(summary) <= printed
    found = json.loads((tmp_path / "integrity-demo" / "mail" / "result.json").read_text(encoding="utf-8"))["breaks"]
    for line, said in ((corrupt, "differing"), (lost, "reason")):
        kind, mailbox, message, *what = line.split()
        (each,) = [
            each
            for each in found
            if (each["kind"], each["mailbox"]) == (kind, mailbox) and each["message_id"].startswith(message.rstrip("…"))
        ]
        assert " ".join(what).removeprefix("differs in ") == each[said]

    *summary, duplicate, invalid, moved = block("console", "file: fail:").splitlines()
    assert {" ".join(line.split()) for line in summary} <= printed
    found = json.loads((tmp_path / "integrity-demo" / "drive" / "result.json").read_text(encoding="utf-8"))["breaks"]
    for line in (duplicate, invalid, moved):
        kind, shown, reason = re.split(r"\s{2,}| (?=…)", line.strip())
        assert [
            each
            for each in found
            if each["kind"] == kind and (each["path"] or "").endswith(shown.strip("…")) and each["reason"] == reason
        ]


def test_every_command_is_in_the_readme_or_its_help() -> None:
    for command in ("demo", "reconcile", "run", "contract", "status", "ledger", "verify", "reperform"):
        assert command in cli.commands
        assert f"integrity {command}" in README


def test_every_dependency_earns_its_line() -> None:
    import tomllib

    project = tomllib.loads((Path(integrity.__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    table = README.split("## Dependencies, and why each")[1]
    for requirement in project["project"]["dependencies"]:
        name = re.split(r"[<>=\[]", requirement)[0]
        assert re.search(rf"\b{re.escape(name)}\b", table), name
