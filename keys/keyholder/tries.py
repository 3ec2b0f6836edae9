"""Counted failures in sliding windows, and the limits on them.

Promises: five failures in fifteen minutes for one person of one tenant, over all messages and factors, stop further
ones; a success clears them; counters live in the store, so a restart changes nothing. DESIGN §4b 5; NIST SP 800-63B-4.
"""

from __future__ import annotations

from keys.keyholder.database import Tx
from keys.keyholder.sessions import SECOND_US

FAILED, ASKED, KNOWN = "failed", "asked", "known"
KNOWN_US = 90 * 86_400 * SECOND_US
"""For how long a sign-in from a network is remembered."""
_EVERYONE = "*"


def left(tx: Tx, tenant: str, subject: str) -> int:
    """How many tries remain now; 0 also when the whole tenant is over its limit."""
    limits = tx.limits
    since = tx.now_us - limits.tries_window_seconds * SECOND_US
    if count(tx, tenant, FAILED, _EVERYONE, since) >= limits.tenant_tries:
        return 0
    return max(0, limits.tries - count(tx, tenant, FAILED, subject, since))


def failed(tx: Tx, tenant: str, subject: str) -> int:
    """Count one failure; how many tries remain."""
    mark(tx, tenant, FAILED, subject)
    mark(tx, tenant, FAILED, _EVERYONE)
    return left(tx, tenant, subject)


def clear(tx: Tx, tenant: str, subject: str) -> None:
    """A success: the subject's failures no longer count."""
    tx.run("DELETE FROM marks WHERE tenant = ? AND kind = ? AND subject = ?", tenant, FAILED, subject)


def locked_until(tx: Tx, tenant: str, subject: str) -> int | None:
    """When the next try is possible, None when one is possible now."""
    if left(tx, tenant, subject) > 0:
        return None
    rows = tx.all(
        "SELECT at_us FROM marks WHERE tenant = ? AND kind = ? AND subject = ? ORDER BY at_us DESC LIMIT ?",
        tenant, FAILED, subject, tx.limits.tries,
    )  # fmt: skip
    oldest = rows[-1]["at_us"] if len(rows) == tx.limits.tries else tx.now_us
    return int(oldest) + tx.limits.tries_window_seconds * SECOND_US


def mark(tx: Tx, tenant: str, kind: str, subject: str) -> None:
    """Count one thing for one subject."""
    tx.run("INSERT INTO marks (tenant, kind, subject, at_us) VALUES (?, ?, ?, ?)", tenant, kind, subject, tx.now_us)


def count(tx: Tx, tenant: str, kind: str, subject: str, since_us: int) -> int:
    """How many were counted since a time."""
    return tx.number(
        "SELECT COUNT(*) FROM marks WHERE tenant = ? AND kind = ? AND subject = ? AND at_us > ?",
        tenant, kind, subject, since_us,
    )  # fmt: skip


def remember(tx: Tx, tenant: str, subject: str) -> None:
    """A success that is to be known later; once for each subject."""
    tx.run("DELETE FROM marks WHERE tenant = ? AND kind = ? AND subject = ?", tenant, KNOWN, subject)
    mark(tx, tenant, KNOWN, subject)


def purge(tx: Tx, before_us: int) -> None:
    """Forget what was counted before a time, and successes when theirs has passed."""
    tx.run("DELETE FROM marks WHERE at_us < ? AND kind <> ?", before_us, KNOWN)
    tx.run("DELETE FROM marks WHERE at_us < ? AND kind = ?", tx.now_us - KNOWN_US, KNOWN)
