"""Looking something up in a log: the terms of `gateway.audit.query` against the copies of its entries' fields.

Promises: what is given is the entry itself, and it is the one that was hashed; an address is looked for by its keyed
index, never by opening rows. An empty answer proves nothing: who can change the database can hide rows from a search,
and only `audit verify` says whether entries are missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Select, desc, literal, or_, select, union_all

from gateway.audit.event import parse
from gateway.audit.log import octets
from gateway.audit.query import BadQuery, Term, days, is_group, parse_query
from gateway.clock import to_us
from gateway.errors import Tampered
from gateway.store.schema import deliveries, grants, log_leaves, messages, objects, people, users
from keys.merkle import leaf_hash

__all__ = ["LIMIT", "BadQuery", "Found", "Lookup", "Page", "page", "search"]

PROOFS = {
    None: "",
    0: "0 link only",
    1: "1 mailbox code",
    2: "2 text or staff code, card or TOTP",
    3: "3 passkey",
}
LIMIT = 1000
SCAN = 50_000
"""Entries that one page looks through for what has no column of its own (proof, reason, request)."""


class Lookup(Protocol):
    """The keys that find addresses: of the running gateway, for the index key is nowhere else."""

    def index(self, tenant: str, address: str) -> bytes:
        """The keyed index of an address, or of "@" and a domain."""

    def users(self, tenant: str, name: str) -> list[str]:
        """Ids of the workforce members whose address begins with that name and "@"."""


@dataclass(frozen=True, slots=True)
class Found:
    """One entry: its number in the log, its fields, and its proof in words."""

    index: int
    fields: dict[str, Any]

    @property
    def proof(self) -> str:
        """The proof level with its name."""
        return PROOFS.get(self.fields["proof"], str(self.fields["proof"]))


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, newest first; `older` is where the next page begins, None when there is none."""

    found: tuple[Found, ...]
    older: int | None


def search(conn: Connection, tenant: str, query: str, limit: int = LIMIT, lookup: Lookup | None = None) -> list[Found]:
    """The entries that fit every word of `query`, the latest `limit` of them, oldest first.

    `object:msg_…` also finds what happened to the message's objects, links and deliveries. Days are those of UTC, as
    the times that a command prints. Raises BadQuery, and Tampered for an entry that is not the one that was hashed.
    """
    terms = parse_query(query)
    found: list[Found] = []
    before: int | None = None
    while len(found) < limit:
        one = page(conn, tenant, terms, before=before, count=limit - len(found), lookup=lookup)
        found += one.found
        if one.older is None:
            break
        before = one.older
    found.reverse()
    return found


def page(
    conn: Connection, tenant: str, terms: Sequence[Term], *, before: int | None = None, count: int = 50,
    lookup: Lookup | None = None, about: ColumnElement[bool] | None = None, zone: tzinfo = UTC,
) -> Page:  # fmt: skip
    """At most `count` entries that fit, newest first, of those numbered below `before`. Days are those of `zone`.

    A page may be short, even empty, and still have an `older`: it looked through `SCAN` entries. Raises as `search`.
    """
    columns = log_leaves.c
    conditions: list[ColumnElement[bool]] = [columns.log == tenant]
    conditions += [_condition(tenant, term, lookup, zone) for term in terms if term.key not in _AFTER]
    if about is not None:
        conditions.append(about)
    if before is not None:
        conditions.append(columns.idx < before)
    after = [term for term in terms if term.key in _AFTER]
    few = about is not None or any(term.key in _FEW for term in terms)
    order = columns.idx + 0 if few else columns.idx
    statement = select(columns.idx, columns.entry, columns.leaf_hash).where(*conditions).order_by(desc(order))
    found: list[Found] = []
    rows = conn.execute(statement.limit(SCAN + 1).execution_options(yield_per=500))
    for looked, (index, entry, hashed) in enumerate(rows):
        if len(found) == count or looked == SCAN:
            return Page(tuple(found), index + 1)
        one = _found(tenant, index, octets(entry), octets(hashed))
        if all(_fits(one, term) for term in after):
            found.append(one)
    return Page(tuple(found), None)


def entry_at(conn: Connection, tenant: str, index: int) -> tuple[Found, bytes] | None:
    """One entry and its bytes; None when there is none of that number. Raises Tampered."""
    statement = select(log_leaves.c.entry, log_leaves.c.leaf_hash).where(
        log_leaves.c.log == tenant, log_leaves.c.idx == index
    )
    row = conn.execute(statement).one_or_none()
    return None if row is None else (_found(tenant, index, octets(row[0]), octets(row[1])), octets(row[0]))


