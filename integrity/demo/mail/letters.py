"""What is a mail before it is written down, and in which other ways might a gateway write the same?

A letter says what is meant: texts, names, octets. :func:`written` makes a mail of it, by hand and octet by octet,
because a library that writes mails well would never write them as badly as real ones are. Two styles of one letter
differ in folding, in encoded-words and in transfer encodings, and mean the same.
"""

from __future__ import annotations

import base64
import binascii
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

__all__ = [
    "AS_SENT",
    "Attachment",
    "Forward",
    "Letter",
    "Party",
    "Style",
    "Text",
    "dated",
    "on_text",
    "unfolded",
    "written",
]

#: How many characters a word of a header holds: so few that every charset stays below the 75 octets of RFC 2047.
_WORD = 12
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody in From, To or Cc."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Text:
    """One way to read the mail.

    Attributes:
        text: Its lines.
        kind: ``plain`` or ``html``.
        charset: As it is encoded.
        encoding: ``7bit``, ``8bit``, ``base64`` or ``quoted-printable``.
        label: The charset that the part claims, if that is another.
    """

    text: str
    kind: str = "plain"
    charset: str = "utf-8"
    encoding: str = "8bit"
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file; ``naming`` is how its name is written: ``extended`` (RFC 2231) or ``word`` (RFC 2047, in quotes)."""

    name: str
    kind: str
    data: bytes
    naming: str = "extended"


@dataclass(frozen=True, slots=True)
class Forward:
    """A mail inside this one."""

    letter: Letter


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as it is meant.

    Attributes:
        serial: Tells its boundaries from those of others.
        sender: Who From says it is.
        to: Whom To names: people see these, and no server looks at them.
        subject: Its subject.
        date: What the sender's clock said, in the sender's zone.
        message_id: Its Message-ID with brackets; ``None``: it has none.
        texts: The same text in one or two kinds.
        cc: Whom Cc names.
        answers: The Message-ID of what it answers.
        attached: Files and forwarded mails.
        words: The charset of its headers, and ``B`` or ``Q``.
        strange: Header lines as they are.
    """

    serial: int
    sender: Party
    to: tuple[Party, ...]
    subject: str
    date: datetime
    message_id: str | None
    texts: tuple[Text, ...]
    cc: tuple[Party, ...] = ()
    answers: str | None = None
    attached: tuple[Attachment | Forward, ...] = ()
    words: tuple[str, str] = ("utf-8", "B")
    strange: tuple[bytes, ...] = ()

    @property
    def files(self) -> tuple[Attachment, ...]:
        """Its own attachments, not those inside of forwarded mails."""
        return tuple(each for each in self.attached if isinstance(each, Attachment))


@dataclass(frozen=True, slots=True)
class Style:
    """How a server writes what it passes on.

    Attributes:
        fold: How long the lines of headers may be, and what a continued line begins with.
        encoding: The transfer encoding of every text, if the server changes it.
        charset: The charset of every text, likewise; one with a wrong label is left alone.
        words: The charset and encoding of encoded-words, if the server changes them.
        decomposed: Whether names of files are written in NFD, as some file systems do.
    """

    fold: tuple[int, bytes] = (76, b" ")
    encoding: str | None = None
    charset: str | None = None
    words: tuple[str, str] | None = None
    decomposed: bool = False


AS_SENT = Style()


def written(letter: Letter, style: Style = AS_SENT) -> bytes:
    """Return a letter as a mail with LF line ends.

    Example:
        >>> from datetime import UTC
        >>> kim = Party("", "kim@acme.example")
        >>> hello = Letter(1, kim, (kim,), "안녕", datetime(2026, 3, 2, tzinfo=UTC), "<1@acme.example>", (Text("hi"),))
        >>> written(hello).decode().splitlines()[2]
        'Subject: =?utf-8?B?7JWI64WV?='
    """
    words = style.words or letter.words
    headers = [
        ("From", _party(letter.sender, words)),
        ("To", ", ".join(_party(each, words) for each in letter.to)),
        *([("Cc", ", ".join(_party(each, words) for each in letter.cc))] if letter.cc else []),
        ("Subject", _worded(letter.subject, words)),
        ("Date", dated(letter.date)),
        *([("Message-ID", letter.message_id)] if letter.message_id else []),
        *([("In-Reply-To", letter.answers), ("References", letter.answers)] if letter.answers else []),
        ("MIME-Version", "1.0"),
    ]
    lines = [_folded(name, value, style) for name, value in headers] + [line + b"\n" for line in letter.strange]
    return b"".join(lines) + _content(letter, style)


