"""What is a column's type, and what may be declared of it?

And which columns tell the time: a clock is columns as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from integrity.errors import did_you_mean
from integrity.part import ColumnName, Duration, Flag, Part, Refusal, Scale, column_name, quoted

__all__ = ["Clock", "ClockColumn", "Column", "ColumnType", "Columns"]


class ColumnType(StrEnum):
    """What a column holds. How each is read, and its one canonical text, is said in ``canonical.py``."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    DATE = "date"
    DECIMAL = "decimal"
    FLOAT = "float"
    BINARY = "binary"
    UUID = "uuid"


#: What other tools call our types: a better way out than the nearest spelling.
_ELSEWHERE: Final = {
    "str": ColumnType.TEXT,
    "string": ColumnType.TEXT,
    "varchar": ColumnType.TEXT,
    "int": ColumnType.INTEGER,
    "bigint": ColumnType.INTEGER,
    "bool": ColumnType.BOOLEAN,
    "datetime": ColumnType.TIMESTAMP,
    "time": ColumnType.TIMESTAMP,
    "numeric": ColumnType.DECIMAL,
    "number": ColumnType.DECIMAL,
    "money": ColumnType.DECIMAL,
    "double": ColumnType.FLOAT,
    "real": ColumnType.FLOAT,
    "bytes": ColumnType.BINARY,
    "blob": ColumnType.BINARY,
}


def _column_type(value: object) -> ColumnType:
    if isinstance(value, str):
        if value in list(ColumnType):
            return ColumnType(value)
        elsewhere = _ELSEWHERE.get(value.casefold())
        advice = (
            f"did you mean {elsewhere.value!r}?"
            if elsewhere
            else did_you_mean(value, [kind.value for kind in ColumnType])
        )
        raise Refusal(f"there is no column type {quoted(value)}", advice)
    raise Refusal(f"a column type is a word, not {quoted(value)}", "write text, integer, timestamp, …")


class Column(Part):
    """One column of a contract: its type, and what makes two of its values the same.

    Attributes:
        type: What it holds.
        unicode: Text: compare in this normal form, so that é is é however it was typed.
        newline: Text: compare with every line end as a line feed.
        trim: Text: compare without blanks and tabs and line ends around it.
        casefold: Text: compare without regard to case.
        unit: Timestamp: compare to this unit; finer digits are floored away.
        scale: Decimal, required: places after the point. A finer value is unreadable, never rounded.
        decimals: Float: round half-even to so many places, then compare.
        exact: Float: compare bit by bit.
        evidence: Content: a digest. Where it is null on a side, the content could not be compared.
        carried: Content: the destination copies it, so that it proves nothing about the rest.
        optional: Content: a side may not tell it (NULL, or no such column). It is compared where both do; what has to
            be proven, other columns prove.
        fresh: Evidence: whoever computes it does so in this very run, and remembers none from an earlier one.
        detail: Content: another column, of JSON objects from the name of a part to its digest. Where this column
            differs, the parts that differ are named instead.

    Example:
        >>> Column(type="decimal", scale=2)
        Column(type='decimal', scale=2)
        >>> Column(type="text", scale=2)
        Traceback (most recent call last):
        integrity.errors.ContractError: column: scale: is an option of decimal, not of text; leave it out
    """

    type: Annotated[ColumnType, BeforeValidator(_column_type)] = Field(examples=["text"])
    unicode: Literal["NFC"] | None = None
    newline: Literal["lf"] | None = None
    trim: Flag = False
    casefold: Flag = False
    unit: Literal["us", "ms", "s"] = "us"
    scale: Scale | None = None
    decimals: Scale | None = None
    exact: Flag = False
    evidence: Flag = False
    optional: Flag = False
    fresh: Flag = False
    carried: Flag = False
    detail: ColumnName | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value

    def contradictions(self) -> Iterator[Refusal]:
        """Yield the options that are not of this type, and the ones that it lacks."""
        for option, kind in _OPTIONS.items():
            if self.type is not kind and getattr(self, option) != type(self).model_fields[option].default:
                problem = f"is an option of {kind}, not of {self.type}"
                yield Refusal(problem, "leave it out", (option,))
        if self.type is ColumnType.DECIMAL and self.scale is None:
            yield Refusal("a decimal needs its scale", "write {type: decimal, scale: 2}", ("scale",))
        if self.type is ColumnType.FLOAT and self.exact == (self.decimals is not None):
            yield Refusal(
                "a float is compared either rounded or bit by bit, and one of the two must be said",
                "write {type: float, decimals: 6} or {type: float, exact: true}",
            )

    @model_serializer(mode="wrap")
    def _as_word(self, handler: SerializerFunctionWrapHandler) -> Any:
        options = handler(self)
        return options["type"] if list(options) == ["type"] else options


_OPTIONS: Final = {
    "unicode": ColumnType.TEXT,
    "newline": ColumnType.TEXT,
    "trim": ColumnType.TEXT,
    "casefold": ColumnType.TEXT,
    "unit": ColumnType.TIMESTAMP,
    "scale": ColumnType.DECIMAL,
    "decimals": ColumnType.FLOAT,
    "exact": ColumnType.FLOAT,
}


def _named(value: object) -> dict[str, object]:
    """Read a mapping of columns, or the list that is short for text columns."""
    if isinstance(value, (list, tuple)):
        names = [column_name(name) for name in value]
        for name in names:
            if names.count(name) > 1:
                raise Refusal(f"column {quoted(name)} is listed twice", "list it once")
        value = dict.fromkeys(names, "text")
    if not isinstance(value, Mapping):
        raise Refusal(f"is a mapping of columns to types, not {quoted(value)}", "write for example {message_id: text}")
    # By code point, as in the canonical text: what is the same contract reads the same.
    return {name: value[name] for name in sorted(map(column_name, value))}


#: Columns by name, in the order of their names.
Columns = Annotated[dict[str, Column], BeforeValidator(_named)]


class ClockColumn(Part):
    """A column that tells the time. Written as its name, or as ``{name: sent_at, unit: ms}``.

    Attributes:
        name: The column.
        unit: The unit to which instants are compared; finer digits are floored away.
    """

    name: ColumnName = Field(examples=["sent_at"])
    unit: Literal["us", "ms", "s"] = "us"

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_serializer(mode="wrap")
    def _as_name(self, handler: SerializerFunctionWrapHandler) -> Any:
        written = handler(self)
        return written["name"] if list(written) == ["name"] else written


class Clock(Part):
    """Which columns tell the time.

    Attributes:
        event: When it happened, at the source. It decides the batch.
        processed: When the destination had it.
        changed: When the item last changed: an edit, a re-upload. Until then plus grace it may differ.
        carried: Whether the destination holds the event time too, so that it is compared.
        skew: How far, in microseconds, clocks may disagree before an item counts as from the future.
    """

    event: ClockColumn = Field(examples=["sent_at"])
    processed: ClockColumn | None = Field(default=None, examples=["stored_at"])
    changed: ClockColumn | None = Field(default=None, examples=["edited_at"])
    carried: Flag = True
    skew: Duration = 1_000_000

    def contradictions(self) -> Iterator[Refusal]:
        """Yield that two clocks are one: no item would be late, and nobody would have earned that."""
        if self.processed is not None and self.processed.name == self.event.name:
            yield Refusal(
                f"{quoted(self.event.name)} is the event time too, so every latency would be zero",
                "name the destination's own column, such as stored_at, and map it if both share a name",
                ("processed",),
            )
