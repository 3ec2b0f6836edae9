"""Keys of the mail corpus, derived from a seed (none lies in the tree), and what is signed with them."""

from __future__ import annotations

import base64
import hashlib
import random
import struct
import time
from datetime import UTC, datetime
from functools import lru_cache
from unittest import mock

import dkim
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

#: How far the first prime lies after the seed's number: found once, so that no test searches for it.
_STEPS = {"dkim p": 100, "dkim q": 1466, "smime p": 278, "smime q": 798}
SIGNED_AT = 1_709_546_400


def _number(seed: str, bits: int) -> int:
    stream, block = b"", 0
    while len(stream) * 8 < bits:
        stream += hashlib.sha256(f"sealgate corpus {seed} {block}".encode()).digest()
        block += 1
    return int.from_bytes(stream, "big") >> (len(stream) * 8 - bits)


def _is_prime(number: int) -> bool:
    if any(number % small == 0 for small in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)):
        return False
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        value = pow(base, odd, number)
        if value in (1, number - 1):
            continue
        for _ in range(twos - 1):
            value = value * value % number
            if value == number - 1:
                break
        else:
            return False
    return True


def _prime(seed: str) -> int:
    number = (_number(seed, 1024) | (3 << 1022) | 1) + _STEPS.get(seed, 0)
    while not _is_prime(number) or (number - 1) % 65_537 == 0:
        number += 2
    return number


@lru_cache
def rsa_key(seed: str) -> rsa.RSAPrivateKey:
    """The same 2048-bit key for the same seed: worth nothing outside tests."""
    p, q = _prime(seed + " p"), _prime(seed + " q")
    d = pow(65_537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65_537, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), rsa.rsa_crt_iqmp(p, q), public)
    return numbers.private_key()


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def seed(name: str) -> bytes:
    """32 bytes that are always the same."""
    return hashlib.sha256(f"sealgate corpus {name}".encode()).digest()


def b64(data: bytes) -> str:
    """base64 in lines of 76."""
    raw = base64.b64encode(data).decode()
    return "".join(raw[at : at + 76] + "\r\n" for at in range(0, len(raw), 76))


def _packet(tag: int, data: bytes) -> bytes:
    return bytes([0xC0 | tag, 0xFF]) + struct.pack(">I", len(data)) + data


def _armor(kind: str, data: bytes) -> str:
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    check = base64.b64encode(struct.pack(">I", crc & 0xFFFFFF)[1:]).decode()
    return f"-----BEGIN PGP {kind}-----\r\n\r\n{b64(data)}={check}\r\n-----END PGP {kind}-----\r\n"


def pgp_digest(data: bytes, hashed: bytes) -> bytes:
    """RFC 9580 5.2.4: what a version 4 signature over a binary document signs."""
    return hashlib.sha256(data + hashed + b"\x04\xff" + struct.pack(">I", len(hashed))).digest()


def pgp_signature(data: bytes) -> str:
    """An armored detached OpenPGP signature (RFC 9580 5.2.3, version 4, Ed25519)."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed("pgp"))
    subpackets = bytes([5, 2]) + struct.pack(">I", SIGNED_AT)
    hashed = bytes([4, 0, 22, 8]) + struct.pack(">H", len(subpackets)) + subpackets
    digest = pgp_digest(data, hashed)
    signature = key.sign(digest)
    issuer = bytes([9, 16]) + seed("pgp key id")[:8]
    numbers = b""
    for half in (signature[:32], signature[32:]):
        value = int.from_bytes(half, "big")
        numbers += struct.pack(">H", value.bit_length()) + value.to_bytes((value.bit_length() + 7) // 8, "big")
    body = hashed + struct.pack(">H", len(issuer)) + issuer + digest[:2] + numbers
    return _armor("SIGNATURE", _packet(2, body))


def certificate() -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    """The made-up sender's S/MIME certificate and key."""
    key = rsa_key("smime")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "events@clinic.example")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(20_240_304)
        .not_valid_before(datetime(2024, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2047, 1, 1, tzinfo=UTC))
    )
    return built.sign(key, hashes.SHA256()), key


def smime_signature(data: bytes, *, detached: bool) -> bytes:
    """CMS SignedData in DER, without attributes, so that the same bytes come out each time."""
    owner, key = certificate()
    options = [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoAttributes]
    if detached:
        options.append(pkcs7.PKCS7Options.DetachedSignature)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(data).add_signer(owner, key, hashes.SHA256())
    return builder.sign(serialization.Encoding.DER, options)


def dkim_signed(data: bytes, selector: str) -> bytes:
    """The mail with a DKIM-Signature of clinic.example on top (RFC 6376, RFC 8463)."""
    if selector == "ed":
        key, algorithm = base64.b64encode(seed("dkim ed")), b"ed25519-sha256"
    else:
        key, algorithm = _pem(rsa_key("dkim")), b"rsa-sha256"
    with mock.patch.object(time, "time", return_value=float(SIGNED_AT)):
        line = dkim.sign(
            data, selector.encode(), b"clinic.example", key, canonicalize=(b"relaxed", b"simple"),
            signature_algorithm=algorithm,
            include_headers=[b"from", b"to", b"subject", b"date", b"message-id", b"mime-version", b"content-type"],
        )  # fmt: skip
    return bytes(line) + data


def dkim_records() -> dict[str, str]:
    """The TXT records that verify them."""
    der = rsa_key("dkim").public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    raw = ed25519.Ed25519PrivateKey.from_private_bytes(seed("dkim ed")).public_key().public_bytes_raw()
    return {
        "rsa._domainkey.clinic.example.": "v=DKIM1; k=rsa; p=" + base64.b64encode(der).decode(),
        "ed._domainkey.clinic.example.": "v=DKIM1; k=ed25519; p=" + base64.b64encode(raw).decode(),
    }


def pgp_public() -> bytes:
    """The raw Ed25519 key behind the OpenPGP signatures."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed("pgp")).public_key().public_bytes_raw()


def smime_encrypted(data: bytes) -> bytes:
    """CMS EnvelopedData in DER; fresh at every call."""
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(data).add_recipient(certificate()[0])
    return builder.encrypt(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])


def pgp_encrypted(rng: random.Random) -> str:
    """An armored OpenPGP message of the right packets (a session key, then encrypted data) around made-up bytes."""
    key = _packet(1, bytes([3]) + rng.randbytes(8) + bytes([18]) + rng.randbytes(80))
    return _armor("MESSAGE", key + _packet(18, bytes([1]) + rng.randbytes(400)))
