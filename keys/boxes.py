"""Boxes: a payload sealed to a public key, with a suite id in front so that HPKE can follow.

Layout: ``suite(1) ‖ sealed``. Suite 1 is the libsodium sealed box (X25519, XSalsa20-Poly1305) of
``lp(context) ‖ payload``. Promises: a box opens only with the private key and only for the context it was made for.
Anyone with the public key can make one, so whoever needs to know the maker signs beside it. DESIGN §4a.
"""

from __future__ import annotations

import hmac

import nacl.exceptions
import nacl.public

from keys.encoding import lp
from keys.errors import Tampered
from keys.secret import Secret, take32

SUITE_X25519 = 1
PUBLIC_BYTES = 32


class BoxKey(Secret):
    """An X25519 private key that opens boxes made to `public`."""

    __slots__ = ("_box", "public")

    def __init__(self, private: bytes) -> None:
        super().__init__(take32(private))
        key = nacl.public.PrivateKey(self._raw)
        self._box = nacl.public.SealedBox(key)
        self.public = bytes(key.public_key)

    @classmethod
    def generate(cls) -> BoxKey:
        """A fresh key from the operating system's randomness."""
        return cls(bytes(nacl.public.PrivateKey.generate()))

    @classmethod
    def from_private(cls, private: bytes) -> BoxKey:
        """The key of these 32 private bytes. ValueError for another length."""
        return cls(private)

    def private_bytes(self) -> bytes:
        """The 32 secret bytes, for sealing at rest."""
        return self._raw

    def open(self, context: bytes, boxed: bytes) -> bytes:
        """The payload. Raises Tampered for another key, a changed byte, an unknown suite or another context."""
        if len(boxed) < 1 or boxed[0] != SUITE_X25519:
            raise Tampered("a box has an unknown suite")
        try:
            inner = self._box.decrypt(bytes(boxed[1:]))
        except (nacl.exceptions.CryptoError, ValueError, TypeError) as error:
            raise Tampered("a box does not open") from error
        prefix = lp(context)
        if not hmac.compare_digest(inner[: len(prefix)], prefix):
            raise Tampered("a box was made for another context")
        return inner[len(prefix) :]


def seal_box(public: bytes, context: bytes, payload: bytes) -> bytes:
    """`payload` sealed to `public` (32 bytes) for `context`. ValueError for a public key that cannot be used."""
    if len(public) != PUBLIC_BYTES:
        raise ValueError("a public key must have 32 bytes")
    try:
        sealed = nacl.public.SealedBox(nacl.public.PublicKey(bytes(public))).encrypt(lp(context) + payload)
    except nacl.exceptions.CryptoError as error:  # a point of small order, on which everyone would agree
        raise ValueError("a public key cannot be used") from error
    return bytes((SUITE_X25519,)) + sealed
