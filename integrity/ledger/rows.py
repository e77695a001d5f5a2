"""By which digest is a row of evidence known, and by which root all rows of a run?

A row's digest is the SHA-256 of its table's name and its columns, in the canonical encoding that also binds items
(:mod:`integrity.canonical`): no two different rows have the same text. A commitment is one over a random salt and a
private text; it says nothing of the text to who lacks the salt.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

import polars as pl
import polars_hash as plh
import sqlalchemy as sa

from integrity import canonical
from integrity.merkle import leaf_hash, root_of

__all__ = ["commitments", "digests", "frame_of", "root", "salts", "with_digest"]

_TYPES = {"BIGINT": pl.Int64, "TEXT": pl.String, "BLOB": pl.Binary}


def digests(table: sa.Table, frame: pl.DataFrame) -> pl.Series:
    """Return the digest, in hex, of each row of a frame that has this table's columns."""
    named = [column.name for column in table.columns if column.name not in ("hash", "leaves")]
    texts = [frame[name].cast(pl.String) for name in named]
    name = pl.Series("table", [str(table.name)], dtype=pl.String).new_from_index(0, frame.height)
    return _sha256(canonical.encode([name, *texts]))


def with_digest(table: sa.Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame with the digest of each row in ``hash``."""
    return frame.with_columns(digests(table, frame).alias("hash"))


def salts(count: int) -> pl.Series:
    """Return random salts, 32 hex digits each."""
    octets = secrets.token_hex(16 * count)
    return pl.Series("salt", [octets[i : i + 32] for i in range(0, len(octets), 32)], dtype=pl.String)


def commitments(salt: pl.Series, subject: pl.Series, text: pl.Series) -> pl.Series:
    """Return the commitment, in hex, to each text and the key by which it is found, under its salt."""
    return _sha256(canonical.encode([salt, subject, text]))


def _sha256(texts: pl.Series) -> pl.Series:
    return pl.DataFrame([texts.alias("t")]).select(plh.col("t").chash.sha2_256()).to_series()


def root(digests: Iterable[str]) -> str:
    """Return the Merkle root, in hex, over digests in the order of their rows' numbers."""
    return root_of([leaf_hash(bytes.fromhex(digest)) for digest in digests]).hex()


def frame_of(table: sa.Table, rows: Iterable[Any]) -> pl.DataFrame:
    """Return rows of a table as a frame; what has another type than its column becomes text, and so another digest."""
    listed = list(rows)
    columns = []
    for place, column in enumerate(table.columns):
        wanted = _TYPES[str(column.type)]
        values = [row[place] for row in listed]
        try:
            columns.append(pl.Series(column.name, values, dtype=wanted))
        except (TypeError, OverflowError, pl.exceptions.PolarsError):
            columns.append(pl.Series(column.name, [None if v is None else repr(v) for v in values], dtype=pl.String))
    return pl.DataFrame(columns)
