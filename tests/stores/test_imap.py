"""IMAP is read from real servers: to the last octet, without a trace, and over lines that drop."""

from __future__ import annotations

import datetime as dt
import gc
import logging
import mmap
import re
import socket
import sys
import threading
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import quote

import pytest

from integrity.errors import ConnectionLostError, MissingExtraError, StoreError, UsageError
from integrity.stores import imap, imap_line
from integrity.stores.imap import ImapMailboxes
from integrity.stores.mailboxes import Mail
from tests.mail_servers import Proxy, Server, dovecot, free_port, proxy, pymap
from tests.servers import absent

__all__ = ["dovecot", "proxy", "pymap"]

Lines = Callable[..., Proxy]
HEAD = b"Message-ID: <%d@example.com>\r\nSubject: %d\r\n\r\n"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_line, "_PAUSES", (0.01, 0.02, 0.05))
    monkeypatch.delenv("IMAP_PASSWORD", raising=False)


def letter(number: int, body: bytes = b"body\r\n") -> bytes:
    return HEAD % (number, number) + body


def filled(server: Server, user: str, folder: str, mails: list[bytes]) -> None:
    with server.client(user) as client:
        if not client.folder_exists(folder):
            client.create_folder(folder)
        if mails:
            client.multiappend(folder, mails)  # as they are: "append" would make every end of line CRLF


def read(url: str) -> list[Mail]:
    return list(ImapMailboxes(url).mails())


def octets(mails: list[Mail]) -> Counter[bytes]:
    return Counter(bytes(mail.data) for mail in mails)


def flags(server: Server, user: str, folder: str) -> set[bytes]:
    with server.client(user) as client:
        client.select_folder(folder, readonly=True)
        found = client.get_flags(client.search("ALL"))
        return {flag for of_mail in found.values() for flag in of_mail}


# --- what is read


def test_mails_come_back_and_no_flag_changes(dovecot: Server) -> None:
    binary = letter(3, bytes(range(1, 256)) * 9 + b"\r\n")
    filled(dovecot, "reader", "INBOX", [letter(1), b"Subject: lf\n\nline\n", binary])
    filled(dovecot, "reader", "보낸편지함", [letter(4)])
    filled(dovecot, "reader", "프로젝트/2026/R&D", [letter(5)])
    before = flags(dovecot, "reader", "INBOX")
    boxes = ImapMailboxes(dovecot.url("reader"))
    boxes.check()
    mails = list(boxes.mails())
    # Dovecot itself gives CRLF for a bare LF.
    lines = [letter(1), b"Subject: lf\r\n\r\nline\r\n", re.sub(rb"(?<!\r)\n", b"\r\n", binary)]
    assert [bytes(mail.data) for mail in mails if mail.folder == "INBOX"] == lines
    assert {mail.folder for mail in mails} == {"INBOX", "보낸편지함", "프로젝트/2026/R&D"}
    assert {mail.where for mail in mails if mail.folder != "INBOX"} == {"보낸편지함/UID 1", "프로젝트/2026/R&D/UID 1"}
    assert {mail.mailbox for mail in mails} == {"reader"}
    assert {mail.stored_at for mail in mails} == {None}
    assert boxes.remarks == ()
    assert octets(list(boxes.mails())) == octets(mails)
    assert flags(dovecot, "reader", "INBOX") == before
    assert b"\\Seen" not in before


def test_one_folder(dovecot: Server) -> None:
    filled(dovecot, "one", "보낸편지함", [letter(1)])
    filled(dovecot, "one", "INBOX", [letter(2)])
    assert [mail.folder for mail in read(dovecot.url("one", "보낸편지함"))] == ["보낸편지함"]
    assert [mail.folder for mail in read(dovecot.url("one", "inbox"))] == ["INBOX"]


def test_internal_date_is_an_instant(dovecot: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "America/New_York")
        time.tzset()
        try:
            _internal_date_is_an_instant(dovecot)
        finally:
            elsewhere.undo()
            time.tzset()


def _internal_date_is_an_instant(dovecot: Server) -> None:
    moment = dt.datetime(2026, 3, 2, 9, 30, 5, tzinfo=dt.timezone(dt.timedelta(hours=9)))
    with dovecot.client("dated") as client:
        client.append("INBOX", letter(1), msg_time=moment)
    (mail,) = read(dovecot.url("dated"))
    assert mail.internal_date == int(moment.timestamp()) * 1_000_000


