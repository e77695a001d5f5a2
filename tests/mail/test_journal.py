"""Journal reports, and what only looks like one."""

from __future__ import annotations

import mmap

import pytest
from hypothesis import given

from integrity.mail.journal import Journalled, unwrapped
from integrity.mail.rungs import climb
from tests.mail.mails import ANY_MAIL, HEADERS, encoded, mail, multipart, part, under, windows

ORIGINAL = mail("안녕\r\n".encode(), b"Content-Type: text/plain; charset=utf-8")
REPORT = (
    b"Sender: kim@example.com\r\nSubject: Offer\r\nMessage-Id: <1@example.com>\r\n"
    b"To: lee@example.com, Expanded: all@example.com\r\nCc: <park@example.com>\r\n"
    b"Bcc: cho@example.com, Forwarded: lee@example.com\r\nRecipient: lee@example.com\r\n"
)
RECIPIENTS = ("lee@example.com", "park@example.com", "cho@example.com")


def report(text: bytes, original: bytes = ORIGINAL, encoding: str = "7bit", kind: str = "message/rfc822") -> bytes:
    inner = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    return under(
        (b"From: journal@x", b"X-MS-Journal-Report:"),
        multipart(part("text/plain; charset=us-ascii", text), inner + encoded(original, encoding), boundary=b"jr"),
    )


@pytest.mark.parametrize("encoding", ["7bit", "base64"])
def test_a_report(encoding: str) -> None:
    assert unwrapped(report(REPORT, encoding=encoding)) == Journalled(ORIGINAL, "kim@example.com", RECIPIENTS)


def test_the_octets_of_the_original_are_left_as_they_are() -> None:
    original = ORIGINAL.replace(b"\r\n", b"\n") + b"bare \r and\r\nmixed"
    found = unwrapped(report(REPORT, original))
    assert found is not None
    assert found.data == original


def test_a_multipart_may_be_the_original() -> None:
    original = under(HEADERS, multipart(b"\r\nHello", b"\r\nworld"))
    found = unwrapped(report(REPORT, original))
    assert found is not None
    assert isinstance(found.data, bytes)
    assert climb(found.data).mime_sha256 == climb(original).mime_sha256


@pytest.mark.parametrize("encoding", ["7bit", "base64"])
def test_a_mail_that_is_nothing_but_another(encoding: str) -> None:
    data = part("message/rfc822", ORIGINAL, encoding)
    assert unwrapped(data) == Journalled(ORIGINAL, None, ())


@pytest.mark.parametrize(
    "text",
    [
        b"See below.\r\n",
        b"Sender: kim@example.com\r\n",
        b"To: lee@example.com\r\n",
        b"You may want to know:\r\n" + REPORT,
        b"",
    ],
)
def test_a_forwarded_mail_is_no_report(text: bytes) -> None:
    assert unwrapped(report(text)) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        ORIGINAL,
        under(HEADERS, multipart(b"\r\n" + REPORT, b"\r\nx")),
        report(REPORT, b"", "base64").replace(b"\r\n\r\n\r\n", b"\r\n\r\n*\r\n"),
        report(REPORT, kind="text/plain"),
    ],
)
def test_what_is_none(data: bytes) -> None:
    assert unwrapped(data) is None or not data


@given(ANY_MAIL)
def test_nothing_raises(data: bytes) -> None:
    unwrapped(data)


def test_a_large_original_is_not_in_memory() -> None:
    original = mail(b"x" * 70 + b"\r\n") * 80_000
    for encoding in ("7bit", "base64"):
        found = unwrapped(report(REPORT, original, encoding))
        assert found is not None
        assert isinstance(found.data, mmap.mmap)
        with found.data as mapped:
            assert mapped[:] == original


def test_through_small_windows() -> None:
    with windows(7):
        assert unwrapped(report(REPORT, encoding="base64")) == Journalled(ORIGINAL, "kim@example.com", RECIPIENTS)
