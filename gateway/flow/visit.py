"""A recipient at the door: the link shown, codes asked for and typed, devices and apps (DESIGN §4 "Doors").

Promises: whoever shows no valid link secret learns nothing but that; a visit changes nothing and is never an opening;
every code asked for, every proof and every refusal is an event before the answer leaves. What may open what is the
keyholder's decision alone. 45 CFR 164.312(d).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from gateway import steps
from gateway.audit.event import Action, Actor
from gateway.clock import Clock, from_us
from gateway.flow.strangers import Strangers
from gateway.flow.tellings import TRIES, note_refusal
from gateway.flow.trail import Happened, Origin, Trail, visitor_kind
from gateway.share import Directory, answering
from gateway.share.opening import Shown, link_holds, read_link, read_printed
from gateway.share.portal import Denied, PortalClient, Session
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row, Rows


@dataclass(frozen=True, slots=True)
class Stranger:
    """No valid link secret for this tenant was shown; why is for the log alone."""


@dataclass(frozen=True, slots=True, repr=False)
class Door:
    """A valid link. `state` is the keyholder's word: live revoked expired frozen destroyed unknown."""

    grant: str
    message: str
    person: str
    secret: bytes
    row: Row
    state: str
    doors: frozenset[str]
    tries_left: int
    ends_at: datetime
    reference: str
    may_remember: bool = False
    may_passkey: bool = False


@dataclass(frozen=True, slots=True)
class Denial:
    """The keyholder said no: its machine reason, and how many tries are left where that matters."""

    reason: str
    tries_left: int | None = None


