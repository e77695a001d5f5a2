"""Which files does a path, a folder, a glob or a URL name, and how are they opened, closed and watched while
they are read?

Each pass lists them anew and reads them in the order of their names. A file that cannot be read to its end,
that another process changes meanwhile, or that an earlier pass read and this one does not find, is an error:
there is no such thing as most of a file.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal, Protocol
from urllib.parse import unquote

import pyarrow as pa

from integrity.errors import MissingExtraError, StoreError, did_you_mean
from integrity.stores.base import Span
from integrity.stores.columns import plain_batches
from integrity.stores.formats import Format, arrow, parquet
from integrity.stores.text_formats import csv, json_lines

__all__ = ["FilesStore", "is_url"]

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
        where: A path, a folder (read with all its folders, without what starts with ``_`` or ``.``), a glob
        pattern, or an fsspec URL
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
            with file.sentences():
                if names := file.format.columns(file):
                    return names
        raise self._rowless()

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
            stem, codec = os.path.splitext(path)
            suffix = os.path.splitext(stem)[1] if codec.lower() in _CODECS else codec
            if file_format := _FORMATS.get(suffix.lower()):
                files.append(_File(self._place, path, file_format, _CODECS.get(codec.lower())))
            else:
                left_out.append(self._place.show(path))
        self.left_out = tuple(left_out)
        if not files:
            there = f"; there are {', '.join(left_out[:3])}" if left_out else ""
            raise StoreError(
                f"no file in {self.name} is of a kind that can be read{there}", f"these can be: {_KINDS}"
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
        return StoreError(
            f"{self.name} has no line, so nobody knows its columns", "is there a file with rows?"
        )


class _Place(Protocol):
    """A file system, and what was asked of it."""

    name: str
    location: str

    def find(self) -> set[str]:
        """Return the files that are meant, or raise what a person can act on."""
        ...

    def show(self, path: str) -> str:
        """Return what messages call a file."""
        ...

    def open(self, path: str, *, mapped: bool) -> pa.NativeFile: ...

    def stamp(self, path: str) -> tuple[object, ...]:
        """Return what changes when the file does; its size first."""
        ...

    def problem(self, path: str, error: Exception) -> StoreError | None:
        """Return the sentence for what its libraries raise; ``None`` for what can only be a bug."""
        ...


@dataclass(frozen=True)
class _File:
    """One file to be read: a ``formats.Source``."""

    place: _Place
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


def _broken(name: str, error: Exception, reason: str) -> StoreError:
    if isinstance(error, FileNotFoundError):
        return StoreError(f"{name} is no longer there", "run again, when nothing moves the files")
    return StoreError(
        f"{name} cannot be read to its end: {reason.partition(chr(10))[0].rstrip('.')}",
        "write or fetch it again",
    )


def _visible(names: Iterable[str]) -> list[str]:
    """Leave out what other programs hide in folders: ``_SUCCESS``, ``_temporary/``, ``.crc``."""
    return [name for name in names if not name.startswith(("_", "."))]


def _is_visible(path: str, pattern: str, separator: str) -> bool:
    """Tell whether what a glob pattern found is visible, in the part that the pattern does not spell out."""
    places = zip_longest(path.split(separator), pattern.split(separator), fillvalue="*")
    return all(
        found == spelled or spelled.startswith(("_", ".")) or _visible([found]) for found, spelled in places
    )


class _Local:
    """Files that the operating system knows."""

    def __init__(self, text: str) -> None:
        if "\0" in text:
            raise StoreError("a path cannot hold a NUL character", "check what it was made from")
        self._given = text
        self._folder = os.getcwd()  # as it is now: a later pass reads the same files
        self._path = os.path.join(self._folder, os.path.expanduser(text))
        self.location = _printable(os.path.normpath(self._path))
        parts = self.location.rsplit(os.sep, 2)
        self.name = os.sep.join(parts[-2:]) if glob.has_magic(parts[-1]) else parts[-1] or self.location

    def find(self) -> set[str]:
        try:
            if os.path.isdir(self._path):
                return set(self._walk(self._path))
            if os.path.exists(self._path):
                if os.path.isfile(self._path):
                    return {self._path}
                raise StoreError(
                    f"{self.show(self._path)} is neither a file nor a folder", "write it to a file first"
                )
            if glob.has_magic(self._path):
                return self._glob()
        except OSError as error:
            raise StoreError(f"{self.name} cannot be listed: {_printable(str(error))}") from error
        missing = self._path
        while not os.path.isdir(parent := os.path.dirname(missing.rstrip(os.sep))):
            missing = parent
        raise StoreError(
            f"there is no {self.show(missing)}",
            did_you_mean(os.path.basename(missing.rstrip(os.sep)), _visible(os.listdir(parent))),
        )

    def _glob(self) -> set[str]:
        found: set[str] = set()
        for path in glob.iglob(self._path, recursive=True):
            if not _is_visible(path, self._path, os.sep):
                continue
            if os.path.isdir(path):
                found.update(self._walk(path))
            else:
                found.add(path)
        if not found:
            raise StoreError(
                f"no file matches {_printable(self._given)}", "check the pattern and the current folder"
            )
        return found

    def _walk(self, root: str) -> Iterator[str]:
        def fail(error: OSError) -> None:
            raise error  # os.walk goes on without the folder

        seen = set()
        for folder, folders, names in os.walk(root, onerror=fail, followlinks=True):
            real = os.path.realpath(folder)
            folders[:] = [] if real in seen else _visible(folders)
            if real in seen:
                continue
            seen.add(real)
            for name in _visible(names):
                path = os.path.join(folder, name)
                if os.path.isfile(path) or not os.path.exists(
                    path
                ):  # a dangling link is to be seen; a pipe is not
                    yield path

    def show(self, path: str) -> str:
        inside = not os.path.isabs(self._given) and path.startswith(self._folder + os.sep)
        return _printable(os.path.relpath(path, self._folder) if inside else path)

    def open(self, path: str, *, mapped: bool) -> pa.NativeFile:
        return pa.memory_map(path) if mapped else pa.OSFile(path, "r")

    def stamp(self, path: str) -> tuple[object, ...]:
        status = os.stat(path)
        return status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev

    def problem(self, path: str, error: Exception) -> StoreError | None:
        if isinstance(error, (OSError, pa.ArrowException)):
            return _broken(self.show(path), error, _printable(str(error)))
        return None


def _printable(text: str) -> str:
    """Return a text that can be written anywhere: a file's name need not be UTF-8."""
    return text.encode(errors="backslashreplace").decode()


