r"""Which digests does a list of checksums claim: what sha256sum, md5, openssl, b2sum or rclone wrote?

Forms: ``<digest>  name`` and ``<digest> *name`` (a backslash before the line says that ``\n``, ``\r`` and ``\\`` in the
name stand for what they say), the same with one blank (``md5 -r``), with lines that end in NUL and escape nothing
(``sha256sum -z``), and ``SHA256 (name) = <digest>``. Where rclone knew no digest it wrote blanks: a claim without one.

Of which kind a digest is, is said by the word before the name, else by the option, else by the name of the list, else
by its length. Eight digits may be a CRC-32 or a CRC-32C: nobody guesses.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

from integrity.errors import StoreError
from integrity.stores.left_out import LeftOut
from integrity.stores.manifests.claims import Claim
from integrity.stores.manifests.paths import Below, Root
from integrity.stores.manifests.sources import Line, Source, is_itself, is_marked, lines, without_crlf
from integrity.stores.manifests.written import digits_of, kind_of, named, told_by
from integrity.trees.digests import HEX, by_length

__all__ = ["Checksums"]

_DIGEST: Final = rb"[0-9A-Fa-f]{8,128}|[0-9A-Za-z+/_-]{6,86}={1,2}|[0-9A-Za-z+/_-]{64}"
_GNU: Final = re.compile(rb"(?s)(\\?)(" + _DIGEST + rb")[ \t]([ *]?)(.+)")
_BSD: Final = re.compile(rb"(?s)(\\?)([A-Za-z][0-9A-Za-z/_-]*) ?\((.+)\) ?= ?([0-9A-Za-z+/_=-]*)")
_NONE: Final = re.compile(rb"(?s) *(?:ERROR|UNSUPPORTED)  (.+)")
#: How many digits a digest may have, ours or another; one with fewer or more was not written by any program.
_LENGTHS: Final = frozenset((*HEX.values(), 48))
#: How wide rclone writes nothing: as wide as the digest would be, in hexadecimal digits or in base64.
_WIDTHS: Final = (128, 96, 88, 64, 56, 48, 44, 40, 32, 28, 24, 16, 12, 8)
_UNKNOWN: Final = "digests are of a kind that is not known here"
_EITHER: Final = "digests of 8 digits may be CRC-32 or CRC-32C (say which: ?algorithm=crc32)"
_ESCAPED: Final = {b"\\\\": b"\\", b"\\n": b"\n", b"\\r": b"\r"}


class Checksums:
    """A list of checksums.

    Args:
        source: The file.
        algorithm: Of which kind its digests are, where their line does not say.
        root: Of which folder it is asked to tell.
    """

    #: Each line is a promise of its own: where two digests of a file are listed, both are meant.
    every = True

    def __init__(self, source: Source, algorithm: str | None = None, root: Root | None = None) -> None:
        self._source, self._algorithm, self._root = source, algorithm, root
        self.name, self.location = source.place.name, source.place.location
        self._named = named(source.spelled)
        self.remarks: list[str] = []

    def told(self) -> frozenset[str]:
        return self._told

    @cached_property
    def _told(self) -> frozenset[str]:
        return told_by(self.claims())

    def covers(self, path: str, location: str) -> bool:
        return not is_itself(self._source, location)

    def claims(self) -> Generator[Claim, None, None]:
        left = LeftOut()
        below = Below(self._root, self._source.name, left)
        held: Claim | None = None
        for listed in self._listed(left):
            named = below.path(listed.name)
            if named is None:
                continue
            kind, digits = self._kind(listed, left, named.path)
            claim = Claim(named.path, digests={} if kind is None else {kind: digits}, defects=named.defects)
            # `SHA256 (a) = …` and `SHA512 (a) = …` are one claim with two digests.
            if held is not None and held.path == claim.path and _differ(held, claim):
                held = replace(held, digests={**held.digests, **claim.digests})
                continue
            if held is not None:
                yield held
            held = claim
        if held is not None:
            yield held
        self.remarks = left.remarks()

    def _kind(self, listed: _Listed, left: LeftOut, path: str) -> tuple[str | None, str]:
        """Return the kind of a digest and its digits; no kind, where there is nothing that could be compared."""
        digits = listed.digits
        if not digits:
            left.add("names have no digest beside them", path)
            return None, ""
        if listed.word is not None:
            kind = kind_of(listed.word)
        elif self._algorithm is not None:
            kind = self._algorithm
        else:
            told, kind = self._named
            if not told or (kind is not None and kind != "blake2b" and HEX[kind] != len(digits)):
                kind = by_length(digits)
            elif kind is not None and HEX[kind] != len(digits):
                kind = None  # BLAKE2b comes in other lengths, which are other digests
            if kind is None and len(digits) == HEX["crc32"] and not told:
                left.add(_EITHER, path)
                return None, ""
        if kind is None:
            left.add(_UNKNOWN, path)
            return None, ""
        if len(digits) != HEX[kind]:
            raise self._fault(listed.line, f"a {kind} has {HEX[kind]} digits, and this one {len(digits)}")
        return kind, digits

    def _listed(self, left: LeftOut) -> Generator[_Listed, None, None]:
        """Yield what each line says."""
        source = self._source
        end = b"\0" if _ends_in_nul(source) else b"\n"
        strip = end == b"\n" and without_crlf(lines(source))
        reader = _Reader()
        before: int | None = None
        for number, octets, ended in lines(source, end):
            line = Line(number, octets[:-1] if strip and octets.endswith(b"\r") else octets, ended)
            if end == b"\n" and not line.octets.strip(b" \t\r"):
                continue
            if before is None and line.octets[:1] in (b"#", b";"):
                left.add("lines of comment were left out", f"line {number}")
                continue
            listed = reader.read(line, end == b"\n")
            if listed is None or (not ended and (end == b"\0" or len(listed.digits) < (before or 0))):
                raise self._fault(line, repr(line.octets[:60])[1:], not ended)
            if not ended:
                left.add("lines have no end, so that the list may have been cut short", f"line {number}")
            before = len(listed.digits) or before or 0
            yield listed

    def _fault(self, line: Line, why: str, cut: bool = False) -> StoreError:
        return StoreError(
            f"line {line.number} of {self._source.name} is no checksum line: {why}",
            "it seems to have been cut short: write it again" if cut else "is it a list of checksums, and whole?",
        )


def _differ(one: Claim, other: Claim) -> bool:
    """Tell whether two claims have digests, and of different kinds."""
    return bool(one.digests and other.digests) and not one.digests.keys() & other.digests.keys()


class _Listed(NamedTuple):
    """What a line says: the name, the digits (none, if there is no digest), and the word before, if there is one."""

    line: Line
    name: bytes
    digits: str
    word: str | None


@dataclass
class _Reader:
    """The form of a list, as far as it was seen: its first line says how many blanks there are, as for coreutils."""

    blank: bool | None = None
    width: int | None = None

    def read(self, line: Line, escapes: bool) -> _Listed | None:
        word: bytes | None = None
        if (found := _GNU.fullmatch(line.octets)) is not None:
            mark, value, star, name = found.groups()
            digits = digits_of(value.decode())
            if digits is None or len(digits) not in _LENGTHS:
                return None
            self.blank = not star if self.blank is None else self.blank
            if self.blank:
                name = star + name
            elif not star:
                return None
            self.width = len(value)
        elif (found := _BSD.fullmatch(line.octets)) is not None:
            mark, word, name, value = found.groups()
            digits = digits_of(value.decode())
            if digits is None and kind_of(word.decode()) is None:
                digits = "?"  # of another kind, and perhaps written in another way
        else:
            return self._without(line)
        if mark:
            name = _unescaped(name) if escapes else None
        if name is None or digits is None:
            return None
        return _Listed(line, name, digits, None if word is None else word.decode())

    def _without(self, line: Line) -> _Listed | None:
        """Read a line of rclone's that has no digest."""
        found = _NONE.fullmatch(line.octets)
        if found is not None:
            return _Listed(line, found[1], "", None)
        blanks = len(line.octets) - len(line.octets.lstrip(b" ")) - 2
        width = self.width or (blanks if blanks in _WIDTHS else next((w for w in _WIDTHS if w <= blanks), None))
        return _Listed(line, line.octets[width + 2 :], "", None) if width is not None and width <= blanks else None


def _unescaped(name: bytes) -> bytes | None:
    r"""Undo what coreutils does to names; ``None`` if it did not do that.

    Example:
        >>> _unescaped(rb"a\nb\\n"), _unescaped(rb"a\tb")
        (b'a\nb\\n', None)
    """
    if re.fullmatch(rb"(?s)(?:[^\\\0]|\\[\\nr])*", name) is None:
        return None
    return re.sub(rb"\\[\\nr]", lambda found: _ESCAPED[found[0]], name)


def _ends_in_nul(source: Source) -> bool:
    """Tell whether NUL ends the lines, so that a name may hold line ends; a list in lines holds no NUL at all."""
    head = source.head()
    first, nul, _ = head.partition(b"\0")
    if not nul or is_marked(head):
        return False
    return not any(_GNU.fullmatch(line) or _BSD.fullmatch(line) for line in first.split(b"\n")[1:])
