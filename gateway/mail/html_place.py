"""Where the visible body of an HTML mail begins.

Promises: linear time on any bytes; never a place inside a comment, a tag, a style, a script or a title; a place
before everything that shows. WHATWG HTML 13.2.6 (a missing body tag is implied by the first thing that shows).
"""

from __future__ import annotations

import re

_NAME = re.compile(rb"</?([a-z][a-z0-9:_-]*)")
_UNQUOTED = re.compile(rb"[^>\"']*")
_SPACE = re.compile(rb"\s*")
_ENDED = re.compile(rb"\s{0,80}(?:<!--)?<!\[endif\](?:--)?>")
_RAW = frozenset({b"script", b"style", b"title", b"noscript", b"template"})
_HEAD = frozenset({b"html", b"head", b"meta", b"link", b"base", b"basefont", b"bgsound", b"xml"})


def body_start(html: bytes) -> int:
    """Offset right after `<body …>`, or where a body tag would be implied. ASCII-compatible bytes."""
    low = html.lower()
    at = place = 3 if html.startswith(b"\xef\xbb\xbf") else 0
    while True:
        space = _SPACE.match(low, at)
        at = space.end() if space else at
        if low.startswith(b"<!--", at):
            stop = low.find(b"-->", at + 4)
            if stop < 0:
                return place
            at = stop + 3
        elif low.startswith((b"<!", b"<?"), at):
            stop = low.find(b">", at)
            if stop < 0:
                return place
            if low.startswith(b"<!doctype", at):
                place = stop + 1
            at = stop + 1
        else:
            name = _NAME.match(low, at)
            stop = _tag_stop(low, name.end()) if name else -1
            if name is None or stop < 0:
                return place
            tag = name[1]
            closing = low[at + 1] == 47
            if tag == b"body" and not closing:
                # A body tag for all programs but Outlook ends its condition behind it; what stood between, Outlook
                # would not show.
                ended = _ENDED.match(low, stop)
                return ended.end() if ended else stop
            if tag in _RAW and not closing:
                end = low.find(b"</" + tag, stop)
                stop = low.find(b">", end) + 1 if end >= 0 else 0
                if not stop:
                    return place
            elif tag not in _HEAD and tag not in _RAW and b":" not in tag:
                return place
            if (tag == b"html" and not closing) or (tag == b"head" and closing):
                place = stop
            at = stop


def _tag_stop(low: bytes, at: int) -> int:
    """Offset after the tag's `>`, quoted values skipped; -1 where it does not end."""
    while True:
        run = _UNQUOTED.match(low, at)
        at = run.end() if run else at
        if at >= len(low):
            return -1
        if low[at] == 62:
            return at + 1
        close = low.find(low[at : at + 1], at + 1)
        if close < 0:
            return -1
        at = close + 1
