"""Put a block of words first in the visible body of a text part, in the part's own charset and transfer encoding.

Promises: the decoded text afterwards is the block followed by exactly what was there (for HTML: with the block after
`<body>`); the rest of the part's bytes are copied, except for at most three encoded bytes where a base64 group is
split. RFC 2045 6.7, 6.8; RFC 3676 4.4 (format=flowed: stuffed, no flowing lines of ours).
"""

from __future__ import annotations

import binascii
import codecs
import html
import re
from dataclasses import dataclass

from gateway.mail import charset, compose, decode, html_place
from gateway.mail.entity import IDENTITY
from gateway.mail.model import Part
from gateway.mail.pieces import Edit
from gateway.mail.source import Source

_HEAD_BYTES, _WIDE_BYTES = 131_072, 65_536
_RULE = 60
#: A body that is a row would put the block beside the text; where it wraps, the block has a row of its own.
_ROW = re.compile(rb"display\s{0,9}:\s{0,9}(?:inline-)?flex")
#: Not ASCII at all, or markup may stand in it shifted: the block goes first of all, where every reader begins.
_NO_MARKUP = ("utf-7", "cp037", "cp500", "cp1140")
_WRAPPED = "<style>body{flex-wrap:wrap !important;align-content:flex-start}</style>\n"
_ESCAPE = re.compile(rb"[^=]+|=[0-9A-Fa-f]{2}|=[ \t]*\r?\n|=")


class Unclear(ValueError):
    """Which way round the letters of a part stand cannot be told."""


@dataclass(frozen=True, slots=True)
class NoticeBlock:
    """The words that stand in place of sealed files.

    `text` is lines of at most 78 characters without a rule around them, `html` one fragment with a single link,
    `url` the personal link, which is also a line of its own in `text`.
    """

    text: str
    html: str
    url: str


def inserted(source: Source, part: Part, block: NoticeBlock, newline: bytes) -> list[Edit]:
    """The edits that put the block first in that text or html part. Raises Unclear."""
    stop = min(part.body_stop, part.body_start + 2 * _HEAD_BYTES)
    raw = source.read(part.body_start, stop)
    writer = _Writer(part, block, newline if part.encoding in IDENTITY else b"\r\n")
    if part.encoding == "base64":
        return _into_base64(part, raw, writer, newline)
    if part.encoding == "quoted-printable":
        return _into_quoted(part, raw, writer, newline)
    at = part.body_start + writer.place(raw)
    return [Edit(at, at, writer.data())]


class _Writer:
    """The block as bytes of one part's charset."""

    def __init__(self, part: Part, block: NoticeBlock, newline: bytes) -> None:
        self._html = part.kind == "html"
        self._block = block
        self._newline = newline.decode()
        self._flowed = part.params.get("format", "").lower() == "flowed"
        self._seven = part.encoding in ("", "7bit")
        self._codec = charset.codec(part.charset) or "ascii"
        self._row = False

    def place(self, head: bytes) -> int:
        """Offset in the decoded contents where the block goes, given how they begin."""
        mark = _byte_order_mark(head)
        if self._codec in ("utf-16", "utf-32"):
            # Without a mark readers differ (RFC 2781 4.3 says big, WHATWG little): the first letter must tell.
            if not mark and (head[:1] == b"\0") == (head[1:2] == b"\0") and head[:3] != b"\0\0\0":
                raise Unclear
            little = head[:2] == codecs.BOM_UTF16_LE or (not mark and head[1:2] == b"\0" != head[:1])
            self._codec += "-le" if little else "-be"
        width = 4 if self._codec.startswith("utf-32") else 2 if self._codec.startswith("utf-16") else 1
        if width == 1:
            mark = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
        if not self._html or self._codec.startswith(_NO_MARKUP):
            return mark
        markup = _narrow(head[mark : mark + _WIDE_BYTES], width, self._codec.endswith("-le")) if width > 1 else head
        place = html_place.body_start(markup)
        self._row = _ROW.search(markup[:place].lower()) is not None
        return mark + width * place if width > 1 else place

    def data(self, pad: int = 0) -> bytes:
        """The block's bytes, longer by `pad` characters that do not show."""
        if self._html:
            shown = self._block.html.encode("ascii", "xmlcharrefreplace").decode() + " " * pad
            return self._encoded(((_WRAPPED if self._row else "") + shown).replace("\n", self._newline))
        lines = [line.rstrip() for line in self._block.text.strip("\n").split("\n")]
        if self._flowed:
            lines = [" " + line if line.startswith((" ", ">", "From ")) else line for line in lines]
        rule = "-" * _RULE
        return self._encoded(self._newline.join([rule, *lines, rule + "-" * pad, "", ""]))

    def aligned(self, before: bytes = b"", after: bytes = b"") -> bytes:
        """The block between two remains, padded so that the whole is a multiple of three bytes."""
        for pad in range(3):
            whole = before + self.data(pad) + after
            if len(whole) % 3 == 0:
                return whole
        return before + self.data() + after

    def _encoded(self, text: str) -> bytes:
        name = "utf-8" if self._codec == "utf-8-sig" else self._codec
        try:
            data = text.encode(name)
        except UnicodeError:
            data = compose.plain_ascii(text).encode(name, "replace")
        if self._seven and not data.isascii():
            data = compose.plain_ascii(text).encode(name, "replace")
        return data


