"""Trees of files: what is read of a folder, and what is said of all that is no plain file."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import socket
import sqlite3
import stat
import threading
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import integrity
from integrity.errors import StoreError, UsageError
from integrity.stores import open_store
from integrity.stores.local_tree import LocalTree
from integrity.trees.digests import HEX, Multipart, digest
from tests.test_reconcile_laws import without_self_test

NFC, NFD = unicodedata.normalize("NFC", "각서.txt"), unicodedata.normalize("NFD", "각서.txt")
#: Long enough ago that nothing is still being written.
OLD = 1_700_000_000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def grown(root: Path, files: Mapping[str | bytes, bytes]) -> Path:
    """Make a tree of these files, all of them old."""
    for name, data in files.items():
        path = os.path.join(os.fsencode(root), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        os.utime(path, (OLD, OLD))
    root.mkdir(exist_ok=True)
    return root


def rows(url: str | Path, *columns: str) -> list[dict[str, Any]]:
    store = open_store(url if isinstance(url, str) else f"tree:{url}")
    wanted = list(columns) or list(store.columns())
    return [row for batch in store.stream(wanted) for row in batch.to_pylist()]


def by_path(url: str | Path, *columns: str) -> dict[str, dict[str, Any]]:
    return {row["path"]: row for row in rows(url, "path", *columns)}


def reconciled(here: str | Path, there: str | Path, **arguments: Any) -> integrity.Result:
    return integrity.reconcile(
        "tree", *(side if isinstance(side, str) else f"tree:{side}" for side in (here, there)), **arguments
    )


def breaks(result: integrity.Result) -> set[tuple[str, str, str | None]]:
    return {(b["kind"], b["path"], b["differing"]) for batch in result.iter_breaks() for b in batch.to_pylist()}


# --- what a file is -------------------------------------------------------------------------------------------


def test_a_file_is_its_octets_and_a_link_is_where_it_leads_to(tmp_path: Path) -> None:
    root = grown(tmp_path / "t", {"a.txt": b"hello", "deep/er/b": b"", "c": bytes(3_000_000)})
    (root / "link").symlink_to("a.txt")
    (root / "nowhere").symlink_to("/is/not/there")
    (root / "folder").symlink_to("deep")
    found = by_path(root, "kind", "size_bytes", "sha256", "target", "name", "top", "permissions")
    assert {path: row["kind"] for path, row in found.items()} == {
        "a.txt": "file", "c": "file", "deep/er/b": "file", "link": "link", "nowhere": "link", "folder": "link",
    }  # fmt: skip
    assert found["a.txt"]["sha256"] == sha256(b"hello")
    assert found["deep/er/b"]["sha256"] == sha256(b"")
    assert found["c"]["sha256"] == sha256(bytes(3_000_000))
    assert (found["link"]["target"], found["link"]["sha256"], found["link"]["size_bytes"]) == (
        "a.txt",
        sha256(b"a.txt"),
        5,
    )
    assert found["nowhere"]["sha256"] == sha256(b"/is/not/there")
    assert (found["deep/er/b"]["name"], found["deep/er/b"]["top"], found["a.txt"]["top"]) == ("b", "deep", None)
    assert found["a.txt"]["permissions"] == f"{stat.S_IMODE((root / 'a.txt').stat().st_mode):04o}"


def test_a_link_is_not_the_file_that_it_leads_to(tmp_path: Path) -> None:
    here, there = grown(tmp_path / "a", {"x": b"y"}), grown(tmp_path / "b", {"z": b"y"})
    (there / "x").symlink_to("y")  # whose text is the octets of the file
    os.utime(there / "x", (OLD, OLD), follow_symlinks=False)
    (there / "z").unlink()
    assert breaks(reconciled(here, there)) == {("corrupt", "x", "kind")}


def test_what_has_no_content_is_said_and_not_read(tmp_path: Path) -> None:
    root = grown(tmp_path / "t", {"a": b"1"})
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(root / "socket"))
        found = by_path(root, "kind", "sha256", "size_bytes")
        assert {path: row["kind"] for path, row in found.items()} == {"a": "file", "pipe": "pipe", "socket": "socket"}
        assert found["pipe"]["sha256"] is None
        result = reconciled(root, grown(tmp_path / "u", {"a": b"1"}))
    assert result.verdict == "pass"
    assert [(each["side"], each["count"]) for each in result.exclusions if "sockets" in each["name"]] == [
        ("source", 2),
        ("destination", 0),
    ]


def test_empty_folders_are_counted(tmp_path: Path) -> None:
    root = grown(tmp_path / "t", {"a": b"1"})
    (root / "empty").mkdir()
    assert any("1 folders are empty" in note for note in reconciled(root, root).notes)


def test_only_the_digests_that_are_asked_for_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = grown(tmp_path / "t", {"a": b"1"})
    monkeypatch.setattr(LocalTree, "_opened", lambda *_: pytest.fail("it was read"))
    assert rows(root, "path", "size_bytes") == [{"path": "a", "size_bytes": 1}]


@pytest.mark.parametrize("name", HEX)
def test_every_digest_is_what_others_compute(tmp_path: Path, name: str) -> None:
    made = digest(name)
    made.update(b"123456789")
    known = {"crc64nvme": "ae8b14860a799888", "crc32c": "e3069283", "crc32": "cbf43926"}  # the check values of each
    expected = known[name] if name in known else hashlib.new(name, b"123456789").hexdigest()
    assert made.hexdigest() == expected
    assert len(expected) == HEX[name]


# --- names ----------------------------------------------------------------------------------------------------


def test_one_name_in_two_unicode_forms_is_one_file(tmp_path: Path) -> None:
    here, there = grown(tmp_path / "a", {NFD: b"1", "x": b"2"}), grown(tmp_path / "b", {NFC: b"1", "x": b"2"})
    result = reconciled(here, there)
    assert result.verdict == "pass"
    assert {rung.column: rung.count for rung in result.ladder if rung.count} == {"exact_sha256": 1, "sha256": 1}
    assert [row["raw_path"] for row in rows(here, "raw_path")] == sorted([NFD.encode(), b"x"])


@pytest.mark.parametrize("content", [b"1", b"2"])
def test_two_names_that_become_one_are_a_collision_and_never_merged(tmp_path: Path, content: bytes) -> None:
    here, there = grown(tmp_path / "a", {NFC: b"1"}), grown(tmp_path / "b", {NFC: b"1", NFD: content})
    result = reconciled(here, there)
    assert breaks(result) == {("duplicate", NFC, None), ("invalid", NFC, None)}
    assert result.totals["matched"] == 1
    assert "another Unicode form" in " ".join(result.breaks["reason"])
    # On both sides, too, nobody can say which is which.
    assert breaks(reconciled(there, there)) == {("invalid", NFC, None)}


def test_never_nfkc(tmp_path: Path) -> None:
    here, there = grown(tmp_path / "a", {"㈜회사": b"1"}), grown(tmp_path / "b", {"(주)회사": b"1"})
    assert {kind for kind, _, _ in breaks(reconciled(here, there))} == {"lost", "extra"}


def test_names_that_differ_only_in_case_are_two_and_warned_of(tmp_path: Path) -> None:
    root = grown(tmp_path / "t", {"d/Plan.txt": b"1", "d/plan.txt": b"2", "Ä": b"", "ä": b""})
    if len(rows(root)) < 4:
        pytest.skip("this file system has no such names")
    result = reconciled(root, root)
    assert result.verdict == "pass"
    assert any("2 names differ from another one only in case" in note for note in result.notes)


def test_a_name_that_is_not_utf8_is_said(tmp_path: Path) -> None:
    root = grown(tmp_path / "t", {b"caf\xe9": b"1"})
    assert rows(root, "path", "raw_path", "defects") == [
        {"path": r"caf\xe9", "raw_path": b"caf\xe9", "defects": "its name is not UTF-8"}
    ]
    assert breaks(reconciled(root, root)) == {("invalid", r"caf\xe9", None)}


_PARTS = st.one_of(
    st.sampled_from([NFC, NFD, "a\nb", "a\\b", "-rf", " ", "a ", "%41", "\x01", "…", "..x", "a\rb", "'\"", "*", "~"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=8),
).filter(lambda part: part not in (".", "..") and len(part.encode()) < 200)
PATHS = st.lists(_PARTS, min_size=1, max_size=3).map("/".join)
TREES = st.dictionaries(PATHS, st.binary(max_size=20), max_size=8)


def fits(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Without those whose path leads through another file."""
    return {path: data for path, data in files.items() if not any(other.startswith(f"{path}/") for other in files)}


