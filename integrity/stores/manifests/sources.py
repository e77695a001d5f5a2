"""Which octets does a manifest hold, line by line, wherever it lies and however it is packed?

Lines are octets, as names are. Only a byte order mark, or an encoding that is declared, makes them something else
first. A file that is cut short, that changes while it is read, or whose lines do not end is an error: there is no such
thing as most of a manifest.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import pyarrow as pa

from integrity.errors import StoreError
from integrity.stores.places import Place, place_of
from integrity.trees.names import text_of

__all__ = ["Line", "Source", "is_itself", "is_marked", "lines", "sources_of", "without_crlf"]

_BLOCK = 1 << 20
#: No line of a manifest is as long: a name has at most some thousand octets.
_LONGEST = 1 << 20
_CODECS: Final[dict[str, Literal["gzip", "zstd"]]] = {".gz": "gzip", ".zst": "zstd"}
#: UTF-32 first: its mark begins like that of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)


@dataclass(frozen=True)
class Source:
    """One file."""

    place: Place
    path: str

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.place.show(self.path)

    @property
    def location(self) -> str:
        """Its absolute path or URL, without any password."""
        own = self.place.location
        return text_of(os.path.normpath(self.path)) if os.path.isabs(own) else self.place.show(self.path)

    @property
    def spelled(self) -> str:
        """Its name in lower case, without a suffix that only says how it is packed."""
        stem, suffix = os.path.splitext(os.path.basename(self.place.spelled(self.path)).lower())
        return stem if suffix in _CODECS else stem + suffix

    def blocks(self) -> Generator[bytes, None, None]:
        """Yield its octets, unpacked.

        Raises:
            StoreError: it cannot be read to its end, or changed meanwhile.
        """
        codec = _CODECS.get(os.path.splitext(self.place.spelled(self.path))[1].lower())
        with self.sentences():
            before = self.place.stamp(self.path)
            if codec is not None and before[0] == 0:
                raise StoreError(f"{self.name} is empty, and no {codec} file", "write it again")
            with self.place.open(self.path, mapped=False) as packed:
                stream = packed if codec is None else pa.CompressedInputStream(packed, codec)
                with stream:
                    while block := stream.read(_BLOCK):
                        yield block
            if self.place.stamp(self.path) != before:
                raise StoreError(
                    f"{self.name} changed while it was read", "read it when nothing writes to it, or a copy of it"
                )

    def head(self) -> bytes:
        """Return its first octets, unpacked."""
        blocks = self.blocks()
        try:
            return next(blocks, b"")
        finally:
            blocks.close()

    def whole(self, most: int) -> bytes:
        """Return all of its octets, if there are not too many of them."""
        parts: list[bytes] = []
        for block in self.blocks():
            parts.append(block)
            if sum(map(len, parts)) > most:
                raise StoreError(f"{self.name} has more than {most >> 20} MiB", "is it what it is called?")
        return b"".join(parts)

    def md5(self) -> str:
        """Return the MD5 of its octets as they lie there."""
        made = hashlib.md5(usedforsecurity=False)
        with self.sentences(), self.place.open(self.path, mapped=False) as file:
            while block := file.read(_BLOCK):
                made.update(block)
        return made.hexdigest()

    @contextmanager
    def sentences(self) -> Iterator[None]:
        """Turn what happens while it is read into a sentence that names it."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            problem = self.place.problem(self.path, error)
            if problem is None:
                raise
            raise problem from None  # what the libraries say may quote the URL, and with it a password


def sources_of(where: str) -> list[Source]:
    """Return the files that a path, a pattern or a URL means, at least one, in the order of their names.

    Raises:
        StoreError: there is none.
    """
    place = place_of(where)
    return [Source(place, path) for path in sorted(place.find())]


def is_itself(source: Source, location: str) -> bool:
    """Tell whether a file that lies at some absolute path or URL is the manifest, by whichever way one comes to it."""
    location = text_of(location)
    if os.path.isabs(location):
        own = source.location
        return os.path.basename(own) == os.path.basename(location) and _real(own) == _real(location)
    # As it was asked for, or as the place itself calls it.
    return _one_slash(location) in (_one_slash(source.place.location), _one_slash(source.location))


def _one_slash(url: str) -> str:
    return re.sub("://+", "://", url)


def _real(path: str) -> str:
    # Of the folder alone: a link beside the manifest that leads to it is another file.
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


class Line(NamedTuple):
    """A line without its end, its number, and whether it had an end."""

    number: int
    octets: bytes
    ended: bool


def lines(source: Source, end: bytes = b"\n", encoding: str | None = None) -> Generator[Line, None, None]:
    """Yield the lines of a file.

    Args:
        source: The file.
        end: What ends a line.
        encoding: In which encoding it is written; UTF-8 is not looked at any further. Left out, a byte order mark says.

    Raises:
        StoreError: it cannot be read to its end, is not of its encoding, or has a line that does not end.
    """
    pending, number = b"", 0
    for block in _decoded(source, encoding):
        *whole, pending = (pending + block).split(end)
        for octets in whole:
            number += 1
            yield Line(number, octets, True)
        if len(pending) > _LONGEST:
            raise StoreError(
                f"line {number + 1} of {source.name} has more than {_LONGEST >> 20} MiB",
                "is it a manifest? Its lines are not as long",
            )
    if pending:
        yield Line(number + 1, pending, False)


def without_crlf(given: Iterable[Line]) -> bool:
    """Tell whether every line ends in CRLF, so that the CR is of the line end; else it is of the name."""
    ended = False
    for line in given:
        if line.ended and not line.octets.endswith(b"\r"):
            return False
        ended = ended or line.ended
    return ended


def is_marked(head: bytes) -> bool:
    """Tell whether a byte order mark says in which encoding a file is written."""
    return any(head.startswith(mark) for mark, _ in _MARKS)


def _decoded(source: Source, encoding: str | None) -> Iterator[bytes]:
    """Yield the octets of a file as UTF-8, without its byte order mark; what is of no other encoding as it is."""
    blocks = source.blocks()
    first = b""
    while len(first) < 4 and (block := next(blocks, b"")):
        first += block
    if encoding is None or encoding == "utf-8":
        mark, encoding = next(((mark, name) for mark, name in _MARKS if first.startswith(mark)), (b"", "utf-8"))
        first = first[len(mark) :]
    if encoding == "utf-8":
        yield first
        yield from blocks
        return
    # Windows lets names hold half of a pair: such a one is no UTF-8 afterwards, and said to be none.
    pairs = "surrogatepass" if encoding.startswith("utf-") else "strict"
    decoder = codecs.getincrementaldecoder(encoding)(pairs)
    try:
        yield decoder.decode(first).encode(errors="surrogatepass")
        for block in blocks:
            yield decoder.decode(block).encode(errors="surrogatepass")
        yield decoder.decode(b"", final=True).encode(errors="surrogatepass")
    except UnicodeError as error:
        raise StoreError(f"{source.name} is not {encoding.upper()} to its end", "write it again, as UTF-8") from error
