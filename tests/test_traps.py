"""Traps that others fell into: each was reproduced in, or read from, a tool that people trust. In DESIGN's order."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import integrity
from integrity import Verdict, canonical, reconciliation, search
from integrity.columns import Column
from integrity.errors import BalanceError, ContractError, StoreError
from integrity.stores.base import Span
from tests.conftest import at, frame, message, promise


def snapshot(identity: Any = ("id",), **promises: Any) -> integrity.Contract:
    """A contract of two snapshots: no clock, one batch."""
    identity = list(identity) if isinstance(identity, tuple) else identity
    return integrity.Contract(**({"name": "trap", "version": 1, "identity": identity} | promises))


def found(result: integrity.Result) -> Counter[str]:
    return Counter(result.breaks["kind"])


def reconcile(contract: integrity.Contract, source: Any, destination: Any, **how: Any) -> integrity.Result:
    sides = [pl.DataFrame(side) if isinstance(side, dict) else side for side in (source, destination)]
    return integrity.reconcile(contract, *sides, **how)


# --- one text per item
# -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ({"id": ["1"], "a": ["12"], "b": ["3"]}, {"id": ["1"], "a": ["1"], "b": ["23"]}),
        ({"id": ["1"], "a": ["a|b"], "b": ["c"]}, {"id": ["1"], "a": ["a"], "b": ["b|c"]}),
        ({"id": ["1"], "a": ["a\x1fb"], "b": ["c"]}, {"id": ["1"], "a": ["a"], "b": ["b\x1fc"]}),
    ],
)
def test_concatenation_without_lengths(source: dict[str, list[str]], destination: dict[str, list[str]]) -> None:
    result = reconcile(snapshot(content={"a": "text", "b": "text"}), source, destination)
    assert found(result) == {"corrupt": 1}
    assert result.breaks["differing"].item() == "a, b"


@pytest.mark.parametrize("stand_in", ["", "NULL", "null", "None", "nan", "-", "\\N", "\x1a", "\x00"])
def test_null_equal_to_a_text(stand_in: str) -> None:
    contract = snapshot(content={"body": "text"})
    sides = {"id": ["1"], "body": [None]}, {"id": ["1"], "body": [stand_in]}
    schema = {"id": pl.String, "body": pl.String}
    result = reconcile(contract, *(pl.DataFrame(side, schema=schema) for side in sides))
    assert found(result) == {"corrupt": 1}


def test_null_equal_to_empty_bytes_or_to_the_unreadable() -> None:
    contract = snapshot(content={"raw": "binary", "n": "integer"})
    schema = {"id": pl.String, "raw": pl.Binary, "n": pl.String}
    source = pl.DataFrame({"id": ["1", "2"], "raw": [None, b"x"], "n": ["1", None]}, schema=schema)
    destination = pl.DataFrame({"id": ["1", "2"], "raw": [b"", b"x"], "n": ["1", "lots"]}, schema=schema)
    result = reconcile(contract, source, destination)
    assert found(result) == {"corrupt": 2, "invalid": 1}
    corrupt = result.breaks[result.breaks["kind"] == "corrupt"]
    assert dict(zip(corrupt["id"], corrupt["differing"], strict=True)) == {"1": "raw", "2": "n"}


def test_the_unreadable_equal_to_the_text_that_looks_like_it() -> None:
    """An unreadable value begins with U+001A; that of a readable text is the text's own."""
    contract = snapshot(content={"n": "integer"})
    result = reconcile(contract, {"id": ["1"], "n": ["x"]}, {"id": ["1"], "n": ["\x1ax"]})
    assert found(result) == {"corrupt": 1, "invalid": 1}


def test_rows_with_a_null_identity_vanish() -> None:
    contract = snapshot(("tenant", "id"), content={"body": "text"})
    rows = {"tenant": ["t", "t", None], "id": [None, "2", None], "body": ["a", "b", "c"]}
    everything = reconcile(contract, rows, rows)
    assert everything.totals["source_records"] == everything.totals["matched"] == 3
    assert found(everything) == {"invalid": 2}
    nothing = reconcile(contract, rows, pl.DataFrame(rows).clear())
    assert found(nothing) == {"lost": 3, "invalid": 2}
    assert nothing.totals["lost"] == 3
    changed = reconcile(contract, rows, rows | {"body": ["a", "b", "C"]})
    assert found(changed) == {"corrupt": 1, "invalid": 2}


# --- sums
# --------------------------------------------------------------------------------------------------------------------


