"""Where is each item of a sample, on either side and on record?

Items are drawn from the source as a contract reads it: the windows that were asked for, less what it leaves out. The
ledger keeps the keyed digests of those that were drawn and never their names, so whoever has the store and the ledger
sees again which they were, and nobody else does.

An item is then traced end to end in the plainest way there is: its rows on both sides are looked up and laid side by
side, value by value, and beside them is laid what is on record of it: which run judged its batch, and which break of it
stands. This does not go through totals and matching, so that it tells whether these told the truth.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import polars as pl

from integrity import canonical
from integrity.arguments import contract_of
from integrity.breaks import BreakKind
from integrity.contracts import Contract
from integrity.errors import UsageError
from integrity.items import Reader
from integrity.ledger.cases import cases_of
from integrity.ledger.drawn import Plan, amiss, noun_of, plan_of, said_of, shrunk
from integrity.ledger.evidence import Keying, instants
from integrity.ledger.history import last_run, standing
from integrity.ledger.log import iso
from integrity.ledger.samples import sample_on_record, sampled
from integrity.passes import newest
from integrity.plan import planned
from integrity.rows import CONTENT, EVENT, Slice
from integrity.sampling import Drawing, Sample, new_seed
from integrity.search import Progress, Quiet
from integrity.spool import KEY, Sieve
from integrity.totals import BATCH
from integrity.values import moment

if TYPE_CHECKING:
    from integrity.ledger import Ledger

__all__ = ["TRACED", "DrawnItems", "Traced", "draw_items", "trace_items"]

_FRAME: Final = "integrity.sampled frame"
_ITEM: Final = "integrity.sampled item"
#: What is told of each item besides its identity.
TRACED: Final[Mapping[str, Any]] = {
    "batch_start": pl.Datetime("us", "UTC"), "source_rows": pl.Int64, "destination_rows": pl.Int64,
    "differing": pl.List(pl.String), "latency": pl.Int64, "invalid": pl.String, "found": pl.List(pl.String),
    "run": pl.String, "verdict": pl.String, "break": pl.List(pl.String), "recorded": pl.List(pl.String),
    "agrees": pl.Boolean,
}  # fmt: skip
#: The kinds of breaks that two rows side by side show.
_SHOWN: Final = (
    BreakKind.LOST.value, BreakKind.DUPLICATE.value, BreakKind.CORRUPT.value, BreakKind.LATE.value,
    BreakKind.INVALID.value,
)  # fmt: skip


@dataclass(frozen=True)
class DrawnItems:
    """A sample of items, on record.

    Attributes:
        leaf: By which it is named.
        items: A frame of their identities, in the order in which they were drawn. They may be private.
        sample: What was drawn.
        said: What the leaf says, in one sentence.
    """

    leaf: int
    items: pl.DataFrame
    sample: Sample
    said: str


def draw_items(
    ledger: Ledger,
    contract: str | os.PathLike[str] | Contract,
    source: Any,
    destination: Any,
    *,
    pipeline: str | None = None,
    seed: str | None = None,
    tolerable: float = 0.05,
    risk: float = 0.05,
    expected: int = 0,
    size: int | None = None,
    by: str,
    progress: Progress | None = None,
    **asked: Any,
) -> DrawnItems:
    """Draw a sample of items from the source, and put it on record before anybody tests them.

    Args:
        ledger: Where.
        contract: As for :func:`integrity.reconcile`, and so are the stores: that they can be read is seen first.
        source: The population: its items in the windows asked for, less what the contract leaves out.
        destination: Where they are to be traced.
        pipeline: As what its runs are recorded; the contract's name if left out.
        seed: Any text that was fixed before; a new one if left out. Let whoever relies on the test name it.
        tolerable: The highest rate of deviation that one can live with.
        risk: The chance of relying wrongly that one accepts.
        expected: How many deviations the sample may show and still support that.
        size: How many items, in place of as many as that takes; all of them where there are fewer.
        by: Who draws it.
        progress: Hears how far reading is.
        **asked: ``since``, ``until``, ``as_of``, ``members``, ``columns`` and ``timezone``, as for
            :func:`integrity.reconcile`.

    Raises:
        UsageError: an argument is out of its range, or there is no item.
        IntegrityError: as :func:`integrity.reconcile` raises.

    Example:
        >>> import tempfile, polars as pl, integrity
        >>> from integrity.ledger import Ledger
        >>> folder = tempfile.TemporaryDirectory()
        >>> book = Ledger.open(f"{folder.name}/ledger.db", operator="kim")
        >>> notes = integrity.Contract(name="notes", version=1, identity=["id"], content={"body": "text"})
        >>> sent = pl.DataFrame({"id": ["1", "2", "3"], "body": ["a", "b", "c"]})
        >>> kept = pl.DataFrame({"id": ["1", "2"], "body": ["a", "B"]})
        >>> result = integrity.reconcile(notes, sent, kept, ledger=book)
        >>> drawn = draw_items(book, notes, sent, kept, seed="2026 Q4", by="han")
        >>> traced = trace_items(book, drawn.leaf, notes, sent, kept)
        >>> traced.items.sort("id").select("id", "found", "recorded", "agrees").rows()
        [('1', [], [], True), ('2', ['corrupt'], ['corrupt'], True), ('3', ['lost'], ['lost'], True)]
        >>> folder.cleanup()
    """
    progress, promise = progress or Quiet(), contract_of(contract)
    plan, chosen = Plan(tolerable, risk, expected, size), seed or new_seed()
    drawing = plan.drawing(chosen)
    reader = _sides(promise, source, destination, asked)[0]
    progress.step("drawing from the source")
    for names, _ in _named(reader, progress):
        drawing.add(name.encode() for name in names)
    sample = shrunk(drawing, plan)
    units = [unit.decode() for unit in sample.units]
    of = {
        "of": "items",
        "pipeline": pipeline or promise.name,
        "environment": ledger.environment,
        "contract": {"name": promise.name, "version": promise.version, "sha256": promise.sha256},
        "since": _iso(reader.since),
        "until": _iso(reader.until),
    }
    hidden = [ledger.key.hide(_ITEM, chosen, unit) for unit in units]
    leaf, said = sampled(ledger, of, sample, hidden, ledger.key.hide(_FRAME, chosen, sample.frame), by)
    identities = pl.DataFrame(
        [_values(unit, len(promise.identity)) for unit in units],
        schema=dict.fromkeys(promise.identity, pl.String),
        orient="row",
    )
    return DrawnItems(leaf, pl.DataFrame(_shown(identities, promise)), sample, said)


@dataclass(frozen=True)
class Traced:
    """A sample of items, traced.

    Attributes:
        leaf: Which sample.
        items: A frame with a row an item that is still in the source, and the columns of its identity, which may be
            private, and of :data:`TRACED`: ``batch_start``; ``source_rows`` and ``destination_rows``; ``differing``,
            which columns of them do; ``latency``, microseconds; ``invalid``, why; ``found``, the kinds of breaks that
            this amounts to; on record, ``run`` and ``verdict`` of its batch, ``break``, those of this item that stand,
            and ``recorded``, their kinds; ``agrees``: whether record and rows tell the same, null where no run has
            judged its batch, where it was found unverified, or where rows alone cannot tell.
        missing: How many items of the sample the source no longer has.
        unchanged: Whether the population is the one that was drawn from.
        amiss: In what the leaf is not what its seed draws from that population; ``None``: in nothing, or the population
            is another one.
    """

    leaf: int
    items: pl.DataFrame
    missing: int
    unchanged: bool
    amiss: str | None = None

    @property
    def holds(self) -> bool | None:
        """Whether this is what was drawn, and record and rows tell the same of each item; ``None``: nobody can tell."""
        agrees = self.items["agrees"]
        if self.amiss is not None or (agrees == False).any():  # noqa: E712 - a Polars column
            return False
        return None if self.missing or not self.unchanged or agrees.has_nulls() else True

    @property
    def exit_code(self) -> int:
        """What a shell sees: 0 they tell the same, 1 they differ, 3 unverified."""
        return {True: 0, False: 1, None: 3}[self.holds]

    def headline(self) -> str:
        """One sentence."""
        agrees = Counter(self.items["agrees"].to_list())
        said = f"sample {self.leaf}: of {self.items.height + self.missing:,} items the record tells the same as"
        said += f" the rows of {agrees[True]:,}, something else of {agrees[False]:,}"
        if agrees[None]:
            said += f"; of {agrees[None]:,} nobody can tell"
        if self.missing:
            said += f"; {self.missing:,} are no longer in the source"
        if self.amiss is not None:
            said += f"; it is not what its seed draws: {self.amiss}"
        return said + ("" if self.unchanged else "; the source is not what was drawn from")


def trace_items(
    ledger: Ledger,
    leaf: int,
    contract: str | os.PathLike[str] | Contract,
    source: Any,
    destination: Any,
    *,
    progress: Progress | None = None,
    **asked: Any,
) -> Traced:
    """Trace the items of a sample end to end: their rows on both sides, side by side, and what is on record of them.

    Args:
        ledger: Where the sample is on record. Nothing is written.
        leaf: Which sample.
        contract: The one under which it was drawn.
        source: As for :func:`integrity.reconcile`.
        destination: Likewise.
        progress: Hears how far reading is.
        **asked: ``as_of``, ``members``, ``columns`` and ``timezone``, as for :func:`integrity.reconcile`.

    Raises:
        UsageError: there is no such sample of items, or the contract is another one.
        IntegrityError: as :func:`integrity.reconcile` raises.
    """
    progress, promise = progress or Quiet(), contract_of(contract)
    body = _sampled_items(ledger, leaf, promise)
    bounds = {name: body[name] for name in ("since", "until") if body[name] is not None}
    sides = _sides(promise, source, destination, {**asked, **bounds})
    progress.step("drawing again")
    drawing = plan_of(body).drawing(body["seed"])
    wanted, drawn = set(body["units"]), dict[str, int]()
    for names, keys in _named(sides[0], progress):
        drawing.add(name.encode() for name in names)
        drawn |= {n: k for n, k in zip(names, keys, strict=True) if ledger.key.hide(_ITEM, body["seed"], n) in wanted}
    unchanged = bool(drawing.read) and body["frame"] == ledger.key.hide(_FRAME, body["seed"], drawing.sample(1).frame)
    wrong = _drawn_amiss(ledger, body, drawing) if unchanged else None
    progress.step("looking up both sides")
    keys = pl.Series(drawn.values(), dtype=pl.UInt64)
    source_rows, destination_rows = (_rows(side, list(drawn), keys, progress) for side in sides)
    here, there = (
        {unit: rows.to_dicts() for (unit,), rows in found.group_by("__identity")}
        for found in (source_rows, destination_rows)
    )
    record = _Record.read(ledger, promise, body["pipeline"])
    absent = any(side.absent for side in sides)
    items = []
    for unit in drawn:
        first = here[unit][0]
        told = _laid(promise, here[unit], there.get(unit, ())) | record.told(first)
        told |= {name: first[name] for name in promise.identity} | {"agrees": _agrees(promise, absent, told)}
        items.append(told | {"batch_start": None if first[BATCH] is None else moment(first[BATCH])})
    rows = pl.DataFrame(items, schema={**dict.fromkeys(promise.identity, pl.String), **TRACED})
    return Traced(leaf, rows.with_columns(_shown(rows, promise)), len(wanted) - len(drawn), unchanged, wrong)


def _drawn_amiss(ledger: Ledger, body: Mapping[str, Any], drawing: Drawing) -> str | None:
    """Return in what the leaf of a sample is not what its seed draws from the same population."""
    try:
        again = drawing.sample(body["size"])
        told = said_of(again, noun_of(body, body["at"]))
    except UsageError as error:
        return str(error)
    units = [ledger.key.hide(_ITEM, body["seed"], unit.decode()) for unit in again.units]
    return amiss(body, told | {"units": units, "frame": body["frame"]})


def _sampled_items(ledger: Ledger, leaf: int, promise: Contract) -> dict[str, Any]:
    body = sample_on_record(ledger, leaf)
    if body["of"] != "items":
        raise UsageError(f"sample {leaf} is one of {body['of']}", "integrity ledger redraw draws it again")
    if body["contract"]["sha256"] != promise.sha256:
        of = body["contract"]
        raise UsageError(
            f"sample {leaf} was drawn under contract {of['name']!r} version {of['version']} ({of['sha256'][:12]}),"
            f" not under this {promise.name!r} version {promise.version} ({promise.sha256[:12]})",
            "name that contract",
        )
    return body


# --- reading
# -------------------------------------------------------------------------------------------------------------


def _sides(promise: Contract, source: Any, destination: Any, asked: Mapping[str, Any]) -> tuple[Reader, Reader]:
    plan = planned(promise, source, destination, **asked, pushdown="never")
    first, second = plan.sides
    if not isinstance(first, Reader) or not isinstance(second, Reader):
        raise UsageError("items cannot be drawn from control totals", "give the items of both sides")
    return first, second


def _named(reader: Reader, progress: Progress) -> Iterator[tuple[list[str], pl.Series]]:
    """Yield of every item, part by part, the one text by which it is drawn, and the hash by which it is looked up."""
    for frame in reader.frames(Slice(), None, partial(progress.rows, reader.role)):
        yield canonical.encode([frame[name] for name in reader.contract.identity]).to_list(), frame[KEY]


def _rows(reader: Reader, units: Sequence[str], keys: pl.Series, progress: Progress) -> pl.DataFrame:
    """Return the rows of some items with every value; of the source those within the bounds, of the other side all."""
    wanted, sieve = pl.Series(units, dtype=pl.String).implode(), Sieve()
    sieve.add(keys)
    named = Slice(keys=sieve, content=True, bounded=reader.role == "source")
    frames = reader.frames(named, None, partial(progress.rows, reader.role))
    kept = (frame.filter(pl.col("__identity").is_in(wanted)) for frame in frames)
    found = pl.concat([reader.blank(named), *kept])
    latest_by = reader.contract.latest_by
    if latest_by is None or reader.role == "destination":
        return found
    return found.filter(newest(reader.contract.columns.get(latest_by), found, ["__identity"]))


# --- side by side
# ----------------------------------------------------------------------------------------------------------


def _laid(promise: Contract, here: Sequence[Mapping[str, Any]], there: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Lay the rows of one item side by side; ``found`` is what they amount to."""
    columns = [CONTENT + name for name in promise.content]
    if promise.clock is not None and promise.clock.carried:
        columns.append(EVENT)
    left, right = (Counter(tuple(row[name] for name in columns) for row in rows) for rows in (here, there))
    paired, same = min(len(here), len(there)), (left & right).total()
    differing = []
    if paired > same:
        ours, theirs = (list(counted) for counted in (left - right, right - left))
        differing = [
            name.removeprefix(CONTENT) if name != EVENT else str(promise.clock and promise.clock.event.name)
            for at, name in enumerate(columns)
            if any(mine[at] != other[at] for mine, other in zip(ours, theirs, strict=False))
        ]
    latencies = [
        row["__processed"] - here[0]["__event"] for row in there if None not in (row["__processed"], here[0]["__event"])
    ]
    invalid = [row["__invalid"] for row in (*here, *there) if row["__invalid"] is not None]
    limit = promise.timeliness.within if promise.timeliness is not None else None
    amounts = {
        BreakKind.LOST: len(here) > paired,
        BreakKind.DUPLICATE: len(there) > paired,
        BreakKind.CORRUPT: paired > same,
        BreakKind.LATE: limit is not None and any(latency > limit for latency in latencies),
        BreakKind.INVALID: bool(invalid),
    }
    return {
        "source_rows": len(here),
        "destination_rows": len(there),
        "differing": differing,
        "latency": max(latencies, default=None),
        "invalid": "; ".join(dict.fromkeys(invalid)) or None,
        "found": sorted(kind.value for kind, holds in amounts.items() if holds),
        "unproven": bool(paired) and _is_unproven(promise, [*here, *there], len(latencies) < len(there)),
    }


