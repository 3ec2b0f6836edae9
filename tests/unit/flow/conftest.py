"""The flow of outgoing mail, without its threads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.flow import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A clinic under the policy `clinic`."""
    found = World(tmp_path)
    try:
        yield found
    finally:
        found.close()
