"""How do the log, the store and the outcomes of a drive day lie on disk?"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from integrity.demo.drive.cabinet import Ended, Filed, Stored, Upload
from integrity.demo.drive.names import decomposed
from integrity.demo.writing import holds_day, instant, write_csv
from integrity.errors import UsageError
from integrity.trees.names import key_of, text_of

__all__ = ["SCHEMA", "beyond", "make_room", "write_log", "write_outcomes", "write_store"]

#: Tells a later call that a folder holds a drive day.
SCHEMA: Final = "integrity.demo.drive/1"
#: What the day put into the store, each name ended by NUL: so that nobody else's file is ever removed with it.
_LISTED = "store.list"
_FILES = (
    "drive.db", "drive.db-wal", "drive.db-shm", "drive.db-journal", "grants.csv", "outcomes.csv", "faults.json",
    "result.json",
)  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CREATE = """
CREATE TABLE uploads (
    file_id TEXT, revision INTEGER, path TEXT, kind TEXT, size_bytes INTEGER, sha256 TEXT, md5 TEXT, etag TEXT,
    uploader TEXT, client TEXT, uploaded_at TEXT
);
"""


def make_room(folder: Path) -> None:
    """Remove the drive day that lies in a folder. Refuse to touch, or to mix with, anything that is not one."""
    store, listed = folder / "store", folder / _LISTED
    ours = holds_day(folder, SCHEMA)
    there = [folder / name for name in (*_FILES, _LISTED) if (folder / name).exists()]
    known: set[str] = set()
    if ours and listed.is_file():
        known = {key_of(text_of(name)) for name in listed.read_bytes().split(b"\0")}
    stored = sorted(_below(os.fsencode(store))) if store.is_dir() else []
    foreign = [] if ours else [str(path) for path in there]
    foreign += [f"{store}/{text_of(raw)}" for raw in stored if key_of(text_of(raw)) not in known]
    if foreign:
        raise UsageError(f"{foreign[0]} is not part of an earlier day", "choose another directory")
    for path in there:
        path.unlink()
    if store.exists():
        shutil.rmtree(store)
    store.mkdir(parents=True)


def _below(root: bytes) -> Iterable[bytes]:
    for folder, _, names in os.walk(root):
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep.encode(), b"/")


def beyond(folder: Path) -> frozenset[str]:
    """Return the names of the faults that the disk of a folder cannot hold: not every one keeps every name."""
    found: set[str] = set()
    with tempfile.TemporaryDirectory(dir=folder) as here:
        root = os.fsencode(here)
        for name in ("각", decomposed("각")):
            _write(os.path.join(root, name.encode()), b"")
        if len(os.listdir(root)) < 2:
            found |= {"masked loss", "stored in two spellings", "two files, one name", "folder in two spellings"}
        tries = {
            "not UTF-8": partial(_write, os.path.join(root, "각.txt".encode("cp949")), b""),
            "became a link": partial(_link, os.path.join(root, b"link"), "각", 0),
        }
        for name, attempt in tries.items():
            try:
                attempt()
            except (OSError, UnicodeError, NotImplementedError):
                found.add(name)
    return frozenset(found)


# The store ------------------------------------------------------------------------------------------------


def write_store(folder: Path, stored: Sequence[Stored]) -> int:
    """Write what is stored, each with the moment of its storing as the time of its change; return how many octets."""
    root = os.fsencode(folder / "store")
    (folder / _LISTED).write_bytes(b"\0".join(each.raw for each in stored))
    made: set[bytes] = set()
    for each in stored:
        path = os.path.join(root, each.raw)
        above = os.path.dirname(path)
        if above not in made:
            made.add(above)
            os.makedirs(above, exist_ok=True)
        at = (each.at - _EPOCH) // timedelta(microseconds=1) * 1_000
        if each.target is not None:
            _link(path, each.target, at)
            continue
        _write(path, each.data)
        os.utime(path, ns=(at, at))
    return sum(len(each.data) for each in stored)


def _write(path: bytes, data: bytes) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(data)


def _link(path: bytes, target: str, at: int) -> None:
    os.symlink(target.encode(), path)
    os.utime(path, ns=(at, at), follow_symlinks=False)


# The log --------------------------------------------------------------------------------------------------


def write_log(path: Path, filed: Iterable[Filed]) -> int:
    """Write the log of uploads, file by file; return how many rows it has."""
    rows = [_row(upload) for each in filed for upload in each.logged]
    with closing(sqlite3.connect(path)) as database:
        # A new file that nobody reads yet needs no journal; the reader finds one plain file.
        database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_CREATE}")
        database.executemany("INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        database.commit()
    return len(rows)


def _row(upload: Upload) -> tuple[Any, ...]:
    return tuple(instant(value.astimezone(UTC)) if isinstance(value, datetime) else value for value in astuple(upload))


def write_outcomes(path: Path, outcomes: Iterable[Ended]) -> None:
    """Write what became of files that ended elsewhere."""
    write_csv(path, Ended._fields, [(each.path, each.outcome, each.at.isoformat()) for each in outcomes])
