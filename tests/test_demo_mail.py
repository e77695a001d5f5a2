"""Is the demo's day of mail what it says: real mails, the same for a seed, and wrong exactly where it claims to be?

The oracle below reads both sides with Python's own parsers and counts Message-IDs in mailboxes. It shares no code with
the library, so it is what the planted list is held against, wherever a content is not what went wrong.
"""

from __future__ import annotations

import csv
import email
import email.policy
import hashlib
import json
import os
import re
import subprocess
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

import integrity
from integrity.contracts import contract
from integrity.demo import MailAccusation, MailDay, compare, generate_mail_day
from integrity.demo.mail.catalogue import CATALOGUE
from integrity.demo.mail.letters import Style, Text, written
from integrity.demo.wrong_grants import NAMES
from integrity.errors import StoreError, UsageError
from tests.shell import called

#: What each fault must yield for one mailbox that it befalls. A change here changes what the demo teaches.
EXPECTED = {
    "left the group": "extra",
    "joined the group": "lost",
    "lost in a group": "lost",
    "lost by one of several": "lost",
    "one of two with one Message-ID": "lost",
    "Message-ID rewritten": "lost extra",
    "changed without Message-ID": "lost extra",
    "lost without Message-ID": "lost",
    "attachment cut off": "corrupt invalid",
    "one bit flipped": "corrupt",
    "attachment removed": "corrupt",
    "attachment renamed": "corrupt",
    "forward altered": "corrupt",
    "Hangul decomposed": "corrupt",
    "wrong charset label": "corrupt",
    "question marks": "corrupt",
    "text replaced": "corrupt",
    "disclaimer": "corrupt",
    "link rewritten": "corrupt",
    "lost": "lost",
    "masked loss": "lost duplicate",
    "left in tmp": "lost",
    "in the trash": "lost",
    "unaccepted outcome": "lost",
    "delivered twice": "duplicate",
    "delivered three times": "duplicate duplicate",
    "misrouted": "lost extra",
    "blind copy": "extra",
    "never accepted": "extra",
    "bounced, yet present": "extra",
    "subject changed": "corrupt",
    "sender rewritten": "corrupt",
    "NUL in a header": "invalid",
    "header garbage": "invalid",
    "late": "late",
    "late by a hair": "late",
    "very late": "late",
    "clock ahead": "skewed",
    "nobody logged in": "unauthorized",
    "signed by another": "unauthorized",
    **dict.fromkeys([name for name in NAMES if name != "entered afterwards"], "unauthorized"),
}
#: How the exclusions of the contract call them on disk.
NOT_DELIVERIES = {".Sent", ".&vPSwuNO4ycDVaA-", ".Drafts", ".Trash", ".Imported"}


def reconciled(day: MailDay) -> integrity.Result:
    return integrity.reconcile(
        day.contract,
        day.source,
        day.destination,
        members=day.members,
        grants=day.grants,
        outcomes=day.outcomes,
        as_of=day.as_of,
    )


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> MailDay:
    return generate_mail_day(tmp_path_factory.mktemp("day"), mails=600)


@pytest.fixture(scope="module")
def found(day: MailDay) -> integrity.Result:
    return reconciled(day)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> MailDay:
    return generate_mail_day(tmp_path_factory.mktemp("clean"), mails=600, faults=False)


# The oracle -----------------------------------------------------------------------------------------------


def journal(day: MailDay) -> list[bytes]:
    """The mails of the journal, their quoting undone."""
    text = (day.directory / "journal.mbox").read_bytes()
    mails = re.split(rb"(?:\A|(?<=\n)\n)From [^\n]+ \d\d:\d\d:\d\d \d{4}\n", text)[1:]
    return [re.sub(rb"(?m)^>(>*From )", rb"\1", each) for each in [*mails[:-1], mails[-1].removesuffix(b"\n")]]


