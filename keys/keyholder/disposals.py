"""What officers decide about the life of mail: hold it, lift a hold, end it sooner, erase it.

Promises: each decision names one thing and is proved by a code spent on it; where the signed policy asks for two people
(always for a whole clinic), nothing is destroyed or lifted before another officer proved the same decision, within a
day; what a legal hold keeps is never destroyed by it, and the certificate says how many that were; a large erasure goes
on in steps through restarts and takes only what was there when it began. DESIGN §4a; NIST SP 800-88 2.6;
45 CFR 164.310(d)(2)(i).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from keys import access
from keys.keyholder import backups, certificates, custody, deposits, grants, held, holds, sessions, staff, tries
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import receipt, record, refused
from keys.keyholder.sessions import SECOND_US, Live
from keys.keyholder.tenants import second_wanted

HOLDS = {f"hold-{kind}": kind for kind in holds.KINDS}
ERASURES = frozenset({"erase-link", "erase-message", "erase-person", "erase-tenant"})
LIFT, SHORTEN, CERTIFY = "lift", "shorten", "certify"
ACTS = frozenset({*HOLDS, *ERASURES, LIFT, SHORTEN, CERTIFY})
ALONE = frozenset({*HOLDS, CERTIFY})
"""What one officer may do in any clinic: it destroys nothing."""
BATCH = 200
STANDING = (
    "tenant = ? AND begun_us IS NULL AND expires_us > ? AND EXISTS (SELECT 1 FROM users u WHERE u.tenant ="
    " disposals.tenant AND u.id = disposals.user AND u.role = 'officer' AND u.state = 'active')"
)
"""Which decisions wait for a second officer, of a tenant at a time: not those of one who was disabled meanwhile."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One decision as it was asked for. `object` is a message, link, person, tenant or hold; times as far as the act
    has any: the end that is wanted, or the two ends of a hold on a time.
    """

    act: str
    object: str
    from_us: int | None
    until_us: int | None
    reason: str


def dispose_as(
    tx: Tx, *, session: str, totp: str, act: str, object: str, from_us: int | None, until_us: int | None, reason: str
) -> dict[str, Any]:
    """One decision by an officer who is signed in: ``id``, ``complete`` (False while a second person is wanted),
    ``done``, ``confirmed`` (an earlier officer's), ``receipt``.

    Denied: no-session, not-an-officer, bad-act, unknown, destroyed, not-destroyed, on-hold, not-on-hold, held, wider,
    same-person, or what became of the code.
    """
    live = sessions.need(tx, session, "act:refused", object=object)
    wanted = Wanted(act, object, from_us, until_us, reason)
    _may(tx, live, wanted)
    failure = held.prove(tx, live, totp)
    if failure is not None:
        left = tries.left(tx, live.facts.tenant, held.subject(live))
        raise refused(
            tx, live.facts.tenant, "act:refused", failure, data={"tries_left": left}, object=object, actor=live.actor
        )
    return _decided(tx, live, wanted)


def dispose(
    holder: staff.House, *, tenant: str, user: str, password: str, code: str, network: str, act: str, object: str,
    from_us: int | None, until_us: int | None, reason: str,
) -> dict[str, Any]:  # fmt: skip
    """The same for an officer who is not signed in: password and code are spent on this one act. Also in a closed
    clinic, whose mail must be possible to erase.
    """
    kept = holder.database.run(lambda tx: staff.admit(tx, holder, tenant, user, network))
    right = holder.hasher.holds(kept, staff.pepper(holder, tenant, user, password))

    def work(tx: Tx) -> dict[str, Any]:
        handle = staff.finish(tx, tenant, user, code, network, right)["handle"]
        live = sessions.need(tx, handle, "act:refused", object=object)
        sessions.end_session(tx, handle=handle)
        wanted = Wanted(act, object, from_us, until_us, reason)
        _may(tx, live, wanted)
        return _decided(tx, live, wanted)

    return holder.database.run(work)


def dispose_more(tx: Tx, *, tenant: str) -> bool:
    """Go on with what was decided and is not done, one batch; whether there is more. Asked by the worker."""
    row = tx.one(
        "SELECT * FROM disposals WHERE tenant = ? AND begun_us IS NOT NULL AND done_us IS NULL ORDER BY begun_us, id",
        tenant,
    )
    if row is None:
        return False
    _step(tx, row)
    return True


def _may(tx: Tx, live: Live, wanted: Wanted) -> None:
    """Raises what refuses this officer this act on this thing, recorded, before a code is spent on it."""
    tenant = live.facts.tenant
    verdict = access.may_act(live.facts, tenant, held=True)
    why = verdict.reason if isinstance(verdict, access.Denial) else _unfit(tx, tenant, wanted)
    if not why and wanted.act not in ALONE:
        waiting = _waiting(tx, tenant, wanted)
        why = "same-person" if waiting is not None and waiting["user"] == live.facts.user else ""
    if why:
        raise refused(tx, tenant, "act:refused", why, object=wanted.object, actor=live.actor)


def _unfit(tx: Tx, tenant: str, wanted: Wanted) -> str:
    """Why this thing cannot have this done to it, or nothing."""
    act = wanted.act
    if act not in ACTS or not wanted.reason:
        return "bad-act"
    if (act == "hold-period") != (wanted.from_us is not None) or (act in ("hold-period", SHORTEN)) != (
        wanted.until_us is not None
    ):
        return "bad-act"
    if wanted.from_us is not None and wanted.until_us is not None and wanted.from_us >= wanted.until_us:
        return "bad-act"
    if act in ("hold-tenant", "hold-period", "erase-tenant"):
        return "" if wanted.object == tenant else "unknown"
    if act in ("hold-person", "erase-person"):
        return "" if _known(tx, tenant, wanted.object, sender=act == "hold-person") else "unknown"
    if act == LIFT:
        hold = holds.one(tx, tenant, wanted.object)
        return "unknown" if hold is None else "not-on-hold" if hold["lifted_us"] is not None else ""
    return _unfit_message(tx, tenant, wanted)


def _unfit_message(tx: Tx, tenant: str, wanted: Wanted) -> str:
    link = grants.grant_row(tx, wanted.object) if wanted.act == "erase-link" else None
    name = wanted.object if wanted.act != "erase-link" else "" if link is None else link["message"]
    message = grants.message_row(tx, name)
    if message is None or message["tenant"] != tenant or (link is not None and link["kind"] != "link"):
        return "unknown"
    if wanted.act == CERTIFY:
        return "not-destroyed" if message["destroyed_us"] is None else ""
    if message["destroyed_us"] is not None:
        return "destroyed"
    if not wanted.act.startswith("hold-") and holds.over(tx, message):
        return "on-hold"
    if not wanted.act.startswith("hold-") and held.review(tx, name) is not None:
        return "held"  # whoever waits for a decision is told of one: that is the desk for held mail
    if wanted.act == SHORTEN and not tx.now_us <= int(wanted.until_us or 0) < message["expires_us"]:
        return "wider"
    return ""


def _known(tx: Tx, tenant: str, person: str, *, sender: bool) -> bool:
    """Somebody whom mail of this tenant was for; or, as `sender`, a member who may have sent some."""
    if tx.one("SELECT 1 FROM grants WHERE tenant = ? AND person = ? LIMIT 1", tenant, person) is not None:
        return True
    return sender and tx.one("SELECT 1 FROM users WHERE tenant = ? AND id = ?", tenant, person) is not None


def _second(tx: Tx, tenant: str, act: str) -> bool:
    return act not in ALONE and (act == "erase-tenant" or second_wanted(tx, tenant))


def _waiting(tx: Tx, tenant: str, wanted: Wanted) -> Any:
    """The same decision of another officer, for which a second person is wanted; None where one is enough."""
    if not _second(tx, tenant, wanted.act):
        return None
    return tx.one(
        f"SELECT * FROM disposals WHERE kind = ? AND object = ? AND until_us IS ? AND {STANDING}"  # noqa: S608 - fixed words
        " ORDER BY made_us DESC LIMIT 1",
        wanted.act, wanted.object, wanted.until_us, tenant, tx.now_us,
    )  # fmt: skip


def _decided(tx: Tx, live: Live, wanted: Wanted) -> dict[str, Any]:
    tenant, user = live.facts.tenant, str(live.facts.user)
    if wanted.act in HOLDS:
        name, index = holds.put(
            tx, live, HOLDS[wanted.act], wanted.object, wanted.from_us, wanted.until_us, wanted.reason
        )
        return _answer(tx, tenant, name, index, complete=True, done=True, confirmed=False)
    waiting = _waiting(tx, tenant, wanted)
    name = "dsp_" + secrets.token_hex(12) if waiting is None else str(waiting["id"])
    values = custody.values(tx, tenant)
    if waiting is None:
        tx.run(
            "INSERT INTO disposals (id, tenant, kind, object, until_us, user, reason, made_us, expires_us, place,"
            " messages, objects, links, kept) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, 0, 0, 0)",
            name, tenant, wanted.act, wanted.object, wanted.until_us, user,
            values.seal(name.encode("ascii"), wanted.reason.encode("utf-8")), tx.now_us,
            tx.now_us + tx.limits.act_seconds * SECOND_US,
        )  # fmt: skip
    else:
        sealed = values.seal(name.encode("ascii") + b":second", wanted.reason.encode("utf-8"))
        tx.run("UPDATE disposals SET second = ?, second_reason = ? WHERE id = ?", user, sealed, name)
    index = record(
        tx, tenant, "act:recorded" if waiting is None else "act:confirmed", object=wanted.object, actor=live.actor,
        reason=wanted.act, proof=live.facts.proof, request=name,
    )  # fmt: skip
    complete = waiting is not None or not _second(tx, tenant, wanted.act)
    done = False
    if complete:
        tx.run("UPDATE disposals SET begun_us = ? WHERE id = ?", tx.now_us, name)
        if wanted.act == LIFT:
            hold = holds.one(tx, tenant, wanted.object)
            if hold is not None:
                holds.lift(tx, hold, user, values.seal(name.encode("ascii"), wanted.reason.encode("utf-8")),
                           live.facts.proof)  # fmt: skip
        elif wanted.act in ERASURES:
            grants.tell(tx, tenant, user, "erased", name)
        done = _step(tx, tx.one("SELECT * FROM disposals WHERE id = ?", name))
    elif waiting is None:
        grants.tell(tx, tenant, user, "disposal", name)
    return _answer(tx, tenant, name, index, complete=complete, done=done, confirmed=waiting is not None)


def _answer(
    tx: Tx, tenant: str, name: str, index: int, *, complete: bool, done: bool, confirmed: bool
) -> dict[str, Any]:
    return {
        "id": name, "complete": complete, "done": done, "confirmed": confirmed, "receipt": receipt(tx, tenant, index)
    }  # fmt: skip


def _step(tx: Tx, row: Any) -> bool:
    """One batch of a decision that counts; True when that was the last."""
    tenant, act, known = row["tenant"], row["kind"], holds.active(tx, row["tenant"])
    if act == SHORTEN:
        actor = ("user", str(row["second"] or row["user"]))
        change = {"expires_us": row["until_us"]}
        grants.apply(tx, tenant, row["object"], None, change, actor, row["id"], 2)
        return _finish(tx, row)
    if act == CERTIFY:
        _count(tx, row, grants.message_row(tx, row["object"]))
        return _finish(tx, row)
    names = _next(tx, row)
    for name in names:
        message = grants.message_row(tx, name)
        if message is not None and message["destroyed_us"] is None:
            _one(tx, row, message, known)
    if names:
        tx.run("UPDATE disposals SET place = ? WHERE id = ?", names[-1], row["id"])
    return len(names) < BATCH and _finish(tx, row)


def _next(tx: Tx, row: Any) -> list[str]:
    """The messages of the next batch, in order of their ids."""
    tenant, place, begun_us = row["tenant"], row["place"], row["begun_us"]
    if row["kind"] == "erase-message":
        found = tx.all("SELECT id FROM messages WHERE id = ? AND id > ?", row["object"], place)
    elif row["kind"] == "erase-link":
        found = tx.all("SELECT message AS id FROM grants WHERE id = ? AND message > ?", row["object"], place)
    elif row["kind"] == "erase-person":
        found = tx.all(
            "SELECT DISTINCT g.message AS id FROM grants g JOIN messages m ON m.id = g.message WHERE g.tenant = ?"
            " AND g.person = ? AND g.message > ? AND m.share IS NOT NULL AND m.deposited_us <= ? ORDER BY g.message"
            " LIMIT ?",
            tenant, row["object"], place, begun_us, BATCH,
        )  # fmt: skip
    else:
        late = " AND owed_us IS NOT NULL" if row["kind"] == LIFT else ""
        found = tx.all(
            f"SELECT id FROM messages WHERE tenant = ? AND id > ? AND destroyed_us IS NULL AND deposited_us <= ?{late}"  # noqa: S608 - fixed words
            " ORDER BY id LIMIT ?",
            tenant, place, begun_us, BATCH,
        )  # fmt: skip
    return [one["id"] for one in found]


def _one(tx: Tx, row: Any, message: Any, known: Any) -> None:
    """One message of it: kept by a hold, destroyed, or only closed for one of several readers."""
    if holds.over(tx, message, known):
        if row["kind"] != LIFT:
            tx.run("UPDATE disposals SET kept = kept + 1 WHERE id = ?", row["id"])
        return
    actor = ("user", str(row["second"] or row["user"]))
    if row["kind"] in ("erase-link", "erase-person") and _shared(tx, row, message):
        _close(tx, row, message, actor)
        return
    deposits.destroy(tx, row["tenant"], message["id"], actor, "lifted" if row["kind"] == LIFT else "erased", row["id"])
    _count(tx, row, grants.message_row(tx, message["id"]))


def _mine(row: Any, grant: Any) -> bool:
    return bool(grant["id"] == row["object"] or grant["person"] == row["object"])


def _shared(tx: Tx, row: Any, message: Any) -> bool:
    """Whether others may still read this message, so that its share must live on for them."""
    rows = tx.all("SELECT * FROM grants WHERE message = ?", message["id"])
    return any(
        not _mine(row, one) and one["revoked_us"] is None
        and (one["kind"] == "link" or (one["kind"] == "review" and one["secret"] is not None))
        for one in rows
    )  # fmt: skip


def _close(tx: Tx, row: Any, message: Any, actor: tuple[str, str]) -> None:
    both = tx.all("SELECT * FROM grants WHERE message = ? AND kind IN ('link', 'inbox')", message["id"])
    people = {one["person"] for one in both if _mine(row, one)}
    for one in both:
        if one["person"] not in people:
            continue
        index = record(
            tx, row["tenant"], "grant:narrowed", object=one["id"], actor=actor, reason="erased", request=row["id"]
        )
        tx.run(
            "UPDATE grants SET revoked_us = COALESCE(revoked_us, ?), revoked_index = COALESCE(revoked_index, ?)"
            " WHERE id = ?",
            tx.now_us, index, one["id"],
        )  # fmt: skip
        sessions.end_of_grants(tx, [one["id"]])
        backups.believe(tx)
        final = deposits.final_us(tx, message)
        tx.run(
            "UPDATE disposals SET links = links + ?, first_us = COALESCE(first_us, ?), last_us = ?,"
            " final_us = MAX(COALESCE(final_us, 0), ?) WHERE id = ?",
            int(one["kind"] == "link"), tx.now_us, tx.now_us, final, row["id"],
        )  # fmt: skip
    grants.seal_rows(tx, message["id"])


def _count(tx: Tx, row: Any, message: Any) -> None:
    """Add a destroyed message to what the certificate will say."""
    things = tx.number("SELECT COUNT(*) FROM objects WHERE message = ?", message["id"])
    at, final = message["destroyed_us"], deposits.final_us(tx, message)
    tx.run(
        "UPDATE disposals SET messages = messages + 1, objects = objects + ?, first_us = MIN(COALESCE(first_us, ?), ?),"
        " last_us = MAX(COALESCE(last_us, ?), ?), final_us = MAX(COALESCE(final_us, 0), ?) WHERE id = ?",
        things, at, at, at, at, final, row["id"],
    )  # fmt: skip


def _finish(tx: Tx, row: Any) -> bool:
    tx.run("UPDATE disposals SET done_us = ? WHERE id = ?", tx.now_us, row["id"])
    whole = tx.one("SELECT * FROM disposals WHERE id = ?", row["id"])
    if whole is not None and (row["kind"] in (*ERASURES, CERTIFY) or whole["messages"]):
        certificates.issue(tx, whole)
    return True