def test_any_tree_of_names_is_read_as_it_is(tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(TREES.map(fits))
    def law(files: dict[str, bytes]) -> None:
        root = grown(tmp_path_factory.mktemp("t"), files)
        assert {row["raw_path"].decode(): row["sha256"] for row in rows(root, "raw_path", "sha256")} == {
            path: sha256(data) for path, data in files.items()
        }

    law()


def test_any_one_change_of_any_tree_is_found_and_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(TREES.map(fits).filter(bool), st.data())
    def law(files: dict[str, bytes], data: st.DataObject) -> None:
        keys = [unicodedata.normalize("NFC", path) for path in files]
        if len(set(keys)) < len(keys) or not all(path.isprintable() for path in files):
            files = {"a/b": b"1", "c": b"22", NFC: b""}
        kept = dict(files)
        path = data.draw(st.sampled_from(sorted(files)))
        key, content = unicodedata.normalize("NFC", path), kept.pop(path)
        expected = {("lost", key, None)}
        what = data.draw(st.sampled_from(["nothing", "lost", "byte", "longer", "name"]))
        if what == "nothing":
            kept[path], expected = content, set()
        elif what == "byte" and content:
            at = data.draw(st.integers(0, len(content) - 1))
            kept[path] = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
            expected = {("corrupt", key, "sha256")}
        elif what == "longer":
            kept[path], expected = content + b"!", {("corrupt", key, "sha256, size_bytes")}
        elif what == "name":
            kept["renamed\u2003file"] = content
            expected.add(("extra", "renamed\u2003file", None))
        here, there = (grown(tmp_path_factory.mktemp("t"), each) for each in (files, kept))
        with without_self_test():
            result = reconciled(here, there)
        assert breaks(result) == expected
        assert (result.verdict == "pass") == (not expected)
        if what == "name":
            assert all(reason.startswith("moved? ") for reason in result.breaks["reason"])

    law()


# --- what moved -----------------------------------------------------------------------------------------------


def test_a_file_of_equal_content_elsewhere_is_offered_as_an_explanation(tmp_path: Path) -> None:
    here = grown(tmp_path / "a", {"old/1": b"one", "old/2": b"two", "gone": b"three"})
    there = grown(tmp_path / "b", {"new/1": b"one", "new/2": b"two", "other": b"four"})
    result = reconciled(here, there)
    assert (result.totals["lost"], result.totals["extra"]) == (3, 3)
    said = dict(zip(result.breaks["path"], result.breaks["reason"], strict=True))
    assert said["old/1"] == "moved? the destination has equal content at path new/1"
    assert said["new/2"] == "moved? the source has equal content at path old/2"
    assert said["gone"] is None or said["gone"] != said["gone"]  # NULL


def test_a_file_with_an_id_that_moved_is_one_corrupt_item(tmp_path: Path) -> None:
    import polars as pl

    drive = pl.DataFrame({"file_id": ["1", "2"], "revision": ["7", "1"], "path": [NFD, "b"], "sha256": ["aa", "bb"]})
    kept = drive.with_columns(pl.Series("path", [NFC, "moved/b"]))
    result = integrity.reconcile("drive", drive, kept)
    found = [(b["kind"], b["file_id"], b["differing"]) for batch in result.iter_breaks() for b in batch.to_pylist()]
    assert found == [("corrupt", "2", "path")]


# --- like with like -------------------------------------------------------------------------------------------


def table(tmp_path: Path, listed: list[dict[str, Any]]) -> Any:
    import polars as pl

    return pl.DataFrame(listed)


def etag(data: bytes, part: int) -> str:
    made = Multipart(part)
    made.update(data)
    return made.hexdigest()


def test_each_file_is_compared_by_the_digest_that_is_told_of_it(tmp_path: Path) -> None:
    big, five = os.urandom(11 * 2**20), 5 * 2**20
    root = grown(tmp_path / "t", {"s": b"1", "m": b"2", "e": big, "known": big, "n": b"4", "c": b"5"})
    md5 = hashlib.md5(b"2", usedforsecurity=False).hexdigest().upper()
    listing = table(
        tmp_path,
        [
            {"path": "s", "sha256": sha256(b"1").upper(), "md5": None, "etag": None},
            {"path": "m", "sha256": None, "md5": md5, "etag": None},
            {"path": "e", "sha256": None, "md5": None, "etag": f"?:{etag(big, five)}"},
            {"path": "known", "sha256": None, "md5": None, "etag": f"{10**6}:{etag(big, 10**6)}"},
            {"path": "n", "sha256": None, "md5": None, "etag": None},
            {"path": "c", "sha256": None, "md5": "0" * 32, "etag": None},
        ],
    )
    result = integrity.reconcile("tree", listing, f"tree:{root}")
    assert breaks(result) == {("corrupt", "c", "md5")}
    assert {rung.column: rung.count for rung in result.ladder if rung.count} == {"sha256": 1, "md5": 1, "etag": 2}
    assert result.totals["unverified"] == 1  # nobody tells a digest of n
    assert result.bound.endswith("items found equal by another digest (1 by md5, 2 by etag), as that digest is")
    assert result.assertions[integrity.Assertion.ACCURACY] == "fail"
    swapped = integrity.reconcile("tree", f"tree:{root}", listing)
    assert swapped.totals["matched"] == result.totals["matched"] == 4


def test_an_etag_of_parts_is_proof_of_the_same_and_not_of_another(tmp_path: Path) -> None:
    data = os.urandom(6 * 2**20)
    root = grown(tmp_path / "t", {"odd": data, "other": data})
    listing = table(
        tmp_path,
        [  # cut as nobody cuts, so that nothing can be said; and cut in a way that is told, so that it differs
            {"path": "odd", "etag": f"?:{etag(data, 3_333_333)}"},
            {"path": "other", "etag": f"{5 * 2**20}:{etag(data[::-1], 5 * 2**20)}"},
        ],
    )
    result = integrity.reconcile("tree", listing, f"tree:{root}")
    assert (result.totals["unverified"], breaks(result)) == (1, {("corrupt", "other", "etag")})


def test_etags_are_read_as_people_log_them(tmp_path: Path) -> None:
    root = grown(tmp_path / "t", {"once": b"1", "parts": b"2", "keyed": b"3"})
    md5 = hashlib.md5(b"1", usedforsecurity=False).hexdigest()
    logged = [
        {"path": "once", "etag": f'"{md5}"'},
        {"path": "parts", "etag": f'"{etag(b"2", 5).upper()}"'},
        {"path": "keyed", "etag": "0" * 32},  # encrypted under a key, its ETag is a digest of nothing that we have
    ]
    result = integrity.reconcile("tree", table(tmp_path, logged), f"tree:{root}")
    assert (result.totals["matched"], result.totals["unverified"], breaks(result)) == (2, 1, set())


def test_a_file_of_which_several_digests_are_told_has_them_all(tmp_path: Path) -> None:
    """Revisions of one path, each known by another digest: none of them is taken for another kind."""
    import polars as pl

    root = grown(tmp_path / "t", {"x": b"new"})
    md5 = hashlib.md5(b"old", usedforsecurity=False).hexdigest()
    for order in (1, -1):
        listing = pl.DataFrame({"path": ["x", "x"], "sha256": [None, sha256(b"new")], "md5": [md5, None]})[::order]
        result = integrity.reconcile("tree", listing, f"tree:{root}")
        assert (result.totals["matched"], result.totals["lost"], result.totals["corrupt"]) == (1, 1, 0)


def test_a_file_uploaded_again_counts_as_it_is_now(tmp_path: Path) -> None:
    import polars as pl

    root = grown(tmp_path / "t", {"x": b"new", "y": b"old"})
    at = dt.datetime.fromtimestamp(OLD - 30, dt.UTC)
    log = pl.DataFrame(
        {
            "path": ["x", "x", "y", "y"],
            "kind": ["document"] * 4,
            "sha256": [sha256(b"old"), sha256(b"new")] * 2,
            "uploaded_at": [at - dt.timedelta(hours=3), at] * 2,
        }
    )
    where = f"tree:{root}?stored=modified"
    result = integrity.reconcile("file", log, where)
    assert (result.totals["superseded"], result.totals["matched"], breaks(result)) == (
        2,
        1,
        {("corrupt", "y", "sha256")},
    )
    # Asked for the hour of the first upload alone, it has been superseded since.
    hour = (at - dt.timedelta(hours=3)).replace(minute=0, second=0)
    bounded = integrity.reconcile("file", log, where, since=hour, until=hour + dt.timedelta(hours=1))
    assert (bounded.totals["superseded"], breaks(bounded)) == (2, set())


def test_no_digest_in_common_is_unverified_and_never_equal(tmp_path: Path) -> None:
    import polars as pl

    root = grown(tmp_path / "t", {"a": b"1"})
    result = integrity.reconcile("tree", pl.DataFrame({"path": ["a"], "size_bytes": [1]}), f"tree:{root}")
    assert (result.verdict, result.totals["unverified"], result.exit_code) == ("unverified", 1, 3)
    assert any("tells no digest" in note for note in result.notes)


def test_a_longer_file_is_corrupt_though_no_digest_is_in_common(tmp_path: Path) -> None:
    import polars as pl

    root = grown(tmp_path / "t", {"a": b"1"})
    result = integrity.reconcile("tree", pl.DataFrame({"path": ["a"], "size_bytes": [2]}), f"tree:{root}")
    assert breaks(result) == {("corrupt", "a", "size_bytes")}


def test_permissions_are_compared_where_the_contract_names_them(tmp_path: Path) -> None:
    here, there = grown(tmp_path / "a", {"x": b"1"}), grown(tmp_path / "b", {"x": b"1"})
    (there / "x").chmod(0o600)
    (here / "x").chmod(0o640)
    assert any("permissions and owners not compared" in note for note in reconciled(here, there).notes)
    form = integrity.contract("tree")._form()
    form["content"]["permissions"] = "text"
    result = integrity.reconcile(integrity.Contract.from_dict(form), f"tree:{here}", f"tree:{there}")
    assert breaks(result) == {("corrupt", "x", "permissions")}
    assert not any("permissions" in note for note in result.notes)


def test_the_time_of_change_is_compared_as_coarsely_as_the_contract_asks(tmp_path: Path) -> None:
    here, there = grown(tmp_path / "a", {"x": b"1"}), grown(tmp_path / "b", {"x": b"1"})
    os.utime(there / "x", ns=(OLD * 10**9, OLD * 10**9 + 999_999_000))

    def by(unit: str) -> set[Any]:
        form = integrity.contract("tree")._form()
        form["content"]["modified_at"] = {"type": "timestamp", "unit": unit}
        form["changed"] = {"name": "modified_at", "unit": unit}
        return breaks(integrity.reconcile(integrity.Contract.from_dict(form), f"tree:{here}", f"tree:{there}"))

    assert by("s") == set()
    assert by("ms") == {("corrupt", "x", "modified_at")}


# --- what is still moving -------------------------------------------------------------------------------------


def test_what_was_changed_since_the_backup_is_pending(tmp_path: Path) -> None:
    here, there = (
        grown(tmp_path / "a", {"old": b"1", "new": b"2", "edited": b"3"}),
        grown(tmp_path / "b", {"old": b"1", "edited": b"0"}),
    )
    os.utime(here / "new", (OLD + 3600, OLD + 3600))
    os.utime(here / "edited", (OLD + 3600, OLD + 3600))
    result = reconciled(here, there, as_of="2023-11-14T22:43:20Z")  # half an hour after OLD
    assert (result.totals["pending"], breaks(result), result.verdict) == (2, set(), "pending")
    assert breaks(reconciled(here, there)) == {("lost", "new", None), ("corrupt", "edited", "sha256")}


def test_a_file_that_is_there_in_part_makes_the_whole_pending_until_it_is_stuck(tmp_path: Path) -> None:
    here, there = grown(tmp_path / "a", {"film.mkv": b"whole"}), grown(tmp_path / "b", {"film.mkv.part": b"wh"})
    assert breaks(reconciled(here, there)) == {("lost", "film.mkv", None), ("extra", "film.mkv.part", None)}
    os.utime(there / "film.mkv.part")
    result = reconciled(here, there)
    assert (result.verdict, result.totals["pending"], breaks(result)) == ("pending", 1, set())
    # It is no longer on its way when it is there.
    grown(there, {"film.mkv": b"whole"})
    assert reconciled(here, there).totals["matched"] == 1


def test_a_file_that_is_being_replaced_is_pending_under_whatever_form_of_its_name(tmp_path: Path) -> None:
    here, there = grown(tmp_path / "a", {NFC: b"new"}), grown(tmp_path / "b", {NFC: b"old", f"{NFD}.part": b"ne"})
    assert ("corrupt", NFC, "sha256") in breaks(reconciled(here, there))
    os.utime(there / f"{NFD}.part")
    assert reconciled(here, there).verdict == "pending"


def test_a_file_from_the_future_is_not_pending_for_ever(tmp_path: Path) -> None:
    here, there = grown(tmp_path / "a", {"x": b"1", "y": b"2"}), grown(tmp_path / "b", {"y": b"3", "x.part": b""})
    for path in (here / "x", here / "y", there / "x.part"):
        os.utime(path, (4e9, 4e9))  # in 2096
    assert {kind for kind, _, _ in breaks(reconciled(here, there))} == {"lost", "corrupt", "extra"}


def test_a_part_on_both_sides_is_a_file_like_any_other(tmp_path: Path) -> None:
    here, there = grown(tmp_path / "a", {"x.part": b"1"}), grown(tmp_path / "b", {"x.part": b"1"})
    assert reconciled(here, there).verdict == "pass"


@pytest.mark.parametrize("size", [10, 300_000])
def test_a_file_that_changes_while_it_is_read_is_pending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    here, there = (
        grown(tmp_path / "a", {"x": bytes(size), "y": b"1"}),
        grown(tmp_path / "b", {"x": bytes(size), "y": b"1"}),
    )
    opened = LocalTree._opened

    def growing(tree: LocalTree, entry: Any) -> Any:
        if entry.path == "x" and tree.location.endswith("b"):
            with (there / "x").open("ab") as file:
                file.write(b"more")
        return opened(tree, entry)

    monkeypatch.setattr(LocalTree, "_opened", growing)
    result = reconciled(here, there)
    assert (result.totals["pending"], result.totals["matched"], result.verdict) == (1, 1, "pending")


@pytest.mark.usefixtures("_self_tested")
def test_a_file_that_goes_while_it_is_read_is_pending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = grown(tmp_path / "a", {"x": b"1"}), grown(tmp_path / "b", {"x": b"1"})
    opened, seen = LocalTree._opened, []

    def going(tree: LocalTree, entry: Any) -> Any:
        if tree.location.endswith("b"):
            seen.append(entry)
            if len(seen) == 2:  # the first time, the self-test has a look
                (there / "x").unlink()
        return opened(tree, entry)

    monkeypatch.setattr(LocalTree, "_opened", going)
    assert reconciled(here, there).verdict == "pending"


# --- what cannot be read --------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_is_invalid_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = grown(tmp_path / "t", {"a": b"1", "b": b"2"})
    opened = os.open

    def refusing(path: Any, *rest: Any, **others: Any) -> int:
        if os.fsencode(path).endswith(b"/t/b"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *rest, **others)

    monkeypatch.setattr(os, "open", refusing)
    result = reconciled(root, grown(tmp_path / "u", {"a": b"1", "b": b"2"}))
    assert breaks(result) == {("invalid", "b", None)}
    assert "cannot be opened: Permission denied" in result.breaks["reason"][0]
    assert result.totals["unverified"] == 1


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="no /proc here")
def test_what_the_system_fails_to_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from integrity.stores.tree import TreeStore
    from integrity.stores.trees import Entry

    class Odd(LocalTree):
        def entries(self) -> Iterator[Entry]:  # type: ignore[override]
            yield Entry("mem", b"mem", size=1)

    found = [
        row for batch in TreeStore(Odd("/proc/self")).stream(["path", "sha256", "defects"]) for row in batch.to_pylist()
    ]
    assert found == [{"path": "mem", "sha256": None, "defects": "cannot be read: Input/output error"}]


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = grown(tmp_path / "t", {"d/a": b"1"})
    listed = os.scandir

    def refusing(path: Any) -> Any:
        if os.fsencode(path).endswith(b"d/"):
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(StoreError, match=r"t/d/ cannot be listed: Permission denied; look at its permissions"):
        rows(root)


