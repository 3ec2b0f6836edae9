"""Who opened what of a message, and how far they got, from the tenant's log alone.

Promises: an opening is bytes after a factor, never a visit; what was under way when the message was taken back is said
with the bytes that had left. 45 CFR 164.312(b), 164.528.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from gateway.audit.event import Action, parse
from gateway.clock import from_us
from gateway.store import schema
from gateway.store.waiting import said

_ACTIONS = (
    Action.OBJECT_OPENED, Action.OBJECT_PART, Action.OBJECT_COMPLETED, Action.OBJECT_FAILED, Action.OPENING_UNCONFIRMED,
)  # fmt: skip
FILES = ("file", "original")
MOST_ENTRIES = 5000
"""Entries read of one message; of openings that have more it is not said how they ended."""


@dataclass(frozen=True, slots=True)
class Opening:
    """One object as one person opened it. `end`: whole (every byte of it, in one request or several), part, stopped
    (by us, taken back under way), running, unknown.

    `person` is empty where only the keyholder's log knows of the opening (a crash between the two logs). `proof` is a
    key under `staff.proof`; `bytes` is what left, over all requests for that object.
    """

    person: str
    object: str
    kind: str
    at: datetime
    proof: str
    bytes: int
    end: str


def openings(conn: Connection, tenant: str, message: str) -> tuple[Opening, ...]:
    """Every opening of a message's objects, oldest first."""
    objects = schema.objects.c
    rows = conn.execute(select(objects.id, objects.kind).where(objects.message == message)).all()
    kinds = {str(id): str(kind) for id, kind in rows}
    if not kinds:
        return ()
    columns = said(conn).c
    about = (columns.log == tenant, columns.object.in_(list(kinds)))
    wanted = (*about, columns.action.in_([str(action) for action in _ACTIONS]))
    # Whoever asks for one byte after the other fills pages; nobody's first opening may be hidden behind them.
    firsts = select(func.min(columns.idx)).where(*about, columns.action == str(Action.OBJECT_OPENED))
    # Sums and joined texts have no index: in the order of the log or of its actors, SQLite would read all of it.
    oldest = select(columns.idx).where(*wanted).order_by(columns.idx + 0).limit(MOST_ENTRIES + 1)
    numbers = set(conn.execute(firsts.group_by(columns.actor + "", columns.object + "")).scalars())
    early = conn.execute(oldest).scalars().all()
    numbers.update(early[:MOST_ENTRIES])
    found: dict[tuple[str, str], Opening] = {}
    for raw in _entries(conn, tenant, sorted(numbers)):
        entry = parse(raw)
        if entry["actor"]["kind"] == "user":  # an officer with the recovery key, who is no reader of the message
            continue
        person = entry["actor"]["id"] if entry["actor"]["kind"] == "person" else ""
        key = (person, entry["object"])
        known = found.get(key)
        found[key] = _after(known, entry, person, kinds[entry["object"]])
    if len(early) <= MOST_ENTRIES:
        return tuple(found.values())
    return tuple(one if one.end == "whole" else replace(one, end="unknown") for one in found.values())


def _entries(conn: Connection, tenant: str, numbers: list[int]) -> Iterator[bytes]:
    columns = said(conn).c
    for at in range(0, len(numbers), 500):
        some = columns.idx.in_(numbers[at : at + 500])
        yield from conn.execute(
            select(columns.entry).where(columns.log == tenant, some).order_by(columns.idx)
        ).scalars()


def people(found: tuple[Opening, ...]) -> frozenset[str]:
    """Who opened anything."""
    return frozenset(one.person for one in found if one.person)


def _after(known: Opening | None, entry: Mapping[str, Any], person: str, kind: str) -> Opening:
    action = entry["action"]
    end = known.end if known else "running"
    how = str(entry["reason"]).partition(" ")[0]
    left = known.bytes if known else 0
    if how != "resumed":  # that one says that the parts before it were all
        left += int(entry["bytes"] or 0)
    if action == Action.OBJECT_COMPLETED:
        end = "whole"
    elif action in (Action.OBJECT_PART, Action.OBJECT_FAILED) and end != "whole":
        end = "stopped" if how == "stopped" else "part"
    elif action == Action.OPENING_UNCONFIRMED:
        end = "unknown"
    elif known is not None and end in ("part", "stopped"):
        end = "running"  # asked for again
    return Opening(
        person=person,
        object=entry["object"],
        kind=kind,
        at=known.at if known else from_us(entry["ts"]),
        proof=known.proof if known else _proof(entry),
        bytes=left,
        end=end,
    )


def _proof(entry: Mapping[str, Any]) -> str:
    method = str(entry["reason"]).partition(" ")[0]  # what it was opened for follows
    return method if method in ("text", "staff", "card", "totp", "device") else str(entry["proof"] or 0)
