"""Inboxes of recipients: whose public key counts, and the pepper without which no lock on the private half opens.

Promises: an inbox begins from a fresh session of a person who has a lasting factor, opens only a day later (decision
0035), and is told to that person past the portal; a person has one, and a new one ends the old; the public key is
signed here; a pepper leaves for a proof of the moment only, each time in the log; another passphrase gets another
pepper and the old one is destroyed. The private half is never here. DESIGN §4 (inbox), §4b 1.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

from keys import inboxes as formats
from keys.encoding import canonical
from keys.errors import Tampered
from keys.keyholder import custody, factors, grants, inbox_ends, sessions, tries
from keys.keyholder.calls import BadCall
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import record, refused
from keys.keyholder.sessions import Live
from keys.keyholder.wire import b64

TOLD = "inbox"
"""News that a person has an inbox now, told to that person past the portal."""
_FACTS = ("id", "tenant", "person", "public", "state", "first_method", "wide_from_us")


def begin(tx: Tx, *, session: str, public: bytes) -> dict[str, str]:
    """An inbox that is not in force yet: ``inbox``, ``lock``, ``pepper``.

    Denied: no-session, not-a-recipient, proof-too-low, stale, no-factor (a text code alone keeps no inbox).
    """
    live = factors.enroller(tx, session)
    tenant, person = live.facts.tenant, str(live.facts.person)
    if len(public) != 32:
        raise BadCall
    if not has_factor(tx, tenant, person):
        raise refused(tx, tenant, "factor:refused", "no-factor", object=person, actor=live.actor)
    unfinished = "SELECT id FROM inboxes WHERE tenant = ? AND person = ? AND state = 'begun'"
    tx.run(f"DELETE FROM inbox_locks WHERE inbox IN ({unfinished})", tenant, person)  # noqa: S608 - fixed words
    tx.run("DELETE FROM inboxes WHERE tenant = ? AND person = ? AND state = 'begun'", tenant, person)
    name = "inb_" + secrets.token_hex(12)
    tx.run(
        "INSERT INTO inboxes VALUES (?, ?, ?, ?, 'begun', ?, ?, ?, ?, NULL, NULL, x'')",
        name, tenant, person, public, live.row["first_method"], factors.wide_from(tx, live), live.mac, tx.now_us,
    )  # fmt: skip
    _seal(tx, name)
    record(tx, tenant, "factor:begun", object=name, actor=live.actor, reason="inbox", proof=live.facts.proof)
    return {"inbox": name} | _lock(tx, tenant, name, formats.PASSPHRASE)


def confirm(tx: Tx, *, session: str, inbox: str) -> dict[str, Any]:
    """Put it in force, once its lock is durable: ``signature`` of the public key, ``opens_us``.

    Denied("none-begun").
    """
    live = factors.enroller(tx, session)
    tenant, person = live.facts.tenant, str(live.facts.person)
    row = row_of(tx, inbox)
    if row is None or row["state"] != "begun" or bytes(row["session"]) != live.mac:
        raise refused(tx, tenant, "factor:refused", "none-begun", object=person, actor=live.actor)
    inbox_ends.of_person(tx, tenant, person, "replaced", live.actor)
    tx.run("UPDATE inboxes SET state = 'live', made_us = ? WHERE id = ?", tx.now_us, inbox)
    tx.run("UPDATE inbox_locks SET state = 'live' WHERE inbox = ?", inbox)
    _seal(tx, inbox)
    record(tx, tenant, "factor:enrolled", object=inbox, actor=live.actor, reason="inbox", proof=live.facts.proof)
    grants.tell(tx, tenant, person, TOLD, inbox)
    signature = tx.custody.root.sign(formats.KEY_LABEL, tenant, person, inbox, bytes(row["public"]))
    return {"signature": b64(signature), "opens_us": row["wide_from_us"]}


def state(tx: Tx, *, session: str) -> dict[str, Any]:
    """``inbox`` of the session's person or None, ``opens_us``, ``made_us``, and ``factor``: whether one may begin."""
    live = person_of(tx, session)
    row = living(tx, live.facts.tenant, str(live.facts.person))
    return {
        "inbox": None if row is None else row["id"],
        "opens_us": None if row is None else row["wide_from_us"],
        "made_us": None if row is None else row["made_us"],
        "factor": has_factor(tx, live.facts.tenant, str(live.facts.person)),
    }


def lock_begin(tx: Tx, *, session: str, code: str) -> dict[str, str]:
    """A new pepper for another passphrase, with a code spent on it: ``inbox``, ``lock``, ``pepper``.

    Denied: no-session, no-inbox, too-many, or what became of the code.
    """
    live = person_of(tx, session)
    tenant, person = live.facts.tenant, str(live.facts.person)
    if live.facts.inbox is None:
        raise refused(tx, tenant, "factor:refused", "no-inbox", object=person, actor=live.actor)
    subject = "inbox-act:" + person
    if tries.left(tx, tenant, subject) == 0:
        raise refused(tx, tenant, "factor:refused", "too-many", object=person, actor=live.actor)
    proved = factors.prove_at_large(tx, tenant, person, code)
    if isinstance(proved, str):
        tries.failed(tx, tenant, subject)
        raise refused(tx, tenant, "factor:refused", proved, object=person, actor=live.actor)
    tries.clear(tx, tenant, subject)
    tx.run("DELETE FROM inbox_locks WHERE inbox = ? AND state = 'begun'", live.facts.inbox)
    record(tx, tenant, "factor:begun", object=live.facts.inbox, actor=live.actor, reason="inbox-lock")
    return {"inbox": live.facts.inbox} | _lock(tx, tenant, live.facts.inbox, formats.PASSPHRASE)


