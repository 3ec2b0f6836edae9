"""The scanner: ranges, flags, chunking independence, no exception on arbitrary bytes."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mail.decode import decoded
from gateway.mail.model import Message, Part
from gateway.mail.scan import Limits, Scanner, scan
from gateway.mail.source import BytesSource

# Pieces that make structure likely, so that the properties meet more than plain text.
_BITS = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r",
        b"--a",
        b"--ab",
        b"--",
        b"-- ",
        b"\r\n--a\r\n",
        b"\r\n--a--\r\n",
        b"\r\n--ab\r\n",
        b"\r\n--ab--\r\n",
        b"\r\n\r\n",
        b"Content-Type: multipart/mixed; boundary=a\r\n",
        b'Content-Type: multipart/alternative; boundary="ab"\r\n',
        b"Content-Type: multipart/digest; boundary=ab\r\n\r\n",
        b"Content-Type: message/rfc822\r\n\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"Content-Type: text/html; charset=utf-16\r\n",
        b"Subject: =?utf-8?b?8J+YgA==?=\r\n",
        b"Content-Disposition: attachment; filename*0*=utf-8''%C3; filename*1=x\r\n",
        b"PGh0bWw+",
        b"=C3=A9=\r\n",
        b"\0",
        b"x" * 1100,
    ]
)
mails = st.lists(st.one_of(_BITS, st.binary(max_size=30)), max_size=40).map(b"".join)


def read(data: bytes) -> Message:
    return scan(BytesSource(data))


def part(message: Message, *path: int) -> Part:
    found = message.part(path)
    assert found is not None
    return found


def content(data: bytes, part: Part) -> bytes:
    return b"".join(decoded(BytesSource(data), part))


NESTED = (
    b"From: A <a@clinic.example>\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="out"\r\n\r\nhidden\r\n'
    b"--out\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n"
    b"--in\r\nContent-Type: text/plain\r\n\r\none\r\n"
    b"--in \r\nContent-Type: text/html\r\n\r\n<p>two\r\n\r\n"
    b"--in--\r\n\r\n"
    b"--out\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Subject: inner\r\nContent-Type: multipart/mixed; boundary=deep\r\n\r\n"
    b"--deep\r\n\r\nthree\r\n--deep\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\nPDF\r\n--deep--\r\n"
    b"\r\n--out--\r\nlast words\r\n"
)


def test_every_part_is_found_with_its_exact_range() -> None:
    message = read(NESTED)
    found = {one.id: NESTED[one.body_start : one.body_stop] for one in message.parts() if not one.children}
    assert found == {"1.1": b"one", "1.2": b"<p>two\r\n", "2.1.1": b"three", "2.1.2": b"PDF"}
    assert [one.kind for one in message.parts()] == [
        "multipart", "multipart", "text", "html", "message", "multipart", "text", "attachment",
    ]  # fmt: skip
    assert message.flags == frozenset()
    for one in message.parts():
        assert NESTED[one.start : one.header_stop] == one.header_block
    root = message.root
    assert NESTED[slice(*root.preamble)] == b"hidden"
    assert NESTED[slice(*root.epilogue)] == b"last words\r\n"
    assert NESTED[root.close_start :].startswith(b"--out--")
    assert part(message, 2, 1, 2).filename == "a.pdf"


@given(mails)
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    message = read(data)
    assert message.size == len(data)
    for one in message.parts():
        assert 0 <= one.delimiter_start <= one.start <= one.header_stop <= one.body_start <= one.body_stop <= len(data)
        content(data, one)
        assert [data[h.raw_start : h.raw_start + len(h.name)] for h in one.headers] == [
            h.name.encode() for h in one.headers
        ]
    message.addresses("from")
    assert isinstance(message.subject, str)
    assert message.visible() is not None
    assert message.attachments() is not None


@given(mails, st.lists(st.integers(min_value=1, max_value=50), max_size=60))
def test_the_result_does_not_depend_on_the_chunks(data: bytes, cuts: list[int]) -> None:
    whole = read(data)
    scanner = Scanner()
    at = 0
    for cut in cuts:
        scanner.feed(data[at : at + cut])
        at += cut
    scanner.feed(data[at:])
    assert scanner.close() == whole
    bytewise = Scanner()
    for index in range(len(data)):
        bytewise.feed(data[index : index + 1])
    assert bytewise.close() == whole


@given(mails, st.integers(min_value=1, max_value=40))
def test_limits_do_not_depend_on_the_chunks(data: bytes, size: int) -> None:
    limits = Limits(depth=2, parts=4, header_bytes=60)
    whole, cut = Scanner(limits), Scanner(limits)
    whole.feed(data)
    for at in range(0, len(data), size):
        cut.feed(data[at : at + size])
    first, second = whole.close(), cut.close()
    assert first.root == second.root
    assert first.defects == second.defects


def _mixed(*parts: bytes, top: bytes = b"", boundary: bytes = b"b") -> bytes:
    head = top + b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n"
    return head + b"".join(b"--b\r\n" + one + b"\r\n" for one in parts) + b"--b--\r\n"


TEXT = b"Content-Type: text/plain\r\n\r\nhello"


@pytest.mark.parametrize(
    ("flag", "data"),
    [
        ("content-type-twice", b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx"),
        ("content-type-twice", _mixed(b"Content-Type: text/plain\r\ncontent-type: application/zip\r\n\r\nx")),
        ("encoding-twice", b"Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n\r\nx"),
        ("disposition-twice", b"Content-Disposition: inline\r\nContent-Disposition: attachment\r\n\r\nx"),
        ("parameter-twice", b"Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n"),
        ("parameter-twice", b"Content-Type: multipart/mixed; boundary=a; boundary*=''b\r\n\r\n--a\r\n\r\nx\r\n--a--"),
        ("parameter-syntax", b"Content-Type: text/plain (really); charset=utf-8\r\n\r\nx"),
        ("parameter-syntax", b'Content-Type: text/plain; charset="utf-8" name=x\r\n\r\nx'),
        ("parameter-syntax", b"Content-Type: application/pdf; name=a b.pdf; charset=utf-8\r\n\r\nx"),
        ("parameter-syntax", b"Content-Type: text/plain; charset=utf-8 (odd)\r\n\r\nx"),
        ("parameter-syntax", b'Content-Type: multipart/mixed; boundary="a\\.b"\r\n\r\n--a.b\r\n\r\nx\r\n--a.b--\r\n'),
        ("parameter-syntax", b"Content-Type: multipart/mixed; boundary=a<b>\r\n\r\n--a<b>\r\n\r\nx\r\n--a<b>--\r\n"),
        ("boundary-odd", b'Content-Type: multipart/mixed; boundary="' + b"b" * 71 + b'"\r\n\r\nx'),
        ("header-syntax", b"From: a@b.example\r\nthis is no field\r\nContent-Type: text/html\r\n\r\nx"),
        ("header-space", b"Content-Type : text/html\r\n\r\nx"),
        ("header-fold", b"Subject: x\r\n \r\nContent-Type: text/html\r\n\r\nx"),
        ("field-twice", b"Subject: a\r\nSubject: b\r\n\r\nx"),
        ("field-twice", b"From: a@b.example\r\nFrom: c@d.example\r\n\r\nx"),
        ("boundary-missing", b"Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"),
        ("boundary-odd", b'Content-Type: multipart/mixed; boundary="b\xc3\xa9"\r\n\r\n--b\xc3\xa9\r\n\r\nx'),
        ("boundary-odd", b'Content-Type: multipart/mixed; boundary="b "\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n'),
        ("boundary-overlap", _mixed(b"Content-Type: multipart/mixed; boundary=bc\r\n\r\n--bc\r\n\r\nx\r\n--bc--")),
        ("boundary-prefix", _mixed(TEXT + b"\r\n--b2\r\nContent-Type: application/zip\r\n\r\nPK")),
        ("boundary-unused", b"Content-Type: multipart/mixed; boundary=other\r\n\r\n" + TEXT),
        ("delimiter-after-close", _mixed(TEXT) + b"--b\r\nContent-Type: application/zip\r\n\r\nPK\r\n--b--\r\n"),
        ("encoding-on-multipart", b"Content-Transfer-Encoding: base64\r\n" + _mixed(TEXT)),
        ("encoding-on-multipart", b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nRnJv"),
        ("encoding-unknown", b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 a\r\n"),
        ("bare-cr", b"Subject: x\r\n\r\none\rtwo\r\n"),
        ("mixed-newlines", b"Subject: x\r\n\r\none\ntwo\r\n"),
        ("nul", b"Subject: x\r\n\r\none\0two\r\n"),
    ],
)
def test_what_two_readers_could_read_differently_is_flagged(flag: str, data: bytes) -> None:
    message = read(data)
    assert flag in message.flags
    assert message.ambiguous
    assert message.malformed


@pytest.mark.parametrize(
    "data",
    [
        NESTED,
        _mixed(TEXT),
        b"Subject: x\r\n\r\nhello\r\n",
        b"Subject: folded\r\n\tonce\r\n more\r\n\r\nhello\r\n",
        b"X-Lots: a\r\nX-Lots: b\r\n\r\nx",
        b"\r\nonly a body\r\n",
        b"Content-Type: text/plain; charset=utf-8;\r\n\r\nx",
        b"Content-Type: application/pdf; name=\"a b;c.pdf\"\r\n"
        b"Content-Disposition: attachment; filename=\"a b;c.pdf\"\r\n\r\nx",
        b"Subject: bare line feeds only\n\nx\n",
        b"Subject: a\r\nFrom: a@b.example\r\nSubject: a\r\nFrom: a@b.example\r\n\r\nx",
        b"Content-Type: text\r\n\r\nx",
        b"Content-Type: text/plain; charset=utf-8; charset=UTF-8\r\nContent-Transfer-Encoding: 7bit\r\n"
        b"Content-Transfer-Encoding: 8BIT\r\n\r\nx",
        b"Content-Transfer-Encoding: windows-1252\r\n\r\nx",
        b"Content-Type: text/plain; charset=utf-8; charset=utf-8\r\nContent-Type: text/plain; charset=utf-8; "
        b"charset=utf-8\r\nContent-Transfer-Encoding: 8-bit\r\nContent-Transfer-Encoding: 8-bit\r\n\r\nx",
        b"Content-Type: application/pdf; name=my report (2).pdf\r\n"
        b"Content-Disposition: attachment; filename=my report (2).pdf;\r\n\r\nx",
        b'Content-Type: multipart/mixed; boundary="PRE_<1.2>{3}*#%"\r\n\r\n--PRE_<1.2>{3}*#%\r\n\r\nx\r\n'
        b"--PRE_<1.2>{3}*#%--\r\n",
        _mixed(TEXT + b"\r\n-- \r\nsignature\r\n--\r\n---\r\n"),
    ],
)  # fmt: skip
def test_ordinary_mail_is_not_called_ambiguous(data: bytes) -> None:
    assert not read(data).ambiguous


def test_an_unclosed_multipart_is_malformed_and_still_read() -> None:
    message = read(_mixed(TEXT)[: -len(b"--b--\r\n")])
    assert message.malformed
    assert not message.ambiguous
    assert message.root.children[0].kind == "text"


def test_two_subjects_are_both_looked_at() -> None:
    assert read(b"Subject: one\r\nSubject: two\r\n\r\n").subject == "one\ntwo"


def test_an_outer_delimiter_ends_the_inner_multipart() -> None:
    inner = b"Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\nfirst"
    message = read(_mixed(inner, TEXT))
    assert [one.id for one in message.parts()] == ["0", "1", "1.1", "2"]
    assert "unclosed" in part(message, 1).flags


def test_nesting_beyond_the_limit_is_opaque_and_flagged() -> None:
    data = TEXT
    for level in range(200):
        mark = b"n%d" % level
        data = (
            b"Content-Type: multipart/mixed; boundary=" + mark + b"\r\n\r\n--" + mark + b"\r\n" + data
            + b"\r\n--" + mark + b"--\r\n"
        )  # fmt: skip
    message = read(data)
    assert "limit" in message.flags
    assert max(len(one.path) for one in message.parts()) <= 21


def test_more_parts_than_the_limit_are_flagged() -> None:
    message = read(_mixed(*[b"\r\nx"] * 10_001))
    assert "limit" in message.defects
    assert message.ambiguous


def test_a_header_beyond_the_limit_is_flagged() -> None:
    scanner = Scanner()
    for _ in range(40):
        scanner.feed(b"X-Long: " + b"y" * 40_000 + b"\r\n")
    assert "limit" in scanner.close().defects


def test_memory_stays_bounded_while_a_large_message_passes() -> None:
    scanner = Scanner()
    scanner.feed(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n")
    line = base64.b64encode(b"q" * 57) + b"\r\n"
    chunk = line * 3000
    largest = 0
    for _ in range(40):
        scanner.feed(chunk)
        largest = max(largest, len(scanner._buffer))
    assert largest < 4096
    assert scanner.close().size > 9_000_000


def test_many_false_delimiters_take_linear_time() -> None:
    """Lines that begin like a delimiter of one of two open multiparts cost no Python turn each."""
    start = (
        b"Content-Type: multipart/mixed; boundary=aaa\r\n\r\n--aaa\r\nContent-Type: multipart/mixed; boundary=zzz\r\n"
    )
    data = start + b"\r\n--zzz\r\n\r\n" + b"\n--" * 100_000
    scanner = Scanner()
    scanner.feed(data)
    assert scanner._misses < 100
    assert [one.id for one in scanner.close().parts()] == ["0", "1", "1.1"]


def test_digest_parts_are_messages_by_default() -> None:
    data = b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: inside\r\n\r\nhello\r\n--b--\r\n"
    message = read(data)
    assert part(message, 1).kind == "message"
    assert part(message, 1, 1).header("subject") == "inside"


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (b"Content-Type: text/plain", "text"),
        (b"Content-Type: text/html; charset=utf-8", "html"),
        (b"Content-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt", "attachment"),
        (b"Content-Type: text/plain; name=a.txt", "attachment"),
        (b"Content-Type: application/ms-tnef", "tnef"),
        (b"Content-Type: application/octet-stream; name=winmail.dat", "tnef"),
        (b"Content-Type: text/calendar; method=REQUEST", "calendar"),
        (b"Content-Type: image/png\r\nContent-ID: <x>", "inline"),
        (b"Content-Type: image/png", "attachment"),
        (b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data", "encrypted"),
        (b"Content-Type: application/pkcs7-mime", "opaque"),
        (b"Content-Type: application/pgp-signature", "signature"),
        (b"Content-Type: message/partial; id=x; number=1", "opaque"),
        (b"Content-Type: message/external-body; access-type=url", "opaque"),
        (b"Content-Type: message/delivery-status", "report"),
    ],
)
def test_the_kind_of_a_part(header: bytes, kind: str) -> None:
    assert part(read(_mixed(header + b"\r\n\r\nx")), 1).kind == kind


def test_a_name_that_is_folded_in_its_quotes_has_no_line_end_in_it() -> None:
    message = read(b'Content-Type: application/pdf;\r\n name="the long\r\n\tname.pdf"\r\n\r\nx')
    assert message.root.filename == "the long\tname.pdf"
