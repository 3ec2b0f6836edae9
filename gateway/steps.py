"""The numbered steps of a message's life, and the place where a test kills the process at one of them.

Promises: without the variable a step costs one comparison and does nothing. With it, the n-th arrival at the named
step ends the whole process group with SIGKILL, as a power cut would: no handler runs, nothing is flushed.
Steps of a message (README, "Life of a message"): 1 accept, 2 spool and 250 (``2-written`` before the sync,
``2-durable`` between the sync and the 250), 3 lease … 10 erase. Steps of a download are ``d1`` … ``d7``.
"""

from __future__ import annotations

import os
import signal
import threading

VARIABLE = "SEALGATE_TEST_KILL_AT"


class _Trap:
    """One armed step: `step:count`, counted over all threads of this process."""

    def __init__(self, step: str, count: int) -> None:
        self.step = step
        self._left = count
        self._lock = threading.Lock()

    def sprung(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left == 0


def _read(value: str | None) -> _Trap | None:
    """`"2-durable:5"` is the fifth arrival at that step; without a count it is the first. ValueError otherwise."""
    if not value:
        return None
    step, _, count = value.partition(":")
    if not step or (count and not count.isdecimal()) or count == "0":
        raise ValueError(f"{VARIABLE} must look like 'step:count'")
    return _Trap(step, int(count or "1"))


_trap = _read(os.environ.get(VARIABLE))


def reached(step: int | str) -> None:
    """Say that this step begins. Ends the process group here if a test asked for it."""
    if _trap is not None and str(step) == _trap.step and _trap.sprung():
        os.killpg(0, signal.SIGKILL)
