"""The steps from one version of the store to the next, as Alembic runs them (`lkhub.store.upgrade`)."""
