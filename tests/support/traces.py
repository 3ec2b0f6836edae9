"""Looks for a planted text or a secret in any bytes, in every encoding that a leak could have."""

from __future__ import annotations

import base64
import quopri
import re
import zlib
from collections.abc import Iterator
from urllib.parse import quote

_PACKED = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")


def traces(data: bytes, *planted: str | bytes) -> list[str]:
    """The names of the encodings in which one of `planted` is in `data`, packed streams inside it included."""
    found = []
    needles = {f"{one!r} as {how}": needle for one in planted for how, needle in spellings(one)}
    for where, text in (("", data), *((f"{name} in ", packed) for name, packed in unpacked(data))):
        # A wrapped line hides what it wraps: base64 breaks lines, quoted-printable breaks them with "=".
        flat = text.translate(None, b"\r\n")
        soft = text.replace(b"=\r\n", b"").replace(b"=\n", b"")
        found += [where + name for name, one in needles.items() if one in text or one in flat or one in soft]
    return found


def spellings(planted: str | bytes) -> Iterator[tuple[str, bytes]]:
    """Each encoding's name and the bytes that must not be there."""
    raws = {"raw": planted} if isinstance(planted, bytes) else {}
    if isinstance(planted, str):
        raws = {
            "utf-8": planted.encode(),
            "latin-1": planted.encode("latin-1", "replace"),
            "utf-16-le": planted.encode("utf-16-le"),
            "utf-16-be": planted.encode("utf-16-be"),
        }
        yield "percent", quote(planted).encode()
        yield "json", planted.encode("ascii", "backslashreplace").replace(rb"\x", rb"\u00")
        yield "html", planted.encode("ascii", "xmlcharrefreplace")
    for name, raw in raws.items():
        yield name, raw
        yield f"{name} hex", raw.hex().encode()
        yield f"{name} HEX", raw.hex().upper().encode()
        if b"\0" not in raw and isinstance(planted, str):
            yield f"{name} quoted-printable", quopri.encodestring(raw).replace(b"=\n", b"")
        for offset in range(3):
            for alphabet, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
                yield f"{name} {alphabet}+{offset}", _middle(encode, raw, offset)


def _middle(encode: object, raw: bytes, offset: int) -> bytes:
    """The characters that these bytes alone decide when they begin at that place of a group of three."""
    whole = encode(bytes(offset) + raw)  # type: ignore[operator]
    first = (offset * 8 + 5) // 6
    last = (offset + len(raw)) * 8 // 6
    return bytes(whole[first:last])


def unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Whatever zlib or gzip stream begins anywhere in `data`."""
    for match in _PACKED.finditer(data):
        kind = "zlib" if data[match.start()] == 0x78 else "gzip"
        unpack = zlib.decompressobj(15 if kind == "zlib" else 31)
        try:
            text = unpack.decompress(data[match.start() :], 16 << 20)
        except zlib.error:
            continue
        if text:
            yield kind, text
