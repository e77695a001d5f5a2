"""Which mails lie in a Maildir, or in all Maildirs below a folder?

What is in ``new`` and ``cur`` has been delivered; what is in ``tmp`` has not. A server renames files from one to the
other while they are read, so ``new`` is listed first and a mail is known by its unique name: seen twice, it counts
once.
Links are not followed, because they lead to where nobody said that mail is; they are counted.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from integrity.errors import StoreError
from integrity.stores.mailboxes import LARGE, Mail, kept

__all__ = ["Maildirs", "folder_name", "read_mail"]

_OF_A_MAILBOX = ("new", "cur")
#: The last part of a path that says what lies there, and not whose it is.
_COMMON = ("maildir", ".maildir", "mail")
_STAMP = re.compile(r"(\d{9,11})\.(?:[^,:]*?M(\d{1,6})(?!\d))?")


class Maildirs:
    """Every Maildir at or below a folder: each is a mailbox, and what is inside it are folders of it.

    A mailbox is called by its path from the folder given, without a last ``Maildir``: ``alice`` of ``alice/Maildir``.

    Raises:
        StoreError: there is no such folder, or no Maildir in it.
    """

    def __init__(self, where: str) -> None:
        self._root = Path(where).expanduser()
        self.name = f"maildir {self._root.name or where!r}"
        self.location = f"maildir:{self._root.absolute()}"
        self.remarks: Sequence[str] = ()

    def check(self) -> None:
        if not self._root.is_dir():
            what = "a file, not a folder" if self._root.exists() else "not there"
            raise StoreError(f"{self._root} is {what}", "name a folder that is or holds Maildirs")
        if next(self._found([]), None) is None:
            raise StoreError(
                f"{self._root} holds no Maildir (a folder with cur and new in it)", "name the folder of the mailboxes"
            )

    def mails(self) -> Iterator[Mail]:
        links: list[str] = []
        gone = 0
        for mailbox, folder, path in self._found(links):
            for entry in self._listed(path, links):
                mail = self._read(mailbox, folder, path, entry)
                if mail is None:
                    gone += 1
                else:
                    yield mail
        remarks = [f"{len(links):,} links were not followed, the first one {links[0]}"] if links else []
        if gone:
            remarks.append(f"{gone:,} mails were removed while they were read")
        self.remarks = remarks

    def _found(self, links: list[str]) -> Iterator[tuple[str, str, Path]]:
        """Yield mailbox, folder and path of each Maildir, in the order of their paths."""
        waiting: list[tuple[Path, Path | None]] = [(self._root, None)]
        while waiting:
            path, mailbox = waiting.pop()
            try:
                with os.scandir(path) as entries:
                    inside = sorted(entries, key=lambda entry: entry.name, reverse=True)
            except OSError as error:
                raise StoreError(f"{path} cannot be read: {error.strerror}", "look at its permissions") from error
            folders = [entry for entry in inside if entry.is_dir(follow_symlinks=False)]
            names = {entry.name for entry in folders}
            own = any(name in names for name in _OF_A_MAILBOX)
            if own:
                mailbox = mailbox or path
                yield self._whose(mailbox), folder_name(path.relative_to(mailbox)), path
            links += [entry.path for entry in inside if entry.is_symlink() and entry.is_dir()]
            # Hidden folders are parts of a mailbox, or nothing of ours.
            waiting += [
                (path / entry.name, mailbox)
                for entry in folders
                if not (own and entry.name in ("cur", "new", "tmp"))
                and (mailbox or not entry.name.startswith(".") or entry.name.casefold() in _COMMON)
            ]

    def _whose(self, mailbox: Path) -> str:
        parts = list(mailbox.relative_to(self._root).parts)
        if parts and parts[-1].casefold() in _COMMON:
            parts.pop()
        if not parts:  # it is the folder given, or its only one: whose that is, its own name says
            root = self._root.absolute()
            parts = [root.parent.name if root.name.casefold() in _COMMON else root.name]
        return "/".join(parts).encode(errors="backslashreplace").decode()

    def _listed(self, path: Path, links: list[str]) -> list[str]:
        """The mails of one folder, each once, by their unique names: the path of each below the folder."""
        found: dict[str, str] = {}
        for part in _OF_A_MAILBOX:  # in this order: what moves meanwhile moves from new to cur
            try:
                with os.scandir(path / part) as entries:
                    for entry in entries:
                        if entry.is_symlink():
                            links.append(entry.path)
                        elif not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                            found[_unique(entry.name)] = f"{part}/{entry.name}"
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreError(
                    f"{path / part} cannot be read: {error.strerror}", "look at its permissions"
                ) from error
        return [found[name] for name in sorted(found)]

    def _read(self, mailbox: str, folder: str, path: Path, listed: str) -> Mail | None:
        where = str((path / listed).relative_to(self._root))
        stamp = _STAMP.match(_unique(os.path.basename(listed)))
        stored = int(stamp[1]) * 1_000_000 + int(stamp[2] or 0) if stamp else None
        for _ in range(3):
            try:
                return read_mail(path / listed, mailbox, folder, where, stored)
            except FileNotFoundError:  # a client read it meanwhile, and so its flags and its name changed
                renamed = self._listed(path, [])
                again = [
                    name for name in renamed if _unique(os.path.basename(name)) == _unique(os.path.basename(listed))
                ]
                if not again:
                    return None
                listed = again[0]
        return Mail(b"", mailbox, folder, where, stored, gone="it was renamed each time that it was to be read")


def _unique(name: str) -> str:
    return name.partition(":")[0]


def read_mail(path: Path, mailbox: str, folder: str, where: str, stored_at: int | None) -> Mail:
    """Read one file that is one mail, without following a link.

    Raises:
        FileNotFoundError: it is no longer there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with open(descriptor, "rb", buffering=0) as file:
            size = os.fstat(descriptor).st_size
            data = file.readall() if size <= LARGE else kept(iter(lambda: file.read(1 << 20), b""))
            # Octets that came while they were read may be half a mail.
            whole = len(data) == size == os.fstat(descriptor).st_size
    except FileNotFoundError:
        raise
    except OSError as error:
        return Mail(b"", mailbox, folder, where, stored_at, gone=f"cannot be read: {error.strerror}")
    gone = None if whole else "it changed while it was read"
    return Mail(data, mailbox, folder, where, stored_at, gone=gone)


def folder_name(path: Path) -> str:
    """Return the name of a folder by its path inside a mailbox.

    Maildir++ keeps folders as ``.Work.2026``, others as folders in folders; both may be written as IMAP writes names.

    Example:
        >>> folder_name(Path(".Work.2026")), folder_name(Path("Work/2026")), folder_name(Path("."))
        ('Work/2026', 'Work/2026', 'INBOX')
        >>> folder_name(Path(".&vPSwuNO4ycDVaA-"))
        '보낸편지함'
    """
    parts = [
        name
        for part in path.parts
        for name in (part[1:].split(".") if part.startswith(".") and len(part) > 1 else [part])
    ]
    return "/".join(map(_decoded, parts)) or "INBOX"


def _decoded(name: str) -> str:
    """Decode the UTF-7 of IMAP (RFC 3501 section 5.1.3); what is none stays as it is."""

    def octets(shifted: re.Match[str]) -> str:
        inside = shifted[1].replace(",", "/")
        return base64.b64decode(inside + "=" * (-len(inside) % 4)).decode("utf-16-be") if inside else "&"

    try:
        return re.sub(r"&([A-Za-z0-9+,]*)-", octets, name.encode(errors="backslashreplace").decode())
    except (binascii.Error, UnicodeDecodeError):
        return name
