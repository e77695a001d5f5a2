"""Are files read whole, exactly and only as far as needed, or refused with a sentence that helps?"""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import fsspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrity.errors import MissingExtraError, StoreError
from integrity.stores import text_formats
from integrity.stores.base import CHUNK_ROWS, Span, Store
from integrity.stores.files import FilesStore

ROWS = [{"a": "1", "b": "x"}, {"a": "2", "b": None}, {"a": "3", "b": 'é😀"\n,'}]
TABLE = pa.Table.from_pylist(ROWS)


def read(where: object, *columns: str, span: Span | None = None) -> list[dict[str, Any]]:
    store = FilesStore(where)  # type: ignore[arg-type]
    assert isinstance(store, Store)
    asked = list(columns) or list(store.columns())
    rows: list[dict[str, Any]] = []
    for batch in store.stream(asked, span):
        assert batch.schema.names == asked
        assert batch.num_rows <= CHUNK_ROWS
        rows += batch.to_pylist()
    return rows


def problem(where: object, *columns: str) -> str:
    with pytest.raises(StoreError) as caught:
        read(where, *columns)
    return str(caught.value)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, content: bytes | str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def parquet_bytes(table: pa.Table = TABLE, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def arrow_bytes(table: pa.Table = TABLE, new: Callable[..., Any] = pa.ipc.new_file) -> bytes:
    sink = io.BytesIO()
    with new(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def feather_bytes() -> bytes:
    sink = io.BytesIO()
    feather.write_feather(TABLE, sink, compression="zstd")
    return sink.getvalue()


CSV = b'a,b\n1,x\n2,\n3,"\xc3\xa9\xf0\x9f\x98\x80""\n,"\n'
JSONL = "\n".join(map(json.dumps, ROWS)).encode() + b"\n"
CONTENT = {
    "rows.parquet": parquet_bytes(),
    "rows.csv": CSV,
    "rows.jsonl": JSONL,
    "rows.ndjson": JSONL,
    "rows.arrow": arrow_bytes(),
    "stream.arrow": arrow_bytes(new=pa.ipc.new_stream),
    "rows.ipc": arrow_bytes(),
    "rows.feather": feather_bytes(),
}
every_format = pytest.mark.parametrize("name", CONTENT)


def zstd(content: bytes) -> bytes:
    return pa.compress(content, "zstd", asbytes=True)


# Every format


@every_format
@pytest.mark.parametrize("compress", [None, gzip.compress, zstd])
def test_the_rows_of_a_file_compressed_or_not(name: str, compress: Callable[[bytes], bytes] | None) -> None:
    content = CONTENT[name]
    if compress is not None:
        name += ".gz" if compress is gzip.compress else ".zst"
        content = compress(content)
    write(name, content)
    assert FilesStore(name).columns() == ["a", "b"]
    assert read(name) == ROWS
    assert read(name, "b", "a") == ROWS
    assert read(name, "b") == [{"b": row["b"]} for row in ROWS]


@every_format
def test_kinds_are_told_by_suffixes_of_any_case(name: str) -> None:
    assert read(write(name.upper() + ".Gz", gzip.compress(CONTENT[name]))) == ROWS


@every_format
def test_a_missing_column_is_named_with_its_file(name: str) -> None:
    write(name, CONTENT[name])
    assert problem(name, "A") == f"no column 'A' in {name}; did you mean 'a'?"
    assert problem(name, "zzz") == f"no column 'zzz' in {name}; there are 'a', 'b'"


@every_format
@pytest.mark.parametrize("compress", [None, gzip.compress, zstd])
def test_no_cut_is_ever_a_short_read(name: str, compress: Callable[[bytes], bytes] | None) -> None:
    whole = CONTENT[name] if compress is None else compress(CONTENT[name])
    suffix = "" if compress is None else ".gz" if compress is gzip.compress else ".zst"
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        path = write("cut." + name.split(".")[1] + suffix, whole[:length])
        try:
            rows = read(path, "a")
        except StoreError as error:
            if path not in str(error):
                raise
        else:
            # Plain text may be cut between two rows, or inside the last value, and still be sound: nobody can tell.
            assert suffix == ""
            assert name.endswith(("csv", "jsonl", "ndjson"))
            kept = [{"a": row["a"]} for row in ROWS[: len(rows)]]
            assert rows == kept


@every_format
def test_an_empty_file_is_not_an_empty_table(name: str) -> None:
    assert problem(write(name, b"")) == f"{name} is empty: not even a header; write it again"
    assert "is empty: not even a header" in problem(write(name + ".gz", b""))


@every_format
def test_abandoned_passes_close_what_they_opened(name: str) -> None:
    table = pa.table({"a": [str(number) for number in range(3 * CHUNK_ROWS)]})
    kind = name.split(".")[1]
    path = f"many.{kind}"
    if kind == "parquet":
        pq.write_table(table, path)
    elif kind == "csv":
        pl.DataFrame(table).write_csv(path)
    elif kind in ("jsonl", "ndjson"):
        pl.DataFrame(table).write_ndjson(path)
    else:
        write(path, arrow_bytes(table))
    stream = FilesStore(path).stream(["a"])
    assert isinstance(stream, Iterator)
    first = next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert first.column("a")[0].as_py() == "0"  # what was handed over stays, though its file is closed
    # Where this process can see its open files.
    handles = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")] if os.path.isdir("/proc") else []
    assert os.path.abspath(path) not in [os.readlink(handle) for handle in handles if os.path.islink(handle)]


def test_temporary_copies_are_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    path = write("rows.parquet.gz", gzip.compress(CONTENT["rows.parquet"]))
    stream = FilesStore(path).stream(["a"])
    next(stream)
    assert list((tmp_path / "temporary").iterdir()) == []
    stream.close()  # type: ignore[attr-defined]
    write(path, gzip.compress(b"no Parquet at all"))
    assert "cannot be read to its end" in problem(path)
    assert list((tmp_path / "temporary").iterdir()) == []


# Finding


def test_a_folder_is_read_with_its_folders_in_the_order_of_names() -> None:
    for name in ("day/2/b.csv", "day/1/a.csv", "day/c.csv"):
        write(name, f"a\n{name}\n")
    for name in ("day/_SUCCESS", "day/.x.csv", "day/_tmp/d.csv", "day/notes.txt", "day/1/README"):
        write(name, "nothing")
    for where in ("day", "day/", Path("day"), Path("day").absolute()):
        assert [row["a"] for row in read(where)] == ["day/1/a.csv", "day/2/b.csv", "day/c.csv"]
    store = FilesStore("day")
    assert store.left_out == ("day/1/README", "day/notes.txt")
    assert (store.name, store.location) == ("day", os.path.abspath("day"))


def test_globs() -> None:
    for name in ("x/1/a.csv", "x/2/a.csv", "x/2/b.CSV", "x/2/_hidden.csv", "x/_tmp/a.csv", "x/2/.hid.csv"):
        write(name, f"a\n{name}\n")

    def found(pattern: str) -> list[str]:
        return [row["a"] for row in read(pattern)]

    assert found("x/*/a.csv") == ["x/1/a.csv", "x/2/a.csv"]
    assert found("x/2/*.[cC][sS][vV]") == ["x/2/a.csv", "x/2/b.CSV"]
    assert found("x/**/*.csv") == ["x/1/a.csv", "x/2/a.csv"]
    assert found("x/**") == found("x/*") == found("x") == ["x/1/a.csv", "x/2/a.csv", "x/2/b.CSV"]
    assert found("x/2/_h*.csv") == ["x/2/_hidden.csv"]
    assert found("x/_t*/a.csv") == found("x/_tmp/?.csv") == ["x/_tmp/a.csv"]
    assert FilesStore("x/*/a.csv").name == "*/a.csv" or FilesStore("x/2/*.csv").name == "2/*.csv"
    assert "no file matches x/*.parquet" in problem("x/*.parquet")
    # A name that looks like a pattern is a name, if there is such a file.
    assert read(write("odd[1].csv", "a\n7\n")) == [{"a": "7"}]


def test_a_file_is_read_once_however_many_links_lead_to_it() -> None:
    write("real/a.csv", "a\n1\n")
    os.symlink("a.csv", "real/b.csv")
    os.symlink(os.path.abspath("real"), "real/loop")
    assert read("real") == read("real/*") == [{"a": "1"}]
    os.mkdir("links")
    os.symlink(os.path.abspath("real"), "links/there")
    assert read("links") == [{"a": "1"}]


def test_a_dangling_link_is_missed_and_a_socket_is_not() -> None:
    write("day/a.csv", "a\n1\n")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("day/s.csv")
        assert read("day") == [{"a": "1"}]
        assert "neither a file nor a folder" in problem("day/s.csv")
    os.remove("day/s.csv")
    os.symlink("gone.csv", "day/b.csv")
    assert "day/b.csv is no longer there" in problem("day")


def test_what_is_not_there_is_named_with_what_is() -> None:
    write("archive/mail.csv", CSV)
    assert problem("archive/mial.csv") == "there is no archive/mial.csv; did you mean 'mail.csv'?"
    assert problem("archve/mail.csv") == "there is no archve; did you mean 'archive'?"
    assert problem("archive/mail.csv/x").startswith("there is no archive/mail.csv")
    assert problem(os.path.abspath("archive") + "/x.csv").startswith(f"there is no {os.path.abspath('archive')}/x.csv")
    assert "NUL" in problem("a\0b.csv")


def test_a_kind_that_cannot_be_read_is_refused() -> None:
    assert problem(write("rows.xlsx", "x")) == (
        "rows.xlsx is or holds no file of a kind that can be read; these can be: "
        ".parquet .csv .jsonl .ndjson .arrow .feather .ipc, each also with .gz or .zst; to compare files themselves write tree:PATH"
    )
    write("none/a.txt", "x")
    write("none/b.gz", "x")
    assert "there are none/a.txt, none/b.gz" in problem("none")
    os.mkdir("bare")
    assert "bare is or holds no file" in problem("bare")


def test_every_file_must_have_the_columns() -> None:
    write("day/1.csv", "a,b\n1,2\n")
    write("day/2.csv", "b,a\n2,1\n")
    assert read("day") == [{"a": "1", "b": "2"}] * 2
    write("day/3.csv", "a,B\n1,2\n")
    assert problem("day") == "no column 'b' in day/3.csv; did you mean 'B'?"
    assert read("day", "a") == [{"a": "1"}] * 3


def test_physical_types_may_differ_from_file_to_file() -> None:
    pq.write_table(pa.table({"a": [1]}), "1.parquet")
    pq.write_table(pa.table({"a": ["x"]}), "2.parquet")
    write("3.jsonl", '{"a": 1.5}\n')
    assert read(".") == [{"a": 1}, {"a": "x"}, {"a": Decimal("1.5")}]


def test_a_name_that_is_not_utf8_can_be_read_and_shown() -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    try:
        Path(name).write_bytes(CSV)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert read(name) == ROWS
    assert FilesStore(name).name == "caf\\udce9.csv"
    assert problem(name, "zz").encode()


# What happens meanwhile


def test_each_pass_reads_what_is_there_then() -> None:
    write("day/1.csv", "a\n1\n")
    store = FilesStore("day")
    assert [b.to_pylist() for b in store.stream(["a"])] == [[{"a": "1"}]]
    write("day/0.csv", "a\n0\n")
    write("day/1.csv", "a\n1\n2\n")
    assert [row["a"] for b in store.stream(["a"]) for row in b.to_pylist()] == ["0", "1", "2"]


@pytest.mark.parametrize("where", ["day/1.csv", "day", "day/*.csv"])
def test_a_file_that_vanishes_between_passes_is_an_error(where: str) -> None:
    write("day/1.csv", "a\n1\n")
    write("day/2.csv", "a\n1\n")
    store = FilesStore(where)
    list(store.stream(["a"]))
    os.remove("day/1.csv")
    with pytest.raises(
        StoreError, match=r"day/1\.csv was there when .* was read before, and is gone|there is no day/1\.csv"
    ):
        list(store.stream(["a"]))


def test_a_reader_goes_where_it_was_opened_whatever_the_current_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("day/1.csv", "a\n1\n")
    store = FilesStore("day")
    monkeypatch.chdir("/")
    assert [b.to_pylist() for b in store.stream(["a"])] == [[{"a": "1"}]]


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.jsonl"])
def test_a_file_that_changes_while_it_is_read_is_an_error(name: str) -> None:
    write(name, CONTENT[name])
    stream = FilesStore(name).stream(["a"])
    next(stream)
    with open(name, "ab") as file:
        file.write(b"\n")
    with pytest.raises(StoreError, match=f"{name} changed while it was read"):
        list(stream)


# Parquet


def test_parquet_nested_names_and_names_with_dots() -> None:
    table = pa.table({"a": [{"b": 1}], "a.b": [2], "a.c": [3]})
    pq.write_table(table, "dots.parquet")
    assert read("dots.parquet", "a.b") == [{"a.b": 2}]
    assert read("dots.parquet", "a") == [{"a": {"b": 1}}]


def test_parquet_with_a_column_twice_is_refused() -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), "twice.parquet")
    assert problem("twice.parquet") == "column 'a' is there twice in twice.parquet; rename one of them"
    assert "twice" in problem("twice.parquet", "a")


