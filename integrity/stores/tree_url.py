"""Which files, or claims of files, does a URL mean?

``tree:PATH`` or ``tree:URL`` is a tree, ``manifest:PATH`` what claims to describe one. Options say what cannot be
seen: ``?hash=declared`` takes the digests that an object store tells without being read; ``?cache=FILE`` remembers
digests from run to run; ``?stored=changed`` (or ``modified``) says which time of a local file is that of its arrival;
and of a manifest, ``?algorithm=sha1`` which digest it holds and ``?root=data`` below which folder its paths are meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from integrity.errors import StoreError, UsageError, did_you_mean
from integrity.stores.base import Store
from integrity.stores.manifest import ManifestStore
from integrity.stores.tree import TreeStore
from integrity.stores.trees import Tree

__all__ = ["manifest_store", "tree_store"]

#: The options of each scheme, and the words that each may say; any word, where there are none.
_TREE: Final[dict[str, tuple[str, ...]]] = {
    "hash": ("read", "declared"),
    "cache": (),
    "stored": ("changed", "modified"),
    "known_hosts": (),
}
_MANIFEST: Final[dict[str, tuple[str, ...]]] = {"algorithm": (), "root": ()}


def tree_store(url: str) -> Store:
    """Return the files of ``tree:PATH`` or ``tree:URL``.

    Raises:
        UsageError: an option cannot be meant.
        StoreError: nothing is there.
        MissingExtraError: what reaches it is not installed.
    """
    where, options = _parted(url, _TREE)
    remote = re.match(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)", where) is not None and not where.startswith("file://")
    if remote and "stored" in options:
        raise UsageError(f"stored={options['stored']} is said of local files only", "leave it out")
    if not remote and options.get("hash") == "declared":
        raise UsageError("a folder declares no digests", "leave hash=declared out: its files are read")
    tree: Tree
    if remote:
        from integrity.stores.remote_tree import remote_tree

        tree = remote_tree(where, options.get("known_hosts"))
    else:
        from integrity.stores.local_tree import LocalTree

        tree = LocalTree(where.removeprefix("file://"), options.get("stored"))
    reads = options.get("hash", "read") == "read"
    if not reads and not tree.declares:
        raise UsageError(f"{tree.name} declares no digests that are known here", "leave hash=declared out")
    tree.check()
    return TreeStore(tree, reads=reads, cache=options.get("cache"))


def manifest_store(url: str) -> Store:
    """Return what ``manifest:PATH`` or ``manifest:URL`` claims.

    Raises:
        UsageError: an option cannot be meant.
        StoreError: it is not there, or is no manifest.
    """
    from integrity.stores.manifests import open_manifest

    where, options = _parted(url, _MANIFEST)
    return ManifestStore(open_manifest(where, algorithm=options.get("algorithm"), root=options.get("root")))


def _parted(url: str, known: Mapping[str, tuple[str, ...]]) -> tuple[str, dict[str, str]]:
    """Split a URL into its place and its options; a question mark may also be part of a name."""
    scheme, _, rest = url.partition(":")
    parted = re.fullmatch(r"(?s)(.*?)(?:\?((?:[A-Za-z_]+=[^?&]*)(?:&[A-Za-z_]+=[^?&]*)*))?", rest)
    assert parted is not None
    where = parted[1]
    if re.match(r"///[^/]|//[^/:]+/", where) and "::" not in where:  # tree:///srv/drive, as people write URLs
        where = where[2:]
    if not where:
        raise StoreError(f"{url!r} names no place", f"write for example {scheme}:/srv/drive")
    options: dict[str, str] = {}
    for name, value in parse_qsl(parted[2] or "", keep_blank_values=True):
        if name not in known:
            raise UsageError(f"a {scheme}: URL has no option {name!r}", did_you_mean(name, known))
        if options.setdefault(name, value) != value:
            raise UsageError(f"the option {name} is there twice", "leave one of them out")
        if not value or value not in (known[name] or (value,)):
            such_as = did_you_mean(value, known[name]) if known[name] else f"write for example {name}=…"
            raise UsageError(f"{name}={value} means nothing", such_as)
    return where, options
