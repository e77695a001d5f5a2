"""How does Great Expectations see the items? As pandas frames, each value as the contract reads it.

Numbers stay exact: whole ones are never made floats by a NULL beside them, decimals never at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from integrity.columns import Column, ColumnType
from integrity.rows import Chunk

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["columns_of", "to_pandas"]

_DAY = pl.Datetime("us")
_UTC = pl.Datetime("us", "UTC")


def columns_of(chunk: Chunk, names: Sequence[str]) -> dict[str, pa.Array[Any]]:
    """Return some columns of a chunk as Arrow: what the contract declares as it is read, the rest as it came."""
    return {name: _read(chunk, name) if name in chunk.types else chunk.arrays[name] for name in names}


def _read(chunk: Chunk, name: str) -> pa.Array[Any]:
    column = chunk.types[name]
    if column.type is ColumnType.FLOAT:
        return chunk.arrays[name]  # whose canonical value may be its bits
    values = chunk.values(name)
    text = values.text
    if values.unreadable is not None and values.unreadable.any():  # which makes the item invalid by itself
        text = pl.select(pl.when(~values.unreadable).then(text)).to_series()
    read: pa.Array[Any] = _typed(text, values.instants, column).to_arrow(compat_level=pl.CompatLevel.oldest())
    return read


def _typed(text: pl.Series, instants: pl.Series | None, column: Column) -> pl.Series:
    match column.type:
        case ColumnType.BOOLEAN:
            return text == "1"
        case ColumnType.TIMESTAMP if instants is not None:
            return instants.cast(_UTC)
        case ColumnType.DATE:
            return text.cast(pl.Int64, strict=False).cast(pl.Int32, strict=False).cast(pl.Date).cast(_DAY)
        case _:
            return text  # numbers become such in pandas, whatever their size


def to_pandas(columns: Mapping[str, Sequence[pa.Array[Any]]], types: Mapping[str, Column]) -> pd.DataFrame:
    """Return chunks of columns as one frame, its rows numbered from 0."""
    import pandas as pd

    series = {name: _series(chunks, types.get(name)) for name, chunks in columns.items()}
    return pd.DataFrame(series)


def _series(chunks: Sequence[pa.Array[Any]], column: Column | None) -> pd.Series[Any]:
    import pandas as pd

    kind = None if column is None else column.type
    if kind in (ColumnType.INTEGER, ColumnType.DECIMAL):
        assert column is not None
        text = pl.concat([_polars(chunk) for chunk in chunks])
        return _decimals(text, column.scale or 0) if kind is ColumnType.DECIMAL else _integers(text)
    if any(pa.types.is_union(chunk.type) for chunk in chunks) or len({chunk.type for chunk in chunks}) > 1:
        values = [value for chunk in chunks for value in chunk.to_pylist()]
        return pd.Series(values, dtype=object) if kind is not ColumnType.FLOAT else pd.to_numeric(pd.Series(values))
    whole = pa.chunked_array(list(chunks))
    if kind is ColumnType.FLOAT and not pa.types.is_floating(whole.type):
        return pd.to_numeric(pd.Series(whole.to_pylist()), errors="coerce")
    made: pd.Series[Any] = whole.to_pandas(types_mapper=_exact, date_as_object=False)
    return made


def _polars(chunk: pa.Array[Any]) -> pl.Series:
    series = pl.from_arrow(chunk)
    assert isinstance(series, pl.Series)
    return series.cast(pl.String)


def _exact(type_: pa.DataType) -> Any:
    """Whole numbers and truths stay what they are beside a NULL."""
    import pandas as pd

    names = {"int8": "Int8", "int16": "Int16", "int32": "Int32", "int64": "Int64", "uint8": "UInt8"}
    names |= {"uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64", "bool": "boolean"}
    name = names.get(str(type_))
    return None if name is None else pd.api.types.pandas_dtype(name)


def _integers(text: pl.Series) -> pd.Series[Any]:
    import pandas as pd

    numbers = text.cast(pl.Int64, strict=False)
    if numbers.null_count() > text.null_count():  # larger than a machine word
        return pd.Series([None if each is None else int(each) for each in text], dtype=object)
    if not numbers.null_count():
        return pd.Series(numbers.to_numpy())
    made: pd.Series[Any] = numbers.to_arrow().to_pandas(types_mapper=_exact)
    return made


def _decimals(text: pl.Series, scale: int) -> pd.Series[Any]:
    import pandas as pd

    values = [None if each is None else Decimal(f"{each}E-{scale}") for each in text]
    return pd.Series(values, dtype=object)
