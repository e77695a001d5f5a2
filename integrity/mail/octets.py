"""How are the octets of a mail looked at, however many they are?

In windows. Everything that is computed from a mail sees it in pieces whose line ends are a bare LF (a carriage return
in a piece is therefore content, whichever line ends the mail came with), and a mail that fits one window is one
piece. Pages of a mapped file that were passed are given back at once, so that the size of a mail is never the size of
the process.
"""

from __future__ import annotations

import bisect
import mmap
import re
from collections.abc import Iterable, Iterator

__all__ = ["WINDOW", "Octets", "line_ends"]

#: How many octets are looked at in one go. Tests make it tiny: nothing may depend on where windows fall.
WINDOW = 4 * 2**20
_PAGE = mmap.ALLOCATIONGRANULARITY
_RUN = 2**16
#: Only from the first blank of a run on: a long one would otherwise be walked once for each of its blanks.
_BLANK_ENDS = re.compile(rb"(?<![ \t])[ \t]++\n")


class Octets:
    """The octets of one mail.

    Args:
        data: The mail as it is stored. A mapped file must be read-only: its pages are given back to the system.

    Example:
        >>> mail = Octets(b"a\\r\\nb\\r")
        >>> list(mail.pieces(0, mail.size))
        [b'a\\nb\\r\\n']
    """

    __slots__ = ("_passed", "data", "size")

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self.size = len(data)
        self.data = data if isinstance(data, bytes) or self.size > WINDOW else data[:]
        self._passed = 0

    def raw(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the octets of a span as they are, in windows that never part a CR from its LF."""
        data, at = self.data, start
        while at < end:
            to = min(at + WINDOW, end)
            if to < end and data[to - 1 : to + 1] == b"\r\n":
                to += 1
            yield data[at:to]
            at = to
            self._pass(at)

    def pieces(self, start: int, end: int) -> Iterable[bytes]:
        """Yield the octets of a span with LF line ends; the last line of the mail has one even where it is missing."""
        if end - start <= WINDOW:
            self._pass(start)
            piece = self.data[start:end].replace(b"\r\n", b"\n")
            return (piece + b"\n" if self._unended(start, end) else piece,)
        return self._pieces(start, end)

    def _pieces(self, start: int, end: int) -> Iterator[bytes]:
        for window in self.raw(start, end):
            yield window.replace(b"\r\n", b"\n")
        if self._unended(start, end):
            yield b"\n"

    def _unended(self, start: int, end: int) -> bool:
        return start < end == self.size and self.data[end - 1 : end] != b"\n"

    def trimmed(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the pieces of a span without the blanks at its line ends.

        Blanks at the end of a window are kept or dropped by what follows them, which is looked up and not waited for:
        a run of blanks may be longer than memory.
        """
        at, run, ended = start, start, False
        for window in self.raw(start, end):
            at += len(window)
            piece = window.replace(b"\r\n", b"\n")
            if b" \n" in piece or b"\t\n" in piece:
                piece = _BLANK_ENDS.sub(b"\n", piece)
            if piece.endswith((b" ", b"\t")):
                if at >= run:
                    run = self._beyond_blanks(at, end)
                    ended = run == end or self.data[run : run + 1] == b"\n" or self.data[run : run + 2] == b"\r\n"
                if ended:
                    piece = piece.rstrip(b" \t")
            yield piece
        if self._unended(start, end):
            yield b"\n"

    def _beyond_blanks(self, start: int, end: int) -> int:
        for window in self.raw(start, end):
            left = len(window.lstrip(b" \t"))
            if left:
                return start + len(window) - left
            start += len(window)
        return end

    def find(self, what: bytes, start: int) -> int:
        """Return where some octets come next, -1 if never."""
        while start < self.size:
            at = self.data.find(what, start, start + WINDOW + len(what) - 1)
            self._pass(start if at < 0 else at)
            if at >= 0:
                return at
            start += WINDOW
        return -1

    def offset(self, start: int, stop: int, length: int) -> int:
        """Return where so many octets of the LF form of a span end in the mail as it is."""
        span = self.data[start:stop]
        # The rightmost, because a CR and its LF are the same place in the LF form.
        places = range(len(span) + 1)
        return start + bisect.bisect_right(places, length, key=lambda to: to - span.count(b"\r\n", 0, to)) - 1

    def _pass(self, at: int) -> None:
        """Give back the pages before an offset, once they are many."""
        if at < self._passed:
            self._passed = at // _PAGE * _PAGE  # they are looked at again
        elif at - self._passed >= WINDOW and isinstance(self.data, mmap.mmap):
            to = at // _PAGE * _PAGE
            if hasattr(mmap, "MADV_DONTNEED") and to > self._passed:
                self.data.madvise(mmap.MADV_DONTNEED, self._passed, to - self._passed)
            self._passed = to


def line_ends(end: bytes, times: int) -> Iterator[bytes]:
    """Yield a line end so many times, which may be more than memory holds, in runs."""
    while times > 0:
        yield end * min(times, _RUN)
        times -= _RUN
