"""What is a column's type, and what may be declared of it?

And, since all of a contract is declared the same way: how is a declaration read, and how is it refused? Every
part of a contract is a :class:`Part`: frozen, typed, without unknown keys, and refusing with a
:class:`~integrity.errors.ContractError` that names the key and the way out, never with an error of the
machinery.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    ModelWrapValidatorHandler,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    Strict,
    ValidationError,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from integrity.errors import ContractError, did_you_mean
from integrity.windows import Window, format_duration, parse_duration

__all__ = [
    "AnyText",
    "Clock",
    "ClockColumn",
    "Column",
    "ColumnName",
    "ColumnType",
    "Columns",
    "Cut",
    "Duration",
    "Expectation",
    "Flag",
    "Form",
    "Key",
    "Listed",
    "Part",
    "Ratio",
    "Refusal",
    "Scale",
    "Slug",
    "Text",
    "Where",
    "in_words",
    "quoted",
    "refusals_of",
]

#: Where a value stands in a contract: the keys, and the places in lists, that lead to it.
Key = tuple[str | int, ...]


class Form(StrEnum):
    """In which form a contract is handed over. The outermost part tells the parts inside it."""

    #: As a person or a file writes it: a duration carries its unit.
    WRITTEN = "written"
    #: As Python builds it: whole numbers are microseconds, as they are in the attributes.
    BUILT = "built"


class Refusal(ValueError):  # noqa: N818 - it becomes a ContractError, and is never seen
    """A declaration that cannot be meant.

    Args:
        problem: What is wrong, without the key.
        advice: The way out; may be empty.
        at: The key, from where the refusal is raised downwards.
        more: Further refusals of the same declaration.
    """

    def __init__(self, problem: str, advice: str = "", at: Key = (), more: tuple[Refusal, ...] = ()) -> None:
        super().__init__(problem, advice)
        self.problem = problem
        self.advice = advice
        self.at = at
        self.more = more


class Part(BaseModel):
    """A part of a contract."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def contradictions(self) -> Iterator[Refusal]:
        """Yield what of this part, each key of it readable, cannot be meant together."""
        yield from ()

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show what was declared, not all that was not."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if value != field.default:
                yield name, value.value if isinstance(value, StrEnum) else value

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_in_words(
        cls, value: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        # Inside another part, that one speaks: it knows the whole path to the key.
        outermost = not isinstance(info.context, Form)
        try:
            part = handler(value)
        except ValidationError as error:
            if outermost:
                raise in_words(refusals_of(error, cls), cls.__name__.lower()) from None
            raise
        refusals = list(part.contradictions())
        if refusals and outermost:
            raise in_words(refusals, cls.__name__.lower())
        if refusals:
            first, *more = refusals
            raise Refusal(first.problem, first.advice, first.at, tuple(more))
        return part


# ---- plain values ------------------------------------------------------------------------------------------


def quoted(value: object) -> str:
    """Return a value as a message shows it: never long, and empty is said in a word."""
    if value is None:
        return "nothing"
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "…"


def _plain(value: object) -> bool:
    """Return whether JSON and YAML can both write this scalar, and read the same again."""
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)  # half a character
    return value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _any_text(value: object) -> str:
    if not isinstance(value, str):
        raise Refusal(f"is text, not {quoted(value)}", "write it in quotes")
    if not _plain(value):
        raise Refusal(f"{quoted(value)} holds half a character", "remove it")
    return value


def _text(value: object) -> str:
    value = _any_text(value)
    if not value.strip():
        raise Refusal("is empty", "say it in a word, or leave the key out if it is optional")
    return value


def _column_name(value: object) -> str:
    name = _text(value)
    if name.startswith("__"):
        raise Refusal(
            f"column names that begin with '__' are kept for the engine, and {quoted(name)} does",
            f"call it {quoted(name.lstrip('_') or 'item_id')} in the contract and map it with columns=",
        )
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise Refusal(f"the column name {quoted(name)} holds a control character", "remove it")
    return name


