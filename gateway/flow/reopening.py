"""Each log says which keys belong to it, and where it went on under a new origin: at the start, before anything else.

Promises: one `log:reopened` for each new origin that the keyholder gave a log, quoting the head that was given up; one
`log:rotated` in every log whose neighbours' keys changed with it. May be repeated. DESIGN §5.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import desc, select

from gateway.audit import origins
from gateway.audit.event import GATEWAY, SYSTEM, Action, Event, parse
from gateway.audit.log import AuditLog, octets
from gateway.logs import Log
from gateway.share import answering
from gateway.store.database import Store, Tx
from gateway.store.schema import log_leaves
from keys.client import WorkerClient

log = Log("gateway.reopening")
_STATES = (Action.LOG_OPENED, Action.LOG_ROTATED, Action.LOG_REOPENED)


def say(store: Store, audit: AuditLog, keyholder: WorkerClient, tenants: Iterable[str]) -> int:
    """How many entries were written. Raises TryLater."""
    count = 0
    for name in (*tenants, SYSTEM):
        with answering():
            vkeys, back = keyholder.vkeys(name), keyholder.reopened(name)
        stated, origin = _stated(store, name)
        event = None
        if back is not None and origin != back["origin"]:
            reason = origins.reason_of(vkeys["release_vkey"], vkeys["system_vkey"], back["note"], back["reason"])
            event = Event(Action.LOG_REOPENED, name, back["origin"], GATEWAY, reason=reason)
        elif stated and stated != [vkeys["release_vkey"], vkeys["system_vkey"]]:
            reason = f"{vkeys['release_vkey']} {vkeys['system_vkey']}"
            event = Event(Action.LOG_ROTATED, name, origin, GATEWAY, reason=reason)
        if event is not None:

            def work(tx: Tx, event: Event = event) -> None:
                audit.append(tx, event)

            store.run(work)
            log.warning("log:reopened", tenant=name)
            count += 1
    return count


def _stated(store: Store, name: str) -> tuple[list[str], str]:
    """The keys that the log states last, and the origin of its last beginning."""
    table = log_leaves
    statement = (
        select(table.c.entry)
        .where(table.c.log == name, table.c.action.in_(_STATES))
        .order_by(desc(table.c.idx))
        .limit(1)
    )
    with store.reading() as conn:
        entry = conn.execute(statement).scalar_one_or_none()
    if entry is None:
        return [], ""
    fields = parse(octets(entry))
    return str(fields["reason"]).split(" ")[:2], str(fields["object"])
