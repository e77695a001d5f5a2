"""By which digest does the other side know each file?

One object was uploaded at once and has an MD5, the next in parts and has an ETag of parts, a third has a SHA-256. What
is compared like with like has to be computed so, file by file: the other side is asked first, and what it says waits on
disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from types import TracebackType
from typing import Self

from integrity.errors import StoreError
from integrity.stores.base import Counterpart
from integrity.trees.digests import strongest
from integrity.trees.names import key_of

__all__ = ["Wanted"]


class Wanted:
    """The digest that is wanted of each path. Use as a context manager: what it keeps on disk goes when it closes.

    Args:
        other: The side that tells.
        told: The digests that some of its rows tell, in the order in which they are wanted.
    """

    def __init__(self, other: Counterpart, told: Sequence[str]) -> None:
        self._other, self._told = other, tuple(told)

    def __enter__(self) -> Self:
        self._kept = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        try:
            self._fill()
        except BaseException:
            self._kept.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._kept.close()

    def _fill(self) -> None:
        columns = ["path", *self._told]
        try:
            self._kept.execute("CREATE TABLE wanted (path TEXT PRIMARY KEY, digest TEXT, value TEXT) WITHOUT ROWID")
            self._kept.execute("BEGIN")
            for batch in self._other.rows(columns):
                paths, *digests = (column.to_pylist() for column in batch.columns)
                rows = []
                for path, *values in zip(paths, *digests, strict=True):
                    name = strongest(name for name, value in zip(self._told, values, strict=True) if value)
                    if isinstance(path, str) and name == "etag":
                        rows.append((key_of(path), name, values[self._told.index(name)]))
                    elif isinstance(path, str) and name not in (None, self._told[0]):
                        rows.append((key_of(path), name, None))  # what is wanted of most need not be kept for each
                self._kept.executemany("INSERT OR REPLACE INTO wanted VALUES (?, ?, ?)", rows)
        except (sqlite3.Error, UnicodeError) as error:
            raise StoreError(
                f"what {self._other.store.name} tells of its files cannot be kept: {error}",
                "point SQLITE_TMPDIR at a larger disk",
            ) from error

    def of(self, path: str) -> tuple[str, str | None]:
        """Return the digest that is wanted of a file, and its value where that says how to compute it."""
        with closing(self._kept.execute("SELECT digest, value FROM wanted WHERE path = ?", (key_of(path),))) as found:
            row = found.fetchone()
        return (self._told[0], None) if row is None else (row[0], row[1])
