"""Looking something up in a log: ``action:object:opened object:msg_… created:2026-11-01..2026-11-07``.

Promises: every word of a query is understood or refused with the nearest known one; nothing is guessed. A search reads
copies of an entry's fields; what it gives is the entry itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, desc, select

from gateway.audit.event import OUTCOMES, Action, parse
from gateway.audit.log import octets
from gateway.clock import to_us
from gateway.errors import Refused, Tampered
from gateway.registry import nearest
from gateway.store.schema import deliveries, grants, log_leaves, objects
from keys.merkle import leaf_hash

PROOFS = {
    None: "",
    0: "0 link only",
    1: "1 mailbox code",
    2: "2 text or staff code, card or TOTP",
    3: "3 passkey",
}
LIMIT = 1000
_WORDS = ("action", "actor", "object", "outcome", "created", "proof")


class BadQuery(Refused):
    """This search cannot be understood."""

    exit_code = 64
    http_status = 400

    @property
    def public(self) -> str:
        """The detail names the searcher's own word and the nearest known one."""
        return self.detail or super().public


@dataclass(frozen=True, slots=True)
class Found:
    """One entry: its number in the log, its fields, and its proof in words."""

    index: int
    fields: dict[str, Any]

    @property
    def proof(self) -> str:
        """The proof level with its name."""
        return PROOFS.get(self.fields["proof"], str(self.fields["proof"]))


def search(conn: Connection, tenant: str, query: str, limit: int = LIMIT) -> list[Found]:
    """The entries that fit every word of `query`, the latest `limit` of them, oldest first.

    `object:msg_…` also finds what happened to the message's objects, links and deliveries. Raises BadQuery, and
    Tampered for an entry that is not the one that was hashed.
    """
    conditions: list[ColumnElement[bool]] = [log_leaves.c.log == tenant]
    proof: int | None = None
    for word in query.split():
        key, colon, value = word.partition(":")
        if not colon or key not in _WORDS:
            raise BadQuery(f"unknown search word '{key}': {nearest(key, list(_WORDS))}")
        if not value:
            raise BadQuery(f"'{key}:' needs a value")
        if key == "proof":
            if value not in ("0", "1", "2", "3"):
                raise BadQuery("a proof is a level from 0 to 3")
            proof = int(value)
        else:
            conditions.append(_condition(conn, key, value))
    statement = select(log_leaves.c.idx, log_leaves.c.entry, log_leaves.c.leaf_hash).where(*conditions)
    found: list[Found] = []
    for index, entry, hashed in conn.execute(
        statement.order_by(desc(log_leaves.c.idx)).execution_options(yield_per=500)
    ):
        if leaf_hash(octets(entry)) != octets(hashed):
            raise Tampered(f"log {tenant}: entry {index} is not the one that was hashed")
        fields = parse(octets(entry))
        if proof is None or fields["proof"] == proof:
            found.append(Found(index, fields))
        if len(found) == limit:
            break
    found.reverse()
    return found


def _condition(conn: Connection, key: str, value: str) -> ColumnElement[bool]:
    if key == "action":
        if value in {str(action).partition(":")[0] for action in Action}:
            return log_leaves.c.action.startswith(value + ":", autoescape=True)
        known = [str(action) for action in Action]
        if value not in known:
            raise BadQuery(f"unknown action '{value}': {nearest(value, known)}")
        return log_leaves.c.action == value
    if key == "outcome":
        if value not in OUTCOMES:
            raise BadQuery(f"unknown outcome '{value}': {nearest(value, sorted(OUTCOMES))}")
        return log_leaves.c.outcome == value
    if key == "actor":
        return log_leaves.c.actor == value
    if key == "created":
        return _created(value)
    return log_leaves.c.object.in_([value, *_of_message(conn, value)])


def _created(value: str) -> ColumnElement[bool]:
    first, dots, last = value.partition("..")
    start = _day(first) if first else None
    end = _day(last or first) if (last or not dots) else None
    if start is None and end is None:
        raise BadQuery("'created:' needs a day, or two with .. between")
    conditions = []
    if start is not None:
        conditions.append(log_leaves.c.ts >= to_us(start))
    if end is not None:
        conditions.append(log_leaves.c.ts < to_us(end + timedelta(days=1)))
    return conditions[0] if len(conditions) == 1 else conditions[0] & conditions[1]


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise BadQuery(f"'{text}' is not a day such as 2026-11-03") from error


def _of_message(conn: Connection, message: str) -> list[str]:
    if not message.startswith("msg_"):
        return []
    ids: list[str] = []
    for table in (objects, grants, deliveries):
        ids += conn.execute(select(table.c.id).where(table.c.message == message)).scalars()
    return ids
