"""The first start after a restore: what was destroyed or narrowed after the keyholder's half was copied is so again.

Promises: before anything is served, every erasure, end, recall, shortening and settled hold that our log shows since
that copy is asked for again at the keyholder, which does each of them once; then every log says that the installation
came back, from which backup, how large the log was, and how many seconds after the restore began. May be repeated.
What was done after our own half was copied is in neither: it ends with the days of the copy (DESIGN §4a, certificate).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import select

from gateway.audit.event import GATEWAY, SYSTEM, Action, Event
from gateway.audit.log import AuditLog
from gateway.logs import Log
from gateway.share import answering
from gateway.store import schema
from gateway.store.database import Store, Tx
from keys.client import WorkerClient
from keys.errors import Denied

log = Log("gateway.comeback")
REQUEST = "restore"
_ENDED = (Action.MESSAGE_ERASED, Action.MESSAGE_EXPIRED)
_SETTLED = (Action.MESSAGE_DROPPED, Action.MESSAGE_RETURNED, Action.MESSAGE_RELEASED)
_NARROWED = (Action.LINK_REVOKED, Action.LINK_SHORTENED)
_PAGE = 1000


def carry_out(store: Store, keyholder: WorkerClient, tenants: list[str], since_us: int) -> int:
    """Everything that our log shows since then; how many things the keyholder took. Raises TryLater."""
    done = 0
    for tenant in tenants:
        for action, id in _acts(store, tenant, since_us):
            done += _again(store, keyholder, tenant, action, id)
    return done


def note(
    store: Store, audit: AuditLog, tenants: list[str], backup: str, began_us: int, sizes: Mapping[str, int], now_us: int
) -> None:
    """Write into every log that it was brought back, once for each restore."""
    names = [name for name in (*tenants, SYSTEM) if not _said(store, name, backup, began_us)]

    def work(tx: Tx) -> None:
        for name in names:
            seconds = max(0, now_us - began_us) // 1_000_000
            reason = f"size {sizes.get(name, 0)} seconds {seconds}"
            audit.append(tx, Event(Action.BACKUP_RESTORED, name, backup, GATEWAY, reason=reason))

    if names:
        store.run(work)
        log.info("backup:restored", count=len(names))


def _said(store: Store, name: str, backup: str, since_us: int) -> bool:
    table = schema.log_leaves
    statement = select(table.c.idx).where(
        table.c.log == name, table.c.object == backup, table.c.action == Action.BACKUP_RESTORED, table.c.ts >= since_us
    )
    with store.reading() as conn:
        return conn.execute(statement.limit(1)).first() is not None


def _acts(store: Store, tenant: str, since_us: int) -> Iterator[tuple[str, str]]:
    table, last = schema.log_leaves, -1
    statement = select(table.c.idx, table.c.action, table.c.object).where(
        table.c.log == tenant, table.c.ts >= since_us, table.c.outcome == "ok",
        table.c.action.in_((*_ENDED, *_SETTLED, *_NARROWED)),
    )  # fmt: skip
    while True:
        with store.reading() as conn:
            page = conn.execute(statement.where(table.c.idx > last).order_by(table.c.idx).limit(_PAGE)).all()
        yield from ((str(action), str(id)) for _, action, id in page)
        if len(page) < _PAGE:
            return
        last = page[-1][0]


def _again(store: Store, keyholder: WorkerClient, tenant: str, action: str, id: str) -> int:
    try:
        with answering():
            if action in _ENDED:
                keyholder.destroy_message(tenant, id)
            elif action in _SETTLED:
                keyholder.held_done(tenant, id)
            else:
                return _narrow(store, keyholder, tenant, action, id)
    except Denied as denied:  # what came in after the keyholder's copy is not there, so nothing of it can open
        log.info("comeback:nothing-there", reason=denied.reason)
        return 0
    return 1


def _narrow(store: Store, keyholder: WorkerClient, tenant: str, action: str, id: str) -> int:
    """One link, or a whole message whose end was brought forward: the row says until when."""
    grants, messages = schema.grants.c, schema.messages.c
    with store.reading() as conn:
        row = conn.execute(
            select(grants.message, grants.expires_at).where(grants.id == id, grants.tenant == tenant)
        ).first()
        if row is None:
            row = conn.execute(
                select(messages.id, messages.expires_at).where(messages.id == id, messages.tenant == tenant)
            ).first()
    if row is None or row.expires_at is None:
        return 0
    change = {"revoke": True} if action == Action.LINK_REVOKED else {"expires_us": int(row.expires_at)}
    keyholder.narrow(tenant, str(row[0]), None if row[0] == id else id, change, "worker", REQUEST)
    return 1
