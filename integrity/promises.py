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

from pydantic import BeforeValidator, Field, InstanceOf, PlainSerializer, ValidationInfo

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
    "Authorization",
    "Criteria",
    "Cut",
    "Exclusion",
    "Exemption",
    "Expectation",
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
    """Return what JSON can say. An expectation is kept and hashed here; what it means is not ours."""
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


def _expectation(value: object) -> Any:
    if not isinstance(value, Mapping) or not value:
        raise Refusal(
            f"is an expectation with its arguments, not {quoted(value)}",
            "write for example expect_column_values_to_be_unique: {column: message_id}",
        )
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
#: One expectation and its arguments, as JSON can write them.
Expectation = Annotated[dict[str, Any], BeforeValidator(_expectation)]


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
    """The columns of the store of grants: who may act on what, from when until when.

    Attributes:
        actor: Who.
        object: On what.
        from_: Since when; written ``from``.
        until: Until when.
        recorded_at: When the grant was entered, if the store tells.
    """

    actor: ColumnName = Field(examples=["member_id"])
    object: ColumnName = Field(examples=["room_id"])
    from_: ColumnName = Field(alias="from", examples=["joined_at"])
    until: ColumnName = Field(examples=["left_at"])
    recorded_at: ColumnName | None = None


class Exemption(Part):
    """Items that need no grant, and why."""

    where: Where = Field(examples=["{kind: [system]}"])
    reason: Text = Field(examples=["written by the service itself"])


class Authorization(Part):
    """Every item's actor held a grant for its object, at its event time.

    Attributes:
        actor: The item's column that says who.
        object: The item's column that says on what.
        grants: The columns of the store of grants.
        exempt: Items that need no grant.
    """

    actor: ColumnName = Field(examples=["sender_id"])
    object: ColumnName = Field(examples=["room_id"])
    grants: Grants = Field(examples=[GRANTS])
    exempt: Annotated[tuple[Exemption, ...], Listed] = ()


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
