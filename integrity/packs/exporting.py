"""What of a ledger goes into a pack?

The runs that were asked for, with their contracts, batches and breaks; the leaves that speak of them, each with its
proof that it is in the log; the checkpoint that the proofs lead to; and two signed statements over all files.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
import sqlalchemy as sa

from integrity.contracts import Contract
from integrity.errors import UsageError
from integrity.ledger import Ledger, evidence, schema
from integrity.ledger.claims import claim_of
from integrity.ledger.history import rows_of
from integrity.ledger.listing import named
from integrity.ledger.log import canonical_json, iso, last_checkpoint
from integrity.ledger.reading import read_log
from integrity.merkle import Tree
from integrity.packs.files import PackError, written
from integrity.packs.pseudonyms import Pseudonyms
from integrity.packs.readme import readme
from integrity.packs.statements import OURS, TEST_RESULT, signed, subjects

__all__ = ["FORM", "export"]

#: The name of a pack's form.
FORM: Final = "integrity.pack/1"
#: Leaves that are of no run, and on which every run stands.
_STOOD_ON: Final = ("opened", "rotated", "approved", "erased", "sent")
_SCOPES: Final = {"batches": "batch", "breaks": "break"}


@dataclass(frozen=True)
class Exported:
    """A run, as it goes into a pack.

    Attributes:
        run: Its name.
        started: What its first leaf says.
        ended: What its last leaf says; ``None`` where it never ended.
    """

    run: str
    started: dict[str, Any]
    ended: dict[str, Any] | None

    @property
    def counts(self) -> bool:
        """Whether it counts: a run of production that finished."""
        finished = self.ended is not None and self.ended["kind"] == "finished"
        return finished and self.started["environment"] == "production"


def export(
    ledger: Ledger,
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
        ledger: From which.
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
        LedgerError: the ledger cannot be read, or the pack not be written.
    """
    path = Path(target)
    pseudonyms = None if pseudonymise is None else Pseudonyms(pseudonymise)
    with ledger.database.reading() as connection, written(path) as folder:
        runs = _chosen(connection, run, since, until)
        claim = claim_of(read_log(connection))
        names = [each.run for each in runs]
        _log(connection, folder, ledger, names)
        for each in runs:
            _run(connection, folder, each, pseudonyms)
        contracts = _contracts(connection, folder, runs)
        told = {
            "form": FORM,
            "ledger": ledger.key.public.name,
            "claim": str(claim),
            "kept_until": kept_until,
            "pseudonymised": pseudonyms is not None,
            "runs": [_summary(each) for each in runs],
            "deviations": list(_deviations(runs)),
        }
        (folder / "README.md").write_text(readme(told, str(ledger.key.public)), encoding="utf-8")
        files = {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}
        about = subjects(files)
        (folder / "reconciliation.dsse.json").write_bytes(signed(OURS, told, about, ledger.key))
        (folder / "test-result.dsse.json").write_bytes(
            signed(TEST_RESULT, _test_result(runs, contracts), about, ledger.key)
        )
        if seal_keys is not None:
            _write_keys(Path(seal_keys), {name: evidence.seal_key(ledger.key, name).hex() for name in names})
    return path


def _chosen(
    connection: sa.Connection, run: str | None, since: dt.datetime | None, until: dt.datetime | None
) -> list[Exported]:
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
        if number is None:
            return None
        body = connection.execute(sa.select(leaves.c.body).where(leaves.c.number == number)).scalar_one()
        return {"leaf": number, **json.loads(body)}

    return [Exported(row.run, said(row.leaf) or {}, said(row.end)) for row in rows]


def _log(connection: sa.Connection, folder: Path, ledger: Ledger, runs: list[str]) -> None:
    """The leaves of some runs and those that all stand on, with their proofs, the checkpoint and the key."""
    leaves = schema.leaves
    query = sa.select(leaves.c.number, leaves.c.kind, leaves.c.body, leaves.c.hash).order_by(leaves.c.number)
    rows = connection.execute(query).all()
    tree = Tree.over(bytes.fromhex(row.hash) for row in rows)
    wanted = set(runs)
    lines = []
    for row in rows:
        if row.kind in _STOOD_ON or json.loads(row.body).get("run") in wanted:
            proof = [octets.hex() for octets in tree.proof(row.number)]
            lines.append(canonical_json({"leaf": row.number, "body": row.body, "proof": proof}))
    checkpoint = last_checkpoint(connection)
    assert checkpoint is not None, "an open ledger has a leaf"
    (folder / "log").mkdir()
    (folder / "log" / "leaves.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")
    (folder / "log" / "checkpoint").write_text(checkpoint.text, encoding="utf-8")
    (folder / "log" / "key").write_text(f"{ledger.key.public}\n", encoding="ascii")