def _duration(value: object, info: ValidationInfo) -> int:
    if isinstance(value, timedelta):
        value = value // timedelta(microseconds=1)
    elif isinstance(value, int) and not isinstance(value, bool) and value and info.context is Form.WRITTEN:
        raise Refusal(f"{value} has no unit", f"write it with one, such as {abs(value)}s")
    if isinstance(value, int) and not isinstance(value, bool):
        value = format_duration(value)  # refuses a negative one
    return parse_duration(value)  # type: ignore[arg-type]  # refuses what is not text


def _listed(value: object) -> tuple[object, ...]:
    # A set has no order, and a text is a sequence of letters: neither is what anybody means by a list here.
    if not isinstance(value, (list, tuple)):
        way_out = f"write [{value}]" if isinstance(value, str) and value else "write [first, second]"
        raise Refusal(f"is a list, not {quoted(value)}", way_out)
    return tuple(value)


#: Text, also none at all.
AnyText = Annotated[str, BeforeValidator(_any_text)]
#: Text that says something.
Text = Annotated[str, BeforeValidator(_text)]
#: The name of a column, as the contract calls it.
ColumnName = Annotated[str, BeforeValidator(_column_name)]
#: True or false, in no other words.
Flag = Annotated[bool, Strict()]
#: A number of decimal places.
Scale = Annotated[int, Strict(), Field(ge=0, le=38)]
#: Microseconds; written as ``10m``.
Duration = Annotated[int, BeforeValidator(_duration), PlainSerializer(format_duration)]
#: Before a tuple: written as a list.
Listed = BeforeValidator(_listed)


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
    return Window(_duration(written["every"], info), written.get("timezone"))


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
    for name in sorted(map(_column_name, value)):
        values = tuple(value[name]) if isinstance(value[name], (list, tuple)) else (value[name],)
        if not values:
            raise Refusal(
                "lists no value, so it would hold for no item", "list a value, or leave it out", (name,)
            )
        for scalar in values:
            if not _plain(scalar):
                raise Refusal(
                    f"{quoted(scalar)} is not a plain value", "write it as text, in quotes", (name,)
                )
        conditions[name] = values
    return conditions


def _ratio(value: object) -> Decimal:
    # By its shortest text, so that 0.999 is 999 thousandths and not the nearest float.
    text = format(Decimal(str(value)), "f") if isinstance(value, (float, Decimal)) else str(value)
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or not 0 < Decimal(text) <= 1:
        raise Refusal(
            f"is a share above 0 and at most 1, not {quoted(value)}", "write 0.999 for 99.9 percent"
        )
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def _ratio_form(ratio: Decimal) -> float | str:
    # As a bare number where that says the same, because that is how people write it.
    return float(ratio) if Decimal(str(float(ratio))) == ratio else format(ratio, "f")


def _json(value: object) -> Any:
    """Return what JSON can say. An expectation is kept and hashed here; what it means is not ours."""
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or not _plain(key):
                raise Refusal(f"the key {quoted(key)} is not text", "write it in quotes")
        return {key: _json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(each) for each in value]
    if not _plain(value):
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
        raise Refusal(
            f"cannot be {quoted(value)}", "write lower-case letters, digits, - and _, such as chat-message"
        )
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


# ---- columns -----------------------------------------------------------------------------------------------


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
    carried: Flag = False

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
        names = [_column_name(name) for name in value]
        for name in names:
            if names.count(name) > 1:
                raise Refusal(f"column {quoted(name)} is listed twice", "list it once")
        value = dict.fromkeys(names, "text")
    if not isinstance(value, Mapping):
        raise Refusal(
            f"is a mapping of columns to types, not {quoted(value)}", "write for example {message_id: text}"
        )
    # By code point, as in the canonical text: what is the same contract reads the same.
    return {name: value[name] for name in sorted(map(_column_name, value))}


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


# ---- refusals in words -------------------------------------------------------------------------------------


