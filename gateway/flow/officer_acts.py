"""Carries out what was decided on held mail: the worker's side of `held_acts`.

Promises: what is done, and in whose name, is what the keyholder recorded, whatever the row says; each decision is
carried out once, through a crash at any instant; one that cannot be carried out says why and stays visible. Two workers
may look at once: the row is locked while one of them claims it, and the message's own state decides between two
decisions. One a turn, so that no turn outlasts its lock (`store.engines.TURN_MS`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import and_, or_, select

from gateway.audit.event import GATEWAY, Action, Event, parse
from gateway.audit.log import AuditLog, octets
from gateway.clock import Clock
from gateway.errors import GatewayError, NotFound, Tampered, TryLater
from gateway.flow.held import Held, NotApproved, NotHeld
from gateway.flow.looking import Harmful
from gateway.flow.resending import KIND, Resending
from gateway.logs import Log
from gateway.share import answering
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row, Rows
from gateway.store.waiting import said
from keys.client import WorkerClient
from keys.errors import Denied

STALE_US = 60_000_000
"""A decision that was being carried out this long ago was interrupted."""
AGAIN_US = 5_000_000
_ENDINGS = {
    "release": Action.MESSAGE_RELEASED,
    "release-as-is": Action.MESSAGE_RELEASED,
    "drop": Action.MESSAGE_DROPPED,
    "resend": Action.MESSAGE_RESENT,
}

log = Log("gateway.held")


class HeldActs:
    """A duty of the worker, every second."""

    def __init__(
        self, store: Store, rows: Rows, audit: AuditLog, keyholder: WorkerClient, held: Held, clock: Clock,
        resending: Resending | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._rows = rows
        self._audit = audit
        self._keyholder = keyholder
        self._held = held
        self._resending = resending
        self._clock = clock

    def __call__(self) -> int:
        """Carry out what has waited longest and is nobody's; how many were settled: one or none."""
        columns, now = schema.held_acts.c, self._clock.now_us()
        statement = select(schema.held_acts).where(
            or_(
                and_(columns.state == "ready", columns.failure.is_(None)),
                and_(columns.state == "ready", columns.changed_at < now - AGAIN_US),
                and_(columns.state == "working", columns.changed_at < now - STALE_US),
            )
        )
        with self._store.reading() as conn:
            due, changed = self._rows.sift(conn, statement.order_by(columns.changed_at).limit(50))
        for id in changed:
            log.error("held:act-tampered", request=id)
        mine = next((row for row in map(self.claimed, due) if row is not None), None)
        return 0 if mine is None else int(self._one(mine))

    def claimed(self, row: Row) -> Row | None:
        """The row as ours, if nobody changed it since it was read; None for somebody else's. Raises TryLater."""

        def work(tx: Tx) -> Row | None:
            ours = [False]

            def decide(now: Row) -> dict[str, Any] | None:
                ours[0] = (now["state"], now["changed_at"]) == (row["state"], row["changed_at"])
                return {"state": "working", "changed_at": self._clock.now_us()} if ours[0] else None

            found = self._rows.change(tx, schema.held_acts, row["id"], decide)
            return found if ours[0] else None

        return self._store.run(work)

    def _one(self, row: Row) -> bool:
        tenant, message, act = row["tenant"], row["message"], row["id"]
        try:
            if row["kind"] == KIND and self._resending is not None:
                self._resending.resend(tenant, message, act)
                return self._settle(row, "done")
            with answering():
                facts = self._keyholder.act_of(tenant, message, act)
            self._carry_out(tenant, message, act, facts)
        except (Denied, NotApproved, NotHeld, NotFound, Tampered, Harmful) as error:
            if self._was_done(tenant, message, act):  # a crash between the deed and this row
                return self._settle(row, "done")
            return self._settle(row, "failed", error.reason if isinstance(error, Denied) else _word(error))
        except (TryLater, GatewayError) as error:
            log.warning("held:act-later", request=act, error=type(error).__name__)
            self._settle(row, "ready", "later")
            return False
        return self._settle(row, "done", users=facts)

    def _carry_out(self, tenant: str, message: str, act: str, facts: Mapping[str, Any]) -> None:
        if facts["act"] == "drop":
            self._held.drop(tenant, message, act, facts["user"])
        else:
            self._held.release(tenant, message, act, facts["user"])

    def _settle(self, row: Row, state: str, failure: str | None = None, users: Mapping[str, Any] | None = None) -> bool:
        def work(tx: Tx) -> None:
            values: dict[str, Any] = {"state": state, "failure": failure, "changed_at": self._clock.now_us()}
            if users is not None:
                values |= {"kind": users["act"], "user": users["user"], "second": users["second"]}
            ours = [False]

            def decide(now: Row) -> dict[str, Any] | None:
                ours[0] = (now["state"], now["changed_at"]) == ("working", row["changed_at"])
                return values if ours[0] else None  # else another worker took over what took us too long

            self._rows.change(tx, schema.held_acts, row["id"], decide)
            if state == "failed" and ours[0]:
                event = Event(
                    Action.ACT_FAILED, row["tenant"], row["message"], GATEWAY, outcome="failed", reason=failure or "",
                    request=row["id"],
                )  # fmt: skip
                self._audit.append(tx, event)

        self._store.run(work)
        return True

    def _was_done(self, tenant: str, message: str, act: str) -> bool:
        """Whether the log says that this very decision was carried out."""
        with self._store.reading() as conn:
            columns = said(conn).c
            statement = select(columns.entry).where(
                columns.log == tenant, columns.object == message, columns.action.in_(sorted(set(_ENDINGS.values())))
            )
            return any(parse(octets(entry))["request"] == act for entry in conn.execute(statement).scalars())


def _word(error: Exception) -> str:
    words = {"NotHeld": "not-held", "NotFound": "not-held", "Tampered": "tampered", "Harmful": "harmful"}
    return words.get(type(error).__name__, "refused")
