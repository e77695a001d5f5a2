"""Of which parts does a mail consist, and where do they begin and end?

The tree is walked once from the first octet to the last, without recursion: what is open lies on a stack, and a line
that begins with two hyphens is looked up among the boundaries that are. What is broken is walked all the same and
said.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from integrity.mail.charsets import text8
from integrity.mail.headers import LENGTH, Header, cut, names_in, parameter, parameters_of, read
from integrity.mail.octets import Octets

__all__ = ["DEEP", "Container", "Defects", "Leaf", "Message", "walk"]

#: How many containers may lie in one another; a deeper one is not looked into, its octets are its content.
DEEP = 100
#: RFC 2046 allows 70 octets.
_BOUNDARY = 1000
_SAID = 20
_STOP = re.compile(rb"\n(?:\r?\n|--)")
_EMPTY = re.compile(rb"\r?\n")
_KIND = re.compile(r"[^\s/]+/[^\s/]+")
#: Parameters that may be written anew on the way, or whose meaning is compared.
_TOLD = frozenset(("boundary", "charset", "name"))
_ONCE = (b"content-type", b"content-transfer-encoding", b"content-disposition", b"content-id")
_COMMENT = re.compile(r"\([^()]*\)")
_PLAIN = frozenset(("", "7bit", "8bit", "binary"))


class Defects:
    """What is wrong with a mail, each thing once, and not endlessly many of them."""

    def __init__(self) -> None:
        self._said: dict[str, None] = {}
        self._more = 0

    def say(self, what: str) -> None:
        if what in self._said:
            return
        if len(self._said) < _SAID:
            self._said[what] = None
        else:
            self._more += 1

    def __str__(self) -> str:
        return "; ".join([*self._said, *([f"{self._more:,} more defects"] if self._more else [])])


@dataclass(frozen=True, slots=True)
class Message:
    """A header block: of the mail itself (``path`` is empty), of an embedded message, or of a part."""

    path: str
    header: Header
    part: bool
    start: int
    body: int


@dataclass(frozen=True, slots=True)
class Container:
    """A part that consists of others; an embedded message may have a name."""

    path: str
    kind: str
    name: str
    attachment: bool
    body: int
    also: str = ""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part that has content.

    Attributes:
        path: Where in the tree, ``2.1`` is the first part of the second.
        kind: The media type, lower case.
        charset: As the part names it, lower case.
        encoding: The transfer encoding, lower case; empty where the octets are the content.
        name: Its file name in NFC, else empty.
        attachment: Whether it says that it is one, or has a name.
        embedded: Whether it is in a message inside this one.
        start: Its first octet.
        end: The octet after its last.
        also: What else its header says of it: its Content-ID, its parameters, and what is there twice.
    """

    path: str
    kind: str
    charset: str
    encoding: str
    name: str
    attachment: bool
    embedded: bool
    start: int
    end: int
    also: str = ""


class _Told(NamedTuple):
    """What a header says of its part: as in a leaf, and the boundary of a multipart."""

    kind: str
    charset: str
    encoding: str
    name: str
    attachment: bool
    boundary: bytes
    also: str


@dataclass(slots=True)
class _Open:
    """A multipart whose closing boundary has not come; ``own`` is its path if it turns out to be a leaf."""

    told: _Told
    path: str
    own: str
    depth: int
    embedded: bool
    body: int
    parts: int = 0
    shadowed: int | None = None


@dataclass(frozen=True, slots=True)
class _Hit:
    """A boundary line: where the content before it ends, where the line ends, and what it belongs to."""

    before: int
    after: int
    level: int
    closing: bool


