"""What lies in a folder, on the local disk or behind a URL, by names that a manifest gives?"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from integrity.errors import StoreError
from integrity.stores.manifests.sources import Source
from integrity.stores.places import Place, place_of

__all__ = ["Folder", "folder_of"]

#: Above a bucket there is nothing that could be asked for a file.
_BUCKETS: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl"})


class Folder(Protocol):
    """A folder, and what is asked of it. Names in it are octets, parts joined by ``/``.

    Attributes:
        place: What makes sentences of what its libraries raise, without any password.
        is_local: Whether a folder is there also when nothing is in it.
    """

    place: Place
    is_local: bool

    def exists(self) -> bool:
        """Tell whether it is there, and a folder.

        Raises:
            StoreError: nobody tells.
        """
        ...

    def names(self) -> list[str]:
        """Return the names of what lies directly in it, in their order.

        Raises:
            StoreError: it cannot be listed.
        """
        ...

    def size(self, name: bytes) -> int | None:
        """Return how long a file in it is; ``None`` if there is no such file.

        Raises:
            StoreError: nobody tells.
        """
        ...

    def file(self, name: str) -> Source:
        """Return a file in it, to be read."""
        ...

    def parent(self) -> Folder | None:
        """Return the folder in which it lies, if there is one."""
        ...


def folder_of(where: str) -> Folder:
    """Return the folder of a path or URL, whether or not it is there.

    Raises:
        StoreError: no such place can be reached.
        MissingExtraError: what reaches it is not installed.
    """
    place = place_of(where)
    if os.path.isabs(place.location):
        return _Local(place, os.path.abspath(os.path.expanduser(where)))
    return _Remote(place, where)


class _Local:
    is_local = True

    def __init__(self, place: Place, path: str) -> None:
        self.place, self._path = place, path

    def exists(self) -> bool:
        return os.path.isdir(self._path)

    def names(self) -> list[str]:
        with _sentences(self.place, self._path):
            return sorted(os.listdir(self._path))

    def size(self, name: bytes) -> int | None:
        path = os.path.join(os.fsencode(self._path), name)
        try:
            return os.stat(path).st_size if os.path.isfile(path) else None
        except (OSError, ValueError):  # it went meanwhile, or no file can be called so
            return None

    def file(self, name: str) -> Source:
        return Source(self.place, os.path.join(self._path, name))

    def parent(self) -> Folder | None:
        above = os.path.dirname(self._path)
        return None if above == self._path else _Local(self.place, above)


class _Remote:
    is_local = False

    def __init__(self, place: Place, url: str, path: str | None = None) -> None:
        import fsspec.core

        self.place, self._url = place, url
        with _sentences(place, url):
            self._fs, own = fsspec.core.url_to_fs(url)
        self._path = (own if path is None else path).rstrip("/")

    def exists(self) -> bool:
        with _sentences(self.place, self._path):
            return bool(self._fs.isdir(self._path))

    def names(self) -> list[str]:
        with _sentences(self.place, self._path):
            self._fs.invalidate_cache()
            return sorted(path.rstrip("/").rpartition("/")[2] for path in self._fs.ls(self._path, detail=False))

    def size(self, name: bytes) -> int | None:
        try:
            path = posixpath.join(self._path, name.decode())
        except UnicodeError:
            return None
        with _sentences(self.place, path):
            try:
                info = self._fs.info(path)
            except (FileNotFoundError, NotADirectoryError):
                return None
            return None if info["type"] != "file" or info["size"] is None else int(info["size"])

    def file(self, name: str) -> Source:
        return Source(self.place, posixpath.join(self._path, name))

    def parent(self) -> Folder | None:
        above = self._path.rpartition("/")[0]
        names = self._fs.protocol if isinstance(self._fs.protocol, (tuple, list)) else (self._fs.protocol,)
        if not self._path.strip("/") or (not above.strip("/") and not _BUCKETS.isdisjoint(names)):
            return None
        return _Remote(self.place, self._url, above)


@contextmanager
def _sentences(place: Place, path: str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        problem = place.problem(path, error)
        if problem is None:
            raise
        raise problem from None  # what the libraries say may quote the URL, and with it a password
