"""A day of chat messages in Parquet, a source and several destinations, with a list of what was planted.

Every value is a function of the row's number alone, so that the same number of rows is the same data on every machine
and in any pieces; nothing larger than one row group is ever in memory.

Besides the planted faults a destination holds the same messages in another order: that in which they were stored, up to
two seconds after they were sent.

    python benchmarks/data.py FOLDER ROWS [CASE ...]    writes source.parquet, and CASE.parquet and CASE.csv (the list)
"""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

CASES = ("identical", "scattered", "lost-batch")
ROW_GROUP = 250_000
DAY = np.datetime64("2025-03-03T00:00:00", "us").astype(np.int64)  # a Monday, in UTC: it begins at 09:00 in Seoul
DAY_US = 86_400_000_000
#: How busy each hour is, UTC: bursts at 00 and 04, which are 09:00 and 13:00 in Seoul.
HOURS = (9, 7, 6, 4, 8, 6, 6, 6, 5, 4, 3, 3, 2, 2, 1.5, 1, 0.5, 0.3, 0.2, 0.2, 0.3, 0.5, 1, 3)
#: The batch that the case "lost-batch" loses: a busy one, 13:00 in Seoul.
LOST_BATCH = (DAY + 4 * 3_600_000_000, DAY + 4 * 3_600_000_000 + 600_000_000)
#: One row of each so many is faulty in the case "scattered", by turns in each of these ways.
SCATTER = 1000
FAULTS = ("lost", "corrupt", "duplicate", "extra")
CORRUPTED = ("body", "sender_id", "kind", "size_bytes", "sent_at")

KINDS = pa.array(["text"] * 44 + ["sticker"] * 3 + ["image"] * 2 + ["file"])
PHRASES = pa.array([
    "넵 확인했습니다!", "회의 자료 공유드립니다.", "오늘 오후 세 시에 잠깐 통화 가능하실까요?",
    "고생 많으셨습니다 🙏", "내일 점심 같이 드실 분?", "견적서 첨부했으니 검토 부탁드려요.", "저는 좋아요",
    "배포 끝났고 지표 정상입니다.", "죄송하지만 조금 늦을 것 같아요 ㅠㅠ", "고객사에서 다시 문의가 왔습니다.",
    "그건 지난주에 이미 처리했어요.", "잠시만요, 확인해 보겠습니다.", "수정본 다시 올려 드릴게요.",
    "이번 주 금요일까지 마감입니다.", "ㅋㅋㅋㅋ 알겠습니다", "택배 도착했다고 합니다.",
    "회식 장소는 강남역 근처로 정했어요.", "로그 보니까 타임아웃이네요.", "담당자분 연락처 알 수 있을까요?",
    "네, 그렇게 진행하겠습니다.", "Looks good to me.", "Could you review the pull request before lunch?",
    "Thanks, merged!", "The build is green again.", "I will be ten minutes late, please start without me.",
    "Let's move this to tomorrow's stand-up.", "Invoice attached, see page 2.", "Can we reschedule to Thursday?",
    "The customer confirmed the delivery date.", "On my way", "Who owns this dashboard now?", "Done. Anything else?",
    "Rolling back, error rate is above 2 %.", "Please keep the thread on topic :)", "Welcome to the team! 🎉",
    "Numbers for Q3 are in the shared sheet.", "+1", "I don't have access to that folder.",
    "Good catch, fixed in the next release.", "Reminder: fire drill at 16:00 on floor 7.",
])  # fmt: skip


def draw(name: str, number: np.ndarray) -> np.ndarray:
    """Return for each row number 64 bits that look random (SplitMix64), others for each name, the same everywhere."""
    stream = np.uint64(int.from_bytes(name.encode().ljust(8)[:8], "big"))
    z = (number + stream) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def pick(name: str, number: np.ndarray, size: int) -> np.ndarray:
    """Draw a number below ``size`` for each row."""
    return (draw(name, number) % np.uint64(size)).astype(np.int64)


def share(name: str, number: np.ndarray) -> np.ndarray:
    """Draw a number from [0, 1) for each row."""
    return (draw(name, number) >> np.uint64(11)).astype(np.float64) / 2**53


def text(*parts: str | np.ndarray | pa.Array | pa.ChunkedArray, separator: str = "") -> pa.Array:
    columns = [pc.cast(pa.array(part), pa.string()) if isinstance(part, np.ndarray) else part for part in parts]
    return pc.binary_join_element_wise(*columns, separator)