def in_words(
    refusals: Sequence[Refusal], where: str, lines: Mapping[Key, int] | None = None
) -> ContractError:
    """Return refusals as one sentence: where, which key, what is wrong, what to do, how many more.

    Args:
        refusals: At least one.
        where: The file, or another word for what was read.
        lines: The line of each key, where it was read from text. A missing key is in the line of its parent.
    """
    first = refusals[0]
    holders = [first.at[:depth] for depth in range(len(first.at), -1, -1)]
    line = next((lines[holder] for holder in holders if holder in lines), None) if lines else None
    place = where if line is None else f"{where}, line {line}"
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first.at).lstrip(".")
    problem = f"{place}: {key}: {first.problem}" if key else f"{place}: {first.problem}"
    more = len(refusals) - 1
    tail = f" (and {more} more {'problem' if more == 1 else 'problems'})" if more else ""
    return ContractError(problem, first.advice + tail) if first.advice else ContractError(problem + tail)


def refusals_of(error: ValidationError, model: type[BaseModel]) -> list[Refusal]:
    """Return the errors of the machinery, which checked this model, as refusals with their whole keys."""
    # A key that is unknown first: where it is misspelt, the one that it should be is missing as well.
    found = sorted(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
    return [refusal for each in found for refusal in _refusals(each, model)]


def _refusals(found: Mapping[str, Any], model: type[BaseModel]) -> list[Refusal]:
    kind, key, given, context = found["type"], found["loc"], found["input"], found.get("ctx", {})
    if kind == "value_error":
        cause = context["error"]
        if isinstance(cause, Refusal):
            return [Refusal(each.problem, each.advice, key + each.at) for each in (cause, *cause.more)]
        problem, _, advice = str(cause).partition("; ")
        return [Refusal(problem, advice, key)]
    known, such_as = _declared_at(model, key)
    match kind:
        case "missing":
            return [Refusal("is required, and missing", such_as, key)]
        case "extra_forbidden":
            return [Refusal("there is no such key", did_you_mean(str(key[-1]), known), key)]
        case "model_type" | "model_attributes_type":
            return [Refusal(f"is a mapping, not {quoted(given)}", such_as, key)]
        case "bool_type":
            return [
                Refusal(f"is true or false, not {quoted(given)}", "write true or false, without quotes", key)
            ]
        case "int_type":
            return [
                Refusal(f"is a whole number, not {quoted(given)}", "write it in digits, without quotes", key)
            ]
        case "greater_than_equal" | "less_than_equal":
            side, limit = ("at least", context.get("ge")) if "ge" in context else ("at most", context["le"])
            return [Refusal(f"is {side} {limit}, not {quoted(given)}", f"write {limit}, for example", key)]
        case "literal_error":
            return [Refusal(f"cannot be {quoted(given)}", f"write {context['expected']}", key)]
        case _:
            message: str = found["msg"]
            return [Refusal(message[:1].lower() + message[1:], such_as, key)]


def _declared_at(model: type[BaseModel], key: Key) -> tuple[list[str], str]:
    """Return the keys that are known where this one stands, and the nearest example of how it is written."""
    hint: Any = model
    known: list[str] = []
    such_as = ""
    for part in key:
        hint = _unwrapped(hint)
        if get_origin(hint) in (dict, tuple):
            hint, known = get_args(hint)[1 if get_origin(hint) is dict else 0], []
            continue
        fields = {field.alias or name: field for name, field in hint.model_fields.items()}
        known, field = list(fields), fields.get(str(part))
        if field is None:
            break
        if field.examples:
            such_as = f"write for example {part}: {field.examples[0]}"
        hint = field.annotation
    return known, such_as


def _unwrapped(hint: Any) -> Any:
    """Return a type without what is annotated of it, and without its ``| None``."""
    while get_origin(hint) is not None and get_origin(hint) not in (dict, tuple):
        hint = get_args(hint)[0]
    return hint
