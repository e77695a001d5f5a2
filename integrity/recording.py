"""How does a run come on record, whatever becomes of it?

Before anything is read, that it begins; afterwards what it found, or in which error it ended. Where the ledger itself
is out of reach, the work is done all the same, for what is lost in a pipeline does not wait for a database: the error
that is raised then carries the result.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from integrity.arguments import REFERENCES, SIDES, bound_of, by_side, instant_of, skips_of, zones_of
from integrity.contracts import Contract
from integrity.errors import IntegrityError, LedgerError, LedgerUnreachableError
from integrity.in_force import spec_sha256, versions
from integrity.result import Result
from integrity.values import iso, moment

if TYPE_CHECKING:
    from integrity.ledger import Beginning, Ledger, Recording

__all__ = ["beginning", "on_record", "saved_beside"]

Finish = Callable[["Recording", Result], None]


def beginning(
    promise: Contract,
    pipeline: str,
    asked: Mapping[str, Any],
    *,
    every: str | None = None,
    remarks: tuple[str, ...] = (),
) -> Beginning:
    """Return what is known of a run before anything is read.

    Args:
        promise: The contract.
        pipeline: Of which pipeline it is.
        asked: The other arguments of :func:`integrity.reconcile`.
        every: How often the pipeline is to run, where that is known.
        remarks: What is odd about it by then.

    Raises:
        UsageError: an argument cannot be meant.
    """
    from integrity.ledger import Beginning

    mapped = by_side(asked.get("columns") or {}, "columns", SIDES)
    zones = zones_of(by_side(asked.get("timezone") or {}, "timezone", SIDES))
    skips = skips_of(promise, asked.get("skip") or {})
    references = [name for name in REFERENCES if asked.get(name) is not None]
    bounds = {name: bound_of(asked.get(name), name, promise) for name in ("since", "until")}
    as_of = asked.get("as_of")
    return Beginning(
        pipeline=pipeline,
        contract=promise,
        spec_sha256=spec_sha256(promise, mapped, zones, skips, references),
        versions=versions(),
        since=_iso(bounds["since"]),
        until=_iso(bounds["until"]),
        as_of=None if as_of is None else _iso(instant_of(as_of, "as_of")),
        skips={assertion.value: why for assertion, why in skips.items()},
        reading={
            "columns": {side: dict(mapping) for side, mapping in mapped.items()},
            "timezone": zones,
            "pushdown": asked.get("pushdown", "auto"),
            "references": references,
        },
        every=every,
        remarks=remarks,
    )


def _iso(us: int | None) -> str | None:
    if us is None:
        return None
    return iso(moment(us))


def on_record(
    ledger: str | os.PathLike[str] | Ledger,
    begins: Beginning,
    work: Callable[[], Result],
    finish: Finish | None = None,
) -> Result:
    """Do the work of a run between its two leaves.

    Args:
        ledger: Where it is recorded.
        begins: What its first leaf says.
        work: Reads and judges.
        finish: Records what was found; :meth:`integrity.ledger.Recording.finish` if left out.

    Raises:
        LedgerError: the run may not be, or could not be, recorded; where it was carried out, with its result.
        IntegrityError: as the work raises, which is recorded then.
    """
    from integrity.ledger import Ledger

    try:
        book = ledger if isinstance(ledger, Ledger) else Ledger.open(ledger)
        recording = book.begin(begins)
    except LedgerUnreachableError as unreachable:
        unreachable.result = work()
        raise
    try:
        result = work()
    except BaseException as error:
        with contextlib.suppress(LedgerError):  # then the run is on record as one that never ended
            recording.fail(error)
        raise
    (finish or _finished)(recording, result)
    return replace(result, recorded=recording.run, operator=book.operator, environment=book.environment)


def _finished(recording: Recording, result: Result) -> None:
    recording.finish(result)


def saved_beside(error: LedgerError) -> str:
    """Save the result that an error carries, in this folder or else among temporary files, and say where it is."""
    if error.result is None:
        return ""
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S")
    name = f"integrity-unrecorded-{error.result.contract.name}-{stamp}.json"
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        with contextlib.suppress(IntegrityError):
            error.result.to_json(folder / name)
            return f"the result, which is not on record, is in {folder / name}"
    return "the result is not on record, and no folder is writable to save it in"
