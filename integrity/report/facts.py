"""What does a report say, before it is said in any language?

Counts, verdicts and rows of one run, whether it has just been carried out or lies in an evidence pack. Everything that
a page states is counted here, from the frames, so that a summary cannot disagree with its rows.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from integrity.contracts import Contract
from integrity.result import Reached, Result
from integrity.summary import KINDS, Summary, summary_of

__all__ = ["BATCHES_SHOWN", "OF_A_KIND", "Facts", "OnRecord", "Timeliness", "facts_of"]

#: So many breaks of each kind stand in a report; of a million nobody reads more, and a browser could not show them.
OF_A_KIND: Final = 25
#: So many batches that did not pass stand in it, the earliest first.
BATCHES_SHOWN: Final = 200

_UTC = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class OnRecord:
    """Who ran it, and where that is on record.

    Attributes:
        run: The name of the run in its ledger; ``None`` where it is on no ledger.
        operator: Who ran it.
        host: On which machine.
        environment: ``production`` or ``test``; ``None`` where it is on no ledger.
        began: When it was recorded to begin, ISO 8601.
        ended: When it was recorded to have ended.
    """

    run: str | None
    operator: str
    host: str
    environment: str | None = None
    began: str | None = None
    ended: str | None = None


@dataclass(frozen=True, slots=True)
class Timeliness:
    """How soon items arrived, as far as batches tell.

    Attributes:
        due: How many items of closed batches had to arrive.
        on_time: How many of them did within the limit.
        longest: The longest latency, microseconds; ``None`` where none was measured.
    """

    due: int
    on_time: int
    longest: int | None


@dataclass(frozen=True)
class Facts:
    """What is known of one run.

    Attributes:
        contract: What was promised.
        verdict: Of the run.
        assertions: The verdict of each promise.
        totals: Counts over all batches, in the algebra's names.
        batches: A row a batch: ``batch_start``, ``batch_end``, the counts, ``latency_*`` in microseconds, ``verdict``
            and the verdict of each promise, ``open``.
        breaks: The first few of each kind: ``batch_start``, ``kind``, the identity, ``differing``, ``reason`` and the
            times, as :attr:`integrity.Result.breaks` has them.
        broken: How many breaks there are of each kind.
        described: What was in force and what was read, as the JSON's ``run``; empty where that was left out or erased.
        who: Who ran it, and where that is on record.
        ladder: The rungs of the contract's ladder.
        unchanged: How many batches were read again and found as they stood: they are counted, and not listed.
        stood: The counts of these.
    """

    contract: Contract
    verdict: str
    assertions: Mapping[str, str]
    totals: Mapping[str, int]
    batches: pl.DataFrame
    breaks: pl.DataFrame
    broken: Mapping[str, int]
    described: Mapping[str, Any]
    who: OnRecord
    ladder: Sequence[Reached] = ()
    unchanged: int = 0
    stood: Mapping[str, int] = field(default_factory=dict)
    strength: str = ""
    bound: str = ""
    self_test: str = ""
    as_of: dt.datetime | None = None
    skips: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    # --- what the batches say

    @functools.cached_property
    def summary(self) -> Summary:
        """What was found, in counts."""
        return summary_of(self.verdict, self.assertions, self.totals, self.batches, self.stood, self.unchanged)

    @property
    def break_count(self) -> int:
        """How many breaks there are."""
        return sum(self.broken.values())

    @property
    def remarkable(self) -> pl.DataFrame:
        """The closed batches that did not pass, the earliest first."""
        return self.batches.filter(~pl.col("open") & pl.col("verdict").is_in(["fail", "unverified", "pending"]))

    @property
    def undrawn(self) -> int:
        """How many batches have no time, so that a picture over time has no place for them."""
        return 0 if self.contract.clock is None else self.batches.filter(pl.col("batch_start").is_null()).height

    @property
    def period(self) -> tuple[dt.datetime | None, dt.datetime | None]:
        """The start of the first window and the end of the last one that were read."""
        starts, ends = self.batches["batch_start"].drop_nulls(), self.batches["batch_end"].drop_nulls()
        return _moment(starts.min()), _moment(ends.max())

    @property
    def criteria(self) -> Mapping[str, str]:
        """Which criterion each promise supports, by the contract, and their ``set``."""
        return self.contract.criteria.model_dump(exclude_none=True) if self.contract.criteria else {}

    def timeliness(self) -> Timeliness | None:
        """How soon items arrived; ``None`` where the contract has no clock for that."""
        if self.contract.clock is None or self.contract.clock.processed is None:
            return None
        closed = self.batches.filter(~pl.col("open"))
        longest = _whole(closed["latency_max"].max())
        if "timeliness_ratio" not in closed.columns:
            return Timeliness(0, 0, longest)
        due = pl.col("source_records") - pl.col("accounted") - pl.col("pending")
        # A batch's ratio is a fraction of whole items; these are got back, since ratios themselves do not add up.
        rows = closed.filter(pl.col("timeliness_ratio").is_not_null()).select(
            due.alias("due"), (pl.col("timeliness_ratio") * due).round().cast(pl.Int64).alias("on_time")
        )
        return Timeliness(int(rows["due"].sum()), int(rows["on_time"].sum()), longest)


def _moment(value: Any) -> dt.datetime | None:
    return value if isinstance(value, dt.datetime) else None


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def facts_of(result: Result) -> Facts:
    """Return what is known of a run that has just been carried out."""
    micros = [pl.col(name).to_physical() for name in ("latency_p50", "latency_p95", "latency_max")]
    broken = dict.fromkeys(KINDS, 0)
    for frame in result.break_frames():
        for kind, count in frame["kind"].value_counts().iter_rows():
            broken[kind] = broken.get(kind, 0) + count
    return Facts(
        contract=result.contract,
        verdict=result.verdict.value,
        assertions={assertion.value: verdict.value for assertion, verdict in result.assertions.items()},
        totals=result.totals,
        batches=result.batch_frame.with_columns(micros).rename({"__open": "open"}),
        breaks=result.few_breaks(OF_A_KIND),
        broken={kind: count for kind, count in broken.items() if count},
        described=result.described(),
        who=OnRecord(result.recorded, result.operator, result.host, result.environment),
        ladder=result.ladder,
        strength=result.strength,
        bound=result.bound,
        self_test=result.self_test,
        as_of=result.as_of,
        skips={assertion.value: why for assertion, why in result.skips.items()},
        notes=result.notes,
    )
