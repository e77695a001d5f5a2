"""How is one side read: for its totals, again for its differing batches, a last time for its differing items?

Each pass is a new reading of the store, streamed; what has to wait, waits in a spool. The three passes of one side,
and the same three of the other, are all that a reconciliation reads.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import polars_hash as plh

from integrity import canonical, remote
from integrity.breaks import Case, is_open
from integrity.charges import MARK, Charges
from integrity.contracts import Contract
from integrity.errors import ConnectionLostError, PushdownError, StoreError
from integrity.items import Reader
from integrity.latency import FLAGS, with_latency
from integrity.rows import ANNOUNCED, Slice
from integrity.seals import Sealer, words
from integrity.spool import KEY, PREFIX_BITS, Sieve, Spool
from integrity.totals import BATCH, ControlTotals, Tally

__all__ = [
    "Measured",
    "Sought",
    "again",
    "answerable",
    "asked_of",
    "control_totals",
    "fingerprints",
    "inside",
    "look",
    "measure",
    "newest",
    "sealer_of",
    "tally_of",
    "timed",
    "whole",
]

Progress = Callable[[int], None]
_T = TypeVar("_T")
#: Seconds to wait before a pass is read again whose connection was dropped; then it is given up.
_PAUSES = (0.5, 2.0, 5.0)


@dataclass
class Measured:
    """What the first pass over one side found.

    Attributes:
        totals: Its control totals.
        remarks: The rows of which something has to be said whatever the other side holds: invalid, late, skewed.
        accounted: The batches that hold an item of the outcomes sieve.
        prefixes: The hash totals once more, two words by the leading bits of the identity hash: they say among which
            identities two sides differ, before anything is read again.
        flagged: The identities that have to be looked at whatever the other side holds, besides those with remarks: an
            outcome, a missing digest, a repetition.
        reader: How the side is read from here on; ``None`` where only its totals were given.
        identities: The identity of every item, where a side can be asked for some of them.
        sealer: The fingerprints of every item, where the contract is sealed.
    """

    totals: ControlTotals
    remarks: Spool
    accounted: pl.DataFrame | None = None
    prefixes: npt.NDArray[np.uint64] | None = None
    flagged: Sieve = field(default_factory=Sieve)
    reader: Reader | None = None
    identities: Spool | None = None
    sealer: Sealer | None = None


def tally_of(contract: Contract) -> Tally:
    """Return a tally that also keeps the fingerprints, where the contract is sealed."""
    return Tally(contract, sealer=Sealer([*contract.partition, BATCH]) if contract.seal else None)


def sealer_of(tally: Tally) -> Sealer | None:
    """Return what keeps the fingerprints of a tally's rows."""
    return tally.sealer if isinstance(tally.sealer, Sealer) else None


def again(work: Callable[[], _T], *spools: Spool) -> _T:
    """Read a pass, and read it again from its start if the connection was dropped on the way.

    Args:
        work: The pass.
        spools: What it fills, emptied before it starts anew.

    Raises:
        StoreError: as the pass does; the connection was dropped, or could not be had again, time after time.
    """
    lost = False
    for pause in (*_PAUSES, None):
        try:
            return work()
        except StoreError as error:
            lost = lost or isinstance(error, ConnectionLostError)
            if not lost or pause is None:
                raise
        for spool in spools:
            spool.clear()
        time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


@dataclass
class _Repeats:
    """Sees whether an identity is there twice, by its 64-bit hash: a collision over-suspects, matching then decides."""

    columns: list[str]
    spool: Spool

    def add(self, frame: pl.DataFrame) -> None:
        self.spool.add(frame.select(KEY, *self.columns))

    def rows(self) -> pl.DataFrame:
        """The hash and batch of each item whose identity is there more than once."""
        found = [
            part.filter(pl.col(KEY).is_duplicated())
            for part in self.spool.parts()
            if part[KEY].n_unique() < part.height
        ]
        schema = {KEY: pl.UInt64, **{c: pl.Int64 if c == BATCH else pl.String for c in self.columns}}
        return pl.concat(found) if found else pl.DataFrame(schema=schema)


def measure(
    reader: Reader,
    remarks: Spool,
    charges: Charges,
    *,
    outcomes: Sieve | None = None,
    identities: Spool | None = None,
    progress: Progress | None = None,
) -> Measured:
    """Read one side for its control totals, or let it total its own items.

    Args:
        reader: The side.
        remarks: Where the rows wait of which something has to be said.
        charges: Who looks at the rows as they are read.
        outcomes: Identities for which an outcome is accepted; batches that hold one are named.
        identities: Where the identity of every item waits, if anybody will ask for some.
        progress: Called with numbers of rows read.

    Raises:
        StoreError: the store cannot be read; or it was to total its own items, and nothing else, and cannot.
    """
    spools = [spool for spool in (remarks, identities) if spool is not None]
    if reader.pushed is not None:
        try:
            totalled = again(lambda: _totalled(reader, remarks), *spools)
            charges.conclude(reader)
        except PushdownError as error:
            if reader.strict:
                raise
            remarks.clear()
            reader = replace(reader, pushed=None, how=f"pulled: {error.problem}")
        else:
            return totalled
    measured = again(lambda: _read(reader, remarks, charges, outcomes, identities, progress), *spools)
    charges.conclude(reader)
    return measured


