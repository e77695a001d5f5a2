"""What was decided about the breaks of a pack, for somebody who has no ledger to ask?

The same as :mod:`integrity.ledger.cases` tells of a ledger: of the runs that are in the pack, up to when it was made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from integrity.errors import UsageError
from integrity.ledger.cases import decided, traced
from integrity.ledger.trails import Groups, Place, Step, Trail
from integrity.packs.opening import Pack
from integrity.packs.told import runs_of
from integrity.packs.tying_cases import REASONS, on_record, steps_of
from integrity.packs.verifying import sound_pack

__all__ = ["CASES", "cases", "cases_of", "trace"]

#: What is told of each break.
CASES: Final = {
    "run": pl.String, "number": pl.Int64, "pipeline": pl.String, "kind": pl.String, "batch_start": pl.String,
    "first_at": pl.String, "state": pl.String, "case": pl.String, "disposition": pl.String, "by": pl.String,
    "confirmed_by": pl.String, "reference": pl.String, "reason": pl.String,
}  # fmt: skip


def cases(pack: str | os.PathLike[str]) -> pl.DataFrame:
    """Return the breaks of a pack and what was decided about them, a row a break, the oldest first.

    Rows are known to be one break's where the pack holds the keyed name, a link, or a disposition that lists them
    together: not where names were replaced and nothing was decided. Runs of ``test`` do not count, and are left out.

    Args:
        pack: The folder or zip. It has to fit together; by whom it is signed is for :func:`verify_pack` to tell.

    Returns:
        ``run`` and ``number``: its latest row; ``pipeline``, ``kind``, ``batch_start``; ``first_at``: when it was first
        found; ``state``; ``case``, ``disposition``, ``by``, ``confirmed_by``, ``reference``, as
        :func:`integrity.ledger.listing.breaks` tells them; ``reason``: of the disposition that stands or is proposed,
        null where it was erased or left out.

    Raises:
        PackError: it is no pack, or does not fit together.
    """
    return cases_of(sound_pack(pack))


def cases_of(pack: Pack) -> pl.DataFrame:
    """Return what :func:`cases` does, of a pack that was verified."""
    rows = []
    for trail, told in _trails(pack):
        holds = trail.disposed or trail.proposal
        first = trail.proposer or holds
        shown = dict(zip(("case", "disposition", "by", "confirmed_by", "reference"), decided(trail), strict=True))
        run, number = trail.rows[-1]
        row = told | shown | {"run": run, "number": number, "first_at": trail.shown[0].at, "state": trail.state}
        row["reason"] = first.reason if first is not None and shown["disposition"] is not None else None
        rows.append([row[name] for name in CASES])
    return pl.DataFrame(rows, schema=CASES, orient="row").sort("first_at", maintain_order=True)


def trace(pack: str | os.PathLike[str], run: str, number: int) -> pl.DataFrame:
    """Return everything that a pack tells of one break, in the order of the log.

    The columns are those of :func:`integrity.ledger.cases.trace`.

    Args:
        pack: The folder or zip. It has to fit together.
        run: A run that showed it, by its name.
        number: The number of its row in ``breaks.parquet``.

    Raises:
        UsageError: there is no such row in the pack.
        PackError: it is no pack, or does not fit together.
    """
    found = sound_pack(pack)
    for trail, _ in _trails(found):
        if (run, number) in trail.rows:
            return traced(trail, {each.name: each.started["operator"] for each in runs_of(found.leaves)})
    raise UsageError(f"the pack has no break {run}:{number}", "breaks.parquet of each run lists its breaks")


def _trails(pack: Pack) -> list[tuple[Trail, dict[str, Any]]]:
    """The trail of each break of the pack, and what its latest row tells."""
    record, groups, steps = on_record(pack, counting=True), Groups(), _with_reasons(pack)
    for place, name in record.names.items():
        groups.join(place, place if name is None else ("break", name))
    for place, other in record.links:
        groups.join(place, other)
    for step in steps:
        for place in step.rows:
            groups.join(place, step.rows[0])
    rows: dict[Any, list[Place]] = {}
    for place in record.shown:
        rows.setdefault(groups.of(place), []).append(place)
    of_group: dict[Any, list[Step]] = {}
    for step in steps:
        of_group.setdefault(groups.of(step.rows[0]), []).append(step)
    about = _about(pack)
    told = []
    for group, places in rows.items():
        found = sorted((record.shown[place] for place in places), key=lambda each: (each.leaf, each.number))
        changes = sorted(
            (each for place in places for each in record.became.get(place, ())), key=lambda each: each.leaf
        )
        name = f"{found[-1].run}:{found[-1].number}"
        trail = Trail(name, tuple(found), tuple(changes), tuple(of_group.get(group, ())))
        told.append((trail, about[found[-1].run, found[-1].number]))
    return told


def _about(pack: Pack) -> dict[Place, dict[str, Any]]:
    """What each row of a break tells of it."""
    told: dict[Place, dict[str, Any]] = {}
    for run in runs_of(pack.leaves):
        frame = pack.frame(run.name, "breaks") if run.finished is not None else None
        for row in () if frame is None else frame.iter_rows(named=True):
            about = {name: row[name] for name in ("kind", "batch_start")} | {"pipeline": run.started["pipeline"]}
            told[run.name, int(row["number"])] = about
    return told


def _with_reasons(pack: Pack) -> Sequence[Step]:
    reasons = {}
    for _, said in pack.lines(REASONS) if REASONS in pack.files else ():
        reasons[said["leaf"]] = json.loads(said["body"])["reason"]
    names = Step.__slots__
    return [
        Step(**{name: getattr(step, name) for name in names} | {"reason": reasons.get(leaf)})
        for leaf, step in steps_of(pack).items()
    ]
