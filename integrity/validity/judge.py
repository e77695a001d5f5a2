"""What does Great Expectations say of these rows?

The only room that evaluates expectations. It asks the metrics for the condition of each row, not for lists that are cut
after 200; it needs no data context, leaves nothing behind, and takes an error for what it is: no answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from integrity.gx_import import great_expectations, quietly
from integrity.validity.asked import Asked, exactly

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Answer", "ask", "condition_of", "judge", "settled"]

_NONE: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
_BASIC = {"result_format": {"result_format": "BASIC"}}
#: What is a float however exact its values are.
_STATISTICS = frozenset(("expect_column_stdev_to_be_between", "expect_column_quantile_values_to_be_between"))
#: Great Expectations sums by machine words and floats; here are the totals that have to be exact.
_EXACT: Final[dict[str, Callable[[list[Fraction]], Fraction]]] = {
    "expect_column_sum_to_be_between": lambda values: sum(values, Fraction(0)),
    "expect_column_min_to_be_between": min,
    "expect_column_max_to_be_between": max,
    "expect_column_mean_to_be_between": lambda values: sum(values, Fraction(0)) / len(values),
    "expect_column_median_to_be_between": lambda values: _median(sorted(values)),
}


@dataclass(frozen=True)
class Answer:
    """What an expectation found in some rows.

    Attributes:
        looked: How many rows it had to look at.
        failing: The places of the rows that are not as expected, where it tells.
        holds: Whether the rows as a whole are; ``None`` where only single rows were asked.
        observed: What it saw of them as a whole, in words.
        error: Why it could not be asked.
    """

    looked: int = 0
    failing: npt.NDArray[np.int64] = field(default_factory=lambda: _NONE)
    holds: bool | None = None
    observed: str = ""
    error: str = ""


def judge(frame: pd.DataFrame, questions: Sequence[Asked]) -> list[Answer]:
    """Return what each expectation says of a frame, by rows where it can."""
    great_expectations()
    from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine

    with quietly():
        engine = PandasExecutionEngine(batch_data_dict={"rows": frame})
        return [_judged(frame, each, engine) for each in questions]


def _judged(frame: pd.DataFrame, question: Asked, engine: Any) -> Answer:
    if getattr(question.impl, "map_metric", None) is None or question.manner.value == "columns":
        return _whole(frame, question, engine)
    metric, error = condition_of(question, engine, _decimal(frame, question), _of_days(frame, question))
    if error:
        return Answer(error=error)
    unexpected = metric[0]
    # Of rows with a NULL some engines say neither: what cannot be compared is not as expected.
    mask = unexpected.fillna(True).to_numpy(dtype=bool) if unexpected.hasnans else unexpected.to_numpy(dtype=bool)
    return Answer(looked=len(unexpected), failing=unexpected.index.to_numpy()[mask].astype(np.int64))


def condition_of(question: Asked, engine: Any, decimal: bool, days: bool = False) -> tuple[Any, str]:
    """Return the metric that tells unexpected rows from others, and why there is none.

    Args:
        question: What is asked.
        engine: Of which engine.
        decimal: Whether it is about decimals: then numbers are, too.
        days: Whether it is about dates: then texts are, too.
    """
    from great_expectations.validator.metric_configuration import MetricConfiguration

    wanted = f"{question.impl.map_metric}.unexpected_count"
    try:
        dependencies = question.impl.get_validation_dependencies(engine, _BASIC).get_metric_configurations()
        count = next((each for each in dependencies if each.metric_name == wanted), None)
        if count is None:
            return None, "it tells nothing of single rows"
        # By way of a schema whole numbers became floats, and decimals the nearest ones.
        own = question.expected.kwargs
        values = {
            key: _days(exactly(own[key], decimal), days) if key in own else value
            for key, value in count.metric_value_kwargs.items()
        }
        metric = MetricConfiguration(f"{question.impl.map_metric}.condition", count.metric_domain_kwargs, values)
        return ask([metric], engine)[metric.id], ""
    except Exception as error:  # whatever goes wrong in an expectation, it is no answer
        return None, _said(error)


def ask(metrics: Sequence[Any], engine: Any) -> dict[Any, Any]:
    """Return the values of some metrics.

    Raises:
        ValueError: one cannot be computed.
    """
    from great_expectations.validator.metrics_calculator import MetricsCalculator

    calculator = MetricsCalculator(engine)
    graph = calculator.build_metric_dependency_graph(list(metrics))
    found, aborted = calculator.resolve_validation_graph(graph)
    for about in aborted.values():
        raise ValueError(_message(about))
    return dict(found)


def settled(question: Asked, engine: Any) -> Any:
    """Return Great Expectations' own result of an expectation as a whole.

    Raises:
        Exception: whatever it raises.
    """
    dependencies = question.impl.get_validation_dependencies(engine, _BASIC)
    metrics = ask(list(dependencies.get_metric_configurations()), engine)
    return question.impl.metrics_validate(metrics, dict(_BASIC), engine)


def _whole(frame: pd.DataFrame, question: Asked, engine: Any) -> Answer:
    of = [frame[name] for name in question.columns if name in frame.columns]
    looked = len(frame)
    if question.manner.value != "columns" and of:
        looked = int(np.logical_or.reduce([each.notna().to_numpy() for each in of]).sum())
        if not looked:  # a set without members is in every set
            return Answer()
    exact = _EXACT.get(question.expected.type)
    try:
        named = str(question.expected.kwargs.get("column"))
        if exact is not None and _whole_numbers(frame[named]):
            return _exactly(exact, question, engine)
        if any(_are_decimals(each) for each in of):
            # It would make them floats in the very frame that it is given, one by one: so here, and at once.
            floats = {str(each.name): each.astype(float) for each in of if _are_decimals(each)}
            frame = frame.assign(**floats) if question.expected.type in _STATISTICS else frame.copy()
            engine = type(engine)(batch_data_dict={"rows": frame})
        result = settled(question, engine)
    except Exception as error:  # as above
        return Answer(error=_said(error))
    return Answer(looked, holds=result.success is True, observed=_observed(result))


def _exactly(exact: Callable[[list[Fraction]], Fraction], question: Asked, engine: Any) -> Answer:
    """Answer about a total of whole numbers or decimals, of the rows that the expectation is about."""
    own = question.expected.kwargs
    about: dict[str, Any] = {key: own[key] for key in ("row_condition", "condition_parser") if key in own}
    rows = engine.get_domain_records(domain_kwargs={"batch_id": None, "table": None, **about}) if about else None
    series = (engine.dataframe if rows is None else rows)[own["column"]].dropna()
    if not len(series):
        return Answer()
    observed = exact([Fraction(value if isinstance(value, Decimal) else int(value)) for value in series])
    return Answer(len(series), holds=_between(observed, question), observed=_shown(observed))


def _median(values: list[Fraction]) -> Fraction:
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def _shown(number: Fraction) -> str:
    """A number as people write it, exact where that takes few digits."""
    if number.denominator == 1:
        return str(number.numerator)
    return str(Decimal(number.numerator) / Decimal(number.denominator))


def _between(observed: Fraction, question: Asked) -> bool:
    own = question.expected.kwargs
    bounds = (own.get(key) for key in ("min_value", "max_value"))
    low, high = (None if bound is None else Fraction(str(bound)) for bound in bounds)
    above = low is None or (observed > low if own.get("strict_min") else observed >= low)
    return above and (high is None or (observed < high if own.get("strict_max") else observed <= high))


def _observed(result: Any) -> str:
    observed = (result.result or {}).get("observed_value")
    return "" if observed is None else str(observed)[:200]


def _decimal(frame: pd.DataFrame, question: Asked) -> bool:
    """Whether what it is about are decimals."""
    named = [question.expected.kwargs.get(key) for key in ("column", "column_A", "column_B")]
    named += question.expected.kwargs.get("column_list") or []
    return any(isinstance(name, str) and name in frame.columns and _are_decimals(frame[name]) for name in named)


def _of_days(frame: pd.DataFrame, question: Asked) -> bool:
    """Whether what it is about are dates: moments without a zone."""
    column = question.expected.kwargs.get("column")
    return isinstance(column, str) and column in frame.columns and str(frame[column].dtype) == "datetime64[us]"


def _days(value: Any, days: bool) -> Any:
    if not days:
        return value
    import pandas as pd

    if isinstance(value, list):
        return [_days(each, days) for each in value]
    return pd.Timestamp(value) if isinstance(value, str) else value


def _are_decimals(series: pd.Series[Any]) -> bool:
    if series.dtype != object:
        return False
    first = series.dropna().head(1).to_list()
    return bool(first) and isinstance(first[0], Decimal)


def _whole_numbers(series: pd.Series[Any]) -> bool:
    if series.dtype == object:
        return all(isinstance(each, (int, Decimal)) for each in series.dropna().head(1).to_list())
    return series.dtype.kind in "iu"


def _message(about: Any) -> str:
    """Return the message of an aborted metric, whose shape depends on where it was aborted."""
    info = about.get("exception_info", about) if isinstance(about, dict) else about
    found = info if isinstance(info, (list, set, tuple)) else [info]
    for each in found:
        text = each.get("exception_message") if isinstance(each, dict) else getattr(each, "exception_message", None)
        if text:
            return str(text)
    return "it could not be computed"


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return (text if len(text) <= 200 else text[:199] + "…") or type(error).__name__
