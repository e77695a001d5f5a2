"""Does doing it again find the same?

A pack says what was promised, what was asked and what was found. Here the same is asked again of the stores as they are
now, and compared batch by batch. What can be compared depends on what the pack still tells: totals, counts, verdicts
and the number of breaks always; amounts and identities where they were not left out; hash totals where the ledger's key
is at hand.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from integrity.contracts import Contract
from integrity.errors import UsageError
from integrity.ledger import schema
from integrity.ledger.evidence import instants
from integrity.ledger.keys import LedgerKey, PublicKey
from integrity.packs.files import PackError
from integrity.packs.opening import Pack
from integrity.packs.told import Run, runs_of
from integrity.packs.verifying import sound_pack
from integrity.reconciliation import reconcile
from integrity.result import Result
from integrity.totals import BATCH

__all__ = ["Asked", "Difference", "Reperformance", "asked_again", "reperform"]

_COUNTED: Final = (*schema.COUNTS, *schema.VERDICTS)
_SIDES: Final = ("source", "destination")

#: The start of a batch and, where the pack tells it, its partition.
Place = tuple[str | None, ...]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not as it was recorded.

    Attributes:
        batch: The start of the batch, and its partition where that is known; or ``breaks``, or ``the run``.
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
        if self.differences:
            return "different"
        return "same" if self.batches else "unverified"

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
        pack: The folder or zip. It has to fit together; by whom it is signed is for ``verify_pack`` to tell.
        source: The source as it is now; where control totals were given, the same again.
        destination: The destination as it is now.
        run: Which run of the pack, by its name or the beginning of it; it may be left out where there is one.
        key: The file of the ledger's key, by which hash totals can be compared, too.
        **references: ``grants``, ``outcomes``, ``members``, ``corrections``; and ``columns`` and ``timezone`` where
            the stores of now name things otherwise, or the pack leaves out how they did.

    Raises:
        UsageError: there is no such run, it did not finish, or the key is another ledger's.
        PackError: the pack cannot be read, or does not fit together.
        IntegrityError: as :func:`integrity.reconcile` raises.
    """
    found = sound_pack(pack)
    held = None if key is None else _key(found, key)
    asked = asked_again(found, run, references)
    chosen, finished, contract = asked.run, asked.finished, asked.contract
    recorded = found.frame(chosen.name, "batches")
    if recorded is None:
        raise PackError(f"the pack has no batches of run {chosen.name}", "ask for a whole pack")
    result = reconcile(contract, source, destination, **asked.terms)
    terms = Terms(contract, "body" in recorded.columns and not recorded["body"].has_nulls(), held)
    then = [terms.recorded(row) for row in recorded.iter_rows(named=True)]
    now = [terms.found(row) for row in result.batch_frame.with_columns(instants("batch_start")).iter_rows(named=True)]
    rows = found.frame(chosen.name, "breaks")
    if rows is None:
        raise PackError(f"the pack has no breaks of run {chosen.name}", "ask for a whole pack")
    differences = [
        *_batches(then, now, finished["unchanged"], terms),
        *_run(finished, result),
        *_breaks(rows, dict(zip(recorded["key"], then, strict=True)), _whole(then, now, finished), result, terms),
    ]
    compared = ("totals", "counts and verdicts", "breaks", *terms.besides)
    return Reperformance(chosen.name, recorded.height, compared, tuple(differences), result)


@dataclass(frozen=True)
class Asked:
    """What a run of a pack was asked.

    Attributes:
        run: Which.
        finished: What it found.
        contract: What was promised.
        terms: Further arguments of :func:`integrity.reconcile`.
    """

    run: Run
    finished: Row
    contract: Contract
    terms: Mapping[str, Any]


