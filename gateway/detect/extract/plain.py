"""Plain text, and every format that is text: CSV, JSON, XML, HL7 v2, X12, FHIR, C-CDA.

Promises: the text itself is kept whole, so that formats are recognised by content; long base64 in XML or JSON (an
embedded PDF of a CDA) cannot be read here and is said. Markup of XML is judged with the text. Of a mail that lies in a
text its coded parts are read too (`mailed.py`).
"""

from __future__ import annotations

import re

from gateway.detect.extract import Limits, take_text
from gateway.detect.extract.charset import decode
from gateway.detect.extract.mailed import holds_mail
from gateway.detect.extract.mailed import read as read_mailed
from gateway.detect.model import Extracted, PartInput, Text, Unread

_EMBEDDED = re.compile(
    r"^[ \t]{0,40}(?:[A-Za-z0-9+/]{60,80}\r?\n[ \t]{0,40}){40}|(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{4000}", re.M
)
_UUENCODED = re.compile(r"^begin(-base64)? [0-7]{3,4} [^\n]{1,200}\n([^\n]{1,100})", re.M)
_OTHERWISE = re.compile(r"^=ybegin [^\n]{1,400}\n|\(This file must be converted with BinHex|^<~[!-uz\s]{60}", re.M)
"""yEnc, BinHex 4.0 (RFC 1741), Ascii85: their lines are no words, and what they hold is shown by whoever knows them."""


def _long_word(text: str) -> bool:
    """Whether sixty characters may follow each other without a blank; goes from blank to blank, not word by word."""
    at = 0
    while at + 60 <= len(text):
        blank = text.rfind(" ", at, at + 60)
        if blank < 0 and (blank := text.rfind("\n", at, at + 60)) < 0:
            return True
        at = blank + 1
    return False


def _uuencoded(text: str) -> bool:
    """Whether a file in uuencode begins somewhere: its first line must be of its letters, and as long as it says."""
    for found in _UUENCODED.finditer(text):
        line = found[2].rstrip("\r ")
        count = (ord(line[0]) - 32) & 63 if line else 0
        missing = (count + 2) // 3 * 4 - len(line) + 1  # blanks at the end may be lost, a checksum may follow
        if found[1] or (count and -2 <= missing <= 3 and all(" " <= one <= "`" for one in line)):
            return True
    return False


def encoded_file(text: str) -> bool:
    """Whether a file in a coding of its own (uuencode, yEnc, BinHex 4.0, Ascii85) stands in the text."""
    otherwise = ("=ybegin " in text or "BinHex" in text or "<~" in text) and _OTHERWISE.search(text) is not None
    return otherwise or ("begin" in text and _uuencoded(text))


def base64_block(text: str) -> bool:
    """Whether so much base64 stands in the text that it may be a file."""
    # It needs a word of sixty characters; looking for one is cheaper than looking for base64 at every character.
    return len(text) > 2400 and _long_word(text) and _EMBEDDED.search(text) is not None


def read(part: PartInput, limits: Limits) -> Extracted:
    """The text as it stands; encoded files inside it are unread."""
    text = take_text(decode(part.data, part.charset), limits)
    unread: tuple[Unread, ...] = ()
    if base64_block(text) or encoded_file(text):
        unread = (Unread(part.part, part.place, "an encoded file inside text"),)
    mailed = read_mailed(part, text, limits) if holds_mail(text) else Extracted()
    return Extracted((Text(part.part, part.place, text), *mailed.texts), (*unread, *mailed.unread))
