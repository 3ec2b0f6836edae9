"""Mail of our own with a stranger's words in every place: the same fields, the same parts, whatever stands in them."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.mail.dsn import DsnFacts, FailedRecipient, dsn
from gateway.mail.notices import NoticeFacts, attachment_block, neutral_subject, secure_words
from gateway.mail.person_notice import PersonFacts, person_notice
from gateway.mail.scan import scan
from gateway.mail.sender_notice import KINDS, Found, SenderFacts, sender_notice
from gateway.mail.source import BytesSource
from gateway.mail.trace import received, trace
from gateway.words import language
from tests.fuzz.common import BARE_NEWLINE, split
from tests.fuzz.targets import fields

ROOMS = ("gateway.mail", "gateway.words")
WORDS = [
    *fields.WORDS,
    b"\xfe",
    b"\r\nBcc: x@y.test\r\n",
    b"\r\n\r\n",
    b"{clinic}",
    b"{",
    b"}",
    b"<a href=x>",
    b"\r\n--x\r\n",
]
SEEDS = [
    b"Clinic\r\nBcc: x\xfea@b.test\xfe+1 555\xfe<m@x>\xfeJane\r\n\r\n<b>\xfea+0D+0Ab\xfemsg_1\xfe" + bytes((number,))
    for number in range(len(KINDS))
]
_NOW = "Mon, 4 Jan 2027 10:00:00 +0000"
_URL = "https://secure.clinic.example/m/a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7"
_SAY = language()
_COMMON = ["from", "to", "subject", "date", "message-id", "auto-submitted"]


def check(data: bytes) -> None:
    """Every mail that we write."""
    body, choice = split(data, 1)
    given = [one.decode("utf-8", "surrogateescape") for one in body.split(b"\xfe")]
    clinic, person, phone, reply, name, envid, reference = (given + [""] * 7)[:7]
    kind = KINDS[choice[0] % len(KINDS)]
    threaded = ["in-reply-to", "references"] if reply else []
    _sound(
        sender_notice(
            _SAY,
            SenderFacts(
                kind, "ana@clinic.example", "postmaster@clinic.example", clinic, phone, "<n@gw.example>", _NOW, name,
                reference, (person, name), (Found(name, "attachment 2"),), in_reply_to=reply,
            ),
        ),
        [*_COMMON, *threaded, "mime-version", "content-type"],
        ["multipart/alternative", "text/plain", "text/html"],
    )  # fmt: skip
    _sound(
        person_notice(
            _SAY,
            PersonFacts(
                "reminder", "pat@mail.example", "postmaster@clinic.example", clinic, phone, "<n@gw.example>", _NOW,
                name, reference, reply,
            ),
        ),
        [*_COMMON, *threaded, "mime-version", "content-type"],
        ["multipart/alternative", "text/plain", "text/html"],
    )  # fmt: skip
    _returned(clinic, person, phone, reply, name, envid, reference)
    facts = NoticeFacts(clinic, person, _URL, 2, 1000, datetime(2027, 2, 1, tzinfo=UTC), phone, name, True, reference)
    for text, html in (
        (attachment_block(_SAY, facts).text, attachment_block(_SAY, facts).html),
        (secure_words(_SAY, facts).text, secure_words(_SAY, facts).html),
    ):
        assert text.count(f"\n{_URL}\n") == 1
        assert html.count("<a ") == 1
        assert html.isascii()
    assert "\n" not in neutral_subject(_SAY, clinic)
    top = received(name, "192.0.2.1", "gw.example", "ESMTPSA", "q1", _NOW) + trace("node-1", "q1")
    assert [one.name.lower() for one in scan(BytesSource(top + b"\r\n")).headers] == ["received", "sealgate-trace"]


def _returned(clinic: str, person: str, phone: str, reply: str, name: str, envid: str, reference: str) -> None:
    original = scan(
        BytesSource(
            b"From: " + name.encode("utf-8", "surrogateescape") + b"\r\nMessage-ID: "
            + reply.encode("utf-8", "surrogateescape") + b"\r\nSubject: no\r\n\r\nbody"
        )
    )  # fmt: skip
    facts = DsnFacts(
        "failed", "ana@clinic.example", "postmaster@clinic.example", name, clinic, phone, "<n@gw.example>", _NOW, name,
        reference, (FailedRecipient(person, "5.1.1", envid, 550),), envid,
    )  # fmt: skip
    data = dsn(_SAY, facts, original)
    threaded = ["in-reply-to", "references"] if original.message_id else []
    kind = "message/delivery-status" if person.isascii() else "message/global-delivery-status"
    _sound(
        data,
        [*_COMMON, *threaded, "mime-version", "content-type"],
        ["multipart/report", "text/plain", kind, "text/rfc822-headers"],
    )
    machine = scan(BytesSource(data)).root.children[1]
    lines = data[machine.body_start : machine.body_stop].split(b"\r\n")
    groups = b"\r\n".join(lines).strip().split(b"\r\n\r\n")
    assert len(groups) == 2
    assert [line.partition(b":")[0] for line in groups[1].split(b"\r\n")][-3:] == [
        b"Action", b"Status", b"Diagnostic-Code",
    ]  # fmt: skip


def _sound(data: bytes, names: list[str], kinds: list[str]) -> None:
    """A mail of exactly these fields and parts, in whole lines."""
    assert BARE_NEWLINE.search(data) is None
    assert b"\0" not in data
    message = scan(BytesSource(data))
    assert [one.name.lower() for one in message.headers] == names
    assert [part.content_type for part in message.parts()] == kinds
    assert not message.malformed, message.flags
