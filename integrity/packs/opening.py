"""How is a pack read of which nothing is believed yet?

Whoever made it may have signed it, too, so that no signature keeps nonsense out: whatever its files hold, it becomes a
flaw, never a crash.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow.parquet as pq

from integrity.errors import IntegrityError
from integrity.packs.files import PackError, read

__all__ = ["Flaw", "Pack", "open_pack"]

#: Each row has a digest, which does not shrink below its 32 octets.
_ROW: Final = 32
_BLOWN_UP: Final = 100
_SMALL: Final = 1 << 20
_NONSENSE: Final = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RuntimeError, OSError,
    pl.exceptions.PolarsError, pl.exceptions.PanicException, IntegrityError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something in a pack that does not fit.

    Attributes:
        where: Which file, and which row of it.
        why: What does not fit.
    """

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


@dataclass
class Pack:
    """A pack that was read, and what it says.

    Attributes:
        path: Where it is.
        files: By name.
        leaves: What its leaves say, by number.
        flaws: What did not fit so far.
        opened: How many private texts fit their commitments.
        erased: How many were erased, on record.
        left_out: How many were left out where names were replaced.
    """

    path: Path
    files: Mapping[str, bytes]
    leaves: dict[int, dict[str, Any]] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)
    opened: int = 0
    erased: int = 0
    left_out: int = 0

    def flaw(self, where: str, why: str) -> None:
        """Note what does not fit."""
        if (flaw := Flaw(where, why)) not in self.flaws:
            self.flaws.append(flaw)

    @contextlib.contextmanager
    def flawed(self, where: str) -> Iterator[None]:
        """Make a flaw of whatever goes wrong with what a file holds."""
        try:
            yield
        except _NONSENSE as error:
            said = error.problem if isinstance(error, IntegrityError) else f"it is not what an export writes: {error}"
            self.flaw(where, said.splitlines()[0][:160])

    def text(self, name: str) -> str:
        """Return a file as text.

        Raises:
            PackError: it is not there, or no text.
        """
        try:
            return self.files[name].decode()
        except KeyError:
            raise PackError(f"{self.path} is no evidence pack: it has no {name}", "look at its name") from None
        except UnicodeDecodeError:
            raise PackError(f"{name} in {self.path} is no text", "take the pack from where it was sent") from None

    def lines(self, name: str) -> Iterator[tuple[str, Any]]:
        """Yield where each line of a file is and what it says; one that is no JSON becomes a flaw."""
        for place, line in enumerate(self.text(name).splitlines()):
            where = f"{name}, line {place + 1}"
            with self.flawed(where):
                yield where, json.loads(line)

    def frame(self, run: str, table: str) -> pl.DataFrame | None:
        """Return the rows of a run; ``None`` where they are not there, or are none."""
        name = f"runs/{run}/{table}.parquet"
        octets = self.files.get(name)
        if octets is None or any(flaw.where == name for flaw in self.flaws):
            return None  # what nobody signed is not even read
        with self.flawed(name):
            told = pq.read_metadata(io.BytesIO(octets))
            size = sum(told.row_group(group).total_byte_size for group in range(told.num_row_groups))
            if told.num_rows * _ROW > len(octets) or size > _BLOWN_UP * len(octets) + _SMALL:
                self.flaw(name, f"it says that it holds {told.num_rows:,} rows in {size:,} octets, more than it can")
                return None
            return pl.read_parquet(io.BytesIO(octets))
        return None


def open_pack(path: str | os.PathLike[str]) -> Pack:
    """Read a pack.

    Raises:
        PackError: it is none.
    """
    return Pack(Path(path), read(Path(path)))
