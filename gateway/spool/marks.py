"""The reader's own journal: which items are erased, and which have a new box.

Promises: a box is lasting before `sync` returns; a lost erase mark costs nothing but a second look, because queue state
lies in the database; the journal holds marks of waiting segments only. The writer of the spool never touches it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gateway.spool import frame, item, layout

COMPACT_BYTES = 32 << 20


class Marks:
    """One file, appended to. The caller holds the lock."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / layout.MARKS
        self._path = self._folder / "marks.log"
        self._descriptor = -1
        self.size = 0
        self.damaged = 0

    def read(self) -> Iterator[frame.Frame]:
        """Every whole mark there is; what is torn or damaged is counted in `damaged`."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            stop = 0
            for found in frame.scan(descriptor, 0):
                stop = found.stop
                if isinstance(found, frame.Frame):
                    yield found
                else:
                    self.damaged += 1
            if stop < os.fstat(descriptor).st_size:
                self.damaged += 1
        finally:
            os.close(descriptor)

    def rewrite(self, records: list[bytes]) -> None:
        """Begin again with these marks alone; lasting when it returns, and all or nothing."""
        fresh = self._folder / "marks.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, layout.FILE_MODE)
        try:
            self.size = layout.write_all(descriptor, records)
            os.fsync(descriptor)
            os.replace(fresh, self._path)
            layout.sync_folder(self._folder)
        except BaseException:
            os.close(descriptor)
            raise
        self.close()
        self._descriptor = descriptor

    def append(self, records: list[bytes]) -> None:
        """Add marks; lasting only after `sync`."""
        if self._descriptor < 0:
            self._descriptor = os.open(
                self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, layout.FILE_MODE
            )
        self.size += layout.write_all(self._descriptor, records)

    def sync(self) -> None:
        """Make every mark so far lasting."""
        if self._descriptor >= 0:
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def erased(item_id: str) -> bytes:
    """The mark that an item is done with."""
    return frame.encode(item.ERASED, item_id, bytes((item.VERSION,)))


def boxed(item_id: str, *, epoch: int, box: bytes, signature: bytes) -> bytes:
    """The mark that gives an item a new box."""
    return frame.encode(item.BOX, item_id, item.encode_box(epoch=epoch, box=box, signature=signature))