class _Boundaries:
    """The boundaries that are open, innermost last."""

    def __init__(self, octets: Octets) -> None:
        self._octets = octets
        self._levels: dict[bytes, int] = {}
        self.stack: list[_Open] = []

    def push(self, opened: _Open) -> None:
        opened.shadowed = self._levels.get(opened.told.boundary)
        self._levels[opened.told.boundary] = len(self.stack)
        self.stack.append(opened)

    def pop(self) -> _Open:
        opened = self.stack.pop()
        if opened.shadowed is None:
            del self._levels[opened.told.boundary]
        else:
            self._levels[opened.told.boundary] = opened.shadowed
        return opened

    def following(self, start: int) -> _Hit | None:
        """Return the next boundary line at or after the start of a line."""
        if not self.stack:
            return None
        at = self._octets.find(b"\n--", start - 1)
        while at >= 0:
            hit = self.at(at)
            if hit is not None:
                return hit
            at = self._octets.find(b"\n--", at + 3)
        return None

    def at(self, at: int) -> _Hit | None:
        """Return the boundary line after this LF, if it is one."""
        data = self._octets.data
        start = at + 3
        line, ended, _ = data[start : start + _BOUNDARY + 2].partition(b"\n")
        after = start + len(line) + len(ended)
        line = line.removesuffix(b"\r")
        if len(line) > _BOUNDARY or (not ended and after < self._octets.size):
            return None
        line = line.rstrip(b" \t\r")
        level, closing = self._levels.get(line), False
        if level is None and line.endswith(b"--"):
            level, closing = self._levels.get(line[:-2]), True
        if level is None:
            return None
        return _Hit(at - (data[at - 1 : at] == b"\r"), after, level, closing)


def walk(octets: Octets, defects: Defects, deep: int = DEEP) -> Iterator[Message | Container | Leaf]:
    """Yield the parts of a mail in its order.

    A container comes before what it holds. Where a multipart has no part at all, it is a leaf.
    """
    boundaries = _Boundaries(octets)
    stack = boundaries.stack
    start, path, depth, message, embedded, default = 0, "", 0, True, False, "text/plain"
    while True:
        block, body, hit = _block(octets, start, boundaries, defects)
        header = read(block, message)
        if b"\0" in block:
            defects.say("NUL octets in a header")
        if header.strange:
            defects.say("a header line without a colon")
        yield Message(path, header, not message, start, body)
        own = _below(path, 1) if message else path
        told = _told(header, default, defects)
        multipart, inner = told.kind.startswith("multipart/"), told.kind == "message/rfc822"
        opening = multipart and bool(told.boundary)
        if depth >= deep and (multipart or inner):
            if depth >= DEEP:  # else nobody wanted to look deeper
                defects.say(f"nested more than {DEEP} deep")
            opening = False
        elif multipart and not opening:
            defects.say("a multipart without boundary")
        elif inner and not told.encoding and hit is None:
            yield Container(own, told.kind, told.name, told.attachment, body, told.also)
            start, path, depth, message, embedded, default = body, own, depth + 1, True, True, "text/plain"
            continue
        if opening:
            boundaries.push(_Open(told, path, own, depth + 1, embedded, body))
        hit = hit or boundaries.following(body)
        if not opening:
            yield _leaf(own, told, embedded, body, hit.before if hit else octets.size)
        while True:
            # What is open inside of what this line belongs to was never closed.
            while len(stack) > (hit.level + 1 if hit else 0):
                yield from _closed(boundaries.pop(), hit.before if hit else octets.size, False, defects)
            if hit is None:
                return
            if not hit.closing:
                break
            yield from _closed(boundaries.pop(), hit.before, True, defects)
            hit = boundaries.following(hit.after)
        opened = stack[-1]
        if not opened.parts:
            yield Container(opened.path, opened.told.kind, "", False, opened.body, opened.told.also)
        opened.parts += 1
        start, path, depth, message = hit.after, _below(opened.path, opened.parts), opened.depth, False
        embedded = opened.embedded
        default = "message/rfc822" if opened.told.kind == "multipart/digest" else "text/plain"


