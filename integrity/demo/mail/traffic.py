"""Which mails come in on such a day, and when are they in the mailboxes of their recipients?

Everything here is healthy: mails come as posted mails in the order of acceptance. Faults come later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from random import Random

from integrity.demo.mail import words
from integrity.demo.mail.letters import AS_SENT, Attachment, Forward, Letter, Party, Style, Text
from integrity.demo.mail.office import INBOX, TRASH, Copy, Ended, Posted
from integrity.demo.mail.people import DOMAIN, EVERYBODY, Directory

__all__ = ["PREFIX", "Traffic", "traffic"]

#: What the list server puts before the subjects of mails to everybody: the contract declares it.
PREFIX = "[all] "
_SEOUL = timezone(timedelta(hours=9))
_ZONES = (_SEOUL, _SEOUL, _SEOUL, UTC, timezone(-timedelta(hours=5)))
#: Mails of these last minutes may still be queued when the mailboxes are read.
_IN_FLIGHT = timedelta(minutes=40)
#: How many mails of a hundred come in each hour of the day.
_HOURS = (1, 1, 1, 1, 1, 1, 2, 4, 7, 13, 10, 8, 5, 11, 9, 7, 6, 5, 3, 2, 2, 2, 2, 1)

#: What sorts of mail there are, and how many of a hundred are of each. There is one of each at least.
_KINDS = {
    "note": 46, "letter": 18, "file": 16, "files": 4, "forward": 4, "scan": 4, "from": 3, "empty": 2, "pair": 1,
    "heavy": 0,
}  # fmt: skip
_OUTSIDE = (
    ("하늘상사", "order@haneul.example"), ("Baram Logistics", "desk@baram.example"),
    ("국세청 알림", "noreply@tax.example"), ("Cloud Billing", "billing@cloud.example"),
    ("김하늘 (구름)", "kim@gureum.example"), ("", "monitor@status.example"),
)  # fmt: skip
#: How Korean texts travel: charset and transfer encoding.
_KOREAN = (
    ("utf-8", "8bit"), ("utf-8", "base64"), ("utf-8", "quoted-printable"), ("utf-8", "base64"),
    ("euc-kr", "8bit"), ("euc-kr", "base64"), ("iso-2022-kr", "7bit"),
)  # fmt: skip
_WORDS = tuple((charset, way) for charset in ("utf-8", "utf-8", "euc-kr", "iso-2022-kr") for way in "BQ")
#: What servers on the way make of a mail; most leave it as it was.
_STYLES = (
    *(AS_SENT,) * 12,
    Style(fold=(990, b" ")),
    Style(fold=(50, b"\t")),
    Style(encoding="base64"),
    Style(encoding="base64", charset="utf-8", words=("utf-8", "B")),
    Style(encoding="quoted-printable", words=("utf-8", "Q")),
    Style(words=("utf-8", "B"), decomposed=True),
)
_FOLDERS = (*(INBOX,) * 12, ".Work", ".Work.2026", ".&xcW7NA-")
#: Where owners keep what they wrote and what they brought along: among them a Sent folder with a Korean name.
_OWN = (".Sent", ".&vPSwuNO4ycDVaA-", ".&vPSwuNO4ycDVaA-", ".Drafts", ".Imported")
_ENDS = ("bounced", "quarantined", "discarded", "deleted")


@dataclass
class _Day:
    rng: Random
    people: Directory
    often: int  # every so many mails go to a team of which somebody is leaving or which somebody joins
    serial: int = 0


@dataclass(frozen=True)
class Traffic:
    """A day's mails.

    Attributes:
        posted: What was accepted, with the copies that there should be.
        own: What owners put into their mailboxes themselves, and what was never written to its end.
        ended: What became of mails that ended elsewhere.
    """

    posted: list[Posted]
    own: list[Copy]
    ended: list[Ended]


def traffic(rng: Random, people: Directory, mails: int, start: datetime, end: datetime) -> Traffic:
    """Return the mails of a day without faults, in the order of acceptance."""
    day = _Day(rng, people, max(25, mails // 60))
    moments = sorted(_moment(rng, start, end) for _ in range(mails))
    posted: list[Posted] = []
    for number, (moment, kind) in enumerate(zip(moments, _kinds(rng, mails), strict=True)):
        first = posted[-1] if kind == "twin" else None
        each = _posted(day, moment, kind, first.recipients if first else _addressed(day, number, moment))
        if first is not None:  # a sender that cannot count: another mail, and the same Message-ID
            each.letter = replace(each.letter, message_id=first.letter.message_id)
        posted.append(each)
        _deliver(day, each)
    own = list(_own(rng, posted))
    ended = list(_ended(rng, posted, start))
    for each in posted:
        if each.accepted >= end - _IN_FLIGHT and (each is posted[-1] or rng.random() < 0.3):
            each.copies.clear()
    return Traffic(posted, own, ended)


def _kinds(rng: Random, mails: int) -> list[str]:
    """Return what sort each mail is of: there is one of each at least, and a twin after each of a pair."""
    kinds = [*_KINDS, *rng.choices(list(_KINDS), list(_KINDS.values()), k=mails)][:mails]
    for _ in range(kinds.count("pair")):
        kinds.remove("note")
    rng.shuffle(kinds)
    return [each for kind in kinds for each in ((kind, "twin") if kind == "pair" else (kind,))]


def _moment(rng: Random, start: datetime, end: datetime) -> datetime:
    hour = rng.choices(range(24), _HOURS)[0]
    return start + (end - start) * hour / 24 + timedelta(seconds=rng.randrange(3600))


# Envelopes ------------------------------------------------------------------------------------------------


def _addressed(day: _Day, number: int, at: datetime) -> tuple[str, ...]:
    """Return whom an envelope names: mostly one person, sometimes a group, seldom everybody."""
    rng, people = day.rng, day.people
    if number % 1000 == 300:
        return (EVERYBODY,)
    # Every so often somebody writes to the teams that change today, before and after they do.
    turn, rest = divmod(number, day.often)
    if not rest:
        move = people.moves[turn // 2 % len(people.moves)]
        return (move.joined if turn % 2 else move.left,)
    addresses = [party.address for party in people.people.values()]
    sort = rng.random()
    if sort < 0.06:
        return (rng.choice(people.aliases),)
    if sort < 0.08:
        return (rng.choice(people.teams),)
    if sort < 0.085:
        return (rng.choice(people.departments), rng.choice(addresses))
    if sort < 0.10:  # a group, and one of its members once more
        team = rng.choice(people.teams)
        return team, f"{people.mailboxes((team,), at)[0]}@{DOMAIN}"
    if sort < 0.20:
        return tuple(rng.sample(addresses, rng.randrange(2, 5)))
    one = rng.choice(addresses)
    return (one if rng.random() < 0.95 else one.title(),)


def _posted(day: _Day, at: datetime, kind: str, addresses: tuple[str, ...]) -> Posted:
    rng, people = day.rng, day.people
    inside = EVERYBODY in addresses or rng.random() < 0.55
    sender = rng.choice(list(people.people.values())) if inside else Party(*rng.choice(_OUTSIDE))
    known = {party.address: party for party in people.people.values()}
    to = tuple(known.get(address.lower(), Party("", address)) for address in addresses)
    letter = _letter(day, at, kind, sender, to)
    return Posted(letter, at, sender, addresses, people.mailboxes(addresses, at), [], kind)


# Letters --------------------------------------------------------------------------------------------------


def _letter(day: _Day, at: datetime, kind: str, sender: Party, to: tuple[Party, ...]) -> Letter:
    rng = day.rng
    day.serial += 1
    hangul = kind != "scan" and rng.random() < 0.75
    # What the sender's clock says: seconds before, or years, which proves nothing.
    date = at.astimezone(rng.choice(_ZONES)) - timedelta(seconds=rng.randrange(1, 9))
    if rng.random() < 0.01:
        date -= timedelta(days=2_500)
    domain = sender.address.partition("@")[2]
    letter = Letter(
        day.serial,
        sender,
        to,
        words.subject(rng, hangul, day.serial),
        date,
        f"<{at:%Y%m%d%H%M%S}.{day.serial:06d}@{domain}>",
        _texts(rng, kind, hangul),
        answers=f"<{rng.randrange(10**9)}@{domain}>" if rng.random() < 0.3 else None,
        words=rng.choice(_WORDS),
    )
    if kind in ("file", "files"):
        files = {each.name: each for each in (_file(rng) for _ in range(1 if kind == "file" else 3))}
        return replace(letter, attached=tuple(files.values()))
    if kind == "scan":  # a device that gives no Message-IDs
        scan = Attachment(f"scan{day.serial:06d}.pdf", "application/pdf", rng.randbytes(4_000))
        return replace(letter, message_id=None, answers=None, attached=(scan,))
    if kind == "forward":
        inner = _letter(day, at - timedelta(hours=2), "file", Party(*rng.choice(_OUTSIDE)), (sender,))
        return replace(letter, attached=(Forward(inner),))
    if kind == "heavy":
        return replace(letter, attached=(words.attachment(rng, 225_000),))
    if kind == "empty":
        return replace(letter, texts=(Text("", charset="us-ascii"),))
    return letter


def _texts(rng: Random, kind: str, hangul: bool) -> tuple[Text, ...]:
    if kind == "from":
        return (Text(words.of_lines(rng), charset="us-ascii"),)
    if not hangul:
        return (Text(words.english(rng), charset="us-ascii"),)
    charset, encoding = rng.choice(_KOREAN)
    text = words.korean(rng, unicode=charset == "utf-8")
    plain = Text(text, charset=charset, encoding=encoding)
    if kind != "letter":
        return (plain,)
    lines = "".join(f"<p>{line}</p>\n" for line in text.split("\n") if line)
    link = '<a href="https://acme.example/계약?id=7">계약서 보기</a>'
    html = f'<html><body style="font-family: 맑은 고딕">\n{lines}{link}</body></html>\n'
    return plain, Text(html, "html", charset, encoding)


def _file(rng: Random) -> Attachment:
    return words.attachment(rng, rng.choice((120, 900, 6_000, 20_000)))


# Deliveries -----------------------------------------------------------------------------------------------


def _deliver(day: _Day, posted: Posted) -> None:
    rng = day.rng
    letter = posted.letter
    if EVERYBODY in posted.recipients:
        letter = replace(letter, subject=PREFIX + letter.subject)
    style = rng.choice(_STYLES)
    for box in posted.expected:
        seconds = min(0.2 + rng.expovariate(0.4), 39.0)
        delivered = posted.accepted + timedelta(microseconds=round(seconds * 1e6))
        posted.copies.append(Copy(box, letter, delivered, rng.choice(_FOLDERS), rng.random() < 0.6, style))


def _own(rng: Random, posted: list[Posted]) -> Iterator[Copy]:
    """What lies in mailboxes and was not delivered there: all of it is to be left out."""
    for each in posted:
        box, _, domain = each.sender.address.partition("@")
        if domain == DOMAIN and rng.random() < 0.2:
            yield Copy(box, each.letter, each.accepted + timedelta(seconds=1), rng.choice(_OWN), seen=True)
        if rng.random() < 0.01:  # the server was stopped while it wrote, and wrote it again afterwards
            half = rng.choice(each.copies)
            yield Copy(half.mailbox, half.letter, each.accepted, cut=rng.randrange(20, 200), written=False)


def _ended(rng: Random, posted: list[Posted], start: datetime) -> Iterator[Ended]:
    """Take away what bounced, was filtered out or was deleted, and say so."""
    for each in posted:
        if each.kind in ("pair", "twin") or each.accepted < start + timedelta(hours=1) or rng.random() >= 0.03:
            continue
        copy, outcome = rng.choice(each.copies), rng.choice(_ENDS)
        if outcome == "deleted" and rng.random() < 0.7:
            copy.folder = TRASH
        else:
            each.copies.remove(copy)
        at = copy.delivered + timedelta(seconds=rng.randrange(1, 9) * (600 if outcome == "deleted" else 1))
        yield Ended(copy.mailbox, each.message_id, outcome, at)
