"""Nobody decides alone about a break: each rule is held by the API, and by the database where the API is passed by."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import integrity
from integrity import cli_casework  # noqa: F401 - its verbs register themselves
from integrity.errors import IntegrityError, LedgerError, UsageError
from integrity.ledger import Beginning, Ledger, TakenUp, evidence, four_eyes, schema, verify
from integrity.ledger.cases import ageing, trace
from integrity.ledger.casework import (
    Disposition,
    confirm,
    dispose,
    lift,
    propose,
    refuse,
    reopen,
    require,
    ruling_of,
)
from integrity.ledger.changing import changes
from integrity.ledger.erasing import erase, expire
from integrity.ledger.guards import guards
from integrity.ledger.history import standing
from integrity.ledger.listing import breaks, runs
from integrity.ledger.reading import read_log
from integrity.ledger.status import status
from integrity.ledger.steps import untied
from integrity.ledger.trails import Case
from integrity.result import Result
from tests.effort import examples

from . import books

pytestmark = pytest.mark.usefixtures("_quick")
WHY: dict[str, Any] = {"reason": "looked at", "reference": "T-1"}


@pytest.fixture
def book(place: str) -> Ledger:
    """A ledger in which kim found four breaks, twice."""
    ledger = Ledger.open(place, operator="kim", origin="example.org/test")
    for _ in range(2):
        found(ledger)
    return ledger


def found(ledger: Ledger, operator: str = "kim") -> Result:
    items = books.sent(20)
    return integrity.reconcile(
        books.promise(), items, books.damaged(items), ledger=replace(ledger, operator=operator), values=True
    )


def gone(ledger: Ledger, state: str = "healed") -> None:
    """A run that finds what became of all that is open."""
    items = books.sent(20)
    result = integrity.reconcile(books.promise(), items, books.kept(items))
    still = breaks(books.place(ledger), state="open")
    told = still.select(
        pl.col("run").alias("of_run"), pl.col("number").alias("of_number"), pl.lit(state).alias("state")
    )
    begins = Beginning("notes", books.promise(), result.spec_sha256, result.versions, None, None, None, {}, {})
    ledger.begin(begins).finish(result, TakenUp(changes=told))


def first(ledger: Ledger) -> dict[str, Any]:
    return breaks(books.place(ledger)).row(0, named=True)


@contextmanager
def raw(
    ledger: Ledger,
    step: str,
    disposition: str,
    by: str,
    *,
    rows: Sequence[Sequence[Any]] | None = None,
    of: str | None = None,
    kind: str = "disposition",
    leaf: int | None = None,
    row: Mapping[str, Any] | None = None,
    guarded: bool = True,
    **said: Any,
) -> Iterator[sa.Connection]:
    """Write a step past the API, with a leaf as it should be: only the triggers stand in the way. It is taken back."""
    trail = trace(books.place(ledger), of or first(ledger)["id"])
    shown = [[run, number] for run, number in trail.filter(what="found").select("run", "number").iter_rows()]
    decided = trail.filter(pl.col("by").is_not_null())["leaf"].to_list()
    body = {
        "step": step, "rows": shown if rows is None else rows, "follows": decided[-1] if decided else None,
        "disposition": disposition, "reference": "T-1", "control": "by hand" if disposition == "accepted" else None,
        "by": by, "operator": ledger.operator, "reason": "00" * 32,
    } | said  # fmt: skip
    with ledger.database.writing() as connection:
        if not guarded:
            disarm(connection)
        number = ledger.said(connection, kind, body).number if leaf is None else leaf
        for run, place in shown:
            values = {"leaf": number, "run": run, "number": place, "step": step, "disposition": disposition, "by": by}
            connection.execute(schema.dispositions.insert().values(**(values | dict(row or {}))))
        yield connection
        raise _BackError


def disarm(connection: sa.Connection) -> None:
    """Take away what refuses a step, as somebody can who may alter tables."""
    on = " ON dispositions" if connection.dialect.name == "postgresql" else ""
    for rule in four_eyes.rules("sqlite"):
        connection.execute(sa.text(f"DROP TRIGGER dispositions_{rule}_refused{on}"))


class _BackError(Exception):
    """Nothing of the transaction is kept."""


def refused(ledger: Ledger, rule: str | None, step: str, disposition: str, by: str, **more: Any) -> None:
    """The database refuses it, by this rule; or by whichever comes first."""
    said = ".*" if rule is None else four_eyes.rules("sqlite")[rule][1]
    with (
        pytest.raises(LedgerError, match=rf"refuses this disposition: {said}; integrity ledger trace shows"),
        raw(ledger, step, disposition, by, **more),
    ):
        pass


def taken(ledger: Ledger, step: str, disposition: str, by: str, **more: Any) -> None:
    """The database takes it: what is refused beside it is refused for its own reason only."""
    with pytest.raises(_BackError), raw(ledger, step, disposition, by, **more):
        pass


# --- the rules
# ---------------------------------------------------------------------------------------------------------------


def test_a_disposition_is_on_record_and_changes_no_verdict(book: Ledger) -> None:
    url = books.place(book)
    with book.database.reading() as connection:
        before = standing(connection, "notes", "production")
    state = status(url, period="2026-03-01")
    assert state.pipelines[0].undecided == 4
    names = breaks(url)["id"].to_list()
    leaves = dispose(book, names[:2], "accepted", control="counted by hand", by="lee", **WHY)
    assert len(leaves) == 2
    dispose(book, names[2], Disposition.TIMING, by="lee", **WHY)
    told = breaks(url)
    assert told["id"].to_list() == names
    assert told["case"].to_list() == ["disposed", "disposed", "disposed", "open"]
    assert told["disposition"].to_list() == ["accepted", "accepted", "timing", None]
    assert set(told["state"]) == {"open"}
    with book.database.reading() as connection:
        assert standing(connection, "notes", "production").equals(before)
        body = json.loads(
            connection.execute(sa.select(schema.leaves.c.body).where(schema.leaves.c.number == leaves[0])).scalar_one()
        )
    assert (body["operator"], body["by"], body["control"], body["reference"]) == (
        "kim",
        "lee",
        "counted by hand",
        "T-1",
    )
    assert "looked at" not in json.dumps(body)
    assert len(body["rows"]) == 2
    after = status(url, period="2026-03-01")
    assert after.pipelines[0].undecided == 1
    assert (after.exit_code, after.pipelines[0].windows) == (state.exit_code, state.pipelines[0].windows)
    assert runs(url)["verdict"].to_list() == ["fail", "fail"]
    assert verify(url).is_sound


@pytest.mark.parametrize("name", ["kim", " KIM ", "Kim"])
def test_who_ran_it_does_not_dispose_of_it(book: Ledger, name: str) -> None:
    one = first(book)["id"]
    for verb in (dispose, propose):
        with pytest.raises(UsageError, match=r"ran 2.*, which found break .*, and cannot dispose of it; let somebody"):
            verb(book, one, "timing", by=name, **WHY)
    propose(book, one, "timing", by="lee", **WHY)
    with pytest.raises(UsageError, match=r"and cannot confirm what is decided"):
        confirm(book, one, by=name)
    refused(book, "of_the_runner", "confirmed", "timing", name)
    refuse(book, one, reason="no", by=name)  # that decides nothing
    refused(book, "of_the_runner", "disposed", "timing", name)
    refused(book, "of_the_runner", "proposed", "timing", name)
    taken(book, "disposed", "timing", "lee")


def test_nor_does_who_ran_only_one_of_the_runs_that_show_it(book: Ledger) -> None:
    found(book, "sam")
    one = first(book)["id"]
    for name in ("kim", "sam"):
        with pytest.raises(UsageError, match="cannot dispose of it"):
            dispose(book, one, "timing", by=name, **WHY)
        refused(book, "of_the_runner", "disposed", "timing", name)
    last = trace(books.place(book), one)["run"][-1]
    number = trace(books.place(book), one)["number"][-1]
    # a leaf that leaves out the run of whoever decides
    listed = [[last, number]]
    refused(book, "incomplete", "disposed", "timing", "lee", rows=listed, row={"run": last, "number": number})
    dispose(book, one, "timing", by="lee", **WHY)


def test_what_is_proposed_is_confirmed_by_somebody_else_or_refused(book: Ledger) -> None:
    one, two = breaks(books.place(book))["id"].to_list()[:2]
    propose(book, [one, two], "false-positive", by="lee", **WHY)
    assert (
        breaks(books.place(book), case="proposed").select("disposition", "by", "confirmed_by").rows()
        == [("false-positive", "lee", None)] * 2
    )
    with pytest.raises(UsageError, match=r"Lee proposed the disposition of break .* and cannot confirm it"):
        confirm(book, one, by="Lee")
    refused(book, "alone", "confirmed", "false-positive", " LEE ")
    refused(book, "unanswered", "confirmed", "timing", "ann")  # something else than was proposed
    refused(book, "unanswered", "reopened", "false-positive", "ann")
    taken(book, "confirmed", "false-positive", "ann", reason=None)
    confirm(book, one, by="ann")
    refuse(book, two, reason="it is one", by="ann")
    told = breaks(books.place(book))
    assert told["case"].to_list()[:2] == ["disposed", "open"]
    assert told.row(0, named=True)["confirmed_by"] == "ann"
    assert told.row(0, named=True)["by"] == "lee"
    for name in (one, two):
        with pytest.raises(LedgerError, match="nothing is proposed of break"):
            confirm(book, name, by="ann")
        with pytest.raises(LedgerError, match="nothing is proposed of break"):
            refuse(book, name, reason="no", by="ann")
        refused(book, "unanswered", "confirmed", "false-positive", "sam", of=name)
        refused(book, "unanswered", "refused", "false-positive", "sam", of=name)
    assert verify(books.place(book)).is_sound


def test_what_is_disposed_of_is_not_disposed_of_again_before_it_is_reopened(book: Ledger) -> None:
    one = first(book)["id"]
    with pytest.raises(LedgerError, match="cannot be reopened: no disposition of it stands"):
        reopen(book, one, reason="why not", by="ann")
    refused(book, "unanswered", "reopened", "timing", "ann")
    dispose(book, one, "timing", by="lee", **WHY)
    for verb in (dispose, propose):
        with pytest.raises(LedgerError, match="is disposed of as timing by lee already; reopen it first"):
            verb(book, one, "corrected", by="ann", **WHY)
    refused(book, "again", "disposed", "corrected", "ann")
    refused(book, "again", "proposed", "corrected", "ann")
    reopen(book, one, reason="it was not late at all", by="kim")  # anybody may
    assert first(book)["case"] == "reopened"
    assert first(book)["disposition"] is None
    with pytest.raises(LedgerError, match="no disposition of it stands"):
        reopen(book, one, reason="again", by="ann")
    refused(book, "unanswered", "reopened", "timing", "ann")
    propose(book, one, "corrected", by="lee", **WHY)
    for verb in (dispose, propose):
        with pytest.raises(LedgerError, match="as corrected is proposed by lee already; confirm or refuse that first"):
            verb(book, one, "corrected", by="ann", **WHY)
    with pytest.raises(LedgerError, match="its disposition is only proposed; refuse the proposal instead"):
        reopen(book, one, reason="again", by="ann")
    refused(book, "again", "disposed", "corrected", "ann")
    told = trace(books.place(book), one)
    assert told["what"].to_list() == ["found", "found", "disposed", "reopened", "proposed"]
    assert told["reason"].to_list()[2:] == ["looked at", "it was not late at all", "looked at"]
    assert told["operator"].to_list() == ["kim"] * 5


@pytest.mark.parametrize("state", ["healed", "withdrawn", "cleared"])
def test_what_is_gone_is_not_disposed_of(book: Ledger, state: str) -> None:
    one = first(book)["id"]
    gone(book, state)
    assert first(book)["case"] == "closed"
    for verb in (dispose, propose):
        with pytest.raises(LedgerError, match=f"is {state}: run 2.* found that; nothing of it is left to dispose of"):
            verb(book, one, "timing", by="lee", **WHY)
    refused(book, "no_longer_open", "disposed", "timing", "lee")
    refused(book, "no_longer_open", "proposed", "timing", "lee")
    found(book)
    assert first(book)["case"] == "open"
    dispose(book, one, "timing", by="lee", **WHY)


def test_what_was_gone_and_is_found_again_is_open_again(book: Ledger) -> None:
    one, two, three, four = breaks(books.place(book))["id"]
    dispose(book, one, "corrected", by="lee", **WHY)
    propose(book, two, "corrected", by="lee", **WHY)
    propose(book, three, "timing", by="lee", **WHY)
    assert breaks(books.place(book))["case"].to_list() == ["awaiting-run", "proposed", "proposed", "open"]
    found(book)  # still there: what was decided about it stands, and the correction shows nowhere
    assert breaks(books.place(book))["case"].to_list() == ["awaiting-run", "proposed", "proposed", "open"]
    gone(book)
    confirm(book, two, by="ann")
    assert breaks(books.place(book))["case"].to_list() == ["disposed", "disposed", "closed", "closed"]
    found(book)
    told = breaks(books.place(book))
    assert told["case"].to_list() == ["open-again", "open-again", "open-again", "open"]
    assert told["disposition"].null_count() == 4
    with pytest.raises(LedgerError, match="no disposition of it stands"):
        reopen(book, one, reason="no", by="ann")
    with pytest.raises(LedgerError, match="nothing is proposed"):
        confirm(book, three, by="ann")
    refused(book, "unanswered", "reopened", "corrected", "ann", of=one)
    refused(book, "unanswered", "reopened", "corrected", "ann", of=two)
    refused(book, "unanswered", "confirmed", "timing", "ann", of=three)
    for name in (one, two, three, four):
        taken(book, "disposed", "timing", "lee", of=name)
    dispose(book, [one, two, three, four], "timing", by="lee", **WHY)
    assert set(breaks(books.place(book))["case"]) == {"disposed"}


def test_an_approval_can_be_required_and_no_longer(book: Ledger) -> None:
    one = first(book)["id"]
    leaf = require(book, ["accepted", "timing"], by="ann", reason="policy 4")
    for _ in range(2):
        with pytest.raises(
            LedgerError, match="as timing has to be confirmed by somebody else, as is ruled; propose it"
        ):
            dispose(book, one, "timing", by="lee", **WHY)
    refused(book, "unruled", "disposed", "timing", "lee")
    taken(book, "disposed", "corrected", "lee")
    taken(book, "proposed", "timing", "lee")
    with pytest.raises(LedgerError, match="timing needs a confirmation already"):
        require(book, "timing", by="ann", reason="again")
    require(book, ["corrected"], by="ann", reason="policy 5")
    refused(book, "unruled", "disposed", "accepted", "lee")
    lift(book, ["timing", "corrected"], by="ann", reason="policy 6")
    with pytest.raises(LedgerError, match="timing needs no confirmation as it is"):
        lift(book, ["timing"], by="ann", reason="again")
    with book.database.reading() as connection:
        assert ruling_of(connection) == {"accepted"}
    dispose(book, one, "timing", by="lee", **WHY)
    told = [each for each in changes(books.place(book)) if each.what == "ruling"]
    assert [each.before for each in told] == ["none", "accepted, timing", "accepted, corrected, timing"]
    assert told[0].leaf == leaf
    assert told[-1].after == "accepted to be confirmed by somebody else; by ann: policy 6"
    with pytest.raises(UsageError, match="there is no disposition 'timin'; did you mean 'timing'"):
        require(book, ["timin"], by="ann", reason="x")
    with pytest.raises(UsageError, match="no disposition is named"):
        require(book, [], by="ann", reason="x")


def test_a_decision_says_what_why_where_and_who(book: Ledger) -> None:
    one = first(book)["id"]
    for name, value in {"reason": " ", "reference": "", "by": "\n"}.items():
        with pytest.raises(UsageError, match=f"(names its {name}|by is empty); give {name}"):
            dispose(book, one, "timing", **(WHY | {"by": "lee", name: value}))
    for name, value in {"reason": "a\x1b[2J", "reference": "T\n1", "by": "le\u202ee"}.items():
        with pytest.raises(UsageError, match=f"{name} holds signs that no screen shows"):
            dispose(book, one, "timing", **(WHY | {"by": "lee", name: value}))
    with pytest.raises(UsageError, match="what is accepted has a compensating control"):
        dispose(book, one, "accepted", by="lee", **WHY)
    with pytest.raises(UsageError, match="as timing has no compensating control"):
        dispose(book, one, "timing", by="lee", control="x", **WHY)
    with pytest.raises(UsageError, match="there is no disposition 'fixed'; there are 'accepted'"):
        dispose(book, one, "fixed", by="lee", **WHY)
    with pytest.raises(UsageError, match="no break is named"):
        dispose(book, [], "timing", by="lee", **WHY)
    for said in ({"reason": None}, {"reference": None}, {"reference": " "}, {"control": "x"}):
        refused(book, "vague", "disposed", "timing", "lee", **said)
    refused(book, "vague", "disposed", "accepted", "lee", control=None)
    refused(book, "vague", "proposed", "accepted", "lee", control=" ")
    taken(book, "disposed", "accepted", "lee")


def test_a_row_without_the_leaf_that_says_so_is_refused(book: Ledger) -> None:
    said = "the last leaf of the log does not say so"
    assert four_eyes.rules("sqlite")["unsaid"][1] == said
    refused(book, None, "disposed", "timing", "lee", leaf=2)  # the last one of a run
    refused(book, None, "disposed", "timing", "lee", leaf=99)
    refused(book, None, "disposed", "timing", "lee", kind="sent")
    for name, value in (
        ("by", "ann"),
        ("disposition", "corrected"),
        ("step", "proposed"),
        ("number", 99),
        ("run", "x"),
    ):
        refused(book, "unsaid", "disposed", "timing", "lee", row={name: value})
    refused(book, None, "deleted", "timing", "lee")
    refused(book, "unsaid", "disposed", "fixed", "lee")
    refused(book, None, "disposed", "timing", "lee", rows=[])
    dispose(book, first(book)["id"], "timing", by="lee", **WHY)
    with book.database.reading() as connection:
        leaf = connection.execute(sa.select(sa.func.max(schema.dispositions.c.leaf))).scalar_one()
    require(book, "timing", by="ann", reason="later")
    reopen(book, first(book)["id"], reason="x", by="ann")
    refused(book, None, "disposed", "timing", "lee", leaf=leaf, row={"number": 0})


def test_a_step_names_the_one_before_it(book: Ledger) -> None:
    refused(book, "incomplete", "disposed", "timing", "lee", follows=2)
    dispose(book, first(book)["id"], "timing", by="lee", **WHY)
    refused(book, "incomplete", "reopened", "timing", "ann", follows=None)
    taken(book, "reopened", "timing", "ann")


def test_several_breaks_are_decided_about_or_none(book: Ledger) -> None:
    names = breaks(books.place(book))["id"].to_list()
    dispose(book, names[2], "timing", by="lee", **WHY)
    before = verify(books.place(book)).leaves
    with pytest.raises(LedgerError, match=f"break {names[2]} is disposed of"):
        dispose(book, names, "timing", by="lee", **WHY)
    with pytest.raises(UsageError, match="no break 'ffff' is on record"):
        dispose(book, [*names[:2], "ffff"], "timing", by="lee", **WHY)
    assert verify(books.place(book)).leaves == before
    row = first(book)
    same = [names[0], names[0][:5], f"{row['run']}:{row['number']}"]
    assert len(dispose(book, [*same, names[1]], "timing", by="lee", **WHY)) == 2  # one break, however it is called


def test_a_break_is_called_by_what_a_result_calls_it_too(book: Ledger) -> None:
    identifiers = found(book).breaks["break_id"].tolist()
    assert len(dispose(book, identifiers, "timing", by="lee", **WHY)) == 4
    one = first(book)["id"]
    assert trace(books.place(book), identifiers[0], key=book.key).height == 4
    with pytest.raises(UsageError, match=f"no break '{one[:-1]}.' is on record in production; did you mean '{one}'"):
        reopen(book, one[:-1] + ("0" if one[-1] != "0" else "1"), reason="x", by="ann")
    with pytest.raises(UsageError, match=r"several breaks begin with ''|no break '' is on record"):
        reopen(book, "", reason="x", by="ann")
    with pytest.raises(UsageError, match="no break '2:2' is on record"):
        reopen(book, "2:2", reason="x", by="ann")
    with pytest.raises(UsageError, match="in test"):
        reopen(replace(book, environment="test"), one, reason="x", by="ann")


def test_what_a_test_run_shows_is_another_case(book: Ledger) -> None:
    trying = replace(book, environment="test", operator="lee")
    found(trying, "lee")
    one = first(book)["id"]
    dispose(book, one, "timing", by="lee", **WHY)  # lee only tried it out
    assert breaks(books.place(book), environment="test")["case"].to_list() == ["open"] * 4
    dispose(trying, one, "timing", by="ann", **WHY)
    assert verify(books.place(book)).is_sound


def test_two_who_decide_at_once_do_not_both(book: Ledger) -> None:
    names = breaks(books.place(book))["id"].to_list()
    said: list[str] = []

    def decide(n: int) -> None:
        try:
            dispose(Ledger.open(books.place(book), operator=f"o{n}"), names, "timing", by=f"person {n}", **WHY)
            said.append("disposed")
        except LedgerError as error:
            said.append(error.problem)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decide, range(4)))
    assert said.count("disposed") == 1
    assert sum("is disposed of as timing by person" in each for each in said) == 3
    assert verify(books.place(book)).is_sound
    with book.database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.dispositions)).scalar() == 8


def test_whoever_dies_in_between_leaves_nothing(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    names = breaks(books.place(book))["id"].to_list()
    before = verify(books.place(book)).leaves
    for died in range(1, 9):
        told: list[str] = []

        def dying(_c: Any, _cursor: Any, statement: str, *_: Any, told: list[str] = told, at: int = died) -> None:
            if statement.startswith("INSERT"):
                told.append(statement)
                if len(told) == at:
                    raise KeyboardInterrupt

        sa.event.listen(book.database.engine, "before_cursor_execute", dying)
        try:
            with pytest.raises(KeyboardInterrupt):
                dispose(book, names[:2], "timing", by="lee", **WHY)
        finally:
            sa.event.remove(book.database.engine, "before_cursor_execute", dying)
        verified = verify(books.place(book))
        assert (verified.is_sound, verified.leaves) == (True, before)
    with book.database.reading() as connection:
        assert connection.execute(sa.select(schema.dispositions)).all() == []
        assert connection.execute(sa.select(schema.secrets).where(schema.secrets.c.scope == "disposition")).all() == []


def test_breaks_age_until_something_is_decided(place: str) -> None:
    book = Ledger.open(place, operator="kim", clock=books.ticking(books.START))
    found(book)
    later = books.START + dt.timedelta(days=10)
    told = breaks(place, now=later)
    assert told["age"].to_list() == pytest.approx([10] * 4, abs=0.01)
    assert ageing(told) == {"under 1 day": 0, "1 to 7 days": 0, "7 to 30 days": 4, "over 30 days": 0}
    after = replace(book, clock=books.ticking(books.START + dt.timedelta(days=2)))
    dispose(after, told["id"][0], "timing", by="lee", **WHY)
    propose(after, told["id"][1], "timing", by="lee", **WHY)
    told = breaks(place, now=later)
    assert told["age"].to_list() == pytest.approx([2, 10, 10, 10], abs=0.01)
    assert ageing(told)["7 to 30 days"] == 3
    gone(replace(book, clock=books.ticking(books.START + dt.timedelta(days=5))))
    told = breaks(place, now=later)
    assert told["age"].to_list() == pytest.approx([2, 5, 5, 5], abs=0.01)
    assert sum(ageing(told).values()) == 0


# --- what goes, and what stays
# ---------------------------------------------------------------------------------------------------------------


def test_why_goes_with_whom_it_is_about(book: Ledger) -> None:
    url = books.place(book)
    told = breaks(url)
    whose = {json.loads(each)["id"]: name for each, name in told.select("identity", "id").iter_rows()}
    dispose(book, list(whose.values())[:3], "timing", reference="T-1", reason="ms park asked", by="lee")
    ids = list(whose)
    assert erase(book, {"id": ids[0]}, basis="art. 17", by="dpo") == 3  # two rows, and the reason
    row = first(book)
    assert (row["case"], row["disposition"], row["identity"]) == ("disposed", "timing", None)
    assert row["id"] == f"{row['run']}:{row['number']}"
    assert breaks(url).height == 4  # its rows are linked, so that it stays one break
    assert trace(url, row["id"])["reason"].to_list() == [None] * 3
    assert trace(url, row["id"])["what"].to_list() == ["found", "found", "disposed"]
    assert verify(url).is_sound
    assert "3 private texts erased" in verify(url).headline()
    with pytest.raises(LedgerError, match="is disposed of as timing by lee already"):
        dispose(book, row["id"], "timing", by="ann", **WHY)
    reopen(book, row["id"], reason="x", by="ann")
    refused(book, None, "disposed", "timing", "lee", of=row["id"], rows=[[row["run"], row["number"]]])
    later = replace(book, clock=lambda: dt.datetime.now(dt.UTC) + dt.timedelta(days=400))
    assert expire(later, dt.timedelta(days=1), basis="policy 7", by="dpo") > 3
    assert verify(url).is_sound
    with book.database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.secrets)).scalar() == 0
    assert [case for case in breaks(url)["case"] if case == "disposed"] == ["disposed"] * 2
    assert breaks(url).filter(pl.col("disposition").is_not_null())["by"].to_list() == ["lee"] * 2


def test_what_is_said_of_an_erased_break_is_erased_by_its_name(book: Ledger) -> None:
    """Nothing tells any longer whose it is, so that no value finds it."""
    url = books.place(book)
    whose = json.loads(first(book)["identity"])["id"]
    dispose(book, first(book)["id"], "timing", by="lee", **WHY)
    erase(book, {"id": whose}, basis="art. 17", by="dpo")
    name = next(row["id"] for row in breaks(url).iter_rows(named=True) if row["disposition"])
    reopen(book, name, reason="Anna asked", by="ann")
    assert erase(book, {"id": whose}, basis="art. 17", by="dpo") == 0
    assert erase(book, {}, basis="art. 17", by="dpo", breaks=[name]) == 1
    assert erase(book, {}, basis="art. 17", by="dpo", breaks=[name]) == 0
    assert trace(url, name)["reason"].null_count() == trace(url, name).height
    assert verify(url).is_sound
    with pytest.raises(UsageError, match="nothing says whom to erase"):
        erase(book, {}, basis="art. 17", by="dpo")


def test_part_of_a_break_that_was_erased_is_still_disposed_of(tmp_path: Path) -> None:
    """Its first row is older than it is kept, its second is not."""
    start = books.START
    old = Ledger.open(tmp_path / "ledger.db", operator="kim", clock=books.ticking(start))
    found(old)
    new = replace(old, clock=books.ticking(start + dt.timedelta(days=30)))
    found(new)
    dispose(new, first(old)["id"], "timing", by="lee", **WHY)
    expire(new, dt.timedelta(days=20), basis="policy 7", by="dpo")
    told = breaks(tmp_path / "ledger.db")
    assert told.height == 4  # erased rows are linked to those that are left
    assert sorted(told["case"]) == ["disposed"] + ["open"] * 3
    assert verify(tmp_path / "ledger.db").is_sound


def test_who_ran_it_first_is_known_after_that_was_erased(book: Ledger) -> None:
    """kim found it, sam found it again; kim's run is older than texts are kept."""
    url, start = books.place(book), dt.datetime.now(dt.UTC)
    later = replace(book, clock=books.ticking(start + dt.timedelta(days=30)))
    found(later, "sam")
    expire(later, dt.timedelta(days=20), basis="policy 7", by="dpo")
    assert breaks(url).height == 4
    one = first(book)["id"]
    assert trace(url, one)["operator"].to_list() == ["kim", "kim", "sam"]
    for runner in ("kim", "sam"):
        with pytest.raises(UsageError, match=f"{runner} ran"):
            dispose(later, one, "timing", by=runner, **WHY)
        refused(later, "of_the_runner", "disposed", "timing", runner, of=one)
    shown = trace(url, one).filter(what="found").select("run", "number").rows()
    refused(later, "incomplete", "disposed", "timing", "kim", of=one, rows=[list(shown[-1])])
    dispose(later, one, "timing", by="lee", **WHY)
    assert expire(later, dt.timedelta(days=0), basis="policy 8", by="dpo") > 0
    assert breaks(url).height == 4
    assert verify(url).is_sound
    found(later, "ann")
    assert breaks(url).height == 8, "of a break that was erased altogether nobody can tell that it was found again"


