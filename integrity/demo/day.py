"""What is a demo day, and how is one made?"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import ClassVar, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from integrity.demo.catalogue import plant
from integrity.demo.desk import Planted, Subject, open_desk
from integrity.demo.messages import ended_elsewhere, messages
from integrity.demo.score import Accusation
from integrity.demo.writing import CONTRACT, SCHEMA, make_room, write_archive, write_gateway, write_json
from integrity.demo.wrong_grants import WAYS, Act, granted, write_grants
from integrity.errors import StoreError, UsageError

__all__ = ["READ_AFTER", "SEOUL", "Day", "generate_day"]

#: Below this a day has too few messages for every fault to find one of its own.
MINIMUM_ITEMS = 2_000

SEOUL = ZoneInfo("Asia/Seoul")
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
#: What names a message.
Item: TypeAlias = tuple[str | None, str | None, str | None]
#: As the contract calls them.
MEMBERS = ("member_id", "room_id", "joined_at", "left_at", "entered_at")

#: With the contract's grace of 15 minutes, only the last window of the day is still open then.
READ_AFTER = timedelta(minutes=12)


@dataclass(frozen=True)
class Day:
    """A generated day: where it lies, when it is read, and what must be found in it.

    Attributes:
        directory: The folder of everything below, and of ``faults.json``: what was planted, for other tools.
        source: The URL of the gateway's outbox.
        destination: The glob of the archive's part files.
        outcomes: The URL of the table that says which items ended elsewhere.
        grants: The path of the list of who was a member of which room, since when until when.
        contract: The path of the contract, ``message-day.yaml``.
        start: The first moment of the day, a Seoul midnight, in UTC.
        end: The first moment after it.
        as_of: When the sides count as read: the last window is still open then.
        items: How many messages people and services sent, typing indicators and edits not counted.
        counts: ``outbox_rows`` and ``archive_rows`` as written; and as they would be without any fault,
            ``typing``, ``edited``, ``accounted`` (recalled or blocked by policy) and ``in_flight``.
        planted: One entry for every break that a reconciliation must find. It must find no other.
    """

    accusation: ClassVar[type[Accusation]] = Accusation
    #: Whether the values that differ say something to somebody who looks at them.
    telling: ClassVar[bool] = True

    directory: Path
    source: str
    destination: str
    outcomes: str
    grants: str
    contract: Path
    start: datetime
    end: datetime
    as_of: datetime
    items: int
    counts: Mapping[str, int]
    planted: tuple[Planted, ...]


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
        raise UsageError(f"a day of {items} items is too small to hold every fault", f"ask for {MINIMUM_ITEMS} or more")
    folder = Path(directory)
    start, end = (
        datetime.combine(midnight, time(), SEOUL).astimezone(UTC) for midnight in (day, day + timedelta(days=1))
    )
    as_of = end + READ_AFTER

    # Messages and faults draw their chance apart, so that a day is the same with and without faults.
    frame = messages(np.random.default_rng([seed, 1]), items, start, end, weekend=day.weekday() >= 5)
    outcomes = ended_elsewhere(frame, start)
    planted: tuple[Planted, ...] = ()
    touched: list[Subject] = []
    guests: dict[int, Item] = {}
    if faults:
        desk = open_desk(np.random.default_rng([seed, 2]), frame, items, start, end)
        planted = tuple(plant(desk, items))
        touched = desk.touched
        frame, guests = _guests(frame, desk.pool, max(1, items // 100_000) * WAYS)
        outcomes += desk.outcomes

    grants, wrong = granted(
        Random(f"grants {seed}"),
        _acts(frame, touched, guests, start, end),
        lambda act: act.item is not None,
        start,
        max(1, items // 100_000),
        faults,
        entered=True,
    )
    planted += tuple(Planted(each.fault, each.why, "unauthorized", *each.item) for each in wrong if each.item)
    contract = folder / "message-day.yaml"
    try:
        make_room(folder)
        # First, because it is also what tells a later call that the folder is a day and may be replaced.
        write_json(folder / "faults.json", planted, SCHEMA, seed=seed, items=items, day=day, as_of=as_of)
        contract.write_text(CONTRACT, encoding="utf-8", newline="\n")
        write_grants(folder / "members.csv", MEMBERS, grants)
        outbox_rows = write_gateway(folder / "gateway.db", frame, touched, outcomes)
        archive_rows = write_archive(folder / "archive", frame, touched, start + timedelta(hours=12))
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"a day cannot be written to {folder}: {error}", "choose another directory") from error
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
        (folder / "members.csv").as_posix(),
        contract,
        start,
        end,
        as_of,
        items,
        counts,
        planted,
    )


def _guests(frame: pl.DataFrame, pool: list[Subject], count: int) -> tuple[pl.DataFrame, dict[int, Item]]:
    """Let some healthy messages have been written by guests, who write nothing else; return which ones."""
    chosen = [subject for subject in pool if subject.source[0].kind != "system"][:count]
    places = [subject.positions[0] for subject in chosen]
    names = [f"u9{number:05d}" for number in range(len(chosen))]
    written = frame["sender_id"].scatter(places, names)
    rows = [subject.source[0] for subject in chosen]
    items = {place: (row.tenant_id, row.room_id, row.message_id) for place, row in zip(places, rows, strict=True)}
    return frame.with_columns(written), items


def _acts(
    frame: pl.DataFrame, touched: list[Subject], guests: Mapping[int, Item], start: datetime, end: datetime
) -> list[Act[Item | None]]:
    """Who wrote in which room and when, as the gateway has it in the end; indicators and the service left out."""
    spoilt = {position for subject in touched for position in subject.positions}
    people = frame.with_row_index("position").filter(~pl.col("kind").is_in(["typing", "system"]))
    columns = ("position", "sender_id", "room_id", "sent_at")
    acts: list[Act[Item | None]] = [
        Act(sender, room, sent, guests.get(position))
        for position, sender, room, sent in people.select(columns).iter_rows()
        if position not in spoilt
    ]
    for subject in touched:  # whose times may be wrong by now: their writers are covered all day
        for row in subject.source:
            if row.room_id is not None and row.kind not in ("typing", "system"):
                acts += [Act(row.sender_id, row.room_id, at, None) for at in (start - 2 * _DAY, end + 2 * _DAY)]
    return acts
