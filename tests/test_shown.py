"""Values show themselves in notebooks and terminals: short, harmless, and without reading what they stand for."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from rich.console import Console

import integrity
from integrity.shown import Card, Table
from tests.report.test_html import Read

EVIL = "<script>alert(1)</script>\x1b[31m"


def printed(value: object) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: SIM115
    console.print(value)
    console.file.close()
    return console.export_text()


@pytest.fixture
def notes() -> integrity.Contract:
    return integrity.Contract(
        name="notes", version=1, identity=["id"], amounts=["n"], content={"n": {"type": "decimal", "scale": 2}}
    )


def test_a_contract_says_what_it_promises(notes: integrity.Contract) -> None:
    read = Read(notes._repr_html_())
    assert "contract notes version 1" in read.shown
    assert "completeness, accuracy, validity" in read.shown
    assert notes.sha256 in read.shown
    assert "contract notes version 1" in printed(notes)


def test_control_totals_say_how_much_of_what(notes: integrity.Contract) -> None:
    totals = integrity.measure(notes, pl.DataFrame({"id": ["1", "2"], "n": ["1.25", "2"]}), side="source")
    read = Read(totals._repr_html_())
    assert "control totals of notes version 1, source" in read.shown
    assert "n (unscaled)" in read.shown
    assert "325" in read.shown
    assert read.elements["details"] == 1
    assert "sum128:" in printed(totals)


@pytest.mark.parametrize(
    "table",
    [
        pl.DataFrame({EVIL: [1]}),
        pl.LazyFrame({EVIL: [1]}),
        pd.DataFrame({EVIL: [1]}),
        pl.DataFrame({EVIL: [1]}).to_arrow(),
    ],
)
def test_a_table_in_memory_shows_its_columns(table: object) -> None:
    store = integrity.open_store(table)
    read = Read(store._repr_html_())  # type: ignore[attr-defined]
    assert "script" not in read.elements
    assert "<script>alert(1)</script>␛[31m" in read.shown
    assert "\x1b" not in printed(store)
    assert repr(store).startswith("<store ")


def test_files_and_databases_show_theirs(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["1"], "n": [1]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"id": ["1"]}).write_database("t", f"sqlite:///{tmp_path}/a.db", engine="sqlalchemy")
    (tmp_path / "tree").mkdir()
    for url, column in (
        (f"{tmp_path}/a.parquet", "n"),
        (f"sqlite:///{tmp_path}/a.db#t", "id"),
        (f"tree:{tmp_path}/tree", "sha256"),
    ):
        store = integrity.open_store(url)
        read = Read(store._repr_html_())  # type: ignore[attr-defined]
        assert column in read.shown, url
        assert str(tmp_path) in repr(store)


def test_a_store_that_cannot_be_reached_says_so_and_no_password() -> None:
    store = integrity.open_store("postgresql://kim:hush@127.0.0.1:1/none#t?")
    for text in (store._repr_html_(), printed(store), repr(store)):  # type: ignore[attr-defined]
        assert "hush" not in text
        assert "127.0.0.1" in text
    assert "cannot be read now" in printed(store)


def test_a_result_is_short_first(notes: integrity.Contract) -> None:
    many = pl.DataFrame({"id": [str(n) for n in range(500)], "n": ["1"] * 500})
    result = integrity.reconcile(notes, many, many[:100])
    read = Read(result._repr_html_())
    assert read.shown.startswith("notes: fail: 400 breaks")
    assert read.elements["details"] == 2
    assert read.elements["tr"] < 40
    assert "400 breaks, a few of each kind" in printed(result)


def test_a_terminal_is_not_flooded() -> None:
    card = Card("many", [], [Table("rows", ("n",), [(n,) for n in range(100)])])
    assert "… and 76 more of these" in printed(card.rich())
