"""Rewriting: exact suffixes, sealed parts gone, the block first in every alternative, nothing else touched."""

from __future__ import annotations

import base64
import binascii
import email
import email.policy
from datetime import datetime
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mail.notices import NoticeFacts, attachment_block
from gateway.mail.rewrite import (
    NoticeBlock,
    Range,
    Unrewritable,
    as_is,
    render,
    seal_attachments,
    total,
)
from gateway.mail.source import BytesSource
from gateway.words import language

from .test_scan import mails, read

TOP = b"Received: from a.example ([192.0.2.1])\r\n\tby gw.example with ESMTPS id q1; Mon, 4 Jan 2027 10:00:00 +0000\r\n"
URL = "https://secure.clinic.example/m/" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7"
FACTS = NoticeFacts(
    clinic="Clínica Río",
    recipient="pat@mail.example",
    url=URL,
    files=2,
    size_bytes=3_400_000,
    until=datetime(2027, 2, 20, 11, 3, tzinfo=ZoneInfo("America/Chicago")),
    phone="+1 555 010 0199",
    sender="Dr. Ana Reyes",
)
BLOCK = attachment_block(language(), FACTS)


def rendered(data: bytes, pieces: tuple[object, ...]) -> bytes:
    out = b"".join(render(BytesSource(data), pieces))  # type: ignore[arg-type]
    assert total(pieces) == len(out)  # type: ignore[arg-type]
    return out


def sealed(data: bytes, *removed: tuple[int, ...], subject: str | None = None, block: NoticeBlock = BLOCK) -> bytes:
    source = BytesSource(data)
    return rendered(data, seal_attachments(read(data), source, removed, block, TOP, subject))


def parsed(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=email.policy.SMTP)
    assert isinstance(message, EmailMessage)
    for entity in message.walk():
        assert entity.defects == []
    return message


@given(st.binary(max_size=400) | mails)
def test_as_is_ends_with_exactly_the_original_whatever_its_bytes(data: bytes) -> None:
    out = rendered(data, as_is(read(data), TOP))
    assert out == TOP + data
    assert rendered(data, as_is(read(data), b"")) == data


def test_lines_on_top_must_be_whole() -> None:
    with pytest.raises(ValueError, match="whole lines"):
        as_is(read(b"Subject: x\r\n\r\n"), b"Received: x")


PDF = b"%PDF-1.7 Jane Roe MRN 1234567"


def mixed(*bodies: bytes, name: bytes = b"roe_labs.pdf", extra: bytes = b"") -> bytes:
    pdf = (
        b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment; filename="' + name + b'"\r\n\r\n' + base64.b64encode(PDF)
    )
    parts = [*bodies, pdf]
    return (
        b"From: Dr. Ana Reyes <ana@clinic.example>\r\nTo: pat@mail.example\r\nSubject: your labs\r\n"
        b"Bcc: hidden@mail.example\r\nMessage-ID: <m1@clinic.example>\r\nReferences: <m0@mail.example>\r\n"
        + extra
        + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=out\r\n\r\n"
        + b"".join(b"--out\r\n" + one + b"\r\n" for one in parts)
        + b"--out--\r\n"
    )


def text_part(text: str, name: str, encoding: str, kind: str = "plain", more: str = "") -> bytes:
    raw = text.replace("\n", "\r\n").encode(name)
    if encoding == "base64":
        raw = binascii.b2a_base64(raw, newline=False)
        raw = b"\r\n".join(raw[at : at + 76] for at in range(0, len(raw), 76))
    elif encoding == "quoted-printable":
        raw = binascii.b2a_qp(raw, istext=True).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    head = f"Content-Type: text/{kind}; charset={name}{more}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + raw