def asked_again(pack: Pack, run: str | None, references: Row) -> Asked:
    """Return what a run was asked, to ask it again; ``references`` outweigh what the pack tells of how it read.

    Raises:
        UsageError: there is no such run, or it did not finish.
        PackError: the pack does not hold it whole.
    """
    chosen, finished = _chosen(pack, run)
    contract = Contract.from_text(pack.text(f"contracts/{chosen.started['contract']['sha256']}.json"))
    told = json.loads(pack.text(f"runs/{chosen.name}/run.json"))
    reading = {} if told["reading"] is None else json.loads(told["reading"]["body"])
    terms = {name: reading[name] for name in ("columns", "timezone") if name in reading} | dict(references)
    terms |= {"since": finished["since"], "until": chosen.started["until"]}
    terms |= {"as_of": finished["as_of"], "skip": chosen.started["skips"]}
    return Asked(chosen, finished, contract, terms)


def _key(pack: Pack, path: str | os.PathLike[str]) -> LedgerKey:
    held = LedgerKey.read(path)
    names = [leaf["key"] for leaf in pack.leaves.values() if leaf["kind"] in ("opened", "rotated")]
    if held.public not in map(PublicKey.from_text, names):
        raise UsageError(
            f"{os.fspath(path)} is the key of {held.public.name}, not of the pack's ledger",
            f"name the file of {pack.text('log/key').strip()}",
        )
    return held


def _chosen(pack: Pack, run: str | None) -> tuple[Run, Row]:
    found = [(each, each.finished) for each in runs_of(pack.leaves) if each.name.startswith(run or "")]
    finished = [(each, ended) for each, ended in found if ended is not None]
    if len(finished) != 1:
        listed = ", ".join(each.name for each, _ in finished) or "none that finished"
        raise UsageError(f"the pack has {'several runs' if finished else 'no such run'}", f"name one: {listed}")
    return finished[0]


