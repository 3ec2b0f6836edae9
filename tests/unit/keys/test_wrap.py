"""keys.wrap: only the secret and context it was made with, and nothing by one changed bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import wrap as module
from keys.errors import KeysError, Tampered, WrongSecret
from keys.wrap import OVERHEAD_BYTES, WrapContext, commitment_holds, unwrap, wrap
from tests.unit.keys.conftest import flips

CONTEXT = WrapContext("tnt_a", "msg_b", "lnk_c", "link", 1)
SECRET, PAYLOAD = bytes(range(16)), bytes(range(100, 132))
OTHERS: list[dict[str, Any]] = [
    {"tenant": "tnt_b"},
    {"message": "msg_c"},
    {"grant": "lnk_d"},
    {"purpose": "review"},
    {"key_version": 2},
    {"tenant": "msg_b", "message": "tnt_a"},
    {"message": "lnk_c", "grant": "msg_b"},
    {"tenant": "tnt_am", "message": "sg_b"},
]


@given(st.binary(min_size=16, max_size=40), st.binary(max_size=80))
def test_a_wrap_opens_with_its_secret(secret: bytes, payload: bytes) -> None:
    wrapped = wrap(secret, payload, CONTEXT)
    assert len(wrapped) == OVERHEAD_BYTES + len(payload) == 82 + len(payload)
    assert wrapped[:2] == b"\x01\x01"
    assert unwrap(secret, wrapped, CONTEXT) == payload
    assert commitment_holds(secret, wrapped, CONTEXT)


@pytest.mark.parametrize("change", OTHERS, ids=str)
def test_another_or_swapped_context_is_refused(change: dict[str, Any]) -> None:
    wrapped = wrap(SECRET, PAYLOAD, CONTEXT)
    other = replace(CONTEXT, **change)
    with pytest.raises(WrongSecret):
        unwrap(SECRET, wrapped, other)
    assert not commitment_holds(SECRET, wrapped, other)
    assert unwrap(SECRET, wrapped, replace(CONTEXT)) == PAYLOAD


def test_every_bit_of_another_secret_is_refused() -> None:
    wrapped = wrap(SECRET, PAYLOAD, CONTEXT)
    for secret in (*flips(SECRET), SECRET + b"\x00", b"\x00" + SECRET):
        with pytest.raises(WrongSecret):
            unwrap(secret, wrapped, CONTEXT)
        assert not commitment_holds(secret, wrapped, CONTEXT)


def test_any_bit_flipped_in_any_byte_of_a_wrap_is_refused() -> None:
    wrapped = wrap(SECRET, PAYLOAD, CONTEXT)
    for number, changed in enumerate(flips(wrapped)):
        at = number // 8
        expected: type[KeysError] = WrongSecret if 2 <= at < 66 else Tampered
        with pytest.raises(expected):
            unwrap(SECRET, changed, CONTEXT)
        if at < 2:
            with pytest.raises(Tampered):
                commitment_holds(SECRET, changed, CONTEXT)
        elif at < 66:
            assert not commitment_holds(SECRET, changed, CONTEXT)


def test_a_cut_or_stretched_wrap_is_refused() -> None:
    wrapped = wrap(SECRET, PAYLOAD, CONTEXT)
    for length in range(len(wrapped)):
        with pytest.raises(Tampered):
            unwrap(SECRET, wrapped[:length], CONTEXT)
    with pytest.raises(Tampered):
        unwrap(SECRET, wrapped + b"\x00", CONTEXT)


def test_parts_of_two_wraps_do_not_combine() -> None:
    first, second = wrap(SECRET, PAYLOAD, CONTEXT), wrap(SECRET, PAYLOAD, CONTEXT)
    for cut in (34, 66):
        with pytest.raises(KeysError):
            unwrap(SECRET, first[:cut] + second[cut:], CONTEXT)


def test_salt_is_fresh_each_time_and_cannot_be_given() -> None:
    """The zero nonce stands on this."""
    wraps = [wrap(SECRET, PAYLOAD, CONTEXT) for _ in range(50)]
    assert len({wrapped[2:34] for wrapped in wraps}) == 50
    assert len({wrapped[66:] for wrapped in wraps}) == 50
    assert wrap.__code__.co_varnames[: wrap.__code__.co_argcount] == ("secret", "payload", "context")


def test_an_unknown_id_costs_the_same_derivation_and_never_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int, int]] = []
    derive = module.hkdf

    def counted(secret: bytes, info: bytes, length: int = 32, salt: bytes = b"") -> bytes:
        calls.append((len(info), length, len(salt)))
        return derive(secret, info, length, salt)

    monkeypatch.setattr(module, "hkdf", counted)
    wrapped = wrap(SECRET, PAYLOAD, CONTEXT)
    calls.clear()
    assert commitment_holds(SECRET, wrapped, CONTEXT)
    known = calls.copy()
    calls.clear()
    assert not commitment_holds(SECRET, None, CONTEXT)
    assert calls == known
    assert len(calls) == 1


def test_a_dummy_never_holds_even_if_its_commitment_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "hkdf", lambda *_: bytes(64))
    assert not commitment_holds(SECRET, None, CONTEXT)


@pytest.mark.parametrize("length", [0, 1, 15])
def test_short_secrets_wrap_nothing(length: int) -> None:
    with pytest.raises(ValueError):
        wrap(bytes(length), PAYLOAD, CONTEXT)
    with pytest.raises(ValueError):
        commitment_holds(bytes(length), None, CONTEXT)


def test_a_refusal_names_no_secret() -> None:
    wrapped = wrap(SECRET, PAYLOAD, CONTEXT)
    for secret, data in ((bytes(16), wrapped), (SECRET, wrapped[:-1] + bytes((wrapped[-1] ^ 1,)))):
        with pytest.raises(KeysError) as caught:
            unwrap(secret, data, CONTEXT)
        for value in (SECRET, PAYLOAD, wrapped):
            assert value.hex() not in str(caught.value)
            assert repr(value) not in str(caught.value)
