"""What do the headers of a mail, or of one part of it, say?

A header block is read once. The headers that matter here are kept unfolded, with their runs of blanks as one space,
which is at once the relaxed form of RFC 6376 and what their meaning is read from.
"""

from __future__ import annotations

import binascii
import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_tz
from functools import lru_cache
from itertools import islice
from urllib.parse import unquote_to_bytes

from integrity.mail.charsets import codecs_of, decoded, text8
from integrity.values import EPOCH

__all__ = [
    "ADDRESSES",
    "FIELDS",
    "LENGTH",
    "MEANT",
    "RELAXED",
    "Header",
    "collapsed",
    "cut",
    "meaning",
    "moment",
    "parameter",
    "read",
    "received_at",
]

#: The headers whose meaning a mail is known by.
MEANT = (b"from", b"reply-to", b"to", b"cc", b"subject", b"date", b"message-id", b"in-reply-to", b"references")
#: The headers of the relaxed rung, in its order.
RELAXED = (
    *MEANT,
    b"mime-version",
    b"content-type",
    b"content-transfer-encoding",
    b"content-disposition",
)
_ENVELOPE = frozenset((b"delivered-to", b"x-original-to", b"x-envelope-to", b"envelope-to"))
#: The headers of addresses: what an encoded-word says there can be no delimiter.
ADDRESSES = frozenset((b"from", b"reply-to", b"to", b"cc"))
_MIME = frozenset((b"content-type", b"content-disposition"))
_KEPT = frozenset((*RELAXED, b"received", b"content-id", b"authentication-results"))
#: How many octets and how many headers a block may have; what follows is taken for content, so that it is not lost.
LENGTH = 4 * 2**20
FIELDS = 100_000

_FIELD = re.compile(rb"^([!-9;-~]++)[ \t]*+:(.*)", re.MULTILINE)
_NAMED = re.compile(rb"[!-9;-~]++[ \t]*+:")
#: What separates mails in an mbox, where it was left before one: it ends in a date.
_MBOX = re.compile(rb">?From [^\n]*\d\d?:\d\d[^\n]*\n")
_START = re.compile(rb"\n(?![ \t])")
_WORD = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*)\?=")
_Q = re.compile(r"(?:[^=]|=[0-9A-Fa-f]{2})*+")
# A quotation that never ends is one value: looking for its end again and again would take for ever.
_PARAMETER = re.compile(r';\s*([^\s=;]+)\s*=\s*(?:"((?:[^"\\]+|\\.?)*+)"?|([^;]*))', re.DOTALL)
_BLANKS = re.compile(r"[ \t\r\n]+")
_DELIMITER = re.compile(r'[<>,;:"@()\x01]')
_QUOTED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Header:
    """One header block.

    Attributes:
        values: What the headers that matter say, by lower-case name, in order of occurrence.
        mime: What those with parameters say, the blanks in them as they are written.
        envelope: What the headers above the topmost Received say, in which the last server records recipients. Whoever
            sent the mail may have written such headers too, but only below that one.
        strange: The lines that are no headers.
        empty: Whether there is not one header.
    """

    values: dict[bytes, list[bytes]] = field(default_factory=dict)
    mime: dict[bytes, bytes] = field(default_factory=dict)
    envelope: list[bytes] = field(default_factory=list)
    strange: list[bytes] = field(default_factory=list)
    empty: bool = True

    def first(self, name: bytes) -> bytes | None:
        """Return what the first header of a name says."""
        values = self.values.get(name)
        return values[0] if values else None


def cut(block: bytes) -> tuple[int, str | None]:
    """Return how many octets of a block (LF line ends) are its headers, and what is wrong if that is not all."""
    length, defect = len(block), None
    if length > LENGTH:
        length = block.rfind(b"\n", 0, LENGTH) + 1 or LENGTH
        defect = f"a header of more than {LENGTH:,} octets"
    if block.count(b"\n", 0, length) > FIELDS:
        last = next(islice(_START.finditer(block, 0, length), FIELDS - 1, None), None)
        if last is not None and last.end() < length:
            length, defect = last.end(), f"more than {FIELDS:,} headers"
    return length, defect


def read(block: bytes, message: bool) -> Header:
    """Read a header block with LF line ends; only that of a message may begin with the "From " line of an mbox."""
    if not block.endswith(b"\n"):
        block += b"\n"
    if message and (line := _MBOX.match(block)) is not None and not _NAMED.match(block):
        block = block[line.end() :] or b"\n"
    flat = block.replace(b"\n ", b" ").replace(b"\n\t", b"\t")
    values: dict[bytes, list[bytes]] = {}
    mime: dict[bytes, bytes] = {}
    envelope: list[bytes] = []
    found = _FIELD.findall(flat)
    for written, value in found:
        name = written.lower()
        if name in _KEPT:
            values.setdefault(name, []).append(collapsed(value))
            if name in _MIME:
                mime.setdefault(name, value)
        elif name in _ENVELOPE and b"received" not in values:
            envelope.append(collapsed(value))
    strange: list[bytes] = []
    if flat != b"\n" and len(found) != flat.count(b"\n"):
        strange = [collapsed(line) for line in flat[:-1].split(b"\n") if not _NAMED.match(line)]
    return Header(values, mime, envelope, strange, not found)


def collapsed(octets: bytes) -> bytes:
    """Return octets with each run of blanks as one space and none at the ends.

    Halving the runs takes linear time whatever their lengths are, and is faster than a regular expression.
    """
    octets = octets.replace(b"\t", b" ")
    while b"  " in octets:
        octets = octets.replace(b"  ", b" ")
    return octets.strip(b" ")


