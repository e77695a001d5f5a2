"""How is a declaration read, and how is it refused?

Every part of a contract is a :class:`Part`: frozen, typed, without unknown keys, and refusing with a
:class:`~integrity.errors.ContractError` that names the key and the way out, never with an error of the
machinery. Here are also the plain values that any part may hold, such as a text and a duration.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Self, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    Strict,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from integrity.errors import ContractError, did_you_mean
from integrity.windows import format_duration, parse_duration

__all__ = [
    "AnyText",
    "ColumnName",
    "Duration",
    "Flag",
    "Form",
    "Key",
    "Listed",
    "Part",
    "Refusal",
    "Scale",
    "Text",
    "column_name",
    "duration",
    "in_words",
    "plain",
    "quoted",
    "refusals_of",
    "twice",
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
    def _refuse_in_words(cls, value: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
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


def plain(value: object) -> bool:
    """Return whether JSON and YAML can both write this scalar, and read the same again."""
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)  # half a character
    return value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _any_text(value: object) -> str:
    if not isinstance(value, str):
        raise Refusal(f"is text, not {quoted(value)}", "write it in quotes")
    if not plain(value):
        raise Refusal(f"{quoted(value)} holds half a character", "remove it")
    return value


def _text(value: object) -> str:
    value = _any_text(value)
    if not value.strip():
        raise Refusal("is empty", "say it in a word, or leave the key out if it is optional")
    return value


def column_name(value: object) -> str:
    """Return the name of a column, as a contract may call it."""
    name = _text(value)
    if name.startswith("__"):
        raise Refusal(
            f"column names that begin with '__' are kept for the engine, and {quoted(name)} does",
            f"call it {quoted(name.lstrip('_') or 'item_id')} in the contract and map it with columns=",
        )
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise Refusal(f"the column name {quoted(name)} holds a control character", "remove it")
    return name


def duration(value: object, info: ValidationInfo) -> int:
    """Return microseconds. Only Python may leave the unit out."""
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
ColumnName = Annotated[str, BeforeValidator(column_name)]
#: True or false, in no other words.
Flag = Annotated[bool, Strict()]
#: A number of decimal places.
Scale = Annotated[int, Strict(), Field(ge=0, le=38)]
#: Microseconds; written as ``10m``.
Duration = Annotated[int, BeforeValidator(duration), PlainSerializer(format_duration)]
#: Before a tuple: written as a list.
Listed = BeforeValidator(_listed)


# ---- refusals in words -------------------------------------------------------------------------------------


def in_words(refusals: Sequence[Refusal], where: str, lines: Mapping[Key, int] | None = None) -> ContractError:
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
            return [Refusal(f"is true or false, not {quoted(given)}", "write true or false, without quotes", key)]
        case "int_type":
            return [Refusal(f"is a whole number, not {quoted(given)}", "write it in digits, without quotes", key)]
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


def twice(names: Sequence[str], *key: str) -> Iterator[Refusal]:
    """Yield, for each name that came before, that it is there twice."""
    for place, name in enumerate(names):
        if name in names[:place]:
            yield Refusal(f"{quoted(name)} is there twice", "rename one of the two, or remove it", (*key, place))
