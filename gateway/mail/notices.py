"""The recipient's notice: what stands in the mail instead of what was sealed.

Promises: it holds the recipient's own address, the link, the clinic, who sent it, count and size, until when, and
the clinic's phone number; no file name, no subject and no word of the message can get in, because there is no place
for them. The text part is whole by itself, with the bare link on a line of its own. One link, nothing remote.
"""

from __future__ import annotations

import html
import re
import textwrap
from dataclasses import dataclass
from datetime import datetime

from gateway.mail import moments
from gateway.mail.compose import one_line
from gateway.mail.insert import NoticeBlock, fragment
from gateway.words import Words

_WIDTH = 72
_URL_MAX = 300
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:/[A-Za-z0-9._~-]*)*\Z")


@dataclass(frozen=True, slots=True)
class NoticeFacts:
    """All that a recipient's notice may say.

    `sender` is the display name, used only where `proved` (the person signed in to submit; a network did not prove a
    person); `until` is the moment on the clinic's clock at which the link stops working; `size_bytes` is the size of
    the sealed files; `reference` is the six digits that people say on the telephone, `code` the link's secret for
    typing where a link was cut in two.
    """

    clinic: str
    recipient: str
    url: str
    files: int
    size_bytes: int
    until: datetime
    phone: str
    sender: str = ""
    proved: bool = True
    reference: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class NoticeWords:
    """A whole notice as text and as an HTML page."""

    text: str
    html: str


def human_size(size_bytes: int) -> str:
    """Decimal units, as file managers and mail programs show them."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    amount = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if amount >= 9.95 else f"{amount:.1f} {unit}"
    return f"{amount:.0f} TB"


def attachment_block(words: Words, facts: NoticeFacts) -> NoticeBlock:
    """The block for mail whose attachments were sealed. Raises ValueError for a link that is not plain."""
    rows = [_said(words, "mail.block.lead", facts), words.say("mail.block.open")]
    after = [words.say("mail.secure.how"), *_after(words, facts)]
    text = _text(rows, facts.url, after)
    return NoticeBlock(text, fragment(rows, _link(facts.url), words.say("mail.block.button"), after), facts.url)


def secure_words(words: Words, facts: NoticeFacts) -> NoticeWords:
    """The whole notice for mail that was sealed as such. Raises ValueError for a link that is not plain."""
    rows = [_said(words, "mail.secure.lead", facts), _for_whom(words, facts), words.say("mail.secure.open")]
    after = [words.say("mail.secure.how"), *_after(words, facts)]
    inner = fragment(rows, _link(facts.url), words.say("mail.secure.button"), after)
    return NoticeWords(_text(rows, facts.url, after), page(one_line(facts.clinic, 80), inner))


def neutral_subject(words: Words, clinic: str) -> str:
    """The subject where the original one may not show."""
    return words.say("mail.secure.subject", clinic=one_line(clinic, 80))


def invitation_words(words: Words, clinic: str, url: str) -> tuple[str, str]:
    """Summary and description of an invitation whose own may not show."""
    said = words.say("mail.secure.invitation.description", clinic=one_line(clinic, 80))
    return words.say("mail.secure.invitation.summary", clinic=one_line(clinic, 80)), f"{said}\n{_link(url)}"


def page(title: str, inner: str) -> str:
    """An HTML mail around one fragment: readable in light and dark, nothing fetched."""
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n<meta name="color-scheme" content="light dark">\n'
        '<meta name="supported-color-schemes" content="light dark">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n:root {{ color-scheme: light dark }}\n"
        "@media (prefers-color-scheme: dark) { body { background: #10181d !important } }\n</style>\n</head>\n"
    )
    whole = head + f'<body style="margin:0;padding:16px;background:#ffffff">\n{inner}\n</body>\n</html>\n'
    return whole.encode("ascii", "xmlcharrefreplace").decode()


def paragraphs(rows: list[str]) -> str:
    """Rows of text wrapped for mail, an empty line between them."""
    return "\n\n".join(_wrapped(row) for row in rows)


def _wrapped(row: str) -> str:
    return textwrap.fill(row, _WIDTH, break_long_words=False, break_on_hyphens=False)


def with_link(rows: list[str], url: str, after: list[str]) -> str:
    """The same with the bare link on a line of its own between. Raises ValueError for a link that is not plain."""
    return f"{paragraphs(rows)}\n\n{_link(url)}\n\n{paragraphs(after)}"


def _text(rows: list[str], url: str, after: list[str]) -> str:
    return with_link(rows, url, after) + "\n"


def _link(url: str) -> str:
    """The link, if it can stand alone on a line: no query, no fragment, nothing to escape.

    With a portal host of up to 32 letters the line stays under 78 characters; a longer one is still not broken.
    """
    if len(url) > _URL_MAX or not _URL.match(url):
        raise ValueError("the link must be a plain address of at most 300 characters")
    return url


def _said(words: Words, key: str, facts: NoticeFacts) -> str:
    who = "person" if facts.proved and facts.sender.strip() else "clinic"
    values = {"clinic": one_line(facts.clinic, 80), "sender": one_line(facts.sender, 80)}
    if not facts.files:
        return words.say(f"{key}.{who}.none", **values)
    return words.count(f"{key}.{who}", facts.files, size=human_size(facts.size_bytes), **values)


def _for_whom(words: Words, facts: NoticeFacts) -> str:
    return words.say("mail.secure.recipient", recipient=one_line(facts.recipient, 254))


def _after(words: Words, facts: NoticeFacts) -> list[str]:
    phone = one_line(facts.phone, 40)
    rows = [words.say("mail.until", until=moments.whole(facts.until))]
    rows.append(words.say("mail.phone", phone=phone) if phone else words.say("mail.no_phone"))
    rows.append(f"{words.say('mail.password')} {words.say('mail.doubt')}")
    if facts.reference:
        rows.append(words.say("mail.reference", reference=f"{facts.reference[:3]} {facts.reference[3:]}".strip()))
    if facts.code:
        rows.append(words.say("mail.code", code=facts.code))
    return rows
