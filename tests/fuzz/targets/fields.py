"""Header fields of strangers: read without an exception, written without a line of their own. RFC 2047, RFC 2231."""

from __future__ import annotations

import re
import unicodedata

from gateway.mail import charset, compose, fields
from gateway.mail.scan import scan
from gateway.mail.source import BytesSource
from gateway.portal.answers import disposition
from tests.fuzz.common import split

ROOMS = ("gateway.mail", "gateway.portal.answers")
WORDS = [
    *(b"=?utf-8?q?", b"=?utf-8?b?", b"?=", b"=0D=0A", b"DQo=", b"=00", b"=E2=80=A8", b"=?us-ascii*en?Q?"),
    *(b"filename*=utf-8''", b"filename*0*=", b"filename*1=", b"%0D%0A", b"%00", b"%E2%80%AE", b"name=", b'"', b";"),
    *(b"attachment; ", b"<a@b.test>", b"(", b")", b",", b":", b"\r\n ", b"\r\n\t", b"\xff", b"=?x-y?b?"),
    *(b"\xed\xa0\x80", b"=?utf-7?q?+AA0ACg-", b"\\"),
]  # fmt: skip
SEEDS = [
    b"=?utf-8?q?Jane=0D=0ABcc=3A_x=40y.test?= <a@b.test>\0",
    b"=?utf-8?b?SmFuZQ0KQmNjOiB4QHk=?= =?utf-8?q?_Doe?=\0",
    b"attachment; filename*=utf-8''a%0D%0ASet-Cookie%3A%20x.pdf\0",
    b'attachment; filename*0*=utf-8\'\'a%0D; filename*1="b\nc"; filename="d\\"e"\0',
    b'multipart/mixed; boundary="a b"; charset=utf-8 (comment); x=y=z\0',
    b'"A, B" <a@b.test>, Group: c@d.test, =?x?q?y?= <e@f.test>;, (note) g@h.test\0',
    "Größe 😀 \u202e\u2028\u0085\0\x7f\r\n x".encode() + b"\0",
    b"=?iso-2022-jp?b?GyRCJUYbKEI=?= =?utf-16?b?/v8ADQAK?=\0",
]
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")
_HTTP = re.compile(r"[\x20-\x7e]*\Z")


def check(data: bytes) -> None:
    """One value in every place where a stranger's words are read or written."""
    body, choice = split(data, 1)
    text = fields.unfold(body)
    assert "\n" not in text
    words = fields.decode_words(text)
    read = fields.valued(text)
    fields.content_id(text)
    for name, address in fields.mailboxes(text):
        assert "@" in address
        _line(compose.structured("To", compose.mailbox(name, "a@b.test")))
        _line(compose.structured("To", compose.one_line(address, 320)))
    charset.decode(body, read.params.get("charset") or text[:30])
    for value in (words, text, *read.params.values()):
        safe = compose.one_line(value, 200)
        assert len(safe) <= 200
        assert not any(unicodedata.category(letter)[0] == "C" for letter in safe)
        _line(compose.header("Subject", value))
        _line(compose.structured("X-One", safe))
        _line(compose.structured("From", compose.mailbox(value, "a@b.test")))
        for inline in (False, True):
            shown = disposition(value, inline=inline)
            assert _HTTP.match(shown), shown
            assert shown.count('"') == 2
    part = compose.text_part("text/plain", words, b"\r\n" if choice[0] & 1 else b"\n")
    assert choice[0] & 1 == 0 or _BARE.search(part.replace(b"\r\n", b"")) is None
    whole = " ".join(words.split())
    again = scan(BytesSource(compose.header("Subject", words) + b"\r\n")).subject
    if "�" not in whole and whole.encode("utf-8", "ignore").decode() == whole:
        assert again == whole


def _line(raw: bytes) -> None:
    """One field, in folded lines, ended."""
    assert raw.endswith(b"\r\n")
    assert _BARE.search(raw) is None, raw
    assert all(line[:1] in (b" ", b"\t") and line.strip() for line in raw.split(b"\r\n")[1:-1]), raw
    message = scan(BytesSource(raw + b"\r\nbody"))
    assert len(message.headers) == 1
