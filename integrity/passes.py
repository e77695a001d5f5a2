"""How is one side read: for its totals, again for its differing batches, a last time for its differing items?

Each pass is a new reading of the store, streamed; what has to wait, waits in a spool. The three passes of one side,
and the same three of the other, are all that a reconciliation reads.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from integrity.items import Reader, Slice
from integrity.latency import FLAGS, with_latency
from integrity.spool import KEY, PREFIX_BITS, Sieve, Spool
from integrity.totals import BATCH, ControlTotals, Tally

__all__ = ["Measured", "fingerprints", "look", "measure", "newest"]

Progress = Callable[[int], None]


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
    """

    totals: ControlTotals
    remarks: Spool
    accounted: pl.DataFrame | None = None
    prefixes: npt.NDArray[np.uint64] | None = None
    flagged: Sieve = field(default_factory=Sieve)


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
    reader: Reader, remarks: Spool, *, outcomes: Sieve | None = None, progress: Progress | None = None
) -> Measured:
    """Read one side for its control totals.

    Args:
        reader: The side.
        remarks: Where the rows wait of which something has to be said.
        outcomes: Identities for which an outcome is accepted; batches that hold one are named.
        progress: Called with numbers of rows read.
    """
    contract = reader.contract
    read_at = dt.datetime.now(dt.UTC)
    tally, flagged = Tally(contract), Sieve()
    prefixes = np.zeros((1 << PREFIX_BITS, 2), dtype=np.uint64)
    looks = reader.role == "source" and contract.unique
    accounted: list[pl.DataFrame] = []
    remarks.add(_timed(reader, reader.blank(Slice())))
    with Spool() as waiting:
        repeats = _Repeats(reader.batch_columns, waiting)
        for frame in population(reader, Slice(), tally, progress):
            tally.add(frame)
            said = pl.col("__invalid").is_not_null()
            if "__latency" in frame.columns:
                tally.add_times(frame)
                said |= pl.col("__late") | pl.col("__skewed")
            remarks.add(frame.filter(said))
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
        frame, histogram = tally.finish(repeated)
    totals = ControlTotals(
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
        exclusions=dict(tally.exclusions),
        since=reader.since,
        until=reader.until,
    )
    return Measured(totals, remarks, pl.concat(accounted).unique() if accounted else None, prefixes, flagged)


def population(reader: Reader, wanted: Slice, tally: Tally, progress: Progress | None) -> Iterator[pl.DataFrame]:
    """Yield the items of a pass less what the contract excludes and what is superseded, which ``tally`` counts."""
    frames = reader.frames(wanted, tally.left_out, progress)
    frames = (_timed(reader, frame) for frame in frames)
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


def _timed(reader: Reader, frame: pl.DataFrame) -> pl.DataFrame:
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
    reader: Reader, batches: pl.DataFrame, spool: Spool, tally: Tally, progress: Progress | None = None
) -> None:
    """Read the rows of some batches again, as fingerprints only: what is needed to tell which identities differ."""
    amounts = [f"__a.{name}" for name in reader.contract.amounts]
    names = [KEY, *reader.batch_columns, "__w0", "__w1", *amounts, "__invalid", "__unproven"]
    # With revisions, the newest one may lie in another batch: then all batches have to be read again.
    wanted = Slice() if reader.contract.latest_by else Slice(batches=batches)
    spool.add(_fingerprint_columns(_timed(reader, reader.blank(wanted)), names))
    for frame in population(reader, wanted, tally, progress):
        if reader.contract.latest_by:
            frame = frame.join(batches, on=reader.batch_columns, how="semi", nulls_equal=True)
        spool.add(_fingerprint_columns(frame, names))


def _fingerprint_columns(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    return frame.select(names + (["__latency", *FLAGS] if "__latency" in frame.columns else []))


def look(reader: Reader, keys: Sieve, spool: Spool, progress: Progress | None = None) -> None:
    """Read the rows of some identities with all their columns, wherever in time they lie."""
    wanted = Slice(keys=keys, content=True, bounded=False)
    spool.add(_timed(reader, reader.blank(wanted)).with_columns(pl.lit(True).alias("__inside")))
    for frame in reader.frames(wanted, None, progress):
        event = pl.col("__event")
        inside = pl.lit(True)
        if reader.since is not None:
            inside &= (event >= reader.since).fill_null(True)
        if reader.until is not None:
            inside &= (event < reader.until).fill_null(True)
        spool.add(_timed(reader, frame).with_columns(inside.alias("__inside")))
