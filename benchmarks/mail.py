"""How fast does a mail climb the ladder, and what do a hundred thousand of them cost?

    python benchmarks/mail.py                              a hundred thousand mails; writes its section of RESULTS.md
    python benchmarks/mail.py --mails 2000 --repeat 1      does it still run? prints only

The ladder is timed beside Python's own parser, in one process, on the same mails: a bare message_from_bytes, which
reads no content, and one with policy.default whose every part is decoded, which is what it takes to hash content with
it. Then the same mails, once as a Maildir and once as an mbox, are reconciled in whole processes, beside the script
that people write: Python's mailbox module, and a SHA-256 of each mail as it is serialised again.
"""

from __future__ import annotations

import argparse
import base64
import email
import email.policy
import hashlib
import os
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import run
from run import HERE, OUR_CODES, RESULTS, say

BEGIN, END = "<!-- mail.py writes from here … -->", "<!-- … to here, mail. -->"
FULL_MAILS, FULL_REPEAT = 100_000, 5
MIB = 2**20
_WORDS = [
    "안녕하세요",
    "회의",
    "자료를",
    "첨부합니다",
    "the",
    "quarterly",
    "report",
    "is",
    "attached",
    "please",
    "confirm",
]

BY_HAND = """
import hashlib, mailbox, sys
def seen(box):
    return {(m["Message-ID"], hashlib.sha256(m.as_bytes()).hexdigest()) for m in box}
here, there = seen(mailbox.mbox(sys.argv[1])), seen(mailbox.Maildir(sys.argv[2]))
print(len(here - there), "only here,", len(there - here), "only there")
"""


# --- what is measured ---------------------------------------------------------------------------------------


def mails(count: int, seed: int = 7) -> Iterator[bytes]:
    """Yield mails of a working day: text, text and HTML, and every fifth with an attachment; CRLF, some 5 KB each."""
    chance = random.Random(seed)

    def text(words: int) -> bytes:
        return " ".join(chance.choices(_WORDS, k=words)).encode()

    for number in range(count):
        subject = base64.b64encode(text(6)).decode()
        head = (
            f"Received: from mx by store; Mon, 2 Mar 2026 {number % 24:02d}:00:00 +0900\r\n"
            "Return-Path: <a@acme.example>\r\n"
            f"From: =?utf-8?b?6rmA?= <user{number % 97}@acme.example>\r\nTo: user{number % 89}@acme.example\r\n"
            f"Subject: =?utf-8?b?{subject}?=\r\nDate: Mon, 2 Mar 2026 09:00:00 +0900\r\n"
            f"Message-ID: <{number}@acme.example>\r\nMIME-Version: 1.0\r\n"
        ).encode()
        plain = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        plain += base64.encodebytes(text(60)).replace(b"\n", b"\r\n")
        html = (
            b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<p>"
            + text(60)
            + b"</p>\r\n"
        )
        if number % 5 == 0:
            octets = chance.randbytes(9_000)
            pdf = b'Content-Type: application/pdf; name="a.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
            pdf += base64.encodebytes(octets).replace(b"\n", b"\r\n")
            yield head + _multipart(b"mixed", plain, pdf)
        elif number % 2:
            yield head + _multipart(b"alternative", plain, html)
        else:
            yield head + plain


def _multipart(kind: bytes, *parts: bytes) -> bytes:
    inside = b"".join(b"--=_b\r\n" + part + b"\r\n" for part in parts)
    return b"Content-Type: multipart/" + kind + b'; boundary="=_b"\r\n\r\n' + inside + b"--=_b--\r\n"


def write(folder: Path, count: int) -> tuple[Path, Path, Path]:
    """Write the mails as a Maildir, as an mbox with LF, and as one in which one in a thousand is changed."""
    boxes, box, changed = folder / "boxes", folder / "all.mbox", folder / "changed.mbox"
    (boxes / "all" / "new").mkdir(parents=True)
    with open(box, "wb") as file, open(changed, "wb") as other:
        for number, octets in enumerate(mails(count)):
            (boxes / "all" / "new" / f"{1772409600 + number}.M1P1.host").write_bytes(octets)
            lines = b"From a@acme.example Mon Mar  2 09:00:00 2026\n" + octets.replace(b"\r\n", b"\n") + b"\n"
            file.write(lines)
            other.write(lines.replace(b"user", b"uzer", 1) if number % 1000 == 7 else lines)
    return boxes, box, changed


# --- the ladder ---------------------------------------------------------------------------------------------


