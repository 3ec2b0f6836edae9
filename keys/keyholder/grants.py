"""Messages and grants as the keyholder knows them: reading them verified, narrowing them, never widening.

Promises: a row whose columns were changed outside the keyholder is refused (a MAC over all facts, under a key that the
KEK wraps); revoked, frozen and expired are read at each use; the end of a grant ends its sessions. DESIGN §4a.
"""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass
from typing import Any

from keys import access
from keys.datakey import ValueKey
from keys.encoding import canonical, lp
from keys.errors import Denied, Tampered
from keys.keyholder import custody, inbox_ends, passkey_rows, sessions
from keys.keyholder.calls import BadCall, is_id
from keys.keyholder.custody import DAY_US
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import Actor, receipt, record, refused

_MESSAGE_FACTS = (
    "id",
    "tenant",
    "sender_user",
    "expires_us",
    "day",
    "hold_until_us",
    "destroyed_us",
    "destroyed_index",
)
_GRANT_FACTS = (
    "id", "tenant", "message", "person", "kind", "floor", "expires_us", "revoked_us", "revoked_index", "frozen_us",
)  # fmt: skip


def seal_rows(tx: Tx, message: str) -> None:
    """Recompute the MACs of a message and its grants after a change made here."""
    for row in tx.all("SELECT * FROM messages WHERE id = ?", message):
        tx.run("UPDATE messages SET mac = ? WHERE id = ?", _mac(tx, "message", row, _MESSAGE_FACTS), message)
    for row in tx.all("SELECT * FROM grants WHERE message = ?", message):
        tx.run("UPDATE grants SET mac = ? WHERE id = ?", _mac(tx, "grant", row, _GRANT_FACTS), row["id"])


def message_row(tx: Tx, message: str) -> sqlite3.Row | None:
    """A message, verified. Raises Tampered when the row was changed outside the keyholder."""
    row = tx.one("SELECT * FROM messages WHERE id = ?", message)
    if row is not None and bytes(row["mac"]) != _mac(tx, "message", row, _MESSAGE_FACTS):
        raise Tampered("a message's row in the keyholder's store was changed")
    return row


def grant_row(tx: Tx, grant: str) -> sqlite3.Row | None:
    """A grant, verified. Raises Tampered when the row was changed outside the keyholder."""
    row = tx.one("SELECT * FROM grants WHERE id = ?", grant)
    if row is not None and bytes(row["mac"]) != _mac(tx, "grant", row, _GRANT_FACTS):
        raise Tampered("a grant's row in the keyholder's store was changed")
    return row


@dataclass(frozen=True, slots=True)
class Loaded:
    """A grant and its message, both verified in this transaction."""

    facts: access.GrantFacts
    grant: sqlite3.Row
    message: sqlite3.Row


def facts(tx: Tx, grant: str) -> access.GrantFacts | None:
    """What `access` must know of a grant; None when there is no such grant."""
    loaded = load(tx, grant)
    return None if loaded is None else loaded.facts


def load(tx: Tx, grant: str) -> Loaded | None:
    """A grant with its message's state. Raises Tampered as `grant_row` and `message_row` do."""
    row = grant_row(tx, grant)
    if row is None:
        return None
    message = message_row(tx, row["message"])
    if message is None:
        raise Tampered("a grant's message is missing from the keyholder's store")
    found = access.GrantFacts(
        tenant=row["tenant"], message=row["message"], person=row["person"], kind=row["kind"], floor=row["floor"],
        expires_us=min(row["expires_us"], message["expires_us"]), revoked_us=row["revoked_us"],
        frozen_us=row["frozen_us"], destroyed_us=message["destroyed_us"], held=row["secret"] is not None,
    )  # fmt: skip
    return Loaded(found, row, message)


def share(tx: Tx, message: sqlite3.Row) -> bytes:
    """S of a message. Raises Denied("destroyed"); Tampered when the sealed value was moved or changed."""
    if message["share"] is None:
        raise Denied("destroyed")
    key = resting_key(tx, message)
    return key.open(share_context(message["tenant"], message["id"], message["expires_us"]), bytes(message["share"]))


