"""Whoever passes the API by meets the triggers; whoever passes these by is named, in the ledger and in its packs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

import integrity
from integrity.errors import IntegrityError, LedgerError, UsageError
from integrity.ledger import Ledger, evidence, schema, verify
from integrity.ledger.cases import trace
from integrity.ledger.casework import confirm, dispose, propose, reopen, require
from integrity.ledger.guards import guards, making
from integrity.ledger.listing import breaks
from integrity.ledger.persons import named_person, same_person
from integrity.ledger.samples import draw_runs
from integrity.merkle import leaf_hash
from integrity.packs import export, verify_pack
from integrity.packs.files import PackError

from . import books

pytestmark = pytest.mark.usefixtures("_quick")
WHY: dict[str, Any] = {"reason": "looked at", "reference": "T-1"}
NOTES = integrity.Contract(name="notes", version=1, identity=["id"])
SENT = pl.DataFrame({"id": ["1", "2", "3", "4"]})


#: What is one database's own.
ON_SQLITE = pytest.mark.parametrize("place", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("place", ["postgresql"], indirect=True)


@pytest.fixture
def book(place: str) -> Ledger:
    """A ledger in which kim found two breaks."""
    ledger = Ledger.open(place, operator="kim", origin="example.org/test")
    find(ledger)
    return ledger


def find(book: Ledger, operator: str = "kim", lost: int = 2) -> None:
    integrity.reconcile(NOTES, SENT, SENT[lost:], ledger=replace(book, operator=operator))


def rows(book: Ledger, name: str) -> list[list[Any]]:
    shown = trace(books.place(book), name, environment=book.environment).filter(what="found")
    return [list(row) for row in shown.select("run", "number").iter_rows()]


def written(
    book: Ledger, connection: sa.Connection, step: str, kind: str, by: str, of: Sequence[Sequence[Any]], **said: Any
) -> int:
    """Write a step and its rows, hashed, signed and with its reason, as whoever has the key can."""
    body: dict[str, Any] = {
        "step": step, "rows": list(of), "follows": None, "disposition": kind, "reference": "T-1", "control": None,
        "by": by, "operator": book.operator, "reason": None,
    } | said  # fmt: skip
    if step != "confirmed":
        leaf = connection.execute(sa.select(sa.func.max(schema.leaves.c.number))).scalar_one() + 1
        secret, body["reason"] = evidence.private(of[-1][0], "disposition", leaf, {"reason": "raw"})
        connection.execute(schema.secrets.insert(), secret.to_dicts())
    number = book.said(connection, "disposition", body).number
    for run, place in of:
        values = {"leaf": number, "run": run, "number": place, "step": step, "disposition": kind, "by": by}
        connection.execute(schema.dispositions.insert().values(**values))
    return number


def unguarded(book: Ledger, *args: Any, **said: Any) -> int:
    """The same while nothing refuses it: the triggers are taken away, and put back as they were."""
    with book.database.writing() as connection:
        dialect = connection.dialect.name
        on = " ON dispositions" if dialect == "postgresql" else ""
        for guard in guards(dialect):
            if guard.table == "dispositions":
                connection.execute(sa.text(f"DROP TRIGGER {guard.name}{on}"))
        leaf = written(book, connection, *args, **said)
        for sql in making(dialect, "dispositions"):
            connection.execute(sa.text(sql.replace(":", "\\:")))
    return leaf


def refused(book: Ledger, *args: Any, **said: Any) -> None:
    with pytest.raises(LedgerError, match="refuses this disposition"), book.database.writing() as connection:
        written(book, connection, *args, **said)


def named(book: Ledger, leaf: int, why: str, folder: Path) -> None:
    """The step is named by who verifies, and no pack comes of the ledger."""
    findings = verify(books.place(book)).findings
    assert [(each.leaf, each.table, each.what) for each in findings] == [(leaf, "leaves", "inserted")]
    assert why in findings[0].why
    with pytest.raises(PackError, match="does not fit together"):
        export(book, folder / "pack.zip")


# --- several breaks in one leaf
# ------------------------------------------------------------------------------------------


def test_a_proposal_is_not_confirmed_along_with_another_ones(book: Ledger, tmp_path: Path) -> None:
    """lee confirms what lee proposed, in a leaf that follows what ann proposed about something else."""
    one, two = breaks(books.place(book))["id"]
    propose(book, one, "timing", by="lee", **WHY)
    (last,) = propose(book, two, "timing", by="ann", **WHY)
    of = rows(book, one) + rows(book, two)
    refused(book, "confirmed", "timing", "lee", of, follows=last)
    named(book, unguarded(book, "confirmed", "timing", "lee", of, follows=last), "several breaks", tmp_path)


def test_nor_is_a_break_disposed_of_along_with_an_open_one(book: Ledger, tmp_path: Path) -> None:
    one, two = breaks(books.place(book))["id"]
    dispose(book, one, "timing", by="lee", **WHY)
    of = rows(book, one) + rows(book, two)
    (first,) = trace(books.place(book), one).filter(what="disposed")["leaf"]
    refused(book, "disposed", "false-positive", "lee", of, follows=first)
    named(book, unguarded(book, "disposed", "false-positive", "lee", of, follows=first), "several breaks", tmp_path)


def test_nor_one_of_production_along_with_one_of_a_test(book: Ledger, tmp_path: Path) -> None:
    find(replace(book, environment="test"), "zed", lost=3)
    one = breaks(books.place(book))["id"][0]
    other = breaks(books.place(book), environment="test")["id"][0]
    of = rows(book, one) + rows(replace(book, environment="test"), other)
    refused(book, "disposed", "timing", "lee", of)
    named(book, unguarded(book, "disposed", "timing", "lee", of), "several breaks", tmp_path)


# --- past the triggers
# ---------------------------------------------------------------------------------------------------


def by_the_runner(book: Ledger, one: str) -> tuple[str, dict[str, Any]]:
    return "kim ran", {"step": "disposed", "by": "kim"}


def by_the_proposer(book: Ledger, one: str) -> tuple[str, dict[str, Any]]:
    (leaf,) = propose(book, one, "timing", by="lee", **WHY)
    return "lee proposed", {"step": "confirmed", "by": "lee", "follows": leaf}


def again(book: Ledger, one: str) -> tuple[str, dict[str, Any]]:
    (leaf,) = dispose(book, one, "timing", by="lee", **WHY)
    return "is disposed of as timing by lee already", {"step": "disposed", "by": "ann", "follows": leaf}


def against_a_ruling(book: Ledger, one: str) -> tuple[str, dict[str, Any]]:
    require(book, ["timing"], by="ann", reason="policy")
    return "has to be confirmed by somebody else", {"step": "disposed", "by": "lee"}


def of_nothing(book: Ledger, one: str) -> tuple[str, dict[str, Any]]:
    return "nothing is proposed", {"step": "confirmed", "by": "lee"}


def without_control(book: Ledger, one: str) -> tuple[str, dict[str, Any]]:
    return "compensating control", {"step": "disposed", "by": "lee", "kind": "accepted"}


def without_reference(book: Ledger, one: str) -> tuple[str, dict[str, Any]]:
    return "names its reference", {"step": "disposed", "by": "lee", "reference": None}


def out_of_order(book: Ledger, one: str) -> tuple[str, dict[str, Any]]:
    leaves = dispose(book, one, "timing", by="lee", **WHY)
    reopen(book, one, reason="no", by="ann")
    return "it follows leaf", {"step": "disposed", "by": "lee", "follows": leaves[0]}


@pytest.mark.parametrize(
    "way",
    [by_the_runner, by_the_proposer, again, against_a_ruling, of_nothing, without_control, without_reference, out_of_order],
)  # fmt: skip
def test_what_was_written_while_nothing_refused_it_is_named(
    book: Ledger, tmp_path: Path, way: Callable[[Ledger, str], tuple[str, dict[str, Any]]]
) -> None:
    one = breaks(books.place(book))["id"][0]
    why, told = way(book, one)
    assert verify(books.place(book)).is_sound
    step, by, kind = told.pop("step"), told.pop("by"), told.pop("kind", "timing")
    named(book, unguarded(book, step, kind, by, rows(book, one), **told), why, tmp_path)


def test_a_row_that_is_left_out_is_named(book: Ledger, tmp_path: Path) -> None:
    """sam ran it, too; a leaf without sam's row would let sam decide."""
    one = breaks(books.place(book))["id"][0]
    find(book, "sam")
    leaf = unguarded(book, "disposed", "timing", "sam", rows(book, one)[:1])
    findings = verify(books.place(book)).findings
    assert [(each.leaf, each.what) for each in findings] == [(leaf, "inserted")]
    assert "leaves out" in findings[0].why


