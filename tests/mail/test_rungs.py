"""The ladder: what may happen to a mail without it being another, and what may not."""

from __future__ import annotations

import hashlib
import json
import mmap
import re
import tempfile
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from integrity.mail.rungs import climb
from integrity.transit import Addition
from tests.mail.mails import ANY_MAIL, HEADERS, differing, ladder, mail, multipart, part, tree, under, windows

#: KS X 1001, which all Korean charsets have in common: two octets a character, beside ASCII.
KOREAN = [bytes((one, two)).decode("euc-kr") for one in range(0xB0, 0xFE) for two in range(0xA1, 0xFF) if one != 0xC9]
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from([*KOREAN, "\t"]), max_size=60)


def in_crlf(data: bytes) -> bytes:
    """The dumb oracle of the crlf rung."""
    lines = re.split(rb"\r?\n", data)
    if lines[-1]:
        lines.append(b"")
    return b"\r\n".join(lines)


@given(ANY_MAIL)
def test_the_octet_rungs_are_what_they_say(data: bytes) -> None:
    rungs = climb(data)
    assert rungs.raw_sha256 == hashlib.sha256(data).hexdigest()
    assert rungs.crlf_sha256 == hashlib.sha256(in_crlf(data)).hexdigest()
    assert rungs.size == len(data)


@settings(max_examples=400)
@given(ANY_MAIL)
def test_all_rungs_but_raw_are_functions_of_the_crlf_form(data: bytes) -> None:
    crlf = in_crlf(data)
    assert ladder(climb(data)) == ladder(climb(crlf))
    if b"\r\r\n" not in crlf:  # else a CR of the content would become part of a line end
        assert ladder(climb(data)) == ladder(climb(crlf.replace(b"\r\n", b"\n")))


@given(ANY_MAIL, st.integers(1, 60), st.integers(0, 6))
def test_so_they_are_where_a_header_is_cut_short(data: bytes, length: int, fields: int) -> None:
    with (
        mock.patch("integrity.mail.headers.LENGTH", length),
        mock.patch("integrity.mail.parts.LENGTH", length),
        mock.patch("integrity.mail.headers.FIELDS", fields + 1),
    ):
        assert ladder(climb(data)) == ladder(climb(in_crlf(data)))


@settings(max_examples=600)
@given(ANY_MAIL, st.sampled_from([1, 2, 3, 7, 64]))
@example(b"Content-Transfer-Encoding: quoted-printable\n\na =\n  =\r=3D==41  \t\n\n", 1)
@example(b"Content-Type: text/plain; charset=utf-16\n\n" + "안\r\n녕\n".encode("utf-16"), 7)
def test_nothing_depends_on_where_windows_fall(data: bytes, size: int) -> None:
    whole = climb(data)
    with windows(size):
        assert climb(data) == whole


@given(ANY_MAIL, ANY_MAIL)
def test_the_tree_differs_if_and_only_if_the_mime_rung_does(one: bytes, other: bytes) -> None:
    a, b = climb(one), climb(other)
    assert (a.mime_sha256 == b.mime_sha256) == (a.mime_tree == b.mime_tree)


@given(st.binary(max_size=300))
def test_any_octets_are_a_mail(data: bytes) -> None:
    rungs = climb(data)
    json.loads(rungs.mime_tree)
    rungs.mime_tree.encode()


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "base64", "quoted-printable"])
@pytest.mark.parametrize("charset", ["utf-8", "EUC-KR", "ks_c_5601-1987", "iso-2022-kr", "utf-16"])
@settings(max_examples=40)
@given(lines=st.lists(TEXTS, max_size=4), width=st.integers(1, 100))
def test_a_text_survives_every_legal_change_of_encoding(
    encoding: str, charset: str, lines: list[str], width: int
) -> None:
    if charset == "utf-16" and encoding != "base64":
        return  # has NULs and odd LFs, so that nothing else may carry it
    text = "\r\n".join(lines)
    plain = under(HEADERS[:-1], part("text/plain; charset=UTF-8", text.encode(), "8bit") + b"\r\n")
    octets = text.encode(charset)
    other = under(HEADERS[:-1], part(f'text/plain; charset="{charset}"', octets, encoding, width=width) + b"\n\r\n")
    assert climb(plain).mime_sha256 == climb(other).mime_sha256


