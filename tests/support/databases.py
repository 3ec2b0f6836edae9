"""Databases with their tables, made once a run and copied: migrating anew for each test would cost most of its time."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

from gateway.store import migrations
from tests.support.postgres import Postgres

_templates: dict[int, str] = {}


def sqlite(directory: Path) -> str:
    """The URL of a fresh SQLite database with its tables in that directory."""
    path = directory / "gateway.db"
    shutil.copy(_sqlite_template(), path)
    return f"sqlite:///{path}"


def postgres(server: Postgres) -> str:
    """The URL of a fresh PostgreSQL database with its tables."""
    if server.port not in _templates:
        url = server.new_url()
        migrations.create(url)
        _templates[server.port] = url.rpartition("/")[2]
    return server.new_url(template=_templates[server.port])


@cache
def _sqlite_template() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="sealgate-template-"))
    path = directory / "gateway.db"
    migrations.create(f"sqlite:///{path}")
    return path
