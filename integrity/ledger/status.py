"""What is open, judged, missed, late or unverified, in one screen?

Windows are counted, not rows: of each window of a period that a pipeline's contract cuts, what became of it. A window
that no finished run covered was missed, whatever it held.

What has no event time belongs to the period in which its run began: a snapshot, and the untimed batch of windows. Not
to that of ``as_of``, which may be set back: what was read then is not what there was at that moment, and a period in
which nobody ran would count as judged.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa

from integrity.checks import texts
from integrity.contracts import Contract
from integrity.errors import LedgerError, UsageError, did_you_mean
from integrity.harmless import json_text
from integrity.ledger import schema
from integrity.ledger.cases import UNDECIDED, cases_of
from integrity.ledger.claims import Claim, Sent, claim_of
from integrity.ledger.database import Database
from integrity.ledger.history import finished, last_run, pipelines, standing
from integrity.ledger.log import iso
from integrity.ledger.reading import Leaves, bodies
from integrity.shown import Card, Shown, Table
from integrity.values import micros
from integrity.windows import Window, parse_duration

__all__ = ["WINDOWS", "PipelineStatus", "Status", "as_json", "by_verdict", "period_of", "status"]

#: What may have become of a window, the worst first.
WINDOWS: Final = ("fail", "unverified", "missed", "pending", "open", "pass", "skipped", "idle")


@dataclass(frozen=True)
class PipelineStatus:
    """What became of a pipeline in a period.

    Attributes:
        pipeline: Its name.
        contract: Of its last run: name and version.
        windows: How many windows of each kind of :data:`WINDOWS` there are; an untimed batch is none. Where the
            contract cuts none, the snapshots of the runs that began in the period.
        due: How many of them were closed, and so due to be judged.
        revised: How many of the judged were found different later.
        breaks: How many breaks the batches of the period have, by what became of them: ``open``, ``healed``,
            ``withdrawn``, ``cleared``.
        runs: How many runs began in the period, by how they ended: ``finished``, ``failed``, ``abandoned``,
            ``unfinished``; and ``test``, which do not count.
        missed_runs: How many were to begin, and did not.
        watermark: Up to where every window has been judged.
        last: When the last run ended.
        undecided: Of how many of the open breaks no disposition stands. It changes no exit code.
        untimed: What the runs that began in the period found in untimed batches beside their windows: how many of them
            by their worst verdict. They are judged, and change the exit code, but are no windows that were due.
    """

    pipeline: str
    contract: str
    windows: Mapping[str, int]
    due: int
    revised: int
    breaks: Mapping[str, int]
    runs: Mapping[str, int]
    missed_runs: int
    watermark: str | None
    last: str | None
    undecided: int = 0
    untimed: Mapping[str, int] = field(default_factory=dict)

    @property
    def judged(self) -> int:
        """How many of the due windows have a verdict, or held nothing."""
        return sum(self.windows.get(kind, 0) for kind in ("pass", "fail", "skipped", "idle"))

    @property
    def exit_code(self) -> int:
        """What a shell sees: 1 where something failed, 3 where something was not verified, else 0."""
        if self.windows.get("fail", 0) or self.untimed.get("fail", 0):
            return 1
        unsure = ("unverified", "missed", "pending")
        lacking = any(self.windows.get(kind, 0) or self.untimed.get(kind, 0) for kind in unsure) or self.missed_runs
        ended = any(self.runs.get(how, 0) for how in ("failed", "abandoned", "unfinished"))
        return 3 if lacking or ended or not self.runs.get("finished", 0) else 0


@dataclass(frozen=True)
class Status(Shown):
    """What became of all pipelines of a ledger in a period.

    Attributes:
        location: Which ledger, no password.
        since: The first moment of the period.
        until: The first moment behind it.
        now: As of when.
        pipelines: One after the other.
        claim: What may be claimed of the ledger.
    """

    location: str
    since: dt.datetime
    until: dt.datetime
    now: dt.datetime
    pipelines: tuple[PipelineStatus, ...]
    claim: Claim

    def card(self) -> Card:
        """Return what it shows of itself."""
        counted = [kind for kind in WINDOWS if any(each.windows.get(kind) for each in self.pipelines)]
        untimed = ["untimed batches"] if any(each.untimed for each in self.pipelines) else []
        header = ("pipeline", "contract", "due", "judged", *counted, *untimed, "runs missed", "breaks", "judged up to")
        rows = [
            (
                each.pipeline,
                each.contract,
                each.due,
                each.judged,
                *(each.windows.get(kind, 0) for kind in counted),
                *([by_verdict(each.untimed)] if untimed else []),
                each.missed_runs,
                ", ".join(f"{count:,} {state}" for state, count in each.breaks.items()),
                each.watermark or "",
            )
            for each in self.pipelines
        ]
        facts = [("from", self.since), ("to", self.until), ("as of", self.now), ("claim", self.claim)]
        return Card(f"status of {self.location}", facts, [Table("windows of each pipeline", header, rows)])

    @property
    def exit_code(self) -> int:
        """The worst of the pipelines'; 3 where there is none."""
        codes = {each.exit_code for each in self.pipelines}
        return 1 if 1 in codes else 3 if 3 in codes or not codes else 0


