"""One portal per module: patients and mails are made per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.portal.world import World, portal


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running portal over real neighbours."""
    directory: Path = tmp_path_factory.mktemp("p")
    with portal(directory, text_resend_seconds=0, texts_per_hour=1000, young_factor_seconds=0) as made:
        made.member("amy@clinic.test", "staff")
        yield made


@pytest.fixture(autouse=True)
def own_minute(request: pytest.FixtureRequest) -> None:
    """All tests ask from one network: each has the minute's limit for itself, however fast they follow each other."""
    if "world" in request.fixturenames:
        request.getfixturevalue("world").minutes.skip()
