"""A smarthost that hangs, and everybody else's mail: one asks whether it is back, and nobody waits for that.

A connection that does not open costs a delivery thread up to `[courier] timeout_seconds`, and the threads are shared by
all clinics of an installation: a hundred mails for a smarthost that drops packets would keep the others' mail waiting
for half an hour. Promises: once an opening failed after `SLOW_SECONDS` or more, one thread at a time tries another;
whoever comes meanwhile waits that long at most, counted from the beginning of that try, and then hears what the last
one met, as an attempt that failed; the first connection that opens, or is refused at once, ends this. RFC 5321 4.5.4.1.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.courier.connection import ConnectionFailed

SLOW_SECONDS = 1.0


class Patience:
    """Of one smarthost. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._met: ConnectionFailed | None = None  # what the last opening met, while the smarthost hangs
        self._asked_at: float | None = None  # when the one who asks now began

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Around the opening of a connection. Raises ConnectionFailed in its place where another hangs in one."""
        asks = self._turn()
        began = self._monotonic()
        met: ConnectionFailed | None = None
        try:
            yield
        except ConnectionFailed as failure:
            met = failure if self._monotonic() - began >= SLOW_SECONDS else None
            raise
        finally:
            with self._changed:
                self._met = met
                if asks:
                    self._asked_at = None
                self._changed.notify_all()

    def _turn(self) -> bool:
        """Whether the caller is the one who asks; False where all may open."""
        with self._changed:
            while self._met is not None and self._asked_at is not None:
                left = self._asked_at + SLOW_SECONDS - self._monotonic()
                if left <= 0:
                    known = self._met.deferred
                    raise ConnectionFailed(known.status, known.reason, known.code)
                self._changed.wait(left)
            if self._met is None:
                return False
            self._asked_at = self._monotonic()
            return True
