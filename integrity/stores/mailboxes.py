"""What is a mail, where it lies, and how are mails handed over whatever they lie in?

A Maildir, an mbox, a tree of files and an IMAP server are :class:`Mailboxes`: each yields :class:`Mail`, one at a time,
as often as it is asked. What is in a mail is not known here.
"""

from __future__ import annotations

import mmap
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Mail", "Mailboxes"]


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

    def mails(self) -> Generator[Mail, None, None]:
        """Yield every mail of one pass, in bounded memory.

        Raises:
            StoreError: it cannot be read to its end.
            ConnectionLostError: the line was dropped, and the mails could not be had again where it was.
        """
        ...
