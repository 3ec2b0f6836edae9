"""What worker and portal stand on alike: database, log, keys in memory, vault, the tenants as they were signed.

Promises: nothing is made anew except what `install` prepared for a fresh installation; the log's database is compared
with what the keyholder last signed before anything is served (restore guard, DESIGN §5).
"""

from __future__ import annotations

import time

from sqlalchemy import select

from gateway import install
from gateway.accounts.people import People
from gateway.accounts.users import Users
from gateway.actions.tenants import TenantView
from gateway.audit.event import GATEWAY, SYSTEM, Action, Event
from gateway.audit.log import AuditLog
from gateway.audit.numbering import Numbering
from gateway.audit.outbox import Memory
from gateway.audit.sequencer import guard
from gateway.bootstrap import newcomers
from gateway.clock import SystemClock
from gateway.errors import NotFound, TryLater
from gateway.logs import Log
from gateway.settings import Settings
from gateway.share import Directory, KeyRing, answering
from gateway.spool import nodekey
from gateway.store import grants, presence, schema
from gateway.store.database import Store
from gateway.store.engines import NameTaken, parse, path_of
from gateway.store.rows import Rows
from gateway.store.scope import acting
from gateway.vault import Vault
from gateway.vouched import vouched_view
from keys.client import PortalClient, WorkerClient
from keys.reserve import Reserve

log = Log("gateway.bootstrap")
MEMORY = "log-position.json"
"""How far this process's entries have come, in its own folder."""
PORTAL = ".portal"  # behind the node's name in the log; no node's name has a dot


NAME_SECONDS = 10.0


class Ground:
    """The shared parts of one process, plugged together. `keyholder` is the client of this process's role: the
    worker's, or the portal's where that is a process of its own.
    """

    def __init__(self, settings: Settings, keyholder: WorkerClient | PortalClient) -> None:
        self.settings = settings
        self.keyholder = keyholder
        self.clock = SystemClock()
        name = settings.node.name
        if isinstance(keyholder, PortalClient):
            self.alone, self.node, home = True, name + PORTAL, settings.portal_directory
            self.ring = KeyRing(keyholder.keys)
        else:
            worker = keyholder
            self.alone, self.node, home = False, name, settings.worker_directory
            self.ring = KeyRing(lambda: worker.keys(name))
        self.pinned = nodekey.pinned(home / nodekey.PINNED_NAME)
        self.store = self._store()
        self.room = self._room()
        self.rows = Rows(self.ring.row_mac)
        self.directory = Directory(self.ring)
        self.audit = AuditLog(self.store, self.node, self.clock, Memory(home / MEMORY, self.pinned.hex()))
        self.audit.attach()
        self.numbering = Numbering(self.audit)
        self.vault = Vault.at(settings.vault.url)
        self.people = People(self.rows, self.directory, self.clock)
        self.users = Users(self.rows, self.directory, self.clock)
        self.views: dict[str, TenantView] = {}
        self._take_name()
        self._drain()
        self._set_up()
        self._drain()
        self._guard()

    def view(self, tenant: str) -> TenantView:
        """Raises NotFound."""
        try:
            return self.views[tenant]
        except KeyError:
            raise NotFound("no such tenant") from None

    def own(self, view: TenantView) -> Settings:
        """What the file says of that clinic alone, its credentials for the smarthost among it."""
        return next(one for one in self.settings.tenants if one.tenant.name == view.name)

    def _store(self) -> Store:
        settings = self.settings
        if settings.on_postgres:  # its tables are the owner's, who is not here
            url = settings.store.portal_url if self.alone else settings.store.url
            grants.check(url, one_tenant=self.alone)
            return Store.open(url, clock=self.clock, lease=self.node, one_tenant=self.alone)
        fresh = install.setup_file(settings).exists() and presence.absent(settings.store.url)
        return Store.open(settings.store.url, create=fresh, clock=self.clock)

    def _take_name(self) -> None:
        """Wait for an earlier process of this node, which may be ending; never serve beside it. Raises NameTaken."""
        deadline = time.monotonic() + NAME_SECONDS
        while True:
            try:
                return self.store.run(lambda tx: None)
            except TryLater as error:
                if not isinstance(error.__cause__, NameTaken):
                    raise
                if time.monotonic() > deadline:
                    raise error.__cause__ from None
                time.sleep(0.2)

    def _drain(self) -> None:
        """On PostgreSQL: no guard and no reconciliation looks at a log while entries of an earlier life wait."""
        if not self.alone:
            self.numbering.drain()

    def _room(self) -> Reserve | None:
        """What is put by beside an SQLite file for a full disk; a database server's disk is its own affair."""
        settings = self.settings.store
        path = path_of(parse(settings.url))
        if path is None or not settings.reserve_bytes:
            return None
        self.store.room = made = Reserve(path.parent, settings.reserve_bytes, told=_told)
        return made

    def _set_up(self) -> None:
        """Row and first log entries of each tenant that is new at the keyholder, then everything as it was signed."""
        if isinstance(self.keyholder, WorkerClient):
            for id in newcomers.missing(self.ring, {id for id, _ in self._tenants()}):
                newcomers.enter(self.store, self.audit, self.keyholder, id)
        for id, origin in self._tenants():
            self.views[id] = vouched_view(self.keyholder, self.pinned, id, origin)
        self.note(Action.NODE_STARTED)

    def note(self, action: Action) -> None:
        """Put what this process does itself into the system log. Raises TryLater."""
        with acting(SYSTEM):
            self.store.run(lambda tx: self.audit.append(tx, Event(action, SYSTEM, self.node, GATEWAY)))

    def _tenants(self) -> list[tuple[str, str]]:
        """Each tenant and the origin of its log: all of them at once, or one by one where we are held to one."""
        statement = select(schema.tenants.c.id, schema.tenants.c.origin)
        if not self.store.one_tenant:
            with self.store.reading() as conn:
                return [(str(id), str(origin)) for id, origin in conn.execute(statement)]
        self.ring.refresh()
        found = []
        for tenant in self.ring.tenants():
            with acting(tenant), self.store.reading() as conn:
                found += [(str(id), str(origin)) for id, origin in conn.execute(statement)]
        return found

    def _guard(self) -> None:
        for name in (*self.views, SYSTEM):
            with answering():
                last = self.keyholder.last_checkpoint(name)
            with acting(name):
                guard(self.audit, name, last)


def _told(whole: bool) -> None:
    if whole:
        log.info("disk:room")
    else:
        log.error("disk:full")
