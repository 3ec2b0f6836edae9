"""The spool's hourly keys in the worker's memory (DESIGN §4a, "Epochs").

Promises: private halves are fetched from the keyholder and kept in memory only; only keys that the keyholder signed are
used; at the end of an epoch what is left is given a box of the current one, and then the old key is destroyed.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Sequence

from gateway.clock import Clock
from gateway.errors import TryLater
from gateway.logs import Log
from gateway.share import answering
from gateway.spool.item import EPOCH_GRACE_US, HOUR_US, current_epoch
from gateway.spool.reader import SpoolReader
from keys.boxes import BoxKey
from keys.client import WorkerClient
from keys.errors import Denied
from keys.signing import verify_signature

log = Log("gateway.epochs")


class Epochs:
    """Keys of one node's epochs. Thread-safe."""

    def __init__(self, keyholder: WorkerClient, node: str, keyholder_public: bytes, clock: Clock) -> None:
        self._keyholder = keyholder
        self._node = node
        self._public = keyholder_public
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[int, BoxKey] = {}

    def refresh(self) -> None:
        """Fetch what is new. Raises Tampered for a key that the keyholder did not sign, TryLater when it is down."""
        with answering():
            found: dict[int, BoxKey] = {}
            for row in self._keyholder.epochs(self._node):
                key = BoxKey.from_private(base64.b64decode(row["private"]))
                signature = base64.b64decode(row["signature"])
                verify_signature(
                    self._public, signature, "sealgate/epoch/v1", self._node, int(row["epoch"]), key.public
                )
                found[int(row["epoch"])] = key
        with self._lock:
            self._keys = found

    def open_box(self, epoch: int, context: bytes, box: bytes) -> bytes:
        """For the spool's readers. Raises TryLater for an epoch whose key we have not, keys.errors.Tampered."""
        with self._lock:
            key = self._keys.get(epoch)
        if key is None:
            raise TryLater("no key for that epoch")
        return key.open(context, box)

    def public(self) -> tuple[int, bytes]:
        """The current epoch and its public key, for writing. Raises TryLater when there is none."""
        epoch = current_epoch(self._clock.now_us())
        with self._lock:
            key = self._keys.get(epoch)
        if key is None:
            raise TryLater("no key for the current epoch")
        return epoch, key.public

    def roll(self, readers: Sequence[SpoolReader]) -> int:
        """Re-box what lies in ended epochs and have their keys destroyed; how many epochs ended.

        An epoch is over once nothing can be committed for it any more, which is a grace after its hour.
        """
        now = self._clock.now_us()
        current, public = self.public()
        with self._lock:
            ended = [epoch for epoch in self._keys if epoch < current and (epoch + 1) * HOUR_US + EPOCH_GRACE_US < now]
        if not ended:
            return 0
        for reader in readers:
            reader.look()
            reader.rebox(ended, current, public)
        done = 0
        for epoch in sorted(ended):
            try:
                with answering():
                    self._keyholder.epoch_done(self._node, epoch)
            except Denied:
                log.warning("epoch:not-over", epoch=epoch)
                continue
            with self._lock:
                self._keys.pop(epoch, None)
            done += 1
        return done
