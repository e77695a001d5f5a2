"""Where does one item of the source have to arrive?

What was sent to a group is expected in the mailbox of each of its members, as they were when it was accepted. A source
is read through :class:`FannedOut`, which yields a row for each distinct place to which a row of it leads; what an
address stands for, since when and until when, is said by a store of members.
"""

from __future__ import annotations

import copy
import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa

from integrity import canonical
from integrity.columns import Column, ColumnType
from integrity.contracts import Contract
from integrity.errors import StoreError, did_you_mean
from integrity.rows import VIA
from integrity.stores.base import DefectiveStore, LaggingStore, RelievedStore, Span, Store, TypedStore
from integrity.transit import Addition

__all__ = ["FannedOut", "Members"]

#: Rows in one batch, however many members a group has.
_ROWS = 65_536
#: Since when until when, in microseconds since the epoch; ``None`` is open.
_Span = tuple[int | None, int | None]
_Bounds = Mapping[str, Sequence[tuple[str, _Span]]]


class Members:
    """Which addresses stand for which others, and when. Read once, when it is first asked; all of it is kept.

    Args:
        contract: Which column is the place, and how the columns are called.
        store: Where they are; ``None`` is nowhere: then every address is a mailbox.
        mapping: Their column names to ours.
        zone: How naive timestamps are to be read.
    """

    def __init__(self, contract: Contract, store: Store | None, mapping: Mapping[str, str], zone: str | None) -> None:
        assert contract.fan_out is not None
        assert contract.place is not None
        self._named = contract.fan_out
        self._address = contract.identity[contract.place]
        self._store, self._zone = store, zone
        self._theirs = {ours: theirs for theirs, ours in mapping.items()}

    def check(self) -> None:
        """Refuse a store that lacks a column.

        Raises:
            StoreError: it does.
        """
        if self._store is None:
            return
        held = list(self._store.columns())
        for name in self._columns.values():
            if name not in held:
                raise StoreError(f"no column {name!r} in {self._store.name}, the members", did_you_mean(name, held))

    @property
    def _columns(self) -> dict[str, str]:
        """The store's own name of each column that the contract names."""
        named = self._named.model_dump(by_alias=True, exclude_none=True)
        return {role: self._theirs.get(ours, ours) for role, ours in named.items()}

    def places(self, address: str, at: int | None) -> list[str]:
        """Return the mailboxes that an address stands for at a moment: itself, if it is no group.

        A group without a member at that moment stands for itself, so that what was sent to it is not forgotten. Nor is
        what was sent at a moment that nobody knows.
        """
        found: dict[str, None] = {}
        seen = {address}
        waiting = [address]
        while waiting:
            name = waiting.pop()
            members = [member for member, span in self._groups.get(name, ()) if _holds(span, at)]
            if not members:
                found[name] = None
            for member in members:
                if member == name:  # an address that also keeps what it passes on
                    found[name] = None
                elif member not in seen:
                    seen.add(member)
                    waiting.append(member)
        return sorted(found) or [address]  # a circle of groups, in which nobody has a mailbox

    def spelled(self, values: pa.Array[Any]) -> list[str | None]:
        """Return addresses as the contract reads them."""
        return canonical.read(canonical.flat(values), self._address).text.to_list()

    @cached_property
    def _groups(self) -> _Bounds:
        groups: dict[str, list[tuple[str, _Span]]] = defaultdict(list)
        if self._store is None:
            return groups
        self.check()
        columns = self._columns
        for batch in self._store.stream(list(dict.fromkeys(columns.values()))):
            held = dict(zip(batch.schema.names, batch.columns, strict=True))
            group, member = (self.spelled(held[columns[name]]) for name in ("group", "member"))
            none: list[int | None] = [None] * batch.num_rows
            since, until = (
                self._instants(held[columns[name]], columns[name]) if name in columns else none
                for name in ("from", "until")
            )
            for whose, whom, start, end in zip(group, member, since, until, strict=True):
                if whose is None or whom is None:
                    raise StoreError(
                        f"a row of {self._store.name}, the members, has no {self._named.group} or no "
                        f"{self._named.member}",
                        "complete it, or leave it out",
                    )
                groups[whose].append((whom, (start, end)))
        return groups

    def _instants(self, values: pa.Array[Any], name: str) -> list[int | None]:
        read = canonical.read(canonical.flat(values), Column(type=ColumnType.TIMESTAMP), self._zone)
        if read.unreadable is not None and read.unreadable.any():
            assert self._store is not None
            raise StoreError(
                f"{read.unreadable.sum():,} values of {name!r} in {self._store.name}, the members, are no times",
                "write them in ISO 8601 with their offset, or say timezone={'members': 'UTC'}",
            )
        assert read.instants is not None
        return read.instants.to_list()


