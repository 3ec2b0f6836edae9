"""Has the kernel write back a file while it grows, so that the sync at its end finds little left to write.

Promises: nothing is made lasting by this, nothing is said about it and no error is swallowed: the sync that follows
does and says what it would have without (sync_file_range(2): starting to write neither waits for what was written nor
takes an error away from fsync(2)). Where the kernel has no such call, nothing happens.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

EVERY_BYTES = 1 << 20
"""So much is gathered: less would be many small writes, more would leave more to the sync."""

_WRITE = 2  # SYNC_FILE_RANGE_WRITE


def _start() -> Callable[[int, int, int], object]:
    try:
        call = ctypes.CDLL(None).sync_file_range
    except (AttributeError, OSError):  # no Linux
        return lambda _descriptor, _start, _count: None
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return lambda descriptor, start, count: call(descriptor, start, count, _WRITE)


_begin = _start()


class Writeback:
    """Of one file that is written from its beginning to its end. One thread at a time; it may wait for the disk."""

    __slots__ = ("_begun", "_descriptor", "_written")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._begun = self._written = 0

    def wrote(self, count: int) -> None:
        """So many more bytes were written."""
        self._written += count
        if self._written - self._begun >= EVERY_BYTES:
            _begin(self._descriptor, self._begun, self._written - self._begun)
            self._begun = self._written
