"""What did the caller mean?

The arguments of :func:`integrity.reconcile` and :func:`integrity.measure` become contracts, readers, instants and time
zones here, or a sentence that names what cannot be meant, and the way out.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from integrity.breaks import Case
from integrity.contracts import Assertion, Contract, contract
from integrity.errors import ContractError, UsageError, did_you_mean
from integrity.items import Reader
from integrity.remote import Pushdown, offered
from integrity.sides import Role
from integrity.stores import open_store
from integrity.stores.base import RelievedStore, SearchableStore
from integrity.totals import ControlTotals
from integrity.values import CALENDAR, micros, moment
from integrity.windows import format_duration, is_time_zone

__all__ = [
    "REFERENCES",
    "SIDES",
    "Instant",
    "bound_of",
    "by_side",
    "contract_of",
    "instant_of",
    "mapping_of",
    "side_of",
    "skips_of",
    "zones_of",
]

Instant = dt.datetime | str | None
#: The stores that are read besides both sides.
REFERENCES = ("outcomes", "members", "grants", "corrections")
SIDES = ("source", "destination", *REFERENCES)


def contract_of(given: str | os.PathLike[str] | Contract) -> Contract:
    return contract(given)


def side_of(
    promise: Contract,
    role: Role,
    where: Any,
    case: Case,
    mapping: Any,
    zone: str | None,
    since: int | None,
    until: int | None,
    pushdown: Pushdown = "never",
    hindrance: str = "",
) -> Reader | ControlTotals:
    if isinstance(where, ControlTotals):
        if promise.untotalled:
            raise UsageError(
                f"totals of a side cannot be reconciled under contract {promise.name!r}: {promise.untotalled}",
                "give the items of both sides, or compare two ControlTotals with ==",
            )
        if where.contract_sha256 != promise.sha256:
            raise ContractError(
                f"the {role}'s totals are of contract {where.contract!r} ({where.contract_sha256[:12]}), not of this "
                f"{promise.name!r} ({promise.sha256[:12]})",
                "measure them again under this contract",
            )
        if where.side != role:
            raise UsageError(f"totals of a {where.side} were given as the {role}", "swap the two sides")
        if (where.since, where.until) != (since, until):
            raise UsageError(
                f"the {role}'s totals cover {_span(where.since, where.until)}, not {_span(since, until)}",
                "ask for the same since and until",
            )
        return where
    store = open_store(where)
    # From both sides: what somebody sends to a list may have come from it, and bear its mark already.
    if promise.additions and isinstance(store, RelievedStore):
        store = store.without(promise.additions)
    reader = Reader(
        promise,
        role,
        store,
        case.horizon - 1 - (promise.clock.skew if promise.clock else 0),
        mapping=mapping_of(mapping),
        zone=zone,
        since=since,
        until=until,
        timely=case.timely,
    )
    reader.check()
    reader = offered(reader, pushdown, "its items are matched one by one" if promise.joined else hindrance)
    if isinstance(reader.store, SearchableStore):
        fields = [reader.field(name) for name in promise.identity]
        reader = replace(reader, searchable=reader.store.finds(fields))
    return reader


def _span(since: int | None, until: int | None) -> str:
    ends = ["…" if us is None else moment(us).isoformat() for us in (since, until)]
    return f"[{ends[0]}, {ends[1]})"


def mapping_of(mapping: Any) -> dict[str, str]:
    if not isinstance(mapping, Mapping) or not all(
        isinstance(k, str) and isinstance(v, str) for k, v in mapping.items()
    ):
        raise UsageError(
            f"columns are a mapping of their names to ours, not {mapping!r}", "{'source': {'msg_id': 'message_id'}}"
        )
    ours = list(mapping.values())
    for name in ours:
        if ours.count(name) > 1:
            raise UsageError(f"two columns are mapped to {name!r}", "map one of them")
    return dict(mapping)


def by_side(given: Mapping[str, Any], what: str, sides: tuple[str, ...]) -> dict[str, Any]:
    for side in given:
        if side not in sides:
            raise UsageError(f"{what} of {side!r}: there is no such side", did_you_mean(str(side), sides))
    return dict(given)


def zones_of(given: Mapping[str, str]) -> dict[str, str]:
    for side, zone in given.items():
        if not is_time_zone(zone):
            raise UsageError(
                f"there is no time zone {zone!r} for the {side}", "use an IANA name such as 'Asia/Seoul' or 'UTC'"
            )
    return dict(given)


def skips_of(promise: Contract, given: Mapping[str, str]) -> dict[Assertion, str]:
    skips = {}
    for name, why in given.items():
        if name not in [assertion.value for assertion in promise.assertions]:
            known = [assertion.value for assertion in promise.assertions]
            raise UsageError(f"contract {promise.name!r} promises no {name!r} to skip", did_you_mean(str(name), known))
        if not isinstance(why, str) or not why.strip():
            raise UsageError(
                f"skipping {name} needs a reason, which is kept with the result", f"skip={{{name!r}: 'why'}}"
            )
        skips[Assertion(name)] = why
    return skips


def instant_of(given: dt.datetime | str, what: str) -> int:
    if isinstance(given, str):
        try:
            given = dt.datetime.fromisoformat(given)
        except ValueError:
            raise UsageError(f"{what} {given!r} is no ISO 8601 time", "write it as 2026-03-02T09:00:00+09:00") from None
    if not isinstance(given, dt.datetime):
        raise UsageError(f"{what} is a datetime or ISO 8601 text, not {given!r}", "give it its time and offset")
    if given.utcoffset() is None:
        raise UsageError(f"{what} {given.isoformat()} has no time zone", "write its offset, as in +09:00 or Z")
    try:
        return micros(given)
    except OverflowError:
        raise UsageError(
            f"{what} {given.isoformat()} is not in the years 1 to 9999 of UTC", "name a moment that is"
        ) from None


def bound_of(given: Instant, what: str, promise: Contract) -> int | None:
    if given is None:
        return None
    if promise.window is None:
        raise UsageError(f"contract {promise.name!r} has no clock, so there is no {what}", "leave it out")
    us = instant_of(given, what)
    if not promise.window.is_boundary(us):
        start = promise.window.start_of(us)
        ends = (start, min(promise.window.end_of(start), CALENDAR[1]))
        near = " or ".join(moment(end).isoformat() for end in ends)
        raise UsageError(
            f"{what} {moment(us).isoformat()} is not on a boundary of the windows "
            f"of {format_duration(promise.window.every)}",
            f"ask for {near}",
        )
    return us
