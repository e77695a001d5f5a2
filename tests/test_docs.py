"""The documentation: what its pages show, runs; and its site is whole, asks nobody for anything, and can be searched and
read by everybody.

A command that needs a server of the reader's (``postgresql://``, ``mariadb://``, ``imaps://``, ``s3://``) is not carried
out: its arguments are read as the command line reads them, and its stores are opened as far as they can be without one.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import importlib
import importlib.util
import io
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import threading
import tomllib
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import click
import polars as pl
import pytest

import integrity
from integrity.cli import cli, main
from tests.browser import browser, opened
from tests.effort import THOROUGH
from tests.servers import Postgres, absent

ROOT = Path(integrity.__file__).parent.parent
DOCS = ROOT / "docs"
TESTS = ROOT / "tests"
#: What runs, or claims to: it is on a page so that a reader does it.
_SHOWN = ("python", "pycon", "console")


@dataclass(frozen=True)
class Block:
    """A block of code on a page.

    Attributes:
        page: The page, below docs; or README.md.
        language: As it is fenced.
        title: The name of the file that it is, if it is one.
        text: What stands in it.
    """

    page: str
    language: str
    title: str | None
    text: str


def pages() -> dict[str, str]:
    """The text of each page, by its name."""
    found = {str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
    return {"README.md": (ROOT / "README.md").read_text(encoding="utf-8"), **found}


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in their order."""
    fenced = re.findall(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', pages()[page], re.DOTALL | re.MULTILINE)
    return [Block(page, language, title or None, text) for language, title, text in fenced]


# --- a reader, who does what a page shows
# -----------------------------------------------------------------------------------------------

#: What a reader does to a machine, and a test does not.
_NOT_HERE = ("git clone", "python -m venv", ". .venv/bin/activate", "$EDITOR", "make ")
#: Where a store is that only its owner has.
_ELSEWHERE = re.compile(r"(postgresql|mysql|mariadb|imaps?)://|tree:(s3|sftp)://")


@dataclass
class Reader:
    """Does what the blocks of a page say, in a folder.

    Attributes:
        folder: Where.
        codes: With which exit codes a command may end of which nothing more is said.
        code: How the last one ended.
        ran: What was carried out.
        parsed: What was read and not carried out.
        saved: Which files were written from the page.
    """

    folder: Path
    codes: tuple[int, ...] = (0, 1)
    code: int = 0
    ran: list[str] = field(default_factory=list)
    parsed: list[str] = field(default_factory=list)
    saved: list[str] = field(default_factory=list)

    def follow(self, page: str) -> None:
        """Do everything that the page shows, from its top to its end."""
        for block in blocks(page):
            if block.title is not None:
                (self.folder / block.title).write_text(block.text, encoding="utf-8")
                self.saved.append(block.title)
            elif block.language == "python":
                exec(compile(block.text, page, "exec"), {"__name__": "__main__"})  # noqa: S102 - what a reader would run
                self.ran.append(block.text)
            elif block.language == "console":
                for command, shown in commands(block.text):
                    self.do(command, shown)

    def do(self, line: str, shown: list[str]) -> None:
        """Do one line of a shell."""
        printed = ""
        for command in re.sub(r"\s# .*$", "", line).split(" && "):
            printed += self._done(command.strip())
        if shown:
            assert agrees(shown, printed), f"{line}\n{printed}"

    def _done(self, command: str) -> str:
        if command.startswith("pip install "):
            _check_extras(command)
            return ""
        if command.startswith(_NOT_HERE):
            return ""
        if command == "echo $?":
            return f"{self.code}\n"
        words = [each for word in shlex.split(command) for each in self._spread(word, command)]
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            os.environ[name] = value
            return ""
        if words[0] == "mkdir":
            (self.folder / words[1]).mkdir()
            return ""
        if words[0] == "cat":
            return (self.folder / words[1]).read_text(encoding="utf-8")
        target = words[words.index(">") + 1] if ">" in words else None
        words = words[: words.index(">")] if ">" in words else words
        said = self._program(words)
        if target is None:
            return said
        (self.folder / target).write_text(said, encoding="utf-8")
        return ""

    def _spread(self, word: str, command: str) -> list[str]:
        """What a shell makes of a pattern that is not quoted."""
        if "*" not in word or f"'{word}'" in command:
            return [word]
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.glob(word))

    def _program(self, words: list[str]) -> str:
        said = " ".join(words)
        if words[0] == "python":
            return printed(lambda: exec(compile(Path(words[1]).read_text("utf-8"), words[1], "exec"), {}))  # noqa: S102
        assert words[0] == "integrity", said
        if "…" in words or _ELSEWHERE.search(said):
            self._parse(words[1:])
            self.parsed.append(said)
            return ""

        def called() -> None:
            with pytest.raises(SystemExit) as left:
                main(words[1:])
            self.code = int(left.value.code)  # type: ignore[arg-type]

        output = printed(called)
        assert self.code in self.codes, (said, self.code, output)
        self.ran.append(said)
        return output

    def _parse(self, words: list[str]) -> None:
        """Read a command's arguments; open its stores, as far as that is possible without the servers behind them."""
        command: click.Command = cli
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        if "…" in words:  # only the options stand there
            known = {name for each in command.params for name in each.opts}
            assert {word for word in words if word.startswith("--")} <= known
            return
        arguments = command.make_context(command.name, words).params
        for name in ("source", "destination", "grants", "outcomes", "members", "corrections"):
            if _ELSEWHERE.search(arguments.get(name) or ""):
                with _without_its_server():
                    integrity.open_store(arguments[name])


