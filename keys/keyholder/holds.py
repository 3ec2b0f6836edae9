"""Legal holds: what nobody may destroy, whatever its time says, until an officer lifts the hold.

Promises: a share under a hold is destroyed by nothing, and before the key of its day ends it is moved under a hold key
in the same transaction; a hold that was changed in the store is refused by name, and so is every destruction in that
tenant; what was to end while a hold kept it ends when the last hold over it is lifted. A hold gives nobody access: a
link that is over stays over. DESIGN §4a (S); 45 CFR 164.316(b)(2)(i).
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Sequence
from typing import Any

from keys.encoding import canonical
from keys.errors import Tampered
from keys.keyholder import custody, grants
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import record
from keys.keyholder.sessions import Live

MESSAGE, PERSON, TENANT, PERIOD = "message", "person", "tenant", "period"
KINDS = (MESSAGE, PERSON, TENANT, PERIOD)
"""A message; all mail to a person, or by a member of the workforce; all of a tenant; what came in a time."""
_FACTS = ("id", "tenant", "kind", "object", "from_us", "until_us", "user", "set_us", "lifted_us", "lifted_by")


def active(tx: Tx, tenant: str) -> list[sqlite3.Row]:
    """The holds in force, oldest first. Raises Tampered when one of the tenant's was changed outside the keyholder."""
    rows = tx.all("SELECT * FROM holds WHERE tenant = ? ORDER BY set_us, id", tenant)
    for row in rows:
        if bytes(row["mac"]) != _mac(tx, row):
            raise Tampered("a legal hold's row in the keyholder's store was changed")
    return [row for row in rows if row["lifted_us"] is None]


def over(tx: Tx, message: sqlite3.Row, known: Sequence[sqlite3.Row] | None = None) -> list[sqlite3.Row]:
    """Those of the holds in force that keep this message; `known` are the tenant's, where they were read already."""
    return [row for row in (active(tx, message["tenant"]) if known is None else known) if _covers(tx, row, message)]


def put(
    tx: Tx, live: Live, kind: str, object: str, from_us: int | None, until_us: int | None, reason: str
) -> tuple[str, int]:
    """Set a hold that was proved and allowed; its id and the index of its record."""
    name = "hld_" + secrets.token_hex(12)
    tenant = live.facts.tenant
    sealed = custody.values(tx, tenant).seal(name.encode("ascii"), reason.encode("utf-8"))
    tx.run(
        "INSERT INTO holds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, x'')",
        name, tenant, kind, object, from_us, until_us, live.facts.user, sealed, tx.now_us,
    )  # fmt: skip
    _seal(tx, name)
    index = record(
        tx, tenant, "hold:set", object=object, actor=live.actor, reason=kind, proof=live.facts.proof, request=name
    )
    grants.tell(tx, tenant, str(live.facts.user), "hold-set", name)
    return name, index


def lift(tx: Tx, row: sqlite3.Row, user: str, sealed_reason: bytes, proof: int | None) -> int:
    """End a hold; what it kept back is destroyed by whoever calls this. The index of its record."""
    tx.run(
        "UPDATE holds SET lifted_us = ?, lifted_by = ?, lifted_reason = ? WHERE id = ?",
        tx.now_us, user, sealed_reason, row["id"],
    )  # fmt: skip
    _seal(tx, row["id"])
    grants.tell(tx, row["tenant"], user, "hold-lifted", row["id"])
    return record(
        tx, row["tenant"], "hold:lifted", object=row["object"], actor=("user", user), reason=row["kind"], proof=proof,
        request=row["id"],
    )  # fmt: skip


def one(tx: Tx, tenant: str, hold: str) -> sqlite3.Row | None:
    """A hold of that tenant, in force or lifted, verified. Raises Tampered as `active`."""
    row = tx.one("SELECT * FROM holds WHERE id = ? AND tenant = ?", hold, tenant)
    if row is not None and bytes(row["mac"]) != _mac(tx, row):
        raise Tampered("a legal hold's row in the keyholder's store was changed")
    return row


def owe(tx: Tx, message: sqlite3.Row) -> None:
    """Note that the end of a message was asked for while a hold kept it: it comes when the hold is lifted."""
    if message["owed_us"] is None:
        tx.run("UPDATE messages SET owed_us = ? WHERE id = ?", tx.now_us, message["id"])
        grants.seal_rows(tx, message["id"])


def keep(tx: Tx, message: sqlite3.Row) -> None:
    """Move S and every R from the key of their day, which is about to end, under the hold key of that day."""
    if message["under_hold"]:
        return
    held = [row for row in tx.all("SELECT * FROM grants WHERE message = ?", message["id"]) if row["secret"] is not None]
    kept = {row["id"]: grants.secret(tx, row, message) for row in held}
    plain = grants.share(tx, message)
    key = custody.hold_key(tx, message["tenant"], message["day"], make=True)
    context = grants.share_context(message["tenant"], message["id"], message["expires_us"])
    tx.run("UPDATE messages SET under_hold = 1, share = ? WHERE id = ?", key.seal(context, plain), message["id"])
    for name, value in kept.items():
        sealed = key.seal(grants.secret_context(message["tenant"], message["id"], name), value)
        tx.run("UPDATE grants SET secret = ? WHERE id = ?", sealed, name)
    grants.seal_rows(tx, message["id"])
    tx.destroyed = True
    record(tx, message["tenant"], "share:kept", object=message["id"], reason="on-hold")


def drop_key(tx: Tx, tenant: str, day: int) -> None:
    """Destroy a hold key under which nothing lies any more."""
    row = tx.one("SELECT 1 FROM hold_keys WHERE tenant = ? AND day = ? AND wrapped IS NOT NULL", tenant, day)
    left = tx.one(
        "SELECT 1 FROM messages WHERE tenant = ? AND day = ? AND under_hold = 1 AND share IS NOT NULL", tenant, day
    )
    if row is None or left is not None:
        return
    custody.destroy_hold_key(tx, tenant, day)
    record(tx, tenant, "day:destroyed", object=f"hold-{day}")


def _covers(tx: Tx, hold: sqlite3.Row, message: sqlite3.Row) -> bool:
    kind, object = hold["kind"], hold["object"]
    if kind == TENANT:
        return True
    if kind == MESSAGE:
        return bool(object == message["id"])
    if kind == PERIOD:
        return bool(hold["from_us"] <= message["deposited_us"] < hold["until_us"])
    if object == message["sender_user"]:
        return True
    return tx.one("SELECT 1 FROM grants WHERE message = ? AND person = ?", message["id"], object) is not None


def _seal(tx: Tx, hold: str) -> None:
    for row in tx.all("SELECT * FROM holds WHERE id = ?", hold):
        tx.run("UPDATE holds SET mac = ? WHERE id = ?", _mac(tx, row), hold)


def _mac(tx: Tx, row: Any) -> bytes:
    return tx.custody.mac("row", "hold", canonical([row[name] for name in _FACTS]))
