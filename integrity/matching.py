"""Which items make two batches differ, and how?

Rows of both sides come together by identity. Inside one identity equal fingerprints pair off first, copies in order of
processed time; then, where a side need not tell everything, those that have a digest in common; what is left over pairs
off as corrupt, in order of fingerprint; what is still left of the source is lost, accounted or pending, what is left of
the destination a duplicate if the identity is anywhere in the source, else extra.

A destination row that only mirrors something still pending (an open batch, an edit in flight) is set apart as
*unsettled*: neither matched nor accused. It counts with the exclusions, so that the balance holds without a term of its
own. So is a further copy that the contract allows.

Where the destination does not carry the event time, its rows take their batch from the source's row of the same
identity; what has none there is untimed, and of the run in whose windows it was processed.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from integrity.breaks import Case, agree, breaks_of, digest_of, disagree, placed, wide
from integrity.charges import UNAUTHORIZED
from integrity.contracts import Contract
from integrity.latency import with_latency
from integrity.rows import ANNOUNCED, CHANGED, CONTENT, EVENT, RUNG
from integrity.seals import words
from integrity.spool import KEY, Sieve
from integrity.totals import BATCH, Tally
from integrity.values import UNIT, micros

__all__ = ["items_of", "match", "rungs", "suspects", "tell"]

#: In which order copies pair off: what is said of them must not depend on the order of rows.
_TIES = ["__event", "__processed", "__changed", "__invalid"]
_PAIRED = ["matched", "corrupt", "unverified"]
#: What is said of an item beside how it matched.
_BESIDE = ["late", "skewed", "invalid", "unauthorized"]


def suspects(source: pl.DataFrame, destination: pl.DataFrame, case: Case, outcomes: Sieve | None) -> pl.Series:
    """Return the identity hashes whose items have to be looked at, of one part of the differing batches' fingerprints.

    An identity is settled when every fingerprint is there as often on both sides and nothing has to be said of its
    rows.
    """
    columns = [KEY, *case.batch_columns, *words(case.contract)]
    sides = [
        frame.select(*columns, pl.lit(sign, pl.Int64).alias("__n"))
        for frame, sign in ((source, 1), (destination, -1))
        if frame.height
    ]
    counts = pl.concat(sides).group_by(columns).agg(pl.col("__n").sum())
    found = [counts.filter(pl.col("__n") != 0)[KEY]]
    for frame in (source, destination):
        if frame.height:
            said = pl.col("__invalid").is_not_null() | pl.col("__unproven")
            if UNAUTHORIZED in frame.columns:
                said |= pl.col(UNAUTHORIZED).is_not_null()
            if "__latency" in frame.columns:
                said |= pl.col("__late") | pl.col("__skewed")
            found.append(frame.filter(said)[KEY])
    if source.height and case.contract.unique:
        found.append(source.filter(pl.col(KEY).is_duplicated())[KEY])
    if source.height and outcomes is not None:
        found.append(source.filter(outcomes.holds(source[KEY]))[KEY])
    return pl.concat(found).unique()


def match(
    source: pl.DataFrame,
    destination: pl.DataFrame,
    outcomes: pl.DataFrame,
    case: Case,
    tallies: tuple[Tally, Tally],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Match all rows of some identities, and add those of this run to the tally of their side.

    Args:
        source: Rows of :func:`integrity.passes.look`, with ``__scope`` (of a differing batch of this run) and
            ``__open``.
        destination: The same of the other side.
        outcomes: ``__identity``, ``outcome``, ``at`` and ``accepted`` of items that ended elsewhere.
        case: The rest.
        tallies: Where the rows that were matched are counted: the source's and the destination's.

    Returns:
        The counts of ``COUNTED``, a row a batch; and the breaks.
    """
    return tell(items_of(source, destination, outcomes, case), case, tallies)


def items_of(source: pl.DataFrame, destination: pl.DataFrame, outcomes: pl.DataFrame, case: Case) -> pl.DataFrame:
    """Pair rows, and say of each pair and each row that found none how it matched; arguments as for :func:`match`."""
    paired = _paired(_copies(source, case.contract), destination, outcomes, case)
    return _status(paired if case.contract.carried else _dated(paired, source, case), case)


