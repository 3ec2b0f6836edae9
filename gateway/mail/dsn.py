"""Delivery status notifications: to the sender, in plain words first and for machines after.

Promises: per recipient the final address, action and status, never a remote server's text; of the original only the
fields that identify it (no subject, no other recipient, no body); never to the null sender; Auto-Submitted, so that
no program answers. RFC 3461, RFC 3462 (now 6522), RFC 3464, RFC 3834, RFC 6533.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.mail import compose
from gateway.mail.address import xtext_decode
from gateway.mail.model import Message
from gateway.mail.notices import paragraphs
from gateway.mail.trace import CHECKPOINT
from gateway.words import Words

ACTIONS = ("failed", "delayed", "relayed")
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\Z")
_RETURNED = ("date", "from", "message-id", "in-reply-to", "references")
_REASONS = {
    "1.1": "no_such_address",
    "1.2": "domain",
    "1.3": "address_syntax",
    "1.7": "address_syntax",
    "1.10": "domain",
    "2.1": "no_such_address",
    "2.2": "mailbox_full",
    "2.3": "too_large",
    "3.4": "too_large",
    "4.1": "domain",
    "4.3": "domain",
    "4.4": "domain",
    "4.6": "loop",
    "7.1": "refused",
}


@dataclass(frozen=True, slots=True)
class FailedRecipient:
    """One recipient and what became of the message there.

    `status` is an enhanced code; `original` is ORCPT as given (``rfc822;xtext``, decoded here); `code` is the SMTP
    reply code, 0 where there was none; `reason` is a key under ``mail.dsn.reason``, empty to derive it from the status.
    """

    address: str
    status: str
    original: str = ""
    code: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DsnFacts:
    """What a DSN is made of. `date` and `arrived` are RFC 5322 date-times, `message_id` has its angle brackets.

    `envid` is ENVID as given (xtext, decoded here: RFC 3461 5.4, 6.3); `retry_until` is until when a delayed message is
    tried, or empty.
    """

    action: str
    to: str
    postmaster: str
    reporting_mta: str
    clinic: str
    phone: str
    message_id: str
    date: str
    arrived: str
    reference: str
    recipients: tuple[FailedRecipient, ...]
    envid: str = ""
    checkpoint: str = ""
    retry_until: str = ""


def dsn(words: Words, facts: DsnFacts, original: Message | None) -> bytes:
    """The whole DSN, to be sent with the null reverse-path.

    Raises ValueError for the null sender as recipient, an unknown action or a status that is no enhanced code.
    """
    if not facts.to:
        raise ValueError("a DSN never goes to the null sender")
    if facts.action not in ACTIONS or not facts.recipients:
        raise ValueError("unknown action, or no recipient")
    parts = [
        compose.text_part("text/plain", _human(words, facts)),
        b"Content-Type: " + _report_type(facts) + b"\r\n\r\n" + _machine(facts),
    ]
    if original is not None:
        parts.append(b"Content-Type: text/rfc822-headers\r\n\r\n" + _original(original))
    subject = words.say(f"mail.dsn.{facts.action}.subject")
    lines = [
        compose.structured("From", compose.mailbox(facts.clinic, facts.postmaster)),
        compose.structured("To", f"<{facts.to}>"),
        compose.header("Subject", subject),
        compose.structured("Date", facts.date),
        compose.structured("Message-ID", facts.message_id),
        b"Auto-Submitted: auto-replied\r\n",
    ]
    if original is not None and original.message_id:
        lines.append(compose.structured("In-Reply-To", compose.one_line(original.message_id, 900)))
        lines.append(compose.structured("References", compose.one_line(original.message_id, 900)))
    if facts.checkpoint:
        lines.append(compose.header(CHECKPOINT, facts.checkpoint))
    lines.append(b"MIME-Version: 1.0\r\n")
    return b"".join(lines) + compose.multipart("report; report-type=delivery-status", parts)


def reason_key(status: str) -> str:
    """The words for an enhanced status code, without the ``mail.dsn.reason.`` before them."""
    kind, _, rest = status.partition(".")
    found = _REASONS.get(rest)
    return found or ("temporary" if kind == "4" else "refused" if rest.startswith("7.") else "other")


def _human(words: Words, facts: DsnFacts) -> str:
    rows = [words.say(f"mail.dsn.{facts.action}.lead")]
    blocks: list[str] = []
    for one in facts.recipients:
        key = one.reason or reason_key(one.status)
        sentence = words.say(f"mail.dsn.reason.{key}", clinic=compose.one_line(facts.clinic, 80))
        blocks.append(f"  {compose.one_line(one.address, 254)}\n  {sentence} ({one.status})")
    footer = {"clinic": compose.one_line(facts.clinic, 80), "reference": facts.reference}
    phone = compose.one_line(facts.phone, 40)
    last = (
        words.say("mail.dsn.footer", phone=phone, **footer)
        if phone
        else words.say("mail.dsn.footer_no_phone", **footer)
    )
    return "\n\n".join([paragraphs(rows), *blocks, paragraphs([last])]) + "\n"


def _international(facts: DsnFacts) -> bool:
    return not all(one.address.isascii() for one in facts.recipients)


def _report_type(facts: DsnFacts) -> bytes:
    return b"message/global-delivery-status" if _international(facts) else b"message/delivery-status"


def _machine(facts: DsnFacts) -> bytes:
    """RFC 3464 2.2, 2.3: a group for the message, then one for each recipient."""
    lines = [f"Reporting-MTA: dns; {_atom(facts.reporting_mta)}"]
    if facts.envid:
        lines.insert(0, f"Original-Envelope-Id: {compose.one_line(xtext_decode(facts.envid), 100)}")
    lines += [f"Arrival-Date: {compose.one_line(facts.arrived, 60)}", ""]
    for one in facts.recipients:
        if not _STATUS.match(one.status):
            raise ValueError("a status is three numbers")
        kind = "rfc822" if one.address.isascii() else "utf-8"
        if one.original:
            lines.append(f"Original-Recipient: {compose.one_line(xtext_decode(one.original), 500)}")
        lines += [f"Final-Recipient: {kind}; {compose.one_line(one.address, 254)}"]
        lines += [f"Action: {facts.action}", f"Status: {one.status}"]
        if facts.action == "delayed" and facts.retry_until:  # RFC 3464 2.3.9
            lines.append(f"Will-Retry-Until: {compose.one_line(facts.retry_until, 60)}")
        if one.code:
            lines.append(f"Diagnostic-Code: smtp; {one.code} {one.status}")
        lines.append("")
    return "\r\n".join(lines).encode("utf-8", "replace")


def _original(message: Message) -> bytes:
    lines: list[bytes] = []
    for name in _RETURNED:
        value = message.header(name)
        if value:
            lines.append(compose.structured(name.title().replace("Id", "ID"), compose.one_line(value, 900)))
    return b"".join(lines) + b"\r\n"


def _atom(host: str) -> str:
    return "".join(letter for letter in host if letter.isascii() and (letter.isalnum() or letter in ".-[]:"))[:255]
