"""What was sent to a group is expected in the mailbox of each of its members, as they were at that moment."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import integrity
from integrity.errors import StoreError, UsageError
from integrity.fan_out import FannedOut, Members
from integrity.stores import open_store

DAY = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
CONTRACT = integrity.Contract(
    name="letters",
    version=1,
    identity={"mailbox": {"type": "text", "trim": True, "casefold": True}, "message_id": "text"},
    content={"digest": {"type": "text", "evidence": True}},
    unique=False,
    place="mailbox",
    fan_out={"group": "address", "member": "mailbox", "from": "since", "until": "until"},
    clock={"event": "accepted_at", "processed": "delivered_at", "carried": False},
    window="1h",
)


def hour(number: float) -> dt.datetime:
    return DAY + dt.timedelta(hours=number)


def members(*rows: tuple[str | None, str | None, float | None, float | None]) -> pl.DataFrame:
    schema = {
        "address": pl.String,
        "mailbox": pl.String,
        "since": pl.Datetime("us", "UTC"),
        "until": pl.Datetime("us", "UTC"),
    }
    return pl.DataFrame(
        [(a, m, None if s is None else hour(s), None if u is None else hour(u)) for a, m, s, u in rows],
        schema=schema,
        orient="row",
    )


def accepted(*rows: tuple[Any, str, float], digest: str | None = "d") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "mailbox": [row[0] for row in rows],
            "message_id": [row[1] for row in rows],
            "digest": [digest] * len(rows),
            "accepted_at": [hour(row[2]) for row in rows],
        }
    )


def delivered(*rows: tuple[str, str, float]) -> pl.DataFrame:
    return accepted(*rows).rename({"accepted_at": "delivered_at"})


def run(source: Any, destination: Any, groups: Any, **how: Any) -> integrity.Result:
    return integrity.reconcile(CONTRACT, source, destination, members=groups, as_of=hour(48), **how)


def breaks(result: integrity.Result) -> list[tuple[str, str, str]]:
    return sorted(zip(result.breaks["kind"], result.breaks["mailbox"], result.breaks["message_id"], strict=True))


def test_a_group_is_its_members_of_that_moment() -> None:
    groups = members(("all@x", "kim", 0, 9), ("all@x", "lee", None, None), ("all@x", "park", 9, None))
    source = accepted(("all@x", "1", 8.99), ("all@x", "2", 9), ("All@X ", "3", 10))
    destination = delivered(
        *((who, "1", 9) for who in ("kim", "lee")), *((who, n, 10.5) for n in "23" for who in ("lee", "park"))
    )
    result = run(source, destination, groups)
    assert (result.verdict, result.totals["matched"], breaks(result)) == ("pass", 6, [])


def test_one_mail_is_expected_once_in_a_mailbox_however_many_addresses_lead_there() -> None:
    groups = members(("all@x", "kim", None, None), ("ceo@x", "kim", None, None), ("kim@x", "kim", None, None))
    several = accepted((["all@x", "kim@x"], "1", 1), (["ceo@x"], "1", 1))  # in one row of an archive, in two of a log
    result = run(several, delivered(("kim", "1", 1.1)), groups)
    assert (result.totals["matched"], result.totals["excluded"], breaks(result)) == (1, 1, [])
    assert [(e["name"], e["count"]) for e in result.exclusions if e["count"]] == [("the same item again", 1)]
    twice = run(several, delivered(("kim", "1", 1.1), ("kim", "1", 1.2)), groups)
    assert breaks(twice) == [("duplicate", "kim", "1")]


def test_two_acceptances_at_one_address_in_the_same_moment_are_two() -> None:
    groups = members(("all@x", "kim", None, None))
    twice = accepted(("kim", "1", 1), ("kim", "1", 1), ("all@x", "1", 1))
    assert breaks(run(twice, delivered(("kim", "1", 1.1)), groups)) == [("lost", "kim", "1")]
    assert run(twice, delivered(("kim", "1", 1.1), ("kim", "1", 1.1)), groups).verdict == "pass"


def test_a_group_of_many_comes_in_many_batches() -> None:
    groups = members(*(("all@x", f"m{number}", None, None) for number in range(3000)))
    known = Members(CONTRACT, open_store(groups), {}, None)
    source = FannedOut(open_store(accepted(*((["all@x"], str(n), 1) for n in range(100)))), CONTRACT, known, {}, None)
    sizes = [batch.num_rows for batch in source.stream(["mailbox", "message_id"])]
    assert sum(sizes) == 300_000
    assert max(sizes) < 70_000


def test_the_same_message_accepted_twice_is_expected_twice() -> None:
    result = run(accepted(("kim", "1", 1), ("kim", "1", 2)), delivered(("kim", "1", 1.1)), None)
    assert breaks(result) == [("lost", "kim", "1")]


def test_nested_groups_and_circles() -> None:
    groups = members(
        ("all@x", "dev@x", None, None), ("all@x", "ops@x", None, None), ("dev@x", "kim", None, None), ("ops@x", "dev@x", None, None),
        ("ops@x", "lee", None, None), ("a@x", "b@x", None, None), ("b@x", "a@x", None, None), ("fwd@x", "fwd@x", None, None), ("fwd@x", "lee", None, None),
    )  # fmt: skip
    source = accepted(("all@x", "1", 1), ("a@x", "2", 1), ("fwd@x", "3", 1))
    result = run(source, delivered(("kim", "1", 1), ("lee", "1", 1), ("fwd@x", "3", 1), ("lee", "3", 1)), groups)
    assert breaks(result) == [("lost", "a@x", "2")]  # nobody has it, and nobody forgets it


def test_a_group_without_members_at_that_moment_is_not_forgotten() -> None:
    groups = members(("old@x", "kim", 0, 1))
    assert breaks(run(accepted(("old@x", "1", 2)), delivered(("kim", "0", 1)), groups)) == [
        ("extra", "kim", "0"),
        ("lost", "old@x", "1"),
    ]


def test_without_members_every_address_is_a_mailbox() -> None:
    result = run(accepted((["kim", "lee"], "1", 1)), delivered(("kim", "1", 1), ("lee", "1", 1)), None)
    assert (result.verdict, result.totals["matched"]) == ("pass", 2)


def test_a_mail_to_nobody_is_invalid_and_lost() -> None:
    result = run(accepted(([], "1", 1), (["kim"], "2", 1)), delivered(("kim", "2", 1)), None)
    assert [kind for kind, *_ in sorted(zip(result.breaks["kind"], strict=True))] == ["invalid", "lost"]
    assert result.breaks.set_index("kind").loc["invalid", "reason"] == "no mailbox"


def test_what_was_misrouted_is_said_of_both_its_breaks() -> None:
    source = accepted(("kim", "1", 1), ("lee", "2", 1), ("park", "3", 1))
    moved = delivered(("lee", "1", 1), ("lee", "2", 1)).vstack(
        accepted(("choi", "3", 1), digest="other").rename({"accepted_at": "delivered_at"})
    )
    result = run(source, moved, None)
    said = {(row.kind, row.mailbox): row.reason for row in result.breaks.itertuples()}
    assert said[("lost", "kim")] == "misrouted: it is in mailbox lee"
    assert said[("extra", "lee")] == "misrouted: it belongs in mailbox kim"
    assert (
        said[("lost", "park")] is None or said[("lost", "park")] != said[("lost", "park")]
    )  # other content: not that one
    assert result.totals["lost"] == 2
    assert result.totals["extra"] == 2


@pytest.mark.parametrize("content", [{}, {"body": "text"}, {"body": {"type": "text", "evidence": True}}])
def test_what_is_misrouted_is_told_by_whatever_a_contract_compares(content: dict[str, Any]) -> None:
    plain = integrity.Contract(name="plain", version=1, identity=["shelf", "book"], content=content, place="shelf")
    here = pl.DataFrame({"shelf": ["a", "b"], "book": ["1", "2"], "body": ["x", "y"]})
    there = here.with_columns(shelf=pl.Series(["c", "b"]))
    result = integrity.reconcile(plain, here, there)
    assert list(result.breaks.sort_values("kind")["reason"]) == [
        "misrouted: it belongs in shelf a",
        "misrouted: it is in shelf c",
    ]


def test_a_log_without_digests_still_sees_what_was_misrouted() -> None:
    log = accepted(("kim", "1", 1), ("lee", "2", 1)).drop("digest")
    result = run(log, delivered(("lee", "1", 1), ("lee", "2", 1)), None)
    said = {(row.kind, row.mailbox): row.reason for row in result.breaks.itertuples()}
    assert said == {
        ("lost", "kim"): "misrouted: it is in mailbox lee",
        ("extra", "lee"): "misrouted: it belongs in mailbox kim",
    }
    assert result.assertions["accuracy"] == "unverified"
    assert any("source has no digest, so content could not be compared" in each for each in result.notes)


@pytest.mark.parametrize(
    ("groups", "error", "said"),
    [
        (
            pl.DataFrame({"adress": ["a"], "mailbox": ["b"]}),
            StoreError,
            "no column 'address' in .*, the members; did you mean 'adress'",
        ),
        (members(("a", None, None, None)), StoreError, "a row of .*, the members, has no address or no mailbox"),
        (
            pl.DataFrame({"address": ["a"], "mailbox": ["b"], "since": ["soon"], "until": [None]}),
            StoreError,
            "1 values of 'since' in .* are no times",
        ),
    ],
)
def test_members_that_cannot_be_read(groups: pl.DataFrame, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        run(accepted(("a", "1", 1)), delivered(("b", "1", 1)), groups)


def test_members_of_a_contract_that_expands_nothing() -> None:
    plain = integrity.Contract(name="plain", version=1, identity=["id"])
    with pytest.raises(UsageError, match="contract 'plain' expands no groups; add place: and fan_out:"):
        integrity.reconcile(plain, pl.DataFrame({"id": ["1"]}), pl.DataFrame({"id": ["1"]}), members=members())


def test_theirs_and_ours_and_the_zone() -> None:
    groups = members(("all@x", "kim", None, None)).rename({"address": "list", "mailbox": "who"})
    source = accepted(("all@x", "1", 1)).rename({"mailbox": "recipient"})
    result = integrity.reconcile(
        CONTRACT,
        source,
        delivered(("kim", "1", 1)),
        members=groups,
        columns={"source": {"recipient": "mailbox"}, "members": {"list": "address", "who": "mailbox"}},
        as_of=hour(48),
    )
    assert result.verdict == "pass"


ADDRESSES = st.sampled_from(["a", "b", "c", "d", "e"])
HOURS = st.one_of(st.none(), st.integers(0, 4))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(ADDRESSES, ADDRESSES, HOURS, HOURS), max_size=8),
    st.lists(st.lists(ADDRESSES, max_size=3), min_size=1, max_size=4),
    st.integers(0, 4),
)
def test_places_are_those_of_a_dumb_walk(
    rows: list[tuple[str, str, int | None, int | None]], sent: list[list[str]], at: int
) -> None:
    """Walk every path from an address, as far as it goes: its ends are the mailboxes."""

    def ends(address: str, path: tuple[str, ...]) -> set[str]:
        found = set()
        now = [m for g, m, s, u in rows if g == address and (s is None or s <= at) and (u is None or at < u)]
        for member in now:
            if member == address:
                found.add(address)
            elif member not in path:
                found |= ends(member, (*path, member))
        return found if now else {address}

    known = Members(CONTRACT, open_store(members(*rows)), {}, None)
    source = FannedOut(open_store(accepted(*((each, "1", at) for each in sent))), CONTRACT, known, {}, None)
    got = [row for batch in source.stream(["mailbox", "message_id"]) for row in batch["mailbox"].to_pylist()]
    wanted: list[str | None] = []
    for each in sent:
        places: set[str | None] = set()
        for address in each:
            places |= ends(address, (address,)) or {address}
        wanted += places or {None}
    assert sorted(map(str, got)) == sorted(map(str, wanted))


def test_rows_keep_their_other_columns_whatever_their_types() -> None:
    union = pa.UnionArray.from_dense(
        pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array(["x"]), pa.array([1])], ["text", "integer"]
    )
    table = pa.table(
        {"mailbox": [["a", "b"], ["c"]], "message_id": ["1", "2"], "accepted_at": [hour(1), hour(2)], "odd": union}
    )
    source = FannedOut(open_store(table), CONTRACT, Members(CONTRACT, None, {}, None), {}, None)
    got = pa.Table.from_batches(list(source.stream(["odd", "mailbox"])))
    assert got["mailbox"].to_pylist() == ["a", "b", "c"]
    assert got["odd"].to_pylist() == ["x", "x", 1]


def test_what_is_measured_is_expanded_too() -> None:
    groups = members(("all@x", "kim", None, None), ("all@x", "lee", None, None))
    sent = integrity.measure(CONTRACT, accepted((["all@x"], "1", 1)), side="source", members=groups)
    kept = integrity.measure(CONTRACT, delivered(("kim", "1", 1), ("lee", "1", 1)), side="destination")
    assert sent == kept


@pytest.mark.parametrize(
    ("promise", "why"),
    [
        ({"copies": 2}, "of each item several copies may be kept"),
        ({"distinct": True}, "its source may see an item several times"),
    ],
)
def test_totals_are_refused_where_they_could_not_agree(promise: dict[str, Any], why: str) -> None:
    plain = integrity.Contract(name="plain", version=1, identity=["id"], content=["body"], **promise)
    frame = pl.DataFrame({"id": ["1"], "body": ["x"]})
    with pytest.raises(UsageError, match=why):
        integrity.reconcile(plain, integrity.measure(plain, frame, side="source"), frame)


def test_recorded_totals_cannot_climb_a_ladder_and_say_so() -> None:
    ladder = [{"column": "raw", "means": "identical"}, {"column": "body", "means": "alike"}]
    plain = integrity.Contract(name="plain", version=1, identity=["id"], content=["body"], ladder=ladder)
    frame = pl.DataFrame({"id": ["1"], "body": ["x"], "raw": ["r"]})
    result = integrity.reconcile(plain, integrity.measure(plain, frame, side="source"), frame)
    assert (result.verdict, result.ladder) == ("pass", ())
    assert "recorded totals cannot say which rung of the ladder each pair reached" in result.notes
    assert [rung.count for rung in integrity.reconcile(plain, frame, frame).ladder] == [1, 0]
