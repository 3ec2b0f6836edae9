"""A ZIP that nobody here can read: the same bytes at every run."""

from __future__ import annotations

import io
import zipfile


def locked_zip() -> bytes:
    """A ZIP whose one entry says that it is encrypted (APPNOTE 4.4.4, bit 0)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("inner.txt", (2026, 1, 2, 3, 4, 6)), b"\x8a\x11\x7c" * 40)
    data = bytearray(out.getvalue())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)
