"""The ledger's verbs, from a shell."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from integrity.errors import LedgerError, UsageError
from integrity.harmless import json_text
from integrity.screens import Rows, say, screen
from integrity.shown import counted

__all__ = [
    "JSON",
    "LEDGER",
    "checkpoints_in",
    "ledger_group",
    "listed_as_json",
    "named_ledger",
    "opened_ledger",
    "saying",
    "short",
    "status_command",
]

#: Of fewer pipelines than that the status is a column each.
_MANY: Final = 4
#: For which verbs there is a form for other tools.
JSON = click.option("--json", "as_json_", is_flag=True, help="For other tools: a list, with times in ISO 8601.")
_Command = TypeVar("_Command", bound=Callable[..., Any])
#: How some of what is said on record looks.
_SUCH: Final = {"--by": "kim", "--reference": "T-117", "--ticket": "T-117", "--approver": "lee"}
#: By which option each verb is told where the ledger is.
LEDGER = click.option(
    "--ledger", "url", envvar="INTEGRITY_LEDGER", metavar="URL", help="sqlite:///ledger.db, postgresql://…, or a path."
)


def listed_as_json(rows: Iterable[Mapping[str, Any]]) -> int:
    """Print rows for other tools, under the names that they have in Python."""
    click.echo(json_text([dict(row) for row in rows]))
    return 0


def saying(option: str, **more: Any) -> Callable[[_Command], _Command]:
    """Return an option whose text comes on record: it says something, and a screen shows it as it is."""
    such = _SUCH.get(option, "'…'")

    def check(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
        if text is not None and not text.strip():
            raise UsageError(f"{option} says nothing", f"write it out, as in {option} {such}")
        if text is not None and not " ".join(text.split()).isprintable():
            raise UsageError(f"{option} holds signs that no screen shows", "write it as plain text")
        return text

    return click.option(option, callback=check, **more)


@click.group(name="ledger")
def ledger_group() -> None:
    """What was found on any day, provably unchanged since. --ledger URL, or INTEGRITY_LEDGER."""


def named_ledger(url: str | None) -> str:
    """Return the URL of a ledger that was named.

    Raises:
        UsageError: none was.
    """
    if not url:
        raise UsageError("no ledger is named", "give --ledger URL, or set INTEGRITY_LEDGER")
    return url


def opened_ledger(url: str | None, environment: str | None = None) -> Any:
    """Open a ledger that is there, to write to it."""
    from integrity.ledger import Ledger
    from integrity.ledger.database import Database

    named = named_ledger(url)
    if Database.at(named).layout is None:  # one of an older layout is brought up to date when it is opened
        raise LedgerError(f"there is no ledger at {Database.at(named).location}", "integrity ledger init makes one")
    return Ledger.open(named, environment=environment)


@ledger_group.command()
@LEDGER
@click.option("--origin", metavar="NAME", help="Its name, as checkpoints show it; such as acme.example/integrity.")
def init(url: str | None, origin: str | None) -> int:
    """Begin a ledger, with its tables and its key."""
    from integrity.ledger import Ledger
    from integrity.ledger.database import Database

    named = named_ledger(url)
    if Database.at(named).layout is not None:
        raise LedgerError(f"there is a ledger at {Database.at(named).location} already", "name another place")
    book = Ledger.open(named, origin=origin)
    say(f"began {book.location}", f"key    {book.key.public}", "Give this key to whoever is to verify it.")
    return 0


@ledger_group.command()
@LEDGER
def upgrade(url: str | None) -> int:
    """Bring a ledger of an older version up to date: tables are added, and what is recorded stays as it is."""
    from integrity.ledger.database import Database
    from integrity.ledger.schema import LAYOUT

    database = Database.at(named_ledger(url))
    before = database.layout
    if before is None:
        raise LedgerError(f"there is no ledger at {database.location}", "integrity ledger init makes one")
    if before != LAYOUT:
        database.upgrade()
    say(f"{database.location} has layout {LAYOUT}" + (f", it was {before}" if before != LAYOUT else " already"))
    return 0


@ledger_group.command()
@LEDGER
@click.option("--pipeline", metavar="NAME", help="Of one pipeline.")
@click.option("--last", type=click.IntRange(min=1), default=20, show_default=True, help="How many.")
@JSON
def runs(url: str | None, pipeline: str | None, last: int, as_json_: bool) -> int:
    """The runs on record, the latest first."""
    from integrity.ledger.listing import runs as listed

    found = listed(named_ledger(url), pipeline=pipeline, last=last)
    if as_json_:
        return listed_as_json(found.to_dicts())
    names = ("run", "pipeline", "environment", "began (UTC)", "ended", "verdict", "breaks")
    rows = [
        (row["run"], row["pipeline"], row["environment"], short(row["at"]), row["how"] or "never", row["verdict"],
         f"{row['breaks']:,}")
        for row in found.iter_rows(named=True)
    ]  # fmt: skip
    screen().print(Rows(names, rows, wraps={"pipeline", "began (UTC)"}, counts={"breaks"}))
    return 0


@ledger_group.command()
@click.argument("run")
@LEDGER
def show(run: str, url: str | None) -> int:
    """One run, by its name or the beginning of it: what was in force, what was found."""
    from integrity.ledger.listing import run_of

    click.echo(json_text(run_of(named_ledger(url), run)))
    return 0


@ledger_group.command()
@LEDGER
@click.option("--pipeline", metavar="NAME", help="Of one pipeline.")
@click.option(
    "--state",
    type=click.Choice(["open", "healed", "withdrawn", "cleared", "all"]),
    default="open",
    show_default=True,
    help="What became of them.",
)
@click.option(
    "--case",
    type=click.Choice(["open", "proposed", "disposed", "awaiting-run", "reopened", "open-again", "closed"]),
    help="What is to be done about them; all if left out.",
)
@click.option("--identities", is_flag=True, help="Show whose they are. They may be private.")
@click.option("--last", type=click.IntRange(min=1), default=50, show_default=True, help="How many.")
@JSON
def breaks(
    url: str | None, pipeline: str | None, state: str, case: str | None, identities: bool, last: int, as_json_: bool
) -> int:
    """The breaks on record, what became of them and what was decided, the oldest first."""
    from integrity.ledger.cases import ageing
    from integrity.ledger.listing import breaks as listed

    frame = listed(named_ledger(url), pipeline=pipeline)
    undecided = ageing(frame)
    frame = frame if state == "all" else frame.filter(state=state)
    frame = frame if case is None else frame.filter(case=case)
    if as_json_:
        return listed_as_json(_with_identity(row, identities) for row in frame.head(last).to_dicts())
    names = ["break", "pipeline", "kind", "batch (UTC)", "first found", "days", "state", "case", "decided"]
    rows = []
    for row in frame.head(last).iter_rows(named=True):
        batch, found = short(row["batch_start"]) or "untimed", short(row["first_at"])
        decided = f"{row['disposition']} by {row['by']}" if row["disposition"] else ""
        decided += f", confirmed by {row['confirmed_by']}" if row["confirmed_by"] else ""
        told = [row["id"], row["pipeline"], row["kind"], batch, found, f"{row['age']:.1f}", row["state"], row["case"]]
        rows.append([*told, decided, *([row["identity"] or "erased"] if identities else [])])
    wraps = {"pipeline", "batch (UTC)", "first found", "decided"}
    if identities:
        names, wraps = [*names, "identity"], wraps | {"identity"}
    screen().print(Rows(names, rows, wraps=wraps, counts={"days"}))
    say(counted(frame.height, "break") + (f", the first {last:,} shown" if frame.height > last else ""))
    ages = ", ".join(f"{count:,} {name}" for name, count in undecided.items())
    if any(undecided.values()):
        say(f"nothing is decided about {counted(sum(undecided.values()), 'open break')}: {ages}")
    return 0


def _with_identity(row: dict[str, Any], asked: bool) -> dict[str, Any]:
    """A break with its identity as an object, or without it: it may be private."""
    told = {name: value for name, value in row.items() if name != "identity"}
    return told | {"identity": row["identity"] and json.loads(row["identity"])} if asked else told


@ledger_group.command()
@LEDGER
@click.option(
    "--checkpoint", "held", multiple=True, type=click.Path(path_type=Path), help="One that is held elsewhere."
)
@click.option("--key", metavar="KEY", help="The public key that its owner told, as text: name+id+base64.")
@click.option("--all", "every", is_flag=True, help="Name everything that does not fit, not only the first.")
def verify(url: str | None, held: tuple[Path, ...], key: str | None, every: bool) -> int:
    """Compute everything again, and name the first row that was changed, removed, inserted or reordered."""
    from integrity.ledger import verify as verified
    from integrity.ledger.keys import PublicKey

    found = verified(
        named_ledger(url), held=checkpoints_in(held), key=None if key is None else PublicKey.from_text(key)
    )
    say(found.headline())
    for finding in found.findings[1:] if every else ():
        say(f"  {finding}")
    for run in found.unfinished:
        say(f"deviation: run {run} was begun and never ended")
    return found.exit_code


@ledger_group.command()
@click.argument("target")
@LEDGER
@saying("--party", metavar="NAME", help="Who holds it then, as reports will say.")
def send(target: str, url: str | None, party: str | None) -> int:
    """Send the checkpoint to TARGET: a file, a folder, https://…, or rfc3161+https://… (a time stamp)."""
    from integrity.ledger.anchors import send as sent

    checkpoint = sent(opened_ledger(url), target, party=party)
    say(f"checkpoint {checkpoint.size:,} is with {party or target}")
    return 0


