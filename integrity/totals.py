"""What are the control totals of these items, batch by batch?

A :class:`Tally` adds up frames of items as they stream by; what it finishes is a :class:`ControlTotals`: for every
batch the record count, the exact sum of each amount and the hash total (two 64-bit words of each fingerprint, each
summed modulo 2**64), besides what was left out, what was invalid, and how long things took. Totals of parts add up to
the totals of the whole, to the last bit. Nothing here knows where the items came from, or that there is another side.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Protocol

import numpy as np
import polars as pl
import pyarrow as pa

from integrity.canonical import ENCODING_VERSION
from integrity.columns import ColumnType
from integrity.contracts import Contract
from integrity.errors import ContractError, StoreError, UsageError
from integrity.latency import FLAGS, bucket_of
from integrity.shown import Card, Shown, Table, counted
from integrity.values import moment

__all__ = [
    "BATCH",
    "COUNTS",
    "ControlTotals",
    "Tally",
    "add_frames",
    "scale_of",
    "scaled",
    "subtract",
    "subtract_histograms",
]

#: The start of a row's window, microseconds since the epoch; null in the untimed batch.
BATCH = "__batch"
#: So many batches are shown.
_SHOWN = 50
#: Counted for each batch. ``unproven`` lack a declared digest; the last five are said of a destination's clock.
COUNTS = ("records", "invalid", "unproven", "excluded", "superseded", "on_time", "late", "over", "skewed", "unmeasured")
_HASHES = ("hash_0", "hash_1")
_LIMB = 18  # decimal digits of an amount that are summed together, exactly, in 128 bits


@dataclass(frozen=True, eq=False)
class ControlTotals(Shown):
    """The control totals of one side of a contract.

    They add (``a + b``) when they are of the same contract and side, and compare (``a == b``) by contract, encoding
    version, record counts, amounts and hash totals, batch by batch.

    Attributes:
        contract: The contract's name.
        contract_version: Its version.
        contract_sha256: The SHA-256 of its parsed form.
        side: ``"source"`` or ``"destination"``.
        partition: The contract's partition columns.
        amounts: The contract's amount columns.
        read_at: When reading began (UTC); of a sum, the earliest.
        location: Where the items were; no password.
        as_of: The moment, in microseconds since the epoch, against which future event times were told.
        exclusions: How many items each exclusion left out, by name.
        frame: A Polars row a batch: the partition, ``__batch`` (Int64 microseconds or null), ``COUNTS``, ``hash_0`` and
            ``hash_1`` (UInt64), ``latency_max`` (microseconds), ``repeats`` (whether an identity is there twice; null
            is unknown, as after adding two passes over one batch) and ``amount.<name>`` (base 10 text of the unscaled
            sum).
        histogram: A Polars row a batch and latency bucket.
        bucketed: Whether ``__batch`` is not a time but the first octet of the SHA-256 of the identity: so it is where
            only the source tells the event time, and both sides have to be totalled alike.

    Example:
        >>> import integrity, polars as pl
        >>> contract = integrity.Contract(name="notes", version=1, identity=["id"], content={"body": "text"})
        >>> one = integrity.measure(contract, pl.DataFrame({"id": ["1"], "body": ["a"]}), side="source")
        >>> two = integrity.measure(contract, pl.DataFrame({"id": ["2"], "body": ["b"]}), side="source")
        >>> both = integrity.measure(contract, pl.DataFrame({"id": ["2", "1"], "body": ["b", "a"]}), side="source")
        >>> one + two == both, one == two
        (True, False)
    """

    contract: str
    contract_version: int
    contract_sha256: str
    side: str
    partition: tuple[str, ...]
    amounts: tuple[str, ...]
    read_at: dt.datetime
    location: str
    as_of: int
    frame: pl.DataFrame
    histogram: pl.DataFrame
    exclusions: dict[str, int] = field(default_factory=dict)
    encoding: int = ENCODING_VERSION
    since: int | None = None
    until: int | None = None
    bucketed: bool = False

    __hash__ = None  # type: ignore[assignment]

    def card(self) -> Card:
        """Return what it shows of itself: how much of what was read when, and its first batches."""
        shown = self.frame.sort(BATCH, nulls_last=True).head(_SHOWN)
        start = "bucket" if self.bucketed else "batch start (UTC)"
        # How many decimals an amount has is known to its contract, and not here.
        header = (*self.partition, start, "records", "hash total", *(f"{name} (unscaled)" for name in self.amounts))
        rows = [
            (
                *(row[name] for name in self.partition),
                row[BATCH] if self.bucketed or row[BATCH] is None else moment(row[BATCH]).replace(tzinfo=None),
                f"{row['records']:,}",
                f"sum128:{row['hash_0']:016x}{row['hash_1']:016x}",
                *(row[f"amount.{name}"] for name in self.amounts),
            )
            for row in shown.to_dicts()
        ]
        first = f", the first {_SHOWN}" if self.frame.height > _SHOWN else ""
        facts = [
            ("read", f"{self.read_at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"),
            ("records", f"{self.records:,}"),
            *((f"left out: {name}", f"{count:,}") for name, count in self.exclusions.items()),
        ]
        title = f"control totals of {self.contract} version {self.contract_version}, {self.side} {self.location}"
        return Card(title, facts, [Table(f"{counted(self.frame.height, 'batch', 'batches')}{first}", header, rows)])

    @property
    def records(self) -> int:
        """The number of items in all batches."""
        return int(self.frame["records"].sum())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ControlTotals):
            return NotImplemented
        if (self.contract_sha256, self.encoding) != (other.contract_sha256, other.encoding):
            return False
        return self._compared().equals(other._compared())

    def _compared(self) -> pl.DataFrame:
        keys = [*self.partition, BATCH]
        sums = ["records", *_HASHES, *(f"amount.{name}" for name in self.amounts)]
        return self.frame.filter(pl.col("records") > 0).select(*keys, *sums).sort(keys)

    def __add__(self, other: ControlTotals) -> ControlTotals:
        """Add two parts of one side.

        Raises:
            ContractError: they are of different contracts or encodings.
            UsageError: they are of different sides.
        """
        if not isinstance(other, ControlTotals):
            return NotImplemented
        if (self.contract_sha256, self.encoding) != (other.contract_sha256, other.encoding):
            raise ContractError(
                f"totals of contract {self.contract!r} ({self.contract_sha256[:12]}) and of {other.contract!r} "
                f"({other.contract_sha256[:12]}) do not add up",
                "measure both under the same contract",
            )
        if self.side != other.side:
            raise UsageError(f"totals of a {self.side} and of a {other.side} do not add up", "compare them with ==")
        keys = [*self.partition, BATCH]
        return replace(
            self,
            read_at=min(self.read_at, other.read_at),
            location=self.location if self.location == other.location else f"{self.location} + {other.location}",
            as_of=min(self.as_of, other.as_of),
            frame=add_frames([self.frame, other.frame], keys).sort(keys),
            histogram=_add_histograms([self.histogram, other.histogram], keys),
            exclusions=dict(Counter(self.exclusions) + Counter(other.exclusions)),
            since=None if self.since is None or other.since is None else min(self.since, other.since),
            until=None if self.until is None or other.until is None else max(self.until, other.until),
        )

    def to_arrow(self) -> pa.Table:
        """Return the totals as an Arrow table: a row a batch, its histogram as a list, everything else as metadata."""
        keys = [*self.partition, BATCH]
        nested = self.histogram.group_by(keys).agg(
            pl.struct("__bucket", "__count").sort_by("__bucket").alias("latency")
        )
        frame = self.frame.join(nested, on=keys, how="left", nulls_equal=True)
        if not self.bucketed:
            frame = frame.with_columns(pl.col(BATCH).cast(pl.Datetime("us", "UTC")))
        about = {
            name: getattr(self, name)
            for name in (
                "contract",
                "contract_version",
                "contract_sha256",
                "side",
                "location",
                "as_of",
                "encoding",
                "bucketed",
            )
        }
        about |= {"partition": list(self.partition), "amounts": list(self.amounts), "exclusions": self.exclusions}
        about |= {"read_at": self.read_at.isoformat(), "since": self.since, "until": self.until}
        return frame.to_arrow().replace_schema_metadata({"integrity.totals/1": json.dumps(about, ensure_ascii=False)})

    @classmethod
    def from_arrow(cls, table: pa.Table) -> ControlTotals:
        """Read totals back from what :meth:`to_arrow` gave.

        Raises:
            StoreError: the table was not written by :meth:`to_arrow`.
        """
        raw = (table.schema.metadata or {}).get(b"integrity.totals/1")
        if raw is None:
            raise StoreError("this Arrow table holds no control totals", "write them with ControlTotals.to_arrow()")
        about: dict[str, Any] = json.loads(raw)
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        frame = frame.with_columns(pl.col(BATCH).to_physical())
        keys = [*about["partition"], BATCH]
        nested = frame.select(*keys, "latency").filter(pl.col("latency").list.len() > 0)
        histogram = (
            nested.explode("latency", empty_as_null=True).unnest("latency")
            if nested.height
            else _no_histogram(keys, frame)
        )
        about |= {"partition": tuple(about["partition"]), "amounts": tuple(about["amounts"])}
        about["read_at"] = dt.datetime.fromisoformat(about["read_at"])
        return cls(frame=frame.drop("latency"), histogram=histogram, **about)

    def __repr__(self) -> str:
        return (
            f"<ControlTotals of {self.contract!r} version {self.contract_version}, {self.side} {self.location}: "
            f"{counted(self.records, 'record')} in {counted(self.frame.height, 'batch', 'batches')}>"
        )


def _no_histogram(keys: Sequence[str], like: pl.DataFrame) -> pl.DataFrame:
    return (
        like.select(keys)
        .clear()
        .with_columns(pl.lit(None, pl.Int64).alias("__bucket"), pl.lit(None, pl.UInt64).alias("__count"))
    )


def add_frames(frames: Sequence[pl.DataFrame], keys: Sequence[str]) -> pl.DataFrame:
    """Add the rows of finished totals that are of one batch.

    Counts and hash totals add (the latter modulo 2**64), amounts add exactly, maxima are taken, and whether an identity
    repeats is unknown as soon as two passes saw the same batch.
    """
    every = pl.concat(frames, how="vertical")
    amounts = [name for name in every.columns if name.startswith("amount.")]
    added = every.group_by(keys, maintain_order=True).agg(
        pl.col(*COUNTS, *_HASHES).sum(),
        pl.col("latency_max").max(),
        pl.when(pl.len() == 1).then(pl.col("repeats").first()).alias("repeats"),
        *amounts,
    )
    return added.with_columns(_exact_sums(added[name]) for name in amounts).select(every.columns)


def subtract(whole: pl.DataFrame, part: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Take some rows' totals out of the totals of all rows: the inverse of adding.

    A maximum cannot be taken back: where the part held it, that of the rest is unknown, and null.
    """
    both = whole.join(part, on=keys, how="left", nulls_equal=True, suffix=":part")
    amounts = [name for name in whole.columns if name.startswith("amount.")]
    peak, part_peak = pl.col("latency_max"), pl.col("latency_max:part")
    rest = both.with_columns(
        *(
            pl.col(name) - pl.col(f"{name}:part").fill_null(0) for name in (*COUNTS, *_HASHES)
        ),  # words wrap, as they add
        pl.when(~(part_peak >= peak).fill_null(False)).then(peak).alias("latency_max"),
        *(
            pl.Series(
                name, [str(int(a) - int(b or 0)) for a, b in both.select(name, f"{name}:part").iter_rows()], pl.String
            )
            for name in amounts
        ),
    )
    return rest.select(whole.columns)


