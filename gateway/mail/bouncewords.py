"""A bounce in free words: what old or own-minded mail systems write instead of an RFC 3464 report. Pure.

Promises: never raises on any bytes; only words that such a system begins or heads its report with count, so that an
absence note is none; what it says of the original below its own words is not read; of all of it a verdict and a status
go on, no word. The forms: qmail's QSBMF (https://cr.yp.to/proto/qsbmf.txt), Exim, Sendmail before 8.8, Postfix before
2.0, Exchange and its heirs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

WORDS_BYTES = 32_768
"""So much of the text is looked at; these systems say first what happened."""
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_BLANK = re.compile(r"\n[ \t]*\n")
_BELOW = re.compile(
    r"^(?:-+ ?(?:below this line is a copy|undelivered message follows|this is a copy of the message"
    r"|unsent message|original message|message header|returned message|start of returned)"
    r"|original message headers|received: from )",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class _Form:
    """`proof` must be there, and then `failed` or `delayed` say which it is. Small letters, one space between words."""

    proof: tuple[str, ...]
    failed: tuple[str, ...]
    delayed: tuple[str, ...] = ()


_FORMS = (
    _Form(  # Exim
        ("created automatically by mail delivery software",),
        ("could not be delivered to",),
        ("has not yet been delivered", "has not been delivered to"),
    ),
    _Form(  # Sendmail
        ("transcript of session follows", "the following addresses had", "warning message only"),
        ("had permanent fatal errors", "had delivery problems", "user unknown", "host unknown"),
        ("had transient non-fatal errors", "warning message only", "will keep trying"),
    ),
    _Form(  # Postfix
        ("this is the postfix program at host", "this is the mail system at host"),
        ("could not be delivered to",),
        ("has not been delivered yet", "could not be delivered for"),
    ),
    _Form(  # Exchange
        ("your message", "delivery has failed to", "delivery to the following recipients", "delivery is delayed to"),
        (
            "did not reach some or all of the intended recipients", "delivery has failed to these recipients",
            "delivery to the following recipients failed", "delivery to the following recipients has failed",
        ),
        ("delivery is delayed to", "delivery to the following recipients has been delayed"),
    ),
)  # fmt: skip


def read(data: bytes, failed_recipients: bool = False) -> tuple[str, str] | None:
    """``failed`` or ``delayed`` with an enhanced status, or None for other words.

    `data`: the first text of a mail, decoded of its transfer encoding. `failed_recipients`: it has a field
    X-Failed-Recipients, by which Exim names whom it gave up.
    """
    text = data[:WORDS_BYTES].decode("latin-1").replace("\r\n", "\n")
    found = _qsbmf(text)
    if found is not None:
        return "failed", _status(found, "5")
    below = _BELOW.search(text)
    own = text[: below.start()] if below is not None else text
    flat = re.sub(r"[\s>*|]+", " ", own).lower()
    for form in _FORMS:
        if not any(words in flat for words in form.proof):
            continue
        late = any(words in flat for words in form.delayed)
        if any(words in flat for words in form.failed) and not late:
            return "failed", _status(own, "5")
        if late:
            return "delayed", _status(own, "4")
    return ("failed", _status(own, "5")) if failed_recipients else None


def _qsbmf(text: str) -> str | None:
    """The paragraphs about recipients of a report in qmail's format; None for any other text."""
    paragraphs = _BLANK.split(text.lstrip("\n"))
    if not paragraphs[0].startswith("Hi. This is the"):
        return None
    named = []
    for paragraph in paragraphs[1:]:
        if paragraph.startswith("-"):
            break
        if paragraph.lstrip("\n").startswith("<"):
            named.append(paragraph)
    return "\n".join(named) if named else None


def _status(text: str, class_: str) -> str:
    """The first enhanced code of that class, such as 5.1.1; 5.0.0 or 4.0.0 when there is none. RFC 3463 2."""
    return next((code for code in _STATUS.findall(text) if code[0] == class_), f"{class_}.0.0")
