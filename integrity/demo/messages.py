"""What do people write on such a day, and when does the archive have it?

The messages of twelve tenants come as one frame, healthy, in the order of sending. Faults come later.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from integrity.demo.desk import WINDOW, Outcome

__all__ = ["TENANTS", "ended_elsewhere", "messages"]

#: What the archive stored in the day's last minutes lies in a part file that its writer has not closed yet.
IN_FLIGHT = timedelta(minutes=4)

#: How many texts are made at a time.
_CHUNK_ROWS = 50_000

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


def messages(rng: np.random.Generator, items: int, start: datetime, end: datetime, *, weekend: bool) -> pl.DataFrame:
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
        written=pl.concat_str(pl.lit(openers), pl.lit(topics), pl.lit(words(_ENDINGS)), pl.lit(words(_TAILS))),
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


def ended_elsewhere(frame: pl.DataFrame, start: datetime) -> list[Outcome]:
    """Return where the items ended that the archive will never get, and some of the day before."""
    ended = frame.filter(pl.col("ended").is_not_null())
    rows = [
        Outcome(tenant, room, message, outcome, sent + timedelta(seconds=1 + place * 7 % 540))
        for place, (tenant, room, message, outcome, sent) in enumerate(
            ended.select("tenant_id", "room_id", "message_id", "ended", "sent_at").iter_rows()
        )
    ]
    yesterday = [
        Outcome(tenant, "r00000", f"{4_209_990 + place:09d}", "recalled", start + timedelta(minutes=1 + place))
        for place, tenant in enumerate(TENANTS[:5])
    ]
    return yesterday + rows


def _micros(moment: datetime) -> int:
    return _micros_of(moment - datetime(1970, 1, 1, tzinfo=UTC))


def _micros_of(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)
