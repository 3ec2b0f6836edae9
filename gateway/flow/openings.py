"""Who opened what of a message, and how far they got, from the tenant's log alone.

Promises: an opening is bytes after a factor, never a visit; what was under way when the message was taken back is said
with the bytes that had left. 45 CFR 164.312(b), 164.528.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from gateway.audit.event import Action, parse
from gateway.clock import from_us
from gateway.store import schema
from gateway.vault import Vault

_ACTIONS = (Action.OBJECT_OPENED, Action.OBJECT_COMPLETED, Action.OBJECT_FAILED, Action.OPENING_UNCONFIRMED)
FILES = ("file", "original")


@dataclass(frozen=True, slots=True)
class Opening:
    """One object as one person opened it. `end`: whole (as many bytes as it has, whichever
    they were), part, stopped (by us, taken back under way), running, unknown.

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
    rows = conn.execute(select(objects.id, objects.kind, objects.sealed_bytes).where(objects.message == message)).all()
    kinds = {str(id): (str(kind), int(sealed)) for id, kind, sealed in rows}
    columns = schema.log_leaves.c
    statement = (
        select(columns.entry)
        .where(columns.log == tenant, columns.object.in_(list(kinds)))
        .where(columns.action.in_([str(action) for action in _ACTIONS]))
    )
    found: dict[tuple[str, str], Opening] = {}
    for raw in conn.execute(statement.order_by(columns.idx).limit(5000)).scalars():
        entry = parse(raw)
        person = entry["actor"]["id"] if entry["actor"]["kind"] == "person" else ""
        key = (person, entry["object"])
        known = found.get(key)
        found[key] = _after(known, entry, person, *kinds[entry["object"]])
    return tuple(found.values())


def people(found: tuple[Opening, ...]) -> frozenset[str]:
    """Who opened anything."""
    return frozenset(one.person for one in found if one.person)


def _after(known: Opening | None, entry: Mapping[str, Any], person: str, kind: str, sealed: int) -> Opening:
    action = entry["action"]
    end = known.end if known else "running"
    left = (known.bytes if known else 0) + int(entry["bytes"] or 0)
    if action == Action.OBJECT_COMPLETED:  # of the bytes that were asked for, which may be a range
        end = "whole" if end == "whole" or left >= Vault.plain_bytes(sealed) else "part"
    elif action == Action.OBJECT_FAILED and end != "whole":
        end = "stopped" if entry["reason"] == "stopped" else "part"
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
    return (
        entry["reason"] if entry["reason"] in ("text", "staff", "card", "totp", "device") else str(entry["proof"] or 0)
    )
