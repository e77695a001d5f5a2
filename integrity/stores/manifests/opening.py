"""Which kind of manifest lies at a path or URL?

A folder with ``bagit.txt`` is a bag, ``manifest.json`` with a ``fileSchema`` an S3 Inventory, a file that begins with
``%%%% HASHDEEP`` is hashdeep's, ``.csv``, ``.parquet`` and ``.jsonl`` are tables, a ``.json`` is what rclone lists, and
anything else is a list of checksums.
"""

from __future__ import annotations

from typing import Final

from integrity.errors import StoreError, UsageError, did_you_mean
from integrity.stores.files import FilesStore
from integrity.stores.manifests.bag import Bag
from integrity.stores.manifests.checksums import Checksums
from integrity.stores.manifests.claims import Manifest
from integrity.stores.manifests.folders import Folder, folder_of
from integrity.stores.manifests.hashdeep import MARK, Hashdeep
from integrity.stores.manifests.inventory import Inventory, is_inventory
from integrity.stores.manifests.lsjson import Lsjson
from integrity.stores.manifests.paths import Root
from integrity.stores.manifests.sources import Source, lines, sources_of
from integrity.stores.manifests.tables import Table
from integrity.stores.manifests.written import named, option

__all__ = ["open_manifest"]

_TABLES: Final = (".csv", ".parquet", ".jsonl", ".ndjson", ".arrow", ".feather", ".ipc")
_LARGE: Final = 64 << 20


def open_manifest(where: str, *, algorithm: str | None = None, root: str | None = None) -> Manifest:
    """Return the manifest that lies at a path or an fsspec URL.

    Args:
        where: A file, or the folder of a bag.
        algorithm: Of which kind its digests are, where it does not say: any of ours, however it is written.
        root: The folder of which it is asked to tell, as it spells folders; paths are told from there, and what lies
            elsewhere is left out, and counted.

    Raises:
        UsageError: an option cannot be meant.
        StoreError: nothing is there, or no manifest.
        MissingExtraError: what reaches it is not installed.
    """
    kind, below = option(algorithm), None if root is None else Root(root)
    folder = folder_of(where)
    if folder.exists():
        _says_itself(kind, "a bag")
        return Bag(_bag(folder), below)
    source, *more = sources_of(where)
    if source.spelled.endswith(_TABLES):
        return Table(FilesStore(where), kind, below)
    if more:
        raise StoreError(
            f"{source.place.location} is {1 + len(more)} files, and no manifest", "name the manifest itself, one file"
        )
    if source.spelled.endswith(".json"):
        return _json(source, folder, kind, below)
    first = next(lines(source), None)
    if first is not None and first.octets.startswith(MARK):
        _says_itself(kind, "a file of hashdeep's")
        return Hashdeep(source, below)
    return Checksums(source, kind, below)


def _bag(folder: Folder) -> Folder:
    """Return a folder if it is that of a bag; else say what else in it may be meant."""
    names = folder.names()
    if "bagit.txt" not in names:
        lists = [name for name in names if named(name)[0] or name == "manifest.json"]
        raise StoreError(
            f"{folder.place.location} is a folder and no bag: there is no bagit.txt in it",
            f"name the manifest itself: {did_you_mean('manifest', lists)}" if lists else "name the manifest itself",
        )
    return folder


def _json(source: Source, folder: Folder, kind: str | None, below: Root | None) -> Manifest:
    _says_itself(kind, "a listing in JSON")
    begin = source.head().removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if begin == b"[":
        return Lsjson(source, below)
    if begin == b"{" and is_inventory(source.whole(_LARGE)):
        beside = folder.parent()
        assert beside is not None
        return Inventory(source, beside, below)
    raise StoreError(
        f"{source.name} is neither the manifest.json of an S3 Inventory nor what rclone lsjson writes",
        "write other listings as JSON Lines, a line for each file, in a file that ends in .jsonl",
    )


def _says_itself(kind: str | None, what: str) -> None:
    if kind is not None:
        raise UsageError(f"{what} says itself which digests are in it", "leave algorithm out")
