"""How does a report become one page that opens anywhere, offline, and is worth sending?

HTML of one file: no script, no request to anywhere, pictures within. Nothing that came from the data can become markup
or move what stands beside it. What is shown of a million breaks are the first of each kind.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Final

from integrity.harmless import plain
from integrity.report.facts import Facts
from integrity.report.reader import Reader
from integrity.report.view import View

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["NOT_CLAIMED", "environment", "page"]

#: What no report claims, in the order in which it says so.
NOT_CLAIMED: Final = (
    "not.capture",
    "not.material",
    "not.columns",
    "not.clocks",
    "not.runs",
    "not.evidence",
)
_PAGES: Final = Path(__file__).parent / "pages"


def page(facts: Facts, *, language: str = "en", zone: str = "UTC", made: dt.datetime | None = None) -> str:
    """Return the report of one run as a page.

    Args:
        facts: What is known of it.
        language: ``en`` or ``ko``.
        zone: The time zone in which moments are told.
        made: When the page was made; now if left out.

    Raises:
        UsageError: there is no such language or zone.
    """
    reader = Reader.of(language, zone)
    return (
        environment(reader)
        .get_template("result.html.j2")
        .render(
            f=facts,
            v=View(facts, reader),
            not_claimed=NOT_CLAIMED,
            made=made or dt.datetime.now(dt.UTC),
        )
    )


def environment(reader: Reader) -> Environment:
    """Return what fills a page: every value is escaped, and a name that is missing is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(loader=FileSystemLoader(_PAGES), autoescape=True, undefined=StrictUndefined)
    css = (_PAGES / "page.css").read_text(encoding="utf-8")
    made.globals.update(r=reader, p=plain, lines=_lines, css=Markup(css))  # noqa: S704 - our own file
    return made


def _lines(text: str) -> str:
    """Text of several lines, each of them harmless."""
    return "\n".join(plain(line, 4_000) for line in text.splitlines())
