"""One input, every kind of code: what a recipient types becomes a session or a counted refusal.

Promises: a code is checked and spent in one transaction; five failures in fifteen minutes lock this person only; a text
code works once, for ten minutes, in the browser that asked; a staff code works once in 24 hours and dies of five wrong
tries; its second redeemer, in another browser, freezes the grants; letters are a card's or,
sixteen of them, a recovery code.
DESIGN §4 (doors), §4b 5; NIST SP 800-63B-4.
"""

from __future__ import annotations

import secrets
import sqlite3
from typing import Any

from keys import access
from keys.errors import Denied
from keys.keyholder import cards, factors, grants, passkeys, recovery_codes, sessions, texts, tries
from keys.keyholder.database import Recorded, Tx
from keys.keyholder.factors import digits
from keys.keyholder.releaselog import record, refused
from keys.keyholder.sessions import SECOND_US

STAFF_DIGITS = 8
_WORDS = frozenset("abcdefghijklmnopqrstuvwxyz-")


def grant_info(tx: Tx, *, grant: str) -> dict[str, Any]:
    """What the portal may know of a grant, before any proof. Nothing that helps who has no link secret."""
    found = grants.facts(tx, grant)
    if found is None or found.kind != "link" or found.person is None:
        return {
            "state": "unknown", "tenant": None, "message": None, "person": None, "floor": None, "expires_us": None,
            "revoked_us": None, "doors": [], "tries_left": 0, "locked_until_us": None, "phone_last": None,
            "may_remember": False, "may_passkey": False,
        }  # fmt: skip
    doors = ["staff"]
    if texts.number_of(tx, found.tenant, found.person) is not None and texts.reaches(tx, found):
        doors.insert(0, "text")
    if factors.has_totp(tx, found):
        doors.append("totp")
    if passkeys.has_passkey(tx, found):
        doors.append("passkey")
    if factors.has_device(tx, found):
        doors.append("remembered")
    subject = "person:" + found.person
    return {
        "state": access.grant_state(found, tx.now_us), "tenant": found.tenant, "message": found.message,
        "person": found.person, "floor": found.floor, "expires_us": found.expires_us, "revoked_us": found.revoked_us,
        "doors": doors, "tries_left": tries.left(tx, found.tenant, subject),
        "locked_until_us": tries.locked_until(tx, found.tenant, subject), "phone_last": None,
        "may_remember": factors.may_remember(tx, found.tenant),
        "may_passkey": passkeys.site(tx, found.tenant) is not None,
    }  # fmt: skip


def standing(tx: Tx, *, session: str, grant: str) -> dict[str, str]:
    """``state`` of a grant while a session lives: what a download asks as long as it lasts. Denied("no-session"), which
    is an answer and not recorded.
    """
    if sessions.find(tx, session) is None:
        raise Denied("no-session")
    found = grants.facts(tx, grant)
    return {"state": "unknown" if found is None else access.grant_state(found, tx.now_us)}


def verify(tx: Tx, *, grant: str, code: str, visitor: str, network: str) -> dict[str, Any]:
    """A session for the code. Denied: wrong, used, expired, too-new, too-many, or the grant's state; `tries_left`."""
    found = grants.facts(tx, grant)
    if found is None or found.kind != "link" or found.person is None:
        raise refused(tx, None, "session:refused", "unknown", object=grant)
    tenant, person = found.tenant, found.person
    subject = "person:" + person
    state = access.grant_state(found, tx.now_us)
    if state != "live":
        raise _no(tx, found, grant, state)
    if tries.left(tx, tenant, subject) == 0:
        raise _no(tx, found, grant, "too-many")
    typed, printed = digits(code), cards.letters(code)
    if printed is not None and len(printed) == recovery_codes.LETTERS:
        verdict = recovery_codes.redeem(tx, found, printed)
    elif printed is not None:
        verdict = cards.redeem(tx, found, grant, printed, visitor)
    elif len(typed) == STAFF_DIGITS:
        verdict = _staff_code(tx, found, grant, typed, visitor)
    else:
        verdict = _text_or_totp(tx, found, grant, typed, visitor)
    if isinstance(verdict, str):
        if verdict != "too-new":
            tries.failed(tx, tenant, subject)
        raise _no(tx, found, grant, verdict)
    tries.clear(tx, tenant, subject)
    return sessions.make(
        tx, tenant=tenant, proof=access.SECOND_FACTOR, method=verdict["method"], person=person,
        message=found.message, grant=grant, first_method=verdict.get("first_method"),
        wide_from_us=verdict["wide_from_us"],
    )  # fmt: skip


