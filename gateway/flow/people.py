"""Recipients as staff see and keep them: found by exact address, added, changed, imported (PAGES 2.4).

Promises: phone numbers go to the keyholder, which wants the workforce member's fresh code for exactly this list, before
any row here is written; nothing of a number is read back; a search by address leaves an event, and workforce members
see those to whom they wrote, office, officer and administrator everybody. 45 CFR 164.312(a)(1), 164.312(b).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Select, and_, or_, select

from gateway.accounts.people import People
from gateway.accounts.people_list import Entry
from gateway.audit.event import Action, parse, receipt_text
from gateway.audit.log import octets
from gateway.clock import Clock, from_us
from gateway.errors import NotFound, TryLater
from gateway.flow.sent import refusal, user_of
from gateway.flow.trail import Happened, Origin, Trail
from gateway.flow.visit import Denial
from gateway.share import Directory, answering
from gateway.share.portal import Denied, PortalClient, Session
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row, Rows
from gateway.store.waiting import said

KEEPERS = frozenset({"office", "officer", "admin"})
"""Who sees all recipients of the clinic and may change them."""
PAGE = 50


@dataclass(frozen=True, slots=True)
class Person:
    """One recipient."""

    id: str
    address: str = field(repr=False)
    name: str = field(repr=False)
    language: str


@dataclass(frozen=True, slots=True)
class Change:
    """What an import would do with one entry: ``new``, ``changed`` or ``same`` (but for its number)."""

    entry: Entry
    kind: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. `numbers` are known numbers that are others now, `first` first ones of people who have live
    messages: these people and the senders of their messages are told by mail.
    """

    added: int
    changed: int
    numbers: int
    first: int = 0


@dataclass(frozen=True, slots=True)
class Number:
    """That a person's phone number was added or changed, as it was told: `kind` is ``phone`` or ``phone-first``."""

    kind: str
    at: datetime


