"""The second layout: what persons decided about breaks, and who may not."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of dispositions, what protects it, and the rules by which rows of it are refused."""
    from integrity.ledger.guards import making

    op.create_table(
        "dispositions",
        sa.Column("leaf", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("step", "disposition", "by")),
        sa.PrimaryKeyConstraint("leaf", "run", "number"),
    )
    op.create_index("dispositions_by_break", "dispositions", ["run", "number"])
    for sql in making(op.get_bind().dialect.name, "dispositions"):
        op.execute(sa.text(sql.replace(":", "\\:")))


def downgrade() -> None:
    """Refuse: what was recorded is not taken back."""
    raise NotImplementedError("a ledger is append-only; it has no way back")
