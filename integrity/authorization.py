"""Which items did nobody have the right to make?

An item is authorized when a grant covers its actor and object at its event time. Spans are half-open, several join into
one, a grant that was entered after the act does not cover it, and nobody grants to themself. The rows handed in are a
part of a run: all items and all grants of one actor are together in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["Judged", "Rules", "judge", "remarks"]

_Ints = npt.NDArray[np.int64]
#: Before and after every moment.
_EVER, _NEVER = -(2**63) + 1, 2**63 - 1
#: How a grant ended, by its weight: of several that end at one instant the heaviest says it.
_ENDINGS = ("expired at", "its actor had left at", "revoked at")
#: Bits of a moment's rank; its lane stands above them.
_LANE = 32
_FOREIGN = "the grants do not tell what ended before now"
_TIMELESS = "the grants do not tell since when they hold"


@dataclass(frozen=True, slots=True)
class Rules:
    """How grants are read.

    Attributes:
        within: What separates an object from what lies in it, such as ``/``: a grant holds for all that is below.
        begins: Whether the store of grants tells since when one holds.
        ends: Whether it keeps what has ended, and tells when; else it knows the present only.
    """

    within: str | None = None
    begins: bool = True
    ends: bool = True


@dataclass(frozen=True, slots=True)
class Judged:
    """What grants say of items.

    Attributes:
        items: Of the items that no grant covers: ``__row``, ``known`` (whether that is certain) and ``reason``.
        used: Of the grants that cover any: ``__grant``, and ``items``: how many.
    """

    items: pl.DataFrame
    used: pl.DataFrame


def judge(items: pl.DataFrame, grants: pl.DataFrame, rules: Rules) -> Judged:
    """Return which items no grant covers, and which grants were used.

    Args:
        items: ``__row``; ``actor`` and ``object``, canonical text; ``at``, microseconds since the epoch.
        grants: ``__grant``; ``actor`` and ``object``; ``from``, ``until``, ``revoked``, ``departed`` (when the actor
            left) and ``recorded``, microseconds, or NULL; ``approver``.
        rules: How they are read.

    Example:
        >>> granted = {"__grant": [0], "actor": ["kim"], "object": ["room"], "from": [10], "until": [20]}
        >>> never = dict.fromkeys(["revoked", "departed", "recorded"], pl.lit(None, pl.Int64))
        >>> grants = pl.DataFrame(granted).with_columns(**never, approver=pl.lit(None, pl.String))
        >>> items = pl.DataFrame({"__row": [0, 1], "actor": ["kim"] * 2, "object": ["room"] * 2, "at": [19, 20]})
        >>> judge(items, grants, Rules()).items["reason"].to_list()
        ['expired at 1970-01-01T00:00:00.000020Z']
    """
    # What cannot be read is no name: two of the same are not the same.
    readable = [~pl.col(name).str.starts_with("\x1a") for name in ("actor", "object")]
    grants = _spans(grants.filter(readable), rules.within)
    nameless = (
        pl.when(pl.col("actor").is_null())
        .then(pl.lit("nobody is named as its actor"))
        .when(pl.col("object").is_null())
        .then(pl.lit("it names no object"))
        .when(pl.col("at").is_null())
        .then(pl.lit("its event time is not known"))
    )
    told = items.with_columns(nameless.alias("reason"), pl.col("at").is_not_null().alias("known"))
    untold = told.filter(pl.col("reason").is_not_null()).with_columns(
        (pl.col("actor").is_null() | pl.col("object").is_null()).alias("known")
    )
    whole = told.filter(pl.col("reason").is_null()).select("__row", "actor", "object", "at")
    pairs = grants.select("actor", "object").unique(maintain_order=True).with_row_index("pair")
    grants = grants.join(pairs, on=["actor", "object"], how="left", maintain_order="left")
    asked = _paired(whole, pairs, rules.within)
    covered, used = _covered(asked, grants)
    left = whole.select("__row").join(asked.filter(covered), on="__row", how="anti", maintain_order="left")
    if rules.ends:
        found = _reasons(left, asked, grants)
    else:
        found = left.select("__row", pl.lit(False).alias("known"), pl.lit(_FOREIGN).alias("reason"))
    parts = [untold, found]
    if not rules.begins:  # what is covered may have been granted after the act
        seeming = asked.filter(covered).select("__row").unique(maintain_order=True)
        parts.append(seeming.with_columns(pl.lit(False).alias("known"), pl.lit(_TIMELESS).alias("reason")))
    return Judged(pl.concat([part.select("__row", "known", "reason") for part in parts]), used)


def remarks(grants: pl.DataFrame) -> pl.DataFrame:
    """Say what is wrong with grants themselves: ``__grant`` and ``remark``, for those with which anything is."""
    told = [name for name in grants.columns if name != "__grant"]
    spans = _spans(grants, None)
    nth = pl.int_range(pl.len()).over(told)
    ends = pl.col("end").n_unique().over("actor", "object", "start")
    said = [
        pl.when(nth > 0).then(pl.lit("the same grant again")),
        pl.when(pl.col("end") <= pl.col("start")).then(pl.lit("ends before it begins")),
        pl.when(ends > 1).then(pl.lit("contradicts another: same actor, object and beginning, another end")),
        pl.when("self").then(pl.lit("approved by its own actor")),
    ]
    remark = pl.concat_str(said, separator="; ", ignore_nulls=True).replace("", None)
    return spans.select("__grant", remark.alias("remark")).filter(pl.col("remark").is_not_null())


# --- who is covered --------------------------------------------------------------------------------------------------


def _spans(grants: pl.DataFrame, within: str | None) -> pl.DataFrame:
    """Add since when until when each grant holds, from when on it counts, and whether its actor gave it to themself."""
    start = pl.col("from").fill_null(_EVER)
    thing = pl.col("object") if within is None else _stripped(pl.col("object"), within)
    return grants.with_columns(
        thing.alias("object"),
        start.alias("start"),
        pl.min_horizontal("until", "revoked", "departed").fill_null(_NEVER).alias("end"),
        pl.max_horizontal(start, pl.col("recorded").fill_null(_EVER)).alias("counts"),
        pl.col("approver").eq(pl.col("actor")).fill_null(False).alias("self"),
    )


def _stripped(thing: pl.Expr, within: str) -> pl.Expr:
    """An object without the separators at its end, but for the outermost one itself."""
    bare = thing.str.strip_suffix(within)
    return pl.when(thing == within).then(thing).otherwise(bare)


def _paired(items: pl.DataFrame, pairs: pl.DataFrame, within: str | None) -> pl.DataFrame:
    """Every item with each pair of actor and object whose grants may cover it: ``__row``, ``at``, ``pair``."""
    if within is None:
        return items.join(pairs, on=["actor", "object"], how="inner", maintain_order="left").select(
            "__row", "at", "pair"
        )
    known = _above(items["object"].unique(), within).join(
        pairs.select("object").unique(), left_on="above", right_on="object", how="semi"
    )
    placed = items.join(known, on="object", how="inner", maintain_order="left")
    joined = placed.join(
        pairs, left_on=["actor", "above"], right_on=["actor", "object"], how="inner", maintain_order="left"
    )
    return joined.select("__row", "at", "pair")


def _above(things: pl.Series, within: str) -> pl.DataFrame:
    """Every object with itself and all that it lies in: ``object``, ``above``.

    Example:
        >>> _above(pl.Series(["/team/a", "team/a/", ""]), "/").sort("object", "above")["above"].to_list()
        ['', '/', '/team', '/team/a', '', 'team', 'team/a']
    """
    bare = _stripped(pl.col("object"), within)
    cut = pl.DataFrame({"object": things}).with_columns(
        bare.str.starts_with(within).alias("rooted"),
        pl.when(bare == within).then(pl.lit([""])).otherwise(bare.str.split(within)).alias("parts"),
    )
    levels = [cut.select("object", pl.when("rooted").then(pl.lit(within)).otherwise(pl.lit("")).alias("above"))]
    while cut.height:
        length = len(levels)
        above = pl.col("parts").list.head(length).list.join(within).alias("above")
        # What begins with a separator lies in the outermost object; the empty part before it is no name.
        levels.append(
            cut.select("object", above, "rooted").filter(~pl.col("rooted") | (pl.col("above") != "")).drop("rooted")
        )
        cut = cut.filter(pl.col("parts").list.len() > length)
    return pl.concat(levels).unique(maintain_order=True)


class _Line:
    """The moments of items. A moment becomes its rank, and a lane and a rank one whole number to search for."""

    def __init__(self, at: pl.Series) -> None:
        self._scale: _Ints = np.sort(at.to_numpy())

    def keys(self, lane: pl.Series, at: pl.Series) -> _Ints:
        """Return a number for each moment in its lane: less than an item's where it is earlier than that item."""
        rank = np.searchsorted(self._scale, at.to_numpy()).astype(np.int64)
        return (lane.to_numpy().astype(np.int64) << _LANE) | rank


