"""What recipients and senders are told, and what they are not."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import fields, replace
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import from_us
from gateway.mail import compose
from gateway.mail.dsn import DsnFacts, FailedRecipient, dsn, reason_key
from gateway.mail.notices import NoticeFacts, attachment_block, human_size, page, secure_words
from gateway.mail.sender_notice import KINDS, Found, SenderFacts, place, sender_notice
from gateway.mail.trace import TRACE, received, trace
from gateway.words import language

from .test_scan import read

WORDS = language()
URL = "https://secure.clinic.example/m/0123456789abcdefABCDEF0123456789ab"
FACTS = NoticeFacts(
    clinic="Riverside <Clinic> & Söhne",
    recipient="pat@mail.example",
    url=URL,
    files=2,
    size_bytes=3_400_000,
    until=datetime(2027, 2, 20, 11, 3, tzinfo=ZoneInfo("America/Chicago")),
    phone="+1 555 010 0199",
    sender="Dr. Ana Reyes",
    reference="402917",
    code="0123-4567-89AB-CDEF-GHJK-MNPQ-RSTV",
)
NOW = format_datetime(from_us(1_800_000_000_000_000))


def parsed(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=email.policy.SMTP)
    assert isinstance(message, EmailMessage)
    for entity in message.walk():
        assert entity.defects == []
    assert not read(data).malformed
    return message


@pytest.mark.parametrize("text", [attachment_block(WORDS, FACTS).text, secure_words(WORDS, FACTS).text])
def test_the_text_is_whole_by_itself(text: str) -> None:
    lines = text.splitlines()
    assert URL in lines
    assert max(map(len, lines)) <= 78
    for said in (
        "Dr. Ana Reyes",
        "2 files",
        "3.4 MB",
        "Saturday 20 February 2027, 11:03 am Central time",
        "+1 555 010 0199",
    ):
        assert said in " ".join(lines)
    assert "We will never ask for your password." in text
    assert "402 917" in " ".join(lines)
    assert any("0123-4567-89AB-CDEF-GHJK-MNPQ-RSTV" in line for line in lines)


@pytest.mark.parametrize("html", [attachment_block(WORDS, FACTS).html, secure_words(WORDS, FACTS).html])
def test_the_html_has_one_link_and_fetches_nothing(html: str) -> None:
    assert re.findall(r'href="([^"]*)"', html) == [URL]
    assert not re.search(r"<img|<script|src=|url\(|@import|<form", html, re.IGNORECASE)
    assert html.count("http") == 1
    assert "Riverside &lt;Clinic&gt; &amp; S&#246;hne" in html
    assert "color-scheme" in html
    assert 'role="presentation"' in html
    assert html.isascii()


def test_a_notice_has_no_place_for_names_and_subjects() -> None:
    assert {field.name for field in fields(NoticeFacts)} == {
        "clinic", "recipient", "url", "files", "size_bytes", "until", "phone", "sender", "proved", "reference",
        "code",
    }  # fmt: skip


def test_an_unproved_person_is_not_claimed() -> None:
    for text in (
        attachment_block(WORDS, replace(FACTS, proved=False)).text,
        secure_words(WORDS, replace(FACTS, proved=False)).text,
    ):
        assert "Reyes" not in text
        assert "Riverside" in text


def test_one_file_and_none_are_said_rightly() -> None:
    assert "1 file (" in attachment_block(WORDS, replace(FACTS, files=1)).text
    none = secure_words(WORDS, replace(FACTS, files=0)).text
    assert "file" not in none


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/m/x?y=1",
        "https://a.example/m/x#y",
        "https://a.example/m/" + "x" * 300,
        "javascript:alert(1)",
        'https://a.example/m/"x',
        "https://a.example/m/x\nBcc: b@c.example",
        "ftp://a.example/x",
    ],
)
def test_a_link_that_cannot_stand_alone_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="plain address"):
        attachment_block(WORDS, replace(FACTS, url=url))


@given(st.text(max_size=60), st.text(max_size=60))
def test_foreign_names_cannot_bring_lines_links_or_markup(sender: str, clinic: str) -> None:
    block = attachment_block(WORDS, replace(FACTS, sender=sender + "<a href=x>\r\nBcc: y\u202e", clinic=clinic))
    assert re.findall(r"<a ", block.html) == ["<a "]
    assert "\u202e" not in block.text
    assert "\nBcc" not in block.text
    assert block.text.count(f"\n{URL}\n") == 1


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (9_990, "10 kB"), (999_499, "999 kB"), (999_999, "1.0 MB"),
     (3_400_000, "3.4 MB"), (34_000_000, "34 MB"), (5_000_000_000, "5.0 GB")],
)  # fmt: skip
def test_sizes_read_like_those_of_file_managers(size: int, said: str) -> None:
    assert human_size(size) == said


DSN = DsnFacts(
    action="failed",
    to="ana@clinic.example",
    postmaster="postmaster@clinic.example",
    reporting_mta="gw.clinic.example",
    clinic="Riverside Clinic",
    phone="+1 555 010 0199",
    message_id="<dsn1@gw.clinic.example>",
    date=NOW,
    arrived=NOW,
    reference="msg_abc",
    recipients=(
        FailedRecipient("pat@mail.example", "5.1.1", original="rfc822;pat+2Bx@mail.example", code=550),
        FailedRecipient("rob@mail.example", "5.2.2"),
    ),
    envid="QQ+2B314159+0D+0AX:y",
    checkpoint="v1; clinic.example; 1; aGFzaA==; c2ln",
)
ORIGINAL = read(
    b"From: Ana <ana@clinic.example>\r\nTo: pat@mail.example, secret@mail.example\r\nSubject: Jane Roe labs\r\n"
    b"Message-ID: <m1@clinic.example>\r\nDate: Mon, 4 Jan 2027 10:00:00 +0000\r\n"
    b"X-Note: MRN 1234567\r\n\r\nJane Roe\r\n"
)


def test_a_dsn_is_what_rfc_3464_says() -> None:
    data = dsn(WORDS, DSN, ORIGINAL)
    message = parsed(data)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    human, machine, original = message.iter_parts()
    assert human.get_content_type() == "text/plain"
    assert "There is no such address" in human.get_content()
    assert "mailbox is full" in human.get_content()
    assert machine.get_content_type() == "message/delivery-status"
    whole, first, second = machine.get_payload()  # type: ignore[misc]
    assert whole["Reporting-MTA"] == "dns; gw.clinic.example"  # type: ignore[index, call-overload]
    assert whole["Original-Envelope-Id"] == "QQ+314159 X:y"  # type: ignore[index, call-overload]
    assert first["Final-Recipient"] == "rfc822; pat@mail.example"  # type: ignore[index, call-overload]
    assert first["Original-Recipient"] == "rfc822;pat+x@mail.example"  # type: ignore[index, call-overload]
    assert (first["Action"], first["Status"]) == ("failed", "5.1.1")  # type: ignore[index, call-overload]
    assert first["Diagnostic-Code"] == "smtp; 550 5.1.1"  # type: ignore[index, call-overload]
    assert second["Status"] == "5.2.2"  # type: ignore[index, call-overload]
    assert original.get_content_type() == "text/rfc822-headers"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["In-Reply-To"] == "<m1@clinic.example>"
    assert message["Sealgate-Checkpoint"] == DSN.checkpoint


def test_a_dsn_brings_back_no_subject_no_body_and_no_other_recipient() -> None:
    data = dsn(WORDS, DSN, ORIGINAL)
    for mark in (b"Jane", b"labs", b"1234567", b"secret@", b"X-Note"):
        assert mark not in data
    assert b"<m1@clinic.example>" in data


def test_a_dsn_never_goes_to_the_null_sender() -> None:
    with pytest.raises(ValueError, match="null sender"):
        dsn(WORDS, replace(DSN, to=""), None)
    with pytest.raises(ValueError, match="status"):
        dsn(WORDS, replace(DSN, recipients=(FailedRecipient("a@b.example", "5.1.1\r\nX: y"),)), None)


def test_an_international_recipient_has_its_own_report_type() -> None:
    data = dsn(WORDS, replace(DSN, recipients=(FailedRecipient("jörg@müller.example", "5.1.1"),)), None)
    assert b"Content-Type: message/global-delivery-status" in data
    assert "Final-Recipient: utf-8; jörg@müller.example".encode() in data


@pytest.mark.parametrize("action", ["failed", "delayed", "relayed"])
def test_every_action_has_words(action: str) -> None:
    status = {"failed": "5.0.0", "delayed": "4.4.1", "relayed": "2.0.0"}[action]
    data = dsn(WORDS, replace(DSN, action=action, recipients=(FailedRecipient("a@b.example", status),)), None)
    assert f"Action: {action}".encode() in data


@pytest.mark.parametrize("status", ["5.1.1", "4.2.2", "5.7.1", "5.7.26", "4.0.0", "5.9.9", "5.4.6", "5.3.4"])
def test_every_status_has_a_sentence(status: str) -> None:
    assert WORDS.say(f"mail.dsn.reason.{reason_key(status)}", clinic="x")


HELD = SenderFacts(
    kind="held",
    to="ana@clinic.example",
    postmaster="postmaster@clinic.example",
    clinic="Riverside, Clinic",
    phone="+1 555 010 0199",
    message_id="<n1@gw.clinic.example>",
    date=NOW,
    sent_at=NOW,
    reference="msg_abc",
    recipients=("pat@mail.example",),
    found=(Found("MRN", "attachment 2 (PDF), page 2"), Found("MRN", "attachment 2 (PDF), page 2")),
    url="https://secure.clinic.example/staff/m/msg_abc",
    in_reply_to="<m1@clinic.example>",
)


def test_a_notice_about_no_single_message_opens_the_staff_pages_and_a_number_is_said_as_everywhere() -> None:
    mail = parsed(sender_notice(WORDS, replace(HELD, kind="digest", found=(), reference="402917")))
    text = " ".join(mail.get_body(("plain",)).get_content().split())  # type: ignore[union-attr]
    assert f"Sign in to the staff pages: {HELD.url}" in text
    assert "Reference: 402 917" in text
    assert "Open the staff pages" in mail.get_body(("html",)).get_content()  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", KINDS)
def test_the_sender_hears_kind_and_place_in_plain_words(kind: str) -> None:
    message = parsed(sender_notice(WORDS, replace(HELD, kind=kind)))
    text = message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    flat = " ".join(text.split())
    assert flat.count("a medical record number in attachment 2 (PDF), page 2") == 1
    assert "pat@mail.example" in flat
    assert "We will never ask for your password." not in flat  # the page behind its link does ask for it
    assert "Nobody will ask for your password by email or phone." in flat
    assert HELD.url in text.splitlines()
    assert max(map(len, text.splitlines())) <= 78
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["In-Reply-To"] == "<m1@clinic.example>"
    assert str(message["From"]) == '"Riverside, Clinic" <postmaster@clinic.example>'
    html = message.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert re.findall(r'href="([^"]*)"', html) == [HELD.url]


def test_a_sender_notice_without_a_page_has_no_link() -> None:
    data = sender_notice(WORDS, replace(HELD, url=""))
    assert b"http" not in data
    assert b"<a " not in data


def test_many_findings_and_recipients_are_cut_with_a_count() -> None:
    found = tuple(Found("SSN", f"attachment {number} (PDF)") for number in range(40))
    data = sender_notice(WORDS, replace(HELD, found=found, recipients=tuple(f"p{n}@mail.example" for n in range(50))))
    text = " ".join(parsed(data).get_body(("plain",)).get_content().split())  # type: ignore[union-attr]
    assert "and 28 more" in text
    assert "and 30 more" in text


def test_places_are_named_by_number_and_type_never_by_name() -> None:
    data = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n"
        b"--b\r\nContent-Type: application/zip; name=roe.zip\r\n\r\nx\r\n"
        b"--b\r\nContent-Type: application/octet-stream; name=roe.pdf\r\n\r\nx\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: text/plain\r\n\r\ny\r\n"
        b"--b\r\nContent-Type: application/x-thing; name=roe.thing\r\n\r\nx\r\n--b--\r\n"
    )
    message = read(data)
    said = {path: place(WORDS, message, path) for path in [None, (1,), (2,), (3,), (4,), (4, 1), (5,)]}
    assert said == {
        None: "the subject",
        (1,): "the message text",
        (2,): "attachment 1 (ZIP archive)",
        (3,): "attachment 2 (PDF)",
        (4,): "attachment 3 (message)",
        (4, 1): "attachment 3 (message)",
        (5,): "attachment 4",
    }
    assert place(WORDS, message, (3,), "page 2") == "attachment 2 (PDF), page 2"


@given(st.text(max_size=200))
def test_a_subject_reads_the_same_after_encoding(text: str) -> None:
    wanted = " ".join(text.split())
    raw = compose.header("Subject", text)
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    if "\ufffd" not in wanted and not any(0xD800 <= ord(letter) <= 0xDFFF for letter in wanted):
        assert read(raw + b"\r\n").subject == wanted
    assert len(read(raw + b"\r\n").headers) == 1


def test_trace_lines_are_fields_and_carry_nothing_foreign() -> None:
    top = received("evil\r\nX: y", "2001:db8::1", "gw.example", "ESMTPSA", "q1", NOW) + trace("node-1", "q1")
    message = read(top + b"Received: by x\r\n" + b"\r\n")
    assert len(message.all("received")) == 2
    assert [str(value) for value in message.all(TRACE)] == ["node-1; q1"]
    assert b"[IPv6:2001:db8::1]" in top
    assert b"\r\nX: y" not in top
    assert not message.malformed


def test_the_page_around_a_notice_reads_in_light_and_dark() -> None:
    shown = page("a <b>", "inner")
    assert "prefers-color-scheme: dark" in shown
    assert "<title>a &lt;b&gt;</title>" in shown
