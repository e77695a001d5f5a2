"""What is a manifest as rows? One for each file that it claims to be there, in the columns of a tree."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Final

import pyarrow as pa

from integrity.stores.base import Span
from integrity.stores.manifests.claims import Claim, Manifest
from integrity.stores.showing import ShownStore
from integrity.stores.tree_rows import COLUMNS, EXACT, Row, batch_of
from integrity.stores.trees import Entry
from integrity.trees.digests import DIGESTS

__all__ = ["ManifestStore"]

_ROWS: Final = 8_192
#: What every manifest tells of a file, if only by its name.
_ALWAYS: Final = ("path", "raw_path", "name", "top", "kind", "defects")


class ManifestStore(ShownStore):
    """What a manifest claims, as rows.

    Args:
        manifest: Who claims it.

    Attributes:
        defects: The column that says what is wrong with a claim.
    """

    defects = "defects"

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self.covers = manifest.covers
        self.every = manifest.every
        self._told = manifest.told()

    @property
    def name(self) -> str:
        return self._manifest.name

    @property
    def location(self) -> str:
        return self._manifest.location

    @property
    def remarks(self) -> Sequence[str]:
        return self._manifest.remarks

    def columns(self) -> Sequence[str]:
        return list(self.types())

    def types(self) -> Mapping[str, pa.DataType]:
        return {name: kind for name, kind in COLUMNS.items() if name in self._names}

    @cached_property
    def _names(self) -> frozenset[str]:
        """Only what it tells: a column of nothing would look like a claim that there is nothing."""
        told = {*_ALWAYS, *(name for name in DIGESTS if name in self._told)}
        told |= {EXACT} if "sha256" in self._told else set()
        told |= {"size_bytes"} if "size" in self._told else set()
        return frozenset(told | ({"modified_at"} if "modified_at" in self._told else set()))

    def stream(self, columns: Sequence[str], span: Span | None = None) -> Iterator[pa.RecordBatch]:
        """Yield a row a claim."""
        yield from self._batches(columns, None)

    def head(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the first claims."""
        yield from self._batches(columns, rows)

    def _batches(self, columns: Sequence[str], limit: int | None) -> Iterator[pa.RecordBatch]:
        with contextlib.closing(self._manifest.claims()) as claims:
            wanted = islice(claims, limit)
            while rows := [_row(claim) for claim in islice(wanted, _ROWS)]:
                yield batch_of(rows, columns)
        yield batch_of([], columns)


def _row(claim: Claim) -> Row:
    entry = Entry(claim.path, claim.path.encode(), size=claim.size, modified_at=claim.modified_at)
    return Row(entry, claim.digests, None, claim.modified_at, claim.defects)
