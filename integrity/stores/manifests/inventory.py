"""What does an S3 Inventory claim: ``manifest.json``, and the CSV or Parquet files that it names?

An inventory lists the objects of a bucket as they were when it was made. Versions that are not the latest one, delete
markers and the empty objects that stand for folders are no files. An ETag is an MD5, or is made of MD5s, unless the
object was encrypted with a key of somebody's own; then nothing is claimed of its content.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import posixpath
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from integrity.errors import StoreError
from integrity.stores.left_out import LeftOut
from integrity.stores.manifests.claims import Claim
from integrity.stores.manifests.folders import Folder
from integrity.stores.manifests.paths import Root
from integrity.stores.manifests.sources import Source, is_itself
from integrity.stores.manifests.table_rows import micros_of, number_of, parquet_rows
from integrity.stores.manifests.written import told_by
from integrity.trees.digests import etag
from integrity.trees.names import is_text, text_of

__all__ = ["Inventory", "is_inventory"]

_LARGE: Final = 64 << 20
_WANTED: Final = ("key", "islatest", "isdeletemarker", "size", "lastmodifieddate", "etag", "encryptionstatus")
#: Encryptions that leave the ETag what it is: the MD5 of what was uploaded.
_PLAIN: Final = ("SSE-S3", "NOT-SSE")
_Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Described:
    """What ``manifest.json`` says: the form of the files, their columns in order, and each file's key and MD5."""

    form: str
    columns: Sequence[str]
    files: Sequence[tuple[str, str | None]]


def is_inventory(octets: bytes) -> bool:
    """Tell whether a JSON file is the manifest of an inventory."""
    try:
        said = json.loads(octets)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and "fileSchema" in said and "files" in said


