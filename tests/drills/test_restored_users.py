"""Started as root, roles as users of their own: a restore gives every file to the user who must read it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.doctor import GREEN, Case
from gateway.doctor.finding import CHECKS
from gateway.roles import APART, NAMES
from gateway.settings import load
from tests.drills.test_apart import Apart
from tests.support import installed, nodes, postgres
from tests.support.installed import Enforced

pytestmark = [pytest.mark.full, pytest.mark.root, pytest.mark.nightly]
DATA = ("vault", "keys", "spool")


@pytest.fixture
def base() -> Iterator[Path]:
    folder = installed.folder()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def lost_and_back(clinic: Enforced, base: Path, store: dict[str, str] | None = None) -> None:
    """Both halves, then nothing, then the installation; on PostgreSQL in another database."""
    clinic.command("backup", "keyholder", str(base / "far" / "k"))
    clinic.command("backup", "content", str(base / "near" / "c"))
    clinic.stop_gateway()
    for name in (*DATA, *(() if store else ("db",))):
        shutil.rmtree(clinic.data / name)
    if store:
        clinic.store = store  # type: ignore[attr-defined]
        clinic.config.write_text(clinic._toml(clinic.sink.port))
    said = json.loads(
        clinic.command("restore", str(base / "near" / "c"), str(base / "far" / "k"), "--verify", "--json")
    )
    assert said["needed"] == []
    clinic.serve()
    case = Case(load(clinic.config, {}), clinic.config)
    for check in ("boundary.users", "boundary.files", "vault.works", "places.complete"):
        found = CHECKS.get(check).look(case)
        assert found.level == GREEN, (check, found)
    assert clinic.search("action:backup:restored")


def test_on_sqlite(base: Path) -> None:
    installed.ensure_users(NAMES)
    clinic = Enforced(base / "c")
    try:
        clinic.start()
        lost_and_back(clinic, base)
    finally:
        clinic.stop()


@pytest.mark.postgres
def test_on_postgresql_with_worker_and_portal_apart(base: Path) -> None:
    installed.ensure_users(APART)
    with postgres.running() as server:
        node = Apart(base / "a", name="a", store=nodes.roles(server))
        try:
            node.start()
            node.reader()
            lost_and_back(node, base, nodes.roles(server))
            assert node.reader().content, "new mail goes through, and opens"
        finally:
            node.stop()
