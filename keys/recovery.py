"""A tenant's recovery key: which one it is, MK sealed to it, and the proof that somebody opened a message with it.

Promises: what is sealed to a recovery key opens only with its private half, which is none of ours, and only as the
grant it was made for; the proof follows from a message's key and an object's share together, so that whoever shows it
has had both; from what is stored of it nobody makes one. DESIGN §4 (`recovery`), §4a (To a public key).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from keys.boxes import PUBLIC_BYTES, SUITE_X25519, BoxKey, seal_box
from keys.encoding import lp
from keys.errors import Tampered, WrongSecret
from keys.kdf import hkdf

VERSION = 2
"""Of what is stored in the place of a wrap; 1 is a wrap."""
ID_PREFIX = "rky_"
KIND = "recovery"
CHECK_BYTES = 10
PROOF_BYTES = 16
_ID_BYTES = 10
_NAME = slice(1, 1 + _ID_BYTES)
_MARK = slice(1 + _ID_BYTES, 1 + _ID_BYTES + 32)
_BOX = slice(1 + _ID_BYTES + 32, None)


@dataclass(frozen=True, slots=True)
class Place:
    """Which grant of which message it is. `key_version` counts renewals of the message's key."""

    tenant: str
    message: str
    grant: str
    key_version: int = 1

    def encode(self) -> bytes:
        """As in a wrap's context, with the purpose `recovery`."""
        return lp(self.tenant, self.message, self.grant, KIND, self.key_version)


def key_id(public: bytes) -> str:
    """The name of the recovery key with this public half. ValueError for another length."""
    if len(public) != PUBLIC_BYTES:
        raise ValueError("a public key must have 32 bytes")
    return ID_PREFIX + _name(public).hex()


def seal(public: bytes, message_key: bytes, first_share: bytes, place: Place) -> bytes:
    """MK for that recovery key, as it lies in the place of a wrap.

    `first_share` is S_o of the message's first object, or empty for a message without any. ValueError for a public key
    that cannot be used.
    """
    name = _name(public)
    mark = mark_of(proof_of(message_key, first_share, place))
    return bytes((VERSION,)) + name + mark + seal_box(public, place.encode(), message_key)


def sealed_for(wrap: bytes) -> str:
    """The name of the recovery key for which it was sealed. Raises Tampered for an unknown form."""
    return ID_PREFIX + _checked(wrap)[_NAME].hex()


def unseal(private: BoxKey, wrap: bytes, place: Place) -> bytes:
    """MK. Raises WrongSecret for another recovery key, Tampered for a changed byte or another grant's."""
    if not hmac.compare_digest(_checked(wrap)[_NAME], _name(private.public)):
        raise WrongSecret("it was sealed for another recovery key")
    return private.open(place.encode(), wrap[_BOX])


def proof_of(message_key: bytes, first_share: bytes, place: Place) -> bytes:
    """What whoever opened the message can show, and nobody else."""
    return hkdf(message_key + first_share, lp("sealgate/opened/v1", place.encode()), PROOF_BYTES)


def mark_of(proof: bytes) -> bytes:
    """What is stored of a proof."""
    return hashlib.sha256(lp("sealgate/opened-mark/v1", proof)).digest()


def proves(wrap: bytes, proof: bytes) -> bool:
    """Whether it is the proof for that grant, in constant time. Raises Tampered for an unknown form."""
    return hmac.compare_digest(_checked(wrap)[_MARK], mark_of(proof))


def check_mark(key: str, check: bytes) -> bytes:
    """What is stored of the check value of one of a recovery key's sheets."""
    return hashlib.sha256(lp("sealgate/recovery-check/v1", key, check)).digest()


def _name(public: bytes) -> bytes:
    return hashlib.sha256(lp("sealgate/recovery-key-id/v1", SUITE_X25519, public)).digest()[:_ID_BYTES]


def _checked(wrap: bytes) -> bytes:
    if len(wrap) <= _BOX.start or wrap[0] != VERSION:
        raise Tampered("a recovery grant has an unknown form")
    return bytes(wrap)