def test_a_pack_of_some_runs_names_what_can_be_seen_there(book: Ledger, tmp_path: Path) -> None:
    """Runs that are elsewhere are not held against anybody."""
    one, two = breaks(books.place(book))["id"]
    find(book, "sam")
    propose(book, one, "timing", by="lee", **WHY)
    confirm(book, one, by="ann")
    dispose(book, two, "timing", by="lee", **WHY)
    reopen(book, two, reason="no", by="ann")
    name = rows(book, one)[1][0]
    assert verify_pack(export(book, tmp_path / "some.zip", run=name)).exit_code == 0
    assert verify_pack(export(book, tmp_path / "all.zip")).exit_code == 0
    assert verify_pack(export(book, tmp_path / "hidden.zip", pseudonymise=tmp_path / "key")).exit_code == 0
    unguarded(book, "disposed", "timing", "sam", rows(book, two), follows=last(book, two))
    with pytest.raises(PackError, match="does not fit together"):
        export(book, tmp_path / "bad.zip", run=name)


def last(book: Ledger, name: str) -> int:
    return int(trace(books.place(book), name).filter(pl.col("by").is_not_null())["leaf"][-1])


# --- past the protection of tables
# ------------------------------------------------------------------------------------------


@ON_SQLITE
def test_nothing_is_written_over(book: Ledger) -> None:
    """INSERT OR REPLACE deletes without firing a trigger on deletion."""
    dispose(book, breaks(books.place(book))["id"][0], "timing", by="lee", **WHY)
    for table in schema.PROTECTED:
        with book.database.reading() as connection:
            row = connection.execute(sa.select(table)).mappings().first()
        if row is None:
            continue
        insert = f"INSERT OR REPLACE INTO {table.name} SELECT * FROM {table.name} LIMIT 1"
        with pytest.raises(LedgerError, match="append-only"), book.database.writing() as connection:
            connection.execute(sa.text(insert))
    assert verify(books.place(book)).is_sound


