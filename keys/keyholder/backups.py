"""Copies of the stores: registered before they begin, signed when they are whole, and let in again within their days.

Promises: a copy of this store is registered, with the moment from which it opens nothing, before a byte of it can be
made; that moment is never later than the grace of the day keys, so that what a copy could bring back ends when a
certificate says it does. The root keys in a copy lie under a context that names the copy and its end: a copy whose
days are changed opens with no KEK, and one whose days are over is refused. What was let in says so in the log.
DESIGN §4a (its backups are separate, registered and expire), §5 (after any restore codes and sessions are void).
"""

from __future__ import annotations

import secrets
import sqlite3
from typing import Any

from keys.encoding import canonical, parse_canonical
from keys.errors import Denied, KeysError, Tampered
from keys.keyholder import custody
from keys.keyholder.custody import DAY_US, SYSTEM
from keys.keyholder.database import NoStore, Tx
from keys.keyholder.releaselog import Actor, record, refused
from keys.keyholder.rootkey import RootKey
from keys.keyholder.wire import b64, unb64

KEYHOLDER, CONTENT = "keyholder", "content"
MARK, ADMITTED = "backup", "restored"
"""Names of rows of `meta`: in a copy, what it is; in a store that was let in, what it came from."""
TURNED = "turned_us"
"""The row of `meta` that says when the last rotation of the root key began."""
LABEL = "sealgate/backup/v1"
_ROOT_KEYS = ("root_seed", "hashing")
_OPERATOR: Actor = ("operator", "operator")
_SERIALS_PASSED = 1_000_000
"""Snapshots that may have been signed since the copy: more than two years of them, one each minute."""


def begin(tx: Tx, *, kind: str, days: int) -> dict[str, Any]:
    """Register a copy that is to be made. ``id``, ``made_us``, ``expires_us`` (None for one of content), ``kek`` (check
    value), ``public_key``, and for a copy of this store ``mark`` and ``keys``: its rows of `meta`, base64.

    Denied("days") for less than a day and for more days than the grace; Denied("kind");
    Denied("rotating") while keys go from one root key to the other, because a copy would need both.
    """
    if kind not in (KEYHOLDER, CONTENT):
        raise Denied("kind")
    if kind == KEYHOLDER and not 1 <= days <= tx.limits.day_grace_days:
        raise refused(tx, SYSTEM, "backup:refused", "days", data={"most": tx.limits.day_grace_days}, actor=_OPERATOR)
    if kind == KEYHOLDER and tx.custody.key.before is not None:
        raise refused(tx, SYSTEM, "backup:refused", "rotating", actor=_OPERATOR)
    id = "bkp_" + secrets.token_hex(10)
    expires_us = tx.now_us + days * DAY_US if kind == KEYHOLDER else None
    tx.run("INSERT INTO backups (id, kind, made_us, expires_us) VALUES (?, ?, ?, ?)", id, kind, tx.now_us, expires_us)
    record(tx, SYSTEM, "backup:begun", object=id, actor=_OPERATOR, reason=kind)
    answer: dict[str, Any] = {
        "id": id, "made_us": tx.now_us, "expires_us": expires_us, "kek": tx.custody.provider.check_value,
        "public_key": b64(tx.custody.root.public),
    }  # fmt: skip
    if expires_us is not None:
        keys = {
            "root_seed": tx.custody.wrap(tx.custody.root.seed(), *_use("root", id, expires_us)),
            "hashing": tx.custody.wrap(tx.custody.hashing.raw(), *_use("hashing", id, expires_us)),
        }
        mark = canonical({"expires_us": expires_us, "id": id, "made_us": tx.now_us})
        answer |= {"mark": b64(mark), "keys": {name: b64(value) for name, value in keys.items()}}
    return answer


def sign(tx: Tx, *, id: str, digest: str) -> dict[str, str]:
    """``signature`` over (LABEL, kind, id, digest): the copy is whole, and its manifest has this SHA-256 (base64).

    Denied("unknown"); Denied("rotating") when a rotation of the root key began meanwhile: the copy's root keys may be
    under the one before; Denied("differs") when another manifest of that copy was signed before.
    """
    row = tx.one("SELECT * FROM backups WHERE id = ?", id)
    if row is None:
        raise refused(tx, SYSTEM, "backup:refused", "unknown", object=id, actor=_OPERATOR)
    if row["kind"] == KEYHOLDER and row["signed_us"] is None and row["made_us"] <= turned_us(tx):
        raise refused(tx, SYSTEM, "backup:refused", "rotating", object=id, actor=_OPERATOR)
    value = unb64(digest)
    if len(value) != 32 or (row["digest"] is not None and bytes(row["digest"]) != value):
        raise refused(tx, SYSTEM, "backup:refused", "differs", object=id, actor=_OPERATOR)
    if row["digest"] is None:
        tx.run("UPDATE backups SET digest = ?, signed_us = ? WHERE id = ?", value, tx.now_us, id)
        record(tx, SYSTEM, "backup:made", object=id, actor=_OPERATOR, reason=row["kind"])
    return {"signature": b64(tx.custody.root.sign(LABEL, row["kind"], id, value))}


