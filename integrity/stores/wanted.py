"""By which digest does the other side know each file?

One object was uploaded at once and has an MD5, the next in parts and has an ETag of parts, a third has a SHA-256. What
is compared like with like has to be computed so, file by file: the other side is asked first, and what it says waits on
disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
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
            self._kept.execute(
                "CREATE TABLE wanted (path, digest, value, PRIMARY KEY (path, digest, value)) WITHOUT ROWID"
            )
            self._kept.execute("BEGIN")
            for batch in self._other.rows(columns):
                paths, *digests = (column.to_pylist() for column in batch.columns)
                rows = []
                for path, *values in zip(paths, *digests, strict=True):
                    name = strongest(name for name, value in zip(self._told, values, strict=True) if value)
                    if isinstance(path, str) and name is not None:
                        value = str(values[self._told.index(name)]) if name == "etag" else ""
                        rows.append((key_of(path), name, value))
                self._kept.executemany("INSERT OR IGNORE INTO wanted VALUES (?, ?, ?)", rows)
        except (sqlite3.Error, UnicodeError) as error:
            raise StoreError(
                f"what {self._other.store.name} tells of its files cannot be kept: {error}",
                "point SQLITE_TMPDIR at a larger disk",
            ) from error

    def of(self, path: str) -> tuple[tuple[str, str], ...]:
        """Return the digests that are wanted of a file, each with its value where that says how to compute it.

        There are several where the other side tells of it several times: of its revisions, or of two files of one name.
        """
        found = self._kept.execute("SELECT digest, value FROM wanted WHERE path = ?", (key_of(path),))
        return tuple(found.fetchall()) or ((self._told[0], ""),)
