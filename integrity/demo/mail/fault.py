"""What is a fault of mail, and whom does it befall?

Each is a small function that takes one healthy mail as it was accepted and as it lies in mailboxes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from typing import TypeAlias

from integrity.demo import shelf as shelves
from integrity.demo.mail.letters import Forward
from integrity.demo.mail.office import Fits, Office, Posted

__all__ = [
    "Expected",
    "MailFault",
    "Spoil",
    "everywhere",
    "fault",
    "forwarding",
    "hangul",
    "html",
    "named",
    "nameless",
    "of_twins",
    "single",
    "to_team",
    "with_file",
]

#: The breaks to be found: each has a kind, a mailbox and a Message-ID.
Expected: TypeAlias = Iterable[tuple[str, str, str]]
#: Spoil a mail and return the breaks to be found; or change nothing and return None.
Spoil: TypeAlias = Callable[[Office, Posted], Expected | None]
#: Its rate is per 3,000 mails.
MailFault: TypeAlias = shelves.Fault[Office, Posted, tuple[str, str, str]]


# Whom faults befall ---------------------------------------------------------------------------------------


def named(posted: Posted) -> bool:
    """Whether its Message-ID is its own."""
    return posted.letter.message_id is not None and posted.kind not in ("pair", "twin") and len(posted.copies) < 20


def single(posted: Posted) -> bool:
    """Whether it went to one mailbox."""
    return named(posted) and len(posted.copies) == 1


def nameless(posted: Posted) -> bool:
    """Whether it has no Message-ID."""
    return posted.letter.message_id is None and len(posted.copies) == 1


def of_twins(posted: Posted) -> bool:
    """Whether another mail bears its Message-ID."""
    return posted.kind == "twin" and len(posted.copies) < 20


def to_team(posted: Posted) -> bool:
    """Whether it went to one team and to nobody else."""
    return named(posted) and len(posted.recipients) == 1 and posted.recipients[0].startswith("team")


def with_file(posted: Posted) -> bool:
    """Whether it has one attachment, with octets that are no text."""
    files = posted.letter.files
    return named(posted) and len(files) == 1 and not files[0].kind.startswith("text/")


def forwarding(posted: Posted) -> bool:
    """Whether there is a mail in it."""
    return named(posted) and any(isinstance(each, Forward) for each in posted.letter.attached)


def hangul(posted: Posted) -> bool:
    """Whether its text is Korean, and Unicode could write it in another way."""
    text = posted.letter.texts[0]
    return named(posted) and text.charset == "utf-8" and unicodedata.normalize("NFD", text.text) != text.text


def html(posted: Posted) -> bool:
    """Whether it has its text as HTML too."""
    return named(posted) and len(posted.letter.texts) == 2


# What faults are made of ----------------------------------------------------------------------------------


def fault(
    shelf: list[MailFault], name: str, why: str, *, rate: float = 1, fits: Fits = named
) -> Callable[[Spoil], Spoil]:
    """Put a fault on a shelf: a list, in which faults stand in the order of their code."""
    return shelves.enter(shelf, name, why, rate, fits)


def everywhere(kind: str, posted: Posted) -> list[tuple[str, str, str]]:
    """Return one break of a kind for each mailbox of a mail."""
    return [(kind, box, posted.message_id) for box in posted.expected]
