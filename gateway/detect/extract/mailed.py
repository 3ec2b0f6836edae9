"""Mail that lies in a text: a saved message, a web archive, a returned message quoted with its source.

Promises: what a text part of such a mail says in base64 or quoted-printable is given as text, encoded words of header
fields too, whatever the nesting; what is no text there is said to be unread. Time grows with the length alone.
Clauses: RFC 2045 6, RFC 2047.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from gateway.detect.extract import Limits, sniff, take_text
from gateway.detect.extract.charset import decode
from gateway.detect.model import Extracted, PartInput, Text, Unread
from gateway.mail.decode import base64_stream
from gateway.mail.fields import decode_words

_CODED = re.compile(r"^Content-Transfer-Encoding[ \t]{0,9}:[ \t\r\n]{0,9}(base64|quoted-printable)", re.I | re.M)
_BLANK = re.compile(r"\n[ \t]*\r?\n")
_END = re.compile(r"^(?:--|[ \t]*>+--)[^\n]|^From [^\n]{5,200}\d{4}\r?$", re.M)
_CHARSET = re.compile(
    r"^Content-Type[^\n]{0,200}(?:\n[ \t][^\n]{0,200}){0,5}charset\s{0,4}=\s{0,4}[\"']?([\w.:-]{2,40})", re.I | re.M
)
_HEADER_CHARS = 4_096
_MANY = 500
_FIELD_CHARS = 65_536
"""Of a longer field the end is not decoded (`fields.decode_words`)."""
# The same field with less form: quoted, or in a place where nothing says where its part begins.
_SAID = re.compile(r"^[ \t>]{0,20}content-transfer-encoding[ \t]{0,5}:[ \t]{0,5}\"?base64", re.I | re.M)
_SHORT = re.compile(r"^[ \t>]{0,20}[A-Za-z0-9+/]{8,}={0,2}[ \t]{0,5}\r?$", re.M)
_WORDY = re.compile(r"^[^\n]*=\?[^?\s]{2,64}\?[BbQq]\?[^\n]*(?:\n[ \t][^\n]*=\?[^\n]*){0,40}", re.M)


def holds_mail(text: str) -> bool:
    """Whether anything of this kind may stand in the text; cheap."""
    coded = "ransfer-" in text or "TRANSFER-" in text
    return "=?" in text or (coded and (_CODED.search(text) is not None or _SAID.search(text) is not None))


def read(part: PartInput, text: str, limits: Limits) -> Extracted:
    """What the coded parts and fields in that text say."""
    texts: list[Text] = []
    unread: list[Unread] = []
    lines = list(dict.fromkeys(_fields(text)))
    said = [shown for line in lines if (shown := decode_words(line)) != line]
    if said:
        texts.append(Text(part.part, part.place, take_text("\n".join(said), limits)))
    if any(len(line) > _FIELD_CHARS for line in lines):
        unread.append(Unread(part.part, part.place, "over limits"))
    in_base64 = 0
    for number, (coding, charset, body) in enumerate(_bodies(text)):
        if number == _MANY:
            unread.append(Unread(part.part, part.place, "over limits"))
            break
        in_base64 += coding == "base64"
        raw = body.encode("utf-8", "replace")
        data = b"".join(base64_stream([raw])) if coding == "base64" else binascii.a2b_qp(raw)
        kind = sniff(data)
        if kind in ("text", "html"):
            texts.append(Text(part.part, part.place, take_text(decode(data, charset), limits)))
        elif kind != "empty":
            unread.append(Unread(part.part, part.place, "an encoded file inside text"))
    coded = list(_SAID.finditer(text))
    if len(coded) > in_base64 and _SHORT.search(text, coded[0].end()):
        unread.append(Unread(part.part, part.place, "an encoded file inside text"))
    return Extracted(tuple(texts), tuple(unread))


def _fields(text: str) -> Iterator[str]:
    """Lines with encoded words in them, unfolded."""
    for match in _WORDY.finditer(text) if "=?" in text else ():
        yield re.sub(r"\r?\n", "", match[0])


def _bodies(text: str) -> Iterator[tuple[str, str | None, str]]:
    """Coding, character set and coded text of each part, as far as fields and a blank line stand before it.

    A part ends where the fields of the next coded one come at the latest, so the text is gone through once.
    """
    found = list(_CODED.finditer(text))
    for match, following in zip(found, (*found[1:], None), strict=False):
        last = following.start() if following else len(text)
        blank = _BLANK.search(text, match.end(), min(last, match.end() + _HEADER_CHARS))
        if blank is None:
            continue
        end = _END.search(text, blank.end(), last)
        # The type may stand on either side of the encoding, in the same block of fields.
        first = max(0, match.start() - _HEADER_CHARS)
        first = max(first, text.rfind("\n\n", first, match.start()), text.rfind("\r\n\r\n", first, match.start()))
        named = _CHARSET.search(text, first, blank.start() + 1)
        yield match[1].lower(), named[1] if named else None, text[blank.end() : end.start() if end else last]
