"""What the officers' page shows: changes that wait with the old and the new value, what became of others, new accounts.

Promises: only for an officer, administrator or auditor of that tenant, by their session; no password, secret, address
or content is in it; the words of members are opened for these three alone. DESIGN §4; 45 CFR 164.308(a)(4).
"""

from __future__ import annotations

import json
from typing import Any

from keys import access
from keys.keyholder import custody, proposals, sessions
from keys.keyholder.database import Tx
from keys.keyholder.proposals import SETTINGS
from keys.keyholder.releaselog import refused
from keys.keyholder.tenants import body_of

ENDED_LISTED = 10
ACCOUNTS_LISTED = 20
DAY_US = 86_400_000_000
ACCOUNT_DAYS = 30
"""For how long an account that an operator made counts as new."""


def changes_as(tx: Tx, *, session: str, tenant: str) -> dict[str, Any]:
    """``waiting`` (oldest first) and ``ended`` (newest first) changes, and ``accounts`` made lately.

    A change of settings has ``differs``: key, ``before`` and ``after``. Denied: no-session, another-tenant, role.
    """
    live = sessions.need(tx, session, "settings:refused")
    verdict = access.may_watch(live.facts, tenant)
    if isinstance(verdict, access.Denial):
        raise refused(tx, live.facts.tenant, "settings:refused", verdict.reason, object=tenant, actor=live.actor)
    waits = tx.all("SELECT * FROM proposals WHERE tenant = ? AND ended_us IS NULL ORDER BY made_us, id", tenant)
    over = tx.all(
        "SELECT * FROM proposals WHERE tenant = ? AND ended_us IS NOT NULL ORDER BY ended_us DESC, id LIMIT ?",
        tenant, ENDED_LISTED,
    )  # fmt: skip
    return {
        "waiting": [_whole(tx, row, live.facts.user) for row in waits],
        "ended": [_whole(tx, row, live.facts.user) for row in over],
        "accounts": _accounts(tx, tenant),
    }


def waiting_as(tx: Tx, *, session: str, tenant: str) -> dict[str, int]:
    """How many changes ``waiting`` and ``accounts`` there are, for the same people. Denied as `changes_as`."""
    live = sessions.need(tx, session, "settings:refused")
    verdict = access.may_watch(live.facts, tenant)
    if isinstance(verdict, access.Denial):
        raise refused(tx, live.facts.tenant, "settings:refused", verdict.reason, object=tenant, actor=live.actor)
    count = tx.number("SELECT COUNT(*) FROM proposals WHERE tenant = ? AND ended_us IS NULL", tenant)
    return {"waiting": count, "accounts": len(_accounts(tx, tenant))}


def _whole(tx: Tx, row: Any, reader: str | None) -> dict[str, Any]:
    votes = tx.all("SELECT * FROM approvals WHERE proposal = ? ORDER BY at_us", row["id"])
    said = [
        {
            "user": one["user"], "role": one["role"], "at_us": one["at_us"],
            "reason": _opened(tx, row["tenant"], f"{row['id']}:{one['user']}", one["reason"]),
        }
        for one in votes
    ]  # fmt: skip
    differs = _differing(body_of(tx, row["tenant"]), json.loads(row["body"])) if row["kind"] == SETTINGS else []
    return proposals.describe(tx, row) | {
        "approvals": said, "differs": differs if row["ended_us"] is None else [], "ended_us": row["ended_us"],
        "outcome": row["outcome"], "ended_by": row["ended_by"],
        "ended_reason": _opened(tx, row["tenant"], f"{row['id']}:ended", row["ended_reason"]),
        "mine": any(one["user"] == reader for one in votes) or row["object"] == reader,
    }  # fmt: skip


def _opened(tx: Tx, tenant: str, what: str, kept: bytes | None) -> str:
    if kept is None:
        return ""
    return custody.values(tx, tenant).open(what.encode("ascii"), bytes(kept)).decode("utf-8")


def _differing(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return [{"key": name, "before": before.get(name), "after": after.get(name)} for name in names]


def _accounts(tx: Tx, tenant: str) -> list[dict[str, Any]]:
    """Accounts made after the first officer signed in, without anybody's approval, newest first."""
    rows = tx.all(
        "SELECT u.id, u.role, u.state, u.created_us FROM users u JOIN tenants t ON t.id = u.tenant"
        " WHERE u.tenant = ? AND u.created_us > t.officer_seen_us AND u.created_us > ?"
        " AND NOT EXISTS (SELECT 1 FROM proposals p WHERE p.tenant = u.tenant AND p.kind = 'user' AND p.object = u.id)"
        " ORDER BY u.created_us DESC, u.id LIMIT ?",
        tenant, tx.now_us - ACCOUNT_DAYS * DAY_US, ACCOUNTS_LISTED,
    )  # fmt: skip
    return [
        {"user": row["id"], "role": row["role"], "state": row["state"], "made_us": row["created_us"]} for row in rows
    ]
