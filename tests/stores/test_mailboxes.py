"""Mails are found where they lie, each once, whatever else lies there and whoever moves them meanwhile."""

from __future__ import annotations

import gzip
import hashlib
import mailbox
import os
import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import integrity
from integrity.errors import StoreError, UsageError
from integrity.mail import keeping
from integrity.stores import mbox as mbox_module
from integrity.stores.maildir import Maildirs, folder_name
from integrity.stores.mbox import Mboxes

MAIL = b"From: a@example.com\r\nMessage-ID: <1@example.com>\r\nSubject: hello\r\n\r\nbody\r\n"


def maildir(path: Path) -> Path:
    for part in ("cur", "new", "tmp"):
        (path / part).mkdir(parents=True, exist_ok=True)
    return path


def rows(url: str) -> list[dict[str, object]]:
    store = integrity.open_store(url)
    columns = list(store.columns())
    return [row for batch in store.stream(columns) for row in batch.to_pylist()]


def remarks(url: str) -> list[str]:
    store = integrity.open_store(url)
    for _ in store.stream(["path"]):
        pass
    return list(store.remarks)  # type: ignore[attr-defined]


# ---- Maildir -----------------------------------------------------------------------------------------------


def test_new_and_cur_count_and_tmp_does_not(tmp_path: Path) -> None:
    box = maildir(tmp_path / "kim" / "Maildir")
    (box / "new" / "1772409600.M5P1.host").write_bytes(MAIL)
    (box / "cur" / "1772409601.M250000P2.host,S=79:2,RS").write_bytes(MAIL)
    (box / "tmp" / "1772409602.P3.host").write_bytes(MAIL)
    (box / "dovecot-uidlist").write_text("3 V1")
    (box / "cur" / ".hidden").write_text("x")
    found = rows(f"maildir:{tmp_path}")
    assert [(row["mailbox"], row["folder"], row["path"]) for row in found] == [
        ("kim", "INBOX", "kim/Maildir/new/1772409600.M5P1.host"),
        ("kim", "INBOX", "kim/Maildir/cur/1772409601.M250000P2.host,S=79:2,RS"),
    ]
    assert [row["raw_sha256"] for row in found] == [hashlib.sha256(MAIL).hexdigest()] * 2
    assert [str(row["delivered_at"]) for row in found] == [
        "2026-03-02 00:00:00.000005+00:00",
        "2026-03-02 00:00:01.250000+00:00",
    ]


@pytest.mark.parametrize(
    ("path", "whose"),
    [("kim/Maildir", "kim"), ("kim", "kim"), ("acme.example/kim/.maildir", "acme.example/kim"), ("김", "김")],
)
def test_a_mailbox_is_called_by_its_place(tmp_path: Path, path: str, whose: str) -> None:
    (maildir(tmp_path / path) / "new" / "1.a").write_bytes(MAIL)
    assert [row["mailbox"] for row in rows(f"maildir:{tmp_path}")] == [whose]


def test_a_maildir_itself_is_called_by_its_owner(tmp_path: Path) -> None:
    (maildir(tmp_path / "kim" / "Maildir") / "new" / "1.a").write_bytes(MAIL)
    assert rows(f"maildir:{tmp_path}/kim/Maildir")[0]["mailbox"] == "kim"
    assert rows(f"maildir://{tmp_path}/kim")[0]["mailbox"] == "kim"
    assert rows(f"maildir:{tmp_path}/kim/Maildir?mailbox=someone")[0]["mailbox"] == "someone"


def test_folders_of_both_layouts(tmp_path: Path) -> None:
    box = maildir(tmp_path / "kim")
    for inside in ("", ".Work.2026", ".&vPSwuNO4ycDVaA-", "Archive", "Archive/Old"):
        (maildir(box / inside) / "cur" / "1.a:2,").write_bytes(MAIL)
    found = rows(f"maildir:{tmp_path}")
    assert {row["mailbox"] for row in found} == {"kim"}
    assert sorted(str(row["folder"]) for row in found) == ["Archive", "Archive/Old", "INBOX", "Work/2026", "보낸편지함"]


