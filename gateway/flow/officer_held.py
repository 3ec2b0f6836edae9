"""The desk for held mail: why it is held, who decides, what became of the decision.

Promises: contents are shown to nobody here; officers and auditors see all held mail, everybody else their own; a
decision is the keyholder's recorded act, bound to this message and proved by a fresh code; its row travels to the
worker under a MAC together with the entry that quotes the keyholder's receipt. DESIGN §4 (`review`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from gateway.accounts.ports import Directory as Sealer
from gateway.accounts.users import Users
from gateway.audit.event import Action, receipt_text
from gateway.clock import Clock, from_us
from gateway.errors import NotFound
from gateway.flow.officer import Why, why_of
from gateway.flow.scanning import RULE as MALWARE
from gateway.flow.sent import user_of
from gateway.flow.trail import Happened, Origin, Trail
from gateway.flow.visit import Denial
from gateway.share import Directory, answering
from gateway.share.portal import Denied, PortalClient, Session
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row, Rows
from keys.errors import Tampered as Broken

ALL_HELD = frozenset({"officer", "auditor"})
KINDS = ("release", "release-as-is", "drop")
LISTED = 100
REASON_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Act:
    """A decision and its state: waiting ready working done failed."""

    id: str
    kind: str
    state: str
    user: str = field(repr=False)
    second: str = field(repr=False)
    reason: str = field(repr=False)
    second_reason: str = field(repr=False)
    failure: str
    at: datetime
    mine: bool


@dataclass(frozen=True, slots=True)
class HeldMail:
    """One held message, or one that was and of which a decision is known."""

    id: str
    state: str
    sender: str = field(repr=False)
    recipients: tuple[str, ...] = field(repr=False)
    received_at: datetime
    until: datetime | None
    size_bytes: int
    why: Why
    own: bool
    acts: tuple[Act, ...]
    released_as: str = ""

    @property
    def harmful(self) -> bool:
        """It is held for malware, and never goes out as it came."""
        return self.why.rule == MALWARE

    @property
    def settling(self) -> bool:
        """A decision is on its way: no other can be taken now."""
        return any(act.state in ("ready", "working") for act in self.acts)


class HeldDesk:
    """The acts behind the held-mail pages. Thread-safe; everything is handed in."""

    def __init__(
        self, store: Store, rows: Rows, keys: PortalClient, trail: Trail, directory: Directory, users: Users,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._store = store
        self._rows = rows
        self._keys = keys
        self._trail = trail
        self._directory = directory
        self._users = users
        self._clock = clock

    def count(self, tenant: str) -> int:
        """How many messages are held: a number, for whoever may see no more."""
        statement = select(func.count()).where(*_held(tenant))
        with self._store.reading() as conn:
            return int(conn.execute(statement).scalar_one())

    def listed(self, origin: Origin, session: Session) -> list[HeldMail]:
        """Held mail that this person may know of, the one whose time ends first on top."""
        columns = schema.messages.c
        statement = select(schema.messages).where(*_held(origin.tenant))
        if session["role"] not in ALL_HELD:
            statement = statement.where(columns.user == session["user"])
        self._trail.record(
            origin, Happened(Action.QUEUE_LISTED, origin.tenant, user_of(session), proof=session["proof"])
        )
        with self._store.reading() as conn:
            rows = self._rows.find(conn, statement.order_by(columns.hold_until).limit(LISTED))
            return [self._read(conn, row, session) for row in rows]

    def recent(self, origin: Origin, session: Session, count: int = 10) -> list[HeldMail]:
        """The messages of the latest decisions, newest first, for those who see all of them."""
        if session["role"] not in ALL_HELD:
            return []
        columns = schema.held_acts.c
        statement = select(schema.held_acts).where(
            columns.tenant == origin.tenant, columns.state.in_(("done", "failed")), columns.kind != "resend"
        )
        with self._store.reading() as conn:
            acts = self._rows.find(conn, statement.order_by(columns.changed_at.desc()).limit(count))
            wanted = dict.fromkeys(act["message"] for act in acts)
            rows = [self._rows.get(conn, schema.messages, one) for one in wanted]
            return [self._read(conn, row, session) for row in rows if row is not None and row["state"] != "held"]

    def shown(self, origin: Origin, session: Session, message: str) -> HeldMail:
        """One of them. Raises NotFound for what this person may not know of."""
        found = self._one(origin, session, message)
        self._trail.record(origin, Happened(Action.QUEUE_SHOWN, message, user_of(session), proof=session["proof"]))
        return found

    def decide(
        self, origin: Origin, session: Session, message: str, kind: str, reason: str, code: str
    ) -> Denial | bool:
        """Take a decision, or confirm another officer's; False while a second person is wanted. Raises NotFound.

        Who may decide what is the keyholder's answer: Denial with its reason, recorded.
        """
        found = self._one(origin, session, message)
        if found.state != "held" or found.settling:
            return Denial("not-held" if found.state != "held" else "under-way")
        if kind == "release-as-is" and found.harmful:
            return Denial("harmful")
        try:
            with answering():
                answer = self._keys.officer_act(session["handle"], code, kind, origin.tenant, message, reason)
        except Denied as denied:
            happened = Happened(
                Action.ACT_REFUSED, message, user_of(session), outcome="refused", reason=denied.reason,
                proof=session["proof"],
            )  # fmt: skip
            self._trail.record(origin, happened)
            left = denied.data.get("tries_left")
            return Denial(denied.reason, left if isinstance(left, int) else None)

        def work(tx: Tx) -> None:
            confirmed = keep(
                tx, self._rows, self._directory, tenant=origin.tenant, message=message, answer=answer, kind=kind,
                user=str(session["user"]), reason=reason, now_us=self._clock.now_us(),
            )  # fmt: skip
            action = Action.ACT_CONFIRMED if confirmed else Action.ACT_RECORDED
            happened = Happened(
                action, message, user_of(session), reason=kind, proof=session["proof"],
                receipt=receipt_text(answer["receipt"]),
            )  # fmt: skip
            self._trail.append(tx, origin, [happened])

        self._store.run(work)
        return bool(answer["complete"])

    def _one(self, origin: Origin, session: Session, message: str) -> HeldMail:
        with self._store.reading() as conn:
            row = self._rows.get(conn, schema.messages, message)
            if row is None or row["tenant"] != origin.tenant:
                raise NotFound("no such message")
            if session["role"] not in ALL_HELD and row["user"] != session["user"]:
                raise NotFound("another's message")
            found = self._read(conn, row, session)
        if found.state != "held" and not found.acts:
            raise NotFound("not held, and nobody decided on it here")
        return found

    def _read(self, conn: Connection, row: Row, session: Session) -> HeldMail:
        columns = schema.deliveries.c
        deliveries = self._rows.find(
            conn,
            select(schema.deliveries)
            .where(columns.message == row["id"], columns.treatment == "held")
            .order_by(columns.created_at, columns.id),
        )
        acts = self._rows.find(
            conn,
            select(schema.held_acts)
            .where(schema.held_acts.c.message == row["id"], schema.held_acts.c.kind != "resend")
            .order_by(schema.held_acts.c.created_at.desc()),
        )
        child = conn.execute(select(schema.messages.c.id).where(schema.messages.c.parent == row["id"])).scalar()
        return HeldMail(
            id=row["id"], state=row["state"],
            sender=self._directory.open(row["tenant"], "messages", row["id"], row["sender"]),
            recipients=tuple(self._recipient(one) for one in deliveries), received_at=from_us(row["received_at"]),
            until=from_us(row["hold_until"]) if row["hold_until"] else None, size_bytes=row["size_bytes"],
            why=why_of(row), own=row["user"] is not None and row["user"] == session["user"],
            acts=tuple(self._act(conn, act, session) for act in acts), released_as=str(child or ""),
        )  # fmt: skip

    def _act(self, conn: Connection, row: Row, session: Session) -> Act:
        def opened(column: str, suffix: str) -> str:
            if row[column] is None:
                return ""
            return self._directory.open(row["tenant"], f"held_acts{suffix}", row["id"], row[column])

        return Act(
            id=row["id"], kind=row["kind"], state=row["state"], user=self._address(conn, row["user"]),
            second=self._address(conn, row["second"]), reason=opened("reason", ""),
            second_reason=opened("second_reason", ".second"), failure=row["failure"] or "",
            at=from_us(row["changed_at"]), mine=row["user"] == session["user"],
        )  # fmt: skip

    def _address(self, conn: Connection, user: str | None) -> str:
        row = self._rows.get(conn, schema.users, user) if user else None
        return "" if row is None else self._users.address(row)

    def _recipient(self, row: Row) -> str:
        try:
            text = self._directory.open(row["tenant"], "deliveries", row["id"], row["recipient"])
        except Broken:
            return ""
        return str(json.loads(text).get("address") or "")


def _held(tenant: str) -> tuple[ColumnElement[bool], ...]:
    """What is held has a time at which it ends: said too, so that the small index over such mail is taken."""
    columns = schema.messages.c
    return (columns.tenant == tenant, columns.state == "held", columns.hold_until.is_not(None))


def keep(
    tx: Tx, rows: Rows, directory: Sealer, *, tenant: str, message: str, answer: Mapping[str, Any], kind: str,
    user: str, reason: str, now_us: int, state: str = "ready",
) -> bool:  # fmt: skip
    """Write down what the keyholder recorded; True when it completed an earlier officer's decision."""
    act = str(answer["act"])
    known = rows.get(tx.conn, schema.held_acts, act)
    then = state if answer["complete"] else "waiting"
    if known is not None:
        rows.update(
            tx, schema.held_acts, act, second=user, state=then, changed_at=now_us, failure=None,
            second_reason=directory.seal(tenant, "held_acts.second", act, reason[:REASON_CHARACTERS]),
        )  # fmt: skip
        return True
    rows.insert(
        tx, schema.held_acts, id=act, tenant=tenant, message=message, kind=kind, user=user, state=then,
        reason=directory.seal(tenant, "held_acts", act, reason[:REASON_CHARACTERS]), created_at=now_us,
        changed_at=now_us,
    )  # fmt: skip
    return False
