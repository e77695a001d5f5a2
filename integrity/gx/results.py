"""What does a result of ours say in Great Expectations' own words?

Only ``pass`` is success. What was left out on purpose is no success either: it is told beside the others, by name and
reason, and counted apart.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import polars as pl
from great_expectations import __version__ as gx_version
from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.execution_engine.execution_engine import ExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration, parse_result_format
from great_expectations.validator.validation_statistics import calc_validation_statistics

from integrity.contracts import Assertion
from integrity.errors import UsageError
from integrity.gx.rendering import Rendered, Sentence, said
from integrity.result import BREAKS_IN_JSON, Result
from integrity.summary import BESIDES, FAILS, KINDS
from integrity.verdicts import Verdict

__all__ = ["ExpectPromiseToBeKept", "from_result", "judged"]

#: So many failing batches are told.
_BATCHES = 20


def from_result(result: Result) -> ExpectationSuiteValidationResult:
    """Return a result as Great Expectations' own: a validation result for each promise that was judged.

    What was skipped is in ``meta["integrity"]["skipped"]`` and ``statistics["skipped_expectations"]``.

    Args:
        result: As :func:`integrity.reconcile` gives it.

    Returns:
        What page renderers, actions and stores of Great Expectations read; its success is that of the run.

    Example:
        >>> import integrity, polars as pl
        >>> notes = integrity.Contract(name="notes", version=1, identity=["id"])
        >>> sent, kept = pl.DataFrame({"id": ["1", "2"]}), pl.DataFrame({"id": ["1"]})
        >>> found = from_result(integrity.reconcile(notes, sent, kept))
        >>> found.success, [(each.success, each.result["observed_value"]) for each in found.results]
        (False, [(False, 'fail: 1 lost'), (True, 'pass')])
    """
    places = {side: read.location for side, read in result.sides.items()}
    results = [
        ExpectationValidationResult(
            success=verdict is Verdict.PASS,
            expectation_config=ExpectationConfiguration(
                type="expect_promise_to_be_kept",
                kwargs={"contract": result.contract.name, "assertion": assertion.value, **places},
                meta={"criterion": _criterion(result, assertion)} if _criterion(result, assertion) else None,
            ),
            result=_beside_others(judged(result, None, assertion)),
        )
        for assertion, verdict in result.assertions.items()
        if verdict is not Verdict.SKIPPED
    ]
    counted = calc_validation_statistics(results)
    skipped = {assertion.value: why for assertion, why in result.skips.items()}
    about = {
        # Their page puts this into its title as it is.
        "data_asset_name": f"{places['source']} → {places['destination']}".translate({ord("<"): "‹", ord(">"): "›"}),
        "contract": f"{result.contract.name}, version {result.contract.version}, SHA-256 {result.contract.sha256}",
        "headline": result.headline(),
        **places,
        **_how(result),
        **({"skipped": skipped} if skipped else {}),
    }
    return ExpectationSuiteValidationResult(
        success=result.verdict is Verdict.PASS,
        results=results,
        suite_name=result.contract.name,
        statistics={
            "evaluated_expectations": counted.evaluated_expectations,
            "successful_expectations": counted.successful_expectations,
            "unsuccessful_expectations": counted.unsuccessful_expectations,
            "success_percent": counted.success_percent,
            "skipped_expectations": len(skipped),
        },
        meta={
            "great_expectations_version": gx_version,
            "run_id": {"run_name": None, "run_time": result.as_of.astimezone(dt.UTC).isoformat()},
            "validation_time": result.sides["source"].read_at.astimezone(dt.UTC).isoformat(),
            "batch_spec": about,
            "integrity": {
                "schema": "integrity.result/1",
                "verdict": result.verdict.value,
                "assertions": {assertion.value: verdict.value for assertion, verdict in result.assertions.items()},
                "skipped": skipped,
                "totals": dict(result.totals),
                "versions": dict(result.versions),
                "spec_sha256": result.spec_sha256,
            },
        },
    )


def _beside_others(found: dict[str, Any]) -> dict[str, Any]:
    """Return the result of one promise without what is said once of the whole run."""
    told_once = ("how", "totals", "skipped")
    details = {name: value for name, value in found["details"].items() if name not in told_once}
    return found | {"details": details}


def judged(result: Result, result_format: Any, assertion: Assertion | None = None) -> dict[str, Any]:
    """Return what Great Expectations calls the result of a validation result.

    Args:
        result: What was found.
        result_format: Great Expectations' own; how many breaks are listed, and whether all are.
        assertion: Of which promise alone; ``None`` is all of them.
    """
    wanted, promise = parse_result_format(result_format or "BASIC"), result.contract
    kinds = [kind for each, named in FAILS.items() if assertion in (None, each) for kind in named]
    counts = {kind: result.totals.get(kind, 0) for kind in kinds}
    counts = {kind: count for kind, count in counts.items() if count}
    if assertion is None:
        observed = result.headline().removeprefix(f"{result.contract.name}: ")
    else:
        told = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
        observed = result.assertions[assertion].value + (f": {told}" if told else "")
    failing = result.failing()
    if assertion is not None:
        failing = failing.filter(pl.col(assertion.value).is_in(["fail", "unverified", "pending"]))
    shown = [
        *result.contract.partition,
        "batch_start",
        "source_records",
        "destination_records",
        *_counted(failing),
        "verdict",
    ]
    notes = [note for note in result.notes if assertion is None or assertion.value in note]
    details = {
        "verdict": result.verdict.value if assertion is None else result.assertions[assertion].value,
        "contract": {"name": promise.name, "version": promise.version, "sha256": promise.sha256},
        "assertions": {
            each.value: verdict.value for each, verdict in result.assertions.items() if assertion in (None, each)
        },
        "totals": dict(result.totals),
        "break_counts": counts,
        "batches_failing": failing.height,
        "batches": _rows(failing.select(shown).head(_BATCHES)),
        "notes": ([] if assertion is not None else [result.balance()]) + notes,
        "skipped": {each.value: why for each, why in result.skips.items()},
        "how": _how(result),
    }  # fmt: skip
    found: dict[str, Any] = {"observed_value": observed, "details": details}
    found["unexpected_count"] = sum(counts.values())
    found["element_count"] = result.totals["source_records"]
    limit = wanted["partial_unexpected_count"]
    found["partial_unexpected_list"] = _few(result, list(counts), limit)
    if wanted["result_format"] == "COMPLETE":
        found["unexpected_list"] = _all(result, kinds)
    return found


def _few(result: Result, kinds: list[str], limit: int) -> list[dict[str, Any]]:
    """Return the first breaks, of each kind as many as of the others."""
    if not kinds or limit <= 0 or not result.break_count:
        return []
    few = result.few_breaks(max(1, limit // len(kinds)))
    return _breaks(few.filter(pl.col("kind").is_in(kinds)).head(limit))


def _all(result: Result, kinds: list[str]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = []
    for batch in result.iter_breaks():
        frame = pl.DataFrame(pl.from_arrow(batch)).filter(pl.col("kind").is_in(kinds))
        listed += _breaks(frame.head(BREAKS_IN_JSON - len(listed)))
        if len(listed) == BREAKS_IN_JSON:
            break
    return listed


def _breaks(frame: pl.DataFrame) -> list[dict[str, Any]]:
    first = ["kind"]
    rest = [name for name in frame.columns if name not in (*first, "break_id")]
    return [
        {key: value for key, value in row.items() if value is not None} for row in _rows(frame.select(*first, *rest))
    ]


def _rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return rows as JSON has them: times as ISO 8601, latencies as whole microseconds."""
    times, spans = pl.col(pl.Datetime("us", "UTC")), pl.col(pl.Duration("us"))
    plain = frame.with_columns(times.dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ"), spans.to_physical())
    return plain.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String)).to_dicts()


