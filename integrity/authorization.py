"""Which items did nobody have the right to make?

An item is authorized when a grant covers its actor and object at its event time. Spans are half-open, several join into
one, a grant that was entered after the act does not cover it, and nobody grants to themself. The rows handed in are a
part of a run: all items and all grants of one actor are together in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["Judged", "Rules", "judge", "remarks"]

_Ints = npt.NDArray[np.int64]
#: Before and after every moment.
_EVER, _NEVER = -(2**63) + 1, 2**63 - 1
#: Of so many pairs of an item and a grant the reasons are looked for at a time.
_PAIRS = 4_000_000
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
    grants = _spans(grants, rules.within)
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
    left = whole.join(asked.filter(covered).select("__row").unique(), on="__row", how="anti", maintain_order="left")
    if not rules.begins:
        found = whole.select("__row", pl.lit(False).alias("known"), pl.lit(_TIMELESS).alias("reason"))
    elif not rules.ends:
        found = left.select("__row", pl.lit(False).alias("known"), pl.lit(_FOREIGN).alias("reason"))
    else:
        found = _reasons(left, asked, grants)
    return Judged(
        pl.concat([untold.select("__row", "known", "reason"), found.select("__row", "known", "reason")]), used
    )


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
    things = items.select("object").unique()
    above = things.select(
        "object", pl.Series("above", [_above(each, within) for each in things["object"]], pl.List(pl.String))
    )
    known = above.explode("above").join(pairs.select("object").unique(), left_on="above", right_on="object", how="semi")
    placed = items.join(known, on="object", how="inner", maintain_order="left")
    joined = placed.join(
        pairs, left_on=["actor", "above"], right_on=["actor", "object"], how="inner", maintain_order="left"
    )
    return joined.select("__row", "at", "pair")


def _above(thing: str, within: str) -> list[str]:
    """An object and all that it lies in.

    Example:
        >>> _above("/team/a", "/"), _above("team/a/", "/")
        (['/team/a', '/team', '/'], ['team/a', 'team', ''])
    """
    if thing == within:
        return [thing]
    parts = thing.removesuffix(within).split(within)
    found = [within.join(parts[:length]) for length in range(len(parts), 0, -1)]
    if parts[0] == "":  # what begins with a separator lies in the outermost one
        return [*(found[:-1] if len(found) > 1 else found), within]
    return [*found, ""]


def _covered(asked: pl.DataFrame, grants: pl.DataFrame) -> tuple[pl.Series, pl.DataFrame]:
    """Tell which pairs of an item and its actor's grants are covered, and how many items each grant covers.

    Moments become their rank among those of the items, and a pair and a rank together one whole number: then both are
    questions of a binary search.
    """
    good = grants.filter(~pl.col("self"), pl.col("counts") < pl.col("end"))
    moments = asked["at"].to_numpy()
    scale = np.unique(moments)

    def key(pair: pl.Series, at: npt.NDArray[np.int64]) -> _Ints:
        return (pair.to_numpy().astype(np.int64) << 32) | np.searchsorted(scale, at).astype(np.int64)

    item_keys = key(asked["pair"], moments)
    starts, ends = (key(good["pair"], good[name].to_numpy()) for name in ("counts", "end"))
    ordered = np.sort(item_keys)
    count = np.searchsorted(ordered, ends) - np.searchsorted(ordered, starts)
    used = good.select("__grant", pl.Series("items", count, pl.Int64)).filter(pl.col("items") > 0)
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], ends[order]
    # The greatest end so far: keys of a later pair are greater, so no span of one pair reaches into the next.
    reach = np.maximum.accumulate(ends) if len(ends) else ends
    last = np.searchsorted(starts, item_keys, side="right") - 1
    inside = (last >= 0) & (item_keys < reach[np.maximum(last, 0)]) if len(reach) else np.zeros(len(item_keys), bool)
    return pl.Series("covered", inside), used


# --- why not ---------------------------------------------------------------------------------------------------------


def _reasons(left: pl.DataFrame, asked: pl.DataFrame, grants: pl.DataFrame) -> pl.DataFrame:
    """Say of each item that is not covered why."""
    pairs = asked.join(left, on="__row", how="semi", maintain_order="left")
    found = [_reasoned(some, grants) for some in _slices(pairs, grants)]
    empty = pl.DataFrame(schema={"__row": left.schema["__row"], "reason": pl.String})
    every = left.select("__row").join(pl.concat([empty, *found]), on="__row", how="left", maintain_order="left")
    return every.with_columns(pl.lit(True).alias("known"), pl.col("reason").fill_null("no grant ever"))


def _slices(pairs: pl.DataFrame, grants: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Cut pairs of items and actors' grants so that with their grants they are not too many; an item stays together."""
    sizes = grants.group_by("pair").len("grants")
    sized = pairs.join(sizes, on="pair", how="left").sort("__row", maintain_order=True)
    whole = pl.col("grants").cum_sum().max().over("__row")
    for part in sized.with_columns((whole // _PAIRS).alias("slice")).partition_by("slice", maintain_order=True):
        yield part.select("__row", "at", "pair")


def _reasoned(pairs: pl.DataFrame, grants: pl.DataFrame) -> pl.DataFrame:
    of = grants.select("pair", "start", "end", "recorded", "revoked", "departed", "self")
    met = pairs.join(of, on="pair", how="inner")
    at, start, end, own = (pl.col(name) for name in ("at", "start", "end", "self"))
    held = start < end
    met = met.with_columns(
        held.alias("held"),
        # What an actor granted to themself counts only where nobody else granted anything.
        (held & (~own | ~(held & ~own).any().over("__row"))).alias("counts"),
    )
    covers = pl.col("held") & (start <= at) & (at < end)
    ended = pl.col("counts") & (end <= at)
    later = pl.col("counts") & (start > at)
    said = met.group_by("__row").agg(
        pl.col("recorded").filter(covers & ~own).min().alias("recorded"),
        (covers & ~own).any().alias("too late"),
        (covers & own).any().alias("own"),
        pl.col("held").any().alias("held"),
        end.filter(ended).max().alias("ended"),
        ((pl.col("revoked") == end) & ended & (end == end.filter(ended).max())).any().alias("revoked"),
        ((pl.col("departed") == end) & ended & (end == end.filter(ended).max())).any().alias("departed"),
        start.filter(later).min().alias("next"),
    )
    again = (
        pl.when(pl.col("next").is_not_null())
        .then(pl.format(", granted again from {}", _iso("next")))
        .otherwise(pl.lit(""))
    )
    how = (
        pl.when("revoked").then(pl.lit("revoked at")).when("departed").then(pl.lit("its actor had left at"))
    ).otherwise(pl.lit("expired at"))
    reason = (
        pl.when("too late")
        .then(pl.format("recorded after the act, at {}", _iso("recorded")))
        .when("own")
        .then(pl.lit("approved by the actor themself"))
        .when(pl.col("ended").is_not_null())
        .then(pl.format("{} {}{}", how, _iso("ended"), again))
        .when(pl.col("next").is_not_null())
        .then(pl.format("not yet valid until {}", _iso("next")))
        .when(~pl.col("held"))
        .then(pl.lit("no grant ever that held for a moment"))
    )
    return said.select("__row", reason.alias("reason"))


def _iso(name: str) -> pl.Expr:
    """A moment in ISO 8601, in UTC, with as many places as it needs."""
    moment = pl.col(name).cast(pl.Datetime("us"))
    whole = pl.col(name) % 1_000_000 == 0
    return (
        pl.when(whole)
        .then(moment.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
        .otherwise(moment.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
    )
