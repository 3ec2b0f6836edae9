"""On PostgreSQL, started as root: worker and portal are different users, and neither reaches what is the other's."""

from __future__ import annotations

import http.client
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from gateway.roles import APART, Identity
from keys.client import PortalClient, WorkerClient
from tests.support import installed, nodes, postgres
from tests.support.installed import Enforced
from tests.support.nodes import Node
from tests.support.otheruser import attempt, read, write

pytestmark = [pytest.mark.full, pytest.mark.postgres, pytest.mark.root]


class Apart(Enforced, Node):
    """A node whose roles are four users."""

    folder_mode: ClassVar[int] = 0o711


@pytest.fixture(scope="module")
def users() -> dict[str, Identity]:
    installed.ensure_users(APART)
    return {role: Identity(pwd.getpwnam(name).pw_uid, pwd.getpwnam(name).pw_gid) for role, name in APART.items()}


@pytest.fixture(scope="module")
def node(users: dict[str, Identity]) -> Iterator[Apart]:
    base = installed.folder()
    with postgres.running() as server:
        found = Apart(base / "a", name="a", store=nodes.roles(server))
        try:
            found.start()
            yield found
        finally:
            found.stop()
            shutil.rmtree(base, ignore_errors=True)


def test_each_role_is_its_user_and_a_protected_file_opens(node: Apart, users: dict[str, Identity]) -> None:
    running = node.processes()
    assert set(running) == {"parent", "keyholder", "worker", "portal", "smtp"}
    for role, who in users.items():
        owner = Path(f"/proc/{running[role]}/status").read_text()
        assert f"\nUid:\t{who.uid}\t{who.uid}\t{who.uid}\t{who.uid}\n" in owner
    reader = node.reader()
    connection = http.client.HTTPConnection("localhost", node.web_port, timeout=60)
    assert reader.fetch(connection) == (200, reader.content)
    connection.close()


def test_the_portal_reaches_neither_spool_nor_node_key_nor_the_workers_socket(
    node: Apart, users: dict[str, Identity]
) -> None:
    portal, run = users["portal"], node.data / "run"
    worker_key = node.node / "worker" / "node.key"
    assert attempt(users["worker"], read(worker_key)) == "ok"
    assert attempt(portal, read(worker_key)) == "EACCES"
    for folder in (node.data / "spool" / "in", node.data / "spool" / "out"):
        assert attempt(users["worker"], lambda folder=folder: list(folder.iterdir())) == "ok"  # type: ignore[misc]
        assert attempt(portal, lambda folder=folder: list(folder.iterdir())) == "EACCES"  # type: ignore[misc]
    assert attempt(portal, lambda: PortalClient(run / "portal.sock").keys()) == "ok"
    assert attempt(portal, lambda: WorkerClient(run / "worker.sock").take_texts(0)) != "ok"
    assert attempt(users["worker"], lambda: WorkerClient(run / "worker.sock").take_texts(0)) == "ok"
    assert attempt(users["worker"], lambda: PortalClient(run / "portal.sock").keys()) != "ok"


def test_the_portal_reads_sealed_objects_and_changes_none(node: Apart, users: dict[str, Identity]) -> None:
    blobs = [path for path in (node.data / "vault").rglob("*") if path.is_file() and path.stat().st_size > 1000]
    assert blobs
    for blob in blobs:
        assert attempt(users["portal"], read(blob)) == "ok"
        assert attempt(users["portal"], write(blob)) == "EACCES"
        assert attempt(users["smtp"], read(blob)) == "EACCES"
        assert attempt(users["worker"], write(blob)) == "ok"
