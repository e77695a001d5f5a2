"""Does a table of a database come out as it is, and is nothing ever done to the database?"""

from __future__ import annotations

import gc
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrity.errors import MissingExtraError, StoreError
from integrity.stores.base import CHUNK_ROWS, Store
from integrity.stores.sql import SqlStore, sql_store


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextmanager
def database(path: str = "gateway.db") -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection


def make(*statements: str, path: str = "gateway.db") -> None:
    with database(path) as connection:
        for statement in statements:
            connection.execute(statement)


def count_to(last: int, columns: str = "i") -> str:
    numbers = f"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {last})"
    return f"INSERT INTO t {numbers} SELECT {columns} FROM c"


def read(url: str, *columns: str) -> list[dict[str, Any]]:
    store = sql_store(url)
    assert isinstance(store, Store)
    asked = list(columns) or list(store.columns())
    rows: list[dict[str, Any]] = []
    for batch in store.stream(asked):
        assert batch.schema.names == asked
        batch.validate(full=True)
        rows += batch.to_pylist()
    return rows


def problem(url: str, *columns: str) -> str:
    with pytest.raises(StoreError) as caught:
        read(url, *columns)
    assert caught.value.__cause__ is None  # it would show what the message hides
    return str(caught.value)


def test_rows_as_they_are_stored_whatever_the_columns_are_declared() -> None:
    make(
        "CREATE TABLE outbox (id INTEGER, at DATETIME, amount NUMERIC, flag BOOLEAN, blob BLOB, j JSON, x ODD(1,2))",
        "INSERT INTO outbox VALUES (1, '2024-01-01T00:00:00Z', '12.10', 1, x'00ff', '{}', 'text')",
        "INSERT INTO outbox VALUES (NULL, 1704067200, 'no number', 'yes', 'text', 5, 1.5)",
        f"INSERT INTO outbox VALUES ({-(2**63)}, NULL, 1e300, 0, NULL, NULL, NULL)",
    )
    assert [list(row.values()) for row in read("sqlite:///gateway.db#outbox")] == [
        [1, "2024-01-01T00:00:00Z", 12.1, "1", b"\0\xff", "{}", "text"],
        [
            None,
            "1704067200",
            "no number",
            "yes",
            "text",
            "5",
            1.5,
        ],  # beside text, integers are text: it reads the same
        [-(2**63), None, 1e300, "0", None, None, None],
    ]


NAMES = [
    "order",
    "at",
    "Sent At",
    "100%",
    "%s",
    "a:b",
    ":c",
    "?",
    'q"x',
    "a.b",
    "select",
    "é",
    "",
    "x'y",
    "`",
    "[z]",
    "a\nb",
]


def test_columns_and_tables_of_any_name() -> None:
    for table in ("order", "Sent Items", "100%", "a:b", 'q"x', "é", "x'y", "t.v"):
        quoted = '"' + table.replace('"', '""') + '"'
        columns = ", ".join('"' + name.replace('"', '""') + '"' for name in NAMES)
        make(f"CREATE TABLE {quoted} ({columns})")
        with database() as connection:
            connection.execute(f"INSERT INTO {quoted} VALUES ({', '.join('?' * len(NAMES))})", NAMES)
        store = SqlStore("sqlite:///gateway.db", table)
        assert list(store.columns()) == NAMES
        (batch,) = store.stream(NAMES[::-1])
        assert batch.to_pylist() == [dict(zip(NAMES, NAMES, strict=True))]
    assert read("sqlite:///gateway.db#Sent%20Items", "at") == read("sqlite:///gateway.db#Sent Items", "at")
    assert read("sqlite:///gateway.db#t%2Ev", "at") == [{"at": "at"}]
    assert read("sqlite:///gateway.db#main.order", "at") == [{"at": "at"}]


def test_a_missing_column_is_no_string_of_its_own_name() -> None:
    make("CREATE TABLE outbox (sentat, body)", "INSERT INTO outbox VALUES (1, 2)")
    # SQLite takes a quoted name that is no column for text, and would answer 'sent_at' for every row.
    assert problem("sqlite:///gateway.db#outbox", "sent_at") == "no column 'sent_at' in outbox; did you mean 'sentat'?"
    assert problem("sqlite:///gateway.db#outbox", "SENTAT").startswith("no column 'SENTAT' in outbox; did you mean")
    assert (
        problem("sqlite:///gateway.db#main.outbox", "zz") == "no column 'zz' in main.outbox; there are 'body', 'sentat'"
    )


