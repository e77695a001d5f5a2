"""What may a gateway add to a mail, by declaration, without it being another mail?

A banner before the text, a tag in the subject, a disclaimer at the end. An addition is removed only where it was
declared to be, at most once in each place, and never from an attachment: what is removed is not compared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from integrity.transit import Addition

__all__ = ["REMOVABLE", "without_in_header", "without_in_text"]

#: What may stand before an addition at the beginning of a document, and after one at its end.
_OPENING = re.compile(rb"(?:.*<body[^>]*+>)?(?:\s++|<[^>]*+>)*+", re.DOTALL | re.IGNORECASE)
_CLOSING = re.compile(rb"(?:\s++|</[A-Za-z0-9]++\s*+>)*+")
#: Octets of decoded text beyond which nothing is searched for.
REMOVABLE = 4 * 2**20


def without_in_header(value: str, additions: Sequence[Addition]) -> tuple[str, list[str]]:
    """Return the value of a header without what was added before it, and the names of what was.

    Example:
        >>> tag = Addition(name="tag", to="subject", text="[EXTERNAL]", reason="policy of the gateway")
        >>> without_in_header("[EXTERNAL]  Offer", [tag])
        ('Offer', ['tag'])
    """
    found: list[str] = []
    left = list(additions)
    while left:
        for addition in left:
            words = re.match(r"\s*" + r"\s+".join(map(re.escape, addition.text.split())), value)
            if words:
                value = value[words.end() :].strip()
                found.append(addition.name)
                left.remove(addition)
                break
        else:
            break
    return value, found


def without_in_text(text: bytes, plain: bool, additions: Sequence[Addition]) -> tuple[bytes, list[str]]:
    """Return a text (UTF-8, LF, no line end at its end) without what was added to it, and the names of what was.

    One addition may hide another that was at the end before it, so they are tried until none is found.
    """
    found: list[str] = []
    left = list(additions)
    while left:
        for addition in left:
            added = addition.text.replace("\r\n", "\n").encode("utf-8", "replace")
            rest = _before_end(text, added) if plain else _around(text, added)
            if rest is not None:
                text = rest.rstrip(b"\n")
                found.append(addition.name)
                left.remove(addition)
                break
        else:
            break
    return text, found


def _before_end(text: bytes, added: bytes) -> bytes | None:
    added = added.rstrip(b"\n")
    if not text.endswith(added):
        return None
    rest = text[: -len(added)]
    # A line that was glued to somebody's last one is no addition: it may change what that says.
    return rest if not rest or rest.endswith(b"\n") or added.startswith(b"\n") else None


def _around(text: bytes, added: bytes) -> bytes | None:
    # With its own last line end where that is there, so that removing it leaves no empty line behind.
    for form in (added, added.rstrip(b"\n")):
        # In the middle it could be put around somebody's words, and change what they say.
        at = text.rfind(form)
        if at >= 0 and _CLOSING.fullmatch(text, at + len(form)):
            return text[:at] + text[at + len(form) :]
        at = text.find(form)
        if at >= 0 and _OPENING.fullmatch(text[:at]):
            return text[:at] + text[at + len(form) :]
    return None
