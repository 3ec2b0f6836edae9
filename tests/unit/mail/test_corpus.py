"""Two mails of each of twenty kinds: read as the standard library does, relayed byte for byte, rewritten soundly."""

from __future__ import annotations

import base64
import email
import email.policy
import json
import struct
from collections.abc import Iterator
from email.message import EmailMessage

import dkim
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from gateway.mail.decode import decoded
from gateway.mail.model import Message
from gateway.mail.rewrite import Unrewritable, as_is, render, seal_attachments
from gateway.mail.scan import Scanner
from gateway.mail.source import BytesSource
from gateway.mail.trace import received, trace
from tests.support import mail_keys, mail_kinds, make_mail_corpus
from tests.support.make_mail_corpus import FOLDER, RANDOM, WITHOUT_DKIM

from .test_rewrite import BLOCK, URL
from .test_scan import read

MAILS = {
    f"{kind}-{number}": (FOLDER / f"{kind}-{number}.eml").read_bytes() for kind in mail_kinds.KINDS for number in (1, 2)
}
TOP = received(
    "desk.clinic.example", "192.0.2.7", "gw.clinic.example", "ESMTPS", "q1", "Mon, 4 Jan 2027 10:00:01 +0000"
)
TOP += trace("node-1", "q1")
#: id and kind of every part, by hand.
EXPECTED = {
    "plain": ("0 text", "0 text"),
    "quoted-printable": ("0 text", "0 text"),
    "base64": ("0 text", "0 text"),
    "eight-bit": ("0 text", "0 text"),
    "html": ("0 html", "0 html"),
    "alternative": ("0 multipart, 1 text, 2 html", "0 multipart, 1 text, 2 attachment, 3 html"),
    "related": (
        "0 multipart, 1 html, 2 inline",
        "0 multipart, 1 multipart, 1.1 text, 1.2 html, 2 inline",
    ),
    "mixed": ("0 multipart, 1 text, 2 attachment", "0 multipart, 1 text, 2 attachment, 3 text"),
    "nested": (
        "0 multipart, 1 text, 2 message, 2.1 text",
        "0 multipart, 1 text, 2 message, 2.1 multipart, 2.1.1 text, 2.1.2 attachment",
    ),
    "digest": (
        "0 multipart, 1 text, 2 multipart, 2.1 message, 2.1.1 text, 2.2 message, 2.2.1 text, 2.3 message, 2.3.1 text",
        "0 multipart, 1 text, 2 multipart, 2.1 message, 2.1.1 text, 2.2 message, 2.2.1 text, 2.3 message, 2.3.1 text, "
        "2.4 message, 2.4.1 text, 2.5 message, 2.5.1 text",
    ),
    "smime-signed": ("0 multipart, 1 text, 2 signature", "0 opaque"),
    "pgp-signed": (
        "0 multipart, 1 text, 2 signature",
        "0 multipart, 1 multipart, 1.1 text, 1.2 html, 2 signature",
    ),
    "encrypted": ("0 encrypted", "0 multipart, 1 attachment, 2 attachment"),
    "calendar": ("0 multipart, 1 text, 2 html, 3 calendar", "0 multipart, 1 text, 2 calendar"),
    "tnef": ("0 multipart, 1 text, 2 tnef", "0 multipart, 1 text, 2 tnef"),
    "dsn": ("0 multipart, 1 text, 2 report, 3 report", "0 multipart, 1 text, 2 report, 3 message, 3.1 text"),
    "list": ("0 text", "0 multipart, 1 text, 2 text"),
    "flowed": ("0 text", "0 text"),
    "long-lines": ("0 text", "0 html"),
    "malformed": ("0 multipart, 1 text", "0 text"),
}
each = pytest.mark.parametrize("name", sorted(MAILS))


def _relayed(data: bytes) -> bytes:
    return b"".join(render(BytesSource(data), as_is(read(data), TOP)))


def _shape(message: Message) -> str:
    return ", ".join(f"{part.id} {part.kind}" for part in message.parts())


@each
def test_every_part_has_its_kind(name: str) -> None:
    kind, _, number = name.rpartition("-")
    assert _shape(read(MAILS[name])) == EXPECTED[kind][int(number) - 1]


@each
def test_only_the_malformed_are_called_so(name: str) -> None:
    message = read(MAILS[name])
    assert message.malformed == name.startswith("malformed")
    assert message.ambiguous == (name == "malformed-2")
    assert message.signed == ("signed" in name)
    assert message.encrypted == name.startswith("encrypted")
    assert message.auto_submitted == name.startswith(("dsn", "list"))


def _leaves(entity: EmailMessage) -> Iterator[EmailMessage]:
    inside = entity.get_payload()
    if isinstance(inside, list) and entity.get_content_type() != "message/delivery-status":
        for one in inside:
            yield from _leaves(one)  # type: ignore[arg-type]
    else:
        yield entity