class Inventory:
    """An S3 Inventory.

    Args:
        source: Its ``manifest.json``.
        folder: Where that lies; the other files are looked for from there.
        root: Which prefix of keys it is asked for.
    """

    every = False

    def __init__(self, source: Source, folder: Folder, root: Root | None = None) -> None:
        self._source, self._folder, self._root = source, folder, root
        self.name, self.location = source.place.name, source.place.location
        self.remarks: list[str] = []
        self._checked: dict[str, tuple[object, ...]] = {}

    def told(self) -> frozenset[str]:
        return self._told

    @cached_property
    def _told(self) -> frozenset[str]:
        told = {"size": ("size",), "lastmodifieddate": ("modified_at",), "etag": ("md5", "etag")}
        possible = {each for column in self._describe().columns for each in told.get(column, ())}
        return told_by(self.claims(), frozenset(possible))

    def covers(self, path: str, location: str) -> bool:
        return not any(is_itself(each, location) for each in self._own)

    @cached_property
    def _own(self) -> Sequence[Source]:
        """The files of the inventory itself."""
        data = (self._find(key) for key, _ in self._describe().files)
        return [self._source, self._folder.file("manifest.checksum"), *data]

    def claims(self) -> Generator[Claim, None, None]:
        described = self._describe()
        left = LeftOut()
        for key, md5 in described.files:
            data = self._find(key)
            self._check(data, md5)
            rows = _csv_rows(data, described.columns) if described.form == "CSV" else parquet_rows(data, _WANTED)
            for row in rows:
                claim = self._claim(row, data, left)
                if claim is not None:
                    yield claim
        self.remarks = left.remarks()
        if "etag" in described.columns and "encryptionstatus" not in described.columns:
            self.remarks.append("the inventory does not tell how objects are encrypted: their ETags are taken for MD5s")

    def _describe(self) -> _Described:
        octets = self._source.whole(_LARGE)
        self._check_manifest(octets)
        try:
            said = json.loads(octets)
            form, schema = str(said["fileFormat"]).upper(), str(said["fileSchema"])
            files = [(str(each["key"]), each.get("MD5checksum")) for each in said["files"]]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreError(f"{self._source.name} is no manifest of an S3 Inventory", "fetch it again") from error
        if form not in ("CSV", "PARQUET"):
            raise StoreError(
                f"{self._source.name} names files in {form[:20]}, which are not read here",
                "configure the inventory to write Apache Parquet or CSV",
            )
        if form == "CSV":
            columns = [_plain(name) for name in schema.split(",")]
        else:
            columns = [_plain(name) for name in re.findall(r"(?:required|optional)\s+\w+\s+(\w+)", schema)]
        if "key" not in columns or len(set(columns)) < len(columns):
            raise StoreError(f"{self._source.name} names no column Key: {schema[:80]!r}", "fetch it again")
        return _Described(form, columns, files)

    def _check_manifest(self, octets: bytes) -> None:
        if self._folder.size(b"manifest.checksum") is None:
            return
        said = self._folder.file("manifest.checksum").whole(_LARGE).strip().lower()
        if said != hashlib.md5(octets, usedforsecurity=False).hexdigest().encode():
            raise StoreError(
                f"{self._source.name} is not what manifest.checksum beside it says", "fetch both of them again"
            )

    def _find(self, key: str) -> Source:
        """Return a data file: as its key says from a folder above, else where inventories keep them, else beside."""
        if ".." in key.split("/") or key.startswith("/"):
            raise StoreError(
                f"{self._source.name} names the file {key!r}, which leads out of its bucket", "is it real?"
            )
        above: Folder | None = self._folder
        while above is not None:
            if above.size(key.encode()) is not None:
                return above.file(key)
            above = above.parent()
        name = posixpath.basename(key)
        beside = self._folder.parent()
        if beside is not None and beside.size(f"data/{name}".encode()) is not None:
            return beside.file(f"data/{name}")
        if self._folder.size(name.encode()) is not None:
            return self._folder.file(name)
        raise StoreError(
            f"{self._source.name} names the file {key!r}, which is not there",
            "fetch the whole inventory, with the folder data beside that of the manifest",
        )

    def _check(self, data: Source, md5: str | None) -> None:
        """Compare a data file with its MD5, unless it is still the one that was compared before."""
        if not md5:
            return
        stamp = data.place.stamp(data.path)
        if self._checked.get(data.path) == stamp:
            return
        if data.md5() != md5.lower():
            raise StoreError(f"{data.name} is not the file that {self._source.name} names", "fetch it again")
        self._checked[data.path] = stamp

    def _claim(self, row: _Row, data: Source, left: LeftOut) -> Claim | None:
        key = row["key"]
        if key is None:
            raise StoreError(f"{data.name} has a row without a key", "fetch it again")
        path = text_of(key)
        if not _is_true(row.get("islatest"), True):
            left.add("versions are not the latest one, and were left out", path)
            return None
        if _is_true(row.get("isdeletemarker"), False):
            left.add("keys are deleted, and were left out", path)
            return None
        size = number_of(row.get("size"))
        if path.endswith("/") and not size:
            left.add("empty objects stand for folders, and were left out", path)
            return None
        inside = path if self._root is None else self._root.inside(path)
        if inside is None:
            left.add("keys do not begin with the prefix, and were left out", path)
            return None
        defects = None if is_text(key) else "its name is not UTF-8"
        return Claim(
            inside, size, self._digests(row, path, left), micros_of(row.get("lastmodifieddate"), "UTC"), defects
        )

    def _digests(self, row: _Row, path: str, left: LeftOut) -> dict[str, str]:
        said = row.get("etag")
        if not said:
            return {}
        if "encryptionstatus" in row and row["encryptionstatus"] not in _PLAIN:
            left.add("objects are encrypted so that their ETag says nothing of their content", path)
            return {}
        found = etag(str(said))
        if found is None:
            left.add("ETags are of a kind that is not known here", path)
            return {}
        return dict([found])


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_true(value: object, otherwise: bool) -> bool:
    return otherwise if value is None or value == "" else str(value).lower() == "true"


def _csv_rows(data: Source, columns: Sequence[str]) -> Iterator[_Row]:
    """Yield the rows of a CSV file, which has no header; keys in it are URL-encoded, and empty is null."""
    reader = csv.reader(_text(data.blocks()), strict=True)
    try:
        for fields in reader:
            if len(fields) != len(columns):
                raise StoreError(
                    f"row {reader.line_num} of {data.name} has {len(fields)} fields and not {len(columns)}",
                    "fetch it again",
                )
            row: dict[str, Any] = {name: value or None for name, value in zip(columns, fields, strict=True)}
            if row["key"] is not None:
                row["key"] = unquote_to_bytes(row["key"].replace("+", " "))
            yield row
    except (csv.Error, UnicodeError) as error:
        raise StoreError(f"row {reader.line_num} of {data.name} is no sound CSV: {error}", "fetch it again") from error


def _text(blocks: Iterable[bytes]) -> Iterator[str]:
    """Yield lines with their ends, as the reader of CSV wants them."""
    pending = b""
    for block in blocks:
        whole, end, pending = (pending + block).rpartition(b"\n")
        yield from io.StringIO((whole + end).decode(), newline="")
        if len(pending) > _LARGE:
            raise csv.Error("a line does not end")
    if pending:
        yield pending.decode()
