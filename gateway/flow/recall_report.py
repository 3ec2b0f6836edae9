"""What taking a message back stopped, and what it could not: exact files, bytes, person, proof and time (story 12).

Promises: every line comes from the tenant's log; what the log does not know (a crash between the two logs) is said as
unknown, never left out; file names are opened by the keyholder's word, recorded. 45 CFR 164.528.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from gateway.audit.event import Action, receipt_text
from gateway.clock import from_us
from gateway.errors import TryLater
from gateway.flow.openings import openings
from gateway.flow.sent import Sent, SentMail, refusal, user_of
from gateway.flow.trail import Happened, Origin, Trail
from gateway.share import Directory, answering
from gateway.share.opening import details_of
from gateway.share.portal import Denied, PortalClient, Session
from gateway.store import schema
from gateway.store.database import Store
from gateway.store.rows import Rows


@dataclass(frozen=True, slots=True)
class Stopped:
    """One person's link that stopped, and when."""

    address: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Left:
    """One thing that had gone out: to whom, what, how much of it and after which proof.

    `name` is empty for the text of the message (`kind` body) and its subject. `end` as in `openings.Opening`.
    """

    address: str
    kind: str
    name: str
    bytes: int
    at: datetime
    proof: str
    end: str


@dataclass(frozen=True, slots=True)
class RecallReport:
    """For the page after a recall, and for later."""

    message: Sent
    stopped: tuple[Stopped, ...]
    left: tuple[Left, ...]

    @property
    def cut(self) -> tuple[Left, ...]:
        """Downloads that were under way and were ended by taking the message back."""
        return tuple(one for one in self.left if one.end in ("stopped", "running"))

    @property
    def bytes(self) -> int:
        """Everything that left, over all people and files."""
        return sum(one.bytes for one in self.left)


class RecallReports:
    """Reads such reports. Thread-safe."""

    def __init__(
        self, store: Store, rows: Rows, keys: PortalClient, trail: Trail, directory: Directory, mail: SentMail
    ) -> None:
        self._store = store
        self._rows = rows
        self._keys = keys
        self._trail = trail
        self._directory = directory
        self._mail = mail

    def of(self, origin: Origin, session: Session, message_id: str) -> RecallReport:
        """Raises NotFound for a message that this person may not see."""
        with self._store.reading() as conn:
            row = self._mail.own(conn, origin, session, message_id)
            message = self._mail.read(conn, row)
            found = openings(conn, row["tenant"], message_id)
            objects = self._rows.find(conn, select(schema.objects).where(schema.objects.c.message == message_id))
            links = select(schema.grants).where(schema.grants.c.message == message_id, schema.grants.c.kind == "link")
            grants = self._rows.find(conn, links.order_by(schema.grants.c.id))
            people = {
                person: self._rows.get(conn, schema.people, person)
                for person in {*(one.person for one in found), *(str(one["person"]) for one in grants)}
                if person
            }
        addresses = {
            person: self._directory.open(row["tenant"], "people", person, known["address"])
            for person, known in people.items()
            if known is not None
        }
        names: dict[str, str] = {}
        if any(one.kind in ("file", "original") for one in found):
            key = self._meta(origin, session, message_id)
            if key:
                names = {
                    one["id"]: details_of(key, one)["name"] for one in objects if one["kind"] in ("file", "original")
                }
        left = [
            Left(
                addresses.get(one.person, ""), one.kind, names.get(one.object, ""), one.bytes, one.at, one.proof,
                one.end,
            )
            for one in found
        ]  # fmt: skip
        stopped = [
            Stopped(addresses.get(str(one["person"]), ""), from_us(one["revoked_at"]))
            for one in grants
            if one["revoked_at"] is not None
        ]
        return RecallReport(message, tuple(stopped), tuple(left))

    def _meta(self, origin: Origin, session: Session, message_id: str) -> str:
        """The key of the file names; empty when the keyholder refuses it to this person, and while nothing can be
        recorded (a full disk): the report is then without names, for a recall must be answered all the same.
        """
        try:
            with self._trail.alarmed(origin, message_id), answering():
                meta = self._keys.release_meta(session["handle"], message_id)
        except Denied as denied:
            self._trail.record(origin, refusal(session, Action.META_REFUSED, message_id, denied))
            return ""
        except TryLater:
            return ""
        happened = Happened(
            Action.META_OPENED, message_id, user_of(session), reason="recall-report", proof=session["proof"],
            receipt=receipt_text(meta["receipt"]),
        )  # fmt: skip
        try:
            self._trail.record(origin, happened)
        except TryLater:
            return ""
        return str(meta["key"])
