"""Keys at rest: what lies wrapped by the root KEK, and the check that it is the right KEK.

Promises: a wrong KEK is refused by name before anything is read or written; a wrapped key opens only for the use it
was wrapped for; unwrapped keys are remembered by their wrapped bytes, so a rolled-back or destroyed row is never
served from memory. DESIGN §4a (root KEK, day keys), §4 (tenant keys).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from keys.datakey import ValueKey
from keys.encoding import lp
from keys.errors import Denied, Tampered, WrongKek
from keys.keyholder.rootkey import RootKey, Seal
from keys.providers import Choice, KeyProvider
from keys.signing import SigningKey

if TYPE_CHECKING:
    from keys.keyholder.database import Tx

DAY_US = 86_400_000_000
SYSTEM = "system"

HANDED_OUT = ("directory", "index", "row_mac", "log_value")
"""Tenant keys that worker and portal keep in memory (DESIGN §4)."""
_TENANT_KEYS = (*HANDED_OUT, "factors", "log_sign", "release_sign")
_SYSTEM_KEYS = ("log_sign", "release_sign")


@dataclass(frozen=True, slots=True)
class Custody:
    """The opened root of the store. `root` signs settings, epochs and snapshots; its public half is pinned elsewhere.

    `hashing` keys every stored HMAC: handles, codes, devices, requests, row MACs, password pepper.
    """

    key: RootKey
    root: SigningKey
    hashing: ValueKey
    _known: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    _signers: dict[bytes, SigningKey] = field(default_factory=dict, repr=False)

    @classmethod
    def create(cls, conn: sqlite3.Connection, provider: KeyProvider, choice: Choice) -> Custody:
        """Make the root keys of a new store and wrap them."""
        root, hashing, seal = SigningKey.generate(), ValueKey.random(), Seal.make(provider, choice)
        rows = {
            **seal_rows(seal),
            "root_public": root.public,
            "root_seed": seal.rows.wrap(root.seed(), _context("root")),
            "hashing": seal.rows.wrap(hashing.raw(), _context("hashing")),
        }
        conn.execute("BEGIN IMMEDIATE")
        conn.executemany("INSERT INTO meta (name, value) VALUES (?, ?)", list(rows.items()))
        conn.execute("COMMIT")
        return cls(RootKey(seal), root, hashing)

    @classmethod
    def open(cls, conn: sqlite3.Connection, key: RootKey) -> Custody:
        """The keys of an existing store under its root key (`opened`). Raises Tampered for a changed row."""
        rows = _meta(conn)
        try:
            root = SigningKey.from_bytes(key.unwrap(rows["root_seed"], _context("root")))
            hashing = ValueKey(key.unwrap(rows["hashing"], _context("hashing")))
        except KeyError as error:
            raise Tampered("the keyholder's store lacks its root keys") from error
        if root.public != rows["root_public"]:
            raise Tampered("the keyholder's store names another root public key")
        _note(conn, rows, key.before or key.seal)
        return cls(key, root, hashing)

    @property
    def provider(self) -> KeyProvider:
        """The provider in force."""
        return self.key.seal.provider

    @property
    def system_origin(self) -> str:
        """Origin of the system log: named after the root public key, so two installations never share it."""
        return "sealgate.system/" + hashlib.sha256(self.root.public).hexdigest()[:16]

    def mac(self, label: str, *parts: str | bytes | int) -> bytes:
        """HMAC of these parts under the hashing key; labels keep the uses apart."""
        return self.hashing.mac(lp(label), lp(*parts))

    def check(self, mac: bytes, label: str, *parts: str | bytes | int) -> bool:
        """Whether `mac` is that of these parts, in constant time."""
        return self.hashing.check(lp(label), lp(*parts), mac)

    def wrap(self, key: bytes, *use: str | int) -> bytes:
        """`key` wrapped by the KEK for one named use."""
        return self.key.wrap(key, _context(*use))

    def unwrap(self, wrapped: bytes, *use: str | int) -> bytes:
        """The key. Raises Tampered when it was changed or wrapped for another use."""
        address = lp(*use) + wrapped
        if address not in self._known:
            self._known[address] = self.key.unwrap(wrapped, _context(*use))
        return self._known[address]

    def signer(self, seed: bytes) -> SigningKey:
        """The signing key of an unwrapped seed, expanded once."""
        if seed not in self._signers:
            self._signers[seed] = SigningKey.from_bytes(seed)
        return self._signers[seed]

    def forget(self, wrapped: bytes, *use: str | int) -> None:
        """Drop a destroyed key from memory."""
        self._known.pop(lp(*use) + wrapped, None)


def make_keys(tx: Tx, tenant: str) -> None:
    """Fresh keys for a tenant (or for the system logs)."""
    for purpose in _SYSTEM_KEYS if tenant == SYSTEM else _TENANT_KEYS:
        key = SigningKey.generate().seed() if purpose.endswith("_sign") else ValueKey.random().raw()
        wrapped = tx.custody.wrap(key, "tenant", tenant, purpose)
        tx.run("INSERT INTO tenant_keys (tenant, purpose, wrapped) VALUES (?, ?, ?)", tenant, purpose, wrapped)


def tenant_key(tx: Tx, tenant: str, purpose: str) -> bytes:
    """A tenant's key. Raises Denied("no-tenant") when there is none."""
    row = tx.one("SELECT wrapped FROM tenant_keys WHERE tenant = ? AND purpose = ?", tenant, purpose)
    if row is None:
        raise Denied("no-tenant")
    return tx.custody.unwrap(row["wrapped"], "tenant", tenant, purpose)


def values(tx: Tx, tenant: str) -> ValueKey:
    """The key that seals a tenant's factors at rest: numbers, TOTP secrets, user names, reasons."""
    return ValueKey(tenant_key(tx, tenant, "factors"))


