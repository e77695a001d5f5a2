"""What is a tree of files as rows? One for each file and link, with the digests of its content as columns.

The files come from :class:`~integrity.stores.trees.Tree`. Each is read once, in pieces, several at a time; which
digests are made of it depends on what the other side tells, for like is compared with like.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, TypeAlias

import pyarrow as pa

from integrity.stores.base import Counterpart, DigestingStore, Span, Store
from integrity.stores.left_out import LeftOut
from integrity.stores.showing import ShownStore
from integrity.stores.tree_rows import COLUMNS, EXACT, Row, batch_of
from integrity.stores.trees import ChangedError, Entry, Octets, Tree, UnreadableError
from integrity.stores.wanted import Wanted
from integrity.trees.cache import HashCache, Remembered
from integrity.trees.digests import DIGESTS, HEX, Digest, Multipart, digest, part_sizes
from integrity.trees.several import Stop, in_order

__all__ = ["TreeStore"]

_ROWS: Final = 4_096
_PIECE: Final = 1 << 20
#: Octets, all told, of the files that are read where only a few rows are wanted.
_GLANCE: Final = 1 << 24
#: How many files are read at a glance where each is asked for over a line.
_FEW: Final = 16
#: A digest, and of an ETag its value, which says how to compute it; else an empty text.
_Wanted: TypeAlias = tuple[str, str]


class _Task(NamedTuple):
    """A file, which digests are wanted of it, and what is known of it from an earlier run."""

    entry: Entry
    wanted: tuple[_Wanted, ...]
    known: Remembered | None = None


@dataclass(frozen=True, repr=False)
class TreeStore(ShownStore):
    """Files as rows.

    Attributes:
        tree: Where they lie.
        reads: Whether digests are computed from the octets, rather than taken from what the place declares.
        cache: The file in which digests are remembered from run to run; ``None``: none are.
        kinds: The digests that are wanted of each file.
        other: The side that tells which digest it has of each file, where that differs from file to file.
        covers: Whether the other side claims to list such a file, by its path and by where it lies.
    """

    tree: Tree
    reads: bool = True
    cache: str | None = None
    kinds: tuple[str, ...] = ("sha256",)
    other: Counterpart | None = None
    covers: Callable[[str, str], bool] | None = None
    _remarks: list[str] = field(default_factory=list, init=False, compare=False)

    defects = "defects"
    announced = "begun_at"

    @property
    def name(self) -> str:
        return self.tree.name

    @property
    def location(self) -> str:
        return self.tree.location

    @property
    def remarks(self) -> Sequence[str]:
        """What has to be said of the last pass."""
        return [*self.tree.remarks, *self._remarks]

    @property
    def computes(self) -> bool:
        """Whether its digests are computed from what is there."""
        return self.reads

    def columns(self) -> Sequence[str]:
        return list(self.types())

    def types(self) -> Mapping[str, pa.DataType]:
        made = {*(self.kinds if self.reads else self.tree.declares)}
        without = {name for name in DIGESTS if name not in made} | ({EXACT} if "sha256" not in made else set())
        return {name: kind for name, kind in COLUMNS.items() if name not in without}

    def meeting(self, other: Counterpart) -> Store:
        """Return the same files, with the digests by which the other side knows them."""
        covers = getattr(other.store, "covers", None)
        here = replace(self, covers=covers)
        if not self.reads or (isinstance(other.store, DigestingStore) and other.store.computes):
            return here
        told = tuple(name for name in DIGESTS if name in other.theirs)
        if getattr(other.store, "every", False) and "etag" not in told:  # each of them has to be right, as in a bag
            return replace(here, kinds=told)
        if len(told) > 1 or told == ("etag",):
            return replace(here, kinds=told, other=other)
        return replace(here, kinds=told)

    def afresh(self) -> Store:
        """Return the same files, each read when it is asked for."""
        return replace(self, cache=None)

    def stream(self, columns: Sequence[str], span: Span | None = None) -> Iterator[pa.RecordBatch]:
        """Yield a row a file; a tree has no index by time, so that all of it is read whatever is asked."""
        said = _Said()
        with contextlib.ExitStack() as stack:
            wanted = self._wanted(columns, stack)
            cache = None
            if self.cache is not None and self.reads:
                cache = stack.enter_context(HashCache(self.cache, self.tree.location))
            rows: list[Row] = []
            tasks = self._tasks(columns, wanted, cache, said)
            done = stack.enter_context(
                contextlib.closing(in_order(tasks, self._read, self.tree.at_once, lambda task: self._is_quick(task)))
            )
            for each in done:
                if each is None:  # a large file is being read: no row, but a sign of life
                    yield batch_of([], columns)
                    continue
                task, row = each
                said.heard(task.entry, row, columns, task.known)
                if cache is not None and task.known is None and row.hashed_at is not None and row.digests:
                    at, entry = row.hashed_at, task.entry
                    cache.remember(entry.raw, entry.stamp, row.digests, at, entry.modified_at)
                rows.append(row)
                if len(rows) == _ROWS:
                    yield batch_of(rows, columns)
                    rows = []
            yield batch_of(rows, columns)
        self._remarks[:] = said.all(columns, self)

    def head(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the first files, as far as they are read at a glance."""
        glance, rows = _GLANCE, rows if self.tree.small >= 0 else min(rows, _FEW)
        found: list[Row] = []
        with contextlib.closing(self.tree.entries()) as entries:
            for entry in entries:
                glance -= entry.size or 0
                if len(found) == rows or glance < 0:
                    break
                if entry.begun_at is None:
                    wanted = tuple((name, "") for name in self.kinds if name != "etag" and name in columns)
                    found.append(self._read(_Task(entry, wanted), Stop())[1])
        yield batch_of(found, columns)

    # --- what is wanted of each file

    def _wanted(self, columns: Sequence[str], stack: contextlib.ExitStack) -> Callable[[Entry], tuple[_Wanted, ...]]:
        asked = {name for name in self.kinds if name in columns or (name == "sha256" and EXACT in columns)}
        if not asked:
            return lambda entry: ()
        if self.other is None:
            everywhere: tuple[_Wanted, ...] = tuple((name, "") for name in self.kinds if name in asked)
            return lambda entry: everywhere
        wanted = stack.enter_context(Wanted(self.other, [name for name in self.kinds if name in asked]))
        return lambda entry: wanted.of(entry.path)

    def _tasks(
        self,
        columns: Sequence[str],
        wanted: Callable[[Entry], tuple[_Wanted, ...]],
        cache: HashCache | None,
        said: _Said,
    ) -> Iterator[_Task]:
        for entry in self.tree.entries():
            if self.covers is not None and not self.covers(entry.path, self.tree.where(entry)):
                said.left.add("files are none that the manifest claims to list, and were left out", entry.path)
            elif entry.begun_at is None:
                task = _Task(entry, wanted(entry) if entry.kind in ("file", "link") else ())
                if cache is not None and entry.kind == "file" and task.wanted:
                    # How an ETag is made differs from one to the next.
                    names = [name for name, value in task.wanted if not value]
                    known = cache.known(entry.raw, entry.stamp, names) if len(names) == len(task.wanted) else None
                    task = task._replace(known=known)
                yield task
            elif self.announced in columns:
                yield _Task(entry, ())

    # --- reading one

    def _is_quick(self, task: _Task) -> bool:
        if task.known is not None or not task.wanted:
            return True
        return task.entry.kind == "link" or (self.reads and (task.entry.size or 0) <= self.tree.small)

    def _read(self, task: _Task, stop: Stop) -> tuple[_Task, Row]:
        entry = task.entry
        if task.known is not None:
            digests = {name: task.known.digests[name] for name, _ in task.wanted}
            return task, Row(entry, digests, task.known.at, entry.modified_at, entry.defects)
        if not task.wanted or (entry.kind == "link" and entry.target is None):
            return task, Row(entry, {}, None, entry.modified_at, entry.defects)
        makers = [_Maker.of(name, value, entry.size or 0) for name, value in task.wanted]
        at = time.time_ns() // 1000
        try:
            if entry.target is not None:
                whole = _fed(makers, [entry.target]) == entry.size
            elif self._is_quick(task):
                octets, stamp = self.tree.whole(entry)
                whole = _fed(makers, [octets]) == entry.size and stamp == entry.stamp
            elif not self.reads:
                return task, Row(entry, self.tree.declared(entry), None, entry.modified_at, entry.defects)
            else:
                with self.tree.open(entry) as file:
                    whole = _fed(makers, _pieces(file, stop)) == entry.size and file.stamp() == entry.stamp
        except ChangedError:
            whole = False
        except UnreadableError as error:
            said = "; ".join(text for text in (entry.defects, str(error)) if text)
            return task, Row(entry, {}, None, entry.modified_at, said)
        if not whole:  # what has become of it, a later run says: until then it was changed just now
            return task, Row(entry, {}, None, time.time_ns() // 1000, entry.defects)
        # Of several ETags that are told of one name, the one that this file has.
        digests = {maker.name: made for maker in makers if (made := maker.made()) is not None}
        return task, Row(entry, digests, at, entry.modified_at, entry.defects)


@dataclass(frozen=True)
class _Maker:
    """What one digest of a file is made by; of an ETag, one for each size of parts that it may have been made with."""

    name: str
    digests: tuple[Digest, ...]
    value: str = ""

    @classmethod
    def of(cls, name: str, value: str, size: int) -> _Maker:
        if name in HEX:
            return cls(name, (digest(name),))
        how, _, told = value.rpartition(":")
        parts = told.strip('"').rpartition("-")[2]
        if how.isdigit():
            return cls(name, (Multipart(int(how)),), value)
        if "-" not in told:  # uploaded at once: it is an MD5, unless it was encrypted
            return cls(name, (digest("md5"),), value)
        sizes = part_sizes(size, int(parts)) if parts.isdigit() else ()
        return cls(name, tuple(Multipart(part) for part in sizes), value)

    def made(self) -> str | None:
        """Return the digest; of an ETag of which nobody knows how it was made, only if it is the one that is told."""
        made = [each.hexdigest() for each in self.digests]
        if self.name in HEX:
            return made[0]
        how, _, told = self.value.rpartition(":")
        if how.isdigit():
            return f"{how}:{made[0]}"
        return self.value if told.strip('"').lower() in made else None


_thread = threading.local()


def _pieces(octets: Octets, stop: Stop) -> Iterator[memoryview]:
    if not hasattr(_thread, "buffer"):
        _thread.buffer = bytearray(_PIECE)
    view = memoryview(_thread.buffer)
    while (count := octets.readinto(view)) and not stop.is_set():
        yield view[:count]


def _fed(makers: Sequence[_Maker], pieces: Iterator[memoryview] | Sequence[bytes]) -> int:
    """Give every piece to every digest; return how many octets there were."""
    digests, size = [each for maker in makers for each in maker.digests], 0
    for piece in pieces:
        size += len(piece)
        for each in digests:
            each.update(piece)
    return size


class _Said:
    """What has to be said of a pass, in bounded memory."""

    def __init__(self) -> None:
        self.left = LeftOut()
        self._known = self._fresh = self._files = 0
        self._oldest: int | None = None
        self._permissions = self._stored = False

    def heard(self, entry: Entry, row: Row, columns: Sequence[str], known: Remembered | None) -> None:
        self._files += entry.begun_at is None
        self._permissions |= entry.permissions is not None
        self._stored |= entry.stored_at is not None
        if known is not None:
            self._known += 1
            self._oldest = known.at if self._oldest is None else min(self._oldest, known.at)
        else:
            self._fresh += row.hashed_at is not None

    def all(self, columns: Sequence[str], store: TreeStore) -> list[str]:
        remarks = self.left.remarks()
        if self._permissions and "permissions" not in columns:
            remarks.append("permissions and owners not compared")
        if self._files and not self._stored and "stored_at" in columns:
            remarks.append("nobody says when its files were stored (?stored=changed takes their last change)")
        if store.reads and not store.kinds and self._files:
            remarks.append("the other side tells no digest, so no content was read")
        if not store.reads and self._files:
            remarks.append("digests are those that it declares; no content was read (?hash=read reads it)")
        if self._known:
            assert self._oldest is not None
            oldest = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._oldest // 1_000_000))
            remarks.append(
                f"{self._fresh:,} digests were computed in this run, {self._known:,} remembered from an earlier one, "
                f"the oldest of {oldest} (bits that rotted since would not be seen; --rehash reads all)"
            )
        return remarks
