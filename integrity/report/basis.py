"""What does a run rest on: which stores were read, how, and with which totals?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl

from integrity.harmless import plain
from integrity.report.facts import Facts
from integrity.report.reader import Reader
from integrity.totals import scale_of, scaled

__all__ = ["stores"]

_MASK: Final = (1 << 64) - 1
_TOLD: Final = ("location", "read", "timezone", "queries", "read_at")


def stores(facts: Facts, reader: Reader) -> Iterator[dict[str, Any]]:
    """Yield what is known of each store that was read: both sides, then the others."""
    told = facts.described.get("sides") or {}
    for side in ("source", "destination"):
        yield {
            "side": side,
            "title": reader.say(f"side.{side}"),
            "records": facts.totals[f"{side}_records"],
            "digest": _digest(facts.batches[f"{side}_hash"]),
            "amounts": list(_amounts(facts, side, reader)),
            **_read(told.get(side)),
        }
    for name, each in (facts.described.get("references") or {}).items():
        title = reader.say("b.references", name=plain(name))
        yield {"side": name, "title": title, "records": None, "digest": "", "amounts": [], **_read(each)}


def _digest(hashes: pl.Series) -> str:
    """The hash totals of all batches, added up; of a ledger's, which are keyed, there is no sum."""
    words = [0, 0]
    for text in hashes:
        if not str(text).startswith("sum128:"):
            return ""
        words = [(word + int(text[at : at + 16], 16)) & _MASK for word, at in zip(words, (7, 23), strict=True)]
    return f"sum128:{words[0]:016x}{words[1]:016x}"


def _amounts(facts: Facts, side: str, reader: Reader) -> Iterator[tuple[str, str]]:
    for name in facts.contract.amounts:
        column = f"{side}_{name}"
        if column in facts.batches.columns:  # a ledger keeps no amounts
            total = sum(int(text) for text in facts.batches[column])
            yield name, reader.amount(scaled(total, scale_of(facts.contract, name)))


def _read(told: Mapping[str, Any] | None) -> dict[str, Any]:
    if told is None:
        return {"withheld": True, "read_at": None}
    return {"withheld": False, **{name: told[name] for name in _TOLD}, "columns": list(told["columns"].items())}
