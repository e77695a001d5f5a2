"""Trees that lie elsewhere: real S3 and SFTP servers, and what fsspec reaches."""

from __future__ import annotations

import hashlib
import os
import threading
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import integrity
from integrity.errors import StoreError
from integrity.stores import open_store
from tests.stores.test_trees import NFC, NFD, breaks, by_path, grown, reconciled, rows, sha256
from tests.tree_servers import KEY, PASSWORD, SECRET, S3Server, SftpServer, s3_server, sftp_server

#: Without a backslash, which this S3 server takes for a slash.
ODD = [
    "a b+c%2B.txt",
    "line\nbreak",
    "-rf",
    "#hash?query=1&x",
    "😀/각.txt",
    "'\"quoted",
    "x//y",
    "a/../b",
]
FIVE = 5 * 2**20


# --- S3 -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    told = {"AWS_ENDPOINT_URL": server.endpoint, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    for name, value in {**told, "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def bucket(s3: S3Server, request: pytest.FixtureRequest) -> str:
    return s3.bucket(f"b{abs(hash(request.node.name)) % 10**12}")


def put(s3: S3Server, bucket: str, key: str, data: bytes, **options: Any) -> None:
    s3.client.put_object(Bucket=bucket, Key=key, Body=data, **options)


def put_in_parts(s3: S3Server, bucket: str, key: str, data: bytes, part: int, finish: bool = True) -> None:
    upload = {"Bucket": bucket, "Key": key}
    upload["UploadId"] = s3.client.create_multipart_upload(**upload)["UploadId"]
    parts = []
    for number, at in enumerate(range(0, len(data), part), start=1):
        told = s3.client.upload_part(**upload, PartNumber=number, Body=data[at : at + part])
        parts.append({"ETag": told["ETag"], "PartNumber": number})
    if finish:
        s3.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def test_a_bucket_is_the_folder_that_was_uploaded(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    data = os.urandom(12_000_000)
    files = {"plain.txt": b"hello", "deep/empty": b"", "big.bin": data, **{f"odd/{name}": b"1" for name in ODD[:6]}}
    root = grown(tmp_path / "t", files)  # type: ignore[arg-type]
    for name, content in files.items():
        put(s3, bucket, f"team/{name}", content)
    put(s3, bucket, "elsewhere/x", b"1")
    result = reconciled(root, f"tree:s3://{bucket}/team")
    assert breaks(result) == set()
    assert (result.verdict, result.totals["matched"]) == ("pass", len(files))
    (root / "plain.txt").write_bytes(b"hellO")
    assert reconciled(root, f"tree:s3://{bucket}/team").verdict == "pending"  # it was put a moment ago
    result = integrity.reconcile(_settled(), f"tree:{root}", f"tree:s3://{bucket}/team")
    assert breaks(result) == {("corrupt", "plain.txt", "sha256")}


def test_keys_are_read_as_they_are(s3: S3Server, bucket: str) -> None:
    for key in ["a", "b/c", *ODD[:5], NFC, NFD]:
        put(s3, bucket, key, key.encode())
    put(s3, bucket, "folder/", b"")
    store = open_store(f"tree:s3://{bucket}")
    found = {row["path"]: row["sha256"] for batch in store.stream(["path", "sha256"]) for row in batch.to_pylist()}
    assert found == {key: sha256(key.encode()) for key in ["a", "b/c", *ODD[:5], NFC, NFD]}
    assert any("only mark a folder" in remark for remark in store.remarks)  # type: ignore[attr-defined]


def test_the_same_name_stored_in_two_forms_is_a_duplicate(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    root = grown(tmp_path / "t", {NFC: b"1"})
    put(s3, bucket, NFC, b"1")
    put(s3, bucket, NFD, b"1")
    result = integrity.reconcile(_settled(), f"tree:{root}", f"tree:s3://{bucket}")
    assert breaks(result) == {("duplicate", NFC, None)}


def _settled() -> integrity.Contract:
    """The tree's contract, for objects that were stored a moment ago."""
    form = integrity.contract("tree")._form()
    del form["changed"], form["grace"]
    return integrity.Contract.from_dict(form)


@pytest.mark.parametrize("part", [FIVE, 6_000_000, 8 * 2**20])
def test_uploads_in_parts_are_compared_by_their_declared_etags(
    s3: S3Server, bucket: str, tmp_path: Path, part: int
) -> None:
    data = os.urandom(13_000_001)
    other = data[:-1] + bytes([data[-1] ^ 1])
    root = grown(tmp_path / "t", {"same": data, "other": data, "once": b"1", "summed": b"2"})
    put_in_parts(s3, bucket, "same", data, part)
    put_in_parts(s3, bucket, "other", other, part)
    put(s3, bucket, "once", b"1")
    put(s3, bucket, "summed", b"2", ChecksumAlgorithm="SHA256")
    listing = {row["path"]: row for row in rows(f"tree:s3://{bucket}?hash=declared", "path", "etag", "md5", "sha256")}
    assert listing["same"]["etag"].startswith(f"{part}:")
    assert listing["same"]["etag"].endswith(f"-{-(-len(data) // part)}")
    assert listing["once"]["md5"] == hashlib.md5(b"1", usedforsecurity=False).hexdigest()
    assert listing["summed"]["sha256"] == sha256(b"2")
    result = integrity.reconcile(_settled(), f"tree:{root}", f"tree:s3://{bucket}?hash=declared")
    assert breaks(result) == {("corrupt", "other", "etag")}
    assert {rung.column: rung.count for rung in result.ladder if rung.count} == {"etag": 1, "md5": 1, "exact_sha256": 1}
    assert any("no content was read" in note for note in result.notes)
    # Read, the same is said by SHA-256.
    read = integrity.reconcile(_settled(), f"tree:{root}", f"tree:s3://{bucket}")
    assert breaks(read) == {("corrupt", "other", "sha256")}


def test_an_upload_that_was_begun_makes_its_file_pending(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    root = grown(tmp_path / "t", {"coming": b"1", "lost": b"2"})
    put_in_parts(s3, bucket, "coming", bytes(FIVE), FIVE, finish=False)
    result = reconciled(root, f"tree:s3://{bucket}")
    assert (result.totals["pending"], breaks(result)) == (1, {("lost", "lost", None)})


def test_an_object_that_is_replaced_while_it_is_read_is_pending(
    s3: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from integrity.stores.s3_tree import S3Tree

    root = grown(tmp_path / "t", {"x": b"1"})
    put(s3, bucket, "x", b"1")
    opened = S3Tree.open

    def replacing(tree: S3Tree, entry: Any) -> Any:
        put(s3, bucket, "x", os.urandom(4))
        return opened(tree, entry)

    monkeypatch.setattr(S3Tree, "open", replacing)
    assert reconciled(root, f"tree:s3://{bucket}").verdict == "pending"


def test_uploads_by_their_log_are_late_when_the_store_says_so(s3: S3Server, bucket: str) -> None:
    import polars as pl

    put(s3, bucket, "a", b"1")
    put(s3, bucket, "b", b"2")
    stored = min(row["stored_at"] for row in rows(f"tree:s3://{bucket}", "path", "stored_at"))
    log = pl.DataFrame(
        {
            "path": ["a", "b"],
            "kind": ["document"] * 2,
            "sha256": [sha256(b"1"), sha256(b"2")],
            "uploaded_at": [stored.replace(microsecond=0), stored.replace(year=stored.year - 1)],
        }
    )
    form = integrity.contract("file")._form() | {"grace": "0s", "window": "1s"}
    result = integrity.reconcile(integrity.Contract.from_dict(form), log, f"tree:s3://{bucket}")
    assert {(kind, path) for kind, path, _ in breaks(result)} == {("late", "b")}


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("{bucket}/nothing/here", "holds nothing"),
        ("no-such-bucket-at-all", "cannot be listed: .*NoSuchBucket.*; look at the bucket's name"),
    ],
)
def test_what_is_not_there_is_a_sentence(s3: S3Server, bucket: str, where: str, problem: str) -> None:
    with pytest.raises(StoreError, match=problem):
        open_store(f"tree:s3://{where.format(bucket=bucket)}")


def test_no_secret_is_shown(s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-and-secret")
    with pytest.raises(StoreError, match="cannot be listed") as raised:
        open_store(f"tree:s3://{bucket}/x")
    assert "wrong-and-secret" not in str(raised.value)


# --- SFTP -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    with sftp_server(tmp_path_factory.mktemp("served"), tmp_path_factory.mktemp("sftp")) as running:
        yield running


def test_a_folder_behind_sftp_is_the_folder(sftp: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFTP_PASSWORD", PASSWORD)
    files = {
        "a.txt": b"hello",
        "deep/각.txt": b"",
        "big": os.urandom(5_000_001),
        "odd/a b+c%2B.txt": b"1",
        "odd/#?&": b"2",
    }
    root = grown(sftp.root / "team", files)  # type: ignore[arg-type]
    (root / "link").symlink_to("a.txt")
    os.utime(root / "link", (1e9, 1e9), follow_symlinks=False)
    result = reconciled(root, sftp.url("team"))
    assert (result.verdict, result.totals["matched"]) == ("pass", 6)
    found = by_path(sftp.url("team"), "kind", "target", "permissions", "size_bytes")
    assert (found["link"]["kind"], found["link"]["target"]) == ("link", "a.txt")
    assert found["a.txt"]["permissions"] == "0644"
    (root / "deep" / "각.txt").write_bytes(b"!")
    os.utime(root / "deep" / "각.txt", (1e9, 1e9))
    assert breaks(reconciled(grown(sftp.root / "other", files), sftp.url("team"))) == {  # type: ignore[arg-type]
        ("corrupt", "deep/각.txt", "sha256, size_bytes"),
        ("extra", "link", None),
    }


def test_a_server_that_is_not_known_is_not_believed(
    sftp: SftpServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SFTP_PASSWORD", PASSWORD)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(StoreError, match=r"the key of 127\.0\.0\.1:.* is not known; look at its key with ssh"):
        open_store(sftp.url().partition("?")[0])


@pytest.mark.parametrize(
    ("password", "folder", "problem"),
    [
        ("wrong secret", "", "does not let auditor in: .*; set SFTP_PASSWORD, or add a key"),
        (PASSWORD, "nothing", "nothing is not there"),
    ],
)
def test_what_sftp_refuses_is_a_sentence(
    sftp: SftpServer, monkeypatch: pytest.MonkeyPatch, password: str, folder: str, problem: str
) -> None:
    monkeypatch.setenv("SFTP_PASSWORD", password)
    with pytest.raises(StoreError, match=problem) as raised:
        open_store(sftp.url(folder))
    assert password not in str(raised.value)


def test_nobody_listens_is_a_sentence() -> None:
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:9 cannot be reached"):
        open_store("tree:sftp://kim:pw@127.0.0.1:9/x")


# --- whatever fsspec reaches ----------------------------------------------------------------------------------


def test_a_zip_file_is_a_tree(tmp_path: Path) -> None:
    root = grown(tmp_path / "t", {"a.txt": b"hello", "deep/각.txt": bytes(100_000), "deep/empty": b""})
    with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, path.relative_to(root))
    result = reconciled(root, f"tree:zip::file://{tmp_path}/t.zip")
    assert (result.verdict, result.totals["matched"]) == ("pass", 3)


def test_memory_is_a_tree(tmp_path: Path) -> None:
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.pipe({"/drive/a": b"1", "/drive/d/b": b"2"})
    try:
        root = grown(tmp_path / "t", {"a": b"1", "d/b": b"3"})
        assert breaks(integrity.reconcile(_settled(), f"tree:{root}", "tree:memory://drive")) == {
            ("corrupt", "d/b", "sha256")
        }
    finally:
        fs.rm("/drive", recursive=True)


def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    import fsspec

    before = threading.active_count()
    fs = fsspec.filesystem("memory")
    fs.pipe({f"/many/{n}": b"1" for n in range(50)})
    try:
        assert len(rows("tree:memory://many", "path", "sha256")) == 50
    finally:
        fs.rm("/many", recursive=True)
    assert threading.active_count() <= before


def test_nfd_is_a_form_of_its_own() -> None:
    assert NFC != NFD
    assert unicodedata.normalize("NFC", NFD) == NFC
