"""What a recipient hears after the first mail: a reminder, the coming end, a phone number or a way
to sign in that is new, and a new link for one that was lost.

Promises: it names the recipient's own address, the clinic and its phone, and holds no subject and no file name,
and no link but in the one kind that brings a new one; it answers the first mail, so that it stands in its thread. Null
reverse-path, Auto-Submitted. RFC 3834, RFC 5322 3.6.4.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.mail import compose
from gateway.mail.insert import fragment
from gateway.mail.notices import page, paragraphs, with_link
from gateway.mail.trace import CHECKPOINT
from gateway.words import Words

KINDS = ("reminder", "ending", "phone", "phone_first", "enrolled", "recovery_made", "recovered", "relinked", "inbox")
_ABOUT_NO_MESSAGE = ("phone", "phone_first", "enrolled", "recovery_made", "recovered", "inbox")


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """All that such a mail may say. `until` is a time in words; `in_reply_to` the first mail's Message-ID or empty."""

    kind: str
    to: str
    postmaster: str
    clinic: str
    phone: str
    message_id: str
    date: str
    until: str = ""
    reference: str = ""
    in_reply_to: str = ""
    checkpoint: str = ""
    url: str = field(default="", repr=False)
    code: str = field(default="", repr=False)
    """The one kind with a link, `relinked`: its address, and the code for typing."""


def person_notice(words: Words, facts: PersonFacts) -> bytes:
    """The whole mail. Raises ValueError for a kind that is none, and for a link where none belongs or is plain."""
    if facts.kind not in KINDS or bool(facts.url) != (facts.kind == "relinked"):
        raise ValueError("an unknown kind of notice")
    key, clinic = f"mail.person.{facts.kind}", compose.one_line(facts.clinic, 80)
    rows = [words.say(f"{key}.lead", clinic=clinic)]
    if facts.kind not in _ABOUT_NO_MESSAGE:
        rows.append(words.say("mail.person.for", recipient=compose.one_line(facts.to, 254)))
    rows.append(words.say(f"{key}.next", until=facts.until))
    if facts.phone:
        rows.append(words.say("mail.phone", phone=compose.one_line(facts.phone, 40)))
    if facts.reference:
        number = f"{facts.reference[:3]} {facts.reference[3:]}".strip()
        rows.append(words.say("mail.person.reference", reference=number))
    if facts.code:
        rows.append(words.say("mail.code", code=facts.code))
    rows.append(words.say("mail.password"))
    if facts.kind not in _ABOUT_NO_MESSAGE and not facts.url:
        rows.append(words.say("mail.person.footer", clinic=clinic))
    subject = words.say(f"{key}.subject", clinic=clinic)
    button = words.say("mail.secure.button") if facts.url else ""
    text = paragraphs(rows) if not facts.url else with_link(rows[:2], facts.url, rows[2:])
    inner = fragment(rows[:2], facts.url, button, rows[2:]) if facts.url else fragment(rows, "", "", [])
    lines = [
        compose.structured("From", compose.mailbox(facts.clinic, facts.postmaster)),
        compose.structured("To", f"<{facts.to}>"),
        compose.header("Subject", subject),
        compose.structured("Date", facts.date),
        compose.structured("Message-ID", facts.message_id),
        b"Auto-Submitted: auto-generated\r\n",
    ]
    if facts.in_reply_to:
        reply = compose.one_line(facts.in_reply_to, 900)
        lines += [compose.structured("In-Reply-To", reply), compose.structured("References", reply)]
    if facts.checkpoint:
        lines.append(compose.header(CHECKPOINT, facts.checkpoint))
    body = compose.alternative(f"{text}\n", page(subject, inner))
    return b"".join(lines) + b"MIME-Version: 1.0\r\n" + body
