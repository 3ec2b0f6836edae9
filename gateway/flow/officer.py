"""What officers and auditors look up: searches, the story of a message or a person, one entry with its proof.

Promises: every look into the log is itself an entry, committed before anything is shown; what was typed is kept sealed
beside it and may be erased, the entry says only which qualifiers were used; nothing here changes anything.
Clauses: 45 CFR 164.312(b), 164.308(a)(1)(ii)(D), 164.528; RFC 6962 2.1.1.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from sqlalchemy import Connection, func, select

from gateway.accounts.users import Users
from gateway.audit.event import Action, receipt_text
from gateway.audit.log import hashes
from gateway.audit.query import keys_of, parse_query
from gateway.audit.search import Found, Lookup, Page, entry_at, of_message, of_person, page
from gateway.audit.sequencer import latest_note
from gateway.clock import Clock, from_us, to_us
from gateway.errors import NotFound
from gateway.flow.officer_names import Line, Names
from gateway.flow.sent import FILES, refusal, user_of
from gateway.flow.trail import Happened, Origin, Trail
from gateway.share import Directory, answering
from gateway.share.opening import details_of, subject_of
from gateway.share.portal import Denied, PortalClient, Session
from gateway.store import schema, waiting
from gateway.store.database import Store, Tx
from gateway.store.rows import Row, Rows
from keys.encoding import parse_canonical
from keys.merkle import inclusion_proof, leaf_hash
from keys.notes import parse_checkpoint

PAGE = 50
TIMELINE = 200
COUNTED = ("message:accepted", "message:secured", "object:opened", "message:held", "message:recalled", "link:refused")
DAYS = 30


@dataclass(frozen=True, slots=True)
class Lines:
    """A page of entries; `older` is where the next begins, `waiting` how many entries of the log have no number yet."""

    lines: tuple[Line, ...]
    older: int | None
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Why:
    """Why a message was treated as it was: kinds and places, never values."""

    rule: str
    policy: str
    found: tuple[tuple[str, str, int], ...]
    unread: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Story:
    """A message with its timeline, oldest first."""

    id: str
    reference: str
    state: str
    sender: str = field(repr=False)
    subject: str = field(repr=False)
    files: tuple[Mapping[str, Any], ...] = field(repr=False)
    received_at: datetime
    expires_at: datetime | None
    why: Why
    parent: str
    lines: Lines


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry with what proves that it stands in the log: hashes in base64, the proof from the leaf upwards.

    `size` is that of the signed checkpoint `note`; 0 while the entry is younger than every signed one.
    """

    index: int
    raw: str
    leaf: str
    proof: tuple[str, ...]
    size: int
    note: str


