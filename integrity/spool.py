"""Where do rows wait when there are more of them than memory should hold?

A spool keeps frames in memory while they are few and otherwise in temporary Arrow files, split by the hash of the
identity, so that all rows of one identity come back together and each part is small.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from integrity.errors import IntegrityError

__all__ = ["KEY", "PREFIX_BITS", "Log", "Sieve", "Spool", "together"]

#: The column of 64-bit identity hashes by which rows are split.
KEY = "__key"
#: How many leading bits of the identity hash the totals of a pass are also kept by.
PREFIX_BITS = 16
_PARTS = 64
#: Texts are written as copies: a view would take along the whole buffer that it looks into, once for each part.
_COPIED = pl.CompatLevel.oldest()
_IN_MEMORY = 48 * 2**20


class Spool:
    """Rows that wait, in parts by identity hash.

    Use as a context manager: the temporary files go when it closes.
    """

    def __init__(self, in_memory: int = _IN_MEMORY) -> None:
        self._limit = in_memory
        self._frames: list[pl.DataFrame] = []
        self._bytes = 0
        self._sealed = False
        self._folder: Path | None = None
        self._open: dict[int, tuple[pa.OSFile, pa.ipc.RecordBatchStreamWriter]] = {}
        self._schema: pl.Schema | None = None
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.clear()

    @property
    def spilled(self) -> bool:
        return self._folder is not None

    def add(self, frame: pl.DataFrame) -> None:
        """Keep some rows; every frame has the same columns, ``KEY`` among them."""
        self._schema = self._schema or frame.schema
        if frame.height == 0:
            return
        assert not self._sealed, "a spool is read only when all is in it"
        self.rows += frame.height
        self._frames.append(frame)
        self._bytes += int(frame.estimated_size())
        if self._bytes > (self._limit // 3 if self.spilled else self._limit):
            self.spill()
            self._flush()

    def spill(self) -> None:
        """Go to disk, and stay there."""
        if self.spilled:
            return
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="integrity-"))
        except OSError as error:
            raise _no_room(self.rows, error) from error

    def clear(self) -> None:
        """Forget all rows, also those on disk: what filled it starts anew."""
        self._close_writers()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder, self._schema = None, None
        self._frames.clear()
        self._bytes = self.rows = 0
        self._sealed = False

    def part(self, number: int) -> pl.DataFrame | None:
        """Return one part; ``None`` where it holds nothing. An unspilled spool has all its rows in part 0."""
        if not self.spilled:
            return pl.concat(self._frames) if number == 0 and self._frames else None
        self._sealed = True
        self._flush()
        self._close_writers()
        path = self._path(number)
        if not path.exists():
            return None
        with pa.OSFile(str(path), "rb") as file, pa.ipc.open_stream(file) as reader:
            frame = pl.from_arrow(reader.read_all())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def empty(self) -> pl.DataFrame:
        """Return a frame of no rows, with the columns of this spool (none if nothing was ever added)."""
        return pl.DataFrame(schema=self._schema)

    def parts(self) -> Iterator[pl.DataFrame]:
        """Yield the parts that hold anything."""
        for number in range(_PARTS if self.spilled else 1):
            frame = self.part(number)
            if frame is not None:
                yield frame

    def _path(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number:02d}.arrows"

    def _flush(self) -> None:
        """Write what waits in memory, in one go: many small writes would cost more than the rows."""
        if not self._frames:
            return
        waiting = pl.concat(self._frames).with_columns((pl.col(KEY) % _PARTS).cast(pl.UInt8).alias("__part"))
        self._frames.clear()
        self._bytes = 0
        try:
            for rows in waiting.partition_by("__part"):
                table = rows.drop("__part").to_arrow(compat_level=_COPIED)
                number = rows["__part"][0]
                if number not in self._open:
                    sink = pa.OSFile(str(self._path(number)), "wb")
                    self._open[number] = (sink, pa.ipc.new_stream(sink, table.schema))
                self._open[number][1].write_table(table)
        except OSError as error:
            raise _no_room(self.rows, error) from error

    def _close_writers(self) -> None:
        for sink, writer in self._open.values():
            with contextlib.suppress(OSError):  # a full disk was already said when it was written to
                writer.close()
            sink.close()
        self._open.clear()


def together(*spools: Spool) -> Iterator[tuple[pl.DataFrame, ...]]:
    """Yield the parts of some spools side by side: all rows of one identity are in one tuple."""
    if any(spool.spilled for spool in spools):
        for spool in spools:
            spool.spill()
    for number in range(_PARTS if spools[0].spilled else 1):
        parts = [spool.part(number) for spool in spools]
        if any(part is not None for part in parts):
            yield tuple(spool.empty() if part is None else part for spool, part in zip(spools, parts, strict=True))


class Log:
    """Frames in the order in which they came, in memory while they are few, else in one temporary file.

    The file goes with the object, so whoever holds a log can read it as often as they like.
    """

    def __init__(self, in_memory: int = _IN_MEMORY) -> None:
        self._limit = in_memory
        self._frames: list[pl.DataFrame] = []
        self._bytes = 0
        self._path: Path | None = None
        self._open: tuple[pa.OSFile, pa.ipc.RecordBatchStreamWriter] | None = None
        self.rows = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Keep some rows; every frame has the same columns."""
        self.rows += frame.height
        if self._path is None:
            if frame.height or not self._frames:
                self._frames.append(frame)
            self._bytes += int(frame.estimated_size())
            if self._bytes > self._limit:
                self._spill()
        elif frame.height:
            self._write(frame)

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield what was kept."""
        if self._path is None:
            yield from self._frames
            return
        self._close()
        with pa.OSFile(str(self._path), "rb") as file, pa.ipc.open_stream(file) as reader:
            for batch in reader:
                frame = pl.from_arrow(batch)
                assert isinstance(frame, pl.DataFrame)
                yield frame

    def _spill(self) -> None:
        try:
            handle, name = tempfile.mkstemp(prefix="integrity-", suffix=".arrows")
            os.close(handle)
        except OSError as error:
            raise _no_room(self.rows, error) from error
        self._path = Path(name)
        weakref.finalize(self, self._path.unlink, missing_ok=True)
        frames, self._frames = self._frames, []
        for frame in frames:
            self._write(frame)

    def _write(self, frame: pl.DataFrame) -> None:
        table = frame.to_arrow(compat_level=_COPIED)
        try:
            if self._open is None:
                sink = pa.OSFile(str(self._path), "wb")
                self._open = (sink, pa.ipc.new_stream(sink, table.schema))
            self._open[1].write_table(table, max_chunksize=65_536)
        except OSError as error:
            raise _no_room(self.rows, error) from error

    def _close(self) -> None:
        if self._open is not None:
            sink, writer = self._open
            writer.close()
            sink.close()
            self._open = None


def _no_room(rows: int, error: OSError) -> IntegrityError:
    return IntegrityError(
        f"cannot keep {rows:,} rows in {tempfile.gettempdir()}: {error}", "point TMPDIR at a larger disk"
    )


class Sieve:
    """A set of identity hashes of any size in 16 MiB: never misses a member, and lets a few others through.

    What passes is compared exactly afterwards, so a false member costs time and nothing else.
    """

    _BITS = 27

    def __init__(self) -> None:
        self._bits = np.zeros(1 << (self._BITS - 3), dtype=np.uint8)
        self.empty = True

    def add(self, keys: pl.Series) -> None:
        if keys.len() == 0:
            return
        slots = keys.to_numpy() >> np.uint64(64 - self._BITS)
        np.bitwise_or.at(self._bits, slots >> np.uint64(3), (1 << (slots & np.uint64(7))).astype(np.uint8))
        self.empty = False

    def add_prefixes(self, prefixes: npt.NDArray[np.int64]) -> None:
        """Add every identity whose hash begins with one of these 16-bit prefixes."""
        if len(prefixes):
            self._bits.reshape(1 << PREFIX_BITS, -1)[prefixes] = 0xFF
            self.empty = False

    def merge(self, other: Sieve) -> None:
        """Add the members of another sieve."""
        if not other.empty:  # most are, and reading all of their bits is what would make them take room
            self._bits |= other._bits
            self.empty = False

    def holds(self, keys: pl.Series) -> pl.Series:
        slots = keys.to_numpy() >> np.uint64(64 - self._BITS)
        return pl.Series((self._bits[slots >> np.uint64(3)] >> (slots & np.uint64(7)).astype(np.uint8)) & 1).cast(
            pl.Boolean
        )
