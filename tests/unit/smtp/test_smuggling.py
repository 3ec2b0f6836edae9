"""Nothing but CR LF dot CR LF ends a message: every variant, cut at every byte, one after the other and pipelined.

The whole dialogue runs here in memory, so that a packet is what the test says (`tests/support/wire.py`); the same over
TCP and up to the next hop stands in `tests/e2e/test_smuggling.py`. RFC 5321 2.3.8, 4.1.1.4, 4.5.2; RFC 3030.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from gateway.smtp.data import HiddenEnd
from tests.support.ends import BARE, CLEAN, END, REAL, STRIPPED
from tests.support.plainsmtp import Reading
from tests.support.wire import Wire

HELLO = b"EHLO a.test\r\n"
ENVELOPE = b"MAIL FROM:<a@clinic.test>\r\nRCPT TO:<b@example.test>\r\n"
FIRST = b"Subject: first\r\n\r\nLunch at one?"
SECOND = b"MAIL FROM:<boss@clinic.test>\r\nRCPT TO:<v@example.test>\r\nDATA\r\nSubject: second\r\n\r\nnow"
BARE_NEWLINE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


@pytest.fixture(scope="module", params=["refuse", "normalize"])
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    made = Wire(normalize=request.param == "normalize")
    yield made
    made.close()


def normalizing(wire: Wire) -> bool:
    return wire._services.config.normalize_newlines


def cuts(whole: bytes, start: int, stop: int) -> Iterator[list[bytes]]:
    """In one packet, in two at every place from `start` to `stop`, and there byte by byte."""
    yield [whole]
    for at in range(start, stop + 1):
        yield [whole[:at], whole[at:]]
    yield [whole[:start], *(whole[at : at + 1] for at in range(start, stop)), whole[stop:]]


def conversations(end: bytes) -> Iterator[list[bytes]]:
    """A first mail, `end`, and what would be a second mail if that were one; pipelined from the start and not."""
    before, after = HELLO + ENVELOPE + b"DATA\r\n" + FIRST, SECOND + END + b"QUIT\r\n"
    whole = before + end + after
    yield from cuts(whole, len(before) - 2, len(before + end) + 2)
    step_by_step = [line + b"\r\n" for line in (HELLO + ENVELOPE + b"DATA").split(b"\r\n")]
    yield [*step_by_step, FIRST, end, after]
    yield step_by_step + [bytes((byte,)) for byte in FIRST + end + after[:2]] + [after[2:]]


@pytest.mark.parametrize("name", sorted(BARE))
def test_what_holds_a_bare_newline_ends_nothing(wire: Wire, name: str) -> None:
    for packets in conversations(BARE[name]):
        codes, messages = wire.talk(packets)
        if not normalizing(wire):
            assert (codes, messages) == ([220, 250, 250, 250, 354, 554, 221], [])
            continue
        assert codes == [220, 250, 250, 250, 354, 250, 221]
        (message,) = messages
        assert message.startswith(FIRST)
        assert message.endswith(SECOND.partition(b"\n")[2] + b"\r\n")
        assert BARE_NEWLINE.search(message) is None


@pytest.mark.parametrize("name", sorted(CLEAN))
def test_what_only_looks_like_an_end_is_text(wire: Wire, name: str) -> None:
    for packets in conversations(CLEAN[name]):
        codes, messages = wire.talk(packets)
        assert codes == [220, 250, 250, 250, 354, 250, 221]
        text = CLEAN[name]
        unstuffed = text.replace(b"\r\n.", b"\r\n")
        assert messages == [FIRST + unstuffed + SECOND + b"\r\n"]


@pytest.mark.parametrize("name", sorted(STRIPPED))
def test_a_dot_behind_nuls_is_refused(wire: Wire, name: str) -> None:
    for packets in conversations(STRIPPED[name]):
        assert wire.talk(packets) == ([220, 250, 250, 250, 354, 554, 221], [])


@pytest.mark.parametrize("name", sorted(REAL))
def test_twin_the_real_end_makes_two(wire: Wire, name: str) -> None:
    for packets in conversations(REAL[name]):
        codes, messages = wire.talk(packets)
        assert codes == [220, 250, 250, 250, 354, 250, 250, 250, 354, 250, 221]
        assert len(messages) == 2


@pytest.mark.parametrize("name", sorted(BARE | CLEAN | STRIPPED | REAL))
def test_in_a_chunk_every_variant_is_text_and_the_count_alone_ends_it(wire: Wire, name: str) -> None:
    end = (BARE | CLEAN | STRIPPED | REAL)[name]
    text = FIRST + end + SECOND + END + b"QUIT\r\n"
    for parted in (0, len(FIRST) + 1, len(FIRST + end)):
        chunk = b"BDAT %d\r\n" % parted + text[:parted] if parted else b""
        last = b"BDAT %d LAST\r\n" % (len(text) - parted) + text[parted:]
        whole = HELLO + ENVELOPE + chunk + last + b"QUIT\r\n"
        expected = Reading(whole, normalize=normalizing(wire))
        assert len(expected.messages) <= 1
        start = len(whole) - len(text) - 6
        for packets in cuts(whole, start + len(FIRST), start + len(FIRST + end)):
            assert wire.talk(packets) == (expected.codes, expected.messages)
        if name in CLEAN or name in REAL:
            assert expected.messages == [text]


def test_the_sizes_of_chunks_are_counted_exactly(wire: Wire) -> None:
    for command in (b"BDAT 4 LAST", b"BDAT 004 LAST", b"bdat  4  last"):
        for packets in cuts(HELLO + ENVELOPE + command + b"\r\nabcdQUIT\r\n", 70, 110):
            assert wire.talk(packets) == ([220, 250, 250, 250, 250, 221], [b"abcd"])
    odd = (
        b"BDAT -4 LAST", b"BDAT +4 LAST", b"BDAT 0x4 LAST", b"BDAT 4 LAST x", b"BDAT 4LAST", b"BDAT",
        b"BDAT \xd9\xa4 LAST", b"BDAT 4.0 LAST", b"BDAT 4,LAST", b"BDAT 9999999999999999999 LAST",
    )  # fmt: skip
    for command in odd:
        codes, messages = wire.talk([HELLO + ENVELOPE + command + b"\r\nabcdQUIT\r\n"])
        assert (codes, messages) == ([220, 250, 250, 250, 501], []), command  # how much follows is not known: the end


def test_data_and_chunks_do_not_mix(wire: Wire) -> None:
    whole = HELLO + ENVELOPE + b"BDAT 3\r\nabcDATA\r\n.\r\nMAIL FROM:<b@clinic.test>\r\nBDAT 2 LAST\r\nxyQUIT\r\n"
    assert wire.talk([whole]) == ([220, 250, 250, 250, 250, 503, 500, 503, 250, 221], [b"abcxy"])


def test_a_bare_line_feed_ends_no_command_and_nothing_behind_it_is_read(wire: Wire) -> None:
    for sent in (HELLO + b"NOOP\n" + ENVELOPE, HELLO.replace(b"\r\n", b"\n") + ENVELOPE, HELLO + b"NOOP\n\r\nNOOP\r\n"):
        codes, messages = wire.talk([sent + b"DATA\r\nx\r\n.\r\nQUIT\r\n"])
        assert codes[-1] == 500
        assert 354 not in codes
        assert messages == []
    for odd in (b"\r", b"\0", b"\x0b", b"\xc2\x85", b"\xe2\x80\xa8", b"\x85"):
        codes, messages = wire.talk([HELLO + b"NOOP" + odd + b"MAIL FROM:<a@clinic.test>\r\nRCPT TO:<b@c.test>\r\n"])
        assert codes == [220, 250, 500, 503]


def test_a_hidden_end_is_found_in_any_cut_and_nothing_else_is_one() -> None:
    def found(pieces: list[bytes]) -> bool:
        looking = HiddenEnd()
        for piece in pieces:
            looking.feed(piece)
        looking.finish()
        return looking.found

    for text in (b"\0.\r\nx", b"a\r\n\0\0\0.\0\r\nb", b"a\r\n\0.", b"a\n\0.\n", b"\0" * 40 + b"." + b"\0" * 40):
        for at in range(len(text) + 1):
            assert found([text[:at], text[at:]]), (text, at)
        assert found([text[at : at + 1] for at in range(len(text))])
    for text in (b"a\0.\r\n", b"\0..\r\n", b"\0. \r\n", b".\0\r\n", b"\0\r\n.", b"\0a.\r\n", b"x\r\n", b"\0", b""):
        for at in range(len(text) + 1):
            assert not found([text[:at], text[at:]]), (text, at)
