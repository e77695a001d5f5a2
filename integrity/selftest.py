"""Could this run have found what it promises to find?

A control that cannot fail proves nothing. So every run plants one break of each kind that it promises to find, as far
as one can be told from the others, into a shadow copy of some of its own items and sends it through the same engine; it
must find exactly these. What could not be planted is said, with the reason. This tests the
comparison, not the extraction: rows that a store never gave to us are beyond it.
"""

from __future__ import annotations

import datetime as dt
import secrets
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice
from typing import Any

import pyarrow as pa

from integrity.breaks import Case
from integrity.columns import Column, ColumnType
from integrity.comparison import compare
from integrity.contracts import Contract, Expected
from integrity.errors import SelfTestError
from integrity.examinations import Examinations
from integrity.grants import Permits, permits
from integrity.items import Reader
from integrity.outcomes import Outcomes
from integrity.remote import question_of
from integrity.search import WAYS, Quiet
from integrity.shown import counted
from integrity.sides import Role
from integrity.spool import Log
from integrity.stores.base import HeadedStore, Span, TotallingStore
from integrity.totals import ControlTotals
from integrity.values import UNIT, moment

__all__ = ["run_self_test"]

_SAMPLE = 256
_LIMITS = "this tests the comparison, not the extraction"


@dataclass(frozen=True)
class _Shadow:
    """A few real rows, as the store gave them, and planted ones."""

    name: str
    location: str
    batches: tuple[pa.RecordBatch, ...]

    def columns(self) -> Sequence[str]:
        return list(self.batches[-1].schema.names)

    def stream(self, columns: Sequence[str], span: Span | None = None) -> Iterator[pa.RecordBatch]:
        for batch in self.batches:  # the real rows lack what only the other side has
            held = dict(zip(batch.schema.names, batch.columns, strict=True))
            arrays = [held.get(name, pa.nulls(batch.num_rows)) for name in columns]
            yield pa.RecordBatch.from_arrays(arrays, names=list(columns))


def run_self_test(case: Case, real: Sequence[Reader | ControlTotals], examined: Examinations) -> str:
    """Plant, compare, and check.

    What a database totals itself, it totals here too: the planted rows are sent to it, as part of a statement.

    Args:
        case: The run's own.
        real: Both sides. The rows of the destination, which has every column, are the shadow's filling, unless a
            database totals them.
        examined: Who looks at the rows of the run: grants and expectations are planted if any are asked for.

    Returns:
        What was planted and found, in one sentence.

    Raises:
        SelfTestError: a planted break was not found, or something else was accused.
    """
    readers = [side for side in real if isinstance(side, Reader)]
    # Where a side lacks the evidence, nothing of it can be found, and the run says so.
    planted = _Plants(case, frozenset(name for side in readers for name in side.absent), examined)
    there = any(reader.pushed is not None for reader in readers)
    filled = readers[1] if len(readers) == 2 and not there else None
    filling = _sample(filled) if filled is not None else []
    sides = []
    role: Role
    roles: tuple[Role, Role] = ("source", "destination")
    for role, rows, side in zip(roles, (planted.source, planted.destination), real, strict=True):
        batch = planted.batch(rows)
        if isinstance(side, Reader) and side.pushed is not None:
            sides.append(_sent(side, batch))
            continue
        store = _Shadow("self-test", "self-test", (*filling, batch))
        zone = filled.zone if filled else None
        sides.append(Reader(case.contract, role, store, case.as_of, zone=zone, timely=case.timely))
    ours, lead = set(planted.tokens), planted.lead
    for way in WAYS:  # the run itself may take either
        found = Log()
        looks = _looks(sides[0], planted, case)
        with Outcomes(case.contract, None) as none, looks.charges() as charges:
            compare(sides[0], sides[1], none, case, found, Quiet(), charges, ways=(way, WAYS[-1]))
        rows = [row for frame in found.frames() for row in frame.select(lead, "kind").to_dicts()]
        kinds = {(row[lead], row["kind"]) for row in rows if row[lead] in ours}
        if kinds != planted.expected:
            missed = sorted(kind for _, kind in planted.expected - kinds)
            wrong = sorted(kind for _, kind in kinds - planted.expected)
            raise SelfTestError(
                f"the self-test planted {len(planted.expected)} breaks; missed: {', '.join(missed) or 'none'}, "
                f"wrongly found: {', '.join(wrong) or 'none'}",
                "nothing this run found can be relied on; please report it with the contract",
            )
    names = sorted({kind for _, kind in planted.expected})
    shadow = sum(batch.num_rows for batch in filling)
    if there:
        where = "by way of the database"
    elif shadow:
        where = f"in a shadow copy of {counted(shadow, 'item')}"
    else:
        why = "the destination held none to copy" if filled is not None else "recorded totals hold none to copy"
        where = f"among made-up items alone, for {why}"
    lacking = [f"{kind} ({planted.why_not(kind, examined)})" for kind in _promised(case) if kind not in names]
    besides = f"; not planted: {', '.join(lacking)}" if lacking else ""
    return f"planted and found {', '.join(names)} {where}{besides}; {_LIMITS}"