def meaning(value: bytes, addresses: bool = False) -> str:
    """Return what a collapsed value means, its encoded-words decoded (RFC 2047).

    In a list of addresses a comma in an encoded-word is a letter: there a word that holds a delimiter stays apart.

    Example:
        >>> meaning(b"Re: =?utf-8?b?7JWI?= =?utf-8?q?=EB=85=95?=")
        'Re: 안녕'
        >>> meaning(b"=?utf-8?q?a=40x=2C?= <b@x>", addresses=True)
        '\\x01a@x,\\x01 <b@x>'
    """
    text = text8(value)
    return _BLANKS.sub(" ", _words(text, addresses)).strip(" ") if "=?" in text else text


def _words(text: str, addresses: bool) -> str:
    """Decode the encoded-words of a text; those that cannot be decoded stay as they are written."""
    runs: list[tuple[int, int, str, list[bytes]]] = []
    for word in _WORD.finditer(text):
        octets = _word(word[2], word[3])
        if octets is None:
            continue
        start, charset = word.start(), word[1].lower()
        if runs and runs[-1][2] == charset and not text[runs[-1][1] : start].strip(" "):
            # Joined before they are decoded: many a sender splits a character between two words.
            begin, _, _, joined = runs.pop()
            joined.append(octets)
            runs.append((begin, word.end(), charset, joined))
        else:
            runs.append((start, word.end(), charset, [octets]))
    out: list[str] = []
    end, after_word = 0, False
    for start, stop, charset, pieces in runs:
        clear = decoded(charset, b"".join(pieces))
        if clear is None:
            continue
        if addresses and _DELIMITER.search(clear):
            clear = f"\x01{clear}\x01"
        between = text[end:start]
        if between.strip(" ") or not after_word:
            out.append(between)
        out.append(clear)
        end, after_word = stop, True
    out.append(text[end:])
    return "".join(out)


def _word(encoding: str, text: str) -> bytes | None:
    if not text.isascii():
        return None
    if encoding in "qQ":
        return binascii.a2b_qp(text, header=True) if _Q.fullmatch(text) else None
    data = text.replace(" ", "")
    try:
        return binascii.a2b_base64(data + "=" * (-len(data) % 4), strict_mode=True)
    except binascii.Error:
        return None


def parameter(parameters: Mapping[str, str], name: str) -> str:
    """Return a parameter as text: plain, with encoded-words in it, or continued and with a charset (RFC 2231)."""
    if name in parameters and f"{name}*" not in parameters and f"{name}*0*" not in parameters:
        return meaning(parameters[name].encode("latin-1"))
    pieces: list[tuple[bool, str]] = []
    if f"{name}*" in parameters:
        pieces.append((True, parameters[f"{name}*"]))
    else:
        while True:
            plain, encoded = f"{name}*{len(pieces)}", f"{name}*{len(pieces)}*"
            if encoded in parameters:
                pieces.append((True, parameters[encoded]))
            elif plain in parameters:
                pieces.append((False, parameters[plain]))
            else:
                break
    if not pieces:
        return ""
    charset = ""
    if pieces[0][0]:
        charset, _, rest = pieces[0][1].partition("'")
        pieces[0] = (True, rest.partition("'")[2])
    octets = b"".join(
        unquote_to_bytes(text.encode("latin-1")) if encoded else text.encode("latin-1") for encoded, text in pieces
    )
    clear = decoded(charset, octets) if codecs_of(charset) else None
    return text8(octets) if clear is None else clear


def parameters_of(value: bytes) -> tuple[str, dict[str, str], list[tuple[str, str]]]:
    """Return the first word of a structured value in lower case, its parameters by lower-case name, and those that are
    there once more.

    Octets beyond ASCII come as Latin-1, so that nothing is lost before a charset is known.
    """
    text = value.decode("latin-1").replace("\t", " ")
    word, semicolon, _ = text.partition(";")
    parameters: dict[str, str] = {}
    again: list[tuple[str, str]] = []
    if semicolon:
        for name, quoted, plain in _PARAMETER.findall(text, len(word)):
            if "\\" in quoted:
                quoted = _QUOTED.sub(r"\1", quoted)
            key, said = name.lower(), quoted or plain.strip()
            if parameters.setdefault(key, said) != said:
                again.append((key, said))
    return word.partition("(")[0].strip().lower(), parameters, again


def names_in(parameters: Mapping[str, str], name: str) -> list[str]:
    """Return what a parameter says in each of its two spellings, plain and that of RFC 2231."""
    plain = [meaning(parameters[name].encode("latin-1"))] if name in parameters else []
    if any(f"{name}*{end}" in parameters for end in ("", "0", "0*")):
        plain.append(parameter({key: value for key, value in parameters.items() if key != name}, name))
    return plain


def received_at(header: Header) -> int | None:
    """Return when the last server received a mail, as :func:`moment` does: what its topmost Received header says."""
    received = header.first(b"received")
    return None if received is None else moment(received.rpartition(b";")[2])


@lru_cache(maxsize=64)  # the Date of a mail is asked for twice
def moment(value: bytes | None) -> int | None:
    """Return when a date is, in microseconds since the epoch, UTC; ``None`` if it cannot be read.

    Example:
        >>> moment(b"Thu, 1 Jan 1970 09:00:01 +0900 (KST)")
        1000000
    """
    if value is None:
        return None
    try:
        parts = parsedate_tz(text8(value[:200]))
        if parts is None:
            return None
        # A leap second is the second before it: no clock of a store has one.
        local = dt.datetime(*parts[:5], min(parts[5], 59))
        return ((local - EPOCH) // dt.timedelta(microseconds=1)) - (parts[9] or 0) * 1_000_000
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return None  # the parser of dates is not proof against every text