def test_parquet_text_that_is_not_utf8_is_bytes() -> None:
    pq.write_table(pa.table({"a": pa.array([b"x", b"\xff", None]).view(pa.string())}), "bad.parquet")
    assert read("bad.parquet") == [{"a": "x"}, {"a": b"\xff"}, {"a": None}]


def test_a_parquet_page_that_rotted_is_found_where_it_has_a_checksum() -> None:
    table = pa.table({"a": list(range(1000))})
    whole = bytearray(parquet_bytes(table, write_page_checksum=True, compression="none", use_dictionary=False))
    whole[2000] ^= 1
    assert "cannot be read to its end" in problem(write("rot.parquet", bytes(whole)))


def test_parquet_dictionaries_and_uuids() -> None:
    table = pa.table({"d": pa.array(["x", None]).dictionary_encode(), "u": pa.array([b"\0" * 16, None], pa.uuid())})
    pq.write_table(table, "types.parquet")
    (batch,) = FilesStore("types.parquet").stream(["d", "u"])
    assert batch.schema.types == [pa.string(), pa.uuid()]


START = datetime(2024, 1, 1)
HOUR = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(moment: datetime) -> int:
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - EPOCH) // timedelta(microseconds=1)


def hours(unit: str, zone: str | None, name: str = "hours.parquet", **options: Any) -> str:
    """A file of 100 row groups of an hour each."""
    table = pa.table(
        {"at": pa.array([START + HOUR * n for n in range(100)], pa.timestamp(unit, zone)), "n": range(100)}
    )
    pq.write_table(table, name, row_group_size=1, **options)
    return name


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize(("zone", "offset"), [("UTC", 0), ("Asia/Seoul", 0), (None, 9)])
def test_only_row_groups_of_the_span_are_read(unit: str, zone: str | None, offset: int) -> None:
    path = hours(unit, zone)

    def span(*intervals: tuple[int | None, int | None]) -> Span:
        local = tuple(
            tuple(None if edge is None else micros(START + HOUR * (edge - offset)) for edge in interval)
            for interval in intervals
        )
        return Span("at", local, None if zone else "Asia/Seoul")  # type: ignore[arg-type]

    def numbers(*intervals: tuple[int | None, int | None]) -> list[int]:
        return [row["n"] for row in read(path, "n", span=span(*intervals))]

    assert numbers((10, 12)) == [10, 11]
    assert numbers((None, 2), (50, 51), (98, None)) == [0, 1, 50, 98, 99]
    assert numbers((200, 300)) == numbers() == []
    assert numbers((None, None)) == list(range(100))
    # The column need not be asked for, and asking for it changes nothing.
    assert [row["n"] for row in read(path, "at", "n", span=span((10, 12)))] == [10, 11]


