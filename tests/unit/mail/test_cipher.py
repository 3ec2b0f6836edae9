"""Encrypted mail is believed by its first bytes, not by its header."""

from __future__ import annotations

import base64

import pytest

from gateway.mail.cipher import proven
from gateway.mail.source import BytesSource

from .test_corpus import MAILS
from .test_scan import read


def _proven(data: bytes) -> bool:
    return proven(read(data), BytesSource(data))


@pytest.mark.parametrize("name", sorted(MAILS))
def test_only_the_encrypted_mails_are_proven(name: str) -> None:
    assert _proven(MAILS[name]) == name.startswith("encrypted")


def test_signed_contents_under_an_encrypted_name_are_not_believed() -> None:
    data = MAILS["smime-signed-2"].replace(b"smime-type=signed-data", b"smime-type=enveloped-data")
    assert read(data).encrypted
    assert not _proven(data)


@pytest.mark.parametrize(
    "sealed", [b"Jane Roe", b"-----BEGIN PGP MESSAGE-----\r\n\r\n" + base64.b64encode(b"\xcb\x05b\0hello")]
)
def test_clear_contents_in_an_encrypted_shell_are_not_believed(sealed: bytes) -> None:
    mail = MAILS["encrypted-2"]
    at = mail.index(b"-----BEGIN")
    assert not _proven(mail[:at] + sealed + b"\r\n--enc--\r\n")


def test_words_beside_the_encrypted_part_are_not_believed() -> None:
    assert not _proven(MAILS["encrypted-2"] + b"Jane Roe, MRN 1234567\r\n")
    assert not _proven(MAILS["encrypted-2"].replace(b"\r\n--enc--", b"\r\n--enc\r\n\r\nJane Roe\r\n--enc--"))


def test_text_before_and_after_the_parts_is_pointed_out() -> None:
    data = MAILS["mixed-1"] + b"last words\r\n"
    assert [data[start:stop] for start, stop in read(data).hidden()] == [
        b"This is a message in parts.",
        b"last words\r\n",
    ]
    assert read(MAILS["alternative-1"]).hidden() == ()