@contextlib.contextmanager
def _without_its_server() -> Iterator[None]:
    """Tell a URL that was understood, and whose server is not here, from one that means nothing."""
    try:
        yield
    except integrity.StoreError as error:
        if re.search("cannot be (reached|listed)", str(error)) is None:
            raise


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Each command of a block, and what is shown of what it prints."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and found[-1][0].endswith("\\"):
            found[-1] = (found[-1][0][:-1].rstrip() + " " + line.strip(), [])
        else:
            found[-1][1].append(line)
    return found


def printed(work: Callable[[], None]) -> str:
    """What it prints, in a terminal of 160 columns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out := io.StringIO())
        patch.setattr(sys, "stderr", out)
        patch.setenv("COLUMNS", "160")
        work()
    return out.getvalue()


def agrees(shown: list[str], said: str) -> bool:
    """Whether a page shows what was printed: a line of ``…`` stands for any lines, one within a line for any text."""
    pattern = ""
    for line in (" ".join(line.split()) for line in shown):
        if line == "…":
            pattern += r"(?:[^\n]*\n)*?"
        elif line:
            pattern += re.escape(line).replace("…", r"[^\n]*") + "\n"
    lines = (" ".join(line.split()) for line in said.splitlines())
    return re.fullmatch(pattern, "".join(line + "\n" for line in lines if line)) is not None


def _check_extras(command: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extras in re.findall(r"processing-integrity\[([\w,]+)\]", command):
        assert set(extras.split(",")) <= project["optional-dependencies"].keys()


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """A reader in an empty folder, whose environment is put back afterwards."""
    monkeypatch.chdir(tmp_path)
    for name in ("INTEGRITY_LEDGER", "INTEGRITY_OPERATOR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "none"}.items():
        monkeypatch.setenv(name, value)  # so that nothing is asked of S3 but what it is called
    return Reader(tmp_path)


def test_a_page_that_shows_something_else_is_found_out() -> None:
    assert agrees(["a  1", "…", "on record as …"], "a 1\nx\ny\non record as run 7\n")
    assert agrees(["a", "…", "b"], "a\nb\n")
    assert not agrees(["a 1"], "a 2\n")
    assert not agrees(["a"], "a\nb\n")
    assert not agrees(["…", "b"], "a\n")
    assert commands("$ a \\\n    b\nc\n$ d\n") == [("a b", ["c"]), ("d", [])]


def test_the_tutorial_runs_and_prints_what_it_shows(reader: Reader) -> None:
    reader.follow("tutorial.md")
    assert not reader.parsed


def test_the_algebra_is_what_the_library_computes(reader: Reader) -> None:
    reader.follow("algebra.md")
    text = pages()["algebra.md"]
    (script,) = (block.text for block in blocks("algebra.md") if block.title == "by_hand.py")
    names: dict[str, Any] = {}
    printed(lambda: exec(compile(script, "by_hand.py", "exec"), names))  # noqa: S102
    # The numbers of the prose, too, and not only those that the script prints.
    items = [names["text"](*row) for row in (*names["SENT"], *names["KEPT"])]
    whole = {text for block in blocks("algebra.md") if block.language == "text" for text in block.text.splitlines()}
    assert items[0].replace("\x1f", "␟") in whole
    digest = hashlib.sha256(items[0].encode()).hexdigest()
    assert f"{digest[:16]} {digest[16:32]} {digest[32:]}" in whole
    for value, octets in zip(items[0].split("\x1f")[:4], items[0].split("\x1f")[4:], strict=True):
        assert re.search(rf"\| `{value}`[^|]*\| {octets} \|", text)
    assert items[3].endswith("\x1f3\x1f16\x1f-\x1f1")
    assert items[7].endswith("\x1f3\x1f16\x1f0\x1f1")
    frames = [
        pl.DataFrame(names[each], schema=["id", "sent_at", "body", "cents"], orient="row") for each in ("SENT", "KEPT")
    ]
    batch = integrity.reconcile("notes.yaml", *frames).batches.to_dict("records")[0]
    for side, named in (("source", "lost"), ("destination", "duplicate extra")):
        terms = [f"{batch[each]} {each}" for each in ("matched", "corrupt", *named.split())]
        (line,) = (line for line in whole if re.match(rf"{side} +[0-9]", line))
        assert " ".join(line.split()) == f"{side} {batch[f'{side}_records']} = " + " + ".join(terms)
    assert batch["completeness_ratio"] == 3 / 4


def _orders(folder: Path) -> None:
    """The files of the tutorial, and the same orders elsewhere and called otherwise."""
    for block in reversed(blocks("tutorial.md")):  # of two warehouses the first one
        if block.title in ("orders.csv", "warehouse.csv", "orders.yaml"):
            (folder / block.title).write_text(block.text, encoding="utf-8")
    orders, warehouse = pl.read_csv(folder / "orders.csv"), pl.read_csv(folder / "warehouse.csv")
    orders.rename({"order_no": "bestellnr", "customer": "kunde"}).write_csv(folder / "theirs.csv")
    local = pl.col("placed_at").str.to_datetime(time_zone="UTC").dt.convert_time_zone("Asia/Seoul")
    orders.with_columns(local.dt.strftime("%Y-%m-%d %H:%M:%S")).write_csv(folder / "local.csv")
    orders.with_columns(shop=pl.lit("seoul")).filter(pl.col("customer").is_in(["kim", "lee"])).write_csv(
        folder / "orders-of-shops.csv"
    )
    with contextlib.closing(sqlite3.connect(folder / "shop.db")) as shop, shop:
        shop.execute("CREATE TABLE orders (order_no TEXT, customer TEXT, amount INTEGER, placed_at TEXT)")
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", orders.rows())
    import duckdb

    with contextlib.closing(duckdb.connect(str(folder / "warehouse.duckdb"))) as engine:
        times = "placed_at TIMESTAMPTZ, loaded_at TIMESTAMPTZ"
        engine.execute(f"CREATE TABLE orders (order_no VARCHAR, customer VARCHAR, amount BIGINT, {times})")
        engine.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", [list(row) for row in warehouse.rows()])
    people = pl.DataFrame({"id": ["1", "2"], "name": ["김", "Lee"], "email": ["kim@acme.example", "LEE@acme.example"]})
    people.write_csv(folder / "customers.csv")
    people.with_columns(pl.col("email").str.to_lowercase()).write_csv(folder / "crm.csv")


def _mailbox(place: Path, *numbers: int) -> None:
    """A Maildir with some mails."""
    for name in ("new", "cur", "tmp"):
        (place / name).mkdir(parents=True)
    for number in numbers:
        (place / "cur" / f"17724420{number:02}.M1P1.mail,S=1:2,S").write_bytes(_mail(number))


def _mail(number: int, to: str = "kim@acme.example") -> bytes:
    return (
        f"Received: from a by b; Mon, 02 Mar 2026 09:{number:02}:00 +0000\r\nDelivered-To: {to}\r\n"
        f"From: lee@acme.example\r\nTo: {to}\r\nSubject: {number}\r\nDate: Mon, 02 Mar 2026 09:{number:02}:00 +0000\r\n"
        f"Message-ID: <{number}@acme.example>\r\n\r\nhello\r\n"
    ).encode()


def _drive(place: Path) -> None:
    """A folder of three files, and what sha256sum says of them."""
    place.mkdir(parents=True)
    for name in ("a.txt", "b.txt", "견적.txt"):
        (place / name).write_text(name, encoding="utf-8")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(place.iterdir())]
    (place / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


def test_the_recipes_run(reader: Reader) -> None:
    _orders(reader.folder)
    _mailbox(reader.folder / "before" / "kim", 1, 2)
    _mailbox(reader.folder / "after" / "kim", 1, 2)
    _drive(reader.folder / "drive")
    (reader.folder / "held").mkdir()
    reader.follow("how-to.md")
    assert [each.split()[2:4] for each in reader.parsed] == [
        ["orders.yaml", "postgresql://auditor@db/shop#public.orders"],
        ["mailbox", "maildir:/var/mail/acme/kim"],
        ["tree", "manifest:SHA256SUMS"],
    ]


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _moved(reader: Reader, page: str, monkeypatch: pytest.MonkeyPatch, **other: str) -> None:
    """Let a page speak of files of this test, where it speaks of those of a server; and of other things."""
    text = re.sub(r"(?<=[:' ])/(srv|var|archive)/", rf"{reader.folder}/\1/", pages()[page])
    for old, new in other.items():
        assert old in text
        text = text.replace(old, new)
    monkeypatch.setattr("tests.test_docs.pages", lambda: {page: text})


def test_the_page_on_files_runs(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    import bagit

    folder = reader.folder
    _drive(folder / "srv" / "drive")
    bag = folder / "archive" / "bag-0042"
    bag.mkdir(parents=True)
    (bag / "a.txt").write_text("a", encoding="utf-8")
    bagit.make_bag(str(bag))
    shown = sorted((folder / "srv" / "drive").glob("*.txt"))
    lines = [f'"b","{path.name}",{path.stat().st_size},"{_md5(path)}"\n' for path in shown]
    listed = folder / "inventory" / "data.csv"
    listed.parent.mkdir()
    listed.write_text("".join(lines), encoding="utf-8")
    told = {
        "key": "data.csv",
        "size": listed.stat().st_size,
        "MD5checksum": _md5(listed),
    }
    inventory = {"fileFormat": "CSV", "fileSchema": "Bucket, Key, Size, ETag", "files": [told]}
    (folder / "inventory" / "manifest.json").write_text(json.dumps(inventory), encoding="utf-8")
    revisions = pl.DataFrame(
        {"file_id": ["1"], "revision": ["1"], "path": ["a"], "sha256": ["0" * 64], "size_bytes": [1]}
    )
    (folder / "archive").mkdir(exist_ok=True)
    revisions.write_parquet(folder / "archive" / "revisions.parquet")
    _moved(reader, "files.md", monkeypatch)
    reader.follow("files.md")
    assert len(reader.ran) == 3
    assert ["tree:s3://" in each or "postgresql://" in each for each in reader.parsed] == [True] * 3


def test_the_page_on_mail_runs(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = reader.folder
    _mailbox(folder / "var" / "mail" / "acme" / "kim", 1, 2)
    _mailbox(folder / "var" / "journal", 1)
    mbox = b"".join(b"From lee Mon Mar  2 09:00:00 2026\n" + _mail(n).replace(b"\r\n", b"\n") + b"\n" for n in (1, 2))
    (folder / "gateway.mbox").write_bytes(mbox)
    (folder / "members.csv").write_text("address,mailbox,since,until\nkim@acme.example,kim,,\n", encoding="utf-8")
    (folder / "bounces.csv").write_text("mailbox,message_id,outcome,at\n", encoding="utf-8")
    (folder / "acceptance.csv").write_text(
        "recipient,message_id,accepted_at,authenticated_as,from_domain,authenticated_by\n"
        "kim,<1@acme.example>,2026-03-02T09:01:00Z,lee,acme.example,own domain\n", encoding="utf-8",
    )  # fmt: skip
    reader.codes = (0, 1, 3)  # nobody says who might send, and a log without digests proves no content
    _moved(reader, "mail.md", monkeypatch)
    reader.follow("mail.md")
    assert len(reader.ran) == 3
    assert len(reader.parsed) == 1


def test_the_page_on_rules_runs_as_far_as_it_can(reader: Reader) -> None:
    reader.follow("rules.md")
    assert (len(reader.ran), len(reader.parsed)) == (0, 1)


def test_the_page_on_databases_runs(reader: Reader, monkeypatch: pytest.MonkeyPatch, postgres: Postgres) -> None:
    """Its snippet on a real PostgreSQL and a real DuckDB; its commands, which need a MariaDB too, are read."""
    import duckdb

    columns = ("tenant_id", "room_id", "message_id", "sender_id", "kind", "body")
    made = ", ".join(f"{name} text" for name in columns) + ", size_bytes bigint, sent_at timestamptz"
    row = "('t', 'r', 'm1', 'kim', 'text', '안녕', 6, '2026-03-02T09:00:00Z'"
    postgres.run("DROP TABLE IF EXISTS outbox", f"CREATE TABLE outbox ({made}, draft boolean)")
    postgres.run(f"INSERT INTO outbox VALUES {row}, false), {row.replace('m1', 'm2')}, true)")
    with contextlib.closing(duckdb.connect("archive.duckdb")) as engine:
        engine.execute(f"CREATE TABLE messages ({made}, stored_at timestamptz)")
        engine.execute(f"INSERT INTO messages VALUES {row}, '2026-03-02T09:00:01Z')")
    (snippet,) = (block.text for block in blocks("databases.md") if block.language == "python")
    url = '"postgresql://auditor@db/chat"'
    assert url in snippet
    names: dict[str, Any] = {"integrity": integrity}
    exec(compile(snippet.replace(url, repr(postgres.address)), "databases.md", "exec"), names)  # noqa: S102
    assert names["result"].totals["matched"] == 1
    assert names["result"].sides["destination"].how == "pushed down, so that only totals travel"
    for block in blocks("databases.md"):
        for command, shown in commands(block.text) if block.language == "console" else ():
            reader.do(command, shown)
    assert (len(reader.ran), len(reader.parsed)) == (0, 2)


def test_the_readme_runs_where_its_own_test_does_not(reader: Reader) -> None:
    """Three minutes with data of one's own, and a ledger; the demo and the snippet are tests/test_readme.py's."""
    _orders(reader.folder)
    (reader.folder / "warehouse").mkdir()
    pl.read_csv("warehouse.csv", try_parse_dates=True).write_parquet("warehouse/1.parquet")
    (reader.folder / "job.yaml").write_text(
        "contract: orders.yaml\nsource: orders.csv\ndestination: warehouse/*.parquet\nledger: ledger.db\n"
        "since: '2026-03-02T00:00:00Z'\n",
        encoding="utf-8",
    )
    consoles = [block for block in blocks("README.md") if block.language == "console" and not _is_of_the_demo(block)]
    assert len(consoles) == 2
    for block in consoles:
        for command, shown in commands(block.text):
            reader.do(command, shown)
    assert {each.split()[1] for each in reader.ran} >= {"contract", "reconcile", "run", "status", "ledger", "verify"}
    assert {each.split()[1] for each in reader.parsed} == {"reperform"}
    assert any(each.startswith("integrity notebook quarter") for each in reader.ran)


def _is_of_the_demo(block: Block) -> bool:
    return any(each in block.text for each in ("make demo", "mail-day:", "file: fail:"))


def test_the_first_page_runs(reader: Reader) -> None:
    _orders(reader.folder)
    reader.follow("index.md")
    assert len(reader.ran) == 2
    assert reader.code == 0


@pytest.mark.parametrize("page", ["report.md", "notebooks.md"])
def test_the_pages_on_reports_and_notebooks_run(page: str, reader: Reader) -> None:
    rows = [(f"n-{n}", "hello", f"2026-03-01T09:0{n}:00Z") for n in range(9)]
    notes = pl.DataFrame(rows, schema=["id", "body", "sent_at"], orient="row")
    notes.write_csv("outbox.csv")
    notes[1:].write_csv("archive.csv")
    contract = "name: notes\nversion: 1\nidentity: [id]\ncontent: {body: text}\nclock: {event: sent_at}\nwindow: 10m\n"
    Path("notes.yaml").write_text(contract, encoding="utf-8")
    reader.follow(page)
    assert not reader.parsed
    if page == "notebooks.md":
        assert "notes" in Path("walk-message.html").read_text(encoding="utf-8")


#: The pages that the tests above follow.
_FOLLOWED = (
    "index.md", "tutorial.md", "algebra.md", "how-to.md", "files.md", "mail.md", "rules.md", "databases.md", "report.md",
    "notebooks.md",
)  # fmt: skip


def test_whatever_a_page_shows_is_run_by_some_test() -> None:
    """A page that is new here needs a test that follows it: of this module, or of another one that names it."""
    others = [path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py") if path != Path(__file__)]
    above = Path(__file__).read_text(encoding="utf-8").partition("#: The pages that the tests above follow.")[0]
    for page in pages():
        if any(block.language in _SHOWN for block in blocks(page)):
            texts = [above] if page in _FOLLOWED else others
            assert any(f'"{page}"' in text for text in texts), f"no test runs what {page} shows"


def test_of_the_pages_that_other_tests_follow_no_block_is_left_over() -> None:
    """test_guides.py runs every command, and Python but that of schedulers; test_readme.py and ours divide the README."""
    from tests.test_guides import _ELSEWHERE as SCHEDULERS

    for page in ("ledger.md", "evidence.md", "outputs.md"):
        for block in blocks(page):
            if block.language == "console":
                assert all(command.startswith("integrity ") for command, _ in commands(block.text)), block
            elif block.language == "python" and block.text.startswith(SCHEDULERS):
                compile(block.text, page, "exec")  # they were tried by hand: here it is Python, at least
    (snippet,) = (block for block in blocks("README.md") if block.language == "python")
    assert "integrity.reconcile" in snippet.text
    assert sum(_is_of_the_demo(block) for block in blocks("README.md")) == 3


# --- the site
# -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as it is built: strictly, and with a proxy that is not there, so that nothing can come from a network."""
    for module in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            absent("MkDocs (the extra docs)")
    folder = tmp_path_factory.mktemp("site")
    nobody = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, **nobody, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return folder


