"""For any two multisets of items the engine says what a dumb reconciler says (:mod:`oracle`), and its books balance.

The alphabets are small on purpose: identities collide, copies abound, event times move, values are NULL or unreadable,
and some batches are open. Every example is checked in full: breaks, counts, totals and verdicts.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

import integrity
from integrity import reconciliation
from integrity.spool import Log, Spool
from integrity.stores import columns as store_columns
from integrity.stores import frames as store_frames
from integrity.windows import parse_duration
from tests import effort
from tests.oracle import COUNTS, EPOCH, US, Expected, Oracle

SECOND = 1_000_000
#: The eve of a clock change in New York, so that local days are not all of one length.
START = (dt.datetime(2024, 3, 9, 5, tzinfo=dt.UTC) - EPOCH) // US


@dataclass
class Case:
    """A contract, two sides, and how to call the engine."""

    contract: integrity.Contract
    source: list[dict[str, Any]]
    destination: list[dict[str, Any]]
    schema: dict[str, Any]
    as_of: int
    outcomes: list[dict[str, Any]] | None = None
    since: int | None = None
    until: int | None = None
    skip: dict[str, str] = field(default_factory=dict)
    grants: list[dict[str, Any]] | None = None
    corrections: list[dict[str, Any]] | None = None

    def expected(self) -> Expected:
        return Oracle(
            self.contract,
            self.source,
            self.destination,
            as_of=self.as_of,
            outcomes=self.outcomes,
            since=self.since,
            until=self.until,
            skip=self.skip,
            grants=self.grants,
            corrections=self.corrections,
        ).expected()

    def reconcile(
        self, source: list[dict[str, Any]] | None = None, destination: list[dict[str, Any]] | None = None
    ) -> integrity.Result:
        outcomes = None
        if self.outcomes is not None:
            names = [*self.contract.identity, "outcome"]
            outcomes = pl.DataFrame(self.outcomes, schema=dict.fromkeys(names, pl.String))
        return integrity.reconcile(
            self.contract,
            self.frame(self.source if source is None else source),
            self.frame(self.destination if destination is None else destination),
            as_of=moment(self.as_of),
            since=None if self.since is None else moment(self.since),
            until=None if self.until is None else moment(self.until),
            outcomes=outcomes,
            skip=self.skip,
            grants=granted(self.grants),
            corrections=granted(self.corrections),
        )

    def frame(self, rows: list[dict[str, Any]]) -> pl.DataFrame:
        return pl.DataFrame(rows, schema=self.schema)


def granted(rows: list[dict[str, Any]] | None) -> pl.DataFrame | None:
    """A store of grants, its moments with their zone."""
    if rows is None:
        return None
    times = dict.fromkeys(("from", "until", "revoked", "departed", "recorded"), pl.Int64)
    texts = dict.fromkeys(("actor", "object", "approver"), pl.String)
    frame = pl.DataFrame(rows, schema={**texts, **times})
    return frame.with_columns(pl.col(name).cast(pl.Datetime("us", "UTC")) for name in times)


def moment(us: int) -> dt.datetime:
    return EPOCH + us * US


# --- what is found, in the oracle's words
# ------------------------------------------------------------------------------------


def micros(value: Any) -> int | None:
    if value is None or pd.isna(value):
        return None
    return (value - EPOCH) // US if isinstance(value, dt.datetime) else value // US


def breaks_of(result: integrity.Result) -> Counter[Any]:
    found: Counter[Any] = Counter()
    for batch in result.iter_breaks():
        for row in batch.to_pylist():
            identity = tuple(row[name] for name in result.contract.identity)
            differing = frozenset(row["differing"].split(", ")) if row["differing"] else frozenset()
            found[row["kind"], identity, micros(row["batch_start"]), differing] += 1
    return found


def batches_of(result: integrity.Result) -> dict[Any, dict[str, Any]]:
    found = {}
    for row in result.batches.to_dict("records"):
        plain = {name: None if pd.isna(value) else value for name, value in row.items()}
        start = micros(plain["batch_start"])
        key = (*(plain[name] for name in result.contract.partition), start)
        assert key not in found, f"batch {key} is there twice"
        found[key] = plain | {name: micros(plain[name]) for name in plain if name.startswith("latency_")}
    return found


def assert_agrees(result: integrity.Result, expected: Expected) -> None:
    """Check breaks, batches, totals and verdicts, and that the books balance."""
    assert breaks_of(result) == expected.breaks
    batches = batches_of(result)
    assert set(batches) == set(expected.batches)
    amounts = [f"{side}_{name}" for name in result.contract.amounts for side in ("source", "destination")]
    exact = [*COUNTS, "source_hash", "destination_hash", "latency_max", *amounts]
    verdicts = ["completeness", "accuracy", "validity", "timeliness", "authorization", "verdict"]
    for key, batch in batches.items():
        wanted = expected.batches[key]
        assert {n: batch[n] for n in exact + verdicts} == {n: wanted[n] for n in exact + verdicts}, f"batch {key}"
        for ratio in ("completeness_ratio", "timeliness_ratio"):
            if wanted[ratio] is None:
                assert batch[ratio] is None, f"batch {key}: {ratio}"
            else:
                assert batch[ratio] == pytest.approx(float(wanted[ratio]), abs=1e-12), f"batch {key}: {ratio}"
        assert_percentiles(batch, sorted(expected.latencies[key]))
    assert {k: result.totals[k] for k in expected.totals} == expected.totals
    assert {a.value: v.value for a, v in result.assertions.items()} == expected.assertions
    assert result.verdict.value == expected.verdict
    assert_balances(result)


def assert_percentiles(batch: dict[str, Any], latencies: list[int]) -> None:
    for name, share in (("latency_p50", Fraction(1, 2)), ("latency_p95", Fraction(95, 100))):
        if not latencies:
            assert batch[name] is None
            continue
        true = latencies[math.ceil(share * len(latencies)) - 1]
        assert abs(batch[name] - true) <= max(true * 0.03, 1), f"{name} {batch[name]} of {latencies}"


def assert_balances(result: integrity.Result) -> None:
    """DESIGN's three equations on what a person sees, and that the summary is the sum of the rows."""
    frame = result.batches
    source = frame[["matched", "corrupt", "unverified", "lost", "accounted", "pending"]].sum(axis=1)
    paired = frame[["matched", "corrupt", "unverified"]].sum(axis=1)
    arrived = paired - frame["moved_out"] + frame["moved_in"] + frame["duplicate"] + frame["extra"]
    assert (frame["source_records"] == source).all()
    assert (frame["destination_records"] == arrived).all()
    kinds = Counter(kind for kind, *_ in breaks_of(result).elements())
    for kind in ("lost", "corrupt", "duplicate", "extra", "invalid", "late", "skewed", "unauthorized"):
        assert kinds[kind] == result.totals[kind] == frame[kind].sum()


