"""Waits as a worker does between two looks at its spool, and no longer than until a large item has come.

A look every 20 ms is right for small mail, which is then taken together; a large item is worked on alone, and would
only wait. Its content gets its name a moment before its record is written: the kernel tells of that name, and for that
moment the spool is looked at every millisecond. Where the kernel does not tell, it is waited as before. inotify(7).
"""

from __future__ import annotations

import ctypes
import os
import select
import time
from pathlib import Path

from gateway.logs import Log
from gateway.spool import layout

_MOVED_HERE = 0x80  # IN_MOVED_TO
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
EXPECTED_SECONDS = 0.1
"""So long a record may follow its content's name, on a busy disk; after that it is looked for as ever."""
SOON_SECONDS = 0.001
_log = Log("gateway.spool")


class Arrivals:
    """One thread waits. `directory` is that of one direction of a spool."""

    def __init__(self, directory: Path) -> None:
        self._expected_until = 0.0
        self._poll = select.poll()
        self._descriptor = _watch(directory / layout.LARGE)
        if self._descriptor >= 0:
            self._poll.register(self._descriptor, select.POLLIN)
        else:
            _log.info("spool:not-watched")

    def wait(self, seconds: float) -> None:
        """That long, or until a large item has its name; a millisecond while its record is expected."""
        if time.monotonic() < self._expected_until:
            time.sleep(min(seconds, SOON_SECONDS))
            return
        if self._poll.poll(seconds * 1000):
            os.read(self._descriptor, 65_536)  # which name it was is of no interest
            self._expected_until = time.monotonic() + EXPECTED_SECONDS

    def came(self) -> None:
        """Something was found: nothing more is expected."""
        self._expected_until = 0.0

    def close(self) -> None:
        """Let the watch go. Nobody may wait then."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _watch(folder: Path) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        descriptor = int(libc.inotify_init1(_FLAGS))
    except AttributeError:  # no Linux
        return -1
    if descriptor < 0:
        return -1
    if libc.inotify_add_watch(descriptor, os.fsencode(folder), _MOVED_HERE) < 0:
        os.close(descriptor)
        return -1
    return descriptor
