"""Where does one mail of an mbox end and the next begin, and what of it was quoted?

A mail begins with a line ``From sender date`` at the start of the file or after an empty line. Lines of the mail that
look like one are quoted with ``>``: by mboxrd every ``>*From``, so that each loses one again; by mboxo only ``From``,
so that a line that was ``>From`` from the first cannot be told from one that was quoted: mboxo has to be asked for.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import glob
import re
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa

from integrity.errors import StoreError
from integrity.mail.keeping import LARGE, kept
from integrity.stores.left_out import LeftOut
from integrity.stores.mailboxes import Mail
from integrity.values import micros

__all__ = ["FORMATS", "Mboxes"]

#: How lines that begin with From are quoted.
FORMATS = {"mboxrd": re.compile(rb"^>(>*From )", re.MULTILINE), "mboxo": re.compile(rb"^>(From )", re.MULTILINE)}
_SUFFIXES = (".mbox", ".mbx", ".mbox.gz", ".mbx.gz", ".mbox.zst", ".mbx.zst")
#: A line that begins a mail: it ends in a date, so that it holds a time of day.
_FROM = rb"From [^\r\n]{0,400}?\d\d?:\d\d[^\r\n]{0,400}(?:\r?\n|\Z)"
_FIRST = re.compile(_FROM)
_NEXT = re.compile(rb"\n\r?\n(" + _FROM + rb")")
_ZONE = re.compile(rb" (?:[+-]\d{4}|GMT|UTC|UT)\b")
_CHUNK = 1 << 20
#: A separator that is cut by the end of a chunk is shorter than this.
_HELD = 1024


class Mboxes:
    """The mails of an mbox, or of several.

    Args:
        where: A file, a glob pattern, or a folder, of whose files those that end in ``.mbox`` or ``.mbx`` are read,
            also with ``.gz`` or ``.zst``. Each is a mailbox, called by its path from there.
        form: ``mboxrd`` or ``mboxo``.
        zone: Of the times in From lines, which say none themselves: by RFC 4155 they are UTC, by most servers local.
            Left out, they are not known.

    Raises:
        StoreError: there is none.
    """

    def __init__(self, where: str, form: str, zone: str | None = None) -> None:
        self._where, self._quoted, self._zone = Path(where), FORMATS[form], zone
        self.name = f"mbox {self._where.name!r}"
        self.location = f"mbox:{self._where.absolute()}"
        self.remarks: Sequence[str] = ()

    def check(self) -> None:
        for path in self._files()[:1]:
            for _ in self._pieces(path):
                break

    def mails(self) -> Generator[Mail, None, None]:
        for path in self._files():
            yield from self._read(path)

    @property
    def _base(self) -> Path:
        """The folder from which mailboxes are called: of a pattern, the last one that it does not leave open."""
        if self._where.is_dir():
            return self._where
        base = self._where.parent
        while glob.has_magic(str(base)):
            base = base.parent
        return base

    def _files(self) -> list[Path]:
        where = self._where
        if where.is_dir():
            files = sorted(path for path in where.rglob("*") if path.is_file())
            found = [path for path in files if path.name.lower().endswith(_SUFFIXES)]
            left = LeftOut()
            left.add("files of other names were left out", *(str(path) for path in files if path not in set(found)))
            self.remarks = left.remarks()
            advice = f"name one; files of a folder are read if they end in {', '.join(_SUFFIXES)}"
        elif where.exists():
            return [where]
        else:
            found = sorted(map(Path, glob.glob(str(where), recursive=True)))
            advice = "name a file, a folder or a glob pattern"
        if not found:
            raise StoreError(f"there is no mbox at {where}", advice)
        return found

    def _read(self, path: Path) -> Iterator[Mail]:
        below = path.relative_to(self._base).as_posix()
        mailbox = re.sub(r"(?i)\.mb(o)?x$", "", re.sub(r"(?i)\.(gz|zst)$", "", below)) or below
        pieces = self._pieces(path)
        number = 0
        line = next(pieces, None)
        while line is not None:
            number += 1
            after: list[bytes] = []
            data = kept(self._unquoted(_of_one_mail(pieces, after)))
            yield Mail(data, mailbox, "INBOX", f"{below}, mail {number}", _date_of(line, self._zone))
            line = after[0] if after else None

    def _pieces(self, path: Path) -> Iterator[bytes]:
        """Yield the octets of a file; each piece is a From line, without what separates it, or is of a mail."""
        try:
            before = path.stat()
            with pa.input_stream(str(path)) as file:  # .gz and .zst are known by their names
                yield from _split(iter(lambda: file.read(_CHUNK), b""), path)
            after = path.stat()
        except (OSError, pa.ArrowException) as error:
            raise StoreError(
                f"{path} cannot be read to its end: {getattr(error, 'strerror', None) or error}",
                "look whether it was copied whole",
            ) from error
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise StoreError(f"{path} changed while it was read", "read it when nothing writes to it, or a copy of it")

    def _unquoted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Undo the quoting, which begins where a line does: a piece may begin in the middle of one."""
        fresh = True
        for piece in pieces:
            start = 0 if fresh else piece.find(b"\n") + 1
            if b">From " in piece and (start or fresh):
                yield piece[:start] + self._quoted.sub(rb"\1", piece[start:])
            else:
                yield piece
            fresh = piece.endswith(b"\n")