def period_of(text: str | None, now: dt.datetime, timezone: str | None = None) -> tuple[dt.datetime, dt.datetime]:
    """Return the first moment of a period, and the first one behind it.

    Args:
        text: A year, month or day (``2026``, ``2026-11``, ``2026-11-23``), or two moments with a slash between;
            ``None`` is the day of ``now``.
        now: This moment.
        timezone: In which zone years, months and days begin; UTC if left out.

    Raises:
        UsageError: it is no period.

    Example:
        >>> now = dt.datetime(2026, 11, 23, 9, tzinfo=dt.UTC)
        >>> [moment.isoformat() for moment in period_of("2026-11", now)]
        ['2026-11-01T00:00:00+00:00', '2026-12-01T00:00:00+00:00']
    """
    zone = ZoneInfo(timezone) if timezone else dt.UTC
    if text is not None:
        texts(period=text)
    else:
        text = now.astimezone(zone).date().isoformat()
    try:
        if "/" in text:
            first, last = (dt.datetime.fromisoformat(part) for part in text.split("/"))
            if first.tzinfo is None or last.tzinfo is None or first >= last:
                raise ValueError("moments need offsets, and an order")
            iso(first), iso(last)  # what no date of UTC can say is no moment here
            return first, last
        if not re.fullmatch(r"[0-9]{4}(-[0-9]{2}){0,2}", text):
            raise ValueError("neither a year, a month nor a day")
        year, month, day = (int(part) for part in [*text.split("-"), "0", "0"][:3])
        first = dt.datetime(year, month or 1, day or 1, tzinfo=zone)
        if day:
            date = first.date() + dt.timedelta(days=1)
        else:
            date = dt.date(year + (month in (0, 12)), month % 12 + 1 if month else 1, 1)
        return first, dt.datetime(date.year, date.month, date.day, tzinfo=zone)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no period", "write 2026, 2026-11, 2026-11-23, or 2026-11-01T00:00Z/2026-12-01T00:00Z"
        ) from None


def status(
    url: str, *, period: str | None = None, pipeline: str | None = None, now: dt.datetime | None = None
) -> Status:
    """Return what became of the windows of a period.

    Args:
        url: Of the ledger.
        period: As :func:`period_of` reads it; today if left out.
        pipeline: Of one pipeline; of all if left out.
        now: As of when; now if left out.

    Raises:
        UsageError: the period cannot be meant, or there is no such pipeline.
        LedgerError: there is no ledger, or it cannot be read.
    """
    database = Database.at(url)
    if not database.is_there:
        raise LedgerError(f"there is no ledger at {database.location}", "run something with ledger= first")
    moment = now or dt.datetime.now(dt.UTC)
    with database.reading() as connection:
        names = pipelines(connection)
        if pipeline is not None and pipeline not in names:
            raise UsageError(f"no run of a pipeline {pipeline!r} is on record", did_you_mean(pipeline, names))
        chosen = names if pipeline is None else [pipeline]
        first, last = period_of(period, moment)
        each = tuple(_pipeline(connection, name, first, last, moment) for name in chosen)
        claim = _claim(connection)
    return Status(database.location, first, last, moment, each, claim)


