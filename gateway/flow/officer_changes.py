"""The desk for changes that wait: what would change, who asked, who stands behind it, and an officer's decision.

Promises: what is shown and who may decide is the keyholder's answer, asked anew each time, and nothing of it is kept
here; a decision is proved by a fresh code spent on it, and the entry quotes the keyholder's receipt. DESIGN §4, §4a;
decisions 0014, 0019.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from gateway.accounts.users import Users
from gateway.audit.event import Action, receipt_text
from gateway.clock import from_us
from gateway.errors import NotFound, Refused
from gateway.flow.sent import user_of
from gateway.flow.trail import Happened, Origin, Trail
from gateway.flow.visit import Denial
from gateway.share import answering
from gateway.share.portal import Denied, PortalClient, Session
from gateway.store import schema
from gateway.store.database import Store
from gateway.store.rows import Rows

WATCHERS = frozenset({"officer", "admin", "auditor"})
ACTS = ("approve", "withdraw")
REASON_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Vote:
    """Somebody who stands behind a change, and why."""

    who: str = field(repr=False)
    role: str
    at: datetime
    reason: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Differs:
    """One setting: its value in force, and the one that is asked for."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Change:
    """One of them. `kind` is settings, user (`acts` is the role, `subject` whose account), tenant (`acts` is closed
    or open) or recovery (`acts` is the key and its sheets, or none). `mine`: this reader stands behind it already, or
    it is about their own account.
    """

    id: str
    kind: str
    acts: str
    subject: str = field(repr=False)
    maker: str
    made_at: datetime
    due_at: datetime
    approved: bool
    votes: tuple[Vote, ...]
    differs: tuple[Differs, ...]
    mine: bool
    outcome: str = ""
    ended_at: datetime | None = None
    ended_by: str = field(default="", repr=False)
    ended_reason: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """An account that counts without anybody's approval, made after the first officer signed in."""

    who: str = field(repr=False)
    role: str
    state: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Changes:
    """All that the list shows."""

    waiting: tuple[Change, ...]
    ended: tuple[Change, ...]
    accounts: tuple[Account, ...]


class ChangeDesk:
    """The acts behind the pages. Thread-safe; everything is handed in."""

    def __init__(self, store: Store, rows: Rows, keys: PortalClient, trail: Trail, users: Users) -> None:
        self._store = store
        self._rows = rows
        self._keys = keys
        self._trail = trail
        self._users = users

    def waiting(self, origin: Origin, session: Session) -> int:
        """How many changes wait; 0 for whoever may not know."""
        if session["role"] not in WATCHERS:
            return 0
        try:
            with answering():
                return int(self._keys.changes_waiting(session["handle"], origin.tenant)["waiting"])
        except Denied:
            return 0

    def listed(self, origin: Origin, session: Session) -> Changes:
        """What waits, what became of others, and new accounts. Raises Refused."""
        try:
            with answering():
                found = self._keys.changes(session["handle"], origin.tenant)
        except Denied as denied:
            raise Refused(denied.reason) from denied
        with self._store.reading() as conn:
            return Changes(
                tuple(self._change(conn, one) for one in found["waiting"]),
                tuple(self._change(conn, one) for one in found["ended"]),
                tuple(
                    Account(self._who(conn, one["user"]), one["role"], one["state"], from_us(one["made_us"]))
                    for one in found["accounts"]
                ),
            )

    def shown(self, origin: Origin, session: Session, change: str) -> Change:
        """One of them. Raises NotFound."""
        found = self.listed(origin, session)
        for one in (*found.waiting, *found.ended):
            if one.id == change:
                return one
        raise NotFound("no such change")

    def decide(
        self, origin: Origin, session: Session, change: str, act: str, reason: str, code: str
    ) -> Denial | None:  # fmt: skip
        """Approve or end it. Who may is the keyholder's answer: Denial with its reason, recorded. Raises NotFound."""
        self.shown(origin, session, change)
        try:
            with answering():
                answer = self._keys.decide_change_as(session["handle"], code, act, change, reason[:REASON_CHARACTERS])
        except Denied as denied:
            happened = Happened(
                Action.SETTINGS_REFUSED, change, user_of(session), outcome="refused", reason=denied.reason,
                proof=session["proof"],
            )  # fmt: skip
            self._trail.record(origin, happened)
            left = denied.data.get("tries_left")
            return Denial(denied.reason, left if isinstance(left, int) else None)
        action = Action.SETTINGS_ACCEPTED if act == "approve" else Action.SETTINGS_REFUSED
        happened = Happened(
            action, change, user_of(session), reason=act, proof=session["proof"],
            receipt=receipt_text(answer["receipt"]),
        )  # fmt: skip
        self._trail.record(origin, happened)
        return None

    def _change(self, conn: Connection, one: Mapping[str, Any]) -> Change:
        votes = tuple(
            Vote(self._who(conn, vote["user"]), vote["role"], from_us(vote["at_us"]), vote["reason"])
            for vote in one["approvals"]
        )
        return Change(
            id=one["id"], kind=one["kind"], acts=one["acts"],
            subject=self._who(conn, one["object"]) if one["kind"] == "user" else "", maker=one["maker"],
            made_at=from_us(one["made_us"]), due_at=from_us(one["due_us"]), approved=one["approved"], votes=votes,
            differs=tuple(Differs(part["key"], part["before"], part["after"]) for part in one["differs"]),
            mine=one["mine"], outcome=one["outcome"] or "",
            ended_at=from_us(one["ended_us"]) if one["ended_us"] else None,
            ended_by=self._who(conn, one["ended_by"]), ended_reason=one["ended_reason"],
        )  # fmt: skip

    def _who(self, conn: Connection, user: str | None) -> str:
        """The address of an account; its id where there is no row of it here."""
        row = self._rows.get(conn, schema.users, user) if user else None
        return str(user or "") if row is None else self._users.address(row)
