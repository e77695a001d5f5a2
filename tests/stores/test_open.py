"""Does what a person writes lead to the store that is meant, and do all stores tell the same rows?"""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import integrity.stores
from integrity.errors import StoreError
from integrity.stores import CHUNK_ROWS, Span, Store, open_store


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problem(where: object) -> str:
    with pytest.raises(StoreError) as caught:
        open_store(where).columns()
    return str(caught.value)


class Own:
    """A store of somebody else's making."""

    name = "own"
    location = "own:"

    def columns(self) -> Sequence[str]:
        return ["a"]

    def stream(self, columns: Sequence[str], span: Span | None = None) -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": pa.array([1])}).select(list(columns))


class OwnThatAlsoStreams(Own):
    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        raise AssertionError("a store is asked as a store")


def test_a_store_is_passed_through() -> None:
    for store in (Own(), OwnThatAlsoStreams()):
        assert isinstance(store, Store)
        assert open_store(store) is store


def test_tables_in_memory() -> None:
    for table in (
        pa.table({"a": [1]}),
        pd.DataFrame({"a": [1]}),
        pl.DataFrame({"a": [1]}),
        pl.LazyFrame({"a": [1]}),
    ):
        store = open_store(table)
        assert isinstance(store, Store)
        assert list(store.columns()) == ["a"]
    looks_like_a_store = pd.DataFrame({"name": ["a"], "location": ["b"], "stream": ["c"]})
    assert open_store(looks_like_a_store).name == "pandas frame"


def test_paths_of_files() -> None:
    Path("a b#1.csv").write_text("a\n1\n")
    Path("s:x.csv").write_text("a\n1\n")
    Path("own:x.csv").write_text("a\n1\n")
    for where in (
        "a b#1.csv",
        Path("a b#1.csv"),
        "*.csv",
        ".",
        "s:x.csv",
        "own:x.csv",
        f"file://{Path.cwd()}/own:x.csv",
    ):
        assert list(open_store(where).columns()) == ["a"]
    assert "there is no none.csv" in problem("none.csv")
    assert "there is no none.csv" in problem(PurePosixPath("none.csv"))
    assert "there is no C:" in problem("C:\\none.csv")


def test_databases() -> None:
    with closing(sqlite3.connect("gateway.db")) as connection:
        connection.execute("CREATE TABLE outbox (a)")
    for url in (
        "sqlite:///gateway.db#outbox",
        "sqlite+pysqlite:///gateway.db#main.outbox",
        "SQLite:///gateway.db#outbox",
    ):
        assert list(open_store(url).columns()) == ["a"]
    assert "which table of sqlite:///" in problem("sqlite:///gateway.db")
    assert problem("sqlite:///gateway.db").endswith("Add #name; there are 'outbox'")


@pytest.mark.parametrize("path", ["gateway.db", "x/Gateway.SQLITE", "gateway.sqlite3"])
def test_the_path_of_a_database_is_not_yet_a_table(path: str) -> None:
    assert problem(path) == f"{path!r} is the path of a database, not of a table; write 'sqlite:///{path}#table'"
    assert problem(f"{path}#outbox").endswith(f"write 'sqlite:///{path}#outbox'")
    assert problem(Path(path)).endswith(f"write 'sqlite:///{path}#table'")


def test_what_is_no_store_is_refused() -> None:
    for where, name in (
        (1, "builtins.int"),
        (None, "builtins.NoneType"),
        ([1], "builtins.list"),
        (Own, "builtins.type"),
    ):
        assert problem(where).startswith(f"a {name} is no store; pass a URL, a path, or")
    assert "RecordBatchReader can be read only once" in problem(pa.table({"a": [1]}).to_reader())


def test_unknown_schemes_say_which_there_are() -> None:
    message = problem("nonsense://x")
    assert message.startswith(
        "there are no nonsense: stores; there are duckdb, eml, imap, imaps, maildir, manifest, mariadb, mbox, mssql, mysql, "
        "oracle, postgresql, sqlite, tree"
    )
    assert "s3" in message
    assert problem("postgres://x/y#t").endswith("did you mean postgresql: ?")
    assert problem("parquet:x").startswith("there are no parquet: stores")


def register(monkeypatch: pytest.MonkeyPatch, **openers: str) -> None:
    points = [EntryPoint(name, value, "integrity.stores") for name, value in openers.items()]
    real = integrity.stores.entry_points

    def entry_points(**query: Any) -> EntryPoints:
        if query.get("group") == "integrity.stores":
            return EntryPoints(points).select(**query)
        return real(**query)

    monkeypatch.setattr(integrity.stores, "entry_points", entry_points)


