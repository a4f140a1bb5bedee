"""Alembic's entry: runs the steps on the connection that `lkhub.store.upgrade` passes."""

from alembic import context

from lkhub.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