def test_the_site_has_every_page_and_every_public_name(site: Path) -> None:
    made = {str(path.relative_to(site).with_suffix(".md")) for path in site.rglob("*.html")} - {"404.md"}
    assert made == pages().keys() - {"README.md"}
    told = "".join(path.read_text(encoding="utf-8") for path in (site / "reference").glob("*.html"))
    for name in integrity.__all__:
        assert re.search(rf'id="integrity\.(?:errors\.)?{name}"', told), name
    assert ":class:" not in told
    assert ":func:" not in told
    assert "Sentinel" not in told


def test_whatever_a_page_imports_is_in_the_reference() -> None:
    """Of the pages, the README and the notebooks: each name, or the module that it is in, as a whole."""
    written = {f"{path.stem}.py": path.read_text(encoding="utf-8") for path in (ROOT / "notebooks").glob("*.py")}
    told = set(re.findall(r"^::: ([\w.]+)", "\n".join(pages().values()), re.MULTILINE))
    asked = re.compile(r"^\s*from (integrity[\w.]*) import (\([^)]*\)|[^\n#]*)", re.MULTILINE)
    for page, text in (pages() | written).items():
        for module, names in () if page == "execute.py" else asked.findall(text):
            for name in re.findall(r"\w+", names):
                thing = getattr(importlib.import_module(module), name, None)
                places = {module, f"{module}.{name}", f"{getattr(thing, '__module__', module)}.{name}"}
                places |= {
                    f"{package}.{name}" for package in _PACKAGES if hasattr(importlib.import_module(package), name)
                }
                if not isinstance(thing, types.ModuleType):
                    assert places & told, f"{page}: {module}.{name} is not in the reference"


