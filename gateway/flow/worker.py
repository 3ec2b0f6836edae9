"""The worker: finds what waits in the spool, takes it through, and looks after time.

Promises: an item that failed is tried again after a pause that grows to 30 s; large items have threads of their own, so
that one does not delay the others; after a restart everything that was promised goes on from the disk alone, and
readiness does not wait for it; a thread that has ended turns the sign of life red. Small items that wait at the same
moment are worked on together; none waits for another longer than a moment, and what turns out to be slow goes on alone.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from gateway.errors import TryLater
from gateway.flow.delivery import Deliverer
from gateway.flow.line import Line
from gateway.flow.outbound import Outbound
from gateway.flow.together import Alone
from gateway.logs import Log
from gateway.spool.arrivals import Arrivals
from gateway.spool.item import Entry
from gateway.spool.reader import SpoolReader
from gateway.store.database import Store

log = Log("gateway.worker")
LOOK_EVERY_SECONDS = 0.02
MANY = 4
MANY_EVERY_SECONDS = 0.06
"""Where more than `MANY` came in one look, the next ones gather that long: their 250 was said, and together they cost
less (decision 0016)."""
LARGE_BYTES = 1 << 20
LARGE_THREADS = 2
SPARE_THREADS = 8
"""So many may take the place of threads whose item does not end; after that the sign of life turns red."""
BATCH = 32
BATCH_BYTES = 1 << 20


@dataclass(order=True, slots=True)
class _Later:
    at: float
    entry: Entry = field(compare=False)


_Line = Line[Entry | Alone]


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
        self._small: _Line = Line()
        self._large: _Line = Line()
        self._later: queue.PriorityQueue[_Later] = queue.PriorityQueue()
        self._pauses: dict[str, float] = {}
        self._arrivals: Arrivals | None = None
        self._stopping = threading.Event()
        self._spares = 0
        self._finder = threading.Thread(target=self._find, name="spool-finder", daemon=True)
        self._takers = [
            threading.Thread(target=self._take, args=(line,), name=f"take-{n}", daemon=True)
            for n, line in enumerate([self._small] * threads + [self._large] * LARGE_THREADS)
        ]

    def start(self) -> None:
        """Take up what an earlier life left, then go on with what comes."""
        self._arrivals = self._spool.arrivals()
        self._deliverer.start()
        for thread in (*self._takers, self._finder):
            thread.start()

    def stop(self) -> None:
        """Finish the messages under way; what waits stays in the spool."""
        self._stopping.set()
        for line in (self._small, self._large):
            line.close()
        for thread in (self._finder, *self._takers):
            if thread.ident is not None:
                thread.join(30)
        self._deliverer.stop()
        if self._arrivals is not None and not self._finder.is_alive():
            self._arrivals.close()

    def alive(self) -> bool:
        """Whether every thread still works."""
        if self._spares > SPARE_THREADS:
            return False
        return self._deliverer.alive() and all(thread.is_alive() for thread in (self._finder, *self._takers))

    def _offer(self, entries: Iterable[Entry], *, again: bool) -> int:
        """Put them into their lines; `again`: begun before, in this life or an earlier one. How many."""
        small: list[Entry | Alone] = []
        large: list[Entry | Alone] = []
        try:
            for entry in entries:
                if entry.sealed_bytes > LARGE_BYTES:
                    large.append(Alone(entry, again))
                else:
                    small.append(Alone(entry, again) if again else entry)
        finally:  # what was given before the trouble is not given again
            self._small.put(small)
            self._large.put(large)
        return len(small) + len(large)

    def _find(self) -> None:
        due_at = 0.0
        replayed = False
        found = 0
        while not self._stopping.is_set():
            try:
                found = self._offer(self._spool.poll(), again=not replayed)
                replayed = True
                if found and self._arrivals is not None:
                    self._arrivals.came()
                if time.monotonic() >= due_at:
                    due_at = time.monotonic() + 1.0
                    self._deliverer.submit(self._deliverer.due())
                    self._replace(self._outbound.stuck(time.monotonic()))
            except Exception:  # whatever it is: the thread that finds mail must not end
                log.exception("worker:look-failed")
                self._stopping.wait(1.0)
            while not self._later.empty() and self._later.queue[0].at <= time.monotonic():
                self._offer([self._later.get().entry], again=True)
            pause = MANY_EVERY_SECONDS if found > MANY else LOOK_EVERY_SECONDS
            if self._arrivals is None:
                self._stopping.wait(pause)
            else:
                self._arrivals.wait(pause)

    def _replace(self, stuck: list[str]) -> None:
        """Go on without the threads that these items keep; each item is tried again, and held whole in the end.

        A thread cannot be ended: it goes on by itself, and what it may still commit is found committed by the others.
        """
        entries = [entry for entry in map(self._spool.entry, stuck) if entry is not None]
        for entry in entries:
            log.error("worker:stuck", queue=entry.id)
        if stuck:
            self._spares += 1
            if self._spares <= SPARE_THREADS:
                for name, line in (("small", self._small), ("large", self._large)):
                    spare = threading.Thread(target=self._take, args=(line,), name=f"spare-{name}", daemon=True)
                    spare.start()
                    self._takers.append(spare)
            self._offer(entries, again=True)

    def _take(self, line: _Line) -> None:
        while (task := line.take()) is not None:
            if isinstance(task, Alone):
                line.rest()  # it may be slow, so the others go on meanwhile
                self._one(task)
                continue
            batch, room = [task], BATCH_BYTES - task.sealed_bytes
            while len(batch) < BATCH:
                following = line.more(partial(_fits, room))
                if following is None or isinstance(following, Alone):
                    break
                batch.append(following)
                room -= following.sealed_bytes
            self._batch(batch, line)
            line.rest()

    def _batch(self, batch: list[Entry], line: _Line) -> None:
        given: set[str] = set()

        def give(alone: list[Alone]) -> None:
            given.update(one.entry.id for one in alone)
            line.put(alone, first=True)
            line.rest()

        try:
            self._outbound.process_all(batch, give)
        except Exception as error:
            if isinstance(error, TryLater):
                log.warning("worker:later", queue=batch[0].id, count=len(batch), error=type(error).__name__)
            else:
                log.exception("worker:failed", queue=batch[0].id, count=len(batch))
            for entry in batch:
                if entry.id not in given:
                    self._again(entry)

    def _one(self, task: Alone) -> None:
        entry = task.entry
        try:
            self._outbound.process(entry, again=task.again, judged=task.judged)
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


def _fits(room_bytes: int, task: Entry | Alone) -> bool:
    return not isinstance(task, Alone) and task.sealed_bytes <= room_bytes
