"""What is a file, where it lies, and how are files handed over whatever they lie on?

A folder, an S3 bucket and whatever fsspec reaches are :class:`Tree`: each yields :class:`Entry`, one at a time, as
often as it is asked, and opens it. What is in a file is not known here.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

__all__ = ["ChangedError", "Entry", "Octets", "Tree", "UnreadableError"]


class Entry(NamedTuple):
    """What a listing says of one thing in a tree.

    Attributes:
        path: Its path below the root, parts joined by ``/``, as :func:`integrity.trees.names.text_of` writes it.
        raw: The same in the octets of the system.
        kind: ``file``, ``link``, ``socket``, ``pipe`` or ``device``.
        size: How many octets it has; of a link, its target.
        modified_at: When its content was last changed, by whoever changed it; microseconds since the epoch, UTC.
        stored_at: When the place itself says that it had it.
        permissions: Who may do what with it, in the words of the place.
        owner: Whose it is.
        target: Where a link leads to, in octets; it is not followed.
        stamp: What is another one when the content is another one, as far as a listing can tell.
        defects: What is wrong with it, in words.
        begun_at: Since when it is on its way, of what is not there yet; such an entry has no content.
    """

    path: str
    raw: bytes
    kind: str = "file"
    size: int | None = None
    modified_at: int | None = None
    stored_at: int | None = None
    permissions: str | None = None
    owner: str | None = None
    target: bytes | None = None
    stamp: tuple[int | str, ...] = ()
    defects: str | None = None
    begun_at: int | None = None


class ChangedError(Exception):
    """It was listed, and is another one by now, or gone: a later run says what has become of it."""


class UnreadableError(Exception):
    """It is there and cannot be read: why, in words."""


class Octets(Protocol):
    """An open file."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a buffer as far as there are octets, and return how many there were; 0 at the end.

        Raises:
            UnreadableError: it cannot be read on.
        """
        ...

    def stamp(self) -> tuple[int | str, ...]:
        """Return the stamp of what was opened, as it is now."""
        ...


class Tree(Protocol):
    """Where files lie.

    Attributes:
        name: A short name for messages.
        location: The URL or path, without any password.
        remarks: What has to be said of the last pass: what was left out, what looked odd.
        at_once: How many files are read at once.
        small: Octets up to which a file is read as a whole, faster than it would be handed to another thread; -1: none.
        declares: Digests that the place tells of some of its files without being read.
    """

    @property
    def name(self) -> str: ...

    @property
    def location(self) -> str: ...

    @property
    def remarks(self) -> Sequence[str]: ...

    @property
    def at_once(self) -> int: ...

    @property
    def small(self) -> int: ...

    @property
    def declares(self) -> Sequence[str]: ...

    def check(self) -> None:
        """Look whether anything is there at all, before it is read.

        Raises:
            StoreError: it cannot be reached, or is no folder.
        """
        ...

    def entries(self) -> Generator[Entry, None, None]:
        """Yield everything in it, folders aside, in one pass and bounded memory.

        Raises:
            StoreError: it cannot be listed to its end.
        """
        ...

    def whole(self, entry: Entry) -> tuple[bytes, tuple[int | str, ...]]:
        """Return the octets of a small file, and its stamp after they were read.

        Raises:
            ChangedError: it is not what was listed.
            UnreadableError: it cannot be read.
        """
        ...

    def open(self, entry: Entry) -> AbstractContextManager[Octets]:
        """Open a file to be read from its start; from any thread.

        Raises:
            ChangedError: it is not what was listed.
            UnreadableError: it cannot be opened.
        """
        ...

    def where(self, entry: Entry) -> str:
        """Return the absolute path or URL at which it lies, without any password."""
        ...

    def declared(self, entry: Entry) -> Mapping[str, str]:
        """Return the digests that the place tells of a file without it being read; from any thread.

        Raises:
            ChangedError: it is not what was listed.
            UnreadableError: nobody tells.
        """
        ...
