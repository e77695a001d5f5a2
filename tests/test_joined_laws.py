"""What is matched item by item says what a dumb reconciler says, too (:mod:`tests.oracle`).

The same cases as in :mod:`tests.test_reconcile_laws`, under contracts that send them the other way: with a ladder, with a
clock that only the source has, with copies that are allowed, with a source that sees one item from several places.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import assume, event, given, note
from hypothesis import strategies as st

import integrity
from tests.test_reconcile_laws import (
    Case,
    assert_agrees,
    batches_of,
    breaks_of,
    cases,
    law,
    on_disk,
    without_self_test,
)


def changed(case: Case, **promises: Any) -> Case:
    form = case.contract._form()
    return replace(case, contract=integrity.Contract.from_dict({**form, **promises}))


def uncarried(case: Case) -> Case:
    form = case.contract._form()
    return changed(case, clock={**form["clock"], "carried": False})


def climbed(case: Case) -> Case:
    """The case with a ladder that ends in one of its content columns."""
    last = sorted(case.contract.content)[0]
    return changed(case, ladder=[{"column": "kind", "means": "of one kind"}, {"column": last, "means": "the same"}])


@law(examples=60)
@given(cases())
def test_a_ladder_changes_no_verdict(case: Case) -> None:
    assume(case.contract.content)
    case = climbed(case)
    with without_self_test():
        result = case.reconcile()
    note(str(result))
    assert_agrees(result, case.expected())
    assert sum(rung.count for rung in result.ladder) <= result.totals["matched"]


@law(examples=150)
@given(cases(), st.booleans(), st.sampled_from([None, "0s", "1s", "15m"]))
def test_digests_that_stand_in_and_columns_that_may_be_left_untold(
    case: Case, optional: bool, grace: str | None
) -> None:
    promises: dict[str, Any] = {"content": {"digest": {"type": "text", "evidence": True}, "body": "text"}}
    if optional:
        promises["content"]["n"] = {"type": "text", "optional": True}
    promises["ladder"] = [{"column": name, "means": name} for name in ("kind", "digest", "sum", "parts")]
    promises |= {"amounts": [], "latest_by": None}
    if case.contract.clock is None and grace is not None:
        promises |= {"changed": "edited", "grace": grace}
    case = changed(case, **promises)
    with without_self_test():
        result = case.reconcile()
    event(result.verdict.value)
    note(str(result))
    assert_agrees(result, case.expected())
    assert sum(rung.count for rung in result.ladder) <= result.totals["matched"]


@law(examples=120)
@given(cases(clock=True))
def test_a_clock_that_only_the_source_has(case: Case) -> None:
    case = uncarried(case)
    with without_self_test():
        result = case.reconcile()
    event(result.verdict.value)
    note(str(result))
    assert_agrees(result, case.expected())


@law(examples=50)
@given(cases(), st.integers(1, 3), st.booleans())
def test_copies_that_are_allowed_and_a_source_that_sees_double(case: Case, copies: int, distinct: bool) -> None:
    assume(case.contract.latest_by is None)
    case = changed(case, copies=copies, distinct=distinct)
    with without_self_test():
        result = case.reconcile()
    note(str(result))
    assert_agrees(result, case.expected())


@law(examples=50)
@given(cases())
def test_a_place_changes_no_verdict_and_explains_only_what_is_lost_and_extra(case: Case) -> None:
    assume(len(case.contract.identity) > 1)
    case = changed(case, place="tenant")
    with without_self_test():
        result = case.reconcile()
    assert_agrees(result, case.expected())
    for batch in result.iter_breaks():
        for each in batch.to_pylist():
            assert "misrouted" not in (each["reason"] or "") or each["kind"] in ("lost", "extra")


@law(examples=20)
@given(cases(clock=True), st.randoms(use_true_random=False))
def test_neither_memory_nor_order_changes_what_is_matched(case: Case, random: Any) -> None:
    case = uncarried(case)
    with without_self_test():
        first = case.reconcile()
    source, destination = list(case.source), list(case.destination)
    random.shuffle(source)
    random.shuffle(destination)
    with without_self_test(), on_disk():
        second = case.reconcile(source, destination)
    assert breaks_of(first) == breaks_of(second)
    assert batches_of(first) == batches_of(second)


@law(examples=15)
@given(cases(clock=True))
def test_the_self_test_finds_what_it_plants_on_this_way_too(case: Case) -> None:
    result = uncarried(case).reconcile()
    assert result.self_test.startswith("planted and found ")
