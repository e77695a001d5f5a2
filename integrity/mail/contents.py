"""What is the content of a part, whatever it was encoded as to travel?

A transfer encoding, and the charset of a text, may be changed on the way by any server that has to; the content may
not. So the content is what is hashed: the decoded octets, and of a text its characters as UTF-8 with LF as line end,
without the line ends after its last line, which belong to a boundary or to a store. What cannot be decoded is hashed
as it is written, and under another label, so that it never equals what could be.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from integrity.mail.additions import REMOVABLE, without_in_text
from integrity.mail.charsets import WIDE, codecs_of, utf8
from integrity.mail.octets import Octets, line_ends
from integrity.mail.parts import Leaf
from integrity.transit import Addition

__all__ = ["Content", "content", "decoded_octets", "text_of"]

_BLANKS = b" \t\r\n\v\f"


@dataclass(frozen=True, slots=True)
class Content:
    """What a leaf holds.

    Attributes:
        label: What was hashed: empty for decoded octets, ``utf-8`` for a text, else what could not be decoded.
        size: How many octets were hashed.
        sha256: Their digest.
        sound: Whether the transfer encoding could be undone.
        added: The declared additions that were found, and are not in the digest.
    """

    label: str
    size: int
    sha256: str
    sound: bool = True
    added: tuple[str, ...] = ()


def content(octets: Octets, leaf: Leaf, additions: Sequence[Addition] = ()) -> Content:
    """Hash what a leaf holds; additions are looked for only in what is neither an attachment nor in one."""
    if leaf.encoding not in ("", "base64", "quoted-printable"):
        return _hashed(f"encoded as {leaf.encoding}", _crlf(octets.pieces(leaf.start, leaf.end)))
    try:
        if not leaf.kind.startswith("text/"):
            return _hashed("", decoded_octets(octets, leaf))
        for codec in _codecs(leaf):
            try:
                return _text(octets, leaf, codec, additions)
            except UnicodeError:
                continue
        return _hashed(f"text in {leaf.charset or 'us-ascii'}", _unended(_lines(octets, leaf)))
    except binascii.Error:
        return _hashed("base64 as written", _unfolded(octets.pieces(leaf.start, leaf.end)), sound=False)


def text_of(octets: Octets, leaf: Leaf, limit: int = REMOVABLE) -> str | None:
    """Return the text of a leaf, ``None`` if it is longer than so many octets or cannot be decoded."""
    for codec in _codecs(leaf):
        held, size = [], 0
        try:
            for piece in _characters(octets, leaf, codec):
                held.append(piece)
                size += len(piece)
                if size > limit:
                    return None
        except UnicodeError:
            continue
        except binascii.Error:
            return None
        return b"".join(held).decode()
    return None


def decoded_octets(octets: Octets, leaf: Leaf) -> Iterable[bytes]:
    """Yield the decoded octets of a leaf, its own line ends as CRLF.

    Raises:
        binascii.Error: it is not base64; what came before is worth nothing.
    """
    if leaf.encoding == "base64":
        return _from_base64(octets.pieces(leaf.start, leaf.end))
    if leaf.encoding == "quoted-printable":
        return _from_quoted_printable(octets.trimmed(leaf.start, leaf.end))
    return _crlf(octets.pieces(leaf.start, leaf.end))


def _hashed(label: str, stream: Iterable[bytes], sound: bool = True) -> Content:
    digest, size = sha256(), 0
    for piece in stream:
        digest.update(piece)
        size += len(piece)
    return Content(label, size, digest.hexdigest(), sound)


def _codecs(leaf: Leaf) -> tuple[str, ...]:
    codecs = codecs_of(leaf.charset or "us-ascii")
    return ("utf-8",) if codecs == ("ascii",) else codecs  # eight bits under that label are UTF-8, if anything


def _text(octets: Octets, leaf: Leaf, codec: str, additions: Sequence[Addition]) -> Content:
    whole = _hashed("utf-8", _characters(octets, leaf, codec))
    wanted = () if leaf.attachment or leaf.embedded else [each for each in additions if each.to == leaf.kind]
    if not wanted or whole.size > REMOVABLE:
        return whole
    text, found = without_in_text(
        b"".join(_characters(octets, leaf, codec)), plain=leaf.kind == "text/plain", additions=wanted
    )
    return Content("utf-8", len(text), sha256(text).hexdigest(), added=tuple(found)) if found else whole


def _characters(octets: Octets, leaf: Leaf, codec: str) -> Iterator[bytes]:
    """Yield a text as UTF-8 with LF line ends and none at its end."""
    if codec in WIDE:
        stream = decoded_octets(octets, leaf) if leaf.encoding else octets.pieces(leaf.start, leaf.end)
        return _unended(_lf(utf8(stream, codec)))
    return _unended(utf8(_lines(octets, leaf), codec))


def _lines(octets: Octets, leaf: Leaf) -> Iterable[bytes]:
    """Yield the octets of a text with LF line ends: before they are decoded, because some codecs look at lines."""
    if leaf.encoding:
        return _lf(decoded_octets(octets, leaf))
    return octets.pieces(leaf.start, leaf.end)


def _crlf(stream: Iterable[bytes]) -> Iterator[bytes]:
    for piece in stream:
        yield piece.replace(b"\n", b"\r\n")


def _lf(stream: Iterable[bytes]) -> Iterator[bytes]:
    held = b""
    for piece in stream:
        if held:
            piece = held + piece
        held = b""
        if piece.endswith(b"\r"):
            piece, held = piece[:-1], b"\r"
        yield piece.replace(b"\r\n", b"\n")
    if held:
        yield held


def _unended(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a text without the line ends at its end, which are counted until something follows them."""
    ends = 0
    for piece in stream:
        core = piece.rstrip(b"\n")
        if core:
            yield from line_ends(b"\n", ends)
            yield core
            ends = 0
        ends += len(piece) - len(core)


def _unfolded(stream: Iterable[bytes]) -> Iterator[bytes]:
    for piece in stream:
        yield piece.translate(None, _BLANKS)


def _from_base64(stream: Iterable[bytes]) -> Iterator[bytes]:
    held = b""
    for piece in _unfolded(stream):
        data = held + piece if held else piece
        # The last quantum waits, because only there may padding be, or be missing.
        to = max(len(data) - 1, 0) // 4 * 4
        held = data[to:]
        if to:
            if data.find(b"=", 0, to) >= 0:
                raise binascii.Error("padding before the end")
            yield binascii.a2b_base64(data[:to], strict_mode=True)
    if held:
        yield binascii.a2b_base64(held + b"=" * (-len(held) % 4), strict_mode=True)


def _from_quoted_printable(stream: Iterable[bytes]) -> Iterator[bytes]:
    held = b""
    for piece in stream:
        data = held + piece if held else piece
        # An equals sign that begins no code stands for itself. The decoder would drop a second one, and behind one
        # before a bare CR the rest of the line.
        while b"==" in data:
            data = data.replace(b"==", b"=3D=")
        data = data.replace(b"=\r", b"=3D\r")
        at = data.find(b"=", max(len(data) - 2, 0))
        held = b"" if at < 0 else data[at:]
        # As CRLF before it is decoded: a decoded LF is content, and not the end of a line.
        yield binascii.a2b_qp((data if at < 0 else data[:at]).replace(b"\n", b"\r\n"))
    if held:
        yield binascii.a2b_qp(held.replace(b"\n", b"\r\n"))
