"""Lasting factors: TOTP (RFC 6238) and remembered devices, per person and tenant.

Promises: a TOTP code is taken once, its time step is kept; a factor is enrolled only from a fresh session that proved
another one; whatever is enrolled opens other messages only after a day, so that a portal in the wrong hands makes of
one typed code no key to a person's other messages before that person has been told; that bound, and behind which proof
it all began, pass on to what is enrolled with it; a device token is kept as its HMAC. RFC 6238 5.2 (one use), NIST SP
800-63B-4; DESIGN §4.
"""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from typing import Any

import pyotp

from keys import access
from keys.errors import Denied
from keys.keyholder import custody, grants, sessions, texts, tries
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import record, refused
from keys.keyholder.sessions import SECOND_US, Live
from keys.keyholder.tenants import body_of
from keys.keyholder.wire import b64

STEP_SECONDS = 30
ENROLLED = "enrolled"
"""News that a person has a new lasting factor, told to that person past the portal."""
_DAY_US = 86_400 * SECOND_US


def matching_steps(secret: str, code: str, now_us: int) -> list[int]:
    """The time steps, now and one to each side, whose code this is."""
    totp = pyotp.TOTP(secret)
    here = now_us // SECOND_US // STEP_SECONDS
    moments = {step: datetime.fromtimestamp(step * STEP_SECONDS, UTC) for step in (here - 1, here, here + 1)}
    return [step for step, moment in moments.items() if totp.verify(code, for_time=moment, valid_window=0)]


def accept(secret: str, code: str, last_step: int, now_us: int) -> int | str:
    """The accepted step; ``"used"`` when only steps up to the last accepted one match; ``"wrong"``."""
    steps = matching_steps(secret, code, now_us)
    later = [step for step in steps if step > last_step]
    if later:
        return min(later)
    return "used" if steps else "wrong"


def try_totp(tx: Tx, grant: access.GrantFacts, person: str, code: str) -> dict[str, Any] | str:
    """The person's factor that this code proves, its step spent; or ``wrong``, ``used``, ``too-new``."""
    verdict = "wrong"
    rows = tx.all(
        "SELECT * FROM totps WHERE tenant = ? AND person = ? AND state = 'live' ORDER BY id", grant.tenant, person
    )
    for row in rows:
        outcome = accept(_secret(tx, row), code, row["last_step"], tx.now_us)
        if isinstance(outcome, int):
            allowed = may_enter(tx, row, grant)
            if isinstance(allowed, access.Denial):
                return allowed.reason
            tx.run("UPDATE totps SET last_step = ?, failures = 0 WHERE id = ?", outcome, row["id"])
            return {"id": row["id"], "first_method": row["first_method"], "wide_from_us": row["wide_from_us"]}
        if outcome == "used":
            verdict = "used"
    if verdict == "wrong":
        tx.run(
            "UPDATE totps SET failures = failures + 1 WHERE tenant = ? AND person = ? AND state = 'live'",
            grant.tenant, person,
        )  # fmt: skip
        dead = "UPDATE totps SET state = 'dead' WHERE tenant = ? AND person = ? AND state = 'live' AND failures >= ?"
        if tx.run(dead, grant.tenant, person, tx.limits.factor_failures):
            record(tx, grant.tenant, "factor:killed", object=person, reason="failures")
    return verdict


def prove_at_large(tx: Tx, tenant: str, person: str, code: str) -> dict[str, Any] | str:
    """The person's code app that this code proves, its step spent, for no message of its own; or ``wrong``, ``used``,
    ``too-new``.

    Failures are the caller's to count: who knows an address but no link must not wear out the person's app.
    """
    verdict = "wrong"
    rows = tx.all("SELECT * FROM totps WHERE tenant = ? AND person = ? AND state = 'live' ORDER BY id", tenant, person)
    for row in rows:
        outcome = accept(_secret(tx, row), digits(code), row["last_step"], tx.now_us)
        if isinstance(outcome, int):
            if tx.now_us < row["wide_from_us"]:
                return "too-new"
            tx.run("UPDATE totps SET last_step = ? WHERE id = ?", outcome, row["id"])
            return {"id": row["id"], "first_method": row["first_method"]}
        verdict = "used" if outcome == "used" else verdict
    return verdict


def has_totp(tx: Tx, grant: access.GrantFacts) -> bool:
    """Whether the grant's person has an authenticator that may open this message now."""
    rows = tx.all(
        "SELECT message, wide_from_us, first_method FROM totps WHERE tenant = ? AND person = ? AND state = 'live'",
        grant.tenant, grant.person,
    )  # fmt: skip
    return any(isinstance(may_enter(tx, row, grant), access.Permit) for row in rows)


