"""A small picture that the text shows stays in the mail; RFC 2392, RFC 2045 7, DESIGN §3."""

from __future__ import annotations

import base64
import struct
import zlib

import pytest

from gateway import words
from gateway.flow.reading import read
from gateway.mail.scan import Scanner
from gateway.mail.source import BytesSource


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


LOGO = base64.b64encode(
    b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 20, 20, 8, 0, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(bytes(21 * 20))) + _chunk(b"IEND", b"")
).decode()  # fmt: skip


def mail(field: str, shown: str) -> bytes:
    return (
        'MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary="b"\r\n\r\n'
        f'--b\r\nContent-Type: text/html\r\n\r\n<p>Hello</p><img src="{shown}">\r\n'
        f"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n{field}\r\n\r\n{LOGO}\r\n--b--\r\n"
    ).encode()


def decorations(data: bytes) -> frozenset[str]:
    scanner = Scanner()
    scanner.feed(data)
    return read(scanner.close(), BytesSource(data), words.language("en")).decorations


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        ("Content-ID: <logo@clinic.example>", "cid:logo@clinic.example"),
        ("Content-ID:\r\n <logo@clinic.example>", "CID:logo@clinic.example"),
        ("Content-ID: logo@clinic.example", "cid:logo@clinic.example"),
        ("Content-ID: <logo+1@clinic.example>", "cid:logo%2B1@clinic.example"),
    ],
)
def test_a_logo_that_the_text_shows_is_a_decoration(field: str, shown: str) -> None:
    assert decorations(mail(field, shown)) == {"2"}


def test_one_that_the_text_does_not_show_is_none() -> None:
    assert decorations(mail("Content-ID: <other@clinic.example>", "cid:logo@clinic.example")) == frozenset()
