"""What is measured with: processor time and memory of process trees, medians with their spread, the machine's facts.

Promises: a tree's figures hold every child, those that have ended too; nothing here names the host, a path or a user.
"""

from __future__ import annotations

import hashlib
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Spread:
    """Several takings of one figure: the middle one, the least and the greatest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Raises ValueError when there is no value."""
        found = sorted(values)
        if not found:
            raise ValueError("nothing was measured")
        return cls(statistics.median(found), found[0], found[-1])


@dataclass(slots=True)
class Figure:
    """One line of the table: what, in which unit, and a value for each contender, ours first.

    `floor` is what is asked of our value, as words; `more_is_better` tells how a ratio reads.
    """

    what: str
    unit: str
    values: dict[str, Spread]
    floor: str = ""
    more_is_better: bool = True


@dataclass(slots=True)
class Area:
    """The figures of one subcommand, what has to be said beside them, and how long they took."""

    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


def say(text: str) -> None:
    """Progress, on standard error."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of all lies (nearest rank). Raises ValueError for none."""
    if not values:
        raise ValueError("nothing was measured")
    return sorted(values)[min(len(values) - 1, max(0, round(share * len(values) + 0.5) - 1))]


def tree_of(roots: Iterable[int]) -> list[int]:
    """These processes and all that descend from them, as they run now."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += parents.get(pid, [])
    return found


def cpu_seconds(roots: Iterable[int]) -> float:
    """Processor time that the trees used so far, user and system, with children that ended and were waited for."""
    total = 0
    for pid in tree_of(roots):
        if fields := _stat(pid):
            total += sum(int(value) for value in fields[11:15])
    return total / TICKS


def pss_bytes(roots: Iterable[int]) -> int:
    """Memory of the trees: shared pages counted in proportion, proc(5) `Pss`."""
    total = 0
    for pid in tree_of(roots):
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:  # it ended meanwhile
            continue
        total += sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
    return total


class Peak:
    """While it is open, watches the memory of process trees: `bytes` is the most that was seen at once."""

    def __init__(self, roots: Iterable[int], every_seconds: float = 0.05) -> None:
        self._roots = tuple(roots)
        self._every = every_seconds
        self._over = threading.Event()
        self.bytes = 0
        self._thread = threading.Thread(target=self._watch, name="peak", daemon=True)

    def _watch(self) -> None:
        while not self._over.is_set():
            self.bytes = max(self.bytes, pss_bytes(self._roots))
            self._over.wait(self._every)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()


def machine() -> dict[str, object]:
    """What the figures depend on: cores, memory, Python, kernel, and two fixed pieces of work for comparison."""
    started = time.perf_counter()
    total = 0
    for number in range(2_000_000):
        total += number & 7
    loop_ns = (time.perf_counter() - started) / 2_000_000 * 1e9
    block = bytes(8 << 20)
    started = time.perf_counter()
    for _ in range(8):
        hashlib.sha256(block)
    sha = 64 * 1.048576 / (time.perf_counter() - started)
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)),
        "python": platform.python_version(),
        "kernel": platform.release().split("-")[0],
        "architecture": platform.machine(),
        "load_at_start": round(os.getloadavg()[0], 1),
        "python_loop_ns": round(loop_ns, 1),
        "sha256_mb_per_s": round(sha, 1),
    }


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; none when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
