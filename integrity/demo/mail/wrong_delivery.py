"""Which faults leave a mail out of a mailbox, put it into a wrong one, or bring it at a wrong time?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

from integrity.demo.mail.fault import Expected, MailFault, everywhere, fault, of_twins, single, to_team
from integrity.demo.mail.letters import Style
from integrity.demo.mail.office import INBOX, TRASH, Copy, Ended, Office, Posted

__all__ = ["DELIVERIES", "GROUPS", "LOSSES", "TIMES"]

# Groups: first, because few mails can suffer these --------------------------------------------------------

GROUPS: list[MailFault] = []


@fault(GROUPS, "left the group", "delivered to somebody who had left the group by then", fits=to_team)
def _left(office: Office, posted: Posted) -> Expected | None:
    for move in office.people.moves:
        if posted.recipients == (move.left,) and posted.accepted >= move.at:
            first = posted.copies[0]
            posted.copies.append(replace(first, mailbox=move.mailbox))
            return [("extra", move.mailbox, posted.message_id)]
    return None


@fault(GROUPS, "joined the group", "not delivered to somebody who had joined the group by then", fits=to_team)
def _joined(office: Office, posted: Posted) -> Expected | None:
    for move in office.people.moves:
        if posted.recipients == (move.joined,) and posted.accepted >= move.at:
            posted.copies = [copy for copy in posted.copies if copy.mailbox != move.mailbox]
            return [("lost", move.mailbox, posted.message_id)]
    return None


@fault(GROUPS, "lost in a group", "expanding the group failed: not one of its members has it", fits=to_team)
def _lost_in_group(office: Office, posted: Posted) -> Expected:
    posted.copies.clear()
    return everywhere("lost", posted)


@fault(GROUPS, "lost by one of several", "all recipients have it but one, whose mailbox was full", fits=to_team)
def _lost_by_one(office: Office, posted: Posted) -> Expected:
    gone = posted.copies.pop()
    return [("lost", gone.mailbox, posted.message_id)]


@fault(GROUPS, "one of two with one Message-ID", "taken for a copy of the other, and dropped", fits=of_twins)
def _twin(office: Office, posted: Posted) -> Expected:
    gone = posted.copies.pop()
    return [("lost", gone.mailbox, posted.message_id)]


# Losses ---------------------------------------------------------------------------------------------------

LOSSES: list[MailFault] = []


@fault(LOSSES, "lost", "accepted, and in no mailbox", rate=3, fits=single)
def _lost(office: Office, posted: Posted) -> Expected:
    posted.copies.clear()
    return everywhere("lost", posted)


@fault(LOSSES, "masked loss", "one lost, another in the same mailbox twice: the counts agree", fits=single)
def _masked(office: Office, posted: Posted) -> Expected | None:
    other = office.take(partial(_beside, posted))
    if other is None:
        return None
    posted.copies.clear()
    _again(office, other)
    return [*everywhere("lost", posted), *everywhere("duplicate", other)]


def _beside(posted: Posted, other: Posted) -> bool:
    return single(other) and other.expected == posted.expected


@fault(LOSSES, "left in tmp", "the server was stopped while it wrote: half of it lies in tmp", fits=single)
def _half(office: Office, posted: Posted) -> Expected:
    posted.copies[0].written, posted.copies[0].cut = False, 40
    return everywhere("lost", posted)


@fault(LOSSES, "in the trash", "found in the trash, and no outcome says that its owner deleted it", fits=single)
def _trashed(office: Office, posted: Posted) -> Expected:
    posted.copies[0].folder = TRASH
    return everywhere("lost", posted)


@fault(LOSSES, "unaccepted outcome", "missing, and its outcome is none that the contract accepts", fits=single)
def _unaccepted(office: Office, posted: Posted) -> Expected:
    copy = posted.copies.pop()
    office.outcomes.append(Ended(copy.mailbox, posted.message_id, "deferred", office.after(posted.accepted, 1, 30)))
    return everywhere("lost", posted)


# Deliveries that should not be ----------------------------------------------------------------------------

DELIVERIES: list[MailFault] = []


@fault(DELIVERIES, "delivered twice", "acknowledged too late: once in new, once in cur", rate=3, fits=single)
def _twice(office: Office, posted: Posted) -> Expected:
    _again(office, posted)
    return everywhere("duplicate", posted)


@fault(DELIVERIES, "delivered three times", "by two gateways, one of which writes everything as base64", fits=single)
def _thrice(office: Office, posted: Posted) -> Expected:
    _again(office, posted)
    _again(office, posted).style = Style(encoding="base64")
    return [*everywhere("duplicate", posted), *everywhere("duplicate", posted)]


def _again(office: Office, posted: Posted) -> Copy:
    first = posted.copies[0]
    first.seen = False
    copy = replace(first, delivered=office.after(first.delivered, 0.5, 9), folder=INBOX, seen=True)
    posted.copies.append(copy)
    return copy


@fault(DELIVERIES, "misrouted", "delivered whole and in time, into somebody else's mailbox", rate=2, fits=single)
def _misrouted(office: Office, posted: Posted) -> Expected:
    other = office.somebody_else(posted)
    posted.copies[0].mailbox = other
    return [*everywhere("lost", posted), ("extra", other, posted.message_id)]


@fault(DELIVERIES, "blind copy", "delivered to its recipients, and to somebody nobody named")
def _blind(office: Office, posted: Posted) -> Expected:
    other = office.somebody_else(posted)
    posted.copies.append(replace(posted.copies[0], mailbox=other))
    return [("extra", other, posted.message_id)]


@fault(DELIVERIES, "never accepted", "in the mailbox, past the gateway: nobody ever accepted it", fits=single)
def _never(office: Office, posted: Posted) -> Expected:
    # The mail itself stays healthy; the stranger only comes beside it.
    copy, stranger = posted.copies[0], office.new_id()
    letter = replace(copy.letter, message_id=stranger, subject=f"{copy.letter.subject}!")
    office.strays.append(replace(copy, letter=letter, delivered=office.after(copy.delivered, 60, 600)))
    return [("extra", copy.mailbox, stranger)]


@fault(DELIVERIES, "bounced, yet present", "its sender was told that it bounced; it is there all the same", fits=single)
def _bounced(office: Office, posted: Posted) -> Expected:
    box = posted.expected[0]
    office.outcomes.append(Ended(box, posted.message_id, "bounced", office.after(posted.accepted, 1, 30)))
    return [("extra", box, posted.message_id)]


# Times ----------------------------------------------------------------------------------------------------

TIMES: list[MailFault] = []


@fault(TIMES, "late", "queued for minutes", rate=3)
def _late(office: Office, posted: Posted) -> Expected:
    copy = posted.copies[0]
    copy.delivered = office.after(posted.accepted, 90, 3_000)
    return [("late", copy.mailbox, posted.message_id)]


@fault(TIMES, "late by a hair", "a millisecond beyond the minute", fits=single)
def _hair(office: Office, posted: Posted) -> Expected:
    posted.copies[0].delivered = posted.accepted + timedelta(seconds=60, milliseconds=1)
    return everywhere("late", posted)


@fault(TIMES, "very late", "stuck in a queue for more than an hour", rate=2, fits=single)
def _very_late(office: Office, posted: Posted) -> Expected:
    posted.copies[0].delivered = office.after(posted.accepted, 3_700, 9_000)
    return everywhere("late", posted)


@fault(TIMES, "clock ahead", "the gateway's clock ran ahead: delivered before it was accepted", rate=2)
def _skewed(office: Office, posted: Posted) -> Expected:
    copy = posted.copies[0]
    copy.delivered = office.after(posted.accepted, -120, -2)
    return [("skewed", copy.mailbox, posted.message_id)]
