"""What the tests of manifests share: names, dumb writers of each form, and a dumb checker of what was read."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from hypothesis import strategies as st

from integrity.stores.manifests import open_manifest
from integrity.stores.manifests.claims import Claim, Manifest

ODD = "abAB각서\u1100\u1161\u11a8é\u0301🀄\U0010ffff\n\r\\*# -%.,;:=()[]{}'\"\t\x7f␊~"
_PART = st.text(
    alphabet=st.one_of(st.sampled_from(ODD), st.characters(exclude_categories=["Cs"], exclude_characters="/\0")),
    min_size=1,
    max_size=8,
).filter(lambda part: part not in (".", ".."))
#: Paths of every Unicode plane, a few parts deep.
PATHS = st.lists(_PART, min_size=1, max_size=3).map("/".join)


def files_of(paths: list[str]) -> dict[str, bytes]:
    """A content for each path, each another one."""
    return {path: f"{number} {path}".encode() for number, path in enumerate(paths)}


TREES = st.lists(PATHS, max_size=5, unique=True).map(files_of)


def gnu(name: str, digest: str, mark: str = " ", escaped: bool = True) -> bytes:
    """A line of sha256sum's, without its end, put together letter by letter."""
    shown, slash = "", ""
    for letter in name:
        as_written = {"\n": "\\n", "\r": "\\r", "\\": "\\\\"}.get(letter, letter) if escaped else letter
        slash = "\\" if as_written != letter else slash
        shown += as_written
    return f"{slash}{digest} {mark}{shown}".encode()


def bsd(name: str, digest: str, word: str = "SHA256") -> bytes:
    line = gnu(name, "", "").decode()
    slash, shown = ("\\", line[2:]) if line.startswith("\\") else ("", line[1:])
    return f"{slash}{word} ({shown}) = {digest}".encode()


def sha(data: bytes, kind: str = "sha256") -> str:
    return hashlib.new(kind, data).hexdigest()


def planted(folder: Path, files: Mapping[str, bytes]) -> Path:
    for path, data in files.items():
        where = folder / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(data)
    return folder


def read(where: Path | str, **options: str) -> tuple[list[Claim], list[str]]:
    """All claims of a manifest, read twice, and its remarks."""
    manifest = open_manifest(str(where), **options)
    told = manifest.told()
    claims = list(manifest.claims())
    assert list(manifest.claims()) == claims
    held = {kind for claim in claims for kind in claim.digests}
    held |= {"size"} if any(claim.size is not None for claim in claims) else set()
    held |= {"modified_at"} if any(claim.modified_at is not None for claim in claims) else set()
    assert told == held
    return claims, list(manifest.remarks)


def digests(claims: list[Claim], kind: str = "sha256") -> dict[str, str]:
    assert len({claim.path for claim in claims}) == len(claims)
    return {claim.path: claim.digests[kind] for claim in claims}


def complaints(manifest: Manifest, tree: Path) -> list[str]:
    """What is wrong with a tree by a manifest, found by looking at each file: for claims whose names are text."""
    found: list[str] = []
    there: dict[str, list[Path]] = {}
    for folder, _, names in os.walk(tree):
        for name in names:
            path = Path(folder) / name
            key = unicodedata.normalize("NFC", path.relative_to(tree).as_posix())
            there.setdefault(key, []).append(path)
    claimed: set[str] = set()
    for claim in manifest.claims():
        key = unicodedata.normalize("NFC", claim.path)
        if claim.defects is not None:
            found.append(f"{claim.path}: {claim.defects}")
        if key in claimed:
            found.append(f"{claim.path}: claimed twice")
        claimed.add(key)
        paths = there.get(key, [])
        if len(paths) != 1:
            found.append(f"{claim.path}: {len(paths)} files")
        elif not claim.digests:
            found.append(f"{claim.path}: unverified")
        else:
            data = paths[0].read_bytes()
            wrong = [kind for kind, digest in claim.digests.items() if sha(data, kind) != digest]
            if wrong and (manifest.every or len(wrong) == len(claim.digests)):
                found.append(f"{claim.path}: altered")
    found += [
        f"{key}: extra"
        for key in there.keys() - claimed
        if any(manifest.covers(path.relative_to(tree).as_posix(), str(path)) for path in there[key])
    ]
    return sorted(found)
