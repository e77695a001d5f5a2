"""Is the demo's day what it says: realistic, the same for a seed, and wrong exactly where it claims to be?

The oracle below matches the two sides in plain Python, row by row, from DESIGN's words alone. It shares no
code with the library, so it is what the planted list is held against.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from ruamel.yaml import YAML

from integrity.demo import Accusation, Day, compare, generate_day
from integrity.demo.catalogue import CATALOGUE
from integrity.demo.wrong_grants import NAMES
from integrity.errors import StoreError, UsageError
from tests.grants_oracle import Rules, expected_of

IDENTITY = ("tenant_id", "room_id", "message_id")
CONTENT = ("body", "kind", "revision", "sender_id", "size_bytes")
GRACE = 15 * 60 * 1_000_000
WINDOW = 10 * 60 * 1_000_000
SKEW = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Row = dict[str, Any]
Identity = tuple[str | None, str | None, str | None]


# The oracle -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unreadable:
    """A value that is not of its declared type: equal to no readable value, and to no NULL."""

    raw: str


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def integer(value: object) -> object:
    if value is None or isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch("[+-]?[0-9]+", value) else Unreadable(str(value))


def timestamp(value: object) -> object:
    if value is None:
        return None
    if isinstance(value, datetime):
        return micros(value)
    try:
        return micros(datetime.fromisoformat(str(value)))
    except ValueError:
        return Unreadable(str(value))


def read(rows: list[Row]) -> list[Row]:
    """Read every value as the type that the contract declares; text is what it is."""
    for row in rows:
        row["size_bytes"], row["revision"] = integer(row["size_bytes"]), integer(row["revision"])
        row["sent_at"] = timestamp(row["sent_at"])
        if "stored_at" in row:
            row["stored_at"] = timestamp(row["stored_at"])
    return rows


def table(day: Day, name: str) -> list[Row]:
    with closing(sqlite3.connect(day.directory / "gateway.db")) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(f"SELECT * FROM {name} ORDER BY rowid")]


def archive(day: Day) -> list[Row]:
    parts = sorted((day.directory / "archive").glob("*.parquet"))
    return [row for part in parts for row in pl.read_parquet(part).to_dicts()]


def identity(row: Row) -> Identity:
    return (row["tenant_id"], row["room_id"], row["message_id"])


def fingerprint(row: Row) -> tuple[Hashable, ...]:
    return (*identity(row), row["sent_at"], *(row[name] for name in CONTENT))


def newest(rows: list[Row]) -> dict[Identity, list[Row]]:
    """Keep of every identity the rows of its newest revision. There may be several of that."""
    groups: dict[Identity, list[Row]] = defaultdict(list)
    for row in rows:
        groups[identity(row)].append(row)
    return {
        name: [row for row in group if row["revision"] == max(other["revision"] for other in group)]
        for name, group in groups.items()
    }


KINDS = ("text", "sticker", "image", "file", "system")


def breaks_rule(row: Row | None) -> bool:
    return row is not None and (
        None in identity(row)
        or row["kind"] not in KINDS
        or (isinstance(row["size_bytes"], int) and row["size_bytes"] < 0)
        or row["sent_at"] is None
        or any(isinstance(row[name], Unreadable) for name in ("sent_at", *CONTENT))
    )


def is_open(row: Row, as_of: int) -> bool:
    """Whether the row's batch is not judged yet. The untimed one, also of the future, always is."""
    sent = row["sent_at"]
    if not isinstance(sent, int) or sent > as_of + SKEW:
        return False
    return sent // WINDOW * WINDOW + WINDOW + GRACE > as_of


