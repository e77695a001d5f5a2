"""What does a realistic day of an enterprise messenger look like, and what is wrong with it?

:func:`generate_day` writes one Seoul day of chat messages as a gateway recorded them (SQLite) and as an
archive kept them (Parquet), with faults whose every break is known beforehand. :func:`compare` then says of a
reconciliation which of them it found, which it missed, and whom it accused wrongly. Nothing here compares the
two sides: that is the work of the library, and a demo that did it itself would prove nothing.

Every number comes from a seeded generator and no clock is read, so a seed gives the same bytes on every day.
"""

from __future__ import annotations

import json
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from integrity.demo_faults import Desk, Outcome, Planted, Row, Subject, plant
from integrity.errors import StoreError, UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Accusation", "Comparison", "Day", "Planted", "compare", "generate_day"]

#: Below this a day has too few messages for every fault to find one of its own.
MINIMUM_ITEMS = 2_000

SEOUL = ZoneInfo("Asia/Seoul")
WINDOW = timedelta(minutes=10)

#: What the archive stored in the day's last minutes lies in a part file that its writer has not closed yet.
IN_FLIGHT = timedelta(minutes=4)

#: With the contract's grace of 15 minutes, only the last window of the day is still open then.
READ_AFTER = timedelta(minutes=12)

_SCHEMA = "integrity.demo/1"
_CHUNK_ROWS = 50_000

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Day:
    """A generated day: where it lies, when it is read, and what must be found in it.

    Attributes:
        directory: The folder of everything below, and of ``faults.json``: what was planted, for other tools.
        source: The URL of the gateway's outbox.
        destination: The glob of the archive's part files.
        outcomes: The URL of the table that says which items ended elsewhere.
        contract: The path of the contract, ``message-day.yaml``.
        start: The first moment of the day, a Seoul midnight, in UTC.
        end: The first moment after it.
        as_of: When the sides count as read: the last window is still open then.
        items: How many messages people and services sent, typing indicators and edits not counted.
        counts: ``outbox_rows`` and ``archive_rows`` as written; and as they would be without any fault,
            ``typing``, ``edited``, ``accounted`` (recalled or blocked by policy) and ``in_flight``.
        planted: One entry for every break that a reconciliation must find. It must find no other.
    """

    directory: Path
    source: str
    destination: str
    outcomes: str
    contract: Path
    start: datetime
    end: datetime
    as_of: datetime
    items: int
    counts: Mapping[str, int]
    planted: tuple[Planted, ...]


class Accusation(NamedTuple):
    """A break as both the plan and a result name it: its kind and the item."""

    kind: str
    tenant_id: str | None
    room_id: str | None
    message_id: str | None


@dataclass(frozen=True)
class Comparison:
    """What a reconciliation made of a day.

    Attributes:
        found: Planted, and reported.
        missed: Planted, and not reported.
        wrongly_accused: Reported, and not planted.
    """

    found: tuple[Planted, ...]
    missed: tuple[Planted, ...]
    wrongly_accused: tuple[Accusation, ...]

    @property
    def exact(self) -> bool:
        """Whether every planted break was found and nothing else was accused."""
        return not self.missed and not self.wrongly_accused

    def by_fault(self) -> list[tuple[str, str, str, int, int]]:
        """Return for each fault its name, reason and kinds, and how many breaks of how many were found."""
        lines: dict[str, tuple[str, set[str], int, int]] = {}
        for got, planted in [(1, each) for each in self.found] + [(0, each) for each in self.missed]:
            why, kinds, found, total = lines.get(planted.fault, (planted.why, set(), 0, 0))
            lines[planted.fault] = (why, kinds | {planted.kind}, found + got, total + 1)
        return [
            (fault, why, " + ".join(sorted(kinds)), found, total)
            for fault, (why, kinds, found, total) in sorted(lines.items())
        ]


