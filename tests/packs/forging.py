"""What somebody could do to a pack who has a key: sign it anew, or a log of their own making."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from integrity.ledger.checkpoints import Checkpoint
from integrity.ledger.keys import LedgerKey
from integrity.ledger.log import canonical_json
from integrity.merkle import Frontier, Tree, leaf_hash
from integrity.packs.statements import OURS, TEST_RESULT, signed, subjects

STATEMENTS = {"reconciliation.dsse.json": OURS, "test-result.dsse.json": TEST_RESULT}


def copied(pack: Path, folder: Path) -> Path:
    """A copy that may be changed."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    return Path(shutil.copytree(pack, copy))


def rewritten(path: Path, **columns: pl.Expr) -> None:
    """Change columns of a Parquet file."""
    octets = io.BytesIO()
    pl.read_parquet(path).with_columns(**columns).write_parquet(octets)
    path.write_bytes(octets.getvalue())


def told(pack: Path, name: str = "reconciliation.dsse.json") -> dict[str, Any]:
    """What a statement says, whoever signed it."""
    return dict(json.loads(base64.b64decode(json.loads((pack / name).read_text())["payload"]))["predicate"])


def signed_anew(pack: Path, key: LedgerKey, predicates: Mapping[str, Any] | None = None) -> None:
    """Sign whatever lies in a pack now."""
    names = {path.relative_to(pack).as_posix(): path for path in pack.rglob("*") if path.is_file()}
    about = subjects({name: path.read_bytes() for name, path in names.items() if name not in STATEMENTS})
    for name, kind in STATEMENTS.items():
        predicate = (predicates or {}).get(name) or told(pack, name)
        (pack / name).write_bytes(signed(kind, predicate, about, key))


def with_leaves(pack: Path, bodies: Mapping[int, str], key: LedgerKey) -> None:
    """Give a pack another log, with these leaves; those that it does not have in it stay as they were."""
    hashes = [bytes.fromhex(line) for line in (pack / "log" / "hashes").read_text().splitlines()]
    for number, body in bodies.items():
        hashes[number] = leaf_hash(body.encode())
    tree, log = Tree.over(hashes), Frontier()
    for octets in hashes:
        log = log.append(octets)
    lines = [
        canonical_json({"leaf": number, "body": body, "proof": [each.hex() for each in tree.proof(number)]})
        for number, body in bodies.items()
    ]
    (pack / "log" / "leaves.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (pack / "log" / "hashes").write_text("".join(f"{octets.hex()}\n" for octets in hashes))
    (pack / "log" / "checkpoint").write_text(Checkpoint.signed(log, key).text)


def leaves(pack: Path) -> dict[int, str]:
    """The leaves of a pack."""
    lines = map(json.loads, (pack / "log" / "leaves.jsonl").read_text().splitlines())
    return {line["leaf"]: line["body"] for line in lines}


def readable(pack: Path) -> Iterator[str]:
    """Everything that can be read in a pack, by whichever tool."""
    for path in pack.rglob("*"):
        yield path.name
        if path.is_file():
            yield path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".parquet":
            yield str(pl.read_parquet(path).to_dicts())
        if path.name in STATEMENTS:
            yield base64.b64decode(json.loads(path.read_text())["payload"]).decode()
