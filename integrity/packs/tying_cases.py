"""Does what persons decided, as a pack tells it, follow from its leaves, and was it theirs to decide?

Each step names the one before it, so that none can be left out between two others; each reason ties to its commitment.
That each step could be taken (nobody disposed of what they found, or confirmed what they proposed) is looked at once
more, by what the leaves say, as far as the runs that it speaks of are in the pack.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Final

import polars as pl

from integrity.ledger.decisions import OnRecord, replayed
from integrity.ledger.rows import commitments
from integrity.ledger.trails import Became, Place, Shown, Step, step_of
from integrity.packs.opening import Pack
from integrity.packs.told import runs_of

__all__ = ["ERASURES", "REASONS", "on_record", "steps_of", "tie_steps"]

REASONS: Final = "log/reasons.jsonl"
ERASURES: Final = "log/erasures.jsonl"
#: What was erased: a run, a scope and a number.
Erased = tuple[str, str, int]


def steps_of(pack: Pack) -> dict[int, Step]:
    """Return the steps of casework that the leaves of a pack tell of, without their reasons, in their order."""
    found = {}
    for number, body in sorted(pack.leaves.items()):
        if body["kind"] == "disposition":
            with pack.flawed(f"leaf {number}"):
                found[number] = step_of(number, body)
    return found


def on_record(pack: Pack, *, counting: bool = False) -> OnRecord:
    """Return what the runs of a pack put on record of breaks.

    Args:
        pack: Its files and leaves.
        counting: Only of runs that count: those of ``test`` do not.
    """
    leaves = {body["run"]: number for number, body in sorted(pack.leaves.items()) if body["kind"] == "finished"}
    shown: dict[Place, Shown] = {}
    names: dict[Place, Hashable] = {}
    became: dict[Place, list[Became]] = {}
    for run in runs_of(pack.leaves):
        if run.finished is None or (counting and not run.counts):
            continue
        leaf, at = leaves[run.name], str(run.finished["at"])
        frame = pack.frame(run.name, "breaks")
        for row in () if frame is None else frame.iter_rows(named=True):
            place = (run.name, int(row["number"]))
            shown[place] = Shown(leaf, at, *place, operator=str(run.started["operator"]))
            names[place] = (run.started["environment"], row["subject"]) if row.get("subject") else None
        changed = pack.frame(run.name, "changes")
        for of, number, state in () if changed is None else changed.select("of_run", "of_number", "state").iter_rows():
            became.setdefault((of, number), []).append(Became(leaf, at, run.name, state))
    rulings = {
        number: frozenset(map(str, body["confirmed"]))
        for number, body in pack.leaves.items()
        if body["kind"] == "ruled"
    }
    links = [
        ((str(run), int(number)), (str(of), int(other)))
        for _, said in (pack.lines(ERASURES) if ERASURES in pack.files else ())
        for run, number, of, other in said["links"]
    ]
    return OnRecord(shown, names, became, rulings, links, whole=False)


def tie_steps(pack: Pack, erased: set[Erased], *, pseudonymised: bool) -> None:
    """Compare what persons decided with the leaves before, and their reasons with the commitments to these."""
    steps = steps_of(pack)
    with pack.flawed("log/leaves.jsonl"):
        for leaf, why in replayed(on_record(pack), steps.values()):
            pack.flaw(f"leaf {leaf}", f"against the rules of casework: {why}")
    _reasons(pack, steps, erased, pseudonymised=pseudonymised)


def _reasons(pack: Pack, steps: Mapping[int, Step], erased: set[Erased], *, pseudonymised: bool) -> None:
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


def _place(step: Step) -> Erased:
    """Under which name a reason is erased: that of the latest row of its break."""
    return step.rows[-1][0], "disposition", step.leaf
