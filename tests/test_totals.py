"""Control totals: the same whatever the order, the chunks and the physical types; and what adds, adds exactly."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import integrity
from integrity import ControlTotals, passes, totals
from integrity.errors import ContractError, StoreError, UsageError
from integrity.latency import bucket_of, middle_of, percentiles
from integrity.spool import Spool
from integrity.stores import columns as store_columns
from integrity.stores import frames as store_frames
from tests import oracle
from tests.conftest import at, frame, message, promise

LAW = settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])
PROMISES: dict[str, Any] = {
    "name": "totals",
    "version": 1,
    "identity": {"tenant": "text", "id": "text"},
    "content": {"body": "text", "n": "integer", "price": {"type": "decimal", "scale": 2}},
    "amounts": ["n", "price"],
    "clock": {"event": "sent", "processed": "stored"},
    "window": "1h",
    "partition": ["tenant"],
    "unique": False,
}
CONTRACT = integrity.Contract(**PROMISES)
SCHEMA = {
    "tenant": pl.String,
    "id": pl.String,
    "body": pl.String,
    "n": pl.String,
    "price": pl.String,
    "sent": pl.Datetime("us", "UTC"),
    "stored": pl.Datetime("us", "UTC"),
}

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "tenant": st.sampled_from(["a", "b", None]),
            "id": st.sampled_from(["1", "2"]),
            "body": st.sampled_from(["x", "", None]),
            "n": st.sampled_from(["1", "-1", "9" * 25, "-" + "9" * 45, None, "lots"]),
            "price": st.sampled_from(["0.10", "-0.01", "7" * 30]),
            "sent": st.sampled_from([at(0), at(59), at(60), None]),
            "stored": st.sampled_from([at(61), at(0), None]),
        }
    ),
    max_size=12,
)


def table(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA)


def measure(rows: list[dict[str, Any]], side: str = "destination") -> ControlTotals:
    return integrity.measure(CONTRACT, table(rows), side=side)  # type: ignore[arg-type]


def assert_identical(one: ControlTotals, other: ControlTotals) -> None:
    """Equal in everything that is counted, not only in what ``==`` compares."""
    keys = [*one.partition, totals.BATCH]
    assert one == other
    for frames in ((one.frame, other.frame), (one.histogram, other.histogram)):
        sort = [name for name in (*keys, "__bucket") if name in frames[0].columns]
        left, right = (f.sort(sort).drop("repeats", strict=False) for f in frames)
        assert left.equals(right)
    assert one.exclusions == other.exclusions


# --- equal exactly when the multisets are ----------------------------------------------------------------------------------------


@LAW
@given(ROWS, st.data())
def test_totals_are_equal_exactly_when_the_multisets_are(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        other = data.draw(st.permutations(rows))
    else:  # drop some, double some
        other = [row for row in rows for _ in range(data.draw(st.sampled_from([1, 1, 1, 0, 2])))]
    compared = [name for name in SCHEMA if name != "stored"]  # the destination's own time is no content
    one, two = (Counter(tuple(row[name] for name in compared) for row in side) for side in (rows, other))
    assert (measure(rows) == measure(other)) == (one == two)


@pytest.mark.parametrize(
    ("one", "other"), [(["a", "a"], ["b", "b"]), (["a"], ["a"] * 3), (["a", "b"], []), (["a", "a"], [])]
)
def test_pairs_do_not_cancel(one: list[str], other: list[str]) -> None:
    """An exclusive or would be equal here, each time."""
    left, right = (measure([message_of(body) for body in side]) for side in (one, other))
    assert left != right
    assert (left.frame["hash_0"].sum(), left.frame["hash_1"].sum()) != (
        right.frame["hash_0"].sum(),
        right.frame["hash_1"].sum(),
    )


def message_of(body: str, **changes: Any) -> dict[str, Any]:
    row = {"tenant": "a", "id": "1", "body": body, "n": "1", "price": "1", "sent": at(0), "stored": at(1)}
    return row | changes


def test_copies_count_beyond_any_word() -> None:
    """The sums wrap modulo 2**64, and do so exactly."""
    one = measure([message_of("a")]).frame
    many = measure([message_of("a")] * 1000).frame
    for word in ("hash_0", "hash_1"):
        assert many[word].item() == one[word].item() * 1000 % 2**64
    assert many["records"].item() == 1000


def test_totals_of_another_contract_are_never_equal() -> None:
    changed = integrity.Contract(**PROMISES | {"version": 2})
    rows = table([message_of("a")])
    assert integrity.measure(changed, rows, side="source") != measure([message_of("a")], "source")
    assert measure([message_of("a")], "source") == measure([message_of("a")], "destination")
    assert measure([]) != "no totals"


# --- whatever the order, the chunks, the memory ------------------------------------------------------------------------------------


@LAW
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows: list[dict[str, Any]], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert_identical(measure(rows), measure(shuffled))


@LAW
@given(ROWS, st.integers(1, 5))
def test_chunks_and_memory_change_nothing(rows: list[dict[str, Any]], size: int) -> None:
    """One row at a time, every partial total merged at once, every spool on disk; also with revisions, which wait there."""
    revised = integrity.Contract(**PROMISES | {"latest_by": "body"})
    for contract in (CONTRACT, revised):
        whole = integrity.measure(contract, table(rows), side="destination")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_frames, "CHUNK_ROWS", size)
            patch.setattr(store_columns, "CHUNK_ROWS", size)
            patch.setattr(passes, "Tally", lambda contract, **of: totals.Tally(contract, compact_at=1, **of))
            patch.setattr(passes, "Spool", lambda: Spool(in_memory=1))
            assert_identical(whole, integrity.measure(contract, table(rows), side="destination"))


def test_a_repeated_identity_is_seen_across_chunks_and_on_disk() -> None:
    contract = integrity.Contract(**PROMISES | {"unique": True})
    rows = [message_of("a", id=str(n % 9), sent=at(n)) for n in range(10)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_frames, "CHUNK_ROWS", 3)
        patch.setattr(store_columns, "CHUNK_ROWS", 3)
        patch.setattr(passes, "Spool", lambda: Spool(in_memory=1))
        assert integrity.measure(contract, table(rows), side="source").frame["repeats"].to_list() == [True]
        assert integrity.measure(contract, table(rows[:9]), side="source").frame["repeats"].to_list() == [False]


# --- whatever the physical type ----------------------------------------------------------------------------------------------------


def _plain_rows() -> list[dict[str, Any]]:
    return [
        message_of("é", id="1", n="7", price="1.50"),
        message_of("", id="2", n="-7", price="0.00", tenant="b"),
        message_of("z", id="3", n=None, price="12.34", sent=at(90)),
    ]


def _typed(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    columns = {name: [row[name] for row in rows] for name in SCHEMA}
    columns["n"] = [None if n is None else int(n) for n in columns["n"]]
    columns["price"] = [Decimal(price) for price in columns["price"]]
    return columns


def _pandas(**types: str) -> Any:
    def build(columns: dict[str, list[Any]]) -> pd.DataFrame:
        built = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
        return built.astype(types)

    return build


REPRESENTATIONS: dict[str, Any] = {
    "Polars": lambda columns: pl.DataFrame(columns),
    "Polars lazy": lambda columns: pl.DataFrame(columns).lazy(),
    "Polars categories": lambda columns: pl.DataFrame(columns).with_columns(
        pl.col("tenant", "body").cast(pl.Categorical)
    ),
    "Arrow": lambda columns: pa.table(columns),
    "Arrow, large and narrow": lambda columns: pa.table(columns).cast(
        pa.schema(
            [
                ("tenant", pa.large_string()),
                ("id", pa.large_string()),
                ("body", pa.string()),
                ("n", pa.int8()),
                ("price", pa.decimal256(40, 5)),
                ("sent", pa.timestamp("ns", "Asia/Seoul")),
                ("stored", pa.timestamp("s", "UTC")),
            ]
        )
    ),
    "Arrow views": lambda columns: pa.table(
        {
            name: pa.array(values, pa.string_view()) if name in ("id", "body") else values
            for name, values in columns.items()
        }
    ),
    "Arrow dictionaries": lambda columns: (t := pa.table(columns)).set_column(2, "body", t["body"].dictionary_encode()),
    "pandas objects": _pandas(),
    "pandas str": _pandas(tenant="str", id="str", body="str", n="Int64"),
    "pandas by Arrow": lambda columns: pd.DataFrame(pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype)),
    "pandas categories": _pandas(tenant="category", body="category"),
    "text only": lambda columns: pl.DataFrame(
        {
            name: [None if v is None else v.isoformat() if isinstance(v, dt.datetime) else str(v) for v in values]
            for name, values in columns.items()
        }
    ),
}


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_the_physical_type_changes_nothing(representation: str) -> None:
    held = REPRESENTATIONS[representation](_typed(_plain_rows()))
    assert_identical(integrity.measure(CONTRACT, held, side="destination"), measure(_plain_rows()))


def test_rows_of_any_type_can_be_left_out() -> None:
    """Arrow cannot take rows of every type that it has; an exclusion needs that."""
    noise = {"name": "noise", "where": {"body": ["z"]}, "reason": "by design"}
    contract = integrity.Contract(**PROMISES | {"exclude": [noise]})
    for build in REPRESENTATIONS.values():
        counted = integrity.measure(contract, build(_typed(_plain_rows())), side="destination")
        assert (counted.records, counted.exclusions) == (2, {"noise": 1})


# --- adding --------------------------------------------------------------------------------------------------------------------------


@LAW
@given(ROWS, ROWS, ROWS)
def test_totals_of_parts_add_up_to_those_of_the_whole(a: Any, b: Any, c: Any) -> None:
    one, two, three = measure(a), measure(b), measure(c)
    assert_identical(one + two, measure(a + b))
    assert_identical(one + two, two + one)
    assert_identical((one + two) + three, one + (two + three))
    assert_identical(one + measure([]), one)


def test_whether_an_identity_repeats_is_unknown_after_adding() -> None:
    contract = integrity.Contract(**PROMISES | {"unique": True})
    first, other, elsewhere = (
        integrity.measure(contract, table([message_of("a", **changes)]), side="source")
        for changes in ({}, {"id": "2"}, {"sent": at(90)})
    )
    assert first.frame["repeats"].to_list() == [False]
    assert (first + other).frame["repeats"].to_list() == [None]
    assert (first + first).frame["repeats"].to_list() == [None]
    # Of batches that only one part saw, it stays known there; but it was a pass over that part only.
    assert None not in (first + elsewhere).frame["repeats"].to_list()
    result = integrity.reconcile(contract, first + other, table([message_of("a"), message_of("a", id="2")]))
    assert result.assertions["validity"] is integrity.Verdict.UNVERIFIED
    assert result.assertions["completeness"] is integrity.Verdict.PASS


def test_what_does_not_add_up_is_refused() -> None:
    changed = integrity.Contract(**PROMISES | {"version": 2})
    one = measure([message_of("a")])
    with pytest.raises(ContractError, match="do not add up"):
        one + integrity.measure(changed, table([]), side="destination")
    with pytest.raises(UsageError, match="do not add up"):
        one + measure([], "source")
    with pytest.raises(TypeError):
        one + 1  # type: ignore[operator]


def test_exclusions_add_up() -> None:
    contract = integrity.Contract(
        name="x",
        version=1,
        identity=["id"],
        exclude=[{"name": "noise", "where": {"kind": ["n"]}, "reason": "by design"}],
    )
    rows = pl.DataFrame({"id": ["1", "2", "3"], "kind": ["n", "m", "n"]})
    one = integrity.measure(contract, rows, side="source")
    assert (one + one).exclusions == {"noise": 4}
    assert (one + one).records == 2
    assert (one + one).frame["excluded"].to_list() == [4]


# --- keeping -------------------------------------------------------------------------------------------------------------------------


@LAW
@given(ROWS)
def test_totals_survive_being_kept(rows: list[dict[str, Any]]) -> None:
    kept = ControlTotals.from_arrow(measure(rows).to_arrow())
    assert_identical(kept, measure(rows))


def test_totals_survive_a_file(tmp_path: Path) -> None:
    one = measure([*_plain_rows(), message_of("u", sent=None), message_of("v", n="9" * 50)])
    pq.write_table(one.to_arrow(), tmp_path / "totals.parquet")
    kept = ControlTotals.from_arrow(pq.read_table(tmp_path / "totals.parquet"))
    assert_identical(kept, one)
    for name in (
        "contract",
        "contract_sha256",
        "side",
        "partition",
        "amounts",
        "read_at",
        "location",
        "as_of",
        "since",
        "until",
    ):
        assert getattr(kept, name) == getattr(one, name)
    assert kept.frame["repeats"].to_list() == one.frame["repeats"].to_list()
    assert_identical(kept + one, one + one)


def test_a_table_of_something_else_is_no_totals() -> None:
    with pytest.raises(StoreError, match="no control totals"):
        ControlTotals.from_arrow(pa.table({"id": [1]}))


# --- amounts -------------------------------------------------------------------------------------------------------------------------


@LAW
@given(
    st.lists(st.one_of(st.none(), st.integers(-(10**80), 10**80), st.integers(-(2**64), 2**64)), min_size=1, max_size=8)
)
def test_amounts_are_exact_at_any_size(numbers: list[int | None]) -> None:
    rows = [
        message_of("a", n=None if n is None else str(n), price=None if n is None else str(Decimal(f"{n}E-2")))
        for n in numbers
    ]
    totals_of = measure(rows).frame
    exact = sum(n for n in numbers if n is not None)
    assert int(totals_of["amount.n"].item()) == int(totals_of["amount.price"].item()) == exact


def test_sums_beyond_64_and_128_bits() -> None:
    for number in (2**63 - 1, 2**64 - 1, 2**127 - 1, -(2**127), 10**18 - 1, 10**18, -(10**18), 10**36):
        assert measure([message_of("a", n=str(number))] * 3).frame["amount.n"].to_list() == [str(3 * number)]


def test_the_unreadable_count_for_nothing_and_are_counted_as_invalid() -> None:
    counted = measure([message_of("a", n="7"), message_of("a", n="lots"), message_of("a", n=None)]).frame
    assert counted["amount.n"].to_list() == ["7"]
    assert counted["invalid"].to_list() == [1]
    assert counted["records"].to_list() == [3]


# --- latency -------------------------------------------------------------------------------------------------------------------------

LATENCIES = st.one_of(
    st.integers(0, 100),
    st.integers(0, 10**9),
    st.integers(0, 2**62),
    st.integers(0, 62).map(lambda n: 2**n),
    st.integers(1, 62).map(lambda n: 2**n - 1),
)


@LAW
@given(st.lists(LATENCIES, min_size=1, max_size=50))
def test_a_bucket_says_every_latency_within_two_percent(latencies: list[int]) -> None:
    exact = np.array(latencies, dtype=np.int64)
    buckets = bucket_of(exact)
    middles = middle_of(buckets)
    for latency, middle in zip(latencies, middles.tolist(), strict=True):
        assert abs(middle - latency) * 50 <= max(latency, 0) or middle == latency
    order = np.argsort(exact, kind="stable")
    assert (np.diff(buckets[order]) >= 0).all()
    assert (bucket_of(middles) == buckets).all()


@LAW
@given(
    st.lists(LATENCIES, min_size=1, max_size=60), st.lists(LATENCIES, max_size=60), st.sampled_from([0.5, 0.95, 0.999])
)
def test_percentiles_are_of_the_whole_and_within_three_percent(here: list[int], there: list[int], share: float) -> None:
    def histogram(latencies: list[int]) -> pl.DataFrame:
        buckets = bucket_of(np.array(latencies, dtype=np.int64))
        counts = pl.Series([1] * len(latencies), dtype=pl.UInt64)
        return pl.DataFrame({"__bucket": pl.Series(buckets, dtype=pl.Int64), "__count": counts})

    merged = pl.concat([histogram(here), histogram(there)])
    found = percentiles(merged, [], {"p": share})["p"].item()
    every = sorted(here + there)
    true = every[math.ceil(Fraction(str(share)) * len(every)) - 1]
    assert abs(found - true) * 100 <= 3 * true
    assert found == percentiles(histogram(every), [], {"p": share})["p"].item()


def test_the_slowest_is_exact_and_also_of_a_sum() -> None:
    slow = dt.timedelta(seconds=4, microseconds=123_457)
    parts = [frame(message(1, 0, stored_at=at(0) + slow)), frame(message(2, 0), message(3, 0))]
    one, two = (integrity.measure(promise(), part, side="destination") for part in parts)
    assert (one + two).frame["latency_max"].to_list() == [slow // dt.timedelta(microseconds=1)]
    assert (one + two).frame["on_time"].to_list() == [3]
    assert (one + two).histogram["__count"].sum() == 3


def test_what_is_skewed_or_has_no_time_has_no_latency() -> None:
    rows = [
        message(1, 0, stored_at=at(0) - dt.timedelta(microseconds=1)),
        message(2, 0, stored_at=None),
        message(3, 0, stored_at=at(999)),
        message(4, 0, stored_at=at(0)),
        message(5, 0, stored_at=at(0) + dt.timedelta(seconds=5)),
        message(6, 0, stored_at=at(0) + dt.timedelta(seconds=5, microseconds=1)),
    ]
    counted = integrity.measure(promise(), frame(*rows), side="destination", as_of=at(60)).frame
    names = ["skewed", "unmeasured", "on_time", "late", "latency_max"]
    assert counted.select(names).row(0) == (2, 1, 2, 1, 5_000_001)


def test_the_hash_total_is_the_oracles() -> None:
    rows = [message_of(body, id=str(n), tenant=None, n=None, price="1") for n, body in enumerate(["x", "", "é\x1f"])]
    sent = str((at(0) - oracle.EPOCH) // oracle.US)
    texts = [oracle.encode([str(n), None, sent, row["body"], None, "100"]) for n, row in enumerate(rows)]
    counted = measure(rows).frame
    assert f"sum128:{counted['hash_0'].item():016x}{counted['hash_1'].item():016x}" == oracle.hash_total(texts)
