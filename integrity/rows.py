"""What is each row of one record batch, in the contract's words?

A :class:`Chunk` reads every value canonically, gives each row its batch, leaves out what the contract excludes, hashes
the rest, and says what is wrong with it. What it makes has the identity columns under their own names and everything of
the engine under names that begin with ``__``, which no contract can use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import polars_hash as plh
import pyarrow as pa

from integrity import canonical
from integrity.canonical import Values
from integrity.columns import Column, ColumnType
from integrity.seals import words
from integrity.sides import Side
from integrity.spool import KEY, Sieve
from integrity.totals import BATCH

__all__ = ["ANNOUNCED", "CHANGED", "CONTENT", "DEFECTS", "DETAIL", "EVENT", "REJECTED", "RUNG", "VIA", "Chunk", "Slice"]

#: Prefix of the content columns' canonical values.
CONTENT = "__c."
#: Prefix of the ladder's columns that are not content, and of the columns that say what of a content column differs.
RUNG, DETAIL = "__r.", "__t."
#: The event time's canonical value (its instant is null where it could not be read; its text is not).
EVENT = "__event_text"
_TEXT = Column(type=ColumnType.TEXT)
#: Where a chunk keeps what the store says is wrong with its rows: no contract can name a column so.
DEFECTS = "__defects"
#: By which way an item came to its place, where a store says so.
VIA = "__via"
#: Since when an item of this identity is on its way; such a row is no item.
ANNOUNCED = "__announced"
#: What the destination says of who changed a row, of what, and when.
CHANGED = ("__by", "__of", "__when")
#: How what the source itself turned away is called among what is left out, before its reason.
REJECTED = "rejected: "
_MOMENT = Column(type=ColumnType.TIMESTAMP)


@dataclass(frozen=True, slots=True)
class Slice:
    """Which rows a pass is about.

    Attributes:
        batches: Only these batches (a frame of the batch columns); ``None`` is all.
        keys: Only identities in this sieve.
        content: Whether the content columns' values are wanted, too.
        bounded: Whether ``since`` and ``until`` hold (the look before a break is written goes without).
    """

    batches: pl.DataFrame | None = None
    keys: Sieve | None = None
    content: bool = False
    bounded: bool = True


@dataclass
class Chunk:
    """One record batch on its way to a frame; columns are read when first needed, on the rows that are left."""

    side: Side
    arrays: dict[str, pa.Array[Any]]
    types: dict[str, Column]
    _read: dict[str, Values] = field(default_factory=dict)

    def values(self, name: str) -> Values:
        if name not in self._read:
            self._read[name] = canonical.read(self.arrays[name], self.types[name], self.side.zone)
        return self._read[name]

    def keep(self, mask: pl.Series) -> None:
        if mask.all():
            return
        arrow_mask = mask.to_arrow()
        self.arrays = {name: array.filter(arrow_mask) for name, array in self.arrays.items()}
        self._read = {
            name: Values(
                v.text.filter(mask),
                None if v.unreadable is None else v.unreadable.filter(mask),
                None if v.instants is None else v.instants.filter(mask),
            )
            for name, v in self._read.items()
        }

    @property
    def height(self) -> int:
        return len(next(iter(self.arrays.values())))

    def frame(self, wanted: Slice, excluded: Callable[[str, pl.DataFrame], None] | None) -> pl.DataFrame | None:
        return self.whole(wanted) if self._narrowed(wanted, excluded) else None

    def _narrowed(self, wanted: Slice, excluded: Callable[[str, pl.DataFrame], None] | None) -> bool:
        """Keep the rows that a pass is about, less what the contract leaves out; tell whether any is left."""
        if wanted.bounded:
            self._bound()
        if wanted.keys is not None:
            self.keep(wanted.keys.holds(self._key()))
        if wanted.batches is not None and self.height:
            placed = self.placed().with_row_index("__row")
            mine = placed.join(wanted.batches, on=self.side.batch_columns, how="semi", nulls_equal=True)["__row"]
            self.keep(pl.Series([False]).new_from_index(0, self.height).scatter(mine, True))
        if self.height:
            self._exclude(excluded)
        if self.height:
            self._reject(excluded)
        return self.height > 0

    def whole(self, wanted: Slice) -> pl.DataFrame:
        """The frame of all rows that are left."""
        contract = self.side.contract
        series = [self.values(name).text.alias(name) for name in contract.identity]
        series += self.placed().get_columns()[len(contract.partition) :]
        series += [self._key().alias(KEY), *self._fingerprint(), *self._times(), self._invalid(), self._unproven()]
        series += [self.values(name).text.alias(f"__a.{name}") for name in contract.amounts]
        if contract.latest_by is not None:
            told = contract.latest_by in self.types  # else what there is, is the newest
            revision = self.values(contract.latest_by).text if told else _nothing(self.height)
            series.append(revision.alias("__revision"))
        if contract.latest_by is not None or wanted.content:
            series.append(canonical.encode([self.values(name).text for name in contract.identity]).alias("__identity"))
        if wanted.content:
            if contract.clock is not None and contract.clock.carried:
                series.append(self.values(contract.clock.event.name).text.alias(EVENT))
            series += [self.values(name).text.alias(CONTENT + name) for name in contract.content]
            series += [
                self.values(r.column).text.alias(RUNG + r.column)
                for r in contract.ladder
                if r.column not in contract.content
            ]
            ways, since = self.arrays.get(VIA), self.arrays.get(ANNOUNCED)
            series.append((_nothing(self.height) if ways is None else canonical.read(ways, _TEXT).text).alias(VIA))
            moments = None if since is None else canonical.read(since, _MOMENT).instants
            series.append((_nothing(self.height).cast(pl.Int64) if moments is None else moments).alias(ANNOUNCED))
            details = [column.detail for column in contract.content.values() if column.detail is not None]
            series += [self.values(name).text.alias(DETAIL + name) for name in dict.fromkeys(details)]
            series += self._changed()
        return pl.DataFrame(series)

    def _changed(self) -> list[pl.Series]:
        """Who changed each row, of what and when, where the contract wants changes to be approved."""
        corrections = self.side.contract.corrections
        if corrections is None or self.side.role == "source":
            return []
        by, of, when = CHANGED
        if corrections.at is not None:
            moment = self.values(corrections.at).instants
        else:
            clock = self.side.contract.clock
            assert clock is not None
            assert clock.processed is not None
            told = clock.processed.name in self.types
            moment = self.values(clock.processed.name).instants if told else None
        return [
            self.values(corrections.actor).text.alias(by),
            self.values(corrections.object).text.alias(of),
            (_nothing(self.height).cast(pl.Int64) if moment is None else moment).alias(when),
        ]

    # --- which batch -------------------------------------------------------------------------------------------------

    def _event(self) -> pl.Series:
        event = self.side.event
        if event is None:
            return pl.Series([None], dtype=pl.Int64).new_from_index(0, self.height)
        instants = self.values(event.name).instants
        assert instants is not None
        return instants

    def _future(self) -> pl.Series:
        return (self._event() >= self.side.horizon).fill_null(False)

    def _bound(self) -> None:
        since, until = self.side.since, self.side.until
        event = self._event()
        if since is not None:
            self.keep((event >= since).fill_null(True))
            event = self._event()
        if until is not None:
            self.keep((event < until).fill_null(True))

    def placed(self) -> pl.DataFrame:
        """The batch of each row: the partition, and the start of its window."""
        contract = self.side.contract
        event = self._event()
        if contract.window is not None:
            event = event.set(self._future(), None) if self._future().any() else event
            starts = contract.window.starts(event)
        else:
            starts = event
        return pl.DataFrame([*(self.values(n).text.alias(n) for n in contract.partition), starts.alias(BATCH)])

    def _exclude(self, excluded: Callable[[str, pl.DataFrame], None] | None) -> None:
        for exclusion in self.side.exclusions:
            out = pl.Series([True]).new_from_index(0, self.height)
            for name, allowed in exclusion.where.items():
                out &= self._is_one_of(name, allowed)
            if out.any():
                if excluded is not None:
                    excluded(exclusion.name, self.placed().with_columns(self._event().alias("__event")).filter(out))
                self.keep(~out)
            if not self.height:
                return

    def _reject(self, excluded: Callable[[str, pl.DataFrame], None] | None) -> None:
        """Leave out the attempts that the source itself turned away, by reason."""
        attempts = self.side.contract.attempts
        if attempts is None or self.side.role != "source":
            return
        out = self._is_one_of(attempts.outcome, attempts.rejected)
        if not out.any():
            return
        if excluded is not None:
            why = self.values(attempts.reason or attempts.outcome).text.fill_null("no reason given")
            placed = self.placed().with_columns(self._event().alias("__event"), why.alias("__why")).filter(out)
            for (reason,), rows in placed.group_by("__why"):
                excluded(f"{REJECTED}{reason}", rows.drop("__why"))
        self.keep(~out)

    def _is_one_of(self, name: str, allowed: Sequence[object]) -> pl.Series:
        wanted = pl.Series(self.side.allowed(name, allowed), dtype=pl.String)
        return self.values(name).text.is_in(wanted.implode(), nulls_equal=True)

    # --- what each row is
    # ----------------------------------------------------------------------------------------------

    def _key(self) -> pl.Series:
        names = list(self.side.contract.identity)
        return (
            pl.DataFrame([self.values(name).text.alias(name) for name in names])
            .select(pl.struct(names).hash(seed=0))
            .to_series()
        )

    def _fingerprint(self) -> list[pl.Series]:
        contract = self.side.contract
        texts = [self.values(name).text for name in contract.identity]
        if contract.clock is not None and contract.clock.carried:
            texts.append(self.values(contract.clock.event.name).text)
        texts += [self.values(name).text for name in contract.content]
        frame = pl.DataFrame([canonical.encode(texts).alias("t")]).select(plh.col("t").chash.sha2_256().alias("h"))
        parts = [
            pl.col("h").str.slice(i * 16, 16).str.to_integer(base=16, dtype=pl.UInt64).alias(word)
            for i, word in enumerate(words(contract))
        ]
        return frame.select(parts).get_columns()

    def _times(self) -> list[pl.Series]:
        contract = self.side.contract
        processed = contract.clock.processed if contract.clock is not None else None
        series = [self._event().alias("__event"), self._future().alias("__future")]
        for name, column in (("__processed", processed), ("__changed", contract.changes)):
            instants = self.values(column.name).instants if column and column.name in self.types else None
            if instants is None:
                instants = pl.Series([None], dtype=pl.Int64).new_from_index(0, self.height)
            series.append(instants.alias(name))
        return series

    def _invalid(self) -> pl.Series:
        """Why each item breaks a declared rule, or null."""
        contract = self.side.contract
        reasons: list[pl.Expr] = []
        flags: list[pl.Series] = []

        def say(flag: pl.Series, reason: str) -> None:
            if flag.any():
                flags.append(flag.alias(f"f{len(flags)}"))
                reasons.append(pl.when(pl.col(flags[-1].name)).then(pl.lit(reason)))

        for name in contract.identity:
            say(self.values(name).text.is_null(), f"no {name}")
        for name, column in self.types.items():
            unreadable = self.values(name).unreadable
            if unreadable is not None:
                hint = ""
                if column.type is ColumnType.TIMESTAMP and self.side.zone is None:
                    hint = " (a time without a zone needs timezone=)"
                say(unreadable, f"{name} does not read as {column.type.value}{hint}")
        if (event := self.side.event) is not None:
            say(self.values(event.name).text.is_null(), f"no {event.name}")
            if not self.side.timely:  # else it is said as a skewed clock
                say(self._future(), f"{event.name} is from the future")
        if (attempts := contract.attempts) is not None and self.side.role == "source":
            known = self._is_one_of(attempts.outcome, attempts.accepted)  # what was rejected is gone by now
            say(~known, f"its {attempts.outcome} is neither accepted nor rejected")
        if (said := self._defects()) is not None:
            flags.append(said.alias(f"f{len(flags)}"))
            reasons.append(pl.col(flags[-1].name))
        if not reasons:
            return pl.Series("__invalid", [None], dtype=pl.String).new_from_index(0, self.height)
        frame = pl.DataFrame(flags)
        return (
            frame.select(pl.concat_str(reasons, separator="; ", ignore_nulls=True).replace("", None))
            .to_series()
            .alias("__invalid")
        )

    def _defects(self) -> pl.Series | None:
        """What the store itself finds wrong with each item; ``None`` where it finds nothing."""
        said = self.arrays.get(DEFECTS)
        if said is None or said.null_count == len(said):
            return None
        return canonical.read(said, _TEXT).text

    def _unproven(self) -> pl.Series:
        """Whether a declared digest is missing, so that the content cannot be compared."""
        missing = pl.Series("__unproven", [False]).new_from_index(0, self.height)
        for name, column in self.side.contract.content.items():
            if column.evidence:
                missing |= self.values(name).text.is_null()
        return missing.alias("__unproven")


def _nothing(height: int) -> pl.Series:
    return pl.Series([None], dtype=pl.String).new_from_index(0, height)
