"""Contracts, from a shell: which there are, what they say, and the draft of a new one."""

from __future__ import annotations

from pathlib import Path

import click

from integrity.screens import screen

__all__ = ["contract_group"]


@click.group(name="contract")
def contract_group() -> None:
    """Contracts: what a pipeline promises."""


@contract_group.command(name="list")
def list_() -> int:
    """The built-in contracts."""
    from integrity.contracts import Contract, builtin_contracts

    for name, path in sorted(builtin_contracts().items()):
        screen().print(f"{name:<12} {Contract.from_yaml(path).about}", soft_wrap=True)
    return 0


@contract_group.command()
@click.argument("name")
def show(name: str) -> int:
    """Print a contract as it was written."""
    from integrity.contracts import builtin_contracts
    from integrity.contracts import contract as find

    found = find(name)
    path = builtin_contracts().get(name) or Path(name)
    click.echo(path.read_text(encoding="utf-8").rstrip())
    click.echo(f"# sha256 {found.sha256}")
    return 0


@contract_group.command()
@click.argument("file")
def check(file: str) -> int:
    """Read a contract strictly and say what it promises."""
    from integrity.contracts import contract as find

    found = find(file)
    if found.validity:
        from integrity.validity.asked import sound

        sound(found)
    promised = ", ".join(assertion.value for assertion in found.assertions)
    click.echo(f"{found.name} version {found.version}: sound. Promises {promised}.\nsha256 {found.sha256}")
    return 0


@contract_group.command()
@click.argument("source")
@click.argument("destination")
@click.option("--name", default="draft", show_default=True, help="The contract's name.")
def init(source: str, destination: str, name: str) -> int:
    """Draft a contract from what the two sides hold; correct it before you rely on it."""
    from integrity.drafts import draft

    click.echo(draft(source, destination, name).rstrip())
    return 0
