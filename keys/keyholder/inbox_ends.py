"""How an inbox ends: its peppers are destroyed, so that no lock on its private half opens again, in no copy of the
gateway's database either; its sessions end with it. DESIGN §4 (inbox); gateway/decisions/0035, 0043.
"""

from __future__ import annotations

from typing import Any

from keys.keyholder.database import Tx
from keys.keyholder.releaselog import KEYHOLDER, Actor, record


def end(tx: Tx, row: Any, reason: str, actor: Actor = KEYHOLDER) -> None:
    """End one inbox that lives."""
    tx.run("UPDATE inbox_locks SET pepper = NULL, state = 'ended' WHERE inbox = ?", row["id"])
    tx.run("DELETE FROM inbox_asks WHERE inbox = ?", row["id"])
    tx.run("DELETE FROM sessions WHERE mac IN (SELECT mac FROM inbox_sessions WHERE inbox = ?)", row["id"])
    tx.run("DELETE FROM inbox_sessions WHERE inbox = ?", row["id"])
    tx.run("UPDATE inboxes SET state = 'ended', ended_us = ? WHERE id = ?", tx.now_us, row["id"])
    tx.destroyed = True
    record(tx, row["tenant"], "factor:killed", object=row["id"], actor=actor, reason="inbox-" + reason)


def of_person(tx: Tx, tenant: str, person: str, reason: str, actor: Actor = KEYHOLDER) -> None:
    """End whatever inbox that person has: a new one begins, or the person's factors end."""
    for row in tx.all("SELECT * FROM inboxes WHERE tenant = ? AND person = ? AND state = 'live'", tenant, person):
        end(tx, row, reason, actor)


def behind(tx: Tx, tenant: str, person: str, method: str, since_us: int, reason: str) -> None:
    """End an inbox that was begun behind such a proof since then, as other lasting factors do."""
    for row in tx.all(
        "SELECT * FROM inboxes WHERE tenant = ? AND person = ? AND state = 'live' AND first_method = ?"
        " AND begun_us >= ?",
        tenant, person, method, since_us,
    ):  # fmt: skip
        end(tx, row, reason)


def purge(tx: Tx) -> None:
    """Forget what was begun and not finished, questions without an answer, and keys of sessions that are over."""
    old = tx.now_us - 86_400_000_000
    over = "SELECT id FROM inboxes WHERE state = 'begun' AND begun_us < ?"
    tx.run(f"DELETE FROM inbox_locks WHERE inbox IN ({over})", old)  # noqa: S608 - fixed words
    tx.run("DELETE FROM inboxes WHERE state = 'begun' AND begun_us < ?", old)
    tx.run("DELETE FROM inbox_asks WHERE made_us < ?", old)
    tx.run("DELETE FROM inbox_sessions WHERE mac NOT IN (SELECT mac FROM sessions)")
