"""Text of HTML: what a reader sees, what is hidden from them, and what attributes carry.

Promises: comments, hidden elements, `alt`, `title`, `value`, `content`, `placeholder`, `aria-label` and link targets
count as text; scripts count too, and words that styles add. Inline elements do not cut a word, block elements do.
A short `data:` URL counts as text, a long one is unread.
"""

from __future__ import annotations

import html as entities
import re
from collections.abc import Iterator
from urllib.parse import unquote

from gateway.detect.extract import Limits, take_text
from gateway.detect.extract.charset import decode
from gateway.detect.extract.mailed import holds_mail
from gateway.detect.extract.mailed import read as read_mailed
from gateway.detect.extract.plain import base64_block, encoded_file
from gateway.detect.model import Extracted, PartInput, Text, Unread
from gateway.mail.decode import base64_stream

_ATTRIBUTE = re.compile(
    r"\b(?:alt|title|value|content|placeholder|aria-label|summary|label|name|"
    r"data-[\w-]{1,30})\s{0,4}=\s{0,4}(?:\"([^\"]{1,2000})(\"?)|'([^']{1,2000})('?))",
    re.I,
)
_LINK = re.compile(r"\b(?:href|src)\s{0,4}=\s{0,4}[\"']?((?:https?|mailto|tel):[^\"'\s>]{3,500})", re.I)
_DATA = re.compile(r"(.?)\bdata:([\w.+-]{1,40}/[\w.+-]{1,60}|(?=;base64))((?:;[^,;\"'<>\s]{0,100}){0,8}),", re.I | re.S)
_DATA_CHARS = 400
"""A data URL up to this length is read as text; a longer one may be a picture that shows anything."""
_CSS_WORDS = re.compile(r"\bcontent\s{0,4}:\s{0,4}(?:\"([^\"]{1,2000})|'([^']{1,2000}))", re.I)
_CLOSING = {'"': '"', "'": "'", "(": ")"}
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


def _data_urls(markup: str) -> Iterator[str | None]:
    """What short `data:` URLs (RFC 2397) say; None for one too long to be read here."""
    source = entities.unescape(markup) if "&#" in markup else markup
    for match in _DATA.finditer(source):
        limit = match.end() + _DATA_CHARS
        closing = _CLOSING.get(match[1])
        if closing is not None:
            stop = source.find(closing, match.end(), limit)
        else:
            found = re.compile(r"[\s>]|\Z").search(source, match.end(), limit)
            stop = found.start() if found is not None and found.start() < limit else -1
        if stop < 0:
            yield None
            continue
        payload = unquote(source[match.end() : stop])
        if match[3].lower().endswith(";base64"):
            payload = b"".join(base64_stream([payload.encode("ascii", "replace")])).decode("utf-8", "replace")
        yield re.sub(r"<[^<>]{0,500}>", " ", payload)


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
    attributes = list(_ATTRIBUTE.finditer(markup))
    behind = [entities.unescape(match[1] or match[3]) for match in attributes]
    behind += [entities.unescape(match[1]) for match in _LINK.finditer(markup)]
    behind += list(_comments(markup))
    behind += [match[1] or match[2] for match in _CSS_WORDS.finditer(markup)]
    embedded = list(_data_urls(markup))
    behind += [one for one in embedded if one]
    shown = visible(markup)
    extra = [one for one in dict.fromkeys(behind) if re.search(r"[A-Za-z0-9]{3}", one) and one not in shown]
    texts = [Text(part.part, part.place, take_text(shown, limits))]
    if extra:
        texts.append(Text(part.part, part.place, take_text("\n".join(extra), limits)))
    unread: list[Unread] = []
    if None in embedded:
        unread.append(Unread(part.part, part.place, "a picture inside HTML"))
    if any(not (match[2] or match[4]) for match in attributes):
        unread.append(Unread(part.part, part.place, "over limits"))
    if encoded_file(markup) or base64_block(shown):
        unread.append(Unread(part.part, part.place, "an encoded file inside text"))
    mailed = read_mailed(part, markup, limits) if holds_mail(markup) else Extracted()
    return Extracted((*texts, *mailed.texts), (*unread, *mailed.unread))
