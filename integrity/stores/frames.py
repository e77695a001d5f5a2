"""How does a table that is already in memory become a store?

pandas, Polars, Arrow and whatever else speaks Arrow's C stream protocol. None of them is imported here unless
the caller already did, and none is copied whole: each pass converts ``CHUNK_ROWS`` rows at a time.

**NULL in pandas.** pandas writes NULL as ``None``, ``NA``, ``NaT`` or the float NaN, and a float column
cannot hold NULL but as NaN. It cannot tell the two apart, so neither can this: in pandas' float and object
columns NaN *is* NULL. In Polars, in Arrow and in pandas' Arrow-backed columns NaN stays a float, and NULL is
NULL.
"""

from __future__ import annotations

import contextlib
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from integrity.errors import StoreError
from integrity.stores.base import CHUNK_ROWS, Span, Store
from integrity.stores.columns import check_columns, plain_batches, unique_columns
from integrity.stores.objects import arrow_column
from integrity.stores.showing import ShownStore

__all__ = ["FrameStore", "frame_store"]


class FrameStore(ShownStore, ABC):
    """A table in memory. A subclass for each kind says how to name its columns and slice its rows."""

    def __init__(self, table: Any, name: str) -> None:
        self.name = name
        self.location = f"{name} in memory"
        self._table = table

    def columns(self) -> Sequence[str]:
        """Return the names of the columns; of labels that are not text, as in pandas, their ``str()``."""
        return unique_columns(self._labels(), self.name)

    def types(self) -> Mapping[str, pa.DataType]:
        """Return the types of the columns, but for those of Python objects, of which each value has its own."""
        return {field.name: field.type for field in self._schema()}

    def stream(self, columns: Sequence[str], span: Span | None = None) -> Iterator[pa.RecordBatch]:
        """Yield every row, whatever the span: there is nothing to be gained by skipping what is in memory."""
        held = self.columns()
        check_columns(columns, held, self.name)
        yield from plain_batches(self._slices(columns, held), columns)

    @abstractmethod
    def _labels(self) -> Sequence[object]: ...

    @abstractmethod
    def _schema(self) -> pa.Schema: ...

    @abstractmethod
    def _slices(self, columns: Sequence[str], held: Sequence[str]) -> Iterator[pa.RecordBatch]: ...


def frame_store(table: object) -> FrameStore | None:
    """Return a store of a table in memory, or ``None`` if this is no such table.

    Raises:
        StoreError: it can be streamed, but once only.
    """
    if isinstance(table, pa.RecordBatchReader):
        raise StoreError(
            "a RecordBatchReader can be read only once, and a reconciliation reads more than once",
            "pass its .read_all()",
        )
    if isinstance(table, pa.RecordBatch):
        return _ArrowTable(pa.Table.from_batches([table]), "Arrow record batch")
    if isinstance(table, pa.Table):
        return _ArrowTable(table, "Arrow table")
    if _is(table, "pyarrow.dataset", "Dataset"):
        return _ArrowDataset(table, "Arrow dataset")
    if _is(table, "pandas", "DataFrame"):
        return _Pandas(table, "pandas frame")
    if _is(table, "polars", "DataFrame"):
        return _Polars(table, "Polars frame")
    if _is(table, "polars", "LazyFrame"):
        return _PolarsLazy(table, "Polars lazy frame")
    if hasattr(table, "__arrow_c_stream__") and not isinstance(table, Store):
        return _ArrowStream(table, f"{type(table).__module__.partition('.')[0]} {type(table).__name__}")
    return None


def _is(table: object, module: str, name: str) -> bool:
    """Tell whether this is of a class whose module may not be imported: who has one, has imported it."""
    cls = getattr(sys.modules.get(module), name, None)
    return cls is not None and isinstance(table, cls)


