"""What does Great Expectations say of these rows?

The only room that evaluates expectations. It asks the metrics for the condition of each row, not for lists that are cut
after 200; it needs no data context, leaves nothing behind, and takes an error for what it is: no answer.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from integrity.gx_import import great_expectations
from integrity.validity.asked import Asked, exactly

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Answer", "ask", "condition_of", "judge", "quietly", "settled"]

_NONE: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
_BASIC = {"result_format": {"result_format": "BASIC"}}
#: Great Expectations sums by machine words and floats; here are the totals that have to be exact.
_EXTREMES: Final[dict[str, Callable[[Iterable[Any]], Any]]] = {
    "expect_column_sum_to_be_between": sum,
    "expect_column_min_to_be_between": min,
    "expect_column_max_to_be_between": max,
}
#: Warnings are the process's own; who changes how they are treated must be alone.
_alone = threading.RLock()


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


@contextmanager
def quietly() -> Iterator[None]:
    """Let nothing that Great Expectations or pandas deprecates become a warning, or an error, of ours."""
    with _alone, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


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
    metric, error = condition_of(question, engine, _decimal(frame, question))
    if error:
        return Answer(error=error)
    unexpected = metric[0]
    # Of rows with a NULL some engines say neither: what cannot be compared is not as expected.
    mask = unexpected.fillna(True).to_numpy(dtype=bool) if unexpected.hasnans else unexpected.to_numpy(dtype=bool)
    return Answer(looked=len(unexpected), failing=unexpected.index.to_numpy()[mask].astype(np.int64))


def condition_of(question: Asked, engine: Any, decimal: bool) -> tuple[Any, str]:
    """Return the metric that tells unexpected rows from others, and why there is none."""
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
            key: exactly(own[key], decimal) if key in own else value for key, value in count.metric_value_kwargs.items()
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
    exact = _EXTREMES.get(question.expected.type)
    if exact is not None and "row_condition" not in question.expected.kwargs and _whole_numbers(of[0]):
        observed: Any = exact(int(v) if not isinstance(v, Decimal) else v for v in of[0].dropna())
        return Answer(looked, holds=_between(observed, question), observed=str(observed))
    if any(_are_decimals(each) for each in of):  # which it would make floats in the very frame that it is given
        engine = type(engine)(batch_data_dict={"rows": frame.copy()})
    try:
        result = settled(question, engine)
    except Exception as error:  # as above
        return Answer(error=_said(error))
    return Answer(looked, holds=result.success is True, observed=_observed(result))


def _between(observed: Any, question: Asked) -> bool:
    own = question.expected.kwargs
    low, high = (exactly(own.get(key), decimal=True) for key in ("min_value", "max_value"))
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