def test_a_folder_that_leads_back_into_itself_is_entered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a bind mount does, which only root can make: the folder is made to look like its own parent."""
    root = grown(tmp_path / "t", {"a": b"1", "again/b": b"2"})
    listed = LocalTree._listed

    def looped(tree: LocalTree, below: bytes) -> Any:
        return [(name, os.stat(root) if name == b"again" else status) for name, status in listed(tree, below)]

    monkeypatch.setattr(LocalTree, "_listed", looped)
    store = open_store(f"tree:{root}")
    assert [row["path"] for batch in store.stream(["path"]) for row in batch.to_pylist()] == ["a"]
    assert "lead back into themselves" in store.remarks[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("tree:", "names no place; write for example tree:/srv/drive"),
        ("tree:{root}/nothere/deeper", "there is no folder .*/nothere"),
        ("tree:{root}/a", "is no folder"),
        ("tree:{root}?hsah=read", "a tree: URL has no option 'hsah'; did you mean 'hash'?"),
        ("tree:{root}?hash=declared", "a folder declares no digests"),
        ("tree:{root}?hash=md5", "hash=md5 means nothing"),
        ("tree:{root}?stored=changed&stored=modified", "is there twice"),
        ("tree:{root}?cache=", "cache= means nothing"),
        ("tree:memory://x?stored=changed", "local files only"),
        ("tree:nosuch://x/y", "Protocol not known|cannot be opened"),
        ("tree:memory://not/there", "is not there"),
        ("tree:{root}\0", "NUL"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(tmp_path: Path, url: str, problem: str) -> None:
    root = grown(tmp_path / "t", {"a": b"1"})
    with pytest.raises((StoreError, UsageError), match=problem):
        rows(url.format(root=root))


def test_a_draft_for_two_trees_is_the_contract_that_is_there(tmp_path: Path) -> None:
    from integrity.drafts import draft

    root = grown(tmp_path / "t", {"a": b"1"})
    made = integrity.Contract.from_text(draft(f"tree:{root}", f"tree:{root}", "mine"))
    assert made.name == "mine"
    assert made._form() == integrity.contract("tree")._form() | {"name": "mine"}


def test_a_folder_of_other_files_says_how_files_themselves_are_compared(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="to compare files themselves write tree:PATH"):
        open_store(str(grown(tmp_path / "t", {"a.doc": b"1"})))


def test_nothing_is_left_running_when_nobody_reads_on(tmp_path: Path) -> None:
    root = grown(tmp_path / "t", {f"f{n}": os.urandom(100_000) for n in range(300)})
    stream = open_store(f"tree:{root}").stream(["path", "sha256"])
    before = threading.active_count()
    iterator = iter(stream)
    next(iterator)
    iterator.close()  # type: ignore[attr-defined]
    assert threading.active_count() <= before


# --- the cache ------------------------------------------------------------------------------------------------


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are opened."""
    seen: list[str] = []
    opened = LocalTree._opened

    def noted(tree: LocalTree, entry: Any) -> Any:
        seen.append(entry.path)
        return opened(tree, entry)

    monkeypatch.setattr(LocalTree, "_opened", noted)
    return seen


