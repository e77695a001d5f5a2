"""What do all our expectations have in common: how are their arguments kept, and their batch read?"""

from __future__ import annotations

import datetime as dt
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

from great_expectations.compatibility import pydantic
from great_expectations.execution_engine.execution_engine import ExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation

from integrity.contracts import Contract
from integrity.errors import UsageError
from integrity.gx.batch import batch_of, has_password
from integrity.gx.rendering import Rendered, Sentence, said

__all__ = ["Judging", "Moment", "Parameter", "Where", "role_of", "with_span"]

#: A parameter of the run, ``{"$PARAMETER": name}``, can stand for any argument.
Parameter = dict[str, Any]
#: A store by its URL or path, or ``{"url": …, "query": …}``.
Where = str | dict[str, Any]
Moment = str | dt.datetime | Parameter | None


class Judging(Rendered, BatchExpectation, ABC):
    """An expectation that reads its batch whole, as one side of a contract."""

    @pydantic.validator("contract", pre=True, check_fields=False)
    def _written(cls, given: Any) -> Any:  # noqa: N805 - so pydantic calls it
        """Write a contract out, for a suite is JSON."""
        if isinstance(given, Contract):
            return given.to_yaml()
        return os.fspath(given) if isinstance(given, os.PathLike) else given

    @pydantic.validator("other", "outcomes", "grants", pre=True, check_fields=False)
    def _kept(cls, given: Any) -> Any:  # noqa: N805
        """Refuse a password: an expectation's arguments are kept in its suite, and shown in Data Docs."""
        if has_password(given):
            raise ValueError(
                "a password would be kept with the suite; leave it to the driver (PGPASSWORD, ~/.pgpass, …)"
            )
        return os.fspath(given) if isinstance(given, os.PathLike) else given

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: ExecutionEngine[Any] | None = None,
    ) -> dict[str, Any]:
        batch = batch_of(execution_engine, self._get_domain_kwargs())
        return self._judged(batch, self._get_result_format(runtime_configuration))

    @abstractmethod
    def _judged(self, batch: Any, result_format: Any) -> dict[str, Any]:
        """Judge the rows of the batch."""


def with_span(text: str, params: dict[str, str], kwargs: Mapping[str, Any]) -> Sentence:
    """Add to a sentence the times that an expectation is about."""
    for name, words in (("since", "from $since"), ("until", "until $until"), ("as_of", "as of $as_of")):
        if kwargs.get(name) is not None:
            text += f", {words}"
            params[name] = said(kwargs[name])
    return text, params


def role_of(side: object) -> Literal["source", "destination"]:
    """Return which side a batch is.

    Raises:
        UsageError: there is no such side.
    """
    if side == "source":
        return "source"
    if side == "destination":
        return "destination"
    raise UsageError(f"there is no side {side!r}", "it is source or destination")
