"""Which faults does the demo's day hide, how does each come about, and which breaks must be found for it?

Each fault is a small function that takes one healthy item as both sides hold it, spoils it, and says which
breaks a reconciliation must report: no more and no fewer. Identities are never shared between faults, so a
break found always belongs to exactly one of them.

Where two readings are possible (is a latency measured from the source's event time or the destination's?) a
fault is made so that both give the same breaks.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import numpy as np

from integrity.errors import UsageError

__all__ = ["CATALOGUE", "Desk", "Fault", "Outcome", "Planted", "Row", "Subject", "plant"]

#: Seoul's offset: what a time is wrong by when somebody takes local time for UTC.
NINE_HOURS = timedelta(hours=9)

_BURST = "one room's archive queue was dropped for some minutes after nine"

#: Ids that the gateway never gives out begin here, so what is invented below collides with nothing.
INVENTED_IDS = 900_000_000


@dataclass(slots=True)
class Row:
    """One row of either side. Its types are wide, because SQLite keeps whatever a faulty gateway gives it."""

    tenant_id: str | None
    room_id: str | None
    message_id: str | None
    sender_id: str
    kind: str
    body: str | None
    size_bytes: int | str
    revision: int
    sent_at: datetime | str | None
    stored_at: datetime


@dataclass(slots=True)
class Subject:
    """One item: where its rows stand in the outbox, and what either side holds of it."""

    positions: tuple[int, ...]
    window: int
    source: list[Row]
    archive: list[Row]

    @property
    def sent(self) -> datetime:
        """When it was really sent (it is healthy until a fault takes it)."""
        sent = self.source[0].sent_at
        assert isinstance(sent, datetime)
        return sent


@dataclass(frozen=True, slots=True)
class Planted:
    """One break that a reconciliation must find: its kind, its item, and the fault that it comes from."""

    fault: str
    why: str
    kind: str
    tenant_id: str | None
    room_id: str | None
    message_id: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row of the outcomes table: an item that ended elsewhere."""

    tenant_id: str | None
    room_id: str | None
    message_id: str | None
    outcome: str
    at: datetime


Expected = Iterable[tuple[str, Row]]
Fits = Callable[[Subject], bool]


@dataclass
class Desk:
    """What a fault may reach for besides its own item.

    Attributes:
        rng: The only source of chance, so that a seed decides everything.
        pool: Healthy items of one row each, in random order. Whatever a fault takes leaves it.
        burst: Every archived item of one room within a few busy minutes.
        touched: The items that faults took.
        outcomes: Rows to be added to the outcomes table.
        nameless: The rooms that hold a message without an id.
        invented: How many ids were made up.
    """

    rng: np.random.Generator
    pool: list[Subject]
    burst: list[Subject]
    touched: list[Subject] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    nameless: set[tuple[str | None, str | None]] = field(default_factory=set)
    invented: int = 0

    def take(self, fits: Fits) -> Subject | None:
        """Return the first healthy item of that sort, which is then spoken for, or None."""
        for place, subject in enumerate(self.pool):
            if fits(subject):
                self.touched.append(self.pool.pop(place))
                return subject
        return None

    def between(self, low: float, high: float) -> timedelta:
        """Return a random duration between so many seconds, in whole microseconds."""
        return timedelta(microseconds=int(self.rng.integers(round(low * 1e6), round(high * 1e6))))

    def new_id(self) -> str:
        """Return a message id that the gateway never gave out."""
        self.invented += 1
        return f"{INVENTED_IDS + self.invented:09d}"


