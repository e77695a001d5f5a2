"""What does a database total itself, what does it refuse, and is every run told which it was?"""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import integrity
from integrity.cli import cli
from integrity.errors import PushdownError, UsageError
from integrity.latency import bucket_of
from integrity.stores.sql import SqlStore
from tests.conftest import at, message, promise
from tests.servers import Duckdb, Engine, Mariadb, Postgres

COLUMNS = {"message_id": "key", "body": "text", "size_bytes": "integer", "sent_at": "instant", "stored_at": "instant"}
CUT = at(24 * 60)
ZONES = {"source": "UTC", "destination": "UTC"}

pytestmark = pytest.mark.usefixtures("_quick")


def rows(*messages: dict[str, Any]) -> list[list[Any]]:
    return [[each[name] for name in COLUMNS] for each in messages]


def thirty(**changes: Any) -> list[list[Any]]:
    return rows(*(message(n, n, **changes) for n in range(30)))


@pytest.fixture
def duckdb(tmp_path: Path) -> Duckdb:
    return Duckdb(tmp_path / "day.duckdb")


@pytest.fixture(params=["postgresql", "mariadb", "duckdb"])
def engine(request: pytest.FixtureRequest, engines: dict[str, Engine]) -> Engine:
    """Each that totals its own items."""
    return engines[request.param]


class Counted:
    """Progress that counts the rows of each side."""

    def __init__(self) -> None:
        self.counts = {"source": 0, "destination": 0}

    def step(self, what: str) -> None:
        pass

    def rows(self, side: str, count: int) -> None:
        self.counts[side] += count


def test_only_totals_travel_and_then_only_what_differs(engine: Engine) -> None:
    here = engine.fill("outbox", COLUMNS, thirty())
    same = Counted()
    result = integrity.reconcile(
        promise(),
        here,
        engine.fill("archive", COLUMNS, thirty()),
        as_of=CUT,
        timezone=ZONES,
        pushdown="always",
        progress=same,
    )
    assert result.verdict == "pass"
    assert same.counts == {"source": 0, "destination": 0}
    changed = thirty()
    changed[7][1] = "another body"
    seen = Counted()
    result = integrity.reconcile(
        promise(),
        here,
        engine.fill("archive", COLUMNS, changed),
        as_of=CUT,
        timezone=ZONES,
        pushdown="always",
        progress=seen,
    )
    assert [(b.kind, b.message_id, b.differing) for b in result.breaks.itertuples()] == [("corrupt", "m7", "body")]
    whole = 0 if engine.name != "duckdb" else 30  # a file is read whole where the rows of some identities are sought
    assert seen.counts == {side: 10 + max(1, whole) for side in ("source", "destination")}  # ten fingerprints, one item


@pytest.mark.usefixtures("_self_tested")
def test_the_run_says_how_each_side_was_read_and_why(postgres: Postgres, duckdb: Duckdb, tmp_path: Path) -> None:
    here, there = postgres.fill("outbox", COLUMNS, thirty()), duckdb.fill("archive", COLUMNS, thirty())
    result = integrity.reconcile(promise(), here, there, as_of=CUT)
    assert result.sides["source"].how == "pulled: it is on this machine, and hashing here is faster"
    assert result.sides["destination"].how == "pushed down, so that only totals travel"
    assert "source pulled: it is on this machine, and hashing here is faster" in result.notes
    result.to_json(tmp_path / "r.json")
    sides = json.loads((tmp_path / "r.json").read_text())["run"]["sides"]
    assert sides["destination"]["read"] == "pushed down, so that only totals travel"
    assert "by way of the database" in result.self_test
    assert (
        integrity.reconcile(promise(), here, there, as_of=CUT, pushdown="never").sides["source"].how
        == "pulled, as asked for"
    )


REFUSED: list[tuple[str, dict[str, Any], dict[str, str], str]] = [
    ("duckdb", {"content": {"body": {"type": "text", "casefold": True}}, "amounts": []}, {}, "no database folds case"),
    ("mariadb", {"content": {"body": {"type": "text", "unicode": "NFC"}}, "amounts": []}, {}, "knows no normal form C"),
    (
        "mariadb",
        {"content": {"body": {"type": "text", "trim": True}}, "amounts": []},
        {},
        "does not trim a set of characters",
    ),
    ("postgresql", {"content": {"size_bytes": {"type": "float", "decimals": 2}}, "amounts": []}, {}, "round floats"),
    ("postgresql", {"content": {"body": "integer"}, "amounts": []}, {}, "is text, not integer itself"),
    ("mariadb", {}, {"destination": "Europe/Paris"}, "local times of Europe/Paris come twice, or never"),
    ("postgresql", {"latest_by": "size_bytes"}, {}, r"latest_by"),
    ("sqlite", {}, {}, "it has no SHA-256"),
]


