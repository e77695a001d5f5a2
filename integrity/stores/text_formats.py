"""How are CSV and JSON Lines read without guessing at types, and without taking a part for the whole?

**CSV** has no types, so all of it is text, for the contract to read. An empty field is NULL and ``""`` is the
empty text, as PostgreSQL and Polars write them. UTF-8, commas, a header; line breaks inside quotation marks
are part of the value.

**JSON Lines** has numbers, which are read exactly: integers of any length as integers, all others as
decimals. A key that a line does not have is NULL.

Neither says where it ends, so what can be seen of an export that was cut short, or that ends in its own error
message, is an error: a line with too few fields, quotation marks that are never closed, half an object.
"""

from __future__ import annotations

import csv as csv_module
import io
import json
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from decimal import Decimal
from itertools import chain
from typing import IO, Any, cast

import pyarrow as pa

from integrity.errors import StoreError
from integrity.stores.base import CHUNK_ROWS, Span
from integrity.stores.columns import check_columns, unique_columns
from integrity.stores.formats import Format, Source
from integrity.stores.objects import arrow_column

__all__ = ["csv", "json_lines"]

_BLOCK = 1 << 20
_CSV_BLOCK = 8 << 20
_LONGEST_HEADER = 32 << 20
_MOST_BLOCKS = 32
_LONGEST_ROW = 512 << 20
_BLANK = " \t\r"


# CSV


def _csv_columns(source: Source) -> list[str]:
    with source.stream() as stream:
        return _header(stream, source.name)[0]


def _csv_batches(
    source: Source, columns: Sequence[str], known: Collection[str], span: Span | None
) -> Iterator[pa.RecordBatch]:
    with source.stream() as stream:
        header, pending = _header(stream, source.name)
        check_columns(columns, header, source.name)
        # As much again as is pending: a long row is not looked at once for each block of it.
        while block := stream.read(max(_CSV_BLOCK, len(pending))):
            pending += block
            batch: pa.RecordBatch | Exception | None = None
            for cut_of in (_cut, _exact_cut):
                cut = cut_of(pending)
                batch = _parsed(pending[:cut], header, columns) if cut else None
                if isinstance(batch, pa.RecordBatch):
                    pending = pending[cut:]
                    yield batch
                    break
            if isinstance(batch, Exception):
                raise _csv_fault(source, batch) from batch
            if len(pending) > _LONGEST_ROW:
                raise StoreError(
                    f"{source.name} has a row of more than {_LONGEST_ROW >> 20} MiB",
                    "is a quotation mark never closed?",
                )
        batch = _parsed(pending, header, columns)
        if isinstance(batch, Exception):
            raise _csv_fault(source, batch) from batch
        yield batch


class _OpenQuoteError(ValueError):
    """Some rows end inside quotation marks."""


def _parsed(rows: bytes, header: list[str], columns: Sequence[str]) -> pa.RecordBatch | Exception:
    """Return the rows, or why they are none.

    pyarrow takes the end of its input for the end of a quoted value. So a row of ours goes last: it comes
    back as a row only if the one before it was complete.

    Not ``open_csv``, which would read the stream in a thread of its own, and bring down the process if that
    ended meanwhile; and which cannot read a row that is longer than its blocks.
    """
    from pyarrow import csv as arrow_csv

    mark = secrets.token_hex(16)
    text = pa.BufferOutputStream()  # in Arrow's own memory: its threads have no use for Python's
    text.write(rows)
    # No blank line before the mark: in a file of one column it would be a row.
    text.write((b"" if not rows or rows[-1:] in b"\r\n" else b"\n") + ",".join([mark] * len(header)).encode())
    whole = text.getvalue()
    try:
        table = arrow_csv.read_csv(
            cast(IO[bytes], pa.BufferReader(whole)),
            arrow_csv.ReadOptions(block_size=whole.size + 1, column_names=header),
            # A blank line is no row, unless there is one column only: then it is how NULL is written.
            arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(header) > 1),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                include_columns=list(dict.fromkeys(columns)),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        return error
    (batch,) = table.combine_chunks().to_batches()
    if any(column[-1].as_py() != mark for column in batch.columns):
        return _OpenQuoteError()
    return batch.slice(0, batch.num_rows - 1)


