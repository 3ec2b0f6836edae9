"""What start-up makes right after a crash between two logs (DESIGN §4a recall, §5 openings).

Promises: a release that the keyholder recorded and our log does not show counts as a disclosure and is written down as
`opening:unconfirmed`; a recall that the keyholder committed is finished here. Both are found from the keyholder's own
log, so that nothing of ours has to have survived.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import select

from gateway.audit.event import GATEWAY, Action, Event, parse, parse_receipt, receipt_text
from gateway.audit.log import AuditLog
from gateway.clock import Clock
from gateway.share import answering
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Rows
from gateway.store.waiting import AFTER_ALL, said
from keys.client import WorkerClient
from keys.merkle import leaf_hash

RELEASED = "share:released"
PAGE = 5_000
_MARK = 8


def confirm_openings(
    store: Store, audit: AuditLog, keyholder: WorkerClient, tenants: list[str], before_us: int | None = None
) -> int:
    """Write an `opening:unconfirmed` for each release without an entry of ours; how many.

    Releases after `before_us` are left for later: where other processes live, their openings may be under way.
    Memory: eight bytes for each entry of the release log, and one page of either log.
    """
    count = 0
    for tenant in tenants:
        quoted = _quoted(store, keyholder, tenant)
        for page in _released(keyholder, tenant):
            missing = [
                Event(
                    Action.OPENING_UNCONFIRMED,
                    tenant,
                    str(entry["object"]),
                    GATEWAY,
                    outcome="partial",
                    receipt=receipt_text({"log": origin, "index": index, "leaf_hash": base64.b64encode(leaf).decode()}),
                )
                for index, origin, leaf, entry in page
                if entry.get("action") == RELEASED
                and str(entry.get("outcome", "ok")) == "ok"
                and (before_us is None or int(entry["ts"]) < before_us)
                and quoted[_MARK * index : _MARK * (index + 1)] != _mark(origin, leaf)
            ]

            def work(tx: Tx, events: list[Event] = missing) -> None:
                for event in events:
                    audit.append(tx, event)

            if missing:
                store.run(work)
                count += len(missing)
    return count


def finish_narrowings(
    store: Store,
    rows: Rows,
    audit: AuditLog,
    keyholder: WorkerClient,
    tenants: list[str],
    clock: Clock,
    before_us: int | None = None,
) -> int:
    """Write `link:revoked` and the row of every grant that the keyholder revoked and we did not note; how many.

    `before_us` as for `confirm_openings`.
    """
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
            revoked = {
                grant: state
                for grant, state in states.items()
                if state["state"] == "revoked" and (before_us is None or int(state["revoked_us"]) < before_us)
            }

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


def _quoted(store: Store, keyholder: WorkerClient, tenant: str) -> bytes:
    """For each entry of the release log the mark of the receipt that an opening of ours quotes of it, else zeros.

    An opening that quotes another entry than the one in that place leaves a mark that does not fit, as if there were
    none; so does everything of another log.
    """
    with answering():
        size = int(keyholder.release_log(tenant)["size"])
    marks = bytearray(_MARK * size)
    table = schema.log_leaves
    openings = (Action.OBJECT_OPENED, Action.OPENING_UNCONFIRMED)
    statement = select(table.c.idx, table.c.entry).where(table.c.log == tenant, table.c.action.in_(openings))
    last = -1
    while True:
        with store.reading() as conn:
            page = conn.execute(statement.where(table.c.idx > last).order_by(table.c.idx).limit(PAGE)).all()
            waiting = []
            if len(page) < PAGE:  # seen in the same view: what was committed counts, with or without its number
                columns = said(conn).c
                more = select(columns.idx, columns.entry).where(columns.log == tenant, columns.action.in_(openings))
                waiting = list(conn.execute(more.where(columns.idx >= AFTER_ALL)))
        for _, entry in (*page, *waiting):
            receipt = parse_receipt(str(parse(bytes(entry))["receipt"]))
            if receipt is not None and receipt[1] < size:
                origin, index, leaf = receipt
                marks[_MARK * index : _MARK * (index + 1)] = _mark(origin, base64.b64decode(leaf))
        if len(page) < PAGE:
            return bytes(marks)
        last = page[-1].idx


def _mark(origin: str, leaf: bytes) -> bytes:
    """Eight bytes that stand for a receipt; its place says the index."""
    return hashlib.sha256(origin.encode() + leaf).digest()[:_MARK]


def _released(keyholder: WorkerClient, tenant: str) -> Iterator[list[tuple[int, str, bytes, dict[str, Any]]]]:
    """Pages of (index, origin, leaf hash, fields) of the tenant's release log."""
    start = 0
    while True:
        with answering():
            page = keyholder.release_log(tenant, start)
        origin = str(page["checkpoint"]).partition("\n")[0]
        entries = [base64.b64decode(entry) for entry in page["entries"]]
        yield [(start + offset, origin, leaf_hash(raw), json.loads(raw)) for offset, raw in enumerate(entries)]
        start += len(entries)
        if not entries or start >= int(page["size"]):
            return
