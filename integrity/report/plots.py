"""What do batches look like over time?

Two static pictures as SVG: how many records each batch had and what became of it, and how long items took against their
limits. They are legible in black and white, hold no text from the data, and the same batches make the same octets.
"""

from __future__ import annotations

import datetime as dt
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from integrity.report.reader import Reader

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PLACES", "latency", "per_place", "timeline"]

#: So many places a picture has at most: more would be thinner than a line on a telephone.
PLACES: Final = 96
_SIZE: Final = (3.5, 1.9)  # inches: 336 CSS pixels, so that letters keep their size on a telephone
#: Where the axes are in it: left of them is room for "16 min 40 s".
_ROOM: Final = (0.19, 0.15, 0.79, 0.8)
#: A face, an edge and a hatch for each verdict: told apart without colour, too.
_LOOKS: Final = {
    "pass": ("#2f6f4f", "#2f6f4f", ""),
    "fail": ("#ffffff", "#a3162c", "xxxx"),
    "unverified": ("#ffffff", "#8a5a00", "...."),
    "open": ("#ffffff", "#3b5b8c", ""),
    "other": ("#d9d9d9", "#8c8c8c", ""),
}
_WORST: Final = ("fail", "unverified", "open", "pass", "other")
_INK: Final = "#333333"


def per_place(batches: pl.DataFrame) -> int:
    """How many batches share a place of a picture."""
    return max(1, -(-_timed(batches).height // PLACES))


def _timed(batches: pl.DataFrame) -> pl.DataFrame:
    return batches.filter(pl.col("batch_start").is_not_null() & (pl.col("open") | pl.col("verdict").is_not_null()))


def timeline(batches: pl.DataFrame, reader: Reader) -> str | None:
    """Return how many records each batch had and what became of it, as SVG; ``None`` where no batch has a time.

    Args:
        batches: As :class:`integrity.report.facts.Facts` has them.
        reader: In whose zone times are told.
    """
    placed = _placed(batches).with_columns(
        pl.when("open")
        .then(pl.lit("open"))
        .when(pl.col("verdict").is_in(["pass", "fail", "unverified"]))
        .then("verdict")
        .otherwise(pl.lit("other"))
        .alias("look")
    )
    if not placed.height:
        return None
    ranks = pl.col("look").replace_strict({look: n for n, look in enumerate(_WORST)}, return_dtype=pl.Int8)
    bars = (
        placed.group_by("place", maintain_order=True)
        .agg(pl.col("batch_start").first(), pl.col("source_records").sum(), ranks.min().alias("rank"))
        .sort("place")
    )
    with _figure() as (figure, axes):
        from matplotlib.collections import PolyCollection

        tallest = max(1, *bars["source_records"])
        for rank, look in enumerate(_WORST):
            of = bars.filter(pl.col("rank") == rank)
            face, edge, hatch = _LOOKS[look]
            # A batch of nothing is seen all the same.
            tall = [
                (place, max(count, tallest / 50)) for place, count in of.select("place", "source_records").iter_rows()
            ]
            boxes = [[(x - 0.4, 0), (x - 0.4, high), (x + 0.4, high), (x + 0.4, 0)] for x, high in tall]
            axes.add_collection(PolyCollection(boxes, facecolor=face, edgecolor=edge, hatch=hatch, linewidth=0.6))
        axes.set_ylim(0, tallest * 1.08)
        axes.yaxis.set_major_formatter(lambda value, _: _short(value))
        _times(axes, bars, reader)
        return _svg(figure)


def latency(batches: pl.DataFrame, limits: tuple[int | None, int | None], reader: Reader) -> str | None:
    """Return how long items of each batch took, as SVG; ``None`` where nobody knows.

    Percentiles of several batches cannot be put together. Where batches share a place, the range of their medians and
    the highest 95th percentile are shown: those are true of single batches.

    Args:
        batches: As :class:`integrity.report.facts.Facts` has them.
        limits: Within which most have to arrive, and which none may pass, in microseconds.
        reader: In whose zone times are told.
    """
    placed = _placed(batches).filter(pl.col("latency_max").is_not_null())
    if not placed.height:
        return None
    seconds = [(pl.col(name).clip(lower_bound=1) / 1e6).alias(name) for name in _LATENCIES]
    points = (
        placed.with_columns(seconds)
        .group_by("place", maintain_order=True)
        .agg(
            pl.col("batch_start").first(),
            pl.col("latency_p50").min().alias("low"),
            pl.col("latency_p50").max().alias("high"),
            pl.col("latency_p95").max(),
            pl.col("latency_max").max(),
        )
        .sort("place")
    )
    places = points["place"].to_list()
    with _figure() as (figure, axes):
        from matplotlib.ticker import NullLocator

        axes.set_yscale("log")
        if per_place(batches) == 1:
            axes.plot(places, points["low"].to_list(), color=_INK, linewidth=1)
        else:
            axes.vlines(places, points["low"].to_list(), points["high"].to_list(), color=_INK, linewidth=1.4)
        axes.plot(places, points["latency_p95"].to_list(), ".", color="#3b5b8c", markersize=3.5)
        axes.plot(places, points["latency_max"].to_list(), "x", color="#a3162c", markersize=3, markeredgewidth=0.7)
        for limit, style in zip(limits, ("--", ":"), strict=True):
            if limit is not None:
                axes.axhline(limit / 1e6, color=_INK, linestyle=style, linewidth=0.9)
        axes.yaxis.set_major_formatter(lambda value, _: reader.duration(round(value * 1e6)))
        axes.yaxis.set_minor_locator(NullLocator())
        _times(axes, points, reader)
        return _svg(figure)


_LATENCIES: Final = ("latency_p50", "latency_p95", "latency_max")


def _placed(batches: pl.DataFrame) -> pl.DataFrame:
    """The batches that have a time, by that, each with its place: several share one where there are many."""
    timed = _timed(batches).sort("batch_start", maintain_order=True)
    return timed.with_columns((pl.int_range(pl.len()) // per_place(batches)).alias("place"))


def _times(axes: Axes, bars: pl.DataFrame, reader: Reader) -> None:
    """Tell the time below a few places: all that have room."""
    last = bars.height - 1
    marks = sorted({round(last * part / 3) for part in range(4)})
    starts = [bars["batch_start"][mark] for mark in marks]
    moments = [reader.local(start) or start for start in starts]
    same_day = len({moment.date() for moment in moments}) == 1
    labels = [_label(moment, same_day=same_day) for moment in moments]
    axes.set_xticks([bars["place"][mark] for mark in marks], labels)
    axes.set_xlim(-1, bars["place"][last] + 1)


def _label(moment: dt.datetime, *, same_day: bool) -> str:
    clock, day = f"{moment:%H:%M}", f"{moment.year:04}-{moment:%m-%d}"
    return clock if same_day else f"{day}\n{clock}"


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {letter}"
    return f"{value:g}"


@contextmanager
def _figure() -> Iterator[tuple[Figure, Any]]:
    """An empty picture, which no display, no user's style and no cache of fonts has to be there for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about fonts: letters are those of whoever reads it
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        import matplotlib as mpl
        from matplotlib.figure import Figure

        look: dict[Any, Any] = {
            "svg.fonttype": "none",
            "svg.hashsalt": "integrity",
            "font.family": "sans-serif",
            "font.size": 7,
            "hatch.linewidth": 0.6,
        }
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(look)
            figure = Figure(figsize=_SIZE)
            axes = figure.add_axes(_ROOM)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(length=2, colors=_INK)
            yield figure, axes


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()