def pair_off(sources: list[Row], copies: list[Row]) -> tuple[list[tuple[Row, Row]], list[Row], list[Row]]:
    """Pair the rows of one identity: equal ones first, then what is left in any order."""
    pairs, sources, copies = [], list(sources), sorted(copies, key=lambda row: row["stored_at"])
    for source in list(sources):
        for copy in copies:
            if fingerprint(source) == fingerprint(copy):
                pairs.append((source, copy))
                sources.remove(source)
                copies = [other for other in copies if other is not copy]
                break
    rest = min(len(sources), len(copies))
    pairs += zip(sources[:rest], copies[:rest], strict=True)
    return pairs, sources[rest:], copies[rest:]


def oracle(day: Day, clock: str = "destination") -> tuple[Counter[Accusation], Counter[str]]:
    """Return every break of a day, and how many source items ended how.

    Args:
        day: The day.
        clock: Whose event time a latency is measured from. DESIGN does not say, so both must agree.
    """
    as_of = micros(day.as_of)
    sources = newest([row for row in read(table(day, "outbox")) if row["kind"] != "typing"])
    copies = newest(read(archive(day)))
    accepted = {identity(row) for row in table(day, "outcomes") if row["outcome"] in ("recalled", "blocked")}
    granted = members(day.grants, ("member_id", "room_id", "joined_at", "left_at", "entered_at"))
    found: Counter[Accusation] = Counter()
    ended: Counter[str] = Counter()

    def accuse(kind: str, row: Row) -> None:
        found[Accusation(kind, *identity(row))] += 1

    for name in {**sources, **copies}:
        ours, theirs = sources.get(name, []), copies.get(name, [])
        further = ours[1:]
        pairs: list[tuple[Row, Row]] = []
        if name in accepted and ours:
            ended["accounted"] += len(ours)
            lost, over, over_kind = list[Row](), theirs, "extra"
        else:
            pairs, lost, over = pair_off(ours, theirs)
            over_kind = "duplicate" if ours else "extra"
        for source, copy in pairs:
            if fingerprint(source) == fingerprint(copy):
                ended["matched"] += 1
            else:
                accuse("corrupt", source)
                ended["corrupt"] += 1
            event = (source if clock == "source" else copy)["sent_at"]
            if isinstance(event, int):
                if copy["stored_at"] < event or event > as_of + SKEW:
                    accuse("skewed", source)
                elif copy["stored_at"] - event > 5_000_000:
                    accuse("late", source)
        for row in lost:
            if is_open(row, as_of):
                ended["pending"] += 1
            else:
                accuse("lost", row)
                ended["lost"] += 1
        for row in over:
            if not is_open(row, as_of):
                accuse(over_kind, row)
        for row in ours:
            if row["kind"] != "system" and not is_open(row, as_of):
                at = row["sent_at"] if isinstance(row["sent_at"], int) else None
                act = {"actor": row["sender_id"], "object": row["room_id"], "at": at}
                said = expected_of(act, granted.get(row["sender_id"], []), Rules())
                if said is not None and said[0]:
                    accuse("unauthorized", row)
        partner = {id(source): copy for source, copy in pairs}
        paired = {id(copy) for _, copy in pairs}
        for row in ours:
            if breaks_rule(row) or breaks_rule(partner.get(id(row))) or any(row is other for other in further):
                accuse("invalid", row)
        for row in theirs:
            if id(row) not in paired and breaks_rule(row):
                accuse("invalid", row)
    return found, ended


