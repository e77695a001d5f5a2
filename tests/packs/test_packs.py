"""A pack is what was exported, or it is said where it is not."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import integrity
from integrity.errors import LedgerError
from integrity.ledger import Ledger
from integrity.ledger.anchors import send
from integrity.ledger.erasing import erase
from integrity.ledger.keys import LedgerKey
from integrity.ledger.rotating import rotate
from integrity.packs import export, included, verify_pack
from integrity.reperformance import reperform
from tests.ledger import books


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


def edited(pack: Path, folder: Path) -> Path:
    return Path(shutil.copytree(pack, folder / "pack"))


def rewrite(path: Path, change: Any) -> None:
    frame = change(pl.read_parquet(path))
    octets = io.BytesIO()
    frame.write_parquet(octets)
    path.write_bytes(octets.getvalue())


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
    copy = edited(pack, tmp_path)
    before = (copy / file).read_text()
    (copy / file).write_text(change(before))
    assert (copy / file).read_text() != before
    found = verify_pack(copy)
    assert found.exit_code == 1
    assert any(file in flaw.where and why in flaw.why for flaw in found.flaws) or why in found.flaws[0].why


@pytest.mark.parametrize("table", ["batches", "breaks"])
def test_a_changed_row_is_named_even_where_the_statement_is_signed_anew(
    book: Ledger, pack: Path, tmp_path: Path, table: str
) -> None:
    """Whoever has the key can sign what they like; the log does not go along."""
    from integrity.packs.statements import OURS, TEST_RESULT, opened, signed, subjects

    copy = edited(pack, tmp_path)
    path = next(copy.rglob(f"{table}.parquet"))
    column = {"batches": "lost", "breaks": "kind"}[table]
    value: Any = {"batches": pl.lit(0, pl.Int64), "breaks": pl.lit("late")}[table]
    rewrite(path, lambda frame: frame.with_columns(value.alias(column)))
    files = {
        p.relative_to(copy).as_posix(): p.read_bytes()
        for p in copy.rglob("*")
        if (p.is_file() and p.suffix != ".json") or p.parent.name in ("contracts",) or p.name == "run.json"
    }
    for name, kind in (("reconciliation.dsse.json", OURS), ("test-result.dsse.json", TEST_RESULT)):
        told = opened((copy / name).read_bytes(), book.key.public)["predicate"]
        (copy / name).write_bytes(signed(kind, told, subjects(files), book.key))
    found = verify_pack(copy)
    assert found.exit_code == 1
    assert found.flaws[0].why == "it has another digest"
    assert f"{table}.parquet, row" in found.flaws[0].where


def test_files_that_come_and_go_are_named(pack: Path, tmp_path: Path) -> None:
    copy = edited(pack, tmp_path)
    (copy / "runs" / "extra.txt").write_text("x")
    gone = next(copy.rglob("breaks.parquet"))
    gone.unlink()
    whys = {flaw.where.rsplit("/", 1)[-1]: flaw.why for flaw in verify_pack(copy).flaws}
    assert whys["extra.txt"].startswith("it was added")
    assert whys["breaks.parquet"]


def test_another_packs_statement_and_another_key_are_named(book: Ledger, pack: Path, tmp_path: Path) -> None:
    other = books.filled(tmp_path / "other", runs=1)
    strange = export(other, tmp_path / "strange")
    copy = edited(pack, tmp_path)
    shutil.copy(strange / "reconciliation.dsse.json", copy)
    assert "is not signed by" in verify_pack(copy).flaws[0].why
    assert verify_pack(strange, key=book.key.public).flaws[0].where == "log/key"
    assert verify_pack(strange).exit_code == 0  # by its own word; the headline says whose
    assert "the key that lies in it" in verify_pack(strange).headline()


def test_a_checkpoint_held_elsewhere_has_to_be_of_the_same_log(pack: Path, tmp_path: Path) -> None:
    other = books.filled(tmp_path / "other", runs=2)
    send(other, str(tmp_path / "held.txt"))
    held = (tmp_path / "held.txt").read_text()
    assert verify_pack(pack, held=[held]).exit_code == 1
    assert verify_pack(pack, held=[(pack / "log" / "checkpoint").read_text()]).exit_code == 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


@pytest.mark.parametrize("name", ["../out.txt", "/etc/x", "a\\b", "README.md"])
def test_a_zip_that_tries_something_is_refused(pack: Path, tmp_path: Path, name: str) -> None:
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


CANARY = "canary-7f3a"


def test_a_pseudonymised_pack_names_nobody(tmp_path: Path) -> None:
    """Values planted in every place that could name somebody, and looked for in every octet."""
    folder = tmp_path / CANARY  # a path, too
    folder.mkdir()
    items = books.sent(6).with_columns(
        (pl.lit(CANARY) + pl.col("tenant")).alias("tenant"),
        (pl.lit(CANARY) + pl.col("id")).alias("id"),
        (pl.lit(CANARY) + pl.col("body")).alias("body"),
    )
    there = books.damaged(items)
    items.rename({"body": f"{CANARY}_theirs"}).write_parquet(folder / "source.parquet")
    there.write_parquet(folder / "destination.parquet")
    book = Ledger.open(tmp_path / "ledger.db", origin="example.org/x", operator="kim")
    outcomes = pl.DataFrame({"tenant": [items["tenant"][2]], "id": [items["id"][2]], "outcome": [CANARY]})
    result = integrity.reconcile(
        books.promise(outcomes={"accept": ["recalled"]}),
        str(folder / "source.parquet"),
        str(folder / "destination.parquet"),
        columns={"source": {f"{CANARY}_theirs": "body"}},
        outcomes=outcomes,
        ledger=book,
        values=True,
    )
    assert CANARY in result.to_json()
    with pytest.raises(integrity.IntegrityError, match=CANARY):
        integrity.reconcile(
            books.promise(outcomes={"accept": ["recalled"]}), str(folder / "absent.csv"), items, ledger=book
        )
    open_pack = export(book, tmp_path / "open")
    assert CANARY in " ".join(readable(open_pack))
    pack = export(book, tmp_path / "closed", pseudonymise=tmp_path / "pseudonyms.key")
    for text in readable(pack):
        assert CANARY not in text
    found = verify_pack(pack)
    assert found.exit_code == 0
    assert found.opened == 0
    frames = [pl.read_parquet(path) for path in pack.rglob("breaks.parquet")]
    names = {json.loads(text)["identity"]["id"] for frame in frames if frame.height for text in frame["pseudonyms"]}
    assert all(len(name) == 32 for name in names)
    again = export(book, tmp_path / "again", pseudonymise=tmp_path / "pseudonyms.key")
    other = export(book, tmp_path / "other", pseudonymise=tmp_path / "other.key")

    def of(path: Path) -> list[str]:
        return [
            text for p in sorted(path.rglob("breaks.parquet")) for text in pl.read_parquet(p)["pseudonyms"].to_list()
        ]

    assert of(pack) == of(again)
    assert not set(of(pack)) & set(of(other))


def readable(pack: Path) -> Iterator[str]:
    for path in pack.rglob("*"):
        yield path.name
        if path.suffix == ".parquet":
            yield str(pl.read_parquet(path).to_dicts())
        if path.is_file():
            yield path.read_bytes().decode("utf-8", "replace")
            if path.name.endswith(".dsse.json"):
                import base64

                yield base64.b64decode(json.loads(path.read_text())["payload"]).decode()


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


# --- asking and doing it again


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


def test_doing_it_again_finds_the_same_or_says_what_is_not(book: Ledger, pack: Path, tmp_path: Path) -> None:
    items = books.sent(20)
    run = next(iter(_runs(book)))
    key = tmp_path / "copy.key"
    book.key.write(key)
    same = reperform(pack, items, books.damaged(items), run=run, key=key)
    assert (same.verdict, same.exit_code) == ("same", 0), same.headline()
    assert same.compared == ("counts and verdicts", "breaks", "hash totals")
    other = reperform(pack, items, books.kept(items), run=run)
    assert (other.verdict, other.exit_code) == ("different", 1)
    assert {each.what.split()[0] for each in other.differences if each.batch == "breaks"} == {
        "lost",
        "corrupt",
        "late",
        "duplicate",
    }
    altered = items.with_columns((pl.col("size") + 100).alias("size"))
    hashes = reperform(pack, altered, books.damaged(altered), run=run, key=key)
    assert {each.what for each in hashes.differences} == {"source_hash", "destination_hash"}
    assert reperform(pack, altered, books.damaged(altered), run=run).verdict == "same"  # which is why the key helps
    with pytest.raises(integrity.UsageError, match="several runs; name one"):
        reperform(pack, items, items)


def test_a_pseudonymised_run_can_be_done_again(book: Ledger, tmp_path: Path) -> None:
    run, items = next(iter(_runs(book))), books.sent(20)
    pack = export(book, tmp_path / "pack", run=run, pseudonymise=tmp_path / "key")
    assert reperform(pack, items, books.damaged(items)).verdict == "same"
    assert reperform(pack, items, items.with_columns(pl.col("sent_at").alias("kept_at"))).verdict == "different"


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    LedgerKey.made("example.org/x").write(tmp_path / "k")
    (tmp_path / "k").chmod(0o644)
    with pytest.raises(LedgerError, match="can be read by others; chmod 600"):
        LedgerKey.read(tmp_path / "k")
