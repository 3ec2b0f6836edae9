"""A spool with keys of its own, for tests: epochs, node keys, a clock that can be moved."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.clock import SystemClock, from_us, to_us
from gateway.spool import health, layout, nodekey, snapshot
from gateway.spool.envelope import Envelope, Identity, Recipient
from gateway.spool.item import HOUR_US, current_epoch
from gateway.spool.reader import SpoolReader
from gateway.spool.writer import SpoolWriter
from keys.boxes import BoxKey
from keys.encoding import canonical
from keys.errors import Tampered
from keys.signing import SigningKey
from tests.support.load import PATIENCE

NODE = "node-1"
TENANT = "tnt_0000000000000001"


class MovableClock(SystemClock):
    """The machine's clock plus what a test added."""

    def __init__(self) -> None:
        self.ahead_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.ahead_us

    def now(self) -> datetime:
        return from_us(self.now_us())

    def move_to(self, moment: datetime) -> None:
        """From there it goes on."""
        self.ahead_us += to_us(moment) - self.now_us()


@dataclass
class Keyring:
    """Epoch keys, node keys and the keyholder's key, as the keyholder would keep them."""

    clock: MovableClock = field(default_factory=MovableClock)
    smtp: SigningKey = field(default_factory=SigningKey.generate)
    worker: SigningKey = field(default_factory=SigningKey.generate)
    root: SigningKey = field(default_factory=SigningKey.generate)
    epochs: dict[int, BoxKey] = field(default_factory=dict)
    serial: int = 0

    def epoch(self, number: int) -> BoxKey:
        return self.epochs.setdefault(number, BoxKey.generate())

    def public(self) -> tuple[int, bytes]:
        number = current_epoch(self.clock.now_us())
        return number, self.epoch(number).public

    def open_box(self, epoch: int, context: bytes, box: bytes) -> bytes:
        if epoch not in self.epochs:
            raise Tampered("no key for this epoch")
        return self.epochs[epoch].open(context, box)

    @property
    def publics(self) -> dict[str, bytes]:
        return {"smtp": self.smtp.public, "worker": self.worker.public}

    def writer(self, directory: Path, direction: str = "in", **more: Any) -> SpoolWriter:
        key = self.smtp if direction == "in" else self.worker
        return SpoolWriter(directory, NODE, key, direction, self.public, clock=self.clock, **more)

    def reader(self, directory: Path, direction: str = "in", **more: Any) -> SpoolReader:
        return SpoolReader(
            directory, NODE, self.publics, self.open_box, direction=direction, signing_key=self.worker, **more
        )

    def envelope(self, sender: str = "a@clinic.test", recipients: tuple[str, ...] = ("b@example.test",)) -> Envelope:
        return Envelope(
            tenant=TENANT,
            queue=self.clock.new_id("spl"),
            mail_from=sender,
            recipients=tuple(Recipient(one) for one in recipients),
            identity=Identity("network"),
            arrived_us=self.clock.now_us(),
            node=NODE,
            client_ip="192.0.2.1",
        )

    def snapshot(self, **changes: Any) -> tuple[str, bytes]:
        """A signed snapshot with the next serial; `changes` replace members of the payload."""
        self.serial += 1
        now = current_epoch(self.clock.now_us())
        payload: dict[str, Any] = {
            "node": NODE,
            "serial": self.serial,
            "time_us": self.clock.now_us(),
            "tenants": [tenant()],
            "epochs": [
                {"epoch": number, "public": base64.b64encode(self.epoch(number).public).decode()}
                for number in (now, now + 1)
            ],
            "extensions": {"8BITMIME": True, "SMTPUTF8": True, "DSN": True},
        }
        text = canonical(payload | changes).decode()
        return text, self.root.sign(snapshot.LABEL, text.encode())


def tenant(
    networks: tuple[str, ...] = ("127.0.0.0/8",), users: tuple[dict[str, str], ...] = (), **more: Any
) -> dict[str, Any]:
    """One tenant of a snapshot."""
    return {
        "id": TENANT,
        "domains": ["clinic.test", "xn--praxis-mnchen-3ob.test"],
        "networks": list(networks),
        "limits": {},
        "users": list(users),
    } | more


def write_signs(directory: Path, ring: Keyring, ok: bool = True, **changes: Any) -> None:
    """Snapshot and health as the worker leaves them for smtp."""
    snapshot.write(directory / "snapshot.json", *ring.snapshot(**changes))
    health.write(directory / "health.json", health.Health(ring.clock.now_us(), ok, "" if ok else "store"))


def smtp_home(directory: Path, ring: Keyring) -> Path:
    """smtp's own folder: its node key and the pinned key of the keyholder."""
    directory.mkdir()
    (directory / "node.key").write_bytes(ring.smtp.seed())
    (directory / "node.key").chmod(0o400)
    nodekey.pin(directory / nodekey.PINNED_NAME, ring.root.public)
    return directory


def fresh(directory: Path) -> Path:
    """The folders of a new spool."""
    layout.create(directory)
    return directory


def eventually(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Poll until true; the value. AssertionError after that time."""
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("did not happen in time")


def put(ring: Keyring, writer: SpoolWriter, content: bytes, chunk: int = 100_000) -> str:
    """Spool one message; its id."""
    entry = writer.begin(ring.envelope())
    for at in range(0, len(content), chunk):
        entry.write(content[at : at + chunk])
    return entry.finish().result(10)


def segment_files(spool: Path) -> list[Path]:
    """The log's files, oldest first."""
    return sorted((spool / "log").iterdir())


__all__ = [
    "HOUR_US",
    "NODE",
    "TENANT",
    "Keyring",
    "MovableClock",
    "eventually",
    "fresh",
    "put",
    "segment_files",
    "smtp_home",
    "tenant",
    "write_signs",
]