def test_edges_are_exact_to_the_nanosecond() -> None:
    edge = micros(START)
    table = pa.table({"at": pa.array([edge * 1000 - 1, edge * 1000, edge * 1000 + 1], pa.timestamp("ns", "UTC"))})
    pq.write_table(table, "edges.parquet", row_group_size=1)

    def count(start: int | None, end: int | None) -> int:
        return len(read("edges.parquet", "at", span=Span("at", ((start, end),))))

    assert count(edge, None) >= 2
    assert count(None, edge) == 1
    assert count(edge + 1, None) == 1  # its nanosecond beyond the edge is no proof


@pytest.mark.parametrize(
    "path",
    [
        lambda: hours("us", None),  # naive, and no zone was declared
        lambda: hours("us", "UTC", write_statistics=False),
        lambda: hours("ns", None, use_deprecated_int96_timestamps=True),
    ],
)
def test_without_proof_everything_is_read(path: Callable[[], str]) -> None:
    assert len(read(path(), "n", span=Span("at", ((0, 1),)))) == 100


def test_rows_without_a_time_are_always_read() -> None:
    moments = [START, None, START + HOUR, START + 2 * HOUR]
    table = pa.table({"at": pa.array(moments, pa.timestamp("us", "UTC")), "n": range(4)})
    pq.write_table(table, "nulls.parquet", row_group_size=2)
    assert [row["n"] for row in read("nulls.parquet", "n", span=Span("at", ((0, 1),)))] == [0, 1]
    text = pa.table({"at": ["2024", "soon"], "n": [0, 1]})
    pq.write_table(text, "text.parquet")
    assert len(read("text.parquet", "n", span=Span("at", ((0, 1),)))) == 2
    assert len(read("text.parquet", "n", span=Span("no such column", ((0, 1),)))) == 2


