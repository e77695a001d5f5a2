"""Which files does a path, a folder, a glob or a URL name, and how are they opened, closed and watched while they are read?

Each pass lists them anew and reads them in the order of their names. A file that cannot be read to its end, that another process
changes meanwhile, or that an earlier pass read and this one does not find, is an error: there is no such thing as most of a file.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

import pyarrow as pa

from integrity.errors import MissingExtraError, StoreError, did_you_mean
from integrity.stores.base import Span
from integrity.stores.columns import plain_batches
from integrity.stores.formats import Format, arrow, parquet
from integrity.stores.text_formats import csv, json_lines

__all__ = ["FilesStore"]

_FORMATS: dict[str, Format] = {
    ".parquet": parquet,
    ".csv": csv,
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".arrow": arrow,
    ".feather": arrow,
    ".ipc": arrow,
}
_CODECS = {".gz": "gzip", ".zst": "zstd"}
_KINDS = f"{' '.join(_FORMATS)}, each also with {' or '.join(_CODECS)}"

_EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "abfs": "adls",
    "abfss": "adls",
    "az": "adls",
    "adl": "adls",
}


class FilesStore:
    """The rows of one or more files.

    Args:
        where: A path, a folder (read with all its folders, without what starts with ``_`` or ``.``), a glob pattern, or an fsspec URL
            of one of these.

    Attributes:
        name: What messages call it.
        location: The absolute path or the URL, without user, password and query.
        left_out: Files that were found and are of no kind that can be read.

    Raises:
        StoreError: nothing is there, or nothing of a kind that can be read.
        MissingExtraError: what reads such URLs is not installed.
    """

    def __init__(self, where: str | os.PathLike[str]) -> None:
        text = os.fspath(where)
        self._place: _Place = _Remote(text) if is_url(text) else _Local(text)
        self.name = self._place.name
        self.location = self._place.location
        self.left_out: tuple[str, ...] = ()
        self._seen: set[str] = set()
        self._list()

    def columns(self) -> Sequence[str]:
        """Return the names of the columns of the first file that has any."""
        for file in self._list():
            with _sentences(file):
                if names := file.format.columns(file):
                    return names
        raise self._rowless()

    def stream(self, columns: Sequence[str], span: Span | None = None) -> Iterator[pa.RecordBatch]:
        """Yield every row of every file, but for the row groups of Parquet files that cannot hold a row of the span."""
        known: tuple[str, ...] | None = None
        for file in self._list():
            before = file.stamp()
            with _sentences(file):
                for batch in plain_batches(file.format.batches(file, columns, known or (), span), columns):
                    known = tuple(columns)
                    yield batch
                if file.stamp() != before:
                    raise StoreError(
                        f"{file.name} changed while it was read", "read it when nothing writes to it, or a copy of it"
                    )
            if not file.format.rowless:
                known = tuple(columns)
        if known is None:
            raise self._rowless()

    def _list(self) -> list[_File]:
        """Return the files that can be read, in the order of their names."""
        files: list[_File] = []
        left_out = []
        found = self._place.find()
        for path in sorted(found):
            stem, codec = os.path.splitext(path)
            suffix = os.path.splitext(stem)[1] if codec.lower() in _CODECS else codec
            if file_format := _FORMATS.get(suffix.lower()):
                files.append(_File(self._place, path, file_format, _CODECS.get(codec.lower())))
            else:
                left_out.append(self._place.show(path))
        self.left_out = tuple(left_out)
        if not files:
            there = f"; there are {', '.join(left_out[:3])}" if left_out else ""
            raise StoreError(f"no file in {self.name} is of a kind that can be read{there}", f"these can be: {_KINDS}")
        if gone := self._seen - found:
            raise StoreError(
                f"{self._place.show(min(gone))} was there when {self.name} was read before, and is gone",
                "run again, when nothing moves the files",
            )
        self._seen.update(file.path for file in files)
        # An hour without rows can be a file without lines; any other file has a header at least.
        return [file for file in files if file.size() or not file.format.rowless or len(files) == 1]

    def _rowless(self) -> StoreError:
        return StoreError(f"{self.name} has no line, so nobody knows its columns", "is there a file with rows?")


def is_url(text: str) -> bool:
    """Tell a URL from a path; the letter of a Windows drive is no scheme."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)", text) is not None


class _Place(Protocol):
    """A file system, and what was asked of it."""

    name: str
    location: str

    def find(self) -> set[str]: ...

    def show(self, path: str) -> str: ...

    def open(self, path: str, mapped: bool) -> pa.NativeFile: ...

    def stamp(self, path: str) -> tuple[int, ...]: ...

    def safe(self, text: str) -> str: ...


@dataclass(frozen=True)
class _File:
    """One file to be read: a ``formats.Source``."""

    place: _Place
    path: str
    format: Format
    codec: str | None

    @property
    def name(self) -> str:
        return self.place.show(self.path)

    def stamp(self) -> tuple[int, ...]:
        """Return what changes when the file does; its size first."""
        with _sentences(self):
            return self.place.stamp(self.path)

    def size(self) -> int:
        return self.stamp()[0]

    @contextmanager
    def stream(self) -> Iterator[pa.NativeFile]:
        if not self.size():
            raise StoreError(f"{self.name} is empty: not even a header", "write it again")
        with self.place.open(self.path, mapped=False) as raw:
            if self.codec is None:
                yield raw
            else:
                with pa.CompressedInputStream(raw, self.codec) as stream:
                    yield stream

    @contextmanager
    def random(self, *, mapped: bool = False) -> Iterator[pa.NativeFile]:
        if self.codec is None:
            if not self.size():
                raise StoreError(f"{self.name} is empty: not even a header", "write it again")
            with self.place.open(self.path, mapped) as file:
                yield file
        else:
            # A file without a name, which the operating system removes even if this process is killed.
            with tempfile.TemporaryFile() as copy:
                with self.stream() as stream:
                    shutil.copyfileobj(stream, copy, 1 << 20)
                copy.seek(0)
                yield pa.PythonFile(copy, "r")
