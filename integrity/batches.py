"""What is told of each batch, and of all of them together?"""

from __future__ import annotations

import polars as pl

from integrity.contracts import BATCH_COLUMNS, Contract
from integrity.latency import percentiles
from integrity.timestamps import dated
from integrity.totals import BATCH
from integrity.values import CALENDAR

__all__ = ["batch_frame", "timeless", "total_counts"]

_TOTALS = (
    "source_records", "destination_records", "matched", "corrupt", "unverified", "lost", "accounted", "pending",
    "duplicate", "extra", "moved", "late", "skewed", "unauthorized", "invalid", "excluded", "superseded",
)  # fmt: skip
_UTC = pl.Datetime("us", "UTC")


def batch_frame(judged: pl.DataFrame, histogram: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Return judged batches in the columns of ``result.batches``, amounts as unscaled text, and ``__open``."""
    keys = [*contract.partition, BATCH]
    latency = percentiles(histogram, keys, {"latency_p50": 0.5, "latency_p95": 0.95})
    peak = pl.col("destination_latency_max")
    judged = judged.with_columns(_hash(judged, side) for side in ("source", "destination"))
    joined = judged.join(latency, on=keys, how="left", nulls_equal=True).with_columns(
        # the middle of the last bucket may lie above the exact maximum
        pl.min_horizontal("latency_p50", peak).alias("latency_p50"),
        pl.min_horizontal("latency_p95", peak).alias("latency_p95"),
        peak.alias("latency_max"),
        pl.sum_horizontal("source_excluded", "destination_excluded", "unsettled", "copies", "corrected").alias(
            "excluded"
        ),
        (pl.col("source_superseded") + pl.col("destination_superseded")).alias("superseded"),
    )
    starts = joined[BATCH]
    ends = contract.window.ends(starts) if contract.window is not None else starts.clear(len(starts))
    located = pl.col("located")
    counts = (
        "matched",
        "corrupt",
        "unverified",
        "lost",
        "accounted",
        "pending",
        "duplicate",
        "extra",
        "moved_in",
        "moved_out",
    )
    amounts = [
        pl.col(f"{side}_amount.{name}").alias(f"{side}_{name}")
        for name in contract.amounts
        for side in ("source", "destination")
    ]
    timed = joined.with_columns(
        dated(BATCH).alias("batch_start"),
        ends.clip(*CALENDAR).cast(_UTC).alias("batch_end"),
        *(pl.when(located).then(pl.col(name)).alias(name) for name in counts),
        pl.when(located).then("completeness_ratio").alias("completeness_ratio"),
        *(pl.col(name).cast(pl.Duration("us")) for name in ("latency_p50", "latency_p95", "latency_max")),
    )
    return timed.sort(keys, nulls_last=True).select(
        *contract.partition, *BATCH_COLUMNS, *amounts, pl.col("open").alias("__open")
    )


def timeless(contract: Contract) -> str:
    """Return what a batch without a start is called: ``untimed``, or ``all`` of them where there is no clock."""
    return "untimed" if contract.clock else "all"


def total_counts(batches: pl.DataFrame) -> dict[str, int]:
    """Sum the batches up, in the algebra's names."""
    named = batches.with_columns(pl.col("moved_out").alias("moved"))
    return {name: int(named[name].sum() or 0) for name in _TOTALS}


def _hash(judged: pl.DataFrame, side: str) -> pl.Series:
    """Hash totals as text: two 64-bit words, big-endian."""
    words = judged.select(f"{side}_hash_0", f"{side}_hash_1").iter_rows()
    return pl.Series(f"{side}_hash", [f"sum128:{high:016x}{low:016x}" for high, low in words], dtype=pl.String)
