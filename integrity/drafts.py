"""What contract do these two sides suggest?

A draft is a beginning that a person corrects: it reads the first rows of both sides, guesses what is identity, content
and time, and writes a contract with a comment at each guess. It promises nothing by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations, islice
from typing import Any

import polars as pl
import pyarrow as pa

from integrity import canonical
from integrity.columns import Column, ColumnType
from integrity.contracts import Contract, builtin_contracts
from integrity.errors import StoreError
from integrity.stores import open_store
from integrity.stores.base import HeadedStore, Store, TypedStore
from integrity.stores.mail import MailStore
from integrity.stores.manifest import ManifestStore
from integrity.stores.objects import arrow_column
from integrity.stores.tree import TreeStore

__all__ = ["draft"]

_ROWS = 10_000
_EVENT = re.compile(r"sent|creat|occur|event|happen|accepted|issued|time|date|_at$|^at$", re.IGNORECASE)
_PROCESSED = re.compile(r"stor|process|receiv|ingest|archiv|load|deliver|insert|written", re.IGNORECASE)
_NAMED_ID = re.compile(r"(^|_)(id|key|uuid|guid|no|number)$", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True)
class _Seen:
    """What the first rows of a side show."""

    store: Store
    types: dict[str, Column]
    values: dict[str, pl.Series]

    @property
    def times(self) -> list[str]:
        return [name for name, column in self.types.items() if column.type is ColumnType.TIMESTAMP]


def draft(source: Any, destination: Any, name: str = "draft") -> str:
    """Return a contract, as YAML with comments, for two stores; correct it before you rely on it.

    Raises:
        StoreError: a side cannot be read, is empty, or the two have no column in common.

    Example:
        >>> import polars as pl
        >>> text = draft(pl.DataFrame({"id": ["a", "b"], "n": [1, 2]}), pl.DataFrame({"id": ["a"], "n": [1]}))
        >>> Contract.from_text(text).content["n"].type.value
        'integer'
    """
    stores = open_store(source), open_store(destination)
    if all(isinstance(store, MailStore) for store in stores):
        return _builtin("mailbox", "mail", "'mail', from acceptance to delivery, and 'journal'", name)
    if all(isinstance(store, (TreeStore, ManifestStore)) for store in stores):
        return _builtin("tree", "files", "'file', of uploads by their log, and 'drive', by file ids", name)
    here, there = map(_look, stores)
    common = [column for column in here.types if column in there.types]
    if not common:
        raise StoreError(
            f"{here.store.name} and {there.store.name} have no column name in common",
            "write the contract by hand, and map one side's names with --map",
        )
    types = {column: _agreed(here.types[column], there.types[column]) for column in common}
    times = [c for c in common if types[c].type is ColumnType.TIMESTAMP]
    event = next((c for c in sorted(times, key=lambda c: not _EVENT.search(c)) if not _PROCESSED.search(c)), None)
    processed = next((c for c in there.times if c != event and _PROCESSED.search(c)), None) if event else None
    identity = _identity(here, [c for c in common if c not in times])
    content = [c for c in common if c not in identity and c not in (event, processed)]
    lines = [
        f"# Drafted from the first rows of {here.store.name} and {there.store.name}. Each line is a guess: correct it,",
        "# then `integrity contract check` this file.",
        f"name: {name}",
        "version: 1",
        "about: What this pipeline carries, from where to where, in one sentence.",
        "# The columns that name an item: unique together in the rows that were seen.",
        "identity:",
        *(f"  {_key(c)}: {_type(types[c])}" for c in identity),
    ]
    if content:
        lines += ["# The columns that must arrive unchanged.", "content:"]
        lines += [f"  {_key(c)}: {_type(types[c])}" for c in content]
    integers = [c for c in content if types[c].type in (ColumnType.INTEGER, ColumnType.DECIMAL)]
    if integers:
        lines += [
            "# Summed per batch, exactly. Keep those whose sum means something.",
            f"amounts: [{', '.join(map(_key, integers))}]",
        ]
    if event is not None:
        also = f", processed: {_key(processed)}" if processed else ""
        lines += [
            "# Event time divides both sides into batches.",
            f"clock: {{event: {_key(event)}{also}}}",
            "window: 1h",
        ]
        lines += ["# How long after a window's end its items may still be on their way.", "grace: 15m"]
        if processed:
            lines += [
                "# How soon an item must arrive. What did you promise?",
                "# timeliness: {within: 1m, ratio: 0.999}",
            ]
    else:
        lines += ["# No common timestamp was seen: the two sides are compared as one batch."]
    for side, seen, other in (("source", here, there), ("destination", there, here)):
        alone = [c for c in seen.types if c not in other.types and c != processed]
        if alone:
            lines.append(f"# Only in the {side}, not compared: {', '.join(alone)}")
    text = "\n".join(lines) + "\n"
    Contract.from_text(text, "the draft")
    return text


def _builtin(contract: str, what: str, others: str, name: str) -> str:
    """What is promised of mail or files need not be guessed: a contract that is there already, under another name."""
    written = builtin_contracts()[contract].read_text(encoding="utf-8")
    return (
        f"# Both sides are {what}, so this is the built-in contract '{contract}' under another name. There are also\n"
        f"# {others}: integrity contract list.\n\n{written}"
    ).replace(f"\nname: {contract}\n", f"\nname: {name}\n")


def _look(store: Store) -> _Seen:
    names = list(store.columns())
    first = store.head(names, _ROWS) if isinstance(store, HeadedStore) else store.stream(names)
    batch = next(iter(islice((b for b in first if b.num_rows), 1)), None)
    if batch is None:
        raise StoreError(f"{store.name} holds no rows to draft from", "point at a day that has some")
    batch = batch.slice(0, _ROWS)
    types, values = {}, {}
    known = store.types() if isinstance(store, TypedStore) else {}
    for name, array in zip(names, batch.columns, strict=True):
        if pa.types.is_string(array.type) and pa.types.is_decimal(known.get(name, pa.null())):
            array = _decimals(array)
        types[name], values[name] = _guess(array)
    return _Seen(store, types, values)


def _guess(array: pa.Array[Any]) -> tuple[Column, pl.Series]:
    candidates = [
        Column(type=ColumnType(kind)) for kind in ("uuid", "integer", "boolean", "timestamp", "date", "binary")
    ]
    physical = str(array.type)
    if array.null_count == len(array):
        candidates = []
    if physical.startswith("bool"):
        candidates = [Column(type=ColumnType.BOOLEAN)]
    elif physical.startswith("decimal"):
        candidates = [Column(type=ColumnType.DECIMAL, scale=max(array.type.scale, 0))]
    elif physical in ("float", "double", "halffloat"):
        candidates = [Column(type=ColumnType.FLOAT, exact=True)]
    elif physical in ("string", "large_string", "string_view"):  # hexadecimal text is more often just text
        textual = (ColumnType.BINARY, ColumnType.BOOLEAN, ColumnType.UUID)
        candidates = [c for c in candidates if c.type not in textual]
    for column in candidates:
        read = canonical.read(array, column, "UTC")
        if read.unreadable is None and not (column.type is ColumnType.INTEGER and _padded(array)):
            return column, read.text
    read = canonical.read(array, Column(type=ColumnType.TEXT))
    return Column(type=ColumnType.TEXT), read.text


def _decimals(array: pa.Array[Any]) -> pa.Array[Any]:
    """Decimals that came as text, which keeps each digit, as decimals; what is none of them says nothing."""
    numbers = [
        None if text is None or not re.fullmatch(r"-?[0-9.]+", text) else Decimal(text) for text in array.to_pylist()
    ]
    return arrow_column(numbers)


def _padded(array: pa.Array[Any]) -> bool:
    """Whether digits are a code rather than a number: 007 is not 7."""
    if not pa.types.is_string(array.type) and not pa.types.is_large_string(array.type):
        return False
    texts = pl.Series(array.to_pylist(), dtype=pl.String)
    return bool(texts.str.contains(r"^[+-]?0[0-9]").any())


def _agreed(one: Column, other: Column) -> Column:
    if one == other:
        return one
    kinds = {one.type, other.type}
    if kinds == {ColumnType.INTEGER, ColumnType.BOOLEAN}:
        return Column(type=ColumnType.BOOLEAN)
    if ColumnType.DECIMAL in kinds:
        scale = max(c.scale or 0 for c in (one, other))
        return Column(type=ColumnType.DECIMAL, scale=scale)
    return Column(type=ColumnType.TEXT)


def _identity(seen: _Seen, names: list[str]) -> list[str]:
    """The fewest columns, named like keys first, that tell all rows apart."""
    ordered = sorted(names, key=lambda name: not _NAMED_ID.search(name))[:8] or names[:1]
    frame = pl.DataFrame({name: seen.values[name] for name in ordered})
    for size in (1, 2, 3):
        for chosen in combinations(ordered, size):
            if frame.select(pl.struct(chosen).n_unique()).item() == frame.height:
                return list(chosen)
    return [name for name in ordered if _NAMED_ID.search(name)] or ordered


def _key(name: str) -> str:
    return name if _PLAIN.match(name) else "'" + name.replace("'", "''") + "'"


def _type(column: Column) -> str:
    if column.type is ColumnType.DECIMAL:
        return f"{{type: decimal, scale: {column.scale}}}"
    if column.type is ColumnType.FLOAT:
        return "{type: float, exact: true}"
    return column.type.value
