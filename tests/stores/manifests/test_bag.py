"""A bag claims what all of its manifests say, and a bag that contradicts itself is seen to."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import bagit
import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrity.errors import StoreError, UsageError
from integrity.stores.manifests import open_manifest
from tests.stores.manifests.bags import NFD, PAYLOAD, Case, Made, cases
from tests.stores.manifests.writing import PATHS, complaints, digests, files_of, planted, read, sha

NAMES = ["plain", "new\nline", "cr\rx", "two\r\n\r\nends", "per%cent", "%25", " lead", "tail ", "*star", "./dot"[2:],
         unicodedata.normalize("NFD", "각서.txt"), "㈜.txt", "deep/er/파일", "~tilde", "back\\slash"]  # fmt: skip


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)
def test_conformance(tmp_path: Path, case: Case) -> None:
    bag = case.bag.write(tmp_path / "bag")
    try:
        found = complaints(open_manifest(str(bag)), bag)
    except StoreError as error:
        found = [str(error)]
    if case.found == "valid":
        assert found == []
    else:
        assert any(case.found in each for each in found), found


@pytest.mark.parametrize("kinds", [["sha256", "sha512"], ["md5"], ["sha1", "md5", "sha384", "blake2b"]])
def test_what_bagit_python_makes(tmp_path: Path, kinds: list[str]) -> None:
    files = files_of(NAMES)
    bag = planted(tmp_path / "bag", files)
    bagit.make_bag(str(bag), {"Contact-Name": "김"}, checksums=kinds)
    (bag / "notes.txt").write_text("not listed")
    manifest = open_manifest(str(bag))
    assert manifest.every
    assert complaints(manifest, bag) == []
    claims = list(manifest.claims())
    for kind in kinds:
        assert {claim.path: claim.digests[kind] for claim in claims if claim.path.startswith("data/")} == {
            f"data/{name}": sha(data, kind) for name, data in files.items()
        }
    assert list(manifest.remarks) == []
    assert manifest.told() == set(kinds)
    for path, covered in {
        "data/more": True,
        "bag-info.txt": True,
        "notes.txt": False,
        f"tagmanifest-{kinds[0]}.txt": False,
    }.items():
        assert manifest.covers(path, str(bag / path)) is covered
    (bag / "data" / "new\nline").write_bytes(b"")
    (bag / "data" / "plain").unlink()
    assert [each.partition(": ")[2] for each in complaints(manifest, bag)] == ["altered", "0 files"]


@settings(max_examples=40, deadline=None)
@given(st.lists(PATHS, min_size=1, max_size=5, unique=True), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_any_tree_of_names_comes_back(
    tmp_path_factory: pytest.TempPathFactory, paths: list[str], end: str, several: bool
) -> None:
    payload = {f"data/{path}": path.encode() for path in paths}
    if len({unicodedata.normalize("NFC", path) for path in payload}) < len(payload):
        return
    folder = tmp_path_factory.mktemp("bag")
    try:
        Made(payload=payload, end=end, kinds=("sha256", "md5") if several else ("sha256",)).write(folder)
    except (NotADirectoryError, IsADirectoryError, FileExistsError):  # one is a folder of another
        return
    claims, said = read(folder, root="data")
    assert digests(claims) == {path: sha(path.encode()) for path in paths}
    assert said == [f"{3 + several} files are not in data, and were left out, the first one bag-info.txt"]
    assert complaints(open_manifest(str(folder)), folder) == []


def test_what_is_told_of_a_bag(tmp_path: Path) -> None:
    fetch = "http://example.com/1 6 data/hello.txt\nhttp://example.com/2 - data/deep/각서.txt\n"
    bag = Made(fetch=fetch, kinds=("sha256", "sha3_256"), tags=False).write(tmp_path / "bag")
    (bag / "data/hello.txt").unlink()
    claims, said = read(bag)
    assert {claim.path: claim.size for claim in claims} == {"data/hello.txt": 6, "data/deep/각서.txt": None}
    assert said == [
        "2 digests are of a kind that is not known here, the first one data/deep/각서.txt",
        "1 files are still to be fetched, the first one data/hello.txt",
        "1 files of the payload are not there, so its octets were not compared with 11.2",
    ]


@pytest.mark.parametrize("oxum", ["11.2", "12.2"])
def test_payload_oxum_is_compared_whichever_way_a_name_is_spelled(tmp_path: Path, oxum: str) -> None:
    bag = Made(oxum=oxum).write(tmp_path / "bag")
    (bag / "data/deep/각서.txt").rename(bag / f"data/deep/{NFD}.txt")
    claims, said = read(bag)
    assert said == []
    assert any(claim.defects for claim in claims) is (oxum == "12.2")


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    bag = Made(tags=False).write(tmp_path / "bag")
    with open(bag / "manifest-sha512.txt", "ab") as file:
        file.write(b"a" * 128 + b"  data/caf\xe9\n")
    assert {claim.path: claim.defects for claim in read(bag)[0]}[
        "data/caf\\xe9"
    ] == "its name is not UTF-8; its Payload-Oxum is 11.2, and the payload 3 files"


def test_a_root_of_a_bag(tmp_path: Path) -> None:
    bag = Made(oxum="11.3").write(tmp_path / "bag")
    claims, said = read(bag, root="data")
    assert [claim.path for claim in claims] == ["hello.txt", "deep/각서.txt"]
    assert claims[1].defects == "its Payload-Oxum is 11.3, and the payload 11.2"  # also if who says it is not asked for
    assert said == ["3 files are not in data, and were left out, the first one bag-info.txt"]
    manifest = open_manifest(str(bag), root="data/deep")
    assert [claim.path for claim in manifest.claims()] == ["각서.txt"]
    assert manifest.covers("x", "")
    assert not open_manifest(str(bag), root="notes").covers("x", "")
    with pytest.raises(UsageError, match="a bag says itself which digests are in it"):
        read(bag, algorithm="md5")


@pytest.mark.parametrize(
    "where", ["memory://bags/one", "file://{bag}", "zip://::file://{bag}.zip", "zip://bag::file://{bag}.zip"]
)
def test_a_bag_behind_a_url(tmp_path: Path, where: str) -> None:
    import shutil

    bag = Made(kinds=("sha256", "sha512")).write(tmp_path / "bag")
    memory = fsspec.filesystem("memory")
    if memory.exists("/bags"):
        memory.rm("/bags", recursive=True)
    memory.put(f"{bag}/", "/bags/one/", recursive=True)
    inside = "bag" if "bag::" in where else "."
    shutil.make_archive(str(bag), "zip", tmp_path if inside == "bag" else bag, inside)
    assert read(where.format(bag=bag)) == read(bag)


def test_a_folder_that_is_no_bag(tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match=r"is a folder and no bag: there is no bagit\.txt in it; name the manifest itself"
    ):
        open_manifest(str(tmp_path))
    fsspec.filesystem("memory").pipe("/nobag/SHA256SUMS", b"")
    with pytest.raises(StoreError, match=r"did you mean|there are 'SHA256SUMS'"):
        open_manifest("memory://nobag")


def test_many_files_in_bounded_memory(tmp_path: Path) -> None:
    import tracemalloc

    bag = Made(payload={}, info=None, tags=False, kinds=("sha256", "md5")).write(tmp_path / "bag")
    for kind in ("sha256", "md5"):
        with open(bag / f"manifest-{kind}.txt", "w") as file:
            file.writelines(f"{sha(b'%d' % number, kind)}  data/{'x' * 150}{number}\n" for number in range(20_000))
    manifest = open_manifest(str(bag))
    tracemalloc.start()
    claims = sum(len(claim.digests) == 2 and claim.defects is None for claim in manifest.claims())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert claims == 20_000
    assert peak < 10 << 20


def test_the_checker_itself_can_fail(tmp_path: Path) -> None:
    bag = Made().write(tmp_path / "bag")
    assert complaints(open_manifest(str(bag)), bag) == []
    for path in PAYLOAD:
        (bag / path).write_bytes(b"x")
    assert len(complaints(open_manifest(str(bag)), bag)) == 3  # and Payload-Oxum
