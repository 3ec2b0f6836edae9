"""A recipient's inbox: begun behind a link, opened with a code and a passphrase, read through the same flow as a link.

Promises: the private half is made here, locked before anything counts, and afterwards lives in a request and, under a
key that ends with the session, in the browser's cookie; a passphrase is never kept and never logged; a place to stretch
it is taken before a code is spent, so that nobody loses a code to a full house; who knows an address and has no inbox,
no code or other words hears one and the same. What may open what is the keyholder's decision alone. DESIGN §4 (inbox).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from gateway.accounts.people import People
from gateway.audit.event import Action, Actor, receipt_text
from gateway.clock import Clock, from_us
from gateway.errors import NotFound, Tampered
from gateway.flow.slots import Full, Slots
from gateway.flow.trail import Happened, Origin, Trail
from gateway.flow.visit import Denial, Door
from gateway.share import answering, inbox
from gateway.share.inbox import BoxKey, InboxSession, LockName
from gateway.share.opening import subject_of
from gateway.share.portal import Denied, PortalClient, Session
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row, Rows

NOBODY = "per_nobody"


@dataclass(frozen=True, slots=True)
class Entered:
    """An open inbox: its session, and the private half out of the browser's cookie."""

    session: InboxSession
    private: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Let:
    """Somebody was let in: the handle and the private half, sealed, for two cookies."""

    handle: str
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a person's page says of their inbox. `factor`: whether they have a code app, without which none begins."""

    inbox: str | None
    opens_at: datetime | None
    factor: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """One message of the list. Subject and sender are empty where the keyholder no longer gives them."""

    grant: str
    state: str
    received_at: datetime
    ends_at: datetime
    subject: str = ""
    sender: str = ""
    files: int = 0


