"""What somebody who had a part of ours since a time could have opened: from the release log and from what there is now.

For the breach report (45 CFR 164.404 to 164.408). Promises: ids, kinds and times alone, never a name, an address or a
word; nothing is changed by asking but that the log says it was asked. DESIGN §2 (`keys incident --since`).
"""

from __future__ import annotations

import json
from typing import Any

from keys.errors import Denied
from keys.keyholder import passkey_rows
from keys.keyholder.custody import SYSTEM
from keys.keyholder.database import Tx
from keys.keyholder.proposals import OPERATOR
from keys.keyholder.releaselog import record

SCANNED = 5_000
FOUND = 1_000
LISTED = 5_000
TOLD = frozenset({
    "share:released", "meta:released", "held:released", "session:started", "device:remembered", "factor:enrolled",
    "factor:registered", "act:recorded", "code:made", "grant:frozen", "grant:narrowed", "settings:signed",
    "settings:approved", "user:added", "user:joined", "user:password", "user:app-password", "tenant:closed",
    "tenant:reopened", "budget:raised", "budget:alarm", "call:refused", "node:registered", "node:retired",
    "machine:certified", "machine:revoked", "backup:made", "kek:rotating", "kek:rotated", "store:restored",
    "people:registered", "log:read", "recovery:made", "recovery:used",
})  # fmt: skip
"""What lets somebody open something, lets them in, or changes who may; refusals are counted, not listed."""

_END_CODES = (
    "UPDATE codes SET dead_us = ? WHERE tenant = ? AND made_us >= ? AND dead_us IS NULL AND used_us IS NULL",
    "UPDATE cards SET dead_us = ? WHERE tenant = ? AND made_us >= ? AND dead_us IS NULL AND used_us IS NULL",
    "UPDATE recovery_codes SET used_us = ? WHERE tenant = ? AND made_us >= ? AND used_us IS NULL",
)


def incident(tx: Tx, *, tenant: str, since_us: int, start: int) -> dict[str, Any]:
    """One page of the release log of a tenant (or of ``system``): ``entries`` since that time, ``refused`` (how many
    refusals there were), ``next`` (go on there), ``size``.

    An entry: at_us, index, action, actor (kind, id), object, message (its), reason, proof. Denied("no-tenant").
    """
    head = tx.one("SELECT size FROM log_heads WHERE tenant = ?", tenant)
    if head is None:
        raise Denied("no-tenant")
    rows = tx.all(
        "SELECT log_index, entry FROM log_entries WHERE tenant = ? AND log_index >= ? ORDER BY log_index LIMIT ?",
        tenant, start, SCANNED,
    )  # fmt: skip
    found: list[dict[str, Any]] = []
    refused, after = 0, start
    for row in rows:
        after = row["log_index"] + 1
        entry = json.loads(bytes(row["entry"]))
        if entry["ts"] < since_us:
            continue
        refused += entry["outcome"] == "refused"
        if entry["outcome"] == "ok" and entry["action"] in TOLD:
            found.append({
                "at_us": entry["ts"], "index": row["log_index"], "action": entry["action"], "actor": entry["actor"],
                "object": entry["object"], "message": _message(tx, entry["object"]), "reason": entry["reason"],
                "proof": entry["proof"],
            })  # fmt: skip
            if len(found) == FOUND:
                break
    if start == 0:  # the first page stands for the whole question
        record(tx, tenant, "log:read", actor=(OPERATOR, OPERATOR), reason="incident")
    return {"entries": found, "refused": refused, "next": after, "size": int(head["size"])}


