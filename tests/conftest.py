"""What the tests share: small days of messages that are easy to read."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator

# As on a machine of one processor: what may wait for another thread of Polars for ever, does so here; and the tests run
# side by side anyway.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import polars as pl
import pytest

import integrity
from tests.servers import (
    Duckdb,
    Engine,
    Mariadb,
    Parquet,
    Postgres,
    Sqlite,
    certificates_read_once,
    mariadb_server,
    postgres_server,
)

START = dt.datetime(2026, 3, 2, 0, 0, tzinfo=dt.UTC)


def at(minutes: float) -> dt.datetime:
    """So many minutes into the day."""
    return START + dt.timedelta(minutes=minutes)


def message(number: int, minutes: float, **changes: object) -> dict[str, object]:
    """One message, stored two seconds after it was sent."""
    row: dict[str, object] = {
        "message_id": f"m{number}",
        "body": f"메시지 {number}",
        "size_bytes": 10 + number,
        "sent_at": at(minutes),
        "stored_at": at(minutes) + dt.timedelta(seconds=2),
    }
    return row | changes


SCHEMA = {
    "message_id": pl.String,
    "body": pl.String,
    "size_bytes": pl.Int64,
    "sent_at": pl.Datetime("us", "UTC"),
    "stored_at": pl.Datetime("us", "UTC"),
}


def frame(*rows: dict[str, object]) -> pl.DataFrame:
    """Rows as a table, also where there are none."""
    return pl.DataFrame(list(rows), schema=SCHEMA)


def promise(**changes: object) -> integrity.Contract:
    """A contract of messages in windows of ten minutes, with a grace period of five."""
    said: dict[str, object] = {
        "name": "day",
        "version": 1,
        "identity": ["message_id"],
        "content": {"body": "text", "size_bytes": "integer"},
        "amounts": ["size_bytes"],
        "clock": {"event": "sent_at", "processed": "stored_at"},
        "window": "10m",
        "grace": "5m",
        "timeliness": {"within": "5s"},
    }
    return integrity.Contract(**{k: v for k, v in (said | changes).items() if v is not None})


@pytest.fixture
def day() -> pl.DataFrame:
    """Thirty messages, one a minute."""
    return frame(*(message(n, n) for n in range(30)))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Mariadb]:
    """A real MariaDB."""
    with certificates_read_once(), mariadb_server() as server:
        yield server


@pytest.fixture(scope="session")
def engines(postgres: Postgres, mariadb: Mariadb, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Engine]:
    """Everything that rows can be put into, by name."""
    folder = tmp_path_factory.mktemp("engines")
    every: list[Engine] = [
        postgres,
        mariadb,
        Duckdb(folder / "day.duckdb"),
        Sqlite(folder / "day.sqlite"),
        Parquet(folder),
    ]
    return {engine.name: engine for engine in every}


@pytest.fixture
def _self_tested() -> None:
    """Runs of this test send planted rows through their stores, too, as all runs do outside of these tests."""


@pytest.fixture
def _quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the self-test, which takes more than half of a small run, in modules that are not about it."""
    if "_self_tested" not in request.fixturenames:
        monkeypatch.setattr("integrity.reconciliation.run_self_test", lambda *_, **__: "left out")


#: Folders whose tests are about what is done with a finding, or about where rows come from.
_NOT_ABOUT_FINDING = {"ledger", "packs", "report", "stores", "trees", "mail"}


@pytest.fixture(autouse=True)
def _quick_where_it_is_not_the_point(request: pytest.FixtureRequest) -> None:
    """Small runs, of which a test makes many, go without the self-test there."""
    if _NOT_ABOUT_FINDING & set(request.path.parts):
        request.getfixturevalue("_quick")
