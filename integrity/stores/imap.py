"""How are the mails of an IMAP server read to the last octet, changing nothing there, over a line that may drop?

Folders are opened by EXAMINE and bodies fetched by BODY.PEEK, so that no flag changes. Whatever is asked can be asked
again: when the line drops it is, over a new one, as long as the folder's UIDs mean what they meant before.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import imaplib
import mmap
import unicodedata
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from integrity.errors import StoreError, did_you_mean
from integrity.mail.keeping import LARGE, kept
from integrity.stores.imap_line import TEMPORARY, Account, Folder, Line
from integrity.stores.mailboxes import Mail
from integrity.values import micros

__all__ = ["ImapMailboxes"]

#: Mails that one FETCH asks for, and the octets of a piece of a large mail.
_MAILS_AT_ONCE, _PIECE = 100, 2 * 2**20
#: How many mails' sizes are asked for at once: as many UIDs as fit a command of 8,000 octets.
_SIZES_AT_ONCE = 500

#: What a server gives of some mails: by UID, by item.
_Given = dict[int, dict[bytes, Any]]


class _RemovedError(Exception):
    """Another client removed the mail while it was read."""


@dataclass(slots=True)
class _Counts:
    """What was odd about a folder's mails."""

    removed: int = 0
    unlike_size: int = 0

    def remarks(self, folder: str) -> Iterator[str]:
        if self.removed:
            yield f"{_mails(self.removed)} of {folder} {_were(self.removed)} removed while it was read"
        if self.unlike_size:
            yield (
                f"{_mails(self.unlike_size)} of {folder} {_were(self.unlike_size)} given in another length than the "
                "server announces"
            )