class InboxDesk:
    """Everything is handed in. Thread-safe."""

    def __init__(
        self, store: Store, rows: Rows, keys: PortalClient, trail: Trail, people: People, clock: Clock,
        slots: Slots | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._rows = rows
        self._keys = keys
        self._trail = trail
        self._people = people
        self._clock = clock
        self._slots = slots or Slots()

    # begin

    def kept(self, session: Session) -> Kept | Denial:
        """Whether this person keeps an inbox, or may begin one."""
        try:
            with answering():
                found = self._keys.inbox_state(session["handle"])
        except Denied as denied:
            return Denial(denied.reason)
        opens_us = found["opens_us"]
        return Kept(found["inbox"], None if opens_us is None else from_us(opens_us), found["factor"] is True)

    def enrol(self, origin: Origin, door: Door, session: Session, phrase: bytes) -> datetime | Denial:
        """A new inbox behind this passphrase; from when on it opens. An earlier one of the person ends."""
        key, handle = BoxKey.generate(), session["handle"]
        try:
            with self._slots.admitted() as working, answering():
                begun = self._keys.inbox_begin(handle, key.public)
                locked = self._locked(working, origin.tenant, begun, key.private_bytes(), phrase)
                self._store.run(lambda tx: self._begun(tx, origin.tenant, door.person, begun, key.public, locked))
                confirmed = self._keys.inbox_confirm(handle, begun["inbox"])
        except Denied as denied:
            return self._refused(origin, door.person, denied.reason, session["proof"])
        except Full:
            return Denial("busy")
        signature = base64.b64decode(confirmed["signature"])

        def work(tx: Tx) -> None:
            self._ended(tx, origin.tenant, door.person, begun["inbox"])
            self._rows.update(tx, schema.inboxes, begun["inbox"], signature=signature)
            self._trail.append(tx, origin, [_happened(Action.FACTOR_ENROLLED, door.person, session, "inbox")])

        self._store.run(work)
        return from_us(int(confirmed["opens_us"]))

    # open

    def enter(self, origin: Origin, address: str, code: str, phrase: bytes) -> Let | Denial:
        """In with address, code and passphrase. Denial: wrong (whatever was), too-new, too-many, busy.

        Raises Tampered (after its event) when a row or a lock is not as it was written.
        """
        with self._store.reading() as conn:
            person = self._people.find(conn, origin.tenant, address) if "@" in address else None
        try:
            with self._slots.admitted() as working, answering():
                asked = self._keys.inbox_enter(origin.tenant, person or NOBODY, code, origin.network)
                private = self._unlocked(working, origin, asked, phrase)
                if private is None:
                    return self._refused(origin, asked["inbox"], "passphrase", 2)
                box = base64.b64decode(asked["box"])
                answer = BoxKey.from_private(private).open(inbox.ask_context(origin.tenant, asked["inbox"]), box)
                session = self._keys.inbox_open(asked["ask"], answer)
        except Denied as denied:
            return self._refused(origin, person or "", denied.reason, 0)
        except Full:
            return Denial("busy")
        self._trail.record(
            origin, _happened(Action.SESSION_STARTED, asked["inbox"], session, session["method"] + " inbox")
        )
        sealed = inbox.keep(private, base64.b64decode(session["key"]), origin.tenant, asked["inbox"])
        return Let(session["handle"], sealed)

    def entered(self, tenant: str, handle: str, sealed: bytes) -> Entered | None:
        """The open inbox of these two cookies, if it is this tenant's and they belong together."""
        try:
            with answering():
                session = self._keys.inbox_session(handle)
        except Denied:
            return None
        if session["tenant"] != tenant:
            return None
        try:
            key = base64.b64decode(session["key"])
            return Entered(session, inbox.kept(sealed, key, tenant, session["inbox"]))
        except (inbox.WrongSecret, inbox.Tampered):
            return None

    # read

    def listed(self, origin: Origin, entered: Entered) -> tuple[list[Listed], bool] | Denial:
        """The messages of this inbox, newest first, and whether there are more than are shown."""
        session = entered.session
        try:
            with answering():
                found = self._keys.inbox_messages(session["handle"])
                live = [one["message"] for one in found["messages"] if one["state"] == "live"]
                metas = self._keys.release_metas(session["handle"], live) if live else {}
        except Denied as denied:
            return Denial(denied.reason)
        if metas:
            seen = [
                Happened(
                    Action.META_OPENED, message, _person(session), proof=session["proof"],
                    receipt=_receipt(meta),
                )
                for message, meta in metas.items()
            ]  # fmt: skip
            self._trail.record(origin, *seen)
        with self._trail.alarmed(origin, session["inbox"], "row"), self._store.reading() as conn:
            rows = {one["message"]: self._rows.get(conn, schema.messages, one["message"]) for one in found["messages"]}
            files = self._files(conn, list(metas))
        shown = []
        for one in found["messages"]:
            row = rows[one["message"]]
            if row is not None:
                shown.append(self._line(origin, one, row, metas.get(one["message"]), files))
        return shown, bool(found["more"])

    def door(self, origin: Origin, entered: Entered, grant: str) -> Door:
        """A message of this inbox, as a link's door: what reads by link reads by it. Raises NotFound, Tampered."""
        session = entered.session
        with self._trail.alarmed(origin, grant, "row"), self._store.reading() as conn:
            row = self._rows.get(conn, schema.grants, grant)
            message = None if row is None else self._rows.get(conn, schema.messages, row["message"])
        mine = row is not None and (row["tenant"], row["kind"], row["person"], row["inbox"]) == (
            origin.tenant, "inbox", session["person"], session["inbox"],
        )  # fmt: skip
        if row is None or message is None or not mine:
            raise NotFound("no such message in this inbox")
        with self._trail.alarmed(origin, grant, "keyholder"), answering():
            state = self._keys.standing(session["handle"], grant)
        return Door(
            grant=grant, message=row["message"], person=str(session["person"]), secret=entered.private, row=row,
            state=state, doors=frozenset(), tries_left=1, ends_at=from_us(row["expires_at"]),
            reference=message["reference"] or "",
        )  # fmt: skip

    # change and end

    def change(self, origin: Origin, entered: Entered, code: str, phrase: bytes) -> Denial | None:
        """Another passphrase, with a code spent on it; the one before is void."""
        session = entered.session
        try:
            with self._slots.admitted() as working, answering():
                begun = self._keys.inbox_lock_begin(session["handle"], code)
                locked = self._locked(working, origin.tenant, begun, entered.private, phrase)
                self._store.run(lambda tx: self._lock_row(tx, origin.tenant, begun, locked))
                self._keys.inbox_lock_confirm(session["handle"], begun["lock"])
        except Denied as denied:
            return self._refused(origin, session["inbox"], denied.reason, session["proof"])
        except Full:
            return Denial("busy")
        self._trail.record(origin, _happened(Action.FACTOR_ENROLLED, session["inbox"], session, "inbox-passphrase"))
        return None

    def close(self, origin: Origin, entered: Entered) -> None:
        """End it for good: the keyholder destroys the pepper, and with it every lock on the private half."""
        session = entered.session
        with answering():
            self._keys.inbox_close(session["handle"])

        def work(tx: Tx) -> None:
            self._ended(tx, origin.tenant, str(session["person"]), "")
            self._trail.append(tx, origin, [_happened(Action.FACTOR_REMOVED, session["inbox"], session, "inbox")])

        self._store.run(work)

    def sign_out(self, origin: Origin, entered: Entered) -> None:
        """End the session; the cookie's copy opens nothing from now on."""
        with answering():
            self._keys.end_session(entered.session["handle"])
        self._trail.record(origin, _happened(Action.SESSION_ENDED, entered.session["inbox"], entered.session, ""))

    def _unlocked(self, working: Any, origin: Origin, asked: dict[str, str], phrase: bytes) -> bytes | None:
        with self._trail.alarmed(origin, asked["inbox"], "row"), self._store.reading() as conn:
            row = self._rows.get(conn, schema.inbox_locks, asked["lock"])
        if row is None or row["inbox"] != asked["inbox"] or row["tenant"] != origin.tenant:
            return None
        name = LockName(origin.tenant, asked["inbox"], asked["lock"])
        try:
            with working:
                factor = inbox.by_passphrase(phrase)
                return inbox.unlock(bytes(row["locked"]), factor, base64.b64decode(asked["pepper"]), name)
        except inbox.WrongSecret:
            return None
        except inbox.Tampered as error:
            with self._trail.alarmed(origin, asked["inbox"], "lock"):
                raise Tampered("a lock does not hold") from error

    def _locked(self, working: Any, tenant: str, begun: dict[str, str], private: bytes, phrase: bytes) -> bytes:
        name = LockName(tenant, begun["inbox"], begun["lock"])
        with working:
            return inbox.lock(private, inbox.by_passphrase(phrase), base64.b64decode(begun["pepper"]), name)

    def _begun(
        self, tx: Tx, tenant: str, person: str, begun: dict[str, str], public: bytes, locked: bytes
    ) -> None:  # fmt: skip
        """The rows are durable before the keyholder says that they count: a crash in between leaves no inbox at all."""
        self._rows.insert(
            tx, schema.inboxes, id=begun["inbox"], tenant=tenant, person=person, public=public, signature=b"",
            created_at=self._clock.now_us(),
        )  # fmt: skip
        self._lock_row(tx, tenant, begun, locked)

    def _lock_row(self, tx: Tx, tenant: str, begun: dict[str, str], locked: bytes) -> None:
        self._rows.insert(
            tx, schema.inbox_locks, id=begun["lock"], tenant=tenant, inbox=begun["inbox"], kind=inbox.PASSPHRASE,
            locked=locked, created_at=self._clock.now_us(),
        )  # fmt: skip

    def _ended(self, tx: Tx, tenant: str, person: str, but: str) -> None:
        table, now = schema.inboxes, self._clock.now_us()
        statement = select(table).where(table.c.tenant == tenant, table.c.person == person, table.c.closed_at.is_(None))
        for row in self._rows.find(tx.conn, statement):
            if row["id"] != but:
                self._rows.update(tx, table, row["id"], closed_at=now)

    def _files(self, conn: Any, messages: list[str]) -> dict[str, int]:
        columns = schema.objects.c
        statement = (
            select(columns.message, func.count())
            .where(columns.message.in_(messages), columns.kind.in_(("file", "original")))
            .group_by(columns.message)
        )
        return {str(message): int(count) for message, count in conn.execute(statement)} if messages else {}

    def _line(self, origin: Origin, one: Any, row: Row, meta: Any, files: dict[str, int]) -> Listed:
        words: dict[str, str] = {}
        if meta is not None and row["meta"] is not None:
            with self._trail.alarmed(origin, row["id"]):
                words = subject_of(meta["key"], row)
        return Listed(
            one["grant"], one["state"], from_us(row["received_at"]), from_us(int(one["expires_us"])),
            words.get("subject", ""), words.get("from_name") or words.get("from", ""), files.get(row["id"], 0),
        )  # fmt: skip

    def _refused(self, origin: Origin, what: str, reason: str, proof: int) -> Denial:
        self._trail.record(
            origin,
            Happened(
                Action.SESSION_REFUSED, what, Actor("visitor", ""), outcome="refused", reason=f"inbox-{reason}",
                proof=proof,
            ),
        )  # fmt: skip
        return Denial("wrong" if reason == "passphrase" else reason)


def _person(session: Session) -> Actor:
    return Actor("person", session["person"] or "")


def _happened(action: Action, what: str, session: Session, reason: str) -> Happened:
    return Happened(action, what, _person(session), reason=reason, proof=session["proof"])


def _receipt(released: Any) -> str:
    return receipt_text(released["receipt"])
