"""Does a table in memory stream as what it is, whichever library made it?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from integrity.errors import StoreError
from integrity.stores.base import CHUNK_ROWS, Span, Store
from integrity.stores.frames import frame_store


def read(table: object, *columns: str) -> list[dict[str, Any]]:
    store = frame_store(table)
    assert isinstance(store, Store)
    asked = list(columns) or list(store.columns())
    rows: list[dict[str, Any]] = []
    for batch in store.stream(asked):
        assert batch.schema.names == asked
        assert batch.num_rows <= CHUNK_ROWS
        batch.validate(full=True)
        rows += batch.to_pylist()
    return rows


def column(table: object, name: str = "a") -> list[Any]:
    return [row[name] for row in read(table, name)]


BIG = CHUNK_ROWS * 2 + 7
MAKERS = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "lazy": pl.LazyFrame,
    "table": pa.table,
    "batch": pa.RecordBatch.from_pydict,
    "dataset": lambda data: ds.dataset(pa.table(data)),
    "stream": lambda data: duckdb.from_arrow(pa.table(data)),
}
every_kind = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@every_kind
def test_rows_come_in_chunks_in_order_and_as_often_as_asked(make: Any) -> None:
    numbers = list(range(BIG))
    store = frame_store(make({"a": numbers, "b": ["x"] * BIG}))
    assert store is not None
    assert list(store.columns()) == ["a", "b"]
    for _ in range(2):
        batches = list(store.stream(["a"]))
        assert max(batch.num_rows for batch in batches) <= CHUNK_ROWS
        assert [value for batch in batches for value in batch.column("a").to_pylist()] == numbers


@every_kind
def test_columns_come_in_the_order_asked_for(make: Any) -> None:
    assert read(make({"a": [1], "b": [2], "c": [3]}), "c", "a") == [{"c": 3, "a": 1}]


@every_kind
def test_a_missing_column_is_named_and_the_nearest_one_offered(make: Any) -> None:
    store = frame_store(make({"sentat": [1]}))
    assert store is not None
    with pytest.raises(StoreError) as caught:
        list(store.stream(["sent_at"]))
    assert str(caught.value) == f"no column 'sent_at' in {store.name}; did you mean 'sentat'?"
    with pytest.raises(StoreError, match="no column was asked"):
        list(store.stream([]))


@every_kind
def test_a_span_never_costs_a_row(make: Any) -> None:
    store = frame_store(make({"a": [1]}))
    assert store is not None
    assert sum(batch.num_rows for batch in store.stream(["a"], Span("a", ((5, 6),)))) == 1


@every_kind
def test_no_rows_are_no_rows(make: Any) -> None:
    assert read(make({"a": []})) == []


def test_it_says_what_it_is() -> None:
    named = {
        "pandas frame": pd.DataFrame(),
        "Polars frame": pl.DataFrame(),
        "Polars lazy frame": pl.LazyFrame(),
        "Arrow table": pa.table({}),
        "Arrow record batch": pa.record_batch({}),
        "Arrow dataset": ds.dataset(pa.table({})),
    }
    for name, table in named.items():
        store = frame_store(table)
        assert store is not None
        assert (store.name, store.location) == (name, f"{name} in memory")
    assert frame_store([1]) is None
    assert frame_store("a.csv") is None


# pandas


def test_in_pandas_nan_is_null_because_pandas_cannot_tell() -> None:
    assert column(pd.DataFrame({"a": [1.5, None, np.nan]})) == [1.5, None, None]
    objects = pd.Series([float("nan"), None, pd.NA, pd.NaT, np.float32("nan"), Decimal("NaN"), "a", 1], dtype=object)
    assert column(pd.DataFrame({"a": objects})) == [None] * 6 + ["a", "1"]


@pytest.mark.parametrize(
    ("series", "values"),
    [
        (pd.Series(["a", None, "\0😀"]), ["a", None, "\0😀"]),
        (pd.Series(["a", None], dtype=pd.StringDtype("python")), ["a", None]),
        (pd.Series(["a", "\ud800"], dtype=object), ["a", {"unreadable": "'\\ud800'"}]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.Series([True, None], dtype="boolean"), [True, None]),
        (pd.Series([1.5, None], dtype="Float64"), [1.5, None]),
        (pd.Series([2**63], dtype="uint64"), [2**63]),
        (pd.Series(np.array([1, 2], dtype=">i4")), [1, 2]),
        (pd.Series([2**70, 1], dtype=object), [str(2**70), "1"]),
        (pd.Series([1, "a", 1.5, None, b"b"], dtype=object), [1, "a", 1.5, None, b"b"]),
        (pd.Series(pd.Categorical(["x", None, "y", "x"])), ["x", None, "y", "x"]),
        (pd.Series(pd.Categorical([1, "a", None])), ["1", "a", None]),
        (pd.Series(pd.Categorical([1.5, "a", None])), [1.5, "a", None]),
        (pd.Series(pd.Categorical([None, None])), [None, None]),
        (pd.Series(pd.arrays.SparseArray([0, 1, 0])), [0, 1, 0]),
        (pd.Series(pd.to_datetime(["2024-01-01", None])), [datetime(2024, 1, 1), None]),
        (pd.Series([date(2024, 1, 1), None]), [date(2024, 1, 1), None]),
        (pd.Series([Decimal("1.10"), None]), [Decimal("1.10"), None]),
        (pd.Series([1j]), [{"unreadable": "1j"}]),
        (pd.Series(pd.period_range("2024", periods=1)), [{"unreadable": "Period('2024-01-01', 'D')"}]),
        (pd.Series(pd.interval_range(0, 1)), [{"unreadable": "Interval(0, 1, closed='right')"}]),
    ],
)
def test_pandas_types(series: pd.Series, values: list[object]) -> None:
    back = column(pd.DataFrame({"a": series}))
    assert back == values
    assert list(map(type, back)) == list(map(type, values))


@pytest.mark.parametrize(
    "zone", ["Asia/Seoul", "dateutil/Asia/Seoul", timezone(timedelta(hours=9, minutes=1, seconds=1)), UTC]
)
def test_pandas_time_zones(zone: Any) -> None:
    moment = pd.Timestamp("2024-01-01T00:00:00.123456789").tz_localize(zone)
    (batch,) = frame_store(pd.DataFrame({"a": [moment, pd.NaT]})).stream(["a"])  # type: ignore[union-attr]
    assert batch.schema.types == [pa.timestamp("ns", "UTC")]
    assert batch.column("a").cast(pa.int64()).to_pylist() == [moment.value, None]


def test_pandas_arrow_backed_columns_keep_what_arrow_says() -> None:
    def backed(array: pa.Array) -> pd.DataFrame:
        return pd.DataFrame({"a": pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([array, array])))})

    back = column(backed(pa.array([1.5, None, float("nan")])))
    assert back[:2] == [1.5, None]
    assert back[2] != back[2]
    assert column(backed(pa.array(["a", None]))) == ["a", None] * 2
    assert column(backed(pa.array([b"\0"]))) == [b"\0"] * 2
    seoul = pa.array([datetime(2024, 1, 1)], pa.timestamp("us", "Asia/Seoul"))
    assert column(backed(seoul)) == [datetime(2024, 1, 1, tzinfo=UTC)] * 2


def test_pandas_labels_are_text_and_its_index_is_no_column() -> None:
    frame = pd.DataFrame({1: ["a"], ("b", "c"): ["d"], None: ["e"]}, index=["i"])
    assert read(frame) == [{"1": "a", "('b', 'c')": "d", "None": "e"}]
    assert read(pd.DataFrame({"a": [1]}, index=pd.Index([9], name="i")).reset_index()) == [{"i": 9, "a": 1}]


def test_two_columns_of_one_name_are_refused() -> None:
    doubles = [
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame([[1, 2]], columns=pd.Index([1, "1"], dtype=object)),
        pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]),
        pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]),
    ]
    for table in doubles:
        store = frame_store(table)
        assert store is not None
        name = "1" if table is doubles[1] else "a"
        with pytest.raises(StoreError, match=f"column '{name}' is there twice in {store.name}; rename one"):
            store.columns()
        with pytest.raises(StoreError, match="is there twice"):
            list(store.stream([name]))


def test_a_pandas_frame_that_looks_like_a_store_is_a_frame() -> None:
    frame = pd.DataFrame({"name": ["a"], "location": ["b"], "stream": ["c"]})
    assert read(frame, "stream") == [{"stream": "c"}]


# Polars


def test_polars_types() -> None:
    frame = pl.DataFrame(
        {
            "text": ["\0😀", None],
            "category": pl.Series(["x", None], dtype=pl.Categorical),
            "enum": pl.Series(["x", None], dtype=pl.Enum(["x"])),
            "float": [float("inf"), None],
            "binary": [b"\xff", None],
            "decimal": pl.Series(["1.50", None]).cast(pl.Decimal(10, 2)),
            "huge": pl.Series([2**100, None], dtype=pl.Int128),
            "big": pl.Series([2**63, None], dtype=pl.UInt64),
            "at": pl.Series([datetime(1, 1, 1), None]).dt.replace_time_zone("UTC"),
            "null": [None, None],
        }
    )
    first, second = read(frame)
    assert first == {
        "text": "\0😀", "category": "x", "enum": "x", "float": float("inf"), "binary": b"\xff", "huge": str(2**100),
        "decimal": Decimal("1.50"), "big": 2**63, "at": datetime(1, 1, 1, tzinfo=UTC), "null": None,
    }  # fmt: skip
    assert set(second.values()) == {None}
    assert read(frame.lazy()) == read(frame)


def test_polars_objects_are_values_and_not_addresses() -> None:
    frame = pl.DataFrame({"a": pl.Series([2**70, "a", None], dtype=pl.Object)})
    assert column(frame) == [str(2**70), "a", None]
    assert column(frame.lazy()) == [str(2**70), "a", None]
    assert column(pl.DataFrame({"a": pl.Series([{1}, 2], dtype=pl.Object)})) == [{"unreadable": "{1}"}, 2]


def test_in_polars_nan_is_no_null() -> None:
    nan, null = column(pl.DataFrame({"a": [float("nan"), None]}))
    assert nan != nan
    assert null is None


def test_a_lazy_query_that_fails_is_a_sentence(tmp_path: Path) -> None:
    missing = frame_store(pl.scan_csv(tmp_path / "none.csv"))
    assert missing is not None
    with pytest.raises(StoreError, match=r"the query of the Polars lazy frame fails: .*none\.csv"):
        missing.columns()
    failing = frame_store(pl.LazyFrame({"a": ["private"]}).select(pl.col("a").cast(pl.Int64)))
    assert failing is not None
    with pytest.raises(StoreError, match=r"lazy frame fails: .*in column 'a'") as caught:
        list(failing.stream(["a"]))
    assert "private" not in str(caught.value)


# Arrow, and what streams as Arrow


def test_encodings_are_undone() -> None:
    table = pa.table(
        {
            "dictionary": pa.array(["x", None, "x"]).dictionary_encode(),
            "runs": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["x", None])),
        }
    )
    (batch,) = frame_store(table).stream(["dictionary", "runs"])  # type: ignore[union-attr]
    assert batch.schema.types == [pa.string(), pa.string()]
    assert batch.to_pydict() == {"dictionary": ["x", None, "x"], "runs": ["x", "x", None]}


@pytest.mark.parametrize(
    ("text", "binary"),
    [
        (pa.string(), pa.binary()),
        (pa.large_string(), pa.large_binary()),
        (pa.string_view(), pa.binary_view()),
    ],
)
def test_text_that_is_not_utf8_is_bytes_and_crashes_nobody(text: pa.DataType, binary: pa.DataType) -> None:
    bad = pa.array([b"good", None, b"b\xffd", b"\xed\xa0\x80"]).cast(binary).view(text)
    assert column(pa.table({"a": bad})) == ["good", None, b"b\xffd", b"\xed\xa0\x80"]
    assert column(pa.table({"a": bad}).slice(1)) == [None, b"b\xffd", b"\xed\xa0\x80"]


def test_a_reader_that_can_be_read_once_is_refused() -> None:
    with pytest.raises(StoreError, match=r"RecordBatchReader can be read only once.*pass its \.read_all\(\)"):
        frame_store(pa.table({"a": [1]}).to_reader())


class Stream:
    """What another library's table looks like."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._source.__arrow_c_stream__(requested_schema)


