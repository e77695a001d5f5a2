"""What of a ledger goes into a pack?

The runs that were asked for, with their contracts, batches and breaks; the leaves that speak of them, each with its
proof that it is in the log; the checkpoint that the proofs lead to; and two signed statements over all files. What does
not fit together is not given away: a pack is verified before it is put in place.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl
import sqlalchemy as sa

from integrity.contracts import Contract
from integrity.errors import UsageError
from integrity.ledger import Ledger, evidence, schema
from integrity.ledger.claims import claim_of
from integrity.ledger.history import rows_of
from integrity.ledger.listing import named, there
from integrity.ledger.log import canonical_json, iso, last_checkpoint
from integrity.ledger.reading import read_log
from integrity.merkle import Tree
from integrity.packs.files import PackError, written
from integrity.packs.opening import Pack
from integrity.packs.pseudonyms import Pseudonyms
from integrity.packs.readme import readme
from integrity.packs.reporting import REPORTS, page_of
from integrity.packs.statements import OURS, TEST_RESULT, signed, subjects
from integrity.packs.told import Run, predicate, test_result
from integrity.packs.tying import SPREAD
from integrity.packs.verifying import verify_pack
from integrity.report.reader import Reader

__all__ = ["export"]

#: Leaves that are of no run, and on which every run stands.
_STOOD_ON: Final = ("opened", "rotated", "approved", "erased", "sent", "ruled", "sampled", "tested")
_SCOPES: Final = {"batches": "batch", "breaks": "break"}
_VERIFY: Final = "nothing was written; run: integrity ledger verify"


def export(
    ledger: Ledger | str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    run: str | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    pseudonymise: str | os.PathLike[str] | None = None,
    seal_keys: str | os.PathLike[str] | None = None,
    kept_until: str | None = None,
) -> Path:
    """Write an evidence pack.

    Args:
        ledger: From which, or its URL.
        target: A folder that is not there yet, or a file that ends in ``.zip``.
        run: One run, by its name or the beginning of it; else all that began in a period.
        since: The first moment of the period; from the beginning if left out.
        until: The first moment behind it.
        pseudonymise: The file of a key, made where there is none: identities become pseudonyms under it, and everything
            else that is private is left out.
        seal_keys: Where the keys of sealed batches are written, apart from the pack: by them one can ask whether an
            item was in a batch.
        kept_until: Until when the data is kept, and the runs can be performed again, as the owner declares.

    Returns:
        Where it is.

    Raises:
        UsageError: there is no such run, or none in the period.
        LedgerError: the ledger cannot be read, was tampered with, or the pack cannot be written.
    """
    path = Path(target)
    if not isinstance(ledger, Ledger):
        there(ledger)  # to open one that is not there would begin it
        ledger = Ledger.open(ledger)
    with ledger.database.reading() as connection, written(path) as folder:
        runs = _chosen(connection, run, since, until)
        names = [each.name for each in runs]
        log = read_log(connection)
        if log.findings:
            raise PackError(f"the log of {ledger.location} was tampered with: {log.findings[0][4]}", _VERIFY)
        pseudonyms = None if pseudonymise is None else Pseudonyms(pseudonymise)
        with _spoken(ledger):
            decided = _decided(connection, names)
            _log(connection, folder, ledger, runs, decided)
            if pseudonyms is None and (reasons := _reasons(connection, decided)):
                _write_lines(folder / "log" / "reasons.jsonl", reasons)
            contracts = _contracts(connection, folder, {each.started["contract"]["sha256"] for each in runs})
            for each in runs:
                _run(connection, folder, each, contracts[each.started["contract"]["sha256"]], pseudonyms)
            name, hidden = ledger.key.public.name, pseudonyms is not None
            told = predicate(runs, ledger=name, claim=str(claim_of(log)), kept_until=kept_until, pseudonymised=hidden)
        (folder / "README.md").write_text(readme(told, str(ledger.key.public)), encoding="utf-8")
        _reports(folder, told, ledger)
        files = _files(folder)
        about = subjects(files)
        (folder / "reconciliation.dsse.json").write_bytes(signed(OURS, told, about, ledger.key))
        (folder / "test-result.dsse.json").write_bytes(signed(TEST_RESULT, test_result(runs), about, ledger.key))
        found = verify_pack(folder, key=ledger.key.public)
        if found.flaws:
            raise PackError(f"what {ledger.location} holds does not fit together: {found.flaws[0]}", _VERIFY)
        if seal_keys is not None:
            _write_keys(Path(seal_keys), {name: evidence.seal_key(ledger.key, name).hex() for name in names})
    return path


def _files(folder: Path) -> dict[str, bytes]:
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def _reports(folder: Path, told: Mapping[str, Any], ledger: Ledger) -> None:
    """What people open, in each language: made from the files of the pack, so that it tells nothing they do not."""
    pack = Pack(folder, _files(folder))
    lines = (json.loads(line) for line in pack.text("log/leaves.jsonl").splitlines())
    pack.leaves.update((line["leaf"], json.loads(line["body"])) for line in lines)
    for language, name in REPORTS.items():
        page = page_of(pack, told, Reader.of(language), ledger.clock())
        (folder / name).write_text(page, encoding="utf-8")


@contextlib.contextmanager
def _spoken(ledger: Ledger) -> Iterator[None]:
    """Say in one sentence that a ledger holds what no run wrote."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PackError(f"{ledger.location} holds what no run wrote: {error!r}", _VERIFY) from error