@pytest.mark.parametrize(("name", "changes", "zones", "reason"), REFUSED)
def test_what_cannot_be_exact_is_refused_with_the_reason_or_pulled(
    engines: dict[str, Engine],
    name: str,
    changes: dict[str, Any],
    zones: dict[str, str],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SqlStore, "rather_pulled", "")
    zones = {"source": "UTC"} | ({"destination": "UTC"} | zones if name == "mariadb" else zones)
    url = engines[name].fill("refused", COLUMNS, thirty())
    contract, source = promise(**changes), engines["parquet"].fill("refused", COLUMNS, thirty())
    with pytest.raises(PushdownError, match=reason):
        integrity.reconcile(contract, source, url, as_of=CUT, timezone=zones, pushdown="always")
    result = integrity.reconcile(contract, source, url, as_of=CUT, timezone=zones)
    assert result.sides["destination"].how.startswith("pulled: ")


def test_outcomes_are_looked_up_item_by_item(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqlStore, "rather_pulled", "")
    here, there = postgres.fill("outbox", COLUMNS, thirty()), postgres.fill("archive", COLUMNS, thirty()[1:])
    ended = postgres.fill("ended", {"message_id": "key", "outcome": "text"}, [["m0", "recalled"]])
    contract = promise(outcomes={"accept": ["recalled"]})
    result = integrity.reconcile(contract, here, there, outcomes=ended, as_of=CUT)
    assert result.totals["accounted"] == 1
    assert result.sides["source"].how == "pulled: outcomes are looked up item by item"
    assert result.sides["destination"].how == "pushed down, so that only totals travel"


