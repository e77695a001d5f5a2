"""The messages of data.py as tables of seven columns: in PostgreSQL, SQLite, DuckDB and Parquet.

    python benchmarks/tables.py FOLDER ROWS POSTGRESQL_URL

For each style of id PostgreSQL gets a table ``STYLE_source`` and two destinations: ``STYLE_identical``, and
``STYLE_scattered``, where one body of each thousand has one full stop more. The folder gets ``STYLE_CASE.csv``, which
lists what was planted, and of the first style ``source.parquet``, ``source.sqlite``, ``source.duckdb`` and
``identical.parquet``. A destination holds its rows in the order in which they were stored, up to two seconds after they
were sent.
"""

from __future__ import annotations

import csv
import sqlite3
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from data import SCATTER, draw, pick, pieces, text

#: UUIDs as they are commonly kept, which fall anywhere, and ids that ascend with time. Not a counter of 32 hexadecimal
#: digits: reladiff 0.6.0 takes it for UUIDs, asks for ranges with hyphens, which are empty, and reports no difference.
STYLES = ("uuid", "sequential")
CASES = ("identical", "scattered")
COLUMNS = {
    "message_id": "text PRIMARY KEY", "room_id": "text", "sender_id": "text", "body": "text", "size_bytes": "bigint",
    "sent_at": "timestamptz", "stored_at": "timestamptz",
}  # fmt: skip


def ids(style: str, number: np.ndarray) -> pa.Array:
    if style == "sequential":
        return text("m", pc.utf8_lpad(text(number), 9, "0"))
    halves = zip(draw("upper", number).tolist(), draw("lower", number).tolist(), strict=True)
    return pa.array([str(uuid.UUID(int=upper << 64 | lower, version=4)) for upper, lower in halves])


def sent(style: str, number: np.ndarray, rows: pa.Table) -> pa.Table:
    stored_at = pc.add(rows["sent_at"].cast(pa.int64()), pa.array(pick("delay", number, 2_000_000)))
    columns = {
        "message_id": ids(style, number),
        "room_id": text("room-", pick("room", number, 5000)),
        "stored_at": stored_at.cast(pa.timestamp("us", "UTC")),
    }
    return pa.table({name: columns[name] if name in columns else rows[name] for name in COLUMNS})


def arrived(case: str, table: pa.Table, number: np.ndarray) -> tuple[pa.Table, pa.Array]:
    """Return what the destination holds of these rows, and the ids of those that were changed."""
    block = number // np.uint64(SCATTER)
    faulty = number % np.uint64(SCATTER) == draw("fault", block) % np.uint64(SCATTER)
    where = pa.array(faulty & (case == "scattered"))
    body = pc.if_else(where, text(table["body"], "."), table["body"])
    held = table.set_column(table.schema.get_field_index("body"), "body", body)
    return held.take(pc.sort_indices(table["stored_at"])), table["message_id"].filter(where)


def generated(style: str, case: str, rows: int) -> Iterator[tuple[pa.Table, pa.Array]]:
    """Yield the source, or what a destination holds, piece by piece, with the ids of changed rows."""
    for number, drawn in pieces(rows):
        table = sent(style, number, drawn)
        yield (table, pa.array([], pa.string())) if case == "source" else arrived(case, table, number)


def fill_postgresql(url: str, folder: Path, rows: int) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for style in STYLES:
            for case in ("source", *CASES):
                name = f"{style}_{case}"
                columns = ", ".join(f"{column} {type_}" for column, type_ in COLUMNS.items())
                connection.execute(f"CREATE TABLE {name} ({columns})")
                with (
                    (folder / f"{name}.csv").open("w", newline="") as planted,
                    connection.cursor() as cursor,
                    cursor.copy(f"COPY {name} FROM STDIN (FORMAT csv)") as copy,
                ):
                    said = csv.writer(planted)
                    said.writerow(["kind", "message_id"])
                    for table, changed in generated(style, case, rows):
                        sink = pa.BufferOutputStream()
                        pa.csv.write_csv(table, sink, pa.csv.WriteOptions(include_header=False))
                        copy.write(memoryview(sink.getvalue()))
                        said.writerows(("corrupt", id_) for id_ in changed.to_pylist())
                connection.execute(f"CREATE INDEX ON {name} (sent_at)")
                connection.execute(f"VACUUM ANALYZE {name}")
        connection.execute("CHECKPOINT")


def fill_files(folder: Path, rows: int) -> None:
    import duckdb

    for case in ("source", "identical"):
        path, writer = folder / f"{case}.parquet", None
        for table, _ in generated(STYLES[0], case, rows):
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
        assert writer is not None
        writer.close()
    with duckdb.connect(str(folder / "source.duckdb")) as database:
        database.execute(f"CREATE TABLE messages AS FROM '{folder}/source.parquet'")
    columns = ", ".join(f"{name} {'INTEGER' if name == 'size_bytes' else 'TEXT'}" for name in COLUMNS)
    with closing(sqlite3.connect(folder / "source.sqlite")) as connection, connection:
        connection.execute(f"CREATE TABLE messages ({columns})")
        for table, _ in generated(STYLES[0], "source", rows):
            marks = ", ".join("?" * len(COLUMNS))
            connection.executemany(f"INSERT INTO messages VALUES ({marks})", sqlite_rows(table))
        connection.execute("CREATE INDEX messages_sent_at ON messages (sent_at)")


def sqlite_rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    """Yield the rows with times in ISO 8601, which SQLite, having no type for them, keeps as text."""
    columns = [
        pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ") if pa.types.is_timestamp(column.type) else column
        for column in table.columns
    ]
    yield from zip(*(column.to_pylist() for column in columns), strict=True)


if __name__ == "__main__":
    into, count, server = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    fill_files(into, count)
    fill_postgresql(server, into, count)
