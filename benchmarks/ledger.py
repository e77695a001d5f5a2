"""What does keeping evidence cost, beside the reconciliation itself?

    python benchmarks/ledger.py                      a million items in 1,000 batches; 100,000 leaves; writes RESULTS.md
    python benchmarks/ledger.py --rows 20000         does it still run? prints only

In one process, in turns, after a warm-up: the same reconciliation with and without a ledger (SQLite, and a key), each
time into a new one; then a ledger of many small runs is verified, and weighed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import statistics
import tempfile
import time
from pathlib import Path

import polars as pl
import run
from rules import in_turns, table
from run import RESULTS, say

import integrity
from integrity.ledger import Beginning, Ledger, verify
from integrity.ledger.log import append

BEGIN, END = "<!-- ledger.py writes from here … -->", "<!-- … to here, ledger. -->"
FULL_ROWS, FULL_LEAVES, FULL_REPEAT, BATCHES = 1_000_000, 100_000, 7, 1_000
START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def promise() -> integrity.Contract:
    return integrity.Contract(
        name="entries", version=1, identity=["id"], content={"body": "text", "size": "integer"}, amounts=["size"],
        clock={"event": "at", "processed": "kept"}, window="1m", timeliness={"within": "5s"},
    )  # fmt: skip


def sides(folder: Path, rows: int) -> tuple[str, str]:
    """Items of 1,000 minutes; a thousandth of them is lost."""
    until, step = START + dt.timedelta(minutes=BATCHES), f"{BATCHES * 60_000_000 // rows}us"
    at = pl.datetime_range(START, until, step, closed="left", eager=True)
    frame = pl.DataFrame({"at": at}).with_row_index("n")
    frame = frame.with_columns(
        pl.format("item-{}", "n").alias("id"),
        pl.format("body of {}", "n").alias("body"),
        pl.col("n").cast(pl.Int64).alias("size"),
        (pl.col("at") + pl.duration(seconds=1)).alias("kept"),
    )
    frame.drop("n", "kept").write_parquet(folder / "source.parquet")
    frame.filter(pl.col("n") % 1000 != 7).drop("n").write_parquet(folder / "destination.parquet")
    return str(folder / "source.parquet"), str(folder / "destination.parquet")


def recording(folder: Path, rows: int, repeat: int) -> list[str]:
    source, destination = sides(folder, rows)
    made = iter(range(10**6))

    def plain() -> object:
        return integrity.reconcile(promise(), source, destination)

    def kept() -> object:
        return integrity.reconcile(promise(), source, destination, ledger=str(folder / f"{next(made)}.db"))

    book = Ledger.open(folder / "one.db")

    def again() -> object:
        return integrity.reconcile(promise(), source, destination, ledger=book)

    seconds = in_turns({"reconciled": plain, "with a new ledger": kept, "with a ledger that is there": again}, repeat)
    added = {"recording": ("with a ledger that is there", "reconciled")}
    return table(seconds, "reconciled", added)


def verifying(folder: Path, leaves: int, repeat: int) -> list[str]:
    """A ledger of runs of two batches and a break each, as ten-minute schedules make them, and other leaves."""
    items = pl.DataFrame(
        {
            "id": ["1", "2", "3"],
            "body": ["a"] * 3,
            "size": [1] * 3,
            "at": [START + dt.timedelta(minutes=n) for n in (0, 0, 1)],
        }
    )
    there = items.with_columns((pl.col("at") + pl.duration(seconds=1)).alias("kept"))
    result = integrity.reconcile(promise(), items, there[1:])
    path = folder / "many.db"
    book = Ledger.open(path)
    begins = Beginning("entries", promise(), result.spec_sha256, result.versions, None, None, None, {}, {})
    runs = leaves // 50
    begun = time.perf_counter()
    for n in range(runs):
        book.begin(begins).finish(result)
        if n % 1000 == 0:
            say(f"{n:,} runs written")
    written, size = time.perf_counter() - begun, path.stat().st_size
    with book.database.writing() as connection:  # the rest are leaves without rows, written in one go
        for n in range(leaves - 2 * runs):
            append(connection, book.clock, "sent", {"size": n, "party": "nobody", "receipt": None}, book.key)
    seconds = []
    for _ in range(repeat):
        begun = time.perf_counter()
        found = verify(path)
        seconds.append(time.perf_counter() - begun)
        assert found.is_sound, found.headline()
    batches = runs * result.batch_frame.height
    middle = statistics.median(seconds)
    return [
        "| | |", "|---|--:|",
        f"| leaves | {found.leaves:,} |",
        f"| runs, batches, breaks | {runs:,}, {batches:,}, {runs:,} |",
        f"| verified in | {middle:.1f} s ({min(seconds):.1f}–{max(seconds):.1f}) |",
        f"| a run recorded in | {written / runs * 1000:.1f} ms, two transactions |",
        f"| octets | {size:,}: {size / runs:,.0f} a run, {size / batches:,.0f} a batch with all its own |",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_ROWS)
    parser.add_argument("--leaves", type=int, default=None)
    parser.add_argument("--repeat", type=int, default=FULL_REPEAT)
    asked = parser.parse_args()
    full = asked.rows == FULL_ROWS
    leaves = asked.leaves or (FULL_LEAVES if full else 1000)
    with tempfile.TemporaryDirectory() as name:
        kept = recording(Path(name), asked.rows, asked.repeat)
        found = verifying(Path(name), leaves, 3)
    lines = [
        "## Ledger", "",
        f"{asked.rows:,} items in {BATCHES:,} batches, Parquet to Parquet, a thousandth of them lost; SQLite.",
        run.machine(os.getloadavg()[0]), "",
        *kept, "", f"A ledger of {leaves:,} leaves:", "", *found,
    ]  # fmt: skip
    text = "\n".join([*lines, ""])
    print(text)
    if full and asked.repeat >= FULL_REPEAT:
        run.put(RESULTS, text, BEGIN, END)


if __name__ == "__main__":
    main()