def _claim(connection: sa.Connection) -> Claim:
    log = Leaves(size=connection.execute(sa.select(sa.func.count()).select_from(schema.leaves)).scalar() or 0)
    for number, body in bodies(connection, "sent"):
        log.sent.append(Sent(body["size"], body["party"], body["at"]))
        log.quiet.append(number)
    return claim_of(log)


def _pipeline(
    connection: sa.Connection, name: str, first: dt.datetime, last: dt.datetime, now: dt.datetime
) -> PipelineStatus:
    runs, endings = schema.runs, schema.endings
    query = (
        sa.select(runs, endings.c.how, endings.c.since, endings.c.closed_until)
        .outerjoin(endings, endings.c.run == runs.c.run)
        .where(runs.c.pipeline == name)
        .order_by(runs.c.leaf)
    )
    rows = connection.execute(query).all()
    production = [row for row in rows if row.environment == "production"]
    began = [row for row in rows if iso(first) <= row.at < iso(last)]
    ended = Counter(row.how or "unfinished" for row in began if row.environment == "production")
    ended["test"] = sum(row.environment == "test" for row in began)
    latest = (production or list(rows))[-1]
    contract = _contract(connection, latest.contract)
    batches = standing(connection, name, "production", iso(first), iso(last))
    covering = [row for row in production if row.how == "finished"]
    timed = batches.filter(pl.col("batch_start").is_not_null())
    untimed = _untimed(connection, name, [row.run for row in began])
    if contract.window is None:
        windows, due, untimed = untimed, sum(untimed.values()), {}
    else:
        earliest = _earliest(connection, name)
        windows, due = _windows(contract, contract.window, timed, covering, earliest, first, last, now)
    breaks = cases_of(connection, name, "production", now)
    when = pl.coalesce("batch_start", "first_at")
    breaks = breaks.filter((when >= iso(first)) & (when < iso(last)))
    end = last_run(connection, name, "production")
    return PipelineStatus(
        name,
        f"{contract.name} version {contract.version}",
        windows,
        due,
        int(timed["revisions"].gt(0).sum()),
        dict(breaks.group_by("state").len().iter_rows()),
        {how: count for how, count in ended.items() if count},
        _missed(production, first, min(last, now)),
        None if end is None else end.watermark,
        None if end is None else end.at,
        breaks.filter(pl.col("case").is_in(UNDECIDED)).height,
        untimed,
    )


def _earliest(connection: sa.Connection, pipeline: str) -> str | None:
    """The first window of which a run of a pipeline told anything, in whatever period."""
    starts = schema.batches.c.batch_start
    query = sa.select(sa.func.min(starts)).where(schema.batches.c.run.in_(finished(pipeline, "production")))
    return connection.execute(query).scalar()


def _untimed(connection: sa.Connection, pipeline: str, began: list[str]) -> dict[str, int]:
    """Count what some runs found in batches without a start, each by the worst that one of them says of it."""
    batches = schema.batches
    query = sa.select(batches.c.run, batches.c.key, batches.c.verdict)
    query = query.where(batches.c.batch_start.is_(None), batches.c.run.in_(finished(pipeline, "production")))
    worst: dict[str, str] = {}
    chosen = set(began)
    for run, key, verdict in connection.execute(query):
        if run in chosen and verdict is not None:
            worst[key] = min(worst.get(key, verdict), verdict, key=WINDOWS.index)
    return dict(Counter(worst.values()))


