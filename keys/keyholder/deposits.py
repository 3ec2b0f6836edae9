"""Deposits and destruction: how a message's share comes in, and how it goes for good.

Promises: a batch of deposits is one commit; the same deposit may be repeated, another under the same id is refused and
nothing of that batch is kept; nothing deposited can be widened; what a legal hold keeps is destroyed by nobody; after
`destroy` or the end of a day key no copy of S is left in our store or its write-ahead log, and who asks for it again
gets the receipt of the first time. DESIGN §4 (order of effects), §4a (S); NIST SP 800-88 2.6.
"""

from __future__ import annotations

from typing import Any

from keys import access
from keys.encoding import canonical
from keys.errors import Tampered
from keys.keyholder import alarms, backups, challenges, custody, grants, holds, inbox_ends, tries
from keys.keyholder.calls import BadCall, is_id
from keys.keyholder.custody import DAY_US
from keys.keyholder.database import Recorded, Tx
from keys.keyholder.releaselog import Actor, receipt, record, refused
from keys.keyholder.sessions import SECOND_US
from keys.keyholder.tenants import staff_grants
from keys.keyholder.wire import unb64

OBJECT_KINDS = frozenset({"body", "file", "original", "subject", "preview", "text", "zip"})
_LONGEST_DAYS = 3660
_ITEM = {"tenant", "message", "expires_us", "share", "sender_user", "hold_until_us", "grants", "objects"}


def deposit(tx: Tx, *, items: list[Any]) -> dict[str, Any]:
    """Deposit a batch. Denied: differs, destroyed, taken, floor, expiry, no-tenant; BadCall for malformed items."""
    fresh: list[tuple[dict[str, Any], bytes]] = []
    answer: dict[str, Any] = {}
    for item in items:
        _check_form(item)
        mac = tx.custody.mac("deposit", canonical(item))
        row = grants.message_row(tx, item["message"])
        if row is None:
            _check_new(tx, item)
            fresh.append((item, mac))
        elif row["destroyed_us"] is not None:
            raise _refuse(tx, item, "destroyed")
        elif not (row["tenant"] == item["tenant"] and bytes(row["deposit_mac"]) == mac):
            raise _refuse(tx, item, "differs")
        else:
            answer[row["id"]] = receipt(tx, row["tenant"], row["deposit_index"])
    names = [item["message"] for item, _ in fresh]
    if len(set(names)) != len(names):
        raise BadCall
    for item, mac in fresh:
        answer[item["message"]] = _keep(tx, item, mac)
    return answer


def messages(tx: Tx, *, tenant: str, after: str, before_us: int, limit: int) -> list[str]:
    """Ids of undestroyed messages deposited before a time, in order: the sweep compares them with its rows."""
    rows = tx.all(
        "SELECT id FROM messages WHERE tenant = ? AND id > ? AND deposited_us < ? AND destroyed_us IS NULL "
        "ORDER BY id LIMIT ?",
        tenant, after, before_us, max(1, min(limit, 5000)),
    )  # fmt: skip
    return [row["id"] for row in rows]


def destroy_by_worker(tx: Tx, *, tenant: str, message: str) -> dict[str, Any]:
    """Crypto-erase, asked for by the worker. Denied("on-hold"): it is done when the last hold over it is lifted."""
    return _asked(tx, tenant, message, ("worker", "worker"))


def destroy_by_operator(tx: Tx, *, tenant: str, message: str) -> dict[str, Any]:
    """Crypto-erase, asked for by the operator. Denied("on-hold") as `destroy_by_worker`."""
    return _asked(tx, tenant, message, ("operator", "operator"))


def expire(tx: Tx) -> dict[str, int]:
    """Destroy every day key whose day and grace have passed, and purge what is over: sessions, codes, counters.

    What a legal hold keeps is moved under a hold key before. A row that was changed in the store keeps what may hang on
    it: a message its day's key, a hold all of its clinic. It is an alarm, counted as ``broken``, and holds up no other.
    """
    last = tx.now_us // DAY_US - tx.limits.day_grace_days - 1
    days = tx.all("SELECT tenant, day FROM day_keys WHERE wrapped IS NOT NULL AND day <= ? ORDER BY tenant, day", last)
    counts = {"day_keys": 0, "shares": 0, "broken": 0}
    known: dict[str, list[Any]] = {}
    for tenant in sorted({row["tenant"] for row in days}):
        try:
            known[tenant] = holds.active(tx, tenant)
        except Tampered:
            counts["broken"] += 1
            alarms.tell(tx, tenant, tenant, "hold")
    for row in days:
        if row["tenant"] in known:
            _end_day(tx, row["tenant"], row["day"], known[row["tenant"]], counts)
    return counts | {"sessions": _purge(tx)}


