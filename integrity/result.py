"""What was found, as verdicts, frames and text?

A :class:`Result` is what every reconciliation ends in, whatever was compared. It holds the counts and verdicts of every
batch and every break, and can say under which contract, over which data and with which strength they were found. It
does not know how.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from integrity.batches import timeless
from integrity.contracts import Assertion, Contract
from integrity.errors import IntegrityError
from integrity.examinations import Held
from integrity.outputs import breaks_beside, check_targets
from integrity.seals import Seals
from integrity.shown import Card, Shown, Table, counted
from integrity.spool import Log
from integrity.summary import Statement, Summary, found_in, in_english, summary_of
from integrity.timestamps import dated
from integrity.totals import BATCH, scale_of, scaled
from integrity.values import iso
from integrity.verdicts import Verdict
from integrity.writing import atomically, write_atomically

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BREAKS_IN_JSON", "Reached", "ReconciliationError", "Result", "SideRead"]

#: Up to so many breaks stand in the JSON; more go to a file beside it.
BREAKS_IN_JSON = 10_000
_UTC = pl.Datetime("us", "UTC")
#: So many breaks of a kind, and batches, a result shows of itself.
_FEW, _BATCHES_SHOWN = 3, 20
_BESIDES = ("invalid", "late", "skewed", "unauthorized", "moved", "excluded", "superseded")


class ReconciliationError(IntegrityError):
    """The verdict was ``fail`` or ``unverified``. Carries the result.

    Attributes:
        result: The :class:`Result`, whole.
    """

    def __init__(self, result: Result) -> None:
        super().__init__(result.headline(), "see error.result.breaks and error.result.notes")
        self.result = result
        self.exit_code = result.exit_code


@dataclass(frozen=True, slots=True)
class SideRead:
    """What is recorded of one side.

    Attributes:
        location: Its URL or path, no password.
        read_at: When reading began, UTC.
        mapping: Their column names to ours.
        timezone: How its naive timestamps were read.
        recorded: Whether these were control totals recorded earlier, rather than items.
        how: Whether its rows were pulled or its database totalled them, and why.
        queries: What its database was asked, in its own words.
    """

    location: str
    read_at: dt.datetime
    mapping: Mapping[str, str]
    timezone: str | None
    recorded: bool
    how: str = "pulled"
    queries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reached:
    """How many matched pairs reached a rung of the contract's ladder, and none above it.

    Attributes:
        column: The rung.
        means: What it says of them.
        count: How many.
    """

    column: str
    means: str
    count: int


@dataclass(frozen=True, eq=False)
class Result(Shown):
    """The result of a reconciliation.

    Attributes:
        contract: What was promised.
        verdict: The worst verdict of the closed batches.
        assertions: The verdict of each promise.
        totals: Counts over all batches; their names and why they balance, for every batch, are in docs/algebra.md.
        notes: What a reader must know besides: what was not checked and why, what looked odd.
        exclusions: What was left out, side and name to count and reason.
        ladder: The rungs of the contract's ladder, the strongest first, and how many matched pairs stand on each.
        since: First instant asked for, or ``None``.
        until: First instant no longer asked for, or ``None``.
        as_of: The moment that decided which batches were closed.
        sides: What was read, ``source`` and ``destination``.
        skips: Promises left out on purpose, and why.
        versions: Of the software that computed it.
        strength: ``accident``: equal totals cannot arise by chance (see ``bound``), but could be forged by someone who
            chooses the records. ``adversary``: the seals of all batches were compared, and cannot.
        bound: The probability of an accidental agreement, in words.
        self_test: What was planted and found in this very run, and what that does not prove.
        spec_sha256: Of everything that was in force: contract, mappings, time zones, skips, versions.
        expectations: What became of each expectation of the contract's ``validity``, on each side that it was asked of.
        recorded: The name of the run in the ledger, where it was put on record.
        operator: Who ran it; where it was put on record, by the name that stands there.
        host: On which machine.
        environment: ``production`` or ``test``, where it was put on record.
        references: The other stores that were read, by what they are: grants, outcomes, members, corrections.
        attempts: Where the source records attempts: ``attempted`` = ``accepted`` + ``rejected`` + ``excluded``, and
            ``rejected_by_reason``.
    """

    contract: Contract
    verdict: Verdict
    assertions: dict[Assertion, Verdict]
    totals: dict[str, int]
    notes: tuple[str, ...]
    exclusions: tuple[dict[str, Any], ...]
    since: dt.datetime | None
    until: dt.datetime | None
    as_of: dt.datetime
    sides: dict[str, SideRead]
    skips: dict[Assertion, str]
    versions: dict[str, str]
    strength: str
    bound: str
    self_test: str
    spec_sha256: str
    _batches: pl.DataFrame
    _breaks: Log
    ladder: tuple[Reached, ...] = ()
    expectations: tuple[Held, ...] = ()
    attempts: Mapping[str, Any] = field(default_factory=dict)
    references: Mapping[str, SideRead] = field(default_factory=dict)
    recorded: str | None = None
    operator: str = ""
    host: str = ""
    environment: str | None = None
    _read: Mapping[str, object] = field(default_factory=dict)
    _seals: Seals | None = None
    _warnings: Log = field(default_factory=Log)
    _review: Log = field(default_factory=Log)

    # --- frames
    # ----------------------------------------------------------------------------------------------------------

    @property
    def batches(self) -> pd.DataFrame:
        """A pandas row a batch; times are UTC, latencies timedeltas, amounts exact. The untimed batch starts at NaT."""
        import pandas as pd

        frame = self._batches.drop("__open").to_pandas(use_pyarrow_extension_array=False, types_mapper=_pandas_types)
        for name in self.contract.amounts:
            for side in ("source", "destination"):
                frame[f"{side}_{name}"] = pd.Series(self._amounts(f"{side}_{name}", name), dtype=object)
        return frame

    def _amounts(self, column: str, amount: str) -> list[int | Decimal]:
        scale = scale_of(self.contract, amount)
        sums = [int(text) for text in self._batches[column]]
        return [scaled(value, scale) for value in sums] if scale else list(sums)

    @property
    def breaks(self) -> pd.DataFrame:
        """A pandas row an item and kind, by batch, kind and identity. Millions fit :meth:`iter_breaks` better."""
        frame = pl.concat(list(self._frames()))
        order = ["batch_start", "kind", *self.contract.identity, "break_id"]
        return frame.sort(order, nulls_last=True).to_pandas(types_mapper=_pandas_types)

    @property
    def warnings(self) -> pd.DataFrame:
        """The items that break an expectation which only warns or informs: as :attr:`breaks`, its severity the kind.

        They change no verdict, and are no breaks.
        """
        frames = [_public(frame) for frame in self._warnings.frames()]
        return (pl.concat(frames) if frames else self._empty()).to_pandas(types_mapper=_pandas_types)

    @property
    def access_review(self) -> pd.DataFrame:
        """The grants that a review of access should look at, a pandas row a grant.

        Columns: ``remark`` (not used in this run, its actor has left, the same grant again, contradictory), ``actor``,
        ``object``, ``from``, ``until``, ``revoked``, ``departed``, ``recorded`` (UTC), ``approver``, and ``items``: how
        many items of this run it covers.
        """
        import pandas as pd

        frames = list(self._review.frames())
        return pl.concat(frames).to_pandas(types_mapper=_pandas_types) if frames else pd.DataFrame()

    @property
    def seals(self) -> pd.DataFrame:
        """A pandas row a batch and side, where the contract has ``seal: merkle``; else none.

        Columns: the partition, ``batch_start``, ``side``, ``records``, and ``root``: the Merkle root (RFC 6962)
        over the sorted fingerprints, ``sha256:<hex>``.
        """
        return self._sealed().to_pandas(types_mapper=_pandas_types)

    def _sealed(self) -> pl.DataFrame:
        if self._seals is None:
            texts = dict.fromkeys((*self.contract.partition, "side", "root"), pl.String)
            roots = pl.DataFrame(schema={**texts, BATCH: pl.Int64, "records": pl.Int64})
        else:
            roots = self._seals.roots
        named = roots.with_columns(dated(BATCH).alias("batch_start"))
        ordered = named.select(*self.contract.partition, "batch_start", "side", "records", "root")
        return ordered.sort(*self.contract.partition, "batch_start", pl.col("side") != "source", nulls_last=True)

    def fingerprint_frames(self) -> Iterator[pl.DataFrame]:
        """Yield the sorted fingerprints of one sealed batch and side after the other.

        Of a batch that both sides have alike, only the source's: ``__p.…`` for the partition, the batch's start,
        ``side`` and ``fingerprint``.
        """
        for frame in self._seals.fingerprints() if self._seals is not None else ():
            yield frame.rename({name: f"__p.{name}" for name in self.contract.partition})

    def iter_breaks(self) -> Iterator[pa.RecordBatch]:
        """Yield the breaks as Arrow, in bounded memory, however many."""
        for frame in self._frames():
            yield from frame.to_arrow(compat_level=pl.CompatLevel.oldest()).to_batches(max_chunksize=65_536)

    def few_breaks(self, of_a_kind: int) -> pl.DataFrame:
        """Return the first breaks of each kind, as Polars: what a person wants to see of a million."""
        few = pl.DataFrame()
        for frame in self._frames():
            few = pl.concat([few, frame]) if few.width else frame
            few = few.sort("batch_start", nulls_last=True, maintain_order=True)
            few = few.filter(pl.int_range(pl.len()).over("kind") < of_a_kind)
        return few.sort("kind", maintain_order=True)

    @property
    def batch_frame(self) -> pl.DataFrame:
        """:attr:`batches` as Polars, amounts as unscaled text, and ``__open``: whether the batch is still open."""
        return self._batches

    def break_frames(self) -> Iterator[pl.DataFrame]:
        """Yield the breaks as they were found: times as microseconds, and ``__p.…`` for the partition they are in."""
        yield from self._breaks.frames()

    def _frames(self) -> Iterator[pl.DataFrame]:
        empty = True
        for frame in self._breaks.frames():
            empty = False
            yield _public(frame)
        if empty:
            yield self._empty()

    def _empty(self) -> pl.DataFrame:
        identity = dict.fromkeys(self.contract.identity, pl.String)
        texts = dict.fromkeys(("differing", "source_values", "destination_values"), pl.String)
        times = {"event_time": pl.Int64, "processed_time": pl.Int64, "latency": pl.Int64, "reason": pl.String}
        schema = {"break_id": pl.String, BATCH: pl.Int64, "kind": pl.String, **identity, **texts, **times}
        return _public(pl.DataFrame(schema=schema))

    # --- verdicts
    # --------------------------------------------------------------------------------------------------------

    @property
    def exit_code(self) -> int:
        """What a shell sees: 0 pass (open batches may be pending), 1 fail, 3 unverified."""
        return {Verdict.FAIL: 1, Verdict.UNVERIFIED: 3}.get(self.verdict, 0)

    def raise_for_verdict(self) -> None:
        """Raise on ``fail`` and on ``unverified``.

        Raises:
            ReconciliationError: it carries this result.
        """
        if self.exit_code:
            raise ReconciliationError(self)

    @cached_property
    def summary(self) -> Summary:
        """What was found, in counts: what its headline, its card and every report of it say."""
        assertions = {assertion.value: verdict.value for assertion, verdict in self.assertions.items()}
        batches = self._batches.rename({"__open": "open"})
        return summary_of(self.verdict.value, assertions, self.totals, batches)

    def headline(self) -> str:
        """One sentence: the verdict and what it stands on."""
        return f"{self.contract.name}: {self.verdict.value}: {in_english(self.summary.headline())}"

    def __repr__(self) -> str:
        return f"<Result {self.headline()}>"

    def __str__(self) -> str:
        lines = [self.headline()]
        lines += [f"  {assertion.value:<14}{verdict.value}" for assertion, verdict in self.assertions.items()]
        lines.append("  " + self.balance())
        if self.ladder:
            lines.append("  " + self.travelled())
        kinds = {name: self.totals[name] for name in _BESIDES if self.totals[name]}
        if kinds:
            lines.append("  besides: " + ", ".join(f"{count:,} {kind}" for kind, count in kinds.items()))
        lines += [f"  {each.verdict.value} {each.described()}" for each in self.expectations if each.remarkable]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    @property
    def break_count(self) -> int:
        """How many breaks there are."""
        return self._breaks.rows

    def start_of(self, row: Mapping[str, Any]) -> str:
        """The start of a row of batches, as a person reads it; all of them are UTC."""
        if row["batch_start"] is None:
            return timeless(self.contract)
        return str(row["batch_start"].replace(tzinfo=None).isoformat(" ", "seconds"))

    def failing(self) -> pl.DataFrame:
        """The batches that are neither good nor merely open, as Polars."""
        return self._batches.filter(
            ~pl.col("__open") & pl.col("verdict").is_in(["fail", "unverified", "pending"])
        ).drop("__open")

    def balance(self) -> str:
        """The balance of the source, as a statement."""
        return self.statements[0].said()

    @property
    def statements(self) -> tuple[Statement, Statement]:
        """The balance of both sides."""
        return self.summary.statements

    def travelled(self) -> str:
        """How the matched items compare at the strongest rung that each reached, in words."""
        rungs = [f"{rung.count:,} {rung.means}" for rung in self.ladder if rung.count]
        others = [f"{self.totals[kind]:,} {kind}" for kind in ("corrupt", "unverified") if self.totals[kind]]
        return ", ".join(rungs + others) or "no pair to compare"

    def card(self) -> Card:
        """Return what it shows of itself: verdicts in words first, then where to look."""
        totals, number = self.totals, "{:,}".format
        besides = [f"{number(totals[name])} {name}" for name in _BESIDES if totals[name]]
        facts: list[tuple[str, object]] = [(each.value, verdict.value) for each, verdict in self.assertions.items()]
        facts += [(f"{each.value} skipped", why) for each, why in self.skips.items()]
        facts += [
            ("expectation", f"{each.verdict.value} {each.described()}") for each in self.expectations if each.remarkable
        ]
        facts += [("balance", statement.said()) for statement in self.statements]
        facts += [("compared", self.travelled())] if self.ladder else []
        facts += [("besides", ", ".join(besides))] if besides else []
        facts += [("note", note) for note in self.notes]
        return Card(self.headline(), facts, [self._failing_shown(), self._breaks_shown()])

    def _failing_shown(self) -> Table:
        failing = self.failing()
        header = (*self.contract.partition, "batch start (UTC)", "verdict", "source", "destination", "found")
        rows = [
            (
                *(row[name] for name in self.contract.partition),
                self.start_of(row),
                row["verdict"],
                *("?" if row[n] is None else f"{row[n]:,}" for n in ("source_records", "destination_records")),
                ", ".join(f"{count:,} {kind}" for kind, count in found_in(row).items()),
            )
            for row in failing.head(_BATCHES_SHOWN).to_dicts()
        ]
        first = f", the first {len(rows)}" if failing.height > len(rows) else ""
        return Table(f"{counted(failing.height, 'batch', 'batches')} that did not pass{first}", header, rows)

    def _breaks_shown(self) -> Table:
        few = self.few_breaks(_FEW).to_dicts()
        rows = [
            (
                row["kind"],
                *(row[name] for name in self.contract.identity),
                "; ".join(
                    text for text in (row["differing"] and f"differs in {row['differing']}", row["reason"]) if text
                ),
            )
            for row in few
        ]
        first = ", a few of each kind" if self.break_count > len(rows) else ""
        return Table(f"{counted(self.break_count, 'break')}{first}", ("kind", *self.contract.identity, "what"), rows)

    # --- files
    # -----------------------------------------------------------------------------------------------------------

    def to_html(self, path: str | Path | None = None, *, lang: str = "en", zone: str = "UTC") -> str:
        """Return the result as a report for people: one page of HTML, and write it if a path is given.

        It opens offline, runs no script and asks nobody for anything; it prints, and reads on a telephone. Of the
        breaks it shows the first of each kind, and says how many there are.

        Args:
            path: Where to write it.
            lang: ``en`` or ``ko``. What was recorded in words stays as it was recorded.
            zone: The time zone in which moments are told; the page names it.

        Raises:
            UsageError: there is no such language or time zone, or the file is one that was read.
            IntegrityError: the file cannot be written.

        Example:
            >>> import integrity, polars as pl
            >>> notes = integrity.Contract(name="notes", version=1, identity=["id"])
            >>> sent = pl.DataFrame({"id": ["<b>1</b>", "2"]})
            >>> page = integrity.reconcile(notes, sent, sent[1:]).to_html()
            >>> "&lt;b&gt;1&lt;/b&gt;" in page, "<b>1</b>" in page
            (True, False)
        """
        from integrity.report.facts import facts_of
        from integrity.report.html import page

        target = self._target("to_html()", path)
        text = page(facts_of(self), language=lang, zone=zone)
        if target is not None:
            write_atomically(target, text)
        return text

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the result as JSON text (schema ``integrity.result/1``), and write it if a path is given.

        Times are ISO 8601 with ``Z``, latencies whole microseconds, amounts text, hash totals ``sum128:<32 hex
        digits>``. Beyond 10,000 breaks, all of them go to a JSON Lines file beside ``path``, named in ``breaks_file``;
        without a path the first 10,000 are given and ``breaks_total`` says how many there are.

        Raises:
            UsageError: the file is one that was read.
            IntegrityError: the file cannot be written.
        """
        target = self._target("to_json()", path)
        if target is None:
            return self._text(None)
        beside = breaks_beside(target)
        if self._breaks.rows <= BREAKS_IN_JSON:
            write_atomically(target, f"{(text := self._text(None))}\n")
            with contextlib.suppress(OSError):  # breaks of an earlier result would be taken for this one's
                beside.unlink()
            return text
        text = self._text(beside)
        with atomically(target) as whole, atomically(beside) as lines:  # both, or neither
            whole.write(f"{text}\n".encode(errors="backslashreplace"))
            whole.flush()
            for frame in self._frames():
                _jsonable(frame).write_ndjson(lines)
        return text

    def _text(self, beside: Path | None) -> str:
        return json.dumps(self._document(beside), ensure_ascii=False, indent=1)

    def _target(self, what: str, path: object) -> Path | None:
        """Where an output goes; never onto what was read."""
        read = {f"the {name}": side.location for name, side in (*self.sides.items(), *self.references.items())}
        return check_targets({what: path}, {**read, **self._read}).get(what)

    def _document(self, beside: Path | None) -> dict[str, Any]:
        breaks: list[dict[str, Any]] = []
        for frame in self._frames():
            breaks += _jsonable(frame.head(BREAKS_IN_JSON - len(breaks))).to_dicts()
            if len(breaks) == BREAKS_IN_JSON:
                break
        document: dict[str, Any] = {
            "schema": "integrity.result/1",
            "contract": {"name": self.contract.name, "version": self.contract.version, "sha256": self.contract.sha256},
            "run": self.described(),
            "verdict": self.verdict.value,
            "assertions": {assertion.value: verdict.value for assertion, verdict in self.assertions.items()},
            "totals": dict(self.totals),
            "ladder": [{"column": r.column, "means": r.means, "count": r.count} for r in self.ladder],
            "batches": _jsonable(self._batches.drop("__open")).to_dicts(),
            "seals": _jsonable(self._sealed()).to_dicts(),
            "breaks": breaks,
            "breaks_total": self._breaks.rows,
            "warnings": self._listed(map(_public, self._warnings.frames())),
            "warnings_total": self._warnings.rows,
            "access_review": self._listed(self._review.frames()),
            "access_review_total": self._review.rows,
        }
        for row in document["batches"]:
            for name in self.contract.amounts:
                for side in ("source", "destination"):
                    places = scale_of(self.contract, name)
                    if places:
                        row[f"{side}_{name}"] = format(scaled(int(row[f"{side}_{name}"]), places), "f")
        if beside is not None:
            document["breaks_file"] = beside.name
        return document

    def _listed(self, frames: Iterable[pl.DataFrame]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for frame in frames:
            rows += _jsonable(frame.head(BREAKS_IN_JSON - len(rows))).to_dicts()
        return rows

    def described(self) -> dict[str, Any]:
        """What was in force, what was read, and what a reader must know besides."""
        return {
            "since": _iso(self.since),
            "until": _iso(self.until),
            "as_of": _iso(self.as_of),
            "sides": {name: _read(side) for name, side in self.sides.items()},
            "references": {name: _read(store) for name, store in self.references.items()},
            "skips": {assertion.value: reason for assertion, reason in self.skips.items()},
            "criteria": self.contract.criteria.model_dump(exclude_none=True) if self.contract.criteria else {},
            "exclusions": list(self.exclusions),
            "attempts": dict(self.attempts),
            "expectations": [asdict(each) | {"verdict": each.verdict.value} for each in self.expectations],
            "versions": self.versions,
            "spec_sha256": self.spec_sha256,
            "strength": self.strength,
            "bound": self.bound,
            "self_test": self.self_test,
            "recorded": self.recorded,
            "notes": list(self.notes),
        }


def _read(side: SideRead) -> dict[str, Any]:
    return {
        "location": side.location,
        "read_at": _iso(side.read_at),
        "columns": dict(side.mapping),
        "timezone": side.timezone,
        "recorded": side.recorded,
        "read": side.how,
        "queries": list(side.queries),
    }


def _public(breaks: pl.DataFrame) -> pl.DataFrame:
    return breaks.select(
        "break_id",
        dated(BATCH).alias("batch_start"),
        pl.exclude("break_id", BATCH, "event_time", "processed_time", "latency", "reason", "^__p\\..*$"),
        dated("event_time"),
        dated("processed_time"),
        pl.col("latency").cast(pl.Duration("us")),
        "reason",
    )


def _jsonable(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        pl.col(_UTC).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"), pl.col(pl.Duration("us")).to_physical()
    )


def _iso(moment: dt.datetime | None) -> str | None:
    return None if moment is None else iso(moment)


def _pandas_types(type_: pa.DataType) -> Any:
    """Counts stay whole numbers in pandas also where one is missing."""
    import pandas as pd

    return pd.Int64Dtype() if pa.types.is_int64(type_) else None