def _counted(failing: pl.DataFrame) -> list[str]:
    """The columns of counts in which any failing batch has one."""
    return [name for name in (*KINDS, *BESIDES) if failing.height and failing[name].sum()]


def _how(result: Result) -> dict[str, str]:
    """What the verdict stands on."""
    return {
        **{side: f"{read.location}, {read.how}" for side, read in result.sides.items()},
        "as_of": result.as_of.astimezone(dt.UTC).isoformat(),
        "strength": f"{result.strength}: {result.bound}",
        "self_test": result.self_test,
        "spec_sha256": result.spec_sha256,
    }


def _criterion(result: Result, assertion: Assertion) -> str | None:
    criteria = result.contract.criteria
    answer = None if criteria is None else getattr(criteria, assertion.value, None)
    return f"{criteria.set} {answer}" if criteria is not None and answer else None


class ExpectPromiseToBeKept(Rendered, BatchExpectation):
    """A promise of a contract, as a reconciliation judged it: what :func:`from_result` makes.

    It records a verdict and cannot be validated again; :class:`ExpectBatchesToReconcile` judges.

    Args:
        contract: The name of the contract.
        assertion: Which of its promises.
        source: Where the source was read.
        destination: Where the destination was read.
    """

    contract: str
    assertion: str
    source: str
    destination: str

    @classmethod
    def sentence(cls, kwargs: Mapping[str, Any]) -> Sentence:
        """Return what was promised, in words."""
        params = {name: said(kwargs.get(name)) for name in ("assertion", "contract", "source", "destination")}
        return "$assertion, as contract $contract promises it, from $source to $destination", params

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: ExecutionEngine[Any] | None = None,
    ) -> dict[str, Any]:
        raise UsageError("this only records what was judged before", "validate an ExpectBatchesToReconcile")
