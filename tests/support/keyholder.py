"""A real keyholder process over real sockets in a temporary directory, for tests of every room.

    with running(tmp_path) as keyholder:
        keyholder.operator.create_tenant("tnt_a", "clinic", "portal.test/log/tnt_a")

`Keyholder.kill()` is `kill -9`; `start()` brings the same store back. `deposit_for` makes a plausible deposit.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pyotp

from keys.client import Deposit, DepositGrant, DepositObject, OperatorClient, PortalClient, WorkerClient
from keys.keyholder.config import KeyholderConfig, Limits

TENANT = "tnt_Clinic0000000001"
NODE = "node-1"
PASSWORD = "correct horse battery"
PHONE = "+15005550123"
DAY_US = 86_400_000_000


@dataclass
class Keyholder:
    """One store and, while started, its process. Clients reconnect after a restart."""

    config: KeyholderConfig
    process: subprocess.Popen[str] | None = None
    public_key: str = ""
    errors: Path = field(init=False)
    operator: OperatorClient = field(init=False)
    worker: WorkerClient = field(init=False)
    portal: PortalClient = field(init=False)

    def __post_init__(self) -> None:
        self.errors = self.config.directory.parent / "keyholder.err"
        self.operator = OperatorClient(self.config.sockets_dir / "operator.sock")
        self.worker = WorkerClient(self.config.sockets_dir / "worker.sock")
        self.portal = PortalClient(self.config.sockets_dir / "portal.sock")

    def start(self) -> None:
        """Start the process and wait for its ready line."""
        settings = self.config.directory.parent / "keyholder.json"
        settings.write_text(self.config.to_json())
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "keys.keyholder", "--config", str(settings)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=Path(__file__).parents[2],
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait(10)
            raise RuntimeError(f"keyholder ended with {code}: {self.errors.read_text()[-2000:]}")
        self.public_key = json.loads(line)["public_key"]

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """SIGKILL at once; what was answered must still be there after `start`."""
        return self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        if process.poll() is None:
            os.kill(process.pid, number)
        code = process.wait(20)
        if process.stdout is not None:
            process.stdout.close()
        return code

    def close(self) -> None:
        """Stop, and close the clients."""
        self._end(signal.SIGTERM)
        for client in (self.operator, self.worker, self.portal):
            client.close()


def config_in(directory: Path, **limits: int) -> KeyholderConfig:
    """A configuration whose every path lies under `directory`; socket paths stay short."""
    return KeyholderConfig(
        directory=directory / "keys",
        kek_file=directory / "kek",
        sockets_dir=directory / "s",
        create=True,
        limits=Limits(**limits),
        die_with_parent=True,
    )


@contextlib.contextmanager
def running(directory: Path, **limits: int) -> Iterator[Keyholder]:
    """A started keyholder with a fresh store."""
    keyholder = Keyholder(config_in(directory, **limits))
    keyholder.start()
    try:
        yield keyholder
    finally:
        keyholder.close()


@dataclass
class Staff:
    """A workforce member as a test signs them in. Each `code` is a later time step than the last one."""

    tenant: str
    user: str
    secret: str
    _step: int = 0

    def code(self) -> str:
        """A TOTP code that was not used before; a step ahead of the clock at most, so ask rarely.

        The step before the present one serves as well, but not when it is about to be one too old; then, who asks often
        waits for the next.
        """
        now = time.time()
        self._step = max(self._step + 1, int(now) // 30 - (now % 30 < 15))
        while self._step > int(time.time()) // 30 + 1:
            time.sleep(0.1)
        return pyotp.TOTP(self.secret).at(self._step * 30)


def set_up(keyholder: Keyholder, tenant: str = TENANT, **settings: Any) -> None:
    """A tenant with settings, and a node."""
    keyholder.operator.create_tenant(tenant, "Elm Street Clinic", f"portal.test/log/{tenant}")
    keyholder.operator.put_settings(tenant, {"domains": ["clinic.test"], "networks": [], "limits": {}} | settings)
    keyholder.operator.register_node(NODE, "worker", secrets.token_bytes(32))


def add_staff(keyholder: Keyholder, user: str, role: str, tenant: str = TENANT) -> Staff:
    """A workforce member with `PASSWORD`."""
    uri = keyholder.operator.add_user(tenant, user, role, PASSWORD)["totp_uri"]
    return Staff(tenant, user, parse_qs(urlparse(uri).query)["secret"][0])


def sign_in(keyholder: Keyholder, staff: Staff) -> str:
    """The handle of a staff session."""
    session = keyholder.portal.staff_login(staff.tenant, staff.user, PASSWORD, staff.code(), "net_test")
    return session["handle"]


def deposit_for(
    person: str | None, *, tenant: str = TENANT, held: bool = False, sender: str | None = None, days: int = 90,
    objects: int = 2,
) -> Deposit:  # fmt: skip
    """A message with a link grant for `person`, or a held one with a review grant."""
    name = secrets.token_hex(8)
    grant = (
        DepositGrant(f"lnk_r{name[:11]}", "review", 2, None, secrets.token_bytes(32))
        if held
        else DepositGrant(f"lnk_{name[:12]}", "link", 2, person)
    )
    return Deposit(
        tenant=tenant,
        message=f"msg_{name}",
        expires_us=time.time_ns() // 1000 + days * DAY_US,
        share=secrets.token_bytes(32),
        grants=[grant],
        objects=[DepositObject(f"obj_{name}{n}", "file", secrets.token_bytes(32)) for n in range(objects)],
        sender_user=sender,
        hold_until_us=time.time_ns() // 1000 + 7 * DAY_US if held else None,
    )


def text_code(keyholder: Keyholder, grant: str, visitor: str = "vis_1") -> str:
    """Ask for a text as the recipient's browser does, take it as the worker does; the code that was sent."""
    keyholder.portal.ask_text(grant, PHONE[-4:], visitor, "net_1")
    (text,) = keyholder.worker.take_texts(10)
    keyholder.worker.text_done(text["id"], True)
    return str(text["code"])
