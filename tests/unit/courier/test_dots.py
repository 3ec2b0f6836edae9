"""Dots at the start of a line, at every border, and newlines that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.courier.dots import BareNewline, DotStuffer

LINES = st.lists(st.text(alphabet="a.", max_size=4), max_size=6)


def sent(chunks: list[bytes]) -> bytes:
    stuffer = DotStuffer()
    return b"".join([*(stuffer.feed(chunk) for chunk in chunks), stuffer.finish()])


def received(wire: bytes) -> bytes:
    """What RFC 5321 4.5.2 makes of it, line by line."""
    lines = wire.split(b"\r\n")
    assert lines[-2:] == [b".", b""]
    assert b"." not in lines[:-2]
    return b"".join((line[1:] if line.startswith(b".") else line) + b"\r\n" for line in lines[:-2])


@given(lines=LINES, ends_open=st.booleans(), data=st.data())
def test_every_cut_sends_the_same_and_arrives_as_it_was(lines: list[str], ends_open: bool, data: st.DataObject) -> None:
    message = b"".join(line.encode() + b"\r\n" for line in lines)
    if ends_open:
        message = message.removesuffix(b"\r\n")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(message)), max_size=8)))
    chunks = [message[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(message)], strict=True)]
    wire = sent(chunks)
    assert wire == sent([message])
    expected = message if not message or message.endswith(b"\r\n") else message + b"\r\n"
    assert received(wire) == expected


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_dot_after_a_border_inside_crlf_is_doubled(size: int) -> None:
    message = b".a\r\n.\r\n..\r\nb.\r\n"
    assert sent([message[at : at + size] for at in range(0, len(message), size)]) == b"..a\r\n..\r\n...\r\nb.\r\n.\r\n"


@pytest.mark.parametrize("message", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\n.\n\r\n", b"a\r", b"\n", b"a\r\r\n", b"a\n\r"])
def test_bare_newline_is_refused_at_every_cut(message: bytes) -> None:
    for cut in range(len(message) + 1):
        with pytest.raises(BareNewline):
            sent([message[:cut], message[cut:]])