def secret(tx: Tx, grant: sqlite3.Row, message: sqlite3.Row) -> bytes:
    """R of a review or staff grant. Raises Denied("not-held") when it was destroyed."""
    if grant["secret"] is None:
        raise Denied("not-held")
    key = resting_key(tx, message)
    return key.open(secret_context(message["tenant"], message["id"], grant["id"]), bytes(grant["secret"]))


def resting_key(tx: Tx, message: sqlite3.Row) -> ValueKey:
    """Under which S and every R of a message lie: the key of its day, or of a legal hold. Denied("destroyed")."""
    if message["under_hold"]:
        return custody.hold_key(tx, message["tenant"], message["day"])
    return custody.day_key(tx, message["tenant"], message["day"])


def share_context(tenant: str, message: str, expires_us: int) -> bytes:
    """What a sealed S is bound to."""
    return lp("sealgate/keyholder/share/v1", tenant, message, expires_us)


def secret_context(tenant: str, message: str, grant: str) -> bytes:
    """What a sealed R is bound to."""
    return lp("sealgate/keyholder/secret/v1", tenant, message, grant)


def grant_state(tx: Tx, *, tenant: str, grants: list[Any]) -> dict[str, Any]:
    """The state of up to 1,000 grants of one tenant; those of others are unknown."""
    if not all(map(is_id, grants)):
        raise BadCall
    answer: dict[str, Any] = {}
    for name in grants[:1000]:
        found = facts(tx, name)
        if found is None or found.tenant != tenant:
            answer[name] = {"state": "unknown", "expires_us": None, "revoked_us": None, "receipt": None}
            continue
        index = tx.number("SELECT revoked_index FROM grants WHERE id = ?", name)
        answer[name] = {
            "state": access.grant_state(found, tx.now_us), "expires_us": found.expires_us,
            "revoked_us": found.revoked_us,
            "receipt": receipt(tx, tenant, index) if found.revoked_us is not None else None,
        }  # fmt: skip
    return answer


def narrow(
    tx: Tx, *, tenant: str, message: str, grant: str | None, change: dict[str, Any], actor: str, request: str
) -> dict[str, Any]:
    """Revoke or shorten, as the worker asks (queue, start-up completion, expiry by policy)."""
    return apply(tx, tenant, message, grant, change, ("worker", actor), request, None)


def narrow_as(
    tx: Tx, *, session: str, message: str, grant: str | None, change: dict[str, Any], request: str
) -> dict[str, Any]:
    """Revoke or shorten with a staff member's session."""
    live = sessions.need(tx, session, "grant:refused", object=grant or message, request=request)
    row = message_row(tx, message)
    sender = None if row is None else row["sender_user"]
    verdict = access.may_narrow(live.facts, "" if row is None else row["tenant"], sender)
    if isinstance(verdict, access.Denial):
        raise refused(
            tx, live.facts.tenant, "grant:refused", verdict.reason, object=grant or message, actor=live.actor,
            proof=live.facts.proof, request=request,
        )  # fmt: skip
    return apply(tx, live.facts.tenant, message, grant, change, live.actor, request, live.facts.proof)


