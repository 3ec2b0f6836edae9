"""The search that the demo's check relies on must find what is there, in whatever coding."""

from __future__ import annotations

import base64
import quopri

import pytest

from gateway.demo import documents, leaks, mails
from gateway.demo.sink import Received

WORD = "Marguerite Oyelaran"
AROUND = "Dear neighbours, nothing to see here. "


def mail(body: bytes, coding: str = "8bit") -> Received:
    head = f"From: a@b.test\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {coding}\r\n\r\n"
    return Received("a@b.test", ("c@d.test",), head.encode() + body)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (f"{AROUND}{WORD}.".encode(), "8bit"),
        (f"{AROUND}{WORD.upper()}.".encode(), "8bit"),
        (b"seen: Marguerite\r\n Oyelaran.", "8bit"),
        (base64.encodebytes(f"{AROUND}{WORD}".encode()), "base64"),
        (base64.encodebytes(f"x{AROUND}{WORD}".encode()), "8bit"),
        (base64.encodebytes(f"xy{AROUND}{WORD}".encode()), "8bit"),
        (quopri.encodestring(f"{'é' * 30}{WORD}".encode()), "quoted-printable"),
        (f"{AROUND}{WORD}".encode().hex().encode(), "8bit"),
        (f"f{WORD.encode().hex().upper()}".encode(), "8bit"),
        (f"{AROUND}{WORD}".encode("utf-16-le"), "8bit"),
        (base64.encodebytes(f"{AROUND}{WORD}".encode("utf-16-be")), "base64"),
    ],
)
def test_a_word_is_found_in_every_coding(body: bytes, coding: str) -> None:
    assert leaks.words_in(mail(body, coding), (WORD, "Tomás")) == [WORD]


def test_a_word_that_is_not_there_is_not_found() -> None:
    assert leaks.words_in(mail(f"{AROUND}Marguerite O'Hara".encode()), (WORD, "4471920")) == []


@pytest.mark.parametrize("where", [0, 300, -13])
def test_twelve_bytes_of_a_file_are_found_as_they_are_in_base64_and_in_hexadecimal(where: int) -> None:
    content = documents.lab_report()
    piece = content[where:][:13]
    assert leaks.bytes_in(mail(b"abc" + piece), content) >= 1
    assert leaks.bytes_in(mail(base64.b64encode(b"ab" + piece)), content) >= 1
    assert leaks.bytes_in(mail(piece.hex().encode()), content) >= 1
    assert leaks.bytes_in(mail(AROUND.encode()), content) == 0


def test_a_whole_attachment_is_found() -> None:
    before = Received("", (), mails.lab_report().as_bytes())
    assert leaks.bytes_in(before, documents.lab_report()) > 800
    assert leaks.words_in(before, (mails.LAB_FILE, "Oyelaran")) == [mails.LAB_FILE, "Oyelaran"]
