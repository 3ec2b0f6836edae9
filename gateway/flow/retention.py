"""The desk for the life of mail: legal holds, erasures, certificates, as officers and auditors see them.

Promises: what is shown is the keyholder's answer, asked anew each time, and nothing of it is kept here; a decision is
proved by a fresh code spent on it and its entry quotes the keyholder's receipt; a refusal is an entry too. What ends is
written down by the worker (`gateway.flow.erasing`). DESIGN §4a; decision 0037; 45 CFR 164.310(d)(2)(i).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, or_, select

from gateway.accounts.users import Users
from gateway.audit.event import Action, receipt_text
from gateway.clock import from_us, to_us
from gateway.errors import NotFound, Refused
from gateway.flow.sent import user_of
from gateway.flow.trail import Happened, Origin, Trail
from gateway.flow.visit import Denial
from gateway.share import Directory, answering
from gateway.share.portal import Denied, PortalClient, Session
from gateway.store import schema
from gateway.store.database import Store
from gateway.store.rows import Rows

HOLDS = ("hold-message", "hold-person", "hold-tenant", "hold-period")
ERASURES = ("erase-message", "erase-link", "erase-person", "erase-tenant")
ACTS = (*HOLDS, *ERASURES, "lift", "shorten", "certify")
REASON_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class About:
    """What a decision is about, in words of this clinic: a reference, an address, or nothing for the whole clinic.

    `count` messages are concerned and not ended yet; `links` are (id, address) of a message's readers; `state` is the
    message's own row state and `ends_at` its end.
    """

    kind: str
    id: str
    reference: str = ""
    address: str = field(default="", repr=False)
    count: int = 0
    links: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold. `since` and `until` are the ends of a time; `lifted_at` says that it is over."""

    id: str
    about: About
    since: datetime | None
    until: datetime | None
    user: str = field(repr=False)
    reason: str = field(repr=False)
    set_at: datetime
    lifted_at: datetime | None
    lifted_by: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Disposal:
    """A decision that destroys, shortens or lifts, with what came of it."""

    id: str
    act: str
    about: About
    until: datetime | None
    user: str = field(repr=False)
    second: str = field(repr=False)
    reason: str = field(repr=False)
    second_reason: str = field(repr=False)
    made_at: datetime
    begun: bool
    done: bool
    messages: int
    objects: int
    links: int
    kept: int
    first_at: datetime | None
    last_at: datetime | None
    final_at: datetime | None
    certified: bool
    mine: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the page shows, newest first. `kept`: messages that live on only because of a hold."""

    holds: tuple[Hold, ...]
    lifted: tuple[Hold, ...]
    waiting: tuple[Disposal, ...]
    done: tuple[Disposal, ...]
    kept: int
    second: bool


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate: the decision, and the signed text that anybody can check."""

    disposal: Disposal
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class State:
    """Of one message: since when it is on hold (None: it is not), when its key was destroyed, and its certificate."""

    held_since: datetime | None
    hold: str
    owed: bool
    destroyed_at: datetime | None
    final_at: datetime | None
    certificate: str