@pytest.mark.parametrize("name", ["&", "&-", "&AAAA", "&!!-", "&2D0-", "a&b", "한글", "a..b"])
def test_a_folder_has_a_name_however_odd(name: str) -> None:
    assert folder_name(Path("." + name)).encode()


def test_a_mail_that_moves_from_new_to_cur_while_it_is_listed_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = maildir(tmp_path / "kim")
    for number in range(5):
        (box / "new" / f"{number}.a").write_bytes(MAIL.replace(b"<1@", b"<%d@" % number))
    real, moved = os.scandir, []

    def scandir(path: object) -> object:
        entries = real(path)  # type: ignore[call-overload]
        if str(path).endswith("new") and not moved:
            listed = list(entries)
            os.rename(box / "new" / "3.a", box / "cur" / "3.a:2,S")
            moved.append(True)
            entries.close()
            return _Closing(iter(listed))
        return entries

    monkeypatch.setattr("integrity.stores.maildir.os.scandir", scandir)
    found = rows(f"maildir:{tmp_path}")
    assert moved
    assert sorted(str(row["message_id"]) for row in found) == [f"<{number}@example.com>" for number in range(5)]


class _Closing:
    def __init__(self, entries: object) -> None:
        self._entries = entries

    def __enter__(self) -> object:
        return self._entries

    def __exit__(self, *exc: object) -> None:
        pass


def test_a_mail_whose_flags_change_before_it_is_read_is_found_again(tmp_path: Path) -> None:
    box = maildir(tmp_path / "kim")
    (box / "cur" / "1.a:2,").write_bytes(MAIL)
    (box / "cur" / "2.b:2,").write_bytes(MAIL)
    (box / "cur" / "3.c:2,").write_bytes(MAIL)
    reading = Maildirs(str(tmp_path))
    mails = reading.mails()
    first = next(mails)
    os.rename(box / "cur" / "2.b:2,", box / "cur" / "2.b:2,S")
    os.unlink(box / "cur" / "3.c:2,")
    assert [first.where, *(mail.where for mail in mails)] == ["kim/cur/1.a:2,", "kim/cur/2.b:2,"]
    assert reading.remarks == [f"1 mails were removed while they were read, the first one {box}/cur/3.c:2,"]


def test_links_are_not_followed_and_counted(tmp_path: Path) -> None:
    outside = maildir(tmp_path / "outside")
    (outside / "new" / "1.a").write_bytes(MAIL)
    box = maildir(tmp_path / "inside" / "kim")
    (box / "new" / "1.a").write_bytes(MAIL)
    os.symlink(outside / "new" / "1.a", box / "new" / "2.b")
    os.symlink(outside, box / ".Elsewhere")
    os.symlink("/etc", tmp_path / "inside" / "etc")
    assert len(rows(f"maildir:{tmp_path}/inside")) == 1
    (said,) = remarks(f"maildir:{tmp_path}/inside")
    assert said.startswith("3 links were not followed")


def test_a_name_that_is_no_utf8_is_said_in_ascii(tmp_path: Path) -> None:
    box = maildir(tmp_path / "kim")
    with open(os.fsencode(box / "new") + b"/1.\xff", "wb") as file:
        file.write(MAIL)
    assert rows(f"maildir:{tmp_path}")[0]["path"] == "kim/new/1.\\udcff"


def test_a_folder_that_is_no_maildir(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"holds no Maildir .*; name the folder of the mailboxes"):
        integrity.open_store(f"maildir:{tmp_path}")
    with pytest.raises(StoreError, match="is not there; name a folder"):
        integrity.open_store(f"maildir:{tmp_path}/nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file, not a folder"):
        integrity.open_store(f"maildir:{tmp_path}/file")


