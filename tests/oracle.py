"""A reconciler that is too dumb to be wrong in the same way: dicts, Counters and loops, read off DESIGN line by line.

It takes rows as Python values and a contract as configuration, and says what :func:`integrity.reconcile` has to find.
It shares no code with the engine. Where DESIGN leaves two readings, the one that was decided stands in a comment here.
"""

from __future__ import annotations

import datetime as dt
import decimal
import hashlib
import math
import re
import struct
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from tests.grants_oracle import Rules, expected_of

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
US = dt.timedelta(microseconds=1)
DAY = 86_400_000_000
WORD = 2**64

Values = Mapping[str, Any]
BatchKey = tuple[Any, ...]  # the partition's canonical values, then the window's start in microseconds, or None


# --- one canonical text per value
# ----------------------------------------------------------------------------------------


class Unreadable(str):
    """U+001A and the raw text of what does not read as its declared type."""


def canonical(value: Any, column: Any, zone: str | None = None) -> str | None:
    """Return the canonical value by DESIGN's table; ``None`` is NULL."""
    if value is None:
        return None
    kind = column.type.value
    text = {
        "text": _text,
        "integer": lambda v: _unscaled(v, 0, (int, decimal.Decimal)),
        "boolean": _boolean,
        "timestamp": lambda v: _timestamp(v, column.unit, zone),
        "date": _date,
        "decimal": lambda v: None if isinstance(v, bool) else _unscaled(v, column.scale, (int, float, decimal.Decimal)),
        "float": lambda v: _float(v, column),
        "binary": lambda v: v.hex() if isinstance(v, bytes) else None,
        "uuid": _uuid,
    }[kind](value)
    if text is None:
        text = Unreadable("\x1a" + (value.hex() if isinstance(value, bytes) else str(value)))
    if kind == "text":
        declared = _declared(text, column)
        text = Unreadable(declared) if isinstance(text, Unreadable) else declared
    return text


def _declared(text: str, column: Any) -> str:
    import unicodedata

    if column.unicode:
        text = unicodedata.normalize("NFC", text)
    if column.newline:
        text = re.sub("\r\n|\r", "\n", text)
    if column.trim:
        text = text.strip(" \t\n\v\f\r")
    return text.casefold() if column.casefold else text


def _text(value: Any) -> str | None:
    if isinstance(value, (str, uuid.UUID)):
        return str(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _unscaled(value: Any, scale: int, numbers: tuple[type, ...]) -> str | None:
    """The exact number times 10**scale, if that is whole."""
    if isinstance(value, str):
        if not re.fullmatch(r"[+-]?[0-9]+" if float not in numbers else r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)", value):
            return None
        exact = Fraction(value if value[-1] != "." else value[:-1])
    elif isinstance(value, float) and float in numbers:
        if not math.isfinite(value):
            return None
        exact = Fraction(repr(value))  # a float by its shortest text
    elif isinstance(value, numbers):
        if isinstance(value, decimal.Decimal) and not value.is_finite():
            return None
        exact = Fraction(value)
    else:
        return None
    whole = exact * 10**scale
    return str(whole.numerator) if whole.denominator == 1 else None


def _boolean(value: Any) -> str | None:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return str(int(value.lower() == "true"))
    number = _unscaled(value, 0, (int, decimal.Decimal))
    return number if number in ("0", "1") else None


def _timestamp(value: Any, unit: str, zone: str | None) -> str | None:
    if isinstance(value, str):
        if not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}", value):
            return None
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, dt.datetime):
        return None
    if value.tzinfo is None:
        if zone is None:
            return None
        meant = set()  # every instant at which the clock on the wall showed this
        for fold in (0, 1):
            instant = value.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(dt.UTC)
            if instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0) == value:
                meant.add(instant)
        if len(meant) != 1:
            return None
        value = meant.pop()
    us = (value - EPOCH) // US
    size = {"us": 1, "ms": 1_000, "s": 1_000_000}[unit]
    return str(us // size * size)


def _date(value: Any) -> str | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            value = dt.date.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return str((value - dt.date(1970, 1, 1)).days)
    return None


def _float(value: Any, column: Any) -> str | None:
    if not isinstance(value, float):
        return None
    if column.exact:
        return struct.pack(">d", value).hex()
    if not math.isfinite(value):
        return None
    return str(round(Fraction(value) * 10**column.decimals))  # Fraction rounds half to even, exactly


def _uuid(value: Any) -> str | None:
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes) and len(value) == 16:
        return str(uuid.UUID(bytes=value))
    if isinstance(value, str) and re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value):
        return value.lower()
    return None


def encode(values: Iterable[str | None]) -> str:
    """Return the one text of canonical values: the values, then their octet lengths, all joined by U+001F."""
    known = list(values)
    lengths = ["-" if value is None else str(len(value.encode())) for value in known]
    return "\x1f".join([*("" if value is None else value for value in known), *lengths])