def apps(tx: Tx, tenant: str, person: str) -> int:
    """How many authenticators a person has."""
    return tx.number("SELECT COUNT(*) FROM totps WHERE tenant = ? AND person = ? AND state = 'live'", tenant, person)


def has_device(tx: Tx, grant: access.GrantFacts) -> bool:
    """Whether the grant's person has a remembered browser that may open this message now."""
    rows = tx.all(
        "SELECT message, wide_from_us, first_method FROM devices WHERE tenant = ? AND person = ? AND expires_us > ?",
        grant.tenant, grant.person, tx.now_us,
    )  # fmt: skip
    return any(isinstance(may_enter(tx, row, grant), access.Permit) for row in rows)


def totp_begin(tx: Tx, *, session: str) -> dict[str, str]:
    """A fresh secret, not yet in force. Denied: no-session, not-a-recipient, stale, enough."""
    live = enroller(tx, session)
    tenant, person = live.facts.tenant, str(live.facts.person)
    if apps(tx, tenant, person) >= tx.limits.totps_per_person:
        raise refused(tx, tenant, "factor:refused", "enough", object=person, actor=live.actor)
    secret = pyotp.random_base32()
    name = "fac_" + secrets.token_hex(12)
    tx.run("DELETE FROM totps WHERE tenant = ? AND person = ? AND state = 'begun'", tenant, person)
    tx.run(
        "INSERT INTO totps VALUES (?, ?, ?, ?, 'begun', ?, ?, ?, ?, ?, 0, 0)",
        name, tenant, person, custody.values(tx, tenant).seal(_totp_context(name), secret.encode("ascii")),
        tx.now_us, live.mac, live.row["first_method"], live.facts.message or "", wide_from(tx, live, lasting=True),
    )  # fmt: skip
    record(tx, tenant, "factor:begun", object=name, actor=live.actor, reason="totp", proof=live.facts.proof)
    label = body_of(tx, tenant).get("display_name") or _tenant_name(tx, tenant)
    uri = pyotp.TOTP(secret).provisioning_uri(name="secure messages", issuer_name=str(label))
    return {"uri": uri, "secret": secret}


def totp_confirm(tx: Tx, *, session: str, code: str) -> dict[str, str]:
    """Put the begun factor in force with its first code, which is thereby spent."""
    live = enroller(tx, session)
    tenant, person = live.facts.tenant, str(live.facts.person)
    row = tx.one("SELECT * FROM totps WHERE tenant = ? AND person = ? AND state = 'begun'", tenant, person)
    if row is None or bytes(row["session"]) != live.mac:
        raise refused(tx, tenant, "factor:refused", "none-begun", object=person, actor=live.actor)
    subject = "person:" + person
    if tries.left(tx, tenant, subject) == 0:
        raise refused(tx, tenant, "factor:refused", "too-many", object=row["id"], actor=live.actor)
    outcome = accept(_secret(tx, row), digits(code), 0, tx.now_us)
    if isinstance(outcome, str):
        tries.failed(tx, tenant, subject)
        raise refused(tx, tenant, "factor:refused", outcome, object=row["id"], actor=live.actor)
    tx.run("UPDATE totps SET state = 'live', last_step = ?, failures = 0 WHERE id = ?", outcome, row["id"])
    record(tx, tenant, "factor:enrolled", object=row["id"], actor=live.actor, reason="totp", proof=live.facts.proof)
    grants.tell(tx, tenant, person, ENROLLED, row["id"])
    return {"factor": row["id"]}


def remember(tx: Tx, *, session: str) -> dict[str, Any]:
    """Remember this browser: a token for its cookie. Denied("not-allowed") where the tenant switched it off."""
    live = enroller(tx, session)
    tenant, person = live.facts.tenant, str(live.facts.person)
    if not may_remember(tx, tenant):
        raise refused(tx, tenant, "factor:refused", "not-allowed", object=person, actor=live.actor)
    token = os.urandom(32)
    expires_us = tx.now_us + tx.limits.device_days * _DAY_US
    tx.run(
        "INSERT INTO devices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        tx.custody.mac("device", token), tenant, person, tx.now_us, expires_us, live.row["first_method"],
        live.row["first_proof_us"], live.facts.message or "", wide_from(tx, live),
    )  # fmt: skip
    reason = live.row["method"]
    record(tx, tenant, "device:remembered", object=person, actor=live.actor, reason=reason, proof=live.facts.proof)
    grants.tell(tx, tenant, person, ENROLLED)
    return {"device": b64(token), "expires_us": expires_us}


