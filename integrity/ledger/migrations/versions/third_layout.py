"""The third layout: links between rows of a break that was erased, and triggers that nobody passes by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of links, and all triggers anew."""
    from integrity.ledger.guards import guards, making

    op.create_table(
        "links",
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("of_run", sa.Text, nullable=False),
        sa.Column("of_number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("leaf", sa.BigInteger, nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("run", "number"),
    )
    op.create_index("links_by_other", "links", ["of_run", "of_number"])
    dialect = op.get_bind().dialect.name
    for guard in guards(dialect):
        on = f" ON {guard.table}" if dialect == "postgresql" else ""
        op.execute(sa.text(f"DROP TRIGGER IF EXISTS {guard.name}{on}"))
    for sql in making(dialect):
        op.execute(sa.text(sql.replace(":", "\\:")))


def downgrade() -> None:
    """Refuse: what was recorded is not taken back."""
    raise NotImplementedError("a ledger is append-only; it has no way back")
