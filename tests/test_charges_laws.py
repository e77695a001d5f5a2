"""What expectations and grants say of single rows reaches the right item, however it is matched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import integrity
from tests.test_reconcile_laws import (
    SECOND,
    START,
    Case,
    assert_agrees,
    breaks_of,
    cases,
    law,
    on_disk,
    without_self_test,
)

GRANTS = {"actor": "actor", "object": "object", "from": "from", "until": "until", "approver": "approver"}
TIMES = {"revoked_at": "revoked", "departed_at": "departed", "recorded_at": "recorded"}


@st.composite
def charged_cases(draw: st.DrawFn, clock: bool | None = None) -> Case:
    """Any case, and expectations, grants, approved corrections and attempts besides."""
    case = draw(cases(clock=clock))
    promises = case.contract.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if draw(st.booleans()):
        promises["validity"] = draw(st.lists(_expectations(), min_size=1, max_size=3))
    timed = case.contract.clock is not None
    width = 3_600 * SECOND
    if timed and draw(st.booleans()):
        promises["authorization"] = {"actor": "sum", "object": "kind", "grants": GRANTS | TIMES}
        if draw(st.booleans()):
            promises["authorization"]["exempt"] = [{"where": {"body": ["q"]}, "reason": "a robot"}]
        if draw(st.integers(0, 4)):
            case = replace(case, grants=draw(st.lists(_grants(width), max_size=6)))
    if draw(st.booleans()):
        _correct(draw, promises)
        case = replace(case, corrections=draw(st.none() | st.lists(_approvals(), max_size=6)))
    if draw(st.integers(0, 3)) == 0 and "exclude" not in promises:
        promises["attempts"] = {"outcome": "kind", "accepted": ["note"], "rejected": ["noise"]}
    return replace(case, contract=integrity.Contract.from_dict(promises))


def _correct(draw: st.DrawFn, promises: dict[str, Any]) -> None:
    promises["corrections"] = {"actor": "sum", "object": "kind", "at": "edited", "grants": GRANTS}
    if "stored" in str(promises.get("clock")) and draw(st.booleans()):
        del promises["corrections"]["at"]


@st.composite
def _approvals(draw: st.DrawFn) -> dict[str, Any]:
    """Approvals that cover most of what is changed, so that some of it is."""
    return {
        "actor": draw(st.sampled_from(["m", "M", "k"])),
        "object": draw(st.sampled_from(["note", "noise"])),
        "from": draw(st.sampled_from([None, None, None, START, START + 1])),
        "until": draw(st.sampled_from([None, None, None, START + 1])),
        "approver": draw(st.sampled_from([None, None, None, "m"])),
        **dict.fromkeys(TIMES.values()),
    }


@st.composite
def corrected_cases(draw: st.DrawFn) -> Case:
    """Any case in which most changes at the destination were approved."""
    case = draw(cases())
    promises = case.contract.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    _correct(draw, promises)
    approvals = draw(st.lists(_approvals(), min_size=2, max_size=8))
    return replace(case, contract=integrity.Contract.from_dict(promises), corrections=approvals)


@st.composite
def _expectations(draw: st.DrawFn) -> dict[str, Any]:
    kwargs: dict[str, Any] = {"column": draw(st.sampled_from(["kind", "sum", "parts"]))}
    kind = draw(st.sampled_from(["in_set", "unique", "null"]))
    name = {
        "in_set": "expect_column_values_to_be_in_set",
        "unique": "expect_column_values_to_be_unique",
        "null": "expect_column_values_to_not_be_null",
    }[kind]
    if kind == "in_set":
        kwargs["value_set"] = draw(
            st.sampled_from([["note", "m"], ["note", "noise", "k"], ["5:m-2", "note", "m", "M", "k"]])
        )
    if draw(st.integers(0, 2)) == 0:
        kwargs["mostly"] = draw(st.sampled_from([0.5, 0.9, 1.0]))
    said: dict[str, Any] = {name: kwargs}
    side = draw(st.sampled_from([None, "source", "destination", "both"]))
    if side is not None:
        said["side"] = side
    if draw(st.integers(0, 4)) == 0:
        said["severity"] = "warning"
    return said


@st.composite
def _grants(draw: st.DrawFn, width: int) -> dict[str, Any]:
    moments = st.sampled_from([START - width, START, START + 1, START + width - 1, START + width, START + 2 * width])
    row: dict[str, Any] = {
        "actor": draw(st.sampled_from(["m", "m", "M", "k", None])),
        "object": draw(st.sampled_from(["note", "note", "noise"])),
        "from": draw(st.none() | moments),
        "until": draw(st.none() | moments),
        "approver": draw(st.sampled_from([None, "boss", "m"])),
    }
    for name in TIMES.values():
        row[name] = None if draw(st.integers(0, 3)) else draw(moments)
    return row


@law(examples=120)
@given(charged_cases(clock=True))
def test_a_timed_run_says_of_each_item_what_the_oracle_says(case: Case) -> None:
    with without_self_test():
        assert_agrees(case.reconcile(), case.expected())


@law(examples=50)
@given(charged_cases(clock=False))
def test_so_does_a_comparison_of_two_snapshots(case: Case) -> None:
    with without_self_test():
        assert_agrees(case.reconcile(), case.expected())


@law(examples=50)
@given(charged_cases())
def test_so_does_a_run_with_more_data_than_memory(case: Case) -> None:
    with without_self_test(), on_disk():
        assert_agrees(case.reconcile(), case.expected())


@law(examples=50)
@given(charged_cases(clock=True))
def test_so_does_a_run_that_matches_every_item(case: Case) -> None:
    """A ladder whose only rung is what is compared changes nothing but the way of matching."""
    promises = case.contract.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    content = next(iter(case.contract.content), None)
    if content is None:
        return
    promises["ladder"] = [{"column": content, "means": "equal"}]
    joined = replace(case, contract=integrity.Contract.from_dict(promises))
    with without_self_test():
        assert breaks_of(joined.reconcile()) == case.expected().breaks


@law(examples=120)
@given(corrected_cases())
def test_what_was_changed_by_somebody_who_was_allowed_to_is_accounted_for(case: Case) -> None:
    with without_self_test():
        assert_agrees(case.reconcile(), case.expected())


@law(examples=25)
@given(charged_cases())
def test_the_self_test_passes_whatever_is_asked_and_changes_nothing(case: Case) -> None:
    tested = case.reconcile()
    with without_self_test():
        assert breaks_of(tested) == breaks_of(case.reconcile())