def _is_unproven(promise: Contract, rows: Sequence[Mapping[str, Any]], unmeasured: bool) -> bool:
    """Whether rows that look alike need not be: what would show a difference is null, or was copied, not computed."""
    copied = bool(promise.content) and all(column.carried for column in promise.content.values())
    return copied or (promise.timeliness is not None and unmeasured) or any(row["__unproven"] for row in rows)


def _agrees(promise: Contract, absent: bool, told: Mapping[str, Any]) -> bool | None:
    """Whether rows and record tell the same; ``None`` where no run has judged it, or two rows alone cannot tell.

    Where neither shows anything, because neither could, they do not agree: nobody knows.
    """
    if told["verdict"] in (None, "pending", "skipped"):
        return None
    if told["found"] == [kind for kind in told["recorded"] if kind in _SHOWN]:
        return None if told["unproven"] or told["verdict"] == "unverified" else True
    # What ended elsewhere, was changed as approved, is matched by more than its values, or which of several copies
    # belongs to which: a run knows, rows do not.
    hidden = (
        promise.joined or promise.outcomes is not None or promise.corrections is not None or told["source_rows"] > 1
    )
    return None if hidden or absent or told["unproven"] else False


# --- on record
# -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Record:
    """What is on record of a pipeline, to be asked item by item.

    Attributes:
        promise: The contract.
        of: By which keyed digests batches and breaks are named.
        batches: The run and the verdict that stand of each batch.
        breaks: The name, of people and of a frame, of each break that stands.
    """

    promise: Contract
    of: Keying
    batches: Mapping[str, tuple[str, str]]
    breaks: Mapping[str, str]

    @classmethod
    def read(cls, ledger: Ledger, promise: Contract, pipeline: str) -> Self:
        windowed = promise.window is not None
        with ledger.database.reading() as connection:
            last = last_run(connection, pipeline, ledger.environment)
            batches = {
                row["key"]: (row["run"], row["verdict"])
                for row in standing(connection, pipeline, ledger.environment).iter_rows(named=True)
            }
            cases = cases_of(connection, pipeline, ledger.environment, ledger.clock()).filter(state="open")
        breaks = dict(cases.select("subject", "id").iter_rows())
        return cls(promise, Keying(last.run if last else "", pipeline, ledger.key, windowed), batches, breaks)

    def told(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is on record of the item of a row of the source."""
        start = pl.DataFrame({BATCH: [row[BATCH]]}, schema={BATCH: pl.Int64}).select(
            *(pl.lit(row[name], pl.String).alias(name) for name in self.promise.partition),
            pl.col(BATCH).alias("batch_start"),
        )
        batch = self.of.batches(
            start.with_columns(instants("batch_start")), list(self.promise.partition), "batch_start"
        )
        run, verdict = self.batches.get(batch[0], (None, None))
        identity = [row[name] for name in self.promise.identity]
        stand = {}
        for kind in BreakKind:
            parts = [self.promise.name, kind.value, *identity, "0"]
            text = canonical.encode([pl.Series([part], dtype=pl.String) for part in parts])[0]
            subject = self.of.breaks(pl.Series([hashlib.sha256(text.encode()).hexdigest()[:32]]))[0]
            if subject in self.breaks:
                stand[kind.value] = self.breaks[subject]
        kinds = sorted(stand)
        return {"run": run, "verdict": verdict, "recorded": kinds, "break": [stand[kind] for kind in kinds]}


def _shown(rows: pl.DataFrame, promise: Contract) -> list[pl.Series]:
    """The identities of rows, as a person writes them."""
    return [canonical.shown(rows[name], column).alias(name) for name, column in promise.identity.items()]


def _values(unit: str, count: int) -> list[str | None]:
    """Return the canonical values that an identity's one text is made of."""
    rest, *lengths = unit.rsplit(canonical.SEPARATOR, count)
    octets, at, values = rest.encode(), 0, list[str | None]()
    for length in lengths:
        size = 0 if length == "-" else int(length)
        values.append(None if length == "-" else octets[at : at + size].decode())
        at += size + 1
    return values


def _iso(us: int | None) -> str | None:
    return None if us is None else iso(moment(us))
