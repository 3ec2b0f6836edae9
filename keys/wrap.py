"""Wraps: a payload (a message key) under a secret (a link secret L, an officer's R), bound to its context.

Layout: ``version(1) ‖ suite(1) ‖ salt(32) ‖ commit(32) ‖ AES-256-GCM(K, nonce = 0, payload)``, where
``K ‖ commit = HKDF-SHA-256(secret, salt, lp("sealgate/wrap/v1", version, suite, context), 64)``. Promises: a wrap opens
only with its secret and context; the commitment, the only check of a secret that is stored, is compared first and in
constant time; an unknown wrap costs the same work. Clauses: RFC 5869, NIST SP 800-38D; DESIGN §4a (Wrap).
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.encoding import lp
from keys.errors import Tampered, WrongSecret
from keys.kdf import hkdf

VERSION = 1
SUITE_AES_256_GCM = 1
MIN_SECRET_BYTES = 16
OVERHEAD_BYTES = 2 + 32 + 32 + 16

_SALT = slice(2, 34)
_COMMIT = slice(34, 66)
_BODY = slice(66, None)
_NONCE = bytes(12)
_DUMMY = bytes((VERSION, SUITE_AES_256_GCM)) + bytes(64 + 16)


@dataclass(frozen=True, slots=True)
class WrapContext:
    """What a wrap is for. `purpose` is the kind of grant, `key_version` counts renewals of the wrapped key."""

    tenant: str
    message: str
    grant: str
    purpose: str
    key_version: int

    def encode(self) -> bytes:
        """All five, length-prefixed."""
        return lp(self.tenant, self.message, self.grant, self.purpose, self.key_version)


def wrap(secret: bytes, payload: bytes, context: WrapContext) -> bytes:
    """`payload` under `secret` (16 bytes or more, full entropy) for `context`: 82 bytes longer.

    There is no salt argument: the zero nonce is safe only because every call draws a fresh salt, so that K is used
    once. ValueError for a shorter secret.
    """
    head = bytes((VERSION, SUITE_AES_256_GCM))
    salt = os.urandom(32)
    key, commit = _derive(secret, salt, context)
    return head + salt + commit + AESGCM(key).encrypt(_NONCE, payload, None)


def unwrap(secret: bytes, wrapped: bytes, context: WrapContext) -> bytes:
    """The payload.

    Raises WrongSecret when the commitment is another one (another secret or context, or a changed salt or commitment),
    Tampered when the form is unknown or the sealed payload does not hold.
    """
    key, commit = _derive(secret, _checked(wrapped)[_SALT], context)
    if not hmac.compare_digest(commit, wrapped[_COMMIT]):
        raise WrongSecret("a wrap was not made with this secret for this context")
    try:
        return AESGCM(key).decrypt(_NONCE, wrapped[_BODY], None)
    except InvalidTag as error:
        raise Tampered("a wrap's payload does not hold") from error


def commitment_holds(secret: bytes, wrapped: bytes | None, context: WrapContext) -> bool:
    """Whether `secret` is the one of this wrap. None stands for an unknown id: the same work, then False.

    Raises Tampered for an unknown form.
    """
    subject = _DUMMY if wrapped is None else _checked(wrapped)
    _, commit = _derive(secret, subject[_SALT], context)
    equal = hmac.compare_digest(commit, subject[_COMMIT])
    return equal and wrapped is not None


def _checked(wrapped: bytes) -> bytes:
    if len(wrapped) < OVERHEAD_BYTES or (wrapped[0], wrapped[1]) != (VERSION, SUITE_AES_256_GCM):
        raise Tampered("a wrap has an unknown form")
    return wrapped


def _derive(secret: bytes, salt: bytes, context: WrapContext) -> tuple[bytes, bytes]:
    """K and commitment, 32 bytes each."""
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError("a wrapping secret has at least 16 bytes")
    info = lp("sealgate/wrap/v1", VERSION, SUITE_AES_256_GCM, context.encode())
    both = hkdf(secret, info, 64, salt)
    return both[:32], both[32:]
