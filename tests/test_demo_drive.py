"""Is the demo's day of a drive what it says: real files, the same for a seed, and wrong exactly where it claims to be?

The oracle below reads the log with sqlite3 and the store with os.walk, and pairs them path by path. It shares no code
with the library, so it is what the planted list is held against.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import integrity
from integrity.demo import DriveDay, FileAccusation, compare, generate_drive_day
from integrity.demo.drive import day as days
from integrity.demo.drive.catalogue import CATALOGUE
from integrity.demo.wrong_grants import NAMES
from integrity.errors import StoreError, UsageError
from tests.grants_oracle import Rules, expected_of
from tests.shell import called
from tests.test_demo_day import members

#: The log knows no moment at which a grant was entered.
GRANTS = [name for name in NAMES if name != "entered afterwards"]
#: What each fault must yield for one file that it befalls. A change here changes what the demo teaches.
EXPECTED = {
    "folder renamed": "lost extra",
    "parts swapped": "corrupt",
    "last part missing": "corrupt",
    "parts swapped, unprovable": "",
    "not UTF-8": "lost extra invalid",
    "NFKC": "lost extra",
    "case changed": "lost extra",
    "percent-encoded": "lost extra",
    "renamed": "lost extra",
    "misfiled": "lost extra",
    "masked loss": "lost duplicate invalid invalid",
    "stored in two spellings": "duplicate invalid invalid",
    "two files, one name": "duplicate invalid invalid",
    "folder in two spellings": "duplicate",
    "copy beside": "extra",
    "CRLF": "corrupt",
    "BOM added": "corrupt",
    "saved as CP949": "corrupt",
    "last line end gone": "corrupt",
    "contents swapped": "corrupt corrupt",
    "cut off": "corrupt",
    "emptied": "corrupt",
    "one bit flipped": "corrupt",
    "one bit flipped, MD5 only": "corrupt",
    "zeros at the end": "corrupt",
    "old revision": "corrupt",
    "error page": "corrupt",
    "compressed": "corrupt",
    "became a link": "corrupt",
    "wrong size in the log": "corrupt",
    "size in words": "invalid corrupt",
    "no digest": "",
    "lost": "lost",
    "unaccepted outcome": "lost",
    "stuck half-way": "lost extra",
    "never finished": "lost extra",
    "never uploaded": "extra",
    "left behind": "extra",
    "quarantined, yet stored": "extra",
    "trashed, yet stored": "extra",
    "native, yet stored": "extra",
    "stray thumbnail": "extra",
    "no path": "lost invalid extra unauthorized",
    "logged twice": "invalid lost",
    "not replaced": "corrupt skewed",
    "no time": "invalid",
    "thirtieth of February": "invalid",
    "time without a zone": "invalid",
    "late": "late",
    "late by a hair": "late",
    "very late": "late",
    "clock ahead": "skewed",
    "time of the file": "skewed",
    "from tomorrow": "skewed",
    **dict.fromkeys(GRANTS, "unauthorized"),
}
#: What has to be reported at all: of the others nothing can be said.
REPORTED = {name for name, kinds in EXPECTED.items() if kinds}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
md5 = partial(hashlib.md5, usedforsecurity=False)


def reconciled(day: DriveDay) -> integrity.Result:
    return integrity.reconcile(
        day.contract, day.source, day.destination, grants=day.grants, outcomes=day.outcomes, as_of=day.as_of
    )


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> DriveDay:
    return generate_drive_day(tmp_path_factory.mktemp("day"), files=900)


@pytest.fixture(scope="module")
def found(day: DriveDay) -> integrity.Result:
    return reconciled(day)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> DriveDay:
    return generate_drive_day(tmp_path_factory.mktemp("clean"), files=900, faults=False)


# The oracle -----------------------------------------------------------------------------------------------


def log(day: DriveDay) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(day.directory / "drive.db")) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM uploads ORDER BY rowid")]


def outcomes(day: DriveDay) -> list[dict[str, str]]:
    with open(day.outcomes, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


@dataclass(frozen=True)
class Kept:
    """Something in the store; its path is NFC, and what is no UTF-8 in it is written as \\xNN."""

    raw: bytes
    path: str
    data: bytes
    at: datetime
    wrong: bool = False


def store(day: DriveDay) -> list[Kept]:
    root = os.fsencode(day.directory / "store")
    kept = []
    for folder, _, names in os.walk(root):
        forms = Counter(nfc(name.decode(errors="surrogateescape")) for name in names)
        for name in names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            data = os.readlink(path) if stat.S_ISLNK(status.st_mode) else Path(os.fsdecode(path)).read_bytes()
            raw = os.path.relpath(path, root)
            at = EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
            text = raw.decode(errors="backslashreplace")
            wrong = forms[nfc(name.decode(errors="surrogateescape"))] > 1 or text.encode() != raw
            kept.append(Kept(raw, nfc(text), data, at, wrong))
    return kept


def moment(text: str | None) -> datetime | None:
    try:
        return datetime.strptime(text or "", "%Y-%m-%dT%H:%M:%S.%f%z")
    except ValueError:
        return None


def same(row: dict[str, Any], data: bytes) -> bool | None:
    """Whether a row of the log tells this content; ``None`` if nobody can say."""
    digests = {"sha256": hashlib.sha256(data).hexdigest(), "md5": md5(data).hexdigest()}
    told = next((name for name in digests if row[name]), None)
    if told is not None:
        return digests[told] == str(row[told]).lower() and row["size_bytes"] == len(data)
    if not row["etag"]:
        return None if row["size_bytes"] == len(data) else False
    size, _, value = row["etag"].rpartition(":")

    def etag(part: int) -> str:
        pieces = [md5(data[at : at + part]).digest() for at in range(0, len(data), part)]
        return f"{md5(b''.join(pieces)).hexdigest()}-{len(pieces)}"

    if size:
        return bool(etag(int(size)) == value and row["size_bytes"] == len(data))
    return any(etag(part * 2**20) == value for part in (5, 8)) or None


def oracle(day: DriveDay) -> tuple[Counter[FileAccusation], Counter[str]]:
    """Every break of a day, and how many uploads ended how."""
    expected: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
    for row in log(day):
        if row["kind"] != "native":
            expected[row["path"] and nfc(row["path"])].append(row)
    there: dict[str | None, list[Kept]] = defaultdict(list)
    for each in store(day):
        if not each.raw.startswith(b".thumbnails/"):
            there[each.path].append(each)
    accepted = ("trashed", "pruned", "quarantined")
    ended = Counter(nfc(row["path"]) for row in outcomes(day) if row["outcome"] in accepted)
    grace = timedelta(minutes=15)
    fresh = [path for path, copies in there.items() if path and copies[0].at + grace > day.as_of]
    begun = {path.removesuffix(".part") for path in fresh if path.endswith(".part")}
    said: Counter[FileAccusation] = Counter()
    ends: Counter[str] = Counter()

    def open_(at: datetime | None) -> bool:
        # Only one window of the day is open.
        return at is not None and day.end - timedelta(hours=1) <= at <= day.as_of

    for path, rows in expected.items():  # of several uploads the newest counts
        times = [at for row in rows if (at := moment(row["uploaded_at"])) is not None]
        if times and path is not None:
            expected[path] = [row for row in rows if moment(row["uploaded_at"]) == max(times)]
    granted = members(day.grants, ("member", "folder", "since", "until", "entered"))
    for path, rows in expected.items():
        for row in rows:
            at = moment(row["uploaded_at"])
            if not open_(at):
                us = None if at is None else (at - EPOCH) // timedelta(microseconds=1)
                grants = [each | {"recorded": None} for each in granted.get(row["uploader"], [])]
                told = expected_of({"actor": row["uploader"], "object": path, "at": us}, grants, Rules("/"))
                said[FileAccusation("unauthorized", path)] += told is not None and told[0]
    for path in {**expected, **there}:
        rows, copies = list(expected[path]), sorted(there[path], key=lambda kept: kept.at)
        for nth, row in enumerate(rows):
            again = nth > 0 and path is not None
            wrong = path is None or moment(row["uploaded_at"]) is None or isinstance(row["size_bytes"], str)
            said[FileAccusation("invalid", path)] += again or wrong
        said[FileAccusation("invalid", path)] += sum(each.wrong for each in copies)
        accounted = ended[path] if rows and path else 0
        ends["accounted"] += accounted
        rows = rows[accounted:]
        over = "duplicate" if rows else "extra"
        for answer in (True, None, False):  # what is equal pairs off first
            for row in list(rows):
                kept = next((each for each in copies if same(row, each.data) is answer), None)
                if kept is None:
                    continue
                rows.remove(row)
                copies.remove(kept)
                how = {True: "matched", None: "unverified", False: "corrupt"}[answer]
                ends[how] += 1
                said[FileAccusation("corrupt", path)] += answer is False
                at = moment(row["uploaded_at"])
                if at is not None:
                    skewed = kept.at < at or at > day.as_of
                    said[FileAccusation("skewed", path)] += skewed
                    said[FileAccusation("late", path)] += not skewed and kept.at - at > timedelta(minutes=1)
        for row in rows:
            pending = open_(moment(row["uploaded_at"])) or path in begun
            ends["pending" if pending else "lost"] += 1
            said[FileAccusation("lost", path)] += not pending
        for left in copies:
            said[FileAccusation(over, path)] += not open_(left.at)
    return +said, ends


def planted(day: DriveDay) -> Counter[FileAccusation]:
    return Counter(FileAccusation(each.kind, each.path) for each in day.planted)


def test_an_oracle_finds_what_was_planted_and_nothing_else(day: DriveDay, clean: DriveDay) -> None:
    for each in (day, clean):
        said, ends = oracle(each)
        assert said == planted(each)
        assert {name: ends[name] for name in ("unverified", "pending")} == {
            "unverified": each.counts["unverified"],
            "pending": each.counts["in_flight"],
        }
    assert oracle(clean)[1]["accounted"] == clean.counts["accounted"] > 0


# Faults ---------------------------------------------------------------------------------------------------


def test_every_fault_yields_its_kinds(day: DriveDay) -> None:
    assert list(EXPECTED) == [*(fault.name for fault in CATALOGUE), *GRANTS]
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for each in day.planted:
        kinds[each.fault][each.kind] += 1
    assert set(kinds) == REPORTED
    for fault, counted in kinds.items():
        once = Counter(EXPECTED[fault].split())
        times = counted.total() // once.total()
        assert counted == Counter({kind: count * times for kind, count in once.items()}), fault


def test_no_file_suffers_two_faults(day: DriveDay) -> None:
    faults: dict[str | None, set[str]] = defaultdict(set)
    for each in day.planted:
        faults[each.path].add(each.fault)
    assert [names for names in faults.values() if len(names) > 1] == []


def test_all_is_found_and_nobody_is_accused_wrongly(day: DriveDay, found: integrity.Result) -> None:
    compared = compare(day, found.breaks)
    assert (compared.missed, compared.wrongly_accused) == ((), ())
    assert compared.found == day.planted
    assert compared.exact
    assert {name for name, *_ in compared.by_fault()} == REPORTED
    assert found.verdict == "fail"
    assert found.totals["unverified"] == day.counts["unverified"] > 1


@pytest.mark.parametrize(("files", "seed", "on"), [(600, 3, date(2024, 2, 29)), (2_500, 11, date(2026, 3, 7))])
def test_other_seeds_and_the_smallest_day_are_exact_too(tmp_path: Path, files: int, seed: int, on: date) -> None:
    other = generate_drive_day(tmp_path, files=files, seed=seed, day=on)
    result = reconciled(other)
    compared = compare(other, result.breaks)
    assert (compared.missed, compared.wrongly_accused) == ((), ())
    assert result.totals["unverified"] == other.counts["unverified"]
    assert len(compared.found) >= len(REPORTED)


def test_an_empty_result_missed_everything(day: DriveDay, found: integrity.Result) -> None:
    compared = compare(day, found.breaks.head(0))
    assert (compared.exact, compared.missed) == (False, day.planted)


def test_reasons_and_differences_are_named(day: DriveDay, found: integrity.Result) -> None:
    told = {(row.kind, row.path): row for row in found.breaks.itertuples()}

    def of(fault: str, kind: str) -> list[Any]:
        rows = [told[e.kind, e.path] for e in day.planted if (e.fault, e.kind) == (fault, kind)]
        assert rows, fault
        return rows

    for fault in ("folder renamed", "renamed", "misfiled", "NFKC", "case changed", "percent-encoded", "not UTF-8"):
        for lost, extra in zip(of(fault, "lost"), of(fault, "extra"), strict=True):
            assert lost.reason == f"moved? the destination has equal content at path {extra.path}"
            assert extra.reason == f"moved? the source has equal content at path {lost.path}"
    assert all(pd.isna(each.reason) for kind in ("lost", "extra") for each in of("stuck half-way", kind))
    assert {each.reason for each in of("not UTF-8", "invalid")} == {"its name is not UTF-8"}
    for fault in ("stored in two spellings", "two files, one name"):
        form = "its folder holds another one of this name, in another Unicode form"
        assert {each.reason for each in of(fault, "invalid")} == {form}
    assert {each.differing for each in of("one bit flipped", "corrupt")} == {"sha256"}
    assert {each.differing for each in of("one bit flipped, MD5 only", "corrupt")} == {"md5"}
    assert {each.differing for each in of("parts swapped", "corrupt")} == {"etag"}
    assert {each.differing for each in of("wrong size in the log", "corrupt")} == {"size_bytes"}
    assert {each.differing for each in of("CRLF", "corrupt")} == {"sha256, size_bytes"}
    (unaccepted,) = of("unaccepted outcome", "lost")
    assert unaccepted.reason == "ended as bounced, which the contract does not accept"
    (stored,) = of("quarantined, yet stored", "extra")
    assert stored.reason == "accounted for as quarantined, yet present"
    (nowhere,) = (row for row in found.breaks.itertuples() if row.kind == "invalid" and pd.isna(row.path))
    assert nowhere.reason == "no path"
    assert {each.reason for each in of("logged twice", "invalid")} == {"the identity is 2 times in the source"}


def test_a_disk_that_cannot_hold_a_fault_goes_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Mac two spellings are one name, and a name is always UTF-8; elsewhere there are no links."""
    spared = frozenset(("not UTF-8", "became a link", "two files, one name"))
    monkeypatch.setattr(days, "beyond", lambda folder: spared)
    less = generate_drive_day(tmp_path, files=600)
    assert {each.fault for each in less.planted} == REPORTED - spared
    assert compare(less, reconciled(less).breaks).exact