def _cut(block: bytes) -> int:
    """Return where the last whole row of a block ends, if its quotation marks come in pairs."""
    end = b"\n" if b"\n" in block else b"\r"
    cut = block.rfind(end, 0, len(block) - (end == b"\r")) + 1
    odd = block.count(b'"', 0, cut) % 2
    while cut and odd:
        before = block.rfind(end, 0, max(block.rfind(b'"', 0, cut), 0)) + 1
        odd = (odd + block.count(b'"', before, cut)) % 2
        cut = before
    return cut


#: Whole rows, as pyarrow reads them: a quotation mark opens a value only where a field begins.
_FIELD = rb'(?:"(?:[^"]|"")*+"[^,\r\n]*+|[^",\r\n][^,\r\n]*+|)'
_ROWS = re.compile(rb"(?:(?:" + _FIELD + rb",)*+" + _FIELD + rb"(?:\r\n|\n|\r(?=[^\n])))*+")


def _exact_cut(block: bytes) -> int:
    """Return where the last whole row of a block ends, in the tenfold time."""
    rows = _ROWS.match(block)
    return rows.end() if rows else 0


def _header(stream: pa.NativeFile, name: str) -> tuple[list[str], bytes]:
    """Return the names of the columns and what was read beyond them."""
    start = b""
    while True:
        block = stream.read(_CSV_BLOCK)
        start += block
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise StoreError(f"{name} is UTF-16", "write it as UTF-8")
        # Latin-1 gives each byte a character, so that places in the text are places in the bytes.
        text = io.StringIO(start.removeprefix(b"\xef\xbb\xbf").decode("latin-1"), newline="")
        # Strict: else marks that are never closed would make one name of the rest of the file.
        rows = csv_module.reader(iter(text.readline, ""), strict=True)
        try:
            labels = next((row for row in rows if row), None)
        except csv_module.Error as error:
            if block and len(start) < _LONGEST_HEADER:
                continue
            raise StoreError(f"{name} has no header that can be read: {error}", "is it a CSV file?") from error
        rest = text.read().encode("latin-1")
        if rest or not block:
            break
    if labels is None:
        raise StoreError(f"{name} is empty: not even a header", "export it again")
    try:
        header = [label.encode("latin-1").decode() for label in labels]
    except UnicodeDecodeError as error:
        raise StoreError(f"{name} line 1 is not UTF-8", "write it as UTF-8") from error
    return unique_columns(header, name), rest


def _csv_fault(source: Source, error: Exception) -> StoreError:
    """Say where a CSV file cannot be read: pyarrow does not know, so this reads it once more, up to there."""
    if isinstance(error, _OpenQuoteError):
        return StoreError(
            f"{source.name} ends inside quotation marks",
            "a part of it is missing or one mark is never closed: export it again",
        )
    number = 0

    def lines() -> Iterator[str]:
        nonlocal number
        for block in _blocks(stream, source.name):
            for line in block.splitlines(keepends=True):
                number += 1
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")

    with source.stream() as stream:
        rows = csv_module.reader(lines())
        try:
            width = len(next(rows))
            for row in rows:
                if row and len(row) != width:
                    line, is_last = number, next(rows, None) is None
                    end = ", its last line," if is_last else ""
                    fields = "1 field" if len(row) == 1 else f"{len(row)} fields"
                    return StoreError(
                        f"{source.name} line {line}{end} has {fields} and not {width}",
                        "if it is the error message of an export, export it again"
                        if is_last
                        else "quote the values that contain commas, quotation marks or line breaks",
                    )
        except UnicodeDecodeError:
            return StoreError(f"{source.name} line {number} is not UTF-8", "write it as UTF-8")
        except csv_module.Error:
            pass  # Python's own reader gives up earlier than pyarrow's: then without the line
    reason = re.sub(r"(?s)(got [0-9]+):.*", r"\1", str(error))  # without the row, which it goes on to quote
    return StoreError(f"{source.name} is no sound CSV file: {reason}", "export it again")


csv = Format(_csv_columns, _csv_batches)


# JSON Lines


def _json_columns(source: Source) -> list[str]:
    names: dict[str, None] = {}
    with source.stream() as stream:
        _take(_json_rows(stream, source.name), lambda rows: names.update(_names(rows)))
    return list(names)


