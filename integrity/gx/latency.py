"""Were the rows of a batch processed soon after they happened?"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

from integrity.contracts import Contract
from integrity.errors import StoreError, UsageError
from integrity.gx.judging import Judging, Moment, Parameter, with_span
from integrity.gx.rendering import Sentence, said
from integrity.latency import percentiles
from integrity.reconciliation import measure
from integrity.totals import ControlTotals
from integrity.verdicts import Verdict
from integrity.windows import format_duration

__all__ = ["ExpectLatencyToBeWithin"]


class ExpectLatencyToBeWithin(Judging):
    """Expect that the rows of this batch were processed soon after they happened.

    Latency is whole microseconds, counted exactly. A row that was processed before it happened fails; one whose latency
    cannot be measured, and a batch of no rows, cannot succeed. What never arrived is not in the batch, and is no row of
    it: :class:`ExpectBatchesToReconcile` knows of that.

    Args:
        event: The column that says when it happened.
        processed: The column that says when it was processed.
        within: The limit, such as ``5s`` or ``250ms``.
        ratio: The share of the rows that must keep to it.
        never_over: A limit that no row may pass.
        timezone: How to read naive timestamps.
        as_of: Later times are from the future; now if left out.
        pushdown: Whether a database counts by itself.
    """

    event: str | Parameter
    processed: str | Parameter
    within: str | Parameter
    ratio: int | float | str | Parameter = 1
    never_over: str | Parameter | None = None
    timezone: str | Parameter | None = None
    as_of: Moment = None
    pushdown: str | Parameter = "auto"

    success_keys: ClassVar[tuple[str, ...]] = (
        "event", "processed", "within", "ratio", "never_over", "timezone", "as_of", "pushdown",
    )  # fmt: skip

    @classmethod
    def sentence(cls, kwargs: Mapping[str, Any]) -> Sentence:
        """Return what is expected, in words."""
        params = {name: said(kwargs.get(name)) for name in ("event", "processed", "within")}
        text = "$processed must be within $within of $event"
        if kwargs.get("ratio", 1) not in (1, "1"):
            text += ", for a share of at least $ratio of the rows"
            params["ratio"] = said(kwargs["ratio"])
        if kwargs.get("never_over") is not None:
            text += ", and never over $never_over"
            params["never_over"] = said(kwargs["never_over"])
        return with_span(text, params, kwargs)

    def _judged(self, batch: Any, result_format: Any) -> dict[str, Any]:
        if self.event == self.processed:
            raise UsageError(f"event and processed are both {self.event!r}", "name the columns of two moments")
        # A contract of these two columns alone, under names that nothing of a contract is called.
        promise = Contract(
            name="latency",
            version=1,
            identity={"the_event": {"type": "timestamp"}},
            unique=False,
            clock={"event": "the_event", "processed": "the_processing"},
            timeliness={"within": self.within, "ratio": self.ratio}
            | ({} if self.never_over is None else {"never_over": self.never_over}),
        )
        totals = measure(
            promise,
            batch,
            side="destination",
            as_of=self.as_of,  # type: ignore[arg-type]
            columns={str(self.event): "the_event", str(self.processed): "the_processing"},
            timezone=self.timezone,  # type: ignore[arg-type]
            pushdown=self.pushdown,  # type: ignore[arg-type]
        )
        return _timely(totals, promise)


def _timely(totals: ControlTotals, promise: Contract) -> dict[str, Any]:
    """Judge the latencies of a batch by what was counted of them."""
    limits = promise.timeliness
    assert limits is not None
    names = ("records", "on_time", "late", "over", "skewed", "unmeasured")
    count = {name: int(totals.frame[name].sum()) for name in names}
    if sum(count[name] for name in ("on_time", "late", "skewed", "unmeasured")) != count["records"]:
        raise StoreError("the counts of latency do not add up to the rows", "please report it")
    share = None if not count["records"] else Fraction(count["on_time"], count["records"])
    peak = totals.frame["latency_max"].max()
    spread: dict[str, int] = {}
    if totals.histogram.height:
        ranked = percentiles(totals.histogram, [], {"p50": 0.5, "p95": 0.95}).row(0, named=True)
        spread = {name: min(value, peak) for name, value in ranked.items()} | {"max": peak}
    missed = [
        f"{count['skewed']:,} processed before they happened, or in the future" if count["skewed"] else "",
        f"{count['over']:,} took longer than {format_duration(limits.never_over or 0)}" if count["over"] else "",
        f"{count['late']:,} took longer than {format_duration(limits.within)}"
        if share is not None and count["late"] and share < Fraction(limits.ratio)
        else "",
    ]
    unknown = f"the latency of {count['unmeasured']:,} cannot be measured" if count["unmeasured"] else ""
    if any(missed):
        verdict, texts = Verdict.FAIL, [*missed, unknown]
    elif not count["records"]:
        verdict, texts = Verdict.UNVERIFIED, ["no row to judge"]
    elif unknown:
        verdict, texts = Verdict.UNVERIFIED, [unknown]
    else:
        verdict, texts = Verdict.PASS, [f"{count['on_time']:,} of {count['records']:,} on time"]
    told = [text for text in texts if text]
    told += [f"{name} {_seconds(us) if name == 'max' else f'{us / 1_000_000:.3g} s'}" for name, us in spread.items()]
    details = {
        "verdict": verdict.value,
        "counts": count,
        "latency_microseconds": spread,
        "notes": [f"{count['on_time']:,} of {count['records']:,} rows on time"] if count["records"] else [],
        "how": {"measured": totals.location, "percentiles": "within 2 %; counts and the maximum are exact"},
    }
    of_rows = {"element_count": count["records"], "unexpected_count": count["records"] - count["on_time"]}
    return {
        "success": verdict is Verdict.PASS,
        "result": {"observed_value": f"{verdict.value}: {', '.join(told)}", "details": details, **of_rows},
    }


def _seconds(us: int) -> str:
    return f"{us / 1_000_000:,.6f}".rstrip("0").rstrip(".") + " s"
