"""The contracts of mail, on real mails and by what is done to mail: moved, re-encoded, logged, journaled, added to."""

from __future__ import annotations

import base64
import csv
import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import integrity
import integrity.drafts
from integrity.mail.rungs import climb
from tests import corpora
from tests.mail_servers import Server, dovecot, pymap
from tests.stores.test_mailboxes import maildir, written

__all__ = ["dovecot", "pymap"]

AS_OF = dt.datetime(2026, 3, 4, tzinfo=dt.UTC)


def mail(
    number: int, body: bytes = b"hello\n", *, to: str = "kim", subject: bytes = b"hello", named: bool = True
) -> bytes:
    identity = b"Message-ID: <%d@acme.example>\n" % number if named else b""
    return b"From: lee@acme.example\nTo: %b@acme.example\nSubject: %b\nDate: Mon, 2 Mar 2026 09:00:00 +0900\n%b\n%b" % (
        to.encode(),
        subject,
        identity,
        body,
    )


def multipart(number: int, *parts: bytes) -> bytes:
    inside = b"".join(b"--b\n" + part + b"\n" for part in parts)
    head, _, _ = mail(number).partition(b"\n\n")
    return head + b'\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n' + inside + b"--b--\n"


TEXT = b"Content-Type: text/plain; charset=utf-8\n\n" + "안녕하세요\n".encode()
PDF = b"Content-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(
    b"%PDF-1.7 " * 9
)


def kept(where: Path, mails: Mapping[str, Iterable[bytes]], crlf: bool = True, start: int = 1772409600) -> Path:
    """A tree of Maildirs, a mail delivered each second."""
    second = start
    for mailbox, each in mails.items():
        box = maildir(where / mailbox)
        for octets in each:
            second += 1
            data = re.sub(rb"\r?\n", b"\r\n", octets) if crlf else octets
            (box / "new" / f"{second}.M1P1.host").write_bytes(data)
    return where


def reconcile(contract: str | integrity.Contract, source: object, destination: object, **how: Any) -> integrity.Result:
    return integrity.reconcile(contract, str(source), str(destination), as_of=AS_OF, **how)


def ladder(result: integrity.Result) -> dict[str, int]:
    return {rung.column.removesuffix("_sha256"): rung.count for rung in result.ladder if rung.count}


def breaks(result: integrity.Result) -> dict[tuple[str, str], str | None]:
    rows = [row for batch in result.iter_breaks() for row in batch.to_pylist()]
    return {(row["kind"], row["message_id"]): row["differing"] for row in rows}


# ---- mailboxes that moved ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", corpora.NAMES)
def test_real_mails_survive_every_store_and_none_is_lost(name: str, tmp_path: Path) -> None:
    """Whatever a parser thinks of them, they are hashed raw; what is wrong with them is said, and is no reason to differ."""
    mails = list(corpora.mails(name).values())
    old = kept(tmp_path / "old", {"kim": mails}, crlf=False)
    moved = kept(tmp_path / "new", {"kim": mails}, crlf=True)
    result = reconcile("mailbox", f"maildir:{old}", f"maildir:{moved}")
    assert result.totals["matched"] == len(mails)
    assert set(breaks(result)) <= {("invalid", str(message)) for message in [climb(each).message_id for each in mails]}
    same = reconcile("mailbox", f"maildir:{old}", f"maildir:{old}")
    assert ladder(same) == {"raw": len(mails)}
    assert not set(ladder(result)) - {"raw", "crlf"}
    sound = [octets for octets in mails if climb(octets).defects is None]
    box = written(tmp_path / "kim.mbox", sound)
    sound_maildir = kept(tmp_path / "sound", {"kim": sound}, crlf=False)
    boxed = reconcile("mailbox", f"mbox:{box}", f"maildir:{sound_maildir}")
    assert (boxed.verdict, boxed.totals["matched"]) == ("pass", len(sound))