def _json_batches(
    source: Source, columns: Sequence[str], known: Collection[str], span: Span | None
) -> Iterator[pa.RecordBatch]:
    names = dict.fromkeys(known)
    is_first = True

    def pick(rows: list[dict[str, Any]]) -> None:
        for name, column in zip(columns, values, strict=True):
            column.extend([row.get(name) for row in rows])
        if is_first:
            names.update(_names(rows))

    with source.stream() as stream:
        rows = _json_rows(stream, source.name)
        while True:
            values: list[list[object]] = [[] for _ in columns]
            if not _take(rows, pick):
                return
            if is_first:
                check_columns(columns, names, source.name)
                is_first = False
            yield pa.RecordBatch.from_arrays([arrow_column(column) for column in values], list(columns))


def _names(rows: list[dict[str, Any]]) -> dict[str, None]:
    return dict.fromkeys(chain.from_iterable(rows))


def _take(blocks: Iterator[list[dict[str, Any]]], pick: Callable[[list[dict[str, Any]]], None]) -> int:
    """Pick from some rows at a time, while they are in the processor's cache, until they make a chunk."""
    count = 0
    for taken, rows in enumerate(blocks, 1):
        pick(rows)
        count += len(rows)
        if count >= CHUNK_ROWS or taken >= _MOST_BLOCKS:
            break
    return count


def _json_rows(stream: pa.NativeFile, name: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the objects, as many at a time as are in a block of text."""
    scan = _FAST.scan_once
    number = 0
    for block in _blocks(stream, name):
        rows: list[dict[str, Any]] = []
        try:
            text = block.decode("utf-8-sig" if number == 0 else "utf-8")
        except UnicodeDecodeError as error:
            line_number = number + 1 + block.count(b"\n", 0, error.start)
            raise StoreError(f"{name} line {line_number} is not UTF-8", "write it as UTF-8") from error
        for line in text.removesuffix("\n").split("\n"):
            number += 1
            try:
                row, end = scan(line, 0)
                complete = type(row) is dict and (end == len(line) or not line[end:].strip(_BLANK))
            except (StopIteration, ValueError, ArithmeticError, RecursionError):
                complete = False
            if complete:
                rows.append(row)
            elif line.strip(_BLANK):
                rows.append(_object(line, f"{name} line {number}"))
        if rows:
            yield rows


def _object(line: str, where: str) -> dict[str, Any]:
    """Return the object of a line at which the fast decoder stumbled, or say what is wrong with it."""
    try:
        row = _EXACT.decode(line)
    except _RepeatedKeyError as error:
        raise StoreError(f"{where} has the key {error.args[0]!r} twice in one object", "write each key once") from error
    except json.JSONDecodeError as error:
        raise StoreError(
            f"{where} is not JSON: {error.msg} at character {error.pos + 1}",
            "if it is the last line, the export was cut short or ends in its own error message: run it again",
        ) from error
    except RecursionError as error:
        raise StoreError(f"{where} is nested too deeply", "write a flat object") from error
    if not isinstance(row, dict):
        raise StoreError(f"{where} is not an object", "write each row as an object of its columns")
    return row


class _RepeatedKeyError(ValueError):
    """A key is in an object twice: either value could be meant."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedKeyError(next(name for name in names if names.count(name) > 1))
    return row


class _Number:
    """A number out of all range, kept as it is written: nothing will be able to read it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _decimal(text: str) -> Decimal | _Number:
    try:
        return Decimal(text)
    except ArithmeticError:
        return _Number(text)


def _integer(text: str) -> int:
    return int(Decimal(text))  # int(text) refuses more than 4300 digits


#: The first stumbles over what is rare; the second knows it, and calls Python for each number.
_FAST: Any = json.JSONDecoder(parse_float=Decimal, object_pairs_hook=_pairs)
_EXACT = json.JSONDecoder(parse_float=_decimal, parse_int=_integer, object_pairs_hook=_pairs)

json_lines = Format(_json_columns, _json_batches, rowless=True)


def _blocks(stream: pa.NativeFile, name: str) -> Iterator[bytes]:
    """Yield the bytes in blocks of whole lines."""
    pending: list[bytes] = []
    while block := stream.read(_BLOCK):
        cut = block.rfind(b"\n") + 1
        pending.append(block[:cut] if cut else block)
        if cut:
            yield b"".join(pending)
            pending = [block[cut:]]
        elif len(pending) * _BLOCK > _LONGEST_ROW:
            raise StoreError(f"{name} has a line of more than {_LONGEST_ROW >> 20} MiB", "are its lines separated?")
    if rest := b"".join(pending):
        yield rest
