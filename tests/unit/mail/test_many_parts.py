"""A mail of thousands of parts costs their number: nothing about one part goes through all the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.mail import fields
from gateway.mail.model import Message, Part
from gateway.mail.rewrite import seal_attachments
from gateway.mail.scan import Scanner
from gateway.mail.sender_notice import place
from gateway.mail.source import BytesSource
from gateway.words import language

from .test_rewrite import BLOCK

PARTS = 400
FILE = b"Content-Type: text/plain\r\nContent-Disposition: attachment; filename=f%d.txt\r\n\r\nhello\r\n"
TEXT = b"Content-Type: text/plain\r\n\r\nhello\r\n"


class Counted(tuple[Part, ...]):
    """Parts that count how often somebody goes through all of them."""

    walks = 0

    def __iter__(self) -> Iterator[Part]:
        type(self).walks += 1
        return super().__iter__()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    made = type("Counted", (Counted,), {})
    before = Scanner.close

    def close(self: Scanner) -> Message:
        message = before(self)
        object.__setattr__(message.root, "children", made(message.root.children))
        return message

    monkeypatch.setattr(Scanner, "close", close)
    return made


def mail(*parts: bytes, closed: bool = True) -> tuple[Message, bytes]:
    head = b"From: a@clinic.test\r\nSubject: x\r\nX-Mailer: f3.txt\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    data = head + b"".join(b"--b\r\n" + part for part in parts) + (b"--b--\r\n" if closed else b"")
    scanner = Scanner()
    scanner.feed(data)
    return scanner.close(), data


def files(count: int) -> list[bytes]:
    return [FILE % number for number in range(count)]


@pytest.mark.parametrize("kind", ["files", "texts"])
def test_the_place_of_each_part_is_found_without_listing_all(counted: Any, kind: str) -> None:
    message, _ = mail(*(files(PARTS) if kind == "files" else [TEXT] * PARTS))
    words, before = language("en"), counted.walks
    places = [place(words, message, part.path) for part in message.root.children]
    assert counted.walks - before < 8
    if kind == "files":
        assert places[0] == "attachment 1 (text)"
        assert places[-1] == f"attachment {PARTS} (text)"


@pytest.mark.parametrize("closed", [True, False])
def test_taking_out_many_files_goes_through_them_a_few_times(counted: Any, closed: bool) -> None:
    message, data = mail(TEXT, *files(PARTS), closed=closed)
    source, before = BytesSource(data), counted.walks
    seal_attachments(message, source, [part.path for part in message.root.children[2::2]], BLOCK, b"")
    seal_attachments(message, source, [part.path for part in message.root.children[1:]], BLOCK, b"")
    assert counted.walks - before < 12


def test_a_header_is_searched_for_the_names_of_files_once_for_all_recipients(monkeypatch: pytest.MonkeyPatch) -> None:
    message, data = mail(TEXT, *files(PARTS))
    read: list[str] = []
    before = fields.decode_words
    monkeypatch.setattr(fields, "decode_words", lambda value: read.append(value) or before(value))
    removed = [part.path for part in message.root.children[1:]]
    pieces = [seal_attachments(message, BytesSource(data), removed, BLOCK, b"") for _ in range(3)]
    assert len(read) < 30
    written = [b"".join(one.data for one in each if hasattr(one, "data")) for each in pieces]
    assert len(set(written)) == 1


def test_a_field_that_names_a_file_goes_also_where_very_many_are_named() -> None:
    names = b"".join(b"X-Mailer: f%d.txt\r\n" % number for number in range(PARTS))
    data = names + b"From: a@clinic.test\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    data += b"--b\r\n" + TEXT + b"".join(b"--b\r\n" + one for one in files(PARTS)) + b"--b--\r\n"
    scanner = Scanner()
    scanner.feed(data)
    message = scanner.close()
    pieces = seal_attachments(message, BytesSource(data), [part.path for part in message.root.children[1:]], BLOCK, b"")
    copy = b"".join(one.data if hasattr(one, "data") else data[one.start : one.stop] for one in pieces)
    assert b"f3.txt" not in copy
    assert b"From: a@clinic.test" in copy


def test_addresses_of_a_field_are_read_once() -> None:
    message, _ = mail(TEXT)
    assert message.mailboxes("a@clinic.test") is message.mailboxes("a@clinic.test")
    assert message.addresses("from") == [("", "a@clinic.test")]
