"""How is a leaf appended, so that what was said before cannot be unsaid?

A leaf is one JSON text in the canonical form of RFC 8785. It names its kind and its moment, and the digest of the
checkpoint before it, which is signed: so each leaf vouches for all that came earlier, by whichever key was in force.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785
import sqlalchemy as sa

from integrity.errors import LedgerError
from integrity.ledger import schema
from integrity.ledger.checkpoints import Checkpoint
from integrity.ledger.keys import LedgerKey
from integrity.merkle import Frontier, leaf_hash
from integrity.values import iso

__all__ = ["LEAF", "Clock", "Said", "append", "canonical_json", "iso", "last_checkpoint"]

#: The name of a leaf's form.
LEAF = "integrity.leaf/1"
#: Tells what time it is, in UTC.
Clock = Callable[[], dt.datetime]
#: From here on JSON's numbers are not exact everywhere.
_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Said:
    """A leaf that was appended, and the checkpoint after it.

    Attributes:
        number: Its place in the log.
        at: Its moment, as it is written.
        checkpoint: What is signed of the log that ends with it.
    """

    number: int
    at: str
    checkpoint: Checkpoint


def append(
    connection: sa.Connection, clock: Clock, kind: str, body: Mapping[str, Any], key: LedgerKey, *also: LedgerKey
) -> Said:
    """Append a leaf and sign the log that ends with it; the caller holds the turn.

    Args:
        connection: A transaction that writes.
        clock: Tells the moment that the leaf carries.
        kind: What it says.
        body: The rest of it.
        key: Signs, and ``also`` do, where one key takes over from another.

    Raises:
        LedgerError: the log does not end as it should: its last row was changed or removed.
    """
    log, before = _end(connection)
    number, at = log.size, iso(clock())
    leaf = {"schema": LEAF, "kind": kind, "at": at, "checkpoint": before and before.sha256, **body}
    text = canonical_json(leaf)
    hashed = leaf_hash(text.encode())
    log = log.append(hashed)
    checkpoint = Checkpoint.signed(log, key, *also)
    connection.execute(schema.leaves.insert().values(number=number, kind=kind, body=text, hash=hashed.hex()))
    connection.execute(
        schema.checkpoints.insert().values(size=log.size, note=checkpoint.text, frontier=log.to_bytes().hex())
    )
    return Said(number, at, checkpoint)


def last_checkpoint(connection: sa.Connection) -> Checkpoint | None:
    """Return the checkpoint of the whole log; ``None`` where there is no leaf."""
    return _end(connection)[1]


def _end(connection: sa.Connection) -> tuple[Frontier, Checkpoint | None]:
    row = connection.execute(sa.select(schema.checkpoints).order_by(schema.checkpoints.c.size.desc()).limit(1)).first()
    count = connection.execute(sa.select(sa.func.max(schema.leaves.c.number))).scalar()
    size = 0 if row is None else row.size
    try:
        checkpoint = None if row is None else Checkpoint.from_text(row.note)
        log = Frontier() if row is None else Frontier.from_bytes(size, bytes.fromhex(row.frontier))
        sound = checkpoint is None or (checkpoint.size == size and checkpoint.root == log.root)
    except (ValueError, LedgerError):
        sound = False
    if not sound or size != (0 if count is None else count + 1):
        raise LedgerError(
            "the log does not end where its last checkpoint says", "nothing was recorded; run: integrity ledger verify"
        )
    return log, checkpoint


def canonical_json(value: Any) -> str:
    """Return the one text of a JSON value (RFC 8785); whole numbers that JSON's readers may round become text.

    Example:
        >>> canonical_json({"b": 2**60, "a": [1, None, "é"]})
        '{"a":[1,null,"é"],"b":"1152921504606846976"}'
    """
    return rfc8785.dumps(_exact(value)).decode()


def _exact(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _exact(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(part) for part in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _EXACT:
        return str(value)
    return value
