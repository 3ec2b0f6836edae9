"""Whole clinics, started as a person would start them: the real `sealgate serve`, a sink, a pretend phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo.clinic import Clinic


def running(folder: Path, policy: str = "clinic", smarthost: str = "", **more: object) -> Iterator[Clinic]:
    """A clinic that is stopped afterwards."""
    clinic = Clinic(folder / "c", policy=policy, smarthost=smarthost, **more)  # type: ignore[arg-type]
    try:
        clinic.start()
        yield clinic
    finally:
        clinic.stop()


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A clinic under the policy `clinic`."""
    yield from running(tmp_path_factory.mktemp("clinic"))


@pytest.fixture(scope="module")
def observing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A clinic under the policy `observe`."""
    yield from running(tmp_path_factory.mktemp("observe"), "observe")


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A clinic under the policy `strict`."""
    yield from running(tmp_path_factory.mktemp("strict"), "strict")
