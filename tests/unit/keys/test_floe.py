"""keys.floe: one parameter set, and not a byte before its segment's tag held."""

from __future__ import annotations

import hmac
import os
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys import floe, floe_family
from keys.datakey import DataKey
from keys.errors import Tampered
from keys.floe import SEGMENT_BYTES, SEGMENT_OVERHEAD, SEGMENT_PLAIN_BYTES
from tests.unit.keys.conftest import flips

KEY, AAD = DataKey(bytes(range(32))), b"where it belongs"
EDGES = [0, 1, 5000, SEGMENT_PLAIN_BYTES - 1, SEGMENT_PLAIN_BYTES, SEGMENT_PLAIN_BYTES + 1, 2 * SEGMENT_PLAIN_BYTES]


def seal(plain: bytes, *, key: DataKey = KEY, aad: bytes = AAD) -> tuple[bytes, bytes]:
    sealer = key.sealer(aad)
    return sealer.header, sealer.update(plain) + sealer.finish()


def unseal(header: bytes, body: bytes, *, key: DataKey = KEY, aad: bytes = AAD, tag: bytes | None = None) -> bytes:
    """As a reader does: index and finality from the body's size alone."""
    opener = key.opener(aad, header, tag)
    count = floe.segment_count(len(body))
    plain = []
    for index in range(count):
        start, stop = floe.segment_range(index, len(body))
        plain.append(opener.segment(index, memoryview(body)[start:stop], final=index == count - 1))
    return b"".join(plain)


def test_the_format_is_the_one_written_down() -> None:
    assert (floe.HEADER_BYTES, SEGMENT_BYTES, SEGMENT_PLAIN_BYTES) == (74, 262_144, 262_112)
    assert floe_family.Parameters(0, 0, 262_144, 32, 20) == floe.PARAMETERS
    header, body = seal(b"x" * 300_000)
    assert header[:10] == bytes.fromhex("00 00 00040000 00000020")
    assert body[:4] == b"\xff\xff\xff\xff"
    assert struct.unpack(">I", body[SEGMENT_BYTES : SEGMENT_BYTES + 4]) == (len(body) - SEGMENT_BYTES,)


@pytest.mark.parametrize("length", EDGES)
def test_streams_of_every_edge_length_open_again(length: int) -> None:
    plain = os.urandom(length)
    header, body = seal(plain)
    assert unseal(header, body, tag=header[-32:]) == plain
    assert floe.plain_length(len(body)) == length
    assert len(body) == length + SEGMENT_OVERHEAD * floe.segment_count(len(body))


