"""The first layout: the log, the runs and their evidence, what is private, and what was erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BATCH_COUNTS = (
    "source_records", "destination_records", "matched", "corrupt", "unverified", "lost", "accounted", "pending",
    "duplicate", "extra", "moved_in", "moved_out", "late", "skewed", "unauthorized", "invalid", "excluded",
    "superseded",
)  # fmt: skip
_BATCH_VERDICTS = ("completeness", "accuracy", "validity", "timeliness", "authorization", "verdict")
_PROTECTED = (
    "leaves", "checkpoints", "contracts", "runs", "endings", "batches", "breaks", "changes", "seals", "secrets",
    "erasures",
)  # fmt: skip


def _text(*names: str) -> list[sa.Column[str]]:
    """Columns of text; a question mark after a name allows NULL."""
    return [sa.Column(name.rstrip("?"), sa.Text, nullable=name.endswith("?")) for name in names]


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [
        sa.Column(name.rstrip("?"), sa.BigInteger, nullable=name.endswith("?"), autoincrement=False) for name in names
    ]


def upgrade() -> None:
    """Make the tables, and what protects them."""
    key = sa.PrimaryKeyConstraint
    op.create_table("leaves", *_numbers("number"), *_text("kind", "body", "hash"), key("number"))
    op.create_index("leaves_by_kind", "leaves", ["kind"])
    op.create_table("checkpoints", *_numbers("size"), *_text("note", "frontier"), key("size"))
    op.create_table("contracts", *_text("sha256", "name"), *_numbers("version"), *_text("body"), key("sha256"))
    op.create_table(
        "runs",
        *_text("run"),
        *_numbers("leaf"),
        *_text("pipeline", "contract", "environment", "every?", "at", "commitment"),
        key("run"),
    )
    op.create_index("runs_by_pipeline", "runs", ["pipeline", "leaf"])
    op.create_table(
        "endings",
        *_text("run"),
        *_numbers("leaf"),
        *_text("how", "verdict?", "since?", "closed_until?", "watermark?", "at", "commitment?"),
        key("run"),
    )
    op.create_table(
        "batches",
        *_text("run"),
        *_numbers("number"),
        *_text("key", "facts", "batch_start?", "batch_end?"),
        *_numbers(*(f"{name}?" for name in _BATCH_COUNTS)),
        *_text("source_hash", "destination_hash"),
        *_numbers("latency_p50?", "latency_p95?", "latency_max?"),
        *_text(*(f"{name}?" for name in _BATCH_VERDICTS)),
        *_text("commitment", "hash"),
        key("run", "number"),
    )
    op.create_index("batches_by_key", "batches", ["key"])
    op.create_table(
        "breaks",
        *_text("run"),
        *_numbers("number"),
        *_text("batch", "batch_start?", "kind", "differing?", "event_time?", "processed_time?"),
        *_numbers("latency?"),
        *_text("commitment", "hash"),
        key("run", "number"),
    )
    op.create_table(
        "changes",
        *_text("run"),
        *_numbers("number"),
        *_text("of_run"),
        *_numbers("of_number"),
        *_text("state", "hash"),
        key("run", "number"),
    )
    op.create_index("changes_by_break", "changes", ["of_run", "of_number"])
    op.create_table(
        "seals",
        *_text("run"),
        *_numbers("number"),
        *_text("batch", "side"),
        *_numbers("records"),
        *_text("root"),
        sa.Column("leaves", sa.LargeBinary, nullable=False),
        *_text("hash"),
        key("run", "number"),
    )
    op.create_table(
        "secrets",
        *_text("run", "scope"),
        *_numbers("number"),
        *_text("subject?", "salt", "body"),
        key("run", "scope", "number"),
    )
    op.create_index("secrets_by_subject", "secrets", ["subject"])
    op.create_table("erasures", *_text("run", "scope"), *_numbers("number", "leaf"), key("run", "scope", "number"))
    _protect()


def _protect() -> None:
    # Triggers are always those of this version: what protects a table is looked for by `verify`, too.
    from integrity.ledger.guards import making

    for sql in making(op.get_bind().dialect.name, *_PROTECTED):
        op.execute(sa.text(sql.replace(":", "\\:")))


def downgrade() -> None:
    """Refuse: what was recorded is not taken back."""
    raise NotImplementedError("a ledger is append-only; it has no way back")