def files(day: MailDay, part: str = "[cn][ue][rw]") -> Iterator[tuple[str, str, Path]]:
    """Mailbox, folder and path of what was delivered."""
    root = day.directory / "mailboxes"
    for path in sorted([*root.glob(f"*/Maildir/{part}/*"), *root.glob(f"*/Maildir/.*/{part}/*")]):
        parts = path.relative_to(root).parts
        yield parts[0], parts[2] if len(parts) == 5 else "", path


def rows(path: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def places(members: list[dict[str, str]], address: str, at: datetime) -> set[str]:
    found = {address} if "@" not in address else set()
    for row in members:
        since, until = (datetime.fromisoformat(row[name]) if row[name] else at for name in ("since", "until"))
        if row["address"] == address and since <= at and (at < until or not row["until"]):
            found |= places(members, row["mailbox"], at)
    return found


def addresses(mail: Message) -> set[str]:
    values = [*mail.get_all("X-Original-To", []), *mail.get_all("X-Envelope-To", [])]
    return {address.strip().lower() for value in values for address in value.split(",")}


def oracle(day: MailDay) -> tuple[Counter[MailAccusation], int]:
    """What is lost, extra and duplicate of the mails that have a Message-ID, and how many may still come."""
    members = rows(day.members)
    accounted = {
        (row["mailbox"], row["message_id"])
        for row in rows(day.outcomes)
        if row["outcome"] in ("bounced", "quarantined", "discarded", "deleted")
    }
    expected: Counter[tuple[str, str]] = Counter()
    known, late = set(), set()
    for each in journal(day):
        mail = email.message_from_bytes(each)
        at = parsedate_to_datetime(mail["Received"].rpartition(";")[2].strip())
        name = str(mail["Message-ID"])
        for box in set().union(*(places(members, address, at) for address in addresses(mail))):
            known.add((box, name))
            if (box, name) not in accounted:
                expected[box, name] += 1
            if at >= day.end - timedelta(hours=1):
                late.add((box, name))
    there = Counter(
        (box, str(email.message_from_bytes(path.read_bytes())["Message-ID"]))
        for box, folder, path in files(day)
        if folder not in NOT_DELIVERIES
    )
    missing = Counter({key: n for key, n in (expected - there).items() if key not in late and key[1] != "None"})
    over = Counter({key: n for key, n in (there - expected).items() if key[1] != "None"})
    said = Counter({MailAccusation("lost", *key): n for key, n in missing.items()})
    for key, n in over.items():
        said[MailAccusation("duplicate" if key in known - accounted else "extra", *key)] += n
    return said, sum(n for key, n in (expected - there).items() if key in late)


def planted(day: MailDay) -> Counter[MailAccusation]:
    return Counter(MailAccusation(each.kind, each.mailbox, each.message_id) for each in day.planted)


def test_an_oracle_finds_what_was_planted_and_nothing_else(day: MailDay, clean: MailDay) -> None:
    said, in_flight = oracle(day)
    ours = {"lost", "extra", "duplicate"}
    named = {
        each: n
        for each, n in planted(day).items()
        if each.kind in ours and not str(each.message_id).startswith("mime:")
    }
    assert said == Counter(named)
    assert (oracle(clean), in_flight) == ((Counter(), clean.counts["in_flight"]), day.counts["in_flight"])


# Faults ---------------------------------------------------------------------------------------------------


def test_every_fault_yields_its_kinds(day: MailDay) -> None:
    named = [fault.name for fault in CATALOGUE]
    assert list(EXPECTED)[: len(named)] == named
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for each in day.planted:
        kinds[each.fault][each.kind] += 1
    assert set(kinds) == set(EXPECTED)
    for fault, counted in kinds.items():
        once = Counter(EXPECTED[fault].split())
        times = counted.total() // once.total()
        assert counted == Counter({kind: count * times for kind, count in once.items()}), fault


def test_no_mail_suffers_two_faults(day: MailDay) -> None:
    faults: dict[str | None, set[str]] = defaultdict(set)
    for each in day.planted:
        faults[each.message_id].add(each.fault)
    assert [names for names in faults.values() if len(names) > 1] == []


def test_all_is_found_and_nobody_is_accused_wrongly(day: MailDay, found: integrity.Result) -> None:
    compared = compare(day, found.breaks)
    assert (compared.missed, compared.wrongly_accused) == ((), ())
    assert compared.found == day.planted
    assert compared.exact
    assert {name for name, *_ in compared.by_fault()} == set(EXPECTED)


def test_another_seed_and_the_smallest_day_are_exact_too(tmp_path: Path) -> None:
    small = generate_mail_day(tmp_path, mails=400, seed=3, day=date(2024, 2, 29))
    compared = compare(small, reconciled(small).breaks)
    assert (compared.missed, compared.wrongly_accused) == ((), ())
    assert len(compared.found) >= len(EXPECTED)


def test_an_empty_result_missed_everything(day: MailDay, found: integrity.Result) -> None:
    compared = compare(day, found.breaks.head(0))
    assert (compared.exact, compared.missed) == (False, day.planted)


def test_reasons_and_differences_are_named(day: MailDay, found: integrity.Result) -> None:
    told = {(row.kind, row.mailbox, row.message_id): row for row in found.breaks.itertuples()}

    def of(fault: str, kind: str) -> list[object]:
        return [told[e.kind, e.mailbox, e.message_id] for e in day.planted if (e.fault, e.kind) == (fault, kind)]

    ((lost, extra),) = zip(of("misrouted", "lost"), of("misrouted", "extra"), strict=True)
    assert lost.reason == f"misrouted: it is in mailbox {extra.mailbox}"
    assert extra.reason == f"misrouted: it belongs in mailbox {lost.mailbox}"
    for fault in ("one bit flipped", "attachment cut off"):
        (flipped,) = of(fault, "corrupt")
        assert re.fullmatch(r"attachment 2 \(.+\)", flipped.differing), flipped.differing
    assert {each.differing for each in of("subject changed", "corrupt")} == {"header subject"}
    assert {each.differing for each in of("sender rewritten", "corrupt")} == {"header from"}
    assert all("(text/html)" in each.differing for each in of("link rewritten", "corrupt"))
    assert all("of 2" in each.differing or "part 2.1" in each.differing for each in of("forward altered", "corrupt"))
    (unaccepted,) = of("unaccepted outcome", "lost")
    assert unaccepted.reason == "ended as deferred, which the contract does not accept"
    (bounced,) = of("bounced, yet present", "extra")
    assert bounced.reason == "accounted for as bounced, yet present"
    (nul,) = of("NUL in a header", "invalid")
    assert nul.reason == "NUL octets in a header"


def test_what_was_planted_is_written_beside(day: MailDay) -> None:
    document = json.loads((day.directory / "faults.json").read_text(encoding="utf-8"))
    assert document["schema"] == "integrity.demo.mail/1"
    assert (document["mails"], document["seed"], document["day"]) == (600, 7, "2026-03-02")
    assert Counter(MailAccusation(**each) for fault in document["faults"] for each in fault["breaks"]) == planted(day)


# The day --------------------------------------------------------------------------------------------------


def test_without_faults_the_day_passes_and_climbs_every_rung(clean: MailDay) -> None:
    result = reconciled(clean)
    assert (result.verdict, result.break_count, clean.planted) == ("pass", 0, ())
    counts = {rung.column: rung.count for rung in result.ladder}
    assert set(counts) == {"raw_sha256", "crlf_sha256", "relaxed_sha256", "mime_sha256"}
    assert all(counts.values()), counts
    assert result.totals["matched"] == sum(counts.values())
    assert result.totals["accounted"] == clean.counts["accounted"] > 0
    assert result.totals["pending"] == clean.counts["in_flight"] > 0
    assert result.totals["source_records"] == clean.counts["expected"]
    # What lies in tmp was not delivered: it is in no count.
    assert clean.counts["half"] == len(list(files(clean, "tmp"))) > 0
    left_out = {each["name"]: each["count"] for each in result.exclusions}
    assert all(left_out[name] for name in ("own folders", "trash", "imports"))
    assert clean.counts["delivered"] == len(list(files(clean))) == result.totals["matched"] + sum(left_out.values())
    assert any("'list prefix' was taken off" in note for note in result.notes)


def test_every_mail_is_one_to_python_too(clean: MailDay) -> None:
    mails = journal(clean)
    assert len(mails) == clean.mails == 600
    charsets, encodings, kinds, prefixed = set(), set(), set(), 0
    for octets in [*mails, *(path.read_bytes() for *_, path in files(clean))]:
        mail = email.message_from_bytes(octets)
        subject = str(make_header(decode_header(mail["Subject"])))
        told = re.fullmatch(r"(\[all\] )?.+ \(\d+\)", subject)
        assert told is not None, subject
        prefixed += told[1] is not None
        for part in mail.walk():
            assert not part.defects
            kinds.add(part.get_content_type())
            if part.get_content_maintype() == "text" and not part.get_filename():
                charsets.add(part.get_content_charset())
                encodings.add(part["Content-Transfer-Encoding"])
                part.get_payload(decode=True).decode(part.get_content_charset())
    assert charsets == {"us-ascii", "utf-8", "euc-kr", "iso-2022-kr"}
    assert prefixed == 150  # one mail to everybody, in each mailbox
    assert encodings == {"7bit", "8bit", "base64", "quoted-printable"}
    assert {"multipart/mixed", "multipart/alternative", "message/rfc822", "text/html"} <= kinds


def test_mails_are_as_odd_as_real_ones(clean: MailDay) -> None:
    mails = journal(clean)
    kept = [path.read_bytes() for *_, path in files(clean)]
    head = [each.partition(b"\n\n")[0] for each in mails]
    for word in (b"=?euc-kr?B?", b"=?euc-kr?Q?", b"=?iso-2022-kr?B?", b"=?iso-2022-kr?Q?", b"=?utf-8?Q?"):
        assert any(b"Subject: " + word in each for each in head), word
    assert any(b"filename*=" in each for each in mails)
    assert any(b"filename*1*=" in each for each in mails)
    assert any(b'filename="=?' in each for each in mails)
    assert any(re.search(rb"(?m)^From me", each) for each in mails)
    assert any(re.search(rb"(?m)^>From here", each) for each in mails)
    assert max(map(len, mails)) > 250_000
    assert any(each.endswith(b"\n\n") for each in mails)  # an empty body
    assert any(b"Message-ID:" not in each for each in head)
    names = Counter(re.findall(rb"(?m)^Message-ID: (.+)$", b"\n".join(head)))
    assert max(names.values()) == 2

    def called(octets: bytes) -> set[str]:
        parts = email.message_from_bytes(octets, policy=email.policy.default).walk()
        return {part.get_filename() for part in parts if part.get_filename()}

    here = {name for each in mails for name in called(each)}
    there = {name for each in kept for name in called(each)}
    assert {unicodedata.normalize("NFC", name) for name in there} <= here
    assert any(unicodedata.is_normalized("NFD", name) and not name.isascii() for name in there)


def test_mailboxes_are_maildirs_of_four_servers(clean: MailDay) -> None:
    root = clean.directory / "mailboxes"
    assert clean.counts["mailboxes"] == len(list(root.iterdir())) == 150
    assert all({"cur", "new", "tmp"} <= set(os.listdir(box / "Maildir")) for box in root.iterdir())
    folders = {folder for _, folder, _ in files(clean)}
    assert {"", ".Work", ".Trash", ".&vPSwuNO4ycDVaA-"} <= folders
    ends = {re.search(r"mbx\d", path.name)[0]: b"\r\n" in path.read_bytes() for *_, path in files(clean)}  # type: ignore[index]
    assert ends == {"mbx1": False, "mbx2": True, "mbx3": False, "mbx4": True}
    moments = [datetime.fromtimestamp(int(path.name.split(".")[0]), UTC) for *_, path in files(clean)]
    assert all(clean.start <= moment < clean.as_of for moment in moments)


def test_the_contract_promises_what_that_of_all_mail_does(clean: MailDay) -> None:
    ours, theirs = contract(clean.contract), contract("mail")
    (addition,) = ours.additions
    assert (ours.name, addition.to, addition.text) == ("mail-day", "subject", "[all] ")
    for name in ("identity", "content", "ladder", "outcomes", "exclude", "timeliness", "window", "grace", "criteria"):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_two_styles_of_a_letter_mean_the_same() -> None:
    from integrity.demo.mail.letters import Letter, Party
    from integrity.mail.rungs import climb

    kim = Party("김민준", "kim@acme.example")
    text = Text("안녕하세요\nFrom 2월\n", charset="iso-2022-kr", encoding="7bit")
    letter = Letter(1, kim, (kim, kim), "3월 정산 자료 " * 9, datetime(2026, 3, 2, tzinfo=UTC), "<1@a>", (text,))
    styles = (Style(), Style((40, b"\t")), Style(encoding="base64", charset="utf-8", words=("euc-kr", "Q")))
    sent, refolded, encoded = (climb(written(letter, style)) for style in styles)
    assert sent.raw_sha256 != refolded.raw_sha256
    assert sent.relaxed_sha256 == refolded.relaxed_sha256 != encoded.relaxed_sha256
    assert sent.mime_sha256 == refolded.mime_sha256 == encoded.mime_sha256


# On disk --------------------------------------------------------------------------------------------------


def digest(directory: Path) -> str:
    """Return one hash of every byte that a day consists of."""
    total = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(directory).as_posix()} {path.stat().st_size}\n".encode())
        total.update(path.read_bytes())
    return total.hexdigest()


