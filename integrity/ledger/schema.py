"""In which tables does a ledger lie?

Moments are text in ISO 8601 with ``Z``, so that every database keeps them to the microsecond and a person can read
them; latencies are whole microseconds. Each row of evidence carries the SHA-256 of its other columns, and the leaf of
its run the Merkle root over those. Whatever could name or describe somebody (identities, values, paths, reasons) lies
in ``secrets`` alone; elsewhere there is only its commitment, a SHA-256 over a salt and the text.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

__all__ = [
    "COUNTS",
    "EVIDENCE",
    "LAYOUT",
    "OLDER",
    "PROTECTED",
    "VERDICTS",
    "batches",
    "breaks",
    "changes",
    "checkpoints",
    "contracts",
    "dispositions",
    "endings",
    "erasures",
    "leaves",
    "links",
    "metadata",
    "runs",
    "seals",
    "secrets",
]

#: The layout that this version writes: the last migration's name.
LAYOUT: Final = "0003"
#: Layouts that are brought up to date by whoever opens the ledger to write.
OLDER: Final = ("0001", "0002")

#: What is counted of each batch.
COUNTS: Final = (
    "source_records", "destination_records", "matched", "corrupt", "unverified", "lost", "accounted", "pending",
    "duplicate", "extra", "moved_in", "moved_out", "late", "skewed", "unauthorized", "invalid", "excluded",
    "superseded",
)  # fmt: skip
#: What is judged of each batch.
VERDICTS: Final = ("completeness", "accuracy", "validity", "timeliness", "authorization", "verdict")

metadata = sa.MetaData()


def _text(name: str, *, key: bool = False, needed: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=key, nullable=not needed)


def _number(name: str, *, key: bool = False, needed: bool = True) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, primary_key=key, nullable=not needed, autoincrement=False)


leaves = sa.Table(
    "leaves",
    metadata,
    _number("number", key=True),
    _text("kind"),
    _text("body"),
    _text("hash"),
    sa.Index("leaves_by_kind", "kind"),
)
checkpoints = sa.Table("checkpoints", metadata, _number("size", key=True), _text("note"), _text("frontier"))
contracts = sa.Table("contracts", metadata, _text("sha256", key=True), _text("name"), _number("version"), _text("body"))

runs = sa.Table(
    "runs",
    metadata,
    _text("run", key=True),
    _number("leaf"),
    _text("pipeline"),
    _text("contract"),
    _text("environment"),
    _text("every", needed=False),
    _text("at"),
    _text("commitment"),
    sa.Index("runs_by_pipeline", "pipeline", "leaf"),
)
endings = sa.Table(
    "endings",
    metadata,
    _text("run", key=True),
    _number("leaf"),
    _text("how"),
    _text("verdict", needed=False),
    _text("since", needed=False),
    _text("closed_until", needed=False),
    _text("watermark", needed=False),
    _text("at"),
    _text("commitment", needed=False),
)

batches = sa.Table(
    "batches",
    metadata,
    _text("run", key=True),
    _number("number", key=True),
    _text("key"),
    _text("facts"),
    _text("batch_start", needed=False),
    _text("batch_end", needed=False),
    *(_number(name, needed=False) for name in COUNTS),
    _text("source_hash"),
    _text("destination_hash"),
    *(_number(name, needed=False) for name in ("latency_p50", "latency_p95", "latency_max")),
    *(_text(name, needed=False) for name in VERDICTS),
    _text("commitment"),
    _text("hash"),
    sa.Index("batches_by_key", "key"),
)
breaks = sa.Table(
    "breaks",
    metadata,
    _text("run", key=True),
    _number("number", key=True),
    _text("batch"),
    _text("batch_start", needed=False),
    _text("kind"),
    _text("differing", needed=False),
    _text("event_time", needed=False),
    _text("processed_time", needed=False),
    _number("latency", needed=False),
    _text("commitment"),
    _text("hash"),
)
changes = sa.Table(
    "changes",
    metadata,
    _text("run", key=True),
    _number("number", key=True),
    _text("of_run"),
    _number("of_number"),
    _text("state"),
    _text("hash"),
    sa.Index("changes_by_break", "of_run", "of_number"),
)
seals = sa.Table(
    "seals",
    metadata,
    _text("run", key=True),
    _number("number", key=True),
    _text("batch"),
    _text("side"),
    _number("records"),
    _text("root"),
    sa.Column("leaves", sa.LargeBinary, nullable=False),
    _text("hash"),
)

secrets = sa.Table(
    "secrets",
    metadata,
    _text("run", key=True),
    _text("scope", key=True),
    _number("number", key=True),
    _text("subject", needed=False),
    _text("salt"),
    _text("body"),
    sa.Index("secrets_by_subject", "subject"),
)
erasures = sa.Table(
    "erasures", metadata, _text("run", key=True), _text("scope", key=True), _number("number", key=True), _number("leaf")
)

#: Of which break a row was whose name was erased: of that of another row.
links = sa.Table(
    "links",
    metadata,
    _text("run", key=True),
    _number("number", key=True),
    _text("of_run"),
    _number("of_number"),
    _number("leaf"),
    sa.Index("links_by_other", "of_run", "of_number"),
)

#: The steps of casework, a row for each row of a break that a leaf of kind ``disposition`` lists.
dispositions = sa.Table(
    "dispositions",
    metadata,
    _number("leaf", key=True),
    _text("run", key=True),
    _number("number", key=True),
    _text("step"),
    _text("disposition"),
    _text("by"),
    sa.Index("dispositions_by_break", "run", "number"),
)

#: Runs of ``test`` are recorded and never count.
ENVIRONMENTS: Final = ("production", "test")
#: What may have become of a break.
STATES: Final = ("open", "healed", "withdrawn", "cleared")

#: The tables whose rows a run's last leaf commits to, by root.
EVIDENCE: Final = (batches, breaks, changes, seals)
#: What the database itself keeps from being changed or deleted; of ``secrets`` only what was erased on record may go.
PROTECTED: Final = (leaves, checkpoints, contracts, runs, endings, *EVIDENCE, secrets, erasures, links, dispositions)
