"""AES-256-GCM under a key that is in this process: the file's, a credential's, or a store key.

A wrap is ``0x01 ‖ nonce(12) ‖ AES-256-GCM(key, …)``, AAD ``lp("sealgate/kek/v1", context)``. FORMAT §11.
"""

from __future__ import annotations

import os
from typing import ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.encoding import lp
from keys.errors import Tampered
from keys.kdf import hkdf
from keys.secret import Secret, take32

VERSION = 1
MAGIC = "sealgate-kek-v1"
_OVERHEAD = 1 + 12 + 16


class LocalKey(Secret):
    """The port over 32 bytes in memory. ValueError for any other number of them."""

    __slots__ = ("_gcm", "check_value", "name")
    local: ClassVar[bool] = True

    def __init__(self, raw: bytes, name: str) -> None:
        super().__init__(take32(raw))
        self.name = name
        self.check_value = hkdf(self._raw, lp("sealgate/kek-check/v1"), 8).hex()
        self._gcm = AESGCM(self._raw)

    def wrap(self, key: bytes, context: bytes) -> bytes:
        nonce = os.urandom(12)
        return bytes((VERSION,)) + nonce + self._gcm.encrypt(nonce, key, lp("sealgate/kek/v1", context))

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        if len(wrapped) < _OVERHEAD or wrapped[0] != VERSION:
            raise Tampered("a wrapped key has an unknown form")
        try:
            return self._gcm.decrypt(wrapped[1:13], wrapped[13:], lp("sealgate/kek/v1", context))
        except InvalidTag as error:
            raise Tampered("a wrapped key does not open") from error


def fresh_line() -> bytes:
    """The one line of a new root key, so that it can be printed and kept on paper."""
    return f"{MAGIC} {os.urandom(32).hex()}\n".encode()


def key_of(line: bytes) -> bytes | None:
    """The key in such a line; None for anything else."""
    word, _, digits = line.decode("ascii", "replace").rstrip("\r\n").partition(" ")
    if word != MAGIC or len(digits) != 64 or digits.strip("0123456789abcdef"):
        return None
    return bytes.fromhex(digits)
