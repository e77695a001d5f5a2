"""Listings that are tables, and what rclone lists, claim what their columns say, and nobody guesses which those are."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrity.errors import StoreError, UsageError
from integrity.stores.manifests import lsjson, open_manifest
from integrity.stores.manifests.claims import Claim
from integrity.stores.manifests.lsjson import Lsjson
from tests.servers import absent
from tests.stores.manifests.writing import PATHS, TREES, digests, files_of, planted, read, sha

A, MD5 = "a" * 64, "d41d8cd98f00b204e9800998ecf8427e"
AT = dt.datetime(2026, 3, 2, 1, 2, 3, 456789, tzinfo=dt.UTC)
MICROS = int(AT.timestamp()) * 1_000_000 + 456789


# ---- tables


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".jsonl"])
def test_a_table_of_each_kind(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame(
        {
            "File Path": ["a.txt", "각서/b.txt"],
            "Size_Bytes": [5, 0],
            "SHA-256": [A.upper(), None],
            "etag": [None, f'"{MD5}-2"'],
            "Last Modified": ["2026-03-02T10:02:03.456789+09:00", "2026-03-02T01:02:03.456789Z"],
            "owner": ["kim", "lee"],
        }
    )
    path = tmp_path / f"listing{suffix}"
    if suffix == ".parquet":
        frame["Last Modified"] = pd.to_datetime(frame["Last Modified"], utc=True, format="ISO8601")
        frame.to_parquet(path, index=False)
    elif suffix == ".jsonl":
        path.write_text(frame.to_json(orient="records", lines=True))
    else:
        frame.to_csv(path, index=False)
    assert read(path) == (
        [
            Claim("a.txt", 5, {"sha256": A}, MICROS),
            Claim("각서/b.txt", 0, {"etag": f"?:{MD5}-2"}, MICROS),
        ],
        [],
    )


@pytest.mark.parametrize(
    ("header", "row", "digests_"),
    [
        ("path,hash", f"a,{MD5}", {"md5": MD5}),
        ("path,checksum", f"a,sha256:{A}", {"sha256": A}),
        ("path,digest", f"a,SHA3-256:{A}", {}),
        ("path,hash,algorithm", f"a,{A},SHA-256", {"sha256": A}),
        ("path,hash,hash_type", f"a,{A},sha512/256", {}),
        ("path,hash,hash_type", f"a,{A},", {"sha256": A}),
        ("path,hash", "a,deadbeef", {}),
        ("path,crc32c", "a,deadbeef", {"crc32c": "deadbeef"}),
        ("path,md5", f"a,{base64.b64encode(bytes.fromhex(MD5)).decode()}", {"md5": MD5}),
        ("key,e_tag", f"a,{MD5}", {"md5": MD5}),
        ("name,ETag,MD5", f"a,{MD5},{MD5}", {"md5": MD5}),
        ("filename,ChecksumSHA256", f"a,{A}", {"sha256": A}),
        ("file,md5sum,sha1_hash", f"a,{MD5},{'b' * 40}", {"md5": MD5, "sha1": "b" * 40}),
        ("path,sha256", "a,", {}),
    ],
)
def test_the_names_of_digests(tmp_path: Path, header: str, row: str, digests_: dict[str, str]) -> None:
    (tmp_path / "listing.csv").write_text(f"{header}\n{row}\n")
    (claim,), _ = read(tmp_path / "listing.csv")
    assert claim == Claim("a", digests=digests_)


def test_octets_are_digests_too_and_the_option_says_of_which_kind(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": ["a"], "sha256": [bytes.fromhex(A)]}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet")[0] == [Claim("a", digests={"sha256": A})]
    (tmp_path / "b.csv").write_text("path,hash\na,deadbeef\n")
    assert read(tmp_path / "b.csv", algorithm="crc-32")[0] == [Claim("a", digests={"crc32": "deadbeef"})]


@pytest.mark.parametrize(
    ("header", "row", "defects"),
    [
        ("path,size", "a,many", "its size is 'many', which is no length"),
        ("path,bytes", "a,-1", "its bytes is '-1', which is no length"),
        ("path,sha256", f"a,{A[:-1]}", f"its sha256 is '{A[:40]}', which is none"),
        ("path,md5,etag", f"a,{MD5},{'b' * 32}", "its etag is another md5 than the one beside it"),
        ("path,md5,hash", f"a,{MD5},{'b' * 32}", "its hash is another md5 than the one beside it"),
        ("path", "../a", "its path leads out of its folder"),
    ],
)
def test_what_is_wrong_with_a_row_is_said(tmp_path: Path, header: str, row: str, defects: str) -> None:
    (tmp_path / "listing.csv").write_text(f"{header}\n{row}\n")
    assert read(tmp_path / "listing.csv")[0][0].defects == defects


def test_times_that_are_not_certain_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "listing.csv").write_text(
        "path,mtime\na,2026-03-02 10:00:00\nb,1772409600\nc,2026-03-02T00:00:00Z\nd,\n"
    )
    claims, said = read(tmp_path / "listing.csv")
    assert [claim.modified_at is None for claim in claims] == [True, True, False, True]
    assert said == ["2 times have no time zone, or are none, and were left out, the first one a"]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("owner,size", r"has no column that is the path of a file; there are 'owner', 'size'; call one path, or read it as a table: 'listing.csv' with columns="),
        ("path,Key", r"has the columns 'path', 'Key', and each may be the path of a file; rename all but one, or read it as a table"),
        ("path,size,bytes", "each may be the size of a file"),
        ("path,md5,MD5SUM", "'md5', 'MD5SUM', and each may be the md5 of a file"),
        ("path,mtime,modified", "each may be the time of a file"),
        ("path,hash,checksum", "each may be the digest of a file"),
    ],
)  # fmt: skip
def test_where_nobody_knows_which_column_is_meant(tmp_path: Path, header: str, said: str) -> None:
    (tmp_path / "listing.csv").write_text(f"{header}\n{','.join('x' for _ in header.split(','))}\n")
    with pytest.raises(StoreError, match=said):
        read(tmp_path / "listing.csv")


def test_rows_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "listing.csv").write_text("path,size\na/,\nb/,0\na/c,1\n")
    claims, said = read(tmp_path / "listing.csv")
    assert [claim.path for claim in claims] == ["a/c"]
    assert said == ["2 names end in a slash, as folders do, and were left out, the first one a/"]
    (tmp_path / "listing.csv").write_text("path,size\na,1\n,2\n")
    with pytest.raises(StoreError, match=r"row 2 of listing\.csv has no path"):
        read(tmp_path / "listing.csv")


def test_several_files_are_one_listing_and_do_not_list_themselves(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"path\n{name}\n")
    manifest = open_manifest(f"{tmp_path}/*.csv")
    assert [claim.path for claim in manifest.claims()] == ["a", "b"]
    assert not manifest.covers("a.csv", f"{tmp_path}/a.csv")
    assert manifest.covers("a.txt", f"{tmp_path}/a.txt")
    one = open_manifest(f"{tmp_path}/a.csv")
    assert not one.covers("a.csv", f"{tmp_path}/a.csv")
    assert one.covers("b.csv", f"{tmp_path}/b.csv")


def test_a_root_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "listing.csv").write_text("path\n/srv/a\n/srv/b/c\n/etc/d\n")
    claims, said = read(tmp_path / "listing.csv", root="/srv")
    assert [claim.path for claim in claims] == ["a", "b/c"]
    assert said == ["1 files are not in /srv, and were left out, the first one /etc/d"]


# ---- rclone


def test_what_rclone_lists(tmp_path: Path) -> None:
    rclone = shutil.which("rclone", path=f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}")
    if rclone is None:
        absent("rclone")
    assert rclone is not None
    files = files_of(["a.txt", "deep/er.txt", " lead", "각서.txt", "back\\slash", 'quo"te'])
    tree = planted(tmp_path / "tree", files)
    os.utime(tree / "a.txt", ns=(MICROS * 1000, MICROS * 1000))
    command = [rclone, "lsjson", "-R", "--hash", "tree", "--config", os.devnull, "-q"]
    written = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout
    (tmp_path / "list.json").write_bytes(written)
    claims, said = read(tmp_path / "list.json")
    for kind in ("sha256", "md5", "sha512", "sha1"):
        assert digests(claims, kind) == {name: sha(data, kind) for name, data in files.items()}
    assert {claim.path: claim.size for claim in claims} == {name: len(data) for name, data in files.items()}
    assert {claim.path: claim.modified_at for claim in claims}["a.txt"] == MICROS
    assert said == ["1 entries are folders, and were left out, the first one deep"]
    (tmp_path / "list.json.gz").write_bytes(gzip.compress(json.dumps(json.loads(written), indent=4).encode()))
    assert read(tmp_path / "list.json.gz")[0] == claims
    assert [claim.path for claim in read(tmp_path / "list.json", root="deep")[0]] == ["er.txt"]
    command[command.index("--hash")] = "--files-only"
    (tmp_path / "list.json").write_bytes(subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout)
    claims, said = read(tmp_path / "list.json")
    assert not any(claim.digests for claim in claims)


def entry(path: str, **changes: Any) -> dict[str, Any]:
    return {"Path": path, "Name": path, "Size": 5, "ModTime": "2026-03-02T01:02:03.456789Z", "IsDir": False} | changes


@settings(max_examples=60, deadline=None)
@given(st.lists(PATHS, max_size=6), st.integers(1, 60), st.sampled_from([None, 2]))
def test_it_is_read_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, paths: list[str], chunk: int, indent: int | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.json"
    path.write_text(json.dumps([entry(each) for each in paths], ensure_ascii=False, indent=indent))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("integrity.stores.manifests.sources._BLOCK", chunk)
        listed = open_manifest(str(path))
        assert isinstance(listed, Lsjson)
        assert [claim.path for claim in listed.claims()] == paths


def test_what_rclone_may_not_know(tmp_path: Path) -> None:
    entries = [
        entry("doc", Size=-1),
        entry("none", Hashes={"quickxor": "00"}),
        entry("empty", Hashes={"md5": "", "sha1": "b" * 40}),
        entry("broken", Hashes={"md5": "xyz"}),
        entry("other", Hashes={"sha512": "ff", "md5": MD5}),
    ]
    (tmp_path / "list.json").write_text(json.dumps(entries))
    claims, said = read(tmp_path / "list.json")
    assert claims[0].size is None
    assert [dict(claim.digests) for claim in claims] == [{}, {}, {"sha1": "b" * 40}, {}, {"md5": MD5}]
    assert [claim.defects for claim in claims] == [
        None, None, None, "its md5 is 'xyz', which is none", "its sha512 is 'ff', which is none"
    ]  # fmt: skip
    assert said == ["1 files have no digest of a kind that is known here, the first one none"]
    with pytest.raises(UsageError):
        read(tmp_path / "list.json", algorithm="md5")


@pytest.mark.parametrize(
    "text",
    [
        "[", '[{"Path": "a"}', '[{"Path": "a"},', '[{"Path": "a"', '[{"Path": "a"},]', '[{"Path": "a"} {"Path": "b"}]',
        '[{"Path": "a"}] x', '[{"Path": "a"}][]', "[1]", '["a"]', "[{}]", '[{"Path": ""}]', '[{"Path": 1}]', "[null]",
        '[{"path": "a"}]', "[" * 100_000, '[{"a":' * 100_000, '[{"Path": "a"}, \x00]', '[{"Path": nope}]',
    ],
)  # fmt: skip
def test_what_is_no_whole_listing(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(StoreError, match=r"list\.json"):
        read(tmp_path / "list.json")


def test_an_entry_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lsjson, "_LONGEST", 1 << 20)
    (tmp_path / "list.json").write_text('[{"Path": "' + "x" * (6 << 20))
    with pytest.raises(StoreError, match="has an entry that does not end"):
        read(tmp_path / "list.json")
    (tmp_path / "list.json").write_bytes(b'[{"Path": "\xff"}]')
    with pytest.raises(StoreError, match="is not UTF-8"):
        read(tmp_path / "list.json")


@settings(max_examples=40, deadline=None)
@given(TREES)
def test_any_tree_of_names_comes_back_from_a_table(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    path = tmp_path_factory.getbasetemp() / "listing.parquet"
    table = pa.table({"path": pa.array(list(files), pa.string()), "sha256": pa.array([sha(d) for d in files.values()], pa.string())})  # fmt: skip
    pq.write_table(table, path)
    assert digests(read(path)[0]) == {name: sha(data) for name, data in files.items()}
