"""Great Expectations as its users have it: contexts, batches, checkpoints and pages, for the tests."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import great_expectations as gx
import polars as pl
from great_expectations.core import ExpectationValidationResult
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import Expectation
from great_expectations.validator.validator import Validator

AS_OF = "2026-03-02T02:00:00Z"


def validated(frame: pl.DataFrame, *expectations: Expectation) -> list[ExpectationValidationResult]:
    """Validate a frame by the low-level path, which takes no context."""
    engine = PandasExecutionEngine(batch_data_dict={"batch": frame.to_pandas()})
    validator = Validator(execution_engine=engine)
    validator._determine_progress_bars = lambda: False  # type: ignore[method-assign]
    return list(validator.graph_validate(configurations=[each.configuration for each in expectations]))


def observed(result: ExpectationValidationResult) -> str:
    """What was observed, or the message of what was raised."""
    info: Any = result.exception_info
    if info["raised_exception"]:
        return f"raised: {info['exception_message']}"
    return str(result.result["observed_value"])


def checkpoint(context: Any, name: str, definition: Any, expectations: Sequence[Expectation]) -> Any:
    """A checkpoint of one suite over one batch definition, that builds Data Docs."""
    suite = context.suites.add(gx.ExpectationSuite(name, expectations=list(expectations)))
    validation = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=definition, suite=suite))
    update = gx.checkpoint.UpdateDataDocsAction(name="docs")
    return context.checkpoints.add(gx.Checkpoint(name=name, validation_definitions=[validation], actions=[update]))


def results(run: Any) -> list[ExpectationValidationResult]:
    """The validation results of a run of one validation definition."""
    (only,) = run.run_results.values()
    return list(only.results)


def project(folder: Path) -> Any:
    """A file context, as a project on disk has it."""
    context = gx.get_context(mode="file", project_root_dir=folder)
    context.variables.progress_bars = {"globally": False}
    context.variables.save()
    return context


def pages(folder: Path) -> list[str]:
    """The pages of validation results that Data Docs wrote, as HTML."""
    return [page.read_text(encoding="utf-8") for page in sorted(folder.rglob("validations/**/*.html"))]


def shown(page: str) -> str:
    """The text of a page, as a person reads it."""
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())
    return text.replace(" ,", ",")
