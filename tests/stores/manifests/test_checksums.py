"""A list of checksums claims what the program that wrote it meant, in every form of it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrity.errors import StoreError, UsageError
from integrity.stores.manifests import open_manifest
from tests.servers import absent
from tests.stores.manifests.writing import TREES, bsd, digests, files_of, gnu, planted, read, sha

A = "a" * 64
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
NAMES = [
    "plain.txt", "deep/er/each.txt", " lead", "-dash", "*star", "#hash", ";semi", "back\\slash", "new\nline", "cr\rx",
    "crlf\r\nx", "각서.txt", "\u1100\u1161\u11a8.txt", "🀄", "a) = b", "SHA256 (x) = y", "%0A", "com,ma", "tail ", "tab\tx",
]  # fmt: skip


def run(*command: str, cwd: Path) -> bytes:
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True).stdout


# ---- the forms of it


FORMS: dict[str, Callable[[str, str], bytes]] = {
    "text": lambda name, digest: gnu(name, digest) + b"\n",
    "binary": lambda name, digest: gnu(name, digest, "*") + b"\n",
    "nul": lambda name, digest: gnu(name, digest, escaped=False) + b"\0",
    "bsd": lambda name, digest: bsd(name, digest) + b"\n",
    "one blank": lambda name, digest: gnu(name, digest, "") + b"\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_any_tree_of_names_comes_back(tmp_path_factory: pytest.TempPathFactory, form: str) -> None:
    path = tmp_path_factory.mktemp("list") / "list"

    @settings(max_examples=60, deadline=None)
    @given(TREES)
    def law(files: dict[str, bytes]) -> None:
        if form == "one blank":  # whose first name says that it is one
            files = {name: data for name, data in files.items() if name[0] not in " *"}
        path.write_bytes(b"".join(FORMS[form](name, sha(data)) for name, data in files.items()))
        claims, said = read(path)
        assert digests(claims) == {name: sha(data) for name, data in files.items()}
        assert all(claim.defects is None and claim.size is None for claim in claims)
        assert said == []

    law()


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (["sha256sum"], "sha256"),
        (["sha256sum", "--binary"], "sha256"),
        (["sha256sum", "--tag"], "sha256"),
        (["sha256sum", "--zero"], "sha256"),
        (["sha512sum"], "sha512"),
        (["sha384sum", "--tag"], "sha384"),
        (["md5sum"], "md5"),
        (["sha1sum"], "sha1"),
        (["b2sum", "--tag"], "blake2b"),
    ],
)
def test_what_coreutils_write(tmp_path: Path, command: list[str], kind: str) -> None:
    files = files_of(NAMES)
    planted(tmp_path / "tree", files)
    (tmp_path / "list.txt").write_bytes(run(*command, "--", *NAMES, cwd=tmp_path / "tree"))
    claims, said = read(tmp_path / "list.txt")
    assert digests(claims, kind) == {name: sha(data, kind) for name, data in files.items()}
    assert said == []


def test_b2sum_is_known_by_the_name_of_the_list_and_only_at_its_full_length(tmp_path: Path) -> None:
    planted(tmp_path, {"a": b"a"})
    (tmp_path / "B2SUMS").write_bytes(run("b2sum", "a", cwd=tmp_path))
    (tmp_path / "b2sums.txt").write_bytes(run("b2sum", "-l", "256", "a", cwd=tmp_path))
    (tmp_path / "list").write_bytes(run("b2sum", "-l", "256", "--tag", "a", cwd=tmp_path))
    assert read(tmp_path / "B2SUMS")[0][0].digests == {"blake2b": hashlib.blake2b(b"a").hexdigest()}
    for name in ("b2sums.txt", "list"):
        claims, said = read(tmp_path / name)
        assert claims[0].digests == {}
        assert said == ["1 digests are of a kind that is not known here, the first one a"]


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_bytes(f"{A}  caf".encode() + b"\xe9.txt\n")
    (claim,) = read(tmp_path / "SHA256SUMS")[0]
    assert (claim.path, claim.defects) == ("caf\\xe9.txt", "its name is not UTF-8")


@pytest.mark.parametrize("command", ["sha256", "sha512", "md5", "sha3-256", "blake2b512"])
@pytest.mark.parametrize("reversed_", [[], ["-r"]])
def test_what_openssl_writes(tmp_path: Path, command: str, reversed_: list[str]) -> None:
    if shutil.which("openssl") is None:
        absent("openssl")
    planted(tmp_path, {"a b.txt": b"x"})
    (tmp_path / f"list.{command}").write_bytes(
        run("openssl", "dgst", f"-{command}", *reversed_, "a b.txt", cwd=tmp_path)
    )
    (claim,) = read(tmp_path / f"list.{command}")[0]
    kind = {"blake2b512": "blake2b", "sha3-256": None}.get(command, command)
    assert claim.path == "a b.txt"
    assert claim.digests == ({} if kind is None else {kind: sha(b"x", kind)})


def test_what_rclone_writes(tmp_path: Path) -> None:
    rclone = shutil.which("rclone", path=f"{os.path.dirname(os.sys.executable)}:{os.environ['PATH']}")
    if rclone is None:
        absent("rclone")
    assert rclone is not None
    files = files_of(["a.txt", "deep/er.txt", " lead", "각서.txt", "back\\slash", "*star"])
    planted(tmp_path / "tree", files)
    quiet = ("--config", os.devnull, "-q")
    for options in ([], ["--base64"], ["--download"]):
        (tmp_path / "list").write_bytes(run(rclone, "hashsum", "sha256", "tree", *options, *quiet, cwd=tmp_path))
        claims, said = read(tmp_path / "list")
        assert digests(claims) == {name: sha(data) for name, data in files.items()}
        assert said == []
    (tmp_path / "list").write_bytes(run(rclone, "hashsum", "crc32", "tree", *quiet, cwd=tmp_path))
    claims, said = read(tmp_path / "list")
    assert len(claims) == len(files)
    assert not any(claim.digests for claim in claims)
    assert said[0].startswith("6 digests of 8 digits may be CRC-32 or CRC-32C (say which: ?algorithm=crc32)")
    assert digests(read(tmp_path / "list", algorithm="CRC-32")[0], "crc32") == {
        name: f"{zlib.crc32(data):08x}" for name, data in files.items()
    }
    for kind in ("whirlpool", "quickxor", "blake3"):
        (tmp_path / f"list.{kind}").write_bytes(run(rclone, "hashsum", kind, "tree", *quiet, cwd=tmp_path))
        claims, said = read(tmp_path / f"list.{kind}")
        assert not any(claim.digests for claim in claims)
        assert said[0].startswith("6 digests are of a kind that is not known here")


@pytest.mark.parametrize("nothing", [" " * 32, " " * 27 + "ERROR", " " * 21 + "UNSUPPORTED"])
def test_where_rclone_knew_no_digest(tmp_path: Path, nothing: str) -> None:
    (tmp_path / "list").write_text(f"{nothing}  large.bin\n{MD5}  small.bin\n{nothing}   lead\n")
    claims, said = read(tmp_path / "list")
    assert [(claim.path, dict(claim.digests)) for claim in claims][:2] == [
        ("large.bin", {}),
        ("small.bin", {"md5": MD5}),
    ]
    assert claims[2].path.strip() == "lead"
    assert claims[2].path == " lead"
    assert said == ["2 names have no digest beside them, the first one large.bin"]


def test_several_digests_of_a_file_are_one_claim(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"SHA256 (a) = {A}\nMD5 (a) = {MD5}\nMD5 (b) = {MD5}\nMD5 (b) = {MD5}\n")
    manifest = open_manifest(str(tmp_path / "list"))
    assert manifest.every
    assert [(claim.path, dict(claim.digests)) for claim in manifest.claims()] == [
        ("a", {"sha256": A, "md5": MD5}),
        ("b", {"md5": MD5}),
        ("b", {"md5": MD5}),
    ]


# ---- of which kind


@pytest.mark.parametrize(
    ("name", "digits", "kind"),
    [
        ("SHA256SUMS", 64, "sha256"),
        ("MD5SUMS.txt", 32, "md5"),
        ("disk.iso.sha512", 128, "sha512"),
        ("b2sum.txt", 128, "blake2b"),
        ("sums.crc32c", 8, "crc32c"),
        ("x.crc32", 8, "crc32"),
        ("sha384.list", 96, "sha384"),
        ("MD5SUMS", 64, "sha256"),  # the name does not fit
        ("list", 128, "sha512"),
        ("list", 40, "sha1"),
        ("list", 16, None),
        ("list", 48, None),
        ("x.sha224", 56, "sha224"),
        ("SHA3-256SUMS", 64, None),
        ("x.sha512-256", 64, None),
        ("x.blake3", 64, None),
        ("x.whirlpool", 128, None),
        ("x.quickxor", 40, None),
    ],
)
def test_the_name_of_the_list_says_of_which_kind(tmp_path: Path, name: str, digits: int, kind: str | None) -> None:
    (tmp_path / name).write_text(f"{'b' * digits}  a\n")
    (claim,) = read(tmp_path / name)[0]
    assert claim.digests == ({} if kind is None else {kind: "b" * digits})


@pytest.mark.parametrize(
    "word", ["SHA512/256", "SHA2-512/256", "SHA3-256", "SM3", "BLAKE2b-256", "HMAC-SHA256", "SKEIN"]
)
def test_a_word_of_another_kind_is_never_taken_for_ours(tmp_path: Path, word: str) -> None:
    (tmp_path / "SHA256SUMS").write_text(f"{word} (a) = {A}\n")
    (claim,), said = read(tmp_path / "SHA256SUMS")
    assert claim.digests == {}
    assert said == ["1 digests are of a kind that is not known here, the first one a"]


def test_the_option_says_of_which_kind(tmp_path: Path) -> None:
    (tmp_path / "MD5SUMS").write_text(f"{'c' * 128}  a\n")
    assert read(tmp_path / "MD5SUMS", algorithm="BLAKE2B")[0][0].digests == {"blake2b": "c" * 128}
    with pytest.raises(StoreError, match=r"line 1 of .* a sha1 has 40 digits, and this one 128"):
        read(tmp_path / "MD5SUMS", algorithm="Sha-1")
    with pytest.raises(UsageError, match=r"there is no digest 'sha265' here; did you mean 'sha256'\?"):
        read(tmp_path / "MD5SUMS", algorithm="sha265")


# ---- lines


def test_crlf_is_a_line_end_only_where_every_line_has_it(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(f"{A}  a\r\n{A}  b\r\n".encode())
    assert [claim.path for claim in read(tmp_path / "list")[0]] == ["a", "b"]
    (tmp_path / "list").write_bytes(f"{A}  a\r\n{A}  b\n".encode())
    assert [claim.path for claim in read(tmp_path / "list")[0]] == ["a\r", "b"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_a_byte_order_mark_says_in_which_encoding(tmp_path: Path, encoding: str) -> None:
    text = "".join(f"{A}  각{number}.txt\r\n" for number in range(3))
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    (tmp_path / "list").write_bytes(mark + text.encode(encoding))
    assert [claim.path for claim in read(tmp_path / "list")[0]] == ["각0.txt", "각1.txt", "각2.txt"]


def test_half_of_a_pair_is_no_utf8(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"\xff\xfe" + f"{A}  x\ud800\n".encode("utf-16-le", "surrogatepass"))
    (claim,) = read(tmp_path / "list")[0]
    assert claim.defects == "its name is not UTF-8"
    (tmp_path / "list").write_bytes(b"\xff\xfe" + f"{A}  x\n".encode("utf-16-le") + b"\0")
    with pytest.raises(StoreError, match="is not UTF-16-LE to its end"):
        read(tmp_path / "list")


def test_comments_before_the_first_line_are_counted(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"# made by me\n; so\n\n{A}  a\n\n{A}  b\n")
    claims, said = read(tmp_path / "list")
    assert [claim.path for claim in claims] == ["a", "b"]
    assert said == ["2 lines of comment were left out, the first one line 1"]
    (tmp_path / "list").write_text(f"{A}  a\n# {A}  b\n")
    with pytest.raises(StoreError, match=r"line 2 of .* is no checksum line"):
        read(tmp_path / "list")


@pytest.mark.parametrize(
    ("second", "advice"),
    [
        (A[:20], "cut short"),
        (f"{A[:40]}  b", "cut short"),
        (f"SHA256 (b) = {A[:30]}", "cut short"),
        (f"SHA256 (b) = {A[:32]}", "cut short"),
        (f"SHA256 (b) = {A[:31]}\n", "64 digits"),
        ("SHA256 (b) = ", "cut short"),
        (f"SKEIN (b) = {A[:32]}", "cut short"),
        (f"{A[:63]}  b\n", "is no checksum line"),
        (f"{A} b\n", "is no checksum line"),  # one blank, where the first line has two
        ("downloadLogs error\n", "is no checksum line"),
        ("1220704766 1 a.txt\n", "is no checksum line"),
        (f"\\{A}  a\\tb\n", "is no checksum line"),
        (f"\\{A}  a\\\n", "is no checksum line"),
        ("%%%% HASHDEEP-1.0\n", "is no checksum line"),
    ],
)
def test_a_line_that_is_none(tmp_path: Path, second: str, advice: str) -> None:
    (tmp_path / "list").write_text(f"{A}  a\n{second}")
    with pytest.raises(StoreError, match=f"line 2 of .*{advice}"):
        read(tmp_path / "list")


def test_a_last_line_without_an_end_is_said(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{A}  a\n{A}  lis")
    assert read(tmp_path / "list")[1] == [
        "1 lines have no end, so that the list may have been cut short, the first one line 2"
    ]
    (tmp_path / "list").write_bytes(f"{A}  a\0{A}  lis".encode())
    with pytest.raises(StoreError, match=r"line 2 of .* cut short"):
        read(tmp_path / "list")


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_packed_and_cut_short(tmp_path: Path, suffix: str) -> None:
    plain = b"".join(gnu(f"{number}.bin", sha(b"%d" % number)) + b"\n" for number in range(2000))
    octets = gzip.compress(plain) if suffix == ".gz" else pa.compress(plain, codec="zstd", asbytes=True)
    path = tmp_path / f"SHA256SUMS{suffix}"
    path.write_bytes(octets)
    assert len(read(path)[0]) == 2000
    path.write_bytes(octets[: len(octets) // 2])
    with pytest.raises(StoreError, match="cannot be read to its end"):
        read(path)
    path.write_bytes(b"")
    with pytest.raises(StoreError, match="is empty"):
        read(path)


@pytest.mark.parametrize(
    "octets",
    [
        os.urandom(5000).replace(b"\n", b"") + b"\n",
        b"\0" * 5000,
        b"x" * (3 << 20),
        b"\x7fELF" + bytes(range(256)) * 10,
        b"\xff\xfe\0",
        b"\0",
        f"{A}  a\n{A}  b\n\0{A}  c\n".encode(),
    ],
)
def test_what_is_no_list_is_one_sentence(tmp_path: Path, octets: bytes) -> None:
    (tmp_path / "list").write_bytes(octets)
    with pytest.raises(StoreError) as caught:
        read(tmp_path / "list")
    assert len(str(caught.value)) < 600 + len(str(tmp_path))


def test_a_nul_in_a_name_is_said(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"".join(gnu("a" * 100, A) + b"\n" for _ in range(9000)) + f"{A}  b\0c\n".encode())
    assert list(open_manifest(str(tmp_path / "list")).claims())[-1].defects == "its name holds a NUL character"


def test_an_empty_list_claims_nothing(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_bytes(b"")
    assert read(tmp_path / "SHA256SUMS") == ([], [])


def test_memory_is_bounded(tmp_path: Path) -> None:
    import tracemalloc

    line = gnu("x" * 200, A) + b"\n"
    (tmp_path / "SHA256SUMS").write_bytes(line * (24 << 20 >> 8))
    manifest = open_manifest(str(tmp_path / "SHA256SUMS"))
    tracemalloc.start()
    assert sum(1 for _ in manifest.claims()) == 24 << 20 >> 8
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 << 20


# ---- paths


def test_paths_are_told_from_the_root(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{A}  ./data/a\n{A}  data/각/b\n{A}  database\n{A}  ./c\n")
    claims, said = read(tmp_path / "list", root="./data/")
    assert [claim.path for claim in claims] == ["a", "각/b"]
    assert said == ["2 files are not in ./data/, and were left out, the first one database"]
    nfd = read(tmp_path / "list", root="data/\u1100\u1161\u11a8")[0]
    assert [claim.path for claim in nfd] == ["b"]
    (tmp_path / "nfd").write_text(f"{A}  \u1100\u1161\u11a8/b\n")
    assert [claim.path for claim in read(tmp_path / "nfd", root="각")[0]] == ["b"]
    with pytest.raises(StoreError, match="'data/a' is no absolute path"):
        read(tmp_path / "list", root="/srv")
    with pytest.raises(UsageError, match="leads out of itself"):
        read(tmp_path / "list", root="../x")


def test_absolute_paths_want_a_root(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{A}  /srv/drive/a.txt\n{A}  /srv/drives/b\n")
    said = r"'/srv/drive/a.txt' is an absolute path; say below which folder: manifest:…\?root=/srv/drive"
    for options in ({}, {"root": "srv"}):
        with pytest.raises(StoreError, match=said):
            read(tmp_path / "list", **options)
    claims, remarks = read(tmp_path / "list", root="/srv/drive")
    assert [claim.path for claim in claims] == ["a.txt"]
    assert remarks == ["1 files are not in /srv/drive, and were left out, the first one /srv/drives/b"]
    assert [claim.path for claim in read(tmp_path / "list", root="/")[0]] == ["srv/drive/a.txt", "srv/drives/b"]


def test_paths_that_lead_astray_are_said(tmp_path: Path) -> None:
    names = ["../a", "b/../../c", "d//e", "f/", "./g", "././h", "..i", "j\\..\\k"]
    (tmp_path / "list").write_text("".join(f"{A}  {name}\n" for name in names))
    said = {claim.path: claim.defects for claim in read(tmp_path / "list")[0]}
    out, part = "its path leads out of its folder", "its path has an empty part"
    assert said == {"../a": out, "b/../../c": out, "d//e": part, "f/": part, "g": None, "./h": part, "..i": None, "j\\..\\k": None}  # fmt: skip


# ---- where it lies


def test_it_does_not_list_itself(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    path = tmp_path / "tree" / "SHA256SUMS"
    path.write_text(f"{A}  a\n")
    (tmp_path / "link").symlink_to(tmp_path / "tree")
    for where in (path, tmp_path / "link" / "SHA256SUMS"):
        manifest = open_manifest(str(where))
        assert not manifest.covers("SHA256SUMS", str(path))
        assert not manifest.covers("SHA256SUMS", str(tmp_path / "link" / "SHA256SUMS"))
        assert manifest.covers("SHA256SUMS", str(tmp_path / "SHA256SUMS"))
        assert manifest.covers("b", str(tmp_path / "tree" / "b"))


def test_nothing_is_there(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text(f"{A}  a\n")
    with pytest.raises(StoreError, match=r"there is no .*SHA256SUM; did you mean 'SHA256SUMS'?"):
        open_manifest(str(tmp_path / "SHA256SUM"))
    with pytest.raises(StoreError, match=r"is a folder and no bag.*name the manifest itself: .*'SHA256SUMS'"):
        open_manifest(str(tmp_path))
    (tmp_path / "MD5SUMS").write_text(f"{MD5}  a\n")
    with pytest.raises(StoreError, match="is 2 files, and no manifest; name the manifest itself"):
        open_manifest(str(tmp_path / "*SUMS"))
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(StoreError, match="neither a file nor a folder"):
        open_manifest(str(tmp_path / "fifo"))
    with pytest.raises(StoreError, match="NUL character"):
        open_manifest("a\0b")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text(f"{A}  a\n")
    (tmp_path / "SHA256SUMS").chmod(0)
    with pytest.raises(StoreError, match="cannot be read to its end"):
        open_manifest(str(tmp_path / "SHA256SUMS"))


def test_it_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "SHA256SUMS"
    path.write_text(f"{A}  a\n")
    manifest = open_manifest(str(path))
    claims = manifest.claims()
    assert next(claims).path == "a"
    path.write_text(f"{A}  b\n{A}  c\n")
    assert [claim.path for claim in manifest.claims()] == ["b", "c"]
    path.unlink()
    with pytest.raises(StoreError, match="is no longer there"):
        list(manifest.claims())


def test_behind_a_url_and_without_its_password(tmp_path: Path) -> None:
    import fsspec

    with fsspec.open("memory://lists/SHA256SUMS.gz", "wb") as file:
        file.write(gzip.compress(f"{A}  a\n".encode()))
    manifest = open_manifest("memory://lists/SHA256SUMS.gz")
    assert [claim.path for claim in manifest.claims()] == ["a"]
    assert manifest.location == "memory://lists/SHA256SUMS.gz"
    assert not manifest.covers("SHA256SUMS.gz", "memory://lists/SHA256SUMS.gz")
    with pytest.raises(StoreError, match=r"did you mean 'SHA256SUMS.gz'"):
        open_manifest("memory://lists/SHA256SUM.gz")
    with pytest.raises(StoreError) as caught:
        open_manifest("sftp://kim:geheim@127.0.0.1:1/SHA256SUMS")
    assert "geheim" not in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", f"{A}  a\n".encode(), f"SHA256 (a) = {A}\n".encode()]))
def test_anything_is_claims_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, junk: bytes, before: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "junk"
    path.write_bytes(before + junk)
    try:
        claims = list(open_manifest(str(path)).claims())
    except StoreError as error:
        str(error).encode()
    else:
        for claim in claims:
            claim.path.encode()


def test_base64_of_either_alphabet(tmp_path: Path) -> None:
    digest = bytes([0xFB, 0xFF] * 16)
    for text in (base64.b64encode(digest), base64.urlsafe_b64encode(digest)):
        (tmp_path / "list").write_bytes(text + b"  a\nSHA256 (b) = " + text + b"\n")
        assert [dict(claim.digests) for claim in read(tmp_path / "list")[0]] == [{"sha256": digest.hex()}] * 2