def test_xor_cancels_pairs() -> None:
    contract = snapshot(content={"body": "text"}, unique=False)
    twice_a, twice_b = {"id": ["1", "1"], "body": ["a", "a"]}, {"id": ["1", "1"], "body": ["b", "b"]}
    result = reconcile(contract, twice_a, twice_b)
    assert found(result) == {"corrupt": 2}
    one, other = (integrity.measure(contract, pl.DataFrame(side), side="source") for side in (twice_a, twice_b))
    assert one != other


def test_one_copy_against_three() -> None:
    contract = snapshot(content={"body": "text"})
    result = reconcile(contract, {"id": ["1"], "body": ["a"]}, {"id": ["1"] * 3, "body": ["a"] * 3})
    assert found(result) == {"duplicate": 2}
    assert result.assertions["completeness"] is Verdict.FAIL


def test_the_same_duplicate_on_both_sides_goes_unseen() -> None:
    contract = snapshot(content={"body": "text"})
    rows = {"id": ["1", "2", "2"], "body": ["a", "b", "b"]}
    result = reconcile(contract, rows, rows)
    assert found(result) == {"invalid": 1}
    assert result.verdict is Verdict.FAIL
    assert reconcile(snapshot(content={"body": "text"}, unique=False), rows, rows).verdict is Verdict.PASS


def test_column_order_changes_the_answer() -> None:
    declared = snapshot({"b": "text", "a": "text"}, content={"z": "text", "c": "text"})
    reversed_ = snapshot({"a": "text", "b": "text"}, content={"c": "text", "z": "text"})
    assert declared.sha256 == reversed_.sha256
    rows = {"a": ["1"], "b": ["2"], "c": ["3"], "z": ["4"]}
    one = integrity.measure(declared, pl.DataFrame(rows), side="source")
    other = integrity.measure(reversed_, pl.DataFrame(dict(reversed(rows.items()))), side="source")
    assert one == other


_IN_A_PROCESS_OF_ITS_OWN = """
import integrity, polars as pl
contract = integrity.Contract(name="trap", version=1, identity=["id"], content={"body": "text"}, unique=False)
source = pl.DataFrame({"id": [str(n % 7) for n in range(40)], "body": [str(n % 5) for n in range(40)]})
destination = source.with_columns(body=pl.when(pl.col("id") == "3").then(pl.lit("x")).otherwise("body"))[3:]
result = integrity.reconcile(contract, source, destination)
columns = ["break_id", "kind", "id", "differing"]
print(result.batches["source_hash"].tolist(), result.totals, result.breaks[columns].to_dict("list"))
"""


def test_a_hash_seed_changes_the_answer() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", _IN_A_PROCESS_OF_ITS_OWN],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(said) == 1
    assert "corrupt" in said.pop()


# --- numbers
# -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", [[2**53], ["9007199254740992"], [Decimal(2**53)]])
def test_two_to_the_53_plus_one_equals_two_to_the_53(typed: list[Any]) -> None:
    contract = snapshot(content={"n": "integer"}, amounts=["n"])
    result = reconcile(contract, {"id": ["1"], "n": [2**53 + 1]}, {"id": ["1"], "n": typed})
    assert found(result) == {"corrupt": 1}
    batch = result.batches.iloc[0]
    assert (batch["source_n"], batch["destination_n"]) == (2**53 + 1, 2**53)


def test_decimals_through_float() -> None:
    contract = snapshot(content={"amount": {"type": "decimal", "scale": 2}}, amounts=["amount"])
    cents = [Decimal("0.10"), Decimal("0.20"), Decimal("90071992547409.93")]
    source = {"id": ["1", "2", "3"], "amount": cents}
    same = reconcile(contract, source, {"id": ["1", "2", "3"], "amount": [str(value) for value in cents]})
    assert same.verdict is Verdict.PASS
    assert same.batches["source_amount"].item() == Decimal("90071992547410.23")
    # one cent, which no float of that size can tell
    other = reconcile(contract, source, {"id": ["1", "2", "3"], "amount": ["0.10", "0.20", "90071992547409.92"]})
    assert found(other) == {"corrupt": 1}


