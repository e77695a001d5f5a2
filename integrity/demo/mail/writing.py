"""How do the journal, the mailboxes and the lists of a mail day lie on disk?"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from integrity.contracts import builtin_contracts
from integrity.demo.mail.letters import Letter, Style, dated, unfolded, written
from integrity.demo.mail.office import Copy, Ended, Posted
from integrity.demo.mail.people import DOMAIN, Directory
from integrity.demo.mail.traffic import PREFIX
from integrity.demo.writing import holds_day, write_csv
from integrity.errors import UsageError

__all__ = ["SCHEMA", "contract", "make_room", "write_journal", "write_mailboxes", "write_members", "write_outcomes"]

#: Tells a later call that a folder holds a mail day.
SCHEMA: Final = "integrity.demo.mail/1"
_FILES = ("journal.mbox", "members.csv", "grants.csv", "outcomes.csv", "mail-day.yaml", "faults.json", "result.json")
_DELIVERED = re.compile(r"\d+\.M\d+P\d+\.mbx\d\.acme\.example(,S=\d+)?(:2,[A-Z]*)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUOTED = re.compile(rb"^(>*From )", re.MULTILINE)
#: Servers that put their own headers on top, and those that keep mails with CRLF.
_TRACING, _CRLF = frozenset(("mbx3", "mbx4")), frozenset(("mbx2", "mbx4"))


def contract() -> str:
    """Return the contract of the day: that of all mail, under another name and with one declared addition."""
    text = builtin_contracts()["mail"].read_text(encoding="utf-8")
    named = re.sub(r"(?m)^name: mail$", "name: mail-day", text, count=1)
    reason = "the list server marks what went to everybody"
    declared = f"additions:\n  - {{name: list prefix, to: subject, text: '{PREFIX}', reason: {reason}}}\n"
    return f"{named.rstrip()}\n\n# What this service adds on the way.\n{declared}"


def make_room(folder: Path) -> None:
    """Remove the mail day that lies in a folder. Refuse to touch, or to mix with, anything that is not one."""
    boxes, ours = folder / "mailboxes", holds_day(folder, SCHEMA)
    there = [folder / name for name in _FILES if (folder / name).exists()]
    mails = [path for path in sorted(boxes.rglob("*")) if not path.is_dir() or path.is_symlink()]
    foreign = [path for path in mails if not _DELIVERED.fullmatch(path.name)] if ours else [*there, *mails]
    if foreign:
        raise UsageError(f"{foreign[0]} is not part of an earlier day", "choose another directory")
    for path in there:
        path.unlink()
    if boxes.exists():
        shutil.rmtree(boxes)
    folder.mkdir(parents=True, exist_ok=True)


# The journal ----------------------------------------------------------------------------------------------


def write_journal(path: Path, posted: Sequence[Posted]) -> None:
    """Write every accepted mail as the gateway got it, with its own headers on top, into one mbox (mboxrd)."""
    with path.open("wb") as file:
        for each in posted:
            file.write(f"From {each.sender.address} {_ctime(each.accepted.astimezone(UTC))}\n".encode())
            file.write(_QUOTED.sub(rb">\1", _stamped(each) + written(each.letter)) + b"\n")


def _ctime(moment: datetime) -> str:
    """Return a moment as a From line has it."""
    day, month = dated(moment)[:3], dated(moment)[8:11]
    return f"{day} {month} {moment.day:2d} {moment:%H:%M:%S} {moment.year}"


def _stamped(posted: Posted) -> bytes:
    """Return what the gateway writes on top: when it accepted the mail, and for whom."""
    number = posted.letter.serial
    helo = posted.sender.address.partition("@")[2]
    gate = number % 2 + 1
    when = dated(posted.accepted if gate == 1 else posted.accepted.astimezone(UTC))
    if gate == 1:
        lines = [f"X-Original-To: {address}" for address in posted.recipients]
    else:
        lines = ["X-Envelope-To: " + ",\n\t".join(posted.recipients)]
    lines += [
        f"Received: from mail.{helo} (mail.{helo} [192.0.2.{number % 200}])",
        f"\tby gate{gate}.{DOMAIN} with ESMTPS id {number:08X};",
        f"\t{when}",
        f"Authentication-Results: gate{gate}.{DOMAIN};",
        f"\t{posted.verified}",
    ]
    lines += [f"DKIM-Signature: v=1; a=rsa-sha256; d={helo}; s=s1;", f"\tbh={number:044d}"]
    return unfolded(line.encode() for line in lines)


# The mailboxes --------------------------------------------------------------------------------------------


def write_mailboxes(root: Path, people: Directory, posted: Iterable[Posted], others: Iterable[Copy]) -> int:
    """Write every copy into its Maildir. Return how many files were delivered."""
    made: set[Path] = set()
    for box in people.people:
        _room(root / box / "Maildir", made)
    names: Counter[str] = Counter()
    delivered = 0
    for mail, copies in [*((each, each.copies) for each in posted), *((None, [copy]) for copy in others)]:
        bodies: list[tuple[Letter, Style, bytes]] = []  # most copies of a mail are the same
        for copy in copies:
            body = next((done for letter, style, done in bodies if letter is copy.letter and style is copy.style), None)
            if body is None:
                body = written(copy.letter, copy.style)
                bodies.append((copy.letter, copy.style, body))
            server = people.servers[copy.mailbox]
            octets = (
                _traced(copy, mail, server) + body if server in _TRACING else (_stamped(mail) if mail else b"") + body
            )
            octets = octets[: len(octets) - copy.cut]
            if server in _CRLF:
                octets = octets.replace(b"\n", b"\r\n")
            folder = root / copy.mailbox / "Maildir" / copy.folder
            _room(folder, made)
            _file(folder, copy, server, names, len(octets)).write_bytes(octets)
            delivered += copy.written
    return delivered


def _room(folder: Path, made: set[Path]) -> None:
    if folder not in made:
        made.add(folder)
        for name in ("cur", "new", "tmp"):
            (folder / name).mkdir(parents=True)


def _file(folder: Path, copy: Copy, server: str, names: Counter[str], size: int) -> Path:
    """Return where a copy lies: its name begins with the moment of its delivery, and is nobody else's."""
    names[server] += 1
    second, micros = divmod((copy.delivered - _EPOCH) // timedelta(microseconds=1), 1_000_000)
    name = f"{second}.M{micros}P{1000 + names[server]}.{server}.{DOMAIN}"
    if not copy.written:
        return folder / "tmp" / name
    return folder / "cur" / f"{name},S={size}:2,S" if copy.seen else folder / "new" / name


def _traced(copy: Copy, mail: Posted | None, server: str) -> bytes:
    """Return what a mailbox server writes on top."""
    sender = (mail.sender if mail else copy.letter.sender).address
    lines = [
        f"Return-Path: <{sender}>",
        f"Delivered-To: {copy.mailbox}@{DOMAIN}",
        f"Received: from gate1.{DOMAIN} by {server}.{DOMAIN} with LMTP",
        f"\tid {copy.letter.serial:08X} for <{copy.mailbox}@{DOMAIN}>;",
        f"\t{dated(copy.delivered.astimezone(UTC))}",
        f"Authentication-Results: {server}.{DOMAIN}; dkim=pass header.d={sender.partition('@')[2]}",
    ]
    return unfolded(line.encode() for line in lines)


# The lists ------------------------------------------------------------------------------------------------


def write_members(path: Path, people: Directory) -> None:
    """Write who stands for whom, and since and until when."""
    rows = [(each.address, each.mailbox, _text(each.since), _text(each.until)) for each in people.members]
    write_csv(path, ("address", "mailbox", "since", "until"), rows)


def write_outcomes(path: Path, outcomes: Iterable[Ended]) -> None:
    """Write what became of mails that ended elsewhere."""
    write_csv(path, Ended._fields, [(*each[:3], _text(each.at)) for each in outcomes])


def _text(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat()