def ladder(repeat: int) -> list[str]:
    """Time the ladder and Python's parser in turns; return lines of a table."""
    from integrity.mail.rungs import climb

    generated = list(mails(400))
    corpora = {"generated, 5 KB": generated}
    try:
        import test.test_email as package

        folder = Path(package.__file__).parent / "data"
        corpora["CPython's 48 test mails"] = [path.read_bytes() for path in sorted(folder.glob("msg_*.txt"))] * 8
    except ImportError:
        pass

    def bare(octets: bytes) -> None:
        email.message_from_bytes(octets)

    def decoded(octets: bytes) -> None:
        for part in email.message_from_bytes(octets, policy=email.policy.default).walk():
            if not part.is_multipart():
                try:
                    content = part.get_content()
                except (LookupError, KeyError, ValueError):
                    content = part.get_payload(decode=True)
                hashlib.sha256(content if isinstance(content, bytes) else str(content).encode(errors="replace"))

    warnings.simplefilter("ignore")
    lines = ["| mails | the full ladder | bare parser | policy.default, decoded | ladder ÷ bare | ladder ÷ decoded |"]
    lines.append("|---|--:|--:|--:|--:|--:|")
    for name, octets in corpora.items():
        speeds = _in_turns([climb, bare, decoded], octets, repeat)
        ours, theirs, whole = (statistics.median(each) for each in speeds)
        lines.append(
            f"| {name} | {ours:,.0f}/s | {theirs:,.0f}/s | {whole:,.0f}/s | {ours / theirs:.2f} | {ours / whole:.1f} |"
        )
    return lines


def _in_turns(works: Sequence[Callable[[bytes], object]], octets: Sequence[bytes], repeat: int) -> list[list[float]]:
    speeds: list[list[float]] = [[] for _ in works]
    for _ in range(max(repeat, 3)):
        for work, speed in zip(works, speeds, strict=True):
            start = time.perf_counter()
            for each in octets:
                work(each)
            speed.append(len(octets) / (time.perf_counter() - start))
    return speeds


# --- whole processes ----------------------------------------------------------------------------------------


def reconciled(count: int, repeat: int, folder: Path) -> list[str]:
    """Reconcile mailboxes in whole processes, in turns; return lines of a table."""
    say(f"writing {count:,} mails twice")
    boxes, box, changed = write(folder, count)
    size = box.stat().st_size
    ours = [sys.executable, "-m", "integrity", "reconcile", "mailbox"]
    work = {
        "ours, Maildir against mbox, the same mails": [*ours, f"maildir:{boxes}", f"mbox:{box}?mailbox=all"],
        "ours, one mail in a thousand changed": [*ours, f"maildir:{boxes}", f"mbox:{changed}?mailbox=all"],
        "by hand: mailbox module, SHA-256 of as_bytes()": [sys.executable, "-c", BY_HAND, str(box), str(boxes / "all")],
    }
    runs: dict[str, list[tuple[float, float, float, str]]] = {name: [] for name in work}
    for turn in range(repeat):
        for name, line in work.items():
            seconds, usage, code, last = run.spawn(line, folder)
            if code not in OUR_CODES:
                raise SystemExit(f"{name}: exit code {code}: {last}")
            peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / MIB
            runs[name].append((seconds, usage.ru_utime + usage.ru_stime, peak, _answer(code, last)))
            say(f"{turn + 1}/{repeat}  {name:<50} {seconds:6.1f} s {peak:6,.0f} MiB  {runs[name][-1][3]}")
    lines = [f"{count:,} mails, {size / MIB:,.0f} MiB on either side.", ""]
    lines += ["|  | runs | seconds (min–max) | mails/s | CPU s | peak MiB | answer |", "|---|--:|--:|--:|--:|--:|---|"]
    for name, each in runs.items():
        seconds, cpu, peak = (statistics.median(column) for column in list(zip(*each, strict=True))[:3])
        spread = f"{seconds:.1f} ({min(e[0] for e in each):.1f}–{max(e[0] for e in each):.1f})"
        lines.append(
            f"| {name} | {len(each)} | {spread} | {count / seconds:,.0f} | {cpu:.1f} | {peak:,.0f} | {each[-1][3]} |"
        )
    return lines


def _answer(code: int, last: str) -> str:
    return last if "only" in last else {0: "equal", 1: "different"}.get(code, f"exit {code}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure mail.")
    option = parser.add_argument
    option("--mails", type=int, default=FULL_MAILS, help="how many; a hundred thousand take about 2 GB while this runs")
    option("--repeat", type=int, default=FULL_REPEAT, help="runs of each")
    option("--results", type=Path, help="put the section into this; a full run writes RESULTS.md if this is left out")
    asked = parser.parse_args()
    about = f"- machine: {run.machine(os.getloadavg()[0])}\n- ours: {run.ours_installed('polars', 'pyarrow')}"
    say("climbing")
    lines = ["## Mail", "", time.strftime("%Y-%m-%d, by `python benchmarks/mail.py`."), "", about, ""]
    lines += ["### The ladder, mails a second on one core, medians", "", *ladder(asked.repeat), ""]
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=HERE if os.access(HERE, os.W_OK) else None) as folder:
        lines += ["### A mailbox against another", "", *reconciled(asked.mails, asked.repeat, Path(folder)), ""]
    text = "\n".join(lines)
    print(text)
    full = asked.mails == FULL_MAILS and asked.repeat >= FULL_REPEAT
    if asked.results or full:
        run.put(asked.results or RESULTS, text, BEGIN, END)


if __name__ == "__main__":
    main()