def test_a_local_time_that_a_clock_change_made_ambiguous_is_always_read() -> None:
    new_york = [datetime(2024, 11, 3, 1, 30), datetime(2024, 3, 10, 2, 30), datetime(2024, 7, 1)]
    table = pa.table({"at": pa.array(new_york, pa.timestamp("us")), "n": range(3)})
    pq.write_table(table, "clock.parquet", row_group_size=1)
    assert [row["n"] for row in read("clock.parquet", "n", span=Span("at", ((0, 1),), "America/New_York"))] == [0, 1]


def test_times_out_of_all_years_are_always_read() -> None:
    table = pa.table({"at": pa.array([2**62, -(2**62), 0], pa.timestamp("us", "UTC")), "n": range(3)})
    pq.write_table(table, "years.parquet", row_group_size=1)
    assert [row["n"] for row in read("years.parquet", "n", span=Span("at", ((1, 2),)))] == [0, 1]


def test_a_field_inside_another_does_not_pass_for_the_column() -> None:
    inner = pa.array([{"at": datetime(1970, 1, 1)}], pa.struct([("at", pa.timestamp("us"))]))
    table = pa.table({"x": inner, "x.at": [START]})
    pq.write_table(table, "inner.parquet")
    span = Span("x.at", ((micros(START), micros(START) + 1),), "UTC")
    assert len(read("inner.parquet", "x.at", span=span)) == 1