def test_views_and_generated_columns() -> None:
    make(
        "CREATE TABLE outbox (id, twice GENERATED ALWAYS AS (id * 2) VIRTUAL)",
        "INSERT INTO outbox VALUES (3)",
        'CREATE VIEW sent AS SELECT id AS "at", twice FROM outbox UNION ALL SELECT 7, 8',
        "CREATE VIEW same AS SELECT id, twice AS id FROM outbox",
        "CREATE VIEW broken AS SELECT * FROM gone",
    )
    assert read("sqlite:///gateway.db#outbox") == [{"id": 3, "twice": 6}]
    assert read("sqlite:///gateway.db#sent") == [{"at": 3, "twice": 6}, {"at": 7, "twice": 8}]
    assert read("sqlite:///gateway.db#same") == [{"id": 3, "id:1": 6}]
    assert "no such table: main.gone" in problem("sqlite:///gateway.db#broken")


def test_a_missing_table_is_named_with_what_is_there() -> None:
    make("CREATE TABLE outbox (id)", "CREATE VIEW sent AS SELECT 1")
    shown = f"sqlite:///{os.path.abspath('gateway.db')}"
    assert problem("sqlite:///gateway.db#outbx") == f"no table 'outbx' in {shown}; did you mean 'outbox'?"
    assert problem("sqlite:///gateway.db#snet") == f"no table 'snet' in {shown}; did you mean 'sent'?"
    assert problem("sqlite:///gateway.db#zzz", "id") == f"no table 'zzz' in {shown}; there are 'outbox', 'sent'"
    assert "main.zzz" in problem("sqlite:///gateway.db#main.zzz")
    for url in ("sqlite:///gateway.db", "sqlite:///gateway.db#"):
        assert problem(url) == f"which table of {shown}? Add #name; there are 'outbox', 'sent'"
    Path("empty.db").touch()
    assert problem("sqlite:///empty.db#outbox").endswith("there are none")


def test_a_missing_file_is_not_made() -> None:
    Path("gateway.db").touch()
    assert problem("sqlite:///gatewy.db#outbox").endswith("gatewy.db; did you mean 'gateway.db'?")
    assert "there is no SQLite database" in problem("sqlite:///no/folder/x.db#outbox")
    assert "there is no SQLite database" in problem("sqlite:///file:gatewy.db?uri=true&mode=rwc#outbox")
    assert os.listdir() == ["gateway.db"]
    for url in ("sqlite://#t", "sqlite:///:memory:#t"):
        assert "in memory is empty for everyone but its owner" in problem(url)
    os.mkdir("folder.db")
    assert "is a folder, not a SQLite database" in problem("sqlite:///folder.db#t")


def test_what_is_no_database_is_a_sentence() -> None:
    Path("x.db").write_bytes(b"id,at\n1,2\n" * 1000)
    assert "x.db is not a SQLite database; check the path" in problem("sqlite:///x.db#t")
    make("CREATE TABLE t (id)", *["INSERT INTO t VALUES (zeroblob(3000))"] * 50)
    whole = bytearray(Path("gateway.db").read_bytes())
    whole[4096 * 3 : 4096 * 20] = b"\xff" * (4096 * 17)
    Path("gateway.db").write_bytes(whole)
    assert "cannot be read to its end" in problem("sqlite:///gateway.db#t")
    assert "cannot be parsed" in problem("sqlite:x.db#t")
    assert "cannot be read" in problem("sqlite+aiosqlite:///x.db#t")


def test_paths_of_any_name() -> None:
    for name in ("a b", "100%", "q?x", "h#x", "é", "%41", "x'y"):
        os.mkdir(name)
        make("CREATE TABLE t (id)", "INSERT INTO t VALUES (1)", path=f"{name}/gateway.db")
        assert read(f"sqlite:///{quote(name)}/gateway.db#t") == [{"id": 1}]
        assert SqlStore(f"sqlite:///{quote(name)}/gateway.db", "t").columns() == ["id"]
    make("CREATE TABLE t (id)", "INSERT INTO t VALUES (2)")
    assert read("sqlite:///file:gateway.db?mode=rwc&uri=true#t") == [{"id": 2}]
    assert read(f"sqlite:///{os.path.abspath('gateway.db')}#t") == [{"id": 2}]


def test_names_and_locations(monkeypatch: pytest.MonkeyPatch) -> None:
    make("CREATE TABLE t (id)", "INSERT INTO t VALUES (1)")
    store = sql_store("sqlite:///gateway.db?timeout=1#main.t")
    assert (store.name, store.location) == ("main.t", f"sqlite:///{os.path.abspath('gateway.db')}#main.t")
    monkeypatch.chdir("/")
    assert [batch.to_pylist() for batch in store.stream(["id"])] == [[{"id": 1}]]


