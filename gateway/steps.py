"""The numbered steps of a message's life, and the place where a test kills the process at one of them.

Promises: without the variable a step costs one comparison and does nothing. With it, the n-th arrival at the named
step ends the whole process group with SIGKILL, as a power cut would: no handler runs, nothing is flushed; with
``gather`` the arrivals before it wait there, so that several messages are hit at one and the same step (messages that
are worked on together arrive together); with ``stop``
the process stops there instead (SIGSTOP) and goes on when it is told to, so that a test can change its world meanwhile.
A value of ``@file`` names a file that is looked for at each step and says the same, so that a running process can be
armed; one that stopped is gone then, and the next can be laid.
Steps of a message (gateway/README.md): 1 accept, 2 spool and 250 (``2-written`` before the sync,
``2-durable`` between the sync and the 250), 3 lease … 10 erase (``7-sealed`` objects durable, ``7-deposited`` the
keyholder has the shares, both before the copies are written). Steps of a download are ``d1`` … ``d7``.
"""

from __future__ import annotations

import os
import signal
import threading

VARIABLE = "SEALGATE_TEST_KILL_AT"


class _Trap:
    """One armed step: `step:count`, counted over all threads of this process."""

    def __init__(self, step: str, count: int, gather: bool, stop: bool) -> None:
        self.step = step
        self.stop = stop
        self._left = count
        self._gather = gather
        self._lock = threading.Lock()

    def sprung(self, arrivals: int) -> bool:
        with self._lock:
            before, self._left = self._left, self._left - arrivals
            left = self._left
        if left > 0 and self._gather:
            threading.Event().wait()
        return before > 0 >= left


def _read(value: str | None) -> _Trap | None:
    """`"2-durable:5"` is the fifth arrival at that step, `"7:3:gather"` the third while two wait there; without a count
    it is the first. ValueError otherwise.
    """
    if not value:
        return None
    step, _, rest = value.partition(":")
    count, _, word = rest.partition(":")
    if not step or (count and not count.isdecimal()) or count == "0" or word not in ("", "gather", "stop"):
        raise ValueError(f"{VARIABLE} must look like 'step:count'")
    return _Trap(step, int(count or "1"), word == "gather", word == "stop")


_value = os.environ.get(VARIABLE)
_file = _value[1:] if _value and _value.startswith("@") else None
_trap = None if _file else _read(_value)
_arming = threading.Lock()


def _armed() -> _Trap | None:
    """The trap of this moment; one that was read from the file stays."""
    global _trap
    if _file is not None and _trap is None:
        with _arming:
            if _trap is None and os.path.exists(_file):
                with open(_file, encoding="ascii") as file:
                    _trap = _read(file.read().strip())
    return _trap


def reached(step: int | str, arrivals: int = 1) -> None:
    """Say that this step begins, for so many messages at once. Ends the process group here if a test asked for it."""
    if _value is None or not arrivals:
        return
    trap = _armed()
    if trap is not None and str(step) == trap.step and trap.sprung(arrivals):
        if trap.stop:
            _stop()
        else:
            os.killpg(0, signal.SIGKILL)


def _stop() -> None:
    """Take the trap away, then wait for SIGCONT."""
    global _trap
    with _arming:
        if _file is not None:
            os.unlink(_file)
        _trap = None
    os.kill(os.getpid(), signal.SIGSTOP)
