"""The keyholder without its sockets: the store, the keys, and one door `call(role, method, params)`.

Promises: what `call` returns is committed; a method that the role does not have is refused and recorded; nothing of a
request appears in an exception. One process holds a store at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from keys.errors import KeysError, Unavailable
from keys.keyholder import authority, backups, database, deposits, journal, tenants
from keys.keyholder.calls import BadCall, is_id
from keys.keyholder.config import KeyholderConfig
from keys.keyholder.custody import SYSTEM, Custody, opened
from keys.keyholder.database import Database, Tx
from keys.keyholder.releaselog import record
from keys.keyholder.roles import METHODS, Method
from keys.keyholder.rootkey import Answers, Pulse
from keys.keyholder.rotation import Rotation
from keys.keyholder.staff import Hasher
from keys.providers import Choice, KeyProvider, open_provider
from keys.reserve import Reserve

WAITS_FOR_ROOM = frozenset({
    "deposit", "take_texts", "ask_text", "verify", "use_device", "remember", "totp_begin", "totp_confirm", "release",
    "passkey_ask", "passkey_open", "passkey_begin", "passkey_enrol", "recovery_codes",
    "inbox_begin", "inbox_confirm", "inbox_enter", "inbox_open",
})  # fmt: skip
"""Methods of new mail and of readers. `take_texts` is the worker's pulse too: smtp hears of it and says 451."""


_ADMITTING = frozenset({"certify", "revoke_machine", "retire_node"})


class NotAllowed(KeysError):
    """This role has no such method."""


class StoreInUse(KeysError):
    """Another keyholder holds this store."""


def system_now_us() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class Holder:
    """An opened keyholder. `now_us` is its clock."""

    def __init__(
        self, config: KeyholderConfig, custody: Custody, base: Database, lock: int, now_us: Callable[[], int]
    ) -> None:
        self.config = config
        self.custody = custody
        self.database = base
        self.now_us = now_us
        self.hasher = Hasher(config.limits)
        self.methods: Mapping[str, Mapping[str, Method]] = MappingProxyType(dict(METHODS))
        self.rotation = Rotation(base, custody)
        self.admitted = base.run(authority.admitted)
        """Certificates of other machines that are in force; replaced as a whole when one is given or revoked."""
        self._pulse = Pulse(
            custody.key, every_seconds=config.limits.pulse_seconds,
            silence_seconds=config.limits.pulse_silence_seconds, told=_answers,
        )  # fmt: skip
        self._lock = lock

    @classmethod
    def open(cls, config: KeyholderConfig, *, now_us: Callable[[], int] = system_now_us) -> Holder:
        """Open the store; with `config.create` make it first if there is none, and only then a missing KEK file.

        Raises NoStore, StoreInUse, WrongKek (naming both check values), Unusable (the KEK and what guards it),
        Unavailable (whoever guards it does not answer), Tampered.
        """
        if config.create:
            config.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not config.database.exists():
            raise database.NoStore(
                f"{config.database}: the keyholder's store is missing; an existing installation never gets an empty one"
            )
        lock = _take(config)
        conn = None
        try:
            fresh = config.create and not config.database.exists()
            provider = open_provider(config.choice, create=fresh, secret=_handed(config.key_descriptor))
            if fresh:
                _make(config, provider, now_us)
            conn = database.open_store(config.database)
            key = opened(conn, provider, config.choice, _named_by_the_store)
            backups.admit(conn, key, now_us())
            custody = Custody.open(conn, key)
            reserve = Reserve(config.directory, config.reserve_bytes, told=_room)
            return cls(config, custody, Database(conn, custody, config.limits, now_us, reserve), lock, now_us)
        except BaseException:
            if conn is not None:
                with contextlib.suppress(Exception):
                    conn.close()
            os.close(lock)
            raise

    def call(self, role: str, method: str, params: Any) -> Any:
        """What the handler answers. Raises Denied, NotAllowed, BadCall, Tampered, Unavailable.

        On a full disk the room that was put by is for recalls and what staff need for them: new mail and new readers
        wait. So they do while whoever guards the root key refuses.
        """
        known = self.methods.get(role, {}).get(method)
        if known is None:
            self.refuse_call(role, method)
            raise NotAllowed
        arguments = known.signature.bind(params)
        room = self.database.reserve
        if room is not None and not room.look() and method in WAITS_FOR_ROOM:
            raise Unavailable("the disk is full")
        if self.custody.key.answers != "yes" and method in WAITS_FOR_ROOM:
            raise Unavailable("whoever guards the root key refuses or is silent")
        if not known.inside:
            return known.handler(self, **arguments)
        answer = self.database.run(lambda tx: known.handler(tx, **arguments))
        if method in _ADMITTING:
            self.admitted = self.database.run(authority.admitted)
        return answer

    def identity(self) -> tuple[bytes, bytes]:
        """What to listen with for other machines: the authority and a fresh certificate with its key, PEM."""
        return self.database.run(authority.own)

    def refuse_call(self, role: str, what: str) -> None:
        """Record a call or a connection that the role has no right to."""
        name = what if is_id(what) and len(what) <= 40 else "unreadable"

        def work(tx: Tx) -> None:
            record(
                tx, SYSTEM, "call:refused", object=name, actor=("role", role), outcome="refused", reason="not-allowed"
            )

        self.database.run(work)

    def begin(self) -> None:
        """Go on with a rotation that a stop interrupted, and ask a distant provider again and again from now on."""
        self.rotation.resume()
        self._pulse.start()

    def keep_house(self) -> dict[str, int]:
        """Destroy what is over. Called at start and every few minutes."""
        self.database.run(backups.note)
        return self.database.run(deposits.expire)

    def close(self) -> None:
        """Finish what was begun and let go of the store. A rotation goes on at the next start."""
        self._pulse.stop()
        self.rotation.stop()
        self.database.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _answers(now: Answers) -> None:
    journal.line(f"kek:{'answers' if now == 'yes' else now}")


def _handed(descriptor: int) -> bytes | None:
    """What the parent took out of a sealed credential for us, if it did."""
    return None if descriptor < 0 else os.pread(descriptor, 4096, 0)


def _named_by_the_store(choice: Choice) -> KeyProvider:
    journal.line("kek:named-by-the-store")
    return open_provider(choice)


def _room(whole: bool) -> None:
    journal.line("disk:room" if whole else "disk:full")


def _take(config: KeyholderConfig) -> int:
    path = config.directory / "keyholder.lock"
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise StoreInUse(f"{config.database}: another keyholder is running on this store") from error
    return handle


def _make(config: KeyholderConfig, provider: KeyProvider, now_us: Callable[[], int]) -> None:
    """Make a store beside its name and move it there when whole: a crash leaves none, never half of one."""
    beside = config.directory / "keyholder.db.making"
    for name in config.directory.glob(beside.name + "*"):
        name.unlink()
    conn = database.open_store(beside, create=True)
    custody = Custody.create(conn, provider, config.choice)
    base = Database(conn, custody, config.limits, now_us)
    try:
        base.run(tenants.create_system)
    finally:
        base.close()  # copies the write-ahead log into the file
    beside.rename(config.database)
    database.sync_directory(config.directory)


__all__ = ["BadCall", "Holder", "NotAllowed", "StoreInUse", "system_now_us"]
