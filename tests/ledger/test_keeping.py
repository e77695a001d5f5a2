"""Keys that take over, checkpoints that are sent out, persons who are forgotten, contracts that are approved."""

from __future__ import annotations

import base64
import datetime as dt
import http.server
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import integrity
from integrity.errors import LedgerError, UsageError
from integrity.jobs import Job
from integrity.ledger import Ledger, verify
from integrity.ledger.anchors import send
from integrity.ledger.changing import approve, changes, check_duties
from integrity.ledger.checkpoints import Checkpoint
from integrity.ledger.claims import Claim
from integrity.ledger.erasing import erase, expire
from integrity.ledger.keys import LedgerKey, PublicKey
from integrity.ledger.listing import breaks
from integrity.ledger.rotating import rotate

from . import books

# --- keys


def test_a_key_as_text_is_read_back_and_another_is_not() -> None:
    """The example of the C2SP signed-note specification, as other tools write it."""
    known = "example.com/foo+530d903a+AYPgiY4gTYmnkwJIyYxO3pNUcSTp7xVVP9s+hDyQPFYE"
    try:
        key = PublicKey.from_text(known)
    except LedgerError:
        key = None
    made = LedgerKey.made("example.com/foo").public
    assert PublicKey.from_text(str(made)) == made
    assert key is None or str(key) == known
    for wrong in ("", "a+b", str(made).replace("example.com", "example.org"), str(made)[:-4]):
        with pytest.raises(LedgerError, match="is no public key"):
            PublicKey.from_text(wrong)


def test_a_checkpoint_is_read_back_and_nothing_else_is() -> None:
    from integrity.merkle import Frontier, leaf_hash

    key = LedgerKey.made("example.com/foo")
    note = Checkpoint.signed(Frontier().append(leaf_hash(b"a")), key)
    assert Checkpoint.from_text(note.text) == note
    assert note.is_signed_by(key.public)
    assert not note.is_signed_by(LedgerKey.made("example.com/foo").public)
    for wrong in ("", note.text[:-1], note.text.replace("\n1\n", "\n01\n"), note.text.replace("— ", "- "), note.body):
        if wrong == note.body:
            continue
        with pytest.raises(LedgerError, match="is no checkpoint"):
            Checkpoint.from_text(wrong)
    changed = Checkpoint.from_text(note.text.replace("\n1\n", "\n2\n"))
    assert not changed.is_signed_by(key.public)


def test_another_key_takes_over_hand_to_hand(tmp_path: Path) -> None:
    book = books.filled(tmp_path, runs=1)
    later = rotate(book, tmp_path / "new.key")
    found = verify(tmp_path / "ledger.db")
    assert found.is_sound
    assert verify(tmp_path / "ledger.db", key=later.key.public).is_sound
    assert verify(tmp_path / "ledger.db", key=book.key.public).is_sound  # it began the log
    with pytest.raises(LedgerError, match="was its key until another took over"):
        Ledger.open(tmp_path / "ledger.db")
    again = Ledger.open(tmp_path / "ledger.db", key=tmp_path / "new.key")
    items = books.sent(20)
    integrity.reconcile(books.promise(), items, books.damaged(items), ledger=again)
    assert verify(tmp_path / "ledger.db").is_sound
    assert len(breaks(tmp_path / "ledger.db")) == len(breaks(tmp_path / "ledger.db").unique("subject"))  # found again
    with pytest.raises(LedgerError, match="there is a key at"):
        rotate(again, tmp_path / "new.key")


def test_a_key_cannot_take_over_by_itself(tmp_path: Path) -> None:
    book = books.filled(tmp_path, runs=1)
    stranger = LedgerKey.made("example.org/test")
    body = {"before": str(book.key.public), "key": str(stranger.public), "signatures": ["00" * 64, "00" * 64]}
    book.say("rotated", body)
    assert ("leaves", "unsigned") in {(each.table, each.what) for each in verify(tmp_path / "ledger.db").findings}


# --- checkpoints


@contextmanager
def serving(answer: bytes | None, status: int = 200) -> Iterator[tuple[str, list[bytes]]]:
    """A web server that keeps what is posted; it answers what it is given, or by openssl's time stamping authority."""
    posted: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer if answer is not None else b"")

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", posted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_checkpoint_is_kept_in_files_and_by_others(tmp_path: Path) -> None:
    book = books.filled(tmp_path, runs=1)
    assert not verify(tmp_path / "ledger.db").claim.size
    checkpoint = send(book, str(tmp_path / "held.txt"), party="the auditor")
    send(book, str(tmp_path / "folder/"))
    with serving(b"thanks") as (url, posted):
        send(book, url)
    held = (tmp_path / "held.txt").read_text()
    assert Checkpoint.from_text(held) == checkpoint
    (kept,) = (tmp_path / "folder").iterdir()
    assert posted[0].decode().startswith("example.org/test\n5\n")
    found = verify(tmp_path / "ledger.db", held=[held, kept.read_text()])
    assert found.is_sound
    assert str(found.claim).startswith("tamper-evident up to checkpoint 5, held by 127.0.0.1 since 20")
    items = books.sent(4)
    integrity.reconcile(books.promise(), items, books.kept(items), ledger=book)
    assert "2 later leaves not yet anchored" in verify(tmp_path / "ledger.db").headline()