SHAPES = (
    ("CREATE TRIGGER {0} BEFORE INSERT ON dispositions FOR EACH ROW WHEN (false) EXECUTE FUNCTION integrity_{0}()", True),
    ("CREATE TRIGGER {0} BEFORE UPDATE ON dispositions FOR EACH ROW EXECUTE FUNCTION integrity_{0}()", True),
    ("CREATE TRIGGER {0} BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION integrity_{0}()", True),
    ("ALTER TABLE dispositions ENABLE REPLICA TRIGGER {0}", False),
    ("ALTER TABLE dispositions DISABLE TRIGGER {0}", False),
    ("ALTER FUNCTION integrity_{0}() RESET search_path", False),
)  # fmt: skip


@ON_POSTGRESQL
@pytest.mark.parametrize(("statement", "anew"), SHAPES)
def test_a_trigger_that_no_longer_does_its_work_is_named(book: Ledger, statement: str, anew: bool) -> None:
    name = "dispositions_of_the_runner_refused"
    with book.database.writing() as connection:
        if anew:
            connection.execute(sa.text(f"DROP TRIGGER {name} ON dispositions"))
        connection.execute(sa.text(statement.format(name)))
    (finding,) = verify(books.place(book)).findings
    assert (finding.table, finding.row, finding.what) == ("triggers", name, "changed")


@ON_POSTGRESQL
def test_a_rule_or_an_heir_beside_a_table_is_named(book: Ledger) -> None:
    with book.database.writing() as connection:
        connection.execute(sa.text("CREATE TABLE heir () INHERITS (dispositions)"))
        connection.execute(sa.text("CREATE RULE over AS ON INSERT TO seals DO INSTEAD NOTHING"))
    assert {(each.row, each.what) for each in verify(books.place(book)).findings} == {
        ("heir", "inserted"), ("over", "inserted"),
    }  # fmt: skip


@ON_POSTGRESQL
def test_a_temporary_table_is_not_taken_for_the_ledgers(book: Ledger) -> None:
    """Whoever may only read and insert makes an empty table called runs, and is nobody's runner there."""
    one = breaks(books.place(book))["id"][0]
    of = rows(book, one)
    with pytest.raises(LedgerError, match="who ran it does not"), book.database.writing() as connection:
        connection.execute(sa.text("CREATE TEMP TABLE runs AS SELECT * FROM runs WHERE false"))
        written(book, connection, "disposed", "timing", "kim", of)


