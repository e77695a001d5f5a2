"""A run is on record whatever becomes of it: processes that die, ledgers that are gone, many writers at once."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import integrity
from integrity.errors import LedgerBusyError, LedgerError, LedgerUnreachableError, UsageError
from integrity.jobs import Job
from integrity.ledger import Ledger, schema, verify
from integrity.ledger.history import standing, unfinished
from integrity.ledger.listing import run_of, runs
from tests.effort import THOROUGH

from . import books


def reconciled(book: Any, **more: Any) -> integrity.Result:
    items = books.sent(20)
    return integrity.reconcile(books.promise(), items, books.damaged(items), ledger=book, **more)


def test_a_run_is_on_record_with_what_was_in_force_and_what_was_found(place: str) -> None:
    book = Ledger.open(place, environment="test", operator="kim", origin="example.org/x")
    result = reconciled(book, since="2026-03-01T00:00:00Z", skip={"accuracy": "known to differ"}, pipeline="night")
    (row,) = runs(place).iter_rows(named=True)
    assert (row["pipeline"], row["environment"], row["how"], row["verdict"]) == ("night", "test", "finished", "fail")
    told = run_of(place, row["run"][:18])
    started, finished = told["leaves"]
    assert started["operator"] == "kim"
    assert started["spec_sha256"] == result.spec_sha256
    assert started["skips"] == {"accuracy": "known to differ"}
    assert started["versions"] == result.versions
    assert finished["totals"] == result.totals
    assert finished["assertions"]["completeness"] == "fail"
    assert set(finished["read_at"]) == {"source", "destination"}
    assert result.recorded == row["run"]
    assert told["found"]["sides"]["source"]["location"] == result.sides["source"].location
    assert [b["lost"] for b in told["batches"]] == result.batches["lost"].tolist()
    assert finished["rows"]["breaks"]["count"] == len(result.breaks)
    assert started["at"] <= finished["at"]
    assert verify(place).is_sound
    with book.database.reading() as connection:
        assert standing(connection, "night", "production").is_empty()  # a test run never counts


def test_the_query_of_each_side_is_on_record_and_no_password(place: str, tmp_path: Path) -> None:
    books.sent(4).write_database("t", f"sqlite:///{tmp_path}/data.db", engine="sqlalchemy")
    promise = integrity.Contract(name="q", version=1, identity=["tenant", "id"], content={"body": "text"})
    integrity.reconcile(promise, f"sqlite:///{tmp_path}/data.db#t", books.sent(4), ledger=place)
    found = run_of(place, runs(place)["run"][0])["found"]
    (query,) = found["sides"]["source"]["queries"]
    assert "SELECT" in query
    assert "body" in query
    assert found["sides"]["destination"]["queries"] == []


def test_the_tables_are_what_the_migrations_make(place: str) -> None:
    book = Ledger.open(place)
    with book.database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []


def test_the_database_refuses_to_change_what_is_recorded(place: str) -> None:
    book = Ledger.open(place)
    reconciled(book)
    for table in (each.name for each in schema.PROTECTED):
        if place.startswith("sqlite") and table in ("changes", "dispositions", "erasures", "links", "seals"):
            continue  # they are empty, and it asks a row at a time
        with pytest.raises(LedgerError, match="append-only"), book.database.writing() as connection:
            if place.startswith("sqlite"):
                connection.execute(sa.text(f"DELETE FROM {table}"))
            else:
                connection.execute(sa.text(f"TRUNCATE {table}"))
    assert verify(place).is_sound


class _Killed(BaseException):
    """The process is no more."""


def test_whenever_the_process_dies_the_log_holds_and_the_next_run_completes_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every statement and every commit of a run, one after the other."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    items = books.sent(20)
    items.write_parquet(tmp_path / "source.parquet")
    books.damaged(items).write_parquet(tmp_path / "destination.parquet")
    contract = tmp_path / "notes.yaml"
    contract.write_text(books.promise().to_yaml(), encoding="utf-8")
    job = Job(
        str(contract),
        f"{tmp_path}/source.parquet",
        f"{tmp_path}/destination.parquet",
        ledger=url,
        since="2026-03-01T00:00:00Z",
    )
    monkeypatch.setattr("integrity.reconciliation.run_self_test", lambda *a: "left out here")
    opened = Ledger.open

    def watched(*args: Any, **more: Any) -> Ledger:
        book = opened(*args, **more)
        books_opened.append(book)
        sa.event.listen(book.database.engine, "before_cursor_execute", lambda *a: reached(str(a[2])[:50]))
        sa.event.listen(book.database.engine, "commit", lambda *a: reached("COMMIT"))
        return book

    books_opened: list[Ledger] = []
    steps: list[str] = []
    die_at = 10**9

    def reached(what: str) -> None:
        steps.append(what)
        if len(steps) >= die_at:  # and nothing more is done
            raise _Killed(what)

    monkeypatch.setattr(Ledger, "open", watched)
    job.run()
    whole = len(steps)
    assert steps.count("COMMIT") >= 2
    assert whole > 15
    for place in range(1, whole + 1):
        steps.clear()
        die_at = place
        with pytest.raises(_Killed):
            job.run()
        die_at = 10**9
        found = verify(url)
        assert found.is_sound, (place, found.headline())
    steps.clear()
    job.run()
    book = opened(url)
    with book.database.reading() as connection:
        assert unfinished(connection, "notes") == []
        stands = standing(connection, "notes", "production")
    assert stands.height == 4
    assert stands["verdict"].to_list() == ["fail", "pass", "fail", "fail"] or set(stands["verdict"]) == {"fail", "pass"}
    assert set(stands["revisions"]) == {0}  # judged once, however often it was tried
    assert verify(url).is_sound
    ended = runs(url, last=200)["how"].to_list()
    assert ended.count("finished") >= 2
    assert "abandoned" in ended
    assert None not in ended


def test_a_process_that_is_killed_leaves_a_deviation_that_the_next_run_names(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    script = f"""
import integrity, os, signal
from integrity.ledger import Ledger
from tests.ledger import books
import integrity.reconciliation as verb
verb.carried_out = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
items = books.sent(4)
integrity.reconcile(books.promise(), items, books.kept(items), ledger={url!r})
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=False)
    assert ended.returncode == -signal.SIGKILL
    found = verify(url)
    assert found.is_sound
    assert len(found.unfinished) == 1
    items = books.sent(4)
    items.write_parquet(tmp_path / "s.parquet")
    books.kept(items).write_parquet(tmp_path / "d.parquet")
    (tmp_path / "c.yaml").write_text(books.promise().to_yaml())
    Job(f"{tmp_path}/c.yaml", f"{tmp_path}/s.parquet", f"{tmp_path}/d.parquet", ledger=url).run()
    assert verify(url).unfinished == ()
    last = run_of(url, runs(url)["run"][0])
    assert last["leaves"][0]["remarks"] == [f"run {found.unfinished[0]} was begun and never ended"]