times = st.datetimes(datetime(2023, 10, 1), datetime(2024, 12, 1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    moments=st.lists(st.one_of(st.none(), times), min_size=1, max_size=30),
    intervals=st.lists(st.tuples(st.one_of(st.none(), times), st.one_of(st.none(), times)), max_size=3),
    unit=st.sampled_from(["s", "ms", "us", "ns"]),
    aware=st.booleans(),
    zone=st.sampled_from([None, "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Seoul"]),
    size=st.integers(1, 5),
)
def test_no_row_that_qualifies_is_ever_skipped(
    moments: list[datetime | None], intervals: list[Any], unit: str, aware: bool, zone: str | None, size: int
) -> None:
    array = pa.array(moments, pa.timestamp("us", "UTC" if aware else None)).cast(
        pa.timestamp(unit, "UTC" if aware else None), safe=False
    )
    pq.write_table(pa.table({"at": array, "n": range(len(moments))}), "law.parquet", row_group_size=size)
    edges = tuple((start and micros(start), end and micros(end)) for start, end in intervals)
    got = {row["n"] for row in read("law.parquet", "n", span=Span("at", edges, zone))}

    def qualifies(value: datetime | None) -> bool:
        if value is None or (value.tzinfo is None and zone is None):
            return True
        if value.tzinfo is None:
            clock = ZoneInfo(zone or "UTC")
            both = {value.replace(tzinfo=clock, fold=fold).utcoffset() for fold in (0, 1)}
            if len(both) == 2:
                return True
            value = value.replace(tzinfo=clock)
        at = micros(value)
        return any((start is None or start <= at) and (end is None or at < end) for start, end in edges)

    coarse = array.cast(pa.timestamp("us", array.type.tz), safe=False).to_pylist()
    assert {n for n, value in enumerate(coarse) if qualifies(value)} <= got


# CSV


def test_csv_null_and_the_empty_text() -> None:
    assert read(write("n.csv", 'a,b\n,""\n"",\n"a",b\n')) == [
        {"a": None, "b": ""},
        {"a": "", "b": None},
        {"a": "a", "b": "b"},
    ]


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n", "\r"])
def test_csv_line_ends(end: str) -> None:
    assert read(write("e.csv", f"a,b\r\n1,2\n3,4{end}")) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert read(write("h.csv", f"a,b{end}")) == []
    assert FilesStore("h.csv").columns() == ["a", "b"]


def test_csv_of_one_column_has_blank_lines_for_null() -> None:
    assert read(write("one.csv", 'a\n1\n\n""\n\n')) == [{"a": "1"}, {"a": None}, {"a": ""}, {"a": None}]
    assert read(write("one.csv", "a\n1\n2")) == [{"a": "1"}, {"a": "2"}]
    assert read(write("one.csv", "a\n")) == read(write("one.csv", "a")) == []


def test_csv_everything_is_text() -> None:
    line = "007,1e3,0x10,NULL,NaN,true, x ,2024-01-01,#N/A"
    assert list(read(write("t.csv", f"a,b,c,d,e,f,g,h,i\n{line}\n"))[0].values()) == line.split(",")
    (batch,) = FilesStore("t.csv").stream(["a"])
    assert batch.schema.types == [pa.string()]


def test_csv_headers() -> None:
    assert read(write("b.csv", b'\xef\xbb\xbf"a\n1","b,""2",\xc3\xa9,\n1,2,3,4\n')) == [
        {"a\n1": "1", 'b,"2': "2", "é": "3", "": "4"}
    ]
    assert read(write("l.csv", "\n\r\na,b\n1,2\n")) == [{"a": "1", "b": "2"}]
    assert problem(write("d.csv", "a,b,a\n1,2,3\n")) == "column 'a' is there twice in d.csv; rename one of them"
    assert "is empty: not even a header" in problem(write("x.csv", "\n\n"))
    assert "has no header that can be read" in problem(write("q.csv", 'a,"b\n1,2\n3,4\n'))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            b"a,b\n1,2\ndownloadLogs error\n",
            "x.csv line 3, its last line, has 1 field and not 2; if it is the error",
        ),
        (b"a,b\n1,2\ndownloadLogs error", "line 3, its last line, has 1 field"),
        (b'a,b\n1,"x\ny"\n1,2,3\n3,4\n', "x.csv line 4 has 3 fields and not 2; quote the values"),
        (b"a,b\n1,2\n  \n3,4\n", "line 3 has 1 field"),
        (b'a,b\n1,2\n3,"cut he', "x.csv ends inside quotation marks"),
        (b'a,b\n1,2\n"3,cut he', "has 1 field and not 2"),
        (b"a,b\n1,2\n\n3,\xff\n", "x.csv line 4 is not UTF-8"),
        (b"a,\xff\n1,2\n", "x.csv line 1 is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "x.csv is UTF-16; write it as UTF-8"),
    ],
)
def test_csv_that_is_not_sound(content: bytes, says: str) -> None:
    message = problem(write("x.csv", content))
    assert says in message
    assert "downloadLogs" not in message  # a value may be private, and who knows which this is
    compressed = problem(write("x.csv.gz", gzip.compress(content)))
    assert says.replace("x.csv", "x.csv.gz") in compressed


def test_csv_rows_longer_than_any_block() -> None:
    lines = [f"{number},short" for number in range(300_000)]
    lines[250_000] = "250000," + "y" * 9_000_000
    lines[299_999] = '299999,"' + "z\n" * 6_000_000 + '"'
    path = write("long.csv", "a,b\n" + "\n".join(lines) + "\n")
    assert [row["a"] for row in read(path, "a")] == [str(number) for number in range(300_000)]
    assert [len(row["b"]) for row in read(path, "b") if len(row["b"]) > 5] == [9_000_000, 12_000_000]


# JSON Lines


def jsonl(*lines: str) -> list[Any]:
    return [row["a"] for row in read(write("x.jsonl", "\n".join(lines)), "a")]


