"""keys.datakey, keys.derive, keys.secret: opaque keys, and derivations that depend on every name."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from keys.boxes import BoxKey
from keys.datakey import DataKey, ValueKey
from keys.derive import KINDS, blob_aad, hkdf, meta_key, object_key, object_share
from keys.encoding import lp
from keys.errors import Tampered
from keys.providers.file import FileProvider
from keys.secret import Secret
from keys.signing import SigningKey
from tests.unit.keys.conftest import flips

NAMES = {"tenant": "tnt_a", "message": "msg_b", "object_id": "obj_c"}
MK, S = bytes(range(32)), bytes(range(32, 64))


def test_hkdf_is_rfc_5869_case_1_and_3() -> None:
    okm = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    info = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9")
    assert hkdf(b"\x0b" * 22, info, 42, bytes(range(13))).hex() == okm
    empty = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    assert hkdf(b"\x0b" * 22, b"", 42).hex() == empty


def test_hkdf_derives_nothing_from_nothing() -> None:
    with pytest.raises(ValueError):
        hkdf(b"", b"info")


def test_every_derived_key_is_another_one() -> None:
    """Changing any one input of any derivation changes the key, and no two derivations meet."""
    share = object_share(S, **NAMES)
    seen = {share, object_share(MK, **NAMES)}
    count = 2
    for name in NAMES:
        seen.add(object_share(S, **{**NAMES, name: "other"}))
        count += 1
    for message_key, other_share in ((MK, share), (S, share), (MK, S), (share, MK)):
        seen.add(object_key(message_key, other_share, **NAMES, kind="file").raw())
        count += 1
    for name in NAMES:
        seen.add(object_key(MK, share, **{**NAMES, name: "other"}, kind="file").raw())
        count += 1
    for kind in KINDS - {"file"}:
        seen.add(object_key(MK, share, **NAMES, kind=kind).raw())
        count += 1
    seen |= {meta_key(S, tenant=t, message=m).raw() for t, m in (("tnt_a", "msg_b"), ("tnt_a", "x"), ("x", "msg_b"))}
    assert len(seen) == count + 3


def test_ids_are_not_confused_when_they_shift() -> None:
    assert object_share(S, tenant="ab", message="c", object_id="d") != object_share(
        S, tenant="a", message="bc", object_id="d"
    )


def test_unknown_kinds_and_short_shares_are_refused() -> None:
    with pytest.raises(ValueError):
        object_key(MK, S, **NAMES, kind="picture")
    with pytest.raises(ValueError):
        blob_aad(tenant="t", object_id="o", kind="")
    for message_key, share in ((MK[:31], S), (MK, S[:31]), (MK + S, b"")):
        with pytest.raises(ValueError):
            object_key(message_key, share, **NAMES, kind="file")
    with pytest.raises(ValueError):
        object_share(b"", **NAMES)


def test_a_value_opens_under_its_key_and_context_alone() -> None:
    key = ValueKey.random()
    sealed = key.seal(b"person", b"value")
    assert sealed[0] == 1
    assert len(sealed) == 29 + 5
    assert key.open(b"person", sealed) == b"value"
    assert key.seal(b"person", b"value") != sealed
    for other, context in ((key, b"phone"), (key, b""), (ValueKey.random(), b"person")):
        with pytest.raises(Tampered):
            other.open(context, sealed)


def test_a_sealed_value_with_any_bit_flipped_or_cut_does_not_open() -> None:
    key = ValueKey.random()
    sealed = key.seal(b"c", b"value")
    for changed in flips(sealed):
        with pytest.raises(Tampered):
            key.open(b"c", changed)
    for length in range(len(sealed)):
        with pytest.raises(Tampered):
            key.open(b"c", sealed[:length])


def test_a_mac_holds_for_its_context_and_value_alone() -> None:
    key = ValueKey.random()
    mac = key.mac(b"table", b"row")
    assert len(mac) == 32
    assert key.check(b"table", b"row", mac)
    assert ValueKey(key.raw()).check(b"table", b"row", mac)
    for other, context, value in (
        (key, b"table", b"other"),
        (key, b"other", b"row"),
        (key, b"tabler", b"ow"),
        (ValueKey.random(), b"table", b"row"),
    ):
        assert not other.check(context, value, mac)
    for changed in flips(mac):
        assert not key.check(b"table", b"row", changed)
    for length in range(32):
        assert not key.check(b"table", b"row", mac[:length])


def test_value_keys_of_a_data_key_differ_by_label() -> None:
    key = DataKey(MK)
    assert key.value_key("name").raw() == hkdf(MK, lp("name"))
    assert key.value_key("name").raw() != key.value_key("type").raw()


def test_keys_have_32_bytes() -> None:
    for length in (0, 31, 33):
        with pytest.raises(ValueError):
            DataKey(bytes(length))
        with pytest.raises(ValueError):
            ValueKey(bytes(length))
    assert DataKey.random().raw() != DataKey.random().raw()


def test_keys_show_and_give_away_nothing_by_accident(tmp_path: Path) -> None:
    """repr, str and format say the class only; pickling and copying are refused."""
    keys: list[Secret] = [
        DataKey.random(),
        ValueKey.random(),
        SigningKey.generate(),
        BoxKey.generate(),
        FileProvider.open(tmp_path / "kek", True),
    ]
    for key in keys:
        for shown in (repr(key), str(key), f"{key}", f"{[key]}"):
            assert key._raw.hex() not in shown
            assert repr(key._raw) not in shown
            assert type(key).__name__ in shown
        for deed in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError):
                deed(key)
        assert not hasattr(key, "__dict__")
