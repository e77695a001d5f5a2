"""Where do the octets of a mail wait that are too many for memory?

In a temporary file of our own, which nobody can cut short while it is looked at, and which goes with the mapping.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable, Iterable
from typing import IO, Any, TypeVar

from integrity.errors import StoreError

__all__ = ["LARGE", "kept"]

_T = TypeVar("_T")
#: Octets beyond which a mail waits in a temporary file instead of in memory.
LARGE = 4 * 2**20


def kept(pieces: Iterable[bytes]) -> bytes | mmap.mmap:
    """Return the octets of a mail that comes in pieces: in memory, or mapped from a temporary file if they are many.

    Raises:
        StoreError: there is no temporary disk, or it is full.
    """
    held: list[bytes] = []
    size = 0
    coming = iter(pieces)
    for piece in coming:
        held.append(piece)
        size += len(piece)
        if size > LARGE:
            break
    else:
        return held[0] if len(held) == 1 else b"".join(held)
    with _said(_temporary) as file:
        for piece in held:
            _said(file.write, piece)
        held.clear()
        for piece in coming:  # what cannot be read is said by whoever reads it
            _said(file.write, piece)
        _said(file.flush)
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _temporary() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="integrity-")


def _said(work: Callable[..., _T], *what: Any) -> _T:
    """Do something with a temporary file; that it fails must never look as if a mail were not there."""
    try:
        return work(*what)
    except OSError as error:
        raise StoreError(
            f"a mail of more than {LARGE:,} octets cannot be kept in a temporary file: {error}",
            "point TMPDIR at a larger disk that can be written to",
        ) from error
