"""A clinic that is new in the file: the keyholder made its keys, here it gets its row and the first entry of its log.

Promises: row, log and the system log's word about it are one transaction; a clinic of which the keyholder already
signed a log and whose row is gone is not begun anew, for that would be a second, shorter log (DESIGN §5).
"""

from __future__ import annotations

from sqlalchemy import select

from gateway.audit.event import GATEWAY, SYSTEM, Action, Event
from gateway.audit.log import AuditLog
from gateway.errors import Tampered
from gateway.share import KeyRing, answering
from gateway.store import schema
from gateway.store.database import Store, Tx
from keys.client import WorkerClient


def missing(ring: KeyRing, there: set[str]) -> list[str]:
    """Tenants whose keys the keyholder hands out and whose row is not there."""
    ring.refresh()
    return [tenant for tenant in ring.tenants() if tenant not in there]


def enter(store: Store, audit: AuditLog, keyholder: WorkerClient, tenant: str) -> None:
    """Begin a tenant's log. May be repeated. Raises Tampered where the keyholder knows a longer one."""
    with answering():
        if keyholder.last_checkpoint(tenant) is not None:
            raise Tampered("a tenant is gone from the database, and its log was signed before")
        name = str(keyholder.settings(tenant)["body"]["name"])
        own, system = keyholder.vkeys(tenant), keyholder.vkeys(SYSTEM)

    def work(tx: Tx) -> None:
        table = schema.tenants
        if tx.conn.execute(select(table.c.id).where(table.c.id == tenant)).first() is not None:
            return
        tx.conn.execute(table.insert().values(id=tenant, name=name, origin=own["origin"], created_at=tx.now_us))
        for log, vkeys in ((SYSTEM, system), (tenant, own)):
            audit.open_log(
                tx, log, origin=vkeys["origin"], release_vkey=vkeys["release_vkey"], system_vkey=own["system_vkey"]
            )
        audit.append(tx, Event(Action.TENANT_CREATED, SYSTEM, tenant, GATEWAY))

    store.run(work)
