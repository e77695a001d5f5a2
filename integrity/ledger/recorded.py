"""What is on record of one run, as a value that shows itself?

A :class:`RecordedRun` is what a :class:`integrity.Result` was, as far as its ledger keeps it: counts, verdicts, breaks,
and under what all of it was found. It is read, never judged anew.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import sqlalchemy as sa

from integrity.balance import unequal
from integrity.breaks import BY_NUMBER
from integrity.contracts import Assertion, Contract
from integrity.errors import LedgerError, UsageError
from integrity.ledger import schema
from integrity.ledger.history import pipelines, rows_of
from integrity.ledger.listing import named, there
from integrity.outputs import check_targets, files_of_ledger
from integrity.report.facts import OF_A_KIND, Facts, OnRecord
from integrity.report.html import page
from integrity.result import Reached
from integrity.shown import Card, Shown, Table
from integrity.summary import KINDS, in_english
from integrity.writing import write_atomically

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RecordedRun", "facts_on_record", "recorded"]

_PRIVATE: Final = ("reason", "source_values", "destination_values")
_MOMENTS: Final = ("batch_start", "batch_end", "event_time", "processed_time")
_LATENCIES: Final = ("latency", "latency_p50", "latency_p95", "latency_max")
_LAST: Final = "the latest one that finished"


@dataclass(frozen=True, eq=False)
class RecordedRun(Shown):
    """A run, as its ledger has it.

    Attributes:
        name: Of the run.
        contract: What was promised.
        started: What its first leaf says.
        ended: What its last leaf says; ``None`` where it never ended.
        described: What was read, how, and what had to be said of it; empty where that was erased.

    Example:
        >>> import tempfile, polars as pl, integrity
        >>> from integrity.ledger.recorded import recorded
        >>> folder = tempfile.TemporaryDirectory()
        >>> url = f"sqlite:///{folder.name}/ledger.db"
        >>> notes = integrity.Contract(name="notes", version=1, identity=["id"])
        >>> sent = pl.DataFrame({"id": ["1", "2"]})
        >>> result = integrity.reconcile(notes, sent, sent[:1], ledger=url)
        >>> run = recorded(url)
        >>> run.name == result.recorded, run.verdict, run.totals["lost"], list(run.breaks["id"])
        (True, 'fail', 1, ['2'])
        >>> folder.cleanup()
    """

    name: str
    contract: Contract
    started: Mapping[str, Any]
    ended: Mapping[str, Any] | None
    described: Mapping[str, Any]
    _batches: pl.DataFrame
    _breaks: pl.DataFrame
    _ledger: Path | None = None

    @property
    def finished(self) -> Mapping[str, Any]:
        """What its last leaf says it found.

        Raises:
            LedgerError: it found nothing: it failed, or never ended.
        """
        if self.ended is None or self.ended["kind"] != "finished":
            how = "was begun and never ended" if self.ended is None else f"{self.ended['kind']}"
            raise LedgerError(f"run {self.name} {how}: nothing was found", "look at another run")
        return self.ended

    @property
    def verdict(self) -> str:
        """Of the run."""
        return str(self.finished["verdict"])

    @property
    def assertions(self) -> dict[str, str]:
        """The verdict of each promise."""
        return _in_order(self.finished["assertions"])

    @property
    def totals(self) -> dict[str, int]:
        """Counts over all batches, those that stood unchanged too."""
        return dict(self.finished["totals"])

    @property
    def batches(self) -> pd.DataFrame:
        """A pandas row a batch that this run put on record; moments are UTC, hash totals keyed."""
        return _shown(self._batches, self.contract.partition).drop("body").to_pandas()

    @property
    def breaks(self) -> pd.DataFrame:
        """A pandas row a break that this run put on record; what is private is empty where it was erased."""
        return _with_private(_shown(self._breaks, self.contract.identity)).to_pandas()

    @cached_property
    def facts(self) -> Facts:
        """What a report says of it."""
        parts = (self.contract, self.name, self.started, self.finished, self.described)
        return facts_on_record(*parts, batches=self._batches, breaks=self._breaks)

    def balance(self) -> pd.DataFrame:
        """The balance of both sides: what the population is the sum of."""
        import pandas as pd

        sides = self.facts.summary.statements
        names = list(dict.fromkeys([*(name for side in sides for name in side.parts), "population"]))
        rows = {side.side: {**side.parts, "population": side.total} for side in sides}
        return pd.DataFrame(rows, index=names).astype("Int64")

    def counts(self) -> pd.DataFrame:
        """Each count of ``totals``, from the rows that are on record and as the run's last leaf says it.

        Returns:
            A pandas row a count: ``batches``, summed over the rows of this run; ``unchanged``, of batches that stood as
            an earlier run had recorded them and have their rows there; ``total``, as the leaf says: the sum of both;
            and ``breaks``: of a kind of breaks, how many rows of it this run recorded, as many as ``batches`` says,
            but for those of :attr:`by_number`.
        """
        import pandas as pd

        rows, unchanged = self._batches, self.finished["unchanged"]["totals"]
        kinds = dict(self._breaks["kind"].value_counts().iter_rows())
        told = []
        for name, total in self.totals.items():
            column = "moved_out" if name == "moved" else name
            broken = kinds.get(name, 0) if name in KINDS else None
            told.append((int(rows[column].sum()), unchanged.get(column, 0), total, broken))
        columns = ["batches", "unchanged", "total", "breaks"]
        return pd.DataFrame(told, index=list(self.totals), columns=columns).astype("Int64")

    @property
    def by_number(self) -> tuple[str, ...]:
        """Which breaks may be counted without a row each, since recorded totals tell no items.

        Where it was erased how the sides were read, those that may have been.
        """
        sides = self.described.get("sides") or {side: {"recorded": True} for side in BY_NUMBER}
        return tuple(dict.fromkeys(k for side, of in BY_NUMBER.items() if sides[side]["recorded"] for k in of))

    @property
    def sealed(self) -> int:
        """How many seals of batches this run put on record: of each batch one, or two where the sides differ."""
        return int(self.finished["rows"]["seals"]["count"])

    def unbalanced(self) -> pd.DataFrame:
        """The batches of this run whose counts do not add up: none, unless somebody changed them.

        Of those that differ from recorded totals nobody knows what became of their items.
        """
        known = pl.col("matched").is_not_null()
        return self.batches[self._batches.select((known & unequal()).fill_null(False)).to_series().to_numpy()]

    def to_html(self, path: str | Path | None = None, *, lang: str = "en", zone: str = "UTC") -> str:
        """Return the report of this run, as :meth:`integrity.Result.to_html` does.

        Raises:
            UsageError: there is no such language or time zone, or the file is the ledger.
            LedgerError: it found nothing.
            IntegrityError: the file cannot be written.
        """
        target = check_targets({"to_html()": path}, files_of_ledger(self._ledger)).get("to_html()")
        text = page(self.facts, language=lang, zone=zone)
        if target is not None:
            write_atomically(target, text)
        return text

    def card(self) -> Card:
        """Return what it shows of itself."""
        started = self.started
        facts: list[tuple[str, object]] = [
            ("pipeline", started["pipeline"]),
            ("contract", f"{self.contract.name} version {self.contract.version}, sha256 {self.contract.sha256}"),
            ("began", started["at"]),
            ("operator", f"{started['operator']} on {started['host']} ({started['environment']})"),
        ]
        if self.ended is None or self.ended["kind"] != "finished":
            return Card(f"run {self.name}: {self.ended['kind'] if self.ended else 'never ended'}", facts)
        facts += [(name, verdict) for name, verdict in self.assertions.items()]
        versions = ", ".join(f"{name} {version}" for name, version in started["versions"].items())
        told = [("spec_sha256", self.finished["spec_sha256"]), ("software", versions)]
        told += [("bound", self.finished["bound"]), ("self-test", self.finished["self_test"])]
        told += [
            (f"{side}: {name}", each[name])
            for side, each in (self.described.get("sides") or {}).items()
            for name in ("location", "read_at", "read", "timezone")
            if each[name]
        ]
        told += [
            (f"{side}: query", query)
            for side, each in (self.described.get("sides") or {}).items()
            for query in each["queries"]
        ]
        told += [("note", note) for note in self.described.get("notes", ())]
        headline = f"run {self.name}: {self.verdict}: {in_english(self.facts.summary.headline())}"
        return Card(headline, facts, [Table("what it rests on", ("", ""), told)])


def recorded(url: str | os.PathLike[str], run: str | None = None, *, pipeline: str | None = None) -> RecordedRun:
    """Return a run that is on record.

    Args:
        url: Of the ledger.
        run: Its name, or the beginning of it; else the latest that finished.
        pipeline: Of which pipeline the latest is wanted.

    Raises:
        UsageError: there is no such run.
        LedgerError: there is no ledger, or it cannot be read.
    """
    database = there(url)
    with database.reading() as connection:
        name = named(connection, run) if run is not None else _latest(connection, pipeline)
        leaves = schema.leaves

        def said(table: sa.Table) -> dict[str, Any] | None:
            number = connection.execute(sa.select(table.c.leaf).where(table.c.run == name)).scalar()
            body = connection.execute(sa.select(leaves.c.body).where(leaves.c.number == number)).scalar()
            return None if body is None else dict(json.loads(body))

        started = said(schema.runs)
        assert started is not None, "a run has its first leaf"
        kept = sa.select(schema.contracts.c.body).where(schema.contracts.c.sha256 == started["contract"]["sha256"])
        contract = Contract.from_text(str(connection.execute(kept).scalar()))
        texts = _texts(connection, name)
        ending = texts.get(("run", 1))
        ended = said(schema.endings)
        found = ended is not None and ended["kind"] == "finished" and ending is not None
        frames = [
            _spread(rows_of(connection, table, name), texts, scope, part, names)
            for table, scope, part, names in (
                (schema.batches, "batch", "partition", contract.partition),
                (schema.breaks, "break", "identity", contract.identity),
            )
        ]
    described = json.loads(str(ending)) if found else {}
    batches, breaks = frames
    return RecordedRun(name, contract, started, ended, described, batches, breaks, database.file)


def _latest(connection: sa.Connection, pipeline: str | None) -> str:
    runs, endings = schema.runs, schema.endings
    query = sa.select(runs.c.run).join(endings, endings.c.run == runs.c.run).where(endings.c.how == "finished")
    if pipeline is not None:
        query = query.where(runs.c.pipeline == pipeline)
    name = connection.execute(query.order_by(endings.c.leaf.desc()).limit(1)).scalar()
    if name is None:
        known = ", ".join(pipelines(connection)) or "none"
        of = "" if pipeline is None else f" of pipeline {pipeline!r}"
        raise UsageError(f"no run{of} has finished", f"pipelines on record: {known}")
    return str(name)


def _texts(connection: sa.Connection, run: str) -> dict[tuple[str, int], str]:
    secrets = schema.secrets
    query = sa.select(secrets.c.scope, secrets.c.number, secrets.c.body).where(secrets.c.run == run)
    return {(scope, number): body for scope, number, body in connection.execute(query)}


def _spread(
    frame: pl.DataFrame, texts: Mapping[tuple[str, int], str], scope: str, part: str, names: Any
) -> pl.DataFrame:
    """Rows with their private text, and its identity or partition spread over columns ``part.name``."""
    bodies = [texts.get((scope, number)) for number in frame["number"]]
    told = [{} if body is None else json.loads(body)[part] for body in bodies]
    columns = [pl.Series(f"{part}.{n}", [each.get(n) for each in told], dtype=pl.String) for n in names]
    return frame.with_columns(pl.Series("body", bodies, dtype=pl.String), *columns)


# --- facts
# ----------------------------------------------------------------------------------------------------------------


def facts_on_record(
    contract: Contract,
    run: str,
    started: Mapping[str, Any],
    finished: Mapping[str, Any],
    described: Mapping[str, Any],
    *,
    batches: pl.DataFrame | None,
    breaks: pl.DataFrame | None,
) -> Facts:
    """Return what a report says of a run that finished.

    Args:
        contract: What was promised.
        run: Its name.
        started: What its first leaf says.
        finished: What its last leaf says.
        described: What is private of it; empty where that is not known.
        batches: Its rows, with ``partition.…`` and, where that is known, ``body``; ``None`` where there are none.
        breaks: Its rows, with ``identity.…``.
    """
    counts = {} if breaks is None else dict(breaks["kind"].value_counts().iter_rows())
    who = (run, started["operator"], started["host"], started["environment"], started["at"], finished["at"])
    return Facts(
        contract=contract,
        verdict=finished["verdict"],
        assertions=_in_order(finished["assertions"]),
        totals=finished["totals"],
        batches=_opened(batches, finished["closed_until"], contract),
        breaks=pl.DataFrame() if breaks is None else _few(breaks, contract),
        broken={kind: counts[kind] for kind in KINDS if kind in counts},
        described=described,
        who=OnRecord(*who),
        ladder=[Reached(**rung) for rung in described.get("ladder", ())],
        unchanged=finished["unchanged"]["batches"],
        stood=finished["unchanged"]["totals"] if finished["unchanged"]["batches"] else {},
        strength=finished["strength"],
        bound=finished["bound"],
        self_test=finished["self_test"],
        as_of=dt.datetime.fromisoformat(finished["as_of"]),
        skips=started["skips"],
        notes=described.get("notes", ()),
    )


def _in_order(assertions: Mapping[str, str]) -> dict[str, str]:
    return {each.value: assertions[each.value] for each in Assertion if each.value in assertions}


def _opened(frame: pl.DataFrame | None, closed_until: str | None, contract: Contract) -> pl.DataFrame:
    """Batches as a result has them, and whether each was still open."""
    if frame is None:
        names = [column.name for column in schema.batches.columns]
        frame = pl.DataFrame(schema=dict.fromkeys(names, pl.String)).cast(dict.fromkeys(schema.COUNTS, pl.Int64))
    later = pl.lit(True) if closed_until is None else pl.col("batch_end").fill_null("9") > closed_until
    waiting = (pl.col("verdict") == "pending").fill_null(False) & later
    return _shown(frame.with_columns(waiting.alias("open")), contract.partition)


def _shown(frame: pl.DataFrame, names: Any) -> pl.DataFrame:
    """Rows with moments as such, their own columns under their own names, and without what only binds them."""
    moments = [
        pl.col(name).str.to_datetime(time_unit="us", time_zone="UTC") for name in _MOMENTS if name in frame.columns
    ]
    whole = [pl.col(name).cast(pl.Int64) for name in _LATENCIES if name in frame.columns]
    spread = {f"{part}.{name}": name for part in ("partition", "identity") for name in names}
    binding = ("run", "number", "key", "facts", "batch", "commitment", "hash", "salt", "subject")
    return frame.with_columns(moments + whole).drop(binding, strict=False).rename(spread, strict=False)


def _with_private(frame: pl.DataFrame) -> pl.DataFrame:
    """Breaks with what is private of them in columns; empty where it was erased or left out."""
    bodies = frame["body"].to_list() if "body" in frame.columns else [None] * frame.height
    told = [{} if body is None else json.loads(body) for body in bodies]
    private = [pl.Series(name, [each.get(name) for each in told], dtype=pl.String) for name in _PRIVATE]
    return frame.drop("body", strict=False).with_columns(private)


def _few(breaks: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """The first breaks of each kind."""
    few = breaks.sort("batch_start", nulls_last=True, maintain_order=True)
    few = few.filter(pl.int_range(pl.len()).over("kind") < OF_A_KIND)
    return _with_private(_shown(few, contract.identity))
