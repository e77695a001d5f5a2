"""Whatever is changed in a ledger, verifying names it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrity.ledger import schema, verify
from integrity.ledger.erasing import erase
from integrity.ledger.keys import LedgerKey
from integrity.ledger.rows import digests, frame_of

from . import books


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ledger")
    books.filled(folder)
    assert verify(folder / "ledger.db").is_sound
    return folder


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with rows in each of its tables."""
    folder = tmp_path_factory.mktemp("every")
    book = books.filled(folder, seal="merkle")
    books.healed(folder, book)
    books.decided(book)
    assert erase(book, {"id": "note-8"}, basis="art. 17", by="dpo") > 1
    assert verify(folder / "ledger.db").is_sound
    return folder


@contextmanager
def tampered(original: Path, folder: Path) -> Iterator[sqlite3.Connection]:
    """A copy of the ledger whose owner can do anything: the triggers are gone, and come back afterwards."""
    shutil.copytree(original, folder, dirs_exist_ok=True)
    with closing(sqlite3.connect(folder / "ledger.db", isolation_level=None)) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for _, sql in triggers:
            connection.execute(sql)


def named(folder: Path) -> tuple[str, str, str]:
    """The first finding: what, in which table, which row."""
    verified = verify(folder / "ledger.db")
    assert verified.exit_code == 1
    assert verified.headline().startswith("tampered: ")
    return verified.findings[0].what, verified.findings[0].table, verified.findings[0].row


def run_of(connection: sqlite3.Connection, number: int) -> str:
    return str(connection.execute("SELECT run FROM runs ORDER BY leaf").fetchall()[number][0])


