"""Is a mail a journal report, and which mail does it report?

Envelope journaling (Exchange, Microsoft 365 and archives that speak their format) wraps each mail into another: a
text that names the sender and all recipients, blind ones and the members of groups among them, and then the mail as
it was.
"""

from __future__ import annotations

import binascii
import mmap
import re
from dataclasses import dataclass

from integrity.mail.contents import decoded_octets, text_of
from integrity.mail.headers import received_at
from integrity.mail.keeping import kept
from integrity.mail.octets import Octets
from integrity.mail.parts import Container, Defects, Leaf, Message, walk

__all__ = ["Journalled", "unwrapped"]

_LINE = re.compile(r"(sender|on-behalf-of|subject|message-id|recipient|to|cc|bcc)[ \t]*:(.*)", re.IGNORECASE)
_RECIPIENTS = frozenset(("recipient", "to", "cc", "bcc"))
#: More parts than this no report has.
_LEAVES = 10
_LONGEST_REPORT = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Journalled:
    """A mail that was journalled.

    Attributes:
        data: The octets of the original mail.
        sender: Who sent it, by the envelope; ``None`` where there is no report.
        recipients: Who was to get it, by the envelope, distinct; none where there is no report.
        received_at: When the last server received the report, in microseconds since the epoch, UTC, if it says so.
        defects: What is wrong with the report itself, ``None`` if it is sound.
    """

    data: bytes | mmap.mmap
    sender: str | None
    recipients: tuple[str, ...]
    received_at: int | None = None
    defects: str | None = None


def unwrapped(data: bytes | mmap.mmap) -> Journalled | None:
    """Return the mail inside of a journal report, or of a mail that is nothing but another; ``None`` if it is neither.

    A mail that someone forwarded, with a few words before it, is no report: those begin with one of their lines, and
    name a sender and what was sent, or to whom.

    Raises:
        StoreError: the temporary disk is full.

    Example:
        >>> report = b"Content-Type: multipart/mixed; boundary=b\\n\\n--b\\n\\n"
        >>> report += b"Sender: a@x\\nRecipient: b@x, Expanded: g@x\\n"
        >>> unwrapped(report + b"--b\\nContent-Type: message/rfc822\\n\\nSubject: Hello\\n\\nHi\\n\\n--b--\\n")
        Journalled(data=b'Subject: Hello\\n\\nHi\\n', sender='a@x', recipients=('b@x',), received_at=None, defects=None)
    """
    octets = Octets(data)
    leaves: list[Leaf] = []
    defects = Defects()
    received: int | None = None
    for part in walk(octets, defects, deep=1):
        if isinstance(part, Message) and not part.path:
            received = received_at(part.header)
        if isinstance(part, Container) and part.kind == "message/rfc822":
            return Journalled(_span(octets, part.body, octets.size), None, (), received)
        if isinstance(part, Leaf) and len(leaves) < _LEAVES:
            leaves.append(part)
    if len(leaves) == 1 and leaves[0].kind == "message/rfc822":
        mail = _mail(octets, leaves[0])
        return None if mail is None else Journalled(mail, None, (), received)
    if len(leaves) < 2 or leaves[0].kind != "text/plain" or leaves[1].kind != "message/rfc822":
        return None
    if any(leaf.kind == "message/rfc822" for leaf in leaves[2:]):
        return None  # of two mails nobody could say which one it reports
    report = text_of(octets, leaves[0], _LONGEST_REPORT)
    envelope = None if report is None else _envelope(report)
    if envelope is None:
        return None
    mail = _mail(octets, leaves[1])
    return None if mail is None else Journalled(mail, *envelope, received, str(defects) or None)


def _envelope(report: str) -> tuple[str, tuple[str, ...]] | None:
    lines = report.split("\n")
    if not _LINE.match(next((line for line in lines if line.strip()), "")):
        return None
    sender: str | None = None
    said = False
    recipients: dict[str, None] = {}
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            continue
        name, value = found[1].lower(), found[2]
        if name == "sender" and sender is None:
            sender = _address(value)
        elif name == "message-id":
            said = True
        elif name in _RECIPIENTS:
            said = True
            recipients[_address(value)] = None
    recipients.pop("", None)
    return (sender, tuple(recipients)) if sender is not None and said else None


def _address(value: str) -> str:
    """Return the address before what it was expanded or forwarded from."""
    return value.partition(",")[0].rpartition("<")[2].strip(" \t\r<>")


def _mail(octets: Octets, leaf: Leaf) -> bytes | mmap.mmap | None:
    if not leaf.encoding:
        return _span(octets, leaf.start, leaf.end)
    try:
        return kept(decoded_octets(octets, leaf))
    except binascii.Error:
        return None


def _span(octets: Octets, start: int, end: int) -> bytes | mmap.mmap:
    return kept(octets.raw(start, end))