# --- what can be compared
# -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """A batch, as far as it can be compared.

    Attributes:
        place: By what it is found again: its start and, where the pack tells it, its partition.
        said: Its numbers and verdicts.
    """

    place: Place
    said: Mapping[str, object]


@dataclass(frozen=True)
class Terms:
    """What of batches can be compared.

    Attributes:
        contract: What was promised.
        opened: Whether the pack tells what is private of every batch: its partition and its amounts.
        key: The ledger's, under which hash totals are kept.
    """

    contract: Contract
    opened: bool
    key: LedgerKey | None

    @property
    def besides(self) -> tuple[str, ...]:
        """What is compared besides counts, in words."""
        amounts = ("amounts",) if self.contract.amounts and self.opened else ()
        return amounts + (("hash totals",) if self.key is not None else ())

    @property
    def partition(self) -> tuple[str, ...]:
        """The columns that tell batches of one window apart."""
        return tuple(self.contract.partition) if self.opened else ()

    def place(self, row: Row, values: Row, prefix: str = "") -> Place:
        """Return where a row with a ``batch_start`` belongs."""
        return (row["batch_start"], *(_text(values[f"{prefix}{name}"]) for name in self.partition))

    def recorded(self, row: Row) -> Batch:
        """Return a batch of the pack."""
        body = json.loads(row["body"]) if self.opened else {"partition": {}, "amounts": {}}
        said = {name: row[name] for name in _COUNTED} | body["amounts"]
        if self.key is not None:
            said |= {f"{side}_hash": row[f"{side}_hash"] for side in _SIDES}
        return Batch(self.place(row, body["partition"]), said)

    def found(self, row: Row) -> Batch:
        """Return a batch as it was found now."""
        amounts = [f"{side}_{name}" for name in self.contract.amounts for side in _SIDES] if self.opened else []
        said = {name: row[name] for name in (*_COUNTED, *amounts)}
        if self.key is not None:
            for side in _SIDES:
                hidden = self.key.hide("hash total", self.contract.sha256, side, row[f"{side}_hash"])
                said[f"{side}_hash"] = hidden
        return Batch(self.place(row, row), said)

    def shown(self, batch: Batch) -> str:
        """Return which batch it is, for a person."""
        start, *values = batch.place
        named = zip(self.partition, values, strict=True)
        return " ".join([start or "untimed", *(f"{name}={value}" for name, value in named)])


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _by_place(batches: Iterable[Batch]) -> dict[Place, list[Batch]]:
    found: dict[Place, list[Batch]] = {}
    for batch in batches:
        found.setdefault(batch.place, []).append(batch)
    return found


# --- comparing
# ----------------------------------------------------------------------------------------------------------------


def _batches(then: list[Batch], now: list[Batch], unchanged: Row, terms: Terms) -> Iterator[Difference]:
    """Compare batch by batch; where nobody can say which of several is meant, equal ones pair off first."""
    left = _by_place(now)
    unequal: list[Batch] = []
    for batch in then:
        same = next((each for each in left.get(batch.place, ()) if each.said == batch.said), None)
        if same is None:
            unequal.append(batch)
        else:
            left[batch.place].remove(same)
    for batch in unequal:
        others, where = left.get(batch.place), terms.shown(batch)
        if not others:
            yield Difference(where, "the batch", "there", "not there")
            continue
        other = others.pop(0)
        for name, value in batch.said.items():
            if other.said[name] != value:
                hidden = name.endswith("_hash")
                yield Difference(where, name, *(("as recorded", "another") if hidden else (value, other.said[name])))
    yield from _besides([batch for batches in left.values() for batch in batches], unchanged, terms)


def _besides(others: list[Batch], unchanged: Row, terms: Terms) -> Iterator[Difference]:
    """Batches without a row of their own: new ones, or those that the run found as an earlier run had."""
    if not unchanged["batches"]:
        for batch in others:
            yield Difference(terms.shown(batch), "the batch", "not there", "there")
    elif len(others) != unchanged["batches"]:
        yield Difference("the run", "the number of unchanged batches", unchanged["batches"], len(others))
    else:
        for name in schema.COUNTS:
            total = sum(int(str(batch.said[name] or 0)) for batch in others)
            if total != unchanged["totals"].get(name, 0):
                yield Difference("the unchanged batches", name, unchanged["totals"].get(name, 0), total)


def _run(finished: Row, result: Result) -> Iterator[Difference]:
    """Compare what was said of all of it."""
    now = {"verdict": result.verdict.value} | {each.value: verdict.value for each, verdict in result.assertions.items()}
    then = {"verdict": finished["verdict"], **finished["assertions"]}
    for said, found in ((then, now), (finished["totals"], result.totals)):
        for name in said.keys() | found.keys():
            if said.get(name) != found.get(name):
                yield Difference("the run", name, said.get(name), found.get(name))


def _whole(then: list[Batch], now: list[Batch], finished: Row) -> set[Place]:
    """The places all of whose batches have rows in the pack: only there can breaks be compared."""
    was, is_ = _by_place(then), _by_place(now)
    if not finished["unchanged"]["batches"]:
        return was.keys() | is_.keys()
    return {place for place in was if len(was[place]) == len(is_.get(place, ()))}


def _breaks(
    rows: pl.DataFrame, batches: Mapping[str, Batch], whole: set[Place], result: Result, terms: Terms
) -> Iterator[Difference]:
    """Compare the breaks: by identity where the pack has them, else by kind."""
    named = "body" in rows.columns and not rows["body"].has_nulls()
    names = tuple(terms.contract.identity) if named else ()
    was: Counter[tuple[str | None, ...]] = Counter()
    for row in rows.iter_rows(named=True):
        if row["batch"] not in batches or batches[row["batch"]].place in whole:
            identity = json.loads(row["body"])["identity"] if named else {}
            was[row["kind"], *(_text(identity[name]) for name in names)] += 1
    now: Counter[tuple[str | None, ...]] = Counter()
    for frame in result.break_frames():
        for row in frame.rename({BATCH: "batch_start"}).with_columns(instants("batch_start")).iter_rows(named=True):
            if terms.place(row, row, "__p.") in whole:
                now[row["kind"], *(_text(row[name]) for name in names)] += 1
    for each in sorted(was.keys() | now.keys(), key=str):
        if was[each] != now[each]:
            yield Difference("breaks", " ".join(map(str, each)), f"{was[each]:,}", f"{now[each]:,}")
