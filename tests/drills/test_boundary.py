"""The boundary between the roles: the product started as root, each role a user of its own (DESIGN §2, its table)."""

from __future__ import annotations

import base64
import json
import os
import pwd
import shutil
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import roles
from gateway.demo import documents, mails
from gateway.demo.clinic import PEOPLE, Clinic
from gateway.errors import Misconfigured, TryLater
from gateway.roles import NAMES, Identity
from keys.client import OperatorClient
from keys.keyholder.connection import Connection
from tests.support.installed import NOBODY, Enforced, ensure_users, folder, program
from tests.support.otheruser import attempt, connect, enter, make_in, read, write
from tests.support.patient import Patient

pytestmark = [pytest.mark.full, pytest.mark.root]
PHONES = {address: phone for address, _, phone, _ in PEOPLE}


@pytest.fixture(scope="module")
def users() -> dict[str, Identity]:
    """Who each role is."""
    ensure_users()
    return {role: Identity(pwd.getpwnam(name).pw_uid, pwd.getpwnam(name).pw_gid) for role, name in NAMES.items()}


def low_port(below: int) -> int:
    """A free port that only root may take."""
    for port in range(below - 1, below - 200, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no port under 1024 is free")


@pytest.fixture(scope="module")
def clinic(users: dict[str, Identity]) -> Iterator[Enforced]:
    """A running installation with protected and clean mail behind it; relay and portal have ports under 1024."""
    base = folder()
    clinic = Enforced(base / "c", smtp_port=low_port(1024), web_port=low_port(800))
    try:
        clinic.start()
        mails.send(clinic, mails.newsletter())
        mails.submit(clinic, mails.lab_report(), implicit_tls=False)
        mails.submit(clinic, mails.image(), implicit_tls=True)
        yield clinic
    finally:
        clinic.stop()
        shutil.rmtree(base, ignore_errors=True)


def status(pid: int, name: str) -> list[str]:
    """A field of /proc/<pid>/status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split()[1:]
    raise KeyError(name)


def run_path(clinic: Enforced, role: str) -> Path:
    """The keyholder's socket for that role."""
    return clinic.node / "run" / f"{role}.sock"


def test_mail_flows_from_end_to_end(clinic: Enforced) -> None:
    passed = clinic.sink.wait_for("neighbour@village.test")[0]
    assert b"Our opening hours" in passed.data
    clinic.sink.wait_for(mails.PARTNER)
    link = clinic.sink.wait_for(mails.MARGUERITE)[0].link
    assert link is not None
    patient = Patient(clinic, link, PHONES[mails.MARGUERITE])
    page = patient.open()
    ((_, address),) = patient.files(page).items()
    assert patient.browser.get(address).body == documents.lab_report()
    assert clinic.search("action:object:opened")


def test_no_role_runs_as_root_or_in_a_group_of_another(clinic: Enforced, users: dict[str, Identity]) -> None:
    running = clinic.processes()
    assert set(running) == {"parent", "keyholder", "gateway", "smtp"}
    for role, who in users.items():
        pid = running[role]
        assert status(pid, "Uid") == [str(who.uid)] * 4
        assert status(pid, "Gid") == [str(who.gid)] * 4
        assert status(pid, "Groups") == []
        assert status(pid, "NoNewPrivs") == ["1"]
        assert set(status(pid, "CapEff")[0]) == {"0"}
    for pid in clinic.left_behind():
        if pid != running["parent"]:
            assert status(pid, "Uid")[0] != "0"


def test_root_key_store_and_foreign_sockets_are_closed_to_smtp_and_gateway(
    clinic: Enforced, users: dict[str, Identity]
) -> None:
    keys = clinic.data / "keys"
    for role, foreign in (("smtp", ("worker", "portal", "operator")), ("gateway", ("operator",))):
        who = users[role]
        for path in (clinic.data / "kek", keys / "keyholder.db", keys / "keyholder.db-wal", keys / "keyholder.json"):
            assert path.exists()
            assert attempt(who, read(path)) == "EACCES"
            assert attempt(who, write(path)) == "EACCES"
        assert attempt(who, enter(keys)) == "EACCES"
        assert attempt(who, make_in(keys)) == "EACCES"
        for name in foreign:
            assert run_path(clinic, name).is_socket()
            assert attempt(who, connect(run_path(clinic, name))) == "EACCES"
    for name in ("worker", "portal"):  # the twin: its own
        assert attempt(users["gateway"], connect(run_path(clinic, name))) == "ok"
    for path in (clinic.data / "kek", keys / "keyholder.db"):
        assert attempt(users["keyholder"], read(path)) == "ok"


def test_database_vault_and_outbound_spool_are_closed_to_smtp(clinic: Enforced, users: dict[str, Identity]) -> None:
    blob = next(path for path in (clinic.data / "vault").rglob("*") if path.is_file() and len(path.name) == 40)
    segment = next((clinic.data / "spool" / "out" / "log").iterdir())
    for path in (clinic.data / "db" / "sealgate.db", clinic.data / "db" / "sealgate.db-wal", blob, segment,
                 clinic.node / "worker" / "node.key"):  # fmt: skip
        for deed in (read, write):
            assert attempt(users["smtp"], deed(path)) == "EACCES"
            if path.name != "node.key":
                assert attempt(users["gateway"], deed(path)) == "ok"  # the twin
    assert attempt(users["smtp"], connect(clinic.node / "worker" / "control.sock")) == "EACCES"
    for path in ("db", "vault", "spool/out", "spool/in/marks", "spool/node/worker"):
        assert attempt(users["smtp"], enter(clinic.data / path)) == "EACCES"


READABLE = {
    "smtp": (
        "snapshot/", "node/smtp/", "spool/in/log/", "spool/in/large/", "spool/in/writer.lock", "spool/in/figures.json",
        "tls-key.pem",
    ),
    "gateway": ("snapshot/", "node/worker/", "spool/in/", "spool/out/", "db/", "vault/"),
    "keyholder": ("keys/", "kek"),
}  # fmt: skip
FOR_ALL = ("gateway.toml", "tls-cert.pem", "people.csv", "gateway.log")


def test_each_user_reads_its_own_files_and_no_other(clinic: Enforced, users: dict[str, Identity]) -> None:
    files = [path for path in clinic.data.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 20
    for role, who in users.items():
        seen: set[str] = set()
        for path in files:
            answer = attempt(who, read(path))
            name = str(path.relative_to(clinic.data))
            if answer == "ENOENT":
                continue  # replaced by rename meanwhile
            own = any(part in name for part in (*READABLE[role], *FOR_ALL))
            assert answer == ("ok" if own else "EACCES"), f"{role}: {name}"
            seen.update(part for part in READABLE[role] if part in name and answer == "ok")
        assert seen >= set(READABLE[role]) - {"spool/in/large/"}, f"{role} is missing some of its own"


def test_folders_that_hold_those_of_roles_belong_to_root(clinic: Enforced, users: dict[str, Identity]) -> None:
    # A role that owned the folder above could put its own folder in another's place, and root would give it away.
    for path in (clinic.data, clinic.data / "spool", clinic.node):
        assert path.stat().st_uid == 0
        assert not stat.S_IMODE(path.stat().st_mode) & 0o022
        for who in users.values():
            assert attempt(who, make_in(path)) == "EACCES"


def test_memory_and_environment_of_a_role_are_closed_to_the_others_and_to_its_own_user(
    clinic: Enforced, users: dict[str, Identity]
) -> None:
    running = clinic.processes()
    for role, who in users.items():
        for other in users:
            for name in ("mem", "environ", "maps", "fd"):
                path = Path(f"/proc/{running[other]}/{name}")
                answer = attempt(who, enter(path) if name == "fd" else read(path))
                assert answer in ("EACCES", "EPERM"), f"{role} reads {name} of {other}"
    own = os.getpid()  # the twin: one's own is open
    assert attempt(Identity(0, 0), read(f"/proc/{own}/environ")) == "ok"


def test_keyholder_refuses_methods_of_another_role_over_the_right_socket(
    clinic: Enforced, users: dict[str, Identity]
) -> None:
    worker, portal = (Connection(run_path(clinic, name)) for name in ("worker", "portal"))

    def call(client: Connection, method: str, **params: object) -> Callable[[], object]:
        return lambda: client.call(method, params)

    gateway = users["gateway"]
    assert attempt(gateway, call(worker, "keys", node="node-1")) == "ok"
    assert attempt(gateway, call(worker, "status")) == "not-allowed"
    assert (
        attempt(gateway, call(worker, "create_tenant", tenant="tnt_x", name="x", origin="x.test/log/x"))
        == "not-allowed"
    )
    assert attempt(gateway, call(worker, "verify", grant="lnk_x", code="1", visitor="v", network="n")) == "not-allowed"
    assert attempt(gateway, call(portal, "keys")) == "ok"
    assert attempt(gateway, call(portal, "epochs", node="node-1")) == "not-allowed"
    assert attempt(gateway, call(portal, "release_held", tenant="t", message="m", act="a")) == "not-allowed"
    # Being in the role's group is not enough: the user must be the role's.
    for stranger in (NOBODY, users["smtp"]):
        assert attempt(stranger, connect(run_path(clinic, "worker")), group=gateway.gid) == "ok"
        assert attempt(stranger, call(worker, "keys", node="node-1"), group=gateway.gid) == "Unavailable"
    operator = OperatorClient(run_path(clinic, "operator"))
    recorded = [json.loads(base64.b64decode(entry)) for entry in operator.release_log("system", 0)["entries"]]
    operator.close()
    refused = {entry["object"] for entry in recorded if entry["action"] == "call:refused"}
    assert {"status", "create_tenant", "verify", "epochs", "release_held", f"uid-{NOBODY.uid}"} <= refused


def test_a_killed_door_comes_back_and_keeps_who_waits(clinic: Enforced) -> None:
    before = clinic.processes()["smtp"]
    os.kill(before, signal.SIGKILL)
    mail = mails.newsletter()
    mail.replace_header("To", "waited@village.test")
    mails.send(clinic, mail)  # connects before the door is back
    clinic.sink.wait_for("waited@village.test")
    assert clinic.processes()["smtp"] != before


def test_a_second_serve_is_refused_while_one_runs(clinic: Enforced) -> None:
    done = clinic.once()
    assert done.returncode == TryLater.exit_code
    assert "Another `sealgate serve` runs" in done.stderr


@pytest.fixture(scope="module")
def stopped(clinic: Enforced, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Enforced]:
    """The same installation, stopped after root used its commands; it runs again afterwards, and mail still flows."""
    export = tmp_path_factory.mktemp("export") / "log"
    clinic.command("audit", "export", str(export))
    clinic.command("audit", "verify", str(export), "--key", clinic.command("audit", "key").strip())
    clinic.stop_serving()
    yield clinic
    clinic.serve()
    mail = mails.newsletter()
    mail.replace_header("To", "again@village.test")
    mails.send(clinic, mail)
    clinic.sink.wait_for("again@village.test")


def test_commands_of_root_leave_no_file_that_the_roles_cannot_use(
    stopped: Enforced, users: dict[str, Identity]
) -> None:
    stopped.command("audit", "search", "action:object:opened", status=75)  # nobody there to note who searched
    for part, role in (("db", "gateway"), ("keys", "keyholder"), ("spool/out", "gateway")):
        for path in (stopped.data / part).rglob("*"):
            assert path.stat().st_uid == users[role].uid, path


def test_other_users_than_those_of_the_set_up_are_refused_by_name(stopped: Enforced) -> None:
    done = stopped.once("--single-user")
    assert done.returncode == Misconfigured.exit_code
    assert "belongs to user sealgate-gateway" in done.stderr
    assert "role:ready" not in done.stderr


def test_a_file_that_a_role_cannot_read_is_named_before_anything_starts(stopped: Enforced) -> None:
    stopped.key.chmod(0o600)
    done = stopped.once()
    assert done.returncode == Misconfigured.exit_code
    assert f"user sealgate-smtp cannot read {stopped.key}" in done.stderr
    assert "role:ready" not in done.stderr


class Ordinary(Enforced):
    """A clinic that one ordinary user starts, without any option."""

    def serve(self) -> None:
        assert NOBODY.uid is not None
        as_nobody = ("setpriv", f"--reuid={NOBODY.uid}", f"--regid={NOBODY.gid}", "--clear-groups")
        self.program = (*as_nobody, *program())  # type: ignore[misc]
        for path in (self.data, *self.data.iterdir()):
            os.chown(path, NOBODY.uid, NOBODY.gid or -1)
        Clinic.serve(self)


def test_one_ordinary_user_may_run_it_all_and_is_told_that_the_boundary_is_not_enforced() -> None:
    base = folder()
    clinic = Ordinary(base / "c")
    try:
        clinic.start()
        mails.submit(clinic, mails.form(), implicit_tls=False)
        assert clinic.sink.wait_for(mails.TOMAS)[0].link is not None
        assert {status(pid, "Uid")[0] for pid in clinic.processes().values()} == {str(NOBODY.uid)}
        assert "the boundary between them is not enforced" in (clinic.data / "gateway.log").read_text()
    finally:
        clinic.stop()
        shutil.rmtree(base, ignore_errors=True)


def test_missing_users_are_named_with_the_command_that_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "NAMES", NAMES | {"smtp": "sealgate-nobody-here"})
    with pytest.raises(Misconfigured, match=r"useradd --system .* sealgate-nobody-here.*--single-user"):
        roles.identities(False)
    assert not roles.identities(True).enforced
    monkeypatch.setattr(roles, "NAMES", NAMES | {"smtp": "sealgate-gateway"})
    with pytest.raises(Misconfigured, match="must be different ones"):
        roles.identities(False)
