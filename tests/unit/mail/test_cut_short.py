"""Mail whose headers stop early: parts within parts, and a notice that is read as words and not as a header.

All of these were found by `tests/fuzz`. RFC 2046 5.1.1: the line end before a delimiter is the delimiter's.
"""

from __future__ import annotations

import time

import pytest

from gateway.mail import compose
from gateway.mail.decode import decoded
from gateway.mail.rewrite import Unrewritable
from gateway.mail.source import BytesSource

from .test_rewrite import TOP, URL, mixed, sealed
from .test_scan import part, read

PDF = b"Content-Type: application/pdf; name=a.pdf\r\n"


def test_a_header_cut_short_by_a_delimiter_leaves_it_its_line_end() -> None:
    data = mixed(b"Content-Type: message/rfc822\r\n\r\nSubject: cut")
    cut = part(read(data), 1, 1)
    assert data[cut.start : cut.header_stop] == b"Subject: cut"
    assert (cut.body_start, cut.body_stop) == (cut.header_stop, cut.header_stop)
    assert part(read(data), 1).body_stop == cut.body_stop


def test_an_empty_body_lies_within_the_message_that_holds_it() -> None:
    data = mixed(b"Content-Type: message/rfc822\r\n\r\n" + PDF)
    empty = part(read(data), 1, 1)
    assert empty.body_start == empty.body_stop == part(read(data), 1).body_stop
    assert data[empty.body_stop :].startswith(b"\r\n--out\r\n")


@pytest.mark.parametrize("body", [b"", b"\r\n"], ids=["at-once", "after-a-line"])
def test_an_empty_file_in_a_forwarded_mail_is_replaced_and_the_next_part_stays_one(body: bytes) -> None:
    data = mixed(b"Content-Type: text/plain\r\n\r\nsee below", b"Content-Type: message/rfc822\r\n\r\n" + PDF + body)
    again = read(sealed(data, (2, 1)))
    assert [one.content_type for one in again.parts()] == [
        "multipart/mixed", "text/plain", "message/rfc822", "text/plain", "application/pdf",
    ]  # fmt: skip
    assert not again.ambiguous


@pytest.mark.parametrize(
    "data",
    [
        b"From: a@b.example\r\nSubject: Jane Roe\r\n",
        b"From: a@b.example\r\nSubject: Jane Roe\r\nContent-Transfer-Encoding: base64\r\n",
        b"Subject: Jane Roe\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n",
        mixed(b"Content-Type: text/plain\r\n"),
    ],
    ids=["only-a-header", "in-base64", "in-quoted-printable", "a-part-without-a-body"],
)
def test_the_notice_in_a_mail_without_a_body_becomes_its_body(data: bytes) -> None:
    again = read(sealed(data, subject="neutral"))
    shown = again.visible()[0]
    assert not again.ambiguous
    assert again.subject == "neutral"
    assert shown.body_start > shown.header_stop
    source = BytesSource(sealed(data, subject="neutral"))
    assert URL.encode() in b"".join(decoded(source, shown))


@pytest.mark.parametrize("data", [b"Subject: Jane Roe", b"Subject: x\r\nBcc: z@b.example"], ids=["subject", "bcc"])
def test_a_header_that_stops_within_a_line_is_not_edited(data: bytes) -> None:
    with pytest.raises(Unrewritable):
        sealed(data, subject="neutral")


INNER = b"Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\nContent-Type: text/html\r\n\r\nhello\r\n--in"


def test_a_part_that_a_delimiter_from_further_out_follows_at_once_shares_its_line_end() -> None:
    data = mixed(INNER)
    message = read(data)
    around, empty = part(message, 1), part(message, 1, 2)
    assert empty.start == empty.body_stop == data.index(b"\r\n--out\r\n", around.start) + 2
    assert around.body_stop == empty.start - 2
    assert [one.id for one in message.parts()] == ["0", "1", "1.1", "1.2", "2"]
    assert not message.ambiguous


@pytest.mark.parametrize("gone", [((1, 1),), ((1, 2),), ((2,),)], ids=["beside-it", "itself", "behind-it"])
def test_beside_such_a_part_a_mail_is_edited_and_reads_as_meant(gone: tuple[tuple[int, ...], ...]) -> None:
    data = mixed(INNER)
    out = sealed(data, *gone)
    again = read(out)
    assert not again.ambiguous
    left = "0 1 1.1 1.2" if gone == ((2,),) else "0 1 1.1 2"
    assert " ".join(one.id for one in again.parts()) == left
    source = BytesSource(out)
    assert URL.encode() in b"".join(decoded(source, again.visible()[0]))


def test_the_link_stays_where_an_empty_part_is_followed_by_nothing_that_stays() -> None:
    inner = b"Content-Type: multipart/alternative; boundary=in\r\n\r\n--in"
    data = mixed(inner).removesuffix(b"\r\n--out--\r\n")
    out = sealed(data, (2,))
    again = read(out)
    assert [one.id for one in again.parts()] == ["0", "1", "1.1"]
    assert not again.ambiguous
    assert URL.encode() in b"".join(decoded(BytesSource(out), part(again, 1, 1)))


