"""The flow of outgoing mail by itself: real database, log, vault, spools and rewriting; the keyholder and the smarthost
are simulators that do what a test says.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from gateway import words
from gateway.accounts.people import People
from gateway.accounts.users import Users
from gateway.actions.bounce import Returner
from gateway.actions.copies import Copies
from gateway.actions.tenants import TenantView
from gateway.audit.event import SYSTEM
from gateway.audit.log import AuditLog
from gateway.courier.port import Delivered, Evidence, Outbound, Outcome, RecipientOutcome
from gateway.errors import NotFound, TryLater
from gateway.flow.delivery import Deliverer, Pauses
from gateway.flow.isolate import Isolated
from gateway.flow.outbound import Outbound as Flow
from gateway.flow.records import Records
from gateway.flow.treat import Treatment
from gateway.policy import load
from gateway.scan import Scanner
from gateway.settingtypes import Endpoint
from gateway.share import Directory, KeyRing
from gateway.spool.envelope import Params
from gateway.spool.item import Entry
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Rows
from gateway.vault import Vault
from keys.client import Deposit
from tests.support import databases
from tests.support.spool import NODE, TENANT, Keyring, fresh

PHI = b"Patient Marguerite Oyelaran, MRN 00482915, DOB 03/04/1961, hypertension, lisinopril 10 mg daily, HbA1c 8.1 %."
TAKEN = Delivered("2.0.0", Evidence("smarthost.test", 25))


@dataclass
class Keyholder:
    """Takes deposits. `trouble` is raised instead."""

    deposits: list[Deposit] = field(default_factory=list)
    trouble: Exception | None = None

    def deposit(self, items: list[Deposit]) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.deposits += items


@dataclass
class Smarthost:
    """Takes what it is given, or answers what a test put in `answers` by address. Keeps each attempt's bytes."""

    answers: dict[str, Outcome | Exception] = field(default_factory=dict)
    attempts: list[tuple[str, bytes]] = field(default_factory=list)
    params: list[tuple[tuple[str, str], ...]] = field(default_factory=list)
    before: Callable[[Outbound], None] = lambda outbound: None

    def deliver(self, outbound: Outbound) -> list[RecipientOutcome]:
        self.before(outbound)
        data = b"".join(outbound.chunks())
        assert len(data) == outbound.size
        found = []
        for one in outbound.recipients:
            self.attempts.append((one.address, data))
            self.params.append(outbound.mail_params)
            answer = self.answers.get(one.address, TAKEN)
            if isinstance(answer, Exception):
                raise answer
            found.append(RecipientOutcome(one, answer))
        return found

    def extensions(self) -> frozenset[str]:
        return frozenset()

    def close(self) -> None:
        pass

    def times(self, address: str) -> int:
        return sum(one == address for one, _ in self.attempts)