class Officer:
    """Reads for the officer's pages. Thread-safe; everything is handed in."""

    def __init__(
        self, store: Store, rows: Rows, keys: PortalClient, trail: Trail, directory: Directory, users: Users,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._store = store
        self._rows = rows
        self._keys = keys
        self._trail = trail
        self._directory = directory
        self._clock = clock
        self.lookup: Lookup = AddressBook(store, directory, users)

    def counts(self, tenant: str) -> dict[str, int]:
        """How often each of `COUNTED` happened in the last `DAYS` days: numbers, for whoever may see no more."""
        columns = schema.log_leaves.c
        since = to_us(self._clock.now() - timedelta(days=DAYS))
        statement = (
            select(columns.action, func.count())
            .where(columns.log == tenant, columns.ts >= since, columns.action.in_(COUNTED), columns.outcome != "failed")
            .group_by(columns.action)
        )
        with self._store.reading() as conn:
            found = {str(action): int(count) for action, count in conn.execute(statement)}
        return {action: found.get(action, 0) for action in COUNTED}

    def search(
        self, origin: Origin, session: Session, text: str, before: int | None, count: int = PAGE, *, zone: tzinfo = UTC
    ) -> Lines:
        """A page of what fits; its days are those of `zone`. Raises BadQuery before anything is recorded."""
        terms = parse_query(text)

        def work(tx: Tx) -> None:
            note = self._trail.note(tx, origin.tenant, text) if text.strip() else origin.tenant
            happened = Happened(
                Action.LOG_SEARCHED, note, user_of(session), reason=keys_of(terms), proof=session["proof"]
            )
            self._trail.append(tx, origin, [happened])

        self._store.run(work)
        with self._store.reading(log=origin.tenant) as conn:
            found = page(conn, origin.tenant, terms, before=before, count=count, lookup=self.lookup, zone=zone)
            return self._lines(conn, origin.tenant, found)

    def message(self, origin: Origin, session: Session, message: str, before: int | None) -> Story:
        """A message of any state with its timeline. Raises NotFound."""
        with self._store.reading() as conn:
            row = self._rows.get(conn, schema.messages, message)
            if row is None or row["tenant"] != origin.tenant:
                raise NotFound("no such message")
            objects = self._rows.find(
                conn, select(schema.objects).where(schema.objects.c.message == message).order_by("position")
            )
        self._looked(origin, session, message)
        subject, files = self._meta(origin, session, row, objects)
        names = {one["id"]: str(one["name"]) for one in files}
        with self._store.reading(log=origin.tenant) as conn:
            found = page(conn, origin.tenant, (), before=before, count=TIMELINE, about=of_message(message))
            lines = self._lines(conn, origin.tenant, found, names)
        return Story(
            id=message, reference=row["reference"] or "", state=row["state"],
            sender=self._directory.open(row["tenant"], "messages", message, row["sender"]), subject=subject,
            files=files, received_at=from_us(row["received_at"]),
            expires_at=from_us(row["expires_at"]) if row["expires_at"] else None, why=why_of(row),
            parent=row["parent"] or "", lines=replace(lines, lines=lines.lines[::-1]),
        )  # fmt: skip

    def person(self, origin: Origin, session: Session, person: str, before: int | None) -> tuple[str, Lines]:
        """A person's address, and what they did and were sent, oldest first. Raises NotFound."""
        with self._store.reading() as conn:
            row = self._rows.get(conn, schema.people, person)
        if row is None or row["tenant"] != origin.tenant:
            raise NotFound("no such person")
        self._looked(origin, session, person)
        with self._store.reading(log=origin.tenant) as conn:
            about = of_person(origin.tenant, person)
            lines = self._lines(
                conn, origin.tenant, page(conn, origin.tenant, (), before=before, count=TIMELINE, about=about)
            )
        address = self._directory.open(row["tenant"], "people", person, row["address"])
        return address, replace(lines, lines=lines.lines[::-1])

    def entry(self, origin: Origin, session: Session, index: int) -> Entry:
        """One entry, its hash, and the proof that the latest signed checkpoint holds it. Raises NotFound."""
        with self._store.reading() as conn:
            found = entry_at(conn, origin.tenant, index)
        if found is None:
            raise NotFound("no such entry")
        self._looked(origin, session, origin.tenant, f"entry {index}")
        raw = found[1]
        with self._store.reading() as conn:
            note = latest_note(conn, origin.tenant)
            size = parse_checkpoint(note.rpartition("\n\n")[0] + "\n").size if note else 0
            proof = inclusion_proof(index, size, hashes(conn, origin.tenant)) if index < size else []
        return Entry(
            index, raw.decode("ascii"), base64.b64encode(leaf_hash(raw)).decode(),
            tuple(base64.b64encode(one).decode() for one in proof), size if index < size else 0, note or "",
        )  # fmt: skip

    def _lines(self, conn: Connection, tenant: str, found: Page, files: Mapping[str, str] | None = None) -> Lines:
        names = Names(conn, self._rows, self._directory, files)
        return Lines(tuple(names.line(one) for one in found.found), found.older, waiting.count(conn, tenant))

    def _looked(self, origin: Origin, session: Session, what: str, reason: str = "timeline") -> None:
        self._trail.record(
            origin, Happened(Action.LOG_SEARCHED, what, user_of(session), reason=reason, proof=session["proof"])
        )

    def _meta(
        self, origin: Origin, session: Session, row: Row, objects: list[Row]
    ) -> tuple[str, tuple[dict[str, Any], ...]]:
        """Subject and files, as far as the keyholder lets this session see them."""
        if row["meta"] is None:
            return "", ()
        try:
            with self._trail.alarmed(origin, row["id"]), answering():
                meta = self._keys.release_meta(session["handle"], row["id"])
        except Denied as denied:
            self._trail.record(origin, refusal(session, Action.META_REFUSED, row["id"], denied))
            return "", ()
        self._trail.record(
            origin,
            Happened(
                Action.META_OPENED, row["id"], user_of(session), proof=session["proof"],
                receipt=receipt_text(meta["receipt"]),
            ),
        )  # fmt: skip
        files = tuple(details_of(meta["key"], one) | {"id": one["id"]} for one in objects if one["kind"] in FILES)
        return subject_of(meta["key"], row)["subject"], files


class AddressBook:
    """Finds people and users for a search; `gateway.audit.search.Lookup`."""

    def __init__(self, store: Store, directory: Directory, users: Users) -> None:
        self._store = store
        self._directory = directory
        self._users = users

    def index(self, tenant: str, address: str) -> bytes:
        """The keyed index of an address, or of "@" and a domain."""
        return self._directory.index(tenant, address)

    def users(self, tenant: str, name: str) -> list[str]:
        """Workforce members by the first part of their address: a tenant has few, so each row is opened."""
        with self._store.reading() as conn:
            rows = self._users.all(conn, tenant)
        return [row["id"] for row in rows if self._users.address(row).partition("@")[0].lower() == name.lower()]


def why_of(row: Row) -> Why:
    """Kinds and places of a message row."""
    found = parse_canonical(row["findings"].encode())
    return Why(
        row["rule"], row["policy"], tuple((kind, place, count) for kind, place, count in found.get("found", ())),
        tuple((place, reason) for place, reason in found.get("unread", ())),
    )  # fmt: skip


__all__ = ["COUNTED", "DAYS", "Entry", "Found", "Lines", "Officer", "Story", "Why", "why_of"]