def subtract_histograms(whole: pl.DataFrame, part: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Take some rows' latencies out of a histogram."""
    both = whole.join(part, on=[*keys, "__bucket"], how="left", nulls_equal=True, suffix=":part")
    rest = both.with_columns(pl.col("__count").cast(pl.Int64) - pl.col("__count:part").fill_null(0).cast(pl.Int64))
    return rest.filter(pl.col("__count") > 0).with_columns(pl.col("__count").cast(pl.UInt64)).select(whole.columns)


def _exact_sums(lists: pl.Series) -> pl.Series:
    return pl.Series(lists.name, [str(sum(map(int, texts))) for texts in lists.to_list()], dtype=pl.String)


def _add_histograms(histograms: Sequence[pl.DataFrame], keys: Sequence[str]) -> pl.DataFrame:
    return (
        pl.concat(histograms, how="vertical")
        .group_by([*keys, "__bucket"], maintain_order=True)
        .agg(pl.col("__count").sum())
    )


def _counts(flags: dict[str, pl.Expr]) -> list[pl.Expr]:
    return [flag.sum().cast(pl.Int64).alias(name) for name, flag in flags.items()]


class Keeper(Protocol):
    """Keeps rows."""

    def add(self, rows: pl.DataFrame) -> None:
        """Keep some."""
        ...


class Tally:
    """Adds up frames of items, as :class:`integrity.items.Reader` yields them, in memory bounded by the number of
    batches.

    Args:
        contract: Whose amounts and partition are summed.
        compact_at: After how many partial rows they are merged.
        sealer: Keeps the fingerprints of what is added, where the contract is sealed.
    """

    def __init__(self, contract: Contract, compact_at: int = 200_000, sealer: Keeper | None = None) -> None:
        self._contract = contract
        self._keys = [*contract.partition, BATCH]
        self._compact_at = compact_at
        self._partial: list[pl.DataFrame] = []
        self._buckets: list[pl.DataFrame] = []
        self.exclusions: Counter[str] = Counter()
        self.sealer = sealer

    def add(self, frame: pl.DataFrame) -> None:
        """Add items."""
        if self.sealer is not None:
            self.sealer.add(frame)
        limbs = [limb for name in self._contract.amounts for limb in self._limbs(name, frame)]
        sums = [pl.col("__w0").sum().alias("hash_0"), pl.col("__w1").sum().alias("hash_1")]
        sums += [pl.col(limb.name).sum() for limb in limbs]
        flags = {"invalid": pl.col("__invalid").is_not_null(), "unproven": pl.col("__unproven")}
        self._keep(
            frame.with_columns(limbs)
            .group_by(self._keys)
            .agg(pl.len().cast(pl.Int64).alias("records"), *_counts(flags), *sums)
        )

    def add_times(self, frame: pl.DataFrame) -> None:
        """Add what :func:`integrity.latency.with_latency` says of items that arrived."""
        flags = {flag.removeprefix("__"): pl.col(flag) for flag in FLAGS}
        peak = pl.col("__latency").max().alias("latency_max")
        self._keep(frame.group_by(self._keys).agg(*_counts(flags), peak))
        measured = frame.filter(pl.col("__latency").is_not_null()).select(*self._keys, "__latency")
        if measured.height:
            buckets = pl.Series("__bucket", bucket_of(measured["__latency"].to_numpy()))
            counted = measured.with_columns(buckets).group_by([*self._keys, "__bucket"])
            self._buckets.append(counted.agg(pl.len().cast(pl.UInt64).alias("__count")))

    def left_out(self, name: str, rows: pl.DataFrame) -> None:
        """Count rows that an exclusion left out, by their batch."""
        self.exclusions[name] += rows.height
        self._keep(rows.group_by(self._keys).agg(pl.len().cast(pl.Int64).alias("excluded")))

    def supersede(self, rows: pl.DataFrame) -> None:
        """Count rows that a newer revision of the same identity superseded, by their batch."""
        self._keep(rows.group_by(self._keys).agg(pl.len().cast(pl.Int64).alias("superseded")))

    def _keep(self, partial: pl.DataFrame) -> None:
        self._partial.append(partial)
        if sum(frame.height for frame in self._partial) > self._compact_at:
            self._partial = [self._merged()]
            self._compact_at = max(self._compact_at, 2 * self._partial[0].height)
        if sum(frame.height for frame in self._buckets) > 4 * self._compact_at:
            self._buckets = [_add_histograms(self._buckets, self._keys)]

    def _merged(self) -> pl.DataFrame:
        every = pl.concat(self._partial, how="diagonal")
        maxima = [pl.col("latency_max").max()] if "latency_max" in every.columns else []
        sums = pl.exclude(*self._keys, "latency_max").sum()
        return every.group_by(self._keys, maintain_order=True).agg(sums, *maxima)

    def _limbs(self, name: str, frame: pl.DataFrame) -> list[pl.Series]:
        """An amount as signed limbs of 18 digits, whose 128-bit sums cannot overflow; the unreadable count nothing."""
        text = frame[f"__a.{name}"]
        readable = text.set((text.str.starts_with("\x1a")).fill_null(False), None)
        longest = readable.str.len_bytes().max()
        width = longest if isinstance(longest, int) else 0
        if width <= _LIMB:
            return [readable.str.to_integer(dtype=pl.Int128).fill_null(0).alias(f"__s.{name}.0")]
        digits, sign = readable.str.strip_prefix("-"), np.where(readable.str.starts_with("-").fill_null(False), -1, 1)
        size = digits.str.len_bytes().cast(pl.Int64)
        limbs = []
        for i in range(-(-width // _LIMB)):
            end = (size - i * _LIMB).clip(0)
            start = (end - _LIMB).clip(0)
            part = pl.DataFrame({"d": digits, "s": start, "n": end - start}).select(
                pl.col("d").str.slice("s", pl.col("n"))
            )
            value = part.to_series().replace("", "0").str.to_integer(dtype=pl.Int128).fill_null(0)
            limbs.append((value * pl.Series(sign).cast(pl.Int128)).alias(f"__s.{name}.{i}"))
        return limbs

    def finish(self, repeats: pl.DataFrame | None) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the frame and the histogram of a :class:`ControlTotals`.

        Args:
            repeats: The batches in which an identity repeats; ``None`` where nobody looked.
        """
        keys = self._keys
        schema = {**dict.fromkeys(self._contract.partition, pl.String), BATCH: pl.Int64}
        merged = self._merged() if self._partial else pl.DataFrame(schema=schema)
        have = set(merged.columns)
        counts = [(pl.col(c) if c in have else pl.lit(0)).cast(pl.Int64).fill_null(0).alias(c) for c in COUNTS]
        hashes = [(pl.col(h) if h in have else pl.lit(0)).cast(pl.UInt64).fill_null(0).alias(h) for h in _HASHES]
        peak = (pl.col("latency_max") if "latency_max" in have else pl.lit(None)).cast(pl.Int64).alias("latency_max")
        amounts = [self._sums(merged, name) for name in self._contract.amounts]
        frame = merged.select(*keys, *counts, *hashes, peak).with_columns(amounts)
        if repeats is None:
            frame = frame.with_columns(pl.lit(None, pl.Boolean).alias("repeats"))
        else:
            seen = repeats.select(keys).unique().with_columns(pl.lit(True).alias("repeats"))
            frame = frame.join(seen, on=keys, how="left", nulls_equal=True).with_columns(
                pl.col("repeats").fill_null(False)
            )
        frame = frame.sort(keys)
        histogram = _add_histograms(self._buckets, keys) if self._buckets else _no_histogram(keys, frame)
        return frame, histogram

    def _sums(self, merged: pl.DataFrame, name: str) -> pl.Series:
        prefix = f"__s.{name}."
        limbs = sorted(
            (
                (int(column.removeprefix(prefix)), merged[column])
                for column in merged.columns
                if column.startswith(prefix)
            ),
            key=lambda limb: limb[0],
        )
        totals = [0] * merged.height
        for i, limb in limbs:
            weight = 10 ** (_LIMB * i)
            totals = [total + weight * (value or 0) for total, value in zip(totals, limb.to_list(), strict=True)]
        return pl.Series(f"amount.{name}", [str(total) for total in totals], dtype=pl.String)


def scale_of(contract: Contract, amount: str) -> int:
    """Decimal places of an amount's unscaled sums."""
    column = contract.columns[amount]
    return (column.scale or 0) if column.type is ColumnType.DECIMAL else 0


def scaled(unscaled: int, scale: int) -> Decimal:
    """Return an exact decimal of any length; arithmetic would round it to the context's precision."""
    return Decimal(f"{unscaled}E-{scale}")
