"""Recipients' phone numbers as factors: who may register them, and who is told when one changes (DESIGN §4 "Doors", c).

Promises: the portal registers a number only with a live session of office, officer or administrator and a TOTP code
spent on exactly this list, whose hash stands in the release log with that person's id; a number in the gateway's
database is never read as one. A number that an administrator or the operator registers opens only messages deposited
afterwards, with all that is enrolled behind it: neither could let anybody in otherwise. When a known number changes, or
somebody who has live messages gets a first one, that person and the senders of those messages are told by mail: the
keyholder itself queues it for the worker, so a portal can neither plant a number silently nor keep the news back.
DESIGN §4 (the administrator's row); NIST SP 800-63B-4 4.6.
"""

from __future__ import annotations

import hashlib
from typing import Any

from keys import access
from keys.encoding import canonical
from keys.errors import Denied
from keys.keyholder import grants, held, sessions, texts, tries
from keys.keyholder.calls import is_id
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import Actor, receipt, record, refused

MOST = 500
"""People in one call; a longer list is more than one import."""
CHANGED, FIRST = "phone", "phone-first"
_OPERATOR: Actor = ("operator", "operator")


def register_person(tx: Tx, *, tenant: str, person: str, phone: str | None) -> None:
    """Keep a person's number as a factor; None says nothing about a number, an empty one removes it.

    Denied("phone") unless it is E.164; Denied("no-tenant").
    """
    _register(tx, tenant, person, phone, _OPERATOR, later=True)


def register_people(tx: Tx, *, session: str, totp: str, people: list[Any]) -> dict[str, Any]:
    """The same for a list of `{"person", "phone"}` with a workforce member's session and a fresh TOTP code.

    Answers ``digest`` (SHA-256 of the list as canonical JSON, as recorded), ``changed`` and ``first`` (ids of those
    whose known number is another one, and of those who got their first while they have live messages) and a
    receipt. Denied: role, bad-list, phone (nothing is kept), or what became of the code.
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
    later = access.number_for_later(live.facts)
    told = {person: _register(tx, tenant, person, phone, live.actor, later=later) for person, phone in rows}
    changed = [person for person, kind in told.items() if kind == CHANGED]
    first = [person for person, kind in told.items() if kind == FIRST]
    index = record(
        tx, tenant, "people:registered", object=digest, actor=live.actor,
        reason=f"changed-{len(changed)}-first-{len(first)}" + ("-later" if later else ""), proof=live.facts.proof,
    )  # fmt: skip
    return {"digest": digest, "changed": changed, "first": first, "receipt": receipt(tx, tenant, index)}


def take_changes(tx: Tx, *, limit: int) -> list[dict[str, Any]]:
    """What the worker still has to tell, oldest first: id, tenant, person, kind, about, at_us.

    `kind` is ``phone``, ``phone-first``, ``enrolled`` (a browser, or the code app that it is about), ``inbox`` (the one
    that it is about) or ``frozen``, which is about the grant with which a code was used twice; and, of nobody,
    ``proposal`` (a change that waits), ``account`` (a user that counts at once), ``closed``, ``reopened``,
    ``disposal`` (an erasure or lift that waits), ``erased``, ``hold-set``, ``hold-lifted``, ``recovery-key-set``,
    ``recovery-key-asked`` (a second officer is wanted), ``recovery-key-used``, ``recovery-key-relinked``.
    """
    rows = tx.all("SELECT * FROM news ORDER BY at_us, id LIMIT ?", max(0, min(limit, 100)))
    return [{name: row[name] for name in ("id", "tenant", "person", "kind", "about", "at_us")} for row in rows]


def change_done(tx: Tx, *, id: str) -> None:
    """That was told. Idempotent."""
    tx.run("DELETE FROM news WHERE id = ?", id)


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


def _register(tx: Tx, tenant: str, person: str, phone: str | None, actor: Actor, *, later: bool) -> str:
    """What is to be told of it: CHANGED, FIRST, or "" for nothing."""
    became = texts.keep_number(tx, tenant, person, phone, actor, later=later)
    if became == "changed":
        grants.tell(tx, tenant, person, CHANGED)
        return CHANGED
    if became == "first" and grants.of_person(tx, tenant, person):
        grants.tell(tx, tenant, person, FIRST)
        return FIRST
    return ""
