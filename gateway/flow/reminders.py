"""What goes by the clock: urgent mail unopened, a reminder, the coming end, the end (DESIGN §3b).

Promises: each is sent exactly once, for how far it has come is written in the transaction that names the mail, and
survives restarts; nobody is told about a message that was opened, taken back or bounced; at the end the keyholder
destroys the share before anybody hears that it was destroyed, and `message:expired` quotes its receipt. The hours are
those of `gateway.flow.hours`: holidays are not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from gateway.actions.tenants import TenantView
from gateway.audit.event import GATEWAY, Action, Event, receipt_text
from gateway.clock import Clock, from_us, to_us
from gateway.errors import GatewayError, Tampered
from gateway.flow import openings
from gateway.flow.audience import Audience
from gateway.flow.hours import after_hours
from gateway.flow.posting import Posted, Poster
from gateway.flow.records import Records
from gateway.logs import Log
from gateway.share import answering
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row
from keys.client import WorkerClient
from keys.errors import Denied

log = Log("gateway.reminders")
URGENT_HOURS = timedelta(hours=4)
WEEK = timedelta(days=7)
SHORT = timedelta(days=8)
"""A message that lives no longer than this after its reminder or before its end gets no second one."""
KINDS = ("urgent", "reminder", "ending", "ended")
BATCH = 200


class Raced(GatewayError):
    """Another process told them first. Nothing is to be done."""


@dataclass(frozen=True, slots=True)
class Unopened:
    """Somebody whose copy was handed on and who has not opened it."""

    person: str
    grant: str
    address: str


class Waiting:
    """Who has not opened a message, asked of the log and of the keyholder."""

    def __init__(self, store: Store, records: Records, keyholder: WorkerClient) -> None:
        self._store = store
        self._records = records
        self._keyholder = keyholder

    def of(self, message: Row, states: frozenset[str] = frozenset({"live", "frozen"})) -> tuple[Unopened, ...]:
        """The people of a message whose link is in one of these states, unopened. Raises TryLater, Tampered.

        Whoever's own row was changed by somebody else is left out and alarmed; the others are found all the same.
        """
        table = schema.deliveries
        with self._store.reading() as conn:
            found_rows, changed = self._records.rows.sift(conn, select(table).where(table.c.message == message["id"]))
            deliveries = [one for one in found_rows if one["grant"] and one["person"] and one["state"] == "delivered"]
            opened = openings.people(openings.openings(conn, message["tenant"], message["id"]))
            left = [one for one in deliveries if one["person"] not in opened]
            people = {one["person"]: self._person(conn, one["person"]) for one in left}
        if changed:
            log.error("reminders:row-tampered", message=message["id"], count=len(changed))
        if not left:
            return ()
        with answering():
            known = self._keyholder.grant_state(message["tenant"], [one["grant"] for one in left])
        found = []
        for one in left:
            address = people[one["person"]]
            if address and known[one["grant"]]["state"] in states:
                found.append(Unopened(one["person"], one["grant"], address))
        return tuple(found)

    def _person(self, conn: Connection, person: str) -> str:
        """The address; empty for nobody, and for a row that was changed."""
        try:
            row = self._records.rows.get(conn, schema.people, person)
            return "" if row is None else self._records.directory.open(row["tenant"], "people", person, row["address"])
        except Tampered:
            log.error("reminders:row-tampered", person=person)
            return ""


class Marks:
    """How far each kind of notice has come, per tenant: a row that moves with what it says was done."""

    def __init__(self, records: Records) -> None:
        self._rows = records.rows

    def at(self, store: Store, tenant: str, kind: str) -> int | None:
        """Microseconds, or None before the first."""
        with store.reading() as conn:
            row = self._rows.get(conn, schema.notice_marks, f"{kind}:{tenant}")
        return None if row is None else int(row["at"])

    def move(self, tx: Tx, tenant: str, kind: str, old: int | None, new: int) -> None:
        """In the transaction of what was done. Raises Raced when somebody else moved it meanwhile."""
        id, ours = f"{kind}:{tenant}", [False]

        def decide(row: Row) -> dict[str, Any] | None:
            ours[0] = row["at"] == old
            return {"at": new} if ours[0] else None

        # The row is locked while it is compared: two workers who both read it before cannot both move it.
        found = self._rows.change(tx, schema.notice_marks, id, decide)
        if found is None and old is None:
            try:
                self._rows.insert(tx, schema.notice_marks, id=id, tenant=tenant, at=new)
            except IntegrityError as error:
                raise Raced("made meanwhile") from error
        elif not ours[0]:
            raise Raced("moved meanwhile")


class Reminders:
    """The duty. Everything is handed in; the clock decides what is due."""

    def __init__(
        self,
        store: Store,
        records: Records,
        keyholder: WorkerClient,
        poster: Poster,
        audience: Audience,
        tenants: Callable[[], Iterable[TenantView]],
        clock: Clock,
    ) -> None:
        self._store = store
        self._records = records
        self._keyholder = keyholder
        self._poster = poster
        self._audience = audience
        self._tenants = tenants
        self._clock = clock
        self._waiting = Waiting(store, records, keyholder)
        self._marks = Marks(records)

    def __call__(self) -> int:
        """Tell whoever is to be told now; how many notices."""
        count = 0
        for view in self._tenants():
            for kind in KINDS:
                try:
                    count += self._kind(view, kind)
                except Raced:
                    continue
                except Tampered:  # of the mark itself: no other clinic and no other kind waits for that
                    log.error("reminders:row-tampered", tenant=view.id, kind=kind)
        return count

    def _kind(self, view: TenantView, kind: str) -> int:
        mark = old = self._marks.at(self._store, view.id, kind)
        column = schema.messages.c.created_at if kind in ("urgent", "reminder") else schema.messages.c.expires_at
        horizon = self._clock.now_us() + (_us(WEEK) if kind == "ending" else 0)
        table = schema.messages
        statement = select(table).where(
            table.c.tenant == view.id, table.c.reference.is_not(None), column > (old or 0), column <= horizon
        )
        if kind == "urgent":
            statement = statement.where(table.c.urgent == 1)
        with self._store.reading() as conn:
            rows, changed = self._records.rows.sift(conn, statement.order_by(column, table.c.id).limit(BATCH))
        for id in changed:
            log.error("reminders:row-tampered", message=id)
        count, last = 0, old
        for row in rows:
            if not self._due(view, kind, row):
                break
            at = int(row[column.name])
            posts, event = self._sound(view, kind, row)
            if posts or event is not None:
                self._commit(view, kind, mark, at, posts, event)
                mark = at
                count += len(posts)
            last = at
        if last is not None and last != mark:
            self._commit(view, kind, mark, last, [], None)
        return count

    def _due(self, view: TenantView, kind: str, row: Row) -> bool:
        now = self._clock.now_us()
        if kind == "urgent":
            return now >= to_us(after_hours(from_us(row["created_at"]), URGENT_HOURS, view.timezone))
        if kind == "reminder":
            return bool(now >= row["created_at"] + _us(WEEK))
        if kind == "ending":
            return bool(now >= row["expires_at"] - _us(WEEK))
        return bool(now >= row["expires_at"])

    def _sound(self, view: TenantView, kind: str, row: Row) -> tuple[list[tuple[Posted, str]], Event | None]:
        """As `_told`; of a message with a changed row behind it an alarm, and nobody else's news wait for it."""
        try:
            return self._told(view, kind, row)
        except Tampered:
            log.error("reminders:row-tampered", message=row["id"], kind=kind)
            return [], Event(Action.TAMPER_FOUND, view.id, row["id"], GATEWAY, outcome="failed", reason="row")

    def _told(self, view: TenantView, kind: str, row: Row) -> tuple[list[tuple[Posted, str]], Event | None]:
        now = self._clock.now_us()
        if kind == "ended":
            return self._ended(view, row)
        if now >= row["expires_at"]:
            return [], None  # it ended while nobody looked: that is told as the end
        if kind == "reminder" and row["expires_at"] - row["created_at"] < _us(WEEK + SHORT):
            return [], None  # the note of the coming end is soon enough
        if kind == "ending" and row["expires_at"] - row["created_at"] < _us(SHORT):
            return [], None
        unopened = self._waiting.of(row)
        if not unopened:
            return [], None
        if kind != "urgent":
            return [(self._poster.to_person(view, one.address, kind, row), one.address) for one in unopened], None
        to = self._audience.of(view, self._records.sender(row))
        if not to:
            return [], None
        return [(self._poster.to_sender(view, to, "unopened", row, [one.address for one in unopened]), to)], None

    def _ended(self, view: TenantView, row: Row) -> tuple[list[tuple[Posted, str]], Event | None]:
        unopened = self._waiting.of(row, frozenset({"expired", "destroyed", "live", "frozen"}))
        with self._store.reading() as conn:
            opened = openings.people(openings.openings(conn, view.id, row["id"]))
        try:
            with answering():
                found = self._keyholder.destroy_message(view.id, row["id"])["receipt"]
            destroyed = True
            receipt = receipt_text(found)  # of the first time, when an earlier try got this far
        except Denied as denied:
            if denied.reason == "on-hold":  # it ends when the hold is lifted: `gateway.flow.erasing`
                return [], Event(Action.MESSAGE_KEPT, view.id, row["id"], GATEWAY, reason="on-hold")
            log.error("reminders:not-destroyed", message=row["id"], reason=denied.reason)
            destroyed, receipt = False, ""
        reason = "opened" if opened else "never-opened" if unopened else "taken-back"
        event = Event(Action.MESSAGE_EXPIRED, view.id, row["id"], GATEWAY, reason=reason, receipt=receipt)
        to = self._audience.of(view, self._records.sender(row)) if unopened and destroyed else ""
        if not to:
            return [], event
        return [(self._poster.to_sender(view, to, "destroyed", row, [one.address for one in unopened]), to)], event

    def _commit(
        self, view: TenantView, kind: str, old: int | None, new: int, posts: list[tuple[Posted, str]],
        event: Event | None,
    ) -> None:  # fmt: skip
        def work(tx: Tx) -> None:
            self._marks.move(tx, view.id, kind, old, new)
            for posted, _ in posts:
                self._poster.insert(tx, posted)
            if event is not None:
                self._records.log.append(tx, event)

        self._store.run(work)
        for posted, to in posts:
            self._poster.submit(posted, to)


def _us(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
