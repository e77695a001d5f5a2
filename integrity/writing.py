"""How does a file come to be whole, or not at all?

Whatever is written for others to read is written beside its place and put there at the end. So nobody reads half of it,
and where it cannot be written to its end (a disk that is full, a process that is killed) the older one is still there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from integrity.errors import IntegrityError

__all__ = ["atomically", "write_atomically"]


@contextlib.contextmanager
def atomically(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that is put in its place when the block ends, and thrown away where it ends with an error.

    What it is written to meanwhile begins with a dot and ends with ``.part``, so that a collector of ``*.prom`` passes
    over it. A link is followed, the permissions of an older file are kept, and one that may not be written is not
    replaced. What is no file (``/dev/stdout``, a pipe) is written to as it is.

    Raises:
        IntegrityError: it cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomically(f"{folder}/a.txt") as file:
        ...         _ = file.write(b"whole")
        ...     Path(folder, "a.txt").read_text()
        'whole'
    """
    try:
        place = _place(path)
        beside = None if place is None else place.parent / f".{place.name[:40]}.{secrets.token_hex(8)}.part"
        file = _begun(Path(path) if beside is None else beside, place)
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        raise _unwritable(path, error) from error
    try:
        with file:
            yield file
            file.flush()
            if place is not None:
                os.fsync(file.fileno())  # some file systems say only now that there is no room
        if beside is not None and place is not None:
            beside.replace(place)
    except BaseException as error:
        if beside is not None:
            with contextlib.suppress(OSError):
                beside.unlink()
        if isinstance(error, OSError):
            raise _unwritable(path, error) from error
        raise


def write_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Write a text as UTF-8, as :func:`atomically` does. A lone surrogate is written as JSON writes it.

    Raises:
        IntegrityError: it cannot be written.
    """
    with atomically(path) as file:
        file.write(text.encode(errors="backslashreplace"))


def _place(path: str | os.PathLike[str]) -> Path | None:
    """Where a file is put; ``None`` where what is there is no file, or one that this process has open."""
    place = Path(os.path.realpath(path))
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        above = os.path.realpath(Path(path).parent)
        if not stat.S_ISREG(mode) or above == "/dev" or above.startswith("/proc/"):
            return None
        if not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return place


def _begun(beside: Path, place: Path | None) -> BinaryIO:
    """Open what is written to, for whoever may read what it replaces."""
    if place is None or not place.exists():
        return beside.open("wb")
    file = os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), "wb")
    with contextlib.suppress(OSError):  # a file system without permissions
        beside.chmod(stat.S_IMODE(place.stat().st_mode))
    return file


def _unwritable(path: str | os.PathLike[str], error: OSError | ValueError) -> IntegrityError:
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return IntegrityError(f"cannot write {os.fspath(path)!r}: {why}", "name a writable place")
