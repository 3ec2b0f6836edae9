"""A fresh database for a test: SQLite always, PostgreSQL where its programs are installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.store.database import Store
from tests.support import databases, postgres


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Postgres]:
    with postgres.running() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/gateway.db"
    running: postgres.Postgres = request.getfixturevalue("server")
    return running.new_url()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def made_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database that has its tables."""
    if request.param == "sqlite":
        return databases.sqlite(tmp_path)
    return databases.postgres(request.getfixturevalue("server"))


@pytest.fixture
def store(made_url: str) -> Iterator[Store]:
    opened = Store.open(made_url)
    yield opened
    opened.close()
