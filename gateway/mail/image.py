"""The size of a picture from its first bytes, and whether it is small enough to be a logo.

Promises: nothing is decoded; what is not plainly a PNG, GIF or JPEG with a readable size and its own end is no
decoration: anything else could stand behind the first bytes of a picture.
DESIGN §3: until OCR has read it, an inline image stays in the mail only up to 64 KB and 600 × 200 px.
"""

from __future__ import annotations

import re
import struct
import zlib

DECORATION_BYTES = 65_536
DECORATION_PIXELS = (600, 200)
AFTER_BYTES = 8
"""What may stand behind the end of a picture: a line end of the mail program that attached it."""

TEXT_BYTES = 256
"""The longest text chunk of a PNG: the name of the program that drew it."""

_GIF_END = re.compile(rb"\x3b.{0,8}\Z", re.S)
_JPEG_END = re.compile(rb"\xff\xd9.{0,8}\Z", re.S)
_START_OF_FRAME = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})


def is_decoration(data: bytes) -> bool:
    """Whether these bytes are a picture within the limits of a logo or signature."""
    if not data or len(data) > DECORATION_BYTES:
        return False
    size = dimensions(data)
    if not _ends(data):
        return False
    return size is not None and 0 < size[0] <= DECORATION_PIXELS[0] and 0 < size[1] <= DECORATION_PIXELS[1]


def _ends(data: bytes) -> bool:
    """Whether a picture ends where its format says, with hardly anything behind."""
    if data.startswith(b"\x89PNG"):
        end = _png_end(data)
        return end is not None and len(data) - end <= AFTER_BYTES
    mark = _GIF_END if data.startswith(b"GIF") else _JPEG_END
    return mark.search(data, max(0, len(data) - AFTER_BYTES - 2)) is not None


def _png_end(data: bytes) -> int | None:
    """Where the IEND chunk ends, if every chunk up to it is whole (PNG 5.3) and none of them holds a long text."""
    at = 8
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        stop = at + 12 + length
        if stop > len(data) or zlib.crc32(data[at + 4 : stop - 4]) != int.from_bytes(data[stop - 4 : stop], "big"):
            return None
        if kind in (b"tEXt", b"zTXt", b"iTXt") and length > TEXT_BYTES:
            return None
        if kind == b"IEND":
            return stop if length == 0 else None
        at = stop
    return None


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