def opened(url: str) -> Store:
    store = Own()
    store.location = url
    return store


def broken(url: str) -> Store:
    raise RuntimeError("no")


def helpful(url: str) -> Store:
    raise StoreError("the mailbox is full")


def test_schemes_of_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    register(
        monkeypatch,
        pigeon=f"{__name__}:opened",
        broken=f"{__name__}:broken",
        helpful=f"{__name__}:helpful",
        nothing="builtins:len",
        gone="no.such.module:opener",
        sqlite=f"{__name__}:broken",
    )
    assert open_store("pigeon:coop#7").location == "pigeon:coop#7"
    assert open_store("PIGEON://coop").location == "pigeon://coop"
    assert problem("broken:secret") == f"{__name__}:broken, which opens broken: URLs, failed: RuntimeError"
    assert problem("helpful:x") == "the mailbox is full"
    assert problem("nothing:x") == "what builtins:len opens is no store; see integrity.stores.Store"
    assert problem("gone:x").endswith("failed: ModuleNotFoundError")
    assert "pigeon" in problem("nonsense://x")
    assert problem("pigeons:x").endswith("did you mean pigeon: ?")
    assert "there is no SQLite database" in problem("sqlite:///none.db#t")  # what is ours stays ours


def test_two_packages_may_not_open_one_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(EntryPoint("pigeon", value, "integrity.stores") for value in ("a:b", "c:d"))
    monkeypatch.setattr(integrity.stores, "entry_points", lambda **query: points.select(**query))
    assert problem("pigeon:x") == "a:b and c:d both open pigeon: URLs; uninstall one of them"


# The same rows, whatever carries them. What a carrier cannot hold is written down with it.

Row = dict[str, Any]
NAMES = ["id", "big", "text", "at", "amount", "ratio", "flag", "blob"]
TYPES = pa.schema(
    [
        ("id", pa.int64()), ("big", pa.string()), ("text", pa.string()), ("at", pa.timestamp("us", "UTC")),
        ("amount", pa.decimal128(20, 4)), ("ratio", pa.float64()), ("flag", pa.bool_()), ("blob", pa.binary()),
    ]
)  # fmt: skip
AMOUNT = Decimal("0.0001")

nasty = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=6),
    st.text(st.sampled_from("\0\x1a\x1f\r\n\",'\\\u2028\ufeff\U0001f600\U000e0001\U0010ffff "), max_size=6),
    st.sampled_from(["", "NULL", "null", "nan", "None", "-", "é", "e\u0301", "0x10", "1,23"]),
)
values = {
    "id": st.integers(-(2**63), 2**63 - 1),
    "big": st.integers(-(2**200), 2**200),
    "text": nasty,
    "at": st.one_of(
        st.datetimes(timezones=st.just(UTC)),
        st.sampled_from([datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]),
    ),
    "amount": st.decimals(-(10**15), 10**15, places=4),
    "ratio": st.floats(),
    "flag": st.booleans(),
    "blob": st.binary(max_size=5),
}
rows_of = st.lists(
    st.fixed_dictionaries({name: st.one_of(st.none(), strategy) for name, strategy in values.items()}),
    min_size=1,
)


def told(rows: list[Row], **changed: Callable[[Any], object]) -> list[Row]:
    """The rows as a carrier tells them: NULL stays NULL, and what it changes, it changes so."""
    return [
        {name: changed[name](row[name]) if name in changed and row[name] is not None else row[name] for name in NAMES}
        for row in rows
    ]


def arrow_table(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(told(rows, big=str), schema=TYPES)


def by_arrow(rows: list[Row]) -> tuple[object, list[Row]]:
    return arrow_table(rows), told(rows, big=str)


def by_dataset(rows: list[Row]) -> tuple[object, list[Row]]:
    return ds.dataset(arrow_table(rows)), told(rows, big=str)


def by_parquet(rows: list[Row]) -> tuple[object, list[Row]]:
    pq.write_table(arrow_table(rows), "rows.parquet", row_group_size=2)
    return "rows.parquet", told(rows, big=str)


def by_arrow_file(rows: list[Row]) -> tuple[object, list[Row]]:
    with pa.ipc.new_file("rows.arrow", TYPES) as writer:
        writer.write_table(arrow_table(rows), max_chunksize=2)
    return "rows.arrow", told(rows, big=str)


def by_polars(rows: list[Row]) -> tuple[object, list[Row]]:
    frame = pl.from_arrow(arrow_table(rows))
    assert isinstance(frame, pl.DataFrame)
    return frame, told(rows, big=str)


def by_polars_objects(rows: list[Row]) -> tuple[object, list[Row]]:
    columns = {name: pl.Series(name, [row[name] for row in rows], dtype=pl.Object) for name in NAMES}
    whole = all(row["big"] is None or -(2**63) <= row["big"] < 2**63 for row in rows)
    minus_zero = {"amount": lambda v: -0.0 if not v and v.is_signed() else v}
    return pl.DataFrame(columns).lazy(), told(rows, **({} if whole else {"big": str}), **minus_zero)


def by_pandas(rows: list[Row]) -> tuple[object, list[Row]]:
    frame = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in NAMES})
    _, expected = by_polars_objects(rows)
    return frame, told(expected, ratio=lambda v: None if v != v else v)  # its NaN is NULL


