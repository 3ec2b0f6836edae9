"""What can happen, and the one shape in which it stands in a log.

Promises: actions are a closed list and entries have a closed list of fields; an entry holds ids and fixed words, never
a name, address, subject, file name, token or code; it is RFC 8785 JSON of at most 4 KiB. Byte form: FORMAT.md.
Clauses: 45 CFR 164.312(b); NIST SP 800-92; DESIGN §5.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from keys.encoding import MAX_INT, parse_canonical

VERSION = 1
Octets = bytes  # inside Event the word means the field of that name
MAX_ENTRY_BYTES = 4096
SYSTEM = "system"
"""Name of the log of what belongs to no tenant, and `tenant` of its entries."""

FIELDS = frozenset({
    "v", "ts", "tenant", "actor", "action", "object", "outcome", "reason", "proof", "request", "node", "nseq", "ip_ref",
    "agent_ref", "bytes", "policy", "receipt",
})  # fmt: skip
OUTCOMES = frozenset({"ok", "refused", "failed", "partial"})
_FRAME_BYTES = 512  # room for the field names, numbers, the longest action and a node's name of 64 characters
_quoted = json.encoder.encode_basestring  # for printable ASCII the same as RFC 8785 3.2.2.2


class Action(StrEnum):
    """Every event. A retired one keeps its line with a note."""

    MESSAGE_ACCEPTED = "message:accepted"
    MESSAGE_REFUSED = "message:refused"
    MESSAGE_DUPLICATE = "message:duplicate"
    MESSAGE_DECIDED = "message:decided"  # not written: passed, secured, held and returned are the decision
    MESSAGE_PASSED = "message:passed"
    MESSAGE_SECURED = "message:secured"
    MESSAGE_HELD = "message:held"
    MESSAGE_RELEASED = "message:released"
    MESSAGE_DROPPED = "message:dropped"
    MESSAGE_RETURNED = "message:returned"
    MESSAGE_RESENT = "message:resent"
    MESSAGE_DELIVERED = "message:delivered"
    MESSAGE_DEFERRED = "message:deferred"
    MESSAGE_BOUNCED = "message:bounced"
    MESSAGE_RECALLED = "message:recalled"
    MESSAGE_EXPIRED = "message:expired"
    MESSAGE_ERASED = "message:erased"
    MESSAGE_KEPT = "message:kept"  # its time is over, and a legal hold keeps it
    MALWARE_FOUND = "malware:found"
    NOTICE_SENT = "notice:sent"
    BOUNCE_RECEIVED = "bounce:received"
    LINK_CREATED = "link:created"
    LINK_VISITED = "link:visited"
    LINK_REFUSED = "link:refused"
    LINK_REVOKED = "link:revoked"
    LINK_SHORTENED = "link:shortened"
    LINK_FROZEN = "link:frozen"
    LINK_UNFROZEN = "link:unfrozen"
    CODE_ASKED = "code:asked"
    CODE_SENT = "code:sent"  # not written: the keyholder queues the text and says so in its own log (code:queued)
    CODE_SHOWN = "code:shown"
    CODE_REFUSED = "code:refused"
    CARD_PRINTED = "card:printed"
    FACTOR_ENROLLED = "factor:enrolled"
    FACTOR_REMOVED = "factor:removed"
    FACTOR_REFUSED = "factor:refused"  # not written here: the keyholder's log has it, ours says code:refused
    SESSION_STARTED = "session:started"
    SESSION_REFUSED = "session:refused"
    SESSION_ENDED = "session:ended"
    OBJECT_OPENED = "object:opened"
    OBJECT_PART = "object:part"
    OBJECT_COMPLETED = "object:completed"
    OBJECT_FAILED = "object:failed"
    OBJECT_REFUSED = "object:refused"
    OPENING_UNCONFIRMED = "opening:unconfirmed"
    META_OPENED = "meta:opened"
    META_REFUSED = "meta:refused"
    USER_ADDED = "user:added"
    USER_CHANGED = "user:changed"
    USER_DISABLED = "user:disabled"
    USER_ANNOUNCED = "user:announced"  # every officer was told of an account or password that counts at once
    USER_APP_PASSWORD = "user:app-password"  # noqa: S105 - an event's name
    PERSON_ADDED = "person:added"
    PERSON_CHANGED = "person:changed"
    PERSON_FOUND = "person:found"
    SETTINGS_ACCEPTED = "settings:accepted"  # a member approved a change that waits
    SETTINGS_PROPOSED = "settings:proposed"
    SETTINGS_REFUSED = "settings:refused"  # an officer ended one, or an approval was turned down
    TENANT_CREATED = "tenant:created"
    TENANT_CLOSED = "tenant:closed"
    TENANT_REOPENED = "tenant:reopened"
    NODE_STARTED = "node:started"
    NODE_STOPPED = "node:stopped"
    QUEUE_LISTED = "queue:listed"
    QUEUE_SHOWN = "queue:shown"
    QUEUE_RETRIED = "queue:retried"
    QUEUE_RETURNED = "queue:returned"
    ACT_RECORDED = "act:recorded"
    ACT_CONFIRMED = "act:confirmed"
    ACT_REFUSED = "act:refused"
    ACT_FAILED = "act:failed"
    RECOVERY_SET = "recovery:set"  # a clinic's recovery key, or the choice to go without one, counts from now
    RECOVERY_CONFIRMED = "recovery:confirmed"  # sheets of the kit were read, or a message was opened elsewhere
    RECOVERY_ASKED = "recovery:asked"
    RECOVERY_OPENED = "recovery:opened"
    RECOVERY_RELINKED = "recovery:relinked"
    RECOVERY_REFUSED = "recovery:refused"
    HOLD_SET = "hold:set"
    HOLD_LIFTED = "hold:lifted"
    CERTIFICATE_ISSUED = "certificate:issued"
    LOG_OPENED = "log:opened"
    LOG_ROTATED = "log:rotated"
    LOG_REOPENED = "log:reopened"  # a new origin after a gap, quoting the head that was given up
    LOG_CHECKPOINT = "log:checkpoint"
    LOG_EXPORTED = "log:exported"
    LOG_KEPT = "log:kept"  # a keeper outside has it now, or refused it
    LOG_SEARCHED = "log:searched"
    BACKUP_MADE = "backup:made"
    BACKUP_VERIFIED = "backup:verified"  # somebody restored it elsewhere and said so here
    BACKUP_RESTORED = "backup:restored"
    TAMPER_FOUND = "tamper:found"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: `kind` is one of person user operator gateway keyholder visitor sender device; `id` may be empty.
    That of a device is its name in the settings.
    """

    kind: str
    id: str