ORIGINAL = "Dear Ms. Roe,\n\nhere is what we spoke of. Grüße\n"
PAGE = (
    "<!DOCTYPE html>\n<html><head><style>body > p { color: red }</style><!-- <body> is not here --></head>\n"
    "<body class='a>b' bgcolor=\"#fff\"><p>Dear Ms. Roe, grüße</p></body></html>\n"
)
COMBINATIONS = [
    ("utf-8", "base64"),
    ("utf-8", "quoted-printable"),
    ("utf-8", "8bit"),
    ("iso-8859-1", "base64"),
    ("iso-8859-1", "quoted-printable"),
    ("iso-8859-1", "8bit"),
    ("windows-1252", "quoted-printable"),
    ("iso-8859-15", "8bit"),
    ("utf-16", "base64"),
    ("utf-16-le", "base64"),
]


@pytest.mark.parametrize(("name", "encoding"), COMBINATIONS)
@pytest.mark.parametrize("shift", range(4))
def test_the_block_stands_first_in_plain_text_in_its_own_charset(name: str, encoding: str, shift: int) -> None:
    text = "x" * shift + ORIGINAL
    data = mixed(text_part(text, name, encoding))
    out = sealed(data, (2,))
    if name == "utf-16-le":
        part = read(out).root.children[0]
        shown = b"".join(render(BytesSource(out), [Range(part.body_start, part.body_stop)]))
        body = base64.b64decode(shown).decode("utf-16-le")
    else:
        body = parsed(out).get_body().get_content()  # type: ignore[union-attr]
    body = body.replace("\r\n", "\n").removeprefix("\ufeff")
    assert body.endswith(text if encoding == "base64" else text.rstrip("\n") + "\n")
    head = body[: body.index(text.strip("\n"))]
    assert f"\n{URL}\n" in head
    assert "\ufffd" not in body
    assert "Clínica Río" in head
    assert "2 files (3.4 MB)" in head
    assert head.startswith("-" * 60)


@pytest.mark.parametrize(("name", "encoding"), COMBINATIONS[:8])
@pytest.mark.parametrize("shift", range(4))
def test_the_block_stands_right_after_the_body_tag_in_html(name: str, encoding: str, shift: int) -> None:
    page = " " * shift + PAGE
    data = mixed(text_part(page, name, encoding, "html"))
    body = parsed(sealed(data, (2,))).get_body().get_content().replace("\r\n", "\n")  # type: ignore[union-attr]
    before, after = page.split('bgcolor="#fff">')
    assert body.startswith(before + 'bgcolor="#fff"><table')
    assert body.rstrip("\n").endswith(after.rstrip("\n"))
    assert body.count("href=") == 1
    assert f'href="{URL}"' in body
    assert body.index(URL) < body.index("Dear Ms. Roe")


def test_seven_bit_text_stays_seven_bit() -> None:
    data = mixed(b"Content-Type: text/plain\r\n\r\nhello")
    out = sealed(data, (2,))
    assert out.isascii()
    assert b"Clinica Rio" in out
    assert b"\r\n" + URL.encode() + b"\r\n" in out


def test_flowed_text_is_stuffed_and_does_not_flow_into_the_block() -> None:
    block = NoticeBlock("From here on\n> not a quote\n one\nends \n" + URL, "<p></p>", URL)
    data = mixed(text_part("hello \nworld\n", "utf-8", "8bit", more="; format=flowed"))
    out = sealed(data, (2,), block=block)
    assert b"\r\n From here on\r\n > not a quote\r\n  one\r\nends\r\n" in out
    assert b"hello \r\nworld" in out


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300),
    st.sampled_from(["base64", "quoted-printable", "8bit"]),
    st.integers(min_value=0, max_value=80),
    st.booleans(),
)
def test_the_old_text_follows_the_block_unchanged(text: str, encoding: str, shift: int, html: bool) -> None:
    text = ("<body>" if html else "") + "a" * shift + text.replace("<", "").replace("--out", "")
    data = mixed(text_part(text, "utf-8", encoding, "html" if html else "plain"))
    out = sealed(data, (2,))
    message = read(out)
    part = message.root.children[0]
    raw = out[part.body_start : part.body_stop]
    if encoding == "base64":
        raw = base64.b64decode(raw)
    elif encoding == "quoted-printable":
        raw = binascii.a2b_qp(raw)
        assert max(map(len, out[part.body_start : part.body_stop].split(b"\r\n"))) <= 78
    body = raw.decode()
    assert body.startswith("<body>" if html else "-" * 60)
    assert body.endswith(text.removeprefix("<body>") if html else text)


