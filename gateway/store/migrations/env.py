"""Alembic's entry: runs the versions on the connection it was handed. `gateway.store.migrations` is the way in."""

from __future__ import annotations

from alembic import context

from gateway.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
