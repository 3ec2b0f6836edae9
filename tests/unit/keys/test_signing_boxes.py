"""keys.signing and keys.boxes: only the right key, label and context."""

from __future__ import annotations

import pytest

from keys.boxes import BoxKey, seal_box
from keys.encoding import lp
from keys.errors import Tampered
from keys.signing import SigningKey, verify_raw, verify_signature
from tests.unit.keys.conftest import flips

SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")  # RFC 8032 7.1 TEST 1


def test_rfc_8032_test_1() -> None:
    key = SigningKey.from_bytes(SEED)
    assert key.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.sign_raw(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe246"
        "55141438e7a100b"
    )


def test_a_signature_covers_its_label_and_parts() -> None:
    key = SigningKey.from_bytes(SEED)
    signature = key.sign("sealgate/receipt/v1", "tnt_a", 7, b"leaf")
    verify_signature(key.public, signature, "sealgate/receipt/v1", "tnt_a", 7, b"leaf")
    verify_raw(key.public, signature, lp("sealgate/receipt/v1", "tnt_a", 7, b"leaf"))


@pytest.mark.parametrize(
    "parts",
    [
        ("sealgate/receipt/v2", "tnt_a", 7, b"leaf"),
        ("sealgate/receipt/v1", "tnt_b", 7, b"leaf"),
        ("sealgate/receipt/v1", "tnt_a", 8, b"leaf"),
        ("sealgate/receipt/v1", "tnt_a", 7, b"lea", b"f"),
        ("sealgate/receipt/v1", "tnt_", b"a", 7, b"leaf"),
        ("sealgate/receipt/v1", "tnt_a", 7),
    ],
)
def test_a_signature_does_not_hold_for_other_or_shifted_parts(parts: tuple[str, ...]) -> None:
    key = SigningKey.from_bytes(SEED)
    signature = key.sign("sealgate/receipt/v1", "tnt_a", 7, b"leaf")
    with pytest.raises(Tampered):
        verify_signature(key.public, signature, *parts)


def test_a_signature_with_any_bit_flipped_does_not_hold() -> None:
    key = SigningKey.from_bytes(SEED)
    for changed in flips(key.sign("label", b"x")):
        with pytest.raises(Tampered):
            verify_signature(key.public, changed, "label", b"x")


@pytest.mark.parametrize("public", [b"", bytes(32), bytes(31), b"\x01" + bytes(31)])
def test_an_unusable_public_key_vouches_for_nothing(public: bytes) -> None:
    with pytest.raises(Tampered):
        verify_signature(public, bytes(64), "label", b"x")
    with pytest.raises(Tampered):
        verify_signature(SigningKey.from_bytes(SEED).public, b"", "label", b"x")


def test_seeds_round_trip_and_have_32_bytes() -> None:
    key = SigningKey.generate()
    assert SigningKey.from_bytes(key.seed()).public == key.public
    assert SigningKey.generate().public != key.public
    with pytest.raises(ValueError):
        SigningKey.from_bytes(bytes(31))


def test_a_box_opens_for_its_context_and_key_alone() -> None:
    key = BoxKey.generate()
    boxed = seal_box(key.public, b"epoch 5", b"item key")
    assert boxed[0] == 1
    assert key.open(b"epoch 5", boxed) == b"item key"
    assert BoxKey.from_private(key.private_bytes()).open(b"epoch 5", boxed) == b"item key"
    for context in (b"epoch 6", b"", b"epoch 5\x00", b"epoch"):
        with pytest.raises(Tampered):
            key.open(context, boxed)
    with pytest.raises(Tampered):
        BoxKey.generate().open(b"epoch 5", boxed)


def test_a_context_is_not_confused_with_the_payload() -> None:
    key = BoxKey.generate()
    with pytest.raises(Tampered):
        key.open(b"ab", seal_box(key.public, b"a", b"b"))
    with pytest.raises(Tampered):
        key.open(b"", seal_box(key.public, b"a", b""))


def test_a_box_with_any_bit_flipped_or_cut_does_not_open() -> None:
    key = BoxKey.generate()
    boxed = seal_box(key.public, b"c", b"payload")
    for changed in flips(boxed):
        with pytest.raises(Tampered):
            key.open(b"c", changed)
    for length in range(len(boxed)):
        with pytest.raises(Tampered):
            key.open(b"c", boxed[:length])


def test_boxes_differ_each_time_and_are_not_sealed_to_unusable_keys() -> None:
    key = BoxKey.generate()
    assert seal_box(key.public, b"c", b"p") != seal_box(key.public, b"c", b"p")
    for public in (b"", bytes(31), bytes(32)):
        with pytest.raises(ValueError):
            seal_box(public, b"c", b"p")
    with pytest.raises(ValueError):
        BoxKey.from_private(bytes(33))