def _narrow(data: bytes, width: int, little: bool) -> bytes:
    """Units of two or four bytes as one byte each; a unit that is no ASCII as a question mark."""
    data = data[: len(data) // width * width]
    low = data[0 if little else width - 1 :: width]
    others = [data[at::width] for at in range(width) if at != (0 if little else width - 1)]
    odd = [any(unit) for unit in zip(*others, strict=True)]
    return bytes(63 if wide or byte > 126 else byte for byte, wide in zip(low, odd, strict=True))


def _byte_order_mark(head: bytes) -> int:
    for mark in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        if head.startswith(mark):
            return len(mark)
    return 0


def _lines(data: bytes, newline: bytes) -> bytes:
    """base64 in lines of 76, each ended."""
    return b"".join(binascii.b2a_base64(data[at : at + 57], newline=False) + newline for at in range(0, len(data), 57))


def _into_base64(part: Part, raw: bytes, writer: _Writer, newline: bytes) -> list[Edit]:
    # Only a clean beginning is mapped; after padding or junk the block simply goes first of all.
    padding = raw.find(b"=")
    clean = raw if padding < 0 else raw[:padding]
    head = b"".join(decode.base64_stream([clean]))
    place = writer.place(head)
    whole, rest = divmod(place, 3)
    first = _raw_offset(clean, 4 * whole)
    if rest == 0 and first is not None:
        return [Edit(part.body_start + first, part.body_start + first, _framed(raw, first, writer.aligned(), newline))]
    last = _raw_offset(clean, 4 * whole + 4)
    if first is None or last is None:
        # The place lies in the very last, padded group, or cannot be mapped: the group is short, so first is safe.
        return [Edit(part.body_start, part.body_start, _framed(raw, 0, writer.aligned(), newline))]
    split = head[3 * whole : 3 * whole + 3]
    data = writer.aligned(split[:rest], split[rest:])
    return [Edit(part.body_start + first, part.body_start + last, _framed(raw, first, data, newline))]


def _framed(raw: bytes, at: int, data: bytes, newline: bytes) -> bytes:
    lead = newline if at and raw[at - 1] != 10 else b""
    return lead + _lines(data, newline)


def _raw_offset(raw: bytes, characters: int) -> int | None:
    """Offset of the base64 character with that number; None where the text is shorter."""
    if characters == 0:
        return 0
    low, high = characters, len(raw)
    # Counting is monotonous, so the offset is found by halving rather than by a turn per character.
    if _count(raw, high) < characters:
        return None
    while low < high:
        middle = (low + high) // 2
        if _count(raw, middle) >= characters:
            high = middle
        else:
            low = middle + 1
    return low


def _count(raw: bytes, stop: int) -> int:
    return len(raw[:stop].translate(None, decode.JUNK))


def _into_quoted(part: Part, raw: bytes, writer: _Writer, newline: bytes) -> list[Edit]:
    head = bytearray()
    runs: list[tuple[int, int]] = []  # decoded offset, raw offset; each run is literal or one escape
    for match in _ESCAPE.finditer(raw):
        runs.append((len(head), match.start()))
        text = match[0]
        if text[:1] != b"=" or text == b"=":
            head += text
        elif text[-1] != 10:
            head.append(int(text[1:], 16))
    runs.append((len(head), len(raw)))
    place = writer.place(bytes(head))
    at = 0
    for decoded_at, raw_at in runs:
        if decoded_at > place:
            break
        literal = raw[raw_at : raw_at + 1] != b"="
        at = raw_at + (place - decoded_at if literal else 0)
    coded = _quoted(writer.data(), newline)
    # A soft line break on either side keeps lines short and adds nothing to the text.
    lead = b"=" + newline if at and raw[at - 1] != 10 else b""
    tail = b"" if coded.endswith(b"\n") else b"=" + newline
    return [Edit(part.body_start + at, part.body_start + at, lead + coded + tail)]


def _quoted(data: bytes, newline: bytes) -> bytes:
    if b"\0" in data:  # UTF-16 and such: every byte that is no letter is escaped, line ends too
        coded = b"".join(b"=%02X" % byte for byte in data)
        pieces = [coded[at : at + 72] for at in range(0, len(coded), 72)]
        return (b"=" + newline).join(pieces)
    coded = binascii.b2a_qp(data.replace(b"\r\n", b"\n"), istext=True)
    return coded.replace(b"\r\n", b"\n").replace(b"\n", newline)


def fragment(rows: list[str], url: str, button: str, after: list[str]) -> str:
    """The block as HTML: one table, one link, its own colours so that dark mode turns both or neither."""
    # Each twice: a mail's own style may say !important, and programs that do not know the word take the first one.
    font = "font-family:Arial,Helvetica,sans-serif;font-size:18px;font-size:18px !important;line-height:27px;"
    font += "text-align:start;color:#17212b;color:#17212b !important"
    paragraph = f'<p style="margin:0 0 12px;{font}">'
    words = "".join(f"{paragraph}{html.escape(row)}</p>" for row in rows)
    closing = "".join(f"{paragraph}{html.escape(row)}</p>" for row in after)
    link = _button(url, button) if url else ""
    ground = "background-color:#eef4f5;background-color:#eef4f5 !important;border:1px solid #9bb7bd;margin:0 0 16px"
    ground += ";flex-shrink:0;align-self:flex-start;grid-column:1/-1"  # a row of its own in a row or a grid
    # Our words are English in whatever direction the mail runs.
    whole = (
        '<table role="presentation" dir="ltr" width="100%" cellpadding="0" cellspacing="0" border="0" '
        f'bgcolor="#eef4f5" style="{ground};color-scheme:light dark"><tr>'
        f'<td style="padding:16px">{words}{link}{closing}</td></tr></table>'
    )
    return whole.replace("><", ">\n<").encode("ascii", "xmlcharrefreplace").decode()


def _button(url: str, button: str) -> str:
    ground = "background-color:#0b5563;background-color:#0b5563 !important;border-radius:6px;padding:12px 24px"
    font = "font-family:Arial,Helvetica,sans-serif;font-size:18px;font-size:18px !important;font-weight:bold;"
    font += "color:#ffffff;color:#ffffff !important;text-decoration:none"
    return (
        '<table role="presentation" cellpadding="0" cellspacing="0" border="0" style="margin:0 0 16px"><tr>'
        f'<td bgcolor="#0b5563" style="{ground}"><a href="{html.escape(url, quote=True)}" style="{font}">'
        f"{html.escape(button)}</a></td></tr></table>"
    )
