"""What does this pipeline promise? And is what cannot be meant refused, with the key and the way out?"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import pickle
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from integrity import contracts
from integrity.contracts import (
    BATCH_COLUMNS,
    BREAK_COLUMNS,
    Assertion,
    Attempts,
    Authorization,
    Clock,
    ClockColumn,
    Column,
    ColumnType,
    Contract,
    Corrections,
    Exclusion,
    Exemption,
    Expected,
    Grants,
    Outcomes,
    Timeliness,
    builtin_contracts,
    contract,
)
from integrity.errors import ContractError, UsageError
from integrity.validity.asked import sound
from integrity.windows import DAY, Window

SECOND = 1_000_000

#: The sample of DESIGN, every key of it.
FULL = """
name: message
version: 1
about: A chat message, from the gateway that accepted it to the archive that keeps it.
identity: {tenant_id: text, room_id: text, message_id: text}
content:
  sender_id: text
  kind: text
  body: {type: text, unicode: NFC, newline: lf, trim: true, casefold: true}
  size_bytes: integer
  price: {type: decimal, scale: 2}
  weight: {type: float, decimals: 3}
  angle: {type: float, exact: true}
  digest: {type: text, evidence: true, carried: true, detail: tree}
  edited_at: {type: timestamp, unit: ms}
amounts: [size_bytes, price]
clock: {event: sent_at, processed: {name: stored_at, unit: s}, changed: {name: edited_at, unit: ms}, skew: 2s}
window: {every: 1d, timezone: Asia/Seoul}
grace: 15m
partition: [tenant_id]
exclude:
  - {name: typing indicators, side: source, where: {kind: [typing, null]}, reason: never stored, by: design}
outcomes: {accept: [recalled, blocked]}
unique: false
latest_by: edited_at
due: window
timeliness: {within: 5s, ratio: 0.999, never_over: 60s, basis: terms of service §7}
authorization:
  actor: sender_id
  object: room_id
  within: /
  approver: approved_by
  grants:
    {actor: member_id, object: room_id, from: joined_at, until: left_at, recorded_at: entered_at,
     revoked_at: taken_back_at, departed_at: left_us_at, approver: granted_by}
  exempt: [{where: {kind: [system]}, reason: written by the service itself}]
corrections:
  actor: changed_by
  object: message_id
  at: changed_at
  within: .
  grants: {actor: engineer, object: ticket, from: opens, until: closes}
attempts: {outcome: status, accepted: [accepted, queued], rejected: [rejected, throttled], reason: why}
validity:
  - expect_column_values_to_be_in_set: {column: kind, value_set: [text, sticker, image, file, system]}
  - expect_column_mean_to_be_between: {column: size_bytes, max_value: 100}
    side: destination
    severity: warning
    over: run
criteria: {set: TSC-2017, completeness: PI1.3, accuracy: PI1.3, timeliness: PI1.3, authorization: PI1.3, validity: PI1.2}
ladder:
  - {column: raw, means: identical in bytes}
  - {column: body, means: the same text}
