"""The third layout: triggers that nobody passes by with a table or a row of the same name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all triggers anew."""
    from integrity.ledger.guards import guards, making

    dialect = op.get_bind().dialect.name
    for guard in guards(dialect):
        on = f" ON {guard.table}" if dialect == "postgresql" else ""
        op.execute(sa.text(f"DROP TRIGGER IF EXISTS {guard.name}{on}"))
    for sql in making(dialect):
        op.execute(sa.text(sql.replace(":", "\\:")))


def downgrade() -> None:
    """Refuse: what was recorded is not taken back."""
    raise NotImplementedError("a ledger is append-only; it has no way back")
