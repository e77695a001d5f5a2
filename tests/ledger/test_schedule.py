"""A pipeline that runs every ten minutes, against an oracle of dictionaries and loops."""

from __future__ import annotations

import datetime as dt
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

import integrity
from integrity.jobs import Job
from integrity.ledger import Ledger, schema, verify
from integrity.ledger.history import breaks_of, last_run, standing
from integrity.ledger.log import iso
from integrity.ledger.status import status
from tests.effort import THOROUGH

TEN = dt.timedelta(minutes=10)
GRACE = dt.timedelta(minutes=5)
LOOKBACK = dt.timedelta(hours=2)
#: A month in earnest; else as much of it as a test may take.
RUNS = 4320 if THOROUGH else 50


@dataclass
class Item:
    """When it happened, since when the source shows it and until when, and since when the destination does."""

    id: str
    event: dt.datetime
    shown: dt.datetime
    hidden: dt.datetime | None
    kept: dt.datetime | None


def made(rng: random.Random, start: dt.datetime, runs: int) -> list[Item]:
    items = []
    for n in range(runs * 3):
        event = start + dt.timedelta(seconds=rng.randrange(int(runs * TEN.total_seconds())))
        shown, hidden, kept = event, None, event + dt.timedelta(seconds=rng.randrange(240))
        fate = rng.random()
        if fate < 0.04:  # late to the destination, by up to three hours
            kept = event + dt.timedelta(minutes=rng.randrange(20, 180))
        elif fate < 0.06:
            kept = None
        elif fate < 0.09:  # late in the source
            shown = event + dt.timedelta(minutes=rng.randrange(20, 100))
            kept = shown
        elif fate < 0.10:  # it never arrives, and then the source forgets it
            kept, hidden = None, event + dt.timedelta(minutes=rng.randrange(40, 100))
        items.append(Item(f"item-{n}", event, shown, hidden, kept))
    return items


@dataclass
class Oracle:
    """What should be on record after each run, by brute force."""

    start: dt.datetime
    first: dict[dt.datetime, str] = field(default_factory=dict)
    latest: dict[dt.datetime, tuple[frozenset[str], frozenset[str]]] = field(default_factory=dict)
    revisions: dict[dt.datetime, int] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    watermark: dt.datetime | None = None

    def run(self, now: dt.datetime, items: list[Item]) -> None:
        end = floor(now - GRACE)
        since = self.start if self.watermark is None else max(self.start, floor(self.watermark - LOOKBACK))
        window = since
        source = {i.id: i for i in items if i.shown <= now and (i.hidden is None or now < i.hidden)}
        destination = {i.id: i for i in items if i.kept is not None and i.kept <= now}
        while window < end:
            here = frozenset(i.id for i in source.values() if window <= i.event < window + TEN)
            there = frozenset(i.id for i in destination.values() if window <= i.event < window + TEN)
            if here or there:
                self.first.setdefault(window, "pass" if here == there else "fail")
                if self.latest.get(window) != (here, there):
                    self.revisions[window] = self.revisions.get(window, -1) + 1
                self.latest[window] = (here, there)
                for name in here - there:
                    self.lost[name] = "open"
            window += TEN
        for name, state in self.lost.items():
            if state == "open":
                if name in destination:
                    self.lost[name] = "healed"
                elif name not in source:
                    self.lost[name] = "withdrawn"
        self.watermark = max(end, self.watermark or self.start)


def floor(moment: dt.datetime) -> dt.datetime:
    return moment - (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) % TEN


def write(folder: Path, items: list[Item], now: dt.datetime) -> None:
    source = [
        (i.id, i.event) for i in items if i.shown <= now and (i.hidden is None or now < i.hidden) and i.event <= now
    ]
    destination = [(i.id, i.event) for i in items if i.kept is not None and i.kept <= now]
    for name, rows in (("source", source), ("destination", destination)):
        schema = {"id": pl.String, "at": pl.Datetime("us", "UTC")}
        pl.DataFrame(rows, schema=schema, orient="row").write_parquet(folder / f"{name}.parquet")


def test_a_schedule_of_ten_minutes_with_late_data_missed_runs_and_a_clock_that_goes_back(tmp_path: Path) -> None:
    rng, start = random.Random(7), dt.datetime(2026, 10, 24, 20, tzinfo=dt.UTC)
    items, oracle = made(rng, start, RUNS), Oracle(start)
    promise = integrity.Contract(
        name="notes", version=1, identity=["id"], clock={"event": "at"}, window="10m", grace="5m"
    )
    path = tmp_path / "notes.yaml"
    path.write_text(promise.to_yaml(), encoding="utf-8")
    url = f"sqlite:///{tmp_path}/ledger.db"
    job = Job(
        contract=str(path),
        source=str(tmp_path / "source.parquet"),
        destination=str(tmp_path / "destination.parquet"),
        ledger=url,
        since=start.isoformat(),
        lookback="2h",
        every="10m",
    )
    moments = [start + n * TEN + dt.timedelta(minutes=6) for n in range(1, RUNS) if rng.random() > 0.1]
    back = len(moments) // 2
    moments = [*moments[:back], moments[back - 1] - dt.timedelta(minutes=30), *moments[back:]]
    recorded = 0
    for now in moments:
        write(tmp_path, items, now)
        job.run(as_of=now)
        oracle.run(now, items)
        recorded += 1
    book = Ledger.open(url)
    with book.database.reading() as connection:
        stands = standing(connection, "notes", "production")
        found = breaks_of(connection, "notes", "production")
        last = last_run(connection, "notes", "production")
    judged = stands.filter(pl.col("batch_start") < iso(floor(moments[-1] - GRACE)))
    assert dict(judged.select("batch_start", "verdict").iter_rows()) == {
        iso(window): verdict for window, verdict in oracle.first.items()
    }
    assert dict(judged.select("batch_start", "revisions").iter_rows()) == {
        iso(window): revisions for window, revisions in oracle.revisions.items()
    }
    assert sum(oracle.revisions.values()) > 3
    assert oracle.watermark is not None
    assert last is not None
    assert last.watermark == iso(oracle.watermark)
    lost = found.filter(kind="lost")
    states = {}
    with book.database.reading() as connection:
        for run, number, state in lost.select("run", "number", "state").iter_rows():
            secrets = schema.secrets
            query = secrets.select().where(secrets.c.run == run, secrets.c.scope == "break", secrets.c.number == number)
            states[json.loads(connection.execute(query).one().body)["identity"]["id"]] = state
    assert states == oracle.lost
    assert set(states.values()) == {"open", "healed", "withdrawn"}
    verified = verify(url)
    assert verified.is_sound, verified.headline()
    assert verified.runs == recorded
    told = status(url, period=f"{start.isoformat()}/{(moments[-1] + TEN).isoformat()}", now=moments[-1])
    (each,) = told.pipelines
    assert each.windows.get("missed", 0) == 0
    assert each.windows["pass"] + each.windows["fail"] == len(oracle.first)
