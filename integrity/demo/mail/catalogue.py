"""Which faults does the mail day hide, and which breaks must be found for them?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from integrity.demo import shelf
from integrity.demo.mail.fault import MailFault
from integrity.demo.mail.office import Office, PlantedMail
from integrity.demo.mail.wrong_content import ATTACHMENTS, HEADERS, IDENTITIES, TEXTS
from integrity.demo.mail.wrong_delivery import DELIVERIES, GROUPS, LOSSES, TIMES

__all__ = ["CATALOGUE", "plant"]

#: All faults, in the order in which they are planted: another order is another day for the same seed. Those that are
#: hard to please come first.
CATALOGUE: Final[tuple[MailFault, ...]] = (
    *GROUPS, *IDENTITIES, *ATTACHMENTS, *TEXTS, *LOSSES, *DELIVERIES, *HEADERS, *TIMES,
)  # fmt: skip


def plant(office: Office, mails: int) -> Iterator[PlantedMail]:
    """Spoil mails of the office's pool, with every fault at least once, and yield the breaks to be found.

    Raises:
        UsageError: a fault finds no mail that it could befall.
    """
    for fault, (kind, mailbox, message_id) in shelf.plant(
        CATALOGUE, office, mails, per=3_000, item="mail", more="mails"
    ):
        yield PlantedMail(fault.name, fault.why, kind, mailbox, message_id)
