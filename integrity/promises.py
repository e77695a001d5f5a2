"""Which promises can a contract make?

Each promise is a :class:`~integrity.part.Part` of its own, from what is left out to who may act on what, and
refuses by itself what cannot be meant. That they fit each other is the contract's affair.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BeforeValidator,
    Field,
    InstanceOf,
    PlainSerializer,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from integrity.errors import did_you_mean
from integrity.part import (
    ColumnName,
    Duration,
    Listed,
    Part,
    Refusal,
    Text,
    column_name,
    duration,
    plain,
    quoted,
    twice,
)
from integrity.windows import Window, format_duration

__all__ = [
    "GRANTS",
    "Assertion",
    "Attempts",
    "Authorization",
    "Corrections",
    "Criteria",
    "Cut",
    "Exclusion",
    "Exemption",
    "Expected",
    "Grants",
    "Outcomes",
    "Ratio",
    "Slug",
    "Timeliness",
    "Where",
]

#: How the columns of a store of grants are written, for messages.
GRANTS: Final = "{actor: member_id, object: room_id, from: joined_at, until: left_at}"


class Assertion(StrEnum):
    """What can be asserted of a batch, in the order in which it is shown."""

    COMPLETENESS = "completeness"
    ACCURACY = "accuracy"
    VALIDITY = "validity"
    TIMELINESS = "timeliness"
    AUTHORIZATION = "authorization"


# ---- conditions, shares, windows ---------------------------------------------------------------------------


def _window(value: object, info: ValidationInfo) -> Window | None:
    if value is None or isinstance(value, Window):
        return value
    written: Mapping[str, Any] = value if isinstance(value, Mapping) else {"every": value}
    for key in written:
        if key not in ("every", "timezone"):
            raise Refusal("there is no such key", did_you_mean(str(key), ("every", "timezone")), (str(key),))
    if "every" not in written:
        raise Refusal("is required, and missing", "write for example every: 1d", ("every",))
    return Window(duration(written["every"], info), written.get("timezone"))


def _window_form(window: Window | None) -> Any:
    if window is None or window.timezone is None:
        return window and format_duration(window.every)
    return {"every": format_duration(window.every), "timezone": window.timezone}


def _where(value: object) -> dict[str, tuple[Any, ...]]:
    advice = "write for example {kind: [typing]}"
    if not isinstance(value, Mapping):
        raise Refusal(f"is a mapping of columns to values, not {quoted(value)}", advice)
    if not value:
        raise Refusal("names no column, so it would hold for every item", advice)
    conditions = {}
    for name in sorted(map(column_name, value)):
        values = tuple(value[name]) if isinstance(value[name], (list, tuple)) else (value[name],)
        if not values:
            raise Refusal("lists no value, so it would hold for no item", "list a value, or leave it out", (name,))
        for scalar in values:
            if not plain(scalar):
                raise Refusal(f"{quoted(scalar)} is not a plain value", "write it as text, in quotes", (name,))
        conditions[name] = values
    return conditions


def _ratio(value: object) -> Decimal:
    # By its shortest text, so that 0.999 is 999 thousandths and not the nearest float.
    text = format(Decimal(str(value)), "f") if isinstance(value, (float, Decimal)) else str(value)
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or not 0 < Decimal(text) <= 1:
        raise Refusal(f"is a share above 0 and at most 1, not {quoted(value)}", "write 0.999 for 99.9 percent")
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def _ratio_form(ratio: Decimal) -> float | str:
    # As a bare number where that says the same, because that is how people write it.
    return float(ratio) if Decimal(str(float(ratio))) == ratio else format(ratio, "f")


def _json(value: object) -> Any:
    """Return what JSON can say. Arguments are kept and hashed here; what they mean is not ours."""
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or not plain(key):
                raise Refusal(f"the key {quoted(key)} is not text", "write it in quotes")
        return {key: _json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(each) for each in value]
    if not plain(value):
        raise Refusal(f"{quoted(value)} is nothing that JSON can write", "write it as text, in quotes")
    return value


def _arguments(value: object) -> Any:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Refusal(f"is a mapping of arguments, not {quoted(value)}", "write for example {column: message_id}")
    return _json(value)


def _slug(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", value):
        raise Refusal(f"cannot be {quoted(value)}", "write lower-case letters, digits, - and _, such as chat-message")
    return value


#: The name of a contract.
Slug = Annotated[str, BeforeValidator(_slug)]
#: How time is cut into batches.
Cut = Annotated[InstanceOf[Window] | None, BeforeValidator(_window), PlainSerializer(_window_form)]
#: All of these columns must have one of their values.
Where = Annotated[dict[str, tuple[Any, ...]], BeforeValidator(_where)]
#: A share above 0 and at most 1, exactly.
Ratio = Annotated[Decimal, BeforeValidator(_ratio), PlainSerializer(_ratio_form)]
#: The arguments of an expectation, as JSON can write them.
Arguments = Annotated[dict[str, Any], BeforeValidator(_arguments)]


# ---- the promises ------------------------------------------------------------------------------------------


class Exclusion(Part):
    """What is left out of the population, by name and for a reason, and counted.

    Attributes:
        name: What it is called in the result.
        side: Where it applies.
        where: All of these columns must have one of their values. Undeclared columns are text.
        reason: Why. An auditor reads it.
    """

    name: Text = Field(examples=["typing indicators"])
    side: Literal["source", "destination", "both"] = "both"
    where: Where = Field(examples=["{kind: [typing]}"])
    reason: Text = Field(examples=["never stored, by design"])


class Outcomes(Part):
    """Which outcomes, of a store that lists what ended elsewhere, account for a missing item."""

    accept: Annotated[tuple[Text, ...], Listed] = Field(examples=["[recalled, blocked]"])

    def contradictions(self) -> Iterator[Refusal]:
        """Yield that there is no outcome, and which is listed twice."""
        if not self.accept:
            yield Refusal("lists no outcome", "write for example [recalled, blocked], or leave it out", ("accept",))
        yield from twice(self.accept, "accept")


class Timeliness(Part):
    """How soon items are processed.

    Attributes:
        within: The limit in microseconds.
        ratio: The share of the items that must keep to it, over the run's closed batches.
        never_over: The limit in microseconds that none may pass.
        basis: Where it is promised.
    """

    within: Duration = Field(examples=["5s"])
    ratio: Ratio = Decimal(1)
    never_over: Duration | None = Field(default=None, examples=["60s"])
    basis: Text | None = None

    def contradictions(self) -> Iterator[Refusal]:
        """Yield that the limit which none may pass is passed by items that are on time."""
        if self.never_over is not None and self.never_over < self.within:
            limits = f"{format_duration(self.never_over)} is shorter than within: {format_duration(self.within)}"
            yield Refusal(limits, "give it the longer of the two limits", ("never_over",))


class Grants(Part):
    """The columns of a store of grants: who may act on what, from when until when.

    A store that has no ``from`` or no ``until`` knows the present only: of the past it proves nothing, and what it
    cannot tell is unverified.

    Attributes:
        actor: Who.
        object: On what.
        from_: Since when; written ``from``. NULL is since ever.
        until: Until when, no longer included. NULL is open.
        revoked_at: When the grant was taken back, if the store tells that apart.
        departed_at: When the actor left the organisation, if the store tells: no grant outlasts that.
        recorded_at: When the grant was entered, if the store tells: it covers nothing that was done before.
        approver: Who approved it, if the store tells: nobody can grant to themself.
    """

    actor: ColumnName = Field(examples=["member_id"])
    object: ColumnName = Field(examples=["room_id"])
    from_: ColumnName | None = Field(default=None, alias="from", examples=["joined_at"])
    until: ColumnName | None = Field(default=None, examples=["left_at"])
    revoked_at: ColumnName | None = None
    departed_at: ColumnName | None = None
    recorded_at: ColumnName | None = None
    approver: ColumnName | None = None

    @property
    def begins(self) -> bool:
        """Whether the store tells since when a grant holds."""
        return self.from_ is not None

    @property
    def ends(self) -> bool:
        """Whether the store keeps grants that have ended, and tells when."""
        return self.until is not None or self.revoked_at is not None

    @property
    def times(self) -> dict[str, str]:
        """The columns that tell a moment, by what they tell."""
        named = {
            "from": self.from_,
            "until": self.until,
            "revoked": self.revoked_at,
            "departed": self.departed_at,
            "recorded": self.recorded_at,
        }
        return {what: column for what, column in named.items() if column is not None}


class Exemption(Part):
    """Items that need no grant, and why."""

    where: Where = Field(examples=["{kind: [system]}"])
    reason: Text = Field(examples=["written by the service itself"])


class Authorization(Part):
    """Every item's actor held a grant for its object, at its event time. It is judged of the source's items.

    Attributes:
        actor: The source's column that says who.
        object: The source's column that says on what.
        within: What separates an object from what lies in it, such as ``/``: a grant holds for all that is below.
        approver: The source's column that says who approved the item: somebody, and somebody else than its actor.
        grants: The columns of the store of grants.
        exempt: Items that need no grant.
    """

    actor: ColumnName = Field(examples=["sender_id"])
    object: ColumnName = Field(examples=["room_id"])
    within: Text | None = Field(default=None, examples=["/"])
    approver: ColumnName | None = None
    grants: Grants = Field(examples=[GRANTS])
    exempt: Annotated[tuple[Exemption, ...], Listed] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of an item that say whether it was authorized."""
        exempt = [name for exemption in self.exempt for name in exemption.where]
        return tuple(dict.fromkeys([self.actor, self.object, *([self.approver] if self.approver else []), *exempt]))


