"""The contents of parts, against a dumb oracle: the parser of Python's own e-mail package."""

from __future__ import annotations

import base64
import email
import email.message
import hashlib
import importlib.util
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from integrity.mail.contents import content, decoded_octets
from integrity.mail.octets import Octets
from integrity.mail.parts import Defects, Leaf, walk
from integrity.mail.rungs import climb
from tests.mail.mails import encoded, mail, part, tree, under, windows


def corpus() -> list[Path]:
    found = importlib.util.find_spec("test")
    if found is None or not found.submodule_search_locations:
        return []
    return sorted(Path(found.submodule_search_locations[0], "test_email", "data").glob("*.txt"))


needs_corpus = pytest.mark.skipif(not corpus(), reason="this Python came without its tests, and so without their mails")


def leaves_of(data: bytes) -> list[tuple[str, bytes]]:
    octets = Octets(data)
    leaves = (each for each in walk(octets, Defects()) if isinstance(each, Leaf))
    return [(leaf.kind, b"".join(decoded_octets(octets, leaf))) for leaf in leaves]


def oracle(message: email.message.Message) -> list[tuple[str, bytes]]:
    return [
        (part.get_content_type(), part.get_payload(decode=True))
        for part in message.walk()
        if not part.is_multipart() and part.get_content_type() != "message/rfc822"
    ]


#: Where two readings are possible: Python takes a boundary that follows another for the same, we for an empty part.
READ_OTHERWISE = {"msg_37.txt"}


@needs_corpus
def test_the_leaves_are_those_of_the_parser_of_python() -> None:
    compared = 0
    for path in corpus():
        data = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        message = email.message_from_bytes(data)
        broken = any(each.defects for each in message.walk()) or climb(data).defects
        if broken or re.search(rb"message/(?!rfc822)", data.lower()) or path.name in READ_OTHERWISE:
            continue  # Python takes all message/* for messages
        ours = [(kind, octets.rstrip()) for kind, octets in leaves_of(data)]
        assert ours == [(kind, octets.rstrip()) for kind, octets in oracle(message)], path.name
        compared += len(ours)
    assert compared > 50


@needs_corpus
@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_corpus_through_small_windows(size: int) -> None:
    for path in corpus():
        data = path.read_bytes()
        whole = climb(data)
        with windows(size):
            assert climb(data) == whole, path.name


def leaf(octets: bytes, encoding: str, kind: str = "application/x", charset: str = "") -> tuple[Octets, Leaf]:
    data = b"\n\n" + octets
    return Octets(data), Leaf("1", kind, charset, encoding, "", False, False, 2, len(data))


@settings(max_examples=300)
@given(st.binary(max_size=100), st.sampled_from([1, 2, 5, 7, 64]), st.integers(1, 80))
def test_quoted_printable_of_binary(data: bytes, size: int, width: int) -> None:
    # With all octets that could be taken for a line end as codes, as RFC 2045 demands of binary content.
    coded = "".join(f"={octet:02X}" if octet in b"=\r\n \t" or octet > 126 else chr(octet) for octet in data)
    units = [coded[at : at + 3] if coded[at] == "=" else coded[at] for at in _starts(coded)]
    lines = [b"".join(unit.encode() for unit in units[at : at + width]) for at in range(0, len(units), width)]
    with windows(size):
        octets, part = leaf(b"= \t\r\n".join(lines) + b"=\n", "quoted-printable")
        assert b"".join(decoded_octets(octets, part)) == data


