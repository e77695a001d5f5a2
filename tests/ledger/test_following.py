"""Where a run takes up, and how far everything is judged."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from integrity.following import Continuation, _became, _watermark
from integrity.windows import Window, parse_duration

from . import books

HOUR = parse_duration("1h")
START = int(books.START.timestamp()) * 1_000_000


class Found:
    """As much of a result as the watermark looks at: windows closed until ``end``."""

    def __init__(self, end: int) -> None:
        self.contract = books.promise(window="1h", grace="0s")
        self.as_of = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=end)
        self.until = None


def rows(verdicts: dict[int, str], verdict: str) -> pl.DataFrame:
    starts = {hour: (books.START + dt.timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%S.%fZ") for hour in verdicts}
    said = [(f"key {hour}", starts[hour], said) for hour, said in verdicts.items()]
    return pl.DataFrame(
        said, schema=["key", "batch_start", verdict], orient="row", schema_overrides={verdict: pl.String}
    )


@pytest.mark.parametrize(
    ("before", "now", "hours"),
    [
        ({}, {}, 10),  # nothing happened: all of it is judged
        ({}, {1: "pass", 3: "fail"}, 10),  # idle windows are no holes
        ({}, {1: "pass", 3: "pending", 5: "pass"}, 3),  # behind a hole nothing counts as done
        ({}, {3: "unverified", 5: "pass"}, 3),
        ({3: "pending"}, {5: "pass"}, 3),  # a hole that this run did not see is still one
        ({3: "pending"}, {3: "pass", 5: "pass"}, 10),
        ({3: "pass"}, {3: "unverified"}, 3),  # what a later run cannot verify is one again
        ({3: "skipped"}, {}, 10),
    ],
)
def test_the_watermark_passes_only_windows_that_were_judged(
    before: dict[int, str], now: dict[int, str], hours: int
) -> None:
    where = Continuation(START, START, None)
    found = _watermark(
        Window(HOUR), where, rows(before, "latest"), rows(now, "verdict"), Found(START + 10 * HOUR), 24 * HOUR
    )  # type: ignore[arg-type]
    assert found == START + hours * HOUR


def test_a_window_that_cannot_be_verified_is_given_up_after_a_while_and_no_sooner() -> None:
    where, none = Continuation(START, START, None), rows({}, "latest")
    for retry, hours in ((5, 10), (6, 10), (7, 3)):
        found = _watermark(
            Window(HOUR), where, none, rows({3: "unverified"}, "verdict"), Found(START + 10 * HOUR), retry * HOUR
        )  # type: ignore[arg-type]
        assert found == START + hours * HOUR
    held = _watermark(Window(HOUR), where, none, rows({3: "pending"}, "verdict"), Found(START + 10 * HOUR), 0)  # type: ignore[arg-type]
    assert held == START + 3 * HOUR


def test_the_watermark_never_goes_back() -> None:
    where = Continuation(START, START + 8 * HOUR, None)
    found = _watermark(
        Window(HOUR), where, rows({}, "latest"), rows({3: "pending"}, "verdict"), Found(START + 5 * HOUR), HOUR
    )  # type: ignore[arg-type]
    assert found == START + 8 * HOUR


def test_without_a_beginning_it_starts_at_the_first_window_there_is() -> None:
    where, none = Continuation(None, None, None), rows({}, "latest")
    assert _watermark(Window(HOUR), where, none, rows({}, "verdict"), Found(START), HOUR) is None  # type: ignore[arg-type]
    found = _watermark(
        Window(HOUR), where, none, rows({4: "pending", 2: "pass"}, "verdict"), Found(START + 9 * HOUR), HOUR
    )  # type: ignore[arg-type]
    assert found == START + 4 * HOUR


@pytest.mark.parametrize(
    ("kind", "in_source", "in_destination", "judged", "state"),
    [
        ("lost", True, True, True, "healed"),
        ("lost", True, True, False, "healed"),
        ("lost", False, True, False, "healed"),  # it arrived, whatever became of the source's row
        ("lost", False, False, True, "withdrawn"),  # a source row that disappears heals nothing
        ("lost", True, False, False, None),
        ("lost", True, False, True, "cleared"),
        ("corrupt", True, True, True, "healed"),
        ("corrupt", False, True, True, "withdrawn"),
        ("extra", False, False, True, "cleared"),
        ("duplicate", True, True, True, "cleared"),
        ("late", True, False, True, "cleared"),
    ],
)
def test_what_became_of_a_break(
    kind: str, in_source: bool, in_destination: bool, judged: bool, state: str | None
) -> None:
    assert _became(kind, in_source, in_destination, judged) == state