distinct: true
copies: 2
place: room_id
fan_out: {group: address, member: mailbox, from: since, until: until}
additions: [{name: list prefix, to: subject, text: '[staff] ', reason: the list adds it}]
""".replace("never stored, by: design", "'never stored, by design'")


def small(**more: Any) -> dict[str, Any]:
    """Return the least that a contract says, and more."""
    return {"name": "note", "version": 1, "identity": ["note_id"], **more}


def timed(**more: Any) -> dict[str, Any]:
    return small(clock={"event": "sent_at", "processed": "stored_at"}, **more)


# ---- what is read ------------------------------------------------------------------------------------------


def test_every_key_is_read() -> None:
    read = Contract.from_text(FULL)
    assert (read.name, read.version) == ("message", 1)
    assert read.about.startswith("A chat message")
    assert list(read.identity) == ["message_id", "room_id", "tenant_id"]
    assert list(read.content) == sorted(read.content)
    assert read.columns == {**read.identity, **read.content}
    assert list(read.columns)[:3] == list(read.identity)
    assert read.content["body"] == Column(type=ColumnType.TEXT, unicode="NFC", newline="lf", trim=True, casefold=True)
    assert read.content["price"] == Column(type=ColumnType.DECIMAL, scale=2)
    assert read.content["weight"].decimals == 3
    assert read.content["angle"].exact
    assert (read.content["digest"].evidence, read.content["digest"].carried) == (True, True)
    assert read.amounts == ("size_bytes", "price")
    assert read.clock == Clock(
        event=ClockColumn(name="sent_at"),
        processed=ClockColumn(name="stored_at", unit="s"),
        changed=ClockColumn(name="edited_at", unit="ms"),
        skew=2 * SECOND,
    )
    assert read.window == Window(DAY, "Asia/Seoul")
    assert read.grace == 900 * SECOND
    assert read.partition == ("tenant_id",)
    assert read.exclude == (
        Exclusion(
            name="typing indicators",
            side="source",
            where={"kind": ("typing", None)},
            reason="never stored, by design",
        ),
    )
    assert read.outcomes == Outcomes(accept=("recalled", "blocked"))
    assert (read.unique, read.latest_by, read.due, read.seal) == (False, "edited_at", "window", None)
    assert read.timeliness == Timeliness(
        within=5 * SECOND, ratio=Decimal("0.999"), never_over=60 * SECOND, basis="terms of service §7"
    )
    assert read.authorization == Authorization(
        actor="sender_id",
        object="room_id",
        within="/",
        approver="approved_by",
        grants=Grants(
            actor="member_id",
            object="room_id",
            from_="joined_at",
            until="left_at",
            recorded_at="entered_at",
            revoked_at="taken_back_at",
            departed_at="left_us_at",
            approver="granted_by",
        ),
        exempt=(Exemption(where={"kind": ("system",)}, reason="written by the service itself"),),
    )
    assert read.corrections == Corrections(
        actor="changed_by",
        object="message_id",
        at="changed_at",
        within=".",
        grants=Grants(actor="engineer", object="ticket", from_="opens", until="closes"),
    )
    assert read.attempts == Attempts(
        outcome="status", accepted=("accepted", "queued"), rejected=("rejected", "throttled"), reason="why"
    )
    in_set, mean = read.validity
    assert (in_set.type, in_set.kwargs["column"]) == ("expect_column_values_to_be_in_set", "kind")
    assert (in_set.side, in_set.severity, in_set.over) == (None, "critical", "batch")
    assert (mean.type, mean.kwargs) == ("expect_column_mean_to_be_between", {"column": "size_bytes", "max_value": 100})
    assert (mean.side, mean.severity, mean.over) == ("destination", "warning", "run")
    assert read.criteria is not None
    assert (read.criteria.set, read.criteria.validity) == ("TSC-2017", "PI1.2")


def test_what_is_left_out_promises_nothing() -> None:
    read = Contract(**small())
    assert (read.about, read.content, read.amounts, read.partition, read.exclude) == ("", {}, (), (), ())
    assert (read.clock, read.window, read.grace, read.due, read.latest_by) == (None, None, 0, None, None)
    assert (read.outcomes, read.timeliness, read.authorization, read.criteria) == (None, None, None, None)
    assert (read.corrections, read.attempts) == (None, None)
    assert (read.validity, read.seal, read.unique) == ((), None, True)


def test_a_clock_brings_a_day_a_second_and_carries() -> None:
    read = Contract(**small(clock={"event": "sent_at"}))
    assert read.window == Window(DAY)
    assert read.clock is not None
    assert (read.clock.skew, read.clock.carried, read.clock.event.unit) == (SECOND, True, "us")
    assert (read.clock.processed, read.clock.changed) == (None, None)


@pytest.mark.parametrize("kind", list(ColumnType))
def test_every_type_is_a_word_or_a_mapping(kind: ColumnType) -> None:
    needs = {"decimal": {"scale": 2}, "float": {"exact": True}}.get(kind, {})
    column = Contract.from_dict(small(content={"x": {"type": kind.value, **needs}})).content["x"]
    assert column.type is kind
    if not needs:
        assert Contract.from_dict(small(content={"x": kind.value})).content["x"] == column


@pytest.mark.parametrize(
    ("more", "asserted"),
    [
        ({}, "completeness validity"),
        ({"content": ["body"]}, "completeness accuracy validity"),
        ({"timeliness": {"within": "5s"}}, "completeness validity timeliness"),
        (
            {"authorization": {"actor": "a", "object": "b", "grants": {"actor": "a", "object": "b", "from": "f", "until": "u"}}},
            "completeness validity authorization",
        ),
    ],
)  # fmt: skip
def test_assertions_are_those_that_are_promised(more: dict[str, Any], asserted: str) -> None:
    assert Contract(**timed(**more)).assertions == tuple(map(Assertion, asserted.split()))


def test_all_five_assertions_in_their_order() -> None:
    assert Contract.from_text(FULL).assertions == tuple(Assertion)
    assert [a.value for a in Assertion] == [
        "completeness",
        "accuracy",
        "validity",
        "timeliness",
        "authorization",
    ]


def test_columns_are_in_the_order_of_their_code_points() -> None:
    names = ["é", "z", "Z", "a", "_", "10", "9", "\U0001f600", "\uffff"]
    assert list(Contract(**small(identity=names)).identity) == sorted(names)
    assert list(Contract(**small(identity=names)).identity)[:3] == ["10", "9", "Z"]
    assert list(Contract(**small(content=dict.fromkeys(names, "text"))).content) == sorted(names)


@pytest.mark.parametrize(
    ("written", "ratio"),
    [(0.999, "0.999"), ("0.999", "0.999"), (1, "1"), (1.0, "1"), ("1.000", "1"), (Decimal("0.10"), "0.1"), (1e-7, "0.0000001"), ("0.99999999999999999999", "0.99999999999999999999")],
)  # fmt: skip
def test_a_ratio_is_exact(written: object, ratio: str) -> None:
    read = Contract(**timed(timeliness={"within": "5s", "ratio": written}))
    assert read.timeliness is not None
    assert read.timeliness.ratio == Decimal(ratio)
    assert Contract.from_text(read.to_yaml()).timeliness == read.timeliness


@pytest.mark.parametrize("value", ["typing", ["typing"], ("typing",)])
def test_one_value_is_short_for_a_list_of_it(value: object) -> None:
    read = Contract(**small(exclude=[{"name": "x", "where": {"kind": value}, "reason": "y"}]))
    assert read.exclude[0].where == {"kind": ("typing",)}
    assert read.exclude[0].side == "both"


def test_conditions_are_in_the_order_of_their_columns() -> None:
    read = Contract(**small(exclude=[{"name": "x", "where": {"b": 1, "a": [2, 1]}, "reason": "y"}]))
    assert list(read.exclude[0].where.items()) == [("a", (2, 1)), ("b", (1,))]


def test_both_limits_may_be_the_same() -> None:
    assert Timeliness(within=5, never_over=5).never_over == 5


def test_values_of_a_condition_keep_their_type() -> None:
    text = "{name: n, version: 1, identity: [i], exclude: [{name: x, reason: y, where: {a: [1, '1', true, null, 1.5, on, 2024-01-01, ~]}}]}"
    assert Contract.from_text(text).exclude[0].where["a"] == (
        1,
        "1",
        True,
        None,
        1.5,
        "on",
        "2024-01-01",
        None,
    )
    assert [type(v) for v in Contract.from_text(text).exclude[0].where["a"]][:3] == [int, str, bool]


@pytest.mark.parametrize("grace", [timedelta(minutes=15), 900 * SECOND, "15m"])
def test_in_python_a_duration_is_text_or_a_timedelta_or_microseconds(grace: object) -> None:
    assert Contract(**timed(grace=grace)).grace == 900 * SECOND


@pytest.mark.parametrize("zero", [0, "0s"])
def test_nothing_needs_no_unit(zero: object) -> None:
    assert Contract.from_dict(timed(grace=zero)).grace == 0


def test_the_parts_are_as_good_as_mappings() -> None:
    parts = Contract(
        **small(
            content={"cents": Column(type=ColumnType.INTEGER)},
            clock=Clock(event=ClockColumn(name="sent_at"), processed=ClockColumn(name="stored_at")),
            window=Window(600 * SECOND),
            timeliness=Timeliness(within=5 * SECOND),
        )
    )
    assert parts == Contract(**timed(content={"cents": "integer"}, window="10m", timeliness={"within": "5s"}))


@pytest.mark.parametrize("column", ["event", "processed", "changed"])
def test_a_clock_column_may_be_declared_if_it_reads_the_same(column: str) -> None:
    clock = {"event": "sent_at", column: {"name": "moment", "unit": "ms"}}
    identity = {"note_id": "text", "moment": {"type": "timestamp", "unit": "ms"}}
    assert Contract(**small(identity=identity, clock=clock)).clock is not None


# ---- expectations, grants, corrections, attempts ------------------------------------------------------------

UNIQUE = {"expect_column_values_to_be_unique": {"column": "note_id"}}


@pytest.mark.parametrize(
    "written",
    [
        UNIQUE,
        {**UNIQUE, "severity": "critical", "over": "batch"},
        {"expect_column_values_to_be_unique": {"column": "note_id", "severity": "critical"}},
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "note_id"}},
        {"expectation_type": "expect_column_values_to_be_unique", "kwargs": {"column": "note_id"}, "meta": {"by": "kim"}},
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "note_id"}, "id": "7", "notes": "n", "description": "d", "rendered_content": []},
        Expected(type="expect_column_values_to_be_unique", kwargs={"column": "note_id"}),
    ],
)  # fmt: skip
def test_an_expectation_is_one_however_it_is_written(written: Any) -> None:
    made = Contract(**small(validity=[written]))
    assert made.validity == (Expected(type="expect_column_values_to_be_unique", kwargs={"column": "note_id"}),)
    assert made.sha256 == Contract(**small(validity=[UNIQUE])).sha256
    assert made._form()["validity"] == [UNIQUE]


@pytest.mark.parametrize(
    "written",
    [
        {**UNIQUE, "severity": "info"},
        {"expect_column_values_to_be_unique": {"column": "note_id", "severity": "info"}},
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "note_id"}, "severity": "info"},
        {"expect_column_values_to_be_unique": {"column": "note_id", "severity": "warning"}, "severity": "info"},
    ],
)
def test_how_severe_it_is_may_stand_beside_or_inside(written: dict[str, Any]) -> None:
    (expected,) = Contract(**small(validity=[written])).validity
    assert (expected.severity, expected.kwargs) == ("info", {"column": "note_id"})


def test_an_expectation_may_have_no_arguments() -> None:
    assert Contract.from_text(LEAST + "validity: [{expect_nothing: }]\n").validity[0].kwargs == {}


@pytest.mark.parametrize("key", ["side", "severity", "over"])
def test_what_stands_beside_an_expectation_survives_its_own_yaml(key: str) -> None:
    made = Contract(
        **small(validity=[{**UNIQUE, key: {"side": "both", "severity": "warning", "over": "run"}[key]}, UNIQUE])
    )
    again = Contract.from_text(made.to_yaml())
    assert [getattr(each, key) for each in again.validity] == [getattr(each, key) for each in made.validity]
    assert again.sha256 == made.sha256 != Contract(**small(validity=[UNIQUE, UNIQUE])).sha256


def test_grants_that_know_the_present_only() -> None:
    present = Grants(actor="a", object="o")
    assert (present.begins, present.ends, present.times) == (False, False, {})
    assert Grants(actor="a", object="o", from_="f").begins
    assert Grants(actor="a", object="o", until="u").ends
    assert Grants(actor="a", object="o", revoked_at="r").ends
    assert not Grants(actor="a", object="o", departed_at="d").ends
    times = {"from_": "f", "until": "u", "revoked_at": "r", "departed_at": "d", "recorded_at": "e"}
    assert list(Grants(actor="a", object="o", approver="b", **times).times.values()) == list("furde")


def test_columns_that_a_promise_is_about_may_be_named() -> None:
    named = Contract.from_text(FULL).besides
    assert {"approved_by", "changed_by", "changed_at", "status", "why", "kind", "room_id"} <= named
    assert "" not in named


# ---- one contract, however it is written -------------------------------------------------------------------


def test_the_full_sample_survives_its_own_yaml() -> None:
    read = Contract.from_text(FULL)
    again = Contract.from_text(read.to_yaml())
    assert again == read
    assert again.to_yaml() == read.to_yaml()
    assert list(again.model_dump()) == list(read.model_dump())
    assert again.model_dump() == read.model_dump()


def test_yaml_is_written_the_way_people_write_it() -> None:
    written = Contract.from_text(FULL).to_yaml()
    assert "timeliness: {within: 5s, ratio: 0.999, never_over: 1m, basis: terms of service §7}" in written
    assert "grace: 15m" in written
    assert "room_id: text" in written
    assert "about: A chat message" in written
    assert "unique: false" in written
    assert "carried: true" in written
    assert "side: both" not in written


@settings(deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"])),
    name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(
        lambda n: n.strip() and not n.startswith("__") and n not in BREAK_COLUMNS
    ),
    scalar=st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"])),
    ),
    ratio=st.decimals("0.000001", 1, allow_nan=False),
    within=st.integers(0, 10 * DAY),
)
@example("\x85", ":0", "\x85", Decimal(1), 0)
@example("a  b " * 60, "a, b", " lead", Decimal("0.1"), 1)
@example("x" * 500 + "\n\n " + "y " * 200, "null", "1e3", Decimal("0.1"), 1)
@example("0x1", "- a", "12:30", Decimal("0.1"), 1)
def test_any_contract_survives_its_own_yaml(text: str, name: str, scalar: object, ratio: Decimal, within: int) -> None:
    made = Contract(
        name="note",
        version=7,
        about=text,
        identity=[name],
        clock={"event": "\x85event at".strip(), "processed": "stored at"},
        exclude=[{"name": "x", "where": {name: [scalar, text]}, "reason": "y"}],
        timeliness={"within": within, "ratio": ratio},
        validity=[{"expect": {name: [scalar, {"text": text}]}}],
    )
    again = Contract.from_text(made.to_yaml())
    assert again == made
    assert again.model_dump() == made.model_dump()


@pytest.mark.parametrize(
    "other",
    [
        "# a comment\nname: note # another\nversion: 1\nidentity: [b, a]\nclock: {event: sent_at}\n",
        "clock:\n  event:\n    name: sent_at\nidentity:\n  b: text\n  a:\n    type: text\nversion: 1\nname: 'note'\n",
        '{"version": 1, "name": "note", "identity": {"a": {"type": "text"}, "b": "text"}, "clock": {"event": "sent_at"}}',
        "name: note\nversion: 1\nidentity: [a, b]\nclock: {event: sent_at, carried: true, skew: 1s}\nwindow: 24h\n",
        "name: note\nversion: 1\nidentity: [a, b]\nclock: {event: {name: sent_at, unit: us}, processed: null}\ngrace: 0s\n",
        "name: note\nversion: 1\nidentity: [a, b]\nclock: {event: sent_at, skew: 1000ms}\nunique: true\nvalidity: []\n",
        "name: note\nversion: 1\nidentity: {a: {type: text, trim: false}, b: text}\nclock: {event: sent_at}\nabout: ''\n",
        "\ufeff%YAML 1.2\n---\nname: note\nversion: 0x1\nidentity: [a, b]\nclock: {event: sent_at}\nwindow: {every: 1d}\n...\n",
    ],
)
def test_how_it_is_written_does_not_change_the_hash(other: str, tmp_path: Path) -> None:
    plain = Contract(name="note", version=1, identity=["a", "b"], clock={"event": "sent_at"})
    file = tmp_path / "note.yaml"
    file.write_text(other, encoding="utf-8")
    read = Contract.from_yaml(file)
    assert read.sha256 == plain.sha256
    assert read == plain
    assert hash(read) == hash(plain)


def test_the_hash_is_of_canonical_json() -> None:
    canonical = '{"about":"é","identity":{"a":"text"},"name":"note","version":1}'
    made = Contract(name="note", version=1, identity=["a"], about="é")
    assert made.sha256 == hashlib.sha256(canonical.encode()).hexdigest()


def test_old_hashes_stand() -> None:
    """A result of last year names these. If this fails, a promise that was in force can no longer be found."""
    assert Contract(**small()).sha256 == "9743a272613111c97bc1e550abcbf416137fbd0407ad17f1c790a2fbddaaf29b"
    second = {key: value for key, value in WRITTEN.items() if key not in ("corrections", "attempts")}
    second |= {"authorization": dict(WRITTEN["authorization"]), "validity": WRITTEN["validity"][:1]}
    for key in ("within", "approver"):
        del second["authorization"][key]
    named = ("actor", "object", "from", "until", "recorded_at")
    second["authorization"]["grants"] = {key: WRITTEN["authorization"]["grants"][key] for key in named}
    assert sealed(Contract.from_dict(second)) == "8ad76cba28d72143e96f26754579c96935b8ec3e05dddcf106891270553df589"
    newer = ("distinct", "ladder", "copies", "place", "fan_out", "additions")
    first = {key: value for key, value in second.items() if key not in newer}
    first["content"] = changed("content.digest.detail", None)["content"]
    assert sealed(Contract.from_dict(first)) == "b4981f3688b87546908f68a1e18018ca79e69b52e27cb7cb8902e14b8e03a916"
    assert sealed(Contract.from_text(FULL)) == "04f1941211aa8b8066bc50f118e798b9b5b127d59005da3060056bb6dde2dc2e"


def sealed(contract: Contract) -> str:
    """The hash that it would have with a seal, which such a contract could name before seals were compared."""
    form = json.loads(contract.canonical) | {"seal": "merkle"}
    text = json.dumps(form, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


#: One change to each promise of the full sample: the key, and its new value.
CHANGES: list[tuple[str, Any]] = [
    ("name", "other"),
    ("version", 2),
    ("about", "Other."),
    ("identity", {"tenant_id": "text", "room_id": "text", "message_id": "integer"}),
    ("identity", {"tenant_id": "text", "room_id": "text", "message_id": "text", "part": "text"}),
    ("content.sender_id", "uuid"),
    ("content.body.unicode", None),
    ("content.body.newline", None),
    ("content.body.trim", False),
    ("content.body.casefold", False),
    ("content.price.scale", 3),
    ("content.weight.decimals", 4),
    ("content.weight", {"type": "float", "exact": True}),
    ("content.digest.evidence", False),
    ("content.digest.carried", False),
    ("content.digest.fresh", True),
    ("content.kind", {"type": "text", "optional": True}),
    ("content.digest.detail", "leaves"),
    ("content.digest.detail", None),
    ("ladder", []),
    ("ladder.0.column", "octets"),
    ("ladder.0.means", "other"),
    ("distinct", False),
    ("copies", 3),
    ("copies", 1),
    ("place", "message_id"),
    ("fan_out", None),
    ("fan_out.group", "other"),
    ("fan_out.member", "other"),
    ("fan_out.from", None),
    ("fan_out.until", None),
    ("additions", []),
    ("additions.0.name", "other"),
    ("additions.0.to", "text/plain"),
    ("additions.0.text", "[all] "),
    ("additions.0.reason", "other"),
    ("content.more", "text"),
    ("amounts", ["size_bytes"]),
    ("amounts", ["price", "size_bytes"]),
    ("clock.event", "happened_at"),
    ("clock.event", {"name": "sent_at", "unit": "ms"}),
    ("clock.processed.name", "kept_at"),
    ("clock.processed.unit", "us"),
    ("clock.carried", False),
    ("clock.skew", "3s"),
    ("window.every", "2d"),
    ("window.timezone", "Asia/Tokyo"),
    ("window.timezone", None),
    ("grace", "16m"),
    ("partition", ["room_id"]),
    ("partition", []),
    ("exclude", []),
    ("exclude.0.name", "other"),
    ("exclude.0.side", "both"),
    ("exclude.0.where", {"kind": ["typing"]}),
    ("exclude.0.where", {"kind": ["typing", "null"]}),
    ("exclude.0.reason", "other"),
    ("outcomes", None),
    ("outcomes.accept", ["recalled"]),
    ("unique", True),
    ("latest_by", "size_bytes"),
    ("due", None),
    ("timeliness", None),
    ("timeliness.within", "6s"),
    ("timeliness.ratio", 0.9999),
    ("timeliness.never_over", "61s"),
    ("timeliness.never_over", None),
    ("timeliness.basis", "other"),
    ("authorization", None),
    ("authorization.actor", "kind"),
    ("authorization.object", "tenant_id"),
    ("authorization.grants.actor", "other"),
    ("authorization.grants.object", "other"),
    ("authorization.grants.from", "other"),
    ("authorization.grants.until", "other"),
    ("authorization.grants.from", None),
    ("authorization.grants.until", None),
    ("authorization.grants.recorded_at", None),
    ("authorization.grants.revoked_at", None),
    ("authorization.grants.revoked_at", "other"),
    ("authorization.grants.departed_at", None),
    ("authorization.grants.departed_at", "other"),
    ("authorization.grants.approver", None),
    ("authorization.grants.approver", "other"),
    ("authorization.within", None),
    ("authorization.within", "."),
    ("authorization.approver", None),
    ("authorization.approver", "other"),
    ("authorization.exempt", []),
    ("authorization.exempt.0.where", {"kind": ["robot"]}),
    ("authorization.exempt.0.reason", "other"),
    ("validity", []),
    ("validity.0.expect_column_values_to_be_in_set.value_set", ["text"]),
    *((f"validity.0.{key}", value) for key, value in (("side", "source"), ("severity", "info"), ("over", "run"))),
    ("validity.1.side", "both"),
    ("validity.1.severity", "critical"),
    ("validity.1.over", "batch"),
    ("validity.1.expect_column_mean_to_be_between.max_value", 100.0),
    ("corrections", None),
    ("corrections.actor", "other"),
    ("corrections.object", "other"),
    ("corrections.at", None),
    ("corrections.at", "other"),
    ("corrections.within", None),
    ("corrections.within", "/"),
    *((f"corrections.grants.{key}", "other") for key in ("actor", "object", "from", "until", "revoked_at")),
    ("attempts", None),
    ("attempts.outcome", "other"),
    ("attempts.accepted", ["accepted"]),
    ("attempts.rejected", ["rejected"]),
    ("attempts.reason", None),
    ("attempts.reason", "other"),
    ("criteria", None),
    ("criteria.set", "other"),
    *((f"criteria.{assertion}", "other") for assertion in Assertion),
]


def changed(key: str, value: Any) -> dict[str, Any]:
    written = copy.deepcopy(WRITTEN)
    *path, last = key.split(".")
    holder: Any = written
    for part in path:
        holder = holder[int(part)] if isinstance(holder, list) else holder[part]
    holder[last] = value
    return written


WRITTEN: dict[str, Any] = Contract.from_text(FULL)._form()


@pytest.mark.parametrize(("key", "value"), CHANGES, ids=[f"{key}={value}" for key, value in CHANGES])
def test_every_promise_changes_the_hash(key: str, value: Any) -> None:
    full = Contract.from_dict(WRITTEN)
    assert full == Contract.from_text(FULL)
    other = Contract.from_dict(changed(key, value))
    assert other.sha256 != full.sha256
    assert other != full


def test_no_promise_was_forgotten_above() -> None:
    # What is said without a clock has no place in a sample with one, nor has a seal where items are joined.
    assert Contract(**small(seal="merkle")).sha256 != Contract(**small()).sha256
    assert {key.split(".")[0] for key, _ in CHANGES} | {"changed", "seal"} == set(Contract.model_fields)
    assert Contract(**small(changed="at")).sha256 != Contract(**small()).sha256
    assert Contract(**small(changed="at", grace="1m")).sha256 != Contract(**small(changed="at")).sha256


def test_true_is_not_one() -> None:
    def made(value: object) -> Contract:
        return Contract(**small(exclude=[{"name": "x", "where": {"a": value}, "reason": "y"}]))

    assert len({made(True).sha256, made(1).sha256, made("1").sha256, made(1.0).sha256, made(None).sha256}) == 5
    assert made(True) != made(1)
    assert made(1) != "made"


def test_a_contract_cannot_be_changed_and_can_be_sent() -> None:
    full = Contract.from_text(FULL)
    with pytest.raises(ValidationError):
        full.version = 2
    assert pickle.loads(pickle.dumps(full)) == full  # noqa: S301 - our own bytes
    assert copy.deepcopy(full) == full
    assert len({full, copy.deepcopy(full), Contract(**small())}) == 2


# ---- what is refused ---------------------------------------------------------------------------------------

FLOAT = "write {type: float, decimals: 6} or {type: float, exact: true}"

#: What is written beside the least, the key that the message names, and what it says besides: above all the way out.
REFUSED: list[tuple[dict[str, Any], str, list[str]]] = [
    # plain values
    ({"name": "Note"}, "name", ["cannot be 'Note'", "write lower-case letters", "such as chat-message"]),
    ({"name": "note\n"}, "name", ["write lower-case letters"]),
    ({"name": "-note"}, "name", ["write lower-case letters"]),
    ({"name": ""}, "name", ["write lower-case letters"]),
    ({"name": 5}, "name", ["cannot be 5", "write lower-case letters"]),
    ({"name": None}, "name", ["cannot be nothing"]),
    ({"version": 0}, "version", ["is at least 1, not 0", "write 1"]),
    ({"version": "1"}, "version", ["is a whole number, not '1'", "without quotes"]),
    ({"version": 1.0}, "version", ["is a whole number, not 1.0"]),
    ({"version": True}, "version", ["is a whole number, not True"]),
    ({"about": 5}, "about", ["is text, not 5", "write it in quotes"]),
    ({"about": "\ud800"}, "about", ["holds half a character", "remove it"]),
    ({"unique": "yes"}, "unique", ["is true or false, not 'yes'", "write true or false, without quotes"]),
    ({"unique": 1}, "unique", ["is true or false, not 1"]),
    ({"seal": "merkel"}, "seal", ["cannot be 'merkel'", "write 'merkle'"]),
    ({"due": "always"}, "due", ["cannot be 'always'", "write 'window'"]),
    # unknown keys
    ({"clok": {}}, "clok", ["there is no such key", "did you mean 'clock'?"]),
    ({"content": {"b": {"type": "text", "trimm": True}}}, "content.b.trimm", ["did you mean 'trim'?"]),
    ({"clock": {"event": "e", "procesed": "p"}}, "clock.procesed", ["did you mean 'processed'?"]),
    ({"clock": {"event": {"name": "e", "units": "s"}}}, "clock.event.units", ["did you mean 'unit'?"]),
    ({"window": {"evry": "1d"}}, "window.evry", ["there is no such key", "did you mean 'every'?"]),
    ({"exclude": [{"nam": 1}]}, "exclude[0].nam", ["did you mean 'name'?", "and 3 more problems"]),
    # columns
    ({"identity": []}, "identity", ["names no column", "write for example [message_id]"]),
    ({"identity": {}}, "identity", ["names no column"]),
    ({"identity": "note_id"}, "identity", ["is a mapping of columns to types, not 'note_id'", "write for example {message_id: text}"]),
    ({"identity": None}, "identity", ["not nothing"]),
    ({"identity": ["a", "a"]}, "identity", ["column 'a' is listed twice", "list it once"]),
    ({"identity": [5]}, "identity", ["is text, not 5", "write it in quotes"]),
    ({"identity": {5: "text"}}, "identity", ["is text, not 5", "write it in quotes"]),
    ({"identity": [""]}, "identity", ["is empty"]),
    ({"identity": ["__id"]}, "identity", ["begin with '__'", "'__id' does", "call it 'id' in the contract", "columns="]),
    ({"identity": ["a\x00b"]}, "identity", ["holds a control character", "remove it"]),
    ({"content": {"__b": "text"}}, "content", ["kept for the engine", "call it 'b'"]),
    ({"content": {"b": "txet"}}, "content.b.type", ["there is no column type 'txet'", "did you mean 'text'?"]),
    ({"content": {"b": "varchar"}}, "content.b.type", ["did you mean 'text'?"]),
    ({"content": {"b": "DateTime"}}, "content.b.type", ["did you mean 'timestamp'?"]),
    ({"content": {"b": "quark"}}, "content.b.type", ["there are 'binary', 'boolean'"]),
    ({"content": {"b": {"type": 5}}}, "content.b.type", ["a column type is a word, not 5", "write text, integer"]),
    ({"content": {"b": {}}}, "content.b.type", ["is required, and missing", "write for example type: text"]),
    ({"content": {"b": None}}, "content.b", ["is a mapping, not nothing", "write for example content: {body: text}"]),
    ({"content": {"b": ["text"]}}, "content.b", ["is a mapping, not ['text']", "write for example"]),
    ({"content": {"b": "decimal"}}, "content.b.scale", ["a decimal needs its scale", "write {type: decimal, scale: 2}"]),
    ({"content": {"b": {"type": "decimal", "scale": 39}}}, "content.b.scale", ["is at most 38, not 39", "write 38"]),
    ({"content": {"b": {"type": "decimal", "scale": -1}}}, "content.b.scale", ["is at least 0, not -1"]),
    ({"content": {"b": {"type": "decimal", "scale": "2"}}}, "content.b.scale", ["is a whole number, not '2'"]),
    ({"content": {"b": "float"}}, "content.b", ["either rounded or bit by bit", FLOAT]),
    ({"content": {"b": {"type": "float", "decimals": 2, "exact": True}}}, "content.b", [FLOAT]),
    ({"content": {"b": {"type": "float", "exact": False}}}, "content.b", [FLOAT]),
    ({"content": {"b": {"type": "float", "decimals": 39}}}, "content.b.decimals", ["is at most 38"]),
    ({"content": {"b": {"type": "text", "unicode": "NFD"}}}, "content.b.unicode", ["cannot be 'NFD'", "write 'NFC'"]),
    ({"content": {"b": {"type": "text", "newline": "crlf"}}}, "content.b.newline", ["write 'lf'"]),
    ({"content": {"b": {"type": "timestamp", "unit": "ns"}}}, "content.b.unit", ["cannot be 'ns'", "write 'us', 'ms' or 's'"]),
    *(
        ({"content": {"b": {"type": "uuid", option: value}}}, f"content.b.{option}", [f"is an option of {kind}, not of uuid", "leave it out"])
        for option, value, kind in [
            ("unicode", "NFC", "text"), ("newline", "lf", "text"), ("trim", True, "text"), ("casefold", True, "text"),
            ("unit", "ms", "timestamp"), ("scale", 2, "decimal"), ("decimals", 0, "float"), ("exact", True, "float"),
        ]
    ),
    ({"identity": {"a": {"type": "text", "evidence": True}}}, "identity.a.evidence", ["said of content columns only", "leave it out"]),
    ({"identity": {"a": {"type": "text", "carried": True}}}, "identity.a.carried", ["said of content columns only", "leave it out"]),
    ({"identity": {"a": {"type": "text", "detail": "b"}}}, "identity.a.detail", ["said of content columns only"]),
    ({"content": {"b": {"type": "text", "detail": "note_id"}}}, "content.b.detail", ["'note_id' is compared itself", "only describes"]),
    ({"content": ["note_id"]}, "content.note_id", ["is an identity column too", "leave it out of content"]),
    # what may happen on the way
    ({"ladder": [{"column": "raw"}]}, "ladder[0].means", ["is required, and missing", "identical in bytes"]),
    ({"ladder": [{"column": "raw", "means": "m"}]}, "ladder[0]", ["'raw' is the last rung, and not what is compared", "declare raw under content"]),
    ({"content": ["a", "b"], "ladder": [{"column": "a", "means": "m"}, {"column": "b", "means": "n"}]}, "ladder[0]", ["'a' is compared, so no pair could reach a weaker rung"]),
    ({"content": ["a"], "ladder": [{"column": "a", "means": "m"}] * 2}, "ladder[1]", ["is there twice"]),
    ({"copies": 0}, "copies", ["is at least 1, not 0"]),
    ({"copies": True}, "copies", ["is a whole number"]),
    ({"content": {"a": {"type": "text", "evidence": True}, "b": "text"}, "ladder": [{"column": "a", "means": "m"}, {"column": "b", "means": "n"}]}, "ladder[1]", ["'b' is compared anyway, so it is no rung beside 'a'", "leave it out"]),
    ({"content": ["a"], "ladder": [{"column": "a", "means": "m"}, {"column": "c", "means": "n"}]}, "ladder[0]", ["'a' is compared, so no pair could reach a weaker rung", "mark a as evidence: true"]),
    ({"content": {"a": {"type": "text", "optional": True}}}, "content", ["would then be equal to anything", "leave optional out"]),
    ({"content": {"a": {"type": "text", "optional": True, "evidence": True}}}, "content.a.optional", ["leave one of the two out"]),
    ({"content": {"a": {"type": "text", "fresh": True}}}, "content.a.fresh", ["is said of evidence only"]),
    ({"identity": {"note_id": {"type": "text", "optional": True}}}, "identity.note_id.optional", ["is said of content columns only"]),
    ({"changed": "at", "clock": {"event": "e"}}, "changed", ["is said by the clock", "write it as clock.changed"]),
    ({"changed": "at", "content": {"at": "text"}}, "changed", ["'at' is a time in us here", "declare it there as {type: timestamp, unit: us}"]),
    ({"grace": "1m"}, "grace", ["needs a clock"]),
    ({"place": "mailbox"}, "place", ["'mailbox' is not an identity column"]),
    ({"place": "note_id"}, "place", ["leaves nothing to tell items by"]),
    ({"fan_out": {"group": "g", "member": "m"}}, "fan_out", ["needs to know what it expands", "place:"]),
    ({"identity": ["a", "b"], "place": "a", "fan_out": {"group": "g", "member": "g"}}, "fan_out.member", ["is the group too"]),
    ({"identity": ["a", "b"], "place": "a", "fan_out": {"group": "g", "member": "m", "from": "f"}}, "fan_out", ["needs a clock"]),
    ({"additions": [{"name": "n", "to": "Subject", "text": "x", "reason": "r"}]}, "additions[0].to", ["is a header's name or a text type in lower case", "write subject or text/plain"]),
    ({"additions": [{"name": "n", "to": "subject", "text": "x", "reason": "r"}] * 2}, "additions[1]", ["is there twice"]),
    # amounts and partition
    ({"amounts": "size"}, "amounts", ["is a list, not 'size'", "write [size]"]),
    ({"amounts": {"size": 1}}, "amounts", ["is a list, not {'size': 1}", "write [first, second]"]),
    ({"amounts": {"size"}}, "amounts", ["is a list"]),
    ({"content": {"size": "integer"}, "amounts": ["sise"]}, "amounts[0]", ["there is no column 'sise'", "did you mean 'size'?"]),
    ({"amounts": ["note_id"]}, "amounts[0]", ["'note_id' is text", "declare note_id as integer or decimal"]),
    ({"content": {"w": {"type": "float", "exact": True}}, "amounts": ["w"]}, "amounts[0]", ["'w' is float"]),
    ({"content": {"n": "integer"}, "amounts": ["n", "n"]}, "amounts[1]", ["'n' is there twice", "remove it"]),
    ({"partition": ["room"]}, "partition[0]", ["'room' is not an identity column", "there are 'note_id'"]),
    ({"content": ["room"], "partition": ["room"]}, "partition[0]", ["is not an identity column"]),
    ({"partition": ["note_id", "note_id"]}, "partition[1]", ["is there twice"]),
    # reserved names
    ({"identity": ["kind"]}, "identity.kind", ["identity column 'kind' is also a column of result.breaks; call it 'item_kind' in the contract and map it: columns={'source': {'kind': 'item_kind'}}"]),
    ({"identity": ["verdict"], "partition": ["verdict"]}, "partition[0]", ["partition column 'verdict' is also a column of result.batches; call it 'item_verdict'", "columns={'source': {'verdict': 'item_verdict'}}"]),
    ({"identity": ["source_n"], "content": {"n": "integer"}, "amounts": ["n"], "partition": ["source_n"]}, "partition[0]", ["also a column of result.batches", "'item_source_n'"]),
    ({"content": {"records": "integer"}, "amounts": ["records"]}, "amounts[0]", ["amount 'records' would be summed as 'source_records', which is also a column of result.batches; call it 'item_records'", "columns={'source': {'records': 'item_records'}}"]),
    # the clock and what needs it
    ({"clock": "sent_at"}, "clock", ["is a mapping, not 'sent_at'", "write for example clock: {event: sent_at, processed: stored_at}"]),
    ({"clock": {}}, "clock.event", ["is required, and missing", "write for example event: sent_at"]),
    ({"clock": {"event": 5}}, "clock.event", ["is a mapping, not 5", "write for example event: sent_at"]),
    ({"clock": {"event": {"unit": "s"}}}, "clock.event.name", ["is required, and missing", "write for example name: sent_at"]),
    ({"clock": {"event": "__t"}}, "clock.event.name", ["kept for the engine"]),
    ({"clock": {"event": "e", "processed": "e"}}, "clock.processed", ["every latency would be zero", "name the destination's own column"]),
    ({"clock": {"event": "e", "skew": "fast"}}, "clock.skew", ["'fast' is not a duration", "such as 10m"]),
    ({"clock": {"event": "e", "carried": "no"}}, "clock.carried", ["is true or false"]),
    ({"clock": {"event": "e"}, "content": ["e"]}, "content.e", ["is compared as the event time already", "take it out of content"]),
    ({"clock": {"event": "e", "processed": "p"}, "content": ["p"]}, "content.p", ["is the destination's own time already", "take it out of content"]),
    ({"clock": {"event": "e", "changed": "c"}, "content": ["c"]}, "clock.changed", ["'c' is a time in us here, and not so under content", "declare it there as {type: timestamp, unit: us}"]),
    ({"clock": {"event": "e", "changed": {"name": "c", "unit": "s"}}, "content": {"c": "timestamp"}}, "clock.changed", ["unit: s}"]),
    ({"clock": {"event": "e"}, "identity": ["e"]}, "clock.event", ["not so under identity", "{type: timestamp, unit: us}"]),
    ({"clock": {"event": "e", "carried": False}, "identity": {"e": "timestamp"}}, "clock.carried", ["does not carry 'e'", "take it out of identity"]),
    ({"window": "10m"}, "window", ["needs a clock", "add for example clock: {event: sent_at}"]),
    ({"grace": "10m"}, "grace", ["needs a clock"]),
    ({"due": "window"}, "due", ["needs a clock"]),
    ({"timeliness": {"within": "5s"}}, "timeliness", ["needs a clock"]),
    ({"authorization": {"actor": "a", "object": "o", "grants": {"actor": "a", "object": "o", "from": "f", "until": "u"}}}, "authorization", ["needs a clock"]),
    ({"clock": {"event": "e"}, "timeliness": {"within": "5s"}}, "timeliness", ["when the destination had an item", "clock: {event: sent_at, processed: stored_at}"]),
    ({"clock": {"event": "e"}, "window": "10"}, "window", ["'10' is not a duration", "such as 10m"]),
    ({"clock": {"event": "e"}, "window": 10}, "window", ["10 has no unit", "such as 10s"]),
    ({"clock": {"event": "e"}, "window": "0s"}, "window", ["cannot be 0 microseconds long"]),
    ({"clock": {"event": "e"}, "window": {"timezone": "UTC"}}, "window.every", ["is required, and missing", "every: 1d"]),
    ({"clock": {"event": "e"}, "window": {"every": "1h", "timezone": "UTC"}}, "window", ["whole days, not 1h", "write for example 1d"]),
    ({"clock": {"event": "e"}, "window": {"every": "1d", "timezone": "Asia/Soul"}}, "window", ["did you mean 'Asia/Seoul'?"]),
    ({"clock": {"event": "e"}, "grace": 15}, "grace", ["15 has no unit", "write it with one, such as 15s"]),
    ({"clock": {"event": "e"}, "grace": True}, "grace", ["True is not a duration"]),
    ({"clock": {"event": "e"}, "grace": timedelta(seconds=-1)}, "grace", ["never negative"]),
    ({"latest_by": "edited_at"}, "latest_by", ["neither a content column nor the clock's changed column", "declare edited_at under content or as clock.changed"]),
    ({"latest_by": "note_id"}, "latest_by", ["neither a content column"]),
    # exclusions and outcomes
    ({"exclude": {"name": "x"}}, "exclude", ["is a list"]),
    ({"exclude": ["typing"]}, "exclude[0]", ["is a mapping, not 'typing'", "write for example exclude: [{name: typing indicators"]),
    ({"exclude": [{"where": {"a": 1}, "reason": "r"}]}, "exclude[0].name", ["is required, and missing", "name: typing indicators"]),
    ({"exclude": [{"name": "x", "where": {"a": 1}}]}, "exclude[0].reason", ["is required, and missing", "reason: never stored, by design"]),
    ({"exclude": [{"name": "x", "where": {"a": 1}, "reason": " "}]}, "exclude[0].reason", ["is empty"]),
    ({"exclude": [{"name": "x", "reason": "r"}]}, "exclude[0].where", ["is required, and missing", "where: {kind: [typing]}"]),
    ({"exclude": [{"name": "x", "where": {}, "reason": "r"}]}, "exclude[0].where", ["would hold for every item", "{kind: [typing]}"]),
    ({"exclude": [{"name": "x", "where": "kind", "reason": "r"}]}, "exclude[0].where", ["is a mapping of columns to values, not 'kind'"]),
    ({"exclude": [{"name": "x", "where": {"a": []}, "reason": "r"}]}, "exclude[0].where.a", ["would hold for no item", "list a value"]),
    ({"exclude": [{"name": "x", "where": {"a": [{}]}, "reason": "r"}]}, "exclude[0].where.a", ["{} is not a plain value", "in quotes"]),
    ({"exclude": [{"name": "x", "where": {"a": float("nan")}, "reason": "r"}]}, "exclude[0].where.a", ["nan is not a plain value"]),
    ({"exclude": [{"name": "x", "where": {"a": Decimal(1)}, "reason": "r"}]}, "exclude[0].where.a", ["not a plain value"]),
    ({"exclude": [{"name": "x", "where": {"__a": 1}, "reason": "r"}]}, "exclude[0].where", ["kept for the engine"]),
    ({"exclude": [{"name": "x", "side": "sorce", "where": {"a": 1}, "reason": "r"}]}, "exclude[0].side", ["cannot be 'sorce'", "write 'source', 'destination' or 'both'"]),
    ({"exclude": [{"name": "x", "where": {"a": 1}, "reason": "r"}] * 2}, "exclude[1]", ["'x' is there twice", "rename one of the two"]),
    ({"outcomes": ["recalled"]}, "outcomes", ["is a mapping", "write for example outcomes: {accept: [recalled, blocked]}"]),
    ({"outcomes": {"accept": []}}, "outcomes.accept", ["lists no outcome", "write for example [recalled, blocked]"]),
    ({"outcomes": {"accept": "recalled"}}, "outcomes.accept", ["write [recalled]"]),
    ({"outcomes": {"accept": ["a", "a"]}}, "outcomes.accept[1]", ["'a' is there twice"]),
    ({"outcomes": {"accept": [5]}}, "outcomes.accept[0]", ["is text, not 5"]),
    # timeliness
    ({"timeliness": "5s"}, "timeliness", ["is a mapping, not '5s'", "write for example timeliness: {within: 5s, ratio: 0.999}"]),
    ({"timeliness": {}}, "timeliness.within", ["is required, and missing", "within: 5s"]),
    ({"timeliness": {"within": "5 seconds"}}, "timeliness.within", ["'5 seconds' is not a duration"]),
    *(
        ({"timeliness": {"within": "5s", "ratio": ratio}}, "timeliness.ratio", ["is a share above 0 and at most 1", "write 0.999 for 99.9 percent"])
        for ratio in [0, 0.0, -0.5, 99.9, 1.001, "99.9%", "", ".5", "1e-3", True, None, [1], float("nan"), float("inf"), Decimal("NaN"), "٠.٥"]
    ),
    ({"clock": {"event": "e", "processed": "p"}, "timeliness": {"within": "5s", "never_over": "4s"}}, "timeliness.never_over", ["4s is shorter than within: 5s", "the longer of the two"]),
    # authorization
    ({"authorization": {}}, "authorization.actor", ["is required, and missing", "actor: sender_id"]),
    ({"authorization": {"actor": "a", "object": "o"}}, "authorization.grants", ["grants: {actor: member_id, object: room_id, from: joined_at, until: left_at}"]),
    ({"authorization": {"actor": "a", "object": "o", "grants": {"object": "o"}}}, "authorization.grants.actor", ["is required, and missing", "actor: member_id"]),
    ({"authorization": {"actor": "a", "object": "o", "grants": {"actor": "a"}}}, "authorization.grants.object", ["is required, and missing", "object: room_id"]),
    ({"authorization": {"actor": "a", "object": "o", "grants": ["a", "o"]}}, "authorization.grants", ["is a mapping", "{actor: member_id, object: room_id"]),
    *(
        ({"authorization": {"actor": "a", "object": "o", "grants": {"actor": "a", "object": "o", key: 5}}}, f"authorization.grants.{key}", ["is text, not 5", "in quotes"])
        for key in ("from", "until", "revoked_at", "departed_at", "recorded_at", "approver")
    ),
    ({"authorization": {"actor": "a", "object": "o", "grants": {"actor": "a", "object": "o", "revoked": "r"}}}, "authorization.grants.revoked", ["did you mean 'revoked_at'?"]),
    ({"authorization": {"actor": "a", "object": "o", "within": "", "grants": {"actor": "a", "object": "o"}}}, "authorization.within", ["is empty"]),
    ({"authorization": {"actor": "a", "object": "o", "within": 5, "grants": {"actor": "a", "object": "o"}}}, "authorization.within", ["is text, not 5"]),
    ({"authorization": {"actor": "a", "object": "o", "aprover": "p", "grants": {"actor": "a", "object": "o"}}}, "authorization.aprover", ["did you mean 'approver'?"]),
    ({"authorization": {"actor": "a", "object": "o", "approver": "__p", "grants": {"actor": "a", "object": "o"}}}, "authorization.approver", ["kept for the engine"]),
    ({"authorization": {"actor": "a", "object": "o", "grants": {"actor": "a", "object": "o"}}}, "authorization", ["needs a clock", "clock: {event: sent_at}"]),
    ({"authorization": {"actor": "a", "object": "o", "grants": {"actor": "a", "object": "o", "from": "f", "until": "u", "untill": "u"}}}, "authorization.grants.untill", ["did you mean 'until'?"]),
    ({"authorization": {"actor": "a", "object": "o", "grants": {"actor": "a", "object": "o", "from": "f", "until": "u"}, "exempt": [{"reason": "r"}]}}, "authorization.exempt[0].where", ["where: {kind: [system]}"]),
    # corrections and attempts
    ({"corrections": "changed_by"}, "corrections", ["is a mapping, not 'changed_by'", "actor: changed_by"]),
    ({"corrections": {}}, "corrections.actor", ["is required, and missing", "actor: changed_by"]),
    ({"corrections": {"actor": "a"}}, "corrections.object", ["is required, and missing", "object: message_id"]),
    ({"corrections": {"actor": "a", "object": "o"}}, "corrections.grants", ["is required, and missing", "opens, until: closes"]),
    ({"corrections": {"actor": "a", "object": "o", "at": "t", "grants": {"actor": "a", "object": "o", "until": "u"}}}, "corrections.grants.from", ["an approval of a change has a beginning and an end", "name the column"]),
    ({"corrections": {"actor": "a", "object": "o", "at": "t", "grants": {"actor": "a", "object": "o", "from": "f"}}}, "corrections.grants.until", ["an approval of a change has a beginning and an end"]),
    ({"corrections": {"actor": "a", "object": "o", "at": 5, "grants": {"actor": "a", "object": "o", "from": "f", "until": "u"}}}, "corrections.at", ["is text, not 5"]),
    ({"corrections": {"actor": "a", "object": "o", "within": " ", "at": "t", "grants": {"actor": "a", "object": "o", "from": "f", "until": "u"}}}, "corrections.within", ["is empty"]),
    ({"corrections": {"actor": "a", "object": "o", "att": "t", "grants": {"actor": "a", "object": "o", "from": "f", "until": "u"}}}, "corrections.att", ["did you mean 'at'?"]),
    ({"corrections": {"actor": "a", "object": "o", "grants": {"actor": "a", "object": "o", "from": "f", "until": "u"}}}, "corrections", ["needs a clock"]),
    ({"attempts": ["status"]}, "attempts", ["is a mapping", "{outcome: status, accepted: [accepted], rejected: [rejected]}"]),
    ({"attempts": {}}, "attempts.outcome", ["is required, and missing", "outcome: status"]),
    ({"attempts": {"outcome": "s", "rejected": ["r"]}}, "attempts.accepted", ["is required, and missing", "[accepted]"]),
    ({"attempts": {"outcome": "s", "accepted": ["a"]}}, "attempts.rejected", ["is required, and missing", "[rejected]"]),
    ({"attempts": {"outcome": "s", "accepted": [], "rejected": ["r"]}}, "attempts.accepted", ["lists no outcome", "[accepted]"]),
    ({"attempts": {"outcome": "s", "accepted": "a", "rejected": ["r"]}}, "attempts.accepted", ["is a list", "write [a]"]),
    ({"attempts": {"outcome": "s", "accepted": ["a", "a"], "rejected": ["r"]}}, "attempts.accepted[1]", ["'a' is there twice"]),
    ({"attempts": {"outcome": "s", "accepted": ["a"], "rejected": ["r", "r"]}}, "attempts.rejected[1]", ["'r' is there twice"]),
    ({"attempts": {"outcome": "s", "accepted": ["a"], "rejected": ["r", "a"]}}, "attempts.rejected[1]", ["'a' is accepted, too", "leave it out of one"]),
    ({"attempts": {"outcome": "s", "accepted": ["a"], "rejected": ["r"], "reson": "w"}}, "attempts.reson", ["did you mean 'reason'?"]),
    # validity and criteria
    ({"validity": {"expect": {}}}, "validity", ["is a list"]),
    ({"validity": [{}]}, "validity[0]", ["is an expectation with its arguments, not {}", "expect_column_values_to_be_unique"]),
    ({"validity": ["expect"]}, "validity[0]", ["is an expectation with its arguments, not 'expect'"]),
    ({"validity": [{"expect": {"a": {1, 2}}}]}, "validity[0].kwargs", ["is nothing that JSON can write", "in quotes"]),
    ({"validity": [{"expect": {"a": float("inf")}}]}, "validity[0].kwargs", ["inf is nothing that JSON can write"]),
    ({"validity": [{"expect": {1: 2}}]}, "validity[0].kwargs", ["the key 1 is not text"]),
    ({"validity": [{"expect": "column"}]}, "validity[0].kwargs", ["is a mapping of arguments, not 'column'", "{column: message_id}"]),
    ({"validity": [{"type": "expect", "kwargs": []}]}, "validity[0].kwargs", ["is a mapping of arguments"]),
    ({"validity": [{"expect": {}, "exspect": {}}]}, "validity[0]", ["names 2 expectations: 'expect, exspect'"]),
    ({"validity": [{"side": "source"}]}, "validity[0]", ["names 0 expectations"]),
    ({"validity": [{"type": "expect", "kwarg": {}}]}, "validity[0].kwarg", ["did you mean 'kwargs'?"]),
    ({"validity": [{"type": ""}]}, "validity[0].type", ["is empty"]),
    ({"validity": [{"type": 5}]}, "validity[0].type", ["is text, not 5"]),
    ({"validity": [{"expect": {}, "side": "sorce"}]}, "validity[0].side", ["cannot be 'sorce'", "write 'source', 'destination' or 'both'"]),
    ({"validity": [{"expect": {}, "severity": "fatal"}]}, "validity[0].severity", ["cannot be 'fatal'", "write 'critical', 'warning' or 'info'"]),
    ({"validity": [{"expect": {"severity": "fatal"}}]}, "validity[0].severity", ["cannot be 'fatal'"]),
    ({"validity": [{"expect": {}, "over": "day"}]}, "validity[0].over", ["cannot be 'day'", "write 'batch' or 'run'"]),
    ({"validity": [{"suite": "s.json", "sides": "both"}]}, "validity", ["beside a suite there is no key 'sides'"]),
    ({"validity": [{"suite": 5}]}, "validity", ["a suite is the path of its JSON, not 5"]),
    ({"criteria": {"completeness": "PI1.3"}}, "criteria.set", ["is required, and missing", "set: TSC-2017"]),
    ({"criteria": {"set": "TSC-2017", "completness": "PI1.3"}}, "criteria.completness", ["did you mean 'completeness'?"]),
    ({"criteria": {"set": 2017}}, "criteria.set", ["is text, not 2017", "in quotes"]),
]  # fmt: skip


@pytest.mark.parametrize(("more", "key", "says"), REFUSED, ids=[f"{i}-{key}" for i, (_, key, _) in enumerate(REFUSED)])
def test_what_cannot_be_meant_is_refused_with_the_key_and_the_way_out(
    more: dict[str, Any], key: str, says: list[str]
) -> None:
    with pytest.raises(ContractError) as caught:
        Contract.from_dict(small(**more), where="mine.yaml")
    message = str(caught.value)
    assert message.startswith(f"mine.yaml: {key}: ")
    for part in says:
        assert part in message
    assert caught.value.advice
    assert "\n" not in message
    assert caught.value.exit_code == 2
    assert isinstance(caught.value, UsageError)


@pytest.mark.parametrize("key", ["name", "version", "identity"])
def test_what_is_required_is_required(key: str) -> None:
    written = small()
    del written[key]
    with pytest.raises(ContractError, match=rf"mine: {key}: is required, and missing; write for example {key}: "):
        Contract.from_dict(written, where="mine")


def test_several_problems_are_the_first_and_how_many_more() -> None:
    with pytest.raises(ContractError) as caught:
        Contract.from_dict(small(seal="wax", unique="yes", due="never"))
    assert (
        str(caught.value)
        == "<mapping>: unique: is true or false, not 'yes'; write true or false, without quotes (and 2 more problems)"
    )
    with pytest.raises(ContractError, match=r"window: needs a clock; .* \(and 1 more problem\)$"):
        Contract.from_dict(small(window="1d", grace="1h"))


@pytest.mark.parametrize("name", BREAK_COLUMNS)
def test_no_identity_column_is_called_like_a_column_of_breaks(name: str) -> None:
    with pytest.raises(ContractError, match=f"identity column '{name}' is also a column of result.breaks"):
        Contract(**small(identity=["a", name]))


@pytest.mark.parametrize("name", BATCH_COLUMNS)
def test_no_partition_column_is_called_like_a_column_of_batches(name: str) -> None:
    with pytest.raises(ContractError, match="is also a column of result"):
        Contract(**small(identity=["a", name], partition=[name]))


def test_names_that_do_not_meet_are_free() -> None:
    made = Contract(
        **small(identity=["verdict", "note_id"], content={"kind": "text", "values": "integer"}, amounts=["values"])
    )
    assert "kind" in made.content


def test_the_columns_of_the_public_face() -> None:
    assert ", ".join(BREAK_COLUMNS) == (
        "break_id, batch_start, kind, differing, source_values, destination_values, event_time, processed_time, "
        "latency, reason"
    )
    assert ", ".join(BATCH_COLUMNS) == (
        "batch_start, batch_end, source_records, destination_records, matched, corrupt, unverified, lost, "
        "accounted, pending, duplicate, extra, moved_in, moved_out, late, skewed, unauthorized, invalid, excluded, "
        "superseded, source_hash, destination_hash, latency_p50, latency_p95, latency_max, completeness_ratio, "
        "timeliness_ratio, completeness, accuracy, validity, timeliness, authorization, verdict"
    )


# ---- no error but ours -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Contract(), "contract: name: is required, and missing; write for example name: message (and 2 more problems)"),
        (lambda: Contract(name="note", version=1, identity=[]), "contract 'note': identity: names no column"),
        (lambda: Contract.model_validate({"name": 5}), "contract: name: cannot be 5"),
        (lambda: Column(type="txet"), "column: type: there is no column type 'txet'; did you mean 'text'?"),
        (lambda: Column(type=ColumnType.TEXT, scale=2), "column: scale: is an option of decimal, not of text; leave it out"),
        (lambda: Column(), "column: type: is required, and missing"),
        (lambda: Clock(event={"unit": "s"}), "clockcolumn: name: is required"),
        (lambda: Timeliness(within=-1), "timeliness: within: -1 µs is not a duration"),
        (lambda: Timeliness(within=5, never_over=4), "timeliness: never_over: 4us is shorter"),
        (lambda: Outcomes(accept=[]), "outcomes: accept: lists no outcome"),
        (lambda: Exclusion(name="x"), "exclusion: where: is required"),
        (lambda: Expected(), "expected: is an expectation with its arguments, not {}"),
        (lambda: Grants(actor="a"), "grants: object: is required"),
        (lambda: Attempts(outcome="s", accepted=[], rejected=[]), "attempts: accepted: lists no outcome"),
        (lambda: Corrections(actor="a", object="o", at="t", grants=Grants(actor="a", object="o")), "corrections: grants.from: is required"),
    ],
)  # fmt: skip
def test_in_python_too_the_error_is_ours(make: Any, message: str) -> None:
    with pytest.raises(ContractError) as caught:
        make()
    assert str(caught.value).startswith(message)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_what_nests_without_end_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["expect"] = endless
    with pytest.raises(ContractError, match="nests without end"):
        Contract(**small(validity=[endless]))


@pytest.mark.parametrize("mapping", [{}, None])
def test_an_empty_contract_promises_nothing(mapping: Any) -> None:
    with pytest.raises(ContractError, match="mine: an empty contract promises nothing; start with name, version"):
        Contract.from_dict(mapping, where="mine")


@pytest.mark.parametrize("mapping", [[], "name", 5, [small()]])
def test_a_contract_is_a_mapping(mapping: Any) -> None:
    with pytest.raises(ContractError, match=r"<mapping>: a contract is a mapping, not "):
        Contract.from_dict(mapping)


def test_a_key_is_text() -> None:
    with pytest.raises(ContractError, match="<mapping>: the key 5 is not text; write it in quotes"):
        Contract.from_dict({**small(), 5: 5})  # type: ignore[dict-item]


# ---- YAML --------------------------------------------------------------------------------------------------

LEAST = "name: note\nversion: 1\nidentity: [note_id]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml: an empty contract promises nothing; "),
        ("   \n# only a comment\n", "f.yaml: an empty contract promises nothing; "),
        ("{}", "f.yaml: an empty contract promises nothing; "),
        ("null", "f.yaml: an empty contract promises nothing; "),
        ("- name\n", "f.yaml: a contract is a mapping, not ['name']; "),
        ("name", "f.yaml: a contract is a mapping, not 'name'; "),
        (LEAST + "name: other\n", "f.yaml, line 4: the key 'name' is there already, in line 1; keep one of the two"),
        (LEAST + "content:\n  a: text\n  'a': text\n", "f.yaml, line 6: the key 'a' is there already, in line 5"),
        (LEAST + "content:\n  body: txet\n", "f.yaml, line 5: content.body.type: there is no column type 'txet'"),
        (LEAST + "content:\n  body:\n    trim: true\n", "f.yaml, line 5: content.body.type: is required, and missing"),
        (LEAST + "exclude:\n  - name: x\n    reason: y\n    where: {a: 1}\n  - name: x\n    reason: y\n    where: {a: 1}\n", "f.yaml, line 8: exclude[1]: "),
        (LEAST + "unique: on\n", "f.yaml, line 4: unique: is true or false, not 'on'"),
        (LEAST + "unique: yes\n", "f.yaml, line 4: unique: is true or false, not 'yes'"),
        (LEAST + "content: {on: text, on: text}\n", "f.yaml, line 4: the key 'on' is there already"),
        (LEAST + "content: {true: text}\n", "f.yaml, line 4: the key True is not text; write it in quotes"),
        (LEAST + "content: {5: text}\n", "f.yaml, line 4: the key 5 is not text; write it in quotes"),
        (LEAST + "content: {null: text}\n", "f.yaml, line 4: the key nothing is not text"),
        (LEAST + "content: {[a]: text}\n", "f.yaml, line 4: the key ['a'] is not text"),
        (LEAST + "content: &c {a: text}\namounts: *c\n", "f.yaml, line 4: anchors and aliases hide what is promised; write it out"),
        ("&a {name: *a}\n", "f.yaml, line 1: anchors and aliases"),
        (LEAST + "about: !!python/object/apply:os.system [ls]\n", "f.yaml, line 4: the tag 'python/object/apply:os.system' means nothing in a contract; leave the tag out"),
        (LEAST + "about: !secret x\n", "f.yaml, line 4: the tag '!secret' means nothing"),
        (LEAST + "about: !!binary aGk=\n", "f.yaml, line 4: the tag 'binary' means nothing"),
        (LEAST + "content: !!set {a}\n", "f.yaml, line 4: the tag 'set' means nothing"),
        (LEAST + "<<: {about: x}\n", "f.yaml, line 4: <<: there is no such key"),
        (LEAST + "version: " + "9" * 5000, "f.yaml, line 4: "),
        ("name: note\nversion: " + "9" * 5000, "f.yaml, line 2: '9999"),
        ("name: note\nversion: !!int one\n", "f.yaml, line 2: 'one' is not a number; write it in quotes"),
        ("%YAML 1.1\n---\n" + LEAST, "f.yaml: a contract is YAML 1.2, without directives; take out the line"),
        ("\ufeff%YAML 1.1\n---\n" + LEAST, "f.yaml: a contract is YAML 1.2, without directives"),
        ("# also so\r%YAML 1.1\r---\n" + LEAST, "f.yaml: a contract is YAML 1.2, without directives"),
        ("%YAML 1.2\n%YAML 1.1\n---\n" + LEAST, "f.yaml: a contract is YAML 1.2, without directives"),
        ("%TAG ! tag:x,2024:\n---\n" + LEAST, "f.yaml: a contract is YAML 1.2, without directives"),
        (LEAST + "---\n" + LEAST, "f.yaml, line 4: this is not YAML: expected a single document in the stream but found another document"),
        ("name: [note\n", "f.yaml, line 2: this is not YAML: while parsing a flow sequence"),
        ("name: 'note\n", "f.yaml, line 2: this is not YAML: "),
        ("\tname: note\n", "f.yaml, line 1: this is not YAML: "),
        ("name: a: b\n", "f.yaml, line 1: this is not YAML: "),
        (LEAST + "about: *nobody\n", "f.yaml, line 4: this is not YAML: "),
        ("name: \x00\n", "f.yaml: this is not YAML but holds control characters; check the file"),
        ("[" * 4000, "f.yaml: it nests too deep for a contract; write it flat"),
        ("a: " + "{a: " * 2000 + "1" + "}" * 2000, "f.yaml: it nests too deep for a contract"),
    ],
)  # fmt: skip
def test_yaml_that_cannot_be_meant_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ContractError) as caught:
        Contract.from_text(text, where="f.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert caught.value.advice


def test_a_date_or_on_is_the_text_it_is() -> None:
    read = Contract.from_text(LEAST + "about: 2024-01-01\ncontent: {on: text, off: text, no: text, 'null': text}\n")
    assert read.about == "2024-01-01"
    assert list(read.content) == ["no", "null", "off", "on"]


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(), st.text("{}[]:,-*&!|>'\"%@`#? \n\tab01").map(lambda tail: LEAST + tail)))
def test_no_text_raises_another_error(text: str) -> None:
    message = ""
    try:
        Contract.from_text(text)
    except ContractError as error:
        message = str(error)
    assert "\n" not in message


# ---- files -------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "message.yaml").write_text(LEAST)
    with pytest.raises(ContractError, match=r"there is no contract file .*mesage.yaml; did you mean 'message.yaml'\?"):
        Contract.from_yaml(tmp_path / "mesage.yaml")
    with pytest.raises(ContractError, match=r"there is no contract file .*; check the path"):
        Contract.from_yaml(tmp_path / "nowhere" / "mesage.yaml")


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\x00", "name: note".encode("utf-16"), b"\x89PNG\r\n\x1a\n\x00", "name: é".encode("latin-1")],
)
def test_a_file_that_is_not_utf_8(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(ContractError, match=r"mine.yaml is not UTF-8 text; save it as UTF-8"):
        Contract.from_yaml(tmp_path / "mine.yaml")


def test_junk_that_is_utf_8(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(bytes(range(128)) * 50)
    with pytest.raises(ContractError, match=r"mine.yaml: this is not YAML but holds control characters"):
        Contract.from_yaml(tmp_path / "mine.yaml")


@pytest.mark.parametrize("name", ["", "a\0b.yaml", "x" * 5000 + ".yaml"])
def test_what_cannot_be_read(name: str, tmp_path: Path) -> None:
    path = f"{tmp_path}/{name}"  # the first of them is the directory itself
    with pytest.raises(ContractError, match=r"cannot be read: .*; name a readable YAML file"):
        Contract.from_yaml(path)


def test_an_error_names_the_file_and_the_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(LEAST + "\nclock: {event: sent_at}\ntimeliness: {within: 5s}\n")
    with pytest.raises(ContractError) as caught:
        Contract.from_yaml(file)
    assert str(caught.value).startswith(f"{file}, line 6: timeliness: needs to know when")


# ---- finding contracts -------------------------------------------------------------------------------------


def test_a_contract_passes_through() -> None:
    made = Contract(**small())
    assert contract(made) is made


def test_a_name_is_built_in() -> None:
    assert contract("message").name == "message"
    assert contract("message") == Contract.from_yaml(builtin_contracts()["message"])


def test_a_path_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mine.yaml", "mine.yml", "message"):
        (tmp_path / name).write_text(LEAST)
    monkeypatch.chdir(tmp_path)
    for path in (
        "mine.yaml",
        "mine.yml",
        "./message",
        str(tmp_path / "message"),
        Path("message"),
        tmp_path / "mine.yaml",
    ):
        assert contract(path).name == "note"
    assert contract("message").name == "message"  # a bare word is a name, whatever lies here


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mesage", "there is no built-in contract 'mesage'; did you mean 'message'?"),
        ("MESSAGE", "there is no built-in contract 'MESSAGE'; did you mean 'message'?"),
        ("zzz", "there is no built-in contract 'zzz'; there are "),
        ("", "there is no built-in contract ''; there are "),
        ("message.yaml", "there is no contract file message.yaml; "),
        ("no/where.yaml", "there is no contract file no/where.yaml; check the path"),
        ("../message", "there is no contract file ../message; "),
        (5, "a contract is a name, a path or a Contract, not 5; "),
        (None, "a contract is a name, a path or a Contract, not nothing; "),
    ],
)
def test_what_is_not_there_is_said(name: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ContractError) as caught:
        contract(name)
    assert str(caught.value).startswith(message)


def test_a_wheel_holds_its_contracts_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, beside = tmp_path / "integrity" / "expectations", tmp_path / "expectations"
    for folder, about in ((inside, "inside"), (beside, "beside")):
        folder.mkdir(parents=True)
        (folder / "note.yaml").write_text(LEAST + f"about: {about}\n")
    monkeypatch.setattr(contracts, "__file__", str(tmp_path / "integrity" / "contracts.py"))
    assert builtin_contracts() == {"note": inside / "note.yaml"}
    assert contract("note").about == "inside"
    (inside / "note.yaml").unlink()
    assert contract("note").about == "beside"
    (beside / "note.yaml").unlink()
    assert builtin_contracts() == {}
    with pytest.raises(ContractError, match="there is no built-in contract 'note'; there are none"):
        contract("note")


@pytest.mark.parametrize("name", sorted(builtin_contracts()))
def test_a_built_in_contract_is_called_like_its_file_and_survives_its_own_yaml(name: str) -> None:
    built_in = contract(name)
    assert built_in.name == name
    assert Contract.from_text(built_in.to_yaml()) == built_in


def test_the_message_contract_promises_what_the_sample_does() -> None:
    message = contract("message")
    assert message.assertions == tuple(Assertion)
    assert message == Contract(
        name="message",
        version=1,
        about="A chat message, from the gateway that accepted it to the archive that keeps it.",
        identity=["tenant_id", "room_id", "message_id"],
        content={"sender_id": "text", "kind": "text", "body": "text", "size_bytes": "integer"},
        amounts=["size_bytes"],
        clock={"event": "sent_at", "processed": "stored_at"},
        window="10m",
        grace="15m",
        exclude=[
            {
                "name": "typing indicators",
                "side": "source",
                "where": {"kind": "typing"},
                "reason": "never stored, by design",
            }
        ],
        outcomes={"accept": ["recalled", "blocked"]},
        timeliness={"within": "5s", "ratio": 0.999, "never_over": "60s", "basis": "terms of service §7"},
        authorization={
            "actor": "sender_id",
            "object": "room_id",
            "grants": {"actor": "member_id", "object": "room_id", "from": "joined_at", "until": "left_at"},
            "exempt": [{"where": {"kind": ["system"]}, "reason": "written by the service itself"}],
        },
        validity=[
            {
                "expect_column_values_to_be_in_set": {
                    "column": "kind",
                    "value_set": ["text", "sticker", "image", "file", "system"],
                }
            },
            {"expect_column_values_to_not_be_null": {"column": "sender_id"}},
            {"expect_column_values_to_be_between": {"column": "size_bytes", "min_value": 0}},
        ],
        criteria={
            "set": "TSC-2017",
            "completeness": "PI1.3",
            "accuracy": "PI1.3",
            "timeliness": "PI1.3",
            "authorization": "PI1.3",
            "validity": "PI1.2",
        },
    )


@pytest.mark.parametrize("name", sorted(builtin_contracts()))
def test_its_file_can_be_read_and_what_it_expects_there_is(name: str) -> None:
    sound(contract(name))
    text = builtin_contracts()[name].read_text(encoding="utf-8")
    assert all(len(line) <= 127 for line in text.splitlines())


def test_a_contract_is_shown_by_what_it_says() -> None:
    assert repr(Contract(**small())) == "Contract(name='note', version=1, identity={'note_id': Column(type='text')})"
    assert "window=Window(every=86400000000, timezone=None)" in repr(Contract(**timed()))


def test_windows_are_values() -> None:
    assert dataclasses.is_dataclass(Window)
    assert json.loads(json.dumps(Contract(**timed(window="90m"))._form()))["window"] == "1h30m"