def test_both_alternatives_get_the_block_and_the_rest_stays() -> None:
    alternative = (
        b"Content-Type: multipart/alternative; boundary=in\r\n\r\n--in\r\n"
        + text_part(ORIGINAL, "utf-8", "quoted-printable")
        + b"\r\n--in\r\n"
        + text_part(PAGE, "utf-8", "8bit", "html")
        + b"\r\n--in\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\n"
        + b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n--in--\r\n"
    )
    out = sealed(mixed(alternative), (2,))
    message = parsed(out)
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == ["multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/calendar"]
    assert out.count(b"a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7") == 2
    assert b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n--in--" in out


def test_a_removed_part_leaves_no_byte_and_no_name_behind() -> None:
    extra = b"X-Attachments: roe_labs.pdf\r\nX-Other: J. Roe\r\nThread-Topic: Your LABS\r\n"
    extra += b"Keywords: blood\r\nX-Mailer: stays\r\n"
    data = mixed(text_part(ORIGINAL, "utf-8", "8bit"), extra=extra)
    out = sealed(data, (2,), subject="[Clínica Río] sent you a secure message")
    for mark in (
        b"roe_labs",
        base64.b64encode(PDF)[:20],
        b"application/pdf",
        b"your labs",
        b"Your LABS",
        b"blood",
        b"hidden@",
    ):
        assert mark not in out
    message = parsed(out)
    assert message["Subject"] == "[Clínica Río] sent you a secure message"
    assert message["X-Mailer"] == "stays"
    assert message["X-Other"] is None
    assert message["Message-ID"] == "<m1@clinic.example>"
    assert out.startswith(TOP + b"From: Dr. Ana Reyes <ana@clinic.example>\r\n")


def test_without_a_new_subject_the_old_one_stays_as_it_was() -> None:
    assert b"\r\nSubject: your labs\r\n" in sealed(mixed(text_part("x", "utf-8", "8bit")), (2,))


def test_only_the_subject_can_be_sealed() -> None:
    out = sealed(mixed(text_part("x", "utf-8", "8bit")), subject="neutral")
    assert b"your labs" not in out
    assert parsed(out)["Subject"] == "neutral"
    assert b"roe_labs.pdf" in out
    assert URL.encode() in out


def test_untouched_parts_are_copied_byte_for_byte() -> None:
    odd = b'Content-Type:   image/PNG ;\r\n\tname = "logo.png"\r\nX-Odd:  kept \r\n\r\n\xff\xfe odd \r\nbytes'
    data = mixed(text_part("x", "utf-8", "8bit"), odd)
    out = sealed(data, (3,))
    assert b"--out\r\n" + odd + b"\r\n--out--\r\n" in out


@pytest.mark.parametrize("which", [(2,), (3,), (4,)])
def test_removing_one_of_several_leaves_the_others(which: tuple[int, ...]) -> None:
    files = [b"Content-Type: application/octet-stream\r\n\r\nfile-%d" % number for number in (2, 3)]
    out = sealed(mixed(text_part("x", "utf-8", "8bit"), *files), which)
    left = {b"file-2": (2,), b"file-3": (3,), base64.b64encode(PDF): (4,)}
    for mark, path in left.items():
        assert (mark in out) == (path != which)
    assert len(parsed(out).get_payload()) == 3


def test_a_message_without_text_gets_one() -> None:
    out = sealed(mixed(), (1,))
    message = parsed(out)
    assert [part.get_content_type() for part in message.walk()] == ["multipart/mixed", "text/plain"]
    assert URL in message.get_body().get_content()  # type: ignore[union-attr]