def staff_code(tx: Tx, *, session: str, grant: str, how_sure: str) -> dict[str, Any]:
    """A new eight-digit code for a recipient, shown once on a staff page; an older one for that grant is void."""
    live = sessions.need(tx, session, "code:refused", object=grant)
    found = grants.facts(tx, grant)
    if found is None:
        raise refused(tx, live.facts.tenant, "code:refused", "unknown", object=grant, actor=live.actor)
    verdict = access.may_make_code(live.facts, found, tx.now_us)
    if isinstance(verdict, access.Denial):
        raise refused(tx, live.facts.tenant, "code:refused", verdict.reason, object=grant, actor=live.actor)
    if not how_sure or len(how_sure) > 40 or not set(how_sure) <= _WORDS:
        raise refused(tx, found.tenant, "code:refused", "how-sure", object=grant, actor=live.actor)
    code = f"{secrets.randbelow(10**STAFF_DIGITS):08d}"
    expires_us = tx.now_us + tx.limits.staff_code_seconds * SECOND_US
    tx.run(
        "UPDATE codes SET dead_us = ? WHERE grant_id = ? AND kind = 'staff' AND dead_us IS NULL AND used_us IS NULL",
        tx.now_us, grant,
    )  # fmt: skip
    tx.run(
        "INSERT INTO codes VALUES (?, ?, ?, ?, 'staff', ?, NULL, ?, ?, NULL, NULL, 0, ?)",
        "cod_" + secrets.token_hex(12), found.tenant, grant, found.person,
        tx.custody.mac("staff-code", grant, code), tx.now_us, expires_us, live.facts.user,
    )  # fmt: skip
    record(
        tx,
        found.tenant,
        "code:made",
        object=grant,
        actor=live.actor,
        reason="staff-" + how_sure,
        proof=live.facts.proof,
    )
    return {"code": code, "expires_us": expires_us}


def _staff_code(tx: Tx, found: access.GrantFacts, grant: str, typed: str, visitor: str) -> dict[str, Any] | str:
    rows = tx.all("SELECT * FROM codes WHERE grant_id = ? AND kind = 'staff' ORDER BY made_us DESC", grant)
    matching = [row for row in rows if tx.custody.check(bytes(row["mac"]), "staff-code", grant, typed)]
    if not matching:
        for row in rows:
            if row["used_us"] is None and row["dead_us"] is None:
                over = row["failures"] + 1 >= tx.limits.staff_code_tries
                tx.run(
                    "UPDATE codes SET failures = failures + 1, dead_us = ? WHERE id = ?",
                    tx.now_us if over else None, row["id"],
                )  # fmt: skip
        return "wrong"
    row = matching[0]
    here = tx.custody.mac("visitor", visitor)
    if row["used_us"] is not None:
        # The same browser posting its form again is no second redeemer; another one within the code's day is.
        if bytes(row["visitor_mac"] or b"") != here and tx.now_us < row["expires_us"]:
            grants.freeze(tx, found, grant, str(found.person), row["used_us"])
        return "used"
    if row["dead_us"] is not None or tx.now_us >= row["expires_us"]:
        return "expired"
    tx.run("UPDATE codes SET used_us = ?, visitor_mac = ? WHERE id = ?", tx.now_us, here, row["id"])
    return {"method": "staff", "wide_from_us": tx.now_us + tx.limits.young_factor_seconds * SECOND_US}


def _text_or_totp(tx: Tx, found: access.GrantFacts, grant: str, typed: str, visitor: str) -> dict[str, Any] | str:
    by_text = _text_code(tx, grant, typed, visitor)
    if by_text == "ok":
        tx.run("UPDATE people SET failures = 0 WHERE tenant = ? AND id = ?", found.tenant, found.person)
        return {"method": "text", "wide_from_us": 0}
    by_totp = factors.try_totp(tx, found, str(found.person), typed)
    if isinstance(by_totp, dict):
        return {"method": "totp", "first_method": by_totp["first_method"], "wide_from_us": by_totp["wide_from_us"]}
    if by_text == "wrong" and by_totp == "wrong":
        _phone_failure(tx, found, grant)
    return by_text if by_totp == "wrong" else by_totp


def _text_code(tx: Tx, grant: str, typed: str, visitor: str) -> str:
    here = tx.custody.mac("visitor", visitor)
    verdict = "wrong"
    for row in tx.all("SELECT * FROM codes WHERE grant_id = ? AND kind = 'text' ORDER BY made_us", grant):
        right = tx.custody.check(bytes(row["mac"]), "text-code", grant, typed)
        if not right or bytes(row["visitor_mac"]) != here:
            continue
        verdict = _text_row(tx, row)
    return verdict


def _text_row(tx: Tx, row: sqlite3.Row) -> str:
    if row["used_us"] is not None:
        return "used"
    if row["dead_us"] is not None or tx.now_us >= row["expires_us"]:
        return "expired"
    tx.run("UPDATE codes SET used_us = ? WHERE id = ?", tx.now_us, row["id"])
    return "ok"


def _phone_failure(tx: Tx, found: access.GrantFacts, grant: str) -> None:
    """A wrong code while a text code was out counts against the number; a hundred in a row kill it as a factor."""
    out = tx.one(
        "SELECT 1 FROM codes WHERE grant_id = ? AND kind = 'text' AND used_us IS NULL AND dead_us IS NULL", grant
    )
    if out is None:
        return
    tx.run("UPDATE people SET failures = failures + 1 WHERE tenant = ? AND id = ?", found.tenant, found.person)
    failures = tx.number("SELECT failures FROM people WHERE tenant = ? AND id = ?", found.tenant, found.person)
    if failures == tx.limits.factor_failures:
        record(tx, found.tenant, "factor:killed", object=str(found.person), reason="failures")


def _no(tx: Tx, found: access.GrantFacts, grant: str, reason: str) -> Recorded:
    subject = "person:" + str(found.person)
    data = {
        "tries_left": tries.left(tx, found.tenant, subject),
        "locked_until_us": tries.locked_until(tx, found.tenant, subject),
    }
    return refused(
        tx, found.tenant, "session:refused", reason, data=data, object=grant, actor=("person", str(found.person))
    )