# --- any two multisets
# -------------------------------------------------------------------------------------------------------


@st.composite
def cases(draw: st.DrawFn, clock: bool | None = None) -> Case:
    """A contract with some of everything it can promise, and two sides that nearly agree."""
    timed = draw(st.booleans()) if clock is None else clock
    promises: dict[str, Any] = {"name": "law", "version": 1}
    promises["identity"] = draw(
        st.sampled_from(
            [
                {"id": "text"},
                {"id": {"type": "text", "trim": True}},
                {"tenant": "text", "id": "text"},
                {"id": "integer"},
            ]
        )
    )
    if "tenant" in promises["identity"] and draw(st.booleans()):
        promises["partition"] = ["tenant"]
    promises["content"] = draw(
        st.sampled_from(
            [
                {"body": "text"},
                {"body": "text", "n": "integer"},
                {"body": "text", "digest": {"type": "text", "evidence": True}},
                {"digest": {"type": "text", "evidence": True}},
                {"n": {"type": "decimal", "scale": 1}, "body": {"type": "text", "carried": True}},
                {"body": {"type": "text", "carried": True}},
                {},
            ]
        )
    )
    if "n" in promises["content"] and draw(st.booleans()):
        promises["amounts"] = ["n"]
    promises["unique"] = draw(st.booleans())
    if draw(st.integers(0, 3)) == 0:
        side = draw(st.sampled_from(["source", "destination", "both"]))
        promises["exclude"] = [{"name": "noise", "side": side, "where": {"kind": ["noise"]}, "reason": "by design"}]
    with_outcomes = draw(st.integers(0, 2)) == 0
    if with_outcomes:
        promises["outcomes"] = {"accept": ["recalled"]}
    revisions = [name for name in ("n", "body") if name in promises["content"]]
    width, as_of, bounds, skip = 3600 * SECOND, START, (None, None), {}
    events = st.none()
    stamps: Any = pl.String
    if timed:
        width, as_of, bounds, skip = _promise_time(draw, promises, revisions)
        # A window's first and last instant, the next window, one not asked for, one perhaps in the future, none at all.
        edges = [START, START + width - 1, START + width, START + 3 * width // 2, START + 5 * width]
        events = st.sampled_from([START, START, START + 999, *edges, None])
        if draw(st.booleans()):
            stamps = pl.Datetime("us", "UTC")
    if revisions and draw(st.integers(0, 3)) == 0:
        promises["latest_by"] = draw(st.sampled_from(revisions))
    pool = draw(st.lists(_rows(events, as_of, stamps, clean=draw(st.booleans())), min_size=1, max_size=6))
    source = draw(st.lists(st.sampled_from(pool), max_size=8))
    # Either what nearly arrived as it was, or anything.
    kept = st.lists(st.sampled_from(source), max_size=8) if source else st.just([])
    few = st.lists(st.sampled_from(pool), max_size=2)
    nearly = st.tuples(st.integers(0, 2), few).map(lambda change: source[change[0] :] + change[1])
    destination = draw(st.one_of(nearly, kept, st.lists(st.sampled_from(pool), max_size=8)))
    contract = integrity.Contract(**promises)
    outcomes = None
    if with_outcomes:
        ended = st.fixed_dictionaries(
            {"tenant": TENANTS, "id": IDS, "outcome": st.sampled_from(["recalled", "bounced"])}
        )
        names = [*contract.identity, "outcome"]
        outcomes = [{name: row[name] for name in names} for row in draw(st.lists(ended, max_size=3))]
    schema = dict.fromkeys(("tenant", "id", "body", "n", "digest", "kind", "sum", "parts"), pl.String)
    schema |= dict.fromkeys(("sent", "stored", "edited"), stamps)
    return Case(contract, source, destination, schema, as_of, outcomes, *bounds, skip)


def _promise_time(
    draw: st.DrawFn, promises: dict[str, Any], revisions: list[str]
) -> tuple[int, int, tuple[Any, Any], dict[str, str]]:
    clock: dict[str, Any] = {"event": "sent"}
    if draw(st.integers(0, 3)) == 0:
        clock["event"] = {"name": "sent", "unit": "ms"}
    if draw(st.integers(0, 3)):
        clock["processed"] = "stored"
    if draw(st.integers(0, 2)) == 0:
        clock["changed"] = "edited"
        revisions.append("edited")
    promises["clock"] = clock
    promises["window"] = draw(st.sampled_from(["1h", {"every": "1d", "timezone": "America/New_York"}]))
    promises["grace"] = draw(st.sampled_from(["0s", "15m"]))
    skip = {}
    if "processed" in clock and draw(st.booleans()):
        promises["timeliness"] = {"within": "5s", "ratio": draw(st.sampled_from([1, 0.5]))}
        if draw(st.booleans()):
            promises["timeliness"]["never_over"] = "60s"
        if draw(st.integers(0, 5)) == 0:
            skip = {"timeliness": "the clock was replaced"}
    width = 3600 * SECOND if promises["window"] == "1h" else 24 * 3600 * SECOND
    ends = integrity.Contract(**promises).window
    assert ends is not None
    boundaries = [START, ends.end_of(START), ends.end_of(ends.end_of(START))]
    grace = parse_duration(promises["grace"])
    long_after = START + 20 * width
    as_of = draw(st.sampled_from([long_after, long_after, *(b + grace for b in boundaries), boundaries[1] + grace - 1]))
    since = draw(st.sampled_from([None, None, *boundaries[:2]]))
    until = draw(st.sampled_from([None, None, *(b for b in boundaries[1:] if since is None or b > since)]))
    if draw(st.integers(0, 5)) == 0:
        promises["due"] = "window"
    return width, as_of, (since, until), skip


IDS = st.sampled_from(["1", "1", "1", "2", "+1", " 1", "x", None])
TENANTS = st.sampled_from(["a", "a", "b", None])


def _rows(
    events: st.SearchStrategy[int | None], as_of: int, stamps: Any, clean: bool
) -> st.SearchStrategy[dict[str, Any]]:
    """Rows; clean ones break no rule by themselves, so that the other rules get their turn."""
    delays: list[Any] = [0, 1, 5 * SECOND, 5 * SECOND + 1, 61 * SECOND]
    if not clean:
        delays += [-1, None, "future"]

    def stamp(us: int | None) -> Any:
        if stamps is not pl.String:
            return None if us is None else moment(us)
        return "soon" if us is None else moment(us).isoformat()

    @st.composite
    def row(draw: st.DrawFn) -> dict[str, Any]:
        sent, delay = draw(events), draw(st.sampled_from(delays))
        sent = START if clean and sent is None else sent
        stored = as_of + 3 * SECOND if delay == "future" else None if None in (sent, delay) else sent + delay
        return {
            "tenant": draw(st.sampled_from(["a", "b"]) if clean else TENANTS),
            "id": draw(st.sampled_from(["1", "2", "3"]) if clean else IDS),
            "body": draw(st.sampled_from(["p", "q", None])),
            "n": draw(st.sampled_from(["1", "2"] if clean else ["1", "1", "-2", "07", "1.50", "9" * 40, None])),
            "digest": draw(st.sampled_from(["d", "e", None])),
            "sum": draw(st.sampled_from(["m", "M", "k", None])),
            "parts": draw(st.sampled_from(["5:m-2", "7:m-2", "5:k-2", "?:m-2", "?:k-2", None])),
            "kind": draw(st.sampled_from(["note", "note", "noise", None])),
            "sent": stamp(sent),
            "stored": stamp(stored),
            "edited": stamp(draw(st.sampled_from([START, START, as_of - SECOND, as_of, START if clean else None]))),
        }

    return row()


# --- the laws
# ----------------------------------------------------------------------------------------------------------------


@contextmanager
def without_self_test() -> Iterator[None]:
    """The self-test costs more than the rest of so small a run; one law below runs with it, and other tests do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconciliation, "run_self_test", lambda *_: "left out")
        yield


@contextmanager
def on_disk() -> Iterator[None]:
    """Every spool spills at once and every chunk holds two rows, as with more data than fits in memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Spool.__init__, "__defaults__", (0,))
        patch.setattr(Log.__init__, "__defaults__", (0,))
        patch.setattr(store_frames, "CHUNK_ROWS", 2)
        patch.setattr(store_columns, "CHUNK_ROWS", 2)
        yield


