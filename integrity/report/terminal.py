"""What does somebody at a terminal see of a result, and of a run that takes a while?

The summary and the first few breaks: never all of a million. Verdicts are words first and colours second, and nothing
that came from the data can move the cursor or be taken for markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from integrity.harmless import plain
from integrity.result import Result
from integrity.screens import Rows
from integrity.summary import FAILS, found_in

__all__ = ["RowProgress", "show"]

#: So many letters of an identity are shown.
_WIDTH = 28
_COLOURS = {"pass": "green", "fail": "bold red", "unverified": "yellow", "pending": "cyan", "skipped": "dim"}
#: What is told by matching items, and of recorded totals cannot be told.
_MATCHED = ("lost", "duplicate", "corrupt", "extra")
_SHOWN = 12
_OF_A_KIND = 3


def verdict_text(verdict: str | None) -> Text:
    """A verdict as a coloured word; nothing due is a dash."""
    return Text(verdict or "–", style=_COLOURS.get(verdict or "", ""))


def show(result: Result, console: Console) -> None:
    """Print a result: verdicts, balance, the failing batches and the first breaks."""
    style = _COLOURS[result.verdict.value]
    console.print(Text(plain(result.headline(), 400), style=style), soft_wrap=True)
    promises = Table.grid(padding=(0, 2))
    for assertion, verdict in result.assertions.items():
        promises.add_row(
            "  " + assertion.value, verdict_text(verdict.value), Text(_why(result, assertion.value), style="dim")
        )
    console.print(promises)
    source, destination = (statement.said() for statement in result.statements)
    shifted = f" ({result.totals['moved']:,} of them in another batch)" if result.totals["moved"] else ""
    for said in (source, destination + shifted):
        console.print(Text(f"  {said}"), soft_wrap=True)
    if result.ladder:
        console.print(Text("  " + plain(result.travelled(), 200)), soft_wrap=True)
    for exclusion in result.exclusions:
        if exclusion["count"]:
            console.print(
                Text(
                    f"  left out of the {exclusion['side']}: {exclusion['count']:,} "
                    f"{plain(exclusion['name'])} ({plain(exclusion['reason'], 90)})"
                ),
                soft_wrap=True,
            )
    if result.attempts:
        attempts = result.attempts
        others = f" + {attempts['excluded']:,} left out" if attempts["excluded"] else ""
        console.print(
            Text(
                f"  attempted {attempts['attempted']:,} = {attempts['accepted']:,} accepted + "
                f"{attempts['rejected']:,} rejected{others}"
            ),
            soft_wrap=True,
        )
    _show_expectations(result, console)
    if result.totals["superseded"]:
        told = f"{result.totals['superseded']:,} by newer ones of the same identity ({result.contract.latest_by})"
        console.print(Text(f"  superseded: {plain(told, 200)}"), soft_wrap=True)
    _show_batches(result, console)
    _show_breaks(result, console)
    for note in result.notes:
        console.print(Text(f"  note: {plain(note, 400)}", style="yellow"), soft_wrap=True)
    console.print(Text(f"  self-test: {result.self_test}", style="dim"), soft_wrap=True)


def _why(result: Result, assertion: str) -> str:
    """How many were found of each kind that fails a promise."""
    besides = ("unverified",) if assertion == "accuracy" and result.totals["unverified"] else ()
    unknown = _MATCHED if result.summary.unlocated else ()
    words = {"unverified": "not comparable"}
    return ", ".join(
        f"{'?' if kind in unknown else f'{result.totals[kind]:,}'} {words.get(kind, kind)}"
        for kind in (*FAILS[assertion], *besides)
    )


def _counted(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in found.items())


def _show_expectations(result: Result, console: Console) -> None:
    """What was expected of the items, in one line where all of it holds."""
    every = result.expectations
    if not every:
        return
    good = [each for each in every if each.verdict.value == "pass"]
    console.print(Text(f"  expectations: {len(good)} of {len(every)} hold"), soft_wrap=True)
    for each in every:
        if each.remarkable:
            line = Text("    ").append_text(verdict_text(each.verdict.value))
            console.print(line.append(f" {plain(each.described(), 400)}"), soft_wrap=True)


def _show_batches(result: Result, console: Console) -> None:
    failing = result.failing()
    if not failing.height:
        return
    more = f" (first {_SHOWN} of {failing.height:,})" if failing.height > _SHOWN else ""
    console.print(Text(f"batches that did not pass{more}", style="italic"))
    rows: list[list[object]] = []
    for row in failing.head(_SHOWN).to_dicts():
        partition = [plain(row[name], 24) for name in result.contract.partition]
        numbers = [f"{row[n]:,}" if row[n] is not None else "?" for n in ("source_records", "destination_records")]
        rows.append([*partition, result.start_of(row), verdict_text(row["verdict"]), *numbers, _counted(found_in(row))])
    header = (*result.contract.partition, "batch start (UTC)", "verdict", "source", "destination", "found")
    console.print(Rows(header, rows, wraps={"found"}, counts={"source", "destination"}))


def _show_breaks(result: Result, console: Console) -> None:
    rows = result.few_breaks(_OF_A_KIND).to_dicts()
    if not rows:
        return
    total = result.break_count
    more = f" (a few of each kind, of {total:,} in all)" if total > len(rows) else ""
    console.print(Text(f"breaks{more}", style="italic"))
    told: list[list[object]] = []
    for row in rows:
        said = [
            f"differs in {plain(row['differing'], 80)}" if row["differing"] else "",
            plain(row["reason"], 120) if row["reason"] else "",
        ]
        shown = [f"{plain(row[k], 60)}" for k in ("source_values", "destination_values") if row[k]]
        what = "; ".join(part for part in [*said, " → ".join(shown)] if part)
        told.append([row["kind"], *(Text(_named(row[name])) for name in result.contract.identity), Text(what)])
    console.print(Rows(("kind", *result.contract.identity, "what"), told, wraps={"what"}))


def _named(value: object) -> str:
    """An identity in little room: of a long path its end, which tells one file from the next."""
    text = plain(value, 4_096)
    cut = len(text) > _WIDTH and "/" in text
    return f"…{text[1 - _WIDTH :]}" if cut else plain(value, _WIDTH)


class RowProgress:
    """Says on a terminal what a run is doing and how many rows it has read; silent where there is none."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[rows]}", style="dim", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", rows="", total=None)
        self._rows = {"source": 0, "destination": 0}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.stop()

    def step(self, what: str) -> None:
        self._rows = {"source": 0, "destination": 0}
        self._bar.update(self._task, description=plain(what, 200), rows="")

    def rows(self, side: str, count: int) -> None:
        self._rows[side] += count
        self._bar.update(self._task, rows=", ".join(f"{name} {n:,}" for name, n in self._rows.items() if n))
