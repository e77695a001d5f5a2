"""Are two names one person's, as far as names can tell?

A name is what somebody typed. Two that look alike on a screen are taken for the same person: letters in either case,
whole or composed, wide or narrow, with blanks or signs between them that nobody sees. Names that hold such signs, or
letters of several alphabets in one word, are not taken at all. That somebody is who they say is for access control.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

from integrity.checks import texts
from integrity.errors import UsageError

__all__ = ["named_person", "same_person"]

#: What a screen shows nothing of, beside format characters: the code points that Unicode calls default ignorable.
_UNSEEN: Final = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF),
)  # fmt: skip
#: Alphabets whose letters are taken for each other.
_ALIKE: Final = ("LATIN", "CYRILLIC", "GREEK")


def same_person(one: str, other: str) -> bool:
    """Return whether two names are one person's.

    Example:
        >>> same_person("Kim", " kim\\ufe0f"), same_person("ＪＯＳÉ", "jose\\u0301"), same_person("kim", "lee")
        (True, True, False)
    """
    return _folded(one) == _folded(other)


def named_person(role: str, name: str) -> str:
    """Return a name as it is put on record.

    Args:
        role: What the person does there, for the error.
        name: As somebody gave it.

    Raises:
        UsageError: it is no text, empty, holds what no screen shows, or mixes alphabets within a word.

    Example:
        >>> named_person("by", "  Anna   Kim ")
        'Anna Kim'
    """
    texts(**{role: name})
    said = unicodedata.normalize("NFC", " ".join(name.split()))
    if not said:
        raise UsageError(f"nobody is named: {role} is empty", f"give {role}")
    if not said.isprintable() or any(map(_is_unseen, said)):
        raise UsageError(f"{role} holds signs that no screen shows", "write the name as plain text, on one line")
    if any(len(set(_alphabets(word))) > 1 for word in said.split()):
        raise UsageError(f"{role} mixes letters of several alphabets in one word: {said}", "write the name in one")
    return said


def _folded(name: str) -> str:
    """What remains of a name if all that may look different in it, or not at all, is taken off."""
    seen = "".join(sign for sign in unicodedata.normalize("NFKC", name) if not _is_unseen(sign))
    return " ".join(unicodedata.normalize("NFKC", seen.casefold()).split())


def _is_unseen(sign: str) -> bool:
    return unicodedata.category(sign) == "Cf" or any(first <= ord(sign) <= last for first, last in _UNSEEN)


def _alphabets(word: str) -> Iterator[str]:
    for sign in word:
        alphabet = unicodedata.name(sign, "").partition(" ")[0]
        if alphabet in _ALIKE:
            yield alphabet