def test_each_rung_is_counted_and_what_differs_is_named(tmp_path: Path) -> None:
    whole = multipart(4, TEXT, PDF)
    encoded = multipart(
        4,
        TEXT.replace(b"\n\n", b"\nContent-Transfer-Encoding: base64\n\n").replace(
            "안녕하세요\n".encode(), base64.b64encode("안녕하세요\n".encode()) + b"\n"
        ),
        PDF,
    )
    before = [
        mail(1),
        mail(2),
        mail(3),
        whole,
        multipart(5, TEXT, PDF),
        mail(6),
        multipart(7, TEXT, PDF),
        mail(8, named=False),
    ]
    after = [
        mail(1),
        mail(2).replace(b"\n", b"\r\n"),
        b"Received: from x by y; Mon, 2 Mar 2026 00:00:05 +0000\n"
        + mail(3).replace(b"Subject: hello", b"Subject:\n\thello"),
        encoded,
        multipart(5, TEXT, PDF.replace(b"JVBERi", b"JVBERj")),
        mail(6, subject=b"hallo"),
        multipart(7, TEXT),
        mail(8, named=False),
    ]
    old, moved = (kept(tmp_path / name, {"kim": mails}, crlf=False) for name, mails in (("a", before), ("b", after)))
    result = reconcile("mailbox", f"maildir:{old}", f"maildir:{moved}")
    assert ladder(result) == {"raw": 2, "crlf": 1, "relaxed": 1, "mime": 1}
    assert breaks(result) == {
        ("corrupt", "<5@acme.example>"): "attachment 2 (a.pdf)",
        ("corrupt", "<6@acme.example>"): "header subject",
        ("corrupt", "<7@acme.example>"): "attachment 2 (a.pdf)",
    }
    assert "2 identical in bytes, 1 with other line ends, 1 with other trace headers or folding" in str(result)
    assert "1 re-encoded on the way, 3 corrupt" in str(result)
    written_down = json.loads(result.to_json())["ladder"]
    assert [rung["count"] for rung in written_down] == [2, 1, 1, 1]


def test_a_mail_without_message_id_is_matched_by_content(tmp_path: Path) -> None:
    """Two with the same text are two; one that changed is lost and extra, because nothing names it."""
    before = [mail(0, named=False), mail(0, named=False), mail(0, b"other\n", named=False)]
    after = [mail(0, named=False).replace(b"\n", b"\r\n"), mail(0, named=False), mail(0, b"changed\n", named=False)]
    old, moved = (kept(tmp_path / name, {"kim": mails}, crlf=False) for name, mails in (("a", before), ("b", after)))
    result = reconcile("mailbox", f"maildir:{old}", f"maildir:{moved}")
    assert (ladder(result), sorted(result.breaks["kind"])) == ({"raw": 1, "crlf": 1}, ["extra", "lost"])


def test_a_message_id_is_a_candidate_and_never_a_proof(tmp_path: Path) -> None:
    """Different mails of one Message-ID are matched by content; dropping one of them is seen."""
    before = [mail(1), mail(1, b"another mail\n"), mail(1, b"a third\n")]
    old = kept(tmp_path / "a", {"kim": before})
    moved = kept(tmp_path / "b", {"kim": [before[2], before[0]]})
    result = reconcile("mailbox", f"maildir:{old}", f"maildir:{moved}")
    assert (result.totals["matched"], breaks(result)) == (2, {("lost", "<1@acme.example>"): None})


def test_mails_of_another_mailbox_are_misrouted(tmp_path: Path) -> None:
    old = kept(tmp_path / "a", {"kim": [mail(1)], "lee": [mail(2)]})
    moved = kept(tmp_path / "b", {"kim": [], "lee": [mail(2), mail(1)]})
    result = reconcile("mailbox", f"maildir:{old}", f"maildir:{moved}")
    assert dict(zip(result.breaks["kind"], result.breaks["reason"], strict=True)) == {
        "lost": "misrouted: it is in mailbox lee",
        "extra": "misrouted: it belongs in mailbox kim",
    }


def test_a_mail_that_cannot_be_parsed_is_invalid_and_still_compared(tmp_path: Path) -> None:
    broken = multipart(1, TEXT, PDF)[:-8]
    old, moved = kept(tmp_path / "a", {"kim": [broken]}), kept(tmp_path / "b", {"kim": [broken]})
    result = reconcile("mailbox", f"maildir:{old}", f"maildir:{moved}")
    assert (result.totals["matched"], result.totals["invalid"]) == (1, 1)
    assert "closing boundary" in result.breaks["reason"][0]
    assert result.breaks["reason"][0].count("closing boundary") == 1  # once, though both sides say it


