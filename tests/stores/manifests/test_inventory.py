"""An S3 Inventory claims the objects that are there, and of their content only what their ETags tell."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from integrity.errors import StoreError, UsageError
from integrity.stores.manifests import open_manifest
from tests.stores.manifests.writing import PATHS, read, sha

AT = dt.datetime(2026, 3, 2, 1, 2, 3, tzinfo=dt.UTC)
MICROS = int(AT.timestamp()) * 1_000_000
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
COLUMNS = {
    "Bucket": pa.string(),
    "Key": pa.string(),
    "VersionId": pa.string(),
    "IsLatest": pa.bool_(),
    "IsDeleteMarker": pa.bool_(),
    "Size": pa.int64(),
    "LastModifiedDate": pa.timestamp("ms"),
    "ETag": pa.string(),
    "IsMultipartUploaded": pa.bool_(),
    "EncryptionStatus": pa.string(),
}
SNAKE = {name: {"ETag": "e_tag"}.get(name) or "".join(f"_{c.lower()}" if c.isupper() else c for c in name)[1:] for name in COLUMNS}  # fmt: skip
Rows = list[dict[str, Any]]


def row(key: str, **changes: Any) -> dict[str, Any]:
    usual = {
        "Bucket": "source", "Key": key, "VersionId": "", "IsLatest": True, "IsDeleteMarker": False, "Size": 5,
        "LastModifiedDate": AT, "ETag": MD5, "IsMultipartUploaded": False, "EncryptionStatus": "SSE-S3",
    }  # fmt: skip
    return usual | changes


def as_csv(rows: Rows, columns: list[str]) -> bytes:
    """As the AWS documentation describes it: no header, every field quoted, keys URL-encoded."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for each in rows:
        shown = {
            "Key": quote_plus(each["Key"]),
            "LastModifiedDate": each["LastModifiedDate"].strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            **{name: str(each[name]).lower() for name in ("IsLatest", "IsDeleteMarker", "IsMultipartUploaded")},
            "Size": "" if each["Size"] is None else each["Size"],
        }
        writer.writerow([shown.get(name, each[name]) for name in columns])
    return gzip.compress(text.getvalue().encode())


def as_parquet(rows: Rows, columns: list[str]) -> bytes:
    names = [SNAKE[name] for name in columns]
    arrays = []
    for name in columns:
        values = [each[name] for each in rows]
        if name == "LastModifiedDate":
            values = [value.replace(tzinfo=None) for value in values]
        arrays.append(pa.array(values, COLUMNS[name]))
    sink = io.BytesIO()
    pq.write_table(pa.table(arrays, names), sink, row_group_size=3)
    return sink.getvalue()


