"""Sessions: made by a verified proof, known by a random handle, kept as its HMAC only.

Promises: a handle has 256 random bits; a session ends after 15 idle minutes or 8 hours; it survives a restart of the
keyholder; a person's covers one message. The end of a grant ends its sessions. DESIGN §4b 1; NIST SP 800-63B-4 5.
"""

from __future__ import annotations

import base64
import os
import sqlite3
from dataclasses import dataclass
from typing import Any

from keys.access import SessionFacts
from keys.errors import Denied
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import Actor, record, refused

SECOND_US = 1_000_000
_TOUCH_US = 30 * SECOND_US  # idle time is written this often, so that a page view need not cost an fsync


@dataclass(frozen=True, slots=True)
class Live:
    """A session as found: what `access` may know of it, and its row."""

    facts: SessionFacts
    mac: bytes
    row: sqlite3.Row

    @property
    def actor(self) -> Actor:
        """Who acts, for the log."""
        if self.facts.user is not None:
            return ("user", self.facts.user)
        return ("person", self.facts.person or "")


def find(tx: Tx, handle: str) -> Live | None:
    """The live session of a handle, its idle time renewed; None for unknown, idle or ended ones."""
    mac = tx.custody.mac("session", handle)
    row = tx.one("SELECT * FROM sessions WHERE mac = ?", mac)
    if row is None:
        return None
    if tx.now_us >= row["expires_us"] or tx.now_us - row["last_us"] >= tx.limits.session_idle_seconds * SECOND_US:
        tx.run("DELETE FROM sessions WHERE mac = ?", mac)
        return None
    if row["user"] is not None and not _active(tx, row["tenant"], row["user"], row["role"]):
        return None
    if tx.now_us - row["last_us"] >= min(_TOUCH_US, tx.limits.session_idle_seconds * SECOND_US // 4):
        tx.run("UPDATE sessions SET last_us = ? WHERE mac = ?", tx.now_us, mac)
    facts = SessionFacts(row["tenant"], row["proof"], row["person"], row["message"], row["user"], row["role"],
                         _inbox(tx, row))  # fmt: skip
    return Live(facts, mac, row)


def need(tx: Tx, handle: str, action: str, *, object: str = "", request: str = "", tenant: str | None = None) -> Live:
    """The live session for an act. Raises Denied("no-session"), recorded as that act's refusal."""
    live = find(tx, handle)
    if live is None:
        raise refused(tx, tenant, action, "no-session", object=object, request=request)
    return live


def make(
    tx: Tx,
    *,
    tenant: str,
    proof: int,
    method: str,
    person: str | None = None,
    user: str | None = None,
    role: str | None = None,
    message: str | None = None,
    grant: str | None = None,
    first_method: str | None = None,
    first_proof_us: int | None = None,
    wide_from_us: int = 0,
    inbox: str | None = None,
) -> dict[str, Any]:
    """A fresh session and its record. The handle is shown here once and never again.

    `first_method` is the proof that everything else stands on: that behind which a lasting factor was set up. `inbox`:
    the session covers what was sent to that inbox, and no message by its link.
    """
    handle = base64.urlsafe_b64encode(os.urandom(32)).decode("ascii").rstrip("=")
    expires_us = tx.now_us + tx.limits.session_seconds * SECOND_US
    first_us = tx.now_us if first_proof_us is None else first_proof_us
    tx.run(
        "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        tx.custody.mac("session", handle), tenant, person, user, role, proof, method, message, grant,
        first_method or method, first_us, tx.now_us, tx.now_us, expires_us, wide_from_us,
    )  # fmt: skip
    if inbox is not None:
        mac = tx.custody.mac("session", handle)
        tx.run("INSERT INTO inbox_sessions VALUES (?, ?, ?)", mac, inbox, os.urandom(32))
    actor: Actor = ("user", user) if user is not None else ("person", person or "")
    record(tx, tenant, "session:started", object=grant or inbox or "", actor=actor, reason=method, proof=proof)
    live = find(tx, handle)
    if live is None:
        raise Denied("no-session")
    return describe(handle, live)


def describe(handle: str, live: Live) -> dict[str, Any]:
    """What the portal may know of a session."""
    row = live.row
    return {
        "handle": handle, "tenant": row["tenant"], "person": row["person"], "user": row["user"], "role": row["role"],
        "proof": row["proof"], "method": row["method"], "expires_us": row["expires_us"],
        "scope": "staff" if row["user"] is not None else {"message": row["message"]} if live.facts.inbox is None
        else {"inbox": live.facts.inbox},
        "first_proof_us": row["first_proof_us"],
    }  # fmt: skip


def session(tx: Tx, *, handle: str) -> dict[str, Any]:
    """The live session of that handle. Denied("no-session"): an answer, not a refused act, so not recorded."""
    live = find(tx, handle)
    if live is None:
        raise Denied("no-session")
    return describe(handle, live)


def end_session(tx: Tx, *, handle: str) -> None:
    """Sign out. Idempotent."""
    live = find(tx, handle)
    if live is not None:
        tx.run("DELETE FROM sessions WHERE mac = ?", live.mac)
        record(tx, live.facts.tenant, "session:ended", actor=live.actor, reason="signed-out")


def end_of_grants(tx: Tx, grants: list[str]) -> None:
    """End every session that came through these grants."""
    for grant in grants:
        tx.run("DELETE FROM sessions WHERE grant_id = ?", grant)


def end_of_user(tx: Tx, tenant: str, user: str) -> None:
    """End every session of a staff member."""
    tx.run("DELETE FROM sessions WHERE tenant = ? AND user = ?", tenant, user)


def _inbox(tx: Tx, row: sqlite3.Row) -> str | None:
    """The inbox that a recipient's session covers; those of a link cover one message and no inbox."""
    if row["person"] is None or row["message"] is not None:
        return None
    found = tx.one("SELECT inbox FROM inbox_sessions WHERE mac = ?", bytes(row["mac"]))
    return None if found is None else str(found["inbox"])


def _active(tx: Tx, tenant: str, user: str, role: str) -> bool:
    row = tx.one("SELECT role, state FROM users WHERE tenant = ? AND id = ?", tenant, user)
    return row is not None and row["state"] == "active" and row["role"] == role
