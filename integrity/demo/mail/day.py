"""What is a demo day of mail, and how is one made?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import ClassVar

from integrity.demo.day import READ_AFTER, SEOUL
from integrity.demo.mail.catalogue import plant
from integrity.demo.mail.office import Office, PlantedMail, Posted
from integrity.demo.mail.people import DOMAIN, directory
from integrity.demo.mail.traffic import traffic
from integrity.demo.mail.writing import (
    SCHEMA,
    contract,
    make_room,
    write_journal,
    write_mailboxes,
    write_members,
    write_outcomes,
)
from integrity.demo.score import MailAccusation
from integrity.demo.writing import write_json
from integrity.demo.wrong_grants import WAYS, Act, granted, write_grants
from integrity.errors import StoreError, UsageError

__all__ = ["MailDay", "generate_mail_day"]

#: Below this a day has too few mails for every fault to find one of its own.
MINIMUM_MAILS = 400


@dataclass(frozen=True)
class MailDay:
    """A generated day of mail: where it lies, when it is read, and what must be found in it.

    Attributes:
        directory: The folder of everything below, and of ``faults.json``: what was planted, for other tools.
        source: The URL of the gateway's journal, an mbox.
        destination: The URL of the mailboxes, a tree of Maildirs.
        members: The path of the list of addresses, groups and aliases.
        grants: The path of the list of who may send for which domain, since when until when.
        outcomes: The path of the list of mails that ended elsewhere.
        contract: The path of the contract, ``mail-day.yaml``.
        start: The first moment of the day, a Seoul midnight.
        end: The first moment after it.
        as_of: When the sides count as read: the last window is still open then.
        mails: How many mails were accepted.
        counts: ``mailboxes``, ``expected`` (copies that recipients should have), ``delivered`` (files in new and cur),
            ``half`` (files in tmp), and as they would be without any fault, ``own`` (what owners put there),
            ``accounted`` (ended elsewhere) and ``in_flight``.
        planted: One entry for every break that a reconciliation must find. It must find no other.
    """

    accusation: ClassVar[type[MailAccusation]] = MailAccusation
    #: Whether the values that differ say something to somebody who looks at them.
    telling: ClassVar[bool] = False  # digests only

    directory: Path
    source: str
    destination: str
    members: str
    grants: str
    outcomes: str
    contract: Path
    start: datetime
    end: datetime
    as_of: datetime
    mails: int
    counts: Mapping[str, int]
    planted: tuple[PlantedMail, ...]


def generate_mail_day(
    folder: str | Path,
    *,
    mails: int = 3_000,
    seed: int = 7,
    day: date = date(2026, 3, 2),
    faults: bool = True,
) -> MailDay:
    """Write a realistic day of an enterprise mail service, with known faults, to try a reconciliation on.

    The gateway accepts mails in Korean and English for 150 people, their aliases and groups, and keeps each in a
    journal. Four mailbox servers have them within 40 seconds, with other line ends and trace headers, refolded or
    re-encoded, in Maildirs. During the day some people change teams, and some mails bounce or are deleted.

    Args:
        folder: Where to write. A mail day that lies there already is replaced, anything else is refused.
        mails: How many the gateway accepts, at least 400; there are about twice as many copies.
        seed: Decides everything. The same seed, mails and day give the same bytes.
        day: The day in Seoul. It has to be over: what is from the future is skewed, whatever else it is.
        faults: Left out, nothing is wrong and every closed batch must pass.

    Raises:
        UsageError: there are too few mails, or the folder holds something that is not a mail day.
        StoreError: the folder cannot be written to.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     example = generate_mail_day(folder, mails=400)
        >>> example.as_of.isoformat()
        '2026-03-03T00:12:00+09:00'
    """
    if mails < MINIMUM_MAILS:
        raise UsageError(f"a day of {mails} mails is too small to hold every fault", f"ask for {MINIMUM_MAILS} or more")
    directory_ = Path(folder)
    start, end = (datetime.combine(midnight, time(), SEOUL) for midnight in (day, day + timedelta(days=1)))
    as_of = end + READ_AFTER

    # Mails and faults draw their chance apart, so that a day is the same with and without faults.
    chance = Random(f"mail {seed}")
    people = directory(chance, start)
    made = traffic(chance, people, mails, start, end)
    posted, others, ended = made.posted, made.own, made.ended
    accounted = {(each.mailbox, each.message_id) for each in ended}
    in_flight = sum(
        (box, each.message_id) not in accounted for each in posted if not each.copies for box in each.expected
    )
    planted: tuple[PlantedMail, ...] = ()
    if faults:
        office = Office(Random(f"faults of mail {seed}"), people, _healthy(posted, accounted, start, end))
        office.rng.shuffle(office.pool)
        planted = tuple(plant(office, mails))
        others, ended = [*others, *office.strays], [*ended, *office.outcomes]
        guests = office.pool[: WAYS * max(1, mails // 3_000)]
        for number, guest in enumerate(guests):
            guest.vouched = f"auth=pass smtp.auth=guest{number + 1:02d}@{DOMAIN}"
        planted += tuple(_unvouched(office.pool[len(guests) :]))
    grants, wrong = granted(
        Random(f"grants of mail {seed}"),
        _acts(posted, start, end),
        lambda act: act.item is not None,
        start,
        max(1, mails // 3_000),
        faults,
    )
    planted += tuple(
        PlantedMail(each.fault, each.why, "unauthorized", box, each.item.message_id)
        for each in wrong
        if each.item
        for box in each.item.expected
    )

    paths = {
        name: directory_ / name
        for name in ("members.csv", "grants.csv", "outcomes.csv", "mail-day.yaml", "journal.mbox")
    }
    try:
        make_room(directory_)
        # First, because it is also what tells a later call that the folder is a day and may be replaced.
        write_json(directory_ / "faults.json", planted, SCHEMA, seed=seed, mails=mails, day=day, as_of=as_of)
        paths["mail-day.yaml"].write_text(contract(), encoding="utf-8", newline="\n")
        write_members(paths["members.csv"], people)
        write_outcomes(paths["outcomes.csv"], ended)
        write_grants(paths["grants.csv"], ("sender", "domain", "since", "until", "entered"), grants)
        write_journal(paths["journal.mbox"], posted)
        delivered = write_mailboxes(directory_ / "mailboxes", people, posted, others)
    except OSError as error:
        raise StoreError(f"a day cannot be written to {directory_}: {error}", "choose another directory") from error
    half = [copy for copy in [*others, *(copy for each in posted for copy in each.copies)] if not copy.written]
    counts = {
        "mailboxes": len(people.people),
        "expected": sum(len(each.expected) for each in posted),
        "delivered": delivered,
        "half": len(half),
        "own": sum(copy.written for copy in made.own),
        "accounted": len(accounted),
        "in_flight": in_flight,
    }
    return MailDay(
        directory_,
        f"mbox:{paths['journal.mbox'].as_posix()}?by=envelope",
        f"maildir:{(directory_ / 'mailboxes').as_posix()}",
        paths["members.csv"].as_posix(),
        paths["grants.csv"].as_posix(),
        paths["outcomes.csv"].as_posix(),
        paths["mail-day.yaml"],
        start,
        end,
        as_of,
        mails,
        counts,
        planted,
    )


def _healthy(posted: list[Posted], accounted: set[tuple[str, str]], start: datetime, end: datetime) -> list[Posted]:
    """Choose whom faults may befall: mails of batches that are long closed, of which no copy ended elsewhere."""
    hour = timedelta(hours=1)
    return [
        each
        for each in posted
        if start + hour <= each.accepted < end - 4 * hour
        and not any((box, each.message_id) in accounted for box in each.expected)
    ]


def _unvouched(pool: list[Posted]) -> Iterator[PlantedMail]:
    """Let two healthy mails have come from nobody who is known to have the right to send them."""
    ways = (
        ("nobody logged in", "the gateway took it without knowing from whom", "auth=none; dkim=none; spf=softfail"),
        ("signed by another", "a domain signed it that is not the one in From", "dkim=pass header.d=bulk.example"),
    )
    for (fault, why, vouched), posted in zip(ways, pool, strict=False):
        posted.vouched = vouched
        for box in posted.expected:
            yield PlantedMail(fault, why, "unauthorized", box, posted.message_id)


def _acts(posted: list[Posted], start: datetime, end: datetime) -> list[Act[Posted | None]]:
    """Who sent for which domain and when; of a guest, which mail. Who came from outside vouches for themself."""
    acts: list[Act[Posted | None]] = []
    day = timedelta(days=1)
    for each in posted:
        domain = each.letter.sender.address.partition("@")[2]
        if each.vouched is not None and "smtp.auth" in each.vouched:
            acts.append(Act(each.vouched.partition("smtp.auth=")[2], domain, each.accepted.astimezone(UTC), each))
        elif each.account is not None:
            acts += [Act(each.account, domain, at, None) for at in (start - 2 * day, end + 2 * day)]
    return acts
