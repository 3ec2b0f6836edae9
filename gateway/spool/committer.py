"""Group commit: one thread that appends finished records to the segment log and syncs once for all that wait.

Promises: a record's future answers only after a sync that began after the record was written; records reach the log
in the order in which they were handed in; a failed write or sync fails every record of its batch and the segment is
never used again (after a failed sync the kernel may have dropped what it could not write). RFC 5321 4.2.5, 6.1.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from gateway import steps
from gateway.clock import Clock
from gateway.errors import GatewayError, TryLater
from gateway.logs import Log
from gateway.spool import layout

_log = Log("gateway.spool")
SEGMENT_BYTES = 64 << 20
SEGMENT_AGE_US = 3_600_000_000
_BATCH_BYTES = 8 << 20

Settle = Callable[[Callable[[], None]], None]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A framed record whose caller waits. After `not_after_us` it is too late to promise anything."""

    item: str
    record: bytes
    not_after_us: int
    future: Future[str]


class SegmentLog:
    """The segment being written. One thread."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._descriptor = -1
        self._path = Path()
        self._bytes = 0
        self._opened_us = 0
        self._open()

    def append(self, records: list[bytes]) -> None:
        """Write whole records at the end. OSError: nothing of them may be promised, and this segment is given up."""
        age_us = self._clock.now_us() - self._opened_us
        if self._descriptor < 0 or self._bytes >= SEGMENT_BYTES or (self._bytes and age_us >= SEGMENT_AGE_US):
            self._open()
        try:
            # The name must still lead to this file: else the spool was moved away and nobody would read it here.
            if os.stat(self._path).st_ino != os.fstat(self._descriptor).st_ino:
                raise FileNotFoundError("the segment was moved away")
            self._bytes += layout.write_all(self._descriptor, records)
        except OSError:
            self.give_up()
            raise

    def sync(self) -> None:
        """Make what was appended lasting. OSError: as for `append`."""
        try:
            os.fdatasync(self._descriptor)
        except OSError:
            self.give_up()
            raise

    def give_up(self) -> None:
        """Leave this segment. What it holds beyond the last sync was promised to nobody, but may be read already."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _open(self) -> None:
        self.give_up()
        existing = layout.segments(self._directory)
        number = max(self._clock.now_us(), existing[-1] + 1 if existing else 0)
        path = layout.segment_path(self._directory, number)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, layout.FILE_MODE)
        try:
            # The name of the new segment must outlive a power cut as surely as what is written into it.
            layout.sync_folder(self._directory / layout.LOG)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor, self._path, self._bytes = descriptor, path, 0
        self._opened_us = self._clock.now_us()


class Committer:
    """The thread. `settle` runs a function where the waiting futures are to be answered, once per batch."""

    def __init__(self, directory: Path, clock: Clock, settle: Settle) -> None:
        self._clock = clock
        self._settle = settle
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._log = SegmentLog(directory, clock)
        self._closed = False
        self._guard = threading.Lock()
        self.batches = 0
        self._thread = threading.Thread(target=self._run, name="spool-commit", daemon=True)
        self._thread.start()

    def submit(self, waiting: Waiting) -> None:
        """Queue a record for the next batch. Raises TryLater after `close`."""
        with self._guard:
            if self._closed:
                raise TryLater("spool writer is closed")
            self._queue.put(waiting)

    def close(self) -> None:
        """Commit what is queued and end the thread."""
        with self._guard:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        more = True
        while more:
            batch, more = self._take()
            if batch:
                self._commit(batch)
        self._log.give_up()

    def _take(self) -> tuple[list[Waiting], bool]:
        """Everything that waits now, at least one; False with the last batch."""
        batch: list[Waiting] = []
        size = 0
        while size < _BATCH_BYTES:
            try:
                waiting = self._queue.get(block=not batch)
            except queue.Empty:
                break
            if waiting is None:
                return batch, False
            batch.append(waiting)
            size += len(waiting.record)
        return batch, True

    def _commit(self, batch: list[Waiting]) -> None:
        failure: GatewayError | None = None
        try:
            self._log.append([waiting.record for waiting in batch])
            steps.reached("2-written")
            self._log.sync()
            self.batches += 1
        except OSError as error:
            failure = TryLater(f"spool cannot be written: errno {error.errno}")
            _log.error("spool:commit-failed", count=len(batch), code=error.errno)
        except Exception as error:  # the thread must live on: a dead one would leave every sender waiting for ever
            self._log.give_up()
            failure = TryLater("spool cannot be written")
            failure.__cause__ = error
            _log.exception("spool:commit-failed", count=len(batch))
        now_us = self._clock.now_us()
        steps.reached("2-durable")
        try:
            self._settle(lambda: _answer(batch, failure, now_us))
        except RuntimeError:
            # The loop that would have told the senders is gone. What is durable will be delivered all the same.
            _log.warning("spool:nobody-waits", count=len(batch))


def _answer(batch: list[Waiting], failure: GatewayError | None, now_us: int) -> None:
    for waiting in batch:
        if failure is not None:
            waiting.future.set_exception(failure)
        elif now_us > waiting.not_after_us:
            # The epoch's key may be gone before the worker reads this: better to be sent again than to be lost.
            waiting.future.set_exception(TryLater("epoch ended before the commit"))
        else:
            waiting.future.set_result(waiting.item)
