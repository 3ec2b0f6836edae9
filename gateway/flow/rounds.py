"""The threads that deliver: each takes jobs as long as it goes fast, then what became of them is settled together.

Promises: a round ends after `ROUND` jobs, after `ROUND_SECONDS`, or when nothing waits, and nobody waits for it to
fill; where one job hangs, outcomes of the round before it are settled by another thread within seconds; a job is its
round's own until it is settled, and then `ended` hears of it. One job's trouble is nobody else's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from gateway.errors import GatewayError
from gateway.flow.jobs import Job
from gateway.flow.line import Line
from gateway.flow.outcomes import Attempt
from gateway.logs import Log

log = Log("gateway.delivery")
ROUND = 16
ROUND_SECONDS = 0.1
"""So many deliveries, or such a time, until outcomes are committed: that is what a crash may repeat for each thread."""
LATE_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _Round:
    until: float
    jobs: list[Job] = field(default_factory=list)
    tried: list[tuple[Job, Attempt]] = field(default_factory=list)


class Rounds:
    """`attempt` makes one job's attempt, or None; `settle` commits attempts; `ended` hears of jobs that are over."""

    def __init__(
        self,
        attempt: Callable[[Job], Attempt | None],
        settle: Callable[[Sequence[Attempt]], None],
        ended: Callable[[Sequence[Job]], None],
        threads: int,
    ) -> None:
        self._attempt = attempt
        self._settle = settle
        self._ended = ended
        self._line: Line[Job] = Line()
        self._lock = threading.Lock()
        self._open: set[_Round] = set()
        self._stopping = threading.Event()
        self._late = threading.Event()
        self._threads = [threading.Thread(target=self._serve, name=f"deliver-{n}", daemon=True) for n in range(threads)]
        if threads:
            self._threads.append(threading.Thread(target=self._serve_late, name="deliver-late", daemon=True))

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is under way and end; what is queued is not begun."""
        self._stopping.set()
        self._line.close()
        self._late.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(30)

    def alive(self) -> bool:
        """Whether every thread still serves."""
        return all(thread.is_alive() for thread in self._threads)

    def put(self, jobs: Iterable[Job]) -> None:
        """Queue jobs."""
        self._line.put(jobs)

    def run_waiting(self) -> None:
        """Do what is queued in this thread, where there are none."""
        while (job := self._line.more()) is not None:
            self.round(job)

    def round(self, first: Job) -> None:
        """This job and what else waits, as long as it goes fast; then all of their outcomes."""
        mine = _Round(time.monotonic() + ROUND_SECONDS)
        with self._lock:
            self._open.add(mine)
        try:
            job: Job | None = first
            while job is not None:
                with self._lock:
                    mine.jobs.append(job)
                tried = self._tried(job)
                if tried is not None:
                    with self._lock:
                        mine.tried.append((job, tried))
                job = self._line.more() if len(mine.jobs) < ROUND and time.monotonic() < mine.until else None
            self._line.rest()
            with self._lock:
                self._open.discard(mine)  # from here on what was tried is nobody else's
            self._finish([attempt for _, attempt in mine.tried])
        finally:
            self._line.rest()
            with self._lock:
                self._open.discard(mine)
            self._ended(mine.jobs)

    def look(self) -> None:
        """Once a second: have settled what lies behind a job that hangs."""
        if self._overdue():
            self._late.set()

    def _overdue(self) -> list[_Round]:
        before = time.monotonic() - LATE_SECONDS
        with self._lock:
            return [one for one in self._open if one.until < before and one.tried]

    def _tried(self, job: Job) -> Attempt | None:
        try:
            return None if self._stopping.is_set() else self._attempt(job)
        except GatewayError as error:
            log.warning("delivery:later", message=job.message, error=type(error).__name__)
        except Exception:
            log.exception("delivery:failed", message=job.message)
        return None

    def _finish(self, tried: Sequence[Attempt]) -> None:
        if not tried:
            return
        try:
            self._settle(tried)
        except GatewayError as error:
            log.warning("delivery:later", message=tried[0].job.message, count=len(tried), error=type(error).__name__)
        except Exception:
            log.exception("delivery:failed", message=tried[0].job.message, count=len(tried))

    def _serve(self) -> None:
        while (job := self._line.take()) is not None:
            self.round(job)

    def _serve_late(self) -> None:
        while not self._stopping.is_set():
            self._late.wait()
            self._late.clear()
            for late in self._overdue():
                with self._lock:
                    if late not in self._open:
                        continue
                    taken, late.tried = late.tried, []
                    over = [job for job, _ in taken]
                    late.jobs = [job for job in late.jobs if not any(job is one for one in over)]
                self._finish([attempt for _, attempt in taken])
                self._ended(over)
