"""The same verbs, from a shell.

Exit codes: 0 pass (open batches may be pending), 1 fail, 2 wrong usage, 3 unverified, 4 could not run, 130
interrupted. An error outranks a failure.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

import integrity.cli_casework  # its verbs join those of the ledger, as do those of the next
import integrity.cli_samples  # noqa: F401
from integrity.cli_contracts import contract_group
from integrity.cli_ledger import ledger_group, status_command
from integrity.cli_packs import reperform_command, verify_command
from integrity.cli_report import report_command
from integrity.errors import IntegrityError, UsageError
from integrity.harmless import plain
from integrity.screens import Rows, screen

__all__ = ["main"]

_HELP = {"help_option_names": ["-h", "--help"]}


class _UnreadError(Exception):
    """The reader of our output went away, as `| head` does."""


class _Group(click.Group):
    """Commands whose reader may go away: click would end with 1, which is the code of a finding."""

    def invoke(self, context: click.Context) -> Any:
        """Call the command."""
        try:
            return super().invoke(context)
        except BrokenPipeError as error:
            raise _UnreadError from error


@click.group(cls=_Group, context_settings=_HELP)
@click.version_option(package_name="processing-integrity", prog_name="integrity")
def cli() -> None:
    """Test that what went in came out: complete, unchanged, once, on time, and by whom it should."""


@cli.command()
@click.argument("directory", default="integrity-demo", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--day",
    "which",
    type=click.Choice(["message", "mail", "drive", "quarter", "all"]),
    default="all",
    show_default=True,
    help="Which day; or a quarter on record.",
)
@click.option("--items", default=200_000, show_default=True, help="How many messages the day of messages has.")
@click.option("--mails", default=3_000, show_default=True, help="How many mails the day of mail has.")
@click.option("--files", default=3_000, show_default=True, help="How many files the day of the drive has.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same days.")
def demo(directory: Path, which: str, items: int, mails: int, files: int, seed: int) -> int:
    """Realistic days of messages, of mail and of a drive, with planted faults, reconciled; they stay in DIRECTORY.

    Their runs are on record in its ledger.db, and a quarter of weekly runs in quarter/ledger.db.
    """
    from integrity import demo as days

    with _progress() as progress:
        made: list[days.Day | days.MailDay | days.DriveDay] = []
        if which in ("message", "all"):
            progress.step(f"writing a day of {items:,} messages")
            made.append(days.generate_day(directory, items=items, seed=seed))
        if which in ("mail", "all"):
            progress.step(f"writing a day of {mails:,} mails")
            made.append(days.generate_mail_day(directory / "mail", mails=mails, seed=seed))
        if which in ("drive", "all"):
            progress.step(f"writing a day of {files:,} files")
            made.append(days.generate_drive_day(directory / "drive", files=files, seed=seed))
    # The demo passes when it found what was planted, although the days it shows do not. Each is shown in any case.
    ledger = f"sqlite:///{directory}/ledger.db"
    exact = [_demonstrated(each, ledger, first=each is made[0]) for each in made]
    if which in ("quarter", "all"):
        _demonstrate_quarter(directory / "quarter", seed, first=not made)
    return 0 if all(exact) else 1


def _demonstrate_quarter(directory: Path, seed: int, *, first: bool) -> None:
    """Write a quarter of weekly runs, and say what may be looked at."""
    from integrity.demo.quarter import generate_quarter

    ledger, said = f"sqlite:///{directory}/ledger.db", "a quarter of orders is on record already"
    if not (directory / "ledger.db").exists():
        with _progress() as progress:
            results = generate_quarter(directory, seed=seed, progress=progress).results
        failed = sum(result.exit_code == 1 for result in results)
        said = f"a quarter of orders: {len(results)} weekly runs on record, {failed} found breaks"
    if not first:
        screen().print()
    screen().print(f"{said}; look at it:")
    for line in (
        f"integrity status --ledger {ledger} --period 2026-03",
        f"integrity ledger breaks --ledger {ledger}",
        f"integrity notebook quarter --ledger {ledger}",
    ):
        screen().print(f"  {line}", soft_wrap=True)


def _demonstrated(made: Any, ledger: str, *, first: bool) -> bool:
    """Reconcile a demo's day and show what was found of it; return whether that is what was planted, and no more."""
    from integrity.demo import compare
    from integrity.reconciliation import reconcile

    members, grants = getattr(made, "members", None), getattr(made, "grants", None)
    with _progress() as progress:
        result = reconcile(
            made.contract,
            source=made.source,
            destination=made.destination,
            grants=grants,
            outcomes=made.outcomes,
            members=members,
            as_of=made.as_of,
            values=made.telling,
            ledger=ledger,
            progress=progress,
        )
        result.to_json(made.directory / "result.json")
        result.to_html(made.directory / "report.html", zone="Asia/Seoul")
    if not first:
        screen().print()
    _show(result)
    compared = compare(made, result.breaks)
    screen().print(
        f"\nplanted {len(made.planted)} breaks in {len(compared.by_fault())} ways; found {len(compared.found)}, "
        f"missed {len(compared.missed)}, wrongly accused {len(compared.wrongly_accused)}"
    )
    unproven, left_open = made.counts.get("unverified", 0), result.totals["unverified"]
    if unproven or left_open:
        screen().print(f"planted {unproven} files whose content nobody can compare; unverified {left_open}")
    planted = [(fault, f"{found}/{total}", kinds, why) for fault, why, kinds, found, total in compared.by_fault()]
    screen().print(Rows(("planted", "found", "as", "what was done"), planted, wraps={"planted", "as", "what was done"}))
    for accused in compared.wrongly_accused[:10]:
        screen().print(f"wrongly accused: {accused}")
    screen().print(
        f"\nthe files are in {made.directory}/; open report.html, look at result.json, and try:", soft_wrap=True
    )
    listed = "".join(f"--{name} '{store}' " for name, store in (("members", members), ("grants", grants)) if store)
    screen().print(
        f"  integrity reconcile {made.contract} '{made.source}' '{made.destination}' \\\n"
        f"    {listed}--outcomes '{made.outcomes}' --as-of {made.as_of.isoformat()}",
        soft_wrap=True,
    )
    return bool(compared.exact) and unproven == left_open