CHANGES = {
    "a count": ("UPDATE batches SET lost = 0 WHERE run = :run AND number = 0", "changed", "batches", "row 0 of run"),
    "a verdict": ("UPDATE batches SET verdict = 'skipped' WHERE run = :run AND number = 1", "changed", "batches", "row 1"),
    "a break": ("UPDATE breaks SET kind = 'late' WHERE run = :run AND number = 2", "changed", "breaks", "row 2 of run"),
    "its reason": ("UPDATE secrets SET body = '{}' WHERE run = :run AND scope = 'break' AND number = 1", "changed", "secrets", "break row 1"),
    "a contract": ("UPDATE contracts SET body = replace(body, 'integer', 'text')", "changed", "contracts", "contract"),
    "a time": ("UPDATE runs SET at = '2026-01-01T00:00:00.000000Z' WHERE run = :run", "changed", "runs", "run"),
    "a window": ("UPDATE endings SET closed_until = NULL WHERE run = :run", "changed", "endings", "run"),
    "a leaf": ("UPDATE leaves SET body = replace(body, 'fail', 'pass') WHERE number = 2", "changed", "leaves", "leaf 2"),
    "a row": ("DELETE FROM breaks WHERE run = :run AND number = 1", "removed", "breaks", "row 1 of run"),
    "the last break": ("DELETE FROM breaks WHERE run = :run AND number = (SELECT max(number) FROM breaks WHERE run = :run)", "removed", "breaks", "row 3"),
    "all private": ("DELETE FROM secrets WHERE run = :run AND scope = 'break'", "removed", "secrets", "break row 0"),
    "a whole run": ("DELETE FROM batches WHERE run = :run", "removed", "batches", "row 0 of run"),
    "a middle leaf": ("DELETE FROM leaves WHERE number = 1", "removed", "leaves", "leaf 1"),
    "a leaf far off": ("UPDATE leaves SET number = 4611686018427387904 WHERE number = 4", "inserted", "leaves", "leaf 4611686018427387904"),
    "a leaf and its checkpoint": ("DELETE FROM leaves WHERE number = 3; DELETE FROM checkpoints WHERE size = 4", "removed", "leaves", "leaf 3"),
    "an invented batch": ("INSERT INTO batches SELECT run, 99, key, facts, batch_start, batch_end, 1,1,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0, source_hash, destination_hash, NULL, NULL, NULL, 'pass','pass','pass','pass',NULL,'pass', commitment, hash FROM batches WHERE run = :run AND number = 0", "inserted", "batches", "row 99"),
    "an invented text": ("INSERT INTO secrets VALUES (:run, 'break', 77, NULL, '00', '{}')", "inserted", "secrets", "break row 77"),
    "an invented erasure": ("DELETE FROM secrets WHERE run = :run AND scope = 'break' AND number = 1; INSERT INTO erasures VALUES (:run, 'break', 1, 2)", "inserted", "erasures", "break row 1"),
    "two rows swapped": ("UPDATE breaks SET number = CASE number WHEN 0 THEN -1 ELSE 0 END WHERE run = :run AND number < 2 AND number > -1 AND number = 0; UPDATE breaks SET number = 0 WHERE run = :run AND number = 1; UPDATE breaks SET number = 1 WHERE run = :run AND number = -1", "reordered", "breaks", "row 0 of run"),
    "two leaves swapped": ("UPDATE leaves SET number = -1 WHERE number = 1; UPDATE leaves SET number = 1 WHERE number = 2; UPDATE leaves SET number = 2 WHERE number = -1", "reordered", "leaves", "leaf 1"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_each_change_is_named(original: Path, tmp_path: Path, what: str) -> None:
    script, how, table, row = CHANGES[what]
    with tampered(original, tmp_path) as connection:
        run = run_of(connection, 0)
        for statement in script.split("; "):
            connection.execute(statement, {"run": run})
        assert connection.total_changes
    found = named(tmp_path)
    assert found[:2] == (how, table)
    assert found[2].startswith(row)


def test_the_last_run_is_missed_by_a_checkpoint_that_is_held(original: Path, tmp_path: Path) -> None:
    with tampered(original, tmp_path) as connection:
        held = connection.execute("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1").fetchone()[0]
        run = run_of(connection, 1)
        for table in ("runs", "endings", "batches", "breaks", "secrets"):
            connection.execute(f"DELETE FROM {table} WHERE run = ?", [run])
        connection.execute("DELETE FROM leaves WHERE number > 2")
        connection.execute("DELETE FROM checkpoints WHERE size > 3")
    assert verify(tmp_path / "ledger.db").is_sound  # from within nobody can see it, and the claim says so
    assert str(verify(tmp_path / "ledger.db").claim).startswith("no checkpoint was sent out")
    found = verify(tmp_path / "ledger.db", held=[held])
    assert (found.findings[0].what, found.findings[0].row) == ("removed", "leaf 3")


def test_an_old_checkpoint_replayed_as_the_last_one_is_named(original: Path, tmp_path: Path) -> None:
    with tampered(original, tmp_path) as connection:
        connection.execute("UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE size = 2) WHERE size = 5")
    assert named(tmp_path) == ("changed", "checkpoints", "checkpoint 5")


def test_rows_changed_together_with_their_digests_do_not_have_the_root_of_their_leaf(
    original: Path, tmp_path: Path
) -> None:
    with tampered(original, tmp_path) as connection:
        run = run_of(connection, 0)
        connection.execute("UPDATE batches SET lost = 0, matched = matched + 1 WHERE run = ? AND lost = 1", [run])
        rows = connection.execute("SELECT * FROM batches WHERE run = ? ORDER BY number", [run]).fetchall()
        for row, digest in zip(rows, digests(schema.batches, frame_of(schema.batches, rows)), strict=True):
            connection.execute("UPDATE batches SET hash = ? WHERE run = ? AND number = ?", [digest, run, row[1]])
    what, table, row = named(tmp_path)
    assert (what, table) == ("changed", "batches")
    assert row.startswith("one of the ")


def test_a_log_written_anew_with_another_key_is_not_the_one_that_was_signed(original: Path, tmp_path: Path) -> None:
    was = LedgerKey.read(original / "ledger.db.key").public
    with closing(sqlite3.connect(original / "ledger.db")) as connection:
        held = connection.execute("SELECT note FROM checkpoints WHERE size = 3").fetchone()[0]
    books.filled(tmp_path)
    assert verify(tmp_path / "ledger.db").is_sound
    found = verify(tmp_path / "ledger.db", key=was).findings
    assert [(each.what, each.row) for each in found] == [("unsigned", "leaf 0")]
    found = verify(tmp_path / "ledger.db", held=[held]).findings
    assert [(each.what, each.row) for each in found] == [("unsigned", "checkpoint 3")]


def test_a_signature_by_another_key_is_named(original: Path, tmp_path: Path) -> None:
    """Whoever has the database and not the key can compute every hash anew, and cannot sign."""
    forged = LedgerKey.made("example.org/test")
    with tampered(original, tmp_path) as connection:
        forge(connection, forged, from_leaf=3)
    assert named(tmp_path) == ("unsigned", "leaves", "leaf 3")


def forge(connection: sqlite3.Connection, key: LedgerKey, from_leaf: int) -> None:
    """Write a log anew from some leaf on, all of it consistent, with another key."""
    import json

    from integrity.ledger.checkpoints import Checkpoint
    from integrity.ledger.log import canonical_json
    from integrity.merkle import Frontier, leaf_hash

    log = Frontier()
    before: Checkpoint | None = None
    for number, body in connection.execute("SELECT number, body FROM leaves ORDER BY number").fetchall():
        if number >= from_leaf:
            said = json.loads(body)
            said["checkpoint"] = before.sha256 if before else None
            said["operator"] = "somebody else"
            body = canonical_json(said)
        hashed = leaf_hash(body.encode())
        log = log.append(hashed)
        if number < from_leaf:
            note = connection.execute("SELECT note FROM checkpoints WHERE size = ?", [log.size]).fetchone()[0]
            before = Checkpoint.from_text(note)
            continue
        before = Checkpoint.signed(log, key)
        connection.execute("UPDATE leaves SET body = ?, hash = ? WHERE number = ?", [body, hashed.hex(), number])
        values = [before.text, log.to_bytes().hex(), log.size]
        connection.execute("UPDATE checkpoints SET note = ?, frontier = ? WHERE size = ?", values)


def test_a_trigger_that_is_gone_is_named(original: Path, tmp_path: Path) -> None:
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("DROP TRIGGER breaks_delete_refused")
    assert named(tmp_path) == ("removed", "triggers", "breaks_delete_refused")
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("CREATE TRIGGER breaks_delete_refused BEFORE DELETE ON breaks BEGIN SELECT 1; END")
    assert named(tmp_path) == ("changed", "triggers", "breaks_delete_refused")


@pytest.mark.parametrize("table", [table.name for table in schema.PROTECTED])
def test_the_database_itself_refuses(every: Path, table: str) -> None:
    with closing(sqlite3.connect(every / "ledger.db")) as connection:
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        column = connection.execute(f"SELECT name FROM pragma_table_info('{table}')").fetchone()[0]
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET {column} = {column}"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)


@pytest.mark.parametrize("value", ["", "b''", 7, 1.5])
def test_leaves_of_a_seal_that_are_no_octets_are_named(every: Path, tmp_path: Path, value: Any) -> None:
    with tampered(every, tmp_path) as connection:
        run = run_of(connection, 1)
        connection.execute("UPDATE seals SET leaves = ? WHERE run = ? AND number = 1", [value, run])
    verified = verify(tmp_path / "ledger.db")
    assert [(each.what, each.table, each.row) for each in verified.findings] == [
        ("changed", "seals", f"row 1 of run {run}")
    ]


CELLS = [(table.name, column.name) for table in schema.metadata.sorted_tables for column in table.columns]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_cell_of_any_table(every: Path, tmp_path: Path, data: st.DataObject) -> None:
    table, column = data.draw(st.sampled_from(CELLS))
    with tampered(every, tmp_path) as connection:
        rows = connection.execute(f"SELECT rowid, {column} FROM {table} ORDER BY rowid").fetchall()
        rowid, before = data.draw(st.sampled_from(rows))
        after = data.draw(changed(before))
        try:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", [after, rowid])
        except sqlite3.IntegrityError:  # another row has that key, or it may not be NULL
            return
        if connection.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", [rowid]).fetchone()[0] == before:
            return  # SQLite reads it as what was there
    assert not verify(tmp_path / "ledger.db").is_sound


def changed(before: Any) -> st.SearchStrategy[Any]:
    if isinstance(before, int):
        return st.integers(-(2**62), 2**62).filter(lambda n: n != before)
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.none()
    if isinstance(before, str) and before:
        flips = st.integers(0, len(before) - 1).map(
            lambda at: before[:at] + ("0" if before[at] != "0" else "1") + before[at + 1 :]
        )
        texts |= flips
    return texts.filter(lambda text: text != before)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_row_of_any_table_gone(every: Path, tmp_path: Path, data: st.DataObject) -> None:
    table = data.draw(st.sampled_from([table.name for table in schema.metadata.sorted_tables]))
    with tampered(every, tmp_path) as connection:
        rows = connection.execute(f"SELECT rowid FROM {table} ORDER BY rowid").fetchall()
        if not rows:
            return
        connection.execute(f"DELETE FROM {table} WHERE rowid = ?", data.draw(st.sampled_from(rows)))
    assert not verify(tmp_path / "ledger.db").is_sound