def test_an_empty_mailbox_holds_no_mail(tmp_path: Path) -> None:
    maildir(tmp_path / "kim")
    assert rows(f"maildir:{tmp_path}") == []


def test_a_fifo_and_a_folder_are_no_mails(tmp_path: Path) -> None:
    box = maildir(tmp_path / "kim")
    os.mkfifo(box / "new" / "1.fifo")
    (box / "new" / "2.folder").mkdir()
    assert rows(f"maildir:{tmp_path}") == []


def test_two_files_of_one_unique_name_are_two_mails(tmp_path: Path) -> None:
    box = maildir(tmp_path / "kim")
    (box / "cur" / "1.a:2,S").write_bytes(MAIL)
    (box / "new" / "1.a").write_bytes(MAIL.replace(b"body", b"another"))
    assert len(rows(f"maildir:{tmp_path}")) == 2


def test_a_stray_folder_makes_no_maildir_of_all(tmp_path: Path) -> None:
    (tmp_path / "cur").mkdir()
    for who in ("kim", "lee"):
        (maildir(tmp_path / who) / "new" / "1.a").write_bytes(MAIL)
    assert [row["mailbox"] for row in rows(f"maildir:{tmp_path}")] == ["kim", "lee"]
    backup = tmp_path / "backup" / "choi" / "cur"  # which leaves empty folders out
    backup.mkdir(parents=True)
    (backup / "1.a:2,").write_bytes(MAIL)
    assert [row["mailbox"] for row in rows(f"maildir:{tmp_path / 'backup'}")] == ["choi"]


def test_what_is_not_read_is_said(tmp_path: Path) -> None:
    (maildir(tmp_path / "kim") / "new" / "1.a").write_bytes(MAIL)
    (maildir(tmp_path / "Kim" / "Maildir") / "new" / "1.a").write_bytes(MAIL)
    (maildir(tmp_path / ".lee" / "Maildir") / "new" / "1.a").write_bytes(MAIL)
    os.mkfifo(tmp_path / "kim" / "cur" / "1.fifo")
    said = " ".join(remarks(f"maildir:{tmp_path}"))
    assert "1 hidden folders were left out" in said
    assert "1 things among the mails are no files" in said
    assert "1 mailboxes are called like another one" in said