def _end_day(tx: Tx, tenant: str, day: int, known: list[Any], counts: dict[str, int]) -> None:
    """End what ends with that day, one message after the other; the key goes when nothing is left that needs it."""
    whole = True
    for one in tx.all("SELECT id FROM messages WHERE tenant = ? AND day = ? AND share IS NOT NULL", tenant, day):
        try:
            message = grants.message_row(tx, one["id"])
            if message is not None and holds.over(tx, message, known):
                holds.keep(tx, message)
                holds.owe(tx, message)
                continue
            destroy(tx, tenant, one["id"], ("keyholder", "keyholder"), "expired")
            counts["shares"] += 1
        except Tampered:
            whole = False
            counts["broken"] += 1
            alarms.tell(tx, tenant, one["id"], "row")
    if whole:
        custody.destroy_day(tx, tenant, day)
        record(tx, tenant, "day:destroyed", object=f"day-{day}")
        counts["day_keys"] += 1


def final_us(tx: Tx, row: Any) -> int:
    """From when on no copy of ours of a message's share can be left, were it destroyed now or when it was: the last day
    key it lay under, and every backup of this store that may hold it, have ended by then.
    """
    days_us = (max(row["day"], row["last_day"]) + 1 + tx.limits.day_grace_days) * DAY_US
    gone_us = tx.now_us if row["destroyed_us"] is None else row["destroyed_us"]
    return int(max(days_us, gone_us, backups.final_us(tx, gone_us)))


def destroy(tx: Tx, tenant: str, message: str, actor: Actor, reason: str, request: str = "") -> dict[str, Any]:
    """Destroy S and every R of a message that no hold keeps. Once; again it answers with the receipt of the first time.

    Denied("unknown") for a message of another tenant or of none.
    """
    row = grants.message_row(tx, message)
    if row is None or row["tenant"] != tenant:
        raise refused(tx, tenant, "grant:refused", "unknown", object=message, actor=actor)
    backups.believe(tx)
    final = final_us(tx, row)
    tx.destroyed = True  # also when repeated: an earlier attempt may have failed at truncating the write-ahead log
    if row["destroyed_us"] is not None:
        first = receipt(tx, tenant, row["destroyed_index"])
        return {"destroyed_us": row["destroyed_us"], "final_us": final, "receipt": first}
    index = record(tx, tenant, "share:destroyed", object=message, actor=actor, reason=reason, request=request)
    tx.run(
        "UPDATE messages SET share = NULL, destroyed_us = ?, destroyed_index = ? WHERE id = ?",
        tx.now_us, index, message,
    )  # fmt: skip
    tx.run("UPDATE grants SET secret = NULL WHERE message = ?", message)
    tx.run("DELETE FROM sessions WHERE message = ?", message)
    tx.run("DELETE FROM codes WHERE grant_id IN (SELECT id FROM grants WHERE message = ?)", message)
    grants.seal_rows(tx, message)
    if row["under_hold"]:
        holds.drop_key(tx, tenant, row["day"])
    return {"destroyed_us": tx.now_us, "final_us": final, "receipt": receipt(tx, tenant, index)}


def _asked(tx: Tx, tenant: str, message: str, actor: Actor) -> dict[str, Any]:
    row = grants.message_row(tx, message)
    if row is not None and row["tenant"] == tenant and row["destroyed_us"] is None and holds.over(tx, row):
        holds.owe(tx, row)
        raise refused(tx, tenant, "share:kept", "on-hold", object=message, actor=actor)
    return destroy(tx, tenant, message, actor, "asked")


def _keep(tx: Tx, item: dict[str, Any], mac: bytes) -> dict[str, Any]:
    tenant, message, expires_us = item["tenant"], item["message"], item["expires_us"]
    day = expires_us // DAY_US
    key = custody.day_key(tx, tenant, day, make=True)
    index = record(tx, tenant, "message:deposited", object=message, actor=("worker", "worker"))
    tx.run(
        "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, NULL, x'', 0, NULL)",
        message, tenant, item["sender_user"], expires_us, day, day,
        key.seal(grants.share_context(tenant, message, expires_us), unb64(item["share"])),
        item["hold_until_us"], tx.now_us, mac, index,
    )  # fmt: skip
    for grant in item["grants"]:
        sealed = None
        if "secret" in grant:
            sealed = key.seal(grants.secret_context(tenant, message, grant["id"]), unb64(grant["secret"]))
        tx.run(
            "INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, x'')",
            grant["id"], tenant, message, grant["person"], grant["kind"], grant["floor"], expires_us, sealed,
        )  # fmt: skip
    for thing in item["objects"]:
        tx.run(
            "INSERT INTO objects VALUES (?, ?, ?, ?)", thing["id"], message, thing["kind"], unb64(thing["header_tag"])
        )
    grants.seal_rows(tx, message)
    return receipt(tx, tenant, index)