def members(path: str, names: tuple[str, ...]) -> dict[str, list[Row]]:
    """The grants of a list, by actor: actor, object, since, until and when each was entered, by these names."""
    found: dict[str, list[Row]] = defaultdict(list)
    with open(path, encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            actor, thing, *times = (line[name] for name in names)
            since, until, entered = (timestamp(each or None) for each in times)
            grant = {"actor": actor, "object": thing, "from": since, "until": until, "recorded": entered}
            found[actor].append(grant | {"revoked": None, "departed": None, "approver": None})
    return found


def planted(day: Day) -> Counter[Accusation]:
    return Counter(Accusation(each.kind, each.tenant_id, each.room_id, each.message_id) for each in day.planted)


# Faults ---------------------------------------------------------------------------------------------------

#: What each fault must yield for one item that it befalls. A change here changes what the demo teaches.
EXPECTED = {
    "lost burst": "lost",
    "lost at night": "lost",
    "lost": "lost",
    "unaccepted outcome": "lost",
    "masked loss": "lost duplicate",
    "misrouted": "lost extra",
    "digit moved": "lost extra",
    "pair for a pair": "lost lost invalid extra extra",
    "stored twice": "duplicate",
    "stored three times": "duplicate duplicate",
    "redelivered later": "duplicate",
    "redelivered elsewhere": "duplicate",
    "altered copy": "duplicate",
    "NULL became ''": "corrupt",
    "NFC became NFD": "corrupt",
    "blank trimmed": "corrupt",
    "emoji replaced": "corrupt",
    "case changed": "corrupt",
    "sender ran into text": "corrupt",
    "sizes swapped": "corrupt corrupt",
    "size through a float": "corrupt",
    "edit lost": "corrupt",
    "microseconds cut": "corrupt",
    "nine hours off": "corrupt late",
    "never sent": "extra",
    "wrong tenant": "extra",
    "recalled, yet kept": "extra",
    "typing stored": "extra invalid",
    "twice on both sides": "invalid",
    "twice, archived once": "invalid lost",
    "id given out twice": "invalid",
    "no message id": "invalid",
    "no room": "invalid unauthorized",
    "no message id, and lost": "lost invalid",
    "id dropped": "lost extra invalid",
    "no event time": "invalid",
    "thirtieth of February": "invalid corrupt",
    "size in hex": "invalid corrupt",
    "unknown kind": "invalid",
    "size below zero": "invalid",
    "slow": "late",
    "late by a hair": "late",
    "stuck": "late",
    "clock behind": "skewed",
    "from tomorrow": "skewed",
    **dict.fromkeys(NAMES, "unauthorized"),
}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return generate_day(tmp_path_factory.mktemp("day"), items=5_000)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return generate_day(tmp_path_factory.mktemp("clean"), items=5_000, faults=False)


@pytest.mark.parametrize(
    ("items", "seed", "on"),
    [
        (2_000, 1, date(2026, 3, 2)),
        (2_000, 2, date(2024, 2, 29)),
        (5_000, 7, date(2026, 3, 2)),
        (5_000, 3, date(2026, 3, 7)),
        (40_000, 4, date(2026, 3, 2)),
    ],
)
def test_an_oracle_finds_what_was_planted_and_nothing_else(tmp_path: Path, items: int, seed: int, on: date) -> None:
    day = generate_day(tmp_path, items=items, seed=seed, day=on)
    for clock in ("source", "destination"):
        found, _ = oracle(day, clock)
        assert found - planted(day) == Counter(), clock
        assert planted(day) - found == Counter(), clock


def test_every_fault_yields_its_kinds(day: Day) -> None:
    assert list(EXPECTED) == ["lost burst", *(fault.name for fault in CATALOGUE), *NAMES]
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for each in day.planted:
        kinds[each.fault][each.kind] += 1
    assert set(kinds) == set(EXPECTED)
    for fault, counted in kinds.items():
        once = Counter(EXPECTED[fault].split())
        times = counted.total() // once.total()
        assert counted == Counter({kind: count * times for kind, count in once.items()}), fault


def test_every_kind_of_the_core_is_planted(day: Day) -> None:
    kinds = {each.kind for each in day.planted}
    assert kinds == {"lost", "duplicate", "corrupt", "extra", "invalid", "late", "skewed", "unauthorized"}


def test_no_item_suffers_two_faults(tmp_path: Path) -> None:
    for seed in range(5):
        faults: dict[Identity, set[str]] = defaultdict(set)
        for each in generate_day(tmp_path, items=3_000, seed=seed).planted:
            faults[each.tenant_id, each.room_id, each.message_id].add(each.fault)
        assert [names for names in faults.values() if len(names) > 1] == []


def test_faults_grow_with_the_day(day: Day, tmp_path: Path) -> None:
    more = generate_day(tmp_path, items=100_000)
    grown = Counter(each.fault for each in more.planted)
    assert len(more.planted) > 1.5 * len(day.planted)
    assert grown["lost"] == 12
    assert grown["lost burst"] > 20
    assert len(more.planted) < more.items / 200


def test_the_burst_is_all_of_one_room_for_minutes(day: Day) -> None:
    burst = {(each.tenant_id, each.room_id, each.message_id) for each in day.planted if each.fault == "lost burst"}
    rows = [row for row in read(table(day, "outbox")) if identity(row) in burst]
    assert len({(row["tenant_id"], row["room_id"]) for row in rows}) == 1
    first, last = min(row["sent_at"] for row in rows), max(row["sent_at"] for row in rows)
    assert timedelta(hours=9) <= EPOCH + timedelta(microseconds=first) - day.start < timedelta(hours=10)
    assert last - first < 5 * 60_000_000
    ended = {identity(row) for row in table(day, "outcomes")}
    between = [
        row
        for row in read(table(day, "outbox"))
        if (row["tenant_id"], row["room_id"]) == (rows[0]["tenant_id"], rows[0]["room_id"])
        and isinstance(row["sent_at"], int)
        and first <= row["sent_at"] <= last
        and row["kind"] != "typing"
        and identity(row) not in ended
    ]
    assert {identity(row) for row in between} == burst


def test_what_was_planted_is_written_beside(day: Day) -> None:
    document = json.loads((day.directory / "faults.json").read_text(encoding="utf-8"))
    assert document["schema"] == "integrity.demo/1"
    assert (document["items"], document["seed"], document["day"]) == (5_000, 7, "2026-03-02")
    assert document["as_of"] == "2026-03-02T15:12:00+00:00"
    written = Counter(Accusation(**each) for fault in document["faults"] for each in fault["breaks"])
    assert written == planted(day)
    assert all(fault["why"] for fault in document["faults"])


# The day --------------------------------------------------------------------------------------------------


def test_without_faults_the_two_sides_are_one_multiset(clean: Day) -> None:
    ended = {identity(row) for row in table(clean, "outcomes")}
    kept = [row for row in read(table(clean, "outbox")) if row["kind"] != "typing" and identity(row) not in ended]
    stored = read(archive(clean))
    flying = Counter(map(fingerprint, kept)) - Counter(map(fingerprint, stored))
    assert Counter(map(fingerprint, stored)) - Counter(map(fingerprint, kept)) == Counter()
    assert flying.total() == clean.counts["in_flight"] > 0
    assert clean.planted == ()
    assert oracle(clean)[0] == Counter()
    latencies = [row["stored_at"] - row["sent_at"] for row in stored]
    assert min(latencies) > 0
    assert 4_000_000 < max(latencies) < 5_000_000


def test_only_the_last_window_is_open_and_only_there_items_are_in_flight(clean: Day, day: Day) -> None:
    for each in (clean, day):
        stored = {identity(row) for row in archive(each)}
        ended = {identity(row) for row in table(each, "outcomes")}
        lost = {(fault.tenant_id, fault.room_id, fault.message_id) for fault in each.planted}
        missing = [
            row
            for row in read(table(each, "outbox"))
            if row["kind"] != "typing" and identity(row) not in stored | ended | lost
        ]
        assert len(missing) == each.counts["in_flight"] == oracle(each)[1]["pending"]
        assert min(row["sent_at"] for row in missing) >= micros(each.end - timedelta(minutes=10))
        assert each.as_of - each.end < timedelta(minutes=15) <= each.as_of - each.end + timedelta(minutes=10)


def test_counts_are_those_of_the_tables(clean: Day, day: Day) -> None:
    outbox = table(clean, "outbox")
    assert clean.items == clean.counts["outbox_rows"] - clean.counts["typing"] - clean.counts["edited"]
    for each in (clean, day):
        assert each.counts["outbox_rows"] == len(table(each, "outbox"))
        assert each.counts["archive_rows"] == len(archive(each))
    assert clean.counts["typing"] == sum(row["kind"] == "typing" for row in outbox) > 0
    assert clean.counts["edited"] == sum(row["revision"] == 2 for row in outbox) > 0
    assert clean.counts["accounted"] == oracle(clean)[1]["accounted"] > 0
    assert len({identity(row) for row in outbox}) == len(outbox) - clean.counts["edited"]
    ends = oracle(clean)[1]
    assert ends["matched"] + ends["accounted"] + ends["pending"] == clean.items
    assert {name: day.counts[name] for name in ("typing", "edited", "accounted", "in_flight")} == {
        name: clean.counts[name] for name in ("typing", "edited", "accounted", "in_flight")
    }


def test_a_working_day_has_its_bursts_and_its_night(tmp_path: Path) -> None:
    day = generate_day(tmp_path, items=20_000, faults=False)
    sent = [datetime.fromisoformat(row["sent_at"]) for row in table(day, "outbox")]
    assert all(day.start <= moment < day.end for moment in sent)
    hours = Counter((moment - day.start) // timedelta(hours=1) for moment in sent)
    assert {hour for hour, _ in hours.most_common(2)} == {9, 13}
    assert sum(hours[hour] for hour in (2, 3, 4, 5)) < 0.03 * len(sent)
    assert all(hours[hour] for hour in range(24))
    nine = Counter((moment - day.start) // timedelta(minutes=10) for moment in sent)
    assert nine[54] > 1.3 * nine[53]  # 09:00 against 08:50
    assert nine[54] > 1.3 * nine[59]


def test_a_sunday_has_no_bursts(tmp_path: Path) -> None:
    day = generate_day(tmp_path, items=20_000, day=date(2026, 3, 8), faults=False)
    hours = Counter(
        (datetime.fromisoformat(row["sent_at"]) - day.start) // timedelta(hours=1) for row in table(day, "outbox")
    )
    assert hours.most_common(1)[0][1] < 2 * hours[18]


def test_people_write_as_people_do(clean: Day) -> None:
    outbox = table(clean, "outbox")
    tenants = Counter(row["tenant_id"] for row in outbox)
    assert len(tenants) == 12
    assert tenants.most_common(1)[0][1] > 8 * min(tenants.values())
    assert {row["kind"] for row in outbox} == {"text", "sticker", "image", "file", "system", "typing"}
    texts = [row for row in outbox if row["kind"] == "text"]
    assert sum(bool(re.search("[가-힣]", row["body"])) for row in texts) > 0.9 * len(texts)
    assert len({row["body"] for row in texts}) > 0.8 * len(texts)
    assert all(row["size_bytes"] == len(row["body"].encode()) for row in texts)
    assert any(row["body"] != row["body"].rstrip() for row in texts)
    assert any(re.search("[\u1100-\u11ff]", row["body"] or "") for row in outbox)  # decomposed on purpose
    assert all(row["body"] is None for row in outbox if row["kind"] == "sticker")
    assert all(re.fullmatch(r"2026-03-0[12]T\d\d:\d\d:\d\d\.\d{6}Z", row["sent_at"]) for row in outbox)
    # A message_id alone names nothing: it repeats from tenant to tenant.
    assert len({row["message_id"] for row in outbox}) < 0.7 * len(outbox)


def test_the_archive_is_parts_by_hour_of_storage(day: Day) -> None:
    parts = sorted((day.directory / "archive").iterdir())
    assert len(parts) >= 24
    for part in parts:
        frame = pl.read_parquet(part)
        assert frame.schema["sent_at"] == frame.schema["stored_at"] == pl.Datetime("us", "UTC")
        assert frame.schema["size_bytes"] == pl.Int64
        assert frame["stored_at"].dt.strftime("stored-%Y-%m-%dT%H.parquet").unique().to_list() == [part.name]
    assert day.destination == f"{day.directory.as_posix()}/archive/*.parquet"


def test_the_gateway_is_one_plain_file(day: Day) -> None:
    path = day.directory / "gateway.db"
    assert {each.name for each in day.directory.iterdir()} == {
        "archive",
        "faults.json",
        "gateway.db",
        "members.csv",
        "message-day.yaml",
    }
    assert day.source == f"sqlite:///{path.as_posix()}#outbox"
    assert day.outcomes == f"sqlite:///{path.as_posix()}#outcomes"
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        shape = [(name, kind) for _, name, kind, *_ in database.execute("PRAGMA table_info(outbox)")]
    assert dict(shape) == {
        **dict.fromkeys((*IDENTITY, "sender_id", "kind", "body", "sent_at"), "TEXT"),
        "size_bytes": "INTEGER",
        "revision": "INTEGER",
    }


def test_the_contract_reads_as_the_oracle_reads_it(day: Day) -> None:
    contract = YAML(typ="safe").load(day.contract)
    assert tuple(contract["identity"]) == IDENTITY
    assert tuple(sorted(contract["content"])) == CONTENT
    assert contract["latest_by"] == "revision"
    assert contract["clock"] == {"event": "sent_at", "processed": "stored_at"}
    assert (contract["window"], contract["grace"]) == ("10m", "15m")
    assert contract["outcomes"] == {"accept": ["recalled", "blocked"]}
    assert contract["timeliness"]["within"] == "5s"
    assert contract["timeliness"]["never_over"] == "60s"
    assert contract["exclude"][0]["where"] == {"kind": ["typing"]}


# Determinism ----------------------------------------------------------------------------------------------


def digest(directory: Path) -> str:
    """Return one hash of every byte that a day consists of."""
    total = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(directory).as_posix()} {path.stat().st_size}\n".encode())
        total.update(path.read_bytes())
    return total.hexdigest()


def test_a_seed_decides_every_byte(tmp_path: Path) -> None:
    one = generate_day(tmp_path / "one", items=3_000, seed=5)
    two = generate_day(tmp_path / "two", items=3_000, seed=5)
    other = generate_day(tmp_path / "other", items=3_000, seed=6)
    assert one.planted == two.planted
    assert table(one, "outbox") == table(two, "outbox")
    assert archive(one) == archive(two)
    assert digest(tmp_path / "one") == digest(tmp_path / "two") != digest(tmp_path / "other")
    assert other.planted != one.planted


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_neither_a_hash_seed_nor_threads_nor_the_time_zone_decide_anything(tmp_path: Path, hash_seed: str) -> None:
    generate_day(tmp_path / "here", items=3_000, seed=5)
    program = "import sys, integrity.demo as demo; demo.generate_day(sys.argv[1], items=3_000, seed=5)"
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "there")],
        check=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "POLARS_MAX_THREADS": "1", "TZ": "America/New_York"},
    )
    assert digest(tmp_path / "here") == digest(tmp_path / "there")


