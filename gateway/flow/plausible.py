"""Whether a parser's answer can be all that there is to say of a part: a lie by silence must not be "clean"."""

from __future__ import annotations

import re

from gateway.detect.extract import name_text, sniff
from gateway.detect.model import Extracted, PartInput

FEW_LETTERS = 400
"""A text with fewer letters is not counted: what is markup and what is text is then a matter of taste."""


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
