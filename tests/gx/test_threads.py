"""Expectations hold no state: many of them, in many threads, answer as each does alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

import integrity
import integrity.gx as igx
from tests.conftest import promise
from tests.gx.pipelines import AS_OF, observed, validated


def test_eight_threads_answer_as_one(day: pl.DataFrame, tmp_path: Path) -> None:
    day.write_parquet(tmp_path / "sent.parquet")
    recorded = igx.control_totals(integrity.measure(promise(), day, side="source"), promise())

    def judge(lost: int) -> list[str]:
        expectations = (
            igx.ExpectBatchesToReconcile(contract=promise(), other=str(tmp_path / "sent.parquet"), as_of=AS_OF),
            igx.ExpectControlTotalsToMatch(contract=promise(), totals=recorded),
            igx.ExpectLatencyToBeWithin(event="sent_at", processed="stored_at", within="2s"),
        )
        return [observed(each) for each in validated(day[lost:], *expectations)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(judge, [n % 8 for n in range(16)]))
    for n, (reconciled, totals, latency) in enumerate(found):
        lost = n % 8
        assert reconciled.startswith(f"fail: {lost} break" if lost else "pass"), reconciled
        assert totals.startswith("fail: totals differ in 1 of 3" if lost else "pass"), totals
        assert latency.startswith(f"pass: {30 - lost} of {30 - lost} on time"), latency
