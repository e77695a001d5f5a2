"""What did a person decide about a break, why, and who else looked at it?

Runs find breaks; a person disposes of them: **corrected** (and to be run again), **timing** (it explains itself by when
it was looked), **accepted** (with a compensating control), **false-positive**. It is somebody else than who ran it, and
where a ruling wants that, a third person confirms what the second proposed. Each step is a leaf of the log. Nothing is
deleted, a decision is taken back only by a further step, and no step changes a verdict: what a run found stays found.

The same rules are triggers in the database (:mod:`integrity.ledger.four_eyes`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from integrity.checks import texts
from integrity.errors import LedgerError, UsageError, did_you_mean
from integrity.ledger import evidence, schema
from integrity.ledger.decisions import objection
from integrity.ledger.persons import named_person
from integrity.ledger.trails import Step, Trail, located, step_of

if TYPE_CHECKING:
    from integrity.ledger.book import Ledger

__all__ = ["Disposition", "confirm", "dispose", "lift", "propose", "refuse", "reopen", "require", "ruling_of"]


class Disposition(StrEnum):
    """What may be decided about a break.

    Example:
        >>> [each.value for each in Disposition]
        ['corrected', 'timing', 'accepted', 'false-positive']
    """

    CORRECTED = "corrected"
    TIMING = "timing"
    ACCEPTED = "accepted"
    FALSE_POSITIVE = "false-positive"

    def __str__(self) -> str:
        return self.value


def dispose(
    ledger: Ledger,
    breaks: str | Iterable[str],
    disposition: Disposition | str,
    *,
    reason: str,
    reference: str,
    by: str,
    control: str | None = None,
) -> list[int]:
    """Record that somebody disposed of breaks: of all that are named, or of none.

    Args:
        ledger: Where.
        breaks: Which: each by its ``id`` in :func:`integrity.ledger.listing.breaks`, as ``RUN:NUMBER``, or by its
            ``break_id`` in a result.
        disposition: Which.
        reason: Why. It is kept with what is private, and goes when what the break is about is erased.
        reference: Where it was discussed: a ticket.
        by: Who decided it: nobody who ran what found it.
        control: The compensating control, of what is accepted; of nothing else.

    Returns:
        The number of the leaf of each break.

    Raises:
        UsageError: a break or disposition is unknown, something is missing, or ``by`` ran it.
        LedgerError: a break is not open, was decided about already, its disposition has to be proposed, or it cannot be
            written.

    Example:
        >>> import tempfile, polars as pl, integrity
        >>> from integrity.ledger import Ledger
        >>> from integrity.ledger.listing import breaks
        >>> folder = tempfile.TemporaryDirectory()
        >>> book = Ledger.open(f"{folder.name}/ledger.db", operator="kim")
        >>> notes = integrity.Contract(name="notes", version=1, identity=["id"])
        >>> sent = pl.DataFrame({"id": ["1", "2"]})
        >>> result = integrity.reconcile(notes, sent, sent[:1], ledger=book)
        >>> leaves = dispose(book, result.breaks["break_id"], "timing", reason="sent late", reference="T-1", by="lee")
        >>> breaks(book.database.file).select("case", "disposition", "by").row(0)
        ('disposed', 'timing', 'lee')
        >>> folder.cleanup()
    """
    return _decided(ledger, "disposed", breaks, disposition, reason, reference, by, control)


def propose(
    ledger: Ledger,
    breaks: str | Iterable[str],
    disposition: Disposition | str,
    *,
    reason: str,
    reference: str,
    by: str,
    control: str | None = None,
) -> list[int]:
    """Record that somebody proposes a disposition, for somebody else to confirm or refuse; else as :func:`dispose`."""
    return _decided(ledger, "proposed", breaks, disposition, reason, reference, by, control)


def confirm(ledger: Ledger, breaks: str | Iterable[str], *, by: str) -> list[int]:
    """Record that somebody confirms what was proposed, by which it is disposed of.

    It may be confirmed after a run found that the break is gone: that is how a correction shows.

    Args:
        ledger: Where.
        breaks: Which, as for :func:`dispose`.
        by: Who confirms it: neither who proposed it nor who ran what found it.

    Returns:
        The number of the leaf of each break.

    Raises:
        UsageError: a break is unknown, or ``by`` proposed or ran it.
        LedgerError: nothing is proposed, or it cannot be written.
    """
    return _said(ledger, "confirmed", breaks, by, None, _of_the_proposal)


def refuse(ledger: Ledger, breaks: str | Iterable[str], *, reason: str, by: str) -> list[int]:
    """Record that somebody refuses what was proposed: the break is open as before. Anybody may, with a reason.

    Raises:
        UsageError: a break is unknown, or no reason or person is named.
        LedgerError: nothing is proposed, or it cannot be written.
    """
    return _said(ledger, "refused", breaks, by, reason, _of_the_proposal)


def reopen(ledger: Ledger, breaks: str | Iterable[str], *, reason: str, by: str) -> list[int]:
    """Record that a disposition no longer stands. Anybody may reopen, with a reason.

    Raises:
        UsageError: a break is unknown, or no reason or person is named.
        LedgerError: no disposition stands, or it cannot be written.
    """
    return _said(ledger, "reopened", breaks, by, reason, lambda trail: _of(trail.disposed))


# --- rulings
# -------------------------------------------------------------------------------------------------------------


def require(ledger: Ledger, dispositions: Iterable[Disposition | str], *, by: str, reason: str) -> int:
    """Rule that dispositions of some kinds are to be proposed by one person and confirmed by another, from now on.

    Args:
        ledger: Where.
        dispositions: Of which kinds, beside those of which that is ruled already.
        by: Who rules so.
        reason: Why. It is part of the log, as approvals are.

    Returns:
        The number of the leaf.

    Raises:
        UsageError: a kind is unknown or none is named, or no reason or person is.
        LedgerError: it is ruled so already, or the ruling cannot be written.
    """
    return _rule(ledger, dispositions, by, reason, required=True)


def lift(ledger: Ledger, dispositions: Iterable[Disposition | str], *, by: str, reason: str) -> int:
    """Rule that dispositions of some kinds no longer need somebody else's confirmation; else as :func:`require`."""
    return _rule(ledger, dispositions, by, reason, required=False)