def _inside(keys: _Ints, starts: _Ints, ends: _Ints) -> npt.NDArray[np.bool_]:
    """Tell which keys lie in any span."""
    if not len(starts):
        return np.zeros(len(keys), bool)
    order = np.argsort(starts, kind="stable")
    # The greatest end so far: keys of a later lane are greater, so no span of one lane reaches into the next.
    reach = np.maximum.accumulate(ends[order])
    last = np.searchsorted(starts[order], keys, side="right") - 1
    return np.asarray((last >= 0) & (keys < reach[np.maximum(last, 0)]))


def _covered(asked: pl.DataFrame, grants: pl.DataFrame) -> tuple[pl.Series, pl.DataFrame]:
    """Tell which pairs of an item and its actor's grants are covered, and how many items each grant covers."""
    good = grants.filter(~pl.col("self"), pl.col("counts") < pl.col("end"))
    line = _Line(asked["at"])
    keys = line.keys(asked["pair"], asked["at"])
    starts, ends = (line.keys(good["pair"], good[name]) for name in ("counts", "end"))
    ordered = np.sort(keys)
    count = np.searchsorted(ordered, ends) - np.searchsorted(ordered, starts)
    used = good.select("__grant", pl.Series("items", count, pl.Int64)).filter(pl.col("items") > 0)
    return pl.Series("covered", _inside(keys, starts, ends)), used


