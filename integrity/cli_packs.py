"""Evidence packs, from a shell: written from a ledger, and verified and performed again without one."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from integrity.cli_ledger import LEDGER, checkpoints_in, ledger_group, opened_ledger
from integrity.screens import say

__all__ = ["export", "reperform_command", "verify_command"]


@ledger_group.command()
@click.argument("target", type=click.Path(path_type=Path))
@LEDGER
@click.option("--run", metavar="RUN", help="One run, by its name or the beginning of it.")
@click.option("--period", metavar="PERIOD", help="All runs that began in 2026, 2026-11, 2026-11-23 or TIME/TIME.")
@click.option(
    "--pseudonymise", metavar="KEYFILE", type=click.Path(dir_okay=False), help="Name nobody; the key is made if absent."
)
@click.option(
    "--seal-keys", metavar="FILE", type=click.Path(dir_okay=False), help="Where the keys of seals are written."
)
@click.option("--kept-until", metavar="DATE", help="Until when the data is kept, and can be reconciled again.")
def export(
    target: Path,
    url: str | None,
    run: str | None,
    period: str | None,
    pseudonymise: str | None,
    seal_keys: str | None,
    kept_until: str | None,
) -> int:
    """Write an evidence pack to TARGET: a folder, or a file that ends in .zip."""
    from integrity.ledger.status import period_of
    from integrity.packs import export as exported

    first, last = (None, None) if period is None else period_of(period, dt.datetime.now(dt.UTC))
    book = opened_ledger(url)
    path = exported(
        book,
        target,
        run=run,
        since=first,
        until=last,
        pseudonymise=pseudonymise,
        seal_keys=seal_keys,
        kept_until=kept_until,
    )
    say(f"wrote {path}", f"signed by {book.key.public}")
    return 0


@click.command(name="verify")
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("--key", metavar="KEY", help="The public key that its owner told, as text: name+id+base64.")
@click.option(
    "--checkpoint", "held", multiple=True, type=click.Path(path_type=Path), help="One that is held elsewhere."
)
def verify_command(pack: Path, key: str | None, held: tuple[Path, ...]) -> int:
    """Verify the evidence pack PACK, offline, without the ledger and without the data."""
    from integrity.ledger.keys import PublicKey
    from integrity.packs import verify_pack

    found = verify_pack(pack, key=None if key is None else PublicKey.from_text(key), held=checkpoints_in(held))
    say(found.headline())
    for flaw in found.flaws[1:20]:
        say(f"  {flaw}")
    for deviation in found.told.get("deviations", ()):
        say(f"deviation: {deviation}")
    return found.exit_code


@click.command(name="reperform")
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("--source", required=True, metavar="STORE", help="The source as it is now.")
@click.option("--destination", required=True, metavar="STORE", help="The destination as it is now.")
@click.option("--run", metavar="RUN", help="Which run of the pack, where there are several.")
@click.option("--grants", metavar="STORE", help="As for reconcile.")
@click.option("--outcomes", metavar="STORE", help="As for reconcile.")
@click.option("--members", metavar="STORE", help="As for reconcile.")
@click.option("--corrections", metavar="STORE", help="As for reconcile.")
@click.option("--ledger-key", metavar="FILE", type=click.Path(dir_okay=False), help="To compare hash totals, too.")
def reperform_command(
    pack: Path, source: str, destination: str, run: str | None, ledger_key: str | None, **references: str | None
) -> int:
    """Perform a run of the evidence pack PACK again, and compare what is found."""
    from integrity.reperformance import reperform

    given = {name: store for name, store in references.items() if store is not None}
    found = reperform(pack, source, destination, run=run, key=ledger_key, **given)
    say(found.headline())
    for difference in found.differences[1:20]:
        say(f"  {difference}")
    return found.exit_code
