"""An output destroys nothing that was read, and none of them keeps the others from being written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import integrity
from integrity.errors import UnwrittenError, UsageError
from integrity.jobs import Job
from integrity.ledger.anchors import send
from integrity.ledger.recorded import recorded
from integrity.outputs import check_targets
from tests.shell import Called, called


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "notes.yaml").write_text("name: notes\nversion: 1\nidentity: [id]\n")
    (tmp_path / "a.csv").write_text("id\n1\n2\n")
    (tmp_path / "b.csv").write_text("id\n1\n")
    (tmp_path / "link.csv").symlink_to("a.csv")
    os.link(tmp_path / "a.csv", tmp_path / "hard.csv")
    (tmp_path / "in").mkdir()
    return tmp_path


def reconciled(place: Path, *more: str) -> Called:
    return called(place, "reconcile", "notes.yaml", "a.csv", "b.csv", *more)


def octets(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}


@pytest.mark.parametrize("option", ["--html", "--json", "--junit", "--openlineage", "--prometheus"])
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("a.csv", "would overwrite the source"),
        ("in/../b.csv", "would overwrite the destination"),
        ("link.csv", "would overwrite the source"),
        ("hard.csv", "would overwrite the source"),
        ("notes.yaml", "would overwrite the contract"),
        ("l.db", "would overwrite the ledger"),
        ("l.db-wal", "would overwrite the ledger"),
        ("l.db.key", "would overwrite the ledger's key"),
        ("-", "names no file: it is not written to the screen"),
        ("", "names no file; name one, such as"),
        ("in", "is a folder"),
    ],
)
def test_what_would_destroy_is_refused_before_anything_is_read(
    place: Path, option: str, target: str, said: str
) -> None:
    assert reconciled(place, "--ledger", "l.db").returncode == 1
    before = octets(place)
    ended = reconciled(place, "--ledger", "l.db", option, target)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"{option} " in ended.stderr
    assert said in ended.stderr
    assert octets(place) == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--html", "x", "--json", "./x"], "--json and --html name the same file, x"),
        (["--json", "x.json", "--junit", "x.breaks.jsonl"], "what --json writes beside and --junit name the same file"),
        (["--html", "in/r.html", "--json", "absent/j.json"], "there is no folder absent"),
    ],
)
def test_outputs_do_not_meet(place: Path, more: list[str], said: str) -> None:
    ended = reconciled(place, *more)
    assert ended.returncode in (2, 4)
    assert said in ended.stderr
    assert not list((place / "in").iterdir())


@pytest.mark.parametrize(
    ("output", "read", "refused"),
    [
        ("in/r.html", "in", True),
        ("in/r.html", "tree:in?cache=digests.db", True),
        ("digests.db", "tree:in?cache=digests.db", True),
        ("in/r.html", "in/*.html", True),
        ("in/r.html", "in/*.csv", False),
        ("in/deep/r.html", "in/*.html", False),
        ("in/deep/r.html", "in/**/*.html", True),
        ("x.db", "sqlite:///x.db#outbox", True),
        ("x.db", {"url": "sqlite:///x.db", "query": "SELECT 1"}, True),
        ("x", "sqlite:///y.db#x", False),
        ("sent.mbox", "mbox:sent.mbox", True),
        ("srv", "imaps://user@srv/#INBOX", False),
        ("bucket/r.html", "s3://bucket/", False),
        ("/dev/null", "/dev/null", False),
        ("r.html", pl.DataFrame(), False),
    ],
)
def test_what_a_store_names_is_known_by_its_url(
    place: Path, monkeypatch: pytest.MonkeyPatch, output: str, read: object, refused: bool
) -> None:
    monkeypatch.chdir(place)
    if not refused:
        check_targets({"html": output}, {"the source": read})
        return
    with pytest.raises(UsageError, match="the source"):
        check_targets({"html": output}, {"the source": read})


def test_python_refuses_what_it_can_know(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    before = octets(place)
    result = integrity.reconcile("notes.yaml", "a.csv", "b.csv", ledger="l.db")
    for write in (result.to_html, result.to_json):
        for path in ("a.csv", Path("link.csv"), "notes.yaml", "l.db", "", "-", "a\0b", 5, b"x"):
            with pytest.raises(UsageError):
                write(path)  # type: ignore[operator]
    with pytest.raises(UsageError, match="would overwrite the ledger"):
        recorded("l.db").to_html("l.db")
    from integrity.ledger import Ledger

    with pytest.raises(UsageError, match="would overwrite the ledger"):
        send(Ledger.open("l.db"), "l.db")
    assert before.items() <= octets(place).items()


def test_a_report_does_not_overwrite_what_it_is_made_from(place: Path) -> None:
    assert reconciled(place, "--ledger", "l.db").returncode == 1
    assert called(place, "ledger", "export", "p.zip", "--ledger", "l.db").returncode == 0
    before = octets(place)
    for arguments in (
        ("ledger", "report", "--ledger", "l.db", "--html", "l.db"),
        ("report", "p.zip", "--html", "p.zip"),
    ):
        ended = called(place, *arguments)
        assert ended.returncode == 2
        assert "would overwrite the" in ended.stderr
    assert octets(place) == before


def test_a_job_does_not_either(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    said = "contract: notes.yaml\nsource: a.csv\ndestination: b.csv\nledger: l.db\n"
    for line, why in (
        ("html: job.yaml", "html job.yaml would overwrite the job"),
        ("json: l.db", "json l.db would overwrite the ledger"),
        ("html: x\njunit: x", "html and junit name the same file"),
        ("junit: c.txt\ncheckpoints: [c.txt]", "name the same file"),
        ("lang: ko", "lang is of the report, and none is written"),
    ):
        Path("job.yaml").write_text(said + line)
        with pytest.raises(UsageError, match=why):
            Job.from_yaml("job.yaml")
    with pytest.raises(UsageError, match=r"json a\.csv would overwrite the source"):
        Job("notes.yaml", "a.csv", "b.csv", json="a.csv").run()
    assert not Path("l.db").exists()


def test_what_can_be_written_is_written_and_the_rest_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    Path("job.yaml").write_text(
        "contract: notes.yaml\nsource: a.csv\ndestination: b.csv\nledger: l.db\n"
        "json: gone/r.json\nhtml: r.html\njunit: gone/j.xml\nprometheus: m.prom\n"
    )
    ended = called(place, "run", "job.yaml")
    assert ended.returncode == 4
    assert "gone/r.json" in ended.stderr
    assert "gone/j.xml" in ended.stderr
    assert "notes: fail: 1 break" in ended.stdout  # it was carried out, and is on record
    assert "on record as run" in ended.stdout
    assert Path("r.html").exists()
    assert Path("m.prom").exists()
    with pytest.raises(UnwrittenError) as told:
        Job.from_yaml("job.yaml").run()
    assert told.value.result.totals["lost"] == 1


def test_files_are_written_although_nobody_reads_the_screen(place: Path) -> None:
    code = "import sys; from integrity.cli import main; main(sys.argv[1:])"
    reader, writer = os.pipe()
    os.close(reader)  # as `| head` does when it has seen enough
    arguments = ["reconcile", "notes.yaml", "a.csv", "b.csv", "--html", "h.html", "--json", "j.json"]
    with os.fdopen(writer, "wb") as closed:
        ended = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=place, stdout=closed, stderr=subprocess.PIPE, text=True
        )
    assert ended.returncode == 4
    assert "Traceback" not in ended.stderr
    assert json.loads((place / "j.json").read_text())["verdict"] == "fail"
    assert (place / "h.html").read_text().startswith("<!doctype html>")


def test_a_checkpoint_that_cannot_be_sent_keeps_no_output_back(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    Path("file").write_text("no folder")
    for more in ("", "until: '2026-01-01T00:00:00Z'\nas_of: '2026-02-01T00:00:00Z'\n"):
        Path("clocked.yaml").write_text("name: clocked\nversion: 1\nidentity: [id]\nclock: {event: at}\n")
        Path("c.csv").write_text("id,at\n1,2025-01-01T00:00:00Z\n")
        Path("job.yaml").write_text(
            "contract: clocked.yaml\nsource: c.csv\ndestination: c.csv\nledger: l.db\nhtml: r.html\n"
            f"checkpoints: [file/held.txt, sent.txt]\n{more}"
        )
        ended = called(place, "run", "job.yaml")
        assert ended.returncode == 4
        assert "file/held.txt" in ended.stderr
        assert "clocked: " in ended.stdout
        assert Path("r.html").exists()
        assert Path("sent.txt").exists()
        Path("r.html").unlink()
        Path("sent.txt").unlink()


@pytest.mark.parametrize("option", ["--lang", "--zone"])
def test_what_is_said_of_a_report_wants_one(place: Path, option: str) -> None:
    ended = reconciled(place, option, "ko")
    assert ended.returncode == 2
    assert f"{option} is of the report, and none is written; give --html FILE" in ended.stderr


def test_breaks_of_an_earlier_result_do_not_stay_beside(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr("integrity.result.BREAKS_IN_JSON", 0)
    integrity.reconcile("notes.yaml", "a.csv", "b.csv").to_json("j.json")
    assert len(Path("j.breaks.jsonl").read_text().splitlines()) == 1
    integrity.reconcile("notes.yaml", "a.csv", "a.csv").to_json("j.json")
    assert not Path("j.breaks.jsonl").exists()