def _check_new(tx: Tx, item: dict[str, Any]) -> None:
    if tx.one("SELECT 1 FROM tenants WHERE id = ?", item["tenant"]) is None:
        raise _refuse(tx, item, "no-tenant")
    if not tx.now_us < item["expires_us"] <= tx.now_us + _LONGEST_DAYS * DAY_US:
        raise _refuse(tx, item, "expiry")
    for grant in item["grants"]:
        if grant["kind"] in ("link", "inbox", "recovery") and grant["floor"] < access.LINK_FLOOR:
            raise _refuse(tx, item, "floor")
        if grant["kind"] == "staff" and not staff_grants(tx, item["tenant"]):
            raise _refuse(tx, item, "not-allowed")
        if tx.one("SELECT 1 FROM grants WHERE id = ?", grant["id"]) is not None:
            raise _refuse(tx, item, "taken")
    for thing in item["objects"]:
        if tx.one("SELECT 1 FROM objects WHERE id = ?", thing["id"]) is not None:
            raise _refuse(tx, item, "taken")


def _refuse(tx: Tx, item: dict[str, Any], reason: str) -> Recorded:
    return refused(
        tx, item["tenant"], "deposit:refused", reason, data={"message": item["message"]}, object=item["message"],
        actor=("worker", "worker"),
    )  # fmt: skip


def _check_form(item: Any) -> None:
    """BadCall unless the item has exactly the fields of a deposit, each of its type."""
    if not isinstance(item, dict) or set(item) != _ITEM:
        raise BadCall
    ok = is_id(item["tenant"]) and is_id(item["message"]) and isinstance(item["expires_us"], int)
    ok = ok and (item["sender_user"] is None or is_id(item["sender_user"]))
    ok = ok and (item["hold_until_us"] is None or isinstance(item["hold_until_us"], int))
    ok = ok and _is_bytes(item["share"], 32) and isinstance(item["grants"], list) and isinstance(item["objects"], list)
    if not ok or not item["grants"]:
        raise BadCall
    for grant in item["grants"]:
        _check_grant(grant)
    for thing in item["objects"]:
        if not isinstance(thing, dict) or set(thing) != {"id", "kind", "header_tag"}:
            raise BadCall
        if not (is_id(thing["id"]) and thing["kind"] in OBJECT_KINDS and _is_bytes(thing["header_tag"], 32)):
            raise BadCall


def _check_grant(grant: Any) -> None:
    if not isinstance(grant, dict) or set(grant) - {"secret"} != {"id", "kind", "floor", "person"}:
        raise BadCall
    if not (is_id(grant["id"]) and grant["kind"] in access.KINDS and grant["floor"] in (0, 1, 2, 3)):
        raise BadCall
    if isinstance(grant["floor"], bool) or not (grant["person"] is None or is_id(grant["person"])):
        raise BadCall
    if (grant["kind"] in ("review", "staff")) != ("secret" in grant):
        raise BadCall
    if "secret" in grant and not _is_bytes(grant["secret"], 32):
        raise BadCall
    if grant["kind"] in ("link", "inbox") and grant["person"] is None:
        raise BadCall
    if grant["kind"] == "recovery" and grant["person"] is not None:
        raise BadCall


def _is_bytes(value: Any, length: int) -> bool:
    try:
        return isinstance(value, str) and len(unb64(value)) == length
    except ValueError:
        return False


def _purge(tx: Tx) -> int:
    now, limits = tx.now_us, tx.limits
    idle = now - limits.session_idle_seconds * SECOND_US
    gone = tx.run("DELETE FROM sessions WHERE expires_us <= ? OR last_us <= ?", now, idle)
    tx.run("DELETE FROM releases WHERE session NOT IN (SELECT mac FROM sessions)")
    tx.run("DELETE FROM requests WHERE at_us < ?", now - DAY_US)
    tx.run("DELETE FROM codes WHERE expires_us < ?", now - DAY_US)
    tx.run("DELETE FROM cards WHERE expires_us < ?", now - DAY_US)
    tx.run("DELETE FROM texts WHERE expires_us <= ?", now)
    tries.purge(tx, now - DAY_US)
    challenges.purge(tx)
    inbox_ends.purge(tx)
    tx.run("DELETE FROM devices WHERE expires_us <= ?", now)
    tx.run("DELETE FROM totps WHERE state = 'begun' AND begun_us < ?", now - DAY_US)
    tx.run("DELETE FROM hours WHERE hour < ?", now // (3600 * SECOND_US) - 24 * 31)
    tx.run("DELETE FROM raised WHERE until_us <= ?", now)
    return gone