# --- why not ---------------------------------------------------------------------------------------------------------


def _reasons(left: pl.DataFrame, asked: pl.DataFrame, grants: pl.DataFrame) -> pl.DataFrame:
    """Say of each item that is not covered why.

    Only the nearest end, the nearest beginning and the spans around a moment have a say: each is searched for, so an
    actor with many items and many grants costs no more than their sum.
    """
    asked = asked.join(left, on="__row", how="semi", maintain_order="left")
    line, at = _Line(asked["at"]), asked["at"]
    # What an actor granted to themself lies in a lane of its own.
    held = grants.filter(pl.col("start") < pl.col("end")).with_columns(
        (pl.col("pair").cast(pl.Int64) * 2 + pl.col("self")).alias("lane")
    )
    how = pl.when(pl.col("revoked") == pl.col("end")).then(2).when(pl.col("departed") == pl.col("end")).then(1)
    endings = held.group_by("lane", "end").agg(how.otherwise(0).max().alias("how"))
    endings = endings.sort("end", "how").with_row_index("ended").with_columns(pl.col("ended").cast(pl.Int64))
    before, after = endings.sort("lane", "end"), held.select("lane", "start").sort("lane", "start")
    ends, starts = line.keys(before["lane"], before["end"]), line.keys(after["lane"], after["start"])
    facts: dict[str, npt.NDArray[Any]] = {}
    for name, own in (("others", 0), ("own", 1)):
        lane = asked["pair"].cast(pl.Int64) * 2 + own
        keys, lanes = line.keys(lane, at), lane.to_numpy()
        facts[f"{name} any"] = np.isin(lanes, held["lane"].to_numpy())
        facts[f"{name} ended"] = _at(np.searchsorted(ends, keys, side="right") - 1, ends, lanes, before["ended"], -1)
        facts[f"{name} next"] = _at(np.searchsorted(starts, keys, side="right"), starts, lanes, after["start"], _NEVER)
        mine = held.filter(pl.col("self") == bool(own))
        since, until = (line.keys(mine["lane"], mine[column]) for column in ("start", "end"))
        if own:
            facts["own covers"] = _inside(keys, since, until)
        else:  # whatever else covers an item that is not covered was recorded after it
            recorded = mine["recorded"].fill_null(_NEVER).to_numpy()
            facts["recorded"] = _least(keys, since, until, recorded)
    greatest = ["others any", "own any", "own covers", "others ended", "own ended"]
    said = asked.select("__row").with_columns(pl.Series(name, values) for name, values in facts.items())
    said = said.group_by("__row").agg(pl.max(*greatest), pl.min("recorded", "others next", "own next"))
    # What an actor granted to themself counts only where nobody else granted anything.
    said = said.select(
        *("__row", "recorded", "own covers"),
        (pl.col("others any") | pl.col("own any")).alias("held"),
        pl.when("others any").then("others ended").otherwise("own ended").alias("ended"),
        pl.when("others any").then("others next").otherwise("own next").alias("next"),
    )
    told = [name for name in said.columns if name != "__row"]
    # Items that the same ends and beginnings surround have the same reason: it is written once.
    texts = said.select(told).unique().join(endings.select("ended", "end", "how"), on="ended", how="left")
    texts = texts.select(*told, _text().alias("reason"))
    found = left.select("__row").join(said.join(texts, on=told), on="__row", how="left", maintain_order="left")
    return found.with_columns(pl.lit(True).alias("known"), pl.col("reason").fill_null("no grant ever"))


