"""A software authenticator: makes passkeys and answers challenges as a browser would hand it on.

Written from W3C WebAuthn Level 3 (6.1 authenticator data, 6.5.1 credential keys) and RFC 9053. It lies where it is told
to: every wrong answer of the tests is one field of these.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from webauthn.helpers import encode_cbor

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def text(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Authenticator:
    """One passkey. `counter` 0 stays 0, as synced passkeys have it; another one grows with each use."""

    origin: str
    host: str = ""
    algorithm: str = "ES256"
    counter: int = 0
    flags: int = PRESENT | VERIFIED
    said: Mapping[str, Any] = field(default_factory=dict)
    id: bytes = field(default_factory=lambda: os.urandom(20))

    def __post_init__(self) -> None:
        self.host = self.host or self.origin.split("://")[1].split(":")[0]
        self._key: Any = (
            ec.generate_private_key(ec.SECP256R1())
            if self.algorithm == "ES256"
            else ed25519.Ed25519PrivateKey.generate()
            if self.algorithm == "EdDSA"
            else rsa.generate_private_key(65537, 2048)
        )

    def make(self, challenge: str) -> dict[str, Any]:
        """The answer to `navigator.credentials.create`."""
        bound = os.urandom(16) + len(self.id).to_bytes(2, "big") + self.id + self.cose()
        data = self._data(ATTESTED) + bound
        return self._answer(
            "create", challenge, attestationObject=encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        )

    def use(self, challenge: str) -> dict[str, Any]:
        """The answer to `navigator.credentials.get`."""
        self.counter += self.counter > 0
        data = self._data(0)
        signed = data + hashlib.sha256(self._client("get", challenge)).digest()
        if self.algorithm == "ES256":
            signature = self._key.sign(signed, ec.ECDSA(hashes.SHA256()))
        elif self.algorithm == "EdDSA":
            signature = self._key.sign(signed)
        else:
            signature = self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return self._answer("get", challenge, authenticatorData=data, signature=signature)

    def _data(self, more: int) -> bytes:
        return (
            hashlib.sha256(self.host.encode()).digest() + bytes([self.flags | more]) + self.counter.to_bytes(4, "big")
        )

    def _client(self, kind: str, challenge: str) -> bytes:
        plain = {"type": f"webauthn.{kind}", "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(plain | dict(self.said)).encode()

    def _answer(self, kind: str, challenge: str, **response: bytes) -> dict[str, Any]:
        parts = {"clientDataJSON": self._client(kind, challenge)} | response
        return {"id": text(self.id), "response": {name: text(value) for name, value in parts.items()}}

    def cose(self) -> bytes:
        """The public key as a server keeps it."""
        return bytes(encode_cbor(self._cose()))

    def _cose(self) -> dict[int, Any]:
        public = self._key.public_key()
        if self.algorithm == "ES256":
            point = public.public_numbers()
            return {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        if self.algorithm == "EdDSA":
            return {1: 1, 3: -8, -1: 6, -2: public.public_bytes_raw()}
        numbers = public.public_numbers()
        return {1: 3, 3: -257, -1: numbers.n.to_bytes(256, "big"), -2: numbers.e.to_bytes(3, "big")}
