"""Transfer decoding: lenient, streamed, independent of the chunks."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mail.decode import base64_stream, head, quoted_printable_stream
from gateway.mail.source import BytesSource

from .test_scan import read


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@given(st.binary(max_size=300), st.integers(1, 90), st.integers(1, 80))
def test_base64_is_decoded_whatever_its_lines_and_chunks(data: bytes, width: int, size: int) -> None:
    raw = base64.b64encode(data)
    lined = b"\r\n".join(_cut(raw, width))
    assert b"".join(base64_stream(_cut(lined, size))) == data


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b"SmFu*Z!SBS\0b2U=", b"Jane Roe"),
        (b"SmFuZQ==IFJvZQ==", b"Jane Roe"),
        (b"SmFuZQ==\r\nIFJvZQ", b"Jane Roe"),
        (b"SmFuZQ=SmFuZQ", b"JaneJane"),
        (b"SmFuZQ", b"Jane"),
        (b"SmFuZ", b"Jan"),
        (b"====", b""),
        (b"", b""),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_base64_goes_on_after_junk_and_padding(raw: bytes, data: bytes, size: int) -> None:
    assert b"".join(base64_stream(_cut(raw, size))) == data


_QP = st.lists(
    st.sampled_from([b"=C3", b"=A9", b"=\r\n", b"=\n", b"a", b" ", b"=", b"=3", b"\r\n", b"=3D"]), max_size=60
).map(b"".join)


@given(_QP, st.integers(1, 40))
def test_quoted_printable_does_not_depend_on_the_chunks(raw: bytes, size: int) -> None:
    assert b"".join(quoted_printable_stream(_cut(raw, size))) == binascii.a2b_qp(raw)


def test_a_line_without_end_is_decoded_in_bounded_pieces() -> None:
    raw = b"=41b" * 100_000
    pieces = list(quoted_printable_stream(_cut(raw, 10_000)))
    assert b"".join(pieces) == b"Ab" * 100_000
    assert max(map(len, pieces)) <= 80_000


@pytest.mark.parametrize("encoding", ["7bit", "base64", "quoted-printable"])
def test_the_head_of_a_part_is_cut_to_the_limit(encoding: str) -> None:
    body = b"word " * 1000
    coded = {"7bit": body, "base64": base64.encodebytes(body), "quoted-printable": binascii.b2a_qp(body)}[encoding]
    data = b"Content-Transfer-Encoding: " + encoding.encode() + b"\r\n\r\n" + coded
    assert head(BytesSource(data), read(data).root, 100) == body[:100]