def tell(items: pl.DataFrame, case: Case, tallies: tuple[Tally, Tally]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Count items by batch and add their rows to the tallies; return the counts and the breaks, as :func:`match`."""
    timed = _timed(items, case)
    source_tally, destination_tally = tallies
    source_tally.add(_side(items.filter("in_source"), "s."))
    destination_tally.add(_side(items.filter("in_destination"), "d."))
    if "d.__latency" in items.columns:
        destination_tally.add_times(timed)
    breaks = breaks_of(items, timed, case)
    return _counts(items, breaks, case), breaks


# --- items: a row for each pair, and for each row that found none
# ------------------------------------------------------


def _copies(source: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Number the copies of each identity among the source's rows of this run, however far apart in time."""
    order = source.sort("__identity", "__event", *words(contract), *_TIES[1:], nulls_last=True)
    here = ["__identity", "__inside"]
    return order.with_columns(pl.int_range(pl.len()).over(here).alias("__copy"), pl.len().over(here).alias("__copies"))


def _paired(source: pl.DataFrame, destination: pl.DataFrame, outcomes: pl.DataFrame, case: Case) -> pl.DataFrame:
    first = outcomes.sort("accepted", descending=True, maintain_order=True).unique("__identity", keep="first")
    ended = outcomes.filter("accepted").group_by("__identity").agg(pl.len().cast(pl.Int64).alias("ended"))
    here = source.group_by("__identity").agg(pl.len().alias("in_source_copies"))
    there = destination.group_by("__identity").agg(pl.len().alias("in_destination_copies"))
    # An outcome accounts for one item. What became of the others of its identity it does not say.
    every = first.join(ended, on="__identity", how="left").join(here, on="__identity", how="left")
    every = every.with_columns((pl.col("ended") >= pl.col("in_source_copies")).fill_null(False).alias("all_ended"))
    every = every.select("__identity", "outcome", "accepted", "ended", "all_ended")
    source, destination = (side.join(every, on="__identity", how="left") for side in (source, destination))
    s, d = _prefixed(source, "s."), _prefixed(destination, "d.")
    ties, print_ = _ties(case.contract), words(case.contract)
    joined = _join(s, d, print_, ties)
    if stand_ins := ties[len(_TIES) :]:  # of equal fingerprints those that agree in every other digest, too
        first = _join(s, d, [*print_, *stand_ins], ties)
        alone = _alone(first, s, d)
        both = pl.col("s.__scope").is_not_null() & pl.col("d.__scope").is_not_null()
        joined = pl.concat([first.filter(both), _join(*alone, print_, ties)])
    equal = joined.filter(pl.col("s.__scope").is_not_null() & pl.col("d.__scope").is_not_null())
    left = joined.filter(pl.col("d.__scope").is_null()).select(s.columns)
    right = joined.filter(pl.col("s.__scope").is_null()).select(d.columns)
    ended_items, equal, left, freed = _accounted(equal, left, d.columns, ties, print_)
    by_digest, left, right = _by_digest(left, pl.concat([right, freed]), case.contract)
    rest = pl.concat([*by_digest, _join(left, right, [], [*print_, *ties])])
    items = pl.concat(
        [
            equal.with_columns(pl.lit(True).alias("equal")),
            rest.with_columns(pl.lit(False).alias("equal")),
            ended_items.with_columns(pl.lit(False).alias("equal")),
        ],
        how="diagonal",
    ).with_columns(
        pl.coalesce("s.__identity", "d.__identity").alias("__identity"),
        pl.col("s.__scope").is_not_null().alias("has_source"),
        pl.col("d.__scope").is_not_null().alias("has_destination"),
    )
    return items.join(here, on="__identity", how="left").join(there, on="__identity", how="left")


def _ties(contract: Contract) -> list[str]:
    return [*_TIES, *(RUNG + name for name in contract.stand_ins)]


def _alone(joined: pl.DataFrame, s: pl.DataFrame, d: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of both sides that found no partner."""
    left = joined.filter(pl.col("d.__scope").is_null()).select(s.columns)
    return left, joined.filter(pl.col("s.__scope").is_null()).select(d.columns)


def _by_digest(
    left: pl.DataFrame, right: pl.DataFrame, contract: Contract
) -> tuple[list[pl.DataFrame], pl.DataFrame, pl.DataFrame]:
    """Pair what has a digest in common, though a side does not tell all that the other does; return pairs and rest.

    Only of identities that are there several times: of the others there is only one way to pair them.
    """
    pairs: list[pl.DataFrame] = []
    if contract.rung is None or not (
        contract.stand_ins or any(column.optional for column in contract.content.values())
    ):
        return pairs, left, right
    several = [
        side.filter(pl.col(f"{prefix}.__identity").is_duplicated()).select(pl.col(f"{prefix}.__identity").alias("__id"))
        for side, prefix in ((left, "s"), (right, "d"))
    ]
    many = pl.concat(several).unique()
    if not many.height:
        return pairs, left, right
    sides = [
        [side.join(many, left_on=f"{prefix}.__identity", right_on="__id", how=how) for how in ("semi", "anti")]
        for side, prefix in ((left, "s"), (right, "d"))
    ]
    (mine, ours), (theirs, others) = sides
    for name in (contract.rung, *contract.stand_ins):
        key = (CONTENT if name == contract.rung else RUNG) + name
        mine_told = mine.with_columns(digest_of(f"s.{key}").alias("s.__digest"))
        theirs_told = theirs.with_columns(digest_of(f"d.{key}").alias("d.__digest"))
        joined = _join(mine_told, theirs_told, ["__digest"], [*words(contract), *_ties(contract)])
        found = joined.filter(pl.col("s.__scope").is_not_null() & pl.col("d.__scope").is_not_null())
        pairs.append(found.drop("s.__digest", "d.__digest"))
        mine = joined.filter(pl.col("d.__scope").is_null()).select(mine.columns)
        theirs = joined.filter(pl.col("s.__scope").is_null()).select(theirs.columns)
    return pairs, pl.concat([mine, ours]), pl.concat([theirs, others])


def _accounted(
    equal: pl.DataFrame, left: pl.DataFrame, theirs: list[str], ties: list[str], prints: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Take, for each accepted outcome, one item of its identity from the source: first of those that found no equal.

    Returns:
        The items that are accounted for; the pairs and the rows that are left; and the destination's rows of pairs that
        came apart, because what ended elsewhere should not be there.
    """
    order = [f"s.{name}" for name in ("__event", *prints, *ties[1:], "__copy")]  # what ended first came first
    nth = pl.int_range(pl.len()).over("s.__identity", order_by=order, nulls_last=True)
    budget = pl.col("s.ended").fill_null(0)
    alone = left.group_by("s.__identity").agg(pl.len().cast(pl.Int64).alias("alone"))
    left = left.with_columns((nth < budget).alias("taken"))
    equal = equal.join(alone, on="s.__identity", how="left")
    equal = equal.with_columns((nth < budget - pl.col("alone").fill_null(0)).alias("taken"))
    # Who is left over has no outcome of its own, unless it is one that the contract does not accept.
    without = [
        pl.when(~pl.col("s.accepted").fill_null(False)).then("s.outcome").alias("s.outcome"),
        pl.lit(False).alias("s.accepted"),
    ]
    ours = [name for name in left.columns if name != "taken"]
    ended = pl.concat([side.filter("taken").select(ours) for side in (left, equal)])
    return (
        ended,
        equal.filter(~pl.col("taken")).drop("alone", "taken").with_columns(without),
        left.filter(~pl.col("taken")).drop("taken").with_columns(without),
        equal.filter("taken").select(theirs),
    )


def _dated(items: pl.DataFrame, source: pl.DataFrame, case: Case) -> pl.DataFrame:
    """Give the destination's rows, which do not tell the event time, what the source says of their identity."""
    said = (BATCH, "__event", "__scope", "__open")
    home = source.sort("__scope", "__event", descending=[True, False], nulls_last=True, maintain_order=True)
    first = home.group_by("__identity", maintain_order=True).agg(
        pl.col(name).first().alias(f"home.{name}") for name in said
    )
    here, known = pl.col("has_destination"), pl.col("in_source_copies").is_not_null()
    # A clock that is ahead does not keep an item from being judged.
    alone = here & ~pl.col("has_source")
    processed = pl.when(alone & (pl.col("d.__processed") < case.horizon)).then(pl.col("d.__processed"))
    window = case.contract.window
    assert window is not None
    ends = window.ends(items.select(processed).to_series())
    # Nobody knows when an item that found no partner was meant to be: it is judged when what was processed with it is.
    # What is left over of a known identity is filed where the first of that identity is, and shares its time if it has
    # none of its own.
    timeless = known & processed.is_null()
    without = {
        BATCH: pl.when(known).then(pl.col(f"home.{BATCH}")),
        "__event": pl.when(known).then(pl.col("home.__event")),
        "__scope": pl.when(timeless).then(pl.col("home.__scope")).otherwise(pl.col("d.__scope")),
        "__open": pl.when(timeless)
        .then(pl.col("home.__open"))
        .otherwise((ends + case.contract.grace > case.as_of).fill_null(False)),
    }
    return items.join(first, on="__identity", how="left").with_columns(
        pl.when(here & pl.col("has_source")).then(pl.col(f"s.{name}")).when(here).then(own).alias(f"d.{name}")
        for name, own in without.items()
    )


def _prefixed(frame: pl.DataFrame, prefix: str) -> pl.DataFrame:
    return frame.rename(lambda name: prefix + name)


def _side(items: pl.DataFrame, prefix: str) -> pl.DataFrame:
    """The rows of one side of some items, under their own names."""
    own = [name for name in items.columns if name.startswith(prefix)]
    return items.select(own).rename(lambda name: name.removeprefix(prefix))


def _join(s: pl.DataFrame, d: pl.DataFrame, by: list[str], order: list[str]) -> pl.DataFrame:
    """Pair the n-th row of each group of one side with the n-th of the other; who finds no partner stays alone."""
    keys = ["__identity", *by]
    ranked = []
    for side, prefix in ((s, "s."), (d, "d.")):
        own = [prefix + name for name in keys]
        by_copy = ["s.__copy"] if prefix == "s." else [f"d.{name}" for name in CHANGED if f"d.{name}" in d.columns]
        rows = side.sort([*own, *(prefix + name for name in order), *by_copy], nulls_last=True, maintain_order=True)
        rank = pl.int_range(pl.len()).over(own).alias(f"{prefix}__rank")
        ranked.append(rows.with_columns(rank))
    joined = ranked[0].join(
        ranked[1],
        left_on=[f"s.{name}" for name in [*keys, "__rank"]],
        right_on=[f"d.{name}" for name in [*keys, "__rank"]],
        how="full",
        coalesce=False,
    )
    return joined.drop("s.__rank", "d.__rank")


def _status(items: pl.DataFrame, case: Case) -> pl.DataFrame:
    """Say of each item how it matched, whether it is of this run, and in which batch it is filed: the source's."""
    s, d = pl.col("has_source"), pl.col("has_destination")
    s_scope, d_scope = (pl.col(f"{side}.__scope").fill_null(False) for side in "sd")
    # A destination row of this run whose source row lies outside the run's windows: the difference is filed under that
    # row's batch, which gets a line of its own. Were the source row in a batch that agreed a moment ago, the data would
    # be changing while it is read: unsettled, for the next run to judge.
    drawn = s & d & ~s_scope & d_scope & ~pl.col("s.__inside").fill_null(False)
    unsettled = pl.col("s.__open").fill_null(False) | _recent(case, "s.__changed", f"s.{ANNOUNCED}")
    coming = pl.col("d.__open").fill_null(False)
    if case.contract.changed is not None:  # a clock's is the source's; without one, each side tells its own
        unsettled |= _recent(case, "d.__changed")
        coming |= _recent(case, "d.__changed")
    contradicted, proven = _contradicted(case.contract), _proven(case.contract)
    alike = _same_as_far_as_told(case.contract) & ~contradicted
    known = pl.col("in_source_copies").is_not_null()
    if case.contract.copies > 1:
        items = items.with_columns(_forked(case.contract).alias("forked"))
    else:
        items = items.with_columns(pl.lit(False).alias("forked"))
    nothing = pl.lit(None, pl.String)
    status = (
        pl.when(s & pl.col("s.accepted").fill_null(False))
        .then(pl.when(s_scope).then(pl.lit("accounted")).otherwise(nothing))
        .when(pl.col("equal") & ~contradicted)
        .then(pl.when(~s_scope).then(nothing).when(proven).then(pl.lit("matched")).otherwise(pl.lit("unverified")))
        .when(s & d & (s_scope | drawn))
        .then(
            pl.when(alike & proven)
            .then(pl.lit("matched"))
            .when(unsettled & s_scope)
            .then(pl.lit("pending"))
            .when(unsettled)
            .then(pl.lit("unsettled"))
            .when(~alike)
            .then(pl.lit("corrupt"))
            .otherwise(pl.lit("unverified"))
        )
        .when(s & d)
        .then(pl.when(d_scope).then(pl.lit("unsettled")).otherwise(nothing))
        .when(s)
        .then(pl.when(~s_scope).then(nothing).when(unsettled).then(pl.lit("pending")).otherwise(pl.lit("lost")))
        .when(~d_scope)
        .then(nothing)
        .when(coming)
        .then(pl.lit("unsettled"))
        .when("forked")
        .then(pl.lit("copies"))
        .when(known & ~pl.col("d.all_ended").fill_null(False))
        .then(pl.lit("duplicate"))
        .otherwise(pl.lit("extra"))
    )
    items = items.with_columns(status.alias("status"), drawn.alias("drawn")).filter(pl.col("status").is_not_null())
    items = _approved(items, case)
    counted = pl.col("status") != "unsettled"
    filed = [
        pl.when(s & counted).then(pl.col(f"s.{name}")).otherwise(pl.col(f"d.{name}")).alias(name)
        for name in case.batch_columns
    ]
    identity = [pl.coalesce(f"s.{name}", f"d.{name}").alias(name) for name in case.contract.identity]
    own = [column for column in filed if column.meta.output_name() not in case.contract.partition]
    elsewhere = pl.col("s." + BATCH).ne_missing(pl.col("d." + BATCH))  # partition columns are of the identity: the same
    return items.with_columns(*identity, *own).with_columns(
        (s & counted & (s_scope | pl.col("drawn"))).alias("in_source"),
        (d_scope & counted & ~pl.col("approved") & ~pl.col("status").is_in(["pending", "copies"])).alias(
            "in_destination"
        ),
        # Two items from the future are of one batch, the untimed, and yet one of them may lie outside the window.
        (pl.col("status").is_in(["corrupt", "unverified"]) & s & d & (elsewhere | ~d_scope)).alias("moved"),
    )


def _approved(items: pl.DataFrame, case: Case) -> pl.DataFrame:
    """Set apart what differs because somebody changed the destination who was allowed to.

    The source's item then ended elsewhere, and is accounted for; the destination's row is counted with what was left
    out. Neither is matched: nothing says that it is what went in.
    """
    if case.approvals is None:
        return items.with_columns(pl.lit(False).alias("approved"), pl.lit(None, pl.String).alias("unapproved"))
    numbered = items.with_row_index("__row")
    changed = pl.col("status").is_in(["corrupt", "duplicate", "extra"])
    named = [pl.col(f"d.{own}").alias(name) for own, name in zip(CHANGED, ("actor", "object", "at"), strict=True)]
    uncovered = case.approvals.uncovered(numbered.filter(changed).select("__row", *named))
    told = numbered.join(uncovered, on="__row", how="left", maintain_order="left").drop("__row")
    covered = changed & pl.col("reason").is_null()
    replaced = pl.when(covered & pl.col("has_source")).then(pl.lit("accounted"))
    ended = replaced.when(covered).then(pl.lit("corrected")).otherwise("status")
    return told.with_columns(
        covered.alias("approved"), pl.col("reason").alias("unapproved"), ended.alias("status")
    ).drop("reason")


def _forked(contract: Contract) -> pl.Expr:
    """Whether a row that found no partner is a copy, allowed by the contract, of one that did."""
    alike = ["__identity", *(f"d.{word}" for word in words(contract))]
    pair = pl.col("has_source") & pl.col("has_destination")
    told = (pl.col("equal") | _same_as_far_as_told(contract)) & ~_contradicted(contract)
    paired = (pair & told.fill_null(False)).sum().over(alike)
    alone = pl.col("has_destination") & ~pl.col("has_source")
    nth = alone.cast(pl.Int64).cum_sum().over(alike)
    return (alone & (nth <= paired.cast(pl.Int64) * (contract.copies - 1))).fill_null(False)


def _recent(case: Case, *moments: str) -> pl.Expr:
    """Whether one of these moments is so recent that what it is said of may still differ.

    A moment that is still to come is none: its clock is wrong, and would keep an item pending for ever. By the clock on
    the wall, because what changes while it is read is recent, too, whatever the run is as of.
    """
    skew = case.contract.clock.skew if case.contract.clock is not None else UNIT["s"]
    now = micros(dt.datetime.now(dt.UTC)) + skew
    recent = [
        ((pl.col(moment) + case.contract.grace > case.as_of) & (pl.col(moment) <= now)).fill_null(False)
        for moment in moments
    ]
    return pl.any_horizontal(recent)


def _same_as_far_as_told(contract: Contract) -> pl.Expr:
    """Whether all that differs is a column that a side may lack, and lacks."""
    same = pl.lit(True)
    if contract.clock is not None and contract.clock.carried:
        same = pl.col(f"s.{EVENT}").eq_missing(pl.col(f"d.{EVENT}"))
    for name, column in contract.content.items():
        mine, other = pl.col(f"s.{CONTENT}{name}"), pl.col(f"d.{CONTENT}{name}")
        alike = mine.eq_missing(other)
        may_lack = column.evidence or column.optional
        same &= (alike | mine.is_null() | other.is_null()) if may_lack else alike
    return same


def _proven(contract: Contract) -> pl.Expr:
    """Whether both sides tell every digest that is needed, or another that stands in for it."""
    proven = pl.lit(True)
    for name, column in contract.content.items():
        if column.evidence:
            told = pl.col(f"s.{CONTENT}{name}").is_not_null() & pl.col(f"d.{CONTENT}{name}").is_not_null()
            stand_ins = contract.stand_ins if name == contract.rung else ()
            proven &= pl.any_horizontal(told, *(agree(stand_in) for stand_in in stand_ins))
    return proven


def _contradicted(contract: Contract) -> pl.Expr:
    """Whether two digests of one kind differ, though neither is the one that the contract compares first."""
    return pl.any_horizontal(pl.lit(False), *(disagree(name) for name in contract.stand_ins))


def _timed(items: pl.DataFrame, case: Case) -> pl.DataFrame:
    """The items that arrived, with their latency from the source's event to the destination's processing."""
    pairs = items.filter(pl.col("status").is_in(_PAIRED)).with_columns(
        pl.col("s.__event").alias("__event"),
        pl.col("d.__processed").alias("__processed"),
        pl.col("s.__future").alias("__future"),
    )
    return with_latency(pairs, case.contract.timeliness if case.timely else None, case.horizon)


def _counts(items: pl.DataFrame, breaks: pl.DataFrame, case: Case) -> pl.DataFrame:
    keys = case.batch_columns
    there = [pl.col(f"d.{name}").alias(name) for name in keys]
    # The destination row of a pending pair is unsettled in its own batch.
    mirrors = items.filter((pl.col("status") == "pending") & pl.col("d.__scope").fill_null(False))
    replaced = items.filter(
        pl.col("approved") & (pl.col("status") == "accounted") & pl.col("d.__scope").fill_null(False)
    )
    counted = [
        items.select(*keys, pl.col("status").alias("what")),
        replaced.select(*there, pl.lit("corrected").alias("what")),
        mirrors.select(*there, pl.lit("unsettled").alias("what")),
        items.filter("moved").select(*keys, pl.lit("moved_out").alias("what")),
        items.filter(pl.col("moved") & pl.col("d.__scope")).select(*there, pl.lit("moved_in").alias("what")),
        placed(breaks.filter(pl.col("kind").is_in(_BESIDE)), case).rename({"kind": "what"}),
    ]
    return wide(pl.concat(counted), keys)


def rungs(items: pl.DataFrame, contract: Contract) -> dict[str, int]:
    """Count the pairs whose content is equal by the strongest rung of the ladder that they reach."""
    if not contract.ladder:
        return {}
    matched = items.filter(status="matched")
    reached = []
    for rung in contract.ladder:
        prefix = CONTENT if rung.column in contract.content else RUNG
        equal = pl.col(f"s.{prefix}{rung.column}") == pl.col(f"d.{prefix}{rung.column}")
        if rung.column in contract.stand_ins:
            equal = agree(rung.column)
        reached.append(pl.when(equal).then(pl.lit(rung.column)))
    counted = matched.select(pl.coalesce(reached).alias("rung")).group_by("rung").len()
    return {name: count for name, count in counted.iter_rows() if name is not None}
