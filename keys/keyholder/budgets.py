"""How much may be released in an hour: what a stolen portal could take before somebody notices.

Promises: only first releases of (person, object) count, and only successes; a tenant's hard limit follows its own
busiest hour; past it passkey sessions still work and an officer can lift it for an hour. DESIGN §4b 4.
"""

from __future__ import annotations

from keys import access
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import record
from keys.keyholder.sessions import SECOND_US

HOUR_US = 3600 * SECOND_US


def spend(tx: Tx, tenant: str, person: str, object: str, proof: int) -> str | None:
    """Take one release from the budgets; None when that was possible, else the reason why not."""
    known = "SELECT 1 FROM opened WHERE tenant = ? AND person = ? AND object = ?"
    if tx.one(known, tenant, person, object) is not None:
        return None
    since = tx.now_us - HOUR_US
    limit = tenant_limit(tx, tenant)
    taken = tx.number("SELECT COUNT(*) FROM opened WHERE tenant = ? AND at_us > ?", tenant, since)
    verdict = access.within_budget(
        access.BudgetFacts(
            first=True,
            person_hour=tx.number(
                "SELECT COUNT(*) FROM opened WHERE tenant = ? AND person = ? AND at_us > ?", tenant, person, since
            ),
            person_limit=tx.limits.person_releases_per_hour,
            tenant_hour=taken,
            tenant_limit=limit,
            raised=tx.one("SELECT 1 FROM raised WHERE tenant = ? AND until_us > ?", tenant, tx.now_us) is not None,
        ),
        proof,
    )
    if isinstance(verdict, access.Denial):
        return verdict.reason
    tx.run("INSERT INTO opened VALUES (?, ?, ?, ?)", tenant, person, object, tx.now_us)
    tx.run(
        "INSERT INTO hours VALUES (?, ?, 1) ON CONFLICT (tenant, hour) DO UPDATE SET count = count + 1",
        tenant, tx.now_us // HOUR_US,
    )  # fmt: skip
    if taken + 1 == max(1, limit // 2):
        record(tx, tenant, "budget:alarm", object=tenant, reason="half-of-limit")
    return None


def tenant_limit(tx: Tx, tenant: str) -> int:
    """The hard limit an hour: the floor, or ten times the busiest finished hour of 30 days."""
    hour = tx.now_us // HOUR_US
    busiest = tx.number(
        "SELECT MAX(count) FROM hours WHERE tenant = ? AND hour < ? AND hour >= ?", tenant, hour, hour - 24 * 30
    )
    return max(tx.limits.tenant_releases_per_hour, 10 * busiest)
