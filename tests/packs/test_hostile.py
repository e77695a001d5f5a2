"""Nothing that somebody puts into a pack is believed, and nothing of it crashes the reader."""

from __future__ import annotations

import io
import json
import random
import shutil
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import integrity
from integrity.errors import LedgerError
from integrity.ledger import Ledger
from integrity.ledger.log import canonical_json
from integrity.packs import export, verify_pack
from integrity.reperformance import reperform
from tests.effort import examples
from tests.ledger import books
from tests.packs.forging import copied, leaves, rewritten, signed_anew, told, with_leaves


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return books.filled(tmp_path_factory.mktemp("ledger"), runs=1, seal="merkle")


@pytest.fixture(scope="module")
def pack(book: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(book, tmp_path_factory.mktemp("packs") / "pack")


# --- by somebody who has the key, and signs what they like: the log does not go along
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "column", "value", "why"),
    [
        ("batches", "lost", pl.lit(0, pl.Int64), "it has another digest"),
        ("batches", "partition.tenant", pl.lit("gamma"), "its partition is not the one in its private text"),
        ("breaks", "kind", pl.lit("late"), "it has another digest"),
        ("breaks", "identity.id", pl.lit("note-1"), "its identity is not the one in its private text"),
        ("breaks", "body", pl.lit('{"identity":{}}'), "its private text is not what was committed to"),
        ("breaks", "body", pl.lit(None, pl.String), "no erasure of them is on record"),
        ("breaks", "approved", pl.lit("yes"), "it has a column 'approved', to which nothing commits"),
        ("seals", "leaves", pl.lit(bytes(64)), "its leaves have another root"),
    ],
)
def test_a_changed_row_is_named_whoever_signed_it(
    book: Ledger, pack: Path, tmp_path: Path, table: str, column: str, value: pl.Expr, why: str
) -> None:
    copy = copied(pack, tmp_path)
    rewritten(next(copy.rglob(f"{table}.parquet")), **{column: value})
    signed_anew(copy, book.key)
    found = verify_pack(copy, key=book.key.public)
    assert found.exit_code == 1
    assert why in found.flaws[0].why
    assert f"{table}.parquet" in found.flaws[0].where


def test_rows_that_are_left_out_are_missed(book: Ledger, pack: Path, tmp_path: Path) -> None:
    copy = copied(pack, tmp_path)
    path = next(copy.rglob("breaks.parquet"))
    octets = io.BytesIO()
    pl.read_parquet(path)[:-1].write_parquet(octets)
    path.write_bytes(octets.getvalue())
    signed_anew(copy, book.key)
    assert verify_pack(copy).flaws[0].why == "its rows are not those that its leaf commits to"
    path.unlink()
    signed_anew(copy, book.key)
    assert "its leaf says that there are 4 rows" in verify_pack(copy).flaws[0].why


@pytest.mark.parametrize("part", ["verdict", "counts", "claim", "deviations", "result"])
def test_a_statement_says_what_the_leaves_say(book: Ledger, pack: Path, tmp_path: Path, part: str) -> None:
    copy = copied(pack, tmp_path)
    name = "test-result.dsse.json" if part == "result" else "reconciliation.dsse.json"
    said = told(pack, name)
    if part in ("verdict", "counts"):
        said["runs"][0][part] = "pass" if part == "verdict" else False
    else:
        said[part] = {"claim": "tamper-evident up to checkpoint 3", "deviations": ["none"], "result": "PASSED"}[part]
    signed_anew(copy, book.key, {name: said})
    (flaw,) = verify_pack(copy).flaws
    assert flaw.where == name
    assert "is not what the leaves say" in flaw.why


