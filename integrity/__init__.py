"""Test that what went in came out: complete, accurate, timely, valid, batch by batch, with every exception named.

>>> import integrity
>>> result = integrity.reconcile("message", source="sqlite:///gateway.db#outbox", destination="archive/*.parquet")
... # doctest: +SKIP
"""

from integrity.contracts import Assertion, Contract, contract
from integrity.errors import (
    BalanceError,
    ConnectionLostError,
    ContractError,
    IntegrityError,
    MissingExtraError,
    PushdownError,
    SelfTestError,
    StoreError,
    UsageError,
)
from integrity.plan import explain
from integrity.reconciliation import measure, reconcile
from integrity.result import ReconciliationError, Result
from integrity.stores import Store, open_store
from integrity.totals import ControlTotals
from integrity.verdicts import Verdict

__all__ = [
    "Assertion",
    "BalanceError",
    "ConnectionLostError",
    "Contract",
    "ContractError",
    "ControlTotals",
    "IntegrityError",
    "MissingExtraError",
    "PushdownError",
    "ReconciliationError",
    "Result",
    "SelfTestError",
    "Store",
    "StoreError",
    "UsageError",
    "Verdict",
    "contract",
    "explain",
    "measure",
    "open_store",
    "reconcile",
]
