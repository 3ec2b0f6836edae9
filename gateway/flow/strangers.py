"""How much of a log strangers may fill: so many entries a minute for each tenant, and one that counts the rest.

Promises: beyond `MOST_A_MINUTE` a refusal of somebody who showed nothing is counted instead of written, and a minute
later one entry says how many; nothing is dropped without a word, except what a crash takes in that minute. Safe from
many threads. 45 CFR 164.312(b).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from gateway.logs import Log

MOST_A_MINUTE = 240
WINDOW_SECONDS = 60.0
log = Log("sealgate.portal")


@dataclass(slots=True)
class _Minute:
    written: int = 0
    surplus: int = 0


class Strangers:
    """`write(tenant, count)` makes the entry that stands for `count` refusals; it may raise, and is tried again."""

    def __init__(self, write: Callable[[str, int], None], window_seconds: float = WINDOW_SECONDS) -> None:
        self._write = write
        self._window_seconds = window_seconds
        self._lock = threading.Lock()
        self._minutes: dict[str, _Minute] = {}
        self._timers: dict[str, threading.Timer] = {}
        self._closed = False

    def take(self, tenant: str) -> bool:
        """Whether a refusal is to be written by itself; otherwise it has been counted."""
        with self._lock:
            minute = self._minutes.setdefault(tenant, _Minute())
            if not self._timers.get(tenant) and not self._closed:
                self._start(tenant)
            if minute.written < MOST_A_MINUTE or self._closed:
                minute.written += 1
                return True
            minute.surplus += 1
            return False

    def close(self) -> None:
        """Write what was counted. Safe twice."""
        with self._lock:
            self._closed = True
            timers = dict(self._timers)
        for tenant, timer in timers.items():
            timer.cancel()
            self._over(tenant)

    def _start(self, tenant: str) -> None:
        timer = threading.Timer(self._window_seconds, self._over, (tenant,))
        timer.daemon = True
        self._timers[tenant] = timer
        timer.start()

    def _over(self, tenant: str) -> None:
        """The minute is over."""
        with self._lock:
            self._timers.pop(tenant, None)
            count = self._minutes.pop(tenant, _Minute()).surplus
        if not count:
            return
        try:
            self._write(tenant, count)
        except Exception as error:
            log.error("strangers:not-written", count=count, error=type(error).__name__)
            with self._lock:
                self._minutes.setdefault(tenant, _Minute()).surplus += count
                if not self._closed and tenant not in self._timers:
                    self._start(tenant)