def use_device(tx: Tx, *, grant: str, device: bytes, visitor: str) -> dict[str, Any]:
    """A session for a remembered browser, recorded with when and how the person first proved themself."""
    found = grants.facts(tx, grant)
    if found is None or found.kind != "link":
        raise refused(tx, None, "session:refused", "unknown", object=grant)
    row = tx.one("SELECT * FROM devices WHERE mac = ?", tx.custody.mac("device", device))
    reason = access.grant_state(found, tx.now_us)
    if reason == "live":
        reason = "unknown-device"
        if row is not None and row["tenant"] == found.tenant and row["person"] == found.person:
            verdict = may_enter(tx, row, found)
            if tx.now_us < row["expires_us"] and may_remember(tx, found.tenant):
                reason = verdict.reason if isinstance(verdict, access.Denial) else ""
    if reason or row is None:
        raise refused(tx, found.tenant, "session:refused", reason, object=grant)
    return sessions.make(
        tx, tenant=found.tenant, proof=access.SECOND_FACTOR, method="device", person=found.person,
        message=found.message, grant=grant, first_method=row["first_method"], first_proof_us=row["first_proof_us"],
        wide_from_us=row["wide_from_us"],
    )  # fmt: skip


def forget_devices(tx: Tx, *, session: str) -> int:
    """Forget all of the person's browsers."""
    live = sessions.need(tx, session, "factor:refused")
    if live.facts.person is None:
        raise refused(tx, live.facts.tenant, "factor:refused", "not-a-recipient", actor=live.actor)
    gone = tx.run("DELETE FROM devices WHERE tenant = ? AND person = ?", live.facts.tenant, live.facts.person)
    record(tx, live.facts.tenant, "device:forgotten", object=live.facts.person, actor=live.actor)
    return gone


def digits(code: str) -> str:
    """The ASCII digits of what was typed or pasted: spaces and hyphens are people's, not the code's."""
    return "".join(c for c in code if c in "0123456789")


def may_remember(tx: Tx, tenant: str) -> bool:
    """Off where the signed settings say so, and under `strict` unless they say otherwise."""
    body = body_of(tx, tenant)
    return body.get("remembered_device", body.get("policy") != "strict") is True


def enroller(tx: Tx, session: str) -> Live:
    """A recipient's session fresh enough to bind something lasting to."""
    live = sessions.need(tx, session, "factor:refused")
    reason = None
    if live.facts.person is None:
        reason = "not-a-recipient"
    elif live.facts.proof < access.SECOND_FACTOR:
        reason = "proof-too-low"
    elif live.row["method"] == "device" or (
        tx.now_us - live.row["made_us"] > tx.limits.enrol_within_seconds * SECOND_US
    ):
        reason = "stale"
    if reason is not None:
        raise refused(tx, live.facts.tenant, "factor:refused", reason, actor=live.actor)
    return live


def wide_from(tx: Tx, live: Live, *, lasting: bool = False) -> int:
    """From when on what this session enrols may open other messages than its own: in a day at the earliest.

    `lasting`: it is an app, a passkey or a set of codes; behind a recovery code these need no day of their own.
    """
    if lasting and live.row["method"] == "recovery":
        return max(int(live.row["wide_from_us"]), tx.now_us)
    return max(int(live.row["wide_from_us"]), tx.now_us + tx.limits.young_factor_seconds * SECOND_US)


def _secret(tx: Tx, row: Any) -> str:
    return custody.values(tx, row["tenant"]).open(_totp_context(row["id"]), bytes(row["secret"])).decode("ascii")


def _totp_context(name: str) -> bytes:
    return b"totp:" + name.encode("ascii")


def _tenant_name(tx: Tx, tenant: str) -> str:
    row = tx.one("SELECT name FROM tenants WHERE id = ?", tenant)
    if row is None:
        raise Denied("no-tenant")
    return str(row["name"])


def may_enter(tx: Tx, row: Any, grant: access.GrantFacts) -> access.Permit | access.Denial:
    """Whether that factor or browser may open this message now."""
    reaches = row["first_method"] != "text" or texts.reaches(tx, grant)
    return access.may_enter_by_factor(row["message"], row["wide_from_us"], grant.message, tx.now_us, reaches=reaches)
