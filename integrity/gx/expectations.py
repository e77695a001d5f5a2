"""What can be expected of a batch that is one side of a pipeline?

Each expectation is a run of ours on the batch that Great Expectations is at. What could not be judged is not a success,
and what could not be carried out raises a sentence, which is reported as the exception of this expectation alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from great_expectations.compatibility import pydantic

from integrity.contracts import Assertion
from integrity.errors import UsageError
from integrity.gx.batch import promised
from integrity.gx.judging import Judging, Moment, Parameter, Where, role_of, with_span
from integrity.gx.recorded import difference, recorded, rows_of
from integrity.gx.rendering import Sentence, named, said
from integrity.gx.results import judged
from integrity.reconciliation import measure, reconcile
from integrity.verdicts import Verdict

__all__ = [
    "ExpectBatchesToReconcile",
    "ExpectControlTotalsToMatch",
    "ExpectItemsToBeAuthorized",
]

_SIDES = ("source", "destination")
#: So many differing batches are told.
_BATCHES = 20


class ExpectBatchesToReconcile(Judging):
    """Expect that what went in came out: this batch is one side, and all batches of the contract reconcile.

    It succeeds if, and only if, :func:`integrity.reconcile` says ``pass``.

    Args:
        contract: A built-in contract's name, a path to YAML, the YAML itself, a mapping, or a Contract.
        other: The other side: its URL or path, or ``{"url": …, "query": …}``; without a password.
        side: Which side this batch is, ``destination`` or ``source``.
        outcomes: A store of what ended elsewhere.
        grants: A store of who may act on what, from when until when.
        since: First instant of event time, on a window boundary; ISO 8601 text with its offset.
        until: First instant no longer asked for.
        as_of: Decides which windows are closed; the moment of reading if left out.
        columns: ``{"source": {"msg_id": "message_id"}}``: theirs to ours.
        timezone: ``{"destination": "Asia/Seoul"}``: how to read naive timestamps.
        skip: ``{"timeliness": "why"}``: promises left out on purpose.
        pushdown: Whether databases total their own items.
    """

    contract: str | dict[str, Any]
    other: Where
    side: Literal["source", "destination"] | Parameter = "destination"
    outcomes: Where | None = None
    grants: Where | None = None
    since: Moment = None
    until: Moment = None
    as_of: Moment = None
    columns: dict[str, Any] = pydantic.Field(default_factory=dict)
    timezone: dict[str, Any] = pydantic.Field(default_factory=dict)
    skip: dict[str, Any] = pydantic.Field(default_factory=dict)
    pushdown: str | Parameter = "auto"

    success_keys: ClassVar[tuple[str, ...]] = (
        "contract", "other", "side", "outcomes", "grants", "since", "until", "as_of", "columns", "timezone", "skip",
        "pushdown",
    )  # fmt: skip

    @classmethod
    def sentence(cls, kwargs: Mapping[str, Any]) -> Sentence:
        """Return what is expected, in words."""
        params = {"contract": named(kwargs.get("contract")), "other": said(kwargs.get("other"))}
        if kwargs.get("side", "destination") == "source":
            text = "must have arrived at $other, as contract $contract promises"
        else:
            text = "must hold what $other says, as contract $contract promises"
        return with_span(text, params, kwargs)

    def _judged(self, batch: Any, result_format: Any) -> dict[str, Any]:
        source, destination = (batch, self.other) if role_of(self.side) == "source" else (self.other, batch)
        result = reconcile(
            promised(self.contract),
            source,
            destination,
            since=self.since,  # type: ignore[arg-type]
            until=self.until,  # type: ignore[arg-type]
            as_of=self.as_of,  # type: ignore[arg-type]
            outcomes=self.outcomes,
            skip=self.skip,
            columns=self.columns,
            timezone=self.timezone,
            pushdown=self.pushdown,  # type: ignore[arg-type]
            grants=self.grants,
        )
        return {"success": result.verdict is Verdict.PASS, "result": judged(result, result_format)}


class ExpectItemsToBeAuthorized(Judging):
    """Expect that every item of this batch was authorized: its actor held a grant for its object, at that moment.

    The batch is the source of the contract, whose ``authorization`` says which columns tell actor and object. The other
    promises are not judged here.

    Args:
        contract: As for :class:`ExpectBatchesToReconcile`.
        grants: The store of grants: its URL or path, or ``{"url": …, "query": …}``; without a password.
        since: First instant of event time, on a window boundary.
        until: First instant no longer asked for.
        as_of: Decides which windows are closed; the moment of reading if left out.
        columns: The batch's column names to the contract's.
        grants_columns: The grants' column names to the contract's.
        timezone: How to read naive timestamps of the batch.
        grants_timezone: How to read those of the grants.
    """

    contract: str | dict[str, Any]
    grants: Where
    since: Moment = None
    until: Moment = None
    as_of: Moment = None
    columns: dict[str, Any] = pydantic.Field(default_factory=dict)
    grants_columns: dict[str, Any] = pydantic.Field(default_factory=dict)
    timezone: str | Parameter | None = None
    grants_timezone: str | Parameter | None = None

    success_keys: ClassVar[tuple[str, ...]] = (
        "contract", "grants", "since", "until", "as_of", "columns", "grants_columns", "timezone", "grants_timezone",
    )  # fmt: skip

    @classmethod
    def sentence(cls, kwargs: Mapping[str, Any]) -> Sentence:
        """Return what is expected, in words."""
        params = {"contract": named(kwargs.get("contract")), "grants": said(kwargs.get("grants"))}
        return with_span("must be covered by a grant in $grants, as contract $contract promises", params, kwargs)

    def _judged(self, batch: Any, result_format: Any) -> dict[str, Any]:
        promise = promised(self.contract)
        if promise.authorization is None:
            raise UsageError(
                f"contract {promise.name!r} promises no authorization",
                "add authorization: {actor, object, grants} to it",
            )
        others = [each for each in promise.assertions if each is not Assertion.AUTHORIZATION]
        zones = {} if self.timezone is None else dict.fromkeys(_SIDES, self.timezone)
        result = reconcile(
            promise,
            batch,
            batch,
            since=self.since,  # type: ignore[arg-type]
            until=self.until,  # type: ignore[arg-type]
            as_of=self.as_of,  # type: ignore[arg-type]
            skip={each.value: "only authorization is expected here" for each in others},
            columns=dict.fromkeys(_SIDES, self.columns) | {"grants": self.grants_columns},
            timezone=zones | ({"grants": self.grants_timezone} if self.grants_timezone is not None else {}),  # type: ignore[arg-type]
            grants=self.grants,
        )
        verdict = result.assertions[Assertion.AUTHORIZATION]
        return {
            "success": verdict is Verdict.PASS and result.verdict is Verdict.PASS,
            "result": judged(result, result_format, Assertion.AUTHORIZATION),
        }


class ExpectControlTotalsToMatch(Judging):
    """Expect that the control totals of this batch are those that were recorded, earlier or elsewhere.

    Records, amounts and hash totals are compared, window by window, as far as they were recorded. The content of items
    is vouched for by the hash totals alone, so without them the result says what was not compared.

    Args:
        contract: As for :class:`ExpectBatchesToReconcile`.
        totals: What was recorded: JSON (as :func:`integrity.gx.control_totals` gives it, or its text), or the path of a
            JSON, Parquet or Arrow file that holds control totals. Integers and text, never floats.
        side: Which side of the contract this batch is, ``destination`` or ``source``.
        since: First instant of event time, on a window boundary.
        until: First instant no longer asked for.
        as_of: Later event times are from the future; now if left out.
        columns: The batch's column names to the contract's.
        timezone: How to read naive timestamps of the batch.
        pushdown: Whether a database totals its own items.
    """

    contract: str | dict[str, Any]
    totals: str | dict[str, Any] | list[dict[str, Any]]
    side: Literal["source", "destination"] | Parameter = "destination"
    since: Moment = None
    until: Moment = None
    as_of: Moment = None
    columns: dict[str, Any] = pydantic.Field(default_factory=dict)
    timezone: str | Parameter | None = None
    pushdown: str | Parameter = "auto"

    success_keys: ClassVar[tuple[str, ...]] = (
        "contract", "totals", "side", "since", "until", "as_of", "columns", "timezone", "pushdown",
    )  # fmt: skip

    @classmethod
    def sentence(cls, kwargs: Mapping[str, Any]) -> Sentence:
        """Return what is expected, in words."""
        totals = kwargs.get("totals")
        by_path = isinstance(totals, str) and not totals.lstrip().startswith(("{", "["))
        where = said(totals) if by_path or (isinstance(totals, Mapping) and "$PARAMETER" in totals) else "given here"
        params = {"contract": named(kwargs.get("contract")), "totals": where}
        return with_span("must have the control totals $totals, under contract $contract", params, kwargs)

    def _judged(self, batch: Any, result_format: Any) -> dict[str, Any]:
        promise = promised(self.contract)
        expected = recorded(self.totals, promise)
        measured = measure(
            promise,
            batch,
            side=role_of(self.side),
            since=self.since,  # type: ignore[arg-type]
            until=self.until,  # type: ignore[arg-type]
            as_of=self.as_of,  # type: ignore[arg-type]
            columns=self.columns,
            timezone=self.timezone,  # type: ignore[arg-type]
            pushdown=self.pushdown,  # type: ignore[arg-type]
        )
        found = rows_of(measured, promise)
        keys = sorted({*expected, *found}, key=lambda key: [(part is None, str(part)) for part in key])
        differing = [
            dict(zip((*promise.partition, "batch_start"), key, strict=True)) | unequal
            for key in keys
            if (unequal := difference(expected.get(key), found.get(key), promise))
        ]
        everything = {"records", "hash", *(f"amount.{name}" for name in promise.amounts)}
        compared = set.intersection(*(set(row) for row in expected.values())) if expected else set()
        unproven, invalid = (int(measured.frame[name].sum()) for name in ("unproven", "invalid"))
        notes = []
        if missing := sorted(name.removeprefix("amount.") for name in everything - compared if expected):
            notes.append(f"not recorded for every batch, and so not compared: {', '.join(missing)}")
        if unproven:
            notes.append(f"the content of {unproven:,} items could not be compared: they lack a declared digest")
        if invalid:
            notes.append(f"{invalid:,} items are invalid, and counted as they are")
        if not measured.records or not expected:
            nothing = "no item" if not measured.records else "no recorded total"
            notes.append(f"there was {nothing} to compare")
        of = f"{len(differing):,} of {len(keys):,} batches"
        if differing:
            verdict, text = Verdict.FAIL, f"totals differ in {of}"
        elif unproven or not measured.records or not expected:
            verdict, text = Verdict.UNVERIFIED, notes[-1]
        else:
            verdict, text = Verdict.PASS, f"totals are equal in {len(keys):,} batches, {measured.records:,} records"
        details = {
            "verdict": verdict.value,
            "contract": {"name": promise.name, "version": promise.version, "sha256": promise.sha256},
            "compared": sorted(compared),
            "batches_failing": len(differing),
            "batches": differing[:_BATCHES],
            "notes": notes,
            "how": {
                "measured": measured.location,
                "compared": ", ".join(sorted(name.removeprefix("amount.") for name in compared)),
                "strength": "accident: 2^-128 for each hash total that is compared",
            },
        }
        observed = {"observed_value": f"{verdict.value}: {text}", "details": details, "element_count": measured.records}
        return {"success": verdict is Verdict.PASS, "result": observed}
