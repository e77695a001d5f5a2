"""Which columns of a contract cannot be meant together, and which have a name that the result needs?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from integrity.columns import Column, ColumnType
from integrity.errors import did_you_mean
from integrity.part import Key, Refusal, quoted, twice

__all__ = ["BATCH_COLUMNS", "BREAK_COLUMNS", "column_contradictions", "name_collisions"]

#: The columns of ``result.breaks`` that every contract has. The identity columns follow ``kind``.
BREAK_COLUMNS: Final = (
    "break_id", "batch_start", "kind", "differing", "source_values", "destination_values", "event_time",
    "processed_time", "latency", "reason",
)  # fmt: skip

#: The columns of ``result.batches`` that every contract has, between the partition columns and the amounts.
BATCH_COLUMNS: Final = (
    "batch_start", "batch_end", "source_records", "destination_records", "matched", "corrupt", "unverified",
    "lost", "accounted", "pending", "duplicate", "extra", "moved_in", "moved_out", "late", "skewed",
    "unauthorized", "invalid", "excluded", "superseded", "source_hash", "destination_hash", "latency_p50",
    "latency_p95", "latency_max", "completeness_ratio", "timeliness_ratio", "completeness", "accuracy",
    "validity", "timeliness", "authorization", "verdict",
)  # fmt: skip


def column_contradictions(
    identity: Mapping[str, Column],
    content: Mapping[str, Column],
    amounts: Sequence[str],
    partition: Sequence[str],
) -> Iterator[Refusal]:
    """Yield which columns are declared so that a batch or an item could not be told by them."""
    columns = {**identity, **content}
    if not identity:
        problem = "names no column, so no item could be told from another"
        yield Refusal(problem, "write for example [message_id]", ("identity",))
    for name, column in identity.items():
        for option in ("evidence", "optional", "fresh", "carried", "detail"):
            if getattr(column, option):
                yield Refusal("is said of content columns only", "leave it out", ("identity", name, option))
    for name, column in content.items():
        if name in identity:
            advice = "leave it out of content: identity is compared as well"
            yield Refusal("is an identity column too", advice, ("content", name))
        if column.detail in columns:
            problem = f"{quoted(column.detail)} is compared itself"
            yield Refusal(problem, "name a column that only describes this one", ("content", name, "detail"))
        if column.optional and column.evidence:
            problem = "is either needed as evidence, or may be left untold"
            yield Refusal(problem, "leave one of the two out", ("content", name, "optional"))
        if column.fresh and not column.evidence:
            yield Refusal("is said of evidence only", "write evidence: true beside it", ("content", name, "fresh"))
    if content and all(column.optional for column in content.values()):
        advice = "leave optional out of one, or add a digest marked evidence: true"
        yield Refusal("may be left untold altogether, and would then be equal to anything", advice, ("content",))
    yield from twice(amounts, "amounts")
    yield from twice(partition, "partition")
    for place, name in enumerate(amounts):
        if name not in columns:
            yield Refusal(f"there is no column {quoted(name)}", did_you_mean(name, columns), ("amounts", place))
        elif columns[name].type not in (ColumnType.INTEGER, ColumnType.DECIMAL):
            yield Refusal(
                f"{quoted(name)} is {columns[name].type}; only integers and decimals sum exactly",
                f"declare {name} as integer or decimal, or leave it out of amounts",
                ("amounts", place),
            )
    for place, name in enumerate(partition):
        if name not in identity:
            advice = did_you_mean(name, identity)
            yield Refusal(f"{quoted(name)} is not an identity column", advice, ("partition", place))


def name_collisions(
    identity: Mapping[str, Column], amounts: Sequence[str], partition: Sequence[str]
) -> Iterator[Refusal]:
    """Yield which columns would stand in a result under a name that is taken there."""

    def collision(key: Key, what: str, name: str, result: str) -> Refusal:
        ours = f"item_{name}"
        return Refusal(
            f"{what} is also a column of {result}",
            f"call it {ours!r} in the contract and map it: columns={{'source': {{{name!r}: {ours!r}}}}}",
            key,
        )

    summed = {f"{side}_{name}" for name in amounts for side in ("source", "destination")}
    for name in identity:
        if name in BREAK_COLUMNS:
            yield collision(("identity", name), f"identity column {name!r}", name, "result.breaks")
    for place, name in enumerate(partition):
        if name in BATCH_COLUMNS or name in summed:
            yield collision(("partition", place), f"partition column {name!r}", name, "result.batches")
    for place, name in enumerate(amounts):
        if f"source_{name}" in BATCH_COLUMNS or f"destination_{name}" in BATCH_COLUMNS:
            what = f"amount {name!r} would be summed as 'source_{name}', which"
            yield collision(("amounts", place), what, name, "result.batches")
