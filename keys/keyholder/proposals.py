"""Changes that wait: what could open future content of a tenant whose officer has signed in (DESIGN §4, §4a).

Promises: a change counts only when a person besides its maker approved it, one of them an officer, and a day has passed
since every officer was told (a clinic that closes needs the people and no day: it opens nothing); an approval is a
password, or a session, and a code spent on this one proposal, whose id is the hash of what it says; another body is
another proposal; an officer who withdraws it ends it. 45 CFR 164.308(a)(4).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from keys.encoding import lp
from keys.keyholder import custody, grants
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import record
from keys.keyholder.tenants import second_wanted

SECOND_US = 1_000_000
SETTINGS, USER, TENANT, RECOVERY = "settings", "user", "tenant", "recovery"
CLOSED, OPEN = "closed", "open"
"""What a change of a clinic as a whole makes of it."""
OPERATOR = "operator"
"""The maker of what was asked for at the operator's socket: a person of their own, whose name the keyholder ignores."""


def open_one(tx: Tx, tenant: str, kind: str, object: str, body: str) -> Any:
    """The proposal of that change, made now if it is not open yet. An open one of other words about it ends."""
    row = current(tx, tenant, kind, object)
    if row is not None and row["body"] == body:
        return row
    if row is not None:
        end(tx, row, "replaced")
    digest = hashlib.sha256(lp("sealgate/proposal/v1", tenant, kind, object, tx.now_us, body.encode())).hexdigest()
    name = f"prp_{digest[:40]}"
    tx.run(
        "INSERT INTO proposals VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL)",
        name, tenant, kind, object, body, OPERATOR, tx.now_us,
    )  # fmt: skip
    record(tx, tenant, f"{kind}:waiting", object=object, actor=(OPERATOR, OPERATOR), request=name)
    grants.tell(tx, tenant, OPERATOR, "proposal", name)  # to every officer of the tenant, by the worker
    return tx.one("SELECT * FROM proposals WHERE id = ?", name)


def current(tx: Tx, tenant: str, kind: str, object: str) -> Any:
    """The open proposal about that, or None."""
    return tx.one(
        "SELECT * FROM proposals WHERE tenant = ? AND kind = ? AND object = ? AND ended_us IS NULL",
        tenant, kind, object,
    )  # fmt: skip


def end(tx: Tx, row: Any, outcome: str, by: str = "", reason: str = "") -> None:
    """It waits no more: acted, withdrawn or replaced; `by` whom and why, where a member ended it."""
    kept = sealed(tx, row["tenant"], f"{row['id']}:ended", reason)
    tx.run(
        "UPDATE proposals SET ended_us = ?, outcome = ?, ended_by = ?, ended_reason = ? WHERE id = ?",
        tx.now_us, outcome, by or None, kept, row["id"],
    )  # fmt: skip


def approve(tx: Tx, row: Any, user: str, role: str, reason: str) -> None:
    """One more person stands behind it, and says why."""
    kept = sealed(tx, row["tenant"], f"{row['id']}:{user}", reason)
    tx.run("INSERT INTO approvals VALUES (?, ?, ?, ?, ?)", row["id"], user, role, tx.now_us, kept)


def sealed(tx: Tx, tenant: str, what: str, reason: str) -> bytes | None:
    """A member's own words as they rest: under the tenant's key, bound to where they stand."""
    return custody.values(tx, tenant).seal(what.encode("ascii"), reason.encode("utf-8")) if reason else None


def due_us(tx: Tx, row: Any) -> int:
    """When it may count at the earliest."""
    wait = 0 if (row["kind"], row["body"]) == (TENANT, CLOSED) else tx.limits.change_seconds
    return int(row["made_us"]) + wait * SECOND_US


def approved(tx: Tx, row: Any) -> bool:
    """Whether enough people stand behind it. Who was disabled meanwhile, or has another role now, does not count."""
    found = tx.all(
        "SELECT a.user, u.role FROM approvals a JOIN users u ON u.tenant = ? AND u.id = a.user AND u.role = a.role"
        " WHERE a.proposal = ? AND u.state = 'active'",
        row["tenant"], row["id"],
    )  # fmt: skip
    people = {str(one["user"]) for one in found}
    if not second_wanted(tx, row["tenant"]):  # a tenant that wants two of its own for a release wants them here
        people.add(str(row["maker"]))
    return len(people) >= 2 and any(one["role"] == "officer" for one in found)


def ripe(tx: Tx, row: Any) -> bool:
    """Whether it counts now."""
    return approved(tx, row) and tx.now_us >= due_us(tx, row)


def describe(tx: Tx, row: Any) -> dict[str, Any]:
    """One proposal as operator and officers may see it."""
    votes = tx.all("SELECT user, role, at_us FROM approvals WHERE proposal = ? ORDER BY at_us", row["id"])
    return {
        "id": row["id"], "kind": row["kind"], "object": row["object"], "maker": row["maker"],
        "made_us": row["made_us"], "due_us": due_us(tx, row), "approved": approved(tx, row),
        "acts": acts_of(row),
        "approvals": [{"user": one["user"], "role": one["role"], "at_us": one["at_us"]} for one in votes],
    }  # fmt: skip


def acts_of(row: Any) -> str:
    """What it comes to: a role, closed or open, a recovery key and its sheets; empty for settings."""
    if row["kind"] == SETTINGS:
        return ""
    if row["kind"] != RECOVERY:
        return str(row["body"])
    body = json.loads(row["body"])
    return f"{body['id']} {body['needed']}-of-{len(body['checks'])}" if body["public"] else str(body["id"])