@ledger_group.command()
@click.argument("contract")
@LEDGER
@saying("--approver", required=True, metavar="PERSON", help="Who approves it.")
@saying("--ticket", required=True, metavar="REFERENCE", help="Where that was discussed.")
@saying("--author", metavar="PERSON", help="Who wrote it.")
@click.option(
    "--from", "effective", metavar="TIME", help="From when on it is in force, with its offset; now if left out."
)
def approve(
    contract: str, url: str | None, approver: str, ticket: str, author: str | None, effective: str | None
) -> int:
    """Record that CONTRACT is approved."""
    from integrity.contracts import contract as find
    from integrity.ledger.changing import approve as approved

    moment = None
    if effective is not None:
        try:
            moment = dt.datetime.fromisoformat(effective)
        except ValueError:
            raise UsageError(f"--from {effective!r} is no time", "write it as in 2026-03-01T00:00:00Z") from None
    promise = find(contract)
    leaf = approved(opened_ledger(url), promise, approver=approver, ticket=ticket, author=author, effective_from=moment)
    say(f"{promise.name} version {promise.version} (sha256 {promise.sha256}) is approved, in leaf {leaf}")
    return 0


@ledger_group.command()
@LEDGER
@click.option("--period", metavar="PERIOD", help="2026, 2026-11, 2026-11-23; all if left out.")
@JSON
def changes(url: str | None, period: str | None, as_json_: bool) -> int:
    """What changed in contracts, mappings and software, and what was approved."""
    from integrity.ledger.changing import changes as listed
    from integrity.ledger.status import period_of

    first, last = (None, None) if period is None else period_of(period, dt.datetime.now(dt.UTC))
    names = ("when (UTC)", "pipeline", "what", "before", "after")
    told = listed(named_ledger(url), first, last)
    if as_json_:
        return listed_as_json(asdict(each) for each in told)
    rows = [(short(each.at), each.pipeline, each.what, each.before, each.after) for each in told]
    screen().print(Rows(names, rows, wraps=names))
    return 0