def test_who_cannot_be_reached_is_named_and_nothing_is_claimed(tmp_path: Path) -> None:
    book = books.filled(tmp_path, runs=1)
    with pytest.raises(LedgerError, match=r"could not be sent to 127\.0\.0\.1.*the run is on record"):
        send(book, "http://127.0.0.1:9/")
    with serving(b"", status=500) as (url, _), pytest.raises(LedgerError, match="it answers 500"):
        send(book, url)
    (tmp_path / "file").write_text("x")
    with pytest.raises(LedgerError, match="could not be kept: cannot write"):
        send(book, str(tmp_path / "file" / "x.txt"))
    with serving(b"no stamp") as (url, _), pytest.raises(LedgerError, match="gave no time stamp"):
        send(book, f"rfc3161+{url}")
    assert verify(tmp_path / "ledger.db").claim.size == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to stamp times")
def test_a_time_stamp_of_a_real_authority(tmp_path: Path) -> None:
    """openssl plays the authority, behind a web server."""
    book = books.filled(tmp_path, runs=1)
    authority(tmp_path)

    class Stamping(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (tmp_path / "q.tsq").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            subprocess.run(
                ["openssl", "ts", "-reply", "-queryfile", "q.tsq", "-config", "ts.cnf", "-out", "q.tsr"],
                cwd=tmp_path, check=True, capture_output=True,
            )  # fmt: skip
            self.send_response(200)
            self.end_headers()
            self.wfile.write((tmp_path / "q.tsr").read_bytes())

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Stamping)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        sent = send(book, f"rfc3161+http://127.0.0.1:{server.server_address[1]}/", party="tsa.example")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        import json

        (body,) = connection.execute("SELECT body FROM leaves WHERE kind = 'sent'").fetchone()
    (tmp_path / "kept.tsr").write_bytes(base64.b64decode(json.loads(body)["receipt"]))
    (tmp_path / "checkpoint").write_text(sent.text)
    told = subprocess.run(
        ["openssl", "ts", "-verify", "-data", "checkpoint", "-in", "kept.tsr", "-CAfile", "cert.pem"],
        cwd=tmp_path, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert "Verification: OK" in told.stdout + told.stderr


def authority(folder: Path) -> None:
    (folder / "ts.cnf").write_text(
        "[tsa]\ndefault_tsa=t\n[t]\nserial=serial\nsigner_cert=cert.pem\nsigner_key=key.pem\nsigner_digest=sha256\n"
        "certs=cert.pem\ndefault_policy=1.2.3.4.1\ndigests=sha256\nordering=yes\ness_cert_id_chain=no\ness_cert_id_alg=sha256\n"
    )
    (folder / "serial").write_text("01")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2",
         "-subj", "/CN=tsa.example", "-addext", "extendedKeyUsage=critical,timeStamping"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip


def test_what_is_claimed_is_no_more_than_that() -> None:
    assert "could have written all of it anew" in str(Claim(0, "", None, 7))
    assert str(Claim(3, "lee", "T", 0)) == "tamper-evident up to checkpoint 3, held by lee since T"


# --- erasure


def test_a_person_is_forgotten_and_the_counts_stay(tmp_path: Path) -> None:
    book = books.filled(tmp_path, runs=2)
    before = breaks(tmp_path / "ledger.db")
    whose = before["identity"].str.json_path_match("$.id")
    assert "note-4" in set(whose)
    assert erase(book, {"id": "note-4"}, basis="art. 17 of 2026-03-02", by="dpo") == 2
    after = breaks(tmp_path / "ledger.db")
    assert after.height == before.height  # that two runs showed one break is still known, and not whose it is
    assert after["identity"].null_count() == 1
    octets = (tmp_path / "ledger.db").read_bytes()
    assert b"note-2" in octets
    assert b"note-4" not in octets  # not in a free page either
    found = verify(tmp_path / "ledger.db")
    assert found.is_sound
    assert "2 private texts erased under policy" in found.headline()
    assert erase(book, {"id": "note-4"}, basis="again", by="dpo") == 0
    assert erase(book, {"tenant": "acme"}, basis="the tenant left", by="dpo") > 2
    assert verify(tmp_path / "ledger.db").is_sound
    assert b'"acme"' not in (tmp_path / "ledger.db").read_bytes()


def test_what_is_older_than_it_is_kept_is_forgotten(tmp_path: Path) -> None:
    books.filled(tmp_path, runs=1)
    later = Ledger.open(tmp_path / "ledger.db", clock=lambda: dt.datetime.now(dt.UTC) + dt.timedelta(days=400))
    assert expire(later, dt.timedelta(days=401), basis="policy 7", by="dpo") == 0
    assert expire(later, dt.timedelta(days=399), basis="policy 7", by="dpo") > 5
    found = verify(tmp_path / "ledger.db")
    assert found.is_sound
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        assert connection.execute("SELECT count(*) FROM secrets").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM breaks").fetchone() != (0,)


def test_nothing_is_erased_without_a_basis(tmp_path: Path) -> None:
    book = books.filled(tmp_path, runs=1)
    with pytest.raises(UsageError, match="names its basis"):
        erase(book, {"id": "note-4"}, basis=" ", by="dpo")
    with pytest.raises(UsageError, match="nothing says whom"):
        erase(book, {}, basis="x", by="dpo")


def test_nothing_guessable_is_kept_as_an_unkeyed_digest(tmp_path: Path) -> None:
    """The hash total of a batch of one item would be half of the item's SHA-256."""
    book = books.filled(tmp_path, runs=1, seal="merkle")
    items = books.sent(1)
    result = integrity.reconcile(books.promise(seal="merkle"), items, books.kept(items), ledger=book)
    digest = result.batches["source_hash"][0].removeprefix("sum128:")
    from integrity.seals import fingerprint_of

    whole = fingerprint_of(books.promise(seal="merkle"), items.row(0, named=True))
    assert whole.startswith(digest)
    octets = (tmp_path / "ledger.db").read_bytes()
    assert digest.encode() not in octets
    assert bytes.fromhex(whole) not in octets
    for identifier in breaks_ids(result):
        assert identifier.encode() not in octets


def breaks_ids(result: integrity.Result) -> list[str]:
    lost = integrity.reconcile(result.contract, books.sent(2), books.kept(books.sent(1)))
    return list(lost.breaks["break_id"])


# --- approval


def test_a_contract_that_was_used_cannot_change_under_its_version(tmp_path: Path) -> None:
    book, items = books.filled(tmp_path, runs=1), books.sent(4)
    with pytest.raises(LedgerError, match=r"version 1 is on record with other promises.*version: 2"):
        integrity.reconcile(books.promise(grace="1m"), items, books.kept(items), ledger=book)
    integrity.reconcile(books.promise(grace="1m", version=2), items, books.kept(items), ledger=book)
    test = Ledger.open(tmp_path / "ledger.db", environment="test")
    integrity.reconcile(books.promise(version=3), items, books.kept(items), ledger=test)
    integrity.reconcile(
        books.promise(version=3, grace="9m"), items, books.kept(items), ledger=test
    )  # drafts may change
    told = [(each.what, each.after[:15]) for each in changes(tmp_path / "ledger.db")]
    assert told == [("contract", "notes version 1"), ("contract", "notes version 2")]
    assert verify(tmp_path / "ledger.db").is_sound


def test_a_job_can_require_an_approval_and_three_persons(tmp_path: Path) -> None:
    items = books.sent(4)
    items.write_parquet(tmp_path / "s.parquet")
    books.kept(items).write_parquet(tmp_path / "d.parquet")
    (tmp_path / "c.yaml").write_text(books.promise().to_yaml())
    url = f"sqlite:///{tmp_path}/ledger.db"
    duties = ["author", "approver", "runner"]
    job = Job(
        f"{tmp_path}/c.yaml",
        f"{tmp_path}/s.parquet",
        f"{tmp_path}/d.parquet",
        ledger=url,
        approved=True,
        separate=duties,
    )
    book = Ledger.open(url, operator="runner")
    with pytest.raises(LedgerError, match="no approval of contract 'notes' version 1"):
        job.run()
    with pytest.raises(UsageError, match="cannot approve what they wrote"):
        approve(book, books.promise(), approver="Kim", ticket="T-1", author="kim ")
    now = dt.datetime.now(dt.UTC)
    approve(
        book, books.promise(), approver="lee", ticket="T-1", author="kim", effective_from=now + dt.timedelta(days=1)
    )
    with pytest.raises(LedgerError, match="no approval"):
        check_duties(book, books.promise(), duties, now)
    approve(book, books.promise(), approver="lee", ticket="T-1")
    with pytest.raises(LedgerError, match="nobody knows the author"):
        check_duties(book, books.promise(), duties, now + dt.timedelta(seconds=5))
    approve(book, books.promise(), approver="lee", ticket="T-1", author="kim")
    later = now + dt.timedelta(seconds=9)
    assert check_duties(book, books.promise(), duties, later).approver == "lee"
    for who in ("kim", "LEE"):
        with pytest.raises(LedgerError, match="are the same person"):
            check_duties(Ledger.open(url, operator=who), books.promise(), duties, later)
    with pytest.raises(UsageError, match="there is no duty 'autor'; did you mean 'author'"):
        check_duties(book, books.promise(), ["autor"], later)
    with pytest.raises(LedgerError, match="no approval"):
        check_duties(book, books.promise(grace="1m"), [], later)
    assert job.run().verdict == "pass"  # whoever runs the tests is neither kim nor lee
    assert [each.what for each in changes(url)].count("approval") == 3