def test_what_was_planted_is_written_beside(day: DriveDay) -> None:
    document = json.loads((day.directory / "faults.json").read_text(encoding="utf-8"))
    assert document["schema"] == "integrity.demo.drive/1"
    assert (document["files"], document["seed"], document["day"]) == (900, 7, "2026-03-02")
    assert Counter(FileAccusation(**each) for fault in document["faults"] for each in fault["breaks"]) == planted(day)


# The day --------------------------------------------------------------------------------------------------


def test_without_faults_nothing_is_wrong_and_every_digest_is_compared(clean: DriveDay) -> None:
    result = reconciled(clean)
    # Two files of closed batches are still being written.
    assert (result.verdict, result.break_count, clean.planted) == ("pending", 0, ())
    counts = {rung.column: rung.count for rung in result.ladder}
    assert {name for name, count in counts.items() if count} == {"sha256", "md5", "etag"}
    assert counts["etag"] == 5
    assert result.totals["matched"] == sum(counts.values())
    assert result.totals["unverified"] == clean.counts["unverified"] == 0
    assert result.totals["accounted"] == clean.counts["accounted"] > 0
    assert result.totals["pending"] == clean.counts["in_flight"] > 2
    left_out = {each["name"]: each["count"] for each in result.exclusions}
    assert left_out["native documents"] == clean.counts["native"] > 0
    assert left_out["thumbnails"] == clean.counts["thumbnails"] > 0
    superseded = result.totals["superseded"]  # what was uploaded again
    assert superseded > 5
    read = result.totals["source_records"] + left_out["native documents"] + superseded
    assert read == clean.counts["rows"] == len(log(clean))