def test_one_value_that_sql_cannot_write_out_exactly_and_nothing_of_its_answer_is_used(
    engines: dict[str, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqlStore, "rather_pulled", "")
    columns = {"id": "key", "price": "decimal"}
    contract = integrity.Contract(
        name="p", version=1, identity=["id"], content={"price": {"type": "decimal", "scale": 2}}, amounts=["price"]
    )
    for name in ("postgresql", "mariadb", "duckdb"):
        given = [["1", Decimal("1.50")], ["2", Decimal("2.0010")]]
        url, source = engines[name].fill("p", columns, given), engines["parquet"].fill("p", columns, given)
        with pytest.raises(PushdownError, match="1 rows of p hold a value that SQL cannot write out exactly"):
            integrity.reconcile(contract, source, url, pushdown="always")
        result = integrity.reconcile(contract, source, url)
        assert result.sides["destination"].how.startswith("pulled: 1 rows of p hold a value")
        assert (result.totals["matched"], result.totals["invalid"]) == (2, 1)


@pytest.mark.usefixtures("_self_tested")
def test_local_times_of_a_zone_that_left_its_clocks_alone_are_shifted(engines: dict[str, Engine]) -> None:
    columns = COLUMNS | {"sent_at": "local", "stored_at": "local"}
    seoul = dt.timedelta(hours=9)

    def local(value: Any) -> Any:
        return (value + seoul).replace(tzinfo=None) if isinstance(value, dt.datetime) else value

    given = [[local(value) for value in row] for row in thirty()]
    zones = {"source": "Asia/Seoul", "destination": "UTC"}
    contract = promise(window={"every": "1d", "timezone": "Asia/Seoul"}, grace="1h")
    there = engines["parquet"].fill("kst", COLUMNS, thirty())
    for name in ("postgresql", "mariadb", "duckdb"):
        url = engines[name].fill("kst", columns, given)
        result = integrity.reconcile(contract, url, there, as_of=at(48 * 60), timezone=zones, pushdown="always")
        assert (result.verdict, result.totals["matched"]) == ("pass", 30), name
        given[3][3] = dt.datetime(1950, 6, 1)  # when Korea's clocks were changed twice a year
        url = engines[name].fill("kst", columns, given)
        with pytest.raises(PushdownError, match="1 rows of kst"):
            integrity.reconcile(contract, url, there, as_of=at(48 * 60), timezone=zones, pushdown="always")
        given[3][3] = local(message(3, 3)["sent_at"])


def test_latencies_are_counted_in_the_same_buckets(engine: Engine) -> None:
    latencies = [0, 1, 31, 32, 33, *(2**k + d for k in range(6, 45) for d in (-1, 0, 1)), -1]
    given = rows(
        *(message(n, 0, stored_at=at(0) + dt.timedelta(microseconds=latency)) for n, latency in enumerate(latencies))
    )
    url = engine.fill("slow", COLUMNS, given)
    totals = integrity.measure(
        promise(),
        url,
        side="destination",
        as_of=dt.datetime(2600, 1, 1, tzinfo=dt.UTC),
        timezone="UTC",
        pushdown="always",
    )
    expected = np.unique(bucket_of(np.array([v for v in latencies if v >= 0], dtype=np.int64)), return_counts=True)
    found = totals.histogram.sort("__bucket")
    held = dt.datetime.now(dt.UTC)  # a processed time after this moment is from the future, and has no latency
    known = [v for v in latencies if v >= 0 and at(0) + dt.timedelta(microseconds=v) < held]
    expected = np.unique(bucket_of(np.array(known, dtype=np.int64)), return_counts=True)
    assert found["__bucket"].to_list() == expected[0].tolist()
    assert found["__count"].to_list() == expected[1].tolist()
    assert totals.frame["latency_max"].to_list() == [max(known)]


def test_repetitions_are_seen_unless_the_database_itself_forbids_them(engine: Engine) -> None:
    url = engine.fill("twice", COLUMNS, [*thirty(), thirty()[4]])
    result = integrity.reconcile(promise(), url, url, as_of=CUT, timezone=ZONES, pushdown="always")
    assert [b.reason for b in result.breaks.itertuples()] == ["the identity is 2 times in the source"]
    assert "OVER (PARTITION BY" in integrity.explain(promise(), url, url, as_of=CUT, timezone=ZONES, pushdown="always")


def test_a_primary_key_spares_the_search_for_repetitions(postgres: Postgres) -> None:
    url = postgres.fill("keyed", COLUMNS, thirty())
    postgres.run("ALTER TABLE keyed ADD PRIMARY KEY (message_id)")
    assert "PARTITION BY" not in integrity.explain(promise(), url, url, as_of=CUT, pushdown="always")


@pytest.mark.usefixtures("_self_tested")
def test_normal_form_newlines_and_blanks_are_the_databases_work_where_it_knows_them(engines: dict[str, Engine]) -> None:
    said = {"body": {"type": "text", "unicode": "NFC", "newline": "lf", "trim": True}}
    contract = promise(content=said, amounts=[])
    nfd = [[r[0], " \u1100\u1161\u11a8\r\n\tx\u000b", *r[2:]] for r in thirty()]
    nfc = [[r[0], "각\n\tx", *r[2:]] for r in thirty()]
    for name in ("postgresql", "duckdb"):
        url = engines[name].fill("nfd", COLUMNS, nfd)
        other = engines["parquet"].fill("nfc", COLUMNS, nfc)
        assert integrity.reconcile(contract, url, other, as_of=CUT, pushdown="always").verdict == "pass", name


def test_a_bounded_run_asks_for_its_windows_and_for_items_without_time(engine: Engine) -> None:
    given = [*thirty(), *rows(message(99, 0, sent_at=None))]
    url = engine.fill("outbox", COLUMNS, given)
    for mode in ("never", "always"):
        totals = integrity.measure(
            promise(), url, side="source", since=at(10), until=at(20), as_of=CUT, timezone="UTC", pushdown=mode
        )
        assert totals.frame["records"].to_list() == [1, 10], mode


def test_there_has_to_be_a_database_to_push_down_to(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("message_id\n1\n")
    contract = integrity.Contract(name="n", version=1, identity=["message_id"])
    with pytest.raises(UsageError, match="there is no database to push anything down to"):
        integrity.reconcile(contract, tmp_path / "a.csv", tmp_path / "a.csv", pushdown="always")
    with pytest.raises(UsageError, match="pushdown cannot be 'allways'; did you mean 'always'"):
        integrity.reconcile(contract, tmp_path / "a.csv", tmp_path / "a.csv", pushdown="allways")


def test_explain_prints_sql_that_runs_as_it_stands(postgres: Postgres, mariadb: Mariadb, tmp_path: Path) -> None:
    contract = tmp_path / "c.yaml"
    contract.write_text(
        "name: day\nversion: 1\nidentity: [message_id]\ncontent: {body: text, size_bytes: integer}\n"
        "clock: {event: sent_at, processed: stored_at}\nwindow: 10m\n"
        'exclude: [{name: odd, side: both, where: {body: ["50%\'s"]}, reason: a percent sign}]\n'
    )
    urls = [engine.fill("outbox", COLUMNS, thirty(body="50%'s")) for engine in (postgres, mariadb)]
    said = CliRunner().invoke(
        cli,
        ["reconcile", str(contract), *urls, "--explain", "--pushdown", "always", "--timezone", "destination=UTC"],
        standalone_mode=False,
    )
    assert said.exit_code == 0, said.output
    source, destination = said.output.split("-- destination (outbox): pushed down, as asked for\n")
    assert source.startswith("-- source (outbox): pushed down, as asked for\nSELECT ")
    postgres.run(source.split("\n", 1)[1].split(";\n")[0])
    mariadb.run(destination.split(";\n")[0])
    pulled = integrity.explain(
        str(contract), *urls, timezone={"destination": "UTC"}, since=at(0), until=at(10), pushdown="never"
    )
    assert "FROM outbox" in pulled
    assert "sent_at >= '2026-03-02 00:00:00" in pulled
    assert pulled.count("sent_at IS NULL") == 2  # items without time, by a statement of their own on each side


@pytest.mark.usefixtures("_self_tested")
def test_an_identity_column_of_any_name_is_asked_for(postgres: Postgres) -> None:
    columns = {"100%s": "key", "body": "text"}
    here = postgres.fill("odd", columns, [["a", "x"], ["b", "x"]])
    there = postgres.fill("other", columns, [["a", "x"], ["b", "y"]])
    contract = integrity.Contract(name="o", version=1, identity=["id"], content={"body": "text"})
    mapping = {"source": {"100%s": "id"}, "destination": {"100%s": "id"}}
    for mode in ("never", "always"):
        result = integrity.reconcile(contract, here, there, columns=mapping, pushdown=mode)
        assert [(b.kind, b.id) for b in result.breaks.itertuples()] == [("corrupt", "b")], mode
