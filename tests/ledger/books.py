"""Small ledgers for tests: a pipeline of notes, of whose items some are lost, altered or late."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

import integrity
from integrity.jobs import Job
from integrity.ledger import Ledger
from integrity.ledger.casework import confirm, dispose, propose, refuse, reopen, require
from integrity.ledger.listing import breaks

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


def promise(**more: Any) -> integrity.Contract:
    """A contract with ten-minute batches of two tenants, amounts and a clock."""
    said: dict[str, Any] = {
        "name": "notes",
        "version": 1,
        "identity": ["tenant", "id"],
        "content": {"body": "text", "size": "integer"},
        "amounts": ["size"],
        "partition": ["tenant"],
        "clock": {"event": "sent_at", "processed": "kept_at"},
        "window": "10m",
        "timeliness": {"within": "5s"},
    }
    return integrity.Contract(**(said | more))


def sent(count: int, start: dt.datetime = START) -> pl.DataFrame:
    """One item a minute, of two tenants in turn."""
    return pl.DataFrame(
        {
            "tenant": [("acme", "beta")[n % 2] for n in range(count)],
            "id": [f"note-{n}" for n in range(count)],
            "body": [f"body of {n}" for n in range(count)],
            "size": list(range(count)),
            "sent_at": [start + n * MINUTE for n in range(count)],
        },
        schema_overrides={"sent_at": pl.Datetime("us", "UTC")},
    )


def kept(items: pl.DataFrame) -> pl.DataFrame:
    """All of them, a second later."""
    return items.with_columns((pl.col("sent_at") + dt.timedelta(seconds=1)).alias("kept_at"))


def damaged(items: pl.DataFrame) -> pl.DataFrame:
    """The third is lost, the fifth altered, the seventh late, the ninth there twice."""
    there = kept(items).with_row_index("n")
    body = pl.when(pl.col("n") == 4).then(pl.lit("altered")).otherwise("body")
    late = pl.when(pl.col("n") == 6).then(pl.col("kept_at") + MINUTE).otherwise("kept_at")
    there = there.with_columns(body.alias("body"), late.alias("kept_at")).filter(pl.col("n") != 2)
    return pl.concat([there, there.filter(pl.col("n") == 8)]).drop("n")


def ticking(start: dt.datetime = START) -> Callable[[], dt.datetime]:
    """A clock that is a second later each time it is asked."""

    def moments() -> Iterator[dt.datetime]:
        moment = start
        while True:
            moment += dt.timedelta(seconds=1)
            yield moment

    told = moments()
    return lambda: next(told)


def healed(folder: Path, book: Ledger) -> None:
    """Runs of a job, in the second of which an item that was lost has come."""
    items = sent(4, START)
    (folder / "notes.yaml").write_text(promise(name="healing").to_yaml(), encoding="utf-8")
    items.write_parquet(folder / "s.parquet")
    url = place(book)
    job = Job(f"{folder}/notes.yaml", f"{folder}/s.parquet", f"{folder}/d.parquet", ledger=url, lookback="1d")
    for there in (items[:3], items):
        kept(there).write_parquet(folder / "d.parquet")
        job.run(as_of=START + 60 * MINUTE)


def decided(book: Ledger) -> None:
    """Decisions about breaks, by others than who ran it: one that stands, one refused, one reopened, and a ruling."""
    named = [f"{row['run']}:{row['number']}" for row in breaks(place(book), state="open").iter_rows(named=True)]
    dispose(book, named[0], "accepted", reason="rare", reference="T-1", control="counted by hand", by="lee")
    propose(book, named[1], "timing", reason="slow that night", reference="T-2", by="lee")
    refuse(book, named[1], reason="it was not", by="ann")
    require(book, ["false-positive"], by="ann", reason="policy 4")
    propose(book, named[1:3], "false-positive", reason="a test item", reference="T-3", by="lee")
    confirm(book, named[1:3], by="ann")
    reopen(book, named[2], reason="it was none", by="lee")


def place(book: Ledger) -> str:
    """The URL of a ledger, with its password."""
    return book.database.engine.url.render_as_string(hide_password=False)


def filled(folder: Path, runs: int = 2, **more: Any) -> Ledger:
    """A ledger of some runs, in each of which something is wrong."""
    book = Ledger.open(folder / "ledger.db", origin="example.org/test", environment="production", operator="kim")
    for n in range(runs):
        items = sent(20, START + n * 20 * MINUTE)
        integrity.reconcile(promise(**more), items, damaged(items), ledger=book, values=True)
    return book
