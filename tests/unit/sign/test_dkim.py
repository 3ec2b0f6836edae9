"""Our signatures under another program's eyes: dkimpy verifies what we sign, over every cut of the message."""

from __future__ import annotations

import base64
from collections.abc import Callable

import dkim as other
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.actions.signing import chosen, key
from gateway.mail import dkim

DOMAIN = "clinic.test"
RSA_KEY = generate_private_key(65537, 2048)
ED_KEY = Ed25519PrivateKey.generate()


def _der(private: object) -> bytes:
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[attr-defined]


KEYS = (key("r1", _der(RSA_KEY)), key("e1", _der(ED_KEY)))
RECORDS = {
    "r1": dkim.record(
        "rsa",
        base64.b64encode(RSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode(),
    ),
    "e1": dkim.record(
        "ed25519", base64.b64encode(ED_KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    ),
}


def dns(name: bytes, timeout: int = 5) -> bytes | None:
    selector = name.decode().partition(".")[0]
    asked = name.rstrip(b".").decode() == f"{selector}._domainkey.{DOMAIN}"
    return RECORDS[selector].encode() if asked and selector in RECORDS else None


def own(author: str) -> str | None:
    return author if author == DOMAIN else None


def holds(message: bytes, index: int = 0) -> bool:
    try:
        return bool(other.DKIM(message).verify(index, dnsfunc=dns))
    except other.DKIMException:
        return False


def signed(message: bytes, keys: tuple[dkim.Key, ...] = KEYS) -> bytes:
    return dkim.signatures([message], own, keys, 1_700_000_000) + message


HEADER = (
    b"Received: from a by b\r\nFrom: Amy  Reyes\t<amy@clinic.test>\r\nTo: x@outside.test,\r\n\ty@outside.test\r\n"
    b"Subject: =?utf-8?q?Hours?=\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@clinic.test>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
)
MAIL = HEADER + b"\r\nDear all, \t see you\r\n\r\nthen.  \r\n \r\n\r\n"


@pytest.mark.parametrize("index", [0, 1], ids=["rsa", "ed25519"])
def test_another_program_finds_both_signatures_true(index: int) -> None:
    assert holds(signed(MAIL), index)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda mail: mail.replace(b"see you", b"see You"), id="body"),
        pytest.param(lambda mail: mail.replace(b"Amy  Reyes", b"Dr. Reyes"), id="from"),
        pytest.param(lambda mail: b"From: boss@clinic.test\r\n" + mail, id="a-second-from"),
        pytest.param(
            lambda mail: mail.replace(b"\r\n\r\nDear", b"\r\nSubject: now\r\n\r\nDear"), id="a-second-subject"
        ),
        pytest.param(lambda mail: b"Content-Type: text/html\r\n" + mail, id="a-second-content-type"),
        pytest.param(lambda mail: mail + b"more\r\n", id="more-body"),
    ],
)
def test_what_is_changed_or_added_on_the_way_breaks_it(change: Callable[[bytes], bytes]) -> None:
    mail = signed(MAIL)
    assert holds(mail)
    assert not holds(change(mail))


def test_reply_fields_may_be_refolded_and_trace_fields_added_on_the_way() -> None:
    mail = signed(MAIL).replace(b"To: x@outside.test,\r\n\ty", b"To:   x@outside.test, y")
    assert holds(b"Received: from us by them\r\nX-Spam: no\r\n" + mail)


BODIES = st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n", b"word ", b"\r\n\r\n", b".", b"  \r\n", b"x" * 90]))


@given(BODIES, st.integers(1, 9))
def test_the_body_hash_is_dkimpys_for_every_cut(pieces: list[bytes], size: int) -> None:
    body = b"".join(pieces) + b"\r\n"  # as every body ends that came by SMTP
    hashed = dkim.BodyHash()
    for at in range(0, len(body), size):
        hashed.feed(body[at : at + size])
    whole = dkim.BodyHash()
    whole.feed(body)
    assert hashed.digest() == whole.digest()
    if body.strip():  # of a body of blanks alone dkimpy makes a line end, RFC 6376 3.4.4 nothing at all
        from hashlib import sha256

        from dkim.canonicalization import Relaxed

        assert hashed.digest() == sha256(Relaxed.canonicalize_body(body)).digest()


def test_empty_bodies_have_the_hash_that_the_standard_prints() -> None:
    for body in (b"", b"\r\n", b"\r\n\r\n \r\n"):
        hashed = dkim.BodyHash()
        hashed.feed(body)
        assert base64.b64encode(hashed.digest()) == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def test_blank_lines_without_end_are_counted_and_not_kept() -> None:
    hashed = dkim.BodyHash()
    hashed.feed(b"a\r\n")
    for _ in range(2000):
        hashed.feed(b" \r\n" * 500)
        assert len(hashed._rest) < 4
    hashed.feed(b"b")
    twin = dkim.BodyHash()
    twin.feed(b"a\r\n" + b"\r\n" * 1_000_000 + b"b\r\n")
    assert hashed.digest() == twin.digest()


@pytest.mark.parametrize(
    "author",
    [
        pytest.param(b"From: eve@other.test\r\n", id="another-clinic"),
        pytest.param(b"", id="none"),
        pytest.param(b"From: a@clinic.test\r\nFrom: b@clinic.test\r\n", id="two-fields"),
        pytest.param(b"From: a@clinic.test, b@other.test\r\n", id="two-domains"),
        pytest.param(b"From: =?utf-8?q?x?=\r\n", id="no-address"),
        pytest.param(b"From: a@clinic.test.other.test\r\n", id="a-name-that-begins-like-it"),
    ],
)
def test_mail_that_does_not_say_one_domain_of_ours_is_not_signed(author: bytes) -> None:
    assert dkim.signatures([author + b"To: x@y.test\r\n\r\nhi\r\n"], own, KEYS, 1) == b""


def test_a_line_without_a_colon_costs_its_length_and_no_more() -> None:
    long = b"a" * 400_000 + b"\r\n"  # where every letter may begin a field, hours
    letter = b"From: a@clinic.test\r\n" + long + b"To: x@y.test\r\n\r\nhi\r\n"
    assert dkim.signatures([letter], own, KEYS, 1).count(b"DKIM-Signature:") == len(KEYS)
    inside = b"Subject: x From: b@other.test\r\n"  # no field begins within a line
    assert dkim.signatures([inside + letter], own, KEYS, 1)


def test_a_header_without_end_is_not_kept_and_not_signed() -> None:
    seen = 0

    def endless():  # type: ignore[no-untyped-def]
        nonlocal seen
        yield b"From: a@clinic.test\r\n"
        for _ in range(100):
            seen += 1
            yield b"X: " + b"a" * 65_536 + b"\r\n"

    assert dkim.signatures(endless(), own, KEYS, 1) == b""
    assert seen < 20


def test_a_selector_without_a_key_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    found = chosen("tnt_x", ["e1", "gone"], [("r1", _der(RSA_KEY)), ("e1", _der(ED_KEY))])
    assert [one.selector for one in found] == ["e1"]
    assert [record.message for record in caplog.records] == ["dkim:no-key"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("v=DKIM1; k=ed25519; p=AA BB", ("ed25519", "AABB")),
        ("p=AABB", ("rsa", "AABB")),
        ("v=DKIM1; p=", None),
        ("v=spf1 -all", None),
    ],
    ids=["blanks", "short", "revoked", "another-record"],
)
def test_records_are_read_as_receivers_do(text: str, found: tuple[str, str] | None) -> None:
    assert dkim.published(text) == found
