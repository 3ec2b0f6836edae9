"""Lines of one width: what is said at a glance is what a close look says, wherever they are changed or cut."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.mail.columns import LEAST_BYTES, LEAST_WIDTH, columns
from gateway.mail.decode import base64_stream
from gateway.mail.model import Message
from gateway.mail.scan import Scanner
from gateway.smtp.data import DotReader, Newlines

LETTERS = bytes(one for one in range(256) if one not in b"\r\n.-")
CHANGES = (
    b"\r",
    b"\n",
    b".",
    b"-",
    b"=",
    b"\0",
    b"\xff",
    b"\r\n",
    b"\r\n.",
    b"\r\n.\r\n",
    b"\n--edge\r\n",
    b"\r\n--edge\r\n",
)


def lines(width: int, count: int, seed: int = 1, letters: bytes = LETTERS) -> bytearray:
    """So many lines, each of `width` bytes with its CRLF."""
    source = random.Random(seed)
    out = bytearray(source.choices(letters, k=width * count))
    out[width - 2 :: width] = b"\r" * count
    out[width - 1 :: width] = b"\n" * count
    return out


def changed(data: bytearray, changes: list[tuple[int, bytes]]) -> bytes:
    for at, put in changes:
        at %= len(data)
        data[at : at + len(put)] = put
    return bytes(data)


made = st.builds(
    changed,
    st.builds(lines, st.sampled_from((LEAST_WIDTH, 62, 74, 78, 100)), st.just(600), st.integers(0, 3)),
    st.lists(st.tuples(st.integers(0, 60_000), st.sampled_from(CHANGES)), max_size=2),
)


@given(made, st.integers(0, 200))
def test_what_is_said_is_what_a_close_look_says(data: bytes, start: int) -> None:
    data = data[start:]
    found = columns(data)
    if found is None:
        return
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", data)
    parts = data.split(b"\r\n")
    assert (found.count, found.text) == (len(parts) - 1, b"".join(parts))
    assert found.leads == b"".join(part[:1] for part in parts[1:])


@pytest.mark.parametrize("start", [0, 1, 40, 76, 78])
@pytest.mark.parametrize("stop", [0, 1, 2, 3, 77])
def test_a_chunk_cut_anywhere_but_in_a_line_end_is_seen(start: int, stop: int) -> None:
    data = bytes(lines(78, 400))
    assert (columns(data[start : len(data) - stop]) is None) is (stop == 1)
    assert columns(data[77:]) is None  # it begins with the second half of one


@pytest.mark.parametrize("put", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("at", [0, 5, 76, 77, 9_000, 20_000, 31_000])
def test_one_line_end_too_many_and_nothing_is_said(put: bytes, at: int) -> None:
    data = lines(78, 400)
    assert columns(bytes(data)) is not None
    if data[at : at + len(put)] != put:
        data[at : at + len(put)] = put
        assert columns(bytes(data)) is None


def test_few_bytes_and_narrow_lines_are_left_to_others() -> None:
    assert columns(bytes(lines(78, LEAST_BYTES // 78))) is None
    assert columns(bytes(lines(LEAST_WIDTH - 1, 2_000))) is None
    assert columns(b"\r\n" * LEAST_BYTES) is None
    assert columns(b"a" * 2 * LEAST_BYTES) is None


@given(made, st.integers(8_000, 30_000), st.binary(max_size=9))
@example(bytes(lines(78, 600)) + b"\r\n", 78 * 200, b"")
def test_the_end_of_data_and_stuffed_dots_are_found_in_any_chunks(body: bytes, size: int, rest: bytes) -> None:
    stream = body.replace(b"\r\n.\r\n", b"\r\n..\n") + b"\r\n.\r\n" + rest
    reader, newlines, out, after, bare = DotReader(), Newlines(normalize=False), b"", None, False
    for at in range(0, len(stream), size):
        if after is not None:
            after += stream[at : at + size]
            continue
        more, after = reader.feed(stream[at : at + size])
        if reader.paired:
            assert not re.search(rb"\r(?!\n)|(?<!\r)\n", more)
        newlines.feed(more, paired=reader.paired)
        out += more
    newlines.finish()
    bare = newlines.bare
    expected, _, rest_expected = (b"\r\n" + stream).partition(b"\r\n.\r\n")
    expected = (expected + b"\r\n").replace(b"\r\n.", b"\r\n")[2:]
    assert (out, after) == (expected, rest_expected)
    assert bare is bool(re.search(rb"\r(?!\n)|(?<!\r)\n", expected))


def scanned(data: bytes, size: int) -> Message:
    scanner = Scanner()
    for at in range(0, len(data), size):
        scanner.feed(data[at : at + size])
    return scanner.close()


HEAD = b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="edge"\r\n\r\n--edge\r\nContent-Type: a/b\r\n\r\n'


@given(made, st.integers(8_500, 30_000))
def test_parts_are_where_small_chunks_find_them(body: bytes, size: int) -> None:
    data = HEAD + body + b"\r\n--edge--\r\n"
    assert scanned(data, size) == scanned(data, LEAST_BYTES - 1)


BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
encoded = st.builds(
    changed,
    st.builds(lines, st.sampled_from((62, 75, 78)), st.just(600), st.integers(0, 3), st.just(BASE64)),
    st.lists(st.tuples(st.integers(0, 60_000), st.sampled_from((b"=", b"-", b"*", b"\0", b"==", b"\r"))), max_size=2),
)


@given(encoded, st.integers(8_192, 30_000), st.integers(0, 100))
def test_base64_is_what_small_chunks_give(data: bytes, size: int, start: int) -> None:
    data = data[start:]

    def pieces(size: int) -> bytes:
        return b"".join(base64_stream(data[at : at + size] for at in range(0, len(data), size)))

    assert pieces(size) == pieces(LEAST_BYTES - 1)


def test_large_mail_is_seen_at_a_glance() -> None:
    """The fast way is taken: else all above would hold for nothing."""
    reader = DotReader()
    reader.feed(b"a\r\n")
    assert reader.feed(bytes(lines(78, 400)))[1] is None
    assert reader.paired
    reader.feed(b".a\r\n" + bytes(lines(78, 400)))
    assert not reader.paired
