"""What persons decide about breaks, from a shell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from integrity.cli_ledger import JSON, LEDGER, ledger_group, listed_as_json, named_ledger, opened_ledger, saying, short
from integrity.screens import Rows, say, screen
from integrity.shown import counted

__all__ = ["confirm", "dispose", "lift", "propose", "refuse", "reopen", "require", "trace"]

_Command = Callable[..., int]
_KINDS = ("corrected", "timing", "accepted", "false-positive")
_BREAKS = click.argument("breaks", nargs=-1, required=True, metavar="BREAK...")
_BY = saying("--by", required=True, metavar="PERSON", help="Who decides it.")
_REASON = saying("--reason", required=True, metavar="TEXT", help="Why.")
_RULED = click.argument("kinds", nargs=-1, required=True, metavar="KIND...", type=click.Choice(_KINDS))


def _deciding(command: _Command) -> _Command:
    """What is decided, why, and on what."""
    for option in (
        _BY,
        saying("--control", metavar="TEXT", help="The compensating control, of what is accepted."),
        saying("--reference", required=True, metavar="REFERENCE", help="Where it was discussed."),
        _REASON,
        click.option("--as", "kind", required=True, type=click.Choice(_KINDS), help="As what."),
        LEDGER,
        _BREAKS,
    ):
        command = option(command)
    return command


def _told(verb: str, leaves: list[int]) -> int:
    where = f"leaf {leaves[0]}" if len(leaves) == 1 else f"leaves {leaves[0]} to {leaves[-1]}"
    say(f"{verb} {counted(len(leaves), 'break')}, in {where}")
    return 0


@ledger_group.command()
@_deciding
def dispose(breaks: tuple[str, ...], url: str | None, kind: str, **said: Any) -> int:
    """Dispose of breaks, as `integrity ledger breaks` names them. No verdict changes by it."""
    from integrity.ledger import casework

    return _told("disposed of", casework.dispose(opened_ledger(url), breaks, kind, **said))


@ledger_group.command()
@_deciding
def propose(breaks: tuple[str, ...], url: str | None, kind: str, **said: Any) -> int:
    """Propose a disposition of breaks, for somebody else to confirm or refuse."""
    from integrity.ledger import casework

    return _told("proposed a disposition of", casework.propose(opened_ledger(url), breaks, kind, **said))


@ledger_group.command()
@_BREAKS
@LEDGER
@_BY
def confirm(breaks: tuple[str, ...], url: str | None, by: str) -> int:
    """Confirm what was proposed of breaks, by which they are disposed of."""
    from integrity.ledger import casework

    return _told("confirmed the disposition of", casework.confirm(opened_ledger(url), breaks, by=by))


@ledger_group.command()
@_BREAKS
@LEDGER
@_REASON
@_BY
def refuse(breaks: tuple[str, ...], url: str | None, reason: str, by: str) -> int:
    """Refuse what was proposed of breaks: they are open as before."""
    from integrity.ledger import casework

    return _told("refused the disposition of", casework.refuse(opened_ledger(url), breaks, reason=reason, by=by))


@ledger_group.command()
@_BREAKS
@LEDGER
@_REASON
@_BY
def reopen(breaks: tuple[str, ...], url: str | None, reason: str, by: str) -> int:
    """Reopen breaks that were disposed of."""
    from integrity.ledger import casework

    return _told("reopened", casework.reopen(opened_ledger(url), breaks, reason=reason, by=by))


@ledger_group.command()
@_RULED
@LEDGER
@_REASON
@_BY
def require(kinds: tuple[str, ...], url: str | None, reason: str, by: str) -> int:
    """Rule that dispositions of these kinds have to be confirmed by somebody else."""
    from integrity.ledger import casework

    leaf = casework.require(opened_ledger(url), kinds, by=by, reason=reason)
    say(f"from now on somebody else has to confirm {', '.join(kinds)}, as leaf {leaf} says")
    return 0


@ledger_group.command()
@_RULED
@LEDGER
@_REASON
@_BY
def lift(kinds: tuple[str, ...], url: str | None, reason: str, by: str) -> int:
    """Rule that dispositions of these kinds need no confirmation any more."""
    from integrity.ledger import casework

    leaf = casework.lift(opened_ledger(url), kinds, by=by, reason=reason)
    say(f"from now on nobody has to confirm {', '.join(kinds)}, as leaf {leaf} says")
    return 0


@ledger_group.command()
@click.argument("name", metavar="BREAK")
@LEDGER
@JSON
def trace(name: str, url: str | None, as_json_: bool) -> int:
    """Everything on record of one break: who found it, what became of it, who decided what."""
    from integrity.ledger.cases import trace as traced

    found = traced(named_ledger(url), name)
    if as_json_:
        return listed_as_json(found.to_dicts())
    names = ("leaf", "when (UTC)", "what", "run", "by", "logged in", "reference", "why")
    rows = []
    for row in found.iter_rows(named=True):
        what = row["what"] + (f" as {row['disposition']}" if row["disposition"] else "")
        why = [row["reason"] or "", f"control: {row['control']}" if row["control"] else ""]
        told = [row["run"], row["by"], row["operator"], row["reference"], "; ".join(filter(None, why))]
        rows.append([row["leaf"], short(row["at"]), what, *told])
    screen().print(Rows(names, rows, wraps={"when (UTC)", "what", "logged in", "reference", "why"}, counts={"leaf"}))
    return 0
