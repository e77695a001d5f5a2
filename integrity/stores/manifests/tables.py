"""What does a listing claim that is a table: which column is the path, which the size, which a digest?

Columns are known by their names, whatever the case and whatever stands between the words. Where two could be meant, or
none, nobody guesses.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from integrity.errors import StoreError
from integrity.stores.files import FilesStore
from integrity.stores.left_out import LeftOut
from integrity.stores.manifests.claims import Claim
from integrity.stores.manifests.paths import Below, Root, together
from integrity.stores.manifests.table_rows import micros_of, number_of, rows_of
from integrity.stores.manifests.written import digits_of, kind_of, told_by
from integrity.trees.digests import HEX, by_length, etag
from integrity.trees.names import text_of

__all__ = ["Table", "digest_said"]

_PATH: Final = ("path", "key", "name", "file", "filename", "filepath")
_SIZE: Final = ("size", "sizebytes", "bytes", "length", "contentlength")
_TIME: Final = ("modifiedat", "mtime", "modified", "modtime", "lastmodified", "lastmodifieddate", "time")
_ANY_DIGEST: Final = ("hash", "checksum", "digest")
_ALGORITHM: Final = ("algorithm", "hashtype", "hashalgorithm", "checksumalgorithm", "checksumtype")
#: How a column of one kind of digest is called besides its own name.
_DIGEST: Final = re.compile(
    r"(?:checksum|hash)?(sha256|sha512|sha384|sha1|md5|blake2b|crc32c|crc32|crc64nvme)(?:sum|hash)?"
)


@dataclass(frozen=True)
class _Columns:
    """Which column is what; the names as the table spells them."""

    path: str
    size: str | None
    time: str | None
    kinds: Mapping[str, str]
    etag: str | None
    digest: str | None
    algorithm: str | None

    @property
    def all(self) -> list[str]:
        single = (self.path, self.size, self.time, self.etag, self.digest, self.algorithm)
        return [name for name in (*single, *self.kinds) if name is not None]


class Table:
    """A listing in a table.

    Args:
        store: The table.
        algorithm: Of which kind the digests are in a column that does not say.
        root: Of which folder it is asked to tell.
    """

    #: Who lists two digests of a file promises both.
    every = True

    def __init__(self, store: FilesStore, algorithm: str | None = None, root: Root | None = None) -> None:
        self._store, self._algorithm, self._root = store, algorithm, root
        self.name, self.location = store.name, store.location
        self.remarks: list[str] = []

    def told(self) -> frozenset[str]:
        return self._told

    @cached_property
    def _told(self) -> frozenset[str]:
        return told_by(self.claims())

    def covers(self, path: str, location: str) -> bool:
        own = self.location
        if os.path.isabs(own) and os.path.isabs(location):
            own, location = os.path.realpath(own), os.path.realpath(location)
        return own != location and not (glob.has_magic(own) and fnmatch.fnmatchcase(location, own))

    def claims(self) -> Generator[Claim, None, None]:
        columns = _recognised(self._store.columns(), self.name)
        left = LeftOut()
        below = Below(self._root, self.name, left)
        for number, row in enumerate(rows_of(self._store.stream(columns.all)), 1):
            said = row[columns.path]
            if said is None or said in ("", b""):
                raise StoreError(f"row {number:,} of {self.name} has no {columns.path}", "is it a listing of files?")
            name = said if isinstance(said, (bytes, str)) else str(said)
            size, defects = _size(row, columns)
            if text_of(name).endswith("/") and not size:
                left.add("names end in a slash, as folders do, and were left out", text_of(name))
                continue
            named = below.path(name)
            if named is not None:
                digests, wrong = self._digests(row, columns, named.path, left)
                time = None if columns.time is None else micros_of(row[columns.time])
                if columns.time is not None and time is None and row[columns.time] is not None:
                    left.add("times have no time zone, or are none, and were left out", named.path)
                yield Claim(named.path, size, digests, time, together(named.defects, defects, wrong))
        self.remarks = left.remarks()

    def _digests(
        self, row: Mapping[str, Any], columns: _Columns, path: str, left: LeftOut
    ) -> tuple[dict[str, str], str | None]:
        """Return the digests of a row, and what is wrong with them, in words."""
        digests: dict[str, str] = {}
        wrong: list[str] = []
        for column, kind in columns.kinds.items():
            if (said := _said(row[column])) is not None:
                digits = digits_of(said, kind)
                if digits is None:
                    wrong.append(f"its {column} is {said[:40]!r}, which is none")
                else:
                    digests[kind] = digits
        if columns.etag is not None and (said := _said(row[columns.etag])) is not None:
            tag = etag(said)
            if tag is None:
                left.add("ETags are of a kind that is not known here", path)
            elif digests.setdefault(*tag) != tag[1]:
                wrong.append(f"its {columns.etag} is another {tag[0]} than the one beside it")
        if columns.digest is not None and (said := _said(row[columns.digest])) is not None:
            word = None if columns.algorithm is None else _said(row[columns.algorithm])
            found = digest_said(said, word, self._algorithm)
            if found is None:
                left.add("digests are of a kind that is not known here", path)
            elif digests.setdefault(*found) != found[1]:
                wrong.append(f"its {columns.digest} is another {found[0]} than the one beside it")
        return digests, together(*wrong)


def digest_said(said: str, word: str | None = None, otherwise: str | None = None) -> tuple[str, str] | None:
    """Return the kind and the digits of a digest; ``None`` if it is of a kind that is not known, or of none.

    Args:
        said: What is written, perhaps with its kind before it.
        word: What is written beside it of its kind.
        otherwise: Which kind it is, if nothing is written.

    Example:
        >>> digest_said("MD5:D41D8CD98F00B204E9800998ECF8427E"), digest_said("aa" * 32, "sha3-256")
        (('md5', 'd41d8cd98f00b204e9800998ecf8427e'), None)
    """
    before, colon, value = said.rpartition(":")
    told = before if colon else word
    if told is not None or otherwise is not None:
        kind = kind_of(told) if told is not None else otherwise
        digits = None if kind is None else digits_of(value, kind)
    else:
        digits = digits_of(value)
        kind = None if digits is None else by_length(digits)
    return None if kind is None or digits is None else (kind, digits)


def _size(row: Mapping[str, Any], columns: _Columns) -> tuple[int | None, str | None]:
    said = None if columns.size is None else row[columns.size]
    if said is None or said == "":
        return None, None
    size = number_of(said)
    return size, None if size is not None else f"its {columns.size} is {str(said)[:40]!r}, which is no length"


def _said(value: object) -> str | None:
    """Return what a cell says of a digest, if it says anything; octets as their digits."""
    if isinstance(value, bytes):
        value = value.hex()
    return None if value is None else str(value).strip() or None


def _recognised(names: Sequence[str], table: str) -> _Columns:
    plain = {name: re.sub(r"[^a-z0-9]", "", name.lower()) for name in names}

    def one(of: Sequence[str], what: str) -> str | None:
        found = [name for name in names if plain[name] in of]
        if len(found) > 1:
            raise StoreError(
                f"{table} has the columns {', '.join(map(repr, found))}, and each may be the {what} of a file",
                f"rename all but one, or read it as a table: '{table}' with columns={{…}}",
            )
        return found[0] if found else None

    path = one(_PATH, "path")
    if path is None:
        shown = ", ".join(map(repr, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        raise StoreError(
            f"{table} has no column that is the path of a file; there are {shown}",
            f"call one {_PATH[0]}, or read it as a table: '{table}' with columns={{…}}",
        )
    kinds: dict[str, str] = {}
    for name in names:
        if (found := _DIGEST.fullmatch(plain[name])) is not None and found[1] in HEX:
            if found[1] in kinds.values():
                one([plain[name], *(plain[other] for other in kinds if kinds[other] == found[1])], found[1])
            kinds[name] = found[1]
    digest = one(_ANY_DIGEST, "digest")
    algorithm = one(_ALGORITHM, "kind of digest") if digest is not None else None
    return _Columns(path, one(_SIZE, "size"), one(_TIME, "time"), kinds, one(("etag",), "ETag"), digest, algorithm)
