"""Sealed addresses and names, and the keyed index that finds them (DESIGN §4: directory key, index key).

Promises: no address or name is stored or indexed in clear; the same address gives the same index within a tenant and
says nothing across tenants.
"""

from __future__ import annotations

from gateway.share.keyring import KeyRing
from keys.encoding import canonical, lp


def normalised(address: str) -> str:
    """The form addresses are compared in: lower case, no surrounding space, no trailing dot.

    RFC 5321 2.4 lets local parts differ by case; no mail system a clinic writes to tells them apart, and treating
    two spellings as two people would split a person's factors.
    """
    return address.strip().rstrip(".").lower()


class Directory:
    """Seals, opens and indexes what names a person."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def index(self, tenant: str, address: str) -> bytes:
        """32 bytes; equal for equal addresses of one tenant."""
        return self._keys.of(tenant).index.mac(lp("address"), normalised(address).encode())

    def keyed(self, tenant: str, label: str, value: object) -> bytes:
        """HMAC of any JSON value under the tenant's index key, apart by `label`."""
        return self._keys.of(tenant).index.mac(lp(label), canonical(value))

    def seal(self, tenant: str, table: str, row: str, text: str) -> bytes:
        """Sealed for one row; it opens nowhere else."""
        return self._keys.of(tenant).directory.seal(_context(tenant, table, row), text.encode())

    def open(self, tenant: str, table: str, row: str, sealed: bytes) -> str:
        """Raises keys.errors.Tampered when it was changed or moved."""
        return self._keys.of(tenant).directory.open(_context(tenant, table, row), sealed).decode()


def _context(tenant: str, table: str, row: str) -> bytes:
    return lp("sealgate/directory/v1", tenant, table, row)
