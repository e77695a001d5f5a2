"""What do batches look like over time?

Two static pictures as SVG: how many records each batch had and what became of it, and how long items took against their
limits. They are legible in black and white, hold no text from the data, and the same batches make the same octets.
"""

from __future__ import annotations

import datetime as dt
import io
import itertools
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

__all__ = ["LOOKS", "PLACES", "latency", "per_place", "timeline"]

#: So many places a picture has at most: more would be thinner than a line on a telephone.
PLACES: Final = 96
_SIZE: Final = (3.5, 1.9)  # inches: 336 CSS pixels, so that letters keep their size on a telephone
#: Where the axes are in it: left of them is room for "10 min", right of them for half of a date.
_ROOM: Final = (0.15, 0.15, 0.78, 0.8)
#: A face, an edge, a hatch and a line for each verdict, the worst first: told apart without colour, too. Solid is only
#: what passed.
LOOKS: Final = {
    "fail": ("#ffffff", "#a3162c", "xxxx", "-"),
    "unverified": ("#ffffff", "#8a5a00", "....", "-"),
    "pending": ("#ffffff", "#3b5b8c", "////", "-"),
    "open": ("#ffffff", "#3b5b8c", "", "-"),
    "skipped": ("#ffffff", "#6b6b6b", "", "--"),
    "pass": ("#2f6f4f", "#2f6f4f", "", "-"),
}
_SECOND, _MINUTE, _HOUR, _DAY = 1.0, 60.0, 3_600.0, 86_400.0
#: Where a scale of durations has its marks, seconds.
_DURATIONS: Final = (
    1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, _SECOND, 10 * _SECOND, _MINUTE, 10 * _MINUTE, _HOUR, 10 * _HOUR, _DAY,
    10 * _DAY, 100 * _DAY, 1_000 * _DAY, 10_000 * _DAY,
)  # fmt: skip
#: How far apart marks of time may be, in minutes of the local day, and in days; the closest that leave room are taken.
_CLOCK: Final = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)
_DATES: Final = (1, 2, 7, 14, 28, 91, 182, 364, 3_640, 36_400)
_MARKS: Final = 4
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
    placed = _placed(batches).with_columns(pl.when("open").then(pl.lit("open")).otherwise("verdict").alias("look"))
    if not placed.height:
        return None
    ranks = pl.col("look").replace_strict({look: n for n, look in enumerate(LOOKS)}, return_dtype=pl.Int8)
    bars = (
        placed.group_by("place", maintain_order=True)
        .agg(pl.col("batch_start").first(), pl.col("source_records").sum(), ranks.min().alias("rank"))
        .sort("place")
    )
    with _figure() as (figure, axes):
        from matplotlib.collections import PolyCollection

        tallest = max(1, *bars["source_records"])
        for rank, (face, edge, hatch, line) in enumerate(LOOKS.values()):
            of = bars.filter(pl.col("rank") == rank)
            # A batch of nothing is seen all the same.
            tall = [
                (place, max(count, tallest / 50)) for place, count in of.select("place", "source_records").iter_rows()
            ]
            boxes = [[(x - 0.4, 0), (x - 0.4, high), (x + 0.4, high), (x + 0.4, 0)] for x, high in tall]
            axes.add_collection(
                PolyCollection(boxes, facecolor=face, edgecolor=edge, hatch=hatch, linestyle=line, linewidth=0.6)
            )
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
        from matplotlib.ticker import FixedLocator, NullLocator

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
        axes.yaxis.set_major_locator(FixedLocator(_marks(*axes.get_ylim())))
        axes.yaxis.set_major_formatter(lambda value, _: reader.duration(round(value * 1e6)))
        axes.yaxis.set_minor_locator(NullLocator())
        _times(axes, points, reader)
        return _svg(figure)


_LATENCIES: Final = ("latency_p50", "latency_p95", "latency_max")


def _placed(batches: pl.DataFrame) -> pl.DataFrame:
    """The batches that have a time, by that, each with its place: several share one where there are many."""
    timed = _timed(batches).sort("batch_start", maintain_order=True)
    return timed.with_columns((pl.int_range(pl.len()) // per_place(batches)).alias("place"))


def _marks(low: float, high: float) -> list[float]:
    """The durations at which a scale has its marks: every second one where there would be too many."""
    within = [each for each in _DURATIONS if low <= each <= high]
    return within[:: 1 + len(within) // 8]


def _times(axes: Axes, bars: pl.DataFrame, reader: Reader) -> None:
    """Tell the time below a few places."""
    starts = [(reader.local(start) or start) for start in bars["batch_start"]]
    chosen = _chosen(starts)
    same_day = len({starts[place].date() for place in chosen}) == 1
    labels = [_label(starts[place], reader, same_day=same_day) for place in chosen]
    axes.set_xticks([bars["place"][place] for place in chosen], labels)
    axes.set_xlim(-1, bars["place"][-1] + 1)


def _chosen(starts: list[dt.datetime]) -> list[int]:
    """Which places bear a time: those at round local times, of as many kinds as leave room; else a few of them.

    Places stand in the order of their batches, and times in which nothing was read have none.
    """
    days = {n: at.toordinal() for n, at in enumerate(starts) if not (at.hour or at.minute or _odd(at))}
    minutes = {n: at.hour * 60 + at.minute for n, at in enumerate(starts) if not _odd(at)}
    apart = max(1, len(starts) // (_MARKS + 1))
    for of, step in [*((minutes, step) for step in _CLOCK), *((days, step) for step in _DATES)]:
        places = [n for n, at in of.items() if at % step == 0]
        if len(places) < 2:
            break
        if len(places) <= _MARKS and all(b - a >= apart for a, b in itertools.pairwise(places)):
            return places
    last = len(starts) - 1
    return sorted({round(last * part / (_MARKS - 1)) for part in range(_MARKS)})


def _odd(at: dt.datetime) -> bool:
    return bool(at.second or at.microsecond)


def _label(moment: dt.datetime, reader: Reader, *, same_day: bool) -> str:
    clock, day = f"{moment:%H:%M}{reader.offset(moment)}", f"{moment.year:04}-{moment:%m-%d}"
    return clock if same_day else f"{day}\n{clock}"


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {letter}"
    return f"{value:g}"


@contextmanager
def _figure() -> Iterator[tuple[Figure, Any]]:
    """An empty picture, which no display, no user's style and no cache of fonts has to be there for."""
    with warnings.catch_warnings(), _quiet(logging.getLogger("matplotlib")):
        warnings.simplefilter("ignore")  # about fonts: letters are those of whoever reads it
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


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Let a logger speak of errors alone, for a while."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()
