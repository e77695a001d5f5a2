"""Who approved a contract, and what changed when?

An approval is a leaf of the log: which contract, by its digest, approved by whom, on which ticket, effective from when.
A contract that production has used cannot change under the same version, approved or not.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from integrity.contracts import Contract
from integrity.errors import LedgerError, UsageError, did_you_mean
from integrity.ledger import schema
from integrity.ledger.database import Database
from integrity.ledger.log import iso
from integrity.ledger.persons import named_person, same_person

if TYPE_CHECKING:
    from integrity.ledger.book import Ledger

__all__ = [
    "DUTIES",
    "Approval",
    "Change",
    "approval_of",
    "approve",
    "changes",
    "changes_told",
    "check_duties",
    "refuse_changed",
]

#: Who may be required to be different persons.
DUTIES: Final = ("author", "approver", "runner")
_TOLD: Final = ("started", "approved", "ruled", "rotated")


@dataclass(frozen=True, slots=True)
class Approval:
    """That somebody approved a contract.

    Attributes:
        leaf: Where the log says so.
        at: When it was recorded.
        name: Of the contract.
        version: Of the contract.
        sha256: Of the contract.
        approver: Who approved it.
        author: Who wrote it, where that was said.
        ticket: Where that was discussed.
        effective_from: From when on it is in force.
    """

    leaf: int
    at: str
    name: str
    version: int
    sha256: str
    approver: str
    author: str | None
    ticket: str
    effective_from: str


@dataclass(frozen=True, slots=True)
class Change:
    """Something that became different between two runs of a pipeline, or was approved.

    Attributes:
        at: When.
        leaf: Which leaf says so.
        pipeline: Which pipeline's runs, or ``None`` of an approval.
        what: ``contract``, ``spec`` (mappings, time zones, skips), ``software``, ``approval``, ``ruling`` (which
            dispositions somebody else has to confirm), ``key``.
        before: What it was; ``None`` where there was nothing.
        after: What it is.
    """

    at: str
    leaf: int
    pipeline: str | None
    what: str
    before: str | None
    after: str


def refuse_changed(connection: sa.Connection, contract: Contract) -> None:
    """Refuse a contract that production used with other promises under the same version.

    Raises:
        LedgerError: it is one.
    """
    runs, contracts = schema.runs, schema.contracts
    query = (
        sa.select(contracts.c.sha256)
        .join(runs, runs.c.contract == contracts.c.sha256)
        .where(contracts.c.name == contract.name, contracts.c.version == contract.version)
        .where(contracts.c.sha256 != contract.sha256, runs.c.environment == "production")
        .limit(1)
    )
    used = connection.execute(query).scalar()
    if used is not None:
        raise LedgerError(
            f"contract {contract.name!r} version {contract.version} is on record with other promises "
            f"(sha256 {used[:12]}…, now {contract.sha256[:12]}…)",
            f"give it version: {contract.version + 1}",
        )


def approve(
    ledger: Ledger,
    contract: Contract,
    *,
    approver: str,
    ticket: str,
    author: str | None = None,
    effective_from: dt.datetime | None = None,
) -> int:
    """Record that a contract is approved.

    Args:
        ledger: Where.
        contract: What.
        approver: By whom.
        ticket: Where that was discussed.
        author: Who wrote it.
        effective_from: From when on it is in force, with its offset; from now on if left out.

    Returns:
        The number of the leaf.

    Raises:
        UsageError: approver or ticket is missing, or the approver wrote it.
        LedgerError: it cannot be written, or the version is on record with other promises.
    """
    if not approver.strip() or not ticket.strip():
        raise UsageError("an approval names who approves and a ticket", "give both")
    approver, author = named_person("approver", approver), None if author is None else named_person("author", author)
    if author is not None and same_person(author, approver):
        raise UsageError(f"{approver} cannot approve what they wrote themselves", "let somebody else approve it")
    moment = effective_from or ledger.clock()
    if moment.tzinfo is None:
        raise UsageError("effective_from has no offset", "write it as in 2026-03-01T00:00:00Z")
    with ledger.database.writing() as connection:
        ledger.database.take_turn(connection)
        refuse_changed(connection, contract)
        known = sa.select(schema.contracts.c.sha256).where(schema.contracts.c.sha256 == contract.sha256)
        if connection.execute(known).first() is None:
            row = {"sha256": contract.sha256, "name": contract.name, "version": contract.version}
            connection.execute(schema.contracts.insert().values(**row, body=contract.canonical))
        body = {
            "contract": {"name": contract.name, "version": contract.version, "sha256": contract.sha256},
            "approver": approver,
            "author": author,
            "ticket": ticket,
            "effective_from": iso(moment),
            "operator": ledger.operator,
        }
        return ledger.said(connection, "approved", body).number


def approval_of(ledger: Ledger, contract: Contract, at: dt.datetime) -> Approval | None:
    """Return the latest approval of exactly this contract that is in force at a moment."""
    found = [each for each in _approvals(ledger) if each.sha256 == contract.sha256 and each.effective_from <= iso(at)]
    return found[-1] if found else None


def check_duties(ledger: Ledger, contract: Contract, separate: Sequence[str], at: dt.datetime) -> Approval:
    """Return the approval under which a contract may run, and who must be different persons are.

    Args:
        ledger: Where approvals are on record.
        contract: What is to run.
        separate: Of :data:`DUTIES`, who may not be one person.
        at: The moment of the run.

    Raises:
        UsageError: a duty is unknown.
        LedgerError: no approval is in force, or two duties are one person's.
    """
    for duty in separate:
        if duty not in DUTIES:
            raise UsageError(f"there is no duty {duty!r}", did_you_mean(duty, DUTIES))
    approval = approval_of(ledger, contract, at)
    if approval is None:
        raise LedgerError(
            f"no approval of contract {contract.name!r} version {contract.version} "
            f"(sha256 {contract.sha256[:12]}…) is in force",
            "let somebody approve it: integrity ledger approve",
        )
    persons = {"author": approval.author, "approver": approval.approver, "runner": ledger.operator}
    for place, duty in enumerate(separate):
        person = persons[duty]
        if person is None:
            raise LedgerError(
                f"nobody knows the {duty} of contract {contract.name!r}", f"approve it again, with its {duty}"
            )
        for other in separate[:place]:
            if same_person(person, persons[other] or ""):
                raise LedgerError(
                    f"{duty} and {other} of contract {contract.name!r} are the same person, {person}",
                    "let somebody else take one of the duties",
                )
    return approval


def _approvals(ledger: Ledger) -> list[Approval]:
    table = schema.leaves
    query = sa.select(table.c.number, table.c.body).where(table.c.kind == "approved").order_by(table.c.number)
    with ledger.database.reading() as connection:
        rows = [(number, json.loads(body)) for number, body in connection.execute(query)]
    return [
        Approval(
            number,
            body["at"],
            **body["contract"],
            **{name: body[name] for name in ("approver", "author", "ticket", "effective_from")},
        )
        for number, body in rows
    ]


def changes(
    url: str | os.PathLike[str], since: dt.datetime | None = None, until: dt.datetime | None = None
) -> list[Change]:
    """Return what changed in contracts, specifications and software between production runs, and what was approved.

    Args:
        url: Of the ledger.
        since: First moment of recording, or ``None`` for all.
        until: First moment no longer asked for.
    """
    table = schema.leaves
    query = sa.select(table.c.number, table.c.body).where(table.c.kind.in_(_TOLD)).order_by(table.c.number)
    with Database.at(url).reading() as connection:
        found = changes_told((number, json.loads(text)) for number, text in connection.execute(query))
    first, end = (None if moment is None else iso(moment) for moment in (since, until))
    return [each for each in found if (first is None or each.at >= first) and (end is None or each.at < end)]


def changes_told(leaves: Iterable[tuple[int, dict[str, Any]]]) -> list[Change]:
    """Return what leaves tell of changes, as :func:`changes` does.

    Args:
        leaves: The number and the body of each, in their order. Those of other kinds are passed over.
    """
    last: dict[str, dict[str, Any]] = {}
    found: list[Change] = []
    ruled = "none"
    for number, body in leaves:
        if body["kind"] == "started":
            if body["environment"] == "production":
                found += _between(last.get(body["pipeline"]), body, number)
                last[body["pipeline"]] = body
        elif body["kind"] == "approved":
            who = f"{_contract(body)} by {body['approver']}, {body['ticket']}, from {body['effective_from']}"
            found.append(Change(body["at"], number, None, "approval", None, who))
        elif body["kind"] == "ruled":
            before, ruled = ruled, ", ".join(body["confirmed"]) or "none"
            said = f"{ruled} to be confirmed by somebody else; by {body['by']}: {body['reason']}"
            found.append(Change(body["at"], number, None, "ruling", before, said))
        elif body["kind"] == "rotated":
            found.append(Change(body["at"], number, None, "key", body["before"], body["key"]))
    return found


def _contract(body: dict[str, Any]) -> str:
    contract = body["contract"]
    return f"{contract['name']} version {contract['version']} (sha256 {contract['sha256'][:12]}…)"


def _between(before: dict[str, Any] | None, after: dict[str, Any], leaf: int) -> list[Change]:
    at, pipeline = after["at"], after["pipeline"]
    if before is None:
        return [Change(at, leaf, pipeline, "contract", None, _contract(after))]
    found = []
    if before["contract"] != after["contract"]:
        found.append(Change(at, leaf, pipeline, "contract", _contract(before), _contract(after)))
    elif before["spec_sha256"] != after["spec_sha256"] and before["versions"] == after["versions"]:
        found.append(Change(at, leaf, pipeline, "spec", before["spec_sha256"], after["spec_sha256"]))
    names = sorted({*before["versions"], *after["versions"]})
    differ = [name for name in names if before["versions"].get(name) != after["versions"].get(name)]
    if differ:
        was, now = (
            ", ".join(f"{n} {v.get(n, 'none')}" for n in differ) for v in (before["versions"], after["versions"])
        )
        found.append(Change(at, leaf, pipeline, "software", was, now))
    return found
