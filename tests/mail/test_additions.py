"""What a gateway adds, and what it may not touch."""

from __future__ import annotations

import pytest

from integrity.errors import UsageError
from integrity.mail.rungs import climb
from integrity.transit import Addition
from tests.mail.mails import HEADERS, multipart, part, under

TAG = Addition(name="tag", to="subject", text="[EXTERNAL] ", reason="policy")
FOOT = Addition(name="foot", to="text/plain", text="\r\n-- \r\nThis mail is 기밀.\r\n", reason="policy")
BANNER = Addition(name="banner", to="text/html", text="<p>external</p>\n", reason="policy")


def sent(text: bytes = b"Hello", html: bytes = b"<b>Hello</b>\r\n<i>x</i>", subject: bytes = b"Offer") -> bytes:
    headers = (*(header for header in HEADERS if not header.startswith(b"Subject")), b"Subject: " + subject)
    return under(
        headers, multipart(part("text/plain; charset=utf-8", text), part("text/html", html), kind=b"alternative")
    )


def added(data: bytes, *additions: Addition) -> tuple[str, ...]:
    rungs = climb(data, additions)
    plain = climb(sent())
    assert (rungs.mime_sha256, rungs.mime_tree) == (plain.mime_sha256, plain.mime_tree)
    assert rungs.raw_sha256 == climb(data).raw_sha256
    assert rungs.relaxed_sha256 == climb(data).relaxed_sha256
    return rungs.added


def test_nothing_added_changes_nothing() -> None:
    assert added(sent(), TAG, FOOT, BANNER) == ()


@pytest.mark.parametrize("subject", [b"[EXTERNAL] Offer", b"[EXTERNAL]\r\n  Offer", b"=?utf-8?q?[EXTERNAL]_Offer?="])
def test_a_tag_before_a_subject(subject: bytes) -> None:
    assert added(sent(subject=subject), TAG) == ("tag",)


def test_a_tag_elsewhere_in_a_subject_stays() -> None:
    data = sent(subject=b"Re: [EXTERNAL] Offer")
    assert climb(data, [TAG]).mime_sha256 == climb(data).mime_sha256
    assert climb(data, [TAG]).added == ()


def test_a_text_after_a_plain_text() -> None:
    assert added(sent("Hello\r\n\r\n-- \r\nThis mail is 기밀.\r\n\r\n".encode()), FOOT) == ("foot",)
    assert climb(sent("\n-- \nThis mail is 기밀.\nno, it is not".encode()), [FOOT]).added == ()


def test_a_text_at_either_end_of_a_html() -> None:
    for html in (
        b"<b>Hello</b>\r\n<i>x</i>\r\n<p>external</p>\r\n",
        b"<p>external</p>\r\n<b>Hello</b>\r\n<i>x</i>",
    ):
        assert added(sent(html=html), BANNER) == ("banner",)
    inside = b"<html><head><title>t</title></head><body class=x>\r\n<p>external</p>\r\n<b>Hello</b></body></html>"
    assert climb(sent(html=inside), [BANNER]).added == ("banner",)


@pytest.mark.parametrize(
    ("data", "addition"),
    [
        (sent(html=b"Pay 1<p>external</p>00"), BANNER),
        (sent(html=b"<b>Pay</b> 1\r\n<p>external</p>\r\n00"), BANNER),
        (
            sent(b"Pay 1\r\nx--\r\nconfidential"),
            Addition(name="foot", to="text/plain", text="--\nconfidential", reason="policy"),
        ),
    ],
)
def test_in_the_middle_it_might_change_what_others_say(data: bytes, addition: Addition) -> None:
    assert climb(data, [addition]).added == ()


def test_the_last_occurrence_is_removed() -> None:
    twice = b"<p>external</p>\r\n<b>Hello</b>\r\n<p>external</p>\r\n</body>"
    once = sent(html=b"<p>external</p>\r\n<b>Hello</b>\r\n</body>")
    assert climb(sent(html=twice), [BANNER]).mime_sha256 == climb(once).mime_sha256


def test_one_addition_behind_another() -> None:
    other = Addition(name="other", to="text/plain", text="Sent through X", reason="policy")
    both = "Hello\r\n\r\n-- \r\nThis mail is 기밀.\r\nSent through X".encode()
    assert added(sent(both), FOOT, other) == ("other", "foot")


def test_attachments_and_forwarded_mails_are_left_alone() -> None:
    foot = Addition(name="foot", to="text/plain", text="FOOT", reason="policy")
    attached = under(HEADERS, part("text/plain", b"Hello FOOT", "8bit", "Content-Disposition: attachment"))
    forwarded = under(
        HEADERS, multipart(b"Content-Type: message/rfc822\r\n\r\nSubject: [EXTERNAL] x\r\n\r\nHello FOOT")
    )
    for data in (attached, forwarded):
        assert climb(data, [foot, TAG]) == climb(data)


def test_a_mail_without_message_id_is_known_by_what_is_left() -> None:
    one = climb(b"Subject: x\n\nHello")
    assert climb(b"Subject: [EXTERNAL] x\n\nHello", [TAG]).message_id == one.message_id


def test_an_addition_has_a_text() -> None:
    with pytest.raises(UsageError, match="text: is empty"):
        Addition(name="a", to="subject", text=" \n", reason="policy")
