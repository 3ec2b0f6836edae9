"""The size of a picture from its first bytes, and whether it is small enough to be a logo.

Promises: nothing is decoded; what is not plainly a PNG, GIF or JPEG with a readable size is no decoration.
DESIGN §3: until OCR has read it, an inline image stays in the mail only up to 64 KB and 600 × 200 px.
"""

from __future__ import annotations

import struct

DECORATION_BYTES = 65_536
DECORATION_PIXELS = (600, 200)
_START_OF_FRAME = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})


def is_decoration(data: bytes) -> bool:
    """Whether these bytes are a picture within the limits of a logo or signature."""
    if not data or len(data) > DECORATION_BYTES:
        return False
    size = dimensions(data)
    return size is not None and 0 < size[0] <= DECORATION_PIXELS[0] and 0 < size[1] <= DECORATION_PIXELS[1]


def dimensions(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, or None."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return int(width), int(height)
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return int(width), int(height)
    return _jpeg(data) if data.startswith(b"\xff\xd8\xff") else None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _START_OF_FRAME:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        if length < 2:
            return None
        at += 2 + length
    return None
