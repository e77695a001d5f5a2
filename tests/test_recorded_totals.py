"""Totals that were recorded earlier have no items to name: what they say by number is judged, and said to be unnamed."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import integrity
from integrity import Assertion, Verdict
from integrity.ledger import verify
from integrity.ledger.recorded import recorded
from integrity.packs import export, verify_pack
from tests.conftest import at, frame, message, promise
from tests.effort import examples

SIDES: tuple[Literal["source"], Literal["destination"]] = ("source", "destination")
RECORDED = [("source",), ("destination",), SIDES]
LATE = frame(*(message(n, n, stored_at=at(n + 1)) for n in range(30)))


def by_totals(which: tuple[str, ...], source: pl.DataFrame, destination: pl.DataFrame, **more: Any) -> integrity.Result:
    """The result where some sides were recorded earlier."""
    kept: dict[str, Any] = dict(zip(SIDES, (source, destination), strict=True))
    contract = more.pop("contract", promise())
    for side in SIDES:
        if side in which:
            measured = integrity.measure(contract, kept[side], side=side)
            kept[side] = integrity.ControlTotals.from_arrow(measured.to_arrow())
    return integrity.reconcile(contract, **kept, **more)


@pytest.mark.parametrize("which", RECORDED)
def test_late_items_fail_timeliness_and_are_named_where_there_are_items(which: tuple[str, ...]) -> None:
    found = by_totals(which, LATE, LATE)
    assert found.assertions[Assertion.TIMELINESS] is Verdict.FAIL
    assert found.assertions[Assertion.COMPLETENESS] is Verdict.PASS
    assert found.totals["late"] == 30
    named = 0 if "destination" in which else 30
    assert len(found.breaks) == named
    said = "of recorded totals, which cannot say in which items: 30 late"
    assert (said in found.notes) is (named == 0)


@pytest.mark.parametrize("which", RECORDED)
def test_skewed_and_nameless_items_are_counted_and_said(which: tuple[str, ...]) -> None:
    skewed = frame(*(message(n, n, stored_at=at(n - 1)) for n in range(9)), message(9, 9, message_id=None))
    found = by_totals(which, skewed, skewed)
    assert (found.totals["skewed"], found.totals["invalid"]) == (9, 1)
    assert {found.assertions[each] for each in (Assertion.TIMELINESS, Assertion.VALIDITY)} == {Verdict.FAIL}
    by_number = [note for note in found.notes if note.startswith("of recorded totals")]
    assert (
        by_number
        == {
            ("source",): [],  # the destination's items say the same, and have names
            ("destination",): ["of recorded totals, which cannot say in which items: 9 skewed"],
            SIDES: ["of recorded totals, which cannot say in which items: 1 invalid, 9 skewed"],
        }[which]
    )


@pytest.mark.parametrize("which", RECORDED)
def test_items_without_a_time_on_both_sides(which: tuple[str, ...]) -> None:
    untimed = frame(message(1, 1), message(2, 2, sent_at=None))
    found = by_totals(which, untimed, untimed)
    assert found.verdict is Verdict.FAIL
    assert found.assertions[Assertion.VALIDITY] is Verdict.FAIL
    assert found.totals["invalid"] == 1
    assert any("1 invalid" in note for note in found.notes) is (which == SIDES)


@pytest.mark.parametrize("which", RECORDED)
def test_such_a_run_is_put_on_record_and_given_away(which: tuple[str, ...], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    found = by_totals(which, LATE, LATE, ledger=url)
    assert verify(url).is_sound
    kept = recorded(url)
    assert (kept.verdict, kept.totals["late"], len(kept.breaks)) == ("fail", 30, len(found.breaks))
    assert "late" in kept.to_html()
    assert "late" in found.to_html()
    assert json.loads(found.to_json())["totals"]["late"] == 30
    assert verify_pack(export(url, tmp_path / "pack")).exit_code == 0


_ROWS = st.lists(
    st.tuples(
        st.sampled_from(["in time", "late", "skewed", "no identity", "no time", "twice", "from the future"]),
        st.sampled_from(["kept", "kept", "kept", "lost", "corrupt", "doubled", "extra"]),
        st.integers(0, 25),
    ),
    max_size=7,
)


@pytest.mark.usefixtures("_quick")
@settings(max_examples=examples(160), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_ROWS, which=st.sampled_from(RECORDED))
def test_recorded_totals_never_say_better_than_the_items(
    rows: list[tuple[str, str, int]], which: tuple[str, ...]
) -> None:
    """And whatever was recorded, the run ends with a result."""
    source, destination = [], []
    for number, (how, became, minutes) in enumerate(rows):
        row = message(number, minutes)
        changes: dict[str, dict[str, object]] = {
            "late": {"stored_at": at(minutes + 1)},
            "skewed": {"stored_at": at(minutes - 1)},
            "no identity": {"message_id": None},
            "no time": {"sent_at": None},
            "from the future": {"sent_at": at(60 * 24 * 365 * 20)},
        }
        row |= changes.get(how, {})
        source += [row] * (2 if how == "twice" else 1) * (became != "extra")
        copies = {"lost": 0, "doubled": 2}.get(became, 1)
        destination += [row | ({"body": "another"} if became == "corrupt" else {})] * copies
    contract = promise()
    sides = frame(*source), frame(*destination)
    told, items = by_totals(which, *sides, contract=contract), integrity.reconcile(contract, *sides)
    if items.verdict is Verdict.FAIL:
        assert told.verdict in (Verdict.FAIL, Verdict.UNVERIFIED)
    if items.verdict is not Verdict.PASS:
        assert told.verdict is not Verdict.PASS
    for kind in ("late", "skewed", "invalid"):
        unnamed = told.totals[kind] - int((told.breaks["kind"] == kind).sum())
        assert (unnamed > 0) is any(f"{unnamed:,} {kind}" in note for note in told.notes if note.startswith("of rec"))


def test_a_summary_that_disagrees_with_its_rows_is_still_refused() -> None:
    """What recorded totals cannot say is no excuse for what items do."""
    from integrity.breaks import BreakKind
    from integrity.errors import BalanceError
    from integrity.reconciliation import _check_rows
    from integrity.spool import Log

    counted = dict.fromkeys((each.value for each in BreakKind), 0)
    assert _check_rows(counted | {"late": 2}, Log(), {"late"}) == {"late": 2}
    for kind, told in itertools.product(BreakKind, (set(), {"late"})):
        if kind.value not in told:
            with pytest.raises(BalanceError):
                _check_rows(counted | {kind.value: 1}, Log(), told)
