"""Plain text, and every format that is text: CSV, JSON, XML, HL7 v2, X12, FHIR, C-CDA.

Promises: the text itself is kept whole, so that formats are recognised by content; long base64 in XML or JSON (an
embedded PDF of a CDA) cannot be read here and is said. Markup of XML is judged with the text.
"""

from __future__ import annotations

import re

from gateway.detect.extract import Limits, take_text
from gateway.detect.extract.charset import decode
from gateway.detect.model import Extracted, PartInput, Text, Unread

_EMBEDDED = re.compile(
    r"^[ \t]{0,40}(?:[A-Za-z0-9+/]{60,80}\r?\n[ \t]{0,40}){40}|(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{4000}", re.M
)
_UUENCODED = re.compile(r"^begin [0-7]{3,4} [^\n]{1,100}\nM", re.M)


def read(part: PartInput, limits: Limits) -> Extracted:
    """The text as it stands; encoded files inside it are unread."""
    text = take_text(decode(part.data, part.charset), limits)
    unread: tuple[Unread, ...] = ()
    # Either needs a word of sixty characters; looking for one is cheaper than looking for base64 at every character.
    encoded = len(text) > 2400 and max(map(len, text.split()), default=0) >= 60 and _EMBEDDED.search(text)
    if encoded or ("begin " in text and _UUENCODED.search(text)):
        unread = (Unread(part.part, part.place, "an encoded file inside text"),)
    return Extracted((Text(part.part, part.place, text),), unread)
