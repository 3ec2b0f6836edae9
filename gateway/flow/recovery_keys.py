"""Each clinic's recovery key as the worker uses it: signed by the keyholder, or not used at all.

Promises: a public half whose signature, name or suite does not hold is refused as `Tampered`, and then nothing is
sealed for that clinic, because a stranger's recovery key would open all future mail; what was asked for is remembered
for seconds only, so that a new key counts at once. DESIGN §4 (`recovery`), §4a (What the keyholder vouches for).
"""

from __future__ import annotations

import threading
import time

from gateway.errors import Tampered
from gateway.share import answering
from keys import recovery
from keys.boxes import SUITE_X25519
from keys.client import WorkerClient, unb64
from keys.signing import verify_signature

REMEMBERED_SECONDS = 2.0


class RecoveryKeys:
    """Asks the keyholder. Thread-safe."""

    def __init__(self, keyholder: WorkerClient, pinned: bytes) -> None:
        self._keyholder = keyholder
        self._pinned = pinned
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, bytes | None]] = {}

    def __call__(self, tenant: str) -> bytes | None:
        """The public half to which new messages are sealed besides; None for a clinic without. Raises Tampered,
        TryLater.
        """
        now = time.monotonic()
        with self._lock:
            known = self._known.get(tenant)
        if known is not None and now - known[0] < REMEMBERED_SECONDS:
            return known[1]
        found = self._asked(tenant)
        with self._lock:
            self._known[tenant] = (now, found)
        return found

    def _asked(self, tenant: str) -> bytes | None:
        with answering():
            found = self._keyholder.recovery_key(tenant)
            if found is None:
                return None
            name, suite, public = str(found["id"]), int(found["suite"]), unb64(found["public"])
            signature = unb64(found["signature"])
            verify_signature(self._pinned, signature, "sealgate/recovery-key/v1", tenant, name, suite, public)
        if suite != SUITE_X25519 or name != recovery.key_id(public):
            raise Tampered("a recovery key is not what its name says")
        return public
