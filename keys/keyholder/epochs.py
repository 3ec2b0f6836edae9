"""Epoch keys of the spool, the snapshot for smtp, and the signed checkpoints: what a node gets from the keyholder.

Promises: an epoch's private half rests wrapped by the KEK and is overwritten when the worker says it is done; the
snapshot holds only what the keyholder itself knows, with a serial that never repeats; a checkpoint is signed only for a
tree that provably extends the last one signed. DESIGN §2, §4a, §5; RFC 6962 2.1.4.2, C2SP tlog-witness's rule.
"""

from __future__ import annotations

from typing import Any

from keys import merkle, notes
from keys.boxes import BoxKey
from keys.encoding import canonical
from keys.errors import Denied, Tampered
from keys.keyholder import authority, certificates, custody
from keys.keyholder.database import Tx
from keys.keyholder.origins import log_origin
from keys.keyholder.releaselog import refused, tenant_origin
from keys.keyholder.tenants import body_of
from keys.keyholder.wire import b64, unb64

HOUR_US = 3_600_000_000


def current(now_us: int) -> int:
    """The running epoch: whole hours since 1970."""
    return now_us // HOUR_US


def epochs(tx: Tx, *, node: str) -> list[dict[str, Any]]:
    """All undestroyed epoch keys of a node, the current and the next made if need be."""
    if tx.one("SELECT 1 FROM nodes WHERE node = ?", node) is None:
        raise Denied("no-node")
    for epoch in (current(tx.now_us), current(tx.now_us) + 1):
        _make(tx, node, epoch)
    answer = []
    for row in tx.all("SELECT * FROM epochs WHERE node = ? AND private IS NOT NULL ORDER BY epoch", node):
        private = tx.custody.unwrap(bytes(row["private"]), "epoch", node, row["epoch"])
        if BoxKey.from_private(private).public != bytes(row["public"]):
            raise Tampered("an epoch key's two halves do not belong together")
        answer.append(_public(tx, node, row["epoch"], bytes(row["public"])) | {"private": b64(private)})
    return answer


def epoch_done(tx: Tx, *, node: str, epoch: int) -> None:
    """Destroy an epoch's private key. Idempotent; Denied("not-over") while its hour runs or is still to come."""
    if epoch >= current(tx.now_us):
        raise Denied("not-over")
    tx.destroyed = True  # also when repeated: an earlier attempt may have failed at truncating the write-ahead log
    row = tx.one("SELECT private FROM epochs WHERE node = ? AND epoch = ?", node, epoch)
    if row is None or row["private"] is None:
        return
    tx.custody.forget(bytes(row["private"]), "epoch", node, epoch)
    tx.run("UPDATE epochs SET private = NULL, destroyed_us = ? WHERE node = ? AND epoch = ?", tx.now_us, node, epoch)


def retire_node(tx: Tx, *, node: str) -> dict[str, Any]:
    """Take a node out of use for good: its epoch keys are destroyed, its node keys count no more, and its certificates
    admit nobody.

    ``epochs`` (how many keys were left), ``report`` (signed, see `certificates.of_node`). Denied("no-node");
    Denied("running") while it asked for keys within this hour: what waits in its spool would be lost.
    """
    if tx.one("SELECT 1 FROM nodes WHERE node = ?", node) is None:
        raise Denied("no-node")
    if tx.one("SELECT 1 FROM epochs WHERE node = ? AND epoch > ?", node, current(tx.now_us)) is not None:
        raise Denied("running")
    left = tx.all("SELECT epoch, private FROM epochs WHERE node = ? AND private IS NOT NULL ORDER BY epoch", node)
    for row in left:
        tx.custody.forget(bytes(row["private"]), "epoch", node, row["epoch"])
    tx.run("UPDATE epochs SET private = NULL, destroyed_us = ? WHERE node = ? AND private IS NOT NULL", tx.now_us, node)
    roles = [row["role"] for row in tx.all("SELECT role FROM nodes WHERE node = ? ORDER BY role", node)]
    tx.run("DELETE FROM nodes WHERE node = ?", node)
    authority.revoke(tx, node)
    tx.destroyed = True
    made = tx.number("SELECT COUNT(*) FROM epochs WHERE node = ?", node)
    return {"epochs": len(left), "report": certificates.of_node(tx, node, roles, made, len(left))}


