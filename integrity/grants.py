"""Who was granted what, and who made use of it?

A store of grants is read once, split by actor. Where its grants fit into memory, items are judged as they come; else
they wait, split in the same way, so that any number of both is judged in bounded memory. What the judging is,
:mod:`integrity.authorization` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl
import pyarrow as pa

from integrity import canonical
from integrity.authorization import Judged, Rules, judge, remarks
from integrity.breaks import Case
from integrity.charges import MARK
from integrity.columns import Column, ColumnType
from integrity.contracts import Contract, Grants
from integrity.errors import StoreError, did_you_mean
from integrity.items import Reader
from integrity.passes import answerable, asked_of, timed
from integrity.rows import Chunk, Slice
from integrity.spool import KEY, Log, Spool, together
from integrity.stores.base import Store

__all__ = ["Approvals", "Granted", "Permits", "granted", "permits"]

_TEXT, _TIME = Column(type=ColumnType.TEXT), Column(type=ColumnType.TIMESTAMP)
_TIMES = ("from", "until", "revoked", "departed", "recorded")
#: How many items are asked about at a time.
_AT_ONCE = 262_144
_ROW, _GRANT, _EXEMPT = "__row", "__grant", "__exempt"
_SCHEMA = {
    KEY: pl.UInt64, _GRANT: pl.Int64, "actor": pl.String, "object": pl.String,
    **dict.fromkeys(_TIMES, pl.Int64), "approver": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Granted:
    """The grants of a store.

    Attributes:
        spool: A row a grant, split by actor.
        rows: How many there are.
        nameless: How many name no actor or no object, and so grant nothing.
    """

    spool: Spool
    rows: int
    nameless: int


def granted(
    store: Store,
    named: Grants,
    columns: Mapping[str, Column],
    mapping: Mapping[str, str],
    zone: str | None,
    what: str,
    progress: Callable[[int], None] | None = None,
) -> Granted:
    """Read a store of grants.

    Args:
        store: Where they are.
        named: What its columns are called.
        columns: How the item's ``actor`` and ``object`` are read: a grant's are read in the same way.
        mapping: Its own names to those of the contract.
        zone: How naive timestamps are to be read.
        what: What the store is called in messages.
        progress: Called with the number of rows read.

    Raises:
        StoreError: a column is missing, or a time cannot be read.
    """
    theirs = {ours: their for their, ours in mapping.items()}
    roles = {"actor": named.actor, "object": named.object, **named.times}
    if named.approver is not None:
        roles["approver"] = named.approver
    own = {role: theirs.get(name, name) for role, name in roles.items()}
    held = list(store.columns())
    for name in own.values():
        if name not in held:
            raise StoreError(f"no column {name!r} in {store.name}, the {what}", did_you_mean(name, held))
    spool = Spool()
    spool.add(pl.DataFrame(schema=_SCHEMA))
    rows = nameless = 0
    for batch in store.stream(list(dict.fromkeys(own.values()))):
        if progress is not None:
            progress(batch.num_rows)
        arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
        texts = {
            "actor": canonical.read(canonical.flat(arrays[own["actor"]]), columns["actor"], zone).text,
            "object": canonical.read(canonical.flat(arrays[own["object"]]), columns["object"], zone).text,
        }
        if "approver" in own:
            texts["approver"] = canonical.read(canonical.flat(arrays[own["approver"]]), columns["actor"], zone).text
        times = {
            role: _instants(arrays[own[role]], zone, f"{own[role]!r} in {store.name}, the {what}")
            for role in _TIMES
            if role in own
        }
        number = pl.int_range(rows, rows + batch.num_rows, dtype=pl.Int64, eager=True)
        frame = pl.DataFrame({_GRANT: number, **texts, **times})
        missing = [
            pl.lit(None, kind).alias(name) for name, kind in _SCHEMA.items() if name not in (*frame.columns, KEY)
        ]
        frame = frame.with_columns(*missing, _key("actor")).select(list(_SCHEMA))
        rows += batch.num_rows
        whole = frame.filter(pl.col("actor").is_not_null() & pl.col("object").is_not_null())
        nameless += frame.height - whole.height
        spool.add(whole)
    return Granted(spool, rows, nameless)


def _key(actor: str) -> pl.Expr:
    return pl.col(actor).hash(seed=0).alias(KEY)


def _instants(values: pa.Array[Any], zone: str | None, where: str) -> pl.Series:
    read = canonical.read(canonical.flat(values), _TIME, zone)
    if read.unreadable is not None and read.unreadable.any():
        raise StoreError(
            f"{read.unreadable.sum():,} values of {where}, are no times",
            "write them in ISO 8601 with their offset, or say timezone= for this store",
        )
    assert read.instants is not None
    return read.instants


class Permits:
    """Looks at every item of a side, and asks whether its actor had the right to make it.

    Args:
        reader: The side.
        case: Which batches are closed.
        grants: Who may act on what.
    """

    def __init__(self, reader: Reader, case: Case, grants: Granted) -> None:
        assert reader.contract.authorization is not None
        self._reader, self._case, self.grants = reader, case, grants
        self._promise = reader.contract.authorization
        self._columns = [*timed(reader, reader.blank(Slice())).columns, MARK]
        #: What somebody should look at in a review of access: grants and a remark; ``items`` is how often one was used.
        self.review = Log()
        self.begin()

    @property
    def besides(self) -> tuple[str, ...]:
        """The columns that tell who acted on what, where they are not compared."""
        return tuple(name for name in self._promise.columns if name not in self._reader.needed)

    def begin(self) -> None:
        """Forget everything."""
        self._revisions, self._waiting = Spool(), Spool()
        blank = self._reader.blank(Slice()).with_columns(pl.lit(0, pl.UInt64).alias(MARK))
        self._waiting.add(self._by_actor(self._rows(blank, None)))
        self._pieces: list[pl.DataFrame] = []
        self._used: list[pl.DataFrame] = []
        self._found = Log()
        #: How many items needed no grant, by the reason.
        self.exempt: dict[str, int] = {exemption.reason: 0 for exemption in self._promise.exempt}
        #: How many were judged, and of each batch how many could not be.
        self.judged = 0
        self.unknown: list[pl.DataFrame] = []
        self.unknowns: dict[str, int] = {}

    def hear(self, chunk: Chunk, frame: pl.DataFrame) -> None:
        """Judge the items of a chunk, or lay them aside until those of their actors are together."""
        rows = self._rows(frame, chunk)
        if not rows.height:
            return
        for exemption in self._promise.exempt:
            free = pl.all_horizontal(
                pl.col(f"__x.{name}").is_in(
                    pl.Series(self._allowed(name, values), dtype=pl.String).implode(), nulls_equal=True
                )
                for name, values in exemption.where.items()
            )
            rows = rows.with_columns(
                pl.when(pl.col(_EXEMPT).is_null() & free)
                .then(pl.lit(exemption.reason))
                .otherwise(_EXEMPT)
                .alias(_EXEMPT)
            )
        if self._reader.contract.latest_by is not None:
            self._revisions.add(rows)
            return
        if self._few is None:
            self._waiting.add(self._by_actor(rows))
            return
        self._pieces.append(self._by_actor(rows))
        if sum(piece.height for piece in self._pieces) >= _AT_ONCE:
            self._judge_pieces(self._few)

    @cached_property
    def _few(self) -> pl.DataFrame | None:
        """All grants, if they are so few that every item can be asked about when it comes; else nothing."""
        spool = self.grants.spool
        if spool.spilled or self._reader.contract.latest_by is not None:
            return None
        return pl.concat([spool.empty(), *spool.parts()])

    def _judge_pieces(self, grants: pl.DataFrame) -> None:
        pieces, self._pieces = self._pieces, []
        if pieces:
            self._used.append(self._judge(pl.concat(pieces), grants).used)

    def _judge(self, rows: pl.DataFrame, grants: pl.DataFrame) -> Judged:
        """Judge rows of which all grants of their actors are there."""
        items = self._obliged(rows).with_row_index(_ROW)
        self.judged += items.height
        judged = judge(_items(items), grants.drop(KEY), _rules(self._promise.grants, self._promise.within))
        self._keep(items, judged)
        return judged

    def _rows(self, frame: pl.DataFrame, chunk: Chunk | None) -> pl.DataFrame:
        rows, mine = asked_of(self._reader, frame, self._case)
        own = {"actor": self._promise.actor, "object": self._promise.object}
        if self._promise.approver is not None:
            own["approver"] = self._promise.approver
        own |= {f"x.{name}": name for exemption in self._promise.exempt for name in exemption.where}
        told = [self._text(chunk, name).filter(mine).alias(f"__{role}") for role, name in own.items()]
        return rows.with_columns(pl.lit(None, pl.String).alias(_EXEMPT), *told)

    def _by_actor(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The items among rows of which all of the same identities are there, laid out as grants are: by actor.

        The revisions of an item lie together only before: they may be of several actors.
        """
        return answerable(self._reader, rows).with_columns(pl.col(KEY).alias("__home"), _key("__actor"))

    def _text(self, chunk: Chunk | None, name: str) -> pl.Series:
        if chunk is None:
            return pl.Series([], dtype=pl.String)
        if name in chunk.types:
            return chunk.values(name).text
        return canonical.read(chunk.arrays[name], _TEXT, self._reader.zone).text

    def _allowed(self, name: str, values: Iterable[object]) -> list[str | None]:
        if name in self._reader.needed:
            return self._reader.allowed(name, list(values))
        return [None if value is None else str(value) for value in values]

    def exempts(self, row: Mapping[str, object]) -> bool:
        """Tell whether a made-up item would need no grant."""
        return any(
            all(
                str(row[name]) in {str(each) for each in self._allowed(name, values)} if name in row else None in values
                for name, values in exemption.where.items()
            )
            for exemption in self._promise.exempt
        )

    def finish(self) -> None:
        """Judge what is left, and say what a review of access should know."""
        self.review = Log()
        self.review.add(_listed(pl.DataFrame(schema={**_SCHEMA, "items": pl.Int64, "remark": pl.String})))
        if self._few is not None:
            self._judge_pieces(self._few)
            none = pl.DataFrame(schema={_GRANT: pl.Int64, "items": pl.Int64})
            used = pl.concat([none, *self._used]).group_by(_GRANT).agg(pl.col("items").sum())
            self.review.add(self._reviewed(self._few, used))
        else:
            for part in self._revisions.parts():
                self._waiting.add(self._by_actor(part))
            self._revisions.clear()
            for rows, grants in together(self._waiting, self.grants.spool):
                self.review.add(self._reviewed(grants, self._judge(rows, grants).used))
        self._waiting.clear()

    def _obliged(self, items: pl.DataFrame) -> pl.DataFrame:
        """The items that need a grant; the others are counted."""
        for reason, count in items.filter(pl.col(_EXEMPT).is_not_null()).group_by(_EXEMPT).len().iter_rows():
            self.exempt[reason] += count
        return items.filter(pl.col(_EXEMPT).is_null())

    def _keep(self, items: pl.DataFrame, judged: Judged) -> None:
        told = items.join(judged.items, on=_ROW, how="left", maintain_order="left")
        reason, known = pl.col("reason"), pl.col("known")
        if self._promise.approver is not None:
            actor, approver = pl.col("__actor"), pl.col("__approver")
            own = (
                pl.when(approver.is_null())
                .then(pl.lit("approved by nobody"))
                .when(approver == actor)
                .then(pl.lit("approved by the actor themself"))
            )
            both = pl.concat_str(pl.when(known.fill_null(True)).then(reason), own, separator="; ", ignore_nulls=True)
            told = told.with_columns(
                pl.when(own.is_not_null()).then(both).otherwise(reason).alias("reason"),
                (own.is_not_null() | known).alias("known"),
            )
        wrong = told.filter(pl.col("known") & pl.col("reason").is_not_null())
        if wrong.height:
            said = wrong.with_columns(pl.col("reason").alias("__why"), pl.col("__home").alias(KEY))
            self._found.add(said.select(*self._columns, "__why"))
        unknown = told.filter(~pl.col("known") & pl.col("reason").is_not_null())
        if unknown.height:
            self.unknown.append(
                unknown.group_by(self._reader.batch_columns).agg(pl.len().cast(pl.Int64).alias("unjudged"))
            )
            for why, count in unknown.group_by("reason").len().iter_rows():
                self.unknowns[why] = self.unknowns.get(why, 0) + count

    def _reviewed(self, grants: pl.DataFrame, used: pl.DataFrame) -> pl.DataFrame:
        """Say of each grant what a review of access should know."""
        said = grants.drop(KEY).join(used, on=_GRANT, how="left").join(remarks(grants.drop(KEY)), on=_GRANT, how="left")
        ends = pl.min_horizontal("until", "revoked")
        left = pl.col("departed").is_not_null() & (ends.is_null() | (ends > pl.col("departed")))
        stays = pl.when(left).then(pl.lit("its actor has left, and it stays"))
        since, until = self._reader.since, self._reader.until
        begins = pl.col("from").fill_null(pl.lit(-(2**63), pl.Int64))
        over = pl.min_horizontal(ends, "departed")
        # A grant that did not hold while anything was asked about could not be used.
        held = (begins < (until if until is not None else self._case.as_of)) & (
            over.is_null() | ((begins < over) & (pl.lit(since is None) | (over > (since or 0))))
        )
        unused = pl.when(pl.col("items").is_null() & held).then(pl.lit("not used"))
        remark = pl.concat_str("remark", stays, unused, separator="; ", ignore_nulls=True).replace("", None)
        told = said.with_columns(remark.alias("remark"), pl.col("items").fill_null(0).cast(pl.Int64))
        return _listed(told.filter(pl.col("remark").is_not_null()))

    def said(self) -> Iterator[tuple[str, Iterable[pl.DataFrame]]]:
        """Yield the items that nobody had the right to make."""
        yield "unauthorized", self._found.frames()

    @property
    def unjudged(self) -> pl.DataFrame:
        """Of each batch, how many items could not be judged."""
        keys = self._reader.batch_columns
        empty = self._reader.blank(Slice()).select(keys).with_columns(pl.lit(0, pl.Int64).alias("unjudged"))
        return pl.concat([empty.clear(), *self.unknown]).group_by(keys).agg(pl.col("unjudged").sum())


