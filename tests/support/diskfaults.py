"""A running process whose disk fails: calls that answer EIO (by strace), and writes that stop half way (by a limit)."""

from __future__ import annotations

import re
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.load import PATIENCE


@contextmanager
def failing(pid: int, folder: Path, calls: str, error: str = "EIO") -> Iterator[Callable[[], int]]:
    """These system calls of that process fail until the end; yields what tells how many did. Needs root."""
    trace = folder / "trace"
    trace.unlink(missing_ok=True)
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-p", str(pid), "-o", str(trace), "-e", f"trace={calls}",
         "-e", f"inject={calls}:error={error}"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _until(lambda: tracer.poll() is None and _traced(pid))
        yield lambda: trace.read_text(errors="replace").count("(INJECTED)") if trace.exists() else 0
    finally:
        tracer.terminate()  # it lets go of every thread before it ends
        tracer.wait(PATIENCE)


@contextmanager
def traced(pids: list[int], folder: Path, calls: str) -> Iterator[Callable[[], list[str]]]:
    """Watches these processes until the end; yields what gives the lines, in the order in which the calls began.

    Strings are long enough for a database page, and escaped only where they are not printable.
    """
    trace = folder / "order"
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-ttt", "-y", "-s", "5000", "-e", f"trace={calls}", "-o", str(trace),
         *(word for pid in pids for word in ("-p", str(pid)))],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _until(lambda: tracer.poll() is None and all(map(_traced, pids)))
        yield lambda: trace.read_text(errors="replace").splitlines()
    finally:
        tracer.terminate()
        tracer.wait(PATIENCE)


@contextmanager
def short_writes(pid: int, most_bytes: int) -> Iterator[Callable[[], int]]:
    """No file of that process may grow beyond that size: a write across it is cut short, and the next fails (EFBIG)."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield lambda: 1
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def _traced(pid: int) -> bool:
    """Whether every thread has its tracer."""
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        found = re.search(r"^TracerPid:\s+(\d+)", status.read_text(), re.MULTILINE)
        if found is None or found[1] == "0":
            return False
    return True


def _until(check: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < until, "strace does not follow the process"
        time.sleep(0.02)
