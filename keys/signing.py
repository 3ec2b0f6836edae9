"""Ed25519 signatures over labelled, length-prefixed parts.

Promises: a signature under one label is none under another, and parts cannot be shifted against each other.
Clauses: RFC 8032 5.1 (by PyNaCl); DESIGN §4a.
"""

from __future__ import annotations

import nacl.exceptions
import nacl.signing

from keys.encoding import lp
from keys.errors import Tampered
from keys.secret import Secret, take32

PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64


class SigningKey(Secret):
    """An Ed25519 private key; `seed()` is its 32 secret bytes."""

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        super().__init__(take32(seed))
        self._key = nacl.signing.SigningKey(self._raw)
        self.public = bytes(self._key.verify_key)

    @classmethod
    def generate(cls) -> SigningKey:
        """A fresh key from the operating system's randomness."""
        return cls(bytes(nacl.signing.SigningKey.generate()))

    @classmethod
    def from_bytes(cls, seed: bytes) -> SigningKey:
        """The key of that seed. ValueError unless it has 32 bytes."""
        return cls(seed)

    def seed(self) -> bytes:
        """The 32 secret bytes, for sealing at rest."""
        return self._raw

    def sign(self, label: str, *parts: str | bytes | int) -> bytes:
        """64 bytes: the signature over ``lp(label, *parts)``. Labels look like ``sealgate/receipt/v1``."""
        return self.sign_raw(lp(label, *parts))

    def sign_raw(self, message: bytes) -> bytes:
        """The signature over exactly these bytes, as C2SP signed-note wants it. Everything else uses `sign`."""
        return self._key.sign(message).signature


def verify_signature(public: bytes, signature: bytes, label: str, *parts: str | bytes | int) -> None:
    """Return if `signature` over ``lp(label, *parts)`` holds under `public` (32 bytes). Raises Tampered otherwise."""
    verify_raw(public, signature, lp(label, *parts))


def verify_raw(public: bytes, signature: bytes, message: bytes) -> None:
    """Return if `signature` over exactly these bytes holds. Raises Tampered otherwise, also for malformed input."""
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        raise Tampered("a signature or public key has the wrong length")
    try:
        nacl.signing.VerifyKey(bytes(public)).verify(message, bytes(signature))
    except (nacl.exceptions.BadSignatureError, nacl.exceptions.CryptoError, ValueError, TypeError) as error:
        raise Tampered("a signature does not hold") from error