def test_json_numbers_are_exact() -> None:
    assert jsonl('{"a": 9007199254740993}', '{"a": -0}') == [9007199254740993, 0]
    assert jsonl('{"a": 0.1}', '{"a": 1.10}') == [Decimal("0.1"), Decimal("1.10")]
    assert jsonl('{"a": 1}', '{"a": 0.30000000000000000001}') == [1, Decimal("0.30000000000000000001")]
    assert jsonl('{"a": 18446744073709551616}', '{"a": 1}') == ["18446744073709551616", "1"]
    digits = "9" * 5000
    assert jsonl(f'{{"a": {digits}}}', '{"a": 1, "b": [1]}') == [digits, "1"]
    assert jsonl('{"a": 1e99999999999999999999}') == [{"unreadable": "1e99999999999999999999"}]
    infinite, nan = jsonl('{"a": Infinity}', '{"a": NaN}')
    assert infinite == float("inf")
    assert nan != nan
    (minus_zero,) = jsonl('{"a": -0.0}')
    assert str(minus_zero) == "-0.0"


def test_json_values_of_all_kinds() -> None:
    assert jsonl('{"a": "x"}', '{"a": null}', '{"b": 1}', '{"a": true}') == ["x", None, None, True]
    assert jsonl('{"a": [1, {"b": 2}]}', '{"a": {}}') == [
        {"unreadable": "[1, {'b': 2}]"},
        {"unreadable": "{}"},
    ]
    assert jsonl('{"a": "\\ud800"}', '{"a": "\\ud83d\\ude00\\u0000"}') == [
        {"unreadable": "'\\ud800'"},
        "😀\0",
    ]


def test_json_lines_are_lines() -> None:
    assert jsonl("\ufeff", "", ' \t{"a": 1} \r', "\r", '{"a":\t2}', "   ") == [1, 2]
    assert read(write("u.jsonl", '{"a": "\u2028\u0085\x7f"}\n')) == [{"a": "\u2028\u0085\x7f"}]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            '{"a": 1',
            "x.jsonl line 3 is not JSON: Expecting ',' delimiter at character 8; if it is the last line",
        ),
        ('{"a": "priv', "x.jsonl line 3 is not JSON: Unterminated string"),
        (
            "downloadLogs error",
            "x.jsonl line 3 is not JSON: Expecting value at character 1; if it is the last line",
        ),
        ('{"a": 1}{"a": 2}', "x.jsonl line 3 is not JSON: Extra data at character 9"),
        ('{"a": 1, "a": 1}', "x.jsonl line 3 has the key 'a' twice in one object; write each key once"),
        ('{"a": {"b": 1, "b": 2}}', "x.jsonl line 3 has the key 'b' twice"),
        ("[1]", "x.jsonl line 3 is not an object"),
        ("7", "x.jsonl line 3 is not an object"),
        ("null", "x.jsonl line 3 is not an object"),
        ('{"a": "\t"}', "x.jsonl line 3 is not JSON: Invalid control character"),
        ('{"a": 01}', "x.jsonl line 3 is not JSON"),
        ('{"a": ' + "[" * 100_000 + "}", "x.jsonl line 3 is nested too deeply"),
    ],
)
def test_json_lines_that_are_not_sound(line: str, says: str) -> None:
    message = problem(write("x.jsonl", f'{{"a": 1}}\n\n{line}\n{{"a": 1}}'))
    assert message.startswith(says)
    assert "priv" not in message
    assert says in problem(write("x.jsonl", f'{{"a": 1}}\n\n{line}'))


def test_json_bytes_that_are_not_utf8() -> None:
    assert problem(write("x.jsonl", b'{"a": 1}\n\n{"a": "\xff"}\n')) == "x.jsonl line 3 is not UTF-8; write it as UTF-8"


def test_json_columns_are_those_of_the_first_chunk() -> None:
    lines = ['{"a": 1}'] * (CHUNK_ROWS + 10)
    lines[CHUNK_ROWS - 1] = '{"b": 2}'
    write("late.jsonl", "\n".join(lines))
    assert FilesStore("late.jsonl").columns() == ["a", "b"]
    assert sum(row["b"] is not None for row in read("late.jsonl", "b")) == 1
    assert problem("late.jsonl", "c") == "no column 'c' in late.jsonl; there are 'a', 'b'"


def test_json_files_of_a_folder() -> None:
    write("day/0.jsonl", "")
    write("day/1.jsonl", '{"a": 1, "b": 2}\n')
    write("day/2.jsonl", '{"a": 3}\n')
    write("day/3.jsonl", "\n\n")
    assert FilesStore("day").columns() == ["a", "b"]
    assert read("day") == [{"a": 1, "b": 2}, {"a": 3, "b": None}]
    assert "no column 'c' in day/1.jsonl" in problem("day", "c")
    write("none/0.jsonl", "")
    write("none/1.jsonl", " \n")
    assert (
        problem("none")
        == problem("none", "a")
        == "none has no line, so nobody knows its columns; is there a file with rows?"
    )
    # Where another file says which columns there are, a day without lines is a day without rows.
    write("none/2.csv", "a\n")
    assert read("none") == []


def test_json_blank_blocks_do_not_end_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_formats, "_BLOCK", 8)
    blank = " \n" * 1000
    assert read(write("gap.jsonl", f'{blank}{{"a": 1}}\n{blank}{{"b": 2}}{blank}')) == [
        {"a": 1, "b": None},
        {"a": None, "b": 2},
    ]


