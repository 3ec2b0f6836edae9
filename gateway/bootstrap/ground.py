"""What worker and portal stand on alike: database, log, keys in memory, vault, the tenants as they were signed.

Promises: nothing is made anew except what `install` prepared for a fresh installation; the log's database is compared
with what the keyholder last signed before anything is served (restore guard, DESIGN §5).
"""

from __future__ import annotations

from sqlalchemy import select

from gateway import install
from gateway.accounts.people import People
from gateway.accounts.users import Users
from gateway.actions.tenants import TenantView
from gateway.audit.event import GATEWAY, SYSTEM, Action, Event
from gateway.audit.log import AuditLog
from gateway.audit.sequencer import guard
from gateway.clock import SystemClock
from gateway.errors import NotFound
from gateway.settings import Settings
from gateway.share import Directory, KeyRing, answering
from gateway.spool import nodekey
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Rows
from gateway.vault import Vault
from gateway.vouched import vouched_view
from keys.client import WorkerClient


class Ground:
    """The shared parts of one process, plugged together. `keyholder` is the client of this process's role."""

    def __init__(self, settings: Settings, keyholder: WorkerClient) -> None:
        self.settings = settings
        self.keyholder = keyholder
        self.clock = SystemClock()
        self.node = settings.node.name
        self.pinned = nodekey.pinned(settings.worker_directory / nodekey.PINNED_NAME)
        self.ring = KeyRing(lambda: keyholder.keys(self.node))
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
        self._guard()

    def view(self, tenant: str) -> TenantView:
        """Raises NotFound."""
        try:
            return self.views[tenant]
        except KeyError:
            raise NotFound("no such tenant") from None

    def _store(self) -> Store:
        fresh = install.setup_file(self.settings).exists() and Store.absent(self.settings.store.url)
        return Store.open(self.settings.store.url, create=fresh, clock=self.clock)

    def _set_up(self) -> None:
        """Tenant row and first log entries of a fresh installation; its note goes once all roles are ready."""
        path = install.setup_file(self.settings)
        if path.exists():
            self._first_entries(install.read_setup(path))
        with self.store.reading() as conn:
            columns = schema.tenants.c
            found = conn.execute(select(columns.id, columns.origin)).all()
        for id, origin in found:
            self.views[str(id)] = vouched_view(self.keyholder, self.pinned, str(id), str(origin))
        self.store.run(lambda tx: self.audit.append(tx, Event(Action.NODE_STARTED, SYSTEM, self.node, GATEWAY)))

    def _first_entries(self, setup: install.Setup) -> None:
        with answering():
            vkeys = self.keyholder.vkeys(setup.tenant)
            system = self.keyholder.vkeys(SYSTEM)

        def work(tx: Tx) -> None:
            table = schema.tenants
            if tx.conn.execute(select(table.c.id).where(table.c.id == setup.tenant)).first() is None:
                tx.conn.execute(
                    table.insert().values(id=setup.tenant, name=setup.name, origin=setup.origin, created_at=tx.now_us)
                )
            for name, origin, release in (
                (SYSTEM, system["origin"], system["release_vkey"]),
                (setup.tenant, setup.origin, vkeys["release_vkey"]),
            ):
                own = system if name == SYSTEM else vkeys
                self.audit.open_log(tx, name, origin=origin, release_vkey=release, system_vkey=own["system_vkey"])

        self.store.run(work)

    def _guard(self) -> None:
        for name in (*self.views, SYSTEM):
            with answering():
                last = self.keyholder.last_checkpoint(name)
            guard(self.audit, name, last)
