"""What every test of the spool begins with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.spool import Keyring, fresh


@pytest.fixture
def ring() -> Keyring:
    return Keyring()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return fresh(tmp_path / "in")
