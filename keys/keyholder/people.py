"""Recipients' phone numbers as factors: who may register them, and who is told when one changes (DESIGN §4 "Doors", c).

Promises: the portal registers a number only with a live session of office, officer or administrator and a TOTP code
spent on exactly this list, whose hash stands in the release log with that person's id; a number in the gateway's
database is never read as one. When a known number changes, the person is told by mail: the keyholder itself queues it
for the worker, so a portal can neither plant a number silently nor keep the news back. NIST SP 800-63B-4 4.6.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from keys import access
from keys.encoding import canonical
from keys.errors import Denied
from keys.keyholder import held, sessions, texts, tries
from keys.keyholder.calls import is_id
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import Actor, receipt, record, refused

MOST = 500
"""People in one call; a longer list is more than one import."""
_OPERATOR: Actor = ("operator", "operator")


def register_person(tx: Tx, *, tenant: str, person: str, phone: str | None) -> None:
    """Keep a person's number as a factor; None says nothing about a number, an empty one removes it.

    Denied("phone") unless it is E.164; Denied("no-tenant").
    """
    _register(tx, tenant, person, phone, _OPERATOR)


def register_people(tx: Tx, *, session: str, totp: str, people: list[Any]) -> dict[str, Any]:
    """The same for a list of `{"person", "phone"}` with a workforce member's session and a fresh TOTP code.

    Answers ``digest`` (SHA-256 of the list as canonical JSON, as recorded), ``changed`` and a receipt. Denied: role,
    bad-list, phone (nothing is kept), or what became of the code.
    """
    live = sessions.need(tx, session, "factor:refused")
    tenant = live.facts.tenant
    digest = hashlib.sha256(canonical(people)).hexdigest()

    def no(reason: str, **data: Any) -> Denied:
        return refused(
            tx, tenant, "factor:refused", reason, data=data, object=digest, actor=live.actor, proof=live.facts.proof
        )

    verdict = access.may_register_people(live.facts)
    if isinstance(verdict, access.Denial):
        raise no(verdict.reason)
    rows = _checked(people)
    if rows is None:
        raise no("bad-list")
    if any(phone and not texts.is_number(phone) for _, phone in rows):
        raise no("phone")
    failure = held.prove(tx, live, totp)
    if failure is not None:
        raise no(failure, tries_left=tries.left(tx, tenant, held.subject(live)))
    changed = sum(_register(tx, tenant, person, phone, live.actor) for person, phone in rows)
    index = record(
        tx, tenant, "people:registered", object=digest, actor=live.actor, reason=f"changed-{changed}",
        proof=live.facts.proof,
    )  # fmt: skip
    return {"digest": digest, "changed": changed, "receipt": receipt(tx, tenant, index)}


def take_changes(tx: Tx, *, limit: int) -> list[dict[str, Any]]:
    """Whom the worker still has to tell of a changed number, oldest first: id, tenant, person, at_us."""
    rows = tx.all("SELECT * FROM phone_changes ORDER BY at_us, id LIMIT ?", max(0, min(limit, 100)))
    return [{"id": row["id"], "tenant": row["tenant"], "person": row["person"], "at_us": row["at_us"]} for row in rows]


def change_done(tx: Tx, *, id: str) -> None:
    """That person was told. Idempotent."""
    tx.run("DELETE FROM phone_changes WHERE id = ?", id)


def _checked(people: list[Any]) -> list[tuple[str, str | None]] | None:
    rows: list[tuple[str, str | None]] = []
    for one in people:
        if not isinstance(one, dict) or set(one) != {"person", "phone"} or not is_id(one["person"]):
            return None
        if one["phone"] is not None and not isinstance(one["phone"], str):
            return None
        rows.append((one["person"], one["phone"]))
    if not 0 < len(rows) <= MOST or len({person for person, _ in rows}) != len(rows):
        return None
    return rows


def _register(tx: Tx, tenant: str, person: str, phone: str | None, actor: Actor) -> bool:
    """Whether a number that was known before is another one now, or gone."""
    before = texts.keep_number(tx, tenant, person, phone, actor)
    if not before:
        return False
    tx.run("INSERT INTO phone_changes VALUES (?, ?, ?, ?)", "chg_" + secrets.token_hex(12), tenant, person, tx.now_us)
    return True