def exposed(tx: Tx, *, tenant: str, since_us: int) -> dict[str, Any]:
    """What stood open at some instant since then, whoever asked: ``deposited`` (messages made in that time), ``staff``
    and ``recovery`` and ``inbox`` (messages alive with such a grant), ``held`` (held messages that could be read),
    ``epochs`` (hours whose spool keys were there), ``sessions`` and ``devices`` that are in force now.

    Lists are cut at 5,000; ``cut`` says whether one was. Denied("no-tenant").
    """
    if tenant != SYSTEM and tx.one("SELECT 1 FROM tenants WHERE id = ?", tenant) is None:
        raise Denied("no-tenant")
    alive = "SELECT DISTINCT g.message FROM grants g JOIN messages m ON m.id = g.message WHERE m.tenant = ?1 AND"
    living = "(m.destroyed_us IS NULL OR m.destroyed_us >= ?2) ORDER BY g.message LIMIT ?3"
    found: dict[str, Any] = {
        kind: [row[0] for row in tx.all(f"{alive} g.kind = ?4 AND {living}", tenant, since_us, LISTED, kind)]
        for kind in ("staff", "recovery", "inbox")
    }
    found["held"] = [row[0] for row in tx.all(f"{alive} g.kind = ?4 AND {living}", tenant, since_us, LISTED, "review")]
    found["deposited"] = [
        {"message": row["id"], "at_us": row["deposited_us"], "destroyed_us": row["destroyed_us"]}
        for row in tx.all(
            "SELECT id, deposited_us, destroyed_us FROM messages WHERE tenant = ? AND deposited_us >= ?"
            " ORDER BY deposited_us, id LIMIT ?",
            tenant, since_us, LISTED,
        )
    ]  # fmt: skip
    found["epochs"] = [
        {"node": row["node"], "hour": row["epoch"], "destroyed_us": row["destroyed_us"]}
        for row in tx.all(
            "SELECT node, epoch, destroyed_us FROM epochs WHERE destroyed_us IS NULL OR destroyed_us >= ?"
            " ORDER BY epoch, node LIMIT ?",
            since_us, LISTED,
        )
    ]  # fmt: skip
    found["sessions"] = [
        {"person": row["person"] or "", "user": row["user"] or "", "method": row["method"], "made_us": row["made_us"]}
        for row in tx.all(
            "SELECT * FROM sessions WHERE tenant = ? AND expires_us > ? ORDER BY made_us LIMIT ?",
            tenant, tx.now_us, LISTED,
        )
    ]  # fmt: skip
    found["devices"] = [
        {"person": row["person"], "made_us": row["made_us"], "expires_us": row["expires_us"]}
        for row in tx.all(
            "SELECT * FROM devices WHERE tenant = ? AND expires_us > ? ORDER BY made_us LIMIT ?",
            tenant, tx.now_us, LISTED,
        )
    ]  # fmt: skip
    return found | {"cut": any(isinstance(one, list) and len(one) == LISTED for one in found.values())}


def end_since(tx: Tx, *, tenant: str, since_us: int) -> dict[str, int]:
    """End what a thief may hold or have planted: all ``sessions`` of that tenant; ``devices`` remembered, code apps
    (``totps``) and ``passkeys`` set up, and staff codes, cards and recovery codes (``codes``) made since then; how many
    of each. Denied("no-tenant").
    """
    if tx.one("SELECT 1 FROM tenants WHERE id = ?", tenant) is None:
        raise Denied("no-tenant")
    ended = {
        "sessions": tx.run("DELETE FROM sessions WHERE tenant = ?", tenant),
        "devices": tx.run("DELETE FROM devices WHERE tenant = ? AND made_us >= ?", tenant, since_us),
        "totps": tx.run(
            "UPDATE totps SET state = 'dead' WHERE tenant = ? AND state != 'dead' AND begun_us >= ?", tenant, since_us
        ),
        "passkeys": _passkeys_end(tx, tenant, since_us),
        "codes": sum(tx.run(change, tx.now_us, tenant, since_us) for change in _END_CODES),
    }  # fmt: skip
    for name, count in ended.items():
        if count:
            record(tx, tenant, "incident:ended", object=name, actor=(OPERATOR, OPERATOR), reason=str(count))
    return ended


def _passkeys_end(tx: Tx, tenant: str, since_us: int) -> int:
    """Kill the passkeys of that time; each is verified before, as whenever a row of theirs is changed."""
    owners = tx.all(
        "SELECT DISTINCT kind, owner FROM passkeys WHERE tenant = ? AND state = 'live' AND made_us >= ?",
        tenant, since_us,
    )  # fmt: skip
    young = [
        row
        for one in owners
        for row in passkey_rows.owned(tx, passkey_rows.Owner(tenant, one["kind"], one["owner"]))
        if row["made_us"] >= since_us
    ]
    for row in young:
        passkey_rows.kill(tx, row, "incident")
    return len(young)


def _message(tx: Tx, object: str) -> str:
    """The message that an object or a grant belongs to, else nothing."""
    for question in ("SELECT message FROM objects WHERE id = ?", "SELECT message FROM grants WHERE id = ?"):
        row = tx.one(question, object)
        if row is not None:
            return str(row["message"])
    return object if tx.one("SELECT 1 FROM messages WHERE id = ?", object) is not None else ""
