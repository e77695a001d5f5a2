"""The tree of a mail: what is walked, what is broken, and how long the worst may take."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from integrity.mail.rungs import climb
from tests.mail.mails import HEADERS, differing, mail, multipart, part, tree, under


def test_the_tree_of_a_usual_mail() -> None:
    body = multipart(
        part("text/plain", b"Hello"),
        part("text/html; charset=utf-8", b"<p>Hello</p>"),
        kind=b"alternative",
        boundary=b"in",
    )
    file = part("application/pdf; name=a.pdf", b"%PDF", "base64", "Content-Disposition: attachment")
    forwarded = b"Content-Type: message/rfc822\r\n\r\n" + under(
        (b"Subject: Old",), multipart(b"\r\nOld", boundary=b"old")
    )
    names = list(tree(under(HEADERS, multipart(body, file, forwarded))))
    assert [name for name in names if not name.startswith("header")] == [
        "part 0 (multipart/mixed)",
        "part 1 (multipart/alternative)",
        "part 1.1 (text/plain)",
        "part 1.2 (text/html)",
        "attachment 2 (a.pdf)",
        "part 3 (message/rfc822)",
        "part 3 (multipart/mixed)",
        "part 3.1 (text/plain)",
    ]
    assert "header subject of 3" in names


def test_a_changed_subject_of_a_forwarded_mail_is_named() -> None:
    def forwarding(subject: bytes) -> bytes:
        inner = b"Content-Type: message/rfc822\r\n\r\nSubject: " + subject + b"\r\n\r\nHi"
        return under(HEADERS, multipart(b"\r\nsee below", inner))

    assert differing(forwarding(b"Old"), forwarding(b"New")) == {"header subject of 2"}


def test_a_digest_holds_messages() -> None:
    names = tree(under(HEADERS, multipart(b"\r\nSubject: a\r\n\r\nx", b"\r\nSubject: b\r\n\r\ny", kind=b"digest")))
    assert {"header subject of 1", "header subject of 2", "part 2.1 (text/plain)"} <= set(names)


def test_boundaries_preamble_and_epilogue_do_not_count() -> None:
    one = under(HEADERS, multipart(b"\r\nx", boundary=b"one"))
    other = under(HEADERS, multipart(b"\r\nx", boundary=b"other")).replace(
        b"\r\n\r\n--other", b"\r\n\r\npreamble\r\n--other \t"
    )
    assert climb(one).mime_sha256 == climb(other + b"\r\nepilogue").mime_sha256


def test_an_inner_multipart_may_have_the_boundary_of_the_outer() -> None:
    inner = multipart(b"\r\na", boundary=b"b1")
    assert climb(under(HEADERS, multipart(inner, b"\r\nb", boundary=b"b1"))).defects is None


def test_an_mbox_line_before_the_header_is_skipped() -> None:
    sent = mail(b"Hello")
    for line in (b"From kim@x Mon Mar  2 10:00:00 2026\r\n", b">From kim@x Mon 10:00 2026\r\n"):
        assert climb(line + sent).defects is None
        assert climb(line + sent).mime_sha256 == climb(sent).mime_sha256


def test_a_first_header_that_looks_like_such_a_line_is_one() -> None:
    honest, forged = (b"From : %b@x\nSubject: s\n\nhi\n" % who for who in (b"boss", b"evil"))
    assert climb(honest).mime_sha256 != climb(forged).mime_sha256
    assert climb(honest).relaxed_sha256 != climb(forged).relaxed_sha256
    for line in (b"From nobody\n", b"From x Mon Mar  2 10:00:00 2026\n Pay 100\n"):
        assert climb(line + honest).mime_sha256 != climb(honest).mime_sha256
        assert climb(line + honest).defects == "a header line without a colon"


SAID_TWICE = [
    (b'Content-Type: message/external-body; URL="http://good"', b'Content-Type: message/external-body; URL="http://evil"'),
    (b"Content-Type: image/png\nContent-ID: <1>", b"Content-Type: image/png\nContent-ID: <2>"),
    (b"Content-Type: text/calendar; method=REQUEST", b"Content-Type: text/calendar; method=CANCEL"),
    (b"Content-Type: text/plain; format=flowed; delsp=yes", b"Content-Type: text/plain"),
    (
        b"Content-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment; filename=a.pdf",
        b"Content-Type: application/pdf; name=a.exe\nContent-Disposition: attachment; filename=a.pdf",
    ),
    (
        b"Content-Disposition: attachment; filename=a.pdf; filename*=utf-8''b.pdf",
        b"Content-Disposition: attachment; filename=c.pdf; filename*=utf-8''b.pdf",
    ),
    (
        b"Content-Disposition: attachment; filename=a.pdf",
        b"Content-Disposition: attachment; filename=a.pdf; filename=b.exe",
    ),
    (b"Content-Type: text/plain", b"Content-Type: text/plain\nContent-Type: text/html"),
    (b"Content-Type: text/plain", b"Content-Type: text/plain\nContent-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64"),
    (b"Content-Disposition: inline; filename=a.pdf", b"Content-Disposition: attachment; filename=a.pdf"),
]  # fmt: skip


@pytest.mark.parametrize(("honest", "forged"), SAID_TWICE)
def test_what_another_reader_might_go_by_is_compared(honest: bytes, forged: bytes) -> None:
    one, other = (climb(b"Subject: s\nMIME-Version: 1.0\n" + header + b"\n\nhi\n") for header in (honest, forged))
    assert one.mime_sha256 != other.mime_sha256
    assert one.mime_tree != other.mime_tree


def test_two_boundaries_are_a_defect_and_compared() -> None:
    body = b"\n\n--a\n\none\n--a--\n--b\n\ntwo\n--b--\n"
    one, other = (
        climb(b"Content-Type: multipart/mixed; boundary=a; boundary=" + second + body) for second in (b"b", b"a")
    )
    assert one.defects == "the parameter boundary is there twice"
    assert one.mime_sha256 != other.mime_sha256


def test_a_boundary_with_two_blanks() -> None:
    mail_ = b'Content-Type: multipart/mixed; boundary="a  b"\n\n--a  b\n\none\n--a  b--\n'
    assert climb(mail_).defects is None
    assert climb(mail_).mime_sha256 == climb(mail_.replace(b"a  b", b"c")).mime_sha256


BOUND = b'Content-Type: multipart/mixed; boundary="b"\r\n'


@pytest.mark.parametrize(
    ("data", "defects"),
    [
        (b"", "no header"),
        (b"\n\nbody", "no header"),
        (b"A: b\nno colon\n\nbody", "a header line without a colon"),
        (b" folded\nA: b\n\nbody", "a header line without a colon"),
        (b"A: \0\n\nbody", "NUL octets in a header"),
        (b"Content-Type: multipart/mixed\n\n--b\n\nx\n--b--\n", "a multipart without boundary"),
        (BOUND + b"\r\nnothing", "the boundary of the mail never comes"),
        (BOUND + b"\r\n--b--\r\n", "the boundary of the mail never comes"),
        (BOUND + b"\r\n--b\r\n\r\ntruncat", "the closing boundary of the mail is missing"),
        (BOUND + b"\r\n--b\r\n\r\nx\r\n--b-", "the closing boundary of the mail is missing"),
        (b"Content-Transfer-Encoding: base64\n\nQUJ*", "part 1 is not base64"),
        (b"Content-Transfer-Encoding: base64\n\nQUJD\nQQ==\nQUJD", "part 1 is not base64"),
        (b"Content-Transfer-Encoding: base64\n\nQUJDR", "part 1 is not base64"),
        (b"Content-Transfer-Encoding: base64\n\nQUJDRA", None),
        (BOUND + b"\r\n--b--not\r\n--b\r\n\r\nx\r\n--b--", None),
        (b"X: y\n" * 100_001 + b"\n", "more than 100,000 headers"),
        (b"X: y\n" * 100_000 + b"\n", None),
        (b"X: " + b"y" * 2**22 + b"\n\n", "a header of more than 4,194,304 octets"),
    ],
)
def test_defects(data: bytes, defects: str | None) -> None:
    assert climb(data).defects == defects


def test_an_inner_multipart_that_the_outer_cut_short() -> None:
    inner = BOUND + b"\r\n--b\r\n\r\nx"
    assert climb(under(HEADERS, multipart(inner, b"\r\ny"))).defects == "the closing boundary of part 1 is missing"


@pytest.mark.parametrize(
    "before",
    [
        b"A: b\nno colon ",
        b"A: b\n\n",
        b"Content-Type: multipart/mixed\n\n",
        BOUND + b"\r\n",
        BOUND + b"\r\n--b\r\n",
        b"Content-Transfer-Encoding: base64\n\n*",
        b"Content-Transfer-Encoding: x-own\n\n",
        b"Content-Type: text/plain; charset=rot13\n\n",
        b"X: y\n" * 100_001 + b"X: ",
        b"X: " + b"y" * 2**22,
        b"A: b\nContent-Type: message/rfc822\n\n\n",
    ],
)
def test_what_is_broken_is_hashed_all_the_same(before: bytes) -> None:
    one, other = climb(before + b"one"), climb(before + b"two")
    assert one.mime_sha256 != other.mime_sha256
    assert one.mime_tree != other.mime_tree
    assert one.relaxed_sha256 != other.relaxed_sha256


def nested(levels: int, content: bytes, kind: bytes = b"mixed") -> bytes:
    opened = b"".join(b"Content-Type: multipart/%b; boundary=b%d\n\n--b%d\n" % (kind, n, n) for n in range(levels))
    return opened + b"\n" + content + b"".join(b"\n--b%d--" % n for n in reversed(range(levels)))


@pytest.mark.parametrize("kind", [b"mixed", b"digest"])
def test_ten_thousand_multiparts_in_one_another(kind: bytes) -> None:
    started = time.monotonic()
    one, other = climb(nested(10_000, b"one", kind)), climb(nested(10_000, b"two", kind))
    assert time.monotonic() - started < 20  # a guard against the quadratic, no measurement
    assert one.mime_sha256 != other.mime_sha256
    assert "nested more than 100 deep" in (one.defects or "")
    assert climb(nested(99, b"one", b"mixed")).defects is None


def test_ten_thousand_messages_in_one_another() -> None:
    message = b"Content-Type: message/rfc822\n\n" * 10_000
    assert climb(message + b"Subject: a\n\n").mime_sha256 != climb(message + b"Subject: b\n\n").mime_sha256


def hostile() -> dict[str, bytes]:
    return {
        "parts without a blank line": BOUND + b"\n" + b"--b\nX\n" * 100_000,
        "quotations without an end": b"Content-Type: text/plain" + b';a="' * 500_000 + b"\n\n",
        "half encoded-words": b"Subject: " + b"=?a?q?" * 500_000 + b"\n\n",
        "stars": b"Subject: =?" + b"*" * 2_000_000 + b"\n\n",
        "blanks": b"Content-Transfer-Encoding: quoted-printable\n\n" + (b" " * 2_000_000 + b"x\n") * 2,
        "blanks in a header": b"Subject: " + b" " * 3_000_000 + b"x\n\n",
        "dashes": BOUND + b"\n" + b"--x\n" * 500_000,
        "equals signs": b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=" * 3_000_000,
        "unclosed siblings": BOUND + b"\n" + (b"--b\nContent-Type: multipart/x; boundary=c\n\n--c\n\nx\n") * 20_000,
        "backslashes": b'Content-Type: text/plain; a="' + b"\\" * 3_000_000 + b"\n\n",
        "continuations": b"Subject: x\n" + b" \n" * 2_000_000 + b"\n",
        "dates": b"Date: " + b"1 " * 1_000_000 + b"\n\n",
        "filenames": b"Content-Disposition: x" + b"".join(b"; filename*%d=a" % n for n in range(50_000)) + b"\n\n",
    }


@pytest.mark.parametrize("name", hostile())
def test_hostile_mails_take_linear_time(name: str) -> None:
    started = time.monotonic()
    climb(hostile()[name])
    assert time.monotonic() - started < 20  # a guard against the quadratic, no measurement


@pytest.mark.parametrize(
    "charset", ["rot13", "zlib", "hex", "idna", "unicode_escape", "../../x", "\0", "undefined", "mbcs", "안"]
)
def test_a_codec_that_is_no_charset_is_never_reached(charset: str) -> None:
    data = mail("안녕 abc".encode(), f"Content-Type: text/plain; charset={charset}".encode())
    word = b"Subject: =?" + charset.encode() + b"?q?abc?=\r\n"
    assert tree(data)
    assert climb(word + b"\r\n").mime_sha256 != climb(b"Subject: abc\r\n\r\n").mime_sha256


PROBE = """
import mmap, sys
from integrity.mail.rungs import climb
def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
warm = climb(b"Subject: =?utf-8?q?x?=\\nContent-Transfer-Encoding: base64\\n\\nQUJD\\n" * 3)
before = resident()
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
    climb(mapped)
print((resident() - before) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize(
    ("head", "unit"),
    [
        (
            BOUND + b"\r\n--b\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\n",
            b"QUJD" * 19 + b"\r\n",
        ),
        (
            b"Content-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=euc-kr\r\n\r\n",
            b"=B0=A1 =\r\n",
        ),
        (b"", b"x"),
        (b"", b"\n"),
        (b"Content-Transfer-Encoding: quoted-printable\n\n", b" \t "),
        (b"Content-Type: text/plain; charset=utf-8\n\n", "가🙂\r\n".encode()),
    ],
    ids=["base64", "quoted-printable", "one line", "blank lines", "encoded blanks", "utf-8"],
)
def test_a_large_mail_is_never_in_memory(head: bytes, unit: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(head)
        block = unit * (2**20 // len(unit))
        for _ in range(80):
            file.write(block)
        file.flush()
        done = subprocess.run(
            [sys.executable, "-c", PROBE, file.name],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONPATH": os.getcwd()},
        )
    assert int(done.stdout) < 64
