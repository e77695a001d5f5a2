"""What hashdeep wrote is read as it meant it, commas, line ends and all."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings

from integrity.errors import StoreError, UsageError
from integrity.stores.manifests import open_manifest
from tests.servers import absent
from tests.stores.manifests.writing import TREES, complaints, digests, files_of, planted, read, sha

HEAD = "%%%% HASHDEEP-1.0\n%%%% size,md5,sha256,filename\n## Invoked from: /srv\n## # hashdeep -r -l .\n## \n"
NAMES = ["a.txt", "com,ma,s", " lead", "-dash", "*star", "#hash", "back\\slash", "new\nline", "two\n\nlines", "cr\rx", "각서.txt", "d/e/p%25", "1,2"]  # fmt: skip
MD5, SHA = "d41d8cd98f00b204e9800998ecf8427e", "a" * 64


@pytest.fixture
def hashdeep() -> str:
    found = shutil.which("hashdeep")
    if found is None:
        absent("hashdeep")
    assert found is not None
    return found


def test_what_hashdeep_writes(tmp_path: Path, hashdeep: str) -> None:
    files = files_of(NAMES)
    tree = planted(tmp_path / "tree", files)
    for options in (["-l"], ["-l", "-c", "md5,sha1,sha256,tiger,whirlpool"], []):
        command = [hashdeep, "-r", *options, "." if options else str(tree)]
        written = subprocess.run(command, cwd=tree, check=True, capture_output=True).stdout
        (tmp_path / "list.txt").write_bytes(written)
        root = {} if options else {"root": str(tree)}
        claims, said = read(tmp_path / "list.txt", **root)
        assert digests(claims) == {name: sha(data) for name, data in files.items()}
        assert {claim.path: claim.size for claim in claims} == {name: len(data) for name, data in files.items()}
        assert not any({"tiger", "whirlpool"} & claim.digests.keys() for claim in claims)
        assert said[0].startswith("26 digests are of a kind") is (len(options) == 3)
        assert any(remark.startswith("3 lines go on with the name of a file") for remark in said)
        assert complaints(open_manifest(str(tmp_path / "list.txt"), **root), tree) == []
    with pytest.raises(StoreError, match=r"is an absolute path; say below which folder: manifest:…\?root="):
        read(tmp_path / "list.txt")
    (tree / "a.txt").write_bytes(b"other")
    assert complaints(open_manifest(str(tmp_path / "list.txt"), root=str(tree)), tree) == ["a.txt: altered"]


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_any_tree_of_names_comes_back(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    # A line of a name that looks like one of the file's own cannot be told from one: hashdeep escapes nothing.
    files = {
        name: data
        for name, data in files.items()
        if not any(line.startswith(("%%%% ", "## ", "##")) for line in name.split("\n")[1:])
    }
    path = tmp_path_factory.getbasetemp() / "hashdeep.txt"
    rows = "".join(f"{len(data)},{sha(data, 'md5')},{sha(data)},./{name}\n" for name, data in files.items())
    path.write_bytes((HEAD + rows).encode())
    claims, _ = read(path)
    assert digests(claims) == {name: sha(data) for name, data in files.items()}
    assert digests(claims, "md5") == {name: sha(data, "md5") for name, data in files.items()}


def test_columns_in_any_order_crlf_and_two_files_joined(tmp_path: Path) -> None:
    first = f"%%%% HASHDEEP-1.0\r\n%%%% sha256,size,filename\r\n## \r\n{SHA},1,a\r\n"
    second = f"%%%% HASHDEEP-1.0\r\n%%%% size,md5,filename\r\n## \r\n2,{MD5.upper()},b\r\n"
    (tmp_path / "list").write_bytes((first + second).encode())
    claims = list(open_manifest(str(tmp_path / "list")).claims())
    assert [(claim.path, claim.size, dict(claim.digests)) for claim in claims] == [
        ("a", 1, {"sha256": SHA}),
        ("b", 2, {"md5": MD5}),
    ]
    assert open_manifest(str(tmp_path / "list")).every is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD}1,{MD5[:20]}", "line 6 of .* no line of hashdeep's.*cut short"),
        (f"{HEAD}1,{MD5},{SHA},a\n1,{MD5[:20]}", "line 7 of .*cut short"),
        (f"{HEAD}1,{MD5},{SHA},a\n1,{MD5},{SHA[:-1]},b\n", "line 7 of .*is it whole"),
        (f"{HEAD}1,{MD5},{SHA},a\nhalf of a na", "line 7 of .*cut short"),
        (f"{HEAD}nonsense\n", "line 6 of .*is it whole"),
        (f"{HEAD}-1,{MD5},{SHA},a\n", "line 6 of"),
        ("%%%% HASHDEEP-2.0\n%%%% size,md5,filename\n", "of a version that is not known here"),
        ("%%%% HASHDEEP-1.0\n%%%% size,md5\n", "does not name its columns"),
        ("%%%% HASHDEEP-1.0\n%%%% md5,filename\n", "does not name its columns"),
        ("%%%% HASHDEEP-1.0\n%%%% size,md5,md5,filename\n", "does not name its columns"),
        (f"%%%% HASHDEEP-1.0\n1,{MD5},a\n", "there is no line of columns before it"),
        (f"{HEAD}1,{MD5},{SHA},a\n" + "x\n" * 70000, "is it whole"),
    ],
)
def test_what_is_no_line_of_hashdeeps(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "list").write_text(text)
    with pytest.raises(StoreError, match=said):
        read(tmp_path / "list")


def test_a_last_line_without_an_end_and_an_odd_name_are_said(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(f"{HEAD}1,{MD5},{SHA},caf".encode() + b"\xe9")
    (claim,), said = read(tmp_path / "list")
    assert (claim.path, claim.defects) == ("caf\\xe9", "its name is not UTF-8")
    assert said == ["1 lines have no end, so that the file may have been cut short, the first one line 6"]
    with pytest.raises(UsageError, match="says itself which digests"):
        read(tmp_path / "list", algorithm="md5")
