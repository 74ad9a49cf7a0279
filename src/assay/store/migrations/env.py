"""Alembic's entry: the caller hands over its connection and owns the transaction."""

# ruff: noqa: INP001 - Alembic runs this file by its path

from alembic import context

from assay.store.tables import metadata

# SQLite alters tables by copying them: later revisions need batch mode there.
context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
