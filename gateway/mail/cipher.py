"""Whether mail that says it is encrypted, or a part that says it is a signature, is built like it.

Promises: a claim in a header is not enough; encrypted contents must begin as CMS EnvelopedData or AuthEnvelopedData, or
be an OpenPGP message that begins with an encrypted session key. What is anything else is not called encrypted, and then
is unread. Nothing is decrypted, so contents hidden behind a true beginning are not found out. RFC 5652 6, RFC 5083,
RFC 3156 4, RFC 9580 4.2, 5.1, 5.3.
"""

from __future__ import annotations

import re

from gateway.mail import decode
from gateway.mail.model import Message, Part
from gateway.mail.source import Source

_HEAD_BYTES = 4096
_OIDS = (
    bytes.fromhex("06092a864886f70d010703"),  # id-envelopedData
    bytes.fromhex("060b2a864886f70d0109100117"),  # id-ct-authEnvelopedData
)
_SIGNED_OID = (bytes.fromhex("06092a864886f70d010702"),)  # id-signedData
_PGP_SIGNATURE = re.compile(
    rb"\s*-----BEGIN PGP SIGNATURE-----[ \t]*\r?\n"
    rb"(?:(?:Version|Comment|Hash|Charset|MessageID): [^\r\n]{0,80}\r?\n)*(?:[ \t]*\r?\n)?"
    rb"(?:[A-Za-z0-9+/=]{1,100}[ \t]*\r?\n)+-----END PGP SIGNATURE-----\s*"
)
_ARMOR = b"-----BEGIN PGP MESSAGE-----"
_SESSION_KEYS = frozenset({1, 3})  # public-key and symmetric-key encrypted session key packets


def proven(message: Message, source: Source) -> bool:
    """Whether the message as a whole is S/MIME or PGP/MIME encrypted, by claim and by its first bytes."""
    if not message.encrypted or message.ambiguous:
        return False
    root = message.root
    if root.kind == "encrypted":
        return _cms(decode.head(source, root, _HEAD_BYTES))
    if len(root.children) != 2 or message.hidden():
        return False
    control, sealed = root.children
    if control.content_type != "application/pgp-encrypted" or not _small(control) or sealed.children:
        return False
    return _pgp(decode.head(source, sealed, _HEAD_BYTES))


def _small(part: Part) -> bool:
    """The control part says "Version: 1" and nothing else."""
    return part.body_stop - part.body_start <= 64


def is_signature(data: bytes) -> bool:
    """Whether these decoded bytes are built like a detached signature: CMS SignedData or an armored OpenPGP one.

    RFC 5652 5, RFC 8551 3.5.3, RFC 3156 5, RFC 9580 6.2.
    """
    return _cms(data, _SIGNED_OID) or _PGP_SIGNATURE.fullmatch(data) is not None


def _cms(head: bytes, types: tuple[bytes, ...] = _OIDS) -> bool:
    """ContentInfo: SEQUENCE, its length in any form, then the content type."""
    if len(head) < 20 or head[0] != 0x30:
        return False
    length = head[1]
    at = 2 + (length & 0x7F if length > 0x80 else 0)
    return at <= 10 and head.startswith(types, at)


def _pgp(head: bytes) -> bool:
    head = head.lstrip()
    if head.startswith(_ARMOR):
        # Armor headers end with an empty line; the base64 after it begins with the first packet.
        _, found, after = head.replace(b"\r\n", b"\n").partition(b"\n\n")
        if not found:
            return False
        head = b"".join(decode.base64_stream([after[:64]]))
    if not head or not head[0] & 0x80:
        return False
    tag = head[0] & 0x3F if head[0] & 0x40 else (head[0] & 0x3C) >> 2
    return tag in _SESSION_KEYS