def generate_day(
    directory: str | Path,
    *,
    items: int = 200_000,
    seed: int = 7,
    day: date = date(2026, 3, 2),
    faults: bool = True,
) -> Day:
    """Write a realistic day of an enterprise messenger, with known faults, to try a reconciliation on.

    The day runs from midnight to midnight in Seoul. Twelve tenants of very different size write Korean
    messages, stickers, images and files, most of them after nine and one o'clock; some edit, recall, or are
    stopped by policy. The gateway's ``outbox`` also holds typing indicators, which nobody archives. The
    archive has each message within five seconds, in a part file for each hour in which it stored something.

    Args:
        directory: Where to write. A day that lies there already is replaced, anything else is refused.
        items: How many messages, at least 2,000; about a tenth more rows are written.
        seed: Decides everything. The same seed, items and day give the same bytes.
        day: The day in Seoul. A Saturday or Sunday has no peaks.
        faults: Left out, nothing is wrong and every closed batch must pass.

    Raises:
        UsageError: there are too few items, or the directory holds something that is not a day.
        StoreError: the directory cannot be written to.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     example = generate_day(folder, items=2_000)
        >>> example.as_of.isoformat()
        '2026-03-02T15:12:00+00:00'
    """
    if items < MINIMUM_ITEMS:
        raise UsageError(
            f"a day of {items} items is too small to hold every fault", f"ask for {MINIMUM_ITEMS} or more"
        )
    folder = Path(directory)
    start, end = (
        datetime.combine(midnight, time(), SEOUL).astimezone(UTC)
        for midnight in (day, day + timedelta(days=1))
    )
    as_of = end + READ_AFTER

    # Messages and faults draw their chance apart, so that a day is the same with and without faults.
    frame = _messages(np.random.default_rng([seed, 1]), items, start, end, weekend=day.weekday() >= 5)
    outcomes = _outcomes(frame, start)
    planted: tuple[Planted, ...] = ()
    touched: list[Subject] = []
    if faults:
        desk = _desk(np.random.default_rng([seed, 2]), frame, items, start, end)
        planted = tuple(plant(desk, items))
        touched = desk.touched
        outcomes += desk.outcomes

    contract = folder / "message-day.yaml"
    try:
        _make_room(folder)
        # First, because it is also what tells a later call that the folder is a day and may be replaced.
        _write_json(folder / "faults.json", planted, seed=seed, items=items, day=day, as_of=as_of)
        contract.write_text(CONTRACT, encoding="utf-8", newline="\n")
        outbox_rows = _write_gateway(folder / "gateway.db", frame, touched, outcomes)
        archive_rows = _write_archive(folder / "archive", frame, touched, start + timedelta(hours=12))
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"a day cannot be written to {folder}: {error}", "choose another directory"
        ) from error
    counts = {
        "outbox_rows": outbox_rows,
        "archive_rows": archive_rows,
        "typing": int((frame["kind"] == "typing").sum()),
        "edited": int((frame["revision"] == 2).sum()),
        "accounted": int(frame["ended"].is_not_null().sum()),
        "in_flight": int((~frame["stored"] & frame["ended"].is_null() & (frame["kind"] != "typing")).sum()),
    }
    gateway = f"sqlite:///{(folder / 'gateway.db').as_posix()}"
    return Day(
        folder,
        f"{gateway}#outbox",
        (folder / "archive" / "*.parquet").as_posix(),
        f"{gateway}#outcomes",
        contract,
        start,
        end,
        as_of,
        items,
        counts,
        planted,
    )


def compare(day: Day, breaks: pd.DataFrame) -> Comparison:
    """Compare what was planted in a day with what a reconciliation found.

    Args:
        day: The day.
        breaks: ``result.breaks``; of its columns only ``kind`` and the identity are looked at. Copies count:
            an item that is stored three times is two breaks.
    """
    import pandas as pd  # here, so that generating a day does not load it

    def plain(value: Any) -> str | None:
        if isinstance(value, Enum):
            return str(value.value)
        return None if pd.isna(value) else str(value)

    columns = [breaks[name] for name in Accusation._fields]
    accused = Counter(
        Accusation(plain(kind) or "", *map(plain, item)) for kind, *item in zip(*columns, strict=True)
    )
    found, missed = [], []
    for planted in day.planted:
        expected = Accusation(planted.kind, planted.tenant_id, planted.room_id, planted.message_id)
        if accused[expected]:
            accused[expected] -= 1
            found.append(planted)
        else:
            missed.append(planted)
    wrongly = sorted(accused.elements(), key=lambda each: tuple(part or "" for part in each))
    return Comparison(tuple(found), tuple(missed), tuple(wrongly))


