"""A clinic that is closed: nobody hands in mail for it and nobody signs in there; its log and its mail stay.

Promises: after the first officer signed in, closing needs two people, one an officer, and reopening those and a day, at
the next start; a closed clinic has no session of its staff, no submission and no new account, from the moment at which
the call is answered; what recipients may still open, and what ends by itself, is as before. The worker is told, writes
the event and renews the snapshot of every door. DESIGN §4, §7; decision 0019.
"""

from __future__ import annotations

from typing import Any

from keys.errors import Denied
from keys.keyholder import grants, proposals
from keys.keyholder.database import Tx
from keys.keyholder.proposals import CLOSED, OPEN, OPERATOR, TENANT
from keys.keyholder.releaselog import Actor, record, refused

_OPERATOR: Actor = (OPERATOR, OPERATOR)


def is_closed(tx: Tx, tenant: str) -> bool:
    """Whether it is closed now."""
    return tx.one("SELECT 1 FROM tenants WHERE id = ? AND closed_us IS NOT NULL", tenant) is not None


def need_open(tx: Tx, tenant: str, action: str, user: str = "") -> None:
    """Raises Denied("closed"), recorded as that act's refusal."""
    if is_closed(tx, tenant):
        raise refused(tx, tenant, action, "closed", object=user or tenant, actor=("user", user) if user else _OPERATOR)


def propose_state(tx: Tx, *, tenant: str, state: str) -> dict[str, Any]:
    """Ask for ``closed`` or ``open``: ``closed`` (as it is now), ``waiting``, and if so ``proposal``.

    Before any officer has signed in it is so at once. Denied: no-tenant, bad-state.
    """
    row = tx.one("SELECT officer_seen_us, closed_us FROM tenants WHERE id = ?", tenant)
    if row is None:
        raise Denied("no-tenant")
    if state not in (CLOSED, OPEN):
        raise Denied("bad-state")
    now = CLOSED if row["closed_us"] is not None else OPEN
    if now == state:
        waits = proposals.current(tx, tenant, TENANT, tenant)
        if waits is not None:  # the other was asked for, and this takes it back
            proposals.end(tx, waits, "withdrawn")
            record(tx, tenant, "settings:withdrawn", object=waits["id"], actor=_OPERATOR, reason=TENANT)
    elif row["officer_seen_us"] is None:
        _become(tx, tenant, state, "")
    else:
        waits = proposals.open_one(tx, tenant, TENANT, tenant, state)
        return {"closed": now == CLOSED, "waiting": True, "proposal": proposals.describe(tx, waits)}
    return {"closed": is_closed(tx, tenant), "waiting": False}


def approved(tx: Tx, row: Any) -> None:
    """Somebody stands behind a change of a clinic as a whole: one that closes it may act now."""
    if row["body"] == CLOSED and proposals.ripe(tx, row):
        _act(tx, row)


def begin(tx: Tx, tenant: str) -> None:
    """The gateway starts: a clinic that was to open again, and may, does."""
    row = proposals.current(tx, tenant, TENANT, tenant)
    if row is not None and proposals.ripe(tx, row):
        _act(tx, row)


def _act(tx: Tx, row: Any) -> None:
    proposals.end(tx, row, "acted")
    _become(tx, row["tenant"], row["body"], row["id"])


def _become(tx: Tx, tenant: str, state: str, request: str) -> None:
    closing = state == CLOSED
    tx.run("UPDATE tenants SET closed_us = ? WHERE id = ?", tx.now_us if closing else None, tenant)
    if closing:
        tx.run("DELETE FROM sessions WHERE tenant = ? AND user IS NOT NULL", tenant)
    word = "closed" if closing else "reopened"
    record(tx, tenant, f"tenant:{word}", object=tenant, actor=_OPERATOR, request=request)
    grants.tell(tx, tenant, OPERATOR, word, tenant)
