"""A store with an open log, and a notary that stands in for the keyholder: same keys, same rules, in memory."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from gateway.audit.event import SYSTEM, Action, Actor, Event
from gateway.audit.log import AuditLog
from gateway.audit.numbering import Numbering
from gateway.audit.outbox import Memory
from gateway.audit.sequencer import Sequencer
from gateway.clock import SystemClock
from gateway.store.database import Store
from gateway.store.schema import tenants
from keys import notes
from keys.encoding import canonical
from keys.errors import Denied
from keys.merkle import EMPTY_ROOT, Frontier, leaf_hash, verify_consistency
from keys.signing import SigningKey
from tests.support import databases, postgres

TENANT = "tnt_a"
ORIGIN = "mail.example/log/tnt_a"
NAMES = {TENANT: ORIGIN, SYSTEM: "mail.example/log/system"}


class Notary:
    """Signs checkpoints after checking their proof, and keeps a release log, as the keyholder does."""

    def __init__(self) -> None:
        self.signers = {name: SigningKey(bytes([at]) * 32) for at, name in enumerate(NAMES)}
        self.release_signer = SigningKey(b"r" * 32)
        self.last: dict[str, dict[str, Any]] = {}
        self.calls = 0
        self.releases: list[bytes] = []
        self.release_origin = ORIGIN + "/keyholder"
        self.record("log:opened", object=ORIGIN, reason=self.vkeys(TENANT)["log_vkey"])

    def vkeys(self, tenant: str) -> dict[str, str]:
        return {
            "log_vkey": notes.vkey(NAMES[tenant], self.signers[tenant].public),
            "release_vkey": notes.vkey(self.release_origin, self.release_signer.public),
            "system_vkey": notes.vkey(NAMES[SYSTEM], self.signers[SYSTEM].public),
        }

    def sign_checkpoint(self, log: str, size: int, root: bytes, old_size: int, proof: Sequence[bytes]) -> str:
        self.calls += 1
        kept = self.last.get(log, {"size": 0, "root": base64.b64encode(EMPTY_ROOT).decode()})
        if old_size != kept["size"]:
            raise Denied("inconsistent")
        verify_consistency(old_size, base64.b64decode(kept["root"]), size, root, proof)
        note = notes.sign_note(notes.Checkpoint(NAMES[log], size, root).text(), NAMES[log], self.signers[log])
        self.last[log] = {"size": size, "root": base64.b64encode(root).decode(), "note": note}
        return note

    def last_checkpoint(self, log: str) -> Mapping[str, Any] | None:
        return self.last.get(log)

    def record(
        self, action: str, *, object: str = "", actor: str = "keyholder", proof: int | None = None, reason: str = "",
        outcome: str = "ok",
    ) -> str:  # fmt: skip
        """Append to the release log; the receipt as an entry quotes it."""
        entry = canonical(
            {
                "v": 1, "ts": 1_700_000_000_000_000, "tenant": TENANT, "actor": {"kind": "person", "id": actor},
                "action": action, "object": object, "outcome": outcome, "reason": reason, "proof": proof,
                "request": "", "node": "keyholder", "nseq": len(self.releases), "ip_ref": "", "agent_ref": "",
                "bytes": None, "policy": "", "receipt": "",
            }
        )  # fmt: skip
        self.releases.append(entry)
        leaf = base64.b64encode(leaf_hash(entry)).decode()
        return f"{self.release_origin}#{len(self.releases) - 1}:{leaf}"

    def release_log(self, tenant: str, start: int = 0) -> dict[str, Any]:
        tree = Frontier(0, [])
        for entry in self.releases:
            tree.append(leaf_hash(entry))
        text = notes.Checkpoint(self.release_origin, tree.size, tree.root()).text()
        page = [base64.b64encode(entry).decode() for entry in self.releases[start : start + 100]]
        note = notes.sign_note(text, self.release_origin, self.release_signer)
        return {"entries": page, "size": tree.size, "checkpoint": note}


class House:
    """An installation as far as the log is concerned."""

    def __init__(self, url: str, *, create: bool = True) -> None:
        self.url = url
        self.notary = Notary()
        self.clock = SystemClock()
        self.store = Store.open(url)
        self.audit = AuditLog(self.store, "node-1", self.clock)
        self.audit.attach()
        self.numbering = Numbering(self.audit)
        self.sequencer = Sequencer(self.audit, self.notary, self.numbering.run_once)
        if create:
            self.store.run(self._set_up)

    def _set_up(self, tx: Any) -> None:
        tx.conn.execute(insert(tenants).values(id=TENANT, name="clinic", origin=ORIGIN, created_at=1))
        for name, origin in NAMES.items():
            vkeys = self.notary.vkeys(name)
            self.audit.open_log(
                tx, name, origin=origin, release_vkey=vkeys["release_vkey"], system_vkey=vkeys["system_vkey"]
            )

    def happen(self, action: Action = Action.LINK_VISITED, count: int = 1, **more: Any) -> None:
        """Append events in one transaction."""
        event = Event(action, **{"tenant": TENANT, "object": "obj_1", "actor": Actor("person", "per_1"), **more})
        self.store.run(lambda tx: [self.audit.append(tx, event) for _ in range(count)] and None)

    def open_object(self, object: str = "obj_1", proof: int = 2, *, log: bool = True, action: str = "object") -> str:
        """A release and, with `log`, the opening that quotes it."""
        released = "share:released" if action == "object" else "meta:released"
        receipt = self.notary.record(released, object=object, actor="per_1", proof=proof)
        if log:
            opened = Action.OBJECT_OPENED if action == "object" else Action.META_OPENED
            self.happen(opened, object=object, proof=proof, receipt=receipt)
        return receipt


EVENT = Event(Action.LINK_VISITED, TENANT, "lnk_1", Actor("visitor", ""))


class Node:
    """Another process of the same database."""

    def __init__(self, house: House, name: str, memory: Path | None = None) -> None:
        self.store = Store.open(house.url, lease=name)
        self.audit = AuditLog(self.store, name, house.clock, Memory(memory, "here"))
        self.audit.attach()
        self.numbering = Numbering(self.audit)

    def happen(self, count: int = 1) -> None:
        for _ in range(count):
            self.store.run(lambda tx: self.audit.append(tx, EVENT))

    def close(self) -> None:
        self.audit.remember()
        self.store.close()


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Postgres]:
    with postgres.running() as running:
        yield running


@pytest.fixture
def shared(server: postgres.Postgres) -> Iterator[House]:
    """On PostgreSQL."""
    made = House(databases.postgres(server))
    yield made
    made.store.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(databases.sqlite(tmp_path))
    yield made
    made.store.close()