def _block(octets: Octets, start: int, boundaries: _Boundaries, defects: Defects) -> tuple[bytes, int, _Hit | None]:
    """Return the header block at an offset with LF line ends, where its body begins, and the boundary that ended it."""
    limit = min(start + 2 * LENGTH + 2, octets.size)
    end = body = limit
    hit = None
    blank = _EMPTY.match(octets.data, start)
    if blank:
        return b"", blank.end(), None
    at = max(start - 1, 0)
    while stop := _STOP.search(octets.data, at, limit):
        at = stop.end()
        if octets.data[at - 1 : at] == b"\n":
            end, body = stop.start() + 1, at
            break
        hit = boundaries.at(stop.start())
        if hit:
            end = body = stop.start() + 1
            break
    block = octets.data[start:end].replace(b"\r\n", b"\n")
    if end == octets.size and not block.endswith(b"\n"):
        block += b"\n"  # as everywhere: a last line without an end has one
    length, defect = cut(block)
    if defect:
        defects.say(defect)
        return block[:length], octets.offset(start, end, length), None
    return block, body, hit


def _told(header: Header, default: str, defects: Defects) -> _Told:
    """Return what a header says of its part."""
    kind, charset, boundary, encoding, attachment = default, "", b"", "", False
    parameters: dict[str, str] = {}
    again: list[tuple[str, str]] = []
    value = header.mime.get(b"content-type")
    if value is not None:
        word, parameters, again = parameters_of(value)
        kind = word if _KIND.fullmatch(word) else "text/plain"
        if "charset" in parameters:
            charset = parameters["charset"].partition("(")[0].strip().lower()
        elif parameters:
            charset = parameter(parameters, "charset").lower()
        if kind.startswith("multipart/"):
            text = parameters.get("boundary") or parameter(parameters, "boundary")
            boundary = text.rstrip().encode("latin-1", "replace")
    names: list[str] = []
    value = header.mime.get(b"content-disposition")
    if value is not None:
        word, details, twice = parameters_of(value)
        attachment = word == "attachment"
        names += reversed(names_in(details, "filename"))
        again += [pair for pair in twice if pair[0].startswith("filename")]
    if parameters:
        names += reversed(names_in(parameters, "name"))
    # The spelling of RFC 2231 says what the plain one only hints at.
    names = [name if name.isascii() else unicodedata.normalize("NFC", name) for name in names if name]
    name = names[0] if names else ""
    value = header.first(b"content-transfer-encoding")
    if value is not None:
        encoding = _COMMENT.sub("", value.decode("latin-1")).partition(";")[0].strip(' "').lower()
        if encoding in _PLAIN:
            encoding = ""
    also = _also(header, parameters, again, sorted(set(names) - {name}), attachment, defects)
    return _Told(kind, charset, encoding, name, attachment or bool(name), boundary, also)


def _also(
    header: Header,
    parameters: Mapping[str, str],
    again: list[tuple[str, str]],
    names: list[str],
    attachment: bool,
    defects: Defects,
) -> str:
    """What a part's header says of it besides, unambiguously: other readers of the mail may go by it."""
    said = [("attachment", "")] if attachment else []
    said += [("content-id", text8(value)) for value in header.values.get(b"content-id", ())]
    said += [(f";{key}", each) for key, each in sorted(parameters.items()) if key.partition("*")[0] not in _TOLD]
    said += [("name", name) for name in names]
    said += [(f"again ;{key}", each) for key, each in again]
    for name in _ONCE:
        if len(values := header.values.get(name, ())) > 1:
            defects.say(f"{name.decode().title()} is there {len(values)} times")
            said += [(f"again {name.decode()}", text8(value)) for value in values[1:]]
    for key, _ in again:
        defects.say(f"the parameter {key} is there twice")
    return "".join(f"{len(key)}:{key}{len(each)}:{each}" for key, each in said)


def _leaf(path: str, told: _Told, embedded: bool, start: int, end: int) -> Leaf:
    return Leaf(path, *told[:5], embedded, start, max(start, end), told.also)


def _closed(opened: _Open, end: int, properly: bool, defects: Defects) -> Iterator[Leaf]:
    if not opened.parts:
        defects.say(f"the boundary of {_called(opened)} never comes")
        yield _leaf(opened.own, opened.told, opened.embedded, opened.body, end)
    elif not properly:
        defects.say(f"the closing boundary of {_called(opened)} is missing")


def _called(opened: _Open) -> str:
    return f"part {opened.path}" if opened.path else "the mail"


def _below(path: str, number: int) -> str:
    return f"{path}.{number}" if path else str(number)
