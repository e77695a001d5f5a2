"""What the peers' users would write, each as a process of its own; run.py and databases.py start it in the environment
of that peer.

    python peers.py datacompy-polars SOURCE.parquet DESTINATION.parquet ANSWER
    python peers.py reladiff 'postgresql://postgres@/postgres?host=FOLDER#source' 'postgresql://…#destination' ANSWER

ANSWER is written as JSON: {"equal": bool, "breaks": [[kind, tenant_id, message_id], ...]}, of tables without tenant_id.
Naming the breaks is part of the task. datacompy names no duplicates, so each row that only the destination has is
looked up in the source, as a user of it would.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

IDENTITY = ["tenant_id", "message_id"]
CONTENT = ["sent_at", "sender_id", "kind", "body", "size_bytes"]
#: Of the tables of databases.py, whose identity is the message_id alone.
COLUMNS = ("room_id", "sender_id", "body", "size_bytes", "sent_at", "stored_at")
Breaks = list[tuple[str, ...]]


def datacompy_polars(source: str, destination: str) -> tuple[bool, Breaks]:
    import polars as pl
    from datacompy import PolarsCompare

    left, right = pl.read_parquet(source), pl.read_parquet(destination)
    compare = PolarsCompare(left, right, join_columns=IDENTITY)
    if compare.matches():
        return True, []
    both = compare.intersect_rows
    more = compare.df2_unq_rows
    found = {
        "lost": compare.df1_unq_rows,
        "corrupt": both.filter(~pl.all_horizontal(f"{name}_match" for name in CONTENT)),
        "duplicate": more.join(left, on=IDENTITY, how="semi", nulls_equal=True),
        "extra": more.join(left, on=IDENTITY, how="anti", nulls_equal=True),
    }
    return False, [(kind, *row) for kind, frame in found.items() for row in frame.select(IDENTITY).iter_rows()]


def datacompy_pandas(source: str, destination: str) -> tuple[bool, Breaks]:
    import pandas as pd
    from datacompy import PandasCompare

    left, right = pd.read_parquet(source), pd.read_parquet(destination)
    compare = PandasCompare(left, right, join_columns=IDENTITY)
    if compare.matches():
        return True, []
    both = compare.intersect_rows
    more = compare.df2_unq_rows[IDENTITY].merge(left[IDENTITY].drop_duplicates(), how="left", indicator=True)
    found = {
        "lost": compare.df1_unq_rows,
        "corrupt": both[~both[[f"{name}_match" for name in CONTENT]].all(axis=1)],
        "duplicate": more[more["_merge"] == "both"],
        "extra": more[more["_merge"] == "left_only"],
    }
    return False, [(kind, *row) for kind, frame in found.items() for row in frame[IDENTITY].itertuples(index=False)]


def duckdb_join(source: str, destination: str) -> tuple[bool, Breaks]:
    """A full outer join on the identity, told apart by content.

    A join alone does not see a duplicate: its copies all find their partner. But then there are more pairs than rows of
    the source that found one, so duplicates cost a second query only where there are any.
    """
    import duckdb

    db = duckdb.connect()
    differs = " or ".join(f"s.{name} is distinct from d.{name}" for name in CONTENT)
    db.execute(f"create view source as from '{source}'")
    db.execute(f"create view destination as from '{destination}'")
    kinds = db.execute(f"""
        with paired as (
            select coalesce(s.tenant_id, d.tenant_id) as tenant_id,
                   coalesce(s.message_id, d.message_id) as message_id,
                   case when d.here is null then 'lost' when s.here is null then 'extra'
                        when {differs} then 'corrupt' else 'same' end as kind
            from (select *, true as here from source) s
            full join (select *, true as here from destination) d using (tenant_id, message_id))
        select kind, count(*), list([tenant_id, message_id]) filter (where kind <> 'same') from paired group by kind
    """).fetchall()
    breaks: Breaks = [(kind, *row) for kind, _, rows in kinds for row in rows or ()]
    counts = {kind: count for kind, count, _ in kinds}
    pairs = counts.get("same", 0) + counts.get("corrupt", 0)
    sent, held = (db.execute(f"select count(*) from {side}").fetchone()[0] for side in ("source", "destination"))
    if pairs != sent - counts.get("lost", 0) or pairs != held - counts.get("extra", 0):
        breaks += db.execute("""
            select 'duplicate', tenant_id, message_id
            from (select tenant_id, message_id, count(*) as copies from destination group by all having copies > 1) d
            join (select tenant_id, message_id, count(*) as copies from source group by all) s
            using (tenant_id, message_id) where d.copies > s.copies
        """).fetchall()
    return not breaks and sent == held, breaks


def read_only(source: str, destination: str) -> tuple[bool, Breaks]:
    """Not a comparison: every column of both files decoded, batch by batch. Nobody who reads them is faster."""
    import pyarrow.parquet as pq

    for path in (source, destination):
        for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(batch_size=131_072):
            assert batch.num_columns == len(IDENTITY) + len(CONTENT)
    return True, []


def place(url: str) -> tuple[str, str]:
    """Return the folder of the socket and the table of a URL."""
    parts = urlsplit(url)
    return parse_qs(parts.query)["host"][0], parts.fragment


def reladiff_hashdiff(source: str, destination: str) -> tuple[bool, Breaks]:
    """Checksums of ranges of the key, by the databases; the rows of a range that differs travel, and it names them."""
    import reladiff

    tables = []
    for host, table in map(place, (source, destination)):
        where = {"driver": "postgresql", "host": host, "port": 5432, "user": "postgres", "password": ""}
        where["dbname"] = "postgres"
        found = reladiff.connect_to_table(where, table, "message_id", extra_columns=COLUMNS, thread_count=2)
        tables.append(found)
    rows: dict[str, list[str]] = {"-": [], "+": []}
    algorithm = reladiff.Algorithm.HASHDIFF
    for sign, row in reladiff.diff_tables(*tables, algorithm=algorithm, threaded=True, max_threadpool_size=2):
        rows[sign].append(row[0])
    gone, come = set(rows["-"]), set(rows["+"])
    kinds = {"corrupt": gone & come, "lost": gone - come, "extra": come - gone}
    breaks: Breaks = [(kind, id_) for kind, ids in kinds.items() for id_ in ids]
    return not breaks, breaks


def data_validator(source: str, destination: str) -> tuple[bool, Breaks]:
    """A SHA-256 of each row, by the databases; hashes and keys travel, and pandas joins them. Its command line."""
    import csv
    import io
    import os
    import tempfile
    from contextlib import redirect_stdout

    from data_validation.__main__ import main

    said = io.StringIO()
    with tempfile.TemporaryDirectory() as home:
        os.environ["PSO_DV_CONN_HOME"] = home

        def run(*words: str) -> None:
            sys.argv = ["data-validation", "--log-level", "ERROR", *words]
            with redirect_stdout(said):
                main()

        for side, (host, _) in {"source": place(source), "target": place(destination)}.items():
            where = ["--host", host, "--port", "5432", "--user", "postgres", "--password", "", "--database", "postgres"]
            run("connections", "add", "-c", side, "Postgres", *where)
        said.truncate(said.seek(0))
        pair = "=".join(f"public.{place(url)[1]}" for url in (source, destination))
        asked = ["--primary-keys", "message_id", "--hash", "*", "--format", "csv", "--filter-status", "fail"]
        run("validate", "row", "-sc", "source", "-tc", "target", "-tbls", pair, *asked)
    said.seek(0)
    breaks: Breaks = []
    for row in csv.DictReader(said):
        kind = "lost" if not row["target_agg_value"] else "corrupt" if row["source_agg_value"] else "extra"
        breaks.append((kind, json.loads(row["group_by_columns"])["message_id"]))
    return not breaks, breaks


PEERS: dict[str, Any] = {
    "datacompy-polars": datacompy_polars,
    "datacompy-pandas": datacompy_pandas,
    "duckdb-join": duckdb_join,
    "reladiff": reladiff_hashdiff,
    "dvt": data_validator,
    "read-only": read_only,
}

if __name__ == "__main__":
    peer, source, destination, answer = sys.argv[1:]
    equal, breaks = PEERS[peer](source, destination)
    Path(answer).write_text(json.dumps({"equal": equal, "breaks": breaks}), encoding="utf-8")
