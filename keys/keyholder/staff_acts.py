"""Sending again without the sender: a recorded act for one message and one person, and R of its `staff` grant for it.

Promises: there is such a grant only where the policy that was signed says so, when the message comes in and again when
somebody asks; an act names message and person and is proved by a fresh code spent on it; for it the worker gets R and
one new link grant, with the floor and the end of the message, and for no second one; all officers are told. S never
leaves. DESIGN §4 (`staff`).
"""

from __future__ import annotations

import secrets
from typing import Any

from keys import access
from keys.keyholder import custody, grants, held, sessions, tries
from keys.keyholder.calls import is_id
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import Actor, receipt, record, refused
from keys.keyholder.sessions import SECOND_US
from keys.keyholder.tenants import staff_grants
from keys.keyholder.wire import b64

PREFIX = "resend:"
"""What an act's kind begins with; the person follows."""
TOLD = "resent"
_WORKER: Actor = ("worker", "worker")


def resend_act(tx: Tx, *, session: str, totp: str, message: str, person: str, reason: str) -> dict[str, Any]:
    """Record it: ``act``, ``complete`` (always), ``receipt``. Denied: what `access` said, no-staff-grant, not-allowed,
    or what became of the code.
    """
    live = sessions.need(tx, session, "act:refused", object=message)
    tenant = live.facts.tenant
    row = grants.message_row(tx, message)
    sender = None if row is None else row["sender_user"]
    verdict = access.may_narrow(live.facts, "" if row is None else row["tenant"], sender)
    why = verdict.reason if isinstance(verdict, access.Denial) else _unfit(tx, tenant, row)
    if why:
        raise refused(tx, tenant, "act:refused", why, object=message, actor=live.actor)
    failure = held.prove(tx, live, totp)
    if failure is not None:
        left = tries.left(tx, tenant, held.subject(live))
        raise refused(tx, tenant, "act:refused", failure, data={"tries_left": left}, object=message, actor=live.actor)
    name = "act_" + secrets.token_hex(12)
    tx.run(
        "INSERT INTO acts VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
        name, tenant, message, PREFIX + person, live.facts.user,
        custody.values(tx, tenant).seal(name.encode("ascii"), reason.encode("utf-8")), tx.now_us,
        tx.now_us + tx.limits.act_seconds * SECOND_US,
    )  # fmt: skip
    index = record(
        tx, tenant, "act:recorded", object=message, actor=live.actor, reason="resend", proof=live.facts.proof,
        request=name,
    )  # fmt: skip
    grants.tell(tx, tenant, str(live.facts.user), TOLD, message)
    return {"act": name, "complete": True, "receipt": receipt(tx, tenant, index)}


def staff_link(tx: Tx, *, tenant: str, message: str, act: str, grant: str) -> dict[str, Any]:
    """The new link grant of an act: ``person``, ``user``, ``expires_us``, ``staff`` (grant), ``secret`` (R) and
    ``receipt``; the same again for the same `grant` while the act's day lasts. Denied: no-act, expired, taken, and as
    `resend_act`.
    """
    row = tx.one("SELECT * FROM acts WHERE id = ?", act)
    kept = grants.message_row(tx, message)
    known = tx.one("SELECT message, person FROM grants WHERE id = ?", grant)
    if row is None or row["tenant"] != tenant or row["message"] != message or not row["act"].startswith(PREFIX):
        why = "no-act"
    elif tx.now_us >= row["expires_us"]:
        why = "expired"
    elif (row["done_us"] is None) != (known is None) or not is_id(grant):
        why = "taken"
    else:
        why = _unfit(tx, tenant, kept)
    staff = _grant(tx, message)
    if why or row is None or kept is None or staff is None:
        raise refused(tx, tenant, "share:refused", why or "no-staff-grant", object=message, actor=_WORKER, request=act)
    person = row["act"].removeprefix(PREFIX)
    if known is not None and (known["message"], known["person"]) != (message, person):
        raise refused(tx, tenant, "share:refused", "taken", object=message, actor=_WORKER, request=act)
    if known is None:
        tx.run(
            "INSERT INTO grants VALUES (?, ?, ?, ?, 'link', ?, ?, NULL, NULL, NULL, NULL, x'')",
            grant, tenant, message, person, access.LINK_FLOOR, kept["expires_us"],
        )  # fmt: skip
        tx.run("UPDATE acts SET done_us = ? WHERE id = ?", tx.now_us, act)
        grants.seal_rows(tx, message)
    index = record(
        tx, tenant, "staff:released", object=grant, actor=("user", row["user"]), reason="resend", request=act
    )
    return {
        "person": person, "user": row["user"], "expires_us": kept["expires_us"], "staff": staff["id"],
        "secret": b64(grants.secret(tx, staff, kept)), "receipt": receipt(tx, tenant, index),
    }  # fmt: skip


def may_resend(tx: Tx, *, session: str, message: str) -> bool:
    """Whether this message could be sent again by this session: for what a page offers. Denied("no-session")."""
    live = sessions.need(tx, session, "act:refused", object=message)
    row = grants.message_row(tx, message)
    if row is None or _unfit(tx, live.facts.tenant, row):
        return False
    return isinstance(access.may_narrow(live.facts, row["tenant"], row["sender_user"]), access.Permit)


def _unfit(tx: Tx, tenant: str, row: Any) -> str:
    if row is None or row["tenant"] != tenant:
        return "unknown"
    if row["destroyed_us"] is not None:
        return "destroyed"
    if tx.now_us >= row["expires_us"]:
        return "expired"
    if not staff_grants(tx, tenant):
        return "not-allowed"
    return "" if _grant(tx, row["id"]) is not None else "no-staff-grant"


def _grant(tx: Tx, message: str) -> Any:
    """The message's `staff` grant while it can be used. A recall of the whole message ends it too."""
    found = tx.all(
        "SELECT id FROM grants WHERE message = ? AND kind = 'staff' AND secret IS NOT NULL AND revoked_us IS NULL",
        message,
    )
    return grants.grant_row(tx, found[0]["id"]) if found else None