def test_sums_that_overflow_or_round() -> None:
    contract = snapshot(content={"n": "integer"}, amounts=["n"])
    huge = [2**63 - 1, 2**63 - 1, 2**63 - 1, 1]
    rows = {"id": ["1", "2", "3", "4"], "n": huge}
    assert reconcile(contract, rows, rows).batches["source_n"].item() == sum(huge)
    texts = ["9" * 60, "-" + "8" * 60, "1", "10"]
    rows = {"id": ["1", "2", "3", "4"], "n": texts}
    assert reconcile(contract, rows, rows).batches["destination_n"].item() == sum(map(int, texts))
    scaled = snapshot(content={"n": {"type": "decimal", "scale": 2}}, amounts=["n"])
    total = reconcile(scaled, rows, rows).batches["destination_n"].item()
    assert total == sum(map(int, texts))


def test_0x10_read_as_16() -> None:
    contract = snapshot(content={"n": "integer"})
    result = reconcile(contract, {"id": ["1", "2"], "n": ["16", "0x10"]}, {"id": ["1", "2"], "n": ["0x10", "0x10"]})
    assert found(result) == {"corrupt": 1, "invalid": 2}


# --- text and time
# -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "option"),
    [("a", "A", "casefold"), ("a", "a ", "trim"), ("straße", "STRASSE", "casefold"), ("a\r\nb", "a\nb", "newline")],
)
def test_collation_and_trailing_blanks(one: str, other: str, option: str) -> None:
    """Texts are equal when their octets are, unless the contract says otherwise; as identities and as content."""
    plain = snapshot(content={"body": "text"})
    assert found(reconcile(plain, {"id": ["1"], "body": [one]}, {"id": ["1"], "body": [other]})) == {"corrupt": 1}
    assert found(reconcile(snapshot(), {"id": [one]}, {"id": [other]})) == {"lost": 1, "extra": 1}
    kind = {"type": "text", option: "lf" if option == "newline" else True}
    declared = snapshot({"id": kind}, content={"body": kind})
    assert reconcile(declared, {"id": [one], "body": [one]}, {"id": [other], "body": [other]}).verdict is Verdict.PASS


def test_an_offset_against_z() -> None:
    contract = snapshot(content={"when": "timestamp"})
    source = {"id": ["1", "2"], "when": ["2026-03-02T09:00:00+09:00", "2026-03-02T09:00:00+09:00"]}
    destination = {"id": ["1", "2"], "when": ["2026-03-02T00:00:00Z", "2026-03-02T09:00:00Z"]}
    result = reconcile(contract, source, destination)
    assert [(row.kind, row.id) for row in result.breaks.itertuples()] == [("corrupt", "2")]


def test_nfc_against_nfd_and_two_raw_names_that_become_one() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert found(reconcile(snapshot(), {"id": [composed]}, {"id": [decomposed]})) == {"lost": 1, "extra": 1}
    contract = snapshot({"id": {"type": "text", "unicode": "NFC"}})
    assert reconcile(contract, {"id": [composed]}, {"id": [decomposed]}).verdict is Verdict.PASS
    both = {"id": [composed, decomposed]}
    result = reconcile(contract, both, both)
    assert found(result) == {"invalid": 1}
    assert result.totals["matched"] == 2
    assert "2 times in the source" in result.breaks["reason"].item()


# --- nothing is not good
# -----------------------------------------------------------------------------------------------------


def test_an_empty_batch_passes() -> None:
    nothing = pl.DataFrame(schema={"id": pl.String, "body": pl.String})
    result = reconcile(snapshot(content={"body": "text"}), nothing, nothing)
    assert result.verdict is Verdict.UNVERIFIED
    assert set(result.assertions.values()) == {Verdict.UNVERIFIED}
    assert result.exit_code == 3
    with pytest.raises(integrity.ReconciliationError):
        result.raise_for_verdict()


def test_an_idle_window_passes(day: pl.DataFrame) -> None:
    early = day.filter(pl.col("sent_at") < at(20))
    due = integrity.reconcile(promise(due="window"), early, early, since=at(0), until=at(30), as_of=at(60))
    assert due.batches["completeness"].tolist() == ["pass", "pass", "unverified"]
    assert due.verdict is Verdict.UNVERIFIED
    not_due = integrity.reconcile(promise(), early, early, since=at(0), until=at(30), as_of=at(60))
    assert not_due.verdict is Verdict.PASS


def test_an_empty_rule_set_passes() -> None:
    with pytest.raises(ContractError, match="promises nothing"):
        integrity.Contract.from_text("", "empty.yaml")
    with pytest.raises(ContractError, match="identity"):
        snapshot({})
    with pytest.raises(ContractError, match="no outcome"):
        snapshot(outcomes={"accept": []})


