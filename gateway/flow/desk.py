"""What staff do: sign in, take mail back, help one person in.

Promises: recall is committed at the keyholder first and the transaction quotes its receipt (DESIGN §4a), then running
downloads end; a code for a person is shown once on a page and nowhere else; an unknown address costs a sign-in the same
work and gets the same answer. 45 CFR 164.312(a)(1), 164.312(d).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import select

from gateway.accounts.users import Users
from gateway.audit.event import Action, Actor, receipt_text
from gateway.clock import Clock, from_us
from gateway.errors import NotFound, Refused
from gateway.flow.running import Running
from gateway.flow.sent import Recipient, Sent, SentMail, refusal, user_of
from gateway.flow.trail import Happened, Origin, Trail
from gateway.flow.visit import Denial
from gateway.flow.ways import Answer
from gateway.share import answering
from gateway.share.portal import Denied, PortalClient, Session
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Rows

MAY_RECALL_ALL = frozenset({"office", "officer"})
HOW_SURE = ("called", "here", "questions")


class StaffDesk:
    """The acts behind the staff pages. Thread-safe; everything is handed in."""

    def __init__(
        self, store: Store, rows: Rows, keys: PortalClient, trail: Trail, users: Users, mail: SentMail, clock: Clock,
        running: Running,
    ) -> None:  # fmt: skip
        self._store = store
        self._rows = rows
        self._keys = keys
        self._trail = trail
        self._users = users
        self._mail = mail
        self._clock = clock
        self._running = running

    def sign_in(
        self, origin: Origin, address: str, password: str, code: str, passkey: Answer | None = None
    ) -> Session | Denial:
        """Password and TOTP, or passkey, at once; an unknown address does the same work and gets the same answer."""
        with self._store.reading() as conn:
            row = self._users.find(conn, origin.tenant, address)
        user = str(row["id"]) if row is not None else self._users.nobody(origin.tenant, address)
        try:
            with answering():
                if passkey is None:
                    session = self._keys.staff_login(origin.tenant, user, password, code, origin.network)
                else:
                    session = self._keys.staff_passkey_login(
                        origin.tenant, user, password, origin.network, origin.visitor, passkey.ticket, passkey.said
                    )
        except Denied as denied:
            self._trail.record(
                origin,
                Happened(
                    Action.SESSION_REFUSED, user if row is not None else "", Actor("visitor", ""), outcome="refused",
                    reason=denied.reason,
                ),
            )  # fmt: skip
            return Denial(denied.reason)
        self._trail.record(
            origin,
            Happened(Action.SESSION_STARTED, user, user_of(session), reason=session["method"], proof=session["proof"]),
        )
        return session

    def session(self, tenant: str, handle: str) -> Session | None:
        """The live staff session of this handle in this tenant."""
        try:
            with answering():
                session = self._keys.session(handle)
        except Denied:
            return None
        if session["tenant"] != tenant:
            return None
        if session["scope"] != "staff":
            return None
        return session

    def sign_out(self, origin: Origin, session: Session) -> None:
        """End the session at the keyholder."""
        with answering():
            self._keys.end_session(session["handle"])
        self._trail.record(
            origin, Happened(Action.SESSION_ENDED, session["user"] or "", user_of(session), proof=session["proof"])
        )

    def missed(self, origin: Origin, session: Session, what: str, reason: str) -> None:
        """Record that somebody with a session asked for an id that is not there for them, or may not do that to it."""
        if session["user"]:
            happened = Happened(
                Action.META_REFUSED, what, user_of(session), outcome="refused", reason=reason, proof=session["proof"]
            )
        else:
            actor = Actor("person", session["person"] or "")
            happened = Happened(
                Action.OBJECT_REFUSED, what, actor, outcome="refused", reason=reason, proof=session["proof"]
            )
        self._trail.record(origin, happened)

    # recall

    def recallable(self, origin: Origin, session: Session, message_id: str, grant: str | None) -> Sent:
        """The message, with its people, if this person may take it back. Raises NotFound, Refused."""
        with self._store.reading() as conn:
            row = self._mail.own(conn, origin, session, message_id)
            if row["user"] != session["user"] and session["role"] not in MAY_RECALL_ALL:
                raise Refused("not this person's mail")
            message = self._mail.read(conn, row)
        if grant is not None and all(person.grant != grant for person in message.people):
            raise NotFound("no such grant in this message")
        return message

    def recall(self, origin: Origin, session: Session, message_id: str, grant: str | None) -> Denial | None:
        """Revoke one grant or all. The keyholder commits first; then rows and event, which quote its receipt."""
        message = self.recallable(origin, session, message_id, grant)
        grants = [person.grant for person in message.people if person.grant and grant in (None, person.grant)]
        try:
            with answering():
                receipt = self._keys.narrow(session["handle"], message_id, grant, {"revoke": True}, origin.request)
        except Denied as denied:
            self._trail.record(origin, refusal(session, Action.LINK_REVOKED, grant or message_id, denied))
            return Denial(denied.reason)
        for one in grants:
            self._running.cut(one)
        quoted = receipt_text(receipt)

        def work(tx: Tx) -> None:
            happened = [Happened(Action.LINK_REVOKED, one, user_of(session), receipt=quoted) for one in grants]
            if grant is None:
                happened.append(Happened(Action.MESSAGE_RECALLED, message_id, user_of(session), receipt=quoted))
            for one in grants:
                self._rows.update(tx, schema.grants, one, revoked_at=self._clock.now_us())
            self._trail.append(tx, origin, [replace(one, proof=session["proof"]) for one in happened])

        self._store.run(work)
        return None

    # help this person

    def by_reference(self, origin: Origin, session: Session, reference: str) -> list[Recipient]:
        """The people of the live messages with that six-digit number, each an event of the search before it is shown.

        The number is no secret, and it is short: who tries many of them reads other people's addresses.
        """
        digits = "".join(filter(str.isdigit, reference))
        if len(digits) != 6:
            return []
        columns = schema.messages.c
        statement = select(schema.messages).where(columns.tenant == origin.tenant, columns.reference == digits)
        with self._store.reading() as conn:
            found = [self._mail.read(conn, row) for row in self._rows.find(conn, statement)]
        people = [
            person
            for message in found
            for person in message.people
            if person.grant and (person.live or person.state.kind == "frozen")
        ]
        if people:
            happened = [
                Happened(
                    Action.PERSON_FOUND, person.grant, user_of(session), reason="reference", proof=session["proof"]
                )
                for person in people
            ]
            self._trail.record(origin, *happened)
        return people

    def person(self, origin: Origin, grant: str) -> Recipient:
        """One person by grant, for any signed-in staff member. Raises NotFound."""
        with self._store.reading() as conn:
            row = self._rows.get(conn, schema.grants, grant)
            if row is None or row["tenant"] != origin.tenant or row["kind"] != "link":
                raise NotFound("no such grant")
            message = self._rows.get(conn, schema.messages, row["message"])
            if message is None:
                raise NotFound("no such message")
            found = self._mail.read(conn, message)
        return next(person for person in found.people if person.grant == grant)

    def staff_code(self, origin: Origin, session: Session, grant: str, how_sure: str) -> tuple[str, datetime] | Denial:
        """An eight-digit code to read out, and until when it works."""
        self.person(origin, grant)
        try:
            with answering():
                made = self._keys.staff_code(session["handle"], grant, how_sure)
        except Denied as denied:
            self._trail.record(origin, refusal(session, Action.CODE_SHOWN, grant, denied))
            return Denial(denied.reason)
        self._trail.record(
            origin, Happened(Action.CODE_SHOWN, grant, user_of(session), reason=how_sure, proof=session["proof"])
        )
        return str(made["code"]), from_us(int(made["expires_us"]))

    def print_card(self, origin: Origin, session: Session, person: str, how_sure: str) -> tuple[str, datetime] | Denial:
        """A card's twelve letters for a person, shown once to be printed, and until when they work."""
        try:
            with answering():
                made = self._keys.print_card(session["handle"], person, how_sure)
        except Denied as denied:
            self._trail.record(origin, refusal(session, Action.CARD_PRINTED, person, denied))
            return Denial(denied.reason)
        self._trail.record(
            origin, Happened(Action.CARD_PRINTED, person, user_of(session), reason=how_sure, proof=session["proof"])
        )
        return str(made["code"]), from_us(int(made["expires_us"]))

    def person_of(self, origin: Origin, grant: str) -> str:
        """Whose link that is, for any signed-in staff member. Raises NotFound."""
        with self._store.reading() as conn:
            row = self._rows.get(conn, schema.grants, grant)
        if row is None or row["tenant"] != origin.tenant or row["kind"] != "link" or not row["person"]:
            raise NotFound("no such grant")
        return str(row["person"])

    def unfreeze(self, origin: Origin, session: Session, grant: str, how_sure: str) -> Denial | None:
        """Free a message that a second redeemer froze."""
        self.person(origin, grant)
        try:
            with answering():
                receipt = self._keys.unfreeze(session["handle"], grant)
        except Denied as denied:
            self._trail.record(origin, refusal(session, Action.LINK_UNFROZEN, grant, denied))
            return Denial(denied.reason)
        self._trail.record(
            origin,
            Happened(
                Action.LINK_UNFROZEN, grant, user_of(session), reason=how_sure, proof=session["proof"],
                receipt=receipt_text(receipt),
            ),
        )  # fmt: skip
        return None