# Arrow


def test_arrow_streams_need_their_end_mark() -> None:
    whole = arrow_bytes(new=pa.ipc.new_stream)
    assert read(write("s.arrow", whole)) == ROWS
    assert "has no end mark, so it may be cut short" in problem(write("s.arrow", whole[:-8]))
    sink = io.BytesIO()
    pl.DataFrame(TABLE).write_ipc_stream(sink)
    assert read(write("p.arrow", sink.getvalue())) == ROWS


def test_arrow_files_with_broken_bytes_are_errors_and_not_crashes() -> None:
    for table in (TABLE, pa.table({"a": pa.array(["x", "y", "x"]).dictionary_encode(), "b": [[1], [2], []]})):
        whole = arrow_bytes(table)
        for place in range(8, len(whole)):
            broken = bytearray(whole)
            broken[place] ^= 0xFF
            try:
                rows = read(write("rot.arrow", bytes(broken)), "a")
            except StoreError as error:
                if "rot.arrow" not in str(error):
                    raise
            else:
                assert len(rows) <= 3


def test_feather_of_the_first_version_is_refused() -> None:
    assert "Feather's first version" in problem(write("old.feather", b"FEA1" + b"\0" * 80 + b"FEA1"))


# URLs


def test_fsspec_urls() -> None:
    memory = fsspec.filesystem("memory")
    for name in ("day/1.csv", "day/2.csv", "day/_tmp/3.csv", "day/note.txt"):
        memory.pipe(f"/urls/{name}", b"a\n" + name.encode() + b"\n")
    try:
        both = [{"a": "day/1.csv"}, {"a": "day/2.csv"}]
        assert read("memory://urls/day") == read("memory://urls/day/*.csv") == read("memory://urls/**") == both
        assert read("memory://urls/day/1.csv") == both[:1]
        store = FilesStore("memory://urls/day")
        assert store.left_out == ("memory:///urls/day/note.txt",)
        assert (store.name, store.location) == ("day", "memory://urls/day")
        assert problem("memory://urls/day/4.csv").startswith("there is no memory://urls/day/4.csv; did you mean")
        assert "no file matches" in problem("memory://urls/day/*.parquet")
        assert problem("memory://urls/day", "b").startswith("no column 'b' in memory:///urls/day/1.csv")
        list(store.stream(["a"]))
        memory.rm("/urls/day/1.csv")
        with pytest.raises(StoreError, match=r"memory:///urls/day/1\.csv was there when day was read before"):
            list(store.stream(["a"]))
    finally:
        memory.rm("/urls", recursive=True)


@every_format
def test_every_format_by_url(name: str) -> None:
    assert read(f"file://{os.path.abspath(write(name, CONTENT[name]))}") == ROWS
    assert read(f"file://{os.path.abspath(write(name + '.gz', gzip.compress(CONTENT[name])))}") == ROWS


