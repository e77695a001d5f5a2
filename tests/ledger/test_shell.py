"""The ledger's verbs in the shell, and the screen that says what is open."""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

import integrity
from integrity.cli import main
from integrity.errors import UsageError
from integrity.jobs import Job
from integrity.ledger import Ledger
from integrity.ledger.status import period_of, status

from . import books


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a contract and an hour of notes, of which one is lost."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTEGRITY_LEDGER", "ledger.db")
    monkeypatch.setenv("COLUMNS", "200")
    items = books.sent(60)
    items.write_parquet("source.parquet")
    books.kept(items).filter(pl.col("id") != "note-2").write_parquet("destination.parquet")
    Path("notes.yaml").write_text(books.promise().to_yaml())
    Path("job.yaml").write_text(
        "contract: notes.yaml\nsource: source.parquet\ndestination: destination.parquet\nledger: ledger.db\n"
        "since: '2026-03-01T00:00:00Z'\nas_of: '2026-03-01T01:00:00Z'\nevery: 10m\nlookback: 1d\nname: nightly\n"
        "prometheus: metrics.prom\njunit: junit.xml\nopenlineage: event.json\ncheckpoints: [held/]\n"
    )
    return tmp_path


def shell(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    code = ended.value.code
    assert isinstance(code, int)
    return code


def test_a_day_with_a_ledger(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell("ledger", "init", "--origin", "example.org/x") == 0
    key = capsys.readouterr().out.split("key    ")[1].splitlines()[0]
    assert shell("ledger", "init") == 4
    assert "there is a ledger at" in capsys.readouterr().err
    assert shell("run", "job.yaml") == 1
    assert {p.name for p in folder.iterdir()} >= {"metrics.prom", "junit.xml", "event.json", "held"}
    capsys.readouterr()
    assert shell("ledger", "runs") == 0
    assert "nightly" in capsys.readouterr().out
    assert shell("ledger", "breaks", "--identities") == 0
    said = capsys.readouterr().out
    assert "note-2" in said
    assert "1 break" in said
    books.kept(books.sent(60)).write_parquet("destination.parquet")  # it was late, not lost
    assert shell("run", "job.yaml") == 0
    capsys.readouterr()
    assert shell("ledger", "breaks") == 0
    assert "0 breaks" in capsys.readouterr().out
    assert shell("ledger", "breaks", "--state", "healed") == 0
    assert "healed" in capsys.readouterr().out
    (held,) = sorted(Path("held").iterdir())[-1:]
    assert shell("ledger", "verify", "--checkpoint", str(held), "--key", key) == 0
    assert "tamper-evident up to checkpoint" in capsys.readouterr().out
    assert shell("status", "--period", "2026-03-01") == 1  # the first verdict of a batch stands
    said = capsys.readouterr().out
    for words in ("nightly", "healed", "revised"):
        assert words in said
    assert shell("status", "--period", "2026-03-01", "--json") == 1
    (told,) = json.loads(capsys.readouterr().out)["pipelines"]
    assert told["windows"]["fail"] == 1
    assert told["revised"] == 1
    assert told["breaks"] == {"healed": 1}
    assert shell("ledger", "approve", "notes.yaml", "--approver", "lee", "--ticket", "T-1") == 0
    assert shell("ledger", "changes", "--period", "2026") == 0
    assert "approval" in capsys.readouterr().out
    assert shell("ledger", "export", "pack.zip", "--kept-until", "2027") == 0
    assert shell("verify", "pack.zip", "--key", key) == 0
    assert "it fits together: 2 runs" in capsys.readouterr().out
    run = json.loads(_show(capsys))["run"]
    arguments = ["--source", "source.parquet", "--destination", "destination.parquet", "--ledger-key", "ledger.db.key"]
    assert shell("reperform", "pack.zip", *arguments, "--run", run) in (0, 3)
    assert shell("ledger", "erase", "--where", "id=note-2", "--basis", "art. 17", "--by", "dpo") == 0
    assert "erased 1 private texts" in capsys.readouterr().out
    assert shell("ledger", "rotate-key", "new.key") == 0
    assert shell("ledger", "runs") == 0
    assert shell("ledger", "send", "x.txt") == 4
    assert "was its key until another took over" in capsys.readouterr().err
    assert shell("ledger", "verify") == 0


def _show(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert shell("ledger", "show", "20") == 2  # two runs begin so
    said = capsys.readouterr().err
    assert "several runs begin with" in said
    from integrity.ledger.listing import runs

    assert shell("ledger", "show", runs("ledger.db")["run"][0]) == 0
    return capsys.readouterr().out


def test_tampering_is_told_by_the_exit_code(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shell("run", "job.yaml")
    with closing(sqlite3.connect("ledger.db")) as connection:
        connection.execute("DROP TRIGGER batches_update_refused")
        connection.execute("UPDATE batches SET lost = 0 WHERE lost = 1")
        connection.commit()
    capsys.readouterr()
    assert shell("ledger", "verify", "--all") == 1
    said = capsys.readouterr().out
    assert said.startswith("tampered: removed: triggers, batches_update_refused")
    assert "changed: batches, row 0 of run" in said


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["ledger", "runs"], 4, "there is no ledger at sqlite:///ledger.db; integrity ledger init makes one"),
        (["status", "--period", "soon"], 4, "there is no ledger"),
        (["ledger", "verify", "--ledger", "mysql://x/y"], 2, "cannot be kept in mysql"),
        (["verify", "absent"], 4, "there is no pack at absent"),
        (["verify", "notes.yaml"], 4, "is no pack"),
        (["reconcile", "notes.yaml", "a", "b", "--environment", "prod"], 2, "there is no environment 'prod'"),
        (["ledger", "erase", "--where", "id", "--basis", "x", "--by", "y"], 2, "is not COLUMN=VALUE"),
    ],
)
def test_wrong_words_end_in_a_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, why: str
) -> None:
    assert shell(*arguments) == code
    assert why in capsys.readouterr().err.replace("\n", " ")