@pytest.mark.parametrize("statement", ["DELETE FROM links", "UPDATE links SET of_number = of_number + 1",
                                       "INSERT INTO links SELECT run, number + 100, of_run, of_number, leaf FROM links LIMIT 1",
                                       "INSERT INTO links VALUES ('x', 0, 'y', 0, 1)"])  # fmt: skip
def test_a_link_that_was_changed_is_named(tmp_path: Path, statement: str) -> None:
    from .test_tampering import named, tampered

    (tmp_path / "one").mkdir()
    book = Ledger.open(tmp_path / "one" / "ledger.db", operator="kim", clock=books.ticking(books.START))
    found(book)
    later = replace(book, clock=books.ticking(books.START + dt.timedelta(days=30)))
    found(later)
    expire(later, dt.timedelta(days=20), basis="policy 7", by="dpo")
    assert verify(tmp_path / "one" / "ledger.db").is_sound
    with tampered(tmp_path / "one", tmp_path / "two") as connection:
        connection.execute(statement)
    assert named(tmp_path / "two")[1] == "links"


@pytest.mark.parametrize(
    ("statement", "what", "table"),
    [
        ("UPDATE dispositions SET by = 'ann' WHERE leaf = :leaf", "changed", "dispositions"),
        ("UPDATE dispositions SET step = 'refused' WHERE leaf = :leaf", "changed", "dispositions"),
        ("DELETE FROM dispositions WHERE leaf = :leaf", "removed", "dispositions"),
        ("INSERT INTO dispositions VALUES (:leaf, 'x', 0, 'disposed', 'timing', 'lee')", "inserted", "dispositions"),
        ("INSERT INTO dispositions SELECT 1, run, number, step, disposition, by FROM dispositions", "inserted", "dispositions"),
        ("UPDATE secrets SET body = '{\"reason\":\"none\"}' WHERE scope = 'disposition'", "changed", "secrets"),
        ("DELETE FROM secrets WHERE scope = 'disposition'", "removed", "secrets"),
        ("UPDATE secrets SET number = 1 WHERE scope = 'disposition'", "removed", "secrets"),
        ("INSERT INTO secrets SELECT run, scope, 77, subject, salt, body FROM secrets WHERE scope = 'disposition'", "inserted", "secrets"),
    ],
)  # fmt: skip
def test_what_is_changed_in_it_is_named(tmp_path: Path, statement: str, what: str, table: str) -> None:
    from .test_tampering import named, tampered

    (tmp_path / "one").mkdir()
    book = books.filled(tmp_path / "one", runs=1)
    (leaf,) = dispose(book, first(book)["id"], "timing", by="lee", **WHY)
    with tampered(tmp_path / "one", tmp_path / "two") as connection:
        connection.execute(statement, {"leaf": leaf})
    assert named(tmp_path / "two")[:2] == (what, table)


