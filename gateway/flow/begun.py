"""Which spool items are under way, so that one whose work never ends is known as such, in this life and in the next.

Promises: what was begun and not ended when a life ended, however it ended, counts as one failed try in the next; an
item that goes well is forgotten. A note costs a write to mapped memory and no call to the disk.
Known limits: a note may be lost with the machine's power; without room for the file nothing is known across lives.
"""

from __future__ import annotations

import json
import mmap
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gateway.logs import Log
from gateway.spool import layout

log = Log("gateway.worker")
STUCK_SECONDS = 600.0
_SLOTS, _SLOT_BYTES = 128, 4096
_MOST_COUNTED = 1000


class Begun:
    """Notes of what is under way. Thread-safe. `path` without ending names two files; None keeps nothing for later."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._free = list(range(_SLOTS))
        self._busy: dict[int, tuple[float, tuple[str, ...]]] = {}
        self._path = path
        self._map: mmap.mmap | None = None
        self.earlier: dict[str, int] = {}
        """Tries of earlier lives that were begun and never ended, by item."""
        if path is not None:
            try:
                self._open(path)
            except (OSError, ValueError) as error:
                log.error("worker:notes-failed", error=type(error).__name__)

    @contextmanager
    def under_way(self, items: Sequence[str]) -> Iterator[None]:
        """These items are worked on as long as this lasts."""
        names = tuple(items)
        with self._lock:
            slot = self._free.pop() if self._free else -1
            if slot >= 0:
                self._busy[slot] = (time.monotonic(), names)
                self._note(slot, names)
        try:
            yield
        finally:
            if slot >= 0:
                with self._lock:
                    self._busy.pop(slot, None)
                    self._note(slot, ())
                    self._free.append(slot)

    def stuck(self, now: float) -> list[str]:
        """Items that have been under way for too long; each is named once. `now` as time.monotonic has it."""
        found: list[str] = []
        with self._lock:
            for slot, (since, names) in self._busy.items():
                if now - since >= STUCK_SECONDS:
                    found += names
                    self._busy[slot] = (float("inf"), names)
        return found

    def forget(self, item: str) -> None:
        """It ended well, or was held."""
        with self._lock:
            if self.earlier.pop(item, None) is not None:
                self._keep()

    def _note(self, slot: int, names: tuple[str, ...]) -> None:
        if self._map is not None:
            start = slot * _SLOT_BYTES
            text = "\n".join(names).encode("ascii", "replace")[: _SLOT_BYTES - 1]
            self._map[start : start + len(text) + 1] = text + b"\0"

    def _open(self, path: Path) -> None:
        counts = path.with_suffix(".json")
        if counts.exists():
            self.earlier = {str(name): int(count) for name, count in json.loads(counts.read_text()).items()}
        descriptor = os.open(path.with_suffix(".map"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, layout.FILE_MODE)
        try:
            os.posix_fallocate(descriptor, 0, _SLOTS * _SLOT_BYTES)  # a full disk must be found here, not by a signal
            self._map = mmap.mmap(descriptor, _SLOTS * _SLOT_BYTES)
        finally:
            os.close(descriptor)
        left = [self._map[at : at + _SLOT_BYTES].partition(b"\0")[0] for at in range(0, len(self._map), _SLOT_BYTES)]
        for name in {one for text in left for one in text.decode("ascii", "replace").split("\n") if one}:
            self.earlier[name] = self.earlier.get(name, 0) + 1
        self.earlier = dict(list(self.earlier.items())[-_MOST_COUNTED:])
        self._keep()
        for slot in range(_SLOTS):
            self._note(slot, ())

    def _keep(self) -> None:
        if self._path is None:
            return
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(self.earlier))
            os.replace(fresh, self._path.with_suffix(".json"))
        except OSError as error:
            log.error("worker:notes-failed", error=type(error).__name__)
