"""Do the control totals of a batch equal those that somebody recorded?

Recorded totals are JSON (records, amounts and hash totals a batch, as integers and text: a float cannot hold them) or a
file. What is recorded is compared exactly; what is not recorded is not compared, and is named.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import polars as pl

from integrity.canonical import ENCODING_VERSION
from integrity.contracts import Contract
from integrity.errors import ContractError, StoreError, UsageError, did_you_mean
from integrity.totals import BATCH, ControlTotals, scale_of
from integrity.values import iso, micros, moment

__all__ = ["Totals", "control_totals", "difference", "recorded", "rows_of"]

#: The totals of each batch: by its partition and start, what was counted, all as text or integers.
Totals = dict[tuple[Any, ...], dict[str, int | str]]

_ABOUT = (
    "contract",
    "contract_version",
    "contract_sha256",
    "encoding",
    "side",
    "location",
    "since",
    "until",
    "read_at",
)
_SHAPE = '{"batches": [{"batch_start": "2026-03-02T00:00:00Z", "records": 3, "hash": "sum128:…", "amounts": {…}}]}'


def control_totals(totals: ControlTotals, contract: Contract) -> dict[str, Any]:
    """Return control totals as JSON, in the form that :class:`ExpectControlTotalsToMatch` takes.

    Args:
        totals: As :func:`integrity.measure` gives them.
        contract: What they are of.

    Raises:
        ContractError: they are of another contract.

    Example:
        >>> import integrity, polars as pl
        >>> content = {"size": "integer"}
        >>> notes = integrity.Contract(name="notes", version=1, identity=["id"], content=content, amounts=["size"])
        >>> measured = integrity.measure(notes, pl.DataFrame({"id": ["1", "2"], "size": [3, 4]}), side="source")
        >>> [(batch["records"], batch["amounts"]) for batch in control_totals(measured, notes)["batches"]]
        [(2, {'size': '7'})]
    """
    _check_contract(totals.contract_sha256, totals.encoding, contract)
    said: dict[str, Any] = {
        "contract": totals.contract,
        "contract_version": totals.contract_version,
        "contract_sha256": totals.contract_sha256,
        "encoding": totals.encoding,
        "side": totals.side,
        "location": totals.location,
        "read_at": _iso(micros(totals.read_at)),
        "since": _iso(totals.since),
        "until": _iso(totals.until),
    }
    keys = (*contract.partition, "batch_start")
    batches = []
    for key, row in rows_of(totals, contract).items():
        amounts = {name: row[f"amount.{name}"] for name in contract.amounts}
        scaled = {name: _written(int(value), scale_of(contract, name)) for name, value in amounts.items()}
        batches.append(
            {**dict(zip(keys, key, strict=True)), "records": row["records"], "hash": row["hash"]}
            | ({"amounts": scaled} if scaled else {})
        )
    return {**said, "batches": batches}


def rows_of(totals: ControlTotals, contract: Contract) -> Totals:
    """Return the totals of each batch that has an item."""
    found: Totals = {}
    for row in totals.frame.filter(pl.col("records") > 0).sort([*contract.partition, BATCH]).to_dicts():
        start = row[BATCH] if totals.bucketed else _iso(row[BATCH])
        found[*(row[name] for name in contract.partition), start] = {
            "records": row["records"],
            "hash": f"sum128:{row['hash_0']:016x}{row['hash_1']:016x}",
            **{f"amount.{name}": int(row[f"amount.{name}"]) for name in contract.amounts},
        }
    return found


def recorded(given: str | Mapping[str, Any] | Sequence[Any], contract: Contract) -> Totals:
    """Return the totals that were recorded.

    Args:
        given: What :func:`control_totals` gives, its ``batches`` alone, either as JSON text, or the path of a file that
            holds it (``.json``) or :meth:`integrity.ControlTotals.to_arrow`'s table (``.parquet``, ``.arrow``).
        contract: What they have to be of.

    Raises:
        UsageError: these are no totals.
        ContractError: they are of another contract.
        StoreError: the file cannot be read.
    """
    if isinstance(given, str):
        given = _parsed(given) if given.lstrip().startswith(("{", "[")) else _read(given)
    if isinstance(given, ControlTotals):
        _check_contract(given.contract_sha256, given.encoding, contract)
        return rows_of(given, contract)
    if isinstance(given, Mapping) and "batches" in given:
        for key in given:
            if key not in (*_ABOUT, "batches"):
                raise UsageError(f"recorded totals have no {key!r}", did_you_mean(str(key), (*_ABOUT, "batches")))
        if "contract_sha256" in given:
            _check_contract(given["contract_sha256"], given.get("encoding"), contract)
        given = given["batches"]
    elif isinstance(given, Mapping):
        given = [given]
    if not isinstance(given, (list, tuple)):
        raise UsageError("recorded totals are a list of batches", _SHAPE)
    found: Totals = {}
    for place, batch in enumerate(given):
        which, row = _row(batch, f"batch {place + 1} of the recorded totals", contract)
        if which in found:
            raise UsageError(f"{_called(which, contract)} is recorded twice", "add both up, or leave one out")
        found[which] = row
    return {key: row for key, row in found.items() if row["records"] or _means(row)}


def difference(
    expected: Mapping[str, int | str] | None, found: Mapping[str, int | str] | None, contract: Contract
) -> dict[str, int | str]:
    """Return what was recorded of a batch and what was found, where they differ; of either, ``None`` is no item."""
    if expected is None or found is None:
        here = expected or found or {}
        return {"is_in": "the record only" if found is None else "the batch only", "records": here["records"]}
    told: dict[str, int | str] = {}
    for name, value in expected.items():
        if found[name] != value:
            column = name.removeprefix("amount.")
            for when, each in (("recorded", value), ("found", found[name])):
                told[f"{column}_{when}"] = each if column == name else _written(int(each), scale_of(contract, column))
    return told


def _row(batch: object, where: str, contract: Contract) -> tuple[tuple[Any, ...], dict[str, int | str]]:
    known = (*contract.partition, "batch_start", "records", "hash", "amounts")
    if not isinstance(batch, Mapping):
        raise UsageError(f"{where} is no mapping", _SHAPE)
    for key in batch:
        if key not in known:
            raise UsageError(f"{where} has an unknown {key!r}", did_you_mean(str(key), known))
    for key in ("records", *contract.partition):
        if key not in batch:
            raise UsageError(f"{where} does not tell its {key}", _SHAPE)
    row: dict[str, int | str] = {"records": _integer(batch["records"], f"the records of {where}")}
    if batch.get("hash") is not None:
        text = batch["hash"]
        digits = text.removeprefix("sum128:").lower() if isinstance(text, str) else ""
        if len(digits) != 32 or digits.strip("0123456789abcdef"):
            raise UsageError(f"the hash total of {where} is not {text!r}", "write sum128: and 32 hexadecimal digits")
        row["hash"] = f"sum128:{digits}"
    amounts = batch.get("amounts") or {}
    if not isinstance(amounts, Mapping):
        raise UsageError(f"the amounts of {where} are a mapping of column to sum", "{'amounts': {'cents': 1250}}")
    for name, value in amounts.items():
        if name not in contract.amounts:
            raise UsageError(f"contract {contract.name!r} sums no {name!r}", did_you_mean(str(name), contract.amounts))
        row[f"amount.{name}"] = _unscaled(value, scale_of(contract, name), f"the {name} of {where}")
    partition = (None if batch[name] is None else str(batch[name]) for name in contract.partition)
    return (*partition, _start(batch.get("batch_start"), where, contract)), row


def _start(given: object, where: str, contract: Contract) -> Any:
    if given is None:
        return None
    if contract.window is None:
        raise UsageError(f"contract {contract.name!r} has no clock, and {where} a start", "leave batch_start out")
    if not contract.carried and isinstance(given, int) and not isinstance(given, bool):
        return given  # the bucket of identities that is this batch
    try:
        start = given if isinstance(given, dt.datetime) else dt.datetime.fromisoformat(str(given))
    except ValueError:
        raise UsageError(f"{where} starts at no ISO 8601 time, but at {given!r}", "2026-03-02T09:00:00Z") from None
    if start.utcoffset() is None:
        raise UsageError(f"the start {given!r} of {where} has no time zone", "write its offset, as in +09:00 or Z")
    if not contract.window.is_boundary(micros(start)):
        raise UsageError(f"no window of contract {contract.name!r} starts at {given!r}, as {where} does", "correct it")
    return _iso(micros(start))


def _integer(given: object, what: str) -> int:
    if isinstance(given, str) and given.strip().isascii() and given.strip().isdigit():
        return int(given)
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise UsageError(f"{what} are an integer, not {given!r}", "a float cannot hold a total exactly")
    return given


def _unscaled(given: object, scale: int, what: str) -> int:
    if isinstance(given, bool) or not isinstance(given, (int, str, Decimal)):
        raise UsageError(f"{what} is an integer or text, not {given!r}", "a float cannot hold a total exactly")
    try:
        sign, digits, exponent = Decimal(given).as_tuple()
    except InvalidOperation:
        raise UsageError(f"{what} is no number: {given!r}", "write it in digits") from None
    if not isinstance(exponent, int):
        raise UsageError(f"{what} is no finite number: {given!r}", "write it in digits")
    number, places = int("".join(map(str, digits))), exponent + scale
    whole, rest = (number * int(10**places), 0) if places >= 0 else divmod(number, int(10**-places))
    if rest:
        raise UsageError(f"{what} is finer than its scale of {scale}: {given!r}", "record it as it was summed")
    return -whole if sign else whole


def _written(unscaled: int, scale: int) -> str:
    return format(Decimal(f"{unscaled}E-{scale}"), "f") if scale else str(unscaled)


def _means(row: Mapping[str, int | str]) -> bool:
    """Whether totals of no records say that there is something all the same."""
    return any(value for key, value in row.items() if key.startswith("amount.")) or (
        "hash" in row and str(row["hash"]).strip("sum128:").strip("0") != ""
    )


def _called(key: tuple[Any, ...], contract: Contract) -> str:
    *partition, start = key
    parts = [f"{name} {value!r}" for name, value in zip(contract.partition, partition, strict=True)]
    return ", ".join([*parts, "the one batch" if start is None else f"the batch of {start}"])


def _check_contract(sha256: object, encoding: object, contract: Contract) -> None:
    if sha256 != contract.sha256:
        raise ContractError(
            f"the recorded totals are of another contract ({str(sha256)[:12]}) than {contract.name!r} "
            f"({contract.sha256[:12]})",
            "measure them again under this contract",
        )
    if encoding not in (None, ENCODING_VERSION):
        raise ContractError(
            f"the recorded totals are of encoding {encoding}", f"measure them again: {ENCODING_VERSION}"
        )


def _parsed(text: str) -> Any:
    def refuse(number: str) -> Any:
        raise UsageError(f"the recorded totals hold {number}", "write integers, or text: a float cannot hold a total")

    try:
        return json.loads(text, parse_float=refuse, parse_constant=refuse)
    except ValueError as error:
        raise UsageError(f"the recorded totals are no JSON: {error}", _SHAPE) from None


def _read(path: str) -> Any:
    import fsspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with fsspec.open(path, "rb") as file:
            content: bytes = file.read()
    except (OSError, ValueError, ImportError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StoreError(f"the recorded totals {path} cannot be read: {reason}", "check the path") from None
    try:
        if content.startswith(b"PAR1"):
            return ControlTotals.from_arrow(pq.read_table(pa.BufferReader(content)))
        if content.startswith(b"ARROW1"):
            return ControlTotals.from_arrow(pa.ipc.open_file(content).read_all())
        if content.startswith(b"\xff\xff\xff\xff"):
            return ControlTotals.from_arrow(pa.ipc.open_stream(content).read_all())
        return _parsed(content.decode("utf-8-sig"))
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise StoreError(
            f"the recorded totals {path} cannot be read: {error}", "write Parquet, Arrow or JSON"
        ) from None


def _iso(us: int | None) -> str | None:
    return None if us is None else iso(moment(us)).replace(".000000Z", "Z")
