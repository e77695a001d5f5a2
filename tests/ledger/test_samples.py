"""Samples on record: drawn before they are tested, drawn again by anybody, concluded by nobody who ran it."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

import integrity
from integrity.cli import main
from integrity.errors import LedgerError, UsageError
from integrity.ledger import Beginning, Ledger, schema, verify
from integrity.ledger.drawn import bodies_of
from integrity.ledger.samples import conclude_on_record, draw_runs, redraw, samples
from integrity.sampling import draw, ranker, sample_size, upper_bound

from . import books

DAY = dt.timedelta(days=1)


@pytest.fixture
def book(place: str) -> Ledger:
    """A ledger of forty runs on as many days, every fourth of another pipeline, the last of which failed."""
    moments = iter(books.START + n * DAY for n in range(10_000))
    ledger = Ledger.open(place, operator="kim", origin="example.org/test", clock=lambda: next(moments))
    begin(ledger, 40)
    return ledger


def begin(ledger: Ledger, count: int) -> list[str]:
    contract = books.promise()
    names = []
    for n in range(count):
        pipeline = "other" if n % 4 == 3 else "notes"
        recording = ledger.begin(Beginning(pipeline, contract, "0" * 64, {}, None, None, None, {}, {}))
        names.append(recording.run)
        if n == count - 1:
            recording.fail(integrity.errors.StoreError("it broke", "mend it"))
    return names


def runs(ledger: Ledger, **where: Any) -> list[tuple[str, str]]:
    with ledger.database.reading() as connection:
        return [(row.run, row.at) for row in connection.execute(sa.select(schema.runs).filter_by(**where))]


def leaf(ledger: Ledger, number: int) -> dict[str, Any]:
    with ledger.database.reading() as connection:
        query = sa.select(schema.leaves.c.body).where(schema.leaves.c.number == number)
        return dict(json.loads(str(connection.execute(query).scalar())))


def test_a_sample_of_runs_is_of_those_of_the_period_and_as_many_as_it_takes(book: Ledger) -> None:
    url = books.place(book)
    since, until = books.START + 5 * DAY, books.START + 30 * DAY
    drawn = draw_runs(book, since=since, until=until, pipeline="notes", seed="s", tolerable=0.2, by="han")
    population = [run for run, at in runs(book, pipeline="notes") if f"{since:%F}" <= at < f"{until:%F}"]
    assert drawn.sample.population == len(population) < 25
    assert len(drawn.runs) == sample_size(tolerable=0.2, population=len(population)) < len(population)
    by_hand = sorted(population, key=lambda run: ranker("s")(run.encode()))[: len(drawn.runs)]
    assert list(drawn.runs) == by_hand
    assert drawn.sample == draw((run.encode() for run in population), len(by_hand), "s", tolerable=0.2)
    told = samples(url).row(0, named=True)
    assert (told["leaf"], told["of"], told["pipeline"], told["by"]) == (drawn.leaf, "runs", "notes", "han")
    assert (told["size"], told["population"], told["concluded"]) == (len(by_hand), len(population), None)
    assert told["said"] == drawn.said
    assert verify(url).is_sound


def test_it_is_drawn_again_from_the_record_however_the_record_grows(book: Ledger) -> None:
    drawn = draw_runs(book, tolerable=0.1, by="han")
    begin(book, 8)
    again = redraw(books.place(book), drawn.leaf)
    assert again.holds
    assert (again.exit_code, str(again)) == (0, again.said)
    assert drawn.said in again.said
    other = draw_runs(book, tolerable=0.1, by="han")
    assert other.sample.population == 48
    assert other.sample.seed != drawn.sample.seed, "a new one each time"


def test_a_sample_that_its_seed_did_not_draw_is_found_out(book: Ledger) -> None:
    drawn = draw_runs(book, tolerable=0.1, seed="s", by="han")
    body = leaf(book, drawn.leaf)
    chosen = {name: body[name] for name in body if name not in ("schema", "kind", "at", "checkpoint")}
    others = [run for run, _ in runs(book) if run not in drawn.runs]
    swapped = book.say("sampled", chosen | {"units": [*drawn.runs[:-1], others[0]]})
    fewer = book.say("sampled", chosen | {"until": f"{books.START + 20 * DAY:%FT%TZ}"})
    url = books.place(book)
    assert redraw(url, swapped.number).said.endswith("the seed draws other runs from them")
    assert not redraw(url, fewer.number).holds
    assert redraw(url, fewer.number).exit_code == 1
    none = book.say("sampled", chosen | {"until": "1970-01-01T00:00:00.000000Z"})
    assert "cannot be drawn again" in str(redraw(url, none.number))


LIES: dict[str, dict[str, Any]] = {
    "population is 40, not 17": {"population": 17, "distinct": 17},
    "distinct is 40, not 17": {"distinct": 17},
    "distinct is 40, not None": {"distinct": None},
    "sentence is \"17 of 40 runs drawn by seed 's', for": {"said": "all 40 runs drawn by seed 's'"},
    'for a tolerable rate of 90 % and 10 % confidence", not': {"tolerable": 0.9, "risk": 0.9},
    "algorithm is 'integrity.sample/1', not 'by hand'": {"algorithm": "by hand"},
    "out of reach in a population of 40": {"expected": 4},
    "the seed draws other runs": {"size": 15},
    "size is a whole number": {"size": 0},
}


@pytest.mark.parametrize(("said", "lie"), LIES.items(), ids=LIES)
def test_whatever_else_a_leaf_says_of_its_sample_is_compared_and_nothing_is_concluded(
    book: Ledger, said: str, lie: dict[str, Any]
) -> None:
    drawn = draw_runs(book, tolerable=0.1, risk=0.1, seed="s", by="han")
    body = leaf(book, drawn.leaf)
    told = {name: body[name] for name in body if name not in ("schema", "kind", "at", "checkpoint")}
    number = book.say("sampled", told | lie).number
    again = redraw(books.place(book), number)
    assert (again.holds, again.exit_code) == (False, 1)
    assert said in str(again)
    with pytest.raises(UsageError, match="draw another: integrity ledger sample"):
        conclude_on_record(book, number, 0, by="han")
    assert redraw(books.place(book), drawn.leaf).holds


def test_a_sample_that_is_smaller_than_its_plan_takes_says_so(book: Ledger) -> None:
    def said(**plan: Any) -> str:
        return draw_runs(book, seed="s", by="han", **plan).said

    assert said(size=2) == ("2 of 40 runs drawn by seed 's'; a tolerable rate of 5 % at 95 % confidence would take 31")
    assert said(size=2, tolerable=0.2, risk=0.1, expected=1) == (
        "2 of 40 runs drawn by seed 's'; a tolerable rate of 20 % at 90 % confidence would take 16, where 1 may deviate"
    )
    for size in (None, 31, 32):
        assert said(size=size).endswith("runs drawn by seed 's', for a tolerable rate of 5 % and 95 % confidence")
    assert all(redraw(books.place(book), number).holds for number in samples(books.place(book))["leaf"])


def test_while_the_period_lasts_the_sample_is_one_of_the_runs_so_far(book: Ledger) -> None:
    """Forty runs of a period are not all of it as long as more can come."""
    lasting = draw_runs(book, until=books.START + 10_000 * DAY, tolerable=0.1, risk=0.1, seed="s", by="han")
    begin(book, 4)
    over = draw_runs(book, until=books.START + 30 * DAY, tolerable=0.1, risk=0.1, seed="s", by="han")
    assert lasting.said.startswith("17 of 40 runs so far drawn by seed 's'")
    assert "so far" not in over.said
    assert "in 17 of 40 runs so far drawn" in conclude_on_record(book, lasting.leaf, 0, by="han").sentence
    assert all(redraw(books.place(book), drawn.leaf).holds for drawn in (lasting, over))


@pytest.mark.parametrize(("deviations", "not_tested"), [(0, 0), (1, 0), (0, 2)])
def test_what_its_test_supports_is_on_record(book: Ledger, deviations: int, not_tested: int) -> None:
    drawn = draw_runs(book, tolerable=0.1, seed="s", by="han")
    found = conclude_on_record(book, drawn.leaf, deviations, not_tested=not_tested, by="han", remark="by the job log")
    bound = upper_bound(len(drawn.runs), deviations + not_tested, population=40)
    assert found.upper_bound == bound
    assert found.supported == (deviations + not_tested == 0)
    told = samples(books.place(book)).row(0, named=True)
    assert (told["deviations"], told["not_tested"], told["upper_bound"]) == (deviations, not_tested, bound)
    assert (told["supported"], told["said"]) == (found.supported, found.sentence)
    assert leaf(book, told["concluded"])["remark"] == "by the job log"
    assert verify(books.place(book)).is_sound


def test_who_ran_it_cannot_judge_it(book: Ledger) -> None:
    drawn = draw_runs(book, tolerable=0.1, seed="s", by="kim")
    for name in ("kim", " KIM "):
        with pytest.raises(UsageError, match=f"{name.strip()} ran .*, which is in the sample, and cannot judge it"):
            conclude_on_record(book, drawn.leaf, 0, by=name)
    assert samples(books.place(book))["concluded"].to_list() == [None]


def test_a_second_conclusion_says_why_and_both_stay(book: Ledger) -> None:
    drawn = draw_runs(book, tolerable=0.1, seed="s", by="han")
    conclude_on_record(book, drawn.leaf, 1, by="han")
    with pytest.raises(UsageError, match=r"was concluded already, in leaf .*both will stay on record"):
        conclude_on_record(book, drawn.leaf, 0, by="han")
    conclude_on_record(book, drawn.leaf, 0, by="han", remark="the deviation was of another run")
    last = samples(books.place(book)).row(0, named=True)
    assert (last["deviations"], last["supported"]) == (0, True)
    replaced = leaf(book, last["concluded"])["replaces"]
    assert leaf(book, replaced)["deviations"] == 1


def test_no_conclusion_hides_behind_a_later_one(book: Ledger) -> None:
    drawn = draw_runs(book, tolerable=0.1, seed="s", by="han")
    conclude_on_record(book, drawn.leaf, 4, by="lee")
    first = samples(books.place(book)).row(0, named=True)
    assert (first["tested_by"], first["remark"], first["replaces"]) == ("lee", None, None)
    conclude_on_record(book, drawn.leaf, 3, by="ann", remark="one was of another run")
    second = samples(books.place(book)).row(0, named=True)
    conclude_on_record(book, drawn.leaf, 0, by="han", remark="they are by design: supported")
    third = samples(books.place(book)).row(0, named=True)
    assert (third["tested_by"], third["remark"], third["replaces"]) == (
        "han",
        "they are by design: supported",
        second["concluded"],
    )
    told = third["said"]
    assert told.startswith("no deviation in ")
    after = (
        f": supported; replaces leaf {second['concluded']}, because 'they are by design: supported';"
        f" leaf {second['concluded']}, by ann: 3 deviations in "
    )
    assert after in told
    assert (
        f"replaces leaf {first['concluded']}, because 'one was of another run'; leaf {first['concluded']}, by lee: 4 dev"
        in told
    )
    assert told.count("not supported") == 2
    assert leaf(book, third["concluded"])["said"] == told.split(f"; leaf {second['concluded']}")[0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"by": " "}, "nobody is named: by is empty"),
        ({"by": "han\x1b[2J"}, "by holds signs that no screen shows"),
        ({"tolerable": 0.0}, "tolerable is a rate above 0 and below 1"),
        ({"risk": 1.0}, "risk is a rate above 0 and below 1"),
        ({"size": 41}, "41 units cannot be drawn from a population of 40"),
        ({"size": 0}, "size is a whole number"),
        ({"expected": 40}, "out of reach in a population of 40"),
        ({"pipeline": "note"}, "did you mean 'notes'"),
        ({"since": dt.datetime(2020, 1, 1)}, "since has no offset"),
        ({"until": books.START}, "no run of that period is on record"),
        ({"seed": "\ud800"}, "is no Unicode text"),
    ],
)
def test_what_cannot_be_meant_is_not_drawn(book: Ledger, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        draw_runs(book, **({"by": "han"} | asked))
    assert not samples(books.place(book)).height


def test_no_conclusion_of_what_is_no_sample(book: Ledger) -> None:
    drawn = draw_runs(book, tolerable=0.1, by="han")
    for call in (lambda: conclude_on_record(book, 0, 0, by="han"), lambda: redraw(books.place(book), 10_000)):
        with pytest.raises(UsageError, match="no sample was drawn in leaf"):
            call()
    with pytest.raises(UsageError, match="cannot be among"):
        conclude_on_record(book, drawn.leaf, len(drawn.runs), not_tested=1, by="han")
    with pytest.raises(UsageError, match="deviations is a whole number"):
        conclude_on_record(book, drawn.leaf, -1, by="han")


def test_runs_of_a_test_are_no_part_of_it(book: Ledger) -> None:
    begin(replace(book, environment="test"), 4)
    assert draw_runs(book, by="han", tolerable=0.1).sample.population == 40
    assert draw_runs(replace(book, environment="test"), by="han", tolerable=0.5).sample.population == 4


def test_a_sample_cannot_be_taken_back(book: Ledger) -> None:
    drawn = draw_runs(book, tolerable=0.1, by="han")
    with pytest.raises(LedgerError, match="append-only"), book.database.writing() as connection:
        connection.execute(sa.delete(schema.leaves).where(schema.leaves.c.number == drawn.leaf))
    assert samples(books.place(book))["leaf"].to_list() == [drawn.leaf]


def test_from_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTEGRITY_LEDGER", "ledger.db")
    monkeypatch.setenv("INTEGRITY_OPERATOR", "kim")
    monkeypatch.setenv("COLUMNS", "200")
    items = books.sent(60)
    items.write_parquet("source.parquet")
    books.damaged(items).write_parquet("destination.parquet")
    Path("notes.yaml").write_text(books.promise().to_yaml())
    Path("job.yaml").write_text(
        "contract: notes.yaml\nsource: source.parquet\ndestination: destination.parquet\nledger: ledger.db\n"
        "since: '2026-03-01T00:00:00Z'\nas_of: '2026-03-01T02:00:00Z'\nname: nightly\n"
    )

    def shell(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out + said.err

    assert shell("run", "job.yaml")[0] == 1
    code, said = shell("ledger", "sample", "--seed", "2026 Q1", "--by", "han")
    assert (code, "1 of 1 runs drawn by seed '2026 Q1'" in said) == (0, True)
    number = said.split(":")[0].removeprefix("sample ")
    code, said = shell("ledger", "tested", number, "--deviations", "0", "--by", "han")
    assert (code, said.startswith("no deviation in all 1 runs")) == (0, True)
    assert shell("ledger", "tested", number, "--deviations", "0", "--by", "kim", "--remark", "again")[0] == 2
    assert shell("ledger", "redraw", number)[0] == 0
    assert "no deviation in all 1 runs" in shell("ledger", "samples")[1]
    assert shell("ledger", "tested", number, "--deviations", "1", "--by", "ann", "--remark", "no ticket")[0] == 1
    monkeypatch.setenv("COLUMNS", "1000")
    listed = shell("ledger", "samples")[1]
    monkeypatch.setenv("COLUMNS", "200")
    for shown in ("1 deviation in all 1 runs", "by han: no deviation in all 1 runs", "because 'no ticket'", "ann  "):
        assert shown in listed
    code, said = shell("ledger", "sample-items", "job.yaml", "--seed", "s", "--size", "60", "--by", "han")
    assert code == 0
    assert "note-2" in said, "whoever draws sees whose they are"
    number = said.split(":")[0].removeprefix("sample ")
    code, said = shell("ledger", "trace-items", number, "job.yaml")
    assert (code, said.startswith(f"sample {number}: of 60 items the record tells the same as the rows of 60")) == (
        0,
        True,
    )
    for shown in ("corrupt (body)", "1 : 0", "1 : 2", "duplicate", "late", "lost", "matched"):
        assert shown in said
    books.kept(items).write_parquet("destination.parquet")
    code, said = shell("ledger", "trace-items", number, "job.yaml")
    assert (code, "something else of 4" in said) == (1, True)
    code, said = shell("ledger", "redraw", number)
    assert (code, "to draw items again takes their store" in said) == (3, True)
    code, said = shell("ledger", "tested", number, "--deviations", "4", "--by", "han")
    assert (code, said.startswith("4 deviations in all 60 items: 6.7 %")) == (1, True)
    assert shell("ledger", "sample", "--by", "han", "--tolerable", "2")[0] == 2
    assert shell("ledger", "trace-items", "0", "job.yaml")[0] == 2
    for each in Path("ledger.db").read_bytes().split(b'"kind":"sampled"')[1:]:
        assert b"note-" not in each[:4000], "a leaf names nobody's item"
    assert pl.read_parquet("destination.parquet").height == 60


# --- verified
# ------------------------------------------------------------------------------------------------------


def test_a_conclusion_that_does_not_follow_is_named_where_all_is_verified(tmp_path: Path) -> None:
    """Whoever has the key can write any leaf; figures that nobody computed are found out."""
    book = books.filled(tmp_path, runs=3)
    drawn = draw_runs(book, seed="s", by="han")
    conclude_on_record(book, drawn.leaf, 3, by="han")
    url = books.place(book)
    assert verify(url).is_sound
    with book.database.reading() as connection:
        (body,) = (body for leaf, body in bodies_of(connection, "tested"))
        (sample,) = (body for leaf, body in bodies_of(connection, "sampled"))
    taken = ("kind", "at", "checkpoint")
    told = {name: value for name, value in body.items() if name not in taken}
    book.say("tested", told | {"supported": True, "upper_bound": 0.01})
    book.say("tested", told | {"by": "KIM"})
    book.say("tested", told | {"sample": 1})
    drew = {name: value for name, value in sample.items() if name not in taken}
    book.say("sampled", drew | {"population": 2})
    whys = [finding.why for finding in verify(url).findings]
    assert len(whys) == 4
    for why in ("support another conclusion", "KIM ran", "concludes nothing of any sample", "not what its seed draws"):
        assert any(why in each for each in whys), (why, whys)