def test_0_of_0_is_complete(day: pl.DataFrame) -> None:
    result = integrity.reconcile(promise(), day.clear(), frame(message(1, 1)), as_of=at(60))
    batch = result.batches.iloc[0]
    assert batch["completeness_ratio"] != batch["completeness_ratio"]  # no number
    assert batch["completeness"] == "unverified"
    assert result.verdict is Verdict.FAIL  # for the extra one


def test_everything_lost_is_accurate_and_on_time(day: pl.DataFrame) -> None:
    result = integrity.reconcile(promise(), day, day.clear(), as_of=at(60))
    assert found(result) == {"lost": 30}
    assert result.assertions["accuracy"] is Verdict.UNVERIFIED
    assert result.assertions["timeliness"] is Verdict.FAIL
    assert result.batches["timeliness_ratio"].tolist() == [0.0] * 3


def test_extra_copies_make_up_for_lost_ones(day: pl.DataFrame) -> None:
    """Thirty went in and thirty came out."""
    destination = pl.concat([day[1:], day[5:6]])
    result = integrity.reconcile(promise(), day, destination, as_of=at(60))
    assert found(result) == {"lost": 1, "duplicate": 1}
    assert result.batches["completeness_ratio"].tolist() == [0.9, 1.0, 1.0]
    assert result.assertions["completeness"] is Verdict.FAIL
    both = integrity.reconcile(
        promise(), day, pl.concat([day[2:], frame(message(97, 1), message(98, 2))]), as_of=at(60)
    )
    assert found(both) == {"lost": 2, "extra": 2}


def test_holes_before_the_newest_good_hour_are_skipped(day: pl.DataFrame) -> None:
    holed = day.filter(~pl.col("sent_at").is_between(at(10), at(20), closed="left"))
    result = integrity.reconcile(promise(), day, holed, as_of=at(60))
    assert result.batches["verdict"].tolist() == ["pass", "fail", "pass"]
    assert found(result) == {"lost": 10}


def test_a_redelivery_into_another_batch_is_called_extra(day: pl.DataFrame) -> None:
    again = frame(message(3, 3, sent_at=at(23), stored_at=at(23)))
    result = integrity.reconcile(promise(), day, pl.concat([day, again]), as_of=at(60))
    assert [(b.kind, b.message_id, b.batch_start) for b in result.breaks.itertuples()] == [("duplicate", "m3", at(20))]
    # also where the run asks for that batch only, and its source lies outside
    alone = integrity.reconcile(promise(), day, pl.concat([day, again]), since=at(20), as_of=at(60))
    assert found(alone) == {"duplicate": 1}


def test_only_the_first_200_are_looked_at(tmp_path: Any) -> None:
    ids = [f"{n:06d}" for n in range(12_000)]
    result = reconcile(snapshot(), {"id": [*ids, "kept"]}, {"id": ["kept"]})
    assert len(result.breaks) == result.totals["lost"] == 12_000
    assert sum(batch.num_rows for batch in result.iter_breaks()) == 12_000
    document = json.loads(result.to_json(tmp_path / "result.json"))
    assert document["breaks_total"] == 12_000
    lines = (tmp_path / document["breaks_file"]).read_text().splitlines()
    assert {json.loads(line)["id"] for line in lines} == set(ids)


# --- time
# --------------------------------------------------------------------------------------------------------------------


def test_percentiles_of_percentiles() -> None:
    """Two parts of very different size: the mean of their medians, or the worst, is not the median of the whole."""
    contract = promise(window="1d", timeliness={"within": "1h"})
    fast = [message(n, 0, stored_at=at(0) + dt.timedelta(milliseconds=10)) for n in range(90)]
    slow = [message(100 + n, 1, stored_at=at(1) + dt.timedelta(minutes=10)) for n in range(10)]
    whole = integrity.reconcile(contract, frame(*fast, *slow), frame(*fast, *slow)).batches.iloc[0]
    assert whole["latency_p50"].total_seconds() == pytest.approx(0.010, rel=0.03)
    assert whole["latency_p95"].total_seconds() == pytest.approx(600, rel=0.03)
    parts = [integrity.measure(contract, frame(*rows), side="destination") for rows in (fast, slow)]
    source = integrity.measure(contract, frame(*fast, *slow), side="source")
    merged = integrity.reconcile(contract, source, parts[0] + parts[1]).batches.iloc[0]
    for name in ("latency_p50", "latency_p95", "latency_max"):
        assert merged[name] == whole[name]