def _at(where: npt.NDArray[np.intp], keys: _Ints, lanes: _Ints, values: pl.Series, none: int) -> _Ints:
    """Take the value at each place, if there is one and it lies in the lane that asks."""
    there = (where >= 0) & (where < len(keys))
    where = np.where(there, where, 0)
    if not len(keys):
        return np.full(len(where), none, np.int64)
    return np.asarray(np.where(there & (keys[where] >> _LANE == lanes), values.to_numpy()[where], none))


def _least(keys: _Ints, starts: _Ints, ends: _Ints, values: _Ints) -> _Ints:
    """Return the least value of the spans around each key, or ``_NEVER``.

    A span is the union of two of the same length, a power of two, counted in the marks between which nothing changes.
    From the longest on, what is so of a stretch is handed to its halves.

    Example:
        >>> _least(np.array([1, 3, 9]), np.array([0, 2]), np.array([5, 4]), np.array([8, 7])).tolist()[:2]
        [8, 7]
    """
    marks = np.sort(np.concatenate([starts, ends]))
    low, high = np.searchsorted(marks, starts), np.searchsorted(marks, ends)
    some = low < high  # the rest lie between two items
    low, high, values = low[some], high[some], values[some]
    if not len(values):
        return np.full(len(keys), _NEVER, np.int64)
    level = np.frexp((high - low).astype(np.float64))[1] - 1
    least = np.full(len(marks), _NEVER, np.int64)
    for power in range(int(level.max()), -1, -1):
        here = level == power
        np.minimum.at(least, low[here], values[here])
        np.minimum.at(least, high[here] - (1 << power), values[here])
        if power:
            half = 1 << (power - 1)
            least[half:] = np.minimum(least[half:], least[:-half])
    place = np.searchsorted(marks, keys, side="right") - 1
    return np.asarray(np.where(place >= 0, least[np.maximum(place, 0)], _NEVER))


def _text() -> pl.Expr:
    """The reason, of the facts about an item."""
    again = pl.format(", granted again from {}", _iso("next"))
    ended = pl.format("{} {}", pl.col("how").replace_strict(range(3), _ENDINGS, return_dtype=pl.String), _iso("end"))
    later = pl.col("next") < _NEVER
    return (
        pl.when(pl.col("recorded") < _NEVER)
        .then(pl.format("recorded after the act, at {}", _iso("recorded")))
        .when("own covers")
        .then(pl.lit("approved by the actor themself"))
        .when((pl.col("ended") >= 0) & later)
        .then(ended + again)
        .when(pl.col("ended") >= 0)
        .then(ended)
        .when(later)
        .then(pl.format("not yet valid until {}", _iso("next")))
        .when(~pl.col("held"))
        .then(pl.lit("no grant ever that held for a moment"))
    )


def _iso(name: str) -> pl.Expr:
    """A moment in ISO 8601, in UTC, with as many places as it needs."""
    known = pl.when(pl.col(name) < _NEVER).then(name)
    moment = known.cast(pl.Datetime("us"))
    whole = pl.col(name) % 1_000_000 == 0
    return (
        pl.when(whole)
        .then(moment.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
        .otherwise(moment.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
    )
