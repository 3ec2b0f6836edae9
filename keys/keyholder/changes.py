"""What changes a tenant: settings put by the operator, and what its people decide about changes that wait.

Promises: a serial of signed settings is never reused; after a tenant's first officer has signed in, a change waits and
the old values stay in force until `proposals` says that it counts, and then it counts from the next time that the
gateway starts with it; a domain and a portal host are one tenant's. DESIGN §4, §4a.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from keys import access
from keys.encoding import canonical
from keys.errors import Denied
from keys.keyholder import closing, held, proposals, sessions, staff, tries
from keys.keyholder.database import Tx
from keys.keyholder.proposals import OPERATOR, SETTINGS, TENANT, USER
from keys.keyholder.releaselog import receipt, record, refused
from keys.keyholder.tenants import body_of, in_force, signed


def put_settings(tx: Tx, *, tenant: str, body: dict[str, Any], begin: bool = True) -> dict[str, Any]:
    """Sign a tenant's settings, or let them wait. An unchanged body keeps its serial.

    `begin`: the gateway starts with this body, so that what was approved may count from now. Denied("shared") for a
    domain or portal host that is another tenant's by its settings in force: smtp would not know whose mail it is, and a
    browser whose cookies.
    """
    text = canonical(body).decode("utf-8")
    row = tx.one("SELECT officer_seen_us FROM tenants WHERE id = ?", tenant)
    if row is None:
        raise Denied("no-tenant")
    if _shared(tx, tenant, body):
        raise Denied("shared")
    if begin:
        closing.begin(tx, tenant)
    now, waits = in_force(tx, tenant), proposals.current(tx, tenant, SETTINGS, tenant)
    if now is not None and now["body"] == text:
        if waits is not None:
            proposals.end(tx, waits, "withdrawn")
            record(tx, tenant, "settings:withdrawn", object=waits["id"], actor=(OPERATOR, OPERATOR), reason=SETTINGS)
        return signed(tx, tenant, now["serial"], text) | {"waiting": False}
    reason = ""
    if now is not None and row["officer_seen_us"] is not None:
        waits = proposals.open_one(tx, tenant, SETTINGS, tenant, text)
        if not (begin and proposals.ripe(tx, waits)):
            told = proposals.describe(tx, waits) | {"keys": differing(json.loads(now["body"]), body)}
            return signed(tx, tenant, now["serial"], now["body"]) | {"waiting": True, "proposal": told}
        proposals.end(tx, waits, "acted")
        reason = str(waits["id"])
    serial = 1 if now is None else int(now["serial"]) + 1
    tx.run("INSERT INTO settings VALUES (?, ?, ?, ?)", tenant, serial, text, tx.now_us)
    record(
        tx, tenant, "settings:signed", object=tenant, actor=(OPERATOR, OPERATOR), reason=f"serial-{serial}",
        request=reason,
    )  # fmt: skip
    return signed(tx, tenant, serial, text) | {"waiting": False}


def waiting(tx: Tx, *, tenant: str) -> list[dict[str, Any]]:
    """What waits, oldest first: ids and times, who approved, which settings differ; no value of a setting."""
    before = body_of(tx, tenant)
    rows = tx.all("SELECT * FROM proposals WHERE tenant = ? AND ended_us IS NULL ORDER BY made_us, id", tenant)
    return [
        proposals.describe(tx, row)
        | {"keys": differing(before, json.loads(row["body"])) if row["kind"] == SETTINGS else [proposals.acts_of(row)]}
        for row in rows
    ]


def differing(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names of the settings that differ."""
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def decide(
    holder: staff.House, *, tenant: str, user: str, password: str, code: str, network: str, act: str, proposal: str
) -> dict[str, Any]:
    """`approve` or `withdraw`, by a member whose password and code are spent on this one act.

    Also in a closed clinic, where nobody signs in: or nobody could open it again. Denied: as `staff.staff_login` says,
    not-open, same-person, role, bad-act.
    """
    kept = holder.database.run(lambda tx: staff.admit(tx, holder, tenant, user, network))
    right = holder.hasher.holds(kept, staff.pepper(holder, tenant, user, password))

    def work(tx: Tx) -> dict[str, Any]:
        handle = staff.finish(tx, tenant, user, code, network, right)["handle"]
        live = sessions.need(tx, handle, "settings:refused", object=proposal)
        sessions.end_session(tx, handle=handle)
        return _decided(tx, live, act, _may(tx, live, act, proposal), "")

    return holder.database.run(work)