GATEWAY = Actor("gateway", "")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, before it has its time and number. Fields are those of DESIGN §5.

    `object` is the id it happened to; `reason` and `policy` are machine words; `proof` the level 0 to 3; `ip_ref` and
    `agent_ref` are ids of sealed rows; `receipt` is the keyholder's, as `receipt_text` writes it.
    """

    action: Action
    tenant: str
    object: str
    actor: Actor
    outcome: str = "ok"
    reason: str = ""
    proof: int | None = None
    request: str = ""
    ip_ref: str = ""
    agent_ref: str = ""
    bytes: int | None = None
    policy: str = ""
    receipt: str = ""

    def entry(self, ts: int, node: str, nseq: int) -> Octets:
        """The entry's bytes: RFC 8785, written out because `check` has left only printable ASCII to write."""
        actor = f'{{"id":{_quoted(self.actor.id)},"kind":{_quoted(self.actor.kind)}}}'
        return (
            f'{{"action":"{self.action}","actor":{actor},"agent_ref":{_quoted(self.agent_ref)},'
            f'"bytes":{_number(self.bytes)},"ip_ref":{_quoted(self.ip_ref)},"node":{_quoted(node)},"nseq":{nseq},'
            f'"object":{_quoted(self.object)},"outcome":"{self.outcome}","policy":{_quoted(self.policy)},'
            f'"proof":{_number(self.proof)},"reason":{_quoted(self.reason)},"receipt":{_quoted(self.receipt)},'
            f'"request":{_quoted(self.request)},"tenant":{_quoted(self.tenant)},"ts":{ts},"v":{VERSION}}}'
        ).encode("ascii")