def test_a_seed_decides_every_byte(day: MailDay, tmp_path: Path) -> None:
    """Neither a hash seed nor the time zone do; and a day replaces an earlier one."""
    program = "import sys, integrity.demo as demo; demo.generate_mail_day(sys.argv[1], mails=int(sys.argv[2]))"
    for mails in (400, 600):
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path), str(mails)],
            check=True,
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "PYTHONHASHSEED": "1", "TZ": "America/New_York"},
        )
    assert digest(tmp_path) == digest(day.directory)


@pytest.mark.parametrize("name", ["journal.mbox", "faults.json", "mailboxes/kim/Maildir/new/1.a"])
def test_what_is_not_a_day_is_not_overwritten(tmp_path: Path, name: str) -> None:
    mine = tmp_path / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="not part of an earlier day; choose another directory"):
        generate_mail_day(tmp_path, mails=400)
    assert mine.read_text(encoding="utf-8") == "mine"


def test_a_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match=r"a day cannot be written to .*file.*choose another directory"):
        generate_mail_day(tmp_path / "file" / "mail", mails=400)


def test_too_small_a_day_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ask for 400 or more"):
        generate_mail_day(tmp_path, mails=399)


# The command ----------------------------------------------------------------------------------------------


def test_the_command_shows_the_day_and_how_to_repeat_it(tmp_path: Path) -> None:
    shown = called(tmp_path, "demo", "d", "--day", "mail", "--mails", "600")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Traceback" not in shown.stdout
    assert f"in {len(EXPECTED)} ways" in shown.stdout
    assert "missed 0, wrongly accused 0" in shown.stdout
    assert "message-day" not in shown.stdout
    assert (tmp_path / "d" / "mail" / "result.json").is_file()
    again = re.search(r"integrity reconcile (.+) \\\n\s+(.+)", shown.stdout)
    assert again is not None
    repeated = called(tmp_path, "reconcile", *(word.strip("'") for word in f"{again[1]} {again[2]}".split()))
    assert repeated.returncode == 1, repeated.stderr  # the day it shows has faults; the demo itself passed
    assert repeated.stdout.splitlines()[0] == shown.stdout.splitlines()[0]
