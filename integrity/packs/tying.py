"""Do the rows and texts of a run tie to what its leaves commit to?

Each row to its digest, all of them to the root; each private text to its commitment, and where it is not there, to the
erasure on record; counts to the run's totals, breaks to the counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import polars as pl

from integrity.contracts import Contract
from integrity.ledger import schema
from integrity.ledger.links import root_of_links
from integrity.ledger.log import canonical_json
from integrity.ledger.rows import commitments, digests, frame_of, root
from integrity.merkle import leaf_hash, root_of
from integrity.packs.files import PackError
from integrity.packs.opening import Pack
from integrity.packs.told import Run

__all__ = ["SPREAD", "erasures", "tie", "tie_contract"]

#: Of which table the private texts have which part, that is spread over columns ``part.name`` for reading.
SPREAD: Final = {"batches": "partition", "breaks": "identity"}
_SCOPES: Final = {"batches": "batch", "breaks": "break"}
#: Kinds of which each has a row; of the others there is none where a side was recorded earlier.
_MATCHED: Final = ("lost", "duplicate", "corrupt", "extra")
_REMARKED: Final = ("invalid", "late", "skewed", "unauthorized")
_TEXTS: Final = ("salt", "subject", "body")
_FEW: Final = 3

Place = tuple[str, str, int]


def erasures(pack: Pack) -> set[Place]:
    """Return what was erased, by the lists that the leaves commit to, as are the links that they note."""
    found: set[Place] = set()
    name = "log/erasures.jsonl"
    for where, said in pack.lines(name) if name in pack.files else ():
        with pack.flawed(where):
            number, places = said["leaf"], [(str(run), str(scope), int(n)) for run, scope, n in said["places"]]
            leaf = pack.leaves.get(number, {})
            frame = frame_of(schema.erasures, [(*place, number) for place in places])
            same = leaf.get("kind") == "erased" and leaf["count"] == len(places)
            links = [((str(run), int(n)), (str(of), int(m))) for run, n, of, m in said["links"]]
            noted = same and root_of_links(links, number) == leaf.get("links", root_of_links([], number))
            if noted and leaf["root"] == root(digests(schema.erasures, frame)):
                found.update(places)
            else:
                pack.flaw(where, "it is not the list that its leaf commits to")
    return found


def tie(pack: Pack, run: Run, erased: set[Place], *, pseudonymised: bool) -> None:
    """Compare everything of a run with its leaves."""
    where = f"runs/{run.name}/run.json"
    with pack.flawed(where):
        _texts(pack, run, where, erased, pseudonymised=pseudonymised)
    if run.finished is None:
        return
    frames = {}
    for table in schema.EVIDENCE:
        where = f"runs/{run.name}/{table.name}.parquet"
        with pack.flawed(where):
            frame = _rows(pack, where, table, run.finished["rows"][table.name], run.name)
            if frame is None:
                continue
            frames[table.name] = frame
            if table.name in _SCOPES:
                _commitments(pack, where, table.name, frame, erased, pseudonymised=pseudonymised)
    with pack.flawed(f"runs/{run.name}"):
        _counts(pack, run.name, run.finished, frames)
    if "seals" in frames:
        _seals(pack, f"runs/{run.name}/seals.parquet", frames["seals"])


def tie_contract(pack: Pack, digest: str) -> None:
    """Compare a contract with its digest, and what people read of it with what is read by machines."""
    where = f"contracts/{digest}.json"
    if sha256(pack.text(where).encode()).hexdigest() != digest:
        pack.flaw(where, "it has another SHA-256")
    where = f"contracts/{digest}.yaml"
    with pack.flawed(where):
        if Contract.from_text(pack.text(where)).sha256 != digest:
            pack.flaw(where, "it does not say what the contract says")


def _texts(pack: Pack, run: Run, where: str, erased: set[Place], *, pseudonymised: bool) -> None:
    """What is private of a run itself, and what its leaves say, told once more for reading."""
    told = json.loads(pack.text(where))
    for name, leaf in (("started", run.started), ("ended", run.ended)):
        if told[name] != (None if leaf is None else json.loads(canonical_json(leaf))):
            pack.flaw(where, f"what it tells of how the run {name} is not what its leaf says")
    parts = [(0, told["reading"], run.started["reading"])]
    if run.ended is not None:
        parts.append((1, told["found"], run.ended["found"]))
    for number, text, commitment in parts:
        gone = (run.name, "run", number) in erased
        if text is None:
            _absent(pack, where, 1, int(gone), pseudonymised=pseudonymised)
            continue
        series = [pl.Series([value], dtype=pl.String) for value in (text["salt"], None, text["body"])]
        if gone or pseudonymised or commitments(*series)[0] != commitment:
            pack.flaw(where, "its private text is not what was committed to, or should not be there")
        else:
            pack.opened += 1


def _absent(pack: Pack, where: str, absent: int, erased: int, *, pseudonymised: bool) -> None:
    if pseudonymised:
        pack.left_out += absent
        return
    pack.erased += erased
    if absent > erased:
        pack.flaw(where, f"{absent - erased:,} private texts are not there, and no erasure of them is on record")


def _rows(pack: Pack, where: str, table: Any, said: Mapping[str, Any], run: str) -> pl.DataFrame | None:
    """The rows of a table, where they are those that the leaf commits to."""
    frame = pack.frame(run, table.name)
    if frame is None:
        if said["count"] and all(flaw.where != where for flaw in pack.flaws):
            pack.flaw(where, f"it is not there, and its leaf says that there are {said['count']:,} rows")
        return None
    known = {*(column.name for column in table.columns), *_TEXTS}
    strange = [
        name for name in frame.columns if name not in known and not name.startswith(f"{SPREAD.get(table.name)}.")
    ]
    if strange:
        pack.flaw(where, f"it has a column {strange[0]!r}, to which nothing commits")
    wrong = (digests(table, frame) != frame["hash"].cast(pl.String)).fill_null(True) | (frame["run"] != run)
    for number in frame["number"].filter(wrong).head(_FEW):
        pack.flaw(f"{where}, row {number}", "it has another digest")
    if wrong.any():
        return None
    if frame["number"].to_list() != list(range(said["count"])) or root(frame["hash"].to_list()) != said["root"]:
        pack.flaw(where, "its rows are not those that its leaf commits to")
        return None
    return frame


def _commitments(
    pack: Pack, where: str, table: str, frame: pl.DataFrame, erased: set[Place], *, pseudonymised: bool
) -> None:
    """The private texts of rows, and their parts that are spread over columns."""
    if ("body" in frame.columns) == pseudonymised:
        pack.flaw(where, "what is private of it is " + ("there, and should not be" if pseudonymised else "not there"))
        return
    if pseudonymised:
        _absent(pack, where, frame.height, 0, pseudonymised=True)
        return
    there = pl.col("body").is_not_null()
    gone = [(run, _SCOPES[table], number) in erased for run, number in frame.select("run", "number").iter_rows()]
    gone_, absent = pl.Series(gone, dtype=pl.Boolean), frame.select(~there).to_series()
    _absent(pack, where, int(absent.sum()), int((gone_ & absent).sum()), pseudonymised=False)
    for number in frame["number"].filter(gone_ & ~absent).head(_FEW):
        pack.flaw(f"{where}, row {number}", "its private text is there, and said to be erased")
    shown = frame.filter(there)
    computed = commitments(shown["salt"], shown["subject"], shown["body"])
    wrong = (computed != shown["commitment"]).fill_null(True)
    for number in shown["number"].filter(wrong).head(_FEW):
        pack.flaw(f"{where}, row {number}", "its private text is not what was committed to")
    pack.opened += shown.height - int(wrong.sum())
    part = SPREAD[table]
    columns = [name for name in frame.columns if name.startswith(f"{part}.")]
    for number, body, *values in frame.select("number", "body", *columns).iter_rows():
        told = {} if body is None else {f"{part}.{name}": value for name, value in json.loads(body)[part].items()}
        if any(told.get(name) != value for name, value in zip(columns, values, strict=True)):
            pack.flaw(f"{where}, row {number}", f"its {part} is not the one in its private text")


def _counts(pack: Pack, run: str, finished: Mapping[str, Any], frames: Mapping[str, pl.DataFrame]) -> None:
    """The counts of all batches, with those that stood unchanged, are the totals; the breaks are as many as counted."""
    unchanged, totals = finished["unchanged"], finished["totals"]
    if "batches" not in frames:
        return
    sums = {name: int(frames["batches"][name].sum() or 0) for name in schema.COUNTS}
    found = {name: total + unchanged["totals"].get(name, 0) for name, total in sums.items()}
    found["moved"] = found.pop("moved_out")
    for name, total in totals.items():
        if found.get(name) != total:
            pack.flaw(f"runs/{run}", f"{name} do not add up: {found.get(name)} in its batches, {total} in its leaf")
    if "breaks" not in frames:
        return
    rows = dict(frames["breaks"].group_by("kind").len().iter_rows())
    known = not frames["batches"]["matched"].has_nulls() and not unchanged["batches"]
    for kind in (*_MATCHED, *_REMARKED):
        there, counted = rows.get(kind, 0), totals[kind] - unchanged["totals"].get(kind, 0)
        if there > counted or (kind in _MATCHED and known and there != counted):
            pack.flaw(f"runs/{run}/breaks.parquet", f"it has {there:,} {kind}, and the run counted {counted:,}")


def _seals(pack: Pack, where: str, frame: pl.DataFrame) -> None:
    for number, octets, records, said in frame.select("number", "leaves", "records", "root").iter_rows():
        with pack.flawed(f"{where}, row {number}"):
            leaves = [octets[i : i + 32] for i in range(0, len(octets), 32)]
            same = len(leaves) == records and leaves == sorted(leaves)
            if not same or root_of([leaf_hash(leaf) for leaf in leaves]).hex() != said:
                raise PackError("its leaves have another root")