def decide_as(tx: Tx, *, session: str, totp: str, act: str, proposal: str, reason: str) -> dict[str, Any]:
    """The same from a page: a live session, a fresh code spent on this one act, and why.

    Denied: no-session, not-open, same-person, role, not-an-officer, bad-act, or what became of the code.
    """
    live = sessions.need(tx, session, "settings:refused", object=proposal)
    row = _may(tx, live, act, proposal)
    failure = held.prove(tx, live, totp)
    if failure is not None:
        left = tries.left(tx, live.facts.tenant, held.subject(live))
        raise refused(
            tx, live.facts.tenant, "settings:refused", failure, data={"tries_left": left}, object=proposal,
            actor=live.actor,
        )  # fmt: skip
    return _decided(tx, live, act, row, reason)


def _may(tx: Tx, live: sessions.Live, act: str, proposal: str) -> Any:
    """The proposal's row. Raises what refuses this person this act on it, recorded."""
    tenant, user = live.facts.tenant, str(live.facts.user)
    row: Any = tx.one("SELECT * FROM proposals WHERE id = ? AND tenant = ? AND ended_us IS NULL", proposal, tenant)
    if act not in ("approve", "withdraw"):
        raise Denied("bad-act")
    mine = row is not None and (
        (row["kind"] == USER and row["object"] == user)
        or tx.one("SELECT 1 FROM approvals WHERE proposal = ? AND user = ?", proposal, user) is not None
    )
    verdict = (
        access.may_approve(live.facts, tenant, row is not None, mine)
        if act == "approve"
        else access.may_withdraw(live.facts, tenant, row is not None)
    )
    if isinstance(verdict, access.Denial):
        raise refused(tx, tenant, "settings:refused", verdict.reason, object=proposal, actor=live.actor)
    return row


def _decided(tx: Tx, live: sessions.Live, act: str, row: Any, reason: str) -> dict[str, Any]:
    tenant, user, proposal = live.facts.tenant, str(live.facts.user), str(row["id"])
    if act == "withdraw":
        proposals.end(tx, row, "withdrawn", user, reason)
        if row["kind"] == USER:
            tx.run(
                "UPDATE users SET state = 'disabled' WHERE tenant = ? AND id = ? AND state = 'proposed'",
                tenant, row["object"],
            )  # fmt: skip
    else:
        proposals.approve(tx, row, user, str(live.facts.role), reason)
    word = "settings:withdrawn" if act == "withdraw" else "settings:approved"
    index = record(tx, tenant, word, object=proposal, actor=live.actor, reason=row["kind"], proof=live.facts.proof)
    said = proposals.describe(tx, row)
    if act == "approve" and row["kind"] == TENANT:
        closing.approved(tx, row)
    return said | {"receipt": receipt(tx, tenant, index)}


def _shared(tx: Tx, tenant: str, body: dict[str, Any]) -> bool:
    mine, host = _domains(body), _host(body)
    for row in tx.all("SELECT id FROM tenants WHERE id != ?", tenant):
        other = body_of(tx, row["id"])
        if mine & _domains(other) or (host and host == _host(other)):
            return True
    return False


def _domains(body: dict[str, Any]) -> set[str]:
    return {str(domain).lower().rstrip(".") for domain in body.get("domains", ())}


def _host(body: dict[str, Any]) -> str:
    return (urlsplit(str(body.get("public_url", ""))).hostname or "").rstrip(".")
