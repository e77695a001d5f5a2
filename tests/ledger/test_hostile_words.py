"""Words of persons and of data on the screens of a ledger, and in what other tools read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest

import integrity
from integrity.ledger import Ledger
from integrity.ledger.anchors import send
from integrity.ledger.changing import approve
from integrity.ledger.listing import breaks
from integrity.ledger.samples import draw_runs
from tests.shell import called

from . import books

#: Markup that would be a mistake, a word that Rich makes a picture, an escape, a line that goes on to the left, half a character.
HOSTILE = "[/x][red]a[/red] :bomb: \x1b[31m\x9b31m\u202eb\nc"


#: What a person may be called, for it is plain text on one line.
BRACKETS = "[/x][red]a[/red] :bomb:"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger in which everything that may be any text is one that would do harm."""
    place = tmp_path_factory.mktemp("hostile")
    book = Ledger.open(place / "ledger.db", operator=BRACKETS)
    items = books.sent(10)
    result = integrity.reconcile(books.promise(), items, books.damaged(items), ledger=book, pipeline=HOSTILE)
    assert result.recorded
    approve(book, books.promise(), approver="ann[x]", ticket="[policy 4] x")
    draw_runs(book, seed=HOSTILE, by="han[/x]")
    send(book, str(place / "held.txt"), party=HOSTILE)
    notes = integrity.Contract(name="notes", version=3, identity=["[/red]", "b"])
    frame = pl.DataFrame({"[/red]": [HOSTILE], "b": ["[/x]"]})
    frame.write_parquet(place / "hostile.parquet")
    frame[:0].write_parquet(place / "empty.parquet")
    (place / "hostile.yaml").write_text(notes.to_yaml())
    (place / "job.yaml").write_text(
        "contract: hostile.yaml\nsource: hostile.parquet\ndestination: empty.parquet\nledger: ledger.db\n"
    )
    return place


def harmless(text: str) -> bool:
    return not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_every_screen_of_the_ledger_shows_what_was_said_and_obeys_none_of_it(place: Path) -> None:
    name = breaks(place / "ledger.db", pipeline=HOSTILE)["id"][0]
    for arguments in (
        ["ledger", "runs"],
        ["ledger", "breaks", "--identities"],
        ["ledger", "changes"],
        ["ledger", "samples"],
        ["ledger", "trace", name],
        ["ledger", "verify"],
        ["ledger", "show", "2"],
        ["status", "--period", "2026-03-01"],
        ["reconcile", "hostile.yaml", "hostile.parquet", "empty.parquet"],
        ["ledger", "sample-items", "job.yaml", "--by", "kim", "--seed", "[/x]\x1b[31m"],
        ["ledger", "dispose", "[/x]\x1b[31m", "--as", "timing", "--reason", "x", "--reference", "T", "--by", "lee"],
        ["ledger", "runs", "--pipeline", "[/x]\x1b[31m"],
        ["notebook", "[/x]\x1b[31m"],
        ["contract", "check", "[/x]\x1b[31m.yaml"],
    ):
        more = ["--ledger", "ledger.db"] if arguments[0] in ("ledger", "status", "notebook") else []
        ended = called(place, *arguments, *more)
        assert "unexpected" not in ended.stderr, arguments
        assert "Traceback" not in ended.stderr + ended.stdout
        assert harmless(ended.stdout), arguments
        assert harmless(ended.stderr), arguments
    said = called(place, "ledger", "changes", "--ledger", "ledger.db").stdout
    assert "ann[x]" in said
    assert "[policy 4] x" in said
    assert BRACKETS in called(place, "ledger", "trace", name, "--ledger", "ledger.db").stdout
    assert f"{BRACKETS} ␛[31m" in called(place, "ledger", "runs", "--ledger", "ledger.db").stdout


@pytest.mark.parametrize("verb", ["runs", "breaks", "changes", "samples", "trace"])
def test_what_a_verb_lists_is_there_for_other_tools(place: Path, verb: str) -> None:
    name = breaks(place / "ledger.db", pipeline=HOSTILE)["id"][0]
    more = [name] if verb == "trace" else []
    ended = called(place, "ledger", verb, *more, "--ledger", "ledger.db", "--json")
    assert ended.returncode == 0
    assert harmless(ended.stdout)
    rows = json.loads(ended.stdout)
    assert rows
    for row in rows:
        assert re.fullmatch(r"[0-9-]{10}T[0-9:.]{15}Z", row.get("at") or row["first_at"])
    columns = {
        "runs": ["run", "pipeline", "contract", "environment", "at", "how", "verdict", "ended", "breaks"],
        "changes": ["at", "leaf", "pipeline", "what", "before", "after"],
        "trace": [
            "leaf",
            "at",
            "what",
            "run",
            "number",
            "disposition",
            "by",
            "operator",
            "reference",
            "control",
            "reason",
        ],
    }
    assert list(rows[0]) == columns.get(verb, list(rows[0]))


def test_identities_are_in_the_json_only_if_asked_for(place: Path) -> None:
    verb = ["ledger", "breaks", "--ledger", "ledger.db", "--json", "--last", "1"]
    (row,) = json.loads(called(place, *verb).stdout)
    assert "identity" not in row
    (row,) = json.loads(called(place, *verb, "--identities").stdout)
    assert set(row["identity"]) == {"tenant", "id"}


def test_a_ledger_without_runs_lists_none(tmp_path: Path) -> None:
    Ledger.open(tmp_path / "ledger.db")
    for verb in ("runs", "breaks", "changes", "samples"):
        assert json.loads(called(tmp_path, "ledger", verb, "--ledger", "ledger.db", "--json").stdout) == []