@pytest.mark.parametrize(
    ("url", "extra"),
    [
        ("s3://b/x.csv", "s3"),
        ("gs://b/x.csv", "gcs"),
        ("abfs://c@a/x.csv", "adls"),
        ("simplecache::s3://b/x.csv", "s3"),
    ],
)
def test_a_driver_that_is_not_installed(url: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install it")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(MissingExtraError, match=rf"pip install 'processing-integrity\[{extra}\]'"):
        FilesStore(url)
    with pytest.raises(StoreError, match="smb:// URLs need a package that is not installed; Install it"):
        FilesStore("smb://host/x.csv")


class Leaky(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """A file system whose errors quote everything it was given."""

    protocol = "leaky"
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(path)

    def isfile(self, path: str) -> bool:
        return "bad" not in path or self.quote(path)

    def info(self, path: str, **_: object) -> dict[str, object]:
        return {"name": path, "size": 10, "type": "file"}

    def _open(self, path: str, *_: object, **__: object) -> None:
        self.quote(path)

    def quote(self, path: str) -> bool:
        raise RuntimeError(f"403 for {path}")


@pytest.mark.parametrize("secret", ["hunter2", "p%40ss/w:rd", "p@ss"])
def test_passwords_and_queries_are_never_shown(secret: str) -> None:
    fsspec.register_implementation("leaky", Leaky, clobber=True)
    for place in ("host/x.csv", "host/bad.csv", "host:80/x.csv"):
        url = f"leaky://anna:{secret}@{place}?sig={secret}x&se=2024"
        with pytest.raises(StoreError) as caught:
            FilesStore(url).columns()
        message = str(caught.value)
        assert "403 for" in message
        assert secret not in message
        assert "hunter" not in message
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
    store = FilesStore(f"leaky://anna:{secret}@host/x.csv?sig={secret}x&se=2024")
    assert (store.name, store.location) == ("x.csv", "leaky://host/x.csv")
    assert FilesStore("leaky://bucket/a:b@c/x.csv").location == "leaky://bucket/a:b@c/x.csv"
    assert FilesStore("leaky://container@account/x.csv").location == "leaky://container@account/x.csv"


def test_the_letter_of_a_drive_is_no_scheme() -> None:
    assert problem("C:\\data\\x.csv").startswith("there is no ")
    assert problem("C:/data/x.csv").startswith("there is no C:")


# All of them


def test_what_pandas_and_polars_write_is_read() -> None:
    frame = pl.DataFrame({"a": ["x", None, "", '"', "\r\n", "\0", " ", "é😀"], "b": list("abcdefgh")})
    frame.write_csv("polars.csv")
    assert read("polars.csv") == frame.to_dicts()
    frame.select("a").write_csv("one.csv")
    assert read("one.csv") == frame.select("a").to_dicts()
    frame.write_ndjson("polars.jsonl")
    assert read("polars.jsonl") == frame.to_dicts()
    frame.write_ipc("polars.arrow", compression="lz4")
    assert read("polars.arrow") == frame.to_dicts()
    frame.write_parquet("polars.parquet")
    assert read("polars.parquet") == frame.to_dicts()
    pd.DataFrame({"a": ["x", None, '"'], "b": ["y\nz", "w", "v"]}).to_csv("pandas.csv", index=False)
    assert read("pandas.csv") == [{"a": "x", "b": "y\nz"}, {"a": None, "b": "w"}, {"a": '"', "b": "v"}]


csv_text = st.text(st.one_of(st.characters(exclude_categories=("Cs",)), st.sampled_from('\0\r\n",\x1a')), max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.integers(1, 3).flatmap(
        lambda width: st.lists(st.lists(st.one_of(st.none(), csv_text), min_size=width, max_size=width), min_size=1)
    ),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    closed=st.booleans(),
    bare=st.booleans(),
    block=st.integers(1, 40),
)
def test_any_csv_comes_back_whatever_the_blocks(
    rows: list[list[str | None]], end: str, closed: bool, bare: bool, block: int
) -> None:
    def field(value: str | None) -> str:
        if value is None:
            return ""
        # Without quotation marks around them where they can be, though some may be inside.
        if bare and value and value[0] != '"' and not set(value) & set(",\r\n"):
            return value
        return '"' + value.replace('"', '""') + '"'

    names = "abc"[: len(rows[0])]
    lines = [",".join(names), *(",".join(map(field, row)) for row in rows)]
    # Without a last line end, the NULL of a file of one column is nothing at all.
    closed = closed or (len(names) == 1 and rows[-1][0] is None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_formats, "_CSV_BLOCK", block)
        back = read(write("any.csv", end.join(lines) + (end if closed else "")))
    assert [list(row.values()) for row in back] == rows


def test_csv_row_boundaries_are_found_though_quotation_marks_mislead() -> None:
    # Each mark inside of an unquoted field makes line breaks look as if they were inside of a value, and the reverse.
    lines = [f'{n},5" pipe' if n % 2 else f'{n},"two\nlines of ""{n}"""' for n in range(200_000)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_formats, "_CSV_BLOCK", 100_000)
        patch.setattr(text_formats, "_LONGEST_ROW", 1_000_000)  # more is never pending
        back = read(write("pipes.csv", "a,b\n" + "\n".join(lines)))
    assert [row["a"] for row in back] == [str(n) for n in range(200_000)]
    assert back[1]["b"] == '5" pipe'
    assert back[2]["b"] == 'two\nlines of "2"'


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_row_boundaries_are_found_wherever_a_block_ends(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = end.join(["a", "x", '""', "", f'"y{end}"', "z", ""])
    two = end.join(["a,b", 'x,"1"', f'"{end}",', "", ',"""2"', ""])
    for block in range(1, 40):
        monkeypatch.setattr(text_formats, "_CSV_BLOCK", block)
        assert [row["a"] for row in read(write("one.csv", one))] == ["x", "", None, f"y{end}", "z"]
        assert [list(row.values()) for row in read(write("two.csv", two))] == [
            ["x", "1"],
            [end, None],
            [None, '"2'],
        ]


def test_a_csv_row_longer_than_memory_should_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_formats, "_CSV_BLOCK", 100)
    monkeypatch.setattr(text_formats, "_LONGEST_ROW", 1 << 20)
    assert "x.csv has a row of more than 1 MiB" in problem(write("x.csv", 'a,b\n1,"' + "x\n" * (1 << 20)))
    monkeypatch.setattr(text_formats, "_BLOCK", 100)
    assert "x.jsonl has a line of more than 1 MiB" in problem(write("x.jsonl", "[" * (2 << 20)))


@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(3)", "list(stream); store.columns(); 1 / 0"])
def test_a_process_may_end_in_the_middle_of_a_pass(ending: str) -> None:
    lines = "".join(f"{number},{'x' * 50}\n" for number in range(200_000))
    write("long.csv.gz", gzip.compress(("a,b\n" + lines).encode(), 1))
    code = f"""
from integrity.stores import open_store
store = open_store("long.csv.gz")
stream = store.stream(["a"])
next(stream)
{ending}
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True
    )
    assert done.returncode == {"pass": 0, "raise SystemExit(3)": 3}.get(ending, 1), done.stderr.decode()