def signer(tx: Tx, tenant: str, purpose: str) -> SigningKey:
    """The signing key of a tenant's log (`log_sign`) or release log (`release_sign`)."""
    return tx.custody.signer(tenant_key(tx, tenant, purpose))


def day_key(tx: Tx, tenant: str, day: int, *, make: bool = False) -> ValueKey:
    """The key under which shares that expire on `day` (days since 1970) rest. Raises Denied("destroyed") when gone."""
    row = tx.one("SELECT wrapped, destroyed_us FROM day_keys WHERE tenant = ? AND day = ?", tenant, day)
    if row is None and make:
        key = ValueKey.random()
        wrapped = tx.custody.wrap(key.raw(), "day", tenant, day)
        tx.run("INSERT INTO day_keys (tenant, day, wrapped) VALUES (?, ?, ?)", tenant, day, wrapped)
        return key
    if row is None or row["wrapped"] is None:
        raise Denied("destroyed")
    return ValueKey(tx.custody.unwrap(row["wrapped"], "day", tenant, day))


def destroy_day(tx: Tx, tenant: str, day: int) -> None:
    """Overwrite a day key; every share that lay under it is gone with it."""
    row = tx.one("SELECT wrapped FROM day_keys WHERE tenant = ? AND day = ?", tenant, day)
    if row is not None and row["wrapped"] is not None:
        tx.custody.forget(row["wrapped"], "day", tenant, day)
    tx.run("UPDATE day_keys SET wrapped = NULL, destroyed_us = ? WHERE tenant = ? AND day = ?", tx.now_us, tenant, day)
    tx.destroyed = True


def hold_key(tx: Tx, tenant: str, day: int, *, make: bool = False) -> ValueKey:
    """The key for what was to end on `day` and is kept. Raises Tampered where it should be and is not."""
    row = tx.one("SELECT wrapped FROM hold_keys WHERE tenant = ? AND day = ?", tenant, day)
    if row is not None and row["wrapped"] is not None:
        return ValueKey(tx.custody.unwrap(row["wrapped"], "hold", tenant, day))
    if not make:
        raise Tampered("a share under a legal hold lies under no key")
    key = ValueKey.random()
    wrapped = tx.custody.wrap(key.raw(), "hold", tenant, day)
    tx.run("INSERT OR REPLACE INTO hold_keys (tenant, day, wrapped) VALUES (?, ?, ?)", tenant, day, wrapped)
    return key


def destroy_hold_key(tx: Tx, tenant: str, day: int) -> None:
    """Overwrite the key under which nothing is kept any more."""
    row = tx.one("SELECT wrapped FROM hold_keys WHERE tenant = ? AND day = ?", tenant, day)
    if row is not None and row["wrapped"] is not None:
        tx.custody.forget(row["wrapped"], "hold", tenant, day)
    tx.run("UPDATE hold_keys SET wrapped = NULL, destroyed_us = ? WHERE tenant = ? AND day = ?", tx.now_us, tenant, day)
    tx.destroyed = True


def seal_rows(seal: Seal, prefix: str = "kek") -> dict[str, bytes]:
    """What the store notes of a root key: the provider's name, check value, where it lies, and its store key."""
    rows = {
        f"{prefix}_provider": seal.provider.name.encode("utf-8"),
        f"{prefix}_check": seal.provider.check_value.encode("ascii"),
        f"{prefix}_choice": seal.choice.encode(),
    }
    if seal.store_key is not None:
        rows[f"{prefix}_store_key"] = seal.store_key
    return rows


def opened(
    conn: sqlite3.Connection, provider: KeyProvider, choice: Choice, other: Callable[[Choice], KeyProvider]
) -> RootKey:
    """The root key that a store is under, and the one before it while a rotation runs.

    `other` opens a provider that the store itself names: where a rotation is not over, or the configuration still names
    the key before the last one. Raises WrongKek naming both check values, Tampered, and whatever `other` does.
    """
    rows = _meta(conn)
    try:
        expected = rows["kek_check"].decode("ascii")
        coming = rows.get("next_check", b"").decode("ascii")
        before = rows.get("before_check", b"").decode("ascii")
        if provider.check_value not in {expected, coming or expected, before or expected}:
            raise WrongKek(provider.name, expected=expected, found=provider.check_value)

        def seal(prefix: str, wanted: str) -> Seal:
            found, where = provider, choice
            if found.check_value != wanted:
                where = Choice.decode(rows[f"{prefix}_choice"])
                found = other(where)
            if found.check_value != wanted:
                raise WrongKek(found.name, expected=wanted, found=found.check_value)
            return Seal.open(found, where, rows.get(f"{prefix}_store_key"))

        now = seal("kek", expected)
        key = RootKey(seal("next", coming), now) if coming else RootKey(now)
    except KeyError as error:
        raise Tampered("the keyholder's store does not say under which root key it is") from error
    return key


def _meta(conn: sqlite3.Connection) -> dict[str, bytes]:
    return {name: bytes(value) for name, value in conn.execute("SELECT name, value FROM meta")}


def _note(conn: sqlite3.Connection, rows: Mapping[str, bytes], seal: Seal) -> None:
    """Keep where the key in force was found this time: a file may have been moved, an address changed."""
    now = {name: value for name, value in seal_rows(seal).items() if rows.get(name) != value}
    if now:
        conn.execute("BEGIN IMMEDIATE")
        conn.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", list(now.items()))
        conn.execute("COMMIT")


def _context(*use: str | int) -> bytes:
    return lp("sealgate/keyholder/v1", *use)


context = _context
"""What a key is bound to when the KEK wraps it, for the one other place that wraps root keys: `backups`."""