def test_a_draft_for_two_mailboxes_is_the_contract_that_there_is(tmp_path: Path) -> None:
    box = kept(tmp_path, {"kim": [mail(1)]})
    drafted = integrity.drafts.draft(f"maildir:{box}", f"maildir:{box}", "ours")
    assert integrity.Contract.from_text(drafted)._form() == integrity.contract("mailbox")._form() | {"name": "ours"}


# ---- delivery ----------------------------------------------------------------------------------------------


def gateway(path: Path, mails: Mapping[tuple[str, ...], bytes]) -> Path:
    """A journal of the accepting server: when and for whom it took each mail, at 09:00:00 and each second after."""
    stamped = [
        b"".join(b"X-Original-To: %b\n" % address.encode() for address in addresses)
        + b"Received: from x by gate; Mon, 2 Mar 2026 00:00:%02d +0000\n" % second
        + octets
        for second, (addresses, octets) in enumerate(mails.items())
    ]
    return written(path, stamped)


def test_a_journal_of_the_gateway_against_mailboxes(tmp_path: Path) -> None:
    source = gateway(
        tmp_path / "gate.mbox",
        {
            ("kim@acme.example", "all@acme.example"): mail(1),
            ("Park@ACME.example",): mail(2),
            ("choi@acme.example",): mail(3),
            ("lee@acme.example",): mail(4),
        },
    )
    boxes = kept(tmp_path / "boxes", {"kim": [mail(1)], "lee": [mail(1), mail(4)], "park": [mail(2, b"Hello\n")]})
    for folder, number in ((".Sent", 8), (".Trash", 3), (".&vPSwuNO4ycDVaA-", 9), (".Work", 10)):
        (maildir(boxes / "kim" / folder) / "cur" / f"17724096{number:02d}.a").write_bytes(mail(number))
    people = ("kim", "lee", "park", "choi")
    with open(tmp_path / "members.csv", "w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["address", "mailbox", "since", "until"])
        lines.writerows([f"{who}@acme.example", who, "", ""] for who in people)
        lines.writerow(["all@acme.example", "kim@acme.example", "2020-01-01T00:00:00Z", ""])
        lines.writerow(["all@acme.example", "lee@acme.example", "2020-01-01T00:00:00Z", ""])
        lines.writerow(["all@acme.example", "park@acme.example", "2026-03-02T00:00:01Z", ""])  # a second too late
    (tmp_path / "outcomes.csv").write_text(
        "mailbox,message_id,outcome,at\nchoi,<3@acme.example>,bounced,2026-03-02T00:01:00Z\n", encoding="utf-8"
    )
    result = reconcile(
        "mail",
        f"mbox:{source}?by=envelope",
        f"maildir:{boxes}",
        members=str(tmp_path / "members.csv"),
        outcomes=str(tmp_path / "outcomes.csv"),
    )
    assert breaks(result) == {
        ("corrupt", "<2@acme.example>"): "part 1 (text/plain)",
        ("extra", "<10@acme.example>"): None,
    }
    assert (result.totals["matched"], result.totals["accounted"]) == (3, 1)
    assert {e["name"]: e["count"] for e in result.exclusions if e["count"]} == {
        "own folders": 2,
        "trash": 1,
    }
    assert result.batches["latency_max"].max() <= dt.timedelta(seconds=10)


def test_an_acceptance_log_proves_delivery_and_leaves_the_content_unverified(tmp_path: Path) -> None:
    log = pl.DataFrame(
        {
            "message_id": [f"<{number}@acme.example>" for number in (1, 2, 3)],
            "recipient": ["kim", "lee", "lee"],
            "accepted_at": [dt.datetime(2026, 3, 2, tzinfo=dt.UTC)] * 3,
            "size": [100, 200, 300],
        }
    )
    boxes = kept(tmp_path, {"kim": [mail(1)], "lee": [mail(2), mail(2)]})
    result = integrity.reconcile(
        "mail", log, f"maildir:{boxes}", columns={"source": {"recipient": "mailbox"}}, as_of=AS_OF
    )
    assert breaks(result) == {("duplicate", "<2@acme.example>"): None, ("lost", "<3@acme.example>"): None}
    assert (result.totals["matched"], result.totals["unverified"]) == (0, 2)
    assert (result.assertions["completeness"], result.assertions["accuracy"]) == ("fail", "unverified")
    assert any("source has no mime_sha256" in note for note in result.notes)
    assert "not planted: corrupt (no content that could differ is on both sides)" in result.self_test
    # A log that kept one digest is compared by it, and by no other.
    contract = integrity.Contract.from_dict(
        {
            **integrity.contract("mail")._form(),
            "content": {"raw_sha256": {"type": "text", "evidence": True}},
            "ladder": [],
        }
    )
    digests = [climb(re.sub(rb"\r?\n", b"\r\n", mail(number))).raw_sha256 for number in (1, 2, 3)]
    result = integrity.reconcile(
        contract,
        log.with_columns(pl.Series("raw_sha256", digests)),
        f"maildir:{boxes}",
        columns={"source": {"recipient": "mailbox"}},
        as_of=AS_OF,
    )
    assert (result.totals["matched"], result.totals["unverified"]) == (2, 0)


def test_a_date_that_a_client_set_proves_nothing(tmp_path: Path) -> None:
    """The Date header lies by fifty years on both sides: the servers' times count."""
    lying = mail(1).replace(b"2 Mar 2026", b"2 Mar 1976")
    source = gateway(tmp_path / "gate.mbox", {("kim",): lying})
    boxes = kept(tmp_path / "boxes", {"kim": [lying]})
    result = reconcile("mail", f"mbox:{source}?by=envelope", f"maildir:{boxes}", skip={"authorization": "no grants"})
    assert (result.verdict, result.totals["late"], result.totals["skewed"]) == ("pass", 0, 0)


def test_late_mail_is_late_by_the_time_of_acceptance(tmp_path: Path) -> None:
    source = gateway(tmp_path / "gate.mbox", {("kim",): mail(1), ("lee",): mail(2)})
    boxes = kept(tmp_path / "boxes", {"kim": [mail(1)]})
    kept(boxes, {"lee": [mail(2)]}, start=1772409600 + 7200)
    result = reconcile("mail", f"mbox:{source}?by=envelope", f"maildir:{boxes}")
    (late,) = result.breaks.itertuples()
    assert (late.kind, late.mailbox, late.reason) == ("late", "lee", "took 7200.0 s, limit 1m")
    assert result.assertions["timeliness"] == "fail"


def test_a_store_that_stamps_no_delivery_proves_no_punctuality(tmp_path: Path) -> None:
    """The same octets on both sides: the Received header on top is that of acceptance, and says nothing of delivery."""
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / "1.eml").write_bytes(b"Received: from x by gate; Mon, 2 Mar 2026 00:00:00 +0000\n" + mail(1))
    result = reconcile("mail", f"eml:{tmp_path}/gate", f"eml:{tmp_path}/gate")
    assert (result.totals["matched"], result.assertions["timeliness"]) == (1, "unverified")


