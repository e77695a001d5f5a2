"""The guide tells the truth: what it shows runs, in the order in which a reader would run it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import integrity
import integrity.gx as igx
from tests.conftest import at
from tests.gx.pipelines import observed, pages, results, shown
from tests.gx.test_checkpoints import address
from tests.servers import Postgres

GUIDE = Path(integrity.__file__).parent.parent / "docs" / "great-expectations.md"
COLUMNS = {
    "tenant_id": "key", "room_id": "key", "message_id": "key", "sender_id": "text", "kind": "text", "body": "text",
    "size_bytes": "integer", "sent_at": "instant", "stored_at": "instant",
}  # fmt: skip


def messages() -> pl.DataFrame:
    """Three hundred messages, each stored a second after it was sent."""
    rows = [
        {"tenant_id": "t", "room_id": "r", "message_id": f"m{n}", "sender_id": "kim", "kind": "text", "body": f"안녕 {n}",
         "size_bytes": n, "sent_at": at(n), "stored_at": at(n + 1 / 60)}
        for n in range(300)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def verdicts(run: Any) -> list[str]:
    return [
        observed(each).partition(":")[0] for each in results(run) if "integrity" in type(each.expectation).__module__
    ]


def test_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: Postgres) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WAREHOUSE_URL", address(postgres))
    on_pandas, on_postgresql, totals = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    sent = messages()
    sent.write_parquet("outbox.parquet")
    sent[1:].write_parquet("archive.parquet")
    postgres.fill("messages", COLUMNS, sent.rows())
    names: dict[str, Any] = {"igx": igx}
    for block in (totals, on_pandas, on_postgresql):
        exec(block, names)  # noqa: S102 - what a reader would run
    assert names["result"].success is False
    assert verdicts(names["result"]) == ["fail", "fail", "pass"]
    assert names["on_postgresql"].success is True
    assert verdicts(names["on_postgresql"]) == ["pass", "pass", "pass"]
    text = " ".join(shown(page) for page in pages(tmp_path))
    assert "must hold what outbox.parquet says, as contract message promises" in text
    assert "fail: 1 break in 1 of" in text
    for source in names["context"].data_sources.all().values():
        if hasattr(source, "get_engine"):
            source.get_engine().dispose()
            source.get_execution_engine().engine.dispose()


def test_every_expectation_and_argument_is_in_the_guide() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    for name in igx.__all__:
        expectation = getattr(igx, name)
        if name == "ExpectPromiseToBeKept" or not isinstance(expectation, type):
            continue
        (row,) = [line for line in guide.splitlines() if line.startswith(f"| `{name}` |")]
        told = re.findall(r"`(\w+)`", row.rpartition("|")[0].rpartition(" | ")[2])
        assert told == list(expectation.success_keys)
        assert set(told) <= set(expectation.__fields__)
