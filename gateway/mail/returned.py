"""What came back to a return path of ours: a report of failure or delay, an automatic answer, or something else. Pure.

Promises: never raises on any bytes; of the report the action and the status count, and no word of it goes further; what
is no report, in fields or in the words of known mail systems (`bouncewords`), is never taken for a failure. RFC 3464
2.3, RFC 3834, RFC 6533, RFC 3463.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.mail import bouncewords
from gateway.mail.decode import head
from gateway.mail.model import Message
from gateway.mail.source import Source

REPORTS = ("message/delivery-status", "message/global-delivery-status")
REPORT_BYTES = 65_536
_FIELD = re.compile(r"^(action|status)[ \t]*:[ \t]*([^\r\n(;]*)", re.IGNORECASE | re.MULTILINE)
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_TAG = re.compile(rb"<[^<>]{0,2000}>")
_BLANK = re.compile(r"\r?\n[ \t]*\r?\n")


@dataclass(frozen=True, slots=True)
class CameBack:
    """`kind`: one of failed delayed delivered auto-reply unread, or unreadable for what came without a sender and is
    none of these. `status`: an enhanced code, empty without a report.
    """

    kind: str
    status: str = ""


def read(message: Message, source: Source) -> CameBack:
    """What this mail says of the one recipient whose return path it came to. Raises Tampered for a source that is."""
    for part in message.root.walk():
        if part.content_type in REPORTS:
            found = _report(head(source, part, REPORT_BYTES).decode("utf-8", "replace"))
            if found.kind != "unread":
                return found
    said = _words(message, source)
    if said is not None:
        return CameBack(*said)
    return CameBack("auto-reply" if message.auto_submitted else "unread")


def _words(message: Message, source: Source) -> tuple[str, str] | None:
    named = message.header("x-failed-recipients") is not None
    parts = message.visible()[:1]
    if not parts:
        return None
    text = head(source, parts[0], bouncewords.WORDS_BYTES)
    if parts[0].kind == "html":
        text = _TAG.sub(b" ", text)
    return bouncewords.read(text, named)


def _report(text: str) -> CameBack:
    """The worst that a group of the report says; a group without a known action says nothing."""
    found: dict[str, str] = {}
    for group in _BLANK.split(text):
        fields = {name.lower(): value.strip() for name, value in _FIELD.findall(group)}
        action, status = fields.get("action", "").lower(), _STATUS.match(fields.get("status", ""))
        if action in ("failed", "delayed", "delivered", "relayed", "expanded"):
            found.setdefault(action, status[0] if status else "")
    if "failed" in found:
        status_given = found["failed"]
        return CameBack("failed", status_given if status_given.startswith("5") else "5.0.0")
    if "delayed" in found:
        return CameBack("delayed", found["delayed"])
    return CameBack("delivered", next(iter(found.values()))) if found else CameBack("unread")


LOCAL = re.compile(r"r\.([a-z2-7]{26})\.([a-z2-7]{16})", re.IGNORECASE)
"""The localpart of a return path: a delivery and a MAC, in an alphabet that survives a change of case."""


def parts(address: str) -> tuple[str, str, str] | None:
    """Delivery, MAC and host of an address of that shape, in lower case; None for any other."""
    local, _, host = address.rpartition("@")
    found = LOCAL.fullmatch(local)
    return (found[1].lower(), found[2].lower(), host.lower().rstrip(".")) if found else None
