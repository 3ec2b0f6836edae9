"""A recipient's inbox: the key pair to which messages are sealed, and the locks on its private half (FORMAT.md §16).

A lock is ``01 ‖ salt(32) ‖ wrap``; the wrap's secret is what the person shows, stretched, and a *pepper* of 32 bytes
that only the keyholder has: Argon2id of the passphrase under the salt (64 MiB, 3 passes, 1 lane; RFC 9106), or a
passkey's PRF output, which needs no stretching. Promises: a lock opens only with both, for its own tenant, inbox and
kind; what is sealed to an inbox opens for its own message, grant, person and inbox only. DESIGN §4 (inbox), §4a
(Argon2id).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from argon2.low_level import Type, hash_secret_raw

from keys.boxes import BoxKey, seal_box
from keys.encoding import lp
from keys.errors import Tampered
from keys.wrap import OVERHEAD_BYTES, WrapContext, unwrap, wrap

PASSPHRASE, PASSKEY = "passphrase", "passkey"
KEY_LABEL = "sealgate/inbox-key/v1"
"""Label of the keyholder's signature over an inbox's public key: tenant, person, inbox, public."""
MEMORY_KIB, PASSES, LANES = 65_536, 3, 1
SALT_BYTES = PEPPER_BYTES = 32
_VERSION = b"\x01"
_LOCKED_BYTES = 1 + SALT_BYTES + OVERHEAD_BYTES + 32
_NO_SALT = bytes(SALT_BYTES)


@dataclass(frozen=True, slots=True)
class LockName:
    """Which lock of which inbox. `kind` is ``passphrase`` or ``passkey``."""

    tenant: str
    inbox: str
    lock: str
    kind: str = PASSPHRASE

    def context(self) -> WrapContext:
        """What the wrap inside is bound to."""
        return WrapContext(self.tenant, self.inbox, self.lock, "inbox-" + self.kind, 1)


Factor = Callable[[bytes], bytes]
"""From the lock's salt to 32 bytes that only the person can give."""


def by_passphrase(phrase: bytes) -> Factor:
    """Argon2id: about 0.3 s of a processor and 64 MiB at each call, so the caller bounds how many run together."""
    return lambda salt: hash_secret_raw(phrase, salt, PASSES, MEMORY_KIB, LANES, 32, Type.ID)


def by_passkey(output: bytes) -> Factor:
    """A PRF output, 32 bytes of full entropy. ValueError for another length."""
    if len(output) != 32:
        raise ValueError("a PRF output has 32 bytes")
    return lambda salt: output


def lock(private: bytes, factor: Factor, pepper: bytes, name: LockName) -> bytes:
    """The private half under both secrets."""
    salt = os.urandom(SALT_BYTES)
    return _VERSION + salt + wrap(_secret(factor(salt), pepper), private, name.context())


def unlock(locked: bytes, factor: Factor, pepper: bytes, name: LockName) -> bytes:
    """The private half. WrongSecret for another factor, pepper or name; Tampered for another form or a change."""
    if len(locked) != _LOCKED_BYTES or locked[:1] != _VERSION:
        raise Tampered("a lock has an unknown form")
    salt, wrapped = locked[1 : 1 + SALT_BYTES], locked[1 + SALT_BYTES :]
    return unwrap(_secret(factor(salt), pepper), wrapped, name.context())


def spend(factor: Factor) -> None:
    """The same work as `unlock` does, for nothing: where there is no such inbox, an answer takes as long."""
    factor(_NO_SALT)


def seal_message(public: bytes, mk: bytes, *, tenant: str, message: str, grant: str, person: str, inbox: str) -> bytes:
    """W of a grant ``inbox``: MK in a box to the inbox. ValueError for a public key that cannot be used."""
    return seal_box(public, _message(tenant, message, grant, person, inbox), mk)


def open_message(
    private: bytes, sealed: bytes, *, tenant: str, message: str, grant: str, person: str, inbox: str
) -> bytes:
    """MK. Raises Tampered for another inbox's key, a changed byte, or a box made for anything else."""
    return BoxKey.from_private(private).open(_message(tenant, message, grant, person, inbox), sealed)


def ask_context(tenant: str, inbox: str) -> bytes:
    """What the keyholder's challenge is bound to: who opens it has the private half."""
    return lp("sealgate/inbox-ask/v1", tenant, inbox)


def keep(private: bytes, key: bytes, tenant: str, inbox: str) -> bytes:
    """The private half for a browser's cookie, under a key that ends with the session."""
    return wrap(key, private, _kept(tenant, inbox))


def kept(sealed: bytes, key: bytes, tenant: str, inbox: str) -> bytes:
    """The private half out of a cookie. Raises WrongSecret and Tampered as `keys.wrap.unwrap`."""
    return unwrap(key, sealed, _kept(tenant, inbox))


def _kept(tenant: str, inbox: str) -> WrapContext:
    return WrapContext(tenant, inbox, "cookie", "inbox-session", 1)


def _message(tenant: str, message: str, grant: str, person: str, inbox: str) -> bytes:
    return lp("sealgate/inbox/v1", tenant, message, grant, person, inbox)


def _secret(factor: bytes, pepper: bytes) -> bytes:
    if len(factor) != 32 or len(pepper) != PEPPER_BYTES:
        raise ValueError("a lock takes 32 bytes of the person and 32 of the keyholder")
    return factor + pepper
