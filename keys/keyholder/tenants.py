"""Tenants: their keys, their two logs, and the settings that the keyholder vouches for.

Promises: keys are made once and never replaced by a repeated call. What changes settings: `changes`. DESIGN §4, §4a.
"""

from __future__ import annotations

import json
import tomllib
from typing import Any

from keys import notes
from keys.errors import Denied
from keys.keyholder import custody
from keys.keyholder.custody import SYSTEM
from keys.keyholder.database import Tx
from keys.keyholder.origins import log_vkey
from keys.keyholder.releaselog import open_log, record, release_origin, tenant_origin
from keys.keyholder.wire import b64

_WAITING = "SELECT 1 FROM proposals WHERE tenant = ? AND kind = 'settings' AND ended_us IS NULL"
_RETIRED = (  # the log itself says so, in every copy of the store; asked when a node is new
    "SELECT 1 FROM log_entries WHERE tenant = ? AND json_extract(CAST(entry AS TEXT), '$.action') = 'node:retired' "
    "AND json_extract(CAST(entry AS TEXT), '$.object') = ?"
)
NODE_ROLES = ("smtp", "worker")


def status(tx: Tx) -> dict[str, Any]:
    """What an operator may know: keys by their public half and check value, tenants, counts. No content, no names."""
    tenants = {
        row["id"]: {
            "name": row["name"], "origin": row["origin"], "officer_seen": row["officer_seen_us"] is not None,
            "waiting": tx.one(_WAITING, row["id"]) is not None, "closed_us": row["closed_us"],
        }
        for row in tx.all("SELECT * FROM tenants ORDER BY id")
    }  # fmt: skip
    counts = {
        "messages": tx.number("SELECT COUNT(*) FROM messages WHERE share IS NOT NULL"),
        "held": tx.number("SELECT COUNT(DISTINCT message) FROM grants WHERE kind = 'review' AND secret IS NOT NULL"),
        "epochs": tx.number("SELECT COUNT(*) FROM epochs WHERE private IS NOT NULL"),
        "day_keys": tx.number("SELECT COUNT(*) FROM day_keys WHERE wrapped IS NOT NULL"),
        "sessions": tx.number("SELECT COUNT(*) FROM sessions"),
    }
    nodes: dict[str, list[str]] = {}
    for row in tx.all("SELECT node, role FROM nodes ORDER BY node, role"):
        nodes.setdefault(row["node"], []).append(row["role"])
    return {
        "public_key": b64(tx.custody.root.public), "kek": tx.custody.provider.check_value,
        "kek_provider": tx.custody.provider.name, "kek_answers": tx.custody.key.answers,
        "tenants": tenants, "counts": counts, "nodes": nodes,
    }  # fmt: skip


def create_system(tx: Tx) -> None:
    """The system's log and release log, once, when the store is made."""
    custody.make_keys(tx, SYSTEM)
    open_log(tx, SYSTEM, tx.custody.system_origin, log_vkey(tx, SYSTEM))


def create_tenant(tx: Tx, *, tenant: str, name: str, origin: str) -> dict[str, str]:
    """Make a tenant's keys and open its release log; the vkeys. Denied("differs") for another name or origin."""
    row = tx.one("SELECT name, origin FROM tenants WHERE id = ?", tenant)
    if row is None:
        if tenant == SYSTEM or tx.one("SELECT 1 FROM tenants WHERE origin = ?", origin) is not None:
            raise Denied("taken")
        tx.run(
            "INSERT INTO tenants (id, name, origin, created_us) VALUES (?, ?, ?, ?)", tenant, name, origin, tx.now_us
        )
        custody.make_keys(tx, tenant)
        open_log(tx, tenant, origin, log_vkey(tx, tenant))
    elif row["name"] != name or row["origin"] != origin:
        raise Denied("differs")
    return vkeys(tx, tenant=tenant)


def vkeys(tx: Tx, *, tenant: str) -> dict[str, str]:
    """The verifier keys of the tenant's log, its release log and the system log."""
    release = custody.signer(tx, tenant, "release_sign")
    return {
        "origin": tenant_origin(tx, tenant),
        "log_vkey": log_vkey(tx, tenant),
        "release_vkey": notes.vkey(release_origin(tx, tenant), release.public),
        "system_vkey": log_vkey(tx, SYSTEM),
    }


