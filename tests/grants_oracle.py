"""What grants allow, by loops that anybody can check: nothing here shares code with the engine but its rules."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from integrity.authorization import Rules

__all__ = ["Rules", "counts", "expected_of", "lies_in", "remarked"]


def second(us: int) -> str:
    return (dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%SZ")


def lies_in(thing: str, folder: str, within: str | None) -> bool:
    if within is None:
        return thing == folder
    thing, folder = (each if each == "/" else each.removesuffix("/") for each in (thing, folder))
    if folder == "/":
        return thing.startswith("/")
    if folder == "":
        return not thing.startswith("/")
    return thing == folder or thing.startswith(folder + "/")


def ends_at(grant: Mapping[str, Any]) -> int | None:
    ends = [grant[name] for name in ("until", "revoked", "departed") if grant[name] is not None]
    return min(ends) if ends else None


def holds(grant: Mapping[str, Any], at: int) -> bool:
    end = ends_at(grant)
    return (grant["from"] is None or grant["from"] <= at) and (end is None or at < end)


def lasts(grant: Mapping[str, Any]) -> bool:
    end = ends_at(grant)
    return grant["from"] is None or end is None or grant["from"] < end


def counts(grant: Mapping[str, Any], at: int) -> bool:
    entered = grant["recorded"] is None or grant["recorded"] <= at
    return holds(grant, at) and entered and grant["approver"] != grant["actor"]


def expected_of(item: Mapping[str, Any], grants: Sequence[Mapping[str, Any]], rules: Rules) -> tuple[bool, str] | None:
    if item["actor"] is None:
        return True, "nobody is named as its actor"
    if item["object"] is None:
        return True, "it names no object"
    if item["at"] is None:
        return False, "its event time is not known"
    at = item["at"]
    mine = [g for g in grants if g["actor"] == item["actor"] and lies_in(item["object"], g["object"], rules.within)]
    if any(each.startswith("\x1a") for each in (item["actor"], item["object"])):  # what cannot be read is no name
        mine = []
    if any(counts(g, at) for g in mine):
        return None if rules.begins else (False, "the grants do not tell since when they hold")
    if not rules.ends:
        return False, "the grants do not tell what ended before now"
    if not mine:
        return True, "no grant ever"
    lasting = [g for g in mine if lasts(g)]
    if not lasting:
        return True, "no grant ever that held for a moment"
    late = [g["recorded"] for g in lasting if holds(g, at) and g["approver"] != g["actor"]]
    if late:
        return True, f"recorded after the act, at {second(min(late))}"
    if any(holds(g, at) for g in lasting):
        return True, "approved by the actor themself"
    pool = [g for g in lasting if g["approver"] != g["actor"]] or lasting
    nexts = [g["from"] for g in pool if g["from"] is not None and g["from"] > at]
    over = [g for g in pool if ends_at(g) is not None and ends_at(g) <= at]
    if not over:
        return True, f"not yet valid until {second(min(nexts))}"
    end = max(ends_at(g) for g in over)
    last = [g for g in over if ends_at(g) == end]
    how = "expired at"
    if any(g["departed"] == end for g in last):
        how = "its actor had left at"
    if any(g["revoked"] == end for g in last):
        how = "revoked at"
    return True, f"{how} {second(end)}" + (f", granted again from {second(min(nexts))}" if nexts else "")


def remarked(grants: list[dict[str, Any]]) -> dict[int, str]:
    found = {}
    for n, grant in enumerate(grants):
        own = {k: v for k, v in grant.items() if k != "__grant"}
        said = []
        if any({k: v for k, v in other.items() if k != "__grant"} == own for other in grants[:n]):
            said.append("the same grant again")
        if not lasts(grant):
            said.append("ends before it begins")
        alike = [g for g in grants if all(g[k] == grant[k] for k in ("actor", "object", "from"))]
        if len({ends_at(g) for g in alike}) > 1:
            said.append("contradicts another: same actor, object and beginning, another end")
        if grant["approver"] == grant["actor"]:
            said.append("approved by its own actor")
        if said:
            found[grant["__grant"]] = "; ".join(said)
    return found
