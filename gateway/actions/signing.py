"""Who signs in a clinic's name: its DKIM keys in the worker's memory, and the domain that a signature may speak for.

Promises: a signature names a domain of that clinic alone, or its portal's host, so mail in another clinic's name is
never signed; only what we wrote or rewrote is signed; a key that is missing leaves mail unsigned and is said in the log
and by doctor, for a signature proves who sent and protects no content. DESIGN §3 (last row of the table).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from gateway.actions.tenants import TenantView
from gateway.logs import Log
from gateway.mail import dkim
from gateway.share import answering
from keys.mailkey import RSA, MailKey

log = Log("gateway.dkim")


def key(selector: str, private: bytes) -> dkim.Key:
    """A signing key of its PKCS #8 bytes. Raises Tampered for what is none of ours."""
    with answering():
        found = MailKey.from_private(private)
    return dkim.Key(selector, dkim.RSA if found.algorithm == RSA else dkim.ED25519, found.sign)


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
