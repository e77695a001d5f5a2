"""Rows fit a screen of any width: no word is broken, no cell is cut, and where nobody watches a row is a line."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from integrity.screens import Rows, screen
from tests.test_reconcile_laws import law

WORDS = st.text(st.sampled_from("abz09.:-_[]김日é"), min_size=1, max_size=10)
PROSE = st.lists(WORDS, max_size=12).map(" ".join)


def laid(rows: Rows, width: int) -> list[str]:
    out = io.StringIO()
    Console(width=width, file=out).print(rows)
    return out.getvalue().splitlines()


@st.composite
def tables(draw: st.DrawFn) -> Rows:
    columns = draw(st.integers(1, 9))
    names = draw(
        st.lists(st.text("abcdefgh", min_size=1, max_size=12), min_size=columns, max_size=columns, unique=True)
    )
    wraps = draw(st.sets(st.sampled_from(names)))
    counts = draw(st.sets(st.sampled_from(names)))
    row = st.tuples(*(PROSE if name in wraps else WORDS for name in names))
    return Rows(names, draw(st.lists(row, max_size=6)), wraps, counts)


@law(300)
@given(tables(), st.integers(50, 220))
def test_every_word_of_every_cell_is_there_whole_and_on_the_screen(rows: Rows, width: int) -> None:
    lines = laid(rows, width)
    assert all(cell_len(line) <= width for line in lines)
    shown = {word.rstrip(",") for line in lines for word in line.split()}
    for row in rows.rows:
        for cell in row:
            assert {word.rstrip(",") for word in str(cell).split()} <= shown


@law(100)
@given(tables())
def test_where_there_is_room_it_is_a_plain_table(rows: Rows) -> None:
    lines = laid(rows, 2_000)
    assert len(lines) == 1 + len(rows.rows)
    assert lines[0].split() == list(rows.header)
    for line, row in zip(lines[1:], rows.rows, strict=True):
        assert line.split() == " ".join(map(str, row)).split()


def test_what_all_share_is_said_once_and_only_where_room_is_short() -> None:
    told = [(f"run-{n:020}", "orders", "production", n) for n in range(3)]
    rows = Rows(("run", "pipeline", "environment", "breaks"), told, counts={"breaks"})
    assert laid(rows, 80)[0].split() == ["run", "pipeline", "environment", "breaks"]
    assert laid(rows, 40)[0] == "pipeline orders, environment production"
    assert [line.split() for line in laid(rows, 40)[1:3]] == [["run", "breaks"], ["run-00000000000000000000", "0"]]


def test_rows_that_fit_in_no_table_stand_by_themselves() -> None:
    told = [("x" * 30, "y" * 30, "", "one"), ("z" * 30, "y" * 29, "", "two")]
    assert [line.split() for line in laid(Rows(("a", "b", "c", "d"), told), 50)] == [
        ["a", "x" * 30], ["b", "y" * 30], ["d", "one"], [], ["a", "z" * 30], ["b", "y" * 29], ["d", "two"],
    ]  # fmt: skip


def test_few_of_many_columns_are_turned() -> None:
    told = [(f"pipeline-{n}", *(n + column for column in range(9))) for n in range(2)]
    rows = Rows([f"column-{n}" for n in range(10)], told)
    assert [line.split()[0] for line in laid(rows, 60)] == [f"column-{n}" for n in range(10)]
    assert laid(rows.turned(), 60)[0].split() == ["column-0", "pipeline-0", "pipeline-1"]


def test_a_value_is_neither_markup_nor_moves_the_cursor() -> None:
    (_, line) = laid(Rows(("name",), [("[red]a\x1b[2J\nb\u202e",)]), 80)
    assert line.strip() == "[red]a␛[2J␊b�"
    assert laid(Rows(("name",), [(Text("as it is"),)]), 80)[1].strip() == "as it is"
    assert laid(Rows(("name", "other"), []), 80)[0].split() == ["name", "other"]


def test_a_log_is_not_cut_at_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    code = f"from integrity.screens import *; screen().print(Rows(('a', 'b'), [('{'x' * 300}', '{'y' * 300}')]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 2
    monkeypatch.setenv("COLUMNS", "40")
    assert screen().width == 40