#: Spoil an item and return the breaks to be found; or change nothing and return None.
Spoil = Callable[[Desk, Subject], Expected | None]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault by name: why it happens, how often, whom it befalls, what it does."""

    name: str
    why: str
    rate: float  # per 100,000 items, at least one
    fits: Fits
    spoil: Spoil


#: All faults, in the order in which they are planted. Those that are hard to please come first.
CATALOGUE: list[Fault] = []


def _anyone(subject: Subject) -> bool:
    return True


def _korean(subject: Subject) -> bool:
    """Whether it is a text that Unicode could write in another way."""
    row = subject.source[0]
    return row.kind == "text" and bool(row.body) and unicodedata.normalize("NFD", row.body or "") != row.body


def _early(subject: Subject) -> bool:
    """Whether nine hours after it was sent is still the same day."""
    return subject.window < 13 * 6


def _at_night(subject: Subject) -> bool:
    return 4 * 6 <= subject.window < 5 * 6


def _fine(subject: Subject) -> bool:
    """Whether milliseconds would not do for its event time."""
    return subject.sent.microsecond % 1000 != 0


def _fault(name: str, why: str, *, rate: float, fits: Fits = _anyone) -> Callable[[Spoil], Spoil]:
    def enter(spoil: Spoil) -> Spoil:
        CATALOGUE.append(Fault(name, why, rate, fits, spoil))
        return spoil

    return enter


def plant(desk: Desk, items: int) -> Iterator[Planted]:
    """Spoil items of the desk's pool, with every fault at least once, and yield the breaks to be found.

    A fault returns None, having changed nothing, where its item has no fitting partner; the next is tried.

    Raises:
        UsageError: a fault finds nobody whom it could befall.
    """
    for subject in desk.burst:
        subject.archive.clear()
        desk.touched.append(subject)
        row = subject.source[0]
        yield Planted("lost burst", _BURST, "lost", row.tenant_id, row.room_id, row.message_id)
    for fault in CATALOGUE:
        wanted = max(1, round(fault.rate * items / 100_000))
        done = 0
        refused: list[Subject] = []
        while done < wanted:
            taken = desk.take(fault.fits)
            if taken is None:
                break
            expected = fault.spoil(desk, taken)
            if expected is None:
                refused.append(desk.touched.pop())
                continue
            done += 1
            for kind, row in expected:
                yield Planted(fault.name, fault.why, kind, row.tenant_id, row.room_id, row.message_id)
        if not done:
            raise UsageError(f"no message of this day can suffer {fault.name!r}", "ask for more items")
        desk.pool.extend(refused)


def _partner(desk: Desk, subject: Subject, *preferences: Callable[[Row], bool]) -> Subject | None:
    """Take another item of the same batch, by the first preference that anyone meets."""
    for likes in preferences:
        found = desk.take(partial(_of_window, subject.window, likes))
        if found is not None:
            return found
    return None


def _of_window(window: int, likes: Callable[[Row], bool], other: Subject) -> bool:
    return other.window == window and likes(other.source[0])


# Losses ---------------------------------------------------------------------------------------------------


@_fault("lost at night", "one of a quiet window's few messages never arrived", rate=1, fits=_at_night)
def _lost_at_night(desk: Desk, subject: Subject) -> Expected:
    subject.archive.clear()
    return [("lost", subject.source[0])]


@_fault("lost", "a single message never arrived", rate=12)
def _lost(desk: Desk, subject: Subject) -> Expected:
    subject.archive.clear()
    return [("lost", subject.source[0])]


@_fault("unaccepted outcome", "missing, and its outcome is none that the contract accepts", rate=3)
def _unaccepted_outcome(desk: Desk, subject: Subject) -> Expected:
    row = subject.source[0]
    subject.archive.clear()
    desk.outcomes.append(
        Outcome(
            row.tenant_id, row.room_id, row.message_id, "undeliverable", subject.sent + desk.between(1, 30)
        )
    )
    return [("lost", row)]


@_fault("masked loss", "one lost, another of its batch stored twice: the counts agree", rate=3)
def _masked_loss(desk: Desk, subject: Subject) -> Expected | None:
    lost = subject.source[0]
    copied = _partner(desk, subject, lambda row: row.size_bytes == lost.size_bytes, lambda row: True)
    if copied is None:
        return None
    subject.archive.clear()
    copied.archive.append(_again(desk, copied.archive[0]))
    return [("lost", lost), ("duplicate", copied.source[0])]


@_fault("misrouted", "stored under another room: counts and bytes agree", rate=2)
def _misrouted(desk: Desk, subject: Subject) -> Expected:
    stored = subject.archive[0]
    stored.room_id = "r99999"
    return [("lost", subject.source[0]), ("extra", stored)]


@_fault("digit moved", "message_id's first digit went to room_id: glued, both look the same", rate=2)
def _digit_moved(desk: Desk, subject: Subject) -> Expected:
    stored = subject.archive[0]
    room, message = stored.room_id or "", stored.message_id or ""
    stored.room_id, stored.message_id = room + message[0], message[1:]
    return [("lost", subject.source[0]), ("extra", stored)]


@_fault("pair for a pair", "two equal rows came out as two of another message: XOR cancels both", rate=1)
def _pair_for_a_pair(desk: Desk, subject: Subject) -> Expected:
    real, stored = subject.source[0], subject.archive[0]
    subject.source.append(replace(real))
    stored.message_id = desk.new_id()
    subject.archive.append(replace(stored))
    return [("lost", real), ("lost", real), ("invalid", real), ("extra", stored), ("extra", stored)]


# Copies ---------------------------------------------------------------------------------------------------


def _again(desk: Desk, row: Row) -> Row:
    """Return the row as stored once more within the second: on time, so a duplicate and nothing else."""
    assert isinstance(row.sent_at, datetime)
    limit = row.sent_at + timedelta(seconds=4.95)
    return replace(row, stored_at=min(limit, row.stored_at + desk.between(0.01, 1)))


@_fault("stored twice", "the archive acknowledged too late and got it again", rate=8)
def _stored_twice(desk: Desk, subject: Subject) -> Expected:
    subject.archive.append(_again(desk, subject.archive[0]))
    return [("duplicate", subject.source[0])]


@_fault("stored three times", "two copies too many: under XOR they cancel", rate=3)
def _stored_three_times(desk: Desk, subject: Subject) -> Expected:
    subject.archive += [_again(desk, subject.archive[0]), _again(desk, subject.archive[0])]
    return [("duplicate", subject.source[0])] * 2


@_fault("redelivered later", "stored again after forty minutes; the first copy was on time", rate=2)
def _redelivered_later(desk: Desk, subject: Subject) -> Expected:
    first = subject.archive[0]
    subject.archive.append(replace(first, stored_at=first.stored_at + timedelta(minutes=40)))
    return [("duplicate", subject.source[0])]


@_fault(
    "redelivered elsewhere",
    "a replay read Seoul's time as UTC: the copy lies nine hours on",
    rate=2,
    fits=_early,
)
def _redelivered_elsewhere(desk: Desk, subject: Subject) -> Expected:
    first = subject.archive[0]
    subject.archive.append(
        replace(first, sent_at=subject.sent + NINE_HOURS, stored_at=first.stored_at + NINE_HOURS)
    )
    return [("duplicate", subject.source[0])]


@_fault("altered copy", "a second copy with another text; the first one is right", rate=2, fits=_korean)
def _altered_copy(desk: Desk, subject: Subject) -> Expected:
    copy = _again(desk, subject.archive[0])
    copy.body = f"{copy.body}?"
    subject.archive.append(copy)
    return [("duplicate", subject.source[0])]


# Content --------------------------------------------------------------------------------------------------


@_fault("NULL became ''", "a sticker without a text came out with an empty one", rate=3)
def _null_became_empty(desk: Desk, subject: Subject) -> Expected:
    for row in (*subject.source, *subject.archive):
        row.kind, row.body, row.size_bytes = "sticker", None, 24_576
    subject.archive[0].body = ""
    return [("corrupt", subject.source[0])]


@_fault("NFC became NFD", "the Hangul was decomposed: every screen shows the same", rate=3, fits=_korean)
def _nfc_became_nfd(desk: Desk, subject: Subject) -> Expected:
    subject.archive[0].body = unicodedata.normalize("NFD", subject.archive[0].body or "")
    return [("corrupt", subject.source[0])]


@_fault("blank trimmed", "a trailing blank is gone: a CHAR column sees no difference", rate=3, fits=_korean)
def _blank_trimmed(desk: Desk, subject: Subject) -> Expected:
    trimmed = (subject.archive[0].body or "").rstrip()
    for row in (*subject.source, *subject.archive):
        row.body = trimmed + " "
        row.size_bytes = len(row.body.encode())
    subject.archive[0].body = trimmed
    return [("corrupt", subject.source[0])]


@_fault("emoji replaced", "a three-byte utf8 column made a question mark of it", rate=3, fits=_korean)
def _emoji_replaced(desk: Desk, subject: Subject) -> Expected:
    plain = (subject.archive[0].body or "").rstrip()
    for row in (*subject.source, *subject.archive):
        row.body = plain + " 🙏"
        row.size_bytes = len(row.body.encode())
    subject.archive[0].body = plain + " ?"
    return [("corrupt", subject.source[0])]


@_fault("case changed", "the sender in capitals: equal under a loose collation", rate=2, fits=_korean)
def _case_changed(desk: Desk, subject: Subject) -> Expected:
    subject.archive[0].sender_id = subject.archive[0].sender_id.upper()
    return [("corrupt", subject.source[0])]


@_fault(
    "sender ran into text",
    "the sender's last digit begins the text: glued, both look the same",
    rate=3,
    fits=_korean,
)
def _sender_ran_into_text(desk: Desk, subject: Subject) -> Expected:
    row = subject.archive[0]
    row.sender_id, row.body = row.sender_id[:-1], row.sender_id[-1] + (row.body or "")
    return [("corrupt", subject.source[0])]


@_fault("sizes swapped", "two of one batch have each other's size: the sum agrees", rate=2)
def _sizes_swapped(desk: Desk, subject: Subject) -> Expected | None:
    mine = subject.archive[0]
    other = _partner(desk, subject, lambda row: row.size_bytes != mine.size_bytes)
    if other is None:
        return None
    theirs = other.archive[0]
    mine.size_bytes, theirs.size_bytes = theirs.size_bytes, mine.size_bytes
    return [("corrupt", subject.source[0]), ("corrupt", other.source[0])]


@_fault("size through a float", "2^53 + 1 bytes came out as 2^53", rate=1)
def _size_through_a_float(desk: Desk, subject: Subject) -> Expected:
    for row in (*subject.source, *subject.archive):
        row.kind, row.body, row.size_bytes = "file", "전체_백업.tar", 2**53 + 1
    subject.archive[0].size_bytes = 2**53
    return [("corrupt", subject.source[0])]


@_fault("edit lost", "the archive still shows revision 1", rate=4, fits=_korean)
def _edit_lost(desk: Desk, subject: Subject) -> Expected:
    first = subject.source[0]
    body = (first.body or "").rstrip() + " (정정합니다)"
    subject.source.append(replace(first, body=body, size_bytes=len(body.encode()), revision=2))
    return [("corrupt", first)]


@_fault("microseconds cut", "the archive kept the event time's milliseconds", rate=2, fits=_fine)
def _microseconds_cut(desk: Desk, subject: Subject) -> Expected:
    sent = subject.sent
    subject.archive[0].sent_at = sent.replace(microsecond=sent.microsecond // 1000 * 1000)
    return [("corrupt", subject.source[0])]


@_fault(
    "nine hours off",
    "a replay read Seoul's time as UTC: late, and in a batch nine hours on",
    rate=4,
    fits=_early,
)
def _nine_hours_off(desk: Desk, subject: Subject) -> Expected:
    # Stored over a minute after the wrong time, so it is late by either side's event time.
    row, wrong = subject.archive[0], subject.sent + NINE_HOURS
    row.sent_at, row.stored_at = wrong, wrong + desk.between(70, 600)
    return [("corrupt", subject.source[0]), ("late", subject.source[0])]


# Rows that should not be there ----------------------------------------------------------------------------


@_fault("never sent", "archived, though the gateway never accepted it", rate=5, fits=_korean)
def _never_sent(desk: Desk, subject: Subject) -> Expected:
    invented = replace(subject.archive[0], message_id=desk.new_id(), body="(테스트) 무시하세요")
    subject.archive.append(invented)
    return [("extra", invented)]


@_fault("wrong tenant", "a copy under another tenant's name, same room and message id", rate=2)
def _wrong_tenant(desk: Desk, subject: Subject) -> Expected:
    # A tenant that does not exist yet, because room and message ids repeat from tenant to tenant.
    copy = replace(subject.archive[0], tenant_id=f"{subject.archive[0].tenant_id}-staging")
    subject.archive.append(copy)
    return [("extra", copy)]


@_fault("recalled, yet kept", "its sender recalled it, and the archive still has it", rate=3)
def _recalled_yet_kept(desk: Desk, subject: Subject) -> Expected:
    row = subject.source[0]
    desk.outcomes.append(
        Outcome(row.tenant_id, row.room_id, row.message_id, "recalled", subject.sent + desk.between(20, 600))
    )
    return [("extra", row)]


@_fault("typing stored", "a typing indicator was archived; by design none is", rate=2)
def _typing_stored(desk: Desk, subject: Subject) -> Expected:
    for row in (*subject.source, *subject.archive):
        row.kind, row.body, row.size_bytes = "typing", None, 0
    return [("extra", subject.source[0])]


# Rows that break a rule -----------------------------------------------------------------------------------


@_fault("twice on both sides", "written twice, archived twice: the sides agree and both are wrong", rate=2)
def _twice_on_both_sides(desk: Desk, subject: Subject) -> Expected:
    subject.source.append(replace(subject.source[0]))
    subject.archive.append(_again(desk, subject.archive[0]))
    return [("invalid", subject.source[0])]


@_fault("twice, archived once", "written twice, archived once: a copy is missing", rate=2)
def _twice_archived_once(desk: Desk, subject: Subject) -> Expected:
    subject.source.append(replace(subject.source[0]))
    return [("invalid", subject.source[0]), ("lost", subject.source[0])]


@_fault("id given out twice", "two messages of different batches bear one identity", rate=1)
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


@_fault("no message id", "both sides hold it without an id: a join on NULL never sees it", rate=2)
def _no_message_id(desk: Desk, subject: Subject) -> Expected | None:
    if not _without_id(desk, (*subject.source, *subject.archive)):
        return None
    return [("invalid", subject.source[0])]


@_fault("no room", "both sides hold it without a room", rate=1)
def _no_room(desk: Desk, subject: Subject) -> Expected:
    for row in (*subject.source, *subject.archive):
        row.room_id = None
    return [("invalid", subject.source[0])]


@_fault("no message id, and lost", "no id to ask for, and it never arrived", rate=1)
def _no_message_id_and_lost(desk: Desk, subject: Subject) -> Expected | None:
    if not _without_id(desk, subject.source):
        return None
    subject.archive.clear()
    return [("lost", subject.source[0]), ("invalid", subject.source[0])]


@_fault("id dropped", "archived without its id: one is lost, a nameless one too many", rate=1)
def _id_dropped(desk: Desk, subject: Subject) -> Expected | None:
    if not _without_id(desk, subject.archive):
        return None
    return [("lost", subject.source[0]), ("extra", subject.archive[0]), ("invalid", subject.archive[0])]


@_fault("no event time", "neither side knows when it was sent: it belongs to no window", rate=2)
def _no_event_time(desk: Desk, subject: Subject) -> Expected:
    subject.source[0].sent_at = subject.archive[0].sent_at = None
    return [("invalid", subject.source[0])]


@_fault("thirtieth of February", "an unreadable time; the archive's typed column holds NULL", rate=2)
def _thirtieth_of_february(desk: Desk, subject: Subject) -> Expected:
    sent = subject.sent
    subject.source[0].sent_at = f"{sent.year}-02-30T{sent:%H:%M:%S}.{sent.microsecond:06d}Z"
    subject.archive[0].sent_at = None
    return [("invalid", subject.source[0]), ("corrupt", subject.source[0])]


@_fault("size in hex", "the gateway wrote '0x10' for a size, the archive's loader read 16", rate=2)
def _size_in_hex(desk: Desk, subject: Subject) -> Expected:
    subject.source[0].size_bytes, subject.archive[0].size_bytes = "0x10", 16
    return [("invalid", subject.source[0]), ("corrupt", subject.source[0])]


# Time -----------------------------------------------------------------------------------------------------


@_fault("slow", "stored after more than five seconds", rate=10)
def _slow(desk: Desk, subject: Subject) -> Expected:
    subject.archive[0].stored_at = subject.sent + desk.between(5.2, 58)
    return [("late", subject.source[0])]


@_fault("late by a hair", "late by one microsecond: in milliseconds it was on time", rate=2)
def _late_by_a_hair(desk: Desk, subject: Subject) -> Expected:
    subject.archive[0].stored_at = subject.sent + timedelta(seconds=5, microseconds=1)
    return [("late", subject.source[0])]


@_fault("stuck", "minutes in a queue: over the limit that nothing may exceed", rate=5)
def _stuck(desk: Desk, subject: Subject) -> Expected:
    subject.archive[0].stored_at = subject.sent + desk.between(61, 1_200)
    return [("late", subject.source[0])]


@_fault("clock behind", "stored before it was sent: the archive's clock is wrong", rate=6)
def _clock_behind(desk: Desk, subject: Subject) -> Expected:
    subject.archive[0].stored_at = subject.sent - desk.between(2, 90)
    return [("skewed", subject.source[0])]


@_fault("from tomorrow", "a phone's clock is a day ahead: stored before it was sent", rate=2)
def _from_tomorrow(desk: Desk, subject: Subject) -> Expected:
    subject.source[0].sent_at = subject.archive[0].sent_at = subject.sent + timedelta(days=1)
    return [("skewed", subject.source[0])]