def _chosen(
    connection: sa.Connection, run: str | None, since: dt.datetime | None, until: dt.datetime | None
) -> list[Run]:
    of, endings, leaves = schema.runs, schema.endings, schema.leaves
    query = sa.select(of.c.run, of.c.leaf, endings.c.leaf.label("end"))
    query = query.outerjoin(endings, endings.c.run == of.c.run).order_by(of.c.leaf)
    if run is not None:
        query = query.where(of.c.run == named(connection, run))
    if since is not None:
        query = query.where(of.c.at >= iso(since))
    if until is not None:
        query = query.where(of.c.at < iso(until))
    rows = connection.execute(query).all()
    if not rows:
        raise UsageError("no run of that period is on record", "integrity ledger runs lists them")

    def said(number: int | None) -> dict[str, Any] | None:
        body = connection.execute(sa.select(leaves.c.body).where(leaves.c.number == number)).scalar()
        return None if body is None else dict(json.loads(body))

    return [Run(row.run, said(row.leaf) or {}, said(row.end)) for row in rows]


def _decided(connection: sa.Connection, runs: Container[str]) -> set[int]:
    """The leaves that say what persons decided about breaks of these runs, and all that these follow."""
    of = schema.dispositions.c
    rows = connection.execute(sa.select(of.leaf, of.run, of.number)).all()
    found: set[int] = set()
    places = {(run, number) for _, run, number in rows if run in runs}
    while more := {leaf for leaf, run, number in rows if (run, number) in places} - found:
        found |= more
        places |= {(run, number) for leaf, run, number in rows if leaf in more}
    return found


def _reasons(connection: sa.Connection, leaves: Container[int]) -> list[dict[str, Any]]:
    """Why persons decided as they did, as far as it was not erased."""
    secrets = schema.secrets
    query = sa.select(secrets.c.number, secrets.c.salt, secrets.c.body).where(secrets.c.scope == "disposition")
    rows = connection.execute(query.order_by(secrets.c.number))
    return [{"leaf": leaf, "salt": salt, "body": body} for leaf, salt, body in rows if leaf in leaves]


def _log(connection: sa.Connection, folder: Path, ledger: Ledger, runs: Sequence[Run], decided: Container[int]) -> None:
    """The leaves of some runs and those that all stand on, with their proofs; all hashes, the checkpoint, the key."""
    leaves, checkpoint = schema.leaves, last_checkpoint(connection)
    assert checkpoint is not None, "an open ledger has a leaf"
    rows = connection.execute(sa.select(leaves.c.hash, leaves.c.kind).order_by(leaves.c.number)).all()
    tree = Tree.over(bytes.fromhex(row.hash) for row in rows)
    wanted = {number for number, row in enumerate(rows) if row.kind in _STOOD_ON or number in decided}
    names = {run.name for run in runs}
    for table in (schema.runs, schema.endings):
        wanted |= {leaf for run, leaf in connection.execute(sa.select(table.c.run, table.c.leaf)) if run in names}
    lines = []
    query = sa.select(leaves.c.number, leaves.c.body).order_by(leaves.c.number)
    for number, body in connection.execution_options(yield_per=5_000).execute(query):
        if number in wanted:
            proof = [octets.hex() for octets in tree.proof(number)]
            lines.append({"leaf": number, "body": body, "proof": proof})
    (folder / "log").mkdir()
    _write_lines(folder / "log" / "leaves.jsonl", lines)
    if erased := _erasures(connection, names, decided):
        _write_lines(folder / "log" / "erasures.jsonl", erased)
    (folder / "log" / "hashes").write_text("".join(f"{row.hash}\n" for row in rows), encoding="ascii")
    (folder / "log" / "checkpoint").write_text(checkpoint.text, encoding="utf-8")
    (folder / "log" / "key").write_text(f"{ledger.key.public}\n", encoding="ascii")