def law(examples: int) -> settings:
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=effort.examples(examples), deadline=None, suppress_health_check=slow)


@law(examples=100)
@given(cases(clock=True))
def test_a_timed_run_says_what_the_oracle_says(case: Case) -> None:
    with without_self_test():
        result = case.reconcile()
    event(result.verdict.value)
    note(str(result))
    assert_agrees(result, case.expected())


@law(examples=50)
@given(cases(clock=False))
def test_a_comparison_of_two_snapshots_says_what_the_oracle_says(case: Case) -> None:
    with without_self_test():
        result = case.reconcile()
    note(str(result))
    assert_agrees(result, case.expected())


@law(examples=20)
@given(cases())
def test_more_data_than_memory_changes_nothing(case: Case) -> None:
    with without_self_test(), on_disk():
        assert_agrees(case.reconcile(), case.expected())


@law(examples=20)
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(case: Case, random: Any) -> None:
    with without_self_test():
        first = case.reconcile()
        source, destination = list(case.source), list(case.destination)
        random.shuffle(source)
        random.shuffle(destination)
        second = case.reconcile(source, destination)
    assert breaks_of(first) == breaks_of(second)
    assert batches_of(first) == batches_of(second)
    assert (first.totals, first.assertions, first.verdict) == (second.totals, second.assertions, second.verdict)


