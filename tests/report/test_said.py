"""What is said of a run where not all is as usual: the same everywhere, and nothing that is not so."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

import integrity
from integrity.jobs import Job
from integrity.ledger.recorded import recorded
from integrity.report.terminal import show
from integrity.spool import Log
from integrity.summary import KINDS
from tests.report.found import found
from tests.report.test_html import Read

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def contract(**more: Any) -> integrity.Contract:
    said: dict[str, Any] = {
        "name": "n",
        "version": 1,
        "identity": ["id"],
        "content": {"body": "text"},
        "clock": {"event": "at", "processed": "got"},
        "window": "10m",
        "grace": "5m",
    }
    return integrity.Contract(**(said | more))


def items(count: int = 30, late: int = 0) -> pl.DataFrame:
    """An item a minute, there a second later; of every ten one is later."""
    at = [START + dt.timedelta(minutes=n) for n in range(count)]
    took = [late if late and n % 10 == 0 else 1 for n in range(count)]
    got = [moment + dt.timedelta(seconds=seconds) for moment, seconds in zip(at, took, strict=True)]
    times = dict.fromkeys(("at", "got"), pl.Datetime("us", "UTC"))
    columns = {"id": [str(n) for n in range(count)], "body": ["x"] * count, "at": at, "got": got}
    return pl.DataFrame(columns, schema_overrides=times)


def reconciled(
    there: Any, here: Any = None, promise: integrity.Contract | None = None, **more: Any
) -> integrity.Result:
    here = items() if here is None else here
    return integrity.reconcile(promise or contract(), here, there, as_of="2026-03-02T00:00:00Z", **more)


def told(result: integrity.Result, **how: Any) -> tuple[str, Read]:
    """The headline, which the shell, a card and the page tell alike; and the page."""
    read, headline = Read(result.to_html(**how)), result.headline().split(": ", 2)[2]
    assert read.facts["headline"] == headline
    assert headline in Read(result._repr_html_()).shown
    assert headline in printed(result)
    return headline, read


def printed(result: integrity.Result) -> str:
    screen = Console(width=200, file=io.StringIO())
    show(result, screen)
    return str(screen.file.getvalue())  # type: ignore[attr-defined]


def test_no_exception_is_said_only_where_there_is_none() -> None:
    headline, read = told(reconciled(items().with_columns(body=pl.lit("y")), skip={"accuracy": "not today"}))
    assert headline == (
        "3 of 3 closed batches passed; 30 breaks do not count, accuracy was left out; 2 of 3 promises judged"
    )
    assert read.number("found.corrupt") == 30
    assert read.shown.count("no exception in") == 2  # of the two promises that were kept
    headline, read = told(reconciled(items(late=100), promise=contract(timeliness={"within": "5s", "ratio": "0.5"})))
    assert headline == "3 of 3 closed batches passed; 3 late within the promised ratio; 4 of 4 promises judged"
    assert "checked and kept: what was found is within the promised ratio" in read.shown
    assert read.facts["timeliness.on_time"] == "27"
    assert "90% on time" in read.shown


def test_breaks_are_not_said_to_lie_where_they_do_not() -> None:
    """One is lost, and all batches fail an expectation of theirs: the break lies in one of them."""
    rule = {"expect_table_row_count_to_equal": {"value": 7}}
    headline, read = told(reconciled(items()[1:], promise=contract(validity=[rule])))
    assert headline == "1 break; 3 of 3 closed batches failed; 3 of 3 promises judged"
    headline, read = told(reconciled(items(), promise=contract(validity=[rule])))
    assert headline == "3 of 3 closed batches failed; 3 of 3 promises judged"
    assert "No single item is a break" in read.shown


def test_a_break_that_fails_no_batch_is_told_beside_those_that_do() -> None:
    """The ratio is kept; one took longer than anything may. The late ones of the other batches fail none of them."""
    there = items(late=100).with_columns(
        got=pl.when(pl.col("id") == "3").then(pl.col("got") + dt.timedelta(hours=1)).otherwise("got")
    )
    promise = contract(timeliness={"within": "5s", "ratio": "0.5", "never_over": "10m"})
    headline, read = told(reconciled(there, promise=promise))
    assert headline == "4 breaks, 2 of them in 1 of 3 closed batches; 4 of 4 promises judged"
    assert read.facts["timeliness.longest"] == "3601000000"
    assert "The longest in a closed batch took 1 h 1 s." in read.shown


def test_of_recorded_totals_nobody_says_what_became_of_an_item() -> None:
    there = integrity.measure(contract(), items()[1:], side="destination")
    result = reconciled(there)
    headline, read = told(result)
    assert headline == "1 of 3 closed batches failed; 1 of 3 promises judged"
    for text in (str(result), printed(result), Read(result._repr_html_()).shown):
        assert "source 30; what became of them cannot be said" in text
        assert "30 =" not in text
    assert "destination 29; what became of them cannot be said" in printed(result)
    assert "? lost, ? duplicate" in printed(result)
    assert "name no item" in read.shown
    assert "No break was found" not in read.shown
    assert "of no item; see the batches" in read.shown


def pending() -> integrity.Result:
    """A batch is closed, and one of its items was changed so lately that it may still arrive."""
    changed = dict.fromkeys(("5",), dt.datetime(2026, 3, 1, 23, 59, tzinfo=dt.UTC))
    here = items().with_columns(
        pl.col("id").replace_strict(changed, default=START, return_dtype=pl.Datetime("us", "UTC")).alias("changed")
    )
    clock = {"event": "at", "processed": "got", "changed": "changed"}
    return reconciled(items().filter(pl.col("id") != "5"), here, contract(clock=clock))


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_closed_batch_that_is_not_settled_is_told(language: str) -> None:
    result = pending()
    assert result.exit_code == 0
    read = Read(result.to_html(lang=language))
    numbers = {
        name: read.number(f"batches.{name}") for name in ("pass", "fail", "unverified", "pending", "open", "closed")
    }
    assert numbers == {"pass": 2, "fail": 0, "unverified": 0, "pending": 1, "open": 0, "closed": 3}
    if language == "en":
        assert told(result)[0] == "2 of 3 closed batches passed, 1 not settled yet; 1 of 3 promises judged"
        assert "1 closed batch is not settled yet" in read.shown
        assert "1 may still arrive" in read.shown
        assert "the batch is still open" not in read.shown
    else:
        assert "미검증 " not in read.facts["headline"]
        assert "진행 중" not in read.shown


def test_why_something_could_not_be_verified_is_said_where_it_is_known() -> None:
    lost = Read(reconciled(items()[:0]).to_html()).shown
    assert "accuracy could not be verified, or not everywhere. In 3 batches no pair was left" in lost
    assert "notes" not in lost.split("What was not checked, and why")[-1].split("Does the control work?")[0]
    idle = reconciled(
        items()[:1], items()[:1], contract(due="window"), since=START, until=START + dt.timedelta(hours=1)
    )
    assert "In 5 windows something was due, and nothing was read." in Read(idle.to_html()).shown


def test_a_contract_with_windows_is_never_told_as_a_snapshot() -> None:
    assert "no window was read" in Read(reconciled(items()[:0], items()[:0]).to_html()).shown
    untimed = items().with_columns(at=pl.lit(None, pl.Datetime("us", "UTC")))
    read = Read(reconciled(untimed, untimed).to_html())
    assert "no window was read" in read.shown
    notes = integrity.Contract(name="notes", version=1, identity=["id"])
    read = Read(integrity.reconcile(notes, items(), items()).to_html())
    assert "no windows: a comparison of everything" in read.shown
    there = items().with_columns(at=pl.when(pl.col("id") == "3").then(None).otherwise("at"))
    assert (
        "1 batch of items without an event time is not in the picture" in Read(reconciled(there, there).to_html()).shown
    )


def test_a_card_leaves_nothing_out() -> None:
    rule = {"expect_column_values_to_be_in_set": {"column": "body", "value_set": ["y"]}, "severity": "warning"}
    promise = contract(validity=[rule])
    result = reconciled(items(), promise=promise, skip={"accuracy": "not today"})
    noted = replace(result, notes=("one", "two", "three", "four"))
    card = Read(noted._repr_html_()).shown
    assert all(note in card for note in noted.notes)
    assert "(warning)" in card
    assert "accuracy skippednot today" in card
    read = Read(noted.to_html())
    assert read.number("warned") == 2


def test_breaks_of_every_kind_are_shown_however_many_there_are_of_one() -> None:
    """Of 1.2 million that are lost a page shows the first, and of the others, too."""
    result = found()
    frames = pl.concat(list(result.break_frames()))
    lost = frames.filter(pl.col("kind") == "lost")
    breaks = Log()
    for _ in range(6):
        breaks.add(lost.sample(200_000, with_replacement=True, seed=1))
    breaks.add(frames.filter(pl.col("kind") != "lost"))
    shown = replace(result, _breaks=breaks).few_breaks(2)
    assert set(shown["kind"]) == set(frames["kind"])


def test_amounts_stand_with_their_decimals() -> None:
    promise = contract(content={"n": {"type": "decimal", "scale": 2}}, amounts=["n"])
    here = items(3).with_columns(pl.Series("n", ["-0.05", "99999999999999999999999999999999.99", "1"]))
    read = Read(reconciled(here, here, promise).to_html())
    assert read.facts["basis.source.amount.0"] == "100,000,000,000,000,000,000,000,000,000,000.94"


def test_a_run_on_record_bears_the_names_that_are_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTEGRITY_OPERATOR", "scheduler-x")
    url = f"sqlite:///{tmp_path}/ledger.db"
    result = reconciled(items()[1:], ledger=url)
    monkeypatch.setenv("INTEGRITY_OPERATOR", "somebody else")
    run = recorded(url)
    for page in (result.to_html(), run.to_html()):
        assert "Operator: scheduler-x" in Read(page.replace("</dt><dd>", ": </dt><dd>")).shown
        assert f"{run.name} (production)" in Read(page).shown
    assert "When it ran" in Read(run.to_html()).shown
    assert "all of them are on record in the ledger" not in Read(run.to_html()).shown  # all of them are shown
    assert reconciled(items()).operator == "somebody else"


def test_what_stands_from_earlier_runs_is_not_denied(tmp_path: Path) -> None:
    promise = contract()
    (tmp_path / "n.yaml").write_text(promise.to_yaml(), encoding="utf-8")
    items().write_parquet(tmp_path / "s.parquet")
    items()[1:].write_parquet(tmp_path / "d.parquet")
    url = f"sqlite:///{tmp_path}/ledger.db"
    job = Job(f"{tmp_path}/n.yaml", f"{tmp_path}/s.parquet", f"{tmp_path}/d.parquet", ledger=url, lookback="1d")
    for _ in range(2):
        job.run(as_of=START + dt.timedelta(hours=2))
    read = Read(recorded(url).to_html())
    assert read.facts["headline"] == (
        "no new break, what fails was found by earlier runs; 1 break stands from earlier runs; "
        "3 batches as earlier runs left them; 3 of 3 promises judged"
    )
    assert "This run put no break on record anew; 1 stands from earlier runs." in read.shown
    assert "No break was found" not in read.shown
    assert "stand as earlier runs left them" in read.shown
    assert read.number("source.lost") == 1
    assert sum(read.number(f"source.{name}") for name in ("matched", "lost")) == read.number("source.total")


def test_the_kinds_are_those_that_there_are() -> None:
    assert list(KINDS) == [kind.value for kind in integrity.breaks.BreakKind]


def test_what_is_counted_of_an_open_batch_is_told_as_such() -> None:
    """Of items in an open batch nothing is said; totals recorded earlier count what is late in it all the same."""
    promise = contract(timeliness={"within": "5s", "ratio": "0.5"})
    there = integrity.measure(promise, items(late=100)[1:], side="destination")
    result = integrity.reconcile(promise, items(), there, as_of="2026-03-01T00:32:00Z")
    assert "1 break in open batches, which a later run judges" in told(result)[0]
