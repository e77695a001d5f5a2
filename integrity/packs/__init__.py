"""What is given to somebody who has neither the ledger nor the data?"""

from __future__ import annotations

from integrity.packs.asking import Inclusion, included
from integrity.packs.cases import cases, trace
from integrity.packs.exporting import export
from integrity.packs.repeating import compare_again
from integrity.packs.reporting import report
from integrity.packs.verifying import PackVerification, verify_pack

__all__ = [
    "Inclusion",
    "PackVerification",
    "cases",
    "compare_again",
    "export",
    "included",
    "report",
    "trace",
    "verify_pack",
]
