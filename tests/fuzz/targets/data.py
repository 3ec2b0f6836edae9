"""The end of data, stuffed dots, bare newlines, hidden ends and hops, beside a reader of lines; and the way out again.

Whatever is taken is sent on by the courier, and must arrive as it was, with one end, however it is cut on either side.
"""

from __future__ import annotations

import re

from gateway.courier.dots import BareNewline, DotStuffer
from gateway.smtp.data import DotReader, HiddenEnd, HopCount, Newlines
from tests.fuzz.common import BARE_NEWLINE, pieces, plain_lines, split
from tests.support.ends import BARE, CLEAN, END, REAL, STRIPPED

ROOMS = ("gateway.smtp.data", "gateway.courier.dots")
WORDS = [b"\r\n.\r\n", b"\r\n.", b"\r\n..", b"\r", b"\n", b"\0", b"\r\n\0.\r\n", b"Received: x\r\n", b"\r\n\r\n"]
_HEAD = b"Subject: x\r\nReceived: a\r\n\r\n"
SEEDS = [
    _HEAD + one + b"after" + END + b"NOOP\r\n\x01\x07\x02\x00" for one in (BARE | CLEAN | STRIPPED | REAL).values()
]


def check(data: bytes) -> None:
    """The chunked readers say what plain reading says."""
    stream, choice = split(data)
    expected = plain_lines(stream)
    reader, body, rest = DotReader(), [], None
    fed = 0
    for piece in pieces(stream, choice[0]):
        fed += len(piece)
        more, rest = reader.feed(piece)
        body.append(more)
        if rest is not None:
            break
    if expected is None:
        assert rest is None
        message = b"".join(body)
    else:
        message, after = expected
        assert rest is not None
        assert (b"".join(body), rest + stream[fed:]) == (message, after)
    _taken(message, choice, normalize=bool(choice[3] & 1))


def _taken(message: bytes, choice: bytes, *, normalize: bool) -> None:
    newlines, hidden, hops = Newlines(normalize=normalize), HiddenEnd(), HopCount()
    kept = []
    for piece in [*pieces(message, choice[1]), None]:
        checked = newlines.finish() if piece is None else newlines.feed(piece)
        hidden.feed(checked)
        hops.feed(checked)
        kept.append(checked)
    hidden.finish()
    hops.finish()
    bare = BARE_NEWLINE.search(message) is not None
    whole = b"".join(kept)
    assert newlines.bare == bare
    assert whole == (re.sub(rb"\r\n|\r|\n", b"\r\n", message) if normalize else message)
    if bare and not normalize:
        _refused(whole, choice)
        return
    lines = whole.split(b"\r\n")
    assert hidden.found == any(line[:1] == b"\0" and line.replace(b"\0", b"") == b"." for line in lines)
    head = b"" if whole.startswith(b"\r\n") else whole.partition(b"\r\n\r\n")[0].lower()
    named = [line for line in head.split(b"\r\n") if line.startswith((b"received:", b"received ", b"received\t"))]
    assert hops.count == len(named)
    _sent(whole, choice, hidden.found)


def _refused(whole: bytes, choice: bytes) -> None:
    stuffer = DotStuffer()
    try:
        for piece in pieces(whole, choice[2]):
            stuffer.feed(piece)
        stuffer.finish()
    except BareNewline:
        return
    raise AssertionError("a bare newline went on")


def _sent(whole: bytes, choice: bytes, hidden: bool) -> None:
    stuffer = DotStuffer()
    wire = b"".join([*(stuffer.feed(piece) for piece in pieces(whole, choice[2])), stuffer.finish()])
    assert BARE_NEWLINE.search(wire) is None
    expected = whole if not whole or whole.endswith(b"\r\n") else whole + b"\r\n"
    assert plain_lines(wire) == (expected, b"")
    if not hidden:
        stripped = plain_lines(wire.replace(b"\0", b""))
        assert stripped is not None
        assert stripped[1] == b"", "without NULs it ends earlier"
