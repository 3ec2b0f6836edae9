"""The arithmetic that this package stands on gives what was published: HKDF, AES-256-GCM, Ed25519. FLOE's are in
test_floe_known_answers.py. Each case is computed both ways, and a changed one is refused.
"""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from keys import datakey, floe_family, wrap
from keys.errors import Tampered
from keys.kdf import hkdf
from keys.signing import SigningKey, verify_raw
from tests.unit.keys.conftest import flips, load

VECTORS = load("published_vectors.json")


def cases(name: str) -> Any:
    found = [{key: bytes.fromhex(value) for key, value in case.items()} for case in VECTORS[name]["cases"]]
    assert VECTORS[name]["source"]
    return pytest.mark.parametrize("case", found, ids=[f"{name}-{number}" for number in range(len(found))])


@cases("hkdf")
def test_hkdf_derives_what_rfc_5869_says(case: dict[str, bytes]) -> None:
    derived = hkdf(case["secret"], case["info"], len(case["derived"]), case["salt"])
    assert derived == case["derived"]


@cases("aes_256_gcm")
def test_aes_gcm_seals_and_opens_what_nist_says_and_refuses_a_changed_bit(case: dict[str, bytes]) -> None:
    for module in (floe_family, datakey, wrap):
        gcm = module.AESGCM(case["key"])  # type: ignore[attr-defined]
        assert gcm.encrypt(case["nonce"], case["plain"], case["aad"]) == case["sealed"]
        assert gcm.decrypt(case["nonce"], case["sealed"], case["aad"]) == case["plain"]
        for changed in flips(case["sealed"], bits=1):
            with pytest.raises(InvalidTag):
                gcm.decrypt(case["nonce"], changed, case["aad"])
        with pytest.raises(InvalidTag):
            gcm.decrypt(case["nonce"], case["sealed"], case["aad"] + b"\0")


@cases("ed25519")
def test_ed25519_signs_and_verifies_what_rfc_8032_says(case: dict[str, bytes]) -> None:
    key = SigningKey.from_bytes(case["seed"])
    assert key.public == case["public"]
    assert key.sign_raw(case["message"]) == case["signature"]
    verify_raw(case["public"], case["signature"], case["message"])
    for changed in flips(case["signature"], bits=1):
        with pytest.raises(Tampered):
            verify_raw(case["public"], changed, case["message"])
    with pytest.raises(Tampered):
        verify_raw(case["public"], case["signature"], case["message"] + b"\0")
