"""What must be told at once: somebody could not prove who they are, a code was used twice, a number is new.

The portal writes down what happened, in the transaction of its own events; the worker tells, once (story 26, DESIGN
§3b, §4 "Doors"). News of numbers and of cards come from the keyholder, past the portal (`person_news`). Promises: a
telling is done in the transaction that names its mail; the sender hears of a link once a day at most.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from functools import partial
from typing import Any

from sqlalchemy import select

from gateway.actions.tenants import TenantView
from gateway.audit.event import Action, parse
from gateway.clock import Clock
from gateway.errors import Tampered
from gateway.flow.audience import Audience
from gateway.flow.person_news import PersonNews
from gateway.flow.posting import Posted, Poster
from gateway.flow.records import Records
from gateway.logs import Log
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row, Rows
from gateway.store.waiting import said
from keys.client import WorkerClient

log = Log("gateway.tellings")
WRONG_TRIES = 3
TRIES = frozenset({"wrong", "last-four", "used"})
"""Refusals that say somebody could not prove who they are."""
DAY_US = 86_400_000_000
BATCH = 50


def note_refusal(tx: Tx, rows: Rows, clock: Clock, tenant: str, grant: str, reason: str) -> None:
    """Have the sender told that somebody was refused on that link, once a UTC day; for the portal's transaction.

    `reason` is ``redeemed`` (a used code in another browser) or another one, which counts from the third within a day.
    """
    kind = "redeemed" if reason == "redeemed" else "knocked"
    if kind == "knocked" and _refusals(tx, clock, tenant, grant) < WRONG_TRIES:
        return
    id = f"{kind}:{grant}:{clock.now().astimezone(UTC):%Y%m%d}"
    if rows.get(tx.conn, schema.tellings, id) is None:
        rows.insert(
            tx, schema.tellings, id=id, tenant=tenant, kind=kind, about=grant, state="ready", created_at=tx.now_us
        )


def _refusals(tx: Tx, clock: Clock, tenant: str, grant: str) -> int:
    """Wrong codes and wrong last digits on that link within a day, this transaction's not among them: hence the one."""
    columns = said(tx.conn).c
    statement = (
        select(columns.entry)
        .where(columns.log == tenant, columns.object == grant, columns.action == str(Action.CODE_REFUSED))
        .where(columns.ts > clock.now_us() - DAY_US)
        .order_by(columns.idx.desc())
        .limit(20)
    )
    return 1 + sum(parse(entry)["reason"] in TRIES for entry in tx.conn.execute(statement).scalars())


class Tellings:
    """The duty."""

    def __init__(
        self,
        store: Store,
        records: Records,
        keyholder: WorkerClient,
        poster: Poster,
        audience: Audience,
        tenants: Callable[[str], TenantView],
        clock: Clock,
        renew: Callable[[], None],
    ) -> None:
        self._store = store
        self._records = records
        self._poster = poster
        self._audience = audience
        self._tenants = tenants
        self._clock = clock
        self._news = PersonNews(store, records, keyholder, poster, audience, tenants, clock, renew)

    def __call__(self) -> int:
        """Tell what waits; how many mails."""
        table = schema.tellings
        with self._store.reading() as conn:
            rows, changed = self._records.rows.sift(
                conn, select(table).where(table.c.state == "ready").order_by(table.c.created_at).limit(BATCH)
            )
        for id in changed:
            log.error("tellings:row-tampered", kind=id.partition(":")[0])
        return sum(self._each(row["kind"], partial(self._refusal, row)) for row in rows) + self._news()

    @staticmethod
    def _each(kind: str, tell: Callable[[], int]) -> int:
        """One telling; a changed row behind it keeps no other waiting."""
        try:
            return tell()
        except Tampered:
            log.error("tellings:row-tampered", kind=kind)
            return 0

    def _refusal(self, row: Row) -> int:
        view = self._tenants(row["tenant"])
        with self._store.reading() as conn:
            grant = self._records.rows.get(conn, schema.grants, row["about"])
            message = self._records.message(conn, grant["message"]) if grant is not None else None
            person = self._records.rows.get(conn, schema.people, grant["person"]) if grant is not None else None
        to = self._audience.of(view, self._records.sender(message)) if message is not None else ""
        posted: Posted | None = None
        if to:
            who = [self._address(person)] if person is not None else []
            posted = self._poster.to_sender(view, to, row["kind"], message, who)

        def work(tx: Tx) -> bool:
            if not self.settled(tx, row["id"], "done" if posted is not None else "dropped"):
                return False
            if posted is not None:
                self._poster.insert(tx, posted)
            return posted is not None

        done = self._store.run(work)
        if done and posted is not None:
            self._poster.submit(posted, to)
        return int(done)

    def settled(self, tx: Tx, id: str, state: str) -> bool:
        """Whether it was still to be told: the row is locked while it is looked at, so of two workers one tells."""
        ours = [False]

        def decide(row: Row) -> dict[str, Any] | None:
            ours[0] = row["state"] == "ready"
            return {"state": state, "done_at": self._clock.now_us()} if ours[0] else None

        self._records.rows.change(tx, schema.tellings, id, decide)
        return ours[0]

    def _address(self, person: Row) -> str:
        return self._records.directory.open(person["tenant"], "people", person["id"], person["address"])