@pytest.mark.usefixtures("_self_tested")
def test_the_second_run_reads_what_has_changed_and_says_so(tmp_path: Path, reads: list[str]) -> None:
    root, copy = grown(tmp_path / "a", {"x": b"1", "y": b"2"}), grown(tmp_path / "b", {"x": b"1", "y": b"2"})
    url = f"tree:{root}?cache={tmp_path / 'hashes.db'}"
    first = integrity.reconcile("tree", url, f"tree:{copy}")
    assert not any("remembered" in note for note in first.notes)
    reads.clear()
    os.utime(root / "y", (OLD + 1, OLD + 1))
    second = integrity.reconcile("tree", url, f"tree:{copy}")
    assert second.verdict == "pass"
    assert sorted(reads) == ["x", "x", "y", "y", "y"]  # the copy's twice, for its self-test reads some of them
    note = next(note for note in second.notes if "remembered" in note)
    assert "1 digests were computed in this run, 1 remembered from an earlier one, the oldest of 20" in note


def test_rot_is_not_seen_by_memory_and_is_seen_by_reading(tmp_path: Path) -> None:
    root, copy = grown(tmp_path / "a", {"x": b"1"}), grown(tmp_path / "b", {"x": b"1"})
    url = f"tree:{copy}?cache={tmp_path / 'hashes.db'}"
    assert integrity.reconcile("tree", f"tree:{root}", url).verdict == "pass"
    with sqlite3.connect(tmp_path / "hashes.db") as rotten:  # what no file system would tell, told by nobody
        rotten.execute("UPDATE files SET digests = replace(digests, ?, ?)", (sha256(b"1"), sha256(b"rot")))
    rotten.close()
    assert breaks(integrity.reconcile("tree", f"tree:{root}", url)) == {("corrupt", "x", "sha256")}
    assert integrity.reconcile("tree", f"tree:{root}", url, rehash=True).verdict == "pass"
    form = integrity.contract("tree")._form()
    form["content"]["sha256"]["fresh"] = True
    assert integrity.reconcile(integrity.Contract.from_dict(form), f"tree:{root}", url).verdict == "pass"


def test_what_was_written_just_now_is_not_remembered(tmp_path: Path, reads: list[str]) -> None:
    root = grown(tmp_path / "t", {"x": b"1"})
    os.utime(root / "x")
    url = f"tree:{root}?cache={tmp_path / 'hashes.db'}"
    rows(url, "path", "sha256")
    rows(url, "path", "sha256")
    assert reads == ["x", "x"]


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be looked at", None])
def test_a_cache_that_is_none_is_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    root, cache = grown(tmp_path / "t", {"x": b"1"}), tmp_path / "hashes.db"
    if content is None:
        cache.mkdir()
    else:
        cache.write_bytes(content)
    with pytest.raises(
        StoreError, match=r"the cache of digests .* cannot be used: .*; name another file, or delete this"
    ):
        rows(f"tree:{root}?cache={cache}", "path", "sha256")