def _promised(case: Case) -> list[str]:
    """The kinds of breaks that a run promises to find."""
    contract = case.contract
    kinds = ["corrupt"] if contract.content else []
    kinds += ["late", "skewed"] if case.timely and contract.timeliness is not None else []
    kinds += ["unauthorized"] if contract.authorization is not None else []
    return sorted(["duplicate", "extra", "invalid", "lost", *kinds])


def _looks(source: Reader | ControlTotals, planted: _Plants, case: Case) -> Examinations:
    """Who looks at the planted rows: for grants that were planted with them, and by an expectation that one breaks."""
    looks = Examinations(case)
    if not isinstance(source, Reader):
        return looks
    if planted.grants is not None and source.pushed is None:
        names = dict(zip(planted.grants.schema.names, planted.grants.schema.names, strict=True))
        store = _Shadow("self-test", "self-test", (planted.grants,))
        looks.permits = permits(source, case, store, names, None)
    if planted.unexpected is not None:
        from integrity.validity.asked import asked
        from integrity.validity.in_database import examiner_of, unaskable

        expected = Expected(
            type="expect_column_values_to_not_be_in_set",
            kwargs={"column": planted.lead, "value_set": [planted.unexpected]},
            side="source",
        )
        promise = case.contract.model_copy(update={"validity": (expected,)})
        questions = asked(promise, "source", list(source.needed))
        if source.pushed is not None and unaskable(source, questions, case):
            planted.expected.discard((str(planted.unexpected), "invalid"))
            planted.unasked = True
            return looks
        looks.examiners["source"] = examiner_of(source, questions, case)
    return looks


def _sent(real: Reader, rows: pa.RecordBatch) -> Reader:
    """A reader that totals in the database, as the real one does, of planted rows alone."""
    ours = {real.theirs(name): name for name in real.needed}
    theirs = pa.RecordBatch.from_arrays([rows.column(name) for name in ours.values()], names=list(ours))
    assert isinstance(real.store, TotallingStore)
    store = real.store.planted(theirs, real.zone)
    reader = replace(real, store=store, since=None, until=None, searchable=False)
    assert isinstance(store, TotallingStore)
    return replace(reader, pushed=store.pushed(question_of(reader)))


def _sample(reader: Reader) -> list[pa.RecordBatch]:
    """The first rows of a side, under our names, as the store gave them."""
    store = reader.store
    first = store.head(reader.asked, _SAMPLE) if isinstance(store, HeadedStore) else store.stream(reader.asked)
    rows = next(iter(islice(first, 1)), None)
    if rows is None or not rows.num_rows:
        return []
    rows = rows.slice(0, _SAMPLE)
    by_name = dict(zip(rows.schema.names, rows.columns, strict=True))
    nothing = pa.nulls(rows.num_rows, pa.string())
    arrays = [by_name.get(reader.theirs(name), nothing) for name in reader.needed]
    return [pa.RecordBatch.from_arrays(arrays, names=list(reader.needed))]