def test_what_reuses_an_old_message_id_is_seen_on_the_day_that_it_comes(tmp_path: Path) -> None:
    """Day one was judged already; on day two a forgery comes under its name, and a copy of it."""
    log = pl.DataFrame(
        {
            "message_id": ["<1@acme.example>", "<2@acme.example>"],
            "mailbox": ["kim", "kim"],
            "accepted_at": [dt.datetime(2026, 3, day, tzinfo=dt.UTC) for day in (2, 3)],
            "mime_sha256": [climb(mail(number)).mime_sha256 for number in (1, 2)],
        }
    )
    boxes = kept(tmp_path, {"kim": [mail(1)]})
    kept(boxes, {"kim": [mail(2), mail(1, b"pay me\n"), mail(1)]}, start=1772409600 + 86_400)
    second = integrity.reconcile(
        "mail",
        log,
        f"maildir:{boxes}",
        as_of=AS_OF + dt.timedelta(days=1),
        since="2026-03-03T00:00Z",
        until="2026-03-04T00:00Z",
    )
    assert breaks(second) == {("duplicate", "<1@acme.example>"): None}
    assert (second.totals["duplicate"], second.verdict) == (2, "fail")
    first = integrity.reconcile(
        "mail", log, f"maildir:{boxes}", as_of=AS_OF, since="2026-03-02T00:00Z", until="2026-03-03T00:00Z"
    )
    assert (first.totals["matched"], breaks(first)) == (1, {})


