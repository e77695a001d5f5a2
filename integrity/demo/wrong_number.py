"""Which faults make rows too few or too many: lost, stored again, or never sent?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from integrity.demo.desk import Desk, Outcome, Subject
from integrity.demo.fault import NINE_HOURS, Expected, Fault, again, at_night, early, fault, korean, partner

__all__ = ["COPIES", "LOSSES", "STRANGERS"]

# Losses ---------------------------------------------------------------------------------------------------

LOSSES: list[Fault] = []


@fault(LOSSES, "lost at night", "one of a quiet window's few messages never arrived", rate=1, fits=at_night)
def _lost_at_night(desk: Desk, subject: Subject) -> Expected:
    subject.archive.clear()
    return [("lost", subject.source[0])]


@fault(LOSSES, "lost", "a single message never arrived", rate=12)
def _lost(desk: Desk, subject: Subject) -> Expected:
    subject.archive.clear()
    return [("lost", subject.source[0])]


@fault(LOSSES, "unaccepted outcome", "missing, and its outcome is none that the contract accepts", rate=3)
def _unaccepted_outcome(desk: Desk, subject: Subject) -> Expected:
    row = subject.source[0]
    subject.archive.clear()
    desk.outcomes.append(
        Outcome(row.tenant_id, row.room_id, row.message_id, "undeliverable", subject.sent + desk.between(1, 30))
    )
    return [("lost", row)]


@fault(LOSSES, "masked loss", "one lost, another of its batch stored twice: the counts agree", rate=3)
def _masked_loss(desk: Desk, subject: Subject) -> Expected | None:
    lost = subject.source[0]
    copied = partner(desk, subject, lambda row: row.size_bytes == lost.size_bytes, lambda row: True)
    if copied is None:
        return None
    subject.archive.clear()
    copied.archive.append(again(desk, copied.archive[0]))
    return [("lost", lost), ("duplicate", copied.source[0])]


@fault(LOSSES, "misrouted", "stored under another room: counts and bytes agree", rate=2)
def _misrouted(desk: Desk, subject: Subject) -> Expected:
    stored = subject.archive[0]
    stored.room_id = "r99999"
    return [("lost", subject.source[0]), ("extra", stored)]


@fault(LOSSES, "digit moved", "message_id's first digit went to room_id: glued, both look the same", rate=2)
def _digit_moved(desk: Desk, subject: Subject) -> Expected:
    stored = subject.archive[0]
    room, message = stored.room_id or "", stored.message_id or ""
    stored.room_id, stored.message_id = room + message[0], message[1:]
    return [("lost", subject.source[0]), ("extra", stored)]


@fault(LOSSES, "pair for a pair", "two equal rows came out as two of another message: XOR cancels both", rate=1)
def _pair_for_a_pair(desk: Desk, subject: Subject) -> Expected:
    real, stored = subject.source[0], subject.archive[0]
    subject.source.append(replace(real))
    stored.message_id = desk.new_id()
    subject.archive.append(replace(stored))
    return [("lost", real), ("lost", real), ("invalid", real), ("extra", stored), ("extra", stored)]


# Copies ---------------------------------------------------------------------------------------------------

COPIES: list[Fault] = []


@fault(COPIES, "stored twice", "the archive acknowledged too late and got it again", rate=8)
def _stored_twice(desk: Desk, subject: Subject) -> Expected:
    subject.archive.append(again(desk, subject.archive[0]))
    return [("duplicate", subject.source[0])]


@fault(COPIES, "stored three times", "two copies too many: under XOR they cancel", rate=3)
def _stored_three_times(desk: Desk, subject: Subject) -> Expected:
    subject.archive += [again(desk, subject.archive[0]), again(desk, subject.archive[0])]
    return [("duplicate", subject.source[0])] * 2


@fault(COPIES, "redelivered later", "stored again after forty minutes; the first copy was on time", rate=2)
def _redelivered_later(desk: Desk, subject: Subject) -> Expected:
    first = subject.archive[0]
    subject.archive.append(replace(first, stored_at=first.stored_at + timedelta(minutes=40)))
    return [("duplicate", subject.source[0])]


@fault(
    COPIES,
    "redelivered elsewhere",
    "a replay read Seoul's time as UTC: the copy lies nine hours on",
    rate=2,
    fits=early,
)
def _redelivered_elsewhere(desk: Desk, subject: Subject) -> Expected:
    first = subject.archive[0]
    subject.archive.append(replace(first, sent_at=subject.sent + NINE_HOURS, stored_at=first.stored_at + NINE_HOURS))
    return [("duplicate", subject.source[0])]


@fault(COPIES, "altered copy", "a second copy with another text; the first one is right", rate=2, fits=korean)
def _altered_copy(desk: Desk, subject: Subject) -> Expected:
    copy = again(desk, subject.archive[0])
    copy.body = f"{copy.body}?"
    subject.archive.append(copy)
    return [("duplicate", subject.source[0])]


# Rows that should not be there ----------------------------------------------------------------------------

STRANGERS: list[Fault] = []


@fault(STRANGERS, "never sent", "archived, though the gateway never accepted it", rate=5, fits=korean)
def _never_sent(desk: Desk, subject: Subject) -> Expected:
    invented = replace(subject.archive[0], message_id=desk.new_id(), body="(테스트) 무시하세요")
    subject.archive.append(invented)
    return [("extra", invented)]


@fault(STRANGERS, "wrong tenant", "a copy under another tenant's name, same room and message id", rate=2)
def _wrong_tenant(desk: Desk, subject: Subject) -> Expected:
    # A tenant that does not exist yet, because room and message ids repeat from tenant to tenant.
    copy = replace(subject.archive[0], tenant_id=f"{subject.archive[0].tenant_id}-staging")
    subject.archive.append(copy)
    return [("extra", copy)]


@fault(STRANGERS, "recalled, yet kept", "its sender recalled it, and the archive still has it", rate=3)
def _recalled_yet_kept(desk: Desk, subject: Subject) -> Expected:
    row = subject.source[0]
    desk.outcomes.append(
        Outcome(row.tenant_id, row.room_id, row.message_id, "recalled", subject.sent + desk.between(20, 600))
    )
    return [("extra", row)]


@fault(STRANGERS, "typing stored", "a typing indicator was archived; by design none is", rate=2)
def _typing_stored(desk: Desk, subject: Subject) -> Expected:
    for row in (*subject.source, *subject.archive):
        row.kind, row.body, row.size_bytes = "typing", None, 0
    return [("extra", subject.source[0]), ("invalid", subject.archive[0])]  # a kind that the archive may not hold