def message_ids(sent_at: np.ndarray, number: np.ndarray, extra: bool) -> pa.Array:
    """Return ids as messengers make them: milliseconds, then a counter. Its last bit keeps extra messages apart."""
    counter = (number.astype(np.int64) & 0x1FFFFF) << 1 | int(extra)
    return text((sent_at // 1000) << 22 | counter)


def messages(number: np.ndarray, rows: int) -> pa.Table:
    """Return the messages of these numbers, in the order in which they were sent."""
    shares = np.cumsum((0, *HOURS)) / sum(HOURS)
    when = np.interp((number + share("time", number)) / rows, shares, np.arange(len(shares)) / (len(shares) - 1))
    sent_at = DAY + np.floor(when * DAY_US).astype(np.int64)
    tenant = (200 * share("tenant", number) ** 2).astype(np.int64)  # a few tenants send most
    body = text(
        PHRASES.take(pick("first", number, len(PHRASES))),
        PHRASES.take(pick("second", number, len(PHRASES))),
        text("#", pick("ticket", number, 10_000)),
        PHRASES.take(pick("third", number, len(PHRASES))),
        separator=" ",
    )
    return pa.table({
        "tenant_id": text("tenant-", tenant),
        "message_id": message_ids(sent_at, number, extra=False),
        "sent_at": pa.array(sent_at, pa.timestamp("us", "UTC")),
        "sender_id": text("user-", tenant * 1000 + pick("sender", number, 400)),
        "kind": KINDS.take(pick("kind", number, len(KINDS))),
        "body": body,
        "size_bytes": pc.cast(pc.binary_length(body), pa.int64()),
    })  # fmt: skip


def faults(case: str, sent_at: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Return for each row the index in FAULTS of what is wrong with it, or -1."""
    if case == "lost-batch":
        return np.where((sent_at >= LOST_BATCH[0]) & (sent_at < LOST_BATCH[1]), FAULTS.index("lost"), -1)
    if case == "scattered":
        block = number // np.uint64(SCATTER)
        faulty = number % np.uint64(SCATTER) == draw("fault", block) % np.uint64(SCATTER)
        return np.where(faulty, (block % np.uint64(len(FAULTS))).astype(np.int64), -1)
    return np.full(len(number), -1)


def corrupt(table: pa.Table, where: np.ndarray, number: np.ndarray) -> pa.Table:
    """Change one column of each of these rows, by as little as goes unnoticed: a blank, a digit, a microsecond."""
    turn = (number // np.uint64(SCATTER * len(FAULTS)) % np.uint64(len(CORRUPTED))).astype(np.int64)
    sent_at = table["sent_at"].cast(pa.int64())
    changed = {
        "body": text(table["body"], " "),
        "sender_id": text(table["sender_id"], "0"),
        "kind": text(table["kind"], "s"),
        "size_bytes": pc.add(table["size_bytes"], 1),
        "sent_at": pc.add(sent_at, 1).cast(table["sent_at"].type),
    }
    for index, name in enumerate(CORRUPTED):
        values = pc.if_else(pa.array(where & (turn == index)), changed[name], table[name])
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table


def arrived(case: str, sent: pa.Table, number: np.ndarray) -> tuple[pa.Table, pa.Table]:
    """Return what the destination holds of these messages, and what was planted: kind, tenant_id, message_id."""
    sent_at = sent["sent_at"].cast(pa.int64()).to_numpy()
    fault = faults(case, sent_at, number)
    lost, corrupted, duplicate, extra = (fault == index for index in range(len(FAULTS)))
    extras = sent.filter(extra).set_column(1, "message_id", message_ids(sent_at[extra], number[extra], extra=True))
    delay = pick("delay", number, 2_000_000)
    stored_at = np.concatenate([(sent_at + delay)[~lost], sent_at[duplicate] + 30_000_000, (sent_at + delay)[extra]])
    held = pa.concat_tables([corrupt(sent, corrupted, number).filter(~lost), sent.filter(duplicate), extras])
    planted = pa.concat_tables(
        rows.select(["tenant_id", "message_id"]).add_column(0, "kind", pa.array([kind] * len(rows), pa.string()))
        for kind, rows in zip(FAULTS, (*map(sent.filter, (lost, corrupted, duplicate)), extras), strict=True)
    )
    return held.take(np.argsort(stored_at, kind="stable")), planted


def pieces(rows: int) -> Iterator[tuple[np.ndarray, pa.Table]]:
    for start in range(0, rows, ROW_GROUP):
        number = np.arange(start, min(start + ROW_GROUP, rows), dtype=np.uint64)
        yield number, messages(number, rows)


def write(folder: Path, rows: int, cases: tuple[str, ...] = CASES) -> None:
    """Write the source and the destination of each case into a new folder, all or nothing."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with ExitStack() as stack:
        writers: dict[str, pq.ParquetWriter] = {}

        def append(name: str, table: pa.Table) -> None:
            if name not in writers:
                path = partial / f"{name}.parquet"
                writers[name] = stack.enter_context(pq.ParquetWriter(path, table.schema, compression="zstd"))
            writers[name].write_table(table)  # a row group of its own, as it is smaller than pyarrow's largest

        lists = {}
        for case in cases:
            lists[case] = csv.writer(stack.enter_context((partial / f"{case}.csv").open("w", newline="")))
            lists[case].writerow(["kind", "tenant_id", "message_id"])
        for number, sent in pieces(rows):
            append("source", sent)
            for case in cases:
                held, planted = arrived(case, sent, number)
                append(case, held)
                lists[case].writerows(zip(*(column.to_pylist() for column in planted.columns), strict=True))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), tuple(sys.argv[3:]) or CASES)
