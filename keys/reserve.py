"""Room put by on a disk for what must still work when it is full: a file, given up then and made again later.

Promises: the file's blocks are allocated, not merely promised (posix_fallocate); it is given up when the disk has less
than `least_bytes` left or a write failed for want of room, and made again only when there is room for it twice, so that
it does not come and go; while it is gone `whole` is false, and whoever asks takes on nothing new.
Clauses: DESIGN §1.1, §3a (451 when a promise cannot be kept).
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

LOOK_EVERY_SECONDS = 0.5
NAME = "reserve"


def is_full(error: BaseException | None) -> bool:
    """Whether this error, or one that it was raised from, says that a disk has no room left."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == 13:  # SQLITE_FULL
            return True
        error = getattr(error, "orig", None) or error.__cause__
    return False


class Reserve:
    """`size_bytes` beside what lies in `folder`; of size 0 it never is anything but whole. Thread-safe."""

    def __init__(self, folder: Path, size_bytes: int, *, told: Callable[[bool], object] = lambda whole: None) -> None:
        self._path = folder / NAME
        self._size = size_bytes
        self.least_bytes = max(262_144, size_bytes // 64)
        self._told = told
        self._lock = threading.Lock()
        self._looked = 0.0
        self._whole = not size_bytes or self._there()
        self.look(now=True)

    @property
    def whole(self) -> bool:
        """Whether it is there, as of the last look."""
        return self._whole

    def look(self, *, now: bool = False) -> bool:
        """See how the disk stands, twice a second at most, and give up or make the file. Whether it is whole.

        `told` hears of each change, under the lock.
        """
        if not self._size:
            return True
        with self._lock:
            if now or time.monotonic() - self._looked >= LOOK_EVERY_SECONDS:
                self._looked = time.monotonic()
                free = self._free_bytes()
                if self._whole and (free < self.least_bytes or not self._there()):
                    self._give_up()
                elif not self._whole and free >= 2 * self._size:
                    self._make()
            return self._whole

    def needed(self, error: BaseException) -> bool:
        """Whether a write failed for want of room."""
        return is_full(error)

    def spend(self) -> bool:
        """Give the room up because a write just failed. False when there was none left to give."""
        with self._lock:
            had = self._whole and bool(self._size)
            if had:
                self._give_up()
            return had

    def _there(self) -> bool:
        try:
            found = self._path.stat()
        except OSError:
            return False
        return found.st_size >= self._size and found.st_blocks * 512 >= self._size

    def _free_bytes(self) -> int:
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:
            return 0
        return disk.f_bavail * disk.f_frsize

    def _give_up(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._whole = False
        self._told(False)

    def _make(self) -> None:
        """Under another name first: what bears the name is whole."""
        beside = self._path.with_name(NAME + ".making")
        try:
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(handle, 0, self._size)
                os.fsync(handle)
            finally:
                os.close(handle)
            beside.rename(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink()
            return
        self._whole = True
        self._told(True)
