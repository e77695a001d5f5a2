"""Sealed batches: two sides that agree in every sum, and are not the same."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import integrity
from integrity import comparison, selftest
from integrity import spool as spools
from integrity.balance import Compared
from integrity.errors import BalanceError
from integrity.seals import Sealer, fingerprint_of
from integrity.totals import Tally
from tests.test_reconcile_laws import Case, assert_agrees, assert_balances, cases, law, on_disk, without_self_test
from tests.test_reconciliation import Flaky

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
ITEMS = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), TEXTS, st.none() | TEXTS, st.none() | st.integers(0, 3)), max_size=12
)
SCHEMA: dict[str, Any] = {"part": pl.String, "id": pl.String, "body": pl.String, "at": pl.Datetime("us", "UTC")}


def promise(**more: Any) -> integrity.Contract:
    said: dict[str, Any] = {
        "name": "notes",
        "version": 1,
        "identity": ["part", "id"],
        "content": {"body": "text"},
        "clock": {"event": "at"},
        "window": "1h",
        "partition": ["part"],
        "seal": "merkle",
    }
    return integrity.Contract(**(said | more))


def frame(items: list[tuple[Any, ...]]) -> pl.DataFrame:
    rows = [(p, i, b, None if hour is None else START + dt.timedelta(hours=hour)) for p, i, b, hour in items]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962's own definition."""
    if len(leaves) < 2:
        return hashlib.sha256(b"\x00" + leaves[0]).digest() if leaves else hashlib.sha256().digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def text_of(part: str | None, id_: str, body: str | None, hour: int | None) -> bytes:
    at = None if hour is None else str(int(START.timestamp() * 1_000_000) + hour * 3_600_000_000)
    values = [id_, part, at, body]
    lengths = ["-" if v is None else str(len(v.encode())) for v in values]
    return "\x1f".join([*("" if v is None else v for v in values), *lengths]).encode()


def roots(items: list[tuple[Any, ...]]) -> dict[tuple[Any, Any], tuple[int, str]]:
    batches: dict[tuple[Any, Any], list[bytes]] = {}
    for part, id_, body, hour in items:
        start = None if hour is None else START + dt.timedelta(hours=hour)
        batches.setdefault((part, start), []).append(hashlib.sha256(text_of(part, id_, body, hour)).digest())
    return {batch: (len(prints), "sha256:" + mth(sorted(prints)).hex()) for batch, prints in batches.items()}