def test_anything_that_streams_as_arrow_can_be_read_again_and_again() -> None:
    table = Stream(pa.table({"a": [1, 2]}))
    store = frame_store(table)
    assert store is not None
    assert store.name.endswith("Stream")
    assert read(table) == read(table) == [{"a": 1}, {"a": 2}]


def test_one_long_batch_comes_in_chunks() -> None:
    assert column(Stream(pa.table({"a": pa.array(range(BIG))}))) == list(range(BIG))
    (batch,) = pa.table({"a": pa.array(range(BIG))}).to_batches()
    assert column(batch) == list(range(BIG))


def test_a_stream_that_turns_out_to_be_spent_is_an_error_and_not_an_empty_table() -> None:
    store = frame_store(Stream(pa.table({"a": [1, 2]}).to_reader()))
    assert store is not None
    assert sum(batch.num_rows for batch in store.stream(["a"])) == 2
    with pytest.raises(StoreError, match="gave 2 rows before and none now: it can be read only once"):
        list(store.stream(["a"]))


@pytest.mark.parametrize("series", [pd.Series([1]), pl.Series([1]), pa.chunked_array([[1]])])
def test_a_single_column_is_no_table(series: object) -> None:
    store = frame_store(series)
    assert store is not None
    with pytest.raises(StoreError, match="does not stream as a table"):
        store.columns()


