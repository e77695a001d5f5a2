"""Trees against what claims to describe them, from end to end, with what other programs wrote."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import bagit
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import integrity
from integrity.errors import StoreError
from tests.servers import absent
from tests.stores.manifests.bags import Case, Made, cases
from tests.stores.manifests.writing import bsd, gnu, sha
from tests.stores.test_trees import NFC, NFD, TREES, breaks, fits, grown, reconciled
from tests.test_reconcile_laws import without_self_test
from tests.tree_servers import tool

FILES = {"a.txt": b"hello", f"deep/{NFC}": b"memo", "deep/er/-rf": b"", "b c": b"hello"}


def kinds(result: integrity.Result) -> set[tuple[str, str]]:
    return {(kind, path) for kind, path, _ in breaks(result)}


# --- bags -----------------------------------------------------------------------------------------------------


def test_a_bag_that_bagit_made_is_whole(tmp_path: Path) -> None:
    bag = grown(tmp_path / "bag", FILES)
    bagit.make_bag(str(bag), {"Contact-Name": "김"}, checksums=["sha256", "md5"])
    result = integrity.reconcile("tree", f"manifest:{bag}", f"tree:{bag}")
    assert (result.verdict, breaks(result)) == ("pass", set())
    assert result.totals["matched"] == len(FILES) + 4  # bagit.txt, bag-info.txt and both manifests are listed, too
    payload = integrity.reconcile("tree", f"manifest:{bag}?root=data", f"tree:{bag}/data")
    assert (payload.verdict, payload.totals["matched"]) == ("pass", len(FILES))


def settled() -> integrity.Contract:
    """The tree's contract without a grace period, for files that a test wrote a moment ago."""
    form = integrity.contract("tree")._form()
    del form["changed"], form["grace"]
    return integrity.Contract.from_dict(form)


def test_an_unlisted_twin_of_a_name_does_not_validate(tmp_path: Path) -> None:
    """bagit-python says that such a bag is valid, if it has no Payload-Oxum."""
    bag = grown(tmp_path / "bag", {NFC: b"as signed"})
    bagit.make_bag(str(bag), checksums=["sha256"])
    (bag / "bag-info.txt").unlink()
    (bag / "tagmanifest-sha256.txt").unlink()
    (bag / "data" / NFD).write_bytes(b"another text")
    assert bagit.Bag(str(bag)).is_valid()
    result = integrity.reconcile(settled(), f"manifest:{bag}", f"tree:{bag}")
    assert kinds(result) == {("duplicate", f"data/{NFC}"), ("invalid", f"data/{NFC}")}


def test_both_manifests_of_a_bag_have_to_hold(tmp_path: Path) -> None:
    bag = grown(tmp_path / "bag", {"x": b"1"})
    bagit.make_bag(str(bag), checksums=["sha256", "md5"])
    manifest = bag / "manifest-md5.txt"
    manifest.write_text(manifest.read_text().replace(hashlib.md5(b"1").hexdigest(), hashlib.md5(b"2").hexdigest()))  # noqa: S324
    result = integrity.reconcile(settled(), f"manifest:{bag}", f"tree:{bag}")
    assert ("corrupt", "data/x", "md5") in breaks(result)
    assert ("corrupt", "manifest-md5.txt") in kinds(result)


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)
def test_a_bag_passes_if_it_conforms(tmp_path: Path, case: Case) -> None:
    bag = case.bag.write(tmp_path / "bag")
    try:
        with without_self_test():
            verdict = integrity.reconcile(settled(), f"manifest:{bag}", f"tree:{bag}").verdict.value
    except StoreError as error:
        verdict = f"error: {error}"
    assert (verdict == "pass") == (case.found == "valid"), verdict


def test_what_is_still_to_be_fetched_is_lost(tmp_path: Path) -> None:
    bag = Made(fetch="http://example.com/1 6 data/hello.txt\n").write(tmp_path / "bag")
    (bag / "data/hello.txt").unlink()
    result = integrity.reconcile(settled(), f"manifest:{bag}", f"tree:{bag}")
    assert ("lost", "data/hello.txt") in kinds(result)
    assert any("still to be fetched" in note for note in result.notes)


# --- what other programs write --------------------------------------------------------------------------------


def written_by(tool_: str, root: Path) -> bytes:
    commands = {
        "sha256sum": "find . -type f -print0 | xargs -0 sha256sum",
        "sha256sum -z": "find . -type f -print0 | xargs -0 sha256sum -z",
        "md5sum --tag": "find . -type f -print0 | xargs -0 md5sum --tag",
        "b2sum": "find . -type f -print0 | xargs -0 b2sum",
        "hashdeep": "hashdeep -r -l .",
        "rclone hashsum sha1": f"{tool('rclone')} hashsum sha1 . 2>/dev/null",
        "rclone hashsum sha256 --base64": f"{tool('rclone')} hashsum sha256 --base64 . 2>/dev/null",
    }
    if shutil.which(tool_.split()[0]) is None and "rclone" not in tool_:
        absent(tool_)
    return subprocess.run(["bash", "-c", commands[tool_]], cwd=root, capture_output=True, check=True).stdout


TOOLS = [
    "sha256sum",
    "sha256sum -z",
    "md5sum --tag",
    "b2sum",
    "hashdeep",
    "rclone hashsum sha1",
    "rclone hashsum sha256 --base64",
]