def test_without_a_ledger_the_verbs_ask_for_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("INTEGRITY_LEDGER")
    assert shell("status") == 2
    assert "no ledger is named; give --ledger URL, or set INTEGRITY_LEDGER" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026", "2026-01-01", "2027-01-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2026-02", "2026-02-01", "2026-03-01"),
        ("2028-02-29", "2028-02-29", "2028-03-01"),
        (None, "2026-03-01", "2026-03-02"),
    ],
)
def test_periods(text: str | None, first: str, last: str) -> None:
    told = period_of(text, books.START)
    assert [moment.isoformat()[:10] for moment in told] == [first, last]


@pytest.mark.parametrize("text", ["2026-13", "26", "2026-02-30", "soon", "2026-01-01/2026-02-01", "2026-0-0", "99999"])
def test_what_is_no_period_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="is no period"):
        period_of(text, books.START)


def test_windows_that_no_run_came_for_are_missed(folder: Path) -> None:
    job = Job.from_yaml("job.yaml")
    job.run()
    late = books.START + dt.timedelta(hours=3)
    (told,) = status("ledger.db", period="2026-03-01", now=late).pipelines
    # six were judged; of the twelve that closed since, the last one may still wait for its run
    assert told.windows == {"fail": 1, "pass": 5, "missed": 11, "pending": 1}
    assert told.exit_code == 1
    (told,) = status("ledger.db", period="2026-03-01", now=books.START + dt.timedelta(minutes=65)).pipelines
    assert told.windows == {"fail": 1, "pass": 5, "open": 1}
    assert (told.due, told.judged) == (6, 6)
    with pytest.raises(UsageError, match="no run of a pipeline 'nightli' is on record; did you mean 'nightly'"):
        status("ledger.db", pipeline="nightli")


def test_a_snapshot_belongs_to_the_period_in_which_its_run_began(tmp_path: Path) -> None:
    contract = integrity.Contract(name="snap", version=1, identity=["id"])
    items = pl.DataFrame({"id": ["1", "2"]})
    for month, there in ((2, items), (4, items[1:])):
        moment = dt.datetime(2026, month, 1, 12, tzinfo=dt.UTC)
        book = Ledger.open(tmp_path / "ledger.db", clock=books.ticking(moment))
        # what it is said to be of changes nothing: it was read when it was read
        integrity.reconcile(contract, items, there, ledger=book, as_of="2026-02-03T00:00:00Z")
    seen = {}
    for period in ("1999", "2026-02", "2026-03", "2026-04", "2030"):
        (told,) = status(str(tmp_path / "ledger.db"), period=period).pipelines
        assert sum(told.windows.values()) == told.due == told.judged
        seen[period] = (dict(told.windows), told.exit_code)
    assert seen == {
        "1999": ({}, 3),
        "2026-02": ({"pass": 1}, 0),
        "2026-03": ({}, 3),
        "2026-04": ({"fail": 1}, 1),
        "2030": ({}, 3),
    }