def apply(
    tx: Tx, tenant: str, message: str, grant: str | None, change: dict[str, Any], actor: Actor, request: str,
    proof: int | None,
) -> dict[str, Any]:  # fmt: skip
    """One narrowing, its record and receipt. Anything that would widen is refused."""
    row = message_row(tx, message)
    target = grant or message
    grants = [] if row is None else tx.all("SELECT id FROM grants WHERE message = ? ORDER BY id", message)
    names = _with_inbox(tx, [name["id"] for name in grants if grant is None or name["id"] == grant])
    if row is None or row["tenant"] != tenant or not names:
        raise refused(tx, tenant, "grant:refused", "unknown", object=target, actor=actor, request=request)
    if row["destroyed_us"] is not None:
        raise refused(tx, tenant, "grant:refused", "destroyed", object=target, actor=actor, request=request)
    if change == {"revoke": True}:
        index = record(
            tx, tenant, "grant:narrowed", object=target, actor=actor, reason="revoked", proof=proof, request=request
        )
        for name in names:
            tx.run(
                "UPDATE grants SET revoked_us = ?, revoked_index = ? WHERE id = ? AND revoked_us IS NULL",
                tx.now_us, index, name,
            )  # fmt: skip
        sessions.end_of_grants(tx, names)
    else:
        until = change.get("expires_us")
        if set(change) != {"expires_us"} or not isinstance(until, int) or isinstance(until, bool) or until < 0:
            raise refused(tx, tenant, "grant:refused", "bad-change", object=target, actor=actor, request=request)
        limits = [tx.number("SELECT expires_us FROM grants WHERE id = ?", name) for name in names]
        if until > min(row["expires_us"], max(limits)):
            raise refused(tx, tenant, "grant:refused", "wider", object=target, actor=actor, request=request)
        index = record(
            tx, tenant, "grant:narrowed", object=target, actor=actor, reason="shortened", proof=proof, request=request
        )
        for name in names:
            tx.run("UPDATE grants SET expires_us = MIN(expires_us, ?) WHERE id = ?", until, name)
        if grant is None and not row["under_hold"]:  # what a hold keeps past its day has no day to be moved to
            _move(tx, row, until)
    seal_rows(tx, message)
    return receipt(tx, tenant, index)


def _with_inbox(tx: Tx, names: list[str]) -> list[str]:
    """These grants, and the inbox of each one's person on the same message: who takes a link back means the person.

    Not where a new link took its place (`recoveries`, `staff_acts`).
    """
    more = [
        other["id"]
        for name in names
        for other in tx.all(
            "SELECT o.id FROM grants o JOIN grants g ON g.message = o.message AND g.person = o.person "
            "WHERE g.id = ? AND g.kind = 'link' AND o.kind = 'inbox' AND NOT EXISTS (SELECT 1 FROM grants l WHERE "
            "l.message = g.message AND l.person = g.person AND l.kind = 'link' AND l.id <> g.id "
            "AND l.revoked_us IS NULL)",
            name,
        )
    ]
    return list(dict.fromkeys((*names, *more)))


def of_person(tx: Tx, tenant: str, person: str) -> list[Loaded]:
    """A person's live link grants, verified, in order of id. Raises Tampered as `load` does."""
    names = tx.all(
        "SELECT id FROM grants WHERE tenant = ? AND person = ? AND kind = 'link' ORDER BY id", tenant, person
    )
    found = [load(tx, row["id"]) for row in names]
    return [one for one in found if one is not None and access.grant_state(one.facts, tx.now_us) == "live"]


def tell(tx: Tx, tenant: str, person: str, kind: str, about: str = "") -> None:
    """Queue news for the worker, past the portal: see `people.take_changes`."""
    tx.run(
        "INSERT INTO news VALUES (?, ?, ?, ?, ?, ?)",
        "chg_" + secrets.token_hex(12), tenant, person, kind, about, tx.now_us,
    )  # fmt: skip


def freeze(tx: Tx, grant: access.GrantFacts, name: str, person: str, since_us: int) -> None:
    """Freeze every live grant of that person on that message until staff decide: a staff code was used twice.

    What was enrolled behind that code since `since_us` ends: it would open other messages a day later.
    """
    _freeze(tx, grant.message, person)
    record(tx, grant.tenant, "grant:frozen", object=name, actor=("person", person), reason="second-redeemer")
    _end_behind(tx, grant.tenant, person, "staff", since_us)


def freeze_all(tx: Tx, grant: access.GrantFacts, name: str, person: str, since_us: int) -> None:
    """Freeze all live messages of that person: the card that was used twice opened any of them. News for the worker."""
    for one in of_person(tx, grant.tenant, person):
        _freeze(tx, one.facts.message, person)
        about = one.grant["id"]
        record(tx, grant.tenant, "grant:frozen", object=about, actor=("person", person), reason="second-redeemer")
    _end_behind(tx, grant.tenant, person, "card", since_us)
    tell(tx, grant.tenant, person, "frozen", name)


