"""Downloads under way, so that a recall ends them and not only the next one (DESIGN §4a).

Promises: after `cut` no further segment of a download on that grant leaves this process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Running:
    """Which grants have downloads under way. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: dict[str, set[threading.Event]] = {}

    @contextmanager
    def on(self, grant: str) -> Iterator[threading.Event]:
        """While one download runs; the event is set when it must stop."""
        stop = threading.Event()
        with self._lock:
            self._stops.setdefault(grant, set()).add(stop)
        try:
            yield stop
        finally:
            with self._lock:
                left = self._stops[grant]
                left.discard(stop)
                if not left:
                    del self._stops[grant]

    def cut(self, grant: str) -> None:
        """Stop every download on that grant."""
        with self._lock:
            for stop in self._stops.get(grant, ()):
                stop.set()

    def count(self) -> int:
        """Downloads under way."""
        with self._lock:
            return sum(len(stops) for stops in self._stops.values())
