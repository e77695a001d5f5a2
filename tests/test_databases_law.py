"""The same rows in PostgreSQL, MariaDB, DuckDB, SQLite and Parquet: the same totals, pulled and pushed down."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import integrity
from integrity import ControlTotals
from tests import oracle
from tests.effort import THOROUGH
from tests.servers import Engine

LAW = settings(
    deadline=None,
    max_examples=12 if THOROUGH else 5,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
COLUMNS = {
    "tenant": "key",
    "id": "key",
    "body": "text",
    "n": "integer",
    "price": "decimal",
    "flag": "boolean",
    "seen": "local",
    "day": "date",
    "token": "uuid",
    "blob": "binary",
    "at": "instant",
    "done": "instant",
}
SAID: dict[str, Any] = {
    "name": "nasty",
    "version": 1,
    "identity": {"tenant": "text", "id": "text"},
    "content": {
        "body": "text",
        "n": "integer",
        "price": {"type": "decimal", "scale": 4},
        "flag": "boolean",
        "seen": "timestamp",
        "day": "date",
        "token": "uuid",
        "blob": {"type": "binary", "evidence": True},
    },
    "amounts": ["n", "price"],
    "clock": {"event": "at", "processed": "done"},
    "partition": ["tenant"],
    "timeliness": {"within": "1h", "never_over": "1d"},
    "exclude": [{"name": "drafts", "side": "both", "where": {"body": ["draft", None], "n": [7]}, "reason": "not sent"}],
    "unique": False,
}
WINDOWS: list[Any] = [
    "1h",
    "7m",
    {"every": "1d", "timezone": "Asia/Seoul"},
    {"every": "7d", "timezone": "Europe/Paris"},
]
CUT = dt.datetime(2026, 3, 3, tzinfo=dt.UTC)
MOMENTS = [
    dt.datetime(1, 1, 1, tzinfo=dt.UTC),
    dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC),
    dt.datetime(2026, 3, 2, 14, 59, 59, 999999, tzinfo=dt.UTC),
    dt.datetime(2026, 3, 2, 15, 0, tzinfo=dt.UTC),
    dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC),
    dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC),
]
WORDS = [
    "",
    " ",
    "a",
    "A",
    "a ",
    "á",
    "a\u0301",
    "안녕",
    "각".encode().decode(),
    "\u1100\u1161\u11a8",
    "🙂",
    "\x1f",
    "\x1a",
    "-",
    "'; --",
    "\\",
    "%s",
    ":x",
    "{0}",
    "draft",
    "\r\n",
]
TEXT = st.one_of(
    st.sampled_from(WORDS), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
)
INSTANT = st.one_of(
    st.sampled_from(MOMENTS),
    st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30), timezones=st.just(dt.UTC)),
    st.integers(0, 10**11).map(lambda us: CUT - dt.timedelta(days=1) + dt.timedelta(microseconds=us)),
)
ROW = st.tuples(
    st.one_of(st.none(), st.sampled_from(["t", "T", "t ", "티"])),
    st.one_of(st.none(), TEXT),
    st.one_of(st.none(), TEXT),
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 7, 2**53 + 1])),
    st.one_of(st.none(), st.decimals("-9999999999999999", "9999999999999999", places=4, allow_nan=False)),
    st.one_of(st.none(), st.booleans()),
    st.one_of(st.none(), st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30))),
    st.one_of(st.none(), st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))),
    st.one_of(st.none(), st.uuids(version=4)),
    st.one_of(st.none(), st.binary(max_size=4)),
    st.one_of(st.none(), INSTANT),
    st.one_of(st.none(), INSTANT),
)
ROWS = st.lists(ROW, max_size=10)


def contract(window: Any = "1h", **changes: Any) -> integrity.Contract:
    return integrity.Contract(**(SAID | {"window": window} | changes))


def measured(
    engine: Engine, url: str, promise: integrity.Contract, mode: str, side: str = "destination", **more: Any
) -> ControlTotals:
    return integrity.measure(promise, url, side=side, as_of=CUT, timezone="UTC", pushdown=mode, **more)  # type: ignore[arg-type]


def modes(engine: Engine) -> list[str]:
    return ["never", "always"] if engine.totals else ["never"]


def assert_same(one: ControlTotals, other: ControlTotals, what: str) -> None:
    assert one == other, what
    keys = [*one.partition, "__batch"]
    names = [name for name in one.frame.columns if name != "repeats"]
    assert one.frame.select(names).sort(keys).to_dicts() == other.frame.select(names).sort(keys).to_dicts(), what
    assert one.exclusions == other.exclusions, what
    buckets = [side.histogram.sort(*keys, "__bucket").to_dicts() for side in (one, other)]
    assert buckets[0] == buckets[1], what


@LAW
@given(rows=ROWS, window=st.sampled_from(WINDOWS), side=st.sampled_from(["source", "destination"]))
def test_the_same_rows_have_the_same_totals_wherever_they_lie(
    engines: dict[str, Engine], rows: list[Any], window: Any, side: str
) -> None:
    promise = contract(window)
    totals = []
    for name, engine in engines.items():
        url = engine.fill("day", COLUMNS, rows)
        totals += [(f"{name}, {mode}", measured(engine, url, promise, mode, side)) for mode in modes(engine)]
    for what, other in totals[1:]:
        assert_same(totals[0][1], other, what)
    texts: Counter[Any] = Counter()
    for row in rows:
        item = dict(zip(COLUMNS, row, strict=True))
        if item["n"] == 7 and item["body"] in ("draft", None):
            continue
        texts.update([oracle_words(promise, item)])
    expected = [sum(word[i] * n for word, n in texts.items()) % 2**64 for i in (0, 1)]
    frame = totals[0][1].frame
    assert [sum(frame[f"hash_{i}"].to_list()) % 2**64 for i in (0, 1)] == expected


def oracle_words(promise: integrity.Contract, item: dict[str, Any]) -> tuple[int, int]:
    columns = {**promise.identity, "at": promise.content["seen"], **promise.content}
    order = [*sorted(promise.identity), "at", *sorted(promise.content)]
    return oracle.words(oracle.encode([oracle.canonical(item[name], columns[name], "UTC") for name in order]))


@pytest.mark.usefixtures("_quick")
@LAW
@given(rows=st.lists(ROW, min_size=1, max_size=6), data=st.data())
def test_one_changed_value_is_found_from_every_pair(
    engines: dict[str, Engine], rows: list[Any], data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from([n for n in COLUMNS if n not in ("done",)]))
    place = list(COLUMNS).index(name)
    other = data.draw(ROW.map(lambda drawn: drawn[place]).filter(lambda value: value != rows[row][place]))
    changed = [list(each) for each in rows]
    changed[row][place] = other
    here, there = (engines[data.draw(st.sampled_from(sorted(engines)))] for _ in "sd")
    pushes = (here.totals or there.totals) and "sqlite" not in (here.name, there.name)
    mode = data.draw(st.sampled_from(["never", "always"])) if pushes else "never"
    promise = contract(
        "1h", exclude=[], content={k: v for k, v in SAID["content"].items() if k != "blob"} | {"blob": "binary"}
    )
    urls = here.fill("here", COLUMNS, rows), there.fill("there", COLUMNS, changed)
    zones = {"source": "UTC", "destination": "UTC"}
    result = integrity.reconcile(promise, *urls, as_of=CUT, timezone=zones, pushdown=mode)
    accused = {"corrupt", "lost", "extra", "duplicate"}
    assert set(result.breaks["kind"]) & accused, (here.name, there.name, mode)
    assert_breaks_equal(integrity.reconcile(promise, *urls, as_of=CUT, timezone=zones, pushdown="never"), result)
    there.fill("there", COLUMNS, rows)
    same = integrity.reconcile(promise, *urls, as_of=CUT, timezone=zones, pushdown=mode)
    assert not set(same.breaks["kind"]) & accused, (here.name, there.name, mode)


def assert_breaks_equal(one: integrity.Result, other: integrity.Result) -> None:
    columns = ["break_id", "kind", "differing", "reason"]
    frames = [result.breaks[columns].fillna("").sort_values(columns).to_dict("records") for result in (one, other)]
    assert frames[0] == frames[1]
    assert one.totals == other.totals
    assert one.verdict == other.verdict