def test_faults_touch_nothing_but_their_items(clean: Day, day: Day) -> None:
    def texts(rows: list[Row]) -> Counter[str]:
        return Counter(json.dumps(row, sort_keys=True, default=str) for row in rows)

    changed = texts(table(clean, "outbox")) - texts(table(day, "outbox"))
    assert changed.total() <= len(day.planted)
    gone = texts(archive(clean)) - texts(archive(day))
    assert gone.total() <= len(day.planted) + 3 * sum(each.fault == "lost burst" for each in day.planted)


def test_a_day_replaces_an_earlier_one(tmp_path: Path) -> None:
    generate_day(tmp_path / "again", items=6_000, seed=9)
    (tmp_path / "again" / "gateway.db-wal").write_bytes(b"left by a reader")
    generate_day(tmp_path / "again", items=2_500, seed=5, faults=False)
    generate_day(tmp_path / "fresh", items=2_500, seed=5, faults=False)
    assert digest(tmp_path / "again") == digest(tmp_path / "fresh")


@pytest.mark.parametrize("name", ["gateway.db", "faults.json", "message-day.yaml", "archive/mine.parquet"])
def test_what_is_not_a_day_is_not_overwritten(tmp_path: Path, name: str) -> None:
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="not part of an earlier day; choose another directory"):
        generate_day(tmp_path, items=2_000)
    assert mine.read_text(encoding="utf-8") == "mine"