@law(examples=20)
@given(cases())
def test_the_self_test_passes_whatever_is_promised_and_changes_nothing(case: Case) -> None:
    """A control that refused to run on odd data would be switched off."""
    result = case.reconcile()
    assert result.self_test.startswith("planted and found ")
    assert_agrees(result, case.expected())


# --- what the laws found, kept as examples ---------------------------------------------------------------------------------------


def _note(identity: str, body: str | None, hour: int, **changes: Any) -> dict[str, Any]:
    stamp = f"2024-03-09T{hour:02d}:00:00+00:00"
    row = {"tenant": "a", "id": identity, "body": body, "n": "1", "digest": "d", "kind": "note"}
    return row | {"sent": stamp, "stored": stamp, "edited": stamp} | changes


def _case(source: list[dict[str, Any]], destination: list[dict[str, Any]], hour: int, **how: Any) -> Case:
    """A case as of an hour of the day; what is no field of it changes the contract."""
    fields = {name: how.pop(name) for name in ("since", "until", "skip", "outcomes") if name in how}
    promises = {"name": "found", "version": 1, "identity": ["id"], "content": {"body": "text"}, "window": "1h"}
    contract = integrity.Contract(
        **promises | {"clock": {"event": "sent", "processed": "stored", "changed": "edited"}} | how
    )
    schema = dict.fromkeys(_note("", "", 0), pl.String)
    return Case(contract, source, destination, schema, START + (hour - 5) * 3600 * SECOND, **fields)


