"""Does a store hold the columns that were asked of it, and is what it hands over sound?

The checks that every store makes of names, and of Arrow data that this process did not build itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from integrity.errors import StoreError, did_you_mean
from integrity.stores.base import CHUNK_ROWS
from integrity.stores.objects import arrow_column

__all__ = ["check_columns", "plain_batches", "unique_columns"]


def check_columns(asked: Iterable[str], held: Collection[str], where: str) -> None:
    """Check that every asked column is held.

    Raises:
        StoreError: ``no column 'sent_at' in outbox; did you mean 'sentat'?``
    """
    names = list(asked)
    if not names:
        raise StoreError(f"no column was asked of {where}", "name one: rows without columns are not counted")
    for name in names:
        if name not in held:
            raise StoreError(f"no column {name!r} in {where}", did_you_mean(name, held))


def unique_columns(labels: Iterable[object], where: str) -> list[str]:
    """Return the labels as text, each of them once.

    Raises:
        StoreError: two columns have one name, so that neither can be meant by it.
    """
    names: dict[str, None] = {}
    for label in labels:
        name = str(label)
        if name in names:
            raise StoreError(f"column {name!r} is there twice in {where}", "rename one of them")
        names[name] = None
    return list(names)


def plain_batches(batches: Iterable[pa.RecordBatch], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield at most ``CHUNK_ROWS`` rows at a time of these columns, encodings undone and text checked."""
    for batch in batches:
        chosen = batch.select(list(columns))
        for start in range(0, chosen.num_rows, CHUNK_ROWS):
            chunk = chosen.slice(start, CHUNK_ROWS)
            yield pa.RecordBatch.from_arrays([_plain(array) for array in chunk.columns], list(columns))


def _plain(array: pa.Array[Any]) -> pa.Array[Any]:
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    elif isinstance(array, pa.RunEndEncodedArray):
        from pyarrow import compute  # only here: it takes its time to load

        array = compute.call_function("run_end_decode", [array])
    if (as_bytes := _AS_BYTES.get(array.type)) is not None:
        try:
            array.validate(full=True)  # readers do not, and text that is not UTF-8 crashes whoever decodes it
        except pa.ArrowInvalid:
            undecoded: pa.Array[Any] = array.view(as_bytes)
            undecoded.validate(full=True)  # else it is not only the text that is broken: looking could crash
            return arrow_column([_decoded(value) for value in undecoded.to_pylist()])
    return array


_AS_BYTES: dict[pa.DataType, pa.DataType] = {
    pa.string(): pa.binary(),
    pa.large_string(): pa.large_binary(),
    pa.string_view(): pa.binary_view(),
}


def _decoded(value: bytes | None) -> str | bytes | None:
    """Return text where it is UTF-8, else the bytes as they are, which no declared text reads."""
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value
