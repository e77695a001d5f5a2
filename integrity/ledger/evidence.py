"""What of a result is kept, and in which form?

Counts, verdicts and times are kept as they are. Hash totals are kept under the ledger's key: of a batch of one item
they would be a digest of that item, which can be guessed. Identities, values, reasons, paths and the amounts go to
``secrets``, each with a salt; the row that they belong to has the commitment.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa

from integrity import canonical
from integrity.contracts import Contract
from integrity.ledger import schema
from integrity.ledger.keys import LedgerKey
from integrity.ledger.log import canonical_json, iso
from integrity.ledger.rows import commitments, salts, with_digest
from integrity.merkle import leaf_hash, root_of
from integrity.result import Result
from integrity.timestamps import dated
from integrity.totals import BATCH
from integrity.values import micros, moment

__all__ = [
    "Kept",
    "Keying",
    "batch_rows",
    "break_rows",
    "change_rows",
    "closed_until",
    "instants",
    "private",
    "seal_key",
    "seal_rows",
    "summed",
]

_UTC = pl.Datetime("us", "UTC")
_ISO = "%Y-%m-%dT%H:%M:%S%.6fZ"
_PRIVATE = ("source_values", "destination_values", "reason")
_TEXTS = ("run", "scope", "subject", "salt", "body")
_NO_SECRETS = pl.DataFrame(schema={"number": pl.Int64, **dict.fromkeys(_TEXTS, pl.String)})


@dataclass(frozen=True)
class Keying:
    """By which keyed digests the batches and breaks of a run are found again in others.

    Attributes:
        run: The run.
        pipeline: Of which pipeline: a batch or a break is the same one in all its runs.
        key: Of the ledger.
        windowed: Whether batches are windows of time; a snapshot of everything is not found again.
    """

    run: str
    pipeline: str
    key: LedgerKey
    windowed: bool

    def batches(self, frame: pl.DataFrame, partition: list[str], start: str) -> pl.Series:
        """Return the name of each row's batch, by the columns of its partition and its start, as text."""
        series = self.pipeline if self.windowed else f"{self.pipeline} {self.run}"
        texts = canonical.encode([*(frame[name].cast(pl.String) for name in partition), frame[start]])
        known = {text: self.key.hide("batch", series, text) for text in texts.unique()}
        return texts.replace_strict(known, return_dtype=pl.String).alias("batch")

    def breaks(self, identifiers: pl.Series) -> pl.Series:
        """Return the names of breaks, by their ``break_id``, which could be guessed."""
        names = [self.key.hide("break", self.pipeline, identifier) for identifier in identifiers]
        return pl.Series("subject", names, dtype=pl.String)


@dataclass(frozen=True)
class Kept:
    """Rows of evidence, and what is private of them.

    Attributes:
        rows: In the columns of their table.
        secrets: In the columns of ``secrets``: as many rows, or none.
    """

    rows: pl.DataFrame
    secrets: pl.DataFrame

    def numbered(self, table: sa.Table, chosen: pl.Series, first: int = 0) -> Kept:
        """Return some of the rows, numbered from ``first``, with their digests."""
        rows, secrets = self.rows.filter(chosen), self.secrets.filter(chosen)
        numbers = pl.int_range(first, first + rows.height, dtype=pl.Int64, eager=True).alias("number")
        return Kept(with_digest(table, rows.with_columns(numbers)), secrets.with_columns(numbers))


def closed_until(result: Result) -> str | None:
    """Return the end of the last window that was closed; ``None`` where there are no windows."""
    contract = result.contract
    if contract.window is None:
        return None
    end = contract.window.start_of(micros(result.as_of) - contract.grace)
    if result.until is not None:
        end = min(end, micros(result.until))
    return iso(moment(end))


def summed(batches: pl.DataFrame) -> dict[str, int]:
    """Return the counts of some rows of ``batches``, added up."""
    return {name: int(batches[name].sum() or 0) for name in schema.COUNTS}


def change_rows(changes: pl.DataFrame | None, run: str) -> Iterator[Kept]:
    """Yield what became of earlier breaks: ``of_run``, ``of_number``, ``state``."""
    if changes is None or not changes.height:
        return
    number = pl.int_range(pl.len(), dtype=pl.Int64).alias("number")
    rows = changes.select(pl.lit(run).alias("run"), number, "of_run", "of_number", "state")
    yield Kept(with_digest(schema.changes, rows), _NO_SECRETS)


def private(run: str, scope: str, number: int, body: Mapping[str, Any]) -> tuple[pl.DataFrame, str]:
    """Return one private text as a row of ``secrets``, and the commitment to it."""
    text, salt = pl.Series("body", [canonical_json(body)]), salts(1)
    row = pl.DataFrame({"run": run, "scope": scope, "number": number, "subject": None, "salt": salt, "body": text})
    row = row.cast({"number": pl.Int64, "subject": pl.String})
    return row, commitments(salt, row["subject"], text)[0]


def instants(column: str) -> pl.Expr:
    """A column of moments as the ledger writes them."""
    return dated(column).dt.strftime(_ISO).str.zfill(27).alias(column)