@pytest.mark.parametrize("name", TOOLS)
def test_what_another_program_wrote_describes_the_tree(tmp_path: Path, name: str) -> None:
    root = grown(tmp_path / "t", FILES)
    listed = tmp_path / ("B2SUMS" if name == "b2sum" else "list")  # its digests are as long as those of SHA-512
    listed.write_bytes(written_by(name, root))
    result = reconciled(f"manifest:{listed}", root)
    assert (result.verdict, result.totals["matched"]) == ("pass", len(FILES)), result
    (root / "a.txt").write_bytes(b"hellO")
    (root / "b c").unlink()
    (root / "new").write_bytes(b"1")
    changed = integrity.reconcile(settled(), f"manifest:{listed}", f"tree:{root}")
    assert kinds(changed) == {("corrupt", "a.txt"), ("lost", "b c"), ("extra", "new")}


def test_a_list_inside_of_its_tree_is_not_extra(tmp_path: Path) -> None:
    root = grown(tmp_path / "t", FILES)
    (root / "SHA256SUMS").write_bytes(written_by("sha256sum", root))
    result = reconciled(f"manifest:{root}/SHA256SUMS", root)
    assert (result.verdict, breaks(result)) == ("pass", set())
    (root / "deep" / "SHA256SUMS").write_bytes(b"another one of that name")
    assert kinds(integrity.reconcile(settled(), f"manifest:{root}/SHA256SUMS", f"tree:{root}")) == {
        ("extra", "deep/SHA256SUMS")
    }


def test_one_of_two_identical_files_is_missed(tmp_path: Path) -> None:
    """Who knows files by their content alone does not miss one as long as its twin is there."""
    root, listed = grown(tmp_path / "t", {"one": b"same", "two": b"same"}), tmp_path / "known"
    listed.write_bytes(written_by("hashdeep", root))
    (root / "two").unlink()
    assert kinds(reconciled(f"manifest:{listed}", root)) == {("lost", "two")}


def test_no_common_hash_is_unverified_where_rclone_check_succeeds(tmp_path: Path) -> None:
    """rclone check exits 0 for files of one size and other content where both sides know no hash in common."""
    (tmp_path / "sizes.csv").write_text("path,size\nf.txt,4\n")
    root = grown(tmp_path / "t", {"f.txt": b"bbbb"})
    result = reconciled(f"manifest:{tmp_path}/sizes.csv", root)
    assert (result.verdict, result.exit_code, result.totals["unverified"]) == ("unverified", 3, 1)


def test_an_inventory_describes_a_tree_by_etags(tmp_path: Path) -> None:
    """An S3 Inventory tells no size of parts: every size that leads to so many parts is tried."""
    from tests.stores.test_trees import etag

    data = bytes(range(256)) * 2**16  # 16 MiB
    root = grown(tmp_path / "t", {"once.txt": b"1", "parts.bin": data, "odd": data})
    rows = [
        ("once.txt", 1, hashlib.md5(b"1", usedforsecurity=False).hexdigest()),
        ("parts.bin", len(data), etag(data, 8 * 2**20)),
        ("odd", len(data), etag(data, 7_654_321)),
    ]
    folder = tmp_path / "inventory"
    (folder / "data").mkdir(parents=True)
    csv = "".join(f'"bucket","drive/{key}","{size}","{tag}","SSE-S3"\n' for key, size, tag in rows).encode()
    (folder / "data" / "1.csv").write_bytes(csv)
    described: dict[str, Any] = {
        "sourceBucket": "bucket", "destinationBucket": "arn:aws:s3:::other", "version": "2016-11-30", "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size, ETag, EncryptionStatus",
        "files": [{"key": "data/1.csv", "size": len(csv), "MD5checksum": hashlib.md5(csv, usedforsecurity=False).hexdigest()}],
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(described))
    result = reconciled(f"manifest:{folder}/manifest.json?root=drive", root)
    assert (result.totals["matched"], result.totals["unverified"], breaks(result)) == (2, 1, set())


# --- any tree -------------------------------------------------------------------------------------------------


def test_any_tree_survives_its_manifest_and_any_one_change_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(TREES.map(fits), st.sampled_from(["gnu", "bsd", "nul"]), st.data())
    def law(files: dict[str, bytes], form: str, data: st.DataObject) -> None:
        spelled = {path[:at] for path in files for at in range(1, len(path) + 1) if path[at : at + 1] in ("", "/")}
        if len({unicodedata.normalize("NFC", name) for name in spelled}) < len(spelled):
            return  # collisions, which are said
        root = grown(tmp_path_factory.mktemp("t"), files)
        lines = {
            "gnu": lambda path, digest: gnu(path, digest) + b"\n",
            "bsd": lambda path, digest: bsd(path, digest) + b"\n",
            "nul": lambda path, digest: gnu(path, digest, escaped=False) + b"\0",
        }[form]
        wrong = data.draw(st.sampled_from([None, *sorted(files)]))
        told = {path: sha(content if path != wrong else content + b"!") for path, content in files.items()}
        listed = tmp_path_factory.mktemp("m") / "SHA256SUMS"
        listed.write_bytes(b"".join(lines(path, digest) for path, digest in told.items()))
        with without_self_test():
            result = reconciled(f"manifest:{listed}", root)
        named = {(b["kind"], b["differing"]) for batch in result.iter_breaks() for b in batch.to_pylist()}
        assert named == (set() if wrong is None else {("corrupt", "sha256")})
        assert result.totals["matched"] == len(files) - (wrong is not None)

    law()
