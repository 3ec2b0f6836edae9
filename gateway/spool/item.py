"""What a spool record says, and the three contexts that tie its parts together.

A record names its item; the *context* ties content, box and signature to tenant, item, direction and node, so nothing
can be moved to another item. DESIGN §4a, "Spool item"; the bytes are listed in FORMAT.md.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace

from keys.encoding import lp
from keys.errors import Tampered
from keys.signing import verify_signature

VERSION = 1
CONTEXT = "sealgate/spool/v1"
SIGNATURE = "sealgate/spool-item/v1"
INLINE, LARGE, BOX, ERASED = 1, 2, 3, 4  # kinds of frames
DIRECTIONS = ("in", "out")
HOUR_US = 3_600_000_000
COMMIT_GRACE_US = 60_000_000
"""How long after its hour an item may still be committed to an epoch; later it is not answered 250."""
EPOCH_GRACE_US = 300_000_000
"""How long after its hour an epoch is kept at least: longer than the above, so that no answered item finds it gone."""

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Entry:
    """One waiting item, as its log record tells. Its signature has been checked; its content not yet.

    `epoch` counts hours since 1970; `sealed_bytes` is the size of the sealed content, roughly that of the message.
    """

    id: str
    tenant: str
    epoch: int
    role: str
    header: bytes
    box: bytes
    sealed_bytes: int
    large: bool
    segment: int = 0
    offset: int = 0

    def reboxed(self, epoch: int, box: bytes, role: str) -> Entry:
        """The same item with its key boxed to another epoch."""
        return replace(self, epoch=epoch, box=box, role=role)


def placed(entry: Entry, segment: int, offset: int) -> Entry:
    """The entry with the place of its sealed content in the log."""
    return replace(entry, segment=segment, offset=offset)


def context(tenant: str, item: str, direction: str, node: str) -> bytes:
    """What content and signature of an item are bound to."""
    return lp(CONTEXT, tenant, item, direction, node)


def box_context(tenant: str, item: str, direction: str, node: str, epoch: int) -> bytes:
    """What the box of an item is bound to: 32 bytes."""
    return hashlib.sha256(lp(CONTEXT, tenant, item, direction, node, epoch)).digest()


def current_epoch(now_us: int) -> int:
    """The epoch of this moment: whole hours since 1970 UTC."""
    return now_us // HOUR_US


def encode_item(*, tenant: str, role: str, epoch: int, header: bytes, box: bytes, signature: bytes) -> bytes:
    """The body of an item's record, without what follows: the sealed content, or its length for a large item."""
    return bytes((VERSION,)) + lp(tenant, role, epoch, header, box, signature)


def encode_size(sealed_bytes: int) -> bytes:
    """What follows in the record of a large item."""
    return _U64.pack(sealed_bytes)


def decode_item(
    body: bytes, *, item: str, large: bool, direction: str, node: str, public_keys: dict[str, bytes]
) -> tuple[Entry, int]:
    """The entry of a record and the offset in `body` where its sealed content begins.

    Raises Tampered for another version, a shape that was never written, a signer who may not sign it, or a signature
    that does not hold.
    """
    try:
        (tenant, role, epoch, header, box, signature), at = _parts(body, 6)
        entry = Entry(
            id=item,
            tenant=tenant.decode("ascii"),
            epoch=_U64.unpack(epoch)[0],
            role=role.decode("ascii"),
            header=header,
            box=box,
            sealed_bytes=_U64.unpack(body[at:])[0] if large else len(body) - at,
            large=large,
        )
    except (ValueError, struct.error) as error:
        raise Tampered("a spool record has another form") from error
    if entry.role != ("smtp" if direction == "in" else "worker"):
        raise Tampered("a spool record names a signer who may not write here")
    check(entry, signature, direction, node, public_keys)
    return entry, at


def encode_box(*, epoch: int, box: bytes, signature: bytes) -> bytes:
    """The body of a record that gives an item a new box."""
    return bytes((VERSION,)) + lp(epoch, box, signature)


def decode_box(body: bytes, entry: Entry, direction: str, node: str, public_keys: dict[str, bytes]) -> Entry:
    """`entry` with the box of this record, which the worker must have signed. Raises Tampered otherwise."""
    try:
        (epoch, box, signature), at = _parts(body, 3)
        number = _U64.unpack(epoch)[0]
        if at != len(body):
            raise ValueError
    except (ValueError, struct.error) as error:
        raise Tampered("a spool box record has another form") from error
    changed = entry.reboxed(number, box, "worker")
    check(changed, signature, direction, node, public_keys)
    return changed


def check(entry: Entry, signature: bytes, direction: str, node: str, public_keys: dict[str, bytes]) -> None:
    """Raises Tampered unless the entry's role signed this header tag and this box for this item."""
    public = public_keys.get(entry.role)
    if public is None:
        raise Tampered("a spool record is signed by a role without a known key")
    try:
        bound = context(entry.tenant, entry.id, direction, node)
    except ValueError as error:
        raise Tampered("a spool record has another form") from error
    verify_signature(public, signature, SIGNATURE, bound, entry.header[-32:], entry.box)


def _parts(body: bytes, count: int) -> tuple[list[bytes], int]:
    """The first `count` length-prefixed parts after the version byte, and where they end."""
    if not body or body[0] != VERSION:
        raise ValueError("unknown version")
    at, parts = 1, []
    for _ in range(count):
        (length,) = _U32.unpack_from(body, at)
        at += 4
        if at + length > len(body):
            raise ValueError("a part runs over the end")
        parts.append(body[at : at + length])
        at += length
    return parts, at
