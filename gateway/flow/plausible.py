"""Whether a parser's answer can be all that there is to say of a part: a lie by silence must not be "clean"; and
whether its places and reasons are ours: they stand in notices, in the log's findings and on technicians' screens, so a
parser that a file took over must find no room there for words of that file.
"""

from __future__ import annotations

import re

from gateway.detect.extract import KINDS, name_text, sniff
from gateway.detect.model import Extracted, PartInput

FEW_LETTERS = 400
"""A text with fewer letters is not counted: what is markup and what is text is then a matter of taste."""


REASONS = frozenset((
    "a PDF inside text", "a damaged DICOM file", "a damaged PDF", "a damaged archive", "a damaged document",
    "a damaged file", "a damaged winmail.dat", "a document with a DTD", "a file in rich text", "a file inside a PDF",
    "a file that is not there", "a page without text", "a picture", "a picture in rich text", "a picture inside HTML",
    "a scanned page", "an archive with hidden members", "an encoded file inside text", "an encrypted PDF",
    "an encrypted file", "an object of another program", "an old or encrypted Office file", "an unknown format",
    "cannot be parsed", "over limits", "too deep",
))  # fmt: skip
"""All that the readers of files say of what they could not read."""
_PLACE = re.compile(
    r"(?:, (?:page|file|embedded file|sheet|slide) [0-9]{1,7}(?: \([A-Z0-9]{2,4}\))?"
    r"|, (?:comment|comments|document properties|file name|footnotes|page footer|page header))*"
)
_KIND = re.compile(r"\(([A-Z0-9]{2,4})\)")


def ours(part: PartInput, found: Extracted) -> bool:
    """Whether all places are this part's and places in it, and all reasons are of the list."""
    if any(one.reason not in REASONS for one in found.unread):
        return False
    places = {one.place for one in found.texts} | {one.place for one in found.unread}
    places |= {one.place for one in found.formats}
    return all(_inside(part.place, place) for place in places)


def _inside(whole: str, place: str) -> bool:
    rest = place[len(whole) :]
    if not place.startswith(whole) or _PLACE.fullmatch(rest) is None:
        return False
    return all(kind.lower() in KINDS for kind in _KIND.findall(rest))


def fits(part: PartInput, found: Extracted) -> bool:
    """False for a file of which nothing is said, and for a text of which less than a quarter comes back."""
    if found.unread or found.formats:
        return True
    kind = sniff(part.data, part.content_type)
    if kind == "empty":
        return True
    named = name_text(part)
    said = [one for one in found.texts if one not in named]
    if kind not in ("text", "html"):
        return any(one.text.strip() for one in said)
    expected = _letters(part.data, html=kind == "html")
    return expected < FEW_LETTERS or 4 * sum(len("".join(one.text.split())) for one in said) >= expected


_NO_LETTERS = bytes(one for one in range(256) if not chr(one).isalnum() or one > 127)


def _letters(data: bytes, *, html: bool) -> int:
    """Letters and digits that a reader of this text must meet, at least; in time that grows with the length alone."""
    data = data.replace(b"\0", b"")
    if html:
        lower, kept, at = data.lower(), [], 0
        while (start := lower.find(b"<style", at)) >= 0:
            kept.append(data[at:start])
            stop = lower.find(b"</style", start)
            at = len(data) if stop < 0 else stop
        data = re.sub(rb"<[^<>]*>|&#?\w{1,30};", b" ", b" ".join([*kept, data[at:]]))
    return len(data.translate(None, _NO_LETTERS))
