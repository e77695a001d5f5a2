"""How do the gateway, the archive and the contract of a day lie on disk?"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, astuple
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from integrity.demo.desk import Outcome, Row, Subject
from integrity.demo.shelf import PlantedBreak
from integrity.errors import UsageError

__all__ = [
    "CONTRACT",
    "SCHEMA",
    "holds_day",
    "instant",
    "make_room",
    "write_archive",
    "write_csv",
    "write_gateway",
    "write_json",
]

#: Tells a later call that a folder holds a day of messages.
SCHEMA: Final = "integrity.demo/1"
#: How many rows of the outbox are written at a time.
_CHUNK_ROWS = 50_000

CONTRACT = """\
# What the messenger promises, from the gateway that accepts a message to the archive that keeps it.
# The built-in contract (`integrity contract show message`) with a few lines more: for edits, and for when the
# membership of a room was entered.
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
authorization:                          # who writes in a room was a member of it at that moment
  actor: sender_id
  object: room_id
  grants: {actor: member_id, object: room_id, from: joined_at, until: left_at, recorded_at: entered_at}
  exempt: [{where: {kind: [system]}, reason: written by the service itself}]
validity:                               # Great Expectations, in its own words
  - expect_column_values_to_be_in_set: {column: kind, value_set: [text, sticker, image, file, system]}
  - expect_column_values_to_be_between: {column: size_bytes, min_value: 0}
criteria:
  {set: TSC-2017, completeness: PI1.3, accuracy: PI1.3, timeliness: PI1.3, authorization: PI1.3, validity: PI1.2}
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


def holds_day(folder: Path, schema: str) -> bool:
    """Whether a day of this sort, and not something of somebody's own, lies in a folder."""
    marker = folder / "faults.json"
    return marker.is_file() and f'"{schema}"' in marker.read_text(encoding="utf-8", errors="replace")[:200]


def make_room(folder: Path) -> None:
    """Remove the day that lies in a folder. Refuse to touch, or to mix with, anything that is not one."""
    parts = sorted((folder / "archive").glob("*.parquet"))
    ours = holds_day(folder, SCHEMA)
    foreign = [path for path in parts if not ours or not path.name.startswith("stored-")]
    foreign += [
        folder / name
        for name in ("gateway.db", "faults.json", "message-day.yaml", "members.csv")
        if (folder / name).exists() and not ours
    ]
    if foreign:
        raise UsageError(f"{foreign[0]} is not part of an earlier day", "choose another directory")
    # What a reader may have left beside the database would be applied to the new one.
    leftovers = [folder / f"gateway.db{suffix}" for suffix in ("", "-wal", "-shm", "-journal")]
    for path in (*leftovers, *parts):
        path.unlink(missing_ok=True)
    (folder / "archive").mkdir(parents=True, exist_ok=True)


def write_json(path: Path, planted: Sequence[PlantedBreak], schema: str, **day: object) -> None:
    """Write what was planted, fault by fault, for tools that do not speak Python."""
    faults: dict[str, dict[str, Any]] = {}
    for each in planted:
        entry = faults.setdefault(each.fault, {"fault": each.fault, "why": each.why, "breaks": []})
        entry["breaks"].append({name: value for name, value in asdict(each).items() if name not in ("fault", "why")})
    document = {"schema": schema, **day, "faults": list(faults.values())}
    path.write_text(
        json.dumps(document, ensure_ascii=False, indent=1, default=lambda value: value.isoformat()) + "\n",
        encoding="utf-8",
        newline="\n",
    )


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table of text."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(header)
        lines.writerows(rows)


def write_gateway(path: Path, frame: pl.DataFrame, touched: Sequence[Subject], outcomes: Sequence[Outcome]) -> int:
    """Write the outbox in the order of sending, and the outcomes. Return how many rows the outbox has."""
    replaced: dict[int, list[Row]] = {}
    for subject in touched:
        replaced.update((position, []) for position in subject.positions)
        replaced[subject.positions[0]] = subject.source
    positions = sorted(replaced, reverse=True)
    rows_written = 0
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
            database.executemany("INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            rows_written += len(rows)
        ended = [(*astuple(outcome)[:4], instant(outcome.at)) for outcome in outcomes]
        database.executemany("INSERT INTO outcomes VALUES (?, ?, ?, ?, ?)", ended)
        database.commit()
    return rows_written


def _outbox_row(row: Row) -> tuple[Any, ...]:
    values = tuple(getattr(row, name) for name in _OUTBOX[:-1])
    return (*values, instant(row.sent_at) if isinstance(row.sent_at, datetime) else row.sent_at)


def instant(moment: datetime) -> str:
    """Write a moment of UTC with its microseconds."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}Z"


def write_archive(folder: Path, frame: pl.DataFrame, touched: Sequence[Subject], noon: datetime) -> int:
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