def test_a_negative_latency_clamped_to_zero() -> None:
    early = message(1, 1, stored_at=at(1) - dt.timedelta(microseconds=1))
    result = integrity.reconcile(promise(), frame(early), frame(early), as_of=at(60))
    assert found(result) == {"skewed": 1}
    assert result.assertions["timeliness"] is Verdict.FAIL
    batch = result.batches.iloc[0]
    assert batch["timeliness_ratio"] == 0.0
    assert batch["latency_max"] is not batch["latency_max"] or batch["latency_max"] != batch["latency_max"]


def test_an_item_from_the_future_is_nobodys_concern() -> None:
    """Its clock is wrong; it is in no open batch that would never close."""
    ahead = message(1, 600, stored_at=at(1))
    for changes, kind in (({}, "skewed"), ({"timeliness": None}, "invalid")):
        result = integrity.reconcile(promise(**changes), frame(ahead), frame(ahead), as_of=at(60))
        assert found(result) == {kind: 1}
        assert result.batches["batch_start"].isna().all()
        assert result.verdict is Verdict.FAIL
    skipped = integrity.reconcile(
        promise(), frame(ahead), frame(ahead), as_of=at(60), skip={"timeliness": "clock replaced"}
    )
    assert found(skipped) == {"invalid": 1}


# --- references that are missing
# ---------------------------------------------------------------------------------------------


def test_a_missing_hash_read_as_equal() -> None:
    contract = snapshot(content={"digest": {"type": "text", "evidence": True}})
    schema = {"id": pl.String, "digest": pl.String}
    complete = pl.DataFrame({"id": ["1", "2"], "digest": ["d1", "d2"]}, schema=schema)
    without = pl.DataFrame({"id": ["1", "2"], "digest": ["d1", None]}, schema=schema)
    for source, destination in ((complete, without), (without, complete), (without, without)):
        result = reconcile(contract, source, destination)
        assert result.totals["unverified"] == 1
        assert result.assertions["accuracy"] is Verdict.UNVERIFIED
        assert result.assertions["completeness"] is Verdict.PASS
    assert reconcile(contract, complete, complete).verdict is Verdict.PASS
    copied = snapshot(content={"digest": {"type": "text", "carried": True}})
    assert reconcile(copied, complete, complete).assertions["accuracy"] is Verdict.UNVERIFIED


def test_a_missing_hash_hides_another_difference() -> None:
    contract = snapshot(content={"digest": {"type": "text", "evidence": True}, "size": "integer"})
    source = {"id": ["1"], "digest": ["d"], "size": [1]}
    result = reconcile(contract, source, pl.DataFrame({"id": ["1"], "digest": [None], "size": [2]}))
    assert found(result) == {"corrupt": 1}


# --- a run that broke off
# ----------------------------------------------------------------------------------------------------


class Breaking:
    """A store that gives some rows and then fails, on a given pass."""

    name = location = "a store that breaks"

    def __init__(self, rows: pa.Table, on_pass: int, error: Exception) -> None:
        self._rows, self._on_pass, self._error, self._passes = rows, on_pass, error, 0

    def columns(self) -> Sequence[str]:
        return list(self._rows.column_names)

    def stream(self, columns: Sequence[str], span: Span | None = None) -> Iterator[pa.RecordBatch]:
        self._passes += 1
        for batch in self._rows.select(list(columns)).to_batches(max_chunksize=10):
            yield batch
            if self._passes == self._on_pass:
                raise self._error


@pytest.mark.parametrize("error", [StoreError("the connection was lost"), OSError("disk"), RuntimeError("whatever")])
@pytest.mark.parametrize("on_pass", [2, 3])
def test_success_reported_after_an_exception(day: pl.DataFrame, error: Exception, on_pass: int) -> None:
    """The first pass is the self-test's, of one chunk; then come the totals, then the items that differ."""
    breaking = Breaking(day.to_arrow(), on_pass, error)
    source = day.with_columns(body=pl.lit("x"))
    with pytest.raises(type(error), match=str(error)):
        result = integrity.reconcile(promise(), source, breaking, as_of=at(60))
        assert breaking._passes < on_pass, "was not read so often"
        pytest.fail(f"a result, although the destination broke off: {result}")


