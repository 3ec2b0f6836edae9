"""Whether this machine's clock can be believed for what nobody can undo.

A clock that leaps forward (a wrong time server, a machine that slept, somebody's hand) makes everything look old:
shares would be destroyed, mail given up, files swept, and the clock's coming back brings none of it back. So whoever
destroys by time asks here first. Promises: a leap forward of more than `LEAP_SECONDS` against the time since boot is
noticed at the next question, and from then on the answer is no for `WAIT_SECONDS` of that time, or until the clock has
come back; a leap back alone changes nothing, for then nothing is due, and a leap that only takes it back within
`WAIT_SECONDS` is the clock's coming back as well. What happened while the process did not run is not seen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

LEAP_SECONDS = 600.0
WAIT_SECONDS = 86_400.0
"""Time for somebody to look: `sealgate doctor` compares the clock (`clock.right`)."""


def since_boot() -> float:
    """Seconds that nobody can set, those of a sleeping machine included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Leaps:
    """What was noticed up to now: how many leaps, the last one's seconds (negative: back), and whether we wait."""

    count: int = 0
    last_seconds: float = 0.0
    waiting: bool = False


class Steady:
    """Thread-safe. Asking is cheap; between two questions a clock may be slewed by as much as time servers do."""

    def __init__(self, wall: Callable[[], float] = time.time, elapsed: Callable[[], float] = since_boot) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._offset = wall() - elapsed()
        self._ahead = 0.0  # of the clock that is believed; negative: behind it
        self._settled_at = elapsed()  # from when on the clock is believed as it is now
        self._leaps = Leaps()

    def __call__(self) -> bool:
        """Whether the clock went on as time did."""
        with self._lock:
            elapsed = self._elapsed()
            offset = self._wall() - elapsed
            leap, self._offset = offset - self._offset, offset
            count, last = self._leaps.count, self._leaps.last_seconds
            if elapsed >= self._settled_at:
                self._ahead = 0.0
            if abs(leap) > LEAP_SECONDS:
                count, last = count + 1, leap
                self._ahead += leap
                self._settled_at = elapsed + WAIT_SECONDS
            steady = self._ahead <= LEAP_SECONDS
            self._leaps = Leaps(count, last, not steady)
            return steady

    @property
    def leaps(self) -> Leaps:
        """As the last question found it."""
        with self._lock:
            return self._leaps