def ruling_of(connection: sa.Connection) -> frozenset[str]:
    """Return the kinds of dispositions that somebody else has to confirm, by the ruling in force."""
    leaves = schema.leaves
    query = sa.select(leaves.c.body).where(leaves.c.kind == "ruled").order_by(leaves.c.number.desc()).limit(1)
    body = connection.execute(query).scalar()
    return frozenset() if body is None else frozenset(json.loads(body)["confirmed"])


def _rule(ledger: Ledger, dispositions: Iterable[Disposition | str], by: str, reason: str, *, required: bool) -> int:
    _written(ledger)
    person, why = named_person("by", by), _text("reason", reason)
    kinds = {_kind(each) for each in ([dispositions] if isinstance(dispositions, str) else dispositions)}
    if not kinds:
        raise UsageError("no disposition is named", f"name one of {', '.join(Disposition)}")
    with ledger.database.writing() as connection:
        ledger.database.take_turn(connection)
        before = ruling_of(connection)
        after = before | kinds if required else before - kinds
        if after == before:
            how = "needs a confirmation already" if required else "needs no confirmation as it is"
            raise LedgerError(f"{' and '.join(sorted(kinds))} {how}", "nothing is to be ruled")
        body = {"confirmed": sorted(after), "by": person, "operator": ledger.operator, "reason": why}
        return ledger.said(connection, "ruled", body).number


# --- steps
# ---------------------------------------------------------------------------------------------------------------


