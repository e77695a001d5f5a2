"""The notebooks over ledgers that are not the demo's: other identities, no clock, runs on a schedule, no run at all.

Most are carried out here cell by cell, as a kernel would, which takes a tenth of the time of one.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from IPython.core.interactiveshell import InteractiveShell

import integrity
from integrity.demo.quarter import generate_quarter
from integrity.errors import IntegrityError, UsageError
from integrity.jobs import Job
from integrity.ledger import Ledger
from integrity.ledger.casework import dispose
from integrity.ledger.erasing import erase
from integrity.ledger.listing import breaks, runs
from integrity.ledger.recorded import recorded
from integrity.notebook import notebooks, run_notebook
from tests.conftest import START, at
from tests.once import once
from tests.servers import Postgres

pytestmark = pytest.mark.usefixtures("_quick")

SECRETS = ("hush", "hush%2Fh%23u%40sh", "hush/h#u@sh")
WALKS = ("walk-message", "walk-mail", "walk-drive")
ROWS = pl.DataFrame(
    [(str(n), f"body {n}", n * 100, at(n), at(n) + dt.timedelta(seconds=2 + 60 * (n == 7))) for n in range(40)],
    schema=["id", "body", "cents", "sent_at", "stored_at"],
    orient="row",
)
BROKEN = ROWS.filter(pl.col("id") != "3").with_columns(
    body=pl.when(pl.col("id") == "5").then(pl.lit("x")).otherwise("body")
)


def shown(name: str, **parameters: object) -> str:
    """Carry out a notebook's cells, show what each shows, and return all of it as text."""
    import jupytext

    names: dict[str, Any] = {}
    out = io.StringIO()
    shell = InteractiveShell.instance()
    with contextlib.redirect_stdout(out):
        for cell in jupytext.read(notebooks()[name].path).cells:
            if cell.cell_type != "code":
                continue
            *statements, last = _parsed(cell.source)
            for statement in statements:
                exec(compile(statement, name, "exec"), names)  # noqa: S102 - it is ours
            if last is not None:
                value = eval(compile(last, name, "eval"), names)  # noqa: S307
                forms, _ = shell.display_formatter.format(value)
                print(forms["text/plain"], forms.get("text/html", ""))
            if "parameters" in cell.metadata.get("tags", ()):
                names |= parameters
    return out.getvalue()


def _parsed(source: str) -> Iterator[Any]:
    import ast

    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    yield from (ast.Module([each], []) for each in tree.body)
    yield None if last is None else ast.Expression(last.value)


def contract(**changes: Any) -> integrity.Contract:
    said: dict[str, Any] = {
        "name": "notes", "version": 1, "identity": ["id"], "content": {"body": "text", "cents": "integer"},
        "amounts": ["cents"], "clock": {"event": "sent_at", "processed": "stored_at"}, "window": "10m", "grace": "5m",
        "timeliness": {"within": "5s"},
    }  # fmt: skip
    return integrity.Contract(**{name: value for name, value in (said | changes).items() if value is not None})


BARE = {"clock": None, "window": None, "grace": None, "timeliness": None}
CONTRACTS: dict[str, Mapping[str, Any]] = {
    "as usual": {},
    "sealed": {"seal": "merkle"},
    "without a clock": BARE,
    "without a clock, sealed": BARE | {"seal": "merkle"},
    "without content": {"content": None, "amounts": None},
    "identity alone": BARE | {"content": None, "amounts": None},
    "by partition": {"identity": ["id", "cents"], "partition": ["cents"], "content": {"body": "text"}, "amounts": None},
    "by partition, sealed": {
        "identity": ["id", "cents"], "partition": ["cents"], "content": {"body": "text"}, "amounts": None,
        "seal": "merkle",
    },
}  # fmt: skip