@cli.command()
@click.argument("contract")
@click.argument("source")
@click.argument("destination")
@click.option("--since", metavar="TIME", help="First instant of event time, on a window boundary, with its offset.")
@click.option("--until", metavar="TIME", help="First instant no longer asked for.")
@click.option("--as-of", metavar="TIME", help="Decides which batches are closed; now if left out.")
@click.option("--grants", metavar="STORE", help="Who may act on what, since when and until when.")
@click.option("--outcomes", metavar="STORE", help="What became of items that ended elsewhere.")
@click.option(
    "--members", metavar="STORE", help="Which addresses are groups and aliases, of whom, since and until when."
)
@click.option("--corrections", metavar="STORE", help="Which changes of the destination were approved, and when.")
@click.option("--skip", multiple=True, metavar="ASSERTION[=WHY]", help="Leave a promise out, on the record.")
@click.option("--map", "maps", multiple=True, metavar="SIDE:THEIRS=OURS", help="Read a column under our name.")
@click.option("--timezone", "zones", multiple=True, metavar="SIDE=ZONE", help="How to read times without a zone.")
@click.option(
    "--pushdown",
    default="auto",
    metavar="MODE",
    help="auto, always or never: whether databases total their own items, so that only totals travel.",
)
@click.option("--rehash", is_flag=True, help="Read every file anew, whatever digests are remembered (?cache=FILE).")
@click.option("--explain", is_flag=True, help="Print how both sides would be read, with the SQL, and read nothing.")
@click.option("--values", is_flag=True, help="Show the values that differ. They may be private.")
@click.option("--ledger", metavar="URL", envvar="INTEGRITY_LEDGER", help="Put the run on record there.")
@click.option("--pipeline", metavar="NAME", help="As which pipeline it is recorded; the contract's name if left out.")
@click.option("--environment", metavar="NAME", help="production or test, whose runs never count.")
@click.option("--json", "json_", metavar="FILE", help="Write the result.")
@click.option("--html", metavar="FILE", help="Write it as a report for people.")
@click.option("--lang", metavar="LANG", help="Of the report: en, which it is if left out, or ko.")
@click.option("--zone", metavar="ZONE", help="In which time zone the report tells moments; UTC if left out.")
@click.option("--junit", metavar="FILE", help="Write it as JUnit XML, for CI.")
@click.option("--openlineage", metavar="FILE", help="Write it as an OpenLineage event.")
@click.option("--prometheus", metavar="FILE", help="Write it for Prometheus.")
def reconcile(
    contract: str,
    source: str,
    destination: str,
    since: str | None,
    until: str | None,
    as_of: str | None,
    grants: str | None,
    outcomes: str | None,
    members: str | None,
    corrections: str | None,
    skip: tuple[str, ...],
    maps: tuple[str, ...],
    zones: tuple[str, ...],
    pushdown: str,
    rehash: bool,
    explain: bool,
    values: bool,
    ledger: str | None,
    pipeline: str | None,
    environment: str | None,
    json_: str | None,
    html: str | None,
    lang: str | None,
    zone: str | None,
    junit: str | None,
    openlineage: str | None,
    prometheus: str | None,
) -> int:
    """Compare SOURCE with DESTINATION under CONTRACT (a built-in name or a YAML file)."""
    from integrity.reconciliation import reconcile as verb

    columns: dict[str, dict[str, str]] = {}
    for text in maps:
        side, _, pair = text.partition(":")
        theirs, equals, ours = pair.rpartition("=")
        if not (side and theirs and equals and ours):
            raise UsageError(
                f"--map {text!r} is not SIDE:THEIRS=OURS", "write for example --map source:msg_id=message_id"
            )
        columns.setdefault(side, {})[theirs] = ours
    arguments: dict[str, Any] = {
        "since": since,
        "until": until,
        "as_of": as_of,
        "grants": grants,
        "outcomes": outcomes,
        "members": members,
        "corrections": corrections,
        "skip": _pairs(skip, "left out on the command line"),
        "columns": columns,
        "timezone": _pairs(zones, None),
        "pushdown": pushdown,
        "rehash": rehash,
        "values": values,
    }
    if explain:
        from integrity.plan import explain as said

        click.echo(said(contract, source, destination, **arguments))
        return 0
    from integrity.contracts import file_of
    from integrity.jobs import check_reader, outputs_of
    from integrity.outputs import check_folders, check_targets, files_of_ledger

    if html is not None:
        check_reader(lang or "en", zone or "UTC")
    elif lang is not None or zone is not None:
        option = "--lang" if lang is not None else "--zone"
        raise UsageError(f"{option} is of the report, and none is written", "give --html FILE, or leave it out")
    named = {"json": json_, "html": html, "junit": junit, "openlineage": openlineage, "prometheus": prometheus}
    read: dict[str, Any] = {"the contract": file_of(contract), "the source": source, "the destination": destination}
    read |= {f"the {name}": arguments[name] for name in ("grants", "outcomes", "members", "corrections")}
    targets = check_targets({f"--{name}": path for name, path in named.items()}, read | files_of_ledger(ledger))
    check_folders(targets)

    def finish(result: Any) -> int:
        lacking = outputs_of(
            result,
            pipeline or result.contract.name,
            json=json_,
            html=html,
            lang=lang or "en",
            zone=zone or "UTC",
            junit=junit,
            openlineage=openlineage,
            prometheus=prometheus,
        )
        _show(result)  # what reads it may go away, as `| head` does: the files are written by then
        if lacking is not None:
            raise lacking
        return int(result.exit_code)

    with _unrecorded(finish):
        with _progress() as progress:
            book = _book(ledger, environment)
            result = verb(contract, source, destination, **arguments, ledger=book, pipeline=pipeline, progress=progress)
        return finish(result)


