"""What policy is told about a mail: facts, never words of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from zoneinfo import ZoneInfo

from gateway.actions.copies import in_own_name
from gateway.actions.tenants import TenantView
from gateway.clock import from_us
from gateway.detect.model import Assessment
from gateway.flow.reading import Reading
from gateway.mail import cipher
from gateway.mail.address import routed
from gateway.mail.model import Message
from gateway.mail.source import Source
from gateway.policy import MailFacts, RecipientFacts
from gateway.spool.envelope import POSTMASTER, Envelope
from keys.encoding import canonical

TAG = re.compile(r"\[(secure|plain|urgent)(?::[ \t]{0,4}([a-z][a-z-]{1,29}))?\]", re.IGNORECASE)

_FRONT = re.compile(rf"\s{{0,8}}(?:{TAG.pattern}\s{{0,8}})+", re.IGNORECASE)


def mail_facts(
    message: Message, source: Source, envelope: Envelope, reading: Reading, assessment: Assessment,
    unscanned: frozenset[str] = frozenset(), plain_reason: str = "", assumed: bool = False,
) -> MailFacts:  # fmt: skip
    """Facts of the message itself. `unscanned` are the parts in which nobody looked for malware and should have;
    `plain_reason` is why it may go as it is, where its sender may say so; `assumed` says that it comes from a device
    whose mail counts as PHI.
    """
    ours = envelope.identity.kind != POSTMASTER
    forms = {part.id for part in message.other_forms()} if reading.attachments else set()
    return MailFacts(
        assessment=assessment,
        null_sender=not envelope.mail_from,
        auto_submitted=message.auto_submitted,
        subject_tags=tags(message) if ours else frozenset(),  # a stranger's words to postmaster order nothing
        sensitivity=(message.header("sensitivity") or "").strip().lower() if ours else "",
        signed=message.signed,
        encrypted=cipher.proven(message, source),
        malformed=message.malformed,
        attachments=tuple(attachment.id for attachment in reading.attachments),
        decorations=reading.decorations,
        other_forms=frozenset(forms),
        may_be_plain=bool(plain_reason),
        plain_reason=plain_reason,
        unscanned=unscanned,
        assumed=assumed,
    )


def tags(message: Message) -> frozenset[str]:
    """The sender's words in the subject: "secure", "plain", "urgent"."""
    return frozenset(found[1].lower() for found in TAG.finditer(message.subject))


def plain_reason(view: TenantView, envelope: Envelope, message: Message, role: Callable[[], str]) -> str:
    """The reason that the sender gave for "[plain: reason]", where policy knows it and allows it to the sender's role;
    else empty. Who did not sign in has no role, and `role` is not asked.

    It counts at the very beginning of the subject, in a mail that is From who signed in and was not made by a program:
    behind "Re:", in what is sent on and in an automatic answer stand words that a stranger wrote.
    """
    policy, front = view.policy, _FRONT.match(message.subject)
    tagged = TAG.finditer(front[0] if front is not None else "")
    said = {found[2].lower() for found in tagged if found[1].lower() == "plain" and found[2]}
    known = sorted(said & policy.plain_reasons)
    if not known or message.auto_submitted or not in_own_name(envelope, message):
        return ""
    return known[0] if role() in policy.plain_roles else ""


def recipient_facts(view: TenantView, address: str, at_us: int) -> RecipientFacts:
    """Facts of one recipient of mail that was handed in at that time; a partner's entry ends with the clinic's day.

    Who is reached by a further way (`address.routed`) is neither the clinic's own nor a partner's, whatever the domain.
    """
    domain = address.rpartition("@")[2].rstrip(".").lower()
    there = not routed(address)
    internal = there and domain in view.domains
    if not view.policy.partners:  # nearly every mail: no clock is asked
        return RecipientFacts(internal, False, domain)
    today = from_us(at_us).astimezone(ZoneInfo(view.timezone)).date()
    named = (one for one in view.policy.partners if there and one.domain == domain and today <= one.until)
    partner = next(named, None)
    return RecipientFacts(internal, partner is not None, domain, partner.proof if partner else "")


def urgent(message: Message) -> bool:
    """Whether the sender's word asks for the shorter waits."""
    if "urgent" in tags(message):
        return True
    if (message.header("importance") or "").strip().lower() == "high":  # RFC 4021 2.1.53
        return True
    return (message.header("priority") or "").strip().lower() == "urgent"  # RFC 4021 2.1.54


def summary(assessment: Assessment | None) -> str:
    """Kinds and places found and what was not read, as canonical JSON; no values."""
    if assessment is None:
        return canonical({"found": [], "unread": [["the message", "cannot be processed"]], "score": 0}).decode()
    found = Counter((finding.kind, finding.place) for part in assessment.parts for finding in part.findings)
    return canonical({
        "found": [[kind, place, count] for (kind, place), count in sorted(found.items())[:60]],
        "unread": [[one.place, one.reason] for one in assessment.unread[:60]],
        "score": round(assessment.score * 1000),
        "detector": assessment.detector,
    }).decode()  # fmt: skip