def test_a_run_that_fails_is_on_record_as_failed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    with pytest.raises(integrity.IntegrityError, match="absent"):
        integrity.reconcile(books.promise(), f"{tmp_path}/absent.csv", books.sent(1), ledger=url)
    told = run_of(url, runs(url)["run"][0])
    assert [leaf["kind"] for leaf in told["leaves"]] == ["started", "failed"]
    assert "absent.csv" in told["found"]["error"]
    assert "absent" not in json.dumps(told["leaves"])


# --- a ledger that is out of reach
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "why"), [("full", r"full.*make room"), ("read-only", r"readonly.*writable")])
def test_what_was_found_is_not_lost_with_the_ledger(tmp_path: Path, how: str, why: str) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    book = Ledger.open(url)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]

    pragma = f"max_page_count = {pages}" if how == "full" else "query_only = ON"

    def hindered(connection: Any, _record: Any) -> None:
        connection.execute(f"PRAGMA {pragma}")

    sa.event.listen(book.database.engine, "connect", hindered)
    with pytest.raises(LedgerUnreachableError, match=why) as error:
        for _ in range(50):
            reconciled(book)
    assert error.value.result is not None
    assert error.value.result.verdict == "fail"
    assert verify(url).is_sound


@pytest.mark.parametrize("how", ["gone", "no database", "a folder"])
def test_the_shell_shows_and_saves_what_it_cannot_record(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from integrity.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.yaml").write_text("name: notes\nversion: 1\nidentity: [id]\n")
    (tmp_path / "a.csv").write_text("id\n1\n2\n")
    (tmp_path / "b.csv").write_text("id\n1\n")
    url = {
        "gone": "postgresql://nobody@127.0.0.1:9/x",
        "no database": "sqlite:///notes.yaml",
        "a folder": "sqlite:///ledger",
    }[how]
    (tmp_path / "ledger").mkdir()
    monkeypatch.setenv("INTEGRITY_LEDGER_KEY", str(tmp_path / "k"))
    with pytest.raises(SystemExit) as ended:
        main(["reconcile", "notes.yaml", "a.csv", "b.csv", "--ledger", url])
    assert ended.value.code == 4
    said = capsys.readouterr()
    assert "1 lost" in said.out
    assert "not on record" in said.err
    assert "ledger" in said.err
    (saved,) = tmp_path.glob("integrity-unrecorded-notes-*.json")
    assert json.loads(saved.read_text())["totals"]["lost"] == 1


def test_a_job_without_its_ledger_looks_at_what_is_recent_and_says_so(tmp_path: Path) -> None:
    items = books.sent(60)
    items.write_parquet(tmp_path / "s.parquet")
    books.kept(items).write_parquet(tmp_path / "d.parquet")
    (tmp_path / "c.yaml").write_text(books.promise().to_yaml())
    (tmp_path / "l.db").mkdir()
    job = Job(
        f"{tmp_path}/c.yaml",
        f"{tmp_path}/s.parquet",
        f"{tmp_path}/d.parquet",
        ledger=f"sqlite:///{tmp_path}/l.db",
        every="10m",
        lookback="10m",
        json=f"{tmp_path}/out.json",
    )
    with pytest.raises(LedgerUnreachableError) as error:
        job.run(as_of=books.START + 60 * books.MINUTE)
    assert error.value.result.totals["source_records"] == 30
    assert json.loads((tmp_path / "out.json").read_text())["totals"]["source_records"] == 30


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://x/y", "cannot be kept in mysql"),
        ("sqlite://", "cannot be kept in"),
        ("://", "URL cannot be read"),
    ],
)
def test_what_can_keep_no_ledger_is_said(url: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Ledger.open(url)


def test_another_layout_and_another_key_are_refused(tmp_path: Path) -> None:
    books.filled(tmp_path, runs=1)
    (tmp_path / "other").mkdir()
    Ledger.open(tmp_path / "other" / "ledger.db")
    with pytest.raises(LedgerError, match="is not the key of the ledger"):
        Ledger.open(tmp_path / "ledger.db", key=tmp_path / "other" / "ledger.db.key")
    (tmp_path / "ledger.db.key").rename(tmp_path / "away")
    with pytest.raises(LedgerError, match="cannot read the ledger's key"):
        Ledger.open(tmp_path / "ledger.db")
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
        connection.commit()
    with pytest.raises(LedgerError, match="has layout 0999, this version reads 0003"):
        verify(tmp_path / "ledger.db")


# --- several at once
# ----------------------------------------------------------------------------------------------------


def test_many_runs_of_several_writers(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from integrity.ledger import Beginning

    items = books.sent(20)
    result = integrity.reconcile(books.promise(), items, books.damaged(items))
    errors: list[BaseException] = []
    each = 25 if THOROUGH else 8

    def write(writer: int) -> None:
        book = Ledger.open(place, origin="example.org/many")  # each begins it, if nobody has
        for n in range(each):
            begins = Beginning(
                f"p{writer}", books.promise(), result.spec_sha256, result.versions, None, None, None, {}, {"n": n}
            )
            try:
                book.begin(begins).finish(result)
            except BaseException as error:
                errors.append(error)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert errors == []
    found = verify(place)
    assert found.is_sound, found.headline()
    assert (found.runs, found.leaves, found.unfinished) == (8 * each, 16 * each + 1, ())
    assert runs(place, last=1000).group_by("pipeline").len()["len"].to_list() == [each] * 8


def test_a_second_run_at_the_same_time_is_refused_kindly(place: str, tmp_path: Path) -> None:
    items = books.sent(4)
    items.write_parquet(tmp_path / "s.parquet")
    books.kept(items).write_parquet(tmp_path / "d.parquet")
    (tmp_path / "c.yaml").write_text(books.promise().to_yaml())
    job = Job(f"{tmp_path}/c.yaml", f"{tmp_path}/s.parquet", f"{tmp_path}/d.parquet", ledger=place)
    book, began, over = Ledger.open(place), threading.Event(), threading.Event()

    def hold() -> None:
        with book.database.only_run_of("notes"):
            began.set()
            over.wait(20)

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hold)
        assert began.wait(20)
        with pytest.raises(LedgerBusyError, match=r"'notes' is being run right now.*the next run takes up"):
            job.run()
        assert verify(place).runs == 0  # nothing was begun
        over.set()
        held.result()
    assert job.run().verdict == "pass"
    with book.database.only_run_of("other"), book.database.only_run_of("notes"):
        pass


def test_the_same_data_is_judged_once(place: str, tmp_path: Path) -> None:
    items = books.sent(20)
    items.write_parquet(tmp_path / "s.parquet")
    books.damaged(items).write_parquet(tmp_path / "d.parquet")
    (tmp_path / "c.yaml").write_text(books.promise().to_yaml())
    job = Job(
        f"{tmp_path}/c.yaml",
        f"{tmp_path}/s.parquet",
        f"{tmp_path}/d.parquet",
        ledger=place,
        since="2026-03-01T00:00:00Z",
        lookback="30d",
    )
    for _ in range(3):
        job.run(as_of=books.START + 60 * books.MINUTE)
    told = [run_of(place, run) for run in runs(place)["run"].to_list()[::-1]]
    assert [len(each["batches"]) for each in told] == [4, 0, 0]
    assert [each["leaves"][1]["unchanged"]["batches"] for each in told] == [0, 4, 4]
    assert [each["leaves"][1]["totals"]["lost"] for each in told] == [1, 1, 1]
    assert verify(place).is_sound


def test_snapshots_without_windows_are_each_judged(place: str) -> None:
    notes = integrity.Contract(name="snap", version=1, identity=["id"])
    there = pl.DataFrame({"id": ["1", "2"]})
    book = Ledger.open(place)
    integrity.reconcile(notes, there, there[:1], ledger=book)
    integrity.reconcile(notes, there, there, ledger=book)
    with book.database.reading() as connection:
        assert standing(connection, "snap", "production")["verdict"].to_list() == ["fail", "pass"]
