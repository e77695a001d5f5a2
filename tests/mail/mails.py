"""Mails for tests: whole ones, broken ones, and the same one written in another way."""

from __future__ import annotations

import base64
import contextlib
import json
import quopri
from collections.abc import Iterator
from unittest import mock

from hypothesis import strategies as st

from integrity.mail.rungs import Rungs, climb

HEADERS = (
    b"Received: from a by b; Mon, 2 Mar 2026 10:00:05 +0900",
    b"From: Kim <kim@example.com>",
    b"To: lee@example.com",
    b"Subject: Offer",
    b"Date: Mon, 2 Mar 2026 10:00:00 +0900",
    b"Message-ID: <1@example.com>",
    b"MIME-Version: 1.0",
)

#: What hostile and merely strange mails are put together from.
FRAGMENTS = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"\r",
        b"\n\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b"   ",
        b" \n",
        b"\t\r\n",
        b"=",
        b"=\n",
        b"= \r\n",
        b"==",
        b"=\r",
        b"=41",
        b"=4",
        b"--b\n",
        b"--b\r\n",
        b"--b--\n",
        b"--b-- \t\r\n",
        b"--c\n",
        b"--c--\n",
        b"\n--b",
        b"--",
        b"QUJD",
        b"QQ==",
        b"QQ",
        b"Content-Type: multipart/mixed; boundary=b\n",
        b'Content-Type: multipart/digest; boundary="c"\r\n',
        b"Content-Type: message/rfc822\n",
        b"Content-Type: text/plain; charset=euc-kr\n",
        b"Content-Type: text/plain; charset=utf-16\r\n",
        b"Content-Type: text/html; charset=iso-2022-kr\n",
        b"Content-Type: text/plain; charset=utf-7\n",
        b"Content-Type: text/plain; charset=hz\n",
        b'Content-Type: application/x; name="a;b"\n',
        b"Content-Transfer-Encoding: base64\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"Content-Transfer-Encoding: x-uuencode\n",
        b"Subject: =?utf-8?b?7JWI?=\n",
        b" folded\n",
        b"no colon here\n",
        b"From me Mon\n",
        b">From x\n",
        "안녕".encode(),
        "안녕".encode("euc-kr"),
        "안녕".encode("iso2022-kr"),
        "안녕".encode("utf-16"),
        b"\0",
        b"\xff",
        b"+ACE-",
        b"~{VP~}",
        b"~\n",
        b"x" * 20,
        b"Content-Disposition: attachment; filename*0*=utf-8''%ea; filename*1=x\n",
        b"Date: x\n",
        b"Message-ID: <a\n b>\n",
        b"Delivered-To: <a@b>, c\n",
    ]
)
ANY_MAIL = st.lists(FRAGMENTS | st.binary(max_size=8), max_size=40).map(b"".join)


def mail(body: bytes, *more: bytes, headers: tuple[bytes, ...] = HEADERS) -> bytes:
    """One mail of these headers, with CRLF throughout where the body has it."""
    return b"\r\n".join((*headers, *more)) + b"\r\n\r\n" + body


def multipart(*parts: bytes, kind: bytes = b"mixed", boundary: bytes = b"b1") -> bytes:
    """A body of parts and the header line that says so, as a part of another or of a mail."""
    lines = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"
    return b"Content-Type: multipart/" + kind + b'; boundary="' + boundary + b'"\r\n\r\n' + lines


def under(headers: tuple[bytes, ...], part: bytes) -> bytes:
    """A mail that consists of one part, which brings its own headers."""
    return b"".join(header + b"\r\n" for header in headers) + part


def encoded(content: bytes, encoding: str, width: int = 76) -> bytes:
    """A content as it travels; 7bit and 8bit are the content itself."""
    if encoding == "base64":
        text = base64.b64encode(content)
        return b"\r\n".join(text[at : at + width] for at in range(0, len(text), width))
    if encoding == "quoted-printable":
        return quopri.encodestring(content.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    return content


def part(kind: str, content: bytes, encoding: str = "8bit", *more: str, width: int = 76) -> bytes:
    """One part of a multipart, or what follows the headers of a mail."""
    head = "".join(f"{line}\r\n" for line in (f"Content-Type: {kind}", f"Content-Transfer-Encoding: {encoding}", *more))
    return head.encode() + b"\r\n" + encoded(content, encoding, width)


def tree(data: bytes) -> dict[str, str]:
    """What is in a mail, by name."""
    entries: dict[str, str] = json.loads(climb(data).mime_tree)
    return entries


def differing(one: bytes, other: bytes) -> set[str]:
    """The names of what two mails do not have in common."""
    return {name for name, _ in set(tree(one).items()) ^ set(tree(other).items())}


def ladder(rungs: Rungs) -> tuple[str, str, str]:
    """The rungs that do not depend on how line ends are written."""
    return rungs.crlf_sha256, rungs.relaxed_sha256, rungs.mime_sha256


@contextlib.contextmanager
def windows(size: int) -> Iterator[None]:
    """Look at mails through windows of so many octets."""
    with mock.patch("integrity.mail.octets.WINDOW", size):
        yield
