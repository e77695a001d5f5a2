"""An auditor's script: from the pack, the key and the checkpoint that were handed over, with no access to ledger or data.

Name the population, tie the counts, compare one batch again, check that one item was in it, trace a break to its
disposition and to who approved it. What the script reads it reads with pandas, json and hashlib as far as it goes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from integrity.demo.quarter import END, START, generate_quarter
from integrity.ledger import Ledger
from integrity.ledger.keys import PublicKey
from integrity.notebook import run_notebook
from integrity.packs import cases, compare_again, export, included, report, trace, verify_pack
from tests.once import once
from tests.report.test_html import Read
from tests.shell import called


@dataclass(frozen=True)
class Handed:
    """What was handed over, and by whom it was said to be signed.

    Attributes:
        pack: The evidence pack.
        key: The public key, as its owner told it.
        checkpoint: That the auditor has held since March.
        keys: Of the seals, handed over for one question.
        item: About which there is a question.
        notebooks: As they were sent, with what they showed.
    """

    pack: Path
    key: str
    checkpoint: str
    keys: Path
    item: dict[str, object]
    notebooks: Path


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory) -> Handed:
    there, here = tmp_path_factory.mktemp("company") / "quarter", tmp_path_factory.mktemp("auditor")
    shutil.copytree(once(tmp_path_factory, "quarter", generate_quarter), there)
    ledger = f"sqlite:///{there}/ledger.db"
    book = Ledger.open(ledger)
    pack = export(book, here / "q1.zip", since=START, until=END, seal_keys=here / "seals.json")
    held = sorted((there / "checkpoints").iterdir())[-1].read_text(encoding="utf-8")
    run_notebook("casework", ledger, directory=here / "notebooks")
    with closing(sqlite3.connect(there / "shop.db")) as shop:
        names = ("order_id", "customer", "cents", "placed_at")
        row = shop.execute("SELECT * FROM orders WHERE placed_at LIKE '2026-02-03%'").fetchone()
    shutil.rmtree(there)  # the auditor has neither ledger nor data
    return Handed(
        pack, str(book.key.public), held, here / "seals.json", dict(zip(names, row, strict=True)), here / "notebooks"
    )


@pytest.fixture(scope="module")
def unpacked(handed: Handed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    shutil.unpack_archive(handed.pack, folder)
    return folder


def runs(folder: Path) -> list[Path]:
    return sorted((folder / "runs").iterdir())


def test_it_is_theirs_and_the_log_begins_as_it_did_in_march(handed: Handed) -> None:
    found = verify_pack(handed.pack, key=PublicKey.from_text(handed.key), held=[handed.checkpoint])
    assert found.exit_code == 0
    assert "signed by a key that was told to you" in found.headline()


def test_the_population_is_named(handed: Handed, unpacked: Path) -> None:
    read = Read(report(handed.pack))
    for run in runs(unpacked):
        assert run.name in read.shown
        told = json.loads((run / "run.json").read_text(encoding="utf-8"))
        sides = json.loads(told["found"]["body"])["sides"]
        assert sides["source"]["location"].endswith("shop.db#orders")
        assert sides["source"]["queries"] or sides["source"]["read"].startswith("pulled")
    contracts = sorted((unpacked / "contracts").glob("*.json"))
    assert [hashlib.sha256(each.read_bytes()).hexdigest() for each in contracts] == [each.stem for each in contracts]
    assert {json.loads(each.read_text(encoding="utf-8"))["version"] for each in contracts} == {1, 2}
    assert "1 run was missed" in read.shown, "that one was not made is a deviation"


def test_the_counts_tie(unpacked: Path) -> None:
    for run in runs(unpacked):
        ended = json.loads((run / "run.json").read_text(encoding="utf-8"))["ended"]
        batches, stood = pd.read_parquet(run / "batches.parquet"), ended["unchanged"]["totals"]
        for name in ("source_records", "destination_records", "matched", "lost", "corrupt", "duplicate"):
            assert batches[name].sum() + stood[name] == ended["totals"][name], (run.name, name)
        parts = ("matched", "corrupt", "unverified", "lost", "accounted", "pending")
        assert (batches[list(parts)].sum(axis=1) == batches["source_records"]).all()
        breaks = pd.read_parquet(run / "breaks.parquet")
        assert (breaks["kind"] == "lost").sum() == batches["lost"].sum()
        seals = pd.read_parquet(run / "seals.parquet")
        sealed = seals[seals["side"] == "source"].set_index("batch")["records"]
        assert sealed.to_dict() == batches.set_index("key")["source_records"].to_dict()


def test_every_batch_is_compared_again_without_the_data(handed: Handed) -> None:
    again = compare_again(handed.pack)
    assert again["agrees"].all()
    failed = again.filter(again["verdict"] == "fail")
    assert failed["only_source"].sum() + failed["only_destination"].sum() > 0


def test_the_item_was_in_its_batch(handed: Handed) -> None:
    proofs = included(handed.pack, handed.item, handed.keys, timezone="UTC")
    assert proofs
    assert all(proof.holds for proof in proofs)
    assert included(handed.pack, handed.item | {"cents": 1}, handed.keys, timezone="UTC") == []


def test_a_break_is_traced_to_who_decided_and_who_approved(handed: Handed, unpacked: Path) -> None:
    found = cases(handed.pack).to_pandas()
    accepted = found[found["disposition"] == "accepted"].iloc[0]
    assert (accepted["by"], accepted["confirmed_by"], accepted["reference"]) == ("kim", "lee", "INC-31")
    assert "withdrew" in accepted["reason"]
    steps = trace(handed.pack, accepted["run"], int(accepted["number"])).to_pandas()
    assert list(steps["what"])[-2:] == ["proposed", "confirmed"]
    assert steps[steps["what"] == "found"]["operator"].eq("scheduler").all(), "nobody decided what they ran"
    assert {"kim", "lee"}.isdisjoint(steps[steps["what"] == "found"]["operator"])
    approvals = [
        json.loads(json.loads(line)["body"])
        for line in (unpacked / "log" / "leaves.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    approved = {each["contract"]["version"]: each for each in approvals if each["kind"] == "approved"}
    assert {each["approver"] for each in approved.values()} == {"lee"}
    assert {each["author"] for each in approved.values()} == {"park"}


def test_a_sample_was_drawn_before_its_outcome_and_supports_what_it_says(handed: Handed) -> None:
    read = Read(report(handed.pack))
    assert "drawn by seed 'shop.example 2026 Q1'" in read.shown
    assert "with 90 % confidence" in read.shown


def test_the_notebook_says_the_same(handed: Handed) -> None:
    page = (handed.notebooks / "casework.html").read_text(encoding="utf-8")
    for said in ("INC-31", "INC-32", "proposed", "nothing was changed"):
        assert said in page


def test_the_same_from_a_shell(handed: Handed, tmp_path: Path) -> None:
    (tmp_path / "held").write_text(handed.checkpoint, encoding="utf-8")
    done = called(tmp_path, "verify", str(handed.pack), "--key", handed.key, "--checkpoint", "held")
    assert done.returncode == 0, done.stderr
    done = called(tmp_path, "report", str(handed.pack), "--html", "q1.html", "--lang", "ko")
    assert done.returncode == 0, done.stderr