def on_text(letter: Letter, **changes: str) -> Letter:
    """Return a letter whose first text was changed in these fields."""
    return replace(letter, texts=(replace(letter.texts[0], **changes), *letter.texts[1:]))


def unfolded(lines: Iterable[bytes]) -> bytes:
    """Return header lines, each ended."""
    return b"".join(line + b"\n" for line in lines)


def dated(moment: datetime) -> str:
    """Return a moment as RFC 5322 writes it, in its own zone, whatever language this machine speaks."""
    return (
        f"{_DAYS[moment.weekday()]}, {moment.day:02d} {_MONTHS[moment.month - 1]} {moment.year} "
        f"{moment:%H:%M:%S} {moment:%z}"
    )


# Headers --------------------------------------------------------------------------------------------------


def _party(party: Party, words: tuple[str, str]) -> str:
    if not party.name:
        return party.address
    name = f'"{party.name}"' if party.name.isascii() else _worded(party.name, words)
    return f"{name} <{party.address}>"


def _worded(text: str, words: tuple[str, str]) -> str:
    """Return a text as encoded-words, if it needs to be; what a charset cannot say is said in UTF-8."""
    if text.isascii():
        return text
    charset, way = words
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        charset = "utf-8"
    pieces = [text[start : start + _WORD].encode(charset) for start in range(0, len(text), _WORD)]
    return " ".join(f"=?{charset}?{way}?{_base64(piece) if way == 'B' else _quoted(piece)}?=" for piece in pieces)


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _quoted(octets: bytes) -> str:
    return "".join(
        "_" if octet == 0x20 else chr(octet) if chr(octet).isalnum() and octet < 0x80 else f"={octet:02X}"
        for octet in octets
    )


def _folded(name: str, value: str, style: Style) -> bytes:
    """Return a header, folded where it has blanks."""
    width, indent = style.fold
    line, *words = f"{name}: {value}".encode().split(b" ")
    lines = []
    for word in words:
        if line.strip() and not line.endswith(b":") and len(line) + len(word) >= width:
            lines.append(line)
            line = indent + word
        else:
            line += b" " + word
    return unfolded([*lines, line])


# Parts ----------------------------------------------------------------------------------------------------


def _content(letter: Letter, style: Style) -> bytes:
    """Return the headers that say what a letter's content is, an empty line, and the content."""
    texts = [_text(each, style) for each in letter.texts]
    body = texts[0] if len(texts) == 1 else _multipart("alternative", f"=_a{letter.serial:06d}", texts)
    if not letter.attached:
        return body
    return _multipart(
        "mixed",
        f"----=_Part_{letter.serial:06d}",
        [body, *(_attached(each, letter.words, style) for each in letter.attached)],
    )


def _multipart(kind: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    line = f"--{boundary}".encode()
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"\n\n'.encode()
    return head + b"".join(line + b"\n" + part + b"\n" for part in parts) + line + b"--\n"


def _text(part: Text, style: Style) -> bytes:
    charset = part.charset if part.label or style.charset is None else style.charset
    octets = part.text.encode(charset)
    encoding = style.encoding or part.encoding
    if octets.isascii() and not style.encoding and encoding == "8bit":
        encoding = "7bit"
    head = f"Content-Type: text/{part.kind}; charset={part.label or charset}\n"
    head += f"Content-Transfer-Encoding: {encoding}\n\n"
    if encoding == "base64":
        octets = base64.encodebytes(octets.replace(b"\n", b"\r\n"))
    elif encoding == "quoted-printable":
        octets = binascii.b2a_qp(octets, istext=True)
    return head.encode() + octets


def _attached(part: Attachment | Forward, words: tuple[str, str], style: Style) -> bytes:
    if isinstance(part, Forward):
        return b"Content-Type: message/rfc822\nContent-Disposition: inline\n\n" + written(part.letter)
    name = unicodedata.normalize("NFD", part.name) if style.decomposed else part.name
    if name.isascii():
        said = [f'filename="{name}"']
    elif part.naming == "word":
        said = [f'filename="{_worded(name, words)}"']
    else:
        escaped = [quote(name[start : start + _WORD], safe=".") for start in range(0, len(name), _WORD)]
        escaped[0] = "utf-8''" + escaped[0]
        said = [f"filename*{n}*={piece}" for n, piece in enumerate(escaped)] if len(escaped) > 1 else []
        said = said or [f"filename*={escaped[0]}"]
    head = f"Content-Type: {part.kind}\nContent-Transfer-Encoding: base64\n"
    head += "Content-Disposition: attachment;\n " + ";\n ".join(said) + "\n\n"
    return head.encode() + base64.encodebytes(part.data)