class ImapMailboxes:
    """The mails of one user of an IMAP server, or those of one of the user's folders.

    Args:
        url: ``imaps://user@host:port/#Folder`` or ``imap://…``; without a fragment all of the user's folders are read.
            Names are percent-decoded. The password may stand in the URL; better it is in the environment variable
            ``IMAP_PASSWORD`` or in the keyring. Options: ``?timeout=60`` seconds, ``?ca=PATH`` of the certificates
            to trust instead of the system's, ``?plain=yes`` to send the password over a line that is not encrypted.

    Raises:
        UsageError: the URL cannot be read, or has an option that is not known.
        MissingExtraError: ``imapclient`` is not installed (not before the server is asked).

    Example:
        >>> ImapMailboxes("imaps://alice%40example.com:secret@mail.example.com/#INBOX").location
        'imaps://alice%40example.com@mail.example.com/#INBOX'
    """

    def __init__(self, url: str) -> None:
        self._account = Account(url)
        self._remarks: list[str] = []

    @property
    def name(self) -> str:
        return f"{self._account.user}/{self._account.folder}" if self._account.folder else self._account.user

    @property
    def location(self) -> str:
        return self._account.location

    @property
    def remarks(self) -> Sequence[str]:
        return tuple(self._remarks)

    def check(self) -> None:
        """Log in and look whether there are folders; of one folder, whether it can be opened.

        Raises:
            StoreError: the server cannot be reached, refuses the login, or has no such folder.
        """
        with contextlib.closing(Line(self._account)) as line:
            folders = line.asked(lambda client: self._folders(client, []))
            if self._account.folder:
                for folder in folders:
                    line.open(folder)

    def mails(self) -> Generator[Mail, None, None]:
        """Yield every mail that is there when its folder is opened, over a connection of this pass alone.

        Raises:
            StoreError: the server cannot be reached or read, or a folder was rebuilt while it was read.
            ConnectionLostError: the line dropped, and so did those that were to replace it.
        """
        remarks: list[str] = []
        self._remarks = remarks
        with contextlib.closing(Line(self._account)) as line:
            for folder in line.asked(lambda client: self._folders(client, remarks)):
                counts = _Counts()
                yield from self._mails_of(line, folder, counts)
                remarks.extend(counts.remarks(folder.shown))

    def _mails_of(self, line: Line, folder: Folder, counts: _Counts) -> Iterator[Mail]:
        uids = line.open(folder)
        for start in range(0, len(uids), _SIZES_AT_ONCE):
            some = uids[start : start + _SIZES_AT_ONCE]
            known = line.asked(partial(_given, uids=some, items=("RFC822.SIZE", "INTERNALDATE")))
            counts.removed += len(some) - len(known)
            sizes = {uid: known[uid].get(b"RFC822.SIZE") for uid in some if uid in known}
            for uid, data in self._bodies(line, sizes, counts):
                where = f"{folder.shown}/UID {uid}"
                date = _microseconds(known[uid].get(b"INTERNALDATE"))
                gone = None
                if data is None:
                    data, gone = b"", f"{self._account.server} lists the mail and does not give it"
                yield Mail(data, self._account.user, folder.shown, where, None, date, gone)

    def _bodies(
        self, line: Line, sizes: dict[int, int | None], counts: _Counts
    ) -> Iterator[tuple[int, bytes | mmap.mmap | None]]:
        """Yield the octets of each mail, ``None`` where the server lists the mail and gives nothing of it."""
        queue = deque(sizes)

        def together(client: Any) -> tuple[list[int], _Given]:
            # The group is chosen when it is asked for: it is smaller each time that the line has dropped.
            group = _group(queue, sizes, line.budget)
            return group, _given(client, group, ("BODY.PEEK[]",))

        while queue:
            first = queue[0]
            if not _is_small(sizes[first]):
                bodies: dict[int, Any] = {}
                with contextlib.suppress(_RemovedError):
                    bodies[first] = self._large(line, first, sizes[first])
                group = [first]
            else:
                group, given = line.asked(together)
                bodies = {uid: items.get(b"BODY[]") for uid, items in given.items()}
            for _ in group:
                uid = queue.popleft()
                if uid not in bodies:
                    counts.removed += 1
                    continue
                data, size = bodies.pop(uid), sizes[uid]
                if data is None or (size and not len(data)):
                    yield uid, (b"" if data is None and size == 0 else None)
                    continue
                counts.unlike_size += size is not None and len(data) != size
                yield uid, data

    def _large(self, line: Line, uid: int, size: int | None) -> bytes | mmap.mmap | None:
        """Return a mail that is read in pieces, or ``None`` where nothing of it is given."""
        first = line.asked(partial(_piece, uid=uid, offset=0))
        if first is None:
            return None

        def pieces() -> Iterator[bytes]:
            piece, offset = first, 0
            while piece:
                yield piece
                offset += len(piece)
                if offset == size and len(piece) < _PIECE:
                    return
                # The size may be wrong and a piece may be short, so the mail ends where there is nothing more of it.
                more = line.asked(partial(_piece, uid=uid, offset=offset))
                if more is None and offset != size:
                    raise StoreError(
                        f"{self._account.server} gives {offset:,} octets of UID {uid}, and of the rest nothing",
                        "run again; if it stays so, the mail is damaged at the server",
                    )
                piece = more or b""

        return kept(pieces())

    def _folders(self, client: Any, remarks: list[str]) -> list[Folder]:
        """Return the folders to read, in the server's order.

        Raises:
            StoreError: the folder that the URL names is not there.
        """
        remarks.clear()  # it is asked again where the line drops
        others = _prefixes_of_others(client)
        found: dict[bytes, Folder] = {}
        shared, doubled = [], []
        for flags, delimiter, name in client.list_folders():
            folder = _folder(name, delimiter)
            lower = {flag.lower() for flag in flags if isinstance(flag, bytes)}
            if lower & {b"\\noselect", b"\\nonexistent"}:
                continue
            if not self._account.folder and any(
                (folder.raw + (delimiter or b"")).startswith(prefix) for prefix in others
            ):
                shared.append(folder.shown)
            elif not self._account.folder and b"\\all" in lower:
                doubled.append(folder.shown)
            else:
                found[folder.raw] = folder  # once, even where it is listed twice
        if doubled:
            remarks.append(
                f"not read, as it shows the mails of the other folders again: {_names(doubled)}; "
                "name it after # to read it"
            )
        if shared:
            remarks.append(
                f"not read, as they are not {self._account.user}'s own: {_names(shared)}; name one after # to read it"
            )
        folders = list(found.values())
        if not self._account.folder:
            if not folders:
                raise StoreError(f"{self._account.user} has no folder at {self._account.server} that can be read")
            return folders
        wanted = unicodedata.normalize("NFC", self._account.folder)
        wanted = "INBOX" if wanted.upper() == "INBOX" else wanted
        named = [folder for folder in folders if unicodedata.normalize("NFC", folder.shown) == wanted]
        if not named:
            raise StoreError(
                f"no folder {self._account.folder!r} of {self._account.user} at {self._account.server}",
                did_you_mean(self._account.folder, [folder.shown for folder in folders]),
            )
        return named


