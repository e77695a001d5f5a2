"""Does doing it again find the same?

A pack says what was promised, what was asked and what was found. Here the same is asked again of the stores as they are
now, and compared batch by batch. What can be compared depends on what the pack still tells: counts, verdicts and the
number of breaks always; hash totals where the ledger's key is at hand; identities where they were not left out.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from integrity.contracts import Contract
from integrity.errors import UsageError
from integrity.ledger import schema
from integrity.ledger.evidence import instants
from integrity.ledger.keys import LedgerKey
from integrity.packs.files import PackError
from integrity.packs.verifying import Pack, open_pack
from integrity.reconciliation import reconcile
from integrity.result import Result

__all__ = ["Difference", "Reperformance", "reperform"]

_COMPARED: Final = (*schema.COUNTS, *schema.VERDICTS)
_HASHES: Final = ("source_hash", "destination_hash")


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not as it was recorded.

    Attributes:
        batch: The start of the batch, and its partition where that is known; or ``breaks``.
        what: Which number or verdict.
        recorded: What the pack says.
        found: What was found now.
    """

    batch: str
    what: str
    recorded: object
    found: object

    def __str__(self) -> str:
        return f"{self.batch}: {self.what} was {self.recorded}, and is {self.found}"


@dataclass(frozen=True)
class Reperformance:
    """What became of performing a run again.

    Attributes:
        run: Which.
        batches: How many batches were compared.
        compared: What could be compared of them, in words.
        differences: What is not as it was recorded.
        result: What was found now.
    """

    run: str
    batches: int
    compared: tuple[str, ...]
    differences: tuple[Difference, ...]
    result: Result

    @property
    def verdict(self) -> str:
        """``same``, ``different``, or ``unverified`` where there was nothing to compare."""
        if not self.batches:
            return "unverified"
        return "different" if self.differences else "same"

    @property
    def exit_code(self) -> int:
        """What a shell sees: 0 the same, 1 different, 3 unverified."""
        return {"same": 0, "different": 1}.get(self.verdict, 3)

    def headline(self) -> str:
        """One sentence."""
        said = f"run {self.run}, performed again: {self.verdict} in {self.batches:,} batches"
        compared = f"compared were {', '.join(self.compared)}"
        if self.differences:
            more = f" (and {len(self.differences) - 1:,} more)" if len(self.differences) > 1 else ""
            return f"{said}: {self.differences[0]}{more}; {compared}"
        return f"{said}; {compared}"


def reperform(
    pack: str | os.PathLike[str],
    source: Any,
    destination: Any,
    *,
    run: str | None = None,
    key: str | os.PathLike[str] | None = None,
    **references: Any,
) -> Reperformance:
    """Perform a run of a pack again.

    Args:
        pack: The folder or zip; verify it first.
        source: The source as it is now.
        destination: The destination as it is now.
        run: Which run of the pack, by its name or the beginning of it; it may be left out where there is one.
        key: The file of the ledger's key, by which hash totals can be compared, too.
        **references: ``grants``, ``outcomes``, ``members``, ``corrections``; and ``columns`` and ``timezone`` where
            the stores of now name things otherwise, or the pack leaves out how they did.

    Raises:
        UsageError: there is no such run, or it did not finish.
        PackError: the pack cannot be read.
        IntegrityError: as :func:`integrity.reconcile` raises.
    """
    found = open_pack(pack)
    started, ended = _chosen(found, run)
    name = started["run"]
    contract = Contract.from_text(found.text(f"contracts/{started['contract']['sha256']}.json"))
    told = json.loads(found.text(f"runs/{name}/run.json"))
    reading = {} if told["reading"] is None else json.loads(told["reading"]["body"])
    asked = {name: reading[name] for name in ("columns", "timezone") if name in reading} | references
    result = reconcile(
        contract,
        source,
        destination,
        since=ended["since"],
        until=started["until"],
        as_of=ended["as_of"],
        skip=started["skips"],
        **asked,
    )
    recorded = found.frame(name, "batches")
    if recorded is None:
        raise PackError(f"the pack has no batches of run {name}", "verify it")
    held = None if key is None else LedgerKey.read(key)
    differences = [*_batches(recorded, result, contract, held), *_breaks(found, name, result)]
    compared = ["counts and verdicts", "breaks"] + (["hash totals"] if held is not None else [])
    return Reperformance(name, recorded.height, tuple(compared), tuple(differences), result)


