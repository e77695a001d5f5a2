"""What does an expectation ask, and of which rows can it be asked?

Of single rows, wherever they are; of rows that share a value; of a whole batch; of the names and types of columns; or
of the order of rows, which no store promises. Only what is known to look at one row at a time is taken for such: of any
other a part of a batch would say nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from integrity.contracts import Contract, Expected
from integrity.errors import ContractError, did_you_mean
from integrity.gx_import import great_expectations, quietly

__all__ = ["Asked", "Manner", "asked", "exactly", "name_of", "sound", "unheard"]


class Manner(StrEnum):
    """Of what an expectation has to be asked."""

    #: Of each row by itself.
    ROWS = "rows"
    #: Of all rows that share a value.
    VALUES = "values"
    #: Of a batch as a whole.
    BATCH = "batch"
    #: Of the names and types of the columns.
    COLUMNS = "columns"
    #: Of nothing that there is here.
    NOTHING = "nothing"


#: The metrics of Great Expectations that look at one row at a time.
_OF_A_ROW = frozenset(
    f"column_values.{name}"
    for name in (
        "between", "dateutil_parseable", "in_set", "json_parseable", "match_json_schema", "match_like_pattern",
        "match_like_pattern_list", "match_regex", "match_regex_list", "match_strftime_format", "nonnull", "not_in_set",
        "not_match_like_pattern", "not_match_like_pattern_list", "not_match_regex", "not_match_regex_list", "null",
        "value_length.between", "value_length.equals",
    )
) | frozenset((
    "column_pair_values.a_greater_than_b", "column_pair_values.equal", "column_pair_values.in_set",
    "multicolumn_sum.equal", "multicolumn_values.equal", "select_column_values.unique.within_record",
))  # fmt: skip
_OF_A_VALUE = frozenset(("column_values.unique", "compound_columns.unique"))
_OF_ORDER = frozenset(("column_values.increasing", "column_values.decreasing"))
_OF_COLUMNS = frozenset((
    "expect_column_to_exist", "expect_column_type_to_be", "expect_column_values_to_be_in_type_list",
    "expect_column_values_to_be_of_type", "expect_table_column_count_to_be_between",
    "expect_table_column_count_to_equal", "expect_table_columns_to_match_ordered_list",
    "expect_table_columns_to_match_set",
))  # fmt: skip
_ELSEWHERE = {
    "expect_query_results_to_match_comparison": "compares two queries of which it sees 200 rows each",
    "expect_table_row_count_to_equal_other_table": "compares two tables, which is what a reconciliation does",
    "unexpected_rows_expectation": "runs a query of its own, past the rows that the contract is about",
}


@dataclass(frozen=True)
class Asked:
    """An expectation, asked of one side.

    Attributes:
        expected: What the contract says.
        side: Of which side.
        manner: Of what it is asked.
        columns: The columns that it is about, by the contract's names; all that its arguments mention.
        impl: Great Expectations' own object.
        why: Why it cannot be asked, where it cannot.
    """

    expected: Expected
    side: str
    manner: Manner
    columns: tuple[str, ...]
    impl: Any
    why: str = ""

    @property
    def name(self) -> str:
        """What it is called in a result: its name, and of what it is asked."""
        return name_of(self.expected)

    @property
    def mostly(self) -> Decimal:
        """The share of the rows that has to be as expected."""
        return Decimal(str(self.expected.kwargs.get("mostly", 1)))

    @property
    def shared(self) -> tuple[str, ...]:
        """The columns by whose values rows belong together."""
        own = self.expected.kwargs
        return tuple(own["column_list"]) if "column_list" in own else (own["column"],)


def asked(contract: Contract, side: str, ours: Sequence[str]) -> list[Asked]:
    """Return what a contract asks of one side.

    Args:
        contract: What is promised.
        side: ``"source"`` or ``"destination"``.
        ours: The columns of the side, by our names.

    Raises:
        ContractError: there is no such expectation, its arguments cannot be meant, or it names a column that the side
            it is asked of does not have.
    """
    found = []
    for place, expected in enumerate(contract.validity):
        where = f"contract {contract.name!r}: validity[{place}]"
        if expected.side not in (side, "both", None):
            continue
        impl = _impl(expected, where)
        missing = [name for name in _named(expected) if name not in ours]
        manner, why = _manner(expected)
        if missing and manner is not Manner.COLUMNS:
            if expected.side is None:
                continue
            if _forgiven(contract, expected, missing):
                manner, why = Manner.NOTHING, f"the {side} has no column {missing[0]!r}"
            else:
                near = did_you_mean(missing[0], ours)
                raise ContractError(f"{where}: the {side} has no column {missing[0]!r}", near)
        columns = tuple(name for name in ours if name in expected.words or f'"{name}"' in _condition(expected))
        if expected.kwargs.get("condition_parser") == "pandas" or manner is Manner.COLUMNS:
            columns = tuple(ours)  # an expression in Python may name any of them
        found.append(Asked(expected, side, manner, columns, impl, why))
    return found


def sound(contract: Contract) -> None:
    """Refuse expectations that there are not, or whose arguments cannot be meant, before there are any sides.

    Raises:
        ContractError: there is one.
    """
    for place, expected in enumerate(contract.validity):
        _impl(expected, f"contract {contract.name!r}: validity[{place}]")


def unheard(contract: Contract, held: Mapping[str, Sequence[str]]) -> list[tuple[Expected, str]]:
    """Return the expectations that are asked of whichever side has their columns, where none has; and why.

    Raises:
        ContractError: there is one that matters, about a column that no side needs to have.
    """
    found = []
    for place, expected in enumerate(contract.validity):
        if expected.type in _OF_COLUMNS:
            continue
        missing = {side: [n for n in _named(expected) if n not in ours] for side, ours in held.items()}
        if expected.side is None and all(missing.values()):
            name = missing["source"][0]
            every = [each for ours in held.values() for each in ours]
            if _forgiven(contract, expected, missing["source"]):
                found.append((expected, f"neither side has a column {name!r}"))
                continue
            raise ContractError(
                f"contract {contract.name!r}: validity[{place}]: neither side has a column {name!r}",
                did_you_mean(name, every),
            )
    return found


def _forgiven(contract: Contract, expected: Expected, missing: Sequence[str]) -> bool:
    """Whether it is no mistake that a column is not there: then its expectation is unverified, and the run goes on."""
    may_lack = {name for name, column in contract.content.items() if column.evidence or column.optional}
    return expected.severity != "critical" or may_lack.issuperset(missing)


def name_of(expected: Expected) -> str:
    """What an expectation is called in a result: its name, and the columns that it is about."""
    about = _named(expected)
    return f"{expected.type}({', '.join(about)})" if about else expected.type


def exactly(value: Any, decimal: bool) -> Any:
    """Return numbers as the contract wrote them: to a schema, an integer is a float that happens to be whole."""
    if isinstance(value, float) and decimal:
        return Decimal(str(value))
    if isinstance(value, int) and not isinstance(value, bool) and decimal:
        return Decimal(value)
    if isinstance(value, (list, tuple)):
        return [exactly(each, decimal) for each in value]
    return value


def _named(expected: Expected) -> list[str]:
    own = expected.kwargs
    named = [own.get(key) for key in ("column", "column_A", "column_B")]
    listed = own.get("column_list")
    return [each for each in [*named, *(listed if isinstance(listed, list) else [])] if isinstance(each, str)]


def _condition(expected: Expected) -> str:
    """The condition on rows, in which columns may be named."""
    said = expected.kwargs.get("row_condition")
    return said.replace("'", '"') if isinstance(said, str) else ""


def _manner(expected: Expected) -> tuple[Manner, str]:
    if expected.type in _ELSEWHERE:
        return Manner.NOTHING, f"it {_ELSEWHERE[expected.type]}"
    if expected.type in _OF_COLUMNS:
        return Manner.COLUMNS, ""
    metric = getattr(_registered(expected.type), "map_metric", None)
    if metric in _OF_ORDER:
        return Manner.NOTHING, "it depends on the order of rows, which no store promises"
    if metric in _OF_A_ROW:
        return Manner.ROWS, ""
    return (Manner.VALUES if metric in _OF_A_VALUE else Manner.BATCH), ""


def _registered(name: str) -> Any:
    great_expectations()
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.registry import get_expectation_impl

    try:
        return get_expectation_impl(name)
    except ExpectationNotFoundError:
        return None


def _impl(expected: Expected, where: str) -> Any:
    great_expectations()
    from great_expectations.compatibility import pydantic
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    made = _registered(expected.type)
    if made is None:
        known = list_registered_expectation_implementations()
        raise ContractError(
            f"{where}: Great Expectations has no {expected.type!r}", did_you_mean(expected.type, sorted(known))
        )
    if "$PARAMETER" in json.dumps(expected.kwargs):
        raise ContractError(
            f"{where}: {expected.type} has a $PARAMETER", "write the value: a contract stands for itself"
        )
    try:
        with quietly():
            return made(**expected.kwargs)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"] if part != "__root__")
        known = [name for name in made.__fields__ if name not in ("id", "meta", "notes", "rendered_content")]
        raise ContractError(
            f"{where}: {expected.type}: {f'{at}: ' if at else ''}{first['msg']}", did_you_mean(at, known)
        ) from None
    except Exception as error:  # what a custom expectation may raise, nobody knows
        raise ContractError(f"{where}: {expected.type}: {error}", "correct its arguments") from None
