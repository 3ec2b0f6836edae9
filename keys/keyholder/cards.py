"""Front-desk cards: twelve letters on paper, handed over in person (DESIGN §4 "Doors", e).

Promises: a card is of one person and tenant, works once within 30 days and dies of ten wrong tries in its life; a new
one makes the older void; only an HMAC of it is kept and it is compared in constant time; tries, uses and printings are
in the release log. Its second redeemer, in another browser, freezes all live messages of that person, for the card
opened any of them, and ends what was enrolled behind it; senders and officers are told past the portal.
NIST SP 800-63B-4 3.1.2 (look-up secrets), 3.2.2 (limits on tries).
"""

from __future__ import annotations

import secrets
from typing import Any

from keys import access
from keys.keyholder import grants, sessions
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import record, refused
from keys.keyholder.sessions import SECOND_US

ALPHABET = "BCDFGHJKMNPQRSTVWXZ"
"""No vowels, so that no card spells a word; none of I, L, O, U, Y, which hands and eyes take for others."""
LETTERS = 12
_LOOKALIKES = str.maketrans("5826", "SBZG")
_WORDS = frozenset("abcdefghijklmnopqrstuvwxyz-")


def letters(typed: str) -> str | None:
    """What was typed as a card's letters, or None when it is another kind of code: those are digits.

    Case, blanks and hyphens are people's, not the code's; a digit that looks like a letter is read as that letter.
    """
    text = "".join(c for c in typed.upper() if c.isascii() and c.isalnum())
    if 2 * sum(c.isalpha() for c in text) <= len(text):
        return None
    return text.translate(_LOOKALIKES)


def print_card(tx: Tx, *, session: str, person: str, how_sure: str) -> dict[str, Any]:
    """A new card for a person, shown once on a staff page. Denied: unknown, not-staff, how-sure."""
    live = sessions.need(tx, session, "code:refused", object=person)
    tenant = live.facts.tenant
    verdict = access.may_print_card(live.facts, _known(tx, tenant, person))
    reason = verdict.reason if isinstance(verdict, access.Denial) else ""
    if not reason and (not how_sure or len(how_sure) > 40 or not set(how_sure) <= _WORDS):
        reason = "how-sure"
    if reason:
        raise refused(tx, tenant, "code:refused", reason, object=person, actor=live.actor)
    code = "".join(secrets.choice(ALPHABET) for _ in range(LETTERS))
    expires_us = tx.now_us + tx.limits.card_seconds * SECOND_US
    void(tx, tenant, person)
    tx.run(
        "INSERT INTO cards VALUES (?, ?, ?, ?, NULL, ?, ?, NULL, NULL, 0, ?)",
        "crd_" + secrets.token_hex(12), tenant, person, tx.custody.mac("card-code", tenant, person, code),
        tx.now_us, expires_us, live.facts.user,
    )  # fmt: skip
    record(tx, tenant, "code:made", object=person, actor=live.actor, reason="card-" + how_sure, proof=live.facts.proof)
    return {"code": code, "expires_us": expires_us}


def redeem(tx: Tx, found: access.GrantFacts, grant: str, typed: str, visitor: str) -> dict[str, Any] | str:
    """What these letters prove for the grant's person, the card spent; or ``wrong``, ``used``, ``expired``."""
    tenant, person = found.tenant, str(found.person)
    rows = tx.all("SELECT * FROM cards WHERE tenant = ? AND person = ? ORDER BY made_us DESC", tenant, person)
    # Every card is compared, the right one among them or not: how long this takes tells nothing.
    matching = [row for row in rows if tx.custody.check(bytes(row["mac"]), "card-code", tenant, person, typed)]
    if not matching:
        _failed(tx, rows)
        return "wrong"
    row = matching[0]
    here = tx.custody.mac("visitor", visitor)
    if row["used_us"] is not None:
        if bytes(row["visitor_mac"] or b"") != here and tx.now_us < row["expires_us"]:
            grants.freeze_all(tx, found, grant, person, row["used_us"])
        return "used"
    if row["dead_us"] is not None or tx.now_us >= row["expires_us"]:
        return "expired"
    tx.run("UPDATE cards SET used_us = ?, visitor_mac = ? WHERE id = ?", tx.now_us, here, row["id"])
    return {"method": "card", "wide_from_us": tx.now_us + tx.limits.young_factor_seconds * SECOND_US}


def void(tx: Tx, tenant: str, person: str) -> None:
    """No card of this person that was printed before works any more."""
    tx.run(
        "UPDATE cards SET dead_us = ? WHERE tenant = ? AND person = ? AND dead_us IS NULL AND used_us IS NULL",
        tx.now_us, tenant, person,
    )  # fmt: skip


def _failed(tx: Tx, rows: list[Any]) -> None:
    """One wrong try counts against every live card of the person."""
    for row in rows:
        if row["used_us"] is None and row["dead_us"] is None:
            over = row["failures"] + 1 >= tx.limits.card_tries
            tx.run(
                "UPDATE cards SET failures = failures + 1, dead_us = ? WHERE id = ?",
                tx.now_us if over else None, row["id"],
            )  # fmt: skip
            if over:
                record(tx, row["tenant"], "factor:killed", object=row["person"], reason="card-tries")


def _known(tx: Tx, tenant: str, person: str) -> bool:
    """Whether the keyholder knows that person in that tenant: by a message sent to them, or by import."""
    if tx.one("SELECT 1 FROM people WHERE tenant = ? AND id = ?", tenant, person) is not None:
        return True
    return tx.one("SELECT 1 FROM grants WHERE tenant = ? AND person = ?", tenant, person) is not None
