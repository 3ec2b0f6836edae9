"""What was found changed in the store while nobody waited for an answer, said where the gateway hears of it.

Promises: the release log of that clinic names it once a day for as long as it is so, and the gateway, which follows
that log, makes it an alarm of its own log, which `doctor` shows. DESIGN §1 (nothing changed unseen).
"""

from __future__ import annotations

from keys.keyholder import journal
from keys.keyholder.custody import DAY_US
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import record

FOUND = "tamper:found"


def tell(tx: Tx, tenant: str, object: str, reason: str) -> None:
    """Note a thing whose row or seal does not hold; again the same day only in our own lines."""
    journal.line("keyholder:tampered", state=reason)
    day, name = str(tx.now_us // DAY_US), f"alarm {object}"
    row = tx.one("SELECT value FROM meta WHERE name = ?", name)
    if row is None or bytes(row["value"]) != day.encode("ascii"):
        tx.run("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", name, day.encode("ascii"))
        record(tx, tenant, FOUND, object=object, outcome="failed", reason=reason, request=f"{object}-{day}")
