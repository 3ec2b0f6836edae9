"""Says that the clock leapt: at once in the log of this process, and in a note that `doctor` reads.

Promises: within a second of a leap (`keys/steady.py`) one line says so with its size, and what carries a time and is
renewed now and then (the snapshot, the spool's keys) is renewed at once, so that the door does not find it too old; the
note beside the worker's key says how many there were since the worker started, and whether what nobody can undo waits.
A note that cannot be written stops nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.clock import Clock
from gateway.logs import Log
from keys.steady import Leaps, Steady

NAME = "clock.json"
LOOK_SECONDS = 1.0
log = Log("gateway.upkeep")


class ClockWatch:
    """A duty of the worker. `folder` is the worker's own; `renew` is called after a leap."""

    def __init__(self, steady: Steady, folder: Path, clock: Clock, renew: Callable[[], None]) -> None:
        self._steady = steady
        self._path = folder / NAME
        self._clock = clock
        self._renew = renew
        self._said: Leaps | None = None

    def __call__(self) -> None:
        """Look, and say what is new."""
        self._steady()
        leaps = self._steady.leaps
        before = self._said or Leaps()
        if leaps == self._said:
            return
        self._said = leaps
        with contextlib.suppress(OSError):
            _write(self._path, leaps, self._clock.now_us())
        if leaps.count > before.count:
            log.warning("clock:leapt", seconds=round(leaps.last_seconds))
            self._renew()
        elif before.waiting and not leaps.waiting:
            log.info("clock:believed")


def _write(path: Path, leaps: Leaps, now_us: int) -> None:
    note = {
        "v": 1, "leaps": leaps.count, "last_seconds": round(leaps.last_seconds), "waiting": leaps.waiting,
        "at_us": now_us,
    }  # fmt: skip
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(note))
    os.replace(fresh, path)


def read(path: Path) -> Mapping[str, Any]:
    """The note in that file. Raises OSError when there is none, ValueError when it is damaged."""
    found = json.loads(path.read_text())
    if not isinstance(found, dict) or type(found.get("leaps")) is not int or type(found.get("waiting")) is not bool:
        raise ValueError("no note of the clock")
    return found
