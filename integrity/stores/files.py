"""How are the rows of files read: which of them, in which order, and from their first byte to their last?

Each pass lists them anew and reads them in the order of their names. A file that cannot be read to its end,
that another process changes meanwhile, or that an earlier pass read and this one does not find, is an error:
there is no such thing as most of a file.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from integrity.errors import StoreError
from integrity.stores.base import Span
from integrity.stores.columns import plain_batches
from integrity.stores.formats import Format, arrow, parquet
from integrity.stores.places import Place, place_of
from integrity.stores.showing import ShownStore
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
_CODECS: dict[str, Literal["gzip", "zstd"]] = {".gz": "gzip", ".zst": "zstd"}
_KINDS = f"{' '.join(_FORMATS)}, each also with {' or '.join(_CODECS)}"


class FilesStore(ShownStore):
    """The rows of one or more files.

    Args:
        where: A path, a folder, a glob pattern, or an fsspec URL of one of these. Folders are read with the
            folders in them, but for what starts with ``_`` or ``.``.

    Attributes:
        name: What messages call it.
        location: The absolute path or the URL, without user, password and query.
        left_out: Files that were found and are of no kind that can be read.

    Raises:
        StoreError: nothing is there, or nothing of a kind that can be read.
        MissingExtraError: what reads such URLs is not installed.
    """

    def __init__(self, where: str | os.PathLike[str]) -> None:
        self._place = place_of(os.fspath(where))
        self.name = self._place.name
        self.location = self._place.location
        self.left_out: tuple[str, ...] = ()
        self._seen: set[str] = set()
        self._list()

    def columns(self) -> Sequence[str]:
        """Return the names of the columns of the first file that has any."""
        for file in self._list():
            with file.sentences():
                if names := file.format.columns(file):
                    return names
        raise self._rowless()

    def types(self) -> Mapping[str, pa.DataType]:
        """Return the types of the first file's columns; CSV and JSON have none."""
        for file in self._list():
            if file.format.types is not None:
                with file.sentences():
                    return file.format.types(file)
        return {}

    def stream(self, columns: Sequence[str], span: Span | None = None) -> Iterator[pa.RecordBatch]:
        """Yield every row of every file, but for Parquet row groups that cannot hold a row of the span."""
        known: tuple[str, ...] | None = None
        for file in self._list():
            with file.sentences():
                before = file.stamp()
                for batch in plain_batches(file.format.batches(file, columns, known or (), span), columns):
                    known = tuple(columns)
                    yield batch
                if file.stamp() != before:
                    raise StoreError(
                        f"{file.name} changed while it was read",
                        "read it when nothing writes to it, or a copy of it",
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
            stem, codec = os.path.splitext(self._place.spelled(path))
            suffix = os.path.splitext(stem)[1] if codec.lower() in _CODECS else codec
            if file_format := _FORMATS.get(suffix.lower()):
                files.append(_File(self._place, path, file_format, _CODECS.get(codec.lower())))
            else:
                left_out.append(self._place.show(path))
        self.left_out = tuple(left_out)
        if not files:
            shown = f"; there are {', '.join(left_out[:3])}" if len(left_out) > 1 else ""
            raise StoreError(
                f"{self.name} is or holds no file of a kind that can be read{shown}",
                f"these can be: {_KINDS}; to compare files themselves write tree:PATH",
            )
        if gone := self._seen - found:
            raise StoreError(
                f"{self._place.show(min(gone))} was there when {self.name} was read before, and is gone",
                "run again, when nothing moves the files",
            )
        self._seen.update(file.path for file in files)
        # An hour without rows can be a file without lines; any other file has a header at least.
        return [file for file in files if len(files) == 1 or not file.format.rowless or not file.is_empty()]

    def _rowless(self) -> StoreError:
        return StoreError(f"{self.name} has no line, so nobody knows its columns", "is there a file with rows?")


@dataclass(frozen=True)
class _File:
    """One file to be read: a ``formats.Source``."""

    place: Place
    path: str
    format: Format
    codec: Literal["gzip", "zstd"] | None

    @property
    def name(self) -> str:
        return self.place.show(self.path)

    @contextmanager
    def stream(self) -> Iterator[pa.NativeFile]:
        with self._open(mapped=False) as raw:
            if self.codec is None:
                yield raw
            else:
                with pa.CompressedInputStream(raw, self.codec) as stream:
                    yield stream

    @contextmanager
    def random(self, *, mapped: bool = False) -> Iterator[pa.NativeFile]:
        if self.codec is None:
            with self._open(mapped=mapped) as file:
                yield file
        else:
            # A file without a name: the operating system removes it even if this process is killed.
            with tempfile.TemporaryFile() as copy:
                with self.stream() as stream:
                    shutil.copyfileobj(stream, copy, 1 << 20)
                copy.seek(0)
                yield pa.PythonFile(copy, "r")

    def stamp(self) -> tuple[object, ...]:
        return self.place.stamp(self.path)

    def is_empty(self) -> bool:
        with self.sentences():
            return self.stamp()[0] == 0

    def _open(self, *, mapped: bool) -> pa.NativeFile:
        if self.is_empty():
            raise StoreError(f"{self.name} is empty: not even a header", "write it again")
        return self.place.open(self.path, mapped=mapped)

    @contextmanager
    def sentences(self) -> Iterator[None]:
        """Turn what happens while the file is read into a sentence that names it."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            problem = self.place.problem(self.path, error)
            if problem is None:
                raise
            raise problem from None  # what the libraries say may quote the URL, and with it a password
