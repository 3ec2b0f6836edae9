"""The root key as the store meets it: what wraps a row, what opens it, and whether its provider still says yes.

A key in this process (`file`, `systemd-creds`) wraps each row itself. One that lies elsewhere (an HSM, a KMS) wraps the
*store key*, 32 random bytes that wrap the rows here; a rotation makes a new one. So the one thread that writes never
waits for a network, and the provider is asked at start and then by a pulse: what it refuses stops new mail and new
readers at the next beat, silence only after a while. While a rotation runs, rows may lie under the key before as well.
DESIGN §4a (Root KEK); decision 0034.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from keys.encoding import lp
from keys.errors import KeysError, Tampered, Unavailable
from keys.providers import Choice, KeyProvider
from keys.providers._local import LocalKey

STORE_KEY = lp("sealgate/keyholder/v1", "store-key")
Answers = Literal["yes", "silent", "refused"]


@dataclass(frozen=True, slots=True)
class Seal:
    """One root key at work: its provider, where that lies, and what wraps rows. `store_key` is None for a local one."""

    provider: KeyProvider
    choice: Choice
    rows: KeyProvider
    store_key: bytes | None

    @classmethod
    def make(cls, provider: KeyProvider, choice: Choice) -> Seal:
        """With a store key of its own, if the provider is elsewhere. Raises what its `wrap` does."""
        if provider.local:
            return cls(provider, choice, provider, None)
        raw = os.urandom(32)
        return cls(provider, choice, LocalKey(raw, provider.name), provider.wrap(raw, STORE_KEY))

    @classmethod
    def open(cls, provider: KeyProvider, choice: Choice, store_key: bytes | None) -> Seal:
        """The one that a store was made with. Raises Tampered when its store key does not open."""
        if provider.local or store_key is None:
            if not provider.local:
                raise Tampered("the keyholder's store lacks its store key")
            return cls(provider, choice, provider, None)
        try:
            raw = provider.unwrap(store_key, STORE_KEY)
        except Tampered as error:
            raise Tampered(
                f"{provider.name} does not open this store's key: another key was made under the same name, or the "
                "store was changed"
            ) from error
        return cls(provider, choice, LocalKey(raw, provider.name), store_key)

    def look(self) -> None:
        """Ask the provider once more whether it opens what it must. Raises as `unwrap`; nothing for a local one."""
        if self.store_key is not None:
            self.provider.unwrap(self.store_key, STORE_KEY)


class RootKey:
    """The seal in force and, while a rotation runs, the one before it. Any thread may read it."""

    def __init__(self, seal: Seal, before: Seal | None = None) -> None:
        self._seals = (seal, before)
        self.answers: Answers = "yes"

    @property
    def seal(self) -> Seal:
        """What new rows are wrapped with."""
        return self._seals[0]

    @property
    def before(self) -> Seal | None:
        """What older rows may still be wrapped with."""
        return self._seals[1]

    def turn(self, seal: Seal) -> None:
        """A rotation begins: new rows go under `seal`, what is there may be under the present one."""
        self._seals = (seal, self._seals[0])

    def settle(self) -> None:
        """The rotation is over: the key before opens nothing any more."""
        self._seals = (self._seals[0], None)

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """`key` under the seal in force."""
        return self.seal.rows.wrap(key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key, under either seal. Raises Tampered."""
        seal, before = self._seals
        try:
            return seal.rows.unwrap(wrapped, context)
        except Tampered:
            if before is None:
                raise
        return before.rows.unwrap(wrapped, context)


class Pulse:
    """Asks a provider that lies elsewhere again and again. `told` hears of each change.

    A refusal counts at once; silence when it has lasted `silence_seconds`. A yes ends both.
    """

    def __init__(
        self, root: RootKey, *, every_seconds: float, silence_seconds: float, told: Callable[[Answers], object]
    ) -> None:
        self._root, self._every, self._silence, self._told = root, every_seconds, silence_seconds, told
        self._since: float | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to ask, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="root-key", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more. Does not wait for an answer that is under way."""
        self._end.set()

    def beat(self) -> None:
        """Ask once."""
        now: Answers = "yes"
        try:
            self._root.seal.look()
            self._since = None
        except Unavailable:
            since = self._since = time.monotonic() if self._since is None else self._since
            now = "silent" if time.monotonic() - since >= self._silence else self._root.answers
        except KeysError:
            now = "refused"
        if now != self._root.answers:
            self._root.answers = now
            self._told(now)

    def _run(self) -> None:
        while not self._end.wait(max(self._every, 0.05)):
            self.beat()
