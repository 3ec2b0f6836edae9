"""Held mail and other acts of officers: recorded here with a fresh proof, carried out by the worker.

Promises: an act names one message and one decision and is proved by a TOTP code spent on it; where the signed policy
asks for a second person, a release counts only when another officer proved the same decision; the worker gets a held
message's shares for a recorded act only, until it says the delivery is settled; then R is destroyed. The sender may
drop what they sent themself, and nothing else. DESIGN §4.
"""

from __future__ import annotations

import secrets
from typing import Any

from keys import access
from keys.derive import object_share
from keys.keyholder import closing, custody, factors, grants, holds, sessions, staff, tries
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import Actor, receipt, record, refused
from keys.keyholder.sessions import SECOND_US, Live
from keys.keyholder.tenants import second_wanted
from keys.keyholder.wire import b64

RELEASES = frozenset({"release", "release-as-is"})
"""`release` sends it as a secure message, `release-as-is` as it came. Which one is part of what the officer proved."""
ACTS = RELEASES | {"drop"}
_WORKER: Actor = ("worker", "worker")


def officer_act(tx: Tx, *, session: str, totp: str, act: str, tenant: str, message: str, reason: str) -> dict[str, Any]:
    """Record one decision, or confirm another officer's. ``complete`` is False while a second person is wanted.

    Denied with what `access` said, bad-act, same-person, or what became of the TOTP code.
    """
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
    kept = holder.database.run(lambda tx: staff.enter(tx, holder, tenant, user, network))
    right = holder.hasher.holds(kept, staff.pepper(holder, tenant, user, password))

    def work(tx: Tx) -> dict[str, Any]:
        closing.need_open(tx, tenant, "act:refused", user)
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
    held = same and review(tx, message) is not None
    verdict = access.may_act(live.facts, tenant, held)
    if isinstance(verdict, access.Denial) and act == "drop" and row is not None:
        own = access.may_cancel(live.facts, tenant, row["sender_user"], held)
        verdict = own if isinstance(own, access.Permit) else verdict
    why = verdict.reason if isinstance(verdict, access.Denial) else "" if act in ACTS else "bad-act"
    if not why:
        waiting = _waiting(tx, tenant, message, act)
        why = "same-person" if waiting is not None and waiting["user"] == live.facts.user else ""
        if not why and act == "drop" and row is not None and holds.over(tx, row):
            why = "on-hold"
    if why:
        raise refused(tx, live.facts.tenant, "act:refused", why, object=message, actor=live.actor)


def _recorded(tx: Tx, live: Live, act: str, tenant: str, message: str, reason: str) -> dict[str, Any]:
    waiting = _waiting(tx, tenant, message, act)
    name = "act_" + secrets.token_hex(12) if waiting is None else str(waiting["id"])
    expires_us = tx.now_us + tx.limits.act_seconds * SECOND_US
    values = custody.values(tx, tenant)
    if waiting is None:
        sealed = values.seal(name.encode("ascii"), reason.encode("utf-8"))
        tx.run(
            "INSERT INTO acts VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
            name, tenant, message, act, live.facts.user, sealed, tx.now_us, expires_us,
        )  # fmt: skip
    else:
        sealed = values.seal(name.encode("ascii") + b":second", reason.encode("utf-8"))
        tx.run(
            "UPDATE acts SET second = ?, second_reason = ?, expires_us = ? WHERE id = ?",
            live.facts.user, sealed, expires_us, name,
        )  # fmt: skip
    index = record(
        tx, tenant, "act:recorded" if waiting is None else "act:confirmed", object=message, actor=live.actor,
        reason=act, proof=live.facts.proof, request=name,
    )  # fmt: skip
    complete = waiting is not None or act not in RELEASES or not second_wanted(tx, tenant)
    return {"act": name, "complete": complete, "receipt": receipt(tx, tenant, index)}


