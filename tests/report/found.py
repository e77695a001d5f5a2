"""Results to tell of: of each kind something is wrong, and the names are as hostile as can be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
from hypothesis import strategies as st

import integrity
from integrity.spool import Log
from tests.ledger import books

#: Anything that a partition, a reason or a pipeline may be called.
HOSTILE = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from('\0\x1b\t\n\r"\\<>&]{}=\ufffe'), max_size=12
)


def found() -> integrity.Result:
    """Batches of ten minutes, the last one open, in which items are lost, altered, late and there twice."""
    items = books.sent(40).with_columns(pl.lit("acme").alias("tenant"))
    return reconciled(items, books.damaged(items), skip={"accuracy": "not today"})


def of_partition(result: integrity.Result, name: str) -> integrity.Result:
    """The same of another tenant, without reading it all again for each example of a law."""
    breaks = Log()
    for frame in result.break_frames():
        breaks.add(frame.with_columns(pl.lit(name).alias("__p.tenant"), pl.lit(name).alias("tenant")))
    return replace(result, _batches=result.batch_frame.with_columns(pl.lit(name).alias("tenant")), _breaks=breaks)


def reconciled(items: pl.DataFrame, there: Any, **more: Any) -> integrity.Result:
    return integrity.reconcile(books.promise(grace="5m"), items, there, as_of="2026-03-01T00:36:00Z", **more)


def nothing_judged() -> integrity.Result:
    """Neither side holds an item."""
    nothing = pl.DataFrame({"id": []}, schema={"id": pl.String})
    return integrity.reconcile(integrity.Contract(name="notes", version=1, identity=["id"]), nothing, nothing)