def _decided(
    ledger: Ledger,
    step: str,
    breaks: str | Iterable[str],
    disposition: Disposition | str,
    reason: str,
    reference: str,
    by: str,
    control: str | None,
) -> list[int]:
    kind = _kind(disposition)
    about = {"disposition": kind, "reference": _text("reference", reference), "control": None}
    if control is not None:
        about["control"] = _text("control", control)
    if kind == Disposition.ACCEPTED and control is None:
        raise UsageError(
            "what is accepted has a compensating control", "say what else makes up for it: control, --control"
        )
    if kind != Disposition.ACCEPTED and control is not None:
        raise UsageError(f"a disposition as {kind} has no compensating control", "give one only to what is accepted")
    return _said(ledger, step, breaks, by, reason, lambda _: about)


def _of_the_proposal(trail: Trail) -> dict[str, Any]:
    return _of(trail.proposal)


def _of(step: Step | None) -> dict[str, Any]:
    """What a step that answers another one takes over from it; of none there is nothing to take."""
    names = ("disposition", "reference", "control")
    return dict.fromkeys(names, None) | {"disposition": ""} if step is None else {n: getattr(step, n) for n in names}


def _kind(disposition: Disposition | str) -> str:
    kinds = [each.value for each in Disposition]
    if str(disposition) not in kinds:
        raise UsageError(f"there is no disposition {str(disposition)!r}", did_you_mean(str(disposition), kinds))
    return str(disposition)


def _text(name: str, text: str) -> str:
    """Refuse what says nothing, and what a screen would not show as it is; a reason may have several lines."""
    texts(**{name: text})
    if not text.strip():
        raise UsageError(f"a decision about a break names its {name}", f"give {name}")
    if not (" ".join(text.split()) if name == "reason" else text).isprintable():
        raise UsageError(f"{name} holds signs that no screen shows", "write it as plain text, on one line")
    return text.strip()


def _written(ledger: Ledger) -> None:
    """Refuse a URL where a ledger belongs: it is opened by somebody, whose name goes on record."""
    if not hasattr(ledger, "database"):
        raise UsageError(f"{ledger!r} is no open ledger", "open it: Ledger.open(url, operator=…)")


def _said(
    ledger: Ledger,
    step: str,
    breaks: str | Iterable[str],
    by: str,
    reason: str | None,
    about: Callable[[Trail], dict[str, Any]],
) -> list[int]:
    """Append a leaf for each break, with its rows and its reason: for all of them, or none."""
    _written(ledger)
    person = named_person("by", by)
    why = None if reason is None else _text("reason", reason)
    names = list(dict.fromkeys([breaks] if isinstance(breaks, str) else () if breaks is None else breaks))
    if not names:
        raise UsageError("no break is named", "integrity ledger breaks lists them")
    numbers: list[int] = []
    with ledger.database.writing() as connection:
        ledger.database.take_turn(connection)
        trails = {trail.rows: trail for trail in (_located(connection, ledger, name) for name in names)}
        ruled = ruling_of(connection)
        for rows, trail in trails.items():
            leaf = (connection.execute(sa.select(sa.func.max(schema.leaves.c.number))).scalar() or 0) + 1
            body = {
                "step": step,
                "rows": [list(row) for row in rows],
                "follows": trail.steps[-1].leaf if trail.steps else None,
                **about(trail),
                "by": person,
                "operator": ledger.operator,
                "reason": None,
            }
            if why is not None:
                secret, body["reason"] = evidence.private(rows[-1][0], "disposition", leaf, {"reason": why})
            wrong = objection(trail, step_of(leaf, body | {"at": ""}), ruled)
            if wrong is not None:
                raise wrong
            if why is not None:
                connection.execute(schema.secrets.insert(), secret.to_dicts())
            numbers.append(ledger.said(connection, "disposition", body).number)
            row = {"leaf": leaf, "step": step, "disposition": body["disposition"], "by": person}
            connection.execute(
                schema.dispositions.insert(), [row | {"run": run, "number": number} for run, number in rows]
            )
    return numbers


def _located(connection: sa.Connection, ledger: Ledger, name: str) -> Trail:
    return located(connection, name, ledger.environment, ledger.key)
