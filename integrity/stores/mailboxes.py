"""What is a mail, where it lies, and how are mails handed over whatever they lie in?

A Maildir, an mbox, a tree of files and an IMAP server are :class:`Mailboxes`: each yields :class:`Mail`, one at a time,
as often as it is asked. What is in a mail is not known here.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol, TypeVar

from integrity.errors import StoreError

__all__ = ["LARGE", "Mail", "Mailboxes", "kept", "mapped"]

_T = TypeVar("_T")
#: Octets beyond which a mail waits in a temporary file instead of in memory.
LARGE = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Mail:
    """One copy of a mail.

    Attributes:
        data: Its octets as they are stored, separators and quoting of the mailbox's format undone.
        mailbox: Whose it is, by the place where it lies.
        folder: The folder inside that mailbox, its parts joined by ``/``; ``INBOX`` is where mail arrives.
        where: What messages and evidence call it: a path, or a UID in its folder.
        stored_at: When the server put it there, by the server's own clock; microseconds since the epoch, UTC.
        internal_date: What IMAP calls its date; a client may have set it, so that it proves nothing.
        gone: Why it could not be read although it is there, in words; then there are no octets.
    """

    data: bytes | mmap.mmap
    mailbox: str | None
    folder: str
    where: str
    stored_at: int | None = None
    internal_date: int | None = None
    gone: str | None = None


class Mailboxes(Protocol):
    """Where mails lie.

    Attributes:
        name: A short name for messages.
        location: The URL or path, without any password.
        remarks: What has to be said of the last pass: what was left out, what looked odd.
    """

    @property
    def name(self) -> str: ...

    @property
    def location(self) -> str: ...

    @property
    def remarks(self) -> Sequence[str]: ...

    def check(self) -> None:
        """Look whether anything is there at all, before it is read.

        Raises:
            StoreError: it cannot be reached, or is no mailbox.
        """
        ...

    def mails(self) -> Iterator[Mail]:
        """Yield every mail of one pass, in bounded memory.

        Raises:
            StoreError: it cannot be read to its end.
            ConnectionLostError: the line was dropped, and the mails could not be had again where it was.
        """
        ...


def kept(chunks: Iterable[bytes]) -> bytes | mmap.mmap:
    """Return the octets of a mail that comes in pieces: in memory, or mapped from a temporary file if they are many.

    Raises:
        StoreError: the temporary disk is full.
    """
    held: list[bytes] = []
    size = 0
    pieces = iter(chunks)
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > LARGE:
            break
    else:
        return held[0] if len(held) == 1 else b"".join(held)
    with _said(_temporary) as file:
        for piece in held:
            _said(file.write, piece)
        held.clear()
        for piece in pieces:  # what cannot be read is said by whoever reads it
            _said(file.write, piece)
        _said(file.flush)
        return mapped(file)


def _temporary() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="integrity-")


def _said(work: Callable[..., _T], *what: Any, **how: Any) -> _T:
    """Do something with a temporary file; that it fails must never look as if a mail were not there."""
    try:
        return work(*what, **how)
    except OSError as error:
        raise StoreError(
            f"a mail of more than {LARGE:,} octets cannot be kept in a temporary file: {error}",
            "point TMPDIR at a larger disk that can be written to",
        ) from error


def mapped(file: IO[bytes]) -> bytes | mmap.mmap:
    """Return the octets of a file of our own, which nobody can cut short while they are looked at."""
    if file.seek(0, 2) == 0:
        return b""  # nothing cannot be mapped
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
