"""Step 8: what one processed message writes, all in one transaction.

Promises: message, objects, grants, deliveries and events are committed together or not at all; ids only in events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, or_, select

from gateway.accounts.ports import Directory
from gateway.audit.event import Action, Actor, Event
from gateway.audit.log import AuditLog
from gateway.errors import Tampered
from gateway.flow.jobs import Target
from gateway.spool.envelope import Params, Recipient
from gateway.store import schema
from gateway.store.database import Tx
from gateway.store.rows import Lookup, Row, Rows
from gateway.store.statement import Statement
from keys.encoding import canonical, parse_canonical

WAITING = ("ready", "deferred")
"""States of a delivery that is still to be made."""

_ALIVE = ("delivered", "held", "released", *WAITING)
_OVER = ("returned", "dropped")


def _of_message() -> Select[Any]:
    table = schema.deliveries
    return select(table).where(table.c.message == bindparam("of")).order_by(table.c.created_at, table.c.id)


def _of_retry() -> Select[Any]:
    table, deliveries = schema.messages, schema.deliveries
    alive = (
        select(deliveries.c.id)
        .where(
            deliveries.c.message == table.c.id,
            deliveries.c.treatment != "notice",
            or_(*(deliveries.c.state == state for state in _ALIVE)),
        )
        .exists()
    )
    return (
        select(table.c.id, table.c.queue)
        .where(
            table.c.tenant == bindparam("of"),
            table.c.retry_key == bindparam("retry"),
            table.c.received_at > bindparam("since"),
            or_(table.c.queue == bindparam("item"), and_(*(table.c.state != state for state in _OVER), alive)),
        )
        .order_by(table.c.created_at)
    )


_OF_QUEUE = Lookup(select(schema.messages).where(schema.messages.c.queue == bindparam("of")))
_OF_MESSAGE = Lookup(_of_message())
_OF_RETRY = Statement(_of_retry())


@dataclass(slots=True)
class Prepared:
    """Rows and events of one message, ready for its transaction."""

    message: dict[str, Any] = field(repr=False)
    objects: list[dict[str, Any]] = field(default_factory=list, repr=False)
    grants: list[dict[str, Any]] = field(default_factory=list, repr=False)
    deliveries: list[dict[str, Any]] = field(default_factory=list, repr=False)
    events: list[Event] = field(default_factory=list)

    def event(self, action: Action, object_id: str, actor: Actor, **more: Any) -> None:
        """Note an event of this message."""
        self.events.append(Event(action=action, tenant=self.message["tenant"], object=object_id, actor=actor, **more))


class Records:
    """Writes and reads the rows of messages and deliveries."""

    def __init__(self, rows: Rows, directory: Directory, log: AuditLog, node: str) -> None:
        self.rows = rows
        self.directory = directory
        self.log = log
        self.node = node

    def write(self, tx: Tx, prepared: Prepared) -> None:
        """Everything of one message."""
        self.rows.insert(tx, schema.messages, **prepared.message)
        for row in prepared.objects:
            self.rows.insert(tx, schema.objects, **row)
        for row in prepared.grants:
            self.rows.insert(tx, schema.grants, **row)
        for row in prepared.deliveries:
            self.rows.insert(tx, schema.deliveries, **row)
        for event in prepared.events:
            self.log.append(tx, event)

    def delivery(
        self, *, id: str, tenant: str, message: str, recipient: Recipient, mail_params: Params, treatment: str,
        state: str, copy: str | None, now_us: int, person: str | None = None, grant: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """A row for `deliveries`; address and parameters sealed for it."""
        value = canonical({"address": recipient.address, "params": recipient.params, "mail_params": mail_params})
        return {
            "id": id, "tenant": tenant, "message": message, "node": self.node, "person": person, "grant": grant,
            "recipient": self.directory.seal(tenant, "deliveries", id, value.decode()),
            "recipient_index": self.directory.index(tenant, recipient.address),
            "treatment": treatment, "state": state, "copy": copy, "attempts": 0, "next_at": now_us,
            "created_at": now_us,
            "settled_at": now_us if state in ("held", "returned") else None, "status": None,
        }  # fmt: skip

    def opened(self, row: Row) -> tuple[Recipient, Params]:
        """The recipient of a delivery row and the parameters of its MAIL FROM."""
        text = self.directory.open(row["tenant"], "deliveries", row["id"], row["recipient"])
        value: Any = parse_canonical(text.encode())
        params = tuple((name, text) for name, text in value["params"])
        return Recipient(value["address"], params), tuple((name, text) for name, text in value["mail_params"])

    def target(self, row: Row) -> Target:
        """What the deliverer needs of a delivery row."""
        return Target(row["id"], self.opened(row)[0], row["treatment"], row["attempts"])

    def sender(self, row: Row) -> str:
        """The envelope sender of a message row; empty for the null sender."""
        return self.directory.open(row["tenant"], "messages", row["id"], row["sender"])

    def message(self, conn: Connection, message: str) -> Row | None:
        """A message row, verified."""
        return self.rows.get(conn, schema.messages, message)

    def of_queue(self, conn: Connection, queue: str) -> list[Row]:
        """The messages that came from one spool item."""
        return self.rows.find(conn, _OF_QUEUE, of=queue)

    def end_hold(self, tx: Tx, message: str, state: str) -> bool:
        """Give a held message the state in which its hold ends; False when it is not held any more.

        The row is locked while it is looked at, so of two decisions at once one ends it. Raises Tampered.
        """
        ended = [False]

        def decide(row: Row) -> dict[str, Any] | None:
            ended[0] = row["state"] == "held"
            return {"state": state} if ended[0] else None

        self.rows.change(tx, schema.messages, message, decide)
        return ended[0]

    def deliveries(self, conn: Connection, message: str) -> list[Row]:
        """All deliveries of a message, oldest first."""
        return self.rows.find(conn, _OF_MESSAGE, of=message)

    def unsettled(self, conn: Connection, before_us: int, beyond_us: int) -> tuple[list[Row], list[str]]:
        """Deliveries of this node that are due, and the ids of those whose row was changed by somebody else.

        What should wait past `beyond_us`, longer than any pause, was put off by a clock that was wrong: it is due.
        """
        table = schema.deliveries
        due = or_(table.c.next_at <= before_us, table.c.next_at > beyond_us)
        statement = (
            select(table)
            .where(table.c.node == self.node, table.c.state.in_(WAITING), due)
            .order_by(table.c.next_at)
            .limit(500)
        )
        return self.rows.sift(conn, statement)

    def copies(self, conn: Connection) -> set[str]:
        """The outbound copies that deliveries of this node still wait for."""
        table = schema.deliveries
        statement = select(table.c.copy).where(
            table.c.node == self.node, table.c.state.in_(WAITING), table.c.copy.is_not(None)
        )
        return {str(copy) for copy in conn.execute(statement).scalars()}

    def of_retry(
        self, conn: Connection, tenant: str, retry: bytes, since_us: int, queue: str
    ) -> tuple[str | None, bool]:
        """The spool id of the message with that retry key that was accepted after that time, or None; and whether a
        row that said so was changed by somebody else: it is not believed, so nothing is swallowed on its word.

        A message that nobody got and nobody will get is no reason to swallow the next: who sends it again after it was
        returned, dropped or refused by everyone means it. The spool item `queue` itself counts in any case; then
        Tampered rises, for that item was worked on before.
        """
        changed = False
        for id, item in _OF_RETRY.all(conn, {"of": tenant, "retry": retry, "since": since_us, "item": queue}):
            if item == queue:
                self.message(conn, id)
                return str(item), changed
            try:
                if self._says_so(conn, id, retry, since_us):
                    return str(item), changed
            except Tampered:
                changed = True
        return None, changed

    def _says_so(self, conn: Connection, message: str, retry: bytes, since_us: int) -> bool:
        """Whether sound rows say what the statement found: only then is a mail a repetition."""
        row = self.message(conn, message)
        if row is None or row["retry_key"] != retry or row["received_at"] <= since_us or row["state"] in _OVER:
            return False
        return any(one["state"] in _ALIVE and one["treatment"] != "notice" for one in self.deliveries(conn, message))