@pytest.mark.parametrize(
    ("file", "before", "after", "why"),
    [
        ("run.json", '"verdict":"fail"', '"verdict":"pass"', "is not what its leaf says"),
        ("run.json", '"body":"{', '"body":"{ ', "its private text is not what was committed to"),
        (".yaml", "within: 5s", "within: 5m", "it does not say what the contract says"),
        (".json", '"10m"', '"20m"', "it has another SHA-256"),
        ("hashes", "", "00", "they are not those of the log that the checkpoint signs"),
    ],
)
def test_what_is_told_once_more_is_told_the_same(
    book: Ledger, pack: Path, tmp_path: Path, file: str, before: str, after: str, why: str
) -> None:
    copy = copied(pack, tmp_path)
    (path,) = (p for p in copy.rglob(f"*{file}") if p.parent != copy and (file != ".json" or p.stem != "run"))
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after) if before else after * 32 + text[64:])
    signed_anew(copy, book.key)
    assert any(why in flaw.why for flaw in verify_pack(copy).flaws)


def test_what_was_left_out_is_not_put_back(book: Ledger, tmp_path: Path) -> None:
    copy = export(book, tmp_path / "pack", pseudonymise=tmp_path / "key")
    rewritten(next(copy.rglob("breaks.parquet")), body=pl.lit("{}"))
    signed_anew(copy, book.key)
    assert any("it has a column" in flaw.why or "should not be" in flaw.why for flaw in verify_pack(copy).flaws)


# --- by somebody who makes up a log of their own
# --------------------------------------------------------------------------------------------------------------------


def test_counts_that_do_not_add_up_are_named_in_a_log_of_their_own(book: Ledger, pack: Path, tmp_path: Path) -> None:
    copy = copied(pack, tmp_path)
    forged = leaves(pack)
    (last,) = (n for n, body in forged.items() if '"kind":"finished"' in body)
    body = json.loads(forged[last])
    body["totals"]["lost"] = 0
    forged[last] = canonical_json(body)
    with_leaves(copy, forged, book.key)
    signed_anew(copy, book.key)
    whys = [flaw.why for flaw in verify_pack(copy).flaws]
    assert "lost do not add up: 1 in its batches, 0 in its leaf" in whys
    assert "it has 1 lost, and the run counted 0" in whys


NONSENSE: list[Any] = [None, 0, -1, 2**70, "", "x", "00", [], [[]], {}, {"a": None}, True, 1.5]