def _contract(connection: sa.Connection, sha256: str) -> Contract:
    query = sa.select(schema.contracts.c.body).where(schema.contracts.c.sha256 == sha256)
    body = connection.execute(query).scalar()
    if body is None:
        raise LedgerError(f"contract {sha256[:12]}… is not in the ledger any more", "run: integrity ledger verify")
    return Contract.from_text(body)


def _windows(
    contract: Contract,
    window: Window,
    batches: pl.DataFrame,
    covering: list[Any],
    earliest: str | None,
    first: dt.datetime,
    last: dt.datetime,
    now: dt.datetime,
) -> tuple[dict[str, int], int]:
    """Count the windows of a period by what became of them, and those that were due.

    One that has just closed waits for its run: it is missed when no run came for it in the time in which one was to.
    """
    worst: dict[str, str] = {}
    for start, verdict in batches.select("batch_start", "verdict").iter_rows():
        told = [worst.get(start), verdict or "idle"]
        worst[start] = min((each for each in told if each is not None), key=WINDOWS.index)
    covered = _covered(covering)
    begins = min([begin for begin, _ in covered if begin is not None] + [earliest or "9"])
    said = [row.every for row in covering if row.every is not None]
    patience = max(parse_duration(said[-1]) if said else 0, window.every)
    counted, due = Counter[str](), 0
    for start in window.starts_between(micros(first), min(micros(last), micros(now))):
        text = iso(dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=start))
        if text < begins:
            continue  # before the pipeline was judged at all
        if window.end_of(start) + contract.grace > micros(now):
            counted["open"] += 1
            continue
        due += 1
        if text in worst:
            counted[worst[text]] += 1
        elif any((begin is None or begin <= text) and text < end for begin, end in covered):
            counted["idle"] += 1
        else:
            waits = window.end_of(start) + contract.grace + patience > micros(now)
            counted["pending" if waits else "missed"] += 1
    return dict(counted), due


def _covered(finished: list[Any]) -> list[tuple[str | None, str]]:
    """What finished runs covered, as few intervals, in their order."""
    spans: list[tuple[str | None, str]] = []
    known = [(row.since, row.closed_until) for row in finished if row.closed_until is not None]
    for since, until in sorted(known, key=lambda span: span[0] or ""):
        if spans and (since is None or since <= spans[-1][1]):
            spans[-1] = (spans[-1][0], max(spans[-1][1], until))
        else:
            spans.append((since, until))
    return spans


def _missed(production: list[Any], first: dt.datetime, last: dt.datetime) -> int:
    """How many runs did not begin that were to, by how often the last run that says so is to run."""
    said = [row.every for row in production if row.every is not None]
    if not said or not production:
        return 0
    every = parse_duration(said[-1])
    begun = {micros(dt.datetime.fromisoformat(row.at)) // every for row in production}
    slots = range(max(min(begun), -(-micros(first) // every)), micros(last) // every)
    return len(slots) - sum(slot in slots for slot in begun)


def by_verdict(counts: Mapping[str, int]) -> str:
    """Return how many there are of each verdict, the worst first, in words."""
    return ", ".join(f"{counts[kind]:,} {kind}" for kind in WINDOWS if counts.get(kind))


def as_json(found: Status) -> str:
    """Return a status as JSON."""
    document = {
        "schema": "integrity.status/1",
        "ledger": found.location,
        "since": iso(found.since),
        "until": iso(found.until),
        "now": iso(found.now),
        "claim": str(found.claim),
        "pipelines": [
            {
                "pipeline": each.pipeline,
                "contract": each.contract,
                "due": each.due,
                "judged": each.judged,
                "windows": dict(each.windows),
                "untimed": dict(each.untimed),
                "revised": each.revised,
                "breaks": dict(each.breaks),
                "undecided": each.undecided,
                "runs": dict(each.runs),
                "missed_runs": each.missed_runs,
                "watermark": each.watermark,
                "last": each.last,
            }
            for each in found.pipelines
        ],
    }
    return json_text(document)
