"""Passkeys (WebAuthn): what recipients and staff set up, and the one check behind every use.

Promises: a passkey is registered and checked here and nowhere else, for the portal host of the tenant's signed settings
(`assertions.site_of`), with user verification; its public key lies under a MAC with everything that bounds its use, so
that who writes into the store gains nothing; a signature counter that does not grow kills it, for then there are two of
it; a hundred failures in a row kill it as well. What is set up opens other messages a day later, like any lasting
factor: an authenticator shows nobody what a challenge is for, so an answer to a portal in the wrong hands is worth what
a typed code is (decisions 0035, 0041). The output of the PRF extension never comes here. DESIGN §4 (proofs), §4b 1; W3C
WebAuthn Level 3 7; NIST SP 800-63B-4 3.1.7.
"""

from __future__ import annotations

import secrets
import sqlite3
from typing import Any

from keys import access
from keys.keyholder import assertions, challenges, custody, factors, grants, sessions, staff, texts, tries
from keys.keyholder.assertions import Site, b64url
from keys.keyholder.challenges import Bound
from keys.keyholder.database import Recorded, Tx
from keys.keyholder.passkey_rows import PERSON, USER, Owner, kill, owned, seal
from keys.keyholder.releaselog import record, refused
from keys.keyholder.sessions import Live
from keys.keyholder.tenants import body_of
from keys.keyholder.wire import b64

NAME_LETTERS = 60


def site(tx: Tx, tenant: str) -> Site | None:
    """Where the tenant's passkeys live, by its signed settings; None where it has no name that passkeys can be for."""
    return assertions.site_of(str(body_of(tx, tenant).get("public_url") or ""))


def has_passkey(tx: Tx, grant: access.GrantFacts) -> bool:
    """Whether the grant's person has a passkey that may open this message now."""
    return site(tx, grant.tenant) is not None and bool(_entering(tx, grant))


def passkey_ask(tx: Tx, *, grant: str, visitor: str) -> dict[str, Any]:
    """What the browser needs for `navigator.credentials.get`: a challenge for this message, in this browser.

    Denied: unknown, no-passkey, too-many, or the grant's state.
    """
    found = _link(tx, grant)
    reason = access.grant_state(found, tx.now_us)
    if reason != "live":
        raise _no(tx, found, grant, reason)
    if tries.left(tx, found.tenant, _subject(found)) == 0:
        raise _no(tx, found, grant, "too-many")
    here, rows = site(tx, found.tenant), _entering(tx, found)
    if here is None or not rows:
        raise _no(tx, found, grant, "no-passkey")
    return asked(tx, here, _opening(tx, found, visitor), rows, Owner(found.tenant, PERSON, str(found.person)))


def passkey_open(
    holder: staff.House, *, grant: str, visitor: str, ticket: bytes, answer: dict[str, Any]
) -> dict[str, Any]:
    """A session at proof level 3 for the answer to that challenge.

    Denied: wrong, expired, used (of the challenge), cloned, too-new, too-many, or the grant's state; `tries_left`.
    """
    assertions.ready()
    return holder.database.run(lambda tx: _open(tx, grant, visitor, ticket, answer))


def passkey_begin(tx: Tx, *, session: str) -> dict[str, Any]:
    """What the browser needs for `navigator.credentials.create`. Denied: as `factors.enroller`, enough, no-host."""
    live = factors.enroller(tx, session)
    owner = owner_of(live)
    here, rows = site(tx, owner.tenant), owned(tx, owner)
    if here is None or len(rows) >= tx.limits.passkeys_per_owner:
        reason = "no-host" if here is None else "enough"
        raise refused(tx, owner.tenant, "factor:refused", reason, object=owner.id, actor=live.actor)
    about = live.facts.message or ""
    return asked(tx, here, Bound(challenges.ENROL, owner.tenant, about, owner.id, live.mac), rows, owner)


def passkey_enrol(
    holder: staff.House, *, session: str, ticket: bytes, answer: dict[str, Any], name: str
) -> dict[str, Any]:
    """Keep the credential that was made for that challenge: its id as ``passkey``. The person is told.

    Denied: as `passkey_begin` says, and wrong, expired, used, taken.
    """
    assertions.ready()

    def work(tx: Tx) -> dict[str, Any]:
        live = factors.enroller(tx, session)
        owner, about = owner_of(live), live.facts.message or ""
        bound = Bound(challenges.ENROL, owner.tenant, about, owner.id, live.mac)
        made = keep(
            tx, live, owner, bound, ticket, answer, name,
            first_method=live.row["first_method"], message=about,
            wide_from_us=factors.wide_from(tx, live, lasting=True),
        )  # fmt: skip
        grants.tell(tx, owner.tenant, owner.id, factors.ENROLLED, made)
        return {"passkey": made}

    return holder.database.run(work)


