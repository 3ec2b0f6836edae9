"""How often a sender, and everybody at this node, was refused within the hour: a limit on guessing (DESIGN §3b).

Promises: counted in this process's memory, so a restart forgets it; no more than `KEPT` senders are remembered, the
longest silent one is forgotten first. Thread-safe.
"""

from __future__ import annotations

import threading
from collections import deque

from gateway.clock import Clock

HOUR_US = 3_600_000_000
PER_SENDER = 5
"""Refused answers of one sender within an hour; after that none of theirs is obeyed until the hour is over."""
PER_NODE = 60
"""Refusals told by mail within an hour at one node; after that they stand in the log alone."""
KEPT = 10_000


class Tries:
    """Sliding windows. A sender is an opaque key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._senders: dict[bytes, deque[int]] = {}
        self._all: deque[int] = deque(maxlen=PER_NODE)
        self._lock = threading.Lock()

    def spent(self, sender: bytes) -> bool:
        """Whether that sender was refused too often."""
        with self._lock:
            return self._count(self._senders.get(sender)) >= PER_SENDER

    def told(self) -> bool:
        """Whether one more refusal may be told by mail."""
        with self._lock:
            return self._count(self._all) < PER_NODE

    def refused(self, sender: bytes) -> None:
        """Count one."""
        now = self._clock.now_us()
        with self._lock:
            self._all.append(now)
            times = self._senders.pop(sender, None) or deque(maxlen=PER_SENDER)
            times.append(now)
            self._senders[sender] = times  # last in the order: the first is the longest silent
            if len(self._senders) > KEPT:
                del self._senders[next(iter(self._senders))]

    def _count(self, times: deque[int] | None) -> int:
        since = self._clock.now_us() - HOUR_US
        return sum(at > since for at in times or ())
