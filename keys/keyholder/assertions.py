"""What an authenticator answered, checked: WebAuthn registration and assertion, with nothing but values in and out.

Promises: user verification and presence are always required; origin and RP ID are the caller's, one host, never a
parent domain; a framed or cross-origin answer is refused; whatever cannot be read is simply wrong and raises nothing.
An attestation says nothing here that is relied on, so its statement is thrown away unread: no certificate of a
stranger's choice is ever parsed. W3C WebAuthn Level 3 7.1, 7.2; NIST SP 800-63B-4 3.1.7, 3.2.3.

The library is read when it is first needed (`ready`): it takes a third of a second, which no start and no transaction
should wait for.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

ALGORITHMS = (-7, -8, -257)
"""ES256, EdDSA, RS256, the last for Windows Hello (RFC 9053 2, RFC 8812 2)."""
_LONGEST = 8192
_PARTS = {
    "create": ("clientDataJSON", "attestationObject"),
    "get": ("clientDataJSON", "authenticatorData", "signature"),
}


@dataclass(frozen=True, slots=True)
class Site:
    """Where a tenant's passkeys live: `host` is the RP ID, `origin` what the browser must say."""

    host: str
    origin: str


@dataclass(frozen=True, slots=True)
class Made:
    """A new credential: its id, its COSE public key, its first signature counter."""

    credential: bytes
    public: bytes
    counter: int


def site_of(public_url: str) -> Site | None:
    """The site of a portal's signed address; None where there can be no passkeys: no address, or only a number.

    http is possible on localhost alone, as browsers have it (Secure Contexts 3.1).
    """
    try:
        parts = urlsplit(public_url)
        host = (parts.hostname or "").rstrip(".").lower()
    except ValueError:
        return None
    try:
        ipaddress.ip_address(host)
    except ValueError:
        local = host == "localhost" or host.endswith(".localhost")
        if host and (parts.scheme == "https" or (parts.scheme == "http" and local)):
            return Site(host, f"{parts.scheme}://{parts.netloc.lower()}")
    return None


def ready() -> None:
    """Have the library read before a transaction begins."""
    import webauthn  # noqa: F401 - only to have it read


def registered(answer: dict[str, Any], challenge: bytes, site: Site) -> Made | None:
    """The credential that was made for this challenge at this site; None for anything else."""
    import webauthn
    from webauthn.helpers import encode_cbor, parse_cbor

    plain = _plain(answer, "create")
    if plain is None:
        return None
    try:
        found = parse_cbor(unb64url(plain["response"]["attestationObject"]))
        bare = encode_cbor({"fmt": "none", "attStmt": {}, "authData": found["authData"]})
        plain["response"]["attestationObject"] = b64url(bare)
        made = webauthn.verify_registration_response(
            credential=plain, expected_challenge=challenge, expected_rp_id=site.host, expected_origin=site.origin,
            require_user_verification=True, supported_pub_key_algs=_algorithms(),
        )  # fmt: skip
    except Exception:  # a stranger's bytes, read by several parsers: whatever they raise, it is no credential
        return None
    if b64url(made.credential_id) != plain["id"]:
        return None
    return Made(made.credential_id, made.credential_public_key, made.sign_count)


def asserted(answer: dict[str, Any], challenge: bytes, site: Site, public: bytes) -> int | None:
    """The signature counter of a right answer to this challenge at this site; None for anything else."""
    import webauthn

    plain = _plain(answer, "get")
    if plain is None:
        return None
    try:
        found = webauthn.verify_authentication_response(
            credential=plain, expected_challenge=challenge, expected_rp_id=site.host, expected_origin=site.origin,
            credential_public_key=public, credential_current_sign_count=0, require_user_verification=True,
        )  # fmt: skip
    except Exception:
        return None
    return int(found.new_sign_count)


def credential_of(answer: dict[str, Any]) -> bytes:
    """Which credential an answer names; empty when it names none."""
    try:
        return unb64url(str(answer.get("id", "")))
    except ValueError:
        return b""


def _plain(answer: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """Only the fields that are checked, as text of sensible length; and nothing that was said in a frame."""
    response = answer.get("response")
    if not isinstance(response, dict) or not isinstance(answer.get("id"), str):
        return None
    kept = {name: response.get(name) for name in _PARTS[kind]}
    if not all(isinstance(value, str) and 0 < len(value) <= _LONGEST for value in [*kept.values(), answer["id"]]):
        return None
    try:
        said = json.loads(unb64url(str(kept["clientDataJSON"])))
    except ValueError:
        return None
    if not isinstance(said, dict) or said.get("crossOrigin", False) is not False or "topOrigin" in said:
        return None
    return {"id": answer["id"], "rawId": answer["id"], "type": "public-key", "response": kept}


def _algorithms() -> list[Any]:
    from webauthn.helpers.cose import COSEAlgorithmIdentifier

    return [COSEAlgorithmIdentifier(number) for number in ALGORITHMS]


def b64url(data: bytes) -> str:
    """As browsers write bytes: base64url without padding (WebAuthn 3)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64url(text: str) -> bytes:
    """The bytes of that spelling. ValueError for any other."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64url") from error
    if b64url(data) != text:
        raise ValueError("not canonical base64url")
    return data
