"""Text codes on their way: asked for by the recipient's browser, made here, sent by the worker.

Promises: a text is queued only after the number's last four digits were typed; the portal never sees a code it was not
typed; number and code rest sealed and are forgotten once sent; a new code replaces the old one; the code is bound to
the browser that asked. DESIGN §4 (doors, c).
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from typing import Any

from keys import access
from keys.encoding import canonical
from keys.errors import Denied
from keys.keyholder import custody, grants, inbox_ends, passkey_rows, tries
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import Actor, record, refused
from keys.keyholder.sessions import SECOND_US

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_RETRY_US = 60 * SECOND_US


def is_number(phone: str) -> bool:
    """Whether that is a number as E.164 writes it."""
    return _E164.fullmatch(phone) is not None


def keep_number(tx: Tx, tenant: str, person: str, phone: str | None, actor: Actor, *, later: bool = False) -> str:
    """Keep a person's number; None says nothing about it, an empty one removes it.

    With `later` it opens only messages deposited from now on. Answers ``changed`` when a known number is another one
    now, or gone; ``first`` when there was none, or when one that was for later messages is now for all; else "".
    Denied("phone") unless it is E.164; Denied("no-tenant").
    """
    if phone and not is_number(phone):
        raise Denied("phone")
    values = custody.values(tx, tenant)
    tx.run("INSERT OR IGNORE INTO people VALUES (?, ?, NULL, 0, 0)", tenant, person)
    before = number_of(tx, tenant, person, alive=False) or ""
    if phone is None or before == phone:
        return _for_all(tx, tenant, person, actor) if phone and not later else ""
    sealed = values.seal(_number_context(person), phone.encode("ascii")) if phone else None
    tx.run(
        "UPDATE people SET phone = ?, failures = 0, from_us = ? WHERE tenant = ? AND id = ?",
        sealed, tx.now_us if later else 0, tenant, person,
    )  # fmt: skip
    # Whatever the old number let in goes with it: it may have been somebody else's.
    tx.run("DELETE FROM texts WHERE tenant = ? AND person = ?", tenant, person)
    tx.run(
        "UPDATE codes SET dead_us = ? WHERE tenant = ? AND person = ? AND kind = 'text' AND dead_us IS NULL",
        tx.now_us, tenant, person,
    )  # fmt: skip
    tx.run("DELETE FROM devices WHERE tenant = ? AND person = ? AND first_method = 'text'", tenant, person)
    tx.run("DELETE FROM sessions WHERE tenant = ? AND person = ? AND first_method = 'text'", tenant, person)
    killed = tx.run(
        "UPDATE totps SET state = 'dead' WHERE tenant = ? AND person = ? AND first_method = 'text' AND state != 'dead'",
        tenant, person,
    )  # fmt: skip
    if killed:
        record(tx, tenant, "factor:killed", object=person, actor=actor, reason="totp-by-phone")
    passkey_rows.end(tx, tenant, person, "passkey-by-phone", first_method="text")
    passkey_rows.codes_end(tx, tenant, person, "text")
    inbox_ends.behind(tx, tenant, person, "text", 0, "by-phone")
    record(tx, tenant, "factor:registered" if phone else "factor:killed", object=person, actor=actor, reason="phone")
    return "changed" if before else "first"


def _for_all(tx: Tx, tenant: str, person: str, actor: Actor) -> str:
    """Somebody who may let this person in anyway says the same number again: now it is for earlier messages too."""
    if not tx.run("UPDATE people SET from_us = 0 WHERE tenant = ? AND id = ? AND from_us > 0", tenant, person):
        return ""
    record(tx, tenant, "factor:registered", object=person, actor=actor, reason="phone-for-all")
    return "first"


def reaches(tx: Tx, grant: access.GrantFacts) -> bool:
    """Whether the person's number, and what was enrolled behind it, may open this message by its age."""
    row = tx.one("SELECT from_us FROM people WHERE tenant = ? AND id = ?", grant.tenant, grant.person)
    if row is None or not row["from_us"]:
        return True
    deposited_us = tx.number("SELECT deposited_us FROM messages WHERE id = ?", grant.message)
    return deposited_us >= int(row["from_us"])


def number_of(tx: Tx, tenant: str, person: str, *, alive: bool = True) -> str | None:
    """The person's number; None without one, or (with `alive`) after 100 failures in a row."""
    row = tx.one("SELECT phone, failures FROM people WHERE tenant = ? AND id = ?", tenant, person)
    if row is None or row["phone"] is None or (alive and row["failures"] >= tx.limits.factor_failures):
        return None
    return custody.values(tx, tenant).open(_number_context(person), bytes(row["phone"])).decode("ascii")


