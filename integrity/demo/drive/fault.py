"""What is a fault of the drive, and whom does it befall?

Each is a small function that takes one healthy file as the log tells it and as the store has it. What a reconciliation
must say of it follows from the contract of files: a path is one name in whatever Unicode form, capitals are letters of
their own, and content is compared by the digest that the log tells.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from typing import TypeAlias

from integrity.demo import shelf as shelves
from integrity.demo.drive.cabinet import Cabinet, Filed, Fits, parted
from integrity.demo.drive.names import decomposed
from integrity.trees.names import is_text

__all__ = [
    "Expected",
    "FileFault",
    "Spoil",
    "by_md5",
    "compatible",
    "dropped",
    "fault",
    "in_korean",
    "korean",
    "named",
    "parts_of",
    "plain",
    "renamed",
    "solid",
    "text",
]

#: The breaks to be found: each has a kind and a path.
Expected: TypeAlias = Iterable[tuple[str, str | None]]
#: Spoil a file and return the breaks to be found; or change nothing and return None.
Spoil: TypeAlias = Callable[[Cabinet, Filed], Expected | None]
#: Its rate is per 3,000 files.
FileFault: TypeAlias = shelves.Fault[Cabinet, Filed, tuple[str, str | None]]


# Whom faults befall ---------------------------------------------------------------------------------------


def plain(filed: Filed) -> bool:
    """Whether it is one whose SHA-256 the log tells, and whose content nobody else has."""
    return filed.sort == "plain"


def solid(filed: Filed) -> bool:
    """Whether there is something in it besides text, so that every octet counts."""
    return plain(filed) and filed.kind != "text" and len(filed.data) > 1_000


def text(filed: Filed) -> bool:
    """Whether it is a text of several lines, with Hangul."""
    return plain(filed) and filed.kind == "text" and not filed.data.isascii() and filed.data.count(b"\n") > 2


def by_md5(filed: Filed) -> bool:
    """Whether the log tells nothing but its MD5."""
    return filed.sort == "md5" and len(filed.data) > 10


def dropped(filed: Filed) -> bool:
    """Whether it is of a folder that was uploaded as a whole."""
    return filed.sort == "folder"


def parts_of(told: bool) -> Fits:
    """Return what tells whether a file was sent in parts, whose size the client tells, or does not."""
    return lambda filed: filed.sort == "parts" and (":" in (filed.logged[0].etag or "")) is told


def named(filed: Filed) -> bool:
    """Whether its name, folders aside, has capitals or small letters to confuse."""
    return plain(filed) and _name(filed).swapcase() != _name(filed)


def korean(filed: Filed) -> bool:
    """Whether its name, folders aside, has a Mac's spelling."""
    return plain(filed) and decomposed(_name(filed)) != _name(filed)


def in_korean(filed: Filed) -> bool:
    """Whether an old Korean system can write its name, in octets that are no UTF-8."""
    try:
        octets = _name(filed).encode("cp949")
    except UnicodeError:
        return False
    return korean(filed) and not is_text(octets) and b"/" not in octets and b"\\" not in octets


def compatible(filed: Filed) -> bool:
    """Whether its name has characters that NFKC makes others of."""
    return plain(filed) and unicodedata.normalize("NFKC", _name(filed)) != _name(filed)


def _name(filed: Filed) -> str:
    return filed.path.rpartition("/")[2]


# What faults are made of ----------------------------------------------------------------------------------


def fault(
    shelf: list[FileFault], name: str, why: str, *, rate: float = 1, fits: Fits = plain
) -> Callable[[Spoil], Spoil]:
    """Put a fault on a shelf: a list, in which faults stand in the order of their code."""
    return shelves.enter(shelf, name, why, rate, fits)


def renamed(cabinet: Cabinet, filed: Filed, name: str | bytes, folder: str | None = None) -> Expected | None:
    """Give what is stored another name, in its folder or in another, which is then nobody else's."""
    (stored,) = filed.stored
    above = parted(stored.raw)[0] if folder is None else folder.encode()
    former, stored.raw = stored.raw, above + (name if isinstance(name, bytes) else name.encode())
    if stored.path == filed.path or not cabinet.free(stored.path):
        stored.raw = former
        return None
    return [("lost", filed.path), ("extra", stored.path)]
