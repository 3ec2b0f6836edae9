"""Data keys: opaque values that seal and open streams and small values.

Promises: the bytes of a key leave it only by `raw()`, for wraps, spool boxes and derivations; a sealed value opens
only under its key and its context; every stored form begins with a version byte.
Clauses: NIST SP 800-38D 8.3 (random nonces: at most 2**32 values under one key), RFC 2104, DESIGN §4, §4a.
"""

from __future__ import annotations

import hmac
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys import floe
from keys.encoding import lp
from keys.errors import Tampered
from keys.kdf import hkdf
from keys.secret import Secret, take32

VALUE_VERSION = 1
VALUE_OVERHEAD_BYTES = 1 + 12 + 16
MAC_BYTES = 32
_U32 = struct.Struct(">I")


class DataKey(Secret):
    """32 bytes under which one object is sealed as a FLOE stream."""

    __slots__ = ()

    def __init__(self, raw: bytes) -> None:
        super().__init__(take32(raw))

    @classmethod
    def random(cls) -> DataKey:
        """A fresh key from the operating system's randomness."""
        return cls(os.urandom(32))

    def raw(self) -> bytes:
        """The secret bytes: for this package, the spool's boxes and derivations alone."""
        return self._raw

    def sealer(self, aad: bytes) -> floe.Sealer:
        """A writer of one FLOE ciphertext bound to `aad`. Each call starts another ciphertext with a fresh IV."""
        return floe.Sealer(self._raw, aad)

    def opener(self, aad: bytes, header: bytes, header_tag: bytes | None) -> floe.Opener:
        """A reader of the FLOE ciphertext with that header.

        `header_tag` is the tag pinned elsewhere (row, log, signature); None only where the header itself came under a
        signature. Raises Tampered if parameters, pinned tag, key or `aad` do not hold.
        """
        return floe.Opener(self._raw, aad, header, header_tag)

    def value_key(self, label: str) -> ValueKey:
        """The key for small values beside the stream, one per label."""
        return ValueKey(hkdf(self._raw, lp(label)))


class ValueKey(Secret):
    """32 bytes under which many small values are sealed and authenticated, each for its own context."""

    __slots__ = ("_gcm", "_mac_key")

    def __init__(self, raw: bytes) -> None:
        super().__init__(take32(raw))
        self._gcm = AESGCM(self._raw)
        self._mac_key: bytes | None = None

    @classmethod
    def random(cls) -> ValueKey:
        """A fresh key from the operating system's randomness."""
        return cls(os.urandom(32))

    def raw(self) -> bytes:
        """The secret bytes, for sealing at rest and for derivations."""
        return self._raw

    def seal(self, context: bytes, value: bytes) -> bytes:
        """``0x01 ‖ nonce(12) ‖ AES-256-GCM``, AAD ``lp("sealgate/value/v1", context)``: 29 bytes more than `value`."""
        nonce = os.urandom(12)
        return bytes((VALUE_VERSION,)) + nonce + self._gcm.encrypt(nonce, value, lp("sealgate/value/v1", context))

    def open(self, context: bytes, sealed: bytes) -> bytes:
        """The value. Raises Tampered for another key or context, a changed byte, a cut or an unknown version."""
        if len(sealed) < VALUE_OVERHEAD_BYTES or sealed[0] != VALUE_VERSION:
            raise Tampered("a sealed value has an unknown form")
        try:
            return self._gcm.decrypt(sealed[1:13], sealed[13:], lp("sealgate/value/v1", context))
        except InvalidTag as error:
            raise Tampered("a sealed value does not open") from error

    def mac(self, context: bytes, value: bytes) -> bytes:
        """32 bytes: HMAC-SHA-256 of ``lp(context, value)`` under a key derived for MACs only."""
        if self._mac_key is None:
            self._mac_key = hkdf(self._raw, lp("sealgate/value-mac/v1"))
        # lp(context, value), written out: this runs for every row read or written
        framed = b"".join((_U32.pack(len(context)), context, _U32.pack(len(value)), value))
        return hmac.digest(self._mac_key, framed, "sha256")

    def check(self, context: bytes, value: bytes, mac: bytes) -> bool:
        """Whether `mac` is the one of `value` in `context`; compared in constant time."""
        return hmac.compare_digest(self.mac(context, value), mac)