def test_folders_that_show_mails_again_or_are_of_others_are_left_out_and_said(dovecot: Server) -> None:
    filled(dovecot, "sharer", "INBOX", [letter(1)])
    filled(dovecot, "sharer", "All Mail", [letter(1)])
    filled(dovecot, "sharer", "Public/notices", [letter(2)])
    boxes = ImapMailboxes(dovecot.url("sharer"))
    assert {mail.folder for mail in boxes.mails()} == {"INBOX"}
    assert any("'All Mail'" in remark for remark in boxes.remarks)
    assert any("'Public/notices'" in remark for remark in boxes.remarks)
    assert len(read(dovecot.url("sharer", "All Mail"))) == 1
    assert len(read(dovecot.url("sharer", "Public/notices"))) == 1
    with dovecot.client("sharer") as client:
        client.delete_folder("Public/notices")  # the other tests' users would see it too


def test_a_large_mail_is_read_in_pieces_to_a_file(dovecot: Server) -> None:
    large = letter(1, b"".join(b"%070d\r\n" % n for n in range(170_000)))
    assert len(large) > 12_000_000
    filled(dovecot, "large", "INBOX", [letter(0), large, letter(2)])
    mails = read(dovecot.url("large"))
    assert isinstance(mails[1].data, mmap.mmap)
    assert [bytes(mail.data) for mail in mails] == [letter(0), large, letter(2)]
    assert b"\\Seen" not in flags(dovecot, "large", "INBOX")


def test_many_mails_in_small_groups_and_lists(dovecot: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "_MAILS_AT_ONCE", 7)
    monkeypatch.setattr(imap, "_SIZES_AT_ONCE", 10)
    monkeypatch.setattr(imap_line, "_LISTED_AT_ONCE", 9)
    mails = [letter(n) for n in range(25)]
    filled(dovecot, "many", "INBOX", mails)
    assert [bytes(mail.data) for mail in read(dovecot.url("many"))] == mails


def test_another_server_in_memory(pymap: Server) -> None:
    boxes = ImapMailboxes(pymap.url("demouser"))
    mails_put = [b"Subject: lf\n\nbare\n", letter(1), letter(2, b"\xea\xb0\x80\xff\r\n")]
    filled(pymap, "demouser", "보낸편지함", mails_put)
    mails = list(boxes.mails())
    assert {mail.folder for mail in mails} >= {"INBOX", "Sent", "보낸편지함"}
    assert [bytes(mail.data) for mail in mails if mail.folder == "보낸편지함"] == mails_put
    assert b"\\Seen" not in flags(pymap, "demouser", "보낸편지함")


def test_two_passes_at_once(dovecot: Server) -> None:
    filled(dovecot, "twice", "INBOX", [letter(n) for n in range(5)])
    boxes = ImapMailboxes(dovecot.url("twice"))
    pairs = list(zip(boxes.mails(), boxes.mails(), strict=True))
    assert [bytes(a.data) for a, _ in pairs] == [bytes(b.data) for _, b in pairs] == [letter(n) for n in range(5)]


def test_a_pass_that_is_left_says_goodbye(dovecot: Server) -> None:
    filled(dovecot, "leaver", "INBOX", [letter(n) for n in range(3)])
    mails = ImapMailboxes(dovecot.url("leaver")).mails()
    next(mails)
    del mails
    gc.collect()
    farewells: list[str] = []
    for _ in range(200):  # it logs when it finds the time
        farewells = [line for line in dovecot.log.read_text().splitlines() if "imap(leaver)" in line][1:]
        if farewells:
            break
        time.sleep(0.02)
    assert len(farewells) == 1
    assert "Logged out" in farewells[0]


# --- what changes meanwhile


def removed(server: Server, user: str, uids: list[int]) -> None:
    with server.client(user) as client:
        client.select_folder("INBOX")
        client.delete_messages(uids)
        client.expunge(uids)


