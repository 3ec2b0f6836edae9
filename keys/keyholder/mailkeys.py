"""Keys that sign a tenant's mail (DKIM): made here, wrapped by the root KEK, handed to the worker that signs.

Promises: a key is made once under its selector and never replaced by a repeated call, because the world knows it by
that name; the private half leaves for the worker's socket alone; a removed one is overwritten. RFC 6376 3.1
(selectors), RFC 8301 3.2 (RSA of 2048 bits), RFC 8463.
"""

from __future__ import annotations

import re
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from keys.errors import Denied, Tampered
from keys.keyholder.database import Tx
from keys.keyholder.proposals import OPERATOR
from keys.keyholder.releaselog import record
from keys.keyholder.staff import House
from keys.keyholder.wire import b64

ALGORITHMS = ("rsa", "ed25519")
RSA_BITS = 2048
_SELECTOR = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MOST = 8
"""Keys of one tenant: two in use, two that follow them, and room for a mistake."""


def dkim_make(holder: House, *, tenant: str, selector: str, algorithm: str) -> dict[str, str]:
    """Make a key under a selector that has none. Denied: no-tenant, bad-selector, bad-algorithm, taken, too-many."""
    if _SELECTOR.fullmatch(selector) is None:
        raise Denied("bad-selector")
    if algorithm not in ALGORITHMS:
        raise Denied("bad-algorithm")
    # Before the transaction: primes take a while to find, and the store has one writer.
    key = generate_private_key(65537, RSA_BITS) if algorithm == "rsa" else Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def work(tx: Tx) -> dict[str, str]:
        if tx.one("SELECT 1 FROM tenants WHERE id = ?", tenant) is None:
            raise Denied("no-tenant")
        if tx.one("SELECT 1 FROM mail_keys WHERE tenant = ? AND selector = ?", tenant, selector) is not None:
            raise Denied("taken")
        if tx.number("SELECT COUNT(*) FROM mail_keys WHERE tenant = ?", tenant) >= _MOST:
            raise Denied("too-many")
        wrapped = tx.custody.wrap(private, "dkim", tenant, selector, algorithm)
        tx.run("INSERT INTO mail_keys VALUES (?, ?, ?, ?, ?)", tenant, selector, algorithm, wrapped, tx.now_us)
        record(tx, tenant, "mailkey:made", object=selector, actor=(OPERATOR, OPERATOR), reason=algorithm)
        return {"selector": selector, "algorithm": algorithm, "public": b64(_public(private))}

    return holder.database.run(work)


def dkim_list(tx: Tx, *, tenant: str) -> list[dict[str, Any]]:
    """Selector, algorithm, public half and time of each key."""
    return [
        {
            "selector": row["selector"], "algorithm": row["algorithm"], "public": b64(_public(_private(tx, row))),
            "made_us": row["made_us"],
        }
        for row in _rows(tx, tenant)
    ]  # fmt: skip


def dkim_keys(tx: Tx, *, tenant: str) -> list[dict[str, str]]:
    """Selector, algorithm and private half (PKCS #8) of each key, for the worker."""
    return [
        {"selector": row["selector"], "algorithm": row["algorithm"], "private": b64(_private(tx, row))}
        for row in _rows(tx, tenant)
    ]


def dkim_remove(tx: Tx, *, tenant: str, selector: str) -> bool:
    """Destroy a key; whether there was one."""
    tx.destroyed = True
    row = tx.one("SELECT * FROM mail_keys WHERE tenant = ? AND selector = ?", tenant, selector)
    if row is None:
        return False
    tx.custody.forget(bytes(row["wrapped"]), "dkim", tenant, selector, row["algorithm"])
    tx.run("DELETE FROM mail_keys WHERE tenant = ? AND selector = ?", tenant, selector)
    record(tx, tenant, "mailkey:removed", object=selector, actor=(OPERATOR, OPERATOR), reason=row["algorithm"])
    return True


def _rows(tx: Tx, tenant: str) -> list[Any]:
    return list(tx.all("SELECT * FROM mail_keys WHERE tenant = ? ORDER BY made_us, selector", tenant))


def _private(tx: Tx, row: Any) -> bytes:
    return tx.custody.unwrap(bytes(row["wrapped"]), "dkim", row["tenant"], row["selector"], row["algorithm"])


def _public(private: bytes) -> bytes:
    """What a DNS record holds: SubjectPublicKeyInfo of RSA (RFC 6376 3.6.1), the 32 bytes of Ed25519 (RFC 8463 4)."""
    key = load_der_private_key(private, None)
    if isinstance(key, Ed25519PrivateKey):
        return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    if isinstance(key, RSAPrivateKey):
        return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    raise Tampered("a mail key of another kind")