@given(st.binary(min_size=1, max_size=200), st.integers(1, 100), st.data())
def test_one_octet_of_an_attachment_is_seen_and_named(content: bytes, width: int, draw: st.DataObject) -> None:
    def with_attachment(octets: bytes, width: int) -> bytes:
        file = part(
            "application/pdf", octets, "base64", 'Content-Disposition: attachment; filename="견적서.pdf"', width=width
        )
        return under(HEADERS, multipart(part("text/plain", b"Hello"), file))

    sent = with_attachment(content, 76)
    assert climb(with_attachment(content, width)).mime_sha256 == climb(sent).mime_sha256
    at = draw.draw(st.integers(0, len(content) - 1))
    changed = content[:at] + bytes([content[at] ^ draw.draw(st.integers(1, 255))]) + content[at + 1 :]
    assert differing(sent, with_attachment(changed, width)) == {"attachment 2 (견적서.pdf)"}


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=60), st.data())
def test_one_character_of_a_text_is_seen_and_named(text: str, draw: st.DataObject) -> None:
    sent = mail(text.encode() + b"!\r\n", b"Content-Type: text/plain; charset=utf-8")
    at = draw.draw(st.integers(0, len(text)))
    other = mail((text[:at] + "?" + text[at:]).encode() + b"!\r\n", b"Content-Type: text/plain; charset=utf-8")
    assert differing(sent, other) == {"part 1 (text/plain)"}


@given(st.lists(st.text("abc.<>@;:=?", min_size=1, max_size=8), min_size=1, max_size=8), st.data())
def test_a_refolded_header_is_the_same_on_both_rungs(words: list[str], draw: st.DataObject) -> None:
    gaps = [draw.draw(st.sampled_from(["\r\n ", "\n\t", "  ", " ", "\r\n \t "])) for _ in words]
    folded = "".join(gap + word for gap, word in zip(gaps, words, strict=True)).encode()
    one, other = climb(b"Subject: " + " ".join(words).encode() + b"\n\nx"), climb(b"SUBJECT :" + folded + b" \n\nx")
    assert (one.mime_sha256, one.relaxed_sha256) == (other.mime_sha256, other.relaxed_sha256)


def test_relaxed_is_that_of_rfc_6376() -> None:
    # The example of section 3.4.5, with headers that are on the rung.
    one = climb(b"From: X\r\nTo : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n")
    two = climb(b"TO:Y Z\r\nX-Spam: 5\r\nFROM:  X\r\n\r\n C\r\nD E\r\n")
    assert one.relaxed_sha256 == two.relaxed_sha256
    said = b"from:X\r\nto:Y Z\r\n" + b"\r\n" + b" C\r\nD E\r\n"
    assert one.relaxed_sha256 == "v1:" + hashlib.sha256(said).hexdigest()
    assert climb(b"From: X\n\n").relaxed_sha256 == climb(b"From: X\n\n \n\n\t\n").relaxed_sha256


@given(ANY_MAIL)
def test_the_relaxed_body_is_that_of_a_dumb_oracle(body: bytes) -> None:
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in in_crlf(body).split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    said = b"from:X\r\n\r\n" + b"".join(line + b"\r\n" for line in lines)
    assert climb(b"From: X\n\n" + body).relaxed_sha256 == "v1:" + hashlib.sha256(said).hexdigest()