def test_what_nobody_sent_and_no_run_asks_for_is_counted(tmp_path: Path) -> None:
    log = pl.DataFrame(
        {
            "message_id": ["<2@acme.example>"],
            "mailbox": ["kim"],
            "accepted_at": [dt.datetime(2026, 3, 3, tzinfo=dt.UTC)],
            "mime_sha256": [climb(mail(2)).mime_sha256],
        }
    )
    boxes = kept(tmp_path, {"kim": [mail(2)]}, start=1772409600 + 86_400)
    kept(boxes, {"kim": [mail(7)]}, start=1740000000)  # as its name says, a year ago
    result = integrity.reconcile(
        "mail",
        log,
        f"maildir:{boxes}",
        as_of=AS_OF + dt.timedelta(days=1),
        since="2026-03-03T00:00Z",
        until="2026-03-04T00:00Z",
    )
    assert result.totals["extra"] == 0
    assert any(note.startswith("1 items of the destination are nowhere in the source") for note in result.notes)


def test_an_outcome_accounts_for_one_mail_of_its_message_id(tmp_path: Path) -> None:
    mails = [mail(1), mail(1, b"another\n"), mail(2)]
    source = gateway(tmp_path / "gate.mbox", {("kim",): mails[0], ("kim ",): mails[1], (" kim",): mails[2]})
    (tmp_path / "bounced.csv").write_text(
        "mailbox,message_id,outcome\nkim,<1@acme.example>,bounced\n", encoding="utf-8"
    )
    one = kept(tmp_path / "one", {"kim": [mails[1], mails[2]]}, start=1772409610)
    how = {"outcomes": str(tmp_path / "bounced.csv")}
    result = reconcile("mail", f"mbox:{source}?by=envelope", f"maildir:{one}", **how)
    assert (result.totals["accounted"], result.totals["matched"], breaks(result)) == (1, 2, {})
    none = kept(tmp_path / "none", {"kim": [mails[2]]}, start=1772409610)
    result = reconcile("mail", f"mbox:{source}?by=envelope", f"maildir:{none}", **how)
    assert (result.totals["accounted"], breaks(result)) == (1, {("lost", "<1@acme.example>"): None})


def test_several_recipients_a_row_are_for_a_source_alone(tmp_path: Path) -> None:
    source = gateway(tmp_path / "gate.mbox", {("kim",): mail(1)})
    with pytest.raises(integrity.StoreError, match=r"holds several values a row; .* of mail, leave by=envelope out"):
        reconcile("mailbox", f"mbox:{source}?by=envelope", f"mbox:{source}")


# ---- what the way adds -------------------------------------------------------------------------------------


def with_additions(*additions: Mapping[str, str]) -> integrity.Contract:
    return integrity.Contract.from_dict({**integrity.contract("mailbox")._form(), "additions": list(additions)})


PREFIX = {"name": "list prefix", "to": "subject", "text": "[staff] ", "reason": "the list's policy"}
FOOTER = {
    "name": "disclaimer",
    "to": "text/plain",
    "text": "--\nThis mail is confidential.",
    "reason": "legal department",
}


def test_a_declared_footer_is_taken_off_and_counted(tmp_path: Path) -> None:
    before = [mail(number) for number in range(6)]
    footer = b"--\nThis mail is confidential.\n"
    after = [
        mail(0, b"hello\n" + footer),
        mail(1, subject=b"[staff] hello"),
        mail(2, b"hello\n" + footer, subject=b"=?utf-8?q?=5Bstaff=5D_hello?="),
        mail(3),
        mail(4, b"hello\n" + footer + b"and more\n"),
        mail(5, b"hello\n--\nThis mail is Confidential.\n"),
    ]
    old, moved = (kept(tmp_path / name, {"kim": mails}) for name, mails in (("a", before), ("b", after)))
    result = reconcile(with_additions(PREFIX, FOOTER), f"maildir:{old}", f"maildir:{moved}")
    assert sorted(message for _, message in breaks(result)) == ["<4@acme.example>", "<5@acme.example>"]
    assert "destination: 'disclaimer' was taken off 2 mails" in result.notes
    assert "destination: 'list prefix' was taken off 2 mails" in result.notes
    undeclared = reconcile("mailbox", f"maildir:{old}", f"maildir:{moved}")
    assert undeclared.totals["corrupt"] == 5
    # Who answers to a list sends its mark along: that is no change.
    same = reconcile(with_additions(PREFIX, FOOTER), f"maildir:{moved}", f"maildir:{moved}")
    assert same.verdict == "pass"


