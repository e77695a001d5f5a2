"""What is a run about, before any item is read?

The caller's words become a contract, a case, and two sides that are known to be readable as declared. A plan can be
carried out by :func:`integrity.reconcile`, or only be said, by :func:`explain`.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from integrity.arguments import (
    SIDES,
    Instant,
    bound_of,
    by_side,
    contract_of,
    instant_of,
    mapping_of,
    side_of,
    skips_of,
    zones_of,
)
from integrity.breaks import Case
from integrity.contracts import Assertion, Contract
from integrity.errors import UsageError
from integrity.fan_out import FannedOut, Members
from integrity.grants import Approvals
from integrity.in_force import spec_sha256
from integrity.items import Reader
from integrity.promises import GRANTS
from integrity.remote import Pushdown, offered, pushdown_of
from integrity.rows import Slice
from integrity.sides import Role
from integrity.stores import open_store
from integrity.stores.base import CachingStore, Counterpart, DigestingStore, LaggingStore, Store
from integrity.totals import ControlTotals
from integrity.transit import MEMBERS
from integrity.values import micros, moment

__all__ = ["Plan", "acquainted", "check_always", "expanded", "explain", "fresh", "lag_of", "planned", "queries_of"]


@dataclass(frozen=True)
class Plan:
    """A run that has not begun.

    Attributes:
        promise: The contract.
        case: What is judged, and when.
        sides: The source and the destination.
        outcomes: The store of what ended elsewhere.
        grants: The store of who may act on what.
        since: First instant of event time, microseconds.
        until: First instant no longer asked for.
        skips: Promises left out, and why.
        mapped: For each side, their column names to ours.
        zones: For each side, how naive timestamps are read.
        references: Where the other stores are that were given, no password: grants, outcomes, members, corrections.
        remarks: What was asked for and cannot be meant as it was.
    """

    promise: Contract
    case: Case
    sides: tuple[Reader | ControlTotals, Reader | ControlTotals]
    outcomes: Store | None
    grants: Store | None
    since: int | None
    until: int | None
    skips: dict[Assertion, str]
    mapped: dict[str, Any]
    zones: dict[str, str]
    references: dict[str, str]
    remarks: tuple[str, ...] = ()

    @property
    def spec_sha256(self) -> str:
        """Of everything that is in force."""
        return spec_sha256(self.promise, self.mapped, self.zones, self.skips, self.references)


def planned(
    contract: str | os.PathLike[str] | Contract,
    source: Any,
    destination: Any,
    *,
    since: Instant = None,
    until: Instant = None,
    as_of: Instant = None,
    grants: Any = None,
    outcomes: Any = None,
    members: Any = None,
    corrections: Any = None,
    skip: Mapping[str, str] | None = None,
    columns: Mapping[str, Mapping[str, str]] | None = None,
    timezone: Mapping[str, str] | None = None,
    pushdown: str = "auto",
    rehash: bool = False,
    values: bool = False,
) -> Plan:
    """Return the plan of :func:`integrity.reconcile`, whose arguments these are.

    Raises:
        UsageError, ContractError, StoreError: as it does, before reading.
    """
    promise = contract_of(contract)
    started = dt.datetime.now(dt.UTC)
    skips = skips_of(promise, skip or {})
    mapped = by_side(columns or {}, "columns", SIDES)
    zones = zones_of(by_side(timezone or {}, "timezone", SIDES))
    if outcomes is not None and promise.outcomes is None:
        raise UsageError(f"contract {promise.name!r} accepts no outcomes", "add outcomes: {accept: [...]} to it")
    if grants is not None and promise.authorization is None:
        raise UsageError(
            f"contract {promise.name!r} promises no authorization", f"add authorization: with grants: {GRANTS} to it"
        )
    if corrections is not None and promise.corrections is None:
        raise UsageError(
            f"contract {promise.name!r} has no corrections", f"add corrections: with grants: {GRANTS} to it"
        )
    begin, end = bound_of(since, "since", promise), bound_of(until, "until", promise)
    if begin is not None and end is not None and begin >= end:
        raise UsageError(
            f"since {moment(begin).isoformat()} is not before until {moment(end).isoformat()}", "swap them"
        )
    mode = pushdown_of(pushdown)
    stores = [side if isinstance(side, ControlTotals) else open_store(side) for side in (source, destination)]
    read_from = [side.read_at if isinstance(side, ControlTotals) else started for side in stores]
    now = min(map(micros, read_from))
    wished = now if as_of is None else instant_of(as_of, "as_of")
    remarks = []
    if wished > now:
        remarks.append(
            f"as_of {moment(wished).isoformat()} is later than the moment at which the sides were read, "
            f"{moment(now).isoformat()}, which counts in its place"
        )
    now = min(now, wished)
    # What a replica does not hold yet leaves its batch open; what the other side holds already is not from the future.
    cut = min([now, *(micros(started - lag_of(side)) for side in stores)])
    stores = acquainted([fresh(store, promise, rehash) for store in stores], promise, mapped)
    stores[0] = expanded(stores[0], promise, members, mapped, zones)
    timely = promise.timeliness is not None and Assertion.TIMELINESS not in skips
    approvals = None
    if corrections is not None:
        mapping = mapping_of(mapped.get("corrections", {}))
        approvals = Approvals.read(promise, open_store(corrections), mapping, zones.get("corrections"))
    case = Case(promise, cut, now + (promise.clock.skew if promise.clock else 0) + 1, values, timely, approvals)

    def side(role: Role, where: Any) -> Reader | ControlTotals:
        hindrance = ""
        if promise.seal is not None:
            hindrance = "a seal needs every fingerprint"
        elif role == "source" and outcomes is not None:
            hindrance = "outcomes are looked up item by item"
        elif role == "source" and grants is not None and Assertion.AUTHORIZATION not in skips:
            hindrance = "grants are looked up item by item"
        mapping, zone = mapped.get(role, {}), zones.get(role)
        reader = side_of(promise, role, where, case, mapping, zone, begin, end, mode, hindrance)
        expecting = bool(promise.validity) and Assertion.VALIDITY not in skips
        return _examinable(reader, case, mode) if expecting else reader

    sides = side("source", stores[0]), side("destination", stores[1])
    check_always(mode, sides)
    ended = None if outcomes is None else open_store(outcomes)
    permitted = None if grants is None else open_store(grants)
    others = {"grants": grants, "outcomes": outcomes, "members": members, "corrections": corrections}
    references = {name: open_store(store).location for name, store in others.items() if store is not None}
    parts = (promise, case, sides, ended, permitted, begin, end, skips, mapped, zones, references)
    return Plan(*parts, tuple(remarks))


def _examinable(side: Reader | ControlTotals, case: Case, mode: Pushdown) -> Reader | ControlTotals:
    """Return a side that is pulled if its database cannot be asked all that is expected of it.

    Raises:
        PushdownError: it was to be pushed down in any case.
    """
    if isinstance(side, ControlTotals) or side.pushed is None:
        return side
    from integrity.validity.asked import asked
    from integrity.validity.in_database import unaskable

    ours = [side.mapping.get(name, name) for name in side.held]
    why = unaskable(side, asked(case.contract, side.role, ours), case)
    return offered(replace(side, pushed=None, strict=False), mode, why) if why else side


def fresh(store: Any, promise: Contract, rehash: bool) -> Any:
    """Return a store that remembers no digests from an earlier run, if none are wanted."""
    demanded = any(column.fresh for column in promise.content.values())
    return store.afresh() if isinstance(store, CachingStore) and (rehash or demanded) else store


def acquainted(stores: Sequence[Any], promise: Contract, mapped: Mapping[str, Any]) -> list[Any]:
    """Return both stores, each of which knows what the other tells, as far as the contract asks for it."""
    asked = {*promise.columns, *(rung.column for rung in promise.ladder)}
    met = []
    for role, store, other in zip(("source", "destination"), stores, reversed(stores), strict=True):
        if isinstance(store, DigestingStore) and isinstance(other, Store):
            mapping = mapping_of(mapped.get("destination" if role == "source" else "source", {}))
            ours = {mapping.get(theirs, theirs): theirs for theirs in other.columns()}
            store = store.meeting(Counterpart(other, {name: ours[name] for name in ours if name in asked}))
        met.append(store)
    return met


def expanded(source: Any, promise: Contract, members: Any, mapped: Mapping[str, Any], zones: Mapping[str, str]) -> Any:
    """Return a source whose items come once for each of their places, where the contract says that they have several.

    Raises:
        UsageError: members were given to a contract that expands nothing.
        StoreError: the store of members cannot be read.
    """
    if promise.fan_out is None:
        if members is not None:
            raise UsageError(f"contract {promise.name!r} expands no groups", f"add place: and fan_out: {MEMBERS} to it")
        return source
    if isinstance(source, ControlTotals):
        return source
    groups = None if members is None else open_store(members)
    known = Members(promise, groups, mapping_of(mapped.get("members", {})), zones.get("members"))
    return FannedOut(source, promise, known, mapping_of(mapped.get("source", {})), zones.get("source"))


def lag_of(side: Any) -> dt.timedelta:
    """How far behind the truth a side may be, as it declares."""
    return side.lag if isinstance(side, LaggingStore) else dt.timedelta(0)


def check_always(mode: Pushdown, sides: Sequence[Reader | ControlTotals]) -> None:
    """Refuse ``pushdown="always"`` where nothing can be pushed anywhere.

    Raises:
        UsageError: neither side is a database.
    """
    if mode == "always" and not any(isinstance(side, Reader) and side.pushed is not None for side in sides):
        raise UsageError("there is no database to push anything down to", "leave pushdown out, or say never")


def queries_of(side: Reader) -> Sequence[str]:
    """Return what a side's database is asked, in its own words; nothing where it is no database."""
    if side.pushed is not None:
        return side.pushed.explain()
    if hasattr(side.store, "explain"):
        told: Sequence[str] = side.store.explain(side.asked, side.span(Slice()))
        return told
    return ()


