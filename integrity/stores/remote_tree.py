"""Which files lie behind a URL?

S3 and SFTP are asked in their own words, because they tell more than fsspec passes on (checksums, uploads that were
begun, links, permissions); whatever else fsspec knows is read by way of it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, Final

from integrity.errors import MissingExtraError, StoreError
from integrity.stores.left_out import LeftOut
from integrity.stores.places import EXTRAS, printable, without_secrets
from integrity.stores.trees import ChangedError, Entry, Octets, Tree, UnreadableError
from integrity.trees.names import text_of
from integrity.values import micros

__all__ = ["FsspecTree", "Shown", "file_system", "remote_tree"]

_PIECE: Final = 8 << 20
#: What different systems call the time of the last change.
_TIMES: Final = ("mtime", "LastModified", "last_modified", "updated", "created", "date_time")


def remote_tree(url: str, known_hosts: str | None = None) -> Tree:
    """Return the tree of a URL.

    Args:
        url: With its password, if it has one.
        known_hosts: Of SFTP, a file of host keys besides the system's.

    Raises:
        StoreError: it cannot be reached.
        MissingExtraError: what reaches it is not installed.
    """
    if re.match(r"(sftp|ssh)://", url):
        from integrity.stores.sftp_tree import SftpTree

        return SftpTree(url, known_hosts)
    if re.match(r"s3a?://", url):
        from integrity.stores.s3_tree import S3Tree

        return S3Tree(url)
    return FsspecTree(url)


class Shown:
    """A URL as it may be shown, and what its libraries say, without the secrets in it."""

    def __init__(self, url: str) -> None:
        shown, self._secrets = without_secrets(url)
        self.location = printable(shown)
        self.name = f"tree {self.location.rstrip('/').rpartition('/')[2] or self.location}"

    def safe(self, error: object) -> str:
        """Return the first line of what a library said."""
        text = str(error).strip().partition("\n")[0].rstrip(".")
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return printable(text) or type(error).__name__


def file_system(url: str, shown: Shown) -> tuple[Any, str]:
    """Return the fsspec file system and the path that a URL means.

    Raises:
        StoreError: it cannot be reached.
        MissingExtraError: what reaches it is not installed.
    """
    import fsspec.core

    try:
        # Listings are not remembered: each pass looks for itself.
        fs, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        schemes = re.findall(r"([A-Za-z0-9]+)(?:://|::)", url)
        extra = next((EXTRAS[scheme] for scheme in schemes if scheme in EXTRAS), None)
        if extra is not None:
            raise MissingExtraError(f"reading {schemes[-1]}:// URLs", extra) from None
        raise StoreError(f"{schemes[-1]}:// URLs need a package that is not installed", str(error)) from None
    except Exception as error:  # the libraries behind fsspec raise what they like
        raise StoreError(f"{shown.location} cannot be opened: {shown.safe(error)}") from None
    return fs, path


class FsspecTree:
    """Whatever fsspec reaches.

    Args:
        url: As fsspec takes it, chained ones too: ``zip::https://…``.
    """

    small = -1
    declares: Sequence[str] = ()

    def __init__(self, url: str) -> None:
        self._shown = Shown(url)
        self._fs, root = file_system(url, self._shown)
        self._root = root.rstrip("/")
        self.name = self._shown.name
        self.location = f"tree:{self._shown.location}"
        # Of the others nobody knows whether two threads may use them at once.
        self.at_once = 8 if self._fs.async_impl else 1
        self.remarks: Sequence[str] = ()

    def check(self) -> None:
        with self._sentences("listed"):
            self._fs.invalidate_cache()
            if not self._root or self._fs.isdir(self._root):
                return
            there = self._fs.exists(self._root)
        what = "is no folder" if there else "is not there"
        raise StoreError(f"{self._shown.location} {what}", "name the folder that holds the files")

    def entries(self) -> Generator[Entry, None, None]:
        left, waiting = LeftOut(), [self._root]
        while waiting:
            folder = waiting.pop()
            with self._sentences("listed"):
                self._fs.invalidate_cache()
                found = sorted(self._fs.ls(folder, detail=True), key=lambda info: str(info["name"]))
            folders = []
            for info in found:
                path = str(info["name"]).rstrip("/")
                if path == folder.rstrip("/"):
                    continue  # some list a folder in itself
                if info["type"] == "directory":
                    folders.append(path)
                elif info["type"] in ("file", "link"):
                    yield self._entry(path, info)
                else:
                    left.add("things are no files, and were left out", self._below(path))
            waiting += reversed(folders)
        self.remarks = left.remarks()

    def _below(self, path: str) -> str:
        return path.removeprefix(self._root).lstrip("/")

    def _entry(self, path: str, info: Mapping[str, Any]) -> Entry:
        below = self._below(path)
        return Entry(
            path=text_of(below),
            raw=below.encode(errors="surrogateescape"),
            size=info["size"],
            modified_at=_changed(info),
            stamp=_stamp(info),
        )

    def whole(self, entry: Entry) -> tuple[bytes, tuple[int | str, ...]]:
        raise NotImplementedError  # no file is small where each question takes its time

    @contextmanager
    def open(self, entry: Entry) -> Generator[Octets, None, None]:
        path = f"{self._root}/{entry.raw.decode(errors='surrogateescape')}".lstrip("/" if not self._root else "")
        try:
            file = self._fs.open(path, "rb", block_size=_PIECE)
        except FileNotFoundError:
            raise ChangedError from None
        except Exception as error:
            raise UnreadableError(f"cannot be opened: {self._shown.safe(error)}") from None
        with contextlib.closing(file):
            yield _FsspecFile(file, lambda: _stamp(self._fs.info(path)), self._shown)

    def where(self, entry: Entry) -> str:
        return f"{self._shown.location.rstrip('/')}/{entry.path}"

    def declared(self, entry: Entry) -> Mapping[str, str]:
        return {}

    @contextmanager
    def _sentences(self, done: str) -> Generator[None, None, None]:
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            raise StoreError(f"{self._shown.location} cannot be {done}: {self._shown.safe(error)}") from None


class _FsspecFile:
    def __init__(self, file: IO[bytes], stamp: Any, shown: Shown) -> None:
        self._file, self._stamp, self._shown = file, stamp, shown

    def readinto(self, buffer: memoryview, /) -> int:
        try:
            data = self._file.read(len(buffer))
        except Exception as error:
            raise UnreadableError(f"cannot be read: {self._shown.safe(error)}") from None
        buffer[: len(data)] = data
        return len(data)

    def stamp(self) -> tuple[int | str, ...]:
        try:
            return tuple(self._stamp())
        except FileNotFoundError:
            raise ChangedError from None
        except Exception as error:
            raise UnreadableError(f"cannot be looked at: {self._shown.safe(error)}") from None


def _changed(info: Mapping[str, Any]) -> int | None:
    return next((moment for key in _TIMES if (moment := _micros(info.get(key))) is not None), None)


def _stamp(info: Mapping[str, Any]) -> tuple[int | str, ...]:
    # To the millisecond, because some write a time in one way where they list it, and in another where they look at it.
    return (
        int(info["size"] or 0),
        (_changed(info) or 0) // 1_000,
        *(str(info.get(key)) for key in ("ETag", "etag", "CRC")),
    )


def _micros(value: object) -> int | None:
    """Read what a file system gives as a time; what has no zone is no time."""
    if isinstance(value, dt.datetime):
        return None if value.utcoffset() is None else micros(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return int(value * 1_000_000)
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return _micros(dt.datetime.fromisoformat(value))
    return None