def _prefixes_of_others(client: Any) -> list[bytes]:
    """Return how the names of those folders begin that are other users', or shared."""
    if not client.has_capability("NAMESPACE"):
        return []
    spaces = client.namespace()
    return [prefix for space in (spaces.other, spaces.shared) for prefix, _ in space or () if prefix]


def _folder(name: bytes | str | None, delimiter: bytes | None) -> Folder:
    """Return the folder of a name as it is listed; one that looks like a number or NIL has been taken for one."""
    from imapclient.imap_utf7 import decode

    raw = name if isinstance(name, bytes) else (name or "NIL").encode()
    if raw.upper() == b"INBOX":
        return Folder(b"INBOX", "INBOX")
    shown = []
    for part in raw.split(delimiter) if delimiter else [raw]:
        try:
            shown.append(decode(part) if part.isascii() else part.decode())
        except UnicodeError:  # no encoding at all, as in "R&D"
            shown.append(part.decode("latin-1"))
    return Folder(raw, "/".join(shown))


def _given(client: Any, uids: Sequence[int], items: Sequence[str]) -> _Given:
    """Return what the server gives of some mails.

    A mail that has been removed is not in it. One that is there, and of which the server gives nothing, has no items.
    """
    given = _fetched(client, uids, items)
    left = _still_there(client, [uid for uid in uids if uid not in given])
    for uid in left:  # one by one, as a server may refuse all of them for the sake of one
        given |= _fetched(client, [uid], items)
    given |= {uid: {} for uid in _still_there(client, [uid for uid in left if uid not in given])}
    return given


def _fetched(client: Any, uids: Sequence[int], items: Sequence[str]) -> _Given:
    # Other clients' changes of flags come unasked among the answers, and are none. NIL is how some servers answer for a
    # mail that has just been removed.
    answer = items[0].replace(".PEEK", "").partition("<")[0].encode()
    try:
        given = client.fetch(uids, items)
    except imaplib.IMAP4.error as error:
        if isinstance(error, imaplib.IMAP4.abort) or TEMPORARY.search(str(error)):
            raise
        # What did come waits to be taken for the answer to the next question.
        client._imap.untagged_responses.pop("FETCH", None)
        return {}
    return {
        uid: got
        for uid, got in given.items()
        if any(key.startswith(answer) and value is not None for key, value in got.items())
    }


def _still_there(client: Any, uids: Sequence[int]) -> list[int]:
    if not uids:
        return []
    client.noop()  # else a server may speak of the folder as it was
    listed = set(client.search("UID " + ",".join(map(str, uids))))
    return [uid for uid in uids if uid in listed]


def _piece(client: Any, uid: int, offset: int) -> bytes | None:
    """Return the next octets of a mail: none after its end, ``None`` where the server gives nothing of it.

    Raises:
        _RemovedError: the mail is no longer there.
    """
    given = _given(client, [uid], (f"BODY.PEEK[]<{offset}.{_PIECE}>",))
    if uid not in given:
        raise _RemovedError
    piece = given[uid].get(b"BODY[]<%d>" % offset)
    if not piece and offset and not _still_there(client, [uid]):
        raise _RemovedError  # this is not its end
    if piece is not None and (not isinstance(piece, bytes) or len(piece) > _PIECE):
        raise ValueError(f"more octets of UID {uid} than were asked for")
    return piece


def _group(queue: deque[int], sizes: dict[int, int | None], budget: int) -> list[int]:
    """Return the UIDs at the head of a queue whose mails are fetched together: one at least."""
    group: list[int] = []
    octets = 0
    for uid in queue:
        size = sizes[uid]
        octets += size or 0
        if not _is_small(size) or (group and (octets > budget or len(group) == _MAILS_AT_ONCE)):
            break
        group.append(uid)
    return group


def _is_small(size: int | None) -> bool:
    return size is not None and size <= LARGE


def _microseconds(date: dt.datetime | None) -> int | None:
    if date is None:
        return None
    with contextlib.suppress(ValueError):  # a zone of more than a day
        return micros(date if date.tzinfo else date.replace(tzinfo=dt.UTC))
    return None


def _mails(count: int) -> str:
    return "1 mail" if count == 1 else f"{count:,} mails"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _names(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