def test_additions_of_a_store_that_cannot_take_them_off_are_said() -> None:
    frame = pl.DataFrame({"mailbox": ["kim"], "message_id": ["<1>"], "mime_sha256": ["v1:00"]})
    result = integrity.reconcile(with_additions(PREFIX), frame, frame)
    assert "what the way may add (list prefix) cannot be taken off what Polars frame holds" in result.notes


# ---- journals ----------------------------------------------------------------------------------------------


def report(octets: bytes, *recipients: str) -> bytes:
    lines = b"Sender: lee@acme.example\nSubject: hello\nMessage-Id: <x@acme.example>\n"
    lines += b"".join(b"Recipient: %b\n" % each.encode() for each in recipients)
    return (
        b"Received: from gate by journal; Mon, 2 Mar 2026 00:00:30 +0000\nFrom: journal@acme.example\nSubject: hello\n"
        b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="j"\n\n--j\nContent-Type: text/plain\n\n'
        + lines
        + b"\n--j\nContent-Type: message/rfc822\n\n"
        + octets
        + b"\n--j--\n"
    )


def test_each_mail_has_one_journal_copy(tmp_path: Path) -> None:
    sent = mail(1)
    boxes = kept(tmp_path / "boxes", {"kim": [sent, mail(2), mail(3)], "lee": [mail(4)]}, crlf=False)
    (maildir(boxes / "lee" / ".Sent") / "cur" / "1772409600.sent:2,S").write_bytes(sent)  # the same mail, seen twice
    (maildir(boxes / "lee" / ".Drafts") / "cur" / "1772409600.d:2,S").write_bytes(mail(9))
    journal = kept(
        tmp_path / "journal",
        {
            "all": [
                report(sent, "kim@acme.example"),
                report(mail(2)),
                report(mail(2)),
                report(mail(3, b"hellO\n")),
                report(mail(7)),
            ]
        },
        crlf=False,
    )
    result = reconcile("journal", f"maildir:{boxes}", f"maildir:{journal}?unwrap=journal")
    assert breaks(result) == {
        ("duplicate", "<2@acme.example>"): None,
        ("corrupt", "<3@acme.example>"): "part 1 (text/plain)",
        ("lost", "<4@acme.example>"): None,
        ("extra", "<7@acme.example>"): None,
    }
    assert (result.totals["source_records"], result.totals["matched"]) == (4, 2)
    forked = integrity.Contract.from_dict({**integrity.contract("journal")._form(), "copies": 2})
    result = reconcile(forked, f"maildir:{boxes}", f"maildir:{journal}?unwrap=journal")
    assert ("duplicate", "<2@acme.example>") not in breaks(result)
    assert {e["name"]: e["count"] for e in result.exclusions if e["count"]} == {
        "drafts": 1,
        "the same item again": 1,
        "further copies": 1,
    }


def test_a_mail_in_the_journal_that_is_no_report_is_invalid(tmp_path: Path) -> None:
    boxes = kept(tmp_path / "boxes", {"kim": [mail(1)]})
    journal = kept(tmp_path / "journal", {"all": [mail(1)]})
    result = reconcile("journal", f"maildir:{boxes}", f"maildir:{journal}?unwrap=journal")
    assert (result.totals["matched"], list(result.breaks["reason"])) == (1, ["not a journal report"])


def test_whose_a_journaled_mail_was_its_report_says(tmp_path: Path) -> None:
    journal = kept(tmp_path, {"all": [report(mail(1), "kim@acme.example", "lee@acme.example")]})
    store = integrity.open_store(f"maildir:{journal}?unwrap=journal&by=envelope")
    (batch,) = store.stream(["mailbox", "message_id", "accepted_at"])
    assert batch.to_pylist()[0]["mailbox"] == ["kim@acme.example", "lee@acme.example"]
    assert str(batch.to_pylist()[0]["accepted_at"]) == "2026-03-02 00:00:30+00:00"


# ---- totals ------------------------------------------------------------------------------------------------