def by_csv(rows: list[Row]) -> tuple[object, list[Row]]:
    def text(value: object) -> str:
        return value if isinstance(value, str) else value.hex() if isinstance(value, bytes) else str(value)

    expected = told(rows, **dict.fromkeys(NAMES, text))
    lines = [
        ",".join("" if row[name] is None else '"' + row[name].replace('"', '""') + '"' for name in NAMES)
        for row in expected
    ]
    Path("rows.csv").write_text("\n".join([",".join(NAMES), *lines]), encoding="utf-8", newline="")
    return "rows.csv", expected


def by_json_lines(rows: list[Row]) -> tuple[object, list[Row]]:
    def line(row: Row) -> str:
        plain: Row = {name: row[name] for name in NAMES}
        plain["at"] = None if row["at"] is None else str(row["at"])
        plain["blob"] = None if row["blob"] is None else row["blob"].hex()
        plain["amount"] = None
        text = json.dumps(plain, ensure_ascii=len(str(row)) % 2 == 0)
        return text if row["amount"] is None else text.replace('"amount": null', f'"amount": {row["amount"]:f}')

    def number(value: float) -> object:
        """A finite one is a decimal, as it is written, if 76 digits are enough for that."""
        exact = Decimal(repr(value))
        if not exact.is_finite() or (exact == 0 and exact.is_signed()):
            return value
        _, digits, exponent = exact.normalize().as_tuple()
        assert isinstance(exponent, int)
        return exact if max(len(digits) + exponent, 0) + max(-exponent, 0) <= 76 else value

    Path("rows.jsonl").write_text("\n".join(map(line, rows)), encoding="utf-8", newline="")
    whole = all(row["big"] is None or -(2**63) <= row["big"] < 2**63 for row in rows)
    changed: dict[str, Callable[[Any], object]] = {"at": str, "blob": bytes.hex, "ratio": number}
    changed["amount"] = lambda v: -0.0 if not v and v.is_signed() else v
    return "rows.jsonl", told(rows, **changed, **({} if whole else {"big": str}))


def by_sqlite(rows: list[Row]) -> tuple[object, list[Row]]:
    expected = told(rows, big=str, at=str, amount=str, flag=int, ratio=lambda v: None if v != v else v)
    with closing(sqlite3.connect("rows.db")) as connection, connection:
        connection.execute("DROP TABLE IF EXISTS rows")
        connection.execute(f"CREATE TABLE rows ({', '.join(NAMES)})")
        marks = ", ".join(f":{name}" for name in NAMES)
        connection.executemany(f"INSERT INTO rows VALUES ({marks})", expected)
    return "sqlite:///rows.db#rows", expected


CARRIERS = [
    by_arrow,
    by_arrow_file,
    by_csv,
    by_dataset,
    by_json_lines,
    by_pandas,
    by_parquet,
    by_polars,
    by_polars_objects,
    by_sqlite,
]


def same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return repr(one) == repr(other)  # NaN is NaN, and 0.0 is not -0.0
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("carry", CARRIERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(rows=rows_of)
def test_the_same_rows_come_back_whatever_carries_them(
    carry: Callable[[list[Row]], tuple[object, list[Row]]], rows: list[Row]
) -> None:
    where, expected = carry(rows)
    store = open_store(where)
    assert list(store.columns()) == NAMES
    for _ in range(2):
        back: list[Row] = []
        for batch in store.stream(NAMES):
            assert batch.num_rows <= CHUNK_ROWS
            batch.validate(full=True)
            back += batch.to_pylist()
        assert len(back) == len(expected)
        for got, wanted in zip(back, expected, strict=True):
            for name in NAMES:
                assert same(got[name], wanted[name]), (name, got[name], wanted[name])


def test_an_arrow_stream_in_memory_is_not_kept_open() -> None:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, TYPES):
        pass
    Path("empty.arrow").write_bytes(sink.getvalue())
    store = open_store("empty.arrow")
    assert list(store.columns()) == NAMES
    assert list(store.stream(NAMES)) == []
