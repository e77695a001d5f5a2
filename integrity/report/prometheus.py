"""What does monitoring get to see?

The text form that Prometheus reads, for the textfile collector of its node exporter: gauges that say what the last run
found. An alert on a verdict, and one on a run that did not come, are all that a pipeline needs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Final

from integrity.result import Result
from integrity.summary import KINDS
from integrity.verdicts import Verdict

__all__ = ["prometheus"]

_SIDES: Final = ("source", "destination")
_VERDICTS: Final = (Verdict.PASS, Verdict.FAIL, Verdict.UNVERIFIED, Verdict.PENDING)
_Samples = Iterable[tuple[Mapping[str, str], float | int]]


def prometheus(result: Result, *, pipeline: str) -> str:
    """Return a result in Prometheus' text form. Every count of ``result.totals`` is in it once.

    Percentiles of batches cannot be put together to those of a run, so of latencies only the greatest is told.

    Args:
        result: What was found.
        pipeline: What sets this series apart from those of other pipelines.

    Example:
        >>> import integrity, polars as pl
        >>> notes = integrity.Contract(name="notes", version=1, identity=["id"])
        >>> result = integrity.reconcile(notes, pl.DataFrame({"id": ["1"]}), pl.DataFrame({"id": ["1"]}))
        >>> [line for line in prometheus(result, pipeline="notes").splitlines() if line.endswith("} 1")][0]
        'integrity_verdict{pipeline="notes",contract="notes",verdict="pass"} 1'
    """
    own = {"pipeline": pipeline, "contract": result.contract.name}
    batches = result.batch_frame
    longest = batches["latency_max"].max()
    counted = dict(batches.group_by("verdict").len().iter_rows())
    ends = max(side.read_at for side in result.sides.values()).timestamp()
    totals = dict(result.totals)
    read = {side: totals.pop(f"{side}_records") for side in _SIDES}
    breaks = {kind: totals.pop(kind) for kind in KINDS}
    metrics: list[tuple[str, str, _Samples]] = [
        ("verdict", "Whether this was the verdict of the last run.", [
            (own | {"verdict": verdict.value}, int(result.verdict is verdict)) for verdict in _VERDICTS
        ]),
        ("assertion", "Whether this was the verdict of a promise in the last run.", [
            (own | {"assertion": assertion.value, "verdict": verdict.value}, int(said is verdict))
            for assertion, said in result.assertions.items()
            for verdict in (*_VERDICTS, Verdict.SKIPPED)
        ]),
        ("items", "Items of the last run, by side.", [(own | {"side": side}, n) for side, n in read.items()]),
        ("items_by_kind", "Items of the last run that are no breaks, by what became of them.", [
            (own | {"kind": kind}, count) for kind, count in totals.items()
        ]),
        ("breaks", "Breaks of the last run, by kind.", [(own | {"kind": kind}, n) for kind, n in breaks.items()]),
        ("batches", "Batches of the last run, by verdict; one in which nothing was due has none.", [
            (own | {"verdict": verdict.value}, counted.get(verdict.value, 0))
            for verdict in (*_VERDICTS, Verdict.SKIPPED)
        ]),
        ("last_run_timestamp_seconds", "When the last run read its sides.", [(own, ends)]),
        ("as_of_timestamp_seconds", "The moment that decided which batches were closed.", [
            (own, result.as_of.timestamp())
        ]),
    ]  # fmt: skip
    if isinstance(longest, dt.timedelta):
        samples = [(own | {"quantile": "1"}, longest.total_seconds())]
        metrics.append(("latency_seconds", "The greatest latency of an item of the last run.", samples))
    return "".join(_metric(*metric) for metric in metrics)


def _metric(name: str, about: str, samples: _Samples) -> str:
    lines = [f"# HELP integrity_{name} {about}", f"# TYPE integrity_{name} gauge"]
    for labels, value in samples:
        told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"integrity_{name}{{{told}}} {value!r}")
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    # A lone surrogate, as an argument that is no UTF-8 leaves it, is shown by its number.
    shown = text.encode(errors="backslashreplace").decode()
    return shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
