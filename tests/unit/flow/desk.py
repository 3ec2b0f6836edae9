"""The flow with what senders hear plugged in, and a keyholder simulator that knows grants and changed numbers."""

from __future__ import annotations

import base64
import email
import email.policy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from sqlalchemy import select

from gateway import words
from gateway.actions.copies import Copies
from gateway.actions.tenants import TenantView
from gateway.audit.event import Action, Actor, Event, parse
from gateway.flow import threads
from gateway.flow.answers import Answers
from gateway.flow.audience import Audience
from gateway.flow.digest import Digest
from gateway.flow.outbound import Outbound as Flow
from gateway.flow.posting import Poster
from gateway.flow.reminders import Reminders
from gateway.flow.tellings import Tellings
from gateway.spool.envelope import Identity
from gateway.store import schema
from gateway.store.rows import Row
from keys.errors import Denied
from tests.support.flow import PHI, Keyholder, World
from tests.support.spool import NODE, TENANT

TUESDAY = datetime(2030, 1, 8, 15, 0, tzinfo=UTC)
"""A Tuesday, 3 pm at the clinic: two working hours are left of it."""
PATIENT, NURSE = "maria@mail.example", "amy@clinic.test"


@dataclass
class DeskKeyholder(Keyholder):
    """Grants live until they are revoked or their time is over; what was asked of it is kept."""

    now_us: Any = None
    revoked: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)
    destroyed: list[str] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    narrowed: list[tuple[str, str, str]] = field(default_factory=list)

    def grant_state(self, tenant: str, grants: list[str]) -> dict[str, dict[str, Any]]:
        known = {one.id: made for made in self.deposits for one in made.grants}
        states = {}
        for name in grants:
            state = "expired" if self.now_us() >= known[name].expires_us else "live"
            state = "frozen" if name in self.frozen else state
            states[name] = {"state": "revoked" if name in self.revoked else state}
        return states

    def narrow(
        self, tenant: str, message: str, grant: str | None, change: dict[str, Any], actor: str, request: str
    ) -> dict[str, Any]:
        assert (grant, change) == (None, {"revoke": True})
        self.narrowed.append((message, actor, request))
        self.revoked |= {one.id for made in self.deposits if made.message == message for one in made.grants}
        return self._receipt()

    def destroy_message(self, tenant: str, message: str) -> dict[str, Any]:
        if self.trouble is not None:
            raise self.trouble
        self.destroyed.append(message)
        return {"receipt": self._receipt()}  # a repetition is answered with the first one's

    def take_changes(self, limit: int) -> list[dict[str, Any]]:
        return self.changes[:limit]

    def change_done(self, id: str) -> None:
        self.changes = [one for one in self.changes if one["id"] != id]

    def _receipt(self) -> dict[str, Any]:
        if self.trouble is not None:
            raise Denied("no")
        return {"log": "elm/keyholder", "index": 7, "leaf_hash": base64.b64encode(b"\1" * 32).decode()}


