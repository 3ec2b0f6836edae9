"""Releasing one object's share, or a message's meta key: the record first, then the answer.

Promises: floor, person, expiry and state are read here, in the transaction that writes the record, and never taken from
the caller; one release opens one object; while the session lives the same (session, grant, object, purpose) gives the
same share and receipt and costs nothing; a request id is a retry for 60 seconds and refused afterwards; no share is
kept between requests. DESIGN §4, §4b 2-4; 45 CFR 164.312(b).
"""

from __future__ import annotations

import re
from typing import Any

from keys import access
from keys.derive import object_share
from keys.encoding import lp
from keys.errors import Tampered
from keys.kdf import hkdf
from keys.keyholder import budgets, grants, inboxes, journal, sessions
from keys.keyholder.calls import BadCall, is_id
from keys.keyholder.database import Recorded, Tx
from keys.keyholder.releaselog import receipt, record, refused
from keys.keyholder.sessions import SECOND_US, Live
from keys.keyholder.wire import b64

_PURPOSE = re.compile(r"[a-z][a-z-]{0,19}")
_MANY = 200


def release(tx: Tx, *, session: str, grant: str, object: str, purpose: str, request: str) -> dict[str, Any]:
    """S_o and the receipt. Denied with what `access` said, person-budget, tenant-budget, request-reused, no-session."""
    loaded = grants.load(tx, grant)
    found = None if loaded is None else loaded.facts
    live = sessions.need(
        tx, session, "share:refused", object=object, request=request, tenant=None if found is None else found.tenant
    )

    def no(reason: str) -> Recorded:
        return refused(
            tx, live.facts.tenant, "share:refused", reason, object=object, actor=live.actor, proof=live.facts.proof,
            request=request,
        )  # fmt: skip

    if loaded is None or found is None:
        raise no("unknown-grant")
    if not _PURPOSE.fullmatch(purpose) or not request:
        raise no("bad-request")
    if found.kind == "inbox" and inboxes.older(tx, live, loaded.message):
        raise no("another-inbox")
    thing = tx.one("SELECT message FROM objects WHERE id = ?", object)
    verdict = access.may_release(found, live.facts, None if thing is None else thing["message"], tx.now_us)
    if isinstance(verdict, access.Denial):
        raise no(verdict.reason)
    key_mac = tx.custody.mac("release", live.mac, grant, object, purpose)
    request_mac = tx.custody.mac("request", found.tenant, request)
    before = tx.one("SELECT * FROM requests WHERE mac = ?", request_mac)
    if before is not None:
        young = tx.now_us - before["at_us"] <= tx.limits.retry_seconds * SECOND_US
        if not young or bytes(before["key_mac"]) != key_mac:
            raise no("request-reused")
        return _answer(tx, loaded, object, before["log_index"], resumed=bool(before["resumed"]))
    first = tx.one(
        "SELECT log_index FROM releases WHERE session = ? AND grant_id = ? AND object = ? AND purpose = ?",
        live.mac, grant, object, purpose,
    )  # fmt: skip
    if first is not None:
        record(
            tx, found.tenant, "share:resumed", object=object, actor=live.actor, reason=purpose, proof=live.facts.proof,
            request=request,
        )  # fmt: skip
        index, resumed = int(first["log_index"]), True
    else:
        if verdict.counts:
            denied = budgets.spend(tx, found.tenant, str(found.person), object, live.facts.proof)
            if denied is not None:
                raise no(denied)
        index, resumed = _first(tx, found, live, grant, object, purpose, request), False
    tx.run(
        "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?)",
        request_mac, key_mac, tx.now_us, found.tenant, index, int(resumed),
    )  # fmt: skip
    return _answer(tx, loaded, object, index, resumed=resumed)


def release_meta(tx: Tx, *, session: str, message: str) -> dict[str, Any]:
    """The meta key of a message and the receipt. Costs no budget."""
    live = sessions.need(tx, session, "meta:refused", object=message)
    reason = _meta_denial(tx, live, message)
    if reason is not None:
        raise refused(
            tx, live.facts.tenant, "meta:refused", reason, object=message, actor=live.actor, proof=live.facts.proof
        )
    return _meta(tx, live, message)


def release_metas(tx: Tx, *, session: str, messages: list[Any]) -> dict[str, Any]:
    """The meta keys of many messages, for a list on a page; each is recorded, refusals too.

    One whose row or share was changed keeps no other from being shown: its answer is ``tampered`` alone.
    """
    live = sessions.need(tx, session, "meta:refused")
    answer: dict[str, Any] = {}
    if not all(map(is_id, messages)):  # each is written into the log, where nothing takes it out again
        raise BadCall
    for message in dict.fromkeys(messages[:_MANY]):
        try:
            reason = _meta_denial(tx, live, message)
            if reason is None:
                answer[message] = _meta(tx, live, message)
        except Tampered:
            reason, answer[message] = "tampered", {"tampered": True}
            journal.line("keyholder:tampered", role="portal")
        if reason is not None:
            record(
                tx, live.facts.tenant, "meta:refused", object=message, actor=live.actor, outcome="refused",
                reason=reason, proof=live.facts.proof,
            )  # fmt: skip
    return answer


def _first(tx: Tx, found: access.GrantFacts, live: Live, grant: str, object: str, purpose: str, request: str) -> int:
    index = record(
        tx, found.tenant, "share:released", object=object, actor=live.actor, reason=purpose, proof=live.facts.proof,
        request=request,
    )  # fmt: skip
    tx.run("INSERT INTO releases VALUES (?, ?, ?, ?, ?, ?)", live.mac, grant, object, purpose, found.tenant, index)
    return index


def _answer(tx: Tx, loaded: grants.Loaded, object: str, index: int, *, resumed: bool) -> dict[str, Any]:
    tenant, message = loaded.facts.tenant, loaded.facts.message
    part = object_share(grants.share(tx, loaded.message), tenant=tenant, message=message, object_id=object)
    answer: dict[str, Any] = {"share": b64(part), "receipt": receipt(tx, tenant, index, resumed=resumed)}
    if loaded.facts.kind == "review":
        answer["secret"] = b64(grants.secret(tx, loaded.grant, loaded.message))
    return answer


def _meta_denial(tx: Tx, live: Live, message: str) -> str | None:
    row = grants.message_row(tx, message)
    if row is None:
        return "unknown"
    mine = live.facts.person is not None and any(
        _is_live(tx, grant["id"])
        for grant in tx.all("SELECT id, kind FROM grants WHERE message = ? AND person = ?", message, live.facts.person)
        if live.facts.inbox is None or grant["kind"] == "inbox"
    )
    verdict = access.may_read_meta(live.facts, row["tenant"], message, row["sender_user"], mine)
    if isinstance(verdict, access.Denial):
        return verdict.reason
    if inboxes.older(tx, live, row):
        return "another-inbox"
    return "destroyed" if row["share"] is None else None


def _is_live(tx: Tx, grant: str) -> bool:
    found = grants.facts(tx, grant)
    return found is not None and access.grant_state(found, tx.now_us) == "live"


def _meta(tx: Tx, live: Live, message: str) -> dict[str, Any]:
    row = grants.message_row(tx, message)
    if row is None:
        raise refused(tx, live.facts.tenant, "meta:refused", "unknown", object=message)
    key = hkdf(grants.share(tx, row), lp("sealgate/meta/v1", row["tenant"], message))
    index = record(tx, row["tenant"], "meta:released", object=message, actor=live.actor, proof=live.facts.proof)
    return {"key": b64(key), "receipt": receipt(tx, row["tenant"], index)}
