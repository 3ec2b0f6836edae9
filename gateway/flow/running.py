"""Downloads under way, so that a recall ends them and not only the next one (DESIGN §4a).

Promises: after `cut` no further segment of a download on that grant leaves this process.
"""

from __future__ import annotations

import threading


class Stop(threading.Event):
    """One download: set when it must stop. `over` takes it out of the list; safe twice."""

    def __init__(self, running: Running, grant: str) -> None:
        super().__init__()
        self._running = running
        self._grant = grant

    def over(self) -> None:
        """It has ended."""
        self._running.forget(self._grant, self)


class Running:
    """Which grants have downloads under way. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: dict[str, set[Stop]] = {}

    def begin(self, grant: str) -> Stop:
        """Before the release is asked for: a recall from then on is either refused there or heard here."""
        stop = Stop(self, grant)
        with self._lock:
            self._stops.setdefault(grant, set()).add(stop)
        return stop

    def forget(self, grant: str, stop: Stop) -> None:
        """Take one out. Safe twice."""
        with self._lock:
            left = self._stops.get(grant, set())
            left.discard(stop)
            if not left:
                self._stops.pop(grant, None)

    def cut(self, grant: str) -> None:
        """Stop every download on that grant."""
        with self._lock:
            for stop in self._stops.get(grant, ()):
                stop.set()

    def count(self) -> int:
        """Downloads under way."""
        with self._lock:
            return sum(len(stops) for stops in self._stops.values())
