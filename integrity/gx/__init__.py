"""What does a user of Great Expectations write to have processing integrity in a suite?

Importing this registers the expectations, and imports Great Expectations, which takes seconds; ``import integrity``
alone does neither.

    >>> import integrity.gx as igx
    >>> igx.ExpectLatencyToBeWithin(event="sent_at", processed="stored_at", within="5s").expectation_type
    'expect_latency_to_be_within'
"""

from integrity.gx_import import great_expectations

great_expectations()  # before any part of it is imported, so that the process stays as it was

from integrity.gx.expectations import (  # noqa: E402
    ExpectBatchesToReconcile,
    ExpectControlTotalsToMatch,
    ExpectItemsToBeAuthorized,
)
from integrity.gx.latency import ExpectLatencyToBeWithin  # noqa: E402
from integrity.gx.recorded import control_totals  # noqa: E402
from integrity.gx.results import ExpectPromiseToBeKept, from_result  # noqa: E402

__all__ = [
    "ExpectBatchesToReconcile",
    "ExpectControlTotalsToMatch",
    "ExpectItemsToBeAuthorized",
    "ExpectLatencyToBeWithin",
    "ExpectPromiseToBeKept",
    "control_totals",
    "from_result",
]
