"""The published vectors of WebAuthn Level 3 (its section "Test Vectors"): each taken, or refused for what it lacks.

Of fifteen passkeys the authors made some without user verification, in a frame, or with keys that we do not ask for.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from webauthn.helpers import parse_cbor

from keys.keyholder.assertions import Made, Site, asserted, b64url, registered
from tests.house.tree import ROOT

VECTORS = json.loads((ROOT / "tests/data/keys/webauthn_known_answers.json").read_text())["vectors"]
SITE = Site("example.org", "https://example.org")
MADE = frozenset({"packed-self-es256", "packed-es256", "packed-rs256", "tpm-es256", "android-key-es256"})
"""Registrations to be taken; the others say: no user verification, crossOrigin, topOrigin."""
USED = frozenset({"none-es256-long-credential-id", "packed-es256", "tpm-es256"})
"""Assertions to be taken. The others say the same, or were made with ES384 or Ed448, which we do not ask for."""


def answer(vector: dict[str, Any], kind: str) -> tuple[dict[str, Any], bytes, bytes]:
    """What a browser would have sent, its challenge, and the public key that was registered."""
    data = parse_cbor(bytes.fromhex(vector["made"]["attestationObject"]))["authData"]
    length = int.from_bytes(data[53:55], "big")
    parts = {name: b64url(bytes.fromhex(value)) for name, value in vector[kind].items() if name != "challenge"}
    said = {"id": b64url(data[55 : 55 + length]), "response": parts}
    return said, bytes.fromhex(vector[kind]["challenge"]), data[55 + length :]


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_a_published_registration_is_taken_or_refused_as_it_should_be(name: str) -> None:
    said, challenge, public = answer(VECTORS[name], "made")
    found = registered(said, challenge, SITE)
    assert (found is not None) == (name in MADE)
    if isinstance(found, Made):
        assert (b64url(found.credential), found.public) == (said["id"], public)
        assert registered(said, bytes(32), SITE) is None
        assert registered(said, challenge, Site("example.com", SITE.origin)) is None


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_a_published_assertion_is_taken_or_refused_as_it_should_be(name: str) -> None:
    said, challenge, public = answer(VECTORS[name], "used")
    found = asserted(said, challenge, SITE, public)
    assert (found is not None) == (name in USED)
    if found is not None:
        changed = bytearray(bytes.fromhex(VECTORS[name]["used"]["signature"]))
        changed[-1] ^= 1
        forged = said | {"response": said["response"] | {"signature": b64url(bytes(changed))}}
        assert asserted(forged, challenge, SITE, public) is None
        assert asserted(said, bytes(32), SITE, public) is None
