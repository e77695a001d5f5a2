"""What does a quarter on record look like?

A shop's orders, week after week from January to March 2026, from its database (SQLite) to its warehouse (SQLite), and
what becomes of them in a ledger: runs that pass, lost orders that turn up a week later, a few that do not, a run that
was missed, a contract that changes, decisions about breaks, a checkpoint that an auditor holds, and a sample of runs.
Moments are those of that quarter, as a clock told them then; nothing is judged here, and nothing is planted in the
ledger: the library ran over the data of each week.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Connection, connect
from typing import Final

from integrity.contracts import Contract
from integrity.errors import StoreError
from integrity.jobs import Job
from integrity.ledger import Ledger
from integrity.ledger.anchors import send
from integrity.ledger.casework import Disposition, confirm, dispose, propose
from integrity.ledger.changing import approve
from integrity.ledger.listing import breaks
from integrity.ledger.samples import conclude_on_record, draw_runs
from integrity.result import Result
from integrity.search import Progress, Quiet
from integrity.tracing import draw_items, trace_items

__all__ = ["Quarter", "generate_quarter"]

START: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
END: Final = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
_WEEK: Final = dt.timedelta(days=7)
_A_DAY: Final = 12
#: The run that nobody made: the machine was off.
_MISSED: Final = 5
#: From this week on the contract has its second version.
_SECOND: Final = 7
_TABLE: Final = "CREATE TABLE orders (order_id TEXT, customer TEXT, cents INTEGER, placed_at TEXT{more})"
_JOB: Final = """\
# Every week: judge what has closed since, look a week back, and say what became of earlier breaks.
name: orders
contract: {contract}
source: {source}
destination: {destination}
ledger: {ledger}
every: 7d
lookback: 7d
since: 2026-01-01T00:00:00Z
approved: true
separate: [author, approver]
"""
_CONTRACT: Final = {
    "name": "orders",
    "version": 1,
    "about": "An order, from the shop that took it to the warehouse that ships it.",
    "identity": ["order_id"],
    "content": {"customer": "text", "cents": "integer"},
    "amounts": ["cents"],
    "clock": {"event": "placed_at", "processed": "loaded_at"},
    "window": "1d",
    "grace": "1h",
    "timeliness": {"within": "15m", "ratio": 0.99, "never_over": "8d", "basis": "agreement with the warehouse §3"},
    "seal": "merkle",
    "criteria": {"set": "TSC-2017", "completeness": "PI1.3", "accuracy": "PI1.3", "timeliness": "PI1.3"},
}


@dataclass(frozen=True)
class Quarter:
    """Where everything of the quarter is.

    Attributes:
        directory: All of it.
        ledger: The ledger's URL.
        job: The job file that ran every week.
        source: The shop's orders.
        destination: The warehouse's.
        results: What each run found.
    """

    directory: Path
    ledger: str
    job: Path
    source: str
    destination: str
    results: tuple[Result, ...] = field(repr=False)


class _Clock:
    """Tells the moments of the quarter, a second later each time it is asked."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> dt.datetime:
        self.now += dt.timedelta(seconds=1)
        return self.now


def generate_quarter(
    directory: Path, *, seed: int = 7, operator: str = "scheduler", progress: Progress | None = None
) -> Quarter:
    """Write a quarter of orders week by week, and run the job that reconciles them at the end of each.

    Args:
        directory: Where; it is made.
        seed: The same seed gives the same orders.
        operator: Who runs the job, as the ledger says.
        progress: Hears which week it is.

    Raises:
        StoreError: there is a quarter already.
    """
    progress = progress or Quiet()
    if (directory / "ledger.db").exists():
        raise StoreError(f"there is a ledger in {directory} already", "name another folder, or remove this one")
    directory.mkdir(parents=True, exist_ok=True)
    shop, warehouse = directory / "shop.db", directory / "warehouse.db"
    quarter = Quarter(
        directory,
        f"sqlite:///{directory}/ledger.db",
        directory / "orders-job.yaml",
        f"sqlite:///{shop}#orders",
        f"sqlite:///{warehouse}#orders",
        (),
    )
    clock, rng = _Clock(), random.Random(seed)
    book = Ledger.open(quarter.ledger, origin="shop.example/integrity", operator=operator, clock=clock)
    _publish(quarter, book, 1)
    results = []
    with closing(connect(shop)) as source, closing(connect(warehouse)) as destination:
        source.execute(_TABLE.format(more=""))
        destination.execute(_TABLE.format(more=", loaded_at TEXT"))
        waiting: list[tuple[str, str, int, str, str]] = []
        for week, begins in enumerate(_weeks()):
            progress.step(f"week {week + 1} of a quarter of orders")
            waiting = _trade(source, destination, rng, week, begins, waiting)
            clock.now = max(clock.now, min(begins + _WEEK, END) + dt.timedelta(hours=2))
            if week == _SECOND:
                _publish(quarter, book, 2)
            if week != _MISSED:
                results.append(Job.from_yaml(quarter.job).run(as_of=clock.now, ledger=book))
            if week % 4 == 3:
                send(book, str(directory / "checkpoints"), party="auditor@example.org")
    _decided(quarter, book)
    return Quarter(directory, quarter.ledger, quarter.job, quarter.source, quarter.destination, tuple(results))