def keys(tx: Tx) -> dict[str, Any]:
    """The tenant keys that worker and portal keep in memory, and the public key that vouches."""
    tenants = {
        row["id"]: {purpose: b64(custody.tenant_key(tx, row["id"], purpose)) for purpose in custody.HANDED_OUT}
        for row in tx.all("SELECT id FROM tenants ORDER BY id")
    }
    return {"tenants": tenants, "public_key": b64(tx.custody.root.public)}


def node_keys_for(tx: Tx, *, node: str) -> dict[str, Any]:
    """`keys` for a registered node. Denied("no-node")."""
    _need_node(tx, node)
    return keys(tx)


def register_node(tx: Tx, *, node: str, role: str, public: bytes) -> dict[str, str]:
    """Keep the public half of a node key, signed. Denied("differs") for another one under the same name; Denied
    ("retired") for a node that was taken out of use: its disk may be anybody's by now, and its name is nobody's again.
    """
    if role not in NODE_ROLES or len(public) != 32:
        raise Denied("bad-node-key")
    row = tx.one("SELECT public FROM nodes WHERE node = ? AND role = ?", node, role)
    if row is not None and bytes(row["public"]) != public:
        raise Denied("differs")
    if row is None:
        if tx.one(_RETIRED, SYSTEM, node) is not None:
            raise Denied("retired")
        tx.run("INSERT INTO nodes VALUES (?, ?, ?)", node, role, public)
        record(tx, SYSTEM, "node:registered", object=node, reason=role)
    return _vouched(tx, node, role, public)


def node_keys(tx: Tx, *, node: str) -> dict[str, Any]:
    """Each role's public node key with the keyholder's signature. Denied("no-node")."""
    _need_node(tx, node)
    rows = tx.all("SELECT role, public FROM nodes WHERE node = ?", node)
    return {row["role"]: _vouched(tx, node, row["role"], bytes(row["public"])) for row in rows}


def settings(tx: Tx, *, tenant: str) -> dict[str, Any]:
    """The settings in force. Denied("no-settings") before the first."""
    now = in_force(tx, tenant)
    if now is None:
        raise Denied("no-settings")
    return signed(tx, tenant, now["serial"], now["body"]) | {"body": json.loads(now["body"])}


def body_of(tx: Tx, tenant: str) -> dict[str, Any]:
    """The settings in force, or nothing at all."""
    now = in_force(tx, tenant)
    return {} if now is None else dict(json.loads(now["body"]))


def second_wanted(tx: Tx, tenant: str) -> bool:
    """Whether the policy that was signed asks for two officers. What cannot be read asks for them."""
    try:
        release = tomllib.loads(str(body_of(tx, tenant).get("policy_toml") or "")).get("release", {})
    except tomllib.TOMLDecodeError:
        return True
    return not isinstance(release, dict) or release.get("second_person", False) is not False


def staff_grants(tx: Tx, tenant: str) -> bool:
    """Whether the policy that was signed lets staff send again without the sender. What cannot be read does not."""
    try:
        release = tomllib.loads(str(body_of(tx, tenant).get("policy_toml") or "")).get("release", {})
    except tomllib.TOMLDecodeError:
        return False
    return isinstance(release, dict) and release.get("staff_grant", False) is True


def in_force(tx: Tx, tenant: str) -> Any:
    """Serial and body of what was signed last, or None."""
    return tx.one("SELECT serial, body FROM settings WHERE tenant = ? ORDER BY serial DESC LIMIT 1", tenant)


def signed(tx: Tx, tenant: str, serial: int, text: str) -> dict[str, Any]:
    """Serial and signature, as whoever asks for settings gets them."""
    signature = tx.custody.root.sign("sealgate/settings/v1", tenant, serial, text.encode("utf-8"))
    return {"serial": serial, "signature": b64(signature)}


def _need_node(tx: Tx, node: str) -> None:
    if tx.one("SELECT 1 FROM nodes WHERE node = ?", node) is None:
        raise Denied("no-node")


def _vouched(tx: Tx, node: str, role: str, public: bytes) -> dict[str, str]:
    return {"public": b64(public), "signature": b64(tx.custody.root.sign("sealgate/node-key/v1", node, role, public))}
