"""Which digests are known from an earlier run, of a file that looks as it did then?

That a file looks the same (path, size, times, number) does not prove that it is: bits rot without a trace. So nothing
is remembered unless somebody asks for it, and what was remembered is said.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from types import TracebackType
from typing import Final, NamedTuple, Self

from integrity.errors import StoreError

__all__ = ["HashCache", "Remembered"]

_FORM: Final = 1
#: A file that was changed so shortly before it was read may change again without looking changed: some systems count
#: whole seconds, or two of them.
_SETTLED: Final = 3_000_000_000
_WRITTEN_AT_ONCE: Final = 1_000


class Remembered(NamedTuple):
    """Digests of a file, and when they were computed: microseconds since the epoch, UTC."""

    digests: Mapping[str, str]
    at: int


class HashCache:
    """Digests by tree, path and stamp, in a SQLite file. Use as a context manager.

    Args:
        path: The file; it is made if it is not there.
        tree: Whose files these are.

    Raises:
        StoreError: it cannot be opened or written, or is no such file.
    """

    def __init__(self, path: str, tree: str) -> None:
        self._path, self._tree = os.path.expanduser(path), tree
        self._waiting: list[tuple[str, bytes, str, str, int]] = []

    def __enter__(self) -> Self:
        try:
            self._connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
            with closing(self._connection.execute("PRAGMA user_version")) as said:
                form = said.fetchone()[0]
            if form == 0:
                self._connection.executescript(
                    "PRAGMA journal_mode = WAL;"
                    "CREATE TABLE IF NOT EXISTS files (tree TEXT, path BLOB, stamp TEXT, digests TEXT, at INTEGER,"
                    " PRIMARY KEY (tree, path)) WITHOUT ROWID;"
                    f"PRAGMA user_version = {_FORM};"
                )
            elif form != _FORM:
                raise self._broken(f"of form {form}, which is not known here")
        except sqlite3.Error as error:
            raise self._broken(str(error)) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self._write()
        finally:
            self._connection.close()

    def known(self, path: bytes, stamp: tuple[int | str, ...], names: Iterable[str]) -> Remembered | None:
        """Return what is known of a file, if it looks as it did and all of these digests are known."""
        try:
            with closing(
                self._connection.execute(
                    "SELECT stamp, digests, at FROM files WHERE tree = ? AND path = ?", (self._tree, path)
                )
            ) as found:
                row = found.fetchone()
        except sqlite3.Error as error:
            raise self._broken(str(error)) from error
        if row is None or row[0] != json.dumps(stamp):
            return None
        digests: dict[str, str] = json.loads(row[1])
        return Remembered(digests, row[2]) if all(name in digests for name in names) else None

    def remember(
        self, path: bytes, stamp: tuple[int | str, ...], digests: Mapping[str, str], at: int, modified_at: int | None
    ) -> None:
        """Keep what was computed, unless the file was changed so lately that it could change and look the same."""
        if modified_at is None or (at - modified_at) * 1000 < _SETTLED:
            return
        self._waiting.append((self._tree, path, json.dumps(stamp), json.dumps(dict(digests)), at))
        if len(self._waiting) >= _WRITTEN_AT_ONCE:
            self._write()

    def _write(self) -> None:
        if not self._waiting:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", self._waiting)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._broken(str(error)) from error
        self._waiting.clear()

    def _broken(self, why: str) -> StoreError:
        return StoreError(
            f"the cache of digests {self._path} cannot be used: {why}", "name another file, or delete this one"
        )