def test_a_foreign_part_among_ours_is_refused(tmp_path: Path) -> None:
    generate_day(tmp_path, items=2_000)
    (tmp_path / "archive" / "mine.parquet").write_bytes(b"")
    with pytest.raises(UsageError, match=r"mine\.parquet is not part of an earlier day"):
        generate_day(tmp_path, items=2_000)


def test_a_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match=r"a day cannot be written to .*file.*choose another directory"):
        generate_day(tmp_path / "file", items=2_000)


def test_too_small_a_day_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ask for 2000 or more"):
        generate_day(tmp_path, items=1_999)


def test_a_relative_directory_gives_relative_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    day = generate_day("integrity-demo", items=2_000)
    assert day.source == "sqlite:///integrity-demo/gateway.db#outbox"
    assert day.destination == "integrity-demo/archive/*.parquet"


# Planted against found ------------------------------------------------------------------------------------


class Kind(StrEnum):
    LOST = "lost"


def frame(rows: Iterator[Accusation] | list[Accusation], **options: Any) -> pd.DataFrame:
    return pd.DataFrame([each._asdict() for each in rows], columns=list(Accusation._fields), **options)


@pytest.mark.parametrize("dtype", [None, "object", "string[pyarrow]", "str"])
def test_a_perfect_result_is_exact(day: Day, dtype: str | None) -> None:
    comparison = compare(day, frame(planted(day).elements(), **({"dtype": dtype} if dtype else {})))
    assert comparison.exact
    assert comparison.found == day.planted
    assert not comparison.missed
    assert not comparison.wrongly_accused
    assert any(each.message_id is None for each in comparison.found)


