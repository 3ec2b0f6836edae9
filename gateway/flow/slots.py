"""Room for work that costs memory: a few at once, a few that wait, and everybody else hears so at once.

Promises: no more than `WORKING` stretch a passphrase together (64 MiB each), no more than `WAITING` wait for it, so the
threads that answer pages are never all taken; apart from the keyholder's own for sign-ins. DESIGN §4a (Argon2id).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

WORKING, WAITING = 2, 4


class Full(Exception):
    """Too many wait."""


class Slots:
    """Thread-safe."""

    def __init__(self, working: int = WORKING, waiting: int = WAITING) -> None:
        self._admitted = threading.BoundedSemaphore(working + waiting)
        self._working = threading.BoundedSemaphore(working)

    @contextmanager
    def admitted(self) -> Iterator[threading.BoundedSemaphore]:
        """A place in the queue; what is given is held around the work itself. Raises Full at once."""
        if not self._admitted.acquire(blocking=False):
            raise Full
        try:
            yield self._working
        finally:
            self._admitted.release()
