"""How is text that came from the data shown, so that it does no harm?

A name, a reason or a value may hold anything. In one line of a screen or a page it must neither move the cursor, nor
turn what stands beside it around, nor be half a character.
"""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["plain"]

#: Format characters that only join what stands beside them, as in a family emoji; others could reverse a line.
_JOINERS: Final = "\u200c\u200d"


def plain(value: object, width: int = 48) -> str:
    """Return a value of the data as one harmless line.

    Example:
        >>> plain("a\\x1b[31m\\nb"), plain(None)
        ('a␛[31m␊b', '∅')
    """
    if value is None:
        return "∅"
    text = "".join(
        chr(0x2400 + ord(c))
        if ord(c) < 0x20
        else "�"
        if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in _JOINERS
        else c
        for c in str(value)
    )
    return text if len(text) <= width else text[: width - 1] + "…"
