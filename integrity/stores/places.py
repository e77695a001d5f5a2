"""Which files does a path, a folder, a glob pattern or a URL mean, and how is one of them opened?

A place is a file system and what was asked of it: the local one, or any that fsspec knows. What the libraries
behind it raise becomes a sentence here, because it may quote a URL, and with it a password.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterable, Iterator
from typing import Protocol, cast
from urllib.parse import unquote

import pyarrow as pa

from integrity.errors import MissingExtraError, StoreError, did_you_mean, forbidden

__all__ = ["ALLOWED", "EXTRAS", "Place", "place_of", "printable", "without_secrets"]

#: The way out where this user may not read what is there.
ALLOWED = "have whoever owns it allow this user to read it, or run as one who may"
EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "abfs": "adls",
    "abfss": "adls",
    "az": "adls",
    "adl": "adls",
    "sftp": "sftp",
    "ssh": "sftp",
}


class Place(Protocol):
    """A file system, and what was asked of it."""

    name: str
    location: str

    def find(self) -> set[str]:
        """Return the files that are meant, or raise what a person can act on."""
        ...

    def show(self, path: str) -> str:
        """Return what messages call a file."""
        ...

    def spelled(self, path: str) -> str:
        """Return the path that ends in the suffixes by which the kind of the file is told."""
        ...

    def open(self, path: str, *, mapped: bool) -> pa.NativeFile: ...

    def stamp(self, path: str) -> tuple[object, ...]:
        """Return what changes when the file does; its size first."""
        ...

    def problem(self, path: str, error: Exception) -> StoreError | None:
        """Return the sentence for what its libraries raise; ``None`` for what can only be a bug."""
        ...


def place_of(where: str) -> Place:
    """Return the place of a URL or a path; the letter of a Windows drive is no scheme.

    Raises:
        StoreError: no such place can be reached.
        MissingExtraError: what reaches it is not installed.
    """
    is_url = re.match(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)", where) is not None
    return _Remote(where) if is_url else _Local(where)


class _Local:
    """Files that the operating system knows."""

    def __init__(self, text: str) -> None:
        if "\0" in text:
            raise StoreError("a path cannot hold a NUL character", "check what it was made from")
        self._given = text
        self._folder = os.getcwd()  # as it is now: a later pass reads the same files
        self._path = os.path.join(self._folder, os.path.expanduser(text))
        self.location = printable(os.path.normpath(self._path))
        parts = self.location.rsplit(os.sep, 2)
        self.name = os.sep.join(parts[-2:]) if glob.has_magic(parts[-1]) else parts[-1] or self.location

    def find(self) -> set[str]:
        try:
            if os.path.isdir(self._path):
                return _once(self._walk(self._path))
            if os.path.exists(self._path):
                if os.path.isfile(self._path):
                    return {self._path}
                raise StoreError(f"{self.show(self._path)} is neither a file nor a folder", "write it to a file first")
            if glob.has_magic(self._path):
                return self._glob()
        except OSError as error:
            way = ALLOWED if forbidden(error) else "see that its disk is there"
            raise StoreError(f"{self.name} cannot be listed: {error.strerror or printable(str(error))}", way) from error
        missing = self._path
        while not os.path.isdir(parent := os.path.dirname(missing.rstrip(os.sep))):
            missing = parent
        raise StoreError(
            f"there is no {self.show(missing)}",
            did_you_mean(os.path.basename(missing.rstrip(os.sep)), _visible(os.listdir(parent))),
        )

    def _glob(self) -> set[str]:
        found: list[str] = []
        for path in glob.iglob(self._path, recursive=True):
            if not _is_visible(path.split(os.sep), self._path.split(os.sep)):
                continue
            if os.path.isdir(path):
                found += self._walk(path)
            elif _is_file(path):
                found.append(path)
        if not found:
            raise StoreError(f"no file matches {printable(self._given)}", "check the pattern and the current folder")
        return _once(found)

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
                if _is_file(path):
                    yield path

    def show(self, path: str) -> str:
        inside = not os.path.isabs(self._given) and path.startswith(self._folder + os.sep)
        return printable(os.path.relpath(path, self._folder) if inside else path)

    def spelled(self, path: str) -> str:
        return path

    def open(self, path: str, *, mapped: bool) -> pa.NativeFile:
        name = cast(str, os.fsencode(path))  # bytes, which need not be UTF-8; pyarrow takes both
        return pa.memory_map(name) if mapped else pa.OSFile(name, "r")

    def stamp(self, path: str) -> tuple[object, ...]:
        status = os.stat(path)
        return status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev

    def problem(self, path: str, error: Exception) -> StoreError | None:
        if isinstance(error, (OSError, EOFError, UnicodeError, pa.ArrowException)):
            return _broken(self.show(path), error, printable(str(error)))
        return None


class _Remote:
    """Files behind an fsspec URL. Its user, password and query are used, and never shown."""

    def __init__(self, url: str) -> None:
        shown, self._secrets = without_secrets(url)
        self._has_query = "?" in url and "?" not in shown
        self.location = printable(shown)
        self.name = self.location.rstrip("/").rpartition("/")[2] or self.location
        import fsspec.core

        try:
            self._fs, self._path = fsspec.core.url_to_fs(url)
        except ImportError as error:
            schemes = re.findall(r"([A-Za-z0-9]+)(?:://|::)", url)
            extra = next((EXTRAS[scheme] for scheme in schemes if scheme in EXTRAS), None)
            if extra is not None:
                raise MissingExtraError(f"reading {schemes[-1]}:// URLs", extra) from None
            # What fsspec says here names packages and not the URL.
            raise StoreError(f"{schemes[-1]}:// URLs need a package that is not installed", str(error)) from None
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
                if _is_visible(match.split("/"), path.split("/")):
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
        return {path for path in files if len(_visible(parts := path.removeprefix(root).split("/"))) == len(parts)}

    def _missing(self) -> StoreError:
        parent, _, name = self._path.rstrip("/").rpartition("/")
        try:
            siblings = [path.rstrip("/").rpartition("/")[2] for path in self._fs.ls(parent, detail=False)]
        except FileNotFoundError:
            siblings = []
        return StoreError(f"there is no {self.location}", did_you_mean(name, _visible(siblings)))

    def show(self, path: str) -> str:
        return self._safe(self._without_query(self._fs.unstrip_protocol(path)))

    def _without_query(self, path: str) -> str:
        return path.partition("?")[0] if self._has_query else path

    def spelled(self, path: str) -> str:
        return self._without_query(path)

    def open(self, path: str, *, mapped: bool) -> pa.NativeFile:
        return pa.PythonFile(self._fs.open(path, "rb"), "r")

    def stamp(self, path: str) -> tuple[object, ...]:
        info = self._fs.info(path)
        return info["size"], *(str(info.get(key)) for key in ("mtime", "created", "LastModified", "ETag", "etag"))

    def problem(self, path: str, error: Exception) -> StoreError | None:
        # The libraries behind fsspec raise what they like.
        return _broken(self.show(path), error, self._safe(str(error)))

    def _safe(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return printable(text)


# What the two have in common.


def _broken(name: str, error: Exception, reason: str) -> StoreError:
    if isinstance(error, FileNotFoundError):
        return StoreError(f"{name} is no longer there", "run again, when nothing moves the files")
    if forbidden(error):
        return StoreError(f"{name} may not be read by this user", ALLOWED)
    return StoreError(
        f"{name} cannot be read to its end: {reason.partition(chr(10))[0].rstrip('.')}",
        "write or fetch it again",
    )


def _visible(names: Iterable[str]) -> list[str]:
    """Leave out what other programs hide in folders: ``_SUCCESS``, ``_temporary/``, ``.crc``."""
    return [name for name in names if not name.startswith(("_", "."))]


def _is_visible(found: list[str], pattern: list[str]) -> bool:
    """Tell whether what a glob pattern found is visible, or spelled out by it."""
    hidden = set(found) - set(_visible(found))
    spelled = [part for part in pattern if not _visible([part])]
    return all(any(fnmatch.fnmatchcase(name, part) for part in spelled) for name in hidden)


def _once(paths: Iterable[str]) -> set[str]:
    """Leave out all but the first of the names that lead to one file: its rows are there once."""
    return set({os.path.realpath(path): path for path in sorted(paths, reverse=True)}.values())


def _is_file(path: str) -> bool:
    """Tell a file, also one behind a dangling link, which is to be missed, from a pipe or a socket."""
    return os.path.isfile(path) or not os.path.exists(path)


def printable(text: str) -> str:
    """Return a text that can be written anywhere: a file's name need not be UTF-8."""
    return text.encode(errors="backslashreplace").decode()


def without_secrets(url: str) -> tuple[str, list[str]]:
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