EXAMPLES = {
    # Two copies that nothing tells apart: which is the second, and which of them finds a partner, must be one decision.
    "equal copies": _case(
        [_note("1", None, 5)] * 2, [_note("2", "p", 5), _note("1", "p", 5, sent="soon", stored="soon")], 20
    ),
    # Copies that only their time of change tells apart: the one just edited is the one that is left over.
    "copies of which one is in flight": _case(
        [_note("1", "p", 5, edited="2024-03-09T19:59:59+00:00"), _note("1", "p", 5)], [_note("1", "p", 5)], 20, grace="15m"
    ),
    "a copy of which one is unreadable": _case(
        [_note("1", "p", 5, edited="soon"), _note("1", "p", 5)], [_note("1", "p", 5, stored="soon"), _note("1", "p", 5)], 20,
        unique=False,
    ),
    # The source's batch lies outside the run and is open: that its item moved is for a later run to say.
    "an open batch outside the run": _case(
        [_note("1", "p", 6)], [_note("1", "p", 5)], 6, until=START + 3600 * SECOND
    ),
    # The source lies outside the run, the destination inside: its latency is counted, with the pair.
    "an item drawn in from outside the run": _case(
        [_note("1", "p", 5)], [_note("1", "p", 6, stored="2024-03-09T05:00:01+00:00")], 20, since=START + 3600 * SECOND,
        timeliness={"within": "5s"},
    ),
    "two items from the future, one of them outside the run": _case(
        [_note("1", "p", 8)], [_note("1", "p", 9)], 5, until=START + 4 * 3600 * SECOND
    ),
    # Superseded and excluded rows of batches that agree are counted once.
    "a revision in one batch and noise in another": _case(
        [_note("1", "p", 5), _note("1", "q", 6), _note("2", "p", 7, kind="noise"), _note("3", "p", 8)], [_note("1", "q", 6)], 20,
        latest_by="body", exclude=[{"name": "noise", "where": {"kind": ["noise"]}, "reason": "by design"}],
    ),
    "revisions beyond 128 bits": _case(
        [_note("1", "p", 5, n="1"), _note("1", "p", 5, n="9" * 40), _note("1", "p", 5, n="-" + "9" * 41)],
        [_note("1", "p", 5, n="9" * 40)], 20, content={"n": "integer"}, latest_by="n",
    ),
    "amounts of more than 28 digits": _case(
        [_note("1", "p", 5, n="9" * 40)], [_note("1", "p", 5, n="9" * 40)], 20,
        content={"n": {"type": "decimal", "scale": 1}}, amounts=["n"],
    ),
    # Who skips timeliness still hears of a clock that is wrong.
    "the future where timeliness is skipped": _case(
        [_note("1", "p", 9)], [_note("1", "p", 9)], 5, timeliness={"within": "5s"}, skip={"timeliness": "why"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_the_laws_found(name: str) -> None:
    """Each of them several times and in both orders: some went wrong every other time only."""
    case = EXAMPLES[name]
    expected = case.expected()
    with without_self_test():
        for turn in range(6):
            step = -1 if turn % 2 else 1
            assert_agrees(case.reconcile(case.source[::step], case.destination[::step]), expected)
