"""The smtp process's word that it turned a client away, written into that client's tenant's log.

The process has no log and no database: it leaves a sealed, signed item without a message in the spool, a few a minute.
"""

from __future__ import annotations

from sqlalchemy import select

from gateway.audit.event import Action, Actor, Event
from gateway.flow.records import Records
from gateway.spool.envelope import REFUSED, Envelope
from gateway.store.database import Store, Tx
from gateway.store.waiting import said


def turned_away(store: Store, records: Records, envelope: Envelope) -> bool:
    """Whether the item is such a note; then it is in the log, once, whatever was lost after an earlier try."""
    if envelope.identity.kind != REFUSED:
        return False
    identity = envelope.identity
    actor = Actor("user", identity.user) if identity.user else Actor("sender", "")
    event = Event(
        Action.MESSAGE_REFUSED, envelope.tenant, envelope.queue, actor, outcome="refused", reason=identity.name
    )

    def work(tx: Tx) -> None:
        columns = said(tx.conn).c  # with what waits for its number
        told = select(columns.idx).where(
            columns.log == envelope.tenant, columns.object == envelope.queue, columns.action == str(event.action)
        )
        if tx.conn.execute(told.limit(1)).first() is None:
            records.log.append(tx, event)

    store.run(work)
    return True
