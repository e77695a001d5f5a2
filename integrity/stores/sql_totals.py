"""Which one query makes a database total its own items, to the last bit?

The rows of a table become, level by level: canonical texts and instants; their fingerprint, latency and time slot; and
one row for each slot, partition, exclusion and latency bucket, in which everything is summed exactly. Slots are
windows, or quarters of an hour where windows are days of a time zone; they add up to batches outside. What a row holds
that SQL cannot write out exactly is counted in the same query: one such row, and nothing of it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import sqlalchemy as sa

from integrity.errors import PushdownError
from integrity.stores.base import Field, Question
from integrity.stores.sql_spans import between
from integrity.stores.sql_text import Digest, Exact, Total, Word, encoded, exact, floored, reading, whole_number
from integrity.stores.sql_types import Kind, SqlType

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Dialect, Select, Subquery

    from integrity.stores.sql import SqlStore

    #: The columns of a level, by name.
    _Rows: TypeAlias = Subquery | dict[str, ColumnElement[Any]]

__all__ = ["SqlTotals"]

_COUNTS = ("records", "invalid", "unproven", "on_time", "late", "over", "skewed", "unmeasured")
#: The last power of two of a latency, and the first that is cut into 32 buckets.
_HIGHEST, _LINEAR_BITS = 62, 5


class SqlTotals:
    """How a database answers a question.

    Args:
        store: The table.
        question: What is asked.
        types: The types of its columns.
        dialect: Whose SQL it has to be.
        keys: The columns of each key that the database itself enforces.

    Raises:
        PushdownError: a column cannot be read to the last bit by this dialect.
    """

    def __init__(
        self,
        store: SqlStore,
        question: Question,
        types: dict[str, SqlType],
        dialect: Dialect,
        keys: Sequence[Sequence[str]],
    ) -> None:
        self._store, self._question, self._types, self._dialect = store, question, types, dialect
        self._keys = keys
        fields: list[Field] = [*question.identity.values(), *question.content.values()]
        fields += [field for field in (question.event, question.processed) if field is not None]
        fields += [field for _, conditions in question.exclusions for field, _ in conditions]
        self._fields = list(dict.fromkeys(fields))
        for field in self._fields:
            if field.theirs not in types:
                raise PushdownError(
                    f"the type of column {field.theirs!r} of {store.name} is not known", "pull the rows"
                )
        self._readings = [
            reading(field, types[field.theirs], store.name, dialect.name, question.zone) for field in self._fields
        ]

    # --- the face ---------------------------------------------------------------------------------------------------

    def explain(self) -> list[str]:
        """Return the SQL of the totals and, where uniqueness is not the database's own promise, of repetitions."""
        asked = [self._totals_query()]
        if self._question.unique and not self._is_key():
            asked.append(self._repeats_query())
        with self._store.session() as session:
            return [session.written(query) for query in asked]

    def totals(self) -> pa.Table:
        """Return partial totals, as :meth:`integrity.stores.base.Pushed.totals` has them."""
        query = self._totals_query()
        with self._store.session() as session:
            rows = session.rows(query)
        names = [column.name for column in query.selected_columns]
        by_name = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())
        self._check(sum(int(count) for count in by_name["odd"]))
        columns: dict[str, pa.Array[Any]] = {
            name: pa.array([self._decoded(v) for v in by_name[f"p{i}"]], pa.string())
            for i, name in enumerate(self._question.partition)
        }
        columns |= {name: _whole(by_name[name]) for name in ("slot", "bucket", "latency_max")}
        columns["excluded"] = pa.array([self._exclusion(i) for i in by_name["excluded"]], pa.string())
        columns |= {name: _whole(by_name[name], 0) for name in _COUNTS}
        for name in ("hash_0", "hash_1"):
            columns[name] = pa.array([int(v or 0) % 2**64 for v in by_name[name]], pa.uint64())
        for i, name in enumerate(self._question.amounts):
            columns[f"amount.{name}"] = pa.array([str(v or 0) for v in by_name[f"a{i}"]], pa.string())
        return pa.table(columns)

    def repeats(self) -> pa.Table:
        """Return the partition and slot of items whose identity is there more than once."""
        names = [*self._question.partition, "slot"]
        rows: list[Sequence[Any]] = []
        if not self._is_key():
            with self._store.session() as session:
                rows = session.rows(self._repeats_query())
        columns = list(zip(*rows, strict=True)) if rows else [() for _ in names]
        arrays = [pa.array([self._decoded(v) for v in values], pa.string()) for values in columns[:-1]]
        return pa.table([*arrays, _whole(columns[-1])], names)

    def fingerprints(self, intervals: Sequence[tuple[int | None, int | None]] | None) -> Iterator[pa.RecordBatch]:
        """Yield a row an item: its identity, times, fingerprint and amounts."""
        question = self._question
        texts = self._texts(intervals)
        items = self._barrier(
            sa.select(
                *(self._text(texts, field).label(f"i{i}") for i, field in enumerate(question.identity.values())),
                self._event(texts).label("event"),
                self._processed(texts).label("processed"),
                self._digest(texts).label("digest"),
                self._unproven(texts).label("unproven"),
                self._excluded(texts).label("excluded"),
                self._odd(texts).label("odd"),
                *(self._text(texts, self._field(name)).label(f"a{i}") for i, name in enumerate(question.amounts)),
            )
        ).subquery("items")
        columns = [c if c.name != "digest" else sa.func.substr(c, 1, 32).label("digest") for c in items.c]
        names = [*question.identity, "event", "processed", "digest", "unproven", "excluded", "odd"]
        names += [f"amount.{name}" for name in question.amounts]
        with self._store.session() as session:
            for batch in session.batches(sa.select(*columns), names):
                odd = sum(int(flag or 0) for flag in batch.column("odd").to_pylist())
                self._check(odd + batch.column("digest").null_count)
                numbers = [self._exclusion(i) for i in batch.column("excluded").to_pylist()]
                place = names.index("excluded")
                yield batch.set_column(place, "excluded", pa.array(numbers, pa.string()))

    def remarkable(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the items that are invalid, late or skewed, as they are stored."""
        rows = self._raw_rows()
        said = [self._invalid(rows) == 1]
        if self._question.processed is not None:
            event, processed = self._event(rows), self._processed(rows)
            said.append(self._skewed(event, processed) == 1)
            if self._question.within is not None:
                said.append(processed - event > _number(self._question.within))
        query = self._store.select(columns).where(*self._bounds(), self._excluded(rows).is_(None), sa.or_(*said))
        with self._store.session() as session:
            yield from session.batches(query, columns)

    # --- the queries ------------------------------------------------------------------------------------------------

    def _totals_query(self) -> Select[Any]:
        question = self._question
        texts = self._texts(None)
        partition = [question.identity[name] for name in question.partition]
        prints = self._barrier(
            sa.select(
                *(Exact(self._text(texts, field)).label(f"p{i}") for i, field in enumerate(partition)),
                self._event(texts).label("event"),
                self._processed(texts).label("processed"),
                self._excluded(texts).label("excluded"),
                self._invalid(texts).label("invalid"),
                self._unproven(texts).label("unproven"),
                self._odd(texts).label("odd"),
                self._digest(texts).label("digest"),
                *(self._amount(texts, name).label(f"a{i}") for i, name in enumerate(question.amounts)),
            )
        ).subquery("prints")
        c, measured = prints.c, question.processed is not None
        skewed = self._skewed(c.event, c.processed) if measured else _number(0)
        items = self._barrier(
            sa.select(
                *(column for column in c if column.name not in ("event", "processed")),
                self._slot(c.event).label("slot"),
                skewed.label("skewed"),
                (sa.case((skewed == 0, c.processed - c.event)) if measured else _null()).label("latency"),
            )
        ).subquery("items")
        i = items.c
        bucket = sa.case((i.excluded.is_(None), _bucket(i.latency))) if measured else _null()
        keys: list[ColumnElement[Any]] = [*(i[f"p{n}"] for n in range(len(partition))), i.slot, i.excluded]
        sums = [
            sa.func.count().label("records"),
            *(_count(i[name] == 1, name) for name in ("invalid", "unproven")),
            *self._times(i.latency, i.skewed if measured else None),
            # A digest is NULL where the text of a row is longer than the server takes.
            _count(sa.or_(i.odd == 1, i.digest.is_(None)), "odd"),
            *(Total(Word(i.digest, _number(1 + 16 * n))).label(f"hash_{n}") for n in (0, 1)),
            (sa.func.max(i.latency) if measured else _null()).label("latency_max"),
            *(Total(i[f"a{n}"]).label(f"a{n}") for n in range(len(question.amounts))),
        ]
        return sa.select(*keys, bucket.label("bucket"), *sums).group_by(*keys, *([bucket] if measured else []))

    def _times(self, latency: ColumnElement[Any], skewed: ColumnElement[Any] | None) -> list[ColumnElement[Any]]:
        question = self._question
        if skewed is None:
            return [_number(0).label(name) for name in ("on_time", "late", "over", "skewed", "unmeasured")]
        late = latency > _number(question.within) if question.within is not None else sa.false()
        over = latency > _number(question.never_over) if question.never_over is not None else sa.false()
        return [
            _count(latency.is_not(None) & sa.not_(late), "on_time"),
            _count(late, "late"),
            _count(over, "over"),
            _count(skewed == 1, "skewed"),
            _count(latency.is_(None) & (skewed == 0), "unmeasured"),
        ]

    def _repeats_query(self) -> Select[Any]:
        """Which identities are there twice: by a collation that tells fewer of them apart, some that are not."""
        question = self._question
        texts = self._texts(None)
        identity = {name: self._text(texts, field) for name, field in question.identity.items()}
        copies = (
            sa.select(
                *(Exact(identity[name]).label(f"p{i}") for i, name in enumerate(question.partition)),
                self._event(texts).label("event"),
                sa.func.count().over(partition_by=list(identity.values())).label("copies"),
            )
            .where(self._excluded(texts).is_(None))
            .subquery("copies")
        )
        partition = [copies.c[f"p{n}"] for n in range(len(question.partition))]
        return sa.select(*partition, self._slot(copies.c.event).label("slot")).where(copies.c.copies > 1).distinct()

    def _texts(self, intervals: Sequence[tuple[int | None, int | None]] | None) -> Subquery:
        """The rows that are asked for: each column as it is, its text, and what it is as a number."""
        columns: list[ColumnElement[Any]] = []
        for k, read in enumerate(self._readings):
            columns += [read.raw.label(f"r{k}"), read.text.label(f"t{k}")]
            if read.number is not None:
                columns.append(read.number.label(f"n{k}"))
        query = sa.select(*columns).select_from(self._store.clause()).where(*self._bounds())
        field = self._question.event
        if intervals is not None and field is not None:
            near = between(field.theirs, self._types[field.theirs].kind, intervals, self._question.zone)
            query = query.where(sa.or_(near, sa.column(field.theirs).is_(None)))
        return self._barrier(query).subquery("texts")

    def _raw_rows(self) -> dict[str, ColumnElement[Any]]:
        """What :meth:`_texts` names, straight from the table."""
        named: dict[str, ColumnElement[Any]] = {}
        for k, read in enumerate(self._readings):
            named |= {f"r{k}": read.raw, f"t{k}": read.text}
            if read.number is not None:
                named[f"n{k}"] = read.number
        return named

    def _barrier(self, query: Select[Any]) -> Select[Any]:
        """Keep two levels apart: else these databases compute a fingerprint again for each use of it."""
        return query if self._dialect.name == "duckdb" else query.offset(_number(0))

    def _bounds(self) -> list[ColumnElement[bool]]:
        question = self._question
        if question.event is None or (question.since is None and question.until is None):
            return []
        column: ColumnElement[Any] = sa.column(question.event.theirs)
        event = self._readings[self._fields.index(question.event)].number
        assert event is not None
        near = between(
            question.event.theirs,
            self._types[question.event.theirs].kind,
            [(question.since, question.until)],
            question.zone,
        )
        inside = [event >= _number(question.since)] if question.since is not None else []
        inside += [event < _number(question.until)] if question.until is not None else []
        return [sa.or_(column.is_(None), near & sa.and_(*inside), event.is_(None))]

    # --- what is known of each row ----------------------------------------------------------------------------------

    def _event(self, rows: _Rows) -> ColumnElement[Any]:
        return self._instant(rows, self._question.event)

    def _processed(self, rows: _Rows) -> ColumnElement[Any]:
        return self._instant(rows, self._question.processed)

    def _instant(self, rows: _Rows, field: Field | None) -> ColumnElement[Any]:
        return _null() if field is None else _named(rows, "n", self._fields.index(field))

    def _text(self, rows: _Rows, field: Field) -> ColumnElement[Any]:
        return _named(rows, "t", self._fields.index(field))

    def _raw(self, rows: _Rows, field: Field) -> ColumnElement[Any]:
        return _named(rows, "r", self._fields.index(field))

    def _digest(self, rows: _Rows) -> ColumnElement[Any]:
        question = self._question
        fields = [
            *question.identity.values(),
            *([question.event] if question.event else []),
            *question.content.values(),
        ]
        texts = [self._text(rows, field) for field in fields]
        wide = [self._readings[self._fields.index(field)].wide for field in fields]
        return Digest(encoded(texts, wide))

    def _excluded(self, rows: _Rows) -> ColumnElement[Any]:
        """The number of the first exclusion that takes a row, or NULL."""
        whens = []
        for i, (_, conditions) in enumerate(self._question.exclusions):
            every = []
            for field, allowed in conditions:
                words = [exact(word, self._dialect.name) for word in allowed if word is not None]
                one = Exact(self._text(rows, field)).in_(words) if words else sa.false()
                every.append(sa.or_(one, self._raw(rows, field).is_(None)) if None in allowed else one)
            whens.append((sa.and_(*every), _number(i)))
        return sa.case(*whens) if whens else _null()

    def _invalid(self, rows: _Rows) -> ColumnElement[Any]:
        question = self._question
        wrong: list[ColumnElement[bool]] = [self._raw(rows, field).is_(None) for field in question.identity.values()]
        if question.event is not None:
            wrong.append(self._raw(rows, question.event).is_(None))
            if question.future_is_invalid:
                wrong.append(self._event(rows) >= _number(question.horizon))
        return _flag(sa.or_(*wrong))

    def _unproven(self, rows: _Rows) -> ColumnElement[Any]:
        digests = [field for field in self._question.content.values() if field.column.evidence]
        return _flag(sa.or_(*(self._raw(rows, field).is_(None) for field in digests))) if digests else _number(0)

    def _odd(self, rows: _Rows) -> ColumnElement[Any]:
        """Whether a value is there, and yet has no text."""
        doubtful = [k for k, read in enumerate(self._readings) if not read.sure]
        odd = [_named(rows, "r", k).is_not(None) & _named(rows, "t", k).is_(None) for k in doubtful]
        return _flag(sa.or_(*odd)) if odd else _number(0)

    def _skewed(self, event: ColumnElement[Any], processed: ColumnElement[Any]) -> ColumnElement[Any]:
        horizon = _number(self._question.horizon)
        return _flag(sa.or_(processed - event < 0, processed >= horizon, event >= horizon))

    def _slot(self, event: ColumnElement[Any]) -> ColumnElement[Any]:
        width = self._question.width
        if width is None:
            return _null()
        return sa.case((event < _number(self._question.horizon), floored(event, width)))

    def _amount(self, rows: _Rows, name: str) -> ColumnElement[Any]:
        field = self._field(name)
        number = _named(rows, "n", self._fields.index(field))
        if self._types[field.theirs].kind is not Kind.INTEGER or self._dialect.name == "duckdb":
            return number  # DuckDB's own sum has room for 128 bits, and says where that is too little
        return whole_number(number, self._dialect.name)

    def _field(self, name: str) -> Field:
        return self._question.identity.get(name) or self._question.content[name]

    def _is_key(self) -> bool:
        """Whether the database itself lets no identity in twice."""
        theirs = {
            field.theirs
            for field in self._question.identity.values()
            if not (field.column.unicode or field.column.newline or field.column.trim or field.column.unit != "us")
        }
        return any(set(key) <= theirs for key in self._keys)

    # --- what comes back --------------------------------------------------------------------------------------------

    def _check(self, odd: int) -> None:
        if odd:
            raise PushdownError(
                f"{odd:,} rows of {self._store.name} hold a value that SQL cannot write out exactly", "pull the rows"
            )

    def _exclusion(self, number: Any) -> str | None:
        return None if number is None else self._question.exclusions[int(number)][0]

    def _decoded(self, value: Any) -> str | None:
        if value is None:
            return None
        return bytes.fromhex(value).decode() if self._dialect.name in ("mysql", "mariadb") else str(value)


def _named(rows: _Rows, kind: str, number: int) -> ColumnElement[Any]:
    return rows[f"{kind}{number}"] if isinstance(rows, dict) else rows.c[f"{kind}{number}"]


def _number(value: int) -> ColumnElement[Any]:
    return sa.literal_column(str(value))


def _null() -> ColumnElement[Any]:
    return sa.cast(sa.null(), sa.BigInteger())


def _flag(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return sa.case((condition, _number(1)), else_=_number(0))


def _count(condition: ColumnElement[bool], name: str) -> ColumnElement[Any]:
    return sa.func.sum(_flag(condition)).label(name)


def _bucket(latency: ColumnElement[Any]) -> ColumnElement[Any]:
    """The bucket of :func:`integrity.latency.bucket_of`, by comparisons alone, for logarithms round."""

    def between_powers(low: int, high: int) -> ColumnElement[Any]:
        """The bucket of a latency of at least two to the power of ``low``, and less than that of ``high + 1``."""
        if low < high:
            middle = (low + high) // 2
            below = latency < _number(1 << (middle + 1))
            return sa.case((below, between_powers(low, middle)), else_=between_powers(middle + 1, high))
        shift = low - _LINEAR_BITS
        return latency if shift < 0 else _number(32 * shift) + latency.bitwise_rshift(_number(shift))

    return between_powers(_LINEAR_BITS - 1, _HIGHEST - 1)


def _whole(values: Sequence[Any], missing: int | None = None) -> pa.Array[Any]:
    return pa.array([missing if value is None else int(value) for value in values], pa.int64())
