"""A pack is what was exported, or it is said where it is not."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import integrity
import integrity.packs.told as told_
from integrity.errors import LedgerError
from integrity.ledger import Beginning, Ledger, schema
from integrity.ledger.anchors import send
from integrity.ledger.erasing import erase
from integrity.ledger.keys import LedgerKey
from integrity.ledger.log import canonical_json
from integrity.ledger.rotating import rotate
from integrity.packs import export, included, verify_pack
from integrity.reperformance import reperform
from tests.effort import examples
from tests.ledger import books
from tests.packs.forging import copied, readable, told
from tests.servers import Postgres


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return books.filled(tmp_path_factory.mktemp("ledger"), runs=2, seal="merkle")


@pytest.fixture(scope="module")
def pack(book: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs")
    path = export(book, folder / "pack", seal_keys=folder / "seal.keys", kept_until="2027-03-01")
    assert verify_pack(path).exit_code == 0
    return path


def test_it_says_what_it_is(pack: Path, book: Ledger) -> None:
    found = verify_pack(pack, key=book.key.public)
    assert found.headline().startswith("it fits together: 2 runs, of which 2 count; 5 leaves are in the log; ")
    assert "signed by a key that was told to you; no checkpoint was sent out" in found.headline()
    assert (found.erased, found.left_out) == (0, 0)
    text = (pack / "README.md").read_text()
    for said in ("no checkpoint was sent out", "2027-03-01", "What is not claimed", str(book.key.public)):
        assert said in text
    result = json.loads((pack / "test-result.dsse.json").read_text())
    assert result["payloadType"] == "application/vnd.in-toto+json"


def test_a_zip_of_one_run(book: Ledger, tmp_path: Path) -> None:
    run = next(iter(_runs(book)))
    path = export(book, tmp_path / "pack.zip", run=run[:22])
    found = verify_pack(path)
    assert found.exit_code == 0
    assert [each["run"] for each in found.told["runs"]] == [run]
    again = export(book, tmp_path / "again.zip", run=run)
    with zipfile.ZipFile(path) as one, zipfile.ZipFile(again) as two:
        assert one.namelist() == two.namelist()
    with pytest.raises(LedgerError, match="is there already"):
        export(book, tmp_path / "pack.zip", run=run)
    with pytest.raises(integrity.UsageError, match="no run 'nothing' is on record"):
        export(book, tmp_path / "other", run="nothing")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.zip", "pack.zip"]


def _runs(book: Ledger) -> Iterator[str]:
    from integrity.ledger.listing import runs

    yield from runs(book.database.engine.url.render_as_string(hide_password=False))["run"].to_list()[::-1]


@pytest.mark.parametrize(
    ("file", "change", "why"),
    [
        ("README.md", lambda t: t.replace("fail", "pass"), "it was changed"),
        ("log/checkpoint", lambda t: t.replace("\n5\n", "\n4\n"), "it was changed"),
        (
            "log/leaves.jsonl",
            lambda t: t.replace('\\"verdict\\":\\"fail\\"', '\\"verdict\\":\\"pass\\"'),
            "it was changed",
        ),
        ("test-result.dsse.json", lambda t: t.replace('"sig": "', '"sig": "AAAA'), "is not signed by"),
    ],
)
def test_a_changed_file_is_named(pack: Path, tmp_path: Path, file: str, change: Any, why: str) -> None:
    copy = copied(pack, tmp_path)
    before = (copy / file).read_text()
    (copy / file).write_text(change(before))
    assert (copy / file).read_text() != before
    found = verify_pack(copy)
    assert found.exit_code == 1
    assert any(file in flaw.where and why in flaw.why for flaw in found.flaws) or why in found.flaws[0].why


def test_files_that_come_and_go_are_named(pack: Path, tmp_path: Path) -> None:
    copy = copied(pack, tmp_path)
    (copy / "runs" / "extra.txt").write_text("x")
    gone = next(copy.rglob("breaks.parquet"))
    gone.unlink()
    whys = {flaw.where.rsplit("/", 1)[-1]: flaw.why for flaw in verify_pack(copy).flaws}
    assert whys["extra.txt"].startswith("it was added")
    assert whys["breaks.parquet"]


def test_another_packs_statement_and_another_key_are_named(book: Ledger, pack: Path, tmp_path: Path) -> None:
    other = books.filled(tmp_path / "other", runs=1)
    strange = export(other, tmp_path / "strange")
    copy = copied(pack, tmp_path)
    shutil.copy(strange / "reconciliation.dsse.json", copy)
    assert "is not signed by" in verify_pack(copy).flaws[0].why
    assert verify_pack(strange, key=book.key.public).flaws[0].where == "log/key"
    assert verify_pack(strange).exit_code == 0  # by its own word; the headline says whose
    assert "the key that lies in it" in verify_pack(strange).headline()


@settings(max_examples=examples(90), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_octet_of_any_file(pack: Path, tmp_path: Path, data: st.DataObject) -> None:
    files = sorted(p for p in pack.rglob("*") if p.is_file())
    path = data.draw(st.sampled_from(files))
    octets = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] ^= data.draw(st.integers(1, 255))
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(pack, copy)
    (copy / path.relative_to(pack)).write_bytes(bytes(octets))
    try:
        same = verify_pack(copy)
    except LedgerError:
        return  # it is said that this is no pack
    if path.name.endswith(".dsse.json") and same.exit_code == 0:
        before, after = (json.loads(each) for each in (path.read_bytes(), octets))
        assert before == after or before["payload"] == after["payload"]  # blanks, or a name that nobody signs
        return
    assert same.exit_code == 1


def test_what_is_no_pack_is_said(pack: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.zip"
    shutil.make_archive(str(tmp_path / "whole"), "zip", pack)
    (tmp_path / "half.zip").write_bytes(whole.read_bytes()[:2000])
    (tmp_path / "empty").mkdir()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "README.md").symlink_to(pack / "README.md")
    for name, why in (
        ("half.zip", "is no pack"),
        ("empty", "no evidence pack"),
        ("absent", "there is no pack"),
        ("links", "no plain file"),
    ):
        with pytest.raises(LedgerError, match=why):
            verify_pack(tmp_path / name)


def test_a_checkpoint_held_elsewhere_has_to_be_of_the_same_log(tmp_path: Path) -> None:
    """Also one of another size: what an auditor holds is mostly older than the pack."""
    book, other = books.filled(tmp_path / "one", runs=1), books.filled(tmp_path / "other", runs=1)
    texts = {}
    for name, each in (("ours", book), ("theirs", other)):
        send(each, str(tmp_path / f"{name}.txt"), party="auditor@example.org")
        texts[name] = (tmp_path / f"{name}.txt").read_text()
    integrity.reconcile(books.promise(), books.sent(4), books.kept(books.sent(4)), ledger=book)
    pack = export(book, tmp_path / "pack")
    found = verify_pack(pack, held=[texts["ours"]])
    assert found.exit_code == 0
    assert found.claim.startswith("tamper-evident up to checkpoint 3, held by whoever presented it; 2 later leaves")
    assert found.told["claim"].startswith("tamper-evident up to checkpoint 3, held by auditor@example.org since")
    (flaw,) = verify_pack(pack, held=[texts["theirs"]]).flaws
    assert "was not signed by a key of this log" in flaw.why
    # the owner of the key writes another log, as long as the first
    again = Ledger.open(tmp_path / "again.db", key=tmp_path / "one" / "ledger.db.key")
    for _ in range(2):
        integrity.reconcile(books.promise(), books.sent(4), books.kept(books.sent(4)), ledger=again)
    (flaw,) = verify_pack(export(again, tmp_path / "again"), held=[texts["ours"]]).flaws
    assert "has another root: the log was written anew since" in flaw.why
    early = export(again, tmp_path / "early")
    integrity.reconcile(books.promise(), books.sent(4), books.kept(books.sent(4)), ledger=again)
    send(again, str(tmp_path / "late.txt"))
    (flaw,) = verify_pack(early, held=[(tmp_path / "late.txt").read_text()]).flaws
    assert "is later than the pack, which has 5: ask for one of now" in flaw.why


def test_what_was_erased_cannot_be_opened_and_is_no_flaw(tmp_path: Path) -> None:
    book = books.filled(tmp_path, runs=1)
    assert erase(book, {"id": "note-2"}, basis="art. 17", by="dpo") == 1
    found = verify_pack(export(book, tmp_path / "pack"))
    assert (found.exit_code, found.erased, found.left_out) == (0, 1, 0)
    assert "1 erased under policy" in found.headline()
    assert "note-2" not in " ".join(readable(tmp_path / "pack"))


def test_after_a_key_took_over(tmp_path: Path) -> None:
    book = books.filled(tmp_path, runs=1)
    later = rotate(book, tmp_path / "new.key")
    pack = export(later, tmp_path / "pack")
    assert verify_pack(pack, key=later.key.public).exit_code == 0
    assert verify_pack(pack, key=book.key.public).exit_code == 1


def test_what_people_read_has_columns_of_its_own(pack: Path) -> None:
    breaks = pl.read_parquet(next(pack.rglob("breaks.parquet")))
    assert set(breaks["identity.id"]) == {"note-2", "note-4", "note-6", "note-8"}
    assert set(pl.read_parquet(next(pack.rglob("batches.parquet")))["partition.tenant"]) == {"acme", "beta"}
    run = json.loads(next(pack.rglob("run.json")).read_text())
    assert run["ended"]["verdict"] == "fail"
    assert canonical_json(run) + "\n" == next(pack.rglob("run.json")).read_text()


def test_runs_that_do_not_count_are_told_apart(tmp_path: Path) -> None:
    book = Ledger.open(tmp_path / "ledger.db", environment="production")
    items = books.sent(4)
    with pytest.raises(integrity.IntegrityError):
        integrity.reconcile(books.promise(), str(tmp_path / "absent.csv"), items, ledger=book)
    asked = {"since": None, "until": None, "as_of": None}
    begun = book.begin(
        Beginning("notes", books.promise(), spec_sha256="", versions={}, skips={}, reading={}, **asked)
    ).run
    integrity.reconcile(books.promise(), items, books.kept(items), ledger=replace(book, environment="test"))
    pack = export(book, tmp_path / "pack")
    found = verify_pack(pack)
    assert found.exit_code == 0
    assert [each["counts"] for each in found.told["runs"]] == [False, False, False]
    assert len(found.told["deviations"]) == 2
    assert f"run {begun} was begun and never ended" in found.told["deviations"]
    assert told(pack, "test-result.dsse.json")["result"] == "WARNED"
    text = (pack / "README.md").read_text()
    assert "Runs of `test` are on record and do not count." in text
    assert f"run {begun} was begun and never ended" in text
    assert "Nobody declared how long the data is kept." in text


@pytest.mark.parametrize(
    ("verdicts", "result"),
    [
        ([("pass", "pass")], "PASSED"),
        ([("pass", "skipped")], "PASSED"),
        ([("pending", "pending")], "WARNED"),
        ([("unverified", "unverified")], "WARNED"),
        ([("pass", "pass"), ("fail", "fail")], "FAILED"),
        ([("pass", "pass"), None], "WARNED"),
        ([], "WARNED"),
    ],
)
def test_a_test_result_passes_only_where_every_run_did(verdicts: list[tuple[str, str] | None], result: str) -> None:
    started = {"environment": "production", "pipeline": "p", "contract": {"name": "n", "version": 1, "sha256": "00"}}
    runs = [
        told_.Run(
            str(n),
            started,
            each
            and {"kind": "finished", "verdict": each[0], "assertions": {"completeness": "pass", "accuracy": each[1]}},
        )
        for n, each in enumerate(verdicts)
    ]
    assert told_.test_result(runs)["result"] == result
    test = [told_.Run("0", started | {"environment": "test"}, runs[0].ended)] if runs else []
    assert told_.test_result(test)["result"] == "WARNED"


def test_a_period_is_of_runs_that_began_in_it(tmp_path: Path) -> None:
    moment = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    book = Ledger.open(tmp_path / "ledger.db", clock=books.ticking(moment))
    for _ in range(3):
        integrity.reconcile(books.promise(), books.sent(4), books.kept(books.sent(4)), ledger=book)
    began = [
        dt.datetime.fromisoformat(each["at"]) for each in map(json.loads, _bodies(book)) if each["kind"] == "started"
    ]
    pack = export(f"sqlite:///{tmp_path}/ledger.db", tmp_path / "pack", since=began[1], until=began[2])
    (run,) = verify_pack(pack).told["runs"]
    assert dt.datetime.fromisoformat(run["began"]) == began[1]
    with pytest.raises(integrity.UsageError, match="no run of that period is on record"):
        export(book, tmp_path / "none", until=moment)


def _bodies(book: Ledger) -> list[str]:
    with book.database.reading() as connection:
        return list(connection.execute(sa.select(schema.leaves.c.body).order_by(schema.leaves.c.number)).scalars())


def test_from_postgresql(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTEGRITY_LEDGER_KEY", str(tmp_path / "ledger.key"))
    url = sa.make_url(postgres.address).set(drivername="postgresql+psycopg")
    name = f"packs_{os.getpid()}_{time.monotonic_ns()}"
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    try:
        book = Ledger.open(url.set(database=name).render_as_string(hide_password=False))
        items = books.sent(20)
        for _ in range(2):
            integrity.reconcile(books.promise(seal="merkle"), items, books.damaged(items), ledger=book, values=True)
        assert erase(book, {"id": "note-2"}, basis="art. 17", by="dpo") == 2
        pack = export(book, tmp_path / "pack.zip", seal_keys=tmp_path / "keys")
        found = verify_pack(pack, key=book.key.public)
        assert (found.exit_code, found.erased, len(found.told["runs"])) == (0, 2, 2)
        assert len(included(pack, items.row(0, named=True), tmp_path / "keys")) == 4  # both sides, in both runs
        run = found.told["runs"][0]["run"]
        assert reperform(pack, items, books.damaged(items), run=run, key=tmp_path / "ledger.key").verdict == "same"
    finally:
        with engine.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


def test_an_item_is_proven_to_have_been_in_its_batch(pack: Path) -> None:
    items = books.sent(20)
    keys = pack.parent / "seal.keys"
    for n in (0, 2, 7):  # the third was lost: the source had it
        item = items.row(n, named=True)
        proofs = included(pack, item, keys)
        assert proofs
        assert all(proof.holds for proof in proofs)
        assert {"source"} <= {proof.side for proof in proofs} <= ({"source"} if n == 2 else {"source", "destination"})
        assert included(pack, item | {"body": "another"}, keys) == []
    assert not replace(proofs[0], leaf="00" * 32).holds
    assert not replace(proofs[0], index=proofs[0].index + 1).holds
    with pytest.raises(integrity.UsageError, match="the item has no 'id'"):
        included(pack, {"tenant": "acme"}, keys)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    LedgerKey.made("example.org/x").write(tmp_path / "k")
    (tmp_path / "k").chmod(0o644)
    with pytest.raises(LedgerError, match="can be read by others; chmod 600"):
        LedgerKey.read(tmp_path / "k")
