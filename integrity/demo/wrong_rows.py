"""Which faults spoil what a row says, break a rule of the identity, or come at the wrong time?"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from integrity.demo.desk import Desk, Row, Subject
from integrity.demo.fault import NINE_HOURS, Expected, Fault, again, early, fault, fine, korean, partner, person

__all__ = ["CONTENT", "RULES", "TIMES"]

# Content --------------------------------------------------------------------------------------------------

CONTENT: list[Fault] = []


@fault(CONTENT, "NULL became ''", "a sticker without a text came out with an empty one", rate=3)
def _null_became_empty(desk: Desk, subject: Subject) -> Expected:
    for row in (*subject.source, *subject.archive):
        row.kind, row.body, row.size_bytes = "sticker", None, 24_576
    subject.archive[0].body = ""
    return [("corrupt", subject.source[0])]


@fault(CONTENT, "NFC became NFD", "the Hangul was decomposed: every screen shows the same", rate=3, fits=korean)
def _nfc_became_nfd(desk: Desk, subject: Subject) -> Expected:
    subject.archive[0].body = unicodedata.normalize("NFD", subject.archive[0].body or "")
    return [("corrupt", subject.source[0])]


@fault(CONTENT, "blank trimmed", "a trailing blank is gone: a CHAR column sees no difference", rate=3, fits=korean)
def _blank_trimmed(desk: Desk, subject: Subject) -> Expected:
    trimmed = (subject.archive[0].body or "").rstrip()
    for row in (*subject.source, *subject.archive):
        row.body = trimmed + " "
        row.size_bytes = len(row.body.encode())
    subject.archive[0].body = trimmed
    return [("corrupt", subject.source[0])]


@fault(CONTENT, "emoji replaced", "a three-byte utf8 column made a question mark of it", rate=3, fits=korean)
def _emoji_replaced(desk: Desk, subject: Subject) -> Expected:
    plain = (subject.archive[0].body or "").rstrip()
    for row in (*subject.source, *subject.archive):
        row.body = plain + " 🙏"
        row.size_bytes = len(row.body.encode())
    subject.archive[0].body = plain + " ?"
    return [("corrupt", subject.source[0])]


@fault(CONTENT, "case changed", "the sender in capitals: equal under a loose collation", rate=2, fits=korean)
def _case_changed(desk: Desk, subject: Subject) -> Expected:
    subject.archive[0].sender_id = subject.archive[0].sender_id.upper()
    return [("corrupt", subject.source[0])]


@fault(
    CONTENT,
    "sender ran into text",
    "the sender's last digit begins the text: glued, both look the same",
    rate=3,
    fits=korean,
)
def _sender_ran_into_text(desk: Desk, subject: Subject) -> Expected:
    row = subject.archive[0]
    row.sender_id, row.body = row.sender_id[:-1], row.sender_id[-1] + (row.body or "")
    return [("corrupt", subject.source[0])]


@fault(CONTENT, "sizes swapped", "two of one batch have each other's size: the sum agrees", rate=2)
def _sizes_swapped(desk: Desk, subject: Subject) -> Expected | None:
    mine = subject.archive[0]
    other = partner(desk, subject, lambda row: row.size_bytes != mine.size_bytes)
    if other is None:
        return None
    theirs = other.archive[0]
    mine.size_bytes, theirs.size_bytes = theirs.size_bytes, mine.size_bytes
    return [("corrupt", subject.source[0]), ("corrupt", other.source[0])]


@fault(CONTENT, "size through a float", "2^53 + 1 bytes came out as 2^53", rate=1)
def _size_through_a_float(desk: Desk, subject: Subject) -> Expected:
    for row in (*subject.source, *subject.archive):
        row.kind, row.body, row.size_bytes = "file", "전체_백업.tar", 2**53 + 1
    subject.archive[0].size_bytes = 2**53
    return [("corrupt", subject.source[0])]


@fault(CONTENT, "edit lost", "the archive still shows revision 1", rate=4, fits=korean)
def _edit_lost(desk: Desk, subject: Subject) -> Expected:
    first = subject.source[0]
    body = (first.body or "").rstrip() + " (정정합니다)"
    subject.source.append(replace(first, body=body, size_bytes=len(body.encode()), revision=2))
    return [("corrupt", first)]


@fault(CONTENT, "microseconds cut", "the archive kept the event time's milliseconds", rate=2, fits=fine)
def _microseconds_cut(desk: Desk, subject: Subject) -> Expected:
    sent = subject.sent
    subject.archive[0].sent_at = sent.replace(microsecond=sent.microsecond // 1000 * 1000)
    return [("corrupt", subject.source[0])]


@fault(
    CONTENT,
    "nine hours off",
    "a replay read Seoul's time as UTC: late, and in a batch nine hours on",
    rate=4,
    fits=early,
)
def _nine_hours_off(desk: Desk, subject: Subject) -> Expected:
    # Stored over a minute after the wrong time, so it is late by either side's event time.
    row, wrong = subject.archive[0], subject.sent + NINE_HOURS
    row.sent_at, row.stored_at = wrong, wrong + desk.between(70, 600)
    return [("corrupt", subject.source[0]), ("late", subject.source[0])]


# Rows that break a rule -----------------------------------------------------------------------------------

RULES: list[Fault] = []


@fault(RULES, "twice on both sides", "written twice, archived twice: the sides agree and both are wrong", rate=2)
def _twice_on_both_sides(desk: Desk, subject: Subject) -> Expected:
    subject.source.append(replace(subject.source[0]))
    subject.archive.append(again(desk, subject.archive[0]))
    return [("invalid", subject.source[0])]


@fault(RULES, "twice, archived once", "written twice, archived once: a copy is missing", rate=2)
def _twice_archived_once(desk: Desk, subject: Subject) -> Expected:
    subject.source.append(replace(subject.source[0]))
    return [("invalid", subject.source[0]), ("lost", subject.source[0])]


@fault(RULES, "id given out twice", "two messages of different batches bear one identity", rate=1)
def _id_given_out_twice(desk: Desk, subject: Subject) -> Expected | None:
    other = desk.take(lambda candidate: candidate.window != subject.window)
    if other is None:
        return None
    name = subject.source[0]
    for row in (*other.source, *other.archive):
        row.tenant_id, row.room_id, row.message_id = name.tenant_id, name.room_id, name.message_id
    return [("invalid", name)]


def _without_id(desk: Desk, rows: Sequence[Row]) -> bool:
    """Take the message id away, once a room: two nameless messages in one room would be one identity."""
    room = (rows[0].tenant_id, rows[0].room_id)
    if room in desk.nameless:
        return False
    desk.nameless.add(room)
    for row in rows:
        row.message_id = None
    return True


@fault(RULES, "no message id", "both sides hold it without an id: a join on NULL never sees it", rate=2)
def _no_message_id(desk: Desk, subject: Subject) -> Expected | None:
    if not _without_id(desk, (*subject.source, *subject.archive)):
        return None
    return [("invalid", subject.source[0])]


@fault(RULES, "no room", "both sides hold it without a room, so nobody can have been a member", rate=1, fits=person)
def _no_room(desk: Desk, subject: Subject) -> Expected:
    for row in (*subject.source, *subject.archive):
        row.room_id = None
    return [("invalid", subject.source[0]), ("unauthorized", subject.source[0])]


@fault(RULES, "no message id, and lost", "no id to ask for, and it never arrived", rate=1)
def _no_message_id_and_lost(desk: Desk, subject: Subject) -> Expected | None:
    if not _without_id(desk, subject.source):
        return None
    subject.archive.clear()
    return [("lost", subject.source[0]), ("invalid", subject.source[0])]


@fault(RULES, "id dropped", "archived without its id: one is lost, a nameless one too many", rate=1)
def _id_dropped(desk: Desk, subject: Subject) -> Expected | None:
    if not _without_id(desk, subject.archive):
        return None
    return [("lost", subject.source[0]), ("extra", subject.archive[0]), ("invalid", subject.archive[0])]


@fault(RULES, "no event time", "neither side knows when it was sent: it belongs to no window", rate=2)
def _no_event_time(desk: Desk, subject: Subject) -> Expected:
    subject.source[0].sent_at = subject.archive[0].sent_at = None
    return [("invalid", subject.source[0])]


@fault(RULES, "thirtieth of February", "an unreadable time; the archive's typed column holds NULL", rate=2)
def _thirtieth_of_february(desk: Desk, subject: Subject) -> Expected:
    sent = subject.sent
    subject.source[0].sent_at = f"{sent.year}-02-30T{sent:%H:%M:%S}.{sent.microsecond:06d}Z"
    subject.archive[0].sent_at = None
    return [("invalid", subject.source[0]), ("corrupt", subject.source[0])]


@fault(RULES, "size in hex", "the gateway wrote '0x10' for a size, the archive's loader read 16", rate=2)
def _size_in_hex(desk: Desk, subject: Subject) -> Expected:
    subject.source[0].size_bytes, subject.archive[0].size_bytes = "0x10", 16
    return [("invalid", subject.source[0]), ("corrupt", subject.source[0])]


# Time -----------------------------------------------------------------------------------------------------


@fault(RULES, "unknown kind", "a client of next year sent a kind that the contract does not know", rate=3)
def _unknown_kind(desk: Desk, subject: Subject) -> Expected:
    for row in (*subject.source, *subject.archive):
        row.kind = "poll"
    return [("invalid", subject.source[0])]


@fault(RULES, "size below zero", "a counter ran over: both sides agree on a size that there is not", rate=3)
def _size_below_zero(desk: Desk, subject: Subject) -> Expected:
    for row in (*subject.source, *subject.archive):
        row.size_bytes = -1
    return [("invalid", subject.source[0])]


TIMES: list[Fault] = []


@fault(TIMES, "slow", "stored after more than five seconds", rate=10)
def _slow(desk: Desk, subject: Subject) -> Expected:
    subject.archive[0].stored_at = subject.sent + desk.between(5.2, 58)
    return [("late", subject.source[0])]


@fault(TIMES, "late by a hair", "late by one microsecond: in milliseconds it was on time", rate=2)
def _late_by_a_hair(desk: Desk, subject: Subject) -> Expected:
    subject.archive[0].stored_at = subject.sent + timedelta(seconds=5, microseconds=1)
    return [("late", subject.source[0])]


@fault(TIMES, "stuck", "minutes in a queue: over the limit that nothing may exceed", rate=5)
def _stuck(desk: Desk, subject: Subject) -> Expected:
    subject.archive[0].stored_at = subject.sent + desk.between(61, 1_200)
    return [("late", subject.source[0])]


@fault(TIMES, "clock behind", "stored before it was sent: the archive's clock is wrong", rate=6)
def _clock_behind(desk: Desk, subject: Subject) -> Expected:
    subject.archive[0].stored_at = subject.sent - desk.between(2, 90)
    return [("skewed", subject.source[0])]


@fault(TIMES, "from tomorrow", "a phone's clock is a day ahead: stored before it was sent", rate=2)
def _from_tomorrow(desk: Desk, subject: Subject) -> Expected:
    subject.source[0].sent_at = subject.archive[0].sent_at = subject.sent + timedelta(days=1)
    return [("skewed", subject.source[0])]