def test_trace_headers_are_on_no_rung_but_the_octets() -> None:
    sent = mail(b"Hello\r\n")
    kept = b"Return-Path: <x>\r\nDKIM-Signature: v=1; bh=x\r\nX-Spam: no\r\n" + sent
    one, other = climb(sent), climb(kept)
    assert (one.relaxed_sha256, one.mime_sha256) == (other.relaxed_sha256, other.mime_sha256)
    assert one.crlf_sha256 != other.crlf_sha256


@pytest.mark.parametrize(
    ("name", "value"),
    [("from", b"From: X"), ("subject", b"Subject: X"), ("date", b"Date: X"), ("references", b"References: <x>")],
)
def test_a_changed_header_is_named(name: str, value: bytes) -> None:
    sent = mail(b"Hello")
    others = tuple(header for header in HEADERS if not header.lower().startswith(name.encode() + b":"))
    assert differing(sent, mail(b"Hello", headers=(*others, value))) == {f"header {name}"}


def test_facts_of_a_header() -> None:
    traced = b"Delivered-To: <a@x>\r\nX-Original-To: b@x, <a@x>\r\nEnvelope-To: \r\n c@x\r\n"
    rungs = climb(traced + mail(b"Hello", b"Cc: nobody@x", b"Delivered-To: written-by-the-sender@x"))
    assert rungs.message_id == "<1@example.com>"
    assert rungs.sent_at == 1772413200000000
    assert rungs.received_at == 1772413205000000
    assert rungs.recipients == ("a@x", "b@x", "c@x")
    assert rungs.defects is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"<a@b>", "<a@b>"),
        (b" (x) <a\r\n b@c> (y) <z>", "<ab@c>"),
        (b"a@b", "a@b"),
        (b"<a@b", "<a@b"),
        ("<é@b>".encode("latin-1"), "<é@b>"),
    ],
)
def test_message_ids(written: bytes, read: str) -> None:
    assert climb(b"Message-ID: " + written + b"\r\n\r\nx").message_id == read


@pytest.mark.parametrize("written", [b"", b"Message-ID:\n", b"Message-ID: <>\n", b"Message-ID: < >\nX: y\n"])
def test_a_mail_without_message_id_is_known_by_its_content(written: bytes) -> None:
    rungs = climb(b"Subject: x\n" + written + b"\nHello")
    assert "mime:" + rungs.mime_sha256.removeprefix("v1:") == rungs.message_id


def test_many_parts_are_folded_into_one_entry_that_still_sees_all() -> None:
    sent = under(HEADERS, multipart(*(b"\r\n%d" % number for number in range(1500))))
    other = sent.replace(b"\n1400\r\n", b"\n14OO\r\n")
    assert len(tree(sent)) == 1001
    assert {re.sub(r"[\d,]+", "N", name) for name in differing(sent, other)} == {"the other N parts"}
    assert climb(sent).mime_sha256 != climb(other).mime_sha256


def test_a_long_name_is_shortened_and_all_of_it_counts() -> None:
    def named(name: str) -> bytes:
        return under(
            HEADERS, part("application/pdf", b"x", "base64", f'Content-Disposition: attachment; filename="{name}"')
        )

    one, other = named("a" * 300), named("a" * 299 + "b")
    assert differing(one, other) == {"attachment 1 (" + "a" * 99 + "…)"}


def test_an_empty_mail() -> None:
    rungs = climb(b"")
    assert rungs.crlf_sha256 == rungs.raw_sha256 == hashlib.sha256(b"").hexdigest()
    assert rungs.defects == "no header"
    assert rungs.message_id.startswith("mime:")


def test_a_mapped_mail_is_the_same_mail() -> None:
    data = under(HEADERS, multipart(part("application/x", bytes(range(256)) * 40_000, "base64"), b"\r\nHello"))
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert len(mapped) > 8 * 2**20
            assert climb(mapped, [Addition(name="a", to="text/plain", text="x", reason="policy")]) == climb(data)
            with windows(2**28):
                assert climb(data) == climb(mapped)
