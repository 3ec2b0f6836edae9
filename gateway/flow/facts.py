"""What policy is told about a mail: facts, never words of it."""

from __future__ import annotations

import re
from collections import Counter

from gateway.actions.tenants import TenantView
from gateway.detect.model import Assessment
from gateway.flow.reading import Reading
from gateway.mail import cipher
from gateway.mail.model import Message
from gateway.mail.source import Source
from gateway.policy import MailFacts, RecipientFacts
from gateway.spool.envelope import Envelope
from keys.encoding import canonical

TAG = re.compile(r"\[(secure|plain|urgent)\]", re.IGNORECASE)


def mail_facts(
    message: Message, source: Source, envelope: Envelope, reading: Reading, assessment: Assessment,
    unscanned: frozenset[str] = frozenset(),
) -> MailFacts:  # fmt: skip
    """Facts of the message itself. `unscanned` are the parts in which nobody looked for malware and should have."""
    return MailFacts(
        assessment=assessment,
        null_sender=not envelope.mail_from,
        auto_submitted=message.auto_submitted,
        subject_tags=frozenset(word.lower() for word in TAG.findall(message.subject)),
        sensitivity=(message.header("sensitivity") or "").strip().lower(),
        signed=message.signed,
        encrypted=cipher.proven(message, source),
        malformed=message.malformed,
        attachments=tuple(attachment.id for attachment in reading.attachments),
        decorations=reading.decorations,
        unscanned=unscanned,
    )


def recipient_facts(view: TenantView, address: str) -> RecipientFacts:
    """Facts of one recipient."""
    domain = address.rpartition("@")[2].rstrip(".").lower()
    return RecipientFacts(internal=domain in view.domains, partner=False, domain=domain)


def urgent(message: Message) -> bool:
    """Whether the sender's word asks for the shorter waits."""
    if "[urgent]" in message.subject.lower():
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
