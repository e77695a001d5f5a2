"""What does a contract ask of one side, and under which names does a store hold it?

A :class:`Side` knows which columns are needed, how they are called there, which of them may be missing, and which rows
the contract leaves out. It reads none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import pyarrow as pa

from integrity import canonical
from integrity.columns import ClockColumn, Column, ColumnType
from integrity.contracts import Contract, Exclusion
from integrity.errors import StoreError, UsageError, did_you_mean
from integrity.stores.base import AnnouncingStore, DefectiveStore, Field, RoutedStore, Store, TypedStore
from integrity.totals import BATCH
from integrity.values import canonical_value

__all__ = ["Role", "Side"]

Role = Literal["source", "destination"]

_TEXT = Column(type=ColumnType.TEXT)


class Shape:
    """What a store says of its columns. It is asked once a run, for a database has to be connected to each time.

    Args:
        store: Which one.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Their names, as the store spells them."""
        return tuple(self.store.columns())


@dataclass(frozen=True)
class Side:
    """One side of a contract.

    Attributes:
        contract: What is promised.
        role: ``"source"`` or ``"destination"``.
        store: Where the rows are.
        as_of: Microseconds; later event times (plus the contract's skew) are from the future.
        mapping: Their column names to ours, for those that differ.
        zone: How naive timestamps of this side are to be read.
        since: First instant, microseconds; ``None`` is open.
        until: First instant no longer asked for.
        timely: Whether the destination's processed time is needed, or used only if it is there.
        shapes: What stores said of their columns, by their ``id``; whoever is made of this side knows it, too.
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
    shapes: dict[int, Shape] = field(default_factory=dict, repr=False, compare=False)

    @property
    def held(self) -> tuple[str, ...]:
        """The names of the store's columns, as it spells them."""
        return self.shapes.setdefault(id(self.store), Shape(self.store)).columns

    def check(self) -> None:
        """Refuse what cannot be read before anything is.

        Raises:
            StoreError: a column is missing, or of a type that never reads as declared.
            UsageError: the mapping names a column that neither side has.
        """
        held = self.held
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
        clocks = (clock.event, clock.processed) if clock else ()
        times = {column.name for column in (*clocks, self.contract.changes) if column is not None}
        wheres = {name for exclusion in self.contract.exclude for name in exclusion.where}
        return set(self.contract.columns) | times | wheres | set(self._described) | self.contract.besides

    @cached_property
    def _described(self) -> list[str]:
        """The columns that are not compared, but say of a pair how well it matches and where it does not."""
        rungs = [rung.column for rung in self.contract.ladder]
        details = [column.detail for column in self.contract.content.values() if column.detail is not None]
        return [name for name in dict.fromkeys([*rungs, *details]) if name not in self.contract.columns]

    @cached_property
    def absent(self) -> frozenset[str]:
        """What this side does not have at all, and need not: it reads as NULL, and nobody takes that for equal."""
        may_lack = [name for name, column in self.contract.content.items() if column.evidence or column.optional]
        if self.contract.changed is not None:
            may_lack.append(self.contract.changed.name)
        may_lack += self.changing  # without them no change is approved
        held = self.held
        return frozenset(name for name in [*may_lack, *self._described] if self.theirs(name) not in held)

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
    def via(self) -> str | None:
        """The column in which the store says, by its own name, by which way an item came to its place."""
        return self.store.via if isinstance(self.store, RoutedStore) else None

    @cached_property
    def announced(self) -> str | None:
        """The column in which the store says, by its own name, since when an item of this identity is on its way.

        Only who brings every item together with its other half can use it.
        """
        announces = isinstance(self.store, AnnouncingStore) and self.contract.joined
        return self.store.announced if announces else None  # type: ignore[attr-defined]

    @cached_property
    def changing(self) -> dict[str, Column]:
        """The columns by which the destination says who changed a row, of what, and when."""
        corrections = self.contract.corrections
        if corrections is None or self.role == "source":
            return {}
        columns = {corrections.actor: _TEXT, corrections.object: _TEXT}
        if corrections.at is not None:
            columns[corrections.at] = Column(type=ColumnType.TIMESTAMP)
        return {name: column for name, column in columns.items() if name not in self.contract.columns}

    @cached_property
    def needed(self) -> dict[str, Column]:
        """Every column that this side must have, as ours, with its type."""
        columns = dict(self.contract.columns)
        clock = self.contract.clock
        if clock is not None:
            if self.event is not None:
                columns.setdefault(self.event.name, Column(type=ColumnType.TIMESTAMP, unit=self.event.unit))
            # What the source alone can tell, the destination is not asked for.
            revised = clock.carried and clock.changed is not None and self.contract.latest_by == clock.changed.name
            if clock.changed is not None and (self.role == "source" or revised):
                columns.setdefault(clock.changed.name, Column(type=ColumnType.TIMESTAMP, unit=clock.changed.unit))
            if clock.processed is not None and self.role == "destination" and (self.timely or self.has_processed):
                columns.setdefault(clock.processed.name, Column(type=ColumnType.TIMESTAMP, unit=clock.processed.unit))
        if (changed := self.contract.changed) is not None:
            columns.setdefault(changed.name, Column(type=ColumnType.TIMESTAMP, unit=changed.unit))
        for exclusion in self.exclusions:
            for name in exclusion.where:
                columns.setdefault(name, _TEXT)
        if (attempts := self.contract.attempts) is not None and self.role == "source":
            for named in (attempts.outcome, attempts.reason):
                if named is not None:
                    columns.setdefault(named, _TEXT)
        for name, column in self.changing.items():
            columns.setdefault(name, column)
        for name in self._described:
            columns.setdefault(name, _TEXT)
        return columns

    @cached_property
    def has_processed(self) -> bool:
        """Whether the destination says when it processed an item."""
        clock = self.contract.clock
        if clock is None or clock.processed is None or self.role == "source":
            return False
        return self.theirs(clock.processed.name) in self.held

    @cached_property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """What is left out of this side: what is said of it, and what is said of both sides and can be told here."""
        return tuple(e for e in self.contract.exclude if e.side in (self.role, "both") and e not in self.untold)

    @cached_property
    def untold(self) -> tuple[Exclusion, ...]:
        """What is left out of both sides by a column that this one does not have, so that nothing is left out here."""
        held, columns = self.held, self.contract.columns
        both = (exclusion for exclusion in self.contract.exclude if exclusion.side == "both")
        return tuple(e for e in both if any(n not in columns and self.theirs(n) not in held for n in e.where))

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

    @property
    def horizon(self) -> int:
        """The first instant that is from the future."""
        return self.as_of + (self.contract.clock.skew if self.contract.clock else 0) + 1
