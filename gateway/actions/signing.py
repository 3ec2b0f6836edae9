"""Who signs in a clinic's name: its DKIM keys in the worker's memory, and the domain that a signature may speak for.

Promises: a signature names a domain of that clinic alone, or its portal's host, so mail in another clinic's name is
never signed; only what we wrote or rewrote is signed; a key that is missing leaves mail unsigned and is said in the log
and by doctor, for a signature proves who sent and protects no content. DESIGN §3 (last row of the table).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_der_private_key

from gateway.actions.tenants import TenantView
from gateway.errors import Tampered
from gateway.logs import Log
from gateway.mail import dkim

log = Log("gateway.dkim")


def key(selector: str, private: bytes) -> dkim.Key:
    """A signing key of its PKCS #8 bytes. Raises Tampered for what is none of ours."""
    try:
        found = load_der_private_key(private, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # without its cause, which might quote what it read
        raise Tampered("a mail key that cannot be read") from None
    if isinstance(found, RSAPrivateKey):
        rsa = found
        how = Prehashed(hashes.SHA256())
        return dkim.Key(selector, dkim.RSA, lambda digest: rsa.sign(digest, padding.PKCS1v15(), how))
    if isinstance(found, Ed25519PrivateKey):
        return dkim.Key(selector, dkim.ED25519, found.sign)
    raise Tampered("a mail key of another kind")


def chosen(tenant: str, wanted: Sequence[str], held: Iterable[tuple[str, bytes]]) -> tuple[dkim.Key, ...]:
    """The keys that the settings name, in that order, of those that the keyholder gave (selector, PKCS #8)."""
    private = dict(held)
    for selector in wanted:
        if selector not in private:
            log.error("dkim:no-key", tenant=tenant)
    return tuple(key(selector, private[selector]) for selector in wanted if selector in private)


def signing_domain(view: TenantView, author: str) -> str | None:
    """In which domain's name mail from `author`'s domain is signed; None for not at all.

    A name below one of the clinic's domains is signed by that domain, which DMARC takes for aligned unless the record
    asks for more (RFC 7489 3.1.1); that is how notices from the portal's host are.
    """
    if author in view.domains:
        return author
    above = [domain for domain in view.domains if author.endswith("." + domain)]
    if above:
        return max(above, key=len)
    return author if author == view.host.lower() else None


class Signer:
    """Signs for every clinic. Thread-safe. `now_us` is the clock."""

    def __init__(self, keys: Mapping[str, Sequence[dkim.Key]], now_us: Callable[[], int]) -> None:
        self._keys = keys
        self._now_us = now_us

    def fields(self, view: TenantView, chunks: Iterable[bytes]) -> bytes:
        """Signature fields for the top of the message of these chunks, which are read through once; may be empty."""
        keys = self._keys.get(view.id, ())
        if not keys:
            return b""
        return dkim.signatures(chunks, lambda author: signing_domain(view, author), keys, self._now_us() // 1_000_000)