def test_files_are_as_odd_as_real_ones(clean: DriveDay) -> None:
    rows, kept = log(clean), store(clean)
    names = [row["path"] for row in rows]
    for odd in " %#&'“”()+~$@📷㈜":
        assert any(odd in name for name in names), odd
    assert max(name.count("/") for name in names) > 7
    for spelled in (names, [each.raw.decode() for each in kept]):
        assert any(unicodedata.is_normalized("NFD", name) and not name.isascii() for name in spelled)
        assert any(unicodedata.is_normalized("NFC", name) and not name.isascii() for name in spelled)
    # No two are alike to a disk that knows neither capitals nor forms: such would be a fault.
    octets = [row["path"] for row in rows if row["kind"] != "native"]
    assert len({unicodedata.normalize("NFKC", name).casefold() for name in octets}) == len(set(octets))
    assert {row["kind"] for row in rows} == {"document", "text", "image", "video", "archive", "native"}
    assert any(row["sha256"] and row["sha256"].isupper() for row in rows)
    assert any(row["md5"] and not row["sha256"] for row in rows)
    assert Counter(row["etag"].partition(":")[0].isdigit() for row in rows if row["etag"]) == {True: 3, False: 2}
    contents = Counter(hashlib.sha256(each.data).digest() for each in kept if each.data)
    assert contents.most_common(1)[0][1] > 1
    assert any(not each.data for each in kept)
    assert any(each.raw.endswith(b".part") and each.path in set(map(nfc, names)) for each in kept)
    assert {each["outcome"] for each in outcomes(clean)} == {"trashed", "pruned", "quarantined"}
    assert any(not unicodedata.is_normalized("NFC", each["path"]) for each in outcomes(clean))
    assert 32_000_000 < clean.counts["octets"] == sum(len(each.data) for each in kept) < 60_000_000


