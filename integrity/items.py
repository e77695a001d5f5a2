"""What is each row of a store, in the contract's words?

A :class:`Reader` streams one side of a contract: it maps their column names to ours, reads every value canonically,
gives each row its batch, leaves out what the contract excludes, and hashes the rest. What it yields has the identity
columns under their own names and everything of the engine under names that begin with ``__``, which no contract can
use.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import polars as pl
import polars_hash as plh
import pyarrow as pa

from integrity import canonical
from integrity.canonical import Values
from integrity.columns import ClockColumn, Column, ColumnType
from integrity.contracts import Contract, Exclusion
from integrity.errors import StoreError, UsageError, did_you_mean
from integrity.spool import KEY, Sieve
from integrity.stores.base import DefectiveStore, Field, Pushed, SearchableStore, Span, Store, TypedStore
from integrity.totals import BATCH
from integrity.values import EPOCH, canonical_value

__all__ = ["CONTENT", "DETAIL", "EVENT", "RUNG", "Reader", "Role", "Slice", "letting_go", "micros", "moment"]

Role = Literal["source", "destination"]

#: Prefix of the content columns' canonical values.
CONTENT = "__c."
#: Prefix of the ladder's columns that are not content, and of the columns that say what of a content column differs.
RUNG, DETAIL = "__r.", "__t."
#: The event time's canonical value (its instant is null where it could not be read; its text is not).
EVENT = "__event_text"
_TEXT = Column(type=ColumnType.TEXT)
#: Where a chunk keeps what the store says is wrong with its rows: no contract can name a column so.
_DEFECTS = "__defects"


def micros(moment: dt.datetime) -> int:
    """Microseconds since the epoch of an aware datetime, exactly."""
    return (moment.astimezone(dt.UTC).replace(tzinfo=None) - EPOCH) // dt.timedelta(microseconds=1)


@contextlib.contextmanager
def letting_go(batches: Iterator[pa.RecordBatch]) -> Iterator[None]:
    """Close what a store yields as soon as nobody reads on, so that it lets go of its connection or file."""
    try:
        yield
    finally:
        close = getattr(batches, "close", None)
        if close is not None:
            close()


def moment(us: int) -> dt.datetime:
    """The aware UTC datetime of microseconds since the epoch."""
    return EPOCH.replace(tzinfo=dt.UTC) + dt.timedelta(microseconds=us)


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


@dataclass(frozen=True)
class Reader:
    """One side of a contract.

    Attributes:
        contract: What is promised.
        role: ``"source"`` or ``"destination"``.
        store: Where the rows are.
        mapping: Their column names to ours, for those that differ.
        zone: How naive timestamps of this side are to be read.
        as_of: Microseconds; later event times (plus the contract's skew) are from the future.
        since: First instant, microseconds; ``None`` is open.
        until: First instant no longer asked for.
        timely: Whether the destination's processed time is needed, or used only if it is there.
        pushed: How the store totals its own items; ``None`` where its rows are pulled.
        how: How it is read, and why so, in words.
        strict: Whether pulling instead is not wanted.
        searchable: Whether the store finds rows by their identity.
    """

    contract: Contract
    role: Role
    store: Store
    as_of: int
    mapping: Mapping[str, str] = field(default_factory=dict)
    zone: str | None = None
    since: int | None = None
    until: int | None = None
    timely: bool = False
    pushed: Pushed | None = None
    how: str = "pulled"
    strict: bool = False
    searchable: bool = False

    # --- the columns ---------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Refuse what cannot be read before anything is.

        Raises:
            StoreError: a column is missing, or of a type that never reads as declared.
            UsageError: the mapping names a column that neither side has.
        """
        held = list(self.store.columns())
        for theirs, ours in self.mapping.items():
            if theirs not in held:
                raise UsageError(
                    f"the {self.role} has no column {theirs!r} to map to {ours!r}", did_you_mean(theirs, held)
                )
            if ours not in self._known:
                raise UsageError(
                    f"contract {self.contract.name!r} has no column {ours!r}", did_you_mean(ours, self._known)
                )
        for ours in self.needed:
            theirs = self.theirs(ours)
            if theirs not in held and ours not in self.absent:
                advice = did_you_mean(theirs, [name for name in held if name not in self.mapping])
                if advice.startswith("did you mean"):
                    advice += f" then map it: columns={{{self.role!r}: {{...: {ours!r}}}}}"
                raise StoreError(f"no column {theirs!r} in {self.store.name}", advice)
        types = self.store.types() if isinstance(self.store, TypedStore) else {}
        for ours, column in self.needed.items():
            if ours not in self.absent and (type_ := types.get(self.theirs(ours))) is not None:
                canonical.check_readable(type_, column, self.theirs(ours), self.store.name, self.zone)

    @property
    def _known(self) -> set[str]:
        clock = self.contract.clock
        times = {c.name for c in (clock.event, clock.processed, clock.changed) if c} if clock else set()
        wheres = {name for exclusion in self.contract.exclude for name in exclusion.where}
        others = set(self._described)
        return set(self.contract.columns) | times | wheres | others

    @cached_property
    def _described(self) -> list[str]:
        """The columns that are not compared, but say of a pair how well it matches and where it does not."""
        rungs = [rung.column for rung in self.contract.ladder]
        details = [column.detail for column in self.contract.content.values() if column.detail is not None]
        return [name for name in dict.fromkeys([*rungs, *details]) if name not in self.contract.columns]

    @cached_property
    def absent(self) -> frozenset[str]:
        """Evidence that this side does not have at all: it reads as NULL, and nobody takes that for equal."""
        evidence = [name for name, column in self.contract.content.items() if column.evidence]
        held = set(self.store.columns())
        return frozenset(name for name in [*evidence, *self._described] if self.theirs(name) not in held)

    @property
    def event(self) -> ClockColumn | None:
        """The column of the event time; ``None`` where this side does not have it."""
        clock = self.contract.clock
        return clock.event if clock is not None and (clock.carried or self.role == "source") else None

    @cached_property
    def defects(self) -> str | None:
        """The column in which the store says, by its own name, what is wrong with an item."""
        return self.store.defects if isinstance(self.store, DefectiveStore) else None

    @cached_property
    def needed(self) -> dict[str, Column]:
        """Every column that this side must have, as ours, with its type."""
        columns = dict(self.contract.columns)
        clock = self.contract.clock
        if clock is not None:
            if self.event is not None:
                columns.setdefault(self.event.name, Column(type=ColumnType.TIMESTAMP, unit=self.event.unit))
            if clock.changed is not None and (self.role == "source" or self.contract.latest_by == clock.changed.name):
                columns.setdefault(clock.changed.name, Column(type=ColumnType.TIMESTAMP, unit=clock.changed.unit))
            if clock.processed is not None and self.role == "destination" and (self.timely or self.has_processed):
                columns.setdefault(clock.processed.name, Column(type=ColumnType.TIMESTAMP, unit=clock.processed.unit))
        for exclusion in self.exclusions:
            for name in exclusion.where:
                columns.setdefault(name, _TEXT)
        for name in self._described:
            columns.setdefault(name, _TEXT)
        return columns

    @cached_property
    def has_processed(self) -> bool:
        """Whether the destination says when it processed an item."""
        clock = self.contract.clock
        if clock is None or clock.processed is None or self.role == "source":
            return False
        return self.theirs(clock.processed.name) in self.store.columns()

    @cached_property
    def exclusions(self) -> tuple[Exclusion, ...]:
        return tuple(e for e in self.contract.exclude if e.side in (self.role, "both"))

    def theirs(self, ours: str) -> str:
        return next((theirs for theirs, mapped in self.mapping.items() if mapped == ours), ours)

    @property
    def batch_columns(self) -> list[str]:
        """The columns that say which batch a row is of: the partition, then the window."""
        return [*self.contract.partition, BATCH]

    def field(self, name: str) -> Field:
        """One of the needed columns, as the store has it."""
        return Field(self.theirs(name), self.needed[name])

    def allowed(self, name: str, values: Sequence[object]) -> list[str | None]:
        """The canonical values of what an exclusion allows for a column."""
        column = self.needed[name]
        texts = [canonical_value(value, column, self.zone) for value in values]
        if column.type is ColumnType.TEXT:
            return canonical.read(pa.array(texts, pa.string()), column).text.to_list()
        return texts

    # --- the rows --------------------------------------------------------------------------------------------------

    def frames(
        self,
        wanted: Slice,
        excluded: Callable[[str, pl.DataFrame], None] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Generator[pl.DataFrame, None, None]:
        """Yield the rows of one pass, chunk by chunk.

        Args:
            wanted: Which rows.
            excluded: Called with an exclusion's name, and the batch columns and ``__event`` of what it left out.
            progress: Called with the number of rows read.

        Yields:
            Frames of the identity columns (canonical values) and: ``__batch``, ``__key``, ``__identity`` (one text),
            ``__w0``, ``__w1`` (the fingerprint's words), ``__event``, ``__processed``, ``__changed`` (microseconds),
            ``__future``, ``__invalid`` (reasons, or null), ``__unproven``, ``__a.<amount>``, ``__revision``, and with
            ``content`` the values of each content column under ``__c.<name>``.
        """
        return self.framed(self.store.stream(self.asked, self.span(wanted)), wanted, excluded, progress)

    def found(
        self, identities: pl.DataFrame, wanted: Slice, progress: Callable[[int], None] | None = None
    ) -> Generator[pl.DataFrame, None, None]:
        """Yield, as :meth:`frames` does, the rows of some identities, which a searchable store is asked for by name."""
        assert isinstance(self.store, SearchableStore)
        fields = [self.field(name) for name in self.contract.identity]
        table = identities.select(*self.contract.identity).to_arrow()
        return self.framed(self.store.find(self.asked, fields, table), wanted, None, progress)

    @cached_property
    def asked(self) -> list[str]:
        """The columns that are asked of the store, by its own names."""
        names = [self.theirs(name) for name in self.needed if name not in self.absent]
        return list(dict.fromkeys(names if self.defects is None else [*names, self.defects]))

    def framed(
        self,
        batches: Iterator[pa.RecordBatch],
        wanted: Slice,
        excluded: Callable[[str, pl.DataFrame], None] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Generator[pl.DataFrame, None, None]:
        """Turn rows as the store yields them into the frames of :meth:`frames`."""
        with letting_go(batches):
            yield from self._framed(batches, wanted, excluded, progress)

    def _framed(
        self,
        batches: Iterator[pa.RecordBatch],
        wanted: Slice,
        excluded: Callable[[str, pl.DataFrame], None] | None,
        progress: Callable[[int], None] | None,
    ) -> Generator[pl.DataFrame, None, None]:
        columns = self.needed
        for batch in batches:
            if progress is not None:
                progress(batch.num_rows)
            if batch.num_rows == 0:
                continue
            by_name = dict(zip(batch.schema.names, batch.columns, strict=True))
            arrays = {
                ours: pa.nulls(batch.num_rows, pa.string())
                if ours in self.absent
                else canonical.flat(by_name[self.theirs(ours)])
                for ours in columns
            }
            if self.defects is not None:
                arrays[_DEFECTS] = canonical.flat(by_name[self.defects])
            chunk = _Chunk(self, arrays, columns)
            frame = chunk.frame(wanted, excluded)
            if frame is not None and frame.height:
                yield frame

    def blank(self, wanted: Slice) -> pl.DataFrame:
        """Return a frame of no rows, with the columns that :meth:`frames` yields."""
        columns = self.needed
        return _Chunk(self, {name: pa.array([], pa.string()) for name in columns}, columns).whole(wanted)

    def span(self, wanted: Slice) -> Span | None:
        if self.event is None or self.event.unit != "us":  # flooring may move an instant across a boundary
            return None
        column = self.theirs(self.event.name)
        if wanted.batches is not None and self.contract.window is not None:
            starts = wanted.batches[BATCH].drop_nulls().unique().sort().to_list()
            spans: list[tuple[int | None, int | None]] = [(s, self.contract.window.end_of(s)) for s in starts]
            if wanted.batches[BATCH].null_count():
                spans.append((self.horizon, None))
            return Span(column, tuple(spans), self.zone)
        if wanted.bounded and (self.since is not None or self.until is not None):
            return Span(column, ((self.since, self.until),), self.zone)
        return None

    @property
    def horizon(self) -> int:
        """The first instant that is from the future."""
        return self.as_of + (self.contract.clock.skew if self.contract.clock else 0) + 1


@dataclass
class _Chunk:
    """One record batch on its way to a frame; columns are read when first needed, on the rows that are left."""

    reader: Reader
    arrays: dict[str, pa.Array[Any]]
    types: dict[str, Column]
    _read: dict[str, Values] = field(default_factory=dict)

    def values(self, name: str) -> Values:
        if name not in self._read:
            self._read[name] = canonical.read(self.arrays[name], self.types[name], self.reader.zone)
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
        if wanted.bounded:
            self._bound()
        if wanted.keys is not None:
            self.keep(wanted.keys.holds(self._key()))
        if wanted.batches is not None and self.height:
            placed = self._placed().with_row_index("__row")
            mine = placed.join(wanted.batches, on=self.reader.batch_columns, how="semi", nulls_equal=True)["__row"]
            self.keep(pl.Series([False]).new_from_index(0, self.height).scatter(mine, True))
        if self.height:
            self._exclude(excluded)
        return self.whole(wanted) if self.height else None

    def whole(self, wanted: Slice) -> pl.DataFrame:
        """The frame of all rows that are left."""
        contract = self.reader.contract
        series = [self.values(name).text.alias(name) for name in contract.identity]
        series += self._placed().get_columns()[len(contract.partition) :]
        series += [self._key().alias(KEY), *self._fingerprint(), *self._times(), self._invalid(), self._unproven()]
        series += [self.values(name).text.alias(f"__a.{name}") for name in contract.amounts]
        if contract.latest_by is not None:
            series.append(self.values(contract.latest_by).text.alias("__revision"))
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
            details = [column.detail for column in contract.content.values() if column.detail is not None]
            series += [self.values(name).text.alias(DETAIL + name) for name in dict.fromkeys(details)]
        return pl.DataFrame(series)

    # --- which batch -------------------------------------------------------------------------------------------------

    def _event(self) -> pl.Series:
        event = self.reader.event
        if event is None:
            return pl.Series([None], dtype=pl.Int64).new_from_index(0, self.height)
        instants = self.values(event.name).instants
        assert instants is not None
        return instants

    def _future(self) -> pl.Series:
        return (self._event() >= self.reader.horizon).fill_null(False)

    def _bound(self) -> None:
        since, until = self.reader.since, self.reader.until
        event = self._event()
        if since is not None:
            self.keep((event >= since).fill_null(True))
            event = self._event()
        if until is not None:
            self.keep((event < until).fill_null(True))

    def _placed(self) -> pl.DataFrame:
        contract = self.reader.contract
        event = self._event()
        if contract.window is not None:
            event = event.set(self._future(), None) if self._future().any() else event
            starts = contract.window.starts(event)
        else:
            starts = event
        return pl.DataFrame([*(self.values(n).text.alias(n) for n in contract.partition), starts.alias(BATCH)])

    def _exclude(self, excluded: Callable[[str, pl.DataFrame], None] | None) -> None:
        for exclusion in self.reader.exclusions:
            out = pl.Series([True]).new_from_index(0, self.height)
            for name, allowed in exclusion.where.items():
                out &= self._is_one_of(name, allowed)
            if out.any():
                if excluded is not None:
                    excluded(exclusion.name, self._placed().with_columns(self._event().alias("__event")).filter(out))
                self.keep(~out)
            if not self.height:
                return

    def _is_one_of(self, name: str, allowed: Sequence[object]) -> pl.Series:
        wanted = pl.Series(self.reader.allowed(name, allowed), dtype=pl.String)
        return self.values(name).text.is_in(wanted.implode(), nulls_equal=True)

    # --- what each row is
    # ----------------------------------------------------------------------------------------------

    def _key(self) -> pl.Series:
        names = list(self.reader.contract.identity)
        return (
            pl.DataFrame([self.values(name).text.alias(name) for name in names])
            .select(pl.struct(names).hash(seed=0))
            .to_series()
        )

    def _fingerprint(self) -> list[pl.Series]:
        contract = self.reader.contract
        texts = [self.values(name).text for name in contract.identity]
        if contract.clock is not None and contract.clock.carried:
            texts.append(self.values(contract.clock.event.name).text)
        texts += [self.values(name).text for name in contract.content]
        frame = pl.DataFrame([canonical.encode(texts).alias("t")]).select(plh.col("t").chash.sha2_256().alias("h"))
        words = [
            pl.col("h").str.slice(i * 16, 16).str.to_integer(base=16, dtype=pl.UInt64).alias(f"__w{i}") for i in (0, 1)
        ]
        return frame.select(words).get_columns()

    def _times(self) -> list[pl.Series]:
        clock = self.reader.contract.clock
        series = [self._event().alias("__event"), self._future().alias("__future")]
        for name, column in (("__processed", clock and clock.processed), ("__changed", clock and clock.changed)):
            instants = self.values(column.name).instants if column and column.name in self.types else None
            if instants is None:
                instants = pl.Series([None], dtype=pl.Int64).new_from_index(0, self.height)
            series.append(instants.alias(name))
        return series

    def _invalid(self) -> pl.Series:
        """Why each item breaks a declared rule, or null."""
        contract = self.reader.contract
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
                if column.type is ColumnType.TIMESTAMP and self.reader.zone is None:
                    hint = " (a time without a zone needs timezone=)"
                say(unreadable, f"{name} does not read as {column.type.value}{hint}")
        if (event := self.reader.event) is not None:
            say(self.values(event.name).text.is_null(), f"no {event.name}")
            if not self.reader.timely:  # else it is said as a skewed clock
                say(self._future(), f"{event.name} is from the future")
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
        said = self.arrays.get(_DEFECTS)
        if said is None or said.null_count == len(said):
            return None
        return canonical.read(said, _TEXT).text

    def _unproven(self) -> pl.Series:
        """Whether a declared digest is missing, so that the content cannot be compared."""
        missing = pl.Series("__unproven", [False]).new_from_index(0, self.height)
        for name, column in self.reader.contract.content.items():
            if column.evidence:
                missing |= self.values(name).text.is_null()
        return missing.alias("__unproven")
