"""The keyholder's own log: one Merkle tree per tenant, written before any answer, and the receipts it gives.

An entry is RFC 8785 JSON with the fields of the gateway's log (DESIGN §5): `node` is ``keyholder``, `nseq` the entry's
index, `object` the thing acted on, `reason` a machine word. Actions: ``log:opened log:reopened message:deposited
share:released
share:resumed share:refused share:destroyed meta:released meta:refused grant:narrowed grant:frozen grant:unfrozen
code:queued code:made code:refused session:started session:refused session:ended factor:begun factor:enrolled
factor:killed factor:registered factor:removed recovery:made recovery:used
inbox:asked staff:released
device:remembered device:forgotten act:recorded act:confirmed act:refused held:released
held:settled log:read log:refused
settings:signed settings:waiting settings:approved settings:withdrawn settings:refused user:added user:waiting
user:joined user:refused user:disabled user:password user:app-password tenant:waiting tenant:closed tenant:reopened
checkpoint:refused
deposit:refused share:kept hold:set hold:lifted certificate:issued tamper:found node:registered node:retired
machine:certified machine:revoked incident:ended
day:destroyed budget:raised budget:alarm call:refused people:registered
backup:begun backup:made backup:refused backup:verified store:restored kek:rotating kek:rotated
recovery:waiting recovery:set recovery:confirmed recovery:proved recovery:relinked recovery:refused``.
A receipt is ``lp("sealgate/receipt/v1", log, index, leaf_hash)`` signed with the tenant's release log key, the same
whose vkey the first entry of the tenant's log states. What belongs to no tenant goes to the tenant ``system``.
Clauses: RFC 6962 2.1, C2SP tlog-checkpoint, 45 CFR 164.312(b).
"""

from __future__ import annotations

from typing import Any

from keys import merkle, notes
from keys.encoding import canonical
from keys.errors import Denied, Tampered
from keys.keyholder import custody
from keys.keyholder.custody import SYSTEM
from keys.keyholder.database import Recorded, Tx
from keys.keyholder.wire import b64

PAGE_BYTES = 600_000
Actor = tuple[str, str]
KEYHOLDER: Actor = ("keyholder", "keyholder")


def record(
    tx: Tx,
    tenant: str,
    action: str,
    *,
    object: str = "",
    actor: Actor = KEYHOLDER,
    outcome: str = "ok",
    reason: str = "",
    proof: int | None = None,
    request: str = "",
) -> int:
    """Append one entry to the tenant's release log, in the call's own transaction; its index."""
    head = tx.one("SELECT size FROM log_heads WHERE tenant = ?", tenant)
    if head is None:
        raise Denied("no-tenant")
    size = int(head["size"])
    entry = canonical(
        {
            "v": 1, "ts": tx.now_us, "tenant": tenant, "actor": {"kind": actor[0], "id": actor[1]}, "action": action,
            "object": object, "outcome": outcome, "reason": reason, "proof": proof, "request": request,
            "node": "keyholder", "nseq": size, "ip_ref": "", "agent_ref": "", "bytes": None, "policy": "",
            "receipt": "",
        }
    )  # fmt: skip
    for level, position, digest in merkle.append(size, merkle.leaf_hash(entry), _getter(tx, tenant)):
        tx.run("INSERT INTO log_nodes VALUES (?, ?, ?, ?)", tenant, level, position, digest)
    tx.run("INSERT INTO log_entries VALUES (?, ?, ?)", tenant, size, entry)
    tx.run("UPDATE log_heads SET size = ? WHERE tenant = ?", size + 1, tenant)
    return size


def refused(
    tx: Tx, tenant: str | None, action: str, reason: str, *, data: dict[str, Any] | None = None, **fields: Any
) -> Recorded:
    """Record a refusal and return the denial to raise; raising it keeps the record."""
    known = tenant is not None and tx.one("SELECT 1 FROM log_heads WHERE tenant = ?", tenant) is not None
    record(tx, tenant if known and tenant else SYSTEM, action, outcome="refused", reason=reason, **fields)
    return Recorded(reason, data)


def open_log(tx: Tx, tenant: str, origin: str, log_vkey: str) -> None:
    """Start a tenant's release log with the entry that ties it to the tenant's log."""
    tx.run("INSERT INTO log_heads (tenant, size) VALUES (?, 0)", tenant)
    record(tx, tenant, "log:opened", object=origin, reason=log_vkey)


def release_origin(tx: Tx, tenant: str) -> str:
    """Origin of a tenant's release log."""
    return tenant_origin(tx, tenant) + "/keyholder"


def tenant_origin(tx: Tx, tenant: str) -> str:
    """Origin of a tenant's log, or of the system log. Raises Denied("no-tenant")."""
    if tenant == SYSTEM:
        return tx.custody.system_origin
    row = tx.one("SELECT origin FROM tenants WHERE id = ?", tenant)
    if row is None:
        raise Denied("no-tenant")
    return str(row["origin"])


def receipt(tx: Tx, tenant: str, index: int, *, resumed: bool = False) -> dict[str, Any]:
    """The receipt of an entry. Ed25519 is deterministic, so the same entry always has the same receipt."""
    row = tx.one("SELECT hash FROM log_nodes WHERE tenant = ? AND level = 0 AND position = ?", tenant, index)
    if row is None:
        raise Tampered("the release log lacks an entry it gave a receipt for")
    leaf_hash = bytes(row["hash"])
    log = release_origin(tx, tenant)
    signature = custody.signer(tx, tenant, "release_sign").sign("sealgate/receipt/v1", log, index, leaf_hash)
    return {
        "log": log, "index": index, "leaf_hash": b64(leaf_hash), "signature": b64(signature), "resumed": resumed,
    }  # fmt: skip


def page(tx: Tx, *, tenant: str, start: int) -> dict[str, Any]:
    """Entries from `start`, as many as fit a frame, with a signed checkpoint of the whole log."""
    head = tx.one("SELECT size FROM log_heads WHERE tenant = ?", tenant)
    if head is None:
        raise Denied("no-tenant")
    size = int(head["size"])
    if not 0 <= start <= size:
        raise Denied("out-of-range", {"size": size})
    entries: list[str] = []
    room = PAGE_BYTES
    cursor = tx.conn.execute(
        "SELECT entry FROM log_entries WHERE tenant = ? AND log_index >= ? ORDER BY log_index", (tenant, start)
    )
    for row in cursor:
        entries.append(b64(row["entry"]))
        room -= len(entries[-1])
        if room <= 0:
            break
    origin = release_origin(tx, tenant)
    root = merkle.root(size, _getter(tx, tenant))
    text = notes.Checkpoint(origin, size, root).text()
    note = notes.sign_note(text, origin, custody.signer(tx, tenant, "release_sign"))
    return {"entries": entries, "size": size, "checkpoint": note}


def _getter(tx: Tx, tenant: str) -> merkle.Get:
    def get(level: int, position: int) -> bytes:
        row = tx.one(
            "SELECT hash FROM log_nodes WHERE tenant = ? AND level = ? AND position = ?", tenant, level, position
        )
        if row is None:
            raise Tampered("the release log lacks a node of its tree")
        return bytes(row["hash"])

    return get
