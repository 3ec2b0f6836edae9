"""Rewriting: what is not taken out stays byte for byte, every alternative has the link, and it parses as meant."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

from gateway.mail import charset
from gateway.mail.decode import decoded
from gateway.mail.model import Message, Part
from gateway.mail.notices import NoticeFacts, attachment_block, secure_words
from gateway.mail.pieces import Pieces, Range
from gateway.mail.rewrite import Unrewritable, as_is, render, seal_attachments, secure_notice, total
from gateway.mail.scan import scan
from gateway.mail.source import BytesSource
from gateway.words import language
from tests.fuzz.common import BARE_NEWLINE, split
from tests.fuzz.targets import parts

ROOMS = ("gateway.mail",)
WORDS = [
    *parts.WORDS,
    *(b"<html><head></head><body>", b"<!--", b"-->", b"<title>", b"=C3=A9=\r\n", b"PGI+eDwvYj4=\r\n", b"\xef\xbb\xbf"),
    *(b"charset=utf-7", b"charset=utf-16le", b"charset=iso-2022-jp", b"charset=cp037", b"; format=flowed"),
    *(b"Bcc: z@example.test\r\n", b"Subject: =?utf-8?q?Jane=0D=0ABcc=3A?=\r\n", b"Content-MD5: x\r\n"),
]  # fmt: skip
SEEDS = parts.SEEDS
made = parts.made
URL = "https://secure.clinic.example/m/a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7"
_FACTS = NoticeFacts(
    clinic="Clínica Río", recipient="pat@mail.example", url=URL, files=2, size_bytes=3_400_000,
    until=datetime(2027, 2, 20, tzinfo=UTC), phone="+1 555 010 0199", sender="Dr. Ana Reyes",
)  # fmt: skip
_WORDS = language()
_BLOCK = attachment_block(_WORDS, _FACTS)
_NOTICE = secure_words(_WORDS, _FACTS)
_TOP = b"Received: from a.example by gw.example with ESMTPS id q1; Mon, 4 Jan 2027 10:00:00 +0000\r\n"


def check(data: bytes) -> None:
    """Every way to rewrite these bytes."""
    body, choice = split(data)
    if choice[3] & 1:  # what the door lets in; without it also what came otherwise
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    message, source = scan(BytesSource(body)), BytesSource(body)
    top = _TOP.replace(b"\r\n", message.newline)
    assert _bytes(source, as_is(message, top)) == top + body
    clean = BARE_NEWLINE.search(body) is None
    subject = "A secure message" if choice[0] & 1 else None
    _noticed(message, source, top, subject, clean)
    leaves = [part for part in message.parts() if part.kind not in ("multipart", "message")]
    pick = int.from_bytes(choice[1:3], "little") or 1
    removed = [part.path for number, part in enumerate(leaves) if pick >> number % 16 & 1]
    if choice[0] & 2:
        removed = [part.path for part in message.attachments()]
    try:
        pieces = seal_attachments(message, source, removed, _BLOCK, top, subject, sender_shown=bool(choice[0] & 4))
    except Unrewritable:
        return
    out = _bytes(source, pieces)
    if clean:
        assert BARE_NEWLINE.search(out) is None
    again = scan(BytesSource(out))
    assert not again.ambiguous, again.flags
    gone = _gone(message, removed)
    _untouched(message, pieces, gone)
    _attached(message, source, again, BytesSource(out), gone)
    _shown(again, BytesSource(out))
    if subject is not None:
        assert again.subject == subject
    assert again.header("bcc") is None


def _bytes(source: BytesSource, pieces: Pieces) -> bytes:
    out = b"".join(render(source, pieces))
    assert total(pieces) == len(out)
    return out


def _noticed(message: Message, source: BytesSource, top: bytes, subject: str | None, clean: bool) -> None:
    out = _bytes(source, secure_notice(message, _NOTICE, top, subject, sender_shown=False))
    again = scan(BytesSource(out))
    assert [part.content_type for part in again.parts()] == ["multipart/alternative", "text/plain", "text/html"]
    if clean:
        assert BARE_NEWLINE.search(out) is None
        _shown(again, BytesSource(out))


def _gone(message: Message, removed: list[tuple[int, ...]]) -> set[tuple[int, ...]]:
    """What was to be taken out, with all that lies in it."""
    return {part.path for part in message.parts() if any(part.path[: len(path)] == path for path in removed)}


def _untouched(message: Message, pieces: Pieces, gone: set[tuple[int, ...]]) -> None:
    """Parts that stay are copied whole, those that go not by one byte; nothing is copied twice or out of order."""
    kept = [piece for piece in pieces if isinstance(piece, Range)]
    assert all(0 <= one.start < one.stop <= message.size for one in kept)
    assert all(one.stop <= other.start for one, other in pairwise(kept))
    shown = {part.path for part in message.visible(frozenset(gone))}
    for part in message.parts():
        if part.path in gone and part.kind not in ("multipart", "message") and part.body_start < part.body_stop:
            assert not any(one.start < part.body_stop and part.body_start < one.stop for one in kept), part.path
        elif not part.children and part.path and part.path not in shown and part.path not in gone:
            alone = [one for one in kept if one.start <= part.start and part.body_stop <= one.stop]
            assert alone or part.start == part.body_stop or not _below_kept(message, part, gone), part.path


def _below_kept(message: Message, part: Part, gone: set[tuple[int, ...]]) -> bool:
    """Whether no multipart above it went as a whole."""
    return not any(part.path[:length] in gone for length in range(len(part.path)))


def _attached(
    message: Message, source: BytesSource, again: Message, out: BytesSource, gone: set[tuple[int, ...]]
) -> None:
    """What a mail program lists afterwards is what it listed before, less what went, and equal byte for byte."""
    before = [part for part in message.attachments() if part.path not in gone]
    if () in gone:
        before = []
    after = list(again.attachments())
    assert [(one.content_type, one.filename) for one in after] == [(one.content_type, one.filename) for one in before]
    for old, new in zip(before, after, strict=True):
        if not any(path[: len(old.path)] == old.path for path in gone):
            assert source.read(old.start, old.body_stop) == out.read(new.start, new.body_stop)


def _shown(again: Message, out: BytesSource) -> None:
    """The link stands in each text that a mail program may show first."""
    shown = again.visible()
    assert shown
    for part in shown:
        text = charset.decode(b"".join(decoded(out, part)), part.charset)
        assert URL in text, (part.path, part.kind, part.charset, part.encoding)
