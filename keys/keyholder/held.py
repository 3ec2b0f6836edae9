"""Held mail and other acts of officers: recorded here with a fresh proof, carried out by the worker.

Promises: an act names one message and one decision and is proved by a TOTP code spent on it; the worker gets a held
message's shares for a recorded act only, until it says the delivery is settled; then R is destroyed. DESIGN §4.
"""

from __future__ import annotations

import secrets
from typing import Any

from keys import access
from keys.derive import object_share
from keys.keyholder import custody, factors, grants, sessions, staff, tries
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import Actor, receipt, record, refused
from keys.keyholder.sessions import SECOND_US, Live
from keys.keyholder.wire import b64

RELEASES = frozenset({"release", "release-as-is"})
"""`release` sends it as a secure message, `release-as-is` as it came. Which one is part of what the officer proved."""
ACTS = RELEASES | {"drop"}
_WORKER: Actor = ("worker", "worker")


def officer_act(tx: Tx, *, session: str, totp: str, act: str, tenant: str, message: str, reason: str) -> dict[str, Any]:
    """Record one decision. Denied with what `access` said, bad-act, or what became of the TOTP code."""
    live = sessions.need(tx, session, "act:refused", object=message)
    _may(tx, live, act, tenant, message)
    failure = prove(tx, live, totp)
    if failure is not None:
        left = tries.left(tx, live.facts.tenant, subject(live))
        raise refused(
            tx, live.facts.tenant, "act:refused", failure, data={"tries_left": left}, object=message, actor=live.actor
        )
    return _recorded(tx, live, act, tenant, message, reason)


def officer_decision(
    holder: staff.House, *, tenant: str, user: str, password: str, code: str, network: str, act: str, message: str,
    reason: str,
) -> dict[str, Any]:  # fmt: skip
    """The same for an officer who is not signed in: password and TOTP code are spent on this one act.

    Denied: as `staff.staff_login` and `officer_act` say.
    """
    kept = holder.database.run(lambda tx: staff.admit(tx, holder, tenant, user, network))
    right = holder.hasher.holds(kept, staff.pepper(holder, tenant, user, password))

    def work(tx: Tx) -> dict[str, Any]:
        handle = staff.finish(tx, tenant, user, code, network, right)["handle"]
        live = sessions.need(tx, handle, "act:refused", object=message)
        sessions.end_session(tx, handle=handle)  # its handle leaves nobody; the act is all it was for
        _may(tx, live, act, tenant, message)
        return _recorded(tx, live, act, tenant, message, reason)

    return holder.database.run(work)


def _may(tx: Tx, live: Live, act: str, tenant: str, message: str) -> None:
    """Raises what refuses this person this act on this message, recorded."""
    row = grants.message_row(tx, message)
    same = row is not None and row["tenant"] == tenant
    verdict = access.may_act(live.facts, tenant, same and _review(tx, message) is not None)
    why = verdict.reason if isinstance(verdict, access.Denial) else "" if act in ACTS else "bad-act"
    if why:
        raise refused(tx, live.facts.tenant, "act:refused", why, object=message, actor=live.actor)


def _recorded(tx: Tx, live: Live, act: str, tenant: str, message: str, reason: str) -> dict[str, Any]:
    name = "act_" + secrets.token_hex(12)
    sealed = custody.values(tx, tenant).seal(name.encode("ascii"), reason.encode("utf-8"))
    tx.run(
        "INSERT INTO acts VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        name, tenant, message, act, live.facts.user, sealed, tx.now_us,
        tx.now_us + tx.limits.act_seconds * SECOND_US,
    )  # fmt: skip
    index = record(
        tx, tenant, "act:recorded", object=message, actor=live.actor, reason=act, proof=live.facts.proof, request=name
    )
    return {"act": name, "receipt": receipt(tx, tenant, index)}