def words(text: str) -> tuple[int, int]:
    """Return the two words of a text's fingerprint."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8]), int.from_bytes(digest[8:16])


def hash_total(texts: Iterable[str]) -> str:
    """Return the hash total of some items, as a result writes it."""
    first = second = 0
    for text in texts:
        one, two = words(text)
        first, second = (first + one) % WORD, (second + two) % WORD
    return f"sum128:{first:016x}{second:016x}"


# --- batches
# -------------------------------------------------------------------------------------------------------------


def window_start(us: int, window: Any) -> int:
    """Return the start of an instant's window; local ones only for zones that keep their midnights."""
    if window.timezone is None:
        return us - us % window.every
    assert window.every == DAY
    local = (EPOCH + us * US).astimezone(ZoneInfo(window.timezone))
    midnight = dt.datetime.combine(local.date(), dt.time(), ZoneInfo(window.timezone))
    return (midnight - EPOCH) // US


def window_end(start: int, window: Any) -> int:
    if window.timezone is None:
        return start + window.every
    local = (EPOCH + start * US).astimezone(ZoneInfo(window.timezone)).date() + dt.timedelta(days=1)
    return (dt.datetime.combine(local, dt.time(), ZoneInfo(window.timezone)) - EPOCH) // US


@dataclass(eq=False)
class Row:
    """An item as its side holds it."""

    side: str
    identity: tuple[str | None, ...]
    text: str
    content: dict[str, str | None]
    event_text: str | None
    event: int | None
    processed: int | None
    changed: int | None
    future: bool
    batch: BatchKey
    inside: bool
    broken: bool  # a NULL identity, an unreadable value, no event time
    stand_ins: dict[str, str | None]  # digests that stand in for the ladder's
    amounts: dict[str, int]
    revision: str | None
    excluded: bool
    raw: Values = field(default_factory=dict)
    changed_by: tuple[Any, ...] = ()  # who changed a row of the destination, of what, and when
    unauthorized: bool = False
    closes: int | None = None  # when the window of its processing ends, where that is all that is known
    copy: int = 0  # which copy of its identity in the source, in the order of event time, then fingerprint

    @property
    def print(self) -> tuple[int, int]:
        return words(self.text)


@dataclass
class Item:
    """A pair, or a row that found no partner."""

    status: str
    source: Row | None
    destination: Row | None

    @property
    def batch(self) -> BatchKey:
        row = self.source or self.destination
        assert row is not None
        return row.batch


@dataclass
class Expected:
    """What a reconciliation has to say.

    Attributes:
        breaks: How often each (kind, identity as shown, batch start, differing columns) is found.
        batches: Batch to column of ``result.batches`` to value.
        totals: As ``result.totals``.
        assertions: Assertion to verdict.
        verdict: Of the run.
        latencies: Batch to the latencies in microseconds of the items that arrived and have one.
    """

    breaks: Counter[tuple[str, tuple[str | None, ...], int | None, frozenset[str]]] = field(default_factory=Counter)
    batches: dict[BatchKey, dict[str, Any]] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    assertions: dict[str, str] = field(default_factory=dict)
    verdict: str = ""
    latencies: dict[BatchKey, list[int]] = field(default_factory=lambda: defaultdict(list))


COUNTS = (
    "source_records", "destination_records", "matched", "corrupt", "unverified", "lost", "accounted", "pending",
    "duplicate", "extra", "moved_in", "moved_out", "late", "skewed", "unauthorized", "invalid", "excluded", "superseded",
)  # fmt: skip
ASSERTIONS = ("completeness", "accuracy", "validity", "timeliness", "authorization")
ORDER = ("fail", "unverified", "pending", "pass")
PAIRED = ("matched", "corrupt", "unverified")


def worst(verdicts: Iterable[str | None]) -> str:
    given = set(verdicts)
    return next((verdict for verdict in ORDER if verdict in given), "unverified")


# --- the reconciliation
# --------------------------------------------------------------------------------------------------