def snapshot(tx: Tx, *, node: str, extensions: dict[str, Any]) -> dict[str, str]:
    """What smtp may know, from our own rows, signed. `extensions` are the smarthost's, as the worker saw them."""
    if tx.one("SELECT 1 FROM nodes WHERE node = ?", node) is None:
        raise Denied("no-node")
    here = (current(tx.now_us), current(tx.now_us) + 1)
    for epoch in here:
        _make(tx, node, epoch)
    tx.run("INSERT INTO snapshots VALUES (?, 1) ON CONFLICT (node) DO UPDATE SET serial = serial + 1", node)
    payload = canonical(
        {
            "node": node,
            "serial": tx.number("SELECT serial FROM snapshots WHERE node = ?", node),
            "time_us": tx.now_us,
            "tenants": [
                _tenant(tx, row["id"]) for row in tx.all("SELECT id FROM tenants WHERE closed_us IS NULL ORDER BY id")
            ],
            "epochs": [
                _public(tx, node, row["epoch"], bytes(row["public"]))
                for row in tx.all("SELECT * FROM epochs WHERE node = ? AND epoch IN (?, ?) ORDER BY epoch", node, *here)
                if row["private"] is not None
            ],
            "extensions": extensions,
        }
    )
    signature = tx.custody.root.sign("sealgate/snapshot/v1", payload)
    return {"payload": payload.decode("utf-8"), "signature": b64(signature)}


def sign_checkpoint(tx: Tx, *, log: str, size: int, root: bytes, old_size: int, proof: list[Any]) -> str:
    """The signed note for (size, root), if `proof` leads there from what was last signed for that log."""
    origin = log_origin(tx, log)
    kept = tx.one("SELECT size, root FROM witness WHERE log = ?", log)
    kept_size, kept_root = (0, merkle.EMPTY_ROOT) if kept is None else (int(kept["size"]), bytes(kept["root"]))
    try:
        hashes = [unb64(item) for item in proof]
        if old_size != kept_size or size < kept_size or len(root) != 32:
            raise Tampered("not from where the log stood")
        if kept_size == 0:
            if hashes or (size == 0 and root != merkle.EMPTY_ROOT):
                raise Tampered("an empty log has one root and needs no proof")
        else:
            merkle.verify_consistency(kept_size, kept_root, size, root, hashes)
    except (Tampered, ValueError, TypeError) as error:
        denied = refused(
            tx, log, "checkpoint:refused", "inconsistent", data={"size": kept_size, "root": b64(kept_root)}, object=log
        )
        raise denied from error
    note = notes.sign_note(notes.Checkpoint(origin, size, root).text(), origin, custody.signer(tx, log, "log_sign"))
    if kept is None or size > kept_size:
        tx.run("INSERT OR REPLACE INTO witness VALUES (?, ?, ?, ?, ?)", log, size, root, note, tx.now_us)
    return note


def last_checkpoint(tx: Tx, *, log: str) -> dict[str, Any] | None:
    """The last tree signed for that log."""
    tenant_origin(tx, log)
    row = tx.one("SELECT size, root, note FROM witness WHERE log = ?", log)
    return None if row is None else {"size": row["size"], "root": b64(bytes(row["root"])), "note": row["note"]}


def _make(tx: Tx, node: str, epoch: int) -> None:
    """The key of an hour. One that was destroyed before its time, by a clock that has gone back since, is made anew:
    another key, so that mail is taken in that hour and what was destroyed stays so.
    """
    row = tx.one("SELECT private FROM epochs WHERE node = ? AND epoch = ?", node, epoch)
    if row is None or row["private"] is None:
        key = BoxKey.generate()
        wrapped = tx.custody.wrap(key.private_bytes(), "epoch", node, epoch)
        tx.run(
            "INSERT INTO epochs (node, epoch, public, private) VALUES (?, ?, ?, ?) ON CONFLICT (node, epoch) DO UPDATE "
            "SET public = excluded.public, private = excluded.private, destroyed_us = NULL",
            node, epoch, key.public, wrapped,
        )  # fmt: skip


def _public(tx: Tx, node: str, epoch: int, public: bytes) -> dict[str, Any]:
    signature = tx.custody.root.sign("sealgate/epoch/v1", node, epoch, public)
    return {"epoch": epoch, "public": b64(public), "signature": b64(signature)}


def _tenant(tx: Tx, tenant: str) -> dict[str, Any]:
    body = body_of(tx, tenant)
    values = custody.values(tx, tenant)
    users = [
        {
            "username": values.open(b"username", bytes(row["username"])).decode("utf-8"), "user": row["user"],
            "salt": b64(bytes(row["salt"])), "verifier": b64(bytes(row["verifier"])),
        }
        for row in tx.all("SELECT * FROM app_passwords WHERE tenant = ? ORDER BY created_us, id", tenant)
    ]  # fmt: skip
    return {
        "id": tenant, "domains": body.get("domains", []), "networks": body.get("networks", []),
        "limits": body.get("limits", {}), "users": users,
        **{name: body[name] for name in ("devices", "shared") if body.get(name)},
    }  # fmt: skip
