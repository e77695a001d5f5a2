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
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from integrity.errors import StoreError
from integrity.mail.keeping import LARGE, kept
from integrity.stores.left_out import LeftOut
from integrity.stores.mailboxes import Mail

__all__ = ["Maildirs", "folder_name", "read_mail"]

_OF_A_MAILBOX = ("new", "cur")
_PARTS = (*_OF_A_MAILBOX, "tmp")
#: The last part of a path that says what lies there, and not whose it is.
_COMMON = ("maildir", ".maildir", "mail")
_LINKS = "links were not followed"
_STAMP = re.compile(r"(\d{9,11})\.(?:[^,:]*?M(\d{1,6})(?!\d))?")


class Maildirs:
    """Every Maildir at or below a folder: each is a mailbox, and what is inside it are folders of it.

    A mailbox is called by its path from the folder given, without a last ``Maildir``: ``alice`` of ``alice/Maildir``.

    Raises:
        StoreError: there is no such folder, or no Maildir in it.
    """

    def __init__(self, where: str) -> None:
        self._root = Path(where)
        self.name = f"maildir {self._root.name or where!r}"
        self.location = f"maildir:{self._root.absolute()}"
        self.remarks: Sequence[str] = ()

    def check(self) -> None:
        if not self._root.is_dir():
            what = "a file, not a folder" if self._root.exists() else "not there"
            raise StoreError(f"{self._root} is {what}", "name a folder that is or holds Maildirs")
        if next(self._found(LeftOut()), None) is None:
            raise StoreError(
                f"{self._root} holds no Maildir (a folder with cur and new in it)", "name the folder of the mailboxes"
            )

    def mails(self) -> Generator[Mail, None, None]:
        left = LeftOut()
        for mailbox, folder, path in self._found(left):
            for entry in self._listed(path, left):
                mail = self._read(mailbox, folder, path, entry)
                if mail is None:
                    left.add("mails were removed while they were read", str(path / entry.listed))
                else:
                    yield mail
        self.remarks = left.remarks()

    def _found(self, left: LeftOut) -> Iterator[tuple[str, str, Path]]:
        """Yield mailbox, folder and path of each Maildir, in the order of their paths."""
        waiting: list[tuple[Path, Path | None]] = [(self._root, None)]
        names: dict[str, Path] = {}
        while waiting:
            path, mailbox = waiting.pop()
            try:
                with os.scandir(path) as entries:
                    inside = sorted(entries, key=lambda entry: entry.name, reverse=True)
            except OSError as error:
                raise StoreError(f"{path} cannot be read: {error.strerror}", "look at its permissions") from error
            folders = {entry.name: entry for entry in inside if entry.is_dir(follow_symlinks=False)}
            left.add(_LINKS, *(entry.path for entry in inside if entry.is_symlink() and entry.is_dir()))
            own = _is_maildir(folders)
            if own:
                if mailbox is None:
                    mailbox = path
                    if names.setdefault(self._whose(path).casefold(), path) != path:  # a contract may take them for one
                        left.add("mailboxes are called like another one", str(path))
                yield self._whose(mailbox), folder_name(path.relative_to(mailbox)), path
            for name, entry in folders.items():
                if name in _PARTS and own:
                    continue
                # Hidden folders are parts of a mailbox. Outside of one nobody said that they hold mail.
                if mailbox is None and name.startswith(".") and name.casefold() not in _COMMON:
                    left.add("hidden folders were left out", entry.path)
                else:
                    waiting.append((path / name, mailbox))

    def _whose(self, mailbox: Path) -> str:
        parts = list(mailbox.relative_to(self._root).parts)
        if parts and parts[-1].casefold() in _COMMON:
            parts.pop()
        if not parts:  # it is the folder given, or its only one: whose that is, its own name says
            root = self._root.absolute()
            parts = [root.parent.name if root.name.casefold() in _COMMON else root.name]
        return "/".join(parts).encode(errors="backslashreplace").decode()

    def _listed(self, path: Path, left: LeftOut) -> list[_Entry]:
        """The mails of one folder, each once: two files of one unique name are two mails, unless they are one file."""
        found: dict[tuple[str, int], _Entry] = {}
        for part in _OF_A_MAILBOX:  # in this order: what moves meanwhile moves from new to cur
            try:
                with os.scandir(path / part) as entries:
                    for entry in entries:
                        if entry.is_symlink():
                            left.add(_LINKS, entry.path)
                        elif entry.name.startswith("."):
                            continue  # what servers keep there for themselves
                        elif not entry.is_file(follow_symlinks=False):
                            left.add("things among the mails are no files, and were left out", entry.path)
                        else:
                            key = _unique(entry.name), entry.inode()
                            found[key] = _Entry(*key, f"{part}/{entry.name}")
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreError(
                    f"{path / part} cannot be read: {error.strerror}", "look at its permissions"
                ) from error
        return [found[key] for key in sorted(found)]

    def _read(self, mailbox: str, folder: str, path: Path, entry: _Entry) -> Mail | None:
        below = path.relative_to(self._root).as_posix()
        where = entry.listed if below == "." else f"{below}/{entry.listed}"
        stamp = _STAMP.match(entry.unique)
        stored = int(stamp[1]) * 1_000_000 + int(stamp[2] or 0) if stamp else None
        for _ in range(3):
            try:
                return read_mail(path / entry.listed, mailbox, folder, where, stored)
            except FileNotFoundError:  # a client read it meanwhile, and so its flags and its name changed
                again = [each for each in self._listed(path, LeftOut()) if each[:2] == entry[:2]]
                if not again:
                    return None
                entry = again[0]
        return Mail(b"", mailbox, folder, where, stored, gone="it was renamed each time that it was to be read")


class _Entry(NamedTuple):
    """A file that is a mail: its unique name, which file it is, and its path below the folder when it was listed."""

    unique: str
    inode: int
    listed: str


def _is_maildir(folders: Mapping[str, os.DirEntry[str]]) -> bool:
    """Whether these folders make a Maildir: backups leave empty parts out, and anybody may make an empty cur."""
    there = [folders[name] for name in _PARTS if name in folders]
    return len(there) > 1 or any(map(_holds, there))


def _holds(folder: os.DirEntry[str]) -> bool:
    with os.scandir(folder.path) as entries:
        return next(entries, None) is not None


def _unique(name: str) -> str:
    return name.partition(":")[0]


def read_mail(path: Path, mailbox: str, folder: str, where: str, stored_at: int | None) -> Mail:
    """Read one file that is one mail, without following a link.

    Raises:
        FileNotFoundError: it is no longer there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        return Mail(b"", mailbox, folder, where, stored_at, gone=f"cannot be read: {error.strerror}")
    try:
        with open(descriptor, "rb", buffering=0) as file:
            size = os.fstat(descriptor).st_size
            data = file.readall() if size <= LARGE else kept(iter(lambda: file.read(1 << 20), b""))
            # Octets that came while they were read may be half a mail.
            whole = len(data) == size == os.fstat(descriptor).st_size
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