def listed(tx: Tx) -> list[dict[str, Any]]:
    """Every registered copy, newest first: id, kind, made_us, expires_us, signed_us (None: never finished),
    verified_us (when it was last restored in full).
    """
    rows = tx.all(
        "SELECT id, kind, made_us, expires_us, signed_us, verified_us FROM backups ORDER BY made_us DESC, id LIMIT 1000"
    )
    return [dict(row) for row in rows]


def verified(tx: Tx, *, id: str) -> None:
    """Somebody restored that copy and its log held. Denied("unknown") for one that is not registered or not whole."""
    row = tx.one("SELECT kind, signed_us FROM backups WHERE id = ?", id)
    if row is None or row["signed_us"] is None:
        raise refused(tx, SYSTEM, "backup:refused", "unknown", object=id, actor=_OPERATOR)
    tx.run("UPDATE backups SET verified_us = ? WHERE id = ?", tx.now_us, id)
    record(tx, SYSTEM, "backup:verified", object=id, actor=_OPERATOR, reason=row["kind"])


def turned_us(tx: Tx) -> int:
    """When the last rotation of the root key began; 0 before the first."""
    row = tx.one("SELECT value FROM meta WHERE name = ?", TURNED)
    return 0 if row is None else int(bytes(row["value"]))


def believe(tx: Tx) -> None:
    """What is registered was made by now, whatever its time says: where a clock ran ahead and was set back since, the
    register names a copy of tomorrow, and that copy holds what is destroyed now. For whoever compares times with it.
    """
    tx.run("UPDATE backups SET made_us = ? WHERE made_us > ?", tx.now_us, tx.now_us)


def final_us(tx: Tx, by_us: int | None = None) -> int:
    """From when on no registered copy of this store opens anything; 0 when there is none. For certificates.

    Those registered after `by_us` do not count: what was destroyed by then is in none of them. One that was begun and
    never signed counts: its bytes may lie somewhere.
    """
    latest = tx.now_us if by_us is None else by_us
    return tx.number("SELECT MAX(expires_us) FROM backups WHERE kind = ? AND made_us <= ?", KEYHOLDER, latest)


class Expired(NoStore):
    """The store came from a backup whose days are over."""


def admit(conn: sqlite3.Connection, key: RootKey, now_us: int) -> None:
    """Let in a store that was put here from a backup; nothing to do for any other.

    Raises Expired, and Tampered for a copy whose mark or root keys were changed or are not under this KEK; nothing is
    changed then.
    """
    found = conn.execute("SELECT value FROM meta WHERE name = ?", (MARK,)).fetchone()
    if found is None:
        return
    try:
        mark = parse_canonical(bytes(found[0]))
        id, made_us, expires_us = str(mark["id"]), int(mark["made_us"]), int(mark["expires_us"])
        rows = {name: bytes(value) for name, value in conn.execute("SELECT name, value FROM meta")}
        wrapped = {name: rows[name] for name in _ROOT_KEYS}
    except (ValueError, KeyError, TypeError) as error:
        raise Tampered("the mark of a restored store cannot be read") from error
    if not made_us <= now_us < expires_us:
        raise Expired(
            f"this store came from backup {id}, whose days are over: what was destroyed since could open again. "
            "Restore a younger one, or correct this machine's clock if it is wrong"
        )
    uses = {"root_seed": "root", "hashing": "hashing"}
    try:
        keys = {
            name: key.unwrap(value, custody.context(*_use(uses[name], id, expires_us)))
            for name, value in wrapped.items()
        }
    except KeysError as error:
        raise Tampered("the root keys of a restored store do not fit its mark or its KEK") from error
    conn.execute("BEGIN IMMEDIATE")
    seal = key.before or key.seal  # the one that a rotation has not come to the end of keeps them till then
    for name, opened in keys.items():
        conn.execute(
            "UPDATE meta SET value = ? WHERE name = ?", (seal.rows.wrap(opened, custody.context(uses[name])), name)
        )
    for table in ("sessions", "codes", "cards", "devices", "texts", "requests", "releases", "recovery_codes"):
        conn.execute(f"DELETE FROM {table}")  # noqa: S608 - fixed names; a copy holds none of these anyway
    conn.execute("UPDATE snapshots SET serial = serial + ?", (_SERIALS_PASSED,))
    conn.execute("UPDATE meta SET name = ? WHERE name = ?", (ADMITTED, MARK))
    conn.execute("COMMIT")


def note(tx: Tx) -> None:
    """Write down that this store was let in, once."""
    row = tx.one("SELECT value FROM meta WHERE name = ?", ADMITTED)
    if row is not None:
        mark = parse_canonical(bytes(row["value"]))
        record(tx, SYSTEM, "store:restored", object=str(mark["id"]), reason=f"made {mark['made_us']}")
        tx.run(
            "UPDATE backups SET verified_us = ?, signed_us = COALESCE(signed_us, made_us) WHERE id = ?",
            tx.now_us, mark["id"],
        )  # fmt: skip
        tx.run("DELETE FROM meta WHERE name = ?", ADMITTED)


def _use(key: str, id: str, expires_us: int) -> tuple[str | int, ...]:
    return (key, "backup", id, expires_us)