class Desk(World):
    """One clinic on a Tuesday afternoon."""

    def __init__(self, directory: Path, audience: Audience | None = None) -> None:
        super().__init__(directory)
        self.clock.move_to(TUESDAY)
        self.held_by = DeskKeyholder(now_us=self.clock.now_us)
        self.keyholder = self.held_by
        self.treatment._keyholder = self.held_by  # type: ignore[assignment]
        self.audience = audience or Audience()
        english = words.language("en")

        def thread(view: TenantView, about: str, to: str) -> str:
            return threads.message_id(self.directory, view.id, view.host, about, to)

        self.copies = Copies(
            self.copies_writer, self.clock, english, self.tenant, lambda tenant: "", NODE, thread,
            lambda view, sender: self.audience.of(view, sender) or sender,
        )  # fmt: skip
        self.treatment._copies = self.copies
        self.returner._copies = self.copies
        poster = Poster(self.copies, self.records, self.deliverer, self.clock, english, lambda tenant: "")
        keyholder: Any = self.held_by
        common = (self.store, self.records, keyholder, poster, self.audience)
        self.reminders = Reminders(*common, lambda: [self.view], self.clock)
        self.digest = Digest(*common, lambda: [self.view], self.clock, english)
        self.renewed: list[bool] = []
        self.tellings = Tellings(*common, self.tenant, self.clock, lambda: self.renewed.append(True))
        self.answers = Answers(*common, self.clock, english)
        self.flow = self.desk_flow()

    def desk_flow(self) -> Flow:
        flow = self.new_flow()
        flow._answers = self.answers
        return flow

    def send(self, *recipients: str, subject: str = "Results", sender: str = NURSE, extra: str = "") -> Row:
        """A protected message, handed on."""
        head = f"From: {sender}\r\nSubject: {subject}\r\nMessage-ID: <first@clinic.test>\r\n{extra}".encode()
        before = len(self.messages())
        self.flow.process(self.spool(PHI, *(recipients or (PATIENT,)), head=head, sender=sender))
        self.deliver()
        self.smarthost.attempts.clear()
        return self.messages()[before]

    def messages(self) -> list[Row]:
        """What was protected, oldest first."""
        with self.store.reading() as conn:
            table = schema.messages
            return self.rows.find(
                conn, select(table).where(table.c.reference.is_not(None)).order_by(table.c.created_at, table.c.id)
            )

    def grants(self, message: Row) -> list[Row]:
        with self.store.reading() as conn:
            return self.rows.find(conn, select(schema.grants).where(schema.grants.c.message == message["id"]))

    def open(self, message: Row, sent_bytes: int = 5000, end: Action = Action.OBJECT_COMPLETED) -> None:
        """Its first recipient opens it, after a text code."""
        with self.store.reading() as conn:
            (thing, *_) = self.rows.find(conn, select(schema.objects).where(schema.objects.c.message == message["id"]))
        person = Actor("person", self.grants(message)[0]["person"])
        opened = Event(Action.OBJECT_OPENED, TENANT, thing["id"], person, reason="text", proof=2)
        ended = Event(end, TENANT, thing["id"], person, proof=2, bytes=sent_bytes)
        self.store.run(lambda tx: (self.audit.append(tx, opened), self.audit.append(tx, ended)))

    def ahead(self, **span: float) -> None:
        self.clock.move_to(self.clock.now() + timedelta(**span))

    def told(self) -> list[EmailMessage]:
        """Run every duty as the clock stands, deliver, and take what was sent."""
        self.reminders()
        self.digest()
        self.tellings()
        self.deliver()
        found = [email.message_from_bytes(data, policy=email.policy.SMTP) for _, data in self.smarthost.attempts]
        self.smarthost.attempts.clear()
        return found  # type: ignore[return-value]

    def answer(
        self, notice: EmailMessage, text: str = "RECALL", subject: str = "", sender: str = NURSE,
        identity: Identity | None = None, *recipients: str,
    ) -> list[EmailMessage]:  # fmt: skip
        """The sender answers one of our mails; what goes out because of it."""
        head = (
            f"From: {sender}\r\nTo: postmaster@mail.clinic.test\r\nSubject: {subject or 'Re: ' + notice['Subject']}\r\n"
            f"In-Reply-To: {notice['Message-ID']}\r\nMessage-ID: <answer-{self.clock.new_id('x')}@clinic.test>\r\n"
        )
        entry = self.spool(
            text.encode() + b"\r\n\r\n> quoted\r\nPatient Maria Oyelaran, MRN 00482915\r\n",
            *(recipients or ("postmaster@mail.clinic.test",)), head=head.encode(), sender=sender,
        )  # fmt: skip
        self.flow.process(entry)
        self.incoming.look()
        self.left = self.incoming.entry(entry.id) is not None
        self.deliver()
        found = [email.message_from_bytes(data, policy=email.policy.SMTP) for _, data in self.smarthost.attempts]
        self.smarthost.attempts.clear()
        return found  # type: ignore[return-value]

    def entries(self, action: str) -> list[dict[str, Any]]:
        with self.store.reading() as conn:
            found = [parse(one) for one in self.audit.entries(conn, TENANT, 0, self.audit.size(conn, TENANT))]
        return [one for one in found if one["action"] == action]


def plain(mail: EmailMessage) -> str:
    """The text part as one line."""
    part = mail.get_body(("plain",))
    assert part is not None
    return " ".join(str(part.get_content()).split())
