"""Do real databases give the same answer whatever goes wrong, is called strangely, or has an odd type?

Connections are cut, servers killed, tables locked, altered and written to while they are read; what is right is said by
an undisturbed run, by a table of canonical values, or by what the writer itself knows. Nothing is ever invented, and
what cannot be read is said in a sentence.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pyarrow as pa
import pytest
import sqlalchemy as sa

import integrity
from integrity import ConnectionLostError, PushdownError, StoreError, Verdict, canonical, passes
from integrity.columns import Column
from integrity.stores import SqlStore
from integrity.stores.base import Field
from integrity.stores.sql_text import reading
from tests.servers import PASSWORD, Engine, Mariadb, Postgres, mariadb_server, postgres_server, quoted

START = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
CUT = dt.datetime(2026, 3, 3, tzinfo=dt.UTC)
MODES = ["never", "always"]
SERVERS = ["postgresql", "mariadb"]
COLUMNS = {"id": "key", "body": "text", "n": "integer", "at": "instant"}
UTC = {"source": "UTC", "destination": "UTC"}

pytestmark = pytest.mark.usefixtures("_quick")


def contract(**changes: Any) -> integrity.Contract:
    said: dict[str, Any] = {
        "name": "day",
        "version": 1,
        "identity": {"id": "text"},
        "content": {"body": "text", "n": "integer"},
        "amounts": ["n"],
        "clock": {"event": "at"},
        "window": "10m",
        "grace": "5m",
    }
    return integrity.Contract(**{k: v for k, v in (said | changes).items() if v is not None})


def row(number: int, **changes: Any) -> tuple[Any, ...]:
    """One item a minute."""
    at = START + dt.timedelta(minutes=number % 1440)
    return tuple(({"id": f"m{number}", "body": f"메시지 {number}", "n": number, "at": at} | changes).values())


def rows(count: int) -> list[tuple[Any, ...]]:
    return [row(n) for n in range(count)]


def reconciled(source: Any, destination: Any, mode: str = "never", **more: Any) -> integrity.Result:
    said: dict[str, Any] = {"as_of": CUT, "timezone": UTC, "pushdown": mode} | more
    return integrity.reconcile(said.pop("promise", contract()), source, destination, **said)


def breaks(result: integrity.Result) -> set[tuple[str, str]]:
    return set(zip(result.breaks["kind"], result.breaks["id"], strict=True))


def measured(url: Any, promise: integrity.Contract, mode: str, **more: Any) -> integrity.ControlTotals:
    said: dict[str, Any] = {"side": "source", "as_of": CUT, "timezone": "UTC"} | more
    return integrity.measure(promise, url, pushdown=mode, **said)


def with_options(url: str, options: str) -> str:
    address, _, table = url.rpartition("#")
    return f"{address}{'&' if '?' in address else '?'}{options}#{table}"


def mark(engine: Engine) -> str:
    return "`" if engine.name == "mariadb" else '"'


def refused(work: Callable[[], Any]) -> str:
    """What the error says, which is a sentence of ours, of one line, and keeps the password to itself."""
    with pytest.raises(StoreError) as caught:
        work()
    said = f"{caught.value}"
    assert "\n" not in said
    assert_private(said, repr(caught.value))
    chain = caught.value.__cause__
    assert chain is None or isinstance(chain, StoreError), chain
    return said


def assert_private(*texts: str) -> None:
    for text in texts:
        for secret in (PASSWORD, "s3:c", "r@e t", "s3%3A", "r%40e"):
            assert secret not in text


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "_PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture
def _tidy() -> Iterator[None]:
    """What a test leaves behind in cycles is its own, not the next one's."""
    yield
    gc.collect()


@pytest.fixture(scope="module", autouse=True)
def _prompt(postgres: Postgres, mariadb: Mariadb) -> Iterator[None]:
    """A connection that is left behind, and still locks a table, makes the next test fail, and not wait for ever."""
    postgres.run("ALTER ROLE postgres SET lock_timeout = '5s'")
    mariadb.run("SET GLOBAL lock_wait_timeout = 5")
    yield
    postgres.run("ALTER ROLE postgres RESET lock_timeout")
    mariadb.run("SET GLOBAL lock_wait_timeout = 86400")


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Engine:
    """The server that a test is parametrized by."""
    server: Engine = request.getfixturevalue("postgres" if request.param == "postgresql" else request.param)
    return server


both_servers = pytest.mark.parametrize("engine", SERVERS, indirect=True)
both_modes = pytest.mark.parametrize("mode", MODES)


# Connections that are cut


HEAVY = 70_000


def large(engine: Engine, table: str, count: int = HEAVY, width: int = 1500) -> str:
    """A table of more rows than a chunk holds, and more text than any buffer on the way: 105 MB, of which Linux may
    hold 36 on loopback."""
    name = quoted(table, mark(engine))
    url = engine.fill(table, COLUMNS, [])
    if engine.name == "postgresql":
        engine.run(
            f"INSERT INTO {name} SELECT 'm' || i, repeat(chr(97 + i % 26), {width}), i, "
            f"timestamptz '2026-03-02 00:00Z' + i * interval '1 s' FROM generate_series(0, {count - 1}) i"
        )
    else:
        engine.run(
            f"INSERT INTO {name} SELECT concat('m', seq), repeat(char(97 + seq % 26), {width}), seq, "
            f"'2026-03-02' + INTERVAL seq SECOND FROM seq_0_to_{count - 1}"
        )
    return url


@pytest.fixture(scope="module")
def heavy(postgres: Postgres, mariadb: Mariadb) -> dict[str, tuple[str, str]]:
    """For each server two equal tables, too large to be sent before somebody can do something about it."""
    return {engine.name: (large(engine, "heavy a"), large(engine, "heavy b")) for engine in (postgres, mariadb)}


def cut(engine: Engine, only: str = "") -> int:
    """Cut all other connections (or those whose statement contains a word), and return how many there were."""
    if isinstance(engine, Postgres):
        import psycopg

        with psycopg.connect(engine.address, autocommit=True) as connection:
            found = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND backend_type = 'client backend' AND (%(only)s = '' OR state = 'active' AND position(%(only)s in query) > 0)",
                {"only": only},
            ).fetchall()
            return len(found)
    assert isinstance(engine, Mariadb)
    with engine.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM information_schema.processlist WHERE id <> connection_id() AND user = 'auditor' "
            "AND (%s = '' OR info LIKE concat('%%', %s, '%%'))",
            (only, only),
        )
        found = cursor.fetchall()
        for (number,) in found:
            with contextlib.suppress(Exception):  # it is gone already
                cursor.execute(f"KILL CONNECTION {number}")
        return len(found)


class Cutter:
    """Cuts all connections while rows stream in: some times, or each time."""

    def __init__(self, engine: Engine, times: int) -> None:
        self.engine, self.left, self.cuts = engine, times, 0
        self._lock = threading.Lock()

    def step(self, what: str) -> None:
        pass

    def rows(self, side: str, count: int) -> None:
        with self._lock:
            if self.left:
                self.left -= 1
                self.cuts += cut(self.engine)


