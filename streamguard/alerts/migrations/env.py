"""Run by alembic: the steps are taken on the connection, and in the transaction, of the caller."""

from alembic import context

from streamguard.alerts.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
