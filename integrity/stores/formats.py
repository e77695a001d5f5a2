"""How is a file of one format read as Arrow: no more of it than is needed, and no less than is there?

Parquet and Arrow carry their types; CSV and JSON Lines (``text_formats``) do not. A reader gets a
:class:`Source`, which knows where the bytes are, and raises what went wrong as it is: ``files`` makes the
sentence, because it knows what the file is called.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import pyarrow as pa

from integrity.stores.base import CHUNK_ROWS, Span
from integrity.stores.columns import check_columns, unique_columns

__all__ = ["Format", "Source", "arrow", "parquet"]


class Source(Protocol):
    """The decompressed bytes of one file, as often as they are asked for."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def stream(self) -> AbstractContextManager[pa.NativeFile]:
        """Open it to be read once, from its start."""
        ...

    def random(self, *, mapped: bool = False) -> AbstractContextManager[pa.NativeFile]:
        """Open it to be read at any place; through the memory map of a local file if that is wished for."""
        ...


class Format(NamedTuple):
    """How to read the files of one format.

    Attributes:
        columns: The names that a file has, each once.
        batches: Rows with at least the asked columns, after a check that the file has them. A format whose
            rows leave out what they do not have need not find what is in the third argument: an earlier file
            had it.
        rowless: May a file be empty, and say nothing of its columns?
        types: The types of a file's columns, where the format has any.
    """

    columns: Callable[[Source], list[str]]
    batches: Callable[[Source, Sequence[str], Collection[str], Span | None], Iterator[pa.RecordBatch]]
    rowless: bool = False
    types: Callable[[Source], dict[str, pa.DataType]] | None = None


# Parquet


def _parquet_columns(source: Source) -> list[str]:
    with source.random() as file, _parquet(file) as parquet_file:
        return unique_columns(parquet_file.schema_arrow.names, source.name)


def _parquet_types(source: Source) -> dict[str, pa.DataType]:
    with source.random() as file, _parquet(file) as parquet_file:
        return {field.name: field.type for field in parquet_file.schema_arrow}


def _parquet_batches(
    source: Source, columns: Sequence[str], known: Collection[str], span: Span | None
) -> Iterator[pa.RecordBatch]:
    with source.random() as file, _parquet(file) as parquet_file:
        check_columns(columns, unique_columns(parquet_file.schema_arrow.names, source.name), source.name)
        groups = [
            group
            for group in range(parquet_file.metadata.num_row_groups)
            if span is None or _may_hold(parquet_file, group, span)
        ]
        yield from parquet_file.iter_batches(CHUNK_ROWS, row_groups=groups, columns=list(columns))


def _parquet(file: pa.NativeFile) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(
        file,
        pre_buffer=False,  # it would keep what it has read of every row group until the last
        buffer_size=1 << 20,
        page_checksum_verification=True,
    )


_TICKS = {"milliseconds": 1_000, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = 86_400_000_000
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND + _DAY
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND - _DAY


def _may_hold(parquet_file: Any, group: int, span: Span) -> bool:
    """Tell whether a row group may hold a row of the span. Only a proof that it does not makes this false.

    What has no readable time is always asked for. So it is read for one NULL, for a time out of the years 1
    to 9999, or for a local time near a change of its clocks, which that change may have made ambiguous.
    """
    bounds = _bounds(parquet_file, group, span.column)
    if bounds is None:
        return True
    first, last, aware = bounds
    if first < _FIRST or last > _LAST:
        return True
    if not aware:
        offset = _steady_offset(span.zone, first - _DAY, last + _DAY)
        if offset is None:
            return True
        first, last = first - offset, last - offset
    return any((start is None or start <= last) and (end is None or first < end) for start, end in span.intervals)


def _bounds(parquet_file: Any, group: int, column: str) -> tuple[int, int, bool] | None:
    """Return the first and last time in microseconds and whether they are instants, if that is certain."""
    schema = parquet_file.metadata.schema
    for index in range(len(schema)):
        field = schema.column(index)
        if field.name == field.path == column:  # a field inside another has the other's name in its path
            break
    else:
        return None
    arrow_type = parquet_file.schema_arrow.field(column).type
    logical = json.loads(field.logical_type.to_json())
    ticks = _TICKS.get(logical.get("timeUnit"))
    if logical["Type"] != "Timestamp" or not pa.types.is_timestamp(arrow_type) or ticks is None:
        return None
    aware = arrow_type.tz is not None
    statistics = parquet_file.metadata.row_group(group).column(index).statistics
    if aware is not logical["isAdjustedToUTC"] or statistics is None or not statistics.has_min_max:
        return None
    if not statistics.has_null_count or statistics.null_count:
        return None
    # Raw: as datetimes they would lose their nanoseconds. Rounded outwards.
    return statistics.min_raw * 1_000_000 // ticks, -(-statistics.max_raw * 1_000_000 // ticks), aware


def _steady_offset(zone: str | None, first: int, last: int) -> int | None:
    """Return the zone's offset from UTC in microseconds, if it is the same from first to last."""
    if zone is None or last - first > 1_000 * _DAY:
        return None
    clock = ZoneInfo(zone)
    # Day by day: no clock was ever changed and changed back within less than four.
    instants = (_EPOCH + at * _MICROSECOND for at in range(first, last + _DAY, _DAY))
    offsets = {instant.astimezone(clock).utcoffset() for instant in instants}
    offset = offsets.pop()
    return None if offsets or offset is None else offset // _MICROSECOND


parquet = Format(_parquet_columns, _parquet_batches, types=_parquet_types)


# Arrow's own files


def _arrow_columns(source: Source) -> list[str]:
    with source.random(mapped=True) as file:
        return unique_columns(_arrow_reader(file).schema.names, source.name)


def _arrow_types(source: Source) -> dict[str, pa.DataType]:
    with source.random(mapped=True) as file:
        return {field.name: field.type for field in _arrow_reader(file).schema}


def _arrow_batches(
    source: Source, columns: Sequence[str], known: Collection[str], span: Span | None
) -> Iterator[pa.RecordBatch]:
    with source.random(mapped=True) as file:
        reader = _arrow_reader(file)
        check_columns(columns, unique_columns(reader.schema.names, source.name), source.name)
        if isinstance(reader, pa.RecordBatchFileReader):
            batches: Iterator[pa.RecordBatch] = map(reader.get_batch, range(reader.num_record_batches))
        else:
            batches = iter(reader)
        for batch in batches:
            chosen = batch.select(list(columns))
            for array in chosen.columns:
                # The bytes of the file *are* the array here: a broken one would crash whoever looks at it.
                # Text is checked for all formats alike, value by value.
                if not pa.types.is_string(array.type) and not pa.types.is_large_string(array.type):
                    array.validate(full=True)
            yield chosen
        if isinstance(reader, pa.RecordBatchStreamReader):
            _check_end(file)


def _arrow_reader(file: pa.NativeFile) -> pa.RecordBatchFileReader | pa.RecordBatchStreamReader:
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"FEA1"):
        raise pa.ArrowInvalid("it is of Feather's first version, which carries too little of its types")
    return pa.ipc.open_file(file) if magic == b"ARROW1" else pa.ipc.open_stream(file)


def _check_end(file: pa.NativeFile) -> None:
    """Check that an Arrow stream ends with its end mark: a reader takes the end of the file for one."""
    size = file.size()
    file.seek(max(size - 8, 0))
    if file.read(8) != b"\xff\xff\xff\xff\0\0\0\0":
        raise pa.ArrowInvalid("the stream has no end mark, so it may be cut short")


arrow = Format(_arrow_columns, _arrow_batches, types=_arrow_types)