def passkeys(tx: Tx, *, session: str) -> dict[str, Any]:
    """What the session's holder has: ``passkeys`` (id, name, made_us, used_us, wide_from_us), oldest first; how many
    ``apps`` and unused recovery ``codes``; whether there can be ``more``. Denied: no-session, proof-too-low.
    """
    live = sessions.need(tx, session, "factor:refused")
    if live.facts.proof < access.SECOND_FACTOR:
        raise refused(tx, live.facts.tenant, "factor:refused", "proof-too-low", actor=live.actor)
    owner = owner_of(live)
    rows = owned(tx, owner)
    return {
        "passkeys": [
            {"id": row["id"], "name": _name(tx, row), "made_us": row["made_us"], "used_us": row["used_us"],
             "wide_from_us": row["wide_from_us"]}
            for row in rows
        ],
        "apps": factors.apps(tx, owner.tenant, owner.id) if owner.kind == PERSON else 1,
        "codes": tx.number(
            "SELECT COUNT(*) FROM recovery_codes WHERE tenant = ? AND kind = ? AND owner = ? AND used_us IS NULL",
            owner.tenant, owner.kind, owner.id,
        ),
        "more": site(tx, owner.tenant) is not None and len(rows) < tx.limits.passkeys_per_owner,
    }  # fmt: skip


def passkey_remove(tx: Tx, *, session: str, passkey: str) -> None:
    """Take one of one's own away. Denied: as `factors.enroller` says, unknown, last-factor."""
    live = factors.enroller(tx, session)
    owner = owner_of(live)
    ids = [row["id"] for row in owned(tx, owner)]
    apps = factors.apps(tx, owner.tenant, owner.id)
    if ids == [passkey] and not apps and texts.number_of(tx, owner.tenant, owner.id) is None:
        raise refused(tx, owner.tenant, "factor:refused", "last-factor", object=passkey, actor=live.actor)
    remove(tx, live, owner, passkey)


def remove(tx: Tx, live: Live, owner: Owner, passkey: str) -> None:
    """Denied("unknown") for what is not the owner's."""
    if passkey not in [row["id"] for row in owned(tx, owner)]:
        raise refused(tx, owner.tenant, "factor:refused", "unknown", object=passkey, actor=live.actor)
    tx.run("DELETE FROM passkeys WHERE id = ?", passkey)
    record(tx, owner.tenant, "factor:removed", object=passkey, actor=live.actor, reason="passkey")


def owner_of(live: Live) -> Owner:
    """Whose a session is."""
    if live.facts.user is not None:
        return Owner(live.facts.tenant, USER, live.facts.user)
    return Owner(live.facts.tenant, PERSON, str(live.facts.person))


def asked(tx: Tx, here: Site, bound: Bound, rows: list[sqlite3.Row], owner: Owner | None) -> dict[str, Any]:
    """A challenge with what goes to the browser beside it. What browsers read is base64url, the ticket base64."""
    challenge, ticket = challenges.ask(tx, bound)
    return {
        "challenge": b64url(challenge), "ticket": b64(ticket), "rp_id": here.host,
        "credentials": [b64url(bytes(row["credential"])) for row in rows],
        "user": b64url(owner.handle) if owner is not None else "",
        "prf_salt": b64url(owner.prf_salt) if owner is not None else "",
    }  # fmt: skip


def keep(
    tx: Tx, live: Live, owner: Owner, bound: Bound, ticket: bytes, answer: dict[str, Any], name: str, *,
    first_method: str, message: str, wide_from_us: int,
) -> str:  # fmt: skip
    """A new passkey's id. Denied: wrong, expired, used, taken, enough, no-host."""

    def no(reason: str) -> Recorded:
        return refused(tx, owner.tenant, "factor:refused", reason, object=owner.id, actor=live.actor)

    here = site(tx, owner.tenant)
    if here is None:
        raise no("no-host")
    if len(owned(tx, owner)) >= tx.limits.passkeys_per_owner:
        raise no("enough")
    challenge = challenges.take(tx, bound, ticket)
    if isinstance(challenge, str):
        raise no(challenge)
    made = assertions.registered(answer, challenge, here)
    if made is None:
        raise no("wrong")
    if tx.one("SELECT 1 FROM passkeys WHERE credential = ?", made.credential) is not None:
        raise no("taken")
    id = "pky_" + secrets.token_hex(12)
    said = " ".join("".join(c if c.isprintable() else " " for c in name).split())[:NAME_LETTERS]
    sealed = custody.values(tx, owner.tenant).seal(b"passkey:" + id.encode("ascii"), said.encode("utf-8"))
    tx.run(
        "INSERT INTO passkeys VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'live', ?, ?, ?, ?, NULL, 0, ?)",
        id, owner.tenant, owner.kind, owner.id, made.credential, made.public, made.counter, sealed,
        first_method, message, wide_from_us, tx.now_us, b"",
    )  # fmt: skip
    seal(tx, id)
    record(tx, owner.tenant, "factor:enrolled", object=id, actor=live.actor, reason="passkey", proof=live.facts.proof)
    return id