def check(event: Event) -> None:
    """Raises ValueError, naming the field, for an event that no entry may hold."""
    if type(event.action) is not Action:
        raise ValueError("an event's action comes from the list")
    if not event.tenant:
        raise ValueError("an event names its tenant, or 'system'")
    if event.outcome not in OUTCOMES:
        raise ValueError("an event's outcome is one of " + " ".join(sorted(OUTCOMES)))
    if event.proof is not None and event.proof not in (0, 1, 2, 3):
        raise ValueError("an event's proof is a level from 0 to 3")
    if event.bytes is not None and not 0 <= event.bytes <= MAX_INT:
        raise ValueError("an event's bytes are a count")
    joined = "".join((
        event.tenant, event.object, event.actor.kind, event.actor.id, event.reason, event.request, event.ip_ref,
        event.agent_ref, event.policy, event.receipt,
    ))  # fmt: skip
    if len(joined) + joined.count('"') + joined.count("\\") > MAX_ENTRY_BYTES - _FRAME_BYTES:
        raise ValueError("an event's entry is larger than 4 KiB")
    if not (joined.isascii() and joined.isprintable()):
        wrong = next(name for name, value in _texts(event).items() if not (value.isascii() and value.isprintable()))
        raise ValueError(f"an event's {wrong} is not printable ASCII")


def _texts(event: Event) -> dict[str, str]:
    return {
        "tenant": event.tenant, "object": event.object, "actor kind": event.actor.kind, "actor id": event.actor.id,
        "reason": event.reason, "request": event.request, "ip_ref": event.ip_ref, "agent_ref": event.agent_ref,
        "policy": event.policy, "receipt": event.receipt,
    }  # fmt: skip


def _number(value: int | None) -> str:
    return "null" if value is None else str(int(value))


def parse(entry: bytes) -> dict[str, Any]:
    """The fields of an entry's bytes. Raises ValueError unless they are exactly what `Event.entry` could write."""
    if len(entry) > MAX_ENTRY_BYTES:
        raise ValueError("larger than 4 KiB")
    found = parse_canonical(entry)
    if not isinstance(found, dict) or frozenset(found) != FIELDS:
        raise ValueError("other fields than the format's")
    if found["v"] != VERSION:
        raise ValueError("another version")
    actor = found["actor"]
    if not isinstance(actor, dict) or sorted(actor) != ["id", "kind"]:
        raise ValueError("a malformed actor")
    for name in FIELDS - {"v", "ts", "nseq", "actor", "proof", "bytes"}:
        if not isinstance(found[name], str):
            raise ValueError(f"{name} is not text")
    for name in ("ts", "nseq"):
        if type(found[name]) is not int or found[name] < 0:
            raise ValueError(f"{name} is not a count")
    for name in ("proof", "bytes"):
        if found[name] is not None and type(found[name]) is not int:
            raise ValueError(f"{name} is not a number")
    return found


_RECEIPT = re.compile(r"(?P<log>[^#\s]+)#(?P<index>0|[1-9]\d{0,15}):(?P<leaf>[A-Za-z0-9+/]{43}=)", re.ASCII)


def receipt_text(receipt: Mapping[str, Any]) -> str:
    """A keyholder's receipt as an entry quotes it: ``origin#index:leaf hash in base64``."""
    return f"{receipt['log']}#{receipt['index']}:{receipt['leaf_hash']}"


def parse_receipt(text: str) -> tuple[str, int, str] | None:
    """Origin, index and leaf hash (base64) of a quoted receipt; None when it is none."""
    found = _RECEIPT.fullmatch(text)
    return None if found is None else (found["log"], int(found["index"]), found["leaf"])
