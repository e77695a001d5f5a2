"""Whom may a fault of mail befall, and what may it reach for?

A mail that was accepted is posted: the letter, and the copies of it that lie in mailboxes. A fault takes one healthy
posted mail from the office, and nobody takes it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from integrity.demo.mail.letters import AS_SENT, Letter, Party, Style, written
from integrity.demo.mail.people import DOMAIN, Directory
from integrity.demo.shelf import Keeper, PlantedBreak
from integrity.mail.rungs import climb

__all__ = ["INBOX", "TRASH", "Copy", "Ended", "Fits", "Office", "PlantedMail", "Posted"]

#: Folders of Maildir++ as they are called on disk.
INBOX, TRASH = "", ".Trash"


@dataclass(slots=True)
class Copy:
    """One file in a mailbox.

    Attributes:
        mailbox: Whose.
        letter: What is in it: another letter than the one that was accepted, if somebody changed it.
        delivered: When the server put it there.
        folder: Where in the mailbox.
        seen: Whether a client has moved it from new to cur.
        style: How the servers on its way wrote it.
        cut: How many octets of its end are missing.
        written: Whether it was written to its end: else it lies in tmp.
    """

    mailbox: str
    letter: Letter
    delivered: datetime
    folder: str = INBOX
    seen: bool = False
    style: Style = AS_SENT
    cut: int = 0
    written: bool = True


@dataclass(slots=True)
class Posted:
    """A mail that the gateway accepted.

    Attributes:
        letter: What it was.
        accepted: When, in whole seconds.
        sender: Who the envelope says it is.
        recipients: The addresses on the envelope.
        expected: The mailboxes that these led to.
        copies: What is in them.
        kind: What sort of mail it is.
        vouched: What the gateway wrote down of who sent it, if that is not the sender.
    """

    letter: Letter
    accepted: datetime
    sender: Party
    recipients: tuple[str, ...]
    expected: tuple[str, ...]
    copies: list[Copy]
    kind: str
    vouched: str | None = None

    @property
    def account(self) -> str | None:
        """Who logged in to send it; nobody, if it came from outside."""
        return self.sender.address if self.sender.address.endswith("@" + DOMAIN) else None

    @property
    def verified(self) -> str:
        """What the gateway verified, as RFC 8601 has it."""
        domain = self.sender.address.partition("@")[2]
        own = f"auth=pass (login) smtp.auth={self.account}" if self.account else f"dkim=pass header.d={domain}"
        return self.vouched or own

    @property
    def message_id(self) -> str:
        """What a reconciliation calls it."""
        return self.letter.message_id or climb(written(self.letter)).message_id

    def reword(self, **changes: object) -> None:
        """Change the letter in every copy and leave what was accepted."""
        for copy in self.copies:
            copy.letter = replace(copy.letter, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class PlantedMail(PlantedBreak):
    """One break that a reconciliation must find in a day of mail."""

    mailbox: str | None
    message_id: str | None


class Ended(NamedTuple):
    """A row of the outcomes: a mail that ended elsewhere."""

    mailbox: str
    message_id: str
    outcome: str
    at: datetime


Fits = Callable[[Posted], bool]


@dataclass
class Office(Keeper[Posted]):
    """What a fault may reach for besides its own mail.

    Attributes:
        rng: The only source of chance, so that a seed decides everything.
        people: Who there is.
        pool: Healthy mails in random order. Whatever a fault takes leaves it.
        strays: Copies that belong to no mail that was accepted.
        outcomes: Rows to be added to the outcomes.
        invented: How many Message-IDs were made up.
    """

    rng: Random
    people: Directory
    pool: list[Posted]
    strays: list[Copy] = field(default_factory=list)
    outcomes: list[Ended] = field(default_factory=list)
    invented: int = 0

    def after(self, moment: datetime, low: float, high: float) -> datetime:
        """Return a moment so many seconds after another, in whole microseconds."""
        return moment + timedelta(microseconds=self.rng.randrange(round(low * 1e6), round(high * 1e6)))

    def new_id(self) -> str:
        """Return a Message-ID that nobody's mail has."""
        self.invented += 1
        return f"<invented.{self.invented}@gate9.acme.example>"

    def somebody_else(self, posted: Posted) -> str:
        """Return a mailbox to which a mail does not belong."""
        return self.rng.choice([box for box in self.people.people if box not in posted.expected])
