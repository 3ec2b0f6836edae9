"""Plain text, and every format that is text: CSV, JSON, XML, HL7 v2, X12, FHIR, C-CDA.

Promises: the text itself is kept whole, so that formats are recognised by content; long base64 in XML or JSON (an
embedded PDF of a CDA) cannot be read here and is said, and so is a mail saved as a file whose parts are in base64.
Markup of XML is judged with the text.
"""

from __future__ import annotations

import re

from gateway.detect.extract import Limits, take_text
from gateway.detect.extract.charset import decode
from gateway.detect.model import Extracted, PartInput, Text, Unread

_EMBEDDED = re.compile(
    r"^[ \t]{0,40}(?:[A-Za-z0-9+/]{60,80}\r?\n[ \t]{0,40}){40}|(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{4000}", re.M
)
_TRANSFER = re.compile(r"^[ \t>]{0,20}content-transfer-encoding[ \t]{0,5}:[ \t]{0,5}\"?base64", re.I | re.M)
_SHORT = re.compile(r"^[ \t>]{0,20}[A-Za-z0-9+/]{8,}={0,2}[ \t]{0,5}\r?$", re.M)
_UUENCODED = re.compile(r"^begin [0-7]{3,4} [^\n]{1,100}\nM", re.M)


def _long_word(text: str) -> bool:
    """Whether sixty characters may follow each other without a blank; goes from blank to blank, not word by word."""
    at = 0
    while at + 60 <= len(text):
        blank = text.rfind(" ", at, at + 60)
        if blank < 0 and (blank := text.rfind("\n", at, at + 60)) < 0:
            return True
        at = blank + 1
    return False


def _mime(text: str) -> bool:
    """Whether something in base64 follows a field that says so, however short: a saved mail, a page with its files."""
    if "ase64" not in text and "ASE64" not in text:
        return False
    said = _TRANSFER.search(text)
    return said is not None and _SHORT.search(text, said.end()) is not None


def read(part: PartInput, limits: Limits) -> Extracted:
    """The text as it stands; encoded files inside it are unread."""
    text = take_text(decode(part.data, part.charset), limits)
    unread: tuple[Unread, ...] = ()
    # Either needs a word of sixty characters; looking for one is cheaper than looking for base64 at every character.
    encoded = len(text) > 2400 and _long_word(text) and _EMBEDDED.search(text)
    if encoded or _mime(text) or ("begin " in text and _UUENCODED.search(text)):
        unread = (Unread(part.part, part.place, "an encoded file inside text"),)
    return Extracted((Text(part.part, part.place, text),), unread)