def test_totals_of_mailboxes_are_kept_and_compared_by_bucket(tmp_path: Path) -> None:
    """Only the source knows the hour, so both are totalled by the identity's hash; and can travel."""
    log = pl.DataFrame(
        {
            "message_id": [f"<{number}@acme.example>" for number in range(40)],
            "mailbox": ["kim"] * 40,
            "accepted_at": [dt.datetime(2026, 3, 2, 0, number, tzinfo=dt.UTC) for number in range(40)],
            "mime_sha256": [climb(mail(number)).mime_sha256 for number in range(40)],
        }
    )
    boxes = kept(tmp_path, {"kim": [mail(number) for number in range(40)]})
    here = integrity.measure("mail", log, side="source")
    there = integrity.measure("mail", f"maildir:{boxes}", side="destination")
    assert here == there
    assert here.bucketed
    assert here.frame.height > 10
    assert integrity.ControlTotals.from_arrow(there.to_arrow()) == here
    halves = [integrity.measure("mail", half, side="source") for half in (log.head(7), log.tail(33))]
    assert halves[0] + halves[1] == there
    assert integrity.measure("mail", log.head(39), side="source") != there
    with pytest.raises(
        integrity.UsageError,
        match="cannot be reconciled under contract 'mail': its clock is not carried, and one item of its source goes to",
    ):
        integrity.reconcile("mail", here, f"maildir:{boxes}", as_of=AS_OF)


@pytest.mark.parametrize("name", ["mail", "mailbox", "journal"])
def test_the_contracts_of_mail_are_sound_and_say_what_they_promise(name: str) -> None:
    contract = integrity.contract(name)
    assert contract.ladder[-1].column in contract.content
    assert integrity.Contract.from_text(contract.to_yaml()) == contract


# ---- servers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", corpora.NAMES)
def test_real_mails_put_on_a_real_server_come_back_the_same(name: str, dovecot: Server, tmp_path: Path) -> None:
    """Uploaded with LF, a mail comes back with CRLF, and stands one rung lower: no more and no less."""
    mails = [each for each in corpora.mails(name).values() if b"\x00" not in each]  # IMAP cannot carry NUL
    user = f"corpus-{name}"
    with dovecot.client(user) as client:
        for octets in mails:
            client.multiappend("INBOX", [octets])
    local = kept(tmp_path, {user: mails}, crlf=False)
    result = reconcile("mailbox", f"maildir:{local}", dovecot.url(user))
    assert (result.totals["matched"], result.totals["lost"], result.totals["extra"]) == (len(mails), 0, 0)
    already = sum(octets == re.sub(rb"\r?\n", b"\r\n", octets) for octets in mails)
    assert ladder(result).get("raw", 0) == already
    assert ladder(result).get("crlf", 0) == len(mails) - already
    # The same mails read through IMAP and from the server's own Maildir are the same octets, or their line ends differ.
    owned = next(path for path in dovecot.folder.rglob("cur") if path.parent.is_dir() and user in str(path)).parent
    inside = reconcile("mailbox", f"maildir:{owned}?mailbox={user}", dovecot.url(user))
    assert inside.totals["matched"] == len(mails)


def test_a_log_against_a_light_server(pymap: Server) -> None:
    """What a gateway's log says was accepted, and what an IMAP server that is not ours holds."""
    with pymap.client("demouser") as client:
        client.create_folder("Proof")
        client.multiappend("Proof", [mail(number).replace(b"\n", b"\r\n") for number in (1, 2)])
    log = pl.DataFrame(
        {
            "mailbox": ["demouser"] * 3,
            "message_id": [f"<{number}@acme.example>" for number in (1, 2, 3)],
            "mime_sha256": [climb(mail(number)).mime_sha256 for number in (1, 2, 3)],
            "accepted_at": [dt.datetime(2026, 3, 2, tzinfo=dt.UTC)] * 3,
        }
    )
    result = integrity.reconcile(
        "mail", log, pymap.url("demouser", "Proof"), as_of=AS_OF, skip={"timeliness": "no trace"}
    )
    assert (result.totals["matched"], breaks(result)) == (2, {("lost", "<3@acme.example>"): None})
    assert pymap.password not in result.to_json()
    assert result.sides["destination"].location.startswith("imap://demouser@127.0.0.1")
