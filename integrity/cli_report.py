"""The report's verbs, from a shell: of a run that is on record, and of an evidence pack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from integrity.cli_ledger import LEDGER, ledger_group, named_ledger
from integrity.outputs import check_folders, check_targets, files_of_ledger
from integrity.screens import say
from integrity.writing import write_atomically

__all__ = ["report_command"]

_Command = Callable[..., int]


def _page_options(command: _Command) -> _Command:
    """Where the page is written, for whom, and in whose time."""
    for option in (
        click.option("--zone", default="UTC", show_default=True, metavar="ZONE", help="In which time zone."),
        click.option("--lang", default="en", show_default=True, metavar="LANG", help="en or ko."),
        click.option("--html", required=True, metavar="FILE", help="Where to."),
    ):
        command = option(command)
    return command


@ledger_group.command(name="report")
@click.argument("run", required=False)
@LEDGER
@click.option("--pipeline", metavar="NAME", help="The latest run of this pipeline, where no RUN is named.")
@_page_options
def ledger_report(run: str | None, url: str | None, pipeline: str | None, html: str, lang: str, zone: str) -> int:
    """Write the report of RUN, or of the latest that finished, as one page of HTML."""
    from integrity.ledger.recorded import recorded

    check_folders(check_targets({"--html": html}, files_of_ledger(named_ledger(url))))
    chosen = recorded(named_ledger(url), run, pipeline=pipeline)
    chosen.to_html(html, lang=lang, zone=zone)
    say(f"run {chosen.name}: {chosen.verdict}; wrote {html}")
    return 0


@click.command(name="report")
@click.argument("pack", type=click.Path(path_type=Path))
@_page_options
def report_command(pack: Path, html: str, lang: str, zone: str) -> int:
    """Write the report of the evidence pack PACK as one page of HTML, made anew from its files."""
    from integrity.packs.reporting import report

    check_folders(check_targets({"--html": html}, {"the pack": pack}))
    text: Any = report(pack, lang=lang, zone=zone)
    write_atomically(html, text)
    say(f"the pack fits together; wrote {html}")
    return 0
