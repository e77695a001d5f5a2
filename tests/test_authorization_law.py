"""Authorization, second by second, against loops that anybody can check."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrity.authorization import Rules, judge, remarks
from tests.grants_oracle import counts, expected_of, lies_in, remarked

TIMES = ("from", "until", "revoked", "departed", "recorded")
ITEM = {"__row": pl.Int64, "actor": pl.String, "object": pl.String, "at": pl.Int64}
GRANT = {
    "__grant": pl.Int64,
    "actor": pl.String,
    "object": pl.String,
    **dict.fromkeys(TIMES, pl.Int64),
    "approver": pl.String,
}
SECOND = 1_000_000

# Few names, so that items and grants often meet; and sometimes names that look alike.
names = st.sampled_from(["kim"] * 5 + ["\x1akim"] * 2) | st.sampled_from(["각", "각", "", "a\0b", "👩‍👧"])
folders = st.sampled_from(["/", "/team", "/team/a", "/team/a/b", "/teammates", "team", "team/a", "", "/team/a/"])
moments = st.none() | st.integers(0, 9).map(lambda n: n * SECOND)


def frame(rows: list[dict[str, Any]], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema, orient="row")


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Rules]:
    within = draw(st.sampled_from([None, None, "/"]))
    things = folders if within else st.sampled_from(["room", "room", "방"])
    items = [
        {"__row": n, "actor": draw(st.none() | names), "object": draw(st.none() | things), "at": draw(moments)}
        for n in range(draw(st.integers(0, 8)))
    ]
    grants = []
    for n in range(draw(st.integers(0, 8))):
        if grants and draw(st.integers(0, 5)) == 0:
            grants.append({**draw(st.sampled_from(grants)), "__grant": n})
            continue
        grant = {"__grant": n, "actor": draw(names), "object": draw(things), "approver": draw(st.none() | names)}
        grants.append(
            grant
            | {name: draw(moments) if draw(st.integers(0, 1)) or name in ("from", "until") else None for name in TIMES}
        )
    return (
        items,
        grants,
        Rules(within, draw(st.sampled_from([True, True, False])), draw(st.sampled_from([True, True, False]))),
    )


# --- the law ---------------------------------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_grants_cover_what_they_cover_second_by_second(case: Any, random: Any) -> None:
    items, grants, rules = case
    shuffled = random.sample(items, len(items)), random.sample(grants, len(grants))
    judged = judge(frame(shuffled[0], ITEM), frame(shuffled[1], GRANT), rules)
    found = {row["__row"]: (row["known"], row["reason"]) for row in judged.items.to_dicts()}
    assert len(found) == judged.items.height
    wanted = {item["__row"]: expected_of(item, grants, rules) for item in items}
    assert found == {row: said for row, said in wanted.items() if said is not None}
    used = {}
    for grant in grants:
        covers = [
            item for item in items
            if None not in item.values() and not item["actor"].startswith("\x1a") and grant["actor"] == item["actor"]
            and lies_in(item["object"], grant["object"], rules.within) and counts(grant, item["at"])
        ]  # fmt: skip
        if covers:
            used[grant["__grant"]] = len(covers)
    assert dict(judged.used.iter_rows()) == used


@settings(max_examples=200, deadline=None)
@given(cases())
def test_what_is_wrong_with_grants_is_said(case: Any) -> None:
    _, grants, rules = case
    if rules.within is None:
        assert dict(remarks(frame(grants, GRANT)).iter_rows()) == remarked(grants)


# --- readable examples -----------------------------------------------------------------------------------------------


def grant(**said: Any) -> dict[str, Any]:
    return {"__grant": 0, "actor": "kim", "object": "room", **dict.fromkeys(TIMES), "approver": None, **said}


def why(
    at: int, *grants: dict[str, Any], within: str | None = None, thing: str = "room", actor: str = "kim"
) -> str | None:
    item = {"__row": 0, "actor": actor, "object": thing, "at": at}
    numbered = [each | {"__grant": n} for n, each in enumerate(grants)]
    found = judge(frame([item], ITEM), frame(numbered, GRANT), Rules(within)).items
    return found["reason"].to_list()[0] if found.height else None


def test_a_span_begins_with_its_first_moment_and_ends_before_its_last() -> None:
    span = grant(**{"from": 10, "until": 20})
    assert why(9, span) == "not yet valid until 1970-01-01T00:00:00.000010Z"
    assert why(10, span) is None
    assert why(19, span) is None
    assert why(20, span) == "expired at 1970-01-01T00:00:00.000020Z"


def test_spans_join_and_revocation_and_another_grant_are_respected() -> None:
    first, second_ = grant(**{"from": 0, "until": 10}), grant(**{"from": 10, "until": 20})
    assert [why(at, first, second_) for at in (0, 9, 10, 19)] == [None] * 4
    revoked, again = grant(**{"from": 0, "revoked": 5 * SECOND}), grant(**{"from": 8 * SECOND})
    assert why(6 * SECOND, revoked, again) == "revoked at 1970-01-01T00:00:05Z, granted again from 1970-01-01T00:00:08Z"
    assert why(8 * SECOND, revoked, again) is None


def test_nobody_grants_to_themself_nor_backwards_nor_after_leaving() -> None:
    assert why(5, grant(approver="kim")) == "approved by the actor themself"
    assert why(5, grant(approver="lee")) is None
    assert why(5, grant(recorded=6)) == "recorded after the act, at 1970-01-01T00:00:00.000006Z"
    assert why(6, grant(recorded=6)) is None
    assert why(SECOND, grant(departed=SECOND)) == "its actor had left at 1970-01-01T00:00:01Z"


def test_a_folder_is_inherited_and_a_name_that_begins_alike_is_not() -> None:
    team = grant(object="/team")
    assert why(1, team, within="/", thing="/team/a/b") is None
    assert why(1, team, within="/", thing="/teammates") == "no grant ever"
    assert why(1, team, thing="/team/a") == "no grant ever"
    assert why(1, grant(object="/"), within="/", thing="/x") is None


@pytest.mark.parametrize("year", [1, 9999])
def test_the_ends_of_the_calendar(year: int) -> None:
    at = int((dt.datetime(year, 6, 1) - dt.datetime(1970, 1, 1)) / dt.timedelta(microseconds=1))
    assert why(at, grant()) is None
    assert why(at, grant(**{"from": at + 1})) == f"not yet valid until {year:04}-06-01T00:00:00.000001Z"
    assert why(at, grant(until=at)) == f"expired at {year:04}-06-01T00:00:00Z"


def test_one_actor_with_thousands_of_overlapping_grants_and_items() -> None:
    grants = pl.DataFrame({"__grant": range(3_000)}).with_columns(
        actor=pl.lit("bot"), object=pl.lit("room"), until=pl.col("__grant") + 2_000, approver=pl.lit(None, pl.String),
        **{"from": pl.col("__grant")}, **{name: pl.lit(None, pl.Int64) for name in ("revoked", "departed", "recorded")},
    )  # fmt: skip
    items = pl.DataFrame({"__row": range(8_000)}).with_columns(
        actor=pl.lit("bot"), object=pl.lit("room"), at=pl.col("__row")
    )
    judged = judge(items, grants, Rules())
    assert judged.items.height == 8_000 - 4_999
    assert judged.used["items"].to_list() == [2_000] * 3_000


def test_what_has_no_name_lies_in_nothing_but_itself() -> None:
    assert why(1, grant(object="/"), within="/", thing="") == "no grant ever"
    assert why(1, grant(object=""), within="/", thing="") is None
    assert why(1, grant(object=""), within="/", thing="a/b") is None
    assert why(1, grant(object=""), within="/", thing="/a") == "no grant ever"


@pytest.mark.parametrize("thing", ["/", "//", "//a", "/a//"])
def test_a_grant_is_used_once_an_item_however_odd_its_path(thing: str) -> None:
    items = frame([{"__row": 0, "actor": "kim", "object": thing, "at": 1}], ITEM)
    assert judge(items, frame([grant(object="/")], GRANT), Rules("/")).used.rows() == [(0, 1)]


@pytest.mark.parametrize("within", ["::", ".*", "+"])
def test_what_separates_may_be_long_and_is_no_pattern(within: str) -> None:
    team = grant(object=f"{within}team{within}")
    assert why(1, team, within=within, thing=f"{within}team{within}a") is None
    assert why(1, team, within=within, thing=f"{within}teammates") == "no grant ever"


def test_the_least_time_of_entry_is_found_among_grants_that_overlap() -> None:
    wide, late = grant(**{"from": 0, "until": 9, "recorded": 30}), grant(**{"from": 2, "until": 5, "recorded": 20})
    own = grant(approver="kim", recorded=10)
    assert why(3, wide, late, own) == "recorded after the act, at 1970-01-01T00:00:00.000020Z"
    assert why(5, wide, late, own) == "recorded after the act, at 1970-01-01T00:00:00.000030Z"
    assert why(9, wide, late, own) == "approved by the actor themself"


def test_reasons_for_many_items_of_one_actor_cost_no_product() -> None:
    # As pairs of an item and a grant these would be 400 million rows.
    count = 20_000
    row = pl.int_range(count, dtype=pl.Int64, eager=True)
    never = {name: pl.lit(None, pl.Int64) for name in ("revoked", "departed", "recorded")}
    kim = {"actor": pl.lit("kim"), "object": pl.lit("room")}
    grants = pl.DataFrame({"__grant": row, "from": row * 2, "until": row * 2 + 1}).with_columns(
        **kim, **never, approver=pl.lit(None, pl.String)
    )
    found = judge(pl.DataFrame({"__row": row, "at": row * 2 + 1}).with_columns(**kim), grants, Rules()).items.sort(
        "__row"
    )
    assert found["known"].all()
    assert found["reason"].n_unique() == count
    assert found["reason"][0] == (
        "expired at 1970-01-01T00:00:00.000001Z, granted again from 1970-01-01T00:00:00.000002Z"
    )
