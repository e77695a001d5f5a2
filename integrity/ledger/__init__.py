"""What was found on any day, provably unchanged since?"""

from __future__ import annotations

from integrity.ledger.book import Beginning, Ledger, Recording, TakenUp
from integrity.ledger.verification import Finding, Verification, verify

__all__ = ["Beginning", "Finding", "Ledger", "Recording", "TakenUp", "Verification", "verify"]
