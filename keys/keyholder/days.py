"""A tenant's key of one day, destroyed before its time: with it all that expires that day is erased.

Promises: what a legal hold keeps is not touched, and stops the whole of it; what has not expired is erased only when
the number of those messages is said, and never where the tenant has officers, whose decision that is; the day goes on
to be usable, under another key. DESIGN §4a (S); NIST SP 800-88 2.6.
"""

from __future__ import annotations

from typing import Any

from keys.errors import Denied
from keys.keyholder import custody, deposits, grants, holds
from keys.keyholder.custody import DAY_US
from keys.keyholder.database import Tx
from keys.keyholder.proposals import OPERATOR
from keys.keyholder.releaselog import record, refused


def destroy_day(tx: Tx, *, tenant: str, day: int, unexpired: int) -> dict[str, Any]:
    """Erase what expires on `day` (days since 1970): ``messages`` destroyed, ``final_us``, ``receipt`` of each not
    given; they stand in the release log.

    Denied: no-tenant, no-day (no key, so nothing lies under it); on-hold (``messages``); officers (``messages``);
    unexpired (``messages``: so many have not expired, and `unexpired` said another number).
    """
    if tx.one("SELECT 1 FROM tenants WHERE id = ?", tenant) is None:
        raise Denied("no-tenant")
    row = tx.one("SELECT wrapped FROM day_keys WHERE tenant = ? AND day = ?", tenant, day)
    if row is None or row["wrapped"] is None:
        raise Denied("no-day")
    known = holds.active(tx, tenant)
    under = [
        grants.message_row(tx, one["id"])
        for one in tx.all("SELECT id FROM messages WHERE tenant = ? AND day = ? AND share IS NOT NULL", tenant, day)
    ]
    found = [one for one in under if one is not None and not one["under_hold"]]
    held = [one for one in found if holds.over(tx, one, known)]
    live = [one for one in found if one["expires_us"] > tx.now_us]
    officer = tx.number("SELECT officer_seen_us FROM tenants WHERE id = ?", tenant) > 0
    why, count = "", 0
    if held:
        why, count = "on-hold", len(held)
    elif live and officer:
        why, count = "officers", len(live)
    elif len(live) != unexpired:
        why, count = "unexpired", len(live)
    if why:
        raise refused(
            tx, tenant, "share:kept", why, data={"messages": count}, object=f"day-{day}", actor=(OPERATOR, OPERATOR)
        )
    final = max([tx.now_us, *(deposits.final_us(tx, one) for one in found)])
    for one in found:
        deposits.destroy(tx, tenant, one["id"], (OPERATOR, OPERATOR), "day")
    custody.destroy_day(tx, tenant, day)
    if day >= tx.now_us // DAY_US:  # mail that comes yet and ends that day needs a key: another one
        tx.run("DELETE FROM day_keys WHERE tenant = ? AND day = ?", tenant, day)
    record(tx, tenant, "day:destroyed", object=f"day-{day}", actor=(OPERATOR, OPERATOR), reason="asked")
    return {"messages": len(found), "final_us": final}