@cli.command()
@click.argument("job", type=click.Path(dir_okay=False, path_type=Path))
def run(job: Path) -> int:
    """Run the reconciliation that JOB, a YAML file, describes."""
    from integrity.jobs import Job

    described = Job.from_yaml(job)
    with _unrecorded(_show):
        with _progress() as progress:
            result = described.run(progress)
        _show(result)
    return int(result.exit_code)


@cli.command(name="notebook")
@click.argument("name", required=False)
@click.option("--ledger", metavar="URL", envvar="INTEGRITY_LEDGER", help="Over which ledger.")
@click.option("-p", "--parameter", "given", multiple=True, metavar="NAME=VALUE", help="Another parameter that it has.")
@click.option("--directory", default=".", type=click.Path(file_okay=False), help="Where it is kept.")
def notebook_command(name: str | None, ledger: str | None, given: tuple[str, ...], directory: str) -> int:
    """Run an auditor's notebook over a ledger, and keep it as NAME.ipynb and NAME.html; without NAME, list them."""
    from integrity.notebook import notebooks, run_notebook

    if name is None:
        for each in notebooks().values():
            parameters = ", ".join(each.parameters)
            screen().print(f"{each.name:<15} {each.about} ({parameters})", soft_wrap=True)
        return 0
    if ledger is None:
        raise UsageError("no ledger is named", "give --ledger URL, or set INTEGRITY_LEDGER")
    chosen: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"-p {text!r} is not NAME=VALUE", "write for example -p pipeline=orders")
        chosen[key] = value
    with _progress() as progress:
        progress.step(f"running {name}")
        kept = run_notebook(name, ledger, parameters=chosen, directory=directory)
    screen().print(f"kept {kept} and {kept.with_suffix('.html')}", soft_wrap=True)
    return 0


