"""How does a value show itself to a person, in a notebook and in a terminal?

Short first, and detail on demand: a title, what is known of it, and behind it tables that open. Whatever came from the
data is one harmless line: it can neither become markup nor move the cursor.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final, Self

from integrity.harmless import plain

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Card", "Count", "Shown", "Table", "counted"]

_CELL: Final = "text-align:left;vertical-align:top;padding:.1em .8em .1em 0"
_WIDTH: Final = 200
#: So many rows of a table stand in a terminal, where nothing can be folded away: three breaks of each kind do.
_LINES: Final = 24


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return how many there are of something.

    Example:
        >>> counted(1, "break"), counted(1200, "break"), counted(0, "batch", "batches")
        ('1 break', '1,200 breaks', '0 batches')
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


class Count(str):
    """A number as its readers write it, which knows which form of a word goes with it.

    Example:
        >>> "{n} {n:batch is|batches are} open".format(n=Count("1", 1))
        '1 batch is open'
    """

    _one: bool

    def __new__(cls, text: str, value: int) -> Self:
        """Write a number."""
        made = super().__new__(cls, text)
        made._one = value == 1
        return made

    def __format__(self, spec: str) -> str:
        """Return the number, or of the two words between which there is a bar the one that goes with it."""
        one, bar, many = spec.partition("|")
        return (one if self._one else many) if bar else super().__format__(spec)

    def __html_format__(self, spec: str) -> str:
        """Return the same where a phrase is filled as HTML; it has no markup."""
        return format(self, spec)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that open on demand.

    Attributes:
        title: What they are, and of how many.
        header: The names of the columns.
        rows: The cells.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True, slots=True)
class Card:
    """What a value shows of itself.

    Attributes:
        title: One sentence.
        facts: What is known of it, by name.
        tables: What may be looked at besides.

    Example:
        >>> Card("<two>", [("rows", 2)]).html().count("&lt;two&gt;")
        1
    """

    title: str
    facts: Sequence[tuple[str, object]] = ()
    tables: Sequence[Table] = ()

    def html(self) -> str:
        """Return it for a notebook: no script, nothing from elsewhere."""
        facts = "".join(
            f'<tr><th scope="row" style="{_CELL}">{_text(name)}</th><td style="{_CELL}">{_text(value)}</td></tr>'
            for name, value in self.facts
        )
        return (
            f'<div class="integrity"><p><strong>{_text(self.title, 400)}</strong></p>'
            f"{f'<table><tbody>{facts}</tbody></table>' if facts else ''}{''.join(map(_table, self.tables))}</div>"
        )

    def rich(self) -> RenderableType:
        """Return it for a terminal."""
        from rich.console import Group
        from rich.table import Table as Grid
        from rich.text import Text

        from integrity.screens import Rows

        def lines() -> Iterator[RenderableType]:
            yield Text(plain(self.title, 400), style="bold")
            facts = Grid.grid(padding=(0, 2))
            for name, value in self.facts:
                facts.add_row(Text(f"  {plain(name)}", style="dim"), Text(plain(value, _WIDTH)))
            yield facts
            for table in self.tables:
                yield Text(f" {plain(table.title, 400)}", style="italic")
                told = [[plain(cell, _WIDTH) for cell in row] for row in table.rows[:_LINES]]
                yield Rows(table.header, told, wraps=table.header)
                if len(table.rows) > _LINES:
                    yield Text(f" … and {len(table.rows) - _LINES:,} more of these", style="dim")

        return Group(*lines())


class Shown:
    """What shows itself by a card, wherever it is looked at."""

    @abstractmethod
    def card(self) -> Card:
        """Return what it shows of itself."""

    def _repr_html_(self) -> str:
        return self.card().html()

    def __rich__(self) -> RenderableType:
        return self.card().rich()


def _text(value: object, width: int = _WIDTH) -> str:
    return escape(plain(value, width))


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    head = "".join(f'<th scope="col" style="{_CELL}">{_text(name)}</th>' for name in table.header)
    cells = ("".join(f'<td style="{_CELL}"><bdi>{_text(cell)}</bdi></td>' for cell in row) for row in table.rows)
    rows = "".join(f"<tr>{row}</tr>" for row in cells)
    return (
        f"<details><summary>{_text(table.title, 400)}</summary>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></details>"
    )
