"""A suite, a validation definition, a checkpoint and Data Docs, as users have them: on pandas, SQLite and PostgreSQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData
from great_expectations.validator.validator import Validator

import integrity
import integrity.gx as igx
from tests.conftest import frame, message, promise
from tests.gx.pipelines import AS_OF, checkpoint, observed, pages, project, results, shown, validated
from tests.servers import Engine, Postgres, Sqlite

COLUMNS = {"message_id": "key", "body": "text", "size_bytes": "integer", "sent_at": "instant", "stored_at": "instant"}
HOSTILE = "<img src=x onerror=alert(1)> $observed ${message} $$PARAMETER 'a\"b' \u202egnp.exe"


@pytest.fixture(scope="module")
def many() -> pl.DataFrame:
    """More rows than the 200 that other comparisons of Great Expectations look at."""
    return frame(*(message(n, n / 50) for n in range(1000)))


@pytest.fixture(scope="module")
def sent(many: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("sent") / "sent.parquet"
    many.write_parquet(path)
    return str(path)


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Any]:
    made = project(tmp_path)
    yield made
    for source in made.data_sources.all().values():
        if hasattr(source, "get_engine"):  # Great Expectations leaves its connections to the garbage collector
            source.get_engine().dispose()
            source.get_execution_engine().engine.dispose()


def everything(sent: str, many: pl.DataFrame) -> list[Any]:
    promised = promise(timeliness=None)
    recorded = igx.control_totals(integrity.measure(promised, many, side="source"), promised)
    return [
        igx.ExpectBatchesToReconcile(contract=promised, other=sent, as_of={"$PARAMETER": "as_of"}),
        igx.ExpectControlTotalsToMatch(contract=promised, totals=recorded),
        igx.ExpectLatencyToBeWithin(
            event="sent_at", processed="stored_at", within={"$PARAMETER": "within"}, ratio=0.999, never_over="60s"
        ),
    ]


def verdicts(run: Any) -> list[str]:
    return [observed(each).partition(":")[0] for each in results(run)]


def test_pandas_and_its_pages(context: Any, tmp_path: Path, sent: str, many: pl.DataFrame) -> None:
    asset = context.data_sources.add_pandas("archive").add_dataframe_asset("messages")
    run = checkpoint(context, "day", asset.add_batch_definition_whole_dataframe("all"), everything(sent, many)).run
    parameters = {"as_of": AS_OF, "within": "5s"}
    good = run(batch_parameters={"dataframe": many.to_pandas()}, expectation_parameters=parameters)
    assert good.success, [observed(each) for each in results(good)]
    (page,) = pages(tmp_path)
    assert "pass: no exception found in 2 closed batches; 3 of 3 promises judged" in shown(page)
    assert "stored_at must be within $PARAMETER within of sent_at" in shown(page) or "must be within 5s of" in shown(
        page
    )
    lost = many.filter(pl.col("message_id") != "m900").to_pandas()
    bad = run(batch_parameters={"dataframe": lost}, expectation_parameters=parameters | {"within": "1s"})
    assert not bad.success
    assert verdicts(bad) == ["fail", "fail", "fail"]
    (page,) = [each for each in pages(tmp_path) if each != page]
    text = shown(page)
    for words in (
        f"must hold what {sent} says, as contract day, version 1 promises, as of {AS_OF}",
        "fail: 1 break in 1 of 2 closed batches; 3 of 3 promises judged",
        "source 1,000 = 999 matched + 1 lost",
        "m900",
        "planted and found",
        "fail: totals differ in 1 of 2 batches",
        "999 took longer than 1s",
    ):
        assert words in text
    suite = (tmp_path / "gx/uncommitted/data_docs/local_site/expectations/day.html").read_text(encoding="utf-8")
    assert "must hold what" in shown(suite)


def test_what_the_data_says_is_text_on_every_page(context: Any, tmp_path: Path) -> None:
    contract = promise(name="hostile", timeliness=None, identity={"message_id": "text", "<b>room</b>": "text"})
    sent = frame(message(1, 1, message_id=HOSTILE), message(2, 2)).with_columns(pl.lit(HOSTILE).alias("<b>room</b>"))
    sent.write_parquet(tmp_path / "sent.parquet")
    asset = context.data_sources.add_pandas("archive").add_dataframe_asset("messages")
    missing = str(tmp_path / "<script>alert(2)</script>$observed.parquet")
    expectations = [
        igx.ExpectBatchesToReconcile(contract=contract, other=str(tmp_path / "sent.parquet"), as_of=AS_OF),
        igx.ExpectBatchesToReconcile(contract=contract, other=missing),
        igx.ExpectControlTotalsToMatch(contract=promise(about="<u>"), totals=[{"records": 1, "<i>$x</i>": "<i>"}]),
        igx.ExpectLatencyToBeWithin(event="<i>a</i>", processed="$b", within="<u>5s"),
    ]
    definition = asset.add_batch_definition_whole_dataframe("all")
    checkpoint(context, "hostile", definition, expectations).run(batch_parameters={"dataframe": sent[1:].to_pandas()})
    (page,) = pages(tmp_path)
    text = shown(page)
    for markup in ("<img src=x", "<script>alert", "<b>room", "<i>", "<u>"):
        assert markup not in page, markup
    for said in (
        "<img src=x onerror=alert(1)> $observed ${message} $$PARAMETER 'a\"b'",
        "<script>alert(2)</script>$observed.parquet",
        "<i>$x</i>",
        "<u>5s",
        "<b>room</b>",
        "$b must be within",
    ):
        assert said in text, said
    assert "&amp;lt;" not in page, "nothing is escaped twice"
    assert "\u202e" not in text


def address(postgres: Postgres) -> str:
    """Its URL, as Great Expectations takes one: with a host, although its socket is elsewhere."""
    return postgres.address.replace("@/", "@localhost/")


def judged_in(context: Any, source: Any, engine: Engine, many: pl.DataFrame, sent: str) -> None:
    """Judge a table and a query of a database, of which one row among a thousand is lost."""
    rows = many.rows()
    engine.fill("kept", COLUMNS, rows)
    engine.fill("holed", COLUMNS, [row for row in rows if row[0] != "m900"])
    parameters = {"as_of": AS_OF, "within": "5s"}
    assets = {
        "kept": source.add_table_asset("kept", table_name="kept"),
        "holed": source.add_table_asset("holed", table_name="holed"),
        "asked": source.add_query_asset("asked", query="SELECT * FROM kept WHERE message_id <> 'm900' -- %(a)s :b"),
        "none": source.add_query_asset("none", query="SELECT * FROM kept WHERE 1 = 0"),
    }
    found = {}
    for name, asset in assets.items():
        definition = (
            asset.add_batch_definition_whole_table("all")
            if name in ("kept", "holed")
            else asset.add_batch_definition("all")
        )
        run = checkpoint(context, name, definition, everything(sent, many)).run(expectation_parameters=parameters)
        found[name] = results(run)
        assert run.success is (name == "kept"), [observed(each) for each in found[name]]
    assert [observed(each).partition(":")[0] for each in found["holed"]] == ["fail", "fail", "pass"]
    assert [observed(each).partition(":")[0] for each in found["asked"]] == ["fail", "fail", "pass"]
    assert [observed(each).partition(":")[0] for each in found["none"]] == ["fail", "fail", "unverified"]
    for name in ("holed", "asked"):
        assert [row["message_id"] for row in found[name][0].result["partial_unexpected_list"]] == ["m900"]
    assert observed(found["kept"][2]).startswith("pass: 1,000 of 1,000 on time")


def test_sqlite(context: Any, tmp_path: Path, many: pl.DataFrame, sent: str) -> None:
    source = context.data_sources.add_sqlite("archive", connection_string=f"sqlite:///{tmp_path}/day.sqlite")
    judged_in(context, source, Sqlite(tmp_path / "day.sqlite"), many, sent)


def test_postgresql(context: Any, tmp_path: Path, many: pl.DataFrame, sent: str, postgres: Postgres) -> None:
    source = context.data_sources.add_postgres("archive", connection_string=address(postgres))
    judged_in(context, source, postgres, many, sent)
    assert "postgresql" in "".join(pages(tmp_path))


def test_what_an_engine_is_told_besides_its_url_counts(
    context: Any, many: pl.DataFrame, postgres: Postgres, sent: str
) -> None:
    """Another connection by the URL alone would find a table of the same name, in which nothing is lost."""
    postgres.fill("kept", COLUMNS, many.rows())
    postgres.run(
        "DROP SCHEMA IF EXISTS elsewhere CASCADE",
        "CREATE SCHEMA elsewhere",
        "CREATE TABLE elsewhere.kept AS SELECT * FROM public.kept WHERE message_id <> 'm900'",
    )
    source = context.data_sources.add_postgres(
        "archive",
        connection_string=address(postgres),
        kwargs={"connect_args": {"options": "-csearch_path=elsewhere"}},
    )
    asset = source.add_query_asset("kept", query="SELECT * FROM kept")
    expectation = igx.ExpectBatchesToReconcile(contract=promise(timeliness=None), other=sent, as_of=AS_OF)
    run = checkpoint(context, "told", asset.add_batch_definition("all"), [expectation]).run()
    (result,) = results(run)
    assert [row["message_id"] for row in result.result["partial_unexpected_list"]] == ["m900"], observed(result)


def test_one_day_of_a_partitioned_table_is_the_batch(
    context: Any, many: pl.DataFrame, postgres: Postgres, sent: str
) -> None:
    """What Great Expectations filters is filtered, also where another connection reads it."""
    another = many.with_columns(
        pl.col("sent_at", "stored_at").dt.offset_by("1d"), message_id=pl.lit("x") + pl.col("message_id")
    )
    postgres.fill("days", COLUMNS, [*many.rows(), *another.rows()])
    source = context.data_sources.add_postgres("archive", connection_string=address(postgres))
    daily = source.add_table_asset("days", table_name="days").add_batch_definition_daily("daily", column="sent_at")
    expectation = igx.ExpectBatchesToReconcile(
        contract=promise(timeliness=None), other=sent, as_of="2026-03-03T12:00:00Z"
    )
    run = checkpoint(context, "daily", daily, [expectation]).run
    first = run(batch_parameters={"year": 2026, "month": 3, "day": 2})
    second = run(batch_parameters={"year": 2026, "month": 3, "day": 3})
    assert first.success, observed(results(first)[0])
    assert results(second)[0].result["details"]["totals"]["extra"] == 1000
    assert "2026" in results(first)[0].result["details"]["how"]["destination"]


def test_the_database_totals_its_own_rows_and_arguments_may_be_parameters(
    context: Any, many: pl.DataFrame, postgres: Postgres, sent: str
) -> None:
    promised = promise(timeliness=None)
    parameters = {
        "contract": promised.to_yaml(),
        "totals": igx.control_totals(integrity.measure(promised, many, side="source"), promised),
        "as_of": dt.datetime(2026, 3, 2, 2, tzinfo=dt.UTC),
        "ratio": 0.999,
        "columns": {},
        "side": "destination",
    }
    given: dict[str, Any] = {name: {"$PARAMETER": name} for name in parameters}
    untimed = [(*row[:4], None) if row[0] == "m5" else row for row in many.rows()]
    source = context.data_sources.add_postgres("archive", connection_string=address(postgres))
    for table, rows, timely in (("timed", many.rows(), "pass"), ("untimed", untimed, "unverified")):
        postgres.fill(table, COLUMNS, rows)
        both = {"contract": given["contract"], "as_of": given["as_of"], "side": given["side"], "pushdown": "always"}
        expectations = [
            igx.ExpectBatchesToReconcile(**both, other=sent, columns=given["columns"]),
            igx.ExpectControlTotalsToMatch(**both, totals=given["totals"]),
            igx.ExpectLatencyToBeWithin(
                event="sent_at", processed="stored_at", within="2s", ratio=given["ratio"], pushdown="always"
            ),
        ]
        definition = source.add_table_asset(table, table_name=table).add_batch_definition_whole_table("all")
        run = checkpoint(context, table, definition, expectations).run(expectation_parameters=parameters)
        assert verdicts(run) == ["pass", "pass", timely], [observed(each) for each in results(run)]
        assert "pushed down" in results(run)[0].result["details"]["how"]["destination"]


@pytest.mark.parametrize("temporary", [False, True])
def test_what_only_this_engine_sees_is_read_through_it(many: pl.DataFrame, sent: str, temporary: bool) -> None:
    """A database in memory, and a temporary table in it."""
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.StaticPool)
    texts = many.with_columns(pl.col("sent_at", "stored_at").dt.to_string("iso:strict"))
    with engine.begin() as connection:
        texts.filter(pl.col("message_id") != "m900").to_pandas().to_sql("kept", connection, index=False)
    execution = SqlAlchemyExecutionEngine(engine=engine)
    data = SqlAlchemyBatchData(execution, query="SELECT * FROM kept", create_temp_table=temporary)
    execution.load_batch_data("batch", data)
    validator = Validator(execution_engine=execution)
    validator._determine_progress_bars = lambda: False  # type: ignore[method-assign]
    reconciling = igx.ExpectBatchesToReconcile(contract=promise(timeliness=None), other=sent, as_of=AS_OF)
    wanted = [everything(sent, many)[1], reconciling]
    found = validator.graph_validate(configurations=[each.configuration for each in wanted])
    assert [observed(each).partition(":")[0] for each in found] == ["fail", "fail"], [observed(each) for each in found]
    assert [row["message_id"] for row in found[1].result["partial_unexpected_list"]] == ["m900"]
    execution.close()
    engine.dispose()


def test_a_suite_is_kept_and_read_back(context: Any, tmp_path: Path, sent: str, many: pl.DataFrame) -> None:
    asset = context.data_sources.add_pandas("archive").add_dataframe_asset("messages")
    checkpoint(context, "day", asset.add_batch_definition_whole_dataframe("all"), everything(sent, many))
    again = project(tmp_path)
    assert [type(each).__name__ for each in again.suites.get("day").expectations] == [
        "ExpectBatchesToReconcile", "ExpectControlTotalsToMatch", "ExpectLatencyToBeWithin"
    ]  # fmt: skip
    run = again.checkpoints.get("day").run(
        batch_parameters={"dataframe": many.to_pandas()}, expectation_parameters={"as_of": AS_OF, "within": "5s"}
    )
    assert run.success


def test_the_same_batch_validates_alike_without_a_context(sent: str, many: pl.DataFrame) -> None:
    (result,) = validated(many, everything(sent, many)[1])
    assert observed(result) == "pass: totals are equal in 2 batches, 1,000 records"
