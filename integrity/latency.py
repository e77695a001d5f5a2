"""How is latency counted, so that counts from anywhere add up?

Latency is whole microseconds from event to processing. It is counted in fixed buckets, 32 linear ones per power of
two, so that histograms merge by adding and a percentile is within 2 % (never a percentile of percentiles). On-time
counts and the maximum are exact and stand beside the histogram.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from integrity.contracts import Timeliness

__all__ = ["FLAGS", "bucket_of", "middle_of", "percentiles", "with_latency"]

_LINEAR = 32
_BITS = 5  # log2 of _LINEAR

#: What :func:`with_latency` says of each row, besides ``__latency``.
FLAGS = ("__on_time", "__late", "__over", "__skewed", "__unmeasured")


def bucket_of(latency: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the bucket number of each non-negative latency.

    Example:
        >>> bucket_of(np.array([0, 31, 32, 63, 64, 65, 66])).tolist()
        [0, 31, 32, 63, 64, 64, 65]
    """
    exponent = np.frexp(latency.astype(np.float64))[1].astype(np.int64) - 1
    exponent = np.maximum(exponent, _BITS)
    # A float rounds up to the next power of two just below it: step back where the top bit is not there.
    exponent = np.where((latency >> exponent == 0) & (exponent > _BITS), exponent - 1, exponent)
    large = _LINEAR * (exponent - _BITS + 1) + (latency >> (exponent - _BITS)) - _LINEAR
    return np.asarray(np.where(latency < _LINEAR, latency, large), dtype=np.int64)


def middle_of(bucket: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the middle of each bucket, in microseconds, rounded down."""
    shift = np.maximum(bucket // _LINEAR - 1, 0)
    low = np.where(bucket < _LINEAR, bucket, (bucket % _LINEAR + _LINEAR) << shift)
    return np.asarray(low + ((1 << shift) - 1) // 2, dtype=np.int64)


def percentiles(histogram: pl.DataFrame, by: list[str], quantiles: dict[str, float]) -> pl.DataFrame:
    """Return nearest-rank percentiles of histograms.

    Args:
        histogram: Columns ``by``, ``__bucket`` and ``__count``.
        by: The columns that tell histograms apart; may be empty.
        quantiles: Name of the resulting column to quantile, ``{"latency_p95": 0.95}``.

    Returns:
        A row for each histogram: ``by`` and one Int64 column of microseconds a quantile.
    """
    keys = [pl.col(name) for name in by] or [pl.lit(0).alias("__all")]
    ranked = (
        histogram.group_by(*keys, "__bucket")
        .agg(pl.col("__count").sum())
        .sort("__bucket")
        .with_columns(
            pl.col("__count").cum_sum().over(by or ["__all"]).alias("__below"),
            pl.col("__count").sum().over(by or ["__all"]).alias("__total"),
        )
    )
    ranked = ranked.with_columns(pl.Series("__middle", middle_of(ranked["__bucket"].to_numpy())))
    picks = [
        pl.col("__middle").filter(pl.col("__below") >= (pl.col("__total") * q).ceil().clip(1)).first().alias(name)
        for name, q in quantiles.items()
    ]
    return ranked.group_by(by or ["__all"], maintain_order=True).agg(picks).drop("__all", strict=False)


def with_latency(frame: pl.DataFrame, timeliness: Timeliness | None, horizon: int) -> pl.DataFrame:
    """Add ``__latency`` (null where it cannot be said) and the FLAGS to rows with ``__event`` and ``__processed``.

    A row processed before it happened, or from beyond ``horizon``, is skewed: its clock is wrong, so it has no latency.
    It is never clamped to zero and never on time.
    """
    latency = pl.col("__processed") - pl.col("__event")
    skewed = ((latency < 0) | (pl.col("__processed") >= horizon) | pl.col("__future")).fill_null(False)
    framed = frame.with_columns(skewed.alias("__skewed")).with_columns(
        pl.when(~pl.col("__skewed")).then(latency).alias("__latency")
    )
    known = pl.col("__latency").is_not_null()
    if timeliness is None:
        late, over = pl.lit(False), pl.lit(False)
    else:
        late = (pl.col("__latency") > timeliness.within).fill_null(False)
        never = timeliness.never_over
        over = pl.lit(False) if never is None else (pl.col("__latency") > never).fill_null(False)
    return framed.with_columns(
        (known & ~late).alias("__on_time"),
        late.alias("__late"),
        over.alias("__over"),
        (~known & ~pl.col("__skewed")).alias("__unmeasured"),
    )
