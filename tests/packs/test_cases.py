"""What persons decided goes along in a pack, and what they did not decide cannot be put into it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrity.errors import LedgerError, UsageError
from integrity.ledger import Ledger
from integrity.ledger.cases import trace as traced
from integrity.ledger.casework import dispose, reopen
from integrity.ledger.erasing import erase
from integrity.ledger.listing import breaks, runs
from integrity.ledger.log import canonical_json
from integrity.ledger.trails import step_of
from integrity.packs import cases, export, trace, verify_pack
from tests.effort import examples
from tests.ledger import books
from tests.packs.forging import copied, leaves, readable, signed_anew, with_leaves
from tests.packs.test_hostile import nonsense

REASONS = "log/reasons.jsonl"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    ledger = books.filled(tmp_path_factory.mktemp("ledger"), runs=2)
    books.decided(ledger)
    return ledger


@pytest.fixture(scope="module")
def pack(book: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(book, tmp_path_factory.mktemp("packs") / "pack")


def test_what_was_decided_is_in_it(book: Ledger, pack: Path) -> None:
    told, known = cases(pack), breaks(books.place(book))
    shared = ["run", "number", "kind", "batch_start", "state", "case", "disposition", "by", "confirmed_by", "reference"]
    assert told.select(shared).sort("run", "number").rows() == known.select(shared).sort("run", "number").rows()
    assert told["reason"].to_list() == ["rare", "a test item", None, None]
    for row in known.iter_rows(named=True):
        one = trace(pack, row["run"], row["number"])
        assert one.equals(traced(books.place(book), row["id"]))
    with pytest.raises(UsageError, match="the pack has no break x:1"):
        trace(pack, "x", 1)
    found = verify_pack(pack)
    assert found.exit_code == 0
    assert "reasons.jsonl" in (pack / "README.md").read_text()
    kinds = [json.loads(body)["kind"] for body in leaves(pack).values()]
    assert (kinds.count("disposition"), kinds.count("ruled")) == (8, 1)


def test_a_pack_of_one_run_has_what_was_decided_about_its_breaks(book: Ledger, tmp_path: Path) -> None:
    for run in runs(books.place(book))["run"]:
        told = cases(export(book, tmp_path / run, run=run))
        assert sorted(told["case"]) == ["disposed", "disposed", "open", "reopened"]


def test_a_pack_without_names_has_no_reasons(book: Ledger, tmp_path: Path) -> None:
    pack = export(book, tmp_path / "pack", pseudonymise=tmp_path / "key")
    assert not (pack / REASONS).exists()
    assert "a test item" not in " ".join(readable(pack))
    told = cases(pack)
    assert told["reason"].null_count() == told.height
    # where nothing was decided, two rows of one break cannot be told to be one
    assert sorted(told["case"]) == ["disposed", "disposed", "open", "open", "reopened"]


def test_a_reason_that_was_erased_is_missed_by_nobody(tmp_path: Path) -> None:
    book = books.filled(tmp_path, runs=2)
    told = breaks(books.place(book)).row(0, named=True)
    dispose(book, told["id"], "timing", reason="asked ms park", reference="T-1", by="lee")
    who = json.loads(told["identity"])["id"]
    assert erase(book, {"id": who}, basis="art. 17", by="dpo") == 3
    for n, run in enumerate([None, *runs(books.place(book))["run"]]):
        pack = export(book, tmp_path / f"pack{n}", run=run)
        found = verify_pack(pack)
        assert (found.exit_code, found.erased) == (0, 3 if run is None else 2)
        assert "ms park" not in " ".join(readable(pack))
        assert sorted(cases(pack)["case"]) == ["disposed", "open", "open", "open"]


def lines(pack: Path, change: Callable[[list[Any]], list[Any]]) -> None:
    told = change([json.loads(line) for line in (pack / REASONS).read_text().splitlines()])
    (pack / REASONS).write_text("".join(f"{canonical_json(line)}\n" for line in told))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda all_: [all_[0] | {"body": '{"reason":"none"}'}, *all_[1:]], "is not the reason that was committed to"),
        (lambda all_: [all_[0] | {"leaf": 1}, *all_[1:]], "no leaf of the pack has this reason"),
        (lambda all_: [*all_, all_[0]], "no leaf of the pack has this reason"),
        (lambda all_: all_[1:], "is not there, and no erasure of it is on record"),
    ],
)
def test_another_reason_is_named_whoever_signed_it(
    book: Ledger, pack: Path, tmp_path: Path, change: Callable[[list[Any]], list[Any]], why: str
) -> None:
    copy = copied(pack, tmp_path)
    lines(copy, change)
    signed_anew(copy, book.key)
    assert any(why in flaw.why for flaw in verify_pack(copy).flaws)


def test_a_step_that_is_left_out_between_others_is_missed(book: Ledger, pack: Path, tmp_path: Path) -> None:
    copy, told = copied(pack, tmp_path), leaves(pack)
    steps = [number for number, body in told.items() if json.loads(body)["kind"] == "disposition"]
    followed = {json.loads(told[number])["follows"] for number in steps}
    gone = next(number for number in steps if number in followed)
    path = copy / "log" / "leaves.jsonl"
    kept = [line for line in path.read_text().splitlines() if json.loads(line)["leaf"] != gone]
    path.write_text("".join(f"{line}\n" for line in kept))
    lines(copy, lambda all_: [each for each in all_ if each["leaf"] != gone])
    signed_anew(copy, book.key)
    assert any("which is not the step before it" in flaw.why for flaw in verify_pack(copy).flaws)


@pytest.mark.parametrize(("step", "by", "why"), [
    ("disposed", "KIM", "KIM ran 2.*, which found break .* and cannot dispose of it"),
    ("confirmed", "lee", "lee proposed the disposition of break .* and cannot confirm it"),
])  # fmt: skip
def test_who_decided_alone_is_named_in_a_log_of_their_own(
    book: Ledger, pack: Path, tmp_path: Path, step: str, by: str, why: str
) -> None:
    import re

    copy, forged = copied(pack, tmp_path), leaves(pack)
    number = next(n for n, body in forged.items() if json.loads(body).get("step") == step)
    forged[number] = canonical_json(json.loads(forged[number]) | {"by": by})
    with_leaves(copy, forged, book.key)
    signed_anew(copy, book.key)
    assert any(re.search(why, flaw.why) for flaw in verify_pack(copy).flaws)


def test_a_step_tells_in_words_who_decided_what(pack: Path) -> None:
    """Whatever is signed: a list where a reference should stand is a flaw, and no frame of the cases has to hold it."""
    bodies = [json.loads(body) for body in leaves(pack).values() if '"kind":"disposition"' in body]
    assert bodies
    for body in bodies:
        assert step_of(1, body).by == body["by"]
        for name in ("at", "step", "disposition", "by", "operator", "reference", "control", "reason", "follows"):
            with pytest.raises(ValueError, match="tells in no words"):
                step_of(1, body | {name: []})
        with pytest.raises(ValueError, match="names no break"):
            step_of(1, body | {"rows": []})


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_nothing_crashes_whatever_is_decided(book: Ledger, pack: Path, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    copy = copied(pack, tmp_path)
    if chance.random() < 0.5:
        bodies = leaves(pack)
        number = chance.choice([n for n, body in bodies.items() if '"kind":"disposition"' in body or '"ruled"' in body])
        with_leaves(copy, bodies | {number: canonical_json(nonsense(json.loads(bodies[number]), chance))}, book.key)
    else:
        lines(copy, lambda all_: [nonsense(each, chance) for each in all_])
    signed_anew(copy, book.key)
    try:
        found = verify_pack(copy)
        assert found.headline()
        if not found.flaws:
            assert isinstance(cases(copy), pl.DataFrame)
    except LedgerError:
        return


def test_samples_are_leaves_that_every_run_stands_on(tmp_path: Path) -> None:
    book = books.filled(tmp_path, runs=1)
    for kind in ("sampled", "tested"):
        book.say(kind, {"said": f"{kind} by hand"})
    pack = export(book, tmp_path / "pack")
    assert {"sampled", "tested"} <= {json.loads(body)["kind"] for body in leaves(pack).values()}
    assert verify_pack(pack).exit_code == 0


def test_what_is_decided_later_is_in_the_next_pack(tmp_path: Path) -> None:
    book = books.filled(tmp_path, runs=1)
    one = breaks(books.place(book))["id"][0]
    dispose(book, one, "timing", reason="x", reference="T", by="lee")
    before = export(book, tmp_path / "before")
    reopen(book, one, reason="y", by="ann")
    assert sorted(cases(before)["case"])[0] == "disposed"
    assert sorted(cases(export(book, tmp_path / "after"))["case"])[-1] == "reopened"
