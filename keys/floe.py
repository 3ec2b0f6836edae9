"""FLOE with the one parameter set of Sealgate: 256 KiB segments, AES-256-GCM, HKDF-Expand-SHA-384, 32-byte IV.

Promises: every other parameter set is refused before any cryptography; no plaintext byte of a segment leaves before
that segment's tag held at its place; the last segment is marked, so a cut never looks like an end.
Clauses: C2SP FLOE; DESIGN §4a (Object). A ciphertext is header ‖ body; the body is the segments.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator

from keys import floe_family
from keys.errors import Tampered
from keys.floe_family import HEADER_TAG_BYTES, SEGMENT_OVERHEAD, Buffer, Parameters

SEGMENT_BYTES = 262_144
PARAMETERS = Parameters(
    aead_id=floe_family.AEAD_AES_256_GCM, kdf_id=floe_family.KDF_EXPAND_SHA384, segment_bytes=SEGMENT_BYTES, iv_bytes=32
)
HEADER_BYTES = PARAMETERS.header_bytes
SEGMENT_PLAIN_BYTES = PARAMETERS.plain_bytes

__all__ = [
    "HEADER_BYTES",
    "HEADER_TAG_BYTES",
    "PARAMETERS",
    "SEGMENT_BYTES",
    "SEGMENT_OVERHEAD",
    "SEGMENT_PLAIN_BYTES",
    "Opener",
    "Sealer",
    "plain_length",
    "segment_count",
    "segment_range",
]

_ENCODED = PARAMETERS.encode()


class Sealer:
    """Seals one stream: write `header`, then what `update` and `finish` return, in order.

    `update_pieces` and `finish_pieces` are the same without the copy of joining: hand them to ``os.writev`` or
    ``writelines``. One thread at a time. ValueError after `finish`.
    """

    __slots__ = ("_closed", "_filled", "_held", "_out", "_position", "_stream", "header", "header_tag")

    def __init__(self, key: bytes, aad: bytes) -> None:
        self._stream, self.header = floe_family.start_sealing(PARAMETERS, _key(key), aad, os.urandom)
        self.header_tag = self.header[-HEADER_TAG_BYTES:]
        self._position = 0
        self._held = bytearray()  # plaintext not yet sealed: a segment is sealed only when we know whether it is last
        self._filled = 0
        self._out: memoryview | None = None
        self._closed = False

    def update(self, data: Buffer) -> bytes:
        """Take more plaintext; the sealed segments that are complete by now, possibly none."""
        sealed: list[bytes] = []
        for plain in self._full(data):
            # One buffer for the life of the sealer: a fresh pair of these sizes per segment costs five times the AES.
            out = self._out = self._out or memoryview(bytearray(SEGMENT_BYTES))
            self._stream.seal_into(out, plain, self._next(), False, os.urandom)
            sealed.append(bytes(out))
        return sealed[0] if len(sealed) == 1 else b"".join(sealed)

    def finish(self) -> bytes:
        """The last sealed segment. Every stream has one, an empty stream too."""
        return b"".join(self.finish_pieces())

    def update_pieces(self, data: Buffer) -> list[bytes]:
        """`update` as pieces whose concatenation is the sealed segments."""
        pieces: list[bytes] = []
        for plain in self._full(data):
            pieces += self._stream.seal(plain, self._next(), False, os.urandom)
        return pieces

    def finish_pieces(self) -> list[bytes]:
        """`finish` as pieces."""
        if self._closed:
            raise ValueError("this stream is finished")
        self._closed = True
        with memoryview(self._held) as held:
            pieces = self._stream.seal(held[: self._filled], self._next(), True, os.urandom)
        self._held, self._out = bytearray(), None
        return pieces

    def _full(self, data: Buffer) -> Iterator[Buffer]:
        """The full segments that are now known not to be the last; the rest is held back."""
        if self._closed:
            raise ValueError("this stream is finished")
        with memoryview(data) as whole, whole.cast("B") as view:
            at, end = 0, len(view)
            while self._filled + (end - at) > SEGMENT_PLAIN_BYTES:
                take = SEGMENT_PLAIN_BYTES - self._filled
                if self._filled:
                    self._hold(view[at : at + take])
                    yield self._held
                    self._filled = 0
                else:
                    yield view[at : at + take]
                at += take
            if at < end:
                self._hold(view[at:])

    def _hold(self, data: memoryview) -> None:
        """Keep a copy: the caller may reuse its buffer. The space is reused from segment to segment."""
        end = self._filled + len(data)
        if end <= len(self._held):
            with memoryview(self._held) as view:
                view[self._filled : end] = data
        else:
            del self._held[self._filled :]
            self._held += data
        self._filled = end

    def _next(self) -> int:
        """The position of the segment about to be sealed. No position is used twice, even after an error."""
        self._position += 1
        return self._position - 1


class Opener:
    """Opens segments of one stream in any order, once the header held. May be used by several threads."""

    __slots__ = ("_stream",)

    def __init__(self, key: bytes, aad: bytes, header: bytes, header_tag: bytes | None) -> None:
        if len(header) != HEADER_BYTES or header[: len(_ENCODED)] != _ENCODED:
            raise Tampered("a sealed stream has other parameters")
        if header_tag is not None and not hmac.compare_digest(header[-HEADER_TAG_BYTES:], header_tag):
            raise Tampered("a sealed stream's header tag is not the pinned one")
        self._stream = floe_family.start_opening(PARAMETERS, _key(key), aad, header)

    def segment(self, index: int, sealed: Buffer, *, final: bool) -> bytes:
        """The plaintext of the segment at `index`, which the caller knows from the body's size to be final or not.

        Raises Tampered unless exactly this segment was sealed at this place of this stream.
        """
        return self._stream.open(sealed, index, final)


def segment_count(sealed_body_bytes: int) -> int:
    """How many segments a body of that size has. Raises Tampered for a size that no body has."""
    count, rest = divmod(sealed_body_bytes, SEGMENT_BYTES)
    if sealed_body_bytes < SEGMENT_OVERHEAD or 0 < rest < SEGMENT_OVERHEAD:
        raise Tampered("a sealed stream has an impossible length")
    return count + (1 if rest else 0)


def plain_length(sealed_body_bytes: int) -> int:
    """The length of the plaintext in a body of that size. Raises Tampered for a size that no body has."""
    return sealed_body_bytes - segment_count(sealed_body_bytes) * SEGMENT_OVERHEAD


def segment_range(index: int, sealed_body_bytes: int) -> tuple[int, int]:
    """Where segment `index` lies in the body: first byte and the byte after its last. IndexError beyond the end."""
    if not 0 <= index < segment_count(sealed_body_bytes):
        raise IndexError("no such segment")
    start = index * SEGMENT_BYTES
    return start, min(start + SEGMENT_BYTES, sealed_body_bytes)


def _key(key: bytes) -> bytes:
    if len(key) != floe_family.KEY_BYTES:
        raise ValueError("a data key must have 32 bytes")
    return key
