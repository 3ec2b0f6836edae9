"""A key that signs mail (DKIM): RSA of 2048 bits or Ed25519, made, read from PKCS #8, and used.

Promises: bytes that are no such key are Tampered, and nothing of them is quoted. RFC 8301 3.2, RFC 8463.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from keys.errors import Tampered

RSA, ED25519 = "rsa", "ed25519"
ALGORITHMS = (RSA, ED25519)
RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class MailKey:
    """One key pair."""

    _key: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls, algorithm: str) -> MailKey:
        """A new one. ValueError for an unknown algorithm."""
        if algorithm not in ALGORITHMS:
            raise ValueError("no such algorithm")
        return cls(generate_private_key(65537, RSA_BITS) if algorithm == RSA else Ed25519PrivateKey.generate())

    @classmethod
    def from_private(cls, private: bytes) -> MailKey:
        """The key of its PKCS #8 bytes. Raises Tampered."""
        try:
            found = load_der_private_key(private, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):  # without its cause, which might quote what it read
            raise Tampered("a mail key that cannot be read") from None
        if not isinstance(found, (RSAPrivateKey, Ed25519PrivateKey)):
            raise Tampered("a mail key of another kind")
        return cls(found)

    @property
    def algorithm(self) -> str:
        """rsa or ed25519."""
        return RSA if isinstance(self._key, RSAPrivateKey) else ED25519

    @property
    def private(self) -> bytes:
        """PKCS #8, not encrypted."""
        return self._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public(self) -> bytes:
        """What a DNS record holds: SubjectPublicKeyInfo of RSA (RFC 6376 3.6.1), 32 bytes of Ed25519 (RFC 8463 4)."""
        if isinstance(self._key, RSAPrivateKey):
            return self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, digest: bytes) -> bytes:
        """The signature of a SHA-256: PKCS #1 v1.5 with RSA (RFC 6376 3.3.1), Ed25519 over its bytes (RFC 8463 3)."""
        if isinstance(self._key, RSAPrivateKey):
            return self._key.sign(digest, PKCS1v15(), Prehashed(hashes.SHA256()))
        return self._key.sign(digest)