def test_an_attached_message_that_a_delimiter_follows_at_once_stays_as_it_was() -> None:
    data = mixed(b"Content-Type: message/rfc822\r\n").removesuffix(b"\r\n--out--\r\n")
    out = sealed(data, (2,))
    old, new = part(read(data), 1), part(read(out), 2)
    assert out[new.start : new.body_stop] == data[old.start : old.body_stop] == b"Content-Type: message/rfc822\r\n"


@pytest.mark.parametrize("last", [b"", PDF], ids=["at-the-end", "before-another"])
def test_a_multipart_whose_header_is_cut_short_can_be_read_in_two_ways(last: bytes) -> None:
    data = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n" + PDF + b"\r\nPDF\r\n--a\r\n"
    data += b"Content-Type: multipart/mixed; boundary=b\r\n" + (b"--a\r\n" + last if last else b"")
    assert {"headers-cut", "boundary-unused"} <= set(part(read(data), 2).flags)
    with pytest.raises(Unrewritable, match="ambiguous"):
        sealed(data, (1,))


@pytest.mark.parametrize("kind", [b"mixed", b"digest"])
def test_a_mail_that_stops_within_a_delimiter_line_is_not_edited(kind: bytes) -> None:
    data = b"Content-Type: multipart/" + kind + b"; boundary=a\r\n\r\n--a\r\n" + PDF + b"\r\nPDF\r\n--a"
    with pytest.raises(Unrewritable, match="line end"):
        sealed(data, (1,))
    with pytest.raises(Unrewritable, match="line end"):
        sealed(data, (2,), subject="neutral")
    assert not read(sealed(data + b"\r\n", (1,))).ambiguous


@pytest.mark.parametrize(
    "data",
    [
        b"Content-Type: multipart/digest; boundary=a\r\n\r\n--a\r\nSubject: x",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: message/rfc822\r\n",
    ],
    ids=["in-a-digest", "in-a-multipart"],
)
def test_an_attached_message_whose_header_nothing_ends_is_not_edited(data: bytes) -> None:
    message = read(data)
    empty = next(one for one in message.parts() if not one.children)
    assert not message.ambiguous
    assert empty.start == empty.body_stop == len(data)
    with pytest.raises(Unrewritable, match="without a beginning"):
        sealed(data, empty.path)
    assert not read(sealed(data + b"\r\n\r\n", empty.path)).ambiguous


def test_an_empty_body_in_base64_gets_the_line_ends_of_the_mail() -> None:
    data = mixed(b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n").replace(b"\r\n", b"\n")
    out = sealed(data, (2,)).removeprefix(TOP)
    assert b"\r" not in out
    assert URL.encode() in b"".join(decoded(BytesSource(out), read(out).visible()[0]))


def test_a_mail_that_stops_within_its_last_delimiter_line_is_edited() -> None:
    data = mixed(b"Content-Type: text/plain\r\n\r\nhello").removesuffix(b"\r\n")
    assert data.endswith(b"--out--")
    assert not read(sealed(data, (2,))).ambiguous


@pytest.mark.parametrize("gone", [((3,),), ((2,), (3,)), ((2,),)], ids=["last", "last-two", "not-the-last"])
def test_in_a_multipart_without_an_end_the_part_that_stays_is_as_it_was(gone: tuple[tuple[int, ...], ...]) -> None:
    parts = [b"Content-Type: text/plain\r\n\r\nhello", b"Content-Type: image/png\r\n\r\nPNG\r\n", PDF + b"\r\nPDF"]
    data = mixed(*parts).partition(b"\r\n--out\r\nContent-Type: application/pdf\r\n")[0]
    assert "unclosed" in read(data).flags
    out = sealed(data, *gone)
    again, kept = read(out), [path for path in ((1,), (2,), (3,)) if path not in gone]
    assert len(again.root.children) == len(kept)
    for number, path in enumerate(kept, start=1):
        old, new = part(read(data), *path), part(again, number)
        assert out[new.body_start : new.body_stop].endswith(data[old.body_start : old.body_stop])


def test_text_of_ours_holds_no_lone_carriage_return() -> None:
    assert compose.body("one\rtwo\r\nthree\n\r")[1] == b"one\r\ntwo\r\nthree\r\n\r\n"


@pytest.mark.parametrize(
    "value", ["<a@b.example>\nBcc: c@d.example", "a\r\n b", "a\rb", "a\0b", "a\n", "a\n \n b", "a\n "]
)
def test_a_field_of_ours_that_would_hold_a_line_is_not_written(value: str) -> None:
    with pytest.raises(ValueError, match="several lines"):
        compose.structured("To", value)
    assert compose.structured("To", "<a@b.example>,\n <c@d.example>") == b"To: <a@b.example>,\r\n <c@d.example>\r\n"


def test_headers_without_end_are_not_searched_again_for_each_part() -> None:
    data = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\n" * 200_000
    before = time.process_time()
    assert "limit" in read(data).flags
    assert time.process_time() - before < 5.0  # it was 13 s, and is a fifth of one