def _totalled(reader: Reader, remarks: Spool) -> Measured:
    """Let the store total its own items; what has to be said of some of them, their rows say."""
    contract, read_at = reader.contract, dt.datetime.now(dt.UTC)
    frame, histogram, exclusions = remote.totals(reader)
    remarks.add(timed(reader, reader.blank(Slice())))
    if frame.select(pl.sum_horizontal("invalid", "late", "skewed").sum()).item():
        with closing(remote.remarks(reader)) as remarkable:
            for rows in remarkable:
                rows = timed(reader, rows)
                remarks.add(rows.filter(_said(rows)))
    repeats = remote.repeats(reader) if reader.role == "source" and contract.unique else None
    if repeats is not None:
        twice = repeats.with_columns(pl.lit(True).alias("twice"))
        frame = frame.drop("repeats").join(twice, on=reader.batch_columns, how="left", nulls_equal=True)
        frame = frame.with_columns(pl.col("twice").fill_null(False).alias("repeats")).drop("twice")
    totals = control_totals(reader, read_at, frame, histogram, exclusions)
    return Measured(totals, remarks, reader=reader)


def _said(rows: pl.DataFrame) -> pl.Expr:
    """Whether something has to be said of a row whatever the other side holds."""
    said = pl.col("__invalid").is_not_null()
    return said | pl.col("__late") | pl.col("__skewed") if "__latency" in rows.columns else said


def _read(
    reader: Reader,
    remarks: Spool,
    charges: Charges,
    outcomes: Sieve | None,
    identities: Spool | None,
    progress: Progress | None,
) -> Measured:
    contract = reader.contract
    read_at = dt.datetime.now(dt.UTC)
    tally, flagged = tally_of(contract), Sieve()
    prefixes = np.zeros((1 << PREFIX_BITS, 2), dtype=np.uint64)
    looks = reader.role == "source" and contract.unique
    accounted: list[pl.DataFrame] = []
    remarks.add(timed(reader, reader.blank(Slice())))
    heard = charges.attached(reader)
    with Spool() as waiting, closing(population(heard, Slice(), tally, progress)) as frames:
        repeats = _Repeats(reader.batch_columns, waiting)
        for frame in frames:
            if not contract.carried:
                frame = _bucketed(frame, contract)
            tally.add(frame)
            if "__latency" in frame.columns:
                tally.add_times(frame)
            remarks.add(frame.filter(_said(frame)))
            if identities is not None:
                identities.add(frame.select(KEY, *contract.identity))
            flagged.add(frame.filter("__unproven")[KEY])
            leading = frame[KEY].to_numpy() >> np.uint64(64 - PREFIX_BITS)
            for word in (0, 1):
                np.add.at(prefixes[:, word], leading, frame[f"__w{word}"].to_numpy())
            if looks:
                repeats.add(frame)
            if outcomes is not None:
                ended = frame.filter(outcomes.holds(frame[KEY]))
                accounted.append(ended.select(reader.batch_columns).unique())
                flagged.add(ended[KEY])
        repeated = repeats.rows() if looks else None
        if repeated is not None:
            flagged.add(repeated[KEY])
        finished, histogram = tally.finish(repeated)
    totals = control_totals(reader, read_at, finished, histogram, dict(tally.exclusions))
    totals = replace(totals, bucketed=not contract.carried)
    batches = pl.concat(accounted).unique() if accounted else None
    return Measured(totals, remarks, batches, prefixes, flagged, reader, identities, sealer_of(tally))


