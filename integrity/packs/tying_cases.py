"""Does what persons decided, as a pack tells it, follow from its leaves, and was it theirs to decide?

Each step names the one before it, so that none can be left out between two others; each reason ties to its commitment.
That nobody disposed of what they found themselves, or confirmed what they proposed, is looked at once more, by what
the leaves say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import polars as pl

from integrity.ledger.changing import same_person
from integrity.ledger.rows import commitments
from integrity.ledger.trails import Step, step_of
from integrity.packs.opening import Pack
from integrity.packs.told import runs_of

__all__ = ["REASONS", "steps_of", "tie_steps"]

REASONS: Final = "log/reasons.jsonl"
_DECIDES: Final = ("disposed", "proposed", "confirmed")
Place = tuple[str, str, int]


def steps_of(pack: Pack) -> dict[int, Step]:
    """Return the steps of casework that the leaves of a pack tell of, without their reasons, in their order."""
    found = {}
    for number, body in sorted(pack.leaves.items()):
        if body["kind"] == "disposition":
            with pack.flawed(f"leaf {number}"):
                found[number] = step_of(number, body)
    return found


def tie_steps(pack: Pack, erased: set[Place], *, pseudonymised: bool) -> None:
    """Compare what persons decided with the leaves before, and their reasons with the commitments to these."""
    steps = steps_of(pack)
    operators = {run.name: run.started["operator"] for run in runs_of(pack.leaves)}
    for number, step in steps.items():
        with pack.flawed(f"leaf {number}"):
            _follows(pack, step, steps)
            if step.step in _DECIDES:
                for run, _ in step.rows:
                    if run in operators and same_person(operators[run], step.by):
                        pack.flaw(f"leaf {number}", f"{step.by} ran {run}, and decided about what it found")
    _reasons(pack, steps, erased, pseudonymised=pseudonymised)


def _follows(pack: Pack, step: Step, steps: Mapping[int, Step]) -> None:
    where, rows = f"leaf {step.leaf}", set(step.rows)
    earlier = [each for each in steps.values() if each.leaf < step.leaf and rows & set(each.rows)]
    last = earlier[-1] if earlier else None
    if step.follows != (None if last is None else last.leaf):
        pack.flaw(where, f"it follows leaf {step.follows}, which is not the step before it in the pack")
    elif step.step == "confirmed" and last is not None and same_person(last.by, step.by):
        pack.flaw(where, f"{step.by} proposed it, and confirmed it")


def _reasons(pack: Pack, steps: Mapping[int, Step], erased: set[Place], *, pseudonymised: bool) -> None:
    seen: set[int] = set()
    for where, said in pack.lines(REASONS) if REASONS in pack.files else ():
        with pack.flawed(where):
            leaf, step = said["leaf"], steps.get(said["leaf"])
            if step is None or leaf in seen or pseudonymised or _place(step) in erased:
                pack.flaw(where, "no leaf of the pack has this reason, or it should not be there")
                continue
            seen.add(leaf)
            series = [pl.Series([text], dtype=pl.String) for text in (said["salt"], None, said["body"])]
            if commitments(*series)[0] == step.commitment and isinstance(json.loads(said["body"])["reason"], str):
                pack.opened += 1
            else:
                pack.flaw(where, "it is not the reason that was committed to")
    for leaf, step in steps.items():
        if step.commitment is None or leaf in seen:
            continue
        if pseudonymised:
            pack.left_out += 1
        elif _place(step) in erased:
            pack.erased += 1
        else:
            pack.flaw(REASONS, f"the reason of leaf {leaf} is not there, and no erasure of it is on record")


def _place(step: Step) -> Place:
    """Under which name a reason is erased: that of the latest row of its break."""
    return step.rows[-1][0], "disposition", step.leaf