class Corrections(Part):
    """Changes at the destination itself, which an approval must cover: else they are corrupt or extra.

    Attributes:
        actor: The destination's column that says who changed a row.
        object: The destination's column that says what was changed, such as the item's id or a ticket.
        at: The destination's column that says when; the clock's processed time if left out.
        within: As for :class:`Authorization`.
        grants: The columns of the store of approved changes.
    """

    actor: ColumnName = Field(examples=["changed_by"])
    object: ColumnName = Field(examples=["message_id"])
    at: ColumnName | None = Field(default=None, examples=["changed_at"])
    within: Text | None = Field(default=None, examples=["/"])
    grants: Grants = Field(examples=["{actor: engineer, object: message_id, from: opens, until: closes}"])

    def contradictions(self) -> Iterator[Refusal]:
        """Yield that an approval without an end would approve whatever comes."""
        for key, told in (("from", self.grants.begins), ("until", self.grants.ends)):
            if not told:
                problem = "is required: an approval of a change has a beginning and an end"
                yield Refusal(problem, "name the column", ("grants", key))


class Attempts(Part):
    """What the source records of every attempt: attempted = accepted + rejected, by reason.

    Attributes:
        outcome: The source's column that says what became of an attempt.
        accepted: The outcomes of an item that is to arrive.
        rejected: The outcomes of what was turned away: it is counted, and no item.
        reason: The source's column that says why it was turned away; the outcome itself if left out.
    """

    outcome: ColumnName = Field(examples=["status"])
    accepted: Annotated[tuple[Text, ...], Listed] = Field(examples=["[accepted]"])
    rejected: Annotated[tuple[Text, ...], Listed] = Field(examples=["[rejected]"])
    reason: ColumnName | None = None

    def contradictions(self) -> Iterator[Refusal]:
        """Yield what is listed twice, and that nothing is accepted."""
        if not self.accepted:
            yield Refusal("lists no outcome", "write for example [accepted]", ("accepted",))
        yield from twice(self.accepted, "accepted")
        yield from twice(self.rejected, "rejected")
        for place, name in enumerate(self.rejected):
            if name in self.accepted:
                yield Refusal(f"{quoted(name)} is accepted, too", "leave it out of one", ("rejected", place))


