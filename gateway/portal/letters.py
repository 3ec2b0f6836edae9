"""Message HTML made safe to show: structure and words only, no style, no picture, no remote anything.

Promises: what comes out holds only the elements and attributes listed here, links open outside without a referrer, and
nothing is fetched when the page is shown; the page's CSP (`default-src 'none'`) would refuse it anyway.
"""

from __future__ import annotations

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