def ask_text(tx: Tx, *, grant: str, last4: str, visitor: str, network: str) -> dict[str, Any]:
    """Make a code and queue its text. Denied: the state, too-many, no-phone, last-four, too-soon."""
    found = grants.facts(tx, grant)
    if found is None or found.kind != "link" or found.person is None:
        raise refused(tx, None, "code:refused", "unknown", object=grant)
    tenant, person = found.tenant, found.person
    subject = "person:" + person

    def no(reason: str, **data: Any) -> Denied:
        return refused(tx, tenant, "code:refused", reason, data=data, object=grant, actor=("person", person))

    state = access.grant_state(found, tx.now_us)
    if state != "live":
        raise no(state)
    if tries.left(tx, tenant, subject) == 0:
        raise no("too-many", tries_left=0, locked_until_us=tries.locked_until(tx, tenant, subject))
    number = number_of(tx, tenant, person)
    if number is None or not reaches(tx, found):
        raise no("no-phone")
    typed = "".join(c for c in last4 if c in "0123456789")
    if not hmac.compare_digest(typed.encode("ascii"), number[-4:].encode("ascii")):
        raise no("last-four", tries_left=tries.failed(tx, tenant, subject))
    resend_us = tx.limits.text_resend_seconds * SECOND_US
    last = tx.number("SELECT MAX(made_us) FROM codes WHERE grant_id = ? AND kind = 'text'", grant)
    if last and tx.now_us < last + resend_us:
        raise no("too-soon", resend_after_us=last + resend_us)
    if tries.count(tx, tenant, tries.ASKED, subject, tx.now_us - 3600 * SECOND_US) >= tx.limits.texts_per_hour:
        raise no("too-many", tries_left=tries.left(tx, tenant, subject), locked_until_us=None)
    tries.mark(tx, tenant, tries.ASKED, subject)
    _queue(tx, tenant, grant, person, number, visitor)
    record(tx, tenant, "code:queued", object=grant, actor=("person", person), reason="text")
    return {"sent": True, "resend_after_us": tx.now_us + resend_us}


def _queue(tx: Tx, tenant: str, grant: str, person: str, number: str, visitor: str) -> None:
    code = f"{secrets.randbelow(1_000_000):06d}"
    expires_us = tx.now_us + tx.limits.text_code_seconds * SECOND_US
    tx.run("DELETE FROM texts WHERE tenant = ? AND person = ?", tenant, person)
    tx.run("UPDATE codes SET dead_us = ? WHERE grant_id = ? AND kind = 'text' AND dead_us IS NULL", tx.now_us, grant)
    tx.run(
        "INSERT INTO codes VALUES (?, ?, ?, ?, 'text', ?, ?, ?, ?, NULL, NULL, 0, ?)",
        "cod_" + secrets.token_hex(12), tenant, grant, person, tx.custody.mac("text-code", grant, code),
        tx.custody.mac("visitor", visitor), tx.now_us, expires_us, person,
    )  # fmt: skip
    name = "txt_" + secrets.token_hex(12)
    sealed = custody.values(tx, tenant).seal(name.encode(), canonical({"number": number, "code": code}))
    tx.run("INSERT INTO texts VALUES (?, ?, ?, ?, ?, NULL, 0, ?)", name, tenant, person, sealed, tx.now_us, expires_us)


def take_texts(tx: Tx, *, limit: int) -> list[dict[str, Any]]:
    """The oldest texts not yet handed out, or handed out a minute ago and not reported done; none for a limit of 0."""
    rows = tx.all(
        "SELECT * FROM texts WHERE (taken_us IS NULL OR taken_us <= ?) AND expires_us > ? AND attempts < ? "
        "ORDER BY queued_us, id LIMIT ?",
        tx.now_us - _RETRY_US, tx.now_us, tx.limits.text_attempts, max(0, min(limit, 100)),
    )  # fmt: skip
    answer = []
    for row in rows:
        tx.run("UPDATE texts SET taken_us = ?, attempts = attempts + 1 WHERE id = ?", tx.now_us, row["id"])
        opened = json.loads(custody.values(tx, row["tenant"]).open(row["id"].encode(), bytes(row["sealed"])))
        answer.append({"id": row["id"], "tenant": row["tenant"], "kind": "text"} | opened)
    return answer


def text_done(tx: Tx, *, id: str, ok: bool) -> None:
    """Forget a text that was sent, or that failed often enough; else hand it out again."""
    if ok:
        tx.run("DELETE FROM texts WHERE id = ?", id)
    else:
        tx.run("UPDATE texts SET taken_us = NULL WHERE id = ?", id)
        tx.run("DELETE FROM texts WHERE id = ? AND attempts >= ?", id, tx.limits.text_attempts)


def _number_context(person: str) -> bytes:
    return b"phone:" + person.encode("ascii")