def _run(connection: sa.Connection, folder: Path, each: Exported, pseudonyms: Pseudonyms | None) -> None:
    """The rows of a run and, unless they are to be left out, the private texts that open their commitments."""
    own = folder / "runs" / each.run
    own.mkdir(parents=True)
    contract = each.started["contract"]["name"]
    texts = _texts(connection, each.run)
    told: dict[str, Any] = {"run": each.run, "reading": None, "found": None}
    if pseudonyms is None:
        hidden = {row["number"]: {"salt": row["salt"], "body": row["body"]} for row in texts.get("run", [])}
        told |= {"reading": hidden.get(0), "found": hidden.get(1)}
    (own / "run.json").write_text(canonical_json(told) + "\n", encoding="utf-8")
    for table in schema.EVIDENCE:
        frame = rows_of(connection, table, each.run)
        if table.name in _SCOPES:
            frame = _with_texts(frame, texts.get(_SCOPES[table.name], []), contract, pseudonyms)
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
    frame: pl.DataFrame, texts: list[dict[str, Any]], contract: str, pseudonyms: Pseudonyms | None
) -> pl.DataFrame:
    """Rows with ``salt``, ``subject`` and ``body``, or with ``pseudonyms`` alone."""
    if pseudonyms is None:
        names: tuple[str, ...] = ("salt", "subject", "body")
        rows = [(row["number"], *(row[name] for name in names)) for row in texts]
    else:
        names = ("pseudonyms",)
        rows = [(row["number"], _hidden(json.loads(row["body"]), contract, pseudonyms)) for row in texts]
    beside = pl.DataFrame(rows, schema={"number": pl.Int64, **dict.fromkeys(names, pl.String)}, orient="row")
    return frame.join(beside, on="number", how="left", maintain_order="left")


def _hidden(body: dict[str, Any], contract: str, pseudonyms: Pseudonyms) -> str:
    """What may be told of a private text: whose it is, under a pseudonym, and the sums of a batch."""
    told: dict[str, Any] = {
        part: pseudonyms.of_all(contract, body[part]) for part in ("identity", "partition") if part in body
    }
    if "amounts" in body:
        told["amounts"] = body["amounts"]
    return canonical_json(told)


def _contracts(connection: sa.Connection, folder: Path, runs: list[Exported]) -> list[dict[str, Any]]:
    (folder / "contracts").mkdir()
    found = []
    for sha256 in sorted({each.started["contract"]["sha256"] for each in runs}):
        query = sa.select(schema.contracts).where(schema.contracts.c.sha256 == sha256)
        row = connection.execute(query).one_or_none()
        if row is None:
            raise PackError(f"contract {sha256[:12]}… is not in the ledger any more", "run: integrity ledger verify")
        (folder / "contracts" / f"{sha256}.json").write_text(row.body, encoding="utf-8")
        (folder / "contracts" / f"{sha256}.yaml").write_text(Contract.from_text(row.body).to_yaml(), encoding="utf-8")
        found.append({"name": f"{row.name} version {row.version}", "digest": {"sha256": sha256}})
    return found


def _summary(each: Exported) -> dict[str, Any]:
    told = {
        "run": each.run,
        "pipeline": each.started["pipeline"],
        "environment": each.started["environment"],
        "contract": each.started["contract"],
        "began": each.started["at"],
        "ended": None if each.ended is None else each.ended["kind"],
        "counts": each.counts,
    }
    if each.ended is not None and each.ended["kind"] == "finished":
        told |= {name: each.ended[name] for name in ("verdict", "assertions", "totals", "as_of", "strength", "bound")}
    return told


def _deviations(runs: list[Exported]) -> Iterator[str]:
    for each in runs:
        if each.ended is None:
            yield f"run {each.run} was begun and never ended"
        elif each.ended["kind"] != "finished":
            yield f"run {each.run} {'failed' if each.ended['kind'] == 'failed' else 'was begun and never ended'}"
        for remark in (*each.started["remarks"], *((each.ended or {}).get("remarks") or ())):
            yield f"run {each.run}: {remark}"


def _test_result(runs: list[Exported], contracts: list[dict[str, Any]]) -> dict[str, Any]:
    tests: dict[str, list[str]] = {"pass": [], "fail": [], "unverified": []}
    for each in runs:
        if not each.counts or each.ended is None:
            continue
        for assertion, verdict in each.ended["assertions"].items():
            tests.setdefault(verdict, []).append(f"{each.started['pipeline']}/{each.run}/{assertion}")
    lacking = tests["unverified"] or any(
        not each.counts and each.started["environment"] == "production" for each in runs
    )
    nothing = not any(each.counts for each in runs)
    verdict = "FAILED" if tests["fail"] else "WARNED" if lacking or nothing else "PASSED"
    return {
        "result": verdict,
        "configuration": contracts,
        "passedTests": tests["pass"],
        "warnedTests": tests["unverified"],
        "failedTests": tests["fail"],
    }


def _is_lacking(each: Exported) -> bool:
    return not each.counts and bool(each.started["environment"] == "production")


def _write_keys(path: Path, keys: dict[str, str]) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            json.dump(keys, file, indent=1)
    except OSError as error:
        raise PackError(f"cannot write the keys of seals {path}: {error.strerror}", "name another place") from error
