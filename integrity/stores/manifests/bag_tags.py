"""What do the tag files of a bag say, each line of them?

``bagit.txt`` says of which version of BagIt the bag is and in which encoding its other tag files are; ``bag-info.txt``
has labels; a manifest has a digest and a path a line; ``fetch.txt`` an address, a length and a path.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from integrity.errors import StoreError
from integrity.stores.manifests.sources import Line, Source, lines
from integrity.stores.manifests.written import digits_of

__all__ = ["Declared", "Entry", "Fetch", "declared", "entries", "fetches", "labels"]

_VERSIONS: Final = ((0, 93), (0, 94), (0, 95), (0, 96), (0, 97), (1, 0))
_ENTRY: Final = re.compile(rb"(?s)([0-9A-Za-z+/=_-]+)[ \t]++(\*?)(.+)")
_FETCH: Final = re.compile(rb"(?s)(\S+)[ \t]+([0-9]{1,19}|-)[ \t]++(.+)")
_LARGE: Final = 1 << 20


@dataclass(frozen=True)
class Declared:
    """What ``bagit.txt`` says.

    Attributes:
        version: Of BagIt.
        encoding: Of the other tag files, as Python calls it.
    """

    version: tuple[int, int]
    encoding: str


def declared(source: Source) -> Declared:
    """Read ``bagit.txt``, which is UTF-8 without a byte order mark, to the letter.

    Raises:
        StoreError: it is not as it has to be, or of a version that nobody knows here.
    """
    text = source.whole(_LARGE).decode(errors="replace")
    said = text.splitlines()
    version = re.fullmatch(r"BagIt-Version: ([0-9]+)\.([0-9]+)[ \t]*", said[0] if said else "")
    if version is None:
        raise StoreError(
            f"{source.name} does not begin with 'BagIt-Version: 1.0': {(said or [''])[0][:60]!r}",
            "write it as the BagIt specification says",
        )
    number = int(version[1]), int(version[2])
    if number not in _VERSIONS:
        raise StoreError(
            f"{source.name} says that the bag is of BagIt {version[1]}.{version[2]}", "0.93 to 1.0 are known here"
        )
    encoding = re.fullmatch(r"Tag-File-Character-Encoding: (\S+)[ \t]*", said[1] if len(said) > 1 else "")
    if encoding is None:
        raise StoreError(
            f"{source.name} does not go on with 'Tag-File-Character-Encoding: UTF-8'",
            "write it as the BagIt specification says",
        )
    try:
        "".encode(encoding[1])  # which knows encodings of text only
    except (LookupError, ValueError) as error:
        raise StoreError(
            f"{source.name} says that tag files are {encoding[1][:60]!r}, which is no encoding", "is it UTF-8?"
        ) from error
    return Declared(number, codecs.lookup(encoding[1]).name)


def labels(source: Source, encoding: str) -> Iterator[tuple[str, str]]:
    """Yield each label of ``bag-info.txt``, in lower case, and what it says, lines that go on joined."""
    label, value = "", ""
    for line in _lines(source, encoding):
        text = line.octets.decode(errors="replace")
        if text[:1] in (" ", "\t"):
            value = f"{value} {text.strip()}"
            continue
        if label:
            yield label, value
        label, _, value = (part.strip() for part in text.partition(":"))
        label = label.lower()
    if label:
        yield label, value


class Entry(NamedTuple):
    """A line of a manifest: its number, the digits, the path."""

    number: int
    digits: str
    path: bytes


def entries(source: Source, encoding: str, kind: str | None, escapes: re.Pattern[bytes]) -> Iterator[Entry]:
    """Yield the lines of a manifest.

    Args:
        source: The manifest.
        encoding: In which it is written.
        kind: Which of our digests are in it; ``None``, if they are of another kind.
        escapes: What stands for another character in a path.

    Raises:
        StoreError: a line is none.
    """
    for line in _lines(source, encoding):
        found = _ENTRY.fullmatch(line.octets)
        digits = None if found is None else digits_of(found[1].decode(), kind)
        if found is None or digits is None:
            raise StoreError(
                f"line {line.number} of {source.name} is no line of a manifest: {repr(line.octets[:60])[1:]}",
                "is the bag whole?",
            )
        # md5sum marks with an asterisk what it read as binary; no path in a bag begins with one.
        yield Entry(line.number, digits, _path(found[3], escapes))


class Fetch(NamedTuple):
    """A line of ``fetch.txt``: its number, the length if it is told, the path."""

    number: int
    length: int | None
    path: bytes


def fetches(source: Source, encoding: str, escapes: re.Pattern[bytes]) -> Iterator[Fetch]:
    """Yield the lines of ``fetch.txt``.

    Raises:
        StoreError: a line is none.
    """
    for line in _lines(source, encoding):
        found = _FETCH.fullmatch(line.octets)
        if found is None:
            raise StoreError(
                f"line {line.number} of {source.name} is no address, length and path: {repr(line.octets[:60])[1:]}",
                "is the bag whole?",
            )
        yield Fetch(line.number, None if found[2] == b"-" else int(found[2]), _path(found[3], escapes))


def _path(octets: bytes, escapes: re.Pattern[bytes]) -> bytes:
    return escapes.sub(lambda found: bytes.fromhex(found[0][1:].decode()), octets.removeprefix(b"./"))


def _lines(source: Source, encoding: str) -> Iterator[Line]:
    """Yield lines that are not blank. LF, CRLF and CR end one: no path in a bag holds a CR as it is."""
    for number, octets, ended in lines(source, encoding=encoding):
        for part in octets.split(b"\r"):
            if part.strip():
                yield Line(number, part, ended)