class _Line(bytes):
    """A From line."""


def _split(chunks: Iterator[bytes], path: Path) -> Iterator[bytes]:
    """Yield From lines, and between them each mail: in one piece, unless it is larger than memory should hold."""
    held = b""
    while len(held) < _HELD and (chunk := next(chunks, b"")):
        held += chunk
    if not held:
        return
    first = _FIRST.match(held)
    if first is None:
        raise StoreError(f"{path} is no mbox: its first line is no 'From sender date'", "is it a Maildir, or one mail?")
    yield _Line(first[0])
    begin = searched = first.end()
    ended = False
    while True:
        found = _NEXT.search(held, searched)
        if found is not None and (ended or found.end() < len(held)):
            yield held[begin : found.start() + 1]
            yield _Line(found[1])
            begin = searched = found.end()
            continue
        if ended:
            yield re.sub(rb"\n\r?\n\Z", b"\n", held[begin:])
            return
        # No separator begins before this: one that did would be here as a whole.
        safe = max(begin, len(held) - _HELD)
        if safe - begin > LARGE:
            # What is left begins with a line end, so that it is seen where the next line begins.
            cut = held.rfind(b"\n", begin, safe)
            cut = safe if cut <= begin else cut
            yield held[begin:cut]
            begin = cut
        chunk = next(chunks, b"")
        ended = not chunk
        held = held[begin:] + chunk
        searched, begin = safe - begin if safe > begin else 0, 0


def _of_one_mail(pieces: Iterator[bytes], after: list[bytes]) -> Iterator[bytes]:
    """Yield the pieces up to the next From line, and put that one aside."""
    for piece in pieces:
        if isinstance(piece, _Line):
            after.append(piece)
            return
        if piece:
            yield piece


def _date_of(line: bytes, zone: str | None) -> int | None:
    """The moment in a From line; ``None`` where there is none, or none that can be placed."""
    words = line.decode("latin-1").split()
    for first in range(1, len(words)):
        parsed = email.utils.parsedate_tz(" ".join(words[first:]))
        if parsed is not None and parsed[0] > 1900:
            # The parser takes no zone at all for UTC, and a zone that it does not know as well.
            own = _ZONE.search(line) is not None
            if not own and zone is None:
                return None
            try:
                local = dt.datetime(*parsed[:6])
                offset = dt.timezone(dt.timedelta(seconds=parsed[9] or 0)) if own else ZoneInfo(zone or "UTC")
                return micros(local.replace(tzinfo=offset))
            except (ValueError, OverflowError):
                return None
    return None
