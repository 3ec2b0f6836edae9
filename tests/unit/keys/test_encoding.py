"""keys.encoding: one spelling for each value."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.encoding import MAX_DEPTH, b62decode, b62encode, canonical, lp, parse_canonical

parts = st.lists(st.one_of(st.binary(max_size=12), st.integers(0, 2**64 - 1)), max_size=5)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


def test_lp_writes_length_then_bytes_and_numbers_as_eight_bytes() -> None:
    assert lp("ab", b"\x00", 5) == bytes.fromhex("00000002 6162 00000001 00 00000008 0000000000000005")
    assert lp() == b""
    assert lp("") == bytes(4)


@given(parts, parts)
def test_lp_of_different_parts_differs(first: list[bytes | int], second: list[bytes | int]) -> None:
    def shape(items: list[bytes | int]) -> list[bytes]:
        return [item.to_bytes(8, "big") if isinstance(item, int) else item for item in items]

    assert (lp(*first) == lp(*second)) == (shape(first) == shape(second))


@pytest.mark.parametrize("part", ["é", -1, 2**64, True])
def test_lp_refuses_what_has_no_form(part: str | int) -> None:
    with pytest.raises(ValueError):
        lp(part)


def test_canonical_sorts_keys_as_rfc_8785_3_2_3_does() -> None:
    given_order = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    written = json.loads(canonical(given_order))
    assert [written[key] for key in written] == [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
    ]


def test_canonical_sorts_nested_keys_too() -> None:
    value = {"a": [{"\ufb33": 1, "\U0001f600": 2}]}
    assert canonical(value) == '{"a":[{"\U0001f600":2,"\ufb33":1}]}'.encode()


def test_canonical_escapes_as_rfc_8785_3_2_2_2_does() -> None:
    text = "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"\u002f"
    assert canonical(text) == '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'.encode()
    assert canonical("\b\t\n\f\r\x7f\u2028") == '"\\b\\t\\n\\f\\r\x7f\u2028"'.encode()


def test_canonical_writes_literals_and_no_blanks() -> None:
    assert canonical({"b": [None, True, False, -1, 0], "a": ()}) == b'{"a":[],"b":[null,true,false,-1,0]}'


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), 2**53, -(2**53), b"x", {1: 2}, {"a": {"b": [0.5]}}, "\ud800", {"\ud800": 1}, {1, 2}, object()],
)
def test_canonical_refuses_what_could_be_read_two_ways(value: object) -> None:
    with pytest.raises(ValueError):
        canonical(value)


def test_canonical_refuses_depth_without_exhausting_the_stack() -> None:
    value: object = 0
    for _ in range(MAX_DEPTH):
        value = [value]
    assert parse_canonical(canonical(value)) == value
    with pytest.raises(ValueError):
        canonical([value])
    with pytest.raises(ValueError):
        parse_canonical(b"[" * 100_000)


@given(values)
def test_parse_gives_back_what_render_wrote(value: object) -> None:
    assert parse_canonical(canonical(value)) == value


@pytest.mark.parametrize(
    "data",
    [
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1,"a":1}',
        b"1.0",
        b"1e2",
        b"-0",
        b'"\\u0041"',
        b'"\\/"',
        b"\xff",
        b"",
        b"1 ",
        b"NaN",
    ],
)
def test_parse_refuses_every_other_spelling(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_canonical(data)


def test_b62_pads_to_its_width_and_counts_digits_before_letters() -> None:
    assert b62encode(b"\x00", 3) == "000"
    assert b62encode(b"\x3d", 2) == "0z"
    assert b62encode(b"\x3e", 2) == "10"
    assert len(b62encode(b"\xff" * 16, 22)) == 22


@given(st.binary(min_size=16, max_size=16))
def test_b62_gives_back_the_bytes(data: bytes) -> None:
    assert b62decode(b62encode(data, 22), 16) == data


@pytest.mark.parametrize("text", ["-", "é", "z" * 22, "10" + "0" * 22])
def test_b62_refuses_foreign_characters_and_too_large_numbers(text: str) -> None:
    with pytest.raises(ValueError):
        b62decode(text, 16)


def test_b62_refuses_a_width_too_small() -> None:
    with pytest.raises(ValueError):
        b62encode(b"\xff\xff", 2)
