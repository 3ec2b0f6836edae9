"""Recovery codes: ten on paper, for the day on which the phone or passkey is lost (story 31; DESIGN §4 "Doors").

Promises: ten codes of sixteen letters (68 bits) are shown once, to a session that may set up a lasting factor, and when
there is one; each works once; a new set ends the older one; an HMAC of each is kept, with what bounds its use inside
it, compared in constant time over all of them. A code opens its message, and what is set up behind it needs no day's
wait; the set itself waits a day like everything that a session sets up, so that codes written down by a portal in the
wrong hands open no other message that day (decision 0035). That one was used is told to the person and to the senders
of their live messages. NIST SP 800-63B-4 3.1.2, 4.2.
"""

from __future__ import annotations

import secrets
from typing import Any

from keys import access
from keys.keyholder import factors, grants, passkey_rows, passkeys
from keys.keyholder.cards import ALPHABET
from keys.keyholder.database import Tx
from keys.keyholder.passkey_rows import Owner
from keys.keyholder.releaselog import record, refused

COUNT, LETTERS = 10, 16
METHOD = "recovery"
MADE, USED = "recovery-made", "recovered"
"""News: new codes were shown, to the person; one was used, to the person and the senders of live messages."""


def recovery_codes(tx: Tx, *, session: str) -> dict[str, list[str]]:
    """Ten new ``codes``, shown here once. Denied: as `factors.enroller` says, no-factor."""
    live = factors.enroller(tx, session)
    owner = passkeys.owner_of(live)
    if not factors.apps(tx, owner.tenant, owner.id) and not passkey_rows.owned(tx, owner):
        raise refused(tx, owner.tenant, "factor:refused", "no-factor", object=owner.id, actor=live.actor)
    message, wide_from_us = live.facts.message or "", factors.wide_from(tx, live, lasting=True)
    void(tx, owner)
    codes = ["".join(secrets.choice(ALPHABET) for _ in range(LETTERS)) for _ in range(COUNT)]
    for code in codes:
        tx.run(
            "INSERT INTO recovery_codes VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            tx.custody.mac("recovery-code", *_bound(owner, code, message, wide_from_us)), owner.tenant, owner.kind,
            owner.id, live.row["first_method"], message, wide_from_us, tx.now_us,
        )  # fmt: skip
    record(tx, owner.tenant, "recovery:made", object=owner.id, actor=live.actor, proof=live.facts.proof)
    grants.tell(tx, owner.tenant, owner.id, MADE)
    return {"codes": codes}


def redeem(tx: Tx, found: access.GrantFacts, typed: str) -> dict[str, Any] | str:
    """What these letters prove for the grant's person, the code spent; or ``wrong``, ``used``, ``too-new``."""
    owner = Owner(found.tenant, passkey_rows.PERSON, str(found.person))
    rows = tx.all("SELECT * FROM recovery_codes WHERE tenant = ? AND kind = ? AND owner = ?",
                  owner.tenant, owner.kind, owner.id)  # fmt: skip
    matching = [
        row
        for row in rows
        if tx.custody.check(
            bytes(row["mac"]), "recovery-code", *_bound(owner, typed, row["message"], row["wide_from_us"])
        )
    ]
    if not matching:
        return "wrong"
    row = matching[0]
    if row["used_us"] is not None:
        return "used"
    allowed = factors.may_enter(tx, row, found)
    if isinstance(allowed, access.Denial):
        return allowed.reason
    tx.run("UPDATE recovery_codes SET used_us = ? WHERE mac = ?", tx.now_us, bytes(row["mac"]))
    record(tx, owner.tenant, "recovery:used", object=owner.id, actor=("person", owner.id))
    grants.tell(tx, owner.tenant, owner.id, USED)
    return {"method": METHOD, "first_method": row["first_method"], "wide_from_us": row["wide_from_us"]}


def factors_lost(tx: Tx, *, session: str) -> dict[str, int]:
    """The person says that the old ones are lost: apps, passkeys, browsers and sessions from before this session end.

    Answers how many ``ended`` (without sessions). Only behind a recovery code: Denied("not-recovered"), and as
    `factors.enroller` says.
    """
    live = factors.enroller(tx, session)
    tenant, person = live.facts.tenant, str(live.facts.person)
    if live.row["method"] != METHOD:
        raise refused(tx, tenant, "factor:refused", "not-recovered", object=person, actor=live.actor)
    since = int(live.row["made_us"])
    ended = passkey_rows.end(tx, tenant, person, "lost", until_us=since)
    ended += tx.run(
        "UPDATE totps SET state = 'dead' WHERE tenant = ? AND person = ? AND state != 'dead' AND begun_us < ?",
        tenant, person, since,
    )  # fmt: skip
    ended += tx.run("DELETE FROM devices WHERE tenant = ? AND person = ? AND made_us < ?", tenant, person, since)
    tx.run("DELETE FROM sessions WHERE tenant = ? AND person = ? AND mac != ?", tenant, person, live.mac)
    record(tx, tenant, "factor:killed", object=person, actor=live.actor, reason="lost", proof=live.facts.proof)
    return {"ended": ended}


def void(tx: Tx, owner: Owner) -> None:
    """No code that was shown to this owner before works any more."""
    tx.run("DELETE FROM recovery_codes WHERE tenant = ? AND kind = ? AND owner = ?", owner.tenant, owner.kind, owner.id)


def _bound(owner: Owner, letters: str, message: str, wide_from_us: int) -> tuple[str | int, ...]:
    return (owner.tenant, owner.kind, owner.id, letters, message, wide_from_us)
