"""What was sent and what truly became of it, per person, as staff see it.

Promises: a state says what is known ("handed to the mail server", never "delivered"; a visit is never an opening);
whether a grant lives is the keyholder's word, not a row's; subjects and file names are opened by the keyholder's word
alone, each recorded. 45 CFR 164.312(a)(1), 164.312(b).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select, tuple_

from gateway.audit.event import Action, Actor, parse, receipt_text
from gateway.clock import Clock, from_us
from gateway.errors import NotFound, Tampered
from gateway.flow.metas import Metas, alarm
from gateway.flow.openings import Opening, openings
from gateway.flow.returns import ODD
from gateway.flow.trail import Happened, Origin, Trail
from gateway.share import Directory, answering
from gateway.share.opening import details_of, subject_of
from gateway.share.portal import Denied, PortalClient, Session
from gateway.store import schema
from gateway.store.database import Store
from gateway.store.rows import Row, Rows
from gateway.store.waiting import said

PAGE = 20
ALL_MAIL = frozenset({"office", "officer", "auditor"})
"""Roles that see the sent mail of the whole tenant; everybody else sees their own."""
PROTECTED = ("attachments", "secure")
SHOWS = ("unopened", "recalled")
"""What the list can be narrowed to."""
Place = tuple[int, str]
"""Of a message in the list: when it was received (microseconds), and its id, as several may share an instant."""
UNOPENED_US = 3 * 86_400_000_000
LOOKED_AT = 200
"""Messages looked through for one page of a narrowed list."""
FILES = ("file", "original")
METHODS = ("text", "staff", "card", "totp", "device", "passkey", "recovery")
"""Proofs that have words of their own under `staff.proof`."""
PURPOSES = ("read", "look", "download", "zip")
"""What an object is opened for: shown on the message's page, looked at, saved, saved with all the others."""


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one recipient's copy: `kind` is a key under `staff.state`, `proof` one under `staff.proof`."""

    kind: str
    at: datetime | None = None
    proof: str = ""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One person of a message. `grant` is empty for somebody whose copy went as it was.

    `files_got` of `files` went out to them whole.
    """

    grant: str
    address: str
    state: State
    live: bool
    opened_at: datetime | None
    files_got: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """One protected message as staff see it."""

    id: str
    reference: str
    sender: str
    received_at: datetime
    expires_at: datetime | None
    rule: str
    policy: str
    user: str
    people: tuple[Recipient, ...]
    more: int = 0
    subject: str = ""
    broken: bool = False
    """What says its subject does not hold: it was changed, and an alarm says so."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a timeline."""

    action: str
    at: datetime
    outcome: str
    reason: str
    proof: int | None
    person: str


@dataclass(frozen=True, slots=True)
class Details:
    """A message with what the keyholder let this session see."""

    message: Sent
    subject: str
    files: tuple[Mapping[str, Any], ...]
    timeline: tuple[Step, ...]


