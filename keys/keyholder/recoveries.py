"""Messages opened with a tenant's recovery key, and new links made with it: an officer's act, and what comes of it.

Promises: an act names its messages, or one link, and is proved by a password and a code, or a session and a code, spent
on it; where the signed policy asks for a second person it counts only when another officer proved the same act; it is
told to every officer; each object's share is recorded before it is given, and only for the act's messages and time. A
message is opened while its recovery grant lives, or while a legal hold keeps it. A new link is for the person whose
link it replaces, with no lower floor and no later end. DESIGN §4 (`recovery`), §4b; 45 CFR 164.312(b).
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from typing import Any

from keys import access
from keys.derive import object_share
from keys.encoding import canonical, lp
from keys.errors import Denied, Tampered
from keys.kdf import hkdf
from keys.keyholder import custody, grants, held, holds, sessions, staff, tries
from keys.keyholder.calls import BadCall, is_id
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import Actor, receipt, record, refused
from keys.keyholder.sessions import SECOND_US, Live
from keys.keyholder.tenants import second_wanted
from keys.keyholder.wire import b64

OPEN, RELINK = "recover", "relink"
MOST = 500
_WORKER: Actor = ("worker", "worker")
_ACT = "recovery:refused"


def recover_as(
    tx: Tx, *, session: str, totp: str, act: str, messages: list[Any], link: str, reason: str
) -> dict[str, Any]:
    """One act by an officer who is signed in: ``id``, ``complete`` (False while a second officer is wanted),
    ``expires_us``, ``receipt``.

    `act` is ``recover`` (`messages`) or ``relink`` (one message, and `link`, the grant that is replaced). Denied:
    no-session, not-an-officer, bad-act, unknown, no-recovery, destroyed, not-live, same-person, or what became of the
    code; ``message`` names the one it is about.
    """
    _well_formed(messages, link)
    live = sessions.need(tx, session, _ACT)
    _may(tx, live, act, messages, link, reason)
    failure = held.prove(tx, live, totp)
    if failure is not None:
        left = tries.left(tx, live.facts.tenant, held.subject(live))
        raise refused(tx, live.facts.tenant, _ACT, failure, data={"tries_left": left}, actor=live.actor)
    return _decided(tx, live, act, messages, link, reason)


def recover(
    holder: staff.House, *, tenant: str, user: str, password: str, code: str, network: str, act: str,
    messages: list[Any], link: str, reason: str,
) -> dict[str, Any]:  # fmt: skip
    """The same for an officer who is not signed in: password and code are spent on this one act."""
    _well_formed(messages, link)
    kept = holder.database.run(lambda tx: staff.admit(tx, holder, tenant, user, network))
    right = holder.hasher.holds(kept, staff.pepper(holder, tenant, user, password))

    def work(tx: Tx) -> dict[str, Any]:
        handle = staff.finish(tx, tenant, user, code, network, right)["handle"]
        live = sessions.need(tx, handle, _ACT)
        sessions.end_session(tx, handle=handle)
        _may(tx, live, act, messages, link, reason)
        return _decided(tx, live, act, messages, link, reason)

    return holder.database.run(work)


def recovery_release(tx: Tx, *, tenant: str, act: str, message: str) -> dict[str, Any]:
    """What an act opens of one of its messages: ``grant`` (the recovery grant), ``shares`` and ``receipts`` by object,
    ``meta`` (key and receipt), ``user``, ``second``.

    Repeatable while the act lives; each time is recorded. Denied: no-act, expired, needs-second, and as `recover_as`.
    """
    row = _usable(tx, tenant, act, OPEN, message)
    loaded = _recovery_grant(tx, tenant, message)
    whole = grants.share(tx, loaded.message)
    actor: Actor = ("user", str(row["user"]))
    shares: dict[str, str] = {}
    receipts: dict[str, Any] = {}
    for thing in tx.all("SELECT id FROM objects WHERE message = ? ORDER BY id", message):
        index = record(
            tx, tenant, "share:released", object=thing["id"], actor=actor, reason=OPEN, proof=row["proof"], request=act
        )
        receipts[thing["id"]] = receipt(tx, tenant, index)
        shares[thing["id"]] = b64(object_share(whole, tenant=tenant, message=message, object_id=thing["id"]))
    index = record(tx, tenant, "meta:released", object=message, actor=actor, proof=row["proof"], request=act)
    return {
        "grant": loaded.grant["id"], "shares": shares, "receipts": receipts, "user": row["user"],
        "second": row["second"], "proof": row["proof"],
        "meta": {"key": b64(hkdf(whole, lp("sealgate/meta/v1", tenant, message))),
                 "receipt": receipt(tx, tenant, index)},
    }  # fmt: skip


def recovery_relink(tx: Tx, *, tenant: str, act: str, grant: str) -> dict[str, Any]:
    """A new link grant beside the one that the act names, which the worker ends once the new one is written down:
    ``old``, ``message``, ``person``,
    ``floor``, ``expires_us``, ``receipt``. The same again for the same `grant`. Denied: no-act, expired, needs-second,
    taken, not-live.
    """
    row = _usable(tx, tenant, act, RELINK, None)
    if row["made"] == grant:
        made = grants.load(tx, grant)
        if made is None:
            raise Tampered("a new link's row is missing from the keyholder's store")
        return _relinked(row, made.grant, receipt(tx, tenant, row["made_index"]))
    if row["made"] is not None or tx.one("SELECT 1 FROM grants WHERE id = ?", grant) is not None:
        raise refused(tx, tenant, _ACT, "taken", object=grant, actor=_WORKER, request=act)
    old = grants.load(tx, row["link"])
    if old is None or access.grant_state(old.facts, tx.now_us) != "live":
        raise refused(tx, tenant, _ACT, "not-live", object=row["link"], actor=_WORKER, request=act)
    message = str(old.grant["message"])
    tx.run(
        "INSERT INTO grants VALUES (?, ?, ?, ?, 'link', ?, ?, NULL, NULL, NULL, NULL, x'')",
        grant, tenant, message, old.grant["person"], old.grant["floor"], old.grant["expires_us"],
    )  # fmt: skip
    actor: Actor = ("user", str(row["user"]))
    index = record(
        tx, tenant, "recovery:relinked", object=grant, actor=actor, reason=row["link"], proof=row["proof"], request=act
    )
    tx.run("UPDATE recoveries SET made = ?, made_index = ? WHERE id = ?", grant, index, act)
    grants.seal_rows(tx, message)
    new = grants.load(tx, grant)
    if new is None:
        raise Tampered("a new link's row is missing from the keyholder's store")
    return _relinked(row, new.grant, receipt(tx, tenant, index))


def _relinked(row: Any, new: Any, quoted: dict[str, Any]) -> dict[str, Any]:
    return {
        "old": row["link"], "message": new["message"], "person": new["person"], "floor": new["floor"],
        "expires_us": new["expires_us"], "user": row["user"], "second": row["second"], "proof": row["proof"],
        "receipt": quoted,
    }  # fmt: skip


def _well_formed(messages: list[Any], link: str) -> None:
    if not all(map(is_id, messages)) or (link and not is_id(link)):
        raise BadCall


def _may(tx: Tx, live: Live, act: str, messages: list[Any], link: str, reason: str) -> None:
    """Raises what refuses this officer this act, recorded, before a code is spent on it."""
    tenant, about = live.facts.tenant, ""
    verdict = access.may_act(live.facts, tenant, held=True)
    why = verdict.reason if isinstance(verdict, access.Denial) else ""
    fits = 0 < len(messages) <= MOST and len(set(messages)) == len(messages) and bool(reason)
    if not why and not (fits and ((act == OPEN and not link) or (act == RELINK and link and len(messages) == 1))):
        why = "bad-act"
    for message in messages if not why else ():
        why = _shut(tx, tenant, message)
        if why:
            about = message
            break
    if not why and act == RELINK:
        old = grants.load(tx, link)
        if old is None or old.facts.kind != "link" or old.facts.message != messages[0]:
            why, about = "unknown", messages[0]
        elif access.grant_state(old.facts, tx.now_us) != "live":
            why, about = "not-live", messages[0]
    if not why:
        waiting = _waiting(tx, tenant, act, messages, link)
        why = "same-person" if waiting is not None and waiting["user"] == live.facts.user else ""
    if why:
        raise refused(tx, tenant, _ACT, why, data={"message": about}, object=about or tenant, actor=live.actor)


def _shut(tx: Tx, tenant: str, message: str) -> str:
    """Why this message cannot be opened with a recovery key now, or nothing."""
    try:
        _recovery_grant(tx, tenant, message)
    except Denied as denied:
        return denied.reason
    return ""


def _recovery_grant(tx: Tx, tenant: str, message: str) -> grants.Loaded:
    """The recovery grant of a message that may be opened. Denied: unknown, no-recovery, destroyed, not-live."""
    row = grants.message_row(tx, message)
    if row is None or row["tenant"] != tenant:
        raise Denied("unknown")
    if row["destroyed_us"] is not None:
        raise Denied("destroyed")
    found = tx.one("SELECT id FROM grants WHERE message = ? AND kind = 'recovery' ORDER BY id DESC", message)
    loaded = None if found is None else grants.load(tx, found["id"])
    if loaded is None:
        raise Denied("no-recovery")
    verdict = access.may_recover(loaded.facts, bool(holds.over(tx, row)), tx.now_us)
    if isinstance(verdict, access.Denial):
        raise Denied(verdict.reason)
    return loaded


def _waiting(tx: Tx, tenant: str, act: str, messages: list[Any], link: str) -> Any:
    """The same act of another officer that waits for a second one; None where one is enough."""
    if not second_wanted(tx, tenant):
        return None
    return tx.one(
        "SELECT * FROM recoveries WHERE tenant = ? AND act = ? AND digest = ? AND second IS NULL AND expires_us > ?"
        " ORDER BY made_us DESC LIMIT 1",
        tenant, act, _digest(messages, link), tx.now_us,
    )  # fmt: skip


def _digest(messages: list[Any], link: str) -> str:
    return hashlib.sha256(canonical([sorted(messages), link])).hexdigest()


def _decided(tx: Tx, live: Live, act: str, messages: list[Any], link: str, reason: str) -> dict[str, Any]:
    tenant, user = live.facts.tenant, str(live.facts.user)
    waiting = _waiting(tx, tenant, act, messages, link)
    name = "rcv_" + secrets.token_hex(16) if waiting is None else str(waiting["id"])
    values = custody.values(tx, tenant)
    until = tx.now_us + tx.limits.act_seconds * SECOND_US
    if waiting is None:
        tx.run(
            "INSERT INTO recoveries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, ?, ?, NULL, NULL)",
            name, tenant, act, json.dumps(messages), link, _digest(messages, link), user,
            values.seal(name.encode("ascii"), reason.encode("utf-8")), live.facts.proof, tx.now_us, until,
        )  # fmt: skip
    else:
        sealed = values.seal(name.encode("ascii") + b":second", reason.encode("utf-8"))
        tx.run(
            "UPDATE recoveries SET second = ?, second_reason = ?, expires_us = ? WHERE id = ?",
            user, sealed, until, name,
        )  # fmt: skip
    index = record(
        tx, tenant, "act:recorded" if waiting is None else "act:confirmed",
        object=messages[0] if len(messages) == 1 else f"{len(messages)}-messages", actor=live.actor, reason=act,
        proof=live.facts.proof, request=name,
    )  # fmt: skip
    complete = waiting is not None or not second_wanted(tx, tenant)
    if complete:  # loud: every officer hears of it, whoever asked
        grants.tell(tx, tenant, user, "recovery-key-used" if act == OPEN else "recovery-key-relinked", name)
    else:
        grants.tell(tx, tenant, user, "recovery-key-asked", name)
    return {"id": name, "complete": complete, "expires_us": until, "receipt": receipt(tx, tenant, index)}


def _usable(tx: Tx, tenant: str, act: str, kind: str, message: str | None) -> sqlite3.Row:
    """The act, where something may be done for it now. Denied, recorded: no-act, expired, needs-second."""
    row = tx.one("SELECT * FROM recoveries WHERE id = ?", act)
    why = ""
    known = row is not None and row["tenant"] == tenant and row["act"] == kind
    if row is None or not known or (message is not None and message not in json.loads(row["messages"])):
        why = "no-act"
    elif tx.now_us >= row["expires_us"]:
        why = "expired"
    elif row["second"] is None and second_wanted(tx, tenant):
        why = "needs-second"
    if why or row is None:
        raise refused(tx, tenant, _ACT, why or "no-act", object=message or tenant, actor=_WORKER, request=act)
    return row