#: What they offer is told as theirs, wherever it is defined.
_PACKAGES = ("integrity", "integrity.ledger", "integrity.packs", "integrity.gx")


def test_the_page_of_commands_has_all_of_them(site: Path) -> None:
    text = (site / "reference" / "commands.html").read_text(encoding="utf-8")

    def check(command: click.Command, path: str) -> None:
        if isinstance(command, click.Group):
            for name, below in command.commands.items():
                check(below, f"{path} {name}")
            return
        assert f'id="{path.replace(" ", "-")}"' in text
        for option in command.params:
            assert all(name in text for name in option.opts if isinstance(option, click.Option))

    check(cli, "integrity")


_LOADED_BY = {
    "script": ("src",), "link": ("href",), "img": ("src", "srcset"), "source": ("src", "srcset"), "iframe": ("src",),
    "video": ("src", "poster"), "audio": ("src",), "embed": ("src",), "object": ("data",), "input": ("src",),
    "use": ("href", "xlink:href"), "image": ("href", "xlink:href"),
}  # fmt: skip


class _Loaded(HTMLParser):
    """What a browser loads by itself when it shows a page: not what a reader may go to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in _LOADED_BY.get(tag, ())]
        self.found += [each for name, value in attrs if name == "style" for each in _of_css(value or "")]
        if tag == "meta" and dict(attrs).get("http-equiv", "").lower() == "refresh":
            self.found.append(dict(attrs).get("content") or "")


def _of_css(text: str) -> list[str]:
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    found = re.findall(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""", text)
    return [one or other for one, other in found]