@each
def test_contents_are_those_that_the_standard_library_reads(name: str) -> None:
    if name == "malformed-2":
        return  # readers differ on it, which is why it is flagged
    data = MAILS[name]
    ours = [part for part in read(data).parts() if not part.children]
    theirs = list(_leaves(email.message_from_bytes(data, policy=email.policy.SMTP)))
    assert len(ours) == len(theirs)
    for part, entity in zip(ours, theirs, strict=True):
        assert part.content_type == entity.get_content_type()
        if isinstance(entity.get_payload(), str):
            wanted = entity.get_payload(decode=True)
            assert b"".join(decoded(BytesSource(data), part)).strip() == wanted.strip()  # type: ignore[union-attr]
        assert part.filename == entity.get_filename()


@each
def test_relayed_as_is_the_original_is_an_exact_suffix(name: str) -> None:
    out = _relayed(MAILS[name])
    assert out == TOP + MAILS[name]


def _dns(name: bytes, timeout: int = 5) -> bytes:
    records = json.loads((FOLDER / "dkim.json").read_text())
    return str(records[name.decode()]).encode()


@each
def test_dkim_holds_after_the_relay_and_breaks_by_one_byte(name: str) -> None:
    if f"{name}.eml" in WITHOUT_DKIM:
        assert b"DKIM-Signature" not in MAILS[name]
        return
    out = _relayed(MAILS[name])
    assert dkim.verify(out, dnsfunc=_dns)
    at = read(out).root.body_start + 3
    assert not dkim.verify(out[:at] + bytes([out[at] ^ 1]) + out[at + 1 :], dnsfunc=_dns)


def _signed_entity(data: bytes) -> tuple[bytes, bytes]:
    """The signed bytes (RFC 1847 2.1) and the decoded signature."""
    signed, signature = read(data).root.children
    return data[signed.start : signed.body_stop], b"".join(decoded(BytesSource(data), signature))


def _smime_holds(entity: bytes, der: bytes) -> bool:
    key = pkcs7.load_der_pkcs7_certificates(der)[0].public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    try:
        # Made without attributes, so the RSA signature at the end of the one signer covers the contents themselves.
        key.verify(der[-256:], entity, padding.PKCS1v15(), hashes.SHA256())
    except Exception:
        return False
    return True


def test_smime_signatures_hold_after_the_relay() -> None:
    entity, der = _signed_entity(_relayed(MAILS["smime-signed-1"]))
    assert _smime_holds(entity, der)
    assert not _smime_holds(entity + b" ", der)
    opaque = _relayed(MAILS["smime-signed-2"])
    der = b"".join(decoded(BytesSource(opaque), read(opaque).root))
    at = der.index(b"Content-Type: text/plain")
    length = struct.unpack(">H", der[at - 2 : at])[0]
    assert _smime_holds(der[at : at + length], der)


@pytest.mark.parametrize("name", ["pgp-signed-1", "pgp-signed-2"])
def test_pgp_signatures_hold_after_the_relay(name: str) -> None:
    entity, armored = _signed_entity(_relayed(MAILS[name]))
    raw = base64.b64decode(armored.split(b"\r\n\r\n", 1)[1].split(b"\r\n=")[0])
    body = raw[6:]
    hashed = body[: 6 + struct.unpack(">H", body[4:6])[0]]
    at = len(hashed) + 2 + 10 + 2
    numbers = []
    for _ in range(2):
        length = (struct.unpack(">H", body[at : at + 2])[0] + 7) // 8
        numbers.append(body[at + 2 : at + 2 + length].rjust(32, b"\0"))
        at += 2 + length
    key = ed25519.Ed25519PublicKey.from_public_bytes(mail_keys.pgp_public())
    key.verify(b"".join(numbers), mail_keys.pgp_digest(entity, hashed))
    with pytest.raises(Exception):  # noqa: B017
        key.verify(b"".join(numbers), mail_keys.pgp_digest(entity + b" ", hashed))


@each
def test_sealing_all_attachments_leaves_sound_mail_with_the_link(name: str) -> None:
    data = MAILS[name]
    message = read(data)
    removed = [part.path for part in message.attachments()]
    names = [part.filename.encode() for part in message.attachments() if part.filename]
    if not removed:
        return
    source = BytesSource(data)
    if message.encrypted and message.root.children:
        with pytest.raises(Unrewritable):
            seal_attachments(message, source, removed, BLOCK, TOP, None)
        return
    out = b"".join(render(source, seal_attachments(message, source, removed, BLOCK, TOP, None)))
    again = read(out)
    assert not again.malformed
    assert again.attachments() == ()
    visible = again.visible()
    assert visible
    for part in visible:
        assert URL.encode() in b"".join(decoded(BytesSource(out), part))
    assert not any(one in out for one in names)
    for entity in email.message_from_bytes(out, policy=email.policy.SMTP).walk():
        assert entity.defects == []


def test_the_generator_writes_exactly_this_corpus() -> None:
    made = make_mail_corpus.corpus()
    assert {name.removesuffix(".eml") for name in made} == set(MAILS)
    for name, data in made.items():
        if name not in RANDOM:
            assert MAILS[name.removesuffix(".eml")] == data, name
    assert len(EXPECTED) == 20


@each
def test_every_way_to_cut_it_gives_the_same_structure(name: str) -> None:
    whole = read(MAILS[name])
    for size in (1, 2, 7, 1021):
        scanner = Scanner()
        for at in range(0, whole.size, size):
            scanner.feed(MAILS[name][at : at + size])
        assert scanner.close() == whole
