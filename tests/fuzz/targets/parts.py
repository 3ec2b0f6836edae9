"""The structure of a message beside a plain reader of lines, in any cut; its ranges put together are the bytes."""

from __future__ import annotations

import random

from gateway.mail.decode import decoded
from gateway.mail.model import Message, Part
from gateway.mail.scan import Scanner, scan
from gateway.mail.source import BytesSource
from tests.fuzz.common import pieces, split
from tests.fuzz.plainmime import Node, Reader
from tests.support.make_mail_corpus import FOLDER

ROOMS = ("gateway.mail",)
WORDS = [
    *(b"\r\n--a\r\n", b"\r\n--a--\r\n", b"\n--a\n", b"--a", b"--ab", b"\r\n--ab\r\n", b"--", b"\r\n\r\n", b"\n\n"),
    b'Content-Type: multipart/mixed; boundary="a"\r\n',
    b"Content-Type: multipart/alternative; boundary=ab\r\n",
    b"Content-Type: multipart/digest; boundary=b\r\n",
    b"Content-Type: multipart/signed; boundary=s\r\n",
    b"Content-Type: multipart/related; boundary=a; start=\"<x>\"\r\n",
    *(b"Content-Type: message/rfc822\r\n\r\n", b"Content-Type: text/html; charset=utf-16\r\n", b"Content-ID: <x>\r\n"),
    *(b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n", b"Subject: x\r\n"),
    *(b"Content-Disposition: attachment; filename=x.pdf\r\n", b"boundary*0=a; boundary*1=b", b"\0", b"\r"),
    *(b" ;", b"\t", b"\r\n \r\n"),
]  # fmt: skip
_NESTED = (
    b'Content-Type: multipart/mixed; boundary="a"\r\n\r\npre\r\n--a\r\nContent-Type: multipart/alternative; boundary=b'
    b"\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>two\r\n--b--\r\n--a \r\n"
    b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n"
    b"three\r\n--c--\r\n\r\n--a--\r\nlast\r\n"
)
SEEDS = [
    _NESTED + b"\0\0\0\0",
    _NESTED.replace(b"\r\n", b"\n") + b"\1\0\0\0",
    _NESTED.replace(b"boundary=b", b"boundary=aa").replace(b"--b", b"--aa") + b"\2\0\0\0",
    _NESTED.replace(b"--a--", b"--a--\r\n--a\r\n\r\nhidden") + b"\3\0\0\0",
    *(path.read_bytes() + b"\2\0\0\0" for path in sorted(FOLDER.glob("*.eml")) if path.stat().st_size < 3000),
]

_BEGINNINGS = [
    *(b"", b"Content-Type: message/rfc822\r\n\r\n"),
    *(b"Content-Type: multipart/" + kind + b"; boundary=a\r\n\r\n--a\r\n" for kind in (b"mixed", b"digest")),
]
_LINES = [
    *(b"--a\r\n", b"--a", b"--a--\r\n", b"--a--", b"--b\r\n", b"--b", b"--b--\r\n", b"--b--"),
    *(b"\r\n", b"\r\n", b"x\r\n", b"x", b"Y: z\r\n", b"Y: z", b"Subject: q\r\n", b"Bcc: z@b.example\r\n"),
    *(b"MIME-Version: 1.0\r\n", b"Content-Type: multipart/mixed; boundary=a\r\n"),
    *(b"Content-Type: multipart/alternative; boundary=b\r\n", b"Content-Type: multipart/digest; boundary=b\r\n"),
    *(b"Content-Type: message/rfc822\r\n", b"Content-Type: text/html\r\n", b"Content-Type: text/plain\r\n"),
    *(b"Content-Type: application/pdf; name=a.pdf\r\n", b"Content-Disposition: attachment; filename=a.txt\r\n"),
    *(b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n"),
]  # fmt: skip


def made(chance: random.Random) -> bytes:
    """A short mail of whole lines: headers cut short, parts without a byte, boundaries within their own parts."""
    body = chance.choice(_BEGINNINGS) + b"".join(chance.choice(_LINES) for _ in range(1 + chance.randrange(10)))
    return (body if chance.randrange(8) else body.replace(b"\r\n", b"\n")) + chance.randbytes(4)


def check(data: bytes) -> None:
    """One reading for every cut, that of the plain reader; and nothing lost between its ranges."""
    body, choice = split(data)
    message = scan(BytesSource(body))
    scanner = Scanner()
    for piece in pieces(body, choice[0]):
        scanner.feed(piece)
    assert scanner.close() == message
    if "limit" in message.defects:
        return
    _same(message.root, Reader(body).root)
    _covered(message, body)
    for part in message.parts():
        if part.kind not in ("multipart", "message"):
            b"".join(decoded(BytesSource(body), part))
    message.attachments()
    message.visible()
    assert isinstance(message.subject, str)


def _same(part: Part, node: Node) -> None:
    waiting = [(part, node)]
    while waiting:
        part, node = waiting.pop()
        assert (part.path, part.delimiter_start, part.start, part.header_stop, part.body_start, part.body_stop) == (
            node.path, node.delimiter_start, node.start, node.header_stop, node.body_start, node.body_stop,
        )  # fmt: skip
        assert part.kind == node.kind
        for flag in ("headers-cut", "unclosed", "delimiter-after-close", "boundary-prefix", "limit"):
            assert (flag in part.flags) == (flag in node.flags), flag
        assert len(part.children) == len(node.children)
        waiting += zip(part.children, node.children, strict=True)


def _covered(message: Message, data: bytes) -> None:
    """Header, the line between, and body of every part; and in a multipart what stands before, between and after."""
    assert (message.root.start, message.root.body_stop) == (0, len(data))
    for part in message.parts():
        assert part.start <= part.header_stop <= part.body_start <= part.body_stop <= len(data)
        assert data[part.start : part.header_stop] == part.header_block
        assert data[part.header_stop : part.body_start] in (b"", b"\r\n", b"\n")
        if part.kind == "message":
            (child,) = part.children
            if not _at_once(child, part, data):
                assert (child.start, child.body_stop) == (part.body_start, part.body_stop)
        elif part.kind == "multipart":
            _between(part, data)
        else:
            assert part.children == ()


def _at_once(child: Part, part: Part, data: bytes) -> bool:
    """Whether a delimiter from further out stands where the child would begin.

    The line end before it is that delimiter's (RFC 2046 5.1.1), and ends the line before as well: the part around the
    child stops before it, the child has no bytes and lies behind it.
    """
    if child.start <= part.body_stop:
        return False
    assert child.start == child.body_stop
    assert data[part.body_stop : child.start] in (b"\r\n", b"\n")
    assert data[child.start : child.start + 2] == b"--"
    return True


def _between(part: Part, data: bytes) -> None:
    start, at = part.preamble
    assert start == part.body_start
    for child in part.children:
        # The line end before a delimiter belongs to it; a part may be so short that this line end is its header's.
        gap = data[max(at, part.body_start) : child.delimiter_start]
        assert gap in (b"", b"\n", b"\r\n"), gap
        line = data[child.delimiter_start : child.start]
        assert line.rstrip(b" \t\r\n") == b"--" + part.boundary
        if _at_once(child, part, data):
            assert child is part.children[-1]
        else:
            assert child.body_stop <= part.body_stop
        at = child.body_stop
    closing = data[at : part.epilogue[0]] if part.close_start < part.body_stop else b""
    assert closing.strip(b" \t\r\n") in (b"", b"--" + part.boundary + b"--")
    assert part.epilogue[1] == part.body_stop