# What people write ----------------------------------------------------------------------------------------

#: From the largest to the smallest.
TENANTS = (
    "haneul", "baram", "gureum", "dalbit", "saebyeok", "yeoul",
    "narae", "sotdae", "pureun", "maru", "byeolbit", "isul",
)  # fmt: skip

_TEXT, _STICKER, _IMAGE, _FILE, _SYSTEM, _TYPING = range(6)
_KINDS = ("text", "sticker", "image", "file", "system", "typing")

_OPENERS = (
    "", "네, ", "팀장님, ", "안녕하세요. ", "혹시 ", "넵! ", "확인했습니다. ", "다들 ", "죄송한데 ",
    "오늘 중으로 ", "@김민준 ", "@이서연 ", "참고로 ", "[공지] ", "Re: ", "어제 말씀드린 ", "고객사에서 ",
)  # fmt: skip
_TOPICS = (
    "3월 정산 자료", "오늘 회의록", "계약서 초안", "견적서 v2", "주간 보고", "배포 일정", "휴가 신청",
    "점심 메뉴", "고객 문의 #1024", "예산안 (12,3)", "예산안 (1,23)", "디자인 시안", "출장비 영수증",
    "거래처 주소", "각 팀 KPI", "워크숍 장소", "보안 점검 결과", "재고 현황", "release note", "O'Reilly 교육",
)  # fmt: skip
_ENDINGS = (
    " 확인 부탁드립니다.", " 공유드립니다.", " 언제까지 될까요?", " 다시 보내주세요.", " 올려두었습니다",
    " 검토했습니다.", " 내일 오전까지 가능할까요?", " 참고해 주세요.", " 승인되었습니다.", " 보셨나요?",
    " 조금 늦어질 것 같습니다.", " 이대로 진행할게요.", " 100% 완료", " https://example.com/d?id=7&v=2",
)  # fmt: skip
# Blanks and line breaks at the end are real and must survive; so must an emoji of several code points.
_TAILS = (
    *("",) * 14, " 🙂", " 👍", " ㅎㅎ", " ㅠㅠ", "!", " 🙏🏻", " 👨\u200d👩\u200d👧",
    " ", "\n", "\n감사합니다", "\r\n- 드림",
)  # fmt: skip
#: Texts that tools stumble over, equal on both sides: whoever accuses one of these is wrong.
_AWKWARD = (
    "", "-", "NULL", "nan", "0x10", "1e3", "a|b,c", "a,b|c", "12,3", "1,23", "\x1f", "\x1a", "\t", "\u200b",
    '"', "\\", "'; DROP TABLE outbox; --", "각", unicodedata.normalize("NFD", "각"), "Straße", "STRASSE",
)  # fmt: skip
_FILE_NAMES = (
    "3월_매출보고서_최종",
    "계약서(수정)",
    "회의록",
    "견적서_v2",
    "업무 인수인계서",
    "budget final",
)
#: A Mac names its files in NFD. Both sides keep that.
_FILES = tuple(
    name + ending
    for name in (*_FILE_NAMES, *(unicodedata.normalize("NFD", name) for name in _FILE_NAMES[:3]))
    for ending in (".xlsx", ".pdf", ".docx", ".zip")
)
_NOTES = ("새 멤버가 들어왔습니다.", "멤버가 나갔습니다.", "대화방 이름이 바뀌었습니다.")
_HEARTBEAT = "관제: 정기 점검, 이상 없음"
_PACKS = (18_432, 24_576, 30_720, 41_984)

