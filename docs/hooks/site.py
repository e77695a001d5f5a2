"""What the site's build adds to the theme: the page of commands, and what a screen reader misses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click

#: Where the page of commands has its commands.
COMMANDS = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Write the commands from what they say of themselves, so that the page cannot say anything else."""
    if COMMANDS not in markdown:
        return markdown
    from integrity.cli import cli

    return markdown.replace(COMMANDS, "\n".join(_told(cli, "integrity")))


def on_page_content(html: str, **_: Any) -> str:
    """A table without words at its head has cells there, which are no headers of nothing."""
    return re.sub(r"<th( [^>]*)?></th>", "<td></td>", html)


def on_post_page(output: str, **_: Any) -> str:
    """Give the theme's search a name."""
    return output.replace('data-md-component="search" role="dialog"', 'data-md-component="search" aria-label="Search"')


def _told(command: click.Command, path: str) -> Iterator[str]:
    """The Markdown of a command and of those below it."""
    context = click.Context(command, info_name=path)
    level = min(2 + path.count(" "), 4) if path != "integrity" else 2
    yield f"{'#' * level} {path}\n"
    yield f"{(command.help or '').strip()}\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _told(below, f"{path} {name}")
        return
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```\n{path} {usage}\n```\n"
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    if options:
        yield "| option | |\n|---|---|"
        yield from (_row(each, context) for each in options)
        yield ""


def _row(option: click.Option, context: click.Context) -> str:
    names, said = option.get_help_record(context) or ("", "")
    if option.envvar:
        said += f" Or the variable `{option.envvar}`."
    return f"| `{_cell(names)}` | {_cell(said)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