class RetentionDesk:
    """The acts behind the pages. Thread-safe; everything is handed in."""

    def __init__(
        self, store: Store, rows: Rows, keys: PortalClient, trail: Trail, directory: Directory, users: Users
    ) -> None:
        self._store = store
        self._rows = rows
        self._keys = keys
        self._trail = trail
        self._directory = directory
        self._users = users

    def overview(self, origin: Origin, session: Session) -> Overview:
        """Holds, what waits, what was destroyed. Raises Refused."""
        try:
            with self._trail.alarmed(origin, origin.tenant, "hold"), answering():
                found = self._keys.retention(session["handle"], origin.tenant)
        except Denied as denied:
            raise Refused(denied.reason) from denied
        with self._store.reading() as conn:
            return Overview(
                tuple(self._hold(conn, origin, one) for one in found["holds"]),
                tuple(self._hold(conn, origin, one) for one in found["lifted"]),
                tuple(self._disposal(conn, origin, session, one) for one in found["waiting"]),
                tuple(self._disposal(conn, origin, session, one) for one in found["done"]),
                found["kept"], found["second"],
            )  # fmt: skip

    def about(self, origin: Origin, session: Session, act: str, object: str) -> About | Hold:
        """What this decision would be about; the hold itself for `lift`. Raises NotFound."""
        if act == "lift":
            for one in self.overview(origin, session).holds:
                if one.id == object:
                    return one
            raise NotFound("no such hold")
        if act not in ACTS:
            raise NotFound("no such act")
        with self._store.reading() as conn:
            found = self._about(conn, origin, act, object)
        if found is None:
            raise NotFound("no such thing")
        return found

    def decide(
        self, origin: Origin, session: Session, act: str, object: str, reason: str, code: str,
        since: datetime | None = None, until: datetime | None = None,
    ) -> Denial | Mapping[str, Any]:  # fmt: skip
        """Take a decision or confirm another officer's. Who may is the keyholder's answer: Denial, recorded.

        ``id``, ``complete`` (False while a second person is wanted), ``done``.
        """
        try:
            with self._trail.alarmed(origin, object), answering():
                answer = self._keys.dispose_as(
                    session["handle"], code, act=act, object=object, from_us=None if since is None else to_us(since),
                    until_us=None if until is None else to_us(until), reason=reason[:REASON_CHARACTERS],
                )  # fmt: skip
        except Denied as denied:
            refused = Happened(
                Action.ACT_REFUSED, object, user_of(session), outcome="refused", reason=denied.reason,
                proof=session["proof"],
            )  # fmt: skip
            self._trail.record(origin, refused)
            left = denied.data.get("tries_left")
            return Denial(denied.reason, left if isinstance(left, int) else None)
        action = Action.ACT_CONFIRMED if answer["confirmed"] else Action.ACT_RECORDED
        happened = Happened(
            action, object, user_of(session), reason=act, proof=session["proof"],
            receipt=receipt_text(answer["receipt"]),
        )  # fmt: skip
        self._trail.record(origin, happened)
        return answer

    def certificate(self, origin: Origin, session: Session, id: str) -> Certificate:
        """One certificate. Raises NotFound."""
        try:
            with self._trail.alarmed(origin, id), answering():
                found = self._keys.certificate(session["handle"], id)
        except Denied as denied:
            raise NotFound(denied.reason) from denied
        with self._store.reading() as conn:
            return Certificate(self._disposal(conn, origin, session, found), found["text"])

    def state(self, session: Session, message: str) -> State | None:
        """What became of a message; None for whoever may not know, and for one that has nothing sealed."""
        try:
            with answering():
                found = self._keys.retention_state(session["handle"], message)
        except Denied:
            return None
        first = found["holds"][0] if found["holds"] else None
        return State(
            from_us(first["set_us"]) if first else None, str(first["id"]) if first else "",
            found["owed_us"] is not None, _moment(found["destroyed_us"]), _moment(found["final_us"]),
            found["certificate"],
        )  # fmt: skip

    def _hold(self, conn: Connection, origin: Origin, one: Mapping[str, Any]) -> Hold:
        about = self._about(conn, origin, f"hold-{one['kind']}", one["object"]) or About(one["kind"], one["object"])
        return Hold(
            one["id"], about, _moment(one["from_us"]), _moment(one["until_us"]), self._who(conn, one["user"]),
            one["reason"], from_us(one["set_us"]), _moment(one["lifted_us"]), self._who(conn, one["lifted_by"]),
        )  # fmt: skip

    def _disposal(self, conn: Connection, origin: Origin, session: Session, one: Mapping[str, Any]) -> Disposal:
        act = one["kind"]
        about = self._about(conn, origin, act, one["object"]) or About("", one["object"])
        return Disposal(
            one["id"], act, about, _moment(one["until_us"]), self._who(conn, one["user"]),
            self._who(conn, one["second"]), one["reason"], one["second_reason"], from_us(one["made_us"]),
            one["begun_us"] is not None, one["done_us"] is not None, one["messages"], one["objects"], one["links"],
            one["kept"], _moment(one["first_us"]), _moment(one["last_us"]), _moment(one["final_us"]),
            one["certified"], one["user"] == session["user"],
        )  # fmt: skip

    def _about(self, conn: Connection, origin: Origin, act: str, object: str) -> About | None:
        if act in ("hold-tenant", "hold-period", "erase-tenant"):
            if object != origin.tenant:
                return None
            return About("tenant" if act != "hold-period" else "period", object, count=_living(conn, origin.tenant))
        if act in ("hold-person", "erase-person"):
            return self._person(conn, origin, object)
        if act == "lift":
            return About("hold", object)
        link = self._rows.get(conn, schema.grants, object) if act == "erase-link" else None
        row = self._rows.get(conn, schema.messages, object if link is None else link["message"])
        if row is None or row["tenant"] != origin.tenant:
            return None
        table = schema.grants
        links = self._rows.find(
            conn, select(table).where(table.c.message == row["id"], table.c.kind == "link").order_by(table.c.id)
        )
        mine = "" if link is None else self._address(conn, link["person"])
        return About(
            "message" if link is None else "link", object, row["reference"] or "", mine, int(row["ended_at"] is None),
            tuple((one["id"], self._address(conn, one["person"])) for one in links if one["revoked_at"] is None),
            from_us(row["expires_at"]) if row["expires_at"] else None,
        )  # fmt: skip

    def _person(self, conn: Connection, origin: Origin, person: str) -> About | None:
        user = self._rows.get(conn, schema.users, person)
        if user is not None and user["tenant"] == origin.tenant:
            return About("person", person, address=self._users.address(user))
        row = self._rows.get(conn, schema.people, person)
        if row is None or row["tenant"] != origin.tenant:
            return None
        grants, messages = schema.grants.c, schema.messages.c
        count = conn.execute(
            select(func.count(messages.id.distinct()))
            .join_from(schema.grants, schema.messages, messages.id == grants.message)
            .where(grants.person == person, grants.tenant == origin.tenant, messages.ended_at.is_(None))
        ).scalar_one()
        return About("person", person, address=self._address(conn, person), count=int(count))

    def _address(self, conn: Connection, person: str | None) -> str:
        row = self._rows.get(conn, schema.people, person) if person else None
        return "" if row is None else self._directory.open(row["tenant"], "people", row["id"], row["address"])

    def _who(self, conn: Connection, user: str | None) -> str:
        row = self._rows.get(conn, schema.users, user) if user else None
        return str(user or "") if row is None else self._users.address(row)


def _living(conn: Connection, tenant: str) -> int:
    """Messages with something sealed that is not destroyed."""
    columns = schema.messages.c
    sealed = or_(columns.reference.is_not(None), columns.hold_until.is_not(None))
    statement = select(func.count()).where(columns.tenant == tenant, sealed, columns.ended_at.is_(None))
    return int(conn.execute(statement).scalar_one())


def _moment(at_us: int | None) -> datetime | None:
    return None if at_us is None else from_us(at_us)
