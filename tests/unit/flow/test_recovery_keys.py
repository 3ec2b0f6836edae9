"""The recovery key as the worker takes it: signed or not at all; and the proof of what was opened elsewhere."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from gateway.errors import Tampered
from gateway.flow.proved import make_proof, read_proof, where
from gateway.flow.recovery_keys import RecoveryKeys
from keys import kit
from keys.recovery import key_id
from keys.signing import SigningKey

ROOT, TENANT = SigningKey.generate(), "tnt_a"
KEY = kit.make("Elm Street", "2026-11-23").public
OTHER = kit.make("Elm Street", "2026-11-23").public


class Keyholder:
    """Answers as the real one, as far as a test lets it."""

    def __init__(self, **changed: Any) -> None:
        self.changed, self.asked = changed, 0

    def recovery_key(self, tenant: str) -> dict[str, Any] | None:
        self.asked += 1
        if self.changed.get("none"):
            return None
        found = {"id": key_id(KEY), "suite": 1, "public": KEY, "tenant": tenant} | self.changed
        parts = (found["tenant"], found["id"], found["suite"], found.get("signed", found["public"]))
        signature = found.get("signer", ROOT).sign("sealgate/recovery-key/v1", *parts)
        encoded = {
            "public": base64.b64encode(found["public"]).decode(),
            "signature": base64.b64encode(signature).decode(),
        }
        return {"id": found["id"], "suite": found["suite"]} | encoded


def keys(**changed: Any) -> RecoveryKeys:
    return RecoveryKeys(Keyholder(**changed), ROOT.public)  # type: ignore[arg-type]


def test_a_signed_key_is_taken_and_none_is_none() -> None:
    assert keys()(TENANT) == KEY
    assert keys(none=True)(TENANT) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"public": OTHER, "id": key_id(OTHER), "signed": KEY},
        {"signer": SigningKey.generate()},
        {"tenant": "tnt_b"},
        {"public": OTHER},
        {"suite": 2},
    ],
    ids=["swapped", "another-signer", "another-clinic", "another-name", "another-suite"],
)
def test_a_key_that_the_keyholder_did_not_sign_so_is_refused_each_time(changed: dict[str, Any]) -> None:
    holder = Keyholder(**changed)
    asked = RecoveryKeys(holder, ROOT.public)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(Tampered):
            asked(TENANT)
    assert holder.asked == 2, "a refusal is not remembered"


def test_a_proof_is_known_where_it_was_made_and_elsewhere_is_elsewhere() -> None:
    here, there, secret = b"node-here", b"node-there", bytes(range(16))
    proof = read_proof(f" {make_proof('msg_abc', secret, where(there), 'machine-there').text()}\n")
    assert proof is not None
    assert (proof.message, proof.secret) == ("msg_abc", secret)
    assert not proof.here(here, "machine-here")
    assert not proof.here(here, "")
    assert proof.here(there, "machine-here"), "the same node, on another machine"
    assert proof.here(here, "machine-there"), "a copy of the installation on the same machine"
    nameless = make_proof("msg_abc", secret, where(there), "")
    assert not nameless.here(here, ""), "machines without a name are not the same one"


@pytest.mark.parametrize(
    "text", ["", "opened.", "opened.msg_a.x", "opened.msg_a." + "z" * 43, "opened.obj_a." + "0" * 43], ids=range(5)
)
def test_what_is_no_proof_is_none(text: str) -> None:
    assert read_proof(text) is None