def _end_behind(tx: Tx, tenant: str, person: str, method: str, since_us: int) -> None:
    """End the sessions, browsers, authenticators and passkeys that stand on such a code since then."""
    behind = (tenant, person, method, since_us)
    tx.run("DELETE FROM sessions WHERE tenant = ? AND person = ? AND first_method = ? AND made_us >= ?", *behind)
    tx.run("DELETE FROM devices WHERE tenant = ? AND person = ? AND first_method = ? AND made_us >= ?", *behind)
    killed = tx.run(
        "UPDATE totps SET state = 'dead' WHERE tenant = ? AND person = ? AND first_method = ? AND begun_us >= ? "
        "AND state != 'dead'",
        *behind,
    )
    if killed:
        record(tx, tenant, "factor:killed", object=person, reason="second-redeemer")
    passkey_rows.end(tx, tenant, person, "second-redeemer", first_method=method, since_us=since_us)
    passkey_rows.codes_end(tx, tenant, person, method, since_us)
    inbox_ends.behind(tx, tenant, person, method, since_us, "second-redeemer")


def _freeze(tx: Tx, message: str, person: str) -> None:
    tx.run(
        "UPDATE grants SET frozen_us = ? WHERE message = ? AND person = ? AND frozen_us IS NULL",
        tx.now_us, message, person,
    )  # fmt: skip
    seal_rows(tx, message)


def unfreeze(tx: Tx, *, session: str, grant: str) -> dict[str, Any]:
    """Thaw what a second redeemer froze; staff codes of these grants and the person's cards are void."""
    live = sessions.need(tx, session, "grant:refused", object=grant)
    found = facts(tx, grant)
    verdict = access.Denial("unknown") if found is None else access.may_unfreeze(live.facts, found, tx.now_us)
    if found is None or isinstance(verdict, access.Denial):
        reason = verdict.reason if isinstance(verdict, access.Denial) else "unknown"
        raise refused(tx, live.facts.tenant, "grant:refused", reason, object=grant, actor=live.actor)
    same = "SELECT id FROM grants WHERE message = ? AND person = ?"
    for row in tx.all(same, found.message, found.person):
        tx.run("UPDATE codes SET dead_us = ? WHERE grant_id = ? AND kind = 'staff'", tx.now_us, row["id"])
        tx.run("UPDATE grants SET frozen_us = NULL WHERE id = ?", row["id"])
    tx.run(
        "UPDATE cards SET dead_us = ? WHERE tenant = ? AND person = ? AND dead_us IS NULL",
        tx.now_us, found.tenant, found.person,
    )  # fmt: skip
    seal_rows(tx, found.message)
    index = record(
        tx, found.tenant, "grant:unfrozen", object=grant, actor=live.actor, reason="staff", proof=live.facts.proof
    )
    return receipt(tx, found.tenant, index)


def _move(tx: Tx, row: sqlite3.Row, until: int) -> None:
    """Shorten a whole message: S and every R move under the earlier day's key, the old ciphertexts are overwritten."""
    held = [g for g in tx.all("SELECT * FROM grants WHERE message = ?", row["id"]) if g["secret"] is not None]
    secrets = {g["id"]: secret(tx, g, row) for g in held}
    plain = share(tx, row)
    day = max(until, tx.now_us) // DAY_US  # never a day whose key may be gone already
    key = custody.day_key(tx, row["tenant"], day, make=True)
    tx.run(
        "UPDATE messages SET expires_us = ?, day = ?, share = ? WHERE id = ?",
        until, day, key.seal(share_context(row["tenant"], row["id"], until), plain), row["id"],
    )  # fmt: skip
    for name, value in secrets.items():
        sealed = key.seal(secret_context(row["tenant"], row["id"], name), value)
        tx.run("UPDATE grants SET secret = ? WHERE id = ?", sealed, name)
    tx.destroyed = True


def _mac(tx: Tx, kind: str, row: sqlite3.Row, names: tuple[str, ...]) -> bytes:
    values = [row[name] for name in names]
    if kind == "message" and (row["under_hold"] or row["owed_us"] is not None):
        values += [row["under_hold"], row["owed_us"]]  # without a hold as before there were holds
    return tx.custody.mac("row", kind, canonical(values))