def _holds(span: _Span, at: int | None) -> bool:
    since, until = span
    if at is None:
        return since is None and until is None
    return (since is None or since <= at) and (until is None or at < until)


class FannedOut:
    """A store whose rows are had once for each place that they lead to.

    Args:
        store: The source: its column of places holds an address a row, or a list of them.
        contract: Which column is the place, and which tells when.
        members: What addresses stand for.
        mapping: The source's column names to ours.
        zone: How its naive timestamps are to be read.
    """

    def __init__(
        self, store: Store, contract: Contract, members: Members, mapping: Mapping[str, str], zone: str | None
    ) -> None:
        assert contract.place is not None
        theirs = {ours: their for their, ours in mapping.items()}
        self._store, self._members, self._zone = store, members, zone
        self._place = theirs.get(contract.place, contract.place)
        self._event = contract.clock.event if contract.clock is not None else None
        self._when = theirs.get(self._event.name, self._event.name) if self._event is not None else None
        members.check()

    @property
    def name(self) -> str:
        return self._store.name

    @property
    def location(self) -> str:
        return self._store.location

    # What the store says of itself holds here too; but not how it finds or totals its rows, which are others now.

    @property
    def remarks(self) -> Sequence[str]:
        return getattr(self._store, "remarks", ())

    @property
    def left_out(self) -> Sequence[str]:
        return getattr(self._store, "left_out", ())

    @property
    def defects(self) -> str | None:
        return self._store.defects if isinstance(self._store, DefectiveStore) else None

    def without(self, additions: Sequence[Addition]) -> Store:
        """The same, of a store that can describe its items without what was added to them."""
        relieved = copy.copy(self)
        if isinstance(self._store, RelievedStore):
            relieved._store = self._store.without(additions)
        return relieved

    @property
    def lag(self) -> dt.timedelta:
        return self._store.lag if isinstance(self._store, LaggingStore) else dt.timedelta(0)

    @property
    def via(self) -> str:
        """The column that says by which address a row came to its place: two of one row are two items."""
        return VIA

    def columns(self) -> Sequence[str]:
        return self._store.columns()

    def types(self) -> Mapping[str, pa.DataType]:
        types = self._store.types() if isinstance(self._store, TypedStore) else {}
        return {name: type_ for name, type_ in types.items() if name != self._place}  # which may be a list

    def stream(self, columns: Sequence[str], span: Span | None = None) -> Iterator[pa.RecordBatch]:
        """Yield every row once for each of its places, in the column of places."""
        own = [self._place, *([self._when] if self._when is not None else [])]
        held = list(dict.fromkeys([*(name for name in columns if name != VIA), *own]))
        for batch in self._store.stream(held, span):
            yield from self._expanded(batch, columns)

    def _expanded(self, batch: pa.RecordBatch, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        by_name = dict(zip(batch.schema.names, batch.columns, strict=True))
        rows: list[int] = []
        places: list[str | None] = []
        vias: list[str | None] = []

        def cut() -> pa.RecordBatch:
            taken = pa.array(rows, pa.int64())
            own = {self._place: places, VIA: vias}
            arrays = [
                pa.array(own[name], pa.string()) if name in own else by_name[name].take(taken) for name in columns
            ]
            return pa.RecordBatch.from_arrays(arrays, names=list(columns))

        for row, (addresses, at) in enumerate(
            zip(self._addresses(by_name[self._place]), self._moments(by_name), strict=True)
        ):
            reached: dict[str | None, str | None] = {}
            for address in addresses:
                for place in [None] if address is None else self._members.places(address, at):
                    reached.setdefault(place, address)
            rows += [row] * len(reached)
            places += reached
            vias += reached.values()
            if len(rows) >= _ROWS:
                yield cut()
                rows, places, vias = [], [], []
        if rows:
            yield cut()

    def _addresses(self, values: pa.Array[Any]) -> list[list[str | None]]:
        if not (pa.types.is_list(values.type) or pa.types.is_large_list(values.type)):
            return [[address] for address in self._members.spelled(values)]
        # Without an address a row is still there, and its place is not known.
        lists: list[list[str | None]] = [each or [None] for each in values.to_pylist()]
        flat = iter(self._members.spelled(pa.array([address for each in lists for address in each], pa.string())))
        return [[next(flat) for _ in each] for each in lists]

    def _moments(self, by_name: Mapping[str, pa.Array[Any]]) -> list[int | None]:
        if self._event is None or self._when is None:
            return [None] * len(by_name[self._place])
        column = Column(type=ColumnType.TIMESTAMP, unit=self._event.unit)
        instants = canonical.read(canonical.flat(by_name[self._when]), column, self._zone).instants
        assert instants is not None
        return instants.to_list()