def test_the_store_has_each_file_soon_after_its_upload(clean: DriveDay) -> None:
    at = {nfc(row["path"]): moment(row["uploaded_at"]) for row in log(clean) if row["kind"] != "native"}
    assert all(each is not None and clean.start <= each < clean.end for each in at.values())
    waited = [(kept.at - uploaded).total_seconds() for kept in store(clean) if (uploaded := at.get(kept.path))]
    assert min(waited) > 0
    assert 15 < max(waited) < 60


# On disk --------------------------------------------------------------------------------------------------


def digest(directory: Path) -> str:
    """Return one hash of every byte, name and time that a day consists of."""
    total = hashlib.sha256()

    def below(folder: bytes) -> Iterator[bytes]:
        for above, _, names in os.walk(folder):
            yield from (os.path.join(above, name) for name in names)

    root = os.fsencode(directory)
    for path in sorted(below(root)):
        total.update(os.path.relpath(path, root) + b"\n")
        if path.startswith(os.path.join(root, b"store", b"")):
            total.update(f"{os.lstat(path).st_mtime_ns}\n".encode())
        total.update(os.readlink(path) if os.path.islink(path) else Path(os.fsdecode(path)).read_bytes())
    return total.hexdigest()


def test_a_seed_decides_every_byte(day: DriveDay, tmp_path: Path) -> None:
    """Neither a hash seed nor the time zone do; and a day replaces an earlier one."""
    program = "import sys, integrity.demo as demo; demo.generate_drive_day(sys.argv[1], files=int(sys.argv[2]))"
    for files in (600, 900):
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path), str(files)],
            check=True,
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "PYTHONHASHSEED": "1", "TZ": "America/New_York"},
        )
    assert digest(tmp_path) == digest(day.directory)