@settings(max_examples=20)
@given(st.lists(st.sampled_from([0, 1, 100, 65_536, 131_056, 262_112, 262_144, 400_000]), max_size=6), st.booleans())
def test_the_stream_does_not_depend_on_how_it_was_handed_in(lengths: list[int], pieces: bool) -> None:
    plain = b"".join(bytes([number % 251]) * length for number, length in enumerate(lengths))
    sealer, body, at = KEY.sealer(AAD), b"", 0
    for length in lengths:
        reused = bytearray(plain[at : at + length])
        body += b"".join(sealer.update_pieces(reused)) if pieces else sealer.update(memoryview(reused))
        reused[:] = bytes(length)  # the caller may use its buffer again
        assert len(body) % SEGMENT_BYTES == 0
        at += length
    body += sealer.finish()
    assert unseal(sealer.header, body) == plain
    assert floe.segment_count(len(body)) == max(1, -(-len(plain) // SEGMENT_PLAIN_BYTES))


def test_a_finished_sealer_seals_no_more() -> None:
    sealer = KEY.sealer(AAD)
    sealer.finish()
    for deed in (sealer.finish, lambda: sealer.update(b"x"), lambda: sealer.update_pieces(b"")):
        with pytest.raises(ValueError):
            deed()


def test_no_two_streams_share_header_or_nonce() -> None:
    header, body = seal(bytes(SEGMENT_PLAIN_BYTES + 1))
    again, other = seal(bytes(SEGMENT_PLAIN_BYTES + 1))
    ivs = {part[at + 4 : at + 16] for part in (body, other) for at in (0, SEGMENT_BYTES)}
    assert len(ivs) == 4
    assert header[10:42] != again[10:42]


@pytest.mark.parametrize(
    "prefix",
    [
        struct.pack(">BBII", *fields)
        for fields in [
            (1, 0, SEGMENT_BYTES, 32),
            (0, 1, SEGMENT_BYTES, 32),
            (0, 0, SEGMENT_BYTES - 1, 32),
            (0, 0, SEGMENT_BYTES + 1, 32),
            (0, 0, 4096, 32),
            (0, 0, 1_048_576, 32),
            (0, 0, 64, 32),
            (0, 0, 0, 32),
            (0, 0, 2**32 - 1, 32),
            (0, 0, SEGMENT_BYTES, 16),
            (0, 0, SEGMENT_BYTES, 0),
            (255, 255, SEGMENT_BYTES, 32),
        ]
    ],
)
def test_the_gate_refuses_every_other_parameter_before_any_cryptography(
    prefix: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headers that do hold under their own parameters, so nothing but the gate refuses them."""
    aead, kdf, segment, iv_bytes = struct.unpack(">BBII", prefix)
    other = floe_family.Parameters(aead, kdf, segment, iv_bytes)
    _, header = floe_family.start_sealing(other, KEY.raw(), AAD, os.urandom)
    floe_family.start_opening(other, KEY.raw(), AAD, header)

    def never(*_: object) -> bytes:
        raise AssertionError("cryptography before the gate")

    monkeypatch.setattr(floe_family, "AESGCM", never)
    monkeypatch.setattr(hmac, "digest", never)
    monkeypatch.setattr(hmac, "compare_digest", never)
    with pytest.raises(Tampered):
        KEY.opener(AAD, header, header[-32:])
    with pytest.raises(Tampered):
        KEY.opener(AAD, header, None)


def test_the_gate_refuses_headers_of_another_length() -> None:
    header, _ = seal(b"x")
    for wrong in (b"", header[:10], header[:-1], header + b"\x00"):
        with pytest.raises(Tampered):
            KEY.opener(AAD, wrong, None)


def test_the_pinned_tag_decides_before_the_key_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    header, _ = seal(b"x")
    other, _ = seal(b"x")
    monkeypatch.setattr(hmac, "digest", lambda *_: pytest.fail("the key was used"))
    for tag in (other[-32:], b"", header[-31:], *flips(header[-32:], bits=1)):
        with pytest.raises(Tampered):
            KEY.opener(AAD, header, tag)


def test_another_key_or_context_opens_nothing() -> None:
    header, body = seal(b"x")
    assert unseal(header, body) == b"x"
    for key, aad in ((DataKey.random(), AAD), (KEY, b"elsewhere"), (KEY, b""), (KEY, AAD + b"\x00")):
        with pytest.raises(Tampered):
            unseal(header, body, key=key, aad=aad)


def test_any_bit_flipped_in_header_or_body_is_refused() -> None:
    header, body = seal(b"a short object")
    for changed in flips(header):
        with pytest.raises(Tampered):
            unseal(changed, body)
    for changed in flips(body):
        with pytest.raises(Tampered):
            unseal(header, changed)


def test_a_flipped_bit_anywhere_in_a_large_segment_gives_no_byte_of_it() -> None:
    header, body = seal(os.urandom(2 * SEGMENT_PLAIN_BYTES))
    opener = KEY.opener(AAD, header, header[-32:])
    good = opener.segment(1, body[SEGMENT_BYTES:], final=True)
    assert len(good) == SEGMENT_PLAIN_BYTES
    for at in (
        0,
        3,
        4,
        15,
        16,
        17,
        1000,
        SEGMENT_BYTES // 2,
        SEGMENT_BYTES - 17,
        SEGMENT_BYTES - 16,
        SEGMENT_BYTES - 1,
    ):
        changed = bytearray(body[:SEGMENT_BYTES])
        changed[at] ^= 0x10
        with pytest.raises(Tampered):
            opener.segment(0, changed, final=False)


def test_a_cut_object_is_refused_at_every_length() -> None:
    """A cut anywhere makes either an impossible size or a last segment that is none."""
    header, body = seal(os.urandom(2 * SEGMENT_PLAIN_BYTES + 100))
    near = {edge + step for edge in (SEGMENT_BYTES, 2 * SEGMENT_BYTES) for step in range(-40, 41)}
    for length in sorted(near | {0, 1, 31, 32, 33, 1000, len(body) - 1, len(body) - 100}):
        with pytest.raises(Tampered):
            count = floe.segment_count(length)
            start, stop = floe.segment_range(count - 1, length)
            KEY.opener(AAD, header, None).segment(count - 1, body[:length][start:stop], final=True)


def test_a_stretched_object_is_refused() -> None:
    header, body = seal(b"x" * 100)
    for more in (b"\x00", bytes(32), bytes(SEGMENT_BYTES)):
        with pytest.raises(Tampered):
            unseal(header, body + more)


def test_swapped_segments_are_refused_before_a_byte_leaves() -> None:
    header, body = seal(os.urandom(3 * SEGMENT_PLAIN_BYTES))
    first, second, third = (body[at : at + SEGMENT_BYTES] for at in range(0, len(body), SEGMENT_BYTES))
    opener = KEY.opener(AAD, header, header[-32:])
    for index, segment, final in [
        (0, second, False),
        (1, first, False),
        (0, third, False),
        (0, third, True),
        (2, second, True),
        (2, second, False),
        (2, third, False),
        (1, second, True),
        (3, third, True),
    ]:
        with pytest.raises(Tampered):
            opener.segment(index, segment, final=final)


def test_segments_of_another_stream_under_the_same_key_are_refused() -> None:
    header, _ = seal(b"x" * 100)
    _, body = seal(b"x" * 100)
    with pytest.raises(Tampered):
        unseal(header, body)


@pytest.mark.parametrize("size", [-1, 0, 1, 31, SEGMENT_BYTES + 1, SEGMENT_BYTES + 31])
def test_bodies_of_impossible_size_are_refused(size: int) -> None:
    for ask in (floe.segment_count, floe.plain_length, lambda length: floe.segment_range(0, length)):
        with pytest.raises(Tampered):
            ask(size)


def test_ranges_cover_the_body_without_gap_or_overlap() -> None:
    for size in (32, 33, SEGMENT_BYTES, SEGMENT_BYTES + 32, 3 * SEGMENT_BYTES - 5):
        at = 0
        for index in range(floe.segment_count(size)):
            start, stop = floe.segment_range(index, size)
            assert start == at < stop
            at = stop
        assert at == size
        for index in (-1, floe.segment_count(size)):
            with pytest.raises(IndexError):
                floe.segment_range(index, size)


def test_one_opener_serves_several_threads() -> None:
    plain = os.urandom(8 * SEGMENT_PLAIN_BYTES)
    header, body = seal(plain)
    opener = KEY.opener(AAD, header, header[-32:])

    def one(index: int) -> bytes:
        start, stop = floe.segment_range(index, len(body))
        return opener.segment(index, body[start:stop], final=index == 7)

    with ThreadPoolExecutor(4) as pool:
        assert b"".join(pool.map(one, range(8))) == plain


def test_nothing_of_the_key_shows() -> None:
    header, _ = seal(b"x")
    for value in (KEY.sealer(AAD), KEY.opener(AAD, header, None), KEY.opener(AAD, header, None)._stream):
        assert KEY.raw().hex() not in repr(value)
        assert repr(KEY.raw()) not in repr(value)