def release_held(tx: Tx, *, tenant: str, message: str, act: str) -> dict[str, Any]:
    """Every share of a held message, R, and as which ``act`` the officer decided it.

    Repeatable for the same act until `held_done`; each time is recorded.
    """
    row = tx.one("SELECT * FROM acts WHERE id = ?", act)
    held = grants.message_row(tx, message)
    review = _review(tx, message)
    reason = None
    if row is None or row["tenant"] != tenant or row["message"] != message:
        reason = "no-act"
    elif row["act"] not in RELEASES:
        reason = "another-act"
    elif row["done_us"] is not None:
        reason = "done"
    elif tx.now_us >= row["expires_us"]:
        reason = "expired"
    elif held is None or held["tenant"] != tenant or review is None:
        reason = "not-held"
    if reason is not None or row is None or held is None or review is None:
        raise refused(tx, tenant, "share:refused", reason or "not-held", object=message, actor=_WORKER, request=act)
    whole = grants.share(tx, held)
    index = record(tx, tenant, "held:released", object=message, actor=_WORKER, reason=row["act"], request=act)
    return {
        "act": row["act"],
        "shares": {
            thing["id"]: b64(object_share(whole, tenant=tenant, message=message, object_id=thing["id"]))
            for thing in tx.all("SELECT id FROM objects WHERE message = ?", message)
        },
        "secret": b64(grants.secret(tx, review, held)),
        "grant": review["id"],
        "receipt": receipt(tx, tenant, index),
    }


def held_done(tx: Tx, *, tenant: str, message: str) -> None:
    """Destroy R of a held message. Idempotent."""
    row = grants.message_row(tx, message)
    if row is None or row["tenant"] != tenant:
        raise refused(tx, tenant, "grant:refused", "unknown", object=message, actor=_WORKER)
    tx.destroyed = True  # also when repeated: an earlier attempt may have failed at truncating the write-ahead log
    if _review(tx, message) is None:
        return
    tx.run("UPDATE grants SET secret = NULL WHERE message = ? AND kind = 'review'", message)
    tx.run("UPDATE acts SET done_us = ? WHERE message = ? AND done_us IS NULL", tx.now_us, message)
    record(tx, tenant, "held:settled", object=message, actor=_WORKER)


def raise_budget(tx: Tx, *, session: str, totp: str) -> dict[str, int]:
    """An officer lifts the tenant's hourly limit for an hour."""
    live = sessions.need(tx, session, "act:refused")
    tenant = live.facts.tenant
    verdict = access.may_act(live.facts, tenant, held=True)
    failure = verdict.reason if isinstance(verdict, access.Denial) else prove(tx, live, totp)
    if failure is not None:
        raise refused(tx, tenant, "act:refused", failure, object=tenant, actor=live.actor)
    until_us = tx.now_us + 3600 * SECOND_US
    tx.run("INSERT OR REPLACE INTO raised VALUES (?, ?)", tenant, until_us)
    record(tx, tenant, "budget:raised", object=tenant, actor=live.actor, proof=live.facts.proof)
    return {"until_us": until_us}


def _review(tx: Tx, message: str) -> Any:
    rows = tx.all(
        "SELECT id FROM grants WHERE message = ? AND kind = 'review' AND secret IS NOT NULL AND revoked_us IS NULL",
        message,
    )
    return grants.grant_row(tx, rows[0]["id"]) if rows else None


def prove(tx: Tx, live: Live, code: str) -> str | None:
    """Spend the user's TOTP code on this act; None, or why not."""
    tenant, user, who = live.facts.tenant, str(live.facts.user), subject(live)
    if tries.left(tx, tenant, who) == 0:
        return "too-many"
    row = tx.one("SELECT * FROM users WHERE tenant = ? AND id = ?", tenant, user)
    if row is None:
        return "no-user"
    secret = custody.values(tx, tenant).open(b"user-totp:" + user.encode("ascii"), bytes(row["totp"])).decode("ascii")
    outcome = factors.accept(secret, factors.digits(code), row["last_step"], tx.now_us)
    if isinstance(outcome, str):
        tries.failed(tx, tenant, who)
        return outcome
    tx.run("UPDATE users SET last_step = ? WHERE tenant = ? AND id = ?", outcome, tenant, user)
    tries.clear(tx, tenant, who)
    return None


def subject(live: Live) -> str:
    """Counted apart from sign-ins, which strangers can fail: these failures are of the session's holder alone."""
    return f"act:{live.facts.user}"
