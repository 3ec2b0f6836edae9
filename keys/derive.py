"""The derivations of the three shares: which key follows from which secret, for which names.

Promises: every derived key depends on each id it is named for; nothing is derived from less than both shares.
Clauses: RFC 5869 (HKDF-SHA-256), DESIGN §4. MK is the message key (wrapped per grant), S the message share
(in the keyholder), S_o the object share that one release gives out.
"""

from __future__ import annotations

from keys.datakey import DataKey, ValueKey
from keys.encoding import lp
from keys.kdf import hkdf
from keys.secret import take32

__all__ = ["KINDS", "blob_aad", "hkdf", "meta_key", "object_key", "object_share"]

KINDS = frozenset({"body", "file", "original", "subject", "preview", "text", "zip"})


def object_share(share: bytes, *, tenant: str, message: str, object_id: str) -> bytes:
    """S_o, 32 bytes: what the keyholder releases for one object of a message whose share is `share` (S)."""
    return hkdf(take32(share), lp("sealgate/share/v1", tenant, message, object_id))


def object_key(
    message_key: bytes, object_share: bytes, *, tenant: str, message: str, object_id: str, kind: str
) -> DataKey:
    """The data key of one object, from MK and S_o (32 bytes each). ValueError for an unknown kind."""
    secret = take32(message_key) + take32(object_share)
    return DataKey(hkdf(secret, lp("sealgate/object/v1", tenant, message, object_id, _kind(kind))))


def meta_key(share: bytes, *, tenant: str, message: str) -> ValueKey:
    """The key of a message's metadata (subject, names, types, true lengths), from S alone."""
    return ValueKey(hkdf(take32(share), lp("sealgate/meta/v1", tenant, message)))


def blob_aad(*, tenant: str, object_id: str, kind: str) -> bytes:
    """What a blob's header tag commits to besides the key. ValueError for an unknown kind."""
    return lp("sealgate/blob/v1", tenant, object_id, _kind(kind))


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError("unknown kind of object")
    return kind