@ledger_group.command()
@LEDGER
@click.option("--where", multiple=True, metavar="COLUMN=VALUE", help="Of which items; all must hold.")
@click.option("--break", "breaks", multiple=True, metavar="BREAK", help="Of which break, as ledger breaks names it.")
@saying("--basis", required=True, metavar="TEXT", help="On what basis: a request, a law.")
@saying("--by", required=True, metavar="PERSON", help="Who decided it.")
def erase(url: str | None, where: tuple[str, ...], breaks: tuple[str, ...], basis: str, by: str) -> int:
    """Erase what names a person's items; counts and verdicts stay, and the log says that it was done."""
    from integrity.ledger.erasing import erase as erased

    named = {}
    for text in where:
        column, equals, value = text.partition("=")
        if not (column and equals):
            raise UsageError(f"--where {text!r} is not COLUMN=VALUE", "write for example --where member_id=kim")
        named[column] = value
    count = erased(opened_ledger(url), named, basis=basis, by=by, breaks=breaks)
    say(f"erased {count:,} private texts" if count else "nothing private of such items is on record")
    return 0


@ledger_group.command()
@LEDGER
@click.option("--keep", required=True, metavar="DURATION", help="How long private texts are kept, such as 400d.")
@saying("--basis", required=True, metavar="TEXT", help="The retention policy.")
@saying("--by", required=True, metavar="PERSON", help="Who decided it.")
def expire(url: str | None, keep: str, basis: str, by: str) -> int:
    """Erase what is private of runs that are older than it is to be kept."""
    from integrity.ledger.erasing import expire as expired
    from integrity.windows import parse_duration

    try:
        age = dt.timedelta(microseconds=parse_duration(keep))
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--keep: {error}") from None
    count = expired(opened_ledger(url), age, basis=basis, by=by)
    say(f"erased {count:,} private texts")
    return 0


