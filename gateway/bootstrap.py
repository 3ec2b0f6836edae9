"""Plugs the parts of one role together: the only module that names concrete backends.

Promises: nothing is made anew except what `install` prepared for a fresh installation; the log's database is compared
with what the keyholder last signed before anything is served (restore guard, DESIGN §5).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

from sqlalchemy import select

from gateway import install, words
from gateway.accounts.people import People
from gateway.accounts.users import Users
from gateway.actions.bounce import Returner
from gateway.actions.copies import Copies
from gateway.actions.tenants import TenantView
from gateway.audit.event import GATEWAY, SYSTEM, Action, Event
from gateway.audit.log import AuditLog
from gateway.audit.sequencer import Sequencer, guard
from gateway.clock import SystemClock
from gateway.control import ControlServer
from gateway.courier.port import Courier
from gateway.courier.smtp import SmtpCourier
from gateway.errors import NotFound, TryLater
from gateway.flow.delivery import Deliverer, Pauses
from gateway.flow.desk import StaffDesk
from gateway.flow.download import Downloads
from gateway.flow.epochs import Epochs
from gateway.flow.evidence import Evidence
from gateway.flow.held import Held
from gateway.flow.isolate import Isolated
from gateway.flow.office import Office
from gateway.flow.orphans import destroy_orphans
from gateway.flow.outbound import Outbound
from gateway.flow.records import Records
from gateway.flow.running import Running
from gateway.flow.sent import SentMail
from gateway.flow.settle import confirm_openings, finish_narrowings
from gateway.flow.trail import Trail
from gateway.flow.treat import Treatment
from gateway.flow.upkeep import Duty, SignOfLife, Texts, Upkeep
from gateway.flow.visit import Visits
from gateway.flow.worker import Worker
from gateway.logs import Log
from gateway.notify import sender as text_sender
from gateway.portal import app as portal_app
from gateway.portal import server as portal_server
from gateway.portal.face import Face
from gateway.settings import Settings
from gateway.share import Directory, KeyRing, answering
from gateway.spool import nodekey, snapshot
from gateway.spool.reader import SpoolReader
from gateway.spool.writer import SpoolWriter
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Rows
from gateway.vault import Vault
from gateway.vouched import vouched_courier, vouched_view
from keys.client import Connection, PortalClient, WorkerClient, unb64
from keys.signing import SigningKey, verify_signature

log = Log("gateway.bootstrap")
PULSE_SECONDS = 1.5


class Gateway:
    """The gateway role: worker and portal in one process, the single writer of the database."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._snapshot_turn = threading.Lock()
        self.clock = SystemClock()
        self.node = settings.node.name
        directory = settings.worker_directory
        self.pinned = nodekey.pinned(directory / nodekey.PINNED_NAME)
        self.keyholder = WorkerClient(settings.sockets_directory / "worker.sock")
        # A keyholder that hangs must turn the sign of life red well before smtp would find that silent.
        self.keyholder_pulse = WorkerClient(
            Connection(settings.sockets_directory / "worker.sock", timeout_seconds=PULSE_SECONDS, size=1)
        )
        self.portal_keys = PortalClient(settings.sockets_directory / "portal.sock")
        self.ring = KeyRing(lambda: self.keyholder.keys(self.node))
        self.store = self._store()
        self.rows = Rows(self.ring.row_mac)
        self.directory = Directory(self.ring)
        self.audit = AuditLog(self.store, self.node, self.clock)
        self.audit.attach()
        self.vault = Vault.at(settings.vault.url)
        self.people = People(self.rows, self.directory, self.clock)
        self.users = Users(self.rows, self.directory, self.clock)
        self.views: dict[str, TenantView] = {}
        self._set_up()
        self.sequencer = Sequencer(self.audit, self.keyholder)
        self._guard()
        self._worker_parts(nodekey.load(directory / install.NODE_KEY))
        self._portal_parts()
        self._upkeep_parts()

    # the parts

    def _store(self) -> Store:
        fresh = install.setup_file(self.settings).exists() and Store.absent(self.settings.store.url)
        return Store.open(self.settings.store.url, create=fresh, clock=self.clock)

    def _set_up(self) -> None:
        """Tenant row and first log entries of a fresh installation; its note goes once all roles are ready."""
        path = install.setup_file(self.settings)
        if path.exists():
            setup = install.read_setup(path)
            with answering():
                vkeys = self.keyholder.vkeys(setup.tenant)
                system = self.keyholder.vkeys(SYSTEM)

            def work(tx: Tx) -> None:
                if (
                    tx.conn.execute(select(schema.tenants.c.id).where(schema.tenants.c.id == setup.tenant)).first()
                    is None
                ):
                    tx.conn.execute(
                        schema.tenants.insert().values(
                            id=setup.tenant, name=setup.name, origin=setup.origin, created_at=tx.now_us
                        )
                    )
                self.audit.open_log(
                    tx,
                    SYSTEM,
                    origin=system["origin"],
                    release_vkey=system["release_vkey"],
                    system_vkey=system["system_vkey"],
                )
                self.audit.open_log(
                    tx,
                    setup.tenant,
                    origin=setup.origin,
                    release_vkey=vkeys["release_vkey"],
                    system_vkey=vkeys["system_vkey"],
                )

            self.store.run(work)
        for id, _name, origin in self._tenants():
            self.views[id] = vouched_view(self.keyholder, self.pinned, id, origin)
        self.store.run(lambda tx: self.audit.append(tx, Event(Action.NODE_STARTED, SYSTEM, self.node, GATEWAY)))

    def _tenants(self) -> list[tuple[str, str, str]]:
        with self.store.reading() as conn:
            found = conn.execute(select(schema.tenants.c.id, schema.tenants.c.name, schema.tenants.c.origin)).all()
        return [(str(id), str(name), str(origin)) for id, name, origin in found]

    def view(self, tenant: str) -> TenantView:
        """Raises NotFound."""
        try:
            return self.views[tenant]
        except KeyError:
            raise NotFound("no such tenant") from None

    def _guard(self) -> None:
        for name in (*self.views, SYSTEM):
            with answering():
                last = self.keyholder.last_checkpoint(name)
            guard(self.audit, name, last)

    def _worker_parts(self, key: SigningKey) -> None:
        settings = self.settings
        self.epochs = Epochs(self.keyholder, self.node, self.pinned, self.clock)
        self.epochs.refresh()
        public = self._node_keys()
        spool = settings.spool.directory
        self.incoming = SpoolReader(
            spool / "in", self.node, public, self.epochs.open_box, direction="in", signing_key=key
        )
        self.outgoing = SpoolReader(
            spool / "out", self.node, public, self.epochs.open_box, direction="out", signing_key=key
        )
        self.copies_spool = SpoolWriter(spool / "out", self.node, key, "out", self.epochs.public, clock=self.clock)
        copies = Copies(self.copies_spool, self.clock, words.language("en"), self.view, self._checkpoint, self.node)
        self.records = Records(self.rows, self.directory, self.audit, self.node)
        home = next(view for view in self.views.values() if view.name == settings.tenant.name)
        self.courier: Courier = SmtpCourier(vouched_courier(settings.courier, home), settings.smtp.hostname)
        treatment = Treatment(self.vault, self.keyholder, self.store, self.people, self.records, copies, self.clock)
        worker = settings.worker
        self.returner = Returner(copies, self.view, self.clock)
        self.deliverer = Deliverer(
            self.store,
            self.records,
            {"in": self.incoming, "out": self.outgoing},
            lambda tenant: self.courier,
            self.returner,
            self.clock,
            Pauses(
                timedelta(seconds=worker.retry_first_seconds),
                timedelta(seconds=worker.retry_most_seconds),
                timedelta(hours=worker.give_up_hours),
            ),
            worker.delivery_threads,
            copies.top,
        )
        self.isolated = Isolated(children=worker.parsers)
        self.outbound = Outbound(
            store=self.store,
            records=self.records,
            users=self.users,
            directory=self.directory,
            spool=self.incoming,
            isolated=self.isolated,
            treatment=treatment,
            deliverer=self.deliverer,
            tenants=self.view,
            clock=self.clock,
            words=words.language("en"),
        )
        self.worker = Worker(self.incoming, self.outbound, self.deliverer, self.store, worker.threads)
        self.held = Held(
            store=self.store,
            records=self.records,
            vault=self.vault,
            keyholder=self.keyholder,
            outbound=self.outbound,
            returner=self.returner,
            deliverer=self.deliverer,
            tenants=self.view,
            clock=self.clock,
        )

    def _node_keys(self) -> dict[str, bytes]:
        with answering():
            found = self.keyholder.node_keys(self.node)
            public = {}
            for role, row in found.items():
                verify_signature(
                    self.pinned, unb64(row["signature"]), "sealgate/node-key/v1", self.node, role, unb64(row["public"])
                )
                public[role] = unb64(row["public"])
        return public

    def _checkpoint(self, tenant: str) -> str:
        """The log's head for a notice; empty while nothing was signed yet, which is the first second of a log."""
        try:
            return self.sequencer.deposit(tenant)
        except TryLater:
            return ""

    def _portal_parts(self) -> None:
        running = Running()
        trail = Trail(self.store, self.audit, self.ring, self.clock)
        visits = Visits(self.store, self.rows, self.portal_keys, trail, self.directory, self.clock)
        downloads = Downloads(self.store, self.rows, self.vault, self.portal_keys, trail, self.clock, running)
        mail = SentMail(self.store, self.rows, self.portal_keys, trail, self.directory)
        desk = StaffDesk(self.store, self.rows, self.portal_keys, trail, self.users, mail, self.clock, running)
        faces = [
            Face(view.id, view.display_name, view.phone, view.public_url, view.timezone) for view in self.views.values()
        ]
        self.app = portal_app.create(
            portal_app.PortalDeps(
                faces=faces,
                visits=visits,
                downloads=downloads,
                mail=mail,
                desk=desk,
                clock=self.clock,
                ready=lambda: self.life.last.ok,
                trusted_proxies=self.settings.portal.trusted_proxies,
                demo=os.environ.get("SEALGATE_TEST_DEMO") == "1",
            )
        )
        self.office = Office(
            store=self.store,
            records=self.records,
            people=self.people,
            users=self.users,
            held=self.held,
            portal_keys=self.portal_keys,
            audit=self.audit,
            sequencer=self.sequencer,
            deliverer=self.deliverer,
            spools=(self.incoming, self.outgoing),
            tenants=lambda: list(self.views.values()),
            clock=self.clock,
            refresh=self._snapshot,
        )

    def _upkeep_parts(self) -> None:
        settings = self.settings
        checks: dict[str, Callable[[], bool]] = {
            "store": lambda: self.store.health,
            "worker": self.worker.alive,
            "vault": self.vault.healthy,
            "keyholder": self._keyholder_answers,
            "spool": self._spool_writable,
        }
        self.life = SignOfLife(settings.snapshot_directory / "health.json", checks, self.clock)
        texts = Texts(self.keyholder, text_sender(settings.notify), self._text_words)
        hour = 3600.0
        self.upkeep = Upkeep(
            [
                [Duty("life", 0.8, self.life)],
                [Duty("snapshot", 60.0, self._snapshot), Duty("epochs", 30.0, self._epochs)],
                [Duty("checkpoints", 1.0, self.sequencer.run_once)],
                [Duty("texts", 0.5, texts)],
                [Duty("evidence", 1.0, Evidence(self.store, self.audit, {"in": self.incoming, "out": self.outgoing}))],
                [
                    Duty("holds", 60.0, self.held.return_expired),
                    Duty("sweep", hour, self._sweep),
                ],
            ]
        )

    def _keyholder_answers(self) -> bool:
        with answering():
            self.keyholder_pulse.take_texts(0)
        return True

    def _spool_writable(self) -> bool:
        stat = os.statvfs(self.settings.spool.directory)
        return stat.f_bavail * stat.f_frsize > 32 * 1024 * 1024

    def _text_words(self, tenant: str, code: str) -> str:
        return words.say("text.code", clinic=self.view(tenant).display_name, code=code)

    def _snapshot(self) -> None:
        extensions = dict.fromkeys(self.courier.extensions(), True)
        with self._snapshot_turn, answering():  # one at a time, so that a lower serial never replaces a higher one
            answer = self.keyholder.snapshot(self.node, extensions)
            path = self.settings.snapshot_directory / "snapshot.json"
            snapshot.write(path, answer["payload"], unb64(answer["signature"]))

    def _epochs(self) -> None:
        self.epochs.refresh()
        if self.epochs.roll([self.incoming, self.outgoing]):
            self._snapshot()

    def _sweep(self) -> None:
        yesterday = self.clock.now() - timedelta(days=1)
        self.vault.sweep(self._known_blobs, yesterday)
        before_us = self.clock.now_us() - 86_400_000_000
        self.incoming.sweep(before_us)
        self.outgoing.sweep(before_us)
        self.deliverer.sweep(before_us)
        destroy_orphans(self.store, self.keyholder, list(self.views), before_us)

    def _known_blobs(self, names: list[str]) -> set[str]:
        with self.store.reading() as conn:
            found = conn.execute(select(schema.objects.c.blob).where(schema.objects.c.blob.in_(names))).scalars()
            return set(found)

    # life

    def start(self, descriptors: Sequence[int] = ()) -> list[int]:
        """Serve, on sockets handed over or bound here; the portal's ports."""
        confirm_openings(self.store, self.audit, self.keyholder, list(self.views))
        finish_narrowings(self.store, self.rows, self.audit, self.keyholder, list(self.views), self.clock)
        self._snapshot()
        self.worker.start()
        self.upkeep.start()
        listen = [portal_server.Listen(one.host, one.port) for one in self.settings.portal.listen]
        portal = self.settings.portal
        self.server = portal_server.start(
            self.app, listen, cert_file=portal.tls_cert_file, key_file=portal.tls_key_file, descriptors=descriptors
        )
        self.control = ControlServer(self.settings.worker_directory / "control.sock", self.office.commands())
        self.control.start()
        return self.server.ports

    def stop(self) -> None:
        """Doors first, then what is under way, then the log's last checkpoint."""
        self.control.close()
        self.server.stop()
        self.worker.stop()
        self.upkeep.stop()
        self.life.stop()
        try:
            self.store.run(lambda tx: self.audit.append(tx, Event(Action.NODE_STOPPED, SYSTEM, self.node, GATEWAY)))
            self.sequencer.run_once()
        except TryLater:
            log.warning("gateway:last-checkpoint-missing")
        self.isolated.close()
        self.copies_spool.close()
        self.incoming.close()
        self.outgoing.close()
        self.courier.close()
        self.store.close()
