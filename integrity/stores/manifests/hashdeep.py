"""What does a file of hashdeep's claim?

It begins with ``%%%% HASHDEEP-1.0`` and ``%%%% size,md5,sha256,filename``: the columns in any order, the name last, so
that commas in it are its own. hashdeep writes a name as it is, also the line ends in it: what cannot be a row goes on
with the name before.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from functools import cached_property
from typing import Final, NamedTuple

from integrity.errors import StoreError
from integrity.stores.left_out import LeftOut
from integrity.stores.manifests.claims import Claim
from integrity.stores.manifests.paths import Below, Root
from integrity.stores.manifests.sources import Line, Source, is_itself, lines, without_crlf
from integrity.stores.manifests.written import digits_of, kind_of, told_by
from integrity.trees.digests import HEX

__all__ = ["MARK", "Hashdeep"]

MARK: Final = b"%%%% HASHDEEP-"
_VERSION: Final = re.compile(rb"%%%% HASHDEEP-1\.[0-9]+")
_COLUMNS: Final = re.compile(rb"%%%% ([0-9A-Za-z_,-]+)")
_ROW: Final = re.compile(rb"[0-9]+,[0-9A-Fa-f]{8}")
_LONGEST_NAME: Final = 1 << 16


class Hashdeep:
    """A file that hashdeep wrote.

    Args:
        source: The file.
        root: Of which folder it is asked to tell; hashdeep writes absolute paths unless it is called with ``-l``.
    """

    #: One program computed all digests of a file from the same octets: where the strongest is right, the file is the
    #: one that was listed, and another that is not would only say that the list was tampered with.
    every = False

    def __init__(self, source: Source, root: Root | None = None) -> None:
        self._source, self._root = source, root
        self.name, self.location = source.place.name, source.place.location
        self.remarks: list[str] = []

    def told(self) -> frozenset[str]:
        return self._told

    @cached_property
    def _told(self) -> frozenset[str]:
        columns = next(self._heads(), None)
        possible = None if columns is None else frozenset({"size", *filter(None, columns.kinds.values())})
        return told_by(self.claims(), possible)

    def covers(self, path: str, location: str) -> bool:
        return not is_itself(self._source, location)

    def claims(self) -> Generator[Claim, None, None]:
        left = LeftOut()
        below = Below(self._root, self._source.name, left)
        for row in self._rows(left):
            named = below.path(row.name)
            if named is not None:
                yield Claim(named.path, row.size, row.digests, defects=named.defects)
        self.remarks = left.remarks()

    def _rows(self, left: LeftOut) -> Generator[_Row, None, None]:
        source = self._source
        strip = without_crlf(lines(source))
        columns: _Columns | None = None
        held: _Row | None = None
        for number, octets, ended in lines(source):
            octets = octets[:-1] if strip and octets.endswith(b"\r") else octets
            line = Line(number, octets, ended)
            if octets.startswith(b"%%%% "):
                columns = self._head(line, columns)
                continue
            if octets.startswith(b"## ") or (octets in (b"##", b"") and held is None):
                continue
            if columns is None:
                raise self._fault(line, "there is no line of columns before it")
            row = columns.row(octets)
            if row is not None:
                if held is not None:
                    yield held
                held = row
                left.add("digests are of a kind that is not known here", *columns.others)
            elif held is None or not ended or _ROW.match(octets) or len(held.name) > _LONGEST_NAME:
                raise self._fault(line, repr(octets[:60])[1:], not ended)
            else:
                left.add("lines go on with the name of a file", f"line {number}")
                held = held._replace(name=held.name + b"\n" + octets)
            if not ended:
                left.add("lines have no end, so that the file may have been cut short", f"line {number}")
        if held is not None:
            yield held

    def _heads(self) -> Iterator[_Columns]:
        for line in lines(self._source):
            if not line.octets.startswith(b"%%%% "):
                return
            if not line.octets.startswith(MARK):
                columns = self._head(line._replace(octets=line.octets.rstrip(b"\r")), None)
                if columns is not None:
                    yield columns

    def _head(self, line: Line, columns: _Columns | None) -> _Columns | None:
        """Read one of the two lines that say what follows; they come again where two files were joined."""
        if line.octets.startswith(MARK):
            if _VERSION.fullmatch(line.octets) is None:
                raise self._fault(line, f"{line.octets[:60]!r} is of a version that is not known here")
            return columns
        found = _COLUMNS.fullmatch(line.octets)
        names = [] if found is None else found[1].decode().lower().split(",")
        if not names or names[-1] != "filename" or "size" not in names or len(set(names)) < len(names):
            raise self._fault(line, f"{line.octets[:60]!r} does not name its columns, size to filename")
        return _Columns(tuple(names[:-1]), {name: kind_of(name) for name in names[:-1] if name != "size"})

    def _fault(self, line: Line, why: str, cut: bool = False) -> StoreError:
        return StoreError(
            f"line {line.number} of {self._source.name} is no line of hashdeep's: {why}",
            "it seems to have been cut short: write it again" if cut else "is it whole?",
        )


class _Row(NamedTuple):
    size: int
    digests: Mapping[str, str]
    name: bytes


class _Columns(NamedTuple):
    """The columns before the name, and which of our digests those are that are one."""

    names: tuple[str, ...]
    kinds: Mapping[str, str | None]

    @property
    def others(self) -> list[str]:
        return [name for name, kind in self.kinds.items() if kind is None]

    def row(self, octets: bytes) -> _Row | None:
        """Read a row; ``None`` if it is none."""
        *values, name = octets.split(b",", len(self.names))
        if len(values) != len(self.names) or not name:
            return None
        size, digests = -1, {}
        for column, value in zip(self.names, values, strict=True):
            if column == "size":
                size = int(value) if value.isdigit() and len(value) < 20 else -1
            elif (kind := self.kinds[column]) is not None:
                digits = digits_of(value.decode("latin-1"), kind)
                if digits is None or len(value) != HEX[kind]:
                    return None
                digests[kind] = digits
        return None if size < 0 else _Row(size, digests, name)
