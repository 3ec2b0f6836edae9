"""A tenant's recovery key as the keyholder vouches for it: set by two people, confirmed by its kit, proved elsewhere.

Promises: nobody sets, replaces or gives up a recovery key alone once an officer has signed in, and then not before a
day has passed; the worker gets the public half with a signature over it; a row that was changed outside the keyholder
is refused by name; the private half never comes here. What is opened with it: `recoveries`. DESIGN §4, decision 0042.
"""

from __future__ import annotations

import hmac
import json
import sqlite3
from typing import Any

from keys import access, recovery
from keys.boxes import SUITE_X25519, seal_box
from keys.encoding import canonical
from keys.errors import Denied, Tampered
from keys.keyholder import grants, proposals, sessions
from keys.keyholder.calls import BadCall
from keys.keyholder.database import Tx
from keys.keyholder.proposals import OPERATOR, RECOVERY
from keys.keyholder.releaselog import receipt, record, refused
from keys.keyholder.wire import b64

COUNTED = 10_000
"""Messages are counted so far: whoever asks holds the one writer meanwhile."""
NONE = "none"
"""In the place of a key's name: the tenant chose to go without one."""
MOST_SHEETS = 16
_FACTS = (
    "tenant", "serial", "id", "public", "needed", "checks", "confirmed", "set_us", "ended_us", "opened_us",
    "opened_message",
)  # fmt: skip


def propose_recovery(tx: Tx, *, tenant: str, public: bytes, needed: int, checks: list[Any]) -> dict[str, Any]:
    """Ask for a recovery key (or, with no public half, for going without one): ``key``, ``waiting``, and if so
    ``proposal``.

    `checks` has a mark for each sheet of the kit (`recovery.check_mark`, hexadecimal); `needed` of them open. Before
    the first officer has signed in it counts at once. Denied: no-tenant, bad-key, same-key.
    """
    row = tx.one("SELECT officer_seen_us FROM tenants WHERE id = ?", tenant)
    if row is None:
        raise Denied("no-tenant")
    body = _body(public, needed, checks)
    settle(tx, tenant)
    now = in_force(tx, tenant)
    if now is not None and now["id"] == body["id"]:
        raise Denied("same-key")
    text = canonical(body).decode("ascii")
    if row["officer_seen_us"] is None:
        _set(tx, tenant, body, "")
        return {"key": body["id"], "waiting": False}
    waits = proposals.open_one(tx, tenant, RECOVERY, tenant, text)
    return {"key": body["id"], "waiting": True, "proposal": proposals.describe(tx, waits)}


def recovery_key(tx: Tx, *, tenant: str) -> dict[str, Any]:
    """What new messages are sealed to besides: ``key`` is None, or ``id``, ``suite``, ``public`` and the ``signature``
    over ("sealgate/recovery-key/v1", tenant, id, suite, public). Denied("no-tenant").
    """
    if tx.one("SELECT 1 FROM tenants WHERE id = ?", tenant) is None:
        raise Denied("no-tenant")
    settle(tx, tenant)
    now = in_force(tx, tenant)
    if now is None or now["id"] == NONE:
        return {"key": None}
    public = bytes(now["public"])
    signature = tx.custody.root.sign("sealgate/recovery-key/v1", tenant, now["id"], SUITE_X25519, public)
    return {"key": {"id": now["id"], "suite": SUITE_X25519, "public": b64(public), "signature": b64(signature)}}


def recovery_state(tx: Tx, *, tenant: str) -> dict[str, Any]:
    """How far a tenant is: ``key`` (a name, ``none`` where it goes without one, empty where nobody chose), ``needed``
    of ``sheets``, ``confirmed`` (numbers of sheets), ``set_us``, ``opened_us`` (when a message was opened elsewhere,
    or None), ``waiting`` (a proposal or None), ``messages`` that it opens (10,000 at most). Denied("no-tenant").
    """
    if tx.one("SELECT 1 FROM tenants WHERE id = ?", tenant) is None:
        raise Denied("no-tenant")
    settle(tx, tenant)
    now, waits = in_force(tx, tenant), proposals.current(tx, tenant, RECOVERY, tenant)
    opens = 0
    if now is not None and now["id"] != NONE:
        opens = tx.number(
            "SELECT COUNT(*) FROM (SELECT 1 FROM grants g JOIN messages m ON m.id = g.message"
            " WHERE g.tenant = ? AND g.kind = 'recovery' AND m.share IS NOT NULL AND m.deposited_us >= ? LIMIT ?)",
            tenant, now["set_us"], COUNTED,
        )  # fmt: skip
    return {
        "key": "" if now is None else now["id"], "needed": 0 if now is None else now["needed"],
        "sheets": 0 if now is None else len(json.loads(now["checks"])),
        "confirmed": [] if now is None else sorted(json.loads(now["confirmed"])),
        "set_us": None if now is None else now["set_us"], "opened_us": None if now is None else now["opened_us"],
        "waiting": None if waits is None else proposals.describe(tx, waits), "messages": opens,
    }  # fmt: skip


def recovery_as(tx: Tx, *, session: str, tenant: str) -> dict[str, Any]:
    """`recovery_state` for officers, administrators and auditors who are signed in. Denied: no-session, role."""
    live = sessions.need(tx, session, "recovery:refused")
    verdict = access.may_watch(live.facts, tenant)
    if isinstance(verdict, access.Denial):
        raise refused(tx, live.facts.tenant, "recovery:refused", verdict.reason, object=tenant, actor=live.actor)
    return recovery_state(tx, tenant=tenant)


