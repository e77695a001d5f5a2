"""What headers mean, however they are written."""

from __future__ import annotations

import base64
import re
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrity.mail.headers import collapsed, meaning, moment
from integrity.mail.rungs import climb
from tests.mail.mails import differing, part, tree, under

KOREAN = st.text("안녕하세요 가격 견적 abc", min_size=1, max_size=30).filter(lambda text: text == text.strip())


def words(text: str, charset: str, size: int, q: bool) -> bytes:
    """Encoded-words of so many octets each, which may split a character, as many a mailer does."""
    octets = text.encode(charset)
    pieces = [octets[at : at + size] for at in range(0, len(octets), size)]
    if q:
        coded = [b"".join(b"=%02X" % octet for octet in piece) for piece in pieces]
    else:
        coded = [base64.b64encode(piece) for piece in pieces]
    return b"\r\n ".join(b"=?%b?%b?%b?=" % (charset.encode(), b"Q" if q else b"b", code) for code in coded)


@given(KOREAN, st.sampled_from(["utf-8", "euc-kr", "ks_c_5601-1987", "UTF-8*ko"]), st.integers(1, 40), st.booleans())
def test_words_mean_their_text_in_each_charset(text: str, charset: str, size: int, q: bool) -> None:
    written = words(text, charset.partition("*")[0], size, q).replace(b"UTF-8?", charset.encode() + b"?")
    plain = climb(b"Subject: " + text.encode() + b"\n\n") if "  " not in text else None
    other = climb(b"Subject: " + written + b"\n\n")
    assert meaning(collapsed(written.replace(b"\r\n", b""))) == re.sub("[ \\t\\r\\n]+", " ", text).strip(" ")
    assert plain is None or plain.mime_sha256 == other.mime_sha256


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?= =?euc-kr?q?b?=", "ab"),
        (b"=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
        (b"=?utf-8?q?a_b?=", "a b"),
        (b"=?rot13?q?abc?= =?utf-8?q?a?=", "=?rot13?q?abc?= a"),
        (b"=?utf-8?q?a?= =?rot13?q?abc?= =?utf-8?q?a?=", "a =?rot13?q?abc?= a"),
        (b"=?utf-8?b?*?=", "=?utf-8?b?*?="),
        (b"=?utf-8?q?=E9?=", "=?utf-8?q?=E9?="),
        (b"=?utf-8?q?=ZZ?=", "=?utf-8?q?=ZZ?="),
        (b"=?utf-8?b?YQ?=", "a"),
        (b"=?utf-7?q?+2AA-?=", "=?utf-7?q?+2AA-?="),
        (b"=?us-ascii*en?q?a?=", "a"),
        ("é".encode(), "é"),
        (b"\xe9", "é"),
        (b'"=?utf-8?q?Kim?=" <k@x>', '"Kim" <k@x>'),
        (b"=?utf-8?q?", "=?utf-8?q?"),
    ],
)
def test_words(written: bytes, read: str) -> None:
    assert meaning(written) == read


@pytest.mark.parametrize(
    "written",
    [
        'Content-Disposition: attachment; filename="견적서.pdf"',
        "Content-Disposition: attachment; filename=견적서.pdf",
        "Content-Disposition: attachment;\r\n filename*=utf-8'ko'%EA%B2%AC%EC%A0%81%EC%84%9C.pdf",
        "Content-Disposition: attachment; filename*=euc-kr''%B0%DF%C0%FB%BC%AD.pdf; filename=x.pdf",
        "Content-Disposition: attachment; FILENAME*0*=utf-8''%EA%B2; filename*1*=%AC%EC%A0%81%EC%84%9C; filename*2=.pdf",
        'Content-Disposition: attachment; filename="=?utf-8?b?6rKs7KCB7IScLnBkZg==?="',
        'Content-Disposition: attachment; filename="=?euc-kr?b?sN/A+7ytLnBkZg==?="',
        "Content-Disposition: attachment\r\nContent-Description: x",
    ],
)
def test_file_names(written: str) -> None:
    kind = 'application/pdf; name="견적서.pdf"'
    (name,) = (name for name in tree(under((), part(kind, b"x", "base64", written))) if "1" in name)
    assert name == "attachment 1 (견적서.pdf)"


def test_a_name_in_nfd_is_that_in_nfc() -> None:
    one, other = (f'Content-Disposition: attachment; filename="{name}"' for name in ("caf\u00e9", "cafe\u0301"))
    assert tree(under((), part("a/b", b"x", "base64", one))) == tree(under((), part("a/b", b"x", "base64", other)))


def test_an_escaped_quote_and_a_semicolon_in_a_name() -> None:
    written = 'Content-Disposition: attachment; filename="a;b\\"c"; size=1'
    assert 'attachment 1 (a;b"c)' in tree(under((), part("a/b", b"x", "base64", written)))


def test_a_name_that_differs_is_named() -> None:
    one, other = (part("a/b; name=" + name, b"x", "base64") for name in ("a", "b"))
    assert differing(under((), one), under((), other)) == {"attachment 1 (a)", "attachment 1 (b)"}


@given(st.datetimes(), st.integers(-12 * 60, 14 * 60))
def test_dates(when: object, zone: int) -> None:
    sign, minutes = "-" if zone < 0 else "+", abs(zone)
    text = f"{when:%a, %d %b} {when.year:04d} {when:%H:%M:%S} {sign}{minutes // 60:02d}{minutes % 60:02d}"  # type: ignore[attr-defined]
    if when.year < 1900:  # type: ignore[attr-defined]
        return  # years of two digits mean others
    assert moment(text.encode()) == int(parsedate_to_datetime(text).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"x",
        b"Mon, 99 Mar 2026 10:00:00 +0900",
        b"Mon, 2 Mar 2026 99:00:00 +0900",
        b"\xff" * 300,
        b"2 Mar 99999 1:1:1",
    ],
)
def test_dates_that_cannot_be_read(text: bytes) -> None:
    assert moment(text) is None


@given(st.binary(max_size=60))
def test_no_date_raises(text: bytes) -> None:
    moment(text)
    moment(b"Mon, 2 Mar 2026 " + text)


def test_a_word_cannot_make_one_recipient_two() -> None:
    one = climb(b"To: =?utf-8?q?Alice_=3Calice=40x=3E=2C?= <bob@y>\n\nx\n")
    two = climb(b"To: Alice <alice@x>, <bob@y>\n\nx\n")
    assert one.mime_sha256 != two.mime_sha256
    as_subject = climb(b"Subject: =?utf-8?q?a=2C_b?=\n\nx\n"), climb(b"Subject: a, b\n\nx\n")
    assert as_subject[0].mime_sha256 == as_subject[1].mime_sha256


def test_gmt_and_its_offset_are_one_moment() -> None:
    dates = (b"Mon, 2 Mar 2026 00:00:00 GMT", b"Mon, 2 Mar 2026 09:00:00 +0900", b"Mon, 2 Mar 2026 00:00:01 GMT")
    gmt, seoul, later = (climb(b"Date: " + date + b"\n\nx\n").mime_sha256 for date in dates)
    assert gmt == seoul != later
