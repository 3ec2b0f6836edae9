"""What the sender hears, in plain words: held, returned, harmful, refused, protected, unopened, destroyed, taken back;
and once a working day what may need a look.

Promises: it names the recipient, and the kind and place of what was found ("a medical record number in attachment 2
(PDF), page 2"), never a value, a file name or a subject. It goes with the null reverse-path and is Auto-Submitted.
RFC 3834.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.mail import compose
from gateway.mail.insert import fragment
from gateway.mail.model import Message
from gateway.mail.notices import page, paragraphs
from gateway.mail.trace import CHECKPOINT
from gateway.words import Words

KINDS = (
    *("held", "malware", "returned", "refused", "unopened", "destroyed", "protected"),
    *(
        "digest",
        "knocked",
        "redeemed",
        "recalled",
        "recall_refused",
        "number_first",
        "number_changed",
        "card_twice",
        "change_waits",
        "account_added",
        "clinic_closed",
        "clinic_reopened",
        "came_back",
        "password_set",
        "app_password_made",
        "erasure_waits",
        "erasure_done",
        "hold_set",
        "recovery_set",
        "recovery_act",
        "recovery_used",
        "relinked_by",
        "hold_lifted",
        "recovered",
        "passkey_made",
        "mail_resent",
    ),
)
_FOUND = ("held", "malware", "returned", "protected")
_RECALLABLE = ("unopened", "knocked", "redeemed", "came_back")
_ABOUT_ONE = (
    *("held", "malware", "returned", "refused", "unopened", "destroyed", "protected", "knocked", "redeemed"),
    *("recalled", "came_back"),
)
_FOUND_MAX = 12
_RECIPIENTS_MAX = 20
_TYPES = {
    "application/pdf": "PDF",
    "application/msword": "Word document",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "Word document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "Excel sheet",
    "application/vnd.ms-excel": "Excel sheet",
    "application/zip": "ZIP archive",
    "application/x-zip-compressed": "ZIP archive",
    "application/dicom": "DICOM",
    "application/ms-tnef": "Outlook data",
    "message/rfc822": "message",
    "text/plain": "text",
    "text/html": "web page",
    "text/csv": "table",
    "text/calendar": "calendar entry",
}
_SUFFIXES = {"pdf": "PDF", "docx": "Word document", "xlsx": "Excel sheet", "zip": "ZIP archive", "dcm": "DICOM"}


@dataclass(frozen=True, slots=True)
class Found:
    """A kind of thing (a key under ``mail.kind``) and where, in words from `place`."""

    kind: str
    place: str


@dataclass(frozen=True, slots=True)
class SenderFacts:
    """What a sender's notice is made of.

    `url` is the signed-in page of the message, or the one to go to where it is about none; empty where nobody can sign
    in; `date` and `sent_at` are RFC 5322
    date-times; `in_reply_to` is the original's Message-ID or empty; `lines` are sentences of ours that say more.
    A digest has neither recipients nor a time of sending of its own.
    """

    kind: str
    to: str
    postmaster: str
    clinic: str
    phone: str
    message_id: str
    date: str
    sent_at: str
    reference: str
    recipients: tuple[str, ...]
    found: tuple[Found, ...] = ()
    url: str = ""
    days: int = 7
    in_reply_to: str = ""
    checkpoint: str = ""
    lines: tuple[str, ...] = ()


def sender_notice(words: Words, facts: SenderFacts) -> bytes:
    """The whole mail. Raises ValueError for the null sender and for a kind that is none."""
    if not facts.to or facts.kind not in KINDS:
        raise ValueError("no sender to tell, or an unknown kind of notice")
    key = f"mail.sender.{facts.kind}"
    clinic = compose.one_line(facts.clinic, 80)
    rows = [words.say(f"{key}.lead", clinic=clinic), *_findings(words, facts), *facts.lines]
    if facts.recipients:
        rows.append(words.say("mail.sender.recipients", recipients=_recipients(words, facts.recipients)))
    if facts.sent_at:
        rows.append(words.say("mail.sender.sent_at", sent_at=compose.one_line(facts.sent_at, 60)))
    rows.append(words.say(f"{key}.next", clinic=clinic, days=facts.days))
    if facts.kind in _RECALLABLE:
        rows.append(words.say("mail.sender.recall"))
    reference = facts.reference
    if len(reference) == 6:  # as it is said on the telephone and on every page
        reference = f"{reference[:3]} {reference[3:]}"
    after = [words.say("mail.sender.reference", reference=reference)] if reference else []
    if facts.phone:
        after.append(words.say("mail.sender.phone", phone=compose.one_line(facts.phone, 40)))
    after += [words.say("mail.sender.password"), words.say("mail.sender.footer", clinic=clinic)]
    if facts.url:
        rows.append(words.say("mail.sender.link" if facts.kind in _ABOUT_ONE else "mail.sender.link_pages"))
        text = f"{paragraphs(rows)}\n\n{facts.url}\n\n{paragraphs(after)}\n"
    else:
        text = f"{paragraphs([*rows, *after])}\n"
    subject = words.say(f"{key}.subject")
    button = "mail.sender.button" if facts.kind in _ABOUT_ONE else "mail.sender.button_pages"
    html = page(subject, fragment(rows, facts.url, words.say(button), after))
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
    return b"".join(lines) + b"MIME-Version: 1.0\r\n" + compose.alternative(text, html)


def place(words: Words, message: Message, path: tuple[int, ...] | None, inner: str = "") -> str:
    """Where something was found, without a name: "attachment 2 (PDF), page 2".

    `path` None is the subject; `inner` is more detail in words of ours ("page 2").
    """
    found = words.say("mail.place.subject") if path is None else _part_place(words, message, path)
    return words.say("mail.place.inside", place=found, inner=compose.one_line(inner, 60)) if inner else found


def _part_place(words: Words, message: Message, path: tuple[int, ...]) -> str:
    listed = message.attachment(path)
    if listed is not None:
        number, part = listed
        if not part.path:
            return words.say("mail.place.message")
        kind = _TYPES.get(part.content_type) or _SUFFIXES.get((part.filename or "").rpartition(".")[2].lower())
        if kind is None:
            return words.say("mail.place.attachment", number=number)
        return words.say("mail.place.attachment_type", number=number, type=kind)
    shown = message.part(path)
    return words.say(
        "mail.place.body" if shown is not None and shown.kind in ("text", "html") else "mail.place.message"
    )


def _findings(words: Words, facts: SenderFacts) -> list[str]:
    if not facts.found:
        return [words.say("mail.sender.found_none")] if facts.kind in _FOUND else []
    said: dict[str, None] = {}
    for one in facts.found:
        key = f"mail.kind.{one.kind}"
        named = words.say(key if key in words else "mail.kind.other")
        said[words.say("mail.sender.found", kind=named, place=one.place)] = None
    rows = list(said)
    more = len(rows) - _FOUND_MAX
    return [*rows[:_FOUND_MAX], words.say("mail.sender.more", number=more)] if more > 0 else rows


def _recipients(words: Words, addresses: tuple[str, ...]) -> str:
    shown = [compose.one_line(address, 254) for address in addresses[:_RECIPIENTS_MAX]]
    more = len(addresses) - len(shown)
    return ", ".join(shown) + (f" {words.say('mail.sender.more', number=more)}" if more > 0 else "")
