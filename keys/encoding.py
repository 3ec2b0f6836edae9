"""Unambiguous bytes: length-prefixed parts, canonical JSON, base62 of fixed width.

Promises: two different inputs never encode alike, and `parse_canonical` and `b62decode` take exactly one spelling of
each value. Clauses: DESIGN §4 (`lp`), RFC 8785 restricted to integers (no floating point), ECMAScript string escapes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGIT = {character: value for value, character in enumerate(BASE62)}

MAX_INT = 2**53 - 1  # what every JSON reader can hold exactly (RFC 8785 3.2.2.3, RFC 7493 2.2)
MAX_DEPTH = 64

_BY_CODE_POINT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
_AS_GIVEN = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")


def lp(*parts: str | bytes | int) -> bytes:
    """Each part as u32 big-endian length followed by its bytes.

    Text must be ASCII (ids and labels); a number is u64 big-endian, so its length is always 8.
    Raises ValueError for other text and for numbers outside 0 … 2**64-1.
    """
    out = []
    for part in parts:
        if type(part) is bytes:
            raw = part
        elif isinstance(part, str):
            raw = part.encode("ascii")
        elif isinstance(part, bool):
            raise ValueError("a truth value has no length-prefixed form")
        elif isinstance(part, int):
            if not 0 <= part < 2**64:
                raise ValueError("a number to be length-prefixed must fit 64 unsigned bits")
            raw = _U64.pack(part)
        else:
            raw = bytes(part)
        out.append(_U32.pack(len(raw)))
        out.append(raw)
    return b"".join(out)


def canonical(value: object) -> bytes:
    """The one JSON spelling of `value`: RFC 8785 for None, bool, int, str, list, tuple and dict with text keys.

    Raises ValueError for floating point, for integers beyond ±(2**53-1), for lone surrogates, for other types and for
    nesting deeper than 64: there a second spelling, or a reader's disagreement, would be possible.
    """
    text = _BY_CODE_POINT.encode(value) if _plain(value, 0) else _AS_GIVEN.encode(_sorted(value))
    return text.encode("utf-8")  # a lone surrogate raises UnicodeEncodeError, a ValueError


def parse_canonical(data: bytes) -> Any:
    """The value of canonical JSON. Raises ValueError for anything that `canonical` would not have written."""
    try:
        value = json.loads(data.decode("utf-8"))
        again = canonical(value)
    except (ValueError, RecursionError) as error:
        raise ValueError("not canonical JSON") from error
    if again != data:
        raise ValueError("JSON, but not in its canonical spelling")
    return value


def b62encode(data: bytes, width: int) -> str:
    """`data` as a big-endian number in base62 (0-9 A-Z a-z), left-padded with 0 to `width`. ValueError if too long."""
    number = int.from_bytes(data, "big")
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(BASE62[digit])
    if number:
        raise ValueError("too many bytes for that width")
    return "".join(reversed(digits))


def b62decode(text: str, length: int) -> bytes:
    """The `length` bytes that `b62encode` wrote. ValueError for a foreign character or a number too large."""
    number = 0
    for character in text:
        if character not in _DIGIT:
            raise ValueError("not base62")
        number = number * 62 + _DIGIT[character]
    if number >> (8 * length):
        raise ValueError("base62 number too large")
    return number.to_bytes(length, "big")


def _plain(value: object, depth: int) -> bool:
    """Check types and ranges; True when every key is ASCII, so that sorting by code point is RFC 8785's order."""
    if value is None or value is True or value is False or isinstance(value, str):
        return True
    if isinstance(value, int):
        if not -MAX_INT <= value <= MAX_INT:
            raise ValueError("an integer in canonical JSON must lie within ±(2**53-1)")
        return True
    if depth >= MAX_DEPTH:
        raise ValueError("canonical JSON nested too deeply")
    if isinstance(value, list | tuple):
        plain = True
        for item in value:
            plain = _plain(item, depth + 1) and plain
        return plain
    if isinstance(value, dict):
        plain = True
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError("a key in canonical JSON must be text")
            plain = _plain(item, depth + 1) and key.isascii() and plain
        return plain
    raise ValueError(f"{type(value).__name__} has no canonical JSON form")


def _sorted(value: object) -> object:
    """The same value with keys in order of UTF-16 code units (RFC 8785 3.2.3), which is not Python's order."""
    if isinstance(value, Mapping):
        pairs = sorted(value.items(), key=lambda pair: pair[0].encode("utf-16-be", "surrogatepass"))
        return {key: _sorted(item) for key, item in pairs}
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in value]
    return value