@pytest.mark.parametrize("error", [StoreError("the connection was lost"), ValueError("whatever")])
def test_totals_of_a_store_that_broke_off(day: pl.DataFrame, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        integrity.measure(promise(), Breaking(day.to_arrow(), 1, error), side="source")


def test_an_outcomes_store_that_broke_off_excuses_everything() -> None:
    ended = pa.table({"id": ["1"] * 20, "outcome": ["recalled"] * 20})
    contract = snapshot(outcomes={"accept": ["recalled"]})
    with pytest.raises(StoreError, match="lost"):
        reconcile(contract, {"id": ["1"]}, {"id": ["2"]}, outcomes=Breaking(ended, 1, StoreError("lost")))


# --- the summary
# -------------------------------------------------------------------------------------------------------------


def test_a_summary_that_disagrees_with_the_rows(day: pl.DataFrame) -> None:
    destination = pl.concat([day[2:], day[9:10], frame(message(99, 9))]).with_columns(
        body=pl.when(pl.col("message_id") == "m20").then(pl.lit("x")).otherwise("body")
    )
    result = integrity.reconcile(promise(), day, destination, as_of=at(60))
    rows = Counter(result.breaks["kind"])
    assert rows == {"lost": 2, "duplicate": 1, "extra": 1, "corrupt": 1}
    for kind, count in rows.items():
        assert result.totals[kind] == count == result.batches[kind].sum()
    document = json.loads(result.to_json())
    assert Counter(row["kind"] for row in document["breaks"]) == rows
    assert {kind: document["totals"][kind] for kind in rows} == rows


@pytest.mark.parametrize("forgotten", ["lost", "duplicate", "matched"])
def test_books_that_do_not_balance_are_reported(
    day: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    """Whatever bug of ours miscounts: nothing may be reported then."""
    real = search.match

    def miscounting(*args: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
        counts, breaks = real(*args)
        return counts.with_columns(pl.lit(0, pl.Int64).alias(forgotten)), breaks

    monkeypatch.setattr(reconciliation, "run_self_test", lambda *_: "left out")  # else it would be the one to notice
    destination = pl.concat([day[1:], day[9:10]])
    assert integrity.reconcile(promise(), day, destination, as_of=at(60)).totals["lost"] == 1
    monkeypatch.setattr(search, "match", miscounting)
    with pytest.raises(BalanceError):
        integrity.reconcile(promise(), day, destination, as_of=at(60))


def test_a_comparison_that_finds_nothing_is_trusted(day: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control that cannot fail proves nothing: the run plants breaks of its own, and is an error if it misses one."""
    real = search.match

    def blind(*args: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
        counts, breaks = real(*args)
        return counts, breaks.filter(pl.col("kind") != "lost")

    monkeypatch.setattr(search, "match", blind)
    with pytest.raises(integrity.SelfTestError, match="missed: lost"):
        integrity.reconcile(promise(), day, day, as_of=at(60))


def test_the_fingerprint_is_not_the_one_that_was_promised() -> None:
    """By hand: SHA-256 of the values and their octet lengths, its first sixteen bytes as two words."""
    contract = snapshot(content={"body": "text", "n": {"type": "decimal", "scale": 1}})
    result = reconcile(contract, {"id": ["é"], "body": [None], "n": ["1.5"]}, {"id": [], "body": [], "n": []})
    digest = hashlib.sha256("é\x1f\x1f15\x1f2\x1f-\x1f2".encode()).hexdigest()
    assert result.batches["source_hash"].item() == f"sum128:{digest[:32]}"
    assert canonical.read(pa.array(["1.5"]), Column(type="decimal", scale=1)).text.to_list() == ["15"]


_BESIDE_A_BUSY_THREAD = """
import datetime as dt, faulthandler, threading
faulthandler.dump_traceback_later(60, exit=True)
import integrity, polars as pl
start = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
sent = pl.DataFrame({"id": [str(n) for n in range(30)], "at": [start] * 30, "cents": list(range(30))})
contract = integrity.Contract(
    name="day", version=1, identity=["id"], content={"cents": "integer"}, amounts=["cents"],
    clock={"event": "at"}, window={"every": "1d", "timezone": "Asia/Seoul"},
)
done = threading.Event()
def busy():
    while not done.is_set():
        sent.to_pandas()
threading.Thread(target=busy).start()
try:
    for _ in range(5):
        result = integrity.reconcile(contract, sent, sent[1:], as_of=start + dt.timedelta(days=2))
finally:
    done.set()
print(result.verdict, result.totals["lost"])
"""


def test_a_thread_that_holds_the_interpreter_waits_for_nobody() -> None:
    """Polars' ``to_pandas`` keeps the interpreter's lock while it waits for Polars' own threads.

    A function of Python in an expression makes those wait for the lock: on a machine of one processor, for ever.
    """
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _BESIDE_A_BUSY_THREAD],
        env=os.environ | {"POLARS_MAX_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stdout.split() == ["fail", "1"], said.stderr