class Oracle:
    """One reconciliation. ``Oracle(...).expected()`` is what the engine must say.

    Args:
        contract: An ``integrity.Contract``, read as configuration only.
        source: Rows as column to Python value.
        destination: The same.
        as_of: Microseconds.
        outcomes: Rows of the identity and ``outcome``.
        since: Microseconds, or ``None``.
        until: The same.
        skip: Assertions left out on purpose.
        grants: Rows of ``actor``, ``object`` and what :mod:`tests.grants_oracle` knows of them; ``None`` is no store.
        corrections: The same, of changes of the destination.
        zones: Side to the zone of its naive timestamps.
    """

    def __init__(
        self,
        contract: Any,
        source: Sequence[Values],
        destination: Sequence[Values],
        *,
        as_of: int,
        outcomes: Sequence[Values] | None = None,
        since: int | None = None,
        until: int | None = None,
        skip: Iterable[str] = (),
        grants: Sequence[Values] | None = None,
        corrections: Sequence[Values] | None = None,
        zones: Mapping[str, str] | None = None,
    ) -> None:
        self.contract, self.as_of, self.since, self.until = contract, as_of, since, until
        self.skip, self.zones = set(skip), dict(zones or {})
        self.grants, self.corrections = grants, corrections
        self.unchecked = False  # whether an expectation that matters could not be asked
        self.clock = contract.clock
        self.horizon = as_of + (self.clock.skew if self.clock else 0)
        self.accepted = Counter(
            self._identity(row, "outcomes")
            for row in outcomes or ()
            if contract.outcomes and row["outcome"] in contract.outcomes.accept
        )
        self.found = Expected()
        sides = []
        for side, rows in (("source", source), ("destination", destination)):
            read = [self._row(row, side) for row in rows]
            for row in read:
                if row.inside and row.excluded:
                    self._batch(row.batch)["excluded"] += 1
            rows_left = [row for row in read if not row.excluded]
            sides.append(self._newest(self._distinct(rows_left) if side == "source" else rows_left))
        self.source, self.destination = sides
        for side in sides:
            for row in side:
                if row.inside and (self._tells(row.side) or not self.clock):  # else its batch is not known yet
                    self._batch(row.batch)
        self._number_copies()
        if "validity" not in self.skip:
            for each in contract.validity:
                for name, side in zip(("source", "destination"), sides, strict=True):
                    if each.side in (None, "both", name):
                        self._expect(each, side)
        if contract.authorization and grants is not None and "authorization" not in self.skip:
            self._authorize()

    # --- what is asked of single rows

    def _expect(self, expected: Any, rows: list[Row]) -> None:
        """Ask what is asked of closed batches; a share that ``mostly`` forgives is forgiven."""
        looked = [row for row in rows if row.inside and not self._open(row)]
        if not rows:
            self.unchecked |= expected.severity == "critical"
            return
        column = expected.kwargs["column"]
        told = [(row, row.raw[column]) for row in looked]
        if expected.type == "expect_column_values_to_not_be_null":
            bad = [row for row, value in told if value is None]
        else:
            told = [(row, value) for row, value in told if value is not None]
            if expected.type == "expect_column_values_to_be_unique":
                values = Counter(value for _, value in told)
                bad = [row for row, value in told if values[value] > 1]
            else:
                assert expected.type == "expect_column_values_to_be_in_set"
                bad = [row for row, value in told if value not in expected.kwargs["value_set"]]
        if expected.severity != "critical":
            return
        self.unchecked |= not told
        enough = told and Fraction(len(told) - len(bad), len(told)) >= Fraction(str(expected.kwargs.get("mostly", 1)))
        for row in [] if enough else bad:
            row.broken = True

    def _authorize(self) -> None:
        promise = self.contract.authorization
        rules = Rules(promise.within, promise.grants.begins, promise.grants.ends)
        for row in self.source:
            if not row.inside or self._open(row):
                continue
            if any(self._allows(exemption.where, row.raw) for exemption in promise.exempt):
                continue
            item = {"actor": row.raw[promise.actor], "object": row.raw[promise.object], "at": row.event}
            said = expected_of(item, self.grants, rules)
            self._batch(row.batch)["__unjudged"] += said is not None and not said[0]
            row.unauthorized = said is not None and said[0]

    def _allows(self, where: Any, raw: Values) -> bool:
        return all(raw[name] in values for name, values in where.items())

    def _fixed_at(self, raw: Values, side: str) -> tuple[int | None, bool]:
        """When a row of the destination was changed, and whether that cannot be read."""
        promise = self.contract.corrections
        if promise is None or promise.at is None or side == "source" or raw[promise.at] is None:
            return None, False
        text = _timestamp(raw[promise.at], "us", self.zones.get(side))
        return (None, True) if text is None else (int(text), False)

    def _changed_by(self, raw: Values, side: str, processed: int | None) -> tuple[Any, ...]:
        promise = self.contract.corrections
        if promise is None or side == "source":
            return ()
        at = processed if promise.at is None else self._fixed_at(raw, side)[0]
        return raw[promise.actor], raw[promise.object], at

    def _approved(self, row: Row | None) -> bool:
        """Whether somebody was allowed to change this row of the destination."""
        promise = self.contract.corrections
        if row is None or promise is None or self.corrections is None:
            return False
        item = dict(zip(("actor", "object", "at"), row.changed_by, strict=True))
        return expected_of(item, self.corrections, Rules(promise.within)) is None

    # --- reading

    def _columns(self, side: str) -> dict[str, Any]:
        """Every column that is read of a side, with its type."""
        from types import SimpleNamespace

        kind = SimpleNamespace
        columns = dict(self.contract.columns)
        if self.clock:
            times = [self.clock.event] if self._tells(side) else []
            times += [self.clock.processed] if side == "destination" and self.clock.processed else []
            revised = self.clock.changed and self.contract.latest_by == self.clock.changed.name
            changes = side == "source" or (revised and self.clock.carried)
            times += [self.clock.changed] if self.clock.changed and changes else []
            for time in times:
                columns.setdefault(time.name, kind(type=kind(value="timestamp"), unit=time.unit))
        if self.contract.changed:
            time = self.contract.changed
            columns.setdefault(time.name, kind(type=kind(value="timestamp"), unit=time.unit))
        return columns

    def _tells(self, side: str) -> bool:
        """Whether a side has the event time."""
        return bool(self.clock) and (self.clock.carried or side == "source")

    def _identity(self, row: Values, side: str) -> tuple[str | None, ...]:
        zone = self.zones.get(side)
        return tuple(canonical(row[name], column, zone) for name, column in sorted(self.contract.identity.items()))

    def _row(self, raw: Values, side: str) -> Row:
        contract, zone = self.contract, self.zones.get(side)
        columns = self._columns(side)
        values = {name: canonical(raw[name], column, zone) for name, column in columns.items()}

        def instant(column: Any) -> int | None:
            text = values.get(column.name) if column else None
            return None if text is None or isinstance(text, Unreadable) else int(text)

        identity = self._identity(raw, side)
        content = {name: values[name] for name in sorted(contract.content)}
        tells = self._tells(side)
        event = instant(self.clock.event) if tells else None
        event_text = values[self.clock.event.name] if tells and self.clock.carried else None
        processed = instant(self.clock.processed) if self.clock and side == "destination" else None
        future = event is not None and event > self.horizon
        start = window_start(event, contract.window) if contract.window and event is not None and not future else None
        by_name = dict(zip(sorted(contract.identity), identity, strict=True))
        partition = tuple(by_name[name] for name in contract.partition)
        # An item without a time is of every run. One from the future is of the runs that ask for its time: when it comes,
        # a later run finds it in its own window.
        # Where only the source has the event time, an item that is nowhere in it is of the run in whose bounds it was
        # processed: nobody knows when it happened.
        at = event
        if self.clock and not tells and processed is not None and processed <= self.horizon:
            at = processed  # a moment to come is none
        late_enough = at is None or self.since is None or at >= self.since
        early_enough = at is None or self.until is None or at < self.until
        excluded = any(self._is_out(exclusion, raw, side, columns) for exclusion in contract.exclude)
        attempts = contract.attempts if side == "source" else None
        excluded = excluded or (attempts is not None and raw[attempts.outcome] in attempts.rejected)
        inside = (late_enough and early_enough) or (excluded and not tells)  # nobody asks when that was processed
        return Row(
            side=side,
            identity=identity,
            text=encode([*identity, *([event_text] if self.clock and self.clock.carried else []), *content.values()]),
            content=content,
            event_text=event_text,
            event=event,
            processed=processed,
            changed=self._changed(side, instant),
            future=future,
            batch=(*partition, start),
            inside=inside,
            broken=None in identity
            or (attempts is not None and raw[attempts.outcome] not in attempts.accepted)
            or any(isinstance(value, Unreadable) for value in values.values())
            or self._fixed_at(raw, side)[1]
            or (tells and event is None)
            # Skewed where timeliness is judged. Where it is skipped, nobody else would say that a clock is wrong.
            or (future and (contract.timeliness is None or "timeliness" in self.skip)),
            stand_ins={name: raw[name] for name in self._stand_ins()},
            amounts={
                name: 0 if values[name] is None or isinstance(values[name], Unreadable) else int(values[name])
                for name in contract.amounts
            },
            revision=values.get(contract.latest_by) if contract.latest_by else None,
            excluded=excluded,
            raw=raw,
            changed_by=self._changed_by(raw, side, processed),
            closes=None if tells or at is None else window_end(window_start(at, contract.window), contract.window),
        )

    def _changed(self, side: str, instant: Any) -> int | None:
        if self.clock:
            return instant(self.clock.changed) if side == "source" else None
        return instant(self.contract.changed)  # each side tells its own

    def _stand_ins(self) -> list[str]:
        """What comes after the ladder's content column."""
        names = [rung.column for rung in self.contract.ladder]
        place = next((i for i, name in enumerate(names) if name in self.contract.content), len(names))
        return names[place + 1 :]

    def _is_out(self, exclusion: Any, raw: Values, side: str, columns: dict[str, Any]) -> bool:
        if exclusion.side not in (side, "both"):
            return False
        for name, allowed in exclusion.where.items():
            column = columns.get(name)
            wanted = {canonical(value, column) if column else value for value in allowed}
            if (canonical(raw[name], column, self.zones.get(side)) if column else raw[name]) not in wanted:
                return False
        return True

    def _newest(self, rows: list[Row]) -> list[Row]:
        """With latest_by only the newest revision of each identity counts. A run knows the revisions inside its bounds."""
        if self.contract.latest_by is None:
            return rows
        kind = self._columns("source")[self.contract.latest_by].type.value
        bounded = not self.clock or self.clock.carried  # else the destination holds the newest of all

        def order(row: Row) -> tuple[bool, Any]:
            if row.revision is None or isinstance(row.revision, Unreadable):
                return False, 0
            return True, row.revision if kind in ("text", "uuid", "binary") else int(row.revision)

        groups = defaultdict(list)
        for row in rows:
            groups[row.identity, row.inside if bounded else None].append(row)
        kept = []
        for group in groups.values():
            newest = max(map(order, group))
            for row in group:
                if order(row) == newest:
                    kept.append(row)
                elif row.inside:
                    self._batch(row.batch)["superseded"] += 1
        return kept

    def _distinct(self, rows: list[Row]) -> list[Row]:
        """With distinct, what is alike in the source is one item, which happened when it did first."""
        if not self.contract.distinct:
            return rows
        seen, kept = set(), []
        for row in sorted(rows, key=lambda row: (_last(row.event), _last(row.changed))):
            if (row.identity, row.print) in seen and not row.broken:
                if row.inside:
                    self._batch(row.batch)["excluded"] += 1
                continue
            if not row.broken:
                seen.add((row.identity, row.print))
            kept.append(row)
        return kept

    def _number_copies(self) -> None:
        seen: Counter[Any] = Counter()
        for row in sorted(self.source, key=_order_of_copies):
            if row.inside:  # what a bounded run does not read, it cannot count
                row.copy = seen[row.identity]
                seen[row.identity] += 1

    # --- matching

    def _open(self, row: Row) -> bool:
        if row.closes is not None:
            return row.closes + self.contract.grace > self.as_of
        start = row.batch[-1]
        if self.contract.window is None or start is None:
            return False
        return window_end(start, self.contract.window) + self.contract.grace > self.as_of

    def _unsettled(self, row: Row) -> bool:
        return self._open(row) or (row.changed is not None and row.changed + self.contract.grace > self.as_of)

    def _items(self) -> Iterable[Item]:
        """Items; where the destination has no event time, its rows take their place in time from the source's."""
        homes: dict[Any, Row] = {}
        for row in sorted(self.source, key=lambda row: (not row.inside, _last(row.event))):
            homes.setdefault(row.identity, row)
        if self.clock and not self.clock.carried:
            for row in self.destination:  # what is left over is filed with the first, and judged in its own time
                home = homes.get(row.identity)
                if home is not None and row.closes is None:
                    _file(row, home)
                elif home is not None:
                    row.batch = home.batch
        for item in self._matched():
            if self.clock and not self.clock.carried and item.source is not None and item.destination is not None:
                _file(item.destination, item.source)
            yield item

    def _matched(self) -> Iterable[Item]:
        groups: dict[Any, tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
        for row in self.source:
            groups[row.identity][0].append(row)
        for row in self.destination:
            groups[row.identity][1].append(row)
        for identity, (here, there) in groups.items():
            ended = self.accepted[identity]  # each outcome accounts for one item
            known = bool(here) and len(here) > ended
            equal, here, there = self._equal(here, there)
            here.sort(key=_order_of_ending)
            yield from (Item("accounted", row, None) for row in here[:ended])
            here, ended = here[ended:], max(ended - len(here), 0)
            for one, other in sorted(equal, key=lambda pair: _order_of_ending(pair[0]))[:ended]:
                yield Item("accounted", one, None)
                equal.remove((one, other))
                there.append(other)
            for one, other in equal:
                if self._contradicted(one, other):
                    yield Item(self._of_pair(one, other), one, other)
                else:
                    yield Item("matched" if self._proven(one, other) else "unverified", one, other)
            leftover, here, there = self._by_digest(here, there)
            at_random, here, there = _pairs(here, there, lambda row: ())
            leftover += at_random
            for one, other in leftover:
                yield Item(self._of_pair(one, other), one, other)
            for row in here:
                yield Item("pending" if self._unsettled(row) else "lost", row, None)
            allowed: Counter[Any] = Counter()
            for one, other in equal + [pair for pair in leftover if self._only_missing(*pair)]:
                if not self._contradicted(one, other):
                    allowed[other.print] += self.contract.copies - 1
            for row in sorted(there, key=_order_of_pairing):
                if not self._coming(row) and allowed[row.print] > 0:
                    allowed[row.print] -= 1
                    if row.inside:
                        self._batch(row.batch)["excluded"] += 1
                    continue
                yield Item("unsettled" if self._coming(row) else "duplicate" if known else "extra", None, row)

    def _equal(self, here: list[Row], there: list[Row]) -> tuple[list[tuple[Row, Row]], list[Row], list[Row]]:
        """Equal fingerprints; first those that agree in every other digest, too."""
        first: list[tuple[Row, Row]] = []
        if self._stand_ins():
            told = [[row for row in rows if None not in row.stand_ins.values()] for rows in (here, there)]
            rest = [[row for row in rows if None in row.stand_ins.values()] for rows in (here, there)]
            first, left, right = _pairs(*told, lambda row: (row.print, *row.stand_ins.values()))
            here, there = left + rest[0], right + rest[1]
        pairs, here, there = _pairs(here, there, lambda row: row.print)
        return first + pairs, here, there

    def _by_digest(self, here: list[Row], there: list[Row]) -> tuple[list[tuple[Row, Row]], list[Row], list[Row]]:
        """Where a side need not tell everything, a digest in common makes a pair."""
        pairs: list[tuple[Row, Row]] = []
        rung = next((each.column for each in self.contract.ladder if each.column in self.contract.content), None)
        if rung is None or not (self._stand_ins() or any(c.optional for c in self.contract.content.values())):
            return pairs, here, there
        for name in (rung, *self._stand_ins()):

            def told(row: Row, name: str = name) -> str | None:
                value = row.content[name] if name in row.content else row.stand_ins[name]
                return None if value is None else value.split(":")[-1].lower()

            found, left, right = _pairs(
                [row for row in here if told(row) is not None], [row for row in there if told(row) is not None], told
            )
            pairs += found
            here = left + [row for row in here if told(row) is None]
            there = right + [row for row in there if told(row) is None]
        return pairs, here, there

    def _of_pair(self, one: Row, other: Row) -> str:
        alike = self._only_missing(one, other) and not self._contradicted(one, other)
        if alike and self._proven(one, other):
            return "matched"
        if self._unsettled(one) or (self.contract.changed and self._unsettled(other)):
            return "pending"
        return "unverified" if alike else "corrupt"

    def _coming(self, row: Row) -> bool:
        return self._unsettled(row) if self.contract.changed else self._open(row)

    def _proven(self, one: Row, other: Row) -> bool:
        """Every digest is told by both, or by another of its kind that is equal: by its last part, after any colon."""
        for name, column in self.contract.content.items():
            if column.evidence and None in (one.content[name], other.content[name]):
                on_ladder = name in [rung.column for rung in self.contract.ladder]
                values = [(one.stand_ins[each], other.stand_ins[each]) for each in self._stand_ins() if on_ladder]
                if not any(a and b and a.split(":")[-1].lower() == b.split(":")[-1].lower() for a, b in values):
                    return False
        return True

    def _contradicted(self, one: Row, other: Row) -> set[str]:
        """Digests made in one way, so that they could be equal, and are not."""
        found = set()
        for name in self._stand_ins():
            a, b = one.stand_ins[name], other.stand_ins[name]
            if a is not None and b is not None:
                (how, mine), (hows, theirs) = (
                    ("", text.lower()) if ":" not in text else text.lower().split(":") for text in (a, b)
                )
                if how == hows and how != "?" and mine != theirs:
                    found.add(name)
        return found

    def _only_missing(self, one: Row, other: Row) -> bool:
        only_missing = one.event_text == other.event_text
        for name, column in self.contract.content.items():
            mine, theirs = one.content[name], other.content[name]
            only_missing &= mine == theirs or ((column.evidence or column.optional) and None in (mine, theirs))
        return only_missing

    def expected(self) -> Expected:
        texts: dict[tuple[str, BatchKey], list[str]] = defaultdict(list)
        for item in self._items():
            one, other = item.source, item.destination
            here, there = one is not None and one.inside, other is not None and other.inside
            if not here and not there:
                continue
            if item.status in ("pending", "unsettled"):
                if here:
                    self._count(one, "pending", texts)
                if there:  # it mirrors something that a later run judges
                    self._batch(other.batch)["excluded"] += 1
                continue
            if item.status in ("corrupt", "duplicate", "extra") and self._approved(other):
                if one is not None:
                    self._count(one, "accounted", texts)
                    item.status = "accounted"
                    self._say(item)
                if there:
                    self._batch(other.batch)["excluded"] += 1
                continue
            # Of a pair whose source lies outside the run, the source's batch gets a line of its own.
            if one is not None and (here or (there and item.status in PAIRED)):
                self._count(one, item.status, texts)
            if there:
                if one is None:
                    self._count(other, item.status, texts)
                else:
                    self._tally(other, texts)
            # Two items from the future are both untimed, and yet one may lie outside the run.
            if one is not None and other is not None and (one.batch != other.batch or (here and not there)):
                self._batch(one.batch)["moved_out"] += 1
                if there:
                    self._batch(other.batch)["moved_in"] += 1
            self._say(item)
        for key, batch in self.found.batches.items():
            for side in ("source", "destination"):
                batch[f"{side}_hash"] = hash_total(texts[side, key])
                for name in self.contract.amounts:
                    batch[f"{side}_{name}"] /= Fraction(10 ** (self.contract.columns[name].scale or 0))
        self._add_due_windows()
        self._judge()
        return self.found

    def _count(self, row: Row, status: str, texts: Any) -> None:
        self._batch(row.batch)[status] += 1
        self._tally(row, texts)

    def _tally(self, row: Row, texts: Any) -> None:
        batch = self._batch(row.batch)
        batch[f"{row.side}_records"] += 1
        for name, amount in row.amounts.items():
            batch[f"{row.side}_{name}"] += amount
        texts[row.side, row.batch].append(row.text)

    def _say(self, item: Item) -> None:
        one, other = item.source, item.destination
        if item.status in ("lost", "corrupt", "duplicate", "extra"):
            self._break(item.status, item)
        open_ = one is not None and self._open(one)
        if not open_ and (one is None or one.inside):  # what is wrong outside the run, another window's run says
            again = one is not None and one.copy > 0 and self.contract.unique and None not in one.identity
            if again or any(row is not None and row.broken for row in (one, other)):
                self._break("invalid", item)
            if one is not None and one.unauthorized:
                self._break("unauthorized", item)
        if item.status not in PAIRED or self.clock is None or self.clock.processed is None:
            return
        assert one is not None
        assert other is not None
        batch = self._batch(item.batch)
        latency = None if other.processed is None or one.event is None else other.processed - one.event
        skewed = one.future or (latency or 0) < 0 or (other.processed is not None and other.processed > self.horizon)
        promise = self.contract.timeliness
        timely = promise is not None and "timeliness" not in self.skip and not open_
        if skewed:
            if timely:
                self._break("skewed", item)
            return
        if latency is None:
            batch["__unmeasured"] += 1
            return
        self.found.latencies[item.batch].append(latency)
        batch["latency_max"] = latency if batch["latency_max"] is None else max(batch["latency_max"], latency)
        if promise is not None:
            batch["__on_time"] += latency <= promise.within
            batch["__over"] += promise.never_over is not None and latency > promise.never_over
            if timely and latency > promise.within:
                self._break("late", item)

    def _break(self, kind: str, item: Item) -> None:
        one, other = item.source, item.destination
        differing: set[str] = set()
        if kind == "corrupt":
            assert one is not None
            assert other is not None
            differing = self._contradicted(one, other)
            for name, column in self.contract.content.items():
                untold = (column.evidence or column.optional) and None in (one.content[name], other.content[name])
                if one.content[name] != other.content[name] and not untold:
                    differing.add(name)
            if one.event_text != other.event_text:
                differing.add(self.clock.event.name)
        row = one or other
        assert row is not None
        shown = tuple(None if value is None else value.removeprefix("\x1a") for value in row.identity)
        self.found.breaks[kind, shown, row.batch[-1], frozenset(differing)] += 1
        if kind in ("late", "skewed", "invalid", "unauthorized"):
            self._batch(item.batch)[kind] += 1

    # --- judging

    def _batch(self, key: BatchKey) -> dict[str, Any]:
        if key not in self.found.batches:
            batch: dict[str, Any] = dict.fromkeys((*COUNTS, "__on_time", "__over", "__unmeasured", "__unjudged"), 0)
            batch |= {f"{side}_{name}": 0 for name in self.contract.amounts for side in ("source", "destination")}
            batch |= {f"{side}_hash": hash_total([]) for side in ("source", "destination")}
            self.found.batches[key] = batch | {"latency_max": None}
        return self.found.batches[key]

    def _add_due_windows(self) -> None:
        """Idle windows are due where the contract says so: from the run's first to its last closed one."""
        window, grace = self.contract.window, self.contract.grace
        starts = [key[-1] for key in self.found.batches if key[-1] is not None]
        if self.contract.due != "window" or (self.since is None and not starts):
            return
        start = self.since if self.since is not None else min(starts)
        partitions = {key[:-1] for key in self.found.batches} if self.contract.partition else {()}
        while window_end(start, window) + grace <= self.as_of and (self.until is None or start < self.until):
            for partition in partitions:
                self._batch((*partition, start))
            start = window_end(start, window)

    def _judge(self) -> None:
        contract, batches = self.contract, self.found.batches
        promised = ["completeness", "validity"] + (["accuracy"] if contract.content else [])
        promised += ["timeliness"] if contract.timeliness else []
        promised += ["authorization"] if contract.authorization else []
        is_open = {}
        for key, batch in batches.items():
            start = key[-1]
            timed = contract.window is not None and start is not None
            is_open[key] = timed and window_end(start, contract.window) + contract.grace > self.as_of
            batch["__due"] = batch["source_records"] - batch["accounted"] - batch["pending"]
        closed = [batch for key, batch in batches.items() if not is_open[key]]
        due, on_time, unmeasured = (sum(b[name] for b in closed) for name in ("__due", "__on_time", "__unmeasured"))
        share = Fraction(contract.timeliness.ratio) if contract.timeliness else Fraction(0)
        kept = due > 0 and Fraction(on_time, due) >= share
        hope = due > 0 and Fraction(on_time + unmeasured, due) >= share
        for key, batch in batches.items():
            for assertion in ASSERTIONS:
                if assertion not in promised:
                    batch[assertion] = None
                elif assertion in self.skip:
                    batch[assertion] = "skipped"
                elif is_open[key]:
                    batch[assertion] = "pending"
                elif assertion == "timeliness":
                    batch[assertion] = self._timeliness(batch, kept, hope)
                else:
                    batch[assertion] = getattr(self, f"_{assertion}")(batch)
            given = {batch[assertion] for assertion in ASSERTIONS}
            ranked = worst(given) if given & set(ORDER) else ("skipped" if "skipped" in given else None)
            batch["verdict"] = "pending" if is_open[key] else ranked
            pairs = sum(batch[name] for name in PAIRED)
            batch["completeness_ratio"] = Fraction(pairs, batch["__due"]) if batch["__due"] else None
            judged = contract.timeliness is not None and "timeliness" not in self.skip
            timed_ratio = judged and batch["__due"] > 0
            batch["timeliness_ratio"] = Fraction(batch["__on_time"], batch["__due"]) if timed_ratio else None
        self.found.assertions = {
            name: "skipped" if name in self.skip else worst(batch[name] for batch in closed) for name in promised
        }
        everything = set(self.found.assertions.values())
        self.found.verdict = worst(everything) if closed else "unverified"
        sums = {name: sum(batch[name] for batch in batches.values()) for name in COUNTS}
        sums["moved"] = sums.pop("moved_out")
        del sums["moved_in"]
        self.found.totals = sums

    def _completeness(self, batch: dict[str, Any]) -> str | None:
        if batch["lost"] or batch["duplicate"]:
            return "fail"
        if self._idle(batch):
            return "unverified" if self.contract.due == "window" else None
        if not batch["source_records"]:
            return "unverified"
        return "pending" if batch["pending"] else "pass"

    def _accuracy(self, batch: dict[str, Any]) -> str | None:
        if batch["corrupt"]:
            return "fail"
        if not batch["__due"]:
            return "pending" if batch["pending"] else None
        if all(column.carried for column in self.contract.content.values()):
            return "unverified"
        if batch["unverified"] or not batch["matched"]:
            return "unverified"
        return "pending" if batch["pending"] else "pass"

    def _validity(self, batch: dict[str, Any]) -> str | None:
        if batch["invalid"] or batch["extra"]:
            return "fail"
        if self._idle(batch):
            return None
        return "unverified" if self.unchecked else "pass"

    def _authorization(self, batch: dict[str, Any]) -> str | None:
        if batch["unauthorized"]:
            return "fail"
        if not batch["source_records"]:
            return None
        if batch["__unjudged"] or self.grants is None:
            return "unverified"
        return "pending" if batch["pending"] else "pass"

    def _idle(self, batch: dict[str, Any]) -> bool:
        """What was moved in is filed under its source's batch, and judged there."""
        return not batch["source_records"] and batch["destination_records"] == batch["moved_in"]

    def _timeliness(self, batch: dict[str, Any], kept: bool, hope: bool) -> str | None:
        missed = batch["__due"] - batch["__on_time"] - batch["__unmeasured"]
        if batch["skewed"] or batch["__over"] or (missed > 0 and not hope):
            return "fail"
        if not batch["__due"]:
            return "pending" if batch["pending"] else None
        if batch["__unmeasured"] and (not kept or self.contract.timeliness.never_over is not None):
            return "unverified"
        return "pending" if batch["pending"] else "pass"


def _file(row: Row, where: Row) -> None:
    row.batch, row.inside, row.closes = where.batch, where.inside, None


def _last(value: Any) -> tuple[bool, Any]:
    """Order with NULL last."""
    return value is None, 0 if value is None else value


def _order_of_copies(row: Row) -> tuple[Any, ...]:
    return _last(row.event), row.print, _last(row.changed), not row.broken


def _order_of_ending(row: Row) -> tuple[Any, ...]:
    """What ended elsewhere is what came first."""
    return _last(row.event), row.print, _last(row.processed), _last(row.changed), not row.broken, _others(row)


def _others(row: Row) -> tuple[Any, ...]:
    return tuple(map(_last, [*row.stand_ins.values(), *row.changed_by]))


def _order_of_pairing(row: Row) -> tuple[Any, ...]:
    """By fingerprint, then by time, what came first to what was processed first; what is still the same then is told apart by what was said of it."""
    return row.print, _last(row.event), _last(row.processed), _last(row.changed), not row.broken, _others(row)


def _pairs(here: list[Row], there: list[Row], key: Any) -> tuple[list[tuple[Row, Row]], list[Row], list[Row]]:
    """Pair the n-th row of each key with the n-th of the other side; return the pairs and both sides' leftovers."""
    waiting = defaultdict(list)
    for row in sorted(there, key=_order_of_pairing, reverse=True):
        waiting[key(row)].append(row)
    pairs, alone = [], []
    for row in sorted(here, key=_order_of_pairing):
        if waiting[key(row)]:
            pairs.append((row, waiting[key(row)].pop()))
        else:
            alone.append(row)
    return pairs, alone, [row for rows in waiting.values() for row in rows]
