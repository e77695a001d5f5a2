"""On which rungs of the ladder are two copies of a mail the same, and if they are not, what differs?

    raw       the octets, as they are
    crlf      the octets, whichever line ends the store has
    relaxed   headers and body in the relaxed form of RFC 6376: refolded headers and runs of blanks do not count
    mime      what the mail means: its headers decoded, and the tree of its parts with their decoded contents

Each rung but the first is a function of the one octet string that the crlf rung hashes. The mime rung is the digest
of the named entries of the tree, so that two mails with different mime rungs always differ in an entry with a name.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from integrity.mail.additions import without_in_header
from integrity.mail.authenticity import authenticated, from_domain
from integrity.mail.charsets import text8
from integrity.mail.contents import content
from integrity.mail.headers import ADDRESSES, MEANT, RELAXED, Header, meaning, moment, received_at
from integrity.mail.octets import Octets, line_ends
from integrity.mail.parts import Container, Defects, Leaf, Message, walk
from integrity.transit import Addition

__all__ = ["CANON_VERSION", "Rungs", "climb"]

#: The version of the relaxed and mime forms. Digests of two versions are never equal.
CANON_VERSION = 1
_V = f"v{CANON_VERSION}:"
_ENTRIES = 1000
_SHOWN = 100
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Rungs:
    """One copy of a mail, as it is compared.

    Attributes:
        message_id: The Message-ID with its brackets; ``mime:`` and the mime digest where there is none.
        raw_sha256: SHA-256 of the octets as they are.
        crlf_sha256: The same with CRLF line ends.
        relaxed_sha256: ``v1:`` and SHA-256 of the relaxed form.
        mime_sha256: ``v1:`` and SHA-256 of the meaning.
        mime_tree: JSON object: what a thing is, to the first 16 hexadecimal digits of its SHA-256.
        size: Octets as stored.
        sent_at: The Date header, in microseconds since the epoch, UTC; ``None`` if it cannot be read.
        received_at: The date of the topmost Received header, likewise: when the last server got this copy.
        authenticated_as: Who sent it, as the last server verified it: an account, or a domain.
        authenticated_by: How that is known: ``account``, ``own domain`` or ``other domain``.
        from_domain: The domain that it claims to come from.
        recipients: Envelope recipients that servers recorded in this copy, distinct; never those of To and Cc.
        defects: What is wrong with the mail, joined by semicolons; ``None`` if it is sound.
        added: The names of the declared additions that were found, and left out of the mime rung.
    """

    message_id: str
    raw_sha256: str
    crlf_sha256: str
    relaxed_sha256: str
    mime_sha256: str
    mime_tree: str
    size: int
    sent_at: int | None
    received_at: int | None
    authenticated_as: str | None
    authenticated_by: str | None
    from_domain: str | None
    recipients: tuple[str, ...]
    defects: str | None
    added: tuple[str, ...]


def climb(data: bytes | mmap.mmap, additions: Sequence[Addition] = ()) -> Rungs:
    """Return the rungs of one mail. Any octets are a mail; what is wrong with them is in ``defects``.

    Example:
        >>> sent = b"Subject: =?utf-8?b?7JWI64WV?=\\nMessage-ID: <1@example.com>\\n\\ncaf\\xc3\\xa9\\n"
        >>> kept = b"Subject:\\r\\n =?utf-8?q?=EC=95=88=EB=85=95?=\\r\\nMessage-ID: <1@example.com>\\r\\n"
        >>> kept += b"Content-Transfer-Encoding: base64\\r\\n\\r\\nY2Fmw6k=\\r\\n"
        >>> sent, kept = climb(sent), climb(kept)
        >>> sent.mime_sha256 == kept.mime_sha256, sent.relaxed_sha256 == kept.relaxed_sha256
        (True, False)
        >>> sent.message_id, list(json.loads(sent.mime_tree))
        ('<1@example.com>', ['header subject', 'header message-id', 'part 1 (text/plain)'])
    """
    octets = Octets(data)
    defects = Defects()
    tree = _Tree()
    added: dict[str, None] = {}
    top: Message | None = None
    for part in walk(octets, defects):
        if isinstance(part, Leaf):
            held = content(octets, part, additions)
            if not held.sound:
                defects.say(f"part {part.path} is not base64")
            added.update(dict.fromkeys(held.added))
            tree.add(_name(part), "leaf", part.kind, part.name, part.also, held.label, str(held.size), held.sha256)
        elif isinstance(part, Message):
            of = f" of {part.path}" if part.path else ""
            if top is None:
                top = part
            if not part.part:
                for name, values in _meanings(part.header, additions if part is top else (), added):
                    tree.add(f"header {name}{of}", "header", *values)
            if part.header.strange:
                tree.add(f"header lines without a colon{of}", "strange", *map(text8, part.header.strange))
        else:
            tree.add(_name(part), "container", part.kind, part.name, part.also)
    assert top is not None, "every mail has a header block, if an empty one"
    header = top.header
    if header.empty:
        defects.say("no header")
    raw, crlf = _octet_rungs(octets)
    mime = tree.sha256()
    who, how = authenticated(header)
    return Rungs(
        message_id=_message_id(header) or f"mime:{mime}",
        raw_sha256=raw,
        crlf_sha256=crlf,
        relaxed_sha256=_V + _relaxed(header, octets.pieces(top.body, octets.size)),
        mime_sha256=_V + mime,
        mime_tree=tree.described(),
        size=octets.size,
        sent_at=moment(header.first(b"date")),
        received_at=received_at(header),
        authenticated_as=who,
        authenticated_by=how,
        from_domain=from_domain(header),
        recipients=_recipients(header.envelope) if header.envelope else (),
        defects=str(defects) or None,
        added=tuple(added),
    )


class _Tree:
    """The entries of a mail in its order: the first of them by name, all of them in one digest."""

    def __init__(self) -> None:
        self._all = sha256(b"integrity mime %d\n" % CANON_VERSION)
        self._named: dict[str, str] = {}
        self._others = sha256()
        self._folded = 0

    def add(self, name: str, *fields: str) -> None:
        """Add what is hashed of one thing."""
        digest = sha256(_framed(fields)).hexdigest()
        entry = f"{len(name)}:{name}{len(digest)}:{digest}".encode()  # framed as well, without a list
        self._all.update(entry)
        if len(self._named) < _ENTRIES:
            self._named[name] = digest[:16]
        else:
            self._others.update(entry)
            self._folded += 1

    def sha256(self) -> str:
        return self._all.hexdigest()

    def described(self) -> str:
        if self._folded:
            others = {f"the other {self._folded:,} parts": self._others.hexdigest()[:16]}
            return _JSON.encode(self._named | others)
        return _JSON.encode(self._named)


def _framed(fields: Iterable[str]) -> bytes:
    """Return fields as one string of octets, each after its length, so that none runs into another."""
    return "".join([f"{len(each)}:{each}" for each in fields]).encode()


def _name(part: Leaf | Container) -> str:
    word = "attachment" if part.attachment else "part"
    of = part.name or part.kind
    if len(of) > _SHOWN:
        of = of[: _SHOWN - 1] + "…"  # the digest covers all of it
    return f"{word} {part.path or '0'} ({of})"


def _meanings(header: Header, additions: Sequence[Addition], added: dict[str, None]) -> Iterator[tuple[str, list[str]]]:
    for written in MEANT:
        values = header.values.get(written)
        if values is None:
            continue
        name = written.decode()
        meant = [_meant(written, value) for value in values]
        wanted = [addition for addition in additions if addition.to == name]
        if wanted:
            for number, value in enumerate(meant):
                meant[number], found = without_in_header(value, wanted)
                added.update(dict.fromkeys(found))
        yield name, meant


def _meant(name: bytes, value: bytes) -> str:
    if name == b"date" and (at := moment(value)) is not None:
        return f"@{at}"  # GMT and +0000 are one moment, and so is any other zone's name for it
    return meaning(value, name in ADDRESSES)


def _octet_rungs(octets: Octets) -> tuple[str, str]:
    if isinstance(octets.data, bytes):
        raw = sha256(octets.data).hexdigest()
    else:
        digest = sha256()
        for window in octets.raw(0, octets.size):
            digest.update(window)
        raw = digest.hexdigest()
    digest = sha256()
    for piece in octets.pieces(0, octets.size):
        digest.update(piece.replace(b"\n", b"\r\n"))
    return raw, digest.hexdigest()


def _relaxed(header: Header, body: Iterable[bytes]) -> str:
    """Return the digest of the relaxed headers, a line without a name, and the relaxed body."""
    lines = [name + b":" + value + b"\r\n" for name in RELAXED for value in header.values.get(name, ())]
    lines += [b":" + line + b"\r\n" for line in header.strange]
    digest = sha256(b"".join(lines) + b"\r\n")
    ends, blank, begun = 0, b"", False
    for piece in body:
        text = blank + piece.replace(b"\t", b" ")
        while b"  " in text:
            text = text.replace(b"  ", b" ")
        text = text.replace(b" \n", b"\n")
        # Blanks and line ends at the end of a piece count only if anything follows them.
        blank = b" " if text.endswith(b" ") else b""
        shown = text[:-1] if blank else text
        core = shown.rstrip(b"\n")
        if core:
            for run in line_ends(b"\r\n", ends):
                digest.update(run)
            digest.update(core.replace(b"\n", b"\r\n"))
            ends, begun = 0, True
        ends += len(shown) - len(core)
    if begun:
        digest.update(b"\r\n")
    return digest.hexdigest()


def _message_id(header: Header) -> str:
    value = header.first(b"message-id")
    if value is None:
        return ""
    text = text8(value)
    inner, closed, _ = text.partition("<")[2].partition(">")
    if not closed:
        return text
    inner = "".join(inner.split())
    return f"<{inner}>" if inner else ""


def _recipients(values: Iterable[bytes]) -> tuple[str, ...]:
    addresses = (address.strip(" <>") for value in values for address in text8(value).split(","))
    return tuple(dict.fromkeys(address for address in addresses if address))