#: What the theme's scripts would load: for diagrams, in browsers of before 2020, and for a repository that is named.
_NEVER = (
    "https://unpkg.com/mermaid",
    "https://unpkg.com/resize-observer-polyfill",
    "https://api.github.com/repos/",
    "https://api.github.com/users/",
    "https://${e}/api/v4/projects/",
)


def test_nothing_of_the_site_is_loaded_from_elsewhere(site: Path) -> None:
    away = re.compile(r"(?i)^\s*(?:[a-z][a-z0-9+.-]*:)?//|^\s*https?:|;\s*url=")
    for path in site.rglob("*"):
        if path.suffix == ".html":
            loaded = _Loaded()
            loaded.feed(path.read_text(encoding="utf-8"))
            styles = re.findall(r"<style[^>]*>(.*?)</style>", path.read_text(encoding="utf-8"), re.DOTALL)
            found = loaded.found + [each for style in styles for each in _of_css(style)]
            assert found, path
            assert 'class="mermaid"' not in path.read_text(encoding="utf-8")
            assert 'data-md-component="source"' not in path.read_text(encoding="utf-8")
        elif path.suffix == ".css":
            found = _of_css(path.read_text(encoding="utf-8"))
        elif path.suffix == ".js" and path.name != "search_index.js":  # that one is the text of the pages
            quoted = re.findall(r"""["'`](https?://[^"'`]+)""", path.read_text(encoding="utf-8"))
            found = [each for each in quoted if not each.startswith((*_NEVER, "http://www.w3.org/"))]
        else:
            continue
        assert [each for each in found if away.match(each)] == [], path
    loaded = _Loaded()
    loaded.feed(
        '<link href="https://fonts.example/x.css"><img src="//cdn.example/x"><p style="background:url(http://a)">'
    )
    assert len([each for each in loaded.found if away.match(each)]) == 3


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder to this machine."""

    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_the_search_finds_the_watermark_served_and_from_a_disk(site: Path) -> None:
    with browser() as chromium, served(site) as address:
        for start in (f"{address}/index.html", site / "index.html"):
            with opened(chromium, start) as seen:
                seen.page.locator("input.md-search__input").click()
                seen.page.keyboard.type("watermark")
                first = seen.page.locator("li.md-search-result__item a").first
                first.wait_for(timeout=20_000)
                assert "ledger.html" in [
                    each.get_attribute("href").rpartition("/")[2].partition("?")[0].partition("#")[0]
                    for each in seen.page.locator("li.md-search-result__item a").all()
                ]
                first.click()
                seen.page.wait_for_load_state("load")
                assert "atermark" in seen.page.locator("article").inner_text()
                assert seen.complaints == []
                assert seen.left == []


#: Of each kind of page one: words, tables that are wide, code, what is made from docstrings. Thoroughly, it is all of them.
_KINDS = ("index.html", "tutorial.html", "databases.html", "algebra.html", "reference/totals.html")


def test_every_page_is_quiet_and_can_be_read_by_everybody(site: Path) -> None:
    """Each page on one screen, in one light: a wide one in light and a telephone in the dark, in turn."""
    found: dict[str, list[str]] = {}
    with browser() as chromium:
        for number, path in enumerate(sorted(site.rglob("*.html"))):
            name = str(path.relative_to(site))
            if name == "404.html":  # its links begin at the root of a server
                continue
            width, scheme = ((1280, "light"), (320, "dark"))[number % 2]
            with opened(chromium, path, width=width, scheme=scheme) as seen:
                wrong = [*seen.complaints, *seen.left] + ["it is too wide"] * seen.is_too_wide
                if THOROUGH or name in _KINDS:
                    wrong += seen.violations()
            if wrong:
                found[f"{name} {width} {scheme}"] = wrong
    assert found == {}
