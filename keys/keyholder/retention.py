"""What may be known of holds, erasures and certificates: by officers, by who may see a message, by the worker.

Promises: reasons are opened for officers and auditors of that tenant alone; the worker is told what was destroyed and
closed in the order of the release log, from any place in it, so that a restored database hears all of it again.
DESIGN §4a; 45 CFR 164.312(b).
"""

from __future__ import annotations

import json
from typing import Any

from keys import access
from keys.keyholder import alarms, custody, deposits, disposals, grants, holds, sessions
from keys.keyholder.calls import BadCall, is_id
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import receipt, refused
from keys.keyholder.tenants import second_wanted

LISTED = 100
SCANNED = 2_000
_FOLLOWED = frozenset({"share:destroyed", "certificate:issued", "hold:set", "hold:lifted", alarms.FOUND})


def retention_as(tx: Tx, *, session: str, tenant: str) -> dict[str, Any]:
    """``holds`` in force, ``lifted`` ones, ``waiting`` decisions, ``done`` ones with their certificates, ``kept`` (how
    many messages live on only because of a hold), ``second`` (whether the policy asks for two people).

    Newest first, at most 100 of each. Denied: no-session, another-tenant, role.
    """
    live = sessions.need(tx, session, "act:refused")
    verdict = access.may_export(live.facts, tenant)
    if isinstance(verdict, access.Denial):
        raise refused(tx, live.facts.tenant, "act:refused", verdict.reason, object=tenant, actor=live.actor)
    in_force = holds.active(tx, tenant)
    over = tx.all(
        "SELECT * FROM holds WHERE tenant = ? AND lifted_us IS NOT NULL ORDER BY lifted_us DESC, id LIMIT ?",
        tenant, LISTED,
    )  # fmt: skip
    waits = tx.all(
        f"SELECT * FROM disposals WHERE {disposals.STANDING} ORDER BY made_us DESC, id LIMIT ?",  # noqa: S608 - fixed words
        tenant, tx.now_us, LISTED,
    )  # fmt: skip
    done = tx.all(
        "SELECT * FROM disposals WHERE tenant = ? AND begun_us IS NOT NULL ORDER BY begun_us DESC, id LIMIT ?",
        tenant, LISTED,
    )  # fmt: skip
    kept = tx.number(
        "SELECT COUNT(*) FROM messages WHERE tenant = ? AND owed_us IS NOT NULL AND destroyed_us IS NULL", tenant
    )
    return {
        "holds": [_hold(tx, row) for row in reversed(in_force)][:LISTED], "lifted": [_hold(tx, row) for row in over],
        "waiting": [_disposal(tx, row) for row in waits], "done": [_disposal(tx, row) for row in done], "kept": kept,
        "second": second_wanted(tx, tenant),
    }  # fmt: skip


def certificate_as(tx: Tx, *, session: str, id: str) -> dict[str, Any]:
    """One decision with its certificate: ``text`` (the signed note). Denied: no-session, role, unknown."""
    live = sessions.need(tx, session, "act:refused", object=id)
    tenant = live.facts.tenant
    verdict = access.may_export(live.facts, tenant)
    row = tx.one("SELECT * FROM disposals WHERE id = ? AND tenant = ? AND certificate IS NOT NULL", id, tenant)
    if isinstance(verdict, access.Denial):
        raise refused(tx, tenant, "act:refused", verdict.reason, object=id, actor=live.actor)
    if row is None:
        raise refused(tx, tenant, "act:refused", "unknown", object=id, actor=live.actor)
    return _disposal(tx, row) | {"text": row["certificate"]}


def state_as(tx: Tx, *, session: str, message: str) -> dict[str, Any]:
    """Of one message: ``holds`` over it (kind and time), ``destroyed_us``, ``final_us``, ``certificate`` (an id).

    For whoever may see its subject. Denied: no-session, unknown, and as `access.may_read_meta`.
    """
    live = sessions.need(tx, session, "meta:refused", object=message)
    row = grants.message_row(tx, message)
    verdict = (
        access.Denial("unknown")
        if row is None
        else access.may_read_meta(live.facts, row["tenant"], message, row["sender_user"], False)
    )
    if row is None or isinstance(verdict, access.Denial):
        why = verdict.reason if isinstance(verdict, access.Denial) else "unknown"
        raise refused(tx, live.facts.tenant, "meta:refused", why, object=message, actor=live.actor)
    over = holds.over(tx, row) if row["destroyed_us"] is None else []
    return {
        "holds": [{"id": one["id"], "kind": one["kind"], "set_us": one["set_us"]} for one in over],
        "destroyed_us": row["destroyed_us"],
        "final_us": deposits.final_us(tx, row) if row["destroyed_us"] is not None else None,
        "owed_us": row["owed_us"],
        "certificate": _certificate(tx, row) if row["destroyed_us"] is not None else "",
    }  # fmt: skip


def retention_of(tx: Tx, *, tenant: str) -> dict[str, Any]:
    """The same lists for the operator's commands: ids, kinds, times and numbers, no reason."""
    done = tx.all("SELECT * FROM disposals WHERE tenant = ? ORDER BY made_us DESC, id LIMIT ?", tenant, LISTED)
    plain = ("id", "kind", "object", "user", "set_us", "from_us", "until_us")
    return {
        "holds": [{name: row[name] for name in plain} for row in holds.active(tx, tenant)],
        "disposals": [_plain(row) | {"text": row["certificate"]} for row in done],
    }  # fmt: skip