def _erasures(connection: sa.Connection, runs: Container[str], decided: Container[int]) -> list[dict[str, Any]]:
    """The lists of what was erased that name one of these runs or decisions: whole, for a leaf commits to each."""
    of = schema.erasures.c
    links: dict[int, list[list[str | int]]] = {}
    for row in connection.execute(sa.select(schema.links)):
        links.setdefault(row.leaf, []).append([row.run, row.number, row.of_run, row.of_number])
    lists: dict[int, list[tuple[str, str, int]]] = {}
    for row in connection.execute(sa.select(of.leaf, of.run, of.scope, of.number)):
        lists.setdefault(row.leaf, []).append((row.run, row.scope, row.number))
    return [
        {"leaf": leaf, "places": sorted(places), "links": sorted(links.get(leaf, []))}
        for leaf, places in sorted(lists.items())
        if any(run in runs or (scope == "disposition" and number in decided) for run, scope, number in places)
    ]


def _write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(f"{canonical_json(line)}\n" for line in lines), encoding="utf-8")


def _run(connection: sa.Connection, folder: Path, run: Run, contract: Contract, pseudonyms: Pseudonyms | None) -> None:
    """The rows of a run and, unless they are to be left out, the private texts that open their commitments."""
    own = folder / "runs" / run.name
    own.mkdir(parents=True)
    texts = _texts(connection, run.name)
    told: dict[str, Any] = {"run": run.name, "started": run.started, "ended": run.ended, "reading": None, "found": None}
    if pseudonyms is None:
        hidden = {row["number"]: {"salt": row["salt"], "body": row["body"]} for row in texts.get("run", [])}
        told |= {"reading": hidden.get(0), "found": hidden.get(1)}
    (own / "run.json").write_text(f"{canonical_json(told)}\n", encoding="utf-8")
    for table in schema.EVIDENCE:
        frame = rows_of(connection, table, run.name)
        if table.name in _SCOPES:
            frame = _with_texts(frame, texts.get(_SCOPES[table.name], []), SPREAD[table.name], contract, pseudonyms)
        elif not frame.height:
            continue
        octets = io.BytesIO()
        frame.write_parquet(octets)
        (own / f"{table.name}.parquet").write_bytes(octets.getvalue())


def _texts(connection: sa.Connection, run: str) -> dict[str, list[dict[str, Any]]]:
    secrets, found = schema.secrets, dict[str, list[dict[str, Any]]]()
    query = sa.select(secrets).where(secrets.c.run == run).order_by(secrets.c.scope, secrets.c.number)
    for row in connection.execute(query):
        found.setdefault(row.scope, []).append(dict(row._mapping))
    return found


def _with_texts(
    frame: pl.DataFrame, texts: list[dict[str, Any]], part: str, contract: Contract, pseudonyms: Pseudonyms | None
) -> pl.DataFrame:
    """Rows with the identity or partition spread over columns, or its pseudonyms; and what opens the commitment."""
    spread = [json.loads(row["body"])[part] for row in texts]
    if pseudonyms is not None:
        spread = [pseudonyms.of_all(contract.name, values) for values in spread]
    names = list({"identity": contract.identity, "partition": contract.partition}[part])
    opening = ("salt", "subject", "body") if pseudonyms is None else ()
    columns = {"number": pl.Int64} | dict.fromkeys((*opening, *(f"{part}.{name}" for name in names)), pl.String)
    rows = [
        (row["number"], *(row[name] for name in opening), *(values.get(name) for name in names))
        for row, values in zip(texts, spread, strict=True)
    ]
    beside = pl.DataFrame(rows, schema=columns, orient="row")
    return frame.join(beside, on="number", how="left", maintain_order="left")


def _contracts(connection: sa.Connection, folder: Path, wanted: Iterable[str]) -> dict[str, Contract]:
    (folder / "contracts").mkdir()
    found = {}
    for sha256 in sorted(wanted):
        query = sa.select(schema.contracts.c.body).where(schema.contracts.c.sha256 == sha256)
        body = connection.execute(query).scalar()
        if body is None:
            raise PackError(f"contract {sha256[:12]}… is not in the ledger any more", _VERIFY)
        (folder / "contracts" / f"{sha256}.json").write_text(body, encoding="utf-8")
        found[sha256] = Contract.from_text(body)
        (folder / "contracts" / f"{sha256}.yaml").write_text(found[sha256].to_yaml(), encoding="utf-8")
    return found


def _write_keys(path: Path, keys: dict[str, str]) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            json.dump(keys, file, indent=1)
    except OSError as error:
        raise PackError(f"cannot write the keys of seals {path}: {error.strerror}", "name another place") from error