def test_a_writer_that_holds_the_lock_is_named() -> None:
    make("CREATE TABLE t (id)")
    with closing(sqlite3.connect("gateway.db")) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert "gateway.db is locked by a writer; run again" in problem("sqlite:///gateway.db?timeout=0.05#t")
        assert "timeout=soon is no number of seconds" in problem("sqlite:///gateway.db?timeout=soon#t")
    assert read("sqlite:///gateway.db?timeout=0.05#t") == []


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_pass_is_one_snapshot(mode: str) -> None:
    make(
        "CREATE TABLE t (id)",
        count_to(200_000),
    )
    with closing(sqlite3.connect("gateway.db", timeout=0.05, isolation_level=None)) as writer:
        writer.execute(f"PRAGMA journal_mode={mode}")
        store = sql_store("sqlite:///gateway.db#t")
        stream = store.stream(["id"])
        count = next(stream).num_rows
        if mode == "wal":
            writer.execute("DELETE FROM t")
        else:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                writer.execute("DELETE FROM t")
        assert count + sum(batch.num_rows for batch in stream) == 200_000
        writer.execute("DELETE FROM t")
        assert list(store.stream(["id"])) == []


def test_an_abandoned_pass_lets_go_of_the_database() -> None:
    make(
        "CREATE TABLE t (id)",
        count_to(200_000),
    )
    stream = sql_store("sqlite:///gateway.db#t").stream(["id"])
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    with closing(sqlite3.connect("gateway.db", timeout=0.05)) as writer, writer:
        writer.execute("DELETE FROM t")
    gc.collect()


def test_a_pass_may_go_on_in_another_thread() -> None:
    make("CREATE TABLE t (id)", count_to(200_000))
    stream = sql_store("sqlite:///gateway.db#t").stream(["id"])
    counts = [next(stream).num_rows]
    thread = threading.Thread(target=lambda: counts.extend(batch.num_rows for batch in stream))
    thread.start()
    thread.join()
    assert sum(counts) == 200_000


def test_nothing_can_be_written() -> None:
    make("CREATE TABLE t (id)", "CREATE TABLE log (id)", "INSERT INTO t VALUES (1)")
    before = Path("gateway.db").stat()
    read("sqlite:///gateway.db#t")
    assert Path("gateway.db").stat() == before
    store = sql_store("sqlite:///gateway.db#t")
    with (
        pytest.raises(StoreError, match="cannot be opened: attempt to write a readonly database"),
        store.session() as session,
    ):
        session.connection.exec_driver_sql("INSERT INTO log VALUES (1)")


@pytest.mark.skipif(os.name != "posix", reason="folders that cannot be written to, the POSIX way")
def test_a_write_ahead_log_in_a_folder_that_cannot_be_written_to() -> None:
    make("PRAGMA journal_mode=wal", "CREATE TABLE t (id)")
    folder = Path(".").absolute()
    is_root = os.geteuid() == 0
    # Root may write anywhere, so it becomes nobody, who must be able to get here.
    shut = [path for path in folder.parents if is_root and path.stat().st_mode & 0o555 != 0o555]
    rights = {path: path.stat().st_mode for path in (folder, *shut)}
    for path in shut:
        path.chmod(rights[path] | 0o555)
    folder.chmod(0o555)
    problem("sqlite:///none.db#t")  # imports what somebody without rights cannot
    if is_root:
        os.seteuid(65534)
    try:
        assert "has a write-ahead log, and its folder cannot be written to" in problem("sqlite:///gateway.db#t")
    finally:
        if is_root:
            os.seteuid(0)
        for path, mode in rights.items():
            path.chmod(mode)
    assert read("sqlite:///gateway.db#t") == []


# Text


def test_a_pass_that_meets_bad_text_late_starts_anew_over_the_same_rows() -> None:
    make("PRAGMA journal_mode=wal", "CREATE TABLE t (id, body)", count_to(200_000, "i, 'b'"))
    make("UPDATE t SET body = CAST(x'ff' AS TEXT) WHERE id = 200000")
    stream = sql_store("sqlite:///gateway.db#t").stream(["id", "body"])
    ids = next(stream).column("id").to_pylist()
    make("DELETE FROM t WHERE id % 2 = 0", "INSERT INTO t VALUES (-1, 'new')")
    for batch in stream:
        ids += batch.column("id").to_pylist()
    assert ids == list(range(1, 200_001))


