"""What did rclone list: ``rclone lsjson --hash``, one array of objects, however long?"""

from __future__ import annotations

import codecs
import json
from collections.abc import Generator, Iterator
from functools import cached_property
from typing import Any, Final

from integrity.errors import StoreError
from integrity.stores.left_out import LeftOut
from integrity.stores.manifests.claims import Claim
from integrity.stores.manifests.paths import Below, Root, together
from integrity.stores.manifests.sources import Source, is_itself
from integrity.stores.manifests.table_rows import micros_of, number_of
from integrity.stores.manifests.written import digits_of, kind_of, told_by

__all__ = ["Lsjson"]

_LONGEST: Final = 16 << 20
_BLANK: Final = " \t\r\n"
_BLANKS: Final = frozenset(_BLANK)


class Lsjson:
    """A listing that rclone wrote.

    Args:
        source: The file.
        root: Of which folder it is asked to tell.
    """

    #: rclone computed all digests of a file at once, or the place where it lay declared them: both are meant.
    every = True

    def __init__(self, source: Source, root: Root | None = None) -> None:
        self._source, self._root = source, root
        self.name, self.location = source.place.name, source.place.location
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
        for number, entry in enumerate(self._entries(), 1):
            path = entry.get("Path")
            if not isinstance(path, str) or not path:
                raise StoreError(
                    f"entry {number:,} of {self._source.name} has no Path; it has {', '.join(map(repr, entry))[:200]}",
                    "is it what rclone lsjson writes? Write other listings as JSON Lines, a line for each file",
                )
            if entry.get("IsDir") is True:
                left.add("entries are folders, and were left out", path)
                continue
            named = below.path(path)
            if named is None:
                continue
            digests, wrong = _digests(entry.get("Hashes"), named.path, left)
            # Where the length is not known until it is read, rclone says -1.
            size = number_of(entry.get("Size"))
            yield Claim(named.path, size, digests, micros_of(entry.get("ModTime")), together(named.defects, wrong))
        self.remarks = left.remarks()

    def _entries(self) -> Iterator[dict[str, Any]]:
        """Yield the objects of the array, of which no more is held than one and a block."""
        scan = json.JSONDecoder().raw_decode
        blocks = self._text()
        text, at, expected = "", 0, "["
        while True:
            at = _blank(text, at)
            if at == len(text):
                block = next(blocks, None)
                if block is None:
                    raise self._fault("is cut short")
                text, at = block, 0
            elif text[at] not in expected:
                raise self._fault(f"has {text[at]!r} where {' or '.join(expected)} is due")
            elif text[at] == "{":
                try:
                    entry, at = scan(text, at)
                except (ValueError, RecursionError) as error:
                    more = self._more(blocks, len(text) - at)
                    if not more or isinstance(error, RecursionError):
                        raise self._fault("is cut short or broken within an entry") from error
                    text, at = text[at:] + more, 0
                    continue
                yield entry
                expected = ",]"
            elif text[at] == "]":
                if text[at + 1 :].strip(_BLANK) or any(block.strip(_BLANK) for block in blocks):
                    raise self._fault("goes on after its array")
                return
            else:
                expected, at = ("{]" if text[at] == "[" else "{"), at + 1

    def _more(self, blocks: Iterator[str], held: int) -> str:
        """Return as much again as there is of an entry, so that a long one is not looked at for each block of it."""
        parts: list[str] = []
        while sum(map(len, parts)) <= held and (block := next(blocks, "")):
            parts.append(block)
        if held > _LONGEST:
            raise self._fault("has an entry that does not end")
        return "".join(parts)

    def _text(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        try:
            for block in self._source.blocks():
                if text := decoder.decode(block):  # none, where a block is the half of a character
                    yield text
            decoder.decode(b"", final=True)
        except UnicodeError as error:
            raise self._fault("is not UTF-8") from error

    def _fault(self, why: str) -> StoreError:
        return StoreError(f"{self._source.name} {why}, so that it is no whole listing of rclone's", "write it again")


def _blank(text: str, at: int) -> int:
    while text[at : at + 1] in _BLANKS:
        at += 1
    return at


def _digests(said: object, path: str, left: LeftOut) -> tuple[dict[str, str], str | None]:
    """Return the digests of an entry, and what is wrong with them, in words."""
    digests: dict[str, str] = {}
    wrong = []
    for word, value in said.items() if isinstance(said, dict) else ():
        kind = kind_of(word)
        if kind is None:
            continue  # rclone computes some that nobody else does, beside the others
        if (digits := digits_of(str(value), kind)) is not None:
            digests[kind] = digits
        elif value:  # the place told none, where it is empty
            wrong.append(f"its {word} is {str(value)[:40]!r}, which is none")
    if said and not digests and not wrong:
        left.add("files have no digest of a kind that is known here", path)
    return digests, together(*wrong)
