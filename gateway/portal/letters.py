"""Message HTML made safe to show: structure and words only, no style, no picture, no remote anything.

Promises: what comes out holds only the elements and attributes listed here, links open outside without a referrer, and
nothing is fetched when the page is shown; the page's CSP (`default-src 'none'`) would refuse it anyway. The sanitiser's
time grows with the square of a hostile letter's length: long ones are shown as words alone, and few at once are made.
"""

from __future__ import annotations

import html as entities
import re
import threading

import nh3
from markupsafe import Markup

_ELEMENTS = {
    "a", "abbr", "b", "blockquote", "br", "caption", "center", "cite", "code", "col", "colgroup", "dd", "del", "div",
    "dl", "dt", "em", "font", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "ins", "kbd", "li", "ol", "p", "pre", "q",
    "s", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u",
    "ul",
}  # fmt: skip
_ATTRIBUTES = {"a": {"href"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}, "ol": {"start"}}
_GONE_WITH_CONTENT = {"script", "style", "title", "head", "template", "noscript", "svg", "math", "select", "textarea"}

SHOWN_CHARACTERS = 100_000
"""A longer letter is not sanitised: half a million characters cost 16 seconds."""

AT_ONCE, IN_LINE, WAIT_SECONDS = 2, 6, 5.0
_seats, _line = threading.BoundedSemaphore(AT_ONCE), threading.BoundedSemaphore(IN_LINE)


def shown(html: str) -> Markup | None:
    """The letter made safe, or None when it is too long, or too many are being made: then its words are shown."""
    if len(html) > SHOWN_CHARACTERS or not _line.acquire(blocking=False):
        return None
    try:
        if not _seats.acquire(timeout=WAIT_SECONDS):
            return None
        try:
            return safe_html(html)
        finally:
            _seats.release()
    finally:
        _line.release()


def words_of(html: str) -> str:
    """The words of a letter whose design is not shown, as plain text; time grows with the length alone."""
    lower, kept, at = html.lower(), [], 0
    if len(lower) != len(html):  # a few letters change their length; then styles stay among the words
        lower = ""
    while (start := lower.find("<style", at)) >= 0:
        kept.append(html[at:start])
        stop = lower.find("</style", start)
        at = len(html) if stop < 0 else stop
    text = re.sub(r"<[^<>]*>", "\n", "".join([*kept, html[at:]]))
    return re.sub(r"[ \t\r]*\n\s*", "\n", entities.unescape(text)).strip()


def safe_html(html: str) -> Markup:
    """The message's HTML, sanitised by an allow-list (ammonia, by way of nh3)."""
    clean = nh3.clean(
        html,
        tags=_ELEMENTS,
        clean_content_tags=_GONE_WITH_CONTENT,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto", "tel"},
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )
    return Markup(clean)  # noqa: S704  # the sanitiser's output is the one markup that is not from a template
