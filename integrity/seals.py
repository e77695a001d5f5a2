"""Do both sides hold the very same items, also against someone who can choose them?

A sum of fingerprints shows accidents; whoever may choose records can make two different batches with one sum. A seal
cannot be had twice: it is the root of a Merkle tree (RFC 6962) over the whole fingerprints of a batch, 32 octets each,
sorted, copies and all. It also lets anybody who knows an item ask later whether it was in the batch.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import polars as pl

from integrity import canonical
from integrity.columns import Column, ColumnType
from integrity.contracts import Contract
from integrity.errors import UsageError, did_you_mean
from integrity.merkle import leaf_hash, root_of
from integrity.spool import KEY, Spool
from integrity.values import Unreadable, canonical_value

__all__ = ["Sealer", "Seals", "compared", "fingerprint_of", "words"]

_SIDES = ("source", "destination")


def words(contract: Contract) -> list[str]:
    """The columns of a row's fingerprint, 64 bits each: half of it, or all of it where the contract is sealed."""
    return [f"__w{i}" for i in range(4 if contract.seal else 2)]


class Sealer:
    """Keeps the fingerprints of some rows of one side, batch by batch, on disk where they are many.

    Args:
        keys: The columns that name a batch.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = list(keys)
        self._words = [f"__w{i}" for i in range(4)]
        self._spool = Spool()
        self._roots: pl.DataFrame | None = None
        weakref.finalize(self, self._spool.clear)

    def add(self, rows: pl.DataFrame) -> None:
        """Keep the fingerprints of some rows; none any more when they were read."""
        kept = rows.select(*self._keys, *self._words)
        # All rows of a batch lie together, so that it is whole whenever it is read.
        self._spool.add(kept.with_columns(pl.struct(self._keys).hash(seed=0).alias(KEY)))

    def of(self, batches: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Yield the rows of some batches, whole batches at a time: their columns, and the words, in order."""
        for part in self._spool.parts():
            mine = part.drop(KEY).join(batches, on=self._keys, how="semi", nulls_equal=True)
            if mine.height:
                yield mine.sort(*self._keys, *self._words)

    def roots(self) -> pl.DataFrame:
        """The root of each batch: the batch columns, ``records`` and ``root``. Computed once; nothing is added then."""
        if self._roots is None:
            self._roots = self._computed()
        return self._roots

    def _computed(self) -> pl.DataFrame:
        schema = dict.fromkeys(self._keys[:-1], pl.String) | {self._keys[-1]: pl.Int64}
        frames = [pl.DataFrame(schema={**schema, "records": pl.Int64, "root": pl.String})]
        for part in self._spool.parts():
            ordered = part.sort(*self._keys, *self._words)
            batches = ordered.group_by(self._keys, maintain_order=True).agg(pl.len().cast(pl.Int64).alias("records"))
            prints, ends = _octets(ordered), batches["records"].cum_sum().to_list()
            roots = [_root(prints[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
            frames.append(batches.with_columns(pl.Series("root", roots, dtype=pl.String)))
        return pl.concat(frames)


def _octets(ordered: pl.DataFrame) -> list[bytes]:
    """The fingerprints of some rows."""
    octets = ordered.select("__w0", "__w1", "__w2", "__w3").to_numpy().astype(">u8").tobytes()
    return [octets[i : i + 32] for i in range(0, len(octets), 32)]


def _root(prints: Sequence[bytes]) -> str:
    return "sha256:" + root_of([leaf_hash(octets) for octets in prints]).hex()


@dataclass(frozen=True)
class Seals:
    """The seals of what was compared.

    Attributes:
        roots: The batch columns, ``side``, ``records`` and ``root``.
        parts: Of each side the sealers, and the batches for which each speaks.
    """

    roots: pl.DataFrame
    parts: tuple[tuple[str, Sealer, pl.DataFrame], ...]

    def fingerprints(self) -> Iterator[pl.DataFrame]:
        """Yield the fingerprints, sorted, of some whole batches of a side: batch columns, ``side``, ``fingerprint``.

        Of a batch that both sides have alike, only the source's.
        """
        keys = [name for name in self.roots.columns if name not in ("side", "records", "root")]
        here, there = (self.roots.filter(side=side).select(*keys, "root") for side in _SIDES)
        alike = here.join(there, on=[*keys, "root"], how="semi", nulls_equal=True).select(keys)
        for side, sealer, batches in self.parts:
            told = batches.join(alike, on=keys, how="anti", nulls_equal=True) if side == "destination" else batches
            for rows in sealer.of(told):
                texts = pl.Series("fingerprint", [octets.hex() for octets in _octets(rows)])
                yield rows.select(keys).with_columns(pl.lit(side).alias("side"), texts)


def compared(parts: Sequence[tuple[str, Sealer, pl.DataFrame]]) -> Seals:
    """Return the seals of both sides, each part of them for some batches."""
    rows = []
    for side, sealer, batches in parts:
        roots = sealer.roots()
        mine = roots.join(batches, on=batches.columns, how="semi", nulls_equal=True)
        rows.append(mine.with_columns(pl.lit(side).alias("side")))
    return Seals(pl.concat(rows), tuple(parts))


def fingerprint_of(contract: Contract, item: Mapping[str, object], *, timezone: str | None = None) -> str:
    """Return the fingerprint of one item, 64 hex digits: by it an auditor asks whether the item was in a batch.

    Args:
        contract: Under which it was processed.
        item: Its identity, event time and content, as Python values or as text.
        timezone: How naive timestamps are to be read.

    Raises:
        UsageError: a column is missing, or its value cannot be read as declared.

    Example:
        >>> notes = Contract(name="notes", version=1, identity=["id"], content={"body": "text"})
        >>> fingerprint_of(notes, {"id": "1", "body": "a"})[:16]
        'f90f3f47c9382608'
    """
    columns = dict(contract.identity)
    if contract.clock is not None and contract.clock.carried:
        columns[contract.clock.event.name] = Column(type=ColumnType.TIMESTAMP, unit=contract.clock.event.unit)
    columns |= contract.content
    values = []
    for name, column in columns.items():
        if name not in item:
            raise UsageError(f"the item has no {name!r}", did_you_mean(name, item))
        value = canonical_value(item[name], column, timezone)
        if isinstance(value, Unreadable):
            problem = f"{name} of the item, {item[name]!r}, is no {column.type.value}"
            raise UsageError(problem, "give it as the source has it")
        values.append(canonical.declared(pl.Series(name, [value], dtype=pl.String), column))
    return sha256(canonical.encode(values)[0].encode()).hexdigest()