@pytest.mark.usefixtures("_tidy")
@both_servers
def test_a_stream_whose_connection_is_cut_ends_in_a_sentence(
    engine: Engine, heavy: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    store = integrity.open_store(heavy[engine.name][0])
    held = 0
    with pytest.raises(ConnectionLostError, match="dropped the connection") as caught:
        for batch in store.stream(["id", "body"]):
            if not held:
                assert cut(engine)
            held += batch.num_rows
    assert held < HEAVY
    assert_private(str(caught.value))
    assert not caplog.records  # tracebacks that SQLAlchemy logs, and a person sees


@pytest.mark.usefixtures("_tidy")
@both_servers
def test_a_pass_that_is_cut_once_is_read_again_and_says_the_same(
    engine: Engine, heavy: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    here, there = heavy[engine.name]
    calm = reconciled(here, there)
    cutter = Cutter(engine, 1)
    result = reconciled(here, there, progress=cutter)
    assert cutter.cuts
    assert calm.verdict is Verdict.PASS
    assert (result.verdict, result.totals) == (calm.verdict, calm.totals)
    assert not caplog.records
    assert result.totals["matched"] == HEAVY


@pytest.mark.usefixtures("_tidy")
@both_servers
def test_a_pass_that_is_cut_every_time_is_given_up(
    engine: Engine, heavy: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    cutter = Cutter(engine, 10**6)
    with pytest.raises(ConnectionLostError, match=r"dropped the connection.*run again when it is back") as caught:
        reconciled(*heavy[engine.name], progress=cutter)
    assert cutter.cuts > 3
    assert_private(str(caught.value))
    assert not caplog.records


class Cutting:
    """Cuts, in a thread of its own, what runs a statement that contains a word, some times."""

    def __init__(self, engine: Engine, word: str, times: int) -> None:
        self.engine, self.word, self.left, self.cuts = engine, word, times, 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def step(self, what: str) -> None:
        if what.startswith("reading both sides"):
            self._thread = threading.Thread(target=self._watch)
            self._thread.start()

    def rows(self, side: str, count: int) -> None:
        pass

    def _watch(self) -> None:
        while not self._stop.is_set() and self.cuts < self.left:
            self.cuts += cut(self.engine, self.word)
            time.sleep(0.002)

    def end(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()


@pytest.mark.usefixtures("_tidy")
@both_servers
@pytest.mark.parametrize("times", [1, 10**6])
def test_totals_that_are_cut_are_asked_for_again(engine: Engine, times: int) -> None:
    url = large(engine, "totalled", 10_000)
    cutting = Cutting(engine, "SELECT" if engine.name == "postgresql" else "SHA2", times)
    try:
        if times == 1:
            result = reconciled(url, url, "always", progress=cutting)
            assert result.verdict is Verdict.PASS
            assert result.totals["matched"] == 10_000
        else:
            assert "dropped the connection" in refused(lambda: reconciled(url, url, "always", progress=cutting))
    finally:
        cutting.end()
    assert cutting.cuts


class Killer:
    """Kills the whole server when the first rows are there."""

    def __init__(self, pid: int) -> None:
        self.pid, self.killed = pid, False

    def step(self, what: str) -> None:
        pass

    def rows(self, side: str, count: int) -> None:
        if not self.killed:
            self.killed = True
            os.kill(self.pid, signal.SIGQUIT)


def test_a_postgresql_that_dies_is_a_sentence() -> None:
    with contextlib.suppress(AssertionError, OSError), postgres_server() as server:  # which it then cannot stop
        url = large(server, "heavy")
        folder = Path(server.address.partition("host=")[2])
        killer = Killer(int((folder / "postmaster.pid").read_text().splitlines()[0]))
        try:
            assert_dies(server, url, killer)
        except AssertionError as error:
            pytest.fail(str(error))


def test_a_mariadb_that_dies_is_a_sentence() -> None:
    with mariadb_server() as server:
        url = large(server, "heavy")
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT @@pid_file")
            killer = Killer(int(Path(cursor.fetchone()[0]).read_text()))
        assert_dies(server, url, killer)


def assert_dies(server: Engine, url: str, killer: Killer) -> None:
    said = refused(lambda: reconciled(url, url, progress=killer))
    assert killer.killed
    assert server.name in said
    for mode in MODES:
        assert server.name in refused(partial(reconciled, url, url, mode))


# Locks and patience


@both_servers
@both_modes
def test_a_locked_table_names_the_way_out(engine: Engine, mode: str) -> None:
    url = with_options(engine.fill("locked", COLUMNS, rows(3)), "lock_timeout=1")
    with holding(engine, "locked"):
        assert "locked by another session, after 1 s of waiting; run again, or wait longer with ?lock_timeout" in (
            refused(lambda: reconciled(url, url, mode))
        )
    assert reconciled(url, url, mode).verdict is Verdict.PASS


@contextlib.contextmanager
def holding(engine: Engine, table: str) -> Iterator[None]:
    """Lock a table against everybody."""
    if isinstance(engine, Postgres):
        import psycopg

        with psycopg.connect(engine.address) as connection:
            connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
            connection.rollback()
        return
    assert isinstance(engine, Mariadb)
    with engine.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLES {table} WRITE")
        yield
        cursor.execute("UNLOCK TABLES")


@pytest.mark.usefixtures("_tidy")
@both_servers
@both_modes
def test_a_statement_that_takes_too_long_names_the_way_out(engine: Engine, mode: str) -> None:
    engine.fill("slow", COLUMNS, rows(5))
    slow = {"postgresql": "pg_sleep(0.4 + 0 * n)::text = ''", "mariadb": "sleep(0.4) = n - n"}[engine.name]
    with view(engine, "slow view", f"SELECT * FROM slow WHERE {slow}") as url:
        url = with_options(url, "timeout=0.5")
        said = refused(lambda: reconciled(url, url, mode))
    assert "a statement took longer than 0.5 s; ask for fewer windows with since and until" in said
    assert "?timeout=" in said


@contextlib.contextmanager
def view(engine: Engine, name: str, select: str) -> Iterator[str]:
    """Make a view for a while: tables cannot be made anew while one looks at them."""
    named = quoted(name, mark(engine))
    engine.run(f"DROP VIEW IF EXISTS {named}", f"CREATE VIEW {named} AS {select}")
    try:
        yield engine.url(name)
    finally:
        engine.run(f"DROP VIEW IF EXISTS {named}")


# Tables that change while they are read


class Altering:
    """Alters a table between the first pass and the search."""

    def __init__(self, engine: Engine, *statements: str) -> None:
        self.engine, self.statements, self.done = engine, statements, False

    def step(self, what: str) -> None:
        if what.startswith("reading both sides") or ("again" not in what and "looking up" not in what):
            return
        if not self.done:
            self.done = True
            self.engine.run(*self.statements)

    def rows(self, side: str, count: int) -> None:
        pass


@pytest.mark.usefixtures("_tidy")
@both_servers
@both_modes
@pytest.mark.parametrize("side", ["here", "there"])
def test_a_column_that_is_dropped_between_two_passes_is_named(engine: Engine, mode: str, side: str) -> None:
    changed = [row(3, body="other"), *(row(n) for n in range(300) if n not in (3, 7))]
    here, there = engine.fill("here", COLUMNS, rows(300)), engine.fill("there", COLUMNS, changed)
    altering = Altering(engine, f"ALTER TABLE {side} DROP COLUMN body")
    assert "body" in refused(lambda: reconciled(here, there, mode, progress=altering))
    assert altering.done


@pytest.mark.usefixtures("_tidy")
@both_servers
@both_modes
def test_a_table_that_is_dropped_between_two_passes_is_named(engine: Engine, mode: str) -> None:
    here, there = engine.fill("here", COLUMNS, rows(300)), engine.fill("there", COLUMNS, rows(299))
    altering = Altering(engine, "DROP TABLE there")
    assert "there" in refused(lambda: reconciled(here, there, mode, progress=altering))
    assert altering.done


@pytest.mark.usefixtures("_tidy")
@both_servers
@both_modes
def test_a_column_that_changes_its_type_between_two_passes_invents_nothing(engine: Engine, mode: str) -> None:
    here, there = engine.fill("here", COLUMNS, rows(300)), engine.fill("there", COLUMNS, rows(299))
    change = {"postgresql": "ALTER TABLE there ALTER n TYPE text", "mariadb": "ALTER TABLE there MODIFY n longtext"}
    altering = Altering(engine, change[engine.name])
    try:
        result = reconciled(here, there, mode, progress=altering)
    except StoreError:
        pass
    else:
        assert breaks(result) == {("lost", "m299")}
    assert altering.done


@pytest.mark.usefixtures("_tidy")
@both_servers
@both_modes
def test_a_run_that_fails_lets_go_of_what_it_read(engine: Engine, mode: str) -> None:
    here, there = engine.fill("here", COLUMNS, rows(300)), engine.fill("there", COLUMNS, rows(299))
    altering = Altering(engine, "ALTER TABLE there DROP COLUMN body")
    gc.disable()  # which would let go of it some time later
    try:
        refused(lambda: reconciled(here, there, mode, progress=altering))
        assert altering.done
        time.sleep(1)  # a server to which somebody said goodbye sees it a moment later
        assert cut(engine) == 0
    finally:
        gc.enable()


class Writer:
    """Inserts, changes and deletes some items, in the source first and then in the destination, until it is told."""

    def __init__(self, engine: Engine, moving: range) -> None:
        self.engine, self.moving = engine, moving
        self.held: dict[int, str] = {}
        self.changes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _write(self) -> None:
        pick = random.Random(7)
        with contextlib.closing(self._connect()) as connection, contextlib.closing(connection.cursor()) as cursor:
            while not self._stop.is_set():
                number = pick.choice(self.moving)
                body = f"word {self.changes}"
                for table in ("here", "there"):
                    if number not in self.held:
                        cursor.execute(f"INSERT INTO {table} VALUES (%s, %s, %s, %s)", self._row(number, body))
                    elif number % 2:
                        cursor.execute(f"UPDATE {table} SET body = %s WHERE id = %s", (body, f"m{number}"))
                    else:
                        cursor.execute(f"DELETE FROM {table} WHERE id = %s", (f"m{number}",))
                if number in self.held and not number % 2:
                    del self.held[number]
                else:
                    self.held[number] = body
                self.changes += 1
                time.sleep(0.001)

    def _row(self, number: int, body: str) -> tuple[Any, ...]:
        item = row(number, body=body)
        return item if self.engine.name == "postgresql" else (*item[:3], item[3].replace(tzinfo=None))

    def _connect(self) -> Any:
        if isinstance(self.engine, Mariadb):
            return self.engine.connect()
        import psycopg

        assert isinstance(self.engine, Postgres)
        return psycopg.connect(self.engine.address, autocommit=True)


def contents(engine: Engine, table: str) -> list[tuple[str, str]]:
    frame = pl.concat(pl.DataFrame(batch) for batch in integrity.open_store(engine.url(table)).stream(["id", "body"]))
    return sorted(frame.iter_rows())


@both_servers
@both_modes
def test_what_is_written_meanwhile_never_accuses_what_was_there_all_along(engine: Engine, mode: str) -> None:
    still = rows(200)
    here, there = engine.fill("here", COLUMNS, still), engine.fill("there", COLUMNS, still)
    moving = range(1440, 1440 + 200)  # their minutes are those of closed and open batches
    as_of = START + dt.timedelta(minutes=201)
    promise = contract(grace="70m")
    with Writer(engine, moving) as writer:
        for _ in range(3):
            result = reconciled(here, there, mode, as_of=as_of, promise=promise)
            accused = {item for _, item in breaks(result)}
            assert accused <= {f"m{n}" for n in moving}
            assert result.totals["matched"] >= 120
    assert writer.changes > 10
    settled = reconciled(here, there, mode, as_of=as_of, promise=promise)
    assert settled.verdict is Verdict.PASS
    expected = sorted(
        [(f"m{n}", item[1]) for n, item in enumerate(still)] + [(f"m{n}", b) for n, b in writer.held.items()]
    )
    assert contents(engine, "here") == expected == contents(engine, "there")


@both_servers
@both_modes
def test_reading_changes_nothing(engine: Engine, mode: str) -> None:
    here, there = engine.fill("here", COLUMNS, rows(50)), engine.fill("there", COLUMNS, [*rows(49), row(60)])
    before = inventory(engine)
    reconciled(here, there, mode)
    assert inventory(engine) == before
    with pytest.raises(StoreError, match=r"(?i)read.only"), SqlStore(*_split(here)).session() as session:
        session.connection.exec_driver_sql("DELETE FROM here")
    assert inventory(engine) == before


def _split(url: str) -> tuple[str, str]:
    address, _, table = url.rpartition("#")
    return address, table


def inventory(engine: Engine) -> list[Any]:
    """All tables, and the rows of two."""
    schema = "public" if engine.name == "postgresql" else "t"
    text = f"SELECT table_name AS name FROM information_schema.tables WHERE table_schema = '{schema}'"
    store = SqlStore(_split(engine.url("here"))[0], query=text)
    names = sorted(str(name) for batch in store.stream(["name"]) for name in batch.column(0).to_pylist())
    return [names, contents(engine, "here"), contents(engine, "there")]


# What things are called

STRANGE = 'ünï "quoted" `b` 100% :x'
NAMED = {"order": "id", "say \"hi\" 'y'": "body", "50% :n %s %(n)s": "n", "Sent At": "at"}
DATABASES = ["postgresql", "mariadb", "duckdb", "sqlite"]


def strange(engine: Engine, table: str, names: Sequence[str], kinds: Sequence[str], items: list[Any]) -> Any:
    """A table of any names, by way of plain ones; and the store of it."""
    plain_names = [f"c{i}" for i in range(len(names))]
    url = engine.fill("plain", dict(zip(plain_names, kinds, strict=True)), items)
    q = mark(engine)
    new = quoted(table, q)
    engine.run(
        f"DROP TABLE IF EXISTS {new}",
        f"ALTER TABLE plain RENAME TO {new}",
        *(
            f"ALTER TABLE {new} RENAME COLUMN {old} TO {quoted(name, q)}"
            for old, name in zip(plain_names, names, strict=True)
        ),
    )
    address = _split(url)[0]
    if "." in table:
        return {"url": address, "table": table}
    return f"{address}#{quote(table, safe='')}"


@pytest.mark.usefixtures("_self_tested")
@pytest.mark.parametrize("name", DATABASES)
@pytest.mark.parametrize("table", [STRANGE, "a/b.c@d#e?f"])
def test_any_name_can_be_read(engines: dict[str, Engine], name: str, table: str) -> None:
    engine = engines[name]
    kinds = list(COLUMNS.values())
    store = strange(engine, table, list(NAMED), kinds, rows(30))
    changed = [row(3, body="other"), *(row(n) for n in range(30) if n not in (3, 7))]
    other = strange(engine, "there", list(NAMED), kinds, changed)
    mapping = {"source": NAMED, "destination": NAMED}
    mode = modes(engine)[-1]  # which pulls, too, what it looks up
    found = reconciled(store, other, mode, columns=mapping, since=START, until=CUT)
    assert breaks(found) == {("corrupt", "m3"), ("lost", "m7")}


@pytest.mark.parametrize("name", DATABASES)
def test_a_location_can_be_opened_again(engines: dict[str, Engine], name: str) -> None:
    engine = engines[name]
    for table in ("a/b@c#d?e", STRANGE):
        url = strange(engine, table, ["id"], ["key"], [("a",)])
        location = integrity.open_store(url).location
        assert location.rpartition("#")[2] == url.rpartition("#")[2]


def modes(engine: Engine) -> list[str]:
    return MODES if engine.totals else ["never"]


ODD_NAMES = ["order", "at", "Sent At", 'ünï "q"', "%s", ":x", "a:b", "%(x)s", "a\\b", "{0}", "100%", "'", "`"]


@pytest.mark.parametrize("name", DATABASES)
def test_columns_of_any_name_can_be_read(engines: dict[str, Engine], name: str) -> None:
    engine = engines[name]
    count = len(ODD_NAMES)
    item = tuple(f"value {n}" for n in range(count))
    url = strange(engine, "named", ODD_NAMES, ["key"] * count, [item])
    mapping = {column: f"c{n}" for n, column in enumerate(ODD_NAMES)}
    promise = plain("text", identity={"c0": "text"}, content={f"c{n}": "text" for n in range(1, count)})
    expected = measured(pa.table({f"c{n}": [value] for n, value in enumerate(item)}), promise, "never")
    for mode in modes(engine):
        assert measured(url, promise, mode, columns=mapping) == expected


def plain(type_: Any, key: str = "text", **changes: Any) -> integrity.Contract:
    """A contract of one value, without a clock."""
    said: dict[str, Any] = {"name": "plain", "version": 1, "identity": {"id": key}, "content": {"v": type_}}
    return integrity.Contract(**(said | changes))


@pytest.mark.parametrize("name", DATABASES)
def test_a_view_reads_like_its_table(engines: dict[str, Engine], name: str) -> None:
    engine = engines[name]
    here = engine.fill("here", COLUMNS, rows(30))
    with view(engine, "seen", "SELECT * FROM here WHERE id <> 'm7'") as seen:
        for mode in modes(engine):
            assert breaks(reconciled(here, seen, mode)) == {("lost", "m7")}


@pytest.mark.parametrize("name", ["postgresql", "mariadb", "duckdb"])
def test_a_table_of_another_schema(engines: dict[str, Engine], name: str) -> None:
    engine = engines[name]
    here = engine.fill("here", COLUMNS, rows(30))
    q = mark(engine)
    schema = quoted("Other One", q)
    engine.run(
        f"DROP SCHEMA IF EXISTS {schema} {'' if name == 'mariadb' else 'CASCADE'}",
        f"CREATE SCHEMA {schema}",
        f"CREATE TABLE {schema}.{quoted('order', q)} AS SELECT * FROM here WHERE id <> 'm7'",
    )
    url = f"{_split(here)[0]}#Other%20One.order"
    for mode in modes(engine):
        assert breaks(reconciled(here, url, mode)) == {("lost", "m7")}
    said = refused(lambda: reconciled(here, url + "s"))
    assert "no table 'Other One.orders'" in said
    assert "did you mean 'order'?" in said


QUERY = "SELECT * FROM here WHERE id <> ':a' AND id NOT LIKE 'm1%' AND id <> '%s' AND id <> '\"%%' -- or ;\n ; "


@pytest.mark.parametrize("name", DATABASES)
def test_a_query_reads_like_its_rows(engines: dict[str, Engine], name: str) -> None:
    engine = engines[name]
    here = engine.fill("here", COLUMNS, rows(30))
    kept = [item for item in rows(30) if not item[0].startswith("m1")]
    there = engine.fill("there", COLUMNS, kept)
    address = _split(here)[0]
    query = QUERY if name != "mariadb" else QUERY.replace('"', '\\"')
    table = sa.table("here", *(sa.column(column) for column in COLUMNS))
    select = sa.select(table).where(table.c.id.notlike("m1%"), table.c.id != ":a")
    union = sa.union_all(select.where(table.c.n < 20), select.where(table.c.n >= 20))
    given: list[Any] = [
        {"url": address, "query": query},
        SqlStore(address, query=select),
        SqlStore(address, query=union),  # type: ignore[arg-type]
    ]
    asked: dict[str, Any] = {"since": START, "until": CUT}
    for store in given:
        result = reconciled(store, there, **asked)
        assert result.verdict is Verdict.PASS, store
        assert result.totals["matched"] == len(kept)
        if name == "mariadb":
            assert "the types of the columns of the query are not known" in refused(
                partial(reconciled, store, there, "always", **asked)
            )
        elif engine.totals:
            assert reconciled(store, there, "always", **asked).totals == result.totals


# Types

BAD = "\x1a"  # what cannot be read begins with it
#: Whether a type is pushed down; if not, the reason holds this text.
OTHER, ODD = "itself", "cannot write out exactly"
_Type = tuple[str, Any, list[tuple[str, str | None]], str | None]


def decimal(scale: int) -> dict[str, Any]:
    return {"type": "decimal", "scale": scale}


EXACT: dict[str, Any] = {"type": "float", "exact": True}
FLOATS = "databases round floats"
TOKEN = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
NINE = "2026-03-02 00:00:00.123456"
NINE_US = "1772409600123456"

#: Type, declared as, literals and their canonical values, and why it is not pushed down.
POSTGRESQL: list[_Type] = [
    ("varchar(5)", "text", [("'a '", "a "), ("''", "")], None),
    ("char(5)", "text", [("'ab'", "ab   ")], OTHER),
    ("name", "text", [("'x'", "x")], None),
    ('"char"', "text", [("'x'", "x")], OTHER),
    ("citizen", "text", [("'x '", "x ")], None),
    ("numeric", decimal(2), [("1.50", "150"), ("-0.00", "0"), ("1" + "0" * 50, "1" + "0" * 52)], None),
    ("numeric", decimal(2), [("'NaN'", BAD)], ODD),
    ("numeric", decimal(2), [("'-Infinity'", BAD)], ODD),
    ("numeric", decimal(2), [("1.501", BAD)], ODD),
    ("numeric(10,-2)", decimal(2), [("12345", "1230000")], None),
    ("numeric", "integer", [("5", "5")], OTHER),
    ("money", decimal(2), [("1.50", BAD)], OTHER),
    ("json", "text", [("""'{"a":  1}'""", '{"a":  1}')], OTHER),
    ("jsonb", "text", [("""'{"a":  1}'""", '{"a": 1}')], OTHER),
    ("mood", "text", [("'sad'", "sad")], OTHER),
    ("inet", "text", [("'10.0.0.0/8'", "10.0.0.0/8")], OTHER),
    ("inet", "text", [("'10.0.0.1'", "10.0.0.1")], OTHER),
    ("int[]", "text", [("'{1,NULL}'", "{1,NULL}")], OTHER),
    ("interval", "text", [("'1 day 2 hours'", "1 day 02:00:00")], OTHER),
    ("time", "text", [("'12:00'", "12:00:00")], OTHER),
    ("bit(3)", "text", [("B'101'", "101")], OTHER),
    ("int4range", "text", [("'[1,5)'", "[1,5)")], OTHER),
    ("pair", "text", [("ROW('a', 1)", "(a,1)")], OTHER),
    ("timestamptz", "timestamp", [("'2026-03-02 09:00:00.123456+09'", NINE_US)], None),
    ("timestamptz", "timestamp", [("'infinity'", BAD)], ODD),
    ("timestamptz", "timestamp", [("'-infinity'", BAD)], ODD),
    ("timestamptz", "timestamp", [("'0044-03-15 00:00Z BC'", BAD)], ODD),
    ("timestamptz", "timestamp", [("'10000-01-01 00:00Z'", BAD)], ODD),
    ("timestamp", "timestamp", [(f"'{NINE}'", NINE_US), ("'0001-01-01'", "-62135596800000000")], None),
    ("timestamp", "timestamp", [("'infinity'", BAD)], ODD),
    ("timestamp", "timestamp", [("'0001-12-31 BC'", BAD)], ODD),
    ("timestamp", "timestamp", [("'10000-01-01'", BAD)], ODD),
    ("date", "date", [("'2026-03-02'", "20514"), ("'0001-01-01'", "-719162"), ("'9999-12-31'", "2932896")], None),
    ("date", "date", [("'infinity'", BAD)], ODD),
    ("date", "date", [("'0044-03-15 BC'", BAD)], ODD),
    ("date", "date", [("'10000-01-01'", BAD)], ODD),
    ("bytea", "binary", [(r"'\x00ff'", "00ff"), ("''", "")], None),
    ("uuid", "uuid", [(f"'{TOKEN.upper()}'", TOKEN)], None),
    ("uuid", "text", [(f"'{TOKEN.upper()}'", TOKEN)], None),
    (
        "float8",
        EXACT,
        [("'NaN'", "7ff8000000000000"), ("'inf'", "7ff0000000000000"), ("0.1", "3fb999999999999a")],
        FLOATS,
    ),
    ("float8", decimal(2), [("'NaN'", BAD), ("'inf'", BAD), ("0.1", "10")], OTHER),
    ("real", EXACT, [("0.5", "3fe0000000000000")], FLOATS),
    ("real", decimal(1), [("0.1", "1")], OTHER),
    ("smallint", "integer", [("-32768", "-32768")], None),
    ("smallint", "text", [("-32768", "-32768")], None),
    ("positive", "integer", [("5", "5")], None),
    ("oid", "integer", [("7", "7"), ("4294967295", "4294967295")], "is oid, not integer itself"),
    ("boolean", "boolean", [("true", "1"), ("false", "0")], None),
    ("boolean", "integer", [("true", "1")], OTHER),
    ("text", "integer", [("'+007'", "7"), ("'x'", BAD)], OTHER),
]
MARIADB: list[_Type] = [
    ("varchar(5) character set utf8mb4", "text", [("'a '", "a "), ("''", "")], None),
    ("char(5) character set utf8mb4", "text", [("'ab  '", "ab"), ("' a'", " a")], None),
    ("tinyint(1)", "boolean", [("0", "0"), ("1", "1")], None),
    ("tinyint(1)", "boolean", [("2", BAD)], ODD),
    ("bigint unsigned", "integer", [("18446744073709551615", "18446744073709551615")], None),
    ("bigint unsigned", decimal(2), [("18446744073709551615", "1844674407370955161500")], None),
    ("int(5) zerofill", "integer", [("42", "42")], "zerofill, not integer itself"),
    ("int(5) zerofill", "text", [("42", "42")], "zerofill, not text itself"),
    ("decimal(65,30)", decimal(30), [("1" * 35 + "." + "2" * 30, "1" * 35 + "2" * 30)], "95 digits"),
    ("decimal(30,10)", decimal(2), [("-1.5", "-150"), ("0", "0")], None),
    ("decimal(30,10)", decimal(2), [("1.5000000001", BAD)], ODD),
    ("decimal(10)", "integer", [("5", "5")], OTHER),
    ("varchar(9) character set latin1", "text", [("_utf8mb4 'ö€'", "ö€")], None),
    ("varchar(9) character set utf8mb3", "text", [("'각'", "각")], None),
    ("varchar(9) character set utf16", "text", [("'각😀'", "각😀")], None),
    ("varchar(9) character set euckr", "text", [("'각'", "각")], None),
    ("datetime(3)", "timestamp", [("'2026-03-02 00:00:00.123999'", "1772409600123000")], None),
    (
        "datetime(6)",
        "timestamp",
        [("'9999-12-31 23:59:59.999999'", "253402300799999999"), ("'0001-01-01'", "-62135596800000000")],
        None,
    ),
    ("datetime(6)", "timestamp", [("'0000-01-01'", BAD)], ODD),
    ("datetime", "timestamp", [("'0000-00-00'", BAD)], ODD),
    ("datetime", "timestamp", [("'2026-00-10'", BAD)], ODD),
    ("datetime", "timestamp", [("'2026-02-31'", BAD)], ODD),
    ("timestamp", "timestamp", [("'2026-03-02 09:00:00'", "1772409600000000")], None),
    ("timestamp(6) null", "timestamp", [("'0000-00-00'", BAD)], ODD),
    ("date", "date", [("'2026-03-02'", "20514")], None),
    ("date", "date", [("'0000-00-00'", BAD)], ODD),
    ("date", "date", [("'0000-01-01'", BAD)], ODD),
    ("date", "date", [("'2026-00-10'", BAD)], ODD),
    ("date", "date", [("'2026-02-31'", BAD)], ODD),
    ("bit(1)", "boolean", [("b'1'", "1"), ("b'0'", "0")], OTHER),
    ("bit(8)", "integer", [("b'10000001'", "129")], OTHER),
    ("bit(64)", "integer", [("x'ffffffffffffffff'", "18446744073709551615")], OTHER),
    ("enum('a','b')", "text", [("'b'", "b"), ("'zz'", "")], OTHER),
    ("set('a','b')", "text", [("'b,a'", "a,b")], OTHER),
    ("year", "integer", [("2026", "2026")], OTHER),
    ("time", "text", [("'12:00'", BAD)], OTHER),
    ("json", "text", [("""'{"a":  1}'""", '{"a":  1}')], None),
    ("uuid", "uuid", [(f"'{TOKEN.upper()}'", TOKEN)], None),
    ("binary(4)", "binary", [("'ab'", "61620000")], None),
    ("varbinary(4)", "binary", [("x'00ff'", "00ff"), ("''", "")], None),
    ("varbinary(16)", "uuid", [(f"x'{TOKEN.replace('-', '')}'", TOKEN)], OTHER),
    ("double", EXACT, [("0.1", "3fb999999999999a")], FLOATS),
    ("longtext character set utf8mb4", "text", [("concat('a', char(0), 'b')", "a\0b")], None),
    ("longtext", {"type": "text", "newline": "lf"}, [(r"'a\r\nb\rc'", "a\nb\nc")], None),
]
#: Of types that SQLAlchemy does not know.
UNKNOWN: list[_Type] = [
    ("inet6", "text", [("'::1'", "::1")], OTHER),
    ("point", "text", [("POINT(1, 2)", BAD)], OTHER),
]
DUCKDB: list[_Type] = [
    ("HUGEINT", "integer", [(str(2**127 - 1), str(2**127 - 1)), ("-5", "-5")], None),
    ("UHUGEINT", "integer", [(str(2**128 - 1), str(2**128 - 1))], None),
    ("HUGEINT", decimal(2), [(str(2**127 - 1), f"{2**127 - 1}00")], ""),
    ("UBIGINT", "integer", [(str(2**64 - 1), str(2**64 - 1))], None),
    ("DECIMAL(38,10)", decimal(10), [("1.5", "15000000000")], "48 digits"),
    ("DECIMAL(20,10)", decimal(2), [("5.25", "525")], None),
    ("DECIMAL(20,10)", decimal(2), [("5.251", BAD)], ODD),
    ("TIMESTAMP_NS", "timestamp", [(f"'{NINE}789'", NINE_US)], "is TIMESTAMP_NS"),
    ("TIMESTAMP_NS", "timestamp", [("'1969-12-31 23:59:59.999999999'", "-1")], "is TIMESTAMP_NS"),
    ("TIMESTAMP_S", "timestamp", [("'1969-12-31 23:59:59'", "-1000000")], None),
    ("TIMESTAMP_MS", "timestamp", [("'1969-12-31 23:59:59.999'", "-1000")], None),
    ("TIMESTAMP", "timestamp", [("'infinity'", BAD)], ODD),
    ("TIMESTAMP_S", "timestamp", [("'infinity'", BAD)], ODD),
    ("TIMESTAMP_NS", "timestamp", [("'infinity'", BAD)], "is TIMESTAMP_NS"),
    ("TIMESTAMPTZ", "timestamp", [("'-infinity'", BAD)], ODD),
    ("TIMESTAMPTZ", "timestamp", [("'2026-03-02 09:00:00.123456+09'", NINE_US)], None),
    ("DATE", "date", [("'2026-03-02'", "20514")], None),
    ("DATE", "date", [("'infinity'", BAD)], ODD),
    ("INTEGER[]", "text", [("[1, 2]", BAD)], OTHER),
    ("STRUCT(a INTEGER)", "text", [("{'a': 1}", BAD)], OTHER),
    ("TIME", "text", [("'12:00'", BAD)], OTHER),
    ("INTERVAL", "text", [("INTERVAL 1 DAY", BAD)], OTHER),
    ("JSON", "text", [("""'{"a":  1}'""", '{"a":  1}')], OTHER),
    ("UUID", "uuid", [(f"'{TOKEN.upper()}'", TOKEN)], None),
    ("ENUM('a', 'b')", "text", [("'b'", "b")], OTHER),
    ("BLOB", "binary", [(r"'\x00\xFF'::BLOB", "00ff")], None),
    ("VARCHAR", "text", [("'a' || chr(0) || 'b '", "a\0b ")], None),
    ("VARCHAR COLLATE NOCASE", "text", [("'A'", "A"), ("'a'", "a")], None),
    ("BOOLEAN", "boolean", [("true", "1"), ("false", "0")], None),
    ("TINYINT", "boolean", [("1", "1"), ("2", BAD)], OTHER),
    ("DOUBLE", EXACT, [("'nan'", "7ff8000000000000")], FLOATS),
]
SQLITE: list[_Type] = [
    ("NUMERIC", decimal(2), [("12.10", "1210"), ("'1e2'", "10000")], ""),
    ("TEXT", "text", [("'a' || char(0) || 'b'", "a\0b")], ""),
    ("INTEGER", "integer", [(str(2**63 - 1), str(2**63 - 1)), ("'x'", BAD), ("2.5", BAD)], ""),
]
TYPES = {"postgresql": POSTGRESQL, "mariadb": MARIADB, "duckdb": DUCKDB, "sqlite": SQLITE}


def typed(engine: Engine, types: Sequence[_Type]) -> str:
    """Make a table of a column a type (c0, c1, ...), its literals one a row, then NULL."""
    columns = ", ".join(f"c{i} {type_[0]}" for i, type_ in enumerate(types))
    height = max(len(type_[2]) for type_ in types) + 1
    statements = ["DROP TABLE IF EXISTS typed"]
    if engine.name == "postgresql":
        statements += [
            "DROP TYPE IF EXISTS mood, pair",
            "DROP DOMAIN IF EXISTS positive, citizen",
            "CREATE TYPE mood AS ENUM ('sad')",
            "CREATE TYPE pair AS (s text, n int)",
            "CREATE DOMAIN positive AS int CHECK (value > 0)",
            "CREATE DOMAIN citizen AS varchar(9)",
        ]
    if engine.name == "mariadb":  # of a server in Seoul, where anything is a date
        statements += ["SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+09:00'"]
    statements.append(f"CREATE TABLE typed (id int, {columns})")
    for place in range(height):
        values = [type_[2][place][0] if place < len(type_[2]) else "NULL" for type_ in types]
        statements.append(f"INSERT INTO typed VALUES ({place}, {', '.join(values)})")
    engine.run(*statements)
    return engine.url("typed")


def declared(type_: Any) -> Column:
    return Column(**({"type": type_} if isinstance(type_, str) else type_))


def wrong_readings(url: str, types: Sequence[_Type]) -> dict[str, Any]:
    """Which types read otherwise than as their canonical values, and as what."""
    wrong: dict[str, Any] = {}
    names = [f"c{i}" for i in range(len(types))]
    table = list(integrity.open_store(url).stream(["id", *names]))
    order = [int(str(number)) for batch in table for number in batch.column(0).to_pylist()]
    for i, (called, type_, values, _) in enumerate(types):
        texts = [
            text
            for batch in table
            for text in canonical.read(canonical.flat(batch.column(i + 1)), declared(type_), "UTC").text.to_list()
        ]
        expected = [text for _, text in values] + [None] * (len(order) - len(values))
        read = [text for _, text in sorted(zip(order, texts, strict=True))]
        seen = [
            BAD if e == BAD and r is not None and r.startswith(BAD) else r for e, r in zip(expected, read, strict=True)
        ]
        if seen != expected:
            wrong[f"{called} {values[0][0]} as {type_}"] = read
    return wrong


@pytest.mark.parametrize("name", DATABASES)
def test_every_type_reads_as_its_canonical_value_or_not_at_all(engines: dict[str, Engine], name: str) -> None:
    assert wrong_readings(typed(engines[name], TYPES[name]), TYPES[name]) == {}


def test_postgresql_reads_the_same_by_both_of_its_drivers(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    from integrity.stores import postgresql

    url = typed(postgres, POSTGRESQL)
    monkeypatch.setattr(postgresql, "_has_adbc", lambda: False)
    assert wrong_readings(url, POSTGRESQL) == {}


def wrong_totals(url: str, types: Sequence[_Type]) -> dict[str, str]:
    """Of which types other totals are pushed down than pulled, or are refused without need, or without a reason."""
    wrong = {}
    store = SqlStore(*_split(url))
    with store.session() as session:
        known, dialect = session.types(store.clause(), (None, "typed")), session.dialect.name
    sure = {f"c{i}": type_[1] for i, type_ in enumerate(types) if type_[3] is None}
    every = plain("text", "integer", content=sure)
    with contextlib.suppress(StoreError):
        if sure and measured(url, every, "always") == measured(url, every, "never"):
            types = [type_ if type_[3] is not None else ("", "", [], None) for type_ in types]
    for i, (called, type_, values, why) in enumerate(types):
        if not called:
            continue
        promise = plain(type_, "integer")
        mapping = {f"c{i}": "v"}
        what = f"{called} {values[0][0]} as {type_}"
        if why not in (None, "", ODD):  # it is the type that is refused
            with pytest.raises(PushdownError) as refusal:
                reading(Field(f"c{i}", declared(type_)), known[f"c{i}"], "typed", dialect, "UTC")
            if why not in str(refusal.value):
                wrong[what] = f"refused: {refusal.value}"
            continue
        try:
            pushed = measured(url, promise, "always", columns=mapping)
        except PushdownError as error:
            if why is None or why not in str(error):
                wrong[what] = f"refused: {error}"
        except Exception as error:
            wrong[what] = f"{type(error).__name__}: {error}"
        else:
            same = pushed == measured(url, promise, "never", columns=mapping)
            if why is not None or not same:
                wrong[what] = "pushed down" if same else "other totals"
    return wrong


@pytest.mark.parametrize("name", ["postgresql", "mariadb", "duckdb"])
def test_totals_of_every_type_are_those_of_its_rows_or_refused(engines: dict[str, Engine], name: str) -> None:
    assert wrong_totals(typed(engines[name], TYPES[name]), TYPES[name]) == {}


def test_types_that_sqlalchemy_does_not_know_stop_nothing(mariadb: Mariadb) -> None:
    url = typed(mariadb, UNKNOWN)
    assert wrong_readings(url, UNKNOWN) == {}
    assert wrong_totals(url, UNKNOWN) == {}


@pytest.fixture
def _far(monkeypatch: pytest.MonkeyPatch) -> None:
    """No store knows a reason to pull."""
    monkeypatch.setattr(SqlStore, "rather_pulled", "")


@pytest.mark.usefixtures("_far")
@pytest.mark.parametrize("name", ["postgresql", "mariadb", "duckdb", "sqlite"])
def test_what_cannot_be_pushed_down_is_pulled(engines: dict[str, Engine], name: str) -> None:
    refusals: dict[str, _Type] = {
        "postgresql": ("numeric", decimal(2), [("'NaN'", BAD)], ODD),
        "mariadb": ("tinyint(1)", "boolean", [("2", BAD)], ODD),
        "duckdb": ("HUGEINT", decimal(2), [(str(2**127 - 1), "")], ""),
        "sqlite": ("TEXT", "text", [("'a'", "a")], ""),
    }
    _, type_, _, _ = refusals[name]
    url = typed(engines[name], [refusals[name]])
    promise = plain(type_, "integer")
    columns = {"c0": "v"}
    result = reconciled(url, url, "auto", promise=promise, columns={"source": columns, "destination": columns})
    assert all(side.how.startswith("pulled: ") for side in result.sides.values())
    assert measured(url, promise, "auto", columns=columns) == measured(url, promise, "never", columns=columns)


@pytest.mark.usefixtures("_far")
@both_servers
def test_what_lies_far_away_is_pushed_down(engine: Engine) -> None:
    url = engine.fill("here", COLUMNS, rows(20))
    result = reconciled(url, url, "auto")
    assert {side.how for side in result.sides.values()} == {"pushed down, so that only totals travel"}


@pytest.mark.parametrize("name", ["mariadb", "duckdb", "sqlite"])
def test_identities_with_nul_stay_apart_and_are_found(engines: dict[str, Engine], name: str) -> None:
    engine = engines[name]
    here = engine.fill("here", COLUMNS, [*rows(3), row(7, id="a\0b"), row(8, id="a"), row(9, id="a\0c")])
    there = engine.fill("there", COLUMNS, [*rows(3), row(7, id="a\0b", body="other"), row(8, id="a")])
    for mode in modes(engine):
        assert breaks(reconciled(here, there, mode)) == {("corrupt", "a\0b"), ("lost", "a\0c")}


@pytest.mark.usefixtures("_self_tested")
def test_unsigned_identities_are_found(mariadb: Mariadb) -> None:
    big = 2**64 - 1
    for table, body in (("here", "a"), ("there", "b")):
        mariadb.run(
            f"DROP TABLE IF EXISTS {table}",
            f"CREATE TABLE {table} (id bigint unsigned PRIMARY KEY, v text)",
            f"INSERT INTO {table} VALUES ({big}, '{body}'), (1, 'x'), (2, 'y')",
        )
    promise = plain("text", "integer")
    urls = mariadb.url("here"), mariadb.url("there")
    frame = pa.table({"id": [str(big), "1", "2"], "v": ["b", "x", "y"]})
    for mode in MODES:
        assert breaks(reconciled(*urls, mode, promise=promise)) == {("corrupt", str(big))}
        assert breaks(reconciled(urls[0], frame, mode, promise=promise)) == {("corrupt", str(big))}


@both_modes
@pytest.mark.parametrize("lost", [True, False])
def test_a_look_up_that_misses_a_row_is_never_a_pass(
    postgres: Postgres, mode: str, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = SqlStore.find

    def forgetful(store: SqlStore, columns: Sequence[str], *given: Any) -> Iterator[pa.RecordBatch]:
        for batch in found(store, columns, *given):
            ids = batch.column(list(columns).index("id")).to_pylist()
            yield batch.filter(pa.array([name != "m3" for name in ids]))

    here = postgres.fill("here", COLUMNS, rows(30))
    others = [row(n) for n in range(30) if n != 3]
    there = postgres.fill("there", COLUMNS, others if lost else [*others, row(3, body="other")])
    monkeypatch.setattr(SqlStore, "find", forgetful)
    with contextlib.suppress(integrity.IntegrityError):
        assert reconciled(here, there, mode).verdict is not Verdict.PASS


def test_identities_that_a_character_set_does_not_hold_are_looked_up_nonetheless(mariadb: Mariadb) -> None:
    mariadb.run(
        "DROP TABLE IF EXISTS here",
        "CREATE TABLE here (id varchar(20) CHARACTER SET latin1, v text)",
        "INSERT INTO here VALUES ('a', 'x'), ('ö€', 'y')",
    )
    frame = pa.table({"id": ["a", "ö€", "😀", "각", "ö?"], "v": ["x", "z", "e", "e", "e"]})
    for mode in MODES:
        result = reconciled(mariadb.url("here"), frame, mode, promise=plain("text"))
        assert breaks(result) == {("corrupt", "ö€"), ("extra", "😀"), ("extra", "각"), ("extra", "ö?")}


@both_servers
@both_modes
def test_long_texts_are_read_to_their_end(engine: Engine, mode: str) -> None:
    long = "각" * 700_000
    here = engine.fill("here", {"id": "key", "v": "text"}, [("a", long), ("b", long)])
    there = engine.fill("there", {"id": "key", "v": "text"}, [("a", long), ("b", long[:-1] + "x")])
    assert breaks(reconciled(here, there, mode, promise=plain("text"))) == {("corrupt", "b")}


@contextlib.contextmanager
def small_packets(mariadb: Mariadb) -> Iterator[None]:
    """Functions of new sessions make no text of more than a megabyte: NULL instead."""
    mariadb.run("SET GLOBAL max_allowed_packet = 1048576")
    try:
        yield
    finally:
        mariadb.run("SET GLOBAL max_allowed_packet = 16777216")


@pytest.mark.parametrize(
    ("kind", "type_", "size"),
    [
        ("text", "text", 2_000_000),
        ("text", "text", 1_048_570),
        ("text", {"type": "text", "newline": "lf"}, 2_000_000),
        ("binary", "binary", 600_000),
        ("binary", "binary", 2_000_000),
    ],
)
def test_what_mariadb_cannot_compute_of_long_values_is_not_made_up(
    mariadb: Mariadb, kind: str, type_: Any, size: int
) -> None:
    longs: list[Any] = ["a" * size, "b" * size] if kind == "text" else [b"a" * size, b"b" * size]
    here = mariadb.fill("here", {"id": "key", "v": kind}, [("a", longs[0])])
    there = mariadb.fill("there", {"id": "key", "v": kind}, [("a", longs[1])])
    expected = measured(here, plain(type_), "never")
    with small_packets(mariadb), contextlib.suppress(PushdownError):
        assert measured(here, plain(type_), "always") == expected
        assert breaks(reconciled(here, there, "always", promise=plain(type_))) == {("corrupt", "a")}


def test_a_sum_that_a_database_cannot_hold_is_refused(engines: dict[str, Engine]) -> None:
    engine = engines["duckdb"]
    big = str(2**127 - 1)
    url = typed(engine, [("HUGEINT", "integer", [(big, big), (big, big), (big, big)], None)])
    promise = plain("integer", "integer", amounts=["v"])
    total = measured(url, promise, "never", columns={"c0": "v"})
    with contextlib.suppress(PushdownError):
        assert measured(url, promise, "always", columns={"c0": "v"}) == total


# Collations


@pytest.mark.parametrize("collation", ["utf8mb4_general_ci", "latin1_german1_ci"])
@both_modes
def test_mariadb_tells_apart_what_its_collations_do_not(mariadb: Mariadb, collation: str, mode: str) -> None:
    charset = collation.partition("_")[0]
    for table in ("here", "there"):
        mariadb.run(
            f"DROP TABLE IF EXISTS {table}",
            f"CREATE TABLE {table} (tenant varchar(9), id varchar(9), body varchar(9), n int, at datetime) "
            f"CHARACTER SET {charset} COLLATE {collation}",
        )
    assert_told_apart(mariadb, mode)


@both_modes
def test_postgresql_tells_apart_what_its_collations_do_not(postgres: Postgres, mode: str) -> None:
    import psycopg

    try:
        postgres.run(
            "DROP COLLATION IF EXISTS loose CASCADE",
            "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level1-ka-shifted', deterministic = false)",
        )
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this PostgreSQL was built without ICU")
    for table in ("here", "there"):
        postgres.run(
            f"DROP TABLE IF EXISTS {table}",
            f"CREATE TABLE {table} (tenant text COLLATE loose, id text COLLATE loose, body text COLLATE loose, "
            "n int, at timestamptz)",
        )
    assert_told_apart(postgres, mode)


@both_servers
@both_modes
def test_exclusions_are_counted(engine: Engine, mode: str) -> None:
    items = [*rows(5), row(6, body="draft"), row(7, body="Draft"), row(8, body="draft ")]
    here = engine.fill("here", COLUMNS, items)
    there = engine.fill("there", COLUMNS, items[1:])
    drafts = {"name": "drafts", "side": "both", "where": {"body": ["draft"]}, "reason": "not sent"}
    result = reconciled(here, there, mode, promise=contract(exclude=[drafts]))
    assert breaks(result) == {("lost", "m0")}
    assert [exclusion["count"] for exclusion in result.exclusions] == [1, 1]


def assert_told_apart(engine: Engine, mode: str) -> None:
    when = "'2026-03-02 00:00:00'"
    items = [
        ("t", "a", "x"),
        ("T", "a", "x"),
        ("t ", "a", "x"),
        ("t", "A", "x"),
        ("t", "a ", "x"),
        ("t", "ä", "x"),
        ("t", "draft", "draft"),
        ("t", "Draft", "Draft"),
        ("t", "draft ", "draft "),
    ]
    for table in ("here", "there"):
        values = ", ".join(f"('{t}', '{i}', '{b}', 1, {when})" for t, i, b in items)
        engine.run(f"INSERT INTO {table} VALUES {values}")
    promise = contract(
        identity={"tenant": "text", "id": "text"},
        partition=["tenant"],
        exclude=[{"name": "drafts", "side": "both", "where": {"body": ["draft"]}, "reason": "not sent"}],
    )
    urls = engine.url("here"), engine.url("there")
    same = reconciled(*urls, mode, promise=promise)
    assert same.verdict is Verdict.PASS, same.breaks
    assert same.totals["matched"] == len(items) - 1
    assert sorted(same.batches["tenant"]) == ["T", "t", "t "]
    assert [exclusion["count"] for exclusion in same.exclusions] == [1, 1]
    engine.run(
        "UPDATE there SET body = 'X' WHERE n = 1 AND body = 'x' AND id = 'ä'"
        if engine.name == "postgresql"
        else "UPDATE there SET body = 'X' WHERE HEX(id) IN ('C3A4', 'E4')",
        "UPDATE there SET id = 'A ' WHERE "
        + ("id COLLATE \"C\" = 'A'" if engine.name == "postgresql" else "HEX(id) = '41'"),
    )
    changed = reconciled(*urls, mode, promise=promise)
    found = set(zip(changed.breaks["kind"], changed.breaks["tenant"], changed.breaks["id"], strict=True))
    assert found == {("corrupt", "t", "ä"), ("lost", "t", "A"), ("extra", "t", "A ")}


# Replicas, passwords, indexes


@both_servers
def test_a_replica_that_lags_leaves_recent_batches_open(engine: Engine) -> None:
    now = dt.datetime.now(dt.UTC)
    recent = [(f"m{n}", "x", n, now - dt.timedelta(minutes=n)) for n in range(60)]
    here = engine.fill("here", COLUMNS, recent)
    there = with_options(engine.fill("there", COLUMNS, recent[25:]), "lag=30m")
    result = integrity.reconcile(contract(grace="1m", window="1m"), here, there, timezone=UTC)
    assert now - dt.timedelta(minutes=31) < result.as_of <= dt.datetime.now(dt.UTC) - dt.timedelta(minutes=30)
    assert breaks(result) == set()
    assert result.verdict is Verdict.PASS
    totals = integrity.measure(contract(), there, side="destination", timezone="UTC")
    assert totals.read_at <= dt.datetime.now(dt.UTC) - dt.timedelta(minutes=30)


def test_a_lag_that_is_none_is_refused(postgres: Postgres) -> None:
    assert "lag=soon is no duration" in refused(
        lambda: integrity.open_store(with_options(postgres.url("x"), "lag=soon"))
    )


@pytest.mark.usefixtures("_self_tested")
@both_modes
def test_passwords_are_nowhere(mariadb: Mariadb, mode: str) -> None:
    url = mariadb.fill("here", COLUMNS, rows(20))
    store = integrity.open_store(url)
    result = reconciled(url, url, mode)
    totals = measured(url, contract(), mode)
    texts = [store.location, repr(store), str(store), result.to_json(), repr(result), repr(totals), totals.location]
    assert_private(*texts, *result.notes, *(repr(side) for side in result.sides.values()))
    assert "***" in store.location


@both_servers
@both_modes
def test_a_missing_index_is_said_where_a_range_is_asked_for(engine: Engine, mode: str) -> None:
    url = engine.fill("here", COLUMNS, rows(30))
    asked: dict[str, Any] = {"since": START, "until": START + dt.timedelta(minutes=10)}
    said = "no index of here begins with 'at', so each pass may read it whole"
    assert any(said in note for note in reconciled(url, url, mode, **asked).notes)
    assert not any("index" in note for note in reconciled(url, url, mode).notes)
    engine.run("CREATE INDEX at_first ON here (at, n)")
    assert not any("index" in note for note in reconciled(url, url, mode, **asked).notes)


class Counting:
    def __init__(self) -> None:
        self.read = {"source": 0, "destination": 0}

    def step(self, what: str) -> None:
        pass

    def rows(self, side: str, count: int) -> None:
        self.read[side] += count


@both_servers
@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul"])
def test_rows_outside_the_range_are_not_sent(engine: Engine, zone: str) -> None:
    days = [row(n, at=START + dt.timedelta(hours=6 * (n - 100))) for n in range(200)]
    url = engine.fill("here", COLUMNS, days)
    counting = Counting()
    since = START.replace(hour=3)
    until = since + dt.timedelta(days=1)
    zones = {"source": zone, "destination": zone}
    late = CUT + dt.timedelta(days=60)
    asked: dict[str, Any] = {"since": since, "until": until, "timezone": zones, "as_of": late}
    result = reconciled(url, url, progress=counting, **asked)
    assert result.totals["matched"] == 4
    assert counting.read["source"] <= (4 if engine.name == "postgresql" or zone == "UTC" else 12)
    assert reconciled(url, url, "always", **asked).totals == result.totals


@both_servers
@both_modes
def test_items_without_a_time_are_seen_in_every_range(engine: Engine, mode: str) -> None:
    here = engine.fill("here", COLUMNS, [*rows(30), row(50, at=None)])
    asked: dict[str, Any] = {"since": START, "until": START + dt.timedelta(minutes=10)}
    result = reconciled(here, here, mode, **asked)
    assert breaks(result) == {("invalid", "m50")}
    assert result.totals["matched"] == 11


# What is not there


def read(url: str) -> Callable[[], Any]:
    return lambda: reconciled(url, url, "auto")


def test_a_postgresql_that_is_not_there(postgres: Postgres) -> None:
    assert "refused" in (said := refused(read("postgresql://anna:hunter2@127.0.0.1:1/x#t")))
    assert "hunter2" not in said
    assert "127.0.0.1" in said
    assert "nowhere" in refused(read(postgres.address.replace("/postgres?", "/nowhere?") + "#here"))
    assert "nobody" in refused(read(postgres.address.replace("postgres@", "nobody:s3:c%2Fr%40e%20t%25@", 1) + "#here"))


def test_a_mariadb_that_is_not_there(mariadb: Mariadb) -> None:
    url = mariadb.url("here")
    for other, word in (
        (url.replace(f":{mariadb.port}/", ":1/"), "refused"),
        (f"mariadb://auditor:wrong@127.0.0.1:{mariadb.port}/t#here", "denied"),
        (url.replace("/t#", "/nowhere#"), "nowhere"),
    ):
        said = refused(read(other))
        assert word in said
        assert said.count('"') % 2 == 0
        assert said.count("(") == said.count(")")


@both_servers
@both_modes
def test_a_table_that_is_not_there(engine: Engine, mode: str) -> None:
    engine.fill("orders", COLUMNS, rows(1))
    said = refused(lambda: reconciled(engine.url("ordres"), engine.url("orders"), mode))
    assert "no table 'ordres' in " in said
    assert "did you mean 'orders'?" in said
    assert "which table" in (said := refused(lambda: integrity.open_store(_split(engine.url("x"))[0])))
    assert "'orders'" in said
    address = _split(engine.url("x"))[0]
    assert "nowhere" in refused(read(f"{address}#nowhere.orders"))
    slim = engine.fill("slim", {"id": "key", "n": "integer", "at": "instant"}, [])
    assert "no column 'body' in " in refused(lambda: reconciled(slim, engine.url("orders"), mode))


@both_servers
@both_modes
def test_an_unreadable_query_is_a_sentence(engine: Engine, mode: str) -> None:
    address = _split(engine.url("x"))[0]
    for query in ("SELEKT 1", "SELECT id FROM nowhere_at_all", "SELECT 1 AS id, 2 AS id", "DELETE FROM orders", ""):
        store = {"url": address, "query": query}
        refused(partial(reconciled, store, store, mode))
