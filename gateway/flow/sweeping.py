"""The vault's sweep: each hour a twenty-third of it, so that a vault of any size is gone through within a day.

Going through 200,000 files with their rows costs 5 s of a processor, which every hour would be too much and once a day
is nothing. Promises: each part of the vault has its turn within a day of running, restarts included: where the last
sweep ended stands in a file; what the file says is taken for no more than where to begin. So a blob that no row names
is gone between one and two days after it was written (DESIGN §4a).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from gateway.clock import Clock
from gateway.vault import SHARDS, Vault

AT_ONCE = 11
"""Of 256: 24 hours are a round and a little more."""
DISTANCE = timedelta(days=1)


class VaultSweep:
    """One call an hour. Everything is handed in; `place` is the file that remembers."""

    def __init__(self, vault: Vault, wanted: Callable[[list[str]], set[str]], clock: Clock, place: Path) -> None:
        self._vault = vault
        self._wanted = wanted
        self._clock = clock
        self._place = place

    def __call__(self) -> int:
        """Sweep the next part; how many blobs went. Raises TryLater, and then the same part is next."""
        first = self._next()
        shards = [(first + at) % SHARDS for at in range(AT_ONCE)]
        count = self._vault.sweep(self._wanted, self._clock.now() - DISTANCE, shards)
        fresh = self._place.with_name(self._place.name + ".new")
        fresh.write_text(f"{(first + AT_ONCE) % SHARDS}\n")
        os.replace(fresh, self._place)
        return count

    def _next(self) -> int:
        """Anywhere, where nothing is remembered: whoever is started anew each day begins at no fixed place."""
        try:
            return int(self._place.read_text()) % SHARDS
        except (OSError, ValueError):
            return secrets.randbelow(SHARDS)
