"""How does another key take over, so that nobody else's can?

A leaf names both keys and is signed by both; the checkpoint behind it, too. From then on the new one signs.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from integrity.errors import LedgerError
from integrity.ledger.log import last_checkpoint
from integrity.ledger.reading import rotation_text

if TYPE_CHECKING:
    from integrity.ledger.book import Ledger

__all__ = ["rotate"]


def rotate(ledger: Ledger, new_key: str | os.PathLike[str]) -> Ledger:
    """Let a new key take over, and return the ledger that is signed by it.

    Args:
        ledger: Signed by the key until now.
        new_key: The file to be made for the new key. The old one stays where it is, and is of no more use.

    Raises:
        LedgerError: the file is there already or cannot be written, or the ledger cannot be.
    """
    before, after = ledger.key, ledger.key.succeeded()
    after.write(new_key)
    try:
        with ledger.database.writing() as connection:
            ledger.database.take_turn(connection)
            checkpoint = last_checkpoint(connection)
            assert checkpoint is not None, "an open ledger has a leaf"
            text = rotation_text(before.public, after.public, checkpoint.size)
            body = {
                "before": str(before.public),
                "key": str(after.public),
                "signatures": [before.sign(text).hex(), after.sign(text).hex()],
            }
            successor = replace(ledger, key=after)
            successor.said(connection, "rotated", body, before)
    except LedgerError:
        Path(new_key).unlink(missing_ok=True)  # nobody will ever ask for it
        raise
    return successor
