"""What start-up makes right after a crash between two logs (DESIGN §4a recall, §5 openings).

Promises: a release that the keyholder recorded and our log does not show counts as a disclosure and is written down as
`opening:unconfirmed`; a recall that the keyholder committed is finished here. Both are found from the keyholder's own
log, so that nothing of ours has to have survived.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import select

from gateway.audit.event import GATEWAY, Action, Event, parse, receipt_text
from gateway.audit.log import AuditLog
from gateway.clock import Clock
from gateway.share import answering
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Rows
from keys.client import WorkerClient
from keys.merkle import leaf_hash

RELEASED = "share:released"


def confirm_openings(store: Store, audit: AuditLog, keyholder: WorkerClient, tenants: list[str]) -> int:
    """Write an `opening:unconfirmed` for each release without an entry of ours; how many."""
    count = 0
    for tenant in tenants:
        quoted = _quoted(store, tenant)
        missing: list[Event] = []
        for index, origin, raw, entry in _released(keyholder, tenant):
            if entry.get("action") != RELEASED or str(entry.get("outcome", "ok")) != "ok":
                continue
            receipt = receipt_text(
                {"log": origin, "index": index, "leaf_hash": base64.b64encode(leaf_hash(raw)).decode()}
            )
            if receipt not in quoted:
                missing.append(
                    Event(
                        Action.OPENING_UNCONFIRMED,
                        tenant,
                        str(entry["object"]),
                        GATEWAY,
                        outcome="partial",
                        receipt=receipt,
                    )
                )

        def work(tx: Tx, events: list[Event] = missing) -> None:
            for event in events:
                audit.append(tx, event)

        if missing:
            store.run(work)
            count += len(missing)
    return count


def finish_narrowings(
    store: Store, rows: Rows, audit: AuditLog, keyholder: WorkerClient, tenants: list[str], clock: Clock
) -> int:
    """Write `link:revoked` and the row of every grant that the keyholder revoked and we did not note; how many."""
    count = 0
    for tenant in tenants:
        with store.reading() as conn:
            table = schema.grants
            open_ = list(conn.execute(
                select(table.c.id).where(table.c.tenant == tenant, table.c.kind == "link", table.c.revoked_at.is_(None),
                                         table.c.expires_at > clock.now_us())).scalars())  # fmt: skip
        for start in range(0, len(open_), 500):
            with answering():
                states = keyholder.grant_state(tenant, open_[start : start + 500])
            revoked = {grant: state for grant, state in states.items() if state["state"] == "revoked"}

            def work(tx: Tx, revoked: dict[str, Any] = revoked, tenant: str = tenant) -> None:
                for grant, state in revoked.items():
                    rows.update(tx, schema.grants, grant, revoked_at=state["revoked_us"])
                    receipt = receipt_text(state["receipt"]) if state.get("receipt") else ""
                    audit.append(
                        tx, Event(Action.LINK_REVOKED, tenant, grant, GATEWAY, receipt=receipt, reason="after a crash")
                    )

            if revoked:
                store.run(work)
                count += len(revoked)
    return count


def _quoted(store: Store, tenant: str) -> set[str]:
    """The receipts that the openings in the tenant's log quote."""
    table = schema.log_leaves
    openings = (Action.OBJECT_OPENED, Action.OPENING_UNCONFIRMED)
    with store.reading() as conn:
        found = conn.execute(select(table.c.entry).where(table.c.log == tenant, table.c.action.in_(openings))).scalars()
        return {str(parse(bytes(entry))["receipt"]) for entry in found}


def _released(keyholder: WorkerClient, tenant: str) -> Iterator[tuple[int, str, bytes, dict[str, Any]]]:
    """(index, origin, bytes, fields) of every entry of the tenant's release log."""
    start = 0
    while True:
        with answering():
            page = keyholder.release_log(tenant, start)
        origin = str(page["checkpoint"]).partition("\n")[0]
        entries = [base64.b64decode(entry) for entry in page["entries"]]
        for offset, raw in enumerate(entries):
            yield start + offset, origin, raw, json.loads(raw)
        start += len(entries)
        if not entries or start >= int(page["size"]):
            return