def written(folder: Path, rows: Rows, form: str = "CSV", columns: list[str] | None = None) -> Path:
    """Write an inventory as S3 lays it out, in two data files; return its manifest.json."""
    columns = list(COLUMNS) if columns is None else columns
    base = folder / "inventories" / "source" / "daily"
    schema = ", ".join(columns)
    if form == "Parquet":
        schema = (
            "message s3.inventory { " + " ".join(f"optional binary {SNAKE[name]} (UTF8);" for name in columns) + "}"
        )
    files = []
    for number, part in enumerate((rows[: len(rows) // 2], rows[len(rows) // 2 :])):
        octets = (as_csv if form == "CSV" else as_parquet)(part, columns)
        name = f"{number}{'.csv.gz' if form == 'CSV' else '.parquet'}"
        (base / "data").mkdir(parents=True, exist_ok=True)
        (base / "data" / name).write_bytes(octets)
        key = f"inventories/source/daily/data/{name}"
        files.append({"key": key, "size": len(octets), "MD5checksum": sha(octets, "md5")})
    said = {
        "sourceBucket": "source", "destinationBucket": "arn:aws:s3:::inventories", "version": "2016-11-30",
        "creationTimestamp": "1772409600000", "fileFormat": form, "fileSchema": schema, "files": files,
    }  # fmt: skip
    (base / "2026-03-02T01-00Z").mkdir(exist_ok=True)
    manifest = base / "2026-03-02T01-00Z" / "manifest.json"
    manifest.write_text(json.dumps(said))
    (manifest.parent / "manifest.checksum").write_text(sha(manifest.read_bytes(), "md5") + "\n")
    return manifest


ROWS = [
    row("a.txt"),
    row("보고서/2026 결산+최종.xlsx", ETag=f"{MD5}-3", Size=20_000_000, IsMultipartUploaded=True),
    row("old", IsLatest=False),
    row("gone", IsDeleteMarker=True, Size=None, ETag=""),
    row("folder/", Size=0),
    row("kept/", Size=3),
    row("secret", EncryptionStatus="SSE-KMS"),
    row("doubly", EncryptionStatus="DSSE-KMS", ETag=f"{MD5}-2"),
    row("mine", EncryptionStatus="SSE-C"),
    row("open", EncryptionStatus="NOT-SSE"),
    row("%2B&\"', é"),
]


@pytest.mark.parametrize("form", ["CSV", "Parquet"])
def test_what_an_inventory_claims(tmp_path: Path, form: str) -> None:
    claims, said = read(written(tmp_path, ROWS, form))
    assert {claim.path: dict(claim.digests) for claim in claims} == {
        "a.txt": {"md5": MD5},
        "보고서/2026 결산+최종.xlsx": {"etag": f"?:{MD5}-3"},
        "kept/": {"md5": MD5},
        "secret": {},
        "doubly": {},
        "mine": {},
        "open": {"md5": MD5},
        "%2B&\"', é": {"md5": MD5},
    }
    assert {claim.size for claim in claims} == {5, 3, 20_000_000}
    assert {claim.modified_at for claim in claims} == {MICROS}
    assert said == [
        "1 versions are not the latest one, and were left out, the first one old",
        "1 keys are deleted, and were left out, the first one gone",
        "1 empty objects stand for folders, and were left out, the first one folder/",
        "3 objects are encrypted so that their ETag says nothing of their content, the first one secret",
    ]


@settings(max_examples=40, deadline=None)
@given(PATHS)
def test_any_key_comes_back(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    for form in ("CSV", "Parquet"):
        folder = tmp_path_factory.getbasetemp() / form
        assert [claim.path for claim in read(written(folder, [row(key)], form))[0]] == [key]


def test_without_a_column_of_encryption_it_is_said(tmp_path: Path) -> None:
    columns = ["Bucket", "Key", "Size", "ETag"]
    claims, said = read(written(tmp_path, [row("a")], columns=columns))
    assert [(claim.size, dict(claim.digests), claim.modified_at) for claim in claims] == [(5, {"md5": MD5}, None)]
    assert said == ["the inventory does not tell how objects are encrypted: their ETags are taken for MD5s"]


def test_a_prefix_is_taken_away(tmp_path: Path) -> None:
    manifest = written(tmp_path, [row("backup/a"), row("backup/b/c"), row("backups/d"), row("e")])
    claims, said = read(manifest, root="backup/")
    assert [claim.path for claim in claims] == ["a", "b/c"]
    assert said == ["2 keys do not begin with the prefix, and were left out, the first one backups/d"]


@pytest.mark.parametrize("form", ["CSV", "Parquet"])
def test_where_the_files_are_looked_for(tmp_path: Path, form: str) -> None:
    manifest = written(tmp_path / "bucket", ROWS, form)
    copied = tmp_path / "copy"
    shutil.copytree(manifest.parent.parent, copied)  # without the folders above
    assert read(copied / manifest.parent.name / "manifest.json")[0] == read(manifest)[0]
    flat = tmp_path / "flat"
    flat.mkdir()
    for file in [*manifest.parent.iterdir(), *(manifest.parent.parent / "data").iterdir()]:
        shutil.copy(file, flat)
    assert read(flat / "manifest.json")[0] == read(manifest)[0]
    next((manifest.parent.parent / "data").iterdir()).unlink()
    with pytest.raises(StoreError, match=r"names the file 'inventories/source/daily/data/.*', which is not there"):
        read(manifest)


def test_behind_a_url(tmp_path: Path) -> None:
    import fsspec

    manifest = written(tmp_path / "bucket", ROWS, "Parquet")
    memory = fsspec.filesystem("memory")
    memory.put(f"{tmp_path}/bucket/", "/bucket/", recursive=True)
    where = f"memory://bucket/{manifest.relative_to(tmp_path / 'bucket')}"
    assert read(where)[0] == read(manifest)[0]
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "bucket")
    where = f"zip://{manifest.relative_to(tmp_path / 'bucket')}::file://{tmp_path}/packed.zip"
    assert read(where)[0] == read(manifest)[0]


def test_it_does_not_list_itself(tmp_path: Path) -> None:
    manifest = written(tmp_path, ROWS)
    opened = open_manifest(str(manifest))
    data = manifest.parent.parent / "data" / "0.csv.gz"
    for path in (manifest, manifest.parent / "manifest.checksum", data):
        assert not opened.covers(path.relative_to(tmp_path).as_posix(), str(path))
    assert opened.covers("x/manifest.json", str(tmp_path / "manifest.json"))


@pytest.mark.parametrize("form", ["CSV", "Parquet"])
def test_an_altered_file_is_no_file_of_the_inventory(tmp_path: Path, form: str) -> None:
    manifest = written(tmp_path, ROWS, form)
    data = next((manifest.parent.parent / "data").iterdir())
    opened = open_manifest(str(manifest))
    assert list(opened.claims())
    octets = bytearray(data.read_bytes())
    octets[20] ^= 1
    data.write_bytes(octets)
    with pytest.raises(StoreError, match=r"is not the file that .*manifest.json names"):
        list(opened.claims())
    manifest.write_text(manifest.read_text() + " ")
    with pytest.raises(StoreError, match=r"is not what manifest\.checksum beside it says"):
        read(manifest)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fileFormat": "ORC"}, "names files in ORC, which are not read here; configure the inventory to write"),
        ({"fileSchema": "Bucket, Size"}, "names no column Key"),
        ({"fileSchema": "Bucket, Key"}, "row 1 of .* has 10 fields and not 2"),
        ({"files": [{"key": "../../../etc/passwd"}]}, "leads out of its bucket"),
        ({"files": [{"key": "/etc/passwd"}]}, "leads out of its bucket"),
        ({"files": [7]}, "is no manifest of an S3 Inventory"),
        ({"files": None}, "is no manifest of an S3 Inventory"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    manifest = written(tmp_path, ROWS)
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changes))
    (manifest.parent / "manifest.checksum").unlink()
    with pytest.raises(StoreError, match=said):
        read(manifest)


def test_what_is_no_inventory(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    for text in ("{}", "", "nonsense", '{"a": 1', "[" * 100_000, '{"a":' * 100_000):
        path.write_text(text)
        with pytest.raises(StoreError):
            read(path)
    path.write_text("{}")
    with pytest.raises(StoreError, match=r"neither the manifest.json of an S3 Inventory nor what rclone lsjson writes"):
        read(path)
    with pytest.raises(UsageError):
        read(written(tmp_path, ROWS), algorithm="md5")
