"""A pseudonymised pack names nobody, and nothing in it can be guessed."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import polars as pl
import pytest

import integrity
from integrity.errors import LedgerError
from integrity.ledger import Ledger
from integrity.packs import export, included, verify_pack
from integrity.seals import fingerprint_of
from tests.ledger import books
from tests.packs.forging import readable

CANARY = "canary-7f3a"


@pytest.fixture(scope="module")
def items() -> pl.DataFrame:
    planted = [(pl.lit(CANARY) + pl.col(name)).alias(name) for name in ("tenant", "id", "body")]
    return books.sent(6).with_columns(*planted, actor=pl.lit(f"{CANARY}-actor"))


@pytest.fixture(scope="module")
def promise() -> integrity.Contract:
    return books.promise(
        outcomes={"accept": ["recalled"]},
        seal="merkle",
        content={"body": "text", "size": "integer", "actor": "text"},
        authorization={
            "actor": "actor",
            "object": "tenant",
            "grants": {"actor": "member", "object": "tenant", "from": "since", "until": "until"},
        },
        validity=[{"expect_column_values_to_be_in_set": {"column": "body", "value_set": ["something else"]}}],
    )


@pytest.fixture(scope="module")
def book(items: pl.DataFrame, promise: integrity.Contract, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """Values planted in every place that could name somebody."""
    folder = tmp_path_factory.mktemp("ledger") / CANARY  # a path, too
    folder.mkdir()
    items.rename({"body": f"{CANARY}_theirs"}).write_parquet(folder / "source.parquet")
    books.damaged(items).write_parquet(folder / "destination.parquet")
    book = Ledger.open(folder.parent / "ledger.db", origin="example.org/x", operator="kim")
    grants = pl.DataFrame(
        {"member": [f"{CANARY}-other"], "tenant": items["tenant"][:1], "since": [books.START], "until": [None]},
        schema_overrides={"until": pl.Datetime("us", "UTC")},
    )
    asked = {
        "columns": {"source": {f"{CANARY}_theirs": "body"}},
        "outcomes": pl.DataFrame({"tenant": [items["tenant"][2]], "id": [items["id"][2]], "outcome": [CANARY]}),
        "grants": grants,
        "ledger": book,
    }
    result = integrity.reconcile(
        promise, str(folder / "source.parquet"), str(folder / "destination.parquet"), values=True, **asked
    )
    assert result.totals["unauthorized"]
    assert result.totals["invalid"]
    assert CANARY in " ".join(result.breaks["reason"].dropna())
    for source in (str(folder / "absent.csv"), f"postgresql://{CANARY}:{CANARY}@127.0.0.1:9/{CANARY}#{CANARY}"):
        with pytest.raises(integrity.IntegrityError, match=CANARY):
            integrity.reconcile(promise, source, items, **asked)
    return book


def test_no_octet_of_it_names_anybody(book: Ledger, tmp_path: Path) -> None:
    assert CANARY in " ".join(readable(export(book, tmp_path / "open")))
    pack = export(book, tmp_path / "closed", pseudonymise=tmp_path / "pseudonyms.key")
    for text in readable(pack):
        assert CANARY not in text
    found = verify_pack(pack)
    assert (found.exit_code, found.opened, found.erased) == (0, 0, 0)
    assert f"{found.left_out:,} pseudonymised, not opened" in found.headline()
    assert len(found.told["deviations"]) == 2


def test_nothing_in_it_is_the_digest_of_what_can_be_guessed(
    book: Ledger, items: pl.DataFrame, promise: integrity.Contract, tmp_path: Path
) -> None:
    guessed = {fingerprint_of(promise, item) for item in items.iter_rows(named=True)}
    for name in ("tenant", "id", "body", "actor"):
        for value in items[name].unique():
            guessed |= {hashlib.new(how, value.encode()).hexdigest() for how in ("sha256", "sha1", "md5")}
    text = " ".join(readable(export(book, tmp_path / "closed", pseudonymise=tmp_path / "key")))
    for digest in guessed:
        assert digest[:32] not in text


def test_amounts_are_left_out(book: Ledger, tmp_path: Path) -> None:
    """A batch of one item has its amount."""
    pack = export(book, tmp_path / "pack", pseudonymise=tmp_path / "key")
    for path in pack.rglob("batches.parquet"):
        assert not {"body", "salt", "subject", "source_size"} & set(pl.read_parquet(path).columns)


def test_somebody_is_the_same_inside_a_pack_and_not_across(book: Ledger, tmp_path: Path) -> None:
    one = names(export(book, tmp_path / "one", pseudonymise=tmp_path / "key"))
    assert one == names(export(book, tmp_path / "again", pseudonymise=tmp_path / "key"))
    assert not one & names(export(book, tmp_path / "other", pseudonymise=tmp_path / "other.key"))
    assert all(len(name) == 32 for name in one)
    batches = pl.concat(map(pl.read_parquet, (tmp_path / "one").rglob("batches.parquet")), how="vertical_relaxed")
    assert batches.height
    assert set(batches["partition.tenant"]) <= one  # a tenant is the same one in batches and breaks


def names(pack: Path) -> set[str]:
    frame = pl.concat([f for f in map(pl.read_parquet, pack.rglob("breaks.parquet")) if f.height])
    return {name for column in frame.columns if column.startswith("identity.") for name in frame[column]}


def test_the_key_is_kept_apart_and_well(book: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "pseudonyms.key"
    export(book, tmp_path / "one", pseudonymise=path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().strip() not in " ".join(readable(tmp_path / "one"))
    path.chmod(0o644)
    with pytest.raises(LedgerError, match="can be read by others; chmod 600"):
        export(book, tmp_path / "two", pseudonymise=path)
    path.chmod(0o600)
    path.write_text("c2hvcnQ=\n")
    with pytest.raises(LedgerError, match="is no key of pseudonyms"):
        export(book, tmp_path / "two", pseudonymise=path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "pseudonyms.key"]


def test_whoever_has_the_item_and_the_key_of_seals_can_still_ask(
    book: Ledger, items: pl.DataFrame, tmp_path: Path
) -> None:
    pack = export(book, tmp_path / "pack", pseudonymise=tmp_path / "key", seal_keys=tmp_path / "seals")
    assert stat.S_IMODE((tmp_path / "seals").stat().st_mode) == 0o600
    (proof,) = included(pack, items.row(1, named=True), tmp_path / "seals")[:1]
    assert proof.holds
    assert included(pack, items.row(1, named=True) | {"body": "another"}, tmp_path / "seals") == []