def sealed(result: integrity.Result, side: str) -> dict[tuple[Any, Any], tuple[int, str]]:
    rows = json.loads(result.to_json())["seals"]
    return {
        (row["part"], row["batch_start"] and dt.datetime.fromisoformat(row["batch_start"])): (
            row["records"],
            row["root"],
        )
        for row in rows
        if row["side"] == side
    }


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(here=ITEMS, there=ITEMS, spilled=st.booleans())
def test_roots_are_those_of_sorted_fingerprints(
    here: list[tuple[Any, ...]], there: list[tuple[Any, ...]], spilled: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if spilled:
            patch.setattr(spools, "_IN_MEMORY", 1)
            patch.setattr(spools.Spool.__init__, "__defaults__", (1,))
        result = integrity.reconcile(promise(unique=False), frame(here), frame(there))
        assert sealed(result, "source") == roots(here)
        assert sealed(result, "destination") == roots(there)
        shown = [row for part in result.fingerprint_frames() for row in part.iter_rows(named=True)]
    assert result.strength == "adversary"
    equal = roots(here).items() & roots(there).items()
    assert sum(row["side"] == "source" for row in shown) == len(here)
    assert sum(row["side"] == "destination" for row in shown) == len(there) - sum(n for _, (n, _) in equal)


@law(examples=60)
@given(cases(), st.booleans())
def test_a_sealed_contract_finds_what_the_oracle_finds_and_seals_what_was_counted(case: Case, spilled: bool) -> None:
    assume(not case.contract.joined)
    case.contract = case.contract.model_copy(update={"seal": "merkle"})
    with without_self_test():
        if spilled:
            with on_disk():
                result = case.reconcile()
        else:
            result = case.reconcile()
    assert_agrees(result, case.expected())
    assert_balances(result)
    document = json.loads(result.to_json())
    keys = [*case.contract.partition, "batch_start"]
    seals = {(row["side"], *(row[key] for key in keys)): row for row in document["seals"]}
    assert len(seals) == len(document["seals"])
    for batch in document["batches"]:
        here, there = (seals.pop((side, *(batch[key] for key in keys)), None) for side in ("source", "destination"))
        assert (here or {"records": 0})["records"] == batch["source_records"]
        assert (there or {"records": 0})["records"] == batch["destination_records"]
        if here and there and here["root"] == there["root"]:
            wrong = ("lost", "duplicate", "corrupt", "extra", "moved_in", "moved_out")
            assert not any(batch[kind] for kind in wrong) or case.outcomes is not None
    assert not seals


def test_what_differs_is_sealed_as_it_was_read_last() -> None:
    items = [("a", str(n), "x", n) for n in range(3)]
    # The self-test samples the destination; the first pass misses what the second look finds.
    result = integrity.reconcile(promise(), frame(items), Flaky(frame(items[:1]), frame(items[:1]), frame(items)))
    assert result.verdict == "pass"
    assert sealed(result, "source") == sealed(result, "destination") == roots(items)
    # What turns up in a batch that had agreed is told of the batch where it should be, and is not counted there.
    late = [items[0], ("a", "2", "x", 0)]
    moved = integrity.reconcile(promise(), frame(items[::2]), Flaky(frame(items[:1]), frame(items[:1]), frame(late)))
    assert moved.totals["moved"] == 1
    assert sealed(moved, "destination") == roots(items[:1])


def test_a_seal_that_is_not_of_the_rows_that_were_counted_is_a_bug_and_no_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add, items = Sealer.add, frame([("a", str(n), "x", 0) for n in range(3)])
    monkeypatch.setattr("integrity.reconciliation.run_self_test", lambda *a: "left out")
    monkeypatch.setattr(Sealer, "add", lambda self, rows: add(self, rows.head(2)))
    with pytest.raises(BalanceError, match="seals of 1 batches are not those of their items"):
        integrity.reconcile(promise(), items, items)


def test_many_small_batches_come_out_whole_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [("ab"[n % 2], str(n), None, n % 40) for n in range(400)]
    with on_disk():
        result = integrity.reconcile(promise(), frame(items), frame(items[::-1][1:]))
        shown = list(result.fingerprint_frames())
    assert sealed(result, "source") == roots(items)
    seen: dict[tuple[Any, ...], list[str]] = {}
    for number, part in enumerate(shown):
        for (part_of, start, side), rows in part.group_by("__p.part", "__batch", "side"):
            assert (part_of, start, side) not in seen, number
            seen[part_of, start, side] = rows["fingerprint"].to_list()
    assert all(prints == sorted(prints) for prints in seen.values())
    assert len(seen) == len(roots(items)) + 1


def test_an_empty_window_that_is_due_has_no_seal_and_does_not_pass() -> None:
    items = frame([("a", "1", "x", 0), ("a", "2", "x", 2)])
    contract = promise(partition=[], due="window")
    result = integrity.reconcile(contract, items, items, since=START, until=START + dt.timedelta(hours=3))
    assert result.verdict == "unverified"
    assert list(result.batches["source_records"]) == [1, 0, 1]
    assert list(result.seals["records"]) == [1, 1, 1, 1]
    nothing = integrity.reconcile(promise(), items[:0], items[:0])
    assert nothing.verdict == "unverified"
    assert list(nothing.seals.columns) == ["part", "batch_start", "side", "records", "root"]
    assert nothing.seals.empty


def test_the_self_test_compares_seals_too(monkeypatch: pytest.MonkeyPatch) -> None:
    compare, seen = comparison.compare, []

    def watched(*args: Any, **more: Any) -> Compared:
        seen.append(compare(*args, **more))
        return seen[-1]

    monkeypatch.setattr(selftest, "compare", watched)
    items = frame([("a", "1", "x", 0)])
    assert integrity.reconcile(promise(), items, items).verdict == "pass"
    assert seen
    for compared in seen:
        assert compared.seals is not None
        assert compared.seals.roots["root"].n_unique() > 1


def test_order_changes_nothing_and_copies_count() -> None:
    items = [("a", str(n), "x", 0) for n in range(50)]
    one = integrity.reconcile(promise(), frame(items), frame(items[::-1]))
    assert one.verdict == "pass"
    assert one.seals["root"].nunique() == 1
    twice = integrity.reconcile(promise(unique=False), frame(items), frame([*items, items[0]]))
    assert twice.totals["duplicate"] == 1
    assert twice.seals["root"].nunique() == 2


def test_sides_whose_sums_were_made_equal_pass_without_a_seal_and_not_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can do this to SHA-256 here and now, so the sums themselves are blinded."""
    add = Tally.add

    def blind(self: Tally, rows: pl.DataFrame) -> None:
        if self.sealer is not None:
            self.sealer.add(rows)
            self.sealer, kept = None, self.sealer
            add(self, rows.with_columns(__w0=pl.lit(0, pl.UInt64), __w1=pl.lit(0, pl.UInt64)))
            self.sealer = kept
        else:
            add(self, rows.with_columns(__w0=pl.lit(0, pl.UInt64), __w1=pl.lit(0, pl.UInt64)))

    monkeypatch.setattr(Tally, "add", blind)
    monkeypatch.setattr("integrity.reconciliation.run_self_test", lambda *a: "left out")
    here, there = [("a", "1", "x", 0), ("a", "2", "y", 0)], [("a", "1", "x", 0), ("a", "2", "Z", 0)]
    accident = integrity.reconcile(promise(seal=None), frame(here), frame(there), pushdown="never")
    assert accident.totals["corrupt"] == 0
    found = integrity.reconcile(promise(), frame(here), frame(there))
    assert (found.verdict, found.totals["corrupt"]) == ("fail", 1)


def test_two_items_that_agree_in_half_of_their_fingerprints_are_not_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from integrity.rows import Chunk

    fingerprint = Chunk._fingerprint

    def half(self: Chunk) -> list[pl.Series]:
        return [s * 0 if s.name in ("__w0", "__w1") else s for s in fingerprint(self)]

    monkeypatch.setattr(Chunk, "_fingerprint", half)
    monkeypatch.setattr("integrity.reconciliation.run_self_test", lambda *a: "left out")
    found = integrity.reconcile(promise(), frame([("a", "1", "x", 0)]), frame([("a", "1", "Z", 0)]))
    assert (found.verdict, found.totals["corrupt"]) == ("fail", 1)


def test_a_database_is_pulled_and_says_why(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "notes.db"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT 'a' AS part, '1' AS id, 'x' AS body, TIMESTAMPTZ '2026-03-01 00:00:00+00' AS at"
        )
    with sqlite3.connect(tmp_path / "lite.db") as lite:
        lite.execute("CREATE TABLE t (part TEXT, id TEXT, body TEXT, at TEXT)")
        lite.execute("INSERT INTO t VALUES ('a', '1', 'x', '2026-03-01T00:00:00Z')")
    lite.close()
    url, other = f"duckdb:///{path}#t", f"sqlite:///{tmp_path}/lite.db#t"
    result = integrity.reconcile(promise(), url, other)
    assert result.verdict == "pass"
    assert "a seal needs every fingerprint" in " ".join(result.notes)
    assert sealed(result, "source") == roots([("a", "1", "x", 0)]) == sealed(result, "destination")
    never = integrity.reconcile(promise(), url, other, pushdown="never")
    assert never.strength == "adversary"
    with pytest.raises(integrity.IntegrityError, match="a seal needs every fingerprint"):
        integrity.reconcile(promise(), url, other, pushdown="always")


def test_recorded_totals_have_no_seal_and_so_do_not_pass() -> None:
    items = frame([("a", "1", "x", 0)])
    recorded = integrity.measure(promise(), items, side="source")
    result = integrity.reconcile(promise(), recorded, items)
    assert result.verdict == "unverified"
    assert result.strength == "accident"
    assert any("recorded totals have no items to compare seals of" in note for note in result.notes)
    assert result.seals.empty
    changed = integrity.reconcile(promise(), recorded, frame([("a", "1", "Z", 0)]))
    assert changed.verdict == "fail"
    bare = promise(content={})
    known = integrity.reconcile(bare, integrity.measure(bare, items, side="source"), items)
    assert known.assertions[integrity.Assertion.COMPLETENESS] == "unverified"


def test_what_is_matched_item_by_item_takes_no_seal() -> None:
    with pytest.raises(integrity.ContractError, match=r"seal.*other half"):
        promise(clock={"event": "at", "carried": False})


def test_with_revisions_the_superseded_are_not_sealed() -> None:
    contract = promise(content={"body": "text", "rev": "integer"}, latest_by="rev")
    rows = frame([("a", "1", "x", 0), ("a", "1", "y", 0)]).with_columns(rev=pl.Series([1, 2]))
    result = integrity.reconcile(contract, rows, rows[1:])
    assert result.verdict == "pass"
    assert list(result.seals["records"]) == [1, 1]


def test_the_json_has_them() -> None:
    items = frame([("a", "1", "x", 0)])
    document = json.loads(integrity.reconcile(promise(), items, items).to_json())
    assert [row["side"] for row in document["seals"]] == ["source", "destination"]
    assert document["seals"][0]["batch_start"] == "2026-03-01T00:00:00.000000Z"
    assert document["run"]["strength"] == "adversary"
    unsealed = integrity.reconcile(promise(seal=None), items, items)
    assert unsealed.seals.empty
    assert json.loads(unsealed.to_json())["seals"] == []


@given(st.tuples(TEXTS, TEXTS, st.none() | TEXTS, st.integers(0, 3)))
def test_an_items_fingerprint_is_that_of_its_row(item: tuple[str, str, str | None, int]) -> None:
    part, id_, body, hour = item
    at = START + dt.timedelta(hours=hour)
    told = {"part": part, "id": id_, "body": body, "at": at.isoformat()}
    assert fingerprint_of(promise(), told) == hashlib.sha256(text_of(*item)).hexdigest()


def test_an_item_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(integrity.UsageError, match="the item has no 'body'; did you mean 'bodi'"):
        fingerprint_of(promise(), {"part": "a", "id": "1", "at": "2026-03-01T00:00:00Z", "bodi": "x"})
    with pytest.raises(integrity.UsageError, match="at of the item, 'noon', is no timestamp"):
        fingerprint_of(promise(), {"part": "a", "id": "1", "at": "noon", "body": "x"})


def test_the_page_on_rules_shows_a_contract_that_seals(tmp_path: Path) -> None:
    page = (Path(integrity.__file__).parent.parent / "docs" / "rules.md").read_text(encoding="utf-8")
    (text,) = (block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "seal: merkle" in block)
    entries = pl.DataFrame({"entry_id": ["1", "2"], "amount": [5, 7], "booked_at": [START, START]})
    (tmp_path / "entries.yaml").write_text(text, encoding="utf-8")
    result = integrity.reconcile(tmp_path / "entries.yaml", entries, entries)
    assert (result.verdict, result.strength) == ("pass", "adversary")
    assert list(result.seals["side"]) == ["source", "destination"]