#: How busy each hour is. At night a few people and the watch; a working day ebbs at lunch and after six.
_WEEKDAY = (3, 2, 1.2, 0.8, 0.6, 0.8, 2, 7, 22, 48, 46, 44, 24, 46, 44, 42, 40, 38, 22, 13, 10, 9, 8, 5)
_WEEKEND = (4, 3, 2, 1, 0.8, 0.8, 1.5, 3, 5, 8, 10, 11, 12, 12, 11, 11, 11, 11, 11, 11, 12, 12, 10, 7)


# The messages ---------------------------------------------------------------------------------------------


def _messages(
    rng: np.random.Generator, items: int, start: datetime, end: datetime, *, weekend: bool
) -> pl.DataFrame:
    """Return the outbox's rows in the order of sending, and whether and when the archive stored each."""
    begin, length = _micros(start), _micros(end) - _micros(start)
    window = _micros_of(WINDOW)

    # The watch of the largest tenant reports in every window, exactly on its first moment: half-open windows
    # are put to the test, and no window of the night is empty. Its last word of the day is always in flight.
    beats = np.append(np.arange(0, length, window), length - window // 10)
    people = items - beats.size

    # People talk in threads: a few messages in one room within minutes.
    threads = rng.geometric(0.28, size=people // 2)
    thread = np.repeat(np.arange(threads.size), threads)[:people]
    first = np.concatenate([[True], thread[1:] != thread[:-1]])
    gaps = np.where(first, 0, rng.exponential(12e6, people)).astype(np.int64)
    walked = np.cumsum(gaps)
    walked -= np.maximum.accumulate(np.where(first, walked, 0))
    minutes = rng.choice(length // 60_000_000, threads.size, p=_intensity(length // 60_000_000, weekend))
    opened = minutes * 60_000_000 + rng.integers(0, 60_000_000, threads.size)
    sent = (opened[thread] + walked) % length

    sizes = 1 / np.arange(1, len(TENANTS) + 1) ** 1.1
    tenant = rng.choice(len(TENANTS), threads.size, p=sizes / sizes.sum())[thread]
    rooms = np.maximum(4, (sizes / sizes.sum() * items / 120).astype(np.int64))
    room = (rooms[tenant] * (rng.random(threads.size) ** 2.2)[thread]).astype(np.int64)
    member = ((2 + room * 7_919 % 28) * rng.random(people) ** 1.4).astype(np.int64)
    sender = (room * 31 + member * 17) % np.maximum(12, rooms[tenant] * 3)
    kind = rng.choice(5, people, p=(0.83, 0.07, 0.05, 0.03, 0.02))

    # Somebody types a moment before a message; the indicator is in the outbox, and by design nowhere else.
    typist = np.sort(rng.choice(people, int(people * 0.08), replace=False))
    typed = np.maximum(0, sent[typist] - rng.integers(300_000, 5_000_000, typist.size))

    sent = np.concatenate([sent, beats, typed])
    order = np.argsort(sent, kind="stable")
    sent = sent[order]
    watch = np.zeros(beats.size, np.int64)
    tenant = np.concatenate([tenant, watch, tenant[typist]])[order]
    room = np.concatenate([room, watch, room[typist]])[order]
    sender = np.concatenate([np.where(kind == _SYSTEM, -2, sender), watch - 1, sender[typist]])[order]
    kind = np.concatenate([kind, watch + _SYSTEM, np.full(typist.size, _TYPING)])[order]

    total = sent.size
    number = np.empty(total, np.int64)  # ids count up for each tenant, so they repeat from tenant to tenant
    for each in range(len(TENANTS)):
        own = np.flatnonzero(tenant == each)
        number[own] = np.arange(own.size)

    # Edits and recalls of the last windows would be in flight themselves.
    settled = sent < length - 2 * window
    chance = rng.random(total)
    edited = (kind == _TEXT) & settled & (chance < 0.02)
    mine = (kind != _SYSTEM) & (kind != _TYPING) & settled
    recalled = mine & (chance > 0.996)
    blocked = mine & (chance > 0.9949) & ~recalled

    # Most are archived in a fraction of a second, more slowly when many write; one in a hundred takes
    # seconds. The tail is cut below five, so that whatever is late was planted.
    busy = _intensity(length // 60_000_000, weekend)[sent // 60_000_000] * (length // 60_000_000)
    latency = 170_000 * (1 + 0.4 * busy) * np.exp(rng.normal(0, 0.55, total))
    latency = np.where(rng.random(total) < 0.01, rng.uniform(1.2e6, 4.9e6, total), latency)
    latency = np.clip(latency, 15_000, 4_890_000 - rng.integers(0, 200_000, total)).astype(np.int64)
    archived = ~recalled & ~blocked & (kind != _TYPING)
    stored = archived & (sent + latency < length - _micros_of(IN_FLIGHT))

    # An edit is a second row with the same event time, made while the message was still on its way: the
    # contract counts its latency, too, from the sending.
    row = np.repeat(np.arange(total), 1 + edited)
    second = np.concatenate([[False], row[1:] == row[:-1]])
    waited = second * rng.uniform(0.05, 1, row.size) * (4_895_000 - latency[row])
    numbers = {
        "opener": rng.integers(0, len(_OPENERS), total)[row],
        "topic": rng.integers(0, len(_TOPICS), total)[row],
        "awkward": (rng.random(total) < 0.003)[row],
        "tenant": tenant[row],
        "room": room[row],
        "number": number[row],
        "sender": sender[row],
        "kind": kind[row],
        "revision": 1 + second.astype(np.int64),
        "sent_at": begin + sent[row],
        "stored_at": begin + (sent + latency)[row] + waited.astype(np.int64),
        "stored": stored[row],
        "ended": np.where(recalled, 0, np.where(blocked, 1, 2))[row],
    }
    # Chunk by chunk, because texts in the making take several times the room of texts.
    chunks = range(0, row.size, _CHUNK_ROWS)
    return pl.concat([_worded(rng, pl.DataFrame(numbers).slice(at, _CHUNK_ROWS)) for at in chunks])


def _intensity(minutes: int, weekend: bool) -> npt.NDArray[np.float64]:
    """Return how the day's messages spread over its minutes, summing to one."""
    hours = np.array(_WEEKEND if weekend else _WEEKDAY)
    minute = np.arange(minutes)
    weight = np.interp(minute, np.arange(24) * 60 + 30, hours, period=1_440)
    if not weekend:
        for burst, height in ((9 * 60, 75), (13 * 60, 60)):
            weight = weight + np.where(minute >= burst, height * np.exp(-(minute - burst) / 14), 0)
    shape: npt.NDArray[np.float64] = weight / weight.sum()
    return shape


def _worded(rng: np.random.Generator, numbers: pl.DataFrame) -> pl.DataFrame:
    """Put names, texts and sizes to the numbers."""
    rows = numbers.height

    def words(of: Sequence[str] | Sequence[int], index: pl.Series | None = None) -> pl.Series:
        return pl.Series(of).gather(rng.integers(0, len(of), rows) if index is None else index)

    openers, topics = words(_OPENERS, numbers["opener"]), words(_TOPICS, numbers["topic"])
    frame = numbers.with_columns(
        written=pl.concat_str(
            pl.lit(openers), pl.lit(topics), pl.lit(words(_ENDINGS)), pl.lit(words(_TAILS))
        ),
        awkward=pl.when("awkward").then(pl.lit(words(_AWKWARD))),
        file=words(_FILES),
        note=words(_NOTES),
        pack=words(_PACKS),
        weight=pl.Series(np.exp(rng.normal(12.6, 1.3, rows)).astype(np.int64) + 900),
    )
    kind = pl.col("kind")
    body = (
        pl.when(kind == _TEXT)
        .then(pl.coalesce("awkward", "written"))
        .when(kind == _IMAGE)
        .then(pl.format("IMG_{}.jpg", pl.col("number") % 10_000))
        .when(kind == _FILE)
        .then("file")
        .when((kind == _SYSTEM) & (pl.col("sender") == -1))
        .then(pl.lit(_HEARTBEAT))
        .when(kind == _SYSTEM)
        .then("note")
    )
    moment = pl.Datetime("us", "UTC")
    return frame.with_columns(body=body).select(
        tenant_id=pl.Series(TENANTS).gather(frame["tenant"]),
        room_id="r" + pl.col("room").cast(pl.String).str.zfill(5),
        message_id=(pl.col("number") + 4_210_000).cast(pl.String).str.zfill(9),
        sender_id=pl.when(kind == _SYSTEM)
        .then(pl.lit("system"))
        .otherwise("u" + pl.col("sender").cast(pl.String).str.zfill(6)),
        kind=pl.Series(_KINDS).gather(frame["kind"]),
        body="body",
        size_bytes=pl.when(kind.is_in([_TEXT, _SYSTEM]))
        .then(pl.col("body").str.len_bytes().cast(pl.Int64))
        .when(kind == _STICKER)
        .then("pack")
        .when(kind.is_in([_IMAGE, _FILE]))
        .then("weight")
        .otherwise(0),
        revision="revision",
        sent_at=pl.col("sent_at").cast(moment),
        stored_at=pl.col("stored_at").cast(moment),
        stored="stored",
        ended=pl.Series(("recalled", "blocked", None)).gather(frame["ended"]),
    )


def _outcomes(frame: pl.DataFrame, start: datetime) -> list[Outcome]:
    """Return where the items ended that the archive will never get, and some of the day before."""
    ended = frame.filter(pl.col("ended").is_not_null())
    rows = [
        Outcome(tenant, room, message, outcome, sent + timedelta(seconds=1 + place * 7 % 540))
        for place, (tenant, room, message, outcome, sent) in enumerate(
            ended.select("tenant_id", "room_id", "message_id", "ended", "sent_at").iter_rows()
        )
    ]
    yesterday = [
        Outcome(
            tenant, "r00000", f"{4_209_990 + place:09d}", "recalled", start + timedelta(minutes=1 + place)
        )
        for place, tenant in enumerate(TENANTS[:5])
    ]
    return yesterday + rows


# The faults' items ----------------------------------------------------------------------------------------


def _desk(rng: np.random.Generator, frame: pl.DataFrame, items: int, start: datetime, end: datetime) -> Desk:
    """Choose whom faults may befall: items archived, never edited, and in batches that are long closed."""
    minute = (frame["sent_at"] - start).dt.total_minutes()
    archived = frame["stored"].to_numpy()
    single = archived & ~_edited(frame)
    in_time = ((minute >= 60) & (minute < (end - start) // timedelta(minutes=1) - 60)).to_numpy()

    # The burst: the room and the five minutes after nine o'clock with the most messages.
    morning = frame.with_columns(minute=minute).with_row_index("position")
    morning = morning.filter(pl.col("stored") & pl.col("minute").is_between(9 * 60, 10 * 60 - 1))
    busiest = (
        morning.group_by("tenant_id", "room_id", pl.col("minute") // 5, maintain_order=True)
        .agg("position")
        .sort(pl.col("position").list.len(), descending=True, maintain_order=True)
    )
    burst = busiest["position"][0].to_numpy()

    chosen = single & in_time
    chosen[burst] = False
    candidates = np.flatnonzero(chosen)
    # The night is quiet: take all of it, and of the rest as many as the faults could ask for.
    night = candidates[minute.to_numpy()[candidates] // 60 == 4][:500]
    others = rng.permutation(np.setdiff1d(candidates, night))[: max(4_000, items // 40)]
    pool = _subjects(frame, rng.permutation(np.concatenate([night, others])), minute)
    return Desk(rng, pool, _subjects(frame, burst, minute))


def _edited(frame: pl.DataFrame) -> Flags:
    """Return which rows belong to an item of two revisions; the second follows the first."""
    second = (frame["revision"] == 2).to_numpy()
    edited: Flags = second | np.append(second[1:], False)
    return edited


def _subjects(frame: pl.DataFrame, positions: Iterable[int], minute: pl.Series) -> list[Subject]:
    """Return the items whose rows stand at these positions, a second revision right after the first."""
    columns = list(Row.__dataclass_fields__)
    places = [int(position) for position in positions]
    subjects: list[Subject] = []
    ten = WINDOW // timedelta(minutes=1)
    for place, values, elapsed in zip(
        places, frame.select(columns)[places].iter_rows(), minute[places].to_list(), strict=True
    ):
        source, archive = Row(*values), Row(*values)
        if source.revision == 2:
            last = subjects[-1]
            last.positions += (place,)
            last.source.append(source)
            last.archive.append(archive)
        else:
            subjects.append(Subject((place,), elapsed // ten, [source], [archive]))
    return subjects


# Writing --------------------------------------------------------------------------------------------------

CONTRACT = """\
# What the messenger promises, from the gateway that accepts a message to the archive that keeps it.
# The built-in contract (`integrity contract show message`) with two lines more, for edits; and without its
# promise on who may write where, because this day comes without a list of members.
name: message-day
version: 1
about: A chat message, from the gateway that accepted it to the archive that keeps it. Edits are revisions.

identity: {tenant_id: text, room_id: text, message_id: text}   # a message_id alone names nothing
content:                                # what must arrive unchanged
  sender_id: text
  kind: text
  body: text
  size_bytes: integer
  revision: integer
latest_by: revision                     # an edit is a second row: only the newest one counts, on both sides
amounts: [size_bytes]                   # summed per batch, exactly

clock: {event: sent_at, processed: stored_at}
window: 10m                             # one batch
grace: 15m                              # a batch is judged this long after its end

exclude:
  - {name: typing indicators, side: source, where: {kind: [typing]}, reason: "never stored, by design"}
outcomes: {accept: [recalled, blocked]} # absent for a good reason; any other outcome explains nothing

timeliness: {within: 5s, ratio: 0.999, never_over: 60s, basis: terms of service §7}
criteria: {set: TSC-2017, completeness: PI1.3, accuracy: PI1.3, timeliness: PI1.3, validity: PI1.2}
"""

_OUTBOX = (
    "tenant_id", "room_id", "message_id", "sender_id", "kind", "body", "size_bytes", "revision", "sent_at",
)  # fmt: skip
#: In an order of its own, as archives have it.
_ARCHIVE = (
    "tenant_id", "room_id", "message_id", "revision", "sender_id", "kind", "size_bytes", "body",
    "sent_at", "stored_at",
)  # fmt: skip
_CREATE = """
CREATE TABLE outbox (
    tenant_id TEXT, room_id TEXT, message_id TEXT, sender_id TEXT, kind TEXT, body TEXT,
    size_bytes INTEGER, revision INTEGER, sent_at TEXT
);
CREATE TABLE outcomes (tenant_id TEXT, room_id TEXT, message_id TEXT, outcome TEXT, at TEXT);
"""


def _make_room(folder: Path) -> None:
    """Remove the day that lies in a folder. Refuse to touch, or to mix with, anything that is not one."""
    parts = sorted((folder / "archive").glob("*.parquet"))
    marker = folder / "faults.json"
    ours = marker.is_file() and f'"{_SCHEMA}"' in marker.read_text(encoding="utf-8", errors="replace")[:200]
    foreign = [path for path in parts if not ours or not path.name.startswith("stored-")]
    foreign += [
        path
        for path in (folder / "gateway.db", marker, folder / "message-day.yaml")
        if path.exists() and not ours
    ]
    if foreign:
        raise UsageError(f"{foreign[0]} is not part of an earlier day", "choose another directory")
    # What a reader may have left beside the database would be applied to the new one.
    leftovers = [folder / f"gateway.db{suffix}" for suffix in ("", "-wal", "-shm", "-journal")]
    for path in (*leftovers, *parts):
        path.unlink(missing_ok=True)
    (folder / "archive").mkdir(parents=True, exist_ok=True)


def _write_json(path: Path, planted: Sequence[Planted], **day: object) -> None:
    faults: dict[str, dict[str, Any]] = {}
    for each in planted:
        entry = faults.setdefault(each.fault, {"fault": each.fault, "why": each.why, "breaks": []})
        entry["breaks"].append(
            {name: value for name, value in asdict(each).items() if name not in ("fault", "why")}
        )
    document = {"schema": _SCHEMA, **day, "faults": list(faults.values())}
    path.write_text(
        json.dumps(document, ensure_ascii=False, indent=1, default=lambda value: value.isoformat()) + "\n",
        encoding="utf-8",
        newline="\n",
    )


def _write_gateway(
    path: Path, frame: pl.DataFrame, touched: Sequence[Subject], outcomes: Sequence[Outcome]
) -> int:
    """Write the outbox in the order of sending, and the outcomes. Return how many rows the outbox has."""
    replaced: dict[int, list[Row]] = {}
    for subject in touched:
        replaced.update((position, []) for position in subject.positions)
        replaced[subject.positions[0]] = subject.source
    positions = sorted(replaced, reverse=True)
    rows_written = 0
    marks = ", ".join("?" * len(_OUTBOX))
    with closing(sqlite3.connect(path)) as database:
        # A new file that nobody reads yet needs no journal; the reader finds one plain file.
        database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_CREATE}")
        for start in range(0, frame.height, _CHUNK_ROWS):
            chunk = frame.slice(start, _CHUNK_ROWS).with_columns(
                sent_at=pl.col("sent_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
            )
            rows: list[tuple[Any, ...]] = chunk.select(_OUTBOX).rows()
            for position in positions:
                if start <= position < start + _CHUNK_ROWS:
                    rows[position - start : position - start + 1] = map(_outbox_row, replaced[position])
            database.executemany(f"INSERT INTO outbox VALUES ({marks})", rows)
            rows_written += len(rows)
        ended = [(*astuple(outcome)[:4], _text(outcome.at)) for outcome in outcomes]
        database.executemany("INSERT INTO outcomes VALUES (?, ?, ?, ?, ?)", ended)
        database.commit()
    return rows_written


def _outbox_row(row: Row) -> tuple[Any, ...]:
    values = tuple(getattr(row, name) for name in _OUTBOX[:-1])
    return (*values, _text(row.sent_at) if isinstance(row.sent_at, datetime) else row.sent_at)


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}Z"


def _write_archive(folder: Path, frame: pl.DataFrame, touched: Sequence[Subject], noon: datetime) -> int:
    """Write a part file for each hour of storage. Return how many rows they hold."""
    kept = frame["stored"].to_numpy(writable=True)
    kept[[position for subject in touched for position in subject.positions]] = False
    columns = frame.select(_ARCHIVE)
    spoilt = pl.DataFrame(
        [tuple(getattr(row, name) for name in _ARCHIVE) for subject in touched for row in subject.archive],
        schema=columns.schema,
        orient="row",
    )
    hour = pl.col("stored_at").dt.truncate("1h")
    places = frame.select(hour).with_row_index("place").filter(kept)
    parts = {key[0]: part["place"] for key, part in places.partition_by("stored_at", as_dict=True).items()}
    written = 0
    for name in sorted({*parts, *spoilt.select(hour).to_series()}):
        part = columns[parts[name]] if name in parts else columns.clear()
        part = part.vstack(spoilt.filter(hour == name)).sort("stored_at", maintain_order=True)
        # The archive's writer changed its compression in the middle of the day, as writers do.
        compression: Literal["snappy", "zstd"] = "snappy" if name < noon else "zstd"
        part.write_parquet(folder / f"stored-{name:%Y-%m-%dT%H}.parquet", compression=compression)
        written += part.height
    return written


def _micros(moment: datetime) -> int:
    return _micros_of(moment - datetime(1970, 1, 1, tzinfo=UTC))


def _micros_of(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)