class SentMail:
    """Reads messages for staff. Thread-safe; everything is handed in."""

    def __init__(
        self, store: Store, rows: Rows, keys: PortalClient, trail: Trail, directory: Directory, clock: Clock
    ) -> None:
        self._clock = clock
        self._store = store
        self._rows = rows
        self._keys = keys
        self._trail = trail
        self._directory = directory

    def sent(
        self, origin: Origin, session: Session, before: Place | None, show: str = ""
    ) -> tuple[list[Sent], Place | None, int]:
        """A page of protected messages, newest first, and behind which one the next page begins; and how many are not
        on it because something about them was changed, each of which is an alarm.

        `show` narrows it to one of `SHOWS`: with a person who has not opened for three days, or taken back.
        """
        columns = schema.messages.c
        statement = select(schema.messages).where(columns.tenant == origin.tenant, columns.reference.is_not(None))
        if session["role"] not in ALL_MAIL:
            statement = statement.where(columns.user == session["user"])
        if before is not None:
            statement = statement.where(tuple_(columns.received_at, columns.id) < tuple_(*before))
        statement = self._narrowed(statement, show).order_by(columns.received_at.desc(), columns.id.desc())
        most = LOOKED_AT if show == "unopened" else PAGE
        kept: list[Row] = []
        shown: list[Sent] = []
        last: Place | None = None
        with self._store.reading() as conn:
            rows, changed = self._rows.sift(conn, statement.limit(most + 1))
            whole = len(rows) + len(changed) <= most
            for row in rows[:most]:
                if len(shown) == PAGE:
                    break
                last = row["received_at"], row["id"]
                try:
                    found = self.read(conn, row, people=5 if show != "unopened" else None)
                except Tampered:
                    changed.append(row["id"])
                    continue
                if show == "unopened" and not any(one.live and not one.opened_at for one in found.people):
                    continue
                kept.append(row)
                shown.append(replace(found, people=found.people[:5], more=found.more + len(found.people[5:])))
        if changed:
            self._trail.record(origin, *(alarm(one, "row") for one in changed))
        more = not whole or (bool(rows) and last is not None and rows[-1]["id"] != last[1])
        return self._subjects(origin, session, kept, shown), last if more else None, len(changed)

    def _narrowed(self, statement: Select[Any], show: str) -> Select[Any]:
        """The messages among which a narrowed list looks; who opened what is asked of the log for each."""
        messages, grants = schema.messages.c, schema.grants
        links = select(grants.c.id).where(grants.c.message == messages.id, grants.c.kind == "link")
        if show == "recalled":
            return statement.where(links.where(grants.c.revoked_at.is_not(None)).exists())
        if show == "unopened":
            now = self._clock.now_us()
            live = links.where(grants.c.revoked_at.is_(None), grants.c.expires_at > now).exists()
            return statement.where(messages.received_at < now - UNOPENED_US, live)
        return statement

    def message(self, origin: Origin, session: Session, message_id: str) -> Details:
        """One message with its timeline. Raises NotFound for one this person may not see."""
        with self._store.reading() as conn:
            row = self.own(conn, origin, session, message_id)
            message = self.read(conn, row)
            objects = self._rows.find(
                conn, select(schema.objects).where(schema.objects.c.message == message_id).order_by("position")
            )
            timeline = self._timeline(conn, row, objects)
        try:
            with self._trail.alarmed(origin, message_id), answering():
                meta = self._keys.release_meta(session["handle"], message_id)
        except Denied as denied:
            self._trail.record(origin, refusal(session, Action.META_REFUSED, message_id, denied))
            return Details(message, "", (), timeline)
        self._trail.record(
            origin,
            Happened(
                Action.META_OPENED, message_id, user_of(session), proof=session["proof"],
                receipt=receipt_text(meta["receipt"]),
            ),
        )  # fmt: skip
        subject = subject_of(meta["key"], row)["subject"] if row["meta"] is not None else ""
        files = tuple(details_of(meta["key"], one) for one in objects if one["kind"] in FILES)
        return Details(message, subject, files, timeline)

    def own(self, conn: Connection, origin: Origin, session: Session, message_id: str) -> Row:
        """The message's row if this person may see it. Raises NotFound."""
        row = self._rows.get(conn, schema.messages, message_id)
        if row is None or row["tenant"] != origin.tenant or row["reference"] is None:
            raise NotFound("no such message")
        if row["user"] != session["user"] and session["role"] not in ALL_MAIL:
            raise NotFound("another's message")
        return row

    def _subjects(self, origin: Origin, session: Session, rows: Sequence[Row], shown: list[Sent]) -> list[Sent]:
        """The same list with the subjects this session may read: one call and one transaction for the page."""
        metas = Metas(self._trail, origin)
        asked = [row["id"] for row in rows if row["meta"] is not None]
        metas.ask(self._keys, session, user_of(session), asked, "list")
        subjects = {row["id"]: metas.opened(row["id"], row, subject_of).get("subject", "") for row in rows}
        return [replace(one, subject=subjects[one.id], broken=one.id in metas.broken) for one in shown]

    def read(self, conn: Connection, row: Row, people: int | None = None) -> Sent:
        """The message with the state of each of its people, at most `people` of them."""
        deliveries = self._rows.find(
            conn,
            select(schema.deliveries).where(
                schema.deliveries.c.message == row["id"],
                schema.deliveries.c.treatment.in_(PROTECTED),
            ).order_by(schema.deliveries.c.created_at, schema.deliveries.c.id),
        )  # fmt: skip
        grants = {
            one["id"]: one
            for one in self._rows.find(
                conn, select(schema.grants).where(schema.grants.c.message == row["id"], schema.grants.c.kind == "link")
            )
        }
        found = openings(conn, row["tenant"], row["id"])
        kinds = conn.execute(select(schema.objects.c.kind).where(schema.objects.c.message == row["id"])).scalars().all()
        files = kinds.count("file") or kinds.count("original")
        asked = deliveries if people is None else deliveries[:people]  # the keyholder is asked about each
        shown = [self._recipient(conn, one, grants.get(one["grant"] or ""), found, files) for one in asked]
        return Sent(
            id=row["id"], reference=row["reference"] or "",
            sender=self._directory.open(row["tenant"], "messages", row["id"], row["sender"]),
            received_at=from_us(row["received_at"]),
            expires_at=from_us(row["expires_at"]) if row["expires_at"] else None,
            rule=row["rule"], policy=row["policy"],
            user=row["user"] or "", people=tuple(shown), more=len(deliveries) - len(shown),
        )  # fmt: skip

    def _recipient(
        self, conn: Connection, delivery: Row, grant: Row | None, found: Sequence[Opening], files: int
    ) -> Recipient:
        person = self._rows.get(conn, schema.people, delivery["person"]) if delivery["person"] else None
        address = self._directory.open(person["tenant"], "people", person["id"], person["address"]) if person else ""
        if grant is None:
            return Recipient("", address, State(delivery["state"]), False, None)
        with answering():
            info = self._keys.grant_info(grant["id"])
        theirs = [one for one in found if one.person and one.person == delivery["person"]]
        opened = (theirs[0].at, theirs[0].proof) if theirs else None
        got = sum(one.kind in FILES and one.end == "whole" for one in theirs)
        state = self._state(conn, delivery, grant, info, opened)
        return Recipient(
            grant["id"], address, state, info["state"] == "live", opened[0] if opened else None, got, files
        )

    def _state(
        self, conn: Connection, delivery: Row, grant: Row, info: Mapping[str, Any], opened: tuple[datetime, str] | None
    ) -> State:
        """The one thing to say first: ended ways, then openings, then what the link met, then delivery."""
        ended = info["state"]
        if ended == "revoked":
            at = info.get("revoked_us") or grant["revoked_at"]
            return State("recalled_opened" if opened else "recalled", from_us(int(at)) if at else None)
        if ended == "frozen":
            return State("frozen")
        if ended != "live":
            return State("expired_opened" if opened else "expired", from_us(int(grant["expires_at"])))
        if opened:
            return State("opened", opened[0], opened[1])
        if delivery["state"] != "delivered":
            return State(delivery["state"])
        visits = self._leaves(conn, delivery["tenant"], [grant["id"]], (Action.CODE_ASKED, Action.LINK_VISITED))
        if any(one["action"] == Action.CODE_ASKED for one in visits):
            return State("asked")
        if any(one["reason"] != "scanner-likely" for one in visits):
            return State("visited")
        if delivery["why"] == ODD:
            return State("came_back")
        return State("scanned") if visits else State("delivered")

    def _timeline(self, conn: Connection, row: Row, objects: Sequence[Row]) -> tuple[Step, ...]:
        grants = conn.execute(select(schema.grants.c.id).where(schema.grants.c.message == row["id"])).scalars().all()
        about = [row["id"], *grants, *(one["id"] for one in objects)]
        deliveries = select(schema.deliveries.c.id).where(schema.deliveries.c.message == row["id"])
        about += conn.execute(deliveries).scalars().all()
        addresses: dict[str, str] = {}
        steps = []
        for entry in self._leaves(conn, row["tenant"], about, None):
            who = entry["actor"]["id"] if entry["actor"]["kind"] == "person" else ""
            if who and who not in addresses:
                person = self._rows.get(conn, schema.people, who)
                addresses[who] = self._directory.open(row["tenant"], "people", who, person["address"]) if person else ""
            steps.append(
                Step(entry["action"], from_us(entry["ts"]), entry["outcome"], entry["reason"], entry["proof"],
                     addresses.get(who, ""))
            )  # fmt: skip
        return tuple(steps)

    @staticmethod
    def _leaves(
        conn: Connection, tenant: str, about: Iterable[str], actions: Sequence[Action] | None
    ) -> list[dict[str, Any]]:
        """Entries of the tenant's log about these ids, oldest first."""
        columns = said(conn).c
        statement = select(columns.entry).where(columns.log == tenant, columns.object.in_(list(about)))
        if actions is not None:
            statement = statement.where(columns.action.in_([str(action) for action in actions]))
        ordered = statement.order_by(columns.idx + 0)  # a sum has no index: in the log's order all of it would be read
        return [parse(entry) for entry in conn.execute(ordered.limit(2000)).scalars()]


def user_of(session: Session) -> Actor:
    """The workforce member of a staff session."""
    return Actor("user", session["user"] or "")


def refusal(session: Session, action: Action, what: str, denied: Denied) -> Happened:
    """The event for what the keyholder refused a workforce member."""
    return Happened(action, what, user_of(session), outcome="refused", reason=denied.reason, proof=session["proof"])