class _ArrowTable(FrameStore):
    def _labels(self) -> Sequence[object]:
        names: Sequence[object] = self._table.column_names
        return names

    def _schema(self) -> pa.Schema:
        schema: pa.Schema = self._table.schema
        return schema

    def _slices(self, columns: Sequence[str], held: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from self._table.select(list(columns)).to_batches(max_chunksize=CHUNK_ROWS)


class _ArrowDataset(FrameStore):
    def _labels(self) -> Sequence[object]:
        names: Sequence[object] = self._table.schema.names
        return names

    def _schema(self) -> pa.Schema:
        schema: pa.Schema = self._table.schema
        return schema

    def _slices(self, columns: Sequence[str], held: Sequence[str]) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._table.to_batches(
                columns=list(columns), batch_size=CHUNK_ROWS, batch_readahead=4, fragment_readahead=1
            )
        except (pa.ArrowException, OSError) as error:
            raise StoreError(f"{self.name} cannot be read to its end: {error}") from error


class _ArrowStream(FrameStore):
    """Anything with ``__arrow_c_stream__``. Whether it starts anew each time, only time shows."""

    _rows = 0

    def _reader(self) -> pa.RecordBatchReader:
        try:
            return pa.RecordBatchReader.from_stream(self._table)
        except (pa.ArrowException, OSError, TypeError, ValueError) as error:
            raise StoreError(
                f"{self.name} does not stream as a table: {error}",
                "pass a table of named columns that can be read more than once",
            ) from error

    def _labels(self) -> Sequence[object]:
        with self._reader() as reader:
            return reader.schema.names

    def _schema(self) -> pa.Schema:
        with self._reader() as reader:
            return reader.schema

    def _slices(self, columns: Sequence[str], held: Sequence[str]) -> Iterator[pa.RecordBatch]:
        rows = 0
        with self._reader() as reader:
            try:
                for batch in reader:
                    rows += batch.num_rows
                    yield batch
            except (pa.ArrowException, OSError) as error:
                raise StoreError(f"{self.name} cannot be read to its end: {error}") from error
        if self._rows and not rows:
            raise StoreError(
                f"{self.name} gave {self._rows} rows before and none now: it can be read only once",
                "pass a table, for example pyarrow.table(...) of it",
            )
        self._rows = rows


class _Polars(FrameStore):
    def _labels(self) -> Sequence[object]:
        names: Sequence[object] = self._table.columns
        return names

    def _schema(self) -> pa.Schema:
        return _polars_schema(self._table.clear())

    def _slices(self, columns: Sequence[str], held: Sequence[str]) -> Iterator[pa.RecordBatch]:
        chosen = self._table.select(columns)
        for start in range(0, chosen.height, CHUNK_ROWS):
            yield _polars_batch(chosen.slice(start, CHUNK_ROWS))


class _PolarsLazy(FrameStore):
    def _labels(self) -> Sequence[object]:
        with _polars_errors(self.name):
            names: Sequence[object] = self._table.collect_schema().names()
            return names

    def _schema(self) -> pa.Schema:
        with _polars_errors(self.name):
            return _polars_schema(self._table.collect_schema().to_frame())

    def _slices(self, columns: Sequence[str], held: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with _polars_errors(self.name):
            for frame in self._table.select(columns).collect_batches(chunk_size=CHUNK_ROWS):
                yield _polars_batch(frame)


@contextlib.contextmanager
def _polars_errors(name: str) -> Iterator[None]:
    """Turn what a lazy query raises into a sentence: a file may be missing, a cast may fail."""
    try:
        yield
    except (sys.modules["polars"].exceptions.PolarsError, OSError) as error:
        # Neither the query, on further lines, nor the values, in brackets, which may be private.
        reason = re.split(r"\n|: \[", str(error))[0]
        raise StoreError(f"the query of the {name} fails: {reason}") from None


def _polars_batch(frame: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([_polars_array(series) for series in frame.iter_columns()], frame.columns)


def _polars_schema(empty: Any) -> pa.Schema:
    typed = [name for name, dtype in empty.schema.items() if not dtype.is_object()]
    return _polars_batch(empty.select(typed)).schema


def _polars_array(series: Any) -> pa.Array[Any]:
    # Polars hands Python objects to Arrow as the addresses they lie at, and 128-bit integers as a type of its
    # own.
    if not series.dtype.is_object() and series.dtype not in _polars_own_types():
        array: pa.Array[Any] = series.to_arrow()
        return array
    return arrow_column(series.to_list())


def _polars_own_types() -> tuple[Any, ...]:
    polars = sys.modules["polars"]
    return polars.Int128, polars.UInt128


class _Pandas(FrameStore):
    """Its index is no column: ``reset_index()`` makes it one."""

    def _labels(self) -> Sequence[object]:
        return list(self._table.columns)

    def _schema(self) -> pa.Schema:
        empty = self._table.iloc[:0]
        is_object = sys.modules["pandas"].api.types.is_object_dtype
        places = [place for place, dtype in enumerate(empty.dtypes) if not is_object(dtype)]
        arrays = [_pandas_array(empty.iloc[:, place]) for place in places]
        return pa.schema([(str(empty.columns[place]), array.type) for place, array in zip(places, arrays, strict=True)])

    def _slices(self, columns: Sequence[str], held: Sequence[str]) -> Iterator[pa.RecordBatch]:
        places = [list(held).index(name) for name in columns]  # by place: a label need not be text
        for start in range(0, len(self._table), CHUNK_ROWS):
            rows = self._table.iloc[start : start + CHUNK_ROWS]
            yield pa.RecordBatch.from_arrays([_pandas_array(rows.iloc[:, place]) for place in places], list(columns))


def _pandas_array(series: Any) -> pa.Array[Any]:
    pandas = sys.modules["pandas"]
    if isinstance(series.dtype, pandas.CategoricalDtype):
        series = series.cat.remove_unused_categories()
        codes = series.cat.codes.to_numpy()
        return _pandas_array(series.cat.categories.to_series()).take(pa.array(codes, mask=codes < 0))
    if isinstance(series.dtype, pandas.DatetimeTZDtype):
        series = series.dt.tz_convert("UTC")  # Arrow does not know every time zone that Python does
    if series.dtype != object:
        try:
            array: Any = pa.array(series, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError):
            pass  # a type that Arrow does not know: its values one by one
        else:
            if isinstance(array, pa.ChunkedArray):
                array = pa.concat_arrays(array.chunks)
            if not isinstance(array, pa.ExtensionArray) or isinstance(array, pa.UuidArray):
                arrow: pa.Array[Any] = array
                return arrow
            # Periods and intervals are bare numbers to Arrow; their values say what they are.
    nulls = series.isna().tolist()
    values = series.tolist()
    return arrow_column([None if null else value for value, null in zip(values, nulls, strict=True)])
