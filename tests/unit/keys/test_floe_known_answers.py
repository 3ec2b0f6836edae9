"""FLOE's published known answers, read and written again by the parameterised inner functions.

The answers come from the four reference implementations (Apache-2.0, see the vector file). They use small segments and
a quick key rotation, which is why the inner functions have parameters and the public gate has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from keys.errors import Tampered
from keys.floe_family import KEY_BYTES, LENGTH_BYTES, Parameters, Stream, start_opening, start_sealing
from tests.unit.keys.conftest import flips, load

CASES = load("floe_known_answers.json")["cases"]
small = [case for case in CASES if len(case["sealed"]) < 1000]


def named(case: dict[str, Any]) -> str:
    return str(case["name"])


def parameters(case: dict[str, Any]) -> Parameters:
    return Parameters(0, 0, case["segment_bytes"], 32, case["rotation_bits"])


def segments(case: dict[str, Any]) -> tuple[bytes, list[bytes]]:
    sealed, size = bytes.fromhex(case["sealed"]), case["segment_bytes"]
    header, body = sealed[:74], sealed[74:]
    return header, [body[at : at + size] for at in range(0, len(body), size)]


def opened(case: dict[str, Any]) -> tuple[Stream, list[bytes]]:
    header, sealed = segments(case)
    key, aad = bytes.fromhex(case["key"]), bytes.fromhex(case["aad"])
    return start_opening(parameters(case), key, aad, header), sealed


def given(values: list[bytes]) -> Callable[[int], bytes]:
    """Randomness that was decided before."""

    def take(length: int) -> bytes:
        value = values.pop(0)
        assert len(value) == length
        return value

    return take


@pytest.mark.parametrize("case", CASES, ids=named)
def test_known_answer_opens_in_order(case: dict[str, Any]) -> None:
    stream, sealed = opened(case)
    last = len(sealed) - 1
    plain = b"".join(stream.open(segment, at, at == last) for at, segment in enumerate(sealed))
    assert plain == bytes.fromhex(case["plain"])


@pytest.mark.parametrize("case", CASES, ids=named)
def test_known_answer_opens_backwards_across_key_rotations(case: dict[str, Any]) -> None:
    stream, sealed = opened(case)
    last = len(sealed) - 1
    plain = [stream.open(sealed[at], at, at == last) for at in range(last, -1, -1)]
    assert b"".join(reversed(plain)) == bytes.fromhex(case["plain"])


@pytest.mark.parametrize("case", CASES, ids=named)
def test_known_answer_is_written_again_from_its_ivs(case: dict[str, Any]) -> None:
    header, sealed = segments(case)
    ivs = [header[10:42], *(segment[LENGTH_BYTES : LENGTH_BYTES + 12] for segment in sealed)]
    random = given(ivs)
    stream, again = start_sealing(parameters(case), bytes.fromhex(case["key"]), bytes.fromhex(case["aad"]), random)
    assert again == header
    plain, width = bytes.fromhex(case["plain"]), parameters(case).plain_bytes
    for at, segment in enumerate(sealed):
        part = plain[at * width : (at + 1) * width]
        assert b"".join(stream.seal(part, at, at == len(sealed) - 1, random)) == segment
    assert not ivs


@pytest.mark.parametrize("case", small, ids=named)
def test_known_answer_with_any_bit_flipped_is_refused(case: dict[str, Any]) -> None:
    header, sealed = segments(case)
    key, aad = bytes.fromhex(case["key"]), bytes.fromhex(case["aad"])
    for changed in flips(header):
        with pytest.raises(Tampered):
            start_opening(parameters(case), key, aad, changed)
    stream, _ = opened(case)
    for at, segment in enumerate(sealed):
        for changed in flips(segment):
            with pytest.raises(Tampered):
                stream.open(changed, at, at == len(sealed) - 1)


@pytest.mark.parametrize("case", small, ids=named)
def test_known_answer_opens_nowhere_else(case: dict[str, Any]) -> None:
    """Every segment at every other place, and at its own with the other finality: refused."""
    stream, sealed = opened(case)
    last = len(sealed) - 1
    for at, segment in enumerate(sealed):
        for place in range(len(sealed) + 2):
            for final in (False, True):
                if (place, final) != (at, at == last):
                    with pytest.raises(Tampered):
                        stream.open(segment, place, final)


def test_the_key_changes_after_as_many_segments_as_the_parameter_says() -> None:
    """Streams that differ in rotation alone agree up to the first rotation and not after."""
    key, aad = bytes(KEY_BYTES), b"aad"
    quick, slow = Parameters(0, 0, 40, 32, 2), Parameters(0, 0, 40, 32, 20)
    stream, header = start_sealing(quick, key, aad, lambda length: bytes(length))
    other = start_opening(slow, key, aad, header)
    for place in range(6):
        sealed = b"".join(stream.seal(bytes(8), place, False, lambda length: bytes(length)))
        if place < 4:
            assert other.open(sealed, place, False) == bytes(8)
        else:
            with pytest.raises(Tampered):
                other.open(sealed, place, False)


@pytest.mark.parametrize(("length", "final"), [(7, False), (9, False), (9, True), (0, False)])
def test_a_segment_of_impossible_length_is_not_sealed(length: int, final: bool) -> None:
    stream, _ = start_sealing(Parameters(0, 0, 40, 32), bytes(32), b"", lambda count: bytes(count))
    with pytest.raises(ValueError):
        stream.seal(bytes(length), 0, final, lambda count: bytes(count))


@pytest.mark.parametrize("place", [-1, 2**40])
def test_a_place_beyond_the_largest_stream_is_refused(place: int) -> None:
    stream, _ = start_sealing(Parameters(0, 0, 40, 32), bytes(32), b"", lambda count: bytes(count))
    with pytest.raises(ValueError):
        stream.seal(bytes(8), place, True, lambda count: bytes(count))