def _chosen(pack: Pack, run: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    for line in pack.text("log/leaves.jsonl").splitlines():
        said = json.loads(line)
        pack.leaves[said["leaf"]] = json.loads(said["body"])
    ended = pack.of_kind("finished")
    names = [name for name in pack.of_kind("started") if name in ended and name.startswith(run or "")]
    if len(names) != 1:
        listed = ", ".join(names) or "none that finished"
        raise UsageError(f"the pack has {'no such run' if not names else 'several runs'}", f"name one: {listed}")
    return pack.of_kind("started")[names[0]], ended[names[0]]


def _batches(recorded: pl.DataFrame, result: Result, contract: Contract, key: LedgerKey | None) -> list[Difference]:
    """Compare each batch that was recorded with the one that has the same start and partition now."""
    partition = list(contract.partition)
    now = result.batch_frame.with_columns(instants("batch_start"))
    mine = {_named(row, partition): row for row in now.iter_rows(named=True)}
    differences: list[Difference] = []
    several = Counter(recorded["batch_start"].to_list())
    for row in recorded.iter_rows(named=True):
        start = row["batch_start"]
        values = json.loads(row["body"])["partition"] if row.get("body") else {}
        if partition and not values:  # whose it was is left out: only a batch that is alone can be told from others
            same = [each for each in mine.values() if each["batch_start"] == start]
            other = same[0] if several[start] == 1 == len(same) else _alike(row, same)
        else:
            other = mine.get(_named({**values, "batch_start": start}, partition))
        where = " ".join([start or "untimed", *(f"{n}={values[n]}" for n in partition if n in values)])
        if other is None:
            differences.append(Difference(where, "the batch", "there", "not there"))
            continue
        unequal = [name for name in _COMPARED if row[name] != other[name]]
        differences += [Difference(where, name, row[name], other[name]) for name in unequal]
        for name in _HASHES if key is not None else ():
            side = name.removesuffix("_hash")
            if key is not None and row[name] != key.hide("hash total", contract.sha256, side, other[name]):
                differences.append(Difference(where, name, "as recorded", "another"))
    return differences


def _alike(row: Mapping[str, Any], others: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Of several batches one that has the same counts, where nobody can say which one is meant."""
    same = [each for each in others if all(each[name] == row[name] for name in _COMPARED)]
    return same[0] if same else (others[0] if others else None)


def _named(row: Mapping[str, Any], partition: list[str]) -> tuple[Any, ...]:
    return (*(row.get(name) for name in partition), row["batch_start"])


def _breaks(pack: Pack, run: str, result: Result) -> list[Difference]:
    """Compare the breaks: by identity where the pack has them, else by kind."""
    recorded = pack.frame(run, "breaks")
    if recorded is None:
        return [Difference("breaks", "the rows", "there", "not in the pack")]
    contract = result.contract
    named = "body" in recorded.columns and recorded["body"].null_count() == 0
    was: Counter[tuple[Any, ...]] = Counter()
    for row in recorded.iter_rows(named=True):
        identity = json.loads(row["body"])["identity"] if named else {}
        was[row["kind"], *(identity.get(name) for name in contract.identity if named)] += 1
    now: Counter[tuple[Any, ...]] = Counter()
    for frame in result.break_frames():
        columns = ["kind", *(contract.identity if named else ())]
        now.update(tuple(row) for row in frame.select(columns).iter_rows())
    gone, new = was - now, now - was
    differences = [Difference("breaks", _break(each), f"{gone[each]:,} more", "gone") for each in sorted(gone, key=str)]
    return differences + [Difference("breaks", _break(each), "none", f"{new[each]:,}") for each in sorted(new, key=str)]


def _break(each: tuple[Any, ...]) -> str:
    return " ".join(str(part) for part in each)