def nonsense(value: Any, chance: random.Random) -> Any:
    """The same value with something in it replaced, renamed or gone."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        name = chance.choice(sorted(value))
        rest = {key: part for key, part in value.items() if key != name}
        return rest if chance.random() < 0.2 else rest | {name: nonsense(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.7:
        place = chance.randrange(len(value))
        return [*value[:place], nonsense(value[place], chance), *value[place + 1 :]]
    return chance.choice(NONSENSE)


@settings(max_examples=examples(90), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_nothing_crashes_whatever_is_signed(book: Ledger, pack: Path, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    copy, said = copied(pack, tmp_path), {}
    what = chance.choice(["leaves", "statement", "run.json", "parquet", "erasures"])
    if what == "leaves":
        bodies = leaves(pack)
        number = chance.choice(sorted(bodies))
        with_leaves(copy, bodies | {number: canonical_json(nonsense(json.loads(bodies[number]), chance))}, book.key)
    elif what == "statement":
        said = {name: nonsense(told(pack, name), chance) for name in ("reconciliation.dsse.json",)}
        said = {name: value if isinstance(value, dict) else {} for name, value in said.items()}
    elif what == "run.json":
        path = next(copy.rglob("run.json"))
        path.write_text(json.dumps(nonsense(json.loads(path.read_text()), chance)))
    elif what == "parquet":
        path = chance.choice(sorted(copy.rglob("*.parquet")))
        name = chance.choice(pl.read_parquet(path).columns)
        value: Any = chance.choice([None, 0, -1, "x", 1.5, b"x", [1], {"a": 1}, True])
        frame = pl.read_parquet(path)
        changed = frame.drop(name) if chance.random() < 0.2 else frame.with_columns(pl.lit(value).alias(name))
        changed.write_parquet(path)
    else:
        (copy / "log" / "erasures.jsonl").write_text(
            json.dumps(nonsense({"leaf": 1, "places": [["a", "b", 1]]}, chance))
        )
    signed_anew(copy, book.key, said)
    try:
        found = verify_pack(copy)
    except LedgerError:
        return
    assert found.headline()


# --- zips
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../out.txt", "/etc/x", "a\\b", "README.md"])
def test_a_zip_that_tries_something_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("README.md", "x")
        if name == "README.md":
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr(name, "y")
        else:
            archive.writestr(name, "y")
    with pytest.raises(LedgerError, match="no plain file of a pack"):
        verify_pack(path)


def test_links_and_methods_of_other_tools_are_refused(tmp_path: Path) -> None:
    for name, mode, method in (("link", 0o120777, zipfile.ZIP_STORED), ("lzma", 0o644, zipfile.ZIP_LZMA)):
        path = tmp_path / f"{name}.zip"
        info = zipfile.ZipInfo("README.md")
        info.external_attr, info.compress_type = mode << 16, method
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(info, "/etc/passwd")
        with pytest.raises(LedgerError, match="no plain file of a pack"):
            verify_pack(path)


def test_a_zip_that_would_fill_the_memory_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.md", bytes(50 << 20))
    with pytest.raises(LedgerError, match="it holds 52,428,800 octets, more than a pack can"):
        verify_pack(path)


def test_rows_that_would_fill_the_memory_are_not_read(book: Ledger, pack: Path, tmp_path: Path) -> None:
    copy = copied(pack, tmp_path)
    path = next(copy.rglob("breaks.parquet"))
    frame = pl.read_parquet(path)
    pl.concat([frame[:1]] * 50_000).write_parquet(path)
    signed_anew(copy, book.key)
    assert "it says that it holds 50,000 rows" in verify_pack(copy).flaws[0].why


@settings(max_examples=examples(90), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_a_damaged_zip_is_no_crash(book: Ledger, pack: Path, tmp_path: Path, place: float, change: int) -> None:
    whole = tmp_path / "whole.zip"
    if not whole.exists():
        shutil.make_archive(str(tmp_path / "whole"), "zip", pack)
        assert verify_pack(whole).exit_code == 0  # folders that another tool lists do no harm
    octets = bytearray(whole.read_bytes())
    octets[int(place * len(octets))] ^= change
    (tmp_path / "damaged.zip").write_bytes(octets)
    try:
        found = verify_pack(tmp_path / "damaged.zip")
    except LedgerError:
        return
    assert found.exit_code == 1 or found.opened > 0  # a date or a permission, which nobody signs


# --- what builds on a pack, or is built into one
# --------------------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_not_performed_again(pack: Path, tmp_path: Path) -> None:
    copy = copied(pack, tmp_path)
    rewritten(next(copy.rglob("batches.parquet")), lost=pl.lit(0, pl.Int64))
    with pytest.raises(LedgerError, match=r"is tampered: runs/.*batches.parquet: it was changed"):
        reperform(copy, books.sent(20), books.sent(20))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE leaves SET body = replace(body, '\"fail\"', '\"pass\"') WHERE kind = 'finished'",
        "UPDATE breaks SET kind = 'late'",
        "UPDATE secrets SET body = 'x' WHERE scope = 'break'",
        "DELETE FROM secrets WHERE scope = 'break'",
        "DELETE FROM contracts",
    ],
)
def test_a_ledger_that_was_tampered_with_gives_no_pack(tmp_path: Path, statement: str) -> None:
    import sqlite3

    book = books.filled(tmp_path, runs=1)
    with sqlite3.connect(tmp_path / "ledger.db", isolation_level=None) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)
    connection.close()
    with pytest.raises(LedgerError, match="nothing was written; run: integrity ledger verify"):
        export(book, tmp_path / "pack")
    assert not (tmp_path / "pack").exists()
    assert not list(tmp_path.glob(".pack*"))


def test_a_ledger_that_is_not_there_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(integrity.IntegrityError, match="there is no ledger"):
        export(tmp_path / "absent.db", tmp_path / "pack")
    assert not list(tmp_path.iterdir())