def check(tx: Tx, owner: Owner, bound: Bound, ticket: bytes, answer: dict[str, Any]) -> sqlite3.Row | str:
    """The owner's passkey that gave this answer to that challenge, its counter moved on; or ``wrong``, ``expired``,
    ``used``, ``cloned``. Counting a try is the caller's.
    """
    here = site(tx, owner.tenant)
    challenge = challenges.take(tx, bound, ticket)
    if isinstance(challenge, str):
        return challenge
    named = assertions.credential_of(answer)
    row = next((row for row in owned(tx, owner) if bytes(row["credential"]) == named), None)
    if here is None or row is None:
        return "wrong"
    counter = assertions.asserted(answer, challenge, here, bytes(row["public"]))
    if counter is None:
        tx.run("UPDATE passkeys SET failures = failures + 1 WHERE id = ?", row["id"])
        seal(tx, row["id"])
        if row["failures"] + 1 >= tx.limits.factor_failures:
            kill(tx, row, "failures")
        return "wrong"
    if (counter > 0 or row["counter"] > 0) and counter <= row["counter"]:
        kill(tx, row, "cloned")
        return "cloned"
    tx.run("UPDATE passkeys SET counter = ?, used_us = ?, failures = 0 WHERE id = ?", counter, tx.now_us, row["id"])
    seal(tx, row["id"])
    return row


def _open(tx: Tx, grant: str, visitor: str, ticket: bytes, answer: dict[str, Any]) -> dict[str, Any]:
    found = _link(tx, grant)
    reason = access.grant_state(found, tx.now_us)
    if reason != "live":
        raise _no(tx, found, grant, reason)
    subject = _subject(found)
    if tries.left(tx, found.tenant, subject) == 0:
        raise _no(tx, found, grant, "too-many")
    owner = Owner(found.tenant, PERSON, str(found.person))
    row = check(tx, owner, _opening(tx, found, visitor), ticket, answer)
    if isinstance(row, str):
        if row in ("wrong", "cloned"):
            tries.failed(tx, found.tenant, subject)
        raise _no(tx, found, grant, row)
    allowed = factors.may_enter(tx, row, found)
    if isinstance(allowed, access.Denial):
        raise _no(tx, found, grant, allowed.reason)
    tries.clear(tx, found.tenant, subject)
    return sessions.make(
        tx, tenant=found.tenant, proof=access.PASSKEY, method="passkey", person=found.person, message=found.message,
        grant=grant, first_method=row["first_method"], wide_from_us=row["wide_from_us"],
    )  # fmt: skip


def _link(tx: Tx, grant: str) -> access.GrantFacts:
    found = grants.facts(tx, grant)
    if found is None or found.kind != "link" or found.person is None:
        raise refused(tx, None, "session:refused", "unknown", object=grant)
    return found


def _opening(tx: Tx, found: access.GrantFacts, visitor: str) -> Bound:
    where = tx.custody.mac("visitor", visitor)
    return Bound(challenges.OPEN, found.tenant, found.message, str(found.person), where)


def _entering(tx: Tx, grant: access.GrantFacts) -> list[sqlite3.Row]:
    rows = owned(tx, Owner(grant.tenant, PERSON, str(grant.person)))
    return [row for row in rows if isinstance(factors.may_enter(tx, row, grant), access.Permit)]


def _subject(found: access.GrantFacts) -> str:
    return "person:" + str(found.person)


def _no(tx: Tx, found: access.GrantFacts, grant: str, reason: str) -> Recorded:
    subject = _subject(found)
    data = {
        "tries_left": tries.left(tx, found.tenant, subject),
        "locked_until_us": tries.locked_until(tx, found.tenant, subject),
    }
    return refused(
        tx, found.tenant, "session:refused", reason, data=data, object=grant, actor=("person", str(found.person))
    )


def _name(tx: Tx, row: sqlite3.Row) -> str:
    opened = custody.values(tx, row["tenant"]).open(b"passkey:" + row["id"].encode("ascii"), bytes(row["name"]))
    return opened.decode("utf-8")