class _Plants:
    """Made-up items in a window of their own, and what was done to each."""

    def __init__(self, case: Case, absent: frozenset[str], examined: Examinations) -> None:
        contract = case.contract
        #: Who may do what is planted, but for one item; and the token of an item that is not as expected.
        self.grants: pa.RecordBatch | None = None
        self.unexpected: str | int | None = None
        #: Whether the database cannot be asked of the column by which that one would be found.
        self.unasked = False
        self._contract = contract
        #: The identity column that tells planted items apart, by a value that nothing real has.
        self.lead = _lead(contract)
        self.tokens: list[str] = []
        self.expected: set[tuple[str, str]] = set()
        self.source: list[dict[str, Any]] = []
        self.destination: list[dict[str, Any]] = []
        self._columns = dict(contract.columns)
        self._event = None
        clock = contract.clock
        if clock is not None:
            for column in (clock.event, clock.processed, clock.changed):
                if column is not None:
                    self._columns.setdefault(column.name, Column(type=ColumnType.TIMESTAMP, unit=column.unit))
            assert contract.window is not None
            # Two windows and the grace period ago: closed, whatever the contract says; and long enough ago that what is
            # late was not late in the future.
            late = contract.timeliness.within + 2 * UNIT["s"] if contract.timeliness is not None else 0
            ago = case.as_of - contract.grace - 2 * contract.window.every - late
            start = contract.window.start_of(ago - contract.window.every)
            self._event = moment(start)
        others = {n for e in contract.exclude for n in e.where}
        if contract.authorization is not None:
            others.update(contract.authorization.columns)
        if contract.attempts is not None:
            others.update(
                {contract.attempts.outcome, *([contract.attempts.reason] if contract.attempts.reason else [])}
            )
        if contract.corrections is not None:
            others.update({contract.corrections.actor, contract.corrections.object})
            others.update({contract.corrections.at} if contract.corrections.at else ())
        self._names = [*self._columns, *sorted(others - set(self._columns))]
        self._plant(case, absent)
        if examined.examiners and contract.identity[self.lead].type in (ColumnType.TEXT, ColumnType.INTEGER):
            self._add("invalid", 1, 1)
            whole = contract.identity[self.lead].type is ColumnType.INTEGER
            self.unexpected = int(self.tokens[-1]) if whole else self.tokens[-1]
        if examined.permits is not None:
            self._grant(examined.permits)

    def _plant(self, case: Case, absent: frozenset[str]) -> None:
        self._add("fine", 1, 1)
        self._add("lost", 1, 0)
        self._add("duplicate", 1, self._contract.copies + 1)
        self._add("extra", 0, 1)
        content = next((n for n in self._contract.content if n not in absent and n != self._contract.latest_by), None)
        if content is not None:
            self._add("corrupt", 1, 1)
            self.destination[-1][content] = _value(self._contract.content[content], "other", 2)
        others = [name for name in self._contract.identity if name != self.lead]
        if others:  # with one identity column, an item without identity could not be told from others
            self._add("invalid", 1, 1)
            self.source[-1][others[0]] = self.destination[-1][others[0]] = None
        timeliness, clock = self._contract.timeliness, self._contract.clock
        if case.timely and timeliness is not None and clock is not None and clock.processed is not None and self._event:
            second = dt.timedelta(seconds=1)
            self._add("late", 1, 1)
            self.destination[-1][clock.processed.name] = (
                self._event + dt.timedelta(microseconds=timeliness.within) + second
            )
            self._add("skewed", 1, 1)
            self.destination[-1][clock.processed.name] = self._event - second

    def _grant(self, real: Permits) -> None:
        """Plant an item without a grant among others that have theirs."""
        promise = self._contract.authorization
        assert promise is not None
        if not (promise.grants.begins and promise.grants.ends):
            return  # of the past such grants prove nothing, so nothing could be found
        for row in self.source:
            row.setdefault(promise.actor, "self-test")
            row.setdefault(promise.object, "self-test")
            if promise.approver is not None:
                row[promise.approver] = "self-test, four eyes"
            if None in (row[promise.actor], row[promise.object]) and not real.exempts(row):
                self.expected.add((row[self.lead], "unauthorized"))  # nobody, or nothing, can be granted anything
        pairs = [(row[promise.actor], row[promise.object]) for row in self.source]
        held = {(str(actor), str(thing)) for actor, thing in pairs if None not in (actor, thing)}
        self._add("unauthorized", 1, 1)
        row = self.source[-1]
        for column in (promise.actor, promise.object):
            attempts = self._contract.attempts
            if column == self.lead or (attempts is not None and column == attempts.outcome):
                continue
            declared = self._columns.get(column, Column(type=ColumnType.TEXT))
            for side in (self.source, self.destination):
                side[-1][column] = _value(declared, "other", 2)
        if promise.approver is not None:
            row[promise.approver] = "self-test, four eyes"
        pair = str(row[promise.actor]), str(row[promise.object])
        if pair in held or real.exempts(row):
            self.expected.discard((self.tokens[-1], "unauthorized"))
        named = promise.grants
        rows = [{named.actor: actor, named.object: thing} for actor, thing in sorted(held)]
        names = dict.fromkeys([named.actor, named.object, *named.times.values(), named.approver or named.actor])
        arrays: list[pa.Array[Any]] = [pa.array([each.get(name) for each in rows], pa.string()) for name in names]
        self.grants = pa.RecordBatch.from_arrays(arrays, names=list(names))

    def why_not(self, kind: str, examined: Examinations) -> str:
        """Return why nothing of a kind was planted."""
        promise = self._contract.authorization
        if kind == "corrupt":
            return "no content that could differ is on both sides"
        if kind == "unauthorized" and promise is not None:
            if examined.permits is None:
                return "no grants were read"
            dated = promise.grants.begins and promise.grants.ends
            return (
                "whoever acts is exempt" if dated else "grants without a beginning and an end say nothing of the past"
            )
        if kind == "invalid":
            asked = "this database is not asked of the column" if self.unasked else "its one identity column is the one"
            return f"{asked} that tells planted rows apart"
        return "the clock names no processed time"

    def _add(self, kind: str, here: int, there: int) -> None:
        token = str(_value(self._contract.identity[self.lead], secrets.token_hex(8), secrets.randbits(62)))
        row: dict[str, Any] = {}
        for name, column in self._columns.items():
            row[name] = _value(column, "self-test", 1)
        clock = self._contract.clock
        for time in (clock.event, clock.processed, clock.changed) if clock else ():
            if time is not None:
                row[time.name] = self._event
        row[self.lead] = token
        if self._contract.attempts is not None:
            row[self._contract.attempts.outcome] = self._contract.attempts.accepted[0]
        self.tokens.append(token)
        if kind != "fine":
            self.expected.add((token, kind))
        self.source += [dict(row) for _ in range(here)]
        self.destination += [dict(row) for _ in range(there)]

    def batch(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        arrays: list[pa.Array[Any]] = []
        for name in self._names:
            column = self._columns.get(name)
            values = [row.get(name) for row in rows]
            if column is not None and column.type is ColumnType.TIMESTAMP:
                arrays.append(pa.array(values, pa.timestamp("us", "UTC")))
            else:  # text reads as every type, which keeps made-up values simple
                arrays.append(pa.array([None if v is None else str(v) for v in values], pa.string()))
        return pa.RecordBatch.from_arrays(arrays, names=self._names)


def _lead(contract: Contract) -> str:
    kinds = (ColumnType.TEXT, ColumnType.UUID, ColumnType.INTEGER, ColumnType.BINARY, ColumnType.DECIMAL)
    for kind in kinds:
        for name, column in contract.identity.items():
            if column.type is kind and name not in contract.partition:
                return name
    return next(iter(contract.identity))


def _value(column: Column, word: str, number: int) -> Any:
    """A readable value of a type, as text or as a timestamp."""
    match column.type:
        case ColumnType.TEXT:
            return word
        case ColumnType.BOOLEAN:
            return number % 2
        case ColumnType.UUID:
            return str(uuid.UUID(int=number))
        case ColumnType.BINARY:
            return word.encode().hex()
        case ColumnType.DATE:
            return dt.date(1970, 1, number % 28 + 1).isoformat()
        case ColumnType.TIMESTAMP:
            return moment(number % 10**15 * UNIT[column.unit])
        case ColumnType.DECIMAL:
            return Decimal(number)
        case _:
            return number
