"""Bytes of text to characters, under the declared charset and under what the bytes say.

Promises: a byte-order mark wins, then the declared charset when it fits, then UTF-8, then Windows-1252; UTF-16 without
a mark is noticed by its zeros. Nothing is dropped: what no charset explains becomes U+FFFD. Bytes that are plain ASCII
are given as such too, when the declared charset makes something else of them: programs that do not know it show ASCII.
"""

from __future__ import annotations

import codecs

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ALIASES = {
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "x-unknown": "utf-8",
    "unknown-8bit": "utf-8",
    "utf8": "utf-8",
    "windows-31j": "cp932",
}
_NOT_TEXT = frozenset(
    {
        "base64",
        "hex",
        "zlib",
        "bz2",
        "rot13",
        "quopri",
        "uu",
        "idna",
        "punycode",
        "undefined",
        "mbcs",
        "oem",
        "raw_unicode_escape",
        "unicode_escape",
    }
)


_ASCII_IN_ALL = frozenset(
    ("", "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "iso-8859-15", "windows-1252", "cp1252")
)


def decode(data: bytes, declared: str | None = None) -> str:
    """The text, and behind it the other reading where there is one. Never raises."""
    if data.isascii() and b"\0" not in data and (declared or "").lower() in _ASCII_IN_ALL:
        return data.decode("ascii")  # most mail: every reading is the same
    text = _decode(data, declared)
    plain = data.lstrip(b"\xef\xbb\xbf\xff\xfe")
    if plain.isascii() and b"\0" not in plain:
        shown = plain.decode("ascii")
        if shown not in text:
            return f"{text}\n\n{shown}"
    return text


def _decode(data: bytes, declared: str | None) -> str:
    for mark, charset in _MARKS:
        if data.startswith(mark):
            return data.decode(charset, "replace")
    sample = data[:4096]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if len(sample) >= 8 and max(even, odd) > len(sample) // 8 and min(even, odd) <= len(sample) // 64:
        return data.decode("utf-16-be" if even > odd else "utf-16-le", "replace")
    name = _ALIASES.get((declared or "utf-8").strip("\"' ").lower(), (declared or "utf-8").strip("\"' ").lower())
    for charset in dict.fromkeys((name, "utf-8")):
        try:
            found = codecs.lookup(charset)
            if found.name.replace("-", "_") in _NOT_TEXT or not getattr(found, "_is_text_encoding", True):
                continue
            return data.decode(charset)
        except (LookupError, UnicodeError, ValueError):
            continue
    return data.decode("cp1252", "replace")