def ended(tx: Tx, *, tenant: str, start: int) -> dict[str, Any]:
    """What the gateway must follow of the release log from `start` on: ``entries``, ``next`` (go on there), ``size``,
    ``before`` (a mark of the entry in front of `start`, and of the one in front of ``next`` in ``mark``; 0 for none).

    An entry has ``index``, ``action``, ``object``, ``actor``, ``reason``, ``request``, ``at_us``, ``receipt`` and
    ``until_us`` (when the message it is about ends). Its action is share:destroyed, hold:set, hold:lifted,
    tamper:found (a row of the store does not hold), certificate:issued, or grant:narrowed for a reader who was erased
    ("erased") or a message that ends sooner ("shortened").
    """
    size = tx.number("SELECT size FROM log_heads WHERE tenant = ?", tenant)
    rows = tx.all(
        "SELECT log_index, entry FROM log_entries WHERE tenant = ? AND log_index >= ? ORDER BY log_index LIMIT ?",
        tenant, start, SCANNED,
    )  # fmt: skip
    found: list[dict[str, Any]] = []
    after = start
    for row in rows:
        entry = json.loads(bytes(row["entry"]))
        followed = entry["action"] in _FOLLOWED or (
            entry["action"] == "grant:narrowed" and entry["reason"] in ("erased", "shortened")
        )
        if followed and (entry["outcome"] == "ok" or entry["action"] == alarms.FOUND):
            found.append({
                "index": row["log_index"], "action": entry["action"], "object": entry["object"],
                "actor": entry["actor"], "reason": entry["reason"], "request": entry["request"], "at_us": entry["ts"],
                "receipt": receipt(tx, tenant, row["log_index"]),
                "until_us": tx.number("SELECT expires_us FROM messages WHERE id = ?", entry["object"]),
            })  # fmt: skip
        after = row["log_index"] + 1
        if len(found) == 500:
            break
    marks = {"before": _mark(tx, tenant, start), "mark": _mark(tx, tenant, after)}
    return {"entries": found, "next": after, "size": size} | marks


def alive(tx: Tx, *, tenant: str, messages: list[Any]) -> list[str]:
    """Those of up to 1,000 messages whose share is there: for whoever knows that they had ended."""
    if not all(map(is_id, messages)):
        raise BadCall
    found = [grants.message_row(tx, one) for one in messages[:1000]]
    return [one["id"] for one in found if one is not None and one["tenant"] == tenant and one["share"] is not None]


def _mark(tx: Tx, tenant: str, index: int) -> int:
    """48 bits of the leaf hash in front of a place: another log has another there."""
    row = tx.one("SELECT hash FROM log_nodes WHERE tenant = ? AND level = 0 AND position = ?", tenant, index - 1)
    return 0 if row is None else int.from_bytes(bytes(row["hash"])[:6], "big")


def _certificate(tx: Tx, message: Any) -> str:
    """Id of the certificate that names this message, if one does; that of a larger erasure names it by its log."""
    row = tx.one(
        "SELECT id FROM disposals WHERE tenant = ? AND object = ? AND kind IN ('erase-message', 'certify')"
        " AND certificate IS NOT NULL ORDER BY done_us LIMIT 1",
        message["tenant"], message["id"],
    )  # fmt: skip
    if row is not None:
        return str(row["id"])
    entry = tx.one(
        "SELECT entry FROM log_entries WHERE tenant = ? AND log_index = ?",
        message["tenant"], message["destroyed_index"],
    )  # fmt: skip
    name = json.loads(bytes(entry["entry"]))["request"] if entry is not None else ""
    known = tx.one("SELECT 1 FROM disposals WHERE id = ? AND certificate IS NOT NULL", name)
    return str(name) if known is not None else ""


def _hold(tx: Tx, row: Any) -> dict[str, Any]:
    plain = ("id", "kind", "object", "from_us", "until_us", "user", "set_us", "lifted_us", "lifted_by")
    reason = custody.values(tx, row["tenant"]).open(row["id"].encode("ascii"), bytes(row["reason"])).decode("utf-8")
    return {name: row[name] for name in plain} | {"reason": reason}


def _plain(row: Any) -> dict[str, Any]:
    names = (
        "id", "kind", "object", "until_us", "user", "second", "made_us", "expires_us", "begun_us", "done_us",
        "messages", "objects", "links", "kept", "first_us", "last_us", "final_us",
    )  # fmt: skip
    return {name: row[name] for name in names} | {"certified": row["certificate"] is not None}


def _disposal(tx: Tx, row: Any) -> dict[str, Any]:
    values, name = custody.values(tx, row["tenant"]), row["id"].encode("ascii")
    second = b"" if row["second_reason"] is None else values.open(name + b":second", bytes(row["second_reason"]))
    return _plain(row) | {
        "reason": values.open(name, bytes(row["reason"])).decode("utf-8"), "second_reason": second.decode("utf-8"),
    }  # fmt: skip
