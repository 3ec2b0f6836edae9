"""A queue whose takers do not crowd: while one of them gets on, it takes all that comes, and the others sleep.

Threads that take turns at every message cost more than the message (DESIGN §2). So whoever took last goes on taking
with `more`, and another wakes only when that one rests, or has taken nothing for `JOIN_AFTER_SECONDS` although
something waits: it has met something slow. Promises: nothing waits longer than that for an idle taker; nobody waits to
fill a batch; order is kept.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")
JOIN_AFTER_SECONDS = 0.1


class Line(Generic[T]):
    """See the module's words. Thread-safe; `take` to `rest` belong to one thread."""

    def __init__(self) -> None:
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._taker = 0  # ident of the thread that gets on
        self._took_at = 0.0
        self._sleeping = 0
        self._watching = 0  # of those that sleep: who looks whether the taker gets on
        self._closed = False

    def put(self, items: Iterable[T], *, first: bool = False) -> None:
        """Add them at the end, or `first` before all that waits, in their order."""
        found = list(items)
        if not found:
            return
        with self._changed:
            if first:
                self._waiting.extendleft(reversed(found))
            else:
                self._waiting.extend(found)
            self._call()

    def take(self) -> T | None:
        """The next, once there is one and nobody else gets on; None after `close`."""
        with self._changed:
            while not self._closed:
                pause: float | None = None
                if self._waiting:
                    pause = self._took_at + JOIN_AFTER_SECONDS - time.monotonic() if self._taker else 0.0
                    if pause <= 0:
                        return self._next()
                self._sleeping += 1
                self._watching += pause is not None
                self._changed.wait(pause)
                self._watching -= pause is not None
                self._sleeping -= 1
            return None

    def more(self, fits: Callable[[T], bool] = lambda item: True) -> T | None:
        """The next without waiting, if one waits and fits what was taken; None also for who was overtaken."""
        with self._changed:
            if self._closed or not self._waiting or self._taker not in (0, threading.get_ident()):
                return None
            return self._next() if fits(self._waiting[0]) else None

    def rest(self) -> None:
        """Turn to something slow, or to nothing: another may take meanwhile. Safe to repeat."""
        with self._changed:
            if self._taker == threading.get_ident():
                self._taker = 0
                self._call()

    def close(self) -> list[T]:
        """No more is given out; what still waited."""
        with self._changed:
            self._closed = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            return left

    def _next(self) -> T:
        self._taker, self._took_at = threading.get_ident(), time.monotonic()
        found = self._waiting.popleft()
        self._call()
        return found

    def _call(self) -> None:
        """Wake one sleeper: to take, or to watch who takes. The caller holds the lock."""
        if self._waiting and self._sleeping and (not self._taker or not self._watching):
            self._changed.notify()