@ON_SQLITE
def test_a_name_that_stands_twice_in_a_leaf_is_named(book: Ledger) -> None:
    """One program reads the first of two, another the last: who ran it would be two persons."""
    with book.database.writing() as connection:
        number, body = connection.execute(sa.text("SELECT number, body FROM leaves WHERE kind = 'started'")).one()
        double = body[:-1] + ',"operator":"nobody"}'
        assert json.loads(double)["operator"] == "nobody"
        connection.execute(sa.text("DROP TRIGGER leaves_update_refused"))
        connection.execute(
            sa.text("UPDATE leaves SET body = :body, hash = :hash WHERE number = :number"),
            {"body": double, "hash": leaf_hash(double.encode()).hex(), "number": number},
        )
    whys = {each.why for each in verify(books.place(book)).findings if each.leaf == number}
    assert "it has another hash, or is no object of names that each stand once" in whys


# --- persons
# -------------------------------------------------------------------------------------------------------------

LOOKALIKES = [
    "Kim",
    " kim ",
    "k\u00edm".replace("\u00ed", "i"),
    "ＫＩＭ",
    "kim\ufe0f",
    "ki\u034fm",
    "ki\u200bm",
    "k\u3164im",
]


@pytest.mark.parametrize("name", LOOKALIKES)
def test_who_looks_like_the_runner_is_the_runner(book: Ledger, name: str, tmp_path: Path) -> None:
    assert same_person("kim", name)
    one = breaks(books.place(book))["id"][0]
    with pytest.raises(UsageError):
        dispose(book, one, "timing", by=name, **WHY)
    named(book, unguarded(book, "disposed", "timing", name, rows(book, one)), "ran", tmp_path)


@pytest.mark.parametrize(
    "name", ["l\u0435\u0435", "k\u0456m", "le\u202ee", "a\ufe0f", "\x1b[31mkim", "a\ud800", "  ", "ann\u0000"]
)
def test_names_that_nobody_can_read_are_not_taken(book: Ledger, name: str) -> None:
    with pytest.raises(UsageError):
        named_person("by", name)
    one = breaks(books.place(book))["id"][0]
    with pytest.raises(UsageError):
        dispose(book, one, "timing", by=name, **WHY)
    if name.strip() and "\x00" not in name:
        with pytest.raises(UsageError):
            Ledger.open(books.place(book), operator=name)


@pytest.mark.parametrize(
    "name", ["김민준", "José", "Ольга Kim", "Ængus", "山田 太郎", "O'Neil-Smith (ops)", "ann@acme.example"]
)
def test_names_of_all_the_world_are_taken(name: str) -> None:
    assert named_person("by", f"  {name} ") == name
    assert same_person(name, name.upper())
    assert not same_person(name, "lee")


def test_a_plain_mistake_is_a_sentence(book: Ledger) -> None:
    one: Any = breaks(books.place(book))["id"][0]
    wrong: list[Callable[[], Any]] = [
        lambda: dispose(book, one, "timing", by=None, **WHY),  # type: ignore[arg-type]
        lambda: dispose(book, one, "timing", by="lee", reason=None, reference="T"),  # type: ignore[arg-type]
        lambda: dispose(book, None, "timing", by="lee", **WHY),  # type: ignore[arg-type]
        lambda: dispose(book, [5], "timing", by="lee", **WHY),  # type: ignore[list-item]
        lambda: dispose("ledger.db", one, "timing", by="lee", **WHY),  # type: ignore[arg-type]
        lambda: require("ledger.db", ["timing"], by="lee", reason="x"),  # type: ignore[arg-type]
        lambda: draw_runs(book, since="2026", by="han"),  # type: ignore[arg-type]
        lambda: draw_runs(book, by=None),  # type: ignore[arg-type]
    ]
    for each in wrong:
        with pytest.raises(UsageError):
            each()


@pytest.mark.parametrize("text", ["a\x1b]0;x\x07", "a\ud800", "a\nb", "a\u202eb"])
def test_a_control_is_one_line_of_plain_text(book: Ledger, text: str) -> None:
    one = breaks(books.place(book))["id"][0]
    with pytest.raises(UsageError, match="control holds signs that no screen shows"):
        dispose(book, one, "accepted", by="lee", control=text, **WHY)
    with pytest.raises(IntegrityError):
        dispose(book, one, "timing", by="lee", reason=text if "\n" not in text else " ", reference="T")