def test_a_message_that_is_one_file_becomes_text_and_html() -> None:
    data = (
        b"From: scanner@clinic.example\r\nSubject: scan\r\nContent-Type: application/pdf; name=roe.pdf\r\n"
        b"Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=roe.pdf\r\n\r\n"
        + base64.b64encode(PDF)
    )
    out = sealed(data, ())
    message = parsed(out)
    assert message.get_content_type() == "multipart/alternative"
    assert message["From"] == "scanner@clinic.example"
    assert message["MIME-Version"] == "1.0"
    assert b"roe" not in out
    assert base64.b64encode(PDF) not in out
    assert out.count(URL.encode()) == 2


def test_an_encoding_that_some_readers_do_not_know_is_said_anew_where_the_link_is_put() -> None:
    body = b"Content-Transfer-Encoding: utf-8\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n%b--b\r\n" % body
    data += b"Content-Type: application/pdf\r\n\r\n%PDF\r\n--b--\r\n"
    out = sealed(data, (2,))
    assert b"Content-Transfer-Encoding: 8bit\r\nContent-Type: text/plain" in out
    assert b"utf-8\r\nContent-Type" not in out
    assert URL in str(parsed(out).get_body(("plain",)))


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_in_wide_pages_the_block_stands_behind_the_body_tag_too(charset: str) -> None:
    page = "<html><head><title>Žluťoučký 𠀀 kůň</title></head><body>Hello 𠀀</body></html>"
    coded = base64.encodebytes(page.encode(charset)).replace(b"\n", b"\r\n")
    top = f"Content-Type: text/html; charset={charset}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()
    data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n%b%b\r\n--b\r\n" % (top, coded)
    out = sealed(data + b"Content-Type: application/pdf\r\n\r\n%PDF\r\n--b--\r\n", (2,))
    html = email.message_from_bytes(out).get_payload(0).get_payload(decode=True).decode(charset)  # type: ignore[union-attr]
    before, after = page.split("Hello")
    assert html.startswith(before + "<table")
    assert html.rstrip(" ").endswith("Hello" + after)
    assert URL in html


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-32", "cp037"])
@pytest.mark.parametrize("encoding", ["", "Content-Transfer-Encoding: 8bit\r\n", "Content-Transfer-Encoding: 7bit\r\n"])
@pytest.mark.parametrize("kind", ["plain", "html"])
def test_no_words_of_ours_go_where_their_line_ends_would_be_none(charset: str, encoding: str, kind: str) -> None:
    top = f"Content-Type: text/{kind}; charset={charset}\r\n{encoding}\r\n".encode()
    data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n%bhello there\r\n--b\r\n" % top
    with pytest.raises(Unrewritable, match="letters"):
        sealed(data + b"Content-Type: application/pdf\r\n\r\n%PDF\r\n--b--\r\n", (2,))


@pytest.mark.parametrize("charset", ["utf-16", "utf-32"])
@pytest.mark.parametrize("body", [b"", b"====", b"hello there", "\u4f60\u597d".encode("utf-16-le")], ids=repr)
def test_no_words_of_ours_go_among_letters_whose_order_nothing_tells(charset: str, body: bytes) -> None:
    top = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()
    coded = body if body.startswith(b"=") else base64.encodebytes(body).replace(b"\n", b"\r\n")
    data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n%b%b\r\n--b\r\n" % (top, coded)
    with pytest.raises(Unrewritable, match="order"):
        sealed(data + b"Content-Type: application/pdf\r\n\r\n%PDF\r\n--b--\r\n", (2,))


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_the_first_letter_tells_the_order_where_no_mark_does(name: str) -> None:
    charset = name[:6]
    top = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()
    coded = base64.encodebytes("Hello \u4f60".encode(name)).replace(b"\n", b"\r\n")
    data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n%b%b\r\n--b\r\n" % (top, coded)
    out = sealed(data + b"Content-Type: application/pdf\r\n\r\n%PDF\r\n--b--\r\n", (2,))
    text = email.message_from_bytes(out).get_payload(0).get_payload(decode=True).decode(name)  # type: ignore[union-attr]
    assert URL in text
    assert text.endswith("Hello \u4f60")
