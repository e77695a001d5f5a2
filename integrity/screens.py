"""How do rows fit a screen of any width, so that no word is broken, no figure cut and no column lost?

They stand as a table where there is room. Where there is not, what all of them share is said once, above; then text
goes on in a second line; and where even that is too wide the table is turned, or each row stands by itself. Whatever
came from the data is harmless text.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from integrity.harmless import plain

__all__ = ["Rows", "say", "screen"]

#: Nobody reads a log through a screen of 80 columns: there, and in a file, a row is a line.
_UNBOUND: Final = 1_000
#: A column of prose that is narrower than this is a strip that nobody reads.
_STRIP: Final = 24
_CELL: Final = 2_000
_LINE: Final = 100_000


def screen() -> Console:
    """Return the terminal, as wide as it is by now; where there is none, one that cuts no line.

    What is printed on it is text: brackets are no markup, and words between colons no pictures.
    """
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return _Screen(markup=False, emoji=False, highlight=False)
    return _Screen(width=_UNBOUND, markup=False, emoji=False, highlight=False)


def say(*lines: object) -> None:
    """Print lines, each of which is one harmless line whatever came into it, and is never broken."""
    console = screen()
    for line in lines:
        console.print(Text(plain(line, _LINE)), soft_wrap=True)


class _Screen(Console):
    """A terminal whose reader may go away, as `| head` does; whoever prints decides what that means."""

    def on_broken_pipe(self) -> None:
        """Raise it again: Rich would end the process with 1, which is the code of a finding."""
        raise


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that fit the screen on which they are printed.

    Attributes:
        header: The names of the columns.
        rows: The cells. Of plain values each becomes one harmless line; a ``Text`` stands as it is, with its colour.
        wraps: The columns whose text may go on in a second line; it is broken between words.
        counts: The columns of figures, which stand at the right.

    Example:
        >>> Console(width=30).print(Rows(("break", "kind"), [("4f2a", "lost"), ("91bd", "late")]))
        break  kind
        4f2a   lost
        91bd   late
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    wraps: Collection[str] = ()
    counts: Collection[str] = ()

    def turned(self) -> Rows:
        """Return them upright: the first column is the header, and each row a column."""
        header, *rows = zip(self.header, *self.rows, strict=True)
        return Rows([str(cell) for cell in header], rows)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay them out for a width."""
        room, grid = options.max_width, _grid(self)
        if grid.natural(2) > room:
            said, grid = grid.without_what_is_shared()
            if said:
                yield Text(said, style="dim")
        gap = next((gap for gap in (2, 1) if grid.narrowest(gap) <= room), None)
        if gap is not None:
            yield grid.table(gap, room)
        elif (turned := grid.turned()).natural(2) <= room:
            yield turned.table(2, room)
        else:
            for number in range(len(grid.rows)):
                if number:
                    yield Text("")
                yield grid.alone(number).table(2, room)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Cells in rows and columns, and what may be done to their widths."""

    header: Sequence[str]
    rows: Sequence[Sequence[Text]]
    wraps: frozenset[int] = frozenset()
    counts: frozenset[int] = frozenset()

    def natural(self, gap: int) -> int:
        """How wide it is if no text is broken."""
        return sum(map(self._width, range(len(self.header)))) + gap * (len(self.header) - 1)

    def narrowest(self, gap: int) -> int:
        """How wide it is at least, if no word is."""
        return sum(map(self._least, range(len(self.header)))) + gap * (len(self.header) - 1)

    def without_what_is_shared(self) -> tuple[str, _Grid]:
        """What is the same in all rows, in words, and the columns of what is not."""
        shared = [n for n in range(len(self.header)) if len({row[n].plain for row in self.rows}) == 1]
        if len(self.rows) < 2 or len(shared) == len(self.header):
            return "", self
        said = ", ".join(f"{self.header[n]} {self.rows[0][n].plain}" for n in shared if self.rows[0][n].plain)
        kept = [n for n in range(len(self.header)) if n not in shared]
        placed = {n: place for place, n in enumerate(kept)}
        return said, _Grid(
            [self.header[n] for n in kept],
            [[row[n] for n in kept] for row in self.rows],
            frozenset(placed[n] for n in self.wraps if n in placed),
            frozenset(placed[n] for n in self.counts if n in placed),
        )

    def turned(self) -> _Grid:
        """A column of names, and a column for each row."""
        rows = [[Text(name, style="bold"), *(row[n] for row in self.rows)] for n, name in enumerate(self.header)]
        return _Grid([""] * (len(self.rows) + 1), rows)

    def alone(self, number: int) -> _Grid:
        """One row, upright, less what is empty in it."""
        rows = [row for row in _Grid(self.header, [self.rows[number]]).turned().rows if row[1].plain]
        return _Grid(["", ""], rows, wraps=frozenset({1}))

    def table(self, gap: int, room: int) -> Table:
        """Lay it out: the columns that want the least more than they need get it first."""
        spare, widths = max(0, room - self.narrowest(gap)), {}
        wanting = sorted(range(len(self.header)), key=lambda n: self._width(n) - self._least(n))
        for place, n in enumerate(wanting):
            more = min(self._width(n) - self._least(n), spare // (len(wanting) - place))
            widths[n], spare = self._least(n) + more, spare - more
        table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold")
        table.show_header = any(self.header)
        for n, name in enumerate(self.header):
            table.add_column(Text(name), justify="right" if n in self.counts else "left", width=widths[n])
            table.columns[n].overflow = "fold"
        for row in self.rows:
            table.add_row(*row)
        return table

    def _width(self, n: int) -> int:
        return max(1, cell_len(self.header[n]), *(row[n].cell_len for row in self.rows))

    def _least(self, n: int) -> int:
        natural = self._width(n)
        if n not in self.wraps:
            return natural
        words = " ".join((self.header[n], *(row[n].plain for row in self.rows))).split()
        longest = max(map(cell_len, words), default=1)
        return min(natural, max(min(longest, _STRIP), min(natural // 4, _STRIP)))


def _grid(rows: Rows) -> _Grid:
    places = {name: n for n, name in enumerate(rows.header)}
    return _Grid(
        [plain(name) for name in rows.header],
        [[cell if isinstance(cell, Text) else Text(_said(cell)) for cell in row] for row in rows.rows],
        frozenset(places[name] for name in rows.wraps),
        frozenset(places[name] for name in rows.counts),
    )


def _said(cell: object) -> str:
    return "" if cell is None else plain(cell, _CELL)
