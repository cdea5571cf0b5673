"""Alembic's environment: one schema, given by the caller's connection."""

from alembic import context

from autonomy.read_model import METADATA

connection = context.config.attributes["connection"]
schema = context.config.attributes["schema"]
context.configure(connection=connection, target_metadata=METADATA, version_table_schema=schema)
with context.begin_transaction():
    context.run_migrations()
