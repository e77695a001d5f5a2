"""What does a bag claim: a folder with ``bagit.txt``, as RFC 8493 describes it, or BagIt 0.93 to 0.97 before it?

Its payload lies in ``data/`` and is listed by one manifest or several, each of another kind of digest; all of them have
to hold. Tag manifests list the files beside the payload. What several manifests say of one path is put together on
disk, so that a bag may be as large as it likes.

Where a bag is malformed and can be read all the same, the claim says what is wrong with it, so that everything else can
be seen; only what makes nonsense of the rest is an error.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Final

from integrity.errors import StoreError
from integrity.stores.left_out import LeftOut
from integrity.stores.manifests.bag_tags import Declared, Entry, declared, entries, fetches, labels
from integrity.stores.manifests.claims import Claim
from integrity.stores.manifests.folders import Folder
from integrity.stores.manifests.paths import Below, Named, Root, astray, together
from integrity.stores.manifests.written import kind_of, told_by
from integrity.trees.names import is_text, key_of, text_of

__all__ = ["Bag"]

_MANIFEST: Final = re.compile(r"(tag)?manifest-([0-9A-Za-z_-]+)\.txt")
#: BagIt 1.0 escapes the percent sign as well.
_ESCAPES: Final = re.compile(rb"%(?:0[AaDd]|25)")
_OLD_ESCAPES: Final = re.compile(rb"%0[AaDd]")
_INFO: Final = ("bag-info.txt", "package-info.txt")
_FETCH: Final = -1


@dataclass(frozen=True)
class _Manifest:
    """One manifest: its name, which of our digests are in it (or none of ours), whether it lists tag files."""

    name: str
    kind: str | None
    tags: bool


@dataclass(frozen=True)
class _Opened:
    """What the tag files say of the bag as a whole."""

    declared: Declared
    manifests: Sequence[_Manifest]
    escapes: re.Pattern[bytes]
    oxums: Sequence[str]
    holes: bool


class Bag:
    """A bag.

    Args:
        folder: Where it lies.
        root: Of which of its folders it is asked to tell: ``data`` is the payload.
    """

    #: "Every file must be verified against every manifest that lists it."
    every = True

    def __init__(self, folder: Folder, root: Root | None = None) -> None:
        self._folder, self._root = folder, root
        self.name, self.location = folder.place.name, folder.place.location
        self.remarks: list[str] = []

    def told(self) -> frozenset[str]:
        return self._told

    @cached_property
    def _told(self) -> frozenset[str]:
        opened = self._open()
        possible = {each.kind for each in opened.manifests if each.kind is not None}
        return told_by(self.claims(), frozenset(possible | {"size"}) if opened.holes else frozenset(possible))

    def covers(self, path: str, location: str) -> bool:
        below = path if self._root is None else "/".join((*self._root.parts, path))
        return below.startswith("data/") or key_of(below) in self._tags

    @cached_property
    def _tags(self) -> frozenset[str]:
        """The files beside the payload that are listed. Whoever asks has begun to read the bag."""
        opened = self._open()
        return frozenset(
            key_of(text_of(entry.path))
            for each in opened.manifests
            if each.tags
            for entry in self._entries(each, opened)
        )

    def claims(self) -> Generator[Claim, None, None]:
        opened = self._open()
        left = LeftOut()
        below = Below(self._root, self.name, left)
        payload = _Payload(self._folder, measured=bool(opened.oxums))
        held: dict[str, Claim] = {}  # those that may have to say what is wrong with the bag
        for path, rows in self._sorted(opened):
            defects = list(_defects(path, rows, opened, left))
            listed = [index for index, _ in rows if index != _FETCH]
            if any(not opened.manifests[index].tags for index in listed):
                payload.add(path)
            if not listed:
                payload.miss(path)
                continue
            if len(listed) < len(rows) and payload.size(path) is None:
                left.add("files are still to be fetched", text_of(path))
            named = _named(path, below)
            if named is None:
                continue
            size = next((int(digits) for index, digits in rows if index == _FETCH and digits), None)
            digests = _digests(rows, opened.manifests)
            claim = Claim(named.path, size, digests, None, together(named.defects, *defects))
            own = text_of(path)
            if not held or (self._root is None and own in (*_INFO, "fetch.txt")):
                held[own] = claim
            else:
                yield claim
        self.remarks = left.remarks() + payload.remarks(opened.oxums)
        yield from _bearing(held, payload.wrong(opened.oxums), self.name)

    def _open(self) -> _Opened:
        """Read what the bag says of itself.

        Raises:
            StoreError: it is no bag.
        """
        folder, place = self._folder, self._folder.place
        names = set(folder.names())
        if "bagit.txt" not in names:
            raise StoreError(f"{place.location} is no bag: there is no bagit.txt in it", "name the folder of the bag")
        said = declared(folder.file("bagit.txt"))
        found = [(name, match) for name in sorted(names) if (match := _MANIFEST.fullmatch(name)) is not None]
        manifests = [_Manifest(name, kind_of(match[2]), match[1] is not None) for name, match in found]
        if all(each.tags for each in manifests):
            raise StoreError(
                f"{place.location} has no manifest of its payload", "write manifest-sha512.txt, or fetch it"
            )
        if folder.is_local and ("data" not in names or folder.size(b"data") is not None):
            raise StoreError(f"{place.location} has no payload: there is no folder data in it", "is the bag whole?")
        info = [
            pair for name in _INFO if name in names for pair in labels(folder.file(name), said.encoding)
        ]  # fmt: skip
        # bagit-python writes %0A and %0D, and leaves the percent sign as it is, whatever the version.
        ours = any(label == "bag-software-agent" and value.startswith("bagit.py") for label, value in info)
        return _Opened(
            said,
            manifests,
            _OLD_ESCAPES if ours or said.version < (1, 0) else _ESCAPES,
            [value for label, value in info if label == "payload-oxum"],
            "fetch.txt" in names,
        )

    def _entries(self, each: _Manifest, opened: _Opened) -> Iterator[Entry]:
        return entries(self._folder.file(each.name), opened.declared.encoding, each.kind, opened.escapes)

    def _sorted(self, opened: _Opened) -> Iterator[tuple[bytes, list[tuple[int, str]]]]:
        """Yield each path that is listed, and what is said of it: by which manifest, and its digits."""
        rows: Iterable[tuple[bytes, int, int, str]] = (
            (entry.path, index, entry.number, entry.digits)
            for index, each in enumerate(opened.manifests)
            for entry in self._entries(each, opened)
        )
        try:
            with closing(sqlite3.connect("", isolation_level=None)) as database:  # a file that goes with it
                database.execute("PRAGMA journal_mode = OFF")
                database.execute("CREATE TABLE entry (path BLOB, manifest INTEGER, line INTEGER, digits TEXT)")
                database.execute("BEGIN")
                database.executemany("INSERT INTO entry VALUES (?, ?, ?, ?)", rows)
                if opened.holes:
                    fetch = fetches(self._folder.file("fetch.txt"), opened.declared.encoding, opened.escapes)
                    database.executemany(
                        "INSERT INTO entry VALUES (?, ?, ?, ?)",
                        ((f.path, _FETCH, f.number, "" if f.length is None else str(f.length)) for f in fetch),
                    )
                said = database.execute("SELECT path, manifest, digits FROM entry ORDER BY path, manifest, line")
                for path, group in groupby(said, key=lambda row: row[0]):
                    yield path, [(index, digits) for _, index, digits in group]
        except sqlite3.Error as error:
            raise StoreError(
                f"the manifests of {self.name} cannot be put together in a temporary file: {error}",
                "point TMPDIR at a larger disk",
            ) from error


def _named(path: bytes, below: Below) -> Named | None:
    """Return what the path of a claim is; one out of the bag is kept to be seen, whatever root was asked for."""
    if path.startswith(b"/"):
        return Named(text_of(path), "its path leads out of the bag")
    if below.root is None:
        said = text_of(path)
        return Named(said, together(astray(said), None if is_text(path) else "its name is not UTF-8"))
    return below.path(path)


def _digests(rows: Iterable[tuple[int, str]], manifests: Sequence[_Manifest]) -> Mapping[str, str]:
    digests: dict[str, str] = {}
    for index, digits in rows:
        kind = None if index == _FETCH else manifests[index].kind
        if kind is not None:
            digests.setdefault(kind, digits)
    return digests


def _defects(path: bytes, rows: Sequence[tuple[int, str]], opened: _Opened, left: LeftOut) -> Iterator[str]:
    """Yield what is wrong with what is said of a path."""
    is_payload = path.startswith(b"data/")
    strict = opened.declared.version >= (1, 0)
    kinds: dict[str, str] = {}
    for index, group in groupby((row for row in rows if row[0] != _FETCH), key=lambda row: row[0]):
        each = opened.manifests[index]
        digits = [said for _, said in group]
        if each.kind is None:
            left.add("digests are of a kind that is not known here", text_of(path))
        elif kinds.setdefault(each.kind, digits[0]) != digits[0]:
            yield f"two manifests have different digests ({each.kind}) of it"
        if len(digits) > 1 and (strict or len(set(digits)) > 1):
            yield f"{each.name} lists it twice"
        elif len(digits) > 1:
            left.add("files are listed twice in one manifest", text_of(path))
        if each.tags and is_payload:
            yield f"{each.name} lists it, which is of the payload"
        elif each.tags and (found := _MANIFEST.fullmatch(text_of(path))) is not None and found[1]:
            yield f"{each.name} lists it, which is a tag manifest"
        elif not each.tags and not is_payload:
            yield f"{each.name} lists it, which is not in data/"
    by = {index for index, _ in rows}
    if strict and is_payload and any(index != _FETCH for index in by):
        for index, each in enumerate(opened.manifests):
            if not each.tags and index not in by:
                yield f"{each.name} does not list it"


class _Payload:
    """How much the payload is, as far as it was seen, and whether the bag says the same."""

    def __init__(self, folder: Folder, measured: bool) -> None:
        self._folder, self._measured = folder, measured
        self._files = self._octets = self._missing = 0
        self._unlisted = 0
        self._first = ""

    def size(self, path: bytes) -> int | None:
        """Return the length of a file, under whichever spelling of its name it lies there."""
        found = self._folder.size(path)
        if found is None and not path.isascii() and is_text(path):
            forms = (unicodedata.normalize(form, path.decode()).encode() for form in ("NFC", "NFD"))
            found = next((size for form in forms if (size := self._folder.size(form)) is not None), None)
        return found

    def miss(self, path: bytes) -> None:
        """Note a path to be fetched that no manifest lists."""
        self._first = self._first or text_of(path)
        self._unlisted += 1

    def add(self, path: bytes) -> None:
        """Note a path of the payload."""
        self._files += 1
        if self._measured:
            inside = not path.startswith(b"/") and b".." not in path.split(b"/")
            size = self.size(path) if inside else None
            self._octets += size or 0
            self._missing += size is None

    def remarks(self, oxums: Sequence[str]) -> list[str]:
        if oxums and self._missing:
            return [
                f"{self._missing:,} files of the payload are not there, so its octets were not compared with {oxums[0]}"
            ]
        return []

    def wrong(self, oxums: Sequence[str]) -> dict[str, str]:
        """Return what is wrong with the bag as a whole, by the tag file that says it."""
        wrong = {}
        for oxum in oxums:
            said = re.fullmatch(r"([0-9]{1,30})\.([0-9]{1,30})", oxum)
            if said is None:
                wrong[_INFO[0]] = f"its Payload-Oxum is {oxum[:60]!r}, which is no number of octets and of files"
            elif int(said[2]) != self._files or (not self._missing and int(said[1]) != self._octets):
                there = f"{self._octets}.{self._files}" if not self._missing else f"{self._files} files"
                wrong[_INFO[0]] = f"its Payload-Oxum is {oxum}, and the payload {there}"
        if self._unlisted:
            more = f" and {self._unlisted - 1:,} more" if self._unlisted > 1 else ""
            wrong["fetch.txt"] = f"fetch.txt names {self._first!r}{more}, which no manifest lists"
        return wrong


def _bearing(held: Mapping[str, Claim], wrong: Mapping[str, str], name: str) -> Iterator[Claim]:
    """Yield the claims that were kept to the end, with what is wrong: at the file that says it, else at the first."""
    said = dict(held)
    for where, what in wrong.items():
        bearer = next((own for own in (where, *(_INFO if where in _INFO else ())) if own in said), None)
        bearer = bearer if bearer is not None else next(iter(said), None)
        if bearer is None:
            raise StoreError(f"there is no file in {name} of which it tells, and yet {what}", "is the bag whole?")
        said[bearer] = replace(said[bearer], defects=together(said[bearer].defects, what))
    yield from said.values()