def batch_rows(result: Result, of: Keying) -> Kept:
    """Return the batches of a result, the earliest first, numbered from zero."""
    contract, frame = result.contract, result.batch_frame
    partition = list(contract.partition)
    frame = frame.with_columns(
        instants("batch_start"),
        instants("batch_end"),
        *(pl.col(name).cast(pl.Int64) for name in ("latency_p50", "latency_p95", "latency_max")),
    )
    batch = of.batches(frame, partition, "batch_start")
    amounts = [f"{side}_{name}" for name in contract.amounts for side in ("source", "destination")]
    bodies = pl.Series(
        "body",
        [
            canonical_json({"partition": {n: row[n] for n in partition}, "amounts": {n: row[n] for n in amounts}})
            for row in frame.select(*partition, *amounts).to_dicts()
        ]
        if partition or amounts
        else ['{"amounts":{},"partition":{}}'] * frame.height,
        dtype=pl.String,
    )
    salt = salts(frame.height)
    hashes = [
        pl.Series(
            f"{side}_hash", [of.key.hide("hash total", contract.sha256, side, text) for text in frame[f"{side}_hash"]]
        ).cast(pl.String)
        for side in ("source", "destination")
    ]
    rows = frame.with_columns(
        pl.lit(of.run).alias("run"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("number"),
        batch.alias("key"),
        commitments(salt, pl.Series("subject", [None] * frame.height, pl.String), bodies).alias("commitment"),
        *hashes,
    )
    facts = rows.select(*schema.COUNTS, "source_hash", "destination_hash", *schema.VERDICTS).with_columns(bodies)
    said = _breaks_by_batch(result, of).rename({"batch": "key"})
    sums = rows.select("key").join(said, on="key", how="left", maintain_order="left")["said"].fill_null("")
    texts = canonical.encode([*(column.cast(pl.String) for column in facts.get_columns()), sums])
    facts_of = pl.Series("facts", [of.key.hide("facts", text) for text in texts], dtype=pl.String)
    rows = rows.with_columns(facts_of).select(column.name for column in schema.batches.columns if column.name != "hash")
    secrets = rows.select("run", pl.lit("batch").alias("scope"), "number", pl.lit(None, pl.String).alias("subject"))
    return Kept(rows, secrets.with_columns(salt, bodies))


def _breaks_by_batch(result: Result, of: Keying) -> pl.DataFrame:
    """Which breaks each batch has, as a sum that does not depend on their order: two runs that differ, differ in it."""
    sums = pl.DataFrame(schema={"batch": pl.String, "high": pl.UInt64, "low": pl.UInt64})
    for frame in result.break_frames():
        words = [
            pl.col("break_id").str.slice(at, 16).str.to_integer(base=16, dtype=pl.UInt64).alias(name)
            for name, at in (("high", 0), ("low", 16))
        ]
        named = _started(frame, result.contract)
        named = named.with_columns(of.batches(named, _partition(result.contract), "batch_start"))
        sums = pl.concat([sums, named.select("batch", *words)]).group_by("batch").agg(pl.sum("high", "low"))
    return sums.select("batch", pl.format("{} {}", "high", "low").alias("said"))


def _partition(contract: Contract) -> list[str]:
    return [f"__p.{name}" for name in contract.partition]


def _started(breaks: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Breaks with the start of their batch as the ledger writes it."""
    return breaks.rename({BATCH: "batch_start"}).with_columns(instants("batch_start"))


def break_rows(result: Result, of: Keying, left_out: Collection[str] = ()) -> Iterator[Kept]:
    """Yield the breaks of a result in parts, numbered from zero, less those of the batches whose keys are left out."""
    contract, number = result.contract, 0
    identity = list(contract.identity)
    for frame in result.break_frames():
        frame = _started(frame, contract).with_columns(instants("event_time"), instants("processed_time"))
        bodies = frame.select(
            pl.struct(pl.struct(identity).alias("identity"), *_PRIVATE).struct.json_encode().alias("body")
        ).to_series()
        salt = salts(frame.height)
        subject = of.breaks(frame["break_id"])
        rows = frame.select(
            pl.lit(of.run).alias("run"),
            pl.lit(0, pl.Int64).alias("number"),
            of.batches(frame, _partition(contract), "batch_start"),
            "batch_start",
            "kind",
            "differing",
            "event_time",
            "processed_time",
            "latency",
            commitments(salt, subject, bodies).alias("commitment"),
        )
        secrets = rows.select("run", pl.lit("break").alias("scope"), "number")
        chosen = ~rows["batch"].is_in(list(left_out))
        kept = Kept(rows, secrets.with_columns(subject, salt, bodies)).numbered(schema.breaks, chosen, number)
        yield kept
        number += kept.rows.height


def seal_key(key: LedgerKey, run: str) -> bytes:
    """Return the key under which the fingerprints of a run's sealed batches are kept."""
    return key.derived(f"seals of {run}")


def seal_rows(result: Result, of: Keying, left_out: Collection[str] = ()) -> Iterator[Kept]:
    """Yield the sealed batches of a result: the sorted keyed digests of their fingerprints, and the root over these."""
    hiding, number = seal_key(of.key, of.run), 0
    for frame in result.fingerprint_frames():
        named = _started(frame, result.contract)
        named = named.with_columns(of.batches(named, _partition(result.contract), "batch_start"))
        for (batch, side), items in named.group_by("batch", "side", maintain_order=True):
            if batch in left_out:
                continue
            leaves = sorted(hmac.digest(hiding, bytes.fromhex(text), "sha256") for text in items["fingerprint"])
            root = root_of([leaf_hash(leaf) for leaf in leaves]).hex()
            rows = pl.DataFrame(
                {
                    "run": of.run,
                    "number": number,
                    "batch": batch,
                    "side": side,
                    "records": len(leaves),
                    "root": root,
                    "leaves": [b"".join(leaves)],
                }
            )
            yield Kept(with_digest(schema.seals, rows), _NO_SECRETS)
            number += 1