@pytest.mark.parametrize("name", ["drive.db", "faults.json", "outcomes.csv", "store.list", "store/기획/mine.txt"])
def test_what_is_not_a_day_is_not_overwritten(tmp_path: Path, name: str) -> None:
    mine = tmp_path / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="not part of an earlier day; choose another directory"):
        generate_drive_day(tmp_path, files=600)
    assert mine.read_text(encoding="utf-8") == "mine"


def test_a_foreign_file_among_ours_is_refused(tmp_path: Path) -> None:
    generate_drive_day(tmp_path, files=600)
    mine = tmp_path / "store" / "Design" / "mine.psd"
    mine.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"mine\.psd is not part of an earlier day"):
        generate_drive_day(tmp_path, files=600)
    assert mine.read_text(encoding="utf-8") == "mine"


def test_a_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match=r"a day cannot be written to .*file.*choose another directory"):
        generate_drive_day(tmp_path / "file" / "drive", files=600)


def test_too_small_a_day_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ask for 600 or more"):
        generate_drive_day(tmp_path, files=599)


# The command ----------------------------------------------------------------------------------------------


def test_the_command_shows_the_day_and_how_to_repeat_it(tmp_path: Path) -> None:
    shown = called(tmp_path, "demo", "d", "--day", "drive", "--files", "600")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Traceback" not in shown.stdout
    assert f"in {len(REPORTED)} ways" in shown.stdout
    assert "missed 0, wrongly accused 0" in shown.stdout
    assert "planted 2 files whose content nobody can compare; unverified 2" in shown.stdout
    assert "message-day" not in shown.stdout
    assert (tmp_path / "d" / "drive" / "result.json").is_file()
    again = re.search(r"integrity reconcile (.+) \\\n\s+(.+)", shown.stdout)
    assert again is not None
    repeated = called(tmp_path, "reconcile", *(word.strip("'") for word in f"{again[1]} {again[2]}".split()))
    assert repeated.returncode == 1, repeated.stderr  # the day it shows has faults; the demo itself passed
    assert repeated.stdout.splitlines()[0] == shown.stdout.splitlines()[0]
