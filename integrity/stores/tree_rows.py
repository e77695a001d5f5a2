"""What is a file, or what is claimed of one, as a row?

A tree and a manifest yield rows of the same columns, so that either can be compared with the other, and with any table
that calls its columns so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import polars as pl
import pyarrow as pa

from integrity.stores.trees import Entry
from integrity.trees.digests import DIGESTS

__all__ = ["COLUMNS", "EXACT", "Row", "batch_of"]

#: Text as Arrow has always had it, which every reader of a store knows.
_COPIED: Final = pl.CompatLevel.oldest()
_MOMENT: Final = pa.timestamp("us", "UTC")
#: A digest of the name, in the octets in which it is spelled, and of the content: equal, if both are.
EXACT: Final = "exact_sha256"
#: What a row of a tree holds. Times are UTC.
#:
#: - ``path``: below the root, spelled as the tree spells it; ``raw_path`` the same in octets. ``name`` is its last
#:   part, ``top`` the first, of a path that has several: what a contract excludes by.
#: - ``kind``: ``file``, ``link``, ``socket``, ``pipe`` or ``device``; ``target``: where a link leads to.
#: - ``size_bytes``; the digests by their names, lower-case hexadecimal; ``hashed_at``: when they were computed.
#: - ``modified_at``: what whoever wrote it says; ``stored_at``: what the place itself says, where it does.
#: - ``permissions``, ``owner``.
#: - ``begun_at``: since when it is on its way; such a row is no file, and has nothing but its path.
#: - ``defects``: what is wrong with it, in words. Such a file is invalid.
COLUMNS: Final[dict[str, pa.DataType]] = {
    "path": pa.string(),
    "raw_path": pa.binary(),
    "name": pa.string(),
    "top": pa.string(),
    "kind": pa.string(),
    "size_bytes": pa.int64(),
    **dict.fromkeys(DIGESTS, pa.string()),
    EXACT: pa.string(),
    "modified_at": _MOMENT,
    "stored_at": _MOMENT,
    "hashed_at": _MOMENT,
    "permissions": pa.string(),
    "owner": pa.string(),
    "target": pa.string(),
    "begun_at": _MOMENT,
    "defects": pa.string(),
}


class Row(NamedTuple):
    """A file, and what was found in it.

    Attributes:
        entry: What a listing or a manifest says.
        digests: By name.
        hashed_at: When they were computed from the octets; ``None`` where somebody else told them.
        modified_at: When it was last changed, as is known after reading it.
        defects: What is wrong with it, in words.
    """

    entry: Entry
    digests: Mapping[str, str]
    hashed_at: int | None
    modified_at: int | None
    defects: str | None


def batch_of(rows: Sequence[Row], columns: Sequence[str]) -> pa.RecordBatch:
    """Return rows as Arrow, with these columns."""
    arrays = [_array([*map(_GETTERS[name], rows)], COLUMNS[name]) for name in columns]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _exact(row: Row) -> str | None:
    sha256 = row.digests.get("sha256")
    return None if sha256 is None else hashlib.sha256(f"{row.entry.path}\0{sha256}".encode()).hexdigest()


def _target(row: Row) -> str | None:
    return None if row.entry.target is None else row.entry.target.decode(errors="backslashreplace")


def _digest(name: str) -> Callable[[Row], str | None]:
    return lambda row: row.digests.get(name)


_GETTERS: Final[Mapping[str, Callable[[Row], Any]]] = {
    "path": lambda row: row.entry.path,
    "raw_path": lambda row: row.entry.raw,
    "name": lambda row: row.entry.path.rpartition("/")[2],
    "top": lambda row: row.entry.path.partition("/")[0] if "/" in row.entry.path else None,
    "kind": lambda row: row.entry.kind if row.entry.begun_at is None else None,
    "size_bytes": lambda row: row.entry.size,
    **{name: _digest(name) for name in DIGESTS},
    EXACT: _exact,
    "modified_at": lambda row: row.modified_at,
    "stored_at": lambda row: row.entry.stored_at,
    "hashed_at": lambda row: row.hashed_at,
    "permissions": lambda row: row.entry.permissions,
    "owner": lambda row: row.entry.owner,
    "target": _target,
    "begun_at": lambda row: row.entry.begun_at,
    "defects": lambda row: row.defects,
}


def _array(values: list[Any], arrow_type: pa.DataType) -> pa.Array[Any]:
    # By Polars, because pyarrow loads pandas to look at Python's values.
    if arrow_type == _MOMENT:
        return pl.Series(values, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")).to_arrow()
    kinds = {pa.string(): pl.String, pa.int64(): pl.Int64, pa.binary(): pl.Binary}
    return pl.Series(values, dtype=kinds[arrow_type]).to_arrow(compat_level=_COPIED)
