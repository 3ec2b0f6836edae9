"""A smarthost that hangs, and everybody else's mail: one asks whether it is back, and nobody waits for that.

An attempt on which the smarthost falls silent costs a delivery thread up to `[courier] timeout_seconds`, or
`end_timeout_seconds` at the end of a mail, and the threads are shared by all clinics of an installation: a hundred
mails for one that drops packets would keep the others' mail waiting for half an hour. Promises: once a connection that
took `SLOW_SECONDS` or more did not open, or an attempt met silence, one thread at a time makes another; whoever comes
meanwhile waits that long at most, counted from the beginning of that attempt, and then hears what the last one met, as
an attempt that failed; the first attempt that is answered, whatever the answer, ends this. RFC 5321 4.5.4.1.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.courier.connection import ConnectionFailed
from gateway.courier.port import Deferred
from gateway.courier.transaction import ConnectionLost

SLOW_SECONDS = 1.0


class Patience:
    """Of one smarthost. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._met: Deferred | None = None  # what the last attempt met, while the smarthost hangs
        self._asked_at: float | None = None  # when the one who asks now began

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Around one attempt. Raises ConnectionFailed in its place where another one hangs."""
        asks = self._turn()
        began = self._monotonic()
        met = self._met  # a fault of ours says nothing of the smarthost
        try:
            yield
            met = None
        except ConnectionFailed as failure:
            met = failure.deferred if self._monotonic() - began >= SLOW_SECONDS else None
            raise
        except ConnectionLost as loss:
            met = Deferred("4.4.2", loss.reason) if loss.reason == "timeout" else None
            raise
        finally:
            with self._changed:
                self._met = met
                if asks:
                    self._asked_at = None
                self._changed.notify_all()

    def _turn(self) -> bool:
        """Whether the caller is the one who asks; False where all may try."""
        with self._changed:
            while self._met is not None and self._asked_at is not None:
                left = self._asked_at + SLOW_SECONDS - self._monotonic()
                if left <= 0:
                    raise ConnectionFailed(self._met.status, self._met.reason, self._met.code)
                self._changed.wait(left)
            if self._met is None:
                return False
            self._asked_at = self._monotonic()
            return True