_EXPECTED: Final = "write for example expect_column_values_to_be_unique: {column: message_id}"
#: What Great Expectations' own files say of an expectation, and what changes nothing about it.
_DESCRIBED: Final = ("id", "meta", "notes", "description", "rendered_content")


class Expected(Part):
    """An expectation, in Great Expectations' own words, asked of one side or both.

    It is written as its name and arguments, with ``side``, ``severity`` and ``over`` beside them; or as a suite's JSON
    has it.

    Attributes:
        type: Its name, such as ``expect_column_values_to_be_in_set``.
        kwargs: Its arguments. Columns go by the contract's names.
        side: Which side it is asked of; left out, each side that has its columns.
        severity: What a failure means: ``critical`` makes items invalid, ``warning`` and ``info`` are listed.
        over: What a statement about many rows, such as a mean, is about: each batch, or all closed ones together.
    """

    type: Text = Field(examples=["expect_column_values_to_be_unique"])
    kwargs: Arguments = Field(default={}, examples=["{column: message_id}"])
    side: Literal["source", "destination", "both"] | None = None
    severity: Literal["critical", "warning", "info"] = "critical"
    over: Literal["batch", "run"] = "batch"

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, value: object) -> object:
        if not isinstance(value, Mapping) or not value:
            if isinstance(value, Expected):
                return value
            raise Refusal(f"is an expectation with its arguments, not {quoted(value)}", _EXPECTED)
        said = {("type" if key == "expectation_type" else key): each for key, each in value.items()}
        own = {key: said.pop(key) for key in ("side", "severity", "over") if key in said}
        if "type" in said:
            for key in _DESCRIBED:
                said.pop(key, None)
            said["kwargs"] = cls._without_severity(said.get("kwargs"), own)
            return said | own
        if len(said) != 1:
            raise Refusal(f"names {len(said)} expectations: {quoted(', '.join(map(str, said)))}", _EXPECTED)
        ((name, kwargs),) = said.items()
        return {"type": name, "kwargs": cls._without_severity(kwargs, own), **own}

    @staticmethod
    def _without_severity(kwargs: object, own: dict[str, Any]) -> object:
        """A severity may stand among the arguments, as in Python it does."""
        if not isinstance(kwargs, Mapping) or "severity" not in kwargs:
            return kwargs
        own.setdefault("severity", kwargs["severity"])
        return {key: each for key, each in kwargs.items() if key != "severity"}

    @model_serializer
    def _form(self) -> dict[str, Any]:
        own = {"side": (self.side, None), "severity": (self.severity, "critical"), "over": (self.over, "batch")}
        return {self.type: self.kwargs, **{key: said for key, (said, default) in own.items() if said != default}}

    @property
    def words(self) -> frozenset[str]:
        """Every text among its arguments: some of them are columns."""

        def walk(value: object) -> Iterator[str]:
            if isinstance(value, str):
                yield value
                yield from re.findall(r"""col\(\s*["'](.+?)["']\s*\)""", value)
            elif isinstance(value, Mapping):
                for each in value.values():
                    yield from walk(each)
            elif isinstance(value, (list, tuple)):
                for each in value:
                    yield from walk(each)

        return frozenset(walk(self.kwargs))


class Criteria(Part):
    """Which control criterion each assertion answers to, such as PI1.3 of the trust services criteria.

    Attributes:
        set: The set of criteria and its edition.
    """

    set: Text = Field(examples=["TSC-2017"])
    completeness: Text | None = None
    accuracy: Text | None = None
    validity: Text | None = None
    timeliness: Text | None = None
    authorization: Text | None = None