def _starts(coded: str) -> list[int]:
    starts, at = [], 0
    while at < len(coded):
        starts.append(at)
        at += 3 if coded[at] == "=" else 1
    return starts


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"a =\r\nb  \r\nc", b"a b\r\nc\r\n"),
        (b"a= \t\nb", b"ab\r\n"),
        (b"=4", b"=4\r\n"),
        (b"a=zzb", b"a=zzb\r\n"),
        (b"a==41b", b"a=Ab\r\n"),
        (b"=\rhidden\nx", b"=\rhidden\r\nx\r\n"),
        (b"=0A=0D", b"\n\r\r\n"),
        (b"a_b=3d=3D", b"a_b==\r\n"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_what_quoted_printable_is_and_is_not(written: bytes, read: bytes, size: int) -> None:
    with windows(size):
        octets, part = leaf(written, "quoted-printable")
        assert b"".join(decoded_octets(octets, part)) == read


@given(
    st.binary(max_size=100),
    st.integers(1, 80),
    st.sampled_from([b"", b"\n", b" \r\n\t", b"\n\n"]),
    st.sampled_from([1, 3, 64]),
)
def test_base64_however_it_is_folded(data: bytes, width: int, end: bytes, size: int) -> None:
    with windows(size):
        for written in (encoded(data, "base64", width), encoded(data, "base64", width).rstrip(b"=")):
            octets, part = leaf(written + end, "base64")
            assert b"".join(decoded_octets(octets, part)) == data


@given(st.text("QUJD=*", max_size=12), st.sampled_from([1, 3, 64]))
@example("=====", 64)
@example("QUJD=", 64)
def test_base64_that_is_none_is_hashed_as_it_is_written(written: str, size: int) -> None:
    with windows(size):
        octets, part = leaf(written.encode(), "base64")
        held = content(octets, part)
    # By a pattern: Python may take padding behind a whole quantum for base64, also where it is strict.
    if re.fullmatch("([A-Z]{4})*([A-Z]{2}={0,2}|[A-Z]{3}=?)?", written):
        assert (held.label, held.sound) == ("", True)
        assert held.sha256 == hashlib.sha256(base64.b64decode(written + "==")).hexdigest()
    else:
        assert (held.label, held.sound) == ("base64 as written", False)
        assert held.sha256 == hashlib.sha256(written.encode()).hexdigest()


@pytest.mark.parametrize(
    ("charset", "octets", "label"),
    [
        ("", b"abc", "utf-8"),
        ("us-ascii", "é".encode(), "utf-8"),
        ("us-ascii", b"\xe9", "text in us-ascii"),
        ("utf-8", b"\xe9", "text in utf-8"),
        ("rot13", b"abc", "text in rot13"),
        ("utf-7", b"+2AA-", "text in utf-7"),
        ("euc-kr", "뷁".encode("cp949"), "utf-8"),
        ("johab", b"\\", "utf-8"),
        ("hz", b"~{VP~}", "utf-8"),
        ("utf-16", b"\xff\xfea", "text in utf-16"),
    ],
)
def test_texts(charset: str, octets: bytes, label: str) -> None:
    mail, part = leaf(base64.b64encode(octets), "base64", "text/plain", charset)
    held = content(mail, part)
    assert held.label == label
    if label != "utf-8":
        assert held.sha256 == hashlib.sha256(octets).hexdigest()
    else:
        text = octets.decode({"us-ascii": "utf-8", "euc-kr": "cp949"}.get(charset, charset or "ascii"))
        assert held.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_blanks_in_a_text_are_content_and_line_ends_after_it_are_not() -> None:
    plain = climb(mail(b"a  b \r\nc"))
    assert climb(mail(b"a  b \r\nc\r\n\r\n\r\n")).mime_sha256 == plain.mime_sha256
    for other in (b"a b \r\nc", b"a  b\r\nc", b"a  b \r\nc ", b"a  b \r\n\r\nc", b"a  b \r\nc\r", b"\r\na  b \r\nc"):
        assert climb(mail(other)).mime_sha256 != plain.mime_sha256


def test_line_ends_of_what_is_no_text_are_content() -> None:
    kind = b"Content-Type: application/x"
    assert climb(mail(b"a\r\n", kind)).mime_sha256 != climb(mail(b"a\r\n\r\n", kind)).mime_sha256
    in_base64 = climb(under((), part("application/x", b"a\n", "base64")))
    assert in_base64.mime_sha256 != climb(under((), part("application/x", b"a\r\n", "base64"))).mime_sha256


def test_an_unknown_encoding_counts() -> None:
    one, other = (mail(b"abc", b"Content-Transfer-Encoding: x-" + name) for name in (b"a", b"b"))
    assert tree(one) != tree(other)
    assert tree(mail(b"abc", b"Content-Transfer-Encoding: 8BIT (really)")) == tree(mail(b"abc"))