def of_message(message: str) -> ColumnElement[bool]:
    """Entries about a message, its objects, links and deliveries."""
    return _of_messages(select(literal(message)))


def of_person(tenant: str, person: str) -> ColumnElement[bool]:
    """Entries by a person, and about them, their links and what was handed to them."""
    return _of_people(
        select(people.c.id).where(people.c.tenant == tenant, people.c.id == person),
        deliveries.c.person == person,
        tenant,
    )


_PARTS = (objects, grants, deliveries)
_AFTER = frozenset({"proof", "reason", "request"})
_FEW = frozenset({"object", "message", "recipient"})
"""What has few entries: they are found first and put in order then. In the order of the log itself, which an index has,
SQLite would read all of it for them; a sum has no index.
"""


def _found(tenant: str, index: int, entry: bytes, hashed: bytes) -> Found:
    if leaf_hash(entry) != hashed:
        raise Tampered(f"log {tenant}: entry {index} is not the one that was hashed")
    return Found(index, parse(entry))


def _fits(found: Found, term: Term) -> bool:
    value = found.fields[term.key]
    return bool(value == int(term.value)) if term.key == "proof" and value is not None else value == term.value


def _condition(tenant: str, term: Term, lookup: Lookup | None, zone: tzinfo) -> ColumnElement[bool]:
    columns, value = log_leaves.c, term.value
    if term.key == "action":
        if is_group(value):
            return columns.action.startswith(value + ":", autoescape=True)
        return columns.action == value
    if term.key == "outcome":
        return columns.outcome == value
    if term.key == "actor":
        return _actor(tenant, value, lookup)
    if term.key == "created":
        return _created(value, zone)
    if term.key == "recipient":
        return _recipient(tenant, value, lookup)
    if term.key == "message":
        named = select(messages.c.id).where(messages.c.tenant == tenant, messages.c.reference == value)
        return _of_messages(named)
    return of_message(value) if value.startswith("msg_") else columns.object == value


def _of_messages(ids: Select[Any]) -> ColumnElement[bool]:
    parts = [select(table.c.id).where(table.c.message.in_(ids)) for table in _PARTS]
    return log_leaves.c.object.in_(union_all(ids, *parts))


def _actor(tenant: str, value: str, lookup: Lookup | None) -> ColumnElement[bool]:
    actor = log_leaves.c.actor
    if "@" not in value:
        known = lookup.users(tenant, value) if lookup is not None and "_" not in value else []
        return actor.in_([value, *known])
    index = _need(lookup, "actor").index(tenant, value)
    return or_(
        *(
            actor.in_(select(table.c.id).where(table.c.tenant == tenant, table.c.address_index == index))
            for table in (users, people)
        )
    )


def _recipient(tenant: str, value: str, lookup: Lookup | None) -> ColumnElement[bool]:
    index = _need(lookup, "recipient").index(tenant, value)
    column = people.c.domain_index if value.startswith("@") else people.c.address_index
    who = select(people.c.id).where(people.c.tenant == tenant, column == index)
    sent = deliveries.c.person.in_(who)
    return _of_people(who, sent if value.startswith("@") else or_(sent, deliveries.c.recipient_index == index), tenant)


def _of_people(who: Select[Any], sent: ColumnElement[bool], tenant: str) -> ColumnElement[bool]:
    columns, mine = log_leaves.c, (deliveries.c.tenant == tenant) & sent
    return or_(
        columns.actor.in_(who),
        columns.object.in_(who),
        *(columns.object.in_(select(column).where(mine)) for column in (deliveries.c.id, deliveries.c.message)),
        columns.object.in_(select(deliveries.c.grant).where(mine, deliveries.c.grant.is_not(None))),
    )


def _need(lookup: Lookup | None, key: str) -> Lookup:
    if lookup is None:
        raise BadQuery(f"'{key}:' with an address needs the running gateway")
    return lookup


def _created(value: str, zone: tzinfo) -> ColumnElement[bool]:
    start, end = days(value, zone)
    conditions = []
    if start is not None:
        conditions.append(log_leaves.c.ts >= to_us(start))
    if end is not None:
        conditions.append(log_leaves.c.ts < to_us(end))
    return conditions[0] if len(conditions) == 1 else conditions[0] & conditions[1]