def _weeks() -> Iterator[dt.datetime]:
    begins = START
    while begins < END:
        yield begins
        begins += _WEEK


def _publish(quarter: Quarter, book: Ledger, version: int) -> None:
    """Write a version of the contract and of the job, and let somebody approve it."""
    told = _CONTRACT | {"version": version}
    if version > 1:
        told["timeliness"] = {"within": "10m", "ratio": 0.99, "never_over": "8d", "basis": "agreement of 2026-02 §3"}
    contract = Contract.from_dict(told)
    path = quarter.directory / f"orders-{version}.yaml"
    path.write_text(contract.to_yaml(), encoding="utf-8")
    names = {"source": quarter.source, "destination": quarter.destination, "ledger": quarter.ledger}
    quarter.job.write_text(_JOB.format(contract=path, **names), encoding="utf-8")
    approve(book, contract, approver="lee", ticket=f"CHG-{100 + version}", author="park")


def _trade(
    source: Connection,
    destination: Connection,
    rng: random.Random,
    week: int,
    begins: dt.datetime,
    waiting: list[tuple[str, str, int, str, str]],
) -> list[tuple[str, str, int, str, str]]:
    """Write a week's orders on both sides, and what had been waiting; return what is still on its way."""
    kept, late = list(waiting), []
    taken = []
    for day in range(7):
        start = begins + dt.timedelta(days=day)
        for number in range(_A_DAY if start < END else 0):
            placed = start + dt.timedelta(seconds=rng.randrange(86_400))
            loaded = placed + dt.timedelta(seconds=rng.randrange(5, 400))
            name = f"{week:02}{day}{number:02}"
            row = (f"o-{name}", rng.choice(["acme", "baram", "maru"]), rng.randrange(100, 90_000), _iso(placed))
            taken.append(row)
            fate = (week, day, number)
            if fate in _LATE:
                late.append((*row, _iso(begins + _WEEK + dt.timedelta(hours=3))))
            elif fate in _ALTERED:
                kept.append((row[0], row[1], row[2] // 10, row[3], _iso(loaded)))
            elif fate not in _LOST:
                kept += [(*row, _iso(loaded))] * (2 if fate in _TWICE else 1)
    source.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", taken)
    destination.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", kept)
    source.commit()
    destination.commit()
    return late


#: What befell whom: the week, the day and the number of the order.
_LATE: Final = {(2, 3, 4), (2, 3, 5), (2, 4, 0), (9, 1, 1)}
_LOST: Final = {(3, 0, 2), (6, 5, 7), (11, 2, 3)}
_ALTERED: Final = {(4, 2, 6), (10, 6, 1)}
_TWICE: Final = {(8, 3, 3)}


def _decided(quarter: Quarter, book: Ledger) -> None:
    """Decide about some of the breaks, confirm one decision, leave others, and draw a sample of runs."""
    still = breaks(quarter.ledger, state="open").sort("batch_start")
    named = {kind: still.filter(still["kind"] == kind)["id"].to_list() for kind in ("lost", "corrupt", "duplicate")}
    propose(
        book,
        named["lost"][:1],
        Disposition.ACCEPTED,
        reason="the customer withdrew the order before it was packed",
        reference="INC-31",
        control="withdrawn orders are counted against refunds each month",
        by="kim",
    )
    confirm(book, named["lost"][:1], by="lee")
    dispose(
        book,
        named["corrupt"][:1],
        Disposition.CORRECTED,
        reason="price written anew from the shop",
        reference="INC-32",
        by="kim",
    )
    propose(
        book,
        named["duplicate"],
        Disposition.FALSE_POSITIVE,
        reason="the second row is a split delivery",
        reference="INC-35",
        by="kim",
    )
    drawn = draw_runs(book, since=START, until=END, seed="shop.example 2026 Q1", tolerable=0.1, risk=0.1, by="han")
    conclude_on_record(book, drawn.leaf, 0, by="han", remark="each traced to the night's job log")
    sides = (quarter.directory / "orders-2.yaml", quarter.source, quarter.destination)
    seed, now = "shop.example 2026 Q1, orders", book.clock()
    few = draw_items(book, *sides, seed=seed, tolerable=0.1, risk=0.1, by="han", since=START, until=END, as_of=now)
    traced = trace_items(book, few.leaf, *sides, as_of=now)
    agrees = traced.items["agrees"].to_list()
    untold = few.sample.size - agrees.count(True) - agrees.count(False)
    conclude_on_record(
        book, few.leaf, agrees.count(False), not_tested=untold, by="han", remark=traced.headline().split(": ", 1)[1]
    )


def _iso(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