class PeopleDesk:
    """Behind the People pages. Thread-safe; everything is handed in."""

    def __init__(
        self, store: Store, rows: Rows, keys: PortalClient, trail: Trail, people: People, directory: Directory,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._store = store
        self._rows = rows
        self._keys = keys
        self._trail = trail
        self._people = people
        self._directory = directory
        self._clock = clock

    def listed(self, origin: Origin, session: Session, after: str) -> tuple[list[Person], str]:
        """A page of recipients, the newest first, and the id after which the next page begins (or empty)."""
        table = schema.people
        statement = self._seen(origin, session)
        with self._store.reading() as conn:
            mark = self._rows.get(conn, table, after) if after else None
            if mark is not None and mark["tenant"] == origin.tenant:
                at, id = table.c.created_at, table.c.id
                older = or_(at < mark["created_at"], and_(at == mark["created_at"], id < mark["id"]))
                statement = statement.where(older)
            rows = self._rows.find(
                conn, statement.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(PAGE + 1)
            )
        self._trail.record(
            origin,
            Happened(Action.PERSON_FOUND, origin.tenant, user_of(session), reason="list", proof=session["proof"]),
        )
        found = [self._person(row) for row in rows[:PAGE]]
        return found, found[-1].id if len(rows) > PAGE else ""

    def find(self, origin: Origin, session: Session, address: str) -> Person | None:
        """The recipient with exactly that address, if this workforce member may see them."""
        with self._store.reading() as conn:
            id = self._people.find(conn, origin.tenant, address)
            row = self._own(conn, origin, session, id) if id else None
        outcome = "ok" if row is not None else "refused"
        self._trail.record(
            origin,
            Happened(
                Action.PERSON_FOUND, row["id"] if row is not None else "", user_of(session), outcome=outcome,
                reason="address", proof=session["proof"],
            ),
        )  # fmt: skip
        return self._person(row) if row is not None else None

    def one(self, origin: Origin, session: Session, person: str) -> Person:
        """A recipient by id. Raises NotFound for one that this workforce member may not see."""
        with self._store.reading() as conn:
            row = self._own(conn, origin, session, person)
        if row is None:
            raise NotFound("no such person")
        return self._person(row)

    def numbers(self, origin: Origin, person: str) -> list[Number]:
        """When a number of theirs was added or changed and it was told, the last first; at most five."""
        with self._store.reading() as conn:
            columns = said(conn).c
            statement = (
                select(columns.entry)
                .where(columns.log == origin.tenant, columns.object == person)
                .where(columns.action == str(Action.PERSON_CHANGED))
                .order_by(columns.idx.desc())
                .limit(50)
            )
            entries = [parse(octets(one)) for one in conn.execute(statement).scalars()]
        told = [one for one in entries if one["reason"] in ("phone", "phone-first")]
        return [Number(one["reason"], from_us(one["ts"])) for one in told[:5]]

    def preview(self, origin: Origin, entries: Sequence[Entry]) -> list[Change]:
        """What importing these would do; nothing is written."""
        with self._store.reading() as conn:
            return [Change(one, self._kind(conn, origin.tenant, one)[1]) for one in entries]

    def keep(self, origin: Origin, session: Session, totp: str, entries: Sequence[Entry]) -> Imported | Denial:
        """Add and change them. The keyholder commits the numbers first, behind the code; then rows and events.

        May be repeated: the same list changes nothing more. Raises TryLater.
        """
        with self._store.reading() as conn:
            kinds = [self._kind(conn, origin.tenant, one) for one in entries]
        ids = [known or self._clock.new_id("per") for known, _ in kinds]
        try:
            with answering():
                kept = self._keys.register_people(
                    session["handle"], totp, [(id, one.phone) for id, one in zip(ids, entries, strict=True)]
                )
        except Denied as denied:
            self._trail.record(origin, refusal(session, Action.PERSON_CHANGED, origin.tenant, denied))
            left = denied.data.get("tries_left")
            return Denial(denied.reason, left if isinstance(left, int) else None)
        quoted = receipt_text(kept["receipt"])

        def work(tx: Tx) -> None:
            happened = []
            for id, entry, (known, kind) in zip(ids, entries, kinds, strict=True):
                if self._write(tx, origin.tenant, id, entry, known) != id:
                    # Somebody added the same address since: the number just kept belongs to nobody's row.
                    raise TryLater("added meanwhile")
                action = Action.PERSON_ADDED if known is None else Action.PERSON_CHANGED
                if kind != "same" or entry.phone is not None:
                    happened.append(
                        Happened(action, id, user_of(session), reason=kind, proof=session["proof"], receipt=quoted)
                    )
            self._trail.append(tx, origin, happened)

        self._store.run(work)
        return Imported(
            sum(kind == "new" for _, kind in kinds), sum(kind == "changed" for _, kind in kinds),
            len(kept["changed"]), len(kept["first"]),
        )  # fmt: skip

    def _write(self, tx: Tx, tenant: str, id: str, entry: Entry, known: str | None) -> str:
        if known is None:
            return self._people.add(tx, tenant, entry.address, person=id, name=entry.name, language=entry.language)
        changed: dict[str, object] = {"language": entry.language}
        if entry.name:
            changed["name"] = self._directory.seal(tenant, "people.name", id, entry.name)
        self._rows.update(tx, schema.people, id, **changed)
        return id

    def _kind(self, conn: Connection, tenant: str, entry: Entry) -> tuple[str | None, str]:
        known = self._people.find(conn, tenant, entry.address)
        row = self._rows.get(conn, schema.people, known) if known else None
        if row is None:
            return None, "new"
        person = self._person(row)
        same = person.language == entry.language and entry.name in ("", person.name)
        return known, "same" if same else "changed"

    def _seen(self, origin: Origin, session: Session) -> Select[tuple[object, ...]]:
        """The recipients that this workforce member may see."""
        table, deliveries, messages = schema.people, schema.deliveries, schema.messages
        statement = select(table).where(table.c.tenant == origin.tenant)
        if session["role"] in KEEPERS:
            return statement
        wrote = (
            select(deliveries.c.id)
            .join(messages, messages.c.id == deliveries.c.message)
            .where(deliveries.c.person == table.c.id, messages.c.user == session["user"])
        )
        return statement.where(wrote.exists())

    def _own(self, conn: Connection, origin: Origin, session: Session, person: str) -> Row | None:
        found = self._rows.find(conn, self._seen(origin, session).where(schema.people.c.id == person))
        return found[0] if found else None

    def _person(self, row: Row) -> Person:
        name = ""
        if row["name"] is not None:
            name = self._directory.open(row["tenant"], "people.name", row["id"], row["name"])
        return Person(row["id"], self._people.address(row), name, row["language"])