@ledger_group.command(name="rotate-key")
@click.argument("new_key", type=click.Path(dir_okay=False, path_type=Path))
@LEDGER
def rotate_key(new_key: Path, url: str | None) -> int:
    """Let a new key, which is made in the file NEW_KEY, take over."""
    from integrity.ledger.rotating import rotate

    book = rotate(opened_ledger(url), new_key)
    say(f"from now on {book.key.public} signs; set INTEGRITY_LEDGER_KEY to {new_key}")
    return 0


@click.command(name="status")
@LEDGER
@click.option("--period", metavar="PERIOD", help="2026, 2026-11, 2026-11-23, or TIME/TIME; today if left out.")
@click.option("--pipeline", metavar="NAME", help="Of one pipeline.")
@click.option("--json", "as_json_", is_flag=True, help="For other tools.")
def status_command(url: str | None, period: str | None, pipeline: str | None, as_json_: bool) -> int:
    """What is open, judged, missed, late or unverified, in one screen."""
    from integrity.ledger.status import WINDOWS, as_json, by_verdict, status

    found = status(named_ledger(url), period=period, pipeline=pipeline)
    if as_json_:
        click.echo(as_json(found))
        return found.exit_code
    first, last = (moment.strftime("%Y-%m-%d %H:%M") for moment in (found.since, found.until))
    say(f"{first} to {last} {found.since.tzname()}, as of {found.now.strftime('%Y-%m-%d %H:%M:%S')} UTC")
    untimed = ["untimed"] if any(each.untimed for each in found.pipelines) else []
    last_ones = (*untimed, "revised", "breaks", "undecided", "runs", "missed runs", "watermark")
    names, rows = ("pipeline", "due", "judged", *WINDOWS, *last_ones), []
    for each in found.pipelines:
        told = " ".join(f"{count:,} {state}" for state, count in sorted(each.breaks.items())) or "none"
        ended = " ".join(f"{count:,} {how}" for how, count in each.runs.items()) or "none"
        counts = [f"{each.windows.get(kind, 0):,}" for kind in WINDOWS]
        mark = short(each.watermark)
        beside = [by_verdict(each.untimed) or "none" for _ in untimed]
        numbers = (f"{each.due:,}", f"{each.judged:,}", *counts, *beside, f"{each.revised:,}")
        rows.append([each.pipeline, *numbers, told, f"{each.undecided:,}", ended, f"{each.missed_runs:,}", mark])
    if found.pipelines:
        table = Rows(names, rows, wraps={"pipeline", *untimed, "breaks", "runs", "watermark"})
        screen().print(table.turned() if len(rows) < _MANY else table)
    else:
        say("no run is on record")
    say(found.claim)
    return found.exit_code


def checkpoints_in(paths: tuple[Path, ...]) -> list[str]:
    """Read checkpoints that are held elsewhere."""
    texts = []
    for path in paths:
        try:
            texts.append(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read the checkpoint {path}: {error}", "name a file that is one") from error
    return texts


def short(moment: str | None) -> str:
    """A moment to the second, as a person reads it; all of them are UTC."""
    return "" if moment is None else moment[:19].replace("T", " ")
