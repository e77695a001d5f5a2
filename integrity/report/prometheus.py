"""What does monitoring get to see?

The text form that Prometheus reads, for the textfile collector of its node exporter: gauges that say what the last run
found. An alert on a verdict, and one on a run that did not come, are all that a pipeline needs.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from integrity.errors import IntegrityError
from integrity.result import Result
from integrity.verdicts import Verdict

__all__ = ["prometheus", "write_atomically"]

_KINDS: Final = ("lost", "duplicate", "corrupt", "extra", "invalid", "late", "skewed", "unauthorized")
_VERDICTS: Final = (Verdict.PASS, Verdict.FAIL, Verdict.UNVERIFIED, Verdict.PENDING)
_Samples = Iterable[tuple[Mapping[str, str], float | int]]


def prometheus(result: Result, *, pipeline: str) -> str:
    """Return a result in Prometheus' text form.

    Percentiles of batches cannot be put together to those of a run, so only the greatest latency is told.

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
    metrics: list[tuple[str, str, _Samples]] = [
        ("verdict", "Whether this was the verdict of the last run.", [
            (own | {"verdict": verdict.value}, int(result.verdict is verdict)) for verdict in _VERDICTS
        ]),
        ("assertion", "Whether this was the verdict of a promise in the last run.", [
            (own | {"assertion": assertion.value, "verdict": verdict.value}, int(said is verdict))
            for assertion, said in result.assertions.items()
            for verdict in (*_VERDICTS, Verdict.SKIPPED)
        ]),
        ("items", "Items of the last run, by side.", [
            (own | {"side": side}, result.totals[f"{side}_records"]) for side in ("source", "destination")
        ]),
        ("breaks", "Breaks, by kind.", [(own | {"kind": kind}, result.totals[kind]) for kind in _KINDS]),
        ("batches", "Batches of the last run, by verdict.", [
            (own | {"verdict": verdict.value}, counted.get(verdict.value, 0)) for verdict in _VERDICTS
        ]),
        ("last_run_timestamp_seconds", "When the last run read its sides.", [(own, ends)]),
        ("as_of_timestamp_seconds", "The moment that decided which batches were closed.", [
            (own, result.as_of.timestamp())
        ]),
    ]  # fmt: skip
    if longest is not None:
        samples = [(own, longest.total_seconds())]  # type: ignore[union-attr]
        metrics.append(("latency_max_seconds", "The greatest latency of an item in the last run.", samples))
    return "".join(_metric(*metric) for metric in metrics)


def _metric(name: str, about: str, samples: _Samples) -> str:
    lines = [f"# HELP integrity_{name} {about}", f"# TYPE integrity_{name} gauge"]
    for labels, value in samples:
        told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"integrity_{name}{{{told}}} {value!r}")
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def write_atomically(path: Path, text: str) -> None:
    """Write a file beside, and put it in place whole: nobody reads half of it.

    Raises:
        IntegrityError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise IntegrityError(f"cannot write {path}: {error.strerror}", "name a writable place") from error
