"""What do the rows of a table say, value by value: a number, a moment, a text?

Nothing is guessed: a time without a zone, or that is a bare number, is none.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

from integrity.stores.base import CHUNK_ROWS
from integrity.stores.columns import plain_batches
from integrity.stores.manifests.sources import Source
from integrity.values import instant

__all__ = ["micros_of", "number_of", "parquet_rows", "rows_of"]


def rows_of(batches: Iterable[pa.RecordBatch]) -> Iterator[Mapping[str, Any]]:
    """Yield each row, times to the microsecond."""
    for batch in batches:
        arrays = [
            array.cast(pa.timestamp("us", array.type.tz), safe=False) if pa.types.is_timestamp(array.type) else array
            for array in batch.columns
        ]
        for values in zip(*(array.to_pylist() for array in arrays), strict=True):
            yield dict(zip(batch.schema.names, values, strict=True))


def parquet_rows(source: Source, wanted: Collection[str]) -> Iterator[Mapping[str, Any]]:
    """Yield each row of a Parquet file: of its columns those that are wanted, called without underscores.

    Raises:
        StoreError: it cannot be read to its end.
    """
    import pyarrow.parquet

    with source.sentences(), source.place.open(source.path, mapped=False) as file:
        parquet = pyarrow.parquet.ParquetFile(
            file, pre_buffer=False, buffer_size=1 << 20, page_checksum_verification=True
        )
        theirs = {name.replace("_", "").lower(): name for name in parquet.schema_arrow.names}
        here = [name for name in theirs if name in wanted]
        columns = [theirs[name] for name in here]
        for batch in plain_batches(parquet.iter_batches(CHUNK_ROWS, columns=columns), columns):
            yield from rows_of([batch.rename_columns(here)])


def number_of(value: object) -> int | None:
    """Return a whole number that is not negative; ``None`` for anything else.

    Example:
        >>> number_of("12"), number_of(12.0), number_of("12.5"), number_of(-1)
        (12, 12, None, None)
    """
    if isinstance(value, (str, int, float, Decimal)) and not isinstance(value, bool):
        try:
            number = Decimal(value)
        except ArithmeticError:
            return None
        if number.is_finite() and 0 <= number < 2**63 and number == int(number):
            return int(number)
    return None


def micros_of(value: object, zone: str | None = None) -> int | None:
    """Return a moment in microseconds since the epoch, UTC; ``None`` if it is not certain which one is meant.

    Example:
        >>> micros_of("1970-01-01T00:00:01.5Z"), micros_of("1970-01-01 00:00:01")
        (1500000, None)
    """
    return instant(value, zone) if isinstance(value, (str, dt.datetime)) else None