@pytest.mark.parametrize("group", [1, 2, 100])
def test_mails_removed_while_they_are_read(dovecot: Server, monkeypatch: pytest.MonkeyPatch, group: int) -> None:
    monkeypatch.setattr(imap, "_MAILS_AT_ONCE", group)
    monkeypatch.setattr(imap, "_SIZES_AT_ONCE", 4)
    user = f"remover{group}"
    filled(dovecot, user, "INBOX", [letter(n) for n in range(1, 9)])
    boxes = ImapMailboxes(dovecot.url(user))
    mails = boxes.mails()
    got = [next(mails)]
    removed(dovecot, user, [3, 6, 7])
    got += mails
    numbers = [int(mail.where.split()[-1]) for mail in got]
    gone = {1: 3, 2: 3, 100: 2}[group]  # of a group that has come nothing can be removed any more
    assert numbers == [n for n in range(1, 9) if n not in (6, 7) and (n != 3 or gone == 2)]
    assert all(mail.gone is None for mail in got)
    assert boxes.remarks == (f"{gone} mails of INBOX were removed while it was read",)


def test_a_large_mail_removed_while_it_is_read(dovecot: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(dovecot, "halfway", "INBOX", [letter(1, b"x" * 70 + b"\r\n"), letter(2)])
    monkeypatch.setattr(imap, "LARGE", 50)
    monkeypatch.setattr(imap, "_PIECE", 40)
    asked = imap._piece

    def asked_late(client: object, uid: int, offset: int) -> bytes | None:
        if uid == 1 and offset == 40:
            removed(dovecot, "halfway", [1])
        return asked(client, uid, offset)

    monkeypatch.setattr(imap, "_piece", asked_late)
    boxes = ImapMailboxes(dovecot.url("halfway"))
    mails = list(boxes.mails())
    assert [mail.where for mail in mails if mail.where.endswith("2")] == ["INBOX/UID 2"]
    # A server may still give what it has open; then the mail is whole.
    whole = [mail for mail in mails if mail.where.endswith("1")]
    assert [bytes(mail.data) for mail in whole] == [letter(1, b"x" * 70 + b"\r\n")] * len(whole)
    assert len(whole) == 1 or boxes.remarks == ("1 mail of INBOX was removed while it was read",)


# --- lines that drop


@pytest.mark.parametrize("after", [1200, 1500, 3000, 20_000])
def test_a_line_that_drops_once_loses_nothing_and_doubles_nothing(dovecot: Server, proxy: Lines, after: int) -> None:
    user = f"dropped{after}"
    mails = [letter(n, b"x" * 900 + b"\r\n") for n in range(40)]
    filled(dovecot, user, "INBOX", mails)
    line = proxy(dovecot.port, after)
    assert [bytes(mail.data) for mail in read(dovecot.url(user, port=line.port))] == mails
    assert line.connections == 2


def test_a_line_that_always_drops_but_gets_somewhere(dovecot: Server, proxy: Lines) -> None:
    mails = [letter(n, b"x" * 60_000 + b"\r\n") for n in range(8)]
    filled(dovecot, "slowly", "INBOX", mails)
    line = proxy(dovecot.port, 150_000, None)
    assert [bytes(mail.data) for mail in read(dovecot.url("slowly", port=line.port))] == mails
    assert line.connections > 2


def test_a_large_mail_goes_on_where_the_line_dropped(dovecot: Server, proxy: Lines) -> None:
    large = letter(1, b"y" * 70 + b"\r\n") * 60_000
    filled(dovecot, "further", "INBOX", [large])
    line = proxy(dovecot.port, 3 * 2**20)
    (mail,) = read(dovecot.url("further", port=line.port))
    assert bytes(mail.data) == large
    assert line.connections == 2


def test_a_line_that_drops_for_good(dovecot: Server, proxy: Lines) -> None:
    filled(dovecot, "lost", "INBOX", [letter(n, b"z" * 3000 + b"\r\n") for n in range(3)])
    line = proxy(dovecot.port, 3000, None)
    with pytest.raises(ConnectionLostError, match="dropped the connection while INBOX was read, and again 3 times"):
        read(dovecot.url("lost", port=line.port))
    assert line.connections == 4


def test_a_folder_that_was_rebuilt_is_not_read_on(dovecot: Server, proxy: Lines) -> None:
    filled(dovecot, "rebuilt", "Box", [letter(n, b"x" * 900 + b"\r\n") for n in range(9)])
    line = proxy(dovecot.port, 3000)

    def rebuild() -> None:
        with dovecot.client("rebuilt") as client:
            client.delete_folder("Box")
            client.create_folder("Box")
            client.append("Box", letter(99))

    line.on_cut = rebuild
    with pytest.raises(StoreError, match=r"Box was rebuilt while it was read \(UIDVALIDITY \d+ → \d+\); run again"):
        read(dovecot.url("rebuilt", "Box", port=line.port))


# --- what cannot be read is said in a sentence


def test_a_refused_login(dovecot: Server, pymap: Server) -> None:
    for server, user in ((dovecot, "alice"), (pymap, "demouser")):
        url = f"imap://{user}:wrong-secret@127.0.0.1:{server.port}/"
        with pytest.raises(StoreError, match=f"refuses the login of '{user}'") as caught:
            ImapMailboxes(url).check()
        assert not isinstance(caught.value, ConnectionLostError)
        assert "wrong-secret" not in str(caught.value)


def test_a_missing_folder(dovecot: Server) -> None:
    filled(dovecot, "misser", "보낸편지함", [])
    with pytest.raises(StoreError, match=r"no folder '보낸편지' of misser at .*; did you mean '보낸편지함'\?"):
        ImapMailboxes(dovecot.url("misser", "보낸편지")).check()


def test_nothing_listens_and_no_such_host() -> None:
    with pytest.raises(StoreError, match="cannot be reached: Connection refused; check host and port"):
        ImapMailboxes(f"imap://a:secret@127.0.0.1:{free_port()}/").check()
    with pytest.raises(StoreError, match="cannot be reached"):
        ImapMailboxes("imap://a:secret@no-such-host.invalid/").check()


@contextmanager
def talking(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """A server that says what it likes, to each who calls."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                with line, suppress(OSError):
                    answer(line)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def echo(line: socket.socket) -> None:
    while data := line.recv(1000):
        line.sendall(data)


def test_what_is_no_imap_server() -> None:
    with talking(echo) as port, pytest.raises(StoreError, match=r"says nothing within 0\.3 s; check host and port"):
        ImapMailboxes(f"imap://a:secret@127.0.0.1:{port}/?timeout=0.3").check()
    with talking(echo) as port, pytest.raises(StoreError, match="does not speak TLS at this port"):
        ImapMailboxes(f"imaps://a:secret@127.0.0.1:{port}/?timeout=2").check()
    with (
        talking(lambda line: line.sendall(b"SSH-2.0-x\r\n")) as port,
        pytest.raises(StoreError, match="not answer as an IMAP server"),
    ):
        ImapMailboxes(f"imap://a:secret@127.0.0.1:{port}/").check()
    with talking(lambda line: None) as port, pytest.raises(StoreError, match=r"hangs up|cannot be reached"):
        ImapMailboxes(f"imap://a:secret@127.0.0.1:{port}/").check()
    with (
        talking(lambda line: line.sendall(b"* BYE too many\r\n")) as port,
        pytest.raises(StoreError, match=r"turns us away: .*too many"),
    ):
        ImapMailboxes(f"imap://a:secret@127.0.0.1:{port}/").check()


def test_tls_is_trusted_only_as_told(dovecot: Server) -> None:
    if not dovecot.tls_port:
        absent("openssl")
    filled(dovecot, "tls", "INBOX", [letter(1)])
    port, ca = dovecot.tls_port, f"ca={quote(str(dovecot.certificate))}"
    with pytest.raises(StoreError, match=r"is not trusted: self.signed certificate; .*\?ca=PATH"):
        ImapMailboxes(dovecot.url("tls", port=port, scheme="imaps")).check()
    assert len(read(dovecot.url("tls", port=port, scheme="imaps", options=ca))) == 1
    # By STARTTLS, where it is wished for on a line inside the machine.
    assert len(read(dovecot.url("tls", options=ca))) == 1
    assert re.search(r"user=<tls>.*TLS", dovecot.log.read_text())
    with pytest.raises(StoreError, match="ca=/no/such/file cannot be used"):
        ImapMailboxes(dovecot.url("tls", options="ca=/no/such/file")).check()


def test_no_password_goes_in_clear_to_another_machine(
    pymap: Server, dovecot: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_line, "_is_loopback", lambda line: False)
    with pytest.raises(StoreError, match=r"would be sent in clear; write imaps://, or \?plain=yes"):
        ImapMailboxes(pymap.url("demouser")).check()
    ImapMailboxes(pymap.url("demouser", options="plain=yes")).check()
    if dovecot.tls_port:
        with pytest.raises(StoreError, match="is not trusted"):
            ImapMailboxes(dovecot.url("tls")).check()


# --- passwords and URLs


def test_the_password_is_nowhere(
    dovecot: Server, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "hush-S3cret"
    boxes = ImapMailboxes(f"imap://alice:{secret}@127.0.0.1:{dovecot.port}/#INBOX")
    with pytest.raises(StoreError) as caught:
        boxes.check()
    filled(dovecot, "alice", "INBOX", [letter(1)])
    read(dovecot.url("alice"))
    said = [
        str(caught.value),
        repr(boxes),
        boxes.location,
        boxes.name,
        *boxes.remarks,
        caplog.text,
        *capfd.readouterr(),
    ]
    error: BaseException | None = caught.value
    while error is not None:
        said.append(repr(error))
        error = error.__cause__ or error.__context__
    for text in said:
        assert secret not in text
        assert dovecot.password not in text


def test_a_server_that_repeats_the_password_is_not_repeated() -> None:
    def parrot(line: socket.socket) -> None:
        line.sendall(b"* OK hello\r\n")
        with line.makefile("rb") as lines:
            for said in lines:
                tag, _, command = said.strip().partition(b" ")
                if command == b"CAPABILITY":
                    line.sendall(b"* CAPABILITY IMAP4REV1\r\n" + tag + b" OK done\r\n")
                else:
                    line.sendall(tag + b" NO what is " + command + b"\r\n")

    with talking(parrot) as port, pytest.raises(StoreError, match=r"refuses the login of 'a'.*\*\*\*") as caught:
        ImapMailboxes(f"imap://a:hu{quote(chr(34))}sh@127.0.0.1:{port}/").check()
    assert "sh" not in str(caught.value).replace("what is", "").partition("LOGIN")[2].partition(";")[0]


def test_where_the_password_is_found(dovecot: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = ImapMailboxes(f"imap://alice@127.0.0.1:{dovecot.port}/")
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(StoreError, match=r"no password for 'alice' .*; set IMAP_PASSWORD, or .*keyring set"):
        bare.check()
    known = {("imap://127.0.0.1", "alice"): dovecot.password}
    keyring = types.SimpleNamespace(get_password=lambda service, user: known.get((service, user)))
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    bare.check()
    monkeypatch.setenv("IMAP_PASSWORD", "wrong")
    with pytest.raises(StoreError, match="refuses the login"):
        bare.check()
    monkeypatch.setenv("IMAP_PASSWORD", dovecot.password)
    bare.check()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("imap://a@host/?timeuot=5", "no option 'timeuot' of IMAP URLs; did you mean 'timeout'?"),
        ("imap://a@host/?timeout=nan", "timeout=nan is no number of seconds"),
        ("imap://a@host/?timeout=0", "timeout=0 is no number of seconds"),
        ("imap://a@host/?plain=maybe", "plain=maybe is neither yes nor no"),
        ("imap://host/", "an IMAP URL names a user and a host"),
        ("imap://a@host/INBOX", "an IMAP URL has no path"),
        ("imap://a:hush/hush@host/", "an IMAP URL"),
        ("imap://a:hush#hush@host/", "an IMAP URL"),
        ("imap://a:hush@[host/", "an IMAP URL"),
    ],
)
def test_urls_that_cannot_be_meant(url: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        ImapMailboxes(url)
    assert str(caught.value).startswith(sentence)
    assert "hush" not in str(caught.value)


def test_names_in_urls() -> None:
    boxes = ImapMailboxes("imaps://kim%40example.com:pw%2F@mail.example.com:1993/?timeout=5#%EB%B0%9B%EC%9D%80")
    assert boxes.name == "kim@example.com/받은"
    assert boxes.location == "imaps://kim%40example.com@mail.example.com:1993/#%EB%B0%9B%EC%9D%80"


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imapclient", None)
    with pytest.raises(MissingExtraError, match=r"imap:// URLs .*processing-integrity\[imap\]"):
        ImapMailboxes("imap://a:b@127.0.0.1/").check()


# --- servers that lie: nobody sells them, everybody has met one


def scripted(
    bodies: dict[int, bytes],
    *,
    size: int,
    exists: int | None = None,
    refused: int = 0,
    nothing_after: int = 2**31,
    removed_after: int = 2**31,
    busy: int = 0,
    heard: list[bytes] | None = None,
) -> Callable[[socket.socket], None]:
    """A server of one folder that announces one size for every mail, and gives what it has.

    Args:
        bodies: By UID.
        size: What is announced.
        exists: How many mails there are said to be.
        refused: A mail of which nothing is given, nor of those that are asked for together with it.
        nothing_after: From this octet on there is NIL.
        removed_after: From this octet on there is an empty text, as the mail has just been removed.
        busy: So often it has no time to give a body.
        heard: Where commands are noted.
    """
    waits = [busy]

    def serve(line: socket.socket) -> None:
        line.sendall(b"* OK hello\r\n")
        with line.makefile("rb") as lines:
            for said in lines:
                tag, _, command = said.strip().partition(b" ")
                if heard is not None:
                    heard.append(command)
                body = command.startswith(b"UID FETCH") and b"BODY" in command
                asked = command.split()[2].split(b",") if body else []
                done = b" OK done\r\n"
                if body and waits[0]:
                    waits[0] -= 1
                    done = b" NO [UNAVAILABLE] later\r\n"
                elif b"%d" % refused in asked:
                    done = b" NO [SERVERBUG] cannot\r\n"
                line.sendall((b"" if b"UNAVAIL" in done else b"".join(answers(command))) + tag + done)

    def answers(command: bytes) -> Iterator[bytes]:
        if command == b"CAPABILITY":
            yield b"* CAPABILITY IMAP4REV1\r\n"
        elif command.startswith(b"LIST"):
            yield b'* LIST () NIL INBOX\r\n* LIST () NIL inbox\r\n* LIST (\\NoSelect) NIL "x"\r\n'
        elif command.startswith(b"EXAMINE"):
            yield b"* %d EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n" % (len(bodies) if exists is None else exists)
        elif command.startswith(b"UID SEARCH"):
            yield b"* SEARCH" + b"".join(b" %d" % uid for uid in bodies) + b"\r\n"
        elif asked := re.match(rb"UID FETCH ([\d,]+) \((.*)\)", command):
            for number, uid in enumerate(map(int, asked[1].split(b",")), 1):
                if uid == refused and b"BODY" in asked[2]:
                    return
                if b"SIZE" in asked[2]:
                    yield b"* %d FETCH (UID %d RFC822.SIZE %d)\r\n" % (number, uid, size)
                    continue
                body, name = bodies[uid], b"BODY[]"
                if part := re.search(rb"<(\d+)\.(\d+)>", asked[2]):
                    if int(part[1]) >= removed_after:
                        yield b"* %d FETCH (UID %d BODY[]<%d> {0}\r\n)\r\n" % (number, uid, int(part[1]))
                        del bodies[uid]
                        continue
                    if int(part[1]) >= nothing_after:
                        yield b"* %d FETCH (UID %d BODY[]<%d> NIL)\r\n" % (number, uid, int(part[1]))
                        continue
                    body, name = body[int(part[1]) :][: int(part[2])], b"BODY[]<%d>" % int(part[1])
                yield b"* %d FETCH (UID %d %s {%d}\r\n%s)\r\n" % (number, uid, name, len(body), body)

    return serve


def test_a_size_that_is_wrong_is_said_and_the_octets_count(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = {1: letter(1), 2: letter(2) * 3}
    for large in (10_000, 5):
        monkeypatch.setattr(imap, "LARGE", large)
        monkeypatch.setattr(imap, "_PIECE", 16)
        for size in (len(letter(1)), 11):
            with talking(scripted(bodies, size=size)) as port:
                boxes = ImapMailboxes(f"imap://a:b@127.0.0.1:{port}/")
                assert {mail.where: bytes(mail.data) for mail in boxes.mails()} == {
                    f"INBOX/UID {uid}": body for uid, body in bodies.items()
                }
                wrong = sum(len(body) != size for body in bodies.values())
                assert boxes.remarks[0].startswith(f"{wrong} mail")
                assert "another length than the server announces" in boxes.remarks[0]


def test_a_mail_of_which_nothing_is_given_is_there_all_the_same() -> None:
    with talking(scripted({1: b"", 2: letter(2)}, size=60)) as port:
        mails = read(f"imap://a:b@127.0.0.1:{port}/")
    assert [mail.gone is None for mail in mails] == [False, True]
    assert "lists the mail and does not give it" in str(mails[0].gone)


def test_a_list_that_is_too_short_is_not_believed() -> None:
    with talking(scripted({1: letter(1)}, size=60, exists=2)) as port, pytest.raises(StoreError, match="lists 1"):
        read(f"imap://a:b@127.0.0.1:{port}/")


@pytest.mark.parametrize("large", [10_000, 5])
def test_one_mail_that_is_refused_keeps_no_other_away(monkeypatch: pytest.MonkeyPatch, large: int) -> None:
    monkeypatch.setattr(imap, "LARGE", large)
    bodies = {uid: letter(uid) for uid in range(1, 6)}
    with talking(scripted(bodies, size=len(letter(1)), refused=3)) as port:
        mails = read(f"imap://a:b@127.0.0.1:{port}/")
    assert [bytes(mail.data) for mail in mails] == [letter(1), letter(2), b"", letter(4), letter(5)]
    assert [mail.gone is None for mail in mails] == [True, True, False, True, True]


def test_a_rest_that_is_refused_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "LARGE", 5)
    monkeypatch.setattr(imap, "_PIECE", 16)
    serve = scripted({1: letter(1)}, size=len(letter(1)), nothing_after=32)
    with talking(serve) as port, pytest.raises(StoreError, match="gives 32 octets of UID 1, and of the rest nothing"):
        read(f"imap://a:b@127.0.0.1:{port}/")


def test_a_mail_that_is_removed_has_no_early_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "LARGE", 5)
    monkeypatch.setattr(imap, "_PIECE", 16)
    bodies = {1: letter(1), 2: b"Subject: short\r\n\r\n"}
    with talking(scripted(bodies, size=len(letter(1)), removed_after=32)) as port:
        boxes = ImapMailboxes(f"imap://a:b@127.0.0.1:{port}/")
        assert [mail.where for mail in boxes.mails()] == ["INBOX/UID 2"]
    assert boxes.remarks[0] == "1 mail of INBOX was removed while it was read"


def test_nothing_is_asked_that_changes_anything(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for large in (10_000, 5):
        monkeypatch.setattr(imap, "LARGE", large)
        heard: list[bytes] = []
        with talking(scripted({1: letter(1)}, size=len(letter(1)), heard=heard)) as port:
            read(f"imap://a:b@127.0.0.1:{port}/")
        harmless = rb'CAPABILITY|LOGIN a "b"|LIST .*|EXAMINE .*|UID SEARCH .*|LOGOUT|NOOP'
        fetches = [command for command in heard if not re.fullmatch(harmless, command)]
        assert len(fetches) == 2
        assert fetches[0] == b"UID FETCH 1 (RFC822.SIZE INTERNALDATE)"
        assert re.fullmatch(rb"UID FETCH 1 \(BODY\.PEEK\[\](<0\.\d+>)?\)", fetches[1])
    # Neither is what is said on the line written out anywhere.
    assert not [record for record in caplog.records if record.name == "imapclient.imaplib"]


def test_a_refusal_that_passes_is_waited_for() -> None:
    serve = scripted({1: letter(1)}, size=len(letter(1)), busy=2)
    with talking(serve) as port:
        assert [bytes(mail.data) for mail in read(f"imap://a:b@127.0.0.1:{port}/")] == [letter(1)]
    serve = scripted({1: letter(1)}, size=len(letter(1)), busy=4)
    with talking(serve) as port, pytest.raises(ConnectionLostError, match=r"again 3 times: .*\[UNAVAILABLE\]"):
        read(f"imap://a:b@127.0.0.1:{port}/")
