"""What a person at a prompt gets wrong is a sentence, not an AttributeError."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import integrity
from integrity.errors import UsageError
from integrity.ledger import Ledger, verify
from integrity.ledger.cases import ageing, trace
from integrity.ledger.listing import breaks, run_of, runs
from integrity.ledger.recorded import recorded
from integrity.ledger.status import period_of, status

from . import books


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("ledger") / "ledger.db")
    book = Ledger.open(path)
    items = books.sent(10)
    integrity.reconcile(books.promise(), items, books.damaged(items), ledger=book)
    return path


@pytest.mark.parametrize(
    "read", [trace, recorded, breaks, runs, status, verify, Ledger.open], ids=lambda read: read.__name__
)
@pytest.mark.parametrize("given", [None, 5, b"ledger.db"])
def test_a_ledger_is_named_by_its_url(read: Callable[..., Any], given: object) -> None:
    with pytest.raises(UsageError, match="a ledger is named by its URL or the path of its file, not by"):
        read(given, *(["abc"] if read is trace else []))


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda url: trace(url, 5), "the name of a break is text, not 5"),
        (lambda url: trace(url, "a", environment="prod"), "no environment 'prod'; there are 'production', 'test'"),
        (lambda url: recorded(url, 5), "run is text, not 5"),
        (lambda url: run_of(url, None), "run is text, not None"),
        (lambda url: runs(url, pipeline=5), "pipeline is text, not 5"),
        (lambda url: runs(url, last=-1), "last is -1; ask for at least 1"),
        (lambda url: breaks(url, case="opne"), "there is no case 'opne'; did you mean 'open'?"),
        (lambda url: breaks(url, state="heald"), "there is no state 'heald'; did you mean 'healed'?"),
        (lambda url: breaks(url, environment="prod"), "no environment 'prod'; there are 'production', 'test'"),
        (lambda url: status(url, period=2026), "period is text, not 2026"),
        (lambda url: recorded(url).to_html(zone=ZoneInfo("Asia/Seoul")), "zone is text, not .*; write 'Asia/Seoul'"),
        (lambda url: recorded(url).to_html(zone=None), "zone is text, not None"),
        (lambda url: recorded(url).to_html(lang=None), "lang is text, not None"),
    ],
)
def test_plain_mistakes_are_sentences(url: str, mistake: Callable[[str], Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        mistake(url)


def test_a_ledger_without_runs_has_breaks_of_no_age(tmp_path: Path) -> None:
    empty = str(tmp_path / "ledger.db")
    Ledger.open(empty)
    assert set(ageing(breaks(empty)).values()) == {0}
    assert breaks(empty).columns == breaks(empty, case="open").columns
    assert "identity" in breaks(empty).columns


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00+09:00/2026-01-01T00:00Z", "2026-01-01T00:00Z/9999-12-31T23:00-09:00"]
)
def test_a_period_that_utc_does_not_have_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="is no period"):
        period_of(text, dt.datetime.now(dt.UTC))