@pytest.fixture(params=CONTRACTS)
def own(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """A ledger of two runs, and the files that the second one read."""
    sides = {"source": str(tmp_path / "sent.csv"), "destination": str(tmp_path / "kept.parquet")}
    url = f"sqlite:///{tmp_path}/ledger.db"
    ROWS.write_csv(sides["source"])
    for kept in (BROKEN, BROKEN.filter(pl.col("id") != "39")):
        kept.write_parquet(sides["destination"])
        integrity.reconcile(contract(**CONTRACTS[request.param]), **sides, ledger=url)
    return {"ledger": url, **sides}


def test_all_of_them_work_on_a_contract_of_ones_own(own: dict[str, str]) -> None:
    day = recorded(own["ledger"])
    for name in WALKS:
        said = shown(name, ledger=own["ledger"], pipeline="notes")
        assert "notes" in said
        assert "lost" in said or not day.counts()["batches"]["lost"]
    said = shown("casework", ledger=own["ledger"], pipeline="notes")
    assert "decided or proposed: 0 of" in said
    assert "samples on record: 0" in said
    year = dt.datetime.now(dt.UTC).year
    assert "0 of 2 runs did not finish" in shown("quarter", ledger=own["ledger"], pipeline="notes", period=str(year))


def test_a_run_of_ones_own_is_performed_again(own: dict[str, str]) -> None:
    day = recorded(own["ledger"])
    said = shown("reperformance", **own, pipeline="notes")
    assert "performed again: same" in said
    assert f"sealed runs in this pack: {int(day.contract.seal is not None)}" in said
    assert ("Inclusion(" in said) is (day.contract.seal is not None)


def test_runs_of_a_schedule_have_their_rows_in_earlier_ones(tmp_path: Path) -> None:
    """What stood as it was is in a run's totals, and not in its rows: no check takes that for a difference."""
    url, sides = f"sqlite:///{tmp_path}/ledger.db", {"source": "sent.csv", "destination": "kept.csv"}
    sides = {side: str(tmp_path / name) for side, name in sides.items()}
    (tmp_path / "notes.yaml").write_text(contract().to_yaml())
    (tmp_path / "job.yaml").write_text(
        f"contract: {tmp_path}/notes.yaml\nsource: {sides['source']}\ndestination: {sides['destination']}\n"
        f"ledger: {url}\nname: notes\nsince: '{START.isoformat()}'\nlookback: 9999d\n"
    )
    told = []
    for rows in (20, 40, 40):
        for frame, path in zip((ROWS, BROKEN), sides.values(), strict=True):
            frame.head(rows).write_csv(path)
        Job.from_yaml(tmp_path / "job.yaml").run()
        told.append([int(each) for each in recorded(url).counts().loc["source_records"].iloc[:3]])
        for name in WALKS:
            assert str(rows) in shown(name, ledger=url, pipeline="notes")
        said = shown("reperformance", ledger=url, pipeline="notes", **sides)
        assert f"performed again: {'same' if told[-1][0] else 'unverified'}" in said
    assert told == [[20, 0, 20], [20, 20, 40], [0, 40, 40]]


@pytest.mark.parametrize("recorded_sides", [("source",), ("destination",), ("source", "destination")])
def test_recorded_totals_are_walked_through(recorded_sides: tuple[str, ...], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    for broken, kept in (("agrees", ROWS), ("differs", BROKEN)):
        sides: dict[str, Any] = {"source": ROWS, "destination": kept}
        for side in recorded_sides:
            sides[side] = integrity.measure(contract(), sides[side], side=side)  # type: ignore[arg-type]
        integrity.reconcile(contract(), **sides, ledger=url, pipeline=broken)
        for name in WALKS:
            assert "late" in shown(name, ledger=url, pipeline=broken)


def test_a_break_that_was_hidden_is_still_missed(tmp_path: Path) -> None:
    """What recorded totals are excused from, a run over items is not."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    integrity.reconcile(contract(), ROWS, BROKEN, ledger=url)
    day = recorded(url)
    assert day.by_number == ()
    counts = day.counts().dropna()
    assert counts["breaks"].eq(counts["batches"]).all()
    assert counts["breaks"].sum() == len(day.breaks) > 0
    assert day.unbalanced().empty
    changed = day._batches.with_columns(matched=pl.col("matched") + 1)
    object.__setattr__(day, "_batches", changed)
    assert len(day.unbalanced()) == 4


def test_a_run_that_is_still_pending(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    kept = contract(timeliness=None)
    integrity.reconcile(kept, ROWS[:5], ROWS[:5], as_of=at(8), ledger=url)
    for name in WALKS:
        assert "unverified" in shown(name, ledger=url, pipeline="notes")
    clock = {"event": "sent_at", "processed": "stored_at", "changed": "changed_at"}
    edited = ROWS.with_columns(changed_at=pl.when(pl.col("id") == "3").then(pl.lit(at(58))).otherwise("sent_at"))
    waits = contract(timeliness=None, clock=clock, version=2)
    result = integrity.reconcile(waits, edited, ROWS[:3].vstack(ROWS[4:]), as_of=at(60), ledger=url)
    assert result.verdict is integrity.Verdict.PENDING
    assert "0 of 0 breaks" in shown("casework", ledger=url, pipeline="notes")
    for name in (*WALKS, "quarter"):
        assert "pending" in shown(name, ledger=url, pipeline="notes")


def test_what_was_erased(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    integrity.reconcile(contract(), ROWS, BROKEN, ledger=url)
    assert erase(Ledger.open(url), {"id": "3"}, basis="request", by="lee")
    for name in (*WALKS, "casework"):
        said = shown(name, ledger=url, pipeline="notes")
        assert "lost" in said


def test_a_ledger_without_a_run(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    Ledger.open(url)
    assert "0 of 0 breaks" in shown("casework", ledger=url)
    assert "deviations: 0 of 0 runs did not finish" in shown("quarter", ledger=url)
    with pytest.raises(UsageError, match="no run has finished"):
        shown("walk-message", ledger=url, pipeline=None)


def test_runs_that_never_finished_are_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    with pytest.raises(IntegrityError):
        integrity.reconcile(contract(), str(tmp_path / "none.csv"), ROWS, ledger=url)
    year = str(dt.datetime.now(dt.UTC).year)
    said = shown("quarter", ledger=url, pipeline="notes", period=year)
    assert "deviations: 1 of 1 runs did not finish" in said
    assert "failed" in said
    for name in ("walk-message", "reperformance"):
        with pytest.raises(UsageError, match="no run of pipeline 'notes' has finished"):
            shown(name, ledger=url, pipeline="notes")
    assert "0 of 0 breaks" in shown("casework", ledger=url, pipeline="notes")
    integrity.reconcile(contract(), ROWS, ROWS, ledger=url)
    assert "deviations: 1 of 2 runs did not finish" in shown("quarter", ledger=url, pipeline="notes", period=year)
    assert runs(url, until=START).is_empty()
    assert runs(url, since=START, environment="test").is_empty()
    assert runs(url, since=START, environment="production", last=None).height == 2


def test_whatever_nobody_decided_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open, proposed and reopened breaks alike."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("INTEGRITY_OPERATOR", "scheduler")
    integrity.reconcile(contract(), ROWS, BROKEN, ledger=url)
    assert "decided or proposed: 0 of" in shown("casework", ledger=url, pipeline="notes")
    names = breaks(url, pipeline="notes")["id"].to_list()
    assert len(names) > 2
    assert f"without a decision: {len(names)} of {len(names)} breaks" in shown("casework", ledger=url, pipeline="notes")
    dispose(Ledger.open(url), names[0], "timing", by="kim", reason="late file", reference="T-1")
    said = shown("casework", ledger=url, pipeline="notes")
    assert "decided or proposed: 1 of" in said
    state = breaks(url, pipeline="notes").filter(id=names[0])["case"].item()
    left = len(names) - (state == "disposed")
    assert f"without a decision: {left} of {len(names)} breaks" in said


def test_only_the_first_rows_of_a_source_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And of a database only those of the run's batches."""
    from integrity.packs import export
    from integrity.proving import proved
    from integrity.stores import open_store

    url = f"sqlite:///{tmp_path}/ledger.db"
    result = integrity.reconcile(contract(seal="merkle"), ROWS, BROKEN, ledger=url)
    assert result.recorded is not None
    pack, keys = export(url, tmp_path / "pack", seal_keys=tmp_path / "keys"), tmp_path / "keys"

    class Watched:
        name, location = "watched", "watched"
        read = 0

        def columns(self) -> list[str]:
            return ROWS.columns

        def stream(self, columns: Any, span: Any = None) -> Iterator[Any]:
            for rows in ROWS.iter_slices(2):
                self.read += rows.height
                yield from open_store(rows).stream(columns, span)

    watched = Watched()
    (one,) = proved(pack, watched, BROKEN, keys)
    assert (one.item, one.proof.side, one.proof.holds) == ({"id": "0"}, "source", True)
    assert not one.proof.of_another().holds
    assert watched.read == 2
    assert [each.item["id"] for each in proved(pack, ROWS, BROKEN, keys, most=3)] == ["0", "1", "2"]
    with pytest.raises(IntegrityError, match="no item of Polars frame was in a batch of run"):
        proved(pack, ROWS.with_columns(body=pl.lit("another")), BROKEN, keys)
    (tmp_path / "other").write_text("{}")
    with pytest.raises(UsageError, match="no sealed batches, or no key in"):
        proved(pack, ROWS, BROKEN, tmp_path / "other")


# --- a ledger with a password


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("key") / "ledger.key")


@pytest.fixture
def guarded(books: str, key: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A ledger in PostgreSQL, whose URL has a password; and where its key is, for as long as a test of it lasts."""
    monkeypatch.setenv("INTEGRITY_LEDGER_KEY", key)
    return books


@pytest.fixture(scope="module")
def books(postgres: Postgres, key: str) -> str:
    postgres.run("DROP DATABASE IF EXISTS books", "CREATE DATABASE books")
    url = sa.make_url(postgres.address).set(drivername="postgresql", database="books", password=SECRETS[2])
    text = url.render_as_string(hide_password=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTEGRITY_LEDGER_KEY", key)
        integrity.reconcile(contract(seal="merkle"), ROWS, BROKEN, ledger=text)
    return text


def assert_nothing_told(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".ipynb", ".html"}
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not [secret for secret in SECRETS if secret in text], path


@pytest.mark.parametrize("name", ["walk-message", "quarter", "casework"])
def test_the_password_of_a_ledger_is_in_no_notebook(name: str, guarded: str, tmp_path: Path) -> None:
    run_notebook(name, guarded, parameters={"pipeline": "notes"}, directory=tmp_path)
    assert_nothing_told(tmp_path)
    assert ":***@" in (tmp_path / f"{name}.ipynb").read_text(encoding="utf-8")


def test_nor_is_that_of_a_source_nor_where_the_run_fails(guarded: str, postgres: Postgres, tmp_path: Path) -> None:
    columns = {"id": "text", "body": "text", "cents": "integer", "sent_at": "instant", "stored_at": "instant"}
    sides = {}
    for side, frame in (("source", ROWS), ("destination", BROKEN)):
        postgres.fill(side, columns, frame.rows())
        address = sa.make_url(postgres.address).set(password=SECRETS[2]).render_as_string(hide_password=False)
        sides[side] = f"{address}#{side}"
    folder = str(tmp_path / "work")
    (tmp_path / "work").mkdir()
    given = {"pipeline": "notes", "folder": folder, **sides}
    run_notebook("reperformance", guarded, parameters=given, directory=tmp_path / "kept")
    assert_nothing_told(tmp_path / "kept")
    for wrong in (
        guarded.replace("/books", "/nothing"),
        "postgresql://kim:hush%2Fh%23u%40sh@127.0.0.1:9/books",
        "postgresql://kim:hush@127.0.0.1:port/books",
        "ftp://kim:hush@127.0.0.1/books",
    ):
        with pytest.raises(IntegrityError) as caught:
            run_notebook("casework", wrong, parameters={"pipeline": "notes"}, directory=tmp_path / "failed")
        assert not [secret for secret in SECRETS if secret in str(caught.value)]
    assert_nothing_told(tmp_path / "failed")


def test_a_notebook_of_ones_own_finds_the_ledger_that_is_shown(guarded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody opens one that was kept, or writes down where the ledger is."""
    from integrity.handing import handed
    from integrity.handing import shown as hidden

    assert shown("quarter", ledger=guarded, pipeline="notes")
    monkeypatch.delenv("INTEGRITY_LEDGER", raising=False)
    with pytest.raises(UsageError, match="is not kept in this notebook; set INTEGRITY_LEDGER"):
        shown("quarter", ledger=hidden(guarded), pipeline="notes")
    monkeypatch.setenv("INTEGRITY_LEDGER", guarded)
    assert shown("quarter", ledger=hidden(guarded), pipeline="notes")
    assert handed(hidden(guarded)) == guarded
    assert handed(None) is None


@pytest.mark.parametrize(
    ("whole", "told"),
    [
        ("postgresql://kim:123/abc@db/books", "postgresql://kim:***@db/books"),
        ("postgresql://kim:p#w@db/books#t", "postgresql://kim:***@db/books#t"),
        ("postgresql://kim@db/books?password=hush&host=h", "postgresql://kim@db/books?password=***&host=h"),
        ("imaps://kim%40acme:hush@host/#INBOX", "imaps://kim%40acme:***@host/#INBOX"),
        ("s3://bucket/a?X-Amz-Signature=hush", "s3://bucket/a?X-Amz-Signature=***"),
        ("postgresql://db:5432/books", "postgresql://db:5432/books"),
        ("sqlite:////srv/a:b@c.db", "sqlite:////srv/a:b@c.db"),
        ("ledger.db", "ledger.db"),
    ],
)
def test_what_is_shown_of_a_location(whole: str, told: str) -> None:
    from integrity.handing import shown as hidden

    assert hidden(whole) == told
    assert hidden(told) == told


def test_a_ledger_tells_its_place_without_the_password_among_its_options() -> None:
    from integrity.ledger.database import Database

    told = Database.at("postgresql://kim@db/books?password=hush&sslpassword=hush&sslmode=require").location
    assert told == "postgresql://kim@db/books?sslmode=require"


# --- the demo's, from its own folder


@pytest.fixture(scope="module")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "quarter", generate_quarter)


def test_the_quarter_of_the_demo_shows_all_that_is_undecided(quarter: Path) -> None:
    said = shown("casework", ledger=f"sqlite:///{quarter}/ledger.db", pipeline="orders")
    frame = breaks(f"sqlite:///{quarter}/ledger.db", pipeline="orders")
    assert f"of {frame.height} breaks" in said
