"""How the sending of an object ended, and when a person has all of it: counted once, whichever way it came.

A download that was cut and asked for again from there leaves `object:failed` and `object:part`, each with the bytes
that it was; when a request ends well and every byte has left by then, one `object:completed` follows, with the
object's length and its header tag. Promises: that entry is written in the transaction of the request that made it
whole; what left before an earlier `object:completed` never counts again. 45 CFR 164.312(b), 164.528; audit/FORMAT.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from gateway.audit.event import Action, Actor, parse
from gateway.flow.trail import Happened, Origin, Trail
from gateway.store.database import Store, Tx
from gateway.store.scope import acting
from gateway.store.waiting import said

MOST_PARTS = 2_000
"""Entries looked back through for the parts of one object: who asks for smaller pieces than that is not counted."""
_PARTS = (Action.OBJECT_PART, Action.OBJECT_FAILED, Action.OBJECT_COMPLETED)
_SPAN = re.compile(r"[a-z]+ (\d{1,16})-(\d{1,16})", re.ASCII)

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Left:
    """What one request sent of one object: `[start, stop)` of `size` bytes; `asked` is where it was to end.

    `why` is empty when the request ended well, else cut, stopped or tampered.
    """

    object: str
    tag: bytes
    size: int
    start: int
    stop: int
    asked: int
    why: str

    @property
    def well(self) -> bool:
        """Whether everything that was asked for left."""
        return not self.why and self.stop == self.asked

    def reason(self) -> str:
        """The entry's machine words: how it ended, and the first and last byte that left."""
        word = "range" if self.well else self.why or "cut"
        return f"{word} {self.start}-{self.stop - 1}" if self.stop > self.start else word


def record(store: Store, trail: Trail, origin: Origin, who: Actor, proof: int, ends: Sequence[Left]) -> None:
    """Durable when it returns, all in one transaction. Raises TryLater when the log cannot be written."""

    def work(tx: Tx) -> None:
        trail.append(tx, origin, [one for left in ends for one in _entries(tx, origin.tenant, who, proof, left)])

    if ends:
        with acting(origin.tenant):  # a download ends in a thread that knows of no request
            store.run(work)


def _entries(tx: Tx, tenant: str, who: Actor, proof: int, left: Left) -> Iterable[Happened]:
    if left.well and (left.start, left.stop) == (0, left.size):
        yield _completed(left, who, proof, "whole")
        return
    yield Happened(
        Action.OBJECT_PART if left.well else Action.OBJECT_FAILED, left.object, who,
        outcome="partial" if left.well else "failed", reason=left.reason(), proof=proof, bytes=left.stop - left.start,
    )  # fmt: skip
    if left.well and covers([*_before(tx, tenant, who, left.object), (left.start, left.stop)], left.size):
        yield _completed(left, who, proof, "resumed")


def _completed(left: Left, who: Actor, proof: int, how: str) -> Happened:
    reason = f"{how} tag:{left.tag.hex()}"
    return Happened(Action.OBJECT_COMPLETED, left.object, who, reason=reason, proof=proof, bytes=left.size)


def _before(tx: Tx, tenant: str, who: Actor, object: str) -> Iterable[Span]:
    """What left of it for this person since it was last complete."""
    if tx.conn.dialect.name != "sqlite":
        # Two portals that end the two halves at once would each miss the other's; SQLite has one writer.
        tx.conn.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{object} {who.id}",))
    columns = said(tx.conn).c
    statement = (
        select(columns.entry)
        .where(columns.log == tenant, columns.object == object, columns.actor == who.id)
        .where(columns.action.in_([str(action) for action in _PARTS]))
        .order_by(columns.idx.desc())
        .limit(MOST_PARTS)
    )
    for raw in tx.conn.execute(statement).scalars():
        entry = parse(bytes(raw))
        if entry["action"] == Action.OBJECT_COMPLETED:
            return
        found = _SPAN.fullmatch(entry["reason"])
        if found is not None:
            yield int(found[1]), int(found[2]) + 1


def covers(spans: Iterable[Span], size: int) -> bool:
    """Whether these `[start, stop)` together are all bytes from 0 to `size`."""
    reached = 0
    for start, stop in sorted(spans):
        if start > reached:
            break
        reached = max(reached, stop)
    return reached >= size