def recovery_confirm(tx: Tx, *, tenant: str, checks: list[Any]) -> dict[str, Any]:
    """Check values (hexadecimal) read from sheets of the kit: ``confirmed``, numbers of all that were so far.

    Denied: no-recovery, differs (one belongs to no sheet of the key in force; nothing is noted then).
    """
    now = in_force(tx, tenant)
    if now is None or now["id"] == NONE:
        raise Denied("no-recovery")
    marks = [bytes.fromhex(one) for one in json.loads(now["checks"])]
    known = set(json.loads(now["confirmed"]))
    for text in checks:
        mark = recovery.check_mark(now["id"], _hex(text, recovery.CHECK_BYTES))
        number = next((place for place, one in enumerate(marks, 1) if hmac.compare_digest(one, mark)), 0)
        if not number:
            raise refused(tx, tenant, "recovery:refused", "differs", object=now["id"], actor=(OPERATOR, OPERATOR))
        known.add(number)
    said = json.dumps(sorted(known))
    tx.run("UPDATE recovery_keys SET confirmed = ? WHERE tenant = ? AND serial = ?", said, tenant, now["serial"])
    _seal(tx, tenant)
    record(
        tx, tenant, "recovery:confirmed", object=now["id"], actor=(OPERATOR, OPERATOR),
        reason=f"{len(known)}-of-{len(marks)}",
    )  # fmt: skip
    return {"confirmed": sorted(known)}


def recovery_proved(tx: Tx, *, tenant: str, key: str, message: str) -> dict[str, Any]:
    """The worker saw the proof that this message was opened elsewhere with that key. Denied: no-recovery, differs."""
    now = in_force(tx, tenant)
    if now is None or now["id"] == NONE:
        raise Denied("no-recovery")
    row = grants.message_row(tx, message)
    if now["id"] != key or row is None or row["tenant"] != tenant:
        raise refused(tx, tenant, "recovery:refused", "differs", object=message, actor=("worker", "worker"))
    tx.run(
        "UPDATE recovery_keys SET opened_us = ?, opened_message = ? WHERE tenant = ? AND serial = ?",
        tx.now_us, message, tenant, now["serial"],
    )  # fmt: skip
    _seal(tx, tenant)
    index = record(tx, tenant, "recovery:proved", object=message, actor=("worker", "worker"), request=key)
    return {"receipt": receipt(tx, tenant, index)}


def in_force(tx: Tx, tenant: str) -> sqlite3.Row | None:
    """The choice in force. Raises Tampered when a row of it was changed outside the keyholder."""
    rows = tx.all("SELECT * FROM recovery_keys WHERE tenant = ? ORDER BY serial", tenant)
    for place, row in enumerate(rows, 1):
        if bytes(row["mac"]) != _mac(tx, row) or row["serial"] != place:
            raise Tampered("a recovery key's row in the keyholder's store was changed")
    if rows and rows[-1]["ended_us"] is not None:
        raise Tampered("a recovery key's row is missing from the keyholder's store")
    return rows[-1] if rows else None


def settle(tx: Tx, tenant: str) -> None:
    """What was asked for and may count, counts from now."""
    waits = proposals.current(tx, tenant, RECOVERY, tenant)
    if waits is not None and proposals.ripe(tx, waits):
        proposals.end(tx, waits, "acted")
        _set(tx, tenant, json.loads(waits["body"]), waits["id"])


def _set(tx: Tx, tenant: str, body: dict[str, Any], request: str) -> None:
    before = in_force(tx, tenant)
    serial = 1 if before is None else int(before["serial"]) + 1
    tx.run("UPDATE recovery_keys SET ended_us = ? WHERE tenant = ? AND ended_us IS NULL", tx.now_us, tenant)
    tx.run(
        "INSERT INTO recovery_keys VALUES (?, ?, ?, ?, ?, ?, '[]', ?, NULL, NULL, NULL, x'')",
        tenant, serial, body["id"], bytes.fromhex(body["public"]), body["needed"], json.dumps(body["checks"]),
        tx.now_us,
    )  # fmt: skip
    _seal(tx, tenant)
    record(tx, tenant, "recovery:set", object=body["id"], actor=(OPERATOR, OPERATOR), request=request)
    grants.tell(tx, tenant, OPERATOR, "recovery-key-set", body["id"])


def _body(public: bytes, needed: int, checks: list[Any]) -> dict[str, Any]:
    """What is proposed, so that the proposal's hash stands for this key, these sheets and these check values."""
    if not public:
        if needed or checks:
            raise Denied("bad-key")
        return {"id": NONE, "public": "", "needed": 0, "checks": []}
    if not 1 <= needed <= len(checks) <= MOST_SHEETS or len(set(checks)) != len(checks):
        raise Denied("bad-key")
    try:
        seal_box(public, b"", b"")  # a key to which nothing can be sealed would stop the mail
        name = recovery.key_id(public)
    except ValueError as error:
        raise Denied("bad-key") from error
    return {"id": name, "public": public.hex(), "needed": needed, "checks": [_hex(one, 32).hex() for one in checks]}


def _hex(text: Any, length: int) -> bytes:
    try:
        found = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        found = b""
    if len(found) != length:
        raise BadCall
    return found


def _seal(tx: Tx, tenant: str) -> None:
    for row in tx.all("SELECT * FROM recovery_keys WHERE tenant = ?", tenant):
        tx.run("UPDATE recovery_keys SET mac = ? WHERE tenant = ? AND serial = ?", _mac(tx, row), tenant, row["serial"])


def _mac(tx: Tx, row: Any) -> bytes:
    values = [row[name].hex() if name == "public" else row[name] for name in _FACTS]
    return tx.custody.mac("row", "recovery-key", canonical(values))