def test_text_that_is_not_utf8_is_bytes_and_no_row_is_lost_or_doubled() -> None:
    rows = CHUNK_ROWS + 5_000
    make(
        "CREATE TABLE t (id, body, name)",
        count_to(rows, "i - 1, 'b' || (i - 1), 'n'"),
    )
    bad = [0, 1023, 1024, CHUNK_ROWS - 1, CHUNK_ROWS, rows - 1]
    for first in range(len(bad)):
        with database() as connection:
            connection.execute("UPDATE t SET body = 'b' || id")
            connection.executemany(
                "UPDATE t SET body = CAST(x'62ff62' AS TEXT) WHERE id = ?", [(i,) for i in bad[first:]]
            )
        back = read("sqlite:///gateway.db#t", "id", "body")
        assert [row["id"] for row in back] == list(range(rows))
        wrong = {row["id"]: row["body"] for row in back if row["body"] != f"b{row['id']}"}
        assert wrong == dict.fromkeys(bad[first:], b"b\xffb")
    # Columns that are not asked for do not matter.
    assert all(row["name"] == "n" for row in read("sqlite:///gateway.db#t", "name"))


def test_private_text_is_not_in_the_message_of_a_failure() -> None:
    make(
        "CREATE TABLE t (body)",
        "INSERT INTO t VALUES ('hushhush')",
        "CREATE VIEW v AS SELECT body, abs('x' || body) - abs(-9223372036854775808) AS n FROM t",
    )
    assert "hush" not in problem("sqlite:///gateway.db#v")


sql_values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=6),
    st.text(st.sampled_from("\0\x1f\ufeff\U0010ffff"), max_size=3),
    st.binary(max_size=6),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(sql_values, sql_values), max_size=20))
def test_any_values_come_back(rows: list[tuple[Any, Any]]) -> None:
    with database("law.db") as connection:
        connection.execute("DROP TABLE IF EXISTS t")
        connection.execute("CREATE TABLE t (a, b)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
    back = read("sqlite:///law.db#t")
    for place, name in enumerate("ab"):
        values = [row[place] for row in rows]
        kinds = {type(value) for value in values if value is not None}
        expected = [str(v) if kinds == {int, str} and isinstance(v, int) else v for v in values]
        got = [row[name] for row in back]
        assert got == expected
        assert list(map(type, got)) == list(map(type, expected))


# Other databases


@pytest.mark.parametrize(
    ("dialect", "extra"),
    [
        ("postgresql", "postgresql"),
        ("postgresql+psycopg", "postgresql"),
        ("mysql", "mysql"),
        ("mariadb", "mysql"),
        ("duckdb", "duckdb"),
    ],
)
def test_a_driver_that_is_not_installed(dialect: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'driver'")

    monkeypatch.setattr("sqlalchemy.create_engine", missing)
    monkeypatch.setitem(sys.modules, "duckdb", None)  # which is how an import fails
    with pytest.raises(MissingExtraError, match=rf"pip install 'processing-integrity\[{extra}\]'"):
        read(f"{dialect}://anna:hunter2@host/db#t")
    with pytest.raises(StoreError, match="oracle:// URLs need a driver; No module named 'driver'"):
        read("oracle://anna:hunter2@host/db#t")


def test_passwords_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    store = sql_store("postgresql://anna:hunt%40er2@host/db?sslpassword=hunter3&options=x#public.outbox")
    assert (store.name, store.location) == ("public.outbox", "postgresql://anna:***@host/db#public.outbox")

    def leaking(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("cannot connect as anna:hunt@er2 or anna:hunt%40er2")

    monkeypatch.setattr("sqlalchemy.create_engine", leaking)
    assert "hunt" not in problem("oracle://anna:hunt%40er2@host/db#t")
    monkeypatch.setattr(SqlStore, "tables", lambda store: ["outbox"])
    with pytest.raises(StoreError, match=r"which table of postgresql://anna:\*\*\*@host/db\? .* 'outbox'"):
        sql_store("postgresql://anna:hunt#er2@host/db")
    for url in (
        "postgresql://anna:hunt#er2@host/db",
        "mysql://anna:hunter2@[::1/db#t",
        "oracle://anna:hunter2@host:port/db#t",
    ):
        with pytest.raises((StoreError, MissingExtraError)) as caught:
            read(url)
        assert "hunt" not in str(caught.value)
        assert "er2" not in str(caught.value)