def test_a_rule_that_is_gone_is_named(book: Ledger) -> None:
    with book.database.writing() as connection:
        on = " ON dispositions" if connection.dialect.name == "postgresql" else ""
        connection.execute(sa.text(f"DROP TRIGGER dispositions_alone_refused{on}"))
    (finding,) = verify(books.place(book)).findings
    assert (finding.what, finding.row) == ("removed", "dispositions_alone_refused")


# --- layouts
# ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def older(book: Ledger) -> Ledger:
    """A ledger as the first layout was."""
    with book.database.writing() as connection:
        dialect = connection.dialect.name
        for table in ("dispositions", "links"):
            connection.execute(sa.text(f"DROP TABLE {table}"))
        for guard in guards(dialect) if dialect == "postgresql" else ():
            if guard.table == "dispositions" and guard.verb == "insert":
                connection.execute(sa.text(f"DROP FUNCTION {guard.function}()"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    return book


def test_an_older_layout_is_upgraded_by_who_writes_and_named_to_who_reads(older: Ledger) -> None:
    url = books.place(older)
    for reading in (verify, breaks, status):
        with pytest.raises(LedgerError, match=r"has layout 0001, this version reads 0003; integrity ledger upgrade"):
            reading(url)
    again = Ledger.open(url, operator="kim")
    assert verify(url).is_sound
    found(again)
    dispose(again, first(again)["id"], "timing", by="lee", **WHY)
    assert verify(url).is_sound


def test_the_first_migration_still_makes_the_first_layout(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    from integrity.ledger.database import Database

    database = Database.at(tmp_path / "ledger.db")
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        names = set(connection.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars())
    assert names == {guard.name for guard in guards("sqlite") if guard.table not in ("dispositions", "links")}
    assert database.layout == "0001"
    database.upgrade()
    database.upgrade()
    assert database.layout == "0003"
    Ledger.open(tmp_path / "ledger.db", operator="kim")
    assert verify(tmp_path / "ledger.db").is_sound


# --- the law
# -------------------------------------------------------------------------------------------------------------------


class Oracle:
    """What stands of one break, by going through what happened, one after the other."""

    def __init__(self) -> None:
        self.runners: list[str] = []
        self.gone = self.went = False
        self.stands: str | None = None  # disposed or proposed
        self.kind, self.proposer, self.last = "", "", ""
        self.ruled: set[str] = set()

    def find(self, operator: str) -> None:
        self.runners.append(operator)
        if self.went and self.stands:
            self.stands, self.last = None, "again"
        self.gone = self.went = False

    def vanish(self) -> None:
        self.gone = self.went = True

    def allows(self, step: str, kind: str, by: str) -> bool:
        if step in ("disposed", "proposed"):
            free = not self.gone and self.stands is None and by not in self.runners
            return free and not (step == "disposed" and kind in self.ruled)
        if step == "confirmed":
            return self.stands == "proposed" and by not in self.runners and by != self.proposer
        return self.stands == ("proposed" if step == "refused" else "disposed")

    def take(self, step: str, kind: str, by: str) -> None:
        self.last = step
        if step in ("disposed", "proposed"):
            self.stands, self.kind, self.proposer, self.went = step, kind, by, False
        elif step == "confirmed":
            self.stands = "disposed"
        else:
            self.stands = None

    def case(self, state: str) -> str:
        if self.stands == "disposed":
            return "awaiting-run" if self.kind == "corrected" and state in ("open", "withdrawn") else "disposed"
        if self.gone:
            return "closed"
        if self.stands == "proposed":
            return "proposed"
        return {"again": "open-again", "reopened": "reopened"}.get(self.last, "open")


PERSONS = ["kim", "lee", "ann", "sam"]
KINDS = [each.value for each in Disposition]
DEEDS = st.one_of(
    st.tuples(st.just("find"), st.sampled_from(PERSONS[:2]), st.none()),
    st.tuples(st.just("gone"), st.sampled_from(["healed", "withdrawn", "cleared"]), st.none()),
    st.tuples(st.sampled_from(["disposed", "proposed", "proposed"]), st.sampled_from(PERSONS[1:]), st.sampled_from(KINDS)),
    st.tuples(st.sampled_from(["confirmed", "confirmed", "refused", "reopened"]), st.sampled_from(PERSONS[1:]), st.none()),
    st.tuples(st.sampled_from(["require", "lift"]), st.just("ann"), st.sampled_from(KINDS)),
)  # fmt: skip


@pytest.fixture(scope="module")
def results() -> tuple[Result, Result]:
    """One that shows a break, and one that shows none."""
    notes, items = integrity.Contract(name="notes", version=1, identity=["id"]), pl.DataFrame({"id": ["1", "2"]})
    return integrity.reconcile(notes, items, items[:1]), integrity.reconcile(notes, items, items)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(deeds=st.lists(DEEDS, min_size=4, max_size=14))
def test_api_and_database_and_oracle_agree(
    tmp_path_factory: pytest.TempPathFactory, results: tuple[Result, Result], deeds: list[tuple[str, str, str | None]]
) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('law')}/ledger.db"
    book, oracle = Ledger.open(url, operator="kim"), Oracle()
    shows, clean = results
    begins = Beginning("notes", shows.contract, "", {}, None, None, None, {}, {})

    def find(operator: str) -> None:
        replace(book, operator=operator).begin(begins).finish(shows)
        oracle.find(operator)

    find("kim")
    verbs: dict[str, Callable[..., Any]] = {"require": require, "lift": lift}
    steps: dict[str, Callable[..., Any]] = {"confirmed": confirm, "refused": refuse, "reopened": reopen}
    for deed, who, kind in deeds:
        row = breaks(url).row(0, named=True)
        if deed == "find":
            find(who)
        elif deed == "gone":
            if not oracle.gone:
                told = {"of_run": [row["run"]], "of_number": [row["number"]], "state": [who]}
                book.begin(begins).finish(clean, TakenUp(changes=pl.DataFrame(told)))
                oracle.vanish()
        elif deed in verbs:
            try:
                verbs[deed](book, kind, by=who, reason="x")
            except LedgerError:
                assert (kind in oracle.ruled) == (deed == "require")
            oracle.ruled = oracle.ruled | {kind} if deed == "require" else oracle.ruled - {kind}  # type: ignore[arg-type]
        else:
            kind = kind or oracle.kind or "timing"
            expected = oracle.allows(deed, kind, who)
            assert by_the_database(book, deed, kind, who, row["id"]) == expected, (deed, kind, who)
            assert by_the_log(book, deed, kind, who, row["id"]) == expected, (deed, kind, who)
            more: dict[str, Any] = {} if deed == "confirmed" else {"reason": "x"}
            try:
                if deed in steps:
                    steps[deed](book, row["id"], by=who, **more)
                else:
                    control = "x" if kind == "accepted" else None
                    verb = dispose if deed == "disposed" else propose
                    verb(book, row["id"], kind, reference="T", control=control, by=who, **more)
                done = True
            except IntegrityError:
                done = False
            assert done == expected, (deed, kind, who)
            if done:
                oracle.take(deed, kind, who)
        row = breaks(url).row(0, named=True)
        assert row["case"] == oracle.case(row["state"])
    assert breaks(url).height == 1
    assert verify(url).is_sound


def by_the_database(book: Ledger, step: str, kind: str, by: str, of: str) -> bool:
    try:
        with raw(book, step, kind, by, of=of):
            return True
    except (LedgerError, _BackError) as error:
        return isinstance(error, _BackError)


def by_the_log(book: Ledger, step: str, kind: str, by: str, of: str) -> bool:
    """Whether whoever goes through the log finds nothing wrong with a step that nothing refused."""
    reason = {"reason": None} if step == "confirmed" else {}
    against: list[str] = []
    with pytest.raises(_BackError), raw(book, step, kind, by, of=of, guarded=False, **reason) as connection:
        against += [found[-1] for found in untied(connection, read_log(connection)) if "rules of" in found[-1]]
    return not against


def test_the_words_are_the_same_everywhere() -> None:
    for kind in Disposition:
        assert f"'{kind}'" in four_eyes.rules("sqlite")["unsaid"][0]
    assert {str(case) for case in Case} == {
        "open", "proposed", "disposed", "awaiting-run", "reopened", "open-again", "closed",
    }  # fmt: skip
    assert evidence.private("r", "disposition", 1, {"reason": "x"})[0]["scope"][0] == "disposition"


# --- from a shell
# -------------------------------------------------------------------------------------------------------------------


def test_from_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from integrity.cli import main

    def shell(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["ledger", *words])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, " ".join((said.out + said.err).split())

    monkeypatch.setenv("INTEGRITY_LEDGER", str(tmp_path / "ledger.db"))
    monkeypatch.setenv("INTEGRITY_OPERATOR", "kim")
    monkeypatch.setenv("COLUMNS", "250")
    book = books.filled(tmp_path)
    one, two, three, four = breaks(tmp_path / "ledger.db")["id"]
    why = ["--reason", "looked at", "--reference", "T-1"]
    assert shell("dispose", one, two, "--as", "timing", *why, "--by", "lee")[0] == 0
    assert shell("dispose", one, "--as", "timing", *why, "--by", "kim")[0] == 4
    assert shell("dispose", three, "--as", "timing", *why, "--by", "kim")[0] == 2
    assert shell("dispose", three, "--as", "accepted", *why, "--by", "lee")[0] == 2
    assert "4 breaks" in shell("breaks")[1]
    assert "2 breaks" in shell("breaks", "--case", "disposed")[1]
    assert "nothing is decided about 2 open breaks: 2 under 1 day, 0 1 to 7 days" in shell("breaks")[1]
    assert shell("require", "accepted", "--by", "ann", "--reason", "policy")[0] == 0
    control = ["--control", "by hand"]
    assert "propose it instead" in shell("dispose", three, "--as", "accepted", *why, *control, "--by", "lee")[1]
    assert shell("propose", three, four, "--as", "accepted", *why, *control, "--by", "lee")[0] == 0
    assert shell("confirm", three, "--by", "lee")[0] == 2
    assert shell("confirm", three, "--by", "ann") == (0, "confirmed the disposition of 1 break, in leaf 10")
    assert shell("refuse", four, "--reason", "[red]no", "--by", "ann")[0] == 0
    assert shell("reopen", one, "--reason", "no", "--by", "ann")[0] == 0
    assert shell("lift", "accepted", "--by", "ann", "--reason", "policy")[0] == 0
    code, said = shell("trace", four)
    assert code == 0
    for word in ("found", "proposed", "refused", "ann", "T-1", "[red]no", "control: by hand"):
        assert word in said
    assert "has layout 0003 already" in shell("upgrade")[1]
    assert shell("verify")[0] == 0
    assert verify(books.place(book)).leaves == 14