cli.add_command(contract_group)
cli.add_command(ledger_group)
cli.add_command(status_command)
cli.add_command(verify_command)
cli.add_command(reperform_command)
cli.add_command(report_command)


# --- what the commands share
# -------------------------------------------------------------------------------------------


def _book(ledger: str | None, environment: str | None) -> Any:
    """Return the ledger to record in, or its URL where only the run can say that it is out of reach."""
    from integrity.errors import LedgerUnreachableError

    if ledger is None:
        if environment is not None:
            raise UsageError(
                "--environment says of which kind a record is, and no ledger is named", "give --ledger URL"
            )
        return None
    from integrity.ledger import Ledger

    try:
        return Ledger.open(ledger, environment=environment)
    except LedgerUnreachableError:
        return ledger


@contextlib.contextmanager
def _unrecorded(show: Callable[[Any], Any]) -> Iterator[None]:
    """Where a run could not be put on record, or its files not be written, show what it found all the same."""
    from integrity.errors import LedgerError, UnwrittenError

    try:
        yield
    except UnwrittenError as error:
        if error.result is not None:
            _show(error.result)
        raise
    except LedgerError as error:
        if error.result is not None:
            from integrity.recording import saved_beside

            _say(saved_beside(error))  # before what can fail
            try:
                show(error.result)
            except UnwrittenError as lacking:
                _say(lacking)
        raise


@contextlib.contextmanager
def _progress() -> Iterator[Any]:
    from integrity.report.terminal import RowProgress

    with RowProgress(Console(stderr=True)) as progress:
        yield progress


def _show(result: Any) -> None:
    from integrity.report.terminal import show as show_result

    show_result(result, screen())
    if result.recorded is not None:
        screen().print(f"on record as run {result.recorded}")


def _pairs(texts: tuple[str, ...], default: str | None) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals and default is None:
            raise UsageError(f"{text!r} is not SIDE=ZONE", "write for example --timezone source=Asia/Seoul")
        pairs[name] = value or (default or "")
    return pairs


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; the only place that turns errors into exit codes."""
    sys.exit(_guarded(lambda: cli.main(arguments, prog_name="integrity", standalone_mode=False)))


def _guarded(work: Callable[[], Any]) -> int:
    try:
        code = work()
        sys.stdout.flush()
    except IntegrityError as error:
        _say(error)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted; nothing was recorded")
        return 130
    except (_UnreadError, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 4
    except Exception as error:
        if os.environ.get("INTEGRITY_DEBUG"):
            raise
        _say(f"unexpected {type(error).__name__}: {error}; this is a bug of ours: set INTEGRITY_DEBUG=1 to see where")
        return 4
    return code if isinstance(code, int) else 0


def _say(problem: object) -> None:
    lines = (plain(line, 100_000) for line in f"integrity: {problem}".split("\n"))
    Console(stderr=True).print(Text("\n".join(lines), style="red"), soft_wrap=True)
