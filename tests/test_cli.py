"""The shell: the same verbs, exit codes that a scheduler can trust, and never a traceback."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from integrity.cli import cli
from tests.conftest import at, frame, message, promise
from tests.shell import Called, called


@pytest.fixture
def place(tmp_path: Path, day: pl.DataFrame) -> Path:
    """A folder with a contract and two equal sides."""
    (tmp_path / "day.yaml").write_text(promise().to_yaml(), encoding="utf-8")
    day.write_parquet(tmp_path / "source.parquet")
    day.write_parquet(tmp_path / "kept.parquet")
    return tmp_path


def run(place: Path, *arguments: str, code: int) -> str:
    """Run a command in a folder, expect its exit code, and return all it printed."""
    environment = {**os.environ, "COLUMNS": "160", "PYTHONIOENCODING": "utf-8"}
    environment.pop("INTEGRITY_DEBUG", None)
    done = subprocess.run(
        [sys.executable, "-m", "integrity", *arguments],
        cwd=place, capture_output=True, text=True, encoding="utf-8", env=environment, timeout=120,
    )  # fmt: skip
    return judged(done, code)


def call(place: Path, *arguments: str, code: int) -> str:
    """Do the same without a process of its own."""
    return judged(called(place, *arguments), code)


def judged(done: subprocess.CompletedProcess[str] | Called, code: int) -> str:
    said: str = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    if code in (2, 4):
        assert done.stderr.strip()
        assert not done.stdout.strip()
    return said


RECONCILE = ("reconcile", "day.yaml", "source.parquet", "kept.parquet")


def test_pass_is_zero(place: Path) -> None:
    said = run(place, *RECONCILE, "--json", "r.json", code=0)
    assert "no exception found in 3 closed batches" in said
    written = json.loads((place / "r.json").read_text(encoding="utf-8"))
    assert written["schema"] == "integrity.result/1"
    assert written["verdict"] == "pass"
    assert written["totals"]["matched"] == 30
    assert written["batches"][0]["batch_start"] == "2026-03-02T00:00:00.000000Z"
    assert re.fullmatch("sum128:[0-9a-f]{32}", written["batches"][0]["source_hash"])
    assert written["batches"][0]["source_size_bytes"] == "145"


def test_fail_is_one_and_says_what(place: Path, day: pl.DataFrame) -> None:
    day.filter(pl.col("message_id") != "m7").write_parquet(place / "kept.parquet")
    said = run(place, *RECONCILE, code=1)
    assert "1 lost" in said
    assert "m7" in said


def test_unverified_is_three(place: Path) -> None:
    frame().write_parquet(place / "source.parquet")
    frame().write_parquet(place / "kept.parquet")
    assert "unverified" in run(place, *RECONCILE, code=3)


def test_open_batches_are_no_failure(place: Path) -> None:
    assert "1 still open" in call(place, *RECONCILE, "--as-of", at(30).isoformat(), code=0)


def test_a_run_from_a_file_is_the_same(place: Path, day: pl.DataFrame) -> None:
    theirs = day.rename({"message_id": "msg"})
    theirs.write_parquet(place / "source.parquet")
    job = "contract: day.yaml\nsource: source.parquet\ndestination: kept.parquet\njson: out.json\n"
    (place / "job.yaml").write_text(job + "columns: {source: {msg: message_id}}\n", encoding="utf-8")
    call(place, "run", "job.yaml", code=0)
    assert json.loads((place / "out.json").read_text(encoding="utf-8"))["run"]["sides"]["source"]["columns"] == {
        "msg": "message_id"
    }
    call(place, *RECONCILE, "--map", "source:msg=message_id", code=0)


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ("contract: day.yaml\nsource: a\n", "destination is missing"),
        ("contract: day.yaml\nsource: a\ndestination: b\nsinse: x\n", "did you mean 'since'?"),
        ("contract: [\n", "line"),
        ("- a\n", "a job is a mapping"),
        ("contract: day.yaml\nsource: a\ndestination: b\nvalues: maybe\n", "true or false"),
    ],
)
def test_a_malformed_job_is_wrong_usage(place: Path, job: str, said: str) -> None:
    (place / "job.yaml").write_text(job, encoding="utf-8")
    assert said in call(place, "run", "job.yaml", code=2)


def _as_is(place: Path) -> None:
    pass


def _csv(text: str, name: str = "source.csv"):  # type: ignore[no-untyped-def]
    return lambda place: (place / name).write_text(text, encoding="utf-8")


HEAD = "message_id,body,size_bytes,sent_at,stored_at\n"


@pytest.mark.parametrize(
    ("prepare", "arguments", "code", "said"),
    [
        (_as_is, ("reconcile", "day.yaml", "sourc.parquet", "kept.parquet"), 4, "source.parquet"),
        (_as_is, ("reconcile", "mesage", "source.parquet", "kept.parquet"), 2, "did you mean 'message'?"),
        (_as_is, ("reconcile", "dya.yaml", "source.parquet", "kept.parquet"), 2, "did you mean 'day.yaml'?"),
        (_as_is, ("reconcile", "day.yaml", "ftpx://h/a.parquet", "kept.parquet"), 4, "ftpx"),
        (_as_is, (*RECONCILE, "--since", "2026-03-02T00:03:00Z"), 2, "is not on a boundary of the windows of 10m"),
        (_as_is, (*RECONCILE, "--since", "2026-03-02T00:00:00"), 2, "has no time zone"),
        (_as_is, (*RECONCILE, "--since", "yesterday"), 2, "is no ISO 8601 time"),
        (_as_is, (*RECONCILE, "--skip", "authorization"), 2, "promises no 'authorization'"),
        (_as_is, (*RECONCILE, "--map", "message_id"), 2, "SIDE:THEIRS=OURS"),
        (_as_is, (*RECONCILE, "--map", "source:nope=message_id"), 2, "no column 'nope'"),
        (_as_is, (*RECONCILE, "--map", "sorce:a=b"), 2, "did you mean 'source'?"),
        (_as_is, (*RECONCILE, "--timezone", "source=Asia/Soul"), 2, "no time zone 'Asia/Soul'"),
        (_as_is, (*RECONCILE, "--outcomes", "kept.parquet"), 2, "accepts no outcomes"),
        (_as_is, (*RECONCILE, "--nope"), 2, "No such option"),
        (_as_is, ("reconcile", "day.yaml"), 2, "Missing argument"),
        (_as_is, ("run", "nope.yaml"), 2, "no job file nope.yaml"),
        (lambda p: (p / "source.parquet").write_bytes(b""), RECONCILE, 4, "source.parquet is empty"),
        (lambda p: (p / "source.parquet").write_bytes((p / "kept.parquet").read_bytes()[:-20]), RECONCILE, 4, "source.parquet"),
        (_csv(""), ("reconcile", "day.yaml", "source.csv", "kept.parquet"), 4, "source.csv is empty"),
        (_csv(HEAD + "m1,a,1,2026-03-02T00:00:00Z\n"), ("reconcile", "day.yaml", "source.csv", "kept.parquet"), 4, "line 2"),
        (
            _csv(HEAD + "m1,a,1,2026-03-02T00:00:00Z,2026-03-02T00:00:00Z\ndownloadLogs error\n"),
            ("reconcile", "day.yaml", "source.csv", "kept.parquet"), 4, "line 3, its last line,",
        ),
        (_csv("message_id,body,body,size_bytes,sent_at\n"), ("reconcile", "day.yaml", "source.csv", "kept.parquet"), 4, "'body'"),
        (
            lambda p: pl.read_parquet(p / "source.parquet").rename({"sent_at": "sentat"}).write_parquet(p / "source.parquet"),
            RECONCILE, 4, "no column 'sent_at' in source.parquet; did you mean 'sentat'?",
        ),
        (
            lambda p: pl.read_parquet(p / "source.parquet").with_columns(pl.col("sent_at").dt.replace_time_zone(None))
            .write_parquet(p / "source.parquet"),
            RECONCILE, 4, "naive timestamps",
        ),
        (
            lambda p: pl.read_parquet(p / "source.parquet").with_columns(pl.col("sent_at").dt.epoch("ms"))
            .write_parquet(p / "source.parquet"),
            RECONCILE, 4, "declared timestamp but holds int64",
        ),
        (lambda p: (p / "day.yaml").write_text("", encoding="utf-8"), RECONCILE, 2, "an empty contract promises nothing"),
        (lambda p: (p / "day.yaml").write_text("name: [", encoding="utf-8"), RECONCILE, 2, "day.yaml"),
        (
            lambda p: (p / "source.csv.gz").write_bytes(gzip.compress((HEAD * 9000).encode())[:-30]),
            ("reconcile", "day.yaml", "source.csv.gz", "kept.parquet"), 4, "source.csv.gz",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_sentence(place: Path, prepare, arguments, code, said) -> None:  # type: ignore[no-untyped-def]
    prepare(place)
    printed = call(place, *arguments, code=code)
    assert said in printed
    assert len(printed.strip().splitlines()) <= 4  # click adds two lines of usage to its own


def test_text_where_an_integer_is_promised_makes_items_invalid(place: Path, day: pl.DataFrame) -> None:
    rows = day.with_columns(pl.col("size_bytes").cast(pl.String)).with_columns(
        pl.when(pl.col("message_id") == "m3").then(pl.lit("0x10")).otherwise("size_bytes").alias("size_bytes")
    )
    rows.write_csv(place / "source.csv", datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")
    said = call(place, "reconcile", "day.yaml", "source.csv", "kept.parquet", code=1)
    assert "size_bytes does not read as integer" in said


def test_times_without_a_zone_in_text_say_the_way_out(place: Path, day: pl.DataFrame) -> None:
    day.with_columns(pl.col("sent_at", "stored_at").dt.replace_time_zone(None)).write_csv(
        place / "source.csv", datetime_format="%Y-%m-%d %H:%M:%S%.f"
    )
    said = call(place, "reconcile", "day.yaml", "source.csv", "kept.parquet", code=1)
    assert "--timezone source=UTC" in said
    call(place, "reconcile", "day.yaml", "source.csv", "kept.parquet", "--timezone", "source=UTC", code=0)


def test_a_result_that_cannot_be_written_is_said(place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "integrity", *RECONCILE, "--json", "/dev/full"],
        cwd=place, capture_output=True, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert done.returncode == 4  # an error outranks a verdict
    assert "no exception found" in done.stdout  # and the result was printed all the same
    assert "cannot write '/dev/full': No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_from_the_data_reaches_the_terminal_raw(place: Path) -> None:
    evil = "\x1b]0;owned\x07[red]x[/red]\r\n"
    frame(message(1, 1, message_id=evil)).write_parquet(place / "source.parquet")
    said = run(place, *RECONCILE, code=1)
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "[red]x[/red]" in said


def test_interrupting_ends_at_once_and_quietly(place: Path) -> None:
    many = pl.concat([frame(*(message(n, n % 30) for n in range(2000)))] * 500)
    (place / "big").mkdir()
    for copy in range(20):  # enough to be busy for a while on any machine
        many.write_parquet(place / "big" / f"{copy}.parquet")
    (place / "day.yaml").write_text(promise(unique=False).to_yaml(), encoding="utf-8")
    started = subprocess.Popen(
        [sys.executable, "-m", "integrity", "reconcile", "day.yaml", "big", "big"],
        cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(4)
    assert started.poll() is None, "it has to be interrupted in the middle"
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=30)
    assert started.returncode == 130, out + err
    assert "interrupted" in err
    assert "Traceback" not in err


def test_contracts_are_listed_shown_and_checked(place: Path) -> None:
    assert "message" in call(place, "contract", "list", code=0)
    assert "identity:" in call(place, "contract", "show", "message", code=0)
    assert "Promises completeness, accuracy, validity, timeliness" in run(
        place, "contract", "check", "day.yaml", code=0
    )
    (place / "bad.yaml").write_text("name: x\nversion: 1\nidentity: [id]\nwindows: 10m\n", encoding="utf-8")
    assert "did you mean 'window'?" in run(place, "contract", "check", "bad.yaml", code=2)


def test_a_draft_is_a_contract_that_reconciles(place: Path) -> None:
    drafted = call(place, "contract", "init", "source.parquet", "kept.parquet", "--name", "mine", code=0)
    (place / "mine.yaml").write_text(drafted, encoding="utf-8")
    assert "clock: {event: sent_at, processed: stored_at}" in drafted
    call(place, "reconcile", "mine.yaml", "source.parquet", "kept.parquet", code=0)


def test_every_command_has_help() -> None:
    """What a person can type, a person can ask about."""

    def walk(command, path):  # type: ignore[no-untyped-def]
        assert command.help, path
        for option in command.params:
            assert option.param_type_name == "argument" or option.help, (path, option)
        for name, child in getattr(command, "commands", {}).items():
            walk(child, [*path, name])

    walk(cli, ["integrity"])


def test_the_demo_finds_all_and_accuses_nobody_else(tmp_path: Path) -> None:
    said = call(tmp_path, "demo", "d", "--day", "message", "--items", "5000", "--seed", "11", code=0)
    assert "missed 0, wrongly accused 0" in said
    assert {"gateway.db", "archive", "message-day.yaml", "faults.json", "result.json"} <= set(
        os.listdir(tmp_path / "d")
    )
    again = re.search(r"integrity reconcile (.+) \\\n\s+(.+)", said)
    assert again is not None
    words = [word.strip("'") for word in (again[1] + " " + again[2]).split()]
    call(tmp_path, "reconcile", *words, code=1)  # the day it shows has faults; the demo itself passed
