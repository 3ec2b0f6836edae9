"""Certificates of destruction: what was destroyed, when, from when on no copy of ours can be left, and what they do not
cover.

Promises: a certificate is a signed note of the tenant's release log key, whose SHA-256 stands in the entry
``certificate:issued`` of that log, so that an export and a public key are enough to check it; it holds ids, times and
numbers only; it is made once and never changed. A first line of its own keeps it from being read as a checkpoint.
DESIGN §4a (S: the certificate); NIST SP 800-88 2.6 and 4.8; 45 CFR 164.310(d)(2)(i). Bytes: FORMAT.md §13.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from keys import notes
from keys.keyholder import custody
from keys.keyholder.custody import SYSTEM
from keys.keyholder.database import Tx
from keys.keyholder.releaselog import record, release_origin, tenant_origin

HEADING = "Sealgate certificate of destruction v1"
NODE_HEADING = "Sealgate disposal report v1"
METHOD = "cryptographic erase, NIST SP 800-88: the keyholder's share of the key was overwritten"
NOT_COVERED = (
    "machine snapshots taken outside our backup", "files that somebody downloaded or saved",
    "the sender's mailbox and mail archive",
)  # fmt: skip
_WAYS = (
    "a reader's way: the keyholder lets nobody use it any more, and the message key that was wrapped for it was "
    "overwritten in our database; the share lives on for the others"
)
_OTHERS = (
    "a message that others may still read ends for them with its own time, or with a legal hold that keeps it beyond "
    "that, and is final then"
)
REMAINS = "ciphertext may remain; no key of ours opens it"
_NODE_LEFT = (
    "the private keys of its TLS certificates: revoke or delete them",
    "passwords in files that its configuration names", "its own logs",
)  # fmt: skip
_WHAT = {
    "erase-link": "one reader of one message", "erase-message": "one message", "erase-person": "all mail to one person",
    "erase-tenant": "all mail of the clinic", "lift": "what ended while a legal hold kept it",
    "certify": "one message that had ended",
}  # fmt: skip


def issue(tx: Tx, row: Any) -> str:
    """Make the certificate of a decision that is done, and record it; its text."""
    tenant, origin = row["tenant"], release_origin(tx, row["tenant"])
    text = _text(HEADING, _lines(tx, row))
    note = notes.sign_note(text, origin, custody.signer(tx, tenant, "release_sign"))
    tx.run("UPDATE disposals SET certificate = ? WHERE id = ?", note, row["id"])
    record(
        tx, tenant, "certificate:issued", object=row["id"], actor=("user", row["second"] or row["user"]),
        reason=digest(note), request=row["id"],
    )  # fmt: skip
    return note


def of_node(tx: Tx, node: str, roles: list[str], made: int, left: int) -> str:
    """The disposal report of a node that is taken out of use: what its disk held, and what still opens it. Recorded."""
    origin = release_origin(tx, SYSTEM)
    lines = [
        ("node", node), ("taken out of use on", moment(tx.now_us)), ("keys of the spool, in all its life", str(made)),
        ("of these, destroyed just now", str(left)), ("node keys that count no more", ", ".join(roles) or "none"),
        ("opens nothing", "the spool on its disk, whichever way it is copied: its keys were overwritten"),
        ("never lay there", "shares, the root key, the database"),
        *(("see to it yourself", one) for one in _NODE_LEFT),
        ("not covered", "machine snapshots taken outside our backup, swap, core dumps"),
        ("method", METHOD.partition(":")[0] + ": the private halves of the spool's keys were overwritten"),
    ]  # fmt: skip
    text = _text(NODE_HEADING, lines)
    note = notes.sign_note(text, origin, custody.signer(tx, SYSTEM, "release_sign"))
    record(tx, SYSTEM, "node:retired", object=node, actor=("operator", "operator"), reason=digest(note))
    return note


def digest(note: str) -> str:
    """What the log's entry says of a certificate: SHA-256 of all its bytes, in hexadecimal."""
    return hashlib.sha256(note.encode()).hexdigest()


def _text(heading: str, lines: list[tuple[str, str]]) -> str:
    """One line for each value: a clinic's name, which an operator chose, makes no lines of its own."""
    return "\n".join([heading, *(f"{name}: {' '.join(value.split())}" for name, value in lines)]) + "\n"


def _lines(tx: Tx, row: Any) -> list[tuple[str, str]]:
    name = tx.one("SELECT name FROM tenants WHERE id = ?", row["tenant"])
    return [
        ("certificate", row["id"]),
        ("clinic", f"{'' if name is None else name['name']} ({row['tenant']})"),
        ("log", tenant_origin(tx, row["tenant"])),
        ("what", _WHAT.get(row["kind"], row["kind"])),
        ("about", row["object"]),
        ("messages destroyed", str(row["messages"])),
        ("sealed objects in them", str(row["objects"])),
        ("readers' ways closed in messages that others still have", str(row["links"])),
        ("left alone because of a legal hold", str(row["kept"])),
        ("asked for by", f"{row['user']} on {moment(row['made_us'])}"),
        ("confirmed by", row["second"] or "nobody; one person was enough"),
        ("share destroyed on", _destroyed(row)),
        ("final on", "nothing was destroyed" if row["final_us"] is None else moment(row["final_us"] + 999_999)),
        *(("method", one) for one in _methods(row)),
        *(("not covered", one) for one in NOT_COVERED),
        ("remains", REMAINS),
        *(
            [("others", _OTHERS)]
            if row["links"]
            else []
        ),
    ]  # fmt: skip


def _destroyed(row: Any) -> str:
    span = _span(row["first_us"], row["last_us"])
    return f"none was destroyed; ways were closed on {span}" if row["links"] and not row["messages"] else span


def _methods(row: Any) -> list[str]:
    """Of what was destroyed, and of ways into messages whose share lives on for others."""
    ways = [_WAYS] if row["links"] else []
    return ways if ways and not row["messages"] else [METHOD, *ways]


def _span(first_us: int | None, last_us: int | None) -> str:
    if first_us is None or last_us is None:
        return "nothing was destroyed"
    return moment(first_us) if first_us == last_us else f"{moment(first_us)} to {moment(last_us)}"


def moment(at_us: int) -> str:
    """A time in UTC as certificates write it, in whole seconds that have begun. What must not be said too early is
    given with all but a microsecond of a second more.
    """
    whole = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    return whole.strftime("%Y-%m-%dT%H:%M:%SZ")
