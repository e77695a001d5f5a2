"""What is a file called, so that two systems agree on it?

Systems keep names as octets (Linux, S3), as UTF-16 (Windows), or in a Unicode form of their own (a Mac). Here a name is
its octets read as UTF-8; what is none of UTF-8 is written as ``\\xNN``, and said. Nothing is normalised: the contract
does that, with NFC (never NFKC, under which ㈜ would become (주)), so that two names which become one are seen.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator

__all__ = ["PARTIAL", "alike", "case_twins", "is_text", "key_of", "text_of", "without_partial"]

#: How programs call a file that is not there in full yet.
PARTIAL = (".part", ".partial", ".filepart", ".crdownload")


def text_of(name: bytes | str) -> str:
    r"""Return a name as text that can be written anywhere.

    Example:
        >>> text_of("각서.txt".encode()), text_of(b"caf\xe9.txt")
        ('각서.txt', 'caf\\xe9.txt')
    """
    if isinstance(name, str):  # the system decoded it, and kept as a surrogate what it could not decode
        return name.encode(errors="surrogateescape").decode(errors="backslashreplace") if not is_text(name) else name
    return name.decode(errors="backslashreplace")


def is_text(name: bytes | str) -> bool:
    """Tell whether a name is UTF-8, or was."""
    try:
        name.decode() if isinstance(name, bytes) else name.encode()
    except UnicodeError:
        return False
    return True


def key_of(name: str) -> str:
    """Return what two spellings of one name have in common: its NFC form."""
    return unicodedata.normalize("NFC", name)


def alike(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names that are one name in NFC and yet spelled in several ways, by that name.

    Example:
        >>> sorted(map(len, alike(["각", "\u1100\u1161\u11a8", "b"])["각"]))
        [1, 3]
    """
    return {key: spelled for key, spelled in _grouped(names, key_of) if len(spelled) > 1}


def case_twins(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Yield names that differ in nothing but case: on a Mac or on Windows they are one file."""
    for _, spelled in _grouped(names, lambda name: key_of(key_of(name).casefold())):
        if len({key_of(name) for name in spelled}) > 1:
            yield tuple(spelled)


def _grouped(names: Iterable[str], key: Callable[[str], str]) -> Iterator[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    yield from groups.items()


def without_partial(name: str) -> str | None:
    """Return what a file is called when it is there in full; ``None`` for a name that does not say that it is not.

    Example:
        >>> without_partial("film.mkv.part"), without_partial("film.mkv")
        ('film.mkv', None)
    """
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in PARTIAL else None