def test_an_untimed_batch_is_told_in_the_period_of_its_run_and_is_no_window(tmp_path: Path) -> None:
    contract = books.promise(partition=[])
    items = books.sent(10)
    moment = books.START + dt.timedelta(days=40)
    book = Ledger.open(tmp_path / "ledger.db", clock=books.ticking(moment))
    nowhen = items[:1].with_columns(
        pl.lit("nowhen").alias("id"), pl.lit(None, pl.Datetime("us", "UTC")).alias("sent_at")
    )
    source = pl.concat([items, nowhen])
    integrity.reconcile(contract, source, books.kept(source), ledger=book)
    told = {}
    for period in ("2026-03-01", "2026-04-10", "2026-04-11"):
        (each,) = status(str(tmp_path / "ledger.db"), period=period, now=moment + dt.timedelta(hours=1)).pipelines
        told[period] = (each.windows.get("pass", 0), dict(each.untimed), each.exit_code)
    assert told["2026-03-01"] == (1, {}, 3)  # no run of that day
    assert told["2026-04-10"] == (0, {"fail": 1}, 1)
    assert told["2026-04-11"] == (0, {}, 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runs", "--last", "-1"], "'--last': -1 is not in the range x>=1"),
        (["breaks", "--last", "0"], "'--last': 0 is not in the range x>=1"),
        (["reopen", "abc", "--reason", "x", "--by", " "], "--by says nothing; write it out, as in --by kim"),
        (["reopen", "abc", "--reason", "", "--by", "lee"], "--reason says nothing; write it out, as in --reason '…'"),
        (["dispose", "abc", "--as", "timing", "--reason", "x", "--reference", "", "--by", "lee"], "--reference says"),
        (["approve", "notes.yaml", "--approver", "lee", "--ticket", "\n"], "--ticket says nothing"),
        (["erase", "--where", "id=1", "--basis", "", "--by", "dpo"], "--basis says nothing"),
        (["lift", "timing", "--reason", "x\x1b[31m", "--by", "lee"], "--reason holds signs that no screen shows"),
        (["sample", "--by", "\t"], "--by says nothing"),
    ],
)
def test_what_is_missing_is_named_by_its_option(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert shell("ledger", *arguments) == 2
    assert said in capsys.readouterr().err


def test_a_ledger_that_this_user_may_not_read_is_said_to_be_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("ledger.db").write_bytes(b"")
    forbid(monkeypatch, "ledger.db")
    assert shell("ledger", "runs") == 4
    assert "this user may not read it: have whoever owns it allow that" in capsys.readouterr().err


def test_a_source_that_this_user_may_not_read_is_said_to_be_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr("integrity.stores.places._Local.open", lambda *_, **__: (_ for _ in ()).throw(error))
    assert shell("reconcile", "notes.yaml", "source.parquet", "destination.parquet", "--ledger", "l.db") == 4
    said = capsys.readouterr().err
    assert "source.parquet may not be read by this user; have whoever owns it allow this user to read it" in said


def forbid(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let nobody read a file, whoever runs the tests."""
    import sqlite3 as driver

    allowed, connect = os.access, driver.connect
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith(name) and allowed(path, mode))

    def refused(path: str, *arguments: object, **more: object) -> object:
        if str(path).endswith(name):
            raise driver.OperationalError("unable to open database file")
        return connect(path, *arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(driver, "connect", refused)
    monkeypatch.setattr(driver.dbapi2, "connect", refused)


def test_windows_after_the_last_run_are_missed_in_a_period_without_any(tmp_path: Path) -> None:
    """Of a pipeline that names no since, the first window may lie in another period."""
    moment = books.START + dt.timedelta(hours=2)
    book = Ledger.open(tmp_path / "ledger.db", clock=books.ticking(moment))
    items = books.sent(10)
    integrity.reconcile(books.promise(), items, books.kept(items), ledger=book, as_of=moment)
    later = moment + dt.timedelta(days=2)
    (told,) = status(str(tmp_path / "ledger.db"), period="2026-03-02", now=later).pipelines
    assert told.windows == {"missed": 144}
    assert told.exit_code == 3
    (told,) = status(str(tmp_path / "ledger.db"), period="2026-02", now=later).pipelines
    assert (told.windows, told.due) == ({}, 0)  # before the pipeline was judged at all