class World:
    """Everything wired as bootstrap does it. `failing` makes the next commits answer TryLater, done or not."""

    def __init__(self, directory: Path, policy: str = "clinic") -> None:
        self.ring = Keyring()
        self.clock = self.ring.clock
        self.store = Store.open(databases.sqlite(directory), clock=self.clock)
        keys = {
            name: base64.b64encode(os.urandom(32)).decode() for name in ("directory", "index", "row_mac", "log_value")
        }
        keyring = KeyRing(lambda: {"tenants": {TENANT: keys}})
        self.directory = Directory(keyring)
        self.rows = Rows(keyring.row_mac)
        self.audit = AuditLog(self.store, NODE, self.clock)
        self.audit.attach()
        self.store.run(self._open_logs)
        (directory / "v").mkdir()
        self.vault = Vault.create(f"file://{directory}/v/vault")
        self.incoming_folder, self.outgoing_folder = fresh(directory / "in"), fresh(directory / "out")
        self.writer = self.ring.writer(self.incoming_folder)
        self.copies_writer = self.ring.writer(self.outgoing_folder, "out")
        self.incoming = self.ring.reader(self.incoming_folder)
        self.outgoing = self.ring.reader(self.outgoing_folder, "out")
        self.view = TenantView(
            id=TENANT, name="elm", display_name="Elm Street Clinic", phone="+1 555 010 0199",
            domains=frozenset({"clinic.test"}), public_url="https://mail.clinic.test", timezone="UTC",
            policy=load(policy), origin=f"mail.clinic.test/log/{TENANT}", smarthost=Endpoint("127.0.0.1", 25),
            smarthost_tls="none",
        )  # fmt: skip
        self.keyholder = Keyholder()
        self.smarthost = Smarthost()
        self.records = Records(self.rows, self.directory, self.audit, NODE)
        self.copies = Copies(self.copies_writer, self.clock, words.language("en"), self.tenant, lambda tenant: "", NODE)
        self.returner = Returner(self.copies, self.tenant, self.clock)
        self.pauses = Pauses(timedelta(seconds=30), timedelta(hours=1), timedelta(hours=120))
        self.deliverer = self.new_deliverer()
        people = People(self.rows, self.directory, self.clock)
        self.treatment = Treatment(
            self.vault, self.keyholder, self.store, people, self.records, self.copies, self.clock  # type: ignore[arg-type]
        )  # fmt: skip
        self.isolated = Isolated(children=1)
        self.flow = self.new_flow()

    def new_deliverer(self, threads: int = 0) -> Deliverer:
        """Without threads a test runs the jobs itself."""
        spools = {"in": self.incoming, "out": self.outgoing}
        return Deliverer(
            self.store, self.records, spools, lambda tenant: self.smarthost, self.returner, self.clock, self.pauses,
            threads, self.copies.top,
        )  # fmt: skip

    def new_flow(self, scanner: Scanner | None = None, scan_seconds: float = 60.0) -> Flow:
        return Flow(
            store=self.store, records=self.records, users=Users(self.rows, self.directory, self.clock),
            directory=self.directory, spool=self.incoming, isolated=self.isolated, treatment=self.treatment,
            deliverer=self.deliverer, tenants=self.tenant, clock=self.clock, words=words.language("en"),
            scanner=scanner, scan_seconds=scan_seconds,
        )  # fmt: skip

    def _open_logs(self, tx: Tx) -> None:
        tx.conn.execute(schema.tenants.insert().values(id=TENANT, name="elm", origin="elm/log", created_at=tx.now_us))
        for name in (TENANT, SYSTEM):
            self.audit.open_log(tx, name, origin=f"elm/{name}", release_vkey="r", system_vkey="s")

    def tenant(self, id: str) -> TenantView:
        if id != TENANT:
            raise NotFound("no such tenant")
        return self.view

    def spool(
        self, body: bytes, *recipients: str, head: bytes = b"", sender: str = "amy@clinic.test", params: Params = ()
    ) -> Entry:
        """A message in the spool, found."""
        data = head or b"From: %s\r\nSubject: a word\r\nMessage-ID: <%s@clinic.test>\r\n" % (
            sender.encode(), os.urandom(6).hex().encode(),
        )  # fmt: skip
        envelope = replace(self.ring.envelope(sender, recipients or ("b@example.test",)), mail_params=params)
        item = self.writer.begin(envelope)
        item.write(data + b"\r\n" + body)
        item.finish().result(10)
        self.incoming.look()
        entry = self.incoming.entry(item.id)
        assert entry is not None
        return entry

    def deliver(self) -> None:
        """Do every job that is queued, in this thread."""
        self.deliverer.run_waiting()

    def due(self, ahead: timedelta = timedelta()) -> None:
        """Do what is due after that time."""
        self.clock.ahead_us += ahead // timedelta(microseconds=1)
        self.deliverer.submit(self.deliverer.due())
        self.deliver()

    def actions(self) -> list[str]:
        """The tenant's events, in order."""
        with self.store.reading() as conn:
            entries = self.audit.entries(conn, TENANT, 0, self.audit.size(conn, TENANT))
            return [json.loads(one)["action"] for one in entries]

    def states(self) -> dict[str, str]:
        """State of each delivery by address, notices apart."""
        with self.store.reading() as conn:
            rows = self.rows.find(conn, select(schema.deliveries))
            return {
                ("notice to " if row["treatment"] == "notice" else "") + self.records.opened(row)[0].address: row[
                    "state"
                ]
                for row in rows
            }

    def records_copies(self) -> set[str]:
        """The outbound copies that are still to be delivered."""
        with self.store.reading() as conn:
            return self.records.copies(conn)

    def count(self, table: Any) -> int:
        with self.store.reading() as conn:
            return len(conn.execute(select(table)).all())

    @contextmanager
    def commits_fail(self, times: int, *, done: bool) -> Iterator[None]:
        """The next so many `Store.run` calls answer TryLater; `done` says whether they were committed all the same."""
        sound, left = self.store.run, [times]
        lock = threading.Lock()

        def run(work: Callable[[Tx], Any]) -> Any:
            with lock:
                left[0] -= 1
                fails = left[0] >= 0
            if fails and not done:
                raise TryLater("the database does not answer")
            result = sound(work)
            if fails:
                raise TryLater("the database does not answer")
            return result

        self.store.run = run  # type: ignore[method-assign]
        try:
            yield
        finally:
            self.store.run = sound  # type: ignore[method-assign]
            assert left[0] <= 0, "fewer commits were tried"

    def close(self) -> None:
        self.isolated.close()
        for one in (self.writer, self.copies_writer, self.incoming, self.outgoing, self.store):
            one.close()