def explain(contract: str | os.PathLike[str] | Contract, source: Any, destination: Any, **arguments: Any) -> str:
    """Say how both sides would be read, with the SQL of databases, and read nothing but the types of columns.

    Args:
        contract: As for :func:`integrity.reconcile`, and so are the others.
        source: One side.
        destination: The other.
        **arguments: ``since``, ``until``, ``columns``, ``timezone``, ``pushdown`` and the others of it.

    Returns:
        SQL, in which comments say which side it is of, and why so.

    Raises:
        UsageError, ContractError, StoreError: as :func:`integrity.reconcile` does, before reading.

    Example:
        >>> import integrity, polars as pl
        >>> notes = integrity.Contract(name="notes", version=1, identity=["id"])
        >>> print(integrity.explain(notes, pl.DataFrame({"id": ["1"]}), pl.DataFrame({"id": ["1"]})))
        -- source (Polars frame): pulled
        <BLANKLINE>
        -- destination (Polars frame): pulled
    """
    plan = planned(contract, source, destination, **arguments)
    said = ["-- both sides are read whole, and matched item by item"] if plan.promise.joined else []
    for role, side in zip(SIDES, plan.sides, strict=False):
        if isinstance(side, ControlTotals):
            said.append(f"-- {role} ({side.location}): recorded earlier")
            continue
        lines = [f"-- {role} ({side.store.name}): {side.how}", *(f"{query};" for query in queries_of(side))]
        said.append("\n".join(lines))
    return "\n\n".join(said)
