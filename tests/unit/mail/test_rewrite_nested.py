"""Rewriting inside attached messages, and where it is refused."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mail import charset, html_place, rewrite
from gateway.mail.model import Part
from gateway.mail.notices import attachment_block, neutral_subject, secure_words
from gateway.mail.pieces import Edit, Literal, apply
from gateway.mail.rewrite import (
    NoticeBlock,
    Range,
    Unrewritable,
    seal_attachments,
    secure_notice,
)
from gateway.mail.source import BytesSource, Source
from gateway.words import language

from .test_rewrite import FACTS, PDF, TOP, URL, mixed, parsed, rendered, sealed, text_part
from .test_scan import mails, read


def _forwarded(inner: bytes) -> bytes:
    return mixed(text_part("see below", "utf-8", "8bit"), b"Content-Type: message/rfc822\r\n\r\n" + inner)


def test_a_file_inside_a_forwarded_message_is_removed_there() -> None:
    inner = mixed(text_part("inner text", "utf-8", "8bit")).replace(b"out", b"deep")
    out = sealed(_forwarded(inner), (2, 1, 2))
    message = parsed(out)
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed", "text/plain", "message/rfc822", "multipart/mixed", "text/plain", "application/pdf",
    ]  # fmt: skip
    assert out.count(base64.b64encode(PDF)) == 1
    assert b"inner text" in out


def test_a_forwarded_message_never_ends_up_without_a_part() -> None:
    inner = mixed(name=b"inner_file.pdf").replace(b"out", b"deep")
    message = parsed(sealed(_forwarded(inner), (2, 1, 1), (3,)))
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed", "text/plain", "message/rfc822", "multipart/mixed", "text/plain",
    ]  # fmt: skip
    alone = b"Subject: fwd\r\nContent-Type: application/pdf; name=inner.pdf\r\n\r\nPDFPDF"
    out = sealed(_forwarded(alone), (2, 1))
    assert b"PDFPDF" not in out
    assert b"inner.pdf" not in out
    assert parsed(out).get_payload()[1].get_payload()[0]["Subject"] == "fwd"  # type: ignore[index, union-attr]


def test_a_nested_multipart_that_would_be_empty_goes_too() -> None:
    nested = b"Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\nContent-Type: image/png\r\n\r\nPNG\r\n--in--"
    out = sealed(mixed(text_part("x", "utf-8", "8bit"), nested), (2, 1))
    assert b"PNG" not in out
    assert [part.get_content_type() for part in parsed(out).walk()] == [
        "multipart/mixed", "text/plain", "application/pdf",
    ]  # fmt: skip


SIGNED = (
    b'Content-Type: multipart/signed; boundary=sig; protocol="application/pgp-signature"\r\n\r\n'
    b"--sig\r\nContent-Type: text/plain\r\n\r\nsigned words\r\n"
    b"--sig\r\nContent-Type: application/pgp-signature\r\n\r\nSIG\r\n--sig--\r\n"
)


def test_nothing_inside_a_signed_part_is_ever_edited() -> None:
    data = mixed(SIGNED)
    for path in ((1, 1), (1, 2)):
        with pytest.raises(Unrewritable):
            sealed(data, path)
    out = sealed(data, (2,))
    assert SIGNED in out
    assert [part.get_content_type() for part in parsed(out).walk()][:3] == [
        "multipart/mixed", "text/plain", "multipart/signed",
    ]  # fmt: skip
    with pytest.raises(Unrewritable):
        sealed(b"From: a@b.example\r\n" + SIGNED, (2,))


def test_ambiguous_mail_and_unknown_parts_are_not_edited() -> None:
    with pytest.raises(Unrewritable):
        sealed(b"Subject: twice\r\n" + mixed(), (1,))
    with pytest.raises(Unrewritable):
        sealed(mixed(), (7,))
    with pytest.raises(Unrewritable):
        sealed(mixed())


@given(mails, st.lists(st.lists(st.integers(1, 3), max_size=3).map(tuple), min_size=1, max_size=3))
def test_editing_any_bytes_works_or_says_that_it_does_not(data: bytes, removed: list[tuple[int, ...]]) -> None:
    message = read(data)
    gone = [part for part in message.parts() if part.path in removed]
    try:
        out = sealed(data, *removed)
    except Unrewritable:
        return
    again = read(out)
    assert URL.encode() in out or any(part.encoding for part in again.parts())
    if not message.malformed and not any(part.path == () for part in gone):
        assert len(list(again.parts())) <= len(list(message.parts())) + 2


def test_line_feeds_alone_stay_line_feeds() -> None:
    data = mixed(text_part("x\n", "utf-8", "8bit")).replace(b"\r\n", b"\n")
    assert b"\r" not in sealed(data, (2,)).removeprefix(TOP)


@pytest.mark.parametrize(
    ("page", "before"),
    [
        (b"<html><body>x", b"<html><body>"),
        (b"<HTML>\n<BODY a='>' b=\">\">x", b"<HTML>\n<BODY a='>' b=\">\">"),
        (b"<!-- <body> --><body>x", b"<!-- <body> --><body>"),
        (b"<html><head><title><body></title></head>x", b"<html><head><title><body></title></head>"),
        (b"<style><body></style><body>x", b"<style><body></style><body>"),
        (b"<!DOCTYPE html><p>x", b"<!DOCTYPE html>"),
        (b"plain words <body>", b""),
        (b"<div>x</div><body>", b""),
        (b"<html><o:p></o:p><meta x><body>x", b"<html><o:p></o:p><meta x><body>"),
        (b"<!-- never closed <body>", b""),
        (b"<html a='never closed <body>", b""),
        (b"", b""),
    ],
)
def test_the_place_in_html_is_before_everything_that_shows(page: bytes, before: bytes) -> None:
    assert page[: html_place.body_start(page)] == before


@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from([b"<", b"!--", b"-->", b"body", b">", b"'", b"head", b"</"])).map(b"".join)
)
def test_a_place_in_html_is_found_in_any_bytes(page: bytes) -> None:
    assert 0 <= html_place.body_start(page) <= len(page)


def test_secure_notice_keeps_the_thread_and_nothing_else() -> None:
    extra = (
        b"Cc: other@mail.example\r\nDate: Mon, 4 Jan 2027 10:00:00 +0000\r\nIn-Reply-To: <m0@mail.example>\r\n"
        b"Reply-To: desk@clinic.example\r\nX-Note: Jane Roe\r\nReceived: from pc for <hidden@mail.example>\r\n"
        b"Sealgate-Trace: node-1; q0\r\nDKIM-Signature: v=1; bh=abc\r\n"
    )
    data = mixed(text_part("Jane Roe, MRN 1234567", "utf-8", "8bit"), extra=extra)
    words = secure_words(language(), FACTS)
    message = read(data)
    out = rendered(data, secure_notice(message, words, TOP, neutral_subject(language(), "Clínica Río")))
    notice = parsed(out)
    assert notice["Subject"] == "[Clínica Río] sent you a secure message"
    for name in ("From", "To", "Cc", "Date", "Message-ID", "In-Reply-To", "References", "Reply-To", "Sealgate-Trace"):
        assert notice[name] == parsed(data)[name], name
    for mark in (b"Jane", b"1234567", b"roe_labs", b"hidden", b"bh=", b"your labs", b"%PDF"):
        assert mark not in out
    assert [part.get_content_type() for part in notice.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    kept = rendered(data, secure_notice(message, words, TOP, None))
    assert parsed(kept)["Subject"] == "your labs"


def test_a_notice_leaves_out_the_names_beside_addresses() -> None:
    named = b"Lopez Maria MRN 123 oncology"
    data = (
        b"From: " + named + b' <a@clinic.example>\r\nTo: "' + named + b'" <b@mail.example>,\r\n'
        b" c@mail.example (" + named + b")\r\nCc: " + named + b": d@mail.example;\r\nReply-To: " + named + b"\r\n"
        b"Sender: " + named + b" <e@clinic.example>\r\nSubject: s\r\n\r\nhi\r\n"
    )
    words = secure_words(language(), FACTS)
    out = rendered(data, secure_notice(read(data), words, b"", "neutral", sender_shown=False))
    assert b"Lopez" not in out
    assert b"oncology" not in out
    notice = parsed(out)
    assert notice["From"] == "a@clinic.example"
    assert notice["To"] == "b@mail.example, c@mail.example"
    assert (notice["Cc"], notice["Sender"], notice["Reply-To"]) == ("d@mail.example", "e@clinic.example", None)
    assert named in rendered(data, secure_notice(read(data), words, b"", "neutral")).partition(b"\r\nTo:")[0]
    block = attachment_block(language(), FACTS)
    source = BytesSource(data)
    sealed = rendered(data, seal_attachments(read(data), source, (), block, b"", "neutral", sender_shown=False))
    assert b"Lopez" not in sealed
    assert b"To: b@mail.example" in sealed


@given(mails)
def test_a_notice_can_be_made_for_any_bytes(data: bytes) -> None:
    words = secure_words(language(), FACTS)
    out = rendered(data, secure_notice(read(data), words, b"", "neutral"))
    again = read(out)
    assert [part.content_type for part in again.parts()] == ["multipart/alternative", "text/plain", "text/html"]
    assert again.subject == "neutral"


def test_edits_that_cross_are_refused() -> None:
    with pytest.raises(ValueError, match="cross"):
        apply(10, [Edit(0, 5), Edit(3, 8)])
    assert apply(10, [Edit(0, 8), Edit(3, 5), Edit(0, 8)]) == (Range(8, 10),)


@pytest.mark.parametrize("ours", [Edit(3, 3, b"x"), Edit(3, 5, b"x"), Edit(0, 7, b"x"), Edit(0, 8, b"x")])
def test_no_bytes_of_ours_are_lost_in_a_range_that_is_taken_out(ours: Edit) -> None:
    with pytest.raises(ValueError, match="taken out"):
        apply(10, [Edit(0, 8, b"y"), ours])


@pytest.mark.parametrize("at", [0, 8])
def test_bytes_of_ours_beside_a_range_that_is_taken_out_stay(at: int) -> None:
    assert Literal(b"x") in apply(10, [Edit(0, 8), Edit(at, at, b"x")])


def test_a_link_that_would_stand_in_a_sealed_part_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def misplaced(source: Source, part: Part, block: NoticeBlock, newline: bytes) -> list[Edit]:
        file = part.body_stop + 40  # within the second part, which leaves the mail
        return [Edit(file, file, block.text.encode())]

    data = mixed(text_part("lunch?", "utf-8", "8bit"))
    assert URL.encode() in sealed(data, (2,))
    monkeypatch.setattr(rewrite, "_into_body", misplaced)
    with pytest.raises(rewrite.Unrewritable, match="no place"):
        sealed(data, (2,))


def test_a_mail_of_parts_without_a_byte_has_the_link_or_is_sealed_whole() -> None:
    data = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: message/rfc822\r\n\r\n--a\r\n"
    paths = [part.path for part in read(data).parts()]
    refused = 0
    for choice in range(1, 1 << len(paths)):
        try:
            out = sealed(data, *(path for number, path in enumerate(paths) if choice >> number & 1))
        except rewrite.Unrewritable:
            refused += 1
        else:
            assert URL.encode() in out
    assert 0 < refused < (1 << len(paths)) - 1


def test_charsets_that_are_no_charsets_are_not_used() -> None:
    assert charset.codec("unicode_escape") is None
    assert charset.codec("zip") is None
    assert charset.codec("idna") is None
    assert charset.decode(b"caf\xe9", "nonsense") == "café"