class _Remote:
    """Files behind an fsspec URL. Its user, password and query are used, and never shown."""

    def __init__(self, url: str) -> None:
        shown, self._secrets = _without_secrets(url)
        self.location = _printable(shown)
        self.name = self.location.rstrip("/").rpartition("/")[2] or self.location
        import fsspec.core

        try:
            self._fs, self._path = fsspec.core.url_to_fs(url)
        except ImportError as error:
            schemes = re.findall(r"([A-Za-z0-9]+)(?:://|::)", url)
            extra = next((_EXTRAS[scheme] for scheme in schemes if scheme in _EXTRAS), None)
            if extra is not None:
                raise MissingExtraError(f"reading {schemes[-1]}:// URLs", extra) from None
            # What fsspec says here names packages and not the URL.
            raise StoreError(
                f"{schemes[-1]}:// URLs need a package that is not installed", str(error)
            ) from None
        except Exception as error:
            raise StoreError(f"{self.location} cannot be opened: {self._safe(str(error))}") from None

    def find(self) -> set[str]:
        try:
            self._fs.invalidate_cache()
            path = self._path
            if self._fs.isfile(path):
                return {path}
            if self._fs.isdir(path):
                return self._walk(path)
            if not glob.has_magic(path):
                raise self._missing()
            found: set[str] = set()
            for match, info in self._fs.glob(path, detail=True).items():
                if _is_visible(match, path, "/"):
                    found |= self._walk(match) if info["type"] == "directory" else {match}
            if not found:
                raise StoreError(f"no file matches {self.location}", "check the pattern")
        except StoreError:
            raise
        except Exception as error:
            raise StoreError(f"{self.location} cannot be listed: {self._safe(str(error))}") from None
        return found

    def _walk(self, root: str) -> set[str]:
        root = root.rstrip("/") + "/"
        files: list[str] = self._fs.find(root)
        return {
            path for path in files if len(_visible(parts := path.removeprefix(root).split("/"))) == len(parts)
        }

    def _missing(self) -> StoreError:
        parent, _, name = self._path.rstrip("/").rpartition("/")
        try:
            siblings = [path.rstrip("/").rpartition("/")[2] for path in self._fs.ls(parent, detail=False)]
        except FileNotFoundError:
            siblings = []
        return StoreError(f"there is no {self.location}", did_you_mean(name, _visible(siblings)))

    def show(self, path: str) -> str:
        return self._safe(self._fs.unstrip_protocol(path))

    def open(self, path: str, *, mapped: bool) -> pa.NativeFile:
        return pa.PythonFile(self._fs.open(path, "rb"), "r")

    def stamp(self, path: str) -> tuple[object, ...]:
        info = self._fs.info(path)
        return info["size"], *(
            str(info.get(key)) for key in ("mtime", "created", "LastModified", "ETag", "etag")
        )

    def problem(self, path: str, error: Exception) -> StoreError | None:
        # The libraries behind fsspec raise what they like.
        return _broken(self.show(path), error, self._safe(str(error)))

    def _safe(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _printable(text)


def is_url(text: str) -> bool:
    """Tell a URL from a path; the letter of a Windows drive is no scheme."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)", text) is not None


def _without_secrets(url: str) -> tuple[str, list[str]]:
    """Return the URL without password and query, and what must not be shown, the longest first."""
    shown, secrets = [], set()
    for link in url.split("::"):
        scheme, separator, rest = link.partition("://")
        if separator:
            # A password may hold anything; but a port is none.
            if user := re.match(r"[^/@:]*:(?![0-9]+(?:/|$))[^@]*@(?:[^/@]*@)?", rest):
                rest = rest[user.end() :]
                password = user[0][:-1].partition(":")[2]
                secrets |= {user[0][:-1], password, unquote(password)}
            path, mark, query = rest.partition("?")
            if mark and ("=" in query or scheme.startswith("http")):  # else it is a glob's question mark
                rest = path
                values = {value for part in query.split("&") for value in [part.partition("=")[2]]}
                secrets |= {query} | values | {unquote(value) for value in values}
        shown.append(scheme + separator + rest)
    return "::".join(shown), sorted(secrets - {""}, key=len, reverse=True)
