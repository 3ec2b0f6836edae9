"""Into an inbox: a code of the moment for the pepper, the private half for the session.

Promises: a try is counted before anything is hashed, and stays counted until the inbox was opened, so that passphrases
cannot be tried here faster than codes; a session is made only for who opened a box made to the inbox's key, so that
without the passphrase not even subjects are seen; who only knows an address spends no try of the person at their links;
the key of the browser's copy lives as long as the session. DESIGN §4b 1, 5.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

from keys import access
from keys import inboxes as formats
from keys.boxes import seal_box
from keys.errors import Denied
from keys.keyholder import factors, grants, inboxes, sessions, tries
from keys.keyholder.custody import SYSTEM
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import record, refused
from keys.keyholder.sessions import SECOND_US
from keys.keyholder.wire import b64

ASK_SECONDS = 120
"""How long a question waits for its answer: Argon2id and its queue take a few seconds."""
NETWORK_SECONDS = 60
SHOWN = 200


def enter(tx: Tx, *, tenant: str, person: str, code: str, network: str) -> dict[str, str]:
    """A code app's code for ``ask`` (a handle), ``inbox``, ``lock``, ``pepper`` and ``box``, to be opened with the
    private half. Denied: wrong (whatever was, no inbox included), too-new, too-many.
    """
    where = tenant if tx.one("SELECT 1 FROM tenants WHERE id = ?", tenant) is not None else SYSTEM
    actor = ("person", person)
    if _left(tx, where, person, network) == 0:
        raise refused(tx, where, "session:refused", "too-many", object=person, actor=actor)
    for subject, _ in _counted(tx, person, network):
        tries.mark(tx, where, tries.FAILED, subject)
    row = inboxes.living(tx, tenant, person)
    proved = "wrong" if row is None else factors.prove_at_large(tx, tenant, person, code)
    if row is None or (isinstance(proved, str) and proved != "too-new"):
        raise refused(tx, where, "session:refused", "wrong", object=person, actor=actor)
    if isinstance(proved, str) or tx.now_us < row["wide_from_us"]:
        raise refused(tx, where, "session:refused", "too-new", data={"opens_us": row["wide_from_us"]}, object=row["id"],
                      actor=actor)  # fmt: skip
    return _asked(tx, row, formats.PASSPHRASE, "totp", proved["first_method"], network, access.SECOND_FACTOR)


def open_inbox(tx: Tx, *, ask: str, answer: bytes) -> dict[str, Any]:
    """A session for the answer, which is what lay in the box: a session's fields, ``inbox`` and ``key``.

    Denied("wrong"): no such question, an answer that is late or not the one.
    """
    mac = tx.custody.mac("inbox-ask", ask)
    row = tx.one("SELECT * FROM inbox_asks WHERE mac = ?", mac)
    if row is None:
        raise refused(tx, None, "session:refused", "wrong")
    tx.run("DELETE FROM inbox_asks WHERE mac = ?", mac)
    right = tx.custody.check(bytes(row["answer"]), "inbox-answer", ask, answer)
    if not right or tx.now_us - row["made_us"] > ASK_SECONDS * SECOND_US:
        raise refused(tx, row["tenant"], "session:refused", "wrong", object=row["inbox"])
    for subject, _ in _counted(tx, row["person"], row["network"]):
        tries.clear(tx, row["tenant"], subject)
    made = sessions.make(
        tx, tenant=row["tenant"], proof=row["proof"], method=row["method"], person=row["person"],
        first_method=row["first_method"], inbox=row["inbox"],
    )  # fmt: skip
    return made | _of(tx, made["handle"], row["inbox"])


def inbox_session(tx: Tx, *, handle: str) -> dict[str, Any]:
    """The live session of an inbox, as `open_inbox` answers. Denied("no-session"), an answer and not recorded."""
    live = sessions.find(tx, handle)
    if live is None or live.facts.inbox is None:
        raise Denied("no-session")
    return sessions.describe(handle, live) | _of(tx, handle, live.facts.inbox)


def messages(tx: Tx, *, session: str) -> dict[str, Any]:
    """``messages`` of the inbox, newest first (grant, message, state, expires_us), at most 200, and ``more``.

    Only what was sent to this inbox: an earlier one's messages are not listed, for nothing opens them.
    Denied: no-inbox.
    """
    live = inboxes.person_of(tx, session)
    row = None if live.facts.inbox is None else inboxes.row_of(tx, live.facts.inbox)
    if row is None:
        raise refused(tx, live.facts.tenant, "meta:refused", "no-inbox", actor=live.actor)
    found = tx.all(
        "SELECT g.id FROM grants g JOIN messages m ON m.id = g.message WHERE g.tenant = ? AND g.person = ?"
        " AND g.kind = 'inbox' AND m.deposited_us >= ? ORDER BY m.deposited_us DESC, g.id LIMIT ?",
        live.facts.tenant, live.facts.person, row["made_us"], SHOWN + 1,
    )  # fmt: skip
    shown = [one for one in (grants.load(tx, name["id"]) for name in found[:SHOWN]) if one is not None]
    return {
        "messages": [
            {
                "grant": one.grant["id"], "message": one.message["id"], "expires_us": one.facts.expires_us,
                "state": access.grant_state(one.facts, tx.now_us),
            }
            for one in shown
        ],
        "more": len(found) > SHOWN,
    }  # fmt: skip


def _asked(
    tx: Tx, row: Any, kind: str, method: str, first_method: str, network: str, proof: int
) -> dict[str, str]:  # fmt: skip
    """The pepper of the lock of that kind and the question that only the private half answers."""
    tenant, name = row["tenant"], row["id"]
    lock = tx.one("SELECT * FROM inbox_locks WHERE inbox = ? AND kind = ? AND state = 'live'", name, kind)
    if lock is None:
        raise refused(tx, tenant, "session:refused", "wrong", object=name, actor=("person", row["person"]))
    ask, answer = secrets.token_urlsafe(32), os.urandom(32)
    tx.run(
        "INSERT INTO inbox_asks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        tx.custody.mac("inbox-ask", ask), tenant, row["person"], name, tx.custody.mac("inbox-answer", ask, answer),
        method, first_method, proof, network, tx.now_us,
    )  # fmt: skip
    record(tx, tenant, "inbox:asked", object=name, actor=("person", row["person"]), reason=method, proof=proof)
    box = seal_box(bytes(row["public"]), formats.ask_context(tenant, name), answer)
    return {
        "ask": ask,
        "inbox": name,
        "lock": lock["id"],
        "pepper": b64(inboxes.pepper(tx, tenant, lock)),
        "box": b64(box),
    }


def _of(tx: Tx, handle: str, inbox: str) -> dict[str, str]:
    """What an inbox's session adds: the key of the browser's copy, which is nowhere once the session's row is gone."""
    mac = tx.custody.mac("session", handle)
    row = tx.one("SELECT salt FROM inbox_sessions WHERE mac = ?", mac)
    if row is None:
        raise Denied("no-session")
    return {"inbox": inbox, "key": b64(tx.custody.mac("inbox-key", handle, bytes(row["salt"])))}


def _counted(tx: Tx, person: str, network: str) -> tuple[tuple[str, int], ...]:
    """As for a member's sign-in (`staff`): few for one person from one network, more over all, more for a network."""
    limits = tx.limits
    return (
        (f"inbox:{person} {network}", limits.tries),
        (f"inbox:{person}", limits.login_user_tries),
        (f"inbox-net:{network}", limits.login_network_tries),
    )


def _left(tx: Tx, where: str, person: str, network: str) -> int:
    """How many tries remain. What strangers spoil for a network ends after a minute."""
    window = tx.limits.tries_window_seconds
    least = []
    for subject, most in _counted(tx, person, network):
        seconds = min(NETWORK_SECONDS, window) if subject.startswith("inbox-net:") else window
        least.append(most - tries.count(tx, where, tries.FAILED, subject, tx.now_us - seconds * SECOND_US))
    return max(0, min(least))
