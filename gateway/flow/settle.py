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
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import select

from gateway.audit.event import GATEWAY, Action, Event, parse, parse_receipt, receipt_text
from gateway.audit.log import AuditLog
from gateway.clock import Clock
from gateway.errors import Tampered
from gateway.logs import Log
from gateway.share import answering
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row, Rows
from gateway.store.waiting import AFTER_ALL, said
from keys.client import WorkerClient
from keys.merkle import leaf_hash

log = Log("gateway.settle")
RELEASED = "share:released"
PAGE = 5_000
_MARK = 8
MARKS = ("openings", "openings-log")
"""Kinds of the rows of `notice_marks` that say how far the release log, and ours, were compared."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Every release before `released` is settled, and no entry of ours before `logged` quotes a later one."""

    released: int
    logged: int


class Openings:
    """Looks for releases without an entry of ours, each of them once: a mark says how far both logs were compared.

    The mark is two rows under a MAC, moved in the transaction of what was written down; without one, or with one that
    does not fit the logs, all is compared again, which writes nothing twice.
    """

    def __init__(self, store: Store, rows: Rows, audit: AuditLog, keyholder: WorkerClient) -> None:
        self._store = store
        self._rows = rows
        self._audit = audit
        self._keyholder = keyholder
        self._young: dict[str, Mark] = {}

    def confirm(self, tenants: list[str], before_us: int | None = None) -> int:
        """Write an `opening:unconfirmed` for each release without an entry of ours; how many.

        Releases after `before_us` are left for later: where other processes live, their openings may be under way.
        Memory: eight bytes for each entry of the release log since the mark, and one page of either log.
        """
        return sum(self._of(tenant, before_us) for tenant in tenants)

    def _of(self, tenant: str, before_us: int | None) -> int:
        # Our log's size first: an entry that is there now quotes no release that is recorded after this.
        with self._store.reading() as conn:
            here = self._audit.size(conn, tenant)
        with answering():
            there = int(self._keyholder.release_log(tenant)["size"])
        old = self._marked(tenant, here, there)
        quoted = _quoted(self._store, tenant, old, there)
        count, waits = 0, there
        for page in _released(self._keyholder, tenant, old.released, there):
            missing: list[Event] = []
            for index, origin, leaf, entry in page:
                if entry.get("action") != RELEASED or str(entry.get("outcome", "ok")) != "ok":
                    continue
                at = _MARK * (index - old.released)
                if quoted[at : at + _MARK] == _mark(origin, leaf):
                    continue
                if before_us is not None and int(entry["ts"]) >= before_us:
                    waits = min(waits, index)
                    continue
                quote = {"log": origin, "index": index, "leaf_hash": base64.b64encode(leaf).decode()}
                missing.append(
                    Event(
                        Action.OPENING_UNCONFIRMED, tenant, str(entry["object"]), GATEWAY, outcome="partial",
                        receipt=receipt_text(quote),
                    )
                )  # fmt: skip

            def work(tx: Tx, events: list[Event] = missing) -> None:
                for event in events:
                    self._audit.append(tx, event)

            if missing:
                self._store.run(work)
                count += len(missing)
        self._move(tenant, old, Mark(there, here), waits)
        return count

    def _marked(self, tenant: str, here: int, there: int) -> Mark:
        with self._store.reading() as conn:
            try:
                rows = [self._rows.get(conn, schema.notice_marks, f"{kind}:{tenant}") for kind in MARKS]
            except Tampered:  # who changed it could have had a release passed over
                log.error("settle:mark-tampered", tenant=tenant)
                return Mark(0, 0)
        found = [int(row["at"]) for row in rows if row is not None]
        if len(found) < len(MARKS) or found[0] > there or found[1] > here:
            return Mark(0, 0)
        return Mark(*found)

    def _move(self, tenant: str, old: Mark, now: Mark, waits: int) -> None:
        """Everything before `waits` is settled. What was not yet, is with an earlier look's sizes once it is."""
        young = self._young.get(tenant)
        if waits >= now.released:
            settled = now
            self._young.pop(tenant, None)
        elif young is None or young.released <= waits:
            settled = young or old
            self._young[tenant] = now
        else:
            return
        if settled == old:
            return

        def work(tx: Tx) -> None:
            for kind, at in zip(MARKS, (settled.released, settled.logged), strict=True):
                id = f"{kind}:{tenant}"
                if self._rows.change(tx, schema.notice_marks, id, partial(_to, at)) is None:
                    self._rows.insert(tx, schema.notice_marks, id=id, tenant=tenant, at=at)

        try:
            self._store.run(work)
        except Tampered:
            log.error("settle:mark-tampered", tenant=tenant)


def _to(at: int, row: Row) -> dict[str, int]:
    return {"at": at}


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

    `before_us` as for `Openings.confirm`. A row that was changed by somebody else is left as it is and named: the
    keyholder refuses its link all the same, and one row must not keep the gateway from starting.
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

            def work(tx: Tx, revoked: dict[str, Any] = revoked, tenant: str = tenant) -> int:
                done = 0
                for grant, state in revoked.items():
                    try:
                        rows.update(tx, schema.grants, grant, revoked_at=state["revoked_us"])
                    except Tampered:
                        log.error("settle:row-tampered", tenant=tenant, grant=grant)
                        continue
                    done += 1
                    receipt = receipt_text(state["receipt"]) if state.get("receipt") else ""
                    audit.append(
                        tx, Event(Action.LINK_REVOKED, tenant, grant, GATEWAY, receipt=receipt, reason="after a crash")
                    )
                return done

            if revoked:
                count += store.run(work)
    return count


def _quoted(store: Store, tenant: str, old: Mark, size: int) -> bytes:
    """For each entry of the release log since then, the mark of the receipt that an opening of ours quotes, else zeros.

    An opening that quotes another entry than the one in that place leaves a mark that does not fit, as if there were
    none; so does everything of another log.
    """
    marks = bytearray(_MARK * (size - old.released))
    table = schema.log_leaves
    openings = (Action.OBJECT_OPENED, Action.OPENING_UNCONFIRMED)
    statement = select(table.c.idx, table.c.entry).where(table.c.log == tenant, table.c.action.in_(openings))
    last = old.logged - 1
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
            if receipt is not None and old.released <= receipt[1] < size:
                origin, index, leaf = receipt
                at = _MARK * (index - old.released)
                marks[at : at + _MARK] = _mark(origin, base64.b64decode(leaf))
        if len(page) < PAGE:
            return bytes(marks)
        last = page[-1].idx


def _mark(origin: str, leaf: bytes) -> bytes:
    """Eight bytes that stand for a receipt; its place says the index."""
    return hashlib.sha256(origin.encode() + leaf).digest()[:_MARK]


def _released(
    keyholder: WorkerClient, tenant: str, start: int, size: int
) -> Iterator[list[tuple[int, str, bytes, dict[str, Any]]]]:  # fmt: skip
    """Pages of (index, origin, leaf hash, fields) of the tenant's release log, of that size, from `start`."""
    while start < size:
        with answering():
            page = keyholder.release_log(tenant, start)
        origin = str(page["checkpoint"]).partition("\n")[0]
        entries = [base64.b64decode(entry) for entry in page["entries"]][: size - start]
        yield [(start + offset, origin, leaf_hash(raw), json.loads(raw)) for offset, raw in enumerate(entries)]
        start += len(entries)
        if not entries:
            return