def test_no_room_for_a_large_mail_is_no_missing_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no folder for temporary files, Python says that a file was not found."""
    box = maildir(tmp_path / "kim")
    (box / "new" / "1.a").write_bytes(MAIL + b"x" * (keeping.LARGE + 1))
    (tmp_path / "a.eml").write_bytes(MAIL + b"x" * (keeping.LARGE + 1))

    def nowhere(**_: object) -> object:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(keeping.tempfile, "TemporaryFile", nowhere)
    for url in (f"maildir:{tmp_path}", f"eml:{tmp_path}"):
        with pytest.raises(StoreError, match=r"cannot be kept in a temporary file: .*; point TMPDIR at a larger disk"):
            rows(url)


# ---- mbox --------------------------------------------------------------------------------------------------


def written(path: Path, mails: list[bytes], end: bytes = b"\n", form: str = "mboxrd") -> Path:
    """Write an mbox by the book: quote, end the last line, and add an empty one."""
    quote = {"mboxrd": rb"(?m)^(>*From )", "mboxo": rb"(?m)^(From )"}[form]
    with open(path, "wb") as file:
        for number, mail in enumerate(mails):
            body = re.sub(quote, rb">\1", mail)
            ended = body if body.endswith(b"\n") else body + end
            file.write(b"From a@example.com Mon Mar  2 09:00:%02d 2026" % (number % 60) + end + ended + end)
    return path


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_each_mail_of_an_mbox(tmp_path: Path, end: bytes) -> None:
    mails = [
        MAIL.replace(b"\r\n", end),
        b"From: b@example.com\n\nFrom here\n>From there\n>>From everywhere\n\nFrom now on\n".replace(b"\n", end),
        b"Subject: empty\n\n".replace(b"\n", end),
        b"Subject: blank lines at the end\n\nx\n\n\n".replace(b"\n", end),
    ]
    path = written(tmp_path / "kim.mbox", mails, end)
    found = rows(f"mbox:{path}")
    assert [row["raw_sha256"] for row in found] == [hashlib.sha256(mail).hexdigest() for mail in mails]
    assert [row["path"] for row in found] == [f"kim.mbox, mail {number}" for number in (1, 2, 3, 4)]
    assert {row["mailbox"] for row in found} == {"kim"}
    assert found[1]["delivered_at"] is None  # of no zone
    assert str(rows(f"mbox:{path}?timezone=UTC")[1]["delivered_at"]) == "2026-03-02 09:00:01+00:00"
    assert str(rows(f"mbox:{path}?timezone=Asia/Seoul")[1]["delivered_at"]) == "2026-03-02 00:00:01+00:00"


LINES = st.lists(
    st.sampled_from(
        [
            b"",
            b"From ",
            b">From x",
            b">>From 10:00",
            b"From a@b Mon Mar  2 09:00:00 2026",
            b"text",
            b">",
            b"From",
            b"\xff\x00",
        ]
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=5), st.sampled_from([b"\n", b"\r\n"]), st.integers(1, 40))
def test_what_was_written_as_mboxrd_is_read_back_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, mails: list[list[bytes]], end: bytes, chunk: int
) -> None:
    """The law of mboxrd, with chunks, and mails that wait on disk, down to a few octets."""
    octets = [b"Subject: x" + end + end + b"".join(line + end for line in lines) for lines in mails]
    path = written(tmp_path_factory.mktemp("mbox") / "a.mbox", octets, end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mbox_module, "_CHUNK", 1000 + chunk)
        assert [bytes(mail.data) for mail in Mboxes(str(path), "mboxrd").mails()] == octets
        patch.setattr(mbox_module, "_CHUNK", chunk)
        patch.setattr(mbox_module, "_HELD", 90)
        patch.setattr(mbox_module, "LARGE", 8)
        patch.setattr(keeping, "LARGE", 8)
        assert [bytes(mail.data[:]) for mail in Mboxes(str(path), "mboxrd").mails()] == octets


def test_mboxo_has_to_be_asked_for(tmp_path: Path) -> None:
    mail = b"Subject: x\n\nFrom here\n>>From there\n"
    path = written(tmp_path / "a.mbox", [mail], form="mboxo")
    assert rows(f"mbox:{path}?format=mboxo")[0]["raw_sha256"] == hashlib.sha256(mail).hexdigest()
    assert rows(f"mbox:{path}")[0]["raw_sha256"] != hashlib.sha256(mail).hexdigest()


def test_what_python_writes_is_read_back(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "py.mbox")
    mails = [b"Subject: %d\n\nbody\nFrom me\n" % number for number in range(20)]
    for mail in mails:
        box.add(mail)
    box.close()
    assert [row["raw_sha256"] for row in rows(f"mbox:{tmp_path}/py.mbox?format=mboxo")] == [
        hashlib.sha256(mail).hexdigest() for mail in mails
    ]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_and_cut_short(tmp_path: Path, suffix: str) -> None:
    mails = [MAIL.replace(b"<1@", b"<%d@" % number) + os.urandom(2000).hex().encode() + b"\n" for number in range(200)]
    plain = written(tmp_path / "plain.mbox", mails, b"\r\n").read_bytes()
    packed = tmp_path / f"a.mbox{suffix}"
    octets = gzip.compress(plain) if suffix == ".gz" else pa.compress(plain, codec="zstd", asbytes=True)
    packed.write_bytes(octets)
    assert [row["message_id"] for row in rows(f"mbox:{packed}")] == [f"<{number}@example.com>" for number in range(200)]
    assert rows(f"mbox:{packed}")[0]["mailbox"] == "a"
    packed.write_bytes(octets[: len(octets) // 2])
    with pytest.raises(StoreError, match="cannot be read to its end"):
        rows(f"mbox:{packed}")


def test_a_folder_and_a_pattern_of_mboxes(tmp_path: Path) -> None:
    for name in ("kim.mbox", "lee.mbox", "notes.txt"):
        written(tmp_path / name, [MAIL])
    assert [row["mailbox"] for row in rows(f"mbox:{tmp_path}")] == ["kim", "lee"]
    assert [row["mailbox"] for row in rows(f"mbox:{tmp_path}/k*")] == ["kim"]
    assert remarks(f"mbox:{tmp_path}") == [f"1 files of other names were left out, the first one {tmp_path}/notes.txt"]
    for who in ("kim", "lee"):
        (tmp_path / "deep" / who).mkdir(parents=True)
        written(tmp_path / "deep" / who / "inbox.mbox", [MAIL])
    for url in (f"mbox:{tmp_path}/deep", f"mbox:{tmp_path}/deep/*/inbox.mbox"):
        assert [row["mailbox"] for row in rows(url)] == ["kim/inbox", "lee/inbox"]
    with pytest.raises(StoreError, match="there is no mbox at"):
        integrity.open_store(f"mbox:{tmp_path}/x*")


def test_what_is_no_mbox(tmp_path: Path) -> None:
    (tmp_path / "a.mbox").write_bytes(MAIL)
    with pytest.raises(StoreError, match=r"a\.mbox is no mbox: its first line is no 'From sender date'"):
        integrity.open_store(f"mbox:{tmp_path}/a.mbox")
    (tmp_path / "empty.mbox").write_bytes(b"")
    assert rows(f"mbox:{tmp_path}/empty.mbox") == []


def test_an_mbox_that_grows_while_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mbox", [MAIL] * 3)
    mails = Mboxes(str(path), "mboxrd").mails()
    next(mails)
    with open(path, "ab") as file:
        file.write(b"From a@example.com Mon Mar  2 09:00:00 2026\n\nlate\n\n")
    with pytest.raises(StoreError, match="changed while it was read"):
        list(mails)


def test_a_large_mail_waits_on_disk(tmp_path: Path) -> None:
    body = (b"x" * 99 + b"\n") * 60_000
    mail = b"Subject: large\n\n" + body + b"From inside\n"
    path = written(tmp_path / "a.mbox", [MAIL, mail, MAIL])
    sizes = [(type(each.data).__name__, len(each.data)) for each in Mboxes(str(path), "mboxrd").mails()]
    assert sizes == [("bytes", len(MAIL)), ("mmap", len(mail)), ("bytes", len(MAIL))]


# ---- eml ---------------------------------------------------------------------------------------------------


def test_a_tree_of_files(tmp_path: Path) -> None:
    (tmp_path / "kim" / "2026").mkdir(parents=True)
    (tmp_path / "kim" / "2026" / "a.eml").write_bytes(MAIL)
    (tmp_path / "b.EML").write_bytes(MAIL)
    (tmp_path / "notes.txt").write_bytes(MAIL)
    found = rows(f"eml:{tmp_path}")
    assert [(row["mailbox"], row["path"]) for row in found] == [
        (tmp_path.name, "b.EML"),
        ("kim/2026", "kim/2026/a.eml"),
    ]
    assert remarks(f"eml:{tmp_path}") == [
        f"1 files that do not end in .eml were left out, the first one {tmp_path}/notes.txt"
    ]
    assert rows(f"eml:{tmp_path}/b.EML")[0]["mailbox"] == tmp_path.name
    with pytest.raises(StoreError, match=r"holds no file that ends in \.eml"):
        integrity.open_store(f"eml:{maildir(tmp_path / 'none')}")
    with pytest.raises(StoreError, match="is not there"):
        integrity.open_store(f"eml:{tmp_path}/nowhere")


# ---- what all of them offer --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("maildir:", StoreError, "names no place; write for example maildir:/var/mail/acme"),
        ("maildir:/tmp?flavour=x", UsageError, "a maildir: URL has no option 'flavour'"),
        ("mbox:/tmp/x?formt=mboxo", UsageError, "a mbox: URL has no option 'formt'; did you mean 'format'?"),
        ("mbox:/tmp/x?format=mboxcl", UsageError, "there is no mbox format 'mboxcl'"),
        ("eml:/tmp?by=header", UsageError, "by=header means nothing; there are 'envelope', 'place'"),
        ("eml:/tmp?unwrap=zip", UsageError, "unwrap=zip means nothing; there are 'journal'"),
        ("eml:/tmp?by=envelope&mailbox=x", UsageError, "leave one of them out"),
        ("eml:/tmp?mailbox=", UsageError, "mailbox= means nothing; write for example mailbox=kim"),
        ("eml:/tmp?mailbox=a&mailbox=b", UsageError, "the option mailbox is there twice"),
        ("eml:/tmp?Mailbox=a", UsageError, "a eml: URL has no option 'Mailbox'; did you mean 'mailbox'?"),
        ("eml:/tmp?delivered=date", UsageError, "delivered=date means nothing"),
        ("mbox:/tmp/x?timezone=Seoul", UsageError, "there is no time zone 'Seoul'"),
        ("eml:/" + "x" * 5000, StoreError, "is no path"),
        ("maildir:~nobody-of-this-name/x", StoreError, "is not there"),
        ("maildr:/tmp", StoreError, "there are no maildr: stores; did you mean maildir: ?"),
    ],
)
def test_urls_that_cannot_be_meant(url: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=re.escape(said)):
        integrity.open_store(url)


def test_times_are_those_of_servers(tmp_path: Path) -> None:
    mail = (
        b"Received: from b by c; Mon, 2 Mar 2026 18:00:05 +0900\nReceived: from a by b; Mon, 2 Mar 2026 00:00:01 GMT\n"
        b"Date: Thu, 1 Jan 1970 00:00:00 +0000\nMessage-ID: <1@x>\n\nbody\n"
    )
    (maildir(tmp_path / "kim") / "new" / "1772442010.M500000P1.host").write_bytes(mail)
    (row,) = rows(f"maildir:{tmp_path}")
    times = {name: str(row[name]) for name in ("accepted_at", "delivered_at", "sent_at", "internal_date")}
    assert times == {
        "accepted_at": "2026-03-02 09:00:05+00:00",  # the topmost Received header
        "delivered_at": "2026-03-02 09:00:10.500000+00:00",  # the file's name
        "sent_at": "1970-01-01 00:00:00+00:00",
        "internal_date": "None",
    }
    (tmp_path / "a.eml").write_bytes(mail)
    (row,) = rows(f"eml:{tmp_path}/a.eml")
    assert row["delivered_at"] is None  # nobody knows whether whoever stored it stamped it
    (row,) = rows(f"eml:{tmp_path}/a.eml?delivered=received")
    assert str(row["delivered_at"]) == "2026-03-02 09:00:05+00:00"


def test_whose_a_mail_is_the_envelope_may_say(tmp_path: Path) -> None:
    path = written(
        tmp_path / "gateway.mbox",
        [b"X-Original-To: <kim@acme.example>\nDelivered-To: Lee@acme.example\nTo: all@acme.example\n\nx\n", MAIL],
    )
    assert [row["mailbox"] for row in rows(f"mbox:{path}?by=envelope")] == [
        ["kim@acme.example", "Lee@acme.example"],
        None,
    ]


def test_a_mailbox_is_read_again_as_it_then_is(tmp_path: Path) -> None:
    box = maildir(tmp_path / "kim")
    store = integrity.open_store(f"maildir:{tmp_path}")
    assert sum(batch.num_rows for batch in store.stream(["path"])) == 0
    (box / "new" / "1.a").write_bytes(MAIL)
    assert sum(batch.num_rows for batch in store.stream(["path"])) == 1
