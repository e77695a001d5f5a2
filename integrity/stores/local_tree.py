"""Which files lie below a folder?

Names are octets here, as the system keeps them. Links are not followed: where one leads to is its content, and what
lies there is somebody else's. A folder that cannot be listed is an error, for nobody knows what is in it; a file that
cannot be read is an item of which that is said.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

from integrity.errors import StoreError, did_you_mean
from integrity.stores.left_out import LeftOut
from integrity.stores.trees import ChangedError, Entry, Octets, UnreadableError
from integrity.trees.names import alike, case_twins, text_of, without_partial

__all__ = ["LocalTree"]

_KINDS: Final = {
    stat.S_IFREG: "file",
    stat.S_IFLNK: "link",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "pipe",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}
#: Should a pipe or a link have taken a file's place meanwhile, it is neither waited for nor followed.
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
#: A folder and those in which it lies, each known by its device and number.
_Chain: TypeAlias = tuple[tuple[int, int], "_Chain | None"]


class LocalTree:
    """A folder and all that is in it.

    Args:
        where: Its path.
        stored: Which time of a file says when it was stored here: ``"modified"``, ``"changed"`` (it was not stored
            later than it was last changed in any way), or ``None``: a file system does not tell.

    Raises:
        StoreError: there is no such folder.
    """

    small = 1 << 18
    declares: Sequence[str] = ()

    def __init__(self, where: str, stored: str | None = None) -> None:
        self._given, self._stored = where, stored
        self._root = os.fsencode(os.path.abspath(os.path.expanduser(where)))
        self.name = f"tree {text_of(os.path.basename(self._root) or self._root)}"
        self.location = f"tree:{text_of(self._root)}"
        self.at_once = min(os.cpu_count() or 1, 8)
        self.remarks: Sequence[str] = ()

    def check(self) -> None:
        if "\0" in self._given:
            raise StoreError("a path cannot hold a NUL character", "check what it was made from")
        if os.path.isdir(self._root):
            return
        if os.path.lexists(self._root):
            raise StoreError(f"{text_of(self._root)} is no folder", "name the folder that holds the files")
        missing = self._root
        while not os.path.isdir(parent := os.path.dirname(missing)):
            missing = parent
        near = did_you_mean(text_of(os.path.basename(missing)), [text_of(name) for name in os.listdir(parent)])
        raise StoreError(f"there is no folder {text_of(missing)}", near)

    def entries(self) -> Generator[Entry, None, None]:
        left = LeftOut()
        root = os.stat(self._root)
        waiting: list[tuple[bytes, _Chain]] = [(b"", ((root.st_dev, root.st_ino), None))]
        while waiting:
            below, chain = waiting.pop()
            found = self._listed(below)
            names = {name: text_of(name) for name, _ in found}
            twins = _said_of_names(names, below, left)
            folders: list[tuple[bytes, _Chain]] = []
            for name, status in found:
                path = below + name
                if stat.S_ISDIR(status.st_mode):
                    here = status.st_dev, status.st_ino
                    if _holds(chain, here):
                        left.add("folders lead back into themselves, and were not entered again", text_of(path))
                    else:
                        folders.append((path + b"/", (here, chain)))
                    continue
                yield self._entry(path, status, twins.get(name))
                whole = without_partial(names[name])
                if whole is not None:  # also where an older one is there still, which it will replace
                    begun = text_of(below + os.fsencode(whole))
                    yield Entry(begun, path, begun_at=status.st_mtime_ns // 1000)
            if not found and below:
                left.add("folders are empty, which no file tells", text_of(below))
            waiting += reversed(folders)
        self.remarks = left.remarks()

    def _listed(self, below: bytes) -> list[tuple[bytes, os.stat_result]]:
        """What lies in a folder, in the order of its names; what goes meanwhile is not there."""
        path = os.path.join(self._root, below)
        found = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    try:
                        found.append((entry.name, entry.stat(follow_symlinks=False)))
                    except FileNotFoundError:
                        continue
        except FileNotFoundError as error:
            if not below:
                raise StoreError(f"{text_of(path)} is no longer there", "run again") from error
            return []
        except OSError as error:
            raise StoreError(
                f"{text_of(path)} cannot be listed: {error.strerror}", "look at its permissions, and run again"
            ) from error
        return sorted(found, key=lambda each: each[0])

    def _entry(self, path: bytes, status: os.stat_result, twin: str | None) -> Entry:
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "device")
        said = [twin] if twin is not None else []
        try:
            text = path.decode()
        except UnicodeDecodeError:
            text = text_of(path)
            said.append("its name is not UTF-8")
        target = None
        if kind == "link":
            try:
                target = os.readlink(os.path.join(self._root, path))
            except OSError as error:
                said.append(f"it cannot be read where it leads: {error.strerror}")
        stored = {None: None, "modified": status.st_mtime_ns, "changed": status.st_ctime_ns}[self._stored]
        return Entry(
            path=text,
            raw=path,
            kind=kind,
            size=len(target) if target is not None else status.st_size if kind == "file" else None,
            modified_at=status.st_mtime_ns // 1000,
            stored_at=None if stored is None else stored // 1000,
            permissions=f"{stat.S_IMODE(status.st_mode):04o}" if kind != "link" else None,
            owner=f"{status.st_uid}:{status.st_gid}",
            target=target,
            stamp=_stamp(status),
            defects="; ".join(said) or None,
        )

    def whole(self, entry: Entry) -> tuple[bytes, tuple[int | str, ...]]:
        descriptor = self._opened(entry)
        try:
            return os.read(descriptor, (entry.size or 0) + 1), _stamp(os.fstat(descriptor))
        except OSError as error:
            raise UnreadableError(f"cannot be read: {error.strerror}") from error
        finally:
            os.close(descriptor)

    @contextmanager
    def open(self, entry: Entry) -> Generator[Octets, None, None]:
        with open(self._opened(entry), "rb", buffering=0) as file:
            yield _File(file)

    def _opened(self, entry: Entry) -> int:
        try:
            return os.open(self._root + b"/" + entry.raw, _FLAGS)
        except FileNotFoundError:
            raise ChangedError from None
        except OSError as error:
            raise UnreadableError(f"cannot be opened: {error.strerror}") from error

    def where(self, entry: Entry) -> str:
        return os.path.join(os.fsdecode(self._root), os.fsdecode(entry.raw))

    def declared(self, entry: Entry) -> Mapping[str, str]:
        return {}


class _File:
    def __init__(self, file: io.FileIO) -> None:
        self._file = file

    def readinto(self, buffer: memoryview, /) -> int:
        try:
            return self._file.readinto(buffer) or 0
        except OSError as error:
            raise UnreadableError(f"cannot be read: {error.strerror}") from error

    def stamp(self) -> tuple[int | str, ...]:
        return _stamp(os.fstat(self._file.fileno()))


def _stamp(status: os.stat_result) -> tuple[int | str, ...]:
    # The time of the last change of any kind, too: a tool may set the time of modification, nobody sets this one.
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _holds(chain: _Chain | None, folder: tuple[int, int]) -> bool:
    while chain is not None:
        if chain[0] == folder:
            return True
        chain = chain[1]
    return False


def _said_of_names(names: Mapping[bytes, str], below: bytes, left: LeftOut) -> dict[bytes, str]:
    """Say which names of one folder are the same name to another system."""
    if all(map(bytes.isascii, names)):
        twins: Iterator[tuple[str, ...]] = iter(())
        if len({name.lower() for name in names}) < len(names):
            twins = case_twins(names.values())
        collisions: dict[str, list[str]] = {}
    else:
        twins, collisions = case_twins(names.values()), alike(names.values())
    for twin in twins:
        left.add("names differ from another one only in case: a Mac or Windows keeps one of them",
                 *(text_of(below) + name for name in twin[1:]))  # fmt: skip
    spelled = {name for group in collisions.values() for name in group}
    return {
        raw: "its folder holds another one of this name, in another Unicode form"
        for raw, name in names.items()
        if name in spelled
    }