def test_an_empty_result_missed_everything(day: Day) -> None:
    comparison = compare(day, frame([]))
    assert not comparison.exact
    assert comparison.missed == day.planted


def test_a_missed_copy_and_a_wrong_accusation_are_named(day: Day) -> None:
    tripled = next(each for each in day.planted if each.fault == "stored three times")
    missing = Accusation("duplicate", tripled.tenant_id, tripled.room_id, tripled.message_id)
    wrong = Accusation("extra", None, "r00001", None)
    comparison = compare(day, frame((planted(day) - Counter([missing]) + Counter([wrong, wrong])).elements()))
    assert comparison.missed == (tripled,)
    assert comparison.wrongly_accused == (wrong, wrong)
    assert not comparison.exact
    line = next(line for line in comparison.by_fault() if line[0] == "stored three times")
    assert line == ("stored three times", tripled.why, "duplicate", 1, 2)
    assert sum(found for *_, found, _ in comparison.by_fault()) == len(day.planted) - 1


def test_the_kind_may_be_an_enum(day: Day) -> None:
    lost = next(each for each in day.planted if each.fault == "lost")
    row = {
        "kind": Kind.LOST,
        "tenant_id": lost.tenant_id,
        "room_id": lost.room_id,
        "message_id": lost.message_id,
    }
    assert compare(day, pd.DataFrame([row], dtype=object)).found == (lost,)
