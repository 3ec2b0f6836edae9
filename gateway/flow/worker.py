"""The worker: finds what waits in the spool, takes it through, and looks after time.

Promises: an item that failed is tried again after a pause that grows to 30 s; large items have threads of their own, so
that one does not delay the others; after a restart everything that was promised goes on from the disk alone, and
readiness does not wait for it; a thread that has ended turns the sign of life red.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field

from gateway.errors import TryLater
from gateway.flow.delivery import Deliverer
from gateway.flow.outbound import Outbound
from gateway.logs import Log
from gateway.spool.item import Entry
from gateway.spool.reader import SpoolReader
from gateway.store.database import Store

log = Log("gateway.worker")
LOOK_EVERY_SECONDS = 0.02
LARGE_BYTES = 1 << 20
LARGE_THREADS = 2


@dataclass(frozen=True, slots=True)
class _Task:
    entry: Entry
    again: bool
    """Begun before, in this life or an earlier one."""


@dataclass(order=True, slots=True)
class _Later:
    at: float
    entry: Entry = field(compare=False)


_Line = queue.SimpleQueue[_Task | None]


class Worker:
    """Threads around `Outbound`."""

    def __init__(
        self, spool: SpoolReader, outbound: Outbound, deliverer: Deliverer, store: Store, threads: int
    ) -> None:
        self._spool = spool
        self._outbound = outbound
        self._deliverer = deliverer
        self._store = store
        # Without a bound: the reader holds every entry anyway, and a full line would hold up all that is behind it.
        self._small: _Line = queue.SimpleQueue()
        self._large: _Line = queue.SimpleQueue()
        self._later: queue.PriorityQueue[_Later] = queue.PriorityQueue()
        self._pauses: dict[str, float] = {}
        self._stopping = threading.Event()
        self._finder = threading.Thread(target=self._find, name="spool-finder", daemon=True)
        self._takers = [
            threading.Thread(target=self._take, args=(line,), name=f"take-{n}", daemon=True)
            for n, line in enumerate([self._small] * threads + [self._large] * LARGE_THREADS)
        ]

    def start(self) -> None:
        """Take up what an earlier life left, then go on with what comes."""
        self._deliverer.start()
        for thread in (*self._takers, self._finder):
            thread.start()

    def stop(self) -> None:
        """Finish the messages under way; what waits stays in the spool."""
        self._stopping.set()
        threads = [thread for thread in (self._finder, *self._takers) if thread.ident is not None]
        for line in (self._small, self._large):
            self._drain(line)
        for line in [self._small] * (len(self._takers) - LARGE_THREADS) + [self._large] * LARGE_THREADS:
            line.put(None)
        for thread in threads:
            thread.join(30)
        self._deliverer.stop()

    def alive(self) -> bool:
        """Whether every thread still works."""
        return self._deliverer.alive() and all(thread.is_alive() for thread in (self._finder, *self._takers))

    @staticmethod
    def _drain(line: _Line) -> None:
        try:
            while True:
                line.get_nowait()
        except queue.Empty:
            pass

    def _offer(self, entry: Entry, *, again: bool) -> None:
        line = self._large if entry.sealed_bytes > LARGE_BYTES else self._small
        line.put(_Task(entry, again))

    def _find(self) -> None:
        due_at = 0.0
        replayed = False
        while not self._stopping.is_set():
            try:
                for entry in self._spool.poll():
                    self._offer(entry, again=not replayed)
                replayed = True
                if time.monotonic() >= due_at:
                    due_at = time.monotonic() + 1.0
                    self._deliverer.submit(self._deliverer.due())
            except Exception:  # whatever it is: the thread that finds mail must not end
                log.exception("worker:look-failed")
                self._stopping.wait(1.0)
            while not self._later.empty() and self._later.queue[0].at <= time.monotonic():
                self._offer(self._later.get().entry, again=True)
            self._stopping.wait(LOOK_EVERY_SECONDS)

    def _take(self, line: _Line) -> None:
        while (task := line.get()) is not None:
            entry = task.entry
            if self._stopping.is_set():
                continue
            try:
                self._outbound.process(entry, again=task.again)
                self._pauses.pop(entry.id, None)
            except TryLater as error:
                log.warning("worker:later", queue=entry.id, error=type(error).__name__)
                self._again(entry)
            except Exception:
                log.exception("worker:failed", queue=entry.id)
                self._again(entry)

    def _again(self, entry: Entry) -> None:
        pause = min(30.0, self._pauses.get(entry.id, 0.25) * 2)
        self._pauses[entry.id] = pause
        self._later.put(_Later(time.monotonic() + pause, entry))