def _bucketed(frame: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Put the identity's bucket, the first octet of its hash, where the batch would be, which only the source knows."""
    text = canonical.encode([frame[name] for name in contract.identity])
    first = plh.col("t").chash.sha2_256().str.slice(0, 2).str.to_integer(base=16, dtype=pl.Int64)
    return frame.with_columns(pl.DataFrame([text.alias("t")]).select(first.alias(BATCH)).to_series())


def control_totals(
    reader: Reader, read_at: dt.datetime, frame: pl.DataFrame, histogram: pl.DataFrame, exclusions: dict[str, int]
) -> ControlTotals:
    """Return what a tally finished as the control totals of a side."""
    contract = reader.contract
    return ControlTotals(
        contract=contract.name,
        contract_version=contract.version,
        contract_sha256=contract.sha256,
        side=reader.role,
        partition=contract.partition,
        amounts=contract.amounts,
        read_at=read_at,
        location=reader.store.location,
        as_of=reader.as_of,
        frame=frame,
        histogram=histogram,
        exclusions=exclusions,
        since=reader.since,
        until=reader.until,
    )


def population(
    reader: Reader, wanted: Slice, tally: Tally, progress: Progress | None
) -> Generator[pl.DataFrame, None, None]:
    """Yield the items of a pass less what the contract excludes and what is superseded, which ``tally`` counts."""
    there = reader.pushed is not None and not wanted.content
    frames = (remote.frames if there else Reader.frames)(reader, wanted, tally.left_out, progress)
    frames = (timed(reader, frame) for frame in frames)
    if reader.contract.latest_by is None:
        yield from frames
        return
    with Spool() as waiting:  # the newest revision is known only when all have been seen
        for frame in frames:
            waiting.add(frame)
        for part in waiting.parts():
            latest = newest(reader.contract.columns.get(reader.contract.latest_by), part, ["__identity"])
            tally.supersede(part.filter(~latest))
            yield part.filter(latest)


def timed(reader: Reader, frame: pl.DataFrame) -> pl.DataFrame:
    return with_latency(frame, reader.contract.timeliness, reader.horizon) if reader.has_processed else frame


def newest(column: object, rows: pl.DataFrame, by: list[str]) -> pl.Series:
    """Tell which rows hold the newest revision of their identity; all of them, where several are equally new.

    Revisions are numbers, or text in code point order; one that is NULL or unreadable is older than any other.
    """
    textual = getattr(getattr(column, "type", None), "value", "timestamp") in ("text", "uuid", "binary")
    readable = pl.when(~pl.col("__revision").str.starts_with("\x1a")).then(pl.col("__revision"))
    order = readable if textual else _numeric_order(readable)
    ranked = rows.with_columns(order.alias("__order"))
    return ranked.select(pl.col("__order").eq_missing(pl.col("__order").max().over(by))).to_series()


def _numeric_order(digits: pl.Expr) -> pl.Expr:
    """Text that sorts as whole numbers of any size do: sign, number of digits, digits (for negatives each to nine)."""
    size = digits.str.strip_prefix("-").str.len_bytes().cast(pl.Int64)
    nines = [str(9 - digit) for digit in range(10)]
    below = pl.concat_str(
        pl.lit("0"),
        (pl.lit(10**9) - size).cast(pl.String).str.zfill(10),
        digits.str.strip_prefix("-").str.replace_many([str(digit) for digit in range(10)], nines),
    )
    above = pl.concat_str(pl.lit("1"), size.cast(pl.String).str.zfill(10), digits)
    return pl.when(digits.str.starts_with("-")).then(below).otherwise(above)


def fingerprints(
    reader: Reader, batches: pl.DataFrame, spool: Spool, named: bool, progress: Progress | None = None
) -> Tally:
    """Read the rows of some batches again, as fingerprints only: what is needed to tell which identities differ.

    Args:
        reader: The side.
        batches: Which ones.
        spool: Where the rows wait.
        named: Whether the identities themselves will be asked for, and not only their hashes.
        progress: Called with numbers of rows read.

    Returns:
        What was left out.
    """
    tally = tally_of(reader.contract)
    amounts = [f"__a.{name}" for name in reader.contract.amounts]
    names = [KEY, *reader.batch_columns, *words(reader.contract), *amounts, "__invalid", "__unproven"]
    if named:
        names += [name for name in reader.contract.identity if name not in names]
    # With revisions, the newest one may lie in another batch: then all batches have to be read again.
    wanted = Slice() if reader.contract.latest_by else Slice(batches=batches)
    spool.add(_fingerprint_columns(timed(reader, reader.blank(wanted)), names))
    with closing(population(reader, wanted, tally, progress)) as frames:
        for frame in frames:
            if reader.contract.latest_by:
                frame = frame.join(batches, on=reader.batch_columns, how="semi", nulls_equal=True)
            spool.add(_fingerprint_columns(frame, names))
    return tally


def _fingerprint_columns(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    return frame.select(names + (["__latency", *FLAGS] if "__latency" in frame.columns else []))


@dataclass(frozen=True)
class Sought:
    """Identities that a side is asked for by name.

    Attributes:
        identities: Their canonical values, each once.
        copies: Of how many rows this side is known: the identity's hash, and ``copies``.
    """

    identities: pl.DataFrame
    copies: pl.DataFrame


def look(reader: Reader, keys: Sieve, spool: Spool, sought: Sought | None, progress: Progress | None = None) -> None:
    """Read the rows of some identities with all their columns, wherever in time they lie.

    A store that finds rows by name and gives fewer than it is known to have held is not believed, but read whole: what
    a look-up misses would be missing on both sides, and be right.

    Args:
        reader: The side.
        keys: Which identities, by hash.
        spool: Where the rows wait.
        sought: The same by name, if they are so few that a store which can is asked for them.
        progress: Called with numbers of rows read.
    """
    wanted = Slice(keys=keys, content=True, bounded=False)
    if sought is not None and reader.searchable:
        found = _looked(reader, wanted, reader.found(sought.identities, wanted, progress), spool)
        both = sought.copies.join(found, on=KEY, how="left")
        if not both.filter(pl.col("found").fill_null(0) < pl.col("copies")).height:
            return
        spool.clear()
    _looked(reader, wanted, reader.frames(wanted, None, progress), spool)


def whole(reader: Reader, spool: Spool, charges: Charges, progress: Progress | None = None) -> Tally:
    """Read a side from end to end with all its columns, whatever the run's bounds; ``__inside`` says what is within.

    Returns:
        What the contract's exclusions left out within the bounds.
    """
    tally = Tally(reader.contract)
    wanted = Slice(content=True, bounded=False)

    def excluded(name: str, rows: pl.DataFrame) -> None:
        tally.left_out(name, rows.filter(_within(reader, pl.col("__event"))))

    _looked(reader, wanted, charges.attached(reader).frames(wanted, excluded, progress), spool)
    return tally


def inside(reader: Reader) -> pl.Expr:
    """Whether a row lies within the run's bounds; so does one whose time is not known.

    Without event time a row of the destination is of the run in whose windows it was processed, if that is credible.
    """
    if reader.event is None and reader.contract.clock is not None:
        return _within(reader, pl.when(pl.col("__processed") < reader.horizon).then(pl.col("__processed")))
    return _within(reader, pl.col("__event"))


#: Whether a row is an item within the run's bounds, and of a closed batch: as far as its side tells.
_WITHIN, _CLOSED = "__within", "__closed"


def asked_of(reader: Reader, frame: pl.DataFrame, case: Case) -> tuple[pl.DataFrame, pl.Series]:
    """Return the rows of a marked frame that may have to be asked about, for :func:`answerable`; and which these are.

    Of a contract with revisions these are all: which of them count is known only when all have been seen.
    """
    open_ = frame.select(BATCH).unique()
    open_ = open_.with_columns((~is_open(open_[BATCH], case)).alias(_CLOSED))
    placed = frame.join(open_, on=BATCH, how="left", nulls_equal=True, maintain_order="left")
    within = inside(reader)
    if ANNOUNCED in frame.columns:  # such a row is no item
        within &= pl.col(ANNOUNCED).is_null()
    rows = timed(reader, placed).with_columns(within.alias(_WITHIN))
    keep = rows.select(pl.lit(reader.contract.latest_by is not None) | (pl.col(_WITHIN) & pl.col(_CLOSED))).to_series()
    others = [name for name in frame.columns if name not in reader.bare and name != MARK]
    return rows.filter(keep).drop(others), keep


def answerable(reader: Reader, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the items that have to be asked about, of rows of which all of the same identities are there."""
    contract = reader.contract
    if contract.latest_by is not None and rows.height:
        among = ["__identity", _WITHIN] if contract.carried else ["__identity"]
        rows = rows.filter(newest(contract.columns.get(contract.latest_by), rows, among))
    return rows.filter(_WITHIN, _CLOSED).drop(_WITHIN, _CLOSED)


def _within(reader: Reader, time: pl.Expr) -> pl.Expr:
    within = pl.lit(True)
    if reader.since is not None:
        within &= (time >= reader.since).fill_null(True)
    if reader.until is not None:
        within &= (time < reader.until).fill_null(True)
    return within


def _looked(reader: Reader, wanted: Slice, frames: Generator[pl.DataFrame, None, None], spool: Spool) -> pl.DataFrame:
    """Keep what was looked up, marked by whether it is inside the run's bounds; return how many rows each key has."""
    spool.add(timed(reader, reader.blank(wanted)).with_columns(pl.lit(True).alias("__inside")))
    counts = [pl.DataFrame(schema={KEY: pl.UInt64, "found": pl.UInt32})]
    with closing(frames):
        for frame in frames:
            spool.add(timed(reader, frame).with_columns(inside(reader).alias("__inside")))
            counts.append(frame.group_by(KEY).len("found").cast({"found": pl.UInt32}))
    return pl.concat(counts).group_by(KEY).agg(pl.col("found").sum())
