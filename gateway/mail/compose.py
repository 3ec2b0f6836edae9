"""Writing mail of our own: header lines, bodies, boundaries. Pure and deterministic: the same words, the same bytes.

RFC 5322 2.1.1, 2.2.3 (lines, folding), RFC 2047 (encoded words), RFC 2045 6.7 (quoted-printable), RFC 2046 5.1.4.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import unicodedata

_LINE_MAX = 76
_ENDS_FIELD = re.compile(r"[\r\0]|\n(?![ \t]+[^ \t\n])")
_SAFE_PHRASE = re.compile(r"[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]*\Z")


def one_line(text: str, limit: int = 200) -> str:
    """Foreign text made safe inside a line of ours: no controls, no direction marks, one blank between words."""
    kept = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text[: limit * 4])
    kept = " ".join(kept.split())
    return kept if len(kept) <= limit else kept[: limit - 1].rstrip() + "…"


def plain_ascii(text: str) -> str:
    """The text in ASCII, accents dropped, for bodies whose charset cannot hold it."""
    swapped = text.translate({0xBF: "", 0xA1: "", 0x2026: "...", 0x2013: "-", 0x2014: "-", 0x2019: "'", 0xA0: " "})
    split = unicodedata.normalize("NFKD", swapped)
    return "".join(letter for letter in split if not unicodedata.combining(letter)).encode("ascii", "replace").decode()


def encoded_words(text: str, first_room: int = 60) -> str:
    """RFC 2047 words (UTF-8, base64), each at most 75 characters, none of which splits a letter."""
    words: list[str] = []
    room = (min(first_room, 75) - 12) // 4 * 3
    held = b""
    for letter in text:
        raw = letter.encode("utf-8", "replace")
        if len(held) + len(raw) > room:
            words.append(f"=?utf-8?B?{binascii.b2a_base64(held, newline=False).decode()}?=")
            held, room = b"", 45
        held += raw
    words.append(f"=?utf-8?B?{binascii.b2a_base64(held, newline=False).decode()}?=")
    return "\n ".join(words)


def header(name: str, value: str, newline: bytes = b"\r\n") -> bytes:
    """An unstructured field, encoded where needed and folded at blanks. The value is one line of text."""
    value = " ".join(value.split())
    if not value.isascii() or "=?" in value or any(ord(letter) < 32 for letter in value):
        folded = encoded_words(value, first_room=max(20, 75 - len(name) - 2))
    else:
        folded = _fold(value, len(name) + 2)
    return f"{name}: {folded}\n".encode("ascii").replace(b"\n", newline)


def _fold(value: str, used: int) -> str:
    lines: list[str] = []
    line = ""
    for word in value.split(" "):
        if line and used + len(line) + 1 + len(word) > _LINE_MAX:
            lines.append(line)
            line, used = word, 1
        else:
            line = f"{line} {word}" if line else word
    lines.append(line)
    return "\n ".join(lines)


def mailbox(display: str, address: str) -> str:
    """``Name <address>`` for use in a field made by `structured`. The address is ASCII, already checked."""
    display = one_line(display, 100)
    if not display:
        return f"<{address}>"
    if not display.isascii():
        return f"{encoded_words(display)} <{address}>"
    if not _SAFE_PHRASE.match(display):
        escaped = display.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}" <{address}>'
    return f"{display} <{address}>"


def structured(name: str, value: str, newline: bytes = b"\r\n") -> bytes:
    """A structured field as given (folds as ``\\n ``). Non-ASCII stands as UTF-8 (RFC 6532).

    Raises ValueError for a value that would end its field or hold a control: whoever writes one forgot `one_line`.
    """
    if _ENDS_FIELD.search(value):
        raise ValueError("a field of several lines")
    return f"{name}: {value}\n".encode("utf-8", "replace").replace(b"\n", newline)


def body(text: str, newline: bytes = b"\r\n") -> tuple[str, bytes]:
    """Transfer encoding and bytes of a UTF-8 text: 7bit where it fits, else quoted-printable. A lone CR ends a line."""
    raw = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace")
    if raw.isascii() and b"\0" not in raw and max(map(len, raw.split(b"\n"))) <= 990:
        return "7bit", raw.replace(b"\n", newline)
    coded = binascii.b2a_qp(raw, istext=True)
    return "quoted-printable", coded.replace(b"\r\n", b"\n").replace(b"\n", newline)


def text_part(content_type: str, text: str, newline: bytes = b"\r\n") -> bytes:
    """Header fields, blank line and body of one UTF-8 text part; ends with a line end."""
    if not text.endswith("\n"):
        text += "\n"
    encoding, coded = body(text, newline)
    fields = f"Content-Type: {content_type}; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n"
    return fields.encode("ascii").replace(b"\n", newline) + coded


def boundary(parts: list[bytes]) -> bytes:
    """A boundary that occurs in none of the parts. Derived from them, so that the room needs no randomness."""
    joined = b"".join(parts)
    seed = hashlib.sha256(joined).digest()
    while True:
        found = b"=_sg_" + seed.hex().encode()[:32]
        if found not in joined:
            return found
        seed = hashlib.sha256(seed).digest()


def multipart(kind: str, parts: list[bytes], newline: bytes = b"\r\n") -> bytes:
    """Content-Type field, blank line and body of a multipart of finished parts. `kind` may carry parameters."""
    mark = boundary(parts)
    top = f'Content-Type: multipart/{kind};\n boundary="{mark.decode()}"\n\n'.encode().replace(b"\n", newline)
    inner = b"".join(b"--" + mark + newline + part + (b"" if part.endswith(newline) else newline) for part in parts)
    return top + inner + b"--" + mark + b"--" + newline


def alternative(text: str, html: str, newline: bytes = b"\r\n") -> bytes:
    """Content-Type field, blank line and body with the same words as text and as HTML."""
    return multipart(
        "alternative", [text_part("text/plain", text, newline), text_part("text/html", html, newline)], newline
    )