def _waiting(tx: Tx, tenant: str, message: str, act: str) -> Any:
    """The release of that kind which waits for another officer; None where no second person is wanted.

    Who was disabled meanwhile is no first person any more.
    """
    if act not in RELEASES or not second_wanted(tx, tenant):
        return None
    return tx.one(
        "SELECT * FROM acts WHERE tenant = ? AND message = ? AND act = ? AND second IS NULL AND done_us IS NULL"
        " AND expires_us > ? AND EXISTS (SELECT 1 FROM users u WHERE u.tenant = acts.tenant AND u.id = acts.user"
        " AND u.role = 'officer' AND u.state = 'active') ORDER BY made_us DESC LIMIT 1",
        tenant, message, act, tx.now_us,
    )  # fmt: skip


def act_of(tx: Tx, *, tenant: str, message: str, act: str) -> dict[str, Any]:
    """What was decided and by whom: ``act``, ``user`` and ``second`` (None where one was enough), for the worker.

    Denied: no-act, done, expired, needs-second.
    """
    row = tx.one("SELECT * FROM acts WHERE id = ?", act)
    why = _unusable(tx, row, tenant, message)
    if why or row is None:
        raise refused(tx, tenant, "act:refused", why or "no-act", object=message, actor=_WORKER, request=act)
    return {"act": row["act"], "user": row["user"], "second": row["second"]}


def _unusable(tx: Tx, row: Any, tenant: str, message: str) -> str:
    """Why nothing may be done for this act now, or nothing at all."""
    if row is None or row["tenant"] != tenant or row["message"] != message:
        return "no-act"
    if row["done_us"] is not None:
        return "done"
    if tx.now_us >= row["expires_us"]:
        return "expired"
    if row["act"] in RELEASES and row["second"] is None and second_wanted(tx, tenant):
        return "needs-second"
    return ""


def release_held(tx: Tx, *, tenant: str, message: str, act: str) -> dict[str, Any]:
    """Every share of a held message, R, and as which ``act`` the officer decided it.

    Repeatable for the same act until `held_done`; each time is recorded.
    """
    row = tx.one("SELECT * FROM acts WHERE id = ?", act)
    held = grants.message_row(tx, message)
    found = review(tx, message)
    reason = _unusable(tx, row, tenant, message)
    if reason != "no-act" and row is not None and row["act"] not in RELEASES:
        reason = "another-act"
    elif not reason and (held is None or held["tenant"] != tenant or found is None):
        reason = "not-held"
    if reason or row is None or held is None or found is None:
        raise refused(tx, tenant, "share:refused", reason or "not-held", object=message, actor=_WORKER, request=act)
    whole = grants.share(tx, held)
    index = record(tx, tenant, "held:released", object=message, actor=_WORKER, reason=row["act"], request=act)
    return {
        "act": row["act"],
        "shares": {
            thing["id"]: b64(object_share(whole, tenant=tenant, message=message, object_id=thing["id"]))
            for thing in tx.all("SELECT id FROM objects WHERE message = ?", message)
        },
        "secret": b64(grants.secret(tx, found, held)),
        "grant": found["id"],
        "receipt": receipt(tx, tenant, index),
    }


def held_done(tx: Tx, *, tenant: str, message: str) -> None:
    """Destroy R of a held message, or, under a legal hold, close it. Idempotent."""
    row = grants.message_row(tx, message)
    if row is None or row["tenant"] != tenant:
        raise refused(tx, tenant, "grant:refused", "unknown", object=message, actor=_WORKER)
    tx.destroyed = True  # also when repeated: an earlier attempt may have failed at truncating the write-ahead log
    if review(tx, message) is None:
        return
    if holds.over(tx, row):  # R goes with S, when the hold is lifted; until then nobody decides on it again
        tx.run("UPDATE grants SET revoked_us = ? WHERE message = ? AND kind = 'review'", tx.now_us, message)
        grants.seal_rows(tx, message)
    else:
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


def review(tx: Tx, message: str) -> Any:
    """The grant by which a message that waits for a decision is read; None when none waits."""
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