def test_a_stream_that_breaks_off_is_an_error() -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": pa.array([1])})
        raise OSError("cut")

    schema = pa.schema([("a", pa.int64())])
    store = frame_store(Stream(pa.RecordBatchReader.from_batches(schema, batches())))
    assert store is not None
    with pytest.raises(StoreError, match=r"cannot be read to its end: .*cut"):
        list(store.stream(["a"]))


def test_a_dataset_whose_file_is_gone_is_an_error(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
    dataset = ds.dataset(tmp_path)
    (tmp_path / "a.parquet").unlink()
    store = frame_store(dataset)
    assert store is not None
    assert store.columns() == ["a"]
    with pytest.raises(StoreError, match="Arrow dataset cannot be read to its end"):
        list(store.stream(["a"]))


def test_a_dataset_column_with_a_dot_is_a_column(tmp_path: Path) -> None:
    table = pa.table({"a.b": [1], "a": [{"b": 2}]})
    assert read(ds.dataset(table), "a.b") == [{"a.b": 1}]


def test_importing_the_stores_imports_nothing_heavy() -> None:
    code = """
import sys, types
package = types.ModuleType("integrity")
package.__path__ = ["integrity"]  # without what the package itself imports
sys.modules["integrity"] = package
import integrity.stores  # and no more: pyarrow itself imports pandas when it makes an array
print([name for name in ("pandas", "sqlalchemy", "fsspec", "pyarrow.compute") if name in sys.modules])
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
