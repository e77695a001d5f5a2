"""Does a database say of its items what is said of them when they are pulled?

Both ways are asked, of real databases: they have to list the same items, count the same rows, and come to the same
verdicts. Where only one of them can tell, the items are pulled, and the result says for which expectation.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import integrity
from integrity import PushdownError, StoreError, Verdict
from integrity.contracts import Assertion
from integrity.stores import SqlStore
from integrity.validity.in_database import _regex
from tests.servers import PASSWORD, Engine, Mariadb, Postgres

START = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
CUT = dt.datetime(2026, 3, 3, tzinfo=dt.UTC)
COLUMNS = {
    "id": "key",
    "kind": "key",
    "other": "key",
    "n": "integer",
    "m": "integer",
    "amount": "decimal",
    "at": "instant",
}
UTC = {"source": "UTC", "destination": "UTC"}

pytestmark = pytest.mark.usefixtures("_quick")

DATABASES = pytest.mark.parametrize("name", ["postgresql", "mariadb", "duckdb"])
PUSHED = "pushed down, as asked for"
TRAPS = ["text", "Text", "text ", " text", "téxt", "téxt", "TEXT", "", "'; --", "100%", "a:b", "text\n"]


def contract(*validity: dict[str, Any], **changes: Any) -> integrity.Contract:
    said: dict[str, Any] = {
        "name": "day",
        "version": 1,
        "identity": {"id": "text"},
        "content": {"kind": "text", "n": "integer", "amount": {"type": "decimal", "scale": 4}},
        "clock": {"event": "at"},
        "window": "10m",
        "grace": "5m",
        "validity": list(validity),
    }
    return integrity.Contract(**{key: value for key, value in (said | changes).items() if value is not None})


def row(number: int, **changes: Any) -> tuple[Any, ...]:
    kind = TRAPS[number % len(TRAPS)]
    said: dict[str, Any] = {
        "id": f"m{number}",
        "kind": kind,
        "other": kind if number % 3 else kind.upper(),
        "n": number,
        "m": number if number % 4 else number + 1,
        "amount": f"{number}.{number % 100:02d}00",
        "at": START + dt.timedelta(minutes=number % 1440),
    }
    return tuple((said | changes).values())


def rows(count: int = 40) -> list[tuple[Any, ...]]:
    odd: list[dict[str, Any]] = [
        {"kind": None},
        {"n": None},
        {"m": None},
        {"other": None},
        {"kind": None, "other": None},
    ]
    return [*(row(n) for n in range(count)), *(row(count + n, **changes) for n, changes in enumerate(odd))]


def reconciled(source: Any, destination: Any, promise: integrity.Contract, mode: str, **more: Any) -> integrity.Result:
    return integrity.reconcile(
        promise, source, destination, **({"as_of": CUT, "timezone": UTC, "pushdown": mode} | more)
    )


def seen(result: integrity.Result) -> dict[str, Any]:
    """What a result says, but for how it was had."""
    return {
        "verdict": result.verdict,
        "assertions": result.assertions,
        "totals": result.totals,
        "breaks": result.breaks.sort_values(["id", "kind", "reason"]).to_dict("records"),
        "warnings": result.warnings.sort_values(["id", "kind", "reason"]).to_dict("records"),
        "expectations": result.expectations,
        "batches": result.batches.to_dict("records"),
    }


def same(source: Any, destination: Any, promise: integrity.Contract, **more: Any) -> integrity.Result:
    """Both ways say the same; return what the database said."""
    there = reconciled(source, destination, promise, "always", **more)
    here = reconciled(source, destination, promise, "never", **more)
    hows = [side.how for side in there.sides.values()]
    assert PUSHED in hows
    for mine, other in zip(there.expectations, here.expectations, strict=True):
        assert mine == other
    for what, said in seen(there).items():
        assert repr(said) == repr(seen(here)[what]), what
    return there


def expects(name: str, **kwargs: Any) -> dict[str, Any]:
    return {f"expect_column_{name}": kwargs}


IN_SET = expects("values_to_be_in_set", column="kind", value_set=["text", "'; --"])
WHERE = {"type": "comparison", "column": {"name": "kind"}, "operator": "==", "parameter": "text"}
EVERY = {
    "in_set": IN_SET,
    "in_set_undeclared": expects("values_to_be_in_set", column="other", value_set=["text", "Text", None]),
    "in_set_of_numbers": expects("values_to_be_in_set", column="n", value_set=[1, 2, 3, -(2**31)]),
    "in_no_set": expects("values_to_be_in_set", column="kind", value_set=["nothing"]),
    "not_in_set": expects("values_to_not_be_in_set", column="kind", value_set=["text", "100%", "a:b", "'; --"]),
    "not_null": expects("values_to_not_be_null", column="kind"),
    "not_null_time": expects("values_to_not_be_null", column="at"),
    "null": expects("values_to_be_null", column="n"),
    "between": expects("values_to_be_between", column="n", min_value=3, max_value=20, strict_min=True),
    "above": expects("values_to_be_between", column="m", min_value=7, max_value=2**40),
    "between_decimals": expects("values_to_be_between", column="amount", min_value=3.03, max_value=20),
    "decimals": expects("values_to_be_in_set", column="amount", value_set=[3.03, 20, 21.21]),
    "lengths": expects("value_lengths_to_be_between", column="kind", min_value=1, max_value=4),
    "length": expects("value_lengths_to_equal", column="other", value=4),
    "pair": expects("pair_values_to_be_equal", column_A="kind", column_B="other"),
    "pair_of_numbers": expects("pair_values_to_be_equal", column_A="n", column_B="m", ignore_row_if="either_value_is_missing"),
    "greater": expects("pair_values_a_to_be_greater_than_b", column_A="n", column_B="m", or_equal=True),
    "mostly": IN_SET | {"expect_column_values_to_be_in_set": {**IN_SET["expect_column_values_to_be_in_set"], "mostly": 0.1}},
    "not_mostly": expects("values_to_be_in_set", column="kind", value_set=["text"], mostly=0.5),
    "warning": IN_SET | {"severity": "warning"},
    "one_side": IN_SET | {"side": "destination"},
    "where": expects("values_to_be_between", column="n", min_value=5, row_condition=WHERE),
    "where_number": expects(
        "values_to_not_be_null",
        column="kind",
        row_condition={"type": "comparison", "column": {"name": "m"}, "operator": ">", "parameter": 30},
    ),
    "columns": {"expect_table_columns_to_match_set": {"column_set": list(COLUMNS)}},
    "wrong_columns": {"expect_table_column_count_to_equal": {"value": 3}},
}  # fmt: skip
REGEXES = {
    "regex": expects("values_to_match_regex", column="kind", regex="^[a-zA-Z]+$"),
    "not_regex": expects("values_to_not_match_regex", column="kind", regex=r"^t.xt"),
    "dots": expects("values_to_match_regex", column="other", regex="(?:te|TE).[tT].?$"),
    "regexes": expects("values_to_match_regex_list", column="kind", regex_list=["^te", "T{1,2}$"], match_on="any"),
    "no_regexes": expects("values_to_not_match_regex_list", column="kind", regex_list=["é", "[^a-z]"]),
}


@pytest.fixture
def urls(engines: dict[str, Engine], name: str) -> tuple[str, str]:
    """Two tables that differ in three items."""
    engine = engines[name]
    changed = [row(7, n=70), *(r for r in rows() if r[0] not in ("m5", "m7")), row(900)]
    return engine.fill("here", COLUMNS, rows()), engine.fill("there", COLUMNS, changed)


@DATABASES
def test_every_expectation_is_answered_alike(urls: tuple[str, str], name: str) -> None:
    chosen = {called: each for called, each in EVERY.items() if name != "duckdb" or "decimals" not in called}
    result = same(*urls, contract(*chosen.values()))
    assert result.verdict is Verdict.FAIL
    assert {side.how for side in result.sides.values()} == {PUSHED}
    assert "; " in "".join(result.breaks["reason"].dropna())


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_regular_expressions_are_answered_alike(urls: tuple[str, str]) -> None:
    same(*urls, contract(*REGEXES.values()))


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_like_is_known_to_databases_alone(urls: tuple[str, str], name: str) -> None:
    promise = contract(expects("values_to_match_like_pattern", column="kind", like_pattern="te%t_"))
    result = reconciled(urls[0], urls[0], promise, "always")
    kinds = {each[0]: each[1] for each in rows()}
    assert {each: kinds[each] for each in kinds if each not in set(result.breaks["id"])}.keys() == {
        each for each, kind in kinds.items() if kind is None or kind in ("text ", "text\n")
    }
    pulled = reconciled(urls[0], urls[0], promise, "never")
    assert pulled.assertions[Assertion.VALIDITY] is Verdict.UNVERIFIED


@DATABASES
def test_collations_change_nothing(engines: dict[str, Engine], name: str) -> None:
    url = engines[name].fill("here", COLUMNS, [row(n) for n in range(len(TRAPS))])
    result = same(url, url, contract(expects("values_to_be_in_set", column="kind", value_set=["text"])))
    assert set(result.breaks["id"]) == {f"m{n}" for n in range(1, len(TRAPS))}
    assert {each.unexpected for each in result.expectations} == {len(TRAPS) - 1}


@DATABASES
def test_all_failures_are_listed_and_counted(engines: dict[str, Engine], name: str) -> None:
    engine = engines[name]
    engine.fill("here", COLUMNS, [])
    number = {"postgresql": "generate_series(0, 9999) AS s(i)", "duckdb": "range(10000) AS s(i)"}
    text = "CONCAT('m', i)" if name == "mariadb" else "'m' || i"
    kind = "CASE WHEN i % 3 = 0 THEN 'bad' ELSE 'good' END"
    engine.run(
        f"INSERT INTO here SELECT {text}, {kind}, NULL, i, NULL, 1, '2026-03-02 00:00:00' FROM "
        f"{number.get(name, '(SELECT seq AS i FROM seq_0_to_9999) AS s')}"
    )
    promise = contract(
        expects("values_to_be_in_set", column="kind", value_set=["good"]), clock=None, window=None, grace=None
    )
    result = reconciled(engine.url("here"), engine.url("here"), promise, "always")
    assert result.totals["invalid"] == 3334
    assert {(each.looked, each.unexpected) for each in result.expectations} == {(10_000, 3334)}
    assert len(result.breaks) == 3334


@DATABASES
def test_only_the_population_is_asked(engines: dict[str, Engine], name: str) -> None:
    engine = engines[name]
    future = CUT + dt.timedelta(days=1)
    more = [
        row(100, kind="draft"),
        row(101, kind="Draft"),
        row(102, at=None),
        row(103, at=future),
        row(1439),
        row(1434),
    ]
    url = engine.fill("here", COLUMNS, [*rows(), *more])
    drafts = {"name": "drafts", "side": "both", "where": {"kind": ["draft", None]}, "reason": "not sent"}
    every = (
        expects("values_to_be_between", column="n", max_value=-1),
        expects("values_to_be_in_set", column="kind", value_set=["x"]),
    )
    bounds: list[dict[str, Any]] = [
        {"since": START + dt.timedelta(minutes=10), "until": START + dt.timedelta(minutes=30)},
        {"until": START + dt.timedelta(minutes=20)},
        {"as_of": START + dt.timedelta(minutes=25)},
    ]
    for bound in bounds:
        result = same(url, url, contract(*every, exclude=[drafts]), **bound)
        assert not {"m100"} & set(result.breaks["id"])
    days = contract(*every, window={"every": "1d", "timezone": "Asia/Seoul"}, grace="1h")
    same(url, url, days, as_of=START + dt.timedelta(hours=16, minutes=30))


@DATABASES
def test_columns_go_by_our_names(engines: dict[str, Engine], name: str) -> None:
    theirs = {"id": "a b", "kind": "n", "other": "kind", "n": "other", "m": "M%", "amount": "x:y", "at": "AT"}
    engine = engines[name]
    here = engine.fill("here", {theirs[ours]: kind for ours, kind in COLUMNS.items()}, rows())
    there = engine.fill("there", COLUMNS, rows())
    mapping = {theirs[ours]: ours for ours in COLUMNS if ours not in ("other", "m", "at")} | {"AT": "at"}
    asked = [EVERY[each] for each in ("in_set", "between", "not_null_time", "lengths")]
    result = same(here, there, contract(*asked), columns={"source": mapping})
    assert {side.how for side in result.sides.values()} == {PUSHED}


@DATABASES
def test_rows_that_look_alike_stay_apart(engines: dict[str, Engine], name: str) -> None:
    copies = [row(1, other="x"), row(1, other="y"), row(1, other="y"), row(2, other=None), row(2, other="y")]
    url = engines[name].fill("here", COLUMNS, copies)
    expected = expects("values_to_be_in_set", column="other", value_set=["x"])
    result = same(url, url, contract(expected, expects("values_to_not_be_null", column="other"), unique=False))
    assert sorted(result.breaks["id"]) == ["m1", "m1", "m2", "m2"]


@pytest.mark.usefixtures("_far")
@DATABASES
def test_only_totals_travel_where_all_is_well(urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Sequence[str]] = []
    stream = SqlStore.stream

    def counted(store: SqlStore, columns: Sequence[str], *more: Any) -> Any:
        read.append(columns)
        return stream(store, columns, *more)

    monkeypatch.setattr(SqlStore, "stream", counted)
    good = contract(
        expects("values_to_be_between", column="n", max_value=10**6),
        expects("value_lengths_to_be_between", column="kind", max_value=99),
    )
    result = reconciled(urls[0], urls[0], good, "auto")
    assert {side.how for side in result.sides.values()} == {"pushed down, so that only totals travel"}
    assert result.verdict is Verdict.PASS
    assert {(each.verdict, each.looked) for each in result.expectations} == {(Verdict.PASS, 44), (Verdict.PASS, 43)}
    assert read == []


@pytest.fixture
def _far(monkeypatch: pytest.MonkeyPatch) -> None:
    """No store knows a reason to pull."""
    monkeypatch.setattr(SqlStore, "rather_pulled", "")


PULLED = {
    "expect_column_values_to_be_unique(id)": expects("values_to_be_unique", column="id"),
    "expect_column_mean_to_be_between(n)": expects("mean_to_be_between", column="n", min_value=0),
    "expect_column_values_to_match_regex(kind)": expects("values_to_match_regex", column="kind", regex=r"^\w+$"),
    "expect_column_values_to_be_in_set(n)": expects("values_to_be_in_set", column="n", value_set=["1"]),
    "expect_column_values_to_be_in_set(m)": expects("values_to_be_in_set", column="m", value_set=[1, 2**31]),
    "expect_column_values_to_be_in_set(kind)": expects("values_to_be_in_set", column="kind", value_set=["a\0b"]),
    "expect_column_values_to_be_between(n)": expects("values_to_be_between", column="n", max_value=10.5),
    "expect_column_values_to_be_between(kind)": expects("values_to_be_between", column="kind", min_value=1),
    "expect_select_column_values_to_be_unique_within_record(kind, other)": {
        "expect_select_column_values_to_be_unique_within_record": {"column_list": ["kind", "other"]}
    },
    "expect_column_values_to_not_be_null(kind)": expects(
        "values_to_not_be_null", column="kind", row_condition={"type": "pass_through", "pass_through_filter": "n > 3"}
    ),
    "expect_column_values_to_not_be_null(n)": expects(
        "values_to_not_be_null", column="n", row_condition={**WHERE, "operator": "!="}
    ),
}  # fmt: skip


@pytest.mark.usefixtures("_far")
@pytest.mark.parametrize("name", ["postgresql"])
def test_what_means_something_else_there_is_asked_of_rows(urls: tuple[str, str], name: str) -> None:
    fine = contract(EVERY["between"])
    assert "pushed down" in integrity.explain(fine, *urls, timezone=UTC)
    for called, expected in PULLED.items():
        promise = contract(EVERY["between"], expected)
        assert f"pulled: {called} is asked of its rows" in integrity.explain(promise, *urls, timezone=UTC)
    with pytest.raises(PushdownError, match=r"is asked of its rows") as caught:
        integrity.explain(promise, *urls, timezone=UTC, pushdown="always")
    assert "cannot be totalled in its database" in str(caught.value)


@pytest.mark.usefixtures("_far")
@DATABASES
def test_a_side_that_is_pulled_for_an_expectation_says_so(urls: tuple[str, str]) -> None:
    promise = contract(PULLED["expect_column_values_to_be_unique(id)"])
    result = reconciled(*urls, promise, "auto")
    said = "pulled: expect_column_values_to_be_unique(id) is asked of its rows"
    assert {side.how for side in result.sides.values()} == {said}
    assert repr(seen(result)) == repr(seen(reconciled(*urls, promise, "never")))


@pytest.mark.usefixtures("_far")
def test_what_a_column_is_declared_as_decides_whether_it_is_asked_there(postgres: Postgres) -> None:
    url = postgres.fill("here", COLUMNS, rows())
    trimmed = contract(IN_SET, content={"kind": {"type": "text", "trim": True}})
    assert "is asked of its rows" in reconciled(url, url, trimmed, "auto").sides["source"].how
    null = contract(EVERY["not_null"], content={"kind": {"type": "text", "trim": True}})
    assert same(url, url, null).totals["invalid"]
    texts = contract(expects("values_to_be_in_set", column="n", value_set=["1"]), content={"n": "text"})
    assert "is asked of its rows" in reconciled(url, url, texts, "auto").sides["source"].how
    times = contract(expects("values_to_be_between", column="at", min_value=1))
    assert "is asked of its rows" in reconciled(url, url, times, "auto").sides["source"].how


def test_a_regular_expression_is_pulled_by_duckdb(engines: dict[str, Engine]) -> None:
    url = engines["duckdb"].fill("here", COLUMNS, rows())
    result = reconciled(url, url, contract(REGEXES["regex"]), "auto")
    assert result.sides["source"].how == "pulled: expect_column_values_to_match_regex(kind) is asked of its rows"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("^[a-z]+$", r"^[a-z]+\n?$"), ("a.c", r"a[^\n]c"), (r"a\.c", r"a\.c"), ("[.]", "[.]"), (r"\$", r"\$"),
        ("(?:a|b)+c", "(?:a|b)+c"), ("(a(b|c){2})?d", "(a(b|c){2})?d"), ("[A-Z]{2}-[0-9]{4,}", "[A-Z]{2}-[0-9]{4,}"),
        ("^ORD-[0-9]+$", r"^ORD-[0-9]+\n?$"), ("각+", "각+"), ("[+-]?[0-9]", "[+-]?[0-9]"), ("[^@]+@[^@]+", "[^@]+@[^@]+"),
        (r"\d", ""), (r"\bx", ""), ("a*?", ""), ("(?i)a", ""), ("(?=a)", ""), ("a$b", ""), ("a^", ""), ("", ""),
        ("a**", ""), ("[[:alpha:]]", ""), ("***:a", ""), ("a|", ""), ("(", ""), ("[a", ""), (r"\1", ""), (3, ""),
    ],
)  # fmt: skip
def test_regular_expressions_that_mean_the_same(written: Any, told: str) -> None:
    assert _regex(written) == told


@DATABASES
def test_what_the_database_refuses_is_unverified(
    urls: tuple[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlalchemy as sa

    from integrity.validity import in_database

    unexpected = in_database._unexpected

    def broken(question: Any, *more: Any) -> Any:
        (every, _), _ = unexpected(question, *more)
        return (every, sa.func.no_such_function(sa.column("kind"))), ""

    monkeypatch.setattr(in_database, "_unexpected", broken)
    result = reconciled(urls[0], urls[0], contract(IN_SET), "always")
    assert result.assertions[Assertion.VALIDITY] is Verdict.UNVERIFIED
    (source, _) = result.expectations
    assert source.verdict is Verdict.UNVERIFIED
    assert "no_such_function" in source.why.lower()
    assert "\n" not in source.why
    assert PASSWORD not in result.to_json()


@DATABASES
def test_what_cannot_be_asked_or_has_nothing_to_look_at_is_unverified(engines: dict[str, Engine], name: str) -> None:
    url = engines[name].fill("here", COLUMNS, [row(n, kind=None) for n in range(5)])
    nothing = same(url, url, contract(IN_SET))
    assert nothing.assertions[Assertion.VALIDITY] is Verdict.UNVERIFIED
    crossed = same(url, url, contract(expects("value_lengths_to_be_between", column="id", min_value=5, max_value=2)))
    assert {each.verdict for each in crossed.expectations} <= {Verdict.UNVERIFIED, Verdict.FAIL}


@pytest.mark.usefixtures("_self_tested")
@DATABASES
def test_the_self_test_goes_through_the_database(urls: tuple[str, str]) -> None:
    result = reconciled(*urls, contract(IN_SET), "always")
    assert "invalid" in result.self_test
    assert "by way of the database" in result.self_test
    before = os.environ.get("SF_PARTNER")
    mixed = reconciled(
        urls[0],
        pa.table({"id": ["m1"], "kind": ["text"], "n": [1], "amount": ["1.01"], "at": [START]}),
        contract(IN_SET),
        "auto",
    )
    assert "invalid" in mixed.self_test
    assert os.environ.get("SF_PARTNER") == before


@pytest.mark.usefixtures("_self_tested")
def test_the_self_test_plants_what_the_database_can_be_asked_of(postgres: Postgres) -> None:
    url = postgres.fill("here", COLUMNS, rows())
    promise = contract(EVERY["above"], identity={"id": {"type": "text", "trim": True}})
    tested = reconciled(url, url, promise, "always").self_test
    assert "not planted: invalid (this database is not asked of the column" in tested


def test_a_database_that_is_gone_is_an_error(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    from integrity.validity import in_database

    url = postgres.fill("here", COLUMNS, rows())

    def gone(*_: Any) -> None:
        raise StoreError("the server is gone", "start it")

    monkeypatch.setattr(in_database._Items, "check", gone)
    with pytest.raises(StoreError, match="is gone"):
        reconciled(url, url, contract(IN_SET), "always")


def test_texts_that_are_too_long_to_be_compared_are_pulled(mariadb: Mariadb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqlStore, "rather_pulled", "")
    columns = {"id": "key", "kind": "key", "body": "text"}
    url = mariadb.fill("here", columns, [("a", "x", "a" * 2_000_000), ("b", "x", "y")])
    promise = contract(
        expects("values_to_not_be_null", column="body"),
        expects("value_lengths_to_be_between", column="body", max_value=9),
        content=None,
        clock=None,
        window=None,
        grace=None,
    )
    mariadb.run("SET GLOBAL max_allowed_packet = 1048576")
    try:
        result = reconciled(url, url, promise, "auto")
    finally:
        mariadb.run("SET GLOBAL max_allowed_packet = 16777216")
    assert {(each.looked, each.unexpected) for each in result.expectations} == {(2, 0), (2, 1)}


texts = st.sampled_from([None, *TRAPS])
numbers = st.one_of(st.none(), st.integers(-3, 3))
items = st.lists(st.tuples(texts, texts, numbers, numbers, st.integers(0, 59)), max_size=8)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    here=items,
    there=items,
    chosen=st.lists(st.sampled_from([*EVERY, *REGEXES]), min_size=1, max_size=4, unique=True),
    minutes=st.integers(10, 80),
)
def test_both_ways_agree(
    postgres: Postgres, here: list[Any], there: list[Any], chosen: list[str], minutes: int
) -> None:
    def filled(table: str, given: list[Any]) -> str:
        made = [
            row(n % 4, kind=kind, other=other, n=number, m=m, at=START + dt.timedelta(minutes=minute))
            for n, (kind, other, number, m, minute) in enumerate(given)
        ]
        return postgres.fill(table, COLUMNS, made)

    promise = contract(*((EVERY | REGEXES)[each] for each in chosen))
    same(filled("here", here), filled("there", there), promise, as_of=START + dt.timedelta(minutes=minutes))