class Visits:
    """The steps before reading. Everything is handed in."""

    def __init__(
        self, store: Store, rows: Rows, keys: PortalClient, trail: Trail, directory: Directory, clock: Clock
    ) -> None:
        self._store = store
        self._rows = rows
        self._keys = keys
        self._trail = trail
        self._directory = directory
        self._clock = clock
        self._strangers = Strangers(self._more_refused)

    def close(self) -> None:
        """Write what was only counted so far."""
        self._strangers.close()

    # 1 visit

    def knock(self, origin: Origin, text: str, kept: Mapping[str, bytes]) -> Door | Stranger:
        """What the last part of a link's path opens. `kept` holds link secrets from cookies, by grant.

        Raises Tampered (after its event) when the grant's row or its message's row is not as it was written.
        """
        shown = read_link(text)
        if shown is not None and shown.secret is None:
            shown = Shown(shown.grant, kept.get(shown.grant))
        if shown is None or shown.secret is None:
            return Stranger()
        with self.watching(origin, shown.grant), self._store.reading() as conn:
            row = self._rows.get(conn, schema.grants, shown.grant)
            if not link_holds(shown.secret, origin.tenant, row) or row is None:
                return Stranger()
            message = self._rows.get(conn, schema.messages, row["message"])
        if message is None:
            return Stranger()
        steps.reached("d1")
        return self._door(origin, row, message, shown.secret)

    def typed(self, origin: Origin, reference: str, printed: str) -> Door | Stranger:
        """The same from the six-digit reference and the printed code; the wrap's commitment decides."""
        secret = read_printed(printed)
        digits = "".join(filter(str.isdigit, reference))
        if secret is None or len(digits) != 6:
            return Stranger()
        statement = (
            select(schema.grants)
            .join(schema.messages, schema.messages.c.id == schema.grants.c.message)
            .where(schema.messages.c.tenant == origin.tenant, schema.messages.c.reference == digits)
            .where(schema.grants.c.kind == "link")
        )
        with self.watching(origin, ""), self._store.reading() as conn:
            for row in self._rows.find(conn, statement):
                if link_holds(secret, origin.tenant, row):
                    message = self._rows.get(conn, schema.messages, row["message"])
                    if message is not None:
                        return self._door(origin, row, message, secret)
        return Stranger()

    def visited(self, origin: Origin, door: Door) -> None:
        """Record a visit with a valid link: never an opening, whoever came."""
        kind = visitor_kind(origin.method, origin.agent.reveal(), self._age(door))
        self._trail.record(origin, Happened(Action.LINK_VISITED, door.grant, _visitor(), reason=kind, proof=0))

    def refused(self, origin: Origin, what: str, reason: str) -> None:
        """Record that somebody was not let in; of those who showed nothing (`what` is empty), many a minute as one."""
        if not what and not self._strangers.take(origin.tenant):
            return
        self._trail.record(
            origin, Happened(Action.LINK_REFUSED, what, _visitor(), outcome="refused", reason=reason, proof=0)
        )

    def _more_refused(self, tenant: str, count: int) -> None:
        self._trail.counted(tenant, Happened(Action.LINK_REFUSED, "", _visitor(), "refused", f"{count}-more", 0))

    def faces(self, door: Door) -> tuple[str, str]:
        """Who sent it (name, or empty) and the recipient's address, opened with the directory key."""
        with self._store.reading() as conn:
            person = self._rows.get(conn, schema.people, door.person)
            message = self._rows.get(conn, schema.messages, door.message)
            user_id = message["user"] if message is not None else None
            user = self._rows.get(conn, schema.users, user_id) if user_id else None
        tenant = door.row["tenant"]
        address = self._directory.open(tenant, "people", person["id"], person["address"]) if person else ""
        sender = ""
        if user is not None and user["name"] is not None:
            sender = self._directory.open(tenant, "users.name", user["id"], user["name"])
        return sender, address

    # 2 factor

    def ask_text(self, origin: Origin, door: Door, last4: str) -> Denial | None:
        """Ask for a text code; None when it is on its way."""
        try:
            with answering():
                self._keys.ask_text(door.grant, last4, origin.visitor, origin.network)
        except Denied as denied:
            return self.denied(origin, door, denied, Action.CODE_REFUSED)
        self._trail.record(origin, Happened(Action.CODE_ASKED, door.grant, _person(door), proof=0))
        return None

    def verify(self, origin: Origin, door: Door, code: str) -> Session | Denial:
        """A code of any kind for a session at the keyholder."""
        try:
            with answering():
                session = self._keys.verify(door.grant, code, origin.visitor, origin.network)
            steps.reached("d2")
        except Denied as denied:
            return self.denied(origin, door, denied, Action.CODE_REFUSED)
        return self.started(origin, door, session)

    def use_device(self, origin: Origin, door: Door, device: bytes) -> Session | Denial:
        """A remembered browser for a session."""
        try:
            with answering():
                session = self._keys.use_device(door.grant, device, origin.visitor)
        except Denied as denied:
            return self.denied(origin, door, denied, Action.SESSION_REFUSED)
        return self.started(origin, door, session)

    def session(self, door: Door, handle: str) -> Session | None:
        """The live session of this handle, if it is this person's for this message."""
        try:
            with answering():
                session = self._keys.session(handle)
        except Denied:
            return None
        if session["person"] != door.person:
            return None
        if session["tenant"] != door.row["tenant"]:
            return None
        if session["scope"] != {"message": door.message}:
            return None
        return session

    def remember(self, origin: Origin, door: Door, session: Session) -> bytes | Denial:
        """The token for this browser's cookie."""
        try:
            with answering():
                device = base64.b64decode(self._keys.remember(session["handle"])["device"])
        except Denied as denied:
            return self.denied(origin, door, denied, Action.SESSION_REFUSED)
        self._trail.record(origin, _enrolled(door, session, "device"))
        return device

    def forget(self, origin: Origin, door: Door, session: Session) -> None:
        """Forget every remembered browser of this person."""
        with answering():
            self._keys.forget_devices(session["handle"])
        self._trail.record(
            origin,
            Happened(Action.FACTOR_REMOVED, door.person, _person(door), reason="device", proof=session["proof"]),
        )

    def totp_begin(self, origin: Origin, door: Door, session: Session) -> tuple[str, str] | Denial:
        """`(otpauth URI, secret)` of an authenticator that is not in force yet."""
        try:
            with answering():
                begun = self._keys.totp_begin(session["handle"])
        except Denied as denied:
            return self.denied(origin, door, denied, Action.SESSION_REFUSED)
        return begun["uri"], begun["secret"]

    def totp_confirm(self, origin: Origin, door: Door, session: Session, code: str) -> Denial | None:
        """Put it in force with its first code."""
        try:
            with answering():
                self._keys.totp_confirm(session["handle"], code)
        except Denied as denied:
            return self.denied(origin, door, denied, Action.CODE_REFUSED)
        self._trail.record(origin, _enrolled(door, session, "totp"))
        return None

    def sign_out(self, origin: Origin, door: Door, session: Session) -> None:
        """End the session at the keyholder."""
        with answering():
            self._keys.end_session(session["handle"])
        self._trail.record(origin, Happened(Action.SESSION_ENDED, door.grant, _person(door), proof=session["proof"]))

    def watching(self, origin: Origin, what: str, reason: str = "row") -> AbstractContextManager[None]:
        """Around reads of rows."""
        return self._trail.alarmed(origin, what, reason)

    def _door(self, origin: Origin, row: Row, message: Row, secret: bytes) -> Door:
        # The keyholder finds changes in its own store by itself; they are named in the tenant's log here.
        with self.watching(origin, row["id"], "keyholder"), answering():
            info: dict[str, Any] = self._keys.grant_info(row["id"])
        return Door(
            grant=row["id"], message=row["message"], person=str(info.get("person") or row["person"] or ""),
            secret=secret, row=row, state=info["state"], doors=frozenset(info.get("doors") or ()),
            tries_left=int(info.get("tries_left") or 0),
            ends_at=from_us(int(info.get("expires_us") or row["expires_at"])), reference=message["reference"] or "",
            may_remember=info.get("may_remember") is True, may_passkey=info.get("may_passkey") is True,
        )  # fmt: skip

    def _age(self, door: Door) -> float | None:
        statement = select(schema.deliveries.c.settled_at).where(schema.deliveries.c.grant == door.grant)
        with self._store.reading() as conn:
            times = [row[0] for row in conn.execute(statement) if row[0] is not None]
        return (self._clock.now_us() - min(times)) / 1_000_000 if times else None

    def started(self, origin: Origin, door: Door, session: Session) -> Session:
        """The session, recorded."""
        self._trail.record(
            origin,
            Happened(
                Action.SESSION_STARTED, door.grant, _person(door), reason=session["method"], proof=session["proof"]
            ),
        )
        return session

    def denied(self, origin: Origin, door: Door, denied: Denied, action: Action) -> Denial:
        """What the keyholder said no to, recorded."""
        happened = [Happened(action, door.grant, _visitor(), outcome="refused", reason=denied.reason, proof=0)]
        reason = denied.reason
        if reason == "used" and self._frozen(door.grant):
            # A staff code's second redeemer: told so, and nobody gets in until staff decide.
            reason = "redeemed"
            happened.append(Happened(Action.LINK_FROZEN, door.grant, Actor("keyholder", ""), reason=reason))
        self._store.run(lambda tx: self._refuse(tx, origin, door, happened, reason))
        left = denied.data.get("tries_left")
        return Denial(reason, left if isinstance(left, int) else None)

    def _refuse(self, tx: Tx, origin: Origin, door: Door, happened: list[Happened], reason: str) -> None:
        """The refusal's events, and what the sender is to be told of it, together."""
        if reason == "redeemed" or denied_try(happened, reason):
            note_refusal(tx, self._rows, self._clock, origin.tenant, door.grant, reason)
        self._trail.append(tx, origin, happened)

    def _frozen(self, grant: str) -> bool:
        with answering():
            return bool(self._keys.grant_info(grant)["state"] == "frozen")


def denied_try(happened: list[Happened], reason: str) -> bool:
    """Whether somebody tried to prove themself and could not: codes that are late or out of turn are no such try."""
    return happened[0].action is Action.CODE_REFUSED and reason in TRIES


def _visitor() -> Actor:
    return Actor("visitor", "")


def _person(door: Door) -> Actor:
    return Actor("person", door.person)


def _enrolled(door: Door, session: Session, kind: str) -> Happened:
    return Happened(Action.FACTOR_ENROLLED, door.person, _person(door), reason=kind, proof=session["proof"])
