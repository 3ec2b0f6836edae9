"""Whole clinics, started as a person would start them: the real `sealgate serve`, a sink, a pretend phone.

Most of a small module's time is the start of its clinic, so whoever can shares one: `shared` and `observing` are
started once in each process of tests. Who shares writes to people of its own, counts nothing of the whole, signs nobody
in whom others may sign in, and changes no setting.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo.clinic import Clinic
from tests.support import warm

Clinic.runner = staticmethod(warm.run)


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


PARTNER, LAPSED = "lakeside.test", "hillside.test"
EXCEPTIONS = f"""
extends = "clinic"
[[partners]]
domain = "{PARTNER}"
who = "B. Ortiz, records office"
why = "referrals, by a connector that enforces TLS"
until = 2099-12-31
[[partners]]
domain = "{LAPSED}"
who = "B. Ortiz, records office"
why = "ended with the old contract"
until = 2026-01-31
[plain]
roles = ["officer"]
reasons = ["consent"]
"""
"""What a clinic adds to the shipped policy: a partner, one whose time is over, and who may write [plain]."""


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A clinic under the policy `clinic` that modules share, with partners and an officer who may write [plain]."""
    folder = tmp_path_factory.mktemp("shared")
    policy = folder / "clinic.toml"
    policy.write_text(EXCEPTIONS)
    yield from running(folder, str(policy))


@pytest.fixture(scope="package")
def observing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A clinic under the policy `observe` that modules share."""
    yield from running(tmp_path_factory.mktemp("observe"), "observe")


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A clinic under the policy `strict`."""
    yield from running(tmp_path_factory.mktemp("strict"), "strict")
