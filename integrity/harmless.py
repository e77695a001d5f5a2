"""How is text that came from the data shown, so that it does no harm?

A name, a reason or a value may hold anything. In one line of a screen or a page it must neither move the cursor, nor
turn what stands beside it around, nor be half a character.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any, Final

__all__ = ["json_text", "plain"]

#: Format characters that only join what stands beside them, as in a family emoji; others could reverse a line.
_JOINERS: Final = "\u200c\u200d"
#: What JSON leaves as it is, and a terminal may obey, or cannot write: controls, turners of lines, half a character.
_STEERING: Final = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def json_text(document: Any) -> str:
    """Return a document as JSON that a terminal shows as harmlessly as it is read: what would steer one is escaped.

    Example:
        >>> print(json_text({"naïve": "a\x1b[31m\x9b\u202e"}))
        {
         "naïve": "a\\u001b[31m\\u009b\\u202e"
        }
    """
    text = json.dumps(document, ensure_ascii=False, indent=1)
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


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
