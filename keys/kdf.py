"""HKDF-SHA-256, the one derivation of this package outside FLOE. RFC 5869; DESIGN §4: salt empty unless named."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def hkdf(secret: bytes, info: bytes, length: int = 32, salt: bytes = b"") -> bytes:
    """`length` bytes from `secret`. `info` is built with `lp`. ValueError for an empty secret."""
    if not secret:
        raise ValueError("nothing is derived from an empty secret")
    return HKDF(hashes.SHA256(), length, salt or None, info).derive(secret)
