"""Text of HTML: what a reader sees, what is hidden from them, and what attributes carry.

Promises: comments, hidden elements, `alt`, `title`, `value`, `content`, `placeholder`, `aria-label` and link targets
count as text; scripts count too. Inline elements do not cut a word, block elements do. `data:` URLs are unread.
"""

from __future__ import annotations

import html as entities
import re
from collections.abc import Iterator

from gateway.detect.extract import Limits, take_text
from gateway.detect.extract.charset import decode
from gateway.detect.model import Extracted, PartInput, Text, Unread

_ATTRIBUTE = re.compile(
    r"\b(?:alt|title|value|content|placeholder|aria-label|summary|label|name|"
    r"data-[\w-]{1,30})\s{0,4}=\s{0,4}(?:\"([^\"]{1,2000})\"|'([^']{1,2000})')",
    re.I,
)
_LINK = re.compile(r"\b(?:href|src)\s{0,4}=\s{0,4}[\"']?((?:https?|mailto|tel):[^\"'\s>]{3,500})", re.I)
_DATA = re.compile(r"\bdata:(?!text/plain)[\w/+.-]{3,60};base64,[A-Za-z0-9+/]{400}", re.I)
_META_CHARSET = re.compile(rb"<meta[^>]{0,100}charset\s*=\s*[\"']?([\w-]{2,30})", re.I)
_BLOCK = re.compile(
    r"</?(?:p|div|br|tr|td|th|li|ul|ol|table|h[1-6]|blockquote|pre|hr|section|article|header|footer|"
    r"dt|dd|option|title|body|head|center|form)\b[^<>]{0,1000}>",
    re.I,
)


def _comments(markup: str) -> Iterator[str]:
    """The text of comments; conditional comments of mail programs too."""
    at = markup.find("<!--")
    while at >= 0:
        stop = markup.find("-->", at + 4)
        stop = len(markup) if stop < 0 else stop
        yield re.sub(r"<[^<>]{0,500}>", " ", markup[at + 4 : stop])
        at = markup.find("<!--", stop)


def visible(markup: str) -> str:
    """The text of all elements in document order, hidden ones included."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(
        _BLOCK.sub(lambda tag: "\n" + tag[0] if not tag[0].startswith("</") else tag[0] + "\n", markup)
    )
    tree.strip_tags(["style"])
    root = tree.root
    return re.sub(
        r"[ \t\xa0]{2,}",
        " ",
        re.sub(r"\n\s*\n\s*", "\n\n", root.text(deep=True, separator="") if root is not None else ""),
    )


def read(part: PartInput, limits: Limits) -> Extracted:
    """Visible and hidden text as one text; attributes and comments behind it."""
    found = _META_CHARSET.search(part.data[:4096])
    markup = decode(part.data, part.charset or (found[1].decode("ascii") if found else None))
    if limits.inflated_bytes < len(part.data):
        markup = markup[: limits.inflated_bytes]
    behind = [entities.unescape(match[1] or match[2]) for match in _ATTRIBUTE.finditer(markup)]
    behind += [entities.unescape(match[1]) for match in _LINK.finditer(markup)]
    behind += list(_comments(markup))
    shown = visible(markup)
    extra = [one for one in dict.fromkeys(behind) if re.search(r"[A-Za-z0-9]{3}", one) and one not in shown]
    texts = [Text(part.part, part.place, take_text(shown, limits))]
    if extra:
        texts.append(Text(part.part, part.place, take_text("\n".join(extra), limits)))
    unread = (Unread(part.part, part.place, "a picture inside HTML"),) if _DATA.search(markup) else ()
    return Extracted(tuple(texts), unread)
