"""Frames: how records stand in a log file, so that a torn or damaged one is noticed and the next one is found.

Layout: ``"SGF1" ‖ kind(1) ‖ id(20 ASCII) ‖ body length(u32) ‖ CRC-32 of these 29 bytes ‖ body ‖ CRC-32 of the body``.
Promises: `scan` yields whole frames in order; a frame whose body does not match is reported by its id and skipped;
where no header stands it looks for the next one, so one flipped bit costs one record. The checksums find accidents;
against people there are the signature and the seal inside.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"SGF1"
_HEAD = struct.Struct(">4sB20sII")
_CRC = struct.Struct(">I")
HEAD_BYTES = _HEAD.size
OVERHEAD_BYTES = HEAD_BYTES + _CRC.size
MAX_BODY_BYTES = 1 << 20
_WINDOW_BYTES = 2 << 20
assert MAX_BODY_BYTES + OVERHEAD_BYTES <= _WINDOW_BYTES


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole record: `start` and `stop` are byte offsets in the file, the body begins at `start + HEAD_BYTES`."""

    kind: int
    id: str
    body: bytes
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes from `start` to `stop` that are no valid frame; `id` where the header was still readable."""

    id: str | None
    start: int
    stop: int


def encode(kind: int, record_id: str, body: bytes) -> bytes:
    """One frame. ValueError for an id that is not 20 ASCII characters or a body over 1 MiB."""
    raw = record_id.encode("ascii")
    if len(raw) != 20 or len(body) > MAX_BODY_BYTES:
        raise ValueError("a record that does not fit a frame")
    head = _HEAD.pack(MAGIC, kind, raw, len(body), 0)[:-4]
    return b"".join((head, _CRC.pack(zlib.crc32(head)), body, _CRC.pack(zlib.crc32(body))))


def scan(descriptor: int, start: int) -> Iterator[Frame | Damage]:
    """Frames of the file from byte `start` to its present end.

    Stops without a word where the rest is no whole frame: that is a tail still being written or torn off. The caller
    compares the last `stop` with the file's size to know which.
    """
    at, window, base = start, b"", start
    while True:
        if at - base > _WINDOW_BYTES // 2 or len(window) - (at - base) < HEAD_BYTES:
            window, base = os.pread(descriptor, _WINDOW_BYTES, at), at
        view = window[at - base : at - base + HEAD_BYTES]
        if len(view) < HEAD_BYTES:
            return
        head = _parse_head(view)
        if head is None:
            found = _next_head(descriptor, at + 1)
            if found is None:
                return
            yield Damage(None, at, found)
            at = found
            continue
        kind, record_id, length = head
        stop = at + OVERHEAD_BYTES + length
        if stop - base > len(window):
            window, base = os.pread(descriptor, _WINDOW_BYTES, at), at
        if stop - base > len(window):
            # A length is under the header's checksum, so this is a true header whose body is not all there. A whole
            # header after it shows that the log went on: then the record was cut out of the middle.
            found = _next_head(descriptor, at + 1)
            if found is None:
                return
            yield Damage(record_id, at, found)
            at = found
            continue
        body = window[at - base + HEAD_BYTES : stop - base - _CRC.size]
        if _CRC.unpack_from(window, stop - base - _CRC.size)[0] == zlib.crc32(body):
            yield Frame(kind, record_id, body, at, stop)
            at = stop
            continue
        # Cut or flipped? After a cut the next frame begins inside what should have been this body.
        found = _next_head(descriptor, at + 1)
        stop = stop if found is None else min(stop, found)
        yield Damage(record_id, at, stop)
        at = stop


def _parse_head(view: bytes) -> tuple[int, str, int] | None:
    magic, kind, raw, length, crc = _HEAD.unpack(view)
    if magic != MAGIC or crc != zlib.crc32(view[:-4]) or length > MAX_BODY_BYTES or not raw.isascii():
        return None
    return kind, raw.decode("ascii"), length


def _next_head(descriptor: int, start: int) -> int | None:
    """The offset of the next true header at or after `start`."""
    at = start
    while True:
        window = os.pread(descriptor, _WINDOW_BYTES, at)
        if len(window) < HEAD_BYTES:
            return None
        position = window.find(MAGIC)
        while position >= 0:
            view = window[position : position + HEAD_BYTES]
            if len(view) == HEAD_BYTES and _parse_head(view) is not None:
                return at + position
            position = window.find(MAGIC, position + 1)
        at += max(1, len(window) - HEAD_BYTES + 1)