def _items(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        _ROW, pl.col("__actor").alias("actor"), pl.col("__object").alias("object"), pl.col("__event").alias("at")
    )


def _rules(named: Grants, within: str | None) -> Rules:
    return Rules(within, named.begins, named.ends)


def _listed(grants: pl.DataFrame) -> pl.DataFrame:
    times = [pl.col(name).cast(pl.Datetime("us", "UTC")).alias(name) for name in _TIMES]
    return grants.select("remark", "actor", "object", *times, "approver", "items")


@dataclass(frozen=True)
class Approvals:
    """Changes of the destination that were approved. All of them are kept: they are few, or nobody looks at them.

    Attributes:
        grants: A row an approval.
        rules: How they are read.
    """

    grants: pl.DataFrame
    rules: Rules

    @classmethod
    def read(cls, contract: Contract, store: Store, mapping: Mapping[str, str], zone: str | None) -> Approvals:
        """Read the store of approved changes.

        Raises:
            StoreError: a column is missing, or a time cannot be read.
        """
        corrections = contract.corrections
        assert corrections is not None
        columns = {
            role: contract.columns.get(name, _TEXT)
            for role, name in (("actor", corrections.actor), ("object", corrections.object))
        }
        held = granted(store, corrections.grants, columns, mapping, zone, "approved changes")
        with held.spool as spool:
            every = pl.concat([spool.empty(), *spool.parts()]).drop(KEY)
        return cls(every, _rules(corrections.grants, corrections.within))

    def uncovered(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return of which changes nobody approved, ``__row`` and ``reason``.

        Args:
            rows: ``__row``, ``actor``, ``object`` and ``at``.
        """
        return judge(rows, self.grants, self.rules).items.select(_ROW, "reason")


def permits(
    reader: Reader,
    case: Case,
    store: Store,
    mapping: Mapping[str, str],
    zone: str | None,
    progress: Callable[[int], None] | None = None,
) -> Permits:
    """Return who asks the items of a side for their grants.

    Raises:
        StoreError: the side or the store of grants lacks a column, or a time of a grant cannot be read.
    """
    promise = reader.contract.authorization
    assert promise is not None
    held = reader.held
    for name in promise.columns:
        if reader.theirs(name) not in held:
            raise StoreError(
                f"no column {name!r} in {reader.store.name}, so nobody knows who acted on what",
                did_you_mean(name, held),
            )
    columns = {"actor": reader.needed.get(promise.actor, _TEXT), "object": reader.needed.get(promise.object, _TEXT)}
    return Permits(reader, case, granted(store, promise.grants, columns, mapping, zone, "grants", progress))