def lock_confirm(tx: Tx, *, session: str, lock: str) -> None:
    """The new lock counts, and the pepper of the one before is destroyed. Denied("none-begun")."""
    live = person_of(tx, session)
    row = tx.one("SELECT * FROM inbox_locks WHERE id = ? AND state = 'begun'", lock)
    if row is None or live.facts.inbox is None or row["inbox"] != live.facts.inbox:
        raise refused(tx, live.facts.tenant, "factor:refused", "none-begun", object=lock, actor=live.actor)
    tx.run(
        "UPDATE inbox_locks SET pepper = NULL, state = 'ended' WHERE inbox = ? AND kind = ? AND state = 'live'",
        row["inbox"], row["kind"],
    )  # fmt: skip
    tx.run("UPDATE inbox_locks SET state = 'live' WHERE id = ?", lock)
    tx.destroyed = True
    record(tx, live.facts.tenant, "factor:enrolled", object=row["inbox"], actor=live.actor, reason="inbox-lock")


def close(tx: Tx, *, session: str) -> str | None:
    """End the person's inbox; its id. None where there is none: closing twice is no mistake.

    From the inbox itself, or from a session fresh enough to set one up.
    """
    live = person_of(tx, session)
    if live.facts.inbox is None:
        live = factors.enroller(tx, session)
    row = living(tx, live.facts.tenant, str(live.facts.person))
    if row is None:
        return None
    inbox_ends.end(tx, row, "closed", live.actor)
    return str(row["id"])


def person_of(tx: Tx, session: str) -> Live:
    """The live session of a recipient. Denied: no-session, not-a-recipient."""
    live = sessions.need(tx, session, "factor:refused")
    if live.facts.person is None:
        raise refused(tx, live.facts.tenant, "factor:refused", "not-a-recipient", actor=live.actor)
    return live


def has_factor(tx: Tx, tenant: str, person: str) -> bool:
    """Whether the person has what an inbox is opened with: a code app."""
    return bool(
        tx.number("SELECT COUNT(*) FROM totps WHERE tenant = ? AND person = ? AND state = 'live'", tenant, person)
    )


def living(tx: Tx, tenant: str, person: str) -> Any:
    """The person's inbox, verified, or None. Raises Tampered."""
    found = tx.one("SELECT id FROM inboxes WHERE tenant = ? AND person = ? AND state = 'live'", tenant, person)
    return None if found is None else row_of(tx, found["id"])


def older(tx: Tx, live: Live, message: Any) -> bool:
    """Whether a message is from before the inbox that this session covers: then it was for another key."""
    if live.facts.inbox is None:
        return False
    row = row_of(tx, live.facts.inbox)
    return row is None or row["made_us"] is None or message["deposited_us"] < row["made_us"]


def row_of(tx: Tx, inbox: str) -> Any:
    """An inbox, verified. Raises Tampered when its row was changed outside the keyholder."""
    row = tx.one("SELECT * FROM inboxes WHERE id = ?", inbox)
    if row is not None and bytes(row["mac"]) != _mac(tx, row):
        raise Tampered("an inbox's row in the keyholder's store was changed")
    return row


def pepper(tx: Tx, tenant: str, lock: Any) -> bytes:
    """The pepper of a lock that counts. Raises Tampered when it was moved or changed."""
    return custody.values(tx, tenant).open(_pepper_context(lock["id"]), bytes(lock["pepper"]))


def _lock(tx: Tx, tenant: str, inbox: str, kind: str) -> dict[str, str]:
    name, fresh = "lck_" + secrets.token_hex(12), os.urandom(formats.PEPPER_BYTES)
    sealed = custody.values(tx, tenant).seal(_pepper_context(name), fresh)
    tx.run("INSERT INTO inbox_locks VALUES (?, ?, ?, '', ?, 'begun', ?)", name, inbox, kind, sealed, tx.now_us)
    return {"lock": name, "pepper": b64(fresh)}


def _seal(tx: Tx, inbox: str) -> None:
    row = tx.one("SELECT * FROM inboxes WHERE id = ?", inbox)
    tx.run("UPDATE inboxes SET mac = ? WHERE id = ?", _mac(tx, row), inbox)


def _mac(tx: Tx, row: Any) -> bytes:
    values = [b64(bytes(row[name])) if name == "public" else row[name] for name in _FACTS]
    return tx.custody.mac("inbox", canonical(values))


def _pepper_context(lock: str) -> bytes:
    return b"inbox-pepper:" + lock.encode("ascii")
