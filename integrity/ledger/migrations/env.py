"""Where Alembic finds the connection: the one that opened the ledger."""

from __future__ import annotations

from alembic import context

from integrity.ledger.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
