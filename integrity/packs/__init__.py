"""What is given to somebody who has neither the ledger nor the data?"""

from __future__ import annotations

from integrity.packs.asking import Inclusion, included
from integrity.packs.exporting import export
from integrity.packs.verifying import PackVerification, verify_pack

__all__ = ["Inclusion", "PackVerification", "export", "included", "verify_pack"]
